//! What would become of a mail.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::{Query, Raw};
use crate::http::Web;
use crate::http::explain::{ExplainError, Explanation};
use crate::http::problem::Problem;

/// What must stand in the query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    account: String,
}

/// Judges a mail without recording anything.
pub async fn explain(
    State(web): State<Web>,
    Query(query): Query<ExplainQuery>,
    Raw(raw): Raw,
) -> Result<Json<Explanation>, Problem> {
    let config = web.handle.running.load().config.clone();
    let judged = tokio::task::spawn_blocking(move || {
        crate::http::explain::explain(&config, &query.account, &raw, web.handle.clock.now())
    });
    match judged.await.map_err(|_| Problem::internal())? {
        Ok(explanation) => Ok(Json(explanation)),
        Err(error @ ExplainError::NoAccount { .. }) => Err(Problem::not_found(error)),
    }
}
