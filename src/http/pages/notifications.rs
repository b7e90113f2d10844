//! The bell: what rang for a person, and why.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::door;
use super::layout::{self, Here, Page};
use super::plain;
use super::words::Bells;
use crate::core::notify::EventKind;
use crate::core::render;
use crate::http::Web;
use crate::http::form::{Form, link};
use crate::http::problem::Problem;
use crate::http::session::SignedIn;
use crate::store::Bell;

/// Bells on one page.
const ROWS: usize = 50;
/// Columns of a ticket's title.
const TITLE_COLUMNS_MAX: usize = 60;

/// A bell with the title of its ticket.
type Row = (Bell, Option<String>);

/// What rang, newest first.
pub async fn list(State(web): State<Web>, reader: SignedIn, form: Form) -> Result<Page, Problem> {
    let words = Bells::of(reader.language);
    let (who, before) = (reader.user.clone(), form.text("cursor").parse().ok());
    let (rows, next) = web
        .read(move |store| {
            let page = store.bells(&who, before, ROWS)?;
            let mut rows: Vec<Row> = Vec::new();
            for bell in page.items {
                let number = bell.ticket.as_deref();
                let ticket = number.map(|number| store.ticket_alone(number)).transpose()?.flatten();
                rows.push((bell, ticket.map(|ticket| ticket.title)));
            }
            Ok((rows, page.next))
        })
        .await?;
    let older = next.map(|next| link("/notifications", &[("cursor", &next.to_string())]));
    let said = if reader.said == "read" { words.were_read } else { "" };
    let newest = rows.first().map(|(bell, _)| bell.id);
    let content = html! {
        div.row.apart {
            h1 { (words.title) }
            @if let (Some(newest), true) = (newest, reader.unread > 0) {
                form.inline method="post" action="/notifications/read" {
                    (layout::csrf(&reader))
                    input type="hidden" name="upTo" value=(newest);
                    button type="submit" { (words.read_all) }
                }
            }
        }
        (layout::notice(said, false))
        (table(&reader, &rows))
        (layout::pager(&reader, before.map(|_: u64| "/notifications"), older.as_deref()))
    };
    Ok(layout::page(&reader, Here::Notifications, words.title, content))
}

/// Marks what rang as read, up to what was shown.
pub async fn read(
    State(web): State<Web>,
    reader: SignedIn,
    form: Form,
) -> Result<Response, Problem> {
    let up_to = form.text("upTo").parse();
    let up_to = up_to.map_err(|_| Problem::bad("`upTo` is not a number"))?;
    web.handle.store.read_bells(&reader.user, up_to).await?;
    Ok(door::redirect("/notifications?said=read"))
}

fn table(reader: &SignedIn, rows: &[Row]) -> Markup {
    let words = Bells::of(reader.language);
    html! {
        @if rows.is_empty() {
            p.empty { (words.none) }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(words.title) {
                table {
                    thead { tr {
                        th scope="col" { (words.at) }
                        th scope="col" { (words.ticket) }
                        th scope="col" { (words.event) }
                        th scope="col" { (words.why) }
                    } }
                    tbody { @for row in rows { (line(reader, row)) } }
                }
            }
        }
    }
}

fn line(reader: &SignedIn, (bell, title): &Row) -> Markup {
    let words = Bells::of(reader.language);
    html! {
        tr {
            td { (layout::brief(reader, bell.at)) }
            td.grow {
                @if let Some(number) = &bell.ticket {
                    a href={ "/tickets/" (number) } {
                        @match title.as_deref().map(str::trim) {
                            None | Some("") => (number),
                            Some(title) => (plain::short(title, TITLE_COLUMNS_MAX)),
                        }
                    }
                    br; span.soft { (number) }
                }
            }
            td {
                (event(&bell.event, words))
                @if !bell.read { " " span.badge.info { (words.unread) } }
            }
            td.soft.grow {
                @if !bell.role.is_empty() { (plain::line(&render::role(reader.language, &bell.role))) }
                @if !bell.rule.is_empty() { br; code { (plain::line(&bell.rule)) } }
            }
        }
    }
}

/// An event in words; the label of one that is not known any more.
fn event<'a>(label: &'a str, words: &Bells) -> &'a str {
    let known = EventKind::ALL.into_iter().find(|kind| kind.label() == label);
    known.map_or(label, |kind| event_words(kind, words))
}

/// An event in words.
pub(super) fn event_words(kind: EventKind, words: &Bells) -> &'static str {
    match kind {
        EventKind::TicketCreated => words.ticket_created,
        EventKind::FollowUpLocked => words.follow_up_locked,
        EventKind::FollowUpUnlocked => words.follow_up_unlocked,
        EventKind::LockTimeout => words.lock_timeout,
        EventKind::NoteAdded => words.note_added,
        EventKind::QueueUpdated => words.queue_updated,
        EventKind::OwnerChanged => words.owner_changed,
        EventKind::ResponsibleChanged => words.responsible_changed,
        EventKind::DeliveryFailed => words.delivery_failed,
        EventKind::PendingReached => words.pending_reached,
    }
}
