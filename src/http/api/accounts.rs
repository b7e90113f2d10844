//! Mail accounts.

use axum::Json;
use axum::extract::State;

use super::Path;
use crate::app::probe::{self, Means, Probe};
use crate::http::Web;
use crate::http::dto::status::{DoneView, TrialView};
use crate::http::problem::Problem;

/// Tries an account step by step; nothing is fetched.
pub async fn test(
    State(web): State<Web>,
    Path(name): Path<String>,
) -> Result<Json<TrialView>, Problem> {
    Ok(Json(TrialView::from(try_account(&web, &name).await?)))
}

/// Tries an SMTP server step by step; no mail is sent.
pub async fn test_server(
    State(web): State<Web>,
    Path(name): Path<String>,
) -> Result<Json<TrialView>, Problem> {
    Ok(Json(TrialView::from(try_server(&web, &name).await?)))
}

pub(in crate::http) async fn try_account(web: &Web, name: &str) -> Result<Probe, Problem> {
    let account = web.handle.running.load().config.accounts.get(name).cloned();
    let account = account.ok_or_else(|| Problem::not_found(format!("mail account {name:?}")))?;
    Ok(probe::account(&account, &means(web)).await)
}

pub(in crate::http) async fn try_server(web: &Web, name: &str) -> Result<Probe, Problem> {
    let server = web.handle.running.load().config.smtp.get(name).cloned();
    let server = server.ok_or_else(|| Problem::not_found(format!("SMTP server {name:?}")))?;
    Ok(probe::server(&server, None, &means(web)).await)
}

/// The daemon's own tokens: here those of people work, too.
fn means(web: &Web) -> Means {
    Means {
        config: web.handle.running.load().config.clone(),
        secrets: web.handle.secrets.clone(),
        programs: web.handle.programs.clone(),
        tokens: web.handle.tokens.clone(),
    }
}

/// Looks into a mailbox now.
pub async fn fetch(
    State(web): State<Web>,
    Path(name): Path<String>,
) -> Result<Json<DoneView>, Problem> {
    let declared = web.handle.running.load().config.accounts.contains_key(&name);
    if !declared {
        return Err(Problem::not_found(format!("mail account {name:?}")));
    }
    if web.handle.fetch_now(&name).await {
        Ok(Json(DoneView { done: format!("mail account {name:?} looks into its mailbox now") }))
    } else {
        let detail = format!("mail account {name:?} is not fetched from: it is paused or disabled");
        Err(Problem::conflict(detail))
    }
}
