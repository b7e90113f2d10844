//! What stands before every handler: origin, token, role; and what is put on every answer.
//!
//! Architecture invariant: a handler never checks a right itself; the route table says what is
//! needed and this file enforces it before a byte of the body is read.

use std::net::IpAddr;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
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

/// What browsers are told where people reach us over https: nothing but https, for a year.
const HSTS: &str = "max-age=31536000";

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
        let (headers, trusted) = (request.headers(), &web.handle.trusted_proxies);
        let client = Client {
            address: proxy::client(peer.ip(), headers, trusted),
            claimed: proxy::claimed(peer.ip(), headers, trusted),
            over_https: proxy::over_https(peer.ip(), headers, trusted),
        };
        if client.claimed.is_some() && web.undeclared.note(client.address, web.handle.clock.now()) {
            tracing::warn!(
                address = %client.address,
                "a request with X-Forwarded-For or Forwarded came from an address that is not under \
                 --trusted-proxies: all people behind a proxy count as one address; if it is yours, \
                 declare it"
            );
        }
        request.extensions_mut().insert(client);
    }
    // The declared path, not the one asked for: that one could be anything.
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("other", |path| path.as_str()).to_owned();
    let method = method_label(request.method());
    let strict = over_https(&web, request.headers());
    let mut response = match one_host(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    if strict {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
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

/// Whether this is asked under the name at which people reach us over https. Not under others:
/// a browser that once heard it takes no plain answer of that name for a year (RFC 6797).
fn over_https(web: &Web, headers: &HeaderMap) -> bool {
    let external = web.handle.external_url.as_deref().filter(|url| is_https(url));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let external = external.and_then(authority_of);
    external.zip(host).is_some_and(|(external, host)| external.eq_ignore_ascii_case(host))
}

fn caller(web: &Web, access: Access, request: &Request) -> Result<Option<Caller>, Problem> {
    let needed = match access {
        Access::Open => return Ok(None),
        // Behind a proxy a connection from this machine says nothing of who asks.
        Access::AdminOrLoopback if !web.handle.is_public() && from_this_machine(request) => {
            return Ok(None);
        }
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

/// A browser names the page that asks in `Origin`: another host's page changes nothing here, and
/// neither does one of ours that came without encryption where people reach us over https.
pub(super) fn same_origin(web: &Web, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if is_ours(origin.to_str().unwrap_or_default(), host, web.handle.external_url.as_deref()) {
        return Ok(());
    }
    let detail = "the header Origin names another host; requests from its pages are refused";
    let problem = Problem::new(StatusCode::FORBIDDEN, detail);
    let plain = web.handle.external_url.as_deref().is_some_and(is_https);
    Err(if plain { problem.hint("open the page under its https address") } else { problem })
}

fn is_ours(origin: &str, host: Option<&str>, external: Option<&str>) -> bool {
    let (Some(scheme), Some(from)) = (scheme_of(origin), authority_of(origin)) else {
        return false;
    };
    let reached = external.and_then(|url| Some((scheme_of(url)?, authority_of(url)?)));
    let Some((ours, at)) = reached else { return Some(from) == host };
    let same_name = host_of(from).eq_ignore_ascii_case(host_of(at));
    if same_name && ours == "https" && scheme != "https" {
        return false;
    }
    let external = scheme == ours && same_name && port_of(scheme, from) == port_of(ours, at);
    external || Some(from) == host
}

/// Whether a URL is one of https.
pub(super) fn is_https(url: &str) -> bool {
    scheme_of(url).is_some_and(|scheme| scheme == "https")
}

fn scheme_of(url: &str) -> Option<String> {
    url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase())
}

pub(super) fn authority_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split('/').next()
}

fn host_of(authority: &str) -> &str {
    port(authority).map_or(authority, |(host, _)| host)
}

fn port_of(scheme: impl AsRef<str>, authority: &str) -> u16 {
    let default = if scheme.as_ref() == "https" { 443 } else { 80 };
    port(authority).map_or(default, |(_, port)| port)
}

/// Host and port, if there is one.
fn port(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = authority.rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

/// Whether the request names exactly one host, and the same one everywhere (RFC 9112 section 3.2).
/// With two, a proxy may look at one and we at the other.
fn one_host(request: &Request) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let refused = |detail: &str| Err(Problem::bad(detail));
    if second.is_some() {
        return refused("the request has more than one header Host");
    }
    let Some(host) = first else {
        return match request.version() {
            Version::HTTP_11 => refused("the request has no header Host"),
            _ => Ok(()),
        };
    };
    let host = host.to_str().ok().filter(|host| {
        host.is_empty() || (!host.contains('@') && host.parse::<Authority>().is_ok())
    });
    let Some(host) = host else { return refused("the header Host names no host") };
    match request.uri().authority() {
        Some(target) if !target.as_str().eq_ignore_ascii_case(host) => {
            refused("the request line and the header Host name different hosts")
        }
        _ => Ok(()),
    }
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

    #[track_caller]
    fn check_origin(origin: &str, host: &str, external: &str, expected: bool) {
        let external = Some(external).filter(|url| !url.is_empty());
        assert_eq!(is_ours(origin, Some(host), external), expected, "{origin} at {host}");
    }

    #[test]
    fn origins_of_our_own_pages() {
        let external = "https://desk.example";
        check_origin("https://desk.example", "desk.example", external, true);
        check_origin("https://desk.example", "inside:8025", external, true);
        check_origin("https://desk.example", "desk.example", "https://desk.example:443/", true);
        check_origin("http://127.0.0.1:8025", "127.0.0.1:8025", external, true);
        check_origin("http://desk.example:8025", "desk.example:8025", "", true);
        check_origin("http://desk.example", "desk.example", "http://desk.example", true);
    }

    #[test]
    fn origins_of_others() {
        let external = "https://desk.example";
        check_origin("http://desk.example", "desk.example", external, false);
        check_origin("http://DESK.example", "desk.example", external, false);
        check_origin("HTTP://desk.example:80", "desk.example:80", external, false);
        check_origin("http://desk.example:8025", "desk.example:8025", external, false);
        check_origin("https://desk.example:444", "desk.example", external, false);
        check_origin("https://evil.example", "desk.example", external, false);
        check_origin("null", "desk.example", external, false);
        check_origin("", "desk.example", external, false);
    }

    #[test]
    fn authority_of_an_origin() {
        assert_eq!(authority_of("https://desk.example:8443"), Some("desk.example:8443"));
        assert_eq!(authority_of("https://desk.example/base/"), Some("desk.example"));
        assert_eq!(authority_of("null"), None);
    }
}
