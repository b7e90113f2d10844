//! The JSON Schema: made from the `spec` types, and used before them, because its complaints
//! have a path.
//!
//! Architecture invariant: no message holds a value that was written in the files.

mod annotate;

use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{PatternOptions, ValidationError, Validator};
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::Severity;
use super::problem::{Finding, nearest};
use super::spec::{Document, text};

/// Problems told of one file; more would not be read.
pub const PROBLEMS_PER_FILE_MAX: usize = 100;

/// The schema of one document, draft-07: the newest that all editors know. With the descriptions
/// of all types, for the reference page.
pub fn described() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<Document>().to_value();
    without_null(&mut schema);
    annotate::annotate(&mut schema);
    schema["title"] = json!("Postroom configuration");
    schema["patternProperties"] = json!({ "^x-": true });
    schema
}

/// The same for editors: what a key means is said by the key, not by its type. Editors show the
/// innermost description they find.
pub fn schema() -> Value {
    let mut schema = described();
    annotate::leave_to_keys(&mut schema);
    schema
}

/// All complaints of the schema about one document.
pub fn complaints(document: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for error in VALIDATOR.iter_errors(document).take(PROBLEMS_PER_FILE_MAX + 1) {
        explain(&error, &mut findings);
    }
    findings
}

static SCHEMA: LazyLock<Value> = LazyLock::new(schema);

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft7)
        .with_pattern_options(PatternOptions::regex())
        .build(&SCHEMA)
        .expect("the schema made from our own types is valid")
});

/// Optional means absent in YAML, never `null`: a key without a value is a slip of the pen.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    map["type"] = only.clone();
                }
            }
            if let Some(Value::Array(branches)) = map.get_mut("anyOf") {
                branches.retain(|branch| branch != &json!({ "type": "null" }));
                if let [only] = branches.as_slice() {
                    let only = only.clone();
                    map.shift_remove("anyOf");
                    // Draft-07 ignores what stands beside a `$ref`.
                    map.insert("allOf".to_owned(), json!([only]));
                }
            }
            if map.get("default") == Some(&Value::Null) {
                map.shift_remove("default");
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(list) => list.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn explain(error: &ValidationError<'_>, findings: &mut Vec<Finding>) {
    let path = steps(error.instance_path().as_str());
    let written = error.instance();
    let mut add = |path: Vec<String>, at_key: bool, message: String, hint: String| {
        let severity = Severity::Error;
        findings.push(Finding {
            severity,
            document: None,
            path,
            at_key,
            message,
            hint,
            rule: None,
        });
    };
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            let known = known_keys(error.schema_path().as_str());
            for key in unexpected {
                let mut inner = path.clone();
                inner.push(key.clone());
                add(inner, true, format!("unknown key {key:?}"), hint_of_keys(key, &known));
            }
        }
        Kind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            add(path, true, format!("key {key:?} is missing"), hint_of_missing(key));
        }
        Kind::Type { kind } => {
            let wanted = wanted_form(error).unwrap_or_else(|| wanted_type(kind));
            let (message, hint) = wrong_type(&path, &wanted, written);
            add(path, false, message, hint);
        }
        Kind::Enum { options } => {
            let words: Vec<&str> =
                options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let (message, hint) = wrong_word(&words, "", written);
            add(path, false, message, hint);
        }
        Kind::Pattern { pattern } => {
            let form = text::FORMS.iter().find(|form| form.pattern == pattern);
            let wanted = form.map_or("of another form", |form| form.wanted);
            add(path, false, format!("must be {wanted}"), String::new());
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            explain_branches(error, context, findings);
        }
        Kind::MinProperties { .. } | Kind::MaxProperties { .. } => {
            let wanted = match error.schema_path().as_str().contains("SecretReference") {
                true => "must name exactly one of env, file and secret",
                false => "must not be empty",
            };
            add(path, true, wanted.to_owned(), String::new());
        }
        Kind::MinItems { .. } => {
            add(path, true, "must not be empty".to_owned(), String::new());
        }
        Kind::Maximum { .. } | Kind::Minimum { .. } if path == ["version"] => {
            let hint = "this build knows version 1".to_owned();
            add(path, false, "must be 1".to_owned(), hint);
        }
        Kind::Maximum { limit } => {
            add(path, false, format!("must be {limit} at most"), String::new());
        }
        Kind::Minimum { limit } => {
            add(path, false, format!("must be {limit} at least"), String::new());
        }
        _ => add(path, false, error.masked().to_string(), String::new()),
    }
}

/// Of several branches that all fail, the one that was meant: the one whose type fits.
fn explain_branches(
    error: &ValidationError<'_>,
    branches: &[Vec<ValidationError<'static>>],
    findings: &mut Vec<Finding>,
) {
    let here = error.instance_path().as_str();
    let fits = |branch: &&Vec<ValidationError<'static>>| {
        !branch.iter().any(|inner| {
            inner.instance_path().as_str() == here && matches!(inner.kind(), Kind::Type { .. })
        })
    };
    let fitting: Vec<_> = branches.iter().filter(fits).collect();
    if let [only] = fitting.as_slice()
        && (words(here, branches).is_empty() || error.instance().is_object())
    {
        only.iter().for_each(|inner| explain(inner, findings));
        return;
    }
    let path = steps(here);
    let words = words(here, branches);
    let types = types(branches);
    let (message, hint) = match (words.is_empty(), error.instance().as_ref()) {
        (false, Value::Object(_)) if types.contains("a map") => {
            ("is none of the maps that are known here".to_owned(), String::new())
        }
        (false, written) => wrong_word(&words, &types, written),
        (true, written) => wrong_type(&path, &types, written),
    };
    findings.push(Finding {
        severity: Severity::Error,
        document: None,
        path,
        at_key: false,
        message,
        hint,
        rule: None,
    });
}

/// Bare words among the branches that may stand here itself.
fn words<'e>(here: &str, branches: &'e [Vec<ValidationError<'static>>]) -> Vec<&'e str> {
    let of_one = |inner: &'e ValidationError<'static>| match inner.kind() {
        Kind::Constant { expected_value } => expected_value.as_str().into_iter().collect(),
        Kind::Enum { options } => {
            options.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        }
        _ => Vec::new(),
    };
    let errors = branches.iter().flatten().filter(|e| e.instance_path().as_str() == here);
    errors.flat_map(of_one).collect()
}

/// Types among the branches, as `text or a map`.
fn types(branches: &[Vec<ValidationError<'static>>]) -> String {
    let of_one = |inner: &ValidationError<'static>| match inner.kind() {
        Kind::Type { kind } => Some(wanted_type(kind)),
        _ => None,
    };
    let mut types: Vec<String> = branches.iter().flatten().filter_map(of_one).collect();
    types.dedup();
    types.join(" or ")
}

/// A word that is not known. `types` says what may stand here instead of a word.
fn wrong_word(words: &[&str], types: &str, written: &Value) -> (String, String) {
    let known = words.join(", ");
    let message = match types.contains("a map") {
        true => format!("must be one of: {known}, or a map"),
        false => format!("must be one of: {known}"),
    };
    let near = written.as_str().and_then(|word| nearest(word, words.iter().copied()));
    (message, near.map(|word| format!("did you mean {word}?")).unwrap_or_default())
}

/// Words for the form that stands beside the failing type, as with `pollInterval: 10`.
fn wanted_form(error: &ValidationError<'_>) -> Option<String> {
    let at = error.schema_path().as_str().strip_suffix("/type")?;
    let pattern = SCHEMA.pointer(at)?.get("pattern")?.as_str()?;
    let form = text::FORMS.iter().find(|form| form.pattern == pattern)?;
    Some(form.wanted.to_owned())
}

/// Keys that take the place of a secret.
const SECRET_KEYS: [&str; 3] = ["password", "clientSecret", "passwordHash"];

fn wrong_type(path: &[String], wanted: &str, written: &Value) -> (String, String) {
    let scalar = !written.is_object() && !written.is_array() && !written.is_null();
    if scalar && path.last().is_some_and(|key| SECRET_KEYS.contains(&key.as_str())) {
        let hint = "write {env: NAME}, {file: PATH} or {secret: NAME}; if this file was ever \
                    shared, change the secret";
        return ("must be a reference, not the secret itself".into(), hint.into());
    }
    if written.is_null() {
        return (
            format!("has no value; must be {wanted}"),
            "write a value or remove the key".into(),
        );
    }
    let hint = match (wanted.starts_with("text"), written) {
        (true, Value::Number(_) | Value::Bool(_)) => "put it in quotes",
        _ => "",
    };
    (format!("must be {wanted}, is {}", type_of(written)), hint.into())
}

fn wanted_type(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => words_of(&one.to_string()).to_owned(),
        TypeKind::Multiple(several) => {
            let words: Vec<String> =
                several.iter().map(|one| words_of(&one.to_string()).to_owned()).collect();
            words.join(" or ")
        }
    }
}

fn words_of(json_type: &str) -> &str {
    match json_type {
        "string" => "text",
        "object" => "a map",
        "array" => "a list",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        other => other,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn hint_of_keys(written: &str, known: &[&str]) -> String {
    match nearest(written, known.iter().copied()) {
        Some(key) => format!("did you mean {key:?}?"),
        None if known.is_empty() => String::new(),
        None => format!("known here: {}", known.join(", ")),
    }
}

fn hint_of_missing(key: &str) -> String {
    match key {
        "version" => "begin each file with `version: 1`".into(),
        _ => format!("add `{key}:`"),
    }
}

/// Keys that the schema knows where `additionalProperties` failed.
fn known_keys(schema_path: &str) -> Vec<&'static str> {
    let at = schema_path.strip_suffix("/additionalProperties").unwrap_or(schema_path);
    let Some(schema) = SCHEMA.pointer(at) else { return Vec::new() };
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(|map| map.keys().map(String::as_str)).collect()
}

/// Steps of a JSON pointer (RFC 6901 section 4).
fn steps(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}
