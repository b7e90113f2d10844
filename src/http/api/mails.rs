//! The communication log.

use axum::Json;
use axum::extract::State;

use super::{Path, Query};
use crate::http::Web;
use crate::http::dto::PageView;
use crate::http::dto::mail::MailView;
use crate::http::paging::{PageQuery, page};
use crate::http::problem::Problem;
use crate::store::MailId;

/// The log, newest first.
pub async fn list(
    State(web): State<Web>,
    Query(query): Query<PageQuery>,
) -> Result<Json<PageView<MailView>>, Problem> {
    let (before, limit) = (query.before().map(MailId), query.limit());
    let mails = web.read(move |store| store.mails(before, limit)).await?;
    Ok(Json(page(mails, |mail| MailView::from(mail))))
}

/// One line of the log.
pub async fn show(State(web): State<Web>, Path(id): Path<u64>) -> Result<Json<MailView>, Problem> {
    let mail = web.read(move |store| store.mail(MailId(id))).await?;
    let mail = mail.ok_or_else(|| Problem::not_found(format!("mail {id}")))?;
    Ok(Json(MailView::from(&mail)))
}
