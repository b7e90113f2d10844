//! What becomes of mails: configuration, mails and agents' actions, and what is expected of them,
//! in one file each beneath `tests/golden/intake/`.
//!
//! `UPDATE=1 cargo test --test it intake` writes the expectations anew; read that diff as
//! carefully as code. The form of the files is described in [`case`].

mod case;
mod report;
mod world;

use std::path::{Path, PathBuf};

use case::Case;
use postroom::config::{self, Loaded};
use world::World;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/intake")
}

#[test]
fn golden() {
    let mut failures = Vec::new();
    let files = files();
    assert!(!files.is_empty(), "there are golden files");
    for file in &files {
        failures.extend(run(file).err());
    }
    assert!(
        failures.is_empty(),
        "{} of {} golden files differ:\n{}",
        failures.len(),
        files.len(),
        failures.join("\n")
    );
}

/// Every difference of behaviour that is documented is shown by a file that exists.
#[test]
fn documented_differences_are_shown() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/coming-from-otobo.md");
    let text = std::fs::read_to_string(page).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what"));
    let mut named = 0;
    for row in rows {
        let names: Vec<&str> =
            row.split('`').filter(|word| word.ends_with(".txt") && !word.contains(' ')).collect();
        assert!(!names.is_empty(), "this row names no golden file: {row}");
        for name in names {
            assert!(directory().join(name).is_file(), "there is no golden file {name}");
            named += 1;
        }
    }
    assert!(named > 20, "the page has its table");
}

/// A signed Message-ID or a number is worth nothing to somebody who can only guess.
#[test]
fn guessing_joins_nothing() {
    let config = loaded("").config.expect("the desk of the golden files is valid");
    let mut world = World::new();
    let first = mail("eve@cust.example", "Printer broken", "first@cust.example", "");
    world.receive(&config, "inbox", &first);
    let number = world.number(1);
    for guess in 0..1_000 {
        let tag = format!("Re: [Ticket#{number}] hello {guess}");
        let forged = format!("<1.{guess:x}.00000000.{:032x}@corp.example>", guess * 7919);
        let id = format!("guess{guess}@evil.example");
        let raw = mail("mallory@evil.example", &tag, &id, &format!("References: {forged}\n"));
        let decision = world.receive(&config, "inbox", &raw);
        assert_eq!(decision.outcome.label(), "created", "{:?}", decision.why);
    }
    assert_eq!(world.articles_of(1), 2, "the mail and its automatic answer");
}

fn mail(from: &str, subject: &str, id: &str, more: &str) -> Vec<u8> {
    let text = format!(
        "From: {from}\nTo: support@corp.example\nSubject: {subject}\nMessage-ID: <{id}>\n{more}\n\
         Hello\n"
    );
    text.replace('\n', "\r\n").into_bytes()
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    files.sort();
    files
}

fn run(file: &Path) -> Result<(), String> {
    let name = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
    let written = std::fs::read_to_string(file).unwrap();
    let case = Case::read(&written).map_err(|error| format!("{name}: {error}"))?;
    let found = report::of(&case, &loaded(&case.config));
    if case.expected == found {
        return Ok(());
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, case.with_expected(&found)).unwrap();
        return Ok(());
    }
    let diff = similar::TextDiff::from_lines(&case.expected, &found);
    Err(format!("{name}:\n{}", diff.unified_diff().header("expected", "found")))
}

/// The desk of the golden files, but for the sections that the case writes itself.
fn loaded(yaml: &str) -> Loaded {
    let scratch = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(directory().join("desk")).unwrap() {
        let path = entry.unwrap().path();
        let section = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let replaced = yaml.lines().any(|line| line.starts_with(&format!("{section}:")));
        if !replaced {
            let name = path.file_name().expect("a file has a name");
            std::fs::copy(&path, scratch.path().join(name)).unwrap();
        }
    }
    let case = scratch.path().join("case.yaml");
    std::fs::write(&case, format!("version: 1\n{yaml}")).unwrap();
    config::load(&[scratch.path().to_path_buf()])
}
