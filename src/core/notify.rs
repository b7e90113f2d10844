//! Who is told of what.

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::config::{Channels, Config, Language};
use super::ticket::{Event, Ticket};

/// Events a user can subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// A ticket is created.
    TicketCreated,
    /// A follow-up arrives on a locked ticket.
    FollowUpLocked,
    /// A follow-up arrives on an unlocked ticket.
    FollowUpUnlocked,
    /// The owner lost a ticket: closed, resolved or unlocked by somebody else, or timed out.
    LockTimeout,
    /// A note is added.
    NoteAdded,
    /// The queue changes.
    QueueUpdated,
    /// The owner changes.
    OwnerChanged,
    /// The responsible agent changes.
    ResponsibleChanged,
    /// A mail of ours could not be delivered.
    DeliveryFailed,
    /// A pending time is reached.
    PendingReached,
}

impl EventKind {
    /// All, in the order of the documentation.
    pub const ALL: [EventKind; 10] = [
        EventKind::TicketCreated,
        EventKind::FollowUpLocked,
        EventKind::FollowUpUnlocked,
        EventKind::LockTimeout,
        EventKind::NoteAdded,
        EventKind::QueueUpdated,
        EventKind::OwnerChanged,
        EventKind::ResponsibleChanged,
        EventKind::DeliveryFailed,
        EventKind::PendingReached,
    ];

    /// Name in YAML, metrics and history.
    pub fn label(&self) -> &'static str {
        match self {
            EventKind::TicketCreated => "ticketCreated",
            EventKind::FollowUpLocked => "followUpLocked",
            EventKind::FollowUpUnlocked => "followUpUnlocked",
            EventKind::LockTimeout => "lockTimeout",
            EventKind::NoteAdded => "noteAdded",
            EventKind::QueueUpdated => "queueUpdated",
            EventKind::OwnerChanged => "ownerChanged",
            EventKind::ResponsibleChanged => "responsibleChanged",
            EventKind::DeliveryFailed => "deliveryFailed",
            EventKind::PendingReached => "pendingReached",
        }
    }

    /// Reads a label.
    pub fn from_label(label: &str) -> Option<EventKind> {
        EventKind::ALL.into_iter().find(|kind| kind.label() == label)
    }
}

/// One person to be told of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub event: EventKind,
    /// User name, or the customer's address.
    pub who: String,
    /// Address of the mail.
    pub address: Address,
    /// Display name.
    pub name: String,
    /// Language of the text.
    pub language: Language,
    /// Ways to tell.
    pub channels: Channels,
    /// In which role: `owner`, `responsible`, `watcher`, `queue sales`.
    pub role: String,
}

/// Everybody to be told of what just happened to a ticket, each person once per event.
///
/// `before` is the ticket before the events (`None` if they made it), `after` the one afterwards.
pub fn audience(
    config: &Config,
    before: Option<&Ticket>,
    after: &Ticket,
    events: &[Event],
) -> Vec<Notice> {
    todo!()
}
