//! Which connections are served, and which of them wait.
//!
//! ```text
//! served    at most CONNECTIONS_MAX, and CONNECTIONS_PER_ADDRESS_MAX of one address;
//!           beyond them CONNECTIONS_LOOPBACK for peers on this machine
//! waiting   at most CONNECTIONS_WAITING beside them: one request each. Health, readiness and
//!           metrics are answered at once, anything else when a place is free
//! ```
//! One more than may wait displaces the oldest connection of the address that has most of them, so
//! that a flood of one address closes its own connections and never those of a probe.
//!
//! Architecture invariant: entering never waits; so the listener accepts whatever happens, and no
//! probe stands behind a flood in the queue of the kernel.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::proxy::{self, Network};

/// Connections that are served at a time.
pub const CONNECTIONS_MAX: usize = 256;
/// Connections of one address (IPv6: of one /64) among them. A trusted proxy may have more; there
/// the same number bounds the connections that ask for one client.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 64;
/// Connections beyond [`CONNECTIONS_MAX`] for peers on this machine: the commands.
pub const CONNECTIONS_LOOPBACK: usize = 16;
/// Connections beyond all of them that are read to see whether a probe or a scrape asks.
pub const CONNECTIONS_WAITING: usize = 32;
/// A request that waits for a place is refused after this time.
const PLACE_WAIT_SECS: u64 = 5;

/// Why a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its address has as many as it may have.
    Address,
    /// All places are taken.
    Full,
}

impl Refusal {
    /// Label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Refusal::Address => "address",
            Refusal::Full => "full",
        }
    }

    /// What the client reads.
    pub fn words(self) -> &'static str {
        match self {
            Refusal::Address => "this address has as many connections as one address may have",
            Refusal::Full => "the daemon has as many connections as it serves at a time",
        }
    }
}

/// All places; clones share them.
#[derive(Clone)]
pub struct Places(Arc<Shared>);

struct Shared {
    trusted: Vec<Network>,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Default)]
struct Taken {
    general: usize,
    loopback: usize,
    by_address: HashMap<IpAddr, usize>,
    by_client: HashMap<IpAddr, usize>,
    waiting: VecDeque<Waiting>,
    next: u64,
}

struct Waiting {
    id: u64,
    address: IpAddr,
    displaced: CancellationToken,
}

/// What a new connection gets.
pub enum Entered {
    /// It is served until it ends.
    Served(Place),
    /// One request of it is read.
    Waits(Waits),
}

/// A place that is taken until this is dropped.
pub struct Place {
    places: Places,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    General { counted: Option<IpAddr> },
    Loopback,
    Client(IpAddr),
}

/// A connection beyond those that are served.
pub struct Waits {
    places: Places,
    id: u64,
    peer: IpAddr,
    /// Cancelled when a newer connection needs the room.
    pub displaced: CancellationToken,
}

impl Places {
    /// Nobody is connected yet.
    pub fn new(trusted: Vec<Network>) -> Places {
        Places(Arc::new(Shared { trusted, taken: Mutex::default(), freed: Notify::new() }))
    }

    /// Lets a connection in. The flag says whether another one was displaced for it.
    pub fn enter(&self, peer: IpAddr) -> (Entered, bool) {
        match self.take(peer) {
            Ok(place) => (Entered::Served(place), false),
            Err(_) => {
                let (waits, displaced) = self.wait(peer);
                (Entered::Waits(waits), displaced)
            }
        }
    }

    /// Whether more than half of the places are taken.
    pub fn crowded(&self) -> bool {
        self.taken().general > CONNECTIONS_MAX / 2
    }

    /// Counts a connection of a trusted proxy for the client it asks for.
    pub fn client(&self, client: IpAddr) -> Result<Place, Refusal> {
        let address = proxy::network(client);
        let mut taken = self.taken();
        let count = taken.by_client.entry(address).or_default();
        if *count >= CONNECTIONS_PER_ADDRESS_MAX {
            return Err(Refusal::Address);
        }
        *count += 1;
        Ok(Place { places: self.clone(), kind: Kind::Client(address) })
    }

    fn take(&self, peer: IpAddr) -> Result<Place, Refusal> {
        let address = proxy::network(peer);
        let exempt = proxy::is_trusted(peer, &self.0.trusted);
        let counted = (!exempt).then_some(address);
        let mut taken = self.taken();
        let many = counted.and_then(|address| taken.by_address.get(&address)).copied();
        let refusal = if many.is_some_and(|many| many >= CONNECTIONS_PER_ADDRESS_MAX) {
            Refusal::Address
        } else if taken.general >= CONNECTIONS_MAX {
            Refusal::Full
        } else {
            taken.general += 1;
            if let Some(address) = counted {
                *taken.by_address.entry(address).or_default() += 1;
            }
            return Ok(Place { places: self.clone(), kind: Kind::General { counted } });
        };
        if address.is_loopback() && taken.loopback < CONNECTIONS_LOOPBACK {
            taken.loopback += 1;
            return Ok(Place { places: self.clone(), kind: Kind::Loopback });
        }
        Err(refusal)
    }

    fn wait(&self, peer: IpAddr) -> (Waits, bool) {
        let address = proxy::network(peer);
        let displaced = CancellationToken::new();
        let mut taken = self.taken();
        let full = taken.waiting.len() >= CONNECTIONS_WAITING;
        if full && let Some(oldest) = taken.displaceable(address) {
            oldest.displaced.cancel();
        }
        let id = taken.next;
        taken.next += 1;
        taken.waiting.push_back(Waiting { id, address, displaced: displaced.clone() });
        (Waits { places: self.clone(), id, peer, displaced }, full)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Takes out the oldest connection of the address that has most, the new one included.
    fn displaceable(&mut self, newcomer: IpAddr) -> Option<Waiting> {
        let mut many: HashMap<IpAddr, usize> = HashMap::from([(newcomer, 1)]);
        for waiting in &self.waiting {
            *many.entry(waiting.address).or_default() += 1;
        }
        let most = self.waiting.iter().map(|waiting| many[&waiting.address]).max()?;
        let at = self.waiting.iter().position(|waiting| many[&waiting.address] == most)?;
        self.waiting.remove(at)
    }
}

impl Waits {
    /// Waits for a place, but not for long. Whoever got one waits no more and is not displaced.
    pub async fn place(&self) -> Result<Place, Refusal> {
        let deadline = tokio::time::sleep(Duration::from_secs(PLACE_WAIT_SECS));
        tokio::pin!(deadline);
        loop {
            let freed = self.places.0.freed.notified();
            tokio::pin!(freed);
            // Registered before the look: what is freed in between wakes us.
            freed.as_mut().enable();
            let refusal = match self.places.take(self.peer) {
                Ok(place) => {
                    self.leave();
                    return Ok(place);
                }
                Err(refusal) => refusal,
            };
            tokio::select! {
                () = freed => {}
                () = &mut deadline => return Err(refusal),
            }
        }
    }
}

impl Waits {
    fn leave(&self) {
        self.places.taken().waiting.retain(|waiting| waiting.id != self.id);
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        match self.kind {
            Kind::General { counted } => {
                taken.general -= 1;
                if let Some(address) = counted {
                    release(&mut taken.by_address, address);
                }
            }
            Kind::Loopback => taken.loopback -= 1,
            Kind::Client(address) => release(&mut taken.by_client, address),
        }
        drop(taken);
        self.places.0.freed.notify_waiters();
    }
}

fn release(counts: &mut HashMap<IpAddr, usize>, address: IpAddr) {
    if let Some(count) = counts.get_mut(&address) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn places() -> Places {
        Places::new(vec!["10.0.0.0/8".parse().unwrap()])
    }

    /// Enters so often; those that are served.
    fn fill(places: &Places, peer: &str, many: usize) -> Vec<Place> {
        let entered = (0..many).filter_map(|_| places.take(address(peer)).ok());
        entered.collect()
    }

    #[test]
    fn one_address_takes_only_its_share() {
        let places = places();
        let held = fill(&places, "192.0.2.1", CONNECTIONS_MAX);
        assert_eq!(held.len(), CONNECTIONS_PER_ADDRESS_MAX);
        assert_eq!(places.take(address("192.0.2.1")).err(), Some(Refusal::Address));
        assert!(places.take(address("192.0.2.2")).is_ok());
        drop(held);
        assert!(places.take(address("192.0.2.1")).is_ok());
        assert!(places.taken().by_address.is_empty());
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let places = places();
        let held: Vec<Place> = (0..CONNECTIONS_MAX)
            .filter_map(|host| places.take(address(&format!("2001:db8::{host:x}"))).ok())
            .collect();
        assert_eq!(held.len(), CONNECTIONS_PER_ADDRESS_MAX);
        assert!(places.take(address("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn a_trusted_proxy_may_take_every_place() {
        let places = places();
        let held = fill(&places, "10.1.2.3", CONNECTIONS_MAX + 1);
        assert_eq!(held.len(), CONNECTIONS_MAX);
        assert_eq!(places.take(address("192.0.2.2")).err(), Some(Refusal::Full));
    }

    #[test]
    fn its_clients_are_counted_instead() {
        let places = places();
        let client = address("198.51.100.7");
        let held: Vec<_> =
            (0..CONNECTIONS_MAX).filter_map(|_| places.client(client).ok()).collect();
        assert_eq!(held.len(), CONNECTIONS_PER_ADDRESS_MAX);
        assert!(places.client(address("198.51.100.8")).is_ok());
        drop(held);
        assert!(places.client(client).is_ok());
        assert!(places.taken().by_client.is_empty());
    }

    #[test]
    fn this_machine_has_places_of_its_own() {
        let places = places();
        let _all = fill(&places, "10.1.2.3", CONNECTIONS_MAX);
        let held = fill(&places, "127.0.0.1", CONNECTIONS_MAX);
        assert_eq!(held.len(), CONNECTIONS_LOOPBACK);
        assert!(places.take(address("::1")).is_err());
    }

    #[test]
    fn a_flood_displaces_itself_and_no_probe() {
        let places = places();
        let _all = fill(&places, "10.1.2.3", CONNECTIONS_MAX);
        let (first, displaced) = places.enter(address("192.0.2.9"));
        assert!(!displaced);
        let mut flood = Vec::new();
        for _ in 0..CONNECTIONS_WAITING * 3 {
            flood.push(places.enter(address("192.0.2.1")).0);
        }
        let is_displaced = |entered: &Entered| match entered {
            Entered::Waits(waits) => waits.displaced.is_cancelled(),
            Entered::Served(_) => panic!("there is no place"),
        };
        assert!(!is_displaced(&first));
        let kept = flood.iter().filter(|entered| !is_displaced(entered)).count();
        assert_eq!(kept, CONNECTIONS_WAITING - 1);
        assert!(is_displaced(&flood[0]) && !is_displaced(flood.last().unwrap()));
        drop((first, flood));
        assert!(places.taken().waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_next_free_place() {
        let places = places();
        let mut held = fill(&places, "10.1.2.3", CONNECTIONS_MAX);
        let Entered::Waits(waits) = places.enter(address("192.0.2.9")).0 else { panic!() };
        assert_eq!(waits.place().await.err(), Some(Refusal::Full), "not for ever");
        let waiting = tokio::spawn(async move { waits.place().await.is_ok() });
        tokio::task::yield_now().await;
        held.pop();
        assert!(waiting.await.unwrap());
    }
}
