//! Rows of the ledger and of the accounts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Row;

/// A mail account as the store knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct AccountRow {
    pub id: u32,
    pub linked: Option<Timestamp>,
    pub epoch: String,
    /// The location with the largest number among those of the newest mailbox, where they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest: Option<String>,
}

/// What is known of one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct LedgerRow {
    pub state: LedgerState,
    /// Since when it is no longer in the mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Timestamp>,
}

/// How far a location is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) enum LedgerState {
    LeftAlone,
    Spooled { digest: String, attempts: u32, headers_only: bool },
    Recorded { mail: u64 },
    Done { mail: u64 },
}

impl LedgerRow {
    pub(in crate::store) fn of(state: LedgerState) -> LedgerRow {
        LedgerRow { state, gone: None }
    }
}

impl Row for AccountRow {
    const NAME: &'static str = "account";
}

impl Row for LedgerRow {
    const NAME: &'static str = "ledger entry";
}
