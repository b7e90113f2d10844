//! Rows of tickets and articles.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Row, digest, hex};
use crate::core::address::Address;
use crate::core::mail::{Attachment, HeaderField, Remarks};
use crate::core::outgoing::OutgoingId;
use crate::core::ticket::{
    Article, ArticleId, ArticleKind, AuthorKind, Customer, Priority, State, Ticket, TicketId,
    Watcher,
};
use crate::store::fault::Fault;

/// A ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct TicketRow {
    pub number: String,
    pub title: String,
    pub queue: String,
    pub state: String,
    pub pending_until: Option<Timestamp>,
    pub priority: String,
    pub locked_since: Option<Timestamp>,
    pub owner: Option<String>,
    pub responsible: Option<String>,
    pub customer: Option<CustomerRow>,
    pub participants: BTreeSet<Address>,
    pub watchers: Vec<WatcherRow>,
    pub undeliverable: BTreeSet<Address>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub complained: BTreeSet<Address>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub former_customers: BTreeSet<Address>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub spent_proofs: BTreeMap<String, u64>,
    pub fields: BTreeMap<String, String>,
    pub merged_into: Option<u64>,
    pub links: Vec<u64>,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub closed: Option<Timestamp>,
}

/// Whose case it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct CustomerRow {
    address: Address,
    name: String,
    company: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply_to: Option<Address>,
}

/// Who follows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::store) enum WatcherRow {
    Agent(String),
    Customer(Address),
}

/// One entry of a ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct ArticleRow {
    pub kind: KindRow,
    pub author: AuthorRow,
    pub visible_for_customer: bool,
    pub from: String,
    pub to: String,
    pub cc: String,
    pub subject: String,
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    pub message_id: Option<String>,
    pub references: Vec<String>,
    pub attachments: Vec<AttachmentRow>,
    pub headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Remarks::is_empty")]
    pub remarks: Remarks,
    #[serde(default, skip_serializing_if = "is_false")]
    pub automatic: bool,
    pub raw: Option<String>,
    pub created: Timestamp,
}

/// What an article is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::store) enum KindRow {
    MailIn,
    MailOut,
    Note,
    AutoReply,
    Bounce,
}

/// Who wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::store) enum AuthorRow {
    Agent,
    Customer,
    System,
}

/// What is attached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct AttachmentRow {
    index: u32,
    name: String,
    content_type: String,
    content_id: Option<String>,
    inline: bool,
    bytes: u64,
}

impl Row for TicketRow {
    const NAME: &'static str = "ticket";
}

impl Row for ArticleRow {
    const NAME: &'static str = "article";
}

impl From<Ticket> for TicketRow {
    fn from(ticket: Ticket) -> TicketRow {
        let Ticket {
            id: _,
            number,
            title,
            queue,
            state,
            pending_until,
            priority,
            locked_since,
            owner,
            responsible,
            customer,
            participants,
            watchers,
            undeliverable,
            complained,
            former_customers,
            spent_proofs,
            fields,
            merged_into,
            links,
            created,
            updated,
            closed,
        } = ticket;
        TicketRow {
            number,
            title,
            queue,
            state: state.label().to_owned(),
            pending_until,
            priority: priority.label().to_owned(),
            locked_since,
            owner,
            responsible,
            customer: customer.map(Into::into),
            participants,
            watchers: watchers.into_iter().map(Into::into).collect(),
            undeliverable,
            complained,
            former_customers,
            spent_proofs: spent_proofs.into_iter().map(|(who, mail)| (who, mail.0)).collect(),
            fields,
            merged_into: merged_into.map(|ticket| ticket.0),
            links: links.into_iter().map(|ticket| ticket.0).collect(),
            created,
            updated,
            closed,
        }
    }
}

impl TicketRow {
    /// The ticket of a row.
    pub(in crate::store) fn ticket(self, id: u64) -> Result<Ticket, Fault> {
        Ok(Ticket {
            id: TicketId(id),
            number: self.number,
            title: self.title,
            queue: self.queue,
            state: state(&self.state)?,
            pending_until: self.pending_until,
            priority: priority(&self.priority)?,
            locked_since: self.locked_since,
            owner: self.owner,
            responsible: self.responsible,
            customer: self.customer.map(Into::into),
            participants: self.participants,
            watchers: self.watchers.into_iter().map(Into::into).collect(),
            undeliverable: self.undeliverable,
            complained: self.complained,
            former_customers: self.former_customers,
            spent_proofs: spent(self.spent_proofs),
            fields: self.fields,
            merged_into: self.merged_into.map(TicketId),
            links: self.links.into_iter().map(TicketId).collect(),
            created: self.created,
            updated: self.updated,
            closed: self.closed,
        })
    }
}

/// Kept out of rows, so that those of older versions look as they did.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_false(value: &bool) -> bool {
    !value
}

fn spent(rows: BTreeMap<String, u64>) -> BTreeMap<String, OutgoingId> {
    rows.into_iter().map(|(who, mail)| (who, OutgoingId(mail))).collect()
}

impl From<Article> for ArticleRow {
    fn from(article: Article) -> ArticleRow {
        let Article {
            id: _,
            ticket: _,
            kind,
            author,
            visible_for_customer,
            from,
            to,
            cc,
            subject,
            text,
            verified,
            message_id,
            references,
            attachments,
            headers,
            remarks,
            automatic,
            raw,
            created,
        } = article;
        ArticleRow {
            kind: kind.into(),
            author: author.into(),
            visible_for_customer,
            from,
            to,
            cc,
            subject,
            text,
            verified,
            message_id,
            references,
            attachments: attachments.into_iter().map(Into::into).collect(),
            headers: headers.into_iter().map(|field| (field.name, field.value)).collect(),
            remarks,
            automatic,
            raw: raw.as_ref().map(hex),
            created,
        }
    }
}

impl ArticleRow {
    /// The article of a row.
    pub(in crate::store) fn article(self, ticket: u64, id: u64) -> Result<Article, Fault> {
        Ok(Article {
            id: ArticleId(id),
            ticket: TicketId(ticket),
            kind: self.kind.into(),
            author: self.author.into(),
            visible_for_customer: self.visible_for_customer,
            from: self.from,
            to: self.to,
            cc: self.cc,
            subject: self.subject,
            text: self.text,
            verified: self.verified,
            message_id: self.message_id,
            references: self.references,
            attachments: self.attachments.into_iter().map(Into::into).collect(),
            remarks: self.remarks,
            automatic: self.automatic,
            headers: (self.headers.into_iter())
                .map(|(name, value)| HeaderField { name, value })
                .collect(),
            raw: self.raw.as_deref().map(digest).transpose()?,
            created: self.created,
        })
    }
}

/// Reads a state's label.
pub(super) fn state(label: &str) -> Result<State, Fault> {
    State::from_label(label)
        .ok_or_else(|| Fault::Row(format!("stored state {label:?} is not known")))
}

/// Reads a priority's label.
pub(super) fn priority(label: &str) -> Result<Priority, Fault> {
    Priority::from_label(label)
        .ok_or_else(|| Fault::Row(format!("stored priority {label:?} is not known")))
}

impl From<Customer> for CustomerRow {
    fn from(Customer { address, name, company, reply_to }: Customer) -> CustomerRow {
        CustomerRow { address, name, company, reply_to }
    }
}

impl From<CustomerRow> for Customer {
    fn from(CustomerRow { address, name, company, reply_to }: CustomerRow) -> Customer {
        Customer { address, name, company, reply_to }
    }
}

impl From<Watcher> for WatcherRow {
    fn from(watcher: Watcher) -> WatcherRow {
        match watcher {
            Watcher::Agent(name) => WatcherRow::Agent(name),
            Watcher::Customer(address) => WatcherRow::Customer(address),
        }
    }
}

impl From<WatcherRow> for Watcher {
    fn from(row: WatcherRow) -> Watcher {
        match row {
            WatcherRow::Agent(name) => Watcher::Agent(name),
            WatcherRow::Customer(address) => Watcher::Customer(address),
        }
    }
}

impl From<ArticleKind> for KindRow {
    fn from(kind: ArticleKind) -> KindRow {
        match kind {
            ArticleKind::MailIn => KindRow::MailIn,
            ArticleKind::MailOut => KindRow::MailOut,
            ArticleKind::Note => KindRow::Note,
            ArticleKind::AutoReply => KindRow::AutoReply,
            ArticleKind::Bounce => KindRow::Bounce,
        }
    }
}

impl From<KindRow> for ArticleKind {
    fn from(row: KindRow) -> ArticleKind {
        match row {
            KindRow::MailIn => ArticleKind::MailIn,
            KindRow::MailOut => ArticleKind::MailOut,
            KindRow::Note => ArticleKind::Note,
            KindRow::AutoReply => ArticleKind::AutoReply,
            KindRow::Bounce => ArticleKind::Bounce,
        }
    }
}

impl From<AuthorKind> for AuthorRow {
    fn from(author: AuthorKind) -> AuthorRow {
        match author {
            AuthorKind::Agent => AuthorRow::Agent,
            AuthorKind::Customer => AuthorRow::Customer,
            AuthorKind::System => AuthorRow::System,
        }
    }
}

impl From<AuthorRow> for AuthorKind {
    fn from(row: AuthorRow) -> AuthorKind {
        match row {
            AuthorRow::Agent => AuthorKind::Agent,
            AuthorRow::Customer => AuthorKind::Customer,
            AuthorRow::System => AuthorKind::System,
        }
    }
}

impl From<Attachment> for AttachmentRow {
    fn from(attachment: Attachment) -> AttachmentRow {
        let Attachment { index, name, content_type, content_id, inline, bytes } = attachment;
        AttachmentRow { index, name, content_type, content_id, inline, bytes }
    }
}

impl From<AttachmentRow> for Attachment {
    fn from(row: AttachmentRow) -> Attachment {
        let AttachmentRow { index, name, content_type, content_id, inline, bytes } = row;
        Attachment { index, name, content_type, content_id, inline, bytes }
    }
}
