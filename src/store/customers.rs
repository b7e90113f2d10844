//! Customers, remembered from their tickets.
//!
//! There is no row of a customer: `cases` has one small row for each of his tickets, beside each
//! other, and what is known of him is read from them. So a ticket costs one row, nothing has to be
//! counted, and a customer whose only ticket becomes somebody else's is forgotten.
//!
//! Architecture invariant: rows are written by `put_ticket` alone, in the transaction of the
//! ticket.

use jiff::Timestamp;
use redb::{ReadableTable, ReadableTableMetadata};

use super::fault::Fault;
use super::outbox::micros;
use super::rows::{CaseRow, decode, encode};
use super::tables::{Tables, View};
use super::tickets::{articles, by_id};
use super::{Page, RememberedCustomer};
use crate::core::address::Address;
use crate::core::search::all_stand_in;
use crate::core::ticket::{Article, ArticleKind, AuthorKind, Customer, Ticket};
use crate::core::{header, language};

/// Rows that are looked at for one page; the next page goes on from there.
const LOOKED_AT_MAX: usize = 20_000;

/// Notes whose case a ticket is, and what he wrote in it.
pub(super) fn note(
    tables: &mut Tables<'_>,
    before: Option<&Ticket>,
    after: &Ticket,
    added: &[Article],
) -> Result<(), Fault> {
    let id = after.id.0;
    let was = before.and_then(|before| before.customer.as_ref());
    let Some(is) = &after.customer else {
        return was.map_or(Ok(()), |was| forget(tables, was, id));
    };
    let stays = was.is_some_and(|was| was.address == is.address);
    let same = was.is_some_and(|was| (&was.name, &was.company) == (&is.name, &is.company));
    let written: Vec<&Article> = added.iter().filter(|one| is_by(one, &is.address)).collect();
    if stays && same && written.is_empty() {
        return Ok(());
    }
    if let Some(was) = was.filter(|_| !stays) {
        forget(tables, was, id)?;
    }
    let key = (is.address.as_str(), id);
    let known = tables.cases.get(key)?.map(|row| decode::<CaseRow>(row.value())).transpose()?;
    let row = known.unwrap_or_default().with(after, is, written);
    tables.cases.insert(key, encode(&row).as_slice())?;
    Ok(())
}

fn forget(tables: &mut Tables<'_>, customer: &Customer, id: u64) -> Result<(), Fault> {
    tables.cases.remove((customer.address.as_str(), id))?;
    Ok(())
}

/// Whether an article is a mail from this address.
fn is_by(article: &Article, customer: &Address) -> bool {
    let by_customer = article.author == AuthorKind::Customer && article.kind == ArticleKind::MailIn;
    by_customer && header::read(&article.from).contains(customer)
}

impl CaseRow {
    /// What is known, with what ticket, customer and these mails of his say.
    fn with(mut self, ticket: &Ticket, customer: &Customer, written: Vec<&Article>) -> CaseRow {
        self.name.clone_from(&customer.name);
        self.company.clone_from(&customer.company);
        self.made = micros(ticket.created);
        for article in written {
            self.wrote = self.wrote.max(Some(micros(article.created)));
            self.language = language::of_article(article).map(Into::into).or(self.language);
        }
        self
    }
}

/// Makes the row of a ticket that was written before there were any.
pub(super) fn remember(tables: &mut Tables<'_>, ticket: &Ticket) -> Result<(), Fault> {
    let articles = articles(&tables.articles, ticket.id.0)?;
    note(tables, None, ticket, &articles)
}

/// Tickets of a customer, ascending.
pub(super) fn tickets(view: &View, customer: &Address) -> Result<Vec<u64>, Fault> {
    let all = (customer.as_str(), 0)..=(customer.as_str(), u64::MAX);
    view.cases.range(all)?.map(|row| Ok(row?.0.value().1)).collect()
}

/// One customer.
pub(super) fn one(view: &View, address: &Address) -> Result<Option<RememberedCustomer>, Fault> {
    let all = (address.as_str(), 0)..=(address.as_str(), u64::MAX);
    let mut found = None;
    for row in view.cases.range(all)? {
        let (_, row) = row?;
        take_in(&mut found, address, decode(row.value())?);
    }
    Ok(found)
}

/// Customers in the order of their addresses whose address, name or company holds these words.
pub(super) fn list(
    view: &View,
    words: &[String],
    after: Option<&str>,
    limit: usize,
) -> Result<Page<RememberedCustomer, String>, Fault> {
    let mut items: Vec<RememberedCustomer> = Vec::new();
    let mut current: Option<RememberedCustomer> = None;
    let from = (after.unwrap_or_default(), if after.is_some() { u64::MAX } else { 0 });
    for (looked_at, row) in view.cases.range(from..)?.enumerate() {
        let (key, row) = row?;
        let (text, _) = key.value();
        if current.as_ref().is_some_and(|current| current.address.as_str() != text) {
            let ended = current.take();
            let last = ended.as_ref().map(|ended| ended.address.to_string());
            items.extend(ended.filter(|ended| ended.is_found_by(words)));
            if items.len() >= limit || looked_at >= LOOKED_AT_MAX {
                return Ok(Page { items, next: last });
            }
        }
        // An address that cannot be read is `store verify`'s to report.
        if let Some(address) = Address::parse(text) {
            take_in(&mut current, &address, decode(row.value())?);
        }
    }
    items.extend(current.filter(|last| last.is_found_by(words)));
    Ok(Page { items, next: None })
}

/// Rows come in the order of tickets: a later one knows the customer better.
fn take_in(known: &mut Option<RememberedCustomer>, address: &Address, row: CaseRow) {
    let at = |micros| Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    let made = at(row.made);
    let known = known.get_or_insert_with(|| RememberedCustomer {
        address: address.clone(),
        name: String::new(),
        company: None,
        language: None,
        first: made,
        last: made,
        tickets: 0,
    });
    if !row.name.is_empty() {
        known.name = row.name;
    }
    known.company = row.company.or(known.company.take());
    known.language = row.language.map(Into::into).or(known.language);
    known.first = known.first.min(made);
    known.last = known.last.max(row.wrote.map_or(made, at));
    known.tickets += 1;
}

impl RememberedCustomer {
    /// Whether each of these words, folded, stands in address, name or company.
    fn is_found_by(&self, words: &[String]) -> bool {
        let texts = [self.address.as_str(), &self.name, self.company.as_deref().unwrap_or("")];
        all_stand_in(words, texts)
    }
}

/// What does not hold together: every ticket with a customer is his case, and nothing else is.
pub(super) fn faults(view: &View) -> Result<Vec<String>, Fault> {
    let mut faults = Vec::new();
    for row in view.cases.iter()? {
        let (key, row) = row?;
        let (address, id) = key.value();
        decode::<CaseRow>(row.value())?;
        // A ticket that cannot be read is reported as such elsewhere.
        let Ok(ticket) = by_id(&view.tickets, id) else { continue };
        let customer = ticket.and_then(|ticket| ticket.customer);
        if customer.is_none_or(|customer| customer.address.as_str() != address) {
            faults.push(format!("ticket {id} is a case of somebody whose it is not"));
        }
    }
    let mut with_customer = 0;
    for row in view.tickets.iter()? {
        let (_, row) = row?;
        let ticket = decode::<super::rows::TicketRow>(row.value());
        with_customer += u64::from(ticket.is_ok_and(|ticket| ticket.customer.is_some()));
    }
    let cases = view.cases.len()?;
    if cases != with_customer {
        faults.push(format!("{with_customer} tickets have a customer but {cases} are listed"));
    }
    Ok(faults)
}
