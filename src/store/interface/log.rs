//! The communication log and the quarantine.

use jiff::Timestamp;

use crate::store::{MailId, MailQuery, MailRecord, Page, Store, StoreError, log};

impl Store {
    /// The log, newest first, from before this identity.
    pub fn mails(
        &self,
        before: Option<MailId>,
        limit: usize,
    ) -> Result<Page<MailRecord>, StoreError> {
        self.view(|view| log::mails(view, &MailQuery::default(), before, limit))
    }

    /// The lines of the log that are asked for, newest first. A page may hold fewer than `limit`
    /// and still have a next one.
    pub fn mails_of(
        &self,
        query: &MailQuery,
        before: Option<MailId>,
        limit: usize,
    ) -> Result<Page<MailRecord>, StoreError> {
        self.view(|view| log::mails(view, query, before, limit))
    }

    /// One line of the log.
    pub fn mail(&self, id: MailId) -> Result<Option<MailRecord>, StoreError> {
        self.view(|view| log::mail(view, id.0))
    }

    /// Quarantined mails that nobody has dealt with, newest first.
    pub fn quarantine(
        &self,
        before: Option<MailId>,
        limit: usize,
    ) -> Result<Page<MailRecord>, StoreError> {
        self.view(|view| log::quarantine(view, before, limit))
    }

    /// How many quarantined mails nobody has dealt with.
    pub fn quarantine_count(&self) -> Result<u64, StoreError> {
        self.view(log::quarantined)
    }

    /// Takes a mail off the quarantine list without releasing it; its bytes stay until retention
    /// ends. `false` if it is not quarantined.
    pub async fn drop_quarantined(&self, id: MailId, now: Timestamp) -> Result<bool, StoreError> {
        self.write(0, 0, move |tx| tx.resolve(id, now)).await
    }
}
