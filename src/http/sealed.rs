//! Values that a browser keeps for Postroom and can neither read nor change.
//!
//! A value is sealed with AES-256-GCM under a key that is derived from the desk key for one purpose
//! alone, so that nothing sealed for one purpose opens for another. The browser holds the value, so
//! any number of strangers takes no memory here.
//!
//! Architecture invariant: sealing says who wrote a value, not how often it was shown. Where a value
//! counts once, its user remembers that (`pages::oidc::used_states`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

use crate::core::intake::DeskKey;
use crate::oauth::seal::{self, SealError};

/// Longest sealed value that is opened. Browsers keep about 4096 bytes of a cookie (RFC 6265
/// section 6.1).
const SEALED_BYTES_MAX: usize = 4096;

/// Seals values for one purpose.
pub struct Sealer {
    /// Derived from the desk key; says nothing about it.
    key: SecretString,
}

impl Sealer {
    /// For one purpose, under a key of its own.
    pub fn new(desk: &DeskKey, purpose: &str) -> Sealer {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&desk.0)
            .expect("HMAC takes keys of any length (RFC 2104 section 2)");
        mac.update(b"postroom sealed value\0");
        mac.update(purpose.as_bytes());
        Sealer { key: URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()).into() }
    }

    /// Seals a value that opens only with the same `about`.
    pub fn seal<T: Serialize>(&self, about: &str, value: &T) -> Result<String, SealError> {
        let plain = serde_json::to_vec(value).map_err(|_| SealError::Damaged)?;
        Ok(URL_SAFE_NO_PAD.encode(seal::seal(&self.key, about, &plain)?))
    }

    /// Opens a value; `None` if it was not sealed by this desk for this purpose and `about`.
    pub fn open<T: DeserializeOwned>(&self, about: &str, sealed: &str) -> Option<T> {
        let sealed = Some(sealed).filter(|sealed| sealed.len() <= SEALED_BYTES_MAX)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = seal::open(&self.key, about, &sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESK: DeskKey = DeskKey([7; 32]);

    #[test]
    fn opens_for_the_same_desk_purpose_and_subject_alone() {
        let sealer = Sealer::new(&DESK, "one");
        let sealed = sealer.seal("alice", &("secret word", 7)).unwrap();
        let open = |sealer: &Sealer, about: &str| sealer.open::<(String, u32)>(about, &sealed);
        assert_eq!(open(&sealer, "alice"), Some(("secret word".into(), 7)));
        assert_eq!(open(&Sealer::new(&DESK, "one"), "alice"), Some(("secret word".into(), 7)));
        assert_eq!(open(&sealer, "bob"), None);
        assert_eq!(open(&Sealer::new(&DESK, "two"), "alice"), None);
        assert_eq!(open(&Sealer::new(&DeskKey([8; 32]), "one"), "alice"), None);
    }

    #[test]
    fn a_changed_value_does_not_open() {
        let sealer = Sealer::new(&DESK, "one");
        let sealed = sealer.seal("alice", &"secret word").unwrap();
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(sealer.open::<String>("alice", &changed), None, "byte {at}");
            assert_eq!(sealer.open::<String>("alice", &sealed[..at]), None, "cut at {at}");
        }
        let long = "A".repeat(SEALED_BYTES_MAX + 1);
        for odd in ["", "%", "===", &long] {
            assert_eq!(sealer.open::<String>("alice", odd), None);
        }
    }
}
