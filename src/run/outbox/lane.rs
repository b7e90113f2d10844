//! How one server is doing: whether it may be given a mail now.
//!
//! Architecture invariant: plain data; no clock, no connection.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// Pause after the first failure, in seconds; doubled by each further one.
const PAUSE_SECS: f64 = 1.0;

/// Pause after a refused login, in seconds: servers lock accounts that try too often.
const PAUSE_AFTER_REFUSED_LOGIN_SECS: f64 = 60.0;

/// Longest pause, in seconds.
const PAUSE_SECS_MAX: f64 = 300.0;

/// Pause after the first refusal for a used-up quota, in seconds; doubled by each further one. The
/// quotas of hosters are those of an hour or a day.
const PAUSE_WITHOUT_QUOTA_SECS: f64 = 900.0;

/// Longest pause of this kind, in seconds.
const PAUSE_WITHOUT_QUOTA_SECS_MAX: f64 = 3600.0;

/// Pause of one sender that a server does not let us use, in seconds.
const PAUSE_OF_SENDER_SECS: i64 = 900;

/// Part of a pause that is chance, more or less, so that many desks do not come back in step.
const PAUSE_SPREAD: f64 = 0.25;

/// State of the way to one server.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lane {
    /// Transfers under way.
    pub busy: usize,
    /// Since when the oldest of them is under way.
    pub busy_since: Option<Timestamp>,
    /// Failures of the server since it last worked.
    pub failures: u32,
    /// It is left alone until then.
    pub paused_until: Option<Timestamp>,
    /// What it said when it failed.
    pub reason: String,
    /// Whether it pauses for a quota, and thus for longer.
    pub without_quota: bool,
    /// Whether it refuses the null sender. Noted until we are started again or its declaration
    /// changes.
    pub refuses_null_sender: bool,
    /// Senders that it does not let us use, until when they are not tried, and what it said.
    pub refused_senders: BTreeMap<String, (Timestamp, String)>,
}

impl Lane {
    /// How many more mails it may be given. One after a failure, until it has worked again.
    pub fn room(&self, connections: usize, now: Timestamp) -> usize {
        let most = match (self.paused(now), self.failures) {
            (Some(_), _) => 0,
            (None, 0) => connections.max(1),
            (None, _) => 1,
        };
        most.saturating_sub(self.busy)
    }

    /// When its pause ends, if it pauses. An end that is further ahead than any pause is long was
    /// set by a clock that has been turned back since.
    pub fn paused(&self, now: Timestamp) -> Option<Timestamp> {
        let longest =
            if self.without_quota { PAUSE_WITHOUT_QUOTA_SECS_MAX } else { PAUSE_SECS_MAX };
        let longest = SignedDuration::from_secs_f64(longest * (1.0 + PAUSE_SPREAD));
        self.paused_until.filter(|until| *until > now && *until <= now + longest)
    }

    /// Until when it is not tried with this sender, and why.
    pub fn paused_for(&self, sender: &str, now: Timestamp) -> Option<(Timestamp, &str)> {
        let (until, reason) = self.refused_senders.get(sender)?;
        let longest = SignedDuration::from_secs(PAUSE_OF_SENDER_SECS);
        (*until > now && *until <= now + longest).then_some((*until, reason))
    }

    /// It does not let us use this sender. The others may go on.
    pub fn refused_sender(&mut self, sender: &str, message: &str, now: Timestamp) {
        let until = now + SignedDuration::from_secs(PAUSE_OF_SENDER_SECS);
        self.refused_senders.insert(sender.to_owned(), (until, message.to_owned()));
    }

    /// It answered, whatever it said about the mail.
    pub fn worked(&mut self) {
        self.without_quota = false;
        self.failures = 0;
        self.paused_until = None;
        self.reason.clear();
    }

    /// It could not be used. `dice` is a number from 0 to 1.
    pub fn failed(&mut self, cause: &str, message: &str, now: Timestamp, dice: f64) {
        self.reason = message.to_owned();
        // Several connections that break at once are one failure.
        if self.paused(now).is_some() {
            return;
        }
        self.without_quota = matches!(cause, "quota" | "policy");
        let (first, longest) = match cause {
            "quota" | "policy" => (PAUSE_WITHOUT_QUOTA_SECS, PAUSE_WITHOUT_QUOTA_SECS_MAX),
            // A server that is busy with logins counts ours, too.
            "auth" | "sign_in" | "administrator" | "oauth_client" | "busy" => {
                (PAUSE_AFTER_REFUSED_LOGIN_SECS, PAUSE_SECS_MAX)
            }
            _ => (PAUSE_SECS, PAUSE_SECS_MAX),
        };
        let doubled = first * 2f64.powi(self.failures.min(16) as i32);
        let chance = 1.0 - PAUSE_SPREAD + 2.0 * PAUSE_SPREAD * dice;
        let secs = doubled.min(longest) * chance;
        self.failures = self.failures.saturating_add(1);
        self.paused_until = Some(now + SignedDuration::from_secs_f64(secs));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    #[track_caller]
    fn check(cause: &str, failures: u32, expected_secs: i64) {
        let mut lane = Lane { failures, ..Lane::default() };
        lane.failed(cause, "down", at(0), 0.5);
        assert_eq!(lane.paused_until, Some(at(expected_secs)));
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        check("connect", 0, 1);
        check("connect", 1, 2);
        check("timeout", 5, 32);
        check("connect", 9, 300);
        check("connect", u32::MAX, 300);
    }

    #[test]
    fn a_refused_login_is_repeated_slowly() {
        check("auth", 0, 60);
        check("auth", 1, 120);
        check("auth", 9, 300);
    }

    #[test]
    fn a_busy_login_is_repeated_slowly() {
        check("busy", 0, 60);
        check("busy", 9, 300);
    }

    #[test]
    fn a_used_up_quota_pauses_for_up_to_an_hour() {
        check("quota", 0, 900);
        check("policy", 1, 1800);
        check("quota", 9, 3600);
        let mut lane = Lane::default();
        lane.failed("quota", "enough", at(0), 1.0);
        assert_eq!(lane.paused(at(1)), Some(at(1125)));
        lane.worked();
        lane.failed("connect", "down", at(2000), 0.5);
        assert_eq!(lane.paused(at(1)), None, "a clock that was turned back");
    }

    #[test]
    fn a_refused_sender_pauses_alone() {
        let mut lane = Lane::default();
        lane.refused_sender("sales", "553 not owned", at(0));
        assert_eq!(lane.paused_for("sales", at(899)), Some((at(900), "553 not owned")));
        assert_eq!(lane.paused_for("sales", at(900)), None);
        assert_eq!(lane.paused_for("support", at(0)), None);
        assert_eq!(lane.paused(at(0)), None);
    }

    #[test]
    fn connections_that_break_together_are_one_failure() {
        let mut lane = Lane::default();
        for _ in 0..16 {
            lane.failed("protocol", "the server hung up", at(0), 0.5);
        }
        assert_eq!((lane.failures, lane.paused_until), (1, Some(at(1))));
    }

    #[test]
    fn a_clock_that_is_turned_back_makes_no_pause_longer() {
        let mut lane = Lane { failures: 9, ..Lane::default() };
        lane.failed("connect", "down", at(0), 1.0);
        assert_eq!(lane.paused(at(0)), Some(at(375)));
        assert_eq!(lane.paused(at(-1)), None);
        lane.failed("connect", "down", at(-86_400), 0.5);
        assert_eq!(lane.paused(at(-86_400)), Some(at(-86_100)));
    }

    #[test]
    fn room() {
        let mut lane = Lane::default();
        assert_eq!(lane.room(4, at(0)), 4);
        lane.busy = 3;
        assert_eq!(lane.room(4, at(0)), 1);
        lane.busy = 0;
        lane.failed("connect", "down", at(0), 0.5);
        assert_eq!(lane.room(4, at(0)), 0);
        assert_eq!(lane.room(4, at(1)), 1, "one mail tries whether it works again");
        lane.worked();
        assert_eq!(lane.room(4, at(1)), 4);
    }
}
