//! The list of tickets: queues with their counts, filter, search, order, pages, and what is done to
//! several tickets at once.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, PreEscaped, html};

use super::door::redirect;
use super::layout::{self, Here, Page};
use super::plain;
use super::words::{Frame, List, tickets as words_of};
use crate::core::address::Address;
use crate::core::config::{Config, Language, Role, Switch};
use crate::core::ticket::{Command, Priority, State as TicketState, Ticket};
use crate::http::Web;
use crate::http::api::{bulk, tickets as rules};
use crate::http::form::{Form, link};
use crate::http::problem::Problem;
use crate::http::session::SignedIn;
use crate::store::{QueueCount, SortBy, TicketCursor, TicketQuery};

/// Tickets of a page.
const SHOWN_MAX: usize = 40;
/// Columns of a title in a list.
const TITLE_COLUMNS_MAX: usize = 80;
/// Columns of a customer's address in a list, where it is the title of his name.
const ADDRESS_COLUMNS_MAX: usize = 48;
/// Columns of a customer's name in a list.
const NAME_COLUMNS_MAX: usize = 32;
/// States of tickets that somebody has to do something about.
const UNFINISHED: [TicketState; 3] = [TicketState::New, TicketState::Open, TicketState::Pending];
/// States that can be asked for and set.
pub const STATES: [TicketState; 6] = [
    TicketState::New,
    TicketState::Open,
    TicketState::Pending,
    TicketState::Resolved,
    TicketState::Closed { successful: true },
    TicketState::Closed { successful: false },
];
/// Orders by their names in the query.
const ORDERS: [(&str, SortBy, bool); 5] = [
    ("updated", SortBy::Updated, false),
    ("waiting", SortBy::Updated, true),
    ("created", SortBy::Created, false),
    ("oldest", SortBy::Created, true),
    ("priority", SortBy::Priority, false),
];

/// What is asked for, as it stands in the query.
struct Asked<'a> {
    queue: &'a str,
    /// A state, `any`, or empty: not finished, or any where words are looked for.
    state: &'a str,
    /// `mine`, `nobody`, a user, or empty for anybody.
    owner: &'a str,
    customer: &'a str,
    words: &'a str,
    order: &'a str,
    cursor: &'a str,
}

impl<'a> Asked<'a> {
    fn of(form: &'a Form) -> Asked<'a> {
        Asked {
            queue: form.text("queue"),
            state: form.text("state"),
            owner: form.text("owner"),
            customer: form.text("customer").trim(),
            words: form.text("q").trim(),
            order: form.text("order"),
            cursor: form.text("cursor"),
        }
    }

    fn query(&self, reader: &SignedIn, config: &Config) -> Result<TicketQuery, Problem> {
        let finds = !self.words.is_empty() || !self.customer.is_empty();
        let order = ORDERS.iter().find(|order| order.0 == self.order).unwrap_or(&ORDERS[0]);
        Ok(TicketQuery {
            queue: Some(self.queue).filter(|queue| !queue.is_empty()).map(str::to_owned),
            states: match self.state {
                "" if finds => Vec::new(),
                "" => UNFINISHED.to_vec(),
                "any" => Vec::new(),
                label => vec![rules::state(label)?],
            },
            owner: match self.owner {
                "" => None,
                "mine" => Some(reader.user.clone()),
                "nobody" => Some(String::new()),
                name => Some(name.to_owned()),
            },
            customer: match self.customer {
                "" => None,
                text => Some(rules::address(text)?),
            },
            text: Some(self.words).filter(|words| !words.is_empty()).map(str::to_owned),
            hook: config.desk.hook.clone(),
            sort: order.1,
            ascending: order.2,
        })
    }

    /// This listing, with one thing changed.
    fn link(&self, changed: (&str, &str)) -> String {
        let all = [
            ("queue", self.queue),
            ("state", self.state),
            ("owner", self.owner),
            ("customer", self.customer),
            ("q", self.words),
            ("order", self.order),
            ("cursor", ""),
        ];
        link("/", &all.map(|(name, value)| if name == changed.0 { changed } else { (name, value) }))
    }
}

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
        _ => "",
    };
    let title = Frame::of(reader.language).tickets;
    let content = html! {
        (layout::notice(said, reader.said == "none"))
        @if !failed.is_empty() {
            (layout::notice(&format!("{} {failed}", words.some_failed), true))
        }
        div.desk {
            (queues(&asked, &config, &counts, words))
            section aria-label=(title) {
                h1 { @if asked.queue.is_empty() { (title) } @else { (asked.queue) } }
                (filters(&asked, &config, &reader, words))
                @if tickets.items.is_empty() {
                    p.empty { (if asked.words.is_empty() { words.none } else { words.none_found }) }
                } @else {
                    (table(&asked, &tickets.items, &config, &reader, words))
                }
                (layout::pager(&reader, newest.as_deref(), older.as_deref()))
            }
        }
    };
    Ok(layout::page(&reader, Here::Tickets, title, content))
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
    html! {
        nav.queues aria-label=(words.queues) {
            ul {
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
    let rows = html! {
        div.scroll {
            table.tickets {
                thead { (heads(columns, words)) }
                tbody {
                    @for ticket in tickets { (row(ticket, columns, config, reader, words)) }
                }
            }
        }
    };
    html! {
        @if may {
            form method="post" action="/tickets/bulk" {
                (layout::csrf(reader))
                input type="hidden" name="back" value=(asked.link(("cursor", asked.cursor)));
                (rows)
                div.row.bulk {
                    span.soft { (words.with_selected) }
                    button type="submit" name="do" value="close" { (words.close) }
                    select name="queue" aria-label=(words.move_to) {
                        @for queue in config.queues.values() {
                            option value=(queue.name) selected[queue.name == asked.queue] {
                                (queue.name)
                            }
                        }
                    }
                    button type="submit" name="do" value="move" { (words.do_move) }
                }
            }
        } @else { (rows) }
    }
}

/// Tickets to be looked at, in a table.
pub(super) fn rows(tickets: &[Ticket], config: &Config, reader: &SignedIn) -> Markup {
    let words = List::of(reader.language);
    let columns = Columns { ticks: false, queue: true };
    html! {
        div.scroll {
            table.tickets {
                thead { (heads(columns, words)) }
                tbody { @for ticket in tickets { (row(ticket, columns, config, reader, words)) } }
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
    columns: Columns,
    config: &Config,
    reader: &SignedIn,
    words: &List,
) -> Markup {
    let path = format!("/tickets/{}", ticket.number);
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
            td.cut.none[owner.is_none() && ticket.locked_since.is_none()] {
                @if ticket.locked_since.is_some() { (lock(words)) " " }
                @if let Some(owner) = owner { (owner) } @else { span.soft { "–" } }
            }
            td { (layout::time(reader, ticket.updated)) }
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

/// Closes or moves what was selected. Each ticket for itself: one that cannot be changed is named,
/// and the others are.
pub async fn bulk(
    State(web): State<Web>,
    reader: SignedIn,
    form: Form,
) -> Result<Response, Problem> {
    let back = super::door::next_path(form.text("back")).to_owned();
    let command = match form.text("do") {
        "move" => Command::SetQueue(form.text("queue").to_owned()),
        _ => Command::SetState {
            state: TicketState::Closed { successful: true },
            pending_until: None,
        },
    };
    let numbers: Vec<String> =
        form.all("ticket").take(bulk::TICKETS_MAX).map(str::to_owned).collect();
    if numbers.is_empty() {
        return Ok(redirect(&and(&back, &[("said", "none")])));
    }
    let done = bulk::each(&web, &reader.actor(), &numbers, &[command], |_| None).await;
    let failed: Vec<String> =
        done.into_iter().filter(|(_, done)| done.is_err()).map(|(number, _)| number).collect();
    let said = if failed.is_empty() { "done" } else { "" };
    Ok(redirect(&and(&back, &[("said", said), ("failed", &failed.join(", "))])))
}

/// A path of ours with more in its query.
fn and(path: &str, fields: &[(&str, &str)]) -> String {
    let more = link("", fields);
    let more = more.trim_start_matches('?');
    match (more.is_empty(), path.contains('?')) {
        (true, _) => path.to_owned(),
        (false, true) => format!("{path}&{more}"),
        (false, false) => format!("{path}?{more}"),
    }
}
