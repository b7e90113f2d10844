//! What becomes of mails: configuration, mails and agents' actions, and what is expected of them,
//! in one file each beneath `tests/golden/intake/`.
//!
//! `UPDATE=1 cargo test --test it intake` writes the expectations anew; read that diff as
//! carefully as code. The form of the files is described in [`case`].

mod automatic;
mod bounces;
mod case;
mod forging;
mod quoting;
mod report;
mod sent;
mod world;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use case::Case;
use postroom::config::{self, Loaded};
use postroom::core::config::Config;
use postroom::core::thread;
use postroom::core::ticket::TicketId;
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

/// What the page for people who come from OTOBO says becomes of mails is what the golden files say:
/// each row names files with the outcomes of their mails, and every file is named.
#[test]
fn documented_outcomes_are_the_recorded_ones() {
    let mut wrong = Vec::new();
    let mut named = BTreeSet::new();
    for row in rows("`.txt`") {
        let entries = row.rsplit(" | ").next().expect("a row has a last column");
        let entries: Vec<&str> = entries.trim_end_matches(" |").split("; ").collect();
        for entry in entries {
            let (name, outcomes) = named_with_outcomes(entry)
                .unwrap_or_else(|| panic!("{entry:?} is no golden file with outcomes in {row}"));
            let file = directory().join(name);
            assert!(file.is_file(), "there is no golden file {name}");
            let recorded = outcomes_of(&std::fs::read_to_string(&file).unwrap());
            if recorded != outcomes {
                wrong.push(format!("{name}: the page says {outcomes:?}, the file {recorded:?}"));
            }
            named.insert(name.to_owned());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let files: BTreeSet<String> = files().iter().map(|path| file_name(path)).collect();
    let unnamed: Vec<&String> = files.difference(&named).collect();
    assert!(unnamed.is_empty(), "the page names no row for {unnamed:?}");
}

/// Every mail whose reading the page compares with OTOBO's exists, with what is read of it.
#[test]
fn documented_mails_exist() {
    let mails = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mails");
    let mut named = 0;
    for row in rows("`.eml`") {
        let last = row.rsplit(" | ").next().expect("a row has a last column");
        let names: Vec<&str> = last.split('`').filter(|word| word.ends_with(".eml")).collect();
        assert!(!names.is_empty(), "this row names no mail: {row}");
        for name in names {
            assert!(mails.join(name).is_file(), "there is no mail {name}");
            assert!(mails.join(name).with_extension("txt").is_file(), "{name} is read nowhere");
            named += 1;
        }
    }
    assert!(named > 50, "the page has its table of mails");
}

/// Each scenario and each mail that OTOBO was measured with has a file here, and it is played: the
/// files of scenarios by [`golden`], the mails by `mail::corpus`.
#[test]
fn what_otobo_was_asked_is_asked_here() {
    const SCENARIOS: usize = 74;
    const MAILS: usize = 75;
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let table = std::fs::read_to_string(tests.join("golden/asked-of-otobo.txt")).unwrap();
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    let rows: Vec<(&str, &str)> = rows.map(|line| line.split_once(' ').expect(line)).collect();
    let ids: BTreeSet<&str> = rows.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), rows.len(), "an id stands there twice");
    let played: BTreeSet<String> = files().iter().map(|path| file_name(path)).collect();
    let read: BTreeSet<String> = crate::mail::corpus().iter().map(|path| file_name(path)).collect();
    let (mails, scenarios): (Vec<_>, Vec<_>) = rows.iter().partition(|(id, _)| id.contains('/'));
    assert_eq!((scenarios.len(), mails.len()), (SCENARIOS, MAILS));
    for (id, file) in scenarios {
        assert!(played.contains(file), "{id}: {file} is not played");
        let text = std::fs::read_to_string(directory().join(file)).unwrap();
        let case = Case::read(&text).unwrap();
        assert!(!case.steps.is_empty(), "{id}: nothing happens in {file}");
        assert!(!case.expected.trim().is_empty(), "{id}: {file} expects nothing");
    }
    for (id, file) in mails {
        assert!(read.contains(file), "{id}: {file} is not read");
        assert!(tests.join("mails").join(file).with_extension("txt").is_file(), "{id}: {file}");
    }
}

/// Rows of the tables of the page whose last heading names files of this kind.
fn rows(kind: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/coming-from-otobo.md");
    let text = std::fs::read_to_string(page).unwrap();
    let mut wanted = false;
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('|')) {
        match line {
            head if head.starts_with("| what") => wanted = head.contains(kind),
            line if line.starts_with("|--") => {}
            row if wanted => rows.push(row.to_owned()),
            _ => {}
        }
    }
    assert!(!rows.is_empty(), "the page has tables that name {kind} files");
    rows
}

/// Takes "`name.txt` created, followUp" apart.
fn named_with_outcomes(entry: &str) -> Option<(&str, &str)> {
    entry.trim().strip_prefix('`')?.split_once("` ")
}

/// What became of the mails of a golden file, in order; the same outcome again and again counts
/// once, with the number.
fn outcomes_of(golden: &str) -> String {
    let (_, expected) = golden.split_once("--- expected\n").expect("it has an expectation");
    if expected.contains("configuration refused\n") {
        return "refused at load".into();
    }
    let heads = expected.lines().filter(|line| !line.starts_with(' '));
    let labels = heads.map(|line| line.rsplit(". ").next().unwrap_or(line));
    let mut outcomes: Vec<(&str, usize)> = Vec::new();
    for label in labels.filter(|label| OUTCOMES.contains(label)) {
        match outcomes.last_mut() {
            Some((last, count)) if *last == label => *count += 1,
            _ => outcomes.push((label, 1)),
        }
    }
    let words = outcomes.iter().map(|(label, count)| match count {
        1 => (*label).to_owned(),
        count => format!("{label} x{count}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Labels of outcomes.
const OUTCOMES: [&str; 7] =
    ["created", "followUp", "rejected", "bounce", "ignored", "duplicate", "quarantined"];

fn file_name(path: &Path) -> String {
    path.file_name().expect("a file has a name").to_string_lossy().into_owned()
}

/// A signed Message-ID or a number is worth nothing to somebody who can only guess.
#[test]
fn guessing_joins_nothing() {
    const GUESSES: u32 = 50_000;
    let config = loaded("").config.expect("the desk of the golden files is valid");
    let mut world = World::new();
    let first = mail("eve@cust.example", "Printer broken", "first@cust.example", "");
    world.receive(&config, "inbox", &first);
    let (known, world) = (world.number(1), &world);
    let now = "2026-11-22T05:00:00Z".parse().unwrap();
    let guess = |guess: u32| {
        // Each number that a ticket of this day can have, with its check digit: the right one, too.
        let number = thread::number(&config.desk, now, guess);
        let by_number = check_guess(world, &config, &format!("Re: [Ticket#{number}] hello"), "");
        let tag = u128::from(guess).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let forged = format!("References: <1.{guess:x}.00000000.{tag:032x}@corp.example>\n");
        (number == known, by_number + check_guess(world, &config, "hello", &forged))
    };
    let half = |from: u32| (from..GUESSES).step_by(2).map(guess).collect::<Vec<_>>();
    let guesses = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        [half(0), other.join().expect("no guess panics")].concat()
    });
    assert_eq!(guesses.iter().filter(|(right, _)| *right).count(), 1);
    assert_eq!(guesses.iter().map(|(_, made)| made).sum::<usize>(), 2 * GUESSES as usize);
}

/// A stranger's mail makes a ticket of its own; nobody of the other one hears of it.
#[track_caller]
fn check_guess(world: &World, config: &Config, subject: &str, more: &str) -> usize {
    let raw = mail("mallory@evil.example", subject, "guess@evil.example", more);
    let decision = world.would(config, "inbox", &raw);
    assert_eq!(decision.outcome.label(), "created", "{subject} {more}: {:?}", decision.why);
    let effects = || decision.effect.iter().chain(&decision.linked);
    assert!(effects().all(|effect| effect.ticket.id != TicketId(1)), "{subject} {more}");
    let told = |address: &str| address.starts_with("eve@");
    let owed = || effects().flat_map(|effect| &effect.owed);
    assert!(owed().all(|mail| !told(mail.recipient.as_str())), "{subject} {more}");
    effects().count()
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
    let name = file_name(file);
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
pub fn loaded(yaml: &str) -> Loaded {
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
