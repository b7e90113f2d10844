//! Notifications that a user gets together in one mail, because he wants them once a day or because
//! they are too many for an hour: what is kept until then, and when it goes out.
//!
//! Each line is kept in the transaction of what it speaks of, and all of a user's lines are taken
//! in the transaction that owes the mail: a line is in one digest, whatever happens in between.
//!
//! Architecture invariant: nothing here words a mail; [`super::render::digest`] does.

use jiff::{SignedDuration, Timestamp};

use super::calendar;
use super::config::{Config, Switch, User};
use super::notify::EventKind;
use super::notify::hours::Hour;
use super::ticket::TicketId;

/// Lines from further ahead than this were kept while the clock was wrong.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(1);

/// Lines that are kept for one mail, which lists them; it counts the others.
pub const LINES_MAX: usize = 200;

/// One line of a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// User name.
    pub who: String,
    /// What happened.
    pub event: EventKind,
    /// To which ticket.
    pub ticket: TicketId,
    /// Its number.
    pub number: String,
    /// What a mail of its own would have had as subject, in the user's language.
    pub text: String,
    /// In which role the user is told, as in [`super::notify::Notice::role`].
    pub role: String,
    /// Where in the configuration he asks for it; may be empty.
    pub rule: String,
    /// When it happened.
    pub at: Timestamp,
    /// Whether it would have had a mail of its own, had there been fewer in that hour.
    pub held: bool,
}

/// What becomes of the lines of one user now.
#[derive(Debug, Clone, PartialEq)]
pub enum Due<'a> {
    /// They go out.
    Send(&'a User),
    /// They wait until then.
    Wait(Timestamp),
    /// The user is told nothing any more.
    Drop,
}

/// When the lines of this user go out, the oldest of which is from `first`: with his digest, else
/// when the hour is over, though not in his quiet hours.
pub fn next(user: &User, first: Timestamp) -> Timestamp {
    let (wants, zone) = (&user.subscriptions, &user.time_zone);
    if let Some(time) = wants.digest {
        return calendar::next_daily(zone, time, first);
    }
    let over = Hour::end(first);
    wants.quiet_hours.and_then(|hours| hours.end(zone, over)).unwrap_or(over)
}

/// What becomes of the lines of this user, the oldest of which is from `first`.
///
/// A user who wants no digest any more gets what was kept for it when the hour is over.
pub fn due<'a>(config: &'a Config, who: &str, first: Timestamp, now: Timestamp) -> Due<'a> {
    let user = match config.users.get(who) {
        Some(user) => user,
        None => return Due::Drop,
    };
    match user.state {
        Switch::Enabled => {}
        Switch::Disabled => return Due::Drop,
        Switch::Paused => return Due::Wait(Timestamp::MAX),
    }
    // How long they have waited is not known then; by that clock they would wait for its time.
    if first.duration_since(now) > AHEAD_MAX {
        return Due::Send(user);
    }
    let at = next(user, first);
    if at > now { Due::Wait(at) } else { Due::Send(user) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::calendar::QuietHours;
    use crate::core::ticket::samples::config;
    use jiff::{civil, tz::TimeZone};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn tokyo() -> Config {
        let mut config = config();
        let alice = config.users.get_mut("alice").unwrap();
        alice.time_zone = TimeZone::get("Asia/Tokyo").unwrap();
        alice.subscriptions.digest = Some(civil::time(8, 0, 0, 0));
        config
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut User), now: &str, expected: &str) {
        let mut config = tokyo();
        change(config.users.get_mut("alice").unwrap());
        let found = match due(&config, "alice", at("2026-11-24T12:00:00Z"), at(now)) {
            Due::Send(user) => format!("send {}", user.name),
            Due::Wait(at) => format!("wait {at}"),
            Due::Drop => "drop".into(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn at_eight_of_the_users_day() {
        check(|_| {}, "2026-11-24T22:59:59Z", "wait 2026-11-24T23:00:00Z");
        check(|_| {}, "2026-11-24T23:00:00Z", "send alice");
        check(|_| {}, "2026-11-27T00:00:00Z", "send alice");
    }

    #[test]
    fn at_once_when_the_clock_was_turned_back() {
        check(|_| {}, "2026-11-24T11:00:00Z", "wait 2026-11-24T23:00:00Z");
        check(|_| {}, "2026-11-24T10:59:59Z", "send alice");
        check(|_| {}, "2026-08-24T10:00:00Z", "send alice");
    }

    #[test]
    fn without_a_digest_when_the_hour_is_over() {
        let none = |alice: &mut User| alice.subscriptions.digest = None;
        check(none, "2026-11-24T12:59:59Z", "wait 2026-11-24T13:00:00Z");
        check(none, "2026-11-24T13:00:00Z", "send alice");
    }

    #[test]
    fn not_in_quiet_hours() {
        // Ten in the evening in Tokyo.
        let quiet = |alice: &mut User| {
            let (from, to) = (civil::time(22, 0, 0, 0), civil::time(7, 0, 0, 0));
            alice.subscriptions.digest = None;
            alice.subscriptions.quiet_hours = Some(QuietHours { from, to });
        };
        check(quiet, "2026-11-24T13:00:00Z", "wait 2026-11-24T22:00:00Z");
        check(quiet, "2026-11-24T22:00:00Z", "send alice");
    }

    #[test]
    fn who_is_switched_off_gets_nothing() {
        check(|alice| alice.state = Switch::Disabled, "2026-11-25T12:00:00Z", "drop");
        let forever = format!("wait {}", Timestamp::MAX);
        check(|alice| alice.state = Switch::Paused, "2026-11-25T12:00:00Z", &forever);
        let first = at("2026-11-24T12:00:00Z");
        assert_eq!(due(&tokyo(), "zoe", first, first), Due::Drop);
    }
}
