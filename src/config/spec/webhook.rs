//! `webhooks`: programs that are told of events of tickets.

use schemars::JsonSchema;
use serde::Deserialize;

use super::smtp::Tls;
use super::text::{SecretReference, TextOrReference};
use super::words::{HookEventName, Switch};

/// A program that is told of events of tickets, such as a chat room.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// Where it listens: an `https://` URL, plain or a reference. The address of a chat room lets
    /// anybody write there, so it is better a reference.
    pub url: TextOrReference,
    /// What it is told of. Default everything.
    pub events: Option<Vec<HookEventName>>,
    /// Tickets of which queues it is told of. Default all.
    pub queues: Option<Vec<String>>,
    /// Where the key is found that each message is signed with: `whsec_` and base64, or any text.
    pub secret: SecretReference,
    /// Which texts of articles it gets. Default `none`: of what the customer may see the subject,
    /// of what is internal only that it exists.
    pub texts: Option<Texts>,
    /// `true` lets the URL lead into a private network or to this machine. Default `false`.
    pub allow_private: Option<bool>,
    /// Certificates and names.
    pub tls: Option<Tls>,
    /// Switch. A paused webhook is told later, a disabled one never. Default `enabled`.
    pub state: Option<Switch>,
    /// For the reader of this file.
    pub comment: Option<String>,
}

/// Which texts of articles a webhook gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Texts {
    /// None.
    None,
    /// Those that the customer may see.
    Public,
    /// All, also internal notes.
    All,
}
