//! What stands before every handler: origin, token, role; and what is put on every answer.
//!
//! Architecture invariant: a handler never checks a right itself; the route table says what is
//! needed and this file enforces it before a byte of the body is read.

use std::net::IpAddr;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Web;
use super::auth::{self, Caller};
use super::pages::door;
use super::problem::Problem;
use super::proxy;
use super::routes::{Access, role_name};
use super::serve::{Client, Peer};
use crate::core::config::Role;

/// Lets a request through if the route's access allows it.
pub async fn admit(
    State((web, access)): State<(Web, Access)>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Access::Page(role) = access {
        return door::admit(&web, role, request, next).await;
    }
    if let Err(problem) = same_origin(&web, request.method(), request.headers()) {
        return problem.into_response();
    }
    match caller(&web, access, &request) {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Counts the answer and puts the headers on it that every answer carries.
pub async fn observe(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    if let Some(Peer(peer)) = request.extensions().get::<Peer>() {
        let client = proxy::client(peer.ip(), request.headers(), &web.handle.trusted_proxies);
        request.extensions_mut().insert(Client(client));
    }
    // The declared path, not the one asked for: that one could be anything.
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("other", |path| path.as_str()).to_owned();
    let method = method_label(request.method());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::X_FRAME_OPTIONS).or_insert(HeaderValue::from_static("DENY"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    let secs = began.elapsed().as_secs_f64();
    web.handle.metrics.http_request(&route, method, response.status().as_u16(), secs);
    response
}

fn caller(web: &Web, access: Access, request: &Request) -> Result<Option<Caller>, Problem> {
    let needed = match access {
        Access::Open => return Ok(None),
        Access::AdminOrLoopback if from_this_machine(request) => return Ok(None),
        Access::AdminOrLoopback => Role::Admin,
        Access::Role(role) => role,
        // Answered by the door of the pages before it comes to this.
        Access::Page(_) => return Err(Problem::internal()),
    };
    let refused = |detail: &str| {
        let hint = "declare one under `apiTokens`, or take it from `api-token` in the data directory (commands: --data)";
        Problem::new(StatusCode::UNAUTHORIZED, detail).hint(hint)
    };
    let token = auth::bearer(request.headers())
        .ok_or_else(|| refused("this needs a token in the header Authorization"))?;
    let running = web.handle.running.load();
    let caller =
        auth::identify(&running.config, web.local.as_deref(), token, web.handle.clock.now());
    let caller = caller.ok_or_else(|| refused("this token is unknown, disabled or expired"))?;
    if caller.role < needed {
        let (has, needs) = (role_name(caller.role), role_name(needed));
        let detail = format!("token {:?} has the role {has}; this needs {needs}", caller.name);
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(Some(caller))
}

/// Whether the request was made on this machine and for this machine. A name that somebody let
/// point here (DNS rebinding) or a proxy before us does not count.
fn from_this_machine(request: &Request) -> bool {
    let peer = request.extensions().get::<Peer>();
    let headers = request.headers();
    let forwarded = headers.contains_key(header::FORWARDED)
        || headers.contains_key("x-forwarded-for")
        || headers.contains_key("x-real-ip");
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback())
        && !forwarded
        && host.is_some_and(names_loopback)
}

pub(super) fn names_loopback(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<axum::http::uri::Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A browser names the page that asks in `Origin`: another host's page changes nothing here.
pub(super) fn same_origin(web: &Web, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(authority_of);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let external = web.handle.external_url.as_deref().and_then(authority_of);
    let ours = origin.is_some_and(|origin| Some(origin) == host || Some(origin) == external);
    if ours {
        Ok(())
    } else {
        let detail = "the header Origin names another host; requests from its pages are refused";
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }
}

pub(super) fn authority_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split('/').next()
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(authority: &str, expected: bool) {
        assert_eq!(names_loopback(authority), expected, "{authority}");
    }

    #[test]
    fn names_of_this_machine() {
        check("localhost:8025", true);
        check("127.0.0.1:8025", true);
        check("[::1]:8025", true);
        check("evil.example", false);
        check("localhost.evil.example", false);
        check("10.0.0.1", false);
        check("", false);
    }

    #[test]
    fn authority_of_an_origin() {
        assert_eq!(authority_of("https://desk.example:8443"), Some("desk.example:8443"));
        assert_eq!(authority_of("https://desk.example/base/"), Some("desk.example"));
        assert_eq!(authority_of("null"), None);
    }
}
