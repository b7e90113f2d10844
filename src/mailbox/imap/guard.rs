//! Stands between the connection and the IMAP parser and bounds what a server can make it do.
//!
//! The parser recurses at each parenthesis and reserves a literal's announced size at once; a line
//! without end it parses again at every read. The guard sees each byte before it does.
//!
//! Architecture invariant: the guard changes nothing; it passes bytes on or ends the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest answer without its literals. A `FLAGS` or `LIST` line is far below.
pub const LINE_BYTES_MAX: usize = 256 * 1024;
/// Largest literal: a piece of a message, which is at most 1 MiB.
pub const LITERAL_BYTES_MAX: u64 = 1024 * 1024;
/// Deepest nesting of parentheses. What we ask for needs three.
pub const DEPTH_MAX: u32 = 20;

/// What a server did that no server should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// A line over [`LINE_BYTES_MAX`].
    #[error("a line of more than {LINE_BYTES_MAX} bytes")]
    Line,
    /// A literal over [`LITERAL_BYTES_MAX`].
    #[error("a literal of more than {LITERAL_BYTES_MAX} bytes")]
    Literal,
    /// Parentheses deeper than [`DEPTH_MAX`].
    #[error("parentheses nested more than {DEPTH_MAX} deep")]
    Depth,
}

/// A connection whose incoming bytes are watched.
#[derive(Debug)]
pub struct Guard<T> {
    io: T,
    watch: Watch,
}

impl<T> Guard<T> {
    /// Watches this connection.
    pub fn new(io: T) -> Guard<T> {
        Guard { io, watch: Watch::default() }
    }

    /// The connection.
    pub fn get_ref(&self) -> &T {
        &self.io
    }
}

/// How far the current answer has been read.
#[derive(Debug, Default)]
struct Watch {
    /// Bytes of the current literal still to come.
    literal: u64,
    /// Bytes of the current answer outside of literals.
    line: usize,
    /// The first of them.
    head: [u8; HEAD_BYTES],
    /// Open parentheses.
    depth: u32,
    /// Whether we are inside of a quoted string.
    quoted: bool,
    /// Whether the next character of a quoted string is escaped.
    escaped: bool,
    /// How much of `{123}` at the end of a line was seen.
    announced: Announced,
}

/// Enough for `* 4294967295 FETCH `.
const HEAD_BYTES: usize = 19;

/// A literal's announcement (RFC 3501 section 4.3), as far as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Announced {
    #[default]
    Nothing,
    Digits(u64),
    Complete(u64),
}

impl Watch {
    fn see(&mut self, mut bytes: &[u8]) -> Result<(), Excess> {
        while !bytes.is_empty() {
            if self.literal > 0 {
                let skipped = bytes.len().min(usize::try_from(self.literal).unwrap_or(usize::MAX));
                self.literal -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            self.see_byte(bytes[0])?;
            bytes = &bytes[1..];
        }
        Ok(())
    }

    fn see_byte(&mut self, byte: u8) -> Result<(), Excess> {
        if let Some(place) = self.head.get_mut(self.line) {
            *place = byte;
        }
        self.line += 1;
        if self.line > LINE_BYTES_MAX {
            return Err(Excess::Line);
        }
        if byte == b'\n' {
            return self.end_line();
        }
        self.announced = self.announced.then(byte);
        self.see_text(byte)
    }

    fn end_line(&mut self) -> Result<(), Excess> {
        match std::mem::take(&mut self.announced) {
            Announced::Complete(length) if length > LITERAL_BYTES_MAX => Err(Excess::Literal),
            // The answer goes on after the literal: its length and depth go on counting. Only in
            // a FETCH is a literal passed over unseen. Elsewhere the parser may take `{5}` for
            // ordinary text, and what follows for an answer that we must look at.
            Announced::Complete(length) => {
                if is_fetch(&self.head) {
                    self.literal = length;
                }
                Ok(())
            }
            Announced::Nothing | Announced::Digits(_) => {
                *self = Watch::default();
                Ok(())
            }
        }
    }

    fn see_text(&mut self, byte: u8) -> Result<(), Excess> {
        match (self.quoted, byte) {
            (true, _) if self.escaped => self.escaped = false,
            (true, b'\\') => self.escaped = true,
            (_, b'"') => self.quoted = !self.quoted,
            (false, b'(') => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(Excess::Depth);
                }
            }
            (false, b')') => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }
}

/// Whether an answer that begins so is a FETCH (RFC 3501 section 7.4.2).
fn is_fetch(head: &[u8]) -> bool {
    let Some(rest) = head.strip_prefix(b"* ") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let word = rest.get(digits..digits + 7);
    digits > 0 && word.is_some_and(|word| word.eq_ignore_ascii_case(b" FETCH "))
}

impl Announced {
    /// What is announced after one more byte.
    fn then(self, byte: u8) -> Announced {
        match (self, byte) {
            (_, b'{') => Announced::Digits(0),
            (Announced::Digits(length), b'0'..=b'9') => {
                let digit = u64::from(byte - b'0');
                Announced::Digits(length.saturating_mul(10).saturating_add(digit))
            }
            (Announced::Digits(length), b'}') => Announced::Complete(length),
            (Announced::Complete(length), b'\r') => Announced::Complete(length),
            _ => Announced::Nothing,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guard<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.io).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                let seen = this.watch.see(&buffer.filled()[before..]);
                Poll::Ready(seen.map_err(io::Error::other))
            }
            other => other,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guard<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole, and byte by byte: where reads end must not matter.
    #[track_caller]
    fn check(bytes: &[u8], expected: Result<(), Excess>) {
        assert_eq!(Watch::default().see(bytes), expected);
        let mut watch = Watch::default();
        assert_eq!(bytes.iter().try_for_each(|byte| watch.see(&[*byte])), expected);
    }

    #[test]
    fn ordinary_answer() {
        check(b"* 1 FETCH (UID 1 BODY[] {5}\r\n((((( FLAGS (\\Seen))\r\nA1 OK done\r\n", Ok(()));
    }

    #[test]
    fn parentheses_in_literals_and_strings_are_text() {
        let text = "(".repeat(100);
        check(format!("* 1 FETCH (BODY[] {{100}}\r\n{text} X \"{text}\")\r\n").as_bytes(), Ok(()));
    }

    #[test]
    fn nested_too_deep() {
        check(b"* 1 FETCH (((((((((((((((((((((", Err(Excess::Depth));
    }

    #[test]
    fn nested_over_two_lines_with_a_literal_between() {
        let answer = format!("* {}{{1}}\r\nx{}", "(".repeat(15), "(".repeat(15));
        check(answer.as_bytes(), Err(Excess::Depth));
    }

    #[test]
    fn bomb_behind_a_literal_that_is_none() {
        let answer = format!("* OK {{9000}}\r\n* 1 FETCH ({}", "(".repeat(DEPTH_MAX as usize));
        check(answer.as_bytes(), Err(Excess::Depth));
    }

    #[test]
    fn many_answers_do_not_add_up() {
        check("* 1 FETCH (\r\n".repeat(100).as_bytes(), Ok(()));
    }

    #[test]
    fn literal_of_a_piece() {
        check(b"* 1 FETCH (BODY[]<0> {1048576}\r\n", Ok(()));
    }

    #[test]
    fn literal_too_large() {
        check(b"* 1 FETCH (BODY[] {400000000}\r\n", Err(Excess::Literal));
    }

    #[test]
    fn literal_length_beyond_any_number() {
        check(b"* 1 FETCH (BODY[] {99999999999999999999999999}\r\n", Err(Excess::Literal));
    }

    #[test]
    fn endless_line() {
        check(&vec![b'x'; LINE_BYTES_MAX + 1], Err(Excess::Line));
    }

    #[test]
    fn many_literals_in_one_answer() {
        check("{0}\r\n".repeat(LINE_BYTES_MAX).as_bytes(), Err(Excess::Line));
    }
}
