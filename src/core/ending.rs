//! What ends some day: told a month before, and a week before.

use jiff::Timestamp;

/// Days before an end from which it is told.
pub const NOTICE_DAYS: i64 = 30;
/// Days before an end from which it is urgent.
pub const URGENT_DAYS: i64 = 7;
/// What is renewed all the time is always near its end: it is told in the last one of so many parts
/// of its life only.
const PARTS_OF_LIFE: i64 = 3;
const DAY_SECS: i64 = 86_400;

/// How near an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Within a month.
    Soon,
    /// Within a week.
    Urgent,
    /// It is over.
    Over,
}

/// How near an end is that is so many whole days away; `None` if it need not be told.
pub fn stage(days: i64) -> Option<Stage> {
    match days {
        ..0 => Some(Stage::Over),
        0..=URGENT_DAYS => Some(Stage::Urgent),
        days if days <= NOTICE_DAYS => Some(Stage::Soon),
        _ => None,
    }
}

/// The same in words.
pub fn words(days: i64) -> String {
    match days {
        ..0 => "has ended".into(),
        0 => "ends today".into(),
        1 => "ends tomorrow".into(),
        days => format!("ends in {days} days"),
    }
}

/// Whole days until the end of what began then, if it is time to tell.
pub fn days_left(began: Timestamp, ends: Timestamp, now: Timestamp) -> Option<i64> {
    let left = ends.duration_since(now).as_secs();
    let life = ends.duration_since(began).as_secs();
    let days = left.div_euclid(DAY_SECS);
    (left <= life / PARTS_OF_LIFE && stage(days).is_some()).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_near() {
        let told = |days| stage(days).map(|stage| (stage, words(days)));
        assert_eq!(told(-400), Some((Stage::Over, "has ended".into())));
        assert_eq!(told(-1), Some((Stage::Over, "has ended".into())));
        assert_eq!(told(0), Some((Stage::Urgent, "ends today".into())));
        assert_eq!(told(1), Some((Stage::Urgent, "ends tomorrow".into())));
        assert_eq!(told(7), Some((Stage::Urgent, "ends in 7 days".into())));
        assert_eq!(told(8), Some((Stage::Soon, "ends in 8 days".into())));
        assert_eq!(told(30), Some((Stage::Soon, "ends in 30 days".into())));
        assert_eq!(told(31), None);
    }

    /// Of a life of so many seconds, so many are left.
    #[track_caller]
    fn check(life: i64, left: i64, expected: Option<i64>) {
        let at = |secs| Timestamp::from_second(secs).unwrap();
        assert_eq!(days_left(at(0), at(life), at(life - left)), expected);
    }

    #[test]
    fn months() {
        check(90 * DAY_SECS, 31 * DAY_SECS, None);
        check(90 * DAY_SECS, 30 * DAY_SECS, Some(30));
        check(90 * DAY_SECS, 3 * DAY_SECS, Some(3));
        check(90 * DAY_SECS, -1, Some(-1));
    }

    #[test]
    fn what_lives_for_an_hour_is_no_news_until_it_is_not_renewed() {
        check(3_600, 3_600, None);
        check(3_600, 1_201, None);
        check(3_600, 1_200, Some(0));
        check(7 * DAY_SECS, 3 * DAY_SECS, None);
        check(7 * DAY_SECS, 2 * DAY_SECS, Some(2));
    }
}
