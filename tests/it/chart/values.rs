//! `values.yaml` is the one list of values: the schema knows the same keys, and README.md is made
//! from its comments.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;

use super::root;
use crate::http::check_page;

/// One value as it is written.
struct Row {
    path: String,
    default: String,
    about: String,
}

/// The values with a comment above them.
fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut about = String::new();
    let mut above: Vec<(usize, &str)> = Vec::new();
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        let line = line.trim_start();
        if let Some(comment) = line.strip_prefix("# ") {
            about = if about.is_empty() { comment.into() } else { format!("{about} {comment}") };
        } else if let Some((key, default)) = line.split_once(':') {
            above.retain(|(at, _)| *at < depth);
            above.push((depth, key));
            if !about.is_empty() {
                let path: Vec<&str> = above.iter().map(|(_, key)| *key).collect();
                let default = default.trim().to_owned();
                rows.push(Row { path: path.join("."), default, about: std::mem::take(&mut about) });
            }
        } else {
            about.clear();
        }
    }
    rows
}

fn values() -> String {
    std::fs::read_to_string(root().join("charts/postroom/values.yaml")).unwrap()
}

#[test]
fn the_readme_is_current() {
    let mut page = String::from(
        "# The chart postroom\n\n\
         How to install and run it is in [docs/kubernetes.md](../../docs/kubernetes.md); this page is made\n\
         from `values.yaml`. `ci/` has ten sets of values that are rendered and checked.\n\n\
         | value | default | meaning |\n|---|---|---|\n",
    );
    for Row { path, default, about } in rows(&values()) {
        writeln!(page, "| `{path}` | `{default}` | {about} |").unwrap();
    }
    check_page("charts/postroom/README.md", &page);
}

/// Paths of a map of maps, down to what stands in `leaves` or is none.
fn paths(value: &Value, above: &str, leaves: &BTreeSet<String>, found: &mut BTreeSet<String>) {
    let Some(fields) = value.as_object() else { return };
    for (key, value) in fields {
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        if !leaves.contains(&path) {
            paths(value, &path, leaves, found);
        }
        found.insert(path);
    }
}

/// Paths of a schema down to objects that are not spelt out, and which those are.
fn schema_paths(
    schema: &Value,
    above: &str,
    found: &mut BTreeSet<String>,
    open: &mut BTreeSet<String>,
) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (key, value) in properties {
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        let spelt_out = value["properties"].is_object() && value["additionalProperties"] == false;
        let resources = value["properties"]["claims"].is_object();
        if spelt_out && !resources {
            schema_paths(value, &path, found, open);
        } else {
            open.insert(path.clone());
        }
        found.insert(path);
    }
}

#[test]
fn the_schema_knows_the_same_values() {
    let schema = root().join("charts/postroom/values.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    let (mut known, mut open) = (BTreeSet::new(), BTreeSet::new());
    schema_paths(&schema, "", &mut known, &mut open);
    // Helm puts it into every chart.
    known.remove("global");
    let mut written = BTreeSet::new();
    paths(&serde_yaml::from_str(&values()).unwrap(), "", &open, &mut written);
    assert_eq!(known, written);
}

#[test]
fn every_value_is_explained() {
    let schema = root().join("charts/postroom/values.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    let (mut known, mut open) = (BTreeSet::new(), BTreeSet::new());
    schema_paths(&schema, "", &mut known, &mut open);
    let explained: BTreeSet<String> = rows(&values()).into_iter().map(|row| row.path).collect();
    open.remove("global");
    assert_eq!(open, explained);
}
