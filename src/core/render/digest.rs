//! The mail that tells a user of much at once: once a day if he likes, or because it was too much for
//! one hour.
//!
//! Architecture invariant: what is listed is decided in [`crate::core::digest`]; here are words.

use serde::Serialize;

use super::page::{DeskWords, Person};
use super::paper::{self, Draft};
use super::{Stationery, clean, first_attempt, id_domain, identity, robot_fields, template, texts};
use crate::core::config::{Config, Language, User};
use crate::core::digest::{LINES_MAX, Line};
use crate::core::notify::{Notice, Wait};
use crate::core::outgoing::{Outgoing, OutgoingId, OutgoingKind};
use crate::core::own_words::SLOT;
use crate::core::thread::{self, Purpose};
use crate::core::ticket::{Article, Ticket, TicketId};

/// What a digest is called where notifications are counted.
pub const NAME: &str = "digest";
/// Stands for the ticket in the Message-ID of a mail that is about none.
const NO_TICKET: TicketId = TicketId(0);

#[derive(Serialize)]
struct DigestWords<'a> {
    recipient: Person<'a>,
    desk: DeskWords<'a>,
    count: usize,
    tickets: Vec<TicketLines>,
    more: usize,
    rule: String,
    /// Notification mails in one hour, if he gets this one because there were more.
    bound: Option<u32>,
}

#[derive(Serialize)]
struct TicketLines {
    tag: String,
    lines: Vec<LineWords>,
}

#[derive(Serialize)]
struct LineWords {
    time: String,
    text: String,
    role: String,
}

/// The line that a notice leaves in the digest of its user.
pub fn line(
    stationery: Stationery<'_>,
    notice: &Notice,
    ticket: &Ticket,
    article: Option<&Article>,
) -> Line {
    let page =
        super::notification::notice_page(stationery.config, notice, &notice.name, ticket, article);
    let words = super::notification::notification_words(stationery.config, notice, &page);
    let mut text = words.map_or_else(|| ticket.title.clone(), |(subject, _)| subject);
    text = clean::line(&text, clean::LINE_CHARS_MAX);
    if article.is_some_and(|article| article.verified == Some(false)) {
        text = format!("{text} ({})", texts::not_verified(notice.language));
    }
    Line {
        who: notice.who.clone(),
        event: notice.event,
        ticket: ticket.id,
        number: ticket.number.clone(),
        text,
        role: notice.role.clone(),
        rule: notice.rule_words(),
        at: stationery.now,
        held: matches!(notice.wait, Wait::FullHour(_)),
    }
}

/// The mail with these lines, oldest first. `total` counts those that are not among them, too.
/// `None` if there is nobody to send it as.
pub fn mail(
    stationery: Stationery<'_>,
    user: &User,
    lines: &[Line],
    total: usize,
    id: OutgoingId,
) -> Option<Outgoing> {
    let config = stationery.config;
    let identity = identity::of_desk(config)?;
    let words = words(stationery, user, lines, total);
    let fill = |part| template::fill_built_in(&texts::own(user.language, NAME, part), &words);
    let (subject, text) = (fill("subject")?, fill("text")?);
    let domain = id_domain(&identity.from);
    let (ticket, purpose) = match about(lines, total) {
        Some(ticket) => (ticket, Purpose::Notification),
        None => (NO_TICKET, Purpose::Information),
    };
    let to = &user.email;
    let message_id = thread::message_id(stationery.key, ticket, id, to, purpose, domain);
    let raw = paper::write(&Draft {
        from: (&identity.from_name, &identity.from),
        reply_to: None,
        to: vec![(&user.full_name, &user.email)],
        cc: Vec::new(),
        subject: format!("{}: {subject}", config.desk.name),
        date: stationery.now,
        message_id: &message_id,
        in_reply_to: None,
        references: Vec::new(),
        files: &[],
        fields: robot_fields("auto-generated", &identity.from),
        text,
    });
    Some(Outgoing {
        id,
        ticket: None,
        kind: OutgoingKind::Notification { event: NAME.into(), who: user.name.clone() },
        sender: identity.name.clone(),
        envelope_from: identity.envelope_from.clone(),
        recipient: user.email.clone(),
        message_id,
        raw,
        created: stationery.now,
        delivery: first_attempt(stationery.now),
    })
}

/// What digests say around their lines, without and with a bound; see
/// [`crate::core::own_words::SLOT`].
pub(super) fn frames(config: &Config, user: &User, language: Language) -> Vec<String> {
    let frame = |bound: Option<u32>| {
        let words = DigestWords {
            recipient: Person { name: user.full_name.clone(), address: user.email.as_str() },
            desk: DeskWords { name: &config.desk.name },
            count: 1,
            tickets: vec![TicketLines { tag: SLOT.into(), lines: Vec::new() }],
            more: 0,
            rule: format!("users.{}.subscriptions.digest", user.name),
            bound,
        };
        template::fill_built_in(&texts::own(language, NAME, "text"), &words)
    };
    let bound = config.limits.notifications_per_hour;
    [None, Some(bound)].into_iter().filter_map(frame).collect()
}

/// The only ticket that a digest is about, if there is one: an answer to it is about that ticket.
fn about(lines: &[Line], total: usize) -> Option<TicketId> {
    let ticket = lines.first()?.ticket;
    let only = total == lines.len() && lines.iter().all(|line| line.ticket == ticket);
    only.then_some(ticket)
}

fn words<'a>(
    stationery: Stationery<'a>,
    user: &'a User,
    lines: &[Line],
    total: usize,
) -> DigestWords<'a> {
    let config = stationery.config;
    let shown = &lines[..lines.len().min(LINES_MAX)];
    let mut tickets: Vec<(TicketId, TicketLines)> = Vec::new();
    for line in shown {
        let at = line.at.to_zoned(user.time_zone.clone());
        let words = LineWords {
            time: at.strftime("%m-%d %H:%M").to_string(),
            text: line.text.clone(),
            role: texts::role(user.language, &line.role),
        };
        match tickets.iter_mut().find(|(ticket, _)| *ticket == line.ticket) {
            Some((_, ticket)) => ticket.lines.push(words),
            None => {
                let tag = thread::tag(&config.desk, &line.number);
                tickets.push((line.ticket, TicketLines { tag, lines: vec![words] }));
            }
        }
    }
    let wanted = user.subscriptions.digest.is_some() || lines.iter().all(|line| !line.held);
    let (rule, bound) = match wanted {
        true => (format!("users.{}.subscriptions.digest", user.name), None),
        false => ("limits.notificationsPerHour".into(), Some(config.limits.notifications_per_hour)),
    };
    let name = clean::line(&user.full_name, clean::NAME_CHARS_MAX);
    DigestWords {
        recipient: Person { name, address: user.email.as_str() },
        desk: DeskWords { name: &config.desk.name },
        count: total,
        tickets: tickets.into_iter().map(|(_, lines)| lines).collect(),
        more: total - shown.len(),
        rule,
        bound,
    }
}

#[cfg(test)]
mod tests {
    use super::super::reading::read;
    use super::*;
    use crate::core::notify::EventKind;
    use crate::core::ticket::samples::{address, config, key, now};

    fn one(ticket: u64, text: &str) -> Line {
        Line {
            who: "alice".into(),
            event: EventKind::TicketCreated,
            ticket: TicketId(ticket),
            number: format!("202611221000001{ticket}"),
            text: text.into(),
            role: "queue support".into(),
            rule: "users.alice.subscriptions.events.ticketCreated".into(),
            at: now(),
            held: false,
        }
    }

    fn written(language: Language, lines: &[Line], total: usize) -> (Outgoing, String) {
        let mut config = config();
        config.users.get_mut("alice").unwrap().language = language;
        let key = key();
        let stationery = Stationery { config: &config, key: &key, now: now() };
        let alice = &config.users["alice"];
        let mail = mail(stationery, alice, lines, total, OutgoingId(7)).unwrap();
        let text = read(&mail.raw).text;
        (mail, text)
    }

    #[test]
    fn lines_stand_with_their_ticket() {
        let lines =
            [one(1, "New ticket: Printer"), one(2, "New ticket: Toner"), one(1, "New note")];
        let (mail, text) = written(Language::En, &lines, 3);
        assert_eq!((mail.ticket, &mail.recipient), (None, &address("alice@agents.test")));
        let expected = "[Ticket#2026112210000011]\n  \
                        11-22 06:00  New ticket: Printer (you work in queue support)\n  \
                        11-22 06:00  New note (you work in queue support)\n\n\
                        [Ticket#2026112210000012]\n";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("(users.alice.subscriptions.digest)"), "{text}");
        let read = read(&mail.raw);
        assert_eq!(read.field("Subject"), "ACME Helpdesk: 3 notifications");
        assert_eq!(read.field("Auto-Submitted"), "auto-generated");
        assert!(!text.contains("more"), "{text}");
    }

    #[test]
    fn in_japanese() {
        let (_, text) = written(Language::Ja, &[one(1, "新しいチケット: 障害")], 1);
        assert!(text.contains("新しいチケット: 障害（キュー「support」のメンバー）"), "{text}");
    }

    #[test]
    fn lines_of_a_full_hour() {
        let held = Line { held: true, ..one(1, "New ticket: Printer") };
        let (_, text) = written(Language::En, std::slice::from_ref(&held), 1);
        assert!(text.contains("more than 100 notifications in an hour"), "{text}");
        assert!(text.contains("(limits.notificationsPerHour)"), "{text}");
        assert!(!text.contains("once a day"), "{text}");
        let (_, text) = written(Language::Ja, &[held], 1);
        assert!(text.contains("100 件"), "{text}");
    }

    #[test]
    fn many_lines_are_counted() {
        let lines: Vec<Line> = (0..LINES_MAX + 5).map(|_| one(1, "New note")).collect();
        let (_, text) = written(Language::En, &lines, 10_000);
        assert_eq!(text.matches("New note").count(), LINES_MAX);
        assert!(text.contains("And 9800 more"), "{text}");
    }
}
