//! The index of the search: which tickets have which term, in a database of its own.
//!
//! It lies beside the store and is made from it: the transaction of a mail only notes, in a row of
//! `unindexed`, that there is something to read. A thread of its own reads it a little later and
//! writes terms and watermark in one transaction, so that a crash between the two databases loses
//! nothing. What it has not read yet is looked at one by one by whoever searches. An index that
//! is missing, damaged or of another store is made again.
//!
//! Architecture invariant: nothing here is worth a backup, and nothing here delays a mail.

mod postings;
mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

use super::fault::Fault;
use super::tables::View;
use super::{StoreError, file};
use crate::core::intake::DeskKey;
use crate::core::mail::Digest;
use crate::core::search::{Lookup, add_terms, fold};
use crate::core::ticket::{Article, Ticket};
use crate::faultpoint;
use crate::private;
pub(super) use reader::{Search, next_entry};

/// The index within the store's directory.
const DATABASE: &str = "search.redb";
/// Form of terms and postings that this program writes; another one is made again.
const FORMAT: u64 = 2;
/// Memory that the engine uses for caching. Bytes.
const CACHE_BYTES: usize = 16 << 20;
/// Postings that are read for the beginning of a word; one letter begins too many words.
const PREFIX_ROWS_MAX: usize = 50_000;
/// Entries not read yet that a search looks at, the newest.
const UNREAD_MAX: usize = 2_000;
/// Watermark of a rebuild that came to its end.
const BUILT: u64 = u64::MAX;

/// Tickets of each term, in pieces.
const POSTINGS: TableDefinition<'static, (&str, u32), &[u8]> = TableDefinition::new("postings");
/// Single facts: `format`, `done`, `built`.
const FACTS: TableDefinition<'static, &str, u64> = TableDefinition::new("facts");
/// `store`: which store it was made from.
const NAMES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("names");

/// The opened index.
pub(super) struct Index {
    database: Database,
}

/// How far the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    /// Last entry of `unindexed` that was read.
    pub done: u64,
    /// First ticket that a rebuild has not read; [`BUILT`] at its end.
    pub built: u64,
}

/// Terms to be written, each with its tickets.
pub(super) type Batch = BTreeMap<String, Vec<u64>>;

impl Index {
    /// Opens the index of a store, and begins a new one where there is none that fits. `next` is
    /// the entry that will be written next.
    pub(super) fn open(directory: &Path, key: &DeskKey, next: u64) -> Result<Index, StoreError> {
        let path = path(directory);
        let name = Digest::of(&key.0);
        if path.is_file() {
            match file::open_database(&path) {
                Ok(database) => {
                    let index = Index { database };
                    if index.fits(&name, next).unwrap_or(false) {
                        return Ok(index);
                    }
                }
                Err(StoreError::Failed(text)) => {
                    tracing::warn!(error = text, "the index of the search is made again");
                }
                Err(error) => return Err(error),
            }
            std::fs::remove_file(&path)
                .map_err(Fault::disk(format!("remove {}", path.display())))?;
        }
        Ok(Index::create(&path, &name, next)?)
    }

    fn create(path: &Path, name: &Digest, next: u64) -> Result<Index, Fault> {
        private::create(path).map_err(Fault::disk(format!("make {}", path.display())))?;
        let index = Index { database: builder().create(path)? };
        let transaction = index.database.begin_write()?;
        {
            transaction.open_table(POSTINGS)?;
            transaction.open_table(NAMES)?.insert("store", name.0.as_slice())?;
            let mut facts = transaction.open_table(FACTS)?;
            facts.insert("format", FORMAT)?;
            facts.insert("done", next.saturating_sub(1))?;
            facts.insert("built", 0)?;
        }
        transaction.commit()?;
        Ok(index)
    }

    /// Whether it was made from this store and is not ahead of it, as it would be after the store
    /// was put back to an older state.
    fn fits(&self, name: &Digest, next: u64) -> Result<bool, Fault> {
        let transaction = self.database.begin_read()?;
        let facts = transaction.open_table(FACTS)?;
        let format = facts.get("format")?.map(|format| format.value());
        let names = transaction.open_table(NAMES)?;
        let same = names.get("store")?.is_some_and(|store| store.value() == name.0);
        Ok(format == Some(FORMAT) && same && self.marks()?.done < next)
    }

    /// How far it is.
    pub(super) fn marks(&self) -> Result<Marks, Fault> {
        let facts = self.database.begin_read()?.open_table(FACTS)?;
        let fact = |name| -> Result<u64, Fault> {
            let fact = facts.get(name)?.map(|fact| fact.value());
            fact.ok_or_else(|| Fault::Row(format!("the index does not say {name:?}")))
        };
        Ok(Marks { done: fact("done")?, built: fact("built")? })
    }

    /// Adds terms and says how far the index is now; both or neither.
    pub(super) fn add(&self, batch: Batch, marks: Marks) -> Result<(), Fault> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        write(&transaction, batch, marks)?;
        faultpoint!("search.before_commit");
        transaction.commit()?;
        faultpoint!("search.after_commit");
        Ok(())
    }

    /// Tickets that all of these lookups find, ascending.
    pub(super) fn candidates(&self, lookups: &[Lookup]) -> Result<Vec<u64>, Fault> {
        let transaction = self.database.begin_read()?;
        let mut found: Option<Vec<u64>> = None;
        for lookup in lookups {
            let tickets = look_up(&transaction, lookup)?;
            let both = match found {
                None => tickets,
                Some(found) => common(&found, &tickets),
            };
            if both.is_empty() {
                return Ok(both);
            }
            found = Some(both);
        }
        Ok(found.unwrap_or_default())
    }
}

fn write(transaction: &WriteTransaction, batch: Batch, marks: Marks) -> Result<(), Fault> {
    let mut postings = transaction.open_table(POSTINGS)?;
    for (term, tickets) in batch {
        let last = postings.range((term.as_str(), 0)..=(term.as_str(), u32::MAX))?.next_back();
        let last = last.transpose()?.map(|(key, row)| (key.value().1, row.value().to_vec()));
        let (mut number, mut row) = match last {
            Some((number, row)) if postings::has_room(&row) => (number, row),
            Some((number, _)) => (number + 1, Vec::new()),
            None => (0, Vec::new()),
        };
        for ticket in tickets {
            if !postings::has_room(&row) {
                postings.insert((term.as_str(), number), row.as_slice())?;
                (number, row) = (number + 1, Vec::new());
            }
            postings::push(&mut row, ticket);
        }
        postings.insert((term.as_str(), number), row.as_slice())?;
    }
    let mut facts = transaction.open_table(FACTS)?;
    facts.insert("done", marks.done)?;
    facts.insert("built", marks.built)?;
    Ok(())
}

fn look_up(transaction: &ReadTransaction, lookup: &Lookup) -> Result<Vec<u64>, Fault> {
    let table = transaction.open_table(POSTINGS)?;
    let mut found = Vec::new();
    match lookup {
        Lookup::Exactly(term) => {
            for row in table.range((term.as_str(), 0)..=(term.as_str(), u32::MAX))? {
                postings::read(row?.1.value(), &mut found)?;
            }
        }
        Lookup::Beginning(start) => {
            for row in table.range((start.as_str(), 0)..)?.take(PREFIX_ROWS_MAX) {
                let (key, row) = row?;
                if !key.value().0.starts_with(start.as_str()) {
                    break;
                }
                postings::read(row.value(), &mut found)?;
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// What stands in both; both ascend.
fn common(a: &[u64], b: &[u64]) -> Vec<u64> {
    let (few, mut many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let mut both = Vec::new();
    for ticket in few {
        many = &many[many.partition_point(|other| other < ticket)..];
        both.extend(many.first().filter(|other| *other == ticket));
    }
    both
}

/// Tickets with something that the index has not read; the newest of it.
pub(super) fn unread(view: &View, index: Option<&Index>) -> Result<Vec<u64>, Fault> {
    let done = index.map_or(Ok(0), |index| index.marks().map(|marks| marks.done))?;
    let mut tickets = Vec::new();
    for row in view.unindexed.range(done.saturating_add(1)..)?.rev().take(UNREAD_MAX) {
        tickets.push(row?.1.value().0);
    }
    Ok(tickets)
}

/// Texts of a ticket in which it is found, folded.
pub(super) fn ticket_texts(ticket: &Ticket) -> Vec<String> {
    let mut texts = vec![fold(&ticket.number), fold(&ticket.title)];
    if let Some(customer) = &ticket.customer {
        texts.push(fold(customer.address.as_str()));
        texts.push(fold(&customer.name));
        texts.extend(customer.company.as_deref().map(fold));
    }
    texts
}

/// Texts of an article in which its ticket is found, folded.
pub(super) fn article_texts(article: &Article) -> Vec<String> {
    let mut texts = vec![fold(&article.subject), fold(&article.text), fold(&article.from)];
    texts.extend(article.attachments.iter().map(|attachment| fold(&attachment.name)));
    texts
}

/// Adds what a ticket says of itself to a batch.
fn add_ticket(batch: &mut Batch, ticket: &Ticket) {
    let mut terms = BTreeSet::new();
    ticket_texts(ticket).iter().for_each(|text| add_terms(text, &mut terms));
    add(batch, terms, ticket.id.0);
}

/// Adds what an article says to a batch.
fn add_article(batch: &mut Batch, article: &Article) {
    add(batch, article_terms(article), article.ticket.0);
}

/// The terms by which an article is found.
pub fn article_terms(article: &Article) -> BTreeSet<String> {
    let mut terms = BTreeSet::new();
    article_texts(article).iter().for_each(|text| add_terms(text, &mut terms));
    terms
}

fn add(batch: &mut Batch, terms: BTreeSet<String>, ticket: u64) {
    for term in terms {
        let tickets = batch.entry(term).or_default();
        if tickets.last() != Some(&ticket) {
            tickets.push(ticket);
        }
    }
}

/// What does not hold together: a ticket that the index says it has read and does not find.
pub(super) fn faults(view: &View, index: &Index) -> Result<Vec<String>, Fault> {
    let mut faults = Vec::new();
    if index.marks()?.built != BUILT {
        return Ok(faults);
    }
    let unread: BTreeSet<u64> = unread(view, Some(index))?.into_iter().collect();
    let transaction = index.database.begin_read()?;
    for row in view.numbers.iter()? {
        let (number, id) = row?;
        let (number, id) = (fold(number.value()), id.value());
        let mut terms = BTreeSet::new();
        add_terms(&number, &mut terms);
        for term in terms.into_iter().filter(|_| !unread.contains(&id)) {
            let found = look_up(&transaction, &Lookup::Exactly(term))?;
            if found.binary_search(&id).is_err() {
                faults.push(format!("ticket {number} is not found by the search"));
            }
        }
    }
    Ok(faults)
}

/// Bytes on disk.
pub(super) fn size_bytes(directory: &Path) -> u64 {
    std::fs::metadata(path(directory)).map_or(0, |meta| meta.len())
}

fn path(directory: &Path) -> PathBuf {
    directory.join(DATABASE)
}

fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}
