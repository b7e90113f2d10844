//! Mail we owe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::outgoing::{Delivery, Outgoing, OutgoingKind};

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
        let (state, attempts, at, error) = match &mail.delivery {
            Delivery::Due { attempts, at, last_error } => {
                ("due", *attempts, at, last_error.clone())
            }
            Delivery::Sent { at } => ("sent", 0, at, None),
            Delivery::Dead { at, reason } => ("dead", 0, at, Some(reason.clone())),
        };
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
