//! An account as it is declared now, and the bell that wakes its poller.
//!
//! Kept small: there may be ten thousand.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use tokio::sync::Notify;

use crate::core::config::Account;

/// Shared by one poller and whoever tells it something.
#[derive(Debug)]
pub struct Declared {
    account: Mutex<Arc<Account>>,
    bell: Notify,
}

impl Declared {
    /// An account whose poller has not begun.
    pub fn new(account: Arc<Account>) -> Declared {
        Declared { account: Mutex::new(account), bell: Notify::new() }
    }

    /// As it is declared now.
    pub fn now(&self) -> Arc<Account> {
        self.account.lock().expect("no panic while holding an account").clone()
    }

    /// It is declared otherwise from now on; rings.
    pub fn replace(&self, account: Arc<Account>) {
        *self.account.lock().expect("no panic while holding an account") = account;
        self.ring();
    }

    /// Makes the poller look at once, or again when it is done with what it does.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits for the bell, which may have rung already since the last turn began. Only the poller
    /// may wait.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// A turn begins, which answers whatever rang until now.
    pub fn begin(&self) -> Arc<Account> {
        // First the bell: what is declared between the two rings for the next turn.
        let _ = self.bell.notified().now_or_never();
        self.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples;

    fn declared() -> Declared {
        Declared::new(account())
    }

    fn account() -> Arc<Account> {
        Arc::new(samples::account())
    }

    fn has_rung(declared: &Declared) -> bool {
        declared.rung().now_or_never().is_some()
    }

    #[test]
    fn it_rings_once_for_what_came_before_the_wait() {
        let declared = declared();
        assert!(!has_rung(&declared));
        declared.ring();
        declared.ring();
        assert!(has_rung(&declared));
        assert!(!has_rung(&declared));
    }

    #[test]
    fn a_turn_answers_what_rang_before_it_and_nothing_later() {
        let declared = declared();
        let another = account();
        declared.replace(another.clone());
        assert!(Arc::ptr_eq(&declared.begin(), &another));
        assert!(Arc::ptr_eq(&declared.now(), &another));
        assert!(!has_rung(&declared));
        declared.ring();
        assert!(has_rung(&declared));
    }
}
