//! Tells webhooks what they are owed: one task, one message at a time for each webhook.
//!
//! ```text
//! first     the oldest message that is due for a webhook            it is owed
//! tell      POST, signed                                            told, and perhaps heard
//! commit    sent, later, or given up                                THE INSTANT THAT COUNTS
//! ```
//! If we die between the answer and the commit, the message goes again with the same identity.
//!
//! Architecture invariant: a message leaves by a committed `Sent` or `Dead` only; what an attempt
//! means is said by `core::outgoing`. A webhook that fails keeps no other one waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::backoff;
use super::daemon::Daemon;
use super::outbox::lane::Lane;
use crate::core::config::{Config, Switch, Webhook};
use crate::core::outgoing::{Attempt, Delivery, GIVE_UP_AFTER_SECS, RETRY_SECS_MAX};
use crate::core::webhook::{OwedHook, OwedHookId, after, signature};
use crate::faultpoint;
use crate::net::http::{Client, HttpError, Method, Request};
use crate::net::reach::Reach;
use crate::secret::Secrets;
use crate::store::StoreError;
use crate::threads;

/// Time for one message.
const WITHIN: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read; nothing in it counts.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Longest sleep: changed declarations are noticed by then.
const NAP_MAX: Duration = Duration::from_secs(10);
/// Pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether messages are owed to webhooks that are no longer declared.
const FORGET_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Runs until asked to stop; messages on their way are finished and their results committed.
pub async fn run(daemon: Daemon, stop: CancellationToken) {
    let bell = daemon.store.hook_bell();
    let mut webhooks = Webhooks {
        daemon,
        lanes: BTreeMap::new(),
        clients: BTreeMap::new(),
        transfers: JoinSet::new(),
        forgot: None,
    };
    while !stop.is_cancelled() {
        // Registered before the look, so that what is enqueued during it is not missed.
        let mut rung = std::pin::pin!(bell.notified());
        rung.as_mut().enable();
        let nap = match webhooks.turn().await {
            Ok(nap) => nap,
            Err(error) => {
                tracing::warn!(%error, "webhooks: the store does not answer, messages wait");
                STORE_PAUSE
            }
        };
        tokio::select! {
            Some(told) = webhooks.transfers.join_next() => webhooks.conclude(told).await,
            () = &mut rung => {}
            () = tokio::time::sleep(nap) => {}
            () = stop.cancelled() => {}
        }
    }
    while let Some(told) = webhooks.transfers.join_next().await {
        webhooks.conclude(told).await;
    }
}

struct Webhooks {
    daemon: Daemon,
    /// How the webhooks are doing; `busy` while one is told.
    lanes: BTreeMap<String, Lane>,
    /// With what they were declared when it was made.
    clients: BTreeMap<String, (Webhook, Arc<Client>)>,
    transfers: JoinSet<Told>,
    /// When messages to those no longer declared were last looked for.
    forgot: Option<Timestamp>,
}

/// What a transfer hands back. A panic hands back nothing: its webhook is freed by its name.
struct Told {
    webhook: String,
    hook: OwedHook,
    attempt: Attempt,
}

impl Webhooks {
    /// Starts what can be started now and says how long there is nothing more to do.
    async fn turn(&mut self) -> Result<Duration, StoreError> {
        let now = self.daemon.clock.now();
        let config = self.daemon.running.load().config.clone();
        self.lanes.retain(|name, lane| lane.busy > 0 || config.webhooks.contains_key(name));
        self.clients.retain(|name, _| config.webhooks.contains_key(name));
        self.forget(&config, now).await?;
        let mut nap = NAP_MAX;
        for webhook in config.webhooks.values() {
            if webhook.state == Switch::Enabled {
                nap = nap.min(self.attend(webhook, now).await?);
            }
        }
        Ok(nap)
    }

    /// Tells a webhook its next message, if its time has come. Answers how long it can wait.
    async fn attend(&mut self, webhook: &Webhook, now: Timestamp) -> Result<Duration, StoreError> {
        let lane = self.lanes.entry(webhook.name.clone()).or_default();
        if lane.busy > 0 {
            return Ok(NAP_MAX);
        }
        if let Some(until) = lane.paused(now) {
            return Ok(until_then(until, now));
        }
        let (store, name) = (self.daemon.store.clone(), webhook.name.clone());
        let Some(hook) = threads::STORE.run(move || store.first_hook(&name)).await? else {
            return Ok(NAP_MAX);
        };
        match &hook.delivery {
            Delivery::Due { at, .. } if waits(*at, now) => return Ok(until_then(*at, now)),
            Delivery::Due { .. } | Delivery::Sent { .. } | Delivery::Dead { .. } => {}
        }
        lane.busy = 1;
        let client = self.client(webhook);
        let telling =
            tell(client, self.daemon.secrets.clone(), webhook.clone(), hook, now.as_second());
        self.transfers.spawn(telling);
        Ok(NAP_MAX)
    }

    /// A client with kept connections, made anew when the declaration changed.
    fn client(&mut self, webhook: &Webhook) -> Arc<Client> {
        match self.clients.get(&webhook.name) {
            Some((declared, client)) if declared == webhook => client.clone(),
            Some(_) | None => {
                let reach = if webhook.allow_private { Reach::Private } else { Reach::Public };
                let client = Arc::new(Client::new(webhook.tls.clone(), reach));
                self.clients.insert(webhook.name.clone(), (webhook.clone(), client.clone()));
                client
            }
        }
    }

    /// Commits what came of an attempt.
    async fn conclude(&mut self, told: Result<Told, JoinError>) {
        let Told { webhook, hook, attempt } = match told {
            Ok(told) => told,
            Err(error) => {
                tracing::error!(%error, "webhooks: telling one panicked");
                // Which one is not known; all are tried again with their next message.
                self.lanes.values_mut().for_each(|lane| lane.busy = 0);
                return;
            }
        };
        let now = self.daemon.clock.now();
        let lane = self.lanes.entry(webhook.clone()).or_default();
        lane.busy = 0;
        let result = match &attempt {
            Attempt::Sent => {
                lane.worked();
                "sent"
            }
            Attempt::Permanent(_) => {
                lane.worked();
                "permanent"
            }
            Attempt::Temporary(message)
            | Attempt::InDoubt { message, .. }
            | Attempt::ServerDown { message, .. } => {
                tracing::warn!(webhook, message, "webhooks: it could not be told");
                lane.failed("webhook", message, now, backoff::dice());
                "temporary"
            }
        };
        self.daemon.metrics.webhook_attempt(&webhook, result);
        let delivery = after(&hook, &attempt, now, backoff::dice());
        if let Delivery::Dead { reason, .. } = &delivery {
            tracing::warn!(
                webhook,
                message = hook.message.message_id,
                reason,
                "webhooks: given up"
            );
        }
        faultpoint!("webhooks.told");
        // If this fails, the message is as due as before and goes again with the same identity.
        if let Err(error) = self.daemon.store.hooks_delivered(vec![(hook.id, delivery)]).await {
            tracing::warn!(%error, "webhooks: a result could not be committed");
        }
    }

    /// Gives up what is owed for long to webhooks that are no longer declared.
    async fn forget(&mut self, config: &Config, now: Timestamp) -> Result<(), StoreError> {
        if self.forgot.is_some_and(|last| now.duration_since(last).abs() < FORGET_EVERY) {
            return Ok(());
        }
        let (store, oldest) = (self.daemon.store.clone(), self.daemon.store.clone());
        for name in threads::STORE.run(move || store.hook_creditors()).await? {
            if config.webhooks.contains_key(&name) {
                continue;
            }
            loop {
                let (store, name) = (oldest.clone(), name.clone());
                let Some(hook) = threads::STORE.run(move || store.first_hook(&name)).await? else {
                    break;
                };
                if now.duration_since(hook.created).as_secs() < GIVE_UP_AFTER_SECS {
                    break;
                }
                let reason = "its webhook is no longer declared".to_owned();
                let given_up: (OwedHookId, Delivery) =
                    (hook.id, Delivery::Dead { at: now, reason });
                oldest.hooks_delivered(vec![given_up]).await?;
            }
        }
        self.forgot = Some(now);
        Ok(())
    }
}

/// Sends one message (Standard Webhooks, "Delivery").
async fn tell(
    client: Arc<Client>,
    secrets: Secrets,
    webhook: Webhook,
    hook: OwedHook,
    seconds: i64,
) -> Told {
    let request = request(&secrets, &webhook, &hook, seconds);
    faultpoint!("webhooks.at_hand", at_hand: &(&webhook, &request, &secrets));
    let attempt = match request {
        Ok(request) => judge(client.ask(request).await.map(|answer| answer.status.as_u16())),
        Err(message) => Attempt::Temporary(message),
    };
    Told { webhook: webhook.name, hook, attempt }
}

fn request(
    secrets: &Secrets,
    webhook: &Webhook,
    hook: &OwedHook,
    seconds: i64,
) -> Result<Request, String> {
    let url = secrets.text(&webhook.url).map_err(|error| error.to_string())?;
    let secret = secrets.read(&webhook.secret).map_err(|error| error.to_string())?;
    let message = &hook.message;
    let signed = signature(secret.expose_secret(), &message.message_id, seconds, &message.body);
    Ok(Request::new(Method::POST, url)
        .body("application/json", message.body.clone())
        .header("user-agent", concat!("Postroom/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", &message.message_id)
        .header("webhook-timestamp", &seconds.to_string())
        .header("webhook-signature", &signed)
        .answer_max(ANSWER_BYTES_MAX)
        .within(WITHIN))
}

/// Everything but 2xx is "later", because most of it is mended by somebody within days; 410 is a
/// program that wants nothing more.
fn judge(answer: Result<u16, HttpError>) -> Attempt {
    match answer {
        Ok(200..=299) => Attempt::Sent,
        Ok(410) => Attempt::Permanent("410: it wants to be told nothing more".to_owned()),
        Ok(status) => Attempt::Temporary(format!("it answered {status}")),
        Err(error) => Attempt::Temporary(error.to_string()),
    }
}

/// Whether a message waits for its time. One that is further ahead than any wait was set by a clock
/// that has been turned back since.
fn waits(at: Timestamp, now: Timestamp) -> bool {
    let ahead = at.duration_since(now);
    ahead > SignedDuration::ZERO && ahead <= SignedDuration::from_secs(RETRY_SECS_MAX)
}

fn until_then(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default().max(Duration::from_millis(1))
}
