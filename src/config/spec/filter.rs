//! `filters`: rules on incoming mail.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::words::{PriorityName, StateName, Switch};

/// A rule on incoming mail: when all conditions hold, it sets something.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Filter {
    /// Place in the order, ascending; ties go by name.
    pub order: i64,
    /// Conditions. All must hold.
    #[serde(rename = "match")]
    #[schemars(length(min = 1))]
    pub conditions: Vec<Condition>,
    /// What it sets. Texts may hold `{{ name }}` and `{{ 1 }}` for what the conditions captured.
    #[serde(default)]
    pub set: Settings,
    /// What it sets if the mail is a follow-up.
    #[serde(default)]
    pub on_follow_up: Settings,
    /// Whether later filters are skipped when this one matches. Default `false`.
    #[serde(default)]
    pub stop: bool,
    /// Switch. Default `enabled`.
    pub state: Option<Switch>,
    /// For the reader of this file.
    pub comment: Option<String>,
}

/// A condition: one place to look at (`header`, or one of `body`, `attachmentName` and `account`)
/// and what must be found there (`regex` or `address`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// Name of a header field. An absent one is the empty text.
    pub header: Option<String>,
    /// Regular expression that must match in the text of the mail.
    pub body: Option<String>,
    /// Regular expression that must match the file name of an attachment.
    pub attachment_name: Option<String>,
    /// Regular expression that must match the name of the account the mail came through.
    pub account: Option<String>,
    /// With `header`: regular expression that must match somewhere in its decoded text, in any
    /// case of letters.
    pub regex: Option<String>,
    /// With `header`: regular expression that must match one of its addresses as a whole.
    pub address: Option<String>,
    /// `true`: it must not be found. Default `false`.
    #[serde(default)]
    pub not: bool,
}

/// What a filter sets. Besides the keys below, `field.NAME` sets a free field.
#[derive(Debug, Default)]
pub struct Settings {
    /// The keys that are always the same.
    pub known: KnownSettings,
    /// Free fields, by name.
    pub fields: BTreeMap<String, String>,
}

/// What a filter sets. Besides the keys below, `field.NAME` sets a free field.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Settings", extend("patternProperties" = { "^field\\.[A-Za-z0-9_-]+$": { "type": "string" } }))]
pub struct KnownSettings {
    /// Queue of a new ticket; on a follow-up, where the ticket moves.
    pub queue: Option<String>,
    /// Priority.
    pub priority: Option<PriorityName>,
    /// State.
    pub state: Option<StateName>,
    /// When a pending ticket wakes up: `+2h`, `+3d`, or an instant such as `2027-01-31T09:00Z`.
    pub pending_time: Option<String>,
    /// Whether the ticket is locked.
    pub lock: Option<bool>,
    /// Owner, a user name.
    pub owner: Option<String>,
    /// Responsible agent, a user name.
    pub responsible: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// Customer, an address.
    pub customer: Option<String>,
    /// Company of the customer.
    pub company: Option<String>,
    /// Who is taken for the author.
    pub sender_type: Option<SenderType>,
    /// Whether the customer may see the article.
    pub visible_for_customer: Option<bool>,
    /// `true`: the mail makes nothing.
    pub ignore: Option<bool>,
    /// Whether it is answered automatically.
    pub auto_reply: Option<AutoReplySetting>,
}

/// Who is taken for the author of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SenderType {
    /// One of our agents.
    Agent,
    /// Somebody outside.
    Customer,
    /// The desk itself, or a mail server.
    System,
}

/// Whether a mail is answered automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AutoReplySetting {
    /// It is not.
    Never,
    /// It is, in spite of a Precedence or list header.
    Allow,
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Settings, D::Error> {
        let (free, known): (Map<_, _>, Map<_, _>) = Map::deserialize(deserializer)?
            .into_iter()
            .partition(|(key, _)| key.starts_with(FIELD_PREFIX));
        let known = KnownSettings::deserialize(Value::Object(known)).map_err(D::Error::custom)?;
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let name = |key: String| key[FIELD_PREFIX.len()..].to_owned();
        let fields = free.into_iter().map(|(key, value)| (name(key), text(value))).collect();
        Ok(Settings { known, fields })
    }
}

/// What the keys of free fields begin with.
pub const FIELD_PREFIX: &str = "field.";

impl JsonSchema for Settings {
    fn schema_name() -> Cow<'static, str> {
        KnownSettings::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        KnownSettings::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        KnownSettings::json_schema(generator)
    }
}
