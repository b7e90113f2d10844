//! Who would be told of an event on a ticket, who would not, and which line decided it: what
//! `postroom notify explain` says, on a page.

use axum::extract::State;
use maud::{Markup, html};

use super::layout::{self, Here, Page};
use super::notifications::event_words;
use super::plain;
use super::tickets::{full_name, shown_title};
use super::words::{Audience, Bells, audience as reasons};
use crate::config::whereabouts::Whereabouts;
use crate::core::config::Config;
use crate::core::notify::{EventKind, Notice, Rule, Verdict, Wait};
use crate::core::render;
use crate::http::Web;
use crate::http::api::Path;
use crate::http::api::audience::{Judged, judge};
use crate::http::dto::audience::RuleView;
use crate::http::form::{Form, link};
use crate::http::problem::Problem;
use crate::http::session::SignedIn;

/// People of one page.
const PEOPLE_SHOWN: usize = 50;

/// The page.
pub async fn show(
    State(web): State<Web>,
    Path(number): Path<String>,
    reader: SignedIn,
    form: Form,
) -> Result<Page, Problem> {
    let words = Audience::of(reader.language);
    let config = web.handle.running.load().config.clone();
    let kind = EventKind::from_label(form.text("event")).unwrap_or(EventKind::TicketCreated);
    let by = form.filled("by").map(str::to_owned);
    let judged = judge(&web, &number, kind, by.clone()).await?;
    let ticket = &judged.ticket;
    let content = html! {
        h1 { (words.title) " " small.nowrap { (config.desk.hook) (ticket.number) } }
        p { a href=(format!("/tickets/{number}")) { (plain::line(shown_title(ticket))) } }
        p.soft { (words.about) }
        (question(&number, kind, by.as_deref(), &config, &reader))
        @if judged.verdicts.is_empty() { p.empty { (words.none) } }
        @else { (answer(&judged, &config, &reader, &format!("/tickets/{number}/audience"), &form)) }
    };
    Ok(layout::page(&reader, Here::Tickets, words.title, content))
}

fn question(
    number: &str,
    asked: EventKind,
    by: Option<&str>,
    config: &Config,
    reader: &SignedIn,
) -> Markup {
    let (words, events) = (Audience::of(reader.language), Bells::of(reader.language));
    html! {
        form.filters method="get" action=(format!("/tickets/{number}/audience")) {
            label { (words.event)
                select name="event" {
                    @for kind in EventKind::ALL {
                        option value=(kind.label()) selected[kind == asked] {
                            (event_words(kind, events))
                        }
                    }
                }
            }
            label { (words.by)
                select name="by" {
                    option value="" { (words.nobody) }
                    @for user in config.users.values() {
                        option value=(user.name) selected[Some(user.name.as_str()) == by] {
                            (user.full_name)
                        }
                    }
                }
            }
            button type="submit" { (words.show) }
        }
    }
}

/// Those who are told, and then the others, from where the query says.
fn answer(judged: &Judged, config: &Config, reader: &SignedIn, path: &str, form: &Form) -> Markup {
    let words = Audience::of(reader.language);
    let files = Whereabouts::of(&judged.files);
    let mut all: Vec<&Verdict> = judged.verdicts.iter().collect();
    all.sort_by_key(|verdict| verdict.told.is_err());
    let from = form.text("from").parse().unwrap_or(0).min(all.len());
    let shown = &all[from..all.len().min(from + PEOPLE_SHOWN)];
    let here = |from: usize| {
        let (event, by, from) = (form.text("event"), form.text("by"), from.to_string());
        link(path, &[("event", event), ("by", by), ("from", &from)])
    };
    let first = (from > 0).then(|| here(0));
    let next = (from + PEOPLE_SHOWN < all.len()).then(|| here(from + PEOPLE_SHOWN));
    html! {
        div.scroll tabindex="0" role="region" aria-label=(words.title) {
            table {
                thead { tr {
                    th scope="col" { (words.who) }
                    th scope="col" { (words.told) }
                    th scope="col" { (words.when) }
                    th scope="col" { (words.why) }
                    th scope="col" { (words.decided) }
                } }
                tbody {
                    @for verdict in shown { (line(verdict, &files, config, reader)) }
                }
            }
        }
        (layout::alphabet(reader, first.as_deref(), next.as_deref()))
    }
}

fn line(verdict: &Verdict, files: &Whereabouts<'_>, config: &Config, reader: &SignedIn) -> Markup {
    let words = Audience::of(reader.language);
    html! {
        tr {
            th scope="row" {
                @if verdict.customer {
                    (plain::line(&verdict.who)) " " span.badge { (words.customer) }
                } @else { (full_name(config, &verdict.who)) }
            }
            @match &verdict.told {
                Ok(notice) => {
                    td { (channels(notice, words)) }
                    td { (when(notice, reader)) }
                    td.grow { (render::role(reader.language, &notice.role)) }
                }
                Err(reason) => {
                    td { span.soft { (words.told_not) } }
                    td { span.soft { "–" } }
                    td.grow { (reasons::not(reader.language, reason)) }
                }
            }
            td.grow { @if let Some(rule) = verdict.rules.last() { (decided(rule, files)) } }
        }
    }
}

fn channels(notice: &Notice, words: &Audience) -> Markup {
    html! {
        @if notice.channels.mail { span.badge.good { (words.mail) } " " }
        @if notice.channels.web { span.badge.info { (words.web) } }
    }
}

/// When the mail goes out, if there is one.
fn when(notice: &Notice, reader: &SignedIn) -> Markup {
    let words = Audience::of(reader.language);
    html! {
        @match notice.wait {
            _ if !notice.channels.mail => { span.soft { "–" } }
            Wait::No => { (words.at_once) }
            Wait::QuietHours(at) => { (layout::time(reader, at)) " " span.soft { (words.quiet) } }
            Wait::Digest(at) => { (layout::time(reader, at)) " " span.soft { (words.digest) } }
            Wait::FullHour(at) => { (layout::time(reader, at)) " " span.soft { (words.full) } }
        }
    }
}

/// The line that decided, where it stands.
fn decided(rule: &Rule, files: &Whereabouts<'_>) -> Markup {
    let rule = RuleView::of(rule, files);
    html! {
        code { (plain::line(&rule.path)) }
        @if let Some(place) = &rule.place { br; span.soft { (plain::line(place)) } }
    }
}
