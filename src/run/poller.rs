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

mod failing;
mod link;
mod opening;
mod pace;
mod report;
mod sizes;
mod take;
mod telling;
mod transfer;
mod unchanged;
mod ungiven;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::ExposeSecret;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::daemon::Daemon;
use super::declared::Declared;
use super::gate::{Gate, Pass, Standing};
use super::intake;
use super::tokens::{Holder, TokenError};
use crate::core::config::{Account, Source};
use crate::core::mail::Location;
use crate::faultpoint;
use crate::mailbox::{self, Entry, Mailbox, MailboxError, Scope, Woken};
use crate::store::{Listed, StoreError};

pub use failing::{Failing, LONG_AFTER};
use opening::{LATE_AFTER, opening};
use pace::wait_at_most;
use report::protocol;
pub use sizes::Sizes;
use telling::Telling;
pub use unchanged::{LIST_EVERY, Unchanged};
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
    /// Mails that are larger than the server announces.
    pub sizes: Sizes,
    /// The last look after which nothing was left to do.
    pub unchanged: Unchanged,
    /// What the server said when it refused to move mails; `None` if it did not.
    pub refused: Option<String>,
    /// Whether it was said that deleted mails stay in the folder.
    pub warned_of_marked: bool,
    /// Mails of the present page that it did not give.
    pub missing: Vec<Entry>,
    /// Whether it gave all mails of the last page.
    pub gave_all: bool,
    /// Sessions that failed since the last one that did not.
    pub failures: u32,
    /// For how long that has been so, and at which mail.
    pub failing: Failing,
    /// Whether the last transfer was slow.
    pub slow: bool,
    /// How long the server took to let us in the last time; `None` before the first time.
    pub opened: Option<Duration>,
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
    /// The server ended a session that it had held for a while.
    #[error("the server closed the session")]
    Closed,
}

/// Runs until asked to stop. The poller is boxed because a future keeps its arguments twice.
pub async fn run(mut poller: Box<Poller>) {
    while !poller.stop.is_cancelled() {
        let account = poller.declared.begin();
        let began = Instant::now();
        poller.failing.begin();
        let result = poller.turn(&account).await;
        if matches!(result, Err(Ended::Mailbox(MailboxError::Login(_)))) {
            poller.distrust_token(&account).await;
        }
        let pause = poller.after_session(&account, result, began.elapsed());
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
        let (mailbox, pass) = self.enter(account).await?;
        Box::pin(self.session(account, mailbox, pass)).await
    }

    /// Waits for a place, and for the server.
    async fn enter(&mut self, account: &Account) -> Result<(Box<dyn Mailbox>, Pass), Ended> {
        loop {
            let mut pass = self.admission(account).await?;
            let began = Instant::now();
            let open = Box::pin(self.open(account));
            let opened = opening(self.standing(), &mut pass, open).await;
            // Who is late without a place for it goes to the end of the other line.
            self.opened = Some(began.elapsed());
            if let Some(mailbox) = opened? {
                return Ok((mailbox, pass));
            }
        }
    }

    /// One session: a look, and more of them while the server tells us of news.
    async fn session(
        &mut self,
        account: &Arc<Account>,
        mut mailbox: Box<dyn Mailbox>,
        mut pass: Pass,
    ) -> Result<(), Ended> {
        let stop = self.stop.clone();
        faultpoint!("opened");
        if let Some(expires) = mailbox.certificate_expires() {
            self.daemon.metrics.tls_expiry("mailAccount", &account.name, expires.as_second());
        }
        let (mut account, mut scope) = (account.clone(), Scope::All);
        loop {
            let confirmed = self.round(&account, mailbox.as_mut(), scope).await?;
            if !(account.idle && mailbox.can_wait() && pass.may_wait()) {
                step(&stop, mailbox.close()).await?;
                faultpoint!("closed");
                self.daemon.store.done(&account.name, confirmed).await?;
                faultpoint!("confirmed");
                return Ok(());
            }
            self.daemon.store.done(&account.name, confirmed).await?;
            self.note_success(&account, Some(wait_at_most(&account)));
            scope = self.news(&account, mailbox.as_mut()).await?;
            // What is declared otherwise is no reason to dial again: the connection is the same.
            let declared = self.declared.now();
            if !Arc::ptr_eq(&declared, &account) {
                (account, scope) = (declared, Scope::All);
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
        if let Ok(mailbox) = &mut opened {
            tokens.accepted(&config, &holder).await;
            let tokens = tokens.clone();
            mailbox.renew_with(Arc::new(move |refused| {
                let (tokens, config, holder) = (tokens.clone(), config.clone(), holder.clone());
                Box::pin(async move { tokens.instead_of(&config, &holder, &refused).await.ok() })
            }));
        }
        opened
    }

    fn standing(&self) -> Standing {
        let late = self.opened.is_some_and(|took| took >= LATE_AFTER);
        match self.opened {
            _ if self.failures > 0 || self.slow || late => Standing::Doubtful,
            Some(_) => Standing::Good,
            None => Standing::New,
        }
    }

    async fn admission(&self, account: &Account) -> Result<Pass, Ended> {
        let per_host = self.daemon.running.load().config.limits.connections_per_host;
        let host = host_of(account, &self.daemon);
        tokio::select! {
            () = self.stop.cancelled() => Err(Ended::Stopped),
            pass = self.gate.session(&host, per_host, self.standing()) => Ok(pass),
        }
    }

    /// Waits for news and says how much to look at then.
    async fn news(&mut self, account: &Account, mailbox: &mut dyn Mailbox) -> Result<Scope, Ended> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Ended::Stopped),
            () = self.declared.rung() => {
                self.unchanged.forget();
                Ok(Scope::All)
            }
            woken = mailbox.wait(wait_at_most(account)) => Ok(match woken? {
                Woken::News => Scope::News,
                Woken::Timeout => Scope::All,
                Woken::Closed => return Err(Ended::Closed),
            }),
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
        self.look(account, mailbox, scope).await?;
        faultpoint!("listed");
        let now = self.daemon.clock.now();
        if scope == Scope::All && self.unchanged.holds(account, mailbox.state(), now) {
            mailbox.pass_over();
            tracing::debug!(account = account.name, "nothing has come or gone since the last look");
            self.daemon.metrics.poll_seconds(protocol(account), began.elapsed().as_secs_f64());
            return Ok(Vec::new());
        }
        self.unchanged.forget();
        let mut listed = self.is_to_compare(scope).then(Listed::default);
        let mut telling = Telling::new(account);
        let mut taken = 0;
        let mut given = true;
        loop {
            let page = step(&self.stop, mailbox.page()).await?;
            if page.is_empty() {
                break;
            }
            if let Some(listed) = &mut listed {
                page.iter().for_each(|entry| listed.add(&entry.location));
            }
            taken += self.take_page(account, mailbox, page, &mut telling).await?;
            given &= self.gave_all;
        }
        // What an incomplete look leaves out is not gone.
        if let Some(listed) = listed.filter(|_| mailbox.is_complete()) {
            self.compare(account, listed).await?;
        }
        self.warn_of_marked(account, mailbox);
        self.note_refusal(account, scope, &mut telling);
        if scope == Scope::All && taken == 0 && given && !telling.told && mailbox.is_complete() {
            self.unchanged.note(account, mailbox.state(), now);
        }
        if taken > 0 {
            let seconds = began.elapsed().as_secs_f64();
            tracing::info!(account = account.name, mails = taken, seconds, "mailbox read");
        }
        self.daemon.metrics.poll_seconds(protocol(account), began.elapsed().as_secs_f64());
        Ok(telling.confirmed)
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
            // A look that was asked for is a real one.
            () = self.declared.rung() => self.unchanged.forget(),
            () = tokio::time::sleep(pause) => {}
        }
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

fn host_of(account: &Account, daemon: &Daemon) -> String {
    match &account.connection {
        Source::Imap { endpoint, .. }
        | Source::Pop3 { endpoint, .. }
        | Source::Graph { endpoint, .. } => daemon.secrets.text(&endpoint.host).unwrap_or_default(),
        Source::Maildir { path } => path.display().to_string(),
    }
}
