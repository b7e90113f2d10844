//! Writes what was observed into the files, in the place of what was expected.
//!
//! Architecture invariant: only the value itself is changed, comments and everything else stay. An
//! edit counts only if the file, read again, says exactly the same but for that value.

use serde_json::Value as Json;

use super::compare::Value;
use crate::config::{document, place};

/// A value to be written.
pub struct Edit {
    /// Number of the document in its file.
    pub document: usize,
    /// Path from the top.
    pub path: Vec<String>,
    /// What is to stand there.
    pub value: Value,
}

/// The text with these values in it, and the paths of those that could not be written.
pub fn edited(text: &str, edits: &[Edit]) -> (String, Vec<Vec<String>>) {
    let mut text = text.to_owned();
    let mut refused = Vec::new();
    for edit in edits {
        match replaced(&text, edit) {
            Some(new) => text = new,
            None => refused.push(edit.path.clone()),
        }
    }
    (text, refused)
}

fn replaced(text: &str, edit: &Edit) -> Option<String> {
    let (line, column) = place::locate(text, edit.document, &edit.path, false)?;
    let start = offset(text, line, column)?;
    let wanted = wanted(text, edit)?;
    let tried = ends(text, start, column)
        .into_iter()
        .map(|end| format!("{}{}{}", &text[..start], edit.value.yaml(), &text[end..]));
    let mut good = tried.filter(|new| document::parse(new).is_ok_and(|read| read == wanted));
    good.next()
}

/// What the file must say afterwards.
fn wanted(text: &str, edit: &Edit) -> Option<Vec<Json>> {
    let mut documents = document::parse(text).ok()?;
    let mut at = documents.get_mut(edit.document)?;
    for step in &edit.path {
        at = match at {
            Json::Object(map) => map.get_mut(step)?,
            Json::Array(list) => list.get_mut(step.parse::<usize>().ok()?)?,
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => return None,
        };
    }
    *at = edit.value.json();
    Some(documents)
}

fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let begin = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum::<usize>();
    let within = text[begin..].char_indices().nth(column.checked_sub(1)?)?.0;
    Some(begin + within)
}

/// Where the value may end; which it is, shows when the file is read again.
fn ends(text: &str, start: usize, column: usize) -> Vec<usize> {
    let rest = &text[start..];
    let relative = match rest.chars().next() {
        Some('[' | '{') => closing_bracket(rest).into_iter().collect(),
        Some('"') => closing_quote(rest, '"').into_iter().collect(),
        Some('\'') => closing_quote(rest, '\'').into_iter().collect(),
        Some('-') if rest[1..].starts_with([' ', '\n']) => vec![end_of_block(rest, column)],
        Some(_) => plain_ends(rest),
        None => Vec::new(),
    };
    relative.into_iter().map(|end| start + end).collect()
}

fn closing_bracket(rest: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(character) = rest[at..].chars().next() {
        match character {
            '[' | '{' => depth += 1,
            ']' | '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            '"' | '\'' if opens_quote(rest, at) => {
                at += closing_quote(&rest[at..], character)?;
                continue;
            }
            _ => {}
        }
        at += character.len_utf8();
    }
    None
}

/// A quote opens a text only where one can begin.
fn opens_quote(rest: &str, at: usize) -> bool {
    rest[..at].trim_end().ends_with(['[', '{', ',', ':'])
}

/// End of a quoted text, its closing quote included.
fn closing_quote(rest: &str, quote: char) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character == '\\' && quote == '"' {
            characters.next();
        } else if character == quote {
            match characters.peek() {
                Some((_, next)) if *next == quote && quote == '\'' => {
                    characters.next();
                }
                _ => return Some(at + 1),
            }
        }
    }
    None
}

/// End of the last line of a list that is written with dashes.
fn end_of_block(rest: &str, column: usize) -> usize {
    let mut end = 0;
    let mut at = 0;
    for (index, line) in rest.split_inclusive('\n').enumerate() {
        let indent = line.chars().take_while(|c| *c == ' ').count();
        let inside = index == 0
            || indent + 1 > column
            || indent + 1 == column && line.trim_start().starts_with('-');
        if !inside || line.trim().is_empty() {
            break;
        }
        at += line.len();
        end = at - (line.len() - line.trim_end().len());
    }
    end
}

/// A bare word ends at a comma or bracket, a comment, or with its line.
fn plain_ends(rest: &str) -> Vec<usize> {
    let line = rest.lines().next().unwrap_or_default();
    let mut ends: Vec<usize> =
        line.match_indices([',', '}', ']']).map(|(at, _)| line[..at].trim_end().len()).collect();
    ends.extend(line.find(" #").map(|at| line[..at].trim_end().len()));
    ends.push(line.trim_end().len());
    ends.retain(|end| *end > 0);
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expect: &str, key: &str, value: Value, expected: &str) {
        let whole = |expect: &str| {
            format!("version: 1 # first\ntests:\n  - name: it's \"one\"\n{expect}    # last\n")
        };
        let path = ["tests", "0", "expect", key].map(str::to_owned).to_vec();
        let (text, refused) = edited(&whole(expect), &[Edit { document: 0, path, value }]);
        assert_eq!(text, whole(expected));
        assert_eq!(refused, Vec::<Vec<String>>::new());
    }

    fn word(text: &str) -> Value {
        Value::Word(text.into())
    }

    fn list(words: &[&str]) -> Value {
        Value::List(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn in_one_line() {
        let before = "    expect: {queue: support, filters: [a, \"b]\"], state: new} # why\n";
        check(before, "queue", word("sales"), &before.replace("support", "sales"));
        check(before, "filters", list(&["x", "z"]), &before.replace("[a, \"b]\"]", "[x, z]"));
        check(
            before,
            "state",
            word("closed successful"),
            &before.replace("new", "closed successful"),
        );
    }

    #[test]
    fn in_lines_of_their_own() {
        let before = "    expect:\n      queue: 'it''s' # here\n      filters:\n        - a # one\n        - b\n      state: new\n";
        check(before, "queue", word("sales"), &before.replace("'it''s'", "sales"));
        let after = before.replace("- a # one\n        - b", "[]");
        check(before, "filters", list(&[]), &after);
        check(before, "state", word("a: b"), &before.replace("new", "\"a: b\""));
    }

    #[test]
    fn what_cannot_be_placed_is_refused() {
        let text = "version: 1\nx-a: &a {queue: b}\ntests: [{name: n, expect: *a}]\n";
        let path = ["tests", "0", "expect", "queue"].map(str::to_owned).to_vec();
        let edit = Edit { document: 0, path: path.clone(), value: word("c") };
        assert_eq!(edited(text, &[edit]), (text.to_owned(), vec![path]));
    }
}
