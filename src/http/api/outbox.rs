//! Mail we owe.

use axum::Json;
use axum::extract::{Extension, State};
use serde::Deserialize;

use super::{Path, Query};
use crate::core::outgoing::{Delivery, Outgoing, OutgoingId};
use crate::core::webhook::{OwedHook, OwedHookId};
use crate::http::Web;
use crate::http::auth::Caller;
use crate::http::dto::PageView;
use crate::http::dto::outbox::{OutgoingView, OwedHookView};
use crate::http::paging::PageQuery;
use crate::http::problem::Problem;
use crate::store::{OutboxFilter, Store, StoreError};

/// What may stand in the query of the listing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxQuery {
    state: Option<Wanted>,
    limit: Option<usize>,
    cursor: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Due,
    Sent,
    Dead,
}

/// Owed mails, newest first.
pub async fn list(
    State(web): State<Web>,
    Query(query): Query<OutboxQuery>,
) -> Result<Json<PageView<OutgoingView>>, Problem> {
    let filter = filter(query.state);
    let query = PageQuery::new(query.limit, query.cursor);
    let (before, limit) = (query.before().map(OutgoingId), query.limit());
    let listed = web.read(move |store| {
        let mails = store.outbox(filter, before, limit)?;
        let items = mails.items.iter().map(|mail| view(store, mail));
        Ok(PageView { items: items.collect::<Result<_, StoreError>>()?, next: mails.next })
    });
    Ok(Json(listed.await?))
}

fn filter(wanted: Option<Wanted>) -> OutboxFilter {
    match wanted {
        None => OutboxFilter::All,
        Some(Wanted::Due) => OutboxFilter::Due,
        Some(Wanted::Sent) => OutboxFilter::Sent,
        Some(Wanted::Dead) => OutboxFilter::Dead,
    }
}

/// Tries a mail again now, with all its attempts before it.
pub async fn retry(
    State(web): State<Web>,
    Path(id): Path<u64>,
) -> Result<Json<OutgoingView>, Problem> {
    let now = web.handle.clock.now();
    change(&web, id, Delivery::Due { attempts: 0, at: now, last_error: None, doubt: None }).await
}

/// Gives a mail up.
pub async fn abandon(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
) -> Result<Json<OutgoingView>, Problem> {
    let reason = format!("dropped by {}", caller.actor());
    change(&web, id, Delivery::Dead { at: web.handle.clock.now(), reason }).await
}

async fn change(web: &Web, id: u64, to: Delivery) -> Result<Json<OutgoingView>, Problem> {
    let mail = set(web, id, to).await?;
    Ok(Json(web.read(move |store| view(store, &mail)).await?))
}

/// Says how far a mail is, unless it was sent.
pub(in crate::http) async fn set(web: &Web, id: u64, to: Delivery) -> Result<Outgoing, Problem> {
    let mut mail = find(web, id).await?;
    if let Delivery::Sent { at } = mail.delivery {
        return Err(Problem::conflict(format!("mail {id} was sent at {at}")));
    }
    let mut to = to;
    // The server that may have taken it is asked all the same.
    if let (Delivery::Due { doubt: before, .. }, Delivery::Due { doubt, .. }) =
        (&mail.delivery, &mut to)
    {
        doubt.clone_from(before);
    }
    web.handle.store.delivered(vec![(mail.id, to.clone())]).await?;
    mail.delivery = to;
    Ok(mail)
}

fn view(store: &Store, mail: &Outgoing) -> Result<OutgoingView, StoreError> {
    let ticket = mail.ticket.map(|id| store.ticket_by_id(id)).transpose()?.flatten();
    Ok(OutgoingView::new(mail, ticket.map(|ticket| ticket.number)))
}

async fn find(web: &Web, id: u64) -> Result<Outgoing, Problem> {
    let missing = || Problem::not_found(format!("owed mail {id}"));
    // The listing begins below its cursor.
    let before = OutgoingId(id.checked_add(1).ok_or_else(missing)?);
    let found = web.read(move |store| store.outbox(OutboxFilter::All, Some(before), 1)).await?;
    found.items.into_iter().find(|mail| mail.id.0 == id).ok_or_else(missing)
}

/// Messages to webhooks, newest first.
pub async fn list_hooks(
    State(web): State<Web>,
    Query(query): Query<OutboxQuery>,
) -> Result<Json<PageView<OwedHookView>>, Problem> {
    let filter = filter(query.state);
    let query = PageQuery::new(query.limit, query.cursor);
    let (before, limit) = (query.before(), query.limit());
    let listed = web.read(move |store| {
        let hooks = store.hooks(filter, before, limit)?;
        let items = hooks.items.iter().map(|hook| hook_view(store, hook));
        Ok(PageView { items: items.collect::<Result<_, StoreError>>()?, next: hooks.next })
    });
    Ok(Json(listed.await?))
}

/// Tries a message again now, with all its attempts before it.
pub async fn retry_hook(
    State(web): State<Web>,
    Path(id): Path<u64>,
) -> Result<Json<OwedHookView>, Problem> {
    let now = web.handle.clock.now();
    change_hook(&web, id, Delivery::Due { attempts: 0, at: now, last_error: None, doubt: None })
        .await
}

/// Gives a message up.
pub async fn abandon_hook(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
) -> Result<Json<OwedHookView>, Problem> {
    let reason = format!("dropped by {}", caller.actor());
    change_hook(&web, id, Delivery::Dead { at: web.handle.clock.now(), reason }).await
}

async fn change_hook(web: &Web, id: u64, to: Delivery) -> Result<Json<OwedHookView>, Problem> {
    let found = web.read(move |store| store.owed_hook(OwedHookId(id))).await?;
    let mut hook = found.ok_or_else(|| Problem::not_found(format!("owed message {id}")))?;
    if let Delivery::Sent { at } = hook.delivery {
        return Err(Problem::conflict(format!("message {id} was sent at {at}")));
    }
    web.handle.store.hooks_delivered(vec![(hook.id, to.clone())]).await?;
    hook.delivery = to;
    Ok(Json(web.read(move |store| hook_view(store, &hook)).await?))
}

fn hook_view(store: &Store, hook: &OwedHook) -> Result<OwedHookView, StoreError> {
    let ticket = store.ticket_by_id(hook.ticket)?;
    Ok(OwedHookView::new(hook, ticket.map(|ticket| ticket.number)))
}
