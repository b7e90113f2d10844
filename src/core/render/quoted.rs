//! Everything of ours that an agent's mail about a ticket can quote.
//!
//! Nothing of a notification is kept for this: its frame is rendered again in each event, role and
//! language, and articles are stored. What has changed since (the queue, a name) is recognised by the
//! label before it. The words are the same whichever notification it was, so that a mail is compared
//! with all of them, also one that refers to none.
//!
//! Architecture invariant: an article is shared only if the customer of this very ticket may see it.

use super::notification::{notice_page, notification_words};
use super::page::{self, Person};
use super::{digest, identity, tagged, template, texts};
use crate::core::config::{Config, Language, User};
use crate::core::notify::{EventKind, Notice, Wait};
use crate::core::own_words::{Kind, Known, SLOT};
use crate::core::ticket::{Article, ArticleKind, AuthorKind, State, Ticket};

/// Articles that are compared, newest first.
pub const ARTICLES_COMPARED_MAX: usize = 200;
/// Bytes of an article that are compared.
const ARTICLE_BYTES_MAX: usize = 32 * 1024;
/// Shortest name of a desk by which an attribution is recognised, in bytes.
const NAME_BYTES_MIN: usize = 4;
/// Languages of notifications.
const LANGUAGES: [Language; 2] = [Language::En, Language::Ja];

/// What a mail of this agent about this ticket can quote. `articles` are those of the ticket and of
/// others that the mail refers to, oldest first.
pub fn quotable(config: &Config, user: &User, ticket: &Ticket, articles: &[Article]) -> Known {
    let mut known = Known::default();
    // Frames first: what of a very long ticket finds no room is an old article.
    add_frames(&mut known, config, user, ticket);
    add_values(&mut known, config, user);
    add_origin(&mut known, config, ticket);
    known.add(Kind::Shared, &ticket.title);
    if let Some(customer) = &ticket.customer {
        known.add(Kind::Shared, &format!("{} <{}>", customer.name, customer.address));
    }
    for article in articles.iter().rev().take(ARTICLES_COMPARED_MAX) {
        add_article(&mut known, user, ticket, article);
    }
    known.close();
    known
}

fn add_article(known: &mut Known, user: &User, ticket: &Ticket, article: &Article) {
    let kind = kind_of(user, ticket, article);
    let excerpt = page::excerpt(&article.text);
    let whole = &article.text[..article.text.floor_char_boundary(ARTICLE_BYTES_MAX)];
    known.add(kind, &excerpt);
    if whole.trim().len() > excerpt.len() {
        known.add(kind, whole);
    }
    match kind {
        Kind::Shared => known.add(kind, &article.from),
        // Who wrote an internal article stands in the frame.
        Kind::Draft | Kind::Secret | Kind::Frame => known.add(Kind::Frame, &article.from),
    }
    known.add(kind, &article.subject);
}

/// A mail of the agent's own that was kept inside is theirs to send: they are asked to.
fn kind_of(user: &User, ticket: &Ticket, article: &Article) -> Kind {
    let own = article.kind == ArticleKind::MailIn
        && (article.from.to_lowercase().contains(user.email.as_str())
            || article.author == AuthorKind::Customer);
    match article.visible_for_customer {
        true if article.ticket == ticket.id => Kind::Shared,
        false if !own => Kind::Secret,
        true | false => Kind::Draft,
    }
}

fn add_frames(known: &mut Known, config: &Config, user: &User, ticket: &Ticket) {
    let queue = format!("queue {}", ticket.queue);
    let roles =
        ["owner", "previous owner", "responsible", "previous responsible", "watcher", &queue];
    for language in LANGUAGES {
        for event in EventKind::ALL {
            add_frame(known, config, user, ticket, &notice(user, event, language, "watcher"));
        }
        for role in roles {
            let notice = notice(user, EventKind::NoteAdded, language, role);
            add_frame(known, config, user, ticket, &notice);
        }
        for name in texts::TO_AGENTS {
            let mut page = page::of(config, language, ticket, None, person(user));
            page.article.quoted = SLOT.into();
            for part in ["subject", "text"] {
                let text = template::fill_built_in(&texts::own(language, name, part), &page);
                text.iter().for_each(|text| known.add(Kind::Frame, text));
            }
        }
        digest::frames(config, user, language).iter().for_each(|text| known.add(Kind::Frame, text));
    }
    for beginning in texts::FRAME_BEGINNINGS {
        known.add_label(beginning);
    }
}

fn add_frame(known: &mut Known, config: &Config, user: &User, ticket: &Ticket, notice: &Notice) {
    let name = if user.full_name.is_empty() { &user.name } else { &user.full_name };
    let mut page = notice_page(config, notice, name, ticket, None);
    page.rule = format!("users.{}.subscriptions.events.{}", user.name, notice.event.label());
    if shows_article(notice.event) {
        for words in [&mut page.article.from, &mut page.article.text, &mut page.article.quoted] {
            *words = SLOT.into();
        }
    }
    if let Some((subject, text)) = notification_words(config, notice, &page) {
        known.add(Kind::Frame, &tagged(config, ticket, &subject));
        known.add(Kind::Frame, &text);
    }
    known.add(Kind::Frame, &page.rule);
}

fn shows_article(event: EventKind) -> bool {
    match event {
        EventKind::TicketCreated
        | EventKind::FollowUpLocked
        | EventKind::FollowUpUnlocked
        | EventKind::NoteAdded => true,
        EventKind::LockTimeout
        | EventKind::QueueUpdated
        | EventKind::OwnerChanged
        | EventKind::ResponsibleChanged
        | EventKind::DeliveryFailed
        | EventKind::PendingReached => false,
    }
}

fn notice(user: &User, event: EventKind, language: Language, role: &str) -> Notice {
    Notice {
        event,
        who: user.name.clone(),
        address: user.email.clone(),
        name: user.full_name.clone(),
        language,
        channels: crate::core::config::Channels { mail: true, web: false },
        wait: Wait::No,
        role: role.into(),
        rule: None,
        customer: false,
    }
}

fn person(user: &User) -> Person<'_> {
    let name = super::clean::line(&user.full_name, super::clean::NAME_CHARS_MAX);
    Person { name, address: user.email.as_str() }
}

/// What notifications fill in and what changes later.
fn add_values(known: &mut Known, config: &Config, user: &User) {
    for queue in config.queues.keys() {
        known.add_queue(queue);
        known.add(Kind::Frame, &format!("users.{}.subscriptions.queues.{queue}", user.name));
    }
    for user in config.users.values() {
        known.add_value(&user.name);
        known.add_value(&user.full_name);
    }
    let states = [
        State::New,
        State::Open,
        State::Pending,
        State::Resolved,
        State::Closed { successful: true },
        State::Closed { successful: false },
        State::Merged,
    ];
    for language in LANGUAGES {
        for state in states {
            known.add_value(texts::state(language, state));
        }
        for role in ["owner", "previous owner", "responsible", "watcher", "queue x"] {
            known.add_value(&texts::role(language, role));
        }
    }
    known.add_key(&format!("users.{}.subscriptions", user.name));
}

/// By what a mail program says whose mail it quotes.
fn add_origin(known: &mut Known, config: &Config, ticket: &Ticket) {
    let senders = config.senders.values();
    let addresses = senders.clone().map(|sender| sender.from.as_str());
    let addresses = addresses.chain(config.system_addresses.keys().map(|address| address.as_str()));
    known.our_addresses = addresses.map(str::to_lowercase).collect();
    let names = senders.map(|sender| sender.from_name.as_str()).chain([config.desk.name.as_str()]);
    let names = names.chain(identity::notifying(config, ticket).map(|identity| identity.name));
    let names = names.filter(|name| name.len() >= NAME_BYTES_MIN);
    known.our_names = names.map(str::to_lowercase).collect();
    known.our_tag = format!("[{}", config.desk.hook).to_lowercase();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::notify::EventKind;

    /// A line of a notification that no label announces must be in the frame as it is.
    #[test]
    fn sentences_with_values_are_announced() {
        let all: String = texts::BUILT_IN.iter().map(|(_, text)| *text).collect();
        for beginning in texts::FRAME_BEGINNINGS {
            assert!(all.contains(beginning), "no notification has {beginning:?}");
        }
    }

    #[test]
    fn events_that_show_an_article_are_those_that_have_one() {
        let shown = EventKind::ALL.into_iter().filter(|event| shows_article(*event));
        assert_eq!(shown.count(), 4);
    }
}
