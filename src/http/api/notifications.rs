//! What rang for a person on the page.
//!
//! A token belongs to a program, not to a person: the person is named in the request.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::{Body, Query};
use crate::http::Web;
use crate::http::dto::PageView;
use crate::http::dto::notification::{NotificationView, ReadRequest};
use crate::http::dto::status::DoneView;
use crate::http::paging::{PageQuery, page};
use crate::http::problem::Problem;

/// What may stand in the query of the listing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationQuery {
    user: String,
    limit: Option<usize>,
    cursor: Option<u64>,
}

/// What rang for a person, newest first.
pub async fn list(
    State(web): State<Web>,
    Query(query): Query<NotificationQuery>,
) -> Result<Json<PageView<NotificationView>>, Problem> {
    let who = known(&web, query.user)?;
    let query = PageQuery::new(query.limit, query.cursor);
    let (before, limit) = (query.before(), query.limit());
    let bells = web.read(move |store| store.bells(&who, before, limit)).await?;
    Ok(Json(page(bells, |bell| NotificationView::from(bell))))
}

/// Marks what rang for a person as read.
pub async fn read(
    State(web): State<Web>,
    Body(request): Body<ReadRequest>,
) -> Result<Json<DoneView>, Problem> {
    let who = known(&web, request.user)?;
    web.handle.store.read_bells(&who, request.up_to).await?;
    Ok(Json(DoneView { done: format!("read up to {}", request.up_to) }))
}

fn known(web: &Web, user: String) -> Result<String, Problem> {
    if web.handle.running.load().config.users.contains_key(&user) {
        Ok(user)
    } else {
        Err(Problem::not_found(format!("user {user:?}")))
    }
}
