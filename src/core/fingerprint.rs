//! SHA-256 fingerprint of a certificate, as `openssl x509 -fingerprint -sha256` prints it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// Bytes of a SHA-256 digest.
const BYTES: usize = 32;

/// Digest of a certificate in DER.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; BYTES]);

/// The text is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no SHA-256 fingerprint: 64 hexadecimal digits, with or without colons")]
pub struct NoFingerprint;

impl Fingerprint {
    /// Fingerprint of a certificate in DER.
    pub fn of(der: &[u8]) -> Fingerprint {
        Fingerprint(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    /// Reads 64 hexadecimal digits; colons stand between all bytes or nowhere.
    fn from_str(text: &str) -> Result<Fingerprint, NoFingerprint> {
        let digits: Vec<&str> = match text.contains(':') {
            true => text.split(':').collect(),
            false => (0..text.len())
                .step_by(2)
                .map(|at| text.get(at..at + 2).ok_or(NoFingerprint))
                .collect::<Result<_, _>>()?,
        };
        let byte = |digits: &&str| match digits.as_bytes() {
            [high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                u8::from_str_radix(digits, 16).ok()
            }
            _ => None,
        };
        let bytes: Option<Vec<u8>> = digits.iter().map(byte).collect();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Fingerprint).ok_or(NoFingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written_and_as_plain_digits() {
        let fingerprint = Fingerprint::of(b"a certificate");
        let text = fingerprint.to_string();
        assert_eq!(text.len(), 95);
        for form in [text.clone(), text.to_lowercase(), text.replace(':', "")] {
            assert_eq!(form.parse(), Ok(fingerprint), "{form}");
        }
    }

    #[test]
    fn what_is_no_fingerprint() {
        let text = Fingerprint::of(b"x").to_string();
        let (short, long) = (text[3..].to_owned(), format!("{text}:00"));
        let odd =
            ["", ":", "x", "東京", "+1:", &text.replace(':', "-"), &text.replacen(':', "", 1)];
        for text in odd.into_iter().chain([short.as_str(), long.as_str()]) {
            assert_eq!(text.parse::<Fingerprint>(), Err(NoFingerprint), "{text}");
        }
    }
}
