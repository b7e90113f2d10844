//! Header fields: where a header ends, its fields, ids, and what it says about its content.
//!
//! Architecture invariant: each function is linear in the header; nothing is decoded here but
//! what decides the structure.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use super::lines;
use super::transfer::Transfer;
use super::words::Parameters;
use super::{Digest, LONG_ID_DOMAIN, REFERENCES_MAX, charset, words};
use crate::core::config::Language;

/// Longest message id kept as it is, in bytes; of longer ones the SHA-256.
pub const MESSAGE_ID_BYTES_MAX: usize = 512;
/// Ids of In-Reply-To that are looked at.
const IN_REPLY_TO_MAX: usize = 20;

/// A header and the place where its body begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The bytes of the fields, without the empty line.
    pub fields: Range<usize>,
    /// Where the body begins.
    pub body: usize,
    /// Whether a line among the fields is none.
    pub has_foreign_lines: bool,
}

/// The header of a part that begins at `start`. It ends at an empty line, or at the first line
/// that is no field: mails without that empty line exist, and no text may be lost to the header.
pub fn block(raw: &[u8], start: usize) -> Block {
    read_block(raw, start, false)
}

/// The header of the mail itself. A line that is no field does not end it if a field follows that
/// every mail has once and this one has not had yet: programs put notes of theirs above the header
/// and lose the blanks of folded lines.
pub fn block_of_mail(raw: &[u8]) -> Block {
    read_block(raw, 0, true)
}

fn read_block(raw: &[u8], start: usize, goes_on: bool) -> Block {
    let mut at = start;
    let mut foreign = false;
    while at < raw.len() {
        let line = lines::line_at(raw, at);
        let text = lines::content(&raw[line.clone()]);
        if text.is_empty() {
            return Block { fields: start..at, body: line.end, has_foreign_lines: foreign };
        }
        let folded = at > start && is_folded(&raw[start..line.end], at - start);
        if !folded && colon(text).is_none() && !text.starts_with(b">From ") {
            match goes_on.then(|| field_behind(raw, start, line.end)).flatten() {
                Some(field) => {
                    foreign = true;
                    at = field;
                }
                None => return Block { fields: start..at, body: at, has_foreign_lines: foreign },
            }
            continue;
        }
        at = line.end;
    }
    Block { fields: start..at, body: at, has_foreign_lines: foreign }
}

/// Lines behind one that is no field among which another field is looked for.
const FOREIGN_LINES_MAX: usize = 50;
/// Fields that say where a header goes on. What quotes another mail's header into a text repeats
/// those that its own header has already.
const ONCE: [&[u8]; 5] = [b"from", b"date", b"subject", b"message-id", b"mime-version"];

/// Where, behind a line that is no field, the header that began at `start` goes on.
fn field_behind(raw: &[u8], start: usize, mut at: usize) -> Option<usize> {
    let is_it = |name: &[u8], once: &[u8]| name.eq_ignore_ascii_case(once);
    let mut had = [false; ONCE.len()];
    for field in fields(&raw[start..at]) {
        ONCE.iter().zip(&mut had).for_each(|(once, had)| *had |= is_it(field.name, once));
    }
    for _ in 0..FOREIGN_LINES_MAX {
        if at >= raw.len() {
            return None;
        }
        let line = lines::line_at(raw, at);
        let text = lines::content(&raw[line.clone()]);
        if text.is_empty() {
            return None;
        }
        let name = colon(text).map(|end| text[..end].trim_ascii()).unwrap_or_default();
        if ONCE.iter().zip(had).any(|(once, had)| !had && is_it(name, once)) {
            return Some(at);
        }
        at = line.end;
    }
    None
}

/// The header of a mail that was returned: up to the empty line, whatever stands between its
/// fields. Programs that return mails lose the blanks of folded lines, and nothing is shown of it.
pub fn returned(raw: &[u8]) -> &[u8] {
    let mut at = 0;
    while at < raw.len() {
        let line = lines::line_at(raw, at);
        if lines::content(&raw[line.clone()]).is_empty() {
            return &raw[..at];
        }
        at = line.end;
    }
    raw
}

/// Whether the line at `at` goes on with the field before it (RFC 5322 section 2.2.3). Some
/// programs lose the blank that says so: a parameter after a line that ends in `;` goes on as well.
fn is_folded(block: &[u8], at: usize) -> bool {
    match block.get(at) {
        Some(b' ' | b'\t') => true,
        Some(_) => block[..at].trim_ascii_end().ends_with(b";") && is_parameter(&block[at..]),
        None => false,
    }
}

/// Whether a line begins with `name=` (RFC 2045 section 5.1).
fn is_parameter(line: &[u8]) -> bool {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*');
    let end = line.iter().position(|byte| !token(byte)).unwrap_or(line.len());
    end > 0 && line.get(end) == Some(&b'=')
}

/// Where the colon of a field stands, if the line begins one (RFC 5322 sections 2.2 and 4.5.8).
fn colon(line: &[u8]) -> Option<usize> {
    let end = line.iter().position(|byte| !matches!(byte, 33..=57 | 59..=126))?;
    let blanks = line[end..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    (end > 0 && line.get(end + blanks) == Some(&b':')).then_some(end + blanks)
}

/// A field as it stands in the mail.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// The name as written.
    pub name: &'a [u8],
    /// The value with its line breaks.
    pub folded: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether this is the name, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value without its line breaks (RFC 5322 section 2.2.3).
    pub fn value(&self) -> Cow<'a, [u8]> {
        if !self.folded.contains(&b'\n') {
            return Cow::Borrowed(self.folded.trim_ascii());
        }
        let mut value = Vec::with_capacity(self.folded.len());
        for line in self.folded.split(|byte| *byte == b'\n') {
            value.extend_from_slice(lines::content(line));
        }
        Cow::Owned(value.trim_ascii().to_vec())
    }
}

/// The fields of a header, in order.
pub fn fields(block: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < block.len() {
            let first = lines::line_at(block, at);
            let mut end = first.end;
            while is_folded(block, end) {
                end = lines::line_at(block, end).end;
            }
            let start = at;
            at = end;
            if let Some(colon) = colon(&block[first]) {
                let name = block[start..start + colon].trim_ascii_end();
                return Some(Field {
                    name,
                    folded: lines::content(&block[start + colon + 1..end]),
                });
            }
        }
        None
    })
}

/// The first field of that name.
pub fn find<'a>(block: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    fields(block).find(|field| field.is(name)).map(|field| field.value())
}

/// What a part says about itself.
#[derive(Debug)]
pub struct Content {
    /// Media type in lower case, `text/plain` if nothing is said (RFC 2045 section 5.2).
    pub kind: String,
    /// Whether a Content-Type was there at all.
    pub declared: bool,
    /// Parameters of Content-Type.
    pub parameters: Parameters,
    /// Content-Disposition, its word in lower case.
    pub disposition: Option<String>,
    /// Parameters of Content-Disposition.
    pub disposition_parameters: Parameters,
    /// Content-ID without angle brackets.
    pub id: Option<String>,
    /// Content-Description, as it stands there.
    pub description: Option<Vec<u8>>,
    /// Content-Transfer-Encoding.
    pub transfer: Transfer,
}

impl Content {
    /// Reads the Content fields of a header.
    pub fn read(block: &[u8]) -> Content {
        let mut content = Content {
            kind: "text/plain".to_owned(),
            declared: false,
            parameters: Parameters::default(),
            disposition: None,
            disposition_parameters: Parameters::default(),
            id: None,
            description: None,
            transfer: Transfer::Plain,
        };
        let mut is_valid = true;
        let mut transfer_said = false;
        for field in fields(block).filter(|field| starts_content(field.name)) {
            if field.is("Content-Type") && !content.declared {
                let value = field.value();
                let (kind, parameters) = split_value(&value);
                content.declared = true;
                content.parameters = parameters;
                is_valid = media_type(&kind).is_some();
                content.kind = media_type(&kind).unwrap_or_else(|| "text/plain".to_owned());
            } else if field.is("Content-Disposition") && content.disposition.is_none() {
                let value = field.value();
                let (word, parameters) = split_value(&value);
                content.disposition = Some(word);
                content.disposition_parameters = parameters;
            } else if field.is("Content-Transfer-Encoding") && !transfer_said {
                transfer_said = true;
                content.transfer = Transfer::named(&field.value());
            } else if field.is("Content-ID") && content.id.is_none() {
                content.id = ids(&field.value(), 1).pop();
            } else if field.is("Content-Description") && content.description.is_none() {
                content.description = Some(field.value().into_owned());
            }
        }
        if !is_valid && content.is_file() {
            content.kind = "application/octet-stream".to_owned();
        }
        content
    }

    /// Whether it looks like a file, whatever its type: RFC 2045 section 5.2 takes a type that
    /// nobody understands for text, and that holds for text alone.
    fn is_file(&self) -> bool {
        let named = |parameters: &Parameters, name| {
            parameters.bytes(name).is_some_and(|value| !value.trim_ascii().is_empty())
        };
        self.disposition.as_deref() == Some("attachment")
            || self.transfer == Transfer::Base64
            || named(&self.disposition_parameters, "filename")
            || named(&self.parameters, "name")
    }

    /// Whether its parts are separated by a boundary.
    pub fn is_multipart(&self) -> bool {
        self.kind.starts_with("multipart/")
    }

    /// Whether it encloses a mail.
    pub fn is_message(&self) -> bool {
        matches!(self.kind.as_str(), "message/rfc822" | "message/global" | "message/news")
    }

    /// The charset label.
    pub fn charset(&self) -> Option<Cow<'_, str>> {
        self.parameters.plain("charset")
    }
}

fn starts_content(name: &[u8]) -> bool {
    name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
}

/// `word; parameters`, the word in lower case and without comments (RFC 2045 section 5.1).
fn split_value(value: &[u8]) -> (String, Parameters) {
    let mut word = Vec::new();
    let mut depth = 0_usize;
    let mut end = value.len();
    for (at, byte) in value.iter().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            b';' if depth == 0 => {
                end = at;
                break;
            }
            _ if depth == 0 => word.push(*byte),
            _ => {}
        }
    }
    if depth > 0 {
        // A comment that never closes hides nothing.
        end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        word = value[..end].to_vec();
    }
    let word = String::from_utf8_lossy(word.trim_ascii()).to_ascii_lowercase();
    (word, Parameters::read(value.get(end + 1..).unwrap_or_default()))
}

/// Longest media type kept, in bytes (RFC 6838 section 4.2: 127 for each side).
const MEDIA_TYPE_BYTES_MAX: usize = 255;

/// A media type made of the characters RFC 6838 section 4.2 allows; `None` if it is none. The bare
/// `text` of very old mails is one, and so is every kind of `multipart`.
fn media_type(word: &str) -> Option<String> {
    let word = word.split_whitespace().next().unwrap_or_default().trim_matches(['"', '\'']);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+/".contains(c);
    let sides = word.split_once('/').filter(|(a, b)| !a.is_empty() && !b.is_empty());
    let valid = word.len() <= MEDIA_TYPE_BYTES_MAX && word.chars().all(allowed);
    match sides {
        None if word.is_empty() || word == "text" || word == "text/" => {
            Some("text/plain".to_owned())
        }
        None if word == "multipart" || word == "multipart/" => Some("multipart/mixed".to_owned()),
        Some(("multipart", _)) if !valid => Some("multipart/mixed".to_owned()),
        Some(("application" | "audio" | "font" | "image" | "model" | "video", _)) if !valid => {
            Some("application/octet-stream".to_owned())
        }
        Some(_) if valid => Some(word.to_owned()),
        Some(_) | None => None,
    }
}

/// The last `max` ids within angle brackets.
pub fn ids(value: &[u8], max: usize) -> Vec<String> {
    let mut found: VecDeque<&[u8]> = VecDeque::new();
    let mut rest = value;
    while let Some(open) = rest.iter().position(|byte| *byte == b'<') {
        rest = &rest[open + 1..];
        let Some(close) = rest.iter().position(|byte| matches!(byte, b'>' | b'<')) else { break };
        if rest[close] == b'>' {
            found.push_back(&rest[..close]);
            if found.len() > max {
                found.pop_front();
            }
            rest = &rest[close + 1..];
        } else {
            rest = &rest[close..];
        }
    }
    found.into_iter().filter_map(usable_id).collect()
}

/// The id of the mail: within brackets, or, as some software writes it, bare.
pub fn message_id(value: &[u8]) -> Option<String> {
    ids(value, 1).pop().or_else(|| {
        let bare = value.trim_ascii();
        let bracket = bare.contains(&b'<') || bare.contains(&b'>');
        (!bracket).then(|| usable_id(bare)).flatten()
    })
}

/// Ids of In-Reply-To: within brackets, else words with an at sign.
pub fn in_reply_to(value: &[u8]) -> Vec<String> {
    let value = &*opened(value);
    let found = ids(value, IN_REPLY_TO_MAX);
    if !found.is_empty() || value.contains(&b'<') {
        return found;
    }
    let words = value.split(u8::is_ascii_whitespace).filter(|word| word.contains(&b'@'));
    words.filter_map(usable_id).take(IN_REPLY_TO_MAX).collect()
}

/// Ids of References, the last [`REFERENCES_MAX`].
pub fn references(value: &[u8]) -> Vec<String> {
    ids(&opened(value), REFERENCES_MAX)
}

/// Ids that stand within encoded words, against RFC 2047 section 5: `email.policy` of Python writes
/// those so that do not fit into a line.
fn opened(value: &[u8]) -> Cow<'_, [u8]> {
    let encoded = value.windows(2).any(|two| two == b"=?");
    if !encoded || value.contains(&b'<') {
        return Cow::Borrowed(value);
    }
    Cow::Owned(words::decode(value, charset::Hint::default()).text.into_bytes())
}

/// An id that can be stored, compared and written into a header: no blanks, no control
/// characters, and by its hash if it is too long.
fn usable_id(id: &[u8]) -> Option<String> {
    let id = id.trim_ascii();
    if id.len() > MESSAGE_ID_BYTES_MAX {
        return Some(format!("sha256-{}@{LONG_ID_DOMAIN}", Digest::of(id).hex()));
    }
    let text = charset::decode(id, None, Language::default()).text;
    let clean: String = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    (!clean.is_empty()).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_block(raw: &str, fields: usize, body: &str) {
        let block = block(raw.as_bytes(), 0);
        assert_eq!(super::fields(&raw.as_bytes()[block.fields]).count(), fields);
        assert_eq!(&raw[block.body..], body);
    }

    #[test]
    fn ids_in_encoded_words() {
        let value = b"=?utf-8?q?=3C1=2E24=2Eabc=40desk?= =?utf-8?q?=2Eexample=3E?=";
        assert_eq!(in_reply_to(value), ["1.24.abc@desk.example"]);
        assert_eq!(references(b"=?utf-8?q?=3Ca=40x=3E_=3Cb=40x=3E?="), ["a@x", "b@x"]);
        assert_eq!(references(b"<=?a@x> <b@x>"), ["=?a@x", "b@x"]);
    }

    #[test]
    fn ends_of_headers() {
        check_block("A: 1\r\nB: 2\r\n 3\r\n\r\nbody", 2, "body");
        check_block("A: 1\nB: 2\n", 2, "");
        check_block("A: 1\nHello you\n", 1, "Hello you\n");
        check_block("A: 1\n>From x y\nB: 2\n\nb", 2, "b");
        check_block("\nbody", 0, "body");
        check_block("A : 1\n\n", 1, "");
        check_block("A: a/b; \nx=1\n\nbody", 1, "body");
        check_block("A: a/b;\nx-y*0=\"Z: \";\nz=2\nB: 2\n\nbody", 2, "body");
        check_block("A: a/b\nx=1\n", 1, "x=1\n");
        check_block("A: a/b;\nHello x=1\n", 1, "Hello x=1\n");
        check_block("A: a/b;\n\nx=1\n", 1, "x=1\n");
    }

    #[track_caller]
    fn check_mail(raw: &str, fields: usize, body: &str) {
        let block = block_of_mail(raw.as_bytes());
        assert_eq!(super::fields(&raw.as_bytes()[block.fields]).count(), fields);
        assert_eq!(&raw[block.body..], body);
    }

    #[test]
    fn a_foreign_line_does_not_end_the_header_of_a_mail() {
        check_mail("*** forwarded ***\nFrom: a@x\nDate: b\n\nbody", 2, "body");
        check_mail("Received: by a\nid 7\nwith b\nFrom: a@x\n\nbody", 2, "body");
        check_mail("From: a@x\nHello\nyou\n\nDate: b\n", 1, "Hello\nyou\n\nDate: b\n");
        // The header of a mail that is quoted in the text repeats what was there.
        check_mail(
            "From: a@x\nDate: b\nHello\nFrom: c@x\nDate: d\n",
            2,
            "Hello\nFrom: c@x\nDate: d\n",
        );
        check_mail("From: a@x\nHello\nTo: c@x\n", 1, "Hello\nTo: c@x\n");
    }

    #[test]
    fn headers_of_returned_mails() {
        let text = b"Received: by a\nid 7; Monday\nMessage-ID: <a@x>\n\nMessage-ID: <b@x>\n";
        assert_eq!(find(returned(text), "Message-ID").as_deref(), Some(&b"<a@x>"[..]));
        assert_eq!(returned(b"A: 1\nB: 2"), b"A: 1\nB: 2");
        assert_eq!(returned(b"\nA: 1\n"), b"");
    }

    #[test]
    fn values_are_unfolded() {
        let value =
            |raw: &'static str| find(raw.as_bytes(), "subject").expect("there").into_owned();
        assert_eq!(value("Subject: a\r\n b\r\n\tc\r\n"), b"a b\tc");
        assert_eq!(value("SUBJECT:\n  a\nSubject: b\n"), b"a");
        assert_eq!(value("Subject: a;\nb=1;\nc=2\nd=3\n"), b"a;b=1;c=2");
    }

    #[track_caller]
    fn check_id(value: &str, expected: Option<&str>) {
        assert_eq!(message_id(value.as_bytes()).as_deref(), expected);
    }

    #[test]
    fn message_ids() {
        check_id("<a@b.test>", Some("a@b.test"));
        check_id(" 000000B9 ", Some("000000B9"));
        check_id("<n3@>", Some("n3@"));
        check_id("<>", None);
        check_id("<a\0b@x>", Some("a\u{fffd}b@x"));
        check_id("<a b@x>", Some("ab@x"));
        let long = message_id(format!("<{}@x>", "m".repeat(5_000)).as_bytes()).expect("by hash");
        assert!(long.starts_with("sha256-") && long.ends_with("@long.invalid"));
    }

    #[test]
    fn ids_of_others() {
        assert_eq!(in_reply_to(b"Your message of Monday <a@x> <b@x>"), ["a@x", "b@x"]);
        assert_eq!(in_reply_to(b"mail a@x of Monday"), ["a@x"]);
        assert_eq!(references(b"<a@x><b@x>\t<c@x"), ["a@x", "b@x"]);
        let many: String = (0..3_000).map(|n| format!("<r{n}@x>")).collect();
        let last = references(many.as_bytes());
        assert_eq!((last.len(), last[99].as_str()), (REFERENCES_MAX, "r2999@x"));
    }

    #[test]
    fn media_types() {
        for (value, expected) in [
            ("Text/HTML; charset=x", "text/html"),
            ("text", "text/plain"),
            ("", "text/plain"),
            ("image/png\"><script>", "application/octet-stream"),
            ("nonsense", "text/plain"),
            ("<html>", "text/plain"),
            ("nonsense; name=a.bin", "application/octet-stream"),
            ("multipart; boundary=x", "multipart/mixed"),
            ("multipart/*; boundary=x", "multipart/mixed"),
            ("text/plain (see; below); charset=x", "text/plain"),
            ("text/html (open", "text/html"),
        ] {
            let block = format!("Content-Type: {value}\n");
            assert_eq!(Content::read(block.as_bytes()).kind, expected);
        }
    }
}
