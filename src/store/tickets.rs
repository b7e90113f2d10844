//! Tickets, their articles and history, with the indexes that belong to them.
//!
//! Architecture invariant: whoever writes a ticket writes it here, so that no index is forgotten.

use std::collections::BTreeSet;

use redb::{ReadableTable, ReadableTableMetadata};

use super::fault::Fault;
use super::outbox::micros;
use super::rows::{ArticleRow, BellRow, EventRow, TicketRow, decode, encode};
use super::tables::View;
use super::transaction::Tx;
use super::{TicketView, customers, places};
use crate::core::config::Config;
use crate::core::intake::Effect;
use crate::core::mail::Digest;
use crate::core::ticket::{Article, ArticleId, ArticleKind, Event, State, Ticket};
use crate::core::webhook;

/// A chain of merged tickets is followed this far.
const MERGE_HOPS_MAX: usize = 32;

/// Tickets that are found by a Message-ID beside the first that had it.
const FURTHER_CLAIMS_MAX: usize = 8;

type TicketRows = &'static [u8];

/// A ticket by identity.
pub(super) fn by_id(
    tickets: &impl ReadableTable<u64, TicketRows>,
    id: u64,
) -> Result<Option<Ticket>, Fault> {
    match tickets.get(id)? {
        Some(row) => decode::<TicketRow>(row.value())?.ticket(id).map(Some),
        None => Ok(None),
    }
}

/// A ticket by identity; merged tickets are followed to the main one.
pub(super) fn main(
    tickets: &impl ReadableTable<u64, TicketRows>,
    id: u64,
) -> Result<Option<Ticket>, Fault> {
    let Some(mut ticket) = by_id(tickets, id)? else { return Ok(None) };
    for _ in 0..MERGE_HOPS_MAX {
        let Some(next) = ticket.merged_into else { break };
        let Some(into) = by_id(tickets, next.0)? else { break };
        ticket = into;
    }
    Ok(Some(ticket))
}

/// Key under which a Message-ID is found: of any length from outside, of fixed length here.
pub(super) fn id_key(message_id: &str) -> [u8; 32] {
    Digest::of(message_id.as_bytes()).0
}

impl Tx<'_> {
    /// A ticket by number; merged tickets are followed to the main one.
    pub(super) fn main_by_number(&self, number: &str) -> Result<Option<Ticket>, Fault> {
        let id = self.tables.numbers.get(number)?.map(|id| id.value());
        id.map_or(Ok(None), |id| main(&self.tables.tickets, id))
    }

    /// A ticket by number, as it is.
    pub(super) fn by_number(&self, number: &str) -> Result<Option<Ticket>, Fault> {
        let id = self.tables.numbers.get(number)?.map(|id| id.value());
        id.map_or(Ok(None), |id| by_id(&self.tables.tickets, id))
    }

    /// Says what about an effect does not fit the identities that it may use. Such an effect is
    /// not written: it would overwrite somebody else's rows.
    pub(super) fn misfit(&self, effect: &Effect) -> Result<Option<String>, Fault> {
        let next = self.next_ids();
        if effect.created != (effect.ticket.id >= next.ticket) {
            return Ok(Some(format!("ticket identity {} does not fit", effect.ticket.id.0)));
        }
        if effect.created && self.tables.numbers.get(effect.ticket.number.as_str())?.is_some() {
            return Ok(Some(format!("ticket number {} is taken", effect.ticket.number)));
        }
        let articles = effect.articles.iter();
        if articles.clone().any(|article| article.id < next.article) {
            return Ok(Some("article identity is taken".to_owned()));
        }
        if articles.clone().any(|article| article.ticket != effect.ticket.id) {
            return Ok(Some("an article belongs to another ticket".to_owned()));
        }
        if effect.owed.iter().any(|mail| mail.id < next.outgoing) {
            return Ok(Some("identity of an owed mail is taken".to_owned()));
        }
        Ok(None)
    }

    /// Writes what an effect says. `day` is today in the desk's time zone.
    pub(super) fn write_effect(
        &mut self,
        config: &Config,
        effect: Effect,
        day: &str,
    ) -> Result<(), Fault> {
        let told = webhook::owed(config, &effect, self.next_event(effect.ticket.id.0)?);
        self.enqueue_hooks(effect.ticket.id.0, told, effect.ticket.updated)?;
        let Effect { ticket, created, articles, events, owed, bells, digests } = effect;
        let id = ticket.id.0;
        if created {
            self.tables.numbers.insert(ticket.number.as_str(), id)?;
            self.counters.ticket = id + 1;
            let made = self.tables.days.get(day)?.map_or(0, |made| made.value());
            self.tables.days.insert(day, made + 1)?;
        }
        let now = ticket.updated;
        let renamed = self.put_ticket(ticket, &articles)?;
        self.append_events(id, events)?;
        if renamed && articles.is_empty() {
            self.note_unindexed(id, 0)?;
        }
        for article in &articles {
            // What an agent sends is rendered here, not spooled: it is kept like a mail that came.
            if let Some(digest) = &article.raw
                && self.tables.raw_places.get(&digest.0)?.is_none()
                && let Some(mail) = owed.iter().find(|mail| Digest::of(&mail.raw) == *digest)
            {
                self.keep_raw(digest, &mail.raw)?;
            }
        }
        for article in articles {
            self.put_article(article)?;
        }
        for mail in owed {
            self.count_notice(config, &mail)?;
            self.enqueue(mail)?;
        }
        for ring in bells {
            let bell = BellRow {
                event: ring.event.label().to_owned(),
                ticket: id,
                at: now,
                read: false,
                role: ring.role,
                rule: ring.rule,
            };
            self.tables
                .bells
                .insert((ring.who.as_str(), self.counters.bell), encode(&bell).as_slice())?;
            self.counters.bell += 1;
        }
        digests.into_iter().try_for_each(|line| self.put_line(line))
    }

    /// Writes a ticket and its indexes; `added` is what was just written in it. Answers whether it
    /// is found by other words than before.
    pub(super) fn put_ticket(&mut self, ticket: Ticket, added: &[Article]) -> Result<bool, Fault> {
        let id = ticket.id.0;
        let before = by_id(&self.tables.tickets, id)?;
        let (was_locked, was_pending) = before.as_ref().map_or((false, None), indexed);
        let (locked, pending) = indexed(&ticket);
        if locked && !was_locked {
            self.tables.locked.insert(id, ())?;
        } else if was_locked && !locked {
            self.tables.locked.remove(id)?;
        }
        if pending != was_pending {
            if let Some(at) = was_pending {
                self.tables.pending.remove((at, id))?;
            }
            if let Some(at) = pending {
                self.tables.pending.insert((at, id), ())?;
            }
        }
        places::replace(&mut self.tables, before.as_ref(), &ticket)?;
        customers::note(&mut self.tables, before.as_ref(), &ticket, added)?;
        let renamed = before.is_none_or(|before| {
            before.title != ticket.title || before.customer != ticket.customer
        });
        self.tables.tickets.insert(id, encode(&TicketRow::from(ticket)).as_slice())?;
        Ok(renamed)
    }

    /// Notes for the search that an article, or with 0 the ticket itself, is to be read.
    fn note_unindexed(&mut self, ticket: u64, article: u64) -> Result<(), Fault> {
        self.tables.unindexed.insert(self.counters.search, (ticket, article))?;
        self.counters.search += 1;
        Ok(())
    }

    fn append_events(&mut self, ticket: u64, events: Vec<Event>) -> Result<(), Fault> {
        let first = self.next_event(ticket)?;
        for (position, event) in (first..).zip(events) {
            let row = encode(&EventRow::from(event));
            self.tables.events.insert((ticket, position), row.as_slice())?;
        }
        Ok(())
    }

    /// Position of the next event in the history of a ticket.
    fn next_event(&self, ticket: u64) -> Result<u64, Fault> {
        let all = (ticket, 0)..=(ticket, u64::MAX);
        let last = self.tables.events.range(all)?.next_back().transpose()?;
        Ok(last.map_or(0, |(key, _)| key.value().1 + 1))
    }

    fn put_article(&mut self, article: Article) -> Result<(), Fault> {
        let key = (article.ticket.0, article.id.0);
        if let Some(message_id) = &article.message_id {
            let hash = id_key(message_id);
            let first = self.tables.message_ids.get(&hash)?.map(|ticket| ticket.value());
            match first {
                None => {
                    self.tables.message_ids.insert(&hash, article.ticket.0)?;
                }
                Some(first) if first != article.ticket.0 => {
                    self.share_id(hash, article.ticket.0)?
                }
                Some(_) => {}
            }
        }
        self.counters.article = self.counters.article.max(key.1 + 1);
        self.note_unindexed(key.0, key.1)?;
        self.tables.articles.insert(key, encode(&ArticleRow::from(article)).as_slice())?;
        Ok(())
    }

    /// Notes one more ticket with a Message-ID. Beyond the bound no other is found by it.
    fn share_id(&mut self, hash: [u8; 32], ticket: u64) -> Result<(), Fault> {
        let claims = self.tables.further_claims.range((&hash, 0)..=(&hash, u64::MAX))?;
        if claims.count() < FURTHER_CLAIMS_MAX {
            self.tables.further_claims.insert((&hash, ticket), ())?;
        }
        Ok(())
    }

    /// The tickets that have a Message-ID, as they are: the first that had it, then the others, then
    /// the one about which we sent it.
    pub(super) fn claims(&self, message_id: &str) -> Result<Vec<u64>, Fault> {
        let hash = id_key(message_id);
        let first = self.tables.message_ids.get(&hash)?.map(|ticket| ticket.value());
        let sent = self.tables.sent_ids.get(&hash)?.map(|ticket| ticket.value());
        let mut claims: Vec<u64> = first.into_iter().collect();
        for row in self.tables.further_claims.range((&hash, 0)..=(&hash, u64::MAX))? {
            claims.push(row?.0.value().1);
        }
        claims.extend(sent);
        let mut known = BTreeSet::new();
        claims.retain(|ticket| known.insert(*ticket));
        Ok(claims)
    }

    /// Articles of a ticket that came or went as mail, oldest first.
    pub(super) fn mail_articles(&self, ticket: u64) -> Result<Vec<Article>, Fault> {
        let mut articles = articles(&self.tables.articles, ticket)?;
        articles.retain(|article| article.kind != ArticleKind::Note);
        Ok(articles)
    }
}

/// Whether the lock index lists a ticket, and under which time the pending index does.
pub(super) fn indexed(ticket: &Ticket) -> (bool, Option<i64>) {
    let waits = ticket.state == State::Pending;
    (ticket.locked_since.is_some(), ticket.pending_until.filter(|_| waits).map(micros))
}

pub(super) fn articles(
    table: &impl ReadableTable<(u64, u64), &'static [u8]>,
    ticket: u64,
) -> Result<Vec<Article>, Fault> {
    let mut articles = Vec::new();
    for row in table.range((ticket, 0)..=(ticket, u64::MAX))? {
        let (key, row) = row?;
        articles.push(decode::<ArticleRow>(row.value())?.article(ticket, key.value().1)?);
    }
    Ok(articles)
}

/// One ticket with everything that belongs to it.
pub(super) fn alone(view: &View, number: &str) -> Result<Option<Ticket>, Fault> {
    let Some(id) = view.numbers.get(number)?.map(|id| id.value()) else { return Ok(None) };
    by_id(&view.tickets, id)
}

pub(super) fn view(view: &View, number: &str) -> Result<Option<TicketView>, Fault> {
    let Some(id) = view.numbers.get(number)?.map(|id| id.value()) else { return Ok(None) };
    let lost = || Fault::Row(format!("ticket {number} is listed but not stored"));
    let ticket = by_id(&view.tickets, id)?.ok_or_else(lost)?;
    let mut events = Vec::new();
    for row in view.events.range((id, 0)..=(id, u64::MAX))? {
        events.push(decode::<EventRow>(row?.1.value())?.event()?);
    }
    Ok(Some(TicketView { ticket, articles: articles(&view.articles, id)?, events }))
}

/// One article, by its identity and its ticket's number.
pub(super) fn article(
    view: &View,
    number: &str,
    article: ArticleId,
) -> Result<Option<Article>, Fault> {
    let Some(ticket) = view.numbers.get(number)?.map(|id| id.value()) else { return Ok(None) };
    match view.articles.get((ticket, article.0))? {
        Some(row) => decode::<ArticleRow>(row.value())?.article(ticket, article.0).map(Some),
        None => Ok(None),
    }
}

/// Tickets that are locked.
pub(super) fn locked(view: &View) -> Result<Vec<Ticket>, Fault> {
    let mut locked = Vec::new();
    for row in view.locked.iter()? {
        locked.extend(by_id(&view.tickets, row?.0.value())?);
    }
    Ok(locked)
}

/// Tickets whose pending time is not after this instant.
pub(super) fn pending_over(view: &View, now: i64) -> Result<Vec<Ticket>, Fault> {
    let mut over = Vec::new();
    for row in view.pending.range(..=(now, u64::MAX))? {
        over.extend(by_id(&view.tickets, row?.0.value().1)?);
    }
    Ok(over)
}

/// How many tickets there are.
pub(super) fn count(view: &View) -> Result<u64, Fault> {
    Ok(view.tickets.len()?)
}
