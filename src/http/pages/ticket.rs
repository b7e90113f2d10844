//! One ticket: its articles in order, what it is, what happened to it and why, and what can be done.

mod actions;
mod article;
pub mod frame;
mod panel;
mod trail;

use axum::extract::State;
use maud::{Markup, html};

use super::layout::{self, Here, Page};
use super::words::{Frame, One, history};
use super::{foreign, plain};
use crate::core::config::{Config, Role};
use crate::core::ticket::{Article, Event, Ticket};
use crate::http::Web;
use crate::http::api::{Path, tickets as rules};
use crate::http::dto::ticket::PreviewView;
use crate::http::form::Form;
use crate::http::problem::Problem;
use crate::http::session::SignedIn;
use crate::store::TicketView;
pub use actions::{change, merge, note, preview, reply, unwatch, watch};
pub use article::{attachment, download, source};
pub use frame::{alone, frame};
use trail::Trail;

/// Articles of one page; the newest are shown, and the others on the pages before.
const ARTICLES_MAX: usize = 20;
/// Bytes of articles on one page: beyond it they are folded to their heads.
const TEXT_BYTES_MAX: usize = 11 * 1024;
/// Linked tickets that are shown.
const LINKS_MAX: usize = 20;
/// Columns of one thing that happened, and of its reason.
const EVENT_COLUMNS_MAX: usize = 200;
/// Events of the history that are shown at a time.
const EVENTS_MAX: usize = 30;

/// What somebody wrote that was not carried out, so that it is not lost.
#[derive(Default)]
pub struct Draft {
    reply: String,
    /// Recipients and copies as they were written; `None` are those that are offered.
    to: Option<String>,
    cc: String,
    /// State that is to follow the answer.
    state: String,
    /// What the answer would look like.
    preview: Option<PreviewView>,
    note: String,
    /// Why not.
    refused: String,
}

/// The ticket.
pub async fn show(
    State(web): State<Web>,
    Path(number): Path<String>,
    reader: SignedIn,
    form: Form,
) -> Result<Page, Problem> {
    page(&web, &number, &reader, &form, &Draft::default()).await
}

async fn page(
    web: &Web,
    number: &str,
    reader: &SignedIn,
    form: &Form,
    draft: &Draft,
) -> Result<Page, Problem> {
    let words = One::of(reader.language);
    let config = web.handle.running.load().config.clone();
    let stored = rules::find(web, number).await?;
    let into = match stored.ticket.merged_into {
        Some(id) => web.read(move |store| store.ticket_by_id(id)).await?,
        None => None,
    };
    let ticket = &stored.ticket;
    let ids: Vec<_> = ticket.links.iter().copied().take(LINKS_MAX).collect();
    let linked = move |store: &crate::store::Store| {
        ids.into_iter()
            .filter_map(|id| store.ticket_by_id(id).transpose())
            .collect::<Result<Vec<_>, _>>()
    };
    let linked = web.read(linked).await?;
    let trail = Trail::of(form).look(web, reader, &config, ticket).await;
    let refused = format!("{} {}", words.not_done, draft.refused);
    let content = html! {
        (trail.show(reader))
        @if draft.refused.is_empty() {
            (layout::notice(said(reader), false))
        } @else { (layout::notice(&refused, true)) }
        @if let Some(into) = &into {
            p.notice.warn { (words.merged_into) " "
                a href=(format!("/tickets/{}", into.number)) { (into.number) } }
        }
        @for address in &ticket.undeliverable {
            p.notice.warn { (words.undeliverable) " " (plain::line(address.as_str())) }
        }
        @for address in &ticket.complained {
            p.notice.warn { (words.complained) " " (plain::line(address.as_str())) }
        }
        div.ticket {
            div {
                div.row.apart {
                    h1 { (plain::line(super::tickets::shown_title(ticket)))
                        " " small.nowrap { (config.desk.hook) (ticket.number) } }
                    @if reader.may(Role::User) && into.is_none() {
                        (panel::at_hand(ticket, reader, &trail))
                    }
                }
                (panel::brief(ticket, &config, reader))
                @if !linked.is_empty() {
                    p { (words.links) ": "
                        @for other in &linked {
                            a href=(format!("/tickets/{}", other.number)) { (other.number) } " "
                        }
                    }
                }
                (articles(&stored, reader, form, &trail))
                @if reader.may(Role::User) && into.is_none() {
                    (panel::reply(&stored, &config, reader, draft, form, &trail))
                    (panel::note(ticket, reader, draft, &trail))
                }
                (happened(&stored.events, ticket, &config, reader, form, &trail))
                p.soft.wide { (words.keys) }
            }
            aside {
                (panel::facts(ticket, &config, reader))
                @if into.is_none() {
                    @if reader.may(Role::User) { (panel::change(ticket, &config, reader, &trail)) }
                    (panel::watchers(ticket, &config, reader, &trail))
                    @if reader.may(Role::User) { (panel::merge(ticket, reader, &trail)) }
                }
            }
        }
    };
    let title = foreign::plain(&format!("{} {}", ticket.number, ticket.title));
    Ok(layout::page(reader, Here::Tickets, &title, content))
}

/// What was just done.
fn said(reader: &SignedIn) -> &'static str {
    let words = One::of(reader.language);
    match reader.said.as_str() {
        "done" => words.done,
        "taken" => words.taken,
        "sent" => words.sent,
        "noted" => words.noted,
        _ => "",
    }
}

/// The articles of a page, oldest first; of a long ticket the last page, and links to the others.
fn articles(stored: &TicketView, reader: &SignedIn, form: &Form, trail: &Trail) -> Markup {
    let words = One::of(reader.language);
    let pages: Vec<&[Article]> = stored.articles.rchunks(ARTICLES_MAX).rev().collect();
    let html_of = form.text("html").parse::<u64>().ok();
    let whole = form.text("article").parse::<u64>().ok();
    let holds = |page: &&[Article]| page.iter().any(|it| Some(it.id.0) == whole.or(html_of));
    let named = pages.iter().position(holds).map(|at| at + 1);
    let asked = form.text("page").parse::<usize>().ok().or(named);
    let number = asked.unwrap_or(pages.len()).clamp(1, pages.len().max(1));
    let shown = pages.get(number - 1).copied().unwrap_or_default();
    let path = format!("/tickets/{}", stored.ticket.number);
    let mut budget = TEXT_BYTES_MAX;
    // The newest are what is read: they are the last to be folded.
    let open: Vec<bool> = shown
        .iter()
        .rev()
        .map(|article| {
            let bytes = article::weight(article);
            let fits = bytes <= budget;
            budget = budget.saturating_sub(bytes);
            fits
        })
        .collect();
    html! {
        section aria-label=(words.articles) {
            @if pages.len() > 1 {
                p.pager {
                    @for page in 1..=pages.len() {
                        @if page == number { strong { (page) } }
                        @else { a href=(trail.link(&path, &[("page", &page.to_string())])) { (page) } }
                    }
                }
            }
            @for (article, open) in shown.iter().zip(open.iter().rev()) {
                (article::card(&stored.ticket, article, reader, trail, article::Look {
                    html: html_of == Some(article.id.0),
                    text: *open || whole == Some(article.id.0) || shown.len() == 1,
                }))
            }
        }
    }
}

fn happened(
    events: &[Event],
    ticket: &Ticket,
    config: &Config,
    reader: &SignedIn,
    form: &Form,
    trail: &Trail,
) -> Markup {
    let (words, frame) = (One::of(reader.language), Frame::of(reader.language));
    let events: Vec<&Event> =
        events.iter().filter(|event| reader.asker().sees_event(event)).collect();
    let asked = form.text("history").parse::<usize>().ok();
    let end = asked.unwrap_or(events.len()).min(events.len());
    let first = end.saturating_sub(EVENTS_MAX);
    let path = format!("/tickets/{}", ticket.number);
    let link = |end: usize| trail.link(&path, &[("history", &end.to_string())]) + "#history";
    let actor = |event: &Event| match &event.actor {
        crate::core::ticket::Actor::Agent(name) => {
            super::tickets::full_name(config, name).to_owned()
        }
        other => other.to_string(),
    };
    html! {
        details.card.history #history open[asked.is_some()] {
            summary { (words.history) " (" (events.len()) ")" }
            @if first > 0 || end < events.len() {
                p.pager {
                    @if end < events.len() { a href=(link(events.len())) { (frame.newer) } }
                    @if first > 0 { a href=(link(first)) { (frame.older) } }
                }
            }
            ol.trace start=(first + 1) {
                @for event in &events[first..end] {
                    li {
                        (layout::time(reader, event.at)) " "
                        span.soft { (plain::line(&actor(event))) } " "
                        (plain::short(&history::sentence(reader.language, &event.what), EVENT_COLUMNS_MAX))
                        @if !event.why.is_empty() {
                            " " span.soft { "(" (words.why) ": " (plain::short(&event.why, EVENT_COLUMNS_MAX)) ")" }
                        }
                    }
                }
            }
        }
    }
}
