//! Parts of a mail (RFC 2046): found in one pass, with a stack of our own in place of recursion.
//!
//! A multipart that was encoded as a whole, against RFC 2045 section 6.4, is decoded in place and
//! the mail read once more; once only, so that wrapping in base64 adds no levels without end.
//!
//! Architecture invariant: memory and time are bounded by the limits, never by the mail.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::header::{self, Content};
use super::transfer::Transfer;
use super::{HEADER_REFUSED_BYTES, LEVELS_MAX, PARTS_MAX, Refusal, lines};

/// A part that was found.
#[derive(Debug)]
pub struct Part {
    /// The multipart it stands in.
    pub parent: Option<usize>,
    /// Bytes of its fields.
    pub header: Range<usize>,
    /// Bytes of its body.
    pub body: Range<usize>,
    /// What its header says.
    pub content: Content,
    /// Whether parts were found in it.
    pub has_parts: bool,
}

/// All parts of a mail, each multipart before what it contains.
#[derive(Debug)]
pub struct Structure {
    /// The parts; the first is the mail itself.
    pub parts: Vec<Part>,
    /// A boundary was missing or never closed, or a line of the header is no field.
    pub broken: bool,
}

/// Counts levels, parts and header bytes, and keeps nothing.
pub fn scan(raw: &[u8]) -> Result<(), Refusal> {
    let raw = lines::normalize(raw);
    let mut walk = Walk::new(&raw, Purpose::Count);
    walk.run()?;
    if !walk.encoded {
        return Ok(());
    }
    let parts = parts(&raw).parts;
    match in_the_open(&raw, &parts) {
        Some(opened) => Walk::new(&opened, Purpose::Count).run(),
        None => Ok(()),
    }
}

/// The mail as its parts are ranges of, and the parts. Enclosed mails stay closed.
pub fn read(original: &[u8]) -> (Cow<'_, [u8]>, Structure) {
    let raw = lines::normalize(original);
    let structure = parts(&raw);
    match in_the_open(&raw, &structure.parts) {
        Some(opened) => {
            let structure = parts(&opened);
            (Cow::Owned(opened), structure)
        }
        None => (raw, structure),
    }
}

fn parts(raw: &[u8]) -> Structure {
    let mut walk = Walk::new(raw, Purpose::Keep);
    // Beyond a limit the rest is left unread: it was refused by `scan` already.
    let refused = walk.run().is_err();
    if walk.parts.is_empty() {
        walk.parts.push(beginning(raw));
    }
    Structure { parts: walk.parts, broken: walk.broken || refused }
}

/// Whether this is a multipart in which no part was found because it is encoded.
fn is_encoded_multipart(content: &Content) -> bool {
    content.is_multipart() && content.transfer != Transfer::Plain
}

/// The mail with those multiparts decoded that were encoded as a whole; `None` if there is none.
fn in_the_open(raw: &[u8], parts: &[Part]) -> Option<Vec<u8>> {
    let encoded = |part: &&Part| !part.has_parts && is_encoded_multipart(&part.content);
    let mut opened: Option<Vec<u8>> = None;
    let mut copied = 0;
    for part in parts.iter().filter(encoded) {
        let opened = opened.get_or_insert_with(|| Vec::with_capacity(raw.len()));
        opened.extend_from_slice(&raw[copied..part.body.start]);
        opened.extend(part.content.transfer.decode(&raw[part.body.clone()]));
        copied = part.body.end;
    }
    let mut opened = opened?;
    opened.extend_from_slice(&raw[copied..]);
    Some(opened)
}

/// The fields of a header that is larger than any may be, as far as it may be read.
fn beginning(raw: &[u8]) -> Part {
    let readable = &raw[..raw.len().min(HEADER_REFUSED_BYTES)];
    let end = readable.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let content = Content::read(&raw[..end]);
    Part { parent: None, header: 0..end, body: raw.len()..raw.len(), content, has_parts: false }
}

#[derive(Clone, Copy, PartialEq)]
enum Purpose {
    /// Enter enclosed mails too, and stop at [`LEVELS_MAX`].
    Count,
    /// Keep the parts. Enclosed mails stay closed.
    Keep,
}

/// Bytes of a multipart in which its first boundary line is looked for before another is taken.
const PREAMBLE_BYTES_MAX: usize = 16 * 1024;

/// What was found in the beginning of a multipart.
enum Near<'a> {
    /// Its own boundary.
    Named,
    /// A line that is used as one.
    Guessed(&'a [u8]),
    Nothing,
}

/// A boundary without the comment behind it: ` (` can stand in none that is not quoted.
fn without_comment(boundary: &[u8]) -> &[u8] {
    let comment = boundary.windows(2).position(|two| two == b" (");
    comment.map_or(boundary, |at| &boundary[..at])
}

/// Longest boundary, in bytes. RFC 2046 section 5.1.1 allows 70.
const BOUNDARY_BYTES_MAX: usize = 256;

/// A multipart or an enclosed mail whose end was not seen yet.
struct Level {
    /// `None` for an enclosed mail.
    boundary: Option<Vec<u8>>,
    /// The outer level with the same boundary, visible again when this one ends.
    shadowed: Option<usize>,
    /// Its place among the kept parts.
    part: usize,
    /// Whether what it holds are mails unless they say otherwise.
    is_digest: bool,
}

struct Walk<'a> {
    raw: &'a [u8],
    purpose: Purpose,
    open: Vec<Level>,
    /// Innermost level of each boundary.
    boundaries: BTreeMap<Vec<u8>, usize>,
    parts: Vec<Part>,
    found: usize,
    /// The part that the current lines belong to.
    leaf: Option<usize>,
    broken: bool,
    /// A multipart says that it is encoded.
    encoded: bool,
}

impl<'a> Walk<'a> {
    fn new(raw: &'a [u8], purpose: Purpose) -> Walk<'a> {
        Walk {
            raw,
            purpose,
            open: Vec::new(),
            boundaries: BTreeMap::new(),
            parts: Vec::new(),
            found: 0,
            leaf: None,
            broken: false,
            encoded: false,
        }
    }

    fn run(&mut self) -> Result<(), Refusal> {
        let walked = self.lines();
        self.broken |= self.open.iter().any(|level| level.boundary.is_some());
        self.end_leaf(self.raw.len());
        while !self.open.is_empty() {
            self.end_level(self.raw.len());
        }
        walked
    }

    fn lines(&mut self) -> Result<(), Refusal> {
        let mut at = self.enter(0)?;
        // Without an open boundary there is nothing to look for.
        while at < self.raw.len() && !self.boundaries.is_empty() {
            let line = lines::line_at(self.raw, at);
            at = line.end;
            let Some((level, closing)) = self.delimiter(&self.raw[line.clone()]) else { continue };
            self.end_inner(level, line.start);
            if closing {
                self.end_level(line.end);
            } else {
                at = self.enter(line.end)?;
            }
        }
        Ok(())
    }

    /// Reads the header at `at`, and those of mails enclosed right there.
    fn enter(&mut self, mut at: usize) -> Result<usize, Refusal> {
        loop {
            let block = match self.found {
                0 => self.header_of_mail(),
                _ => header::block(self.raw, at),
            };
            if block.fields.len() > HEADER_REFUSED_BYTES {
                return Err(Refusal::HeaderTooLarge);
            }
            if self.found == PARTS_MAX {
                return Err(Refusal::TooManyParts);
            }
            self.found += 1;
            at = block.body;
            let mut content = Content::read(&self.raw[block.fields.clone()]);
            if !content.declared && self.open.last().is_some_and(|level| level.is_digest) {
                // RFC 2046 section 5.1.5.
                content.kind = "message/rfc822".to_owned();
            }
            let is_digest = content.kind == "multipart/digest";
            let enclosed = content.is_message()
                && content.transfer == Transfer::Plain
                && self.purpose == Purpose::Count;
            let boundary = self.boundary(&content, at);
            self.encoded |= is_encoded_multipart(&content);
            self.keep(block, content);
            if boundary.is_some() || enclosed {
                self.begin_level(boundary, is_digest)?;
            }
            if !enclosed {
                return Ok(at);
            }
        }
    }

    fn header_of_mail(&mut self) -> header::Block {
        let block = header::block_of_mail(self.raw);
        self.broken |= block.has_foreign_lines;
        block
    }

    /// The boundary of a multipart; where none is named, or another one is used, a line that looks
    /// like one.
    fn boundary(&mut self, content: &Content, body: usize) -> Option<Vec<u8>> {
        if !content.is_multipart() {
            return None;
        }
        let named = content.parameters.bytes("boundary");
        let named = named.as_deref().map(|named| without_comment(named).trim_ascii_end());
        let near = self.guessed(body, named.unwrap_or_default());
        let boundary = match (named.filter(|named| !named.is_empty()), near) {
            (Some(named), Near::Named | Near::Nothing) => named,
            (None, Near::Named | Near::Nothing) => {
                self.broken = true;
                return None;
            }
            (_, Near::Guessed(guessed)) => {
                self.broken = true;
                guessed
            }
        };
        Some(boundary[..boundary.len().min(BOUNDARY_BYTES_MAX)].to_vec())
    }

    /// Looks for the first boundary line in the beginning of a multipart: the one that is named, or
    /// any other that a field or an empty line follows. One of an outer multipart ends the search.
    fn guessed(&self, body: usize, named: &[u8]) -> Near<'a> {
        let mut at = body;
        let mut guessed = Near::Nothing;
        while at < self.raw.len().min(body + PREAMBLE_BYTES_MAX) {
            let line = lines::line_at(self.raw, at);
            at = line.end;
            let Some(mark) = self.raw[line].strip_prefix(b"--") else { continue };
            let mark = mark.trim_ascii_end();
            if !named.is_empty() && mark == named {
                return Near::Named;
            }
            if self.boundaries.contains_key(mark) {
                break;
            }
            let plausible = !mark.is_empty() && mark.len() <= BOUNDARY_BYTES_MAX;
            if matches!(guessed, Near::Nothing) && plausible && self.begins_part(at, named) {
                guessed = Near::Guessed(mark);
            }
        }
        guessed
    }

    /// Whether the lines at `at` may be the header of a part. Where a boundary is named, only a
    /// Content field shows that another one is meant.
    fn begins_part(&self, at: usize, named: &[u8]) -> bool {
        let line = lines::line_at(self.raw, at);
        let line = lines::content(&self.raw[line]);
        let content = line.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"));
        content && line.contains(&b':') || named.is_empty() && line.is_empty()
    }

    fn keep(&mut self, block: header::Block, content: Content) {
        if self.purpose == Purpose::Count {
            return;
        }
        let parent = self.open.last().map(|level| level.part);
        if let Some(parent) = parent {
            self.parts[parent].has_parts = true;
        }
        self.leaf = Some(self.parts.len());
        self.parts.push(Part {
            parent,
            header: block.fields,
            // The end is set when it is seen.
            body: block.body..self.raw.len(),
            content,
            has_parts: false,
        });
    }

    fn begin_level(&mut self, boundary: Option<Vec<u8>>, is_digest: bool) -> Result<(), Refusal> {
        let level = self.open.len();
        if level == LEVELS_MAX {
            return Err(Refusal::TooDeep);
        }
        let shadowed = boundary.as_ref().and_then(|b| self.boundaries.insert(b.clone(), level));
        let part = self.leaf.take().unwrap_or_default();
        self.open.push(Level { boundary, shadowed, part, is_digest });
        Ok(())
    }

    /// Which level's boundary this line is, and whether it closes it (RFC 2046 section 5.1.1).
    fn delimiter(&self, line: &[u8]) -> Option<(usize, bool)> {
        let mark = line.strip_prefix(b"--")?.trim_ascii_end();
        if let Some(level) = self.boundaries.get(mark) {
            return Some((*level, false));
        }
        self.boundaries.get(mark.strip_suffix(b"--")?).map(|level| (*level, true))
    }

    /// Ends everything inside `level`, at the boundary line that begins at `at`.
    fn end_inner(&mut self, level: usize, at: usize) {
        self.end_leaf(at);
        while self.open.len() > level + 1 {
            // An inner multipart that its own boundary did not close.
            self.broken |= self.open.last().is_some_and(|open| open.boundary.is_some());
            self.end_level(at);
        }
    }

    fn end_leaf(&mut self, at: usize) {
        if let Some(leaf) = self.leaf.take() {
            let start = self.parts[leaf].body.start;
            let end = if at == self.raw.len() {
                at
            } else {
                lines::before_break(self.raw, start.min(at), at)
            };
            self.parts[leaf].body.end = end.max(start);
        }
    }

    fn end_level(&mut self, at: usize) {
        let Some(level) = self.open.pop() else { return };
        if let Some(boundary) = level.boundary {
            match level.shadowed {
                Some(outer) => self.boundaries.insert(boundary, outer),
                None => self.boundaries.remove(&boundary),
            };
        }
        if let Some(part) = self.parts.get_mut(level.part) {
            part.body.end = at.max(part.body.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kinds with their bodies, multiparts by kind alone.
    #[track_caller]
    fn check(raw: &str, expected: &[&str]) {
        let raw = raw.replace('\n', "\r\n");
        let (raw, structure) = read(raw.as_bytes());
        let raw = String::from_utf8_lossy(&raw);
        let parts: Vec<String> = structure
            .parts
            .iter()
            .map(|part| match part.has_parts {
                true => part.content.kind.clone(),
                false => format!("{} {:?}", part.content.kind, &raw[part.body.clone()]),
            })
            .collect();
        assert_eq!(parts, expected);
    }

    const MIXED: &str = "Content-Type: multipart/mixed; boundary=x\n\n";

    #[test]
    fn no_multipart() {
        check("Subject: a\n\n--x\n", &["text/plain \"--x\\r\\n\""]);
    }

    #[test]
    fn two_parts() {
        check(
            &format!(
                "{MIXED}preamble\n--x\n\na\n--x \nContent-Type: image/png\n\nb\n--x--\nepilogue"
            ),
            &["multipart/mixed", "text/plain \"a\"", "image/png \"b\""],
        );
    }

    #[test]
    fn never_closed() {
        check(&format!("{MIXED}--x\n\na\n"), &["multipart/mixed", "text/plain \"a\\r\\n\""]);
        assert!(read(format!("{MIXED}--x\n\na\n").as_bytes()).1.broken);
    }

    #[test]
    fn boundary_that_is_not_named() {
        check(
            "Content-Type: multipart/mixed\n\n--x\n\na\n--x--\n",
            &["multipart/mixed", "text/plain \"a\""],
        );
    }

    #[test]
    fn boundary_that_is_another_than_named() {
        check(
            &format!("{MIXED}Preamble\n--y\nContent-Type: text/plain\n\na\n--y--\n"),
            &["multipart/mixed", "text/plain \"a\""],
        );
        check(
            "Content-Type: multipart/mixed\n\nPreamble -- of\n-- a few\nwords\n\n--y\n\na\n--y--\n",
            &["multipart/mixed", "text/plain \"a\""],
        );
        check(
            &format!("{MIXED}-- \n\nnot a part"),
            &["multipart/mixed \"-- \\r\\n\\r\\nnot a part\""],
        );
    }

    #[test]
    fn multipart_encoded_as_a_whole() {
        use base64::Engine as _;
        let inner = "--x\n\na\n--x\nContent-Type: image/png\n\nb\n--x--\n";
        let coded = base64::engine::general_purpose::STANDARD.encode(inner.replace('\n', "\r\n"));
        let head =
            "Content-Transfer-Encoding: base64\nContent-Type: multipart/mixed; boundary=x\n\n";
        let parts = ["multipart/mixed", "text/plain \"a\"", "image/png \"b\""];
        check(&format!("{head}{coded}\n"), &parts);
        check(&format!("{head}{inner}"), &parts);
        let quoted = inner.replace("--x", "--=3Dx");
        let head = "Content-Transfer-Encoding: quoted-printable\nContent-Type: multipart/mixed; boundary==x\n\n";
        check(&format!("{head}{quoted}"), &parts);
        let deep = nested_multiparts(LEVELS_MAX + 1);
        let coded = base64::engine::general_purpose::STANDARD.encode(format!("--x\n{deep}"));
        assert_eq!(scan(format!("Content-Transfer-Encoding: base64\nContent-Type: multipart/mixed; boundary=x\n\n{coded}").as_bytes()), Err(Refusal::TooDeep));
    }

    #[test]
    fn boundary_that_never_comes() {
        check(&format!("{MIXED}hello"), &["multipart/mixed \"hello\""]);
    }

    #[test]
    fn inner_multipart_left_open() {
        check(
            &format!(
                "{MIXED}--x\nContent-Type: multipart/alternative; boundary=y\n\n--y\n\na\n--x\n\nb\n--x--\n"
            ),
            &["multipart/mixed", "multipart/alternative", "text/plain \"a\"", "text/plain \"b\""],
        );
    }

    #[test]
    fn empty_parts() {
        check(
            &format!("{MIXED}--x\n--x\n\n--x--"),
            &["multipart/mixed", "text/plain \"\"", "text/plain \"\""],
        );
    }

    fn nested_messages(levels: usize) -> String {
        "Content-Type: message/rfc822\n\n".repeat(levels)
    }

    fn nested_multiparts(levels: usize) -> String {
        (0..levels)
            .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n"))
            .collect()
    }

    #[test]
    fn depth() {
        for nest in [nested_messages, nested_multiparts] {
            assert_eq!(scan(nest(300).as_bytes()), Ok(()));
            assert_eq!(scan(nest(LEVELS_MAX).as_bytes()), Ok(()));
            assert_eq!(scan(nest(LEVELS_MAX + 1).as_bytes()), Err(Refusal::TooDeep));
            assert_eq!(scan(nest(21_800).as_bytes()), Err(Refusal::TooDeep));
            assert_eq!(scan(nest(100_000).as_bytes()), Err(Refusal::TooDeep));
        }
        assert_eq!(read(nested_multiparts(300).as_bytes()).1.parts.len(), 301);
    }

    #[test]
    fn parts() {
        let parts = |count: usize| format!("{MIXED}{}", "--x\n\na\n".repeat(count));
        assert_eq!(scan(parts(2_000).as_bytes()), Ok(()));
        assert_eq!(scan(parts(PARTS_MAX).as_bytes()), Err(Refusal::TooManyParts));
        assert_eq!(scan(parts(1_000_000).as_bytes()), Err(Refusal::TooManyParts));
    }

    #[test]
    fn header_size() {
        let header = |bytes: usize| format!("X: {}\n\nbody", "a".repeat(bytes));
        assert_eq!(scan(header(HEADER_REFUSED_BYTES / 2).as_bytes()), Ok(()));
        assert_eq!(scan(header(HEADER_REFUSED_BYTES).as_bytes()), Err(Refusal::HeaderTooLarge));
    }

    #[test]
    fn a_header_that_is_too_large_is_read_as_far_as_it_may() {
        for (first, expected) in [("A: b\n", 5), ("", 0)] {
            let mail = format!("{first}X: {}\n\nbody", "a".repeat(HEADER_REFUSED_BYTES));
            let structure = read(mail.as_bytes()).1;
            let [root] = structure.parts.as_slice() else { panic!("one part") };
            assert_eq!((root.header.clone(), root.body.len()), (0..expected, 0));
            assert!(structure.broken);
        }
    }
}
