//! One write transaction: the open tables, the counters, and the end of the segments.
//!
//! Architecture invariant: nothing here commits; the writer does, once for all jobs of a batch.

use redb::{ReadableTable, WriteTransaction};

use super::fault::Fault;
use super::mark::Mark;
use super::rows::{CountersRow, decode, encode};
use super::segments::Segments;
use super::tables::Tables;
use crate::core::intake::{DeskKey, NextIds};
use crate::core::outgoing::OutgoingId;
use crate::core::ticket::{ArticleId, TicketId};

/// What the jobs of one batch write into.
pub(super) struct Tx<'txn> {
    /// All tables.
    pub tables: Tables<'txn>,
    /// Identities to use next.
    pub counters: CountersRow,
    /// Large raw mails.
    pub segments: &'txn mut Segments,
    /// Names the mail that is settled.
    pub mark: &'txn Mark,
    /// Key of our Message-IDs.
    pub desk_key: DeskKey,
    /// Whether owed mails were enqueued or put back.
    pub rings: bool,
    /// The same for messages of webhooks.
    pub hooks_ring: bool,
    /// Whether raw mails were spooled: commit 1.
    pub spools: bool,
    /// Whether mails were recorded: commit 2.
    pub records: bool,
    /// Counters as they are stored.
    stored: CountersRow,
}

impl<'txn> Tx<'txn> {
    /// Opens everything.
    pub(super) fn begin(
        transaction: &'txn WriteTransaction,
        segments: &'txn mut Segments,
        mark: &'txn Mark,
        desk_key: DeskKey,
    ) -> Result<Tx<'txn>, Fault> {
        let tables = Tables::open(transaction)?;
        let committed = tables.segments.last()?.map(|(id, length)| (id.value(), length.value()));
        segments.begin(committed);
        let stored = match tables.meta.get("counters")? {
            Some(row) => decode(row.value())?,
            None => CountersRow::default(),
        };
        let counters = stored.clone();
        Ok(Tx {
            tables,
            counters,
            segments,
            mark,
            desk_key,
            rings: false,
            hooks_ring: false,
            spools: false,
            records: false,
            stored,
        })
    }

    /// Writes the counters, and makes the segments safe for the commit to name.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        if self.counters != self.stored {
            self.tables.meta.insert("counters", encode(&self.counters).as_slice())?;
        }
        if self.segments.is_dirty() {
            self.segments.sync()?;
            let (segment, length) = self.segments.end();
            for (filled, length) in self.segments.take_filled() {
                self.tables.segments.insert(filled, length)?;
            }
            self.tables.segments.insert(segment, length)?;
        }
        Ok(())
    }

    /// Whether there is something new for the search to read.
    pub(super) fn feeds_search(&self) -> bool {
        self.counters.search != self.stored.search
    }

    /// Identities that a decision may use; `tickets_today` is for the caller to fill in.
    pub(super) fn next_ids(&self) -> NextIds {
        NextIds {
            ticket: TicketId(self.counters.ticket),
            article: ArticleId(self.counters.article),
            outgoing: OutgoingId(self.counters.outgoing),
            tickets_today: 0,
        }
    }
}
