//! What must be done so that what runs is what is declared.
//!
//! A step starts a task, asks one to stop or swaps a pointer: it cannot fail. What can fail is
//! found by `config::compile` before, or retried by the poller afterwards.
//!
//! Architecture invariant: equality is the only test for change. Right after the last plan was
//! carried out, `plan` of the same configuration is empty.

use std::collections::BTreeMap;

use serde::Serialize;

use super::config::{Account, Config, Login, SmtpRoute, SmtpServer, Source, Switch};
pub use changes::changes;

mod changes;

/// A task of the daemon: at most one runs per slot at any time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Slot {
    /// Fetches from the mail account of this name.
    Poller(String),
    /// Sends through the SMTP server of this name.
    Sender(String),
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask the task to stop at its next safe point.
    Stop(Slot),
    /// From now on every decision is made under the new configuration.
    Swap,
    /// Start the task, once a predecessor in its slot has ended.
    Start(Slot),
}

/// What a revision does to one object, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Kind as in YAML: `mailAccounts`, `queues`, ...
    pub kind: &'static str,
    /// Name of the object.
    pub name: String,
    /// What happens to it.
    pub action: Action,
    /// What that means in words: `re-dials; cursor kept`.
    pub effect: String,
}

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It is new.
    Create,
    /// It changes in place.
    Change,
    /// Its task is started again.
    Restart,
    /// It keeps its record under a new name.
    Move,
    /// It ceases to run but stays declared.
    Suspend,
    /// It runs again.
    Resume,
    /// It is gone.
    Delete,
}

/// Steps from what runs to what is declared: stops, one swap, starts. Empty if they are equal.
pub fn plan(running: &Config, desired: &Config) -> Vec<Step> {
    if running == desired {
        return Vec::new();
    }
    let (old, new) = (slots(running), slots(desired));
    let stops = old.iter().filter(|(slot, work)| new.get(slot) != Some(work));
    let starts = new.iter().filter(|(slot, work)| old.get(slot) != Some(work));
    stops
        .map(|(slot, _)| Step::Stop(slot.clone()))
        .chain([Step::Swap])
        .chain(starts.map(|(slot, _)| Step::Start(slot.clone())))
        .collect()
}

/// Tasks that a configuration wants.
pub fn wanted(config: &Config) -> Vec<Slot> {
    slots(config).into_keys().collect()
}

/// Why this account has no poller, if it has none.
pub fn idle_account(account: &Account) -> Option<&'static str> {
    let by_source = match &account.connection {
        Source::Imap { login, .. } | Source::Pop3 { login, .. } => oauth2_is_missing(login),
        Source::Graph { .. } => Some("Microsoft Graph is not part of this build"),
        Source::Maildir { .. } => None,
    };
    suspended(account.state).or(by_source)
}

/// Why this server has no sending task, if it has none.
pub fn idle_server(server: &SmtpServer) -> Option<&'static str> {
    let by_route = match &server.route {
        SmtpRoute::Smtp { login, .. } => oauth2_is_missing(login),
        SmtpRoute::File { .. } | SmtpRoute::Sendmail { .. } => None,
    };
    suspended(server.state).or(by_route)
}

/// The part of an object whose change needs a new task.
#[derive(PartialEq)]
enum Work<'a> {
    Poll(&'a Source),
    Send(&'a SmtpServer),
}

fn slots(config: &Config) -> BTreeMap<Slot, Work<'_>> {
    let accounts = config.accounts.iter().filter(|(_, account)| idle_account(account).is_none());
    let servers = config.smtp.iter().filter(|(_, server)| idle_server(server).is_none());
    accounts
        .map(|(name, account)| (Slot::Poller(name.clone()), Work::Poll(&account.connection)))
        .chain(servers.map(|(name, server)| (Slot::Sender(name.clone()), Work::Send(server))))
        .collect()
}

fn suspended(state: Switch) -> Option<&'static str> {
    match state {
        Switch::Enabled => None,
        Switch::Disabled => Some("disabled"),
        Switch::Paused => Some("paused"),
    }
}

fn oauth2_is_missing(login: &Login) -> Option<&'static str> {
    match login {
        Login::None | Login::Password { .. } => None,
        Login::OAuth2 { .. } => Some("sign-in with OAuth2 is not part of this build"),
    }
}
