//! The only door to the disk: ledger, tickets, owed mails, revisions.
//!
//! One writer thread drains its queue into one transaction, so that many mails share one fsync;
//! an answer is given only after the commit. Readers see the last commit and never wait.
//!
//! Architecture invariant: nothing of redb shows in this interface, stored rows are not core
//! types, and nothing here decides: `intake::settle` and `desk::act` do, inside the transaction.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::core::config::{Account, Config, Moved};
use crate::core::intake::{DeskKey, Judgement, Outcome, Why};
use crate::core::mail::{Digest, Location};
use crate::core::outgoing::{Delivery, Outgoing, OutgoingId};
use crate::core::ticket::{Actor, Article, Command, Event, Refused, State, Ticket, TicketId};

/// Handle to the store; clones share it.
#[derive(Clone)]
pub struct Store {}

/// What the store knows of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    /// When its mailbox was first listed completely; `None` before that.
    pub linked: Option<Timestamp>,
    /// Epoch of that mailbox when it was last listed (see `mailbox::Listing::epoch`).
    pub epoch: String,
}

/// What the ledger knows of a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing: a new mail.
    No,
    /// It lay there before the account was linked and is left alone.
    LeftAlone,
    /// Its bytes are safe, its outcome is not decided.
    Spooled {
        /// How often judging was begun.
        attempts: u32,
    },
    /// Its outcome is committed; the server may be told.
    Recorded,
    /// Its outcome is committed and the server confirmed what it was told.
    Done,
}

/// Bytes to be made safe: commit 1 of a mail.
#[derive(Debug, Clone)]
pub struct Spool {
    /// Where it lies in its account.
    pub location: Location,
    /// The bytes.
    pub raw: Arc<Vec<u8>>,
    /// Whether these are the header only, of a mail that is too large.
    pub headers_only: bool,
}

/// A mail whose bytes are safe and whose outcome is not decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spooled {
    /// Where it lies in its account.
    pub location: Location,
    /// Key of its bytes.
    pub digest: Digest,
    /// How often judging was begun, this time included.
    pub attempts: u32,
    /// Whether the bytes are the header only.
    pub headers_only: bool,
}

/// A judged mail to be settled and recorded: commit 2 of a mail.
#[derive(Debug, Clone)]
pub struct ToRecord {
    /// Configuration it was judged under.
    pub config: Arc<Config>,
    /// Account it came through.
    pub account: Arc<Account>,
    /// Where it lies in its account.
    pub location: Location,
    /// Key of its bytes.
    pub digest: Digest,
    /// The judgement, or why there is none: the mail goes to quarantine.
    pub judgement: Result<Box<Judgement>, String>,
    /// Now.
    pub now: Timestamp,
    /// Set when a person released this mail from quarantine: it is no duplicate of itself.
    pub released: Option<MailId>,
}

/// What was committed for one mail.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Identity in the communication log.
    pub mail: MailId,
    /// Where it lies in its account.
    pub location: Location,
    /// What became of it.
    pub outcome: Outcome,
    /// Number of its ticket.
    pub ticket: Option<String>,
    /// Filters that matched.
    pub filters: Vec<String>,
    /// Which rule chose the queue of a new ticket, as a label.
    pub routed_by: Option<&'static str>,
    /// Label of the reason for which no automatic answer was given.
    pub suppressed: Option<&'static str>,
    /// Owed mails: label of the kind (`autoReply`, `notification`, `reply`) and, of
    /// notifications, label of the event.
    pub owed: Vec<(&'static str, String)>,
    /// How it was decided.
    pub why: Vec<Why>,
}

/// Identity in the communication log; ascending.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct MailId(pub u64);

/// One line of the communication log.
#[derive(Debug, Clone, PartialEq)]
pub struct MailRecord {
    /// Identity.
    pub id: MailId,
    /// Account it came through.
    pub account: String,
    /// Where it lay.
    pub location: Location,
    /// Key of its bytes.
    pub digest: Digest,
    /// Length of its bytes.
    pub bytes: u64,
    /// Header From, for people.
    pub from: String,
    /// Subject.
    pub subject: String,
    /// Message-ID.
    pub message_id: String,
    /// When it was recorded.
    pub at: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
    /// Number of its ticket.
    pub ticket: Option<String>,
    /// How it was decided.
    pub why: Vec<Why>,
    /// Of a quarantined mail: released or dropped by a person.
    pub resolved: Option<Timestamp>,
}

/// A ticket with everything that belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketView {
    /// The ticket.
    pub ticket: Ticket,
    /// Its articles in order.
    pub articles: Vec<Article>,
    /// What happened to it.
    pub events: Vec<Event>,
}

/// Which tickets to list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TicketQuery {
    /// Only those in this queue.
    pub queue: Option<String>,
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those of this owner.
    pub owner: Option<String>,
    /// Only those of this customer.
    pub customer: Option<crate::core::address::Address>,
    /// Only those with this text in number or title.
    pub text: Option<String>,
}

/// One page of a listing, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Pass this to get the next page; `None` at the end.
    pub next: Option<u64>,
}

/// Which owed mails to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxFilter {
    /// All.
    All,
    /// Those to be tried.
    Due,
    /// Those taken by a server.
    Sent,
    /// Those given up.
    Dead,
}

/// How full the outbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxCounts {
    /// Mails to be tried.
    pub due: u64,
    /// Mails given up.
    pub dead: u64,
    /// Mails taken by a server and still on record.
    pub sent: u64,
    /// When the oldest mail to be tried was enqueued.
    pub oldest_due: Option<Timestamp>,
}

/// A revision of the files as it was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRevision {
    /// Hash of the files.
    pub hash: String,
    /// When it was applied.
    pub applied: Timestamp,
    /// Path and content of each file.
    pub files: Vec<(String, String)>,
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("store {0} is in use by another process")]
    InUse(String),
    /// The disk is full. Nothing was lost; try again when there is room.
    #[error("disk is full: {0}")]
    DiskFull(String),
    /// The disk failed, or what is stored cannot be read.
    #[error("store failed: {0}")]
    Failed(String),
    /// It was written by a newer version.
    #[error("store was written by a newer version ({found}); this one knows {known}")]
    Newer {
        /// Version found.
        found: u32,
        /// Version known.
        known: u32,
    },
    /// It is shutting down.
    #[error("store is closed")]
    Closed,
}

/// Why a command on a ticket was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// No ticket has this number.
    #[error("there is no ticket {0:?}")]
    NoTicket(String),
    /// The ticket does not allow it.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The store failed.
    #[error("{0}")]
    Store(#[from] StoreError),
}

#[allow(unused_variables)]
impl Store {
    /// Opens the store in this directory, and makes it if there is none.
    pub fn open(directory: &Path) -> Result<Store, StoreError> {
        todo!()
    }

    /// Key of the tags in our Message-IDs.
    pub fn desk_key(&self) -> DeskKey {
        todo!()
    }

    // Accounts and ledger.

    /// Carries renames out; those already carried out are skipped.
    pub async fn adopt(&self, moved: Vec<Moved>) -> Result<(), StoreError> {
        todo!()
    }

    /// What is known of an account.
    pub fn account(&self, name: &str) -> Result<AccountState, StoreError> {
        todo!()
    }

    /// Notes a complete listing: when the account was linked (kept if known), its epoch, and
    /// which locations are left alone.
    pub async fn link(
        &self,
        account: &str,
        epoch: &str,
        leave: Vec<Location>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        todo!()
    }

    /// What the ledger knows of these locations, in their order.
    pub fn known(&self, account: &str, locations: &[Location]) -> Result<Vec<Known>, StoreError> {
        todo!()
    }

    /// Commit 1: makes bytes safe, with one more attempt on the counter. Answers after the commit.
    pub async fn spool(
        &self,
        account: &str,
        mails: Vec<Spool>,
    ) -> Result<Vec<Spooled>, StoreError> {
        todo!()
    }

    /// Mails of an account that are spooled but not decided, each with one more attempt counted:
    /// what a crash left behind.
    pub async fn respool(&self, account: &str) -> Result<Vec<Spooled>, StoreError> {
        todo!()
    }

    /// Commit 2: settles each mail against the facts and records what comes of it. A panic in one
    /// mail's `settle` sends that mail to quarantine. Answers after the commit, in order.
    pub async fn record(&self, mails: Vec<ToRecord>) -> Result<Vec<Recorded>, StoreError> {
        todo!()
    }

    /// Notes that the server confirmed what it was told about these mails.
    pub async fn done(&self, account: &str, locations: Vec<Location>) -> Result<(), StoreError> {
        todo!()
    }

    /// Raw bytes of a mail, while they are kept.
    pub fn raw(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        todo!()
    }

    // The communication log and quarantine.

    /// The log, newest first, from before this identity.
    pub fn mails(
        &self,
        before: Option<MailId>,
        limit: usize,
    ) -> Result<Page<MailRecord>, StoreError> {
        todo!()
    }

    /// One line of the log.
    pub fn mail(&self, id: MailId) -> Result<Option<MailRecord>, StoreError> {
        todo!()
    }

    /// Quarantined mails that nobody has dealt with, newest first.
    pub fn quarantine(
        &self,
        before: Option<MailId>,
        limit: usize,
    ) -> Result<Page<MailRecord>, StoreError> {
        todo!()
    }

    /// Takes a mail off the quarantine list without releasing it; its bytes stay until retention
    /// ends. `false` if it is not quarantined.
    pub async fn drop_quarantined(&self, id: MailId, now: Timestamp) -> Result<bool, StoreError> {
        todo!()
    }

    // Tickets.

    /// One ticket by its number.
    pub fn ticket(&self, number: &str) -> Result<Option<TicketView>, StoreError> {
        todo!()
    }

    /// Tickets, newest first.
    pub fn tickets(
        &self,
        query: &TicketQuery,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<Ticket>, StoreError> {
        todo!()
    }

    /// Number of a ticket.
    pub fn number_of(&self, id: TicketId) -> Result<Option<String>, StoreError> {
        todo!()
    }

    /// Carries commands out on one ticket, all or none, and answers with the ticket afterwards.
    pub async fn command(
        &self,
        config: Arc<Config>,
        number: &str,
        commands: Vec<Command>,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Ticket, CommandError> {
        todo!()
    }

    /// Tickets that are locked, for the clockwork.
    pub fn locked(&self) -> Result<Vec<Ticket>, StoreError> {
        todo!()
    }

    /// Tickets whose pending time is over, for the clockwork.
    pub fn pending_over(&self, now: Timestamp) -> Result<Vec<Ticket>, StoreError> {
        todo!()
    }

    // The outbox.

    /// Rings when mails were enqueued or put back.
    pub fn outbox_bell(&self) -> Arc<tokio::sync::Notify> {
        todo!()
    }

    /// Mails whose time has come, in the order of enqueueing.
    pub fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Outgoing>, StoreError> {
        todo!()
    }

    /// When the next mail comes due after `now`.
    pub fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        todo!()
    }

    /// Notes how far these mails are.
    pub async fn delivered(&self, results: Vec<(OutgoingId, Delivery)>) -> Result<(), StoreError> {
        todo!()
    }

    /// Owed mails, newest first.
    pub fn outbox(
        &self,
        filter: OutboxFilter,
        before: Option<OutgoingId>,
        limit: usize,
    ) -> Result<Page<Outgoing>, StoreError> {
        todo!()
    }

    /// How full it is.
    pub fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        todo!()
    }

    // Revisions and upkeep.

    /// Keeps a revision as the last good one.
    pub async fn keep_revision(&self, revision: StoredRevision) -> Result<(), StoreError> {
        todo!()
    }

    /// The last revision that was applied.
    pub fn last_revision(&self) -> Result<Option<StoredRevision>, StoreError> {
        todo!()
    }

    /// Size on disk in bytes.
    pub fn size_bytes(&self) -> Result<u64, StoreError> {
        todo!()
    }

    /// Copies the store, as of one commit, into an empty directory, while it is in use.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        todo!()
    }

    /// Reads everything and says what does not hold together; empty is good.
    pub fn verify(&self) -> Result<Vec<String>, StoreError> {
        todo!()
    }

    /// Commits what is queued and lets the writer end.
    pub async fn close(&self) {
        todo!()
    }
}
