//! Who asks: bearer tokens (RFC 6750), known by their SHA-256 only.
//!
//! Architecture invariant: a token is never stored, logged or compared as text; its hash is
//! compared in constant time with every hash we know, so that time tells nothing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::core::config::{Config, Role, Switch};
use crate::core::permission::Asker;
use crate::core::ticket::Actor;
use crate::private;

/// File in the data directory from which the commands on this machine take their token.
pub const LOCAL_TOKEN_FILE: &str = "api-token";
/// Longest token that is looked at.
pub const TOKEN_BYTES_MAX: usize = 512;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Name of the token.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

impl Caller {
    /// Who asks, where it matters whom it may see.
    pub fn asker(&self) -> Asker<'static> {
        Asker { role: self.role, user: None }
    }

    /// Who did it, for the history of a ticket.
    pub fn actor(&self) -> Actor {
        Actor::Token(self.name.clone())
    }
}

/// The token of whoever may read the data directory: made at every start, role `admin`. Only its
/// hash is kept in memory; the file is removed when the daemon ends.
pub struct LocalToken {
    sha256: [u8; 32],
    path: PathBuf,
}

impl LocalToken {
    /// Makes a new token and writes it for the owner of the directory alone.
    pub fn create(data: &Path) -> io::Result<LocalToken> {
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = data.join(LOCAL_TOKEN_FILE);
        // A new file beside the old one and a rename: nobody ever reads half a token, and an old
        // file with wider permissions is not written into.
        let fresh = data.join(format!("{LOCAL_TOKEN_FILE}.new"));
        let _ = fs::remove_file(&fresh);
        private::open(OpenOptions::new().write(true).create_new(true), &fresh)?
            .write_all(token.as_bytes())?;
        fs::rename(&fresh, &path)?;
        Ok(LocalToken { sha256: Sha256::digest(token.as_bytes()).into(), path })
    }
}

impl Drop for LocalToken {
    fn drop(&mut self) {
        // Left behind it is worthless: the next start makes another. That one stays.
        let ours = |token: String| Sha256::digest(token.as_bytes()).as_slice() == self.sha256;
        if fs::read_to_string(&self.path).is_ok_and(ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl std::fmt::Debug for LocalToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalToken({})", self.path.display())
    }
}

/// The token of a request; `None` if there is none, or none that could be one. Tokens in the
/// query are not looked at: they would stand in the logs of proxies.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let fits = !token.is_empty() && token.len() <= TOKEN_BYTES_MAX;
    (scheme.eq_ignore_ascii_case("bearer") && fits).then_some(token)
}

/// Whose token this is; `None` if nobody's, or if it is disabled or expired.
pub fn identify(
    config: &Config,
    local: Option<&LocalToken>,
    token: &str,
    now: Timestamp,
) -> Option<Caller> {
    let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let today = now.to_zoned(config.desk.time_zone.clone()).date();
    let mut found = None;
    // No early end: the time does not tell which token came close.
    for declared in config.api_tokens.values() {
        let same: bool = hash.ct_eq(&declared.sha256).into();
        let valid = declared.state == Switch::Enabled
            && declared.expires.is_none_or(|last_day| today <= last_day);
        if same && valid {
            found = Some(Caller { name: declared.name.clone(), role: declared.role });
        }
    }
    if let Some(local) = local
        && bool::from(hash.ct_eq(&local.sha256))
    {
        found = Some(Caller { name: "local".into(), role: Role::Admin });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::ApiToken;

    fn config(state: Switch, expires: Option<&str>) -> Config {
        let token = ApiToken {
            name: "ci".into(),
            sha256: Sha256::digest(b"correct horse").into(),
            role: Role::User,
            expires: expires.map(|date| date.parse().unwrap()),
            state,
        };
        let mut config = Config::default();
        config.api_tokens.insert("ci".into(), token);
        config
    }

    #[track_caller]
    fn check(config: &Config, token: &str, expected: Option<&str>) {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let caller = identify(config, None, token, now);
        assert_eq!(caller.map(|caller| caller.name).as_deref(), expected);
    }

    #[test]
    fn only_the_whole_token_counts() {
        let config = config(Switch::Enabled, None);
        check(&config, "correct horse", Some("ci"));
        check(&config, "correct hors", None);
        check(&config, "Correct horse", None);
        check(&config, "", None);
    }

    #[test]
    fn the_last_day_is_the_last_day() {
        check(&config(Switch::Enabled, Some("2026-11-22")), "correct horse", Some("ci"));
        check(&config(Switch::Enabled, Some("2026-11-21")), "correct horse", None);
    }

    #[test]
    fn the_day_ends_where_the_desk_is() {
        let mut config = config(Switch::Enabled, Some("2026-11-22"));
        config.desk.time_zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(13));
        check(&config, "correct horse", None);
    }

    #[test]
    fn suspended_tokens_open_nothing() {
        check(&config(Switch::Disabled, None), "correct horse", None);
        check(&config(Switch::Paused, None), "correct horse", None);
    }

    #[track_caller]
    fn check_header(values: &[&str], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        assert_eq!(bearer(&headers), expected);
    }

    #[test]
    fn the_header_is_read_strictly() {
        check_header(&["Bearer abc"], Some("abc"));
        check_header(&["bearer abc"], Some("abc"));
        check_header(&["Basic abc"], None);
        check_header(&["Bearer "], None);
        check_header(&["Bearer a", "Bearer b"], None);
        check_header(&[&format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX + 1))], None);
        check_header(&[], None);
    }

    #[cfg(unix)]
    #[test]
    fn the_local_token_is_private_and_goes_with_the_daemon() {
        use std::os::unix::fs::PermissionsExt;
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(LOCAL_TOKEN_FILE);
        fs::write(&path, "left behind").unwrap();
        let local = LocalToken::create(data.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let token = fs::read_to_string(&path).unwrap();
        let caller = identify(&Config::default(), Some(&local), &token, Timestamp::now());
        assert_eq!(caller, Some(Caller { name: "local".into(), role: Role::Admin }));
        assert!(!format!("{local:?}").contains(&token));
        let next = LocalToken::create(data.path()).unwrap();
        drop(local);
        assert!(path.exists(), "the token of the next daemon stays");
        drop(next);
        assert!(!path.exists());
    }
}
