//! Replies as mail programs write them, each line with what it is.
//!
//! `w` is the author's, `q` history, `s` the signature; blank lines may be either. The generated
//! cases cross the forms of mail programs with the languages of [`words::LANGUAGES`].

use super::{Part, blocks, words};
use crate::core::mail;

/// A case: its name, and lines with their marks.
struct Case {
    name: String,
    lines: Vec<(char, String)>,
}

impl Case {
    fn new(name: impl Into<String>, marked: &str) -> Case {
        let lines = marked.lines().map(|line| {
            let (mark, text) = line.split_once('|').unwrap_or_else(|| panic!("no mark: {line}"));
            (mark.chars().next().unwrap(), text.to_owned())
        });
        Case { name: name.into(), lines: lines.collect() }
    }

    /// The first line that was taken for something else.
    fn failure(&self) -> Option<String> {
        let text: Vec<&str> = self.lines.iter().map(|(_, line)| line.as_str()).collect();
        let text = text.join("\n");
        let found = blocks(&text);
        let parts: Vec<(Part, &str)> = found
            .iter()
            .flat_map(|block| block.lines.iter().map(|line| (block.part, *line)))
            .collect();
        assert_eq!(parts.len(), text.lines().count(), "{}: a line is missing", self.name);
        let mut both = self.lines.iter().zip(parts);
        both.find_map(|((mark, line), (part, found))| {
            assert_eq!(line, found, "{}: the order changed", self.name);
            let expected = match mark {
                'w' => Part::Written,
                'q' => Part::Quoted,
                's' => Part::Signature,
                other => panic!("{}: mark {other}", self.name),
            };
            let wrong = !line.trim().is_empty() && part != expected;
            wrong.then(|| format!("{}: {part:?} instead of {expected:?}: {line:?}", self.name))
        })
    }
}

/// What a language's mail programs write. `header` is Outlook's, `attribution` Gmail's or
/// Thunderbird's, `original` the words between dashes.
struct Written {
    tag: &'static str,
    said: &'static str,
    greeting: &'static str,
    answer: &'static str,
    header: [&'static str; 4],
    attribution: &'static str,
    original: &'static str,
    forwarded: &'static str,
    added: &'static str,
}

const WRITTEN: [Written; 13] = [
    Written {
        tag: "en",
        said: "Thanks, the lamp is green now.",
        greeting: "Hello Support,",
        answer: "It is the one in the basement.",
        header: [
            "From: Help Desk <desk@x.example>",
            "Sent: Monday, November 30, 2026 9:12 AM",
            "To: Erin <erin@customer.example>",
            "Subject: Re: Scanner",
        ],
        attribution: "On Mon, 30 Nov 2026 at 09:12, Help Desk <desk@x.example> wrote:",
        original: "Original Message",
        forwarded: "Forwarded message",
        added: "Sent from my iPhone",
    },
    Written {
        tag: "ja",
        said: "ランプが緑になりました。助かりました。",
        greeting: "お世話になっております。",
        answer: "地下にある方です。",
        header: [
            "差出人: ヘルプデスク <desk@x.example>",
            "送信日時: 2026年11月30日 9:12",
            "宛先: 絵里 <erin@customer.example>",
            "件名: Re: スキャナー",
        ],
        attribution: "2026年11月30日(月) 9:12 ヘルプデスク <desk@x.example>:",
        original: "元のメッセージ",
        forwarded: "転送メッセージ",
        added: "iPhoneから送信",
    },
    Written {
        tag: "de",
        said: "Danke, die Lampe ist jetzt grün.",
        greeting: "Guten Tag,",
        answer: "Es ist der im Keller.",
        header: [
            "Von: Helpdesk <desk@x.example>",
            "Gesendet: Montag, 30. November 2026 09:12",
            "An: Erin <erin@customer.example>",
            "Betreff: AW: Scanner",
        ],
        attribution: "Am Mo., 30. Nov. 2026 um 09:12 Uhr schrieb Helpdesk <desk@x.example>:",
        original: "Ursprüngliche Nachricht",
        forwarded: "Weitergeleitete Nachricht",
        added: "Von meinem iPhone gesendet",
    },
    Written {
        tag: "fr",
        said: "Merci, le voyant est vert maintenant.",
        greeting: "Bonjour,",
        answer: "C'est celui du sous-sol.",
        header: [
            "De : Assistance <desk@x.example>",
            "Envoyé : lundi 30 novembre 2026 09:12",
            "À : Erin <erin@customer.example>",
            "Objet : RE: Scanner",
        ],
        attribution: "Le lun. 30 nov. 2026 à 09:12, Assistance <desk@x.example> a écrit :",
        original: "Message d'origine",
        forwarded: "Message transféré",
        added: "Envoyé de mon iPhone",
    },
    Written {
        tag: "es",
        said: "Gracias, la luz ya está verde.",
        greeting: "Hola,",
        answer: "Es el del sótano.",
        header: [
            "De: Soporte <desk@x.example>",
            "Enviado el: lunes, 30 de noviembre de 2026 9:12",
            "Para: Erin <erin@customer.example>",
            "Asunto: RE: Escáner",
        ],
        attribution: "El lun, 30 nov 2026 a las 9:12, Soporte (<desk@x.example>) escribió:",
        original: "Mensaje original",
        forwarded: "Mensaje reenviado",
        added: "Enviado desde mi iPhone",
    },
    Written {
        tag: "it",
        said: "Grazie, la spia ora è verde.",
        greeting: "Buongiorno,",
        answer: "È quello nel seminterrato.",
        header: [
            "Da: Assistenza <desk@x.example>",
            "Inviato: lunedì 30 novembre 2026 09:12",
            "A: Erin <erin@customer.example>",
            "Oggetto: R: Scanner",
        ],
        attribution: "Il giorno lun 30 nov 2026 alle ore 09:12 Assistenza <desk@x.example> ha scritto:",
        original: "Messaggio originale",
        forwarded: "Messaggio inoltrato",
        added: "Inviato da iPhone",
    },
    Written {
        tag: "nl",
        said: "Bedankt, het lampje is nu groen.",
        greeting: "Goedemorgen,",
        answer: "Het is die in de kelder.",
        header: [
            "Van: Helpdesk <desk@x.example>",
            "Verzonden: maandag 30 november 2026 09:12",
            "Aan: Erin <erin@customer.example>",
            "Onderwerp: RE: Scanner",
        ],
        attribution: "Op ma 30 nov 2026 om 09:12 schreef Helpdesk <desk@x.example>:",
        original: "Oorspronkelijk bericht",
        forwarded: "Doorgestuurd bericht",
        added: "Verstuurd vanaf mijn iPhone",
    },
    Written {
        tag: "pt",
        said: "Obrigada, a luz já está verde.",
        greeting: "Bom dia,",
        answer: "É o da cave.",
        header: [
            "De: Suporte <desk@x.example>",
            "Enviada em: segunda-feira, 30 de novembro de 2026 09:12",
            "Para: Erin <erin@customer.example>",
            "Assunto: RE: Scanner",
        ],
        attribution: "Em seg., 30 de nov. de 2026 às 09:12, Suporte <desk@x.example> escreveu:",
        original: "Mensagem original",
        forwarded: "Mensagem encaminhada",
        added: "Enviado do meu iPhone",
    },
    Written {
        tag: "pl",
        said: "Dziękuję, lampka jest teraz zielona.",
        greeting: "Dzień dobry,",
        answer: "To ten w piwnicy.",
        header: [
            "Od: Pomoc <desk@x.example>",
            "Wysłano: poniedziałek, 30 listopada 2026 09:12",
            "Do: Erin <erin@customer.example>",
            "Temat: RE: Skaner",
        ],
        attribution: "pon., 30 lis 2026 o 09:12 Pomoc <desk@x.example> napisał(a):",
        original: "Oryginalna wiadomość",
        forwarded: "Wiadomość przekazana",
        added: "Wysłane z iPhone'a",
    },
    Written {
        tag: "ru",
        said: "Спасибо, лампочка теперь зелёная.",
        greeting: "Добрый день!",
        answer: "Это тот, что в подвале.",
        header: [
            "От: Поддержка <desk@x.example>",
            "Отправлено: 30 ноября 2026 г. 9:12",
            "Кому: Erin <erin@customer.example>",
            "Тема: RE: Сканер",
        ],
        attribution: "пн, 30 нояб. 2026 г. в 09:12, Поддержка <desk@x.example>:",
        original: "Исходное сообщение",
        forwarded: "Пересылаемое сообщение",
        added: "Отправлено с iPhone",
    },
    Written {
        tag: "zh-Hans",
        said: "谢谢，指示灯现在是绿色的。",
        greeting: "您好，",
        answer: "是地下室的那一台。",
        header: [
            "发件人: 服务台 <desk@x.example>",
            "发送时间: 2026年11月30日 9:12",
            "收件人: Erin <erin@customer.example>",
            "主题: 回复: 扫描仪",
        ],
        attribution: "服务台 <desk@x.example> 于2026年11月30日周一 09:12写道：",
        original: "原始邮件",
        forwarded: "转发的邮件",
        added: "发自我的iPhone",
    },
    Written {
        tag: "zh-Hant",
        said: "謝謝，指示燈現在是綠色的。",
        greeting: "您好，",
        answer: "是地下室的那一台。",
        header: [
            "寄件者: 服務台 <desk@x.example>",
            "寄件日期: 2026年11月30日 上午 09:12",
            "收件者: Erin <erin@customer.example>",
            "主旨: 回覆: 掃描器",
        ],
        attribution: "服務台 <desk@x.example> 於 2026年11月30日 週一 上午9:12 寫道：",
        original: "原始郵件",
        forwarded: "轉寄郵件",
        added: "從我的iPhone傳送",
    },
    Written {
        tag: "ko",
        said: "감사합니다. 램프가 초록색입니다.",
        greeting: "안녕하세요,",
        answer: "지하실에 있는 것입니다.",
        header: [
            "보낸 사람: 지원 <desk@x.example>",
            "보낸 날짜: 2026년 11월 30일 월요일 오전 9:12",
            "받는 사람: Erin <erin@customer.example>",
            "제목: RE: 스캐너",
        ],
        attribution: "2026년 11월 30일 (월) 오전 9:12, 지원 <desk@x.example>님이 작성:",
        original: "원본 메시지",
        forwarded: "전달된 메시지",
        added: "나의 iPhone에서 보냄",
    },
];

/// What the desk had written.
const HISTORY: [&str; 5] =
    ["Dear Erin,", "", "which lamp is on, and which scanner is it?", "", "Your help desk"];

/// The forms in which mail programs quote, for one language.
fn forms(one: &Written) -> Vec<Case> {
    let Written { tag, said, greeting, answer, attribution, original, forwarded, added, .. } = one;
    let header = one.header.map(|line| format!("q|{line}\n")).concat();
    let bold = one.header.map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        format!("q|*{}:*{value}\n", name.trim_end())
    });
    let bold = bold.concat();
    let open = |mark: char| HISTORY.map(|line| format!("{mark}|{line}\n")).concat();
    let quoted = |prefix: &str| HISTORY.map(|line| format!("q|{prefix}{line}\n")).concat();
    let case = |form: &str, text: String| Case::new(format!("{tag}: {form}"), &text);
    vec![
        case("Outlook, header without a rule", format!("w|{said}\nq|\n{header}q|\n{}", open('q'))),
        case(
            "Outlook on the web, rule above the header",
            format!("w|{said}\nq|\nq|________________________________\n{header}q|\n{}", open('q')),
        ),
        case("Outlook for phones, bold names", format!("w|{said}\nq|\n{bold}q|\n{}", open('q'))),
        case(
            "Outlook in plain text",
            format!("w|{said}\nq|\nq|-----{original}-----\n{header}q|\n{}", open('q')),
        ),
        case(
            "webmail, dashes and no header",
            format!("w|{said}\nq|\nq|---------- {original} ----------\n{}", open('q')),
        ),
        case("Gmail", format!("w|{said}\nq|\nq|{attribution}\nq|\n{}", quoted("> "))),
        case("Apple Mail", format!("w|{said}\nq|\nq|> {attribution}\nq|> \n{}", quoted("> "))),
        case(
            "attribution without prefix",
            format!("w|{said}\nq|\nq|{attribution}\nq|\n{}", open('q')),
        ),
        case("wide prefix", format!("w|{said}\nq|\n{}", quoted("＞ "))),
        case("indented prefix", format!("w|{said}\nq|\n{}", quoted(" > "))),
        case(
            "quote above the answer",
            format!("q|{attribution}\n{}w|\nw|{said}\nw|{answer}", quoted("> ")),
        ),
        case(
            "answers between quoted lines",
            format!(
                "w|{greeting}\nq|{attribution}\nq|> which lamp is on?\nw|\nw|{said}\nw|\nq|> and which scanner?\nw|\nw|{answer}"
            ),
        ),
        case(
            "answers between, below a rule with header",
            format!(
                "w|{greeting}\nq|\nq|-----{original}-----\n{header}q|\nq|> which lamp is on?\nw|\nw|{said}\nw|\nq|> which scanner?\nw|\nw|{answer}"
            ),
        ),
        case(
            "answer below history without prefix",
            format!("q|-----{original}-----\n{header}w|\n{}w|\nw|{said}\nw|{answer}", open('w')),
        ),
        case(
            "greeting above, answer below history without prefix",
            format!(
                "w|{greeting}\nw|\nq|-----{original}-----\n{header}w|\n{}w|\nw|{said}\nw|{answer}",
                open('w')
            ),
        ),
        case(
            "answer below a rule whose header carries the prefix",
            format!(
                "q|-----{original}-----\n{}q|>\n{}w|\nw|{said}",
                one.header.map(|line| format!("q|> {line}\n")).concat(),
                quoted("> ")
            ),
        ),
        case(
            "forwarded for the desk to read",
            format!(
                "w|{said}\nw|\nw|---------- {forwarded} ----------\n{}w|\n{}",
                header.replace("q|", "w|"),
                open('w')
            ),
        ),
        case(
            "line of a phone",
            format!("w|{said}\nw|\ns|{added}\nq|\nq|{attribution}\n{}", quoted("> ")),
        ),
        case(
            "signature above history",
            format!("w|{said}\ns|-- \ns|Erin\ns|Customer Inc.\nq|\n{header}q|\n{}", open('q')),
        ),
    ]
}

/// What is special to one program, or must not be taken for history.
fn single_cases() -> Vec<Case> {
    let case = Case::new;
    vec![
        case("bars", "w|Thanks.\nq|\nq|| Dear\nq||\nq|| which lamp?\nq|| regards"),
        case(
            "a table is no quotation",
            "w|The prices:\nw|| item | price |\nw|| lamp | 3 |\nw|| bulb | 1 |",
        ),
        case("initials", "w|Yes.\nq|\nq|HD> which lamp\nq|HD> is on,\nq|HD> and which scanner?"),
        case("one line like initials", "w|a> is the first output\nw|it prints nothing"),
        case(
            "attribution over two lines",
            "w|Yes.\nq|\nq|On Mon, Nov 30, 2026 at 9:12 AM A Very Long Name of a Help Desk\nq|<desk@x.example> wrote:\nq|\nq|> which lamp?",
        ),
        case(
            "attribution over three lines",
            "w|Yes.\nq|\nq|On Mon, Nov 30, 2026 at 9:12 AM A Very Long\nq|Name of a Help Desk\nq|<desk@x.example> wrote:\nq|> which lamp?",
        ),
        case(
            "sentence that ends with wrote",
            "w|On Monday I wrote:\nw|the lamp is red.\nw|Nobody came.",
        ),
        case("list after a colon", "w|I tried:\nw|- a new cable\nw|- another lamp"),
        case(
            "fields in the text",
            "w|From: the start it was red.\nw|To: be honest, I do not know.",
        ),
        case("form in the text", "w|Name: Erin\nw|Subject: scanner\nw|Date: today\nw|Room: 12"),
        case("less and more", "w|The value is\nw|5 > 3\nw|as expected."),
        case("only quoted lines", "q|> a\nq|> b"),
        case(
            "header of another system only",
            "q|From: a@b.example\nq|Date: today 9:12\nq|Subject: x\nw|\nw|text of it",
        ),
        case(
            "header with a long list of recipients",
            "w|Yes.\nq|\nq|From: desk@x.example\nq|Sent: Monday, November 30, 2026 9:12 AM\nq|To: erin@customer.example;\nq|    frank@customer.example; gina@customer.example\nq|Subject: x\nq|\nq|which lamp?",
        ),
        case(
            "Hotmail, date first",
            "w|Yes.\nq|\nq|Date: Mon, 30 Nov 2026 09:12:00 +0900\nq|From: desk@x.example\nq|To: erin@customer.example\nq|Subject: x\nq|\nq|which lamp?",
        ),
        case(
            "Lotus Notes",
            "w|Yes.\nq|\nq|From: desk@x.example\nq|To: erin@customer.example\nq|Date: 30.11.2026 09:12\nq|Subject: x\nq|\nq|which lamp?",
        ),
        case(
            "Yahoo",
            "w|Yes.\nq|\nq|On Monday, November 30, 2026, 09:12:00 AM GMT+9, Help Desk <desk@x.example> wrote:\nq|\nq|which lamp?\nq|which scanner?",
        ),
        case(
            "QQ",
            "w|好的。\nq|\nq|\nq|------------------\u{a0}原始邮件\u{a0}------------------\nq|发件人: \"desk\" <desk@x.example>;\nq|发送时间: 2026年11月30日(星期一) 上午9:12\nq|收件人: \"erin\"<erin@customer.example>;\nq|主题: x\nq|\nq|which lamp?",
        ),
        case(
            "NetEase",
            "w|好的。\nq|\nq|At 2026-11-30 09:12:00, \"desk\" <desk@x.example> wrote:\nq|>which lamp?\nq|>which scanner?",
        ),
        case(
            "Becky!",
            "w|はい、そうです。\nq|\nq|On Mon, 30 Nov 2026 09:12:00 +0900\nq|Help Desk <desk@x.example> wrote:\nq|\nq|> which lamp?",
        ),
        case(
            "Thunderbird in Japanese",
            "w|はい、そうです。\nq|\nq|On 2026/11/30 9:12, ヘルプデスク wrote:\nq|> which lamp?",
        ),
        case(
            "Shuriken",
            "w|はい、そうです。\nq|\nq|ヘルプデスク <desk@x.example> さんは書きました (2026/11/30 9:12):\nq|> which lamp?",
        ),
        case(
            "Apple Mail in Japanese",
            "w|はい、そうです。\nq|\nq|2026/11/30 9:12、ヘルプデスク <desk@x.example>のメール:\nq|\nq|> which lamp?",
        ),
        case(
            "Danish, a language without a row",
            "w|Ja.\nq|\nq|Den man. 30. nov. 2026 kl. 09.12 skrev Help Desk <desk@x.example>:\nq|\nq|> which lamp?",
        ),
        case("signature of RFC 3676", "w|Yes.\ns|-- \ns|Erin\ns|Tel. 1"),
        case(
            "a rule in the text",
            "w|First part\nw|--\nw|1\nw|2\nw|3\nw|4\nw|5\nw|6\nw|7\nw|8\nw|9\nw|10\nw|11\nw|12\nw|second part ends",
        ),
        case(
            "deeper quotations",
            "w|Yes.\nq|\nq|> I ask:\nq|>> which lamp?\nq|> > is on?\nq|\nq|> regards",
        ),
        case(
            "short answer above, quote, answer below",
            "w|See below.\nq|> which lamp?\nw|The green one.\nq|> which scanner?\nw|The large one.",
        ),
        case(
            "answer below two introductions",
            "q|On Mon, 30 Nov 2026 at 09:12, Help Desk <desk@x.example> wrote:\nq|> On Sun, 29 Nov 2026 at 09:12, Erin <erin@customer.example> wrote:\nq|>> it is red\nq|> which one?\nw|The left one.",
        ),
    ]
}

#[test]
fn the_check_of_a_case_fails_on_a_wrong_mark() {
    assert!(Case::new("quoted", "q|hello").failure().is_some());
    assert!(Case::new("written", "w|hello\nw|> quoted").failure().is_some());
}

#[test]
fn every_language_of_the_table_is_covered() {
    for language in &words::LANGUAGES {
        let covered = WRITTEN.iter().any(|one| one.tag.split('-').next() == Some(language.tag));
        assert!(covered, "no case is in {}", language.tag);
    }
}

#[test]
fn authors_words_are_told_from_history() {
    let mut cases: Vec<Case> = WRITTEN.iter().flat_map(forms).collect();
    cases.extend(single_cases());
    let failures: Vec<String> = cases.iter().filter_map(Case::failure).collect();
    println!("quoting: {} of {} cases as expected", cases.len() - failures.len(), cases.len());
    assert!(cases.len() >= 200, "{} cases", cases.len());
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn html_of_mail_programs_becomes_lines_that_are_recognised() {
    let history = "<p>Dear Erin,</p><p>which lamp is on, and which scanner is it?</p>";
    let said = "<p>The green one.</p>";
    let attribution = "On Mon, 30 Nov 2026 at 09:12, Help Desk &lt;desk@x.example&gt; wrote:";
    let header = "<b>From:</b> Help Desk &lt;desk@x.example&gt;<br><b>Sent:</b> Monday, November 30, \
                  2026 9:12 AM<br><b>To:</b> Erin<br><b>Subject:</b> Re: Scanner";
    for (program, page) in [
        (
            "Gmail",
            format!(
                "{said}<div class=\"gmail_quote\"><div dir=\"ltr\">{attribution}<br></div><blockquote class=\"gmail_quote\">{history}</blockquote></div>"
            ),
        ),
        (
            "Apple Mail",
            format!(
                "<body>{said}<div><blockquote type=\"cite\"><div>{attribution}</div>{history}</blockquote></div></body>"
            ),
        ),
        (
            "Thunderbird",
            format!(
                "{said}<div class=\"moz-cite-prefix\">{attribution}<br></div><blockquote type=\"cite\" cite=\"mid:1@x\">{history}</blockquote>"
            ),
        ),
        (
            "Outlook",
            format!(
                "{said}<div><div style=\"border:none;border-top:solid #E1E1E1 1.0pt\"><p>{header}</p></div></div>{history}"
            ),
        ),
        (
            "Outlook on the web",
            format!(
                "<div>{said}</div><hr tabindex=\"-1\"><div id=\"divRplyFwdMsg\">{header}<div>&nbsp;</div></div><div>{history}</div>"
            ),
        ),
        (
            "Hotmail",
            format!(
                "{said}<div><hr id=\"stopSpelling\">Date: Mon, 30 Nov 2026 09:12:00 +0900<br>From: desk@x.example<br>To: erin@customer.example<br>Subject: Scanner<br><br>{history}</div>"
            ),
        ),
        (
            "Yahoo",
            format!(
                "<div>{said}</div><div class=\"yahoo_quoted\"><div>On Monday, November 30, 2026, 09:12:00 AM GMT+9, Help Desk &lt;desk@x.example&gt; wrote:</div><div>{history}</div></div>"
            ),
        ),
    ] {
        let raw =
            format!("From: e@x.example\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{page}");
        let mail = mail::parse(raw.as_bytes());
        for block in blocks(&mail.text) {
            let lines = block.lines.join("\n");
            let (is_said, is_history) = (lines.contains("green one"), lines.contains("which lamp"));
            assert!(!is_said || block.part == Part::Written, "{program}: {lines}");
            assert!(!is_history || block.part == Part::Quoted, "{program}: {lines}");
        }
    }
}

#[test]
fn hostile_text_keeps_every_line() {
    let lines = ["On 2026 @", "From: x", "-----", "> ", "| ", "-- ", "wrote:"];
    for line in lines {
        let text = format!("{line}\n").repeat(5_000);
        let kept: usize = blocks(&text).iter().map(|block| block.lines.len()).sum();
        assert_eq!(kept, 5_000, "{line}");
    }
}
