//! Mail we owe: rows, their bytes, and the lists by how far they are.
//!
//! Architecture invariant: when to try again is said by `core::outgoing`; here it is only kept.

use jiff::Timestamp;
use redb::{ReadableTable, ReadableTableMetadata};

use super::facts::minute;
use super::fault::Fault;
use super::rows::{OutgoingRow, decode, encode};
use super::tables::View;
use super::tickets::id_key;
use super::transaction::Tx;
use super::{OutboxCounts, OutboxFilter, Page};
use crate::core::outgoing::{Delivery, Outgoing, OutgoingId, OutgoingKind};

/// Waiting mails that are looked at to find the oldest one.
const WAITING_LOOKED_AT_MAX: usize = 1_000;
/// Owed mails whose time has come that are looked at to find the oldest ones.
const DUE_LOOKED_AT_MAX: usize = 100_000;
/// Owed mails looked at for one page of a listing.
const SCAN_OUTBOX_MAX: usize = 20_000;

/// A time as it stands in keys: microseconds since 1970.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

impl Tx<'_> {
    /// Enqueues an owed mail.
    pub(super) fn enqueue(&mut self, mail: Outgoing) -> Result<(), Fault> {
        let id = mail.id.0;
        self.counters.outgoing = self.counters.outgoing.max(id + 1);
        if let Some(ticket) = mail.ticket {
            self.tables.sent_ids.insert(&id_key(&mail.message_id), ticket.0)?;
        }
        if let OutgoingKind::AutoReply { .. } = mail.kind {
            let (at, to) = (micros(mail.created), mail.recipient.as_str());
            self.tables.answers.insert((to, at, id), ())?;
            self.tables.answer_times.insert((at, id), to)?;
            let minute = minute(mail.created);
            let before = self.tables.answer_minutes.get(minute)?.map_or(0, |count| count.value());
            self.tables.answer_minutes.insert(minute, before + 1)?;
        }
        self.list(id, micros(mail.created), &mail.delivery)?;
        let (row, raw) = OutgoingRow::of(mail);
        self.tables.outbox.insert(id, encode(&row).as_slice())?;
        self.tables.outbox_raw.insert(id, raw.as_slice())?;
        Ok(())
    }

    /// Notes how far an owed mail is. One that is not stored is passed over: it was cleaned.
    pub(super) fn deliver(&mut self, id: OutgoingId, delivery: &Delivery) -> Result<(), Fault> {
        let row = self.tables.outbox.get(id.0)?.map(|row| decode::<OutgoingRow>(row.value()));
        let Some(mut row) = row.transpose()? else { return Ok(()) };
        self.unlist(id.0, &row.delivery.into())?;
        self.list(id.0, micros(row.created), delivery)?;
        row.delivery = delivery.clone().into();
        self.tables.outbox.insert(id.0, encode(&row).as_slice())?;
        Ok(())
    }

    fn list(&mut self, id: u64, created: i64, delivery: &Delivery) -> Result<(), Fault> {
        match delivery {
            Delivery::Due { at, .. } => {
                self.rings = true;
                self.tables.outbox_due.insert((micros(*at), id), ())?;
                self.tables.outbox_waiting.insert(id, created)?;
            }
            Delivery::Sent { at } => {
                self.tables.outbox_sent.insert((micros(*at), id), ())?;
            }
            Delivery::Dead { .. } => {
                self.tables.outbox_dead.insert(id, ())?;
            }
        }
        Ok(())
    }

    fn unlist(&mut self, id: u64, delivery: &Delivery) -> Result<(), Fault> {
        match delivery {
            Delivery::Due { at, .. } => {
                self.tables.outbox_due.remove((micros(*at), id))?;
                self.tables.outbox_waiting.remove(id)?;
            }
            Delivery::Sent { at } => {
                self.tables.outbox_sent.remove((micros(*at), id))?;
            }
            Delivery::Dead { .. } => {
                self.tables.outbox_dead.remove(id)?;
            }
        }
        Ok(())
    }
}

/// One owed mail with its bytes.
pub(super) fn get(view: &View, id: u64) -> Result<Option<Outgoing>, Fault> {
    let Some(row) = view.outbox.get(id)? else { return Ok(None) };
    let raw = view.outbox_raw.get(id)?.map(|raw| raw.value().to_vec()).unwrap_or_default();
    Ok(Some(decode::<OutgoingRow>(row.value())?.outgoing(id, raw)))
}

/// Mails whose time has come, in the order of enqueueing.
pub(super) fn due(view: &View, now: Timestamp, limit: usize) -> Result<Vec<Outgoing>, Fault> {
    let mut ids = Vec::new();
    for row in view.outbox_due.range(..=(micros(now), u64::MAX))?.take(DUE_LOOKED_AT_MAX) {
        ids.push(row?.0.value().1);
    }
    ids.sort_unstable();
    ids.truncate(limit);
    let mut mails = Vec::new();
    for id in ids {
        mails.extend(get(view, id)?);
    }
    Ok(mails)
}

/// When the next mail comes due after `now`.
pub(super) fn next_due(view: &View, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
    let Some(row) = view.outbox_due.range((micros(now).saturating_add(1), 0)..)?.next() else {
        return Ok(None);
    };
    let at = row?.0.value().0;
    Timestamp::from_microsecond(at)
        .map(Some)
        .map_err(|error| Fault::Row(format!("stored time {at} is damaged: {error}")))
}

/// Owed mails, newest first.
pub(super) fn page(
    view: &View,
    filter: OutboxFilter,
    before: Option<OutgoingId>,
    limit: usize,
) -> Result<Page<Outgoing>, Fault> {
    let mut items: Vec<Outgoing> = Vec::new();
    let mut last = None;
    let below = before.map_or(u64::MAX, |before| before.0);
    for (looked_at, row) in view.outbox.range(..below)?.rev().enumerate() {
        if items.len() >= limit || looked_at >= SCAN_OUTBOX_MAX {
            return Ok(Page { items, next: last });
        }
        let (id, row) = row?;
        let id = id.value();
        last = Some(id);
        let row = decode::<OutgoingRow>(row.value())?;
        if wanted(filter, &row.delivery.clone().into()) {
            let raw = view.outbox_raw.get(id)?.map(|raw| raw.value().to_vec());
            items.push(row.outgoing(id, raw.unwrap_or_default()));
        }
    }
    Ok(Page { items, next: None })
}

pub(super) fn wanted(filter: OutboxFilter, delivery: &Delivery) -> bool {
    match filter {
        OutboxFilter::All => true,
        OutboxFilter::Due => matches!(delivery, Delivery::Due { .. }),
        OutboxFilter::Sent => matches!(delivery, Delivery::Sent { .. }),
        OutboxFilter::Dead => matches!(delivery, Delivery::Dead { .. }),
    }
}

/// How full it is.
pub(super) fn counts(view: &View) -> Result<OutboxCounts, Fault> {
    // The first one is not always the oldest: one that waits for the end of somebody's quiet hours
    // counts from that end.
    let mut oldest: Option<i64> = None;
    for row in view.outbox_waiting.iter()?.take(WAITING_LOOKED_AT_MAX) {
        let created = row?.1.value();
        oldest = Some(oldest.map_or(created, |oldest| oldest.min(created)));
    }
    Ok(OutboxCounts {
        due: view.outbox_waiting.len()?,
        dead: view.outbox_dead.len()?,
        sent: view.outbox_sent.len()?,
        oldest_due: oldest.and_then(|created| Timestamp::from_microsecond(created).ok()),
    })
}
