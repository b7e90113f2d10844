//! Who asks, and the people of the desk.

use std::ops::Bound;

use axum::Json;
use axum::extract::{Extension, State};
use serde::Deserialize;

use super::{Path, Query};
use crate::core::config::User;
use crate::http::Web;
use crate::http::auth::Caller;
use crate::http::dto::PageView;
use crate::http::dto::people::{MeView, OperationView, UserDetail, UserView};
use crate::http::dto::status::DoneView;
use crate::http::paging::PageQuery;
use crate::http::problem::Problem;
use crate::http::routes::{self, Access, role_name};
use crate::http::session::UNREAD_MAX;

/// Whose token it is, and what it opens.
pub async fn me(State(web): State<Web>, Extension(caller): Extension<Caller>) -> Json<MeView> {
    let running = web.handle.running.load();
    let declared = running.config.api_tokens.get(&caller.name);
    let mut routes = routes::all();
    routes.retain(|route| match route.access {
        Access::Open | Access::AdminOrLoopback | Access::Page(_) => false,
        Access::Role(needed) => caller.role >= needed,
    });
    let operation = |route: &routes::Route| OperationView {
        method: route.method.to_string(),
        path: route.path.to_owned(),
    };
    Json(MeView {
        token: caller.name.clone(),
        role: role_name(caller.role).to_owned(),
        expires: declared.and_then(|token| token.expires).map(|day| day.to_string()),
        may: routes.iter().map(operation).collect(),
    })
}

/// What may stand in the query of the listing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// The people of the desk, in the order of their names.
pub async fn list(
    State(web): State<Web>,
    Query(query): Query<ListQuery>,
) -> Json<PageView<UserView, String>> {
    let limit = PageQuery::new(query.limit, None).limit();
    let from = query.cursor.map_or(Bound::Unbounded, Bound::Excluded);
    let running = web.handle.running.load();
    let mut users = running.config.users.range::<String, _>((from, Bound::Unbounded));
    let items: Vec<UserView> = users.by_ref().take(limit).map(|(_, user)| user.into()).collect();
    let next = users.next().and_then(|_| items.last()).map(|last| last.name.clone());
    Json(PageView { items, next })
}

/// One of them, with the bells that wait for him.
pub async fn show(
    State(web): State<Web>,
    Path(name): Path<String>,
) -> Result<Json<UserDetail>, Problem> {
    let user = find(&web, &name)?;
    let unread = web.read(move |store| store.unread_bells(&name, UNREAD_MAX + 1)).await?;
    Ok(Json(UserDetail::of(&user, unread)))
}

/// Ends every session of one of them.
pub async fn sign_out(
    State(web): State<Web>,
    Path(name): Path<String>,
) -> Result<Json<DoneView>, Problem> {
    let ended = web.handle.store.end_sessions_of(&name).await?;
    // Who is declared no longer may still have sessions, which open nothing.
    if ended == 0 {
        find(&web, &name)?;
    }
    Ok(Json(DoneView { done: format!("ended {ended} sessions of {name:?}") }))
}

fn find(web: &Web, name: &str) -> Result<User, Problem> {
    let found = web.handle.running.load().config.users.get(name).cloned();
    found.ok_or_else(|| Problem::not_found(format!("user {name:?}")))
}
