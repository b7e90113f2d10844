//! From and Subject of a mail that has no judgement, so that a person who finds it in quarantine
//! sees whose it is.
//!
//! Architecture invariant: both readers look at the header section alone, and at no more than
//! [`HEADER_BYTES_MAX`] of it. [`Heading::as_written`] calls no decoder: it also reads a mail on which
//! one has failed.

use serde::{Deserialize, Serialize};

use super::judge::as_written;
use crate::core::mail;

/// Bytes of the header section that are looked at.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Longest value that is shown undecoded, in bytes.
const VALUE_BYTES_MAX: usize = 500;

/// From and Subject, for people; either may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// Header From.
    pub from: String,
    /// Subject.
    pub subject: String,
}

impl Heading {
    /// Decoded, as a ticket would show it.
    pub fn decoded(raw: &[u8]) -> Heading {
        let mail = mail::parse(section(raw));
        Heading { from: as_written(&mail, "From"), subject: mail.subject }
    }

    /// As it stands in the mail, encoded words included.
    pub fn as_written(raw: &[u8]) -> Heading {
        let section = section(raw);
        Heading { from: value(section, b"from:"), subject: value(section, b"subject:") }
    }
}

/// The header section, without the empty line, cut.
fn section(raw: &[u8]) -> &[u8] {
    let shown = &raw[..raw.len().min(HEADER_BYTES_MAX)];
    let mut at = 0;
    for line in shown.split_inclusive(|byte| *byte == b'\n') {
        if line.trim_ascii().is_empty() {
            return &shown[..at];
        }
        at += line.len();
    }
    shown
}

/// The value of the first field with this name, unfolded (RFC 5322 section 2.2.3).
fn value(section: &[u8], name: &[u8]) -> String {
    let lines = section.split(|byte| *byte == b'\n');
    let mut lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).skip_while(|line| {
        !line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
    });
    let mut value = lines.next().map(|line| line[name.len()..].to_vec()).unwrap_or_default();
    for line in lines.take_while(|line| line.starts_with(b" ") || line.starts_with(b"\t")) {
        value.extend_from_slice(line);
    }
    value.truncate(VALUE_BYTES_MAX);
    let text: String = String::from_utf8_lossy(&value)
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &[u8], decoded: (&str, &str), written: (&str, &str)) {
        let heading = |(from, subject): (&str, &str)| Heading {
            from: from.to_owned(),
            subject: subject.to_owned(),
        };
        assert_eq!(Heading::decoded(raw), heading(decoded));
        assert_eq!(Heading::as_written(raw), heading(written));
    }

    #[test]
    fn both_readers_find_from_and_subject() {
        let plain = ("Ann <ann@customer.example>", "Printer on fire");
        check(
            b"X-Spam: no\r\nfrom: Ann <ann@customer.example>\r\nSUBJECT: Printer\r\n on fire\r\n\r\nFrom: not me",
            plain,
            plain,
        );
        check(b"", ("", ""), ("", ""));
        check(b"\r\nFrom: body@customer.example\r\n", ("", ""), ("", ""));
    }

    #[test]
    fn encoded_words_are_decoded_only_by_the_decoder() {
        check(
            b"From: a@customer.example\nSubject: =?utf-8?q?caf=C3=A9?=\n\n",
            ("a@customer.example", "caf\u{e9}"),
            ("a@customer.example", "=?utf-8?q?caf=C3=A9?="),
        );
    }

    #[test]
    fn what_is_written_is_bounded_and_harmless_to_a_terminal() {
        let mut raw = b"Subject: \x1b[31m\x80".to_vec();
        raw.extend(vec![b'x'; 1_000_000]);
        let subject = Heading::as_written(&raw).subject;
        assert!(subject.len() < 2 * VALUE_BYTES_MAX && subject.starts_with("[31m"), "{subject}");
    }
}
