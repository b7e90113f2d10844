//! Address lists (RFC 5322 section 3.4), and what people and programs make of them.
//!
//! Architecture invariant: linear, no recursion (comments nest by a counter), never fails. Where it
//! is not clear which address is meant, there is none: never another person's.

use super::charset::Hint;
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
pub fn read(field: &[u8], hint: Hint<'_>) -> List {
    let raw = words::raw_text(field, hint);
    let mut list = List { problem: raw.problem, ..List::default() };
    let mut entries = entries(&raw.text);
    if let [only] = entries.as_slice()
        && let Some(decoded) = only.encoded_whole(hint, &mut list.problem)
    {
        entries = self::entries(&decoded);
    }
    list.cut = entries.len() > ADDRESSES_MAX;
    let kept = entries.iter().take(ADDRESSES_MAX);
    list.mailboxes = kept.filter_map(|entry| entry.mailbox(hint, &mut list.problem)).collect();
    list
}

/// The entries of a list, up to one more than are kept.
fn entries(text: &str) -> Vec<Entry> {
    let mut reader = Reader { rest: text, in_group: false, quotes_close: true };
    std::iter::from_fn(|| reader.next_entry()).take(ADDRESSES_MAX + 1).collect()
}

/// One address within `<` and `>`, of Return-Path; `None` inside for the null path `<>`.
pub fn path(field: &[u8]) -> Option<Option<Address>> {
    let text = words::raw_text(field, Hint::default()).text;
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
    /// Words and quoted strings in front of the address, without their quotes.
    phrase: String,
    /// The same with the quotes: what is quoted belongs together.
    written: String,
    /// What stood in angle brackets.
    angles: Vec<String>,
    comment: String,
}

/// Pieces in angle brackets of one entry that are looked at.
const ANGLES_MAX: usize = 10;

struct Reader<'a> {
    rest: &'a str,
    in_group: bool,
    /// Whether a quoted string that begins here may still end.
    quotes_close: bool,
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
                ':' if self.begins_group(&entry) => {
                    self.in_group = true;
                    entry = Entry::default();
                }
                '=' if self.rest.starts_with('?') => self.encoded_word(&mut entry),
                '"' if self.quotes_close => self.quoted(&mut entry),
                '(' => self.comment(&mut entry.comment),
                '<' | '＜' => entry.angle(self.angle()),
                // One more than were opened.
                '>' | '＞' if !entry.angles.is_empty() => {}
                _ => entry.push(c),
            }
        }
        Some(entry)
    }

    fn begins_group(&self, entry: &Entry) -> bool {
        !self.in_group
            && entry.angles.is_empty()
            && !entry.phrase.contains(['@', '['])
            && scheme(&entry.phrase).is_none()
    }

    /// An encoded word as it stands: what looks like punctuation in it is none.
    fn encoded_word(&mut self, entry: &mut Entry) {
        entry.push('=');
        let look = self.rest.as_bytes();
        let look = &look[..look.len().min(ENCODED_WORD_BYTES_MAX)];
        let end = look.iter().position(u8::is_ascii_whitespace).unwrap_or(look.len());
        let marks: Vec<usize> = (0..end).filter(|at| look[*at] == b'?').take(4).collect();
        // `=?charset?Q?data?=` has four; the first is where we stand.
        if let [_, _, _, last] = marks[..]
            && look.get(last + 1) == Some(&b'=')
        {
            self.rest[..last + 2].chars().for_each(|c| entry.push(c));
            self.rest = &self.rest[last + 2..];
        }
    }

    fn quoted(&mut self, entry: &mut Entry) {
        let mut escaped = false;
        let mut inner = String::new();
        for (at, c) in self.rest.char_indices() {
            if c == '"' && !escaped {
                self.rest = &self.rest[at + 1..];
                entry.phrase.push_str(&inner);
                entry.written.extend(['"']);
                entry.written.push_str(&inner);
                entry.written.push('"');
                return;
            }
            escaped = c == '\\' && !escaped;
            if !escaped {
                inner.push(c);
            }
        }
        // One that never closes quotes nothing, and neither does any behind it.
        self.quotes_close = false;
        entry.push('"');
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

    /// Up to `>`. One that never closes ends at the next comma, or where another begins.
    fn angle(&mut self) -> String {
        let quoted =
            self.rest.trim_start().starts_with('"').then(|| quoted_local(self.rest)).flatten();
        let from = quoted.unwrap_or(0);
        let sign = |c: char| matches!(c, '>' | '＞' | '<' | '＜');
        let end = self.rest[from..].find(sign).map(|at| at + from);
        let closes = |at: usize| self.rest[at..].starts_with(['>', '＞']);
        let comma = || self.rest[from..].find(',').map(|at| at + from);
        let end = match end {
            Some(at) if closes(at) => at,
            Some(opens) => comma().filter(|comma| *comma < opens).unwrap_or(opens),
            None => comma().unwrap_or(self.rest.len()),
        };
        let inner = self.rest[..end].to_owned();
        let closing = self.rest[end..].chars().next().filter(|c| matches!(c, '>' | '＞'));
        self.rest = &self.rest[end + closing.map_or(0, char::len_utf8)..];
        inner
    }
}

/// Where a quoted local part at the beginning ends.
fn quoted_local(text: &str) -> Option<usize> {
    let start = text.find('"')? + 1;
    text[start..].find('"').map(|end| start + end + 1)
}

/// `smtp:` and `mailto:` in front of an address, without the colon.
fn scheme(phrase: &str) -> Option<&str> {
    let word = phrase.trim();
    ["smtp", "mailto"].into_iter().find(|scheme| word.eq_ignore_ascii_case(scheme))
}

impl Entry {
    fn push(&mut self, c: char) {
        self.phrase.push(c);
        self.written.push(c);
    }

    fn angle(&mut self, inner: String) {
        if self.angles.len() < ANGLES_MAX {
            self.angles.push(inner);
        }
    }

    /// The decoded text of an entry that is nothing but encoded words and holds an address, with
    /// its name, brackets and all.
    fn encoded_whole(&self, hint: Hint<'_>, problem: &mut bool) -> Option<String> {
        let phrase = self.phrase.trim();
        if !self.angles.is_empty() || !phrase.starts_with("=?") || !phrase.ends_with("?=") {
            return None;
        }
        let decoded = words::decode(phrase.as_bytes(), hint);
        *problem |= decoded.problem;
        decoded.text.contains('@').then_some(decoded.text)
    }

    /// `None` if nothing stood there at all.
    fn mailbox(&self, hint: Hint<'_>, problem: &mut bool) -> Option<Mailbox> {
        let mut name = |text: &str| {
            let decoded = words::decode(text.trim().as_bytes(), hint);
            *problem |= decoded.problem;
            clean_line(&decoded.text).0.trim().to_owned()
        };
        if !self.angles.is_empty() {
            let phrase = if self.phrase.trim().is_empty() { &self.comment } else { &self.phrase };
            return Some(Mailbox { name: name(phrase), address: self.in_brackets(hint) });
        }
        let phrase = self.phrase.trim();
        let written = self.written.trim();
        if phrase.is_empty() && self.comment.trim().is_empty() {
            return None;
        }
        // `Eve [SMTP:eve@x.test]` of Exchange.
        if let Some((front, inner)) =
            written.strip_suffix(']').and_then(|text| text.split_once('['))
            && let Some(address) = bare(inner)
        {
            return Some(Mailbox {
                name: name(front.trim().trim_matches('"')),
                address: Some(address),
            });
        }
        if let Some(address) = bare(written) {
            return Some(Mailbox { name: name(&self.comment), address: Some(address) });
        }
        // `Eve eve@x.test` without brackets: the last word, if no other is an address and nothing
        // that is quoted belongs to it; or an address in the comment.
        let (front, last) = written.rsplit_once(char::is_whitespace).unwrap_or(("", written));
        if let Some(address) = bare(last).filter(|_| is_plain_name(front)) {
            return Some(Mailbox { name: name(&front.replace('"', "")), address: Some(address) });
        }
        let comment = bare(&self.comment).filter(|_| !phrase.contains('@'));
        Some(Mailbox { name: name(phrase), address: comment })
    }

    /// The one address among what stands in brackets; none if there are two.
    fn in_brackets(&self, hint: Hint<'_>) -> Option<Address> {
        let mut found: Option<Address> = None;
        for inner in &self.angles {
            let decoded = inner.contains("=?").then(|| words::decode(inner.as_bytes(), hint).text);
            let Some(address) = bare(decoded.as_deref().unwrap_or(inner)) else { continue };
            if found.as_ref().is_some_and(|known| *known != address) {
                return None;
            }
            found = Some(address);
        }
        found
    }
}

/// Whether the words in front of an address are a name: no other address, and no open quote that
/// began a local part.
fn is_plain_name(front: &str) -> bool {
    !front.contains('@') && front.matches('"').count().is_multiple_of(2)
}

/// Quotes of every width that people put around an address.
const QUOTES: &str = "'`´“”„‟‘’‚‛«»‹›＂＇\"";

/// An address without brackets: comments, a source route (RFC 5322 section 4.4) and quotes that
/// are not needed are dropped, and blanks around the at sign (RFC 5322 section 4.4, too).
fn bare(text: &str) -> Option<Address> {
    let text = without_comments(text);
    let text = text.trim();
    let text = match text.strip_prefix('@').and(text.split_once(':')) {
        Some((_, address)) => address,
        None => text,
    };
    let text = match text.split_once(':') {
        Some((front, address)) if scheme(front.trim_matches(['\'', '"'])).is_some() => address,
        _ => text,
    };
    let wide = text.replace('＠', "@");
    // A local part may be quoted, and the address as a whole: `'"eve"@x.test'`.
    let text = match wide.trim().strip_prefix('"') {
        Some(local) if local.contains("\"@") => wide.trim(),
        _ => wide.trim_matches(|c: char| c.is_whitespace() || QUOTES.contains(c)),
    };
    let (local, domain) = text.rsplit_once('@')?;
    let local = local.trim_end();
    let local = match local.strip_prefix('"').and_then(|local| local.strip_suffix('"')) {
        Some(quoted) => quoted,
        None => local,
    };
    Address::parse(&format!("{local}@{}", domain.trim_start()))
}

/// Without what stands in parentheses; as it is if they do not close.
fn without_comments(text: &str) -> String {
    let mut depth = 0_usize;
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    if depth == 0 { kept } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &str, expected: &[(&str, &str)]) {
        let read = read(field.as_bytes(), Hint::default()).mailboxes;
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
        assert!(read("a@x.test,".repeat(500_000).as_bytes(), Hint::default()).cut);
        assert_eq!(read("(".repeat(100_000).as_bytes(), Hint::default()).mailboxes.len(), 0);
        assert_eq!(read("<".repeat(100_000).as_bytes(), Hint::default()).mailboxes.len(), 1);
    }

    #[test]
    fn return_paths() {
        assert_eq!(path(b"<>"), Some(None));
        assert_eq!(path(b"<A@x.test>"), Some(Address::parse("a@x.test")));
        assert_eq!(path(b"a@x.test"), Some(Address::parse("a@x.test")));
        assert_eq!(path(b"<not an address>"), None);
    }

    #[test]
    fn the_address_that_is_meant() {
        check("Eve <<eve@x.test>>", &[("Eve", "eve@x.test")]);
        check("Eve <office> <eve@x.test>", &[("Eve", "eve@x.test")]);
        check("Eve <eve@x.test> <mailto:eve@x.test>", &[("Eve", "eve@x.test")]);
        check("=?utf-8?q?Eve_=3Ceve=40x.test=3E?=", &[("Eve", "eve@x.test")]);
        check("Eve <=?utf-8?q?eve=40x.test?=>", &[("Eve", "eve@x.test")]);
        check("Eve [SMTP:eve@x.test]", &[("Eve", "eve@x.test")]);
        check("Eve <SMTP:eve@x.test>", &[("Eve", "eve@x.test")]);
        check("mailto:eve@x.test", &[("", "eve@x.test")]);
        for quoted in
            ["'eve@x.test'", "“eve@x.test”", "„eve@x.test“", "＂eve@x.test＂", "<‘eve@x.test’>"]
        {
            check(quoted, &[("", "eve@x.test")]);
        }
        check("Eve ＜eve@x.test＞", &[("Eve", "eve@x.test")]);
        check("eve(work)@x.test", &[("work", "eve@x.test")]);
        check("Eve <eve(work)@(at) x.test>", &[("Eve", "eve@x.test")]);
        check("eve @ x.test", &[("", "eve@x.test")]);
        check("\"Eve <eve@x.test>", &[("\"Eve", "eve@x.test")]);
        check("\"eve\"@x.test", &[("", "eve@x.test")]);
        check("Eve <eve@x.test <bob@x.test>", &[("Eve", "")]);
    }

    #[test]
    fn never_another_persons_address() {
        check("\"john smith\"@x.test", &[("john smith@x.test", "")]);
        check("<\"john smith\"@x.test>", &[("", "")]);
        check("<\"a>b\"@x.test>", &[("", "")]);
        check("Eve <eve@x.test> <bob@x.test>", &[("Eve", "")]);
        check("eve@x.test bob@x.test", &[("eve@x.test bob@x.test", "")]);
        check("\"bob@x.test\" <eve at x.test>", &[("bob@x.test", "")]);
        check("\"a b\" c\"@x.test", &[("a b c\"@x.test", "")]);
    }
}
