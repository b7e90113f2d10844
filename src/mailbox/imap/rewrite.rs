//! An answer of the server, written anew for the parser.
//!
//! Of a FETCH the attributes that we ask for are kept, each only if its value is what RFC 3501
//! section 7.4.2 allows; all others are left out. A value that cannot be read is as good as none:
//! it concerns one message, and the session goes on.
//!
//! Architecture invariant: no byte of a server panics here or in the parser behind it, and bytes
//! of a message are handed on only from an answer that was read to its end.

use std::borrow::Cow;

/// What the parser gets for an answer that we have no use for.
const NOTHING: &[u8] = b"* OK\r\n";
/// Longest INTERNALDATE: RFC 3501 section 9, `date-time`, has 26 characters.
const DATE_BYTES_MAX: usize = 40;

/// A literal that was read past.
#[derive(Debug, Clone, Copy)]
pub struct Dropped {
    /// Where in the answer it would begin.
    pub at: usize,
    /// Its length in bytes.
    pub length: u64,
}

/// Writes this complete answer for the parser.
pub fn answer(answer: &[u8], dropped: &[Dropped], out: &mut Vec<u8>) {
    if is_fetch(answer) {
        match Fetch::read(answer, dropped) {
            Some(fetch) => fetch.write(out),
            None => out.extend_from_slice(NOTHING),
        }
        return;
    }
    let line = plain_text(answer);
    match line.strip_prefix("* ") {
        Some(data) => write_data(data, out),
        None => write_line(&tagged(&line), out),
    }
}

/// An answer with a tag (RFC 3501 section 7.1), or a request to go on.
fn tagged(line: &str) -> Cow<'_, str> {
    let Some((tag, rest)) = line.split_once(' ') else { return Cow::Borrowed(line) };
    let (word, text) = rest.split_once(' ').unwrap_or((rest, ""));
    match word.to_ascii_uppercase().as_str() {
        "OK" | "NO" | "BAD" if tag != "+" => Cow::Owned(format!("{tag} {}", status(word, text))),
        _ => Cow::Borrowed(line),
    }
}

/// Whether an answer that begins so is a FETCH (RFC 3501 section 7.4.2).
pub fn is_fetch(answer: &[u8]) -> bool {
    let Some(rest) = answer.strip_prefix(b"* ") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let word = rest.get(digits..digits + 7);
    digits > 0 && word.is_some_and(|word| word.eq_ignore_ascii_case(b" FETCH "))
}

/// The line without its end, as valid UTF-8 without control characters that end a line elsewhere.
fn plain_text(line: &[u8]) -> Cow<'_, str> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match String::from_utf8_lossy(line) {
        // A literal in a LIST brings line ends of its own.
        text if text.contains(['\r', '\0']) && !text.contains("}\r\n") => {
            Cow::Owned(text.replace(['\r', '\0'], "?"))
        }
        text => text,
    }
}

fn write_line(line: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// An untagged answer other than FETCH (RFC 3501 section 7): those that we act on, and garbage,
/// which the parser refuses.
fn write_data(data: &str, out: &mut Vec<u8>) {
    let (first, rest) = data.split_once(' ').unwrap_or((data, ""));
    let line = match first.to_ascii_uppercase().as_str() {
        "OK" | "NO" | "BAD" | "BYE" | "PREAUTH" => Some(format!("* {}", status(first, rest))),
        "LIST" => Some(format!("* {data}")),
        "CAPABILITY" => Some(capability(rest)),
        "SEARCH" => Some(search(rest)),
        word if word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty() => {
            count(word, rest)
        }
        word if word.starts_with(|c: char| c.is_ascii_alphabetic()) => None,
        _ => Some(format!("* {data}")),
    };
    match line {
        Some(line) => write_line(&line, out),
        None => out.extend_from_slice(NOTHING),
    }
}

/// A status with its code (RFC 3501 section 7.1). What a code carries is left to the parser only
/// where we act on it, and only if it is a number; of all others the name remains.
fn status(word: &str, text: &str) -> String {
    let text = text.trim_start();
    let code = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let Some((code, words)) = code else { return format!("{word} {text}").trim_end().to_owned() };
    let (name, value) = code.split_once(' ').unwrap_or((code, ""));
    let (name, words) = (name.to_ascii_uppercase(), words.trim_start());
    match (name.as_str(), value.trim().parse::<u32>()) {
        ("UIDVALIDITY" | "UIDNEXT", Ok(value)) => format!("{word} [{name} {value}] {words}"),
        _ => format!("{word} [{name}] {words}"),
    }
}

/// Names without what no capability has; the parser refuses a list without IMAP4rev1.
fn capability(names: &str) -> String {
    let is_atom = |name: &&str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b))
            && !name.eq_ignore_ascii_case("AUTH=")
    };
    let mut line = "* CAPABILITY IMAP4rev1".to_owned();
    for name in names.split_ascii_whitespace().filter(is_atom) {
        if !name.eq_ignore_ascii_case("IMAP4rev1") {
            line.push(' ');
            line.push_str(name);
        }
    }
    line
}

/// What is no number becomes 0, which is no message's: it must not look as if it were not there.
fn search(numbers: &str) -> String {
    let mut line = "* SEARCH".to_owned();
    for word in numbers.split_ascii_whitespace() {
        line.push_str(&format!(" {}", word.parse::<u32>().unwrap_or(0)));
    }
    line
}

/// EXISTS and EXPUNGE (RFC 3501 sections 7.3.1 and 7.4.1).
fn count(number: &str, rest: &str) -> Option<String> {
    let number = number.parse::<u32>().ok()?;
    let word = rest.trim().to_ascii_uppercase();
    matches!(word.as_str(), "EXISTS" | "EXPUNGE").then(|| format!("* {number} {word}"))
}

/// What a FETCH tells and we have a use for.
#[derive(Debug, Default)]
struct Fetch<'a> {
    number: u32,
    uid: Option<u32>,
    size: Option<u32>,
    seen: Option<bool>,
    arrived: Option<&'a str>,
    parts: Vec<Part<'a>>,
}

/// A section of a message.
#[derive(Debug)]
struct Part<'a> {
    /// `""`, `HEADER`, or `TEXT` for all that we never ask for.
    section: &'static str,
    origin: Option<u32>,
    bytes: Option<Cow<'a, [u8]>>,
}

/// The value of an attribute.
enum Value<'a> {
    /// Also `NIL`.
    Atom(&'a [u8]),
    Text(Cow<'a, [u8]>),
    List(&'a [u8]),
    Dropped(u64),
}

impl<'a> Fetch<'a> {
    /// `None` if not even the message's number can be read.
    fn read(answer: &'a [u8], dropped: &'a [Dropped]) -> Option<Fetch<'a>> {
        let mut reader = Reader { bytes: answer, at: 2, dropped };
        let digits = reader.while_in(|byte| byte.is_ascii_digit());
        let number = number(digits).filter(|number| *number > 0)?;
        reader.at += b" FETCH ".len();
        let mut fetch = Fetch { number, ..Fetch::default() };
        if fetch.read_attributes(&mut reader).is_none() {
            // Where the answer breaks off nobody knows what is missing.
            fetch.parts.clear();
        }
        Some(fetch)
    }

    /// `None` as soon as something is no attribute.
    fn read_attributes(&mut self, reader: &mut Reader<'a>) -> Option<()> {
        reader.spaces();
        reader.expect(b'(')?;
        loop {
            reader.spaces();
            if reader.expect(b')').is_some() {
                let rest = &reader.bytes[reader.at..];
                return rest.iter().all(u8::is_ascii_whitespace).then_some(());
            }
            let (name, section, origin) = reader.name()?;
            reader.spaces();
            let value = reader.value()?;
            self.take(name, section, origin, value);
        }
    }

    fn take(&mut self, name: &[u8], section: Option<&[u8]>, origin: Option<u32>, value: Value<'a>) {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match (section, value) {
            (Some(section), value) if is(b"BODY") => self.take_part(section, origin, value),
            (None, Value::Atom(text)) if is(b"UID") => self.uid = number(text).filter(|n| *n > 0),
            (None, Value::Atom(text)) if is(b"RFC822.SIZE") => self.size = number(text),
            (None, Value::List(flags)) if is(b"FLAGS") => {
                let mut flags = flags.split(u8::is_ascii_whitespace);
                self.seen = Some(flags.any(|flag| flag.eq_ignore_ascii_case(b"\\Seen")));
            }
            (None, Value::Text(Cow::Borrowed(date))) if is(b"INTERNALDATE") => {
                self.arrived = std::str::from_utf8(date).ok().filter(|date| is_date(date));
            }
            _ => {}
        }
    }

    fn take_part(&mut self, section: &[u8], origin: Option<u32>, value: Value<'a>) {
        let section = match section {
            b"" => "",
            _ if section.get(..6).is_some_and(|s| s.eq_ignore_ascii_case(b"HEADER")) => "HEADER",
            _ => "TEXT",
        };
        let bytes = match value {
            Value::Text(bytes) => Some(bytes),
            Value::Dropped(length) => {
                // What the literal would have been is the size that counts.
                self.size = Some(u32::try_from(length).unwrap_or(u32::MAX));
                None
            }
            Value::Atom(_) | Value::List(_) => None,
        };
        self.parts.push(Part { section, origin, bytes });
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut attributes = Vec::new();
        attributes.extend(self.uid.map(|uid| format!("UID {uid}")));
        attributes.extend(self.size.map(|size| format!("RFC822.SIZE {size}")));
        let flags = |seen| if seen { "FLAGS (\\Seen)" } else { "FLAGS ()" }.to_owned();
        attributes.extend(self.seen.map(flags));
        attributes.extend(self.arrived.map(|date| format!("INTERNALDATE \"{date}\"")));
        if attributes.is_empty() && self.parts.is_empty() {
            out.extend_from_slice(NOTHING);
            return;
        }
        out.extend_from_slice(
            format!("* {} FETCH ({}", self.number, attributes.join(" ")).as_bytes(),
        );
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 || !attributes.is_empty() {
                out.push(b' ');
            }
            out.extend_from_slice(format!("BODY[{}]", part.section).as_bytes());
            if let Some(origin) = part.origin {
                out.extend_from_slice(format!("<{origin}>").as_bytes());
            }
            match &part.bytes {
                None => out.extend_from_slice(b" NIL"),
                Some(bytes) => {
                    out.extend_from_slice(format!(" {{{}}}\r\n", bytes.len()).as_bytes());
                    out.extend_from_slice(bytes);
                }
            }
        }
        out.extend_from_slice(b")\r\n");
    }
}

/// A number of RFC 3501 section 9: 32 bits.
fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn is_date(text: &str) -> bool {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.len() <= DATE_BYTES_MAX && text.bytes().all(plain)
}

/// Reads through an answer.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    dropped: &'a [Dropped],
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn while_in(&mut self, fits: impl Fn(u8) -> bool) -> &'a [u8] {
        let from = self.at;
        while self.peek().is_some_and(&fits) {
            self.at += 1;
        }
        &self.bytes[from..self.at]
    }

    fn spaces(&mut self) {
        self.while_in(|byte| byte == b' ');
    }

    /// An attribute's name, and what it is of: `BODY[HEADER]<0>`.
    #[allow(clippy::type_complexity)]
    fn name(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>, Option<u32>)> {
        let name = self.while_in(|byte| !b" []()<>{}\"\r\n".contains(&byte));
        if name.is_empty() {
            return None;
        }
        let section = match self.expect(b'[') {
            None => None,
            Some(()) => {
                let section = self.while_in(|byte| !b"]\r\n".contains(&byte));
                self.expect(b']')?;
                Some(section)
            }
        };
        let origin = match self.expect(b'<') {
            None => None,
            Some(()) => {
                let origin = self.while_in(|byte| byte.is_ascii_digit());
                self.expect(b'>')?;
                Some(number(origin)?)
            }
        };
        Some((name, section, origin))
    }

    fn value(&mut self) -> Option<Value<'a>> {
        match self.peek()? {
            b'"' => self.quoted().map(Value::Text),
            b'{' => self.literal(),
            b'~' => {
                // RFC 3516 section 4.4: bytes that may contain NUL.
                self.at += 1;
                self.literal()
            }
            b'(' => self.list().map(Value::List),
            b'\r' | b'\n' | b')' => None,
            _ => Some(Value::Atom(self.while_in(|byte| !b" ()\r\n".contains(&byte)))),
        }
    }

    fn quoted(&mut self) -> Option<Cow<'a, [u8]>> {
        self.expect(b'"')?;
        let from = self.at;
        let mut has_escapes = false;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\r' | b'\n' => return None,
                b'\\' => {
                    has_escapes = true;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
        let text = self.bytes.get(from..self.at)?;
        self.at += 1;
        if !has_escapes {
            return Some(Cow::Borrowed(text));
        }
        let mut plain = Vec::with_capacity(text.len());
        let mut bytes = text.iter();
        while let Some(byte) = bytes.next() {
            plain.extend(if *byte == b'\\' { bytes.next() } else { Some(byte) });
        }
        Some(Cow::Owned(plain))
    }

    fn literal(&mut self) -> Option<Value<'a>> {
        self.expect(b'{')?;
        let digits = self.while_in(|byte| byte.is_ascii_digit());
        let length = std::str::from_utf8(digits).ok()?.parse::<u64>().ok()?;
        self.expect(b'}')?;
        self.while_in(|byte| byte == b'\r');
        self.expect(b'\n')?;
        if let Some(dropped) = self.dropped.iter().find(|dropped| dropped.at == self.at) {
            return Some(Value::Dropped(dropped.length));
        }
        let end = self.at.checked_add(usize::try_from(length).ok()?)?;
        let bytes = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(Value::Text(Cow::Borrowed(bytes)))
    }

    /// What stands between two parentheses, whatever it is.
    fn list(&mut self) -> Option<&'a [u8]> {
        self.expect(b'(')?;
        let from = self.at;
        let mut depth = 1_u32;
        loop {
            match self.peek()? {
                b'(' => {
                    depth += 1;
                    self.at += 1;
                }
                b')' => {
                    depth -= 1;
                    self.at += 1;
                    if depth == 0 {
                        return self.bytes.get(from..self.at - 1);
                    }
                }
                b'"' => drop(self.quoted()?),
                b'{' => drop(self.literal()?),
                b'\r' | b'\n' => return None,
                _ => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, expected: &str) {
        let mut out = Vec::new();
        answer(given.as_bytes(), &[], &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
        // What we write the parser reads to its end.
        let (rest, _) = imap_proto::Response::parse(&out).expect(given);
        assert_eq!(rest, b"");
    }

    const OK: &str = "* OK\r\n";

    #[test]
    fn attributes_that_we_ask_for_pass() {
        let whole = "* 2 FETCH (UID 7 RFC822.SIZE 20 FLAGS (\\Seen) INTERNALDATE \
                     \"17-Jul-2026 02:44:25 +0900\" BODY[] {4}\r\na)\r\n)\r\n";
        check(whole, whole);
        check(
            "* 2 FETCH (BODY[]<0> {1}\r\nx UID 7)\r\n",
            "* 2 FETCH (UID 7 BODY[]<0> {1}\r\nx)\r\n",
        );
        check("* 2 fetch (BODY[] NIL uid 7)\r\n", "* 2 FETCH (UID 7 BODY[] NIL)\r\n");
        let field = "* 2 FETCH (UID 7 BODY[HEADER.FIELDS (MESSAGE-ID)] {2}\r\n\r\n)\r\n";
        check(field, "* 2 FETCH (UID 7 BODY[HEADER] {2}\r\n\r\n)\r\n");
    }

    #[test]
    fn values_that_cannot_be_read_are_left_out() {
        for odd in [
            "RFC822.SIZE NIL",
            "RFC822.SIZE 99999999999999",
            "RFC822.SIZE -5",
            "RFC822.SIZE ()",
            "RFC822.SIZE \"twelve\"",
            "INTERNALDATE NIL",
            "INTERNALDATE {3}\r\na\"b",
            "INTERNALDATE \"\"",
            "FLAGS NIL",
            "MODSEQ (12121231000)",
            "ENVELOPE (NIL \"a\\\"b)\" (({2}\r\n)( NIL)))",
            "X-GM-LABELS (\"\\\\Important\" {1}\r\n()",
            "EMAILID NIL",
            "X-ODD ~{1}\r\n\0",
            "BODYSTRUCTURE 7",
        ] {
            check(&format!("* 2 FETCH (UID 7 {odd})\r\n"), "* 2 FETCH (UID 7)\r\n");
            check(&format!("* 2 FETCH ({odd} UID 7)\r\n"), "* 2 FETCH (UID 7)\r\n");
        }
        for uid in ["NIL", "0", "4294967296", "99999999999999999999", "-1", "\"7\"", "(7)"] {
            let given = format!("* 2 FETCH (UID {uid} RFC822.SIZE 20)\r\n");
            check(&given, "* 2 FETCH (RFC822.SIZE 20)\r\n");
        }
    }

    #[test]
    fn an_answer_that_breaks_off_gives_no_message() {
        for broken in [
            "UID 7 BODY[] {1}\r\nx",
            "UID 7 BODY[] {1}\r\nx) more",
            "UID 7 BODY[] {1}\r\nx]",
            "UID 7 BODY[] \"x",
            "UID 7 BODY[] {1}\r\nx FLAGS (",
            "UID 7 BODY[] {1}\r\nx RFC822.SIZE",
            "UID 7 BODY[] {1}\r\nx RFC822.SIZE )",
            "UID 7 BODY[<0> {1}\r\nx)",
            "UID 7 BODY[]<x> {1}\r\nx)",
        ] {
            check(&format!("* 2 FETCH ({broken}\r\n"), "* 2 FETCH (UID 7)\r\n");
        }
    }

    #[test]
    fn what_says_nothing_is_nothing() {
        for given in [
            "* 2 FETCH (((\r\n",
            "* 2 FETCH \r\n",
            "* 2 FETCH ()\r\n",
            "* 2 FETCH NIL\r\n",
            "* 0 FETCH (UID 7)\r\n",
            "* 4294967296 FETCH (UID 7)\r\n",
            "* 99999999999999999999 EXISTS\r\n",
            "* 4 RECENT\r\n",
            "* FLAGS (\\Seen\r\n",
            "* ID (\"name\" NIL)\r\n",
            "* METADATA \"INBOX\" (/private/\u{fffd} \"x\")\r\n",
            "* VANISHED 1:5\r\n",
            "* STATUS INBOX (MESSAGES NIL)\r\n",
        ] {
            check(given, OK);
        }
    }

    #[test]
    fn codes_that_we_act_on_pass() {
        check("* OK [UIDVALIDITY 7] ok\n", "* OK [UIDVALIDITY 7] ok\r\n");
        check("* OK [UIDNEXT 99999999999] soon\r\n", "* OK [UIDNEXT] soon\r\n");
        check("* ok [BADCHARSET ({5}] no\r\n", "* ok [BADCHARSET] no\r\n");
        check("A1 OK [CAPABILITY IMAP4rev1 (] in\r\n", "A1 OK [CAPABILITY] in\r\n");
        check("A1 NO [UNAVAILABLE] later\r\n", "A1 NO [UNAVAILABLE] later\r\n");
        check("A1 NO\r\n", "A1 NO\r\n");
        check("* CAPABILITY IDLE AUTH=PLAIN (x)\r\n", "* CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN\r\n");
        check("* SEARCH 5 x 99999999999 7 \r\n", "* SEARCH 5 0 0 7\r\n");
        check("* 3 exists\r\n", "* 3 EXISTS\r\n");
    }

    #[test]
    fn quoted_message() {
        let given = "* 2 FETCH (UID 7 BODY[] \"a\\\"b\\\\\")\r\n";
        check(given, "* 2 FETCH (UID 7 BODY[] {4}\r\na\"b\\)\r\n");
    }
}
