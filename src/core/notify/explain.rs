//! Who would be told of an event and who would not, for people who ask why.

use jiff::Timestamp;

use super::hours::FullHours;
use super::verdict::{rule, wants};
use super::{EventKind, Not, Scene, Verdict, admit};
use crate::core::config::{Config, User};
use crate::core::ticket::{Actor, Ticket};

/// Who would be told of an event on this ticket if it happened now, and who would not: every user
/// and every customer who watches, by the rules of [`audience`].
///
/// A follow-up is taken for one that a person wrote and customers may see, a note for internal.
pub fn explain(
    config: &Config,
    ticket: &Ticket,
    kind: EventKind,
    actor: &Actor,
    full: &FullHours,
    now: Timestamp,
) -> Vec<Verdict> {
    let scene = Scene { config, before: Some(ticket), after: ticket, articles: &[], full, now };
    let shown = matches!(kind, EventKind::FollowUpLocked | EventKind::FollowUpUnlocked);
    let mut verdicts = Vec::new();
    for invitation in scene.invitations(kind, shown) {
        admit(&mut verdicts, scene.verdict(kind, &invitation, actor));
    }
    for user in config.users.values() {
        if !verdicts.iter().any(|verdict| !verdict.customer && verdict.who == user.name) {
            verdicts.push(scene.uninvited(kind, user, actor));
        }
    }
    verdicts
}

impl Scene<'_> {
    /// A user whom the event is not told to, whatever he wants.
    fn uninvited(&self, event: EventKind, user: &User, actor: &Actor) -> Verdict {
        let (wants, mut rules) = wants(event, user, &self.after.queue, actor);
        let by_queue = match event {
            EventKind::TicketCreated | EventKind::QueueUpdated | EventKind::FollowUpUnlocked => {
                true
            }
            EventKind::FollowUpLocked
            | EventKind::LockTimeout
            | EventKind::NoteAdded
            | EventKind::OwnerChanged
            | EventKind::ResponsibleChanged
            | EventKind::DeliveryFailed
            | EventKind::PendingReached => false,
        };
        let not = match wants {
            Err(not) => not,
            Ok(_) if by_queue => {
                rules.push(rule(user, &["subscriptions", "queues"]));
                Not::OtherQueue
            }
            Ok(_) => Not::NotConcerned,
        };
        Verdict {
            event,
            who: user.name.clone(),
            customer: false,
            role: None,
            told: Err(not),
            rules,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::Switch;
    use crate::core::notify::audience;
    use crate::core::notify::hours::Hour;
    use crate::core::notify::trying::{
        address, agent, config, eve, event, followed_up, free, full, mail, night, note, noted, now,
    };
    use crate::core::ticket::What;

    /// Who would be told of an event, who would not and why, and the place that decided last.
    #[track_caller]
    fn check_explained(change: impl FnOnce(&mut Config), kind: EventKind, expected: &[&str]) {
        let mut config = config();
        change(&mut config);
        let verdicts = explain(&config, &full(), kind, &agent("bob"), &free(), now());
        let words = |verdict: &Verdict| {
            let decided = match &verdict.told {
                Ok(notice) => format!("as {}", notice.role),
                Err(not) => not.label().to_owned(),
            };
            let rule = verdict.rules.last().map(|rule| format!(" by {rule}")).unwrap_or_default();
            format!("{} {decided}{rule}", verdict.who)
        };
        assert_eq!(verdicts.iter().map(words).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_person_is_explained() {
        check_explained(
            |config| {
                config.users.get_mut("carol").unwrap().state = Switch::Disabled;
                config.users.get_mut("dave").unwrap().subscriptions.events.clear();
            },
            EventKind::FollowUpUnlocked,
            &[
                "alice as owner by users.alice.subscriptions.events.followUpUnlocked",
                "bob ownAction",
                "dave notSubscribed by users.dave.subscriptions.events.followUpUnlocked",
                "eve@cust.test as watcher",
                "carol switchedOff by users.carol.state",
            ],
        );
    }

    #[test]
    fn explained_by_queue() {
        check_explained(
            |config| night(config.users.get_mut("alice").unwrap()),
            EventKind::TicketCreated,
            &[
                "alice as queue support by users.alice.subscriptions.quietHours",
                "bob ownAction",
                "carol otherQueue by users.carol.subscriptions.queues",
                "dave otherQueue by users.dave.subscriptions.queues",
            ],
        );
    }

    #[test]
    fn a_full_hour_is_explained() {
        let full_hours = FullHours([((Hour::of(now()), "alice".to_owned()), 100)].into());
        let kind = EventKind::TicketCreated;
        let verdicts = explain(&config(), &full(), kind, &agent("bob"), &full_hours, now());
        let alice = verdicts.iter().find(|verdict| verdict.who == "alice").unwrap();
        assert_eq!(alice.rules.last().unwrap().to_string(), "limits.notificationsPerHour");
        let history = alice.told.as_ref().unwrap().history();
        let expected = "queue support; the mail waits with others until 2026-11-22T07:00:00Z: the \
                        hour is full";
        assert_eq!(history, expected);
    }

    #[test]
    fn a_note_is_explained_as_internal() {
        check_explained(
            |config| {
                config.users.get_mut("dave").unwrap().email = address("alice@agents.test");
                let carol = config.users.get_mut("carol").unwrap();
                carol.email = address("support@desk.test");
            },
            EventKind::NoteAdded,
            &[
                "alice as owner by users.alice.subscriptions.events.noteAdded",
                "bob ownAction",
                "dave sameAddress by users.dave.subscriptions.events.noteAdded",
                "eve@cust.test notForCustomers",
                "carol notConcerned by users.carol.subscriptions.events.noteAdded",
            ],
        );
    }

    /// What is explained of an event is what happens when it happens.
    #[test]
    fn explained_as_it_happens() {
        for (kind, what) in [
            (EventKind::TicketCreated, What::Created),
            (EventKind::FollowUpLocked, followed_up(true)),
            (EventKind::FollowUpUnlocked, followed_up(false)),
            (EventKind::LockTimeout, What::Unlocked),
            (EventKind::NoteAdded, noted()),
            (EventKind::QueueUpdated, What::Queue { from: "x".into(), to: "support".into() }),
            (EventKind::OwnerChanged, What::Owner { from: None, to: None }),
            (EventKind::ResponsibleChanged, What::Responsible { from: None, to: None }),
            (EventKind::PendingReached, What::PendingReached),
        ] {
            let events = [event(eve(), what)];
            let articles = [mail(), note(false)];
            let told =
                audience(&config(), Some(&full()), &full(), &events, &articles, &free(), now());
            let explained = explain(&config(), &full(), kind, &eve(), &free(), now());
            let explained = explained.into_iter().filter_map(|verdict| verdict.told.ok());
            assert_eq!(told, explained.collect::<Vec<_>>(), "{}", kind.label());
        }
    }
}
