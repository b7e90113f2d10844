//! The configuration: what runs, its files, and what is wrong with others.

use axum::Json;
use axum::extract::State;
use jiff::{Timestamp, Zoned};
use serde::Deserialize;
use serde_json::Value;

use super::{Query, Raw};
use crate::config::Severity;
use crate::http::dto::config::{CheckView, FileView, FilesView, ProblemView};
use crate::http::dto::oauth::StandingView;
use crate::http::problem::Problem;
use crate::http::{Web, redacted};
use crate::lint::{self, Around, SignIn};

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

/// What may stand in the query for a check.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckQuery {
    #[serde(default)]
    with_sign_ins: bool,
}

/// What is wrong with a configuration.
pub async fn check(
    State(web): State<Web>,
    Query(query): Query<CheckQuery>,
    Raw(yaml): Raw,
) -> Result<Json<CheckView>, Problem> {
    let yaml = String::from_utf8(yaml.into())
        .map_err(|_| Problem::unprocessable("the configuration is not UTF-8"))?;
    let files = vec![("configuration.yaml".to_owned(), yaml)];
    let sign_ins = if query.with_sign_ins { sign_ins(&web).await } else { Vec::new() };
    let judge = move || {
        let mut loaded = crate::config::load_saved(&files);
        // Nothing that the file names is looked at on this machine.
        let today = Zoned::now().date();
        let around = Around { today, secrets: None, certificates: false, sign_ins };
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

/// Sign-ins of people that are near their end.
async fn sign_ins(web: &Web) -> Vec<SignIn> {
    // By the same clock as everything else that `check` says.
    let (config, now) = (web.handle.running.load().config.clone(), Timestamp::now());
    let all = web.handle.tokens.standing(&config).await;
    let views = all.iter().map(|one| StandingView::of(&config, one, now));
    views.filter_map(|one| one.near_its_end(now)).collect()
}
