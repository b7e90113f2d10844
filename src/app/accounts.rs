//! The accounts as the pollers see them: each as it is declared now, and a bell to look at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, watch};

use crate::core::config::{Account, Config};
use crate::core::plan;

/// One entry per declared account.
#[derive(Default)]
pub struct Accounts(Mutex<BTreeMap<String, Entry>>);

struct Entry {
    now: watch::Sender<Arc<Account>>,
    nudge: Arc<Notify>,
}

impl Accounts {
    /// Makes the entries, which say what was declared before, say what is declared now. Only
    /// pollers whose account changed wake up.
    pub fn update(&self, before: &Config, config: &Config) {
        let mut entries = self.0.lock().expect("no panic while holding the accounts");
        for name in plan::gone(&before.accounts, &config.accounts) {
            entries.remove(name);
        }
        for (name, account) in plan::without(&config.accounts, &before.accounts) {
            match entries.get(name) {
                Some(entry) if entry.now.borrow().connection == account.connection => {
                    entry.now.send_replace(account.clone());
                }
                // A new connection is a new poller: the old one must not see it.
                Some(_) | None => {
                    let entry =
                        Entry { now: watch::Sender::new(account.clone()), nudge: Arc::default() };
                    entries.insert(name.clone(), entry);
                }
            }
        }
    }

    /// What a poller of this account works with; `None` if it is not declared.
    pub fn subscribe(&self, name: &str) -> Option<(watch::Receiver<Arc<Account>>, Arc<Notify>)> {
        let entries = self.0.lock().expect("no panic while holding the accounts");
        entries.get(name).map(|entry| (entry.now.subscribe(), entry.nudge.clone()))
    }

    /// Makes the poller of this account look at once; `false` if none listens.
    pub fn nudge(&self, name: &str) -> bool {
        let entries = self.0.lock().expect("no panic while holding the accounts");
        let entry = entries.get(name).filter(|entry| entry.now.receiver_count() > 0);
        entry.map(|entry| entry.nudge.notify_one()).is_some()
    }
}
