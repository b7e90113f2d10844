//! How often somebody may try to sign in.
//!
//! Every attempt is counted before the password is looked at, so that many at once gain nothing,
//! and is forgotten when it was right. After some free failures each further one doubles the wait,
//! up to a minute.
//!
//! ```text
//! a browser from which this user has signed in before   its own failures, nobody else's
//! any other browser                                     failures from its address, whatever the name
//!                                                       failures for this user, from wherever
//! ```
//! An attacker who guesses cannot lock a user out of a browser that they have used before (OWASP,
//! "Slow Down Online Guessing Attacks with Device Cookies"). A user is counted, not a spelling of
//! the name. A name that belongs to nobody is counted like a user: the wait tells nothing about who
//! exists.
//!
//! Architecture invariant: it lives in memory and is bounded; it knows no clock of its own.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::device::DeviceId;
use super::proxy::network;
use super::serve::Client;

/// Users, addresses or browsers remembered; beyond them the one that was quiet for longest is
/// forgotten.
const REMEMBERED_MAX: usize = 20_000;
/// Names of nobody remembered. They are counted apart, so that they displace no user.
const STRANGERS_MAX: usize = 4_096;
/// After this time of quiet failures are forgotten.
const QUIET: SignedDuration = SignedDuration::from_hours(1);
/// Longest wait. Short, because a right password has to wait, too.
const WAIT_SECS_MAX: i64 = 60;
/// Failures that cost nothing, of one browser from which the user has signed in before.
const FREE_PER_DEVICE: u32 = 5;
/// The same of one address.
const FREE_PER_ADDRESS: u32 = 10;
/// The same of one user, from all addresses together.
const FREE_PER_USER: u32 = 20;
/// Longest name of nobody that is told from others, in characters.
const NAME_CHARS_MAX: usize = 64;

/// Who is meant by the name that was typed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Named {
    /// This user of the configuration, however the name was written.
    User(String),
    /// Nobody; the name as it is compared.
    Nobody(String),
}

/// Where an attempt comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The network of whoever is connected, or of the client of a trusted proxy.
    address: IpAddr,
    /// For whom an undeclared proxy says that it asks. It tells the people behind that proxy apart.
    /// Whoever makes it up escapes the limit of an address, not that of a user.
    claimed: Option<IpAddr>,
}

/// One attempt to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// For whom.
    pub named: Named,
    /// From where.
    pub origin: Origin,
    /// The browser, if this user has signed in from it before.
    pub device: Option<DeviceId>,
}

/// Remembers failures.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    devices: Counters<DeviceId>,
    addresses: Counters<Origin>,
    users: Counters<String>,
    strangers: Counters<String>,
    /// What is forgiven to a user who then signs in; nobody waits for it.
    mistyped: Counters<(String, Origin)>,
}

/// Failures of one kind of thing.
#[derive(Debug)]
struct Counters<K>(HashMap<K, Failures>);

/// What one of them did.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Named {
    /// Nobody of this name.
    pub fn nobody(name: &str) -> Named {
        Named::Nobody(name.chars().take(NAME_CHARS_MAX).collect())
    }
}

impl From<&Client> for Origin {
    fn from(client: &Client) -> Origin {
        Origin { address: network(client.address), claimed: client.claimed.map(network) }
    }
}

impl Throttle {
    /// Counts an attempt; an error says how many seconds to wait instead.
    pub fn attempt(&self, attempt: &Attempt, now: Timestamp) -> Result<(), i64> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secs) = known.wait(attempt, now) {
            return Err(secs);
        }
        known.count(attempt, now);
        Ok(())
    }

    /// The attempt was right: it does not count, and neither does what this person mistyped here.
    /// What was tried for others stays: whoever knows one password may be guessing others.
    pub fn forget(&self, attempt: &Attempt) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = &attempt.device {
            known.devices.0.remove(device);
            return;
        }
        let Named::User(user) = &attempt.named else { return };
        let mistyped = known.mistyped.0.remove(&(user.clone(), attempt.origin));
        let count = mistyped.map_or(1, |failures| failures.count);
        known.addresses.forgive(&attempt.origin, count);
        known.users.forgive(user, count);
    }
}

impl Known {
    /// Seconds that are left to wait.
    fn wait(&self, attempt: &Attempt, now: Timestamp) -> Option<i64> {
        if let Some(device) = &attempt.device {
            return self.devices.wait(device, FREE_PER_DEVICE, now);
        }
        let address = self.addresses.wait(&attempt.origin, FREE_PER_ADDRESS, now);
        let named = match &attempt.named {
            Named::User(user) => self.users.wait(user, FREE_PER_USER, now),
            Named::Nobody(name) => self.strangers.wait(name, FREE_PER_USER, now),
        };
        address.max(named)
    }

    fn count(&mut self, attempt: &Attempt, now: Timestamp) {
        if let Some(device) = &attempt.device {
            return self.devices.count(device.clone(), REMEMBERED_MAX, now);
        }
        self.addresses.count(attempt.origin, REMEMBERED_MAX, now);
        match &attempt.named {
            Named::User(user) => {
                self.users.count(user.clone(), REMEMBERED_MAX, now);
                self.mistyped.count((user.clone(), attempt.origin), REMEMBERED_MAX, now);
            }
            Named::Nobody(name) => self.strangers.count(name.clone(), STRANGERS_MAX, now),
        }
    }
}

impl<K> Default for Counters<K> {
    fn default() -> Counters<K> {
        Counters(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash> Counters<K> {
    fn wait(&self, key: &K, free: u32, now: Timestamp) -> Option<i64> {
        let failures = self.0.get(key)?;
        let beyond = failures.count.checked_sub(free)?;
        let secs = 1_i64.checked_shl(beyond.min(30)).unwrap_or(WAIT_SECS_MAX).min(WAIT_SECS_MAX);
        let gone = now.duration_since(failures.last);
        // A clock that was set back makes nobody wait longer than was meant.
        let left = SignedDuration::from_secs(secs) - gone.max(SignedDuration::ZERO);
        (gone < QUIET && left > SignedDuration::ZERO).then(|| left.as_secs().max(1))
    }

    fn count(&mut self, key: K, most: usize, now: Timestamp) {
        if self.0.len() >= most && !self.0.contains_key(&key) {
            self.make_room(most, now);
        }
        let failures = self.0.entry(key).or_insert(Failures { count: 0, last: now });
        if now.duration_since(failures.last) >= QUIET {
            failures.count = 0;
        }
        *failures = Failures { count: failures.count.saturating_add(1), last: now };
    }

    fn forgive(&mut self, key: &K, count: u32) {
        if let Some(failures) = self.0.get_mut(key) {
            failures.count = failures.count.saturating_sub(count);
        }
    }

    fn make_room(&mut self, most: usize, now: Timestamp) {
        self.0.retain(|_, failures| now.duration_since(failures.last) < QUIET);
        if self.0.len() < most {
            return;
        }
        let oldest = self.0.iter().min_by_key(|(_, failures)| failures.last);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.0.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    fn origin(last: u8) -> Origin {
        Origin { address: IpAddr::from([192, 0, 2, last]), claimed: None }
    }

    fn user(name: &str, last: u8) -> Attempt {
        Attempt { named: Named::User(name.into()), origin: origin(last), device: None }
    }

    fn nobody(name: &str, last: u8) -> Attempt {
        Attempt { named: Named::nobody(name), ..user("", last) }
    }

    fn from_browser(name: &str, device: &str, last: u8) -> Attempt {
        Attempt { device: Some(DeviceId::of(device)), ..user(name, last) }
    }

    /// Lets an attempt fail so often at this time, as often as it may.
    fn fail(throttle: &Throttle, attempt: &Attempt, times: u32, secs: i64) {
        for _ in 0..times {
            let _ = throttle.attempt(attempt, at(secs));
        }
    }

    #[test]
    fn each_failure_beyond_the_free_ones_doubles_the_wait() {
        let throttle = Throttle::default();
        let alice = user("alice", 1);
        for _ in 0..FREE_PER_ADDRESS {
            assert_eq!(throttle.attempt(&alice, at(0)), Ok(()));
        }
        assert_eq!(throttle.attempt(&alice, at(0)), Err(1));
        assert_eq!(throttle.attempt(&alice, at(1)), Ok(()));
        assert_eq!(throttle.attempt(&alice, at(1)), Err(2));
        assert_eq!(throttle.attempt(&alice, at(3)), Ok(()));
        assert_eq!(throttle.attempt(&alice, at(3)), Err(4));
        assert_eq!(throttle.attempt(&user("alice", 2), at(3)), Ok(()), "another place");
    }

    #[test]
    fn waits_are_bounded_and_end() {
        let throttle = Throttle::default();
        let (alice, mut now, mut longest) = (user("alice", 1), 0, 0);
        for _ in 0..40 {
            while let Err(secs) = throttle.attempt(&alice, at(now)) {
                longest = longest.max(secs);
                now += secs;
            }
        }
        assert_eq!(longest, WAIT_SECS_MAX);
        assert!(throttle.attempt(&alice, at(now)).is_err());
        assert_eq!(throttle.attempt(&alice, at(now + 3600)), Ok(()));
        assert_eq!(throttle.attempt(&alice, at(now + 3600)), Ok(()), "forgotten");
    }

    #[test]
    fn a_right_password_forgets_what_was_mistyped() {
        let throttle = Throttle::default();
        for _ in 0..100 {
            for _ in 0..4 {
                assert_eq!(throttle.attempt(&user("alice", 1), at(0)), Ok(()));
            }
            throttle.forget(&user("alice", 1));
        }
    }

    #[test]
    fn a_right_password_does_not_forget_what_was_tried_for_others() {
        let throttle = Throttle::default();
        for failed in 1..=FREE_PER_ADDRESS {
            assert_eq!(throttle.attempt(&user("bob", 1), at(0)), Ok(()));
            if failed < FREE_PER_ADDRESS {
                assert_eq!(throttle.attempt(&user("mallory", 1), at(0)), Ok(()));
                throttle.forget(&user("mallory", 1));
            }
        }
        assert!(throttle.attempt(&user("bob", 1), at(0)).is_err());
    }

    /// From one address the wait depends on nothing but the number of failures, whatever the names.
    #[test]
    fn the_wait_does_not_tell_who_exists() {
        for failed in 0..=FREE_PER_ADDRESS + 2 {
            for names in [["alice", "alice"], ["alice", "bob"]] {
                let throttle = Throttle::default();
                let mut now = 0;
                for _ in 0..failed {
                    while let Err(secs) = throttle.attempt(&nobody(names[0], 1), at(now)) {
                        now += secs;
                    }
                }
                let asked = |attempt: &Attempt| throttle.0.lock().unwrap().wait(attempt, at(now));
                assert_eq!(asked(&user(names[1], 1)), asked(&nobody(names[1], 1)), "{failed}");
            }
        }
        // Nor does it from many addresses.
        let throttle = Throttle::default();
        for last in 0..FREE_PER_USER as u8 {
            fail(&throttle, &user("alice", last), 1, 0);
            fail(&throttle, &nobody("zzz", last), 1, 0);
        }
        assert_eq!(throttle.attempt(&user("alice", 99), at(0)), Err(1));
        assert_eq!(throttle.attempt(&nobody("zzz", 99), at(0)), Err(1));
    }

    #[test]
    fn an_address_that_tries_many_names_is_slowed() {
        let throttle = Throttle::default();
        for name in 0..FREE_PER_ADDRESS {
            assert_eq!(throttle.attempt(&nobody(&format!("user{name}"), 1), at(0)), Ok(()));
        }
        assert!(throttle.attempt(&nobody("another", 1), at(0)).is_err());
        assert!(throttle.attempt(&user("alice", 1), at(0)).is_err());
        assert_eq!(throttle.attempt(&nobody("another", 2), at(0)), Ok(()));
    }

    #[test]
    fn many_addresses_slow_a_user_but_lock_nobody_out() {
        let throttle = Throttle::default();
        for last in 0..200 {
            fail(&throttle, &user("alice", last), 10, 0);
        }
        let secs = throttle.attempt(&user("alice", 250), at(0)).unwrap_err();
        assert!(secs <= WAIT_SECS_MAX);
        assert_eq!(throttle.attempt(&user("alice", 250), at(WAIT_SECS_MAX)), Ok(()));
    }

    #[test]
    fn a_browser_that_is_known_waits_for_its_own_failures_alone() {
        let throttle = Throttle::default();
        for last in 0..200 {
            fail(&throttle, &user("alice", last), 100, 0);
        }
        let known = from_browser("alice", "one", 7);
        assert!(throttle.attempt(&user("alice", 7), at(0)).is_err());
        for _ in 0..FREE_PER_DEVICE {
            assert_eq!(throttle.attempt(&known, at(0)), Ok(()));
        }
        assert_eq!(throttle.attempt(&known, at(0)), Err(1));
        assert_eq!(throttle.attempt(&from_browser("alice", "two", 7), at(0)), Ok(()));
        throttle.forget(&known);
        assert_eq!(throttle.attempt(&known, at(0)), Ok(()));
    }

    #[test]
    fn people_behind_an_undeclared_proxy_are_told_apart_and_users_still_counted() {
        let throttle = Throttle::default();
        let behind = |client: u8, name: &str| {
            let claimed = Some(IpAddr::from([203, 0, 113, client]));
            Attempt { origin: Origin { claimed, ..origin(1) }, ..user(name, 1) }
        };
        fail(&throttle, &behind(9, "bob"), 100, 0);
        assert!(throttle.attempt(&behind(9, "alice"), at(0)).is_err());
        assert_eq!(throttle.attempt(&behind(7, "alice"), at(0)), Ok(()));
        // Whoever makes the client up is stopped at the user.
        for client in 0..FREE_PER_USER as u8 {
            let _ = throttle.attempt(&behind(client, "alice"), at(0));
        }
        assert!(throttle.attempt(&behind(222, "alice"), at(0)).is_err());
    }

    #[test]
    fn memory_is_bounded_and_strangers_displace_no_user() {
        let throttle = Throttle::default();
        for last in 0..30 {
            fail(&throttle, &user("alice", last), 1, 0);
        }
        for many in 0..(REMEMBERED_MAX as u32 + 10) {
            let address = IpAddr::from((many + (10 << 24)).to_be_bytes());
            let named = Named::nobody(&format!("user{many}"));
            let origin = Origin { address, claimed: None };
            let attempt = Attempt { named, origin, device: None };
            throttle.attempt(&attempt, at(i64::from(many) / 1000)).unwrap();
        }
        let known = throttle.0.lock().unwrap();
        assert!(known.addresses.0.len() <= REMEMBERED_MAX);
        assert!(known.strangers.0.len() <= STRANGERS_MAX);
        assert!(known.wait(&user("alice", 99), at(0)).is_some());
    }
}
