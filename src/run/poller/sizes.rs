//! What transfers have taught about the sizes of mails.
//!
//! A server may announce any size (IMAP: Exchange estimates RFC822.SIZE; POP3: LIST is rounded). A
//! mail that turned out to be larger is planned with what is known of it from then on, so that it
//! is transferred twice at most. What is remembered here is lost with the process.

use std::collections::BTreeMap;

use crate::core::mail::Location;
use crate::mailbox::Entry;

/// Mails that are remembered. More are transferred once too often in each session.
const REMEMBERED_MAX: usize = 10_000;

/// Mails whose announced size is too small: what they have at least, or that it is unknown.
#[derive(Debug, Default)]
pub struct Sizes(BTreeMap<Location, Option<u64>>);

impl Sizes {
    /// A mail turned out to be larger; `None`: nobody knows by how much.
    pub fn learn(&mut self, location: &Location, size_bytes: Option<u64>) {
        if self.0.len() < REMEMBERED_MAX || self.0.contains_key(location) {
            self.0.insert(location.clone(), size_bytes);
        }
    }

    /// What is recorded needs no size any more.
    pub fn forget(&mut self, location: &Location) {
        self.0.remove(location);
    }

    /// Puts what is known in place of what is announced.
    pub fn correct(&self, entries: &mut [Entry]) {
        if self.0.is_empty() {
            return;
        }
        for entry in entries {
            if let Some(known) = self.0.get(&entry.location) {
                // A size that is unknown fits to no announced one either.
                entry.size_bytes = known.map(|known| known.max(entry.size_bytes.unwrap_or(0)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(announced: Option<u64>, learned: Option<u64>, expected: Option<u64>) {
        let location = Location("a".into());
        let mut entries = [Entry {
            location: location.clone(),
            handle: 1,
            size_bytes: announced,
            seen: false,
            arrived: None,
        }];
        let mut sizes = Sizes::default();
        sizes.learn(&location, learned);
        sizes.correct(&mut entries);
        assert_eq!(entries[0].size_bytes, expected);
        sizes.forget(&location);
        entries[0].size_bytes = announced;
        sizes.correct(&mut entries);
        assert_eq!(entries[0].size_bytes, announced);
    }

    #[test]
    fn what_is_known_goes_before_what_is_announced() {
        check(Some(10), Some(20), Some(20));
        check(None, Some(20), Some(20));
        check(Some(10), None, None);
    }

    #[test]
    fn a_mail_has_at_least_what_came() {
        check(Some(30), Some(20), Some(30));
    }
}
