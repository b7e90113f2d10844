//! What a revision changes, object by object, in words for people.
//!
//! Architecture invariant: words only. What is done is said by [`super::plan`]; nothing decides
//! by what stands here, and no secret's value is known here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

use super::words::{
    self, ACCOUNT, API_TOKEN, AUTO_REPLY, Both, CUSTOMER, End, FILTER, Kind, NOTIFICATION, PROFILE,
    PROVIDER, QUEUE, SENDER, SMTP, SYSTEM_ADDRESS, Start, Told, USER, WEBHOOK,
};
use super::{Action, Change, Differing, Edit};
use crate::core::config::{Moved, MovedKind, NotificationText};
use crate::core::filter::Filter;
use crate::core::notify::EventKind;

/// What a revision changes, object by object. Empty if nothing changes.
pub fn changes(edit: &Edit<'_>) -> Vec<Change> {
    let (old, new) = (edit.running, edit.desired);
    let both = Both { old, new };
    let renamed = |kind| renames(&new.moved, kind);
    let nobody = BTreeMap::new();
    let mut all = Vec::new();
    let mut single = |kind: &'static str, differs: bool, words: &dyn Fn() -> Told| {
        all.extend(differs.then(|| one(kind, kind, words().text())));
    };
    single("desk", old.desk != new.desk, &|| words::desk(&old.desk, &new.desk));
    single("intake", old.intake != new.intake, &|| words::intake(&old.intake, &new.intake));
    single("limits", old.limits != new.limits, &|| words::limits(&old.limits, &new.limits));
    single("signIn", old.sign_in != new.sign_in, &|| words::sign_in(both));
    all.extend(compare(&SMTP, both, &old.smtp, &new.smtp, &nobody));
    all.extend(compare(&SENDER, both, &old.senders, &new.senders, &nobody));
    let (before, after) = (&old.oauth2, &new.oauth2);
    let key = before.seal_key != after.seal_key;
    all.extend(key.then(|| one("oauth2", "sealKey", words::seal_key(both))));
    all.extend(compare(&PROVIDER, both, &before.providers, &after.providers, &nobody));
    all.extend(compare(&PROFILE, both, &before.profiles, &after.profiles, &nobody));
    let accounts = renamed(MovedKind::MailAccount);
    all.extend(tell(&ACCOUNT, both, &edit.accounts, &accounts));
    let queues = renamed(MovedKind::Queue);
    all.extend(compare(&QUEUE, both, &old.queues, &new.queues, &queues));
    let (before, after) = (&old.system_addresses, &new.system_addresses);
    all.extend(compare(&SYSTEM_ADDRESS, both, before, after, &nobody));
    let (before, after) = (by_name(&old.filters), by_name(&new.filters));
    all.extend(compare(&FILTER, both, &before, &after, &nobody));
    all.extend(compare(&AUTO_REPLY, both, &old.auto_replies, &new.auto_replies, &nobody));
    all.extend(compare(&CUSTOMER, both, &old.customers, &new.customers, &nobody));
    let users = renamed(MovedKind::User);
    all.extend(compare(&USER, both, &old.users, &new.users, &users));
    all.extend(compare(&API_TOKEN, both, &old.api_tokens, &new.api_tokens, &nobody));
    all.extend(compare(&WEBHOOK, both, &old.webhooks, &new.webhooks, &nobody));
    let (before, after) = (labelled(&old.notification_texts), labelled(&new.notification_texts));
    all.extend(compare(&NOTIFICATION, both, &before, &after, &nobody));
    let shown = moves(&all);
    all.extend(moved(&old.moved, &new.moved, &shown));
    all
}

/// A part of the configuration of which there is one.
fn one(kind: &'static str, name: &str, effect: String) -> Change {
    Change { kind, name: name.into(), action: Action::Change, effect }
}

/// Objects of one kind.
fn compare<K: Ord + Display, V: PartialEq>(
    kind: &Kind<V>,
    both: Both<'_>,
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    renamed: &BTreeMap<&str, &str>,
) -> Vec<Change> {
    tell(kind, both, &Differing::of(old, new), renamed)
}

/// What differs of one kind: by name of the new objects, those that are gone last.
/// `renamed` gives the old name for a new one.
fn tell<K: Ord + Display, V: PartialEq>(
    kind: &Kind<V>,
    both: Both<'_>,
    Differing { old, new }: &Differing<'_, K, V>,
    renamed: &BTreeMap<&str, &str>,
) -> Vec<Change> {
    let before: BTreeMap<String, &V> = old.iter().map(|(key, v)| (key.to_string(), *v)).collect();
    let mut taken = BTreeSet::new();
    let mut found = Vec::new();
    let mut tell = |name: &str, (action, effect)| {
        found.push(Change { kind: kind.name, name: name.into(), action, effect });
    };
    for (name, object) in new.iter().map(|(key, object)| (key.to_string(), *object)) {
        let predecessor = renamed.get(name.as_str()).and_then(|old| Some((old, before.get(*old)?)));
        match (before.get(&name), predecessor) {
            (Some(other), _) => tell(&name, kind.change(both, other, object)),
            (None, Some((old_name, other))) => {
                taken.insert(old_name.to_string());
                tell(&name, kind.rename(both, old_name, other, object));
            }
            (None, None) => tell(&name, kind.create(both, object)),
        }
    }
    let declared: BTreeSet<String> = new.keys().map(|key| key.to_string()).collect();
    let gone =
        before.iter().filter(|(name, _)| !declared.contains(*name) && !taken.contains(*name));
    for (name, object) in gone {
        tell(name, (Action::Delete, (kind.ends)(both, object, End::Gone)));
    }
    found
}

impl<V: PartialEq> Kind<V> {
    fn create(&self, both: Both<'_>, object: &V) -> (Action, String) {
        let effect = match End::of((self.state)(object)) {
            None => (self.begins)(both, object, Start::New),
            Some(end) => format!("{}: declared only", end.word()),
        };
        (Action::Create, effect)
    }

    fn change(&self, both: Both<'_>, old: &V, new: &V) -> (Action, String) {
        let told = (self.differs)(both, old, new);
        let ends = |end| (self.ends)(both, old, end);
        let (action, effect) = match (End::of((self.state)(old)), End::of((self.state)(new))) {
            (None, None) => return (told.action(), told.text()),
            (Some(_), None) => {
                let begins = (self.begins)(both, new, Start::Again);
                return (Action::Resume, with(&told, "", begins));
            }
            (None, Some(end)) => (Action::Suspend, format!("{}: {}", end.word(), ends(end))),
            // To some kinds the one switch means something else than the other.
            (Some(before), Some(end)) if before != end && ends(before) != ends(end) => {
                (Action::Change, format!("{}, was {}: {}", end.word(), before.word(), ends(end)))
            }
            (Some(_), Some(end)) => (Action::Change, format!("not in use: {}", end.word())),
        };
        (action, with(&told, "once enabled: ", effect))
    }

    /// A new name, perhaps with other changes besides.
    fn rename(&self, both: Both<'_>, old_name: &str, old: &V, new: &V) -> (Action, String) {
        let effect = format!("was {old_name}; {}", self.follows);
        let told = (self.differs)(both, old, new);
        let switched = (self.state)(old) != (self.state)(new);
        if told.sentences.is_empty() && !switched {
            return (Action::Move, effect);
        }
        let besides = match switched {
            true => self.change(both, old, new).1,
            false => told.sentences.join("; "),
        };
        (Action::Move, format!("{effect}; {besides}"))
    }
}

/// What else changes, behind what counts most.
fn with(told: &Told, joint: &str, effect: String) -> String {
    match told.sentences.as_slice() {
        [] => effect,
        sentences => format!("{effect}; {joint}{}", sentences.join("; ")),
    }
}

/// Renames that no object shows: the object went long ago, or is declared under both names.
fn moved(old: &[Moved], new: &[Moved], shown: &BTreeSet<(&str, String)>) -> Vec<Change> {
    let change = |moved: &Moved, action, effect: &str| Change {
        kind: "moved",
        name: format!("{} {} -> {}", moved_kind(moved.kind), moved.from, moved.to),
        action,
        effect: effect.into(),
    };
    let is_shown = |one: &Moved| shown.contains(&(objects(one.kind), one.to.clone()));
    let added = new.iter().filter(|one| !old.contains(one) && !is_shown(one));
    let removed = old.iter().filter(|one| !new.contains(one));
    added
        .map(|one| {
            change(one, Action::Create, "what is on record under the old name is taken over")
        })
        .chain(removed.map(|one| {
            change(one, Action::Delete, "no effect where it was applied; elsewhere nothing follows")
        }))
        .collect()
}

/// Renames that an object shows, by its kind and new name.
fn moves(changes: &[Change]) -> BTreeSet<(&'static str, String)> {
    let moves = changes.iter().filter(|change| change.action == Action::Move);
    moves.map(|change| (change.kind, change.name.clone())).collect()
}

fn moved_kind(kind: MovedKind) -> &'static str {
    match kind {
        MovedKind::MailAccount => "mailAccount",
        MovedKind::Queue => "queue",
        MovedKind::User => "user",
    }
}

/// The objects of which one was renamed.
fn objects(kind: MovedKind) -> &'static str {
    match kind {
        MovedKind::MailAccount => ACCOUNT.name,
        MovedKind::Queue => QUEUE.name,
        MovedKind::User => USER.name,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::tests::{any_config, config, endpoint, imap, password};
    use super::*;
    use crate::core::config::{Account, Login, Source, Text};

    // What is said of each kind of change stands in `tests/golden/plan`.

    #[test]
    fn a_new_name_keeps_the_record() {
        let running = config(&[imap("info", "x.test")], &[]);
        let mut desired = config(&[imap("support", "x.test")], &[]);
        let moved =
            Moved { kind: MovedKind::MailAccount, from: "info".into(), to: "support".into() };
        desired.moved = vec![moved];
        let told = changes(&Edit::of(&running, &desired));
        let action = |change: &Change| (change.action, change.name.clone());
        let actions: Vec<_> = told.iter().map(action).collect();
        assert_eq!(actions, [(Action::Move, "support".to_owned())]);
        // Without saying so it is another account.
        desired.moved.clear();
        let actions: Vec<_> = changes(&Edit::of(&running, &desired)).iter().map(action).collect();
        let expected = [(Action::Create, "support".into()), (Action::Delete, "info".into())];
        assert_eq!(actions, expected);
    }

    #[test]
    fn no_secret_is_spoken_of() {
        let running = config(&[imap("a", "x.test")], &[]);
        let folder = "INBOX".into();
        let reference = crate::core::config::SecretRef::Named("s3cret-place".into());
        let username = Text::Plain("desk".into());
        let login = Login::Password { username, password: reference };
        assert_ne!(login, password());
        let connection = Source::Imap { endpoint: endpoint("x.test"), login, folder };
        let account = Account { connection, ..imap("a", "x.test") };
        let told = format!("{:?}", changes(&Edit::of(&running, &config(&[account], &[]))));
        assert!(told.contains("re-dials") && !told.contains("s3cret-place"));
    }

    proptest! {
        #[test]
        fn every_difference_is_told_once(running in any_config(), desired in any_config()) {
            let told = changes(&Edit::of(&running, &desired));
            prop_assert_eq!(told.is_empty(), running == desired);
            let names: BTreeSet<_> = told.iter().map(|change| (change.kind, &change.name)).collect();
            prop_assert_eq!(names.len(), told.len());
            prop_assert!(told.iter().all(|change| !change.effect.is_empty()));
            prop_assert!(changes(&Edit::of(&desired, &desired)).is_empty());
        }
    }
}
