//! What a complete look at a mailbox has found, as small as it can be kept.

use std::hash::{BuildHasher, RandomState};

use crate::core::mail::Location;

/// Locations of a mailbox as fingerprints under a key that nobody outside knows: eight bytes for
/// each. Two locations with the same one are a chance of one in ten million for a million mails,
/// and then an entry of the ledger is kept that could be forgotten.
#[derive(Debug, Default)]
pub struct Listed {
    key: RandomState,
    prints: Vec<u64>,
    sorted: bool,
}

impl Listed {
    /// Notes a location.
    pub fn add(&mut self, location: &Location) {
        self.prints.push(self.key.hash_one(&location.0));
        self.sorted = false;
    }

    /// To be called before the first question.
    pub(super) fn sort(&mut self) {
        self.prints.sort_unstable();
        self.sorted = true;
    }

    /// Whether this location was noted.
    pub(super) fn contains(&self, location: &str) -> bool {
        debug_assert!(self.sorted, "locations are sorted before they are asked for");
        self.prints.binary_search(&self.key.hash_one(location)).is_ok()
    }
}

impl<'a> FromIterator<&'a Location> for Listed {
    fn from_iter<I: IntoIterator<Item = &'a Location>>(locations: I) -> Listed {
        let mut listed = Listed::default();
        locations.into_iter().for_each(|location| listed.add(location));
        listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_found() {
        let location = |n: u32| Location(format!("INBOX;7;{n}"));
        let locations: Vec<Location> = (0..1_000).rev().map(location).collect();
        let mut listed: Listed = locations.iter().collect();
        listed.sort();
        assert!(locations.iter().all(|location| listed.contains(&location.0)));
        assert!(!listed.contains(&location(1_000).0));
        assert!(!listed.contains(""));
    }
}
