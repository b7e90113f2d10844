//! Signing in with OAuth2, and how everybody stands.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;

use super::{Body, Path, Query};
use crate::http::Web;
use crate::http::dto::PageView;
use crate::http::dto::oauth::{CodeRequest, SignInRequest, SignInView, StandingView};
use crate::http::dto::status::DoneView;
use crate::http::paging::KeyQuery;
use crate::http::problem::Problem;
use crate::run::tokens::{Holder, Outcome, TokenError, Why};

/// Path to which a browser comes back.
pub const CALLBACK: &str = "/oauth2/callback";

/// How everybody who logs in with a token stands.
pub async fn list(
    State(web): State<Web>,
    Query(query): Query<KeyQuery>,
) -> Json<PageView<StandingView, String>> {
    let config = web.handle.running.load().config.clone();
    let standing = web.handle.tokens.standing(&config).await;
    let now = web.handle.clock.now();
    let row = |one| {
        let view = StandingView::of(&config, one, now);
        (format!("{} {}", view.kind, view.name), view)
    };
    Json(query.page(standing.iter().map(row).collect()))
}

/// Begins a sign-in.
pub async fn begin(
    State(web): State<Web>,
    Body(request): Body<SignInRequest>,
) -> Result<Json<SignInView>, Problem> {
    let config = web.handle.running.load().config.clone();
    let holder = holder(&web, &request)?;
    let tokens = &web.handle.tokens;
    if request.device {
        let begun = tokens.begin_device(&config, &holder).await.map_err(refused)?;
        return Ok(Json(SignInView::of(&begun, false)));
    }
    let ours = web.handle.external_url.as_deref().filter(|_| !request.loopback);
    let ours = ours.map(|url| format!("{}{CALLBACK}", url.trim_end_matches('/')));
    let via_daemon = ours.is_some();
    let redirect = ours.or(request.redirect.clone().filter(|url| is_loopback(url)));
    let redirect = redirect.ok_or_else(|| {
        Problem::conflict("there is no way back for the browser")
            .hint("run the daemon with --external-url, or name a redirect on this machine")
    })?;
    let begun = tokens.begin_code(&config, &holder, &redirect).map_err(refused)?;
    Ok(Json(SignInView::of(&begun, via_daemon)))
}

/// What came of a sign-in.
pub async fn show(
    State(web): State<Web>,
    Path(id): Path<String>,
) -> Result<Json<DoneView>, Problem> {
    match web.handle.tokens.outcome(&id) {
        None => Err(Problem::not_found("sign-in of this name")),
        Some(Outcome::Waiting) => Ok(Json(DoneView { done: "waiting".into() })),
        Some(Outcome::Done) => Ok(Json(DoneView { done: "signed in".into() })),
        Some(Outcome::Failed(reason)) => Err(Problem::conflict(reason)),
    }
}

/// Brings the code that a browser brought to the command.
pub async fn code(
    State(web): State<Web>,
    Body(request): Body<CodeRequest>,
) -> Result<Json<DoneView>, Problem> {
    let answer = match request.error {
        Some(error) => Err(error),
        None => Ok(SecretString::from(request.code.unwrap_or_default())),
    };
    let config = web.handle.running.load().config.clone();
    let holder = web.handle.tokens.finish_code(&config, &request.state, answer).await;
    let holder = holder.map_err(Problem::conflict)?;
    Ok(Json(DoneView { done: format!("signed in for {} {:?}", holder.kind.word(), holder.name) }))
}

/// What a provider sends with the browser; there may be more.
#[derive(Deserialize)]
pub struct Callback {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
}

/// The browser comes back.
pub async fn callback(
    State(web): State<Web>,
    Query(query): Query<Callback>,
) -> Result<&'static str, Problem> {
    let answer = match (query.error, query.code) {
        (None, Some(code)) => Ok(SecretString::from(code)),
        (error, _) => Err(error.unwrap_or_else(|| "no code".into())),
    };
    let config = web.handle.running.load().config.clone();
    match web.handle.tokens.finish_code(&config, &query.state, answer).await {
        Ok(_) => Ok("Signed in. You can close this window.\n"),
        Err(reason) => Err(Problem::new(StatusCode::BAD_REQUEST, reason)
            .hint("begin again with `postroom oauth login`")),
    }
}

fn holder(web: &Web, request: &SignInRequest) -> Result<Holder, Problem> {
    let config = web.handle.running.load().config.clone();
    let (what, name, found) = match (&request.account, &request.smtp) {
        (Some(name), None) => {
            let account = config.accounts.get(name);
            ("mail account", name, account.map(|account| Holder::of_account(account)))
        }
        (None, Some(name)) => ("SMTP server", name, config.smtp.get(name).map(Holder::of_server)),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Problem::conflict("name an account or an SMTP server, one of them"));
        }
    };
    let holder = found.ok_or_else(|| Problem::not_found(format!("{what} {name:?}")))?;
    let holder = holder
        .ok_or_else(|| Problem::conflict(format!("{what} {name:?} does not log in with OAuth2")))?;
    if holder.profile != request.profile {
        let detail = format!("{what} {name:?} uses profile {:?}", holder.profile);
        return Err(Problem::conflict(detail).hint("name that profile"));
    }
    Ok(holder)
}

/// RFC 8252 section 7.3: the command on the person's own machine.
fn is_loopback(url: &str) -> bool {
    ["http://localhost:", "http://127.0.0.1:", "http://[::1]:"].iter().any(|start| {
        let rest = url.strip_prefix(start).and_then(|rest| rest.split_once('/'));
        rest.is_some_and(|(port, path)| {
            port.parse::<u16>().is_ok() && path.bytes().all(|byte| byte.is_ascii_graphic())
        })
    })
}

fn refused(error: TokenError) -> Problem {
    let status = match error.why {
        Why::Unreachable | Why::Provider => StatusCode::SERVICE_UNAVAILABLE,
        Why::SignIn | Why::Administrator | Why::Client | Why::Declared => StatusCode::CONFLICT,
        Why::Store => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, error.message).hint(error.hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_on_the_machine_of_the_person() {
        for url in ["http://localhost:8025/oauth2/callback", "http://127.0.0.1:1/x"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "http://localhost.evil.test:1/x",
            "http://localhost:1@evil.test/x",
            "https://evil.test/",
            "http://localhost:99999/x",
            "http://localhost:1/x y",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
