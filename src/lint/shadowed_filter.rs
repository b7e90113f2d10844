//! A filter whose settings are all set again by a later one that always matches with it.

use super::{Found, Rule, Subject};
use crate::config::Severity;
use crate::core::config::Switch;
use crate::core::filter::follows::follows;
use crate::core::filter::{Filter, Settings};

/// The rule.
pub const RULE: Rule = Rule {
    id: "shadowed-filter",
    severity: Severity::Warning,
    title: "everything that a filter sets is overwritten by a later one",
    about: "Later filters overwrite earlier ones. One that matches all mails of this filter sets \
            the same keys again, so this one changes nothing. Swap their `order`, or end the run \
            with `stop: true`.",
    failing: "queues: {boss: {}, vip: {}}\n\
              filters:\n\
              \x20 boss: {order: 100, match: [{header: From, address: 'boss@vip\\.example'}], set: {queue: boss}}\n\
              \x20 vip: {order: 200, match: [{header: From, address: '.*@vip\\.example'}], set: {queue: vip}}\n",
    passing: "queues: {boss: {}, vip: {}}\n\
              filters:\n\
              \x20 boss: {order: 100, match: [{header: From, address: 'boss@vip\\.example'}], set: {queue: boss}, stop: true}\n\
              \x20 vip: {order: 200, match: [{header: From, address: '.*@vip\\.example'}], set: {queue: vip}}\n",
    find: Some(find),
};

fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    let enabled = |it: &&Filter| it.state == Switch::Enabled;
    let all = subject.config.filters.iter().map(AsRef::as_ref);
    let filters: Vec<&Filter> = all.filter(enabled).collect();
    for (index, filter) in filters.iter().enumerate() {
        let sets = keys(&filter.set).len() + keys(&filter.on_follow_up).len();
        if filter.stop || sets == 0 {
            continue;
        }
        // A stop in between could keep the later one from running.
        let mut reached = filters[index + 1..].iter().scan(false, |stopped, later| {
            let runs = !*stopped;
            *stopped |= later.stop;
            runs.then_some(later)
        });
        if let Some(later) = reached.find(|later| covers(later, filter) && follows(filter, later)) {
            let message = format!(
                "is overwritten: filter {:?} (order {}) matches the same mails and sets the same",
                later.name, later.order
            );
            let hint = "add `stop: true`, swap the order of the two, or remove one";
            found.push(Found::at_key(&["filters", &filter.name], message, hint));
        }
    }
}

/// Whether all that one filter sets is set by the other. Values with captures may turn out to name
/// nothing, and then they set nothing.
fn covers(later: &Filter, filter: &Filter) -> bool {
    let fixed = |settings: &Settings| {
        let texts = [&settings.queue, &settings.owner, &settings.responsible, &settings.customer];
        !texts.into_iter().flatten().any(|text| text.contains("{{"))
    };
    let within = |inner: &Settings, outer: &Settings| {
        keys(inner).iter().all(|key| keys(outer).contains(key))
    };
    fixed(&later.set)
        && fixed(&later.on_follow_up)
        && within(&filter.set, &later.set)
        && within(&filter.on_follow_up, &later.on_follow_up)
}

/// Names of what is set.
fn keys(settings: &Settings) -> Vec<&str> {
    // Spelt out, so that a new setting is not forgotten here.
    let Settings {
        queue,
        priority,
        state,
        pending_time,
        lock,
        owner,
        responsible,
        title,
        customer,
        company,
        sender_type,
        visible_for_customer,
        ignore,
        auto_reply,
        fields,
    } = settings;
    let known = [
        ("queue", queue.is_some()),
        ("priority", priority.is_some()),
        ("state", state.is_some()),
        ("pendingTime", pending_time.is_some()),
        ("lock", lock.is_some()),
        ("owner", owner.is_some()),
        ("responsible", responsible.is_some()),
        ("title", title.is_some()),
        ("customer", customer.is_some()),
        ("company", company.is_some()),
        ("senderType", sender_type.is_some()),
        ("visibleForCustomer", visible_for_customer.is_some()),
        ("ignore", ignore.is_some()),
        ("autoReply", auto_reply.is_some()),
    ];
    let set = known.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name);
    set.chain(fields.keys().map(String::as_str)).collect()
}
