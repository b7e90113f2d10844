//! The accounts as the pollers see them: each as it is declared now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::core::plan::Edit;
use crate::run::declared::Declared;

/// One entry per declared account.
#[derive(Default)]
pub struct Accounts(Mutex<BTreeMap<String, Arc<Declared>>>);

impl Accounts {
    /// Makes the entries, which say what was declared before, say what is declared now. Only
    /// pollers whose account changed wake up.
    pub fn update(&self, edit: &Edit<'_>) {
        let mut entries = self.lock();
        for name in edit.accounts.gone() {
            entries.remove(name);
        }
        // Put in together: the tree is packed then.
        let mut fresh = Vec::new();
        for (&name, &account) in &edit.accounts.new {
            match entries.get(name) {
                Some(entry) if entry.now().connection == account.connection => {
                    entry.replace(account.clone());
                }
                // A new connection is a new poller: the old one must not see it.
                Some(_) | None => {
                    fresh.push((name.clone(), Arc::new(Declared::new(account.clone()))));
                }
            }
        }
        entries.append(&mut fresh.into_iter().collect());
    }

    /// What a poller of this account works with; `None` if it is not declared.
    pub fn get(&self, name: &str) -> Option<Arc<Declared>> {
        self.lock().get(name).cloned()
    }

    /// Makes the poller of this account look at once; `false` if none listens.
    pub fn nudge(&self, name: &str) -> bool {
        let entries = self.lock();
        let entry = entries.get(name).filter(|entry| Arc::strong_count(entry) > 1);
        entry.map(|entry| entry.ring()).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Declared>>> {
        self.0.lock().expect("no panic while holding the accounts")
    }
}
