//! Reports of mail systems about mails of ours (RFC 3464, RFC 8098).
//!
//! Architecture invariant: a report is never answered, never changes a state, and nobody can put
//! one into a ticket by guessing its number.

use super::change::Change;
use super::settle::Sitting;
use super::{Decision, Outcome, people};
use crate::core::address::Address;
use crate::core::mail::{Report, ReportKind, ReportedRecipient};
use crate::core::thread;
use crate::core::ticket::{ArticleKind, AuthorKind, Ticket, What};

/// Recipients of one report that are looked at.
const RECIPIENTS_MAX: usize = 50;

/// The ticket whose mail the report is about.
///
/// A signed Message-ID proves it. Without one (some servers return only the subject) a recipient
/// in the report must take part in the ticket.
pub(super) fn ticket_of(sitting: &mut Sitting<'_>) -> Option<Ticket> {
    let report = sitting.judgement.report.as_ref()?;
    let ticket = sitting.facts.bounced.clone()?;
    let number = &ticket.number;
    if is_signed(sitting, report) {
        let text = format!("{number}: a mail of ours came back");
        sitting.note("bounce", text);
        Some(ticket)
    } else if recipients(report).any(|(_, address)| people::is_participant(&ticket, address)) {
        let text = format!("{number}: the recipient takes part in it");
        sitting.note("bounce", text);
        Some(ticket)
    } else {
        let text = format!("not {number}: nobody in the report takes part in it");
        sitting.note("bounce", text);
        None
    }
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
    let mut effect = change.effect(sitting.now);
    effect.articles.push(article);
    sitting.announce(Outcome::Bounce, Some(&before), effect, None)
}

fn mark_failed(sitting: &mut Sitting<'_>, change: &mut Change, report: &Report) {
    let signed = is_signed(sitting, report);
    let failed = match report.kind {
        ReportKind::Failed => recipients(report),
        ReportKind::Delayed | ReportKind::Delivered | ReportKind::Disposition => return,
    };
    for (recipient, address) in failed {
        // Without a signature only those who take part can be marked: a forged report must not
        // keep mail from an address that the forger chose.
        if !signed && !people::is_participant(&change.ticket, address) {
            continue;
        }
        sitting.note("bounce", format!("{address} cannot be reached: {}", recipient.status));
        let reason = format!("{} {}", recipient.status, recipient.diagnostic);
        let what = What::DeliveryFailed { to: address.clone(), reason: reason.trim().into() };
        change.push(sitting.event(what, "a mail system reported it"));
        change.ticket.undeliverable.insert(address.clone());
    }
}

fn recipients(report: &Report) -> impl Iterator<Item = (&ReportedRecipient, &Address)> {
    let all = report.recipients.iter().take(RECIPIENTS_MAX);
    all.filter_map(|recipient| Some((recipient, recipient.address.as_ref()?)))
}

fn is_signed(sitting: &Sitting<'_>, report: &Report) -> bool {
    let id = report.original_message_id.as_deref();
    id.is_some_and(|id| thread::verify(&sitting.facts.desk_key, id).is_some())
}
