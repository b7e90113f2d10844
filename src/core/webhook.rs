//! What other programs are told of tickets: which events, to whom, in which words, and signed.
//!
//! The form is that of Standard Webhooks (standardwebhooks.com): `type`, `timestamp` and `data`, an
//! identity that stays the same at every attempt, and an HMAC over identity, time and body.
//!
//! Architecture invariant: nothing here sends or stores. What is internal is left out unless the
//! webhook is declared to get it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;

use super::config::{Config, Switch, Webhook, WebhookTexts};
use super::intake::Effect;
use super::invisible;
use super::outgoing::{Attempt, Delivery, after_attempt};
use super::ticket::{
    Actor, Article, ArticleId, ArticleKind, AuthorKind, Event, Ticket, TicketId, What,
};

/// Bytes of an article's text in one message.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Prefix of a secret that is written in base64, as Standard Webhooks has it.
const SECRET_PREFIX: &str = "whsec_";

/// Identity of an owed message; ascending in the order of enqueueing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwedHookId(pub u64);

/// A message that we owe to a webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct OwedHook {
    /// Identity.
    pub id: OwedHookId,
    /// Ticket it tells of.
    pub ticket: TicketId,
    /// What it says.
    pub message: HookMessage,
    /// When it was enqueued.
    pub created: Timestamp,
    /// How far it is.
    pub delivery: Delivery,
}

/// What a message says, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookMessage {
    /// Name of the webhook.
    pub webhook: String,
    /// Label of the event.
    pub event: String,
    /// `webhook-id`: the same at every attempt, and of no other message.
    pub message_id: String,
    /// JSON: every attempt sends these bytes.
    pub body: String,
}

/// Events of tickets that a webhook can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookEvent {
    /// A ticket is created.
    TicketCreated,
    /// A follow-up arrives on a locked ticket.
    FollowUpLocked,
    /// A follow-up arrives on an unlocked ticket.
    FollowUpUnlocked,
    /// A follow-up to a closed ticket is kept and changes nothing.
    FollowUpRejected,
    /// A mail of ours came back.
    BounceReceived,
    /// An agent answers.
    ReplySent,
    /// A note is added.
    NoteAdded,
    /// The state changes.
    StateChanged,
    /// The queue changes.
    QueueUpdated,
    /// The priority changes.
    PriorityChanged,
    /// The title changes.
    TitleChanged,
    /// The owner changes.
    OwnerChanged,
    /// The responsible agent changes.
    ResponsibleChanged,
    /// The customer changes.
    CustomerChanged,
    /// The ticket is locked.
    TicketLocked,
    /// The ticket is unlocked.
    TicketUnlocked,
    /// The lock runs out.
    LockTimeout,
    /// The pending time is reached.
    PendingReached,
    /// The ticket becomes part of another one.
    TicketMerged,
    /// A mail of ours could not be delivered.
    DeliveryFailed,
}

impl HookEvent {
    /// All, in the order of the documentation.
    pub const ALL: [HookEvent; 20] = [
        HookEvent::TicketCreated,
        HookEvent::FollowUpLocked,
        HookEvent::FollowUpUnlocked,
        HookEvent::FollowUpRejected,
        HookEvent::BounceReceived,
        HookEvent::ReplySent,
        HookEvent::NoteAdded,
        HookEvent::StateChanged,
        HookEvent::QueueUpdated,
        HookEvent::PriorityChanged,
        HookEvent::TitleChanged,
        HookEvent::OwnerChanged,
        HookEvent::ResponsibleChanged,
        HookEvent::CustomerChanged,
        HookEvent::TicketLocked,
        HookEvent::TicketUnlocked,
        HookEvent::LockTimeout,
        HookEvent::PendingReached,
        HookEvent::TicketMerged,
        HookEvent::DeliveryFailed,
    ];

    /// Name in YAML and in messages.
    pub fn label(&self) -> &'static str {
        match self {
            HookEvent::TicketCreated => "ticketCreated",
            HookEvent::FollowUpLocked => "followUpLocked",
            HookEvent::FollowUpUnlocked => "followUpUnlocked",
            HookEvent::FollowUpRejected => "followUpRejected",
            HookEvent::BounceReceived => "bounceReceived",
            HookEvent::ReplySent => "replySent",
            HookEvent::NoteAdded => "noteAdded",
            HookEvent::StateChanged => "stateChanged",
            HookEvent::QueueUpdated => "queueUpdated",
            HookEvent::PriorityChanged => "priorityChanged",
            HookEvent::TitleChanged => "titleChanged",
            HookEvent::OwnerChanged => "ownerChanged",
            HookEvent::ResponsibleChanged => "responsibleChanged",
            HookEvent::CustomerChanged => "customerChanged",
            HookEvent::TicketLocked => "ticketLocked",
            HookEvent::TicketUnlocked => "ticketUnlocked",
            HookEvent::LockTimeout => "lockTimeout",
            HookEvent::PendingReached => "pendingReached",
            HookEvent::TicketMerged => "ticketMerged",
            HookEvent::DeliveryFailed => "deliveryFailed",
        }
    }

    /// Reads a label.
    pub fn from_label(label: &str) -> Option<HookEvent> {
        HookEvent::ALL.into_iter().find(|event| event.label() == label)
    }
}

/// Everything that webhooks are to be told of one change of a ticket. `first` is the position of
/// its first event in the history of the ticket.
pub fn owed(config: &Config, effect: &Effect, first: u64) -> Vec<HookMessage> {
    let mut messages = Vec::new();
    if config.webhooks.is_empty() {
        return messages;
    }
    for (position, event) in (first..).zip(&effect.events) {
        let Some(told) = told(effect, event) else { continue };
        let wanted = |webhook: &&Webhook| wants(webhook, told.event, event, &effect.ticket);
        for webhook in config.webhooks.values().filter(wanted) {
            messages.push(HookMessage {
                webhook: webhook.name.clone(),
                event: told.event.label().to_owned(),
                message_id: format!("{}-{position}-{}", effect.ticket.number, webhook.name),
                body: body(config, webhook, effect, event, &told),
            });
        }
    }
    messages
}

/// How far a message is after an attempt: the schedule is that of mail.
pub fn after(hook: &OwedHook, attempt: &Attempt, now: Timestamp, dice: f64) -> Delivery {
    after_attempt(&hook.delivery, hook.created, attempt, now, dice)
}

/// `webhook-signature` of a message sent at this time (seconds since 1970).
pub fn signature(secret: &str, message_id: &str, seconds: i64, body: &str) -> String {
    let decoded = secret.strip_prefix(SECRET_PREFIX).and_then(|text| STANDARD.decode(text).ok());
    let key = decoded.unwrap_or_else(|| secret.as_bytes().to_vec());
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(format!("{message_id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// What an event of the history is to a webhook.
struct Told {
    event: HookEvent,
    /// Its article.
    article: Option<ArticleId>,
    /// More about it, and the same in a few words.
    details: Value,
    words: String,
}

fn told(effect: &Effect, event: &Event) -> Option<Told> {
    let told = |event, words: String| Told { event, article: None, details: Value::Null, words };
    let with =
        |event, article, words: &str| Told { article: Some(article), ..told(event, words.into()) };
    let change = |event, what: &str, from: Value, to: Value| {
        // A new ticket is told once, as it is: what led there is not news.
        (!effect.created).then(|| Told {
            words: format!("{what}: {} → {}", plain(&from), plain(&to)),
            details: json!({ "from": from, "to": to }),
            ..told(event, String::new())
        })
    };
    match &event.what {
        What::Created => {
            let first = effect.articles.first().map(|article| article.id);
            Some(Told { article: first, ..told(HookEvent::TicketCreated, "created".into()) })
        }
        What::FollowedUp { article, locked: true } => {
            Some(with(HookEvent::FollowUpLocked, *article, "follow-up"))
        }
        What::FollowedUp { article, locked: false } => {
            Some(with(HookEvent::FollowUpUnlocked, *article, "follow-up"))
        }
        What::FollowUpRejected { article } => {
            Some(with(HookEvent::FollowUpRejected, *article, "follow-up to a closed ticket"))
        }
        What::ArticleAdded { article, kind } => match kind {
            ArticleKind::Note => Some(with(HookEvent::NoteAdded, *article, "note")),
            ArticleKind::MailOut => Some(with(HookEvent::ReplySent, *article, "reply")),
            ArticleKind::Bounce => Some(with(HookEvent::BounceReceived, *article, "bounce")),
            ArticleKind::MailIn | ArticleKind::AutoReply => None,
        },
        What::State { from, to } => {
            change(HookEvent::StateChanged, "state", json!(from.label()), json!(to.label()))
        }
        What::Queue { from, to } => {
            change(HookEvent::QueueUpdated, "queue", json!(from), json!(to))
        }
        What::Priority { from, to } => {
            change(HookEvent::PriorityChanged, "priority", json!(from.label()), json!(to.label()))
        }
        What::Title { from, to } => {
            change(HookEvent::TitleChanged, "title", json!(from), json!(to))
        }
        What::Owner { from, to } => {
            change(HookEvent::OwnerChanged, "owner", json!(from), json!(to))
        }
        What::Responsible { from, to } => {
            change(HookEvent::ResponsibleChanged, "responsible", json!(from), json!(to))
        }
        What::Customer { from, to } => {
            let text = |address: &Option<super::address::Address>| {
                json!(address.as_ref().map(|address| address.as_str()))
            };
            change(HookEvent::CustomerChanged, "customer", text(from), text(to))
        }
        What::Locked => Some(told(HookEvent::TicketLocked, "locked".into())),
        What::Unlocked => Some(told(HookEvent::TicketUnlocked, "unlocked".into())),
        What::LockTimedOut => Some(told(HookEvent::LockTimeout, "lock ran out".into())),
        What::PendingReached => {
            Some(told(HookEvent::PendingReached, "pending time reached".into()))
        }
        What::MergedInto { number } => Some(Told {
            details: json!({ "into": number }),
            ..told(HookEvent::TicketMerged, format!("merged into {number}"))
        }),
        What::DeliveryFailed { to, reason } => Some(Told {
            details: json!({ "to": to.as_str(), "reason": reason }),
            ..told(HookEvent::DeliveryFailed, format!("mail to {to} could not be delivered"))
        }),
        What::MergedFrom { .. }
        | What::Linked { .. }
        | What::WatcherAdded { .. }
        | What::WatcherRemoved { .. }
        | What::AutoReplyOwed { .. }
        | What::AutoReplySuppressed { .. }
        | What::Notified { .. }
        | What::Complained { .. } => None,
    }
}

/// Whether a webhook is to hear of this. One that looks at some queues hears of a ticket that
/// leaves them.
fn wants(webhook: &Webhook, told: HookEvent, event: &Event, ticket: &Ticket) -> bool {
    let left = match &event.what {
        What::Queue { from, .. } => Some(from),
        _ => None,
    };
    let of_queue = |queues: &std::collections::BTreeSet<String>| {
        queues.contains(&ticket.queue) || left.is_some_and(|queue| queues.contains(queue))
    };
    webhook.state != Switch::Disabled
        && webhook.events.contains(&told)
        && webhook.queues.as_ref().is_none_or(of_queue)
}

fn body(config: &Config, webhook: &Webhook, effect: &Effect, event: &Event, told: &Told) -> String {
    let ticket = &effect.ticket;
    let article = told.article.and_then(|id| effect.articles.iter().find(|one| one.id == id));
    let hook = &config.desk.hook;
    let line =
        format!("[{hook}{}] {}: {} ({})", ticket.number, ticket.queue, ticket.title, told.words);
    let mut data = json!({
        "desk": config.desk.name,
        "ticket": ticket_of(ticket),
        "actor": actor(&event.actor),
    });
    if !told.details.is_null() {
        data["change"] = told.details.clone();
    }
    if let Some(article) = article {
        data["article"] = article_of(webhook, article);
    }
    json!({
        "type": told.event.label(),
        "timestamp": event.at.to_string(),
        "text": for_chat(&line),
        "data": data,
    })
    .to_string()
}

fn ticket_of(ticket: &Ticket) -> Value {
    json!({
        "number": ticket.number,
        "title": ticket.title,
        "queue": ticket.queue,
        "state": ticket.state.label(),
        "priority": ticket.priority.label(),
        "owner": ticket.owner,
        "responsible": ticket.responsible,
        "locked": ticket.locked_since.is_some(),
        "customer": ticket.customer.as_ref().map(|customer| customer.address.as_str()),
        "created": ticket.created.to_string(),
        "updated": ticket.updated.to_string(),
    })
}

fn actor(actor: &Actor) -> Value {
    match actor {
        Actor::System => json!({ "kind": "system" }),
        Actor::Agent(name) => json!({ "kind": "agent", "name": name }),
        Actor::Customer(address) => json!({ "kind": "customer", "name": address.as_str() }),
        Actor::Token(name) => json!({ "kind": "token", "name": name }),
    }
}

/// An article; of an internal one only that it exists, unless all texts are asked for.
fn article_of(webhook: &Webhook, article: &Article) -> Value {
    let (subject, text) = match (webhook.texts, article.visible_for_customer) {
        (WebhookTexts::All, _) | (WebhookTexts::Public, true) => (true, true),
        (WebhookTexts::None, true) => (true, false),
        (WebhookTexts::None | WebhookTexts::Public, false) => (false, false),
    };
    let mut value = json!({
        "id": article.id.0,
        "kind": match article.kind {
            ArticleKind::MailIn => "mailIn",
            ArticleKind::MailOut => "mailOut",
            ArticleKind::Note => "note",
            ArticleKind::AutoReply => "autoReply",
            ArticleKind::Bounce => "bounce",
        },
        "author": match article.author {
            AuthorKind::Agent => "agent",
            AuthorKind::Customer => "customer",
            AuthorKind::System => "system",
        },
        "from": article.from,
        "visibleForCustomer": article.visible_for_customer,
    });
    if subject {
        value["subject"] = json!(article.subject);
    }
    if text {
        let end = article.text.floor_char_boundary(TEXT_BYTES_MAX);
        value["text"] = json!(article.text[..end]);
        value["textCut"] = json!(end < article.text.len());
    }
    value
}

/// The line that chat programs show. `<!channel>` and the like come from titles, that is from
/// anybody, and must ring nobody.
fn for_chat(line: &str) -> String {
    let shown = |(c, hidden): (char, bool)| if hidden || c.is_control() { ' ' } else { c };
    let line: String = invisible::marked(line).map(shown).collect();
    line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('@', "@\u{200b}")
}

fn plain(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::core::config::{SecretRef, Text, TlsOptions};
    use crate::core::ticket::{State, samples};

    fn webhook(texts: WebhookTexts) -> Webhook {
        Webhook {
            name: "chat".into(),
            url: Text::Plain("https://chat.test/hook".into()),
            events: HookEvent::ALL.into_iter().collect(),
            queues: None,
            secret: SecretRef::Named("chat".into()),
            texts,
            allow_private: false,
            tls: TlsOptions::default(),
            state: Switch::Enabled,
        }
    }

    fn config(webhook: Webhook) -> Config {
        let mut config = Config::default();
        config.webhooks.insert(webhook.name.clone(), webhook);
        config
    }

    fn effect(what: What, articles: Vec<Article>) -> Effect {
        let at = "2026-11-22T10:00:00Z".parse().unwrap();
        let event = Event { at, actor: Actor::Agent("alice".into()), what, why: String::new() };
        Effect {
            ticket: samples::ticket(),
            created: false,
            articles,
            events: vec![event],
            owed: Vec::new(),
            bells: Vec::new(),
            digests: Vec::new(),
        }
    }

    fn state() -> What {
        What::State { from: State::New, to: State::Open }
    }

    #[track_caller]
    fn check(webhook: Webhook, what: What, expected: &[&str]) {
        let messages = owed(&config(webhook), &effect(what, Vec::new()), 7);
        let events: Vec<&str> = messages.iter().map(|message| message.event.as_str()).collect();
        assert_eq!(events, expected);
    }

    #[test]
    fn a_webhook_hears_of_what_it_wants() {
        let all = || webhook(WebhookTexts::None);
        check(all(), state(), &["stateChanged"]);
        check(all(), What::AutoReplySuppressed { reason: "loop".into() }, &[]);
        check(Webhook { events: [HookEvent::NoteAdded].into(), ..all() }, state(), &[]);
        check(Webhook { state: Switch::Disabled, ..all() }, state(), &[]);
        check(Webhook { state: Switch::Paused, ..all() }, state(), &["stateChanged"]);
        let queues = |name: &str| Some(BTreeSet::from([name.to_owned()]));
        let here = samples::ticket().queue;
        check(Webhook { queues: queues(&here), ..all() }, state(), &["stateChanged"]);
        check(Webhook { queues: queues("elsewhere"), ..all() }, state(), &[]);
        let moved = What::Queue { from: "elsewhere".into(), to: here };
        check(Webhook { queues: queues("elsewhere"), ..all() }, moved, &["queueUpdated"]);
    }

    #[test]
    fn an_identity_is_of_one_message() {
        let mut change = effect(state(), Vec::new());
        change.events.push(Event { what: What::Locked, ..change.events[0].clone() });
        let ids: Vec<String> = owed(&config(webhook(WebhookTexts::None)), &change, 7)
            .into_iter()
            .map(|message| message.message_id)
            .collect();
        let number = &change.ticket.number;
        assert_eq!(ids, [format!("{number}-7-chat"), format!("{number}-8-chat")]);
    }

    #[test]
    fn of_a_new_ticket_only_that_it_is_new() {
        let mut change = effect(What::Created, Vec::new());
        change.events.push(Event { what: state(), ..change.events[0].clone() });
        change.created = true;
        let messages = owed(&config(webhook(WebhookTexts::None)), &change, 0);
        assert_eq!(messages.len(), 1);
    }

    #[track_caller]
    fn check_article(texts: WebhookTexts, visible: bool, expected: (bool, bool)) {
        let article = Article {
            visible_for_customer: visible,
            subject: "SUBJECT".into(),
            text: "TEXT".into(),
            ..samples::article(1, ArticleKind::Note)
        };
        let what = What::ArticleAdded { article: article.id, kind: ArticleKind::Note };
        let messages = owed(&config(webhook(texts)), &effect(what, vec![article]), 0);
        let body = &messages[0].body;
        assert_eq!((body.contains("SUBJECT"), body.contains("TEXT")), expected, "{body}");
    }

    #[test]
    fn nothing_internal_unless_asked_for() {
        check_article(WebhookTexts::None, false, (false, false));
        check_article(WebhookTexts::None, true, (true, false));
        check_article(WebhookTexts::Public, false, (false, false));
        check_article(WebhookTexts::Public, true, (true, true));
        check_article(WebhookTexts::All, false, (true, true));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let article = Article {
            text: "あ".repeat(TEXT_BYTES_MAX),
            ..samples::article(1, ArticleKind::Note)
        };
        let value = article_of(&webhook(WebhookTexts::All), &article);
        let text = value["text"].as_str().unwrap();
        assert_eq!(text.len(), TEXT_BYTES_MAX / 3 * 3);
        assert_eq!(value["textCut"], json!(true));
    }

    #[test]
    fn a_title_rings_nobody() {
        let mut change = effect(state(), Vec::new());
        change.ticket.title = "<!channel> @here\r\nx".into();
        let messages = owed(&config(webhook(WebhookTexts::None)), &change, 0);
        let body: Value = serde_json::from_str(&messages[0].body).unwrap();
        let text = body["text"].as_str().unwrap();
        assert!(text.contains("&lt;!channel&gt; @\u{200b}here  x"), "{text}");
    }

    /// The example of the specification (Standard Webhooks, "Verifying webhooks").
    #[test]
    fn signatures() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = "{\"test\": 2432232314}";
        let signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_plain_secret_is_its_own_key() {
        assert_ne!(signature("a", "m", 0, "b"), signature("whsec_a", "m", 0, "b"));
        assert_eq!(signature("whsec_YQ==", "m", 0, "b"), signature("a", "m", 0, "b"));
    }
}
