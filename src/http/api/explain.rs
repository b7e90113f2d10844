//! What would become of a mail.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::{Query, Raw};
use crate::http::Web;
use crate::http::explain::{Explanation, explain_with};
use crate::http::problem::Problem;

/// What must stand in the query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    account: String,
}

/// Judges a mail under what runs, with what the store knows; nothing is recorded.
pub async fn explain(
    State(web): State<Web>,
    Query(query): Query<ExplainQuery>,
    Raw(raw): Raw,
) -> Result<Json<Explanation>, Problem> {
    let config = web.handle.running.load().config.clone();
    let (store, now) = (web.handle.store.clone(), web.handle.clock.now());
    let explained = explain_with(&store, config, &query.account, raw.to_vec(), now).await?;
    explained.map(Json).map_err(Problem::not_found)
}
