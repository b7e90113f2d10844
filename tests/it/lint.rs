//! Lint through the real program: its page, its reports, and what may be allowed.

use std::path::Path;
use std::process::{Command, Output};

use postroom::config::Severity;
use serde_json::Value;

use crate::needed;

/// A desk with an error-free file in which one filter is never reached.
const UNREACHABLE: &str = "version: 1\nqueues: {vip: {}, boss: {}}\nfilters:\n\
    \x20 vip: {order: 100, match: [{header: From, address: '.*@vip\\.example'}], set: {queue: vip}, stop: true}\n\
    \x20 boss: {order: 200, match: [{header: From, address: 'boss@vip\\.example'}], set: {queue: boss}}\n";

fn postroom(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_postroom"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).unwrap()
}

#[track_caller]
fn check(yaml: &str, arguments: &[&str], exit: i32, words: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("desk.yaml"), yaml).unwrap();
    let output = postroom(folder.path(), &[&["check", "-c", "desk.yaml"], arguments].concat());
    let said = said(&output);
    assert_eq!(output.status.code(), Some(exit), "{said}");
    assert!(said.contains(words), "{words:?} in:\n{said}");
    said
}

#[test]
fn the_page_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lint.md");
    let page = postroom::lint::page::page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "docs/lint.md is old; rewrite it with UPDATE=1");
}

#[test]
fn warnings_of_rules_end_a_strict_check() {
    let place = "desk.yaml:5:3 filters.boss: is never reached";
    check(UNREACHABLE, &[], 0, place);
    check(UNREACHABLE, &["--strict"], 3, "[unreachable-filter]");
    check(
        UNREACHABLE,
        &["--format", "github"],
        0,
        "::warning file=desk.yaml,line=5,col=3,title=unreachable-filter::",
    );
    check(
        UNREACHABLE,
        &["--format", "markdown"],
        0,
        "| warning | `desk.yaml:5`<br>`filters.boss` |",
    );
}

#[test]
fn what_is_allowed_is_not_said() {
    let comment = "  # postroom: allow unreachable-filter the order changes next week\n  boss:";
    let allowed = UNREACHABLE.replace("  boss:", comment);
    let said = check(&allowed, &["--strict"], 0, "0 warnings, 1 allowed");
    assert!(!said.contains("never reached"), "{said}");
    let misspelt = allowed.replace("unreachable-filter", "unreachable-filters");
    check(&misspelt, &["--strict"], 3, "did you mean \"unreachable-filter\"?");
}

#[test]
fn rules_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let output = postroom(folder.path(), &["check", "--explain", "mail-loop"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(said(&output).starts_with("## mail-loop\n"));
    let output = postroom(folder.path(), &["check", "--explain", "all"]);
    assert_eq!(said(&output).lines().count(), 1 + postroom::lint::RULES.len());
    let output = postroom(folder.path(), &["check", "--explain", "mail-lop"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(said(&output).contains("did you mean \"mail-loop\"?"));
}

/// What the schema of SARIF 2.1.0 demands of the parts that are written.
fn sarif_essentials() -> Value {
    serde_json::from_str(include_str!("../golden/sarif-essentials.json")).unwrap()
}

/// The whole schema of the standard, where it was fetched.
fn sarif_schema() -> Option<Value> {
    const SCHEMA: &str = "POSTROOM_SARIF_SCHEMA";
    let path = std::env::var(SCHEMA).ok();
    let path = needed::found(path, &format!("{SCHEMA} names no file"))?;
    let schema = std::fs::read_to_string(path).unwrap();
    // A bracket too much in the pattern of `language` makes it none that every reader takes.
    let schema = schema.replace("-[a-zA-Z]{2}]?$", "-[a-zA-Z]{2}$");
    assert!(schema.len() > 100_000, "an excerpt is no whole schema");
    Some(serde_json::from_str(&schema).unwrap())
}

#[test]
fn sarif_is_what_the_standard_wants() {
    let schemas = [Some(sarif_essentials()), sarif_schema()];
    let validators: Vec<jsonschema::Validator> = schemas
        .into_iter()
        .flatten()
        .map(|schema| jsonschema::draft7::new(&schema).unwrap())
        .collect();
    let allowed = UNREACHABLE.replace("queues:", "x-allow: {unreachable-filter: meant}\nqueues:");
    for (yaml, exit, results) in
        [(UNREACHABLE, 0, 1), (&allowed, 0, 1), ("version: 1\n", 0, 0), ("queues: [\n", 3, 1)]
    {
        let log = check(yaml, &["--format", "sarif"], exit, "2.1.0");
        let log: Value = serde_json::from_str(&log).unwrap();
        for validator in &validators {
            let errors = validator.iter_errors(&log).map(|it| it.to_string());
            assert_eq!(errors.collect::<Vec<String>>(), Vec::<String>::new(), "{log:#}");
        }
        assert_eq!(log["runs"][0]["results"].as_array().unwrap().len(), results, "{log:#}");
    }
}

#[test]
fn junit_tells_files_apart() {
    let said =
        check(UNREACHABLE, &["--format", "junit"], 0, "<testsuites tests=\"1\" failures=\"1\"");
    assert!(said.contains("name=\"desk.yaml\""), "{said}");
    check("version: 1\n", &["--format", "junit"], 0, "failures=\"0\"");
}

#[test]
fn the_examples_have_no_warning_that_is_not_allowed() {
    for example in ["examples/otobo-ops", "examples/quickstart/desk.yaml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(example);
        let mut loaded = postroom::config::load(&[path]);
        let today = jiff::civil::date(2026, 11, 25);
        let around = postroom::lint::Around {
            today,
            secrets: None,
            certificates: false,
            sign_ins: Vec::new(),
        };
        postroom::lint::add(&mut loaded, &around);
        let warnings: Vec<String> = loaded
            .problems
            .iter()
            .filter(|it| it.severity != Severity::Note && it.rule.is_some())
            .map(ToString::to_string)
            .collect();
        assert_eq!(warnings, Vec::<String>::new(), "{example}");
    }
}
