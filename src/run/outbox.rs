//! Sends the mail we owe: one task that hands due mails to servers and commits what came of them.
//!
//! Each turn looks at what is due, decides who gets what ([`assign`]), starts one transfer per
//! free connection, and writes all results that are there in one commit. A connection gets its
//! next mail only after the result of the one before is committed: if we die in between, one mail
//! per connection goes twice, with the same Message-ID, and none is lost.
//!
//! Architecture invariant: a mail leaves the outbox only by a committed `Sent` or `Dead`. What
//! becomes of a mail is `core::outgoing`'s decision, where it goes is [`assign`]'s; this file
//! carries out.

pub mod assign;
pub mod lane;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::core::address::Address;
use crate::core::config::{Config, SmtpServer, Switch};
use crate::core::outgoing::{
    Attempt, Delivery, Outgoing, OutgoingId, OutgoingKind, after, in_real_time,
};
use crate::core::ticket::{Actor, Command, TicketId};
use crate::faultpoint;
use crate::metrics::Metrics;
use crate::run::board::{Board, ConditionKind, Kind, ObjectStatus};
use crate::run::clock::Clock;
use crate::run::tokens::{Holder, TokenError, Tokens, Why};
use crate::secret::Secrets;
use crate::store::{CommandError, OutboxFilter, Store, StoreError};
use crate::transport::programs::Programs;
use crate::transport::{self, Connection, Earlier};
use assign::{Assignment, Pair, View, anybody_can_send, assign, pair};
use lane::Lane;

/// Due mails looked at in one turn, beside those in flight.
const WINDOW_MAILS: usize = 64;

/// The same when the first ones cannot go anywhere and others behind them might.
const WINDOW_MAILS_MAX: usize = 4096;

/// Rows of one page when all due mails are looked through.
const SURVEY_MAILS: usize = 256;

/// An unused connection is closed after this time, in seconds.
const IDLE_SECS: i64 = 30;

/// Longest sleep, in seconds: idle connections are closed and changed servers noticed by then.
const NAP_SECS_MAX: u64 = 30;

/// Pause after the store failed, in seconds.
const STORE_PAUSE_SECS: u64 = 1;

/// After so many working connections brought down, or pauses for a quota begun, a mail is treated as
/// refused for now. It must not keep a server from the other mails, whatever is the matter with it.
const STRIKES_MAX: u32 = 3;

/// A mail that waited longer than this may have been on its way before. Seconds.
const FRESH_SECS: i64 = 60;

/// The clock was turned back if it shows this much less than before, in seconds.
const TURNED_BACK_SECS: i64 = 60;

/// What the outbox needs.
pub struct OutboxParts {
    /// Where owed mails are.
    pub store: Store,
    /// The configuration that runs now, with the name of its revision.
    pub running: Arc<dyn Fn() -> (Arc<str>, Arc<Config>) + Send + Sync>,
    /// Where passwords are read.
    pub secrets: Secrets,
    /// Programs that may be run.
    pub programs: Programs,
    /// The host under which people reach the desk; servers are greeted with it.
    pub external_host: Option<String>,
    /// Where access tokens come from.
    pub tokens: Tokens,
    /// Where the condition of each server is shown.
    pub board: Arc<Board>,
    /// Where attempts are counted.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
}

/// Sends until asked to stop; a mail in transfer is finished and its result committed.
pub async fn run(parts: OutboxParts, stop: CancellationToken) {
    let bell = parts.store.outbox_bell();
    let mut outbox = Outbox::new(parts, stop.clone());
    while !stop.is_cancelled() {
        // Registered before the look, so that what is enqueued during it is not missed.
        let mut rung = std::pin::pin!(bell.notified());
        rung.as_mut().enable();
        let nap = outbox.turn().await;
        let mut sign_ins = outbox.sign_ins();
        tokio::select! {
            Some(ended) = outbox.transfers.join_next_with_id() => outbox.take_results(ended).await,
            Some(server) = sign_ins.next() => outbox.signed_in(&server),
            () = &mut rung => {}
            () = tokio::time::sleep(nap) => {}
            () = stop.cancelled() => {}
        }
    }
    outbox.finish().await;
}

struct Outbox {
    parts: OutboxParts,
    stop: CancellationToken,
    /// Configuration of the last turn; an empty one before the first.
    config: Arc<Config>,
    /// Name of its revision.
    revision: Arc<str>,
    /// How the servers are doing.
    lanes: BTreeMap<String, Lane>,
    /// Open connections that nobody uses, and since when.
    idle: BTreeMap<String, Vec<(Connection, Timestamp)>>,
    /// One task per mail that is being sent.
    transfers: JoinSet<Transfer>,
    /// Which mail a task sends, should it panic.
    tasks: HashMap<Id, (SmtpServer, Outgoing)>,
    /// Mails being sent, and those whose result is not committed yet.
    in_flight: BTreeMap<OutgoingId, Option<Pair>>,
    /// Results to be committed.
    results: Vec<(OutgoingId, Delivery)>,
    /// Failures that their ticket must still be told of.
    failures: Vec<Failure>,
    /// First mail of a pair that waits for its next attempt.
    heads: BTreeMap<Pair, (OutgoingId, Timestamp)>,
    /// Mails that wait for a server or its declaration, as they wait.
    parked: BTreeMap<OutgoingId, Delivery>,
    /// How often a mail has brought a working connection down.
    strikes: BTreeMap<OutgoingId, u32>,
    /// Mails that were given to a server and whose result is not final.
    handed_over: BTreeSet<OutgoingId>,
    /// When this process began to send.
    began: Timestamp,
    /// Due mails looked at in one turn.
    window: usize,
    /// Time of the last turn; `None` before the first.
    last_turn: Option<Timestamp>,
}

/// What a transfer task hands back.
struct Transfer {
    server: SmtpServer,
    mail: Outgoing,
    /// `None`: it was not begun, as we are stopping.
    attempt: Option<Attempt>,
    /// How often the server may have taken the mail without our knowing.
    doubts: u64,
    /// Whether the server let us in: what failed then failed with this mail.
    let_in: bool,
    /// To be used again.
    connection: Option<Connection>,
    /// Whether the server refused the null sender and took the mail with another one.
    refuses_null_sender: bool,
}

/// What a transfer is to send.
struct Work {
    mail: Outgoing,
    /// What is known of earlier attempts.
    earlier: Earlier,
    null: NullSender,
}

/// The envelope sender of mail that has none.
struct NullSender {
    /// Whether the server is known to refuse the null sender.
    refused: bool,
    /// What stands in for it: the sender's own address.
    instead: Option<Address>,
}

/// A mail that failed for good.
struct Failure {
    ticket: TicketId,
    command: Command,
}

impl Outbox {
    fn new(parts: OutboxParts, stop: CancellationToken) -> Outbox {
        let began = parts.clock.now();
        Outbox {
            parts,
            stop,
            config: Arc::default(),
            revision: Arc::default(),
            lanes: BTreeMap::new(),
            idle: BTreeMap::new(),
            transfers: JoinSet::new(),
            tasks: HashMap::new(),
            in_flight: BTreeMap::new(),
            results: Vec::new(),
            failures: Vec::new(),
            heads: BTreeMap::new(),
            parked: BTreeMap::new(),
            strikes: BTreeMap::new(),
            handed_over: BTreeSet::new(),
            began,
            window: WINDOW_MAILS,
            last_turn: None,
        }
    }

    /// Does what can be done now and says how long there is nothing more to do.
    async fn turn(&mut self) -> Duration {
        let now = self.parts.clock.now();
        match self.try_turn(now).await {
            Ok(nap) => nap,
            Err(error) => {
                tracing::warn!(%error, "outbox: the store does not answer, mails wait");
                Duration::from_secs(STORE_PAUSE_SECS)
            }
        }
    }

    async fn try_turn(&mut self, now: Timestamp) -> Result<Duration, StoreError> {
        if self.clock_turned_back(now) {
            self.survey(now).await?;
        }
        self.last_turn = Some(now);
        self.follow_config(now);
        self.close_idle(now).await;
        // Results first: nothing more is taken while one is not committed.
        self.commit().await?;
        while self.hand_out(now)? {
            self.commit().await?;
        }
        self.nap(now)
    }

    /// Starts transfers and puts mails off; `true` if something was put off and must be committed.
    fn hand_out(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        let limit = self.window + self.in_flight.len();
        let due = self.parts.store.due(now, limit)?;
        let crowded = due.len() >= limit;
        let view = View {
            config: &self.config,
            lanes: &self.lanes,
            in_flight: &self.in_flight,
            heads: &self.heads,
            strikes: &self.strikes,
            crowded,
            now,
        };
        let Assignment { send, postpone } = assign(due, &view);
        // Nobody in sight can go: look further, for those who could.
        let stuck = crowded && send.is_empty() && postpone.is_empty() && anybody_can_send(&view);
        let wider = stuck && self.window < WINDOW_MAILS_MAX;
        self.window = if stuck { (self.window * 2).min(WINDOW_MAILS_MAX) } else { WINDOW_MAILS };
        let put_off = !postpone.is_empty();
        for (mail, delivery) in postpone {
            self.parked.insert(mail.id, delivery.clone());
            self.note(&mail, delivery);
        }
        for (server, mail) in send {
            self.start(server, mail, now);
        }
        Ok(put_off || wider)
    }

    fn start(&mut self, name: String, mail: Outgoing, now: Timestamp) {
        let server = self.config.smtp.get(&name).expect("assign names declared servers").clone();
        let connection = self.idle.get_mut(&name).and_then(Vec::pop).map(|(open, _)| open);
        let lane = self.lanes.entry(name.clone()).or_default();
        lane.busy += 1;
        lane.busy_since.get_or_insert(now);
        self.parked.remove(&mail.id);
        self.in_flight.insert(mail.id, pair(&mail));
        let opener = Opener {
            config: self.config.clone(),
            secrets: self.parts.secrets.clone(),
            programs: self.parts.programs.clone(),
            external_host: self.parts.external_host.clone(),
            tokens: self.parts.tokens.clone(),
        };
        let sender = self.config.senders.get(&mail.sender);
        let instead = sender.map(|sender| sender.return_path().clone());
        let null = NullSender { refused: lane.refuses_null_sender, instead };
        let stop = self.stop.clone();
        let earlier = self.earlier(&mail, now);
        let work = Work { mail: mail.clone(), earlier, null };
        let sent = transfer(server.clone(), connection, work, opener, stop);
        self.tasks.insert(self.transfers.spawn(sent).id(), (server, mail));
    }

    /// What is known of earlier attempts at this mail.
    fn earlier(&mut self, mail: &Outgoing, now: Timestamp) -> Earlier {
        let Delivery::Due { attempts, doubt, .. } = &mail.delivery else { return Earlier::Perhaps };
        if doubt.is_some() {
            return Earlier::InDoubt;
        }
        // One that was on its way when we died has no trace of that.
        let age = now.duration_since(mail.created).abs();
        let fresh = *attempts == 0
            && mail.created >= self.began
            && age < SignedDuration::from_secs(FRESH_SECS)
            && !self.strikes.contains_key(&mail.id)
            && !self.handed_over.contains(&mail.id);
        self.handed_over.insert(mail.id);
        if fresh { Earlier::Nothing } else { Earlier::Perhaps }
    }

    /// Takes the result of an ended transfer, and those of all others that have ended too.
    async fn take_results(&mut self, ended: Result<(Id, Transfer), JoinError>) {
        self.take_result(ended);
        while let Some(ended) = self.transfers.try_join_next_with_id() {
            self.take_result(ended);
        }
        // A failure leaves the results where they are; the next turn tries again.
        if let Err(error) = self.commit().await {
            tracing::warn!(%error, "outbox: results could not be committed yet");
        }
    }

    fn take_result(&mut self, ended: Result<(Id, Transfer), JoinError>) {
        let now = self.parts.clock.now();
        let transfer = match ended {
            Ok((id, transfer)) => {
                self.tasks.remove(&id);
                transfer
            }
            Err(panic) => {
                let (server, mail) =
                    self.tasks.remove(&panic.id()).expect("every task was noted when it began");
                tracing::error!(
                    mail = mail.id.0,
                    server = server.name,
                    "outbox: sending this mail panicked"
                );
                let attempt = Some(Attempt::Temporary("sending it panicked".into()));
                let (doubts, connection) = (0, None);
                let refuses_null_sender = false;
                Transfer {
                    server,
                    mail,
                    attempt,
                    doubts,
                    let_in: true,
                    connection,
                    refuses_null_sender,
                }
            }
        };
        let Transfer { server, mail, attempt, doubts, let_in, connection, refuses_null_sender } =
            transfer;
        if refuses_null_sender {
            self.note_null_sender_refused(&server.name, &mail);
        }
        self.parts.metrics.outbox_ambiguous(&server.name, doubts);
        self.free(&server, connection, now);
        match attempt {
            None => {
                self.in_flight.remove(&mail.id);
            }
            Some(attempt) => self.judge(&server.name, mail, attempt, let_in, now),
        }
    }

    /// From now on automatic mail goes out through this server with an address of ours at once.
    fn note_null_sender_refused(&mut self, server: &str, mail: &Outgoing) {
        let lane = self.lanes.entry(server.to_owned()).or_default();
        if !std::mem::replace(&mut lane.refuses_null_sender, true) {
            let instead = mail.envelope_from.as_ref().map(Address::as_str);
            tracing::warn!(
                server,
                instead,
                "outbox: the server refuses the null envelope sender (RFC 3834 section 3.3); \
                 automatic mail goes out with the sender's own address"
            );
        }
    }

    /// The connection is free again.
    fn free(&mut self, server: &SmtpServer, connection: Option<Connection>, now: Timestamp) {
        let lane = self.lanes.entry(server.name.clone()).or_default();
        lane.busy = lane.busy.saturating_sub(1);
        // Not exact with several connections, but a server is slow only if none gets free.
        lane.busy_since = (lane.busy > 0).then_some(now);
        // One that was opened as the server is no longer declared is dropped.
        let declared = self.config.smtp.get(&server.name) == Some(server);
        if let Some(connection) = connection.filter(|_| declared) {
            self.idle.entry(server.name.clone()).or_default().push((connection, now));
        }
    }

    /// What an attempt means for the server and for the mail.
    fn judge(
        &mut self,
        server: &str,
        mail: Outgoing,
        attempt: Attempt,
        let_in: bool,
        now: Timestamp,
    ) {
        self.parts.metrics.outbox_attempt(server, label(&attempt));
        match &attempt {
            Attempt::Sent | Attempt::Temporary(_) | Attempt::Permanent(_) => {
                let lane = self.lanes.entry(server.to_owned()).or_default();
                lane.worked();
                let refuses_null_sender = lane.refuses_null_sender;
                self.show(server, |status| show_working(status, refuses_null_sender, now));
                self.conclude(mail, &attempt, now);
            }
            Attempt::InDoubt { message, .. } => {
                tracing::warn!(
                    server,
                    message,
                    mail = mail.id.0,
                    "outbox: the server may have taken a mail; it is asked before the mail is sent again"
                );
                let lane = self.lanes.entry(server.to_owned()).or_default();
                lane.failed("in_doubt", message, now, dice());
                self.show(server, |status| show_down(status, "in_doubt", message, now));
                self.conclude(mail, &attempt, now);
            }
            Attempt::ServerDown { cause, message, .. } => {
                tracing::warn!(server, cause, message, "outbox: the server cannot be used now");
                // A login or certificate is never the mail's fault. A refusal for a quota may be one
                // of this mail that we misread.
                let of_us = ["quota", "policy", "sender"].contains(cause);
                let of_the_mail = matches!(*cause, "protocol" | "timeout" | "unavailable");
                if let_in && (of_us || of_the_mail) {
                    *self.strikes.entry(mail.id).or_default() += 1;
                }
                let is_suspect = self.strikes.get(&mail.id).is_some_and(|it| *it >= STRIKES_MAX);
                let lane = self.lanes.entry(server.to_owned()).or_default();
                if *cause == "sender" {
                    lane.refused_sender(&mail.sender, message, now);
                } else if !(of_us && is_suspect && lane.failures == 0) {
                    // Otherwise others got through since: it is the mail, and the server goes on.
                    lane.failed(cause, message, now, dice());
                    self.show(server, |status| show_down(status, cause, message, now));
                }
                if is_suspect {
                    let attempt = Attempt::Temporary(message.clone());
                    self.conclude(mail, &attempt, now);
                } else {
                    // As due as before: the next turn looks for another server.
                    self.in_flight.remove(&mail.id);
                }
            }
        }
    }

    /// Shows how a server is, while it is declared.
    fn show(&self, server: &str, change: impl FnOnce(&mut ObjectStatus)) {
        if self.config.smtp.contains_key(server) {
            self.parts.board.update(Kind::Smtp, server, |status| {
                status.observed_revision.clone_from(&self.revision);
                change(status);
            });
        }
    }

    /// Notes how far a mail is after an attempt that counts.
    fn conclude(&mut self, mail: Outgoing, attempt: &Attempt, now: Timestamp) {
        let delivery = after(&mail, attempt, now, dice());
        let result = match &delivery {
            Delivery::Due { .. } => None,
            Delivery::Sent { .. } => Some("sent"),
            Delivery::Dead { .. } => Some("failed"),
        };
        if let Some(result) = result {
            self.strikes.remove(&mail.id);
            self.handed_over.remove(&mail.id);
            count(&self.parts.metrics, &mail.kind, result);
        }
        if let Delivery::Sent { at } = &delivery {
            let seconds = at.duration_since(mail.created).as_secs_f64();
            self.parts.metrics.outbox_delivery_seconds(seconds.max(0.0));
        }
        if let Delivery::Dead { reason, .. } = &delivery {
            tracing::warn!(mail = mail.id.0, reason, "outbox: a mail failed for good");
            self.failures.extend(failure(&mail, reason));
        }
        self.in_flight.insert(mail.id, pair(&mail));
        self.note(&mail, delivery);
    }

    /// Puts a result with those to be committed and keeps the order of its pair in mind.
    fn note(&mut self, mail: &Outgoing, delivery: Delivery) {
        if let Some(pair) = pair(mail) {
            let head = self.heads.get(&pair).map(|(id, _)| *id);
            match &delivery {
                Delivery::Due { at, .. } if head.is_none_or(|head| mail.id <= head) => {
                    self.heads.insert(pair, (mail.id, *at));
                }
                Delivery::Sent { .. } | Delivery::Dead { .. } if head == Some(mail.id) => {
                    self.heads.remove(&pair);
                }
                Delivery::Due { .. } | Delivery::Sent { .. } | Delivery::Dead { .. } => {}
            }
        }
        self.results.push((mail.id, delivery));
    }

    /// Commits all results at once. On an error they stay, and with them the mails in flight, so
    /// that nothing is sent again because the disk is full.
    async fn commit(&mut self) -> Result<(), StoreError> {
        // The ticket first: if we die in between, it hears of the failure twice, not never.
        while let Some(failure) = self.failures.last() {
            self.tell_ticket(failure).await?;
            self.failures.pop();
        }
        if self.results.is_empty() {
            return Ok(());
        }
        faultpoint!("outbox.sent");
        self.parts.store.delivered(self.results.clone()).await?;
        faultpoint!("outbox.committed");
        for (id, _) in self.results.drain(..) {
            self.in_flight.remove(&id);
        }
        Ok(())
    }

    async fn tell_ticket(&self, failure: &Failure) -> Result<(), StoreError> {
        let store = &self.parts.store;
        let Some(ticket) = store.ticket_by_id(failure.ticket)? else { return Ok(()) };
        let number = ticket.number;
        let commands = vec![failure.command.clone()];
        let now = self.parts.clock.now();
        match store.command(self.config.clone(), &number, commands, Actor::System, now).await {
            Ok(carried) => {
                self.parts.metrics.owing(&carried.owing);
                Ok(())
            }
            Err(CommandError::Store(error)) => Err(error),
            Err(
                error @ (CommandError::NoTicket(_)
                | CommandError::Refused(_)
                | CommandError::KeyReused),
            ) => {
                tracing::warn!(%error, number, "outbox: the ticket could not be told");
                Ok(())
            }
        }
    }

    /// Looks through all due mails: at the start, for the order of pairs, and when the clock was
    /// turned back, for mails that would now wait too long.
    async fn survey(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.heads.clear();
        let mut before = None;
        loop {
            let page = self.parts.store.outbox(OutboxFilter::Due, before, SURVEY_MAILS)?;
            for mail in &page.items {
                let Delivery::Due { attempts, at, last_error, doubt } = &mail.delivery else {
                    continue;
                };
                let sooner = in_real_time(mail, *at, now);
                if sooner < *at {
                    let (attempts, last_error) = (*attempts, last_error.clone());
                    let doubt = doubt.clone();
                    self.note(mail, Delivery::Due { attempts, at: sooner, last_error, doubt });
                } else if let Some(pair) = pair(mail).filter(|_| *at > now) {
                    // Newest first: what stays is the oldest.
                    self.heads.insert(pair, (mail.id, *at));
                }
            }
            before = page.next.map(OutgoingId);
            if before.is_none() {
                return self.commit().await;
            }
        }
    }

    fn clock_turned_back(&self, now: Timestamp) -> bool {
        let limit = SignedDuration::from_secs(TURNED_BACK_SECS);
        self.last_turn.is_none_or(|last| last.duration_since(now) > limit)
    }

    /// Takes the current configuration. A changed server is dialled anew, and what waited for a
    /// server or sender is due again.
    fn follow_config(&mut self, now: Timestamp) {
        let (revision, config) = (self.parts.running)();
        if Arc::ptr_eq(&config, &self.config) {
            return;
        }
        self.revision = revision;
        let before = std::mem::replace(&mut self.config, config);
        for (name, server) in &self.config.smtp {
            self.show(name, |status| show_declared(status, server.state, now));
        }
        if before.smtp == self.config.smtp && before.senders == self.config.senders {
            return;
        }
        self.lanes.values_mut().for_each(|lane| lane.refused_senders.clear());
        for (name, server) in &before.smtp {
            if self.config.smtp.get(name) != Some(server) {
                self.idle.remove(name);
                if let Some(lane) = self.lanes.get_mut(name) {
                    lane.worked();
                    lane.refuses_null_sender = false;
                }
            }
            if !self.config.smtp.contains_key(name) {
                self.parts.board.remove(Kind::Smtp, name);
            }
        }
        self.wake_parked(now);
    }

    /// Gives the name of a server as soon as somebody has signed in for it.
    fn sign_ins(&self) -> impl Stream<Item = String> + Unpin + use<> {
        let holders = self.config.smtp.values().filter_map(Holder::of_server);
        let bells = holders.map(|holder| {
            let bell = self.parts.tokens.bell(&self.config, &holder);
            Box::pin(async move {
                bell.notified().await;
                holder.name
            })
        });
        bells.collect::<FuturesUnordered<_>>()
    }

    /// What waited for the sign-in goes on at once.
    fn signed_in(&mut self, server: &str) {
        if let Some(lane) = self.lanes.get_mut(server) {
            lane.worked();
        }
        self.wake_parked(self.parts.clock.now());
    }

    fn wake_parked(&mut self, now: Timestamp) {
        for (id, delivery) in std::mem::take(&mut self.parked) {
            if let Delivery::Due { attempts, at, last_error, doubt } = delivery
                && at > now
            {
                self.results.push((id, Delivery::Due { attempts, at: now, last_error, doubt }));
                self.heads.retain(|_, (head, _)| *head != id);
            }
        }
    }

    async fn close_idle(&mut self, now: Timestamp) {
        let oldest = now - SignedDuration::from_secs(IDLE_SECS);
        for connections in self.idle.values_mut() {
            let (keep, close) = connections.drain(..).partition(|(_, since)| *since > oldest);
            *connections = keep;
            // In a task of their own: a server that does not answer QUIT holds nobody up.
            for (connection, _) in close {
                tokio::spawn(Connection::close(connection));
            }
        }
        self.idle.retain(|_, connections| !connections.is_empty());
        self.parked.retain(|_, delivery| matches!(delivery, Delivery::Due { at, .. } if *at > now));
        self.heads.retain(|_, (_, until)| *until > now);
    }

    /// Until the next mail comes due.
    fn nap(&self, now: Timestamp) -> Result<Duration, StoreError> {
        let most = Duration::from_secs(NAP_SECS_MAX);
        let Some(next) = self.parts.store.next_due(now)? else { return Ok(most) };
        let until = Duration::try_from(next.duration_since(now)).unwrap_or_default();
        Ok(until.clamp(Duration::from_millis(1), most))
    }

    /// Lets transfers end, commits their results, and says goodbye.
    async fn finish(&mut self) {
        while let Some(ended) = self.transfers.join_next_with_id().await {
            self.take_results(ended).await;
        }
        if let Err(error) = self.commit().await {
            tracing::error!(%error, "outbox: results are lost, these mails will be sent again");
        }
        for (_, connections) in std::mem::take(&mut self.idle) {
            for (connection, _) in connections {
                connection.close().await;
            }
        }
    }
}

/// What opens connections.
struct Opener {
    config: Arc<Config>,
    secrets: Secrets,
    programs: Programs,
    external_host: Option<String>,
    tokens: Tokens,
}

impl Opener {
    /// Opens a connection. A refused access token is replaced once before the refusal counts.
    async fn open(&self, server: &SmtpServer) -> Result<Connection, Attempt> {
        let Opener { config, secrets, programs, external_host, tokens } = self;
        let server = &transport::named(server, config, external_host.as_deref());
        let Some(holder) = Holder::of_server(server) else {
            return transport::open(server, secrets, programs, None).await;
        };
        let token = tokens.access(config, &holder).await.map_err(no_token)?;
        let mut opened = transport::open(server, secrets, programs, Some(&token)).await;
        if matches!(opened, Err(Attempt::ServerDown { cause: "auth", .. })) {
            let another = tokens.instead_of(config, &holder, &token).await.map_err(no_token)?;
            if another.expose_secret() != token.expose_secret() {
                opened = transport::open(server, secrets, programs, Some(&another)).await;
            }
        }
        if opened.is_ok() {
            tokens.accepted(config, &holder).await;
        }
        opened
    }
}

/// Without a token the server cannot be used now; the mail is not to blame.
fn no_token(error: TokenError) -> Attempt {
    Attempt::ServerDown { cause: error.why.label(), message: error.message, in_doubt: false }
}

/// Sends one mail. A connection that lay idle may have been closed by the server in the meantime;
/// then a new one is opened at once. A server that refuses the null sender gets the mail once more,
/// with an envelope sender: the refusal says nothing about the recipient.
async fn transfer(
    server: SmtpServer,
    idle: Option<Connection>,
    work: Work,
    opener: Opener,
    stop: CancellationToken,
) -> Transfer {
    let Work { mut mail, earlier, null } = work;
    let mut doubts = 0;
    faultpoint!("outbox.before_send");
    if mail.envelope_from.is_none() && null.refused {
        mail.envelope_from.clone_from(&null.instead);
    }
    let (mut open, mut stands_in) = (idle, false);
    loop {
        let (mut connection, was_open) = match open.take() {
            Some(connection) => (connection, true),
            None => {
                let opened = tokio::select! {
                    opened = opener.open(&server) => opened.map_err(Some),
                    () = stop.cancelled() => Err(None),
                };
                match opened {
                    Ok(connection) => (connection, false),
                    Err(attempt) => {
                        let (connection, refuses_null_sender) = (None, false);
                        return Transfer {
                            server,
                            mail,
                            attempt,
                            doubts,
                            let_in: false,
                            connection,
                            refuses_null_sender,
                        };
                    }
                }
            }
        };
        let attempt = connection.send(&mail, earlier).await;
        doubts += u64::from(in_doubt(&attempt));
        let stale =
            matches!(attempt, Attempt::ServerDown { cause: "protocol" | "unavailable", .. });
        if was_open && stale {
            continue;
        }
        let may_be_for_null = mail.envelope_from.is_none() && connection.may_refuse_null_sender();
        if may_be_for_null && null.instead.is_some() {
            mail.envelope_from.clone_from(&null.instead);
            stands_in = true;
            open = Some(connection).filter(Connection::usable);
            continue;
        }
        let refuses_null_sender = stands_in && attempt == Attempt::Sent;
        let connection = Some(connection).filter(Connection::usable);
        return Transfer {
            server,
            mail,
            attempt: Some(attempt),
            doubts,
            let_in: true,
            connection,
            refuses_null_sender,
        };
    }
}

fn in_doubt(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::ServerDown { in_doubt: true, .. } | Attempt::InDoubt { .. })
}

/// What a ticket is told of a mail that failed for good. Nothing about a mail that was to tell
/// of such a failure itself: it would never end.
fn failure(mail: &Outgoing, reason: &str) -> Option<Failure> {
    if matches!(&mail.kind, OutgoingKind::Notification { event, .. } if event == "deliveryFailed") {
        return None;
    }
    let command = Command::DeliveryFailed { to: mail.recipient.clone(), reason: reason.to_owned() };
    Some(Failure { ticket: mail.ticket?, command })
}

fn count(metrics: &Metrics, kind: &OutgoingKind, result: &'static str) {
    match kind {
        OutgoingKind::AutoReply { reply } => metrics.auto_reply(reply, result),
        OutgoingKind::Notification { event, .. } => metrics.notification(event, result),
        OutgoingKind::Reply => {}
    }
}

fn label(attempt: &Attempt) -> &'static str {
    match attempt {
        Attempt::Sent => "sent",
        Attempt::Temporary(_) => "temporary",
        Attempt::Permanent(_) => "permanent",
        Attempt::InDoubt { .. } => "in_doubt",
        Attempt::ServerDown { cause, .. } => cause,
    }
}

fn show_declared(status: &mut ObjectStatus, state: Switch, now: Timestamp) {
    let (suspended, reason, message) = match state {
        Switch::Enabled => (false, "Enabled", ""),
        Switch::Disabled => (true, "Disabled", "declared as disabled"),
        Switch::Paused => (true, "Paused", "declared as paused"),
    };
    status.set(ConditionKind::Suspended, Some(suspended), reason, message, now);
    let ready = status.conditions.iter().find(|known| known.kind == ConditionKind::Ready);
    let known = ready.is_some_and(|ready| !matches!(ready.reason, "Disabled" | "Paused"));
    if suspended {
        status.set(ConditionKind::Ready, Some(false), reason, message, now);
    } else if !known {
        let message = "no mail was sent through it yet";
        status.set(ConditionKind::Ready, None, "Unused", message, now);
    }
}

fn show_working(status: &mut ObjectStatus, refuses_null_sender: bool, now: Timestamp) {
    for kind in [ConditionKind::Ready, ConditionKind::Reachable, ConditionKind::Authenticated] {
        status.set(kind, Some(true), "Working", "", now);
    }
    if refuses_null_sender {
        let message = "the server refuses the null envelope sender; automatic mail goes out with \
                       the sender's own address";
        status.set(ConditionKind::Ready, Some(true), "NullSenderRefused", message, now);
    }
    status.last_success = Some(now);
    status.consecutive_failures = 0;
}

fn show_down(status: &mut ObjectStatus, cause: &'static str, message: &str, now: Timestamp) {
    let (reachable, authenticated) = match cause {
        "auth" | "unsupported" => (Some(true), Some(false)),
        "sign_in" | "administrator" | "oauth_client" | "token" | "secret" => (None, Some(false)),
        "connect" | "timeout" => (Some(false), None),
        "quota" | "policy" => (Some(true), Some(true)),
        _ => (Some(true), None),
    };
    let cause = match cause {
        "sign_in" => Why::SignIn.reason(),
        "administrator" => Why::Administrator.reason(),
        cause => cause,
    };
    status.set(ConditionKind::Ready, Some(false), cause, message, now);
    status.set(ConditionKind::Reachable, reachable, cause, message, now);
    status.set(ConditionKind::Authenticated, authenticated, cause, message, now);
    status.consecutive_failures = status.consecutive_failures.saturating_add(1);
}

/// A number from 0 to 1. Without randomness there is only less jitter.
fn dice() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::address::Address;

    #[track_caller]
    fn check(kind: OutgoingKind, ticket: Option<u64>, expected: bool) {
        let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mail = Outgoing {
            id: OutgoingId(1),
            ticket: ticket.map(TicketId),
            kind,
            sender: "default".into(),
            envelope_from: None,
            recipient: Address::parse("eve@customer.test").unwrap(),
            message_id: "1@desk.test".into(),
            raw: Vec::new(),
            created: at,
            delivery: Delivery::Due { attempts: 0, at, last_error: None, doubt: None },
        };
        assert_eq!(failure(&mail, "550 no such user").is_some(), expected);
    }

    fn notification(event: &str) -> OutgoingKind {
        OutgoingKind::Notification { event: event.into(), who: "alice".into() }
    }

    #[test]
    fn tickets_are_told_of_failures() {
        check(OutgoingKind::Reply, Some(1), true);
        check(OutgoingKind::AutoReply { reply: "thanks".into() }, Some(1), true);
        check(notification("ticketCreated"), Some(1), true);
    }

    #[test]
    fn but_not_of_the_failure_to_tell_of_a_failure() {
        check(notification("deliveryFailed"), Some(1), false);
    }

    #[test]
    fn and_not_without_a_ticket() {
        check(OutgoingKind::Reply, None, false);
    }

    #[test]
    fn dice_stay_within_bounds() {
        for _ in 0..100 {
            assert!((0.0..=1.0).contains(&dice()));
        }
    }
}
