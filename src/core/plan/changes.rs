//! What a revision changes, object by object, in words for people.
//!
//! Architecture invariant: words only. What is done is said by [`super::plan`]; nothing decides
//! by what stands here, and no secret's value is known here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

use super::{Action, Change, idle_account, idle_server};
use crate::core::config::{
    Account, AfterFetch, ApiToken, AutoReply, Config, CustomerProfile, Desk, Intake, Limits, Moved,
    MovedKind, NotificationText, OAuthProfile, OAuthProvider, Queue, Sender, Since, SmtpServer,
    Switch, SystemAddress, User,
};
use crate::core::filter::Filter;
use crate::core::notify::EventKind;

/// What a revision changes, object by object. Empty if nothing changes.
pub fn changes(running: &Config, desired: &Config) -> Vec<Change> {
    let renamed = |kind| renames(&desired.moved, kind);
    let nobody = BTreeMap::new();
    let (old, new) = (running, desired);
    let mut all = Vec::new();
    all.extend(single("desk", &old.desk, &new.desk, desk));
    all.extend(single("intake", &old.intake, &new.intake, intake));
    all.extend(single("limits", &old.limits, &new.limits, limits));
    all.extend(compare(&SMTP, &old.smtp, &new.smtp, &nobody));
    all.extend(compare(&SENDER, &old.senders, &new.senders, &nobody));
    all.extend(compare(&PROVIDER, &old.oauth2.providers, &new.oauth2.providers, &nobody));
    all.extend(compare(&PROFILE, &old.oauth2.profiles, &new.oauth2.profiles, &nobody));
    let accounts = renamed(MovedKind::MailAccount);
    all.extend(compare(&ACCOUNT, &old.accounts, &new.accounts, &accounts));
    all.extend(compare(&QUEUE, &old.queues, &new.queues, &renamed(MovedKind::Queue)));
    all.extend(compare(&SYSTEM_ADDRESS, &old.system_addresses, &new.system_addresses, &nobody));
    let (old_filters, new_filters) = (by_name(&old.filters), by_name(&new.filters));
    all.extend(compare(&FILTER, &old_filters, &new_filters, &nobody));
    all.extend(compare(&AUTO_REPLY, &old.auto_replies, &new.auto_replies, &nobody));
    all.extend(compare(&CUSTOMER, &old.customers, &new.customers, &nobody));
    all.extend(compare(&USER, &old.users, &new.users, &renamed(MovedKind::User)));
    all.extend(compare(&API_TOKEN, &old.api_tokens, &new.api_tokens, &nobody));
    let (old_texts, new_texts) =
        (labelled(&old.notification_texts), labelled(&new.notification_texts));
    all.extend(compare(&TEXT, &old_texts, &new_texts, &nobody));
    let shown = moves(&all);
    all.extend(moved(&old.moved, &new.moved, &shown));
    all
}

/// How one kind of object is spoken of.
struct Kind<V> {
    /// Kind as in YAML.
    name: &'static str,
    /// Its switch.
    state: fn(&V) -> Switch,
    /// What it means that it is there and in use.
    begins: fn(&V) -> String,
    /// What it means that it is no longer there, or no longer in use.
    ends: &'static str,
    /// What a change in place means.
    changes: fn(&V, &V) -> (Action, String),
}

const SMTP: Kind<SmtpServer> = Kind {
    name: "smtp",
    state: |server| server.state,
    begins: |server| unless(idle_server(server), "takes mail".into()),
    ends: "owed mail goes through the next server of its sender, or waits",
    changes: |_, new| match idle_server(new) {
        None => (Action::Restart, "connections are made anew; owed mail waits for them".into()),
        Some(reason) => (Action::Change, format!("not in use: {reason}")),
    },
};

const SENDER: Kind<Sender> = Kind {
    name: "senders",
    state: |sender| sender.state,
    begins: |_| "can be sent as".into(),
    ends: "mail owed by it waits; new mail goes out as the default sender",
    changes: |old, new| {
        let fields = fields(&[
            ("from", old.from != new.from || old.from_name != new.from_name),
            ("envelopeFrom", old.envelope_from != new.envelope_from),
            ("via", old.via != new.via),
        ]);
        (Action::Change, format!("{fields}; mail already owed keeps its From"))
    },
};

const PROVIDER: Kind<OAuthProvider> = Kind {
    name: "oauth2.providers",
    state: |_| Switch::Enabled,
    begins: |_| "kept for checks".into(),
    ends: "no longer known",
    changes: |_, _| (Action::Change, "kept for checks".into()),
};

const PROFILE: Kind<OAuthProfile> = Kind {
    name: "oauth2.profiles",
    state: |_| Switch::Enabled,
    begins: |_| "kept for checks".into(),
    ends: "no longer known",
    changes: |_, _| (Action::Change, "kept for checks".into()),
};

const ACCOUNT: Kind<Arc<Account>> = Kind {
    name: "mailAccounts",
    state: |account| account.state,
    begins: |account| {
        let there = match account.since {
            Since::Linked => "mail already there is left alone".to_owned(),
            Since::All => "mail already there is taken".to_owned(),
            Since::Date(date) => format!("mail already there is taken from {date} on"),
        };
        let after = after_fetch(&account.after_fetch);
        unless(idle_account(account), format!("starts polling; {there}; afterwards {after}"))
    },
    ends: "stops polling; record kept",
    changes: account,
};

const QUEUE: Kind<Queue> = Kind {
    name: "queues",
    state: |queue| queue.state,
    begins: |_| "takes tickets".into(),
    ends: "its tickets stay and keep its name",
    changes: |old, new| {
        let fields = fields(&[
            ("sender", old.sender != new.sender),
            ("autoReplies", old.auto_replies != new.auto_replies),
            ("followUp", old.follow_up != new.follow_up),
            ("lockTimeout", old.lock_timeout != new.lock_timeout),
        ]);
        (Action::Change, format!("{fields} from the next mail on"))
    },
};

const SYSTEM_ADDRESS: Kind<SystemAddress> = Kind {
    name: "systemAddresses",
    state: |address| address.state,
    begins: |address| format!("mail to it goes to queue {}", address.queue),
    ends: "mail to it goes by the other rules",
    changes: |old, new| {
        let effect = if old.queue == new.queue {
            "display name changes".into()
        } else {
            format!("mail to it goes to queue {}, no longer to {}", new.queue, old.queue)
        };
        (Action::Change, effect)
    },
};

const FILTER: Kind<Filter> = Kind {
    name: "filters",
    state: |filter| filter.state,
    begins: |filter| format!("runs at order {}", filter.order),
    ends: "no longer runs",
    changes: |old, new| {
        let fields = fields(&[
            ("order", old.order != new.order),
            ("match", old.conditions != new.conditions),
            ("set", old.set != new.set),
            ("onFollowUp", old.on_follow_up != new.on_follow_up),
            ("stop", old.stop != new.stop),
        ]);
        (Action::Change, format!("{fields} from the next mail on"))
    },
};

const AUTO_REPLY: Kind<AutoReply> = Kind {
    name: "autoReplies",
    state: |reply| reply.state,
    begins: |_| "can be answered with".into(),
    ends: "is not sent any more",
    changes: |old, new| {
        let fields = fields(&[
            ("from", old.from != new.from),
            ("envelopeFrom", old.envelope_from != new.envelope_from),
            ("subject", old.subject != new.subject),
            ("text", old.text != new.text),
        ]);
        (Action::Change, format!("{fields} from the next answer on"))
    },
};

const CUSTOMER: Kind<CustomerProfile> = Kind {
    name: "customers",
    state: |_| Switch::Enabled,
    begins: |_| "known from the next mail on".into(),
    ends: "no longer declared; tickets stay",
    changes: |old, new| {
        let fields = fields(&[
            ("name", old.name != new.name),
            ("company", old.company != new.company),
            ("language", old.language != new.language),
        ]);
        (Action::Change, format!("{fields} from the next mail on"))
    },
};

const USER: Kind<User> = Kind {
    name: "users",
    state: |user| user.state,
    begins: |user| match user.subscriptions.events.is_empty() {
        true => "may sign in; hears of nothing".into(),
        false => "may sign in; hears of what is subscribed".into(),
    },
    ends: "told nothing any more; history stays",
    changes: user,
};

const API_TOKEN: Kind<ApiToken> = Kind {
    name: "apiTokens",
    state: |token| token.state,
    begins: |_| "accepted".into(),
    ends: "no longer accepted",
    changes: |old, new| {
        let fields = fields(&[
            ("sha256", old.sha256 != new.sha256),
            ("role", old.role != new.role),
            ("expires", old.expires != new.expires),
        ]);
        (Action::Change, format!("{fields} at once"))
    },
};

const TEXT: Kind<NotificationText> = Kind {
    name: "notificationTexts",
    state: |_| Switch::Enabled,
    begins: |_| "replaces the built-in text".into(),
    ends: "the built-in text is used again",
    changes: |old, new| {
        let fields =
            fields(&[("subject", old.subject != new.subject), ("text", old.text != new.text)]);
        (Action::Change, format!("{fields} from the next notification on"))
    },
};

fn account(old: &Arc<Account>, new: &Arc<Account>) -> (Action, String) {
    if let Some(reason) = idle_account(new) {
        return (Action::Change, format!("not polled: {reason}"));
    }
    if idle_account(old).is_some() {
        return (Action::Restart, (ACCOUNT.begins)(new));
    }
    let (action, effect) = if old.connection == new.connection {
        (Action::Change, "routing only; connection kept")
    } else {
        (Action::Restart, "re-dials; cursor kept")
    };
    // Whoever reviews the change must see that mail will be deleted.
    let after = if old.after_fetch == new.after_fetch {
        String::new()
    } else {
        format!("; after a fetch {}", after_fetch(&new.after_fetch))
    };
    (action, format!("{effect}{after}"))
}

fn after_fetch(after: &AfterFetch) -> String {
    match after {
        AfterFetch::Delete => "mail is deleted".into(),
        AfterFetch::Seen => "mail is marked as seen".into(),
        AfterFetch::Move(folder) => format!("mail is moved to {folder}"),
        AfterFetch::Keep => "mail is left as it is".into(),
    }
}

fn user(old: &User, new: &User) -> (Action, String) {
    let name = &new.name;
    let parts = [
        (old.subscriptions != new.subscriptions, format!("subscriptions of {name} change")),
        (old.email != new.email, format!("notifications go to {}", new.email)),
        (old.role != new.role, format!("role of {name} changes")),
        (
            old.full_name != new.full_name || old.language != new.language,
            format!("name or language of {name} changes"),
        ),
    ];
    let told: Vec<String> =
        parts.into_iter().filter(|(changes, _)| *changes).map(|(_, words)| words).collect();
    (Action::Change, told.join("; "))
}

fn desk(old: &Desk, new: &Desk) -> String {
    let fields = fields(&[
        ("name", old.name != new.name),
        ("hook", old.hook != new.hook),
        ("systemId", old.system_id != new.system_id),
        ("language", old.language != new.language),
        ("timeZone", old.time_zone != new.time_zone),
    ]);
    let hook = if old.hook == new.hook {
        ""
    } else {
        "; subjects with the old hook are no longer recognised"
    };
    format!("{fields} from the next mail on{hook}")
}

fn intake(old: &Intake, new: &Intake) -> String {
    let fields = fields(&[
        ("customers", old.customers != new.customers),
        ("dedupe", old.dedupe != new.dedupe),
    ]);
    format!("{fields} from the next mail on")
}

fn limits(old: &Limits, new: &Limits) -> String {
    fields(&[
        ("autoRepliesPerDay", old.auto_replies_per_day != new.auto_replies_per_day),
        (
            "autoRepliesPerThreeHours",
            old.auto_replies_per_three_hours != new.auto_replies_per_three_hours,
        ),
        ("autoRepliesPerAddress", old.auto_replies_per_address != new.auto_replies_per_address),
        ("connectionsPerHost", old.connections_per_host != new.connections_per_host),
    ])
}

/// A part of the configuration of which there is one.
fn single<V: PartialEq>(
    kind: &'static str,
    old: &V,
    new: &V,
    words: fn(&V, &V) -> String,
) -> Option<Change> {
    (old != new).then(|| Change {
        kind,
        name: kind.into(),
        action: Action::Change,
        effect: words(old, new),
    })
}

/// Objects of one kind: by name of the new ones, those that are gone last.
/// `renamed` gives the old name for a new one.
fn compare<K: Ord + Display, V: PartialEq>(
    kind: &Kind<V>,
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    renamed: &BTreeMap<&str, &str>,
) -> Vec<Change> {
    let before: BTreeMap<String, &V> = old.iter().map(|(key, v)| (key.to_string(), v)).collect();
    let mut taken = BTreeSet::new();
    let mut found = Vec::new();
    let mut tell = |name: &str, (action, effect)| {
        found.push(Change { kind: kind.name, name: name.into(), action, effect });
    };
    for (name, object) in new.iter().map(|(key, object)| (key.to_string(), object)) {
        let predecessor = renamed.get(name.as_str()).and_then(|old| Some((old, before.get(*old)?)));
        match (before.get(&name), predecessor) {
            (Some(same), _) if *same == object => {}
            (Some(other), _) => tell(&name, kind.change(other, object)),
            (None, Some((old_name, other))) => {
                taken.insert(old_name.to_string());
                tell(&name, kind.rename(old_name, other, object));
            }
            (None, None) => tell(&name, kind.create(object)),
        }
    }
    let declared: BTreeSet<String> = new.keys().map(K::to_string).collect();
    for name in before.keys().filter(|name| !declared.contains(*name) && !taken.contains(*name)) {
        tell(name, (Action::Delete, kind.ends.into()));
    }
    found
}

impl<V: PartialEq> Kind<V> {
    fn create(&self, object: &V) -> (Action, String) {
        let effect = match (self.state)(object) {
            Switch::Enabled => (self.begins)(object),
            Switch::Disabled => "disabled: declared only".into(),
            Switch::Paused => "paused: declared only".into(),
        };
        (Action::Create, effect)
    }

    fn change(&self, old: &V, new: &V) -> (Action, String) {
        let is_on = |object| (self.state)(object) == Switch::Enabled;
        match (is_on(old), is_on(new)) {
            (true, true) => (self.changes)(old, new),
            (true, false) => (Action::Suspend, self.ends.into()),
            (false, true) => (Action::Resume, (self.begins)(new)),
            (false, false) => (Action::Change, "not in use before and after".into()),
        }
    }

    /// A new name, perhaps with other changes besides.
    fn rename(&self, old_name: &str, old: &V, new: &V) -> (Action, String) {
        (Action::Move, format!("was {old_name}; record kept{}", self.besides(old, new)))
    }

    fn besides(&self, old: &V, new: &V) -> String {
        match ((self.state)(old), (self.state)(new)) {
            (Switch::Enabled, Switch::Enabled) | (Switch::Paused, Switch::Paused) => String::new(),
            (Switch::Disabled, Switch::Disabled) => String::new(),
            (_, Switch::Enabled) => format!("; {}", (self.begins)(new)),
            (_, Switch::Disabled | Switch::Paused) => format!("; {}", self.ends),
        }
    }
}

/// Renames that no object shows: the object went long ago, or is declared under both names.
fn moved(old: &[Moved], new: &[Moved], shown: &BTreeSet<String>) -> Vec<Change> {
    let change = |moved: &Moved, action, effect: &str| Change {
        kind: "moved",
        name: format!("{} {} -> {}", moved_kind(moved.kind), moved.from, moved.to),
        action,
        effect: effect.into(),
    };
    let added = new.iter().filter(|one| !old.contains(one) && !shown.contains(&one.to));
    let removed = old.iter().filter(|one| !new.contains(one));
    added
        .map(|one| {
            change(one, Action::Create, "what is on record under the old name is taken over")
        })
        .chain(removed.map(|one| change(one, Action::Delete, "no effect; it was carried out")))
        .collect()
}

fn moves(changes: &[Change]) -> BTreeSet<String> {
    let is_move = |change: &&Change| change.action == Action::Move;
    changes.iter().filter(is_move).map(|change| change.name.clone()).collect()
}

fn moved_kind(kind: MovedKind) -> &'static str {
    match kind {
        MovedKind::MailAccount => "mailAccount",
        MovedKind::Queue => "queue",
        MovedKind::User => "user",
    }
}

fn renames(moved: &[Moved], kind: MovedKind) -> BTreeMap<&str, &str> {
    let of_kind = moved.iter().filter(|one| one.kind == kind);
    of_kind.map(|one| (one.to.as_str(), one.from.as_str())).collect()
}

fn by_name(filters: &[Filter]) -> BTreeMap<String, Filter> {
    filters.iter().map(|filter| (filter.name.clone(), filter.clone())).collect()
}

fn labelled(texts: &BTreeMap<EventKind, NotificationText>) -> BTreeMap<&str, NotificationText> {
    texts.iter().map(|(event, text)| (event.label(), text.clone())).collect()
}

/// Names of the fields that differ, with a verb: `sender, via change`.
fn fields(differ: &[(&str, bool)]) -> String {
    let names: Vec<&str> =
        differ.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    match names.as_slice() {
        [] => "nothing visible changes".into(),
        [one] => format!("{one} changes"),
        many => format!("{} change", many.join(", ")),
    }
}

fn unless(reason: Option<&str>, effect: String) -> String {
    reason.map_or(effect, |reason| format!("not in use: {reason}"))
}
