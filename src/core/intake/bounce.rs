//! Reports of mail systems about mails of ours (RFC 3464, RFC 8098).
//!
//! Architecture invariant: a report is never answered, never changes a state, and nobody can put
//! one into a ticket by guessing its number.

use super::change::Change;
use super::settle::Sitting;
use super::{Bounced, Decision, DeskKey, Keyed, Outcome, people, proof};
use crate::core::address::Address;
use crate::core::mail::{Report, ReportKind, ReportedRecipient};
use crate::core::thread::Purpose;
use crate::core::ticket::{ArticleKind, AuthorKind, Ticket, What};

/// Recipients of one report that are looked at.
const RECIPIENTS_MAX: usize = 100;

/// The ticket whose mail the report is about. Only a Message-ID of ours tells: a number is guessed.
pub(super) fn ticket_of(sitting: &mut Sitting<'_>) -> Option<Ticket> {
    sitting.judgement.report.as_ref()?;
    let Some(bounced) = &sitting.facts.bounced else {
        sitting.note("bounce", "it names no mail of ours by its Message-ID");
        return None;
    };
    let ticket = bounced.issued.ticket.clone();
    sitting.identify(Some(&ticket));
    sitting.note("bounce", format!("{}: a mail of ours came back", ticket.number));
    Some(ticket)
}

/// Adds the report to the ticket, and marks the recipient whose mail failed for good or who does
/// not want it.
pub(super) fn attach(mut sitting: Sitting<'_>, before: Ticket) -> Decision {
    let judgement = sitting.judgement;
    let mut change = Change::of(&before);
    let mut article = sitting.article(before.id);
    article.kind = ArticleKind::Bounce;
    article.author = AuthorKind::System;
    article.visible_for_customer = false;
    let (id, kind) = (article.id, article.kind);
    change.push(sitting.event(What::ArticleAdded { article: id, kind }, ""));
    if let Some(report) = &judgement.report {
        mark(&mut sitting, &mut change, report);
    }
    // The mail that came back lies here for whoever reads the ticket.
    if let Some(bounced) = &sitting.facts.bounced {
        proof::spend_id(&bounced.issued, &mut change.ticket);
    }
    let mut effect = change.effect(sitting.now);
    effect.articles.push(article);
    sitting.announce(Outcome::Bounce, Some(&before), effect, None)
}

/// Marks the recipient to whom the mail that came back was sent, and nobody else.
fn mark(sitting: &mut Sitting<'_>, change: &mut Change, report: &Report) {
    match report.kind {
        ReportKind::Failed | ReportKind::Complaint => {}
        ReportKind::Delayed | ReportKind::Delivered | ReportKind::Disposition => return,
    }
    let Some(bounced) = &sitting.facts.bounced else { return };
    let Some(address) = recipient(&sitting.facts.desk_key, bounced, report, &change.ticket) else {
        sitting.note("bounce", "its recipient is not known");
        return;
    };
    let own = recipients(report).find(|(_, reported)| **reported == address);
    let kind = own.map_or(report.kind, |(own, _)| own.kind);
    match kind {
        ReportKind::Failed => {
            let said = own.or_else(|| recipients(report).next()).map(|(said, _)| said);
            mark_failed(sitting, change, address, said);
        }
        ReportKind::Complaint => {
            sitting.note("bounce", format!("{address} reported the mail as unwanted"));
            let what = What::Complained { by: address.clone() };
            change.push(sitting.event(what, "a mail system reported it"));
            change.ticket.complained.insert(address);
        }
        ReportKind::Delayed | ReportKind::Delivered | ReportKind::Disposition => {
            sitting.note("bounce", format!("{address} is reported as {}", kind.label()));
        }
    }
}

fn mark_failed(
    sitting: &mut Sitting<'_>,
    change: &mut Change,
    address: Address,
    said: Option<&ReportedRecipient>,
) {
    let (status, diagnostic) =
        said.map_or_else(Default::default, |said| (said.status.as_str(), said.diagnostic.as_str()));
    sitting.note("bounce", format!("{address} cannot be reached: {status}"));
    let reason = format!("{status} {diagnostic}").trim().to_owned();
    let what = What::DeliveryFailed { to: address.clone(), reason };
    change.push(sitting.event(what, "a mail system reported it"));
    change.ticket.undeliverable.insert(address);
}

/// To whom the mail that came back was sent: as the outbox says, else one of those the report
/// names, or who takes part in the ticket, whose digest is in the id.
fn recipient(
    key: &DeskKey,
    bounced: &Bounced,
    report: &Report,
    ticket: &Ticket,
) -> Option<Address> {
    let id = &bounced.issued.id;
    // A mail that was forwarded comes back from another address than the one we wrote to. In
    // version 0.1 the id named the first of several recipients: it says nothing of the others.
    let surely = bounced.is_returned && id.purpose != Purpose::Unstated;
    if let Some(address) = bounced.recipient.as_ref().filter(|_| surely) {
        return Some(address.clone());
    }
    let reported = report.addresses.iter().take(RECIPIENTS_MAX);
    let known = people::addresses(ticket).filter(|_| surely);
    proof::recipient_among(key, id, reported.chain(known)).cloned()
}

/// Which of the ids of ours in a report is that of the mail that came back.
///
/// The Message-ID of the returned mail is. Another one may be that of a mail which the returned
/// one only refers to, an agent's notification for example: it counts for the ticket, and for its
/// recipient only if the report names them. Where the report shows no Message-ID, or a relay has
/// replaced it, that is all there is.
pub fn returned(key: &DeskKey, report: &Report, keyed: Vec<Keyed>) -> Option<Bounced> {
    let original = report.original_message_id.as_deref();
    let is_original =
        |keyed: &Keyed| original.is_some_and(|id| id.eq_ignore_ascii_case(&keyed.message_id));
    let is_named = |keyed: &Keyed| {
        proof::recipient_among(key, &keyed.id, report.addresses.iter().take(RECIPIENTS_MAX))
            .is_some()
    };
    let at = keyed.iter().position(is_original).or_else(|| keyed.iter().position(is_named));
    let issued = keyed.into_iter().nth(at.unwrap_or(0))?;
    let is_returned = original.is_none() || is_original(&issued);
    Some(Bounced { issued, is_returned, recipient: None })
}

fn recipients(report: &Report) -> impl Iterator<Item = (&ReportedRecipient, &Address)> {
    let all = report.recipients.iter().take(RECIPIENTS_MAX);
    all.filter_map(|recipient| Some((recipient, recipient.address.as_ref()?)))
}
