//! How the daemon and its objects are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::{ChangeView, ProblemView};
use crate::app::probe::Probe;
use crate::run::board::{Condition, ConditionKind, Kind, ObjectStatus};

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusView {
    /// Version of the program.
    pub version: String,
    /// When it started.
    pub started: String,
    /// Whether a revision was applied.
    pub ready: bool,
    /// Revision that runs; empty before the first.
    pub revision: String,
    /// When it was applied.
    pub applied: String,
    /// Problems of the last revision that was not applied; empty after a good one.
    pub rejected: Vec<ProblemView>,
    /// Sign-ins and client secrets that have ended or end soon, and proxies that were not declared, in
    /// words.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What the last reload changed; empty since the start.
    #[serde(default)]
    pub changes: Vec<ChangeView>,
    /// Accounts and SMTP servers with their conditions.
    pub objects: Vec<ObjectView>,
    /// How full the outbox is.
    pub outbox: OutboxView,
}

/// How full the outbox is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboxView {
    /// Mails to be tried.
    pub due: u64,
    /// Mails given up.
    pub dead: u64,
    /// Mails taken by a server and still on record.
    pub sent: u64,
    /// When the oldest mail to be tried was enqueued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_due: Option<String>,
}

/// How one object is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectView {
    /// `mailAccount` or `smtp`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its conditions.
    pub conditions: Vec<ConditionView>,
    /// Revision its task works under.
    pub observed_revision: String,
    /// When it last did its work without an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// When it will look again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_poll: Option<String>,
    /// Mails that wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u64>,
    /// Failures since the last success.
    pub consecutive_failures: u32,
}

/// One thing that is so, or not, or not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConditionView {
    /// `Ready`, `Reachable`, `Authenticated` or `Suspended`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `true`, `false`, or `null` if not known.
    pub status: Option<bool>,
    /// One word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// Since when.
    pub since: String,
}

/// What worked of a trial, and what did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrialView {
    /// Whether everything works.
    pub works: bool,
    /// What worked, in order.
    pub steps: Vec<String>,
    /// What failed then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What was asked to be done, and was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoneView {
    /// What was done, in words.
    pub done: String,
}

/// Where a copy of the store goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// An empty directory on the machine of the daemon; made if absent.
    pub to: String,
}

impl ObjectView {
    /// The status of one condition; `None` if it is not known.
    pub fn condition(&self, kind: &str) -> Option<bool> {
        self.conditions.iter().find(|condition| condition.kind == kind)?.status
    }
}

impl From<&ObjectStatus> for ObjectView {
    fn from(object: &ObjectStatus) -> ObjectView {
        let kind = match object.kind {
            Kind::MailAccount => "mailAccount",
            Kind::Smtp => "smtp",
        };
        ObjectView {
            kind: kind.into(),
            name: object.name.clone(),
            conditions: object.conditions.iter().map(ConditionView::from).collect(),
            observed_revision: object.observed_revision.to_string(),
            last_success: object.last_success.map(|at| at.to_string()),
            next_poll: object.next_poll.map(|at| at.to_string()),
            backlog: object.backlog,
            consecutive_failures: object.consecutive_failures,
        }
    }
}

impl From<Probe> for TrialView {
    fn from(probe: Probe) -> TrialView {
        let in_words = |name: &str, said: &str| format!("{name}: {said}");
        let steps = probe.steps.iter().map(|step| in_words(step.name, &step.said)).collect();
        let failed = probe.failed.map(|it| (in_words(it.step, &it.message), it.hint));
        let (failed, hint) = failed.unzip();
        TrialView {
            works: failed.is_none(),
            steps,
            failed,
            hint: hint.filter(|hint| !hint.is_empty()),
        }
    }
}

impl From<&Condition> for ConditionView {
    fn from(condition: &Condition) -> ConditionView {
        let kind = match condition.kind {
            ConditionKind::Ready => "Ready",
            ConditionKind::Reachable => "Reachable",
            ConditionKind::Authenticated => "Authenticated",
            ConditionKind::Suspended => "Suspended",
        };
        ConditionView {
            kind: kind.into(),
            status: condition.status,
            reason: condition.reason.to_owned(),
            message: condition.message.clone(),
            since: condition.since.to_string(),
        }
    }
}
