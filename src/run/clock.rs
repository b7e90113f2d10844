//! What time it is, so that a test can say so.
//!
//! Architecture invariant: everything in `run` that decides by time asks here.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// A clock; clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Milliseconds since 1970 of a clock that stands still; `None` asks the system.
    standing: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's clock.
    pub fn real() -> Clock {
        Clock { standing: None }
    }

    /// A clock that stands at this time until somebody turns it. Milliseconds count.
    pub fn standing_at(time: Timestamp) -> Clock {
        Clock { standing: Some(Arc::new(AtomicI64::new(time.as_millisecond()))) }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match &self.standing {
            None => Timestamp::now(),
            Some(milliseconds) => Timestamp::from_millisecond(milliseconds.load(Ordering::SeqCst))
                .expect("the clock was set to a valid time"),
        }
    }

    /// Turns a standing clock, backwards if negative. Does nothing to the system's.
    pub fn turn(&self, by: SignedDuration) {
        if let Some(milliseconds) = &self.standing {
            let by = i64::try_from(by.as_millis()).expect("a clock is turned by years at most");
            milliseconds.fetch_add(by, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_is_turned_for_all_who_look() {
        let clock = Clock::standing_at("2026-01-01T00:00:00Z".parse().unwrap());
        let other = clock.clone();
        clock.turn(SignedDuration::from_hours(8));
        assert_eq!(other.now().to_string(), "2026-01-01T08:00:00Z");
    }
}
