//! `tests`: mails and what must become of them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::words::{PriorityName, StateName};

/// A mail and what must become of it, run by `postroom test`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Test {
    /// What the test shows.
    pub name: String,
    /// The mail.
    pub mail: TestMail,
    /// What must become of it. What is left out is not looked at.
    pub expect: Expectation,
}

/// The mail of a test.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestMail {
    /// Path of an `.eml` file, relative to the YAML file that names it.
    pub file: String,
    /// Name of the account it comes through.
    pub account: String,
}

/// What must become of the mail of a test.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectation {
    /// Its one outcome.
    pub outcome: Option<Outcome>,
    /// Queue of the ticket.
    pub queue: Option<String>,
    /// Priority of the ticket.
    pub priority: Option<PriorityName>,
    /// State of the ticket.
    pub state: Option<StateName>,
    /// Names of the filters that matched, in order.
    pub filters: Option<Vec<String>>,
    /// Name of the automatic answer, or `none`.
    pub auto_reply: Option<String>,
    /// User names of those who are notified, in any order.
    pub notified: Option<Vec<String>>,
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It made a ticket.
    Created,
    /// It joined a ticket.
    FollowUp,
    /// It came to a closed ticket of a rejecting queue.
    Rejected,
    /// It reports that a mail of ours bounced.
    Bounce,
    /// A filter said so.
    Ignored,
    /// It was seen before.
    Duplicate,
    /// It could not or may not be processed.
    Quarantined,
}
