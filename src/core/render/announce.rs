//! What one change owes everybody who should know of it: mails, bells, lines of digests, history.

use super::{Stationery, digest, next_outgoing, notification};
use crate::core::intake::{Effect, NextIds};
use crate::core::notify::hours::FullHours;
use crate::core::notify::{EventKind, Notice, Ring, Wait, audience};
use crate::core::outgoing::{Outgoing, OutgoingKind};
use crate::core::ticket::{Actor, Article, ArticleKind, Event, Ticket, What};

/// Tells everybody who should know of the events of this effect: owed mails, bells and history.
/// `before` is the ticket before them, `None` if they made it; `full` says whose mails must wait.
pub fn announce(
    stationery: Stationery<'_>,
    full: &FullHours,
    before: Option<&Ticket>,
    effect: &mut Effect,
    next: &mut NextIds,
) {
    let Effect { ticket, articles, events, owed, bells, digests, .. } = effect;
    let (config, now) = (stationery.config, stationery.now);
    let mut notices = audience(config, before, ticket, events, articles, full, now);
    // A customer to whom the article goes as a letter has it already.
    let has_it = |notice: &Notice| {
        let letter =
            |mail: &Outgoing| mail.kind == OutgoingKind::Reply && mail.recipient == notice.address;
        notice.customer && owed.iter().any(letter)
    };
    notices.retain(|notice| !has_it(notice));
    for notice in notices {
        let mut told = false;
        let article = article_for(&notice, articles);
        match notice.wait {
            _ if !notice.channels.mail => {}
            Wait::Digest(_) | Wait::FullHour(_) => {
                digests.push(digest::line(stationery, &notice, ticket, article));
                told = true;
            }
            Wait::No | Wait::QuietHours(_) => {
                let mail = notification(stationery, &notice, ticket, article, next.outgoing);
                if let Some(mail) = mail {
                    next_outgoing(next);
                    owed.push(mail);
                    told = true;
                }
            }
        }
        if notice.channels.web {
            bells.push(Ring {
                who: notice.who.clone(),
                event: notice.event,
                role: notice.role.clone(),
                rule: notice.rule_words(),
            });
            told = true;
        }
        if told {
            let why = notice.history();
            let what = What::Notified { who: notice.who, event: notice.event.label().into() };
            events.push(Event { at: now, actor: Actor::System, what, why });
        }
    }
}

/// The article that an event is about. Customers are shown nothing internal.
fn article_for<'a>(notice: &Notice, articles: &'a [Article]) -> Option<&'a Article> {
    let of_event = |article: &&Article| match notice.event {
        EventKind::TicketCreated | EventKind::FollowUpLocked | EventKind::FollowUpUnlocked => {
            article.kind != ArticleKind::AutoReply
        }
        EventKind::NoteAdded => article.kind == ArticleKind::Note,
        EventKind::LockTimeout
        | EventKind::QueueUpdated
        | EventKind::OwnerChanged
        | EventKind::ResponsibleChanged
        | EventKind::DeliveryFailed
        | EventKind::PendingReached => false,
    };
    let may_see = |article: &&Article| article.visible_for_customer || !notice.customer;
    articles.iter().filter(of_event).rfind(may_see)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::first_attempt;
    use super::super::reading::read;
    use super::super::trying::{stationery, write_to};
    use super::*;
    use crate::core::calendar::QuietHours;
    use crate::core::config::{Channels, Config};
    use crate::core::outgoing::OutgoingId;
    use crate::core::ticket::samples::{address, article, config, key, next_ids, now, ticket};
    use crate::core::ticket::{ArticleId, AuthorKind, Watcher};

    fn effect(articles: Vec<Article>, what: What, watchers: &[Watcher]) -> Effect {
        let event = |what| Event {
            at: now(),
            actor: Actor::Customer(address("eve@cust.test")),
            what,
            why: String::new(),
        };
        Effect {
            ticket: Ticket { watchers: watchers.iter().cloned().collect(), ..ticket() },
            created: false,
            articles,
            events: vec![event(what)],
            owed: Vec::new(),
            bells: Vec::new(),
            digests: Vec::new(),
        }
    }

    fn announce_all(config: &Config, before: Option<&Ticket>, effect: &mut Effect) {
        let full = FullHours::default();
        announce(stationery(config, &key()), &full, before, effect, &mut next_ids());
    }

    #[test]
    fn announcing_owes_mails_rings_bells_and_writes_history() {
        let mut config = config();
        let both = Channels { mail: true, web: true };
        let alice = config.users.get_mut("alice").unwrap();
        alice.subscriptions.events.insert(EventKind::TicketCreated, both.into());
        let web = Channels { mail: false, web: true };
        let bob = config.users.get_mut("bob").unwrap();
        bob.subscriptions.events.insert(EventKind::TicketCreated, web.into());
        let mut effect = effect(vec![article(1, ArticleKind::MailIn)], What::Created, &[]);
        let mut next = next_ids();
        announce(stationery(&config, &key()), &FullHours::default(), None, &mut effect, &mut next);
        assert_eq!(next.outgoing, OutgoingId(11));
        assert_eq!(effect.owed.len(), 1);
        assert_eq!(effect.owed[0].id, OutgoingId(10));
        let bell = |name: &str| Ring {
            who: name.into(),
            event: EventKind::TicketCreated,
            role: "queue support".into(),
            rule: format!("users.{name}.subscriptions.events.ticketCreated"),
        };
        assert_eq!(effect.bells, [bell("alice"), bell("bob")]);
        let told: Vec<_> = effect.events[1..].iter().map(|e| (&e.what, e.why.as_str())).collect();
        let notified =
            |who: &str| What::Notified { who: who.into(), event: "ticketCreated".into() };
        let why = "queue support";
        assert_eq!(told, [(&notified("alice"), why), (&notified("bob"), why)]);
    }

    #[test]
    fn mails_that_wait() {
        let mut config = config();
        let eight = jiff::civil::time(8, 0, 0, 0);
        let alice = config.users.get_mut("alice").unwrap();
        alice.subscriptions.digest = Some(eight);
        let bob = config.users.get_mut("bob").unwrap();
        let from = jiff::civil::time(22, 0, 0, 0);
        bob.subscriptions.quiet_hours = Some(QuietHours { from, to: eight });
        let mut effect = effect(vec![article(1, ArticleKind::MailIn)], What::Created, &[]);
        announce_all(&config, None, &mut effect);
        let [line] = effect.digests.as_slice() else { panic!("one line: {:?}", effect.digests) };
        assert_eq!(
            (line.who.as_str(), line.text.as_str()),
            ("alice", "New ticket: Printer broken")
        );
        let [mail] = effect.owed.as_slice() else { panic!("one mail: {:?}", effect.owed) };
        let end = "2026-11-22T08:00:00Z".parse().unwrap();
        assert_eq!(
            (&mail.recipient, &mail.delivery),
            (&address("bob@agents.test"), &first_attempt(end))
        );
        assert_eq!(read(&mail.raw).field("Date"), "Sun, 22 Nov 2026 06:00:00 +0000");
        let why: Vec<&str> = effect.events[1..].iter().map(|event| event.why.as_str()).collect();
        let expected = [
            "queue support; the mail waits for the digest",
            "queue support; the mail waits until 2026-11-22T08:00:00Z, the end of quiet hours",
        ];
        assert_eq!(why, expected);
    }

    /// Of a mail with an agent's address in From that nothing proves.
    #[test]
    fn a_digest_says_that_an_agent_is_not_verified() {
        for (verified, expected) in [
            (Some(false), "New ticket: Printer broken (not verified)"),
            (Some(true), "New ticket: Printer broken"),
            (None, "New ticket: Printer broken"),
        ] {
            let mut config = config();
            let alice = config.users.get_mut("alice").unwrap();
            alice.subscriptions.digest = Some(jiff::civil::time(8, 0, 0, 0));
            let written = Article { verified, ..article(1, ArticleKind::MailIn) };
            let mut effect = effect(vec![written], What::Created, &[]);
            announce_all(&config, None, &mut effect);
            assert_eq!(effect.digests[0].text, expected, "{verified:?}");
        }
    }

    #[test]
    fn nobody_is_said_to_be_told_who_was_not() {
        let mut config = config();
        config.senders.clear();
        Arc::make_mut(&mut config.system_addresses).clear();
        let mut effect = effect(vec![article(1, ArticleKind::MailIn)], What::Created, &[]);
        let mut next = next_ids();
        announce(stationery(&config, &key()), &FullHours::default(), None, &mut effect, &mut next);
        assert_eq!((effect.owed.len(), effect.events.len()), (0, 1));
        assert_eq!(next, next_ids());
    }

    #[test]
    fn customers_are_never_shown_what_is_internal() {
        let config = config();
        let secret = Article {
            author: AuthorKind::Agent,
            visible_for_customer: false,
            text: "he is always like that".into(),
            ..article(2, ArticleKind::Note)
        };
        let open = Article {
            author: AuthorKind::Agent,
            text: "we are at it".into(),
            ..article(3, ArticleKind::Note)
        };
        let added =
            |article: &Article| What::ArticleAdded { article: article.id, kind: article.kind };
        let watchers = [Watcher::Customer(address("eve@cust.test")), Watcher::Agent("dave".into())];
        let mut effect = effect(vec![open.clone(), secret.clone()], added(&open), &watchers);
        effect.events.push(Event { what: added(&secret), ..effect.events[0].clone() });
        announce_all(&config, Some(&ticket()), &mut effect);
        let text_to = |who: &str| {
            let mail = effect.owed.iter().find(|mail| mail.recipient == address(who));
            read(&mail.unwrap().raw).text
        };
        assert!(text_to("eve@cust.test").contains("we are at it"));
        assert!(!text_to("eve@cust.test").contains("always"));
        assert!(text_to("dave@agents.test").contains("always"));
    }

    #[test]
    fn customers_get_a_letter_or_a_notification_but_not_both() {
        let config = config();
        let (letters, _) = write_to(&config, &["eve@cust.test"], &[]);
        let watchers =
            ["eve@cust.test", "boss@cust.test"].map(|who| Watcher::Customer(address(who)));
        let what = What::FollowedUp { article: ArticleId(1), locked: true };
        let mut effect = effect(vec![article(1, ArticleKind::MailIn)], what, &watchers);
        effect.owed = letters;
        announce_all(&config, Some(&ticket()), &mut effect);
        let recipients: Vec<&str> =
            effect.owed.iter().map(|mail| mail.recipient.as_str()).collect();
        assert_eq!(recipients, ["eve@cust.test", "boss@cust.test"]);
    }
}
