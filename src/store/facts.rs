//! Gathers what the store knows that bears on one mail.
//!
//! Architecture invariant: it only reads, and it reads everything that `settle` may need before
//! anything of this mail is written.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use redb::ReadableTable;

use super::fault::Fault;
use super::outbox::micros;
use super::rows::{OutgoingRow, decode};
use super::tickets::{articles, by_id, main};
use super::transaction::Tx;
use super::{MailId, Rules};
use crate::core::address::Address;
use crate::core::config::{Config, Dedupe};
use crate::core::header;
use crate::core::intake::{
    Answered, Bounced, Duplicate, Facts, Judgement, Keyed, Keys, NextIds, Referenced, returned_mail,
};
use crate::core::mail::{Digest, REFERENCES_MAX, Report};
use crate::core::render::{ARTICLES_COMPARED_MAX, LETTER_RECIPIENTS_MAX};
use crate::core::reply::alike::Neighbour;
use crate::core::ticket::{Article, ArticleKind, Ticket, TicketId};

/// Automatic answers to one address that are counted; more are as good as these.
const ANSWERS_COUNTED_MAX: u32 = 10_000;
/// Automatic answers to one address of which the ticket is looked up.
const ANSWERS_LOOKED_UP_MAX: usize = 200;
/// Automatic answers to anybody among which those to one domain are looked for.
const NEIGHBOURS_LOOKED_AT_MAX: usize = 3_000;
/// Over which answers to one address are counted.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Over which answers of the desk and of a ticket are counted.
pub(super) const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// What of a mail the facts depend on, apart from its judgement.
pub(super) struct Subject<'a> {
    pub rules: &'a Rules,
    pub config: &'a Config,
    pub account: u32,
    /// The quarantined mail that is released: not a duplicate of itself.
    pub released: Option<MailId>,
    pub now: Timestamp,
}

/// How near an article is to a mail that names its Message-ID; the greater one is likelier meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Standing {
    /// The sender of the mail wrote it.
    own: bool,
    /// It came through the account of the mail.
    here: bool,
}

impl Tx<'_> {
    /// What the store knows that bears on this judgement.
    pub(super) fn facts(
        &self,
        subject: &Subject<'_>,
        judgement: &Judgement,
    ) -> Result<Facts, Fault> {
        let tagged = |number: &Option<String>| {
            number.as_deref().map_or(Ok(None), |number| self.main_by_number(number))
        };
        let (tagged, body_tagged) = (tagged(&judgement.subject_tag)?, tagged(&judgement.body_tag)?);
        let referenced = self.referenced(subject.account, judgement)?;
        let keyed = self.keyed(subject.rules, &judgement.references)?;
        let (threads, articles) = match judgement.sender.agent {
            Some(_) => {
                let found = referenced.iter().map(|found| &found.ticket);
                let found = found.chain(keyed.iter().map(|keyed| &keyed.ticket));
                let named = found.chain(&tagged).chain(&body_tagged).map(|ticket| ticket.id);
                let mut named: BTreeSet<TicketId> = named.collect();
                let threads = self.threads(&named)?;
                named.extend(self.merged_sources(subject.rules, judgement)?);
                (threads, self.compared_articles(&named)?)
            }
            None => (BTreeMap::new(), Vec::new()),
        };
        Ok(Facts {
            duplicate: self.duplicate(subject, &judgement.keys)?,
            tagged,
            body_tagged,
            referenced,
            keyed,
            threads,
            articles,
            bounced: match &judgement.report {
                Some(report) => self.bounced(subject.rules, report)?,
                None => None,
            },
            answered: self.answered(subject.config, judgement, subject.now)?,
            full_hours: self.full_hours(subject.now)?,
            desk_key: self.desk_key.clone(),
            next: NextIds {
                tickets_today: self.tickets_on(&day(subject.config, subject.now))?,
                ..self.next_ids()
            },
        })
    }

    /// Tickets made on a day.
    pub(super) fn tickets_on(&self, day: &str) -> Result<u32, Fault> {
        Ok(self.tables.days.get(day)?.map_or(0, |made| made.value()))
    }

    /// Message-IDs of what customers may see of each of these tickets, oldest first.
    fn threads(
        &self,
        tickets: &BTreeSet<TicketId>,
    ) -> Result<BTreeMap<TicketId, Vec<String>>, Fault> {
        let mut threads = BTreeMap::new();
        for ticket in tickets {
            let mut articles = self.mail_articles(ticket.0)?;
            articles.retain(|article| article.visible_for_customer);
            let ids = articles.into_iter().filter_map(|article| article.message_id);
            let mut ids: Vec<String> = ids.collect();
            ids.drain(..ids.len().saturating_sub(REFERENCES_MAX));
            threads.insert(*ticket, ids);
        }
        Ok(threads)
    }

    /// The tickets that a mail names, as they were before they were merged: their articles stay
    /// with them.
    fn merged_sources(
        &self,
        rules: &Rules,
        judgement: &Judgement,
    ) -> Result<BTreeSet<TicketId>, Fault> {
        let mut tickets = BTreeSet::new();
        for id in &judgement.references {
            let signed = (rules.verify)(&self.desk_key, id).map(|id| id.ticket);
            tickets.extend(signed.into_iter().chain(self.claims(id)?.into_iter().map(TicketId)));
        }
        for number in [&judgement.subject_tag, &judgement.body_tag].into_iter().flatten() {
            tickets.extend(self.by_number(number)?.map(|ticket| ticket.id));
        }
        Ok(tickets)
    }

    /// The newest articles of each of these tickets, oldest first.
    fn compared_articles(&self, tickets: &BTreeSet<TicketId>) -> Result<Vec<Article>, Fault> {
        let mut compared = Vec::new();
        for ticket in tickets {
            let mut found = articles(&self.tables.articles, ticket.0)?;
            found.drain(..found.len().saturating_sub(ARTICLES_COMPARED_MAX));
            compared.append(&mut found);
        }
        Ok(compared)
    }

    fn duplicate(&self, subject: &Subject<'_>, keys: &Keys) -> Result<Option<Duplicate>, Fault> {
        let bytes = first(&self.tables.digests, subject, &keys.bytes.0)?;
        if let Some(mail) = bytes {
            return Ok(Some(Duplicate { key: "bytes", first: self.whereabouts(mail)? }));
        }
        for content in [&keys.content, &keys.first_content].into_iter().flatten() {
            if let Some(mail) = first(&self.tables.contents, subject, &content.0)? {
                return Ok(Some(Duplicate { key: "content", first: self.whereabouts(mail)? }));
            }
        }
        Ok(None)
    }

    /// Where a recorded mail went, in words.
    fn whereabouts(&self, mail: u64) -> Result<String, Fault> {
        let Some(row) = self.mail_row(mail)? else { return Ok(format!("mail {mail}")) };
        let account = self.account_name(row.account)?;
        let ticket = row.ticket.map(|ticket| format!(", ticket {ticket}")).unwrap_or_default();
        Ok(format!("mail {mail} at {} of account {account}{ticket}", row.location))
    }

    /// Present name of an account.
    pub(super) fn account_name(&self, account: u32) -> Result<String, Fault> {
        let name = self.tables.account_names.get(account)?;
        Ok(name.map_or_else(|| format!("#{account}"), |name| name.value().to_owned()))
    }

    fn referenced(&self, account: u32, judgement: &Judgement) -> Result<Vec<Referenced>, Fault> {
        for message_id in &judgement.references {
            let mut found: Vec<(Standing, Ticket)> = Vec::new();
            let claims = self.claims(message_id)?;
            for claim in &claims {
                let Some(ticket) = main(&self.tables.tickets, *claim)? else { continue };
                let standing = match claims.len() {
                    1 => Standing::default(),
                    _ => self.standing(*claim, message_id, account, judgement)?,
                };
                match found.iter_mut().find(|(_, known)| known.id == ticket.id) {
                    Some((known, _)) => *known = (*known).max(standing),
                    None => found.push((standing, ticket)),
                }
            }
            if found.is_empty() {
                continue;
            }
            found.sort_by_key(|(standing, _)| std::cmp::Reverse(*standing));
            let several = found.len() > 1;
            let referenced = found.into_iter().map(|(standing, ticket)| Referenced {
                message_id: message_id.clone(),
                ticket,
                contested: several && !standing.own,
            });
            return Ok(referenced.collect());
        }
        Ok(Vec::new())
    }

    /// How near the articles of a ticket with this Message-ID are to a mail.
    fn standing(
        &self,
        ticket: u64,
        message_id: &str,
        account: u32,
        judgement: &Judgement,
    ) -> Result<Standing, Fault> {
        let sender = judgement.sender.mailbox.address.as_ref();
        let mut best = Standing::default();
        for article in articles(&self.tables.articles, ticket)? {
            if article.message_id.as_deref() != Some(message_id) {
                continue;
            }
            let own = article.kind == ArticleKind::MailIn
                && sender.is_some_and(|sender| header::read(&article.from).first() == Some(sender));
            let here = match &article.raw {
                Some(digest) => self.came_through(ticket, digest, account)?,
                None => false,
            };
            best = best.max(Standing { own, here });
        }
        Ok(best)
    }

    /// Whether a ticket has these bytes from this account.
    fn came_through(&self, ticket: u64, digest: &Digest, account: u32) -> Result<bool, Fault> {
        let mail = self.tables.digests.get((&digest.0, account))?.map(|mail| mail.value());
        let Some(mail) = mail else { return Ok(false) };
        let recorded = self.mail_row(mail)?.and_then(|row| row.ticket);
        let number = by_id(&self.tables.tickets, ticket)?.map(|ticket| ticket.number);
        Ok(number.is_some() && recorded == number)
    }

    fn keyed(&self, rules: &Rules, ids: &[String]) -> Result<Vec<Keyed>, Fault> {
        let mut keyed = Vec::new();
        for message_id in ids {
            let Some(id) = (rules.verify)(&self.desk_key, message_id) else { continue };
            if let Some(ticket) = main(&self.tables.tickets, id.ticket.0)? {
                keyed.push(Keyed { message_id: message_id.clone(), id, ticket });
            }
        }
        Ok(keyed)
    }

    /// The mail of ours that came back. Only its signed id tells: numbers are guessed, and ids of
    /// other mails are known to everybody who got them.
    fn bounced(&self, rules: &Rules, report: &Report) -> Result<Option<Bounced>, Fault> {
        let ids = report.original_message_id.iter().chain(&report.ids);
        let ids: Vec<String> = ids.cloned().collect();
        let keyed = self.keyed(rules, &ids)?;
        let Some(bounced) = returned_mail(&self.desk_key, report, keyed) else { return Ok(None) };
        let recipient = self.recipient_of(&bounced.issued)?;
        Ok(Some(Bounced { recipient, ..bounced }))
    }

    /// Whom the owed mail with this id goes to, as long as it is kept. The rows of a letter to
    /// several recipients stand one behind the other, and the number in their ids is the first one's.
    fn recipient_of(&self, issued: &Keyed) -> Result<Option<Address>, Fault> {
        let Some(first) = issued.id.mail else { return Ok(None) };
        for row in self.tables.outbox.range(first.0..)?.take(LETTER_RECIPIENTS_MAX) {
            let row = decode::<OutgoingRow>(row?.1.value())?;
            if issued.id.is_for(&self.desk_key, &row.recipient) {
                return Ok(Some(row.recipient));
            }
        }
        Ok(None)
    }

    fn answered(
        &self,
        config: &Config,
        judgement: &Judgement,
        now: Timestamp,
    ) -> Result<Answered, Fault> {
        let sender = &judgement.sender;
        let Some(address) = sender.answer_to.as_ref().or(sender.mailbox.address.as_ref()) else {
            return Ok(Answered::default());
        };
        let day = self.answers_since(address, now, DAY)?;
        // Most people are answered less often than that, whatever they write about.
        let many = judgement.suppression.is_none() && day >= config.limits.auto_replies_per_subject;
        Ok(Answered {
            day,
            three_hours: self.answers_since(address, now, SignedDuration::from_hours(3))?,
            tickets: self.answered_tickets(address, now, HOUR)?,
            subjects: if many { self.answered_subjects(address, now)? } else { Vec::new() },
            neighbours: match judgement.suppression {
                None => self.neighbours(address, now)?,
                Some(_) => Vec::new(),
            },
            desk: self.answers_of_the_desk(now)?,
        })
    }

    /// The latest automatic answers to addresses of the same domain.
    fn neighbours(&self, address: &Address, now: Timestamp) -> Result<Vec<Neighbour>, Fault> {
        let (since, until) = around(now, SignedDuration::from_hours(3));
        let times = (micros(since), 0)..=(micros(until), u64::MAX);
        let mut found = Vec::new();
        for row in self.tables.answer_times.range(times)?.rev().take(NEIGHBOURS_LOOKED_AT_MAX) {
            let (key, to) = row?;
            if to.value().rsplit_once('@').is_none_or(|(_, at)| at != address.domain()) {
                continue;
            }
            let Some(other) = Address::parse(to.value()) else { continue };
            // One that was sent and cleaned is older.
            let Some(row) = self.tables.outbox.get(key.value().1)? else { continue };
            let ticket = decode::<OutgoingRow>(row.value())?.ticket;
            let ticket = ticket.map_or(Ok(None), |id| by_id(&self.tables.tickets, id))?;
            let title = ticket.map(|ticket| ticket.title).unwrap_or_default();
            found.push(Neighbour { address: other, title });
            if found.len() == ANSWERS_LOOKED_UP_MAX {
                break;
            }
        }
        Ok(found)
    }

    /// Titles of the tickets in which an address was answered in the last day.
    fn answered_subjects(&self, address: &Address, now: Timestamp) -> Result<Vec<String>, Fault> {
        let tickets: BTreeSet<TicketId> =
            self.answered_tickets(address, now, DAY)?.into_iter().collect();
        let mut titles = Vec::new();
        for ticket in tickets {
            titles.extend(by_id(&self.tables.tickets, ticket.0)?.map(|ticket| ticket.title));
        }
        Ok(titles)
    }

    /// Tickets in which an address was answered lately, the latest answers first.
    fn answered_tickets(
        &self,
        address: &Address,
        now: Timestamp,
        lately: SignedDuration,
    ) -> Result<Vec<TicketId>, Fault> {
        let (since, until) = around(now, lately);
        let keys =
            (address.as_str(), micros(since), 0)..=(address.as_str(), micros(until), u64::MAX);
        let mut tickets = Vec::new();
        for row in self.tables.answers.range(keys)?.rev().take(ANSWERS_LOOKED_UP_MAX) {
            let id = row?.0.value().2;
            // One that was sent and cleaned is older than a day.
            let Some(row) = self.tables.outbox.get(id)? else { continue };
            tickets.extend(decode::<OutgoingRow>(row.value())?.ticket.map(TicketId));
        }
        Ok(tickets)
    }

    /// Automatic answers of the last hour, counted by the minute: sixty rows are read, however
    /// many answers there were.
    fn answers_of_the_desk(&self, now: Timestamp) -> Result<u32, Fault> {
        let (since, until) = around(now, HOUR);
        let mut answers = 0_u32;
        for row in self.tables.answer_minutes.range(minute(since)..=minute(until))? {
            answers = answers.saturating_add(row?.1.value());
        }
        Ok(answers)
    }

    fn answers_since(
        &self,
        address: &Address,
        now: Timestamp,
        window: SignedDuration,
    ) -> Result<u32, Fault> {
        let (since, until) = around(now, window);
        let address = address.as_str();
        let keys = (address, micros(since), 0)..=(address, micros(until), u64::MAX);
        let mut count = 0;
        for row in self.tables.answers.range(keys)? {
            row?;
            count += 1;
            if count == ANSWERS_COUNTED_MAX {
                break;
            }
        }
        Ok(count)
    }
}

/// Between which times something was lately. Also a time that has not come, if it is as near: the
/// clock may have been put right a little. What is further ahead is from a clock that was wrong, and
/// would count until then.
fn around(now: Timestamp, lately: SignedDuration) -> (Timestamp, Timestamp) {
    let since = now.saturating_sub(lately).unwrap_or(Timestamp::MIN);
    (since, now.saturating_add(lately).unwrap_or(Timestamp::MAX))
}

/// The minute of a time, counted from 1970.
pub(super) fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}

/// Today, in the desk's time zone.
pub(super) fn day(config: &Config, now: Timestamp) -> String {
    now.to_zoned(config.desk.time_zone.clone()).date().to_string()
}

/// The mail first recorded under a digest, within the scope that the configuration sets.
fn first(
    table: &impl ReadableTable<(&'static [u8; 32], u32), u64>,
    subject: &Subject<'_>,
    digest: &[u8; 32],
) -> Result<Option<u64>, Fault> {
    let accounts = match subject.config.intake.dedupe {
        Dedupe::Account => subject.account..=subject.account,
        Dedupe::Global => 0..=u32::MAX,
    };
    for row in table.range((digest, *accounts.start())..=(digest, *accounts.end()))? {
        let mail = row?.1.value();
        if subject.released != Some(MailId(mail)) {
            return Ok(Some(mail));
        }
    }
    Ok(None)
}
