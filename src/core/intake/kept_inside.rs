//! Tells agents that their mail did not reach the customer: nothing proves that it is theirs, it
//! could not be separated from a notification that it quotes, or it holds no text.
//!
//! Whoever works by mail believes an answer to be sent once he has sent it. So he hears that it
//! was not, in a mail that he only has to answer: what answers a mail of ours to him is proven.
//! If somebody else used his address, that is how he learns of it.
//!
//! Architecture invariant: it goes to the declared address of the agent and nowhere else, is
//! bounded like automatic answers, and answers no machine.

use super::Effect;
use super::agent_text::Withheld;
use super::follow_up::helps;
use super::settle::Sitting;
use crate::core::config::{Switch, User};
use crate::core::render;
use crate::core::reply;
use crate::core::ticket::What;

/// Why a mail was kept inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    NotProven,
    NotSeparated,
    NoOwnText,
}

impl Reason {
    /// Name under which this answer is counted and recorded, and that of its template.
    fn name(self) -> &'static str {
        match self {
            Reason::NotProven => "notProven",
            Reason::NotSeparated => "notSeparated",
            Reason::NoOwnText => "noOwnText",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Reason::NotProven => "nothing proves that the agent wrote it",
            Reason::NotSeparated => "the quoted notification could not be separated",
            Reason::NoOwnText => "no text of the agent can be read in it",
        }
    }
}

/// Owes the agent the news, if there is any.
pub(super) fn tell(sitting: &mut Sitting<'_>, effect: &mut Effect, withheld: Option<Withheld>) {
    let Some(reason) = reason(sitting, withheld) else { return };
    let Some(user) = whom(sitting, effect) else { return };
    let (sender, answered) = (&sitting.judgement.sender, &sitting.facts.answered);
    let limit = reply::over_limit(sitting.config, sender, effect.ticket.id, answered);
    if let Some(reason) = limit {
        sitting.note("agent", format!("{} is not told of it: {}", user.name, reason.label()));
        return;
    }
    let (stationery, id) = (sitting.stationery(), sitting.next().outgoing);
    let Some(article) = effect.articles.first() else { return };
    let name = reason.name();
    let owed = render::kept_inside(stationery, name, user, &effect.ticket, article, id);
    let Some(owed) = owed else { return };
    sitting.next().outgoing.0 += 1;
    sitting.note("agent", format!("{} is told that it was not sent", user.name));
    let what = What::AutoReplyOwed { to: owed.recipient.clone(), reply: name.into() };
    effect.events.push(sitting.event(what, reason.words()));
    effect.owed.push(owed);
}

fn reason(sitting: &Sitting<'_>, withheld: Option<Withheld>) -> Option<Reason> {
    match withheld {
        _ if !sitting.judgement.is_by_hand() => None,
        _ if !sitting.is_surely_agent() => Some(Reason::NotProven),
        Some(Withheld::NotSeparated(_)) => Some(Reason::NotSeparated),
        Some(Withheld::NoText) => Some(Reason::NoOwnText),
        Some(Withheld::CalendarAnswer) | None => None,
    }
}

/// The agent whose answer was kept back, if it was meant for the customer and answers to it reach
/// the agent himself.
fn whom<'a>(sitting: &Sitting<'a>, effect: &Effect) -> Option<&'a User> {
    let judgement = sitting.judgement;
    let user = sitting.config.users.get(judgement.sender.agent.as_ref()?)?;
    let meant_for_customer = helps(sitting, &effect.ticket)
        && judgement.internal.is_none()
        && effect.ticket.customer.is_some();
    let reachable = judgement.sender.answer_to.as_ref() == Some(&user.email)
        && user.state == Switch::Enabled
        && !reply::is_ours(sitting.config, &user.email)
        && !effect.ticket.undeliverable.contains(&user.email);
    (meant_for_customer && reachable).then_some(user)
}
