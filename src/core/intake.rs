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
//! | `keyed` | each of `references` in order | every one for which [`super::thread::verify`] names a ticket that exists |
//! | `referenced` | each of `references` in order | the tickets of the first that is the Message-ID of a stored article (of any kind, as they were written), those with an article of the sender first, and of these those whose article came through the account of the mail |
//! | `bounced` | `report`, if there is one | of `original_message_id` and `ids`, every one for which `verify` names a ticket that exists, given to [`returned_mail`]; `recipient` is that of the owed mail of this id, as long as it is kept |
//! | `answered` | `sender.answer_to` | owed mails of kind `AutoReply` to that address, enqueued in the last 24 and 3 hours before `now`, over all tickets |
//! | `threads` | `tagged`, `body_tagged`, `keyed`, `referenced`, if `sender.agent` is set | Message-IDs of the stored articles of each of these tickets that are visible for customers, oldest first, at most [`super::mail::REFERENCES_MAX`] newest ones |
//! | `articles` | the tickets of `threads`, before merged tickets are followed and after | their stored articles, notes too, oldest first, at most [`super::render::ARTICLES_COMPARED_MAX`] newest ones of each |
//! | `full_hours` | `now` | users to whom as many notification mails are owed in the hour of the clock in which `now` lies, or a later one, as [`super::notify::hours::is_full`] allows, with their number; a mail counts in the hour of its `created` |
//! | `next` | | identities that are free; `tickets_today` is the number of tickets made on the day of `now` in `desk.time_zone` |
//!
//! A mail that a person releases from quarantine is judged again with `quarantine` set to `None`
//! and settled with no `duplicate`.
//!
//! What is written: [`Decision::effect`], and [`Decision::linked`] as another effect of the same
//! transaction (it has an event and a link, no article and no mail).

mod agent_text;
mod answer;
mod bounce;
mod change;
mod create;
pub mod file_texts;
mod follow_up;
mod heading;
mod internal;
mod judge;
mod kept_inside;
mod people;
mod proof;
mod settle;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::config::{Account, Config};
use super::digest::Line;
use super::filter::Settings;
use super::filter::examine::Examined;
use super::mail::files::{self, File};
use super::mail::{Digest, Mail, Mailbox, Report};
use super::notify::Ring;
use super::notify::hours::FullHours;
use super::outgoing::{Outgoing, OutgoingId};
use super::reply::Suppression;
use super::reply::alike::Neighbour;
use super::route::Route;
use super::thread::IssuedId;
use super::ticket::{Article, ArticleId, Event, Ticket, TicketId};
pub use bounce::returned as returned_mail;
use file_texts::Content;
pub use heading::Heading;

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
    /// The same if the mail turns out to be a follow-up.
    pub suppression_on_follow_up: Option<Suppression>,
    /// The sign that a program wrote it in answer to a mail, or reports about one: it moves nothing.
    pub automatic: Option<Suppression>,
    /// What a bounce says.
    pub report: Option<Report>,
    /// The article it becomes; `id` and `ticket` are placeholders until `settle`.
    pub article: Article,
    /// Everybody it was addressed to besides us.
    pub addressed: BTreeSet<Address>,
    /// It was addressed to somebody besides this desk and its sender: they know what it quotes.
    pub passed_on: bool,
    /// The account is trusted: the sender's identity counts.
    pub trusted: bool,
    /// By which method our own mail server authenticated the sender's domain, if it did.
    pub authenticated: Option<&'static str>,
    /// Of an agent's mail: why it is not for the customer, if he said so.
    pub internal: Option<String>,
    /// Why it must be quarantined, if it must.
    pub quarantine: Option<String>,
    /// Its files, if it may go on to the customer: see [`Judgement::with_files`].
    pub files: Vec<File>,
    /// What these files are.
    pub contents: Vec<(u32, Content)>,
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
    /// The same as version 0.1 took it; mails are recorded under it, and no more are.
    pub first_content: Option<Digest>,
}

/// Who wrote a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderOfMail {
    /// First From, else Sender, else Reply-To, else the return path.
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
    /// The tickets of the first of the judgement's references that is the Message-ID of a stored
    /// article, the likeliest first. Several mails may have the same one: a mail to two accounts
    /// has, and anybody can write it.
    pub referenced: Vec<Referenced>,
    /// The Message-IDs of ours among the references whose signature is genuine, in their order.
    /// Which mail of ours is answered, to whom it went and what it was for: see
    /// [`super::thread::IssuedId`].
    pub keyed: Vec<Keyed>,
    /// For a bounce: the mail of ours that came back.
    pub bounced: Option<Bounced>,
    /// Automatic answers to this sender so far.
    pub answered: Answered,
    /// Of an agent's mail: Message-IDs of what the customer has of each ticket above, oldest
    /// first. His answer goes on to the customer behind them.
    pub threads: BTreeMap<TicketId, Vec<String>>,
    /// Of an agent's mail: articles of the tickets above and of those that were merged into them,
    /// oldest first, at most [`super::render::ARTICLES_COMPARED_MAX`] of each ticket. What of them
    /// is internal must not go on to the customer.
    pub articles: Vec<Article>,
    /// Users whose notifications must wait, because they got so many.
    pub full_hours: FullHours,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Referenced {
    /// The id that told.
    pub message_id: String,
    /// Its ticket; merged tickets followed to the main one.
    pub ticket: Ticket,
    /// Whether other tickets have the same id, and the article that has it here is not by the
    /// sender of the mail.
    pub contested: bool,
}

/// A Message-ID that this desk issued, with the ticket that it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Keyed {
    /// As the mail has it.
    pub message_id: String,
    /// What it says: the mail of ours, its recipient and what it was for.
    pub id: IssuedId,
    /// The ticket; merged tickets followed to the main one.
    pub ticket: Ticket,
}

/// A mail of ours that a report is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bounced {
    /// The id of ours that the report shows.
    pub issued: Keyed,
    /// Whether it is that of the mail which came back, and not of one that this mail refers to.
    pub is_returned: bool,
    /// To whom the mail with this id was sent, if the outbox still knows.
    pub recipient: Option<Address>,
}

/// Automatic answers so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answered {
    /// To the address of this mail, in the last 24 hours.
    pub day: u32,
    /// To the address of this mail, in the last 3 hours.
    pub three_hours: u32,
    /// Tickets of those to the address of this mail in the last hour, as often as they were
    /// answered. The store looks no further back than some hundred.
    pub tickets: Vec<TicketId>,
    /// Titles of the tickets in which the address of this mail was answered in the last 24 hours,
    /// each ticket once. Not looked up while there are fewer than the bound anyway.
    pub subjects: Vec<String>,
    /// To addresses of the same domain, in the last 3 hours, as far as the store looks back. None
    /// if the mail must not be answered anyway.
    pub neighbours: Vec<Neighbour>,
    /// To anybody, in the last hour, give or take a minute.
    pub desk: u32,
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
    /// Key that told of a repeated delivery: `bytes` or `content`.
    pub duplicate: Option<&'static str>,
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
    /// Users whose bell rings.
    pub bells: Vec<Ring>,
    /// Lines that wait for users' digests, or for the end of a full hour.
    pub digests: Vec<Line>,
}

/// Judges and settles in one go: what `explain`, `test` and the golden tests call.
pub fn decide(
    config: &Config,
    account: &Account,
    mail: &Mail,
    raw: &[u8],
    facts: &Facts,
    now: Timestamp,
) -> Decision {
    settle(config, account, &judge(config, account, mail).with_files(raw), facts, now)
}

/// What the mail alone says.
pub fn judge(config: &Config, account: &Account, mail: &Mail) -> Judgement {
    judge::judge(config, account, mail)
}

/// How each filter looked at a mail, for people who ask why.
pub fn examine(config: &Config, account: &Account, mail: &Mail) -> Vec<Examined> {
    judge::examine(config, account, mail)
}

/// What is to be written, given what the store knows.
///
/// What counts of the account is in the judgement: a mail that is settled later, or under
/// another revision, keeps the trust it was judged with.
pub fn settle(
    config: &Config,
    _account: &Account,
    judgement: &Judgement,
    facts: &Facts,
    now: Timestamp,
) -> Decision {
    settle::settle(config, judgement, facts, now)
}

#[cfg(test)]
pub(crate) use judge::sender_of;

impl Judgement {
    /// Takes the files out of the raw mail if it may go on to the customer: only an agent's mail
    /// does, and nobody else's is worth the memory.
    pub fn with_files(mut self, raw: &[u8]) -> Judgement {
        if self.sender.agent.is_some() && self.is_by_hand() && !self.article.attachments.is_empty()
        {
            self.files = files::take(raw);
            self.contents = file_texts::read(&self.article.attachments, &self.files);
        }
        self
    }

    /// Whether a person wrote it, and not his mailbox or another program: nothing but the sender's
    /// being an agent, or a filter, speaks against an answer.
    pub(crate) fn is_by_hand(&self) -> bool {
        match &self.suppression {
            None | Some(Suppression::Agent | Suppression::Filter) => true,
            Some(_) => false,
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::super::samples::{account, address, config, mail};
    use super::super::thread::{self, Purpose};
    use super::super::ticket::{Actor, ArticleKind, AuthorKind, What};
    use super::*;
    use crate::core::config::{Customers, FollowUpFrom, OnClosed};
    use crate::core::mail::{ReportKind, ReportedRecipient};
    use crate::core::ticket::State;

    const EVE: &str = "From: Eve <eve@cust.example>\nTo: support@corp.example\nSubject: help";
    const MALLORY: &str = "From: mallory@evil.example\nTo: support@corp.example\nSubject: help";
    const ANNA: &str = "From: anna@agents.example\nTo: support@corp.example\nSubject: help";

    fn now() -> Timestamp {
        "2026-11-22T05:00:00Z".parse().unwrap()
    }

    fn no_facts() -> Facts {
        Facts {
            duplicate: None,
            tagged: None,
            body_tagged: None,
            referenced: Vec::new(),
            keyed: Vec::new(),
            bounced: None,
            answered: Answered::default(),
            threads: BTreeMap::new(),
            articles: Vec::new(),
            full_hours: FullHours::default(),
            desk_key: DeskKey([42; 32]),
            next: NextIds {
                ticket: TicketId(7),
                article: ArticleId(70),
                outgoing: OutgoingId(700),
                tickets_today: 3,
            },
        }
    }

    /// A ticket of Eve's.
    fn eves_ticket() -> Ticket {
        let decision = decide(&config(), &account(), &mail(EVE), b"", &no_facts(), now());
        Ticket {
            id: TicketId(1),
            number: "2026112210000013".into(),
            ..decision.effect.unwrap().ticket
        }
    }

    /// An id of ours about this ticket.
    fn issued(ticket: Ticket, to: &str, purpose: Purpose) -> Keyed {
        let key = &no_facts().desk_key;
        let (id, to) = (OutgoingId(5), address(to));
        let message_id = thread::message_id(key, ticket.id, id, &to, purpose, "corp.example");
        Keyed { id: thread::verify(key, &message_id).unwrap(), message_id, ticket }
    }

    /// The mail answers a mail of ours to Eve.
    fn keyed(ticket: Ticket) -> Facts {
        let keyed = vec![issued(ticket, "eve@cust.example", Purpose::Correspondence)];
        Facts { keyed, ..no_facts() }
    }

    fn answers(ticket: Ticket, to: &str, purpose: Purpose) -> Facts {
        Facts { keyed: vec![issued(ticket, to, purpose)], ..no_facts() }
    }

    fn tagged(ticket: Ticket) -> Facts {
        Facts { tagged: Some(ticket), ..no_facts() }
    }

    #[track_caller]
    fn check(headers: &str, facts: &Facts, expected: Outcome) -> Decision {
        check_in(&config(), headers, facts, expected)
    }

    #[track_caller]
    fn check_in(config: &Config, headers: &str, facts: &Facts, expected: Outcome) -> Decision {
        let decision = decide(config, &account(), &mail(headers), b"", facts, now());
        assert_eq!(decision.outcome, expected, "{:?}", decision.why);
        decision
    }

    fn happened(decision: &Decision, wanted: fn(&What) -> bool) -> bool {
        let effect = decision.effect.as_ref().unwrap();
        effect.events.iter().any(|event| wanted(&event.what))
    }

    #[test]
    fn new_ticket() {
        let effect = check(EVE, &no_facts(), Outcome::Created).effect.unwrap();
        let ticket = &effect.ticket;
        assert_eq!(
            (ticket.id, ticket.state, ticket.queue.as_str()),
            (TicketId(7), State::New, "support")
        );
        assert_eq!(ticket.number, thread::number(&config().desk, now(), 3));
        assert_eq!(ticket.customer.as_ref().unwrap().address, address("eve@cust.example"));
        assert!(ticket.participants.contains(&address("eve@cust.example")));
        assert!(!ticket.participants.contains(&address("support@corp.example")));
        assert_eq!(effect.articles[0].id, ArticleId(70));
        assert_eq!(effect.owed[0].id, OutgoingId(700));
    }

    #[test]
    fn order_of_questions() {
        let mut declared = config();
        declared.intake.customers = Customers::Declared;
        let duplicate = Some(Duplicate { key: "bytes", first: "mail 1".into() });
        let facts = Facts { duplicate, ..tagged(eves_ticket()) };
        let decision = decide(&declared, &account(), &mail(EVE), b"", &facts, now());
        assert_eq!(decision.outcome.label(), "quarantined");
        assert_eq!(check(EVE, &facts, Outcome::Duplicate).effect, None);
        check(EVE, &tagged(eves_ticket()), Outcome::FollowUp);
    }

    #[test]
    fn strangers_need_proof() {
        let decision = check(MALLORY, &tagged(eves_ticket()), Outcome::Created);
        assert!(happened(&decision, |what| matches!(what, What::Linked { .. })));
        assert!(decision.effect.as_ref().unwrap().ticket.links.is_empty());
        assert_eq!(decision.linked, None);
        check(MALLORY, &keyed(eves_ticket()), Outcome::FollowUp);
        let mut open = config();
        open.queues.get_mut("support").unwrap().follow_up.from = FollowUpFrom::Anyone;
        check_in(&open, MALLORY, &tagged(eves_ticket()), Outcome::FollowUp);
    }

    #[test]
    fn a_refused_number_leaves_the_other_ways_open() {
        let other = Ticket { id: TicketId(2), number: "other".into(), ..eves_ticket() };
        let facts = Facts { keyed: keyed(other).keyed, ..tagged(eves_ticket()) };
        let effect = check(MALLORY, &facts, Outcome::FollowUp).effect.unwrap();
        assert_eq!(effect.ticket.id, TicketId(2));
    }

    #[test]
    fn names_of_senders_count_for_nothing() {
        let spoofed = "From: \"eve@cust.example\" <mallory@evil.example>\nSubject: x";
        check(spoofed, &tagged(eves_ticket()), Outcome::Created);
        check("Subject: x", &tagged(eves_ticket()), Outcome::Created);
    }

    fn closed(rule: OnClosed) -> (Config, Ticket) {
        let mut config = config();
        config.queues.get_mut("support").unwrap().follow_up.closed = rule;
        let state = State::Closed { successful: true };
        (config, Ticket { state, closed: Some(now()), ..eves_ticket() })
    }

    #[test]
    fn closed_tickets() {
        let (config, ticket) = closed(OnClosed::Reopen);
        let decision = check_in(&config, EVE, &tagged(ticket), Outcome::FollowUp);
        assert_eq!(decision.effect.unwrap().ticket.state, State::Open);
        let (config, ticket) = closed(OnClosed::Reject);
        let decision = check_in(&config, EVE, &tagged(ticket.clone()), Outcome::Rejected);
        let after = decision.effect.unwrap().ticket;
        assert_eq!(Ticket { updated: ticket.updated, ..after }, ticket);
        let (config, ticket) = closed(OnClosed::NewTicket);
        let decision = check_in(&config, EVE, &tagged(ticket), Outcome::Created);
        assert!(decision.effect.unwrap().ticket.links.contains(&TicketId(1)));
        let linked = decision.linked.unwrap();
        assert!(linked.ticket.links.contains(&TicketId(7)) && linked.articles.is_empty());
    }

    #[test]
    fn resolved_and_pending_tickets_open() {
        for state in [State::Resolved, State::Pending, State::Open] {
            let ticket = Ticket { state, pending_until: Some(now()), ..eves_ticket() };
            let effect = check(EVE, &tagged(ticket), Outcome::FollowUp).effect.unwrap();
            assert_eq!(effect.ticket.state, State::Open);
        }
    }

    const ANNAS: &str = "anna@agents.example";

    #[test]
    fn agent_without_proof_counts_as_stranger() {
        let decision = check(ANNA, &tagged(eves_ticket()), Outcome::Created);
        assert!(happened(&decision, |what| matches!(what, What::Linked { .. })));
        let effect = decision.effect.unwrap();
        assert!(effect.events.iter().all(|event| event.actor == Actor::System));
        assert_eq!(effect.articles[0].verified, Some(false));
        let to: Vec<&str> = effect.owed.iter().map(|mail| mail.recipient.as_str()).collect();
        assert_eq!(to, [ANNAS], "the agent alone learns that it was not sent");
    }

    #[track_caller]
    fn check_kept_inside(headers: &str, facts: &Facts) {
        let effect = check(headers, facts, Outcome::FollowUp).effect.unwrap();
        let to: Vec<&str> = effect.owed.iter().map(|mail| mail.recipient.as_str()).collect();
        assert_eq!(to, [ANNAS], "the agent alone learns that it was not sent");
        let article = &effect.articles[0];
        assert!(!article.visible_for_customer && article.author == AuthorKind::Customer);
        assert_eq!(article.verified, Some(false));
        assert!(effect.events.iter().all(|event| event.actor == Actor::System));
        let participants: Vec<&str> =
            effect.ticket.participants.iter().map(Address::as_str).collect();
        assert_eq!(participants, ["eve@cust.example"], "it enrols no one");
    }

    #[test]
    fn only_a_notification_to_the_agent_proves_the_agent() {
        let with_cc = format!("{ANNA}\nCc: mallory@evil.example");
        let facts = |to: &str, purpose| answers(eves_ticket(), to, purpose);
        for headers in [ANNA, &with_cc] {
            check_kept_inside(headers, &facts("eve@cust.example", Purpose::Correspondence));
            check_kept_inside(headers, &facts("eve@cust.example", Purpose::Notification));
            check_kept_inside(headers, &facts("ben@agents.example", Purpose::Notification));
            check_kept_inside(headers, &facts(ANNAS, Purpose::Correspondence));
            check_kept_inside(headers, &facts(ANNAS, Purpose::Information));
            let mut old = facts(ANNAS, Purpose::Notification);
            old.keyed[0].id.purpose = Purpose::Unstated;
            check_kept_inside(headers, &old);
        }
        let proven = facts(ANNAS, Purpose::Notification);
        let effect = check(ANNA, &proven, Outcome::FollowUp).effect.unwrap();
        assert!(effect.events.iter().all(|event| event.actor == Actor::Agent("anna".into())));
        assert_eq!(effect.owed[0].recipient, address("eve@cust.example"));
        assert_eq!(effect.articles[0].verified, Some(true));
        let machine = format!("{ANNA}\nAuto-Submitted: auto-replied");
        let machine = check(&machine, &proven, Outcome::FollowUp).effect.unwrap();
        assert!(!machine.articles[0].visible_for_customer && machine.owed.is_empty());
    }

    #[test]
    fn proof_counts_on_its_own_ticket_only() {
        let other = Ticket { id: TicketId(2), number: "other".into(), ..eves_ticket() };
        let facts = answers(other.clone(), ANNAS, Purpose::Notification);
        let both = Facts { tagged: Some(eves_ticket()), ..facts };
        let effect = check(ANNA, &both, Outcome::FollowUp).effect.unwrap();
        assert_eq!(effect.ticket.id, other.id, "the id comes before the number");
        let eves = issued(eves_ticket(), "eve@cust.example", Purpose::Correspondence);
        let mut mixed = answers(other, ANNAS, Purpose::Notification);
        mixed.keyed.insert(0, eves);
        check_kept_inside(ANNA, &mixed);
    }

    #[test]
    fn proof_expires_after_the_last_change_of_its_ticket() {
        let aged = |days: i64| {
            let updated = now() - jiff::SignedDuration::from_hours(24 * days);
            answers(Ticket { updated, ..eves_ticket() }, ANNAS, Purpose::Notification)
        };
        check(ANNA, &aged(90), Outcome::FollowUp).effect.unwrap().owed.iter().for_each(|mail| {
            assert_eq!(mail.recipient, address("eve@cust.example"));
        });
        check_kept_inside(ANNA, &aged(91));
    }

    #[test]
    fn notification_that_was_passed_on_proves_nothing_afterwards() {
        let shared = format!("{ANNA}\nCc: eve@cust.example");
        let facts = answers(eves_ticket(), ANNAS, Purpose::Notification);
        let effect = check(&shared, &facts, Outcome::FollowUp).effect.unwrap();
        assert_eq!(effect.articles[0].verified, Some(true), "the first one is the agent's");
        check_kept_inside(ANNA, &answers(effect.ticket.clone(), ANNAS, Purpose::Notification));
        let mut root = answers(effect.ticket.clone(), ANNAS, Purpose::Notification);
        root.keyed[0].id.mail = None;
        check_kept_inside(ANNA, &root);
        let mut later = answers(effect.ticket, ANNAS, Purpose::Notification);
        later.keyed[0].id.mail = Some(OutgoingId(6));
        let effect = check(ANNA, &later, Outcome::FollowUp).effect.unwrap();
        assert_eq!(effect.articles[0].verified, Some(true), "a later notification is not known");
        let by_eve = check(EVE, &facts, Outcome::FollowUp).effect.unwrap();
        check_kept_inside(ANNA, &answers(by_eve.ticket, ANNAS, Purpose::Notification));
    }

    #[test]
    fn ids_of_a_former_customer_join_nothing() {
        let mut ticket = eves_ticket();
        let eve = ticket.customer.clone().unwrap();
        ticket.hand_over(crate::core::ticket::Customer {
            address: address("max@cust.example"),
            ..eve
        });
        for headers in [EVE, MALLORY] {
            let decision = check(headers, &keyed(ticket.clone()), Outcome::Created);
            assert!(happened(&decision, |what| matches!(what, What::Linked { .. })));
            check(headers, &tagged(ticket.clone()), Outcome::Created);
        }
        let mut root = keyed(ticket.clone());
        root.keyed[0].id.recipient = None;
        check(MALLORY, &root, Outcome::Created);
        let new = answers(ticket.clone(), "max@cust.example", Purpose::Correspondence);
        check(MALLORY, &new, Outcome::FollowUp);
        ticket.let_take_part(eve_address());
        check(EVE, &keyed(ticket), Outcome::FollowUp);
    }

    fn eve_address() -> Address {
        address("eve@cust.example")
    }

    #[track_caller]
    fn check_enrolled(headers: &str, facts: &Facts, expected: &[&str]) {
        let decision = check(headers, facts, Outcome::FollowUp);
        let participants = decision.effect.unwrap().ticket.participants;
        let participants: Vec<&str> = participants.iter().map(Address::as_str).collect();
        assert_eq!(participants, expected);
    }

    #[test]
    fn unproven_mail_enrols_no_one() {
        let with_cc = format!("{EVE}\nCc: mallory@evil.example\nReply-To: other@evil.example");
        check_enrolled(&with_cc, &tagged(eves_ticket()), &["eve@cust.example"]);
        let ticket = eves_ticket();
        let referenced = vec![Referenced { message_id: "x".into(), ticket, contested: false }];
        let referenced = Facts { referenced, ..no_facts() };
        check_enrolled(&with_cc, &referenced, &["eve@cust.example"]);
        let with_cc = format!("{EVE}\nCc: max@cust.example");
        let proven = ["eve@cust.example", "max@cust.example"];
        check_enrolled(&with_cc, &keyed(eves_ticket()), &proven);
    }

    #[test]
    fn reply_to_counts_only_with_an_id_issued_to_the_customer() {
        let elsewhere = format!("{EVE}\nReply-To: mallory@evil.example");
        let reply_to = |facts: &Facts| {
            let effect = check(&elsewhere, facts, Outcome::FollowUp).effect.unwrap();
            effect.ticket.customer.unwrap().reply_to
        };
        assert_eq!(reply_to(&tagged(eves_ticket())), None);
        let boss = answers(eves_ticket(), "boss@cust.example", Purpose::Correspondence);
        assert_eq!(reply_to(&boss), None);
        assert_eq!(reply_to(&keyed(eves_ticket())), Some(address("mallory@evil.example")));
    }

    #[test]
    fn agents_are_customers_of_their_own_tickets() {
        let decision = decide(&config(), &account(), &mail(ANNA), b"", &no_facts(), now());
        let state = State::Closed { successful: true };
        let own = Ticket { id: TicketId(1), state, ..decision.effect.unwrap().ticket };
        let effect = check(ANNA, &keyed(own), Outcome::FollowUp).effect.unwrap();
        assert_eq!((effect.ticket.state, effect.owed.len()), (State::Open, 0));
        assert!(effect.articles[0].visible_for_customer);
    }

    #[test]
    fn limits_hold_answers_back() {
        let facts = Facts { answered: Answered { day: 40, ..Answered::default() }, ..no_facts() };
        let decision = check(EVE, &facts, Outcome::Created);
        assert_eq!(decision.suppressed, Some(Suppression::PerDay));
        assert!(decision.effect.unwrap().owed.is_empty());
    }

    fn report(recipient: &str) -> Mail {
        let recipients = vec![ReportedRecipient {
            address: Address::parse(recipient),
            kind: ReportKind::Failed,
            status: "5.1.1".into(),
            diagnostic: "no such user".into(),
        }];
        let report = Report {
            kind: ReportKind::Failed,
            addresses: Address::parse(recipient).into_iter().collect(),
            recipients,
            original_message_id: None,
            original_subject: None,
            ids: Vec::new(),
        };
        Mail { report: Some(report), ..mail("From: MAILER-DAEMON@mx.example\nSubject: failed") }
    }

    #[test]
    fn report_marks_the_recipient_of_the_mail_that_came_back() {
        let issued = issued(eves_ticket(), "eve@cust.example", Purpose::Correspondence);
        let bounced = Some(Bounced { issued, is_returned: true, recipient: None });
        let facts = Facts { bounced, ..no_facts() };
        let settle = |mail: &Mail| decide(&config(), &account(), mail, b"", &facts, now());
        for reported in ["eve@cust.example", "forwarded@elsewhere.example"] {
            let decision = settle(&report(reported));
            assert_eq!(decision.outcome, Outcome::Bounce);
            let effect = decision.effect.unwrap();
            let marked: Vec<&Address> = effect.ticket.undeliverable.iter().collect();
            assert_eq!(marked, [&address("eve@cust.example")]);
            assert_eq!(effect.articles[0].kind, ArticleKind::Bounce);
        }
    }

    #[test]
    fn report_without_an_id_of_ours_marks_nobody_and_joins_nothing() {
        let mut config = config();
        for from in [FollowUpFrom::Participants, FollowUpFrom::Anyone] {
            config.queues.get_mut("support").unwrap().follow_up.from = from;
            let facts = tagged(eves_ticket());
            let report = report("eve@cust.example");
            let decision = decide(&config, &account(), &report, b"", &facts, now());
            assert_eq!(decision.outcome, Outcome::Created, "{:?}", decision.why);
            assert!(decision.effect.unwrap().ticket.undeliverable.is_empty());
        }
    }

    #[test]
    fn participants_are_bounded() {
        let many: Vec<String> = (0..5_000).map(|i| format!("c{i}@cust.example")).collect();
        let headers = format!("{EVE}\nCc: {}", many.join(","));
        let effect = check(&headers, &no_facts(), Outcome::Created).effect.unwrap();
        assert!(effect.ticket.participants.len() <= 102);
    }
}
