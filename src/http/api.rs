//! The handlers of `/api/v1`, one file per resource.

pub mod accounts;
pub mod audience;
pub mod bulk;
pub mod config;
pub mod customers;
pub mod explain;
pub mod mails;
pub mod notifications;
pub mod oauth;
pub mod outbox;
pub mod people;
pub mod quarantine;
pub mod replay;
pub mod tickets;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{self, FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// How many bytes a body may have on a route.
#[derive(Clone, Copy)]
pub struct BodyLimit(pub usize);

impl BodyLimit {
    fn of(request: &Request) -> Option<BodyLimit> {
        request.extensions().get().copied()
    }
}

/// Says of a body that is too large how large it may be.
fn refused(status: StatusCode, detail: String, limit: Option<BodyLimit>) -> Problem {
    match limit.filter(|_| status == StatusCode::PAYLOAD_TOO_LARGE) {
        Some(BodyLimit(bytes)) => {
            let detail =
                format!("the body has more than {} KiB, the most that is taken here", bytes / 1024);
            Problem::new(status, detail).hint("send less at a time")
        }
        None => Problem::new(status, detail),
    }
}

/// A JSON body whose mistakes are answered as a problem.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        let limit = BodyLimit::of(&request);
        match Json::from_request(request, state).await {
            Ok(Json(value)) => Ok(Body(value)),
            Err(rejection) => Err(explain_rejection(&rejection, limit)),
        }
    }
}

/// Longest key of a request that must have one effect.
const KEY_BYTES_MAX: usize = 255;

/// The header `Idempotency-Key`: a request that bears it has one effect, however often it is made.
pub(super) struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IdempotencyKey, Problem> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(IdempotencyKey(None)) };
        // Some send it as a structured string, in quotes.
        let key = value.to_str().map(|text| text.trim().trim_matches('"')).unwrap_or_default();
        if key.is_empty() || key.len() > KEY_BYTES_MAX || values.next().is_some() {
            let detail = format!("Idempotency-Key must be one text of 1 to {KEY_BYTES_MAX} bytes");
            return Err(Problem::bad(detail));
        }
        Ok(IdempotencyKey(Some(key.to_owned())))
    }
}

/// The parameters in a path, whose mistakes are answered as a problem.
pub(super) struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Problem> {
        match extract::Path::from_request_parts(parts, state).await {
            Ok(extract::Path(value)) => Ok(Path(value)),
            Err(rejection) => Err(Problem::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// A query, whose mistakes are answered as a problem.
pub(super) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Query<T>, Problem> {
        match extract::Query::from_request_parts(parts, state).await {
            Ok(extract::Query(value)) => Ok(Query(value)),
            Err(rejection) => Err(Problem::bad(rejection.body_text())),
        }
    }
}

/// Bytes, whose excess is answered as a problem.
pub(super) struct Raw(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Raw, Problem> {
        let limit = BodyLimit::of(&request);
        match Bytes::from_request(request, state).await {
            Ok(bytes) => Ok(Raw(bytes)),
            Err(rejection) => Err(refused(rejection.status(), rejection.body_text(), limit)),
        }
    }
}

fn explain_rejection(rejection: &JsonRejection, limit: Option<BodyLimit>) -> Problem {
    match rejection {
        JsonRejection::MissingJsonContentType(_) => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be sent as application/json",
        ),
        // Its text quotes keys and types, never what else stood in the body.
        rejection => refused(rejection.status(), rejection.body_text(), limit),
    }
}
