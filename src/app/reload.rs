//! Applies revisions, one after the other: load, plan, carry out.
//!
//! ```text
//! load      the files, all or nothing       an error: what runs stays, the problems are shown
//! guard     a set that lost most accounts   held back until somebody insists
//! adopt     renames, in the store           may fail: then nothing else has happened yet
//! carry out stop, swap, start               cannot fail
//! keep      the files, in the store         for a start with broken files
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::loader::Loader;
use super::start::DRAIN_MAX;
use super::{Handle, ReloadAnswer, ReloadRequest, Trigger};
use crate::config::{self, Loaded, Memory, Problem, Severity};
use crate::core::config::{Config, MovedKind, Switch};
use crate::core::plan::{self, Change, Edit, MassDelete, Slot, Step};
use crate::faultpoint;
use crate::run::board::{ConditionKind, Kind, ObjectStatus};
use crate::run::daemon::Running;
use crate::run::supervisor::Order;
use crate::store::StoredRevision;

/// Changes of a revision that are kept while it runs: of the first one, everything is a change.
const CHANGES_KEPT_MAX: usize = 500;

/// Reasons of `Ready` that end when the declaration says otherwise.
const IDLE_REASONS: [&str; 3] = ["Disabled", "Paused", "Unsupported"];

/// The loop's own things.
pub struct Reloader {
    /// The daemon.
    pub desk: Handle,
    /// Files and directories to read.
    pub paths: Vec<PathBuf>,
    /// Whether the mass-delete guard is lifted for good.
    pub allow_mass_delete: bool,
    /// The supervisor.
    pub orders: mpsc::UnboundedSender<Order>,
    /// Reads the files.
    pub loader: Loader,
}

/// Answers requests until all senders are gone.
pub async fn run(mut reloader: Reloader, mut requests: mpsc::Receiver<ReloadRequest>) {
    while let Some(request) = requests.recv().await {
        // Freed after the answer, which nobody should wait for longer.
        let _replaced = reloader.desk.running.load_full();
        let answer = reloader.look_again(request.trigger, request.allow_mass_delete).await;
        if let Some(waiting) = request.answer {
            // Nobody may wait any more: the revision is applied all the same.
            let _ = waiting.send(answer);
        }
    }
}

impl Reloader {
    async fn look_again(&mut self, trigger: Trigger, allow_mass_delete: bool) -> ReloadAnswer {
        let answer = match self.load().await {
            Some(loaded) => self.apply(loaded, allow_mass_delete || self.allow_mass_delete).await,
            None => {
                self.desk.rejected.store(Arc::default());
                ReloadAnswer::Unchanged { revision: self.desk.running.load().revision.to_string() }
            }
        };
        self.report(trigger, &answer);
        answer
    }

    /// Reads and judges the files; `None` if they are what runs.
    async fn load(&mut self) -> Option<Loaded> {
        let (paths, running) = (self.paths.clone(), self.desk.running.load_full());
        let load = move |memory: &mut Memory| {
            config::load_again(&paths, memory, &running.revision, &running.config)
        };
        self.loader.load(load).await
    }

    /// Makes a set of files the revision that runs.
    pub async fn apply(&self, loaded: Loaded, allow_mass_delete: bool) -> ReloadAnswer {
        let Loaded { hash, files, config, problems, .. } = loaded;
        let Some(config) = config else {
            self.desk.rejected.store(Arc::new(problems.clone()));
            return ReloadAnswer::Invalid { problems };
        };
        let before = self.desk.running.load_full();
        let config = Arc::new(config);
        let edit = Edit::of(&before.config, &config);
        let mass_delete = plan::mass_delete(&edit);
        if let Some(MassDelete { running, removed }) = mass_delete.filter(|_| !allow_mass_delete) {
            self.desk.rejected.store(Arc::new(vec![mass_delete_problem(running, removed)]));
            return ReloadAnswer::Blocked { running, removed };
        }
        if let Err(error) = self.adopt(&before.config, &config).await {
            let problem = store_problem(&error);
            self.desk.rejected.store(Arc::new(vec![problem.clone()]));
            return ReloadAnswer::Invalid { problems: vec![problem] };
        }
        let changes = plan::changes(&edit);
        let next = Running {
            revision: hash.as_str().into(),
            applied: self.desk.clock.now(),
            config: config.clone(),
            changes: changes.iter().take(CHANGES_KEPT_MAX).cloned().collect(),
        };
        faultpoint!("reload.adopted");
        // The store writes meanwhile: what follows cannot fail.
        let kept = self.keep(hash.clone(), files);
        self.carry_out(&edit, next, &changes);
        faultpoint!("reload.carried_out");
        self.desk.rejected.store(Arc::default());
        // An error: the daemon ends.
        drop(kept.await);
        faultpoint!("reload.kept");
        let warnings = problems;
        ReloadAnswer::Applied { revision: hash, changes, warnings }
    }

    /// Carries renames out in the store. The pollers concerned end before: one that goes on under
    /// the old name would record its mails as those of a new account, and the next one again.
    async fn adopt(&self, before: &Config, config: &Config) -> Result<(), String> {
        let renamed = renamed_accounts(before, config);
        let adopted = match self.end(&renamed).await {
            Ok(()) => {
                let adopted = self.desk.store.adopt(config.moved.clone()).await;
                adopted.map_err(|error| error.to_string())
            }
            Err(error) => Err(error),
        };
        if adopted.is_err() {
            for slot in renamed {
                drop(self.orders.send(Order::Start { slot, after: None }));
            }
        }
        adopted
    }

    /// Lets pollers end, and waits until they have.
    async fn end(&self, slots: &[Slot]) -> Result<(), String> {
        for slot in slots {
            let (told, ended) = oneshot::channel();
            drop(self.orders.send(Order::Stop(slot.clone())));
            drop(self.orders.send(Order::Ended(slot.clone(), told)));
            // An error: the supervisor is gone, and with it the poller.
            if tokio::time::timeout(DRAIN_MAX, ended).await.is_err() {
                return Err(format!("the task of {slot:?} does not end; try again"));
            }
        }
        Ok(())
    }

    /// Nothing in here can fail.
    fn carry_out(&self, edit: &Edit<'_>, next: Running, changes: &[Change]) {
        let revision = next.revision.clone();
        let mut next = Some(next);
        for step in plan::plan(edit) {
            match step {
                // The supervisor is gone only when the daemon ends.
                Step::Stop(slot) => drop(self.orders.send(Order::Stop(slot))),
                Step::Swap => self.swap(edit, next.take()),
                Step::Start(slot) => {
                    let after = former(edit.desired, &slot);
                    drop(self.orders.send(Order::Start { slot, after }));
                }
            }
        }
        // Equal configurations from different files: only the revision is new.
        self.swap(edit, next.take());
        for change in changes {
            self.desk.metrics.reconcile_action(change.kind, change.action.label());
        }
        self.desk.metrics.config_applied(&revision, edit);
        self.show(edit);
    }

    fn swap(&self, edit: &Edit<'_>, next: Option<Running>) {
        if let Some(next) = next {
            self.desk.accounts.update(edit);
            self.desk.running.store(Arc::new(next));
        }
    }

    /// Conditions that follow from the declaration alone.
    fn show(&self, edit: &Edit<'_>) {
        let (before, config) = (edit.running, edit.desired);
        let now = self.desk.clock.now();
        let board = &self.desk.board;
        for name in edit.accounts.gone() {
            board.remove(Kind::MailAccount, name);
            self.desk.metrics.account_removed(name);
        }
        for name in before.smtp.keys().filter(|name| !config.smtp.contains_key(*name)) {
            board.remove(Kind::Smtp, name);
        }
        // What has not changed shows already what its declaration says.
        let accounts = edit.accounts.new.values().map(|account| {
            (Kind::MailAccount, &account.name, account.state, plan::idle_account(account))
        });
        let servers = config
            .smtp
            .values()
            .map(|server| (Kind::Smtp, &server.name, server.state, plan::idle_server(server)));
        let shown: Vec<_> = accounts.chain(servers).collect();
        board.enter(shown.iter().map(|(kind, name, ..)| (*kind, name.as_str())));
        for (kind, name, state, idle) in shown {
            board.update(kind, name, |status| declared(status, state, idle, now));
        }
    }

    /// Begins to keep the files.
    fn keep(&self, hash: String, files: Vec<(String, String)>) -> JoinHandle<()> {
        let revision = StoredRevision { hash, applied: self.desk.clock.now(), files };
        let store = self.desk.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.keep_revision(revision).await {
                tracing::warn!(%error, "could not keep this revision for a start with broken files");
            }
        })
    }

    fn report(&self, trigger: Trigger, answer: &ReloadAnswer) {
        let trigger = trigger.label();
        match answer {
            ReloadAnswer::Unchanged { .. } => self.desk.metrics.reload(trigger, "unchanged"),
            ReloadAnswer::Applied { revision, changes, warnings } => {
                self.desk.metrics.reload(trigger, "applied");
                let revision = short(revision);
                let changes_count = changes.len();
                tracing::info!(
                    target: "postroom::plan",
                    trigger, revision, changes = changes_count,
                    "revision {revision} applied ({trigger}), changes: {changes_count}"
                );
                for change in changes {
                    let action = change.action.label();
                    let (kind, name, effect) = (change.kind, &change.name, &change.effect);
                    let colon = if effect.is_empty() { "" } else { ": " };
                    tracing::info!(
                        target: "postroom::plan",
                        action, kind, name, effect,
                        "  {action} {kind}.{name}{colon}{effect}"
                    );
                }
                warnings.iter().for_each(|problem| tracing::warn!(%problem, "configuration"));
            }
            ReloadAnswer::Invalid { problems } => {
                self.desk.metrics.reload(trigger, "invalid");
                let kept = short(&self.desk.running.load().revision).to_owned();
                tracing::error!(
                    trigger,
                    problems = problems.len(),
                    kept,
                    "configuration refused; what runs stays"
                );
                problems.iter().for_each(|problem| tracing::error!(%problem, "configuration"));
            }
            ReloadAnswer::Blocked { running, removed } => {
                self.desk.metrics.reload(trigger, "blocked");
                tracing::error!(
                    trigger,
                    running,
                    removed,
                    "configuration held back: it removes most accounts"
                );
            }
        }
    }
}

/// What follows from the declaration: suspended, not possible in this build, or not tried yet.
fn declared(status: &mut ObjectStatus, state: Switch, idle: Option<&str>, now: Timestamp) {
    let (suspended, reason) = match state {
        Switch::Enabled => (false, "Enabled"),
        Switch::Disabled => (true, "Disabled"),
        Switch::Paused => (true, "Paused"),
    };
    status.set(ConditionKind::Suspended, Some(suspended), reason, "", now);
    let before = status.conditions.iter().find(|known| known.kind == ConditionKind::Ready);
    let stale = before.is_none_or(|before| IDLE_REASONS.contains(&before.reason));
    match idle {
        Some(why) => {
            let reason = if suspended { reason } else { "Unsupported" };
            status.set(ConditionKind::Ready, Some(false), reason, why, now);
        }
        None if stale => status.set(ConditionKind::Ready, None, "Starting", "not tried yet", now),
        None => {}
    }
}

/// Slot of the same account under its old name.
fn former(config: &Config, slot: &Slot) -> Option<Slot> {
    match slot {
        Slot::Poller(name) => {
            let mut moves =
                config.moved.iter().filter(|moved| moved.kind == MovedKind::MailAccount);
            moves.find(|moved| moved.to == *name).map(|moved| Slot::Poller(moved.from.clone()))
        }
        Slot::Outbox | Slot::Webhooks | Slot::Clockwork => None,
    }
}

/// Slots of accounts that run under a name which the new revision gives up for another.
fn renamed_accounts(running: &Config, desired: &Config) -> Vec<Slot> {
    let moves = desired.moved.iter().filter(|moved| moved.kind == MovedKind::MailAccount);
    let names = moves.map(|moved| &moved.from);
    names
        .filter(|name| {
            running.accounts.get(*name).is_some_and(|old| plan::idle_account(old).is_none())
        })
        .filter(|name| !desired.accounts.contains_key(*name))
        .map(|name| Slot::Poller(name.clone()))
        .collect()
}

/// The digits of a revision that people compare.
pub fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}

fn mass_delete_problem(running: usize, removed: usize) -> Problem {
    problem(
        format!("this revision removes {removed} of {running} accounts and is held back"),
        "if that is meant, run `postroom reload --allow-mass-delete`",
    )
}

fn store_problem(error: &str) -> Problem {
    problem(format!("could not carry out `moved`: {error}"), "see the log of the daemon")
}

fn problem(message: String, hint: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        file: String::new(),
        line: 0,
        column: 0,
        path: "mailAccounts".into(),
        message,
        hint: hint.into(),
        rule: None,
    }
}
