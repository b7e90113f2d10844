//! The words by which mail programs mark history, as data: a row for each language.
//!
//! Architecture invariant: data and the lookups in it; nothing here sees more than one line.

/// A field of a quoted header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    From,
    Date,
    To,
    Cc,
    Subject,
}

/// The words of one language.
pub(super) struct Language {
    /// BCP 47; for the reader of this table.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(super) tag: &'static str,
    from: &'static [&'static str],
    date: &'static [&'static str],
    to: &'static [&'static str],
    cc: &'static [&'static str],
    subject: &'static [&'static str],
    /// "Original Message", between dashes.
    original: &'static [&'static str],
    /// "Forwarded message", between dashes.
    forwarded: &'static [&'static str],
    /// "wrote", in the line above a quotation.
    wrote: &'static [&'static str],
    /// How that line begins.
    opens: &'static [&'static str],
    /// A whole line, or its beginning, that only greets.
    greetings: &'static [&'static str],
    /// The beginning of the line that a phone or a program adds.
    added: &'static [&'static str],
}

/// The words of a language for one thing.
type Words = fn(&Language) -> &'static [&'static str];

/// All words are in lower case.
pub(super) const LANGUAGES: [Language; 12] = [
    Language {
        tag: "en",
        from: &["from"],
        date: &["sent", "date", "sent on"],
        to: &["to"],
        cc: &["cc", "bcc", "reply-to", "importance"],
        subject: &["subject"],
        original: &["original message", "original email", "original mail", "reply message"],
        forwarded: &["forwarded message", "begin forwarded message", "forwarded by"],
        wrote: &["wrote", "writes", "said"],
        opens: &["on ", "at "],
        greetings: &["hello", "hi", "dear", "good morning", "good afternoon", "hey"],
        added: &[
            "sent from my ",
            "sent from outlook",
            "sent from mail for windows",
            "sent from yahoo mail",
            "sent from samsung",
            "sent via ",
            "get outlook for ",
            "sent with proton mail",
        ],
    },
    Language {
        tag: "ja",
        from: &["差出人", "送信者", "送信元"],
        date: &["送信日時", "日時", "日付", "送信日", "送信時刻"],
        to: &["宛先", "受信者", "あて先"],
        cc: &["cc", "ｃｃ", "同報"],
        subject: &["件名", "題名", "タイトル"],
        original: &[
            "元のメッセージ",
            "オリジナルメッセージ",
            "元のメール",
            "オリジナル メッセージ",
            "original message",
        ],
        forwarded: &["転送メッセージ", "転送されたメッセージ", "転送メール"],
        wrote: &["書きました", "のメール", "のメッセージ", "さんは書かれました", "wrote"],
        opens: &["20"],
        greetings: &["お世話に", "いつもお世話に", "お疲れ様", "こんにちは", "お忙しい"],
        added: &[
            "iphoneから送信",
            "ipadから送信",
            "androidから送信",
            "outlook for ",
            "androidを入手",
        ],
    },
    Language {
        tag: "de",
        from: &["von", "absender"],
        date: &["gesendet", "datum", "gesendet am"],
        to: &["an", "empfänger"],
        cc: &["cc", "kopie"],
        subject: &["betreff", "betr"],
        original: &[
            "ursprüngliche nachricht",
            "originalnachricht",
            "original-nachricht",
            "urspr. nachricht",
        ],
        forwarded: &["weitergeleitete nachricht", "anfang der weitergeleiteten nachricht"],
        wrote: &["schrieb", "geschrieben"],
        opens: &["am "],
        greetings: &["hallo", "guten tag", "sehr geehrte", "guten morgen", "liebe"],
        added: &["von meinem ", "gesendet von ", "diese nachricht wurde von meinem"],
    },
    Language {
        tag: "fr",
        from: &["de", "expéditeur"],
        date: &["envoyé", "date", "envoyé le"],
        to: &["à", "a", "pour"],
        cc: &["cc", "copie à"],
        subject: &["objet", "sujet"],
        original: &[
            "message d'origine",
            "message d’origine",
            "message original",
            "courriel original",
        ],
        forwarded: &["message transféré", "début du message transféré", "message réexpédié"],
        wrote: &["a écrit", "écrit"],
        opens: &["le "],
        greetings: &["bonjour", "bonsoir", "cher", "chère", "madame", "monsieur"],
        added: &["envoyé de mon ", "envoyé depuis ", "envoyé à partir "],
    },
    Language {
        tag: "es",
        from: &["de", "remitente"],
        date: &["enviado", "enviado el", "fecha"],
        to: &["para"],
        cc: &["cc"],
        subject: &["asunto"],
        original: &["mensaje original", "mensaje de origen"],
        forwarded: &["mensaje reenviado", "inicio del mensaje reenviado"],
        wrote: &["escribió", "escribio"],
        opens: &["el "],
        greetings: &["hola", "estimado", "estimada", "buenos días", "buenas tardes"],
        added: &["enviado desde ", "obtener outlook para "],
    },
    Language {
        tag: "it",
        from: &["da", "mittente"],
        date: &["inviato", "data", "inviato il"],
        to: &["a", "per"],
        cc: &["cc"],
        subject: &["oggetto"],
        original: &["messaggio originale", "messaggio d'origine"],
        forwarded: &["messaggio inoltrato", "inizio messaggio inoltrato"],
        wrote: &["ha scritto", "scrisse"],
        opens: &["il "],
        greetings: &["ciao", "buongiorno", "buonasera", "gentile", "salve"],
        added: &["inviato da ", "inviato dal mio "],
    },
    Language {
        tag: "nl",
        from: &["van", "afzender"],
        date: &["verzonden", "datum", "verzonden op"],
        to: &["aan"],
        cc: &["cc"],
        subject: &["onderwerp"],
        original: &["oorspronkelijk bericht", "oorspronkelijke bericht", "origineel bericht"],
        forwarded: &["doorgestuurd bericht", "begin doorgestuurd bericht"],
        wrote: &["schreef", "geschreven"],
        opens: &["op "],
        greetings: &["hallo", "beste", "geachte", "goedemorgen", "goedemiddag"],
        added: &["verstuurd vanaf ", "verzonden vanaf ", "verstuurd vanuit ", "outlook voor "],
    },
    Language {
        tag: "pt",
        from: &["de"],
        date: &["enviado", "enviada", "enviado em", "enviada em", "data"],
        to: &["para"],
        cc: &["cc"],
        subject: &["assunto"],
        original: &["mensagem original"],
        forwarded: &[
            "mensagem encaminhada",
            "mensagem reencaminhada",
            "início da mensagem encaminhada",
        ],
        wrote: &["escreveu"],
        opens: &["em ", "no dia ", "a "],
        greetings: &["olá", "ola", "bom dia", "boa tarde", "prezado", "prezada", "caro"],
        added: &["enviado do meu ", "enviado a partir ", "obter o outlook "],
    },
    Language {
        tag: "pl",
        from: &["od", "nadawca"],
        date: &["wysłano", "wysłane", "data", "data wysłania"],
        to: &["do"],
        cc: &["dw", "cc", "udw"],
        subject: &["temat"],
        original: &[
            "oryginalna wiadomość",
            "wiadomość oryginalna",
            "wiadomość pierwotna",
            "original message",
        ],
        forwarded: &["wiadomość przekazana", "przekazana wiadomość"],
        wrote: &["napisał", "napisała", "pisze", "napisano"],
        opens: &["w dniu ", "dnia ", "pon", "wt", "śr", "czw", "pt", "sob", "niedz"],
        greetings: &["cześć", "dzień dobry", "witam", "szanowni", "szanowny", "szanowna"],
        added: &["wysłane z ", "wysłano z "],
    },
    Language {
        tag: "ru",
        from: &["от", "от кого", "отправитель"],
        date: &["отправлено", "дата", "отправлен", "date"],
        to: &["кому"],
        cc: &["копия", "cc"],
        subject: &["тема"],
        original: &["исходное сообщение", "оригинальное сообщение", "original message"],
        forwarded: &[
            "пересылаемое сообщение",
            "пересланное сообщение",
            "перенаправленное сообщение",
        ],
        wrote: &["пишет", "писал", "написал", "писала"],
        opens: &["пн", "вт", "ср", "чт", "пт", "сб", "вс"],
        greetings: &["здравствуйте", "добрый день", "доброе утро", "уважаем", "привет"],
        added: &["отправлено с ", "отправлено из "],
    },
    Language {
        tag: "zh",
        from: &["发件人", "寄件者", "寄件人", "發件人", "发送人"],
        date: &[
            "发送时间",
            "发送日期",
            "日期",
            "寄件日期",
            "傳送時間",
            "時間",
            "时间",
            "傳送日期",
            "寄件時間",
        ],
        to: &["收件人", "收件者", "主送"],
        cc: &["抄送", "副本", "cc"],
        subject: &["主题", "主旨", "主題", "标题"],
        original: &["原始邮件", "原始郵件", "邮件原件", "原郵件", "回复的原邮件", "原文"],
        forwarded: &[
            "转发的邮件",
            "轉寄郵件",
            "转发邮件",
            "轉寄的郵件",
            "轉寄的訊息",
            "转发邮件信息",
        ],
        wrote: &["写道", "寫道", "写到"],
        opens: &["在", "于", "於", "20"],
        greetings: &["您好", "你好", "尊敬的"],
        added: &["发自我的", "從我的", "发送自", "来自我的", "獲取 outlook", "從 yahoo"],
    },
    Language {
        tag: "ko",
        from: &["보낸 사람", "보낸사람", "발신", "보낸이"],
        date: &["보낸 날짜", "보낸날짜", "날짜", "보낸 시간", "전송", "발송일"],
        to: &["받는 사람", "받는사람", "수신", "받는이"],
        cc: &["참조", "cc"],
        subject: &["제목"],
        original: &["원본 메시지", "원본 메일", "원본메시지", "원본메일"],
        forwarded: &["전달된 메시지", "전달된 메일", "전달한 메시지"],
        wrote: &["작성", "쓰신 글", "님이 씀", "보낸 메일"],
        opens: &["20"],
        greetings: &["안녕하세요", "안녕하십니까"],
        added: &["나의 iphone에서 보냄", "내 iphone에서", "내 갤럭시", "android용 outlook"],
    },
];

/// The field that a name means, in any language.
pub(super) fn field(name: &str) -> Option<Field> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = name.to_lowercase();
    let of =
        |words: Words| LANGUAGES.iter().any(|language| words(language).contains(&name.as_str()));
    let fields: [(Field, Words); 5] = [
        (Field::From, |one| one.from),
        (Field::Date, |one| one.date),
        (Field::Subject, |one| one.subject),
        (Field::To, |one| one.to),
        (Field::Cc, |one| one.cc),
    ];
    fields.into_iter().find(|(_, words)| of(*words)).map(|(field, _)| field)
}

/// Longest name of a field, in bytes.
const NAME_BYTES_MAX: usize = 40;
/// Longest line that can be only a greeting, in bytes.
const GREETING_BYTES_MAX: usize = 60;

/// "Original Message".
pub(super) fn is_original(words: &str) -> bool {
    let words = words.to_lowercase();
    LANGUAGES.iter().any(|language| language.original.contains(&words.as_str()))
}

/// "Forwarded message".
pub(super) fn is_forwarded(words: &str) -> bool {
    let words = words.to_lowercase();
    LANGUAGES.iter().any(|language| language.forwarded.iter().any(|one| words.starts_with(one)))
}

/// "wrote", in any language.
pub(super) fn has_verb(line: &str) -> bool {
    let line = line.to_lowercase();
    LANGUAGES.iter().any(|language| language.wrote.iter().any(|verb| line.contains(verb)))
}

/// "On", "Am", "Le": the line may go on in the next one.
pub(super) fn opens_attribution(line: &str) -> bool {
    let line = line.to_lowercase();
    LANGUAGES.iter().any(|language| language.opens.iter().any(|open| line.starts_with(open)))
}

/// Korean and some Japanese programs end the line with a stop instead of a colon.
pub(super) fn is_full_attribution(line: &str) -> bool {
    ["작성했습니다.", "작성하였습니다.", "は書きました。"].iter().any(|end| line.ends_with(end))
}

/// A short line that greets and says nothing yet.
pub(super) fn is_greeting(line: &str) -> bool {
    if line.len() > GREETING_BYTES_MAX {
        return false;
    }
    let line = line.to_lowercase();
    let ends = line.ends_with([',', '，', '、', '!', '！', '。', '.', '様', '殿']);
    let begins = |one: &str| line.strip_prefix(one).is_some_and(|rest| is_end_of_word(one, rest));
    let one_sentence = line.trim_end_matches([',', '，', '、', '!', '！', '。', '.']);
    let goes_on = one_sentence.contains(['.', '。', '!', '！', '?', '？', ',', '，', '、']);
    ends && !goes_on
        && (line.ends_with('様')
            || LANGUAGES.iter().any(|language| language.greetings.iter().any(|one| begins(one))))
}

/// Whether a word that greets ends here: "hi," and "hi Eve," but not "history". Scripts without
/// blanks between words go on at once.
fn is_end_of_word(word: &str, rest: &str) -> bool {
    let blanks = word.is_ascii() || word.chars().any(|c| c < '\u{1100}');
    !blanks || !rest.starts_with(char::is_alphanumeric)
}

/// "Sent from my iPhone".
pub(super) fn is_added_by_program(line: &str) -> bool {
    if line.len() > GREETING_BYTES_MAX * 2 {
        return false;
    }
    let line = line.to_lowercase();
    LANGUAGES.iter().any(|language| language.added.iter().any(|one| line.starts_with(one)))
}
