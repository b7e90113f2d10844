//! What README and docs say, done: their YAML loads, their commands parse, their links lead
//! somewhere, and the schema that editors use agrees with what `check` says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use postroom::config::{self, Problem, Severity};
use serde_json::Value;

use crate::needed;

/// Names the program of the `check-jsonschema` package.
const CHECK_JSONSCHEMA: &str = "POSTROOM_CHECK_JSONSCHEMA";

/// Mistakes that no JSON Schema can know, by words of their message, each with the reason.
const ONLY_CHECK_KNOWS: &[(&str, &str)] = &[
    ("\" is not declared", "names lead from object to object"),
    ("\" is still declared", "names lead from object to object"),
    ("is not one of systemAddresses", "names lead from object to object"),
    ("the provider has no deviceUrl", "names lead from object to object"),
    ("reads the same mailbox as", "objects are compared with each other"),
    ("is declared twice, with other letters", "keys are compared as addresses"),
    ("is the folder that is read", "two keys are compared"),
    ("authservId is missing", "two keys are compared"),
    ("no condition captures", "regular expression and placeholder stand apart"),
    ("key \"afterFetch\" is missing", "it may stand in defaults instead"),
    ("key \"host\" is missing", "it depends on the type"),
    ("key \"username\" is missing", "it depends on the type"),
    ("key \"password\" is missing", "it depends on the type"),
    ("key \"oauth2Profile\" is missing", "it depends on the type"),
    ("key \"path\" is missing", "it depends on the type"),
    ("key \"directory\" is missing", "it depends on the type"),
    ("key \"queue\" is missing", "it depends on `by`"),
    ("key \"tenant\" is missing", "it depends on the provider"),
    ("key \"tokenUrl\" is missing", "it depends on the provider"),
    ("has no effect at this provider", "it depends on the provider"),
    ("there is no key to encrypt them", "it depends on the grant"),
    ("it has neither mail nor steps", "one of them is needed"),
    ("stands beside mail", "one excludes the other"),
    ("belongs to a single mail, not to steps", "one excludes the other"),
    ("must have exactly one of file and text", "one excludes the other"),
    ("is neither a mail, nor what an agent does", "one of them is needed"),
    ("goes with agent, or with later alone", "one excludes the other"),
    ("needs the time at which the ticket wakes up", "one needs the other"),
    ("goes with the state pending", "one needs the other"),
    ("begin and end at the same time", "two keys are compared"),
    ("the scope \"openid\" is missing", "it is read"),
    ("is empty", "it is read"),
    ("is no time for a digest", "it is read"),
    ("is no time of the day", "it is read"),
    ("is not the name of a mail server", "it is read"),
    ("is not usable as a marker", "it is read"),
    ("does not belong to this type", "it depends on the type"),
    ("POP3 can neither mark nor move", "it depends on the type"),
    ("stands beside pollInterval", "one excludes the other"),
    ("written together or not at all", "one needs the other"),
    ("Microsoft Graph needs an OAuth2 profile", "it depends on the type"),
    ("must have exactly one of regex and address", "one excludes the other"),
    ("must look at exactly one of", "one excludes the other"),
    ("is not a usable regular expression", "it is compiled"),
    ("is not a usable template", "it is compiled"),
    ("is not a cron expression", "it is compiled"),
    ("is neither a time from now nor an instant", "it is read"),
    ("is not a day of the calendar", "it is read"),
    ("is not a known time zone", "it is looked up"),
    ("is not usable as a hook", "it is read"),
    ("is not a mail address", "it is read"),
    ("must be a host name or address alone", "it is read"),
    ("must be an https:// URL", "it is read"),
    ("leads to this machine", "it is read"),
    ("must be between 1KiB and 1GiB", "a size with a unit has no order in a schema"),
    ("is too short; at least", "a duration with a unit has no order in a schema"),
    ("a key must be plain text", "a schema sees JSON, where each key is"),
    ("merge keys (<<) are not supported", "a schema sees what they lead to"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README, docs, runbooks, and the READMEs of examples and chart.
fn pages() -> Vec<PathBuf> {
    let others = ["README.md", "examples/otobo-ops/README.md", "charts/postroom/README.md"];
    let mut pages: Vec<PathBuf> = others.iter().map(|path| root().join(path)).collect();
    for folder in ["docs", "docs/runbooks"] {
        let docs = std::fs::read_dir(root().join(folder)).unwrap().map(|it| it.unwrap().path());
        pages.extend(docs.filter(|path| path.extension().is_some_and(|it| it == "md")));
    }
    pages.sort();
    pages
}

/// The fenced blocks of a page in this language, each with its line.
fn blocks(page: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((number + 2, language.to_owned(), String::new())),
            (Some(_), Some(_)) => {
                let (line, found, text) = open.take().unwrap();
                if found == language {
                    blocks.push((line, text));
                }
            }
            (Some((_, _, text)), None) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    blocks
}

#[test]
fn yaml_in_the_pages_loads() {
    let mut loaded = 0;
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        for (line, yaml) in blocks(&page, "yaml") {
            let here = format!("{}:{line}", path.display());
            // A part of a file is shown without its first line.
            let whole = yaml.contains("version: 1");
            let yaml = if whole { yaml } else { format!("version: 1\n{yaml}") };
            let problems = config::load_saved(&[("shown.yaml".into(), yaml)]).problems;
            let counts = |it: &&Problem| {
                it.severity == Severity::Error && (whole || !it.message.contains("not declared"))
            };
            let errors: Vec<String> =
                problems.iter().filter(counts).map(ToString::to_string).collect();
            assert!(errors.is_empty(), "{here}: {errors:#?}");
            loaded += 1;
        }
    }
    assert!(loaded > 0, "the README shows a configuration");
}

/// Whether a command line parses: every word before `--help` is looked at, and nothing is done.
#[track_caller]
fn check_command(here: &str, words: &[String]) {
    let output = Command::new(env!("CARGO_BIN_EXE_postroom"))
        .args(words)
        .arg("--help")
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{here}: postroom {}\n{said}", words.join(" "));
}

/// Arguments of a line that calls us; `None` if it calls something else.
fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.split(" #").next().unwrap_or(line).trim();
    let calls = ["postroom ", "cargo run --release -- ", "cargo run -- "];
    let rest = calls.iter().find_map(|call| line.strip_prefix(call))?;
    let rest = rest.split([">", "|", ";"].map(|c| c.chars().next().unwrap())).next()?;
    Some(rest.replace("$(date +%F)", "2026-11-22").split_whitespace().map(str::to_owned).collect())
}

#[test]
fn commands_in_the_pages_parse() {
    let mut parsed = 0;
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        for (line, script) in blocks(&page, "sh") {
            for command in script.lines().filter_map(arguments) {
                check_command(&format!("{}:{line}", path.display()), &command);
                parsed += 1;
            }
        }
        // In running text a command may stand with words to be replaced: up to them it parses.
        for command in page.split('`').filter_map(|code| code.strip_prefix("postroom ")) {
            let replaced = |word: &&str| !word.starts_with(|c: char| c.is_ascii_uppercase());
            let words = command.lines().flat_map(str::split_whitespace).take_while(replaced);
            check_command(
                &path.display().to_string(),
                &words.map(str::to_owned).collect::<Vec<_>>(),
            );
            parsed += 1;
        }
    }
    assert!(parsed > 10, "only {parsed} commands were found");
}

fn help(command: &[String]) -> String {
    let mut asked = Command::new(env!("CARGO_BIN_EXE_postroom"));
    let output = asked.args(command).arg("--help").env_clear().output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Every command, found through the help of the one above it.
fn commands(above: &[String], found: &mut Vec<Vec<String>>) {
    let help = help(above);
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
    let names = listed.lines().take_while(|line| !line.is_empty());
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|it| *it != "help") {
        let command: Vec<String> = above.iter().cloned().chain([name.to_owned()]).collect();
        commands(&command, found);
        found.push(command);
    }
}

#[test]
fn examples_in_the_help_parse() {
    let mut all = Vec::new();
    commands(&[], &mut all);
    assert!(all.len() > 20, "{all:?}");
    for command in all {
        let help = help(&command);
        if help.contains("Commands:\n") {
            continue;
        }
        let examples: Vec<_> = help.lines().filter_map(arguments).collect();
        assert!(!examples.is_empty(), "{command:?} shows no example:\n{help}");
        for example in examples {
            assert!(example.starts_with(&command), "{command:?} shows {example:?}");
            check_command(&format!("{command:?}"), &example);
        }
    }
}

#[test]
fn links_lead_to_files() {
    let mut followed = 0;
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let here = format!("{}: {link}", path.display());
            if file.contains("://") {
                continue;
            }
            let target = path.parent().unwrap().join(file);
            assert!(file.is_empty() || target.exists(), "{here} leads nowhere");
            if !anchor.is_empty() {
                let target = if file.is_empty() { path.clone() } else { target };
                let headings = headings(&std::fs::read_to_string(target).unwrap());
                assert!(headings.contains(anchor), "{here} leads to no heading");
            }
            followed += 1;
        }
    }
    assert!(followed > 10, "only {followed} links were found");
}

/// Anchors of the headings, as GitHub makes them.
fn headings(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let kept = line.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_page_is_named_in_the_readme() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(readme.contains(&format!("docs/{name}")), "docs/{name}");
    }
}

#[test]
fn every_metric_that_is_named_exists() {
    let known = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let mut named = 0;
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        let words = page.split(|c: char| !c.is_ascii_lowercase() && c != '_');
        for name in words.filter(|word| word.starts_with("postroom_")) {
            assert!(known.contains(&format!("| `{name}` |")), "{}: {name}", path.display());
            named += 1;
        }
    }
    assert!(named > 20, "only {named} metrics were found");
}

#[test]
fn every_exit_code_is_in_the_operating_guide() {
    let guide = std::fs::read_to_string(root().join("docs/operating.md")).unwrap();
    for code in [0, 1, 2, 3, 4, 64, 69, 78] {
        assert!(guide.contains(&format!("\n| {code} | ")), "{code}");
    }
}

fn yaml_below(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder}");
    found
}

/// The program, or `None` and a word about it.
fn check_jsonschema() -> Option<String> {
    let program = std::env::var(CHECK_JSONSCHEMA).ok();
    needed::found(program, &format!("{CHECK_JSONSCHEMA} names no check-jsonschema"))
}

/// Names of the files that the schema refuses.
fn refused(program: &str, files: &[PathBuf]) -> BTreeSet<String> {
    let output = Command::new(program)
        .args(["--output-format", "json", "--schemafile"])
        .arg(root().join("schema/postroom.schema.json"))
        .args(files)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&said)
        .unwrap_or_else(|_| panic!("{said}\n{}", String::from_utf8_lossy(&output.stderr)));
    let lists = ["errors", "parse_errors"].map(|key| report[key].as_array().cloned());
    let name = |error: &Value| {
        let path = Path::new(error["filename"].as_str().unwrap());
        path.file_name().unwrap().to_str().unwrap().to_owned()
    };
    lists.iter().flatten().flatten().map(name).collect()
}

#[test]
fn the_schema_takes_what_check_takes() {
    let Some(program) = check_jsonschema() else { return };
    let mut files = [yaml_below("examples"), yaml_below("tests/golden/config/valid")].concat();
    // A file without a document is none for a schema, and no error for us.
    files.retain(|path| !path.ends_with("valid/empty.yaml"));
    assert_eq!(refused(&program, &files), BTreeSet::new());
}

/// Whether a schema can know one of the mistakes that `check` finds in a file.
fn schema_can_know(path: &Path) -> bool {
    let problems = config::load(&[path.to_owned()]).problems;
    let mut errors = problems.iter().filter(|it| it.severity == Severity::Error);
    errors.any(|it| !ONLY_CHECK_KNOWS.iter().any(|(words, _)| it.message.contains(words)))
}

#[test]
fn the_schema_refuses_what_check_refuses() {
    let Some(program) = check_jsonschema() else { return };
    let files = yaml_below("tests/golden/config/invalid");
    let refused = refused(&program, &files);
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(refused.contains(name), schema_can_know(&path), "{name}");
    }
}
