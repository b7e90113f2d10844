//! Events that users can subscribe to, and which change of a ticket is which.

use serde::{Deserialize, Serialize};

use super::Scene;
use crate::core::address::Address;
use crate::core::ticket::{Actor, ArticleKind, Event, State, What};

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

impl Scene<'_> {
    /// Which event users can subscribe to this is, if any.
    pub(super) fn kind(&self, event: &Event) -> Option<EventKind> {
        match &event.what {
            What::Created => Some(EventKind::TicketCreated),
            What::FollowedUp { locked, .. } => Some(follow_up(*locked)),
            What::FollowUpRejected { .. } => {
                Some(follow_up(self.before.unwrap_or(self.after).locked_since.is_some()))
            }
            What::ArticleAdded { kind: ArticleKind::Note, .. } => Some(EventKind::NoteAdded),
            What::ArticleAdded {
                kind:
                    ArticleKind::MailIn
                    | ArticleKind::MailOut
                    | ArticleKind::AutoReply
                    | ArticleKind::Bounce,
                ..
            } => None,
            What::State { from, to } => {
                self.takes_away(*from, *to, &event.actor).then_some(EventKind::LockTimeout)
            }
            What::Unlocked | What::LockTimedOut => Some(EventKind::LockTimeout),
            What::Queue { .. } => self.before.map(|_| EventKind::QueueUpdated),
            What::Owner { .. } => Some(EventKind::OwnerChanged),
            What::Responsible { .. } => Some(EventKind::ResponsibleChanged),
            What::DeliveryFailed { to, .. } => {
                self.fails_first(to).then_some(EventKind::DeliveryFailed)
            }
            What::PendingReached => Some(EventKind::PendingReached),
            What::Priority { .. }
            | What::Title { .. }
            | What::Customer { .. }
            | What::Locked
            | What::WatcherAdded { .. }
            | What::WatcherRemoved { .. }
            | What::MergedInto { .. }
            | What::MergedFrom { .. }
            | What::Linked { .. }
            | What::AutoReplyOwed { .. }
            | What::AutoReplySuppressed { .. }
            | What::Notified { .. }
            | What::Complained { .. } => None,
        }
    }

    /// Whether a change of state takes the ticket out of its owner's hands: it is done, and not
    /// by him. What the desk does by itself counts only while the ticket is locked, when he
    /// believes to have it to himself.
    fn takes_away(&self, from: State, to: State, actor: &Actor) -> bool {
        let locked = self.before.is_some_and(|before| before.locked_since.is_some());
        is_done(to) && !is_done(from) && (locked || *actor != Actor::System)
    }

    /// Whether this address was good until now. Later failures are history only: otherwise two
    /// agents whose mailboxes refuse would be told of each other's failure for ever.
    fn fails_first(&self, to: &Address) -> bool {
        self.before.is_none_or(|before| !before.undeliverable.contains(to))
    }
}

fn follow_up(locked: bool) -> EventKind {
    if locked { EventKind::FollowUpLocked } else { EventKind::FollowUpUnlocked }
}

fn is_done(state: State) -> bool {
    match state {
        State::Resolved | State::Closed { .. } => true,
        State::New | State::Open | State::Pending | State::Merged => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::notify::trying::{
        address, agent, check, closed, eve, failed, full, locked, owned, ticket,
    };
    use crate::core::ticket::{ArticleId, Ticket};

    #[test]
    fn a_rejected_follow_up_is_news_as_well() {
        let rejected = || What::FollowUpRejected { article: ArticleId(1) };
        check(&locked(), eve(), rejected(), &["followUpLocked alice: owner"]);
        check(
            &ticket(),
            eve(),
            rejected(),
            &["followUpUnlocked alice: queue support", "followUpUnlocked bob: queue support"],
        );
    }

    #[test]
    fn closed_by_somebody_else() {
        let resolved = || What::State { from: State::Open, to: State::Resolved };
        check(&locked(), agent("bob"), closed(), &["lockTimeout alice: owner"]);
        check(&locked(), agent("bob"), resolved(), &["lockTimeout alice: owner"]);
        check(&owned(), agent("bob"), closed(), &["lockTimeout alice: owner"]);
        check(&locked(), Actor::System, closed(), &["lockTimeout alice: owner"]);
        check(&locked(), Actor::Token("ci".into()), closed(), &["lockTimeout alice: owner"]);
    }

    #[test]
    fn closing_that_takes_nothing_from_anybody() {
        check(&locked(), agent("alice"), closed(), &[]);
        check(&ticket(), agent("bob"), closed(), &[]);
        check(&owned(), Actor::System, closed(), &[]);
    }

    #[test]
    fn other_states_are_no_news() {
        let state = |from, to| What::State { from, to };
        let done = State::Closed { successful: true };
        check(&locked(), agent("bob"), state(State::New, State::Open), &[]);
        check(&locked(), agent("bob"), state(State::Open, State::Pending), &[]);
        check(&locked(), agent("bob"), state(done, State::Open), &[]);
        check(&locked(), agent("bob"), state(done, State::Resolved), &[]);
        check(&locked(), agent("bob"), state(State::Open, State::Merged), &[]);
    }

    #[test]
    fn unlocked() {
        check(&locked(), agent("bob"), What::Unlocked, &["lockTimeout alice: owner"]);
        check(&locked(), agent("alice"), What::Unlocked, &[]);
        check(&locked(), Actor::System, What::LockTimedOut, &["lockTimeout alice: owner"]);
    }

    #[test]
    fn other_articles_are_no_notes() {
        for kind in [ArticleKind::MailIn, ArticleKind::MailOut, ArticleKind::AutoReply] {
            let what = What::ArticleAdded { article: ArticleId(1), kind };
            check(&full(), agent("carol"), what, &[]);
        }
    }

    #[test]
    fn the_second_failure_of_an_address_is_history_only() {
        let before = Ticket { undeliverable: [address("eve@cust.test")].into(), ..full() };
        check(&before, Actor::System, failed("eve@cust.test"), &[]);
    }
}
