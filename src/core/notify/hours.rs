//! How many notification mails a user gets in an hour before the rest comes to him as one.
//!
//! Mails are counted in the hour of the clock in which they go out: what waits for the end of quiet
//! hours counts in the hour of that end. The store counts; whose hour is full is said here.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::core::config::Limits;

/// Seconds of an hour.
const HOUR_SECS: i64 = 3_600;

/// An hour of the clock, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hour(pub i64);

/// Users who get as many notification mails in an hour as they may, with how many these are: of
/// this hour and later ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FullHours(pub BTreeMap<(Hour, String), u32>);

/// Whether no further mail has a place in an hour with this many.
pub fn is_full(limits: &Limits, mails: u32) -> bool {
    mails >= limits.notifications_per_hour
}

impl Hour {
    /// The hour in which this instant lies.
    pub fn of(at: Timestamp) -> Hour {
        Hour(at.as_second().div_euclid(HOUR_SECS))
    }

    /// When the hour of this instant is over.
    pub fn end(at: Timestamp) -> Timestamp {
        let left = HOUR_SECS - at.as_second().rem_euclid(HOUR_SECS);
        let whole = Timestamp::from_second(at.as_second()).unwrap_or(at);
        whole.saturating_add(SignedDuration::from_secs(left)).unwrap_or(Timestamp::MAX)
    }
}

impl FullHours {
    /// Whether a mail to this user that would go out at this instant has no place in its hour. The
    /// bound may have been raised since the hour was called full.
    pub fn hold(&self, limits: &Limits, who: &str, at: Timestamp) -> bool {
        // Hardly ever is anybody's hour full.
        let mails = || self.0.get(&(Hour::of(at), who.to_owned()));
        !self.0.is_empty() && mails().is_some_and(|mails| is_full(limits, *mails))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn hours_of_the_clock() {
        let six = at("2026-11-22T06:00:00Z");
        assert_eq!(Hour::of(at("2026-11-22T06:59:59.999Z")), Hour::of(six));
        assert_ne!(Hour::of(at("2026-11-22T05:59:59.999Z")), Hour::of(six));
        assert_eq!(Hour::end(six), at("2026-11-22T07:00:00Z"));
        assert_eq!(Hour::end(at("2026-11-22T06:59:59.999Z")), at("2026-11-22T07:00:00Z"));
        assert_eq!(Hour::end(at("1969-12-31T23:59:59Z")), Timestamp::UNIX_EPOCH);
        assert_eq!(Hour::end(Timestamp::MAX), Timestamp::MAX);
    }

    #[test]
    fn a_full_hour_holds_one_user_in_one_hour() {
        let six = at("2026-11-22T06:00:00Z");
        let full = FullHours([((Hour::of(six), "alice".to_owned()), 100)].into());
        let limits = Limits::default();
        assert!(full.hold(&limits, "alice", at("2026-11-22T06:59:00Z")));
        assert!(!full.hold(&limits, "alice", at("2026-11-22T07:00:00Z")));
        assert!(!full.hold(&limits, "bob", six));
        let raised = Limits { notifications_per_hour: 101, ..limits };
        assert!(!full.hold(&raised, "alice", six));
    }
}
