//! Tokens as they are stored: encrypted with AES-256-GCM, bound to the name they are stored under.
//!
//! ```text
//! 1 byte    version, 1
//! 4 bytes   which key: the beginning of its hash, to tell a wrong key from damage
//! 12 bytes  nonce
//! rest      ciphertext and tag
//! ```
//!
//! Architecture invariant: ring is used here and nowhere else. A key comes as a secret is read and
//! is gone after use.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// First byte of everything sealed.
const VERSION: u8 = 1;
/// Bytes that tell which key.
const KEY_ID_BYTES: usize = 4;
/// Shortest key: less can be guessed. Characters.
pub const KEY_CHARS_MIN: usize = 32;

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key can be guessed.
    #[error(
        "oauth2.sealKey has fewer than {KEY_CHARS_MIN} characters; `openssl rand -base64 32` makes one"
    )]
    Short,
    /// The machine has no chance to give.
    #[error("the system gives no random numbers")]
    Chance,
    /// It was sealed with another key.
    #[error("it was stored with another oauth2.sealKey")]
    OtherKey,
    /// It was changed, or stored under another name.
    #[error("what is stored is damaged")]
    Damaged,
}

/// Encrypts. `name` is where it will be stored.
pub fn seal(key: &SecretString, name: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let (key, id) = derived(key)?;
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|_| SealError::Chance)?;
    let mut text = plain.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut text)
        .map_err(|_| SealError::Damaged)?;
    let mut sealed = vec![VERSION];
    sealed.extend(id);
    sealed.extend(nonce);
    sealed.extend(text);
    Ok(sealed)
}

/// Decrypts what was stored under this name.
pub fn open(key: &SecretString, name: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (key, id) = derived(key)?;
    let (version, rest) = sealed.split_first().ok_or(SealError::Damaged)?;
    if *version != VERSION {
        return Err(SealError::Damaged);
    }
    let (sealed_with, rest) = rest.split_at_checked(KEY_ID_BYTES).ok_or(SealError::Damaged)?;
    let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::Damaged)?;
    if sealed_with != id {
        return Err(SealError::OtherKey);
    }
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Damaged)?;
    let mut text = text.to_vec();
    let plain = key.open_in_place(nonce, Aad::from(name), &mut text);
    Ok(plain.map_err(|_| SealError::Damaged)?.to_vec())
}

/// The key for the cipher, and what tells it. Both are hashes of what was given, each with its
/// own beginning, so that one says nothing of the other.
fn derived(given: &SecretString) -> Result<(LessSafeKey, [u8; KEY_ID_BYTES]), SealError> {
    let given = given.expose_secret().trim();
    if given.chars().count() < KEY_CHARS_MIN {
        return Err(SealError::Short);
    }
    let hash = |purpose: &str| Sha256::digest(format!("postroom oauth2 {purpose}\0{given}"));
    let key = UnboundKey::new(&AES_256_GCM, &hash("key")).map_err(|_| SealError::Damaged)?;
    let mut id = [0; KEY_ID_BYTES];
    id.copy_from_slice(&hash("id")[..KEY_ID_BYTES]);
    Ok((LessSafeKey::new(key), id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> SecretString {
        SecretString::from(text)
    }

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn what_is_sealed_opens_under_its_name() {
        let sealed = seal(&key(KEY), "a", b"token").unwrap();
        assert!(!sealed.windows(5).any(|part| part == b"token"));
        assert_eq!(open(&key(KEY), "a", &sealed).unwrap(), b"token");
        assert_ne!(sealed, seal(&key(KEY), "a", b"token").unwrap());
    }

    #[test]
    fn and_with_nothing_else() {
        let sealed = seal(&key(KEY), "a", b"token").unwrap();
        assert_eq!(open(&key(KEY), "b", &sealed), Err(SealError::Damaged));
        let other = key("another-key-another-key-another-key");
        assert_eq!(open(&other, "a", &sealed), Err(SealError::OtherKey));
        for at in 0..sealed.len() {
            let mut broken = sealed.clone();
            broken[at] ^= 1;
            assert!(open(&key(KEY), "a", &broken).is_err(), "byte {at}");
            assert!(open(&key(KEY), "a", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_key_that_can_be_guessed() {
        assert_eq!(seal(&key("hunter2"), "a", b"token"), Err(SealError::Short));
    }
}
