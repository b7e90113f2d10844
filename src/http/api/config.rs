//! The configuration: what runs, its files, and what is wrong with others.

use axum::Json;
use axum::extract::State;
use jiff::Zoned;
use serde::Deserialize;
use serde_json::Value;

use super::{Query, Raw};
use crate::config::Severity;
use crate::http::dto::config::{CheckView, FileView, FilesView, ProblemView};
use crate::http::problem::Problem;
use crate::http::{Web, redacted};
use crate::lint::{self, Around};

/// What runs, secrets as references.
pub async fn show(State(web): State<Web>) -> Json<Value> {
    let running = web.handle.running.load();
    let mut shown = redacted::config(&running.config);
    shown["revision"] = (&*running.revision).into();
    Json(shown)
}

/// What may stand in the query for files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesQuery {
    revision: Option<String>,
}

/// The files of the revision that was applied last, or of one that is still kept.
pub async fn files(
    State(web): State<Web>,
    Query(query): Query<FilesQuery>,
) -> Result<Json<FilesView>, Problem> {
    let stored = web.read(move |store| match &query.revision {
        Some(hash) => store.revision(hash),
        None => store.last_revision(),
    });
    let none = || Problem::not_found("revision like this that was applied and is still kept");
    let stored = stored.await?.ok_or_else(none)?;
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
    let judge = move || {
        let mut loaded = crate::config::load_saved(&files);
        // Nothing that the file names is looked at on this machine.
        let today = Zoned::now().date();
        let around = Around { today, secrets: None, certificates: false, sign_ins: Vec::new() };
        lint::add(&mut loaded, &around);
        loaded
    };
    let loaded = tokio::task::spawn_blocking(judge).await;
    let loaded = loaded.map_err(|_| Problem::internal())?;
    let errors = loaded.problems.iter().any(|problem| problem.severity == Severity::Error);
    Ok(Json(CheckView {
        valid: loaded.config.is_some() && !errors,
        problems: loaded.problems.iter().map(ProblemView::from).collect(),
    }))
}
