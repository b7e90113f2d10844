//! Times of day in somebody's time zone: when the next one is, and how long a quiet time lasts.
//!
//! Architecture invariant: clocks that are set forward or back shift an instant, but no day goes
//! without its own, and none has it twice.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A part of each day, in civil time: from, up to and without to; it may pass midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    /// When it begins.
    pub from: Time,
    /// When it ends.
    pub to: Time,
}

/// The first instant after `after` at which a clock in this zone shows this time of a day. On a day
/// on which it shows it twice, the first; on one that leaves it out, when the clocks jump over it.
pub fn next_daily(zone: &TimeZone, time: Time, after: Timestamp) -> Timestamp {
    let today = after.to_zoned(zone.clone()).date();
    let on = |days: i64| {
        let date = today.checked_add(days.days()).ok()?;
        let at = zone.to_ambiguous_zoned(date.to_datetime(time)).compatible().ok()?;
        Some(at.timestamp())
    };
    // Yesterday's may still come: zones have left out whole days.
    let found = [-1, 0, 1, 2].into_iter().filter_map(on).find(|at| *at > after);
    found.unwrap_or(Timestamp::MAX)
}

impl QuietHours {
    /// Until when it is quiet now; `None` if it is not.
    pub fn end(&self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        if !self.holds(zone, now) {
            return None;
        }
        let today = now.to_zoned(zone.clone()).date();
        // Where the clocks are set back the end may stand on the clock twice, and the first one
        // may be over.
        let ends = [-1_i64, 0, 1, 2].into_iter().flat_map(|days| {
            let date = today.checked_add(days.days()).ok();
            let at = date.map(|date| zone.to_ambiguous_zoned(date.to_datetime(self.to)));
            let both = at.map(|at| [at.clone().earlier(), at.later()]);
            both.into_iter().flatten().filter_map(|at| Some(at.ok()?.timestamp()))
        });
        ends.filter(|end| *end > now && !self.holds(zone, *end)).min()
    }

    fn holds(&self, zone: &TimeZone, at: Timestamp) -> bool {
        let time = at.to_zoned(zone.clone()).time();
        if self.from <= self.to {
            self.from <= time && time < self.to
        } else {
            self.from <= time || time < self.to
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::{SignedDuration, civil};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    #[track_caller]
    fn check_daily(name: &str, time: Time, after: &str, expected: &str) {
        assert_eq!(next_daily(&zone(name), time, at(after)), at(expected));
    }

    #[track_caller]
    fn check_quiet(name: &str, now: &str, expected: Option<&str>) {
        let hours = QuietHours { from: civil::time(22, 0, 0, 0), to: civil::time(7, 0, 0, 0) };
        assert_eq!(hours.end(&zone(name), at(now)), expected.map(at));
    }

    #[test]
    fn eight_in_tokyo() {
        let eight = civil::time(8, 0, 0, 0);
        check_daily("Asia/Tokyo", eight, "2026-11-24T22:59:59Z", "2026-11-24T23:00:00Z");
        check_daily("Asia/Tokyo", eight, "2026-11-24T23:00:00Z", "2026-11-25T23:00:00Z");
    }

    #[test]
    fn eight_in_berlin_when_the_clocks_change() {
        let eight = civil::time(8, 0, 0, 0);
        check_daily("Europe/Berlin", eight, "2026-03-28T07:00:00Z", "2026-03-29T06:00:00Z");
        check_daily("Europe/Berlin", eight, "2026-10-24T06:00:00Z", "2026-10-25T07:00:00Z");
    }

    #[test]
    fn an_hour_that_is_left_out() {
        // Berlin jumps from 02:00 to 03:00 on 2026-03-29.
        let half_past_two = civil::time(2, 30, 0, 0);
        check_daily("Europe/Berlin", half_past_two, "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z");
        check_daily("Europe/Berlin", half_past_two, "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z");
    }

    #[test]
    fn an_hour_that_comes_twice() {
        // Berlin goes back from 03:00 to 02:00 on 2026-10-25: 02:30 is at 00:30 and 01:30 UTC.
        let half_past_two = civil::time(2, 30, 0, 0);
        check_daily("Europe/Berlin", half_past_two, "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z");
        check_daily("Europe/Berlin", half_past_two, "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z");
    }

    #[test]
    fn quiet_past_midnight() {
        check_quiet("UTC", "2026-11-24T21:59:59Z", None);
        check_quiet("UTC", "2026-11-24T22:00:00Z", Some("2026-11-25T07:00:00Z"));
        check_quiet("UTC", "2026-11-25T06:59:59Z", Some("2026-11-25T07:00:00Z"));
        check_quiet("UTC", "2026-11-25T07:00:00Z", None);
        check_quiet("Asia/Tokyo", "2026-11-25T13:00:00Z", Some("2026-11-25T22:00:00Z"));
    }

    #[test]
    fn quiet_in_the_night_of_a_change() {
        check_quiet("Europe/Berlin", "2026-03-28T22:00:00Z", Some("2026-03-29T05:00:00Z"));
        check_quiet("Europe/Berlin", "2026-10-24T22:00:00Z", Some("2026-10-25T06:00:00Z"));
    }

    #[test]
    fn quiet_that_ends_in_the_hour_that_comes_twice() {
        let hours = QuietHours { from: civil::time(22, 0, 0, 0), to: civil::time(2, 30, 0, 0) };
        let end = |now: &str| hours.end(&zone("Europe/Berlin"), at(now));
        assert_eq!(end("2026-10-25T00:10:00Z"), Some(at("2026-10-25T00:30:00Z")));
        assert_eq!(end("2026-10-25T00:40:00Z"), None);
        assert_eq!(end("2026-10-25T01:10:00Z"), Some(at("2026-10-25T01:30:00Z")));
    }

    /// Each quarter of an hour of a year in zones with odd clocks: a quiet time ends within a day
    /// and an hour, not in another one, and each local day has its daily instant once.
    #[test]
    fn a_year_in_odd_zones() {
        for name in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"] {
            let zone = zone(name);
            let hours =
                QuietHours { from: civil::time(23, 50, 0, 0), to: civil::time(2, 15, 0, 0) };
            let (mut now, end) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
            while now < end {
                if let Some(over) = hours.end(&zone, now) {
                    let waits = over.duration_since(now);
                    assert!(waits <= SignedDuration::from_hours(4), "{name} {now} {over}");
                    assert_eq!(hours.end(&zone, over), None, "{name} {now}");
                }
                now += SignedDuration::from_mins(15);
            }
            let mut daily = at("2026-01-01T00:00:00Z");
            let mut days = std::collections::BTreeSet::new();
            for _ in 0..365 {
                daily = next_daily(&zone, civil::time(2, 15, 0, 0), daily);
                assert!(days.insert(daily.to_zoned(zone.clone()).date()), "{name} {daily}");
            }
            let (first, last) = (days.first().unwrap(), days.last().unwrap());
            assert_eq!(first.until(*last).unwrap().get_days(), 364, "{name}: no day is left out");
        }
    }
}
