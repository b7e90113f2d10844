//! What is done to several tickets of a list at once, or to one of them without opening it.

use axum::extract::State;
use axum::response::Response;

use crate::core::ticket::{Command, State as TicketState};
use crate::http::Web;
use crate::http::api::bulk;
use crate::http::form::{Form, link};
use crate::http::pages::door::{next_path, redirect};
use crate::http::problem::Problem;
use crate::http::session::SignedIn;

/// Takes, closes or moves what was selected, or takes the one whose button was pressed. Each ticket
/// for itself: one that cannot be changed is named, and the others are.
pub async fn change(
    State(web): State<Web>,
    reader: SignedIn,
    form: Form,
) -> Result<Response, Problem> {
    let back = next_path(form.text("back")).to_owned();
    let said = |said: &str| Ok(redirect(&and(&back, &[("said", said)])));
    let (commands, numbers) = match (form.filled("take"), form.text("do")) {
        (Some(number), _) => (vec![Command::Take], vec![number.to_owned()]),
        (None, "take") => (vec![Command::Take], selected(&form)),
        (None, "move") => match form.filled("queue") {
            Some(queue) => (vec![Command::SetQueue(queue.to_owned())], selected(&form)),
            None => return said("nowhere"),
        },
        (None, "close") => {
            let state = TicketState::Closed { successful: true };
            (vec![Command::SetState { state, pending_until: None }], selected(&form))
        }
        (None, "nothing") => return Ok(redirect(&back)),
        (None, other) => return Err(Problem::unprocessable(format!("{other:?} is nothing to do"))),
    };
    if numbers.is_empty() {
        return said("none");
    }
    let done = bulk::each(&web, &reader.actor(), &numbers, &commands, |_| None).await;
    let failed: Vec<String> =
        done.into_iter().filter(|(_, done)| done.is_err()).map(|(number, _)| number).collect();
    let done = if failed.is_empty() { "done" } else { "" };
    Ok(redirect(&and(&back, &[("said", done), ("failed", &failed.join(", "))])))
}

fn selected(form: &Form) -> Vec<String> {
    form.all("ticket").take(bulk::TICKETS_MAX).map(str::to_owned).collect()
}

/// A path of ours with more in its query.
fn and(path: &str, fields: &[(&str, &str)]) -> String {
    let more = link("", fields);
    let more = more.trim_start_matches('?');
    match (more.is_empty(), path.contains('?')) {
        (true, _) => path.to_owned(),
        (false, true) => format!("{path}&{more}"),
        (false, false) => format!("{path}?{more}"),
    }
}
