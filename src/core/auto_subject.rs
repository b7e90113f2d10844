//! Subjects of automatic answers: what mailboxes and programs write in front of, or in place of,
//! the subject that they answer.
//!
//! A subject counts if it begins with a known phrase and the phrase ends there: at a colon, a
//! bracket, a dash or the end. So `Automatic reply: Printer` is one, and neither
//! `Re: Automatic reply: Printer` nor `Out of office printer broken` is.
//!
//! Architecture invariant: data and one comparison, linear in the subject.

/// Phrases in lower case, by language.
const PHRASES: [&[&str]; 27] = [
    // English
    &[
        "automatic reply",
        "automatic response",
        "automatic answer",
        "automated reply",
        "automated response",
        "auto reply",
        "auto-reply",
        "autoreply",
        "auto response",
        "auto-response",
        "autoresponse",
        "autoresponder",
        "auto responder",
        "auto-responder",
        "auto answer",
        "auto-answer",
        "out of office",
        "out-of-office",
        "out of the office",
        "ooo",
        "out of office reply",
        "out of office autoreply",
        "out of office auto-reply",
        "out of office auto reply",
        "out of office response",
        "out of office message",
        "out of office notification",
        "out of office notice",
        "vacation reply",
        "vacation response",
        "vacation message",
        "vacation notice",
        "vacation autoreply",
        "away from my mail",
        "away from my email",
        "absence notification",
        "away notice",
        "away message",
    ],
    // Japanese
    &[
        "自動返信",
        "自動返信メール",
        "自動応答",
        "自動応答メール",
        "自動回答",
        "自動送信",
        "自動送信メール",
        "自動配信",
        "自動配信メール",
        "不在",
        "不在通知",
        "不在連絡",
        "不在のご連絡",
        "不在のお知らせ",
        "不在届",
        "不在応答",
        "不在自動応答",
        "不在時の自動返信",
        "不在返信",
        "休暇中",
        "休暇通知",
        "休暇のお知らせ",
        "外出中",
    ],
    // German
    &[
        "automatische antwort",
        "automatische rückantwort",
        "automatische e-mail-antwort",
        "automatische nachricht",
        "abwesenheitsnotiz",
        "abwesenheitsnachricht",
        "abwesenheitsmeldung",
        "abwesenheitsmitteilung",
        "abwesenheitsassistent",
        "abwesenheit",
        "abwesend",
        "autoantwort",
        "auto-antwort",
        "außer haus",
        "nicht im büro",
        "urlaubsnotiz",
        "urlaubsvertretung",
    ],
    // French
    &[
        "réponse automatique",
        "reponse automatique",
        "réponse auto",
        "message automatique",
        "message d'absence",
        "message d’absence",
        "absence du bureau",
        "absent du bureau",
        "absente du bureau",
        "absent(e) du bureau",
        "avis d'absence",
        "notification d'absence",
    ],
    // Spanish
    &[
        "respuesta automática",
        "respuesta automatica",
        "respuesta automática de ausencia",
        "fuera de la oficina",
        "fuera de oficina",
        "mensaje automático",
        "aviso de ausencia",
    ],
    // Italian
    &[
        "risposta automatica",
        "risponditore automatico",
        "fuori ufficio",
        "fuori sede",
        "assenza dall'ufficio",
    ],
    // Dutch
    &[
        "automatisch antwoord",
        "automatische reactie",
        "automatische beantwoording",
        "afwezigheidsmelding",
        "afwezigheidsbericht",
        "afwezigheid",
        "afwezig",
        "niet aanwezig",
        "niet op kantoor",
    ],
    // Portuguese
    &[
        "resposta automática",
        "resposta automatica",
        "ausência temporária",
        "fora do escritório",
        "ausente do escritório",
        "mensagem automática",
        "aviso de ausência",
    ],
    // Polish
    &[
        "odpowiedź automatyczna",
        "automatyczna odpowiedź",
        "autoodpowiedź",
        "poza biurem",
        "nieobecność",
        "nieobecny",
    ],
    // Russian
    &[
        "автоматический ответ",
        "автоответ",
        "автоответчик",
        "автоматическое уведомление",
        "нет на работе",
        "вне офиса",
        "отсутствие на рабочем месте",
    ],
    // Ukrainian
    &["автоматична відповідь", "автовідповідь"],
    // Chinese
    &[
        "自动回复",
        "自动答复",
        "自动应答",
        "自动回信",
        "外出自动回复",
        "自動回覆",
        "自動回復",
        "自動答覆",
        "不在办公室",
        "不在辦公室",
    ],
    // Korean
    &[
        "자동 회신",
        "자동회신",
        "자동 응답",
        "자동응답",
        "자동 답장",
        "부재중",
        "부재 중",
        "부재중 알림",
        "부재 알림",
    ],
    // Czech and Slovak
    &["automatická odpověď", "automatická odpoveď", "mimo kancelář"],
    // Hungarian
    &["automatikus válasz", "házon kívül"],
    // Swedish
    &["automatiskt svar", "autosvar", "frånvaro", "frånvaromeddelande"],
    // Danish and Norwegian
    &["automatisk svar", "autosvar", "ikke til stede", "fraværsmelding", "fravær", "fraværende"],
    // Finnish
    &["automaattinen vastaus", "poissa toimistosta", "poissaoloilmoitus"],
    // Turkish
    &["otomatik yanıt", "otomatik cevap", "i̇ş yeri dışında"],
    // Romanian
    &["răspuns automat", "raspuns automat"],
    // Greek
    &["αυτόματη απάντηση"],
    // Bulgarian and Serbian
    &["автоматичен отговор", "аутоматски одговор"],
    // Croatian and Slovenian
    &["automatski odgovor", "samodejni odgovor"],
    // Catalan
    &["resposta automàtica"],
    // Hebrew and Arabic
    &["מענה אוטומטי", "תשובה אוטומטית", "رد تلقائي"],
    // Vietnamese and Indonesian
    &["trả lời tự động", "balasan otomatis"],
    // Estonian, Latvian and Lithuanian
    &["automaatvastus", "automātiskā atbilde", "automatinis atsakymas"],
];

/// Characters of a subject that are looked at: longer phrases are not known.
const LOOKED_AT_CHARS_MAX: usize = 80;

/// Whether a subject says that the mail is an automatic answer.
pub fn is_automatic(subject: &str) -> bool {
    let start: String = subject.chars().take(LOOKED_AT_CHARS_MAX).collect();
    let lower = start.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let words = words.join(" ");
    let opened = words.trim_start_matches(is_opening);
    PHRASES.iter().copied().flatten().any(|phrase| {
        let rest = opened.strip_prefix(phrase);
        rest.is_some_and(|rest| ends_here(rest, opened.len() < words.len()))
    })
}

fn is_opening(c: char) -> bool {
    matches!(c, '[' | '(' | '<' | '{' | '*' | '【' | '［' | '（' | '《' | '〈' | '「' | '«' | ' ')
}

/// Whether a phrase ends where this rest begins.
fn ends_here(rest: &str, opened: bool) -> bool {
    let mut next = rest.trim_start().chars();
    match next.next() {
        None => true,
        Some(':' | '：' | '|') => true,
        Some(']' | ')' | '>' | '}' | '*' | '】' | '］' | '）' | '》' | '〉' | '」' | '»') => {
            opened
        }
        // `Auto-Reply - Printer`, but not `auto-update`.
        Some('-' | '–' | '—' | '/') => rest.starts_with(' ') && next.next() == Some(' '),
        Some('!' | '.') => next.as_str().trim().is_empty(),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(subject: &str, expected: bool) {
        assert_eq!(is_automatic(subject), expected, "{subject}");
    }

    #[test]
    fn automatic() {
        for subject in [
            "Automatic reply: Printer",
            "AUTOMATIC REPLY : Printer",
            "Out of Office",
            "Out of office: Re: Printer",
            "Out of Office AutoReply: Printer",
            "[Auto-Reply] Printer",
            "Auto-reply - Printer",
            "*** Autoreply *** Printer",
            "away from my mail",
            "【自動返信】お問い合わせ",
            "自動応答： Re: 見積",
            "不在通知: Re: 見積",
            "Automatische Antwort: Drucker",
            "Abwesenheitsnotiz: Drucker",
            "Réponse automatique : Imprimante",
            "Respuesta automática: Impresora",
            "Risposta automatica: Stampante",
            "Automatisch antwoord: Printer",
            "Resposta automática: Impressora",
            "Odpowiedź automatyczna: Drukarka",
            "Автоматический ответ: Принтер",
            "自动回复：打印机",
            "자동 회신: 프린터",
            "Otomatik Yanıt: Yazıcı",
        ] {
            check(subject, true);
        }
    }

    #[test]
    fn by_people() {
        for subject in [
            "",
            "Printer",
            "Re: Automatic reply: Printer",
            "AW: Automatische Antwort: Drucker",
            "Fwd: Out of office: Printer",
            "Out of office printer broken",
            "Out of office replies are not sent",
            "Automatic reply does not work",
            "Auto: Motor defekt",
            "Auto-update fails",
            "Automatic reply) broken",
            "自動返信メールが届きません",
            "自動返信の設定方法",
            "不在時の対応について",
            "Abwesenheitsnotiz einrichten",
            "Absence de M. Durand",
            "Vacation: which days are left?",
            "자동 회신이 오지 않습니다",
        ] {
            check(subject, false);
        }
    }
}
