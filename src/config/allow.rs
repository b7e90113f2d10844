//! Findings of lint rules that are allowed where they stand, in two ways of writing:
//!
//! ```yaml
//! x-allow: {unused-object: the second relay is for emergencies}     # the whole file
//! filters:
//!   # postroom: allow unreachable-filter until the migration is over
//!   old: {...}                                                      # this object alone
//! ```
//!
//! Architecture invariant: an error is never allowed, and an allowance without a reason is none.

use std::path::Path;

use serde_json::Value;

use super::places::Places;
use super::{Allowed, Problem, Severity, document, place};

/// Begins a comment that allows something.
const MARK: &str = "postroom: allow";
/// Key at the top of a file that allows something in all of it.
const KEY: &str = "x-allow";

/// That a rule may find something, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// File in which it stands.
    pub file: String,
    /// Line in which it stands, from 1.
    pub line: usize,
    /// The rule, as written.
    pub rule: String,
    /// Why; empty if nobody said so.
    pub reason: String,
    /// The line it is about, from 1; `None` if it is about the whole file.
    about: Option<usize>,
}

/// All allowances of a set of files.
pub fn read(files: &[(String, String)]) -> Vec<Allowance> {
    let yaml = files.iter().filter(|(name, _)| is_yaml(name));
    yaml.flat_map(|(name, text)| in_comments(name, text).chain(at_the_top(name, text))).collect()
}

/// Takes out what is allowed.
pub fn sort_out(
    problems: Vec<Problem>,
    allowances: &[Allowance],
    places: &Places<'_>,
) -> (Vec<Problem>, Vec<Allowed>) {
    let mut kept = Vec::new();
    let mut allowed = Vec::new();
    for problem in problems {
        match allowances.iter().find(|allowance| allowance.covers(&problem, places)) {
            Some(allowance) => {
                allowed.push(Allowed { problem, reason: allowance.reason.clone() });
            }
            None => kept.push(problem),
        }
    }
    (kept, allowed)
}

impl Allowance {
    /// Whether it speaks of this problem: it stands at its place, or at the object it is in.
    pub fn covers(&self, problem: &Problem, places: &Places<'_>) -> bool {
        let meant = problem.severity != Severity::Error
            && problem.rule == Some(self.rule.as_str())
            && problem.file == self.file
            && !self.reason.is_empty();
        let near = |about: usize| {
            about == problem.line
                || Some(about) == places.object_around(&problem.file, problem.line)
        };
        meant && self.about.is_none_or(near)
    }
}

fn in_comments<'a>(file: &'a str, text: &'a str) -> impl Iterator<Item = Allowance> + 'a {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some((before, comment)) = line.split_once('#') else { continue };
        let Some(words) = comment.trim_start().strip_prefix(MARK) else { continue };
        let words = words.trim();
        let (rule, reason) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
        let alone = before.trim().is_empty();
        let below = || (index + 1..lines.len()).find(|next| says_something(lines[*next]));
        found.push(Allowance {
            file: file.to_owned(),
            line: index + 1,
            rule: rule.to_owned(),
            reason: reason.trim().to_owned(),
            about: Some(1 + if alone { below().unwrap_or(index) } else { index }),
        });
    }
    found.into_iter()
}

/// Whether a line is neither empty nor a comment.
fn says_something(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with('#')
}

fn at_the_top(file: &str, text: &str) -> Vec<Allowance> {
    if !text.contains(KEY) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, value) in document::parse(text).unwrap_or_default().iter().enumerate() {
        let rules = value.get(KEY).and_then(Value::as_object);
        for (rule, reason) in rules.into_iter().flatten() {
            let path = [KEY.to_owned(), rule.clone()];
            let line = place::locate(text, number, &path, true).map_or(1, |(line, _)| line);
            found.push(Allowance {
                file: file.to_owned(),
                line,
                rule: rule.clone(),
                reason: reason.as_str().unwrap_or_default().trim().to_owned(),
                about: None,
            });
        }
    }
    found
}

fn is_yaml(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "yaml" || end == "yml")
}

#[cfg(test)]
mod tests {
    use crate::config::load_saved;

    /// Rules that still find something, and reasons of what is allowed.
    #[track_caller]
    fn check(yaml: &str, found: &[&str], reasons: &[&str]) {
        let loaded = load_saved(&[("a.yaml".into(), format!("version: 1\n{yaml}"))]);
        let rules: Vec<_> = loaded.problems.iter().filter_map(|problem| problem.rule).collect();
        let allowed: Vec<_> = loaded.allowed.iter().map(|it| it.reason.as_str()).collect();
        assert_eq!((rules.as_slice(), allowed.as_slice()), (found, reasons), "{yaml}");
    }

    const FILTER: &str = "filters:\n  a.b:\n    order: 1\n    match: [{body: x}]\n    set: {queue: q}\n\
                          queues: {q: {state: disabled}}\n";

    fn with(comment: &str, above: &str) -> String {
        FILTER.replace(above, &format!("{comment}\n{above}"))
    }

    #[test]
    fn nothing_is_allowed() {
        check(FILTER, &["disabled-queue"], &[]);
    }

    #[test]
    fn at_the_object() {
        let comment = "  # postroom: allow disabled-queue it is full";
        check(&with(comment, "  a.b:"), &[], &["it is full"]);
        check(&with(&format!("{comment}\n  # and more words"), "  a.b:"), &[], &["it is full"]);
    }

    #[test]
    fn at_the_place() {
        let comment = "    # postroom: allow disabled-queue it is full";
        check(&with(comment, "    set:"), &[], &["it is full"]);
        let beside = FILTER.replace("queue: q}", "queue: q} # postroom: allow disabled-queue full");
        check(&beside, &[], &["full"]);
    }

    #[test]
    fn somewhere_else() {
        let comment = "    # postroom: allow disabled-queue it is full";
        check(&with(comment, "    order:"), &["disabled-queue"], &[]);
    }

    #[test]
    fn without_a_reason_or_of_another_rule() {
        check(&with("  # postroom: allow disabled-queue", "  a.b:"), &["disabled-queue"], &[]);
        check(&with("  # postroom: allow idle-filter why", "  a.b:"), &["disabled-queue"], &[]);
    }

    #[test]
    fn in_the_whole_file() {
        check(&format!("x-allow: {{disabled-queue: full}}\n{FILTER}"), &[], &["full"]);
        let none = format!("x-allow: {{disabled-queue: ''}}\n{FILTER}");
        check(&none, &["disabled-queue"], &[]);
    }
}
