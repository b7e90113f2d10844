//! `moved` and `tests`.

use super::Context;
use crate::config::problem::Scope;
use crate::config::spec::moved::MovedKind as Kind;
use crate::core::config::{Moved, MovedKind, QUEUE_OF_LAST_RESORT};

/// Renames. The new name is declared, the old one is not.
pub fn moved(context: &Context<'_>, top: &Scope<'_>) -> Vec<Moved> {
    let united = context.united;
    let mut list: Vec<Moved> = Vec::new();
    for (document, index, spec) in &united.moved {
        let index = index.to_string();
        let top = top.of(*document);
        let section = top.at("moved");
        let scope = section.at(&index);
        let (kind, declared) = match spec.kind {
            Kind::MailAccount => {
                let accounts = &united.mail_accounts;
                let to = scope.at("to");
                context.must_exist("mail account", "mailAccounts", accounts, &spec.to, &to);
                (MovedKind::MailAccount, accounts.contains_key(spec.from.as_str()))
            }
            Kind::Queue => {
                if spec.to != QUEUE_OF_LAST_RESORT {
                    let to = scope.at("to");
                    context.must_exist("queue", "queues", &united.queues, &spec.to, &to);
                }
                let raw = spec.from == QUEUE_OF_LAST_RESORT;
                (MovedKind::Queue, raw || united.queues.contains_key(spec.from.as_str()))
            }
            Kind::User => {
                context.user(&spec.to, &scope.at("to"));
                (MovedKind::User, united.users.contains_key(spec.from.as_str()))
            }
        };
        if declared {
            let message = format!("{:?} is still declared", spec.from);
            scope.at("from").error(message, "remove the old object, or this rename");
        }
        if list.iter().any(|other| other.kind == kind && other.from == spec.from) {
            scope
                .at("from")
                .error(format!("{:?} is moved twice", spec.from), "remove one of the two");
        }
        list.push(Moved { kind, from: spec.from.clone(), to: spec.to.clone() });
    }
    list
}

/// Names in tests.
pub fn check_tests(context: &Context<'_>, top: &Scope<'_>) {
    let united = context.united;
    for (document, index, test) in &united.tests {
        let index = index.to_string();
        let top = top.of(*document);
        let section = top.at("tests");
        let scope = section.at(&index);
        let (mail, expect) = (scope.at("mail"), scope.at("expect"));
        let accounts = &united.mail_accounts;
        let at = mail.at("account");
        context.must_exist("mail account", "mailAccounts", accounts, &test.mail.account, &at);
        if let Some(queue) = test.expect.queue.as_ref().filter(|q| *q != QUEUE_OF_LAST_RESORT) {
            let at = expect.at("queue");
            context.must_exist("queue", "queues", &united.queues, queue, &at);
        }
        for name in test.expect.filters.iter().flatten() {
            let at = expect.at("filters");
            context.must_exist("filter", "filters", &united.filters, name, &at);
        }
        if let Some(name) = test.expect.auto_reply.as_ref().filter(|name| *name != "none") {
            let at = expect.at("autoReply");
            context.must_exist("auto-reply", "autoReplies", &united.auto_replies, name, &at);
        }
        for name in test.expect.notified.iter().flatten() {
            // Customers who watch a ticket are known by their address.
            if !name.contains('@') {
                context.user(name, &expect.at("notified"));
            }
        }
    }
}
