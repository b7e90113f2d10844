//! The mail that a report is about, as the report returns it: whole, by its header, or copied into
//! the text.
//!
//! Architecture invariant: bounded in parts, bytes and ids, whoever wrote the mail. What is found
//! is a candidate: only the signature of an id says that the mail was ours.

use std::collections::BTreeSet;

use super::super::structure::{self, Part, Structure};
use super::super::transfer::Transfer;
use super::super::{Mail, SUBJECT_CHARS_MAX, header};
use super::{RECIPIENTS_MAX, decoded, line, prose};
use crate::core::address::Address;
use crate::core::header as addresses;

/// Ids shaped like ours that are kept.
const IDS_MAX: usize = 30;
/// Parts that are looked at, in the mail and in those that it encloses.
const PARTS_MAX: usize = 60;
/// Mails enclosed in the mail that are opened.
const ENCLOSED_MAX: usize = 5;

/// What a returned mail shows of itself.
#[derive(Default)]
pub struct Returned {
    pub message_id: Option<String>,
    pub subject: Option<String>,
    pub to: Vec<Address>,
    /// Whether a mail or its header stands in a part of its own.
    pub enclosed: bool,
}

/// Looks for the mail in a part of its own, else in the text.
pub fn read(raw: &[u8], structure: &Structure, mail: &Mail) -> Returned {
    let enclosed = structure.parts.iter().find(|part| holds_mail(part));
    if let Some(part) = enclosed {
        let returned = of_header(&decoded(raw, part));
        return Returned { enclosed: true, ..returned };
    }
    match prose::split(&mail.text).1 {
        Some(copy) => of_copy(copy),
        None => Returned { message_id: named_in_text(&mail.text), ..Returned::default() },
    }
}

fn holds_mail(part: &Part) -> bool {
    let headers = matches!(
        part.content.kind.as_str(),
        "text/rfc822-headers"
            | "text/rfc822-header"
            | "message/rfc822-headers"
            | "message/global-headers"
    );
    headers || part.content.is_message()
}

fn of_header(text: &[u8]) -> Returned {
    let text = text.trim_ascii_start();
    let fields = header::returned(text);
    let to = header::find(fields, "To").map(|value| addresses::read(&line(&value)));
    let mut to = to.unwrap_or_default();
    to.truncate(RECIPIENTS_MAX);
    Returned {
        message_id: header::find(fields, "Message-ID").and_then(|value| header::message_id(&value)),
        subject: header::find(fields, "Subject")
            .map(|value| line(&value).chars().take(SUBJECT_CHARS_MAX).collect()),
        to,
        enclosed: false,
    }
}

/// A copy in the text may be indented or quoted, and its lines be parted by empty ones.
fn of_copy(copy: &str) -> Returned {
    let mut returned = of_header(copy.as_bytes());
    returned.message_id = returned.message_id.or_else(|| named_in_text(copy));
    returned
}

/// The id in the first line of the text that is a Message-ID field.
fn named_in_text(text: &str) -> Option<String> {
    let mut lines = text.lines().take(prose::LINES_MAX).map(unquoted);
    while let Some(line) = lines.next() {
        let start = line.get(..11).unwrap_or_default().to_ascii_lowercase();
        if start != "message-id:" && start != "message id:" {
            continue;
        }
        let value = line[11..].trim();
        let value = if value.is_empty() { lines.next()?.trim() } else { value };
        return header::message_id(value.as_bytes());
    }
    None
}

fn unquoted(line: &str) -> &str {
    line.trim_start_matches(['>', '|', ' ', '\t', '*'])
}

/// All ids in the body that are shaped like ours, those of the returned mail first.
pub fn ids(raw: &[u8], structure: &Structure, mail: &Mail) -> Vec<String> {
    let mut found = Found::default();
    let (enclosed, others): (Vec<&Part>, Vec<&Part>) =
        structure.parts.iter().take(PARTS_MAX).partition(|part| holds_mail(part));
    for (at, part) in enclosed.into_iter().enumerate() {
        let text = decoded(raw, part);
        found.look(&text);
        if at < ENCLOSED_MAX && part.content.is_message() {
            let (inner, structure) = structure::read(&text);
            let parts = structure.parts.iter().take(PARTS_MAX);
            parts.for_each(|part| found.look(&decoded(&inner, part)));
        }
    }
    found.look(mail.text.as_bytes());
    others
        .into_iter()
        .filter(|part| !part.has_parts)
        .for_each(|part| found.look(&decoded(raw, part)));
    found.ids
}

/// Adds those in the header of the mail itself.
pub fn add_ids(ids: &mut Vec<String>, header: &[u8]) {
    let mut found = Found::default();
    found.look(header);
    ids.extend(found.ids);
    let mut seen = BTreeSet::new();
    ids.retain(|id| seen.insert(id.to_ascii_lowercase()));
    ids.truncate(IDS_MAX);
}

#[derive(Default)]
struct Found {
    ids: Vec<String>,
    seen: BTreeSet<String>,
}

impl Found {
    /// Looks at a text as it stands, and once more without the marks of quoted-printable: what is
    /// copied from a source into a text is not decoded.
    fn look(&mut self, text: &[u8]) {
        self.scan(text);
        let marked = text
            .windows(3)
            .any(|three| three == b"=40" || three.starts_with(b"=\n") || three == b"=\r\n");
        if marked {
            self.scan(&Transfer::QuotedPrintable.decode(text));
        }
    }

    fn scan(&mut self, text: &[u8]) {
        for (at, _) in text.iter().enumerate().filter(|(_, byte)| **byte == b'@') {
            if self.ids.len() == IDS_MAX {
                return;
            }
            if let Some(id) = shaped(text, at)
                && self.seen.insert(id.to_ascii_lowercase())
            {
                self.ids.push(id);
            }
        }
    }
}

/// Bytes in front of the at sign that belong to an id of ours, at most: two numbers of 16 digits,
/// the recipient, the purpose and the tag (see [`crate::core::thread::message_id`]).
const LOCAL_BYTES_MAX: usize = 16 + 1 + 16 + 1 + 16 + 1 + 1 + 1 + TAG_DIGITS;
/// Hexadecimal digits of the tag of an id of ours.
const TAG_DIGITS: usize = 32;
/// Bytes of a domain name (RFC 1035 section 2.3.4).
const DOMAIN_BYTES_MAX: usize = 255;

/// The id around the at sign, if it has the shape of ours.
fn shaped(text: &[u8], at: usize) -> Option<String> {
    let before = &text[at.saturating_sub(LOCAL_BYTES_MAX)..at];
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.';
    let start = before.iter().rposition(|byte| !inside(byte)).map_or(0, |other| other + 1);
    let local = std::str::from_utf8(&before[start..]).ok()?;
    let (signed, tag) = local.rsplit_once('.')?;
    let tagged = tag.len() == TAG_DIGITS && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pieces = signed.split('.').count();
    if !tagged || !(2..=4).contains(&pieces) {
        return None;
    }
    let after = &text[at + 1..text.len().min(at + 1 + DOMAIN_BYTES_MAX)];
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let end = after.iter().position(|byte| !inside(byte)).unwrap_or(after.len());
    let domain = std::str::from_utf8(&after[..end]).ok()?.trim_end_matches(['.', '-']);
    (!domain.is_empty()).then(|| format!("{local}@{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1.a.0123456789abcdef.c.00112233445566778899aabbccddeeff@desk.test";

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let mut found = Found::default();
        found.look(text.as_bytes());
        assert_eq!(found.ids, expected, "{text}");
    }

    #[test]
    fn ids_wherever_they_stand() {
        check(&format!("Message-ID: <{ID}>"), &[ID]);
        check(&format!("&lt;{ID}&gt;"), &[ID]);
        check(&format!("id={ID}."), &[ID]);
        check(&ID.replace('@', "=40"), &[ID]);
        check(&ID.replace("7788", "77=\n88"), &[ID]);
        check(&format!("<{ID}> <{}>", ID.to_uppercase()), &[ID]);
        check("eve@desk.test 1.2@desk.test a.b.00112233445566778899aabbccddeef@x", &[]);
        check("@", &[]);
    }

    #[test]
    fn bounded() {
        let many: String = (0..1_000).map(|n| format!("<{n:x}.a.{n:032x}@x> ")).collect();
        let mut found = Found::default();
        found.look(many.as_bytes());
        assert_eq!(found.ids.len(), IDS_MAX);
    }

    #[test]
    fn message_id_in_a_text() {
        let text = format!("> Subject: x\n> Message-ID: <{ID}>\n");
        assert_eq!(named_in_text(&text).as_deref(), Some(ID));
        let text = format!("Message-Id:\n <{ID}>\n");
        assert_eq!(named_in_text(&text).as_deref(), Some(ID));
        assert_eq!(named_in_text("Message-ID is missing"), None);
    }
}
