//! Signing in at the declared OpenID provider: there and back.
//!
//! What belongs to one attempt (state, nonce, verifier, where to go on) is sealed into a cookie of
//! the browser that began it. Nothing is kept here until that browser comes back, so strangers who
//! begin attempts displace nobody's.
//!
//! Architecture invariant: an attempt belongs to the browser that began it and counts once; who
//! comes back without its cookie, or with another's code, has not signed in. Nobody becomes a user
//! who is not declared.

mod used_states;

use std::sync::{Mutex, PoisonError};

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::door::{self, Guest};
use super::sign_in;
use super::words::SignIn;
use crate::core::address::Address;
use crate::core::config::{Config, Oidc, User};
use crate::core::intake::DeskKey;
use crate::http::Web;
use crate::http::form::Form;
use crate::http::problem::Problem;
use crate::http::sealed::Sealer;
use crate::http::session;
use crate::net::http::Client;
use crate::net::reach::Reach;
use crate::oauth::seal::SealError;
use crate::openid::id_token::Claims;
use crate::openid::{self, Discovery, Flow, OpenIdError, Registration};
use crate::secret::Secrets;
use used_states::{Unusable, UsedStates};

/// Path that the provider sends the browser back to.
pub const CALLBACK: &str = "/sign-in/oidc/callback";
/// An attempt must be finished within this time.
const ATTEMPT_MAX: SignedDuration = SignedDuration::from_mins(10);
/// What a provider says of itself is believed for this long.
const DISCOVERY_KEPT: SignedDuration = SignedDuration::from_mins(10);
/// What the cookie of an attempt is sealed for.
const PURPOSE: &str = "sign-in at the OpenID provider";

/// What everybody shares who signs in at the provider.
pub struct Provider {
    sealer: Sealer,
    used: UsedStates,
    discovered: Mutex<Option<(Timestamp, Discovery)>>,
}

/// One attempt of one browser, as its sealed cookie holds it. It is sealed for its issuer.
#[derive(Serialize, Deserialize)]
struct Attempt {
    flow: Flow,
    /// The exchange of the code must name the same address (RFC 6749 section 4.1.3).
    redirect_uri: String,
    next: String,
    expires: Timestamp,
}

/// Sends the browser to the provider.
pub async fn begin(
    State(web): State<Web>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Problem> {
    let Some(oidc) = web.handle.running.load().config.sign_in.oidc.clone() else {
        return Err(Problem::not_found("OpenID provider declared under `signIn`"));
    };
    let redirect_uri = format!("{}{CALLBACK}", address(&web, &guest, &headers));
    match prepare(&web, &oidc, redirect_uri, door::next_path(form.text("next"))).await {
        Ok((url, sealed)) => {
            let mut response = door::redirect(&url);
            let cookie = session::set_attempt_cookie(&sealed, guest.secure, ATTEMPT_MAX);
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            Ok(response)
        }
        Err(error) => {
            tracing::error!(%error, "could not send somebody to the OpenID provider");
            web.handle.metrics.sign_in("oidc", "failed");
            Ok(refused(&web, &guest, SignIn::of(guest.language).provider_failed))
        }
    }
}

/// The browser comes back.
pub async fn back(
    State(web): State<Web>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Problem> {
    let config = web.handle.running.load().config.clone();
    let Some(oidc) = &config.sign_in.oidc else {
        return Err(Problem::not_found("OpenID provider declared under `signIn`"));
    };
    let words = SignIn::of(guest.language);
    let sealed = session::attempt_cookie(&headers, guest.secure);
    let attempt = match take(&web.entrance.provider, oidc, sealed, &form, web.handle.clock.now()) {
        Ok(attempt) => attempt,
        Err(refusal) => return Ok(turned_back(&web, &guest, refusal)),
    };
    let (result, notice) = match finish(&web, oidc, &attempt, &form).await {
        Ok(claims) => match user(&config, oidc, &claims) {
            Some(user) => {
                web.handle.metrics.sign_in("oidc", "ok");
                let proof = session::proof_of_provider(&oidc.issuer);
                let begun = sign_in::begin(&web, &guest, user, proof, &attempt.next).await?;
                return Ok(without_attempt(&guest, begun));
            }
            None => {
                tracing::warn!(
                    subject = claims.text("sub").unwrap_or_default(),
                    "somebody signed in at the OpenID provider who is no user here"
                );
                ("unknown", words.provider_unknown)
            }
        },
        Err(error) => {
            tracing::error!(%error, "could not sign somebody in at the OpenID provider");
            ("failed", words.provider_failed)
        }
    };
    web.handle.metrics.sign_in("oidc", result);
    Ok(refused(&web, &guest, notice))
}

/// Why a browser that comes back has no attempt to go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("the browser sent no cookie of an attempt")]
    NoCookie,
    #[error("the cookie was not sealed by this desk for the provider that is declared now")]
    Foreign,
    #[error("the attempt began more than 10 minutes ago")]
    Expired,
    #[error("the answer belongs to another attempt than the cookie")]
    OtherState,
    #[error("the attempt came back before")]
    Used,
    #[error("too many attempts came back in the last 10 minutes")]
    Full,
}

/// The attempt that a browser comes back from. From then on it is used.
fn take(
    provider: &Provider,
    oidc: &Oidc,
    sealed: Option<&str>,
    form: &Form,
    now: Timestamp,
) -> Result<Attempt, Refusal> {
    let sealed = sealed.ok_or(Refusal::NoCookie)?;
    let attempt: Attempt = provider.sealer.open(&oidc.issuer, sealed).ok_or(Refusal::Foreign)?;
    if now >= attempt.expires {
        return Err(Refusal::Expired);
    }
    let state = &attempt.flow.state;
    if !session::same(state, form.text("state")) {
        return Err(Refusal::OtherState);
    }
    match provider.used.take(state, attempt.expires, now) {
        Ok(()) => Ok(attempt),
        Err(Unusable::Used) => Err(Refusal::Used),
        Err(Unusable::Full) => Err(Refusal::Full),
    }
}

/// The form again for a browser that has no attempt to go on with.
fn turned_back(web: &Web, guest: &Guest, refusal: Refusal) -> Response {
    let words = SignIn::of(guest.language);
    match refusal {
        Refusal::Full => {
            web.handle.metrics.sign_in("oidc", "busy");
            tracing::error!("could not sign somebody in at the OpenID provider: {refusal}");
            let mut response = refused(web, guest, words.busy);
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
        Refusal::NoCookie
        | Refusal::Foreign
        | Refusal::Expired
        | Refusal::OtherState
        | Refusal::Used => {
            web.handle.metrics.sign_in("oidc", "expired");
            tracing::info!("a sign-in at the OpenID provider was refused: {refusal}");
            refused(web, guest, words.provider_expired)
        }
    }
}

fn refused(web: &Web, guest: &Guest, notice: &str) -> Response {
    without_attempt(guest, sign_in::refused(web, guest, notice).into_response())
}

/// Takes the cookie of the attempt out of the browser: it is used.
fn without_attempt(guest: &Guest, mut response: Response) -> Response {
    let cookie = session::clear_attempt_cookie(guest.secure);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

/// Why an attempt did not get on.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    OpenId(#[from] OpenIdError),
    #[error("{0}")]
    Secret(#[from] crate::secret::SecretError),
    #[error("could not seal the attempt: {0}")]
    Seal(#[from] SealError),
    #[error("the provider says {0}")]
    Said(String),
    #[error("{0}")]
    Other(&'static str),
}

/// Where the browser goes, and the sealed attempt that it takes along.
async fn prepare(
    web: &Web,
    oidc: &Oidc,
    redirect_uri: String,
    next: &str,
) -> Result<(String, String), Failed> {
    let discovery = discovery(web, oidc).await?;
    let registration = registration(web, oidc, redirect_uri.clone()).await?;
    let (flow, next) = (Flow::begin()?, next.to_owned());
    let url = flow.authorization_url(&discovery, &registration, &oidc.scopes);
    let expires = web.handle.clock.now() + ATTEMPT_MAX;
    let attempt = Attempt { flow, redirect_uri, next, expires };
    Ok((url, web.entrance.provider.sealer.seal(&oidc.issuer, &attempt)?))
}

/// What the provider says of itself, asked for now and then.
async fn discovery(web: &Web, oidc: &Oidc) -> Result<Discovery, OpenIdError> {
    let (provider, now) = (&web.entrance.provider, web.handle.clock.now());
    if let Some(known) = provider.discovered(&oidc.issuer, now) {
        return Ok(known);
    }
    let found = openid::discover(&client(oidc), &oidc.issuer).await?;
    provider.discover(found.clone(), now);
    Ok(found)
}

async fn registration(
    web: &Web,
    oidc: &Oidc,
    redirect_uri: String,
) -> Result<Registration, Failed> {
    let (secrets, ours) = (web.handle.secrets.clone(), oidc.clone());
    let registered = tokio::task::spawn_blocking(move || register(&secrets, &ours, redirect_uri));
    registered.await.map_err(|_| Failed::Other("a secret was not read"))?
}

fn register(secrets: &Secrets, oidc: &Oidc, redirect_uri: String) -> Result<Registration, Failed> {
    let client_secret = oidc.client_secret.as_ref().map(|secret| secrets.read(secret));
    let client_secret = client_secret.transpose()?;
    Ok(Registration { client_id: secrets.text(&oidc.client_id)?, client_secret, redirect_uri })
}

/// What people type to reach us: as declared, else as this browser did; the door has looked at it.
fn address(web: &Web, guest: &Guest, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let here = || format!("{}://{host}", if guest.secure { "https" } else { "http" });
    let external = web.handle.external_url.as_deref().filter(|_| !door::is_address(host));
    external.map_or_else(here, |url| url.trim_end_matches('/').to_owned())
}

async fn finish(web: &Web, oidc: &Oidc, attempt: &Attempt, form: &Form) -> Result<Claims, Failed> {
    if let Some(error) = form.filled("error") {
        // RFC 6749 section 4.1.2.1: a word of the standard. Anything else is not repeated.
        let word = error.len() <= 64 && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        return Err(Failed::Said(if word { error.to_owned() } else { "no".to_owned() }));
    }
    if form.filled("iss").is_some_and(|named| named != oidc.issuer) {
        return Err(Failed::Other("the answer is of another issuer (RFC 9207)"));
    }
    let (client, now) = (client(oidc), web.handle.clock.now());
    let discovery = discovery(web, oidc).await?;
    let registration = registration(web, oidc, attempt.redirect_uri.clone()).await?;
    let (code, claim) = (form.text("code"), oidc.user_claim.as_deref().unwrap_or("email"));
    Ok(attempt.flow.finish(&client, &discovery, &registration, code, claim, now).await?)
}

fn client(oidc: &Oidc) -> Client {
    let reach = if oidc.allow_private { Reach::Private } else { Reach::Public };
    Client::new(oidc.tls.clone(), reach)
}

/// Whose user somebody is.
fn user<'a>(config: &'a Config, oidc: &Oidc, claims: &Claims) -> Option<&'a User> {
    match &oidc.user_claim {
        Some(claim) => sign_in::user(config, claims.text(claim)?),
        None => sign_in::by_address(config, &Address::parse(claims.verified_email()?)?),
    }
}

impl Provider {
    /// For the desk with this key.
    pub fn new(desk: &DeskKey) -> Provider {
        let sealer = Sealer::new(desk, PURPOSE);
        Provider { sealer, used: UsedStates::default(), discovered: Mutex::default() }
    }

    fn discovered(&self, issuer: &str, now: Timestamp) -> Option<Discovery> {
        let known = self.discovered.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, known) = known.as_ref()?;
        let fresh = now.duration_since(*at) < DISCOVERY_KEPT && known.issuer == issuer;
        fresh.then(|| known.clone())
    }

    fn discover(&self, found: Discovery, now: Timestamp) {
        *self.discovered.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, found));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::{Text, TlsOptions};

    #[test]
    fn an_attempt_is_refused_while_too_many_have_come_back() {
        let mut provider = Provider::new(&DeskKey([7; 32]));
        let oidc = Oidc {
            issuer: "https://login.example".into(),
            name: "Corp".into(),
            client_id: Text::Plain("desk".into()),
            client_secret: None,
            scopes: Vec::new(),
            user_claim: None,
            allow_private: false,
            tls: TlsOptions::default(),
        };
        let now: Timestamp = "2026-11-25T09:00:00Z".parse().unwrap();
        let attempt = Attempt {
            flow: Flow::begin().unwrap(),
            redirect_uri: String::new(),
            next: "/me".into(),
            expires: now + ATTEMPT_MAX,
        };
        let sealed = provider.sealer.seal(&oidc.issuer, &attempt).unwrap();
        let form = Form::parse(format!("state={}", attempt.flow.state).as_bytes());
        let mut come_back = |most: usize| {
            provider.used = UsedStates::at_most(most);
            take(&provider, &oidc, Some(&sealed), &form, now).map(|attempt| attempt.next)
        };
        assert_eq!(come_back(0), Err(Refusal::Full));
        assert_eq!(come_back(1), Ok("/me".into()));
    }
}
