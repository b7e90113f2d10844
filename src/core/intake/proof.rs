//! What a Message-ID of ours is worth on the ticket that a mail wants to join.
//!
//! Two questions, and no answer to one is an answer to the other: may the mail join, and does it
//! prove that an agent wrote it? Any id that we issued about the ticket lets a mail join, because
//! its sender has seen that mail. Only a notification to that very agent, about this ticket, not
//! too old and not passed on to anybody, proves the agent.
//!
//! Architecture invariant: an id counts for its own ticket (or one that was merged into it), its
//! own recipient and its own purpose. From alone proves nothing.

use jiff::Timestamp;

use super::{Facts, Judgement, Keyed};
use crate::core::address::Address;
use crate::core::config::Config;
use crate::core::outgoing::OutgoingId;
use crate::core::thread::{self, Purpose};
use crate::core::ticket::Ticket;

/// Ids of ours that a mail refers to, as far as they are about this ticket.
pub(super) fn ids_about<'a>(
    facts: &'a Facts,
    ticket: &Ticket,
) -> impl Iterator<Item = &'a Keyed> + use<'a> {
    let id = ticket.id;
    facts.keyed.iter().filter(move |keyed| keyed.ticket.id == id)
}

/// Whether a mail with this id of ours may join the ticket, whoever sends it.
///
/// What was issued to somebody who has ceased to be the customer joins nothing, and neither do the
/// ids of version 0.1 that name no recipient once that has happened.
pub(super) fn admits(facts: &Facts, keyed: &Keyed) -> bool {
    let former = &keyed.ticket.former_customers;
    match keyed.id.recipient {
        None => former.is_empty(),
        Some(_) => !former.iter().any(|address| keyed.id.is_for(&facts.desk_key, address)),
    }
}

/// Why the sender surely is the agent whose address is in From, or why not. `joins` is the ticket
/// that the mail joins.
pub(super) fn of_agent(
    config: &Config,
    judgement: &Judgement,
    facts: &Facts,
    now: Timestamp,
    joins: Option<&Ticket>,
) -> Result<String, &'static str> {
    if let Some(proof) = of_agent_anywhere(judgement) {
        return Ok(proof);
    }
    let Some(address) = &judgement.sender.mailbox.address else { return Err(UNPROVEN) };
    let Some(ticket) = joins else { return Err(UNPROVEN) };
    let mut why_not = UNPROVEN;
    for keyed in ids_about(facts, ticket) {
        match of_notification(config, facts, now, keyed, address) {
            Ok(()) => return Ok("it answers a notification of this ticket to them".into()),
            Err(why) if why_not == UNPROVEN => why_not = why,
            Err(_) => {}
        }
    }
    Err(why_not)
}

/// What a trace says where nothing speaks for the agent.
const UNPROVEN: &str = "not verified: From can be written by anybody";

/// What proves an agent on every ticket: the account or our own mail server vouches for From.
pub(super) fn of_agent_anywhere(judgement: &Judgement) -> Option<String> {
    if judgement.trusted {
        return Some("its account is trusted".into());
    }
    judgement.authenticated.map(|method| format!("authenticated by {method}"))
}

fn of_notification(
    config: &Config,
    facts: &Facts,
    now: Timestamp,
    keyed: &Keyed,
    agent: &Address,
) -> Result<(), &'static str> {
    let id = &keyed.id;
    match id.purpose {
        Purpose::Notification => {}
        Purpose::Correspondence => {
            return Err("not verified: the mail of ours that it answers was no notification");
        }
        Purpose::Information => {
            return Err("not verified: the mail of ours that it answers asks for no answer");
        }
        Purpose::Unstated => {
            return Err("not verified: the mail of ours that it answers was sent by version 0.1, \
                        whose Message-IDs prove nothing");
        }
    }
    if !id.is_for(&facts.desk_key, agent) {
        return Err("not verified: the notification that it answers went to somebody else");
    }
    if is_spent(&keyed.ticket, keyed) {
        return Err("not verified: the notification that it answers was passed on to others");
    }
    let age = now.duration_since(keyed.ticket.updated);
    if age.is_positive() && age.unsigned_abs() > config.intake.proof_valid_for {
        return Err("not verified: the notification that it answers is too old \
                    (intake.proofValidFor)");
    }
    Ok(())
}

/// Whether somebody besides the agent may know this id. With one id, the earlier ones count as
/// known too: mail programs list them in References.
fn is_spent(ticket: &Ticket, keyed: &Keyed) -> bool {
    let recipient = keyed.id.recipient.as_deref().unwrap_or("");
    match (ticket.spent_proofs.get(recipient), keyed.id.mail) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(last), Some(mail)) => mail <= *last,
    }
}

/// Notes which ids of this mail prove nothing from now on: a mail that quotes them went, or came,
/// to others than the agent to whom they were issued and this desk.
pub(super) fn spend(facts: &Facts, judgement: &Judgement, surely_agent: bool, ticket: &mut Ticket) {
    for keyed in ids_about(facts, ticket) {
        let address = judgement.sender.mailbox.address.as_ref();
        let own = surely_agent
            && address.is_some_and(|address| keyed.id.is_for(&facts.desk_key, address));
        if !own || judgement.passed_on {
            spend_id(keyed, ticket);
        }
    }
}

/// Notes that others may know this id of ours.
pub(super) fn spend_id(keyed: &Keyed, ticket: &mut Ticket) {
    let (Purpose::Notification, Some(recipient)) = (keyed.id.purpose, &keyed.id.recipient) else {
        return;
    };
    let mail = keyed.id.mail.unwrap_or(OutgoingId(0));
    let last = ticket.spent_proofs.entry(recipient.clone()).or_insert(mail);
    *last = mail.max(*last);
}

/// Whether an id of the mail was issued to this address, for correspondence about this ticket.
pub(super) fn is_from(facts: &Facts, ticket: &Ticket, address: &Address) -> bool {
    ids_about(facts, ticket).any(|keyed| keyed.id.is_for(&facts.desk_key, address))
}

/// The ticket's customer or one who takes part, if an id of ours was issued to them.
pub(super) fn recipient_among<'a>(
    key: &super::DeskKey,
    id: &thread::IssuedId,
    addresses: impl IntoIterator<Item = &'a Address>,
) -> Option<&'a Address> {
    addresses.into_iter().find(|address| id.is_for(key, address))
}
