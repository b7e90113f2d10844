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
pub mod suspect;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::deadline::Deadline;
use self::suspect::{SUSPECT_AFTER, Suspect, Verdict};
use super::daemon::{Daemon, Running};
use crate::core::config::{Account, Config, Oversize, Switch};
use crate::core::intake::{self, Heading, Judgement, Outcome};
use crate::core::mail::{self, Digest, Location, Oddity};
use crate::faultpoint;
use crate::store::{MailId, Mark, Recorded, Spool, Spooled, StoreError, ToRecord, Tried, Unjudged};
use crate::threads;

/// What judging one mail may take; the limits of `core::mail` keep all known ones far below.
const JUDGED_WITHIN: Deadline = Deadline { tick: Duration::from_secs(1), ticks: 10 };

/// Takes a batch of fetched mails in: both commits. After `Ok` the server may be told of those that
/// were recorded; a suspect that could not be judged stays in the spool.
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
    let running = daemon.running.load_full();
    let config = running.config.clone();
    let digest = Digest::of(&raw);
    // It may lie there because it ends the process.
    let suspect = Suspect { account: &account.name, raw: &raw, headers_only: false };
    let judgement = match suspect::attempt(daemon, &running, suspect, None).await {
        Verdict::Deadly(unjudged) => Err(unjudged),
        Verdict::Healthy | Verdict::Unknown(_) => {
            let (config, account) = (config.clone(), account.clone());
            let judged = move || judge(&config, &account, &raw, false).map(release_judgement);
            threads::STORE.run(judged).await
        }
    };
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
    let running = daemon.running.load_full();
    let config = running.config.clone();
    let started = Instant::now();
    let judged = judge_all(daemon, &running, account, mails).await?;
    daemon.metrics.intake_stage("judge", started.elapsed().as_secs_f64());
    faultpoint!("judged");
    let now = daemon.clock.now();
    let to_record = |(spooled, judged): (Spooled, Judged)| {
        let judgement = match judged {
            Judged::Fit(judgement) => Ok(judgement),
            Judged::Unfit(unjudged) => Err(unjudged),
            Judged::Later => return None,
        };
        Some(ToRecord {
            config: config.clone(),
            account: account.clone(),
            location: spooled.location,
            digest: spooled.digest,
            judgement,
            now,
            released: None,
        })
    };
    let to_record = judged.into_iter().filter_map(to_record).collect();
    turn.await?;
    let started = Instant::now();
    let recorded = daemon.store.record(to_record).await?;
    daemon.metrics.intake_stage("record", started.elapsed().as_secs_f64());
    report(daemon, &config, &account.name, &recorded);
    Ok(recorded)
}

type Judgeable = (Spooled, Arc<Vec<u8>>);

/// What came of judging one mail.
enum Judged {
    /// It can be settled.
    Fit(Box<Judgement>),
    /// It is quarantined.
    Unfit(Unjudged),
    /// It stays in the spool: see [`Verdict::Unknown`].
    Later,
}

/// Judges mails, suspects with care: before and after, in a process of their own.
async fn judge_all(
    daemon: &Daemon,
    running: &Arc<Running>,
    account: &Arc<Account>,
    mails: Vec<Judgeable>,
) -> Result<Vec<(Spooled, Judged)>, StoreError> {
    let mut judged: Vec<Option<Judged>> = Vec::with_capacity(mails.len());
    for mail in &mails {
        judged.push(match is_suspect(mail) {
            true => try_suspect(daemon, running, account, mail, None).await,
            false => None,
        });
    }
    let unjudged = mails.iter().zip(&judged).filter(|(_, judged)| judged.is_none());
    let unjudged: Arc<[Judgeable]> = unjudged.map(|(mail, _)| mail.clone()).collect();
    let here = judge_here(daemon, &running.config, account, unjudged).await?;
    let places = judged.iter_mut().filter(|judged| judged.is_none());
    places.zip(here).for_each(|(place, judged)| *place = Some(judged));
    let mut all = Vec::with_capacity(mails.len());
    for (mail, judged) in mails.into_iter().zip(judged) {
        let judged = match judged.expect("every mail was judged by now") {
            Judged::Fit(judgement) if is_suspect(&mail) => {
                settle_suspect(daemon, running, account, &mail, judgement).await?
            }
            judged => judged,
        };
        all.push((mail.0, judged));
    }
    Ok(all)
}

fn is_suspect((spooled, _): &Judgeable) -> bool {
    spooled.attempts >= SUSPECT_AFTER
}

/// `None` if the mail is healthy.
async fn try_suspect(
    daemon: &Daemon,
    running: &Running,
    account: &Account,
    (spooled, raw): &Judgeable,
    facts: Option<intake::Facts>,
) -> Option<Judged> {
    let (mail, attempts) = (spooled.location.0.as_str(), spooled.attempts);
    let suspect = Suspect { account: &account.name, raw, headers_only: spooled.headers_only };
    let settles = facts.is_some();
    let verdict = suspect::attempt(daemon, running, suspect, facts).await;
    match verdict {
        Verdict::Healthy if settles => {
            tracing::info!(
                account = account.name,
                mail,
                attempts,
                "a mail was in hand at {attempts} ends of the process and is healthy: something \
                 else ended it"
            );
            None
        }
        Verdict::Healthy => None,
        Verdict::Deadly(unjudged) => Some(Judged::Unfit(unjudged)),
        Verdict::Unknown(_) => Some(Judged::Later),
    }
}

/// Tries what becomes of a suspect with what the store knows, as recording it will.
async fn settle_suspect(
    daemon: &Daemon,
    running: &Running,
    account: &Account,
    mail: &Judgeable,
    judgement: Box<Judgement>,
) -> Result<Judged, StoreError> {
    let tried = Tried {
        account: account.name.clone(),
        judgement: Arc::new((*judgement).clone()),
        itself: None,
    };
    let now = daemon.clock.now();
    let facts = daemon.store.facts(running.config.clone(), vec![tried], now).await?;
    let deadly = try_suspect(daemon, running, account, mail, facts.into_iter().next()).await;
    Ok(deadly.unwrap_or(Judged::Fit(judgement)))
}

/// Judges mails one after the other on a thread. One that takes too long goes to quarantine, and
/// those behind it to another thread.
async fn judge_here(
    daemon: &Daemon,
    config: &Arc<Config>,
    account: &Arc<Account>,
    mails: Arc<[Judgeable]>,
) -> Result<Vec<Judged>, StoreError> {
    let mut judged: Vec<Judged> = Vec::with_capacity(mails.len());
    while judged.len() < mails.len() {
        let (first, mark) = (judged.len(), daemon.store.mark()?);
        let (config, account, todo) = (config.clone(), account.clone(), mails.clone());
        let one = move |place: usize| judge_one(&config, &account, &mark, &todo[first + place]);
        let pieces = mails.len() - first;
        for done in deadline::in_order(&threads::STORE, pieces, JUDGED_WITHIN, one).await {
            judged.push(done?);
        }
        if let Some((_, raw)) = mails.get(judged.len()) {
            let reason = format!("judging it takes more than {} s", JUDGED_WITHIN.ticks);
            judged.push(Judged::Unfit(Unjudged { reason, heading: Heading::as_written(raw) }));
        }
    }
    Ok(judged)
}

fn judge_one(
    config: &Config,
    account: &Account,
    mark: &Mark,
    (spooled, raw): &Judgeable,
) -> Result<Judged, StoreError> {
    mark.set(&spooled.digest)?;
    Ok(match judge(config, account, raw, spooled.headers_only) {
        Ok(judgement) => Judged::Fit(judgement),
        Err(unjudged) => Judged::Unfit(unjudged),
    })
}

/// Scans, parses and judges one mail; the error sends it to quarantine.
fn judge(
    config: &Config,
    account: &Account,
    raw: &[u8],
    headers_only: bool,
) -> Result<Box<Judgement>, Unjudged> {
    faultpoint!("judge", of: raw);
    let unjudged = |reason: String| Unjudged { reason, heading: Heading::decoded(raw) };
    if headers_only && account.oversize == Oversize::Quarantine {
        let reason = "it is larger than the account takes; only its header was fetched";
        return Err(unjudged(reason.to_owned()));
    }
    mail::scan(raw).map_err(|refusal| unjudged(refusal.to_string()))?;
    catch_unwind(AssertUnwindSafe(|| {
        let mut mail = mail::parse_for(config.desk.language, raw);
        if headers_only {
            mail.oddities.push(Oddity::HeadersOnly);
        }
        Box::new(intake::judge(config, account, &mail).with_files(raw))
    }))
    .map_err(|_| unjudged("the parser failed on it".to_owned()))
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
