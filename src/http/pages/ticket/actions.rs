//! What is done to a ticket on its page. All of a form is carried out, or nothing; what somebody
//! wrote is shown again if it was refused.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::civil::DateTime;

use super::trail::Trail;
use super::{Draft, page};
use crate::core::address::Address;
use crate::core::desk::{self, Answer};
use crate::core::ticket::{Command, State as TicketState, Ticket, Watcher};
use crate::http::Web;
use crate::http::api::{Path, tickets as rules};
use crate::http::dto::ticket::PreviewView;
use crate::http::form::Form;
use crate::http::pages::door::redirect;
use crate::http::pages::words::One;
use crate::http::problem::Problem;
use crate::http::session::SignedIn;
use crate::store::{CommandError, TicketView};

/// Recipients of one answer.
const RECIPIENTS_MAX: usize = 50;

/// Sends an answer, and sets the state that is to follow.
pub async fn reply(
    State(web): State<Web>,
    Path(number): Path<String>,
    reader: SignedIn,
    form: Form,
) -> Result<Response, Problem> {
    let commands = answer(&form);
    carry_out(&web, &number, &reader, &form, (commands, "sent"), draft(&form)).await
}

/// Shows what an answer would look like, above the form to send it.
pub async fn preview(
    State(web): State<Web>,
    Path(number): Path<String>,
    reader: SignedIn,
    form: Form,
) -> Result<Response, Problem> {
    let config = web.handle.running.load().config.clone();
    let TicketView { ticket, articles, .. } = rules::find(&web, &number).await?;
    let composed = recipients(&form).and_then(|(to, cc)| {
        let text = written(form.text("text"));
        let answer = Answer { text: &text, to: &to, cc: &cc, subject: None };
        let composed = desk::compose(&config, &ticket, &articles, &reader.actor(), answer);
        composed.map_err(|refused| Problem::unprocessable(refused.to_string()))
    });
    let (mut draft, mut status) = (draft(&form), StatusCode::OK);
    match composed {
        Ok(composed) => draft.preview = Some(PreviewView::of(&config, &ticket, &composed)),
        Err(problem) => {
            (draft.refused, status) = (problem.detail, StatusCode::UNPROCESSABLE_ENTITY);
        }
    }
    let mut page = page(&web, &number, &reader, &form, &draft).await?;
    page.status = status;
    Ok(page.into_response())
}

/// The form to reply as it was filled in.
fn draft(form: &Form) -> Draft {
    Draft {
        reply: form.text("text").to_owned(),
        to: Some(form.text("to").to_owned()),
        cc: form.text("cc").to_owned(),
        state: form.text("state").to_owned(),
        ..Draft::default()
    }
}

fn recipients(form: &Form) -> Result<(Vec<Address>, Vec<Address>), Problem> {
    Ok((addresses(form.text("to"))?, addresses(form.text("cc"))?))
}

fn answer(form: &Form) -> Result<Vec<Command>, Problem> {
    let (to, cc) = recipients(form)?;
    if to.len() + cc.len() > RECIPIENTS_MAX {
        return Err(Problem::unprocessable(format!("at most {RECIPIENTS_MAX} recipients")));
    }
    let mut commands =
        vec![Command::Reply { text: written(form.text("text")), to, cc, subject: None }];
    if let Some(state) = form.filled("state") {
        commands.push(Command::SetState { state: rules::state(state)?, pending_until: None });
    }
    Ok(commands)
}

/// Adds a note.
pub async fn note(
    State(web): State<Web>,
    Path(number): Path<String>,
    reader: SignedIn,
    form: Form,
) -> Result<Response, Problem> {
    let draft = Draft { note: form.text("text").to_owned(), ..Draft::default() };
    let command = Command::Note {
        subject: String::new(),
        text: written(form.text("text")),
        visible_for_customer: form.ticked("visible"),
    };
    carry_out(&web, &number, &reader, &form, (Ok(vec![command]), "noted"), draft).await
}

/// Changes what was changed in the form; what another changed meanwhile is not put back.
pub async fn change(
    State(web): State<Web>,
    Path(number): Path<String>,
    reader: SignedIn,
    form: Form,
) -> Result<Response, Problem> {
    let ticket = rules::find(&web, &number).await?.ticket;
    let commands = changes(&ticket, &form, &reader);
    let said = if form.ticked("take") { "taken" } else { "done" };
    carry_out(&web, &number, &reader, &form, (commands, said), Draft::default()).await
}

fn changes(ticket: &Ticket, form: &Form, reader: &SignedIn) -> Result<Vec<Command>, Problem> {
    let mut commands = Vec::new();
    if form.ticked("take") {
        commands.push(Command::Take);
    }
    if let Some(title) = form.filled("title").filter(|title| *title != ticket.title) {
        commands.push(Command::SetTitle(rules::one_line("title", title.to_owned())?));
    }
    if let Some(queue) = form.filled("queue").filter(|queue| *queue != ticket.queue) {
        commands.push(Command::SetQueue(queue.to_owned()));
    }
    let customer = ticket.customer.as_ref().map(|customer| customer.address.clone());
    if let Some(text) = form.filled("customer") {
        let address = rules::address(text)?;
        if Some(&address) != customer.as_ref() {
            commands.push(Command::SetCustomer(address));
        }
    }
    if let Some(label) = form.filled("priority") {
        let priority = rules::priority(label)?;
        if priority != ticket.priority {
            commands.push(Command::SetPriority(priority));
        }
    }
    let named = |name: &str| form.filled(name).map(str::to_owned);
    let lock = form.text("lock") == "yes";
    if form.ticked("owner") && named("owner") != ticket.owner {
        commands.push(Command::SetOwner(named("owner")));
    }
    if form.ticked("responsible") && named("responsible") != ticket.responsible {
        commands.push(Command::SetResponsible(named("responsible")));
    }
    if form.ticked("lock") && lock != ticket.locked_since.is_some() {
        commands.push(Command::SetLock(lock));
    }
    if let Some(label) = form.filled("state") {
        let state = rules::state(label)?;
        let until = match (state, form.filled("until")) {
            (TicketState::Pending, Some(until)) => Some(instant(until, reader)?),
            (_, _) => None,
        };
        if (state, until) != (ticket.state, ticket.pending_until) {
            commands.push(Command::SetState { state, pending_until: until });
        }
    }
    Ok(commands)
}

/// A time as forms send it, in the zone in which it is shown.
fn instant(text: &str, reader: &SignedIn) -> Result<Timestamp, Problem> {
    let bad = |_| Problem::unprocessable(One::of(reader.language).bad_time);
    let civil: DateTime = text.parse().map_err(bad)?;
    Ok(civil.to_zoned(reader.time_zone.clone()).map_err(bad)?.timestamp())
}

/// Makes the ticket part of another one.
pub async fn merge(
    State(web): State<Web>,
    Path(number): Path<String>,
    reader: SignedIn,
    form: Form,
) -> Result<Response, Problem> {
    let into: String = form.text("into").chars().filter(char::is_ascii_digit).collect();
    let command = Command::MergeInto(into);
    carry_out(&web, &number, &reader, &form, (Ok(vec![command]), "done"), Draft::default()).await
}

/// Lets somebody follow the ticket.
pub async fn watch(
    State(web): State<Web>,
    Path(number): Path<String>,
    reader: SignedIn,
    form: Form,
) -> Result<Response, Problem> {
    let commands = watcher(&form, &reader).map(|who| vec![Command::Watch(who)]);
    carry_out(&web, &number, &reader, &form, (commands, "done"), Draft::default()).await
}

/// Lets somebody follow the ticket no longer.
pub async fn unwatch(
    State(web): State<Web>,
    Path(number): Path<String>,
    reader: SignedIn,
    form: Form,
) -> Result<Response, Problem> {
    let commands = watcher(&form, &reader).map(|who| vec![Command::Unwatch(who)]);
    carry_out(&web, &number, &reader, &form, (commands, "done"), Draft::default()).await
}

fn watcher(form: &Form, reader: &SignedIn) -> Result<Watcher, Problem> {
    // Nobody named is oneself.
    let who = form.filled("who").unwrap_or(&reader.user);
    let who = rules::watcher(who.to_owned());
    rules::may_change(reader.asker(), &who)?;
    Ok(who)
}

/// Carries commands out and goes back to the ticket; what was refused is said on it.
async fn carry_out(
    web: &Web,
    number: &str,
    reader: &SignedIn,
    form: &Form,
    (commands, said): (Result<Vec<Command>, Problem>, &str),
    draft: Draft,
) -> Result<Response, Problem> {
    let refused = match commands {
        Ok(commands) => match web.handle.command(number, commands, reader.actor(), None).await {
            Ok(ticket) => {
                let path = format!("/tickets/{}", ticket.number);
                return Ok(redirect(&Trail::of(form).link(&path, &[("said", said)])));
            }
            Err(CommandError::Refused(refused)) => refused.to_string(),
            Err(error) => return Err(error.into()),
        },
        Err(problem) if problem.status == StatusCode::UNPROCESSABLE_ENTITY.as_u16() => {
            problem.detail
        }
        Err(problem) => return Err(problem),
    };
    let draft = Draft { refused, ..draft };
    let mut page = page(web, number, reader, form, &draft).await?;
    page.status = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(page.into_response())
}

/// Browsers send `\r\n`.
fn written(text: &str) -> String {
    text.replace("\r\n", "\n")
}

fn addresses(text: &str) -> Result<Vec<Address>, Problem> {
    let parts = text.split([',', ';', ' ', '\n']).map(str::trim).filter(|part| !part.is_empty());
    parts.map(rules::address).collect()
}
