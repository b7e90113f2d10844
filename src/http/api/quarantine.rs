//! Mails kept for a person to look at.

use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::{Path, Query};
use crate::app::Released;
use crate::core::intake::Outcome;
use crate::http::dto::PageView;
use crate::http::dto::mail::{MailView, ReleasedView};
use crate::http::dto::status::DoneView;
use crate::http::paging::{PageQuery, page};
use crate::http::problem::Problem;
use crate::http::{Web, download};
use crate::store::{MailId, MailRecord};

/// Quarantined mails that nobody has dealt with, newest first.
pub async fn list(
    State(web): State<Web>,
    Query(query): Query<PageQuery>,
) -> Result<Json<PageView<MailView>>, Problem> {
    let (before, limit) = (query.before().map(MailId), query.limit());
    let mails = web.read(move |store| store.quarantine(before, limit)).await?;
    Ok(Json(page(mails, |mail| MailView::from(mail))))
}

/// One quarantined mail.
pub async fn show(State(web): State<Web>, Path(id): Path<u64>) -> Result<Json<MailView>, Problem> {
    Ok(Json(MailView::from(&find(&web, id).await?)))
}

/// Its bytes.
pub async fn raw(State(web): State<Web>, Path(id): Path<u64>) -> Result<Response, Problem> {
    let digest = find(&web, id).await?.digest;
    let raw = web.mail(digest, 1).await?;
    let raw = raw.ok_or_else(|| Problem::not_found("raw mail any more"))?;
    Ok(download::attachment(&format!("quarantine-{id}.eml"), "message/rfc822", raw))
}

/// Judges a mail again and lets it go on.
pub async fn release(
    State(web): State<Web>,
    Path(id): Path<u64>,
) -> Result<Json<ReleasedView>, Problem> {
    Ok(Json(ReleasedView::from(&let_go(&web, id).await?)))
}

/// Judges a mail again and says what became of it.
pub(in crate::http) async fn let_go(web: &Web, id: u64) -> Result<Released, Problem> {
    let mail = find(web, id).await?;
    unresolved(&mail)?;
    // Once as it came, and once decoded.
    let _room = web.room_for(mail.digest, 2).await?;
    web.handle.release(MailId(id)).await.map_err(Problem::conflict)
}

/// Takes a mail off the list without releasing it.
pub async fn abandon(
    State(web): State<Web>,
    Path(id): Path<u64>,
) -> Result<Json<DoneView>, Problem> {
    if web.handle.store.drop_quarantined(MailId(id), web.handle.clock.now()).await? {
        Ok(Json(DoneView {
            done: format!("mail {id} is off the list; its bytes stay until retention ends"),
        }))
    } else {
        Err(Problem::not_found(format!("quarantined mail {id}")))
    }
}

async fn find(web: &Web, id: u64) -> Result<MailRecord, Problem> {
    let mail = web.read(move |store| store.mail(MailId(id))).await?;
    mail.filter(|mail| matches!(mail.outcome, Outcome::Quarantined { .. }))
        .ok_or_else(|| Problem::not_found(format!("quarantined mail {id}")))
}

fn unresolved(mail: &MailRecord) -> Result<(), Problem> {
    match mail.resolved {
        None => Ok(()),
        Some(at) => Err(Problem::conflict(format!("mail {} was dealt with at {at}", mail.id.0))),
    }
}
