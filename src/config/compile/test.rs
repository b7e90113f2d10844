//! `tests`: what they name exists, and each says one thing.

use super::filter::pending_time;
use super::{Context, value};
use crate::config::problem::Scope;
use crate::config::spec::test::{Expectation, TestAction, TestMail, TestStep};
use crate::core::config::QUEUE_OF_LAST_RESORT;
use crate::core::ticket::State;

/// Judges all tests.
pub fn check(context: &Context<'_>, top: &Scope<'_>) {
    for (document, index, test) in &context.united.tests {
        let index = index.to_string();
        let top = top.of(*document);
        let section = top.at("tests");
        let scope = section.at(&index);
        match (&test.mail, test.steps.is_empty()) {
            (None, true) => {
                let hint = "write `mail:`, or several `steps:`";
                scope.error_at_key("tests nothing: it has neither mail nor steps", hint);
            }
            (Some(_), false) => {
                let hint = "write the mail as the first step";
                scope.at("steps").error_at_key("stands beside mail", hint);
            }
            (Some(mail), true) => check_mail(context, mail, &scope.at("mail")),
            (None, false) if test.expect != Expectation::default() => {
                let hint = "write it under the step that it is about";
                scope.at("expect").error_at_key("belongs to a single mail, not to steps", hint);
            }
            (None, false) => {}
        }
        expectation(context, &test.expect, &scope.at("expect"));
        let steps = scope.at("steps");
        for (index, step) in test.steps.iter().enumerate() {
            check_step(context, step, &steps.at(&index.to_string()));
        }
    }
}

fn check_step(context: &Context<'_>, step: &TestStep, scope: &Scope<'_>) {
    match (&step.mail, &step.agent, &step.action) {
        (Some(mail), None, None) => check_mail(context, mail, &scope.at("mail")),
        (None, Some(agent), Some(_)) => context.user(agent, &scope.at("agent")),
        (None, None, None) if step.later.is_some() => {}
        (None | Some(_), _, _) => {
            let hint = "write `mail:`, or `agent:` with `do:`, or `later:` alone";
            scope.error("is neither a mail, nor what an agent does, nor time that passes", hint);
        }
    }
    if step.ticket.is_some() && step.mail.is_some() {
        let hint = "remove it; which ticket a mail joins is expected under `expect:`";
        scope.at("ticket").error_at_key("goes with agent, or with later alone", hint);
    }
    if let Some(later) = &step.later {
        value::duration(later, std::time::Duration::ZERO, &scope.at("later"));
    }
    if let Some(action) = &step.action {
        let action_scope = scope.at("do");
        if let Some(queue) = action.queue.as_ref().filter(|queue| *queue != QUEUE_OF_LAST_RESORT) {
            let queues = &context.united.queues;
            context.must_exist("queue", "queues", queues, queue, &action_scope.at("queue"));
        }
        if let Some(owner) = &action.owner {
            context.user(owner, &action_scope.at("owner"));
        }
        check_pending(action, &action_scope);
    }
    expectation(context, &step.expect, &scope.at("expect"));
}

fn check_pending(action: &TestAction, scope: &Scope<'_>) {
    let pending = action.state.is_some_and(|state| state.0 == State::Pending);
    match &action.pending_time {
        Some(time) if pending => {
            pending_time(time, &scope.at("pendingTime"));
        }
        Some(_) => {
            let hint = "write `state: pending` beside it, or remove it";
            scope.at("pendingTime").error_at_key("goes with the state pending", hint);
        }
        None if pending => {
            let hint = "write `pendingTime: +2d` beside it";
            scope.at("state").error("needs the time at which the ticket wakes up", hint);
        }
        None => {}
    }
}

fn check_mail(context: &Context<'_>, mail: &TestMail, scope: &Scope<'_>) {
    if mail.file.is_some() == mail.text.is_some() {
        scope.error("must have exactly one of file and text", "");
    }
    let accounts = &context.united.mail_accounts;
    let at = scope.at("account");
    context.must_exist("mail account", "mailAccounts", accounts, &mail.account, &at);
}

fn expectation(context: &Context<'_>, expect: &Expectation, scope: &Scope<'_>) {
    let united = context.united;
    if let Some(queue) = expect.queue.as_ref().filter(|it| *it != QUEUE_OF_LAST_RESORT) {
        let at = scope.at("queue");
        context.must_exist("queue", "queues", &united.queues, queue, &at);
    }
    for name in expect.filters.iter().flatten() {
        let at = scope.at("filters");
        context.must_exist("filter", "filters", &united.filters, name, &at);
    }
    if let Some(name) = expect.auto_reply.as_ref().filter(|name| *name != "none") {
        let at = scope.at("autoReply");
        context.must_exist("auto-reply", "autoReplies", &united.auto_replies, name, &at);
    }
    if let Some(owner) = expect.owner.as_ref().filter(|name| *name != "none") {
        context.user(owner, &scope.at("owner"));
    }
    for name in expect.notified.iter().flatten() {
        // Customers who watch a ticket are known by their address.
        if !name.contains('@') {
            context.user(name, &scope.at("notified"));
        }
    }
}
