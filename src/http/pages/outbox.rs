//! Mail we owe: what waits, what was given up and why, and trying again.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::door;
use super::foreign::{foreign, plain, short};
use super::layout::{self, Here, Page};
use super::words::Mails;
use crate::core::outgoing::{Delivery, Outgoing, OutgoingId, OutgoingKind};
use crate::http::Web;
use crate::http::api::{Path, outbox};
use crate::http::form::{Form, link};
use crate::http::problem::Problem;
use crate::http::session::SignedIn;
use crate::store::OutboxFilter;

/// Mails on one page.
const ROWS: usize = 30;
/// Columns of what a server said last; the whole is in the API.
const ANSWER_COLUMNS_MAX: usize = 160;

/// A mail with the number of its ticket.
type Row = (Outgoing, Option<String>);

/// Owed mails, newest first.
pub async fn list(State(web): State<Web>, reader: SignedIn, form: Form) -> Result<Page, Problem> {
    let words = Mails::of(reader.language);
    let state = form.text("state").to_owned();
    let filter = match state.as_str() {
        "due" => OutboxFilter::Due,
        "sent" => OutboxFilter::Sent,
        "dead" => OutboxFilter::Dead,
        _ => OutboxFilter::All,
    };
    let before = form.text("cursor").parse().ok().map(OutgoingId);
    let (rows, next, counts) = web
        .read(move |store| {
            let page = store.outbox(filter, before, ROWS)?;
            let mut rows: Vec<Row> = Vec::new();
            for mail in page.items {
                let ticket = mail.ticket.map(|id| store.ticket_by_id(id)).transpose()?.flatten();
                rows.push((mail, ticket.map(|ticket| ticket.number)));
            }
            Ok((rows, page.next, store.outbox_counts()?))
        })
        .await?;
    let here = |cursor: &str| link("/outbox", &[("state", &state), ("cursor", cursor)]);
    let newest = before.map(|_| here(""));
    let older = next.map(|next| here(&next.to_string()));
    let said = match reader.said.as_str() {
        "retried" => words.retried,
        "givenUp" => words.given_up,
        _ => "",
    };
    let states = [
        ("due", format!("{} ({})", words.due, counts.due)),
        ("dead", format!("{} ({})", words.dead, counts.dead)),
        ("sent", format!("{} ({})", words.sent, counts.sent)),
    ];
    let content = html! {
        h1 { (words.outbox) }
        p.soft { (words.outbox_about) }
        (layout::notice(said, false))
        form.filters method="get" action="/outbox" {
            label { (words.state)
                select name="state" {
                    option value="" { (words.all) }
                    @for (value, word) in &states {
                        option value=(value) selected[*value == state] { (word) }
                    }
                }
            }
            button type="submit" { (words.show) }
        }
        (table(&reader, &rows))
        (layout::pager(&reader, newest.as_deref(), older.as_deref()))
    };
    Ok(layout::page(&reader, Here::Outbox, words.outbox, content))
}

/// Tries a mail again now, also one that was given up.
pub async fn retry(State(web): State<Web>, Path(id): Path<u64>) -> Result<Response, Problem> {
    let at = web.handle.clock.now();
    outbox::set(&web, id, Delivery::Due { attempts: 0, at, last_error: None, doubt: None }).await?;
    Ok(door::redirect("/outbox?said=retried"))
}

/// Gives a mail up.
pub async fn abandon(
    State(web): State<Web>,
    reader: SignedIn,
    Path(id): Path<u64>,
) -> Result<Response, Problem> {
    let reason = format!("dropped by {}", reader.actor());
    outbox::set(&web, id, Delivery::Dead { at: web.handle.clock.now(), reason }).await?;
    Ok(door::redirect("/outbox?said=givenUp"))
}

fn table(reader: &SignedIn, rows: &[Row]) -> Markup {
    let words = Mails::of(reader.language);
    html! {
        @if rows.is_empty() {
            p.empty { (words.no_owed) }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(words.outbox) {
                table {
                    thead { tr {
                        th scope="col" { (words.queued) }
                        th scope="col" { (words.state) }
                        th scope="col" { (words.to) }
                        th scope="col" { (words.kind) }
                        th scope="col" { (words.ticket) }
                        th scope="col" { (words.last_error) }
                        td { span.hidden { (words.retry) } }
                    } }
                    tbody { @for row in rows { (line(reader, row)) } }
                }
            }
        }
    }
}

fn line(reader: &SignedIn, (mail, ticket): &Row) -> Markup {
    let words = Mails::of(reader.language);
    let id = mail.id.0;
    html! {
        tr {
            td { (layout::brief(reader, mail.created)) }
            td { (state(reader, &mail.delivery)) }
            td.cut title=(plain(mail.recipient.as_str())) { (foreign(mail.recipient.as_str())) }
            td { (kind(&mail.kind, words)) }
            td.nowrap {
                @if let Some(number) = ticket { a href={ "/tickets/" (number) } { (number) } }
            }
            td.grow { (last_answer(&mail.delivery)) }
            td.nowrap {
                @if !matches!(mail.delivery, Delivery::Sent { .. }) {
                    (layout::button(reader, &format!("/outbox/{id}/retry"), words.retry, "small"))
                    " "
                    @if matches!(mail.delivery, Delivery::Due { .. }) {
                        form.inline method="post" action={ "/outbox/" (id) "/drop" } data-ask=(words.give_up_ask) {
                            (layout::csrf(reader))
                            button.small.danger type="submit" { (words.give_up) }
                        }
                    }
                }
            }
        }
    }
}

fn state(reader: &SignedIn, delivery: &Delivery) -> Markup {
    let words = Mails::of(reader.language);
    html! {
        @match delivery {
            Delivery::Due { attempts, at, .. } => {
                span.badge.info { (words.due) }
                @if *attempts > 0 {
                    br; small { (words.attempts) ": " (attempts) "; " (words.next) ": " (layout::brief(reader, *at)) }
                }
            }
            Delivery::Sent { at } => {
                span.badge.good { (words.sent) } " " small { (layout::brief(reader, *at)) }
            }
            Delivery::Dead { at, .. } => {
                span.badge.bad { (words.dead) } " " small { (layout::brief(reader, *at)) }
            }
        }
    }
}

fn last_answer(delivery: &Delivery) -> Markup {
    let text = match delivery {
        Delivery::Due { last_error, .. } => last_error.as_deref().unwrap_or_default(),
        Delivery::Sent { .. } => "",
        Delivery::Dead { reason, .. } => reason,
    };
    short(text, ANSWER_COLUMNS_MAX)
}

fn kind(kind: &OutgoingKind, words: &Mails) -> &'static str {
    match kind {
        OutgoingKind::AutoReply { .. } => words.auto_reply,
        OutgoingKind::Notification { .. } => words.notification,
        OutgoingKind::Reply => words.reply,
    }
}
