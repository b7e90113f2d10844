//! Changes of a ticket, each with its event. What is as wanted already is no change.
//!
//! Architecture invariant: nothing on a ticket changes without an event that says so, but for what
//! belongs to the mail that brings it: participants, free fields, where the customer wants
//! answers, and that an address can be reached again.

use jiff::{SignedDuration, Timestamp};

use super::settle::Sitting;
use super::{Effect, people};
use crate::core::address::Address;
use crate::core::config::When;
use crate::core::filter::Settings;
use crate::core::ticket::{Event, State, Ticket, Watcher, What};

/// How long a ticket is pending if nobody says how long.
const PENDING_DEFAULT_HOURS: i64 = 24;
/// Free fields of one ticket.
const FIELDS_MAX: usize = 100;
/// Why a value was set.
const BY_FILTER: &str = "set by a filter or control header";

/// A ticket being changed, and what happened to it.
pub(super) struct Change {
    pub(super) ticket: Ticket,
    events: Vec<Event>,
}

impl Change {
    /// Nothing has changed yet.
    pub(super) fn of(ticket: &Ticket) -> Change {
        Change { ticket: ticket.clone(), events: Vec::new() }
    }

    /// Something happened.
    pub(super) fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// What came of it, without articles and mails.
    pub(super) fn effect(mut self, now: Timestamp) -> Effect {
        self.ticket.updated = now;
        let (ticket, events) = (self.ticket, self.events);
        let (articles, owed) = (Vec::new(), Vec::new());
        let (bells, digests) = (Vec::new(), Vec::new());
        Effect { ticket, created: false, articles, events, owed, bells, digests }
    }

    /// What filters and control headers want of a follow-up's ticket.
    pub(super) fn apply(&mut self, sitting: &Sitting<'_>, settings: &Settings) {
        if let Some(queue) = &settings.queue {
            let from = std::mem::replace(&mut self.ticket.queue, queue.clone());
            let to = queue.clone();
            self.push_if(from != to, sitting, What::Queue { from, to });
        }
        if let Some(to) = settings.priority {
            let from = std::mem::replace(&mut self.ticket.priority, to);
            self.push_if(from != to, sitting, What::Priority { from, to });
        }
        if let Some(to) = settings.title.clone() {
            let from = std::mem::replace(&mut self.ticket.title, to.clone());
            self.push_if(from != to, sitting, What::Title { from, to });
        }
        self.apply_people(sitting, settings);
        if let Some(state) = settings.state {
            set_state(self, sitting, state, BY_FILTER);
        }
        if let Some(when) = settings.pending_time {
            set_pending_time(&mut self.ticket, when, sitting.now);
        }
        if let Some(lock) = settings.lock {
            set_lock(self, sitting, lock, BY_FILTER);
        }
        set_fields(&mut self.ticket, settings);
    }

    fn apply_people(&mut self, sitting: &Sitting<'_>, settings: &Settings) {
        if settings.owner.is_some() {
            let to = settings.owner.clone();
            let from = std::mem::replace(&mut self.ticket.owner, to.clone());
            self.push_if(from != to, sitting, What::Owner { from, to });
        }
        if settings.responsible.is_some() {
            let to = settings.responsible.clone();
            let from = std::mem::replace(&mut self.ticket.responsible, to.clone());
            self.push_if(from != to, sitting, What::Responsible { from, to });
        }
        if let Some(address) = settings.customer.as_deref().and_then(Address::parse) {
            self.set_customer(sitting, settings, address);
        }
    }

    /// The old customer ceases to follow what is no longer his case.
    fn set_customer(&mut self, sitting: &Sitting<'_>, settings: &Settings, address: Address) {
        let from = self.ticket.customer.as_ref().map(|customer| customer.address.clone());
        if from.as_ref() == Some(&address) {
            return;
        }
        let customer = people::described(sitting.config, address.clone(), "", settings);
        self.ticket.hand_over(customer);
        let watch = from.clone().map(Watcher::Customer);
        self.push(sitting.event(What::Customer { from, to: Some(address.clone()) }, BY_FILTER));
        if let Some(who) = watch.filter(|watch| self.ticket.watchers.remove(watch)) {
            let why = format!("the customer is now {address}");
            self.push(sitting.event(What::WatcherRemoved { who }, why));
        }
    }

    fn push_if(&mut self, changed: bool, sitting: &Sitting<'_>, what: What) {
        if changed {
            self.push(sitting.event(what, BY_FILTER));
        }
    }
}

/// Sets the state and what hangs on it.
pub(super) fn set_state(change: &mut Change, sitting: &Sitting<'_>, to: State, why: &str) {
    let from = change.ticket.state;
    if from == to {
        return;
    }
    enter_state(&mut change.ticket, to, sitting.now);
    change.push(sitting.event(What::State { from, to }, why));
}

/// Puts a ticket into a state: a pending one wakes up at some time, a closed one knows since when.
pub(super) fn enter_state(ticket: &mut Ticket, state: State, now: Timestamp) {
    ticket.state = state;
    ticket.pending_until = match state {
        State::Pending => Some(later(now, SignedDuration::from_hours(PENDING_DEFAULT_HOURS))),
        State::New | State::Open | State::Resolved | State::Closed { .. } | State::Merged => None,
    };
    if state.is_closed() {
        ticket.closed = Some(now);
    }
}

/// Sets when a pending ticket wakes up; others do not sleep.
pub(super) fn set_pending_time(ticket: &mut Ticket, when: When, now: Timestamp) {
    let until = match when {
        When::At(at) => at,
        When::In(span) => later(now, span),
    };
    if ticket.state == State::Pending {
        ticket.pending_until = Some(until);
    }
}

/// Locks or unlocks.
pub(super) fn set_lock(change: &mut Change, sitting: &Sitting<'_>, lock: bool, why: &str) {
    let locked = change.ticket.locked_since.is_some();
    if locked == lock {
        return;
    }
    change.ticket.locked_since = lock.then_some(sitting.now);
    let what = if lock { What::Locked } else { What::Unlocked };
    change.push(sitting.event(what, why));
}

/// Adds free fields.
pub(super) fn set_fields(ticket: &mut Ticket, settings: &Settings) {
    for (name, value) in &settings.fields {
        let known = ticket.fields.contains_key(name);
        if known || ticket.fields.len() < FIELDS_MAX {
            ticket.fields.insert(name.clone(), value.clone());
        }
    }
}

fn later(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.checked_add(span).unwrap_or(Timestamp::MAX)
}
