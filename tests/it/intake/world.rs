//! A tiny desk in memory that answers the questions of `intake::Facts` as a store must.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use postroom::core::address::Address;
use postroom::core::config::{Config, Dedupe};
use postroom::core::desk::{self, DeskFacts};
use postroom::core::header;
use postroom::core::intake::{
    self, Answered, Bounced, Decision, DeskKey, Duplicate, Effect, Facts, Judgement, Keyed, Keys,
    NextIds, Referenced, returned_mail,
};
use postroom::core::mail::{self, Report};
use postroom::core::notify::hours::{FullHours, Hour, is_full};
use postroom::core::outgoing::{Outgoing, OutgoingId, OutgoingKind};
use postroom::core::reply::alike::Neighbour;
use postroom::core::thread;
use postroom::core::ticket::{
    Actor, Article, ArticleId, ArticleKind, Command, Refused, Ticket, TicketId,
};

use super::sent;

/// The desk.
pub struct World {
    tickets: BTreeMap<TicketId, Ticket>,
    articles: Vec<Article>,
    owed: Vec<Outgoing>,
    ledger: Vec<Entry>,
    next: NextIds,
    key: DeskKey,
    now: Timestamp,
}

struct Entry {
    account: String,
    keys: Keys,
    first: String,
}

impl World {
    /// Nothing has happened yet; it is five in the morning.
    pub fn new() -> World {
        World {
            tickets: BTreeMap::new(),
            articles: Vec::new(),
            owed: Vec::new(),
            ledger: Vec::new(),
            next: NextIds {
                ticket: TicketId(1),
                article: ArticleId(1),
                outgoing: OutgoingId(1),
                tickets_today: 0,
            },
            key: DeskKey([42; 32]),
            now: "2026-11-22T05:00:00Z".parse().expect("a timestamp"),
        }
    }

    /// Lets time pass.
    pub fn later(&mut self, span: SignedDuration) {
        self.now += span;
    }

    /// A mail arrives in an account.
    pub fn receive(&mut self, config: &Config, account: &str, raw: &[u8]) -> Decision {
        self.later(SignedDuration::from_secs(60));
        let account = config.accounts.get(account).expect("the account is declared");
        mail::scan(raw).expect("the mail can be parsed");
        let mail = mail::parse(raw);
        let judgement = intake::judge(config, account, &mail).with_files(raw);
        let facts = self.facts(config, &judgement);
        let decision = intake::settle(config, account, &judgement, &facts, self.now);
        assert_eq!(
            decision,
            intake::decide(config, account, &mail, raw, &facts, self.now),
            "decide is judge and settle, and both are pure"
        );
        for effect in decision.effect.iter().chain(&decision.linked) {
            self.write(config, effect);
        }
        let first = format!("mail {}", self.ledger.len() + 1);
        self.ledger.push(Entry { account: account.name.clone(), keys: judgement.keys, first });
        decision
    }

    /// What would become of a mail, without letting it.
    pub fn would(&self, config: &Config, account: &str, raw: &[u8]) -> Decision {
        let account = config.accounts.get(account).expect("the account is declared");
        let judgement = intake::judge(config, account, &mail::parse(raw)).with_files(raw);
        let facts = self.facts(config, &judgement);
        intake::settle(config, account, &judgement, &facts, self.now)
    }

    /// Somebody does something to a ticket.
    pub fn act(
        &mut self,
        config: &Config,
        ticket: u64,
        command: &Command,
        actor: &Actor,
    ) -> Result<Vec<Effect>, Refused> {
        self.later(SignedDuration::from_secs(60));
        let id = TicketId(ticket);
        let ticket = self.tickets.get(&id).expect("the ticket exists").clone();
        let other = match command {
            Command::MergeInto(number) => self.with_number(number),
            _ => None,
        };
        let articles = self.articles.iter().filter(|article| article.ticket == id);
        let articles = articles.filter(|article| article.message_id.is_some()).cloned().collect();
        let (desk_key, next) = (self.key.clone(), self.next(config));
        let full_hours = self.full_hours(config);
        let facts = DeskFacts { ticket, articles, other, full_hours, desk_key, next };
        let effects = desk::act(config, &facts, command, actor, self.now)?;
        for effect in &effects {
            self.write(config, effect);
        }
        Ok(effects)
    }

    /// Number of the nth ticket.
    pub fn number(&self, ticket: u64) -> String {
        self.tickets.get(&TicketId(ticket)).expect("the ticket exists").number.clone()
    }

    /// All tickets in the order of making.
    pub fn tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.tickets.values()
    }

    /// Message-ID of the last mail about a ticket to somebody outside, or of the last notification.
    pub fn sent(&self, ticket: u64, notification: bool) -> Option<String> {
        let about = self.owed.iter().rev().filter(|mail| mail.ticket == Some(TicketId(ticket)));
        let mut wanted = about.filter(|mail| match mail.kind {
            OutgoingKind::AutoReply { .. } | OutgoingKind::Reply => !notification,
            OutgoingKind::Notification { .. } => notification,
        });
        wanted.next().map(|mail| mail.message_id.clone())
    }

    /// All articles, in the order of writing.
    pub fn articles(&self) -> &[Article] {
        &self.articles
    }

    /// The key of this desk's Message-IDs.
    pub fn key(&self) -> &DeskKey {
        &self.key
    }

    /// All mails owed so far, in order.
    pub fn owed(&self) -> &[Outgoing] {
        &self.owed
    }

    /// A Message-ID of ours by the ticket it belongs to; a ticket's own id is its root.
    pub fn known_id(&self, id: &str) -> Option<String> {
        let issued = thread::verify(&self.key, id)?;
        let what = if issued.mail.is_none() { "root of" } else { "ours about" };
        Some(format!("<{what} t{}>", issued.ticket.0))
    }

    fn facts(&self, config: &Config, judgement: &Judgement) -> Facts {
        let by_tag = |tag: &Option<String>| self.with_number(tag.as_ref()?);
        Facts {
            duplicate: self.duplicate(config, judgement),
            tagged: by_tag(&judgement.subject_tag),
            body_tagged: by_tag(&judgement.body_tag),
            referenced: {
                let found = judgement.references.iter().map(|id| self.referenced(id, judgement));
                found.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
            },
            keyed: judgement.references.iter().filter_map(|id| self.keyed(id)).collect(),
            bounced: judgement.report.as_ref().and_then(|report| self.bounced(report)),
            answered: self.answered(judgement.sender.answer_to.as_ref()),
            threads: judgement.sender.agent.iter().flat_map(|_| self.threads()).collect(),
            articles: judgement.sender.agent.iter().flat_map(|_| self.articles.clone()).collect(),
            full_hours: self.full_hours(config),
            desk_key: self.key.clone(),
            next: self.next(config),
        }
    }

    fn full_hours(&self, config: &Config) -> FullHours {
        let mut hours: BTreeMap<(Hour, String), u32> = BTreeMap::new();
        for mail in &self.owed {
            let OutgoingKind::Notification { who, .. } = &mail.kind else { continue };
            if config.users.contains_key(who) {
                *hours.entry((Hour::of(mail.created), who.clone())).or_default() += 1;
            }
        }
        let present = Hour::of(self.now);
        hours.retain(|(hour, _), mails| *hour >= present && is_full(&config.limits, *mails));
        FullHours(hours)
    }

    fn threads(&self) -> BTreeMap<TicketId, Vec<String>> {
        let shown = self.articles.iter().filter(|article| article.visible_for_customer);
        let mut threads: BTreeMap<TicketId, Vec<String>> = BTreeMap::new();
        for article in shown {
            threads.entry(article.ticket).or_default().extend(article.message_id.clone());
        }
        threads
    }

    fn duplicate(&self, config: &Config, judgement: &Judgement) -> Option<Duplicate> {
        let mut seen = self.ledger.iter().filter(|entry| match config.intake.dedupe {
            Dedupe::Account => entry.account == judgement.account,
            Dedupe::Global => true,
        });
        let keys = &judgement.keys;
        seen.find_map(|entry| {
            let content = entry.keys.content.is_some() && entry.keys.content == keys.content;
            let key = if entry.keys.bytes == keys.bytes { "bytes" } else { "content" };
            let same = key == "bytes" || content;
            same.then(|| Duplicate { key, first: entry.first.clone() })
        })
    }

    fn with_number(&self, number: &String) -> Option<Ticket> {
        self.tickets
            .values()
            .find(|ticket| ticket.number == *number)
            .map(|ticket| self.main(ticket))
    }

    /// This model knows of no account through which an article came.
    fn referenced(&self, id: &str, judgement: &Judgement) -> Vec<Referenced> {
        let with_id = |article: &&Article| article.message_id.as_deref() == Some(id);
        let sender = judgement.sender.mailbox.address.as_ref();
        let mut found: Vec<Referenced> = Vec::new();
        for article in self.articles.iter().filter(with_id) {
            let Some(ticket) = self.tickets.get(&article.ticket) else { continue };
            let ticket = self.main(ticket);
            let own = article.kind == ArticleKind::MailIn
                && header::read(&article.from).first() == sender
                && sender.is_some();
            match found.iter_mut().find(|known| known.ticket.id == ticket.id) {
                Some(known) => known.contested &= !own,
                None => found.push(Referenced { message_id: id.into(), ticket, contested: !own }),
            }
        }
        found.sort_by_key(|referenced| referenced.contested);
        if let [only] = found.as_mut_slice() {
            only.contested = false;
        }
        found
    }

    fn keyed(&self, message_id: &str) -> Option<Keyed> {
        let id = thread::verify(&self.key, message_id)?;
        let ticket = self.main(self.tickets.get(&id.ticket)?);
        Some(Keyed { message_id: message_id.into(), id, ticket })
    }

    fn bounced(&self, report: &Report) -> Option<Bounced> {
        let ids = report.original_message_id.iter().chain(&report.ids);
        let keyed = ids.filter_map(|id| self.keyed(id)).collect();
        let bounced = returned_mail(&self.key, report, keyed)?;
        let id = &bounced.issued.id;
        let sent = self.owed.iter().filter(|mail| Some(mail.id) >= id.mail);
        let mut to = sent.map(|mail| &mail.recipient).filter(|to| id.is_for(&self.key, to));
        let recipient = id.mail.and_then(|_| to.next().cloned());
        Some(Bounced { recipient, ..bounced })
    }

    fn main(&self, ticket: &Ticket) -> Ticket {
        match ticket.merged_into.and_then(|id| self.tickets.get(&id)) {
            Some(main) => self.main(main),
            None => ticket.clone(),
        }
    }

    fn answered(&self, address: Option<&Address>) -> Answered {
        let is_answer = |mail: &&Outgoing| matches!(mail.kind, OutgoingKind::AutoReply { .. });
        let to = |mail: &&Outgoing| is_answer(mail) && Some(&mail.recipient) == address;
        let within = |hours: i64| {
            let since = self.now - SignedDuration::from_hours(hours);
            let recent = self.owed.iter().filter(to).filter(|mail| mail.created > since);
            u32::try_from(recent.count()).expect("few")
        };
        let hour = self.now - SignedDuration::from_hours(1);
        let latest = |mail: &&Outgoing| mail.created > hour;
        let tickets = self.owed.iter().filter(to).filter(latest).filter_map(|mail| mail.ticket);
        let today = |mail: &&Outgoing| mail.created > self.now - SignedDuration::from_hours(24);
        let of_day = self.owed.iter().filter(to).filter(today).filter_map(|mail| mail.ticket);
        let of_day: BTreeSet<TicketId> = of_day.collect();
        let subjects = of_day.iter().map(|ticket| self.tickets[ticket].title.clone()).collect();
        let since = self.now - SignedDuration::from_hours(3);
        let recent = self.owed.iter().filter(is_answer).filter(|mail| mail.created > since);
        let near =
            recent.filter(|mail| address.is_some_and(|to| to.domain() == mail.recipient.domain()));
        let neighbours = near.map(|mail| Neighbour {
            address: mail.recipient.clone(),
            title: mail.ticket.map_or(String::new(), |id| self.tickets[&id].title.clone()),
        });
        let neighbours = neighbours.collect();
        let desk = self.owed.iter().filter(is_answer).filter(latest).count();
        let desk = u32::try_from(desk).expect("few");
        Answered {
            day: within(24),
            three_hours: within(3),
            tickets: tickets.collect(),
            subjects,
            neighbours,
            desk,
        }
    }

    fn next(&self, config: &Config) -> NextIds {
        let day = |at: Timestamp| at.to_zoned(config.desk.time_zone.clone()).date();
        let today = self.tickets.values().filter(|ticket| day(ticket.created) == day(self.now));
        NextIds { tickets_today: u32::try_from(today.count()).expect("few"), ..self.next }
    }

    fn write(&mut self, config: &Config, effect: &Effect) {
        let known = self.tickets.contains_key(&effect.ticket.id);
        assert_eq!(known, !effect.created, "only a new ticket is created");
        assert!(config.queues.contains_key(&effect.ticket.queue), "queue {}", effect.ticket.queue);
        let same = |ticket: &&Ticket| ticket.number == effect.ticket.number;
        assert!(self.tickets.values().filter(same).count() <= usize::from(known), "unique number");
        for article in &effect.articles {
            assert_eq!(article.ticket, effect.ticket.id, "an article belongs to its ticket");
            assert!(article.id >= self.next.article, "article ids are counted up");
            self.next.article = ArticleId(article.id.0 + 1);
        }
        for mail in &effect.owed {
            assert!(mail.id >= self.next.outgoing, "ids of owed mails are counted up");
            sent::check(mail);
            self.next.outgoing = OutgoingId(mail.id.0 + 1);
        }
        self.next.ticket = self.next.ticket.max(TicketId(effect.ticket.id.0 + 1));
        self.tickets.insert(effect.ticket.id, effect.ticket.clone());
        self.articles.extend(effect.articles.iter().cloned());
        self.owed.extend(effect.owed.iter().cloned());
    }
}
