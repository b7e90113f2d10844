//! `queues`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::auto_reply::Texts;
use super::text::DurationText;
use super::words::{StateName, Switch};

/// A queue.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Queue {
    /// Name of the sender of replies and notifications of its tickets. Default: the sender
    /// `default`.
    pub sender: Option<String>,
    /// Names of the automatic answers for each occasion.
    pub auto_replies: Option<QueueReplies>,
    /// Salutation and signature around what an agent writes to a customer, per language: a template
    /// with `{{ text }}` where the answer goes. The customer's language is taken, else the desk's,
    /// else any. Default: nothing around it.
    #[schemars(extend("minProperties" = 1))]
    pub answer: Option<Texts>,
    /// What a follow-up does.
    pub follow_up: Option<FollowUp>,
    /// A ticket on which its owner does nothing for so long is unlocked. Default: never.
    pub lock_timeout: Option<DurationText>,
    /// Switch. Default `enabled`.
    pub state: Option<Switch>,
    /// For the reader of this file.
    pub comment: Option<String>,
}

/// Settings for queues that do not have their own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueDefaults {
    /// Name of the sender of replies and notifications.
    pub sender: Option<String>,
    /// Names of the automatic answers for each occasion.
    pub auto_replies: Option<QueueReplies>,
    /// Salutation and signature around what an agent writes to a customer, per language: a template
    /// with `{{ text }}` where the answer goes.
    #[schemars(extend("minProperties" = 1))]
    pub answer: Option<Texts>,
    /// What a follow-up does.
    pub follow_up: Option<FollowUp>,
    /// A ticket on which its owner does nothing for so long is unlocked.
    pub lock_timeout: Option<DurationText>,
}

/// Names of the automatic answers for each occasion.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueReplies {
    /// To the mail that made a ticket.
    pub new: Option<String>,
    /// To a follow-up.
    pub follow_up: Option<String>,
    /// To a follow-up that was rejected because the ticket is closed.
    pub reject: Option<String>,
    /// To a follow-up to a closed ticket that made a new, linked one.
    pub new_ticket: Option<String>,
}

/// What a follow-up does.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FollowUp {
    /// What it does to a closed ticket. Default `reopen`.
    pub closed: Option<OnClosed>,
    /// Reopening ends this long after closing; later a new ticket is made. Default: never.
    pub reopen_within: Option<DurationText>,
    /// Whether a reopened ticket is locked for its owner again. Default `false`.
    pub lock: Option<bool>,
    /// State that a follow-up sets. Default `open`. A `new` ticket stays new.
    pub state: Option<StateName>,
    /// Whether the tag `[Ticket#...]` also counts in the text. Default `false`.
    pub search_body: Option<bool>,
    /// Whose mail may join a ticket by its number. Default `participants`.
    pub from: Option<FollowUpFrom>,
}

/// What a follow-up does to a closed ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnClosed {
    /// Opens it again.
    Reopen,
    /// Is kept as an article; the ticket stays closed.
    Reject,
    /// Makes a new ticket that is linked to it.
    NewTicket,
}

/// Whose mail may join a ticket by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FollowUpFrom {
    /// Those who take part in the ticket.
    Participants,
    /// Anyone's.
    Anyone,
}
