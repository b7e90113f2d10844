//! What a revision does that no single object shows: how many accounts are dialled again, whose
//! subscriptions change, which filters hide others.
//!
//! Architecture invariant: says only what can be proved from the two configurations.

use std::collections::BTreeSet;

use super::{Action, Change};
use crate::core::config::{Config, Subscriptions};
use crate::core::filter::follows::hidden_by;

/// Sentences for people, the most telling first.
pub fn effects(running: &Config, desired: &Config, changes: &[Change]) -> Vec<String> {
    let mut told = Vec::new();
    told.extend(filters(running, desired));
    told.extend(dialled(changes));
    told.extend(subscriptions(running, desired));
    told
}

/// Which filters begin or cease to hide others.
fn filters(running: &Config, desired: &Config) -> Vec<String> {
    let pairs = |config: &Config| -> BTreeSet<(String, String)> {
        let hidden = hidden_by(&config.filters).into_iter();
        hidden.map(|(filter, by)| (by.name.clone(), filter.name.clone())).collect()
    };
    let (old, new) = (pairs(running), pairs(desired));
    let hides = new.difference(&old);
    let begins = hides.map(|(by, filter)| format!("filter {by} now hides filter {filter}"));
    // A filter that is gone is not uncovered.
    let is_there = |name: &String| desired.filters.iter().any(|filter| filter.name == *name);
    let uncovered = old.difference(&new).filter(|(_, filter)| is_there(filter));
    let ends = uncovered.map(|(by, filter)| format!("filter {by} no longer hides filter {filter}"));
    begins.chain(ends).collect()
}

/// Which accounts connect anew.
fn dialled(changes: &[Change]) -> Option<String> {
    let again =
        |change: &&Change| change.kind == "mailAccounts" && change.action == Action::Restart;
    let names: Vec<&str> =
        changes.iter().filter(again).map(|change| change.name.as_str()).collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("re-dials {one}; cursor kept")),
        many => {
            Some(format!("re-dials {} accounts ({}); cursors kept", many.len(), many.join(", ")))
        }
    }
}

/// How many subscriptions there are more or less: one is one user, queue and event.
fn subscriptions(running: &Config, desired: &Config) -> Option<String> {
    let (old, new) = (subscribed(running), subscribed(desired));
    let (more, less) = (new.difference(&old).count(), old.difference(&new).count());
    match (more, less) {
        (0, 0) => None,
        (1, 0) | (0, 1) => Some(format!("1 subscription changes ({more} new, {less} gone)")),
        (more, less) => {
            Some(format!("{} subscriptions change ({more} new, {less} gone)", more + less))
        }
    }
}

/// Each subscription, with its ways of telling.
fn subscribed(config: &Config) -> BTreeSet<String> {
    let of_user = |(name, all): (&String, &Subscriptions)| {
        let mut found = Vec::new();
        for (kind, wish) in &all.events {
            let named: BTreeSet<&str> =
                all.queues.iter().chain(wish.queues.keys()).map(String::as_str).collect();
            // Events about one's own tickets need no queue.
            let queues = named.iter().copied().chain(named.is_empty().then_some(""));
            let event = kind.label();
            found.extend(queues.map(|queue| {
                let channels = wish.queues.get(queue).unwrap_or(&wish.channels);
                let ways = (channels.mail, channels.web);
                format!("{name}\n{queue}\n{event}\n{ways:?}")
            }));
        }
        found
    };
    config.users.iter().flat_map(|(name, user)| of_user((name, &user.subscriptions))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::changes;
    use super::super::tests::{config, imap};
    use super::*;
    use crate::config::load_saved;

    fn compiled(yaml: &str) -> Config {
        let loaded = load_saved(&[("a.yaml".into(), format!("version: 1\n{yaml}"))]);
        loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems))
    }

    #[track_caller]
    fn check(running: &Config, desired: &Config, expected: &[&str]) {
        let changes = changes(running, desired);
        assert_eq!(effects(running, desired, &changes), expected);
        assert!(effects(desired, desired, &[]).is_empty());
    }

    const VIP: &str = "filters:\n  vip: {order: 1, match: [{body: a}], set: {title: x}, stop: STOP}\n  \
                       bulk: {order: 2, match: [{body: a}, {body: b}], set: {ignore: true}}\n";

    #[test]
    fn filters_that_hide() {
        let [open, hidden] = ["false", "true"].map(|stop| compiled(&VIP.replace("STOP", stop)));
        check(&open, &hidden, &["filter vip now hides filter bulk"]);
        check(&hidden, &open, &["filter vip no longer hides filter bulk"]);
        check(&hidden, &Config::default(), &[]);
    }

    #[test]
    fn accounts_that_are_dialled() {
        let desk = |host: &str| config(&[imap("a", host), imap("b", host)], &[]);
        let words = "re-dials 2 accounts (a, b); cursors kept";
        check(&desk("x.test"), &desk("y.test"), &[words]);
        let one = config(&[imap("a", "x.test"), imap("b", "y.test")], &[]);
        check(&desk("x.test"), &one, &["re-dials b; cursor kept"]);
    }

    #[test]
    fn subscriptions_that_change() {
        let users = |queues: &str, events: &str| {
            compiled(&format!(
                "queues: {{a: {{}}, b: {{}}}}\nusers:\n  u: {{email: u@x.test, subscriptions: \
                 {{queues: {queues}, events: {events}}}}}\n"
            ))
        };
        let two = users("[a]", "[ticketCreated, noteAdded]");
        let four = users("[a, b]", "[ticketCreated, noteAdded]");
        check(&two, &four, &["2 subscriptions change (2 new, 0 gone)"]);
        let one = users("[a]", "[ticketCreated]");
        check(&two, &one, &["1 subscription changes (0 new, 1 gone)"]);
        let by_web = users("[a]", "{ticketCreated: [web]}");
        check(&one, &by_web, &["2 subscriptions change (1 new, 1 gone)"]);
    }
}
