//! The ticket: its data, what can be done to it, and what happened to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::mail::{Attachment, HeaderField, Remarks};
use super::outgoing::OutgoingId;

#[cfg(test)]
pub(crate) mod samples;

/// Identity of a ticket in the store; people know its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TicketId(pub u64);

/// Identity of an article; unique over all tickets, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ArticleId(pub u64);

/// One case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// Identity in the store.
    pub id: TicketId,
    /// What people call it; see [`super::thread`] for its form.
    pub number: String,
    /// Subject of the first mail, or what an agent made of it.
    pub title: String,
    /// Queue it lies in.
    pub queue: String,
    /// Where it stands.
    pub state: State,
    /// When a pending ticket wakes up.
    pub pending_until: Option<Timestamp>,
    /// How urgent it is.
    pub priority: Priority,
    /// Since when its owner has it to himself; `None` is unlocked.
    pub locked_since: Option<Timestamp>,
    /// Agent who works on it.
    pub owner: Option<String>,
    /// Agent who answers for it.
    pub responsible: Option<String>,
    /// Who needs help.
    pub customer: Option<Customer>,
    /// Everybody whose mail may join it: sender, Cc, those we wrote to.
    pub participants: BTreeSet<Address>,
    /// Who follows it.
    pub watchers: BTreeSet<Watcher>,
    /// Recipients to whom mail failed for good.
    pub undeliverable: BTreeSet<Address>,
    /// Recipients who reported mail of this ticket as unwanted (RFC 5965): they get no automatic
    /// mail about it any more.
    pub complained: BTreeSet<Address>,
    /// Customers whose case it ceased to be. They are strangers, and what was issued to them joins
    /// nothing.
    pub former_customers: BTreeSet<Address>,
    /// By recipient's digest (see [`super::thread::recipient_digest`]), the last notification that
    /// others may know of: it and earlier ones do not prove an agent any more.
    pub spent_proofs: BTreeMap<String, OutgoingId>,
    /// Free fields set by filters.
    pub fields: BTreeMap<String, String>,
    /// The ticket it was merged into.
    pub merged_into: Option<TicketId>,
    /// Tickets it has to do with.
    pub links: BTreeSet<TicketId>,
    /// When it was made.
    pub created: Timestamp,
    /// When something last happened to it.
    pub updated: Timestamp,
    /// When it was last closed.
    pub closed: Option<Timestamp>,
}

/// Whose case a ticket is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Who he is: the address he writes from.
    pub address: Address,
    /// Name as declared, or as the mail said.
    pub name: String,
    /// Company, if known.
    pub company: Option<String>,
    /// Where he wants answers, if elsewhere: Reply-To of his mail.
    pub reply_to: Option<Address>,
}

impl Customer {
    /// Address that answers go to.
    pub fn answer_to(&self) -> &Address {
        self.reply_to.as_ref().unwrap_or(&self.address)
    }
}

impl Ticket {
    /// Makes it another customer's case. The one before them takes part in it no more.
    pub fn hand_over(&mut self, customer: Customer) {
        if let Some(old) = self.customer.take() {
            for address in [Some(old.address), old.reply_to].into_iter().flatten() {
                self.participants.remove(&address);
                self.former_customers.insert(address);
            }
        }
        self.let_take_part(customer.address.clone());
        self.customer = Some(customer);
    }

    /// Lets an address take part, also one whose case it was.
    pub fn let_take_part(&mut self, address: Address) {
        self.former_customers.remove(&address);
        self.participants.insert(address);
    }

    /// Takes over from a ticket that is merged into this one whose ids are worth nothing.
    pub fn take_in_proofs(&mut self, merged: &Ticket) {
        let customer = self.customer.as_ref().map(|customer| &customer.address);
        let former = merged.former_customers.iter().filter(|address| Some(*address) != customer);
        self.former_customers.extend(former.cloned());
        for (recipient, mail) in &merged.spent_proofs {
            let last = self.spent_proofs.entry(recipient.clone()).or_insert(*mail);
            *last = (*last).max(*mail);
        }
    }
}

/// Somebody who follows a ticket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Watcher {
    /// An agent, by user name.
    Agent(String),
    /// A customer, by address.
    Customer(Address),
}

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// Nobody has worked on it yet.
    New,
    /// Being worked on.
    Open,
    /// Waiting until `pending_until`.
    Pending,
    /// Answered; closes unless the customer objects.
    Resolved,
    /// Done.
    Closed {
        /// Closing reason.
        successful: bool,
    },
    /// Part of another ticket.
    Merged,
}

impl State {
    /// Name in YAML, API and page.
    pub fn label(&self) -> &'static str {
        match self {
            State::New => "new",
            State::Open => "open",
            State::Pending => "pending",
            State::Resolved => "resolved",
            State::Closed { successful: true } => "closed successful",
            State::Closed { successful: false } => "closed unsuccessful",
            State::Merged => "merged",
        }
    }

    /// Reads a label; `closed` alone is `closed successful`.
    pub fn from_label(label: &str) -> Option<State> {
        Some(match label {
            "new" => State::New,
            "open" => State::Open,
            "pending" => State::Pending,
            "resolved" => State::Resolved,
            "closed" | "closed successful" => State::Closed { successful: true },
            "closed unsuccessful" => State::Closed { successful: false },
            "merged" => State::Merged,
            _ => return None,
        })
    }

    /// Whether the queue's rule for closed tickets applies to a follow-up.
    pub fn is_closed(&self) -> bool {
        matches!(self, State::Closed { .. })
    }
}

/// How urgent a ticket is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Priority {
    /// `1 very low`
    VeryLow,
    /// `2 low`
    Low,
    /// `3 normal`
    #[default]
    Normal,
    /// `4 high`
    High,
    /// `5 very high`
    VeryHigh,
}

impl Priority {
    /// All, from low to high.
    pub const ALL: [Priority; 5] =
        [Priority::VeryLow, Priority::Low, Priority::Normal, Priority::High, Priority::VeryHigh];

    /// Name in YAML, API and page.
    pub fn label(&self) -> &'static str {
        match self {
            Priority::VeryLow => "1 very low",
            Priority::Low => "2 low",
            Priority::Normal => "3 normal",
            Priority::High => "4 high",
            Priority::VeryHigh => "5 very high",
        }
    }

    /// Reads a label.
    pub fn from_label(label: &str) -> Option<Priority> {
        Priority::ALL.into_iter().find(|priority| priority.label() == label)
    }
}

/// One entry of a ticket: a mail or a note.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Article {
    /// Identity.
    pub id: ArticleId,
    /// Ticket it belongs to.
    pub ticket: TicketId,
    /// What it is.
    pub kind: ArticleKind,
    /// Who wrote it.
    pub author: AuthorKind,
    /// Whether the customer may see it.
    pub visible_for_customer: bool,
    /// `Name <address>` as written, or the agent's name.
    pub from: String,
    /// To, as written.
    pub to: String,
    /// Cc, as written.
    pub cc: String,
    /// Subject.
    pub subject: String,
    /// Text.
    pub text: String,
    /// Of a mail with an agent's address in From: whether something proved that the agent wrote it.
    /// `None` for everything else.
    pub verified: Option<bool>,
    /// Message-ID without angle brackets; notes have none.
    pub message_id: Option<String>,
    /// Ids it answers, newest last.
    pub references: Vec<String>,
    /// What is attached; the bytes are in the raw mail.
    pub attachments: Vec<Attachment>,
    /// Header fields worth showing.
    pub headers: Vec<HeaderField>,
    /// What a reader should know about what is shown.
    pub remarks: Remarks,
    /// A program wrote it in answer to a mail, or reports about one: only the owner hears of it.
    #[serde(default)]
    pub automatic: bool,
    /// Key of the raw mail in the store, if it came or went as mail.
    pub raw: Option<super::mail::Digest>,
    /// When it was added.
    pub created: Timestamp,
}

/// What an article is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArticleKind {
    /// A mail that came in.
    MailIn,
    /// A mail that an agent sent.
    MailOut,
    /// A note of an agent.
    Note,
    /// An automatic answer.
    AutoReply,
    /// A report that mail of this ticket bounced.
    Bounce,
}

/// Who wrote an article.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthorKind {
    /// One of our agents.
    Agent,
    /// Somebody outside.
    Customer,
    /// The desk itself, or a mail server.
    System,
}

/// Who does something to a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// The desk: intake, clockwork, reconcile.
    System,
    /// An agent, by user name.
    Agent(String),
    /// A customer, by address.
    Customer(Address),
    /// An API token, by name.
    Token(String),
}

/// Something that happened to a ticket, for its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What happened.
    pub what: What,
    /// Why, in the administrator's words. May be empty where `what` says it all.
    pub why: String,
}

/// What can happen to a ticket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// It was made.
    Created,
    /// An article was added.
    ArticleAdded {
        /// Which.
        article: ArticleId,
        /// What it is.
        kind: ArticleKind,
    },
    /// A follow-up arrived.
    FollowedUp {
        /// Its article.
        article: ArticleId,
        /// Whether the ticket was locked when it arrived.
        locked: bool,
    },
    /// A follow-up was kept but changed nothing.
    FollowUpRejected {
        /// Its article.
        article: ArticleId,
    },
    /// The state changed.
    State {
        /// Before.
        from: State,
        /// After.
        to: State,
    },
    /// The queue changed.
    Queue {
        /// Before.
        from: String,
        /// After.
        to: String,
    },
    /// The priority changed.
    Priority {
        /// Before.
        from: Priority,
        /// After.
        to: Priority,
    },
    /// The title changed.
    Title {
        /// Before.
        from: String,
        /// After.
        to: String,
    },
    /// The owner changed.
    Owner {
        /// Before.
        from: Option<String>,
        /// After.
        to: Option<String>,
    },
    /// The responsible agent changed.
    Responsible {
        /// Before.
        from: Option<String>,
        /// After.
        to: Option<String>,
    },
    /// The customer changed.
    Customer {
        /// Before.
        from: Option<Address>,
        /// After.
        to: Option<Address>,
    },
    /// It was locked.
    Locked,
    /// It was unlocked by somebody.
    Unlocked,
    /// Its lock ran out.
    LockTimedOut,
    /// Its pending time was reached.
    PendingReached,
    /// Somebody began to follow it.
    WatcherAdded {
        /// Who.
        who: Watcher,
    },
    /// Somebody ceased to follow it.
    WatcherRemoved {
        /// Who.
        who: Watcher,
    },
    /// It became part of another ticket.
    MergedInto {
        /// Number of the other one.
        number: String,
    },
    /// Another ticket became part of it.
    MergedFrom {
        /// Number of the other one.
        number: String,
    },
    /// It has to do with another ticket.
    Linked {
        /// Number of the other one.
        number: String,
    },
    /// An automatic answer is owed.
    AutoReplyOwed {
        /// To whom.
        to: Address,
        /// Name of the auto-reply.
        reply: String,
    },
    /// No automatic answer was given.
    AutoReplySuppressed {
        /// Label of the reason.
        reason: String,
    },
    /// Somebody was notified.
    Notified {
        /// Who: a user name or a customer's address.
        who: String,
        /// Label of the event.
        event: String,
    },
    /// A mail of ours could not be delivered.
    DeliveryFailed {
        /// To whom.
        to: Address,
        /// The server's words.
        reason: String,
    },
    /// A recipient reported a mail of ours as unwanted.
    Complained {
        /// Who.
        by: Address,
    },
}

/// What can be asked of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Add a note.
    Note {
        /// Subject; may be empty.
        subject: String,
        /// Text.
        text: String,
        /// Whether the customer may see it.
        visible_for_customer: bool,
    },
    /// Send an answer to the customer.
    Reply {
        /// Text.
        text: String,
        /// Recipients; empty means the customer.
        to: Vec<Address>,
        /// Copies.
        cc: Vec<Address>,
        /// Subject; `None` keeps the ticket's title.
        subject: Option<String>,
    },
    /// Change the state; `pending` needs the time.
    SetState {
        /// New state.
        state: State,
        /// When a pending ticket wakes up.
        pending_until: Option<Timestamp>,
    },
    /// Move to a queue.
    SetQueue(String),
    /// Give to an agent, or to nobody.
    SetOwner(Option<String>),
    /// Make an agent answer for it.
    SetResponsible(Option<String>),
    /// Lock or unlock.
    SetLock(bool),
    /// Own it and lock it, as the agent who does it; refused while somebody else has it locked.
    Take,
    /// Change the priority.
    SetPriority(Priority),
    /// Change the title.
    SetTitle(String),
    /// Change whose case it is.
    SetCustomer(Address),
    /// Begin to follow.
    Watch(Watcher),
    /// Cease to follow.
    Unwatch(Watcher),
    /// Becomes part of the ticket with this number.
    MergeInto(String),
    /// The lock ran out.
    TimeOutLock,
    /// The pending time was reached.
    ReachPending,
    /// Mail to this address failed for good.
    DeliveryFailed {
        /// To whom.
        to: Address,
        /// The server's words.
        reason: String,
    },
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The object named does not exist in the configuration.
    #[error("{kind} {name:?} is not declared")]
    Unknown {
        /// What was looked for.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A merged ticket can only be read.
    #[error("the ticket is merged into another one; change that one")]
    Merged,
    /// Somebody else works on it.
    #[error("{0} has it locked already")]
    Taken(String),
    /// A value is missing or makes no sense.
    #[error("{0}")]
    Invalid(String),
}

impl fmt::Display for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Watcher::Agent(name) => f.write_str(name),
            Watcher::Customer(address) => write!(f, "{address}"),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::System => f.write_str("system"),
            Actor::Agent(name) => write!(f, "agent {name}"),
            Actor::Customer(address) => write!(f, "customer {address}"),
            Actor::Token(name) => write!(f, "token {name}"),
        }
    }
}
