//! Who is told of what.
//!
//! [`audience`] reads the events of one change and lists the people to tell: each person once per
//! event, in the first role that reaches them.
//!
//! Architecture invariant: nothing here words or sends a mail; [`super::render`] does. What a
//! customer may not see never leaves through a [`Notice`] to a customer.

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::config::{Channels, Config, Language, Switch, User};
use super::ticket::{
    Actor, Article, ArticleId, ArticleKind, AuthorKind, Event, State, Ticket, Watcher, What,
};

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
    /// Whether this is a customer, who must not see anything internal.
    pub customer: bool,
}

/// Everybody to be told of what just happened to a ticket, each person once per event.
///
/// `before` is the ticket before the events (`None` if they made it), `after` the one afterwards.
/// `articles` are those that the events speak of: customers hear only of articles they may see,
/// and one that is not in the list counts as internal.
pub fn audience(
    config: &Config,
    before: Option<&Ticket>,
    after: &Ticket,
    events: &[Event],
    articles: &[Article],
) -> Vec<Notice> {
    let scene = Scene { config, before, after, articles };
    let mut notices = Vec::new();
    for event in events {
        let Some(kind) = scene.kind(event) else { continue };
        for invitation in scene.invitations(kind, event) {
            admit(&mut notices, scene.notice(kind, &invitation, &event.actor));
        }
    }
    notices
}

/// What one change looks like: the ticket on both sides of it, and the articles it added.
struct Scene<'a> {
    config: &'a Config,
    before: Option<&'a Ticket>,
    after: &'a Ticket,
    articles: &'a [Article],
}

/// Somebody who might be told, and in which role.
struct Invitation {
    who: Watcher,
    role: String,
}

impl Scene<'_> {
    /// Which event users can subscribe to this is, if any.
    fn kind(&self, event: &Event) -> Option<EventKind> {
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
            | What::Notified { .. } => None,
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

    /// Everybody whom the table of events names, in the order of their roles.
    fn invitations(&self, kind: EventKind, event: &Event) -> Vec<Invitation> {
        let ticket = self.after;
        match kind {
            EventKind::TicketCreated | EventKind::QueueUpdated => self.queue_users(),
            EventKind::FollowUpLocked | EventKind::NoteAdded => self.people(event),
            EventKind::FollowUpUnlocked => {
                let mut all = self.people(event);
                all.extend(self.queue_users());
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
                    (None, None) => self.queue_users(),
                }
            }
            EventKind::PendingReached => {
                let owner = self.enabled(ticket.owner.as_ref());
                let responsible = self.enabled(ticket.responsible.as_ref());
                if owner.is_none() && responsible.is_none() {
                    return self.queue_users();
                }
                invite_agents([(owner, "owner"), (responsible, "responsible")])
            }
        }
    }

    /// Owner, responsible and watchers; customers among these only if they may see the article.
    fn people(&self, event: &Event) -> Vec<Invitation> {
        let mut all = invite_agents([
            (self.after.owner.as_ref(), "owner"),
            (self.after.responsible.as_ref(), "responsible"),
        ]);
        let shown = article_of(&event.what).is_some_and(|article| self.is_for_customers(article));
        for watcher in &self.after.watchers {
            if shown || matches!(watcher, Watcher::Agent(_)) {
                all.push(Invitation { who: watcher.clone(), role: "watcher".into() });
            }
        }
        all
    }

    /// Users who work in the ticket's queue.
    fn queue_users(&self) -> Vec<Invitation> {
        let queue = &self.after.queue;
        let works_here = |user: &&User| user.subscriptions.queues.contains(queue);
        let role = format!("queue {queue}");
        let invitation =
            |user: &User| Invitation { who: Watcher::Agent(user.name.clone()), role: role.clone() };
        self.config.users.values().filter(works_here).map(invitation).collect()
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

    /// The notice for one invitation, unless the person is not to be told.
    fn notice(&self, event: EventKind, invitation: &Invitation, actor: &Actor) -> Option<Notice> {
        let role = invitation.role.clone();
        let mut notice = match &invitation.who {
            Watcher::Agent(name) => {
                let own_action = matches!(actor, Actor::Agent(agent) if agent == name);
                let user = self.config.users.get(name).filter(|_| !own_action)?;
                user_notice(event, user, role)?
            }
            Watcher::Customer(address) => self.customer_notice(event, address, role),
        };
        // A mail to ourselves would come back as a follow-up.
        if self.config.system_addresses.contains_key(&notice.address) {
            notice.channels.mail = false;
        }
        (notice.channels.mail || notice.channels.web).then_some(notice)
    }

    fn customer_notice(&self, event: EventKind, address: &Address, role: String) -> Notice {
        let profile = self.config.customers.get(address);
        let on_ticket = self.after.customer.as_ref().filter(|one| one.address == *address);
        let name = profile
            .and_then(|profile| profile.name.clone())
            .or_else(|| on_ticket.map(|customer| customer.name.clone()))
            .unwrap_or_default();
        let language =
            profile.and_then(|profile| profile.language).unwrap_or(self.config.desk.language);
        Notice {
            event,
            who: address.to_string(),
            address: address.clone(),
            name,
            language,
            channels: Channels { mail: true, web: false },
            role,
            customer: true,
        }
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
        | What::DeliveryFailed { .. } => None,
    }
}

/// Whether a program wrote it (RFC 3834 section 5), as far as the kept headers tell.
fn is_automatic(article: &Article) -> bool {
    let by_header = article.headers.iter().any(|field| {
        let value = field.value.trim();
        (field.name.eq_ignore_ascii_case("Auto-Submitted") && !value.eq_ignore_ascii_case("no"))
            || (field.name.eq_ignore_ascii_case("Precedence")
                && ["bulk", "junk", "list"].iter().any(|word| value.eq_ignore_ascii_case(word)))
    });
    by_header || article.author == AuthorKind::System || article.kind == ArticleKind::Bounce
}

fn invite_agents<const N: usize>(roles: [(Option<&String>, &str); N]) -> Vec<Invitation> {
    let named = roles.into_iter().filter_map(|(name, role)| Some((name?, role)));
    named
        .map(|(name, role)| Invitation { who: Watcher::Agent(name.clone()), role: role.into() })
        .collect()
}

/// The notice for a user, if he is enabled and wants to hear of this.
fn user_notice(event: EventKind, user: &User, role: String) -> Option<Notice> {
    let channels = *user.subscriptions.events.get(&event)?;
    (user.state == Switch::Enabled).then(|| Notice {
        event,
        who: user.name.clone(),
        address: user.email.clone(),
        name: if user.full_name.is_empty() { &user.name } else { &user.full_name }.clone(),
        language: user.language,
        channels,
        role,
        customer: false,
    })
}

/// Adds a notice unless the person is told of this event already; an address that gets this
/// event's mail already, under another name, gets no second one.
fn admit(notices: &mut Vec<Notice>, notice: Option<Notice>) {
    let Some(mut notice) = notice else { return };
    let same_event = |one: &&Notice| one.event == notice.event;
    if notices.iter().filter(same_event).any(|one| one.who == notice.who) {
        return;
    }
    let mailed = notices
        .iter()
        .filter(same_event)
        .any(|one| one.channels.mail && one.address == notice.address);
    notice.channels.mail &= !mailed;
    if notice.channels.mail || notice.channels.web {
        notices.push(notice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::CustomerProfile;
    use crate::core::mail::HeaderField;
    use crate::core::ticket::samples::{address, article, config, now, ticket, user};

    fn agent(name: &str) -> Actor {
        Actor::Agent(name.into())
    }

    fn eve() -> Actor {
        Actor::Customer(address("eve@cust.test"))
    }

    fn event(actor: Actor, what: What) -> Event {
        Event { at: now(), actor, what, why: String::new() }
    }

    fn followed_up(locked: bool) -> What {
        What::FollowedUp { article: ArticleId(1), locked }
    }

    fn noted() -> What {
        What::ArticleAdded { article: ArticleId(2), kind: ArticleKind::Note }
    }

    fn closed() -> What {
        What::State { from: State::Open, to: State::Closed { successful: true } }
    }

    fn mail() -> Article {
        article(1, ArticleKind::MailIn)
    }

    fn note(visible: bool) -> Article {
        Article {
            visible_for_customer: visible,
            author: AuthorKind::Agent,
            ..article(2, ArticleKind::Note)
        }
    }

    /// alice owns it, bob answers for it, dave and Eve watch it.
    fn full() -> Ticket {
        Ticket {
            owner: Some("alice".into()),
            responsible: Some("bob".into()),
            watchers: [Watcher::Agent("dave".into()), Watcher::Customer(address("eve@cust.test"))]
                .into(),
            ..ticket()
        }
    }

    fn owned() -> Ticket {
        Ticket { owner: Some("alice".into()), ..ticket() }
    }

    fn locked() -> Ticket {
        Ticket { locked_since: Some(now()), ..owned() }
    }

    fn words(notices: &[Notice]) -> Vec<String> {
        let one = |n: &Notice| format!("{} {}: {}", n.event.label(), n.who, n.role);
        notices.iter().map(one).collect()
    }

    /// Everybody of the table on one ticket that did not change otherwise.
    #[track_caller]
    fn check(ticket: &Ticket, actor: Actor, what: What, expected: &[&str]) {
        check_with(&config(), Some(ticket), ticket, vec![event(actor, what)], expected);
    }

    #[track_caller]
    fn check_with(
        config: &Config,
        before: Option<&Ticket>,
        after: &Ticket,
        events: Vec<Event>,
        expected: &[&str],
    ) {
        let notices = audience(config, before, after, &events, &[mail(), note(false)]);
        assert_eq!(words(&notices), expected);
    }

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
    fn the_owner_as_he_was_before() {
        let after = Ticket { owner: Some("bob".into()), ..ticket() };
        let unlocked = vec![event(agent("bob"), What::Unlocked)];
        check_with(&config(), Some(&locked()), &after, unlocked, &["lockTimeout alice: owner"]);
    }

    #[test]
    fn an_event_counts_once_however_often_it_happens() {
        let both = vec![event(agent("bob"), closed()), event(agent("bob"), What::Unlocked)];
        check_with(&config(), Some(&locked()), &locked(), both, &["lockTimeout alice: owner"]);
    }

    #[test]
    fn two_events_are_two_mails() {
        let from_bob = |what| event(agent("bob"), what);
        let both = vec![from_bob(closed()), from_bob(noted())];
        let expected = ["lockTimeout alice: owner", "noteAdded alice: owner"];
        check_with(&config(), Some(&owned()), &owned(), both, &expected);
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
            let told = audience(&config(), Some(&full()), &full(), &events, articles);
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
            let told = audience(&config(), Some(&full()), &full(), &events, &[article]);
            told.iter().any(|notice| notice.customer)
        };
        let with_header = |name: &str, value: &str| Article {
            headers: vec![HeaderField { name: name.into(), value: value.into() }],
            ..mail()
        };
        assert!(heard(mail()));
        assert!(heard(with_header("Auto-Submitted", "No")));
        assert!(!heard(with_header("auto-submitted", "auto-replied")));
        assert!(!heard(with_header("Precedence", "Bulk")));
        assert!(!heard(Article { kind: ArticleKind::Bounce, ..mail() }));
        assert!(!heard(Article { visible_for_customer: false, ..mail() }));
    }

    #[test]
    fn other_articles_are_no_notes() {
        for kind in [ArticleKind::MailIn, ArticleKind::MailOut, ArticleKind::AutoReply] {
            let what = What::ArticleAdded { article: ArticleId(1), kind };
            check(&full(), agent("carol"), what, &[]);
        }
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

    fn failed(to: &str) -> What {
        What::DeliveryFailed { to: address(to), reason: "550".into() }
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
    fn the_second_failure_of_an_address_is_history_only() {
        let before = Ticket { undeliverable: [address("eve@cust.test")].into(), ..full() };
        check(&before, Actor::System, failed("eve@cust.test"), &[]);
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
    fn agents_are_not_told_of_what_they_did() {
        for name in ["alice", "bob", "dave"] {
            let events = [event(agent(name), noted()), event(agent(name), followed_up(false))];
            let told = audience(&config(), Some(&full()), &full(), &events, &[mail(), note(true)]);
            assert!(told.iter().all(|notice| notice.who != name), "{name}");
            assert!(!told.is_empty());
        }
    }

    #[test]
    fn customers_are_told_of_what_they_did() {
        let watched = Ticket { owner: None, responsible: None, ..full() };
        check(
            &watched,
            eve(),
            followed_up(true),
            &["followUpLocked dave: watcher", "followUpLocked eve@cust.test: watcher"],
        );
    }

    #[test]
    fn the_customer_hears_nothing_unless_he_watches() {
        check(&locked(), eve(), followed_up(true), &["followUpLocked alice: owner"]);
    }

    #[test]
    fn only_enabled_users_who_subscribed() {
        let mut config = config();
        config.users.get_mut("alice").unwrap().state = Switch::Disabled;
        config.users.get_mut("bob").unwrap().state = Switch::Paused;
        let dave = config.users.get_mut("dave").unwrap();
        dave.subscriptions.events.remove(&EventKind::NoteAdded);
        let noted = vec![event(agent("carol"), noted())];
        check_with(&config, Some(&full()), &full(), noted, &[]);
    }

    #[test]
    fn users_who_are_gone() {
        let orphaned = Ticket { owner: Some("zoe".into()), ..ticket() };
        check(&orphaned, agent("carol"), noted(), &[]);
    }

    #[test]
    fn no_mail_to_ourselves() {
        let mut config = config();
        let alice = config.users.get_mut("alice").unwrap();
        alice.email = address("support@desk.test");
        let events = [event(agent("bob"), noted())];
        let told = |config: &Config| audience(config, Some(&owned()), &owned(), &events, &[]);
        assert_eq!(told(&config), []);
        // The bell leaves no mail.
        let both = Channels { mail: true, web: true };
        let alice = config.users.get_mut("alice").unwrap();
        alice.subscriptions.events.insert(EventKind::NoteAdded, both);
        assert_eq!(told(&config)[0].channels, Channels { mail: false, web: true });
    }

    #[test]
    fn one_mail_for_two_users_with_one_address() {
        let mut config = config();
        let twin = User { email: address("alice@agents.test"), ..user("bob", &["support"]) };
        config.users.insert("bob".into(), twin);
        let created = vec![event(eve(), What::Created)];
        let expected = ["ticketCreated alice: queue support"];
        check_with(&config, None, &ticket(), created, &expected);
    }

    #[test]
    fn an_agent_who_watches_as_a_customer_gets_one_mail() {
        let watcher = Watcher::Customer(address("alice@agents.test"));
        let ticket = Ticket { watchers: [watcher].into(), ..locked() };
        check(&ticket, eve(), followed_up(true), &["followUpLocked alice: owner"]);
    }

    #[test]
    fn language_and_name_of_a_customer() {
        let mut config = config();
        let profile = CustomerProfile { language: Some(Language::Ja), ..Default::default() };
        config.customers.insert(address("eve@cust.test"), profile);
        let watched = Ticket { owner: None, responsible: None, ..full() };
        let events = [event(eve(), followed_up(true))];
        let told = audience(&config, Some(&watched), &watched, &events, &[mail()]);
        let notice = told.iter().find(|notice| notice.customer).unwrap();
        assert_eq!((notice.language, notice.name.as_str()), (Language::Ja, "Eve Example"));
    }
}
