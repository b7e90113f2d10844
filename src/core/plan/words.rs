//! What a change of each kind of object means, in words for people.
//!
//! ```text
//! mail.rs      mail accounts, SMTP servers, senders     people.rs    customers, users
//! grants.rs    providers, profiles, the key             programs.rs  API tokens, webhooks
//! routing.rs   queues, addresses, filters, answers      desk.rs      parts of which there is one
//! ```
//! Architecture invariant: each sentence is true of every desk that runs these two configurations.
//! What depends on the store (which tickets, which mails) is said as a rule, never as a number.

mod desk;
mod grants;
mod mail;
mod people;
mod programs;
mod routing;

pub(super) use desk::{NOTIFICATION, desk, intake, limits, sign_in};
pub(super) use grants::{PROFILE, PROVIDER, seal_key};
pub(super) use mail::{ACCOUNT, SENDER, SMTP};
pub(super) use people::{CUSTOMER, USER, subscribed};
pub(super) use programs::{API_TOKEN, WEBHOOK};
pub(super) use routing::{AUTO_REPLY, FILTER, QUEUE, SYSTEM_ADDRESS};

use super::Action;
use crate::core::config::{Config, MovedKind, Switch};

/// What runs and what is to run: a sentence about one object may need the others.
#[derive(Clone, Copy)]
pub(super) struct Both<'a> {
    pub old: &'a Config,
    pub new: &'a Config,
}

impl Both<'_> {
    /// What a queue, by the name it had, is called now.
    pub fn called_now<'a>(&'a self, queue: &'a str) -> &'a str {
        let is_declared = self.new.queues.contains_key(queue);
        self.new_name(MovedKind::Queue, queue).filter(|_| !is_declared).unwrap_or(queue)
    }

    /// What a user, by the name he had, is called now.
    pub fn user_now<'a>(&'a self, user: &'a str) -> &'a str {
        let is_declared = self.new.users.contains_key(user);
        self.new_name(MovedKind::User, user).filter(|_| !is_declared).unwrap_or(user)
    }

    fn new_name(&self, kind: MovedKind, name: &str) -> Option<&str> {
        let mut moves = self.new.moved.iter().filter(|moved| moved.kind == kind);
        moves.find(|moved| moved.from == name).map(|moved| moved.to.as_str())
    }
}

/// How one kind of object is spoken of.
pub(super) struct Kind<V> {
    /// Kind as in YAML.
    pub name: &'static str,
    /// Its switch.
    pub state: fn(&V) -> Switch,
    /// What it means that it is there and in use.
    pub begins: fn(Both<'_>, &V, Start) -> String,
    /// What it means that it is no longer there, or no longer in use.
    pub ends: fn(Both<'_>, &V, End) -> String,
    /// What differs, in words.
    pub differs: fn(Both<'_>, &V, &V) -> Told,
    /// What follows a new name.
    pub follows: &'static str,
}

/// How an object comes into use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// It is new.
    New,
    /// It was switched off before.
    Again,
}

/// How an object goes out of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is no longer declared.
    Gone,
    /// It is kept for the record.
    Disabled,
    /// It rests for a while.
    Paused,
}

impl End {
    /// By its switch; `None` if it is in use.
    pub fn of(state: Switch) -> Option<End> {
        match state {
            Switch::Enabled => None,
            Switch::Disabled => Some(End::Disabled),
            Switch::Paused => Some(End::Paused),
        }
    }

    /// As in YAML.
    pub fn word(self) -> &'static str {
        match self {
            End::Gone => "gone",
            End::Disabled => "disabled",
            End::Paused => "paused",
        }
    }
}

/// What a change in place means.
#[derive(Default)]
pub(super) struct Told {
    /// Whether its task is started again.
    pub restarts: bool,
    /// What stays as it was, worth a word only if the object keeps its name and its switch.
    pub stays: Option<&'static str>,
    /// One consequence each.
    pub sentences: Vec<String>,
}

impl Told {
    /// Adds a sentence if something differs.
    pub fn when(&mut self, differs: bool, sentence: impl FnOnce() -> String) {
        if differs {
            self.sentences.push(sentence());
        }
    }

    /// All of it as one.
    pub fn text(&self) -> String {
        let stays = self.stays.into_iter();
        match self.sentences.as_slice() {
            // All else that an object can show of a difference is told.
            [] => FOLLOWS_A_NAME.into(),
            some => stays.chain(some.iter().map(String::as_str)).collect::<Vec<_>>().join("; "),
        }
    }

    /// What happens to the object.
    pub fn action(&self) -> Action {
        if self.restarts { Action::Restart } else { Action::Change }
    }
}

/// What is said of an object that names another one, which is called otherwise now.
pub(super) const FOLLOWS_A_NAME: &str = "follows a new name; nothing else changes";

/// Names of fields with a verb: `host changes`, `host, port change`.
pub(super) fn change(names: &[&str]) -> String {
    match names {
        [one] => format!("{one} changes"),
        many => format!("{} change", many.join(", ")),
    }
}

/// Names of those that differ.
pub(super) fn differing<'a>(fields: &[(&'a str, bool)]) -> Vec<&'a str> {
    fields.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect()
}

/// How many names are written out.
const NAMES_MAX: usize = 5;

/// Names of objects, the first ones of many: `a, b and 7 more`.
pub(super) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let all: Vec<&str> = names.into_iter().collect();
    match all.len().checked_sub(NAMES_MAX) {
        None | Some(0) => all.join(", "),
        Some(more) => format!("{} and {more} more", all[..NAMES_MAX].join(", ")),
    }
}

/// A time as people write it: `10m`, `1h 30m`, `30d`.
pub(super) fn time(duration: std::time::Duration) -> String {
    const DAY_SECS: u64 = 24 * 3600;
    let seconds = duration.as_secs();
    if seconds >= 2 * DAY_SECS && seconds.is_multiple_of(DAY_SECS) {
        return format!("{}d", seconds / DAY_SECS);
    }
    let signed = jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX);
    format!("{signed:#}")
}

/// A size as people write it: `32 MiB`.
pub(super) fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    unit.map_or(format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}
