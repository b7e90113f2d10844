//! The Date field (RFC 5322 section 3.3), read as leniently as it can be without guessing.
//!
//! Architecture invariant: no clock; what cannot be read is `None`, never "now".

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

/// Longest value looked at, in bytes.
const DATE_BYTES_MAX: usize = 200;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Zones by name, in hours (RFC 5322 section 4.3, and Japan's).
const ZONES: [(&str, i8); 14] = [
    ("gmt", 0),
    ("ut", 0),
    ("utc", 0),
    ("z", 0),
    ("jst", 9),
    ("est", -5),
    ("edt", -4),
    ("cst", -6),
    ("cdt", -5),
    ("mst", -7),
    ("mdt", -6),
    ("pst", -8),
    ("pdt", -7),
    ("cet", 1),
];

/// Reads a date in the forms mail programs write; the zone defaults to UTC.
pub fn read(value: &[u8]) -> Option<Timestamp> {
    let value = value.get(..value.len().min(DATE_BYTES_MAX))?;
    let text = String::from_utf8_lossy(value);
    let text = text.split('(').next().unwrap_or_default().trim();
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    let mut read = Pieces::default();
    for word in text.split(|c: char| c.is_whitespace() || c == ',') {
        read.take(word);
    }
    read.timestamp()
}

#[derive(Default)]
struct Pieces {
    day: Option<i8>,
    month: Option<i8>,
    year: Option<i16>,
    time: Option<(i8, i8, i8)>,
    zone: Option<Offset>,
}

impl Pieces {
    fn take(&mut self, word: &str) {
        let lower = word.to_ascii_lowercase();
        if word.is_empty() {
        } else if let Some(time) = self.time.is_none().then(|| time(word)).flatten() {
            self.time = Some(time);
        } else if let (Some(zone), true) = (zone(&lower), self.time.is_some()) {
            self.zone = self.zone.or(Some(zone));
        } else if let Some(month) = month(&lower) {
            self.month = self.month.or(Some(month));
        } else if let Ok(number) = word.parse::<i16>() {
            self.number(number);
        } else if word.contains('-') && !word.starts_with(['-', '+']) {
            // 21-Nov-2026
            word.split('-').for_each(|piece| self.take(piece));
        }
    }

    fn number(&mut self, number: i16) {
        match i8::try_from(number) {
            Ok(day @ 1..=31) if self.day.is_none() => self.day = Some(day),
            _ => self.year = self.year.or(Some(whole_year(number))),
        }
    }

    fn timestamp(self) -> Option<Timestamp> {
        let date = Date::new(self.year?, self.month?, self.day?).ok()?;
        let (hour, minute, second) = self.time.unwrap_or_default();
        let at: DateTime = date.at(hour, minute, second.min(59), 0);
        at.to_zoned(TimeZone::fixed(self.zone.unwrap_or(Offset::UTC))).ok().map(|at| at.timestamp())
    }
}

/// Two and three digits as RFC 5322 section 4.3 reads them.
fn whole_year(number: i16) -> i16 {
    match number {
        0..=49 => number + 2_000,
        50..=999 => number + 1_900,
        _ => number,
    }
}

fn month(lower: &str) -> Option<i8> {
    let start = lower.get(..3)?;
    let at = MONTHS.iter().position(|month| *month == start)?;
    i8::try_from(at + 1).ok()
}

fn time(word: &str) -> Option<(i8, i8, i8)> {
    let mut pieces = word.split([':', '.']);
    let hour: i8 = pieces.next()?.parse().ok()?;
    let minute: i8 = pieces.next()?.parse().ok()?;
    let second: i8 = pieces.next().map_or(Some(0), |second| second.parse().ok())?;
    let fits = matches!(hour, 0..=23) && matches!(minute, 0..=59) && matches!(second, 0..=60);
    fits.then_some((hour, minute, second))
}

fn zone(lower: &str) -> Option<Offset> {
    if let Some((_, hours)) = ZONES.iter().find(|(name, _)| *name == lower) {
        return Some(Offset::constant(*hours));
    }
    let sign = match lower.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = lower[1..].replace(':', "");
    let number: i32 = digits.parse().ok().filter(|_| matches!(digits.len(), 1..=4))?;
    let (hours, minutes) =
        if digits.len() <= 2 { (number, 0) } else { (number / 100, number % 100) };
    Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: &str) {
        let read = read(value.as_bytes()).map(|at| at.to_string()).unwrap_or_default();
        assert_eq!(read, expected);
    }

    #[test]
    fn as_the_rfc_says() {
        check("Sat, 21 Nov 2026 10:20:30 +0900", "2026-11-21T01:20:30Z");
        check("21 Nov 2026 10:20 GMT (a comment)", "2026-11-21T10:20:00Z");
        check("Sat, 21 Nov 26 10:20:60 -0330", "2026-11-21T13:50:59Z");
    }

    #[test]
    fn as_software_writes() {
        check("Sat Nov 21 10:20:30 2026", "2026-11-21T10:20:30Z");
        check("Sat Nov 21 10:20:30 JST 2026", "2026-11-21T01:20:30Z");
        check("2026-11-21T10:20:30+09:00", "2026-11-21T01:20:30Z");
        check("Saturday, 21-Nov-2026 10:20:30 GMT", "2026-11-21T10:20:30Z");
        check("21 November 2026 10.20.30 +9", "2026-11-21T01:20:30Z");
    }

    #[test]
    fn no_guessing() {
        check("", "");
        check("yesterday", "");
        check("32 Nov 2026 10:00:00 +0000", "");
        check("31 Feb 2026 10:00:00 +0000", "");
        check("21 Nov 2026 10:00:00 +99999999", "2026-11-21T10:00:00Z");
    }
}
