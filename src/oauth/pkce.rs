//! What a sign-in with a browser proves itself with: numbers that nobody can guess, and the challenge
//! that belongs to one of them (RFC 7636). OpenID Connect uses the same.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// Bytes of chance in a verifier and in a state: 256 bits.
const CHANCE_BYTES: usize = 32;

/// 256 bits as a text that fits a URL; `None` if the machine has no chance to give.
pub fn chance() -> Option<String> {
    let mut bytes = [0; CHANCE_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is told of a verifier before it is shown (RFC 7636 section 4.2, `S256`).
pub fn challenge(verifier: &SecretString) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose_secret()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenge_of_the_rfc() {
        // RFC 7636 appendix B.
        let verifier = SecretString::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn chance_differs() {
        let (one, two) = (chance().unwrap(), chance().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 43);
    }
}
