//! Tickets, their articles and history; what can be asked of them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::core::address::Address;
use crate::core::config::Config;
use crate::core::desk::Composed;
use crate::core::permission::Asker;
use crate::core::render;
use crate::core::ticket::{
    Article, ArticleKind, AuthorKind, Customer, Event, Ticket, Watcher, What,
};
use crate::store::TicketView as StoredTicket;

/// A ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketView {
    /// What people call it.
    pub number: String,
    /// Title.
    pub title: String,
    /// Queue it lies in.
    pub queue: String,
    /// `new`, `open`, `pending`, `resolved`, `closed successful`, `closed unsuccessful`, `merged`.
    pub state: String,
    /// When a pending ticket wakes up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_until: Option<String>,
    /// `1 very low` to `5 very high`.
    pub priority: String,
    /// Whether its owner has it to himself.
    pub locked: bool,
    /// Agent who works on it.
    pub owner: Option<String>,
    /// Agent who answers for it.
    pub responsible: Option<String>,
    /// Who needs help.
    pub customer: Option<CustomerView>,
    /// When it was made.
    pub created: String,
    /// When something last happened to it.
    pub updated: String,
    /// When it was last closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
}

/// Whose case a ticket is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerView {
    /// Address that answers go to.
    pub address: String,
    /// Name.
    pub name: String,
    /// Company, if known.
    pub company: Option<String>,
}

/// A ticket with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketDetail {
    /// The ticket.
    pub ticket: TicketView,
    /// Everybody whose mail may join it.
    pub participants: Vec<String>,
    /// Who follows it.
    pub watchers: Vec<WatcherView>,
    /// Recipients to whom mail failed for good.
    pub undeliverable: Vec<String>,
    /// Recipients who reported mail of this ticket as unwanted; they get no automatic mail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub complained: Vec<String>,
    /// Free fields set by filters.
    pub fields: BTreeMap<String, String>,
    /// Number of the ticket it was merged into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<String>,
    /// Numbers of tickets it has to do with.
    pub links: Vec<String>,
    /// Its articles in order.
    pub articles: Vec<ArticleView>,
    /// What happened to it.
    pub events: Vec<EventView>,
}

/// Somebody who follows a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatcherView {
    /// `agent` or `customer`.
    pub kind: String,
    /// User name, or address.
    pub who: String,
}

/// One entry of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArticleView {
    /// Identity.
    pub id: u64,
    /// `mailIn`, `mailOut`, `note`, `autoReply` or `bounce`.
    pub kind: String,
    /// `agent`, `customer` or `system`.
    pub author: String,
    /// Whether the customer may see it.
    pub visible_for_customer: bool,
    /// Who wrote it.
    pub from: String,
    /// To, as written.
    pub to: String,
    /// Cc, as written.
    pub cc: String,
    /// Subject.
    pub subject: String,
    /// Text.
    pub text: String,
    /// Of a mail with an agent's address in From: whether something proved that the agent wrote
    /// it. `false` means not verified; absent for everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// Message-ID without angle brackets; only for managers and above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// What is attached.
    pub attachments: Vec<AttachmentView>,
    /// Whether `raw` can be fetched.
    pub has_raw: bool,
    /// When it was added.
    pub created: String,
}

/// A part that is not the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentView {
    /// Position; the key for fetching it.
    pub index: u32,
    /// File name.
    pub name: String,
    /// Media type.
    pub content_type: String,
    /// Decoded length.
    pub bytes: u64,
    /// Whether the sender wants it shown inside the text.
    pub inline: bool,
}

/// Something that happened to a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    /// When.
    pub at: String,
    /// Who did it.
    pub actor: String,
    /// What happened: `created`, `stateChanged`, `followedUp`, ...
    pub event: String,
    /// The particulars: `from`, `to`, `article`, ...
    pub detail: BTreeMap<String, String>,
    /// Why.
    pub why: String,
}

/// Adds a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoteRequest {
    /// Text.
    pub text: String,
    /// Subject; may be empty.
    #[serde(default)]
    pub subject: String,
    /// Whether the customer may see it.
    #[serde(default)]
    pub visible_for_customer: bool,
}

/// Sends an answer to the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplyRequest {
    /// Text.
    pub text: String,
    /// Recipients; empty means the customer.
    #[serde(default)]
    pub to: Vec<String>,
    /// Copies.
    #[serde(default)]
    pub cc: Vec<String>,
    /// Subject; absent keeps the ticket's title.
    #[serde(default)]
    pub subject: Option<String>,
    /// State that the ticket has afterwards; absent leaves it, and opens a new one.
    #[serde(default)]
    pub state: Option<String>,
}

/// An answer as it would go out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewView {
    /// From which address; absent if nothing can send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// To whom.
    pub to: Vec<String>,
    /// Copies.
    pub cc: Vec<String>,
    /// Subject.
    pub subject: String,
    /// Text with salutation and signature of the queue.
    pub text: String,
    /// The language of the customer: `en` or `ja`.
    pub language: String,
}

impl PreviewView {
    /// Addresses of the desk itself are left out, as they are when it is sent.
    pub fn of(config: &Config, ticket: &Ticket, composed: &Composed) -> PreviewView {
        let outside = |all: &[Address]| {
            let others = all.iter().filter(|one| !config.system_addresses.contains_key(*one));
            others.map(ToString::to_string).collect()
        };
        PreviewView {
            from: composed.from.as_ref().map(ToString::to_string),
            to: outside(&composed.to),
            cc: outside(&composed.cc),
            subject: render::tagged(config, ticket, &composed.subject),
            text: composed.text.clone(),
            language: composed.language.code().into(),
        }
    }
}

/// Changes several tickets in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BulkRequest {
    /// Numbers of the tickets, at most 100.
    pub tickets: Vec<String>,
    /// What is changed about each of them.
    pub change: TicketPatch,
}

/// What came of each ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkView {
    /// One for each ticket, in the order of the request.
    pub items: Vec<BulkItemView>,
}

/// What came of one ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkItemView {
    /// Its number, as asked for.
    pub number: String,
    /// 200 if it was changed; else what a change of it alone would have been answered.
    pub status: u16,
    /// Why it was not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The ticket as it is now, if it was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketView>,
}

/// How many tickets lie in a queue, in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueCountView {
    /// The queue.
    pub queue: String,
    /// The state.
    pub state: String,
    /// How many; a state without tickets is not listed.
    pub tickets: u64,
}

/// Changes a ticket: what is absent stays; `null` gives owner or responsible to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TicketPatch {
    /// State; `pending` needs `pendingUntil`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// When a pending ticket wakes up (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_until: Option<String>,
    /// Queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Owner, a user name or `null`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub owner: Option<Option<String>>,
    /// Responsible agent, a user name or `null`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub responsible: Option<Option<String>>,
    /// Locked or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<bool>,
    /// Priority, such as `3 normal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Customer, an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Number of the ticket it becomes part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_into: Option<String>,
}

/// Tells `null` from absent: whoever calls this was given something.
fn given<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(input).map(Some)
}

impl From<&Ticket> for TicketView {
    fn from(ticket: &Ticket) -> TicketView {
        TicketView {
            number: ticket.number.clone(),
            title: ticket.title.clone(),
            queue: ticket.queue.clone(),
            state: ticket.state.label().into(),
            pending_until: ticket.pending_until.map(|at| at.to_string()),
            priority: ticket.priority.label().into(),
            locked: ticket.locked_since.is_some(),
            owner: ticket.owner.clone(),
            responsible: ticket.responsible.clone(),
            customer: ticket.customer.as_ref().map(CustomerView::from),
            created: ticket.created.to_string(),
            updated: ticket.updated.to_string(),
            closed: ticket.closed.map(|at| at.to_string()),
        }
    }
}

impl From<&Customer> for CustomerView {
    fn from(customer: &Customer) -> CustomerView {
        CustomerView {
            address: customer.address.to_string(),
            name: customer.name.clone(),
            company: customer.company.clone(),
        }
    }
}

impl TicketDetail {
    /// A ticket as somebody may see it.
    pub fn of(stored: &StoredTicket, asker: Asker<'_>) -> TicketDetail {
        let ticket = &stored.ticket;
        // The history knows the numbers of other tickets, the ticket only their identities.
        let events = || stored.events.iter().map(|event| &event.what);
        let merged_into = events().rev().find_map(|what| match what {
            What::MergedInto { number } => Some(number.clone()),
            _ => None,
        });
        let links = events().filter_map(|what| match what {
            What::Linked { number } | What::MergedFrom { number } => Some(number.clone()),
            _ => None,
        });
        let watchers = ticket.watchers.iter().filter(|who| asker.sees(who));
        let article = |article: &Article| ArticleView {
            message_id: article.message_id.clone().filter(|_| asker.sees_source()),
            ..ArticleView::from(article)
        };
        let history = stored.events.iter().filter(|event| asker.sees_event(event));
        TicketDetail {
            ticket: TicketView::from(ticket),
            participants: ticket.participants.iter().map(ToString::to_string).collect(),
            watchers: watchers.map(WatcherView::from).collect(),
            undeliverable: ticket.undeliverable.iter().map(ToString::to_string).collect(),
            complained: ticket.complained.iter().map(ToString::to_string).collect(),
            fields: ticket.fields.clone(),
            merged_into,
            links: links.collect(),
            articles: stored.articles.iter().map(article).collect(),
            events: history.map(EventView::from).collect(),
        }
    }
}

impl From<&Watcher> for WatcherView {
    fn from(watcher: &Watcher) -> WatcherView {
        let kind = match watcher {
            Watcher::Agent(_) => "agent",
            Watcher::Customer(_) => "customer",
        };
        WatcherView { kind: kind.into(), who: watcher.to_string() }
    }
}

impl From<&Article> for ArticleView {
    fn from(article: &Article) -> ArticleView {
        let author = match article.author {
            AuthorKind::Agent => "agent",
            AuthorKind::Customer => "customer",
            AuthorKind::System => "system",
        };
        let attachments = article.attachments.iter().map(|part| AttachmentView {
            index: part.index,
            name: part.name.clone(),
            content_type: part.content_type.clone(),
            bytes: part.bytes,
            inline: part.inline,
        });
        ArticleView {
            id: article.id.0,
            kind: article_kind(article.kind).into(),
            author: author.into(),
            visible_for_customer: article.visible_for_customer,
            from: article.from.clone(),
            to: article.to.clone(),
            cc: article.cc.clone(),
            subject: article.subject.clone(),
            text: article.text.clone(),
            verified: article.verified,
            message_id: article.message_id.clone(),
            attachments: attachments.collect(),
            has_raw: article.raw.is_some(),
            created: article.created.to_string(),
        }
    }
}

fn article_kind(kind: ArticleKind) -> &'static str {
    match kind {
        ArticleKind::MailIn => "mailIn",
        ArticleKind::MailOut => "mailOut",
        ArticleKind::Note => "note",
        ArticleKind::AutoReply => "autoReply",
        ArticleKind::Bounce => "bounce",
    }
}

impl From<&Event> for EventView {
    fn from(event: &Event) -> EventView {
        let (name, detail) = happening(&event.what);
        EventView {
            at: event.at.to_string(),
            actor: event.actor.to_string(),
            event: name.into(),
            detail: detail.into_iter().map(|(key, value)| (key.into(), value)).collect(),
            why: event.why.clone(),
        }
    }
}

/// Name and particulars of what happened.
fn happening(what: &What) -> (&'static str, Vec<(&'static str, String)>) {
    let change = |from: &dyn ToString, to: &dyn ToString| {
        vec![("from", from.to_string()), ("to", to.to_string())]
    };
    let optional = |name: &Option<String>| name.clone().unwrap_or_default();
    match what {
        What::Created => ("created", vec![]),
        What::ArticleAdded { article, kind } => (
            "articleAdded",
            vec![("article", article.0.to_string()), ("kind", article_kind(*kind).into())],
        ),
        What::FollowedUp { article, locked } => {
            ("followedUp", vec![("article", article.0.to_string()), ("locked", locked.to_string())])
        }
        What::FollowUpRejected { article } => {
            ("followUpRejected", vec![("article", article.0.to_string())])
        }
        What::State { from, to } => ("stateChanged", change(&from.label(), &to.label())),
        What::Queue { from, to } => ("queueChanged", change(from, to)),
        What::Priority { from, to } => ("priorityChanged", change(&from.label(), &to.label())),
        What::Title { from, to } => ("titleChanged", change(from, to)),
        What::Owner { from, to } => ("ownerChanged", change(&optional(from), &optional(to))),
        What::Responsible { from, to } => {
            ("responsibleChanged", change(&optional(from), &optional(to)))
        }
        What::Customer { from, to } => {
            let text = |address: &Option<Address>| {
                address.as_ref().map(ToString::to_string).unwrap_or_default()
            };
            ("customerChanged", change(&text(from), &text(to)))
        }
        What::Locked => ("locked", vec![]),
        What::Unlocked => ("unlocked", vec![]),
        What::LockTimedOut => ("lockTimedOut", vec![]),
        What::PendingReached => ("pendingReached", vec![]),
        What::WatcherAdded { who } => ("watcherAdded", vec![("who", who.to_string())]),
        What::WatcherRemoved { who } => ("watcherRemoved", vec![("who", who.to_string())]),
        What::MergedInto { number } => ("mergedInto", vec![("number", number.clone())]),
        What::MergedFrom { number } => ("mergedFrom", vec![("number", number.clone())]),
        What::Linked { number } => ("linked", vec![("number", number.clone())]),
        What::AutoReplyOwed { to, reply } => {
            ("autoReplyOwed", vec![("to", to.to_string()), ("reply", reply.clone())])
        }
        What::AutoReplySuppressed { reason } => {
            ("autoReplySuppressed", vec![("reason", reason.clone())])
        }
        What::Notified { who, event } => {
            ("notified", vec![("who", who.clone()), ("event", event.clone())])
        }
        What::DeliveryFailed { to, reason } => {
            ("deliveryFailed", vec![("to", to.to_string()), ("reason", reason.clone())])
        }
        What::Complained { by } => ("complained", vec![("by", by.to_string())]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_not_absent() {
        let patch: TicketPatch = serde_json::from_str(r#"{"owner": null}"#).unwrap();
        assert_eq!((patch.owner, patch.responsible), (Some(None), None));
    }

    #[test]
    fn misspelt_keys_are_refused() {
        assert!(serde_json::from_str::<TicketPatch>(r#"{"onwer": "alice"}"#).is_err());
        assert!(serde_json::from_str::<NoteRequest>(r#"{"text": "a", "visible": true}"#).is_err());
    }
}
