//! Mails that the server lists and does not give.
//!
//! A mail that is not given, or at which the session breaks, is asked for alone and behind all
//! others from then on, so that it keeps none of them from us. What is remembered here is lost with
//! the process: then it is counted anew.
//!
//! Architecture invariant: such a mail stays on the server.

use std::collections::BTreeMap;

use crate::core::mail::Location;
use crate::mailbox::{Entry, MailboxError};

/// A mail that was asked for this often and not given is noted in quarantine.
pub const ATTEMPTS_MAX: u32 = 5;

/// Mails that are remembered. More are asked for together with the others.
const REMEMBERED_MAX: usize = 10_000;

/// What is known of such mails.
#[derive(Debug, Default)]
pub struct Ungiven(BTreeMap<Location, Trial>);

/// What is known of one.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Trial {
    /// How often it was asked for alone, or not given.
    attempts: u32,
    /// Whether the server has given others meanwhile. One that gives none has another trouble.
    others: bool,
}

impl Ungiven {
    /// Parts off the mails that are asked for alone, those that failed least first.
    pub fn part(&self, fresh: Vec<Entry>) -> (Vec<Entry>, Vec<Entry>) {
        let known = |entry: &Entry| self.0.contains_key(&entry.location);
        let (mut alone, together): (Vec<Entry>, Vec<Entry>) = fresh.into_iter().partition(known);
        alone.sort_by_key(|entry| self.0.get(&entry.location));
        (together, alone)
    }

    /// The server gave this mail.
    pub fn given(&mut self, location: &Location) {
        self.0.remove(location);
        self.0.values_mut().for_each(|trial| trial.others = true);
    }

    /// The server did not give these mails of a page. Answers with those for which that was once too
    /// often, and why. `None`: it gave nothing of several, and none of them is to blame.
    pub fn missing(&mut self, entries: &[Entry], any_given: bool) -> Option<Vec<(Entry, String)>> {
        if entries.len() > 1 && !any_given {
            return None;
        }
        let mut given_up = Vec::new();
        for entry in entries {
            let attempts = self.count(&entry.location).attempts;
            if attempts >= ATTEMPTS_MAX {
                given_up.push((entry.clone(), reason(entry, attempts, "did not give it")));
            }
        }
        Some(given_up)
    }

    /// The session broke while these were fetched; the reason for quarantine if that was once too
    /// often. Only one that was asked for alone can be to blame, and only an answer that breaks the
    /// protocol speaks against it, from a server that gives others: a connection may be lost for
    /// any other reason.
    pub fn broken(&mut self, entries: &[Entry], error: &MailboxError) -> Option<String> {
        let [entry] = entries else {
            for entry in entries {
                self.remember(&entry.location);
            }
            return None;
        };
        let Trial { attempts, others } = *self.count(&entry.location);
        match error {
            MailboxError::Protocol(message) if others && attempts >= ATTEMPTS_MAX => {
                Some(reason(entry, attempts, &format!("gave no proper answer ({message})")))
            }
            _ => None,
        }
    }

    fn remember(&mut self, location: &Location) {
        if self.0.len() < REMEMBERED_MAX {
            self.0.entry(location.clone()).or_default();
        }
    }

    fn count(&mut self, location: &Location) -> &Trial {
        let trial = self.0.entry(location.clone()).or_default();
        trial.attempts = trial.attempts.saturating_add(1);
        trial
    }
}

fn reason(entry: &Entry, attempts: u32, what: &str) -> String {
    let size = match entry.size_bytes {
        Some(size) => format!("{size} bytes"),
        None => "size unknown".to_owned(),
    };
    format!(
        "the server lists the mail {} ({size}) and {what}, {attempts} times; it lies there \
         untouched: look at it with a mail program, then release it to have it asked for again",
        entry.location.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        let location = Location(name.to_owned());
        Entry { location, handle: 1, size_bytes: Some(10), seen: false, arrived: None }
    }

    fn garbage() -> MailboxError {
        MailboxError::Protocol("garbage".into())
    }

    #[track_caller]
    fn check_order(ungiven: &Ungiven, expected: (&[&str], &[&str])) {
        let fresh = ["a", "b", "c", "d"].map(entry).to_vec();
        let names = |entries: Vec<Entry>| -> Vec<String> {
            entries.into_iter().map(|entry| entry.location.0).collect()
        };
        let (together, alone) = ungiven.part(fresh);
        assert_eq!((names(together), names(alone)), {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            (owned(expected.0), owned(expected.1))
        });
    }

    #[test]
    fn one_that_fails_goes_behind_all_others() {
        let mut ungiven = Ungiven::default();
        check_order(&ungiven, (&["a", "b", "c", "d"], &[]));
        ungiven.broken(&[entry("a"), entry("b"), entry("c")], &garbage());
        check_order(&ungiven, (&["d"], &["a", "b", "c"]));
        ungiven.broken(&[entry("a")], &garbage());
        ungiven.given(&Location("b".into()));
        check_order(&ungiven, (&["b", "d"], &["c", "a"]));
    }

    #[test]
    fn the_fifth_time_is_once_too_often() {
        let mut ungiven = Ungiven::default();
        ungiven.broken(&[entry("a"), entry("b")], &garbage());
        ungiven.given(&Location("c".into()));
        for _ in 1..ATTEMPTS_MAX {
            assert_eq!(ungiven.missing(&[entry("a")], false), Some(Vec::new()));
            assert_eq!(ungiven.broken(&[entry("b")], &garbage()), None);
        }
        let given_up = ungiven.missing(&[entry("a")], false).unwrap();
        let reason = &given_up[0].1;
        assert!(reason.contains("the mail a (10 bytes) and did not give it, 5 times"), "{reason}");
        let reason = ungiven.broken(&[entry("b")], &garbage()).unwrap();
        assert!(reason.contains("gave no proper answer (garbage), 5 times"), "{reason}");
    }

    #[test]
    fn a_server_that_gives_nothing_speaks_against_no_mail() {
        let mut ungiven = Ungiven::default();
        for _ in 0..2 * ATTEMPTS_MAX {
            assert_eq!(ungiven.missing(&[entry("a"), entry("b")], false), None);
            assert_eq!(ungiven.broken(&[entry("c")], &garbage()), None);
        }
        assert_eq!(ungiven.missing(&[entry("a"), entry("b")], true), Some(Vec::new()));
    }

    #[test]
    fn a_lost_connection_speaks_against_no_mail() {
        let mut ungiven = Ungiven::default();
        ungiven.broken(&[entry("a"), entry("b")], &garbage());
        ungiven.given(&Location("b".into()));
        for _ in 0..2 * ATTEMPTS_MAX {
            assert_eq!(ungiven.broken(&[entry("a")], &MailboxError::Timeout("RETR")), None);
        }
    }
}
