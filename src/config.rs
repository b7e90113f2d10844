//! Files → documents → schema → Spec → Config. All problems, with their places.
//!
//! Architecture invariant: nothing in here knows what runs. A set of files is either wholly good
//! or changes nothing.

use std::path::PathBuf;

use serde::Serialize;

use crate::core::config::Config;

/// One set of files, read and judged.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Hash over paths and contents.
    pub hash: String,
    /// Path and content of each file.
    pub files: Vec<(String, String)>,
    /// The configuration, unless a problem is an error.
    pub config: Option<Config>,
    /// All problems: errors and warnings.
    pub problems: Vec<Problem>,
}

/// Something wrong with the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether it stops the load.
    pub severity: Severity,
    /// File as given on the command line or found beneath it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Path in the document, such as `mailAccounts.support.password`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

/// Whether a problem stops the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is applied.
    Error,
    /// Applied, but somebody should look.
    Warning,
}

/// Reads and judges these files and directories.
pub fn load(paths: &[PathBuf]) -> Loaded {
    todo!()
}

/// Judges files that are given as texts, as a revision that was kept.
pub fn load_kept(files: Vec<(String, String)>) -> Loaded {
    let _ = files;
    todo!()
}

/// JSON Schema of the files.
pub fn schema() -> serde_json::Value {
    todo!()
}
