//! `moved`.

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
