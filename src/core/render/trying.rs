//! Mails to try, for the tests beside them.

use super::{Letter, ROOT_DOMAIN, Stationery, auto_reply, letter};
use crate::core::address::Address;
use crate::core::config::{AutoReply, Channels, Config, Language, Switch};
use crate::core::intake::{DeskKey, NextIds};
use crate::core::notify::{EventKind, Notice, Wait};
use crate::core::outgoing::{Outgoing, OutgoingId};
use crate::core::thread::{self, Purpose};
use crate::core::ticket::ArticleKind;
use crate::core::ticket::samples::{address, article, key, next_ids, now, ticket};

/// An automatic answer in two languages.
pub fn thanks() -> AutoReply {
    AutoReply {
        name: "thanks".into(),
        from: address("support@desk.test"),
        envelope_from: None,
        subject: [
            (Language::En, "We got: {{ ticket.title }}".to_owned()),
            (Language::Ja, "受け付けました".to_owned()),
        ]
        .into(),
        text: [
            (Language::En, "Dear {{ customer.name }},\nyour number is {{ ticket.number }}.".into()),
            (Language::Ja, "{{ customer.name }} 様\n番号は {{ ticket.number }} です。".into()),
        ]
        .into(),
        state: Switch::Enabled,
    }
}

/// Paper of this desk.
pub fn stationery<'a>(config: &'a Config, key: &'a DeskKey) -> Stationery<'a> {
    Stationery { config, key, now: now() }
}

/// The automatic answer to eve's mail.
pub fn answer(config: &Config, reply: &AutoReply, language: Option<Language>) -> Option<Outgoing> {
    let mut answered = article(1, ArticleKind::MailIn);
    answered.references = vec!["first@cust.test".into()];
    let to = address("eve@cust.test");
    auto_reply(
        stationery(config, &key()),
        reply,
        language,
        &ticket(),
        &answered,
        &to,
        OutgoingId(10),
    )
    .map(|answer| answer.owed)
}

/// The id that ties all mails about the ticket to this recipient together.
pub fn root_of(recipient: &str, purpose: Purpose) -> String {
    let id = thread::root_id(&key(), ticket().id, &address(recipient), purpose, ROOT_DOMAIN);
    format!("<{id}>")
}

/// The same for the customer.
pub fn root() -> String {
    root_of("eve@cust.test", Purpose::Correspondence)
}

/// What alice is told as the owner.
pub fn notice(event: EventKind, language: Language) -> Notice {
    Notice {
        event,
        who: "alice".into(),
        address: address("alice@agents.test"),
        name: "Alice".into(),
        language,
        channels: Channels { mail: true, web: false },
        wait: Wait::No,
        rule: None,
        role: "owner".into(),
        customer: false,
    }
}

/// Alice's letter to these.
pub fn write_to(config: &Config, to: &[&str], cc: &[&str]) -> (Vec<Outgoing>, NextIds) {
    let to: Vec<Address> = to.iter().map(|to| address(to)).collect();
    let cc: Vec<Address> = cc.iter().map(|cc| address(cc)).collect();
    let thread: Vec<String> = (0..40).map(|at| format!("m{at}@cust.test")).collect();
    let words = Letter {
        files: &[],
        author: "Alice",
        subject: "Re: Printer broken",
        text: "Turn it on.\n",
        to: &to,
        cc: &cc,
        thread: &thread,
    };
    let mut next = next_ids();
    (letter(stationery(config, &key()), &words, &ticket(), &mut next), next)
}
