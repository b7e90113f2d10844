//! The bytes of one mail: headers and body, through lettre's message types.
//!
//! Architecture invariant: what is written has exactly the header fields of the [`Draft`], only
//! CRLF line ends, and no line over 998 octets (RFC 5322 section 2.1.1). All text passes
//! [`super::clean`] here, whatever the caller did before.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::message::header::ContentTransferEncoding::Base64;
use lettre::message::header::{
    Cc, ContentDisposition, Date, From, HeaderName, HeaderValue, Headers, InReplyTo, MessageId,
    References, ReplyTo, Subject, To,
};
use lettre::message::{Body, Mailbox, Mailboxes};

use super::clean;
use crate::core::address::Address;
use crate::core::mail::{Digest, stands_in};

/// Message-IDs in a References field. The first is kept and the last; the middle is left out
/// (RFC 5537 section 3.4.4 does the same for news).
const REFERENCES_MAX: usize = 20;

/// Hex digits in the line between two parts of a mail.
const BOUNDARY_DIGITS: usize = 40;
/// Bytes of each half of a content type (RFC 6838 section 4.2).
const TYPE_BYTES_MAX: usize = 127;
/// Characters of the name of a file, as many as the parser keeps: its end says what it is.
const FILE_NAME_CHARS_MAX: usize = 255;
/// The type of a file of which nothing is known.
const TYPE_UNKNOWN: &str = "application/octet-stream";

/// A mail about to be written. Nothing in it needs to be clean.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// Display name and address of the header From.
    pub from: (&'a str, &'a Address),
    /// Where answers go, if not to From.
    pub reply_to: Option<&'a Address>,
    /// Display names and addresses of the header To.
    pub to: Vec<(&'a str, &'a Address)>,
    /// Display names and addresses of the header Cc.
    pub cc: Vec<(&'a str, &'a Address)>,
    /// Subject, with its tag.
    pub subject: String,
    /// When it is written.
    pub date: Timestamp,
    /// Message-ID.
    pub message_id: &'a str,
    /// The Message-ID it answers.
    pub in_reply_to: Option<&'a str>,
    /// Message-IDs of the thread, oldest first.
    pub references: Vec<&'a str>,
    /// Further fields with fixed names.
    pub fields: Vec<(&'static str, String)>,
    /// Text.
    pub text: String,
    /// Files that go along.
    pub files: &'a [Enclosed<'a>],
}

/// A file that goes along with a mail. Nothing in it needs to be clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enclosed<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type, without parameters.
    pub content_type: &'a str,
    /// Charset of its text.
    pub charset: Option<&'a str>,
    /// What it holds.
    pub bytes: &'a [u8],
}

/// Writes the mail.
pub fn write(draft: &Draft<'_>) -> Vec<u8> {
    let text = clean::block(&draft.text, clean::BLOCK_CHARS_MAX);
    let body = Body::new(text.trim_end().replace('\n', "\r\n") + "\r\n");
    let mut headers = headers(draft);
    if draft.files.is_empty() {
        text_fields(&mut headers, &body);
        return part(&headers, body.as_ref());
    }
    let boundary = boundary(draft, body.as_ref());
    let kind = format!("multipart/mixed; boundary=\"{boundary}\"");
    headers.insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str("Content-Type"), kind));
    let mut fields = Headers::new();
    text_fields(&mut fields, &body);
    let mut mail = part(&headers, b"");
    write_part(&mut mail, &boundary, &fields, body.as_ref());
    for file in draft.files {
        // Base64 is read back to the same bytes whatever a server does to line ends on the way.
        let encoded = Body::new_with_encoding(file.bytes.to_vec(), Base64);
        let body = encoded.expect("base64 takes any bytes");
        write_part(&mut mail, &boundary, &file_fields(file, &body), body.as_ref());
    }
    mail.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    mail
}

/// Header, empty line and body, which ends with a line end.
fn part(headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut part = headers.to_string().into_bytes();
    part.extend_from_slice(b"\r\n");
    part.extend_from_slice(body);
    // A body in base64 comes without its last line end.
    if !part.ends_with(b"\r\n") {
        part.extend_from_slice(b"\r\n");
    }
    part
}

/// A part of a multipart body (RFC 2046 section 5.1.1).
fn write_part(mail: &mut Vec<u8>, boundary: &str, headers: &Headers, body: &[u8]) {
    mail.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
    mail.extend_from_slice(&part(headers, body));
}

/// A line that cannot stand in the text, because it follows from it: no part but the text is
/// written as it is. `=_` makes it impossible in quoted-printable, too (RFC 2045 section 6.7).
fn boundary(draft: &Draft<'_>, text: &[u8]) -> String {
    let mut seed = draft.message_id.as_bytes().to_vec();
    seed.extend_from_slice(text);
    format!("=_{}", &Digest::of(&seed).hex()[..BOUNDARY_DIGITS])
}

fn text_fields(headers: &mut Headers, body: &Body) {
    headers.insert_raw(fixed("Content-Type", "text/plain; charset=utf-8"));
    headers.set(body.encoding());
}

fn file_fields(file: &Enclosed<'_>, body: &Body) -> Headers {
    let mut headers = Headers::new();
    let name = HeaderName::new_from_ascii_str("Content-Type");
    headers.insert_raw(HeaderValue::new(name, file_type(file)));
    headers.set(body.encoding());
    headers.set(ContentDisposition::attachment(&clean::line(file.name, FILE_NAME_CHARS_MAX)));
    headers
}

/// The type as the sender named it, if it is one. Mails and multiparts may not be encoded in
/// base64 (RFC 2046 sections 5.1 and 5.2.1): they go as files.
fn file_type(file: &Enclosed<'_>) -> String {
    let token = |word: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte);
        (1..=TYPE_BYTES_MAX).contains(&word.len()) && word.bytes().all(plain)
    };
    match (file.content_type.split_once('/'), file.charset) {
        (Some(("message" | "multipart", _)) | None, _) => TYPE_UNKNOWN.to_owned(),
        (Some((kind, subtype)), _) if !token(kind) || !token(subtype) => TYPE_UNKNOWN.to_owned(),
        (Some(("text", subtype)), Some(charset)) if token(charset) => {
            format!("text/{subtype}; charset={charset}")
        }
        (Some(_), _) => file.content_type.to_owned(),
    }
}

fn headers(draft: &Draft<'_>) -> Headers {
    let mut headers = Headers::with_capacity(16);
    headers.set(Date::from(system_time(draft.date)));
    headers.set(From::from(mailboxes(&[draft.from])));
    if let Some(address) = draft.reply_to {
        headers.set(ReplyTo::from(mailboxes(&[("", address)])));
    }
    if !draft.to.is_empty() {
        headers.set(To::from(mailboxes(&draft.to)));
    }
    if !draft.cc.is_empty() {
        headers.set(Cc::from(mailboxes(&draft.cc)));
    }
    headers.set(Subject::from(clean::line(&draft.subject, clean::LINE_CHARS_MAX)));
    if let Some(id) = clean::message_id(draft.message_id) {
        headers.set(MessageId::from(format!("<{id}>")));
    }
    if let Some(id) = draft.in_reply_to.and_then(answered_id) {
        headers.set(InReplyTo::from(format!("<{id}>")));
    }
    let references = references(&draft.references);
    if !references.is_empty() {
        headers.set(References::from(references));
    }
    for (name, value) in &draft.fields {
        let value = clean::line(value, clean::LINE_CHARS_MAX);
        headers.insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
    }
    headers.insert_raw(fixed("MIME-Version", "1.0"));
    headers
}

fn fixed(name: &'static str, value: &'static str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.into())
}

/// An id that whoever is answered knows. A mail without one is answered without In-Reply-To
/// (RFC 5322 section 3.6.4): what we call it is known to nobody else.
fn answered_id(id: &str) -> Option<&str> {
    clean::message_id(id).filter(|id| !stands_in(id))
}

/// Usable ids in angle brackets: the first and the last ones, each once.
fn references(ids: &[&str]) -> String {
    let mut usable = ids.iter().filter_map(|id| answered_id(id));
    let Some(first) = usable.next() else { return String::new() };
    let mut last: Vec<&str> = Vec::new();
    for id in usable.rev() {
        if last.len() < REFERENCES_MAX - 1 && id != first && !last.contains(&id) {
            last.push(id);
        }
    }
    last.push(first);
    last.iter().rev().map(|id| format!("<{id}>")).collect::<Vec<_>>().join(" ")
}

fn mailboxes(people: &[(&str, &Address)]) -> Mailboxes {
    people.iter().map(|(name, address)| mailbox(name, address)).collect()
}

/// `new_dangerous` takes addresses that the RFC allows in quotes only and carriers hand out; ours
/// hold no character that could end a header (see [`Address::parse`]).
fn mailbox(name: &str, address: &Address) -> Mailbox {
    let name = clean::line(name, clean::NAME_CHARS_MAX);
    let address = lettre::Address::new_dangerous(address.local_quoted(), address.domain());
    Mailbox::new((!name.is_empty()).then_some(name), address)
}

/// A Date field says neither years before 1970 nor after 9999; a timestamp never is after.
fn system_time(at: Timestamp) -> SystemTime {
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::super::reading::read;
    use super::*;

    fn from() -> Address {
        Address::parse("desk@x.test").unwrap()
    }

    fn draft<'a>(from: &'a Address, references: &[&'a str]) -> Draft<'a> {
        Draft {
            from: ("", from),
            reply_to: None,
            to: vec![("", from)],
            cc: Vec::new(),
            subject: "s".into(),
            date: Timestamp::UNIX_EPOCH,
            message_id: "a@x.test",
            in_reply_to: None,
            references: references.to_vec(),
            fields: Vec::new(),
            text: "t".into(),
            files: &[],
        }
    }

    #[track_caller]
    fn check_references(ids: &[&str], expected: &str) {
        assert_eq!(references(ids), expected);
    }

    #[test]
    fn references_are_usable_and_stand_once() {
        check_references(&[], "");
        check_references(&["no id", "<a@x>", "b@x", "a@x", "b@x", "c@x"], "<a@x> <b@x> <c@x>");
        check_references(&["a@x", "0a@derived.invalid", "sha256-0a@long.invalid"], "<a@x>");
    }

    #[test]
    fn long_threads_keep_the_first_and_the_last() {
        let ids: Vec<String> = (0..1_000).map(|at| format!("m{at}@x")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let kept = references(&ids);
        assert_eq!(kept.split(' ').count(), REFERENCES_MAX);
        assert!(kept.starts_with("<m0@x> <m981@x> ") && kept.ends_with(" <m999@x>"));
    }

    #[track_caller]
    fn check_date(date: Timestamp, expected: &str) {
        let from = from();
        let raw = write(&Draft { date, ..draft(&from, &[]) });
        assert_eq!(read(&raw).field("Date"), expected);
    }

    #[test]
    fn dates_of_broken_clocks() {
        check_date(Timestamp::MIN, "Thu, 01 Jan 1970 00:00:00 +0000");
        check_date(Timestamp::MAX, "Thu, 30 Dec 9999 22:00:00 +0000");
    }

    #[track_caller]
    fn check_text(text: &str, encoding: &str) {
        let from = from();
        let raw = write(&Draft { text: text.into(), ..draft(&from, &[]) });
        let read = read(&raw);
        assert_eq!(read.field("Content-Transfer-Encoding"), encoding);
        assert_eq!(read.text, format!("{}\n", text.replace('\r', "").trim_end()));
    }

    #[test]
    fn texts_arrive_as_they_were_written() {
        check_text("Dear Eve,\r\n\r\n. a dot\nFrom me", "7bit");
        check_text("Änderung = 50 % — ok\nline", "quoted-printable");
        check_text("お問い合わせありがとうございます。\n①㈱髙", "base64");
        check_text(&"y".repeat(5_000), "quoted-printable");
        check_text("", "7bit");
    }

    /// What our own reader makes of a mail with this file.
    #[track_caller]
    fn check_file(file: &Enclosed<'_>, name: &str, content_type: &str) {
        let from = from();
        let files = [*file, *file];
        let text = "See below.\n--=_0000\n--\n";
        let raw = write(&Draft { text: text.into(), files: &files, ..draft(&from, &[]) });
        let longest = raw.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
        assert!(longest <= Some(999), "{longest:?}");
        let mail = crate::core::mail::parse(&raw);
        assert_eq!(mail.oddities, []);
        assert_eq!(mail.text.trim_end(), text.trim_end());
        assert_eq!(mail.attachments.len(), 2);
        assert_eq!(mail.attachments[0].name, name);
        assert_eq!(mail.attachments[0].content_type, content_type);
        for index in 0..2 {
            let bytes = crate::core::mail::attachment(&raw, index);
            assert_eq!(bytes.as_deref(), Some(file.bytes));
        }
    }

    #[test]
    fn files_arrive_byte_by_byte() {
        let all: Vec<u8> = (0..=255).cycle().take(70_000).collect();
        let file =
            |name, content_type, bytes| Enclosed { name, content_type, charset: None, bytes };
        check_file(&file("plan.pdf", "application/pdf", &all), "plan.pdf", "application/pdf");
        check_file(&file("a\"b; c.txt", "text/plain", b"1\n2\r\n3"), "a\"b; c.txt", "text/plain");
        check_file(&file("empty", "image/png", b""), "empty", "image/png");
        let name = "見積".repeat(120) + ".xlsx";
        check_file(&file(&name, "application/zip", &all[..99]), &name, "application/zip");
    }

    #[test]
    fn what_a_sender_says_of_a_file_breaks_nothing() {
        let unknown = "application/octet-stream";
        let file = |name, content_type| Enclosed { name, content_type, charset: None, bytes: b"x" };
        check_file(&file("a\r\nBcc: x@y", "text/html\r\nBcc: x@y"), "a Bcc: x@y", unknown);
        check_file(&file("old.eml", "message/rfc822"), "old.eml", unknown);
        check_file(&file("a", "multipart/mixed"), "a", unknown);
        check_file(&file("a", "pdf"), "a", unknown);
    }

    #[test]
    fn a_text_keeps_its_charset() {
        let said = |charset, expected: &str| {
            let charset = Some(charset);
            let file = Enclosed { name: "a", content_type: "text/csv", charset, bytes: b"" };
            assert_eq!(file_type(&file), expected);
        };
        said("shift_jis", "text/csv; charset=shift_jis");
        said("a\r\nBcc: x", "text/csv");
    }
}
