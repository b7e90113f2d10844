//! The HTML of a mail made harmless: in the frame of its ticket's page, and for programs.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::core::mail;
use crate::core::ticket::Article;
use crate::http::Web;
use crate::http::api::{Path, tickets as rules};
use crate::http::pages::mail_html::{self, Written};
use crate::http::pages::words::One;
use crate::http::problem::Problem;
use crate::http::session::SignedIn;

/// What the frame around the HTML of a mail may do: show text and the pictures it carries, and
/// open a link in a new tab when it is clicked.
const FRAME_POLICY: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; \
     default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; \
     base-uri 'none'; frame-ancestors 'self'";
/// Pictures of a mail that are shown in its HTML, decoded bytes in all.
const PICTURES_BYTES_MAX: usize = 6 << 20;
/// Pictures of a mail that are shown in its HTML.
const PICTURES_MAX: usize = 50;
/// The same where it stands alone.
const ALONE_POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
     form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// How often a mail is in memory while its page is made: as it came, decoded, and written anew.
const COPIES: u64 = 3;

/// The HTML of a mail, for the frame.
pub async fn frame(
    State(web): State<Web>,
    Path((number, id)): Path<(String, u64)>,
    reader: SignedIn,
) -> Result<Response, Problem> {
    let words = One::of(reader.language);
    let written = harmless(&web, &number, id).await?;
    let content = html! {
        @match &written {
            None => { p.note { (words.no_html) } }
            Some(written) => {
                @if written.blocked > 0 { p.note { (words.blocked) " (" (written.blocked) ")" } }
                (PreEscaped(&written.html))
            }
        }
    };
    let mut response = document(words.html_title, &content, FRAME_POLICY);
    let same_origin = HeaderValue::from_static("SAMEORIGIN");
    response.headers_mut().insert(header::X_FRAME_OPTIONS, same_origin);
    Ok(response)
}

/// The same for programs.
pub async fn alone(
    State(web): State<Web>,
    Path((number, id)): Path<(String, u64)>,
) -> Result<Response, Problem> {
    let written = harmless(&web, &number, id).await?;
    let missing = || Problem::not_found(format!("HTML in article {id} of ticket {number:?}"));
    let content = PreEscaped(written.ok_or_else(missing)?.html);
    Ok(document("", &content, ALONE_POLICY))
}

async fn harmless(web: &Web, number: &str, id: u64) -> Result<Option<Written>, Problem> {
    let (article, raw) = rules::article_bytes(web, number, id, COPIES).await?;
    // Decoding a large mail takes a while: not on a thread that others wait for.
    let written = tokio::task::spawn_blocking(move || shown(&article, &raw));
    written.await.map_err(|_| Problem::internal())
}

/// The HTML of a mail as its page shows it; `None` if it has none that can be shown.
pub fn shown(article: &Article, raw: &[u8]) -> Option<Written> {
    let page = mail::parse(raw).html?;
    mail_html::write(&page, &pictures(article, raw))
}

fn document(title: &str, content: &Markup, policy: &'static str) -> Response {
    let page = html! {
        (DOCTYPE)
        html {
            head { meta charset="utf-8"; title { (title) } style { (PreEscaped(FRAME_STYLE)) } }
            body { (content) }
        }
    };
    let mut response = page.into_string().into_response();
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, html);
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Mails are written for white paper.
const FRAME_STYLE: &str = "html{background:#fff;color:#111;font:14px/1.5 system-ui,sans-serif;\
     overflow-wrap:anywhere}body{margin:12px}img,table{max-width:100%}img{height:auto}\
     .note{background:#fbf0d6;color:#5a3c00;padding:6px 10px;margin:0 0 12px}";

/// Pictures that a mail carries for its HTML, as `data:` addresses by Content-ID. What they are is
/// read from their first bytes, not from what the mail says.
fn pictures(article: &Article, raw: &[u8]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut room = PICTURES_BYTES_MAX;
    let named =
        article.attachments.iter().filter_map(|part| Some((part.content_id.clone()?, part)));
    for (id, part) in named.take(PICTURES_MAX) {
        let fits = usize::try_from(part.bytes).is_ok_and(|bytes| bytes <= room);
        let Some(bytes) = fits.then(|| mail::attachment(raw, part.index)).flatten() else {
            continue;
        };
        let Some(kind) = picture(&bytes) else { continue };
        room = room.saturating_sub(bytes.len());
        found.insert(id, format!("data:{kind};base64,{}", STANDARD.encode(&bytes)));
    }
    found
}

/// Kind of a picture, by its first bytes.
fn picture(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}
