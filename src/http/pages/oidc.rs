//! Signing in at the declared OpenID provider: there and back.
//!
//! Architecture invariant: an attempt belongs to the browser that began it and counts once; who
//! comes back without its cookie, or with another's code, has not signed in. Nobody becomes a user
//! who is not declared.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};

use super::door::{self, Guest};
use super::sign_in;
use super::words::SignIn;
use crate::core::address::Address;
use crate::core::config::{Config, Oidc, User};
use crate::http::Web;
use crate::http::form::Form;
use crate::http::problem::Problem;
use crate::http::session::{self, Token};
use crate::net::http::Client;
use crate::net::reach::Reach;
use crate::openid::id_token::Claims;
use crate::openid::{self, Discovery, Flow, OpenIdError, Registration};
use crate::secret::Secrets;

/// Path that the provider sends the browser back to.
pub const CALLBACK: &str = "/sign-in/oidc/callback";
/// An attempt must be finished within this time.
const ATTEMPT_MAX: SignedDuration = SignedDuration::from_mins(10);
/// Attempts at a time; the oldest makes room.
const ATTEMPTS_MAX: usize = 1000;
/// What a provider says of itself is believed for this long.
const DISCOVERY_KEPT: SignedDuration = SignedDuration::from_mins(10);

/// Attempts that have begun, by the hash of their browser's cookie.
#[derive(Default)]
pub struct Attempts {
    begun: Mutex<HashMap<[u8; 32], Attempt>>,
    discovered: Mutex<Option<(Timestamp, Discovery)>>,
}

/// One attempt of one browser.
struct Attempt {
    flow: Flow,
    oidc: Oidc,
    discovery: Discovery,
    registration: Registration,
    next: String,
    began: Timestamp,
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
    match prepare(&web, oidc, &headers, door::next_path(form.text("next"))).await {
        Ok(attempt) => {
            let scopes = &attempt.oidc.scopes;
            let url =
                attempt.flow.authorization_url(&attempt.discovery, &attempt.registration, scopes);
            let token = Token::new()?;
            web.entrance.attempts.keep(token.key().0, attempt);
            let mut response = door::redirect(&url);
            let cookie = token.set_attempt_cookie(guest.secure, ATTEMPT_MAX);
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
    let words = SignIn::of(guest.language);
    let now = web.handle.clock.now();
    let token = Token::of_attempt(&headers, guest.secure);
    let attempt = token.and_then(|token| web.entrance.attempts.take(&token.key().0, now));
    let (result, notice) = match attempt {
        Some(attempt) if session::same(&attempt.flow.state, form.text("state")) => {
            match finish(&web, &attempt, &form).await {
                Ok(claims) => {
                    let config = web.handle.running.load().config.clone();
                    match user(&config, &attempt.oidc, &claims) {
                        Some(user) => {
                            web.handle.metrics.sign_in("oidc", "ok");
                            let proof = session::proof_of_provider(&attempt.oidc.issuer);
                            return sign_in::begin(&web, &guest, user, proof, &attempt.next).await;
                        }
                        None => {
                            tracing::warn!(
                                subject = claims.text("sub").unwrap_or_default(),
                                "somebody signed in at the OpenID provider who is no user here"
                            );
                            ("unknown", words.provider_unknown)
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "could not sign somebody in at the OpenID provider");
                    ("failed", words.provider_failed)
                }
            }
        }
        // Without its cookie, too late, twice, or begun by somebody else.
        Some(_) | None => ("expired", words.provider_expired),
    };
    web.handle.metrics.sign_in("oidc", result);
    Ok(refused(&web, &guest, notice))
}

fn refused(web: &Web, guest: &Guest, notice: &str) -> Response {
    let mut response = sign_in::refused(web, guest, notice).into_response();
    let cookie = session::clear_attempt_cookie(guest.secure);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

/// Why an attempt did not get on.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    OpenId(#[from] OpenIdError),
    #[error("{0}")]
    Secret(#[from] crate::secret::SecretError),
    #[error("the provider says {0}")]
    Said(String),
    #[error("{0}")]
    Other(&'static str),
}

async fn prepare(
    web: &Web,
    oidc: Oidc,
    headers: &HeaderMap,
    next: &str,
) -> Result<Attempt, Failed> {
    let now = web.handle.clock.now();
    let discovery = match web.entrance.attempts.discovered(&oidc.issuer, now) {
        Some(known) => known,
        None => {
            let found = openid::discover(&client(&oidc), &oidc.issuer).await?;
            web.entrance.attempts.discover(found.clone(), now);
            found
        }
    };
    let redirect_uri = format!("{}{CALLBACK}", address(web, headers));
    let (secrets, ours) = (web.handle.secrets.clone(), oidc.clone());
    let registered = tokio::task::spawn_blocking(move || register(&secrets, &ours, redirect_uri));
    let registration = registered.await.map_err(|_| Failed::Other("a secret was not read"))??;
    let (flow, next) = (Flow::begin()?, next.to_owned());
    Ok(Attempt { flow, oidc, discovery, registration, next, began: now })
}

fn register(secrets: &Secrets, oidc: &Oidc, redirect_uri: String) -> Result<Registration, Failed> {
    let client_secret = oidc.client_secret.as_ref().map(|secret| secrets.read(secret));
    let client_secret = client_secret.transpose()?;
    Ok(Registration { client_id: secrets.text(&oidc.client_id)?, client_secret, redirect_uri })
}

/// What people type to reach us: as declared, else as this browser did; the door has looked at it.
fn address(web: &Web, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let here = || format!("http://{host}");
    let external = web.handle.external_url.as_deref().filter(|_| !door::is_address(host));
    external.map_or_else(here, |url| url.trim_end_matches('/').to_owned())
}

async fn finish(web: &Web, attempt: &Attempt, form: &Form) -> Result<Claims, Failed> {
    if let Some(error) = form.filled("error") {
        // RFC 6749 section 4.1.2.1: a word of the standard. Anything else is not repeated.
        let word = error.len() <= 64 && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        return Err(Failed::Said(if word { error.to_owned() } else { "no".to_owned() }));
    }
    let issuer = &attempt.discovery.issuer;
    if form.filled("iss").is_some_and(|named| named != issuer) {
        return Err(Failed::Other("the answer is of another issuer (RFC 9207)"));
    }
    let (client, now) = (client(&attempt.oidc), web.handle.clock.now());
    let (discovery, registration) = (&attempt.discovery, &attempt.registration);
    let (code, claim) = (form.text("code"), attempt.oidc.user_claim.as_deref());
    let claim = claim.unwrap_or("email");
    Ok(attempt.flow.finish(&client, discovery, registration, code, claim, now).await?)
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

impl Attempts {
    fn keep(&self, key: [u8; 32], attempt: Attempt) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let now = attempt.began;
        begun.retain(|_, other| now.duration_since(other.began) < ATTEMPT_MAX);
        if begun.len() >= ATTEMPTS_MAX {
            let oldest = begun.iter().min_by_key(|(_, other)| other.began);
            if let Some(key) = oldest.map(|(key, _)| *key) {
                begun.remove(&key);
            }
        }
        begun.insert(key, attempt);
    }

    /// Takes an attempt out: it counts once.
    fn take(&self, key: &[u8; 32], now: Timestamp) -> Option<Attempt> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.remove(key).filter(|attempt| now.duration_since(attempt.began) < ATTEMPT_MAX)
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
