//! Looks many keys up in a map, from the first to the last.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;

/// A map in which keys are looked up in ascending order: each costs a step or two instead of a
/// search, which counts where two maps of ten thousand are compared.
pub struct Ascending<'a, K, V>(RefCell<Peekable<btree_map::Iter<'a, K, V>>>);

impl<'a, K: Ord, V> Ascending<'a, K, V> {
    /// Of this map.
    pub fn of(map: &'a BTreeMap<K, V>) -> Ascending<'a, K, V> {
        Ascending(RefCell::new(map.iter().peekable()))
    }

    /// The value of a key. A key that is less than one asked for before is not found.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&'a V>
    where
        K: Borrow<Q>,
    {
        let mut rest = self.0.borrow_mut();
        while rest.next_if(|(next, _)| (*next).borrow() < key).is_some() {}
        rest.peek().filter(|(next, _)| (*next).borrow() == key).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(keys: &[u8], asked: &[u8], expected: &[u8]) {
        let map: BTreeMap<u8, u8> = keys.iter().map(|key| (*key, *key)).collect();
        let ascending = Ascending::of(&map);
        let found: Vec<u8> = asked.iter().filter_map(|key| ascending.get(key)).copied().collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn finds_what_is_there() {
        check(&[1, 3, 5], &[0, 1, 2, 3, 4, 5, 6], &[1, 3, 5]);
        check(&[1, 3, 5], &[5], &[5]);
        check(&[], &[1], &[]);
    }

    #[test]
    fn finds_the_same_key_twice() {
        check(&[1, 3], &[3, 3], &[3, 3]);
    }

    #[test]
    fn never_goes_back() {
        check(&[1, 3], &[3, 1], &[3]);
    }
}
