//! What the machines around a pull request read: annotations, SARIF, JUnit, Markdown.
//!
//! Architecture invariant: text from files and mails is escaped for the form it goes into; none of
//! it can open a tag, a link or a workflow command.

pub mod github;
pub mod junit;
pub mod markdown;
pub mod sarif;

use clap::ValueEnum;

/// How what is said about a change is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Human,
    /// For programs.
    Json,
    /// For a comment of a pull request.
    Markdown,
}

#[cfg(test)]
pub mod samples {
    use crate::config::{Problem, Severity};

    /// A problem with everything that needs escaping.
    pub fn problem(severity: Severity) -> Problem {
        Problem {
            severity,
            file: "a,b.yaml".into(),
            line: 3,
            column: 5,
            path: "queues.x".into(),
            message: "100% <wrong> | \"really\"".into(),
            hint: "right it".into(),
            rule: None,
        }
    }
}
