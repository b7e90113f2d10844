//! Spec → Config: the only road from what is written to what runs.
//!
//! Each kind has a function of its own in a file of its own. It reports all problems it finds and
//! resolves references into the value, so that `old == new` tells whether anything changed.
//!
//! Architecture invariant: pure. Files were read before; nothing here looks at disk, clock or
//! network. A problem never ends the compiling of what stands beside it.

pub mod account;
pub mod auto_reply;
pub mod desk;
pub mod filter;
pub mod moved;
pub mod oauth2;
pub mod people;
pub mod preset;
pub mod queue;
pub mod sender;
pub mod server;
mod sign_in;
pub mod smtp;
pub mod test;
pub mod text;
pub mod value;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::address::Address;
use crate::core::ascending::Ascending;
use crate::core::config::{
    Account, Config, CustomerProfile, Many, QUEUE_OF_LAST_RESORT, SystemAddress,
};

use super::memory::Again;
use super::problem::{Findings, Scope, hint_of_names};
use super::rule;
use super::unite::{Declared, Section, United};
use text::Texts;

/// What every compile function may look at.
pub struct Context<'a> {
    /// What is written, in all documents.
    pub united: &'a United<'a>,
    /// Texts that stand in files of their own.
    pub texts: &'a Texts,
    /// What was compiled before and may be used again.
    pub again: Option<&'a Again<'a>>,
}

/// Compiles the whole. With an error among the findings the result must not be used.
pub fn compile(
    united: &United<'_>,
    texts: &Texts,
    findings: &Findings,
    again: Option<&Again<'_>>,
) -> Option<Config> {
    let context = &Context { united, texts, again };
    let top = &Scope::top(findings, None);
    let desk = desk::desk(united.desk, &top.at("desk"));
    let answer = &queue::default_answer(context, top);
    let queues = each(top, "queues", &united.queues, |name, spec, scope| {
        Some(queue::queue(context, name, spec, answer, scope))
    });
    let mut config = Config {
        desk: desk.clone(),
        intake: desk::intake(united.intake, &top.at("intake")),
        limits: desk::limits(united.limits, &top.at("limits")),
        sign_in: sign_in::sign_in(united.sign_in, &top.at("signIn")),
        smtp: each(top, "smtp", &united.smtp, |name, spec, scope| {
            smtp::server(context, name, spec, scope)
        }),
        senders: each(top, "senders", &united.senders, |name, spec, scope| {
            sender::sender(context, name, spec, scope)
        }),
        oauth2: oauth2::oauth2(context, top),
        accounts: accounts(context, top),
        queues,
        system_addresses: system_addresses(context, top),
        filters: filter::filters(context, top),
        auto_replies: each(top, "autoReplies", &united.auto_replies, |name, spec, scope| {
            auto_reply::auto_reply(context, name, spec, scope)
        }),
        customers: customers(context, top),
        users: each(top, "users", &united.users, |name, spec, scope| {
            people::user(context, &desk, name, spec, scope)
        }),
        api_tokens: each(top, "apiTokens", &united.api_tokens, |name, spec, scope| {
            people::api_token(name, spec, scope)
        }),
        webhooks: each(top, "webhooks", &united.webhooks, |name, spec, scope| {
            webhook::webhook(context, name, spec, scope)
        }),
        notification_texts: auto_reply::notifications(context, top),
        moved: moved::moved(context, top),
    };
    config.queues.entry(QUEUE_OF_LAST_RESORT.to_owned()).or_insert_with(|| {
        queue::queue(context, QUEUE_OF_LAST_RESORT, &Default::default(), answer, &top.at("queues"))
    });
    test::check(context, top);
    Some(config)
}

fn accounts(context: &Context<'_>, top: &Scope<'_>) -> Many<String, Arc<Account>> {
    if let Some(before) = context.whole("mailAccounts") {
        return before.accounts.clone();
    }
    let before = context.before().map(|before| before.accounts.clone()).unwrap_or_default();
    let known = Ascending::of(&before);
    let one = |name: &str, spec: &Declared<'_, _>, scope: &Scope<'_>| {
        let known = known.get(name);
        let fresh = || {
            let fresh = account::account(context, name, spec, scope)?;
            // Shared, where it became the same: whoever compares sees that at a glance.
            let same = known.filter(|known| ***known == fresh);
            Some(same.cloned().unwrap_or_else(|| fresh.into()))
        };
        context.again("mailAccounts", name, spec, || known).or_else(fresh)
    };
    let accounts = each(top, "mailAccounts", &context.united.mail_accounts, one);
    account::same_mailbox(&before, &accounts, top);
    accounts.into()
}

fn system_addresses(context: &Context<'_>, top: &Scope<'_>) -> Many<Address, Arc<SystemAddress>> {
    if let Some(before) = context.whole("systemAddresses") {
        return before.system_addresses.clone();
    }
    let before = context.before().map(|before| before.system_addresses.clone()).unwrap_or_default();
    let known = Ascending::of(&before);
    let section = &context.united.system_addresses;
    let one = |key: &str, address: &Address, spec: &Declared<'_, _>, scope: &Scope<'_>| {
        let again = context.again("systemAddresses", key, spec, || known.get(address));
        again.or_else(|| Some(queue::system_address(context, address, spec, scope).into()))
    };
    by_address(top, "systemAddresses", section, one).into()
}

fn customers(context: &Context<'_>, top: &Scope<'_>) -> Many<Address, CustomerProfile> {
    if let Some(before) = context.whole("customers") {
        return before.customers.clone();
    }
    let section = &context.united.customers;
    by_address(top, "customers", section, |_, _, spec, _| Some(people::customer(spec))).into()
}

/// Compiles each object of a section.
fn each<S, T>(
    top: &Scope<'_>,
    section: &str,
    specs: &Section<'_, S>,
    compile: impl Fn(&str, &Declared<'_, S>, &Scope<'_>) -> Option<T>,
) -> BTreeMap<String, T> {
    let section = top.at(section);
    let one = |(name, spec): (&&str, &Declared<'_, S>)| {
        let scope = section.at(name);
        value::check_name(name, &scope);
        Some(((*name).to_owned(), compile(name, spec, &scope)?))
    };
    specs.iter().filter_map(one).collect()
}

/// Compiles each object of a section whose keys are addresses.
fn by_address<S, T>(
    top: &Scope<'_>,
    section: &str,
    specs: &Section<'_, S>,
    compile: impl Fn(&str, &Address, &Declared<'_, S>, &Scope<'_>) -> Option<T>,
) -> BTreeMap<Address, T> {
    let section = top.at(section);
    let mut compiled = Vec::new();
    for (key, spec) in specs {
        let scope = section.at(key);
        let Some(address) = Address::parse(key) else {
            scope.error_at_key("is not a mail address", "write it as name@example.com");
            continue;
        };
        if let Some(value) = compile(key, &address, spec, &scope) {
            compiled.push((address, *key, value));
        }
    }
    compiled.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    for pair in compiled.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        section
            .at(pair[1].1)
            .error_at_key("is declared twice, with other letters in upper case", "remove one");
    }
    compiled.into_iter().map(|(address, _, value)| (address, value)).collect()
}

impl<'a> Context<'a> {
    /// What was compiled before, of which something may be used again.
    fn before(&self) -> Option<&'a Config> {
        self.again.map(Again::config)
    }

    /// The same, if the same becomes of all objects of this section.
    fn whole(&self, section: &str) -> Option<&'a Config> {
        self.again?.whole(section)
    }

    /// What the same object became before, if the same becomes of it now.
    fn again<S, T: Clone + 'a>(
        &self,
        section: &str,
        name: &str,
        spec: &Declared<'_, S>,
        before: impl FnOnce() -> Option<&'a T>,
    ) -> Option<T> {
        self.again.filter(|again| again.holds(spec.document, section, name))?;
        before().cloned()
    }

    /// Reports a name that is not declared. `what` is the kind, as in `queue "x" is not declared`.
    pub fn must_exist<T>(
        &self,
        what: &str,
        section: &'static str,
        declared: &BTreeMap<&str, T>,
        name: &str,
        scope: &Scope<'_>,
    ) -> bool {
        let known = declared.contains_key(name) || self.united.left_out(section).any(|n| n == name);
        if !known {
            let names = declared.keys().copied();
            scope.error(
                format!("{what} {name:?} is not declared"),
                hint_of_names(what, name, names),
            );
        }
        known
    }

    /// Reports a queue that is not declared, and warns of one that is not enabled.
    pub fn target_queue(&self, name: &str, scope: &Scope<'_>) {
        use super::spec::words::Switch;
        if name == QUEUE_OF_LAST_RESORT && !self.united.queues.contains_key(name) {
            return;
        }
        if !self.must_exist("queue", "queues", &self.united.queues, name, scope) {
            return;
        }
        let state = self.united.queues.get(name).and_then(|queue| queue.state).unwrap_or_default();
        if state != Switch::Enabled {
            let message = format!("queue {name:?} is not enabled and still receives this mail");
            scope.lint(
                rule::DISABLED_QUEUE,
                message,
                "enable the queue, or send the mail elsewhere",
            );
        }
    }

    /// Reports a user that is not declared.
    pub fn user(&self, name: &str, scope: &Scope<'_>) {
        self.must_exist("user", "users", &self.united.users, name, scope);
    }
}
