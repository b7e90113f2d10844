//! The thread that reads what was written and adds it to the index.
//!
//! Mail comes first: while mails are being committed it waits, but not for ever. A disk that
//! fails is tried again; meanwhile a search finds what the index knows.
//!
//! Architecture invariant: it reads the store and writes the index, never the other way round.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{BUILT, Batch, Index, Marks, add_article, add_ticket};
use crate::store::fault::Fault;
use crate::store::rows::{ArticleRow, CountersRow, decode};
use crate::store::tables::View;
use crate::store::tickets::{articles, by_id};
use crate::store::{Shared, StoreError};

/// After so long without a commit the index reads what was written.
const QUIET: Duration = Duration::from_millis(100);
/// After so long it reads although more is being written.
const PATIENCE: Duration = Duration::from_secs(5);
/// A disk that failed is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Entries, or tickets of a rebuild, in one transaction.
const BATCH_MAX: usize = 500;
/// Bytes of texts in one transaction; the last may go beyond.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// How often a rebuild says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// Somebody who wants everything read waits this long.
const SETTLE_WITHIN: Duration = Duration::from_secs(60);

/// The index and the thread that fills it.
pub(in crate::store) struct Search {
    wanted: Arc<Wanted>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread shares with others.
struct Wanted {
    /// `None` until it is opened, and while it is opened again.
    index: RwLock<Option<Index>>,
    signal: Mutex<Signal>,
    changed: Condvar,
}

/// What the thread is told, and what it tells.
struct Signal {
    /// Since when something waits to be read.
    waits_since: Option<Instant>,
    /// When something was last written.
    written: Instant,
    /// Somebody waits: read now.
    hurry: bool,
    /// The store is closed.
    stop: bool,
}

impl Search {
    /// Starts the thread. The first thing it does is to open the index.
    pub(in crate::store) fn start(shared: Arc<Shared>) -> Result<Search, Fault> {
        let now = Instant::now();
        let signal = Signal { waits_since: Some(now), written: now, hurry: false, stop: false };
        let wanted = Arc::new(Wanted {
            index: RwLock::new(None),
            signal: Mutex::new(signal),
            changed: Condvar::new(),
        });
        let of_thread = wanted.clone();
        let thread = std::thread::Builder::new()
            .name("store-search".to_owned())
            .spawn(move || Reader { shared, wanted: of_thread }.run())
            .map_err(Fault::disk("start the reader of the search"))?;
        Ok(Search { wanted, thread: Some(thread) })
    }

    /// Is told of each commit of mails, and whether there is something to read in it.
    pub(in crate::store) fn notice(&self) -> impl Fn(bool) + Send + use<> {
        let wanted = self.wanted.clone();
        move |something| {
            let now = Instant::now();
            let mut signal = wanted.signal();
            signal.written = now;
            if something {
                signal.waits_since.get_or_insert(now);
            }
            drop(signal);
            wanted.changed.notify_all();
        }
    }

    /// The index, if it is open.
    pub(in crate::store) fn index(&self) -> RwLockReadGuard<'_, Option<Index>> {
        self.wanted.index()
    }

    /// How far it is; `None` while it is not open.
    pub(in crate::store) fn marks(&self) -> Option<Marks> {
        self.index().as_ref().and_then(|index| index.marks().ok())
    }

    /// Waits until everything up to this entry is read. Blocks.
    pub(in crate::store) fn settle(&self, up_to: u64) -> Result<(), StoreError> {
        let until = Instant::now() + SETTLE_WITHIN;
        let settled = |marks: Marks| marks.done >= up_to && marks.built == BUILT;
        while !self.marks().is_some_and(settled) {
            let mut signal = self.wanted.signal();
            if Instant::now() >= until || signal.stop {
                return Err(StoreError::Failed("the index of the search is not ready".to_owned()));
            }
            signal.hurry = true;
            signal.waits_since.get_or_insert_with(Instant::now);
            self.wanted.changed.notify_all();
            // Told after each batch; the time only bounds the wait should a word be missed.
            let _ = self.wanted.changed.wait_timeout(signal, QUIET);
        }
        Ok(())
    }

    /// Tells the thread to end; it closes the index.
    pub(in crate::store) fn stop(&self) {
        self.wanted.signal().stop = true;
        self.wanted.changed.notify_all();
    }

    /// Tells the thread to end and waits until it has closed the index.
    pub(in crate::store) fn end(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // It may have ended by a panic, which the log has shown.
            let _ = thread.join();
        }
    }
}

impl Wanted {
    fn signal(&self) -> MutexGuard<'_, Signal> {
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self) -> RwLockReadGuard<'_, Option<Index>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, index: Option<Index>) {
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
    }
}

/// The thread.
struct Reader {
    shared: Arc<Shared>,
    wanted: Arc<Wanted>,
}

impl Reader {
    fn run(self) {
        while let Err(error) = self.read_on() {
            if self.wanted.signal().stop {
                break;
            }
            tracing::warn!(%error, "could not bring the index of the search up to date");
            self.wanted.put(None);
            self.rest();
        }
        self.wanted.put(None);
    }

    /// Opens the index and keeps it up to date until the store is closed.
    fn read_on(&self) -> Result<(), StoreError> {
        let next = self.view(next_entry)?;
        let index = Index::open(&self.shared.directory, &self.shared.desk_key, next)?;
        self.wanted.put(Some(index));
        self.rebuild()?;
        while self.wait() {
            while self.read_entries()? {
                if self.wanted.signal().stop {
                    return Ok(());
                }
                self.wanted.changed.notify_all();
            }
            self.wanted.changed.notify_all();
        }
        Ok(())
    }

    /// Reads all tickets, if the index does not know them.
    fn rebuild(&self) -> Result<(), StoreError> {
        let mut marks = self.marks()?;
        let mut told = Instant::now();
        while marks.built != BUILT && !self.wanted.signal().stop {
            let mut batch = Batch::new();
            let from = marks.built;
            marks.built = self.view(|view| read_tickets(view, from, &mut batch))?;
            self.add(batch, marks)?;
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                tracing::info!(tickets = marks.built, "the index of the search is being made");
            }
        }
        self.wanted.changed.notify_all();
        Ok(())
    }

    /// Reads some of what was written; `false` if there was nothing.
    fn read_entries(&self) -> Result<bool, StoreError> {
        let mut marks = self.marks()?;
        let mut batch = Batch::new();
        let last = self.view(|view| read_entries(view, marks.done, &mut batch))?;
        let Some(last) = last else { return Ok(false) };
        marks.done = last;
        self.add(batch, marks)?;
        Ok(true)
    }

    fn add(&self, batch: Batch, marks: Marks) -> Result<(), StoreError> {
        let index = self.wanted.index();
        let index = index.as_ref().ok_or(StoreError::Closed)?;
        Ok(index.add(batch, marks)?)
    }

    fn marks(&self) -> Result<Marks, StoreError> {
        let index = self.wanted.index();
        Ok(index.as_ref().ok_or(StoreError::Closed)?.marks()?)
    }

    /// Waits until there is something to read and it is time; `false` when the store is closed.
    fn wait(&self) -> bool {
        let mut signal = self.wanted.signal();
        loop {
            if signal.stop {
                return false;
            }
            let due = signal.waits_since.map(|since| {
                let quiet = QUIET.saturating_sub(signal.written.elapsed());
                let patience = PATIENCE.saturating_sub(since.elapsed());
                if signal.hurry { Duration::ZERO } else { quiet.min(patience) }
            });
            signal = match due {
                Some(Duration::ZERO) => {
                    signal.hurry = false;
                    signal.waits_since = None;
                    return true;
                }
                Some(rest) => {
                    let waited = self.wanted.changed.wait_timeout(signal, rest);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.wanted.changed.wait(signal);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// Waits before the disk is tried again.
    fn rest(&self) {
        let begun = Instant::now();
        let mut signal = self.wanted.signal();
        while !signal.stop && begun.elapsed() < RETRY_AFTER {
            let rest = RETRY_AFTER.saturating_sub(begun.elapsed());
            let waited = self.wanted.changed.wait_timeout(signal, rest);
            signal = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn view<T>(&self, read: impl FnOnce(&View) -> Result<T, Fault>) -> Result<T, StoreError> {
        self.shared.read(|transaction| read(&View::open(transaction)?))
    }
}

/// The entry that is written next.
pub(in crate::store) fn next_entry(view: &View) -> Result<u64, Fault> {
    let counters = match view.meta.get("counters")? {
        Some(row) => decode(row.value())?,
        None => CountersRow::default(),
    };
    Ok(counters.search)
}

/// Adds what some entries name; answers with the last of them.
fn read_entries(view: &View, done: u64, batch: &mut Batch) -> Result<Option<u64>, Fault> {
    let (mut last, mut bytes) = (None, 0);
    for row in view.unindexed.range(done.saturating_add(1)..)?.take(BATCH_MAX) {
        let (entry, named) = row?;
        let (ticket, article) = named.value();
        // What cannot be read is reported by whoever asks for it; the search goes on without it.
        if let Ok(Some(ticket)) = by_id(&view.tickets, ticket) {
            add_ticket(batch, &ticket);
        }
        if let Some(row) = view.articles.get((ticket, article))? {
            bytes += row.value().len();
            let read = decode::<ArticleRow>(row.value());
            if let Ok(article) = read.and_then(|row| row.article(ticket, article)) {
                add_article(batch, &article);
            }
        }
        last = Some(entry.value());
        if bytes >= BATCH_BYTES_MAX {
            break;
        }
    }
    Ok(last)
}

/// Adds some tickets with their articles; answers with the first that was not read.
fn read_tickets(view: &View, from: u64, batch: &mut Batch) -> Result<u64, Fault> {
    let mut bytes = 0;
    for (count, row) in view.tickets.range(from..)?.enumerate() {
        let (id, row) = row?;
        let id = id.value();
        if count >= BATCH_MAX || bytes >= BATCH_BYTES_MAX {
            return Ok(id);
        }
        bytes += row.value().len();
        if let Ok(Some(ticket)) = by_id(&view.tickets, id) {
            add_ticket(batch, &ticket);
        }
        for article in articles(&view.articles, id).unwrap_or_default() {
            bytes += article.text.len();
            add_article(batch, &article);
        }
    }
    Ok(BUILT)
}
