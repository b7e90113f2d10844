//! What is new is fetched and taken in, a batch at a time: while the last ones are made safe, judged
//! and committed, the next one is fetched.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::JoinHandle;

use super::failing::Doing;
use super::report::protocol;
use super::telling::Telling;
use super::transfer::{SLOW_AFTER, transfer};
use super::{Ended, Poller, step};
use crate::core::config::{Account, AfterFetch, Only, Oversize};
use crate::core::mail::Location;
use crate::faultpoint;
use crate::mailbox::{Entry, Fetched, Mailbox, MailboxError, held_bytes};
use crate::run::daemon::Daemon;
use crate::run::intake;
use crate::store::{Known, Recorded, Spool, StoreError};
use crate::threads;

/// Bytes fetched together; one larger mail is a batch of its own.
pub const BATCH_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Batches that are made safe, judged and recorded while the next one is fetched. While one is
/// judged, the commits of the others go together; more would only hold more mails in memory.
pub const BATCHES_UNDER_WAY_MAX: usize = 3;

/// What a page of a look asks of us.
#[derive(Default)]
struct Work {
    /// Mails whose outcome is not decided, or not known to be theirs.
    fresh: Vec<Entry>,
    /// Mails that are recorded and about which the server has not been told, or did not listen.
    unfinished: Vec<Entry>,
}

impl Poller {
    /// One page of a look: takes in what is new, and tells the server what is to be told.
    pub(super) async fn take_page(
        &mut self,
        account: &Arc<Account>,
        mailbox: &mut dyn Mailbox,
        mut page: Vec<Entry>,
        telling: &mut Telling,
    ) -> Result<usize, Ended> {
        self.sizes.correct(&mut page);
        let Work { fresh, unfinished } = self.sort(account, mailbox.reuses_names(), page).await?;
        // A page without anything new says nothing of those behind it.
        let behind = if fresh.is_empty() { 0 } else { mailbox.rest() };
        self.note_backlog(account, fresh.len() + behind);
        if !unfinished.is_empty() {
            let mails = unfinished.len();
            tracing::debug!(account = account.name, mails, "telling the server again");
        }
        telling.add(unfinished);
        let (together, alone) = self.ungiven.part(fresh);
        let together = batches(together, account.max_size_bytes, mailbox.fetch_mails_max());
        self.missing.clear();
        let mut taken = self.take_and_tell(account, mailbox, together, telling).await?;
        if !alone.is_empty() {
            // These may break the session; until here everything is finished.
            let alone = alone.into_iter().map(|entry| vec![entry]).collect();
            taken += self.take_and_tell(account, mailbox, alone, telling).await?;
        }
        self.judge_missing(account, taken > 0).await?;
        Ok(taken)
    }

    /// Counts what the server did not give of a page.
    async fn judge_missing(&mut self, account: &Account, any_given: bool) -> Result<(), Ended> {
        let missing = std::mem::take(&mut self.missing);
        self.gave_all = missing.is_empty();
        let Some(given_up) = self.ungiven.missing(&missing, any_given) else {
            self.failing.broke_at(&account.connection, &missing, Doing::Fetching);
            let message = format!("the server gave none of {} messages", missing.len());
            return Err(MailboxError::Refused { command: "FETCH", message }.into());
        };
        for (entry, reason) in given_up {
            self.give_up(account, &entry, reason).await?;
        }
        Ok(())
    }

    async fn take_and_tell(
        &mut self,
        account: &Arc<Account>,
        mailbox: &mut dyn Mailbox,
        batches: Vec<Vec<Entry>>,
        telling: &mut Telling,
    ) -> Result<usize, Ended> {
        // What was recorded before an error is told to the server only by the next round: after
        // an error the session cannot be trusted.
        let taken = self.take_all(account, mailbox, batches, telling).await?;
        let began_telling = Instant::now();
        self.tell(account, mailbox, telling).await?;
        self.daemon.metrics.intake_stage("done", began_telling.elapsed().as_secs_f64());
        Ok(taken)
    }

    async fn tell(
        &mut self,
        account: &Account,
        mailbox: &mut dyn Mailbox,
        telling: &mut Telling,
    ) -> Result<(), Ended> {
        let told = telling.tell(mailbox, &self.stop).await;
        if told.is_err() {
            self.failing.broke_at(&account.connection, telling.waiting(), Doing::Telling);
        }
        told
    }

    async fn sort(
        &self,
        account: &Account,
        names_are_reused: bool,
        page: Vec<Entry>,
    ) -> Result<Work, Ended> {
        // What is to be deleted may be another mail than the one that is recorded: commit 1
        // compares the bytes.
        let compare = names_are_reused && account.after_fetch == AfterFetch::Delete;
        let store = self.daemon.store.clone();
        let name = account.name.clone();
        let (known, entries) = threads::STORE
            .run(move || {
                let locations: Vec<Location> =
                    page.iter().map(|entry| entry.location.clone()).collect();
                store.known(&name, &locations).map(|known| (known, page))
            })
            .await?;
        let mut work = Work::default();
        for (entry, known) in entries.into_iter().zip(known) {
            match known {
                Known::No if is_passed_over(account, &entry) => {}
                Known::No | Known::Spooled { .. } => work.fresh.push(entry),
                Known::Recorded if compare => work.fresh.push(entry),
                Known::Recorded => work.unfinished.push(entry),
                Known::LeftAlone | Known::Done => {}
            }
        }
        Ok(work)
    }

    /// Fetches and takes in, a batch at a time: while the last ones are made safe, judged and
    /// committed, the next one is fetched.
    async fn take_all(
        &mut self,
        account: &Arc<Account>,
        mailbox: &mut dyn Mailbox,
        batches: Vec<Vec<Entry>>,
        telling: &mut Telling,
    ) -> Result<usize, Ended> {
        let mut under_way = VecDeque::new();
        let taken = self.take_batches(account, mailbox, batches, telling, &mut under_way).await;
        // Waited for even after an error: no intake may outlive its poller.
        let rest = finish_all(&self.daemon, under_way, telling).await;
        let taken = taken? + rest?;
        if self.stop.is_cancelled() { Err(Ended::Stopped) } else { Ok(taken) }
    }

    async fn take_batches(
        &mut self,
        account: &Arc<Account>,
        mailbox: &mut dyn Mailbox,
        batches: Vec<Vec<Entry>>,
        telling: &mut Telling,
        under_way: &mut VecDeque<InProgress>,
    ) -> Result<usize, Ended> {
        let mut taken = 0;
        let mut before = None;
        let mut batches = VecDeque::from(batches);
        while let Some(batch) = batches.pop_front() {
            let mut fetched = self.fetch(account, mailbox, batch).await?;
            // Again at once, so that they remain in order as far as can be.
            let larger = std::mem::take(&mut fetched.larger);
            let again = self::batches(larger, account.max_size_bytes, mailbox.fetch_mails_max());
            again.into_iter().rev().for_each(|batch| batches.push_front(batch));
            if under_way.len() == BATCHES_UNDER_WAY_MAX
                && let Some(oldest) = under_way.pop_front()
            {
                taken += oldest.finish(&self.daemon, telling).await?;
            }
            let (batch, recorded) =
                InProgress::start(&self.daemon, account, fetched, before.take());
            under_way.push_back(batch);
            before = Some(recorded);
            if telling.is_full() {
                self.tell(account, mailbox, telling).await?;
            }
            if self.stop.is_cancelled() {
                break;
            }
        }
        Ok(taken)
    }

    async fn fetch(
        &mut self,
        account: &Account,
        mailbox: &mut dyn Mailbox,
        entries: Vec<Entry>,
    ) -> Result<FetchedBatch, Ended> {
        let bytes = entries.iter().map(|entry| held_bytes(entry, account.max_size_bytes)).sum();
        let (gate, standing) = (&self.gate, self.standing());
        let waiting = async { Ok::<_, MailboxError>(gate.bytes(bytes, standing).await) };
        let mut room = step(&self.stop, waiting).await?;
        let began = Instant::now();
        let work = mailbox.fetch(&entries, account.max_size_bytes);
        let fetched = step(&self.stop, transfer(gate, bytes, standing, &mut room, work)).await;
        self.slow = began.elapsed() >= SLOW_AFTER;
        if let Err(Ended::Mailbox(MailboxError::TooLong { location, at_least })) = &fetched {
            self.sizes.learn(location, Some(*at_least));
        } else if let Err(Ended::Mailbox(error)) = &fetched {
            self.failing.broke_at(&account.connection, &entries, Doing::Fetching);
            if let Some(reason) = self.ungiven.broken(&entries, error) {
                self.give_up(account, &entries[0], reason).await?;
            }
        }
        let fetched = fetched?;
        self.daemon.metrics.intake_stage("fetch", began.elapsed().as_secs_f64());
        faultpoint!("fetched");
        let alone = entries.len() == 1;
        let (mails, larger) = (Vec::new(), Vec::new());
        let mut batch = FetchedBatch { entries: Vec::new(), mails, larger, room };
        for (entry, fetched) in entries.into_iter().zip(fetched) {
            if let Fetched::Larger { size_bytes } = fetched {
                batch.larger.extend(self.larger(account, entry, size_bytes, alone));
                continue;
            }
            if let Some(spool) = self.spool(account, &entry, fetched) {
                batch.entries.push(entry);
                batch.mails.push(spool);
            }
        }
        Ok(batch)
    }

    /// A mail that is larger than announced, as it is to be asked for again. Asked for alone it has
    /// room for twice of what is known: it must be larger than that each time, or it is not given.
    fn larger(
        &mut self,
        account: &Account,
        mut entry: Entry,
        size_bytes: Option<u64>,
        alone: bool,
    ) -> Option<Entry> {
        let grows = match (entry.size_bytes, size_bytes) {
            (Some(before), Some(now)) => now > before,
            (Some(_), None) => true,
            (None, Some(now)) => now > account.max_size_bytes,
            (None, None) => false,
        };
        // Together with others it may only have found no room.
        if alone && !grows {
            self.note_missing(account, &entry);
            return None;
        }
        let announced = entry.size_bytes;
        tracing::debug!(
            account = account.name,
            location = entry.location.0,
            announced,
            received = size_bytes,
            "larger than announced"
        );
        self.sizes.learn(&entry.location, size_bytes);
        entry.size_bytes = size_bytes;
        Some(entry)
    }

    fn note_missing(&mut self, account: &Account, entry: &Entry) {
        self.daemon.metrics.poll_error(protocol(account), "missing");
        tracing::warn!(account = account.name, location = entry.location.0, "listed but not given");
        self.missing.push(entry.clone());
    }

    /// Notes in quarantine that a mail cannot be had. It stays where it is.
    async fn give_up(
        &mut self,
        account: &Account,
        entry: &Entry,
        reason: String,
    ) -> Result<(), Ended> {
        intake::give_up(&self.daemon, &account.name, &entry.location, reason).await?;
        self.ungiven.given(&entry.location);
        Ok(())
    }

    fn spool(&mut self, account: &Account, entry: &Entry, fetched: Fetched) -> Option<Spool> {
        let location = entry.location.clone();
        if fetched == Fetched::Missing {
            self.note_missing(account, entry);
            return None;
        }
        self.ungiven.given(&location);
        match fetched {
            Fetched::Mail(raw) => {
                self.sizes.forget(&location);
                Some(Spool { location, raw: Arc::new(raw), headers_only: false })
            }
            Fetched::Oversize { header, size_bytes } => match account.oversize {
                Oversize::HeadersOnly | Oversize::Quarantine => {
                    Some(Spool { location, raw: Arc::new(header), headers_only: true })
                }
                Oversize::Leave => {
                    // From now on it is left alone without being asked for.
                    self.sizes.learn(&location, Some(size_bytes));
                    self.daemon.metrics.poll_error(protocol(account), "oversize");
                    tracing::warn!(
                        account = account.name,
                        location = location.0,
                        size_bytes,
                        "too large; left alone"
                    );
                    None
                }
            },
            Fetched::Missing | Fetched::Larger { .. } => None,
        }
    }
}

/// Mails in our hands, with the room they take.
struct FetchedBatch {
    entries: Vec<Entry>,
    mails: Vec<Spool>,
    /// Mails that are to be asked for again, with more room.
    larger: Vec<Entry>,
    room: OwnedSemaphorePermit,
}

/// A batch that is being made safe, judged and committed while the next one is fetched.
struct InProgress {
    entries: Vec<Entry>,
    whole: Vec<bool>,
    task: JoinHandle<Result<Vec<Recorded>, StoreError>>,
}

impl InProgress {
    /// Begins. Records only when `before`, the batch before, is recorded; the second part of the
    /// answer says so of this one.
    fn start(
        daemon: &Daemon,
        account: &Arc<Account>,
        batch: FetchedBatch,
        before: Option<oneshot::Receiver<()>>,
    ) -> (InProgress, oneshot::Receiver<()>) {
        let FetchedBatch { entries, mails, larger: _, room } = batch;
        let whole = mails.iter().map(|mail| !mail.headers_only).collect();
        let (daemon, account) = (daemon.clone(), account.clone());
        let (done, recorded) = oneshot::channel();
        let task = tokio::spawn(async move {
            let taken = intake::take(&daemon, &account, mails, turn_after(before)).await;
            drop(room);
            if taken.is_ok() {
                // Nobody waits behind the last one.
                let _ = done.send(());
            }
            taken
        });
        (InProgress { entries, whole, task }, recorded)
    }

    async fn finish(self, daemon: &Daemon, telling: &mut Telling) -> Result<usize, Ended> {
        let recorded = match self.task.await {
            Ok(recorded) => recorded?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        faultpoint!("recorded");
        let now = daemon.clock.now();
        for arrived in self.entries.iter().filter_map(|entry| entry.arrived) {
            // The server's clock may be ahead of ours.
            daemon.metrics.intake_lag(now.duration_since(arrived).as_secs_f64().max(0.0));
        }
        // Of a mail that is too large only its header is ours: it must stay where it is. The ledger
        // says so too.
        let whole = self.entries.into_iter().zip(self.whole).filter(|(_, whole)| *whole);
        // A mail that was not recorded is ours in the spool alone.
        let ours: HashSet<&Location> = recorded.iter().map(|mail| &mail.location).collect();
        let ours = whole.map(|(entry, _)| entry).filter(|entry| ours.contains(&entry.location));
        telling.add(ours);
        Ok(recorded.len())
    }
}

/// Ends when the batch before is recorded. If that failed, this one must not overtake it: its mails
/// stay spooled, and the next session takes both in, in their order.
async fn turn_after(before: Option<oneshot::Receiver<()>>) -> Result<(), StoreError> {
    match before {
        None => Ok(()),
        Some(before) => before
            .await
            .map_err(|_| StoreError::Failed("the batch before was not recorded".to_owned())),
    }
}

/// Waits for all; the first error counts.
async fn finish_all(
    daemon: &Daemon,
    under_way: VecDeque<InProgress>,
    telling: &mut Telling,
) -> Result<usize, Ended> {
    let mut taken = Ok(0);
    for batch in under_way {
        let finished = batch.finish(daemon, telling).await;
        taken = taken.and_then(|taken| Ok(taken + finished?));
    }
    taken
}

fn is_passed_over(account: &Account, entry: &Entry) -> bool {
    let too_large = entry.size_bytes.is_some_and(|size| size > account.max_size_bytes);
    (account.only == Only::Unseen && entry.seen)
        || (account.oversize == Oversize::Leave && too_large)
}

/// Cuts a list of mails into what is fetched together.
fn batches(entries: Vec<Entry>, max_size_bytes: u64, mails_max: usize) -> Vec<Vec<Entry>> {
    let mut batches: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let held = held_bytes(&entry, max_size_bytes);
        match batches.last_mut() {
            Some(batch) if batch.len() < mails_max && bytes + held <= BATCH_BYTES_MAX => {
                bytes += held;
                batch.push(entry);
            }
            Some(_) | None => {
                bytes = held;
                batches.push(vec![entry]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(size_bytes: Option<u64>) -> Entry {
        Entry { location: Location("x".into()), handle: 1, size_bytes, seen: false, arrived: None }
    }

    #[track_caller]
    fn check(sizes: &[Option<u64>], expected: &[usize]) {
        let entries = sizes.iter().map(|size| entry(*size)).collect();
        let batches = batches(entries, 8 * 1024 * 1024, crate::mailbox::FETCH_MAILS_MAX);
        let lengths: Vec<usize> = batches.iter().map(Vec::len).collect();
        assert_eq!(lengths, expected);
    }

    #[test]
    fn small_mails_go_together() {
        check(&[Some(2_000); 1_100], &[500, 500, 100]);
    }

    #[test]
    fn large_mails_go_alone() {
        const MIB: u64 = 1024 * 1024;
        check(&[Some(3 * MIB), Some(3 * MIB), Some(6 * MIB), Some(10)], &[1, 1, 1, 1]);
    }

    #[test]
    fn of_too_large_mails_only_the_header_counts() {
        check(&[Some(u64::MAX), Some(u64::MAX)], &[2]);
    }

    #[test]
    fn unknown_sizes_are_taken_for_the_largest() {
        check(&[None, None], &[1, 1]);
    }
}
