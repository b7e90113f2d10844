//! Tickets: list, show, change, answer.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::{Body, IdempotencyKey, Path, Query};
use crate::core::address::Address;
use crate::core::config::Switch;
use crate::core::desk::{self, Answer};
use crate::core::mail;
use crate::core::permission::Asker;
use crate::core::ticket::{Article, Command, Priority, State as TicketState, Watcher};
use crate::http::auth::Caller;
use crate::http::dto::PageView;
use crate::http::dto::ticket::{
    NoteRequest, PreviewView, QueueCountView, ReplyRequest, TicketDetail, TicketPatch, TicketView,
};
use crate::http::mail_memory::HeldMail;
use crate::http::paging::{KeyQuery, PageQuery, page};
use crate::http::problem::Problem;
use crate::http::{Web, download};
use crate::store::{
    CommandError, Once, Page, QueueCount, SortBy, TicketCursor, TicketQuery,
    TicketView as StoredTicket,
};

/// Recipients of one answer.
const RECIPIENTS_MAX: usize = 50;
/// Characters of a title or subject.
const TITLE_CHARS_MAX: usize = 250;

/// What may stand in the query of the listing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    queue: Option<String>,
    state: Option<String>,
    owner: Option<String>,
    customer: Option<String>,
    q: Option<String>,
    sort: Option<String>,
    order: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Tickets, newest first unless asked otherwise.
pub async fn list(
    State(web): State<Web>,
    Query(query): Query<ListQuery>,
) -> Result<Json<PageView<TicketView, String>>, Problem> {
    let wanted = TicketQuery {
        queue: query.queue,
        states: states(query.state.as_deref())?,
        owner: query.owner,
        customer: query.customer.as_deref().map(address).transpose()?,
        text: query.q,
        hook: web.handle.running.load().config.desk.hook.clone(),
        sort: query.sort.as_deref().map_or(Ok(SortBy::default()), sort)?,
        ascending: query.order.as_deref().map_or(Ok(false), ascending)?,
    };
    let limit = PageQuery::new(query.limit, None).limit();
    let after = query.cursor.as_deref().map(cursor).transpose()?;
    let found = web.read(move |store| store.tickets(&wanted, after, limit)).await?;
    let Page { items, next } = found;
    let found = Page { items, next: next.map(|next| next.to_string()) };
    Ok(Json(page(found, |ticket| TicketView::from(ticket))))
}

/// How many tickets lie in each queue and state; a queue without any is named with none.
pub async fn counts(
    State(web): State<Web>,
    Query(query): Query<KeyQuery>,
) -> Result<Json<PageView<QueueCountView, String>>, Problem> {
    let mut counts = web.read(|store| store.queue_counts()).await?;
    let declared = web.handle.running.load().config.clone();
    for queue in declared.queues.values().filter(|queue| queue.state == Switch::Enabled) {
        if counts.iter().all(|count| count.queue != queue.name) {
            let (queue, state) = (queue.name.clone(), TicketState::New);
            counts.push(QueueCount { queue, state, tickets: 0 });
        }
    }
    let row = |count: QueueCount| {
        let QueueCount { queue, state, tickets } = count;
        let state = state.label();
        (format!("{queue} {state}"), QueueCountView { queue, state: state.into(), tickets })
    };
    Ok(Json(query.page(counts.into_iter().map(row).collect())))
}

/// One ticket with everything that belongs to it.
pub async fn show(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
) -> Result<Json<TicketDetail>, Problem> {
    Ok(Json(TicketDetail::of(&find(&web, &number).await?, caller.asker())))
}

/// Adds a note.
pub async fn note(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    IdempotencyKey(key): IdempotencyKey,
    Path(number): Path<String>,
    Body(note): Body<NoteRequest>,
) -> Result<Json<TicketView>, Problem> {
    not_empty("text", &note.text)?;
    let command = Command::Note {
        subject: one_line("subject", note.subject)?,
        text: note.text,
        visible_for_customer: note.visible_for_customer,
    };
    carry_out_once(&web, &caller, key, &number, vec![command]).await
}

/// Sends an answer.
pub async fn reply(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    IdempotencyKey(key): IdempotencyKey,
    Path(number): Path<String>,
    Body(reply): Body<ReplyRequest>,
) -> Result<Json<TicketView>, Problem> {
    not_empty("text", &reply.text)?;
    if reply.to.len() + reply.cc.len() > RECIPIENTS_MAX {
        return Err(Problem::unprocessable(format!("at most {RECIPIENTS_MAX} recipients")));
    }
    let mut commands = vec![Command::Reply {
        text: reply.text,
        to: addresses(&reply.to)?,
        cc: addresses(&reply.cc)?,
        subject: reply.subject.map(|subject| one_line("subject", subject)).transpose()?,
    }];
    if let Some(label) = reply.state {
        commands.push(Command::SetState { state: state(&label)?, pending_until: None });
    }
    carry_out_once(&web, &caller, key, &number, commands).await
}

/// What an answer would look like; nothing is sent.
pub async fn preview(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
    Body(reply): Body<ReplyRequest>,
) -> Result<Json<PreviewView>, Problem> {
    let config = web.handle.running.load().config.clone();
    let (to, cc) = (addresses(&reply.to)?, addresses(&reply.cc)?);
    let stored = find(&web, &number).await?;
    let answer = Answer { text: &reply.text, to: &to, cc: &cc, subject: reply.subject.as_deref() };
    let composed =
        desk::compose(&config, &stored.ticket, &stored.articles, &caller.actor(), answer);
    let composed = composed.map_err(CommandError::from)?;
    Ok(Json(PreviewView::of(&config, &stored.ticket, &composed)))
}

/// Changes a ticket: all that is asked, or nothing.
pub async fn change(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    IdempotencyKey(key): IdempotencyKey,
    Path(number): Path<String>,
    Body(patch): Body<TicketPatch>,
) -> Result<Json<TicketView>, Problem> {
    let commands = commands(patch)?;
    if commands.is_empty() {
        return Err(Problem::unprocessable("the body changes nothing"));
    }
    carry_out_once(&web, &caller, key, &number, commands).await
}

/// Lets somebody follow a ticket.
pub async fn watch(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path((number, who)): Path<(String, String)>,
) -> Result<Json<TicketView>, Problem> {
    let who = watcher(who);
    may_change(caller.asker(), &who)?;
    carry_out(&web, &caller, &number, vec![Command::Watch(who)]).await
}

/// Lets somebody follow a ticket no longer.
pub async fn unwatch(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path((number, who)): Path<(String, String)>,
) -> Result<Json<TicketView>, Problem> {
    let who = watcher(who);
    may_change(caller.asker(), &who)?;
    carry_out(&web, &caller, &number, vec![Command::Unwatch(who)]).await
}

/// The mail of an article.
pub async fn raw(
    State(web): State<Web>,
    Path((number, id)): Path<(String, u64)>,
) -> Result<Response, Problem> {
    let bytes = article_bytes(&web, &number, id, 1).await?.1;
    Ok(download::attachment(&format!("{number}-{id}.eml"), "message/rfc822", bytes))
}

/// One attachment of an article.
pub async fn attachment(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    path: Path<(String, u64, u32)>,
) -> Result<Response, Problem> {
    attachment_for(web, caller.asker(), path).await
}

/// The attachment, if this person may have it.
pub(in crate::http) async fn attachment_for(
    web: Web,
    asker: Asker<'_>,
    Path((number, id, index)): Path<(String, u64, u32)>,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found(format!("attachment {index} of article {id}"));
    // Once as it came, and once decoded.
    let (article, raw) = article_bytes(&web, &number, id, 2).await?;
    let part = article.attachments.into_iter().find(|part| part.index == index);
    let part = part.ok_or_else(missing)?;
    if !asker.sees_attachment(&part.content_type) {
        let detail =
            "attached mails and reports are for managers: they hold Message-IDs that prove";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    // Decoding a large mail takes a while: not on a thread that others wait for.
    let decoded = tokio::task::spawn_blocking(move || {
        let bytes = mail::attachment(&raw, index)?;
        Some(raw.replace(bytes))
    })
    .await;
    let bytes = decoded.map_err(|_| Problem::internal())?.ok_or_else(missing)?;
    Ok(download::attachment(&part.name, &part.content_type, bytes))
}

/// What a patch asks for, in the order in which it makes sense.
pub(super) fn commands(patch: TicketPatch) -> Result<Vec<Command>, Problem> {
    let mut commands = Vec::new();
    if let Some(title) = patch.title {
        not_empty("title", &title)?;
        commands.push(Command::SetTitle(one_line("title", title)?));
    }
    commands.extend(patch.queue.map(Command::SetQueue));
    if let Some(text) = patch.customer {
        commands.push(Command::SetCustomer(address(&text)?));
    }
    if let Some(label) = patch.priority {
        commands.push(Command::SetPriority(priority(&label)?));
    }
    commands.extend(patch.owner.map(Command::SetOwner));
    commands.extend(patch.responsible.map(Command::SetResponsible));
    commands.extend(patch.lock.map(Command::SetLock));
    let pending_until = patch.pending_until.as_deref().map(instant).transpose()?;
    match (patch.state, pending_until) {
        (Some(label), pending_until) => {
            commands.push(Command::SetState { state: state(&label)?, pending_until });
        }
        (None, Some(_)) => {
            commands.push(Command::SetState { state: TicketState::Pending, pending_until });
        }
        (None, None) => {}
    }
    commands.extend(patch.merge_into.map(Command::MergeInto));
    Ok(commands)
}

async fn carry_out(
    web: &Web,
    caller: &Caller,
    number: &str,
    commands: Vec<Command>,
) -> Result<Json<TicketView>, Problem> {
    carry_out_once(web, caller, None, number, commands).await
}

/// The same; with a key, a request that is made again changes nothing more. A key belongs to who
/// uses it.
async fn carry_out_once(
    web: &Web,
    caller: &Caller,
    key: Option<String>,
    number: &str,
    commands: Vec<Command>,
) -> Result<Json<TicketView>, Problem> {
    let key = key.map(|key| format!("{:?} {key}", caller.actor()));
    let once = key.map(|key| Once::of(&key, &format!("{number} {commands:?}")));
    let ticket = web.handle.command(number, commands, caller.actor(), once).await?;
    Ok(Json(TicketView::from(&ticket)))
}

pub(in crate::http) async fn find(web: &Web, number: &str) -> Result<StoredTicket, Problem> {
    let wanted = number.to_owned();
    let found = web.read(move |store| store.ticket(&wanted)).await?;
    found.ok_or_else(|| Problem::not_found(format!("ticket {number:?}")))
}

/// An article and its mail, with room for so many copies of it.
pub(in crate::http) async fn article_bytes(
    web: &Web,
    number: &str,
    id: u64,
    copies: u64,
) -> Result<(Article, HeldMail), Problem> {
    // Looked for in its ticket, so that the path cannot lead into another one.
    let articles = find(web, number).await?.articles;
    let article = articles.into_iter().find(|article| article.id.0 == id);
    let article =
        article.ok_or_else(|| Problem::not_found(format!("article {id} in ticket {number:?}")))?;
    let missing = || Problem::not_found(format!("mail kept for article {id}"));
    let digest = article.raw.ok_or_else(missing)?;
    let raw = web.mail(digest, copies).await?.ok_or_else(missing)?;
    Ok((article, raw))
}

/// Refuses whoever may not add and remove this one.
pub(in crate::http) fn may_change(asker: Asker<'_>, who: &Watcher) -> Result<(), Problem> {
    if asker.changes(who) {
        return Ok(());
    }
    let detail = "only managers add and remove other agents";
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

pub(in crate::http) fn watcher(who: String) -> Watcher {
    match Address::parse(&who) {
        Some(address) => Watcher::Customer(address),
        None => Watcher::Agent(who),
    }
}

fn addresses(texts: &[String]) -> Result<Vec<Address>, Problem> {
    texts.iter().map(|text| address(text)).collect()
}

pub(in crate::http) fn address(text: &str) -> Result<Address, Problem> {
    let unreadable = || Problem::unprocessable(format!("{text:?} is not a mail address"));
    Address::parse(text).ok_or_else(unreadable)
}

pub(in crate::http) fn state(label: &str) -> Result<TicketState, Problem> {
    TicketState::from_label(label).ok_or_else(|| {
        Problem::unprocessable(format!("{label:?} is not a state")).hint(
            "states are new, open, pending, resolved, closed successful, closed unsuccessful, merged",
        )
    })
}

/// States by their labels, with commas between them.
fn states(labels: Option<&str>) -> Result<Vec<TicketState>, Problem> {
    labels
        .into_iter()
        .flat_map(|labels| labels.split(','))
        .map(|label| state(label.trim()))
        .collect()
}

fn sort(label: &str) -> Result<SortBy, Problem> {
    match label {
        "created" => Ok(SortBy::Created),
        "updated" => Ok(SortBy::Updated),
        "priority" => Ok(SortBy::Priority),
        other => Err(Problem::unprocessable(format!("{other:?} is nothing to sort by"))
            .hint("tickets are sorted by created, updated or priority")),
    }
}

fn ascending(label: &str) -> Result<bool, Problem> {
    match label {
        "asc" => Ok(true),
        "desc" => Ok(false),
        other => {
            Err(Problem::unprocessable(format!("{other:?} is no order")).hint("write asc or desc"))
        }
    }
}

pub(in crate::http) fn cursor(text: &str) -> Result<TicketCursor, Problem> {
    text.parse().map_err(|()| {
        Problem::unprocessable(format!("{text:?} is no cursor of this listing"))
            .hint("pass `next` of the page before, as it is")
    })
}

pub(in crate::http) fn priority(label: &str) -> Result<Priority, Problem> {
    Priority::from_label(label).ok_or_else(|| {
        let known = Priority::ALL.map(|priority| priority.label()).join(", ");
        Problem::unprocessable(format!("{label:?} is not a priority"))
            .hint(format!("priorities are {known}"))
    })
}

fn instant(text: &str) -> Result<Timestamp, Problem> {
    text.parse().map_err(|_| {
        Problem::unprocessable(format!("{text:?} is not an instant"))
            .hint("write it like 2026-11-22T09:00:00Z")
    })
}

pub(in crate::http) fn not_empty(field: &str, text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() {
        return Err(Problem::unprocessable(format!("`{field}` is empty")));
    }
    Ok(())
}

/// Titles and subjects end up in headers: a line end there would begin another header.
pub(in crate::http) fn one_line(field: &str, text: String) -> Result<String, Problem> {
    if text.chars().any(char::is_control) || text.chars().count() > TITLE_CHARS_MAX {
        let detail = format!("`{field}` must be one line of at most {TITLE_CHARS_MAX} characters");
        return Err(Problem::unprocessable(detail));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<&[Command], u16>) {
        let patch = serde_json::from_str(json).unwrap();
        let commands = commands(patch).map_err(|problem| problem.status);
        assert_eq!(commands.as_deref().map_err(|status| *status), expected);
    }

    #[test]
    fn nothing_asked() {
        check("{}", Ok(&[]));
    }

    #[test]
    fn owner_and_nobody() {
        check(r#"{"owner": "alice"}"#, Ok(&[Command::SetOwner(Some("alice".into()))]));
        check(r#"{"owner": null}"#, Ok(&[Command::SetOwner(None)]));
    }

    #[test]
    fn a_time_means_pending() {
        let at = "2026-11-23T09:00:00Z";
        let command = Command::SetState {
            state: TicketState::Pending,
            pending_until: Some(at.parse().unwrap()),
        };
        check(&format!(r#"{{"pendingUntil": "{at}"}}"#), Ok(&[command]));
    }

    #[test]
    fn values_that_make_no_sense() {
        check(r#"{"state": "done"}"#, Err(422));
        check(r#"{"priority": "high"}"#, Err(422));
        check(r#"{"customer": "nobody"}"#, Err(422));
        check(r#"{"title": " "}"#, Err(422));
        check(r#"{"title": "a\r\nBcc: b@x.test"}"#, Err(422));
        check(r#"{"pendingUntil": "tomorrow"}"#, Err(422));
    }

    #[test]
    fn watchers_are_agents_or_addresses() {
        assert_eq!(watcher("alice".into()), Watcher::Agent("alice".into()));
        let eve = Address::parse("eve@customer.example").unwrap();
        assert_eq!(watcher("Eve@customer.example".into()), Watcher::Customer(eve));
    }
}
