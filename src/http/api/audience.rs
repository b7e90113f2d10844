//! Who would be told of an event on a ticket.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::{Path, Query};
use crate::config::whereabouts::Whereabouts;
use crate::core::notify::{EventKind, Verdict, explain};
use crate::core::ticket::{Actor, Ticket};
use crate::http::Web;
use crate::http::dto::audience::{AudienceView, PersonView};
use crate::http::problem::Problem;
use crate::store::Store;

/// What may stand in the query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudienceQuery {
    event: String,
    by: Option<String>,
}

/// Who would be told of an event if it happened now, who would not, and which line decides it.
pub async fn show(
    State(web): State<Web>,
    Path(number): Path<String>,
    Query(query): Query<AudienceQuery>,
) -> Result<Json<AudienceView>, Problem> {
    let kind = EventKind::from_label(&query.event).ok_or_else(|| unknown_event(&query.event))?;
    let asked = judge(&web, &number, kind, query.by).await?;
    let files = Whereabouts::of(&asked.files);
    let people = asked.verdicts.iter().map(|verdict| PersonView::of(verdict, &files)).collect();
    Ok(Json(AudienceView { ticket: asked.ticket.number, event: kind.label().into(), people }))
}

/// What was found about an event on a ticket.
pub(in crate::http) struct Judged {
    pub ticket: Ticket,
    pub verdicts: Vec<Verdict>,
    /// The files of what runs, for the places of the lines that decided.
    pub files: Vec<(String, String)>,
}

/// The same for the page; `by` is the user who does it, or nobody in particular.
pub(in crate::http) async fn judge(
    web: &Web,
    number: &str,
    kind: EventKind,
    by: Option<String>,
) -> Result<Judged, Problem> {
    let running = web.handle.running.load_full();
    let actor = match by {
        Some(user) if !running.config.users.contains_key(&user) => {
            return Err(Problem::not_found(format!("user {user:?}")));
        }
        Some(user) => Actor::Agent(user),
        None => Actor::System,
    };
    let (wanted, revision) = (number.to_owned(), running.revision.clone());
    let now = web.handle.clock.now();
    let read = move |store: &Store| {
        Ok((store.ticket(&wanted)?, store.revision(&revision)?, store.full_hours(now)?))
    };
    let (ticket, kept, full) = web.read(read).await?;
    let ticket = ticket.ok_or_else(|| Problem::not_found(format!("ticket {number:?}")))?.ticket;
    // Without the files of what runs the paths alone must do.
    let files = kept.filter(|kept| kept.hash == *running.revision);
    let files = files.map(|kept| kept.files).unwrap_or_default();
    let verdicts = explain(&running.config, &ticket, kind, &actor, &full, now);
    Ok(Judged { ticket, verdicts, files })
}

fn unknown_event(event: &str) -> Problem {
    let labels: Vec<&str> = EventKind::ALL.iter().map(EventKind::label).collect();
    Problem::unprocessable(format!("there is no event {event:?}"))
        .hint(format!("one of {}", labels.join(", ")))
}
