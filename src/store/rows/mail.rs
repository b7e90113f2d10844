//! Row of the communication log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Row, digest, hex};
use crate::core::intake::{Outcome, Why};
use crate::core::mail::{Digest, Location};
use crate::store::fault::Fault;
use crate::store::{MailId, MailRecord};

/// One line of the log. The account is kept by identity, so that a rename shows everywhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct MailRow {
    pub account: u32,
    pub location: String,
    pub digest: String,
    /// Digest of Message-ID and content (K3), to find its entry again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    pub bytes: u64,
    pub from: String,
    pub subject: String,
    pub message_id: String,
    pub at: Timestamp,
    pub outcome: OutcomeRow,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    pub why: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Timestamp>,
}

/// What became of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::store) enum OutcomeRow {
    Created,
    FollowUp,
    Rejected,
    Bounce,
    Ignored,
    Duplicate,
    Quarantined { reason: String },
}

impl MailRow {
    /// A row of a record; `content` is its K3.
    pub(in crate::store) fn of(record: MailRecord, account: u32, content: Option<Digest>) -> Self {
        let MailRecord {
            id: _,
            account: _,
            location,
            digest,
            bytes,
            from,
            subject,
            message_id,
            at,
            outcome,
            ticket,
            why,
            resolved,
        } = record;
        MailRow {
            account,
            location: location.0,
            digest: hex(&digest),
            content: content.as_ref().map(hex),
            bytes,
            from,
            subject,
            message_id,
            at,
            outcome: outcome.into(),
            ticket,
            why: why.into_iter().map(|why| (why.step, why.text)).collect(),
            resolved,
        }
    }

    /// The record of a row; `account` is the account's present name.
    pub(in crate::store) fn record(self, id: u64, account: String) -> Result<MailRecord, Fault> {
        Ok(MailRecord {
            id: MailId(id),
            account,
            location: Location(self.location),
            digest: digest(&self.digest)?,
            bytes: self.bytes,
            from: self.from,
            subject: self.subject,
            message_id: self.message_id,
            at: self.at,
            outcome: self.outcome.into(),
            ticket: self.ticket,
            why: self.why.into_iter().map(|(step, text)| Why { step, text }).collect(),
            resolved: self.resolved,
        })
    }

    /// Its K2.
    pub(in crate::store) fn digest(&self) -> Result<Digest, Fault> {
        digest(&self.digest)
    }

    /// Its K3.
    pub(in crate::store) fn content(&self) -> Result<Option<Digest>, Fault> {
        self.content.as_deref().map(digest).transpose()
    }
}

impl Row for MailRow {
    const NAME: &'static str = "mail";
}

impl From<Outcome> for OutcomeRow {
    fn from(outcome: Outcome) -> OutcomeRow {
        match outcome {
            Outcome::Created => OutcomeRow::Created,
            Outcome::FollowUp => OutcomeRow::FollowUp,
            Outcome::Rejected => OutcomeRow::Rejected,
            Outcome::Bounce => OutcomeRow::Bounce,
            Outcome::Ignored => OutcomeRow::Ignored,
            Outcome::Duplicate => OutcomeRow::Duplicate,
            Outcome::Quarantined { reason } => OutcomeRow::Quarantined { reason },
        }
    }
}

impl From<OutcomeRow> for Outcome {
    fn from(row: OutcomeRow) -> Outcome {
        match row {
            OutcomeRow::Created => Outcome::Created,
            OutcomeRow::FollowUp => Outcome::FollowUp,
            OutcomeRow::Rejected => Outcome::Rejected,
            OutcomeRow::Bounce => Outcome::Bounce,
            OutcomeRow::Ignored => Outcome::Ignored,
            OutcomeRow::Duplicate => Outcome::Duplicate,
            OutcomeRow::Quarantined { reason } => Outcome::Quarantined { reason },
        }
    }
}
