//! States that came back from the provider: each counts once.
//!
//! An entry leaves when its attempt has expired, and never earlier: an attempt whose entry made room
//! for another one could be shown again. So a full set refuses.
//!
//! Architecture invariant: it lives in memory. After a restart a state of the last ten minutes could
//! be shown again, with a code that the provider takes once (RFC 6749 section 4.1.2), and by nobody
//! but the browser that holds its cookie.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// States remembered at a time: about 166 returns a second for ten minutes, in some 6 MB.
const STATES_MAX: usize = 100_000;

/// When an attempt expires, and the hash of its state.
type Entry = (Timestamp, [u8; 32]);

/// States that have been used and whose attempts have not expired.
pub struct UsedStates {
    used: Mutex<BTreeSet<Entry>>,
    most: usize,
}

/// Why a state does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It came back before.
    Used,
    /// As many states as are remembered at a time have come back.
    Full,
}

impl Default for UsedStates {
    fn default() -> UsedStates {
        UsedStates::at_most(STATES_MAX)
    }
}

impl UsedStates {
    /// Remembers so many at a time.
    pub(super) fn at_most(most: usize) -> UsedStates {
        UsedStates { used: Mutex::default(), most }
    }

    /// Uses a state whose attempt expires at this time.
    pub fn take(&self, state: &str, expires: Timestamp, now: Timestamp) -> Result<(), Unusable> {
        let entry = (expires, Sha256::digest(state.as_bytes()).into());
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.split_off(&(now, [0; 32]));
        if used.contains(&entry) {
            return Err(Unusable::Used);
        }
        if used.len() >= self.most {
            return Err(Unusable::Full);
        }
        used.insert(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    #[test]
    fn a_state_counts_once() {
        let states = UsedStates::default();
        assert_eq!(states.take("a", at(600), at(0)), Ok(()));
        assert_eq!(states.take("b", at(600), at(0)), Ok(()));
        assert_eq!(states.take("a", at(600), at(599)), Err(Unusable::Used));
        // At its expiry it is still there; the cookie is refused from then on.
        assert_eq!(states.take("a", at(600), at(600)), Err(Unusable::Used));
    }

    #[test]
    fn a_full_set_refuses_until_entries_expire() {
        let states = UsedStates::at_most(2);
        assert_eq!(states.take("a", at(600), at(0)), Ok(()));
        assert_eq!(states.take("b", at(700), at(0)), Ok(()));
        assert_eq!(states.take("c", at(700), at(10)), Err(Unusable::Full));
        assert_eq!(states.take("a", at(600), at(10)), Err(Unusable::Used), "nothing made room");
        assert_eq!(states.take("c", at(1200), at(601)), Ok(()));
        assert_eq!(states.take("b", at(700), at(601)), Err(Unusable::Used));
    }
}
