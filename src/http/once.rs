//! The header `Idempotency-Key` on what is not about one ticket: the first answer is kept for a day,
//! and whoever asks the same again gets it without anything being done again.
//!
//! A request claims its key before it is carried out, so that another request never shares it, and
//! its answer is kept after its effect. Who was killed in between carries it out again: the effects
//! behind these routes allow that, each for itself. Refusals are not kept: what was refused has done
//! nothing and may be tried again.

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};

use super::Web;
use super::api::{IdempotencyKey, Raw};
use super::auth::Caller;
use super::problem::Problem;
use crate::core::mail::Digest;
use crate::store::{Claim, CommandError, Once};

/// Bytes of an answer that is kept. What is longer was only read and can be read again.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Requests with keys that are carried out at the same time.
const TURNS: usize = 64;

/// Lets requests with the same key wait for each other.
pub struct Turns([Mutex<()>; TURNS]);

impl Default for Turns {
    fn default() -> Turns {
        Turns(std::array::from_fn(|_| Mutex::new(())))
    }
}

impl Turns {
    /// Waits until no other request with this key is carried out.
    async fn wait(&self, key: &Digest) -> MutexGuard<'_, ()> {
        self.0[usize::from(key.0[0]) % TURNS].lock().await
    }
}

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    media_type: String,
    body: String,
}

/// Carries a request out, or answers it as before.
pub async fn answer(State(web): State<Web>, request: Request, next: Next) -> Response {
    match keyed(&web, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn keyed(web: &Web, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let IdempotencyKey(key) = IdempotencyKey::from_request_parts(&mut parts, &()).await?;
    let Some(key) = key else { return Ok(next.run(Request::from_parts(parts, body)).await) };
    let Raw(body) = Raw::from_request(Request::from_parts(parts.clone(), body), &()).await?;
    let who = parts.extensions.get::<Caller>().map(|caller| caller.actor());
    // As the routes about one ticket name it: a key is used for one request, of whatever route.
    let owner = who.map_or_else(|| "this machine".to_owned(), |actor| format!("{actor:?}"));
    let asked = format!("{} {}\n", parts.method, parts.uri);
    let once = Once {
        key: Digest::of(format!("{owner} {key}").as_bytes()),
        request: Digest::of(&[asked.as_bytes(), &body].concat()),
    };
    let _turn = web.turns.wait(&once.key).await;
    match web.handle.store.claim(once.clone(), web.handle.clock.now()).await? {
        Claim::New => {}
        Claim::Answered(answer) => return again(&answer),
        Claim::Other => return Err(CommandError::KeyReused.into()),
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    keep(web, once, response).await
}

/// The answer that was kept.
fn again(answer: &str) -> Result<Response, Problem> {
    let kept: Kept = serde_json::from_str(answer).map_err(|_| Problem::internal())?;
    let status = StatusCode::from_u16(kept.status).map_err(|_| Problem::internal())?;
    let media_type = HeaderValue::from_str(&kept.media_type).map_err(|_| Problem::internal())?;
    let mut response = (status, kept.body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    Ok(response)
}

/// Keeps an answer, and hands it on. What was done is done, whether it can be kept or not.
async fn keep(web: &Web, once: Once, response: Response) -> Result<Response, Problem> {
    let short = response.body().size_hint().upper().is_some_and(|it| it <= ANSWER_BYTES_MAX as u64);
    if !response.status().is_success() || !short {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(|_| Problem::internal())?;
    if let Some(kept) = kept(&parts, &body) {
        let kept = web.handle.store.keep_answer(once, kept, web.handle.clock.now()).await;
        if let Err(error) = kept {
            tracing::warn!(%error, "could not keep the answer to a request with a key");
        }
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn kept(parts: &axum::http::response::Parts, body: &Bytes) -> Option<String> {
    let media_type = parts.headers.get(header::CONTENT_TYPE)?.to_str().ok()?.to_owned();
    let body = std::str::from_utf8(body).ok()?.to_owned();
    serde_json::to_string(&Kept { status: parts.status.as_u16(), media_type, body }).ok()
}
