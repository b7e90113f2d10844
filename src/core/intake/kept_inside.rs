//! Tells agents that their mail did not reach the customer: nothing proves that it is theirs, it
//! could not be separated from a notification that it quotes, or it holds no text.
//!
//! An agent who works by mail believes an answer to be sent once they have sent it. So they get a
//! mail that says that it was not, and how to send it. If somebody else used their address, that is
//! how they learn of it.
//!
//! Architecture invariant: it goes to the declared address of the agent and nowhere else, quotes
//! nothing of the mail that it is about, is bounded like automatic answers, and answers no machine.
//! Where nothing proved the agent, its Message-ID proves nothing either: an answer to it stays on
//! the desk.

use super::Effect;
use super::agent_text::Withheld;
use super::follow_up::helps;
use super::settle::Sitting;
use crate::core::config::{Switch, User};
use crate::core::render;
use crate::core::reply;
use crate::core::thread::Purpose;
use crate::core::ticket::{Ticket, What};

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

    /// Who has proved to be the agent may answer this mail instead. Otherwise an answer must not
    /// prove anything: the agent may answer to what a forger made the desk write.
    fn purpose(self) -> Purpose {
        match self {
            Reason::NotProven => Purpose::Information,
            Reason::NotSeparated | Reason::NoOwnText => Purpose::Notification,
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

/// Owes the agent the news, if there is any. `about` is the ticket that the mail is about, if it
/// made one of its own because it proved nothing.
pub(super) fn tell(
    sitting: &mut Sitting<'_>,
    effect: &mut Effect,
    withheld: Option<Withheld>,
    about: Option<&Ticket>,
) {
    let Some(reason) = reason(sitting, withheld) else { return };
    let ticket = about.unwrap_or(&effect.ticket);
    let Some(user) = whom(sitting, ticket) else { return };
    let (sender, answered) = (&sitting.judgement.sender, &sitting.facts.answered);
    let limit = reply::over_limit(sitting.config, sender, ticket.id, answered);
    if let Some(reason) = limit {
        sitting.note("agent", format!("{} is not told of it: {}", user.name, reason.label()));
        return;
    }
    let (stationery, id) = (sitting.stationery(), sitting.next().outgoing);
    let name = reason.name();
    let Some(owed) = render::kept_inside(stationery, name, user, ticket, reason.purpose(), id)
    else {
        return;
    };
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
fn whom<'a>(sitting: &Sitting<'a>, ticket: &Ticket) -> Option<&'a User> {
    let judgement = sitting.judgement;
    let user = sitting.config.users.get(judgement.sender.agent.as_ref()?)?;
    let meant_for_customer =
        helps(sitting, ticket) && judgement.internal.is_none() && ticket.customer.is_some();
    let reachable = judgement.sender.answer_to.as_ref() == Some(&user.email)
        && user.state == Switch::Enabled
        && !reply::is_ours(sitting.config, &user.email)
        && !ticket.undeliverable.contains(&user.email);
    (meant_for_customer && reachable).then_some(user)
}
