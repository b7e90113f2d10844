//! The table of events: who is invited to hear of which, and in which role.
//!
//! Whether he is told in the end depends on his wishes: see [`super::verdict`].

use super::{EventKind, Scene};
use crate::core::config::{Switch, User};
use crate::core::ticket::{Article, ArticleId, ArticleKind, AuthorKind, Event, Watcher, What};

/// Somebody who might be told, and in which role.
pub(super) struct Invitation {
    pub(super) who: Watcher,
    pub(super) role: String,
    /// Whether he is meant because of the ticket's queue alone.
    pub(super) by_queue: bool,
    /// Whether he is a customer who must not hear of this.
    pub(super) barred: bool,
}

impl Scene<'_> {
    /// Everybody whom the table of events names, in the order of their roles.
    pub(super) fn invitations(&self, kind: EventKind, shown: bool) -> Vec<Invitation> {
        let ticket = self.after;
        if self.is_of_a_program(kind) {
            return invite_agents([(ticket.owner.as_ref(), "owner")]);
        }
        match kind {
            EventKind::TicketCreated | EventKind::QueueUpdated => self.queue_users(kind),
            EventKind::FollowUpLocked | EventKind::NoteAdded => self.people(shown),
            EventKind::FollowUpUnlocked => {
                let mut all = self.people(shown);
                all.extend(self.queue_users(kind));
                all
            }
            EventKind::LockTimeout => {
                let owner = self.before.and_then(|before| before.owner.as_ref());
                invite_agents([(owner, "owner")])
            }
            EventKind::OwnerChanged => invite_agents([
                (ticket.owner.as_ref(), "owner"),
                (self.before.and_then(|before| before.owner.as_ref()), "previous owner"),
            ]),
            EventKind::ResponsibleChanged => invite_agents([
                (ticket.responsible.as_ref(), "responsible"),
                (
                    self.before.and_then(|before| before.responsible.as_ref()),
                    "previous responsible",
                ),
            ]),
            EventKind::DeliveryFailed => {
                let owner = self.enabled(ticket.owner.as_ref());
                let responsible = self.enabled(ticket.responsible.as_ref());
                match (owner, responsible) {
                    (Some(owner), _) => invite_agents([(Some(owner), "owner")]),
                    (None, Some(one)) => invite_agents([(Some(one), "responsible")]),
                    (None, None) => self.queue_users(kind),
                }
            }
            EventKind::PendingReached => {
                let owner = self.enabled(ticket.owner.as_ref());
                let responsible = self.enabled(ticket.responsible.as_ref());
                if owner.is_none() && responsible.is_none() {
                    return self.queue_users(kind);
                }
                invite_agents([(owner, "owner"), (responsible, "responsible")])
            }
        }
    }

    /// Whether all mails that follow up are automatic answers: only the owner hears of them.
    fn is_of_a_program(&self, kind: EventKind) -> bool {
        let follows = matches!(kind, EventKind::FollowUpLocked | EventKind::FollowUpUnlocked);
        let mut mails =
            self.articles.iter().filter(|one| one.kind == ArticleKind::MailIn).peekable();
        follows && mails.peek().is_some() && mails.all(|mail| mail.automatic)
    }

    /// Owner, responsible and watchers; `shown` says whether customers may hear of it.
    fn people(&self, shown: bool) -> Vec<Invitation> {
        let mut all = invite_agents([
            (self.after.owner.as_ref(), "owner"),
            (self.after.responsible.as_ref(), "responsible"),
        ]);
        let watchers = self.after.watchers.iter().map(|watcher| Invitation {
            who: watcher.clone(),
            role: "watcher".into(),
            by_queue: false,
            barred: match watcher {
                Watcher::Customer(address) => !shown || self.after.complained.contains(address),
                Watcher::Agent(_) => false,
            },
        });
        all.extend(watchers);
        all
    }

    /// Users who work in the ticket's queue.
    fn queue_users(&self, kind: EventKind) -> Vec<Invitation> {
        let queue = &self.after.queue;
        let works_here = |user: &&User| user.subscriptions.works_in(queue, kind);
        let invitation = |user: &User| Invitation {
            who: Watcher::Agent(user.name.clone()),
            role: format!("queue {queue}"),
            by_queue: true,
            barred: false,
        };
        self.config.users.values().filter(works_here).map(invitation).collect()
    }

    /// Whether customers may hear of an event.
    pub(super) fn is_shown(&self, event: &Event) -> bool {
        article_of(&event.what).is_some_and(|article| self.is_for_customers(article))
    }

    /// Whether customers may hear of an article: it is visible to them, and a person wrote it.
    /// Customers are told of their own mails, so a machine's mail would go round for ever.
    fn is_for_customers(&self, id: ArticleId) -> bool {
        let article = self.articles.iter().find(|article| article.id == id);
        article.is_some_and(|article| article.visible_for_customer && !is_automatic(article))
    }

    /// This user's name, if he is declared and enabled.
    fn enabled<'n>(&self, name: Option<&'n String>) -> Option<&'n String> {
        name.filter(|name| {
            self.config.users.get(*name).is_some_and(|user| user.state == Switch::Enabled)
        })
    }
}

/// The article an event speaks of.
fn article_of(what: &What) -> Option<ArticleId> {
    match what {
        What::ArticleAdded { article, .. }
        | What::FollowedUp { article, .. }
        | What::FollowUpRejected { article } => Some(*article),
        What::Created
        | What::State { .. }
        | What::Queue { .. }
        | What::Priority { .. }
        | What::Title { .. }
        | What::Owner { .. }
        | What::Responsible { .. }
        | What::Customer { .. }
        | What::Locked
        | What::Unlocked
        | What::LockTimedOut
        | What::PendingReached
        | What::WatcherAdded { .. }
        | What::WatcherRemoved { .. }
        | What::MergedInto { .. }
        | What::MergedFrom { .. }
        | What::Linked { .. }
        | What::AutoReplyOwed { .. }
        | What::AutoReplySuppressed { .. }
        | What::Notified { .. }
        | What::DeliveryFailed { .. }
        | What::Complained { .. } => None,
    }
}

/// Whether a program wrote it: an automatic answer, or mail of a list or in bulk.
fn is_automatic(article: &Article) -> bool {
    let in_bulk = article.headers.iter().any(|field| {
        field.name.eq_ignore_ascii_case("Precedence")
            && ["bulk", "junk", "list"]
                .iter()
                .any(|word| field.value.trim().eq_ignore_ascii_case(word))
    });
    article.automatic
        || in_bulk
        || article.author == AuthorKind::System
        || article.kind == ArticleKind::Bounce
}

fn invite_agents<const N: usize>(roles: [(Option<&String>, &str); N]) -> Vec<Invitation> {
    let named = roles.into_iter().filter_map(|(name, role)| Some((name?, role)));
    let invitation = |(name, role): (&String, &str)| Invitation {
        who: Watcher::Agent(name.clone()),
        role: role.into(),
        by_queue: false,
        barred: false,
    };
    named.map(invitation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::mail::HeaderField;
    use crate::core::notify::audience;
    use crate::core::notify::trying::{
        agent, check, check_with, config, eve, event, failed, followed_up, free, full, locked,
        mail, note, noted, now, owned, ticket,
    };
    use crate::core::ticket::{Actor, Ticket};

    #[test]
    fn ticket_created() {
        let created = vec![event(eve(), What::Created)];
        let expected = ["ticketCreated alice: queue support", "ticketCreated bob: queue support"];
        check_with(&config(), None, &full(), created, &expected);
    }

    #[test]
    fn ticket_created_where_nobody_works() {
        let raw = Ticket { queue: "Raw".into(), ..full() };
        check_with(&config(), None, &raw, vec![event(eve(), What::Created)], &[]);
    }

    #[test]
    fn follow_up_locked() {
        check(
            &full(),
            eve(),
            followed_up(true),
            &[
                "followUpLocked alice: owner",
                "followUpLocked bob: responsible",
                "followUpLocked dave: watcher",
                "followUpLocked eve@cust.test: watcher",
            ],
        );
    }

    #[test]
    fn follow_up_locked_is_not_for_the_queue() {
        check(&locked(), eve(), followed_up(true), &["followUpLocked alice: owner"]);
    }

    #[test]
    fn follow_up_unlocked_is_for_the_queue_too_but_nobody_hears_twice() {
        check(
            &Ticket { responsible: Some("carol".into()), ..full() },
            eve(),
            followed_up(false),
            &[
                "followUpUnlocked alice: owner",
                "followUpUnlocked carol: responsible",
                "followUpUnlocked dave: watcher",
                "followUpUnlocked eve@cust.test: watcher",
                "followUpUnlocked bob: queue support",
            ],
        );
    }

    #[test]
    fn the_owner_as_he_was_before() {
        let after = Ticket { owner: Some("bob".into()), ..ticket() };
        let unlocked = vec![event(agent("bob"), What::Unlocked)];
        check_with(&config(), Some(&locked()), &after, unlocked, &["lockTimeout alice: owner"]);
    }

    #[test]
    fn note_added() {
        check(
            &full(),
            agent("carol"),
            noted(),
            &["noteAdded alice: owner", "noteAdded bob: responsible", "noteAdded dave: watcher"],
        );
    }

    #[test]
    fn customers_hear_of_notes_they_may_see() {
        let heard = |articles: &[Article]| {
            let events = [event(agent("alice"), noted())];
            let told =
                audience(&config(), Some(&full()), &full(), &events, articles, &free(), now());
            told.iter().any(|notice| notice.customer)
        };
        assert!(heard(&[note(true)]));
        assert!(!heard(&[note(false)]));
        // Visibility unknown: internal.
        assert!(!heard(&[]));
    }

    #[test]
    fn customers_hear_of_no_machine() {
        let heard = |article: Article| {
            let events = [event(eve(), followed_up(false))];
            let told =
                audience(&config(), Some(&full()), &full(), &events, &[article], &free(), now());
            told.iter().any(|notice| notice.customer)
        };
        let with_header = |name: &str, value: &str| Article {
            headers: vec![HeaderField { name: name.into(), value: value.into() }],
            ..mail()
        };
        assert!(heard(mail()));
        assert!(!heard(Article { automatic: true, ..mail() }));
        assert!(!heard(with_header("Precedence", "Bulk")));
        assert!(!heard(Article { kind: ArticleKind::Bounce, ..mail() }));
        assert!(!heard(Article { visible_for_customer: false, ..mail() }));
    }

    #[test]
    fn automatic_answers_are_for_the_owner_alone() {
        let told = |articles: &[Article], ticket: &Ticket| {
            let events = [event(eve(), followed_up(false))];
            let told = audience(&config(), Some(ticket), ticket, &events, articles, &free(), now());
            told.into_iter().map(|notice| notice.who).collect::<Vec<_>>()
        };
        let answer = Article { automatic: true, ..mail() };
        assert_eq!(told(std::slice::from_ref(&answer), &full()), ["alice"]);
        assert!(told(&[answer], &Ticket { owner: None, ..full() }).is_empty());
        assert!(told(&[mail()], &full()).len() > 1);
    }

    #[test]
    fn queue_updated() {
        let moved = || What::Queue { from: "support".into(), to: "sales".into() };
        let after = Ticket { queue: "sales".into(), ..full() };
        check(&after, agent("alice"), moved(), &["queueUpdated carol: queue sales"]);
        check(&after, agent("carol"), moved(), &[]);
        // A new ticket is created in its queue, not moved there.
        check_with(&config(), None, &after, vec![event(eve(), moved())], &[]);
    }

    #[test]
    fn owner_changed() {
        let what = || What::Owner { from: Some("alice".into()), to: Some("bob".into()) };
        let after = Ticket { owner: Some("bob".into()), ..ticket() };
        let told = |actor, expected: &[&str]| {
            check_with(&config(), Some(&owned()), &after, vec![event(actor, what())], expected);
        };
        told(agent("carol"), &["ownerChanged bob: owner", "ownerChanged alice: previous owner"]);
        told(agent("bob"), &["ownerChanged alice: previous owner"]);
    }

    #[test]
    fn responsible_changed() {
        let before = Ticket { responsible: Some("bob".into()), ..ticket() };
        let after = Ticket { responsible: Some("alice".into()), ..ticket() };
        let what = What::Responsible { from: Some("bob".into()), to: Some("alice".into()) };
        check_with(
            &config(),
            Some(&before),
            &after,
            vec![event(Actor::System, what)],
            &[
                "responsibleChanged alice: responsible",
                "responsibleChanged bob: previous responsible",
            ],
        );
    }

    #[test]
    fn delivery_failed() {
        let owner = ["deliveryFailed alice: owner"];
        check(&full(), Actor::System, failed("eve@cust.test"), &owner);
        let responsible = Ticket { owner: None, ..full() };
        let expected = ["deliveryFailed bob: responsible"];
        check(&responsible, Actor::System, failed("eve@cust.test"), &expected);
        let expected = ["deliveryFailed alice: queue support", "deliveryFailed bob: queue support"];
        check(&ticket(), Actor::System, failed("eve@cust.test"), &expected);
    }

    #[test]
    fn a_disabled_owner_hides_no_failure() {
        let mut config = config();
        config.users.get_mut("alice").unwrap().state = Switch::Disabled;
        let failed = vec![event(Actor::System, failed("eve@cust.test"))];
        let expected = ["deliveryFailed bob: responsible"];
        check_with(&config, Some(&full()), &full(), failed, &expected);
    }

    #[test]
    fn pending_reached() {
        check(
            &full(),
            Actor::System,
            What::PendingReached,
            &["pendingReached alice: owner", "pendingReached bob: responsible"],
        );
        check(
            &ticket(),
            Actor::System,
            What::PendingReached,
            &["pendingReached alice: queue support", "pendingReached bob: queue support"],
        );
    }

    #[test]
    fn the_customer_hears_nothing_unless_he_watches() {
        check(&locked(), eve(), followed_up(true), &["followUpLocked alice: owner"]);
    }
}
