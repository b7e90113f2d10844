//! Bounds what all pollers together may hold: sessions, sessions per host, bytes in flight.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Sessions at a time of accounts whose last session went well.
pub const SESSIONS_MAX: usize = 256;
/// Sessions at a time of accounts of which nothing is known yet: at a start, all of them.
pub const NEW_SESSIONS_MAX: usize = 192;
/// Sessions at a time of accounts whose last session failed, or whose server is late. They have places of their own: servers
/// that hang until the deadline would take all of them, and the others had to wait.
pub const DOUBTFUL_SESSIONS_MAX: usize = 128;
/// Sessions that are kept open while nothing happens, which may be for hours. They, too, take no
/// place from those that look.
pub const WAITING_SESSIONS_MAX: usize = 192;
/// Bytes of mails that are fetched and not yet recorded, over all accounts. One larger mail
/// passes alone.
pub const IN_FLIGHT_BYTES_MAX: u64 = 48 * 1024 * 1024;
/// Bytes of such mails of accounts that are slow or fail, beside the others'.
pub const DOUBTFUL_BYTES_MAX: u64 = 16 * 1024 * 1024;

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
    new: Arc<Semaphore>,
    doubtful: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    doubtful_bytes: Arc<Semaphore>,
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
    // Were they allowed to take every place, the other accounts of the host would never get their
    // turn.
    waiting: Arc<Semaphore>,
}

/// How an account was served the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Well.
    Good,
    /// Not at all so far.
    New,
    /// Not at all, slowly, or only after a while.
    Doubtful,
}

/// The right to one session; given back when dropped.
#[derive(Debug)]
pub struct Pass {
    /// One of all sessions, of whatever kind this one is.
    place: OwnedSemaphorePermit,
    _of_host: OwnedSemaphorePermit,
    host: Host,
    doubtful: Arc<Semaphore>,
    /// Sessions that wait, and its right to be one of its host's.
    waiting: Arc<Semaphore>,
    waits: Option<OwnedSemaphorePermit>,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate {
            sessions: Arc::new(Semaphore::new(SESSIONS_MAX)),
            new: Arc::new(Semaphore::new(NEW_SESSIONS_MAX)),
            doubtful: Arc::new(Semaphore::new(DOUBTFUL_SESSIONS_MAX)),
            waiting: Arc::new(Semaphore::new(WAITING_SESSIONS_MAX)),
            bytes: Arc::new(Semaphore::new(units(IN_FLIGHT_BYTES_MAX) as usize)),
            doubtful_bytes: Arc::new(Semaphore::new(units(DOUBTFUL_BYTES_MAX) as usize)),
            resumes: Arc::new(Semaphore::new(RESUMES_MAX)),
            hosts: Mutex::default(),
        }
    }
}

impl Gate {
    /// Waits for the right to one session with this host.
    pub async fn session(&self, host: &str, per_host: usize, standing: Standing) -> Pass {
        let host = self.host(host, per_host.max(1));
        let of_host = acquire(&host.sessions, 1).await;
        let place = acquire(self.places(standing), 1).await;
        let (doubtful, waiting) = (self.doubtful.clone(), self.waiting.clone());
        Pass { place, _of_host: of_host, host, doubtful, waiting, waits: None }
    }

    fn places(&self, standing: Standing) -> &Arc<Semaphore> {
        match standing {
            Standing::Good => &self.sessions,
            Standing::New => &self.new,
            Standing::Doubtful => &self.doubtful,
        }
    }

    /// Places that nobody has.
    #[cfg(test)]
    pub fn free(&self, standing: Standing) -> usize {
        self.places(standing).available_permits()
    }

    /// Waits for room for this many bytes.
    pub async fn bytes(&self, bytes: u64, standing: Standing) -> OwnedSemaphorePermit {
        let (room, max) = self.room(standing);
        acquire(room, units(bytes.min(max))).await
    }

    /// Room for this many bytes, if there is some now.
    pub fn bytes_now(&self, bytes: u64, standing: Standing) -> Option<OwnedSemaphorePermit> {
        let (room, max) = self.room(standing);
        room.clone().try_acquire_many_owned(units(bytes.min(max))).ok()
    }

    fn room(&self, standing: Standing) -> (&Arc<Semaphore>, u64) {
        match standing {
            Standing::Good | Standing::New => (&self.bytes, IN_FLIGHT_BYTES_MAX),
            Standing::Doubtful => (&self.doubtful_bytes, DOUBTFUL_BYTES_MAX),
        }
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
    /// Gives its place back for one among the doubtful; `false` if there is none.
    pub fn is_now_doubtful(&mut self) -> bool {
        let place = self.doubtful.clone().try_acquire_owned();
        place.map(|place| self.place = place).is_ok()
    }

    /// Whether the session may be kept open while nothing happens; not if half of its host's wait
    /// already, or too many of all. From then on it has a place among those that wait.
    pub fn may_wait(&mut self) -> bool {
        if self.waits.is_none()
            && let Ok(of_host) = self.host.waiting.clone().try_acquire_owned()
            && let Ok(place) = self.waiting.clone().try_acquire_owned()
        {
            self.waits = Some(of_host);
            self.place = place;
        }
        self.waits.is_some()
    }
}

fn units(bytes: u64) -> u32 {
    bytes.div_ceil(UNIT_BYTES) as u32
}

async fn acquire(semaphore: &Arc<Semaphore>, units: u32) -> OwnedSemaphorePermit {
    semaphore.clone().acquire_many_owned(units).await.expect("the gate is never closed")
}

#[cfg(test)]
mod tests {
    use super::Standing::{Doubtful, Good, New};
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_host_admits_as_many_as_declared() {
        let gate = Gate::default();
        let first = gate.session("mx", 2, Good).await;
        let _second = gate.session("mx", 2, Doubtful).await;
        assert!(gate.session("mx", 2, Good).now_or_never().is_none());
        assert!(gate.session("other", 2, Good).now_or_never().is_some());
        drop(first);
        assert!(gate.session("mx", 2, Good).now_or_never().is_some());
    }

    #[tokio::test]
    async fn hosts_without_a_session_are_forgotten() {
        let gate = Gate::default();
        let held = gate.session("held", 1, Good).await;
        for number in 0..10 * HOSTS_MIN {
            drop(gate.session(&number.to_string(), 1, Good).await);
        }
        assert!(gate.hosts.lock().unwrap().by_name.len() <= HOSTS_MIN + 1);
        assert!(gate.session("held", 1, Good).now_or_never().is_none());
        drop(held);
        assert!(gate.session("held", 1, Good).now_or_never().is_some());
    }

    #[tokio::test]
    async fn only_half_of_a_host_may_wait() {
        let gate = Gate::default();
        let mut one = gate.session("mx", 2, Good).await;
        let mut another = gate.session("mx", 2, Good).await;
        assert!(one.may_wait() && !another.may_wait());
        assert!(one.may_wait(), "it waits already");
        drop(one);
        assert!(another.may_wait());
    }

    /// As many sessions as begin, each with a host of its own.
    fn all_that_begin(gate: &Gate, standing: Standing) -> Vec<Pass> {
        // Without this, a task that finds many places free is made to pause.
        let begin = |host: String| {
            tokio::task::unconstrained(gate.session(&host, 3, standing)).now_or_never()
        };
        (0..).map_while(|at| begin(format!("host{at}"))).collect()
    }

    #[tokio::test]
    async fn those_that_fail_or_are_new_take_no_place_from_the_others() {
        let gate = Gate::default();
        let failing = all_that_begin(&gate, Doubtful);
        assert_eq!(failing.len(), DOUBTFUL_SESSIONS_MAX);
        let new = all_that_begin(&gate, New);
        assert_eq!(new.len(), NEW_SESSIONS_MAX);
        assert_eq!(all_that_begin(&gate, Good).len(), SESSIONS_MAX);
    }

    #[tokio::test]
    async fn those_that_wait_take_no_place_from_those_that_look() {
        let gate = Gate::default();
        let mut begun = all_that_begin(&gate, Good);
        let waiting = begun.iter_mut().filter_map(|pass| pass.may_wait().then_some(())).count();
        assert_eq!(waiting, WAITING_SESSIONS_MAX);
        assert_eq!(all_that_begin(&gate, Good).len(), WAITING_SESSIONS_MAX);
    }

    #[tokio::test]
    async fn a_mail_larger_than_the_bound_passes_alone() {
        let gate = Gate::default();
        for (standing, other) in [(Good, Doubtful), (Doubtful, Good)] {
            let large = gate.bytes(u64::MAX, standing).await;
            assert!(gate.bytes(1, standing).now_or_never().is_none());
            assert!(gate.bytes_now(1, standing).is_none());
            assert!(gate.bytes_now(1, other).is_some());
            drop(large);
            assert!(gate.bytes(1, standing).now_or_never().is_some());
        }
    }
}
