//! Gathers problems where they are found; tells their place afterwards.
//!
//! Architecture invariant: a message never holds a value that was written in the files, only keys
//! and names; a value could be a secret at the wrong place.

use std::cell::RefCell;
use std::fmt;

use super::{Problem, Severity};

/// A problem that knows its path but not yet its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it stops the load.
    pub severity: Severity,
    /// Document it stands in, if that is known better than by its path.
    pub document: Option<usize>,
    /// Path from the top of the document.
    pub path: Vec<String>,
    /// Whether it points to the key at the end of the path instead of the value.
    pub at_key: bool,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// The rule of `docs/lint.md` that found it, if one did.
    pub rule: Option<&'static str>,
}

/// All problems found so far.
#[derive(Debug, Default)]
pub struct Findings(RefCell<Vec<Finding>>);

impl Findings {
    /// Adds one.
    pub fn add(&self, finding: Finding) {
        self.0.borrow_mut().push(finding);
    }

    /// Ends the gathering.
    pub fn into_vec(self) -> Vec<Finding> {
        self.0.into_inner()
    }
}

/// A place in the united files, to which problems are reported. Costs nothing until one is.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    findings: &'a Findings,
    parent: Option<&'a Scope<'a>>,
    step: &'a str,
    document: Option<usize>,
}

impl<'a> Scope<'a> {
    /// The top. `document` is given for what is not a keyed object.
    pub fn top(findings: &'a Findings, document: Option<usize>) -> Scope<'a> {
        Scope { findings, parent: None, step: "", document }
    }

    /// The same place in a given document, for what has no name to find it by.
    pub fn of(&self, document: usize) -> Scope<'a> {
        Scope { document: Some(document), ..*self }
    }

    /// One step down: a key, or the index of a list's item.
    pub fn at<'b>(&'b self, step: &'b str) -> Scope<'b> {
        Scope { findings: self.findings, parent: Some(self), step, document: self.document }
    }

    /// Reports an error at the value.
    pub fn error(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.report(Severity::Error, false, message.into(), hint.into());
    }

    /// Reports an error at the key: something is missing in the object.
    pub fn error_at_key(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.report(Severity::Error, true, message.into(), hint.into());
    }

    /// Reports a warning at the value.
    pub fn warning(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.report(Severity::Warning, false, message.into(), hint.into());
    }

    /// Reports a warning at the key: it is about the whole object.
    pub fn warning_at_key(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.report(Severity::Warning, true, message.into(), hint.into());
    }

    /// Reports at the value what a rule of `docs/lint.md` finds.
    pub fn lint(&self, rule: &'static str, message: impl Into<String>, hint: impl Into<String>) {
        self.find(Some(rule), Severity::Warning, false, message.into(), hint.into());
    }

    /// Reports at the key what a rule of `docs/lint.md` finds.
    pub fn lint_at_key(
        &self,
        rule: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.find(Some(rule), Severity::Warning, true, message.into(), hint.into());
    }

    /// The path from the top.
    pub fn path(&self) -> Vec<String> {
        let Some(parent) = self.parent else { return Vec::new() };
        let mut path = parent.path();
        path.push(self.step.to_owned());
        path
    }

    fn report(&self, severity: Severity, at_key: bool, message: String, hint: String) {
        self.find(None, severity, at_key, message, hint);
    }

    fn find(
        &self,
        rule: Option<&'static str>,
        severity: Severity,
        at_key: bool,
        message: String,
        hint: String,
    ) {
        let (document, path) = (self.document, self.path());
        self.findings.add(Finding { severity, document, path, at_key, message, hint, rule });
    }
}

/// A path as people read it: `filters.vip.match[0].regex`.
pub fn dotted(path: &[String]) -> String {
    let mut text = String::new();
    for step in path {
        let index = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
        match (index, text.is_empty()) {
            (true, false) => text.push_str(&format!("[{step}]")),
            (_, true) => text.push_str(step),
            (false, false) => text.push_str(&format!(".{step}")),
        }
    }
    text
}

/// The names that are nearest to what was written, for a hint. Names further away than a third of
/// their length are not offered.
pub fn nearest<'n>(written: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let written = written.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&written, &name.to_lowercase());
    names
        .into_iter()
        .filter(|name| name.len().abs_diff(written.len()) <= NEAREST_DISTANCE_MAX)
        .map(|name| (distance(name), name))
        .filter(|(distance, name)| *distance <= NEAREST_DISTANCE_MAX.min(1 + name.len() / 3))
        .min()
        .map(|(_, name)| name)
}

/// Most edits between two names that are thought to be the same.
const NEAREST_DISTANCE_MAX: usize = 4;

/// Names listed in a hint.
const NAMES_LISTED_MAX: usize = 8;

/// `did you mean ...?`, else what is declared.
pub fn hint_of_names<'n>(
    what: &str,
    written: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    if let Some(name) = nearest(written, names.iter().copied()) {
        return format!("did you mean {name:?}?");
    }
    if names.is_empty() {
        return format!("no {what} is declared");
    }
    let mut list: Vec<String> =
        names.iter().take(NAMES_LISTED_MAX).map(|name| format!("{name:?}")).collect();
    if names.len() > NAMES_LISTED_MAX {
        list.push(format!("and {} more", names.len() - NAMES_LISTED_MAX));
    }
    format!("declared are {}", list.join(", "))
}

impl Severity {
    /// Word in reports.
    pub fn label(&self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

impl fmt::Display for Problem {
    /// `file:line:column: error: path: message [rule]`, and the hint on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { file, line, column, path, message, hint, rule, .. } = self;
        write!(f, "{file}:{line}:{column}: {}: ", self.severity.label())?;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        f.write_str(message)?;
        if let Some(rule) = rule {
            write!(f, " [{rule}]")?;
        }
        if !hint.is_empty() {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_path(steps: &[&str], expected: &str) {
        let steps: Vec<String> = steps.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(dotted(&steps), expected);
    }

    #[test]
    fn paths() {
        check_path(&[], "");
        check_path(&["filters", "vip", "match", "0", "regex"], "filters.vip.match[0].regex");
    }

    #[track_caller]
    fn check_nearest(written: &str, names: &[&str], expected: Option<&str>) {
        assert_eq!(nearest(written, names.iter().copied()), expected);
    }

    #[test]
    fn nearest_names() {
        check_nearest("pasword", &["password", "path"], Some("password"));
        check_nearest("poll_interval", &["pollInterval"], Some("pollInterval"));
        check_nearest("something", &["password", "path"], None);
    }
}
