//! The list of tickets: queues with their counts, filter, search, order, pages.

mod asked;
mod bulk;

use std::collections::BTreeMap;

use axum::extract::State;
use maud::{Markup, PreEscaped, html};

use super::layout::{self, Here, Page};
use super::plain;
use super::words::{Frame, List, tickets as words_of};
use crate::core::address::Address;
use crate::core::config::{Config, Language, Role, Switch};
use crate::core::ticket::{Priority, State as TicketState, Ticket};
use crate::http::Web;
use crate::http::form::{Form, link};
use crate::http::problem::Problem;
use crate::http::session::SignedIn;
use crate::store::{QueueCount, TicketCursor};
use asked::ORDERS;
pub(super) use asked::{Asked, UNFINISHED};
pub use bulk::change as bulk;

/// Tickets of a page.
const SHOWN_MAX: usize = 40;
/// Columns of a title in a list.
const TITLE_COLUMNS_MAX: usize = 80;
/// Columns of a customer's address in a list, where it is the title of his name.
const ADDRESS_COLUMNS_MAX: usize = 48;
/// Columns of a customer's name in a list.
const NAME_COLUMNS_MAX: usize = 32;
/// States that can be asked for and set.
pub const STATES: [TicketState; 6] = [
    TicketState::New,
    TicketState::Open,
    TicketState::Pending,
    TicketState::Resolved,
    TicketState::Closed { successful: true },
    TicketState::Closed { successful: false },
];

/// The list.
pub async fn show(State(web): State<Web>, reader: SignedIn, form: Form) -> Result<Page, Problem> {
    let words = List::of(reader.language);
    let config = web.handle.running.load().config.clone();
    let asked = Asked::of(&form);
    let query = asked.query(&reader, &config)?;
    let after: Option<TicketCursor> = asked.cursor.parse().ok();
    let found = move |store: &crate::store::Store| {
        Ok((store.tickets(&query, after, SHOWN_MAX)?, store.queue_counts()?))
    };
    let (tickets, counts) = web.read(found).await?;
    let next = tickets.next.map(|next| next.to_string());
    let older = next.as_deref().map(|next| asked.link(("cursor", next)));
    let newest = (!asked.cursor.is_empty()).then(|| asked.link(("cursor", "")));
    let failed = form.text("failed");
    let said = match reader.said.as_str() {
        "done" => words.done,
        "none" => words.nothing_selected,
        "nowhere" => words.no_queue,
        _ => "",
    };
    let title = Frame::of(reader.language).tickets;
    let content = html! {
        (layout::notice(said, reader.said != "done"))
        @if !failed.is_empty() {
            (layout::notice(&format!("{} {failed}", words.some_failed), true))
        }
        div.desk {
            (queues(&asked, &config, &counts, words))
            section aria-label=(title) {
                h1 { @if asked.queue.is_empty() { (title) } @else { (asked.queue) } }
                (filters(&asked, &config, &reader, words))
                @if tickets.items.is_empty() { (nothing(&asked, &config, words)) } @else {
                    (table(&asked, &tickets.items, &config, &reader, words))
                }
                (layout::pager(&reader, newest.as_deref(), older.as_deref()))
            }
        }
    };
    Ok(layout::page(&reader, Here::Tickets, title, content))
}

/// Why a list is empty, and what to do next.
fn nothing(asked: &Asked<'_>, config: &Config, words: &List) -> Markup {
    let filtered = asked.link(("cursor", "")) != "/";
    html! {
        div.empty {
            @if !asked.words.is_empty() { p { (words.none_found) " " (words.none_found_why) } }
            @else { p { (words.none) } }
            @if filtered {
                p.row.middle {
                    @if asked.state != "any" && (asked.words.is_empty() || !asked.state.is_empty()) {
                        a.button.small href=(asked.link(("state", "any"))) { (words.with_finished) }
                    }
                    a.button.small href="/" { (words.without_filter) }
                }
            } @else if config.accounts.is_empty() { p { (words.no_account) } }
            @else { p { (words.all_done) " " a href="/?state=any" { (words.with_finished) } } }
        }
    }
}

fn queues(asked: &Asked<'_>, config: &Config, counts: &[QueueCount], words: &List) -> Markup {
    let mut open: BTreeMap<&str, u64> = BTreeMap::new();
    for queue in config.queues.values().filter(|queue| queue.state == Switch::Enabled) {
        open.insert(&queue.name, 0);
    }
    // A queue that is not declared any more may still have tickets.
    for count in counts.iter().filter(|count| UNFINISHED.contains(&count.state)) {
        *open.entry(&count.queue).or_default() += count.tickets;
    }
    let all: u64 = open.values().sum();
    let entry = |name: &str, shown: &str, count: u64| {
        html! {
            li {
                a href=(asked.link(("queue", name)))
                    aria-current=[(asked.queue == name).then_some("true")] {
                    span { (shown) } span.soft { (count) }
                }
            }
        }
    };
    let whose = |owner: &str, shown: &str| {
        let chosen = asked.owner == owner;
        html! {
            li {
                a href=(asked.link(("owner", if chosen { "" } else { owner })))
                    aria-current=[chosen.then_some("true")] { span { (shown) } }
            }
        }
    };
    html! {
        nav.queues aria-label=(words.queues) {
            ul {
                (whose("mine", words.my_tickets))
                (whose("nobody", words.without_owner))
                (entry("", words.all_queues, all))
                @for (name, count) in &open { (entry(name, name, *count)) }
            }
        }
    }
}

fn filters(asked: &Asked<'_>, config: &Config, reader: &SignedIn, words: &List) -> Markup {
    let option = |value: &str, shown: &str, chosen: &str| {
        html! { option value=(value) selected[value == chosen] { (shown) } }
    };
    let orders =
        [words.by_updated, words.by_waiting, words.by_created, words.by_oldest, words.by_priority];
    html! {
        form.filters method="get" action="/" {
            input type="hidden" name="queue" value=(asked.queue);
            label { (words.words) input type="search" name="q" value=(asked.words) maxlength="200"; }
            label { (words.state)
                select name="state" {
                    (option("", words.open, asked.state))
                    (option("any", words.any_state, asked.state))
                    @for state in STATES {
                        (option(state.label(), words_of::state(reader.language, state), asked.state))
                    }
                }
            }
            label { (words.owner)
                select name="owner" {
                    (option("", words.anybody, asked.owner))
                    (option("mine", words.mine, asked.owner))
                    (option("nobody", words.nobody, asked.owner))
                    @for user in config.users.values() {
                        (option(&user.name, &user.full_name, asked.owner))
                    }
                }
            }
            label { (words.customer)
                input type="email" name="customer" value=(asked.customer) maxlength="254";
            }
            label { (words.sort)
                select name="order" {
                    @for ((name, ..), shown) in ORDERS.iter().zip(orders) {
                        (option(name, shown, asked.order))
                    }
                }
            }
            button type="submit" { (words.show) }
        }
    }
}

fn table(
    asked: &Asked<'_>,
    tickets: &[Ticket],
    config: &Config,
    reader: &SignedIn,
    words: &List,
) -> Markup {
    let may = reader.may(Role::User);
    let columns = Columns { ticks: may, queue: asked.queue.is_empty() };
    let list = asked.packed().unwrap_or_default();
    let rows = html! {
        div.scroll {
            table.tickets {
                thead { (heads(columns, words)) }
                tbody {
                    @for ticket in tickets { (row(ticket, &list, columns, config, reader, words)) }
                }
            }
        }
    };
    html! {
        @if may {
            form method="post" action="/tickets/bulk" {
                (layout::csrf(reader))
                input type="hidden" name="back" value=(asked.link(("cursor", asked.cursor)));
                // Without script, Enter in a box presses the first button: it does nothing.
                button hidden name="do" value="nothing" {}
                (rows)
                div.row.bulk {
                    span.soft { (words.with_selected) }
                    button type="submit" name="do" value="take" { (words.take) }
                    button type="submit" name="do" value="close" { (words.close) }
                    select name="queue" aria-label=(words.move_to) {
                        option value="" { (words.move_to) " …" }
                        @for queue in config.queues.values() {
                            @if queue.name != asked.queue { option value=(queue.name) { (queue.name) } }
                        }
                    }
                    button type="submit" name="do" value="move" { (words.do_move) }
                }
            }
        } @else { (rows) }
    }
}

/// The tickets of a customer, to be looked at, in a table.
pub(super) fn history(
    customer: &Address,
    tickets: &[Ticket],
    config: &Config,
    reader: &SignedIn,
) -> Markup {
    let words = List::of(reader.language);
    let form = Form::parse(
        link("", &[("customer", customer.as_str())]).trim_start_matches('?').as_bytes(),
    );
    let list = Asked::of(&form).packed().unwrap_or_default();
    let columns = Columns { ticks: false, queue: true };
    html! {
        div.scroll {
            table.tickets {
                thead { (heads(columns, words)) }
                tbody { @for ticket in tickets { (row(ticket, &list, columns, config, reader, words)) } }
            }
        }
    }
}

/// What a list shows beside what every list shows.
#[derive(Clone, Copy)]
struct Columns {
    /// A box to tick.
    ticks: bool,
    /// The queue, where not all of them are of the same.
    queue: bool,
}

fn heads(columns: Columns, words: &List) -> Markup {
    html! {
        tr {
            @if columns.ticks {
                th {
                    span.hidden { (words.select) }
                    input type="checkbox" hidden data-all="ticket" aria-label=(words.select_all);
                }
            }
            th scope="col" { (words.title) }
            @if columns.queue { th scope="col" { (words.queue) } }
            th scope="col" { (words.state) } th scope="col" { (words.owner) }
            th scope="col" { (words.updated) }
        }
    }
}

/// A ticket: its title, beneath it its number and whose it is, and how it stands.
fn row(
    ticket: &Ticket,
    list: &str,
    columns: Columns,
    config: &Config,
    reader: &SignedIn,
    words: &List,
) -> Markup {
    let path = link(&format!("/tickets/{}", ticket.number), &[("list", list)]);
    let owner = ticket.owner.as_deref().map(|owner| full_name(config, owner));
    html! {
        tr data-row="" {
            @if columns.ticks {
                td.tick {
                    input type="checkbox" name="ticket" value=(ticket.number)
                        aria-label=(ticket.number);
                }
            }
            td.title {
                div { a href=(path) { (plain::short(shown_title(ticket), TITLE_COLUMNS_MAX)) } }
                div.under {
                    (ticket.number)
                    @if let Some(customer) = &ticket.customer {
                        " · " (named(customer.name.as_str(), &customer.address))
                    }
                }
            }
            @if columns.queue { td.cut { (ticket.queue) } }
            td { (state_badge(reader.language, ticket.state)) (odd_priority(reader.language, ticket.priority)) }
            td.cut.none[owner.is_none() && ticket.locked_since.is_none() && !columns.ticks] {
                @if ticket.locked_since.is_some() { (lock(words)) " " }
                @if let Some(owner) = owner { (owner) }
                @else if columns.ticks && UNFINISHED.contains(&ticket.state) {
                    button.small name="take" value=(ticket.number) { (words.take) }
                } @else { span.soft { "–" } }
            }
            td { (layout::brief(reader, ticket.updated)) }
        }
    }
}

fn named(name: &str, address: &Address) -> Markup {
    html! {
        bdi title=(plain::beginning(address.as_str(), ADDRESS_COLUMNS_MAX)) {
            (plain::short(if name.is_empty() { address.as_str() } else { name }, NAME_COLUMNS_MAX))
        }
    }
}

/// A title that is never empty, so that there is something to click.
pub fn shown_title(ticket: &Ticket) -> &str {
    if ticket.title.trim().is_empty() { &ticket.number } else { &ticket.title }
}

/// Name of a user for people.
pub fn full_name<'a>(config: &'a Config, user: &'a str) -> &'a str {
    config.users.get(user).map_or(user, |known| known.full_name.as_str())
}

/// A state as a badge.
pub fn state_badge(language: Language, state: TicketState) -> Markup {
    let class = match state {
        TicketState::New => "badge info",
        TicketState::Open => "badge good",
        TicketState::Pending => "badge warn",
        TicketState::Resolved | TicketState::Closed { .. } | TicketState::Merged => "badge",
    };
    html! { span class=(class) { (words_of::state(language, state)) } }
}

/// A priority in a list, where it is not that of most.
fn odd_priority(language: Language, priority: Priority) -> Markup {
    html! { @if priority != Priority::Normal { " " (priority_badge(language, priority)) } }
}

/// That somebody works on it and nobody else should.
fn lock(words: &List) -> Markup {
    html! { span title=(words.locked) { (PreEscaped(LOCK)) span.hidden { (words.locked) } } }
}

/// Drawn here, so that its colour follows the text.
const LOCK: &str = r#"<svg viewBox="0 0 24 24" width="13" height="13" aria-hidden="true"><path fill="none" stroke="currentColor" stroke-width="2.4" d="M5 11h14v9H5zM8 11V8a4 4 0 0 1 8 0v3"/></svg>"#;

/// A priority, conspicuous where it is high.
pub fn priority_badge(language: Language, priority: Priority) -> Markup {
    let word = words_of::priority(language, priority);
    match priority {
        Priority::VeryHigh => html! { span.badge.bad { (word) } },
        Priority::High => html! { span.badge.warn { (word) } },
        Priority::VeryLow | Priority::Low | Priority::Normal => html! { span.soft { (word) } },
    }
}
