//! Who asks, and the people of the desk.

use axum::Json;
use axum::extract::{Extension, State};

use super::Path;
use crate::core::config::User;
use crate::http::Web;
use crate::http::auth::Caller;
use crate::http::dto::people::{MeView, OperationView, UserDetail, UserView};
use crate::http::dto::status::DoneView;
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

/// The people of the desk.
pub async fn list(State(web): State<Web>) -> Json<Vec<UserView>> {
    let running = web.handle.running.load();
    Json(running.config.users.values().map(UserView::from).collect())
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
