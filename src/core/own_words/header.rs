//! What mail programs write above a quote: an attribution, or the header of the quoted mail.
//!
//! Programs word it in the language of their user, so that words tell nothing. What tells is where
//! it stands, and that it names this desk.

use std::ops::Range;

use super::known::Known;
use super::tokens::{self, Line};

/// Lines of a header block.
const HEADER_LINES_MAX: usize = 14;
/// Lines of an attribution.
const ATTRIBUTION_LINES_MAX: usize = 3;
/// Weight of the name of a field, such as `Gesendet`.
const FIELD_NAME_WEIGHT_MAX: usize = 12;
/// Characters of the name of a field.
const FIELD_NAME_CHARS_MAX: usize = 24;
/// Digits of a date.
const DATE_DIGITS: usize = 6;

/// Whether a field of a header is of a mail of ours.
fn is_ours(known: &Known, field: &str) -> bool {
    let tagged = !known.our_tag.is_empty() && field.to_lowercase().contains(&known.our_tag);
    tagged || has(&known.our_addresses, field) || has(&known.our_names, field)
}

fn has(ours: &[String], text: &str) -> bool {
    let text = text.to_lowercase();
    ours.iter().any(|ours| text.contains(ours.as_str()))
}

/// Whether a line looks like a field of a header: `Subject: ...`, `*From:* ...`.
pub fn is_field(line: &str) -> bool {
    let line = unmarked(line);
    let Some((name, _)) = line.split_once([':', '\u{ff1a}']) else { return false };
    let weight: usize = tokens::words(name).iter().map(|token| token.weight).sum();
    let sized = name.chars().count() <= FIELD_NAME_CHARS_MAX;
    (1..=FIELD_NAME_WEIGHT_MAX).contains(&weight) && sized && !name.contains(['<', '"', ','])
}

/// Whether a line parts a quote from what stands above: dashes or the like, perhaps with words.
pub fn is_separator(line: &str) -> bool {
    let line = unmarked(line);
    let mut chars = line.chars();
    let Some(first) = chars.next() else { return false };
    "-_=*\u{2014}\u{2500}\u{2015}\u{2501}\u{30fc}~".contains(first)
        && chars.take(2).filter(|c| *c == first).count() == 2
}

fn unmarked(line: &str) -> &str {
    line.trim_start_matches(|c: char| {
        c.is_whitespace()
            || matches!(c, '>' | '\u{ff1e}' | '*' | '|' | '\u{25cf}' | '\u{2022}')
                && !line.trim_start().starts_with("***")
    })
    .trim_end()
}

/// Whether a line of a quote is an attribution of ours, or holds the subject of a mail of ours.
pub fn is_origin(known: &Known, line: &str) -> bool {
    let dated = line.chars().filter(char::is_ascii_digit).count() >= DATE_DIGITS;
    let ends = line.trim_end().ends_with([':', '\u{ff1a}']);
    let tagged = !known.our_tag.is_empty() && line.to_lowercase().contains(&known.our_tag);
    has(&known.our_addresses, line) && (dated || ends) || tagged && ends
}

/// Blocks of fields that name this desk or hold one of its tags: the header of a quoted mail of
/// ours. The separator above belongs to it.
pub fn blocks(known: &Known, lines: &[Line<'_>]) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let mut end = at;
        while end < lines.len() && end - at < HEADER_LINES_MAX && is_field(lines[end].text) {
            end += 1;
            // A long list of recipients goes on in the next line.
            while end < lines.len() && end - at < HEADER_LINES_MAX && goes_on(lines[end].text) {
                end += 1;
            }
        }
        let ours = lines[at..end].iter().any(|line| is_ours(known, line.text));
        if end - at >= 2 && ours {
            blocks.push(above(lines, at)..end);
        }
        at = end.max(at + 1);
    }
    blocks
}

fn goes_on(line: &str) -> bool {
    line.starts_with([' ', '\t']) && !line.trim().is_empty() && line.contains('@')
}

/// Where the separator above a line begins, if there is one.
fn above(lines: &[Line<'_>], at: usize) -> usize {
    let mut up = at;
    while up > 0 && at - up < 2 && lines[up - 1].text.trim().is_empty() {
        up -= 1;
    }
    if up > 0 && is_separator(lines[up - 1].text) { up - 1 } else { at }
}

/// The attribution above a quote that begins at a line, if there is one and it names this desk.
/// It ends with a colon or names our address; no other line above is touched.
pub fn attribution(known: &Known, lines: &[Line<'_>], quote: usize) -> Option<Range<usize>> {
    let quoted = lines.get(quote)?.quoted;
    let above = |line: &Line<'_>| !line.text.trim().is_empty();
    let last = lines[..quote].iter().rposition(above)?;
    if quote - last > 3 || (lines[last].quoted && !quoted) {
        return None;
    }
    let start = (last + 1).saturating_sub(ATTRIBUTION_LINES_MAX);
    let mut found = None;
    for first in (start..=last).rev() {
        let text = lines[first].text;
        if text.trim().is_empty() || lines[first].quoted != lines[last].quoted {
            break;
        }
        let whole: String =
            lines[first..=last].iter().map(|line| line.text).collect::<Vec<_>>().join(" ");
        let ends = lines[last].text.trim_end().ends_with([':', '\u{ff1a}', '>', ';']);
        let dated = whole.chars().filter(char::is_ascii_digit).count() >= DATE_DIGITS;
        let by_address = has(&known.our_addresses, &whole) && (ends || dated);
        if by_address || has(&known.our_names, &whole) && ends && dated {
            found = Some(first);
            break;
        }
    }
    let mut first = found?;
    // The date in a line above, where a long attribution was broken.
    while first > start && is_begun(known, lines[first - 1].text) {
        first -= 1;
    }
    Some(first..last + 1)
}

/// Whether a line is the beginning of an attribution that goes on in the next one: it holds a date
/// or our name, and no sentence ends with it.
fn is_begun(known: &Known, line: &str) -> bool {
    const BEGINNINGS: [&str; 18] = [
        "On ", "Am ", "Le ", "El ", "Il ", "Em ", "Op ", "Den ", "Dnia ", "W dniu ", "At ",
        "\u{412} ", "In data ", "Dne ", "P\u{e5} ", "Vào ", "Quoting ", "-- On ",
    ];
    let line = line.trim();
    let digits = line.chars().filter(char::is_ascii_digit).count();
    let begins = BEGINNINGS.iter().any(|begin| line.starts_with(begin))
        || line.chars().next().is_some_and(|c| c.is_ascii_digit());
    let open = !line.ends_with(['.', '!', '?', '\u{3002}', ':', '\u{ff1a}']);
    !line.is_empty() && open && (begins && digits >= DATE_DIGITS || has(&known.our_names, line))
}
