//! The one thread that writes: it drains its queue into one transaction, commits once, and then
//! answers every job.
//!
//! A job that fails by itself (a row that cannot be read, a panic) is answered with its error, and
//! the others are done again without it: nothing of it is written. If the engine or the disk
//! fails, all jobs of the batch are answered with that error, nothing is believed written, and the
//! database is reopened; the next batch finds out whether there is room again.
//!
//! Architecture invariant: an answer is given only after the commit, and never "yes" without one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::fault::Fault;
use super::mark::Mark;
use super::segments::Segments;
use super::transaction::Tx;
use super::{Shared, StoreError, file};
use crate::faultpoint;

/// Mails in one transaction; the last job may go beyond.
const BATCH_MAILS_MAX: usize = 1_000;
/// Bytes of raw mails in one transaction; the last job may go beyond.
const BATCH_BYTES_MAX: usize = 32 << 20;
/// How often a database that could not be reopened is tried again.
const REOPEN_EVERY: Duration = Duration::from_secs(1);

/// What is put into the queue.
pub(super) enum Message {
    /// Something to write.
    Job(Box<dyn Job>),
    /// The last message: the writer ends, and says so when the database is closed.
    Close(oneshot::Sender<()>),
}

/// Something to write.
pub(super) trait Job: Send {
    /// Mails it concerns.
    fn mails(&self) -> usize;
    /// Bytes of raw mails it carries.
    fn bytes(&self) -> usize;
    /// Writes into the transaction; called again if the transaction is given up for another job.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Fault>;
    /// Tells who waits for it what came of it.
    fn answer(self: Box<Self>, result: Result<(), StoreError>);
}

/// A job with an answer of its own type.
pub(super) struct Task<T, F> {
    pub mails: usize,
    pub bytes: usize,
    pub work: F,
    pub value: Option<T>,
    pub reply: oneshot::Sender<Result<T, StoreError>>,
    /// Its share of the queue, given back when it is answered.
    pub room: OwnedSemaphorePermit,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send,
{
    fn mails(&self) -> usize {
        self.mails
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        self.value = Some((self.work)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        let Task { value, reply, room, .. } = *self;
        let value = result.map(|()| value.expect("a job that was committed has run"));
        // Nobody may be waiting any more; what was committed is committed all the same.
        let _ = reply.send(value);
        drop(room);
    }
}

/// The writing end.
pub(super) struct Writer {
    pub shared: Arc<Shared>,
    pub segments: Segments,
    /// Names the mail that is settled.
    pub mark: Mark,
    /// Tells the search of a commit, and whether there is something for it to read.
    pub notice: Box<dyn Fn(bool) + Send>,
    /// Released last, when the database is closed.
    pub lock: std::fs::File,
}

/// Why a transaction was given up.
enum GivenUp {
    /// This job failed by itself.
    Job(usize, StoreError),
    /// The engine or the disk failed.
    Batch(StoreError),
}

impl Writer {
    /// Writes until there is nobody left to write for.
    pub(super) fn run(mut self, jobs: Receiver<Message>) {
        let mut closing = None;
        while closing.is_none() {
            let Some(first) = self.next(&jobs) else { break };
            let (batch, close) = drain(first, &jobs);
            closing = close;
            if !batch.is_empty() {
                self.write(batch);
            }
        }
        self.close_database();
        // While the lock is held: another process may count what it finds.
        drop(self.mark);
        drop(self.lock);
        if let Some(closed) = closing {
            let _ = closed.send(());
        }
    }

    /// Waits for the next message; meanwhile a database that is not open is tried again, so that
    /// readers recover without a writer.
    fn next(&self, jobs: &Receiver<Message>) -> Option<Message> {
        loop {
            if self.shared.is_open() {
                return jobs.recv().ok();
            }
            match jobs.recv_timeout(REOPEN_EVERY) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.reopen();
                }
            }
        }
    }

    fn write(&mut self, mut batch: Vec<Box<dyn Job>>) {
        while !batch.is_empty() {
            let begun = Instant::now();
            match self.attempt_guarded(&mut batch) {
                Ok((rings, hooks_ring)) => {
                    let mails = batch.iter().map(|job| job.mails()).sum();
                    self.shared.observe(begun.elapsed(), mails);
                    if rings {
                        self.shared.bell.notify_one();
                    }
                    if hooks_ring {
                        self.shared.hook_bell.notify_one();
                    }
                    return batch.into_iter().for_each(|job| job.answer(Ok(())));
                }
                Err(GivenUp::Job(index, error)) => batch.remove(index).answer(Err(error)),
                Err(GivenUp::Batch(error)) => {
                    self.close_database();
                    // If it cannot be opened again now, the next batch tries once more.
                    let _ = self.reopen();
                    return batch.into_iter().for_each(|job| job.answer(Err(error.clone())));
                }
            }
        }
    }

    /// A panic of the engine gives the transaction up like any of its errors.
    fn attempt_guarded(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(bool, bool), GivenUp> {
        match catch_unwind(AssertUnwindSafe(|| self.attempt(batch))) {
            Ok(result) => result,
            Err(panic) => {
                let text = format!("the engine panicked: {}", said(&*panic));
                Err(GivenUp::Batch(StoreError::Failed(text)))
            }
        }
    }

    /// Runs all jobs in one transaction and commits it. Answers whether the bells of the outbox
    /// and of the webhooks ring.
    fn attempt(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(bool, bool), GivenUp> {
        if !self.shared.is_open() {
            self.reopen().map_err(GivenUp::Batch)?;
        }
        let shared = self.shared.clone();
        let slot = shared.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = slot.as_ref().ok_or(GivenUp::Batch(StoreError::Closed))?;
        let mut transaction = database.begin_write().map_err(whole)?;
        transaction.set_two_phase_commit(true);
        transaction.set_quick_repair(true);
        let mut tx =
            Tx::begin(&transaction, &mut self.segments, &self.mark, shared.desk_key.clone())
                .map_err(|fault| GivenUp::Batch(fault.into()))?;
        for (index, job) in batch.iter_mut().enumerate() {
            run_guarded(job.as_mut(), &mut tx, index)?;
        }
        tx.finish().map_err(|fault| GivenUp::Batch(fault.into()))?;
        let rings = (tx.rings, tx.hooks_ring);
        let (spools, records) = (tx.spools, tx.records);
        let feeds_search = tx.feeds_search();
        drop(tx);
        before_commit(spools, records)?;
        transaction.commit().map_err(whole)?;
        after_commit(spools, records);
        if feeds_search || spools {
            (self.notice)(feeds_search);
        }
        Ok(rings)
    }

    /// Closes the database. Readers that are at work are waited for.
    fn close_database(&self) {
        let mut slot = self.shared.database.write().unwrap_or_else(PoisonError::into_inner);
        // Closing writes, and what writes may fail or panic; the file is sound either way.
        let database = slot.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let database = file::open_database(&file::database_path(&self.shared.directory))?;
        *self.shared.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
        Ok(())
    }
}

/// Takes what waits, up to the bounds of a transaction.
fn drain(
    first: Message,
    jobs: &Receiver<Message>,
) -> (Vec<Box<dyn Job>>, Option<oneshot::Sender<()>>) {
    let mut batch: Vec<Box<dyn Job>> = Vec::new();
    let (mut mails, mut bytes) = (0, 0);
    let mut next = Some(first);
    while let Some(message) = next {
        match message {
            Message::Close(closed) => return (batch, Some(closed)),
            Message::Job(job) => {
                mails += job.mails();
                bytes += job.bytes();
                batch.push(job);
            }
        }
        let full = mails >= BATCH_MAILS_MAX || bytes >= BATCH_BYTES_MAX;
        next = if full { None } else { jobs.try_recv().ok() };
    }
    (batch, None)
}

fn run_guarded(job: &mut dyn Job, tx: &mut Tx<'_>, index: usize) -> Result<(), GivenUp> {
    match catch_unwind(AssertUnwindSafe(|| job.run(tx))) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(fault)) if fault.ends_batch() => Err(GivenUp::Batch(fault.into())),
        Ok(Err(fault)) => Err(GivenUp::Job(index, fault.into())),
        Err(panic) => {
            Err(GivenUp::Job(index, StoreError::Failed(format!("panic: {}", said(&*panic)))))
        }
    }
}

/// What a panic said, cut.
pub(super) fn said(panic: &(dyn std::any::Any + Send)) -> String {
    const SAID_CHARS_MAX: usize = 200;
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").chars().take(SAID_CHARS_MAX).collect()
}

fn whole(error: impl Into<redb::Error>) -> GivenUp {
    GivenUp::Batch(Fault::Engine(error.into()).into())
}

fn failed(error: std::io::Error) -> GivenUp {
    GivenUp::Batch(Fault::disk("commit")(error).into())
}

fn before_commit(spools: bool, records: bool) -> Result<(), GivenUp> {
    if spools {
        faultpoint!("store.spool.before_commit");
    }
    if records {
        faultpoint!("store.record.before_commit");
        faultpoint!("store.record.commit", error).map_err(failed)?;
    }
    faultpoint!("store.commit", error).map_err(failed)
}

fn after_commit(spools: bool, records: bool) {
    if spools {
        faultpoint!("store.spool.after_commit");
    }
    if records {
        faultpoint!("store.record.after_commit");
    }
}
