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
mod interface;
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
mod shapes;
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

use crate::core::config::{Account, Config};
use crate::core::desk::DeskFacts;
use crate::core::intake::{Decision, DeskKey, Effect, Facts, Judgement};
use crate::core::thread::IssuedId;
use crate::core::ticket::{Actor, Command, Refused};
use fault::Fault;
pub use listed::Listed;
pub use mark::Mark;
pub use rehearse::Tried;
use rows::{BellRow, decode, encode};
use search::Search;
pub use search::article_terms;
use segments::Segments;
pub use shapes::{
    AccountState, Bell, Carried, Claim, CommandError, HookCounts, Known, MailId, MailQuery,
    MailRecord, Once, OutboxCounts, OutboxFilter, Owing, Page, QueueCount, Recorded,
    RememberedCustomer, Session, SessionKey, SortBy, Spool, Spooled, StoreError, StoredRevision,
    TicketCursor, TicketQuery, TicketView, ToRecord, Unjudged,
};
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
    /// What a Message-ID says that only we can have issued.
    pub verify: fn(&DeskKey, &str) -> Option<IssuedId>,
}

/// Decides on one command: see [`crate::core::desk::act`].
pub type Act = fn(&Config, &DeskFacts, &Command, &Actor, Timestamp) -> Result<Vec<Effect>, Refused>;

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            settle: crate::core::intake::settle,
            act: crate::core::desk::act,
            verify: crate::core::thread::verify,
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
