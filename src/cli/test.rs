//! `postroom test`: the mails declared under `tests`, and what must become of them.

mod compare;
mod trial;
mod update;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::output::{clean, paint};
use super::redact::{Redaction, ShowArgs};
use super::report::junit::{self, Case};
use super::report::{github, markdown};
use super::{Exit, Failure, FilesArgs, output, wait_for};
use crate::config::files::FILE_BYTES_MAX;
use crate::config::root::Root;
use crate::config::{DeclaredTest, Problem, Severity};
use crate::core::number::counted;
use trial::Checked;
use update::Edit;

/// Options of `test`.
#[derive(Args)]
#[command(
    after_help = "Each test has a desk of its own that is empty when it begins. Ends with 4 \
                        if one fails. Tests stand under `tests:` in any of the files; by custom in \
                        files named *_test.yaml beside the rules they test.\n\n\
                        Examples:\n  postroom test -c config/\n  \
                        postroom test -c config/ --only vip --update\n  \
                        postroom test -c config/ --format junit"
)]
pub struct TestArgs {
    #[command(flatten)]
    files: FilesArgs,
    /// Only tests with this text in their name
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Write what was observed into the files instead of failing; comments are kept
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    show: ShowArgs,
    /// How to write the results
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: TestFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TestFormat {
    /// For people.
    Human,
    /// For programs.
    Json,
    /// For test reports.
    Junit,
    /// Annotations of GitHub Actions.
    Github,
    /// For a comment of a pull request.
    Markdown,
}

/// What came of one test.
#[derive(Serialize)]
struct Ran {
    name: String,
    file: String,
    line: usize,
    column: usize,
    failures: Vec<String>,
    seconds: f64,
    #[serde(skip)]
    root: Option<Arc<Root>>,
    #[serde(skip)]
    edits: Vec<Edit>,
}

/// Runs all tests and says how they went.
pub fn run(args: TestArgs) -> Result<Exit, Failure> {
    let loaded = args.files.load();
    let Some(config) = loaded.config else {
        output::problems(&loaded.problems);
        return Ok(Exit::Problems);
    };
    let redaction = Redaction::of(&config, args.show);
    let config = Arc::new(config);
    let wanted = loaded.tests.iter().filter(|it| it.test.name.contains(&args.only));
    let mut all = Vec::new();
    for declared in wanted {
        let begun = Instant::now();
        let checked = wait_for(async { Ok(trial::run(&config, declared).await) })?;
        let seconds = begun.elapsed().as_secs_f64();
        all.push(ran(declared, checked, &loaded.files, &redaction, seconds));
    }
    if args.update {
        write_back(&mut all)?;
    }
    output::print(&match args.format {
        TestFormat::Human => human(&all),
        TestFormat::Json => output::json_text(&all),
        TestFormat::Junit => junit::suite("postroom test", &cases(&all)),
        TestFormat::Github => github::annotations(&problems(&all)),
        TestFormat::Markdown => comment(&all),
    });
    let failed = all.iter().any(|ran| !ran.failures.is_empty());
    Ok(if failed { Exit::TestFailed } else { Exit::Fine })
}

fn ran(
    declared: &DeclaredTest,
    checked: Result<Vec<Checked>, String>,
    files: &[(String, String)],
    redaction: &Redaction,
    seconds: f64,
) -> Ran {
    let several = !declared.test.steps.is_empty();
    let (failures, edits) = match checked {
        Ok(checked) => {
            let failures = checked.iter().flat_map(|it| compare::sentences(it, redaction, several));
            (failures.collect(), checked.iter().flat_map(|it| edits(declared, it)).collect())
        }
        Err(reason) => (vec![reason], Vec::new()),
    };
    let (line, column) = declared.place(files);
    let (name, file) = (declared.test.name.clone(), declared.file.clone());
    Ran { name, file, line, column, failures, seconds, root: declared.root.clone(), edits }
}

fn edits(declared: &DeclaredTest, checked: &Checked) -> Vec<Edit> {
    let Ok(observed) = &checked.observed else { return Vec::new() };
    let edit = |difference: compare::Difference| {
        let mut path = declared.path();
        path.extend(checked.path.clone());
        path.push(difference.key.to_owned());
        Edit { document: declared.document, path, value: difference.observed }
    };
    compare::differences(&checked.expected, observed).into_iter().map(edit).collect()
}

/// Writes what was observed; tests whose expectations could all be written count as passed.
fn write_back(all: &mut [Ran]) -> Result<(), Failure> {
    let mut by_file: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, ran) in all.iter().enumerate().filter(|(_, ran)| !ran.edits.is_empty()) {
        by_file.entry(ran.file.clone()).or_default().push(index);
    }
    for (file, indices) in by_file {
        let failed = |why: String| Failure::new(format!("could not rewrite {file}: {why}"));
        let root = indices.first().and_then(|index| all[*index].root.clone());
        let root = root.ok_or_else(|| failed("it is not among the files here".into()))?;
        let read = root.read(Path::new(&file), FILE_BYTES_MAX);
        let bytes = read.map_err(|refused| failed(refused.to_string()).hint(refused.hint()))?;
        let mut text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8".into()))?;
        for index in indices {
            let ran = &mut all[index];
            let (new, refused) = update::edited(&text, &ran.edits);
            text = new;
            ran.failures = refused
                .iter()
                .map(|path| format!("could not rewrite {}: change it by hand", path.join(".")))
                .collect();
        }
        let real = root.resolve(Path::new(&file)).map_err(|refused| failed(refused.to_string()))?;
        replace(&real, &text).map_err(|error| failed(error.to_string()))?;
        output::print(&format!("wrote {file}\n"));
    }
    Ok(())
}

/// A reader sees the old file or the new one. The path has no link, so a link to it stays one.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let permissions = std::fs::metadata(file)?.permissions();
    let beside = file.with_extension("yaml.postroom-new");
    // Left by an attempt that was interrupted; a link there would be written through.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut new = std::fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
    new.write_all(text.as_bytes())?;
    std::fs::set_permissions(&beside, permissions)?;
    std::fs::rename(beside, file)
}

fn human(all: &[Ran]) -> String {
    let colour = output::colour();
    let mut text = String::new();
    for ran in all {
        let mark = match ran.failures.is_empty() {
            true => paint("ok    ", "32", colour),
            false => paint("failed", "31;1", colour),
        };
        text += &format!("{mark} {}\n", clean(&ran.name));
        for failure in &ran.failures {
            text += &format!("         {}\n", clean(failure));
        }
    }
    let failed = all.iter().filter(|ran| !ran.failures.is_empty()).count();
    text + &format!("{}, {failed} failed\n", counted(all.len(), "test"))
}

fn cases(all: &[Ran]) -> Vec<Case> {
    let case = |ran: &Ran| Case {
        class: ran.file.clone(),
        name: ran.name.clone(),
        failures: ran.failures.clone(),
        said: String::new(),
        seconds: ran.seconds,
    };
    all.iter().map(case).collect()
}

fn problems(all: &[Ran]) -> Vec<Problem> {
    let failed = all.iter().filter(|ran| !ran.failures.is_empty());
    let problem = |ran: &Ran| Problem {
        severity: Severity::Error,
        file: ran.file.clone(),
        line: ran.line,
        column: ran.column,
        path: format!("test {:?}", ran.name),
        message: ran.failures.join("\n"),
        hint: String::new(),
        rule: None,
    };
    failed.map(problem).collect()
}

fn comment(all: &[Ran]) -> String {
    let failed: Vec<&Ran> = all.iter().filter(|ran| !ran.failures.is_empty()).collect();
    let tests = counted(all.len(), "test");
    if failed.is_empty() {
        return format!("### Postroom: {tests} passed\n");
    }
    let row = |ran: &&Ran| {
        let failures: Vec<String> = ran.failures.iter().map(|it| markdown::text(it)).collect();
        let place = markdown::code(&format!("{}:{}", ran.file, ran.line));
        vec![markdown::text(&ran.name), place, failures.join("<br>")]
    };
    let rows: Vec<Vec<String>> = failed.iter().map(row).collect();
    let table = markdown::table(&["test", "where", "what failed"], &rows);
    format!("### Postroom: {} of {tests} failed\n\n{table}", failed.len())
}
