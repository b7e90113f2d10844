//! Bare words that several kinds share.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::core::notify::EventKind;
use crate::core::ticket::{Priority, State};
use crate::core::webhook::HookEvent;

/// Switch of an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Switch {
    /// In use.
    #[default]
    Enabled,
    /// Kept for the record, not used.
    Disabled,
    /// Suspended for a while. Never shown as healthy.
    Paused,
}

/// A language with built-in texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Language {
    /// English.
    En,
    /// Japanese.
    Ja,
}

// By hand, because only an `enum` restricts the keys of a map.
impl JsonSchema for Language {
    fn schema_name() -> Cow<'static, str> {
        "Language".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "enum": ["en", "ja"],
            "description": "A language with built-in texts: `en` English, `ja` Japanese."
        })
    }
}

/// What an agent or a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Works on tickets.
    User,
    /// Also sees and changes what others watch.
    Manager,
    /// Everything.
    Admin,
}

/// Way in which a notification reaches a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Channel {
    /// By mail.
    Mail,
    /// By the bell on the page.
    Web,
}

macro_rules! labelled_word {
    ($(#[$doc:meta])* $name:ident, $core:ty, $labels:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub $core);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = String::deserialize(deserializer)?;
                <$core>::from_label(&text).map($name).ok_or_else(|| D::Error::custom("not a known word"))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let labels: Vec<&str> = $labels;
                json_schema!({ "type": "string", "enum": labels })
            }
        }
    };
}

labelled_word!(
    /// An event that users can hear about.
    EventName, EventKind, EventKind::ALL.iter().map(EventKind::label).collect()
);
labelled_word!(
    /// An event of a ticket that a webhook can be told of.
    HookEventName, HookEvent, HookEvent::ALL.iter().map(HookEvent::label).collect()
);
labelled_word!(
    /// Priority of a ticket.
    PriorityName, Priority, Priority::ALL.iter().map(Priority::label).collect()
);

/// State of a ticket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StateName(pub State);

/// States that can be written; `merged` comes about by merging only.
pub const STATE_LABELS: [&str; 7] =
    ["new", "open", "pending", "resolved", "closed", "closed successful", "closed unsuccessful"];

impl<'de> Deserialize<'de> for StateName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StateName, D::Error> {
        let text = String::deserialize(deserializer)?;
        State::from_label(&text).map(StateName).ok_or_else(|| D::Error::custom("not a known word"))
    }
}

impl JsonSchema for StateName {
    fn schema_name() -> Cow<'static, str> {
        "StateName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": STATE_LABELS })
    }
}
