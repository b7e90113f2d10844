//! Encoded words (RFC 2047) and the values of parameters (RFC 2231).
//!
//! Architecture invariant: linear in the length of the field, whatever stands in it.

use std::borrow::Cow;

use super::charset::{self, Decoded, Hint};
use super::transfer;

/// Longest charset label looked at, in bytes.
const LABEL_BYTES_MAX: usize = 60;

/// Decodes an unfolded field. The hint is for what stands there in raw bytes.
pub fn decode(field: &[u8], hint: Hint<'_>) -> Decoded {
    let raw = raw_text(field, hint);
    if !raw.text.contains("=?") {
        return raw;
    }
    let mut reader = Reader { text: String::new(), problem: raw.problem, hint, run: None };
    reader.read(&raw.text);
    reader.flush();
    Decoded { text: reader.text, problem: reader.problem }
}

/// The field as text, encoded words left as they are.
pub fn raw_text(field: &[u8], hint: Hint<'_>) -> Decoded {
    if field.is_ascii() && !field.contains(&0x1b) {
        let text = String::from_utf8_lossy(field).into_owned();
        return Decoded { text, problem: false };
    }
    unlabelled(field, hint)
}

/// Bytes without a charset: what they say themselves, else the charset of the mail's text, else a
/// guess.
fn unlabelled(bytes: &[u8], hint: Hint<'_>) -> Decoded {
    let plain = charset::decode(bytes, None, hint.language);
    if !plain.problem {
        return plain;
    }
    let by_hint = hint.charset.map(|label| charset::decode(bytes, Some(label), hint.language));
    by_hint.filter(|decoded| !decoded.problem).unwrap_or(plain)
}

/// A field while it is decoded.
struct Reader<'a> {
    text: String,
    problem: bool,
    hint: Hint<'a>,
    /// Neighbouring words of one charset: joined as bytes, because senders split characters.
    run: Option<(&'a str, Vec<u8>)>,
}

/// One encoded word.
struct Word<'a> {
    charset: &'a str,
    bytes: Vec<u8>,
    end: usize,
}

impl<'a> Reader<'a> {
    fn read(&mut self, field: &'a str) {
        let mut plain = 0;
        let mut at = 0;
        let mut ends = Ends { field, next: Some(0) };
        while let Some(found) = field[at..].find("=?") {
            let start = at + found;
            let Some(word) = word(field, start, &mut ends) else {
                at = start + 2;
                continue;
            };
            self.between(&field[plain..start]);
            self.word(word.charset, word.bytes);
            plain = word.end;
            at = word.end;
        }
        self.flush();
        self.text.push_str(&field[plain..]);
    }

    /// Text between two words; blanks between neighbours vanish (RFC 2047 section 6.2).
    fn between(&mut self, text: &str) {
        if self.run.is_some() && text.trim_ascii().is_empty() {
            return;
        }
        self.flush();
        self.text.push_str(text);
    }

    fn word(&mut self, charset: &'a str, bytes: Vec<u8>) {
        match &mut self.run {
            Some((known, run)) if known.eq_ignore_ascii_case(charset) => run.extend(bytes),
            Some(_) | None => {
                self.flush();
                self.run = Some((charset, bytes));
            }
        }
    }

    fn flush(&mut self) {
        if let Some((charset, bytes)) = self.run.take() {
            let decoded = match charset::is_telling(charset) {
                true => charset::decode(&bytes, Some(charset), self.hint.language),
                false => unlabelled(&bytes, self.hint),
            };
            self.text.push_str(&decoded.text);
            self.problem |= decoded.problem;
        }
    }
}

/// Finds `?=`, remembering the last place, so that a field full of `=?` stays linear.
struct Ends<'a> {
    field: &'a str,
    next: Option<usize>,
}

impl Ends<'_> {
    fn after(&mut self, at: usize) -> Option<usize> {
        let next = self.next?;
        if next < at || next == 0 {
            self.next = self.field[at..].find("?=").map(|found| at + found);
        }
        self.next
    }
}

/// Reads `=?charset?B?data?=` at `start`.
fn word<'a>(field: &'a str, start: usize, ends: &mut Ends<'_>) -> Option<Word<'a>> {
    let rest = &field.as_bytes()[start + 2..];
    let limit = rest.len().min(LABEL_BYTES_MAX);
    let label = rest[..limit].iter().position(|byte| !is_label(*byte))?;
    let [b'?', kind, b'?', ..] = &rest[label..] else { return None };
    let data = start + 2 + label + 3;
    let end = ends.after(data)?;
    let payload = field.as_bytes().get(data..end)?;
    let bytes = match kind {
        b'B' | b'b' => transfer::base64(payload),
        b'Q' | b'q' => transfer::q_word(payload),
        _ => return None,
    };
    Some(Word { charset: field.get(start + 2..start + 2 + label)?, bytes, end: end + 2 })
}

fn is_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:+*()'".contains(&byte)
}

/// Parameters of a field looked at; a mail with more is hostile.
const PARAMETERS_MAX: usize = 1_000;

/// Parameters of Content-Type or Content-Disposition.
#[derive(Debug, Default)]
pub struct Parameters(Vec<(String, Vec<u8>)>);

impl Parameters {
    /// Reads what follows the first semicolon.
    pub fn read(mut rest: &[u8]) -> Parameters {
        let mut all = Vec::new();
        while !rest.is_empty() && all.len() < PARAMETERS_MAX {
            let (name, value, tail) = parameter(rest);
            if !name.is_empty() {
                all.push((name, value));
            }
            rest = tail;
        }
        Parameters(all)
    }

    /// A parameter as it stands there, in ASCII, such as `charset`; without a comment behind it
    /// (RFC 2045 section 5.1).
    pub fn plain(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = self.bytes(name)?;
        let text = match value {
            Cow::Borrowed(value) => String::from_utf8_lossy(value),
            Cow::Owned(value) => Cow::Owned(String::from_utf8_lossy(&value).into_owned()),
        };
        Some(match text.find('(') {
            Some(comment) => Cow::Owned(text[..comment].trim_end().to_owned()),
            None => text,
        })
    }

    /// A parameter as bytes, for boundaries; in one piece or in many (RFC 2231 section 3).
    pub fn bytes(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| Cow::Borrowed(value.as_slice()))
            .or_else(|| self.joined(name).map(|joined| Cow::Owned(joined.bytes)))
    }

    /// A parameter for people: RFC 2231 in one piece or many, else RFC 2047, else raw bytes.
    pub fn text(&self, name: &str, hint: Hint<'_>) -> Option<Decoded> {
        if let Some(Joined { label, bytes }) = self.joined(name) {
            return Some(match label.filter(|label| charset::is_telling(label)) {
                Some(label) => charset::decode(&bytes, Some(&label), hint.language),
                None => decode(&bytes, hint),
            });
        }
        // Some senders put encoded words into parameters, against RFC 2047 section 5.
        self.bytes(name).map(|value| decode(&value, hint))
    }

    /// RFC 2231 sections 3 and 4: `name*`, `name*0`, `name*0*`, ...
    fn joined(&self, name: &str) -> Option<Joined> {
        let mut pieces: Vec<(u32, bool, &[u8])> = self
            .0
            .iter()
            .filter_map(|(known, value)| {
                let star = known.strip_prefix(name)?.strip_prefix('*')?;
                let (number, encoded) = match star.strip_suffix('*') {
                    Some(number) => (number, true),
                    None => (star, star.is_empty()),
                };
                let number = if number.is_empty() { 0 } else { number.parse().ok()? };
                Some((number, encoded, value.as_slice()))
            })
            .collect();
        pieces.sort_by_key(|(number, _, _)| *number);
        pieces.dedup_by_key(|(number, _, _)| *number);
        let (_, first_encoded, first) = *pieces.first()?;
        let (label, first) = if first_encoded { split_label(first) } else { (None, first) };
        let mut bytes = Vec::new();
        for (at, (_, encoded, value)) in pieces.iter().enumerate() {
            let value = if at == 0 { first } else { value };
            if *encoded { bytes.extend(percent(value)) } else { bytes.extend_from_slice(value) }
        }
        Some(Joined { label, bytes })
    }
}

/// A parameter put together from its pieces.
struct Joined {
    label: Option<String>,
    bytes: Vec<u8>,
}

/// `charset'language'rest`.
fn split_label(value: &[u8]) -> (Option<String>, &[u8]) {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(label), Some(_), Some(rest)) => {
            (Some(String::from_utf8_lossy(label).into_owned()), rest)
        }
        _ => (None, value),
    }
}

fn percent(value: &[u8]) -> Vec<u8> {
    transfer::hex_escapes(value, b'%')
}

/// One `name=value` and what follows its semicolon.
fn parameter(rest: &[u8]) -> (String, Vec<u8>, &[u8]) {
    let name_end = rest.iter().position(|b| matches!(b, b'=' | b';')).unwrap_or(rest.len());
    let name = String::from_utf8_lossy(rest[..name_end].trim_ascii()).to_ascii_lowercase();
    if rest.get(name_end) != Some(&b'=') {
        return (String::new(), Vec::new(), rest.get(name_end + 1..).unwrap_or_default());
    }
    let value = rest[name_end + 1..].trim_ascii_start();
    if let [b'"', quoted @ ..] = value {
        let (value, tail) = quoted_string(quoted);
        let semicolon = tail.iter().position(|byte| *byte == b';');
        return (name, value, semicolon.map_or(&[][..], |at| &tail[at + 1..]));
    }
    let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
    let word = value[..end].trim_ascii();
    (name, word.to_vec(), value.get(end + 1..).unwrap_or_default())
}

/// Up to the closing quote; a backslash takes the next byte as it is, except before a byte of
/// ISO-2022-JP or Shift_JIS text, where it is half of a character.
fn quoted_string(quoted: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut at = 0;
    while at < quoted.len() {
        match quoted[at] {
            b'"' => return (value, &quoted[at + 1..]),
            b'\\' if matches!(quoted.get(at + 1), Some(b'"' | b'\\')) => {
                value.push(quoted[at + 1]);
                at += 2;
            }
            byte => {
                value.push(byte);
                at += 1;
            }
        }
    }
    (value, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &[u8], expected: &str) {
        assert_eq!(decode(field, Hint::default()).text, expected);
    }

    #[test]
    fn words() {
        check(b"=?UTF-8?Q?=F0=9F=94=A5_fire?=", "🔥 fire");
        check(b"Re: =?iso-8859-1?q?Gr=FC=DFe?= all", "Re: Grüße all");
        check(b"=?Shift_JIS?B?lVyOpoNlg1iDZw==?=", "表示テスト");
        check(b"=?x-nope?Q?abc=E4?=", "abcä");
        check(b"=?utf-8*en?Q?a?=", "a");
    }

    #[test]
    fn neighbours() {
        check(b"=?UTF-8?B?44OG44K54w==?= =?UTF-8?B?g4jku7blkI3liIblibI=?=", "テスト件名分割");
        check(b"=?utf-8?q?a?= =?iso-8859-1?q?b?=", "ab");
        check(b"=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b");
        check(b"=?iso-2022-jp?B?GyRCRnwbKEI=?= =?iso-2022-jp?B?GyRCS1wbKEI=?=", "日本");
    }

    #[test]
    fn what_is_no_word_stays() {
        check(b"=?utf-8?x?a?=", "=?utf-8?x?a?=");
        check(b"=?=?=?", "=?=?=?");
        check(b"=?utf-8?q?open", "=?utf-8?q?open");
    }

    #[test]
    fn raw_bytes() {
        check(b"\x1b$B%F%9%H\x1b(B", "テスト");
        check("件名".as_bytes(), "件名");
        assert_eq!(
            decode(b"\xc7\xcf", Hint { charset: Some("koi8-r"), ..Hint::default() }).text,
            "го"
        );
    }

    #[track_caller]
    fn check_parameter(field: &str, name: &str, expected: Option<&str>) {
        let parameters = Parameters::read(field.as_bytes());
        assert_eq!(parameters.text(name, Hint::default()).map(|d| d.text).as_deref(), expected);
    }

    #[test]
    fn parameters() {
        check_parameter("name=\"a;b\\\"c\"; x=y", "name", Some("a;b\"c"));
        check_parameter("charset = utf-8 ; x=y", "charset", Some("utf-8"));
        check_parameter("filename*=utf-8'ja'%E4%BB%B6.txt", "filename", Some("件.txt"));
        check_parameter(
            "filename*1*=%E4%BB%B6; filename*0*=UTF-8''a; filename*2=.txt",
            "filename",
            Some("a件.txt"),
        );
        check_parameter("filename=\"=?utf-8?B?5Lu2?=\"", "filename", Some("件"));
        check_parameter("x", "filename", None);
        let parameters = Parameters::read(b"boundary*0*=us-ascii''a%20b; boundary*1=c");
        assert_eq!(parameters.bytes("boundary").as_deref(), Some(&b"a bc"[..]));
        let parameters = Parameters::read(b"charset=utf-8 (Plain text)");
        assert_eq!(parameters.plain("charset").as_deref(), Some("utf-8"));
    }

    #[test]
    fn many_words_are_linear() {
        let field = b"=?utf-8?q?a".repeat(100_000);
        assert_eq!(decode(&field, Hint::default()).text.len(), field.len());
        assert_eq!(decode(&b"=?utf-8?q?a?= ".repeat(100_000), Hint::default()).text.len(), 100_001);
    }
}
