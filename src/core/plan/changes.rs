//! What a revision changes, object by object, in words for people.
//!
//! Architecture invariant: words only. What is done is said by [`super::plan`]; nothing decides
//! by what stands here, and no secret's value is known here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

use super::{Action, Change, idle_account, idle_server, without};
use crate::core::config::{
    Account, AfterFetch, ApiToken, AutoReply, Config, CustomerProfile, Desk, Intake, Limits, Moved,
    MovedKind, NotificationText, OAuthProfile, OAuthProvider, Queue, Sender, Since, SmtpServer,
    Switch, SystemAddress, User, Webhook,
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
    all.extend(single("signIn", &old.sign_in, &new.sign_in, |_, _| SIGN_IN.to_owned()));
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
    all.extend(compare(&WEBHOOK, &old.webhooks, &new.webhooks, &nobody));
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
    begins: |_| "gives tokens".into(),
    ends: "gives no more tokens",
    changes: |_, _| (Action::Change, "counts from the next token on".into()),
};

const PROFILE: Kind<OAuthProfile> = Kind {
    name: "oauth2.profiles",
    state: |_| Switch::Enabled,
    begins: |_| "accounts can sign in with it".into(),
    ends: "nobody signs in with it any more",
    changes: |_, _| (Action::Change, "counts from the next token on".into()),
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
            ("answer", old.answer != new.answer),
            ("followUp", old.follow_up != new.follow_up),
            ("lockTimeout", old.lock_timeout != new.lock_timeout),
        ]);
        (Action::Change, format!("{fields} from the next mail on"))
    },
};

const SYSTEM_ADDRESS: Kind<Arc<SystemAddress>> = Kind {
    name: "systemAddresses",
    state: |address| address.state,
    begins: |address| format!("mail to it goes to queue {}", address.queue),
    ends: "mail to it goes by the other rules",
    changes: |old, new| {
        let effect = if old.queue != new.queue {
            format!("mail to it goes to queue {}, no longer to {}", new.queue, old.queue)
        } else if old.internal != new.internal {
            let word = if new.internal { "stays inside" } else { "goes on to customers" };
            format!("what agents write to it {word}")
        } else {
            "display name changes".into()
        };
        (Action::Change, effect)
    },
};

const FILTER: Kind<Arc<Filter>> = Kind {
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

const WEBHOOK: Kind<Webhook> = Kind {
    name: "webhooks",
    state: |webhook| webhook.state,
    begins: |_| "is told from the next event on".into(),
    ends: "is told nothing more; what it is owed waits for 5 days",
    changes: |old, new| {
        let fields = fields(&[
            ("url", old.url != new.url),
            ("events", old.events != new.events),
            ("queues", old.queues != new.queues),
            ("secret", old.secret != new.secret),
            ("texts", old.texts != new.texts),
            ("allowPrivate", old.allow_private != new.allow_private),
            ("tls", old.tls != new.tls),
        ]);
        (Action::Change, format!("{fields} from the next event on"))
    },
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
        (old.role != new.role, format!("role of {name} changes; who is signed in signs in again")),
        (old.password_hash != new.password_hash, format!("password of {name} is found elsewhere")),
        (old.time_zone != new.time_zone, format!("time zone of {name} changes")),
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

/// What a change of `signIn` means.
const SIGN_IN: &str =
    "whoever signs in from now on; sessions of another provider end within minutes";

fn intake(old: &Intake, new: &Intake) -> String {
    let fields = fields(&[
        ("customers", old.customers != new.customers),
        ("dedupe", old.dedupe != new.dedupe),
        ("cc", old.cc != new.cc),
        ("authservId", old.authserv_id != new.authserv_id),
        ("internalMarker", old.internal_marker != new.internal_marker),
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
        ("autoRepliesPerTicket", old.auto_replies_per_ticket != new.auto_replies_per_ticket),
        ("autoRepliesPerSubject", old.auto_replies_per_subject != new.auto_replies_per_subject),
        ("autoRepliesPerHour", old.auto_replies_per_hour != new.auto_replies_per_hour),
        ("notificationsPerHour", old.notifications_per_hour != new.notifications_per_hour),
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
    let (old, new) = (without(old, new), without(new, old));
    let before: BTreeMap<String, &V> = old.iter().map(|(key, v)| (key.to_string(), *v)).collect();
    let mut taken = BTreeSet::new();
    let mut found = Vec::new();
    let mut tell = |name: &str, (action, effect)| {
        found.push(Change { kind: kind.name, name: name.into(), action, effect });
    };
    for (name, object) in new.iter().map(|(key, object)| (key.to_string(), *object)) {
        let predecessor = renamed.get(name.as_str()).and_then(|old| Some((old, before.get(*old)?)));
        match (before.get(&name), predecessor) {
            (Some(other), _) => tell(&name, kind.change(other, object)),
            (None, Some((old_name, other))) => {
                taken.insert(old_name.to_string());
                tell(&name, kind.rename(old_name, other, object));
            }
            (None, None) => tell(&name, kind.create(object)),
        }
    }
    let declared: BTreeSet<String> = new.keys().map(|key| key.to_string()).collect();
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

fn by_name(filters: &[Arc<Filter>]) -> BTreeMap<&str, Arc<Filter>> {
    filters.iter().map(|filter| (filter.name.as_str(), filter.clone())).collect()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::tests::{any_config, config, endpoint, imap, password, server};
    use super::*;
    use crate::core::config::{
        Channels, ClientAuth, Dispatch, Language, Login, Role, Source, Subscriptions, Text,
        TlsOptions,
    };
    use crate::core::filter::Settings;
    use crate::core::ticket::samples;

    #[track_caller]
    fn check(running: &Config, desired: &Config, expected: &[&str]) {
        let one = |change: &Change| {
            format!("{:?} {} {}: {}", change.action, change.kind, change.name, change.effect)
        };
        let told: Vec<String> = changes(running, desired).iter().map(one).collect();
        assert_eq!(told, expected);
        assert_eq!(changes(desired, desired), []);
    }

    /// The sample desk, changed.
    #[track_caller]
    fn check_desk(change: impl FnOnce(&mut Config), expected: &[&str]) {
        let running = samples::config();
        let mut desired = running.clone();
        change(&mut desired);
        check(&running, &desired, expected);
    }

    /// One account that becomes another of the same name.
    #[track_caller]
    fn check_account(change: impl FnOnce(&mut Account), expected: &[&str]) {
        let before = imap("a", "x.test");
        let mut after = before.clone();
        change(&mut after);
        check(&config(&[before], &[]), &config(&[after], &[]), expected);
    }

    #[test]
    fn accounts_come_and_go() {
        let (none, one) = (Config::default(), config(&[imap("a", "x.test")], &[]));
        check(
            &none,
            &one,
            &["Create mailAccounts a: starts polling; mail already there is left alone; \
               afterwards mail is marked as seen"],
        );
        check(&one, &none, &["Delete mailAccounts a: stops polling; record kept"]);
        let paused = Account { state: Switch::Paused, ..imap("a", "x.test") };
        check(&none, &config(&[paused], &[]), &["Create mailAccounts a: paused: declared only"]);
    }

    #[test]
    fn accounts_change() {
        check_account(
            |account| account.dispatch = Dispatch::Queue("sales".into()),
            &["Change mailAccounts a: routing only; connection kept"],
        );
        check_account(
            |account| account.connection = imap("a", "y.test").connection,
            &["Restart mailAccounts a: re-dials; cursor kept"],
        );
        check_account(
            |account| account.after_fetch = AfterFetch::Delete,
            &["Change mailAccounts a: routing only; connection kept; \
               after a fetch mail is deleted"],
        );
    }

    #[test]
    fn accounts_are_switched() {
        check_account(
            |account| account.state = Switch::Paused,
            &["Suspend mailAccounts a: stops polling; record kept"],
        );
        let disabled = Account { state: Switch::Disabled, ..imap("a", "x.test") };
        let paused = Account { state: Switch::Paused, ..disabled.clone() };
        let on = config(&[imap("a", "x.test")], &[]);
        let off = config(&[disabled], &[]);
        let resumed = changes(&off, &on);
        assert_eq!(resumed[0].action, Action::Resume);
        assert!(resumed[0].effect.starts_with("starts polling"));
        check(
            &off,
            &config(&[paused], &[]),
            &["Change mailAccounts a: not in use before and after"],
        );
    }

    fn renamed(kind: MovedKind, from: &str, to: &str) -> Moved {
        Moved { kind, from: from.into(), to: to.into() }
    }

    #[test]
    fn a_new_name_keeps_the_record() {
        let running = config(&[imap("info", "x.test")], &[]);
        let mut desired = config(&[imap("support", "x.test")], &[]);
        desired.moved = vec![renamed(MovedKind::MailAccount, "info", "support")];
        check(&running, &desired, &["Move mailAccounts support: was info; record kept"]);
        // Without saying so it is another account.
        desired.moved.clear();
        let actions: Vec<Action> =
            changes(&running, &desired).iter().map(|change| change.action).collect();
        assert_eq!(actions, [Action::Create, Action::Delete]);
    }

    #[test]
    fn queues_and_users_are_renamed_too() {
        check_desk(
            |config| {
                let queue = config.queues.remove("sales").unwrap();
                config.queues.insert("shop".into(), Queue { name: "shop".into(), ..queue });
                let user = config.users.remove("dave").unwrap();
                config.users.insert("david".into(), User { name: "david".into(), ..user });
                config.moved = vec![
                    renamed(MovedKind::Queue, "sales", "shop"),
                    renamed(MovedKind::User, "dave", "david"),
                ];
            },
            &[
                "Move queues shop: was sales; record kept",
                "Move users david: was dave; record kept",
            ],
        );
    }

    #[test]
    fn renames_that_no_object_shows() {
        let mut with = samples::config();
        with.moved = vec![renamed(MovedKind::MailAccount, "old", "new")];
        check(
            &samples::config(),
            &with,
            &["Create moved mailAccount old -> new: \
               what is on record under the old name is taken over"],
        );
        check(
            &with,
            &samples::config(),
            &["Delete moved mailAccount old -> new: no effect; it was carried out"],
        );
    }

    #[test]
    fn servers() {
        let running = config(&[], &[server("relay", "s.test")]);
        let more = SmtpServer { connections: 4, ..server("relay", "s.test") };
        check(
            &running,
            &config(&[], &[more]),
            &["Restart smtp relay: connections are made anew; owed mail waits for them"],
        );
        let off = SmtpServer { state: Switch::Paused, ..server("relay", "s.test") };
        check(
            &running,
            &config(&[], &[off]),
            &["Suspend smtp relay: owed mail goes through the next server of its sender, or waits"],
        );
    }

    #[test]
    fn senders() {
        check_desk(
            |config| config.senders.get_mut("default").unwrap().via = vec!["backup".into()],
            &["Change senders default: via changes; mail already owed keeps its From"],
        );
    }

    #[test]
    fn queues() {
        check_desk(
            |config| {
                let queue = config.queues.get_mut("support").unwrap();
                queue.sender = Some("default".into());
                queue.follow_up.lock = true;
            },
            &["Change queues support: sender, followUp change from the next mail on"],
        );
        check_desk(
            |config| {
                config.queues.remove("sales");
            },
            &["Delete queues sales: its tickets stay and keep its name"],
        );
    }

    #[test]
    fn system_addresses() {
        check_desk(
            |config| {
                let address = samples::address("sales@desk.test");
                let ours = config.system_addresses.get_mut(&address).unwrap();
                Arc::make_mut(ours).queue = "support".into();
            },
            &["Change systemAddresses sales@desk.test: \
               mail to it goes to queue support, no longer to sales"],
        );
    }

    #[test]
    fn filters() {
        let filter = |order| Filter {
            name: "vip".into(),
            order,
            conditions: Vec::new(),
            set: Settings::default(),
            on_follow_up: Settings::default(),
            stop: false,
            state: Switch::Enabled,
        };
        let with = |order| Config { filters: vec![filter(order).into()], ..Config::default() };
        check(&Config::default(), &with(1), &["Create filters vip: runs at order 1"]);
        check(&with(1), &with(2), &["Change filters vip: order changes from the next mail on"]);
        check(&with(1), &Config::default(), &["Delete filters vip: no longer runs"]);
    }

    #[test]
    fn users() {
        let user = |name: &str| samples::user(name, &["support"]);
        check_desk(
            |config| {
                let alice = config.users.get_mut("alice").unwrap();
                alice.subscriptions = Subscriptions::default();
                let bob = config.users.get_mut("bob").unwrap();
                bob.role = Role::Admin;
                bob.email = samples::address("b@agents.test");
                config.users.get_mut("carol").unwrap().language = Language::Ja;
                config.users.remove("dave");
                config.users.insert("zoe".into(), user("zoe"));
            },
            &[
                "Change users alice: subscriptions of alice change",
                "Change users bob: notifications go to b@agents.test; \
                 role of bob changes; who is signed in signs in again",
                "Change users carol: name or language of carol changes",
                "Create users zoe: may sign in; hears of what is subscribed",
                "Delete users dave: told nothing any more; history stays",
            ],
        );
    }

    #[test]
    fn a_channel_is_a_subscription() {
        check_desk(
            |config| {
                let web = Channels { mail: false, web: true };
                let alice = config.users.get_mut("alice").unwrap();
                alice.subscriptions.events.insert(EventKind::NoteAdded, web.into());
            },
            &["Change users alice: subscriptions of alice change"],
        );
    }

    #[test]
    fn parts_of_which_there_is_one() {
        check_desk(
            |config| {
                config.desk.name = "B".into();
                config.desk.hook = "Case#".into();
                config.intake.dedupe = crate::core::config::Dedupe::Global;
                config.limits.auto_replies_per_day = 1;
            },
            &[
                "Change desk desk: name, hook change from the next mail on; \
                 subjects with the old hook are no longer recognised",
                "Change intake intake: dedupe changes from the next mail on",
                "Change limits limits: autoRepliesPerDay changes",
            ],
        );
    }

    #[test]
    fn texts_customers_tokens_and_oauth2() {
        check_desk(
            |config| {
                let text = NotificationText::default();
                config.notification_texts.insert(EventKind::NoteAdded, text);
                let eve = samples::address("eve@cust.test");
                config.customers.insert(eve, CustomerProfile::default());
                let provider = OAuthProvider {
                    auth_url: String::new(),
                    token_url: String::new(),
                    device_url: None,
                    client_auth: ClientAuth::Basic,
                    auth_params: BTreeMap::new(),
                    refresh_token_life: None,
                    allow_private: false,
                    tls: TlsOptions::default(),
                    services: BTreeMap::new(),
                };
                config.oauth2.providers.insert("azure".into(), provider);
                let token = ApiToken {
                    name: "ci".into(),
                    sha256: [0; 32],
                    role: Role::Viewer,
                    expires: None,
                    state: Switch::Enabled,
                };
                config.api_tokens.insert("ci".into(), token);
            },
            &[
                "Create oauth2.providers azure: gives tokens",
                "Create customers eve@cust.test: known from the next mail on",
                "Create apiTokens ci: accepted",
                "Create notificationTexts noteAdded: replaces the built-in text",
            ],
        );
    }

    #[test]
    fn no_secret_is_spoken_of() {
        let running = config(&[imap("a", "x.test")], &[]);
        let mut account = imap("a", "x.test");
        let folder = "INBOX".into();
        let reference = crate::core::config::SecretRef::Named("s3cret-place".into());
        let username = Text::Plain("desk".into());
        let login = Login::Password { username, password: reference };
        assert_ne!(login, password());
        account.connection = Source::Imap { endpoint: endpoint("x.test"), login, folder };
        let told = format!("{:?}", changes(&running, &config(&[account], &[])));
        assert!(told.contains("re-dials") && !told.contains("s3cret-place"));
    }

    proptest! {
        #[test]
        fn every_difference_is_told_once(running in any_config(), desired in any_config()) {
            let told = changes(&running, &desired);
            prop_assert_eq!(told.is_empty(), running == desired);
            let names: BTreeSet<_> = told.iter().map(|change| (change.kind, &change.name)).collect();
            prop_assert_eq!(names.len(), told.len());
            prop_assert!(told.iter().all(|change| !change.effect.is_empty()));
        }
    }
}
