//! A mail that makes a new ticket.
//!
//! Architecture invariant: a ticket that the mail only names is not touched; one that it follows
//! after its time is linked, both ways.

use super::answer::{self, Occasion};
use super::change::{Change, enter_state, set_fields, set_pending_time};
use super::settle::Sitting;
use super::{Decision, Effect, Outcome, kept_inside, people};
use crate::core::filter::Settings;
use crate::core::ticket::{Event, State, Ticket, What};
use crate::core::{subject, thread};

/// Makes the ticket. `named` is one that the mail names and may not join, `follows` a closed one
/// whose queue wants a new ticket for a follow-up.
pub(super) fn create(
    mut sitting: Sitting<'_>,
    named: Option<&Ticket>,
    follows: Option<&Ticket>,
    occasion: Occasion,
) -> Decision {
    let mut ticket = new_ticket(&sitting, follows);
    let article = sitting.article(ticket.id);
    ticket.links.extend(follows.map(|other| other.id));
    let route = &sitting.judgement.route;
    let queue = format!("{} ({}: {})", ticket.queue, route.by.label(), route.why);
    sitting.note("queue", queue.clone());
    sitting.note("ticket", format!("new: {}", ticket.number));
    let (id, kind) = (article.id, article.kind);
    let mut events = vec![
        sitting.event(What::Created, format!("queue {queue}")),
        sitting.event(What::ArticleAdded { article: id, kind }, ""),
    ];
    events.extend(named.map(|other| naming(&sitting, other)));
    events.extend(follows.map(|other| linking(&sitting, other, "follows a closed ticket")));
    let linked = follows.map(|other| linked_back(&sitting, other, &ticket));
    let (articles, owed) = (vec![article], Vec::new());
    let (bells, digests) = (Vec::new(), Vec::new());
    let mut effect = Effect { ticket, created: true, articles, events, owed, bells, digests };
    if named.is_some() {
        kept_inside::tell(&mut sitting, &mut effect, None, named);
    }
    let suppressed = answer::answer(&mut sitting, &mut effect, occasion);
    let decision = sitting.announce(Outcome::Created, None, effect, suppressed);
    Decision { linked, ..decision }
}

fn new_ticket(sitting: &Sitting<'_>, follows: Option<&Ticket>) -> Ticket {
    let (judgement, facts, now) = (sitting.judgement, sitting.facts, sitting.now);
    let settings = &judgement.settings;
    let subject = &judgement.article.subject;
    let title = match (&settings.title, follows) {
        (Some(title), _) => title.clone(),
        (None, Some(_)) => subject::continued(&sitting.config.desk, subject),
        (None, None) => subject.clone(),
    };
    let mut ticket = Ticket {
        id: facts.next.ticket,
        number: thread::number(&sitting.config.desk, now, facts.next.tickets_today),
        title,
        queue: judgement.route.queue.clone(),
        state: State::New,
        pending_until: None,
        priority: settings.priority.unwrap_or_default(),
        locked_since: (settings.lock == Some(true)).then_some(now),
        owner: settings.owner.clone(),
        responsible: settings.responsible.clone(),
        customer: people::customer(sitting.config, judgement),
        participants: Default::default(),
        watchers: Default::default(),
        undeliverable: Default::default(),
        complained: Default::default(),
        former_customers: Default::default(),
        spent_proofs: Default::default(),
        fields: Default::default(),
        merged_into: None,
        links: Default::default(),
        created: now,
        updated: now,
        closed: None,
    };
    set_beginning(&mut ticket, settings, sitting);
    ticket
}

fn set_beginning(ticket: &mut Ticket, settings: &Settings, sitting: &Sitting<'_>) {
    if let Some(state) = settings.state {
        enter_state(ticket, state, sitting.now);
    }
    if let Some(when) = settings.pending_time {
        set_pending_time(ticket, when, sitting.now);
    }
    set_fields(ticket, settings);
    // Whom the first mail names takes part in its own ticket and in no other. In an agent's name
    // only the agent lets anybody take part.
    if sitting.judgement.sender.agent.is_none() || sitting.is_surely_agent() {
        people::join_in(sitting, ticket);
    }
    if let Some(customer) = &ticket.customer {
        ticket.participants.insert(customer.address.clone());
    }
}

/// In the new ticket's history only: whoever reads the other one learns nothing of a stranger.
fn naming(sitting: &Sitting<'_>, other: &Ticket) -> Event {
    linking(sitting, other, "the mail names this ticket, but its sender takes no part in it")
}

fn linking(sitting: &Sitting<'_>, other: &Ticket, why: &str) -> Event {
    sitting.event(What::Linked { number: other.number.clone() }, why)
}

fn linked_back(sitting: &Sitting<'_>, other: &Ticket, new: &Ticket) -> Effect {
    let mut change = Change::of(other);
    change.ticket.links.insert(new.id);
    change.push(linking(sitting, new, "a follow-up made a new ticket"));
    change.effect(sitting.now)
}
