//! Lines of a mail, whatever ends them.
//!
//! Architecture invariant: looks at bytes only; knows nothing of headers or MIME.

use std::borrow::Cow;
use std::io::BufRead;
use std::ops::Range;

/// The mail as the other modules read it: without what an mbox writer or an editor put in front,
/// and with LF where the mail uses bare CR (old Macintosh software).
pub fn normalize(raw: &[u8]) -> Cow<'_, [u8]> {
    let start = bare_from(raw);
    if start < raw.len() {
        let (kept, bare) = raw.split_at(start);
        let mut whole = Vec::with_capacity(raw.len());
        whole.extend_from_slice(kept);
        for (at, byte) in bare.iter().enumerate() {
            let is_bare = *byte == b'\r' && bare.get(at + 1) != Some(&b'\n');
            whole.push(if is_bare { b'\n' } else { *byte });
        }
        let lead = whole.len() - without_lead(&whole).len();
        whole.drain(..lead);
        return Cow::Owned(whole);
    }
    Cow::Borrowed(without_lead(raw))
}

/// From where on bare CR ends the lines. A server may have put fields of its own in front, with
/// LF, and a line end behind: so there is none but in the header and at the very end.
fn bare_from(raw: &[u8]) -> usize {
    let content = raw.trim_ascii_end();
    let start = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let bare = content[start..].contains(&b'\r');
    let header_ended = bare && {
        let head = without_lead(&raw[..start]);
        head.windows(2).any(|pair| pair == b"\n\n")
            || head.windows(4).any(|four| four == b"\r\n\r\n")
    };
    if bare && !header_ended { start } else { raw.len() }
}

/// Cuts a byte order mark, empty lines and an mbox `From ` line.
fn without_lead(raw: &[u8]) -> &[u8] {
    let raw = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw);
    let mut start = 0;
    let mut at = 0;
    while let Some(byte) = raw.get(at).filter(|byte| byte.is_ascii_whitespace()) {
        at += 1;
        start = if matches!(byte, b'\r' | b'\n') { at } else { start };
    }
    let raw = &raw[start..];
    if raw.starts_with(b"From ") || raw.starts_with(b">From ") {
        let first = line_at(raw, 0);
        if raw.contains(&b'\n') {
            return &raw[first.end..];
        }
    }
    raw
}

/// The line that begins at `at`, with its line feed.
pub fn line_at(raw: &[u8], at: usize) -> Range<usize> {
    let mut rest = &raw[at..];
    // The one search for a byte in the standard library that uses the processor's wide registers.
    let length = rest.skip_until(b'\n').expect("a slice can always be read");
    at..at + length
}

/// The line without the characters that end it.
pub fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// `end` moved before the line break in front of it: that one belongs to the boundary line
/// (RFC 2046 section 5.1.1).
pub fn before_break(raw: &[u8], start: usize, end: usize) -> usize {
    start + content(&raw[start..end]).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: &str) {
        assert_eq!(normalize(raw.as_bytes()), expected.as_bytes());
    }

    #[test]
    fn what_stands_in_front_is_cut() {
        check("From eve@x.test Sat Nov 21\nSubject: a\n\nb", "Subject: a\n\nb");
        check("\u{feff}\r\nSubject: a\r\n", "Subject: a\r\n");
        check("From: eve@x.test\n", "From: eve@x.test\n");
    }

    #[test]
    fn only_a_mail_without_line_feeds_is_rewritten() {
        check("Subject: a\r\rb", "Subject: a\n\nb");
        check("Subject: a\n\nb\rc", "Subject: a\n\nb\rc");
        check("From a@x Mon\rSubject: a\r\rb\r\n", "Subject: a\n\nb\r\n");
        check("Received: x\r\nSubject: a\r\rb\r", "Received: x\r\nSubject: a\n\nb\n");
        check("  \n \nSubject: a\n", "Subject: a\n");
    }

    #[test]
    fn the_break_before_a_boundary_is_not_content() {
        assert_eq!(before_break(b"ab\r\n", 0, 4), 2);
        assert_eq!(before_break(b"ab\n", 0, 3), 2);
        assert_eq!(before_break(b"", 0, 0), 0);
    }
}
