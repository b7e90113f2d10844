//! What conditions capture, and the placeholders that it fills.
//!
//! Architecture invariant: text from a mail is put in once and never looked at for placeholders
//! again; it arrives as one line of bounded length.

use std::collections::BTreeMap;

use regex::Regex;

use super::{Condition, Test};

/// Characters of one captured text that are kept.
pub const CAPTURE_CHARS_MAX: usize = 1_000;

/// What the conditions of one filter captured.
#[derive(Debug, Default)]
pub(super) struct Captures {
    /// What the first condition found as a whole, then each group over all conditions.
    numbered: Vec<String>,
    named: BTreeMap<String, String>,
}

impl Captures {
    /// What an expression captures in a text, if it matches.
    pub(super) fn of(regex: &Regex, text: &str) -> Option<Captures> {
        let found = regex.captures(text)?;
        let value = |group: Option<regex::Match<'_>>| one_line(group.map_or("", |m| m.as_str()));
        let numbered = found.iter().map(value).collect();
        let names = regex.capture_names().flatten();
        let named = names.map(|name| (name.into(), value(found.name(name)))).collect();
        Some(Captures { numbered, named })
    }

    /// Adds what a later condition captured: its groups are numbered on.
    pub(super) fn add(&mut self, later: Captures) {
        let whole = usize::from(!self.numbered.is_empty());
        self.numbered.extend(later.numbered.into_iter().skip(whole));
        self.named.extend(later.named);
    }

    /// The text with every placeholder filled; one that nothing fills becomes empty.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Placeholder(name) => filled.push_str(self.value(name).unwrap_or("")),
            }
        }
        filled
    }

    fn value(&self, name: &str) -> Option<&str> {
        let numbered = name.parse().ok().and_then(|number: usize| self.numbered.get(number));
        numbered.or_else(|| self.named.get(name)).map(String::as_str)
    }
}

/// Placeholders (`{{ name }}`, `{{ 1 }}`) in a text that no capture of these conditions can fill.
///
/// Negated conditions capture nothing. `{{ 0 }}` is all that the first other condition found.
pub fn unfilled(text: &str, conditions: &[Condition]) -> Vec<String> {
    let positive = conditions.iter().filter(|condition| !condition.not);
    let mut names = Vec::new();
    let mut groups = 0;
    for condition in positive {
        let (Test::Regex(pattern) | Test::Address(pattern)) = &condition.test;
        names.extend(pattern.regex().capture_names().flatten().map(str::to_owned));
        groups = groups.max(1) + pattern.regex().captures_len() - 1;
    }
    let fills = |name: &str| {
        name.parse().is_ok_and(|number: usize| number < groups)
            || names.iter().any(|known| known == name)
    };
    let placeholders = pieces(text).filter_map(|piece| match piece {
        Piece::Text(_) => None,
        Piece::Placeholder(name) => (!fills(name)).then(|| name.to_owned()),
    });
    placeholders.collect()
}

enum Piece<'a> {
    Text(&'a str),
    Placeholder(&'a str),
}

/// A text taken apart at its placeholders.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut placeholder = None;
    std::iter::from_fn(move || {
        if let Some(name) = placeholder.take() {
            return Some(Piece::Placeholder(name));
        }
        if rest.is_empty() {
            return None;
        }
        let Some((before, name, behind)) = next_placeholder(rest) else {
            return Some(Piece::Text(std::mem::take(&mut rest)));
        };
        rest = behind;
        placeholder = Some(name);
        Some(Piece::Text(before))
    })
}

fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, behind) = text.split_once("{{")?;
    let (name, behind) = behind.split_once("}}")?;
    Some((before, name.trim(), behind))
}

/// Captured text as a value: one line, without control characters, of bounded length.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = text.chars().take(CAPTURE_CHARS_MAX).map(plain).collect();
    line.trim().to_owned()
}
