//! Parts of a mail (RFC 2046): found in one pass, with a stack of our own in place of recursion.
//!
//! Architecture invariant: memory and time are bounded by the limits, never by the mail. Nothing
//! that is encoded is decoded here, so a mail wrapped in base64 cannot add a level.

use std::collections::BTreeMap;
use std::ops::Range;

use super::header::{self, Content};
use super::transfer::Transfer;
use super::{HEADER_REFUSED_BYTES, LEVELS_MAX, MIME_DEPTH_MAX, PARTS_MAX, Refusal, lines};

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
    /// A boundary was missing or never closed.
    pub broken: bool,
    /// A multipart stands too deep: it was left closed.
    pub too_deep: bool,
}

/// Counts levels, parts and header bytes, and keeps nothing.
pub fn scan(raw: &[u8]) -> Result<(), Refusal> {
    let mut walk = Walk::new(raw, Purpose::Count);
    walk.run()
}

/// Finds the parts of the outer [`MIME_DEPTH_MAX`] levels. Enclosed mails stay closed.
pub fn read(raw: &[u8]) -> Structure {
    let mut walk = Walk::new(raw, Purpose::Keep);
    // Beyond a limit the rest is left unread: it was refused by `scan` already.
    let refused = walk.run().is_err();
    if walk.parts.is_empty() {
        walk.parts.push(beginning(raw));
    }
    Structure { parts: walk.parts, broken: walk.broken || refused, too_deep: walk.too_deep }
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
    /// Keep the parts, and leave closed what is deeper than [`MIME_DEPTH_MAX`].
    Keep,
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
    too_deep: bool,
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
            too_deep: false,
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
            let block = header::block(self.raw, at);
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
            self.keep(block, content);
            if boundary.is_some() || enclosed {
                self.begin_level(boundary, is_digest)?;
            }
            if !enclosed {
                return Ok(at);
            }
        }
    }

    /// The boundary of a multipart; where none is named, the first line if it looks like one.
    fn boundary(&mut self, content: &Content, body: usize) -> Option<Vec<u8>> {
        if !content.is_multipart() {
            return None;
        }
        let named = content.parameters.bytes("boundary").map(<[u8]>::trim_ascii_end);
        let boundary = match named.filter(|named| !named.is_empty()) {
            Some(named) => named,
            None => {
                self.broken = true;
                let rest = &self.raw[body..];
                let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                let line = lines::line_at(rest, blank);
                rest[line].strip_prefix(b"--")?.trim_ascii_end()
            }
        };
        Some(boundary[..boundary.len().min(BOUNDARY_BYTES_MAX)].to_vec())
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
        match self.purpose {
            Purpose::Count if level == LEVELS_MAX => return Err(Refusal::TooDeep),
            Purpose::Keep if level == MIME_DEPTH_MAX => {
                self.too_deep = true;
                return Ok(());
            }
            Purpose::Count | Purpose::Keep => {}
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
        let structure = read(raw.as_bytes());
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
        assert!(read(format!("{MIXED}--x\n\na\n").as_bytes()).broken);
    }

    #[test]
    fn boundary_that_is_not_named() {
        check(
            "Content-Type: multipart/mixed\n\n--x\n\na\n--x--\n",
            &["multipart/mixed", "text/plain \"a\""],
        );
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
        let deep = read(nested_multiparts(300).as_bytes());
        assert!(deep.too_deep);
        assert_eq!(deep.parts.len(), MIME_DEPTH_MAX + 1);
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
            let structure = read(mail.as_bytes());
            let [root] = structure.parts.as_slice() else { panic!("one part") };
            assert_eq!((root.header.clone(), root.body.len()), (0..expected, 0));
            assert!(structure.broken);
        }
    }
}
