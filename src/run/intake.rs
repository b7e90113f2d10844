//! The two commits of a mail: make the bytes safe, judge, record what comes of it.
//!
//! ```text
//! spool    commit 1: bytes and location                  before anybody parses them
//! judge    parse and decide what needs no facts          off the async threads
//! record   commit 2: ticket, ledger, owed mails          THE INSTANT THAT COUNTS
//! ```
//! Whoever calls `take` tells the server only after it returned.

mod deadline;
mod sentence;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::deadline::Deadline;
use super::daemon::Daemon;
use crate::core::config::{Account, Config, Oversize, Switch};
use crate::core::intake::{self, Judgement, Outcome};
use crate::core::mail::{self, Digest, Location, Oddity};
use crate::faultpoint;
use crate::store::{MailId, Mark, Recorded, Spool, Spooled, StoreError, ToRecord};
use crate::threads;

/// A mail that has ended the process this often while it was judged is quarantined without being
/// parsed again.
pub const ATTEMPTS_MAX: u32 = 2;
/// What judging one mail may take; the limits of `core::mail` keep all known ones far below.
const JUDGED_WITHIN: Deadline = Deadline { tick: Duration::from_secs(1), ticks: 10 };

/// Takes a batch of fetched mails in: both commits. After `Ok` the server may be told.
///
/// `turn` ends when the batch before is recorded: batches are made safe and judged side by side,
/// and recorded in the order of the mailbox. If it ends with an error, so does this.
pub async fn take(
    daemon: &Daemon,
    account: &Arc<Account>,
    batch: Vec<Spool>,
    turn: impl Future<Output = Result<(), StoreError>>,
) -> Result<Vec<Recorded>, StoreError> {
    let bytes: Vec<Arc<Vec<u8>>> = batch.iter().map(|mail| mail.raw.clone()).collect();
    let started = Instant::now();
    let spooled = daemon.store.spool(&account.name, batch).await?;
    daemon.metrics.intake_stage("spool", started.elapsed().as_secs_f64());
    finish(daemon, account, spooled.into_iter().zip(bytes).collect(), turn).await
}

/// Takes in what a crash, or a commit that failed, left between the two commits.
pub async fn resume(daemon: &Daemon, account: &Arc<Account>) -> Result<Vec<Recorded>, StoreError> {
    let mut left = Vec::new();
    let (store, name) = (daemon.store.clone(), account.name.clone());
    for spooled in threads::STORE.run(move || store.spooled(&name)).await? {
        let store = daemon.store.clone();
        let digest = spooled.digest;
        match threads::STORE.run(move || store.raw(&digest)).await? {
            Some(raw) => left.push((spooled, Arc::new(raw))),
            None => tracing::error!(account = account.name, "bytes of a spooled mail are missing"),
        }
    }
    if left.is_empty() {
        return Ok(Vec::new());
    }
    tracing::info!(account = account.name, mails = left.len(), "taking in what was left half-done");
    faultpoint!("resumed");
    finish(daemon, account, left, std::future::ready(Ok(()))).await
}

/// Notes in quarantine that the server lists a mail and does not give it.
pub async fn give_up(
    daemon: &Daemon,
    account: &str,
    location: &Location,
    reason: String,
) -> Result<(), StoreError> {
    let now = daemon.clock.now();
    let recorded = daemon.store.give_up(account, location.clone(), reason, now).await?;
    let config = daemon.running.load().config.clone();
    report(daemon, &config, account, std::slice::from_ref(&recorded));
    Ok(())
}

/// Judges and records a quarantined mail once more because a person released it.
pub async fn release(
    daemon: &Daemon,
    account: &Arc<Account>,
    mail: MailId,
    location: Location,
    raw: Vec<u8>,
) -> Result<Recorded, StoreError> {
    let config = daemon.running.load().config.clone();
    let digest = Digest::of(&raw);
    let (judged_config, judged_account) = (config.clone(), account.clone());
    let judgement = threads::STORE
        .run(move || judge(&judged_config, &judged_account, &raw, false).map(release_judgement))
        .await;
    let recorded = daemon
        .store
        .record(vec![ToRecord {
            config: config.clone(),
            account: account.clone(),
            location,
            digest,
            judgement,
            now: daemon.clock.now(),
            released: Some(mail),
        }])
        .await?;
    let recorded = recorded.into_iter().next().expect("one answer for each mail");
    report(daemon, &config, &account.name, std::slice::from_ref(&recorded));
    Ok(recorded)
}

/// A person has looked at it: what sent it to quarantine counts no more.
fn release_judgement(mut judgement: Box<Judgement>) -> Box<Judgement> {
    judgement.quarantine = None;
    judgement
}

async fn finish(
    daemon: &Daemon,
    account: &Arc<Account>,
    mails: Vec<(Spooled, Arc<Vec<u8>>)>,
    turn: impl Future<Output = Result<(), StoreError>>,
) -> Result<Vec<Recorded>, StoreError> {
    // The revision is fixed here: a mail in progress finishes under the one it began with.
    let config = daemon.running.load().config.clone();
    let started = Instant::now();
    let judged = judge_all(daemon, &config, account, mails).await?;
    daemon.metrics.intake_stage("judge", started.elapsed().as_secs_f64());
    faultpoint!("judged");
    let now = daemon.clock.now();
    let to_record = judged
        .into_iter()
        .map(|(spooled, judgement)| ToRecord {
            config: config.clone(),
            account: account.clone(),
            location: spooled.location,
            digest: spooled.digest,
            judgement,
            now,
            released: None,
        })
        .collect();
    turn.await?;
    let started = Instant::now();
    let recorded = daemon.store.record(to_record).await?;
    daemon.metrics.intake_stage("record", started.elapsed().as_secs_f64());
    report(daemon, &config, &account.name, &recorded);
    Ok(recorded)
}

type Judgeable = (Spooled, Arc<Vec<u8>>);
type Judged = Result<Box<Judgement>, String>;

/// Judges mails one after the other on a thread. One that takes too long goes to quarantine, and
/// those behind it to another thread.
async fn judge_all(
    daemon: &Daemon,
    config: &Arc<Config>,
    account: &Arc<Account>,
    mails: Vec<Judgeable>,
) -> Result<Vec<(Spooled, Judged)>, StoreError> {
    let mails: Arc<[Judgeable]> = mails.into();
    let mut judged: Vec<Judged> = Vec::with_capacity(mails.len());
    while judged.len() < mails.len() {
        let (first, mark) = (judged.len(), daemon.store.mark()?);
        let (config, account, todo) = (config.clone(), account.clone(), mails.clone());
        let one = move |place: usize| judge_one(&config, &account, &mark, &todo[first + place]);
        let pieces = mails.len() - first;
        for done in deadline::in_order(&threads::STORE, pieces, JUDGED_WITHIN, one).await {
            judged.push(done?);
        }
        if judged.len() < mails.len() {
            judged.push(Err(format!("judging it takes more than {} s", JUDGED_WITHIN.ticks)));
        }
    }
    let spooled = mails.iter().map(|(spooled, _)| spooled.clone());
    Ok(spooled.zip(judged).collect())
}

fn judge_one(
    config: &Config,
    account: &Account,
    mark: &Mark,
    (spooled, raw): &Judgeable,
) -> Result<Judged, StoreError> {
    if spooled.attempts >= ATTEMPTS_MAX {
        return Ok(Err(format!("judging it ended the process {ATTEMPTS_MAX} times")));
    }
    mark.set(&spooled.digest)?;
    faultpoint!("judge");
    Ok(judge(config, account, raw, spooled.headers_only))
}

/// Scans, parses and judges one mail; the error is the reason for its quarantine.
fn judge(
    config: &Config,
    account: &Account,
    raw: &[u8],
    headers_only: bool,
) -> Result<Box<Judgement>, String> {
    if headers_only && account.oversize == Oversize::Quarantine {
        return Err("it is larger than the account takes; only its header was fetched".to_owned());
    }
    mail::scan(raw).map_err(|refusal| refusal.to_string())?;
    catch_unwind(AssertUnwindSafe(|| {
        let mut mail = mail::parse(raw);
        if headers_only {
            mail.oddities.push(Oddity::HeadersOnly);
        }
        Box::new(intake::judge(config, account, &mail).with_files(raw))
    }))
    .map_err(|_| "the parser failed on it".to_owned())
}

/// One clear line per mail, and the metrics.
fn report(daemon: &Daemon, config: &Config, account: &str, recorded: &[Recorded]) {
    let disabled = |queue: &&String| {
        config.queues.get(*queue).is_some_and(|queue| queue.state == Switch::Disabled)
    };
    for mail in recorded {
        daemon.metrics.intake(mail.outcome.label());
        if let Some(key) = mail.duplicate {
            daemon.metrics.duplicate(key);
        }
        let new = mail.queue.as_ref().filter(|_| mail.outcome == Outcome::Created);
        if let Some(queue) = new.filter(disabled) {
            daemon.metrics.disabled_queue(queue);
        }
        if let Some(by) = mail.routed_by {
            daemon.metrics.routed(by);
        }
        for filter in &mail.filters {
            daemon.metrics.filter_matched(filter);
        }
        if let Some(reason) = mail.suppressed {
            daemon.metrics.auto_reply("any", reason);
        }
        daemon.metrics.owing(&mail.owing);
        line(account, mail);
    }
}

/// The sentence says it to people, the fields to programs.
fn line(account: &str, mail: &Recorded) {
    let why: Vec<String> =
        mail.why.iter().map(|why| format!("{}: {}", why.step, why.text)).collect();
    let outcome = mail.outcome.label();
    let ticket = mail.ticket.as_deref().unwrap_or("-");
    let (id, why, said) = (mail.mail.0, why.join("; "), sentence::sentence(mail));
    match &mail.outcome {
        Outcome::Quarantined { reason } => {
            tracing::warn!(target: "postroom::mail", account, outcome, mail = id, reason, "{said}");
        }
        Outcome::Created
        | Outcome::FollowUp
        | Outcome::Rejected
        | Outcome::Bounce
        | Outcome::Ignored
        | Outcome::Duplicate => {
            tracing::info!(target: "postroom::mail", account, outcome, ticket, mail = id, why, "{said}");
        }
    }
}
