//! Revisions, problems of the files, changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Problem;
use crate::core::config::Config;
use crate::core::plan::{self, Action, Change};

/// Something wrong with the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemView {
    /// `error`, `warning` or `note`.
    pub severity: String,
    /// File.
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
    /// The lint rule that found it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// What a revision does to one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeView {
    /// Kind as in YAML: `mailAccounts`, `queues`, ...
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// `create`, `change`, `restart`, `move`, `suspend`, `resume`, `delete`.
    pub action: String,
    /// What that means in words.
    pub effect: String,
}

/// What a set of files would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanView {
    /// What it is compared with.
    pub against: String,
    /// Object by object; empty if nothing changes.
    pub changes: Vec<ChangeView>,
    /// What no single object shows.
    pub effects: Vec<String>,
}

/// What came of a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReloadView {
    /// `applied` or `unchanged`.
    pub result: String,
    /// Revision that runs now.
    pub revision: String,
    /// What it changed.
    pub changes: Vec<ChangeView>,
    /// Warnings about the files.
    pub warnings: Vec<ProblemView>,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckView {
    /// Whether the files could be applied.
    pub valid: bool,
    /// All problems: errors and warnings.
    pub problems: Vec<ProblemView>,
}

/// One file of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileView {
    /// Path as the daemon read it.
    pub path: String,
    /// Content. Secrets are references there, never values.
    pub content: String,
}

/// The files of the revision that was applied last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FilesView {
    /// Its hash.
    pub revision: String,
    /// When it was applied.
    pub applied: String,
    /// The files.
    pub files: Vec<FileView>,
}

impl From<&Problem> for ProblemView {
    fn from(problem: &Problem) -> ProblemView {
        ProblemView {
            severity: problem.severity.label().into(),
            file: problem.file.clone(),
            line: problem.line,
            column: problem.column,
            path: problem.path.clone(),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
            rule: problem.rule.map(str::to_owned),
        }
    }
}

impl PlanView {
    /// What leads from one configuration to the other.
    pub fn between(running: &Config, desired: &Config, against: String) -> PlanView {
        let edit = plan::Edit::of(running, desired);
        let changes = plan::changes(&edit);
        PlanView {
            against,
            effects: plan::effects(&edit, &changes),
            changes: changes.iter().map(ChangeView::from).collect(),
        }
    }
}

impl ChangeView {
    /// The object as people write it; parts of which there is one have no name of their own.
    pub fn object(&self) -> String {
        if self.kind == self.name {
            self.kind.clone()
        } else {
            format!("{}.{}", self.kind, self.name)
        }
    }
}

impl From<&Change> for ChangeView {
    fn from(change: &Change) -> ChangeView {
        ChangeView {
            kind: change.kind.into(),
            name: change.name.clone(),
            action: action(change.action).into(),
            effect: change.effect.clone(),
        }
    }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Change => "change",
        Action::Restart => "restart",
        Action::Move => "move",
        Action::Suspend => "suspend",
        Action::Resume => "resume",
        Action::Delete => "delete",
    }
}
