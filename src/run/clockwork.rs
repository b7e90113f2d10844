//! What happens because time passed: locks run out, pending tickets wake up, old records go.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::daemon::Daemon;
use super::intake::blocking;
use crate::core::config::Config;
use crate::core::digest::{self, Due};
use crate::core::render;
use crate::core::ticket::{Actor, Command, Ticket};
use crate::store::StoreError;

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
        if now.duration_since(cleaned) >= CLEAN_EVERY {
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
    for (number, command) in due(daemon, &config, now).await? {
        let done = daemon.store.command(config.clone(), &number, vec![command], Actor::System, now);
        if let Err(error) = done.await {
            tracing::warn!(ticket = number, %error, "could not do what is due on a ticket");
        }
    }
    send_digests(daemon, &config, now).await?;
    measure(daemon).await
}

/// Sends the digests whose time has come.
async fn send_digests(
    daemon: &Daemon,
    config: &Arc<Config>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let store = daemon.store.clone();
    for (who, first) in blocking(move || store.digests()).await? {
        if let Due::Wait(_) = digest::due(config, &who, first, now) {
            continue;
        }
        match daemon.store.send_digest(config.clone(), &who, now).await {
            Ok(true) => daemon.metrics.notification(render::digest::NAME, "owed"),
            Ok(false) => {}
            Err(error) => tracing::warn!(user = who, %error, "could not send a digest"),
        }
    }
    Ok(())
}

async fn due(
    daemon: &Daemon,
    config: &Config,
    now: Timestamp,
) -> Result<Vec<(String, Command)>, StoreError> {
    let store = daemon.store.clone();
    let (locked, pending) =
        blocking(move || Ok::<_, StoreError>((store.locked()?, store.pending_over(now)?))).await?;
    let timed_out = locked.into_iter().filter(|ticket| lock_is_over(config, ticket, now));
    let timed_out = timed_out.map(|ticket| (ticket.number, Command::TimeOutLock));
    let woken = pending.into_iter().map(|ticket| (ticket.number, Command::ReachPending));
    Ok(timed_out.chain(woken).collect())
}

/// A lock runs out when nothing happened to the ticket for as long as its queue allows.
fn lock_is_over(config: &Config, ticket: &Ticket, now: Timestamp) -> bool {
    let limit = config.queues.get(&ticket.queue).and_then(|queue| queue.lock_timeout);
    let since = ticket.locked_since.map(|locked| locked.max(ticket.updated));
    match (limit.and_then(|limit| SignedDuration::try_from(limit).ok()), since) {
        (Some(limit), Some(since)) => now.duration_since(since) >= limit,
        (_, _) => false,
    }
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
    blocking(look).await
}
