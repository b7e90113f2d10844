//! What `plan` says of every kind of change, read as the reviewer of a pull request reads it.
//!
//! Each file of `tests/golden/plan` speaks of one kind of object: cases with a change of
//! `desk.yaml` (a JSON merge patch, RFC 7386) and what is said of it there (`-->`) and back
//! (`<--`). A case whose beginning differs from `desk.yaml`, too, has that change first, and then
//! `---`. `UPDATE=1` writes what is said; a person judges whether it is true.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use postroom::config::load_saved;
use postroom::core::config::Config;
use postroom::core::plan;
use serde_json::Value;

/// One case of a file.
struct Case {
    name: String,
    patches: String,
    before: Value,
    after: Value,
}

#[test]
fn every_change_is_told() {
    let desk = yaml(&std::fs::read_to_string(folder().join("desk.yaml")).unwrap());
    let (mut touched, mut old) = (BTreeSet::new(), Vec::new());
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let (head, cases) = read(&text, &desk);
        let mut written = head;
        for case in &cases {
            paths("", &case.before, &case.after, &mut touched);
            written += &shown(case);
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &written).unwrap();
        } else if written != text {
            let diff = similar::TextDiff::from_lines(text.as_str(), written.as_str());
            old.push(format!("{}\n{}", path.display(), diff.unified_diff()));
        }
    }
    assert!(old.is_empty(), "said otherwise; look at it, then UPDATE=1\n{}", old.join("\n"));
    let keys = keys_of_the_schema();
    let silent: Vec<&String> = keys.iter().filter(|key| !touched.contains(*key)).collect();
    assert!(silent.is_empty(), "no case changes {silent:?}");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/plan")
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "txt")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

/// What stands before the first case, and the cases.
fn read(text: &str, desk: &Value) -> (String, Vec<Case>) {
    let mut parts = text.split("\n## ");
    let head = parts.next().unwrap().trim_end().to_owned() + "\n";
    let case = |part: &str| {
        let (name, rest) = part.split_once('\n').expect("a case has a change");
        let patches = rest.split("\n-->").next().unwrap().trim_end().to_owned();
        let (before, after) = match patches.split_once("\n---\n") {
            Some((before, after)) => (patched(desk, &yaml(before)), after),
            None => (desk.clone(), patches.as_str()),
        };
        let after = patched(&before, &yaml(after));
        Case { name: name.to_owned(), patches, before, after }
    };
    (head, parts.map(case).collect())
}

fn patched(value: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut merged = value.as_object().cloned().unwrap_or_default();
    for (key, patch) in patch {
        match patch {
            Value::Null => drop(merged.shift_remove(key)),
            patch => {
                let old = merged.get(key).cloned().unwrap_or_default();
                merged.insert(key.clone(), patched(&old, patch));
            }
        }
    }
    Value::Object(merged)
}

/// The case as it stands in its file.
fn shown(case: &Case) -> String {
    let (before, after) = (load(case, &case.before), load(case, &case.after));
    let (there, back) = (said(&before, &after), said(&after, &before));
    format!("\n## {}\n{}\n-->\n{there}<--\n{back}", case.name, case.patches)
}

fn load(case: &Case, value: &Value) -> Config {
    let loaded = load_saved(&[("desk.yaml".into(), value.to_string())]);
    loaded.config.unwrap_or_else(|| panic!("{}: {:#?}", case.name, loaded.problems))
}

fn said(before: &Config, after: &Config) -> String {
    let edit = plan::Edit::of(before, after);
    let changes = plan::changes(&edit);
    assert_eq!(changes.is_empty(), before == after);
    let effects = plan::effects(&edit, &changes);
    let lines = changes.iter().map(|change| {
        let renamed = !after.moved.is_empty();
        assert!(renamed || !change.effect.contains("follows a new name"), "silent: {change:?}");
        format!("{} {}.{}: {}\n", change.action.label(), change.kind, change.name, change.effect)
    });
    lines.chain(effects.iter().map(|effect| format!("* {effect}\n"))).collect()
}

/// Paths of what differs, names of objects as `*`: `queues.*.followUp.closed`.
fn paths(at: &str, before: &Value, after: &Value, found: &mut BTreeSet<String>) {
    if before == after {
        return;
    }
    found.insert(at.to_owned());
    let nothing = serde_json::Map::new();
    let object = |value: &Value| value.as_object().cloned().unwrap_or_else(|| nothing.clone());
    let (before, after) = (object(before), object(after));
    for key in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let (old, new) = (before.get(key), after.get(key));
        let step = if is_map(at) { "*" } else { key };
        let below = if at.is_empty() { step.to_owned() } else { format!("{at}.{step}") };
        paths(&below, old.unwrap_or(&Value::Null), new.unwrap_or(&Value::Null), found);
    }
}

/// Keys whose own keys are names that a person chooses.
const MAPS: [&str; 14] = [
    "apiTokens",
    "autoReplies",
    "customers",
    "filters",
    "limits.autoRepliesPerAddress",
    "mailAccounts",
    "notifications",
    "oauth2.profiles",
    "oauth2.providers",
    "queues",
    "senders",
    "smtp",
    "systemAddresses",
    "users",
];

fn is_map(at: &str) -> bool {
    MAPS.contains(&at) || at == "webhooks"
}

/// Parts that are one thing to whoever reads a plan, and what does not count at run time.
const WHOLE: [&str; 9] =
    ["tls", "clientId", "match", "set", "onFollowUp", "answer", "events", "subject", "text"];
const UNTOLD: [&str; 4] = ["version", "defaults", "tests", "comment"];

/// Every key that may be written, but for what is below [`WHOLE`].
fn keys_of_the_schema() -> BTreeSet<String> {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/postroom.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    let mut found = BTreeSet::new();
    collect(&schema, "", &schema, &mut found);
    assert!(found.contains("queues.*.followUp.closed") && found.len() > 100, "{found:?}");
    found
}

fn collect(schema: &Value, at: &str, node: &Value, found: &mut BTreeSet<String>) {
    let all = ["allOf", "anyOf"].into_iter().filter_map(|key| node.get(key)?.as_array()).flatten();
    for node in all {
        collect(schema, at, node, found);
    }
    if let Some(name) = node.get("$ref").and_then(Value::as_str) {
        let name = name.rsplit('/').next().unwrap();
        let defined = schema.get("definitions").or(schema.get("$defs")).unwrap();
        return collect(schema, at, &defined[name], found);
    }
    if is_map(at) {
        if let Some(node) = node.get("additionalProperties") {
            collect(schema, &format!("{at}.*"), node, found);
        }
        return;
    }
    let Some(properties) = node.get("properties").and_then(Value::as_object) else { return };
    for (key, node) in properties {
        let reference = ["env", "file", "secret"].contains(&key.as_str());
        if UNTOLD.contains(&key.as_str()) || reference {
            continue;
        }
        let below = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        found.insert(below.clone());
        if !WHOLE.contains(&key.as_str()) {
            collect(schema, &below, node, found);
        }
    }
}
