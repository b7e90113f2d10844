//! The reference page, made from the schema.
//!
//! Architecture invariant: says nothing that the schema does not say.

use serde_json::Value;

/// `docs/configuration.md`.
pub fn reference(schema: &Value) -> String {
    let mut page = String::from(PREFACE);
    section(&mut page, "Top level", schema);
    let definitions = schema.get("definitions").and_then(Value::as_object);
    for (name, definition) in definitions.into_iter().flatten() {
        section(&mut page, name, definition);
    }
    page
}

const PREFACE: &str = "# Configuration\n\n\
<!-- Made from schema/postroom.schema.json; rewrite with `UPDATE=1 cargo test --test it config`. -->\n\n\
Give files or directories with `-c`; all of them are united. Begin each file with `version: 1`.\n\
Editors complete and check when the first line is\n\
`# yaml-language-server: $schema=PATH/TO/schema/postroom.schema.json`. A whole desk to begin with\n\
is in [examples/otobo-ops](../examples/otobo-ops/README.md), one that runs without any server in\n\
[examples/quickstart](../examples/quickstart/desk.yaml).\n\n\
- Every object is declared under its name, once, in whichever file suits. Unknown keys are errors.\n\
- Paths (Maildirs, outgoing directories, certificates, secret files, templates, mails of tests)\n\
\x20 are relative to the file that names them. Templates must lie in the directory given with `-c`.\n\
- Secrets are never written in YAML: where a *SecretReference* is expected, write `{env: NAME}`,\n\
\x20 `{file: PATH}` or `{secret: NAME}`. They are read when they are used.\n\
- `state: disabled` or `paused` switches an object off without removing it.\n\n\
The first table leads to each section; what a section needs follows it.\n";

fn section(page: &mut String, name: &str, definition: &Value) {
    page.push_str(&format!("\n## {name}\n"));
    if let Some(description) = text(definition, "description") {
        page.push_str(&format!("\n{description}\n"));
    }
    if let Some(words) = words(definition) {
        page.push_str("\n| value | meaning |\n|---|---|\n");
        for (word, meaning) in words {
            page.push_str(&format!("| `{word}` | {} |\n", cell(&meaning)));
        }
    } else if definition.get("anyOf").is_some() || definition.get("pattern").is_some() {
        page.push_str(&format!("\nWritten as {}.\n", kind(definition)));
    }
    let Some(properties) = definition.get("properties").and_then(Value::as_object) else { return };
    let required: Vec<&str> = definition
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    page.push_str("\n| key | value | |\n|---|---|---|\n");
    for (key, property) in properties {
        let needed = if required.contains(&key.as_str()) { " (required)" } else { "" };
        let description = cell(text(property, "description").unwrap_or_default());
        page.push_str(&format!("| `{key}`{needed} | {} | {description} |\n", kind(property)));
    }
}

/// Words of an enum, each with its meaning.
fn words(definition: &Value) -> Option<Vec<(String, String)>> {
    let of_one = |branch: &Value| {
        let meaning = text(branch, "description").unwrap_or_default().to_owned();
        if let Some(word) = branch.get("const").and_then(Value::as_str) {
            return vec![(word.to_owned(), meaning)];
        }
        if let Some(words) = branch.get("enum").and_then(Value::as_array) {
            let word = |word: &Value| Some((word.as_str()?.to_owned(), meaning.clone()));
            return words.iter().filter_map(word).collect();
        }
        let properties = branch.get("properties").and_then(Value::as_object);
        let keys = properties.into_iter().flat_map(|map| map.keys());
        keys.map(|key| (format!("{{{key}: TEXT}}"), meaning.clone())).collect()
    };
    if definition.get("enum").is_some() {
        return Some(of_one(definition));
    }
    let branches = definition.get("oneOf")?.as_array()?;
    Some(branches.iter().flat_map(of_one).collect())
}

/// What a value looks like, with links to what it is made of.
fn kind(schema: &Value) -> String {
    if let Some(reference) = text(schema, "$ref") {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return format!("[{name}](#{})", name.to_lowercase());
    }
    for (key, between) in [("allOf", " and "), ("anyOf", " or "), ("oneOf", " or ")] {
        if let Some(branches) = schema.get(key).and_then(Value::as_array) {
            return branches.iter().map(kind).collect::<Vec<_>>().join(between);
        }
    }
    if let Some(pattern) = text(schema, "pattern") {
        let form = super::spec::text::FORMS.iter().find(|form| form.pattern == pattern);
        return form.map_or("text", |form| form.wanted).to_owned();
    }
    match text(schema, "type") {
        Some("string") => "text".into(),
        Some("integer") => "whole number".into(),
        Some("boolean") => "`true` or `false`".into(),
        Some("array") => format!("list of {}", schema.get("items").map(kind).unwrap_or_default()),
        Some("object") => match schema.get("additionalProperties") {
            Some(inner) if inner.is_object() => format!("map to {}", kind(inner)),
            _ => "map".into(),
        },
        Some(other) => other.to_owned(),
        None => "anything".into(),
    }
}

fn text<'a>(schema: &'a Value, key: &str) -> Option<&'a str> {
    schema.get(key).and_then(Value::as_str)
}

fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
