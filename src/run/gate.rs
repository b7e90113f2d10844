//! Bounds what all pollers together may hold: sessions, sessions per host, bytes in flight.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Sessions of all pollers at a time.
pub const SESSIONS_MAX: usize = 256;
/// Bytes of mails that are fetched and not yet recorded, over all accounts. One larger mail
/// passes alone.
pub const IN_FLIGHT_BYTES_MAX: u64 = 48 * 1024 * 1024;

/// Accounts that look for half-done mails at a time: at a start all of them do, and each takes a
/// thread for it.
pub const RESUMES_MAX: usize = 16;
/// Hosts that are remembered before those without a session are forgotten.
const HOSTS_MIN: usize = 64;

/// Bytes are counted in these units, because a semaphore counts to 2³² only.
const UNIT_BYTES: u64 = 1024;

/// The bounds, shared by all pollers.
#[derive(Debug)]
pub struct Gate {
    sessions: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    resumes: Arc<Semaphore>,
    hosts: Mutex<Hosts>,
}

/// Hosts with which there are sessions, and some with which there were.
#[derive(Debug, Default)]
struct Hosts {
    by_name: HashMap<String, Host>,
    /// With so many, those without a session are forgotten: each of ten thousand accounts may
    /// have a host of its own.
    sweep_at: usize,
}

#[derive(Debug, Clone)]
struct Host {
    limit: usize,
    sessions: Arc<Semaphore>,
    // Waiting sessions are kept open for hours. Were they allowed to take every place, the
    // other accounts of the host would never get their turn.
    waiting: Arc<Semaphore>,
}

/// The right to one session; given back when dropped.
#[derive(Debug)]
pub struct Pass {
    _all: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
    waiting: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate {
            sessions: Arc::new(Semaphore::new(SESSIONS_MAX)),
            bytes: Arc::new(Semaphore::new((IN_FLIGHT_BYTES_MAX / UNIT_BYTES) as usize)),
            resumes: Arc::new(Semaphore::new(RESUMES_MAX)),
            hosts: Mutex::default(),
        }
    }
}

impl Gate {
    /// Waits for the right to one session with this host.
    pub async fn session(&self, host: &str, per_host: usize) -> Pass {
        let place = self.host(host, per_host.max(1));
        let host = acquire(&place.sessions, 1).await;
        let all = acquire(&self.sessions, 1).await;
        Pass { _all: all, _host: host, waiting: place.waiting }
    }

    /// Waits for room for this many bytes.
    pub async fn bytes(&self, bytes: u64) -> OwnedSemaphorePermit {
        let units = bytes.min(IN_FLIGHT_BYTES_MAX).div_ceil(UNIT_BYTES) as u32;
        acquire(&self.bytes, units).await
    }

    /// Waits for the right to take in what a crash left half-done.
    pub async fn resume(&self) -> OwnedSemaphorePermit {
        acquire(&self.resumes, 1).await
    }

    fn host(&self, name: &str, limit: usize) -> Host {
        let mut hosts = self.hosts.lock().expect("no panic while holding the hosts");
        let known = hosts.by_name.get(name).filter(|host| host.limit == limit);
        if let Some(host) = known {
            return host.clone();
        }
        hosts.sweep();
        let host = Host {
            limit,
            sessions: Arc::new(Semaphore::new(limit)),
            waiting: Arc::new(Semaphore::new(limit / 2)),
        };
        hosts.by_name.insert(name.to_owned(), host.clone());
        host
    }
}

impl Hosts {
    /// Forgets hosts that nobody holds a place of or waits for: made anew they are the same.
    fn sweep(&mut self) {
        if self.by_name.len() >= self.sweep_at {
            self.by_name.retain(|_, host| Arc::strong_count(&host.sessions) > 1);
            self.sweep_at = HOSTS_MIN.max(2 * self.by_name.len());
        }
    }
}

impl Pass {
    /// The right to keep the session open while nothing happens; `None` if half of the host's
    /// sessions wait already.
    pub fn may_wait(&self) -> Option<OwnedSemaphorePermit> {
        self.waiting.clone().try_acquire_owned().ok()
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, units: u32) -> OwnedSemaphorePermit {
    semaphore.clone().acquire_many_owned(units).await.expect("the gate is never closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_host_admits_as_many_as_declared() {
        let gate = Gate::default();
        let first = gate.session("mx", 2).await;
        let _second = gate.session("mx", 2).await;
        assert!(gate.session("mx", 2).now_or_never().is_none());
        assert!(gate.session("other", 2).now_or_never().is_some());
        drop(first);
        assert!(gate.session("mx", 2).now_or_never().is_some());
    }

    #[tokio::test]
    async fn hosts_without_a_session_are_forgotten() {
        let gate = Gate::default();
        let held = gate.session("held", 1).await;
        for number in 0..10 * HOSTS_MIN {
            drop(gate.session(&number.to_string(), 1).await);
        }
        assert!(gate.hosts.lock().unwrap().by_name.len() <= HOSTS_MIN + 1);
        assert!(gate.session("held", 1).now_or_never().is_none());
        drop(held);
        assert!(gate.session("held", 1).now_or_never().is_some());
    }

    #[tokio::test]
    async fn only_half_of_a_host_may_wait() {
        let gate = Gate::default();
        let pass = gate.session("mx", 2).await;
        let waiting = pass.may_wait();
        assert!(waiting.is_some());
        assert!(pass.may_wait().is_none());
    }

    #[tokio::test]
    async fn a_mail_larger_than_the_bound_passes_alone() {
        let gate = Gate::default();
        let large = gate.bytes(u64::MAX).await;
        assert!(gate.bytes(1).now_or_never().is_none());
        drop(large);
        assert!(gate.bytes(1).now_or_never().is_some());
    }
}
