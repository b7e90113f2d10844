//! How often somebody may try to sign in.
//!
//! Every attempt is counted before the password is looked at, so that many at once gain nothing,
//! and is forgotten when it was right. After some free failures each further one doubles the wait.
//! One person's mistakes slow that person at that place; a guesser from many places is slowed by
//! name, but briefly, so that he cannot lock anybody out.
//!
//! Architecture invariant: it lives in memory and is bounded; it knows no clock of its own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::proxy::network;

/// Names and peers remembered; beyond them the one that was quiet for longest is forgotten.
const REMEMBERED_MAX: usize = 20_000;
/// After this time of quiet the failures of a name or a peer are forgotten.
const QUIET: SignedDuration = SignedDuration::from_hours(1);
/// Longest user name that is told from others, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    /// One name, tried from one peer.
    NameAtPeer(String, IpAddr),
    /// One name, from wherever.
    Name(String),
    /// One peer, whatever the name.
    Peer(IpAddr),
}

/// What one of them did.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// Remembers failures.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<Who, Failures>>);

impl Who {
    /// Failures that cost nothing, and the longest wait after them in seconds.
    fn bounds(&self) -> (u32, i64) {
        match self {
            Who::NameAtPeer(..) => (5, 15 * 60),
            Who::Name(_) => (50, 60),
            Who::Peer(_) => (30, 15 * 60),
        }
    }

    fn all(name: &str, peer: IpAddr) -> [Who; 3] {
        let name: String = name.to_lowercase().chars().take(NAME_BYTES_MAX / 4).collect();
        let peer = network(peer);
        [Who::NameAtPeer(name.clone(), peer), Who::Name(name), Who::Peer(peer)]
    }
}

impl Throttle {
    /// Counts an attempt; an error says how many seconds to wait instead.
    pub fn attempt(&self, name: &str, peer: IpAddr, now: Timestamp) -> Result<(), i64> {
        let all = Who::all(name, peer);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = all.iter().filter_map(|who| wait(who, known.get(who)?, now)).max();
        if let Some(secs) = wait {
            return Err(secs);
        }
        for who in all {
            if known.len() >= REMEMBERED_MAX && !known.contains_key(&who) {
                make_room(&mut known, now);
            }
            let failures = known.entry(who).or_insert(Failures { count: 0, last: now });
            if now.duration_since(failures.last) >= QUIET {
                failures.count = 0;
            }
            *failures = Failures { count: failures.count.saturating_add(1), last: now };
        }
        Ok(())
    }

    /// The attempt was right: it does not count, and neither does what this person mistyped here.
    pub fn forget(&self, name: &str, peer: IpAddr) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for who in Who::all(name, peer) {
            match who {
                Who::NameAtPeer(..) => {
                    known.remove(&who);
                }
                // Whoever knows one password may still be guessing others.
                Who::Name(_) | Who::Peer(_) => {
                    if let Some(failures) = known.get_mut(&who) {
                        failures.count = failures.count.saturating_sub(1);
                    }
                }
            }
        }
    }
}

/// Seconds that are left to wait.
fn wait(who: &Who, failures: &Failures, now: Timestamp) -> Option<i64> {
    let (free, longest) = who.bounds();
    let beyond = failures.count.checked_sub(free)?;
    let secs = 1_i64.checked_shl(beyond.min(30)).unwrap_or(longest).min(longest);
    let gone = now.duration_since(failures.last);
    // A clock that was set back makes nobody wait longer than was meant.
    let left = SignedDuration::from_secs(secs) - gone.max(SignedDuration::ZERO);
    (gone < QUIET && left > SignedDuration::ZERO).then(|| left.as_secs().max(1))
}

fn make_room(known: &mut HashMap<Who, Failures>, now: Timestamp) {
    known.retain(|_, failures| now.duration_since(failures.last) < QUIET);
    if known.len() < REMEMBERED_MAX {
        return;
    }
    let oldest = known.iter().min_by_key(|(_, failures)| failures.last);
    if let Some(who) = oldest.map(|(who, _)| who.clone()) {
        known.remove(&who);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn each_failure_beyond_the_free_ones_doubles_the_wait() {
        let throttle = Throttle::default();
        for _ in 0..5 {
            assert_eq!(throttle.attempt("alice", peer(1), at(0)), Ok(()));
        }
        assert_eq!(throttle.attempt("alice", peer(1), at(0)), Err(1));
        assert_eq!(throttle.attempt("Alice", peer(1), at(1)), Ok(()));
        assert_eq!(throttle.attempt("alice", peer(1), at(1)), Err(2));
        assert_eq!(throttle.attempt("alice", peer(1), at(3)), Ok(()));
        assert_eq!(throttle.attempt("alice", peer(1), at(3)), Err(4));
        assert_eq!(throttle.attempt("bob", peer(1), at(3)), Ok(()), "another name");
        assert_eq!(throttle.attempt("alice", peer(2), at(3)), Ok(()), "another place");
    }

    #[test]
    fn waits_are_bounded_and_end() {
        let throttle = Throttle::default();
        let mut now = 0;
        for _ in 0..40 {
            while let Err(secs) = throttle.attempt("alice", peer(1), at(now)) {
                assert!(secs <= 15 * 60);
                now += secs;
            }
        }
        assert!(throttle.attempt("alice", peer(1), at(now)).is_err());
        assert_eq!(throttle.attempt("alice", peer(1), at(now + 3600)), Ok(()));
        assert_eq!(throttle.attempt("alice", peer(1), at(now + 3600)), Ok(()), "forgotten");
    }

    #[test]
    fn a_right_password_forgets_what_was_mistyped() {
        let throttle = Throttle::default();
        for _ in 0..100 {
            for _ in 0..4 {
                assert_eq!(throttle.attempt("alice", peer(1), at(0)), Ok(()));
                throttle.forget("alice", peer(1));
            }
        }
    }

    #[test]
    fn a_peer_that_tries_many_names_is_slowed() {
        let throttle = Throttle::default();
        for name in 0..30 {
            assert_eq!(throttle.attempt(&format!("user{name}"), peer(1), at(0)), Ok(()));
        }
        assert_eq!(throttle.attempt("one-more", peer(1), at(0)), Err(1));
        assert_eq!(throttle.attempt("one-more", peer(2), at(0)), Ok(()));
    }

    #[test]
    fn many_peers_slow_a_name_but_lock_nobody_out() {
        let throttle = Throttle::default();
        for last in 0..200 {
            let _ = throttle.attempt("alice", peer(last), at(0));
        }
        let secs = throttle.attempt("alice", peer(250), at(0)).unwrap_err();
        assert!(secs <= 60);
        assert_eq!(throttle.attempt("alice", peer(250), at(60)), Ok(()));
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        for many in 0..(REMEMBERED_MAX as u32 / 3 + 10) {
            let peer = IpAddr::from((many + (10 << 24)).to_be_bytes());
            throttle.attempt(&format!("user{many}"), peer, at(i64::from(many) / 100)).unwrap();
        }
        assert!(throttle.0.lock().unwrap().len() <= REMEMBERED_MAX);
    }
}
