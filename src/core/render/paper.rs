//! The bytes of one mail: headers and body, through lettre's message types.
//!
//! Architecture invariant: what is written has exactly the header fields of the [`Draft`], only
//! CRLF line ends, and no line over 998 octets (RFC 5322 section 2.1.1). All text passes
//! [`super::clean`] here, whatever the caller did before.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::message::header::{
    Cc, Date, From, HeaderName, HeaderValue, Headers, InReplyTo, MessageId, References, ReplyTo,
    Subject, To,
};
use lettre::message::{Body, Mailbox, Mailboxes};

use super::clean;
use crate::core::address::Address;

/// Message-IDs in a References field. The first is kept and the last; the middle is left out
/// (RFC 5537 section 3.4.4 does the same for news).
const REFERENCES_MAX: usize = 20;

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
}

/// Writes the mail.
pub fn write(draft: &Draft<'_>) -> Vec<u8> {
    let text = clean::block(&draft.text, clean::BLOCK_CHARS_MAX);
    let body = Body::new(text.trim_end().replace('\n', "\r\n") + "\r\n");
    let mut mail = headers(draft, &body).to_string().into_bytes();
    mail.extend_from_slice(b"\r\n");
    mail.extend_from_slice(body.as_ref());
    // A body in base64 comes without its last line end.
    if !mail.ends_with(b"\r\n") {
        mail.extend_from_slice(b"\r\n");
    }
    mail
}

fn headers(draft: &Draft<'_>, body: &Body) -> Headers {
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
    if let Some(id) = draft.in_reply_to.and_then(clean::message_id) {
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
    headers.insert_raw(fixed("Content-Type", "text/plain; charset=utf-8"));
    headers.set(body.encoding());
    headers
}

fn fixed(name: &'static str, value: &'static str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.into())
}

/// Usable ids in angle brackets: the first and the last ones, each once.
fn references(ids: &[&str]) -> String {
    let mut usable = ids.iter().filter_map(|id| clean::message_id(id));
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

/// `new_dangerous` takes addresses that the RFC forbids and carriers hand out all the same; ours
/// hold no character that could end a header (see [`Address::parse`]).
fn mailbox(name: &str, address: &Address) -> Mailbox {
    let name = clean::line(name, clean::NAME_CHARS_MAX);
    let address = lettre::Address::new_dangerous(address.local(), address.domain());
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
}
