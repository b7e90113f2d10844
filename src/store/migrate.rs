//! Brings a database written by an older version to the present one, in one transaction.
//!
//! Architecture invariant: a step only ever reads what its version wrote. A database of a newer
//! version is not touched.

use std::collections::BTreeSet;
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::StoreError;
use super::fault::Fault;
use super::outbox::micros;
use super::rows::{EventRow, OutgoingRow, TicketRow, decode, encode};
use super::tables::Tables;
use super::tickets::by_id;
use super::{customers, places};
use crate::core::outgoing::Delivery;
use crate::core::ticket::{Event, Ticket, What};

/// Version of the tables that this program writes.
///
/// 1: the first. 2: `outbox_waiting`, `outbox_sent` and `outbox_dead` list owed mails by how far
/// they are, so that counting them does not read them. 3: `sessions`, empty at first. 4: `places`
/// and `place_counts` say where tickets lie, so that lists and counts do not read them. 5: `hooks`
/// and its lists, empty at first. 6: `texts` holds the files of revisions; revisions written before
/// hold theirs themselves. 7: `once`, empty at first. 8: `digest_lines`, empty at first. 9:
/// `answer_minutes`, of which nothing is known of the hour before. 10: `cases` lists the tickets of
/// each customer. 11: `once` also holds answers that are not about one ticket. 12: `digest_counts`
/// counts the lines of each user; `notice_hours` and `full_hours`, empty at first. 13: tickets know
/// their former customers. 14: `further_claims`, empty at first.
pub(super) const SCHEMA_VERSION: u32 = 14;

/// Tickets between two lines of the log that say how far a step is.
const PROGRESS_EVERY: u64 = 50_000;

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// Brings the database to [`SCHEMA_VERSION`].
pub(super) fn migrate(database: &Database, path: &Path) -> Result<(), StoreError> {
    let found = version(database)?.ok_or_else(|| {
        StoreError::Failed(format!("{} is not a database of Postroom", path.display()))
    })?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::Newer { found, known: SCHEMA_VERSION });
    }
    if found < SCHEMA_VERSION {
        carry_out(database, found)?;
    }
    Ok(())
}

fn version(database: &Database) -> Result<Option<u32>, Fault> {
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. }) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let version = meta.get("schema")?.and_then(|row| row.value().try_into().ok());
    Ok(version.map(u32::from_be_bytes))
}

fn carry_out(database: &Database, found: u32) -> Result<(), Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    {
        let mut tables = Tables::open(&transaction)?;
        if found < 2 {
            list_owed_mails(&mut tables)?;
        }
        if found < 4 {
            of_each_ticket(
                &mut tables,
                "the lists of tickets are being made",
                |tables, ticket| places::replace(tables, None, ticket),
            )?;
        }
        if found < 10 {
            of_each_ticket(&mut tables, "customers are being remembered", customers::remember)?;
        }
        if found < 12 {
            count_lines(&mut tables)?;
        }
        if found < 13 {
            of_each_ticket(&mut tables, "former customers are being noted", note_former)?;
        }
        tables.meta.insert("schema", SCHEMA_VERSION.to_be_bytes().as_slice())?;
    }
    transaction.commit()?;
    Ok(())
}

/// 1 to 2.
fn list_owed_mails(tables: &mut Tables<'_>) -> Result<(), Fault> {
    for row in tables.outbox.iter()? {
        let (id, row) = row?;
        let (id, row) = (id.value(), decode::<OutgoingRow>(row.value())?);
        match Delivery::from(row.delivery) {
            Delivery::Due { .. } => {
                tables.outbox_waiting.insert(id, micros(row.created))?;
            }
            Delivery::Sent { at } => {
                tables.outbox_sent.insert((micros(at), id), ())?;
            }
            Delivery::Dead { .. } => {
                tables.outbox_dead.insert(id, ())?;
            }
        }
    }
    Ok(())
}

/// 12 to 13: what was issued to somebody whose case it ceased to be joins nothing.
fn note_former(tables: &mut Tables<'_>, ticket: &Ticket) -> Result<(), Fault> {
    let mut former = BTreeSet::new();
    for row in tables.events.range((ticket.id.0, 0)..=(ticket.id.0, u64::MAX))? {
        // One that cannot be read is left to `store verify`.
        let event = decode::<EventRow>(row?.1.value()).and_then(EventRow::event);
        if let Ok(Event { what: What::Customer { from: Some(from), .. }, .. }) = event {
            former.insert(from);
        }
    }
    let customer = ticket.customer.as_ref().map(|customer| &customer.address);
    former.retain(|address| Some(address) != customer);
    if former.is_empty() {
        return Ok(());
    }
    let mut ticket = ticket.clone();
    ticket.participants.retain(|address| !former.contains(address));
    ticket.former_customers = former;
    let id = ticket.id.0;
    tables.tickets.insert(id, encode(&TicketRow::from(ticket)).as_slice())?;
    Ok(())
}

/// 11 to 12.
fn count_lines(tables: &mut Tables<'_>) -> Result<(), Fault> {
    for row in tables.digest_lines.iter()? {
        let key = row?.0;
        let who = key.value().0;
        let before = tables.digest_counts.get(who)?.map_or(0, |count| count.value());
        tables.digest_counts.insert(who, before + 1)?;
    }
    Ok(())
}

/// Writes what belongs to each ticket. The index of the search makes itself.
fn of_each_ticket(
    tables: &mut Tables<'_>,
    doing: &str,
    write: impl Fn(&mut Tables<'_>, &Ticket) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut next = 0;
    let mut done = 0_u64;
    loop {
        let row = tables.tickets.range(next..)?.next().transpose()?;
        let Some(id) = row.map(|(id, _)| id.value()) else { return Ok(()) };
        // A ticket that cannot be read is left to `store verify`; it must not keep the others away.
        if let Ok(Some(ticket)) = by_id(&tables.tickets, id) {
            write(tables, &ticket)?;
        }
        done += 1;
        if done.is_multiple_of(PROGRESS_EVERY) {
            tracing::info!(tickets = done, "{doing}");
        }
        next = id + 1;
    }
}
