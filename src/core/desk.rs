//! What agents, tokens and the clock do to tickets: one command in, the effects out.

use jiff::Timestamp;

use super::config::Config;
use super::intake::{DeskKey, Effect, NextIds};
use super::ticket::{Actor, Article, Command, Refused, Ticket};

/// What the store knows that bears on one command.
#[derive(Debug, Clone, PartialEq)]
pub struct DeskFacts {
    /// The ticket as it is.
    pub ticket: Ticket,
    /// Its articles that came or went as mail, oldest first, without their texts' raw bytes; an
    /// answer is threaded after them.
    pub articles: Vec<Article>,
    /// The ticket named by [`Command::MergeInto`].
    pub other: Option<Ticket>,
    /// Key of our Message-IDs.
    pub desk_key: DeskKey,
    /// Identities to use next.
    pub next: NextIds,
}

/// Carries a command out. A merge has two effects, everything else one; a command that changes
/// nothing has none.
pub fn act(
    config: &Config,
    facts: &DeskFacts,
    command: &Command,
    actor: &Actor,
    now: Timestamp,
) -> Result<Vec<Effect>, Refused> {
    todo!()
}
