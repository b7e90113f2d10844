//! The communication log.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::{Path, Query};
use crate::http::dto::PageView;
use crate::http::dto::mail::MailView;
use crate::http::paging::{PageQuery, page};
use crate::http::problem::Problem;
use crate::http::{Web, download};
use crate::store::{MailId, MailQuery, MailRecord};

/// Every outcome that can be asked for.
pub(in crate::http) const OUTCOMES: [&str; 7] =
    ["created", "followUp", "rejected", "bounce", "ignored", "duplicate", "quarantined"];

/// What may stand in the query of the listing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    outcome: Option<String>,
    account: Option<String>,
    limit: Option<usize>,
    cursor: Option<u64>,
}

/// The log, newest first.
pub async fn list(
    State(web): State<Web>,
    Query(query): Query<ListQuery>,
) -> Result<Json<PageView<MailView>>, Problem> {
    if let Some(outcome) = query.outcome.as_ref().filter(|it| !OUTCOMES.contains(&it.as_str())) {
        return Err(Problem::unprocessable(format!("{outcome:?} is not an outcome"))
            .hint(format!("outcomes are {}", OUTCOMES.join(", "))));
    }
    let page_query = PageQuery::new(query.limit, query.cursor);
    let (before, limit) = (page_query.before().map(MailId), page_query.limit());
    let wanted = MailQuery { outcome: query.outcome, account: query.account };
    let mails = web.read(move |store| store.mails_of(&wanted, before, limit)).await?;
    Ok(Json(page(mails, |mail| MailView::from(mail))))
}

/// One line of the log.
pub async fn show(State(web): State<Web>, Path(id): Path<u64>) -> Result<Json<MailView>, Problem> {
    Ok(Json(MailView::from(&find(&web, id).await?)))
}

/// The bytes of a mail.
pub async fn raw(State(web): State<Web>, Path(id): Path<u64>) -> Result<Response, Problem> {
    let digest = find(&web, id).await?.digest;
    let raw = web.mail(digest, 1).await?;
    let raw = raw.ok_or_else(|| Problem::not_found("raw mail any more"))?;
    Ok(download::attachment(&format!("mail-{id}.eml"), "message/rfc822", raw))
}

pub(in crate::http) async fn find(web: &Web, id: u64) -> Result<MailRecord, Problem> {
    let mail = web.read(move |store| store.mail(MailId(id))).await?;
    mail.ok_or_else(|| Problem::not_found(format!("mail {id}")))
}
