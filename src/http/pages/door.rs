//! What stands before every page: host, origin, session, role, and the token of a form; and what
//! makes a page of every problem behind it.
//!
//! Cookies open pages and nothing else; tokens open `/api/v1` and nothing else. So a page of
//! another host, which a browser would send our cookie from, has nothing to aim at but forms, and
//! those need a token that only our own pages know.
//!
//! Architecture invariant: a handler never checks a right itself.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maud::html;

use super::layout::{self, Here};
use super::words::{Errors, Frame, SignIn, accepted};
use crate::core::config::{Language, Role};
use crate::http::form::{self, Form};
use crate::http::problem::Problem;
use crate::http::routes::role_name;
use crate::http::session::{self, SignedIn, Token};
use crate::http::{BODY_BYTES_MAX, Client, READ_TIMEOUT_SECS, Web, guard};

/// Longest path that is come back to after signing in.
const NEXT_BYTES_MAX: usize = 1024;

/// How somebody who is not signed in reads a page.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Language the browser asks for.
    pub language: Language,
    /// Name of the desk.
    pub desk: String,
    /// Whether we are reached over https: by the name that was declared, or through a proxy that
    /// is trusted and says so.
    pub secure: bool,
    /// Whether nobody on the way can read along: https, or this very machine.
    pub encrypted: bool,
}

/// Lets a request through to a page. `needed` is the role it takes; none lets everybody through.
pub async fn admit(web: &Web, needed: Option<Role>, mut request: Request, next: Next) -> Response {
    let guest = guest(web, &request);
    request.extensions_mut().insert(guest.clone());
    let method = request.method().clone();
    let (reader, response) = match enter(web, needed, &guest, request).await {
        Ok((reader, request)) => (reader, next.run(request).await),
        Err(refusal) => *refusal,
    };
    let problem = response.extensions().get::<Problem>().cloned();
    match problem {
        Some(problem) => show(&guest, reader.as_ref(), &problem, &method, response),
        None => response,
    }
}

/// Who asks for a page, and the request with everything its handler may need.
type Entered = (Option<SignedIn>, Request);
/// The answer instead, with who asked.
type Refusal = Box<(Option<SignedIn>, Response)>;

async fn enter(
    web: &Web,
    needed: Option<Role>,
    guest: &Guest,
    mut request: Request,
) -> Result<Entered, Refusal> {
    let nobody = |problem: Problem| Box::new((None, problem.into_response()));
    host(web, request.headers()).map_err(nobody)?;
    guard::same_origin(web, request.method(), request.headers()).map_err(nobody)?;
    let token = Token::of(request.headers(), guest.secure);
    let reader = match &token {
        Some(token) => session::find(web, token).await.map_err(nobody)?,
        None => None,
    };
    let refused = |response: Response| Box::new((reader.clone(), response));
    match (needed, &reader) {
        (Some(_), None) => return Err(refused(sign_in_first(&request))),
        (Some(needed), Some(reader)) if reader.role < needed => {
            let (has, needs) = (role_name(reader.role), role_name(needed));
            let detail = format!("you have the role {has}; this needs {needs}");
            let problem = Problem::new(StatusCode::FORBIDDEN, detail);
            return Err(refused(problem.into_response()));
        }
        (_, _) => {}
    }
    if request.method() == Method::POST {
        let (parts, body) = request.into_parts();
        let form = read(&parts.headers, body).await;
        let form = form.map_err(|problem| refused(problem.into_response()))?;
        // Signing in has no session yet; there the origin has to do.
        let expected = reader.as_ref().filter(|_| needed.is_some()).map(|reader| &reader.csrf);
        if expected.is_some_and(|expected| !session::same(expected, form.text("csrf"))) {
            let detail = "this form is not of your session, or of one that has ended";
            let problem = Problem::new(StatusCode::FORBIDDEN, detail).hint(OLD_FORM);
            return Err(refused(problem.into_response()));
        }
        request = Request::from_parts(parts, Body::empty());
        request.extensions_mut().insert(form);
    }
    if let Some(mut reader) = reader.clone() {
        let query = request.uri().query().unwrap_or_default();
        reader.said = Form::parse(query.as_bytes()).text("said").to_owned();
        request.extensions_mut().insert(reader);
    }
    Ok((reader, request))
}

/// Marks the problem of a form that is too old, to say it in the reader's words.
const OLD_FORM: &str = "open the page again and repeat";

/// Reads a form, within the bounds of a request.
async fn read(headers: &HeaderMap, body: Body) -> Result<Form, Problem> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = sent.and_then(|sent| sent.split(';').next()).unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case(form::CONTENT_TYPE) {
        let detail = format!("a form must be sent as {}", form::CONTENT_TYPE);
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let read = to_bytes(body, BODY_BYTES_MAX);
    match tokio::time::timeout(Duration::from_secs(READ_TIMEOUT_SECS), read).await {
        Ok(Ok(bytes)) => Ok(Form::parse(&bytes)),
        Ok(Err(_)) => {
            let detail = format!("a form has at most {} KiB", BODY_BYTES_MAX / 1024);
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the form did not arrive in time")),
    }
}

/// Whom browsers may take us for: this machine, an address, or the declared name. Any other name
/// was made to point here by somebody else (DNS rebinding), and its pages would read ours.
fn host(web: &Web, headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_address(host) || is_external(web, host) {
        return Ok(());
    }
    let detail = "the page is not served under this host name";
    let hint = "start the daemon with --external-url, the address that people type";
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).hint(hint))
}

pub(super) fn is_address(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok()
}

fn is_external(web: &Web, host: &str) -> bool {
    let external = web.handle.external_url.as_deref().and_then(guard::authority_of);
    external.is_some_and(|external| external.eq_ignore_ascii_case(host))
}

fn guest(web: &Web, request: &Request) -> Guest {
    let headers = request.headers();
    let desk = &web.handle.running.load().config.desk;
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let https = web.handle.external_url.as_deref().is_some_and(|url| url.starts_with("https://"));
    let host = text(header::HOST).unwrap_or_default();
    let proxied = request.extensions().get::<Client>().is_some_and(|client| client.over_https);
    let secure = https && is_external(web, host) || proxied;
    Guest {
        encrypted: secure || guard::names_loopback(host),
        language: accepted(text(header::ACCEPT_LANGUAGE), desk.language),
        desk: desk.name.clone(),
        secure,
    }
}

/// Who wanted to read comes back to it afterwards; what was to be done is done again by hand.
fn sign_in_first(request: &Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let detail = "sign in to do this; your session has ended";
        return Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
    }
    let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
    redirect(&form::link("/sign-in", &[("next", if wanted == "/" { "" } else { wanted })]))
}

/// Sends a browser to another page of ours, with GET.
pub fn redirect(path: &str) -> Response {
    let location = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// Where to go on after signing in: a path of ours and nothing else.
pub fn next_path(wanted: &str) -> &str {
    let local = wanted.starts_with('/')
        && !wanted.starts_with("//")
        && wanted.len() <= NEXT_BYTES_MAX
        && wanted.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if local && !wanted.starts_with("/sign-") { wanted } else { "/" }
}

/// A problem as a page.
fn show(
    guest: &Guest,
    reader: Option<&SignedIn>,
    problem: &Problem,
    method: &Method,
    response: Response,
) -> Response {
    let language = reader.map_or(guest.language, |reader| reader.language);
    let (errors, frame, sign_in) =
        (Errors::of(language), Frame::of(language), SignIn::of(language));
    let title = match problem.status {
        401 => sign_in.needed,
        403 if problem.hint.as_deref() == Some(OLD_FORM) => errors.form,
        403 => errors.forbidden,
        404 | 405 => errors.missing,
        421 => errors.host,
        400..=499 => errors.refused,
        _ => errors.failed,
    };
    let content = html! {
        h1 { (title) }
        p lang="en" { (problem.detail) }
        @if let Some(hint) = &problem.hint { p.soft lang="en" { (hint) } }
        @if problem.status == 401 {
            p { a.button.main href="/sign-in" { (sign_in.submit) } }
        } @else if *method == Method::GET && reader.is_some() {
            p { a.button href="/" { (frame.back) } }
        }
    };
    let mut page = match reader {
        Some(reader) => layout::page(reader, Here::Elsewhere, title, content),
        None => layout::outside(guest.language, &guest.desk, title, content),
    };
    page.status = response.status();
    let mut page = page.into_response();
    for name in [header::RETRY_AFTER, header::SET_COOKIE] {
        if let Some(value) = response.headers().get(&name) {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &str, expected: &str) {
        assert_eq!(next_path(wanted), expected);
    }

    #[test]
    fn only_paths_of_ours_are_come_back_to() {
        check("/tickets/2026?x=1&y=%20", "/tickets/2026?x=1&y=%20");
        check("", "/");
        check("//evil.example/", "/");
        check("/\\evil.example", "/");
        check("https://evil.example", "/");
        check("/a\r\nSet-Cookie: x", "/");
        check("/a b", "/");
        check("/sign-out", "/");
        check(&format!("/{}", "x".repeat(NEXT_BYTES_MAX)), "/");
    }

    #[test]
    fn addresses_are_no_names() {
        for host in ["localhost", "localhost:8025", "127.0.0.1:8025", "[::1]:80", "10.1.2.3"] {
            assert!(is_address(host), "{host}");
        }
        for host in ["desk.internal", "127.0.0.1.evil.example", "", "localhost.evil.example"] {
            assert!(!is_address(host), "{host}");
        }
    }
}
