//! What would become of stored mails, or of one mail, under other files: nothing is recorded.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Body;
use crate::core::config::Config;
use crate::http::Web;
use crate::http::dto::config::{FileView, ProblemView};
use crate::http::explain::{ExplainRequest, Explanation, explain_with};
use crate::http::problem::Problem;
use crate::http::replay::{ReplayRequest, ReplayView, replay as judge_all};

/// Judges the newest mails under two sets of files.
pub async fn replay(
    State(web): State<Web>,
    Body(request): Body<ReplayRequest>,
) -> Result<Json<ReplayView>, Problem> {
    let after = compiled(request.files).await?;
    let before = match request.against {
        // No files at all: there was no desk before.
        Some(files) if files.is_empty() => Arc::new(Config::default()),
        Some(files) => compiled(files).await?,
        None => web.handle.running.load().config.clone(),
    };
    let store = web.handle.store.clone();
    Ok(Json(judge_all(&store, before, after, request.last, web.handle.clock.now()).await?))
}

/// Judges one mail under given files, with what the store knows.
pub async fn explain(
    State(web): State<Web>,
    Body(request): Body<ExplainRequest>,
) -> Result<Json<Explanation>, Problem> {
    let config = match request.files.is_empty() {
        true => web.handle.running.load().config.clone(),
        false => compiled(request.files).await?,
    };
    let raw = STANDARD
        .decode(&request.mail)
        .map_err(|_| Problem::unprocessable("`mail` is not Base64"))?;
    let store = web.handle.store.clone();
    let explained =
        explain_with(&store, config, &request.account, raw, web.handle.clock.now()).await?;
    explained.map(Json).map_err(Problem::not_found)
}

async fn compiled(files: Vec<FileView>) -> Result<Arc<Config>, Problem> {
    let files = files.into_iter().map(|file| (file.path, file.content)).collect::<Vec<_>>();
    let loaded = tokio::task::spawn_blocking(move || crate::config::load_saved(&files)).await;
    let loaded = loaded.map_err(|_| Problem::internal())?;
    loaded.config.map(Arc::new).ok_or_else(|| {
        let mut problem = Problem::unprocessable("the files have errors");
        problem.problems = loaded.problems.iter().map(ProblemView::from).collect();
        problem
    })
}
