//! Lines of the communication log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WhyView;
use crate::app::Released;
use crate::core::intake::Outcome;
use crate::store::MailRecord;

/// What became of one mail, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MailView {
    /// Identity in the log.
    pub id: u64,
    /// Account it came through.
    pub account: String,
    /// Where it lay in that account.
    pub location: String,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub digest: String,
    /// Length of its bytes.
    pub bytes: u64,
    /// Header From.
    pub from: String,
    /// Subject.
    pub subject: String,
    /// Message-ID without angle brackets.
    pub message_id: String,
    /// When it was recorded.
    pub at: String,
    /// What became of it: `created`, `followUp`, `rejected`, `bounce`, `ignored`, `duplicate`,
    /// `quarantined`.
    pub outcome: String,
    /// Why it was quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Number of its ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// How it was decided.
    pub why: Vec<WhyView>,
    /// Of a quarantined mail: when a person released or dropped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
}

/// What became of a released mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleasedView {
    /// What became of it, as in the log; `askedAgain` of one that its server had not given.
    pub outcome: String,
    /// Why it is quarantined again, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<&MailRecord> for MailView {
    fn from(mail: &MailRecord) -> MailView {
        MailView {
            id: mail.id.0,
            account: mail.account.clone(),
            location: mail.location.0.clone(),
            digest: mail.digest.hex(),
            bytes: mail.bytes,
            from: mail.from.clone(),
            subject: mail.subject.clone(),
            message_id: mail.message_id.clone(),
            at: mail.at.to_string(),
            outcome: mail.outcome.label().into(),
            reason: reason(&mail.outcome),
            ticket: mail.ticket.clone(),
            why: mail.why.iter().map(WhyView::from).collect(),
            resolved: mail.resolved.map(|at| at.to_string()),
        }
    }
}

impl From<&Released> for ReleasedView {
    fn from(released: &Released) -> ReleasedView {
        match released {
            Released::Judged(outcome) => {
                ReleasedView { outcome: outcome.label().into(), reason: reason(outcome) }
            }
            Released::AskedAgain => ReleasedView { outcome: "askedAgain".into(), reason: None },
        }
    }
}

fn reason(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Quarantined { reason } => Some(reason.clone()),
        Outcome::Created
        | Outcome::FollowUp
        | Outcome::Rejected
        | Outcome::Bounce
        | Outcome::Ignored
        | Outcome::Duplicate => None,
    }
}
