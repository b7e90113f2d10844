//! Reads everything and says what does not hold together.
//!
//! Architecture invariant: it only reads, and a damaged row never hides the others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use redb::{ReadableTable, ReadableTableMetadata};

use super::fault::Fault;
use super::raw;
use super::rows::{
    AccountRow, ArticleRow, BellRow, CountersRow, EventRow, HookRow, LedgerRow, LedgerState,
    LineRow, MailRow, OnceRow, OutgoingRow, RevisionRow, Row, SessionRow, decode, digest,
};
use super::tables::View;
use super::tickets::{by_id, indexed};
use super::{customers, places, search};
use crate::core::intake::Outcome;
use crate::core::mail::Digest;
use crate::core::outgoing::Delivery;
use crate::core::ticket::Ticket;

/// Findings reported; a store with more is damaged beyond listing.
const FINDINGS_MAX: usize = 1_000;

/// What was found so far.
struct Findings<'a> {
    view: &'a View,
    texts: Vec<String>,
}

/// Reads everything; empty is good.
pub(super) fn verify(
    store: &Path,
    view: &View,
    index: Option<&search::Index>,
) -> Result<Vec<String>, Fault> {
    let mut findings = Findings { view, texts: Vec::new() };
    let tickets = findings.tickets()?;
    findings.numbers(&tickets)?;
    findings.articles(&tickets)?;
    findings.events(&tickets)?;
    findings.ticket_indexes(&tickets)?;
    places::faults(view)?.into_iter().for_each(|text| findings.add(text));
    customers::faults(view)?.into_iter().for_each(|text| findings.add(text));
    if let Some(index) = index {
        search::faults(view, index)?.into_iter().for_each(|text| findings.add(text));
    }
    findings.raws(store)?;
    findings.accounts()?;
    findings.ledger()?;
    findings.mails()?;
    findings.digests()?;
    findings.message_ids(&tickets)?;
    findings.outbox(&tickets)?;
    findings.small_tables()?;
    Ok(findings.texts)
}

impl Findings<'_> {
    fn add(&mut self, text: String) {
        if self.texts.len() < FINDINGS_MAX {
            self.texts.push(text);
        }
    }

    fn check(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.add(text());
        }
    }

    /// Decodes a row, or notes that it cannot be.
    fn row<R: Row>(&mut self, what: impl FnOnce() -> String, bytes: &[u8]) -> Option<R> {
        self.kept(what, decode::<R>(bytes))
    }

    /// Keeps a value, or notes why there is none.
    fn kept<T>(&mut self, what: impl FnOnce() -> String, value: Result<T, Fault>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(fault) => {
                self.add(format!("{}: {}", what(), super::StoreError::from(fault)));
                None
            }
        }
    }

    fn tickets(&mut self) -> Result<HashMap<u64, String>, Fault> {
        let mut numbers = HashMap::new();
        for row in self.view.tickets.iter()? {
            let (id, _) = row?;
            let id = id.value();
            let ticket = by_id(&self.view.tickets, id);
            let Some(Some(ticket)) = self.kept(|| format!("ticket {id}"), ticket) else { continue };
            numbers.insert(id, ticket.number.clone());
            self.ticket(&ticket)?;
        }
        Ok(numbers)
    }

    fn ticket(&mut self, ticket: &Ticket) -> Result<(), Fault> {
        let (id, number) = (ticket.id.0, &ticket.number);
        let back = self.view.numbers.get(number.as_str())?.map(|back| back.value());
        self.check(back == Some(id), || format!("ticket {number} is not found by its number"));
        for other in ticket.links.iter().chain(&ticket.merged_into) {
            let there = self.view.tickets.get(other.0)?.is_some();
            self.check(there, || format!("ticket {number} leads to {}, which is lost", other.0));
        }
        let (locked, pending) = indexed(ticket);
        let listed = self.view.locked.get(id)?.is_some();
        self.check(locked == listed, || format!("ticket {number} is wrongly listed as locked"));
        if let Some(at) = pending {
            let listed = self.view.pending.get((at, id))?.is_some();
            self.check(listed, || format!("ticket {number} is not listed as pending"));
        }
        Ok(())
    }

    fn numbers(&mut self, tickets: &HashMap<u64, String>) -> Result<(), Fault> {
        for row in self.view.numbers.iter()? {
            let (number, id) = row?;
            let holds = tickets.get(&id.value()).is_some_and(|known| known == number.value());
            self.check(holds, || format!("number {} leads to no ticket", number.value()));
        }
        Ok(())
    }

    fn articles(&mut self, tickets: &HashMap<u64, String>) -> Result<(), Fault> {
        for row in self.view.articles.iter()? {
            let (key, row) = row?;
            let (ticket, id) = key.value();
            let there = tickets.contains_key(&ticket);
            self.check(there, || format!("article {id} belongs to ticket {ticket}, which is lost"));
            let row = self.row::<ArticleRow>(|| format!("article {id}"), row.value());
            let article = row.map(|row| row.article(ticket, id));
            let article =
                article.and_then(|article| self.kept(|| format!("article {id}"), article));
            if let Some(raw) = article.and_then(|article| article.raw) {
                let there = self.view.raw_places.get(&raw.0)?.is_some();
                self.check(there, || format!("raw mail {raw:?} of article {id} is lost"));
            }
        }
        Ok(())
    }

    fn events(&mut self, tickets: &HashMap<u64, String>) -> Result<(), Fault> {
        for row in self.view.events.iter()? {
            let (key, row) = row?;
            let (ticket, position) = key.value();
            let there = tickets.contains_key(&ticket);
            self.check(there, || format!("event {position} of ticket {ticket}, which is lost"));
            let what = || format!("event {position} of ticket {ticket}");
            if let Some(row) = self.row::<EventRow>(what, row.value()) {
                self.kept(|| format!("event {position} of ticket {ticket}"), row.event());
            }
        }
        Ok(())
    }

    fn ticket_indexes(&mut self, tickets: &HashMap<u64, String>) -> Result<(), Fault> {
        for row in self.view.locked.iter()? {
            let id = row?.0.value();
            self.check(tickets.contains_key(&id), || format!("locked ticket {id} is lost"));
        }
        for row in self.view.pending.iter()? {
            let (at, id) = row?.0.value();
            let ticket = by_id(&self.view.tickets, id).ok().flatten();
            let holds = ticket.is_some_and(|ticket| indexed(&ticket).1 == Some(at));
            self.check(holds, || format!("ticket {id} is wrongly listed as pending"));
        }
        Ok(())
    }

    fn raws(&mut self, store: &Path) -> Result<(), Fault> {
        for row in self.view.raw_places.iter()? {
            let (key, _) = row?;
            let digest = Digest(*key.value());
            let bytes = raw::read(store, self.view, &digest);
            let Some(Some(bytes)) = self.kept(|| format!("raw mail {digest:?}"), bytes) else {
                continue;
            };
            let holds = Digest::of(&bytes) == digest;
            self.check(holds, || format!("raw mail {digest:?} has other bytes than were stored"));
        }
        Ok(())
    }

    fn accounts(&mut self) -> Result<(), Fault> {
        for row in self.view.accounts.iter()? {
            let (name, row) = row?;
            let name = name.value();
            let row = self.row::<AccountRow>(|| format!("account {name}"), row.value());
            let Some(row) = row else { continue };
            let back = self.view.account_names.get(row.id)?;
            let holds = back.is_some_and(|back| back.value() == name);
            self.check(holds, || format!("account {name} is not found by its identity"));
        }
        Ok(())
    }

    fn ledger(&mut self) -> Result<(), Fault> {
        for row in self.view.ledger.iter()? {
            let (key, row) = row?;
            let (account, location) = key.value();
            let what = || format!("ledger entry {location} of account {account}");
            let Some(row) = self.row::<LedgerRow>(what, row.value()) else { continue };
            let listed = self.view.spooled.get((account, location))?.is_some();
            let mut waits = false;
            match &row.state {
                LedgerState::LeftAlone => {}
                LedgerState::Spooled { digest: hex, .. } => {
                    waits = true;
                    let Some(digest) = self.kept(what, digest(hex)) else { continue };
                    let there = self.view.raw_places.get(&digest.0)?.is_some();
                    self.check(there, || format!("{}: its raw mail is lost", what()));
                }
                LedgerState::Recorded { mail } | LedgerState::Done { mail } => {
                    let there = self.view.mails.get(*mail)?.is_some();
                    self.check(there, || format!("{}: mail {mail} is lost", what()));
                }
            }
            self.check(listed == waits, || format!("{}: wrongly listed as spooled", what()));
        }
        for row in self.view.spooled.iter()? {
            let (key, _) = row?;
            let (account, location) = key.value();
            let there = self.view.ledger.get((account, location))?.is_some();
            self.check(there, || format!("spooled mail {location} of {account} is lost"));
        }
        Ok(())
    }

    fn mails(&mut self) -> Result<(), Fault> {
        for row in self.view.mails.iter()? {
            let (id, row) = row?;
            let id = id.value();
            let Some(row) = self.row::<MailRow>(|| format!("mail {id}"), row.value()) else {
                continue;
            };
            let named = self.view.account_names.get(row.account)?.is_some();
            self.check(named, || format!("mail {id} came through an account that is lost"));
            if let Some(number) = &row.ticket {
                let there = self.view.numbers.get(number.as_str())?.is_some();
                self.check(there, || format!("mail {id} leads to ticket {number}, which is lost"));
            }
            let bytes = row.bytes;
            let Some(record) = self.kept(|| format!("mail {id}"), row.record(id, String::new()))
            else {
                continue;
            };
            let raw = self.view.raw_places.get(&record.digest.0)?;
            let holds = bytes == raw.map_or(0, |place| place.value().2);
            self.check(holds, || format!("mail {id} has lost its raw mail"));
            let waits = matches!(record.outcome, Outcome::Quarantined { .. });
            let waits = waits && record.resolved.is_none();
            let listed = self.view.quarantine.get(id)?.is_some();
            self.check(waits == listed, || format!("mail {id} is wrongly listed as quarantined"));
        }
        Ok(())
    }

    fn digests(&mut self) -> Result<(), Fault> {
        for table in [&self.view.digests, &self.view.contents] {
            for row in table.iter()? {
                let (_, mail) = row?;
                let mail = mail.value();
                let there = self.view.mails.get(mail)?.is_some();
                self.check(there, || format!("a digest leads to mail {mail}, which is lost"));
            }
        }
        Ok(())
    }

    fn message_ids(&mut self, tickets: &HashMap<u64, String>) -> Result<(), Fault> {
        for table in [&self.view.message_ids, &self.view.sent_ids] {
            for row in table.iter()? {
                self.check_claim(tickets, row?.1.value());
            }
        }
        for row in self.view.further_claims.iter()? {
            self.check_claim(tickets, row?.0.value().1);
        }
        Ok(())
    }

    fn check_claim(&mut self, tickets: &HashMap<u64, String>, id: u64) {
        let there = tickets.contains_key(&id);
        self.check(there, || format!("a Message-ID leads to ticket {id}, which is lost"));
    }

    fn outbox(&mut self, tickets: &HashMap<u64, String>) -> Result<(), Fault> {
        for row in self.view.outbox.iter()? {
            let (id, row) = row?;
            let id = id.value();
            let row = self.row::<OutgoingRow>(|| format!("owed mail {id}"), row.value());
            let Some(row) = row else { continue };
            if let Some(ticket) = row.ticket {
                let there = tickets.contains_key(&ticket);
                self.check(there, || format!("owed mail {id}: ticket {ticket} is lost"));
            }
            let raw = self.view.outbox_raw.get(id)?.is_some();
            self.check(raw, || format!("owed mail {id} has lost its bytes"));
            let listed = self.listed(id, &row.delivery.into())?;
            self.check(listed, || format!("owed mail {id} is not listed as what it is"));
        }
        let waiting = self.view.outbox_waiting.len()?;
        let lists = waiting + self.view.outbox_sent.len()? + self.view.outbox_dead.len()?;
        let all = self.view.outbox.len()?;
        self.check(lists == all, || format!("{all} owed mails are stored but {lists} listed"));
        let due = self.view.outbox_due.len()?;
        self.check(due == waiting, || format!("{waiting} owed mails wait but {due} have a time"));
        Ok(())
    }

    fn listed(&self, id: u64, delivery: &Delivery) -> Result<bool, Fault> {
        let micros = super::outbox::micros;
        Ok(match delivery {
            Delivery::Due { at, .. } => {
                self.view.outbox_due.get((micros(*at), id))?.is_some()
                    && self.view.outbox_waiting.get(id)?.is_some()
            }
            Delivery::Sent { at } => self.view.outbox_sent.get((micros(*at), id))?.is_some(),
            Delivery::Dead { .. } => self.view.outbox_dead.get(id)?.is_some(),
        })
    }

    fn revisions(&mut self) -> Result<(), Fault> {
        let mut named = BTreeSet::new();
        for row in self.view.revisions.iter()? {
            let (id, row) = row?;
            let id = id.value();
            let row = self.row::<RevisionRow>(|| format!("revision {id}"), row.value());
            for (name, hex) in row.map(|row| row.texts).unwrap_or_default() {
                let text = match digest(&hex) {
                    Ok(digest) => self.view.texts.get(&digest.0)?.is_some(),
                    Err(_) => false,
                };
                self.check(text, || format!("revision {id} has lost the text of {name}"));
                named.insert(hex);
            }
        }
        let (kept, named) = (self.view.texts.len()?, named.len() as u64);
        self.check(kept == named, || format!("{kept} texts are stored but revisions name {named}"));
        Ok(())
    }

    fn small_tables(&mut self) -> Result<(), Fault> {
        for row in self.view.bells.iter()? {
            let (key, row) = row?;
            self.row::<BellRow>(|| format!("bell {}", key.value().1), row.value());
        }
        let mut lines: BTreeMap<String, u64> = BTreeMap::new();
        for row in self.view.digest_lines.iter()? {
            let (key, row) = row?;
            let (who, id) = key.value();
            self.row::<LineRow>(|| format!("line {id} of a digest"), row.value());
            *lines.entry(who.to_owned()).or_default() += 1;
        }
        for (who, lines) in lines {
            let count = self.view.digest_counts.get(who.as_str())?.map_or(0, |count| count.value());
            self.check(count >= lines, || {
                format!("{lines} lines wait for the digest of {who} but {count} are counted")
            });
        }
        for row in self.view.hooks.iter()? {
            let (id, row) = row?;
            self.row::<HookRow>(|| format!("owed message {}", id.value()), row.value());
        }
        let listed = self.view.hooks_due.len()? + self.view.hooks_sent.len()?;
        let listed = listed + self.view.hooks_dead.len()?;
        let all = self.view.hooks.len()?;
        self.check(listed == all, || format!("{all} owed messages are stored but {listed} listed"));
        self.revisions()?;
        for row in self.view.once.iter()? {
            self.row::<OnceRow>(|| "answer to a request".to_owned(), row?.1.value());
        }
        for row in self.view.sessions.iter()? {
            self.row::<SessionRow>(|| "session".to_owned(), row?.1.value());
        }
        let counters = match self.view.meta.get("counters")? {
            Some(row) => self.row::<CountersRow>(|| "counters".to_owned(), row.value()),
            None => Some(CountersRow::default()),
        };
        let Some(counters) = counters else { return Ok(()) };
        let last = |last: Option<u64>| last.unwrap_or(0);
        let ticket = last(self.view.tickets.last()?.map(|(id, _)| id.value()));
        self.check(ticket < counters.ticket, || format!("ticket {ticket} would be overwritten"));
        let mail = last(self.view.mails.last()?.map(|(id, _)| id.value()));
        self.check(mail < counters.mail, || format!("mail {mail} would be overwritten"));
        let owed = last(self.view.outbox.last()?.map(|(id, _)| id.value()));
        self.check(owed < counters.outgoing, || format!("owed mail {owed} would be overwritten"));
        Ok(())
    }
}
