//! What operators and their machines ask: metrics, health, reload, status, backup.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Web;
use super::api::{Body, Query};
use super::dto::config::{ChangeView, ProblemView, ReloadView};
use super::dto::status::{BackupRequest, DoneView, ObjectView, OutboxView, StatusView};
use super::problem::Problem;
use crate::app::{ReloadAnswer, Trigger};
use crate::metrics;
use crate::store::StoreError;

/// Until the store must have answered a look at its health.
const HEALTH_TIMEOUT_SECS: u64 = 2;

pub(super) async fn metrics(State(web): State<Web>) -> Response {
    let pages = web.handle.metrics.pages().map(Ok::<_, Infallible>);
    let body = axum::body::Body::from_stream(futures_util::stream::iter(pages));
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], body).into_response()
}

/// That this runs says that the runtime turns; the store has to answer one small question.
pub(super) async fn healthy(State(web): State<Web>) -> Result<&'static str, Problem> {
    let answers = web.read(|store| store.account("health").map(drop));
    match tokio::time::timeout(Duration::from_secs(HEALTH_TIMEOUT_SECS), answers).await {
        Ok(Ok(())) => Ok("healthy\n"),
        Ok(Err(_)) => Err(unavailable("the store does not work; the log says more")),
        Err(_) => Err(unavailable("the store does not answer in time")),
    }
}

pub(super) async fn ready(State(web): State<Web>) -> Result<&'static str, Problem> {
    if web.handle.running.load().revision.is_empty() {
        Err(unavailable("no revision of the configuration was applied yet"))
    } else {
        Ok("ready\n")
    }
}

/// What may stand in the query of a reload.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReloadQuery {
    #[serde(default)]
    allow_mass_delete: bool,
}

pub(super) async fn reload(
    State(web): State<Web>,
    Query(query): Query<ReloadQuery>,
) -> Result<Json<ReloadView>, Problem> {
    let answer = web.handle.reload(Trigger::Http, query.allow_mass_delete).await;
    match answer.ok_or_else(|| unavailable("the daemon is shutting down"))? {
        ReloadAnswer::Unchanged { revision } => Ok(Json(ReloadView {
            result: "unchanged".into(),
            revision,
            changes: Vec::new(),
            warnings: Vec::new(),
        })),
        ReloadAnswer::Applied { revision, changes, warnings } => Ok(Json(ReloadView {
            result: "applied".into(),
            revision,
            changes: changes.iter().map(ChangeView::from).collect(),
            warnings: warnings.iter().map(ProblemView::from).collect(),
        })),
        ReloadAnswer::Invalid { problems } => Err(invalid(&problems)),
        ReloadAnswer::Blocked { running, removed } => Err(blocked(running, removed)),
    }
}

/// What will be in the way of somebody, in words.
fn warnings(web: &Web) -> Vec<String> {
    let proxies = web.undeclared.warning(web.handle.clock.now());
    web.handle.tokens.warnings().into_iter().chain(proxies).collect()
}

pub(super) async fn status(State(web): State<Web>) -> Result<Json<StatusView>, Problem> {
    let counts = web.read(|store| store.outbox_counts()).await?;
    let running = web.handle.running.load();
    let rejected = web.handle.rejected.load();
    Ok(Json(StatusView {
        version: env!("CARGO_PKG_VERSION").into(),
        started: web.handle.started.to_string(),
        ready: !running.revision.is_empty(),
        revision: running.revision.to_string(),
        applied: running.applied.to_string(),
        rejected: rejected.iter().map(ProblemView::from).collect(),
        warnings: warnings(&web),
        changes: running.changes.iter().map(ChangeView::from).collect(),
        objects: web.handle.board.all().iter().map(ObjectView::from).collect(),
        outbox: OutboxView {
            due: counts.due,
            dead: counts.dead,
            sent: counts.sent,
            oldest_due: counts.oldest_due.map(|at| at.to_string()),
        },
    }))
}

pub(super) async fn backup(
    State(web): State<Web>,
    Body(request): Body<BackupRequest>,
) -> Result<Json<DoneView>, Problem> {
    let to = PathBuf::from(&request.to);
    if !to.is_absolute() {
        return Err(Problem::unprocessable("`to` must be an absolute path"));
    }
    match web.handle.store.backup(&to).await {
        Ok(()) => Ok(Json(DoneView { done: format!("copied the store to {}", request.to) })),
        // Whoever may ask this is an administrator: the reason helps and hides nothing.
        Err(error @ StoreError::Failed(_)) => Err(Problem::unprocessable(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn invalid(problems: &[crate::config::Problem]) -> Problem {
    let mut problem =
        Problem::unprocessable("the configuration files have errors; nothing changed");
    problem.problems = problems.iter().map(ProblemView::from).collect();
    problem
}

fn blocked(running: usize, removed: usize) -> Problem {
    let detail = format!("this revision would remove {removed} of {running} mail accounts");
    Problem::conflict(detail).hint(
        "if that is meant, repeat with ?allowMassDelete=true or `postroom reload --allow-mass-delete`",
    )
}

fn unavailable(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}
