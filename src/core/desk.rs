//! What agents, tokens and the clock do to tickets: one command in, the effects out.
//!
//! Architecture invariant: a command is carried out whole or refused, and everything it did
//! stands in the events of its effect. Who may give which command is decided by the caller; who is
//! told of it in [`super::notify`].

mod due;
mod merge;
mod set;
#[cfg(test)]
mod trying;
mod write;

use jiff::Timestamp;

use super::config::Config;
use super::intake::{DeskKey, Effect, NextIds};
use super::mail::Remarks;
use super::notify::hours::FullHours;
use super::outgoing::Outgoing;
use super::render::{self, Stationery};
use super::ticket::{
    Actor, Article, ArticleId, ArticleKind, AuthorKind, Command, Event, Refused, State, Ticket,
    What,
};

pub use write::{Answer, Composed, TEXT_CHARS_MAX, author_name, compose, language_of};

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
    /// Users whose notifications must wait, because they got so many.
    pub full_hours: FullHours,
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
    if facts.ticket.merged_into.is_some() || facts.ticket.state == State::Merged {
        return Err(Refused::Merged);
    }
    let mut work = Work::begin(config, facts, actor, now);
    match command {
        Command::Note { subject, text, visible_for_customer } => {
            work.note(subject, text, *visible_for_customer)?;
        }
        Command::Reply { text, to, cc, subject } => work.reply(text, to, cc, subject.as_deref())?,
        Command::SetState { state, pending_until } => work.set_state(*state, *pending_until)?,
        Command::SetQueue(queue) => work.set_queue(queue)?,
        Command::SetOwner(owner) => work.set_owner(owner.as_deref())?,
        Command::SetResponsible(agent) => work.set_responsible(agent.as_deref())?,
        Command::SetLock(true) => work.lock(),
        Command::SetLock(false) => work.unlock(),
        Command::Take => work.take()?,
        Command::SetPriority(priority) => {
            let from = std::mem::replace(&mut work.ticket.priority, *priority);
            work.note_change(from, *priority, |from, to| What::Priority { from, to });
        }
        Command::SetTitle(title) => work.set_title(title)?,
        Command::SetCustomer(address) => work.set_customer(address)?,
        Command::Watch(watcher) => work.watch(watcher)?,
        Command::Unwatch(watcher) => work.unwatch(watcher),
        Command::MergeInto(number) => return work.merge_into(number),
        Command::TimeOutLock => work.time_out_lock(),
        Command::ReachPending => work.reach_pending(),
        Command::DeliveryFailed { to, reason } => work.delivery_failed(to, reason),
    }
    let (effect, _) = work.finish();
    Ok(effect.into_iter().collect())
}

/// A ticket on the desk while a command is carried out.
struct Work<'a> {
    config: &'a Config,
    facts: &'a DeskFacts,
    actor: &'a Actor,
    now: Timestamp,
    next: NextIds,
    /// The ticket as it was.
    before: &'a Ticket,
    /// The ticket as it becomes.
    ticket: Ticket,
    articles: Vec<Article>,
    events: Vec<Event>,
    owed: Vec<Outgoing>,
}

impl<'a> Work<'a> {
    fn begin(config: &'a Config, facts: &'a DeskFacts, actor: &'a Actor, now: Timestamp) -> Self {
        Work {
            config,
            facts,
            actor,
            now,
            next: facts.next,
            before: &facts.ticket,
            ticket: facts.ticket.clone(),
            articles: Vec::new(),
            events: Vec::new(),
            owed: Vec::new(),
        }
    }

    /// The effect, with everybody told of it, and the identities left; `None` if nothing happened.
    fn finish(mut self) -> (Option<Effect>, NextIds) {
        if self.events.is_empty() {
            return (None, self.next);
        }
        self.ticket.updated = self.now;
        let mut effect = Effect {
            ticket: self.ticket,
            created: false,
            articles: self.articles,
            events: self.events,
            owed: self.owed,
            bells: Vec::new(),
            digests: Vec::new(),
        };
        let stationery =
            Stationery { config: self.config, key: &self.facts.desk_key, now: self.now };
        let full = &self.facts.full_hours;
        render::announce(stationery, full, Some(self.before), &mut effect, &mut self.next);
        (Some(effect), self.next)
    }

    fn change_state(&mut self, to: State, why: String) {
        let from = std::mem::replace(&mut self.ticket.state, to);
        if to.is_closed() {
            self.ticket.closed = Some(self.now);
        }
        self.happened(What::State { from, to }, why);
    }

    fn change_owner(&mut self, to: Option<String>) {
        let from = std::mem::replace(&mut self.ticket.owner, to.clone());
        self.note_change(from, to, |from, to| What::Owner { from, to });
    }

    /// An agent who works on a locked ticket keeps its lock from running out.
    fn show_activity(&mut self) {
        if let (Some(_), Actor::Agent(_)) = (self.ticket.locked_since, self.actor) {
            self.ticket.locked_since = Some(self.now);
        }
    }

    fn note_change<T: PartialEq>(&mut self, from: T, to: T, what: impl FnOnce(T, T) -> What) {
        if from != to {
            self.happened(what(from, to), String::new());
        }
    }

    fn happened(&mut self, what: What, why: String) {
        self.events.push(Event { at: self.now, actor: self.actor.clone(), what, why });
    }

    fn add(&mut self, article: Article, why: String) {
        let what = What::ArticleAdded { article: article.id, kind: article.kind };
        self.next.article = ArticleId(self.next.article.0 + 1);
        self.articles.push(article);
        self.happened(what, why);
    }

    fn article(&self, kind: ArticleKind, subject: String, text: String) -> Article {
        Article {
            id: self.next.article,
            ticket: self.ticket.id,
            kind,
            author: match self.actor {
                Actor::Agent(_) | Actor::Token(_) => AuthorKind::Agent,
                Actor::Customer(_) => AuthorKind::Customer,
                Actor::System => AuthorKind::System,
            },
            visible_for_customer: false,
            from: self.author_name(),
            to: String::new(),
            cc: String::new(),
            subject,
            text,
            message_id: None,
            verified: None,
            references: Vec::new(),
            attachments: Vec::new(),
            headers: Vec::new(),
            remarks: Remarks::default(),
            automatic: false,
            raw: None,
            created: self.now,
        }
    }

    /// Display name of whoever does this.
    fn author_name(&self) -> String {
        author_name(self.config, self.actor)
    }
}
