//! What becomes of one mail: `judge`, `settle`, and `decide`, which is one after the other.
//!
//! `judge` needs nothing but the configuration and the mail; it runs before the transaction.
//! `settle` adds the facts of the store; it runs inside the write transaction and therefore
//! neither parses nor evaluates anybody's regular expression.
//!
//! Architecture invariant: a mail has exactly one outcome, and the trace says how it came about.
//! `settle` asks its questions in one order: quarantine, duplicate, ignored, bounce, follow-up,
//! new ticket; the first that is answered with yes decides.
//!
//! # What a store must answer
//!
//! All of it inside the transaction that will write the decision, so that two mails of one batch
//! see each other. Wherever a ticket is asked for, one that was merged is followed to its main
//! ticket (`Ticket::merged_into`, again and again; a chain that comes back to itself is given up).
//!
//! | [`Facts`] | asked with | answer |
//! |---|---|---|
//! | `duplicate` | [`Keys`] | a mail recorded before under *another* location with the same `bytes`, else with the same `content`: within the same account, or any account if `intake.dedupe` is `global`. A mail with the same Message-ID and other content is none. |
//! | `tagged` | `subject_tag` | the ticket with this number |
//! | `body_tagged` | `body_tag` | the same for the number in the text |
//! | `keyed` | each of `references` in order | the first for which [`super::thread::verify`] names a ticket that exists; `message_id` is that reference |
//! | `referenced` | each of `references` in order | the ticket of the first that is the Message-ID of a stored article (of any kind, as they were written; the first owner of an id keeps it) |
//! | `bounced` | `report`, if there is one | the ticket that `verify` names for `original_message_id`; else the one of the article with that id; else the one whose number [`super::thread::find_tag`] finds in `original_subject` |
//! | `answered` | `sender.answer_to` | owed mails of kind `AutoReply` to that address, enqueued in the last 24 and 3 hours before `now`, over all tickets |
//! | `next` | | identities that are free; `tickets_today` is the number of tickets made on the day of `now` in `desk.time_zone` |
//!
//! A mail that a person releases from quarantine is judged again with `quarantine` set to `None`
//! and settled with no `duplicate`.
//!
//! What is written: [`Decision::effect`], and [`Decision::linked`] as another effect of the same
//! transaction (it has an event and a link, no article and no mail).

mod answer;
mod bounce;
mod change;
mod create;
mod follow_up;
mod judge;
mod people;
mod settle;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::config::{Account, Config};
use super::filter::Settings;
use super::mail::{Digest, Mail, Mailbox, Report};
use super::outgoing::{Outgoing, OutgoingId};
use super::reply::Suppression;
use super::route::Route;
use super::ticket::{Article, ArticleId, Event, Ticket, TicketId};

/// One step of a decision, in the administrator's words: `queue: support (To: support@acme.example)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// What was decided: `filter`, `queue`, `followUp`, `autoReply`, ...
    pub step: String,
    /// With which result and for which reason.
    pub text: String,
}

/// What the mail alone says.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Account it came through.
    pub account: String,
    /// Keys by which a second delivery is recognised.
    pub keys: Keys,
    /// Message-ID, also if derived.
    pub message_id: String,
    /// Who wrote it.
    pub sender: SenderOfMail,
    /// Ticket number in the subject tag.
    pub subject_tag: Option<String>,
    /// Ticket number in a tag in the text; counts only where a queue wants it.
    pub body_tag: Option<String>,
    /// Ids it refers to, most telling first: In-Reply-To, then References from the end.
    pub references: Vec<String>,
    /// Queue of a new ticket, with the rule that chose it.
    pub route: Route,
    /// Names of the filters that matched, in order.
    pub filters: Vec<String>,
    /// What filters and trusted control headers set, captures filled in.
    pub settings: Settings,
    /// What they set if the mail turns out to be a follow-up.
    pub on_follow_up: Settings,
    /// Why it must not be answered, as far as the mail alone says.
    pub suppression: Option<Suppression>,
    /// What a bounce says.
    pub report: Option<Report>,
    /// The article it becomes; `id` and `ticket` are placeholders until `settle`.
    pub article: Article,
    /// Everybody it was addressed to besides us.
    pub addressed: BTreeSet<Address>,
    /// The account is trusted: the sender's identity counts.
    pub trusted: bool,
    /// Why it must be quarantined, if it must.
    pub quarantine: Option<String>,
    /// How it was judged.
    pub why: Vec<Why>,
}

/// Keys by which a second delivery of a mail is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// SHA-256 of the raw bytes.
    pub bytes: Digest,
    /// SHA-256 of Message-ID and content; `None` without a Message-ID, so that mails that carry
    /// neither id nor date are never taken for each other.
    pub content: Option<Digest>,
}

/// Who wrote a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderOfMail {
    /// First From, else Sender, else Reply-To.
    pub mailbox: Mailbox,
    /// Where an answer goes: Reply-To, else From.
    pub answer_to: Option<Address>,
    /// User name, if the address is an agent's.
    pub agent: Option<String>,
}

/// What the store knows that bears on one judgement.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The mail was recorded before under another location: which key told, and where it went.
    pub duplicate: Option<Duplicate>,
    /// Ticket with the number in the subject tag; merged tickets followed to the main one.
    pub tagged: Option<Ticket>,
    /// Ticket with the number in the text.
    pub body_tagged: Option<Ticket>,
    /// The first of the judgement's references that is the Message-ID of a stored article.
    pub referenced: Option<Referenced>,
    /// The ticket named by the keyed Message-ID of ours among the references, if one is genuine.
    pub keyed: Option<Referenced>,
    /// For a bounce: the ticket whose mail bounced.
    pub bounced: Option<Ticket>,
    /// Automatic answers to this sender so far.
    pub answered: Answered,
    /// Key of our Message-IDs.
    pub desk_key: DeskKey,
    /// Ticket and article identities to use next.
    pub next: NextIds,
}

/// A mail that was recorded before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// `bytes` or `content`.
    pub key: &'static str,
    /// Where the first one went, for the trace.
    pub first: String,
}

/// A ticket found by a reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Referenced {
    /// The id that told.
    pub message_id: String,
    /// Its ticket; merged tickets followed to the main one.
    pub ticket: Ticket,
}

/// Automatic answers to one address so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answered {
    /// In the last 24 hours.
    pub day: u32,
    /// In the last 3 hours.
    pub three_hours: u32,
}

/// Key of the tags in our Message-IDs; made once per store.
#[derive(Clone, PartialEq, Eq)]
pub struct DeskKey(pub [u8; 32]);

/// Identities that the transaction may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextIds {
    /// For a new ticket.
    pub ticket: TicketId,
    /// For a new article, counted up.
    pub article: ArticleId,
    /// For an owed mail, counted up.
    pub outgoing: OutgoingId,
    /// Tickets made today before this one, in the desk's time zone.
    pub tickets_today: u32,
}

/// What became of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A new ticket.
    Created,
    /// An article of a ticket that existed.
    FollowUp,
    /// An article of a closed ticket that stays closed.
    Rejected,
    /// An article of the ticket whose mail bounced.
    Bounce,
    /// A filter said so.
    Ignored,
    /// Recorded before.
    Duplicate,
    /// Kept whole, for a person to look at.
    Quarantined {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// Label for metrics, log and API.
    pub fn label(&self) -> &'static str {
        match self {
            Outcome::Created => "created",
            Outcome::FollowUp => "followUp",
            Outcome::Rejected => "rejected",
            Outcome::Bounce => "bounce",
            Outcome::Ignored => "ignored",
            Outcome::Duplicate => "duplicate",
            Outcome::Quarantined { .. } => "quarantined",
        }
    }
}

/// What is to be written because of one mail.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What became of it.
    pub outcome: Outcome,
    /// Change of a ticket, if any.
    pub effect: Option<Effect>,
    /// Change of a closed ticket whose follow-up made a new one: the link back to it.
    pub linked: Option<Effect>,
    /// An automatic answer that was held back, and why.
    pub suppressed: Option<Suppression>,
    /// Names of the filters that matched.
    pub filters: Vec<String>,
    /// How it was decided.
    pub why: Vec<Why>,
}

/// A change of one ticket: what a mail, an agent or the clock did to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// The ticket as it is afterwards.
    pub ticket: Ticket,
    /// Whether it is new.
    pub created: bool,
    /// Articles to add, with the identities of [`NextIds`].
    pub articles: Vec<Article>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Mails owed because of it.
    pub owed: Vec<Outgoing>,
    /// Users whose bell rings: user name and label of the event.
    pub bells: Vec<(String, String)>,
}

/// Judges and settles in one go: what `explain`, `test` and the golden tests call.
pub fn decide(
    config: &Config,
    account: &Account,
    mail: &Mail,
    facts: &Facts,
    now: Timestamp,
) -> Decision {
    settle(config, account, &judge(config, account, mail), facts, now)
}

/// What the mail alone says.
pub fn judge(config: &Config, account: &Account, mail: &Mail) -> Judgement {
    judge::judge(config, account, mail)
}

/// What is to be written, given what the store knows.
pub fn settle(
    config: &Config,
    account: &Account,
    judgement: &Judgement,
    facts: &Facts,
    now: Timestamp,
) -> Decision {
    settle::settle(config, account, judgement, facts, now)
}

#[cfg(test)]
pub(crate) use judge::sender_of;

impl Why {
    /// One step with its result.
    pub fn new(step: &str, text: impl Into<String>) -> Why {
        Why { step: step.into(), text: text.into() }
    }
}

impl std::fmt::Debug for DeskKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
