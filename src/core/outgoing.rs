//! Mail we owe: one row per recipient, rendered once, tried until it is sent or given up.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::ticket::TicketId;

/// Identity of an owed mail; ascending in the order of enqueueing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutgoingId(pub u64);

/// A mail we owe to one recipient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Identity.
    pub id: OutgoingId,
    /// Ticket it belongs to.
    pub ticket: Option<TicketId>,
    /// What it is.
    pub kind: OutgoingKind,
    /// Name of the sender it goes through; its `via` is looked up when it is sent.
    pub sender: String,
    /// Envelope sender; `None` is the null sender.
    pub envelope_from: Option<Address>,
    /// Envelope recipient.
    pub recipient: Address,
    /// Message-ID without angle brackets; the same at every attempt.
    pub message_id: String,
    /// The whole mail, CRLF line ends: every attempt sends these bytes.
    pub raw: Vec<u8>,
    /// When it was enqueued.
    pub created: Timestamp,
    /// How far it is.
    pub delivery: Delivery,
}

/// What an owed mail is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutgoingKind {
    /// An automatic answer.
    AutoReply {
        /// Name in the configuration.
        reply: String,
    },
    /// A notification.
    Notification {
        /// Label of the event.
        event: String,
        /// User name, or a customer's address.
        who: String,
    },
    /// An agent's answer, or his mail that goes on to the customer.
    Reply,
}

impl OutgoingKind {
    /// Label for metrics and listings.
    pub fn label(&self) -> &'static str {
        match self {
            OutgoingKind::AutoReply { .. } => "autoReply",
            OutgoingKind::Notification { .. } => "notification",
            OutgoingKind::Reply => "reply",
        }
    }
}

/// How far an owed mail is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// To be tried at `at`.
    Due {
        /// Attempts made and answered with "later".
        attempts: u32,
        /// Not before.
        at: Timestamp,
        /// What the last attempt said.
        last_error: Option<String>,
    },
    /// Taken by a server.
    Sent {
        /// When.
        at: Timestamp,
    },
    /// Given up: refused for good, too old, or dropped by an operator.
    Dead {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
}

/// What became of one attempt to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The server took it.
    Sent,
    /// The recipient or this mail is refused for now (4xx).
    Temporary(String),
    /// The recipient or this mail is refused for good (5xx).
    Permanent(String),
    /// The server itself cannot be used now: unreachable, TLS fault, login refused.
    /// Nothing is held against the mail.
    ServerDown {
        /// Label of the cause for metrics: `connect`, `tls`, `auth`, `timeout`, `protocol`.
        cause: &'static str,
        /// For the log and status.
        message: String,
    },
}

/// Mail is given up this long after it was enqueued.
pub const GIVE_UP_AFTER_SECS: i64 = 5 * 24 * 3600;

/// How far a mail is after an attempt. `dice` is a number from 0 to 1 for the jitter.
pub fn after(mail: &Outgoing, attempt: &Attempt, now: Timestamp, dice: f64) -> Delivery {
    todo!()
}
