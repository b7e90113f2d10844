//! A filter whose conditions cannot all hold.

use super::{Found, Rule, Subject, listed};
use crate::config::Severity;
use crate::core::config::Switch;
use crate::core::filter::follows::contradict;
use crate::core::filter::{Condition, LookAt, Test};

/// The rule.
pub const RULE: Rule = Rule {
    id: "never-matches",
    severity: Severity::Warning,
    title: "the conditions of a filter never hold together",
    about: "Two conditions exclude each other, or `account:` matches the name of no mail account. \
            All conditions of a filter must hold; for \"one of these\" write `a|b` in one \
            expression, or a second filter.",
    failing: "queues: {shop: {}}\n\
              mailAccounts:\n\
              \x20 shop: {type: maildir, path: shop, dispatch: {by: queue, queue: shop}, afterFetch: keep}\n\
              filters:\n\
              \x20 orders: {order: 1, match: [{account: '^stroe$'}], set: {priority: 4 high}}\n",
    passing: "queues: {shop: {}}\n\
              mailAccounts:\n\
              \x20 shop: {type: maildir, path: shop, dispatch: {by: queue, queue: shop}, afterFetch: keep}\n\
              filters:\n\
              \x20 orders: {order: 1, match: [{account: '^shop$'}], set: {priority: 4 high}}\n",
    find: Some(find),
};

fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    let accounts = &subject.config.accounts;
    let filters = subject.config.filters.iter().filter(|it| it.state == Switch::Enabled);
    for filter in filters {
        for (index, condition) in filter.conditions.iter().enumerate() {
            let number = index.to_string();
            let path = ["filters", &filter.name, "match", &number];
            let earlier = filter.conditions[..index].iter();
            if earlier.clone().any(|earlier| contradict(earlier, condition)) {
                let message = "excludes another condition of this filter";
                found.push(Found::at(&path, message, "all conditions must hold; remove one"));
            } else if !accounts.is_empty() && misses(condition, accounts.keys()) {
                let message = "holds for the name of no mail account";
                let names = listed(accounts.keys().map(String::as_str));
                found.push(Found::at(&path, message, format!("declared are {names}")));
            }
        }
    }
}

fn misses<'a>(condition: &Condition, mut accounts: impl Iterator<Item = &'a String>) -> bool {
    match (&condition.look_at, &condition.test) {
        (LookAt::Account, Test::Regex(pattern)) => {
            !accounts.any(|name| pattern.regex().is_match(name) != condition.not)
        }
        (LookAt::Account, Test::Address(_))
        | (LookAt::Header(_) | LookAt::Body | LookAt::AttachmentName, _) => false,
    }
}
