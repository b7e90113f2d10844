//! One task per mail account: look, fetch, take in, tell the server. Again.
//!
//! ```text
//! look      a complete page, or an error                       nothing is known of new mails
//! fetch     raw bytes of what the ledger does not know          they are only on the server
//! take      intake::take: both commits                          THE INSTANT THAT COUNTS
//! done      delete, move or mark                                if we die before, the next round
//!                                                               finds the ledger entry and only
//!                                                               repeats this line
//! ```
//! A slow or broken account delays nobody: each has its own task, and every step its deadline.

mod ungiven;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::backoff;
use super::board::{ConditionKind, Kind, ObjectStatus};
use super::daemon::Daemon;
use super::declared::Declared;
use super::gate::{Gate, Pass};
use super::intake;
use super::tokens::{Holder, TokenError, Why};
use crate::core::config::{Account, AfterFetch, Only, Oversize, Poll, Since, Source};
use crate::core::mail::Location;
use crate::faultpoint;
use crate::mailbox::{self, Entry, Fetched, Mailbox, MailboxError, Scope, Woken};
use crate::store::{Known, Listed, Recorded, Spool, StoreError};
use crate::threads;

/// Bytes fetched together; one larger mail is a batch of its own.
pub const BATCH_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Batches that are made safe, judged and recorded while the next one is fetched. While one is
/// judged, the commits of the others go together; more would only hold more mails in memory.
pub const BATCHES_UNDER_WAY_MAX: usize = 3;
/// Mails the server is told about together.
pub const DONE_MAILS_MAX: usize = 1_000;
/// Longest time a session waits without a look at everything.
pub const WAIT_MAX: Duration = Duration::from_secs(30 * 60);
/// When the locations of a mailbox lose their meaning, mails that arrived this long before the
/// account was linked are left alone again. Generous, because the two clocks may differ: a mail
/// taken twice is recognised by its bytes, a mail left alone is lost.
pub const RELINK_MARGIN: SignedDuration = SignedDuration::from_hours(24);

/// How often the ledger is compared with a whole listing, to forget what is long gone.
pub const COMPARE_EVERY: SignedDuration = SignedDuration::from_hours(24);

pub use ungiven::Ungiven;

/// Everything one poller needs.
pub struct Poller {
    /// The daemon.
    pub daemon: Daemon,
    /// Bounds shared by all pollers.
    pub gate: Arc<Gate>,
    /// The account as declared now; its connection part never changes here.
    pub declared: Arc<Declared>,
    /// When the ledger was last compared with a whole listing; `None` at the start.
    pub compared: Option<Timestamp>,
    /// Mails that the server lists and does not give.
    pub ungiven: Ungiven,
    /// Mails of the present page that it did not give.
    pub missing: Vec<Entry>,
    /// Asks to end at the next safe point.
    pub stop: CancellationToken,
}

/// Why a session ended early.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Mailbox(#[from] MailboxError),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error("asked to stop")]
    Stopped,
}

/// Runs until asked to stop. The poller is boxed because a future keeps its arguments twice.
pub async fn run(mut poller: Box<Poller>) {
    let mut failures = 0;
    while !poller.stop.is_cancelled() {
        let account = poller.declared.begin();
        let began = Instant::now();
        let result = poller.turn(&account).await;
        if matches!(result, Err(Ended::Mailbox(MailboxError::Login(_)))) {
            poller.distrust_token(&account).await;
        }
        let pause = poller.after_session(&account, result, &mut failures, began.elapsed());
        poller.rest(pause).await;
    }
}

impl Poller {
    /// Waits for the others where it must, then holds a session.
    ///
    /// What it does is boxed, so that while it waits, and between two turns, a poller is small:
    /// there may be ten thousand.
    async fn turn(&mut self, account: &Arc<Account>) -> Result<(), Ended> {
        // What is ours already does not wait for the server.
        let resuming = self.gate.resume().await;
        Box::pin(intake::resume(&self.daemon, account)).await?;
        drop(resuming);
        let pass = self.admission(account).await?;
        Box::pin(self.session(account, pass)).await
    }

    /// One session: a look, and more of them while the server tells us of news.
    async fn session(&mut self, account: &Arc<Account>, pass: Pass) -> Result<(), Ended> {
        let stop = self.stop.clone();
        let mut mailbox = self.open(account).await?;
        faultpoint!("opened");
        if let Some(expires) = mailbox.certificate_expires() {
            self.daemon.metrics.tls_expiry("mailAccount", &account.name, expires.as_second());
        }
        let mut scope = Scope::All;
        loop {
            let confirmed = self.round(account, mailbox.as_mut(), scope).await?;
            let Some(_waiting) = may_wait(account, mailbox.as_ref(), &pass) else {
                step(&stop, mailbox.close()).await?;
                faultpoint!("closed");
                self.daemon.store.done(&account.name, confirmed).await?;
                faultpoint!("confirmed");
                return Ok(());
            };
            self.daemon.store.done(&account.name, confirmed).await?;
            self.note_success(account, Some(wait_at_most(account)));
            match self.news(account, mailbox.as_mut()).await? {
                Some(next) => scope = next,
                None => {
                    // Goodbye is a courtesy: nothing depends on it.
                    let _ = step(&stop, mailbox.close()).await;
                    return Ok(());
                }
            }
        }
    }

    /// A server that asks for the token at each request may refuse it in the middle of a session.
    async fn distrust_token(&self, account: &Account) {
        if let Some(holder) = Holder::of_account(account) {
            let config = self.daemon.running.load().config.clone();
            self.daemon.tokens.distrust(&config, &holder).await;
        }
    }

    /// Opens the mailbox. A refused access token is replaced once before the refusal counts.
    async fn open(&self, account: &Account) -> Result<Box<dyn Mailbox>, Ended> {
        let (stop, secrets) = (&self.stop, &self.daemon.secrets);
        let Some(holder) = Holder::of_account(account) else {
            return step(stop, mailbox::open(account, secrets, None)).await;
        };
        let config = self.daemon.running.load().config.clone();
        let tokens = &self.daemon.tokens;
        let token = step(stop, tokens.access(&config, &holder)).await?;
        let mut opened = step(stop, mailbox::open(account, secrets, Some(&token))).await;
        if matches!(opened, Err(Ended::Mailbox(MailboxError::Login(_)))) {
            let another = step(stop, tokens.instead_of(&config, &holder, &token)).await?;
            if another.expose_secret() != token.expose_secret() {
                opened = step(stop, mailbox::open(account, secrets, Some(&another))).await;
            }
        }
        if opened.is_ok() {
            tokens.accepted(&config, &holder).await;
        }
        opened
    }

    async fn admission(&self, account: &Account) -> Result<Pass, Ended> {
        let per_host = self.daemon.running.load().config.limits.connections_per_host;
        let host = host_of(account, &self.daemon);
        tokio::select! {
            () = self.stop.cancelled() => Err(Ended::Stopped),
            pass = self.gate.session(&host, per_host) => Ok(pass),
        }
    }

    /// Waits for news and says how much to look at then. `None`: the account changed, and the
    /// session must begin anew.
    async fn news(
        &mut self,
        account: &Account,
        mailbox: &mut dyn Mailbox,
    ) -> Result<Option<Scope>, Ended> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Ended::Stopped),
            () = self.declared.rung() => {
                let unchanged = self.declared.is(account);
                Ok(unchanged.then_some(Scope::All))
            }
            woken = mailbox.wait(wait_at_most(account)) => Ok(Some(match woken? {
                Woken::News => Scope::News,
                Woken::Timeout => Scope::All,
            })),
        }
    }

    /// Looks once. Answers with the locations that need no more attention once the server has
    /// confirmed, which POP3 does only when the session is closed.
    async fn round(
        &mut self,
        account: &Arc<Account>,
        mailbox: &mut dyn Mailbox,
        scope: Scope,
    ) -> Result<Vec<Location>, Ended> {
        let began = Instant::now();
        self.link(account, mailbox).await?;
        step(&self.stop, mailbox.look(scope)).await?;
        faultpoint!("listed");
        let mut listed = self.is_to_compare(scope).then(Listed::default);
        let mut telling = Telling::new(account);
        let mut taken = 0;
        loop {
            let page = step(&self.stop, mailbox.page()).await?;
            if page.is_empty() {
                break;
            }
            if let Some(listed) = &mut listed {
                page.iter().for_each(|entry| listed.add(&entry.location));
            }
            taken += self.take_page(account, mailbox, page, &mut telling).await?;
        }
        if let Some(listed) = listed {
            self.compare(account, listed).await?;
        }
        if taken > 0 {
            let seconds = began.elapsed().as_secs_f64();
            tracing::info!(account = account.name, mails = taken, seconds, "mailbox read");
        }
        self.daemon.metrics.poll_seconds(protocol(account), began.elapsed().as_secs_f64());
        Ok(telling.confirmed)
    }

    /// One page of a look: takes in what is new, and tells the server what is to be told.
    async fn take_page(
        &mut self,
        account: &Arc<Account>,
        mailbox: &mut dyn Mailbox,
        page: Vec<Entry>,
        telling: &mut Telling,
    ) -> Result<usize, Ended> {
        let Work { fresh, unfinished } = self.sort(account, page).await?;
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
        let Some(given_up) = self.ungiven.missing(&missing, any_given) else {
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
        telling.tell(mailbox, &self.stop).await?;
        self.daemon.metrics.intake_stage("done", began_telling.elapsed().as_secs_f64());
        Ok(taken)
    }

    /// At the first look at a mailbox, and the first after its locations lost their meaning,
    /// decides which mails are left alone. Only when all are noted does the account count as
    /// linked: what arrives later is taken in, also if we die in between.
    async fn link(&self, account: &Account, mailbox: &mut dyn Mailbox) -> Result<(), Ended> {
        let store = self.daemon.store.clone();
        let name = account.name.clone();
        let state = threads::STORE.run(move || store.account(&name)).await?;
        let epoch = mailbox.epoch();
        if state.linked.is_some() && state.epoch == epoch {
            return Ok(());
        }
        if state.linked.is_some() {
            self.daemon.metrics.epoch_changed(&account.name);
            tracing::warn!(
                account = account.name,
                "mailbox was renumbered; recognising mails by content"
            );
        }
        let left = match account.since {
            Since::All => 0,
            Since::Linked | Since::Date(_) => {
                self.leave_alone(account, mailbox, state.linked).await?
            }
        };
        if left > 0 {
            tracing::warn!(account = account.name, left, "older mails are left alone (since)");
        }
        let now = self.daemon.clock.now();
        Ok(self.daemon.store.link(&account.name, &epoch, now).await?)
    }

    /// Notes which of the mails that lie there are left alone, a page at a time; answers how many.
    async fn leave_alone(
        &self,
        account: &Account,
        mailbox: &mut dyn Mailbox,
        linked: Option<Timestamp>,
    ) -> Result<usize, Ended> {
        step(&self.stop, mailbox.look(Scope::All)).await?;
        let mut left = 0;
        loop {
            let page = step(&self.stop, mailbox.page()).await?;
            if page.is_empty() {
                return Ok(left);
            }
            let leave: Vec<Location> = page
                .into_iter()
                .filter(|entry| is_left_alone(account, entry, linked))
                .map(|entry| entry.location)
                .collect();
            left += leave.len();
            self.daemon.store.leave_alone(&account.name, leave).await?;
        }
    }

    /// Whether this look is to be compared with the ledger: now and then, if it is a whole one.
    fn is_to_compare(&self, scope: Scope) -> bool {
        let now = self.daemon.clock.now();
        let due = |compared| now.duration_since(compared) >= COMPARE_EVERY;
        scope == Scope::All && self.compared.is_none_or(due)
    }

    /// Forgets mails that have been gone for long; what is listed stays known.
    async fn compare(&mut self, account: &Account, listed: Listed) -> Result<(), Ended> {
        let now = self.daemon.clock.now();
        self.daemon.store.forget_absent(&account.name, listed, now).await?;
        self.compared = Some(now);
        Ok(())
    }

    async fn sort(&self, account: &Account, page: Vec<Entry>) -> Result<Work, Ended> {
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
        for batch in batches {
            let fetched = self.fetch(account, mailbox, batch).await?;
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
                telling.tell(mailbox, &self.stop).await?;
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
        let room = self.gate.bytes(bytes).await;
        let began = Instant::now();
        let fetched = step(&self.stop, mailbox.fetch(&entries, account.max_size_bytes)).await;
        if let Err(Ended::Mailbox(error)) = &fetched
            && let Some(reason) = self.ungiven.broken(&entries, error)
        {
            self.give_up(account, &entries[0], reason).await?;
        }
        let fetched = fetched?;
        self.daemon.metrics.intake_stage("fetch", began.elapsed().as_secs_f64());
        faultpoint!("fetched");
        let mut batch = FetchedBatch { entries: Vec::new(), mails: Vec::new(), room };
        for (entry, fetched) in entries.into_iter().zip(fetched) {
            if let Some(spool) = self.spool(account, &entry, fetched) {
                batch.entries.push(entry);
                batch.mails.push(spool);
            }
        }
        Ok(batch)
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
            self.daemon.metrics.poll_error(protocol(account), "missing");
            tracing::warn!(account = account.name, location = location.0, "listed but not given");
            self.missing.push(entry.clone());
            return None;
        }
        self.ungiven.given(&location);
        match fetched {
            Fetched::Mail(raw) => Some(Spool { location, raw: Arc::new(raw), headers_only: false }),
            Fetched::Oversize { header, size_bytes } => match account.oversize {
                Oversize::HeadersOnly | Oversize::Quarantine => {
                    Some(Spool { location, raw: Arc::new(header), headers_only: true })
                }
                Oversize::Leave => {
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
            Fetched::Missing => None,
        }
    }

    /// Notes how the session ended and says how long to rest.
    fn after_session(
        &self,
        account: &Account,
        result: Result<(), Ended>,
        failures: &mut u32,
        took: Duration,
    ) -> Duration {
        match result {
            Ok(()) | Err(Ended::Stopped) => {
                *failures = 0;
                let pause = until_next_poll(account, &self.daemon, took);
                if result.is_ok() {
                    self.note_success(account, Some(pause));
                }
                pause
            }
            Err(error) => {
                *failures = failures.saturating_add(1);
                let login = matches!(&error, Ended::Mailbox(MailboxError::Login(_)))
                    || matches!(&error, Ended::Token(error) if error.why == Why::SignIn);
                let pause = backoff::pause(*failures, login, backoff::dice());
                let pause = pause.max(asked_to_wait(&error));
                self.note_failure(account, &error, *failures, pause);
                pause
            }
        }
    }

    async fn rest(&mut self, pause: Duration) {
        let holder = Holder::of_account(&self.declared.now());
        let signed_in = holder.map(|holder| {
            let config = self.daemon.running.load().config.clone();
            self.daemon.tokens.bell(&config, &holder)
        });
        tokio::select! {
            () = rings(signed_in) => {}
            () = self.stop.cancelled() => {}
            () = self.declared.rung() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    fn note_backlog(&self, account: &Account, waiting: usize) {
        self.daemon.metrics.account_backlog(&account.name, waiting as u64);
        self.daemon.board.update(Kind::MailAccount, &account.name, |status| {
            status.backlog = Some(waiting as u64);
        });
    }

    fn note_success(&self, account: &Account, pause: Option<Duration>) {
        let now = self.daemon.clock.now();
        let metrics = &self.daemon.metrics;
        metrics.account_up(&account.name, true);
        metrics.account_authenticated(&account.name, true);
        metrics.account_last_success(&account.name, now.as_second() as f64);
        metrics.account_failures(&account.name, 0);
        metrics.account_backlog(&account.name, 0);
        metrics.poll_run(&account.name, "success");
        let revision = self.daemon.running.load().revision.clone();
        self.daemon.board.update(Kind::MailAccount, &account.name, |status| {
            for kind in
                [ConditionKind::Reachable, ConditionKind::Authenticated, ConditionKind::Ready]
            {
                status.set(kind, Some(true), "Success", "", now);
            }
            status.observed_revision = revision;
            status.last_success = Some(now);
            status.next_poll = pause.and_then(|pause| now.checked_add(pause).ok());
            status.backlog = Some(0);
            status.consecutive_failures = 0;
        });
    }

    fn note_failure(&self, account: &Account, error: &Ended, failures: u32, pause: Duration) {
        let now = self.daemon.clock.now();
        let metrics = &self.daemon.metrics;
        metrics.account_up(&account.name, false);
        if let Some(taken) = login_taken(error) {
            metrics.account_authenticated(&account.name, taken);
        }
        metrics.account_failures(&account.name, u64::from(failures));
        metrics.poll_run(&account.name, "failure");
        metrics.poll_error(protocol(account), reason(error));
        tracing::warn!(account = account.name, failures, retry_secs = pause.as_secs(), %error, "could not read mailbox");
        self.daemon.board.update(Kind::MailAccount, &account.name, |status| {
            conditions_of(status, error, now);
            status.next_poll = now.checked_add(pause).ok();
            status.consecutive_failures = failures;
        });
    }
}

/// What a page of a look asks of us.
#[derive(Default)]
struct Work {
    /// Mails whose outcome is not decided.
    fresh: Vec<Entry>,
    /// Mails that are recorded and about which the server has not been told, or did not listen.
    unfinished: Vec<Entry>,
}

/// Mails in our hands, with the room they take.
struct FetchedBatch {
    entries: Vec<Entry>,
    mails: Vec<Spool>,
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
        let FetchedBatch { entries, mails, room } = batch;
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
        telling.add(whole.map(|(entry, _)| entry));
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

/// Recorded mails about which the server is to be told.
struct Telling {
    after: AfterFetch,
    waiting: Vec<Entry>,
    /// Mails that need no more attention.
    confirmed: Vec<Location>,
}

impl Telling {
    fn new(account: &Account) -> Telling {
        Telling { after: account.after_fetch.clone(), waiting: Vec::new(), confirmed: Vec::new() }
    }

    fn add(&mut self, entries: impl IntoIterator<Item = Entry>) {
        match self.after {
            AfterFetch::Keep => {}
            AfterFetch::Delete | AfterFetch::Seen | AfterFetch::Move(_) => {
                self.waiting.extend(entries);
            }
        }
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= DONE_MAILS_MAX
    }

    async fn tell(
        &mut self,
        mailbox: &mut dyn Mailbox,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        for entries in self.waiting.chunks(DONE_MAILS_MAX) {
            faultpoint!("before_done");
            step(stop, mailbox.done(entries, &self.after)).await?;
            faultpoint!("after_done");
        }
        // A deleted or moved mail proves by its absence that the server did it; while it is still
        // listed, it is told again. A mark can be taken away by a person, so it is set once.
        if self.after == AfterFetch::Seen {
            self.confirmed.extend(self.waiting.iter().map(|entry| entry.location.clone()));
        }
        self.waiting.clear();
        Ok(())
    }
}

/// A step with the server, given up at once when asked to stop: the session is dropped with it.
async fn step<T, E>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Ended>
where
    Ended: From<E>,
{
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Ended::Stopped),
        result = work => Ok(result?),
    }
}

/// Waits until somebody has signed in, where somebody may.
async fn rings(bell: Option<Arc<Notify>>) {
    match bell {
        Some(bell) => bell.notified().await,
        None => std::future::pending().await,
    }
}

fn may_wait(account: &Account, mailbox: &dyn Mailbox, pass: &Pass) -> Option<OwnedSemaphorePermit> {
    if account.idle && mailbox.can_wait() { pass.may_wait() } else { None }
}

fn is_left_alone(account: &Account, entry: &Entry, linked: Option<Timestamp>) -> bool {
    let arrived_before =
        |instant: Timestamp| entry.arrived.is_some_and(|arrived| arrived < instant);
    match (account.since, linked) {
        (Since::All, _) => false,
        (Since::Date(date), _) => arrived_before(date),
        (Since::Linked, None) => true,
        (Since::Linked, Some(linked)) => {
            linked.checked_sub(RELINK_MARGIN).is_ok_and(arrived_before)
        }
    }
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

/// Bytes we will hold of a mail: of one that is too large only the header is fetched.
fn held_bytes(entry: &Entry, max_size_bytes: u64) -> u64 {
    match entry.size_bytes {
        Some(size) if size > max_size_bytes => mailbox::HEADER_BYTES_MAX,
        Some(size) => size,
        None => max_size_bytes,
    }
}

fn wait_at_most(account: &Account) -> Duration {
    match account.poll {
        Poll::Every(interval) => interval.min(WAIT_MAX),
        Poll::Cron(_) => WAIT_MAX,
    }
}

/// Rest until the next look. An interval is counted from the beginning of the last look.
fn until_next_poll(account: &Account, daemon: &Daemon, took: Duration) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(100);
    match &account.poll {
        Poll::Every(interval) => interval.saturating_sub(took).max(SHORTEST),
        Poll::Cron(expression) => {
            let zone = daemon.running.load().config.desk.time_zone.clone();
            let now = daemon.clock.now().to_zoned(zone);
            let next = expression
                .parse::<croner::Cron>()
                .ok()
                .and_then(|cron| cron.find_next_occurrence(&now, false).ok());
            // `compile` refuses expressions that never come true.
            next.and_then(|next| Duration::try_from(next.timestamp() - now.timestamp()).ok())
                .unwrap_or(WAIT_MAX)
        }
    }
}

fn host_of(account: &Account, daemon: &Daemon) -> String {
    match &account.connection {
        Source::Imap { endpoint, .. }
        | Source::Pop3 { endpoint, .. }
        | Source::Graph { endpoint, .. } => daemon.secrets.text(&endpoint.host).unwrap_or_default(),
        Source::Maildir { path } => path.display().to_string(),
    }
}

/// Label of the protocol for metrics.
pub fn protocol(account: &Account) -> &'static str {
    match account.connection {
        Source::Imap { .. } => "imap",
        Source::Pop3 { .. } => "pop3",
        Source::Graph { .. } => "graph",
        Source::Maildir { .. } => "maildir",
    }
}

fn reason(error: &Ended) -> &'static str {
    match error {
        Ended::Mailbox(error) => error.label(),
        Ended::Store(_) => "store",
        Ended::Token(error) => error.why.label(),
        Ended::Stopped => "stopped",
    }
}

/// How long the server wants to be left alone, if it said so.
fn asked_to_wait(error: &Ended) -> Duration {
    match error {
        Ended::Mailbox(MailboxError::Busy { retry_after }) => (*retry_after).min(WAIT_MAX),
        Ended::Mailbox(_) | Ended::Store(_) | Ended::Token(_) | Ended::Stopped => Duration::ZERO,
    }
}

/// Whether the server took the login; `None` if the error does not say.
fn login_taken(error: &Ended) -> Option<bool> {
    match error {
        Ended::Mailbox(MailboxError::Login(_) | MailboxError::Secret(_)) => Some(false),
        Ended::Mailbox(MailboxError::Folder(_) | MailboxError::Refused { .. }) => Some(true),
        // A token that cannot be had is no login that was taken.
        Ended::Token(_) => Some(false),
        Ended::Mailbox(_) | Ended::Store(_) | Ended::Stopped => None,
    }
}

fn conditions_of(status: &mut ObjectStatus, error: &Ended, now: Timestamp) {
    let (reachable, authenticated, word) = match error {
        Ended::Mailbox(MailboxError::Connect(_)) => (Some(false), None, "ConnectFailed"),
        Ended::Mailbox(MailboxError::Tls { .. }) => (Some(false), None, "TlsFailed"),
        Ended::Mailbox(MailboxError::Login(_)) => (Some(true), Some(false), "LoginRefused"),
        Ended::Mailbox(MailboxError::Secret(_)) => (None, Some(false), "SecretMissing"),
        Ended::Mailbox(MailboxError::Folder(_)) => (Some(true), Some(true), "FolderMissing"),
        Ended::Mailbox(MailboxError::Refused { .. }) => (Some(true), Some(true), "CommandRefused"),
        Ended::Mailbox(MailboxError::Busy { .. }) => (Some(true), Some(true), "ServerBusy"),
        Ended::Mailbox(MailboxError::Protocol(_)) => (Some(true), None, "ProtocolViolation"),
        Ended::Mailbox(MailboxError::Timeout(_)) => (Some(false), None, "Timeout"),
        Ended::Mailbox(MailboxError::Lost(_)) => (Some(false), None, "ConnectionLost"),
        Ended::Mailbox(MailboxError::Unsupported(_)) => (None, None, "Unsupported"),
        Ended::Store(_) => (None, None, "StoreFailed"),
        Ended::Token(error) => (None, Some(false), error.why.reason()),
        Ended::Stopped => (None, None, "Stopped"),
    };
    let message = error.to_string();
    status.set(ConditionKind::Reachable, reachable, word, &message, now);
    status.set(ConditionKind::Authenticated, authenticated, word, &message, now);
    status.set(ConditionKind::Ready, Some(false), word, &message, now);
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
        let batches = batches(entries, 8 * 1024 * 1024, mailbox::FETCH_MAILS_MAX);
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
