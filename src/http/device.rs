//! A cookie by which a browser shows that a user has signed in from it before.
//!
//! Somebody who guesses passwords makes strangers wait, and a person with such a cookie is no
//! stranger: the throttle counts this browser for itself. Every sign-in replaces the cookie with one
//! of another id. It proves nothing else: no page opens with it.
//! (OWASP, "Slow Down Online Guessing Attacks with Device Cookies".)

use axum::http::{HeaderMap, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::sealed::Sealer;
use super::session;
use crate::core::intake::DeskKey;
use crate::oauth::pkce;

/// A browser that nobody has signed in from for this long is a stranger again.
const LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);
/// What the cookie is sealed for.
const PURPOSE: &str = "browser of a user";
/// Bytes of the hash of a user's name in the name of the cookie: two users of a browser have one each.
const NAME_HASH_BYTES: usize = 8;

/// One browser of one user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceId(String);

/// Knows the browsers from which people have signed in.
pub struct Devices(Sealer);

/// What the cookie holds. It is sealed for its user.
#[derive(Serialize, Deserialize)]
struct Device {
    id: DeviceId,
    expires: Timestamp,
}

#[cfg(test)]
impl DeviceId {
    /// One for a test.
    pub fn of(id: &str) -> DeviceId {
        DeviceId(id.to_owned())
    }
}

impl Devices {
    /// For the desk with this key.
    pub fn new(desk: &DeskKey) -> Devices {
        Devices(Sealer::new(desk, PURPOSE))
    }

    /// The browser that asks, if this user has signed in from it.
    pub fn find(
        &self,
        headers: &HeaderMap,
        user: &str,
        secure: bool,
        now: Timestamp,
    ) -> Option<DeviceId> {
        let sealed = session::cookie(headers, &cookie_name(user, secure))?;
        let device: Device = self.0.open(user, sealed)?;
        (now < device.expires).then_some(device.id)
    }

    /// The header that makes a browser known to have been used by this user; `None` if the system
    /// gives no randomness, without which one signs in all the same.
    pub fn set_cookie(&self, user: &str, secure: bool, now: Timestamp) -> Option<HeaderValue> {
        let device = Device { id: DeviceId(pkce::chance()?), expires: now + LIFETIME };
        let sealed = self.0.seal(user, &device).ok()?;
        Some(session::set_cookie(&cookie_name(user, secure), &sealed, LIFETIME, secure))
    }
}

fn cookie_name(user: &str, secure: bool) -> String {
    let hash = Sha256::digest(format!("postroom device\0{user}"));
    let prefix = if secure { "__Host-" } else { "" };
    format!("{prefix}postroom-device-{}", session::hex(&hash[..NAME_HASH_BYTES]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header;

    fn now() -> Timestamp {
        "2026-11-25T09:00:00Z".parse().unwrap()
    }

    fn devices() -> Devices {
        Devices::new(&DeskKey([7; 32]))
    }

    fn headers(cookie: &HeaderValue) -> HeaderMap {
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
        HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())])
    }

    #[test]
    fn a_browser_is_known_for_its_user_until_it_expires() {
        let devices = devices();
        let headers = headers(&devices.set_cookie("alice", true, now()).unwrap());
        assert!(devices.find(&headers, "alice", true, now()).is_some());
        assert_eq!(devices.find(&headers, "bob", true, now()), None);
        assert_eq!(devices.find(&headers, "alice", false, now()), None);
        assert_eq!(devices.find(&headers, "alice", true, now() + LIFETIME), None);
        assert_eq!(devices.find(&HeaderMap::new(), "alice", true, now()), None);
        let elsewhere = Devices::new(&DeskKey([8; 32]));
        assert_eq!(elsewhere.find(&headers, "alice", true, now()), None);
    }

    #[test]
    fn a_cookie_under_the_name_of_another_user_does_not_count() {
        let devices = devices();
        let cookie = devices.set_cookie("alice", false, now()).unwrap();
        let value = cookie.to_str().unwrap().split(';').next().unwrap().split('=').nth(1).unwrap();
        let moved = format!("{}={value}; Path=/", cookie_name("bob", false));
        assert_eq!(devices.find(&headers(&moved.parse().unwrap()), "bob", false, now()), None);
    }

    #[test]
    fn every_sign_in_gives_another_one() {
        let devices = devices();
        let id = || {
            let headers = headers(&devices.set_cookie("alice", false, now()).unwrap());
            devices.find(&headers, "alice", false, now()).unwrap()
        };
        assert_ne!(id(), id());
    }
}
