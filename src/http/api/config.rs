//! The configuration: what runs, its files, and what is wrong with others.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::Raw;
use crate::config::Severity;
use crate::http::dto::config::{CheckView, FileView, FilesView, ProblemView};
use crate::http::problem::Problem;
use crate::http::{Web, redacted};

/// What runs, secrets as references.
pub async fn show(State(web): State<Web>) -> Json<Value> {
    let running = web.handle.running.load();
    let mut shown = redacted::config(&running.config);
    shown["revision"] = running.revision.clone().into();
    Json(shown)
}

/// The files of the revision that was applied last.
pub async fn files(State(web): State<Web>) -> Result<Json<FilesView>, Problem> {
    let stored = web.read(|store| store.last_revision()).await?;
    let stored = stored.ok_or_else(|| Problem::not_found("revision that was applied"))?;
    let files = stored.files.into_iter().map(|(path, content)| FileView { path, content });
    Ok(Json(FilesView {
        revision: stored.hash,
        applied: stored.applied.to_string(),
        files: files.collect(),
    }))
}

/// What is wrong with a configuration.
pub async fn check(State(_): State<Web>, Raw(yaml): Raw) -> Result<Json<CheckView>, Problem> {
    let yaml = String::from_utf8(yaml.into())
        .map_err(|_| Problem::unprocessable("the configuration is not UTF-8"))?;
    let files = vec![("configuration.yaml".to_owned(), yaml)];
    let loaded = tokio::task::spawn_blocking(move || crate::config::load_saved(&files)).await;
    let loaded = loaded.map_err(|_| Problem::internal())?;
    let errors = loaded.problems.iter().any(|problem| problem.severity == Severity::Error);
    Ok(Json(CheckView {
        valid: loaded.config.is_some() && !errors,
        problems: loaded.problems.iter().map(ProblemView::from).collect(),
    }))
}
