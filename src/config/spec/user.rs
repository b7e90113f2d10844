//! `users`: agents, and what each wants to hear about.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::text::SecretReference;
use super::words::{Channel, EventName, Language, Role, Switch};

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
}

/// Events, as a list (by mail and by the bell), or each with its channels.
#[derive(Debug)]
pub enum Events {
    /// Over both channels.
    List(Vec<EventName>),
    /// Over the channels named.
    Map(BTreeMap<EventName, Vec<Channel>>),
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

impl JsonSchema for Events {
    fn schema_name() -> Cow<'static, str> {
        "Events".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let list = generator.subschema_for::<Vec<EventName>>();
        let map = generator.subschema_for::<BTreeMap<EventName, Vec<Channel>>>();
        json_schema!({ "anyOf": [list, map] })
    }
}
