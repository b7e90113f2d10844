//! Bounces and receipts: RFC 3464, RFC 8098, and the plain-text kin of qmail, Exim and Postfix.
//!
//! Architecture invariant: says what the mail claims; whether a ticket believes it is decided
//! elsewhere, by the id of a mail of ours.

use super::charset::Hint;
use super::header;
use super::structure::{Part, Structure};
use super::{Mail, Report, ReportKind, ReportedRecipient, SUBJECT_CHARS_MAX, clean_line, words};
use crate::core::address::Address;

/// Recipients of a report that are kept.
const RECIPIENTS_MAX: usize = 100;
/// Longest diagnostic text kept, in characters.
const DIAGNOSTIC_CHARS_MAX: usize = 500;
/// Bytes of a status part or of a returned mail that are looked at.
const LOOKED_AT_BYTES_MAX: usize = 256 * 1024;

/// What the mail reports, if it is a report.
pub fn read(raw: &[u8], structure: &Structure, mail: &Mail) -> Option<Report> {
    let mut report = by_parts(raw, structure).or_else(|| plain_text(mail))?;
    if report.original_message_id.is_none() || report.original_subject.is_none() {
        let original = structure.parts.iter().find_map(|part| returned(raw, part));
        let original = original.unwrap_or_default();
        report.original_message_id = report.original_message_id.or(original.message_id);
        report.original_subject = report.original_subject.or(original.subject);
    }
    Some(report)
}

/// What a returned mail shows of itself.
#[derive(Default)]
struct Original {
    message_id: Option<String>,
    subject: Option<String>,
}

/// A part made for machines (RFC 3464 section 2, RFC 8098 section 3).
fn by_parts(raw: &[u8], structure: &Structure) -> Option<Report> {
    structure.parts.iter().find_map(|part| match part.content.kind.as_str() {
        "message/delivery-status" | "message/global-delivery-status" => {
            Some(delivery_status(&decoded(raw, part)))
        }
        "message/disposition-notification" | "message/global-disposition-notification" => {
            Some(disposition(&decoded(raw, part)))
        }
        _ => None,
    })
}

fn decoded(raw: &[u8], part: &Part) -> Vec<u8> {
    let body = &raw[part.body.clone()];
    part.content.transfer.decode(&body[..body.len().min(LOOKED_AT_BYTES_MAX)])
}

/// Groups of fields: one for the message, then one for each recipient.
fn delivery_status(text: &[u8]) -> Report {
    let mut report = empty(ReportKind::Delivered);
    let mut at = 0;
    while at < text.len() {
        let block = header::block(text, at);
        // A line that is no field would hold us here for ever.
        at = block.body.max(super::lines::line_at(text, at).end);
        let fields = &text[block.fields];
        if let Some(kind) = header::find(fields, "Action").and_then(|value| action(&value)) {
            report.kind = worse(report.kind, kind);
        }
        let named = header::find(fields, "Final-Recipient")
            .or_else(|| header::find(fields, "Original-Recipient"));
        if let Some(named) = named.filter(|_| report.recipients.len() < RECIPIENTS_MAX) {
            report.recipients.push(ReportedRecipient {
                address: typed_address(&named),
                status: header::find(fields, "Status")
                    .and_then(|v| status(&line(&v)))
                    .unwrap_or_default(),
                diagnostic: header::find(fields, "Diagnostic-Code")
                    .map(|value| short(after_semicolon(&line(&value))))
                    .unwrap_or_default(),
            });
        }
    }
    report
}

fn disposition(text: &[u8]) -> Report {
    let fields = &text[header::block(text, 0).fields];
    let mut report = empty(ReportKind::Disposition);
    report.original_message_id =
        header::find(fields, "Original-Message-ID").and_then(|value| header::message_id(&value));
    if let Some(named) = header::find(fields, "Final-Recipient") {
        report.recipients.push(ReportedRecipient {
            address: typed_address(&named),
            status: String::new(),
            diagnostic: header::find(fields, "Disposition")
                .map(|v| short(&line(&v)))
                .unwrap_or_default(),
        });
    }
    report
}

fn empty(kind: ReportKind) -> Report {
    Report { kind, recipients: Vec::new(), original_message_id: None, original_subject: None }
}

/// RFC 3464 section 2.3.3.
fn action(value: &[u8]) -> Option<ReportKind> {
    match value.trim_ascii().to_ascii_lowercase().as_slice() {
        b"failed" => Some(ReportKind::Failed),
        b"delayed" => Some(ReportKind::Delayed),
        b"delivered" | b"relayed" | b"expanded" => Some(ReportKind::Delivered),
        _ => None,
    }
}

fn worse(one: ReportKind, other: ReportKind) -> ReportKind {
    match (one, other) {
        (ReportKind::Failed, _) | (_, ReportKind::Failed) => ReportKind::Failed,
        (ReportKind::Delayed, _) | (_, ReportKind::Delayed) => ReportKind::Delayed,
        (ReportKind::Delivered | ReportKind::Disposition, other) => other,
    }
}

/// `rfc822; eve@x.test`
fn typed_address(value: &[u8]) -> Option<Address> {
    let text = line(value);
    Address::parse(after_semicolon(&text).trim().trim_matches(['<', '>']))
}

fn after_semicolon(text: &str) -> &str {
    text.split_once(';').map_or(text, |(_, rest)| rest).trim()
}

fn line(value: &[u8]) -> String {
    clean_line(&words::decode(value, Hint::default()).text).0.trim().to_owned()
}

fn short(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(DIAGNOSTIC_CHARS_MAX).collect()
}

/// An enhanced status code in a text (RFC 3463 section 2): `5.1.1`.
fn status(text: &str) -> Option<String> {
    let is_code = |word: &&str| {
        let mut pieces = word.split('.');
        let class = matches!(pieces.next(), Some("2" | "4" | "5"));
        let digits = |piece: Option<&str>| {
            piece.is_some_and(|p| matches!(p.len(), 1..=3) && p.bytes().all(|b| b.is_ascii_digit()))
        };
        class && digits(pieces.next()) && digits(pieces.next()) && pieces.next().is_none()
    };
    let mut words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.find(is_code).map(str::to_owned)
}

/// Message-ID and Subject of the mail that was returned whole or by its header.
fn returned(raw: &[u8], part: &Part) -> Option<Original> {
    let headers = matches!(
        part.content.kind.as_str(),
        "text/rfc822-headers" | "message/rfc822-headers" | "message/global-headers"
    );
    (headers || part.content.is_message()).then(|| original(&decoded(raw, part)))
}

fn original(text: &[u8]) -> Original {
    let fields = header::returned(text);
    Original {
        message_id: header::find(fields, "Message-ID").and_then(|value| header::message_id(&value)),
        subject: header::find(fields, "Subject")
            .map(|value| line(&value).chars().take(SUBJECT_CHARS_MAX).collect()),
    }
}

/// Lines after which old mail servers print the mail they return.
const COPY_FOLLOWS: [&str; 7] = [
    "--- below this line is a copy of the message",
    "this is a copy of the message",
    "this is a copy of your message",
    "original message follows",
    "----- original message -----",
    "undelivered message follows",
    "message header follows",
];

/// Subjects of bounces that have no part for machines.
const FAILURE_SUBJECTS: [&str; 9] = [
    "undelivered mail returned to sender",
    "failure notice",
    "mail delivery failed",
    "delivery failure",
    "delivery status notification (failure)",
    "returned mail",
    "undeliverable",
    "mail delivery failure",
    "delivery has failed",
];

/// Subjects of warnings that a mail is late.
const DELAY_SUBJECTS: [&str; 3] =
    ["warning: message", "delayed mail", "delivery status notification (delay)"];

/// A bounce for people: written by a mail server, and its subject or a field says so.
fn plain_text(mail: &Mail) -> Option<Report> {
    let kind = plain_kind(mail)?;
    let mut report = empty(kind);
    let (words, copy) = split_copy(&mail.text);
    report.recipients = named_in_header(mail);
    if report.recipients.is_empty() {
        report.recipients = named_in_text(words);
    }
    for recipient in &mut report.recipients {
        if recipient.status.is_empty() {
            recipient.status = status(&recipient.diagnostic).unwrap_or_default();
        }
    }
    if let Some(copy) = copy {
        let original = original(copy.as_bytes());
        report.original_message_id = original.message_id;
        report.original_subject = original.subject;
    }
    // A subject alone is no evidence.
    let says_something = !report.recipients.is_empty() || report.original_message_id.is_some();
    says_something.then_some(report)
}

fn plain_kind(mail: &Mail) -> Option<ReportKind> {
    let null_path = mail.return_path == Some(None);
    let servers = ["mailer-daemon", "postmaster", "mail-daemon", "mdaemon"];
    let by_server = mail.from.iter().any(|from| {
        from.address.as_ref().is_some_and(|address| servers.contains(&address.local()))
            || from.name.to_lowercase().contains("mail delivery")
            || from.address.is_none() && from.name.eq_ignore_ascii_case("mailer-daemon")
    });
    if !null_path && !by_server {
        return None;
    }
    let subject = mail.subject.to_lowercase();
    let begins = |known: &[&str]| known.iter().any(|known| subject.starts_with(known));
    if begins(&DELAY_SUBJECTS) {
        return Some(ReportKind::Delayed);
    }
    let failed = begins(&FAILURE_SUBJECTS)
        || field(mail, "X-Failed-Recipients").is_some()
        || mail.text.starts_with("Hi. This is the qmail-send program");
    failed.then_some(ReportKind::Failed)
}

fn field<'a>(mail: &'a Mail, name: &str) -> Option<&'a str> {
    let found = mail.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    found.map(|field| field.value.as_str())
}

/// Exim names them in `X-Failed-Recipients`.
fn named_in_header(mail: &Mail) -> Vec<ReportedRecipient> {
    let value = field(mail, "X-Failed-Recipients").unwrap_or_default();
    let addresses = value.split([',', ' ']).filter_map(Address::parse);
    let text = split_copy(&mail.text).0;
    let lower = text.to_ascii_lowercase();
    addresses
        .take(RECIPIENTS_MAX)
        .map(|address| {
            let place = lower.find(address.as_str());
            let words = place.and_then(|at| text.get(at + address.as_str().len()..));
            let paragraph = words.and_then(|words| words.split("\n\n").next());
            ReportedRecipient {
                address: Some(address),
                status: String::new(),
                diagnostic: short(paragraph.unwrap_or_default().trim_start_matches(['>', ':'])),
            }
        })
        .collect()
}

/// Paragraphs that begin with `<eve@x.test>:`, as qmail and Postfix write them.
fn named_in_text(text: &str) -> Vec<ReportedRecipient> {
    let mut found = Vec::new();
    for paragraph in text.split("\n\n").map(str::trim_start) {
        let Some((address, rest)) = paragraph.strip_prefix('<').and_then(|p| p.split_once('>'))
        else {
            continue;
        };
        let Some(address) = Address::parse(address) else { continue };
        if found.len() == RECIPIENTS_MAX {
            break;
        }
        found.push(ReportedRecipient {
            address: Some(address),
            status: String::new(),
            diagnostic: short(rest.trim_start_matches(':')),
        });
    }
    found
}

/// The words of the server, and the copy of the returned mail behind them.
fn split_copy(text: &str) -> (&str, Option<&str>) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        let lower = line.get(..line.len().min(200)).unwrap_or_default().to_ascii_lowercase();
        if COPY_FOLLOWS.iter().any(|mark| lower.contains(mark)) {
            let copy = text[at..].trim_start();
            return (&text[..at - line.len()], Some(copy));
        }
    }
    (text, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_codes() {
        for (text, expected) in [
            ("5.1.1", Some("5.1.1")),
            ("550 5.7.26 refused", Some("5.7.26")),
            ("host 10.0.0.5 said 550 no", None),
            ("#4.4.1 (timeout)", Some("4.4.1")),
        ] {
            assert_eq!(status(text).as_deref(), expected, "{text}");
        }
    }
}
