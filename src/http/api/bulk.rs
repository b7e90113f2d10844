//! One change of several tickets: each for itself, so that one that cannot be changed does not keep
//! the others back.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;

use super::{Body, IdempotencyKey, tickets};
use crate::core::ticket::{Actor, Command, Ticket};
use crate::http::Web;
use crate::http::auth::Caller;
use crate::http::dto::ticket::{BulkItemView, BulkRequest, BulkView, TicketView};
use crate::http::problem::Problem;
use crate::store::{CommandError, Once};

/// Tickets that are changed at once.
pub(in crate::http) const TICKETS_MAX: usize = 100;

/// Changes several tickets, and says of each what came of it.
pub async fn change(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    IdempotencyKey(key): IdempotencyKey,
    Body(bulk): Body<BulkRequest>,
) -> Result<Json<BulkView>, Problem> {
    let commands = tickets::commands(bulk.change)?;
    if commands.is_empty() {
        return Err(Problem::unprocessable("`change` changes nothing"));
    }
    if bulk.tickets.is_empty() || bulk.tickets.len() > TICKETS_MAX {
        let detail = format!("`tickets` names 1 to {TICKETS_MAX} tickets");
        return Err(Problem::unprocessable(detail));
    }
    let actor = caller.actor();
    let request = format!("{:?} {commands:?}", bulk.tickets);
    // The whole answer is kept, too. Each place has a key of its own for the request that is made
    // again because the daemon died among them: what was changed is not changed again.
    let once = |place: usize| {
        let key = key.as_ref()?;
        Some(Once::of(&format!("bulk {place} {actor:?} {key}"), &request))
    };
    let done = each(&web, &actor, &bulk.tickets, &commands, once).await;
    let items = done.into_iter().map(|(number, result)| item(number, result)).collect();
    Ok(Json(BulkView { items }))
}

/// Carries the same commands out on each ticket.
pub(in crate::http) async fn each(
    web: &Web,
    actor: &Actor,
    numbers: &[String],
    commands: &[Command],
    once: impl Fn(usize) -> Option<Once>,
) -> Vec<(String, Result<Ticket, CommandError>)> {
    let mut done = Vec::new();
    for (place, number) in numbers.iter().enumerate() {
        let (commands, actor) = (commands.to_vec(), actor.clone());
        let result = web.handle.command(number, commands, actor, once(place)).await;
        done.push((number.clone(), result));
    }
    done
}

fn item(number: String, result: Result<Ticket, CommandError>) -> BulkItemView {
    match result {
        Ok(ticket) => BulkItemView {
            number,
            status: StatusCode::OK.as_u16(),
            problem: None,
            ticket: Some(TicketView::from(&ticket)),
        },
        Err(error) => {
            let problem = Problem::from(error);
            BulkItemView {
                number,
                status: problem.status,
                problem: Some(problem.detail),
                ticket: None,
            }
        }
    }
}
