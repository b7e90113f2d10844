//! What webhooks are owed.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::core::outgoing::Delivery;
use crate::core::webhook::{OwedHook, OwedHookId};
use crate::store::transaction::Tx;
use crate::store::{HookCounts, OutboxFilter, Page, Store, StoreError, hooks};

impl Store {
    /// Rings when messages to webhooks were enqueued or put back.
    pub fn hook_bell(&self) -> Arc<Notify> {
        self.0.shared.hook_bell.clone()
    }

    /// The message that this webhook is to be told first; its time may not have come.
    pub fn first_hook(&self, webhook: &str) -> Result<Option<OwedHook>, StoreError> {
        self.view(|view| hooks::first(view, webhook))
    }

    /// Names of all webhooks that are owed something, also of those no longer declared.
    pub fn hook_creditors(&self) -> Result<Vec<String>, StoreError> {
        self.view(hooks::creditors)
    }

    /// One message to a webhook.
    pub fn owed_hook(&self, id: OwedHookId) -> Result<Option<OwedHook>, StoreError> {
        self.view(|view| hooks::get(view, id.0))
    }

    /// Notes how far messages to webhooks are.
    pub async fn hooks_delivered(
        &self,
        results: Vec<(OwedHookId, Delivery)>,
    ) -> Result<(), StoreError> {
        let deliver = move |tx: &mut Tx<'_>| {
            results.iter().try_for_each(|(id, delivery)| tx.deliver_hook(*id, delivery))
        };
        self.write(0, 0, deliver).await
    }

    /// Messages to webhooks, newest first.
    pub fn hooks(
        &self,
        filter: OutboxFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<OwedHook>, StoreError> {
        self.view(|view| hooks::page(view, filter, before, limit))
    }

    /// How many messages to webhooks there are.
    pub fn hook_counts(&self) -> Result<HookCounts, StoreError> {
        self.view(hooks::counts)
    }
}
