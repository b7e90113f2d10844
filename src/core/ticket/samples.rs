//! A small desk for unit tests: two queues, four agents, one ticket.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Article, ArticleId, ArticleKind, AuthorKind, Customer, Priority, State, Ticket, TicketId,
};
use crate::core::address::Address;
use crate::core::config::{
    Channels, Config, Language, Queue, Role, Sender, Subscriptions, Switch, SystemAddress, User,
};
use crate::core::intake::{DeskKey, NextIds};
use crate::core::mail::Remarks;
use crate::core::notify::EventKind;
use crate::core::outgoing::OutgoingId;

/// An address.
pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// The instant at which everything in the tests happens.
pub fn now() -> Timestamp {
    "2026-11-22T06:00:00Z".parse().unwrap()
}

/// The key of the test desk.
pub fn key() -> DeskKey {
    DeskKey([7; 32])
}

/// Identities to use next.
pub fn next_ids() -> NextIds {
    NextIds {
        ticket: TicketId(90),
        article: ArticleId(50),
        outgoing: OutgoingId(10),
        tickets_today: 0,
    }
}

/// Queues `support` and `sales`, each with its address, and the sender `default`. Agents: alice
/// and bob in `support`, carol in `sales`, dave in none. All hear of everything by mail.
pub fn config() -> Config {
    let mut config = Config::default();
    config.desk.name = "ACME Helpdesk".into();
    for name in ["Raw", "support", "sales"] {
        config.queues.insert(name.into(), Queue::named(name));
    }
    for queue in ["support", "sales"] {
        let address = address(&format!("{queue}@desk.test"));
        let one = SystemAddress {
            address: address.clone(),
            name: format!("ACME {queue}"),
            queue: queue.into(),
            internal: false,
            state: Switch::Enabled,
        };
        Arc::make_mut(&mut config.system_addresses).insert(address, one.into());
    }
    config.senders.insert("default".into(), sender("default"));
    let agents =
        [("alice", &["support"][..]), ("bob", &["support"]), ("carol", &["sales"]), ("dave", &[])];
    for (name, queues) in agents {
        config.users.insert(name.into(), user(name, queues));
    }
    config
}

/// A sender of this name, `<name>@notify.test`.
pub fn sender(name: &str) -> Sender {
    Sender {
        name: name.into(),
        from_name: "Helpdesk".into(),
        from: address(&format!("{name}@notify.test")),
        envelope_from: None,
        via: vec!["relay".into()],
        state: Switch::Enabled,
    }
}

/// An agent who hears of everything by mail.
pub fn user(name: &str, queues: &[&str]) -> User {
    let channels = Channels { mail: true, web: false };
    let events: BTreeMap<_, _> = EventKind::ALL.map(|event| (event, channels.into())).into();
    User {
        name: name.into(),
        email: address(&format!("{name}@agents.test")),
        full_name: name[..1].to_uppercase() + &name[1..],
        language: Language::En,
        time_zone: jiff::tz::TimeZone::UTC,
        role: Role::User,
        password_hash: None,
        subscriptions: Subscriptions {
            queues: queues.iter().map(|queue| (*queue).to_owned()).collect(),
            events,
            ..Subscriptions::default()
        },
        state: Switch::Enabled,
    }
}

/// An open, unlocked ticket of Eve in `support` that belongs to nobody.
pub fn ticket() -> Ticket {
    Ticket {
        id: TicketId(1),
        number: "2026112210000018".into(),
        title: "Printer broken".into(),
        queue: "support".into(),
        state: State::Open,
        pending_until: None,
        priority: Priority::Normal,
        locked_since: None,
        owner: None,
        responsible: None,
        customer: Some(Customer {
            address: address("eve@cust.test"),
            name: "Eve Example".into(),
            company: None,
            reply_to: None,
        }),
        participants: BTreeSet::from([address("eve@cust.test")]),
        watchers: BTreeSet::new(),
        undeliverable: BTreeSet::new(),
        complained: BTreeSet::new(),
        former_customers: BTreeSet::new(),
        spent_proofs: BTreeMap::new(),
        fields: BTreeMap::new(),
        merged_into: None,
        links: BTreeSet::new(),
        created: now(),
        updated: now(),
        closed: None,
    }
}

/// An article of that ticket that the customer may see.
pub fn article(id: u64, kind: ArticleKind) -> Article {
    Article {
        id: ArticleId(id),
        ticket: TicketId(1),
        kind,
        author: AuthorKind::Customer,
        visible_for_customer: true,
        from: "Eve Example <eve@cust.test>".into(),
        to: "support@desk.test".into(),
        cc: String::new(),
        subject: "Printer broken".into(),
        text: "It does not print.\r\nPlease help.\r\n".into(),
        message_id: Some(format!("m{id}@cust.test")),
        verified: None,
        references: Vec::new(),
        attachments: Vec::new(),
        headers: Vec::new(),
        remarks: Remarks::default(),
        automatic: false,
        raw: None,
        created: now(),
    }
}
