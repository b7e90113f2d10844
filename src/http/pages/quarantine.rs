//! Mails kept for a person to look at: released or dropped here.

use axum::extract::State;
use axum::response::Response;
use maud::html;

use super::layout::{self, Here, Page};
use super::words::Mails;
use super::{door, mails};
use crate::app::Released;
use crate::core::intake::Outcome;
use crate::http::Web;
use crate::http::api::{Path, quarantine};
use crate::http::form::{Form, link};
use crate::http::problem::Problem;
use crate::http::session::SignedIn;
use crate::store::MailId;

/// Those that nobody has dealt with, newest first.
pub async fn list(State(web): State<Web>, reader: SignedIn, form: Form) -> Result<Page, Problem> {
    let words = Mails::of(reader.language);
    let before = form.text("cursor").parse().ok().map(MailId);
    let found = web.read(move |store| store.quarantine(before, mails::ROWS)).await?;
    let older = found.next.map(|next| link("/quarantine", &[("cursor", &next.to_string())]));
    let said = if reader.said == "dropped" { words.dropped } else { "" };
    let content = html! {
        h1 { (words.quarantine) }
        p.soft { (words.quarantine_about) }
        (layout::notice(said, false))
        (mails::table(&reader, &found.items, words.no_quarantine))
        (layout::pager(&reader, before.map(|_| "/quarantine"), older.as_deref()))
    };
    Ok(layout::page(&reader, Here::Quarantine, words.quarantine, content))
}

/// Judges a mail again and lets it go on.
pub async fn release(State(web): State<Web>, Path(id): Path<u64>) -> Result<Response, Problem> {
    let said = match quarantine::let_go(&web, id).await? {
        Released::Judged(Outcome::Quarantined { .. }) => "again",
        Released::Judged(
            Outcome::Created
            | Outcome::FollowUp
            | Outcome::Rejected
            | Outcome::Bounce
            | Outcome::Ignored
            | Outcome::Duplicate,
        )
        | Released::AskedAgain => "released",
    };
    Ok(door::redirect(&format!("/mails/{id}?said={said}")))
}

/// Takes a mail off the list without releasing it.
pub async fn abandon(State(web): State<Web>, Path(id): Path<u64>) -> Result<Response, Problem> {
    if web.handle.store.drop_quarantined(MailId(id), web.handle.clock.now()).await? {
        Ok(door::redirect("/quarantine?said=dropped"))
    } else {
        Err(Problem::not_found(format!("quarantined mail {id}")))
    }
}
