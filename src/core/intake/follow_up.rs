//! A mail that belongs to a ticket: which one, may its sender join, and what it changes.
//!
//! Architecture invariant: a ticket number or somebody else's Message-ID never suffices to join;
//! only a Message-ID that this desk signed does, or taking part in the ticket. A stranger changes
//! nothing on the ticket that they name, and nobody is notified. An agent's address in From is a
//! stranger's until something proves the agent.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::agent_text::AgentText;
use super::answer::{self, Occasion};
use super::change::{Change, set_lock, set_state};
use super::settle::Sitting;
use super::{Decision, Effect, Judgement, Keyed, Outcome, create, kept_inside, people, proof};
use crate::core::config::{FollowUpFrom, FollowUpRules, OnClosed};
use crate::core::mail::Attachment;
use crate::core::mail::files::File;
use crate::core::render::{self, Enclosed, Letter};
use crate::core::ticket::{State, Ticket, What};

/// What speaks for a mail belonging to a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Proof {
    /// A Message-ID of ours with a genuine signature.
    Keyed,
    /// The number in the subject.
    Tag,
    /// The Message-ID of a stored article.
    Reference,
    /// The same, where several tickets have it.
    ContestedReference,
    /// The number in the text.
    Body,
}

impl Proof {
    fn words(self) -> &'static str {
        match self {
            Proof::Keyed => "it answers a mail of ours",
            Proof::Tag => "number in the subject",
            Proof::Reference => "it refers to a mail of the ticket",
            Proof::ContestedReference => {
                "it refers to a mail of the ticket, whose Message-ID other tickets have as well"
            }
            Proof::Body => "number in the text",
        }
    }
}

/// A ticket the mail may join.
pub(super) struct Joined {
    pub(super) ticket: Ticket,
    pub(super) proof: Proof,
}

/// What was found.
pub(super) struct Found {
    /// The ticket it joins.
    pub(super) joins: Option<Joined>,
    /// The first ticket that it names and may not join.
    pub(super) refused: Option<Ticket>,
}

/// Looks for the ticket that a mail belongs to: by a Message-ID of ours, then by the number in the
/// subject, then by a Message-ID of a stored article, then the number in the text where the queue wants it.
pub(super) fn find(sitting: &mut Sitting<'_>) -> Found {
    let mut found = Found { joins: None, refused: None };
    let mut steps = Vec::new();
    for (ticket, proof) in candidates(sitting) {
        let number = ticket.number.clone();
        match admitted(sitting, &ticket, proof) {
            Ok(why) => {
                steps.push(format!("{number}: {}, {why}", proof.words()));
                found.joins = Some(Joined { ticket, proof });
                break;
            }
            Err(why) => {
                steps.push(format!("not {number} ({}): {why}", proof.words()));
                found.refused.get_or_insert(ticket);
            }
        }
    }
    sitting.identify(found.joins.as_ref().map(|joined| &joined.ticket));
    for step in steps {
        sitting.note("followUp", step);
    }
    found
}

fn candidates(sitting: &Sitting<'_>) -> Vec<(Ticket, Proof)> {
    let facts = sitting.facts;
    let keyed = facts.keyed.iter().map(|keyed| (&keyed.ticket, Proof::Keyed));
    let tagged = facts.tagged.iter().map(|ticket| (ticket, Proof::Tag));
    let referenced = facts.referenced.iter().map(|found| {
        let proof = if found.contested { Proof::ContestedReference } else { Proof::Reference };
        (&found.ticket, proof)
    });
    let body = facts.body_tagged.iter().filter(|ticket| rules(sitting, ticket).search_body);
    let all = keyed.chain(tagged).chain(referenced).chain(body.map(|body| (body, Proof::Body)));
    let mut asked = BTreeSet::new();
    all.filter(|(ticket, proof)| asked.insert((ticket.id, *proof)))
        .map(|(ticket, proof)| (ticket.clone(), proof))
        .collect()
}

/// Whether the sender may join, and why or why not.
fn admitted(
    sitting: &Sitting<'_>,
    ticket: &Ticket,
    proof: Proof,
) -> Result<&'static str, &'static str> {
    let judgement = sitting.judgement;
    // A report needs an id of ours, or a sender who takes part: its number alone is guessed.
    let anyone = rules(sitting, ticket).from == FollowUpFrom::Anyone && judgement.report.is_none();
    let admits = |keyed: &Keyed| proof::admits(sitting.facts, keyed);
    match proof {
        Proof::Keyed if proof::ids_about(sitting.facts, ticket).any(admits) => {
            Ok("signed by this desk")
        }
        Proof::Keyed => Err("it was sent to somebody who is not its customer any more"),
        Proof::Tag | Proof::Reference | Proof::ContestedReference | Proof::Body
            if people::takes_part(ticket, judgement) =>
        {
            Ok("the sender takes part in it")
        }
        // Anybody can write a Message-ID that is known: whose text would it be that joins?
        Proof::ContestedReference if anyone => Err("it may be another ticket that is meant"),
        Proof::Tag | Proof::Reference | Proof::Body if anyone => Ok("its queue lets anyone join"),
        Proof::Tag | Proof::Reference | Proof::ContestedReference | Proof::Body => {
            Err("the sender takes no part in it")
        }
    }
}

fn rules(sitting: &Sitting<'_>, ticket: &Ticket) -> FollowUpRules {
    let queue = sitting.config.queues.get(&ticket.queue);
    queue.map(|queue| queue.follow_up.clone()).unwrap_or_default()
}

/// What a follow-up does, given where the ticket stands.
enum Course {
    /// An article, and the ticket goes on.
    Join,
    /// An article, and nothing else changes.
    Keep,
    /// An article; the ticket stays closed.
    Reject,
    /// A new ticket that is linked to this one.
    NewTicket(&'static str),
}

/// Writes the follow-up.
pub(super) fn join(mut sitting: Sitting<'_>, joined: Joined) -> Decision {
    if sitting.judgement.on_follow_up.ignore == Some(true) {
        return sitting.ignored();
    }
    let rules = rules(&sitting, &joined.ticket);
    if let Some(sign) = &sitting.judgement.automatic {
        let text = format!("an automatic answer ({}): it changes no state", sign.label());
        sitting.note("automatic", text);
    }
    match course(&sitting, &rules, &joined.ticket) {
        Course::Join => follow(sitting, joined, &rules, true),
        Course::Keep => follow(sitting, joined, &rules, false),
        Course::Reject => reject(sitting, joined.ticket),
        Course::NewTicket(why) => {
            sitting.note("ticket", format!("{} is closed: {why}", joined.ticket.number));
            create::create(sitting, None, Some(&joined.ticket), Occasion::NewTicket)
        }
    }
}

/// Rules for closed tickets are for those who need help: what an agent writes, and what a mailbox
/// answers while its owner is away, stays with the ticket and leaves it as it is.
fn course(sitting: &Sitting<'_>, rules: &FollowUpRules, ticket: &Ticket) -> Course {
    if helps(sitting, ticket) || sitting.judgement.automatic.is_some() {
        return Course::Keep;
    }
    match rules.closed {
        _ if !ticket.state.is_closed() => Course::Join,
        OnClosed::Reject => Course::Reject,
        OnClosed::NewTicket => Course::NewTicket("its queue makes a new ticket"),
        OnClosed::Reopen if is_too_old(rules, ticket, sitting.now) => {
            Course::NewTicket("the time for reopening is over")
        }
        OnClosed::Reopen => Course::Join,
    }
}

/// Whether the sender is an agent who writes to somebody else's ticket. In a case of his own he
/// is a customer like any other.
pub(super) fn helps(sitting: &Sitting<'_>, ticket: &Ticket) -> bool {
    let sender = &sitting.judgement.sender;
    let customer = ticket.customer.as_ref().map(|customer| &customer.address);
    sender.agent.is_some() && customer != sender.mailbox.address.as_ref()
}

fn is_too_old(rules: &FollowUpRules, ticket: &Ticket, now: Timestamp) -> bool {
    let since = |closed: Timestamp| now.duration_since(closed).unsigned_abs();
    match (rules.reopen_within, ticket.closed) {
        (Some(within), Some(closed)) => closed < now && since(closed) > within,
        (Some(_), None) | (None, _) => false,
    }
}

/// Adds the article; `moves` says whether the follow-up changes the state.
fn follow(
    mut sitting: Sitting<'_>,
    joined: Joined,
    rules: &FollowUpRules,
    moves: bool,
) -> Decision {
    let Joined { ticket: before, proof } = joined;
    let mut change = Change::of(&before);
    if moves {
        set_follow_up_state(&sitting, &mut change, rules, &before);
    }
    change.apply(&sitting, &sitting.judgement.on_follow_up);
    let mut article = sitting.article(before.id);
    article.visible_for_customer = is_visible(&sitting, &before);
    let own = match article.visible_for_customer {
        true => {
            let helps = helps(&sitting, &before);
            AgentText::look(&mut sitting, &before, helps)
        }
        false => AgentText::default(),
    };
    own.apply(&mut article);
    let (id, kind) = (article.id, article.kind);
    change.push(sitting.event(What::ArticleAdded { article: id, kind }, ""));
    let locked = change.ticket.locked_since.is_some();
    let words = proof.words();
    change.push(sitting.event(What::FollowedUp { article: id, locked }, words));
    if is_proven(&sitting, proof) {
        people::join_in(&sitting, &mut change.ticket);
    }
    people::note_reply_to(&sitting, &mut change.ticket);
    let surely_agent = sitting.is_surely_agent();
    proof::spend(sitting.facts, sitting.judgement, surely_agent, &mut change.ticket);
    let mut effect = change.effect(sitting.now);
    effect.articles.push(article);
    go_on_to_customer(&mut sitting, &mut effect, &own);
    kept_inside::tell(&mut sitting, &mut effect, own.withheld, None);
    let suppressed = answer::answer(&mut sitting, &mut effect, Occasion::FollowUp);
    forget_failure(&mut sitting, &mut effect.ticket);
    sitting.announce(Outcome::FollowUp, Some(&before), effect, suppressed)
}

/// Whether the mail may let others take part: its sender proved to have seen a mail of ours, or
/// From is vouched for. In an agent's name only the agent does.
fn is_proven(sitting: &Sitting<'_>, proof: Proof) -> bool {
    match sitting.judgement.sender.agent {
        Some(_) => sitting.is_surely_agent(),
        None => proof == Proof::Keyed || proof::of_agent_anywhere(sitting.judgement).is_some(),
    }
}

/// A `new` ticket stays new, unless it is a rule for closed tickets that speaks.
fn set_follow_up_state(
    sitting: &Sitting<'_>,
    change: &mut Change,
    rules: &FollowUpRules,
    before: &Ticket,
) {
    if before.state == State::New {
        return;
    }
    set_state(change, sitting, rules.state.unwrap_or(State::Open), "a follow-up arrived");
    if before.state.is_closed() && rules.lock && before.owner.is_some() {
        set_lock(change, sitting, true, "reopened: given back to its owner");
    }
}

/// What an agent writes is for the customer only if it surely is the agent who writes.
fn is_visible(sitting: &Sitting<'_>, ticket: &Ticket) -> bool {
    let judgement = sitting.judgement;
    let visible = judgement.article.visible_for_customer;
    let visible = judgement.on_follow_up.visible_for_customer.unwrap_or(visible);
    visible && judgement.internal.is_none() && (!helps(sitting, ticket) || goes_on(sitting))
}

/// Whether this is an agent's own letter to the customer: it is surely the agent, and it is he
/// who writes and not his mailbox.
fn goes_on(sitting: &Sitting<'_>) -> bool {
    sitting.is_surely_agent() && sitting.judgement.is_by_hand()
}

/// Somebody whose mail came back writes again: he is taken for reachable from his next mail on.
/// This one is not answered yet, lest an address that can only send is answered each time.
fn forget_failure(sitting: &mut Sitting<'_>, ticket: &mut Ticket) {
    let judgement = sitting.judgement;
    let Some(address) = &judgement.sender.mailbox.address else { return };
    if judgement.is_by_hand() && ticket.undeliverable.remove(address) {
        sitting.note("bounce", format!("{address} writes again: taken for reachable"));
    }
}

/// Owes the customer an agent's mail, unless he has it already. Files go along as far as they
/// fit; of the others the letter says that they stay with the ticket.
fn go_on_to_customer(sitting: &mut Sitting<'_>, effect: &mut Effect, own: &AgentText) {
    let judgement = sitting.judgement;
    if !helps(sitting, &effect.ticket) {
        return;
    }
    if let Some(why) = &judgement.internal {
        sitting.note("letter", format!("stays with the ticket: {why}"));
        return;
    }
    if own.withheld.is_some() {
        return;
    }
    let Some(article) = effect.articles.first() else { return };
    let visible = article.visible_for_customer;
    let Some(customer) = effect.ticket.customer.clone() else { return };
    if !goes_on(sitting) || !visible {
        sitting.note("letter", "stays with the ticket: not surely written by the agent himself");
        return;
    }
    let to = customer.answer_to();
    if judgement.addressed.contains(&customer.address) || judgement.addressed.contains(to) {
        sitting.note("letter", "the customer was addressed in the mail itself");
        return;
    }
    let thread = sitting.facts.threads.get(&effect.ticket.id).cloned().unwrap_or_default();
    let author =
        judgement.sender.agent.as_deref().and_then(|agent| sitting.config.users.get(agent));
    let profile = sitting.config.customers.get(&customer.address);
    let language = profile.and_then(|profile| profile.language);
    let language = language.unwrap_or(sitting.config.desk.language);
    let files = enclosed(judgement, own);
    let text = render::with_kept_files(article, &judgement.files, &own.files, language);
    let letter = Letter {
        author: author.map_or("", |user| &user.full_name),
        subject: &effect.ticket.title,
        text: &text,
        to: std::slice::from_ref(to),
        cc: &[],
        thread: &thread,
        files: &files,
    };
    let stationery = sitting.stationery();
    let owed = render::letter(stationery, &letter, &effect.ticket, sitting.next());
    let files = match (files.len(), judgement.article.attachments.len() - own.files.len()) {
        (_, 0) => String::new(),
        (sent, all) if sent == all => format!(", with its files ({all})"),
        (sent, all) => format!(", with {sent} of its {all} files: the others are too large"),
    };
    sitting.note("letter", format!("goes on to {to}{files}"));
    effect.owed.extend(owed);
}

/// The files that go along, each with what the article says of it.
fn enclosed<'a>(judgement: &'a Judgement, own: &AgentText) -> Vec<Enclosed<'a>> {
    let of_index = |index| judgement.article.attachments.iter().find(move |one| one.index == index);
    let files = judgement.files.iter().filter(|file| !own.files.contains(&file.index));
    let both = files.filter_map(|file| Some((of_index(file.index)?, file)));
    both.map(|(listed, file)| enclose(listed, file)).collect()
}

fn enclose<'a>(listed: &'a Attachment, file: &'a File) -> Enclosed<'a> {
    Enclosed {
        name: &listed.name,
        content_type: &listed.content_type,
        charset: file.charset.as_deref(),
        bytes: &file.bytes,
    }
}

/// Keeps the article; the ticket stays as it is.
fn reject(mut sitting: Sitting<'_>, before: Ticket) -> Decision {
    let number = &before.number;
    sitting.note("ticket", format!("{number} is closed: its queue rejects follow-ups"));
    let mut change = Change::of(&before);
    let article = sitting.article(before.id);
    let (id, kind) = (article.id, article.kind);
    change.push(sitting.event(What::ArticleAdded { article: id, kind }, ""));
    let what = What::FollowUpRejected { article: id };
    change.push(sitting.event(what, "the queue rejects follow-ups to closed tickets"));
    let mut effect = change.effect(sitting.now);
    effect.articles.push(article);
    let suppressed = answer::answer(&mut sitting, &mut effect, Occasion::Reject);
    sitting.announce(Outcome::Rejected, Some(&before), effect, suppressed)
}
