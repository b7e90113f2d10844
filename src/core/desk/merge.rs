//! A ticket becomes part of another one.

use super::Work;
use crate::core::intake::Effect;
use crate::core::ticket::{Refused, State, Ticket, What};

impl Work<'_> {
    pub(super) fn merge_into(mut self, number: &str) -> Result<Vec<Effect>, Refused> {
        let missing = || Refused::Invalid(format!("there is no ticket {number:?}"));
        let main = self.facts.other.as_ref().ok_or_else(missing)?;
        if main.id == self.ticket.id {
            return Err(Refused::Invalid("a ticket cannot be merged into itself".into()));
        }
        if main.merged_into.is_some() || main.state == State::Merged {
            let why = format!("ticket {} is itself merged into another one", main.number);
            return Err(Refused::Invalid(why));
        }
        self.unlock();
        self.change_state(State::Merged, String::new());
        self.ticket.pending_until = None;
        self.ticket.merged_into = Some(main.id);
        self.happened(What::MergedInto { number: main.number.clone() }, String::new());

        let (facts, config, actor, now, before) =
            (self.facts, self.config, self.actor, self.now, self.before);
        let (source, next) = self.finish();
        let beside = Work::begin(config, facts, actor, now);
        let mut other = Work { next, before: main, ticket: main.clone(), ..beside };
        other.take_in(before);
        let (target, _) = other.finish();
        Ok(source.into_iter().chain(target).collect())
    }

    /// Everybody who took part in a ticket takes part in the one it is merged into.
    fn take_in(&mut self, merged: &Ticket) {
        self.ticket.participants.extend(merged.participants.iter().cloned());
        self.ticket.watchers.extend(merged.watchers.iter().cloned());
        self.ticket.undeliverable.extend(merged.undeliverable.iter().cloned());
        self.ticket.complained.extend(merged.complained.iter().cloned());
        self.ticket.take_in_proofs(merged);
        self.happened(What::MergedFrom { number: merged.number.clone() }, String::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::desk::DeskFacts;
    use crate::core::desk::act;
    use crate::core::desk::trying::{
        bob, facts, later, locked, note, reply, run, set_state, told, words,
    };
    use crate::core::ticket::samples::{address, config, ticket};
    use crate::core::ticket::{Command, Priority, TicketId, Watcher};

    fn main_ticket() -> Ticket {
        Ticket {
            id: TicketId(2),
            number: "2026112210000026".into(),
            customer: None,
            participants: [address("max@cust.test")].into(),
            ..ticket()
        }
    }

    fn merge(source: Ticket, main: Option<Ticket>) -> Result<Vec<Effect>, Refused> {
        let facts = DeskFacts { other: main, ..facts(source) };
        let command = Command::MergeInto("2026112210000026".into());
        act(&config(), &facts, &command, &bob(), later())
    }

    #[test]
    fn a_merge() {
        let watcher = Watcher::Agent("dave".into());
        let source = Ticket { watchers: [watcher.clone()].into(), ..locked() };
        let effects = merge(source.clone(), Some(main_ticket())).unwrap();
        let [merged, main] = effects.as_slice() else { panic!("two effects: {effects:?}") };
        assert_eq!(
            words(merged),
            [
                "Unlocked",
                "State { from: Open, to: Merged }",
                "MergedInto { number: \"2026112210000026\" }",
            ]
        );
        assert_eq!((merged.ticket.state, merged.ticket.locked_since), (State::Merged, None));
        assert_eq!(merged.ticket.merged_into, Some(TicketId(2)));
        assert_eq!(words(main), ["MergedFrom { number: \"2026112210000018\" }"]);
        assert_eq!(main.ticket.id, TicketId(2));
        assert!(main.ticket.participants.contains(&address("eve@cust.test")));
        assert!(main.ticket.participants.contains(&address("max@cust.test")));
        assert!(main.ticket.watchers.contains(&watcher));
        assert_eq!((main.ticket.state, main.ticket.merged_into), (State::Open, None));
        assert_eq!(told(merged), ["lockTimeout alice"], "her ticket was taken away");
    }

    #[test]
    fn merges_that_make_no_sense() {
        let refused = |main| merge(ticket(), main).unwrap_err().to_string();
        assert!(refused(None).contains("no ticket \"2026112210000026\""));
        assert!(refused(Some(ticket())).contains("into itself"));
        let gone = Ticket { state: State::Merged, merged_into: Some(TicketId(3)), ..main_ticket() };
        assert!(refused(Some(gone)).contains("itself merged"));
    }

    #[test]
    fn a_merged_ticket_refuses_everything() {
        let gone = Ticket { state: State::Merged, merged_into: Some(TicketId(2)), ..locked() };
        let dave = Watcher::Agent("dave".into());
        let to = address("eve@cust.test");
        for command in [
            note("x", false),
            reply(&[], None),
            set_state(State::Open),
            Command::SetQueue("sales".into()),
            Command::SetOwner(None),
            Command::SetResponsible(None),
            Command::SetLock(false),
            Command::SetPriority(Priority::High),
            Command::SetTitle("x".into()),
            Command::SetCustomer(address("max@cust.test")),
            Command::Watch(dave.clone()),
            Command::Unwatch(dave),
            Command::MergeInto("2026112210000026".into()),
            Command::TimeOutLock,
            Command::ReachPending,
            Command::DeliveryFailed { to, reason: "550".into() },
        ] {
            assert_eq!(run(gone.clone(), command), Err(Refused::Merged));
        }
    }
}
