//! Proxies that are in front of the daemon and were not declared.
//!
//! Such a proxy is not believed, so everybody behind it seems to be at one address. The daemon
//! cannot know whether a field was written by a proxy or made up by a client, so it reports the
//! address and changes nothing else by itself.
//!
//! Architecture invariant: it lives in memory and is bounded; it knows no clock of its own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Addresses remembered. While there are as many, further ones are not reported.
const ADDRESSES_MAX: usize = 256;
/// Addresses that the status names.
const NAMED_MAX: usize = 8;
/// How often the log names an address.
const LOGGED_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// An address that was quiet for this long is forgotten.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Addresses whose requests named other clients without being declared.
#[derive(Debug, Default)]
pub struct UndeclaredProxies(Mutex<BTreeMap<IpAddr, Seen>>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    logged: Timestamp,
    last: Timestamp,
}

impl UndeclaredProxies {
    /// Notes a request; whether the log should name the address now.
    pub fn note(&self, address: IpAddr, now: Timestamp) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = seen.get_mut(&address) {
            let due = now.duration_since(seen.logged) >= LOGGED_EVERY;
            *seen = Seen { logged: if due { now } else { seen.logged }, last: now };
            return due;
        }
        if seen.len() >= ADDRESSES_MAX {
            seen.retain(|_, seen| now.duration_since(seen.last) < KEPT);
        }
        if seen.len() >= ADDRESSES_MAX {
            return false;
        }
        seen.insert(address, Seen { logged: now, last: now });
        true
    }

    /// In words for the status; `None` if there were none in the last day.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = seen.iter().filter(|(_, seen)| now.duration_since(seen.last) < KEPT);
        let all: Vec<String> = recent.map(|(address, _)| address.to_string()).collect();
        let more = all.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = all.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        (!all.is_empty()).then(|| {
            format!(
                "requests with X-Forwarded-For or Forwarded come from {named}{more}, not under \
                 --trusted-proxies: all people behind a proxy count as one address; if it is \
                 yours, declare it"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mins: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + mins * 60).unwrap()
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::from(((10 << 24) + number).to_be_bytes())
    }

    #[test]
    fn the_log_names_an_address_once_an_hour() {
        let proxies = UndeclaredProxies::default();
        assert!(proxies.note(address(1), at(0)));
        assert!(!proxies.note(address(1), at(1)));
        assert!(proxies.note(address(2), at(1)));
        assert!(!proxies.note(address(1), at(59)));
        assert!(proxies.note(address(1), at(60)));
        assert!(!proxies.note(address(1), at(61)));
    }

    #[test]
    fn the_status_names_those_of_the_last_day() {
        let proxies = UndeclaredProxies::default();
        assert_eq!(proxies.warning(at(0)), None);
        proxies.note(address(1), at(0));
        let warning = proxies.warning(at(60)).unwrap();
        assert!(warning.contains("come from 10.0.0.1, not under --trusted-proxies"), "{warning}");
        assert_eq!(proxies.warning(at(24 * 60)), None);
        for number in 0..20 {
            proxies.note(address(number), at(0));
        }
        let warning = proxies.warning(at(1)).unwrap();
        assert!(warning.contains("10.0.0.7 and 12 more,"), "{warning}");
    }

    #[test]
    fn made_up_fields_fill_neither_memory_nor_log() {
        let proxies = UndeclaredProxies::default();
        let logged = (0..10_000).filter(|number| proxies.note(address(*number), at(0))).count();
        assert_eq!(logged, ADDRESSES_MAX);
        assert_eq!(proxies.0.lock().unwrap().len(), ADDRESSES_MAX);
        assert!(proxies.note(address(20_000), at(24 * 60)), "the old ones are forgotten");
    }
}
