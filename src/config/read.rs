//! One file on its own: documents, judged by the schema, typed.
//!
//! Architecture invariant: the result depends on the name and the text of this one file and on
//! nothing else, so that it may be used again for as long as both stay the same.

use std::collections::BTreeMap;

use serde_json::Value;

use super::document::{self, SyntaxError};
use super::problem::Finding;
use super::unite::{SECTIONS, SINGLES};
use super::{Severity, beside, schema, spec};

/// What one file holds.
#[derive(Debug, Default)]
pub struct ReadFile {
    /// Its documents, in their order.
    pub documents: Vec<ReadDocument>,
    /// Why it holds none that can be read.
    pub syntax: Option<SyntaxError>,
}

/// What one document holds.
#[derive(Debug, Default)]
pub struct ReadDocument {
    /// What is written, without the objects that do not fit the schema.
    pub spec: Option<spec::Document>,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// Section and name of each object that does not fit the schema.
    pub left_out: Vec<(&'static str, String)>,
    /// A part could not be read at all, so that names may be missing.
    pub incomplete: bool,
}

/// Reads one file. `name` is where it lies; what it says of other files is relative to that.
pub fn file(name: &str, text: &str) -> ReadFile {
    match document::parse(text) {
        Ok(documents) => {
            let read = documents.into_iter().map(|value| read_document(name, value));
            ReadFile { documents: read.collect(), syntax: None }
        }
        Err(error) => ReadFile { documents: Vec::new(), syntax: Some(error) },
    }
}

/// One document: schema first, because its complaints have a path; then the types. An object
/// with complaints is left out, but its name stays known.
fn read_document(file: &str, mut value: Value) -> ReadDocument {
    let mut read = ReadDocument::default();
    let Value::Object(map) = &mut value else {
        if !value.is_null() {
            read.findings.push(at_top("must be a map", "begin with `version: 1`"));
            read.incomplete = true;
        }
        return read;
    };
    map.retain(|key, _| !key.starts_with("x-"));
    read.findings = schema::complaints(&value);
    let good = read.findings.is_empty();
    for path in read.findings.iter().map(|complaint| complaint.path.clone()).collect::<Vec<_>>() {
        read.leave_out(&mut value, &path);
    }
    match serde_json::from_value(value) {
        Ok(mut document) => {
            beside::resolve(&mut document, file);
            pack(&mut document);
            read.spec = Some(document);
        }
        Err(_) => {
            read.incomplete = true;
            if good {
                // The error's own words may hold a value.
                let message = "fits the schema but not the program";
                let hint = "this is a fault of Postroom; please report it";
                read.findings.push(at_top(message, hint));
            }
        }
    }
    read
}

/// Makes the longest maps as small as they can be: the nodes of one that grew key by key are half
/// empty, and these are kept.
fn pack(document: &mut spec::Document) {
    fn packed<T>(map: &mut BTreeMap<String, T>) {
        *map = std::mem::take(map).into_iter().collect();
    }
    packed(&mut document.mail_accounts);
    packed(&mut document.system_addresses);
    packed(&mut document.filters);
    packed(&mut document.customers);
}

impl ReadDocument {
    /// Takes the object at a path out of a document that does not fit the schema, so that the
    /// rest can be read.
    fn leave_out(&mut self, document: &mut Value, path: &[String]) {
        let Some((section, rest)) = path.split_first() else {
            // Something at the top is missing, which can only be the version.
            document["version"] = 1.into();
            return;
        };
        if section == "version" {
            document["version"] = 1.into();
            return;
        }
        let (section, rest) = match rest.split_first() {
            Some((second, rest)) if section == "oauth2" => (format!("oauth2.{second}"), rest),
            _ => (section.clone(), rest),
        };
        let pointer = format!("/{}", section.replace('.', "/"));
        let known = SECTIONS.into_iter().find(|known| *known == section);
        let objects = document.pointer_mut(&pointer).and_then(Value::as_object_mut);
        match (objects, rest.first(), known) {
            (Some(objects), Some(name), Some(known)) if !SINGLES.contains(&known) => {
                objects.shift_remove(name);
                self.left_out.push((known, name.clone()));
            }
            _ => {
                if let Some(map) = document.as_object_mut() {
                    map.shift_remove(&path[0]);
                }
                // A misspelt section hides all its objects.
                self.incomplete |= known.is_none_or(|known| !SINGLES.contains(&known))
                    && !["moved", "tests"].contains(&section.as_str());
            }
        }
    }
}

fn at_top(message: &str, hint: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        document: None,
        path: Vec::new(),
        at_key: false,
        message: message.into(),
        hint: hint.into(),
        rule: None,
    }
}
