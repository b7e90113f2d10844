//! `queues` and `systemAddresses`.

use std::time::Duration;

use super::{Context, text, value};
use crate::config::problem::Scope;
use crate::config::rule;
use crate::config::spec;
use crate::config::spec::queue::{
    FollowUp, FollowUpFrom as From, OnClosed as Closed, QueueDefaults,
};
use crate::config::spec::system_address::Visibility;
use crate::core::address::Address;
use crate::core::config::{
    FollowUpFrom, FollowUpRules, OnClosed, Queue, QueueReplies, SystemAddress, Texts,
};

/// Shortest time until a lock ends, and shortest time in which a ticket is reopened.
const TIME_MIN: Duration = Duration::from_secs(60);
/// The sender of queues that name none.
const SENDER_DEFAULT: &str = "default";

/// A queue; `answer` is what stands around its answers unless it says so itself.
pub fn queue(
    context: &Context<'_>,
    name: &str,
    spec: &spec::Queue,
    answer: &Texts,
    scope: &Scope<'_>,
) -> Queue {
    let none = QueueDefaults::default();
    let defaults = context.united.defaults.queues.as_ref().unwrap_or(&none);
    let sender = spec.sender.as_ref().or(defaults.sender.as_ref());
    if let Some(sender) = sender {
        let at = scope.at("sender");
        context.must_exist("sender", "senders", &context.united.senders, sender, &at);
    }
    let replies = replies(context, spec, defaults, scope);
    let answers = replies != QueueReplies::default();
    if sender.is_none() && answers && !context.united.senders.contains_key(SENDER_DEFAULT) {
        let message =
            "answers automatically, but no sender is named and none is called \"default\"";
        scope.lint_at_key(
            rule::NO_SENDER,
            message,
            "add `sender:` here, or a sender named default",
        );
    }
    let lock = spec.lock_timeout.as_ref().or(defaults.lock_timeout.as_ref());
    Queue {
        name: name.to_owned(),
        sender: sender.cloned(),
        auto_replies: replies,
        answer: match &spec.answer {
            None => answer.clone(),
            Some(own) => {
                let document = context.united.home("queues", name);
                text::answers(context.texts, document, own, &scope.at("answer"))
            }
        },
        follow_up: follow_up(spec.follow_up.as_ref(), defaults.follow_up.as_ref(), scope),
        lock_timeout: lock
            .and_then(|time| value::duration(time, TIME_MIN, &scope.at("lockTimeout"))),
        state: value::switch(spec.state),
    }
}

/// What stands around answers of queues that say nothing of their own.
pub fn default_answer(context: &Context<'_>, top: &Scope<'_>) -> Texts {
    let defaults = context.united.defaults.queues.as_ref();
    let Some(written) = defaults.and_then(|queues| queues.answer.as_ref()) else {
        return Texts::new();
    };
    let (defaults, document) = (top.at("defaults"), context.united.home("defaults", ""));
    let queues = defaults.at("queues");
    text::answers(context.texts, document, written, &queues.at("answer"))
}

/// An address of ours.
pub fn system_address(
    context: &Context<'_>,
    address: &Address,
    spec: &spec::SystemAddress,
    scope: &Scope<'_>,
) -> SystemAddress {
    context.target_queue(&spec.queue, &scope.at("queue"));
    let name = spec.name.clone().unwrap_or_default();
    if name.chars().any(char::is_control) {
        scope.at("name").error("holds a line end or another control character", "");
    }
    SystemAddress {
        address: address.clone(),
        name,
        queue: spec.queue.clone(),
        internal: spec.visibility == Some(Visibility::Internal),
        state: value::switch(spec.state),
    }
}

fn replies(
    context: &Context<'_>,
    spec: &spec::Queue,
    defaults: &QueueDefaults,
    scope: &Scope<'_>,
) -> QueueReplies {
    let own = spec.auto_replies.as_ref();
    let default = defaults.auto_replies.as_ref();
    let at = scope.at("autoReplies");
    let pick = |key: &str, of: fn(&spec::queue::QueueReplies) -> &Option<String>| {
        let name = own.and_then(|own| of(own).clone()).or_else(|| of(default?).clone())?;
        let declared = &context.united.auto_replies;
        context.must_exist("auto-reply", "autoReplies", declared, &name, &at.at(key));
        Some(name)
    };
    QueueReplies {
        new: pick("new", |replies| &replies.new),
        follow_up: pick("followUp", |replies| &replies.follow_up),
        reject: pick("reject", |replies| &replies.reject),
        new_ticket: pick("newTicket", |replies| &replies.new_ticket),
    }
}

fn follow_up(
    own: Option<&FollowUp>,
    default: Option<&FollowUp>,
    scope: &Scope<'_>,
) -> FollowUpRules {
    let scope = scope.at("followUp");
    let none = FollowUp::default();
    let (own, default) = (own.unwrap_or(&none), default.unwrap_or(&none));
    let within = own.reopen_within.as_ref().or(default.reopen_within.as_ref());
    FollowUpRules {
        closed: match own.closed.or(default.closed) {
            None | Some(Closed::Reopen) => OnClosed::Reopen,
            Some(Closed::Reject) => OnClosed::Reject,
            Some(Closed::NewTicket) => OnClosed::NewTicket,
        },
        reopen_within: within
            .and_then(|time| value::duration(time, TIME_MIN, &scope.at("reopenWithin"))),
        lock: own.lock.or(default.lock).unwrap_or(false),
        state: own.state.or(default.state).map(|name| name.0),
        search_body: own.search_body.or(default.search_body).unwrap_or(false),
        from: match own.from.or(default.from) {
            None | Some(From::Participants) => FollowUpFrom::Participants,
            Some(From::Anyone) => FollowUpFrom::Anyone,
        },
    }
}
