//! Reports of mail systems about a mail: delivery reports (RFC 3464), disposition notifications
//! (RFC 8098), complaints (RFC 5965), and what mail systems write that know none of these.
//!
//! Architecture invariant: reads what the mail claims. A person's mail that quotes ours is no
//! report: something must show that a mail system wrote it. Whether a ticket believes a report is
//! decided elsewhere, by a Message-ID of ours in it.

mod fields;
mod origin;
mod phrases;
mod prose;
mod returned;

use std::collections::BTreeSet;

use self::origin::Origin;
use super::charset::Hint;
use super::structure::{Part, Structure};
use super::{Mail, Report, ReportKind, ReportedRecipient, clean_line, words};
use crate::core::address::Address;

/// Recipients of a report that are kept.
const RECIPIENTS_MAX: usize = 100;
/// Longest diagnostic text kept, in characters.
const DIAGNOSTIC_CHARS_MAX: usize = 500;
/// Bytes of one part that are looked at.
const LOOKED_AT_BYTES_MAX: usize = 256 * 1024;
/// Characters in front and behind that belong to the sentence and not to the address in it.
const AROUND_ADDRESSES: [char; 14] =
    ['<', '>', '"', '\'', ':', ',', ';', '.', '(', ')', '[', ']', '「', '」'];

/// What the mail reports, if it is a report.
pub fn read(raw: &[u8], structure: &Structure, mail: &Mail) -> Option<Report> {
    let origin = Origin::of(structure, mail);
    if origin == Origin::Person {
        return None;
    }
    let machine = fields::read(raw, structure);
    let returned = returned::read(raw, structure, mail);
    let ids = returned::ids(raw, structure, mail);
    let prose = prose::split(&mail.text).0;
    let mut report = match machine {
        Some(machine) => machine.report(mail, prose),
        None => prose::read(structure, mail, origin, &returned, !ids.is_empty())?,
    };
    if report.recipients.is_empty() {
        report.recipients = prose::recipients(mail, prose);
    }
    prose::fill(&mut report.recipients, prose);
    report.original_message_id = report.original_message_id.or(returned.message_id);
    report.original_subject = report.original_subject.or(returned.subject);
    report.ids = ids;
    // Some mail systems answer the mail that they could not deliver.
    returned::add_ids(&mut report.ids, &raw[structure.parts[0].header.clone()]);
    report.addresses.extend(returned.to);
    report.addresses = addresses(&report);
    Some(report)
}

/// All addresses that the report names as recipients, each once.
fn addresses(report: &Report) -> Vec<Address> {
    let mut seen = BTreeSet::new();
    let named = report.recipients.iter().filter_map(|recipient| recipient.address.as_ref());
    let all = named.chain(&report.addresses).filter(|address| seen.insert(*address));
    all.take(RECIPIENTS_MAX).cloned().collect()
}

fn empty(kind: ReportKind) -> Report {
    Report {
        kind,
        recipients: Vec::new(),
        addresses: Vec::new(),
        original_message_id: None,
        original_subject: None,
        ids: Vec::new(),
    }
}

fn decoded(raw: &[u8], part: &Part) -> Vec<u8> {
    let body = &raw[part.body.clone()];
    part.content.transfer.decode(&body[..body.len().min(LOOKED_AT_BYTES_MAX)])
}

fn line(value: &[u8]) -> String {
    clean_line(&words::decode(value, Hint::default()).text).0.trim().to_owned()
}

fn short(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(DIAGNOSTIC_CHARS_MAX).collect()
}

/// An address as mail systems write it: with a source route (RFC 5321 appendix C), with a quoted
/// local part that carriers need for their odd dots, in brackets or at the end of a sentence.
fn lenient_address(text: &str) -> Option<Address> {
    let text = text.trim().trim_matches(AROUND_ADDRESSES);
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    let routed = text.starts_with('@').then(|| text.rsplit_once(':')).flatten();
    let text = routed.map_or(text, |(_, rest)| rest);
    Address::parse(text).or_else(|| Address::parse(&text.replace('"', "")))
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
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    let mut words = words.map(|word| word.trim_end_matches('.'));
    words.find(is_code).map(str::to_owned)
}

/// The status that a text gives: an enhanced code, else what a reply code says (RFC 5321
/// section 4.2), with the detail left open (RFC 3463 section 3.1).
fn status_or_reply(text: &str) -> Option<String> {
    status(text).or_else(|| {
        let class = reply_class(text)?;
        Some(format!("{class}.0.0"))
    })
}

/// Reply codes by which servers refuse a mail (RFC 5321 section 4.2.3, RFC 7504, RFC 4954).
const REFUSALS: [&str; 15] = [
    "421", "450", "451", "452", "454", "521", "530", "535", "541", "550", "551", "552", "553",
    "554", "571",
];
/// Words that stand in one line with a reply code and make it one.
const BESIDE_REPLY_CODES: [&str; 22] = [
    "smtp",
    "said",
    "rcpt",
    "user",
    "mailbox",
    "recipient",
    "unknown",
    "reject",
    "denied",
    "relay",
    "address",
    "host",
    "server",
    "error",
    "response",
    "remote",
    "delivery",
    "data",
    "message",
    "account",
    "quota",
    "spam",
];

/// `4` or `5`, by the first reply code in the text.
fn reply_class(text: &str) -> Option<char> {
    text.lines().take(prose::LINES_MAX).find_map(|line| {
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
        let code = words.find(|word| REFUSALS.contains(word))?;
        let lower = line.to_ascii_lowercase();
        let beside = lower.contains('@')
            || lower.trim_start().starts_with(code)
            || BESIDE_REPLY_CODES.iter().any(|word| lower.contains(word));
        beside.then(|| code.chars().next()).flatten()
    })
}

fn field<'a>(mail: &'a Mail, name: &str) -> Option<&'a str> {
    crate::core::header::first(mail, name)
}

fn recipient(address: Option<Address>, kind: ReportKind, diagnostic: &str) -> ReportedRecipient {
    ReportedRecipient { address, kind, status: String::new(), diagnostic: short(diagnostic) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_codes() {
        for (text, expected) in [
            ("5.1.1", Some("5.1.1")),
            ("5.1.1 (bad destination mailbox address)", Some("5.1.1")),
            ("550 5.7.26 refused", Some("5.7.26")),
            ("The code was 5.2.2.", Some("5.2.2")),
            ("host 10.0.0.5 said 550 no", None),
            ("#4.4.1 (timeout)", Some("4.4.1")),
        ] {
            assert_eq!(status(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn reply_codes() {
        for (text, expected) in [
            ("host mx.test[192.0.2.1] said: 550 no such user", Some("5.0.0")),
            ("450 try again", Some("4.0.0")),
            ("It costs 550 pounds", None),
            ("5500 users", None),
        ] {
            assert_eq!(status_or_reply(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn addresses_of_mail_systems() {
        for (text, expected) in [
            ("<Eve@cust.test>", "eve@cust.test"),
            ("\"eve..x.\"@docomo.test", "eve..x.@docomo.test"),
            ("\"eve@cust.test\":", "eve@cust.test"),
            ("@gw.test:eve@cust.test", "eve@cust.test"),
            ("eve@cust.test...", "eve@cust.test"),
        ] {
            let address = lenient_address(text);
            assert_eq!(address.as_ref().map(Address::as_str), Some(expected), "{text}");
        }
        assert_eq!(lenient_address("eve"), None);
    }
}
