//! `tests`: mails and what must become of them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text::DurationText;
use super::words::{PriorityName, StateName};

/// A mail, or several steps, and what must become of it; run by `postroom test` on a desk that is
/// empty when it begins.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Test {
    /// What the test shows.
    pub name: String,
    /// The mail, if there is one only.
    pub mail: Option<TestMail>,
    /// What must become of that mail. What is left out is not looked at.
    #[serde(default)]
    pub expect: Expectation,
    /// Mails and what agents do, one after the other, a minute apart.
    #[serde(default)]
    pub steps: Vec<TestStep>,
}

/// One step of a test: a mail, what an agent does, or time that passes.
///
/// While time passes, what falls due happens when it does: locks run out, pending tickets wake up,
/// digests go out, quiet hours end. `later` alone looks at all of that; beside a mail or an action
/// it comes before them, and the expectation is about the mail or the action.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestStep {
    /// A mail that arrives.
    pub mail: Option<TestMail>,
    /// The agent who does something.
    pub agent: Option<String>,
    /// What the agent does, in the order of the table.
    #[serde(rename = "do")]
    pub action: Option<TestAction>,
    /// The ticket it is done to, or looked at after `later` alone: 1 is the first of the test. By
    /// default the last one.
    pub ticket: Option<usize>,
    /// Time that passes before.
    pub later: Option<DurationText>,
    /// What must be so afterwards. What is left out is not looked at.
    #[serde(default)]
    pub expect: Expectation,
}

/// What an agent does to a ticket.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestAction {
    /// Moves it to this queue.
    pub queue: Option<String>,
    /// Gives it to this user.
    pub owner: Option<String>,
    /// Locks or unlocks it.
    pub lock: Option<bool>,
    /// Changes its priority.
    pub priority: Option<PriorityName>,
    /// Adds a note with this text.
    pub note: Option<String>,
    /// Answers the customer with this text.
    pub reply: Option<String>,
    /// Changes its state.
    pub state: Option<StateName>,
    /// When it wakes up if the state is `pending`: `+2h`, `+3d`, or an instant. Tests begin at
    /// 2026-01-15T09:00Z.
    pub pending_time: Option<String>,
}

/// The mail of a test: a file, or its text.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestMail {
    /// Path of an `.eml` file, relative to the YAML file that names it.
    pub file: Option<String>,
    /// The mail itself: header, an empty line, text. `{{ number 1 }}` is the number of the first
    /// ticket of the test, `{{ sent 1 }}` the Message-ID of the last mail to its customer; both may
    /// stand in a file as well.
    pub text: Option<String>,
    /// Name of the account it comes through.
    pub account: String,
}

/// What must become of the mail of a test, or be so after a step.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectation {
    /// Its one outcome.
    pub outcome: Option<Outcome>,
    /// Which ticket it made or joined: 1 is the first of the test.
    pub ticket: Option<usize>,
    /// Queue of the ticket.
    pub queue: Option<String>,
    /// Priority of the ticket.
    pub priority: Option<PriorityName>,
    /// State of the ticket.
    pub state: Option<StateName>,
    /// Owner of the ticket, or `none`.
    pub owner: Option<String>,
    /// Whether the ticket is locked.
    pub lock: Option<bool>,
    /// Names of the filters that matched, in order.
    pub filters: Option<Vec<String>>,
    /// Name of the automatic answer, or `none`.
    pub auto_reply: Option<String>,
    /// Why an automatic answer was held back, such as `mailingList` or `perDay`, or `none`.
    pub suppressed: Option<String>,
    /// User names of those who are notified by this step, in any order.
    pub notified: Option<Vec<String>>,
    /// Mails that are owed by this step, in any order, each as `autoReply to eve@customer.example`,
    /// `reply to ...` or `notification to ...`.
    pub owed: Option<Vec<String>>,
    /// Mails that may go out by now and could not at the step before, written as in `owed`: what
    /// was owed in quiet hours comes when these are over.
    pub due: Option<Vec<String>>,
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
