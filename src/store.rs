//! The only door to the disk: ledger, tickets, owed mails, revisions.
//!
//! One writer thread drains its queue into one transaction, so that many mails share one fsync;
//! an answer is given only after the commit. Readers see the last commit and never wait.
//!
//! Architecture invariant: nothing of redb shows in this interface, stored rows are not core
//! types, and nothing here decides: `intake::settle` and `desk::act` do, inside the transaction.

mod customers;
mod desk;
mod digests;
mod facts;
mod fault;
mod file;
mod hooks;
mod hours;
mod ledger;
mod listed;
mod log;
mod mark;
mod migrate;
mod once;
mod outbox;
mod places;
mod raw;
mod record;
mod rehearse;
mod revisions;
mod rows;
mod search;
mod segments;
mod sessions;
mod tables;
mod tickets;
mod transaction;
mod upkeep;
mod verify;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};
use tokio::sync::{Notify, Semaphore, oneshot};

use crate::core::address::Address;
use crate::core::config::{Account, Config, Desk, Language, Moved};
use crate::core::desk::DeskFacts;
use crate::core::intake::{Decision, DeskKey, Effect, Facts, Judgement, Outcome, Why};
use crate::core::mail::{Digest, Location};
use crate::core::notify::hours::FullHours;
use crate::core::outgoing::{Delivery, Outgoing, OutgoingId};
use crate::core::search::folded_words;
use crate::core::ticket::{
    Actor, Article, ArticleId, Command, Event, Refused, State, Ticket, TicketId,
};
use crate::core::webhook::{OwedHook, OwedHookId};
use fault::Fault;
pub use listed::Listed;
pub use mark::Mark;
pub use rehearse::Tried;
use rows::{BellRow, decode, encode};
use search::Search;
use segments::Segments;
use tables::View;
use transaction::Tx;
use writer::{Message, Task, Writer};

/// Raw mails and other jobs that wait for the writer. Callers beyond it wait in turn. KiB.
const QUEUE_KIB_MAX: usize = 64 * 1024;
/// What a job takes of the queue at least, so that small ones are bounded in number. KiB.
const QUEUE_KIB_MIN: usize = 32;
/// Bytes that are hashed on the calling task; more are hashed on a thread of their own.
const HASH_BYTES_MAX: usize = 256 * 1024;

/// Handle to the store; clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

/// The decisions that are made inside a transaction. Tests put their own in their place.
#[derive(Clone, Copy)]
pub struct Rules {
    /// What becomes of a mail.
    pub settle: fn(&Config, &Account, &Judgement, &Facts, Timestamp) -> Decision,
    /// What a command does.
    pub act: Act,
    /// The ticket of a Message-ID that only we can have made.
    pub verify: fn(&DeskKey, &str) -> Option<TicketId>,
    /// The number in a tag of ours.
    pub find_tag: fn(&Desk, &str) -> Option<String>,
}

/// Decides on one command: see [`crate::core::desk::act`].
pub type Act = fn(&Config, &DeskFacts, &Command, &Actor, Timestamp) -> Result<Vec<Effect>, Refused>;

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            settle: crate::core::intake::settle,
            act: crate::core::desk::act,
            verify: crate::core::thread::verify,
            find_tag: crate::core::thread::find_tag,
        }
    }
}

/// The queue and the thread that empties it.
struct Inner {
    shared: Arc<Shared>,
    /// The index of the search.
    search: Search,
    /// `None` only while the last handle is dropped.
    jobs: Option<Sender<Message>>,
    /// Room in the queue, in KiB.
    room: Arc<Semaphore>,
    /// `None` only while the last handle is dropped.
    writer: Option<JoinHandle<()>>,
}

/// What readers and the writer share.
struct Shared {
    directory: PathBuf,
    /// `None` while it is reopened after a failed write, and after closing. The writer takes it
    /// exclusively only for that: readers never wait for a commit.
    database: RwLock<Option<Database>>,
    desk_key: DeskKey,
    rules: Rules,
    bell: Arc<Notify>,
    hook_bell: Arc<Notify>,
    observer: RwLock<Option<CommitObserver>>,
}

/// Is told of each commit: how long it took, and how many mails were in it.
pub type CommitObserver = Box<dyn Fn(Duration, usize) + Send + Sync>;

/// What the store knows of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    /// When its mailbox was first listed completely; `None` before that.
    pub linked: Option<Timestamp>,
    /// Epoch of that mailbox when it was last looked at (see `mailbox::Mailbox::epoch`).
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
    /// Owed mails: label of the kind (`autoReply`, `notification`, `reply`) and, of
    /// notifications, label of the event, of automatic answers the name.
    pub owed: Vec<(&'static str, String)>,
    /// Labels of the events of which somebody's mail waits because his hour is full.
    pub held: Vec<&'static str>,
    /// Of a duplicate, by what it was recognised: `location`, `bytes` or `content`.
    pub duplicate: Option<&'static str>,
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
    rank: u8,
    time: i64,
    id: u64,
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

impl Store {
    /// Opens the store in this directory, and makes it if there is none.
    pub fn open(directory: &Path) -> Result<Store, StoreError> {
        Store::open_with(directory, Rules::default())
    }

    /// Whether there is a store in this directory. [`Store::open`] would make one.
    pub fn exists(directory: &Path) -> bool {
        file::database_path(directory).is_file()
    }

    /// Opens the store with other decisions than the desk's.
    pub fn open_with(directory: &Path, rules: Rules) -> Result<Store, StoreError> {
        let opened = file::open(directory)?;
        let shared = Arc::new(Shared {
            directory: directory.to_owned(),
            database: RwLock::new(Some(opened.database)),
            desk_key: opened.desk_key,
            rules,
            bell: Arc::new(Notify::new()),
            hook_bell: Arc::new(Notify::new()),
            observer: RwLock::new(None),
        });
        let (jobs, queue) = std::sync::mpsc::channel();
        let segments = Segments::of(directory);
        let mark = Mark::make(directory)?;
        let search = Search::start(shared.clone())?;
        let writer = Writer {
            shared: shared.clone(),
            segments,
            mark,
            notice: Box::new(search.notice()),
            lock: opened.lock,
        };
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(Fault::disk("start the writer"))?;
        let room = Arc::new(Semaphore::new(QUEUE_KIB_MAX));
        let jobs = Some(jobs);
        Ok(Store(Arc::new(Inner { shared, search, jobs, room, writer: Some(writer) })))
    }

    /// Key of the tags in our Message-IDs.
    pub fn desk_key(&self) -> DeskKey {
        self.0.shared.desk_key.clone()
    }

    /// Calls this after each commit, from the writer's thread; it must be quick.
    pub fn observe_commits(&self, observer: CommitObserver) {
        let slot = &self.0.shared.observer;
        *slot.write().unwrap_or_else(PoisonError::into_inner) = Some(observer);
    }

    // Accounts and ledger.

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

    /// Raw bytes of a mail, while they are kept.
    pub fn raw(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.view(|view| raw::read(&self.0.shared.directory, view, digest))
    }

    // The communication log and quarantine.

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

    // Tickets.

    /// One ticket by its number.
    pub fn ticket(&self, number: &str) -> Result<Option<TicketView>, StoreError> {
        self.view(|view| tickets::view(view, number))
    }

    /// One article of a ticket.
    pub fn article(&self, number: &str, id: ArticleId) -> Result<Option<Article>, StoreError> {
        self.view(|view| tickets::article(view, number, id))
    }

    /// One ticket by its identity.
    pub fn ticket_by_id(&self, id: TicketId) -> Result<Option<Ticket>, StoreError> {
        self.view(|view| tickets::by_id(&view.tickets, id.0))
    }

    /// One ticket by its number, without articles and history.
    pub fn ticket_alone(&self, number: &str) -> Result<Option<Ticket>, StoreError> {
        self.view(|view| tickets::alone(view, number))
    }

    /// How many tickets there are.
    pub fn ticket_count(&self) -> Result<u64, StoreError> {
        self.view(tickets::count)
    }

    /// Tickets in the order that is asked for. A page may hold fewer than `limit` and still have a
    /// next one.
    pub fn tickets(
        &self,
        query: &TicketQuery,
        after: Option<TicketCursor>,
        limit: usize,
    ) -> Result<Page<Ticket, TicketCursor>, StoreError> {
        let index = self.0.search.index();
        self.view(|view| places::list(view, index.as_ref(), query, after, limit))
    }

    /// How many tickets lie in each queue and state; without a row there are none.
    pub fn queue_counts(&self) -> Result<Vec<QueueCount>, StoreError> {
        self.view(places::counts)
    }

    /// Customers remembered from their tickets, in the order of their addresses, whose address,
    /// name or company holds all of these words. A page may hold fewer than `limit` and still have
    /// a next one.
    pub fn customers(
        &self,
        words: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<RememberedCustomer, String>, StoreError> {
        let words = folded_words(words);
        self.view(|view| customers::list(view, &words, after, limit))
    }

    /// What is known of one customer from his tickets.
    pub fn customer(&self, address: &Address) -> Result<Option<RememberedCustomer>, StoreError> {
        self.view(|view| customers::one(view, address))
    }

    /// How many articles the index of the search has not read.
    pub fn search_unread(&self) -> Result<u64, StoreError> {
        let next = self.view(search::next_entry)?;
        Ok(self.0.search.marks().map_or(next, |marks| next.saturating_sub(1 + marks.done)))
    }

    /// Waits until the search knows everything that is committed. Blocks.
    pub fn index_now(&self) -> Result<(), StoreError> {
        let next = self.view(search::next_entry)?;
        self.0.search.settle(next.saturating_sub(1))
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
        let number = number.to_owned();
        let order = desk::Order { config, number, commands, actor, now, once: None };
        let rules = self.0.shared.rules;
        self.write(0, 0, move |tx| tx.command(&rules, &order)).await?
    }

    /// The same for a request that must have one effect: within a day, a repeated one is answered
    /// as before and changes nothing.
    pub async fn command_once(
        &self,
        config: Arc<Config>,
        number: &str,
        commands: Vec<Command>,
        actor: Actor,
        now: Timestamp,
        once: Once,
    ) -> Result<Ticket, CommandError> {
        let (number, once) = (number.to_owned(), Some(once));
        let order = desk::Order { config, number, commands, actor, now, once };
        let rules = self.0.shared.rules;
        self.write(0, 0, move |tx| tx.command(&rules, &order)).await?
    }

    /// Takes the key of a request that is not about one ticket. It is its own from now on.
    pub async fn claim(&self, once: Once, now: Timestamp) -> Result<Claim, StoreError> {
        self.write(0, 0, move |tx| tx.claim(&once, now)).await
    }

    /// Keeps what such a request was answered.
    pub async fn keep_answer(
        &self,
        once: Once,
        answer: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(0, 0, move |tx| tx.keep(&once, Some(&answer), now)).await
    }

    /// Tickets that are locked, for the clockwork.
    pub fn locked(&self) -> Result<Vec<Ticket>, StoreError> {
        self.view(tickets::locked)
    }

    /// Tickets whose pending time is over, for the clockwork.
    pub fn pending_over(&self, now: Timestamp) -> Result<Vec<Ticket>, StoreError> {
        self.view(|view| tickets::pending_over(view, outbox::micros(now)))
    }

    // Bells on the page.

    /// What rang for a person, newest first.
    pub fn bells(
        &self,
        who: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<Bell>, StoreError> {
        self.view(|view| log::bells(view, who, before, limit))
    }

    /// Marks what rang for a person as read, up to this identity.
    pub async fn read_bells(&self, who: &str, up_to: u64) -> Result<(), StoreError> {
        let who = who.to_owned();
        self.write(0, 0, move |tx| tx.read_bells(&who, up_to)).await
    }

    /// How many bells a person has not read, counted up to `limit`.
    pub fn unread_bells(&self, who: &str, limit: usize) -> Result<usize, StoreError> {
        self.view(|view| log::unread_bells(view, who, limit))
    }

    // Sessions on the page.

    /// Begins a session. A user has at most twenty; the one not seen for longest makes room.
    pub async fn begin_session(&self, key: SessionKey, session: Session) -> Result<(), StoreError> {
        self.write(0, 0, move |tx| tx.begin_session(&key, &session)).await
    }

    /// One session.
    pub fn session(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        self.view(|view| sessions::get(view, key))
    }

    /// Notes that a session was used. One that has ended stays ended.
    pub async fn see_session(&self, key: SessionKey, now: Timestamp) -> Result<(), StoreError> {
        self.write(0, 0, move |tx| tx.see_session(&key, now)).await
    }

    /// Ends one session.
    pub async fn end_session(&self, key: SessionKey) -> Result<(), StoreError> {
        self.write(0, 0, move |tx| tx.end_session(&key)).await
    }

    /// Ends all sessions of a user; answers how many.
    pub async fn end_sessions_of(&self, user: &str) -> Result<u64, StoreError> {
        let user = user.to_owned();
        self.write(0, 0, move |tx| tx.end_sessions(|session| session.user == user)).await
    }

    // Webhooks.

    /// Rings when messages to webhooks were enqueued or put back.
    pub fn hook_bell(&self) -> Arc<Notify> {
        self.0.shared.hook_bell.clone()
    }

    /// The message that this webhook is to be told first; its time may not have come.
    pub fn first_hook(&self, webhook: &str) -> Result<Option<OwedHook>, StoreError> {
        self.view(|view| hooks::first(view, webhook))
    }

    /// Names of all webhooks that are owed something, also of those no longer declared.
    pub fn hook_creditors(&self) -> Result<Vec<String>, StoreError> {
        self.view(hooks::creditors)
    }

    /// One message to a webhook.
    pub fn owed_hook(&self, id: OwedHookId) -> Result<Option<OwedHook>, StoreError> {
        self.view(|view| hooks::get(view, id.0))
    }

    /// Notes how far messages to webhooks are.
    pub async fn hooks_delivered(
        &self,
        results: Vec<(OwedHookId, Delivery)>,
    ) -> Result<(), StoreError> {
        let deliver = move |tx: &mut Tx<'_>| {
            results.iter().try_for_each(|(id, delivery)| tx.deliver_hook(*id, delivery))
        };
        self.write(0, 0, deliver).await
    }

    /// Messages to webhooks, newest first.
    pub fn hooks(
        &self,
        filter: OutboxFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<OwedHook>, StoreError> {
        self.view(|view| hooks::page(view, filter, before, limit))
    }

    /// How many messages to webhooks there are.
    pub fn hook_counts(&self) -> Result<HookCounts, StoreError> {
        self.view(hooks::counts)
    }

    // Digests.

    /// Users for whom lines of a digest wait, each with the time of the oldest one.
    pub fn digests(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        self.view(digests::waiting)
    }

    /// Owes this user his digest if its time has come; answers whether it had.
    pub async fn send_digest(
        &self,
        config: Arc<Config>,
        who: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let who = who.to_owned();
        self.write(0, 0, move |tx| tx.send_digest(&config, &who, now)).await
    }

    /// Users to whom no more notification mails go in the present hour, or a later one.
    pub fn full_hours(&self, now: Timestamp) -> Result<FullHours, StoreError> {
        self.view(|view| hours::full(view, now))
    }

    // The outbox.

    /// Rings when mails were enqueued or put back.
    pub fn outbox_bell(&self) -> Arc<Notify> {
        self.0.shared.bell.clone()
    }

    /// Mails whose time has come, in the order of enqueueing.
    pub fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Outgoing>, StoreError> {
        self.view(|view| outbox::due(view, now, limit))
    }

    /// When the next mail comes due after `now`.
    pub fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.view(|view| outbox::next_due(view, now))
    }

    /// One owed mail.
    pub fn owed(&self, id: OutgoingId) -> Result<Option<Outgoing>, StoreError> {
        self.view(|view| outbox::get(view, id.0))
    }

    /// Notes how far these mails are.
    pub async fn delivered(&self, results: Vec<(OutgoingId, Delivery)>) -> Result<(), StoreError> {
        let deliver = move |tx: &mut Tx<'_>| {
            results.iter().try_for_each(|(id, delivery)| tx.deliver(*id, delivery))
        };
        self.write(0, 0, deliver).await
    }

    /// Owed mails, newest first.
    pub fn outbox(
        &self,
        filter: OutboxFilter,
        before: Option<OutgoingId>,
        limit: usize,
    ) -> Result<Page<Outgoing>, StoreError> {
        self.view(|view| outbox::page(view, filter, before, limit))
    }

    /// How full it is.
    pub fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        self.view(outbox::counts)
    }

    // Revisions, grants and upkeep.

    /// Keeps a revision as the last good one.
    pub async fn keep_revision(&self, revision: StoredRevision) -> Result<(), StoreError> {
        let page = tokio::task::spawn_blocking(|| revisions::Page::of(revision)).await;
        let page = page.map_err(|error| StoreError::Failed(format!("could not hash: {error}")))?;
        self.write(0, page.bytes(), move |tx| tx.keep_revision(&page)).await
    }

    /// The kept revision whose hash begins like this; the last one, if several do.
    pub fn revision(&self, hash: &str) -> Result<Option<StoredRevision>, StoreError> {
        self.view(|view| revisions::last(view, hash))
    }

    /// The last revision that was applied.
    pub fn last_revision(&self) -> Result<Option<StoredRevision>, StoreError> {
        self.view(|view| revisions::last(view, ""))
    }

    /// Keeps a secret that was granted to us while running, such as a refresh token, or forgets
    /// it. It is durable when this answers.
    pub async fn keep_grant(&self, name: &str, grant: Option<Vec<u8>>) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(0, 0, move |tx| tx.keep_grant(&name, grant.as_deref())).await
    }

    /// Keeps such a secret under another name, and forgets it under the old one, at once.
    pub async fn move_grant(&self, from: &str, to: &str, grant: Vec<u8>) -> Result<(), StoreError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        let moved = move |tx: &mut Tx<'_>| {
            tx.keep_grant(&from, None)?;
            tx.keep_grant(&to, Some(&grant))
        };
        self.write(0, 0, moved).await
    }

    /// A secret that was granted to us.
    pub fn grant(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.view(|view| Ok(view.grants.get(name)?.map(|grant| grant.value().to_vec())))
    }

    /// Removes what is old: owed mails sent 30 days ago, digests of mails recorded 90 days ago
    /// whose location is forgotten. A bounded number of rows; answers how many.
    pub async fn clean(&self, now: Timestamp) -> Result<u64, StoreError> {
        let read = self.0.search.marks().map_or(0, |marks| marks.done);
        self.write(0, 0, move |tx| tx.clean(now, read)).await
    }

    /// Size on disk in bytes.
    pub fn size_bytes(&self) -> Result<u64, StoreError> {
        let directory = &self.0.shared.directory;
        let path = file::database_path(directory);
        let database =
            std::fs::metadata(&path).map_err(Fault::disk(format!("look at {}", path.display())))?;
        let beside = Segments::size_bytes(directory)? + search::size_bytes(directory);
        Ok(database.len() + beside)
    }

    /// Room that is left on the disk of the store for the user it runs as.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        Ok(file::free_bytes(&self.0.shared.directory)?)
    }

    /// Copies the store, as of one commit, into an empty directory, while it is in use.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let (store, to) = (self.clone(), to.to_owned());
        let copy = move || {
            let from = &store.0.shared.directory;
            store.read(|transaction| upkeep::backup(transaction, from, &to))
        };
        let copied = tokio::task::spawn_blocking(copy).await;
        copied.map_err(|error| StoreError::Failed(format!("could not copy: {error}")))?
    }

    /// Gives unused space of a store that nobody has open back to the system. Answers with its
    /// size before and after, in bytes.
    pub fn compact(directory: &Path) -> Result<(u64, u64), StoreError> {
        upkeep::compact(directory)
    }

    /// Reads everything and says what does not hold together; empty is good.
    pub fn verify(&self) -> Result<Vec<String>, StoreError> {
        let index = self.0.search.index();
        self.view(|view| verify::verify(&self.0.shared.directory, view, index.as_ref()))
    }

    /// Commits what is queued and lets the writer end.
    pub async fn close(&self) {
        self.0.room.close();
        self.0.search.stop();
        let (closed, wait) = oneshot::channel();
        if let Some(jobs) = &self.0.jobs
            && jobs.send(Message::Close(closed)).is_ok()
        {
            // The writer may have ended before it came to this message.
            let _ = wait.await;
        }
    }

    /// Lets the writer do something, and waits until it is committed.
    async fn write<T, F>(&self, mails: usize, bytes: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let kib = (bytes / 1024).clamp(QUEUE_KIB_MIN, QUEUE_KIB_MAX);
        let kib = u32::try_from(kib).expect("the queue is bounded");
        let room = self.0.room.clone().acquire_many_owned(kib).await;
        let room = room.map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let task = Task { mails, bytes, work, value: None, reply, room };
        let jobs = self.0.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(Message::Job(Box::new(task))).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Reads all tables as of the last commit.
    fn view<T>(&self, read: impl FnOnce(&View) -> Result<T, Fault>) -> Result<T, StoreError> {
        self.read(|transaction| read(&View::open(transaction)?))
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        match self.0.shared.read(read) {
            Err(StoreError::Closed) => Err(self.why_not_open()),
            result => result,
        }
    }

    fn why_not_open(&self) -> StoreError {
        if self.0.room.is_closed() {
            StoreError::Closed
        } else {
            StoreError::Failed("the database is being reopened after a failed write".to_owned())
        }
    }
}

impl Shared {
    /// Reads as of the last commit; [`StoreError::Closed`] while the database is not open.
    fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let slot = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = slot.as_ref().ok_or(StoreError::Closed)?;
        let read = || read(&database.begin_read()?);
        // The engine may panic on pages that somebody else wrote into.
        match catch_unwind(AssertUnwindSafe(read)) {
            Ok(result) => Ok(result?),
            Err(panic) => {
                Err(StoreError::Failed(format!("store is damaged: {}", writer::said(&*panic))))
            }
        }
    }

    fn is_open(&self) -> bool {
        self.database.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn observe(&self, took: Duration, mails: usize) {
        let observer = self.observer.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(observer) = observer.as_ref() {
            observer(took, mails);
        }
    }
}

impl Tx<'_> {
    fn keep_grant(&mut self, name: &str, grant: Option<&[u8]>) -> Result<(), Fault> {
        match grant {
            Some(grant) => self.tables.grants.insert(name, grant)?,
            None => self.tables.grants.remove(name)?,
        };
        Ok(())
    }

    fn read_bells(&mut self, who: &str, up_to: u64) -> Result<(), Fault> {
        let mut unread = Vec::new();
        for row in self.tables.bells.range((who, 0)..=(who, up_to))?.rev() {
            let (key, row) = row?;
            let row = decode::<BellRow>(row.value())?;
            // Read is read from the newest down: below the first one that is read, all are.
            if row.read {
                break;
            }
            unread.push((key.value().1, row));
        }
        for (id, mut row) in unread {
            row.read = true;
            self.tables.bells.insert((who, id), encode(&row).as_slice())?;
        }
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.search.end();
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // A commit that is under way ends first; a writer that panicked has ended already.
            let _ = writer.join();
        }
    }
}
