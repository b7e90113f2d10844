//! A user who asks to be told, and never will be.

use super::{Found, Rule, Subject};
use crate::config::Severity;
use crate::core::config::{Channels, Switch, User, Wish};
use crate::core::notify::EventKind;

/// The rule.
pub const RULE: Rule = Rule {
    id: "deaf-subscription",
    severity: Severity::Warning,
    title: "a user subscribes to something that never reaches him",
    about: "New tickets and changes of the queue are told to those who subscribe to the queue: \
            events without `queues` say nothing, and `queues` without events neither. A queue that \
            is disabled is no place to wait for tickets. A queue that is not declared is an error.",
    failing: "queues: {support: {}}\n\
              users:\n\
              \x20 alice: {email: alice@example.com, subscriptions: {queues: [], events: [ticketCreated]}}\n",
    passing: "queues: {support: {}}\n\
              users:\n\
              \x20 alice: {email: alice@example.com, subscriptions: {queues: [support], events: [ticketCreated]}}\n",
    find: Some(find),
};

fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    for (name, user) in &subject.config.users {
        if user.state != Switch::Enabled {
            continue;
        }
        let path = ["users", name, "subscriptions"];
        let only_by_queue = |(event, wish): &(&EventKind, &Wish)| {
            matches!(event, EventKind::TicketCreated | EventKind::QueueUpdated)
                && !wish.queues.values().any(Channels::any)
        };
        let events = &user.subscriptions.events;
        let deaf = events.iter().find(only_by_queue).map(|(event, _)| event);
        match (user.subscriptions.queues.is_empty(), deaf) {
            (true, Some(event)) => {
                let message = format!("is never told of {}: no queue is named", event.label());
                found.push(Found::at_key(&path, message, "name the queues under `queues:`"));
            }
            (false, _) if events.is_empty() => {
                let message = "names queues and no event: nothing is told";
                found.push(Found::at_key(&path, message, "name the events under `events:`"));
            }
            (true, None) | (false, _) => {}
        }
        disabled_queues(subject, name, user, found);
    }
}

fn disabled_queues(subject: &Subject<'_>, name: &str, user: &User, found: &mut Vec<Found>) {
    let queues = &subject.config.queues;
    for queue in &user.subscriptions.queues {
        if queues.get(queue).is_some_and(|queue| queue.state == Switch::Disabled) {
            let message = format!("waits for tickets of queue {queue:?}, which is disabled");
            let path = ["users", name, "subscriptions", "queues"];
            found.push(Found::at_key(&path, message, "enable the queue, or leave it out"));
        }
    }
}
