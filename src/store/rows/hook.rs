//! Row of a message that we owe to a webhook.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Row;
use super::outgoing::DeliveryRow;
use crate::core::ticket::TicketId;
use crate::core::webhook::{HookMessage, OwedHook, OwedHookId};

/// An owed message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct HookRow {
    pub webhook: String,
    pub event: String,
    pub message_id: String,
    pub ticket: u64,
    pub body: String,
    pub created: Timestamp,
    pub delivery: DeliveryRow,
}

impl Row for HookRow {
    const NAME: &'static str = "owed message";
}

impl From<OwedHook> for HookRow {
    fn from(hook: OwedHook) -> HookRow {
        let OwedHook { id: _, ticket, message, created, delivery } = hook;
        let HookMessage { webhook, event, message_id, body } = message;
        let (ticket, delivery) = (ticket.0, delivery.into());
        HookRow { webhook, event, message_id, ticket, body, created, delivery }
    }
}

impl HookRow {
    /// The owed message of a row.
    pub(in crate::store) fn hook(self, id: u64) -> OwedHook {
        OwedHook {
            id: OwedHookId(id),
            ticket: TicketId(self.ticket),
            message: HookMessage {
                webhook: self.webhook,
                event: self.event,
                message_id: self.message_id,
                body: self.body,
            },
            created: self.created,
            delivery: self.delivery.into(),
        }
    }
}
