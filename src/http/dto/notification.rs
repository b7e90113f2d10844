//! What rang for a person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::config::Language;
use crate::core::render;
use crate::store::Bell;

/// Something that rang for a person on the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationView {
    /// Identity.
    pub id: u64,
    /// What happened: `ticketCreated`, `followUpLocked`, ...
    pub event: String,
    /// Number of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// When.
    pub at: String,
    /// Whether it was read.
    pub read: bool,
    /// Why it rang for this person: `you work in queue support`. Absent in old ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Place in the configuration at which the person asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// Marks what rang as read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadRequest {
    /// User name.
    pub user: String,
    /// Identity of the newest one that was read; all before it are read too.
    pub up_to: u64,
}

fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl From<&Bell> for NotificationView {
    fn from(bell: &Bell) -> NotificationView {
        NotificationView {
            id: bell.id,
            event: bell.event.clone(),
            ticket: bell.ticket.clone(),
            at: bell.at.to_string(),
            read: bell.read,
            why: known(&bell.role).map(|role| render::role(Language::En, &role)),
            rule: known(&bell.rule),
        }
    }
}
