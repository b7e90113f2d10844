//! What a provider gave when a person signed in, as it is stored.
//!
//! Architecture invariant: the bytes made here are encrypted before they go anywhere.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::oauth::Tokens;

/// Version of the row. A field may be added with `#[serde(default)]` under the same one.
const VERSION: u32 = 1;

/// What a provider gave when a person signed in, and since.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Profile it was given to.
    pub profile: String,
    /// When the person signed in.
    pub signed_in: Timestamp,
    /// When the tokens were issued.
    pub issued: Timestamp,
    /// Gives the next access token.
    pub refresh: SecretString,
    /// When it was issued: earlier than the access token if the provider does not rotate.
    pub refresh_issued: Timestamp,
    /// When it ends, where the provider says so.
    pub refresh_ends: Option<Timestamp>,
    /// The refresh token before it, until the first success.
    pub previous: Option<SecretString>,
    /// The access token, and when it ends.
    pub access: Option<(SecretString, Timestamp)>,
}

/// The same as JSON.
#[derive(Serialize, Deserialize)]
struct Row {
    version: u32,
    profile: String,
    signed_in: Timestamp,
    issued: Timestamp,
    refresh: String,
    #[serde(default)]
    refresh_issued: Option<Timestamp>,
    refresh_ends: Option<Timestamp>,
    previous: Option<String>,
    access: Option<(String, Timestamp)>,
}

impl Grant {
    /// After a sign-in; `None` if it brought no refresh token.
    pub fn first(profile: &str, tokens: &Tokens, now: Timestamp) -> Option<Grant> {
        Some(Grant {
            profile: profile.to_owned(),
            signed_in: now,
            issued: now,
            refresh: tokens.refresh.clone()?,
            refresh_issued: now,
            refresh_ends: ends(tokens.refresh_life, now),
            previous: None,
            access: ends(Some(tokens.life), now).map(|at| (tokens.access.clone(), at)),
        })
    }

    /// After a refresh. A provider that does not rotate gives no new refresh token: the one we
    /// have stays.
    pub fn followed_by(&self, tokens: &Tokens, now: Timestamp) -> Grant {
        let rotated = tokens.refresh.clone();
        let renewed = rotated.is_some() || tokens.refresh_life.is_some();
        Grant {
            profile: self.profile.clone(),
            signed_in: self.signed_in,
            issued: now,
            refresh_issued: if renewed { now } else { self.refresh_issued },
            refresh_ends: match rotated {
                // Another one; what is known of the one before says nothing of it.
                Some(_) => ends(tokens.refresh_life, now),
                None => ends(tokens.refresh_life, now).or(self.refresh_ends),
            },
            previous: rotated.as_ref().map(|_| self.refresh.clone()),
            refresh: rotated.unwrap_or_else(|| self.refresh.clone()),
            access: ends(Some(tokens.life), now).map(|at| (tokens.access.clone(), at)),
        }
    }

    /// As bytes, not yet encrypted.
    pub fn write(&self) -> Vec<u8> {
        let plain = |secret: &SecretString| secret.expose_secret().to_owned();
        let row = Row {
            version: VERSION,
            profile: self.profile.clone(),
            signed_in: self.signed_in,
            issued: self.issued,
            refresh: plain(&self.refresh),
            refresh_issued: Some(self.refresh_issued),
            refresh_ends: self.refresh_ends,
            previous: self.previous.as_ref().map(plain),
            access: self.access.as_ref().map(|(token, at)| (plain(token), *at)),
        };
        serde_json::to_vec(&row).expect("rows have text keys and no foreign types")
    }

    /// From bytes that were decrypted; `None` if this version does not know them.
    pub fn read(bytes: &[u8]) -> Option<Grant> {
        let row: Row = serde_json::from_slice(bytes).ok()?;
        (row.version == VERSION).then(|| Grant {
            profile: row.profile,
            signed_in: row.signed_in,
            issued: row.issued,
            refresh: row.refresh.into(),
            refresh_issued: row.refresh_issued.unwrap_or(row.issued),
            refresh_ends: row.refresh_ends,
            previous: row.previous.map(Into::into),
            access: row.access.map(|(token, at)| (token.into(), at)),
        })
    }
}

fn ends(life: Option<Duration>, now: Timestamp) -> Option<Timestamp> {
    now.checked_add(life?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(refresh: Option<&str>) -> Tokens {
        Tokens {
            access: SecretString::from("access"),
            life: Duration::from_secs(3600),
            refresh: refresh.map(SecretString::from),
            refresh_life: None,
            person: Vec::new(),
        }
    }

    fn shown(grant: &Grant) -> (String, Option<String>) {
        let plain = |secret: &SecretString| secret.expose_secret().to_owned();
        (plain(&grant.refresh), grant.previous.as_ref().map(plain))
    }

    #[test]
    fn a_provider_that_rotates_and_one_that_does_not() {
        let now = Timestamp::UNIX_EPOCH;
        let grant = Grant::first("m365", &tokens(Some("one")), now).unwrap();
        assert_eq!(shown(&grant), ("one".into(), None));
        let rotated = grant.followed_by(&tokens(Some("two")), now);
        assert_eq!(shown(&rotated), ("two".into(), Some("one".into())));
        let kept = grant.followed_by(&tokens(None), now);
        assert_eq!(shown(&kept), ("one".into(), None));
        assert!(Grant::first("m365", &tokens(None), now).is_none());
    }

    #[test]
    fn what_is_written_is_read() {
        let now = Timestamp::UNIX_EPOCH;
        let grant = Grant::first("m365", &tokens(Some("one")), now).unwrap();
        let grant = grant.followed_by(&tokens(Some("two")), now);
        let read = Grant::read(&grant.write()).unwrap();
        assert_eq!(shown(&read), shown(&grant));
        assert_eq!((read.issued, &*read.profile), (now, "m365"));
        assert!(read.access.is_some());
        assert!(!format!("{read:?}").contains("two"));
        assert!(Grant::read(b"{}").is_none());
    }
}
