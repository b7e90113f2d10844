//! What a revision does that no single object shows: how many accounts are dialled again, whose
//! subscriptions change, which filters hide others.
//!
//! Architecture invariant: says only what can be proved from the two configurations.

use std::collections::BTreeSet;

use super::words::{self, Both, names};
use super::{Action, Change, Edit, MassDelete, idle_account, mass_delete};
use crate::core::config::{Config, Switch, User};
use crate::core::filter::follows::hidden_by;

/// Sentences for people, the most telling first.
pub fn effects(edit: &Edit<'_>, changes: &[Change]) -> Vec<String> {
    let (running, desired) = (edit.running, edit.desired);
    let mut told = Vec::new();
    told.extend(mass_delete(edit).map(held_back));
    told.extend(filters(running, desired));
    told.extend(dialled(desired, changes));
    told.extend(subscriptions(running, desired));
    told
}

/// A daemon does not apply this without somebody's word.
fn held_back(MassDelete { running, removed }: MassDelete) -> String {
    format!(
        "removes {removed} of {running} accounts: the daemon holds it back until \
         `postroom reload --allow-mass-delete`"
    )
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
fn dialled(desired: &Config, changes: &[Change]) -> Option<String> {
    let is_polled =
        |name: &String| desired.accounts.get(name).is_some_and(|it| idle_account(it).is_none());
    let again = |change: &&Change| {
        let anew = matches!(change.action, Action::Restart | Action::Move);
        change.kind == "mailAccounts" && anew && is_polled(&change.name)
    };
    let all: Vec<&str> = changes.iter().filter(again).map(|change| change.name.as_str()).collect();
    match all.as_slice() {
        [] => None,
        [one] => Some(format!("re-dials {one}; cursor kept")),
        many => Some(format!(
            "re-dials {} accounts ({}); cursors kept",
            many.len(),
            names(many.iter().copied())
        )),
    }
}

/// How many subscriptions there are more or less: one is one user, queue and event.
fn subscriptions(running: &Config, desired: &Config) -> Option<String> {
    let both = Both { old: running, new: desired };
    let (old, new) = (subscribed(both, running), subscribed(both, desired));
    let (more, less) = (new.difference(&old).count(), old.difference(&new).count());
    match (more, less) {
        (0, 0) => None,
        (1, 0) | (0, 1) => Some(format!("1 subscription changes ({more} new, {less} gone)")),
        (more, less) => {
            Some(format!("{} subscriptions change ({more} new, {less} gone)", more + less))
        }
    }
}

/// Each subscription of those who are told anything, with its way; users and queues of the old
/// configuration by the names that they have in the new one.
fn subscribed(both: Both<'_>, config: &Config) -> BTreeSet<String> {
    let users = config.users.values().filter(|user| user.state == Switch::Enabled);
    let of_user = |user: &User| {
        let name = both.user_now(&user.name).to_owned();
        let all = words::subscribed(&user.subscriptions, |queue| both.called_now(queue).to_owned());
        all.into_iter().map(move |(what, way)| format!("{name}\n{what}\n{way}"))
    };
    users.flat_map(of_user).collect()
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
        let edit = Edit::of(running, desired);
        let changes = changes(&edit);
        assert_eq!(effects(&edit, &changes), expected);
        assert!(effects(&Edit::of(desired, desired), &[]).is_empty());
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
