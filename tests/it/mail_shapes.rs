//! Charsets and MIME shapes as other programs write them: what is read of each, and the share that
//! is read as expected.

use encoding_rs::Encoding;
use postroom::core::config::Language;
use postroom::core::mail::{self, Mail};

/// Charset, labels in use, and a text of its language.
const CHARSETS: [(&str, &[&str], &str); 22] = [
    ("gb18030", &["gb18030", "GB2312", "x-gbk"], "您好，订单还没有收到，请帮忙查一下物流情况。"),
    ("big5", &["big5", "big5-hkscs", "x-x-big5"], "您好，訂單還沒有收到，請幫忙查一下物流情況。"),
    (
        "euc-kr",
        &["euc-kr", "ks_c_5601-1987", "KSC_5601"],
        "안녕하세요, 주문한 물건이 아직 도착하지 않았습니다. 확인 부탁드립니다.",
    ),
    (
        "shift_jis",
        &["shift_jis", "x-sjis", "windows-31j", "ms_kanji"],
        "お世話になっております。ご注文の品がまだ届きません。",
    ),
    ("euc-jp", &["euc-jp", "x-euc-jp"], "お世話になっております。ご注文の品がまだ届きません。"),
    (
        "koi8-r",
        &["koi8-r", "koi"],
        "Добрый день, заказ до сих пор не пришёл, проверьте, пожалуйста.",
    ),
    ("koi8-u", &["koi8-u"], "Добрий день, замовлення досі не надійшло, перевірте."),
    (
        "windows-1251",
        &["windows-1251", "cp1251", "x-cp1251"],
        "Добрый день, заказ до сих пор не пришёл, проверьте, пожалуйста.",
    ),
    (
        "windows-1250",
        &["windows-1250", "cp1250"],
        "Dzień dobry, zamówienie jeszcze nie przyszło, proszę o odpowiedź.",
    ),
    (
        "windows-1253",
        &["windows-1253", "cp1253"],
        "Καλημέρα, η παραγγελία δεν έχει έρθει ακόμη, παρακαλώ ελέγξτε.",
    ),
    (
        "windows-1254",
        &["windows-1254", "iso-8859-9"],
        "Merhaba, siparişim hâlâ gelmedi, lütfen kontrol eder misiniz?",
    ),
    ("windows-1255", &["windows-1255", "cp1255"], "שלום, ההזמנה עדיין לא הגיעה, אנא בדקו."),
    ("windows-1256", &["windows-1256", "cp1256"], "مرحبا، الطلب لم يصل بعد، يرجى التحقق من ذلك."),
    (
        "windows-1252",
        &["windows-1252", "latin1", "iso8859-1", "iso-8859-1"],
        "Die Bestellung ist noch nicht da, schöne Grüße aus Köln.",
    ),
    (
        "iso-8859-2",
        &["iso-8859-2", "latin2"],
        "Dobrý den, objednávka stále nepřišla, prosím o kontrolu.",
    ),
    ("iso-8859-5", &["iso-8859-5"], "Добрый день, заказ до сих пор не пришёл."),
    ("iso-8859-7", &["iso-8859-7"], "Καλημέρα, η παραγγελία δεν έχει έρθει ακόμη."),
    (
        "iso-8859-15",
        &["iso-8859-15", "latin9"],
        "La commande n'est pas arrivée, 12 € à rembourser, cœur.",
    ),
    ("macintosh", &["macintosh", "x-mac-roman"], "Die Bestellung ist noch nicht da, schöne Grüße."),
    ("windows-874", &["windows-874", "tis-620"], "สวัสดีครับ สินค้ายังไม่มาถึง"),
    ("ibm866", &["ibm866", "cp866"], "Добрый день, заказ до сих пор не пришёл."),
    ("iso-2022-jp", &["iso-2022-jp"], "ご注文の品がまだ届きません。"),
];

/// Charsets that text without a label is recognised in.
const GUESSED: [&str; 11] = [
    "gb18030",
    "big5",
    "euc-kr",
    "shift_jis",
    "euc-jp",
    "koi8-r",
    "windows-1251",
    "windows-1250",
    "windows-1253",
    "windows-1255",
    "windows-1256",
];

fn encoded(charset: &str, text: &str) -> Vec<u8> {
    let encoding = Encoding::for_label(charset.as_bytes()).unwrap();
    let (bytes, _, failed) = encoding.encode(text);
    assert!(!failed, "{charset} has no bytes for {text}");
    bytes.into_owned()
}

fn single(content_type: &str, body: &[u8]) -> Vec<u8> {
    let mut raw = b"From: eve@customer.example\r\nSubject: x\r\n".to_vec();
    if !content_type.is_empty() {
        raw.extend(format!("Content-Type: {content_type}\r\n").bytes());
    }
    raw.extend(b"Content-Transfer-Encoding: 8bit\r\n\r\n");
    raw.extend_from_slice(body);
    raw.extend(b"\r\n");
    raw
}

/// What was expected and is not there.
struct Shapes {
    tried: usize,
    missed: Vec<String>,
}

impl Shapes {
    fn expect(&mut self, name: &str, holds: bool, found: &dyn std::fmt::Debug) {
        self.tried += 1;
        if !holds {
            self.missed.push(format!("{name}: {found:?}"));
        }
    }

    /// Prints the share and fails on any miss.
    fn close(self, what: &str, least: usize) {
        println!("{what}: {} of {} as expected", self.tried - self.missed.len(), self.tried);
        assert!(self.tried >= least, "only {} {what}", self.tried);
        assert!(self.missed.is_empty(), "{}", self.missed.join("\n"));
    }
}

#[test]
fn charsets_are_decoded_with_and_without_a_label() {
    let mut shapes = Shapes { tried: 0, missed: Vec::new() };
    for (charset, labels, text) in CHARSETS {
        let body = encoded(charset, text);
        for label in labels {
            let read = mail::parse(&single(&format!("text/plain; charset=\"{label}\""), &body));
            shapes.expect(label, read.text.trim() == text, &read.text);
        }
        if GUESSED.contains(&charset) {
            let read = mail::parse(&single("text/plain", &body));
            shapes.expect(&format!("{charset}, no label"), read.text.trim() == text, &read.text);
            let page = [&b"<p>"[..], &body, b"</p>"].concat();
            let head = format!("<meta charset={charset}>");
            let read = mail::parse(&single("text/html", &[head.as_bytes(), &page].concat()));
            shapes.expect(&format!("{charset}, meta"), read.text.trim() == text, &read.text);
        }
    }
    for (name, label, body, text) in [
        ("UTF-7", "utf-7", &b"Gr+APwA3w-e"[..], "Grüße"),
        ("ISO-2022-KR", "iso-2022-kr", b"\x1b$)C\x0e>H3g\x0f", "안녕"),
        ("HZ", "hz-gb-2312", b"~{<:Ky2;S{~}", "己所不欲"),
        ("UTF-16LE", "utf-16le", b"h\0i\0", "hi"),
        ("UTF-32", "utf-32be", b"\0\0\0h\0\0\0i", "hi"),
    ] {
        let read = mail::parse(&single(&format!("text/plain; charset={label}"), body));
        shapes.expect(name, read.text.starts_with(text), &read.text);
    }
    let kanji = encoded("euc-jp", "東京都港区");
    let read = mail::parse_for(Language::Ja, &single("text/plain", &kanji));
    shapes.expect("Kanji alone on a Japanese desk", read.text.trim() == "東京都港区", &read.text);
    shapes.close("charset shapes", 60);
}

const HEAD: &str = "From: eve@customer.example\nTo: desk@x.example\nSubject: x\n";

/// A shape: name, the mail, its text, and the names of its attachments.
type Shape = (&'static str, String, &'static str, &'static [&'static str]);

fn multipart(parameters: &str, boundary: &str) -> String {
    format!(
        "{HEAD}Content-Type: multipart/mixed{parameters}\n\n--{boundary}\nContent-Type: text/plain\n\nhello\n\
         --{boundary}\nContent-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment\n\n%PDF\n--{boundary}--\n"
    )
}

fn part(fields: &str, body: &str) -> String {
    format!(
        "{HEAD}Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nhello\n--b\n{fields}\n\n{body}\n--b--\n"
    )
}

fn plain(fields: &str, body: &str) -> String {
    format!("{HEAD}{fields}\n{body}\n")
}

fn shapes() -> Vec<Shape> {
    let pdf: &[&str] = &["a.pdf"];
    let none: &[&str] = &[];
    let attached =
        |fields: &str| part(&format!("Content-Disposition: attachment\n{fields}"), "%PDF");
    vec![
        ("boundary in quotes", multipart("; boundary=\"b\"", "b"), "hello", pdf),
        ("boundary bare", multipart("; boundary=b", "b"), "hello", pdf),
        ("boundary in upper case", multipart("; BOUNDARY=b", "b"), "hello", pdf),
        (
            "boundary continued (RFC 2231)",
            multipart("; boundary*0=aa; boundary*1=bb", "aabb"),
            "hello",
            pdf,
        ),
        (
            "boundary continued and encoded",
            multipart("; boundary*0*=us-ascii''a%61; boundary*1=bb", "aabb"),
            "hello",
            pdf,
        ),
        ("no boundary named", multipart("", "guess-me"), "hello", pdf),
        ("blanks around the equals sign", multipart("; boundary = \"b\"", "b"), "hello", pdf),
        ("boundary with a colon", multipart("; boundary=\"=_a:b\"", "=_a:b"), "hello", pdf),
        ("no subtype", plain("Content-Type: text\n", "hello"), "hello", none),
        ("unknown type", plain("Content-Type: text/x-unknown\n", "hello"), "hello", &["file-1"]),
        ("star as type", plain("Content-Type: */*\n", "hello"), "hello", none),
        ("empty type", plain("Content-Type:\n", "hello"), "hello", none),
        (
            "no header at all but From",
            "From: eve@customer.example\n\nhello\n".into(),
            "hello",
            none,
        ),
        ("space before the colon", format!("Subject : x\n{HEAD}\nhello\n"), "hello", none),
        (
            "junk between fields",
            "From: a@x.example\nthis is no field\nSubject: x\n\nhello\n".into(),
            "hello",
            none,
        ),
        (
            "mbox line first",
            format!("From a@x.example Mon Nov 30 10:00:00 2026\n{HEAD}\nhello\n"),
            "hello",
            none,
        ),
        (
            "quoted mbox line first",
            format!(">From a@x.example Mon Nov 30 10:00:00 2026\n{HEAD}\nhello\n"),
            "hello",
            none,
        ),
        ("line feeds alone", format!("{HEAD}\nhello\n"), "hello", none),
        ("carriage returns alone", format!("{HEAD}\nhello\n").replace('\n', "\r"), "hello", none),
        ("base64", plain("Content-Transfer-Encoding: base64\n", "aGVsbG8="), "hello", none),
        (
            "base64 with a semicolon",
            plain("Content-Transfer-Encoding: base64;\n", "aGVsbG8="),
            "hello",
            none,
        ),
        (
            "base64 in quotes",
            plain("Content-Transfer-Encoding: \"base64\"\n", "aGVsbG8="),
            "hello",
            none,
        ),
        (
            "base64 with a comment",
            plain("Content-Transfer-Encoding: base64 (mime)\n", "aGVsbG8="),
            "hello",
            none,
        ),
        (
            "base64 in upper case",
            plain("Content-Transfer-Encoding: BASE64\n", "aGVsbG8="),
            "hello",
            none,
        ),
        (
            "text labelled base64",
            plain("Content-Transfer-Encoding: base64\n", "Hello, this is a plain sentence."),
            "Hello, this is a plain sentence.",
            none,
        ),
        (
            "quoted-printable",
            plain("Content-Transfer-Encoding: quoted-printable\n", "hel=\nlo"),
            "hello",
            none,
        ),
        (
            "quoted-printable with lower digits",
            plain(
                "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n",
                "gr=c3=bcn",
            ),
            "grün",
            none,
        ),
        (
            "unknown transfer encoding",
            plain("Content-Transfer-Encoding: 9bit\n", "hello"),
            "hello",
            none,
        ),
        (
            "two transfer encodings",
            plain("Content-Transfer-Encoding: 8bit, 7bit\n", "hello"),
            "hello",
            none,
        ),
        ("uuencode inline", plain("", "hello\n\nbegin 644 a.pdf\n$)5!$1@``\n`\nend"), "hello", pdf),
        ("name in quotes", attached("Content-Type: application/pdf; name=\"a.pdf\""), "hello", pdf),
        (
            "name of the disposition",
            part(
                "Content-Type: application/pdf\nContent-Disposition: attachment; filename=a.pdf",
                "%PDF",
            ),
            "hello",
            pdf,
        ),
        (
            "name continued",
            part(
                "Content-Type: application/pdf\nContent-Disposition: attachment; filename*0=a.; filename*1=pdf",
                "%PDF",
            ),
            "hello",
            pdf,
        ),
        (
            "name encoded",
            part(
                "Content-Type: application/pdf\nContent-Disposition: attachment; filename*=utf-8''%61.pdf",
                "%PDF",
            ),
            "hello",
            pdf,
        ),
        (
            "name as encoded word",
            attached("Content-Type: application/pdf; name=\"=?utf-8?q?a=2Epdf?=\""),
            "hello",
            pdf,
        ),
        (
            "name by description",
            attached("Content-Type: application/pdf\nContent-Description: a.pdf"),
            "hello",
            pdf,
        ),
        (
            "name with blanks bare",
            part(
                "Content-Type: application/pdf\nContent-Disposition: attachment; filename=my a.pdf",
                "%PDF",
            ),
            "hello",
            &["my a.pdf"],
        ),
        (
            "never closed",
            format!("{HEAD}Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n"),
            "hello",
            none,
        ),
        (
            "preamble and epilogue",
            format!(
                "{HEAD}Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n\nhello\n--b--\nepilogue\n"
            ),
            "hello",
            none,
        ),
        (
            "alternative",
            format!(
                "{HEAD}Content-Type: multipart/alternative; boundary=b\n\n--b\n\nhello\n--b\nContent-Type: text/html\n\n<p>hello</p>\n--b--\n"
            ),
            "hello",
            none,
        ),
        (
            "alternative without text",
            format!(
                "{HEAD}Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>hello</p>\n--b--\n"
            ),
            "hello",
            none,
        ),
        (
            "related",
            format!(
                "{HEAD}Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>hello</p>\n--b--\n"
            ),
            "hello",
            none,
        ),
        (
            "multipart of an unknown kind",
            format!("{HEAD}Content-Type: multipart/x-odd; boundary=b\n\n--b\n\nhello\n--b--\n"),
            "hello",
            none,
        ),
        (
            "signed",
            format!(
                "{HEAD}Content-Type: multipart/signed; boundary=b\n\n--b\n\nhello\n--b\nContent-Type: application/pgp-signature; name=s.asc\n\nx\n--b--\n"
            ),
            "hello",
            &["s.asc"],
        ),
        (
            "multipart within multipart",
            format!(
                "{HEAD}Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\nhello\n--c--\n--b--\n"
            ),
            "hello",
            none,
        ),
        (
            "inner boundary begins with the outer one",
            format!(
                "{HEAD}Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=bc\n\n--bc\n\nhello\n--bc--\n--b--\n"
            ),
            "hello",
            none,
        ),
        (
            "blanks behind a boundary",
            format!("{HEAD}Content-Type: multipart/mixed; boundary=b\n\n--b  \n\nhello\n--b--  \n"),
            "hello",
            none,
        ),
        (
            "part without a header",
            format!("{HEAD}Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n--b--\n"),
            "hello",
            none,
        ),
        (
            "part whose header has no end",
            format!(
                "{HEAD}Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n--b\n\nhello\n--b--\n"
            ),
            "hello",
            none,
        ),
        (
            "calendar beside text",
            part(
                "Content-Type: text/calendar; method=REQUEST; name=i.ics",
                "BEGIN:VCALENDAR\nEND:VCALENDAR",
            ),
            "hello",
            &["i.ics"],
        ),
        (
            "enclosed mail",
            part(
                "Content-Type: message/rfc822\nContent-Disposition: attachment; filename=m.eml",
                "Subject: y\n\nz",
            ),
            "hello",
            &["m.eml"],
        ),
        (
            "charset in single quotes",
            plain("Content-Type: text/plain; charset='utf-8'\n", "grün"),
            "grün",
            none,
        ),
        (
            "parameter twice",
            plain("Content-Type: text/plain; charset=utf-8; charset=utf-8\n", "grün"),
            "grün",
            none,
        ),
        (
            "comment in the type",
            plain("Content-Type: text/plain (really); charset=utf-8\n", "grün"),
            "grün",
            none,
        ),
        (
            "type over two lines",
            plain("Content-Type: text/plain;\n\tcharset=utf-8\n", "grün"),
            "grün",
            none,
        ),
        (
            "type twice",
            plain("Content-Type: text/plain; charset=utf-8\nContent-Type: text/html\n", "grün"),
            "grün",
            none,
        ),
        (
            "flowed",
            plain("Content-Type: text/plain; format=flowed\n", "hello \nworld"),
            "hello world",
            none,
        ),
        (
            "octets as the whole mail",
            plain(
                "Content-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment\n",
                "%PDF",
            ),
            "",
            pdf,
        ),
        (
            "byte order mark in the body",
            plain("Content-Type: text/plain; charset=utf-8\n", "\u{feff}hello"),
            "hello",
            none,
        ),
    ]
}

#[test]
fn mime_shapes_give_their_text_and_attachments() {
    let mut all = Shapes { tried: 0, missed: Vec::new() };
    for (name, raw, text, attachments) in shapes() {
        for raw in [raw.clone(), raw.replace('\n', "\r\n")] {
            let Mail { text: found, attachments: listed, .. } = mail::parse(raw.as_bytes());
            let names: Vec<&str> = listed.iter().map(|one| one.name.as_str()).collect();
            let holds =
                found.trim_matches(['\u{feff}', ' ', '\n', '\r']) == text && names == attachments;
            all.expect(name, holds, &(&found, &names));
        }
    }
    all.close("MIME shapes", 118);
}
