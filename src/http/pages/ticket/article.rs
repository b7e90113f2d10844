//! One article: its head, its text or its HTML in a frame, its attachments, its source.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::trail::Trail;
use crate::core::header;
use crate::core::mail::Remarks;
use crate::core::quoting::Part;
use crate::core::ticket::{Article, ArticleKind, AuthorKind, Ticket};
use crate::http::api::{Path, tickets as rules};
use crate::http::pages::words::{One, tickets as words_of};
use crate::http::pages::{layout, plain};
use crate::http::problem::Problem;
use crate::http::session::SignedIn;
use crate::http::{Web, download as downloads};

/// Columns of each part of the head of a folded article.
const FOLDED_COLUMNS_MAX: usize = 100;

/// How an article is shown.
pub struct Look {
    /// As HTML, in a frame.
    pub html: bool,
    /// With its text; else its head only, with a way to it.
    pub text: bool,
}

/// Bytes that an article takes of its page, about: what is escaped takes more.
pub fn weight(article: &Article) -> usize {
    let Article { text, subject, from, to, cc, .. } = article;
    let escaped = |text: &str| text.bytes().filter(|byte| b"<>&\"".contains(byte)).count() * 4;
    [text, subject, from, to, cc].iter().map(|text| text.len() + escaped(text)).sum()
}

/// An article on the page of its ticket.
pub fn card(
    ticket: &Ticket,
    article: &Article,
    reader: &SignedIn,
    trail: &Trail,
    look: Look,
) -> Markup {
    let words = One::of(reader.language);
    let page = format!("/tickets/{}", ticket.number);
    let id = article.id.0;
    let path = format!("{page}/articles/{id}");
    let anchor = format!("article-{id}");
    let shown = |how: &str| trail.link(&page, &[(how, &id.to_string())]) + "#" + &anchor;
    // A folded one says enough to be found again.
    let columns = if look.text || look.html { usize::MAX } else { FOLDED_COLUMNS_MAX };
    let head = |text: &str| plain::short(text, columns);
    let side = match article.author {
        AuthorKind::Agent => "agent",
        AuthorKind::Customer => "customer",
        AuthorKind::System => "system",
    };
    html! {
        article.card.article.(side) id=(anchor) tabindex="-1" data-article="" {
            header {
                div.row.apart {
                    strong { (plain::person(&article.from, words.doubtful)) }
                    span.row {
                        span.badge { (words_of::kind(reader.language, article.kind)) }
                        @if article.verified == Some(false) {
                            span.badge.warn { (words.not_verified) }
                        }
                        @if !article.visible_for_customer { span.badge.warn { (words.internal) } }
                        a.soft href=(shown("article")) { (layout::time(reader, article.created)) }
                    }
                }
                dl.facts.small {
                    @if !article.to.is_empty() { dt { (words.to) } dd { (head(&article.to)) } }
                    @if !article.cc.is_empty() { dt { (words.cc) } dd { (head(&article.cc)) } }
                    @if !article.subject.is_empty() && article.subject != ticket.title {
                        dt { (words.subject) } dd { (head(&article.subject)) }
                    }
                }
            }
            @if look.html {
                iframe sandbox="allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"
                    src=(format!("{path}/html")) title=(words.html_title) {}
            } @else if article.text.trim().is_empty() {
                p.soft { (words.empty) }
            } @else if look.text {
                (plain::text(&article.text, |part, lines| folded(part, lines, words)))
            } @else {
                p { a href=(shown("article")) { (words.show_text) } }
            }
            (attachments(article, &path, words))
            (remarks(&article.remarks, words))
            @if article.raw.is_some() {
                p.soft.row.foot {
                    @if look.html { a href=(shown("article")) { (words.show_text) } }
                    @else if may_have_html(article) {
                        a href=(shown("html")) { (words.show_html) }
                    }
                    @if reader.asker().sees_source() {
                        a href=(format!("{path}/source")) target="_blank" rel="noopener" { (words.source) }
                        a href=(format!("{path}/raw")) { (words.download) " (.eml)" }
                    }
                }
            }
        }
    }
}

/// What stands in place of folded lines.
fn folded(part: Part, lines: usize, words: &One) -> String {
    let what = match part {
        Part::Signature => words.signature,
        Part::Quoted | Part::Written => words.quoted,
    };
    format!("{lines} {what}")
}

/// Whether it is worth asking for its HTML: a mail that says it is plain text has none.
fn may_have_html(article: &Article) -> bool {
    let mut fields = article.headers.iter();
    let kind = fields.find(|field| header::is_named(&field.name, "content-type"));
    let media_type = kind.map(|field| field.value.split(';').next().unwrap_or_default().trim());
    article.kind != ArticleKind::Note
        && media_type.is_none_or(|media_type| !media_type.eq_ignore_ascii_case("text/plain"))
}

fn attachments(article: &Article, path: &str, words: &One) -> Markup {
    html! {
        @if !article.attachments.is_empty() {
            ul.attachments aria-label=(words.attachments) {
                @for part in &article.attachments {
                    li {
                        a href=(format!("{path}/attachments/{}", part.index)) download="" {
                            bdi { (plain::line(if part.name.is_empty() { &part.content_type } else { &part.name })) }
                        }
                        " " span.soft { (plain::line(&part.content_type)) ", " (size(part.bytes)) }
                    }
                }
            }
        }
    }
}

/// What the reader does not see, and where it is.
fn remarks(remarks: &Remarks, words: &One) -> Markup {
    html! {
        @if remarks.attachments_left_out > 0 {
            p.soft { (words.files_left_out) " " (remarks.attachments_left_out) }
        }
        @if remarks.text_cut { p.soft { (words.text_cut) } }
        @if remarks.signature_unverified { p.soft { (words.signature_unverified) } }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", bytes.div_ceil(1_024)),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// The mail as it came or went, to be looked at.
pub async fn source(
    State(web): State<Web>,
    Path((number, id)): Path<(String, u64)>,
) -> Result<Response, Problem> {
    let bytes = rules::article_bytes(&web, &number, id, 1).await?.1;
    let mut response = Bytes::from(bytes).into_response();
    let headers = response.headers_mut();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, text);
    let policy = HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// The mail as it came or went, to be kept.
pub async fn download(
    State(web): State<Web>,
    Path((number, id)): Path<(String, u64)>,
) -> Result<Response, Problem> {
    let bytes = rules::article_bytes(&web, &number, id, 1).await?.1;
    Ok(downloads::attachment(&format!("{number}-{id}.eml"), "message/rfc822", bytes))
}

/// One attachment.
pub async fn attachment(
    State(web): State<Web>,
    reader: SignedIn,
    path: Path<(String, u64, u32)>,
) -> Result<Response, Problem> {
    rules::attachment_for(web, reader.asker(), path).await
}
