//! Mail accounts and SMTP servers: how each is, and looking or testing now.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::door;
use super::foreign::{foreign, short};
use super::layout::{self, Here, Page};
use super::words::{Frame, Objects};
use crate::app::probe::{ADVICE, Probe};
use crate::core::config::Role;
use crate::http::Web;
use crate::http::api::{self, Path};
use crate::http::dto::status::ConditionView;
use crate::http::form::{Form, link, segment};
use crate::http::problem::Problem;
use crate::http::session::SignedIn;
use crate::run::board::{ConditionKind, Kind, ObjectStatus};

/// Mail accounts of one page.
const ACCOUNTS_SHOWN: usize = 10;
/// SMTP servers of one page.
const SERVERS_SHOWN: usize = 5;
/// Columns of what went wrong; the whole is in the API.
const MESSAGE_COLUMNS_MAX: usize = 120;

/// How all of them are.
pub async fn list(State(web): State<Web>, reader: SignedIn, form: Form) -> Page {
    let words = Objects::of(reader.language);
    let mut all = web.handle.board.all();
    // What needs somebody comes first.
    all.sort_by_key(|object| !fails(object));
    let (accounts, servers): (Vec<_>, Vec<_>) =
        all.iter().partition(|object| object.kind == Kind::MailAccount);
    let said = if reader.said == "fetching" { words.fetching } else { "" };
    let content = html! {
        h1 { (Frame::of(reader.language).accounts) }
        (layout::notice(said, false))
        (section(&reader, &accounts, words.accounts, ("accounts", ACCOUNTS_SHOWN), &form))
        (section(&reader, &servers, words.servers, ("servers", SERVERS_SHOWN), &form))
    };
    layout::page(&reader, Here::Accounts, Frame::of(reader.language).accounts, content)
}

/// Looks into a mailbox now.
pub async fn fetch(state: State<Web>, name: Path<String>) -> Result<Response, Problem> {
    let _done = api::accounts::fetch(state, name).await?;
    Ok(door::redirect("/accounts?said=fetching"))
}

/// Tries an account, and says what worked.
pub async fn test_account(
    State(web): State<Web>,
    reader: SignedIn,
    Path(name): Path<String>,
) -> Result<Page, Problem> {
    Ok(tested(&reader, &name, &api::accounts::try_account(&web, &name).await?))
}

/// Tries an SMTP server, and says what worked; no mail is sent.
pub async fn test_server(
    State(web): State<Web>,
    reader: SignedIn,
    Path(name): Path<String>,
) -> Result<Page, Problem> {
    Ok(tested(&reader, &name, &api::accounts::try_server(&web, &name).await?))
}

fn tested(reader: &SignedIn, name: &str, probe: &Probe) -> Page {
    let words = Objects::of(reader.language);
    let title = format!("{} {name}", words.tested);
    let content = html! {
        h1 { (title) }
        div.card {
            ol.trace {
                @for step in &probe.steps { li { (if step.name == ADVICE { "• " } else { "✓ " }) b { (step.name) } " " (foreign(&step.said)) } }
            }
            @match &probe.failed {
                None => { (layout::notice(words.test_ok, false)) }
                Some(failed) => {
                    p.notice.bad role="alert" { (words.test_failed) " " b { (failed.step) } " " (foreign(&failed.message)) }
                    @if !failed.hint.is_empty() { p { (failed.hint) } }
                }
            }
        }
        p { a href="/accounts" { (words.back) } }
    };
    layout::page(reader, Here::Accounts, &title, content)
}

fn fails(object: &ObjectStatus) -> bool {
    let is = |kind| object.conditions.iter().find(|it| it.kind == kind).and_then(|it| it.status);
    is(ConditionKind::Ready) == Some(false) && is(ConditionKind::Suspended) != Some(true)
}

/// So many of them, from where the field of the query says.
fn section(
    reader: &SignedIn,
    objects: &[&ObjectStatus],
    label: &str,
    (field, most): (&str, usize),
    form: &Form,
) -> Markup {
    let from = form.text(field).parse().unwrap_or(0).min(objects.len());
    let shown = &objects[from..objects.len().min(from + most)];
    let here = |from: usize| link("/accounts", &[(field, &from.to_string())]);
    let first = (from > 0).then(|| here(0));
    let next = (from + most < objects.len()).then(|| here(from + most));
    html! {
        h2 { (label) @if objects.len() > most { " (" (objects.len()) ")" } }
        (table(reader, shown, label))
        (layout::alphabet(reader, first.as_deref(), next.as_deref()))
    }
}

fn table(reader: &SignedIn, objects: &[&ObjectStatus], label: &str) -> Markup {
    let words = Objects::of(reader.language);
    // Nothing is fetched from a server that takes mail.
    let polled = objects.iter().any(|object| object.kind == Kind::MailAccount);
    html! {
        @if objects.is_empty() {
            p.empty { (Frame::of(reader.language).nothing) }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(label) {
                table {
                    thead { tr {
                        th scope="col" { (words.name) }
                        th scope="col" { (words.conditions) }
                        th scope="col" { (words.last_success) }
                        @if polled {
                            th.wide scope="col" { (words.next_poll) }
                            th.number scope="col" { (words.backlog) }
                        }
                        th.number scope="col" { (words.failures) }
                        td { span.hidden { (words.test) } }
                    } }
                    tbody { @for object in objects { (line(reader, object, polled)) } }
                }
            }
        }
    }
}

fn line(reader: &SignedIn, object: &ObjectStatus, polled: bool) -> Markup {
    let words = Objects::of(reader.language);
    let time = |at| {
        html! {
            @match at { Some(at) => { (layout::brief(reader, at)) } None => { span.soft { (words.never) } } }
        }
    };
    html! {
        tr {
            th scope="row" { (object.name) }
            td.grow { (conditions(reader, object)) }
            td data-label=(words.last_success) { (time(object.last_success)) }
            @if polled {
                td.wide { (time(object.next_poll)) }
                td.number data-label=(words.backlog) {
                    @if let Some(backlog) = object.backlog { (backlog) } @else { span.soft { "–" } }
                }
            }
            td.number data-label=(words.failures) { (object.consecutive_failures) }
            td.nowrap { (actions(reader, object)) }
        }
    }
}

fn actions(reader: &SignedIn, object: &ObjectStatus) -> Markup {
    let words = Objects::of(reader.language);
    let kind = match object.kind {
        Kind::MailAccount => "accounts",
        Kind::Smtp => "servers",
    };
    let path = |action: &str| format!("/{kind}/{}/{action}", segment(&object.name));
    html! {
        @if object.kind == Kind::MailAccount && reader.may(Role::User) {
            (layout::button(reader, &path("fetch"), words.fetch, "small")) " "
        }
        @if reader.may(Role::Manager) {
            (layout::button(reader, &path("test"), words.test, "small"))
        }
    }
}

fn conditions(reader: &SignedIn, object: &ObjectStatus) -> Markup {
    let words = Objects::of(reader.language);
    let is = |kind| object.conditions.iter().find(|it| it.kind == kind).and_then(|it| it.status);
    let (class, word) = match (is(ConditionKind::Suspended), is(ConditionKind::Ready)) {
        (Some(true), _) => ("badge warn", words.suspended),
        (_, Some(true)) => ("badge good", words.ready),
        (_, Some(false)) => ("badge bad", words.failing),
        (_, None) => ("badge", words.starting),
    };
    let trouble =
        object.conditions.iter().find(|it| it.status == Some(false) && !it.message.is_empty());
    html! {
        span class=(class) { (word) }
        @if let Some(trouble) = trouble { " " (short(&trouble.message, MESSAGE_COLUMNS_MAX)) }
        details {
            summary { small { (words.conditions) } }
            dl.facts {
                @for condition in &object.conditions { (details(reader, condition)) }
            }
        }
    }
}

fn details(reader: &SignedIn, condition: &crate::run::board::Condition) -> Markup {
    let words = Objects::of(reader.language);
    let name = ConditionView::from(condition).kind;
    let frame = Frame::of(reader.language);
    let status = match condition.status {
        Some(true) => frame.yes,
        Some(false) => frame.no,
        None => "?",
    };
    html! {
        dt { (name) ": " (status) }
        dd {
            (condition.reason) " " (short(&condition.message, MESSAGE_COLUMNS_MAX)) " "
            small { (words.since) " " (layout::brief(reader, condition.since)) }
        }
    }
}
