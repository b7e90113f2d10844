//! Mails, judgements and small rules for tests of the store.
//!
//! The rules here say what becomes of a mail in the plainest way, so that these tests are about
//! keeping and not about deciding.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postroom::core::address::Address;
use postroom::core::config::{
    Account, AfterFetch, Config, Dispatch, Only, Oversize, Poll, Since, Source, Switch,
};
use postroom::core::desk::DeskFacts;
use postroom::core::filter::Settings;
use postroom::core::intake::{
    Decision, DeskKey, Effect, Facts, Judgement, Keys, Outcome, SenderOfMail, Why,
};
use postroom::core::mail::{Digest, Location, Mailbox, Remarks};
use postroom::core::notify::{EventKind, Ring};
use postroom::core::outgoing::{Delivery, Outgoing, OutgoingId, OutgoingKind};
use postroom::core::route::{Route, RoutedBy};
use postroom::core::thread::{IssuedId, Purpose};
use postroom::core::ticket::{
    Actor, Article, ArticleId, ArticleKind, AuthorKind, Command, Event, Priority, Refused, State,
    Ticket, TicketId, What,
};
use postroom::store::{MailId, Recorded, Rules, Spool, Store, StoreError, ToRecord};

/// A mail as the tests write it.
#[derive(Clone)]
pub struct Letter {
    pub account: String,
    pub location: String,
    pub raw: Vec<u8>,
    pub judgement: Judgement,
    pub config: Arc<Config>,
    pub released: Option<MailId>,
    pub now: Timestamp,
}

pub fn rules() -> Rules {
    Rules { settle, act, verify }
}

pub fn open(directory: &std::path::Path) -> Result<Store, StoreError> {
    Store::open_with(directory, rules())
}

/// 2026-11-22 09:00 UTC and so many seconds.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_338_000 + seconds).unwrap()
}

pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub fn location(text: &str) -> Location {
    Location(text.to_owned())
}

/// A mail with this subject; its location and Message-ID follow from it.
pub fn letter(account: &str, subject: &str) -> Letter {
    let raw = format!(
        "Message-ID: <{subject}@cust.test>\r\nFrom: Eve <eve@cust.test>\r\n\
         Subject: {subject}\r\n\r\nThe printer on floor two is on fire again.\r\n"
    );
    Letter {
        account: account.to_owned(),
        location: format!("INBOX/7/{subject}"),
        judgement: judgement(account, subject, raw.as_bytes()),
        raw: raw.into_bytes(),
        config: Arc::new(Config::default()),
        released: None,
        now: at(0),
    }
}

impl Letter {
    /// Fills the mail up to a length.
    pub fn of_bytes(mut self, bytes: usize) -> Letter {
        let mut filler = 0_u32;
        while self.raw.len() < bytes {
            filler = filler.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            self.raw.push(b'a' + (filler >> 24) as u8 % 26);
        }
        self.judgement.keys.bytes = Digest::of(&self.raw);
        self
    }

    pub fn to_spool(&self) -> Spool {
        Spool {
            location: location(&self.location),
            raw: Arc::new(self.raw.clone()),
            headers_only: false,
        }
    }

    pub fn to_record(&self) -> ToRecord {
        ToRecord {
            config: self.config.clone(),
            account: account(&self.account),
            location: location(&self.location),
            digest: self.judgement.keys.bytes,
            judgement: Ok(Box::new(self.judgement.clone())),
            now: self.now,
            released: self.released,
        }
    }

    /// Both commits.
    pub async fn take(&self, store: &Store) -> Recorded {
        store.spool(&self.account, vec![self.to_spool()]).await.unwrap();
        store.record(vec![self.to_record()]).await.unwrap().remove(0)
    }
}

pub fn account(name: &str) -> Arc<Account> {
    Arc::new(Account {
        name: name.to_owned(),
        connection: Source::Maildir { path: PathBuf::from("/nowhere") },
        poll: Poll::Every(Duration::from_secs(600)),
        idle: false,
        only: Only::All,
        since: Since::All,
        max_size_bytes: 1 << 25,
        oversize: Oversize::HeadersOnly,
        after_fetch: AfterFetch::Delete,
        dispatch: Dispatch::Recipient,
        trusted: false,
        state: Switch::Enabled,
    })
}

fn judgement(account: &str, subject: &str, raw: &[u8]) -> Judgement {
    let message_id = format!("{subject}@cust.test");
    Judgement {
        files: Vec::new(),
        contents: Vec::new(),
        account: account.to_owned(),
        keys: Keys {
            bytes: Digest::of(raw),
            content: Some(Digest::of(format!("content of {subject}").as_bytes())),
            first_content: Some(Digest::of(format!("first content of {subject}").as_bytes())),
        },
        message_id: message_id.clone(),
        sender: SenderOfMail {
            mailbox: Mailbox { name: "Eve".into(), address: Some(address("eve@cust.test")) },
            answer_to: Some(address("eve@cust.test")),
            agent: None,
        },
        subject_tag: None,
        body_tag: None,
        references: Vec::new(),
        route: Route { queue: "Raw".into(), by: RoutedBy::LastResort, why: String::new() },
        filters: Vec::new(),
        settings: Settings::default(),
        on_follow_up: Settings::default(),
        suppression: None,
        suppression_on_follow_up: None,
        automatic: None,
        report: None,
        article: Article {
            id: ArticleId(0),
            ticket: TicketId(0),
            kind: ArticleKind::MailIn,
            author: AuthorKind::Customer,
            visible_for_customer: true,
            from: "Eve <eve@cust.test>".into(),
            to: "desk@acme.test".into(),
            cc: String::new(),
            subject: subject.to_owned(),
            text: "The printer on floor two is on fire again.".into(),
            verified: None,
            message_id: Some(message_id),
            references: Vec::new(),
            attachments: Vec::new(),
            headers: Vec::new(),
            remarks: Remarks::default(),
            automatic: false,
            raw: Some(Digest::of(raw)),
            created: at(0),
        },
        addressed: BTreeSet::new(),
        passed_on: false,
        trusted: false,
        authenticated: None,
        internal: None,
        quarantine: None,
        why: vec![Why { step: "queue".into(), text: "Raw".into() }],
    }
}

/// Subjects steer it: `panic …` panics, `answer …` owes an automatic answer.
fn settle(
    config: &Config,
    _account: &Account,
    judgement: &Judgement,
    facts: &Facts,
    now: Timestamp,
) -> Decision {
    let subject = &judgement.article.subject;
    assert!(!subject.starts_with("panic"), "the rule fell over {subject}");
    if let Some(duplicate) = &facts.duplicate {
        return decision(
            Outcome::Duplicate,
            None,
            &format!("{}: {}", duplicate.key, duplicate.first),
        );
    }
    if let Some(reason) = &judgement.quarantine {
        return decision(Outcome::Quarantined { reason: reason.clone() }, None, "");
    }
    let keyed = facts.keyed.first().map(|found| found.ticket.clone());
    let referenced = facts.referenced.first().map(|found| found.ticket.clone());
    let bounced = facts.bounced.as_ref().map(|found| found.issued.ticket.clone());
    let found = bounced.or(keyed).or(facts.tagged.clone()).or(referenced);
    let created = found.is_none();
    let day = now.to_zoned(config.desk.time_zone.clone()).strftime("%Y%m%d").to_string();
    let number = format!("{day}10{:05}", facts.next.tickets_today + 1);
    let mut ticket = found.unwrap_or_else(|| ticket(facts.next.ticket, number, subject, now));
    ticket.updated = now;
    let mut article = judgement.article.clone();
    (article.id, article.ticket) = (facts.next.article, ticket.id);
    article.raw = Some(judgement.keys.bytes);
    let what = if created {
        What::Created
    } else {
        What::FollowedUp { article: article.id, locked: false }
    };
    let answered = &facts.answered;
    let about = answered.subjects.join(", ");
    let why = format!("answered {:?} {about}", (answered.day, answered.three_hours));
    let event = Event { at: now, actor: Actor::System, what, why: why.clone() };
    let mut owed = Vec::new();
    if subject.starts_with("answer") {
        owed.push(outgoing(facts.next.outgoing, ticket.id, now));
    }
    let effect = Effect {
        ticket,
        created,
        articles: vec![article],
        events: vec![event],
        owed,
        bells: vec![Ring {
            who: "alice".into(),
            event: EventKind::TicketCreated,
            role: "queue support".into(),
            rule: "users.alice.subscriptions.events.ticketCreated".into(),
        }],
        digests: Vec::new(),
    };
    let outcome = if created { Outcome::Created } else { Outcome::FollowUp };
    decision(outcome, Some(effect), &why)
}

fn decision(outcome: Outcome, effect: Option<Effect>, why: &str) -> Decision {
    let why = vec![Why { step: "settle".into(), text: why.to_owned() }];
    Decision {
        outcome,
        effect,
        linked: None,
        suppressed: None,
        filters: Vec::new(),
        duplicate: None,
        why,
    }
}

fn ticket(id: TicketId, number: String, title: &str, now: Timestamp) -> Ticket {
    Ticket {
        id,
        number,
        title: title.to_owned(),
        queue: "Raw".into(),
        state: State::New,
        pending_until: None,
        priority: Priority::Normal,
        locked_since: None,
        owner: None,
        responsible: None,
        customer: None,
        participants: BTreeSet::new(),
        watchers: BTreeSet::new(),
        undeliverable: BTreeSet::new(),
        complained: BTreeSet::new(),
        former_customers: BTreeSet::new(),
        spent_proofs: BTreeMap::new(),
        fields: BTreeMap::new(),
        merged_into: None,
        links: BTreeSet::new(),
        created: now,
        updated: now,
        closed: None,
    }
}

fn outgoing(id: OutgoingId, ticket: TicketId, now: Timestamp) -> Outgoing {
    Outgoing {
        id,
        ticket: Some(ticket),
        kind: OutgoingKind::AutoReply { reply: "thanks".into() },
        sender: "default".into(),
        envelope_from: None,
        recipient: address("eve@cust.test"),
        message_id: format!("out-{}@acme.test", id.0),
        raw: b"Subject: We have your mail\r\n\r\nIt burns here, too.\r\n".to_vec(),
        created: now,
        delivery: Delivery::Due { attempts: 0, at: now, last_error: None, doubt: None },
    }
}

fn act(
    _config: &Config,
    facts: &DeskFacts,
    command: &Command,
    actor: &Actor,
    now: Timestamp,
) -> Result<Vec<Effect>, Refused> {
    let mut ticket = facts.ticket.clone();
    let mut articles = Vec::new();
    let what = match command {
        Command::Note { text, .. } => {
            let mut note = judgement("", "note", b"").article;
            (note.id, note.ticket, note.kind) = (facts.next.article, ticket.id, ArticleKind::Note);
            (note.text, note.message_id, note.raw) = (text.clone(), None, None);
            let added = What::ArticleAdded { article: note.id, kind: note.kind };
            articles.push(note);
            added
        }
        Command::SetLock(lock) => {
            ticket.locked_since = lock.then_some(now);
            if *lock { What::Locked } else { What::Unlocked }
        }
        Command::SetState { state, pending_until } => {
            let from = std::mem::replace(&mut ticket.state, *state);
            ticket.pending_until = *pending_until;
            What::State { from, to: *state }
        }
        Command::SetOwner(owner) => {
            let from = std::mem::replace(&mut ticket.owner, owner.clone());
            What::Owner { from, to: owner.clone() }
        }
        Command::MergeInto(number) => {
            let mut other = facts.other.clone().ok_or(Refused::Invalid("no such ticket".into()))?;
            (ticket.state, ticket.merged_into) = (State::Merged, Some(other.id));
            other.links.insert(ticket.id);
            let merged = What::MergedFrom { number: ticket.number.clone() };
            let into = What::MergedInto { number: number.clone() };
            return Ok(vec![
                effect(ticket, Vec::new(), into, actor, now),
                effect(other, Vec::new(), merged, actor, now),
            ]);
        }
        Command::SetTitle(title) if title == "panic" => panic!("the rule fell over a title"),
        _ => return Err(Refused::Invalid("not in this test".into())),
    };
    Ok(vec![effect(ticket, articles, what, actor, now)])
}

fn effect(
    ticket: Ticket,
    articles: Vec<Article>,
    what: What,
    actor: &Actor,
    now: Timestamp,
) -> Effect {
    let events = vec![Event { at: now, actor: actor.clone(), what, why: String::new() }];
    let (owed, bells, digests) = (Vec::new(), Vec::new(), Vec::new());
    Effect { ticket, created: false, articles, events, owed, bells, digests }
}

fn verify(_key: &DeskKey, message_id: &str) -> Option<IssuedId> {
    let ticket = message_id.strip_prefix("key-")?.strip_suffix("@acme.test")?;
    let ticket = TicketId(ticket.parse().ok()?);
    Some(IssuedId { ticket, mail: None, purpose: Purpose::Correspondence, recipient: None })
}
