//! Reports of mail systems about mails of ours (RFC 3464, RFC 8098).
//!
//! Architecture invariant: a report is never answered, never changes a state, and nobody can put
//! one into a ticket by guessing its number.

use super::change::Change;
use super::settle::Sitting;
use super::{Decision, Outcome, people, proof};
use crate::core::address::Address;
use crate::core::mail::{Report, ReportKind, ReportedRecipient};
use crate::core::thread::Purpose;
use crate::core::ticket::{ArticleKind, AuthorKind, Ticket, What};

/// Recipients of one report that are looked at.
const RECIPIENTS_MAX: usize = 50;

/// The ticket whose mail the report is about. Only a Message-ID of ours tells: a number is guessed.
pub(super) fn ticket_of(sitting: &mut Sitting<'_>) -> Option<Ticket> {
    sitting.judgement.report.as_ref()?;
    let Some(bounced) = &sitting.facts.bounced else {
        sitting.note("bounce", "it names no mail of ours by its Message-ID");
        return None;
    };
    let ticket = bounced.ticket.clone();
    sitting.identify(Some(&ticket));
    sitting.note("bounce", format!("{}: a mail of ours came back", ticket.number));
    Some(ticket)
}

/// Adds the report to the ticket and marks the recipients that failed for good.
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
        mark_failed(&mut sitting, &mut change, report);
    }
    // The mail that came back lies here for whoever reads the ticket.
    if let Some(bounced) = &sitting.facts.bounced {
        proof::spend_id(bounced, &mut change.ticket);
    }
    let mut effect = change.effect(sitting.now);
    effect.articles.push(article);
    sitting.announce(Outcome::Bounce, Some(&before), effect, None)
}

/// Marks the recipient to whom the mail that came back was sent, and nobody else.
fn mark_failed(sitting: &mut Sitting<'_>, change: &mut Change, report: &Report) {
    match report.kind {
        ReportKind::Failed => {}
        ReportKind::Delayed | ReportKind::Delivered | ReportKind::Disposition => return,
    }
    let Some(bounced) = &sitting.facts.bounced else { return };
    let key = &sitting.facts.desk_key;
    let reported = recipients(report).map(|(_, address)| address);
    // A mail that was forwarded comes back from another address than the one we wrote to. In
    // version 0.1 the id named the first of several recipients: it says nothing of the others.
    let named = bounced.id.purpose != Purpose::Unstated;
    let known = people::addresses(&change.ticket).filter(|_| named);
    let Some(address) = proof::recipient_among(key, &bounced.id, reported.chain(known)).cloned()
    else {
        sitting.note("bounce", "its recipient is not known");
        return;
    };
    let own = recipients(report).find(|(_, reported)| **reported == address);
    let (status, diagnostic) = own
        .or_else(|| recipients(report).next())
        .map_or_else(Default::default, |(recipient, _)| {
            (recipient.status.as_str(), recipient.diagnostic.as_str())
        });
    sitting.note("bounce", format!("{address} cannot be reached: {status}"));
    let reason = format!("{status} {diagnostic}").trim().to_owned();
    let what = What::DeliveryFailed { to: address.clone(), reason };
    change.push(sitting.event(what, "a mail system reported it"));
    change.ticket.undeliverable.insert(address);
}

fn recipients(report: &Report) -> impl Iterator<Item = (&ReportedRecipient, &Address)> {
    let all = report.recipients.iter().take(RECIPIENTS_MAX);
    all.filter_map(|recipient| Some((recipient, recipient.address.as_ref()?)))
}
