//! `users`: agents, and what each wants to hear about.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::text::SecretReference;
use super::words::{Channel, EventName, Language, PriorityName, Role, Switch};

/// An agent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// Where notifications go.
    pub email: String,
    /// Full name. Default: the user name.
    pub name: Option<String>,
    /// Language of notifications and of the page. Default: the desk's.
    pub language: Option<Language>,
    /// Zone of `digest` and `quietHours`, such as `Asia/Tokyo`. Default: the desk's.
    pub time_zone: Option<String>,
    /// What the user may do. Default `user`.
    pub role: Option<Role>,
    /// Where the hash of the password for the page is found (argon2id, as `postroom password` makes
    /// one). Without it nobody signs in as this user by password.
    pub password_hash: Option<SecretReference>,
    /// What the user wants to hear about.
    pub subscriptions: Option<Subscriptions>,
    /// Switch. A disabled user is told nothing and does not sign in.
    pub state: Option<Switch>,
    /// For the reader of this file.
    pub comment: Option<String>,
}

/// What a user wants to hear about.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subscriptions {
    /// Names of the queues the user works in.
    #[serde(default)]
    pub queues: Vec<String>,
    /// Events, as a list (by mail and by the bell), or each with its channels.
    #[serde(default)]
    pub events: Events,
    /// Only of tickets that the user owns, is responsible for or watches; nothing because of a
    /// queue. Default `false`.
    pub mine_only: Option<bool>,
    /// Mails are collected and sent as one at this time of the user's day: `daily 08:00`. The bell
    /// rings at once. Default: each mail is sent by itself.
    pub digest: Option<String>,
    /// Mails wait until this part of the user's day is over. The bell rings at once.
    pub quiet_hours: Option<QuietHours>,
    /// Mails about tickets of this priority or a higher one wait for neither `digest` nor
    /// `quietHours`. Default: all wait.
    pub urgent: Option<PriorityName>,
}

/// A part of each day; it may pass midnight.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuietHours {
    /// When it begins, such as `"22:00"`.
    pub from: String,
    /// When it ends, such as `"07:00"`.
    pub to: String,
}

/// Events, as a list (by mail and by the bell), or each with its channels.
#[derive(Debug)]
pub enum Events {
    /// Over both channels.
    List(Vec<EventName>),
    /// As it says.
    Map(BTreeMap<EventName, Wish>),
}

/// How one event reaches a user: a list of channels, or more exactly.
#[derive(Debug)]
pub enum Wish {
    /// Over these channels.
    Channels(Vec<Channel>),
    /// As it says.
    Exact(ExactWish),
}

/// How one event reaches a user, queue by queue.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExactWish {
    /// Channels for tickets in queues that `queues` does not name. Default `[mail, web]`.
    pub channels: Option<Vec<Channel>>,
    /// Channels for tickets in these queues; an empty list is silence. A queue that is named with
    /// a channel counts for this event as one the user works in.
    #[serde(default)]
    pub queues: BTreeMap<String, Vec<Channel>>,
    /// The same as `subscriptions.mineOnly`, for this event.
    pub mine_only: Option<bool>,
    /// `false`: mails of this event do not wait for the digest. Default `true`.
    pub digest: Option<bool>,
}

impl Default for Events {
    fn default() -> Self {
        Events::List(Vec::new())
    }
}

impl<'de> Deserialize<'de> for Events {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Events, D::Error> {
        deserializer.deserialize_any(EventsVisitor)
    }
}

struct EventsVisitor;

impl<'de> Visitor<'de> for EventsVisitor {
    type Value = Events;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events, or a map from event to channels")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Events, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Events::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Events, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(Events::Map)
    }
}

impl<'de> Deserialize<'de> for Wish {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Wish, D::Error> {
        deserializer.deserialize_any(WishVisitor)
    }
}

struct WishVisitor;

impl<'de> Visitor<'de> for WishVisitor {
    type Value = Wish;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of channels, or a map with `channels` and `queues`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Wish, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Wish::Channels)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Wish, A::Error> {
        ExactWish::deserialize(MapAccessDeserializer::new(map)).map(Wish::Exact)
    }
}

impl JsonSchema for Events {
    fn schema_name() -> Cow<'static, str> {
        "Events".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let list = generator.subschema_for::<Vec<EventName>>();
        let map = generator.subschema_for::<BTreeMap<EventName, Wish>>();
        json_schema!({ "anyOf": [list, map] })
    }
}

impl JsonSchema for Wish {
    fn schema_name() -> Cow<'static, str> {
        "Wish".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let list = generator.subschema_for::<Vec<Channel>>();
        let exact = generator.subschema_for::<ExactWish>();
        json_schema!({
            "description": "How one event reaches a user: a list of channels, or more exactly.",
            "anyOf": [list, exact]
        })
    }
}
