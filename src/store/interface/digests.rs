//! Lines that wait for a digest.

use std::sync::Arc;

use jiff::Timestamp;

use crate::core::config::Config;
use crate::core::notify::hours::FullHours;
use crate::store::{Store, StoreError, digests, hours};

impl Store {
    /// Users for whom lines of a digest wait, each with the time of the oldest one.
    pub fn digests(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        self.view(digests::waiting)
    }

    /// Owes this user his digest if its time has come; answers whether it had.
    pub async fn send_digest(
        &self,
        config: Arc<Config>,
        who: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let who = who.to_owned();
        self.write(0, 0, move |tx| tx.send_digest(&config, &who, now)).await
    }

    /// Users to whom no more notification mails go in the present hour, or a later one.
    pub fn full_hours(&self, now: Timestamp) -> Result<FullHours, StoreError> {
        self.view(|view| hours::full(view, now))
    }
}
