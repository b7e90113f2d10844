//! Who a mail's sender is to a ticket.
//!
//! Architecture invariant: only addresses count here, never display names.

use super::settle::Sitting;
use super::{Judgement, SenderOfMail, proof};
use crate::core::address::Address;
use crate::core::config::{Cc, Config};
use crate::core::filter::Settings;
use crate::core::reply;
use crate::core::ticket::{Customer, Ticket, Watcher};

/// Participants of a ticket; later ones may still write, but only by answering a mail of ours.
const PARTICIPANTS_MAX: usize = 500;

/// Whether the sender takes part in a ticket: its customer, somebody it was Cc'd to, a watcher, or
/// an agent if From is vouched for. A sender without an address takes part in nothing.
pub(super) fn takes_part(ticket: &Ticket, judgement: &Judgement) -> bool {
    let sender = &judgement.sender;
    let address = sender.mailbox.address.as_ref();
    let agent = sender.agent.is_some() && proof::of_agent_anywhere(judgement).is_some();
    agent || address.is_some_and(|address| is_participant(ticket, address))
}

/// Whether an address takes part in a ticket.
pub(super) fn is_participant(ticket: &Ticket, address: &Address) -> bool {
    let customer = ticket.customer.as_ref().is_some_and(|customer| customer.address == *address);
    if ticket.former_customers.contains(address) {
        return false;
    }
    customer
        || ticket.participants.contains(address)
        || ticket.watchers.contains(&Watcher::Customer(address.clone()))
}

/// Everybody whom mails about a ticket went to: customer, participants, watching customers.
pub(super) fn addresses(ticket: &Ticket) -> impl Iterator<Item = &Address> {
    let customer = ticket.customer.iter().flat_map(|one| [&one.address, one.answer_to()]);
    let watching = ticket.watchers.iter().filter_map(|watcher| match watcher {
        Watcher::Customer(address) => Some(address),
        Watcher::Agent(_) => None,
    });
    customer.chain(&ticket.participants).chain(watching)
}

/// Lets the sender take part in the ticket from now on, with their Reply-To, and everybody they
/// wrote to unless the desk ignores whom customers name. For mail that proved something, and for
/// the one that makes a ticket: it decides about nobody else's.
pub(super) fn join_in(sitting: &Sitting<'_>, ticket: &mut Ticket) {
    let (config, judgement) = (sitting.config, sitting.judgement);
    let sender = &judgement.sender;
    let wrote = sender.mailbox.address.iter().chain(&sender.answer_to);
    let named = judgement.addressed.iter().filter(|_| match config.intake.cc {
        Cc::Participants => true,
        Cc::Ignore => sitting.is_surely_agent(),
    });
    for address in wrote.chain(named) {
        let outside =
            !reply::is_ours(config, address) && reply::agent_with(config, address).is_none();
        // Only an agent lets somebody in again whose case it ceased to be.
        let welcome = sitting.is_surely_agent() || !ticket.former_customers.contains(address);
        if outside && welcome && ticket.participants.len() < PARTICIPANTS_MAX {
            ticket.let_take_part(address.clone());
        }
    }
}

/// Whose case a new ticket is: as set, else the sender.
pub(super) fn customer(config: &Config, judgement: &Judgement) -> Option<Customer> {
    let sender = &judgement.sender;
    let set = judgement.settings.customer.as_deref().and_then(Address::parse);
    let address = set.clone().or_else(|| person(config, sender))?;
    let is_sender = sender.mailbox.address.as_ref() == Some(&address);
    let as_written = if is_sender { sender.mailbox.name.as_str() } else { "" };
    let reply_to = if is_sender { reply_to(config, sender) } else { None };
    Some(Customer { reply_to, ..described(config, address, as_written, &judgement.settings) })
}

/// Notes where the customer wants answers, as their latest mail says. Only a mail counts that
/// answers one of ours to the customer, or whose From is vouched for: otherwise anybody who knows
/// the number could have the answers sent to themselves.
pub(super) fn note_reply_to(sitting: &Sitting<'_>, ticket: &mut Ticket) {
    let (judgement, facts) = (sitting.judgement, sitting.facts);
    let Some(customer) = &ticket.customer else { return };
    let issued = |address: &Address| proof::is_from(facts, ticket, address);
    let proven = proof::of_agent_anywhere(judgement).is_some()
        || issued(&customer.address)
        || issued(customer.answer_to());
    let is_customer = Some(&customer.address) == judgement.sender.mailbox.address.as_ref();
    if let Some(customer) = &mut ticket.customer
        && is_customer
        && proven
        && judgement.is_by_hand()
    {
        customer.reply_to = reply_to(sitting.config, &judgement.sender);
    }
}

/// Where the sender wants answers, if elsewhere than where he writes from.
fn reply_to(config: &Config, sender: &SenderOfMail) -> Option<Address> {
    let wanted = sender.answer_to.as_ref()?;
    let elsewhere = Some(wanted) != sender.mailbox.address.as_ref();
    let inside = reply::is_ours(config, wanted) || reply::agent_with(config, wanted).is_some();
    (elsewhere && !inside && !reply::is_robot(wanted)).then(|| wanted.clone())
}

/// What is known of a customer by declaration comes before what the mail says.
pub(super) fn described(
    config: &Config,
    address: Address,
    as_written: &str,
    settings: &Settings,
) -> Customer {
    let profile = config.customers.get(&address);
    let declared = profile.and_then(|profile| profile.name.clone());
    let company = profile.and_then(|profile| profile.company.clone());
    Customer {
        name: declared.unwrap_or_else(|| as_written.to_owned()),
        company: settings.company.clone().or(company),
        reply_to: None,
        address,
    }
}

/// The address behind a mail: From, but Reply-To where From is a robot's or ours (a form on a web
/// site writes so).
fn person(config: &Config, sender: &SenderOfMail) -> Option<Address> {
    let from = sender.mailbox.address.as_ref();
    let stands_in = from.is_none_or(|from| reply::is_robot(from) || reply::is_ours(config, from));
    let reply_to = sender.answer_to.as_ref().filter(|address| !reply::is_ours(config, address));
    if stands_in { reply_to.or(from).cloned() } else { from.cloned() }
}
