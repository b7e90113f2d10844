//! A desk to try commands on, for the tests beside them.

use jiff::{SignedDuration, Timestamp};

use super::{DeskFacts, act};
use crate::core::intake::Effect;
use crate::core::ticket::samples::{address, article, config, key, next_ids, now, ticket};
use crate::core::ticket::{Actor, ArticleKind, Command, Event, Refused, State, Ticket, What};

/// A case that ended well.
pub const DONE: State = State::Closed { successful: true };

/// Who works.
pub fn bob() -> Actor {
    Actor::Agent("bob".into())
}

/// When he does.
pub fn later() -> Timestamp {
    now() + SignedDuration::from_hours(1)
}

/// What is known of a ticket with one mail.
pub fn facts(ticket: Ticket) -> DeskFacts {
    DeskFacts {
        ticket,
        articles: vec![article(1, ArticleKind::MailIn)],
        other: None,
        full_hours: Default::default(),
        desk_key: key(),
        next: next_ids(),
    }
}

/// alice's ticket, locked for an hour.
pub fn locked() -> Ticket {
    Ticket { owner: Some("alice".into()), locked_since: Some(now()), ..ticket() }
}

/// Bob's command.
pub fn run(ticket: Ticket, command: Command) -> Result<Vec<Effect>, Refused> {
    act(&config(), &facts(ticket), &command, &bob(), later())
}

/// What happened and why, without who was told of it.
pub fn words(effect: &Effect) -> Vec<String> {
    let told = |what: &What| matches!(what, What::Notified { .. });
    let events = effect.events.iter().filter(|event| !told(&event.what));
    events
        .map(|event| match event.why.as_str() {
            "" => format!("{:?}", event.what),
            why => format!("{:?} ({why})", event.what),
        })
        .collect()
}

/// What bob's command does to a ticket, without who was told of it.
#[track_caller]
pub fn check(before: Ticket, command: Command, expected: &[What], after: Ticket) {
    let effects = run(before.clone(), command).unwrap();
    let [effect] = effects.as_slice() else { panic!("one effect: {effects:?}") };
    let told = |event: &&Event| !matches!(event.what, What::Notified { .. });
    let happened: Vec<&What> = effect.events.iter().filter(told).map(|event| &event.what).collect();
    assert_eq!(happened, expected.iter().collect::<Vec<_>>());
    assert!(effect.events.iter().filter(told).all(|event| event.actor == bob()));
    assert_eq!(effect.ticket, Ticket { updated: later(), ..after });
    assert!(!effect.created);
}

/// A command that changes nothing.
#[track_caller]
pub fn check_nothing(ticket: Ticket, command: Command) {
    assert_eq!(run(ticket, command), Ok(Vec::new()));
}

/// A command that is refused, with this in the reason.
#[track_caller]
pub fn check_refused(command: Command, part: &str) {
    let refused = run(ticket(), command).expect_err("this is refused").to_string();
    assert!(refused.contains(part), "{refused}");
}

/// Who is told, as `event who`.
pub fn told(effect: &Effect) -> Vec<String> {
    let one = |event: &Event| match &event.what {
        What::Notified { who, event } => Some(format!("{event} {who}")),
        _ => None,
    };
    effect.events.iter().filter_map(one).collect()
}

/// Adds a note.
pub fn note(text: &str, visible_for_customer: bool) -> Command {
    Command::Note { subject: "call".into(), text: text.into(), visible_for_customer }
}

/// Sends an answer.
pub fn reply(to: &[&str], subject: Option<&str>) -> Command {
    Command::Reply {
        text: "Turn it on.".into(),
        to: to.iter().map(|to| address(to)).collect(),
        cc: Vec::new(),
        subject: subject.map(str::to_owned),
    }
}

/// Sets a state.
pub fn set_state(state: State) -> Command {
    Command::SetState { state, pending_until: None }
}
