//! Turns what we want to say into mails: subject, text, headers. One sanitiser per sink.
//!
//! Three kinds of mail leave us: an [`auto_reply`] to whoever wrote, a [`notification`] to whoever
//! should know, and an agent's [`letter`]. [`announce`] makes the notifications of one change.
//!
//! Architecture invariant: every value from outside passes [`clean`] before it stands in a mail,
//! and what is rendered here is final: each attempt to deliver sends the same bytes. Who is told
//! is decided in [`super::notify`], whether we may answer in [`super::reply`].

use jiff::Timestamp;

use super::address::Address;
use super::config::{AutoReply, Config, Language, Texts, User};
use super::intake::{DeskKey, Effect, NextIds};
use super::mail::Attachment;
use super::mail::files::File;
use super::notify::hours::FullHours;
use super::notify::{self, EventKind, Notice, Ring, Wait};
use super::outgoing::{Delivery, Outgoing, OutgoingId, OutgoingKind};
use super::thread;
use super::ticket::{Actor, Article, ArticleKind, Event, Ticket, What};
pub use answer::{answer, surroundings, try_answer};
use identity::SENDER_DEFAULT;
use page::{Page, Person};
use paper::Draft;
pub use paper::Enclosed;

mod answer;
pub mod clean;
pub mod digest;
mod identity;
mod page;
mod paper;
#[cfg(test)]
mod reading;
mod template;
mod texts;

/// Bytes of a domain that may stand in our Message-IDs.
const ID_DOMAIN_BYTES_MAX: usize = 120;
/// Stands in our Message-IDs for a domain that may not (RFC 2606 section 2 keeps it free).
const ID_DOMAIN_ELSE: &str = "postroom.invalid";
/// Domain of the id under which all mails of a ticket are threaded. No mail has this id, so its
/// domain need not exist (RFC 2606 section 2), and it stays the same whoever sends.
const ROOT_DOMAIN: &str = "postroom.invalid";
/// Files that a letter names which does not carry them.
const FILES_NAMED_MAX: usize = 20;
/// Recipients of one letter.
pub const LETTER_RECIPIENTS_MAX: usize = 50;

/// What all mails of one transaction share.
#[derive(Debug, Clone, Copy)]
pub struct Stationery<'a> {
    /// The running configuration.
    pub config: &'a Config,
    /// Key of our Message-IDs.
    pub key: &'a DeskKey,
    /// When the mail is written.
    pub now: Timestamp,
}

/// An agent's answer, as he wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter<'a> {
    /// Display name of the agent.
    pub author: &'a str,
    /// Subject without tag.
    pub subject: &'a str,
    /// Text.
    pub text: &'a str,
    /// Recipients in the header To.
    pub to: &'a [Address],
    /// Recipients in the header Cc.
    pub cc: &'a [Address],
    /// Message-IDs of the ticket so far, oldest first.
    pub thread: &'a [String],
    /// Files that go along.
    pub files: &'a [Enclosed<'a>],
}

/// An automatic answer: the mail, and its words for the ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct AutomaticAnswer {
    /// The owed mail.
    pub owed: Outgoing,
    /// Its subject with the ticket's tag.
    pub subject: String,
    /// Its text.
    pub text: String,
}

/// The automatic answer to one mail. `None` if its texts fail at render time.
///
/// `language` is the customer's; without it, or without a text in it, the desk's, then any.
pub fn auto_reply(
    stationery: Stationery<'_>,
    reply: &AutoReply,
    language: Option<Language>,
    ticket: &Ticket,
    answered: &Article,
    to: &Address,
    id: OutgoingId,
) -> Option<AutomaticAnswer> {
    let config = stationery.config;
    let language = language.unwrap_or(config.desk.language);
    let recipient = Person { name: page::customer_name(ticket, to), address: to.as_str() };
    let mut page = page::of(config, language, ticket, Some(answered), recipient);
    page.make_harmless();
    let subject = template::fill(in_language(&reply.subject, config, language)?, &page).ok()?;
    let subject = tagged(config, ticket, &subject);
    let text = template::fill(in_language(&reply.text, config, language)?, &page).ok()?;

    let from_name = config.system_addresses.get(&reply.from).map_or("", |one| one.name.as_str());
    let message_id = thread::message_id(stationery.key, ticket.id, id, to, id_domain(&reply.from));
    let root = thread::root_id(stationery.key, ticket.id, ROOT_DOMAIN);
    let mut references = vec![root.as_str()];
    references.extend(answered.references.iter().map(String::as_str).filter(|id| *id != root));
    references.extend(answered.message_id.as_deref());
    let raw = paper::write(&Draft {
        from: (from_name, &reply.from),
        reply_to: None,
        to: vec![("", to)],
        cc: Vec::new(),
        subject: subject.clone(),
        date: stationery.now,
        message_id: &message_id,
        in_reply_to: answered.message_id.as_deref(),
        references,
        fields: robot_fields("auto-replied", &reply.from),
        text: text.clone(),
        files: &[],
    });
    let owed = Outgoing {
        id,
        ticket: Some(ticket.id),
        kind: OutgoingKind::AutoReply { reply: reply.name.clone() },
        sender: identity::sender(config, ticket).map_or(SENDER_DEFAULT, |one| &one.name).into(),
        envelope_from: reply.envelope_from.clone(),
        recipient: to.clone(),
        message_id,
        raw,
        created: stationery.now,
        delivery: first_attempt(stationery.now),
    };
    Some(AutomaticAnswer { owed, subject, text })
}

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
    let message_id = thread::message_id(stationery.key, ticket.id, id, &notice.address, domain);
    let root = thread::root_id(stationery.key, ticket.id, ROOT_DOMAIN);
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

/// Address that answers on a ticket go out as; `None` if nothing can send them.
pub fn letter_from<'a>(config: &'a Config, ticket: &Ticket) -> Option<&'a Address> {
    identity::writing(config, ticket).map(|identity| identity.from)
}

/// What a notification says.
fn notice_page<'a>(
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

/// Tells an agent that his mail was kept inside, because nothing proves that he wrote it. `None`
/// if there is nobody to send it as.
///
/// `name` is what it is called among the automatic answers, `article` what became of his mail.
pub fn not_proven(
    stationery: Stationery<'_>,
    name: &str,
    user: &User,
    ticket: &Ticket,
    article: &Article,
    id: OutgoingId,
) -> Option<Outgoing> {
    let config = stationery.config;
    let identity = identity::notifying(config, ticket)?;
    let recipient = Person {
        name: clean::line(&user.full_name, clean::NAME_CHARS_MAX),
        address: user.email.as_str(),
    };
    let mut page = page::of(config, user.language, ticket, Some(article), recipient);
    page.make_harmless();
    let words = |part| template::fill_built_in(&texts::own(user.language, name, part), &page);
    let (subject, text) = (words("subject")?, words("text")?);
    let domain = id_domain(identity.from);
    let message_id = thread::message_id(stationery.key, ticket.id, id, &user.email, domain);
    let root = thread::root_id(stationery.key, ticket.id, ROOT_DOMAIN);
    let mut references = vec![root.as_str()];
    references.extend(article.message_id.as_deref());
    let raw = paper::write(&Draft {
        from: (identity.name, identity.from),
        reply_to: None,
        to: vec![(&user.full_name, &user.email)],
        cc: Vec::new(),
        subject: tagged(config, ticket, &subject),
        date: stationery.now,
        message_id: &message_id,
        in_reply_to: article.message_id.as_deref(),
        references,
        files: &[],
        fields: robot_fields("auto-replied", identity.from),
        text,
    });
    Some(Outgoing {
        id,
        ticket: Some(ticket.id),
        kind: OutgoingKind::AutoReply { reply: name.into() },
        sender: identity.sender.into(),
        envelope_from: identity.envelope_from.cloned(),
        recipient: user.email.clone(),
        message_id,
        raw,
        created: stationery.now,
        delivery: first_attempt(stationery.now),
    })
}

/// An agent's answer: one owed mail per recipient, all with the same bytes and Message-ID.
/// Identities are counted up in `next`. Empty if nobody is left to write to, or nothing can send.
///
/// Addresses of ours are left out: what we send to ourselves would come back as a follow-up.
pub fn letter(
    stationery: Stationery<'_>,
    letter: &Letter<'_>,
    ticket: &Ticket,
    next: &mut NextIds,
) -> Vec<Outgoing> {
    let config = stationery.config;
    let to = outsiders(config, letter.to, &[]);
    let mut cc = outsiders(config, letter.cc, &to);
    cc.truncate(LETTER_RECIPIENTS_MAX - to.len());
    let recipients: Vec<&Address> = to.iter().chain(&cc).copied().collect();
    let (Some(identity), Some(first)) = (identity::writing(config, ticket), recipients.first())
    else {
        return Vec::new();
    };

    let from_name = match letter.author {
        "" => config.desk.name.clone(),
        author => format!("{author} via {}", config.desk.name),
    };
    let domain = id_domain(identity.from);
    let message_id = thread::message_id(stationery.key, ticket.id, next.outgoing, first, domain);
    let root = thread::root_id(stationery.key, ticket.id, ROOT_DOMAIN);
    let mut references = vec![root.as_str()];
    references.extend(letter.thread.iter().map(String::as_str).filter(|id| *id != root));
    let raw = paper::write(&Draft {
        from: (&from_name, identity.from),
        reply_to: identity.reply_to,
        to: to.iter().map(|address| ("", *address)).collect(),
        cc: cc.iter().map(|address| ("", *address)).collect(),
        subject: tagged(config, ticket, letter.subject),
        date: stationery.now,
        message_id: &message_id,
        in_reply_to: letter.thread.last().map(String::as_str),
        references,
        fields: Vec::new(),
        text: letter.text.into(),
        files: letter.files,
    });
    let owed = |recipient: &&Address| Outgoing {
        id: next_outgoing(next),
        ticket: Some(ticket.id),
        kind: OutgoingKind::Reply,
        sender: identity.sender.into(),
        envelope_from: Some(identity.envelope_from.unwrap_or(identity.from).clone()),
        recipient: (*recipient).clone(),
        message_id: message_id.clone(),
        raw: raw.clone(),
        created: stationery.now,
        delivery: first_attempt(stationery.now),
    };
    recipients.iter().map(owed).collect()
}

/// The text of an article as a letter that carries these of its files, and names the others.
pub fn with_kept_files(article: &Article, sent: &[File], language: Language) -> String {
    let is_kept = |file: &&Attachment| sent.iter().all(|one| one.index != file.index);
    let kept: Vec<&Attachment> = article.attachments.iter().filter(is_kept).collect();
    if kept.is_empty() {
        return article.text.clone();
    }
    let names = kept.iter().take(FILES_NAMED_MAX);
    let names: Vec<String> =
        names.map(|file| clean::line(&file.name, clean::NAME_CHARS_MAX)).collect();
    let more = if kept.len() > FILES_NAMED_MAX { ", ..." } else { "" };
    let files = format!("{}{more}", names.join(", "));
    format!("{}\n\n{}\n", article.text.trim_end(), texts::files_kept(language, &files))
}

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
    let mut notices = notify::audience(config, before, ticket, events, articles, full, now);
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

/// A role of [`Notice`] in words that follow "because": `you work in queue sales`.
pub fn role(language: Language, role: &str) -> String {
    texts::role(language, role)
}

/// Tries a template with sample values; `Err` says what is wrong with it.
///
/// It may name `ticket` (`number`, `title`, `queue`, `state`, `priority`, `owner`, `responsible`,
/// `undeliverable`), `customer` and `recipient` (`name`, `address`), `article` (`from`, `subject`,
/// `text`, `quoted`, `kind`), `desk.name`, `role`, `rule` and `event`.
pub fn try_template(source: &str) -> Result<(), String> {
    template::fill(source, &page::sample()).map(|_| ())
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

/// Subject and text: the replaced ones where there are any and they work, else the built-in ones.
/// A text that fails must not cost anybody the news.
fn notification_words(
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

/// The text in this language, else in the desk's, else in any.
fn in_language<'t>(texts: &'t Texts, config: &Config, language: Language) -> Option<&'t str> {
    let text = texts
        .get(&language)
        .or_else(|| texts.get(&config.desk.language))
        .or_else(|| texts.values().next())?;
    Some(text)
}

/// The subject with the ticket's tag before it, once.
pub fn tagged(config: &Config, ticket: &Ticket, subject: &str) -> String {
    let tag = thread::tag(&config.desk, &ticket.number);
    format!("{tag} {}", subject.replace(&tag, ""))
}

/// Domain of Message-IDs of mails from this address. They are plain ASCII and of bounded length
/// (RFC 5322 section 3.6.4), which a domain need not be.
fn id_domain(from: &Address) -> &str {
    let domain = from.domain();
    if domain.is_ascii() && domain.len() <= ID_DOMAIN_BYTES_MAX { domain } else { ID_DOMAIN_ELSE }
}

/// What keeps programs from answering us (RFC 3834 section 3.1.7) and us from answering
/// ourselves.
fn robot_fields(submitted: &str, from: &Address) -> Vec<(&'static str, String)> {
    vec![
        ("Auto-Submitted", submitted.into()),
        ("Precedence", "bulk".into()),
        ("X-Auto-Response-Suppress", "All".into()),
        ("X-Loop", from.to_string()),
    ]
}

/// These addresses, each once, without ours and without those named already.
fn outsiders<'a>(
    config: &Config,
    addresses: &'a [Address],
    named: &[&'a Address],
) -> Vec<&'a Address> {
    let mut kept: Vec<&Address> = Vec::new();
    for address in addresses {
        let ours = config.system_addresses.contains_key(address);
        if !ours && !kept.contains(&address) && !named.contains(&address) {
            kept.push(address);
        }
    }
    kept.truncate(LETTER_RECIPIENTS_MAX);
    kept
}

fn first_attempt(now: Timestamp) -> Delivery {
    Delivery::Due { attempts: 0, at: now, last_error: None }
}

fn next_outgoing(next: &mut NextIds) -> OutgoingId {
    let id = next.outgoing;
    next.outgoing = OutgoingId(id.0 + 1);
    id
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::reading::read;
    use super::*;
    use crate::core::calendar::QuietHours;
    use crate::core::config::{Channels, NotificationText, Switch};
    use crate::core::ticket::samples::{address, article, config, key, next_ids, now, ticket};
    use crate::core::ticket::{ArticleId, AuthorKind, Customer, Watcher};

    fn thanks() -> AutoReply {
        AutoReply {
            name: "thanks".into(),
            from: address("support@desk.test"),
            envelope_from: None,
            subject: [
                (Language::En, "We got: {{ ticket.title }}".to_owned()),
                (Language::Ja, "受け付けました".to_owned()),
            ]
            .into(),
            text: [
                (
                    Language::En,
                    "Dear {{ customer.name }},\nyour number is {{ ticket.number }}.".into(),
                ),
                (Language::Ja, "{{ customer.name }} 様\n番号は {{ ticket.number }} です。".into()),
            ]
            .into(),
            state: Switch::Enabled,
        }
    }

    fn stationery<'a>(config: &'a Config, key: &'a DeskKey) -> Stationery<'a> {
        Stationery { config, key, now: now() }
    }

    fn answer(config: &Config, reply: &AutoReply, language: Option<Language>) -> Option<Outgoing> {
        let mut answered = article(1, ArticleKind::MailIn);
        answered.references = vec!["first@cust.test".into()];
        let to = address("eve@cust.test");
        auto_reply(
            stationery(config, &key()),
            reply,
            language,
            &ticket(),
            &answered,
            &to,
            OutgoingId(10),
        )
        .map(|answer| answer.owed)
    }

    /// The id that ties all mails of the ticket together.
    fn root() -> String {
        format!("<{}>", thread::root_id(&key(), ticket().id, ROOT_DOMAIN))
    }

    #[test]
    fn an_auto_reply() {
        let mail = answer(&config(), &thanks(), None).unwrap();
        assert_eq!(mail.envelope_from, None);
        assert_eq!(mail.sender, "default");
        assert_eq!(mail.recipient, address("eve@cust.test"));
        assert_eq!(mail.kind, OutgoingKind::AutoReply { reply: "thanks".into() });
        assert_eq!(mail.delivery, first_attempt(now()));
        let read = read(&mail.raw);
        let expected = [
            "Date",
            "From",
            "To",
            "Subject",
            "Message-ID",
            "In-Reply-To",
            "References",
            "Auto-Submitted",
            "Precedence",
            "X-Auto-Response-Suppress",
            "X-Loop",
            "MIME-Version",
            "Content-Type",
            "Content-Transfer-Encoding",
        ];
        assert_eq!(read.names(), expected);
        assert_eq!(read.field("Date"), "Sun, 22 Nov 2026 06:00:00 +0000");
        assert_eq!(read.field("From"), "\"ACME support\" <support@desk.test>");
        assert_eq!(read.field("To"), "eve@cust.test");
        assert!(read.field("Subject").ends_with("2026112210000018] We got: Printer broken"));
        assert_eq!(read.field("Message-ID"), format!("<{}>", mail.message_id));
        assert_eq!(read.field("In-Reply-To"), "<m1@cust.test>");
        assert_eq!(
            read.field("References"),
            format!("{} <first@cust.test> <m1@cust.test>", root())
        );
        assert_eq!(read.field("Auto-Submitted"), "auto-replied");
        assert_eq!(read.field("Precedence"), "bulk");
        assert_eq!(read.field("X-Auto-Response-Suppress"), "All");
        assert_eq!(read.field("X-Loop"), "support@desk.test");
        assert_eq!(read.text, "Dear Eve Example,\nyour number is 2026112210000018.\n");
    }

    #[track_caller]
    fn check_language(
        desk: Language,
        wanted: Option<Language>,
        texts: &[Language],
        expected: &str,
    ) {
        let mut config = config();
        config.desk.language = desk;
        let mut reply = thanks();
        reply.text.retain(|language, _| texts.contains(language));
        let mail = answer(&config, &reply, wanted).unwrap();
        assert!(read(&mail.raw).text.contains(expected));
    }

    #[test]
    fn the_language_asked_for_then_the_desks_then_any() {
        use Language::{En, Ja};
        check_language(En, Some(Ja), &[En, Ja], "番号は");
        check_language(Ja, None, &[En, Ja], "番号は");
        check_language(Ja, Some(En), &[Ja], "番号は");
        check_language(En, Some(En), &[Ja], "番号は");
    }

    #[test]
    fn a_template_that_fails_makes_no_answer() {
        let mut reply = thanks();
        reply.text.insert(Language::En, "{{ ticket.colour }}".into());
        assert_eq!(answer(&config(), &reply, None), None);
        reply.text.clear();
        assert_eq!(answer(&config(), &reply, None), None);
    }

    #[test]
    fn an_envelope_sender_that_was_set() {
        let bounce = Some(address("bounce@desk.test"));
        let reply = AutoReply { envelope_from: bounce.clone(), ..thanks() };
        assert_eq!(answer(&config(), &reply, None).unwrap().envelope_from, bounce);
    }

    #[test]
    fn nobody_spreads_links_through_our_answers() {
        let spam = "Win at https://evil.example/win ".repeat(20);
        let mut reply = thanks();
        let text = "{{ ticket.title }}\n{{ customer.name }}\n{{ article.quoted }}";
        reply.text.insert(Language::En, text.into());
        let ticket = Ticket {
            title: spam.clone(),
            customer: Some(Customer {
                address: address("victim@cust.test"),
                name: "see www.evil.example".into(),
                company: None,
                reply_to: None,
            }),
            ..ticket()
        };
        let mut answered = article(1, ArticleKind::MailIn);
        answered.text = spam;
        let config = config();
        let to = address("victim@cust.test");
        let mail = auto_reply(
            stationery(&config, &key()),
            &reply,
            None,
            &ticket,
            &answered,
            &to,
            OutgoingId(1),
        );
        let read = read(&mail.unwrap().owed.raw);
        let whole = format!("{}\n{}", read.field("Subject"), read.text);
        assert!(!whole.contains("://") && !whole.contains("evil.example"), "{whole}");
        assert!(read.field("Subject").chars().count() < 120);
    }

    fn notice(event: EventKind, language: Language) -> Notice {
        Notice {
            event,
            who: "alice".into(),
            address: address("alice@agents.test"),
            name: "Alice".into(),
            language,
            channels: Channels { mail: true, web: false },
            wait: Wait::No,
            rule: None,
            role: "owner".into(),
            customer: false,
        }
    }

    fn notify_with(config: &Config, notice: &Notice) -> Option<Outgoing> {
        let article = article(1, ArticleKind::MailIn);
        notification(stationery(config, &key()), notice, &ticket(), Some(&article), OutgoingId(10))
    }

    #[test]
    fn files_that_stay_are_named() {
        let mut letter = article(1, ArticleKind::MailIn);
        letter.text = "See the plan.\n".into();
        assert_eq!(with_kept_files(&letter, &[], Language::En), "See the plan.\n");
        let file = |name: String| crate::core::mail::Attachment {
            index: 0,
            name,
            content_type: "application/pdf".into(),
            bytes: 1,
            content_id: None,
            inline: false,
        };
        letter.attachments = vec![file("plan\r\nBcc: a.pdf".into()), file("b.png".into())];
        let expected =
            "See the plan.\n\n[Not sent along, but kept with the ticket: plan Bcc: a.pdf, b.png]\n";
        assert_eq!(with_kept_files(&letter, &[], Language::En), expected);
        assert!(with_kept_files(&letter, &[], Language::Ja).ends_with("plan Bcc: a.pdf, b.png]\n"));
        letter.attachments = (0..50).map(|at| file(format!("{at}.pdf"))).collect();
        assert!(with_kept_files(&letter, &[], Language::En).ends_with("19.pdf, ...]\n"));
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
        let root = root();
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

    fn write_to(config: &Config, to: &[&str], cc: &[&str]) -> (Vec<Outgoing>, NextIds) {
        let to: Vec<Address> = to.iter().map(|to| address(to)).collect();
        let cc: Vec<Address> = cc.iter().map(|cc| address(cc)).collect();
        let thread: Vec<String> = (0..40).map(|at| format!("m{at}@cust.test")).collect();
        let words = Letter {
            files: &[],
            author: "Alice",
            subject: "Re: Printer broken",
            text: "Turn it on.\n",
            to: &to,
            cc: &cc,
            thread: &thread,
        };
        let mut next = next_ids();
        (letter(stationery(config, &key()), &words, &ticket(), &mut next), next)
    }

    #[test]
    fn a_letter() {
        let config = config();
        let (mails, next) = write_to(&config, &["eve@cust.test"], &["boss@cust.test"]);
        assert_eq!(next.outgoing, OutgoingId(12));
        let [first, second] = mails.as_slice() else { panic!("two recipients: {mails:?}") };
        assert_eq!((first.id, second.id), (OutgoingId(10), OutgoingId(11)));
        assert_eq!(second.recipient, address("boss@cust.test"));
        assert_eq!((&first.raw, &first.message_id), (&second.raw, &second.message_id));
        assert_eq!(first.envelope_from, Some(address("support@desk.test")));
        let read = read(&first.raw);
        assert_eq!(read.field("From"), "\"Alice via ACME Helpdesk\" <support@desk.test>");
        assert_eq!(read.field("Cc"), "boss@cust.test");
        assert_eq!(read.field("In-Reply-To"), "<m39@cust.test>");
        let references: Vec<&str> = read.field("References").split(' ').collect();
        assert_eq!(references.len(), 20);
        assert_eq!((references[0], references[1]), (&*root(), "<m21@cust.test>"));
        assert_eq!(references[19], "<m39@cust.test>");
        // A person writes: nothing of a robot, and vacation notices may answer.
        assert!(!read.names().iter().any(|name| ["Auto-Submitted", "Precedence"].contains(name)));
        assert_eq!(read.text, "Turn it on.\n");
    }

    #[test]
    fn letters_do_not_come_back_to_ourselves() {
        let config = config();
        let to = ["support@desk.test", "eve@cust.test", "eve@cust.test"];
        let (mails, _) = write_to(&config, &to, &["eve@cust.test", "sales@desk.test"]);
        assert_eq!(mails.len(), 1);
        assert_eq!(read(&mails[0].raw).field("To"), "eve@cust.test");
        assert_eq!(write_to(&config, &["support@desk.test"], &[]).0, []);
    }

    #[test]
    fn a_letter_of_copies_only() {
        let (mails, _) = write_to(&config(), &["support@desk.test"], &["eve@cust.test"]);
        let read = read(&mails[0].raw);
        assert_eq!(read.field("Cc"), "eve@cust.test");
        assert!(!read.names().contains(&"To"), "an empty To is no header (RFC 5322 section 3.6.3)");
    }

    #[test]
    fn letters_name_only_those_who_get_them() {
        let many: Vec<String> = (0..80).map(|at| format!("p{at}@cust.test")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (mails, _) = write_to(&config(), &many[..40], &many[30..]);
        assert_eq!(mails.len(), LETTER_RECIPIENTS_MAX);
        let read = read(&mails[0].raw);
        let named = read.field("To").split(", ").count() + read.field("Cc").split(", ").count();
        assert_eq!(named, LETTER_RECIPIENTS_MAX);
    }

    #[test]
    fn answers_come_back_to_the_desk() {
        let mut config = config();
        config.system_addresses.remove(&address("support@desk.test"));
        let (mails, _) = write_to(&config, &["eve@cust.test"], &[]);
        let read_back = read(&mails[0].raw);
        assert!(read_back.field("From").ends_with("<default@notify.test>"));
        assert_eq!(read_back.field("Reply-To"), "sales@desk.test");
        assert_eq!(mails[0].envelope_from, Some(address("default@notify.test")));
    }

    #[test]
    fn nothing_can_send_a_letter() {
        let mut config = config();
        config.senders.clear();
        config.system_addresses.clear();
        assert_eq!(write_to(&config, &["eve@cust.test"], &[]).0, []);
    }

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
        announce(
            stationery(&config, &key()),
            &FullHours::default(),
            None,
            &mut effect,
            &mut next_ids(),
        );
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

    #[test]
    fn nobody_is_said_to_be_told_who_was_not() {
        let mut config = config();
        config.senders.clear();
        config.system_addresses.clear();
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
        announce(
            stationery(&config, &key()),
            &FullHours::default(),
            Some(&ticket()),
            &mut effect,
            &mut next_ids(),
        );
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
        announce(
            stationery(&config, &key()),
            &FullHours::default(),
            Some(&ticket()),
            &mut effect,
            &mut next_ids(),
        );
        let recipients: Vec<&str> =
            effect.owed.iter().map(|mail| mail.recipient.as_str()).collect();
        assert_eq!(recipients, ["eve@cust.test", "boss@cust.test"]);
    }

    #[track_caller]
    fn check_subject(subject: &str, expected: &str) {
        let subject = clean::line(&tagged(&config(), &ticket(), subject), clean::LINE_CHARS_MAX);
        assert_eq!(
            subject,
            format!("{} {expected}", thread::tag(&config().desk, &ticket().number))
        );
    }

    #[test]
    fn the_tag_stands_first_and_once() {
        let tag = thread::tag(&config().desk, &ticket().number);
        check_subject("Printer", "Printer");
        check_subject(&format!("Re: {tag} Printer"), "Re: Printer");
        check_subject("Re: [Ticket#2020010110000011] x", "Re: [Ticket#2020010110000011] x");
    }

    #[test]
    fn every_domain_gives_a_message_id() {
        for domain in ["例え.test".to_owned(), format!("{}.test", "x".repeat(200))] {
            let mut reply = thanks();
            reply.from = address(&format!("support@{domain}"));
            let mail = answer(&config(), &reply, None).unwrap();
            assert!(mail.message_id.ends_with("@postroom.invalid"));
            assert_eq!(read(&mail.raw).field("Message-ID"), format!("<{}>", mail.message_id));
        }
    }

    #[test]
    fn an_author_without_a_name() {
        let config = config();
        let to = [address("eve@cust.test")];
        let words = Letter {
            author: "",
            subject: "x",
            text: "y",
            to: &to,
            cc: &[],
            thread: &[],
            files: &[],
        };
        let mails = letter(stationery(&config, &key()), &words, &ticket(), &mut next_ids());
        let read = read(&mails[0].raw);
        assert_eq!(read.field("From"), "\"ACME Helpdesk\" <support@desk.test>");
        assert_eq!(read.field("References"), root());
    }

    #[track_caller]
    fn check_template(source: &str, expected: Result<(), &str>) {
        match (try_template(source), expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (result, _) => panic!("{source}: {result:?}"),
        }
    }

    #[test]
    fn templates_are_tried_at_load() {
        check_template("Your number is {{ ticket.number }}.", Ok(()));
        check_template("{% if customer.name %}{{ customer.name|upper }}{% endif %}", Ok(()));
        check_template("one\ntwo {{ ticket.nmber }}", Err("line 2"));
        check_template("{{ ticket.number", Err("line 1"));
        check_template("{% include 'secrets' %}", Err("line 1"));
    }

    /// Everything that could break a header or a line.
    fn hostile() -> impl Strategy<Value = String> {
        let pieces = [
            "\r\nBcc: victim@x.test",
            "\n",
            "\r",
            "\0",
            "\r\n\r\n",
            "\r\n.\r\n",
            "<",
            ">",
            "\"",
            "\\",
            "=?utf-8?b?DQpCY2M6IHhAeA==?=",
            "=?=",
            ",",
            ";",
            ":",
            "@",
            " ",
            "\u{2028}",
            "\u{202e}",
            "\u{85}",
            "\u{7f}",
            "あいうえお",
            "①㈱髙",
            "👨\u{200d}👩",
            "é",
            "x",
            "https://evil.example",
            "{{ desk.name }}",
            "{% for %}",
            "a@b.test",
            "From ",
            ".",
            "\t",
            "(",
            ")",
            "[Ticket#1]",
        ];
        let long = prop_oneof![Just("y".repeat(3000)), Just("髙".repeat(1200))];
        let piece = prop_oneof![
            20 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
            1 => long,
            4 => any::<String>(),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(120))]

        #[test]
        fn no_value_adds_a_header_or_breaks_a_line(
            title in hostile(), name in hostile(), text in hostile(), id in hostile(),
            references in proptest::collection::vec(hostile(), 0..40),
        ) {
            let mut config = config();
            config.desk.name = name.clone();
            config.users.get_mut("alice").unwrap().full_name = name.clone();
            let ticket = Ticket {
                title: title.clone(),
                customer: Some(Customer {
                    address: address("eve@cust.test"),
                    name: name.clone(),
                    company: None,
                    reply_to: None,
                }),
                ..ticket()
            };
            let article = Article {
                from: name.clone(),
                subject: title.clone(),
                text: text.clone(),
                message_id: Some(id),
                references: references.clone(),
                ..article(1, ArticleKind::MailIn)
            };
            let mut reply = thanks();
            let all = "{{ ticket.title }} {{ customer.name }} {{ article.text }} {{ article.from }}";
            reply.subject.insert(Language::En, all.into());
            reply.text.insert(Language::En, all.into());
            let key = key();
            let paper = stationery(&config, &key);
            let to = [address("eve@cust.test"), address("foo..bar.@docomo.test")];
            let who = Notice { name: name.clone(), ..notice(EventKind::NoteAdded, Language::Ja) };
            let words = Letter {
                files: &[],
                author: &name,
                subject: &title,
                text: &text,
                to: &to,
                cc: &[],
                thread: &references,
            };
            let id = OutgoingId(1);
            let mut mails = letter(paper, &words, &ticket, &mut next_ids());
            let answer = auto_reply(paper, &reply, None, &ticket, &article, &to[0], id);
            mails.extend(answer.map(|answer| answer.owed));
            mails.extend(notification(paper, &who, &ticket, Some(&article), id));
            prop_assert_eq!(mails.len(), 4);
            for mail in mails {
                let known = [
                    "Date", "From", "To", "Subject", "Message-ID", "In-Reply-To", "References",
                    "Auto-Submitted", "Precedence", "X-Auto-Response-Suppress", "X-Loop",
                    "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
                ];
                let read = read(&mail.raw);
                prop_assert!(read.names().iter().all(|name| known.contains(name)));
                let mut once = read.names();
                once.sort_unstable();
                once.dedup();
                prop_assert_eq!(once.len(), read.names().len());
                let hidden = read.field("Subject").contains(['\r', '\n', '\u{202e}']);
                prop_assert!(!hidden);
            }
        }
    }

    /// Run with `cargo test --release --lib -- --ignored --nocapture mails_per_second`.
    #[test]
    #[ignore = "a measurement"]
    fn mails_per_second() {
        const ROUNDS: u32 = 20_000;
        let (config, reply, key) = (config(), thanks(), key());
        let article = article(1, ArticleKind::MailIn);
        let (to, ticket) = (address("eve@cust.test"), ticket());
        let who = notice(EventKind::TicketCreated, Language::Ja);
        let begun = Instant::now();
        for round in 0..ROUNDS {
            let (paper, id) = (stationery(&config, &key), OutgoingId(round.into()));
            assert!(auto_reply(paper, &reply, None, &ticket, &article, &to, id).is_some());
            assert!(notification(paper, &who, &ticket, Some(&article), id).is_some());
        }
        let per_second = f64::from(ROUNDS) / begun.elapsed().as_secs_f64();
        println!("{per_second:.0} pairs of answer and notification per second");
        assert!(per_second > 4_000.0);
    }
}
