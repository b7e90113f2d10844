//! Signing in with a password, and signing out.
//!
//! Architecture invariant: whoever is refused learns neither whether the name exists nor what was
//! wrong; every try is counted before it is looked at, and few passwords are hashed at a time.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::html;
use secrecy::SecretString;

use super::door::{self, Guest};
use super::layout::{self, Page};
use super::words::SignIn;
use crate::core::address::Address;
use crate::core::config::{Config, Switch, User};
use crate::core::invisible;
use crate::core::search::fold;
use crate::http::form::{Form, link};
use crate::http::problem::Problem;
use crate::http::routes::role_name;
use crate::http::session::{self, MaybeSignedIn, SignedIn, Token};
use crate::http::throttle::{Attempt, Named};
use crate::http::{Client, Web};
use crate::metrics::Metrics;
use crate::password;
use crate::secret::Secrets;
use crate::store::Session;

/// Passwords that are hashed at a time; each takes 19 MiB for a moment.
pub const HASHES_AT_A_TIME: usize = 2;
/// Until the password of somebody who waits must be looked at.
const HASH_WAIT_SECS: u64 = 10;

/// The form.
pub async fn form(
    State(web): State<Web>,
    Extension(guest): Extension<Guest>,
    MaybeSignedIn(reader): MaybeSignedIn,
    form: Form,
) -> Response {
    let next = door::next_path(form.text("next"));
    if reader.is_some() {
        return door::redirect(next);
    }
    let words = SignIn::of(guest.language);
    let said = if form.text("said") == "signedOut" { words.ended } else { "" };
    page(&web, &guest, Asked { name: "", next, notice: said, bad: false }).into_response()
}

/// Looks at name and password.
pub async fn submit(
    State(web): State<Web>,
    Extension(guest): Extension<Guest>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Problem> {
    let words = SignIn::of(guest.language);
    let (name, next) = (form.text("name").trim(), door::next_path(form.text("next")));
    let password = SecretString::from(form.text("password").to_owned());
    let user = user(&web.handle.running.load().config, name).cloned();
    let now = web.handle.clock.now();
    let find = |user: &User| web.entrance.devices.find(&headers, &user.name, guest.secure, now);
    let attempt = Attempt {
        named: user
            .as_ref()
            .map_or_else(|| Named::nobody(&compared(name)), |user| Named::User(user.name.clone())),
        origin: (&client).into(),
        device: user.as_ref().and_then(find),
    };
    let answer = try_password(&web, user, password, &attempt).await?;
    count(&web.handle.metrics, &answer);
    note(&answer, client.address);
    let (status, notice) = match answer {
        Answer::Right(user, proof) => return begin(&web, &guest, &user, proof, next).await,
        Answer::Wrong => (StatusCode::UNAUTHORIZED, words.wrong.to_owned()),
        Answer::Busy => (StatusCode::SERVICE_UNAVAILABLE, words.busy.to_owned()),
        Answer::Wait(secs) => (StatusCode::TOO_MANY_REQUESTS, format!("{} {secs}", words.wait)),
    };
    let mut page = page(&web, &guest, Asked { name, next, notice: &notice, bad: true });
    page.status = status;
    let mut response = page.into_response();
    if let Answer::Wait(secs) = answer {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    Ok(response)
}

/// Ends this session.
pub async fn out(
    State(web): State<Web>,
    Extension(guest): Extension<Guest>,
    reader: SignedIn,
) -> Result<Response, Problem> {
    web.handle.store.end_session(reader.key).await?;
    Ok(gone(&guest))
}

/// Ends every session of this user.
pub async fn out_everywhere(
    State(web): State<Web>,
    Extension(guest): Extension<Guest>,
    reader: SignedIn,
) -> Result<Response, Problem> {
    web.handle.store.end_sessions_of(&reader.user).await?;
    Ok(gone(&guest))
}

fn gone(guest: &Guest) -> Response {
    let mut response = door::redirect("/sign-in?said=signedOut");
    response.headers_mut().insert(header::SET_COOKIE, session::clear_cookie(guest.secure));
    response
}

/// What came of an attempt.
enum Answer {
    /// This user, with the fingerprint of what the password was compared with.
    Right(Box<User>, String),
    /// Not this password, or nobody of this name.
    Wrong,
    /// Too many tries; so many seconds are left to wait.
    Wait(i64),
    /// Too many people at a time.
    Busy,
}

async fn try_password(
    web: &Web,
    user: Option<User>,
    password: SecretString,
    attempt: &Attempt,
) -> Result<Answer, Problem> {
    if let Err(secs) = web.entrance.throttle.attempt(attempt, web.handle.clock.now()) {
        return Ok(Answer::Wait(secs));
    }
    let waiting = web.entrance.hashing.clone().acquire_owned();
    let Ok(Ok(permit)) = tokio::time::timeout(Duration::from_secs(HASH_WAIT_SECS), waiting).await
    else {
        return Ok(Answer::Busy);
    };
    let secrets = web.handle.secrets.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        look(&secrets, user, &password)
    });
    let found = looked.await.map_err(|_| Problem::internal())?;
    Ok(match found {
        Some((user, proof)) => {
            web.entrance.throttle.forget(attempt);
            Answer::Right(Box::new(user), proof)
        }
        None => Answer::Wrong,
    })
}

/// The user, if this is the password. Takes as long for nobody as for somebody.
fn look(secrets: &Secrets, user: Option<User>, password: &SecretString) -> Option<(User, String)> {
    let reference = user.as_ref().and_then(|user| user.password_hash.as_ref());
    let hash = reference.map(|reference| secrets.read(reference)).transpose();
    let name = user.as_ref().map_or("", |user| &user.name);
    let hash = hash.unwrap_or_else(|error| {
        tracing::error!(user = name, %error, "could not read the hash of a password");
        None
    });
    let right = password::verify(hash.as_ref(), password).unwrap_or_else(|error| {
        tracing::error!(user = name, %error, "could not look at a password");
        false
    });
    let user = user.filter(|_| right)?;
    let proof = session::proof_of_password(secrets, &user)?;
    Some((user, proof))
}

/// Who is meant by a name: a user name, or the address of exactly one user. Case, white space and
/// compatibility forms of Unicode do not matter where they tell no two users apart.
pub(super) fn user<'a>(config: &'a Config, name: &str) -> Option<&'a User> {
    let enabled = |user: &&User| user.state == Switch::Enabled;
    if let Some(user) = config.users.get(name) {
        return Some(user).filter(enabled);
    }
    let name = compared(name);
    let mut alike = config.users.values().filter(|user| compared(&user.name) == name);
    match (alike.next(), alike.next()) {
        (Some(user), None) => Some(user).filter(enabled),
        (Some(_), Some(_)) => None,
        (None, _) => by_address(config, &Address::parse(&name)?),
    }
}

/// A name in the form in which names are compared.
fn compared(name: &str) -> String {
    fold(&invisible::removed(name)).split_whitespace().collect()
}

/// The one user who has this address.
pub(super) fn by_address<'a>(config: &'a Config, address: &Address) -> Option<&'a User> {
    let enabled = |user: &&User| user.state == Switch::Enabled;
    let mut found = config.users.values().filter(|user| user.email == *address).filter(enabled);
    let first = found.next();
    first.filter(|_| found.next().is_none())
}

/// The form again, with the reason why nobody was signed in.
pub(super) fn refused(web: &Web, guest: &Guest, notice: &str) -> Page {
    let mut page = page(web, guest, Asked { name: "", next: "/", notice, bad: true });
    page.status = StatusCode::UNAUTHORIZED;
    page
}

/// Begins a session and goes on.
pub(super) async fn begin(
    web: &Web,
    guest: &Guest,
    user: &User,
    proof: String,
    next: &str,
) -> Result<Response, Problem> {
    let (token, now) = (Token::new()?, web.handle.clock.now());
    let role = role_name(user.role).to_owned();
    let session = Session { user: user.name.clone(), role, proof, began: now, seen: now };
    web.handle.store.begin_session(token.key(), session).await?;
    let mut response = door::redirect(next);
    let headers = response.headers_mut();
    // Nobody guesses the password of somebody who has none.
    if user.password_hash.is_some()
        && let Some(cookie) = web.entrance.devices.set_cookie(&user.name, guest.secure, now)
    {
        headers.append(header::SET_COOKIE, cookie);
    }
    headers.append(header::SET_COOKIE, token.set_cookie(guest.secure));
    Ok(response)
}

/// A refusal is logged with the address, so that programs can look after who guesses. Not with the
/// name: it may be a password that was typed into the wrong field.
fn note(answer: &Answer, client: IpAddr) {
    match answer {
        Answer::Wrong => {
            tracing::warn!(%client, "a sign-in was refused: name or password is wrong")
        }
        Answer::Wait(secs) => tracing::warn!(%client, secs, "a sign-in has to wait"),
        Answer::Right(..) | Answer::Busy => {}
    }
}

fn count(metrics: &Metrics, answer: &Answer) {
    let result = match answer {
        Answer::Right(..) => "ok",
        Answer::Wrong => "wrong",
        Answer::Wait(_) => "throttled",
        Answer::Busy => "busy",
    };
    metrics.sign_in("password", result);
}

/// What the form shows.
struct Asked<'a> {
    name: &'a str,
    next: &'a str,
    notice: &'a str,
    bad: bool,
}

fn page(web: &Web, guest: &Guest, asked: Asked<'_>) -> Page {
    let words = SignIn::of(guest.language);
    let config = web.handle.running.load().config.clone();
    let passwords = config.users.values().any(|user| user.password_hash.is_some());
    let oidc = config.sign_in.oidc.as_ref();
    let next = if asked.next == "/" { "" } else { asked.next };
    let content = html! {
        div.card {
            h1 { (words.title) }
            (layout::notice(asked.notice, asked.bad))
            @if !passwords && oidc.is_none() { p.notice.warn { (words.nobody) } }
            @if let Some(oidc) = oidc {
                p {
                    a.button.main href=(link("/sign-in/oidc", &[("next", next)])) {
                        (words.with) " " (oidc.name)
                    }
                }
            }
            @if passwords || oidc.is_none() { form.stack method="post" action="/sign-in" {
                input type="hidden" name="next" value=(asked.next);
                label for="name" { (words.name) }
                input #name name="name" value=(asked.name) required maxlength="254"
                    autocomplete="username" autocapitalize="none" spellcheck="false"
                    autofocus[asked.name.is_empty()];
                label for="password" { (words.password) }
                input #password type="password" name="password" required maxlength="1024"
                    autocomplete="current-password" autofocus[!asked.name.is_empty()];
                p { button.main[oidc.is_none()] type="submit" { (words.submit) } }
            } }
        }
        @if !guest.encrypted { p.notice.warn { (words.plain) } }
    };
    layout::outside(guest.language, &guest.desk, words.title, content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ticket::samples;

    #[track_caller]
    fn check(change: impl FnOnce(&mut Config), name: &str, expected: Option<&str>) {
        let mut config = samples::config();
        change(&mut config);
        assert_eq!(user(&config, name).map(|user| user.name.as_str()), expected);
    }

    #[test]
    fn by_name_or_address() {
        let address = samples::config().users["alice"].email.to_string();
        check(|_| {}, "alice", Some("alice"));
        check(|_| {}, &address.to_uppercase(), Some("alice"));
        check(|_| {}, " ALICE ", Some("alice"));
        check(|_| {}, "ａｌｉｃｅ", Some("alice"));
        check(|_| {}, "al ice", Some("alice"));
        check(|_| {}, "al\u{200b}ice\u{fe0f}", Some("alice"));
        check(|_| {}, "nobody", None);
        check(|_| {}, "", None);
        check(
            |config| config.users.get_mut("alice").unwrap().state = Switch::Paused,
            "alice",
            None,
        );
    }

    #[test]
    fn a_spelling_of_two_means_neither() {
        let twin = |config: &mut Config| {
            let mut twin = config.users["alice"].clone();
            twin.name = "Alice".into();
            config.users.insert(twin.name.clone(), twin);
        };
        check(twin, "alice", Some("alice"));
        check(twin, "Alice", Some("Alice"));
        check(twin, "ALICE", None);
    }

    #[test]
    fn an_address_of_two_means_neither() {
        let address = samples::config().users["alice"].email.clone();
        let text = address.to_string();
        let twin = |config: &mut Config| config.users.get_mut("bob").unwrap().email = address;
        check(twin, &text, None);
    }
}
