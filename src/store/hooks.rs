//! Messages that we owe to webhooks: rows, and the lists by how far they are.
//!
//! They are enqueued with the events they tell of, in the same transaction.
//!
//! Architecture invariant: when to try again is said by `core::outgoing`; here it is only kept.

use jiff::Timestamp;
use redb::{ReadableTable, ReadableTableMetadata};

use super::fault::Fault;
use super::outbox::micros;
use super::rows::{HookRow, decode, encode};
use super::tables::View;
use super::transaction::Tx;
use super::{HookCounts, OutboxFilter, Page};
use crate::core::outgoing::Delivery;
use crate::core::ticket::TicketId;
use crate::core::webhook::{HookMessage, OwedHook, OwedHookId};

/// Owed messages looked at for one page of a listing.
const SCAN_HOOKS_MAX: usize = 20_000;

impl Tx<'_> {
    /// Enqueues what webhooks are to be told of a ticket.
    pub(super) fn enqueue_hooks(
        &mut self,
        ticket: u64,
        messages: Vec<HookMessage>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        for message in messages {
            let id = self.counters.hook;
            self.counters.hook += 1;
            let delivery = Delivery::Due { attempts: 0, at: now, last_error: None, doubt: None };
            self.list_hook(id, &message.webhook, &delivery)?;
            let id_of = OwedHookId(id);
            let ticket = TicketId(ticket);
            let hook = OwedHook { id: id_of, ticket, message, created: now, delivery };
            self.tables.hooks.insert(id, encode(&HookRow::from(hook)).as_slice())?;
        }
        Ok(())
    }

    /// Notes how far an owed message is. One that is not stored is passed over: it was cleaned.
    pub(super) fn deliver_hook(&mut self, id: OwedHookId, to: &Delivery) -> Result<(), Fault> {
        let row = self.tables.hooks.get(id.0)?.map(|row| decode::<HookRow>(row.value()));
        let Some(mut row) = row.transpose()? else { return Ok(()) };
        match Delivery::from(row.delivery) {
            Delivery::Due { at, .. } => {
                self.tables.hooks_due.remove((row.webhook.as_str(), micros(at), id.0))?;
            }
            Delivery::Sent { at } => {
                self.tables.hooks_sent.remove((micros(at), id.0))?;
            }
            Delivery::Dead { .. } => {
                self.tables.hooks_dead.remove(id.0)?;
            }
        }
        self.list_hook(id.0, &row.webhook, to)?;
        row.delivery = to.clone().into();
        self.tables.hooks.insert(id.0, encode(&row).as_slice())?;
        Ok(())
    }

    fn list_hook(&mut self, id: u64, webhook: &str, delivery: &Delivery) -> Result<(), Fault> {
        match delivery {
            Delivery::Due { at, .. } => {
                self.hooks_ring = true;
                self.tables.hooks_due.insert((webhook, micros(*at), id), ())?;
            }
            Delivery::Sent { at } => {
                self.tables.hooks_sent.insert((micros(*at), id), ())?;
            }
            Delivery::Dead { .. } => {
                self.tables.hooks_dead.insert(id, ())?;
            }
        }
        Ok(())
    }
}

/// One owed message.
pub(super) fn get(view: &View, id: u64) -> Result<Option<OwedHook>, Fault> {
    let row = view.hooks.get(id)?.map(|row| decode::<HookRow>(row.value())).transpose()?;
    Ok(row.map(|row| row.hook(id)))
}

/// The message that this webhook is to be told first, whether its time has come or not.
pub(super) fn first(view: &View, webhook: &str) -> Result<Option<OwedHook>, Fault> {
    let all = (webhook, i64::MIN, 0)..=(webhook, i64::MAX, u64::MAX);
    match view.hooks_due.range(all)?.next().transpose()? {
        Some((key, _)) => get(view, key.value().2),
        None => Ok(None),
    }
}

/// Names of all webhooks that are owed something.
pub(super) fn creditors(view: &View) -> Result<Vec<String>, Fault> {
    let mut names: Vec<String> = Vec::new();
    let mut next = view.hooks_due.first()?.map(|(key, _)| key.value().0.to_owned());
    while let Some(name) = next {
        let behind = (name.as_str(), i64::MAX, u64::MAX)..;
        let row = view.hooks_due.range(behind)?.next().transpose()?;
        next = row.map(|(key, _)| key.value().0.to_owned());
        names.push(name);
    }
    Ok(names)
}

/// Owed messages, newest first.
pub(super) fn page(
    view: &View,
    filter: OutboxFilter,
    before: Option<u64>,
    limit: usize,
) -> Result<Page<OwedHook>, Fault> {
    let mut items: Vec<OwedHook> = Vec::new();
    let mut last = None;
    for (looked_at, row) in view.hooks.range(..before.unwrap_or(u64::MAX))?.rev().enumerate() {
        if items.len() >= limit || looked_at >= SCAN_HOOKS_MAX {
            return Ok(Page { items, next: last });
        }
        let (id, row) = row?;
        last = Some(id.value());
        let hook = decode::<HookRow>(row.value())?.hook(id.value());
        if super::outbox::wanted(filter, &hook.delivery) {
            items.push(hook);
        }
    }
    Ok(Page { items, next: None })
}

/// How many there are.
pub(super) fn counts(view: &View) -> Result<HookCounts, Fault> {
    Ok(HookCounts {
        due: view.hooks_due.len()?,
        sent: view.hooks_sent.len()?,
        dead: view.hooks_dead.len()?,
    })
}
