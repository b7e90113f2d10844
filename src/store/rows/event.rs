//! Row of a ticket's history.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Row;
use super::ticket::{KindRow, WatcherRow, priority, state};
use crate::core::address::Address;
use crate::core::ticket::{Actor, ArticleId, Event, What};
use crate::store::fault::Fault;

/// Something that happened to a ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct EventRow {
    at: Timestamp,
    actor: ActorRow,
    what: WhatRow,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    why: String,
}

/// Who did it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ActorRow {
    System,
    Agent(String),
    Customer(Address),
    Token(String),
}

/// What happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum WhatRow {
    Created,
    ArticleAdded { article: u64, kind: KindRow },
    FollowedUp { article: u64, locked: bool },
    FollowUpRejected { article: u64 },
    State { from: String, to: String },
    Queue { from: String, to: String },
    Priority { from: String, to: String },
    Title { from: String, to: String },
    Owner { from: Option<String>, to: Option<String> },
    Responsible { from: Option<String>, to: Option<String> },
    Customer { from: Option<Address>, to: Option<Address> },
    Locked,
    Unlocked,
    LockTimedOut,
    PendingReached,
    WatcherAdded { who: WatcherRow },
    WatcherRemoved { who: WatcherRow },
    MergedInto { number: String },
    MergedFrom { number: String },
    Linked { number: String },
    AutoReplyOwed { to: Address, reply: String },
    AutoReplySuppressed { reason: String },
    Notified { who: String, event: String },
    DeliveryFailed { to: Address, reason: String },
    Complained { by: Address },
}

impl Row for EventRow {
    const NAME: &'static str = "event";
}

impl From<Event> for EventRow {
    fn from(Event { at, actor, what, why }: Event) -> EventRow {
        EventRow { at, actor: actor.into(), what: what.into(), why }
    }
}

impl EventRow {
    /// The event of a row.
    pub(in crate::store) fn event(self) -> Result<Event, Fault> {
        Ok(Event { at: self.at, actor: self.actor.into(), what: self.what.what()?, why: self.why })
    }
}

impl From<Actor> for ActorRow {
    fn from(actor: Actor) -> ActorRow {
        match actor {
            Actor::System => ActorRow::System,
            Actor::Agent(name) => ActorRow::Agent(name),
            Actor::Customer(address) => ActorRow::Customer(address),
            Actor::Token(name) => ActorRow::Token(name),
        }
    }
}

impl From<ActorRow> for Actor {
    fn from(row: ActorRow) -> Actor {
        match row {
            ActorRow::System => Actor::System,
            ActorRow::Agent(name) => Actor::Agent(name),
            ActorRow::Customer(address) => Actor::Customer(address),
            ActorRow::Token(name) => Actor::Token(name),
        }
    }
}

impl From<What> for WhatRow {
    fn from(what: What) -> WhatRow {
        match what {
            What::Created => WhatRow::Created,
            What::ArticleAdded { article, kind } => {
                WhatRow::ArticleAdded { article: article.0, kind: kind.into() }
            }
            What::FollowedUp { article, locked } => {
                WhatRow::FollowedUp { article: article.0, locked }
            }
            What::FollowUpRejected { article } => WhatRow::FollowUpRejected { article: article.0 },
            What::State { from, to } => {
                WhatRow::State { from: from.label().to_owned(), to: to.label().to_owned() }
            }
            What::Queue { from, to } => WhatRow::Queue { from, to },
            What::Priority { from, to } => {
                WhatRow::Priority { from: from.label().to_owned(), to: to.label().to_owned() }
            }
            What::Title { from, to } => WhatRow::Title { from, to },
            What::Owner { from, to } => WhatRow::Owner { from, to },
            What::Responsible { from, to } => WhatRow::Responsible { from, to },
            What::Customer { from, to } => WhatRow::Customer { from, to },
            What::Locked => WhatRow::Locked,
            What::Unlocked => WhatRow::Unlocked,
            What::LockTimedOut => WhatRow::LockTimedOut,
            What::PendingReached => WhatRow::PendingReached,
            What::WatcherAdded { who } => WhatRow::WatcherAdded { who: who.into() },
            What::WatcherRemoved { who } => WhatRow::WatcherRemoved { who: who.into() },
            What::MergedInto { number } => WhatRow::MergedInto { number },
            What::MergedFrom { number } => WhatRow::MergedFrom { number },
            What::Linked { number } => WhatRow::Linked { number },
            What::AutoReplyOwed { to, reply } => WhatRow::AutoReplyOwed { to, reply },
            What::AutoReplySuppressed { reason } => WhatRow::AutoReplySuppressed { reason },
            What::Notified { who, event } => WhatRow::Notified { who, event },
            What::DeliveryFailed { to, reason } => WhatRow::DeliveryFailed { to, reason },
            What::Complained { by } => WhatRow::Complained { by },
        }
    }
}

impl WhatRow {
    fn what(self) -> Result<What, Fault> {
        Ok(match self {
            WhatRow::Created => What::Created,
            WhatRow::ArticleAdded { article, kind } => {
                What::ArticleAdded { article: ArticleId(article), kind: kind.into() }
            }
            WhatRow::FollowedUp { article, locked } => {
                What::FollowedUp { article: ArticleId(article), locked }
            }
            WhatRow::FollowUpRejected { article } => {
                What::FollowUpRejected { article: ArticleId(article) }
            }
            WhatRow::State { from, to } => What::State { from: state(&from)?, to: state(&to)? },
            WhatRow::Queue { from, to } => What::Queue { from, to },
            WhatRow::Priority { from, to } => {
                What::Priority { from: priority(&from)?, to: priority(&to)? }
            }
            WhatRow::Title { from, to } => What::Title { from, to },
            WhatRow::Owner { from, to } => What::Owner { from, to },
            WhatRow::Responsible { from, to } => What::Responsible { from, to },
            WhatRow::Customer { from, to } => What::Customer { from, to },
            WhatRow::Locked => What::Locked,
            WhatRow::Unlocked => What::Unlocked,
            WhatRow::LockTimedOut => What::LockTimedOut,
            WhatRow::PendingReached => What::PendingReached,
            WhatRow::WatcherAdded { who } => What::WatcherAdded { who: who.into() },
            WhatRow::WatcherRemoved { who } => What::WatcherRemoved { who: who.into() },
            WhatRow::MergedInto { number } => What::MergedInto { number },
            WhatRow::MergedFrom { number } => What::MergedFrom { number },
            WhatRow::Linked { number } => What::Linked { number },
            WhatRow::AutoReplyOwed { to, reply } => What::AutoReplyOwed { to, reply },
            WhatRow::AutoReplySuppressed { reason } => What::AutoReplySuppressed { reason },
            WhatRow::Notified { who, event } => What::Notified { who, event },
            WhatRow::DeliveryFailed { to, reason } => What::DeliveryFailed { to, reason },
            WhatRow::Complained { by } => What::Complained { by },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{decode, encode};
    use super::*;
    use crate::core::ticket::{ArticleKind, Priority, State, Watcher};

    #[track_caller]
    fn check(what: What, expected: &str) {
        let at = Timestamp::UNIX_EPOCH;
        let event = Event { at, actor: Actor::System, what, why: String::new() };
        let bytes = encode(&EventRow::from(event.clone()));
        let text = String::from_utf8(bytes[1..].to_vec()).unwrap();
        assert_eq!(
            text,
            format!("{{\"at\":\"1970-01-01T00:00:00Z\",\"actor\":\"system\",\"what\":{expected}}}")
        );
        assert_eq!(decode::<EventRow>(&bytes).unwrap().event().unwrap(), event);
    }

    #[test]
    fn what_is_written_stays_as_it_is() {
        let eve = Address::parse("eve@cust.test").unwrap();
        let article = ArticleId(7);
        let text = || "x".to_owned();
        check(What::Created, r#""created""#);
        check(
            What::ArticleAdded { article, kind: ArticleKind::MailIn },
            r#"{"articleAdded":{"article":7,"kind":"mailIn"}}"#,
        );
        check(
            What::FollowedUp { article, locked: true },
            r#"{"followedUp":{"article":7,"locked":true}}"#,
        );
        check(What::FollowUpRejected { article }, r#"{"followUpRejected":{"article":7}}"#);
        check(
            What::State { from: State::New, to: State::Closed { successful: false } },
            r#"{"state":{"from":"new","to":"closed unsuccessful"}}"#,
        );
        check(What::Queue { from: text(), to: text() }, r#"{"queue":{"from":"x","to":"x"}}"#);
        check(
            What::Priority { from: Priority::Low, to: Priority::High },
            r#"{"priority":{"from":"2 low","to":"4 high"}}"#,
        );
        check(What::Title { from: text(), to: text() }, r#"{"title":{"from":"x","to":"x"}}"#);
        check(What::Owner { from: None, to: Some(text()) }, r#"{"owner":{"from":null,"to":"x"}}"#);
        check(
            What::Responsible { from: Some(text()), to: None },
            r#"{"responsible":{"from":"x","to":null}}"#,
        );
        check(
            What::Customer { from: None, to: Some(eve.clone()) },
            r#"{"customer":{"from":null,"to":"eve@cust.test"}}"#,
        );
        check(What::Locked, r#""locked""#);
        check(What::Unlocked, r#""unlocked""#);
        check(What::LockTimedOut, r#""lockTimedOut""#);
        check(What::PendingReached, r#""pendingReached""#);
        check(
            What::WatcherAdded { who: Watcher::Agent(text()) },
            r#"{"watcherAdded":{"who":{"agent":"x"}}}"#,
        );
        check(
            What::WatcherRemoved { who: Watcher::Customer(eve.clone()) },
            r#"{"watcherRemoved":{"who":{"customer":"eve@cust.test"}}}"#,
        );
        check(What::MergedInto { number: text() }, r#"{"mergedInto":{"number":"x"}}"#);
        check(What::MergedFrom { number: text() }, r#"{"mergedFrom":{"number":"x"}}"#);
        check(What::Linked { number: text() }, r#"{"linked":{"number":"x"}}"#);
        check(
            What::AutoReplyOwed { to: eve.clone(), reply: text() },
            r#"{"autoReplyOwed":{"to":"eve@cust.test","reply":"x"}}"#,
        );
        check(
            What::AutoReplySuppressed { reason: text() },
            r#"{"autoReplySuppressed":{"reason":"x"}}"#,
        );
        check(
            What::Notified { who: text(), event: text() },
            r#"{"notified":{"who":"x","event":"x"}}"#,
        );
        check(
            What::DeliveryFailed { to: eve.clone(), reason: text() },
            r#"{"deliveryFailed":{"to":"eve@cust.test","reason":"x"}}"#,
        );
        check(What::Complained { by: eve }, r#"{"complained":{"by":"eve@cust.test"}}"#);
    }
}
