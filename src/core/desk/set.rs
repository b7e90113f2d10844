//! What a ticket is, changed: state, queue, agents, lock, title, customer, watchers.

use jiff::Timestamp;

use super::Work;
use crate::core::address::Address;
use crate::core::config::Switch;
use crate::core::mail::SUBJECT_CHARS_MAX;
use crate::core::render::clean;
use crate::core::ticket::{Actor, Customer, Refused, State, Watcher, What};

impl Work<'_> {
    pub(super) fn set_state(
        &mut self,
        state: State,
        until: Option<Timestamp>,
    ) -> Result<(), Refused> {
        let (until, why) = match (state, until) {
            (State::Merged, _) => {
                return Err(Refused::Invalid(
                    "a ticket is merged into another one by merge".into(),
                ));
            }
            (State::Pending, None) => {
                return Err(Refused::Invalid("pending needs the time until when".into()));
            }
            (State::Pending, Some(until)) if until <= self.now => {
                return Err(Refused::Invalid(format!("{until} is over already")));
            }
            (State::Pending, Some(until)) => (Some(until), format!("until {until}")),
            (State::New | State::Open | State::Resolved | State::Closed { .. }, _) => {
                (None, String::new())
            }
        };
        if (state, until) != (self.ticket.state, self.ticket.pending_until) {
            self.change_state(state, why);
            self.ticket.pending_until = until;
        }
        Ok(())
    }

    pub(super) fn set_queue(&mut self, queue: &str) -> Result<(), Refused> {
        if !self.config.queues.contains_key(queue) {
            return Err(unknown("queue", queue));
        }
        let from = std::mem::replace(&mut self.ticket.queue, queue.into());
        self.note_change(from, queue.to_owned(), |from, to| What::Queue { from, to });
        Ok(())
    }

    pub(super) fn set_owner(&mut self, owner: Option<&str>) -> Result<(), Refused> {
        self.check_agent(owner)?;
        self.change_owner(owner.map(str::to_owned));
        Ok(())
    }

    pub(super) fn set_responsible(&mut self, agent: Option<&str>) -> Result<(), Refused> {
        self.check_agent(agent)?;
        let to = agent.map(str::to_owned);
        let from = std::mem::replace(&mut self.ticket.responsible, to.clone());
        self.note_change(from, to, |from, to| What::Responsible { from, to });
        Ok(())
    }

    /// A lock keeps a ticket for its owner, so a ticket without one becomes that of the agent
    /// who locks it; its follow-ups would reach nobody otherwise.
    pub(super) fn lock(&mut self) {
        if self.ticket.locked_since.is_some() {
            return;
        }
        if let (None, Actor::Agent(name)) = (&self.ticket.owner, self.actor) {
            self.change_owner(Some(name.clone()));
        }
        self.ticket.locked_since = Some(self.now);
        self.happened(What::Locked, String::new());
    }

    /// Two who want it at the same moment do not both get it.
    pub(super) fn take(&mut self) -> Result<(), Refused> {
        let Actor::Agent(name) = self.actor else {
            return Err(Refused::Invalid(format!("{} is nobody who can own a ticket", self.actor)));
        };
        self.check_agent(Some(name))?;
        let owner = self.ticket.owner.as_deref().filter(|owner| owner != name);
        if let (Some(owner), Some(_)) = (owner, self.ticket.locked_since) {
            let known = self.config.users.get(owner);
            let shown = known.map_or(owner, |user| user.full_name.as_str());
            return Err(Refused::Taken(shown.to_owned()));
        }
        self.change_owner(Some(name.clone()));
        self.lock();
        Ok(())
    }

    pub(super) fn unlock(&mut self) {
        if self.ticket.locked_since.take().is_some() {
            self.happened(What::Unlocked, String::new());
        }
    }

    pub(super) fn set_title(&mut self, title: &str) -> Result<(), Refused> {
        let title = clean::line(title, SUBJECT_CHARS_MAX);
        if title.is_empty() {
            return Err(Refused::Invalid("a title needs at least one character".into()));
        }
        let from = std::mem::replace(&mut self.ticket.title, title.clone());
        self.note_change(from, title, |from, to| What::Title { from, to });
        Ok(())
    }

    /// The old customer ceases to follow what is no longer his case.
    pub(super) fn set_customer(&mut self, address: &Address) -> Result<(), Refused> {
        let old = self.ticket.customer.as_ref().map(|customer| customer.address.clone());
        if old.as_ref() == Some(address) {
            return Ok(());
        }
        self.check_outsider(address)?;
        let profile = self.config.customers.get(address);
        self.ticket.hand_over(Customer {
            address: address.clone(),
            name: profile.and_then(|profile| profile.name.clone()).unwrap_or_default(),
            company: profile.and_then(|profile| profile.company.clone()),
            reply_to: None,
        });
        let watch = old.clone().map(Watcher::Customer);
        let ended = watch.filter(|watch| self.ticket.watchers.remove(watch));
        let why = ended.as_ref().map(|who| format!("the watch of {who} ended"));
        let what = What::Customer { from: old, to: Some(address.clone()) };
        self.happened(what, why.unwrap_or_default());
        if let Some(who) = ended {
            let why = format!("the customer is now {address}");
            self.happened(What::WatcherRemoved { who }, why);
        }
        Ok(())
    }

    pub(super) fn watch(&mut self, watcher: &Watcher) -> Result<(), Refused> {
        match watcher {
            Watcher::Agent(name) => self.check_agent(Some(name))?,
            Watcher::Customer(address) => self.check_outsider(address)?,
        }
        if self.ticket.watchers.insert(watcher.clone()) {
            self.happened(What::WatcherAdded { who: watcher.clone() }, String::new());
        }
        Ok(())
    }

    pub(super) fn unwatch(&mut self, watcher: &Watcher) {
        if self.ticket.watchers.remove(watcher) {
            self.happened(What::WatcherRemoved { who: watcher.clone() }, String::new());
        }
    }

    fn check_agent(&self, name: Option<&str>) -> Result<(), Refused> {
        let Some(name) = name else { return Ok(()) };
        let user = self.config.users.get(name).ok_or_else(|| unknown("user", name))?;
        match user.state {
            Switch::Enabled => Ok(()),
            Switch::Disabled => Err(Refused::Invalid(format!("user {name:?} is disabled"))),
            Switch::Paused => Err(Refused::Invalid(format!("user {name:?} is paused"))),
        }
    }

    /// An address of ours as customer or watcher would send our mail back to ourselves.
    fn check_outsider(&self, address: &Address) -> Result<(), Refused> {
        if self.config.system_addresses.contains_key(address) {
            return Err(Refused::Invalid(format!("{address} is an address of this desk")));
        }
        Ok(())
    }
}

fn unknown(kind: &'static str, name: &str) -> Refused {
    Refused::Unknown { kind, name: name.into() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::ticket::samples::{address, config, now, ticket};
    use jiff::SignedDuration;

    use crate::core::config::CustomerProfile;
    use crate::core::desk::act;
    use crate::core::desk::trying::{
        DONE, bob, check, check_nothing, check_refused, facts, later, locked, run, set_state, told,
    };
    use crate::core::ticket::{Command, Priority, Ticket};

    #[test]
    fn states() {
        let what = |to| What::State { from: State::Open, to };
        let closed = Ticket { state: DONE, closed: Some(later()), ..ticket() };
        check(ticket(), set_state(DONE), &[what(DONE)], closed.clone());
        let resolved = Ticket { state: State::Resolved, ..ticket() };
        check(ticket(), set_state(State::Resolved), &[what(State::Resolved)], resolved);
        let reopened = Ticket { state: State::Open, ..closed.clone() };
        let what = What::State { from: DONE, to: State::Open };
        check(closed, set_state(State::Open), &[what], reopened);
        check_nothing(ticket(), set_state(State::Open));
        check_refused(set_state(State::Merged), "by merge");
    }

    #[test]
    fn pending() {
        let until = later() + SignedDuration::from_hours(2);
        let pend = |until| Command::SetState { state: State::Pending, pending_until: Some(until) };
        let waiting = Ticket { state: State::Pending, pending_until: Some(until), ..ticket() };
        let what = What::State { from: State::Open, to: State::Pending };
        check(ticket(), pend(until), &[what], waiting.clone());
        check_nothing(waiting.clone(), pend(until));
        let what = What::State { from: State::Pending, to: State::Open };
        check(waiting.clone(), set_state(State::Open), &[what], ticket());
        let longer = until + SignedDuration::from_hours(1);
        let what = What::State { from: State::Pending, to: State::Pending };
        let after = Ticket { pending_until: Some(longer), ..waiting.clone() };
        check(waiting, pend(longer), &[what], after);
        check_refused(set_state(State::Pending), "needs the time");
        check_refused(pend(now()), "over already");
    }

    #[test]
    fn closing_by_somebody_else_keeps_the_lock_and_tells_the_owner() {
        let effects = run(locked(), set_state(DONE)).unwrap();
        assert_eq!(effects[0].ticket.locked_since, Some(now()));
        assert_eq!(effects[0].ticket.owner.as_deref(), Some("alice"));
        assert_eq!(told(&effects[0]), ["lockTimeout alice"]);
    }

    #[test]
    fn closing_by_the_owner_tells_nobody() {
        let alice = Actor::Agent("alice".into());
        let effects = act(&config(), &facts(locked()), &set_state(DONE), &alice, later()).unwrap();
        assert_eq!(told(&effects[0]), Vec::<String>::new());
    }

    #[test]
    fn queues() {
        let after = Ticket { queue: "sales".into(), ..ticket() };
        let what = What::Queue { from: "support".into(), to: "sales".into() };
        check(ticket(), Command::SetQueue("sales".into()), &[what], after);
        check_nothing(ticket(), Command::SetQueue("support".into()));
        check_refused(Command::SetQueue("nowhere".into()), "queue \"nowhere\" is not declared");
        let effects = run(ticket(), Command::SetQueue("sales".into())).unwrap();
        assert_eq!(told(&effects[0]), ["queueUpdated carol"]);
    }

    #[test]
    fn owners() {
        let owned = Ticket { owner: Some("alice".into()), ..ticket() };
        let set = |name: &str| Command::SetOwner(Some(name.into()));
        let what = What::Owner { from: None, to: Some("alice".into()) };
        check(ticket(), set("alice"), &[what], owned.clone());
        check_nothing(owned.clone(), set("alice"));
        let what = What::Owner { from: Some("alice".into()), to: None };
        check(owned.clone(), Command::SetOwner(None), &[what], ticket());
        check_refused(set("zoe"), "user \"zoe\" is not declared");
        let effects = run(owned, set("carol")).unwrap();
        assert_eq!(told(&effects[0]), ["ownerChanged carol", "ownerChanged alice"]);
    }

    #[test]
    fn agents_who_are_away_get_nothing_to_do() {
        for (state, word) in [(Switch::Disabled, "disabled"), (Switch::Paused, "paused")] {
            let mut config = config();
            config.users.get_mut("alice").unwrap().state = state;
            for command in [
                Command::SetOwner(Some("alice".into())),
                Command::SetResponsible(Some("alice".into())),
                Command::Watch(Watcher::Agent("alice".into())),
            ] {
                let refused = act(&config, &facts(ticket()), &command, &bob(), now());
                assert!(refused.unwrap_err().to_string().contains(word));
            }
        }
    }

    #[test]
    fn responsible() {
        let after = Ticket { responsible: Some("alice".into()), ..ticket() };
        let what = What::Responsible { from: None, to: Some("alice".into()) };
        let command = Command::SetResponsible(Some("alice".into()));
        check(ticket(), command.clone(), &[what], after.clone());
        check_nothing(after, command);
        check_refused(Command::SetResponsible(Some("zoe".into())), "not declared");
    }

    #[test]
    fn a_lock_gives_the_ticket_to_who_locks_it() {
        let owner = What::Owner { from: None, to: Some("bob".into()) };
        let after = Ticket { owner: Some("bob".into()), locked_since: Some(later()), ..ticket() };
        check(ticket(), Command::SetLock(true), &[owner, What::Locked], after);
    }

    #[test]
    fn a_lock_leaves_the_owner() {
        let owned = Ticket { owner: Some("alice".into()), ..ticket() };
        let after = Ticket { locked_since: Some(later()), ..owned.clone() };
        check(owned, Command::SetLock(true), &[What::Locked], after);
        check_nothing(locked(), Command::SetLock(true));
    }

    #[test]
    fn taking_owns_and_locks() {
        let owner = What::Owner { from: None, to: Some("bob".into()) };
        let after = Ticket { owner: Some("bob".into()), locked_since: Some(later()), ..ticket() };
        check(ticket(), Command::Take, &[owner, What::Locked], after);
        let owned = Ticket { owner: Some("alice".into()), ..ticket() };
        let owner = What::Owner { from: owned.owner.clone(), to: Some("bob".into()) };
        let after = Ticket { owner: Some("bob".into()), locked_since: Some(later()), ..ticket() };
        check(owned, Command::Take, &[owner, What::Locked], after);
        let his = Ticket { owner: Some("bob".into()), ..locked() };
        check_nothing(his, Command::Take);
    }

    #[test]
    fn what_somebody_works_on_is_not_taken_from_him() {
        let refused = run(locked(), Command::Take).unwrap_err();
        assert_eq!(refused, Refused::Taken(config().users["alice"].full_name.clone()));
        // One who is not declared any more works on nothing, but his name is known.
        let gone = Ticket { owner: Some("zoe".into()), ..locked() };
        assert_eq!(run(gone, Command::Take).unwrap_err(), Refused::Taken("zoe".into()));
        for actor in [Actor::System, Actor::Token("bot".into())] {
            let refused = act(&config(), &facts(ticket()), &Command::Take, &actor, now());
            assert!(refused.unwrap_err().to_string().contains("can own"));
        }
    }

    #[test]
    fn unlocking_leaves_the_owner_and_tells_him() {
        let after = Ticket { locked_since: None, ..locked() };
        check(locked(), Command::SetLock(false), &[What::Unlocked], after);
        check_nothing(ticket(), Command::SetLock(false));
        let effects = run(locked(), Command::SetLock(false)).unwrap();
        assert_eq!(told(&effects[0]), ["lockTimeout alice"]);
    }

    #[test]
    fn priority() {
        let after = Ticket { priority: Priority::High, ..ticket() };
        let what = What::Priority { from: Priority::Normal, to: Priority::High };
        check(ticket(), Command::SetPriority(Priority::High), &[what], after);
        check_nothing(ticket(), Command::SetPriority(Priority::Normal));
    }

    #[test]
    fn title() {
        let after = Ticket { title: "Printer 2 broken".into(), ..ticket() };
        let what = What::Title { from: ticket().title, to: after.title.clone() };
        check(ticket(), Command::SetTitle(" Printer 2\r\nbroken".into()), &[what], after);
        check_nothing(ticket(), Command::SetTitle(ticket().title));
        check_refused(Command::SetTitle("\u{202e} ".into()), "at least one character");
    }

    #[test]
    fn a_change_of_customer_ends_the_old_ones_watch() {
        let eve = Watcher::Customer(address("eve@cust.test"));
        let watched = Ticket { watchers: [eve.clone()].into(), ..ticket() };
        let mut config = config();
        let profile = CustomerProfile {
            name: Some("Max Muster".into()),
            company: Some("Muster".into()),
            language: None,
        };
        Arc::make_mut(&mut config.customers).insert(address("max@cust.test"), profile);
        let command = Command::SetCustomer(address("max@cust.test"));
        let effects = act(&config, &facts(watched), &command, &bob(), later()).unwrap();
        let after = &effects[0].ticket;
        let max = Customer {
            address: address("max@cust.test"),
            name: "Max Muster".into(),
            company: Some("Muster".into()),
            reply_to: None,
        };
        assert_eq!((after.customer.as_ref(), after.watchers.len()), (Some(&max), 0));
        assert!(after.participants.contains(&address("max@cust.test")));
        assert_eq!(effects[0].events[0].why, "the watch of eve@cust.test ended");
        assert_eq!(effects[0].events[1].what, What::WatcherRemoved { who: eve });
        assert_eq!(effects[0].events[1].why, "the customer is now max@cust.test");
    }

    #[test]
    fn a_change_of_customer_leaves_other_watches() {
        let watched = Ticket { watchers: [Watcher::Agent("dave".into())].into(), ..ticket() };
        let effects = run(watched, Command::SetCustomer(address("max@cust.test"))).unwrap();
        assert_eq!(effects[0].ticket.watchers.len(), 1);
        assert_eq!(effects[0].events.len(), 1);
        check_nothing(ticket(), Command::SetCustomer(address("eve@cust.test")));
        check_refused(Command::SetCustomer(address("sales@desk.test")), "address of this desk");
    }

    #[test]
    fn watching() {
        for who in [Watcher::Agent("dave".into()), Watcher::Customer(address("boss@cust.test"))] {
            let watched = Ticket { watchers: [who.clone()].into(), ..ticket() };
            let added = What::WatcherAdded { who: who.clone() };
            check(ticket(), Command::Watch(who.clone()), &[added], watched.clone());
            check_nothing(watched.clone(), Command::Watch(who.clone()));
            let removed = What::WatcherRemoved { who: who.clone() };
            check(watched, Command::Unwatch(who.clone()), &[removed], ticket());
            check_nothing(ticket(), Command::Unwatch(who));
        }
        check_refused(Command::Watch(Watcher::Agent("zoe".into())), "not declared");
        let ours = Watcher::Customer(address("support@desk.test"));
        check_refused(Command::Watch(ours), "address of this desk");
    }
}
