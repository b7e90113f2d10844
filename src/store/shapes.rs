//! What goes into the store and what comes out of it, as its callers see it.
//!
//! How these are written on disk is the matter of `rows`.

use std::sync::Arc;

use jiff::Timestamp;

use crate::core::address::Address;
use crate::core::config::{Account, Config, Language};
use crate::core::intake::{Effect, Heading, Judgement, Outcome, Why};
use crate::core::mail::{Digest, Location};
use crate::core::outgoing::OutgoingKind;
use crate::core::ticket::{Article, Event, Refused, State, Ticket};
use crate::store::places;

/// What the store knows of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    /// When its mailbox was first listed completely; `None` before that.
    pub linked: Option<Timestamp>,
    /// Epoch of that mailbox when it was last looked at (see `mailbox::Mailbox::epoch`).
    pub epoch: String,
    /// The location with the largest number that is known of it, where they have one.
    pub highest: Option<Location>,
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
        /// How often judging it ended the process.
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
    /// How often judging it ended the process.
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
    pub judgement: Result<Box<Judgement>, Unjudged>,
    /// Now.
    pub now: Timestamp,
    /// Set when a person released this mail from quarantine: it is no duplicate of itself.
    pub released: Option<MailId>,
}

/// A mail without a judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unjudged {
    /// Why there is none.
    pub reason: String,
    /// Whose mail it is, as far as its header could be read.
    pub heading: Heading,
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
    /// Header From, for people; empty if nobody could read it.
    pub from: String,
    /// Subject.
    pub subject: String,
    /// Number of its ticket.
    pub ticket: Option<String>,
    /// Queue of its ticket, when it was recorded.
    pub queue: Option<String>,
    /// Filters that matched.
    pub filters: Vec<String>,
    /// Which rule chose the queue of a new ticket, as a label.
    pub routed_by: Option<&'static str>,
    /// Label of the reason for which no automatic answer was given.
    pub suppressed: Option<&'static str>,
    /// Who is told of it.
    pub owing: Owing,
    /// Of a duplicate, by what it was recognised: `location`, `bytes` or `content`.
    pub duplicate: Option<&'static str>,
    /// How it was decided.
    pub why: Vec<Why>,
}

/// Mails that are owed because of something that was committed, by labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owing {
    /// Label of the kind (`autoReply`, `notification`, `reply`) and, of notifications, label of
    /// the event, of automatic answers the name.
    pub owed: Vec<(&'static str, String)>,
    /// Labels of the events of which somebody's mail waits because his hour is full.
    pub held: Vec<&'static str>,
}

impl Owing {
    pub(super) fn of<'a>(effects: impl IntoIterator<Item = &'a Effect>) -> Owing {
        let mut owing = Owing::default();
        for effect in effects {
            owing.owed.extend(effect.owed.iter().map(|mail| labels(&mail.kind)));
            let held = effect.digests.iter().filter(|line| line.held);
            owing.held.extend(held.map(|line| line.event.label()));
        }
        owing
    }

    /// Adds what is owed because of something else.
    pub fn extend(&mut self, other: Owing) {
        self.owed.extend(other.owed);
        self.held.extend(other.held);
    }
}

fn labels(kind: &OutgoingKind) -> (&'static str, String) {
    let name = match kind {
        OutgoingKind::Notification { event, .. } => event.clone(),
        OutgoingKind::AutoReply { reply } => reply.clone(),
        OutgoingKind::Reply => String::new(),
    };
    (kind.label(), name)
}

/// Commands that were carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Carried {
    /// The ticket afterwards.
    pub ticket: Ticket,
    /// Who is told of it; nobody, if it was carried out before.
    pub owing: Owing,
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

/// Something that rang for somebody on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bell {
    /// Identity; ascending.
    pub id: u64,
    /// Label of the event.
    pub event: String,
    /// Number of its ticket.
    pub ticket: Option<String>,
    /// When it rang.
    pub at: Timestamp,
    /// Whether it was read.
    pub read: bool,
    /// In which role it rang for him: `owner`, `queue sales`; empty if that is not known.
    pub role: String,
    /// Where in the configuration he asks for it; may be empty.
    pub rule: String,
}

/// What a session is found by: the hash of what the browser keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionKey(pub [u8; 32]);

/// A person signed in on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Name of the user.
    pub user: String,
    /// Label of the role the user had when signing in.
    pub role: String,
    /// What the user signed in with, as a fingerprint: another one ends the session.
    pub proof: String,
    /// When it began.
    pub began: Timestamp,
    /// When it was last used, to a few minutes.
    pub seen: Timestamp,
}

/// Which lines of the communication log to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailQuery {
    /// Only those with this label of their outcome.
    pub outcome: Option<String>,
    /// Only those of this account.
    pub account: Option<String>,
}

/// Which tickets to list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TicketQuery {
    /// Only those in this queue.
    pub queue: Option<String>,
    /// Only those in one of these states; none means any.
    pub states: Vec<State>,
    /// Only those of this owner; the empty name means those of nobody.
    pub owner: Option<String>,
    /// Only those of this customer.
    pub customer: Option<Address>,
    /// Only those with these words in number, title, customer or articles.
    pub text: Option<String>,
    /// What stands before ticket numbers and is not looked for.
    pub hook: String,
    /// By what they are sorted.
    pub sort: SortBy,
    /// Whether the first, the oldest or the lowest comes first.
    pub ascending: bool,
}

/// By what tickets are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// When they were made.
    #[default]
    Created,
    /// When something last happened to them.
    Updated,
    /// How urgent they are, then when something last happened to them.
    Priority,
}

/// A place in a listing of tickets: the last one of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TicketCursor {
    pub(super) rank: u8,
    pub(super) time: i64,
    pub(super) id: u64,
}

impl TicketCursor {
    /// Where a ticket stands in a list of this order.
    pub fn of(sort: SortBy, ticket: &Ticket) -> TicketCursor {
        places::cursor(sort, ticket)
    }
}

impl std::fmt::Display for TicketCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.rank, self.time, self.id)
    }
}

impl std::str::FromStr for TicketCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<TicketCursor, ()> {
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or(());
        Ok(TicketCursor {
            rank: part()?.parse().map_err(|_| ())?,
            time: part()?.parse().map_err(|_| ())?,
            id: part()?.parse().map_err(|_| ())?,
        })
    }
}

/// How many tickets lie in a queue and are in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCount {
    /// The queue.
    pub queue: String,
    /// The state.
    pub state: State,
    /// How many.
    pub tickets: u64,
}

/// What is known of a customer from his tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedCustomer {
    /// His address.
    pub address: Address,
    /// Name in the newest of them that has one; may be empty.
    pub name: String,
    /// Company, if known.
    pub company: Option<String>,
    /// In which language he wrote last, if that is known.
    pub language: Option<Language>,
    /// When the first of them was made.
    pub first: Timestamp,
    /// When he last wrote, or the newest of them was made.
    pub last: Timestamp,
    /// How many there are.
    pub tickets: u64,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T, C = u64> {
    /// The rows.
    pub items: Vec<T>,
    /// Pass this to get the next page; `None` at the end.
    pub next: Option<C>,
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

/// How many messages to webhooks there are, by how far they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HookCounts {
    /// To be sent.
    pub due: u64,
    /// Sent, and still on record.
    pub sent: u64,
    /// Given up.
    pub dead: u64,
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
    /// Its directory cannot be made or used.
    #[error("{0}")]
    Directory(String),
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
    /// The key that makes a request have one effect belongs to another request.
    #[error("this key was used for another request")]
    KeyReused,
    /// The store failed.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// A request that must have one effect, however often it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// Who asks, and the key that tells this request from all others.
    pub key: Digest,
    /// What is asked.
    pub request: Digest,
}

/// What is known of a request that takes its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nothing, or that it was begun: it is carried out.
    New,
    /// What it was answered.
    Answered(String),
    /// Its key belongs to another request.
    Other,
}

impl Once {
    /// From texts of any length.
    pub fn of(key: &str, request: &str) -> Once {
        Once { key: Digest::of(key.as_bytes()), request: Digest::of(request.as_bytes()) }
    }
}
