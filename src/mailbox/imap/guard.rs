//! Stands between the connection and the IMAP parser: frames each answer, bounds it, and hands on
//! only what the parser reads safely.
//!
//! The parser recurses at each parenthesis, reserves a literal's announced size at once, reads a
//! line without end again at every read, and panics at some answers (`INTERNALDATE NIL`). One
//! attribute that it cannot read costs the whole session. So the guard reads each answer first:
//! FETCH is written anew ([`super::rewrite`]), answers that no command of ours calls for are
//! replaced by an empty `* OK`, and all other lines pass with their text made valid UTF-8.
//!
//! Architecture invariant: the parser sees an answer only when it is complete and bounded; bytes
//! of a message pass unchanged or not at all.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::rewrite::{self, Dropped};

/// Longest answer without its literals. A `FLAGS` or `LIST` line is far below.
pub const LINE_BYTES_MAX: usize = 256 * 1024;
/// Largest literal that is kept, and all literals of one answer together: a piece of a message.
pub const LITERAL_BYTES_MAX: u64 = 1024 * 1024;
/// Largest literal that is read past, so that a message that is larger than announced does not
/// cost the session. A server that sends more is given up.
pub const DROPPED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Deepest nesting of parentheses. What we ask for needs three.
pub const DEPTH_MAX: u32 = 20;
/// Bytes read from the connection at a time.
const READ_BYTES: usize = 16 * 1024;
/// Larger buffers are given back once they are empty: most sessions only wait.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// What a server did that no server should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// A line over [`LINE_BYTES_MAX`].
    #[error("a line of more than {LINE_BYTES_MAX} bytes")]
    Line,
    /// A literal over [`DROPPED_BYTES_MAX`].
    #[error("a literal of more than {DROPPED_BYTES_MAX} bytes")]
    Literal,
    /// Parentheses deeper than [`DEPTH_MAX`].
    #[error("parentheses nested more than {DEPTH_MAX} deep")]
    Depth,
}

/// A connection whose incoming bytes are watched.
#[derive(Debug)]
pub struct Guard<T> {
    io: T,
    frame: Frame,
    /// Bytes received until now for which there is time.
    received: u64,
    /// Why nothing more is read.
    ended: Option<Result<(), Excess>>,
    buffer: Box<[u8]>,
}

impl<T> Guard<T> {
    /// Watches this connection.
    pub fn new(io: T) -> Guard<T> {
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Guard { io, frame: Frame::default(), received: 0, ended: None, buffer }
    }

    /// The connection.
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// At a literal that is being dropped, or is too large for that: what the message has at least.
    /// Its announced length is not believed: pieces will tell.
    pub fn literal_at_least(&self) -> Option<u64> {
        let is_larger = self.ended == Some(Err(Excess::Literal)) || self.frame.watch.is_dropping();
        is_larger.then_some(LITERAL_BYTES_MAX + 1)
    }

    /// Bytes received until now for which there is time. What is dropped has to come to its end
    /// within the time of the step, or is given up.
    pub fn received(&self) -> u64 {
        self.received
    }
}

/// The current answer, as far as it was read, and what may be handed on.
#[derive(Debug, Default)]
struct Frame {
    /// Complete answers for the parser.
    out: Vec<u8>,
    /// How much of it was handed on.
    passed: usize,
    /// The current answer with the literals that are kept.
    answer: Vec<u8>,
    /// Literals of it that were dropped.
    dropped: Vec<Dropped>,
    /// Bytes of its literals that were kept.
    kept: u64,
    watch: Watch,
}

/// How far the current answer has been read.
#[derive(Debug, Default)]
struct Watch {
    /// Bytes of the current literal still to come.
    literal: u64,
    /// Whether they are dropped.
    dropping: bool,
    /// Bytes of the current answer outside of literals.
    line: usize,
    /// Open parentheses.
    depth: u32,
    /// Whether we are inside of a quoted string.
    quoted: bool,
    /// Whether the next character of a quoted string is escaped.
    escaped: bool,
    /// How much of `{123}` at the end of a line was seen.
    announced: Announced,
}

/// A literal's announcement (RFC 3501 section 4.3), as far as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Announced {
    #[default]
    Nothing,
    Digits(u64),
    Complete(u64),
}

impl Frame {
    fn see(&mut self, mut bytes: &[u8]) -> Result<(), Excess> {
        while let Some(first) = bytes.first() {
            if self.watch.literal == 0 {
                self.see_byte(*first)?;
                bytes = &bytes[1..];
                continue;
            }
            let length = usize::try_from(self.watch.literal).unwrap_or(usize::MAX);
            let (literal, rest) = bytes.split_at(bytes.len().min(length));
            self.watch.literal -= literal.len() as u64;
            if !self.watch.dropping {
                self.answer.extend_from_slice(literal);
            }
            bytes = rest;
        }
        Ok(())
    }

    fn see_byte(&mut self, byte: u8) -> Result<(), Excess> {
        self.answer.push(byte);
        self.watch.see(byte)?;
        if byte != b'\n' {
            return Ok(());
        }
        match std::mem::take(&mut self.watch.announced) {
            Announced::Complete(length) if has_literals(&self.answer) => self.begin_literal(length),
            // Elsewhere `{5}` is ordinary text.
            Announced::Complete(_) | Announced::Nothing | Announced::Digits(_) => {
                self.complete();
                Ok(())
            }
        }
    }

    /// The answer goes on after the literal: its length and depth go on counting.
    fn begin_literal(&mut self, length: u64) -> Result<(), Excess> {
        if length > DROPPED_BYTES_MAX {
            return Err(Excess::Literal);
        }
        let is_kept = self.kept + length <= LITERAL_BYTES_MAX;
        if is_kept {
            self.kept += length;
        } else {
            self.dropped.push(Dropped { at: self.answer.len(), length });
        }
        (self.watch.literal, self.watch.dropping) = (length, !is_kept);
        Ok(())
    }

    fn complete(&mut self) {
        rewrite::answer(&self.answer, &self.dropped, &mut self.out);
        empty(&mut self.answer);
        self.dropped.clear();
        (self.kept, self.watch) = (0, Watch::default());
    }

    /// What may be handed on.
    fn rest(&self) -> &[u8] {
        &self.out[self.passed..]
    }

    fn pass(&mut self, count: usize) {
        self.passed += count;
        if self.passed == self.out.len() {
            self.passed = 0;
            empty(&mut self.out);
        }
    }
}

fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT_BYTES_MAX);
}

impl Watch {
    fn is_dropping(&self) -> bool {
        self.dropping && self.literal > 0
    }

    fn see(&mut self, byte: u8) -> Result<(), Excess> {
        self.line += 1;
        if self.line > LINE_BYTES_MAX {
            return Err(Excess::Line);
        }
        if byte == b'\n' {
            return Ok(());
        }
        self.announced = self.announced.then(byte);
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

/// Whether an answer that begins so carries literals that we read: FETCH (RFC 3501 section 7.4.2)
/// and the folder names of LIST (section 7.2.2).
fn has_literals(answer: &[u8]) -> bool {
    rewrite::is_fetch(answer)
        || answer.get(..7).is_some_and(|head| head.eq_ignore_ascii_case(b"* LIST "))
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
        loop {
            let rest = this.frame.rest();
            if !rest.is_empty() {
                let count = rest.len().min(buffer.remaining());
                buffer.put_slice(&rest[..count]);
                this.frame.pass(count);
                return Poll::Ready(Ok(()));
            }
            match this.ended {
                Some(Ok(())) => return Poll::Ready(Ok(())),
                Some(Err(excess)) => return Poll::Ready(Err(io::Error::other(excess))),
                None => {}
            }
            let mut read = ReadBuf::new(&mut this.buffer);
            ready!(Pin::new(&mut this.io).poll_read(context, &mut read))?;
            let bytes = read.filled();
            if !this.frame.watch.is_dropping() {
                this.received += bytes.len() as u64;
            }
            if bytes.is_empty() {
                // Half an answer tells the parser that the end came in the middle of one.
                this.frame.out = std::mem::take(&mut this.frame.answer);
                this.frame.passed = 0;
                this.ended = Some(Ok(()));
            } else if let Err(excess) = this.frame.see(bytes) {
                this.ended = Some(Err(excess));
            }
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
        let mut whole = Frame::default();
        assert_eq!(whole.see(bytes), expected);
        let mut frame = Frame::default();
        assert_eq!(bytes.iter().try_for_each(|byte| frame.see(&[*byte])), expected);
        assert_eq!(frame.out, whole.out);
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
        let answer = format!("* 1 FETCH {}{{1}}\r\nx{}", "(".repeat(15), "(".repeat(15));
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
    fn literal_too_large_to_be_read_past() {
        check(b"* 1 FETCH (BODY[] {400000000}\r\n", Err(Excess::Literal));
    }

    #[test]
    fn literal_length_beyond_any_number() {
        check(b"* 1 FETCH (BODY[] {99999999999999999999999999}\r\n", Err(Excess::Literal));
    }

    #[test]
    fn large_literal_is_read_past_and_its_length_is_handed_on() {
        let length = LITERAL_BYTES_MAX + 1;
        let mut frame = Frame::default();
        frame.see(format!("* 1 FETCH (UID 7 BODY[] {{{length}}}\r\n").as_bytes()).unwrap();
        let piece = vec![b'x'; 64 * 1024];
        let mut left = length as usize;
        while left > 0 {
            frame.see(&piece[..left.min(piece.len())]).unwrap();
            left = left.saturating_sub(piece.len());
            assert!(frame.answer.capacity() < 4096 && frame.out.is_empty());
        }
        frame.see(b" FLAGS ())\r\n").unwrap();
        let expected = format!("* 1 FETCH (UID 7 RFC822.SIZE {length} FLAGS () BODY[] NIL)\r\n");
        assert_eq!(String::from_utf8_lossy(&frame.out), expected);
    }

    #[test]
    fn endless_line() {
        check(&vec![b'x'; LINE_BYTES_MAX + 1], Err(Excess::Line));
    }

    #[test]
    fn many_literals_in_one_answer() {
        let answer = format!("* 1 FETCH ({}", "{0}\r\n".repeat(LINE_BYTES_MAX));
        check(answer.as_bytes(), Err(Excess::Line));
    }
}
