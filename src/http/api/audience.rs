//! Who would be told of an event on a ticket.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::{Path, Query};
use crate::core::notify::{EventKind, explain};
use crate::core::ticket::Actor;
use crate::http::Web;
use crate::http::dto::audience::{AudienceView, PersonView};
use crate::http::problem::Problem;

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
    let running = web.handle.running.load_full();
    let actor = match query.by {
        Some(user) if !running.config.users.contains_key(&user) => {
            return Err(Problem::not_found(format!("user {user:?}")));
        }
        Some(user) => Actor::Agent(user),
        None => Actor::System,
    };
    let (wanted, revision) = (number.clone(), running.revision.clone());
    let (ticket, kept) =
        web.read(move |store| Ok((store.ticket(&wanted)?, store.revision(&revision)?))).await?;
    let ticket = ticket.ok_or_else(|| Problem::not_found(format!("ticket {number:?}")))?.ticket;
    // Without the files of what runs the paths alone must do.
    let files = kept.filter(|kept| kept.hash == running.revision);
    let files = files.map(|kept| kept.files).unwrap_or_default();
    let verdicts = explain(&running.config, &ticket, kind, &actor, web.handle.clock.now());
    Ok(Json(AudienceView {
        ticket: ticket.number,
        event: kind.label().into(),
        people: verdicts.iter().map(|verdict| PersonView::of(verdict, &files)).collect(),
    }))
}

fn unknown_event(event: &str) -> Problem {
    let labels: Vec<&str> = EventKind::ALL.iter().map(EventKind::label).collect();
    Problem::unprocessable(format!("there is no event {event:?}"))
        .hint(format!("one of {}", labels.join(", ")))
}
