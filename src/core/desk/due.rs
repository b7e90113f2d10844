//! What the clock and the outbox do to a ticket: a lock runs out, a pending time is reached, a mail
//! cannot be delivered.

use jiff::SignedDuration;

use super::Work;
use crate::core::address::Address;
use crate::core::render::clean;
use crate::core::ticket::{State, What};

/// Characters of the words of a server that are kept in the history.
const REASON_CHARS_MAX: usize = 500;

impl Work<'_> {
    /// The clock's order is checked against the ticket as it is now: its owner may have shown
    /// himself since the clock looked.
    pub(super) fn time_out_lock(&mut self) {
        let Some(since) = self.ticket.locked_since else { return };
        let timeout = self.config.queues.get(&self.ticket.queue).and_then(|one| one.lock_timeout);
        let timeout = timeout.and_then(|timeout| SignedDuration::try_from(timeout).ok());
        if timeout.is_some_and(|timeout| self.now.duration_since(since) < timeout) {
            return;
        }
        self.ticket.locked_since = None;
        self.happened(What::LockTimedOut, format!("locked since {since}"));
    }

    pub(super) fn reach_pending(&mut self) {
        let over = self.ticket.pending_until.filter(|until| *until <= self.now);
        let (State::Pending, Some(until)) = (self.ticket.state, over) else { return };
        self.happened(What::PendingReached, format!("pending until {until}"));
        self.change_state(State::Open, "the pending time is over".into());
        self.ticket.pending_until = None;
    }

    pub(super) fn delivery_failed(&mut self, to: &Address, reason: &str) {
        self.ticket.undeliverable.insert(to.clone());
        let reason = clean::line(reason, REASON_CHARS_MAX);
        self.happened(What::DeliveryFailed { to: to.clone(), reason }, String::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ticket::samples::{address, config, now, ticket};
    use std::time::Duration;

    use crate::core::desk::act;
    use crate::core::desk::trying::{check, check_nothing, facts, later, locked, note, run, told};
    use crate::core::ticket::{Actor, Command, Ticket};

    #[track_caller]
    fn check_timeout(timeout: Option<u64>, expected: bool) {
        let mut config = config();
        config.queues.get_mut("support").unwrap().lock_timeout = timeout.map(Duration::from_secs);
        let facts = facts(locked());
        let effects = act(&config, &facts, &Command::TimeOutLock, &Actor::System, later()).unwrap();
        assert_eq!(!effects.is_empty(), expected);
        if let [effect] = effects.as_slice() {
            assert_eq!(effect.events[0].what, What::LockTimedOut);
            assert_eq!(effect.ticket.locked_since, None);
            assert_eq!(told(effect), ["lockTimeout alice"]);
        }
    }

    #[test]
    fn locks_run_out_in_their_time() {
        check_timeout(None, true);
        check_timeout(Some(3600), true);
        check_timeout(Some(3601), false);
        check_nothing(ticket(), Command::TimeOutLock);
    }

    #[test]
    fn work_on_a_ticket_keeps_its_lock() {
        let effects = run(locked(), note("at it", false)).unwrap();
        assert_eq!(effects[0].ticket.locked_since, Some(later()));
        let effects = run(ticket(), note("at it", false)).unwrap();
        assert_eq!(effects[0].ticket.locked_since, None);
    }

    #[test]
    fn a_pending_time_is_reached() {
        let waiting = |until| Ticket {
            state: State::Pending,
            pending_until: Some(until),
            owner: Some("alice".into()),
            ..ticket()
        };
        let effects = run(waiting(later()), Command::ReachPending).unwrap();
        assert_eq!(effects[0].events[0].what, What::PendingReached);
        assert_eq!((effects[0].ticket.state, effects[0].ticket.pending_until), (State::Open, None));
        assert_eq!(told(&effects[0]), ["pendingReached alice"]);
        let too_soon = later() + SignedDuration::from_secs(1);
        check_nothing(waiting(too_soon), Command::ReachPending);
        check_nothing(ticket(), Command::ReachPending);
    }

    #[test]
    fn a_delivery_fails() {
        let to = address("eve@cust.test");
        let command =
            Command::DeliveryFailed { to: to.clone(), reason: "550 no\r\nsuch user".into() };
        let what = What::DeliveryFailed { to: to.clone(), reason: "550 no such user".into() };
        let after = Ticket { undeliverable: [to].into(), ..ticket() };
        check(ticket(), command.clone(), std::slice::from_ref(&what), after.clone());
        // The next failure is history; nobody is told again.
        check(after.clone(), command.clone(), &[what], after.clone());
        assert_eq!(told(&run(after, command.clone()).unwrap()[0]), Vec::<String>::new());
        let system = act(&config(), &facts(ticket()), &command, &Actor::System, now()).unwrap();
        assert_eq!(told(&system[0]), ["deliveryFailed alice", "deliveryFailed bob"]);
    }
}
