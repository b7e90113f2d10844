//! Problem answers (RFC 9457).
//!
//! Architecture invariant: an answer says what the caller can do about it and nothing about our
//! insides; panics and store failures are told in general words and logged in full.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dto::config::ProblemView;
use crate::core::ticket::Refused;
use crate::store::{CommandError, StoreError};

/// Media type of problem answers.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// When to ask again after an answer that something is not available now.
const RETRY_AFTER_SECS: u64 = 5;

/// Why a request was not carried out. There is no `type`: the status says which kind it is, as
/// `about:blank` would (RFC 9457 section 4.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The status in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What was wrong with this request.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Problems of the configuration files, where it is about them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ProblemView>,
}

impl Problem {
    /// A problem with this status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem {
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            detail: detail.into(),
            hint: None,
            problems: Vec::new(),
        }
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// Nothing is there.
    pub fn not_found(what: impl std::fmt::Display) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, format!("there is no {what}"))
    }

    /// The request makes no sense as it is.
    pub fn bad(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The request is well-formed but cannot be carried out.
    pub fn unprocessable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// What stands there does not allow it.
    pub fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, detail)
    }

    /// Our fault; the log says more.
    pub fn internal() -> Problem {
        let detail = "the request failed inside the daemon; its log says more";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).expect("a problem is plain data");
        let mut response = (status, body).into_response();
        // The door of the pages makes a page of it.
        response.extensions_mut().insert(self);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 6750 section 3.
            let challenge = HeaderValue::from_static("Bearer realm=\"postroom\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        tracing::error!(%error, "could not answer a request");
        match error {
            StoreError::DiskFull(_) => {
                Problem::new(StatusCode::INSUFFICIENT_STORAGE, "the disk of the daemon is full")
                    .hint("nothing was lost; make room and try again")
            }
            StoreError::Closed => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is shutting down")
            }
            StoreError::InUse(_)
            | StoreError::Directory(_)
            | StoreError::Failed(_)
            | StoreError::Newer { .. } => Problem::internal(),
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Problem {
        match error {
            CommandError::NoTicket(number) => Problem::not_found(format!("ticket {number:?}")),
            CommandError::Refused(refused @ (Refused::Merged | Refused::Taken(_))) => {
                Problem::conflict(refused.to_string())
            }
            CommandError::Refused(refused) => Problem::unprocessable(refused.to_string()),
            CommandError::KeyReused => Problem::unprocessable(error.to_string())
                .hint("a new request needs a new Idempotency-Key"),
            CommandError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(problem: Problem, status: u16, detail: &str) {
        assert_eq!((problem.status, problem.detail.as_str()), (status, detail));
    }

    #[test]
    fn commands_that_were_not_carried_out() {
        let merged = "the ticket is merged into another one; change that one";
        check(CommandError::Refused(Refused::Merged).into(), 409, merged);
        check(CommandError::NoTicket("7".into()).into(), 404, "there is no ticket \"7\"");
        let invalid = Refused::Invalid("no time".into());
        check(CommandError::Refused(invalid).into(), 422, "no time");
    }

    #[test]
    fn insides_are_not_told() {
        let problem = Problem::from(StoreError::Failed("page 7 of /var/lib is broken".into()));
        assert!(!serde_json::to_string(&problem).unwrap().contains("/var/lib"));
    }
}
