//! Reading the communication log, the quarantine, and the bells.
//!
//! Architecture invariant: it only reads.

use redb::ReadableTableMetadata;

use super::fault::Fault;
use super::rows::{BellRow, MailRow, decode};
use super::tables::View;
use super::{Bell, MailId, MailQuery, MailRecord, Page, tickets};

/// Lines of the log that are looked at for one page.
const LOOKED_AT_MAX: usize = 10_000;

/// One line of the log.
pub(super) fn mail(view: &View, id: u64) -> Result<Option<MailRecord>, Fault> {
    let Some(row) = view.mails.get(id)? else { return Ok(None) };
    record(view, id, row.value()).map(Some)
}

/// The log, newest first.
pub(super) fn mails(
    view: &View,
    query: &MailQuery,
    before: Option<MailId>,
    limit: usize,
) -> Result<Page<MailRecord>, Fault> {
    let mut items: Vec<MailRecord> = Vec::new();
    let (mut looked_at, mut last) = (0, None);
    for row in view.mails.range(..before.map_or(u64::MAX, |before| before.0))?.rev() {
        if items.len() >= limit || looked_at >= LOOKED_AT_MAX {
            return Ok(Page { items, next: last });
        }
        let (id, row) = row?;
        let line = record(view, id.value(), row.value())?;
        (looked_at, last) = (looked_at + 1, Some(id.value()));
        let outcome = query.outcome.as_ref().is_none_or(|it| line.outcome.label() == it);
        let account = query.account.as_ref().is_none_or(|it| line.account == *it);
        if outcome && account {
            items.push(line);
        }
    }
    Ok(Page { items, next: None })
}

/// Quarantined mails that nobody has dealt with, newest first.
pub(super) fn quarantine(
    view: &View,
    before: Option<MailId>,
    limit: usize,
) -> Result<Page<MailRecord>, Fault> {
    let mut items: Vec<MailRecord> = Vec::new();
    for row in view.quarantine.range(..before.map_or(u64::MAX, |before| before.0))?.rev() {
        if items.len() >= limit {
            return Ok(full(items));
        }
        items.extend(mail(view, row?.0.value())?);
    }
    Ok(Page { items, next: None })
}

/// How many mails wait in quarantine.
pub(super) fn quarantined(view: &View) -> Result<u64, Fault> {
    Ok(view.quarantine.len()?)
}

fn full(items: Vec<MailRecord>) -> Page<MailRecord> {
    let next = items.last().map(|last| last.id.0);
    Page { items, next }
}

fn record(view: &View, id: u64, row: &[u8]) -> Result<MailRecord, Fault> {
    let row = decode::<MailRow>(row)?;
    let name = view.account_names.get(row.account)?;
    let name = name.map_or_else(|| format!("#{}", row.account), |name| name.value().to_owned());
    row.record(id, name)
}

/// How many bells a person has not read, counted up to `limit`.
pub(super) fn unread_bells(view: &View, who: &str, limit: usize) -> Result<usize, Fault> {
    let mut unread = 0;
    for row in view.bells.range((who, 0)..=(who, u64::MAX))?.rev() {
        // Read is read from the newest down: below the first one that is read, all are.
        if unread == limit || decode::<BellRow>(row?.1.value())?.read {
            break;
        }
        unread += 1;
    }
    Ok(unread)
}

/// Bells of one person, newest first.
pub(super) fn bells(
    view: &View,
    who: &str,
    before: Option<u64>,
    limit: usize,
) -> Result<Page<Bell>, Fault> {
    let mut items: Vec<Bell> = Vec::new();
    for row in view.bells.range((who, 0)..(who, before.unwrap_or(u64::MAX)))?.rev() {
        if items.len() >= limit {
            let next = items.last().map(|last| last.id);
            return Ok(Page { items, next });
        }
        let (key, row) = row?;
        let row = decode::<BellRow>(row.value())?;
        let ticket = tickets::by_id(&view.tickets, row.ticket)?;
        items.push(Bell {
            id: key.value().1,
            event: row.event,
            ticket: ticket.map(|ticket| ticket.number),
            at: row.at,
            read: row.read,
            role: row.role,
            rule: row.rule,
        });
    }
    Ok(Page { items, next: None })
}
