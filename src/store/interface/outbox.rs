//! Mail we owe.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::core::outgoing::{Delivery, Outgoing, OutgoingId};
use crate::store::transaction::Tx;
use crate::store::{OutboxCounts, OutboxFilter, Page, Store, StoreError, outbox};

impl Store {
    /// Rings when mails were enqueued or put back.
    pub fn outbox_bell(&self) -> Arc<Notify> {
        self.0.shared.bell.clone()
    }

    /// Mails whose time has come, in the order of enqueueing.
    pub fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Outgoing>, StoreError> {
        self.view(|view| outbox::due(view, now, limit))
    }

    /// When the next mail comes due after `now`.
    pub fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.view(|view| outbox::next_due(view, now))
    }

    /// One owed mail.
    pub fn owed(&self, id: OutgoingId) -> Result<Option<Outgoing>, StoreError> {
        self.view(|view| outbox::get(view, id.0))
    }

    /// Notes how far these mails are.
    pub async fn delivered(&self, results: Vec<(OutgoingId, Delivery)>) -> Result<(), StoreError> {
        let deliver = move |tx: &mut Tx<'_>| {
            results.iter().try_for_each(|(id, delivery)| tx.deliver(*id, delivery))
        };
        self.write(0, 0, deliver).await
    }

    /// Owed mails, newest first.
    pub fn outbox(
        &self,
        filter: OutboxFilter,
        before: Option<OutgoingId>,
        limit: usize,
    ) -> Result<Page<Outgoing>, StoreError> {
        self.view(|view| outbox::page(view, filter, before, limit))
    }

    /// How full it is.
    pub fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        self.view(outbox::counts)
    }
}
