//! A mail as it goes over the wire after DATA.
//!
//! Architecture invariant: no line of a mail can be taken for the end of the mail or for a
//! command, by any server, however lenient it is with line ends.

/// The end of every mail (RFC 5321 section 4.1.1.4).
const END: &[u8] = b".\r\n";

/// Doubles the dot at the start of each line (RFC 5321 section 4.5.2) and adds the end of mail.
///
/// A CR or LF alone becomes CRLF: servers differ in what they take for a line end, and a dot
/// between such two could end the mail for one of them ("SMTP smuggling").
pub fn on_the_wire(raw: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(raw.len() + raw.len() / 32 + 16);
    let mut rest = raw;
    while !rest.is_empty() {
        let (line, after) = next_line(rest);
        if line.first() == Some(&b'.') {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
        wire.extend_from_slice(b"\r\n");
        rest = after;
    }
    wire.extend_from_slice(END);
    wire
}

/// A line without its end, and what follows it.
fn next_line(rest: &[u8]) -> (&[u8], &[u8]) {
    let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return (rest, &[]);
    };
    let after = if rest[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 };
    (&rest[..end], &rest[after..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &[u8], expected: &[u8]) {
        let wire = on_the_wire(raw);
        assert_eq!(String::from_utf8_lossy(&wire), String::from_utf8_lossy(expected));
    }

    #[test]
    fn plain_lines_stay() {
        check(b"Subject: x\r\n\r\nhello\r\n", b"Subject: x\r\n\r\nhello\r\n.\r\n");
    }

    #[test]
    fn the_last_line_gets_its_end() {
        check(b"hello", b"hello\r\n.\r\n");
    }

    #[test]
    fn an_empty_mail_is_only_its_end() {
        check(b"", b".\r\n");
    }

    #[test]
    fn dots_at_line_starts_are_doubled() {
        check(b".\r\n..\r\na.\r\n.b", b"..\r\n...\r\na.\r\n..b\r\n.\r\n");
    }

    #[test]
    fn lone_line_ends_cannot_smuggle() {
        check(b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n");
        check(b"a\r.\rb", b"a\r\n..\r\nb\r\n.\r\n");
        check(b"a\n.\r\nMAIL FROM:<>", b"a\r\n..\r\nMAIL FROM:<>\r\n.\r\n");
        check(b"a\r\n.\rRCPT", b"a\r\n..\r\nRCPT\r\n.\r\n");
        check(b"a\r\r\n.\r\nb", b"a\r\n\r\n..\r\nb\r\n.\r\n");
    }
}
