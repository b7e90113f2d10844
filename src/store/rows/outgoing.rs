//! Row of an owed mail; its bytes lie in a table of their own.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Row;
use crate::core::address::Address;
use crate::core::outgoing::{Delivery, Outgoing, OutgoingId, OutgoingKind};
use crate::core::ticket::TicketId;

/// An owed mail without its bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct OutgoingRow {
    pub ticket: Option<u64>,
    pub kind: KindRow,
    pub sender: String,
    pub envelope_from: Option<Address>,
    pub recipient: Address,
    pub message_id: String,
    pub created: Timestamp,
    pub delivery: DeliveryRow,
}

/// What it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::store) enum KindRow {
    AutoReply { reply: String },
    Notification { event: String, who: String },
    Reply,
}

/// How far it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::store) enum DeliveryRow {
    Due {
        attempts: u32,
        at: Timestamp,
        last_error: Option<String>,
        /// Stored only where there is one: rows of version 0.1 have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        doubt: Option<String>,
    },
    Sent {
        at: Timestamp,
    },
    Dead {
        at: Timestamp,
        reason: String,
    },
}

impl OutgoingRow {
    /// The row and the bytes of an owed mail.
    pub(in crate::store) fn of(mail: Outgoing) -> (OutgoingRow, Vec<u8>) {
        let Outgoing {
            id: _,
            ticket,
            kind,
            sender,
            envelope_from,
            recipient,
            message_id,
            raw,
            created,
            delivery,
        } = mail;
        let row = OutgoingRow {
            ticket: ticket.map(|ticket| ticket.0),
            kind: kind.into(),
            sender,
            envelope_from,
            recipient,
            message_id,
            created,
            delivery: delivery.into(),
        };
        (row, raw)
    }

    /// The owed mail of a row and its bytes.
    pub(in crate::store) fn outgoing(self, id: u64, raw: Vec<u8>) -> Outgoing {
        Outgoing {
            id: OutgoingId(id),
            ticket: self.ticket.map(TicketId),
            kind: self.kind.into(),
            sender: self.sender,
            envelope_from: self.envelope_from,
            recipient: self.recipient,
            message_id: self.message_id,
            raw,
            created: self.created,
            delivery: self.delivery.into(),
        }
    }
}

impl Row for OutgoingRow {
    const NAME: &'static str = "owed mail";
}

impl From<OutgoingKind> for KindRow {
    fn from(kind: OutgoingKind) -> KindRow {
        match kind {
            OutgoingKind::AutoReply { reply } => KindRow::AutoReply { reply },
            OutgoingKind::Notification { event, who } => KindRow::Notification { event, who },
            OutgoingKind::Reply => KindRow::Reply,
        }
    }
}

impl From<KindRow> for OutgoingKind {
    fn from(row: KindRow) -> OutgoingKind {
        match row {
            KindRow::AutoReply { reply } => OutgoingKind::AutoReply { reply },
            KindRow::Notification { event, who } => OutgoingKind::Notification { event, who },
            KindRow::Reply => OutgoingKind::Reply,
        }
    }
}

impl From<Delivery> for DeliveryRow {
    fn from(delivery: Delivery) -> DeliveryRow {
        match delivery {
            Delivery::Due { attempts, at, last_error, doubt } => {
                DeliveryRow::Due { attempts, at, last_error, doubt }
            }
            Delivery::Sent { at } => DeliveryRow::Sent { at },
            Delivery::Dead { at, reason } => DeliveryRow::Dead { at, reason },
        }
    }
}

impl From<DeliveryRow> for Delivery {
    fn from(row: DeliveryRow) -> Delivery {
        match row {
            DeliveryRow::Due { attempts, at, last_error, doubt } => {
                Delivery::Due { attempts, at, last_error, doubt }
            }
            DeliveryRow::Sent { at } => Delivery::Sent { at },
            DeliveryRow::Dead { at, reason } => Delivery::Dead { at, reason },
        }
    }
}
