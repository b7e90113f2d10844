//! Facts for mails that are only tried out: what would become of them, recorded nowhere.
//!
//! Architecture invariant: it only reads. The facts are those that recording would see.

use std::sync::Arc;

use jiff::Timestamp;
use redb::ReadableTable;

use super::facts::Subject;
use super::fault::Fault;
use super::rows::{AccountRow, decode};
use super::transaction::Tx;
use super::{MailId, Rules, Store, StoreError};
use crate::core::config::Config;
use crate::core::intake::{Facts, Judgement};

/// No account has this identity: one that the store does not know shares no mail with others.
const UNKNOWN_ACCOUNT: u32 = u32::MAX;

/// A mail that is tried out.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Name of the account it is taken to come through.
    pub account: String,
    /// What the mail alone says.
    pub judgement: Arc<Judgement>,
    /// Its own line in the log, if it was recorded before: it is no duplicate of itself.
    pub itself: Option<MailId>,
}

impl Store {
    /// What the store knows that bears on each of these mails, as of one commit.
    pub async fn facts(
        &self,
        config: Arc<Config>,
        tried: Vec<Tried>,
        now: Timestamp,
    ) -> Result<Vec<Facts>, StoreError> {
        let rules = self.0.shared.rules;
        self.write(0, 0, move |tx| {
            tried.iter().map(|one| tx.facts_of(&rules, &config, one, now)).collect()
        })
        .await
    }
}

impl Tx<'_> {
    fn facts_of(
        &self,
        rules: &Rules,
        config: &Config,
        tried: &Tried,
        now: Timestamp,
    ) -> Result<Facts, Fault> {
        let row = self.tables.accounts.get(tried.account.as_str())?;
        let account = match row {
            Some(row) => decode::<AccountRow>(row.value())?.id,
            None => UNKNOWN_ACCOUNT,
        };
        let subject = Subject { rules, config, account, released: tried.itself, now };
        self.facts(&subject, &tried.judgement)
    }
}
