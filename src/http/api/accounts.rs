//! Mail accounts.

use axum::Json;
use axum::extract::State;

use super::Path;
use crate::http::Web;
use crate::http::dto::status::DoneView;
use crate::http::problem::Problem;

/// Looks into a mailbox now.
pub async fn fetch(
    State(web): State<Web>,
    Path(name): Path<String>,
) -> Result<Json<DoneView>, Problem> {
    let declared = web.handle.running.load().config.accounts.contains_key(&name);
    if !declared {
        return Err(Problem::not_found(format!("mail account {name:?}")));
    }
    if web.handle.fetch_now(&name).await {
        Ok(Json(DoneView { done: format!("mail account {name:?} looks into its mailbox now") }))
    } else {
        let detail = format!("mail account {name:?} is not fetched from: it is paused or disabled");
        Err(Problem::conflict(detail))
    }
}
