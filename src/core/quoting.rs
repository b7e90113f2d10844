//! Tells what the author of a mail wrote from the history that their mail program quoted.
//!
//! The words by which history is recognised are data ([`words`]): a row for each language, and the
//! forms of the mail programs on top. Text of an HTML body comes here as well: `mail::html` writes a
//! `blockquote` as lines that begin with `>`, and the header blocks of Outlook as lines.
//!
//! Architecture invariant: a line that may be the author's is [`Part::Written`]. History without a
//! quote prefix counts as history only where the author wrote something above it; otherwise their
//! answer may stand below, and nothing tells where it begins. Linear in the text.

mod words;

#[cfg(test)]
mod cases;

use std::ops::Range;

/// Lines over which a mail program may break the line that introduces a quotation.
const ATTRIBUTION_LINES_MAX: usize = 3;
/// Longest line that introduces a quotation, in bytes.
const ATTRIBUTION_BYTES_MAX: usize = 600;
/// Lines of a quoted header, with continued lines.
const HEADER_LINES_MAX: usize = 14;
/// Fields that make a few lines a quoted header.
const HEADER_FIELDS_MIN: usize = 3;
/// Lines with a prefix that is also used otherwise (`|`, initials) that make a quotation.
const RARE_PREFIX_LINES_MIN: usize = 3;
/// Longest signature below `-- ` (RFC 3676 section 4.3 recommends four lines), in lines.
const SIGNATURE_LINES_MAX: usize = 12;

/// What a stretch of lines is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The author's words, or what may be theirs.
    Written,
    /// An earlier mail.
    Quoted,
    /// The author's signature.
    Signature,
}

/// Lines that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block<'a> {
    /// What they are.
    pub part: Part,
    /// The lines, without their ends.
    pub lines: Vec<&'a str>,
}

/// Parts a text; every line of it is in exactly one block, in order.
pub fn blocks(text: &str) -> Vec<Block<'_>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut parts = prefixed(&lines);
    mark_history(&lines, &mut parts);
    mark_signature(&lines, &mut parts);
    join_blanks(&lines, &mut parts);
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for (line, part) in lines.into_iter().zip(parts) {
        match blocks.last_mut().filter(|block| block.part == part) {
            Some(block) => block.lines.push(line),
            None => blocks.push(Block { part, lines: vec![line] }),
        }
    }
    blocks
}

/// Marks the lines that carry a quote prefix.
fn prefixed(lines: &[&str]) -> Vec<Part> {
    let mut parts = vec![Part::Written; lines.len()];
    for (at, line) in lines.iter().enumerate() {
        if has_prefix(line) {
            parts[at] = Part::Quoted;
        }
    }
    for is_rare_prefix in [is_bar as fn(&str) -> bool, has_initials] {
        for run in runs(lines, is_rare_prefix) {
            if run.len() >= RARE_PREFIX_LINES_MIN {
                parts[run].fill(Part::Quoted);
            }
        }
    }
    parts
}

/// `>`, also indented, and the wide form that Japanese programs and people use.
fn has_prefix(line: &str) -> bool {
    line.trim_start().starts_with(['>', '＞'])
}

/// `| text`, but no row of a table, which ends with a bar as well.
fn is_bar(line: &str) -> bool {
    let line = line.trim();
    let rest = line.strip_prefix('|');
    rest.is_some_and(|rest| {
        (rest.is_empty() || rest.starts_with(' ')) && !rest.trim_end().ends_with('|')
    })
}

/// `AB> text`, as Supercite and some mailers for lists write it.
fn has_initials(line: &str) -> bool {
    let initials = line.trim_start().split_once('>').map_or("", |(before, _)| before);
    (1..=4).contains(&initials.len()) && initials.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Neighbouring lines that fit.
fn runs(lines: &[&str], fits: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in (0..lines.len()).filter(|at| fits(lines[*at])) {
        match found.last_mut().filter(|run| run.end == at) {
            Some(run) => run.end = at + 1,
            None => found.push(at..at + 1),
        }
    }
    found
}

/// Where a quotation is introduced, and how.
struct Introduction {
    lines: Range<usize>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `On ... wrote:`
    Attribution,
    /// `-----Original Message-----` with or without a header, or the header of a mail alone.
    Header,
    /// `---------- Forwarded message ----------`: what follows is what the author wants to be read.
    Forward,
}

/// Marks what introduces a quotation and, where the author has written before, history without a
/// prefix.
fn mark_history(lines: &[&str], parts: &mut [Part]) {
    let mut at = 0;
    let mut wrote = false;
    while at < lines.len() {
        let introduction =
            if parts[at] == Part::Quoted { None } else { introduction(lines, parts, at) };
        let Some(Introduction { lines: begin, kind }) = introduction else {
            wrote = wrote || (parts[at] == Part::Written && is_said(lines[at]));
            at += 1;
            continue;
        };
        let next = (begin.end..lines.len()).find(|at| !lines[*at].trim().is_empty());
        let prefix_follows = next.is_some_and(|next| parts[next] == Part::Quoted);
        match kind {
            // Its text is for the reader: only lines with a prefix are history in it.
            Kind::Forward => return,
            Kind::Attribution | Kind::Header if prefix_follows => {
                parts[begin.clone()].fill(Part::Quoted);
                at = begin.end;
            }
            Kind::Attribution | Kind::Header if wrote => {
                parts[begin.start..].fill(Part::Quoted);
                return;
            }
            // The answer may stand below: only the header is surely not the author's.
            Kind::Header => {
                parts[begin.clone()].fill(Part::Quoted);
                at = begin.end;
            }
            Kind::Attribution => at = begin.end,
        }
    }
}

/// Whether a line says something: neither blank, nor a rule, nor only a greeting, below which the
/// answer may still come.
fn is_said(line: &str) -> bool {
    let line = line.trim();
    let is_rule = line.chars().all(|c| !c.is_alphanumeric());
    !is_rule && !words::is_greeting(line)
}

fn introduction(lines: &[&str], parts: &[Part], at: usize) -> Option<Introduction> {
    let line = lines[at].trim();
    if line.is_empty() {
        return None;
    }
    if let Some(begun) = separator(lines, at) {
        return Some(begun);
    }
    if let Some(end) = header(lines, at) {
        return Some(Introduction { lines: at..end, kind: Kind::Header });
    }
    let end = attribution(lines, parts, at)?;
    Some(Introduction { lines: at..end, kind: Kind::Attribution })
}

/// `-----Original Message-----`, or a rule above a header; the header belongs to it.
fn separator(lines: &[&str], at: usize) -> Option<Introduction> {
    let line = lines[at].trim();
    let inner = line.trim_matches(|c: char| "-–—_=*".contains(c) || c.is_whitespace());
    let is_ruled = line.len() >= inner.len() + 4;
    let after = (at + 1..lines.len()).find(|at| !lines[*at].trim().is_empty());
    let header_end = after.and_then(|after| header(lines, after));
    if inner.is_empty() {
        let end = header_end.filter(|_| is_ruled)?;
        return Some(Introduction { lines: at..end, kind: Kind::Header });
    }
    let inner = inner.trim_end_matches([':', '：']).trim_end();
    if words::is_forwarded(inner) && (is_ruled || header_end.is_some()) {
        return Some(Introduction { lines: at..at + 1, kind: Kind::Forward });
    }
    let begun = words::is_original(inner) && (is_ruled || header_end.is_some());
    begun.then(|| Introduction { lines: at..header_end.unwrap_or(at + 1), kind: Kind::Header })
}

/// Where the header of a mail ends that begins here: fields of one language, From or a date and a
/// subject among them.
fn header(lines: &[&str], at: usize) -> Option<usize> {
    field(lines[at])?;
    let (mut fields, mut end) = (Vec::new(), at);
    for (offset, line) in lines[at..].iter().take(HEADER_LINES_MAX).enumerate() {
        match field(line) {
            Some(found) => {
                fields.push(found);
                end = at + offset + 1;
            }
            None if line.trim().is_empty() => break,
            // A long list of recipients goes on in the next line.
            None => {}
        }
    }
    let has = |wanted| fields.contains(&wanted);
    let is_header = fields.len() >= HEADER_FIELDS_MIN
        && has(words::Field::From)
        && (has(words::Field::Date) || has(words::Field::Subject));
    is_header.then_some(end)
}

/// The field of a mail's header that a line holds, `*From:*` and `De :` included.
fn field(line: &str) -> Option<words::Field> {
    let line = line.trim().trim_start_matches(['*', '_']);
    let (name, _) = line.split_once([':', '：'])?;
    words::field(name.trim_end_matches(['*', '_']).trim_end())
}

/// Where a line like `On ... wrote:` ends, which may be broken over lines.
fn attribution(lines: &[&str], parts: &[Part], at: usize) -> Option<usize> {
    let mut joined = String::new();
    for (offset, line) in lines[at..].iter().take(ATTRIBUTION_LINES_MAX).enumerate() {
        let goes_on =
            offset == 0 || (parts[at + offset] == Part::Written && !line.trim().is_empty());
        if !goes_on || joined.len() + line.len() > ATTRIBUTION_BYTES_MAX {
            return None;
        }
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(line.trim());
        if joined.ends_with([':', '：']) || words::is_full_attribution(&joined) {
            return is_attribution(&joined).then_some(at + offset + 1);
        }
        // Only what begins like one may go on in the next line.
        if offset == 0 && !(words::opens_attribution(&joined) || has_evidence(&joined)) {
            return None;
        }
    }
    None
}

/// "I wrote:" is a sentence; with an address, a time or a year it names a mail.
fn is_attribution(line: &str) -> bool {
    if !has_evidence(line) {
        return false;
    }
    let address_and_time = line.contains('@') && has_time_or_year(line);
    address_and_time || words::has_verb(line)
}

fn has_evidence(line: &str) -> bool {
    line.contains('@') || has_time_or_year(line)
}

/// `9:12`, `09.12` is left to the year.
fn has_time_or_year(line: &str) -> bool {
    let bytes = line.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is_time =
        |at: usize| at > 0 && bytes[at] == b':' && digit(at - 1) && digit(at + 1) && digit(at + 2);
    let is_year = |at: usize| {
        matches!(bytes.get(at..at + 2), Some(b"19" | b"20"))
            && digit(at + 2)
            && digit(at + 3)
            && !digit(at + 4)
            && (at == 0 || !digit(at - 1))
    };
    (0..bytes.len()).any(|at| is_time(at) || is_year(at))
}

/// Marks the signature of the author: below `-- ` (RFC 3676 section 4.3), or the line that a phone
/// adds.
fn mark_signature(lines: &[&str], parts: &mut [Part]) {
    for at in 0..lines.len() {
        if parts[at] != Part::Written {
            continue;
        }
        let end = if matches!(lines[at].trim_end_matches('\r'), "-- " | "--") {
            let end = (at..lines.len()).find(|at| parts[*at] != Part::Written);
            end.unwrap_or(lines.len())
        } else if words::is_added_by_program(lines[at].trim()) {
            at + 1
        } else {
            continue;
        };
        if end - at <= SIGNATURE_LINES_MAX {
            parts[at..end].fill(Part::Signature);
        }
    }
}

/// Blank lines between lines of one kind belong to them.
fn join_blanks(lines: &[&str], parts: &mut [Part]) {
    let mut last = None;
    for at in 0..lines.len() {
        if lines[at].trim().is_empty() && parts[at] == Part::Written {
            continue;
        }
        if let Some(before) = last
            && parts[before] == parts[at]
        {
            let part = parts[at];
            parts[before..at].fill(part);
        }
        last = Some(at);
    }
}
