//! Which parts are the text, which are attachments, and the text itself.
//!
//! Architecture invariant: the roles follow from the structure alone, so that `attachment` finds
//! by its number what `parse` listed.

use std::collections::BTreeSet;

use super::charset::Hint;
use super::structure::{Part, Structure};
use super::transfer::Transfer;
use super::{BODY_BYTES_MAX, Oddity, charset, clean_text, flowed, html};
use crate::core::config::Language;

/// What a part is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Holds other parts.
    Container,
    /// Part of the text, as one choice of the alternative with this number, or on its own.
    Text(usize),
    /// Not part of the text.
    Attachment,
    /// Shown as the text, because there is no other, and an attachment as well.
    Both,
}

impl Role {
    /// Whether the part is listed among the attachments.
    pub fn is_attachment(self) -> bool {
        matches!(self, Role::Attachment | Role::Both)
    }
}

/// The role of every part.
pub fn roles(structure: &Structure) -> Vec<Role> {
    let parts = &structure.parts;
    let mut budget = BODY_BYTES_MAX;
    let mut roles: Vec<Role> = Vec::with_capacity(parts.len());
    for (at, part) in parts.iter().enumerate() {
        roles.push(role(parts, at, part, &mut budget));
    }
    if !roles.iter().any(|role| matches!(role, Role::Text(_) | Role::Both))
        && let Some(at) = stand_in(parts)
    {
        roles[at] = Role::Both;
    }
    roles
}

fn role(parts: &[Part], at: usize, part: &Part, budget: &mut usize) -> Role {
    if part.has_parts {
        return Role::Container;
    }
    if at == 0 {
        return root_role(part);
    }
    if !is_text(part) || is_marked_attachment(part) || is_named(part) || *budget == 0 {
        return Role::Attachment;
    }
    *budget = budget.saturating_sub(part.body.len());
    Role::Text(alternative(parts, at).unwrap_or(at))
}

/// A mail of one part. Text that is no prose (a calendar, say) is shown and attached.
fn root_role(part: &Part) -> Role {
    if is_text(part) {
        return if is_marked_attachment(part) && is_named(part) {
            Role::Both
        } else {
            Role::Text(0)
        };
    }
    if part.content.kind.starts_with("text/") { Role::Both } else { Role::Attachment }
}

/// Text, or a multipart in which no part was found.
fn is_text(part: &Part) -> bool {
    matches!(part.content.kind.as_str(), "text/plain" | "text/html") || is_empty_container(part)
}

fn is_empty_container(part: &Part) -> bool {
    part.content.is_multipart() && !part.has_parts && part.content.kind != "multipart/encrypted"
}

fn is_marked_attachment(part: &Part) -> bool {
    part.content.disposition.as_deref() == Some("attachment")
}

/// Whether it bears a name; some programs write `name=""` where there is none.
fn is_named(part: &Part) -> bool {
    let hint = Hint::default();
    let filename = part.content.disposition_parameters.text("filename", hint);
    let names = [filename, part.content.parameters.text("name", hint)];
    names.iter().flatten().any(|name| !name.text.trim().is_empty())
}

/// The innermost multipart/alternative around a part.
fn alternative(parts: &[Part], at: usize) -> Option<usize> {
    let mut at = at;
    while let Some(parent) = parts[at].parent {
        if parts[parent].content.kind == "multipart/alternative" {
            return Some(parent);
        }
        at = parent;
    }
    None
}

/// Where nothing is plainly the text: what a report says first (RFC 6522 section 3), a named text
/// that is not marked as an attachment, or an attached text with which the mail begins.
fn stand_in(parts: &[Part]) -> Option<usize> {
    let reports = parts.iter().position(|part| {
        let first_of_report =
            part.parent.is_some_and(|parent| parts[parent].content.kind == "multipart/report");
        first_of_report && is_text(part)
    });
    let named = || {
        let fits = |part: &Part| is_text(part) && !part.has_parts && !is_marked_attachment(part);
        parts.iter().position(|part| part.parent.is_some() && fits(part))
    };
    let first = || parts.iter().position(|part| !part.has_parts).filter(|at| is_text(&parts[*at]));
    reports.or_else(named).or_else(first)
}

/// Bytes of a text whose charset is detected for the header's sake.
const DETECTED_BYTES_MAX: usize = 64 * 1024;

/// The charset of the text, for what stands in raw bytes in headers: as the mail or the first text
/// names it, else as detected.
pub fn charset(
    raw: &[u8],
    structure: &Structure,
    roles: &[Role],
    language: Language,
) -> Option<String> {
    let parts = &structure.parts;
    let named = |part: &Part| {
        let label = part.content.charset().filter(|label| charset::is_telling(label));
        label.map(|label| label.into_owned())
    };
    let is_shown = |role: &Role| matches!(role, Role::Text(_) | Role::Both);
    let texts = || parts.iter().zip(roles).filter(|(_, role)| is_shown(role)).map(|(part, _)| part);
    if let Some(label) = named(&parts[0]).or_else(|| texts().find_map(named)) {
        return Some(label);
    }
    // Only raw bytes ask for it.
    if parts.iter().all(|part| raw[part.header.clone()].is_ascii()) {
        return None;
    }
    texts().find_map(|part| {
        let body = &raw[part.body.clone()];
        let body = &body[..body.len().min(DETECTED_BYTES_MAX)];
        let (bytes, _) = part.content.transfer.decode_text(body);
        let declared = is_html(part).then(|| html::declared_charset(&bytes)).flatten();
        declared.or_else(|| charset::detected(&bytes, language).map(str::to_owned))
    })
}

/// The text of a mail.
#[derive(Debug, Default)]
pub struct Body {
    /// Of the plain parts, else made from the HTML.
    pub text: String,
    /// The HTML parts, if there are any.
    pub html: Option<String>,
    /// Words of the HTML of which there is plain text, too, so that `text` has none of them.
    pub alternative: String,
    /// Parts of which only the beginning is in the text.
    pub cut: Vec<usize>,
}

/// What one alternative offers.
#[derive(Default)]
struct Block {
    number: usize,
    plain: Option<String>,
    html: Option<String>,
}

/// Decodes the text.
pub fn read(
    raw: &[u8],
    structure: &Structure,
    roles: &[Role],
    language: Language,
    oddities: &mut BTreeSet<Oddity>,
) -> Body {
    let mut body = Body::default();
    let mut blocks: Vec<Block> = Vec::new();
    let mut budget = BODY_BYTES_MAX;
    for (at, part) in structure.parts.iter().enumerate() {
        let number = match roles[at] {
            Role::Text(number) => number,
            Role::Both => at,
            Role::Container | Role::Attachment => continue,
        };
        let whole = &raw[part.body.clone()];
        let kept = first_bytes(whole, budget);
        budget -= kept.len();
        if kept.len() < whole.len() {
            body.cut.push(at);
            oddities.insert(Oddity::Truncated);
        }
        let text = text_of(part, kept, language, oddities);
        if blocks.last().is_none_or(|block| block.number != number) {
            blocks.push(Block { number, ..Block::default() });
        }
        if let Some(block) = blocks.last_mut() {
            let slot = if is_html(part) { &mut block.html } else { &mut block.plain };
            append(slot.get_or_insert_default(), &text, "\n");
        }
    }
    body.html = page(&blocks);
    for block in &blocks {
        append(&mut body.text, &plain_of(block, oddities), "\n");
        let twice = block.plain.as_ref().is_some_and(|plain| !plain.trim().is_empty());
        if let Some(html) = block.html.as_ref().filter(|_| twice) {
            body.alternative.push_str(&html::to_text(html));
        }
    }
    body
}

/// Whether a part is an HTML page.
fn is_html(part: &Part) -> bool {
    part.content.kind == "text/html"
}

/// At most `max` bytes, cut at a line or a blank if there is one near.
fn first_bytes(bytes: &[u8], max: usize) -> &[u8] {
    /// How far back from the limit a place to cut is looked for.
    const LOOK_BACK_BYTES: usize = 16 * 1024;
    if bytes.len() <= max {
        return bytes;
    }
    let tail = &bytes[max.saturating_sub(LOOK_BACK_BYTES)..max];
    let place = tail.iter().rposition(|byte| matches!(byte, b'\n' | b' '));
    let end = place.map_or(max, |place| max - tail.len() + place + 1);
    &bytes[..end]
}

/// One part as text, control characters replaced.
fn text_of(
    part: &Part,
    body: &[u8],
    language: Language,
    oddities: &mut BTreeSet<Oddity>,
) -> String {
    let content = &part.content;
    let owned;
    let (bytes, behind) = match content.transfer {
        Transfer::Plain => (body, &[][..]),
        Transfer::Base64 | Transfer::QuotedPrintable | Transfer::Uuencode => {
            let (decoded, behind) = content.transfer.decode_text(body);
            owned = decoded;
            (owned.as_slice(), behind)
        }
    };
    let label = content.charset();
    let label = label.as_deref().filter(|label| charset::is_telling(label));
    let declared = (label.is_none() && is_html(part)).then(|| html::declared_charset(bytes));
    let declared = declared.flatten();
    // An unknown label is kept: that it is unknown is noted.
    let named = label.or(declared.as_deref()).map(str::to_owned);
    let label = named.or_else(|| content.charset().map(|label| label.into_owned()));
    let mut decoded = charset::decode(bytes, label.as_deref(), language);
    if !behind.trim_ascii().is_empty() {
        let more = charset::decode(behind, label.as_deref(), language);
        append(&mut decoded.text, &more.text, "\n");
        decoded.problem |= more.problem;
    }
    if decoded.problem {
        oddities.insert(Oddity::CharsetProblem);
    }
    let (text, controls) = clean_text(decoded.text);
    if controls {
        oddities.insert(Oddity::ControlCharacters);
    }
    let parameter = |name: &str| content.parameters.plain(name).map(|v| v.to_ascii_lowercase());
    if content.kind == "text/plain" && parameter("format").as_deref() == Some("flowed") {
        return flowed::unfold(&text, parameter("delsp").as_deref() == Some("yes"));
    }
    text
}

/// Plain text if there is some, else the words of the HTML.
fn plain_of(block: &Block, oddities: &mut BTreeSet<Oddity>) -> String {
    let plain = block.plain.as_deref().unwrap_or_default();
    match &block.html {
        Some(html) if plain.trim().is_empty() => {
            // Entities can stand for control characters.
            let (text, controls) = clean_text(html::to_text(html));
            if controls {
                oddities.insert(Oddity::ControlCharacters);
            }
            text
        }
        Some(_) | None => plain.to_owned(),
    }
}

/// All blocks as HTML, if any of them has some.
fn page(blocks: &[Block]) -> Option<String> {
    if blocks.iter().all(|block| block.html.is_none()) {
        return None;
    }
    let mut page = String::new();
    for block in blocks {
        match (&block.html, &block.plain) {
            (Some(html), _) => append(&mut page, html, "\n"),
            (None, Some(plain)) => append(&mut page, &html::from_text(plain), "\n"),
            (None, None) => {}
        }
    }
    Some(page)
}

/// Adds a text with an empty line between.
pub fn append(to: &mut String, text: &str, gap: &str) {
    if to.is_empty() {
        text.clone_into(to);
    } else if !text.trim().is_empty() {
        if !to.ends_with('\n') {
            to.push('\n');
        }
        to.push_str(gap);
        to.push_str(text);
    }
}
