//! Files → documents → schema → Spec → Config. All problems, with their places.
//!
//! Architecture invariant: nothing in here knows what runs. A set of files is either wholly good
//! or changes nothing.

pub mod allow;
pub mod beside;
pub mod compile;
pub mod document;
pub mod files;
pub mod memory;
pub mod place;
pub mod places;
pub mod problem;
pub mod read;
pub mod reference;
pub mod root;
pub mod rule;
pub mod schema;
pub mod spec;
pub mod unite;
pub mod watch;
pub mod whereabouts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::core::config::Config;
use files::Files;
pub use memory::Memory;
use places::Places;
use problem::{Finding, Findings, dotted};
use schema::PROBLEMS_PER_FILE_MAX;
pub use schema::schema;
pub use spec::test::Test;
use unite::{DECLARED_TWICE, United};

/// One set of files, read and judged.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Hash over paths and contents.
    pub hash: String,
    /// Path and content of each file.
    pub files: Vec<(String, String)>,
    /// The configuration, unless a problem is an error.
    pub config: Option<Config>,
    /// All problems: errors and warnings, by file and line.
    pub problems: Vec<Problem>,
    /// Findings of rules that are allowed where they stand.
    pub allowed: Vec<Allowed>,
    /// Mails and what must become of them, for `postroom test`.
    pub tests: Vec<DeclaredTest>,
}

/// Something wrong with the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether it stops the load.
    pub severity: Severity,
    /// File as given on the command line or found beneath it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Path in the document, such as `mailAccounts.support.password`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
    /// The rule of `docs/lint.md` that found it, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
}

/// A finding of a rule that somebody allowed where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// What was found.
    pub problem: Problem,
    /// Why it may stay.
    pub reason: String,
}

/// Whether a problem stops the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is applied.
    Error,
    /// Applied, but somebody should look.
    Warning,
    /// Worth knowing for whoever reviews a change; nothing is wrong.
    Note,
}

/// A test as written, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredTest {
    /// What is written.
    pub test: Test,
    /// File in which the test stands.
    pub file: String,
    /// Number of its document in that file, from 0.
    pub document: usize,
    /// Its index among the tests of that document, from 0.
    pub index: usize,
    /// What bounds the files that it names; `None` in a set that was saved.
    pub root: Option<Arc<root::Root>>,
}

/// Largest mail of a test that stands in a file of its own. Bytes.
const TEST_MAIL_BYTES_MAX: u64 = 64 * 1024 * 1024;

impl DeclaredTest {
    /// The bytes of one of its mails. `Err` says why there are none.
    pub fn mail(&self, mail: &spec::test::TestMail) -> Result<Vec<u8>, String> {
        let Some(file) = &mail.file else {
            let text = mail.text.as_deref().unwrap_or_default();
            // RFC 5322 section 2.3: lines end with CR and LF.
            return Ok(text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes());
        };
        let Some(root) = &self.root else {
            return Err(format!("mail {file} is not among the saved files"));
        };
        let beside = Path::new(&self.file);
        root.read_beside(beside, file, TEST_MAIL_BYTES_MAX).map_err(|refused| {
            let path = beside.parent().unwrap_or(Path::new("")).join(file);
            let hint = match refused.hint_beside() {
                "" => String::new(),
                hint => format!("; {hint}"),
            };
            format!("mail {} {refused}{hint}", path.display())
        })
    }

    /// Its path within its document.
    pub fn path(&self) -> Vec<String> {
        vec!["tests".to_owned(), self.index.to_string()]
    }

    /// Line and column at which it stands.
    pub fn place(&self, files: &[(String, String)]) -> (usize, usize) {
        let text = files.iter().find(|(name, _)| *name == self.file).map(|(_, text)| text);
        let place = |text: &String| place::locate(text, self.document, &self.path(), false);
        text.and_then(place).unwrap_or((1, 1))
    }
}

/// Reads and judges these files and directories.
pub fn load(paths: &[PathBuf]) -> Loaded {
    load_first(paths, &mut Memory::default())
}

/// [`load`] for somebody who means to [`load_again`].
pub fn load_first(paths: &[PathBuf], memory: &mut Memory) -> Loaded {
    first(Files::read(paths), memory)
}

/// Judges a set that was read before: [`Loaded::files`] of an earlier load.
pub fn load_saved(files: &[(String, String)]) -> Loaded {
    first(Files::saved(files), &mut Memory::default())
}

fn first(files: Files, memory: &mut Memory) -> Loaded {
    judge(files, memory, None).expect("nothing runs that they could be")
}

/// Reads and judges these files and directories again. Answers as [`load`] does, sooner where
/// little has changed since the last time; `None` if they are the very revision that runs.
pub fn load_again(
    paths: &[PathBuf],
    memory: &mut Memory,
    revision: &str,
    running: &Config,
) -> Option<Loaded> {
    let loaded = judge(Files::read(paths), memory, Some((revision, running)))?;
    (loaded.hash != revision || loaded.config.is_none()).then_some(loaded)
}

/// A document and where it is.
#[derive(Debug, Clone, Copy)]
pub struct Home {
    /// Index of the file.
    pub file: usize,
    /// Number of the document in the file, from 0.
    pub number: usize,
}

/// Files → documents → schema → spec → config. `None` if they are the very revision that runs, and
/// it was found good before.
fn judge(
    mut files: Files,
    memory: &mut Memory,
    running: Option<(&str, &Config)>,
) -> Option<Loaded> {
    let mut problems = std::mem::take(&mut files.problems);
    let read = memory.read(&files);
    let mut homes = Vec::new();
    let mut documents = Vec::new();
    for (file, read) in read.iter().enumerate() {
        let syntax = read.content.syntax.as_ref();
        problems.extend(syntax.map(|error| syntax_problem(&files.yaml[file].name, error)));
        for (number, document) in read.content.documents.iter().enumerate() {
            documents.push(document);
            homes.push(Home { file, number });
        }
    }
    let mut found = Vec::new();
    let united = United::of(&documents, &mut found);
    let findings = Findings::default();
    let texts = compile::text::read(&united, &homes, &mut files, &findings);
    let hash = memory::hash(&read, &files.texts);
    if let Some((revision, _)) = running
        && revision == hash
        && problems.is_empty()
        && memory.found_good(&hash)
    {
        return None;
    }
    let contents = files.contents();
    let again = running.and_then(|running| memory.again(running, &read, &homes));
    let config = compile::compile(&united, &texts, &findings, again.as_ref());
    // Where a file could not be read its objects are missing, and what is said about names that
    // do not exist would send people looking in the wrong place.
    if problems.is_empty() && !united.incomplete {
        found.extend(findings.into_vec());
    }
    let noted = noted(&found);
    let places = Places::of(&contents);
    problems.extend(placed(found, &united, &homes, &files, &places));
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    problems.dedup();
    let good = !problems.iter().any(|problem| problem.severity == Severity::Error);
    let by_rules = problems.iter().any(|problem| problem.rule.is_some());
    let allowances = if by_rules { allow::read(&contents) } else { Vec::new() };
    let (problems, allowed) = allow::sort_out(problems, &allowances, &places);
    let tests = declared_tests(&united, &homes, &files);
    memory.remember(&hash, read, good.then_some(noted));
    let config = if good { config } else { None };
    Some(Loaded { hash, files: contents, config, tests, problems, allowed })
}

/// Names of the objects about which something is said, by section.
fn noted(found: &[Finding]) -> BTreeMap<String, BTreeSet<String>> {
    let mut noted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for finding in found {
        if let Some([section, name]) = finding.path.first_chunk::<2>() {
            noted.entry(section.clone()).or_default().insert(name.clone());
        }
    }
    noted
}

fn syntax_problem(file: &str, error: &document::SyntaxError) -> Problem {
    Problem {
        severity: Severity::Error,
        file: file.to_owned(),
        line: error.place.0,
        column: error.place.1,
        path: String::new(),
        message: error.message.clone(),
        hint: error.hint.clone(),
        rule: None,
    }
}

/// Gives each finding its place. The first ones of each file only: nobody reads more, and the place
/// of a value costs another reading of the file.
fn placed(
    found: Vec<Finding>,
    united: &United<'_>,
    homes: &[Home],
    files: &Files,
    places: &Places<'_>,
) -> Vec<Problem> {
    let mut counts = vec![0usize; files.yaml.len()];
    let mut problems = Vec::new();
    for finding in found {
        let document = finding.document.or_else(|| united.home_of(&finding.path)).unwrap_or(0);
        let Some(home) = homes.get(document) else { continue };
        counts[home.file] += 1;
        if counts[home.file] <= PROBLEMS_PER_FILE_MAX {
            problems.push(place(finding, *home, homes, files, places));
        }
    }
    for (file, count) in counts.into_iter().enumerate() {
        if count > PROBLEMS_PER_FILE_MAX {
            let more = count - PROBLEMS_PER_FILE_MAX;
            problems.push(Problem {
                severity: Severity::Error,
                file: files.yaml[file].name.clone(),
                line: 1,
                column: 1,
                path: String::new(),
                message: format!("has {more} more problems, which are not shown"),
                hint: String::new(),
                rule: None,
            });
        }
    }
    problems
}

fn place(
    finding: Finding,
    home: Home,
    homes: &[Home],
    files: &Files,
    places: &Places<'_>,
) -> Problem {
    let Finding { severity, path, at_key, mut message, hint, rule, .. } = finding;
    let name = |home: Home| files.yaml[home.file].name.as_str();
    let (line, column) = places.nearest(name(home), home.number, &path, at_key);
    let first = message.strip_prefix(DECLARED_TWICE).and_then(|first| first.parse().ok());
    if let Some(first) = first.and_then(|first: usize| homes.get(first)) {
        let file = name(*first);
        let (line, column) = places.nearest(file, first.number, &path, true);
        message = format!("is declared twice; the first one is at {file}:{line}:{column}");
    }
    let file = name(home).to_owned();
    Problem { severity, file, line, column, path: dotted(&path), message, hint, rule }
}

fn declared_tests(united: &United<'_>, homes: &[Home], files: &Files) -> Vec<DeclaredTest> {
    let declared = |(document, index, test): &(usize, usize, &Test)| {
        let Home { file, number } = homes[*document];
        let yaml = &files.yaml[file];
        DeclaredTest {
            test: (*test).clone(),
            file: yaml.name.clone(),
            document: number,
            index: *index,
            root: yaml.root.clone(),
        }
    };
    united.tests.iter().map(declared).collect()
}
