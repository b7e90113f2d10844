//! The handlers of `/api/v1`, one file per resource.

pub mod accounts;
pub mod config;
pub mod explain;
pub mod mails;
pub mod notifications;
pub mod outbox;
pub mod quarantine;
pub mod tickets;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// A JSON body whose mistakes are answered as a problem.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        match Json::from_request(request, state).await {
            Ok(Json(value)) => Ok(Body(value)),
            Err(rejection) => Err(explain_rejection(&rejection)),
        }
    }
}

fn explain_rejection(rejection: &JsonRejection) -> Problem {
    match rejection {
        JsonRejection::MissingJsonContentType(_) => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be sent as application/json",
        ),
        // Its text quotes keys and types, never what else stood in the body.
        rejection => Problem::new(rejection.status(), rejection.body_text()),
    }
}
