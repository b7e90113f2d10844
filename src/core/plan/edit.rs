//! Where two configurations differ, found once for all who ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::config::{Account, Config};

/// What runs, what is to run, and their accounts that differ: there are thousands of accounts, and
/// an edit concerns a few.
pub struct Edit<'a> {
    /// What runs.
    pub running: &'a Config,
    /// What is to run.
    pub desired: &'a Config,
    /// The accounts that are not the same in both.
    pub accounts: Differing<'a, String, Arc<Account>>,
}

impl<'a> Edit<'a> {
    /// From what runs to what is to run.
    pub fn of(running: &'a Config, desired: &'a Config) -> Edit<'a> {
        let accounts = Differing::of(&running.accounts, &desired.accounts);
        Edit { running, desired, accounts }
    }
}

/// The objects of two maps that the other one does not hold, or holds otherwise.
pub struct Differing<'a, K, V> {
    /// As they were.
    pub old: BTreeMap<&'a K, &'a V>,
    /// As they are to be.
    pub new: BTreeMap<&'a K, &'a V>,
}

impl<'a, K: Ord, V: PartialEq> Differing<'a, K, V> {
    /// Of these maps, which are read side by side once.
    pub fn of(old: &'a BTreeMap<K, V>, new: &'a BTreeMap<K, V>) -> Differing<'a, K, V> {
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        // Revisions share what an edit did not touch.
        let same = std::ptr::eq(old, new);
        let mut before = old.iter().filter(|_| !same).peekable();
        for (key, object) in new.iter().filter(|_| !same) {
            while let Some(passed) = before.next_if(|(old, _)| *old < key) {
                gone.push(passed);
            }
            match before.next_if(|(old, _)| *old == key) {
                Some((_, known)) if known == object => {}
                known => {
                    gone.extend(known);
                    come.push((key, object));
                }
            }
        }
        gone.extend(before);
        Differing { old: gone.into_iter().collect(), new: come.into_iter().collect() }
    }

    /// Keys that are to be no more.
    pub fn gone(&self) -> impl Iterator<Item = &'a K> {
        self.old.keys().copied().filter(|key| !self.new.contains_key(key))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Map = BTreeMap<u8, u8>;

    fn without<'a>(map: &'a Map, other: &Map) -> BTreeMap<&'a u8, &'a u8> {
        map.iter().filter(|(key, value)| other.get(key) != Some(value)).collect()
    }

    fn any_map() -> impl Strategy<Value = Map> {
        proptest::collection::btree_map(0u8..12, 0u8..3, 0..10)
    }

    proptest! {
        #[test]
        fn each_holds_what_the_other_does_not(old in any_map(), new in any_map()) {
            let differing = Differing::of(&old, &new);
            prop_assert_eq!(&differing.old, &without(&old, &new));
            prop_assert_eq!(&differing.new, &without(&new, &old));
            let gone: Vec<&u8> = old.keys().filter(|key| !new.contains_key(key)).collect();
            prop_assert_eq!(differing.gone().collect::<Vec<_>>(), gone);
        }

        #[test]
        fn nothing_differs_from_itself(map in any_map()) {
            let differing = Differing::of(&map, &map);
            prop_assert!(differing.old.is_empty() && differing.new.is_empty());
            let differing = Differing::of(&map, &map.clone()).old.len();
            prop_assert_eq!(differing, 0);
        }
    }
}
