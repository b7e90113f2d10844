//! What happens because time passed: locks run out, pending tickets wake up, old records go.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::daemon::Daemon;
use crate::core::config::Config;
use crate::core::digest::{self, Due};
use crate::core::render;
use crate::core::ticket::{Actor, Command, Ticket};
use crate::store::{Owing, Store, StoreError};
use crate::threads;

/// How often the clockwork looks.
pub const TICK: Duration = Duration::from_secs(15);
/// How often old records are removed.
pub const CLEAN_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Runs until asked to stop.
pub async fn run(daemon: Daemon, stop: CancellationToken) {
    let mut cleaned = Timestamp::UNIX_EPOCH;
    loop {
        let now = daemon.clock.now();
        if let Err(error) = tick(&daemon, now).await {
            tracing::warn!(%error, "could not do what is due");
        }
        // Whichever way the clock was turned.
        if now.duration_since(cleaned).abs() >= CLEAN_EVERY {
            match daemon.store.clean(now).await {
                Ok(_) => cleaned = now,
                Err(error) => tracing::warn!(%error, "could not remove old records"),
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// Does everything that is due at this instant.
pub async fn tick(daemon: &Daemon, now: Timestamp) -> Result<(), StoreError> {
    let config = daemon.running.load().config.clone();
    daemon.tokens.refresh_ahead(&config);
    daemon.tokens.look_ahead(&config).await;
    daemon.metrics.owing(&pass(&daemon.store, &config, now).await?);
    measure(daemon).await
}

/// Does to a store what is due at this instant; answers who is told because of it. What fails is
/// due again at the next pass.
pub async fn pass(
    store: &Store,
    config: &Arc<Config>,
    now: Timestamp,
) -> Result<Owing, StoreError> {
    let mut owing = Owing::default();
    for (number, command) in due(store, config, now).await? {
        let done = store.command(config.clone(), &number, vec![command], Actor::System, now);
        match done.await {
            Ok(carried) => owing.extend(carried.owing),
            Err(error) => {
                tracing::warn!(ticket = number, %error, "could not do what is due on a ticket");
            }
        }
    }
    let digests = send_digests(store, config, now).await?;
    let digest = || ("notification", render::digest::NAME.to_owned());
    owing.owed.extend((0..digests).map(|_| digest()));
    Ok(owing)
}

/// The first instant up to this one at which a pass finds something to do.
pub async fn next(
    store: &Store,
    config: &Config,
    until: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let reading = store.clone();
    let look = move || {
        let (locked, pending) = (reading.locked()?, reading.pending_over(until)?);
        Ok::<_, StoreError>((locked, pending, reading.digests()?))
    };
    let (locked, pending, digests) = threads::STORE.run(look).await?;
    let locks = locked.iter().filter_map(|ticket| lock_end(config, ticket));
    let pending = pending.iter().filter_map(|ticket| ticket.pending_until);
    let digests =
        digests.iter().map(|(who, first)| match digest::due(config, who, *first, *first) {
            Due::Wait(at) => at,
            Due::Send(_) | Due::Drop => *first,
        });
    Ok(locks.chain(pending).chain(digests).filter(|at| *at <= until).min())
}

/// Sends the digests whose time has come.
async fn send_digests(
    store: &Store,
    config: &Arc<Config>,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut sent = 0;
    let reading = store.clone();
    for (who, first) in threads::STORE.run(move || reading.digests()).await? {
        if let Due::Wait(_) = digest::due(config, &who, first, now) {
            continue;
        }
        match store.send_digest(config.clone(), &who, now).await {
            Ok(owed) => sent += usize::from(owed),
            Err(error) => tracing::warn!(user = who, %error, "could not send a digest"),
        }
    }
    Ok(sent)
}

async fn due(
    store: &Store,
    config: &Config,
    now: Timestamp,
) -> Result<Vec<(String, Command)>, StoreError> {
    let store = store.clone();
    let (locked, pending) = threads::STORE
        .run(move || Ok::<_, StoreError>((store.locked()?, store.pending_over(now)?)))
        .await?;
    let is_over = |ticket: &Ticket| lock_end(config, ticket).is_some_and(|end| now >= end);
    let timed_out = locked.into_iter().filter(is_over);
    let timed_out = timed_out.map(|ticket| (ticket.number, Command::TimeOutLock));
    let woken = pending.into_iter().map(|ticket| (ticket.number, Command::ReachPending));
    Ok(timed_out.chain(woken).collect())
}

/// A lock runs out when nothing happened to the ticket for as long as its queue allows.
fn lock_end(config: &Config, ticket: &Ticket) -> Option<Timestamp> {
    let limit = config.queues.get(&ticket.queue)?.lock_timeout?;
    let since = ticket.locked_since?.max(ticket.updated);
    since.checked_add(SignedDuration::try_from(limit).ok()?).ok()
}

/// Brings the gauges up to date that nobody else moves.
async fn measure(daemon: &Daemon) -> Result<(), StoreError> {
    let (store, metrics) = (daemon.store.clone(), daemon.metrics.clone());
    let look = move || {
        metrics.outbox(&store.outbox_counts()?);
        metrics.webhooks(&store.hook_counts()?);
        metrics.quarantine(store.quarantine_count()?);
        metrics.search_unread(store.search_unread()?);
        metrics.store_free(store.free_bytes()?);
        metrics.store_size(store.size_bytes()?);
        Ok(())
    };
    threads::STORE.run(look).await
}
