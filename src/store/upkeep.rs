//! Retention, backup, compaction.
//!
//! Architecture invariant: tickets, articles and raw mails are never removed here.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use redb::{ReadTransaction, ReadableTable};

use super::facts::{HOUR, minute};
use super::fault::Fault;
use super::outbox::micros;
use super::rows::{MailRow, decode};
use super::segments::Segments;
use super::tables::View;
use super::transaction::Tx;
use super::{StoreError, file};
use crate::core::mail::Location;
use crate::private;

/// Owed mails and messages that were sent are kept this long.
pub(super) const SENT_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Digests of recorded mails (K2, K3) are kept at least this long.
pub(super) const DIGESTS_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Automatic answers are counted over this time.
const ANSWERS_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Sessions on the page that were not used for this long are forgotten.
pub(super) const SESSIONS_KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Rows of each kind that one call removes, so that no transaction grows without bound.
const CLEAN_ROWS_MAX: usize = 1_000;
/// Small rows, of which there is one for each article, that one call removes.
const CLEAN_READ_MAX: usize = 100_000;

impl Tx<'_> {
    /// Removes what is old; answers how many rows. The search has read up to `read`.
    pub(super) fn clean(&mut self, now: Timestamp, read: u64) -> Result<u64, Fault> {
        let rows = self.clean_sent(now)? + self.clean_answers(now)? + self.clean_digests(now)?;
        let rows =
            rows + self.clean_read(read)? + self.clean_hooks(now)? + self.clean_answered(now)?;
        // They end long before that; here they only stop taking room.
        let old = now.saturating_sub(SESSIONS_KEPT).unwrap_or(Timestamp::MIN);
        Ok(rows + self.end_sessions(|session| session.seen < old)?)
    }

    /// What the search has read it need not be told again.
    fn clean_read(&mut self, read: u64) -> Result<u64, Fault> {
        let mut entries = Vec::new();
        for row in self.tables.unindexed.range(..=read)?.take(CLEAN_READ_MAX) {
            entries.push(row?.0.value());
        }
        for entry in &entries {
            self.tables.unindexed.remove(entry)?;
        }
        Ok(entries.len() as u64)
    }

    fn clean_sent(&mut self, now: Timestamp) -> Result<u64, Fault> {
        let old = (before(now, SENT_KEPT), 0);
        let mut keys = Vec::new();
        for row in self.tables.outbox_sent.range(..old)?.take(CLEAN_ROWS_MAX) {
            keys.push(row?.0.value());
        }
        for &(at, id) in &keys {
            self.tables.outbox_sent.remove((at, id))?;
            self.tables.outbox.remove(id)?;
            self.tables.outbox_raw.remove(id)?;
        }
        Ok(keys.len() as u64)
    }

    fn clean_hooks(&mut self, now: Timestamp) -> Result<u64, Fault> {
        let old = (before(now, SENT_KEPT), 0);
        let mut keys = Vec::new();
        for row in self.tables.hooks_sent.range(..old)?.take(CLEAN_ROWS_MAX) {
            keys.push(row?.0.value());
        }
        for &(at, id) in &keys {
            self.tables.hooks_sent.remove((at, id))?;
            self.tables.hooks.remove(id)?;
        }
        Ok(keys.len() as u64)
    }

    fn clean_answers(&mut self, now: Timestamp) -> Result<u64, Fault> {
        let old = (before(now, ANSWERS_KEPT), 0);
        let mut keys = Vec::new();
        for row in self.tables.answer_times.range(..old)?.take(CLEAN_ROWS_MAX) {
            let (key, to) = row?;
            keys.push((key.value(), to.value().to_owned()));
        }
        for ((at, id), to) in &keys {
            self.tables.answer_times.remove((*at, *id))?;
            self.tables.answers.remove((to.as_str(), *at, *id))?;
        }
        let old = minute(now.saturating_sub(HOUR).unwrap_or(Timestamp::MIN));
        self.tables.answer_minutes.retain_in(..old, |_, _| false)?;
        self.clean_hours(now)?;
        Ok(keys.len() as u64)
    }

    /// Digests of mails whose location is still in the ledger stay; `compare` forgets them when
    /// it forgets the location.
    fn clean_digests(&mut self, now: Timestamp) -> Result<u64, Fault> {
        let mut old = Vec::new();
        for row in self.tables.mails.range(self.counters.clean..)?.take(CLEAN_ROWS_MAX) {
            let (id, row) = row?;
            let row = decode::<MailRow>(row.value())?;
            if now.duration_since(row.at) <= DIGESTS_KEPT {
                break;
            }
            old.push((id.value(), row));
        }
        let mut removed = 0;
        for (id, row) in old {
            self.counters.clean = id + 1;
            if self.ledger(row.account, &Location(row.location.clone()))?.is_none() {
                self.forget_digests(row.account, id, &row)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes the digests that lead to a mail.
    pub(super) fn forget_digests(
        &mut self,
        account: u32,
        mail: u64,
        row: &MailRow,
    ) -> Result<(), Fault> {
        let key = row.digest()?;
        let key = (&key.0, account);
        if self.tables.digests.get(key)?.is_some_and(|holder| holder.value() == mail) {
            self.tables.digests.remove(key)?;
        }
        if let Some(key) = row.content()? {
            let key = (&key.0, account);
            if self.tables.contents.get(key)?.is_some_and(|holder| holder.value() == mail) {
                self.tables.contents.remove(key)?;
            }
        }
        Ok(())
    }
}

fn before(now: Timestamp, kept: SignedDuration) -> i64 {
    micros(now.saturating_sub(kept).unwrap_or(Timestamp::MIN))
}

/// Copies one commit into an empty directory. The database gets its name last: a backup that was
/// interrupted cannot be taken for one.
pub(super) fn backup(transaction: &ReadTransaction, from: &Path, to: &Path) -> Result<(), Fault> {
    private::make_directory(to).map_err(Fault::disk(format!("make directory {}", to.display())))?;
    let mut entries =
        std::fs::read_dir(to).map_err(Fault::disk(format!("read directory {}", to.display())))?;
    if entries.next().is_some() {
        return Err(Fault::Row(format!("{} is not empty; name a new directory", to.display())));
    }
    let view = View::open(transaction)?;
    Segments::copy(from, to, &file::committed_segments(&view)?)?;
    let unfinished = to.join("postroom.redb.new");
    let target = file::create_database(&unfinished)?;
    view.copy_to(&target)?;
    drop(target);
    file::finish(&unfinished, &file::database_path(to))
}

/// Gives unused space back to the system. The store must not be in use.
pub(super) fn compact(directory: &Path) -> Result<(u64, u64), StoreError> {
    let path = file::database_path(directory);
    let size = || {
        let meta = std::fs::metadata(&path);
        meta.map(|meta| meta.len()).map_err(Fault::disk(format!("look at {}", path.display())))
    };
    let before = size()?;
    let mut opened = file::open(directory)?;
    opened.database.compact().map_err(|error| StoreError::Failed(error.to_string()))?;
    drop(opened.database);
    Ok((before, size()?))
}
