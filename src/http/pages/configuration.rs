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
use super::{door, foreign};
use crate::app::{ReloadAnswer, Trigger};
use crate::core::config::Config;
use crate::core::plan::Change;
use crate::http::Web;
use crate::http::dto::config::{ChangeView, ProblemView};
use crate::http::problem::Problem;
use crate::http::session::SignedIn;

/// Problems and changes that are shown of each.
const ROWS_MAX: usize = 100;
/// Bytes of all files together that are shown.
const FILES_BYTES_MAX: usize = 32 * 1024;

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
pub async fn show(State(web): State<Web>, reader: SignedIn) -> Result<Page, Problem> {
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
        h2 { (words.problems) }
        (problems(words, &rejected))
        h2 { (words.changes) }
        (changes(words, &running.changes))
        h2 { (words.files) }
        p.soft { (words.redacted) }
        (shown(&files))
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
                                    " " (problem.message)
                                    @if !problem.hint.is_empty() { br; small { (problem.hint) } }
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
                                td.grow { (change.effect) }
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

fn shown(files: &[(String, String)]) -> Markup {
    let mut left = FILES_BYTES_MAX;
    let files = files.iter().map(|(path, content)| {
        let part = cut(content, left);
        left -= part.len();
        (path, redacted(part), part.len() < content.len())
    });
    html! {
        @for (path, content, cut) in files {
            details.card {
                summary { span.mono { (path) } }
                pre { (foreign::plain(&content)) @if cut { "\n…" } }
            }
        }
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
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

    #[test]
    fn a_cut_falls_between_characters() {
        assert_eq!(cut("日本", 4), "日");
        assert_eq!(cut("ab", 9), "ab");
    }
}
