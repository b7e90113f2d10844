//! Customers: those that are declared and those who wrote, in the order of their addresses.

use std::collections::BTreeMap;
use std::ops::Bound;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::{Path, Query};
use crate::core::address::Address;
use crate::core::config::Config;
use crate::core::search::{all_stand_in, folded_words};
use crate::http::Web;
use crate::http::api::tickets;
use crate::http::dto::PageView;
use crate::http::dto::customer::{CustomerDetail, KnownCustomerView};
use crate::http::dto::ticket::TicketView;
use crate::http::paging::{PageQuery, page};
use crate::http::problem::Problem;
use crate::store::{Page, RememberedCustomer, SortBy, Store, StoreError, TicketQuery};

/// Looks at the store for one page of customers: enough for some 100,000 tickets.
const LOOKS_MAX: usize = 5;

/// What may stand in the query of the listing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    q: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// What may stand in the query of one customer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Customers.
pub async fn list(
    State(web): State<Web>,
    Query(query): Query<ListQuery>,
) -> Result<Json<PageView<KnownCustomerView, String>>, Problem> {
    let limit = PageQuery::new(query.limit, None).limit();
    let words = query.q.unwrap_or_default();
    Ok(Json(known(&web, words, query.cursor, limit).await?))
}

/// One customer with his tickets.
pub async fn show(
    State(web): State<Web>,
    Path(address): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<CustomerDetail>, Problem> {
    let (address, customer) = find(&web, &address).await?;
    let limit = PageQuery::new(query.limit, None).limit();
    let after = query.cursor.as_deref().map(tickets::cursor).transpose()?;
    let found = web.read(move |store| store.tickets(&history(address), after, limit)).await?;
    let found = Page { items: found.items, next: found.next.map(|next| next.to_string()) };
    let tickets = page(found, |ticket| TicketView::from(ticket));
    Ok(Json(CustomerDetail { customer, tickets }))
}

/// The tickets of a customer, last changed first.
pub(in crate::http) fn history(address: Address) -> TicketQuery {
    TicketQuery { customer: Some(address), sort: SortBy::Updated, ..TicketQuery::default() }
}

/// One customer, if he is declared or has ever had a ticket.
pub(in crate::http) async fn find(
    web: &Web,
    text: &str,
) -> Result<(Address, KnownCustomerView), Problem> {
    let missing = || Problem::not_found(format!("customer {text:?}"));
    let address = Address::parse(text).ok_or_else(missing)?;
    let wanted = address.clone();
    let remembered = web.read(move |store| store.customer(&wanted)).await?;
    let running = web.handle.running.load();
    let declared = running.config.customers.get(&address);
    if declared.is_none() && remembered.is_none() {
        return Err(missing());
    }
    let view = KnownCustomerView::of(&address, declared, remembered.as_ref());
    Ok((address, view))
}

/// A page of customers with all these words in address, name or company.
pub(in crate::http) async fn known(
    web: &Web,
    words: String,
    after: Option<String>,
    limit: usize,
) -> Result<PageView<KnownCustomerView, String>, Problem> {
    let config = web.handle.running.load().config.clone();
    let (sought, from, all) = (words, after, config.clone());
    let found = web.read(move |store| {
        let page = look(store, &sought, from.as_deref(), limit)?;
        // Those that are declared may be found by another name than the one they wrote. One more
        // than a page says that there is another page.
        let beside = declared(&all, &sought, from.as_deref(), page.next.as_deref(), limit + 1);
        let with = |address: Address| Ok((address.clone(), store.customer(&address)?));
        let beside = beside.into_iter().map(with).collect::<Result<Vec<_>, StoreError>>()?;
        Ok((page, beside))
    });
    let (page, beside) = found.await?;
    let remembered = page.items.into_iter().map(|known| (known.address.clone(), Some(known)));
    let mut all: BTreeMap<Address, _> = beside.into_iter().collect();
    all.extend(remembered);
    let more = all.len() > limit;
    let items: Vec<KnownCustomerView> = all
        .iter()
        .take(limit)
        .map(|(one, known)| KnownCustomerView::of(one, config.customers.get(one), known.as_ref()))
        .collect();
    let last = items.last().map(|last| last.address.clone());
    Ok(PageView { next: if more { last } else { page.next }, items })
}

/// Remembered customers. A look at the store is bounded and may find nobody although there are more:
/// then is looked further, and that is bounded, too.
fn look(
    store: &Store,
    words: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<RememberedCustomer, String>, StoreError> {
    let mut page = store.customers(words, after, limit)?;
    for _ in 1..LOOKS_MAX {
        let Some(next) = page.next.clone().filter(|_| page.items.is_empty()) else { break };
        page = store.customers(words, Some(&next), limit)?;
    }
    Ok(page)
}

/// The first declared customers with these words, behind one address and up to another.
fn declared(
    config: &Config,
    words: &str,
    after: Option<&str>,
    until: Option<&str>,
    limit: usize,
) -> Vec<Address> {
    let words = folded_words(words);
    let bound = |text: Option<&str>| text.and_then(Address::parse);
    let from = bound(after).map_or(Bound::Unbounded, Bound::Excluded);
    let until = bound(until);
    let all = config.customers.range((from, Bound::Unbounded));
    all.take_while(|(address, _)| until.as_ref().is_none_or(|until| *address <= until))
        .filter(|(address, profile)| {
            let texts = [
                address.as_str(),
                profile.name.as_deref().unwrap_or(""),
                profile.company.as_deref().unwrap_or(""),
            ];
            all_stand_in(&words, texts)
        })
        .map(|(address, _)| address.clone())
        .take(limit)
        .collect()
}
