//! Bells on the page.

use crate::store::{Bell, Page, Store, StoreError, log};

impl Store {
    /// What rang for a person, newest first.
    pub fn bells(
        &self,
        who: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<Bell>, StoreError> {
        self.view(|view| log::bells(view, who, before, limit))
    }

    /// Marks what rang for a person as read, up to this identity.
    pub async fn read_bells(&self, who: &str, up_to: u64) -> Result<(), StoreError> {
        let who = who.to_owned();
        self.write(0, 0, move |tx| tx.read_bells(&who, up_to)).await
    }

    /// How many bells a person has not read, counted up to `limit`.
    pub fn unread_bells(&self, who: &str, limit: usize) -> Result<usize, StoreError> {
        self.view(|view| log::unread_bells(view, who, limit))
    }
}
