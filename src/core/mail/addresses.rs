//! Address lists (RFC 5322 section 3.4), and what people and programs make of them.
//!
//! Architecture invariant: linear, no recursion (comments nest by a counter), never fails.

use super::words;
use super::{Mailbox, clean_line};
use crate::core::address::Address;

/// Addresses of one field that are kept.
pub const ADDRESSES_MAX: usize = 1_000;

/// Longest encoded word that is kept in one piece, in bytes. RFC 2047 section 2 allows 75.
const ENCODED_WORD_BYTES_MAX: usize = 1_000;

/// What was read.
#[derive(Debug, Default)]
pub struct List {
    /// The mailboxes, at most [`ADDRESSES_MAX`].
    pub mailboxes: Vec<Mailbox>,
    /// Whether there were more.
    pub cut: bool,
    /// Whether a character was guessed or replaced.
    pub problem: bool,
}

/// Reads the unfolded value of From, To, ...
pub fn read(field: &[u8], hint: Option<&str>) -> List {
    let raw = words::raw_text(field, hint);
    let mut list = List { problem: raw.problem, ..List::default() };
    let mut reader = Reader { rest: raw.text.as_str(), in_group: false };
    while let Some(entry) = reader.next_entry() {
        if list.mailboxes.len() == ADDRESSES_MAX {
            list.cut = true;
            break;
        }
        list.mailboxes.extend(entry.mailbox(&mut list.problem));
    }
    list
}

/// One address within `<` and `>`, of Return-Path; `None` inside for the null path `<>`.
pub fn path(field: &[u8]) -> Option<Option<Address>> {
    let text = words::raw_text(field, None).text;
    let inner = match text.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => text.as_str(),
    };
    match inner.trim() {
        "" => Some(None),
        address => bare(address).map(Some),
    }
}

/// The pieces between two commas.
#[derive(Debug, Default)]
struct Entry {
    /// Words and quoted strings in front of the address.
    phrase: String,
    /// What stood in angle brackets.
    angle: Option<String>,
    comment: String,
}

struct Reader<'a> {
    rest: &'a str,
    in_group: bool,
}

impl Reader<'_> {
    fn next_entry(&mut self) -> Option<Entry> {
        if self.rest.trim().is_empty() {
            return None;
        }
        let mut entry = Entry::default();
        while let Some(c) = self.rest.chars().next() {
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                ',' => break,
                ';' => {
                    self.in_group = false;
                    break;
                }
                // The name of a group (RFC 5322 section 3.4) is nobody's.
                ':' if !self.in_group && entry.angle.is_none() && !entry.phrase.contains('@') => {
                    self.in_group = true;
                    entry = Entry::default();
                }
                '=' if self.rest.starts_with('?') => self.encoded_word(&mut entry.phrase),
                '"' => self.quoted(&mut entry.phrase),
                '(' => self.comment(&mut entry.comment),
                '<' if entry.angle.is_none() => entry.angle = Some(self.angle()),
                _ => entry.phrase.push(c),
            }
        }
        Some(entry)
    }

    /// An encoded word as it stands: what looks like punctuation in it is none.
    fn encoded_word(&mut self, phrase: &mut String) {
        phrase.push('=');
        let look = self.rest.as_bytes();
        let look = &look[..look.len().min(ENCODED_WORD_BYTES_MAX)];
        let end = look.iter().position(u8::is_ascii_whitespace).unwrap_or(look.len());
        let marks: Vec<usize> = (0..end).filter(|at| look[*at] == b'?').take(4).collect();
        // `=?charset?Q?data?=` has four; the first is where we stand.
        if let [_, _, _, last] = marks[..]
            && look.get(last + 1) == Some(&b'=')
        {
            phrase.push_str(&self.rest[..last + 2]);
            self.rest = &self.rest[last + 2..];
        }
    }

    fn quoted(&mut self, phrase: &mut String) {
        let mut escaped = false;
        for (at, c) in self.rest.char_indices() {
            if c == '"' && !escaped {
                self.rest = &self.rest[at + 1..];
                return;
            }
            escaped = c == '\\' && !escaped;
            if !escaped {
                phrase.push(c);
            }
        }
        self.rest = "";
    }

    fn comment(&mut self, comment: &mut String) {
        let mut depth = 1;
        for (at, c) in self.rest.char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => comment.push(c),
            }
            if depth == 0 {
                self.rest = &self.rest[at + 1..];
                return;
            }
        }
        self.rest = "";
    }

    /// Up to `>`. One that never closes ends at the next comma.
    fn angle(&mut self) -> String {
        let end = self.rest.find(['>', '<']).filter(|at| self.rest[*at..].starts_with('>'));
        let end = end.or_else(|| self.rest.find(',')).unwrap_or(self.rest.len());
        let inner = self.rest[..end].to_owned();
        let closed = self.rest[end..].starts_with('>');
        self.rest = &self.rest[end + usize::from(closed)..];
        inner
    }
}

impl Entry {
    /// `None` if nothing stood there at all.
    fn mailbox(&self, problem: &mut bool) -> Option<Mailbox> {
        let mut name = |text: &str| {
            let decoded = words::decode(text.trim().as_bytes(), None);
            *problem |= decoded.problem;
            clean_line(&decoded.text).0.trim().to_owned()
        };
        if let Some(angle) = &self.angle {
            let phrase = if self.phrase.trim().is_empty() { &self.comment } else { &self.phrase };
            return Some(Mailbox { name: name(phrase), address: bare(angle) });
        }
        let phrase = self.phrase.trim();
        if phrase.is_empty() && self.comment.trim().is_empty() {
            return None;
        }
        if let Some(address) = bare(phrase) {
            return Some(Mailbox { name: name(&self.comment), address: Some(address) });
        }
        // `Eve eve@x.test` without brackets: the last word; or an address in the comment.
        let (front, last) = phrase.rsplit_once(char::is_whitespace).unwrap_or(("", phrase));
        if let Some(address) = bare(last) {
            return Some(Mailbox { name: name(front), address: Some(address) });
        }
        Some(Mailbox { name: name(phrase), address: bare(&self.comment) })
    }
}

/// An address without brackets: a source route (RFC 5322 section 4.4) and quotes that are not
/// needed are dropped.
fn bare(text: &str) -> Option<Address> {
    let text = text.trim().trim_matches(['\'', '`']);
    let text = match text.strip_prefix('@').and(text.split_once(':')) {
        Some((_, address)) => address,
        None => text,
    };
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    if text.contains('"') {
        return Address::parse(&text.replace('"', ""));
    }
    Address::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &str, expected: &[(&str, &str)]) {
        let read = read(field.as_bytes(), None).mailboxes;
        let read: Vec<(&str, &str)> = read
            .iter()
            .map(|m| (m.name.as_str(), m.address.as_ref().map_or("", |a| a.as_str())))
            .collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn forms() {
        check("Eve <Eve@x.test>", &[("Eve", "eve@x.test")]);
        check(
            "\"Eve, Example\" <eve@x.test>, bob@x.test",
            &[("Eve, Example", "eve@x.test"), ("", "bob@x.test")],
        );
        check("eve@x.test (Mail Delivery System)", &[("Mail Delivery System", "eve@x.test")]);
        check("<@a.test,@b.test:eve@x.test>", &[("", "eve@x.test")]);
        check("Eve eve@x.test", &[("Eve", "eve@x.test")]);
        check("Eve <eve@x.test", &[("Eve", "eve@x.test")]);
        check("\"foo..bar.\"@docomo.test", &[("", "foo..bar.@docomo.test")]);
        check("Eve (eve@x.test)", &[("Eve", "eve@x.test")]);
    }

    #[test]
    fn encoded_names() {
        check("=?utf-8?q?M=C3=BCller=2C_J?= <j@x.test>", &[("Müller, J", "j@x.test")]);
        check("\"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=\" <j@x.test>", &[("日本", "j@x.test")]);
        check("\u{1b}$B%\"%$\u{1b}(B <j@x.test>", &[("アイ", "j@x.test")]);
        check("=?utf-8?q?a=0D=0ABcc:_b?= <j@x.test>", &[("a  Bcc: b", "j@x.test")]);
    }

    #[test]
    fn groups_and_nobody() {
        check("undisclosed-recipients:;", &[]);
        check(
            "Team: a@x.test, b@x.test; c@x.test",
            &[("", "a@x.test"), ("", "b@x.test"), ("", "c@x.test")],
        );
        check("", &[]);
        check(" , ", &[]);
        check("nobody at all", &[("nobody at all", "")]);
    }

    #[test]
    fn bombs() {
        assert!(read("a@x.test,".repeat(500_000).as_bytes(), None).cut);
        assert_eq!(read("(".repeat(100_000).as_bytes(), None).mailboxes.len(), 0);
        assert_eq!(read("<".repeat(100_000).as_bytes(), None).mailboxes.len(), 1);
    }

    #[test]
    fn return_paths() {
        assert_eq!(path(b"<>"), Some(None));
        assert_eq!(path(b"<A@x.test>"), Some(Address::parse("a@x.test")));
        assert_eq!(path(b"a@x.test"), Some(Address::parse("a@x.test")));
        assert_eq!(path(b"<not an address>"), None);
    }
}
