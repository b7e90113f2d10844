//! What must be done so that what runs is what is declared.
//!
//! A step starts a task, asks one to stop or swaps a pointer: it cannot fail. What can fail is
//! found by `config::compile` before, or retried by the poller afterwards.

use serde::Serialize;

use super::config::Config;

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
    todo!()
}

/// What a revision changes, object by object.
pub fn changes(running: &Config, desired: &Config) -> Vec<Change> {
    todo!()
}
