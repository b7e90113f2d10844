//! How long to wait after a failure: doubling with jitter, slower after a refused login.

use std::time::Duration;

/// Shortest pause after a failure.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause after a failure.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// Shortest pause after a refused login: servers lock accounts that try too often.
pub const FIRST_PAUSE_AFTER_LOGIN: Duration = Duration::from_secs(60);
/// Longest pause after a refused login.
pub const LONGEST_PAUSE_AFTER_LOGIN: Duration = Duration::from_secs(15 * 60);

/// Pause after this many failures in a row (from 1). `dice` from 0 to 1 spreads it by ±20 %, so
/// that a thousand accounts of one server do not come back in the same second.
pub fn pause(failures: u32, login_refused: bool, dice: f64) -> Duration {
    let (first, longest) = if login_refused {
        (FIRST_PAUSE_AFTER_LOGIN, LONGEST_PAUSE_AFTER_LOGIN)
    } else {
        (FIRST_PAUSE, LONGEST_PAUSE)
    };
    let doublings = failures.saturating_sub(1).min(16);
    first.saturating_mul(1 << doublings).min(longest).mul_f64(0.8 + 0.4 * dice.clamp(0.0, 1.0))
}

/// A number from 0 to 1, the same for nobody.
pub fn dice() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness everybody gets the middle: slower to spread, never wrong.
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(failures: u32, login_refused: bool, expected_secs: u64) {
        assert_eq!(pause(failures, login_refused, 0.5), Duration::from_secs(expected_secs));
    }

    #[test]
    fn doubles_to_five_minutes() {
        check(1, false, 1);
        check(2, false, 2);
        check(5, false, 16);
        check(9, false, 256);
        check(10, false, 300);
        check(u32::MAX, false, 300);
    }

    #[test]
    fn a_refused_login_is_retried_slowly() {
        check(1, true, 60);
        check(4, true, 480);
        check(5, true, 900);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        assert_eq!(pause(1, false, 0.0), Duration::from_millis(800));
        assert_eq!(pause(1, false, 1.0), Duration::from_millis(1200));
    }
}
