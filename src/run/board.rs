//! The conditions of every object: what `postroom status`, the API and the metrics show.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use serde::Serialize;

/// Conditions of all objects. Written by the tasks, read by everybody.
#[derive(Debug, Default)]
pub struct Board {
    objects: Mutex<BTreeMap<(Kind, String), ObjectStatus>>,
}

/// Kinds of objects that have conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A mail account.
    MailAccount,
    /// An SMTP server.
    Smtp,
}

/// How one object is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its conditions, each kind at most once.
    pub conditions: Vec<Condition>,
    /// Revision its task works under.
    pub observed_revision: Arc<str>,
    /// When it last did its work without an error.
    pub last_success: Option<Timestamp>,
    /// When it will look again.
    pub next_poll: Option<Timestamp>,
    /// Mails that wait for it.
    pub backlog: Option<u64>,
    /// Failures since the last success.
    pub consecutive_failures: u32,
}

/// One thing that is so, or not, or not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    pub kind: ConditionKind,
    /// `true`, `false` or not known.
    pub status: Option<bool>,
    /// One word for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// Kinds of conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum ConditionKind {
    /// It does its work.
    Ready,
    /// The network leads there.
    Reachable,
    /// The login is accepted.
    Authenticated,
    /// It is declared paused or disabled.
    Suspended,
}

impl Kind {
    /// As in labels and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Kind::MailAccount => "mailAccount",
            Kind::Smtp => "smtp",
        }
    }
}

impl Board {
    /// All objects, by kind and name.
    pub fn all(&self) -> Vec<ObjectStatus> {
        self.lock().values().cloned().collect()
    }

    /// Makes entries for those of these objects that have none. All at once, because a tree that
    /// grows one by one leaves half of its room empty.
    pub fn enter<'a>(&self, objects: impl IntoIterator<Item = (Kind, &'a str)>) {
        let mut known = self.lock();
        let objects = objects.into_iter().map(|(kind, name)| (kind, name.to_owned()));
        let fresh = objects.filter(|object| !known.contains_key(object));
        let mut fresh = fresh.map(|object| (object.clone(), ObjectStatus::new(object))).collect();
        known.append(&mut fresh);
    }

    /// Changes what is known of an object; makes the entry if there is none.
    pub fn update(&self, kind: Kind, name: &str, change: impl FnOnce(&mut ObjectStatus)) {
        let mut objects = self.lock();
        let entry = objects.entry((kind, name.to_owned()));
        change(entry.or_insert_with(|| ObjectStatus::new((kind, name.to_owned()))));
    }

    /// Forgets an object that is no longer declared.
    pub fn remove(&self, kind: Kind, name: &str) {
        self.lock().remove(&(kind, name.to_owned()));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Kind, String), ObjectStatus>> {
        self.objects.lock().expect("no panic while holding the board")
    }
}

impl ObjectStatus {
    fn new((kind, name): (Kind, String)) -> ObjectStatus {
        ObjectStatus {
            kind,
            name,
            conditions: Vec::new(),
            observed_revision: Arc::default(),
            last_success: None,
            next_poll: None,
            backlog: None,
            consecutive_failures: 0,
        }
    }

    /// Sets a condition; `since` moves only if its status changes.
    pub fn set(
        &mut self,
        kind: ConditionKind,
        status: Option<bool>,
        reason: &'static str,
        message: &str,
        now: Timestamp,
    ) {
        let before = self.conditions.iter().find(|condition| condition.kind == kind);
        let since =
            before.filter(|before| before.status == status).map_or(now, |before| before.since);
        self.conditions.retain(|condition| condition.kind != kind);
        self.conditions.push(Condition {
            kind,
            status,
            reason,
            message: message.to_owned(),
            since,
        });
        self.conditions.sort_by_key(|condition| condition.kind);
    }
}
