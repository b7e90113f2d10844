//! The automatic answer to a mail, or the reason why there is none.
//!
//! Architecture invariant: at most one answer to one mail, to one address, and none that
//! [`reply`] speaks against. Every answer held back leaves its reason in the ticket's history.

use super::Effect;
use super::settle::{Sitting, automatic_article};
use crate::core::config::{AutoReply, Language, QueueReplies, Switch};
use crate::core::outgoing::Outgoing;
use crate::core::render;
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
    let filter = || {
        let never = judgement.on_follow_up.auto_reply == Some(false);
        (never && occasion != Occasion::New).then_some(Suppression::Filter)
    };
    let unreachable = || {
        let to = judgement.sender.answer_to.as_ref()?;
        ticket.undeliverable.contains(to).then_some(Suppression::Undeliverable)
    };
    let limit = || reply::over_limit(sitting.config, &judgement.sender, sitting.facts.answered);
    judgement.suppression.clone().or_else(filter).or_else(unreachable).or_else(limit)
}

fn owe(sitting: &mut Sitting<'_>, effect: &mut Effect, reply: &AutoReply) {
    let judgement = sitting.judgement;
    let (Some(to), Some(answered)) = (&judgement.sender.answer_to, effect.articles.first()) else {
        return;
    };
    let id = sitting.next().outgoing;
    let (stationery, language) = (sitting.stationery(), language(sitting));
    let owed = render::auto_reply(stationery, reply, language, &effect.ticket, answered, to, id);
    let Some(owed) = owed else {
        sitting.note("autoReply", format!("none: the texts of {} fail", reply.name));
        return;
    };
    sitting.next().outgoing.0 += 1;
    let article = article(sitting, effect, reply, &owed);
    sitting.note("autoReply", format!("{} to {to}", reply.name));
    let what = What::AutoReplyOwed { to: to.clone(), reply: reply.name.clone() };
    effect.events.push(sitting.event(what, ""));
    effect.articles.push(article);
    effect.owed.push(owed);
}

/// The language of the customer, if he is declared with one.
fn language(sitting: &Sitting<'_>) -> Option<Language> {
    let sender = &sitting.judgement.sender;
    let addresses = sender.mailbox.address.iter().chain(&sender.answer_to);
    let mut profiles = addresses.filter_map(|address| sitting.config.customers.get(address));
    profiles.find_map(|profile| profile.language)
}

/// The answer as an entry of the ticket; its words are in the owed mail.
fn article(
    sitting: &mut Sitting<'_>,
    effect: &Effect,
    reply: &AutoReply,
    owed: &Outgoing,
) -> Article {
    let id = sitting.next_article();
    let article = automatic_article(id, effect.ticket.id, ArticleKind::AutoReply, sitting.now);
    Article {
        from: reply.from.to_string(),
        to: owed.recipient.to_string(),
        subject: reply.name.clone(),
        message_id: Some(owed.message_id.clone()),
        references: vec![sitting.judgement.message_id.clone()],
        ..article
    }
}
