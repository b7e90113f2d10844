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
use super::config::{AutoReply, Config, Language, Sender, Switch, SystemAddress, Texts};
use super::intake::{DeskKey, Effect, NextIds};
use super::notify::{self, EventKind, Notice};
use super::outgoing::{Delivery, Outgoing, OutgoingId, OutgoingKind};
use super::thread;
use super::ticket::{Actor, Article, ArticleKind, Event, Ticket, What};
use paper::Draft;
use template::{ArticleWords, DeskWords, Page, Person, TicketWords};

pub mod clean;
mod paper;
mod template;
mod texts;

/// Characters of a foreign subject in an automatic answer: enough to recognise one's own mail,
/// too few to be of use to somebody who writes in another's name.
const TITLE_IN_ANSWER_CHARS_MAX: usize = 60;
/// Characters of an article in a notification.
const EXCERPT_CHARS_MAX: usize = 2_000;
/// Lines of an article in a notification.
const EXCERPT_LINES_MAX: usize = 40;
/// Recipients of one letter.
pub const LETTER_RECIPIENTS_MAX: usize = 50;
/// Name of the sender for queues that name none.
const SENDER_DEFAULT: &str = "default";

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
) -> Option<Outgoing> {
    let config = stationery.config;
    let language = language.unwrap_or(config.desk.language);
    let recipient = Person { name: customer_name(ticket, to), address: to.as_str() };
    let mut page = page(config, language, ticket, Some(answered), recipient);
    page.make_harmless();
    let subject = template::fill(in_language(&reply.subject, config, language)?, &page).ok()?;
    let text = template::fill(in_language(&reply.text, config, language)?, &page).ok()?;

    let from_name = config.system_addresses.get(&reply.from).map_or("", |one| one.name.as_str());
    let message_id = thread::message_id(stationery.key, ticket.id, id, to, reply.from.domain());
    let mut references: Vec<&str> = answered.references.iter().map(String::as_str).collect();
    references.extend(answered.message_id.as_deref());
    let raw = paper::write(&Draft {
        from: (from_name, &reply.from),
        reply_to: None,
        to: vec![("", to)],
        cc: Vec::new(),
        subject: tagged(config, ticket, &subject),
        date: stationery.now,
        message_id: &message_id,
        in_reply_to: answered.message_id.as_deref(),
        references,
        fields: robot_fields("auto-replied", &reply.from),
        text,
    });
    Some(Outgoing {
        id,
        ticket: Some(ticket.id),
        kind: OutgoingKind::AutoReply { reply: reply.name.clone() },
        sender: sender(config, ticket).map_or(SENDER_DEFAULT, |one| &one.name).into(),
        envelope_from: reply.envelope_from.clone(),
        recipient: to.clone(),
        message_id,
        raw,
        created: stationery.now,
        delivery: first_attempt(stationery.now),
    })
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
    let identity = notifying_identity(config, ticket)?;
    let name = if notice.name.is_empty() { notice.who.as_str() } else { notice.name.as_str() };
    let recipient =
        Person { name: clean::line(name, clean::NAME_CHARS_MAX), address: notice.address.as_str() };
    let mut page = page(config, notice.language, ticket, article, recipient);
    page.role = texts::role(notice.language, &notice.role);
    page.event = notice.event.label();
    let (subject, text) = notification_words(config, notice, &page)?;

    let domain = identity.from.domain();
    let message_id = thread::message_id(stationery.key, ticket.id, id, &notice.address, domain);
    let root = thread::root_id(stationery.key, ticket.id, domain);
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
    let cc = outsiders(config, letter.cc, &to);
    let recipients: Vec<&Address> =
        to.iter().chain(&cc).copied().take(LETTER_RECIPIENTS_MAX).collect();
    let (Some(identity), Some(first)) = (writing_identity(config, ticket), recipients.first())
    else {
        return Vec::new();
    };

    let from_name = format!("{} via {}", letter.author, config.desk.name);
    let message_id =
        thread::message_id(stationery.key, ticket.id, next.outgoing, first, identity.from.domain());
    let raw = paper::write(&Draft {
        from: (&from_name, identity.from),
        reply_to: identity.reply_to,
        to: to.iter().map(|address| ("", *address)).collect(),
        cc: cc.iter().map(|address| ("", *address)).collect(),
        subject: tagged(config, ticket, letter.subject),
        date: stationery.now,
        message_id: &message_id,
        in_reply_to: letter.thread.last().map(String::as_str),
        references: letter.thread.iter().map(String::as_str).collect(),
        fields: Vec::new(),
        text: letter.text.into(),
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

/// Tells everybody who should know of the events of this effect: owed mails, bells and history.
/// `before` is the ticket before them, `None` if they made it.
pub fn announce(
    stationery: Stationery<'_>,
    before: Option<&Ticket>,
    effect: &mut Effect,
    next: &mut NextIds,
) {
    let Effect { ticket, articles, events, owed, bells, .. } = effect;
    let notices = notify::audience(stationery.config, before, ticket, events, articles);
    for notice in notices {
        let mut told = false;
        if notice.channels.mail {
            let article = article_for(&notice, articles);
            let mail = notification(stationery, &notice, ticket, article, next.outgoing);
            if let Some(mail) = mail {
                next_outgoing(next);
                owed.push(mail);
                told = true;
            }
        }
        if notice.channels.web {
            bells.push((notice.who.clone(), notice.event.label().into()));
            told = true;
        }
        if told {
            let what = What::Notified { who: notice.who, event: notice.event.label().into() };
            events.push(Event { at: stationery.now, actor: Actor::System, what, why: notice.role });
        }
    }
}

/// Tries a template with sample values; `Err` says what is wrong with it.
///
/// It may name `ticket` (`number`, `title`, `queue`, `state`, `priority`, `owner`, `responsible`,
/// `undeliverable`), `customer` and `recipient` (`name`, `address`), `article` (`from`, `subject`,
/// `text`, `quoted`, `kind`), `desk.name`, `role` and `event`.
pub fn try_template(source: &str) -> Result<(), String> {
    template::fill(source, &template::sample()).map(|_| ())
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

/// Everything that texts can name.
fn page<'a>(
    config: &'a Config,
    language: Language,
    ticket: &'a Ticket,
    article: Option<&'a Article>,
    recipient: Person<'a>,
) -> Page<'a> {
    let customer = ticket.customer.as_ref().map(|customer| &customer.address);
    Page {
        ticket: TicketWords {
            number: &ticket.number,
            title: clean::line(&ticket.title, clean::LINE_CHARS_MAX),
            queue: &ticket.queue,
            state: texts::state(language, ticket.state),
            priority: ticket.priority.label(),
            owner: agent_name(config, ticket.owner.as_deref()),
            responsible: agent_name(config, ticket.responsible.as_deref()),
            undeliverable: list(ticket.undeliverable.iter()),
        },
        customer: Person {
            name: customer.map_or_else(String::new, |address| customer_name(ticket, address)),
            address: customer.map_or("", Address::as_str),
        },
        article: article.map(article_words).unwrap_or_default(),
        desk: DeskWords { name: &config.desk.name },
        recipient,
        role: String::new(),
        event: "",
    }
}

fn article_words(article: &Article) -> ArticleWords<'_> {
    let text = excerpt(&article.text);
    ArticleWords {
        from: clean::line(&article.from, clean::LINE_CHARS_MAX),
        subject: clean::line(&article.subject, clean::LINE_CHARS_MAX),
        quoted: quoted(&text),
        text,
        kind: texts::article_kind(article.kind),
    }
}

impl Page<'_> {
    /// Anybody can make us write to anybody by forging a From. What he wrote goes out cut and
    /// with dead links, so that nobody has a use for that.
    fn make_harmless(&mut self) {
        self.ticket.title =
            clean::defanged(&clean::line(&self.ticket.title, TITLE_IN_ANSWER_CHARS_MAX));
        for name in [&mut self.customer.name, &mut self.recipient.name] {
            *name = clean::defanged(&clean::line(name, clean::NAME_CHARS_MAX));
        }
        let article = &mut self.article;
        article.subject =
            clean::defanged(&clean::line(&article.subject, TITLE_IN_ANSWER_CHARS_MAX));
        article.from = clean::defanged(&article.from);
        article.text = clean::defanged(&article.text);
        article.quoted = clean::defanged(&article.quoted);
    }
}

/// The beginning of a text, without blank lines at either end.
fn excerpt(text: &str) -> String {
    let text = clean::block(text.trim_start(), EXCERPT_CHARS_MAX);
    let mut lines: Vec<&str> = text.lines().take(EXCERPT_LINES_MAX + 1).collect();
    if lines.len() > EXCERPT_LINES_MAX {
        lines[EXCERPT_LINES_MAX] = "…";
    }
    lines.join("\n").trim_end().to_owned()
}

fn quoted(text: &str) -> String {
    text.lines()
        .map(|line| format!("> {line}").trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

fn list<'a>(addresses: impl Iterator<Item = &'a Address>) -> String {
    addresses.map(Address::as_str).collect::<Vec<_>>().join(", ")
}

/// Display name of an agent who may have been removed since.
fn agent_name<'a>(config: &'a Config, name: Option<&'a str>) -> &'a str {
    let full_name = |name| config.users.get(name).map(|user| user.full_name.as_str());
    match name {
        None => "",
        Some(name) => full_name(name).filter(|full| !full.is_empty()).unwrap_or(name),
    }
}

/// Name of the person behind an address, as far as the ticket knows; else the address.
fn customer_name(ticket: &Ticket, address: &Address) -> String {
    let customer = ticket.customer.as_ref().filter(|customer| customer.address == *address);
    let name = customer.map(|customer| clean::line(&customer.name, clean::NAME_CHARS_MAX));
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| address.to_string())
}

/// The text in this language, else in the desk's, else in any.
fn in_language<'t>(texts: &'t Texts, config: &Config, language: Language) -> Option<&'t str> {
    let text = texts
        .get(&language)
        .or_else(|| texts.get(&config.desk.language))
        .or_else(|| texts.values().next())?;
    Some(text)
}

fn tagged(config: &Config, ticket: &Ticket, subject: &str) -> String {
    format!("{} {subject}", thread::tag(&config.desk, &ticket.number))
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

/// Who a mail goes out as.
struct Identity<'a> {
    name: &'a str,
    from: &'a Address,
    reply_to: Option<&'a Address>,
    envelope_from: Option<&'a Address>,
    sender: &'a str,
}

/// Notifications go out as the sender, else as the address of the queue.
fn notifying_identity<'a>(config: &'a Config, ticket: &Ticket) -> Option<Identity<'a>> {
    let as_sender = |sender: &'a Sender| Identity {
        name: &sender.from_name,
        from: &sender.from,
        reply_to: None,
        envelope_from: sender.envelope_from.as_ref(),
        sender: &sender.name,
    };
    sender(config, ticket)
        .map(as_sender)
        .or_else(|| queue_address(config, ticket).map(as_queue_address))
}

/// Letters go out as the address of the queue, so that the answer comes back to the desk, else as
/// the sender; answers then go to any address that leads back.
fn writing_identity<'a>(config: &'a Config, ticket: &Ticket) -> Option<Identity<'a>> {
    let sender = sender(config, ticket);
    if let Some(address) = queue_address(config, ticket) {
        let mut identity = as_queue_address(address);
        identity.sender = sender.map_or(SENDER_DEFAULT, |sender| &sender.name);
        identity.envelope_from = sender.and_then(|sender| sender.envelope_from.as_ref());
        return Some(identity);
    }
    let sender = sender?;
    let leads_back = config.system_addresses.contains_key(&sender.from);
    let any = config.system_addresses.values().find(|one| one.state == Switch::Enabled);
    Some(Identity {
        name: &sender.from_name,
        from: &sender.from,
        reply_to: any.filter(|_| !leads_back).map(|one| &one.address),
        envelope_from: sender.envelope_from.as_ref(),
        sender: &sender.name,
    })
}

/// Without a sender the mail waits in the outbox for one called `default`.
fn as_queue_address(address: &SystemAddress) -> Identity<'_> {
    Identity {
        name: &address.name,
        from: &address.address,
        reply_to: None,
        envelope_from: None,
        sender: SENDER_DEFAULT,
    }
}

/// The sender of a ticket's mails: its queue's, else the default one, else any. Enabled ones
/// first; with a paused one the mail waits in the outbox.
fn sender<'a>(config: &'a Config, ticket: &Ticket) -> Option<&'a Sender> {
    let of_queue = config.queues.get(&ticket.queue).and_then(|queue| queue.sender.as_ref());
    let candidates = || {
        let named = of_queue.map(String::as_str).into_iter().chain([SENDER_DEFAULT]);
        named.filter_map(|name| config.senders.get(name)).chain(config.senders.values())
    };
    candidates()
        .find(|sender| sender.state == Switch::Enabled)
        .or_else(|| candidates().find(|sender| sender.state == Switch::Paused))
}

/// The first enabled address of ours that leads to the ticket's queue.
fn queue_address<'a>(config: &'a Config, ticket: &Ticket) -> Option<&'a SystemAddress> {
    let leads_here =
        |one: &&SystemAddress| one.queue == ticket.queue && one.state == Switch::Enabled;
    config.system_addresses.values().find(leads_here)
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
