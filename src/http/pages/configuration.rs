//! The configuration: which revision runs, what was refused and where, what the last reload
//! changed, and the files.
//!
//! Architecture invariant: secrets are references in the files already; what could be tried
//! against words, digests above all, is not shown either.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use regex::Regex;
use std::sync::LazyLock;

use super::layout::{self, Here, Page};
use super::words::Objects;
use super::{door, foreign, plain};
use crate::app::{ReloadAnswer, Trigger};
use crate::core::config::Config;
use crate::core::plan::Change;
use crate::http::Web;
use crate::http::dto::config::{ChangeView, ProblemView};
use crate::http::form::{Form, link};
use crate::http::problem::Problem;
use crate::http::session::SignedIn;

/// Problems and changes that are shown of each.
const ROWS_MAX: usize = 30;
/// Columns of what is wrong, and of what to do about it.
const PROBLEM_COLUMNS_MAX: usize = 240;
/// Files that are named.
const FILES_MAX: usize = 100;
/// Bytes that files take of the page together; what has no room has a page of its own.
const FILES_BYTES_MAX: usize = 8 * 1024;
/// Bytes that one file takes of its own page.
const FILE_BYTES_MAX: usize = 28 * 1024;

/// Digests, and plain values of keys that sound like a password. Strings that begin with one of
/// `{[&*|>` are references, anchors or blocks.
static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?i)\b[0-9a-f]{64}\b"#,
        r#"|(?P<key>\b\w*(?:password|passwd|passphrase|apikey|token)\w*["']?\s*:[ \t]+)"#,
        r#"(?:"[^"\n]*"|'[^'\n]*'|[^\s{\[&*|>#"'][^\n,}#]*)"#,
    ))
    .expect("it is a regular expression")
});

/// Everything about it.
pub async fn show(State(web): State<Web>, reader: SignedIn, form: Form) -> Result<Page, Problem> {
    let words = Objects::of(reader.language);
    let running = web.handle.running.load_full();
    let rejected = web.handle.rejected.load_full();
    let stored = web.read(|store| store.last_revision()).await?;
    let files = stored.map(|stored| stored.files).unwrap_or_default();
    let (said, bad) = match reader.said.as_str() {
        "unchanged" => (words.unchanged, false),
        "reloaded" => (words.reloaded, false),
        "refused" => (words.refused, true),
        _ => ("", false),
    };
    let content = html! {
        div.row.apart {
            h1 { (words.configuration) }
            (layout::button(&reader, "/configuration/reload", words.reload, "main"))
        }
        (layout::notice(said, bad))
        div.card {
            dl.facts {
                dt { (words.revision) } dd.mono { (running.revision) }
                dt { (words.applied) } dd { (layout::time(&reader, running.applied)) }
                dt { (words.started) } dd { (layout::time(&reader, web.handle.started)) }
                dt { (words.version) } dd { (env!("CARGO_PKG_VERSION")) }
                dt { (words.declared) } dd { (declared(&running.config)) }
            }
        }
        @if let Some((path, content)) = files.iter().find(|file| file.0 == form.text("file")) {
            (alone(words, path, content))
        } @else {
            h2 { (words.problems) }
            (problems(words, &rejected))
            h2 { (words.changes) }
            (changes(words, &running.changes))
            h2 { (words.files) }
            p.soft { (words.redacted) }
            (shown(&files))
        }
    };
    Ok(layout::page(&reader, Here::Configuration, words.configuration, content))
}

/// Looks at the files now.
pub async fn reload(State(web): State<Web>) -> Result<Response, Problem> {
    let answer = web.handle.reload(Trigger::Http, false).await;
    let said = match answer {
        Some(ReloadAnswer::Unchanged { .. }) => "unchanged",
        Some(ReloadAnswer::Applied { .. }) => "reloaded",
        Some(ReloadAnswer::Invalid { .. } | ReloadAnswer::Blocked { .. }) => "refused",
        None => {
            return Err(Problem::new(
                axum::http::StatusCode::SERVICE_UNAVAILABLE,
                "the daemon is shutting down",
            ));
        }
    };
    Ok(door::redirect(&format!("/configuration?said={said}")))
}

/// How many of each kind.
fn declared(config: &Config) -> String {
    let kinds = [
        ("mailAccounts", config.accounts.len()),
        ("smtp", config.smtp.len()),
        ("senders", config.senders.len()),
        ("queues", config.queues.len()),
        ("systemAddresses", config.system_addresses.len()),
        ("filters", config.filters.len()),
        ("autoReplies", config.auto_replies.len()),
        ("customers", config.customers.len()),
        ("users", config.users.len()),
        ("apiTokens", config.api_tokens.len()),
    ];
    let some = kinds.iter().filter(|(_, count)| *count > 0);
    some.map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(" · ")
}

fn problems(words: &Objects, problems: &[crate::config::Problem]) -> Markup {
    html! {
        @if problems.is_empty() {
            p.empty { (words.no_problems) }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(words.problems) {
                table {
                    thead { tr { th scope="col" { (words.place) } th scope="col" { (words.problem) } } }
                    tbody {
                        @for problem in problems.iter().take(ROWS_MAX).map(ProblemView::from) {
                            tr {
                                td.mono.grow { (problem.file) ":" (problem.line) ":" (problem.column) br; (problem.path) }
                                td.grow {
                                    @if problem.severity == "error" {
                                        span.badge.bad { (problem.severity) }
                                    } @else {
                                        span.badge.warn { (problem.severity) }
                                    }
                                    " " (foreign::short(&problem.message, PROBLEM_COLUMNS_MAX))
                                    @if !problem.hint.is_empty() {
                                        br; small { (foreign::short(&problem.hint, PROBLEM_COLUMNS_MAX)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            (rest(problems.len()))
        }
    }
}

fn changes(words: &Objects, changes: &[Change]) -> Markup {
    html! {
        @if changes.is_empty() {
            p.empty { (words.no_changes) }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(words.changes) {
                table {
                    thead { tr {
                        th scope="col" { (words.action) }
                        th scope="col" { (words.object) }
                        th scope="col" { (words.effect) }
                    } }
                    tbody {
                        @for change in changes.iter().take(ROWS_MAX).map(ChangeView::from) {
                            tr {
                                td { span.badge.info { (change.action) } }
                                td.mono.grow { (change.kind) "." (change.name) }
                                td.grow.most { (change.effect) }
                            }
                        }
                    }
                }
            }
            (rest(changes.len()))
        }
    }
}

/// How many rows are not shown.
fn rest(count: usize) -> Markup {
    html! { @if count > ROWS_MAX { p.soft { "… +" (count - ROWS_MAX) } } }
}

/// The files, as far as there is room; the others lead to pages of their own.
fn shown(files: &[(String, String)]) -> Markup {
    let mut room = FILES_BYTES_MAX;
    let files = files.iter().take(FILES_MAX).map(|(path, content)| {
        let content = redacted(content);
        let rest = room.checked_sub(plain::weight(&content));
        room = rest.unwrap_or(room);
        (path, rest.map(|_| content))
    });
    html! {
        @for (path, content) in files {
            @if let Some(content) = content {
                details.card { summary { span.mono { (path) } } pre { (foreign::plain(&content)) } }
            } @else {
                p.card { a.mono href=(link("/configuration", &[("file", path)])) { (path) } }
            }
        }
    }
}

/// One file.
fn alone(words: &Objects, path: &str, content: &str) -> Markup {
    let content = redacted(content);
    let shown = plain::fitting(&content, FILE_BYTES_MAX);
    html! {
        p { a href="/configuration" { (words.configuration) } }
        h2.mono { (path) }
        p.soft { (words.redacted) }
        div.card { pre { (foreign::plain(shown)) @if shown.len() < content.len() { "\n…" } } }
    }
}

/// Without what could be tried against words.
fn redacted(text: &str) -> String {
    SECRETS.replace_all(text, "${key}•••").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(redacted(text), expected);
    }

    #[test]
    fn references_are_shown_and_values_are_not() {
        check("password: {secret: smtp}", "password: {secret: smtp}");
        check("passwordHash: {file: a.hash}", "passwordHash: {file: a.hash}");
        check("  clientSecret:\n    env: X", "  clientSecret:\n    env: X");
        check("x-password: hunter2 # mine\nname: a", "x-password: •••# mine\nname: a");
        check("x: {password: 'a, b', name: c}", "x: {password: •••, name: c}");
        check("apiToken: \"a b\"", "apiToken: •••");
        let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        check(&format!("sha256: {digest}"), "sha256: •••");
    }
}
