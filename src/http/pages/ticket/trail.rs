//! The list from which a ticket was opened: the way back to it, and on to its next ticket.
//!
//! What is done to a ticket may move it to another place of the list, or take it off. So the place
//! where it stood goes along with what is done, and the next is the one that followed it there.

use maud::{Markup, html};

use crate::core::config::Config;
use crate::core::ticket::Ticket;
use crate::http::Web;
use crate::http::form::{Form, link};
use crate::http::pages::tickets::{Asked, shown_title};
use crate::http::pages::words::{Frame, One};
use crate::http::pages::{layout, plain};
use crate::http::session::SignedIn;
use crate::store::TicketCursor;

/// Columns of the title of the next ticket.
const NEXT_COLUMNS_MAX: usize = 40;

/// Where somebody came from.
#[derive(Default)]
pub struct Trail {
    /// The list, packed; empty if the ticket was not opened from one.
    list: String,
    /// The place in it that came along.
    at: Option<TicketCursor>,
    /// The place in it, if that is known by now.
    stood: Option<TicketCursor>,
    /// Number and title of the next ticket.
    next: Option<(String, String)>,
}

impl Trail {
    /// What came along in a query or a form.
    pub fn of(form: &Form) -> Trail {
        let list = form.text("list");
        let known = Asked::unpacked(list).is_some();
        let at = form.text("at").parse().ok().filter(|_| known);
        let list = if known { list.to_owned() } else { String::new() };
        Trail { list, at, stood: None, next: None }
    }

    /// Looks up where the ticket stands and what comes next. A list that cannot be asked for any
    /// more has no next.
    pub async fn look(
        mut self,
        web: &Web,
        reader: &SignedIn,
        config: &Config,
        ticket: &Ticket,
    ) -> Trail {
        let Some(form) = Asked::unpacked(&self.list) else { return self };
        let Ok(query) = Asked::of(&form).query(reader, config) else { return self };
        let stood = self.at.unwrap_or_else(|| TicketCursor::of(query.sort, ticket));
        // One more than is wanted: the ticket itself may stand behind its old place by now.
        let found = web.read(move |store| store.tickets(&query, Some(stood), 2)).await;
        let others = found.map(|page| page.items).unwrap_or_default();
        let next = others.iter().find(|other| other.id != ticket.id);
        self.next = next.map(|next| (next.number.clone(), shown_title(next).to_owned()));
        self.stood = Some(stood);
        self
    }

    /// A page of the ticket, with what came along.
    pub fn link(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let at = self.at.map(|at| at.to_string()).unwrap_or_default();
        let mut all = fields.to_vec();
        all.extend([("list", self.list.as_str()), ("at", at.as_str())]);
        link(path, &all)
    }

    /// What every form of the ticket carries.
    pub fn fields(&self, reader: &SignedIn) -> Markup {
        html! {
            (layout::csrf(reader))
            @if !self.list.is_empty() {
                input type="hidden" name="list" value=(self.list);
                @if let Some(stood) = self.stood { input type="hidden" name="at" value=(stood); }
            }
        }
    }

    /// The way back, and on.
    pub fn show(&self, reader: &SignedIn) -> Markup {
        let (frame, words) = (Frame::of(reader.language), One::of(reader.language));
        let form = Asked::unpacked(&self.list).unwrap_or_default();
        let asked = Asked::of(&form);
        html! {
            nav.row.apart.trail aria-label=(words.list) {
                a href=(asked.link(("cursor", ""))) data-key="u" {
                    "← " @if asked.queue.is_empty() { (frame.tickets) } @else { (asked.queue) }
                }
                @if let Some((number, title)) = &self.next {
                    a rel="next" data-key="]" href=(link(&format!("/tickets/{number}"), &[("list", &self.list)])) {
                        (words.next) ": " (plain::short(title, NEXT_COLUMNS_MAX)) " →"
                    }
                }
            }
        }
    }
}
