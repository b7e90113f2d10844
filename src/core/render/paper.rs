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
/// Last second that a Date field can say: the end of the year 9999.
const DATE_SECS_MAX: u64 = 253_402_300_799;

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
    headers.set(To::from(mailboxes(&draft.to)));
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

/// A Date field says neither years before 1970 nor after 9999.
fn system_time(at: Timestamp) -> SystemTime {
    let seconds = u64::try_from(at.as_second()).unwrap_or(0).min(DATE_SECS_MAX);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
