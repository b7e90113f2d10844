//! Mail we owe: one row per recipient, rendered once, tried until it is sent or given up.
//!
//! Architecture invariant: nothing here sends or stores. [`after`] alone says what an attempt
//! means; no mail is given up for a fault of the server.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::render::clean;
use super::ticket::TicketId;

/// Identity of an owed mail; ascending in the order of enqueueing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutgoingId(pub u64);

/// A mail we owe to one recipient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Identity.
    pub id: OutgoingId,
    /// Ticket it belongs to.
    pub ticket: Option<TicketId>,
    /// What it is.
    pub kind: OutgoingKind,
    /// Name of the sender it goes through; its `via` is looked up when it is sent.
    pub sender: String,
    /// Envelope sender; `None` is the null sender.
    pub envelope_from: Option<Address>,
    /// Envelope recipient.
    pub recipient: Address,
    /// Message-ID without angle brackets; the same at every attempt.
    pub message_id: String,
    /// The whole mail, CRLF line ends: every attempt sends these bytes.
    pub raw: Vec<u8>,
    /// When it was enqueued; of one that waits for the end of quiet hours, that end.
    pub created: Timestamp,
    /// How far it is.
    pub delivery: Delivery,
}

/// What an owed mail is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutgoingKind {
    /// An automatic answer.
    AutoReply {
        /// Name in the configuration.
        reply: String,
    },
    /// A notification.
    Notification {
        /// Label of the event.
        event: String,
        /// User name, or a customer's address.
        who: String,
    },
    /// An agent's answer, or his mail that goes on to the customer.
    Reply,
}

impl OutgoingKind {
    /// Label for metrics and listings.
    pub fn label(&self) -> &'static str {
        match self {
            OutgoingKind::AutoReply { .. } => "autoReply",
            OutgoingKind::Notification { .. } => "notification",
            OutgoingKind::Reply => "reply",
        }
    }
}

/// How far an owed mail is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// To be tried at `at`.
    Due {
        /// Attempts made and answered with "later".
        attempts: u32,
        /// Not before.
        at: Timestamp,
        /// What the last attempt said.
        last_error: Option<String>,
        /// Name of the server that may have taken it without our knowing, and can be asked. Until
        /// it says that it has not, the mail goes nowhere.
        doubt: Option<String>,
    },
    /// Taken by a server.
    Sent {
        /// When.
        at: Timestamp,
    },
    /// Given up: refused for good, too old, or dropped by an operator.
    Dead {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
}

/// What became of one attempt to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The server took it.
    Sent,
    /// The recipient or this mail is refused for now (4xx).
    Temporary(String),
    /// The recipient or this mail is refused for good (5xx).
    Permanent(String),
    /// The server may have taken it, and can be asked later whether it has. Never sent again
    /// before that.
    InDoubt {
        /// Name of the server.
        server: String,
        /// What it said.
        message: String,
    },
    /// The server itself cannot be used now: unreachable, TLS fault, login refused.
    /// Nothing is held against the mail.
    ServerDown {
        /// Label of the cause for metrics: `connect`, `tls`, `auth`, `timeout`, `protocol`.
        cause: &'static str,
        /// For the log and status.
        message: String,
        /// The whole mail was handed over and no answer came: the recipient may have it.
        in_doubt: bool,
    },
}

/// Mail is given up this long after it was enqueued, but see [`ATTEMPTS_MIN`].
pub const GIVE_UP_AFTER_SECS: i64 = 5 * 24 * 3600;
/// Nothing is given up before this many answers of "later", which take some two hours: it may look
/// old only because the clock is wrong, or because the desk was down for days.
pub const ATTEMPTS_MIN: u32 = RETRY_MINUTES.len() as u32;

/// Minutes to wait after the first, second, ... answer of "later"; the last one repeats.
pub const RETRY_MINUTES: [u32; 6] = [1, 5, 15, 30, 60, 66];
/// Part of a waiting time by which dice may shorten or lengthen it, so that mails that failed
/// together do not come back together.
pub const RETRY_JITTER: f64 = 0.2;
/// Longest waiting time.
pub const RETRY_SECS_MAX: i64 = 4_752;
/// Longest time for which quiet hours put a mail off: a day and the hour of a change of the clocks.
const QUIET_SECS_MAX: i64 = 25 * 3600;
/// Waiting time while the server cannot be used. The task of that server keeps its own pause.
pub const SERVER_DOWN_SECS: i64 = 60;
/// Characters of a server's words that are kept.
const REASON_CHARS_MAX: usize = 500;

/// How far a mail is after an attempt. `dice` is a number from 0 to 1 for the jitter.
pub fn after(mail: &Outgoing, attempt: &Attempt, now: Timestamp, dice: f64) -> Delivery {
    after_attempt(&mail.delivery, mail.created, attempt, now, dice)
}

/// The same of anything that is owed: how far it was, and when it was enqueued.
pub fn after_attempt(
    delivery: &Delivery,
    created: Timestamp,
    attempt: &Attempt,
    now: Timestamp,
    dice: f64,
) -> Delivery {
    let (attempts, last_error, doubt) = match delivery {
        Delivery::Due { attempts, last_error, doubt, .. } => {
            (*attempts, last_error.clone(), doubt.clone())
        }
        // An operator dropped it while it was on its way: it stays dropped unless it arrived.
        Delivery::Dead { .. } if *attempt != Attempt::Sent => return delivery.clone(),
        Delivery::Dead { .. } => (0, None, None),
        Delivery::Sent { .. } => return delivery.clone(),
    };
    let doubt = match attempt {
        Attempt::InDoubt { server, .. } => Some(server.clone()),
        Attempt::Sent
        | Attempt::Temporary(_)
        | Attempt::Permanent(_)
        | Attempt::ServerDown { .. } => doubt,
    };
    match attempt {
        Attempt::Sent => Delivery::Sent { at: now },
        Attempt::Permanent(words) => Delivery::Dead { at: now, reason: reason(words) },
        Attempt::Temporary(words) | Attempt::InDoubt { message: words, .. }
            if is_too_old(attempts, created, now) =>
        {
            Delivery::Dead {
                at: now,
                reason: format!("given up after 5 days; the last answer was: {}", reason(words)),
            }
        }
        Attempt::Temporary(words) | Attempt::InDoubt { message: words, .. } => Delivery::Due {
            attempts: attempts.saturating_add(1),
            at: later(now, waiting_secs(attempts, dice)),
            last_error: Some(reason(words)),
            doubt,
        },
        Attempt::ServerDown { message, .. } => Delivery::Due {
            attempts,
            at: later(now, SERVER_DOWN_SECS),
            last_error: Some(reason(message)).filter(|words| !words.is_empty()).or(last_error),
            doubt,
        },
    }
}

/// When a mail that is due at `at` is to be tried. One that is due later than it can have been put
/// off was put off by a clock that was turned back since: it waits no longer than after an attempt.
pub fn in_real_time(mail: &Outgoing, at: Timestamp, now: Timestamp) -> Timestamp {
    // A notification that waits for the end of quiet hours counts as enqueued at that end.
    let quiet = matches!(mail.kind, OutgoingKind::Notification { .. }) && at == mail.created;
    let most = if quiet { QUIET_SECS_MAX } else { RETRY_SECS_MAX };
    if at > later(now, most) { later(now, RETRY_SECS_MAX) } else { at }
}

/// Whether the time is over for a mail that had this many answers of "later" before this one.
fn is_too_old(attempts_before: u32, created: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(created);
    attempts_before.saturating_add(1) >= ATTEMPTS_MIN
        && age >= SignedDuration::from_secs(GIVE_UP_AFTER_SECS)
}

/// Waiting time after this many earlier answers of "later".
fn waiting_secs(attempts_before: u32, dice: f64) -> i64 {
    let last = RETRY_MINUTES.len() - 1;
    let step = usize::try_from(attempts_before).map_or(last, |at| at.min(last));
    let secs = f64::from(RETRY_MINUTES[step]) * 60.0;
    // A `NaN` falls to the middle.
    let dice = if dice.is_nan() { 0.5 } else { dice.clamp(0.0, 1.0) };
    (secs * (1.0 - RETRY_JITTER + 2.0 * RETRY_JITTER * dice)).round() as i64
}

fn later(now: Timestamp, secs: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(secs)).unwrap_or(Timestamp::MAX)
}

/// A server's words as one line of bounded length.
fn reason(words: &str) -> String {
    clean::line(words, REASON_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CREATED: i64 = 1_700_000_000;

    fn mail(delivery: Delivery) -> Outgoing {
        Outgoing {
            id: OutgoingId(1),
            ticket: None,
            kind: OutgoingKind::Reply,
            sender: "default".into(),
            envelope_from: None,
            recipient: Address::parse("eve@cust.test").unwrap(),
            message_id: "a@x.test".into(),
            raw: Vec::new(),
            created: at(0),
            delivery,
        }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(CREATED + secs).unwrap()
    }

    fn due(attempts: u32) -> Delivery {
        Delivery::Due { attempts, at: at(0), last_error: None, doubt: None }
    }

    #[track_caller]
    fn check(before: Delivery, attempt: Attempt, now: i64, expected: Delivery) {
        assert_eq!(after(&mail(before), &attempt, at(now), 0.5), expected);
    }

    #[track_caller]
    fn check_wait(attempts: u32, dice: f64, expected_secs: i64) {
        let delivery = after(&mail(due(attempts)), &later_please(), at(10), dice);
        let expected = Delivery::Due {
            attempts: attempts + 1,
            at: at(10 + expected_secs),
            last_error: Some("451 busy".into()),
            doubt: None,
        };
        assert_eq!(delivery, expected);
    }

    fn later_please() -> Attempt {
        Attempt::Temporary("451 busy\r\n".into())
    }

    fn down() -> Attempt {
        Attempt::ServerDown { cause: "auth", message: "535 no".into(), in_doubt: false }
    }

    #[test]
    fn sent() {
        check(due(3), Attempt::Sent, 5, Delivery::Sent { at: at(5) });
    }

    #[test]
    fn waiting_grows() {
        for (attempts, minutes) in [(0, 1), (1, 5), (2, 15), (3, 30), (4, 60), (5, 66), (99, 66)] {
            check_wait(attempts, 0.5, minutes * 60);
        }
    }

    #[test]
    fn dice_spread_it() {
        check_wait(0, 0.0, 48);
        check_wait(0, 1.0, 72);
        check_wait(0, f64::NAN, 60);
        check_wait(0, 17.0, 72);
        check_wait(5, 1.0, RETRY_SECS_MAX);
    }

    #[test]
    fn refused_for_good() {
        let dead = Delivery::Dead { at: at(5), reason: "550 no such user".into() };
        check(due(0), Attempt::Permanent("550 no such user".into()), 5, dead);
    }

    #[test]
    fn given_up_after_five_days_and_not_before() {
        let dead = after(&mail(due(99)), &later_please(), at(GIVE_UP_AFTER_SECS), 0.5);
        assert!(matches!(dead, Delivery::Dead { reason, .. } if reason.contains("451 busy")));
        let alive = after(&mail(due(99)), &later_please(), at(GIVE_UP_AFTER_SECS - 1), 0.5);
        assert!(matches!(alive, Delivery::Due { attempts: 100, .. }));
    }

    #[test]
    fn a_clock_that_is_wrong_or_a_desk_that_was_down_gives_nothing_up() {
        let long = 90 * 24 * 3600;
        let alive = after(&mail(due(ATTEMPTS_MIN - 2)), &later_please(), at(long), 0.5);
        assert!(matches!(alive, Delivery::Due { attempts, .. } if attempts == ATTEMPTS_MIN - 1));
        let dead = after(&mail(due(ATTEMPTS_MIN - 1)), &later_please(), at(long), 0.5);
        assert!(matches!(dead, Delivery::Dead { .. }));
    }

    #[track_caller]
    fn check_in_real_time(due_at: i64, created: i64, expected: i64) {
        let event = "ticketCreated".to_owned();
        let kind = OutgoingKind::Notification { event, who: "alice".into() };
        let mail = Outgoing { kind, created: at(created), ..mail(due(0)) };
        assert_eq!(in_real_time(&mail, at(due_at), at(0)), at(expected));
    }

    #[test]
    fn a_clock_that_was_turned_back_makes_nothing_wait() {
        let year = 365 * 24 * 3600;
        for created in [-10, year] {
            check_in_real_time(-5, created, -5);
            check_in_real_time(RETRY_SECS_MAX, created, RETRY_SECS_MAX);
            check_in_real_time(RETRY_SECS_MAX + 1, created, RETRY_SECS_MAX);
            check_in_real_time(year + 60, created, RETRY_SECS_MAX);
        }
        check_in_real_time(year, year, RETRY_SECS_MAX);
        // Quiet hours are kept, also when the desk is started again in them.
        check_in_real_time(9 * 3600, 9 * 3600, 9 * 3600);
        let reply = Outgoing { created: at(9 * 3600), ..mail(due(0)) };
        assert_eq!(in_real_time(&reply, at(9 * 3600), at(0)), at(RETRY_SECS_MAX));
    }

    #[test]
    fn doubt_lasts_until_the_mail_is_sent_or_given_up() {
        let in_doubt = Attempt::InDoubt { server: "m365".into(), message: "504".into() };
        let doubtful = |attempts, now, words: &str| Delivery::Due {
            attempts,
            at: at(now),
            last_error: Some(words.into()),
            doubt: Some("m365".into()),
        };
        let first = doubtful(1, 65, "504");
        check(due(0), in_doubt, 5, first.clone());
        check(first.clone(), later_please(), 100, doubtful(2, 400, "451 busy"));
        check(first.clone(), down(), 100, doubtful(1, 160, "535 no"));
        check(first, Attempt::Sent, 5, Delivery::Sent { at: at(5) });
    }

    #[test]
    fn a_server_that_is_down_costs_the_mail_nothing() {
        let waits = |now| Delivery::Due {
            attempts: 2,
            at: at(now + 60),
            last_error: Some("535 no".into()),
            doubt: None,
        };
        check(due(2), down(), 5, waits(5));
        check(due(2), down(), 2 * GIVE_UP_AFTER_SECS, waits(2 * GIVE_UP_AFTER_SECS));
    }

    #[test]
    fn dropped_on_the_way() {
        let dropped = Delivery::Dead { at: at(1), reason: "dropped".into() };
        check(dropped.clone(), later_please(), 5, dropped.clone());
        check(dropped.clone(), down(), 5, dropped.clone());
        check(dropped, Attempt::Sent, 5, Delivery::Sent { at: at(5) });
    }

    #[test]
    fn sent_stays_sent() {
        let sent = Delivery::Sent { at: at(1) };
        check(sent.clone(), Attempt::Permanent("550".into()), 5, sent);
    }

    proptest! {
        #[test]
        fn no_clock_makes_a_storm_or_a_stall(now in 0i64..8_000_000_000, attempts: u32, dice: f64) {
            let now = Timestamp::from_second(now).unwrap();
            for attempt in [later_please(), down()] {
                match after(&mail(due(attempts)), &attempt, now, dice) {
                    Delivery::Due { at, .. } => {
                        let wait = at.duration_since(now).as_secs();
                        prop_assert!((48..=RETRY_SECS_MAX).contains(&wait), "{wait}");
                    }
                    Delivery::Dead { .. } => {
                        let age = now.duration_since(at(0)).as_secs();
                        prop_assert!(age >= GIVE_UP_AFTER_SECS);
                    }
                    Delivery::Sent { .. } => prop_assert!(false, "nothing was sent"),
                }
            }
        }
    }
}
