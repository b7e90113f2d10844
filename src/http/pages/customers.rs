//! Customers: the list with its search, and one customer with his tickets.

use axum::extract::State;
use jiff::Timestamp;
use maud::{Markup, html};

use super::layout::{self, Here, Page};
use super::words::{Customers, List};
use super::{plain, tickets};
use crate::http::Web;
use crate::http::api::{Path, customers as rules};
use crate::http::dto::customer::KnownCustomerView;
use crate::http::form::{Form, link, segment};
use crate::http::problem::Problem;
use crate::http::session::SignedIn;
use crate::store::TicketCursor;

/// Customers, or tickets, of one page.
const ROWS: usize = 50;

/// Columns of a name in the list.
const NAME_COLUMNS_MAX: usize = 40;

/// Path of the page of a customer.
pub fn path(address: &str) -> String {
    format!("/customers/{}", segment(address))
}

/// The list.
pub async fn list(State(web): State<Web>, reader: SignedIn, form: Form) -> Result<Page, Problem> {
    let words = Customers::of(reader.language);
    let sought = form.text("q").trim();
    let after = form.filled("cursor").map(str::to_owned);
    let found = rules::known(&web, sought.to_owned(), after.clone(), ROWS).await?;
    let here = |cursor: &str| link("/customers", &[("q", sought), ("cursor", cursor)]);
    let first = after.map(|_| here(""));
    let next = found.next.as_deref().map(here);
    let content = html! {
        h1 { (words.title) }
        p.soft { (words.about) }
        form.filters method="get" action="/customers" role="search" {
            label { (words.sought)
                input type="search" name="q" value=(sought) maxlength="200" autocomplete="off";
            }
            button type="submit" { (words.show) }
        }
        @if found.items.is_empty() {
            p.empty { (if sought.is_empty() { words.none } else { words.none_found }) }
        } @else { (table(&found.items, &reader, words)) }
        (layout::alphabet(&reader, first.as_deref(), next.as_deref()))
    };
    Ok(layout::page(&reader, Here::Customers, words.title, content))
}

fn table(customers: &[KnownCustomerView], reader: &SignedIn, words: &Customers) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(words.title) {
            table {
                thead { tr {
                    th scope="col" { (words.name) }
                    th scope="col" { (words.address) }
                    th.wide scope="col" { (words.company) }
                    th.wide scope="col" { (words.language) }
                    th.number scope="col" { (words.tickets) }
                    th.wide scope="col" { (words.first) }
                    th scope="col" { (words.last) }
                } }
                tbody {
                    @for one in customers {
                        tr {
                            td.cut { bdi { (plain::short(&one.name, NAME_COLUMNS_MAX)) } }
                            td.grow { a href=(path(&one.address)) { (plain::line(&one.address)) } }
                            td.wide.cut { (plain::short(one.company.as_deref().unwrap_or(""), NAME_COLUMNS_MAX)) }
                            td.wide { (language(one)) }
                            td.number data-label=(words.tickets) { (one.tickets) }
                            td.wide { (seen(one.first_seen.as_deref(), |at| layout::brief(reader, at))) }
                            td { (seen(one.last_seen.as_deref(), |at| layout::brief(reader, at))) }
                        }
                    }
                }
            }
        }
    }
}

/// One customer.
pub async fn show(
    State(web): State<Web>,
    Path(address): Path<String>,
    reader: SignedIn,
    form: Form,
) -> Result<Page, Problem> {
    let words = Customers::of(reader.language);
    let config = web.handle.running.load().config.clone();
    let (address, customer) = rules::find(&web, &address).await?;
    let after: Option<TicketCursor> = form.text("cursor").parse().ok();
    let here = |cursor: &str| link(&path(address.as_str()), &[("cursor", cursor)]);
    let query = rules::history(address.clone());
    let found = web.read(move |store| store.tickets(&query, after, ROWS)).await?;
    let newest = after.map(|_| here(""));
    let older = found.next.map(|next| here(&next.to_string()));
    let doubtful = super::words::One::of(reader.language).doubtful;
    let content = html! {
        h1 { @if customer.name.is_empty() { (words.customer) } @else { bdi { (plain::line(&customer.name)) } } }
        section.card aria-label=(words.customer) {
            dl.facts {
                dt { (words.address) } dd { (plain::person(&customer.address, doubtful)) }
                @if let Some(company) = &customer.company {
                    dt { (words.company) } dd { (plain::line(company)) }
                }
                dt { (words.language) } dd { (language(&customer)) }
                dt { (words.known) } dd { (if customer.declared { words.declared } else { words.remembered }) }
                dt { (words.tickets) } dd { (customer.tickets) }
                dt { (words.first) } dd { (seen(customer.first_seen.as_deref(), |at| layout::time(&reader, at))) }
                dt { (words.last) } dd { (seen(customer.last_seen.as_deref(), |at| layout::time(&reader, at))) }
            }
        }
        h2 { (words.tickets) }
        @if found.items.is_empty() { p.empty { (List::of(reader.language).none) } }
        @else { (tickets::history(&address, &found.items, &config, &reader)) }
        (layout::pager(&reader, newest.as_deref(), older.as_deref()))
    };
    Ok(layout::page(&reader, Here::Customers, words.customer, content))
}

/// The language a customer is written to in; a dash stands for that of the desk.
fn language(customer: &KnownCustomerView) -> &'static str {
    match customer.language.as_deref() {
        Some("ja") => "日本語",
        Some("en") => "English",
        Some(_) | None => "–",
    }
}

fn seen(at: Option<&str>, shown: impl Fn(Timestamp) -> Markup) -> Markup {
    let at = at.and_then(|at| at.parse().ok());
    html! {
        @if let Some(at) = at { (shown(at)) } @else { span.soft { "–" } }
    }
}
