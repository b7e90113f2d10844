//! Looking into the header of a mail: fields by name, and the addresses in them.
//!
//! Architecture invariant: everything in here is linear in the length of the header and bounded
//! in what it returns, whoever wrote it.

use std::borrow::Cow;

use super::address::{ADDRESS_BYTES_MAX, Address};
use super::mail::{Mail, Mailbox};

/// Text of one field (all its repetitions together) that is looked at. Longer ones are cut.
pub const FIELD_BYTES_MAX: usize = 64 * 1024;
/// Addresses of one field that are looked at.
pub const ADDRESSES_MAX: usize = 1_000;

/// Whether this is the name of that field. Blanks before the colon are not part of a name.
pub fn is_named(written: &str, name: &str) -> bool {
    written.trim().eq_ignore_ascii_case(name)
}

/// Values of all fields with this name, in their order.
pub fn values<'a>(mail: &'a Mail, name: &str) -> impl Iterator<Item = &'a str> {
    let fields = mail.headers.iter().filter(move |field| is_named(&field.name, name));
    fields.map(|field| field.value.as_str())
}

/// Value of the first field with this name.
pub fn first<'a>(mail: &'a Mail, name: &str) -> Option<&'a str> {
    values(mail, name).next()
}

/// Values of all fields with this name, one in a line; absent is the empty text.
pub fn text<'a>(mail: &'a Mail, name: &str) -> Cow<'a, str> {
    let mut values = values(mail, name);
    let first = cut(values.next().unwrap_or(""));
    let mut joined = Cow::Borrowed(first);
    for value in values {
        let room = FIELD_BYTES_MAX.saturating_sub(joined.len() + 1);
        if room == 0 {
            break;
        }
        let text = joined.to_mut();
        text.push('\n');
        text.push_str(&value[..value.floor_char_boundary(room)]);
    }
    joined
}

/// The part of a text that is looked at.
pub fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(FIELD_BYTES_MAX)]
}

/// Addresses in all fields with this name.
///
/// For the fields that the parser took apart its result is used: once display names are decoded,
/// a name could pretend to be an address.
pub fn addresses(mail: &Mail, name: &str) -> Vec<Address> {
    let parsed = match name.trim().to_ascii_lowercase().as_str() {
        "from" => Some(&mail.from),
        "sender" => Some(&mail.sender),
        "reply-to" => Some(&mail.reply_to),
        "to" => Some(&mail.to),
        "cc" => Some(&mail.cc),
        _ => None,
    };
    match parsed {
        Some(mailboxes) => of_mailboxes(mailboxes),
        None => read(&text(mail, name)),
    }
}

/// Addresses of mailboxes that have one.
pub fn of_mailboxes(mailboxes: &[Mailbox]) -> Vec<Address> {
    mailboxes.iter().filter_map(|mailbox| mailbox.address.clone()).take(ADDRESSES_MAX).collect()
}

/// Addresses in the text of a field such as `Delivered-To` (RFC 5322 section 3.4): what stands in
/// angle brackets, else what is left of a list entry without quoted text and comments.
pub fn read(text: &str) -> Vec<Address> {
    let mut reader = Reader::default();
    for c in text.chars() {
        reader.step(c);
    }
    reader.end_of_entry();
    reader.found
}

#[derive(Default)]
struct Reader {
    found: Vec<Address>,
    bare: String,
    bracketed: Option<String>,
    quoted: bool,
    escaped: bool,
    in_brackets: bool,
    comments: usize,
}

impl Reader {
    fn step(&mut self, c: char) {
        if self.escaped {
            self.escaped = false;
        } else if c == '\\' && (self.quoted || self.comments > 0) {
            self.escaped = true;
        } else if c == '"' && self.comments == 0 {
            self.quoted = !self.quoted;
        } else if !self.quoted {
            self.step_outside_quotes(c);
        }
    }

    fn step_outside_quotes(&mut self, c: char) {
        match c {
            '(' => self.comments += 1,
            ')' => self.comments = self.comments.saturating_sub(1),
            _ if self.comments > 0 => {}
            '<' => self.open(),
            '>' => self.in_brackets = false,
            ',' | ';' | '\n' => self.end_of_entry(),
            // The name of a group.
            ':' if !self.in_brackets => self.bare.clear(),
            _ => self.keep(c),
        }
    }

    fn open(&mut self) {
        self.in_brackets = true;
        self.bracketed = Some(String::new());
    }

    fn keep(&mut self, c: char) {
        let target = match &mut self.bracketed {
            Some(inner) if self.in_brackets => inner,
            Some(_) => return,
            None => &mut self.bare,
        };
        if target.len() <= ADDRESS_BYTES_MAX {
            target.push(c);
        }
    }

    fn end_of_entry(&mut self) {
        let entry = self.bracketed.take().unwrap_or_else(|| std::mem::take(&mut self.bare));
        self.bare.clear();
        self.in_brackets = false;
        let room = self.found.len() < ADDRESSES_MAX;
        self.found.extend(Address::parse(&entry).filter(|_| room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found = read(text);
        assert_eq!(found.iter().map(Address::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn one_address() {
        check("sales@corp.example", &["sales@corp.example"]);
        check(" <Sales@corp.example> ", &["sales@corp.example"]);
        check("Sales desk <sales@corp.example>", &["sales@corp.example"]);
        check("sales@corp.example (Sales)", &["sales@corp.example"]);
    }

    #[test]
    fn several_addresses() {
        check("a@x.test, b@x.test", &["a@x.test", "b@x.test"]);
        check("a@x.test\nb@x.test", &["a@x.test", "b@x.test"]);
        check("desk: a@x.test, B <b@x.test>;", &["a@x.test", "b@x.test"]);
    }

    #[test]
    fn names_are_not_addresses() {
        check("\"c@x.test, d@x.test\" <a@x.test>", &["a@x.test"]);
        check("\"c@x.test\\\", d@x.test\" <a@x.test>", &["a@x.test"]);
        check("(c@x.test) a@x.test", &["a@x.test"]);
        check("", &[]);
        check("undisclosed-recipients:;", &[]);
        check("<<<>>>,,,;;;((\"", &[]);
    }

    #[test]
    fn bounded() {
        assert_eq!(read(&"a@x.test,".repeat(50_000)).len(), ADDRESSES_MAX);
        check(&format!("{}@x.test, b@x.test", "a".repeat(1 << 20)), &["b@x.test"]);
    }
}
