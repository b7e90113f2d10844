//! Mail we owe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::outgoing::{Delivery, Outgoing, OutgoingKind};
use crate::core::webhook::OwedHook;

/// A mail we owe to one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutgoingView {
    /// Identity.
    pub id: u64,
    /// `autoReply`, `notification` or `reply`.
    pub kind: String,
    /// Name of the auto-reply, or the event of a notification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Number of the ticket it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Name of the sender it goes through.
    pub sender: String,
    /// Envelope recipient.
    pub recipient: String,
    /// Message-ID without angle brackets.
    pub message_id: String,
    /// Length of the mail.
    pub bytes: usize,
    /// When it was enqueued.
    pub created: String,
    /// `due`, `sent` or `dead`.
    pub state: String,
    /// Attempts answered with "later".
    pub attempts: u32,
    /// When it will be tried, was sent, or was given up.
    pub at: String,
    /// What the last attempt said, or why it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl OutgoingView {
    /// A mail, and the number of its ticket.
    pub fn new(mail: &Outgoing, ticket: Option<String>) -> OutgoingView {
        let about = match &mail.kind {
            OutgoingKind::AutoReply { reply } => Some(reply.clone()),
            OutgoingKind::Notification { event, .. } => Some(event.clone()),
            OutgoingKind::Reply => None,
        };
        let (state, attempts, at, error) = how_far(&mail.delivery);
        OutgoingView {
            id: mail.id.0,
            kind: mail.kind.label().into(),
            about,
            ticket,
            sender: mail.sender.clone(),
            recipient: mail.recipient.to_string(),
            message_id: mail.message_id.clone(),
            bytes: mail.raw.len(),
            created: mail.created.to_string(),
            state: state.into(),
            attempts,
            at: at.to_string(),
            error,
        }
    }
}

/// A message we owe to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwedHookView {
    /// Identity.
    pub id: u64,
    /// Name of the webhook.
    pub webhook: String,
    /// What it is told.
    pub event: String,
    /// Number of the ticket it tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// `webhook-id` of the message.
    pub message_id: String,
    /// Length of the message.
    pub bytes: usize,
    /// When it was enqueued.
    pub created: String,
    /// `due`, `sent` or `dead`.
    pub state: String,
    /// Attempts that failed.
    pub attempts: u32,
    /// When it will be tried, was sent, or was given up.
    pub at: String,
    /// What the last attempt said, or why it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl OwedHookView {
    /// A message, and the number of its ticket.
    pub fn new(hook: &OwedHook, ticket: Option<String>) -> OwedHookView {
        let (state, attempts, at, error) = how_far(&hook.delivery);
        OwedHookView {
            id: hook.id.0,
            webhook: hook.message.webhook.clone(),
            event: hook.message.event.clone(),
            ticket,
            message_id: hook.message.message_id.clone(),
            bytes: hook.message.body.len(),
            created: hook.created.to_string(),
            state: state.into(),
            attempts,
            at: at.to_string(),
            error,
        }
    }
}

/// State, attempts, time and error of something that is owed.
fn how_far(delivery: &Delivery) -> (&'static str, u32, &jiff::Timestamp, Option<String>) {
    match delivery {
        Delivery::Due { attempts, at, last_error, .. } => {
            ("due", *attempts, at, last_error.clone())
        }
        Delivery::Sent { at } => ("sent", 0, at, None),
        Delivery::Dead { at, reason } => ("dead", 0, at, Some(reason.clone())),
    }
}
