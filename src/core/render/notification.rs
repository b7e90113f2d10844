//! A notification: the mail that tells one person of one event.

use super::page::{self, Page, Person};
use super::paper::{self, Draft};
use super::{
    ROOT_DOMAIN, Stationery, clean, first_attempt, id_domain, identity, robot_fields, tagged,
    template, texts,
};
use crate::core::config::{Config, Texts};
use crate::core::notify::{Notice, Wait};
use crate::core::outgoing::{Outgoing, OutgoingId, OutgoingKind};
use crate::core::thread::{self, Purpose};
use crate::core::ticket::{Article, Ticket};

/// A notification to one person, in his language. `None` if there is nobody to send it as.
///
/// `article` is the one the event is about. Its text is quoted to whoever gets the notice: the
/// caller passes none that the person may not see.
pub fn notification(
    stationery: Stationery<'_>,
    notice: &Notice,
    ticket: &Ticket,
    article: Option<&Article>,
    id: OutgoingId,
) -> Option<Outgoing> {
    let config = stationery.config;
    let identity = identity::notifying(config, ticket)?;
    let name = if notice.name.is_empty() { notice.who.as_str() } else { notice.name.as_str() };
    let page = notice_page(config, notice, name, ticket, article);
    let (subject, text) = notification_words(config, notice, &page)?;

    let begins = match notice.wait {
        Wait::QuietHours(until) => until,
        Wait::No | Wait::Digest(_) | Wait::FullHour(_) => stationery.now,
    };
    let domain = id_domain(identity.from);
    let purpose = match notice.customer {
        true => Purpose::Correspondence,
        false => Purpose::Notification,
    };
    let (key, to) = (stationery.key, &notice.address);
    let message_id = thread::message_id(key, ticket.id, id, to, purpose, domain);
    let root = thread::root_id(key, ticket.id, to, purpose, ROOT_DOMAIN);
    let raw = paper::write(&Draft {
        from: (identity.name, identity.from),
        reply_to: None,
        to: vec![(&notice.name, &notice.address)],
        cc: Vec::new(),
        subject: tagged(config, ticket, &subject),
        date: stationery.now,
        message_id: &message_id,
        in_reply_to: Some(&root),
        references: vec![&root],
        fields: robot_fields("auto-generated", identity.from),
        text,
        files: &[],
    });
    Some(Outgoing {
        id,
        ticket: Some(ticket.id),
        kind: OutgoingKind::Notification {
            event: notice.event.label().into(),
            who: notice.who.clone(),
        },
        sender: identity.sender.into(),
        envelope_from: identity.envelope_from.cloned(),
        recipient: notice.address.clone(),
        message_id,
        raw,
        created: begins,
        delivery: first_attempt(begins),
    })
}

/// What a notification says.
pub(super) fn notice_page<'a>(
    config: &'a Config,
    notice: &'a Notice,
    name: &str,
    ticket: &'a Ticket,
    article: Option<&'a Article>,
) -> Page<'a> {
    let recipient =
        Person { name: clean::line(name, clean::NAME_CHARS_MAX), address: notice.address.as_str() };
    let mut page = page::of(config, notice.language, ticket, article, recipient);
    page.role = texts::role(notice.language, &notice.role);
    page.rule = notice.rule_words();
    page.event = notice.event.label();
    page
}

/// Subject and text: the replaced ones where there are any and they work, else the built-in ones.
/// A text that fails must not cost anybody the news.
pub(super) fn notification_words(
    config: &Config,
    notice: &Notice,
    page: &Page<'_>,
) -> Option<(String, String)> {
    let replaced = config.notification_texts.get(&notice.event);
    let words = |texts: Option<&Texts>, part: &str| {
        texts.and_then(|texts| template::fill(texts.get(&notice.language)?, page).ok()).or_else(
            || {
                let name = texts::name(notice.language, notice.event, part);
                template::fill_built_in(&name, page)
            },
        )
    };
    Some((
        words(replaced.map(|one| &one.subject), "subject")?,
        words(replaced.map(|one| &one.text), "text")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::reading::read;
    use super::super::trying::{notice, root_of, stationery};
    use super::*;
    use crate::core::config::{Language, NotificationText};
    use crate::core::notify::EventKind;
    use crate::core::ticket::ArticleKind;
    use crate::core::ticket::samples::{address, article, config, key, ticket};

    fn notify_with(config: &Config, notice: &Notice) -> Option<Outgoing> {
        let article = article(1, ArticleKind::MailIn);
        notification(stationery(config, &key()), notice, &ticket(), Some(&article), OutgoingId(10))
    }

    #[test]
    fn a_notification() {
        let notice = notice(EventKind::FollowUpLocked, Language::En);
        let mail = notify_with(&config(), &notice).unwrap();
        let kind =
            OutgoingKind::Notification { event: "followUpLocked".into(), who: "alice".into() };
        assert_eq!((mail.kind, mail.envelope_from, &*mail.sender), (kind, None, "default"));
        let read = read(&mail.raw);
        assert_eq!(read.field("From"), "Helpdesk <default@notify.test>");
        assert_eq!(read.field("To"), "Alice <alice@agents.test>");
        assert_eq!(read.field("Auto-Submitted"), "auto-generated");
        assert!(read.field("Subject").ends_with("] Follow-up: Printer broken"));
        let root = root_of("alice@agents.test", Purpose::Notification);
        assert_eq!(read.field("References"), root);
        assert_eq!(read.field("In-Reply-To"), root);
        for part in ["Hello Alice", "Queue:    support", "State:    open", "> Please help."] {
            assert!(read.text.contains(part), "{part} in {}", read.text);
        }
    }

    #[test]
    fn a_notification_in_japanese() {
        let mail = notify_with(&config(), &notice(EventKind::TicketCreated, Language::Ja)).unwrap();
        let read = read(&mail.raw);
        assert!(read.field("Subject").ends_with("] 新しいチケット: Printer broken"));
        assert!(read.text.contains("状態: 対応中") && read.text.contains("Alice 様"));
    }

    #[test]
    fn a_replaced_text_and_one_that_fails() {
        let mut config = config();
        let text = NotificationText {
            subject: [(Language::En, "!! {{ ticket.number }}".into())].into(),
            text: [(Language::En, "{{ nothing.there }}".into())].into(),
        };
        config.notification_texts.insert(EventKind::NoteAdded, text);
        let mail = notify_with(&config, &notice(EventKind::NoteAdded, Language::En)).unwrap();
        let english = read(&mail.raw);
        assert!(english.field("Subject").ends_with("] !! 2026112210000018"));
        assert!(english.text.contains("A note was added"), "the built-in one: {}", english.text);
        let mail = notify_with(&config, &notice(EventKind::NoteAdded, Language::Ja)).unwrap();
        assert!(read(&mail.raw).text.contains("メモが追加"));
    }

    #[test]
    fn an_envelope_sender_of_a_notification() {
        let mut config = config();
        let bounce = Some(address("bounce@desk.test"));
        config.senders.get_mut("default").unwrap().envelope_from = bounce.clone();
        let mail = notify_with(&config, &notice(EventKind::NoteAdded, Language::En)).unwrap();
        assert_eq!(mail.envelope_from, bounce);
    }
}
