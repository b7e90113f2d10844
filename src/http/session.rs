//! Who is signed in on the page: from the browser's cookie to a user of the configuration.
//!
//! Architecture invariant: a session counts only while its user is declared and enabled, has the
//! role he had when he signed in, and signs in with the same password. The cookie's value is kept
//! nowhere but in the browser; the store has its hash.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Web;
use super::problem::Problem;
use super::routes::role_name;
use crate::core::config::{Config, Language, Role, Switch, User};
use crate::core::permission::Asker;
use crate::core::ticket::Actor;
use crate::secret::Secrets;
use crate::store::{Session, SessionKey};

/// A session that was not used for this long has ended.
pub const IDLE: SignedDuration = SignedDuration::from_hours(12);
/// A session ends this long after it began, however much it is used.
pub const LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How often is noted that a session is used, and that its password is still the same.
pub const SEEN_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// Bells that are counted; more are shown as more.
pub const UNREAD_MAX: usize = 99;
/// Cookie where we are reached over https: browsers take it from nobody but this very host.
const COOKIE_SECURE: &str = "__Host-postroom";
/// Cookie where we are not, as on this machine itself.
const COOKIE_PLAIN: &str = "postroom";
/// The same of an attempt to sign in elsewhere.
const ATTEMPT_SECURE: &str = "__Host-postroom-attempt";
/// The same of an attempt where there is no https.
const ATTEMPT_PLAIN: &str = "postroom-attempt";
/// What begins the proof of somebody who signed in at a provider.
const PROVIDER: &str = "oidc:";
/// Hexadecimal digits of a cookie's value: 256 bits.
const TOKEN_DIGITS: usize = 64;

/// A person who is signed in: what every page gets.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Name of the user.
    pub user: String,
    /// Full name.
    pub full_name: String,
    /// What the user may do.
    pub role: Role,
    /// Language of the page.
    pub language: Language,
    /// Zone in which times are shown.
    pub time_zone: TimeZone,
    /// When the page is made.
    pub now: Timestamp,
    /// Name of the desk.
    pub desk: String,
    /// Bells that were not read, at most [`UNREAD_MAX`] and one.
    pub unread: usize,
    /// What every form of this session carries.
    pub csrf: String,
    /// What was just done, as named in the query by the page before.
    pub said: String,
    /// Where the session is found.
    pub key: SessionKey,
}

impl SignedIn {
    /// Who asks, where it matters whom he may see.
    pub fn asker(&self) -> Asker<'_> {
        Asker { role: self.role, user: Some(&self.user) }
    }

    /// Who does it, for the history of a ticket.
    pub fn actor(&self) -> Actor {
        Actor::Agent(self.user.clone())
    }

    /// Whether the user has this role or a higher one.
    pub fn may(&self, role: Role) -> bool {
        self.role >= role
    }
}

/// The value of a cookie.
pub struct Token(String);

impl Token {
    /// A new one.
    pub fn new() -> Result<Token, Problem> {
        let mut random = [0_u8; TOKEN_DIGITS / 2];
        getrandom::fill(&mut random).map_err(|_| Problem::internal())?;
        Ok(Token(hex(&random)))
    }

    /// The one that a browser sent, if it can be one of ours.
    pub fn of(headers: &HeaderMap, secure: bool) -> Option<Token> {
        let value = cookie(headers, cookie_name(secure))?;
        let fits = value.len() == TOKEN_DIGITS && value.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| Token(value.to_owned()))
    }

    /// Under what its session is found.
    pub fn key(&self) -> SessionKey {
        SessionKey(Sha256::digest(self.0.as_bytes()).into())
    }

    /// What the forms of its session carry. It follows from the cookie and does not give it away.
    pub fn csrf(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"postroom form\0");
        hash.update(self.0.as_bytes());
        hex(&hash.finalize())
    }

    /// As the browser sends it back.
    pub fn cookie(&self, secure: bool) -> String {
        format!("{}={}", cookie_name(secure), self.0)
    }

    /// As the header that puts it into the browser.
    pub fn set_cookie(&self, secure: bool) -> HeaderValue {
        set_cookie(cookie_name(secure), &self.0, LIFETIME, secure)
    }
}

/// The sealed attempt to sign in at the provider that a browser sent.
pub fn attempt_cookie(headers: &HeaderMap, secure: bool) -> Option<&str> {
    cookie(headers, attempt_name(secure))
}

/// The header that puts a sealed attempt into the browser.
pub fn set_attempt_cookie(sealed: &str, secure: bool, lifetime: SignedDuration) -> HeaderValue {
    set_cookie(attempt_name(secure), sealed, lifetime, secure)
}

/// The header that takes the cookie of an attempt out of the browser.
pub fn clear_attempt_cookie(secure: bool) -> HeaderValue {
    set_cookie(attempt_name(secure), "", SignedDuration::ZERO, secure)
}

/// What a session is begun with by somebody who signed in at this provider.
pub fn proof_of_provider(issuer: &str) -> String {
    format!("{PROVIDER}{issuer}")
}

/// The header that takes the cookie out of the browser.
pub fn clear_cookie(secure: bool) -> HeaderValue {
    set_cookie(cookie_name(secure), "", SignedDuration::ZERO, secure)
}

/// Whether a form carries what its session's forms carry.
pub fn same(expected: &str, given: &str) -> bool {
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

/// Who is signed in with this cookie; a session that has ended is removed.
pub async fn find(web: &Web, token: &Token) -> Result<Option<SignedIn>, Problem> {
    let (key, now) = (token.key(), web.handle.clock.now());
    let Some(session) = web.read(move |store| store.session(&key)).await? else { return Ok(None) };
    let config = web.handle.running.load().config.clone();
    let old = now.duration_since(session.seen) >= SEEN_EVERY;
    let user = standing(&config, &session, now);
    let user = match user {
        Some(user) if old && !same_proof(web, user, &session).await? => None,
        user => user,
    };
    let Some(user) = user else {
        web.handle.store.end_session(key).await?;
        return Ok(None);
    };
    if old {
        web.handle.store.see_session(key, now).await?;
    }
    let name = user.name.clone();
    let unread = web.read(move |store| store.unread_bells(&name, UNREAD_MAX + 1)).await?;
    Ok(Some(SignedIn {
        user: user.name.clone(),
        full_name: user.full_name.clone(),
        role: user.role,
        language: user.language,
        time_zone: config.desk.time_zone.clone(),
        now,
        desk: config.desk.name.clone(),
        unread,
        csrf: token.csrf(),
        said: String::new(),
        key,
    }))
}

/// Whose session it is, if it still counts.
fn standing<'a>(config: &'a Config, session: &Session, now: Timestamp) -> Option<&'a User> {
    let user = config.users.get(&session.user)?;
    let same = user.state == Switch::Enabled && role_name(user.role) == session.role;
    let fresh = now.duration_since(session.seen) < IDLE;
    let young = now.duration_since(session.began) < LIFETIME;
    (same && fresh && young).then_some(user)
}

/// Whether the user would still sign in with what this session was begun with.
async fn same_proof(web: &Web, user: &User, session: &Session) -> Result<bool, Problem> {
    if let Some(issuer) = session.proof.strip_prefix(PROVIDER) {
        let config = &web.handle.running.load().config;
        return Ok(config.sign_in.oidc.as_ref().is_some_and(|oidc| oidc.issuer == issuer));
    }
    let (secrets, user, proof) = (web.handle.secrets.clone(), user.clone(), session.proof.clone());
    let read = move || proof_of_password(&secrets, &user).is_none_or(|now| now == proof);
    tokio::task::spawn_blocking(read).await.map_err(|_| Problem::internal())
}

/// Fingerprint of a user's password, or of there being none; `None` while its hash cannot be read:
/// a secret that is being rotated signs nobody out.
pub fn proof_of_password(secrets: &Secrets, user: &User) -> Option<String> {
    let Some(reference) = &user.password_hash else { return Some(String::new()) };
    let hash = secrets.read(reference).ok()?;
    Some(hex(&Sha256::digest(hash.expose_secret().trim().as_bytes())))
}

/// Value of a cookie. One that stands there twice is not believed.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim());
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

fn cookie_name(secure: bool) -> &'static str {
    if secure { COOKIE_SECURE } else { COOKIE_PLAIN }
}

fn attempt_name(secure: bool) -> &'static str {
    if secure { ATTEMPT_SECURE } else { ATTEMPT_PLAIN }
}

/// The header that puts a cookie into the browser.
pub(super) fn set_cookie(
    name: &str,
    value: &str,
    lifetime: SignedDuration,
    secure: bool,
) -> HeaderValue {
    let (age, secure) = (lifetime.as_secs(), if secure { "; Secure" } else { "" });
    // RFC 6265bis section 4.1.3.2: `__Host-` needs Secure, Path=/ and no Domain.
    let text = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(text).expect("names and values are letters, digits, `-` and `_`")
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Problem;

    /// The door of the pages put it there.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<SignedIn, Problem> {
        parts.extensions.get::<SignedIn>().cloned().ok_or_else(Problem::internal)
    }
}

/// The person who is signed in, on pages that everybody may see.
pub struct MaybeSignedIn(pub Option<SignedIn>);

impl<S: Send + Sync> FromRequestParts<S> for MaybeSignedIn {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<MaybeSignedIn, Infallible> {
        Ok(MaybeSignedIn(parts.extensions.get::<SignedIn>().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ticket::samples;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn session() -> Session {
        Session {
            user: "alice".into(),
            role: "user".into(),
            proof: String::new(),
            began: at("2026-11-20T08:00:00Z"),
            seen: at("2026-11-20T09:00:00Z"),
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Config), now: &str, expected: bool) {
        let mut config = samples::config();
        change(&mut config);
        let user = standing(&config, &session(), at(now));
        assert_eq!(user.is_some(), expected);
    }

    fn alice(config: &mut Config) -> &mut User {
        config.users.get_mut("alice").unwrap()
    }

    #[test]
    fn a_session_ends_by_itself() {
        check(|_| {}, "2026-11-20T20:59:59Z", true);
        check(|_| {}, "2026-11-20T21:00:00Z", false);
        let session = Session { seen: at("2026-11-27T07:59:59Z"), ..session() };
        let config = samples::config();
        assert!(standing(&config, &session, at("2026-11-27T07:59:59Z")).is_some());
        assert!(standing(&config, &session, at("2026-11-27T08:00:00Z")).is_none());
    }

    #[test]
    fn a_session_ends_with_what_its_user_was() {
        let now = "2026-11-20T09:00:00Z";
        check(|config| alice(config).state = Switch::Disabled, now, false);
        check(|config| alice(config).state = Switch::Paused, now, false);
        check(|config| alice(config).role = Role::Admin, now, false);
        check(|config| drop(config.users.remove("alice")), now, false);
        check(|config| alice(config).full_name = "Alice B.".into(), now, true);
    }

    #[track_caller]
    fn check_cookie(values: &[&str], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::COOKIE, value.parse().unwrap());
        }
        assert_eq!(cookie(&headers, "postroom"), expected);
    }

    #[test]
    fn cookies_are_read_strictly() {
        check_cookie(&["a=1; postroom=x; b=2"], Some("x"));
        check_cookie(&["a=1", "postroom=x"], Some("x"));
        check_cookie(&["postroom=x; postroom=y"], None);
        check_cookie(&["__Host-postroom=x"], None);
        check_cookie(&[], None);
    }

    #[test]
    fn only_what_can_be_ours_is_looked_up() {
        let token = Token::new().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, format!("postroom={}", token.0).parse().unwrap());
        assert_eq!(Token::of(&headers, false).map(|found| found.key()), Some(token.key()));
        assert!(Token::of(&headers, true).is_none(), "the plain cookie where https is used");
        headers.insert(header::COOKIE, format!("postroom={}x", &token.0[1..]).parse().unwrap());
        assert!(Token::of(&headers, false).is_none());
    }

    #[test]
    fn cookies_say_how_they_are_kept() {
        let token = Token("0".repeat(TOKEN_DIGITS));
        let secure = token.set_cookie(true);
        let expected = format!(
            "__Host-postroom={}; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure",
            token.0
        );
        assert_eq!(secure.to_str().unwrap(), expected);
        assert!(!token.set_cookie(false).to_str().unwrap().contains("Secure"));
        assert!(clear_cookie(true).to_str().unwrap().contains("=; Path=/; Max-Age=0"));
    }

    #[test]
    fn forms_do_not_give_the_cookie_away() {
        let token = Token::new().unwrap();
        assert_ne!(token.csrf(), token.0);
        assert_ne!(token.csrf(), hex(&token.key().0));
        assert!(same(&token.csrf(), &token.csrf()) && !same(&token.csrf(), ""));
    }
}
