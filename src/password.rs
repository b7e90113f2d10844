//! Passwords of people: hashed with argon2id, checked slowly on purpose.
//!
//! Architecture invariant: neither a password nor its hash is in an error, a log or a `Debug`. A
//! hash whose cost is out of bounds is refused before any work is done for it.

use argon2::password_hash::{PasswordHasher, PasswordVerifier, Salt, SaltString};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};
use secrecy::{ExposeSecret, SecretString};

/// Shortest password that [`hash`] takes (NIST SP 800-63B section 3.1.1), in characters.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Longest password that is looked at.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Memory a hash made by us takes, and what OWASP asks for at least. KiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over it.
const PASSES: u32 = 2;
/// Most memory that a hash may ask for. KiB.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Most passes that a hash may ask for.
const PASSES_MAX: u32 = 16;
/// Most lanes that a hash may ask for.
const LANES_MAX: u32 = 16;
/// Checked in place of the hash of a user who is unknown, so that time tells nothing about who
/// exists: made as [`hash`] makes one, of a password that nobody knows.
const OF_NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdDEyMw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password or a hash cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The password is too short.
    #[error("a password needs at least {PASSWORD_CHARS_MIN} characters")]
    Short,
    /// The password is too long.
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes")]
    Long,
    /// The text is no hash of argon2id.
    #[error(
        "the secret holds no argon2id hash ($argon2id$v=19$...); `postroom password` makes one"
    )]
    NoHash,
    /// The hash asks for too much work.
    #[error(
        "the hash asks for more than {MEMORY_KIB_MAX} KiB, {PASSES_MAX} passes or {LANES_MAX} lanes"
    )]
    Costly,
    /// The system gave no randomness, or no memory.
    #[error("could not hash the password: {0}")]
    Failed(&'static str),
}

/// Hashes a new password, as a PHC string.
pub fn hash(password: &SecretString) -> Result<String, PasswordError> {
    let password = password.expose_secret();
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(PasswordError::Short);
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::Long);
    }
    let mut salt = [0_u8; Salt::RECOMMENDED_LENGTH];
    getrandom::fill(&mut salt).map_err(|_| PasswordError::Failed("no randomness"))?;
    let salt = SaltString::encode_b64(&salt).map_err(|_| PasswordError::Failed("no salt"))?;
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("our own costs are in bounds");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(password.as_bytes(), &salt);
    Ok(hash.map_err(|_| PasswordError::Failed("no memory"))?.to_string())
}

/// Whether this is the password of a hash; `None` stands for a user who does not exist, and takes
/// as long.
pub fn verify(hash: Option<&SecretString>, password: &SecretString) -> Result<bool, PasswordError> {
    let known = hash.is_some();
    let hash = hash.map_or(OF_NOBODY, |hash| hash.expose_secret());
    let hash = parse(hash)?;
    let password = password.expose_secret().as_bytes();
    // Longer ones are not worth our time, and nobody has one.
    let password = password.get(..PASSWORD_BYTES_MAX + 1).unwrap_or(password);
    let params = Params::try_from(&hash).map_err(|_| PasswordError::NoHash)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let same = argon2.verify_password(password, &hash).is_ok();
    Ok(known && same && password.len() <= PASSWORD_BYTES_MAX)
}

/// Reads a hash and bounds what it costs.
fn parse(text: &str) -> Result<PasswordHash<'_>, PasswordError> {
    let hash = PasswordHash::new(text.trim()).map_err(|_| PasswordError::NoHash)?;
    let ours = hash.algorithm == argon2::ARGON2ID_IDENT && hash.hash.is_some();
    let params = Params::try_from(&hash).map_err(|_| PasswordError::NoHash)?;
    if !ours || hash.salt.is_none() || hash.version.is_some_and(|version| version != 19) {
        return Err(PasswordError::NoHash);
    }
    let cheap = params.m_cost() <= MEMORY_KIB_MAX
        && params.t_cost() <= PASSES_MAX
        && params.p_cost() <= LANES_MAX;
    if cheap { Ok(hash) } else { Err(PasswordError::Costly) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn only_the_password_itself_opens() {
        let hash = secret(&hash(&secret("correct horse")).unwrap());
        assert!(hash.expose_secret().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(verify(Some(&hash), &secret("correct horse")), Ok(true));
        assert_eq!(verify(Some(&hash), &secret("correct hors")), Ok(false));
        assert_eq!(verify(Some(&hash), &secret("")), Ok(false));
    }

    #[test]
    fn nobody_has_no_password() {
        assert_eq!(verify(None, &secret("")), Ok(false));
        assert_eq!(verify(None, &secret("correct horse")), Ok(false));
    }

    #[test]
    fn two_hashes_of_one_password_differ() {
        let [one, two] = [0, 1].map(|_| hash(&secret("correct horse")).unwrap());
        assert_ne!(one, two);
    }

    #[test]
    fn lengths_are_bounded() {
        assert_eq!(hash(&secret("kürzer!")), Err(PasswordError::Short));
        assert_eq!(hash(&secret(&"x".repeat(PASSWORD_BYTES_MAX + 1))), Err(PasswordError::Long));
        let hash = secret(&hash(&secret(&"x".repeat(PASSWORD_BYTES_MAX))).unwrap());
        assert_eq!(verify(Some(&hash), &secret(&"x".repeat(PASSWORD_BYTES_MAX))), Ok(true));
        assert_eq!(verify(Some(&hash), &secret(&"x".repeat(PASSWORD_BYTES_MAX + 1))), Ok(false));
    }

    #[track_caller]
    fn check(hash: &str, expected: PasswordError) {
        assert_eq!(verify(Some(&secret(hash)), &secret("correct horse")), Err(expected));
    }

    #[test]
    fn hashes_that_are_none_or_too_costly() {
        let rest = "$bm9ib2R5J3Mgc2FsdDEyMw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        check("", PasswordError::NoHash);
        check("correct horse", PasswordError::NoHash);
        check(&format!("$argon2i$v=19$m=19456,t=2,p=1{rest}"), PasswordError::NoHash);
        check(&format!("$argon2id$v=16$m=19456,t=2,p=1{rest}"), PasswordError::NoHash);
        check(&format!("$argon2id$v=19$m=262145,t=2,p=1{rest}"), PasswordError::Costly);
        check(&format!("$argon2id$v=19$m=19456,t=17,p=1{rest}"), PasswordError::Costly);
        check(&format!("$argon2id$v=19$m=19456,t=2,p=17{rest}"), PasswordError::Costly);
    }
}
