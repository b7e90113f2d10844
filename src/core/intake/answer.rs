//! The automatic answer to a mail, or the reason why there is none.
//!
//! Architecture invariant: at most one answer to one mail, to one address, and none that
//! [`reply`] speaks against. Every answer held back leaves its reason in the ticket's history.

use super::settle::{Sitting, automatic_article};
use super::{Effect, people};
use crate::core::config::{AutoReply, Language, QueueReplies, Switch};
use crate::core::language;
use crate::core::render::{self, AutomaticAnswer};
use crate::core::reply::{self, Suppression};
use crate::core::ticket::{Article, ArticleKind, Ticket, What};

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A mail that made a ticket.
    New,
    /// A follow-up.
    FollowUp,
    /// A follow-up that was rejected.
    Reject,
    /// A follow-up to a closed ticket that made a new one.
    NewTicket,
}

impl Occasion {
    fn label(self) -> &'static str {
        match self {
            Occasion::New => "new",
            Occasion::FollowUp => "followUp",
            Occasion::Reject => "reject",
            Occasion::NewTicket => "newTicket",
        }
    }

    fn name(self, replies: &QueueReplies) -> Option<&String> {
        match self {
            Occasion::New => replies.new.as_ref(),
            Occasion::FollowUp => replies.follow_up.as_ref(),
            Occasion::Reject => replies.reject.as_ref(),
            Occasion::NewTicket => replies.new_ticket.as_ref(),
        }
    }
}

/// Owes the automatic answer that the ticket's queue has for this occasion, or says why not.
pub(super) fn answer(
    sitting: &mut Sitting<'_>,
    effect: &mut Effect,
    occasion: Occasion,
) -> Option<Suppression> {
    let Some(reply) = reply_for(sitting, &effect.ticket, occasion) else {
        let text = format!("none: queue {} has none for {}", effect.ticket.queue, occasion.label());
        sitting.note("autoReply", text);
        return None;
    };
    if let Some(reason) = against(sitting, &effect.ticket, occasion) {
        let why = reason.label();
        sitting.note("autoReply", format!("{} held back: {why}", reply.name));
        let what = What::AutoReplySuppressed { reason: why.into() };
        effect.events.push(sitting.event(what, format!("{} held back", reply.name)));
        return Some(reason);
    }
    owe(sitting, effect, reply);
    None
}

fn reply_for<'a>(
    sitting: &Sitting<'a>,
    ticket: &Ticket,
    occasion: Occasion,
) -> Option<&'a AutoReply> {
    let queue = sitting.config.queues.get(&ticket.queue)?;
    let reply = sitting.config.auto_replies.get(occasion.name(&queue.auto_replies)?)?;
    (reply.state == Switch::Enabled).then_some(reply)
}

fn against(sitting: &Sitting<'_>, ticket: &Ticket, occasion: Occasion) -> Option<Suppression> {
    let judgement = sitting.judgement;
    let suppression = match occasion {
        Occasion::New => &judgement.suppression,
        Occasion::FollowUp | Occasion::Reject | Occasion::NewTicket => {
            &judgement.suppression_on_follow_up
        }
    };
    let unreachable = || {
        let to = judgement.sender.answer_to.as_ref()?;
        let complained = ticket.complained.contains(to).then_some(Suppression::Complained);
        let failed = || ticket.undeliverable.contains(to).then_some(Suppression::Undeliverable);
        complained.or_else(failed)
    };
    // Whoever forges a customer's address would have our answer, and with it a Message-ID that we
    // signed, sent to himself.
    let elsewhere = || {
        let to = judgement.sender.answer_to.as_ref()?;
        let known = judgement.sender.mailbox.address.as_ref() == Some(to)
            || people::is_participant(ticket, to);
        (!known && occasion != Occasion::New).then_some(Suppression::UnknownReplyTo)
    };
    let answered = &sitting.facts.answered;
    let limit = || reply::over_limit(sitting.config, &judgement.sender, ticket.id, answered);
    let alike = || reply::over_alike(sitting.config, &judgement.sender, &ticket.title, answered);
    let again = || match occasion {
        Occasion::New => reply::over_subject(sitting.config, &judgement.article.subject, answered),
        Occasion::FollowUp | Occasion::Reject | Occasion::NewTicket => None,
    };
    let by_mail = suppression.clone().or_else(elsewhere).or_else(unreachable);
    by_mail.or_else(limit).or_else(alike).or_else(again)
}

fn owe(sitting: &mut Sitting<'_>, effect: &mut Effect, reply: &AutoReply) {
    let judgement = sitting.judgement;
    let (Some(to), Some(answered)) = (&judgement.sender.answer_to, effect.articles.first()) else {
        return;
    };
    let id = sitting.next().outgoing;
    let (stationery, language) = (sitting.stationery(), language(sitting));
    let answer = render::auto_reply(stationery, reply, language, &effect.ticket, answered, to, id);
    let Some(answer) = answer else {
        sitting.note("autoReply", format!("none: the texts of {} fail", reply.name));
        return;
    };
    sitting.next().outgoing.0 += 1;
    let article = article(sitting, effect, reply, &answer);
    sitting.note("autoReply", format!("{} to {to}", reply.name));
    let what = What::AutoReplyOwed { to: to.clone(), reply: reply.name.clone() };
    effect.events.push(sitting.event(what, ""));
    effect.articles.push(article);
    effect.owed.push(answer.owed);
}

/// The language of the customer, if he is declared with one, else that in which he wrote.
fn language(sitting: &Sitting<'_>) -> Option<Language> {
    let sender = &sitting.judgement.sender;
    let addresses = sender.mailbox.address.iter().chain(&sender.answer_to);
    let mut profiles = addresses.filter_map(|address| sitting.config.customers.get(address));
    let declared = profiles.find_map(|profile| profile.language);
    declared.or_else(|| language::of_article(&sitting.judgement.article))
}

/// The answer as an entry of the ticket.
fn article(
    sitting: &mut Sitting<'_>,
    effect: &Effect,
    reply: &AutoReply,
    answer: &AutomaticAnswer,
) -> Article {
    let id = sitting.next_article();
    let article = automatic_article(id, effect.ticket.id, ArticleKind::AutoReply, sitting.now);
    Article {
        from: reply.from.to_string(),
        to: answer.owed.recipient.to_string(),
        subject: answer.subject.clone(),
        text: answer.text.clone(),
        message_id: Some(answer.owed.message_id.clone()),
        references: vec![sitting.judgement.message_id.clone()],
        ..article
    }
}
