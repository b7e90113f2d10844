//! A filter that never gets a mail it could match, because one before it stops the run.

use super::{Found, Rule, Subject};
use crate::config::Severity;
use crate::core::filter::follows::hidden_by;

/// The rule.
pub const RULE: Rule = Rule {
    id: "unreachable-filter",
    severity: Severity::Warning,
    title: "a filter is never reached by a mail that it matches",
    about: "A filter before it matches all of its mails and stops the run. Give it a smaller \
            `order`, or make the first one match less. Said only where it can be proved: the same \
            conditions or fewer, or plain words and addresses that the first expression matches.",
    failing: "queues: {vip: {}, boss: {}}\n\
              filters:\n\
              \x20 vip: {order: 100, match: [{header: From, address: '.*@vip\\.example'}], set: {queue: vip}, stop: true}\n\
              \x20 boss: {order: 200, match: [{header: From, address: 'boss@vip\\.example'}], set: {queue: boss}}\n",
    passing: "queues: {vip: {}, boss: {}}\n\
              filters:\n\
              \x20 vip: {order: 100, match: [{header: From, address: '.*@vip\\.example'}], set: {queue: vip}, stop: true}\n\
              \x20 boss: {order: 50, match: [{header: From, address: 'boss@vip\\.example'}], set: {queue: boss}, stop: true}\n",
    find: Some(find),
};

fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    for (filter, first) in hidden_by(&subject.config.filters) {
        let message = format!(
            "is never reached: filter {:?} (order {}) matches the same mails and stops",
            first.name, first.order
        );
        let hint = format!("give it an order below {}, or remove it", first.order);
        found.push(Found::at_key(&["filters", &filter.name], message, hint));
    }
}
