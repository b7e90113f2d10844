//! Uuencode: files in plain text, as Unix sent them before MIME and some Windows programs still do.
//!
//! Architecture invariant: linear; a line that is not what it should be ends the file.

use std::ops::Range;

use super::lines;

/// The data between `begin` and `end`, or all of it where those lines are missing, line by line.
pub fn pieces(body: &[u8], mut take: impl FnMut(&[u8])) {
    let mut at = begin(body);
    let mut bytes = Vec::with_capacity(45);
    while at < body.len() {
        let line = lines::line_at(body, at);
        at = line.end;
        let text = lines::content(&body[line]);
        if text == b"end" {
            return;
        }
        bytes.clear();
        if decode_line(text, &mut bytes) {
            take(&bytes);
        }
    }
}

/// Where the line behind `begin` starts; 0 if there is none among the first lines.
fn begin(body: &[u8]) -> usize {
    /// Lines in front of `begin`.
    const LINES_MAX: usize = 20;
    let mut at = 0;
    for _ in 0..LINES_MAX {
        if at >= body.len() {
            break;
        }
        let line = lines::line_at(body, at);
        at = line.end;
        if std::str::from_utf8(lines::content(&body[line])).is_ok_and(|text| name(text).is_some()) {
            return at;
        }
    }
    0
}

/// Appends one decoded line; `false` if it is none. Blanks at its end may be lost.
fn decode_line(line: &[u8], bytes: &mut Vec<u8>) -> bool {
    let Some((first @ 0x20..=0x60, digits)) = line.split_first() else { return false };
    let length = usize::from((first - 0x20) & 0x3f);
    let needed = length.div_ceil(3) * 4;
    // Some programs add a digit of checksum.
    if digits.len() > needed + 1 || !digits.iter().all(|byte| (0x20..=0x60).contains(byte)) {
        return false;
    }
    let digit = |at: usize| digits.get(at).map_or(0, |byte| (byte - 0x20) & 0x3f);
    let start = bytes.len();
    for group in (0..needed).step_by(4) {
        let [a, b, c, d] = [digit(group), digit(group + 1), digit(group + 2), digit(group + 3)];
        bytes.extend([a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
    }
    bytes.truncate(start + length);
    true
}

/// The file name of a `begin 644 name` line.
fn name(line: &str) -> Option<&str> {
    let (mode, name) = line.strip_prefix("begin ")?.split_once(' ')?;
    let octal =
        matches!(mode.len(), 3 | 4) && mode.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let name = name.trim();
    (octal && !name.is_empty()).then_some(name)
}

/// A file found in a text.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// From `begin` to the line of `end`.
    pub place: Range<usize>,
    /// Its name.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Files within a text, at most `max`. Only what is whole, from `begin` to `end`, is a file.
pub fn find(text: &str, max: usize) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while found.len() < max {
        let Some(start) = next_begin(text, at) else { break };
        let (file, end) = file(text, start);
        found.extend(file);
        at = end;
    }
    found
}

/// Where the next line starts that begins with `begin `.
fn next_begin(text: &str, at: usize) -> Option<usize> {
    if (at == 0 || text[..at].ends_with('\n')) && text[at..].starts_with("begin ") {
        return Some(at);
    }
    text[at..].find("\nbegin ").map(|found| at + found + 1)
}

/// The file that begins at `start`, if it is one, and how far was read.
fn file(text: &str, start: usize) -> (Option<Found>, usize) {
    let raw = text.as_bytes();
    let mut line = lines::line_at(raw, start);
    let Some(name) = name(text[line.clone()].trim_end()) else {
        return (None, line.end);
    };
    let mut bytes = Vec::new();
    while line.end < raw.len() {
        line = lines::line_at(raw, line.end);
        let content = lines::content(&raw[line.clone()]);
        if content == b"end" {
            let found = Found { place: start..line.end, name: name.to_owned(), bytes };
            return (Some(found), line.end);
        }
        if !decode_line(content, &mut bytes) {
            return (None, line.start);
        }
    }
    (None, raw.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(body: &str) -> Vec<u8> {
        let mut decoded = Vec::new();
        pieces(body.as_bytes(), |piece| decoded.extend_from_slice(piece));
        decoded
    }

    #[test]
    fn with_and_without_its_frame() {
        assert_eq!(decoded("begin 644 a.txt\r\n#86)C\r\n`\r\nend\r\nmore\r\n"), b"abc");
        assert_eq!(decoded("#86)C\n!80\n`\n"), b"abca");
        assert_eq!(decoded(""), b"");
    }

    #[test]
    fn files_in_a_text() {
        let text =
            "See below.\n\nbegin 644 my file.txt\n#86)C\n`\nend\n\nbegin 644 open\n#86)C\nBye\n";
        let found = find(text, 10);
        let [file] = found.as_slice() else { panic!("one is whole: {found:?}") };
        assert_eq!((file.name.as_str(), file.bytes.as_slice()), ("my file.txt", &b"abc"[..]));
        assert_eq!(&text[file.place.end..][..7], "\nbegin ");
        assert_eq!(find("begin 644 a\nend\n", 10).len(), 1);
        assert_eq!(find("we begin 644 a\nbegin at nine\nend\n", 10), []);
    }

    #[test]
    fn many_beginnings_are_linear() {
        assert_eq!(find(&"begin 644 a\n".repeat(200_000), 10), []);
    }
}
