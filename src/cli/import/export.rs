//! An export: a directory with one JSON file per table, each a list of rows.
//!
//! Architecture invariant: files are bounded, and a column that is absent is empty, never a guess.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value};

use crate::cli::Failure;

/// Largest file. Bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// All tables of an export.
pub struct Export {
    tables: BTreeMap<String, Vec<Row>>,
    read: BTreeSet<String>,
}

/// One row.
#[derive(Debug, Clone, Default)]
pub struct Row(Map<String, Value>);

impl Export {
    /// Reads every `*.json` of a directory.
    pub fn of(directory: &Path) -> Result<Export, Failure> {
        let shown = directory.display();
        let failed = |error| Failure::new(format!("could not read {shown}: {error}"));
        let mut tables = BTreeMap::new();
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if path.extension().is_some_and(|end| end == "json") {
                tables.insert(name, rows(&path)?);
            }
        }
        if tables.is_empty() {
            let failure = Failure::new(format!("{shown} holds no *.json file"));
            return Err(failure.hint("the page for people who come from there says how to export"));
        }
        Ok(Export { tables, read: BTreeSet::new() })
    }

    /// Rows of a table that must be there.
    pub fn table(&mut self, name: &str) -> Result<Vec<Row>, Failure> {
        self.read.insert(name.to_owned());
        self.tables.get(name).cloned().ok_or_else(|| {
            Failure::new(format!("the export has no {name}.json"))
                .hint("an empty table is written as []")
        })
    }

    /// Rows of a table that may be missing.
    pub fn optional(&mut self, name: &str) -> Vec<Row> {
        self.read.insert(name.to_owned());
        self.tables.get(name).cloned().unwrap_or_default()
    }

    /// Files that nobody asked for.
    pub fn unused(&self) -> impl Iterator<Item = String> + '_ {
        let unread = self.tables.keys().filter(|name| !self.read.contains(*name));
        unread.map(|name| format!("{name}.json"))
    }
}

fn rows(path: &Path) -> Result<Vec<Row>, Failure> {
    let shown = path.display();
    let failed = |error: std::io::Error| Failure::new(format!("could not read {shown}: {error}"));
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(Failure::new(format!("{shown} is larger than 64 MiB")));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    // An aggregate over an empty table is null.
    let value: Value = match text.trim() {
        "" | "NULL" => Value::Null,
        text => serde_json::from_str(text)
            .map_err(|error| Failure::new(format!("{shown} is not JSON: {error}")))?,
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(rows) => rows
            .into_iter()
            .map(|row| match row {
                Value::Object(row) => Ok(Row(row)),
                _ => Err(Failure::new(format!("{shown} must be a list of objects"))),
            })
            .collect(),
        _ => Err(Failure::new(format!("{shown} must be a list of objects"))),
    }
}

impl Row {
    /// A column as text; absent and null are empty.
    pub fn text(&self, column: &str) -> String {
        match self.0.get(column) {
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(yes)) => u8::from(*yes).to_string(),
            Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => String::new(),
        }
    }

    /// A column as an identity.
    pub fn id(&self, column: &str) -> Option<i64> {
        self.text(column).parse().ok()
    }

    /// Whether a column says yes.
    pub fn yes(&self, column: &str) -> bool {
        ["1", "true", "t", "yes"].contains(&self.text(column).to_lowercase().as_str())
    }

    /// A column that holds JSON itself, also if it was written as text.
    pub fn json(&self, column: &str) -> Value {
        match self.0.get(column) {
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
            Some(value) => value.clone(),
            None => Value::Null,
        }
    }
}
