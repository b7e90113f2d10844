//! Mail accounts and what is known of their mailboxes: the ledger, from spooling to done.

use std::sync::Arc;

use jiff::Timestamp;

use crate::core::config::Moved;
use crate::core::mail::{Digest, Location};
use crate::store::transaction::Tx;
use crate::store::{
    AccountState, HASH_BYTES_MAX, Known, Listed, MailId, Mark, Recorded, Spool, Spooled, Store,
    StoreError, ToRecord, ledger, raw,
};

impl Store {
    /// Carries renames out; those already carried out are skipped.
    pub async fn adopt(&self, moved: Vec<Moved>) -> Result<(), StoreError> {
        if moved.is_empty() {
            return Ok(());
        }
        let now = Timestamp::now();
        self.write(0, 0, move |tx| tx.adopt(&moved, now)).await
    }

    /// What is known of an account.
    pub fn account(&self, name: &str) -> Result<AccountState, StoreError> {
        self.view(|view| ledger::account(view, name))
    }

    /// Notes which mails are left alone, a part of the mailbox at a time, before `link`.
    pub async fn leave_alone(
        &self,
        account: &str,
        locations: Vec<Location>,
    ) -> Result<(), StoreError> {
        let account = account.to_owned();
        self.write(0, 0, move |tx| tx.leave_alone(&account, &locations)).await
    }

    /// Notes a complete look: when the account was linked (kept if known), and its epoch.
    pub async fn link(&self, account: &str, epoch: &str, now: Timestamp) -> Result<(), StoreError> {
        let (account, epoch) = (account.to_owned(), epoch.to_owned());
        self.write(0, 0, move |tx| tx.link(&account, &epoch, now)).await
    }

    /// Forgets what is known of the locations that differ from this one in their number alone.
    /// Their mails are recognised by content from now on.
    pub async fn forget_numbered(&self, account: &str, like: Location) -> Result<(), StoreError> {
        let account = account.to_owned();
        self.write(0, 0, move |tx| tx.forget_numbered(&account, &like)).await
    }

    /// What the ledger knows of these locations, in their order.
    pub fn known(&self, account: &str, locations: &[Location]) -> Result<Vec<Known>, StoreError> {
        self.view(|view| ledger::known(view, account, locations))
    }

    /// Compares the ledger with a complete look: entries that have been absent for 30 days are
    /// forgotten. Answers how many. Once a day is often enough.
    pub async fn forget_absent(
        &self,
        account: &str,
        mut listed: Listed,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        listed.sort();
        let listed = Arc::new(listed);
        let (mut from, mut forgotten) = (String::new(), 0);
        loop {
            let (account, listed) = (account.to_owned(), listed.clone());
            let compare = move |tx: &mut Tx<'_>| tx.compare(&account, &from, &listed, now);
            let compared = self.write(0, 0, compare).await?;
            forgotten += compared.forgotten;
            match compared.next {
                Some(next) => from = next,
                None => return Ok(forgotten),
            }
        }
    }

    /// Commit 1: makes bytes safe. Answers after the commit.
    pub async fn spool(
        &self,
        account: &str,
        mails: Vec<Spool>,
    ) -> Result<Vec<Spooled>, StoreError> {
        let account = account.to_owned();
        let (count, bytes) = (mails.len(), mails.iter().map(|mail| mail.raw.len()).sum());
        let hash = move || {
            let digest = |mail: Spool| (Digest::of(&mail.raw), mail);
            mails.into_iter().map(digest).collect::<Vec<_>>()
        };
        let mails = if bytes > HASH_BYTES_MAX {
            let hashed = tokio::task::spawn_blocking(hash).await;
            hashed.map_err(|error| StoreError::Failed(format!("could not hash: {error}")))?
        } else {
            hash()
        };
        let spool = move |tx: &mut Tx<'_>| {
            tx.note_highest(&account, mails.iter().map(|(_, mail)| &mail.location))?;
            let account = tx.account_id(&account)?;
            mails.iter().map(|(digest, mail)| tx.spool(account, *digest, mail)).collect()
        };
        self.write(count, bytes, spool).await
    }

    /// Mails of an account that are spooled but not decided: what a crash, or a commit that failed,
    /// left behind.
    pub fn spooled(&self, account: &str) -> Result<Vec<Spooled>, StoreError> {
        self.view(|view| ledger::spooled(view, account))
    }

    /// Names the mail that is judged, should judging it end the process.
    pub fn mark(&self) -> Result<Mark, StoreError> {
        Ok(Mark::make(&self.0.shared.directory)?)
    }

    /// Commit 2: settles each mail against the facts and records what comes of it. A panic in one
    /// mail's `settle` sends that mail to quarantine. Answers after the commit, in order. A
    /// location that has an outcome keeps it, and answers with it.
    pub async fn record(&self, mails: Vec<ToRecord>) -> Result<Vec<Recorded>, StoreError> {
        let (rules, count) = (self.0.shared.rules, mails.len());
        let record = move |tx: &mut Tx<'_>| {
            mails.iter().map(|mail| tx.record(&rules, mail)).collect::<Result<Vec<_>, _>>()
        };
        self.write(count, 0, record).await
    }

    /// Puts into quarantine what is known of a mail that its server lists and does not give. It has
    /// no bytes and stays on the server.
    pub async fn give_up(
        &self,
        account: &str,
        location: Location,
        reason: String,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let account = account.to_owned();
        self.write(1, 0, move |tx| tx.give_up(&account, &location, &reason, now)).await
    }

    /// Takes a mail that was not given off the quarantine list and forgets its location, so that
    /// the next look asks for it again. `false` if it is no such mail or not on the list.
    pub async fn ask_again(&self, id: MailId, now: Timestamp) -> Result<bool, StoreError> {
        self.write(0, 0, move |tx| tx.ask_again(id, now)).await
    }

    /// Notes that the server confirmed what it was told about these mails.
    pub async fn done(&self, account: &str, locations: Vec<Location>) -> Result<(), StoreError> {
        let account = account.to_owned();
        self.write(0, 0, move |tx| tx.done(&account, &locations)).await
    }

    /// Length of the raw bytes of a mail, while they are kept.
    pub fn raw_bytes(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        self.view(|view| raw::length(view, digest))
    }

    /// Raw bytes of a mail, while they are kept.
    pub fn raw(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.view(|view| raw::read(&self.0.shared.directory, view, digest))
    }
}
