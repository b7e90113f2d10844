//! The first page.

use axum::extract::State;
use maud::html;

use super::layout::{self, Here, Page};
use super::words::Frame;
use crate::http::Web;
use crate::http::problem::Problem;
use crate::http::session::SignedIn;
use crate::store::TicketQuery;

/// Tickets that are shown.
const SHOWN_MAX: usize = 50;

/// The newest tickets.
pub async fn show(State(web): State<Web>, reader: SignedIn) -> Result<Page, Problem> {
    let words = Frame::of(reader.language);
    let newest =
        |store: &crate::store::Store| store.tickets(&TicketQuery::default(), None, SHOWN_MAX);
    let tickets = web.read(newest).await?;
    let content = html! {
        h1 { (words.tickets) }
        @if tickets.items.is_empty() {
            p.empty { (words.nothing) }
        } @else {
            div.scroll {
                table {
                    tbody {
                        @for ticket in &tickets.items {
                            tr {
                                td.nowrap { (ticket.number) }
                                td { (ticket.title) }
                                td { (ticket.queue) }
                                td { span.badge { (ticket.state.label()) } }
                                td { (layout::time(&reader, ticket.created)) }
                            }
                        }
                    }
                }
            }
        }
    };
    Ok(layout::page(&reader, Here::Tickets, words.tickets, content))
}
