//! From mail to ticket: queues, addresses of ours, filters, automatic answers.

use std::sync::Arc;

use super::{Both, End, Kind, Start, Told, change, differing, names, time};
use crate::core::address::Address;
use crate::core::config::{
    AutoReply, Config, FollowUpFrom, OnClosed, Queue, QueueReplies, Sender, SystemAddress,
};
use crate::core::filter::{Filter, Settings};
use crate::core::ticket::State;

pub(in super::super) const QUEUE: Kind<Queue> = Kind {
    name: "queues",
    state: |queue| queue.state,
    begins: |_, queue, start| match start {
        Start::New => format!("tickets may be put there{}", answered(&queue.auto_replies)),
        Start::Again => "check no longer warns of mail that leads to it".into(),
    },
    ends: |_, _, end| match end {
        End::Gone => "its tickets stay and keep its name; they are no longer answered \
                      automatically, their locks do not run out, closed ones reopen"
            .into(),
        // A queue that is switched off still takes mail: none is lost by a switch.
        End::Disabled | End::Paused => {
            "mail that leads to it still makes tickets there, and check warns of it".into()
        }
    },
    differs: |_, old, new| queue(old, new),
    follows: "its tickets follow",
};

pub(in super::super) const SYSTEM_ADDRESS: Kind<Arc<SystemAddress>> = Kind {
    name: "systemAddresses",
    state: |address| address.state,
    begins: |_, address, _| {
        let internal = if address.internal { "; what agents write to it stays inside" } else { "" };
        format!(
            "mail to it goes to queue {}; mail from it is ours and never answered{internal}",
            address.queue
        )
    },
    ends: |both, address, end| {
        let goes =
            format!("mail to it no longer goes to queue {}, but by the other rules", address.queue);
        match end {
            End::Gone if sends(both.new, &address.address) => {
                format!("{goes}; it is still known as ours: a sender uses it")
            }
            End::Gone => format!("{goes}; mail from it is treated as anybody's"),
            End::Disabled | End::Paused => format!("{goes}; it is still known as ours"),
        }
    },
    differs: |both, old, new| system_address(both, old, new),
    follows: "",
};

pub(in super::super) const FILTER: Kind<Arc<Filter>> = Kind {
    name: "filters",
    state: |filter| filter.state,
    begins: |_, filter, _| {
        let on_follow_up = match set(&filter.on_follow_up).as_str() {
            "" => String::new(),
            what => format!("; on a follow-up {what}"),
        };
        let stop = if filter.stop { "; later filters are skipped" } else { "" };
        let what = match set(&filter.set).as_str() {
            "" => "sets nothing".to_owned(),
            what => what.to_owned(),
        };
        format!("runs at order {}: {what}{on_follow_up}{stop}", filter.order)
    },
    ends: |_, _, _| "no longer runs; tickets keep what it set".into(),
    differs: |both, old, new| filter(both, old, new),
    follows: "",
};

pub(in super::super) const AUTO_REPLY: Kind<AutoReply> = Kind {
    name: "autoReplies",
    state: |reply| reply.state,
    begins: |both, reply, _| match users_of(both.new, &reply.name).as_slice() {
        [] => "no queue answers with it yet".into(),
        some => format!("answers in {}", names(some.iter().map(String::as_str))),
    },
    ends: |both, reply, _| match users_of(both.old, &reply.name).as_slice() {
        [] => "no queue answered with it".into(),
        some => format!(
            "no longer answers in {}; what is owed already still goes out",
            names(some.iter().map(String::as_str))
        ),
    },
    differs: |_, old, new| auto_reply(old, new),
    follows: "",
};

fn queue(old: &Queue, new: &Queue) -> Told {
    let mut told = Told::default();
    told.when(old.sender != new.sender, || {
        let sender = new.sender.as_deref().unwrap_or("default");
        format!("new mail of its tickets is sent by sender {sender}")
    });
    told.sentences.extend(replies(&old.auto_replies, &new.auto_replies));
    told.when(old.answer != new.answer, || {
        "what stands around agents' answers changes from the next answer on".into()
    });
    let (before, after) = (&old.follow_up, &new.follow_up);
    told.when(before.closed != after.closed, || match after.closed {
        OnClosed::Reopen => "a follow-up opens a closed ticket again".into(),
        OnClosed::Reject => "a follow-up leaves a closed ticket closed (rejected)".into(),
        OnClosed::NewTicket => "a follow-up to a closed ticket makes a new, linked one".into(),
    });
    told.when(before.reopen_within != after.reopen_within, || match after.reopen_within {
        Some(limit) => format!("tickets closed for more than {} no longer reopen", time(limit)),
        None => "closed tickets reopen however old they are".into(),
    });
    told.when(before.lock != after.lock, || match after.lock {
        true => "a reopened ticket is locked for its owner again".into(),
        false => "a reopened ticket is no longer locked for its owner".into(),
    });
    told.when(before.state != after.state, || {
        let state = after.state.unwrap_or(State::Open);
        format!("a follow-up sets the state {}", state.label())
    });
    told.when(before.search_body != after.search_body, || match after.search_body {
        true => "the tag of a ticket also counts in the text of a mail".into(),
        false => "the tag of a ticket counts in the subject alone".into(),
    });
    told.when(before.from != after.from, || match after.from {
        FollowUpFrom::Participants => "only who takes part in a ticket may join it".into(),
        FollowUpFrom::Anyone => "anyone's mail may join a ticket by its number".into(),
    });
    told.when(old.lock_timeout != new.lock_timeout, || match new.lock_timeout {
        Some(limit) => {
            format!("locks end {} after the last action, older ones at once", time(limit))
        }
        None => "locks no longer run out".into(),
    });
    told
}

/// The occasions on which a queue answers, each with its answer.
fn occasions(replies: &QueueReplies) -> [(&'static str, Option<&String>); 4] {
    [
        ("new", replies.new.as_ref()),
        ("followUp", replies.follow_up.as_ref()),
        ("reject", replies.reject.as_ref()),
        ("newTicket", replies.new_ticket.as_ref()),
    ]
}

fn answered(replies: &QueueReplies) -> String {
    let named = occasions(replies)
        .into_iter()
        .filter_map(|(occasion, reply)| reply.map(|reply| format!("{reply} ({occasion})")));
    match named.collect::<Vec<_>>().as_slice() {
        [] => "; nobody is answered automatically".into(),
        some => format!("; answered with {}", some.join(", ")),
    }
}

fn replies(old: &QueueReplies, new: &QueueReplies) -> Vec<String> {
    let pairs = occasions(old).into_iter().zip(occasions(new));
    let differ = pairs.filter(|((_, before), (_, after))| before != after);
    let words = differ.map(|((occasion, _), (_, after))| match after {
        Some(reply) => format!("{occasion}: answered with {reply}"),
        None => format!("{occasion}: no longer answered automatically"),
    });
    words.collect()
}

/// Queues that answer with this text, each with the occasion.
fn users_of(config: &Config, reply: &str) -> Vec<String> {
    let of_queue = |queue: &Queue| {
        let occasions = occasions(&queue.auto_replies).into_iter();
        let named = occasions.filter(|(_, name)| name.is_some_and(|name| name == reply));
        named.map(|(occasion, _)| format!("{} ({occasion})", queue.name)).collect::<Vec<_>>()
    };
    config.queues.values().flat_map(of_queue).collect()
}

/// Whether a sender's mail comes from this address.
fn sends(config: &Config, address: &Address) -> bool {
    let uses =
        |sender: &Sender| sender.from == *address || sender.envelope_from.as_ref() == Some(address);
    config.senders.values().any(uses)
}

fn system_address(both: Both<'_>, old: &SystemAddress, new: &SystemAddress) -> Told {
    let mut told = Told::default();
    told.when(both.called_now(&old.queue) != new.queue, || {
        format!(
            "new mail to it goes to queue {}, no longer to {}; tickets stay where they are",
            new.queue, old.queue
        )
    });
    told.when(old.internal != new.internal, || match new.internal {
        true => "what agents write to it stays inside".into(),
        false => "what agents write to it goes on to customers".into(),
    });
    told.when(old.name != new.name, || format!("mail from it shows the name {}", new.name));
    told
}

fn filter(both: Both<'_>, old: &Filter, new: &Filter) -> Told {
    let called_now = |settings: &Settings| Settings {
        queue: settings.queue.as_ref().map(|queue| both.called_now(queue).to_owned()),
        ..settings.clone()
    };
    let (set, on_follow_up) = (called_now(&old.set), called_now(&old.on_follow_up));
    let mut told = Told::default();
    told.when(old.order != new.order, || {
        format!("runs at order {}, no longer at {}", new.order, old.order)
    });
    told.when(old.conditions != new.conditions, || {
        "match changes: other mails meet it (postroom replay shows which)".into()
    });
    told.when(set != new.set, || becomes(&set, &new.set, ""));
    told.when(on_follow_up != new.on_follow_up, || {
        becomes(&on_follow_up, &new.on_follow_up, "on a follow-up ")
    });
    told.when(old.stop != new.stop, || match new.stop {
        true => "later filters are skipped when it matches".into(),
        false => "later filters run although it matches".into(),
    });
    let last = told.sentences.last_mut();
    if let Some(last) = last {
        last.push_str(", from the next mail on");
    }
    told
}

/// What a filter does to a mail: `sets queue, priority` or `the mail makes no ticket`.
fn set(settings: &Settings) -> String {
    let ignored = settings.ignore == Some(true);
    let fields = settings_differ(&Settings::default(), settings);
    let others: Vec<String> = fields.into_iter().filter(|name| name != "ignore").collect();
    match (ignored, others.as_slice()) {
        (true, _) => "the mail is ignored".into(),
        (false, []) => String::new(),
        (false, some) => format!("sets {}", some.join(", ")),
    }
}

fn becomes(old: &Settings, new: &Settings, when: &str) -> String {
    let ignored = |settings: &Settings| settings.ignore == Some(true);
    match (ignored(old), ignored(new)) {
        (false, true) => return format!("{when}mail that meets it is ignored"),
        (true, false) => return format!("{when}mail that meets it is no longer ignored"),
        (true, true) | (false, false) => {}
    }
    format!("{when}sets {} otherwise than before", settings_differ(old, new).join(", "))
}

fn settings_differ(old: &Settings, new: &Settings) -> Vec<String> {
    let known = differing(&[
        ("queue", old.queue != new.queue),
        ("priority", old.priority != new.priority),
        ("state", old.state != new.state),
        ("pendingTime", old.pending_time != new.pending_time),
        ("lock", old.lock != new.lock),
        ("owner", old.owner != new.owner),
        ("responsible", old.responsible != new.responsible),
        ("title", old.title != new.title),
        ("customer", old.customer != new.customer),
        ("company", old.company != new.company),
        ("senderType", old.sender_type != new.sender_type),
        ("visibleForCustomer", old.visible_for_customer != new.visible_for_customer),
        ("ignore", old.ignore != new.ignore),
        ("autoReply", old.auto_reply != new.auto_reply),
    ]);
    let names = old.fields.keys().chain(new.fields.keys());
    let free: std::collections::BTreeSet<&String> =
        names.filter(|name| old.fields.get(*name) != new.fields.get(*name)).collect();
    let free = free.into_iter().map(|name| format!("field.{name}"));
    known.into_iter().map(str::to_owned).chain(free).collect()
}

fn auto_reply(old: &AutoReply, new: &AutoReply) -> Told {
    let mut told = Told::default();
    told.when(old.from != new.from, || format!("comes from {}", new.from));
    told.when(old.envelope_from != new.envelope_from, || match &new.envelope_from {
        Some(address) => format!("its bounces go to {address}"),
        None => "its bounces go nowhere".into(),
    });
    let texts =
        differing(&[("subject", old.subject != new.subject), ("text", old.text != new.text)]);
    told.when(!texts.is_empty(), || {
        format!("{} from the next answer on; what is owed already stays", change(&texts))
    });
    told
}
