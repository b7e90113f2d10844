//! A ticket with people around it, for the tests beside this.

use super::hours::FullHours;
use super::{Notice, audience};
use crate::core::calendar::QuietHours;
use crate::core::config::{Channels, Config, User, Wish};
use crate::core::notify::EventKind;
pub use crate::core::ticket::samples::{address, article, config, now, ticket, user};
use crate::core::ticket::{
    Actor, Article, ArticleId, ArticleKind, AuthorKind, Event, State, Ticket, Watcher, What,
};

/// An agent acts.
pub fn agent(name: &str) -> Actor {
    Actor::Agent(name.into())
}

/// The customer acts.
pub fn eve() -> Actor {
    Actor::Customer(address("eve@cust.test"))
}

/// Something happens.
pub fn event(actor: Actor, what: What) -> Event {
    Event { at: now(), actor, what, why: String::new() }
}

/// A mail on a ticket.
pub fn followed_up(locked: bool) -> What {
    What::FollowedUp { article: ArticleId(1), locked }
}

/// An internal note.
pub fn noted() -> What {
    What::ArticleAdded { article: ArticleId(2), kind: ArticleKind::Note }
}

/// The end of a case.
pub fn closed() -> What {
    What::State { from: State::Open, to: State::Closed { successful: true } }
}

/// A mail that came back.
pub fn failed(to: &str) -> What {
    What::DeliveryFailed { to: address(to), reason: "550".into() }
}

/// What Eve wrote.
pub fn mail() -> Article {
    article(1, ArticleKind::MailIn)
}

/// An agent's note.
pub fn note(visible: bool) -> Article {
    Article {
        visible_for_customer: visible,
        author: AuthorKind::Agent,
        ..article(2, ArticleKind::Note)
    }
}

/// alice owns it, bob answers for it, dave and Eve watch it.
pub fn full() -> Ticket {
    Ticket {
        owner: Some("alice".into()),
        responsible: Some("bob".into()),
        watchers: [Watcher::Agent("dave".into()), Watcher::Customer(address("eve@cust.test"))]
            .into(),
        ..ticket()
    }
}

/// alice owns it.
pub fn owned() -> Ticket {
    Ticket { owner: Some("alice".into()), ..ticket() }
}

/// alice has it locked.
pub fn locked() -> Ticket {
    Ticket { locked_since: Some(now()), ..owned() }
}

/// Nobody's hour is full.
pub fn free() -> FullHours {
    FullHours::default()
}

/// Who is told of what, and in which role.
pub fn words(notices: &[Notice]) -> Vec<String> {
    let one = |n: &Notice| format!("{} {}: {}", n.event.label(), n.who, n.role);
    notices.iter().map(one).collect()
}

/// Everybody of the table on one ticket that did not change otherwise.
#[track_caller]
pub fn check(ticket: &Ticket, actor: Actor, what: What, expected: &[&str]) {
    check_with(&config(), Some(ticket), ticket, vec![event(actor, what)], expected);
}

/// Everybody who is told of these events.
#[track_caller]
pub fn check_with(
    config: &Config,
    before: Option<&Ticket>,
    after: &Ticket,
    events: Vec<Event>,
    expected: &[&str],
) {
    let notices = audience(config, before, after, &events, &[mail(), note(false)], &free(), now());
    assert_eq!(words(&notices), expected);
}

/// Mail and bell.
pub const BOTH: Channels = Channels { mail: true, web: true };

/// What she wants to hear of new tickets: by mail and by bell.
pub fn wish(user: &mut User) -> &mut Wish {
    let wish = user.subscriptions.events.get_mut(&EventKind::TicketCreated).unwrap();
    wish.channels = BOTH;
    wish
}

/// Quiet from ten in the evening to seven.
pub fn night(user: &mut User) {
    let (from, to) = (jiff::civil::time(22, 0, 0, 0), jiff::civil::time(7, 0, 0, 0));
    user.subscriptions.quiet_hours = Some(QuietHours { from, to });
    wish(user);
}
