//! What agents, tokens and the clock do to tickets: one command in, the effects out.
//!
//! Architecture invariant: a command is carried out whole or refused, and everything it did
//! stands in the events of its effect. Who may give which command is decided by the caller; who is
//! told of it in [`super::notify`].

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::address::Address;
use super::config::{Config, Switch};
use super::intake::{DeskKey, Effect, NextIds};
use super::mail::SUBJECT_CHARS_MAX;
use super::outgoing::Outgoing;
use super::render::{self, Letter, Stationery, clean};
use super::ticket::{
    Actor, Article, ArticleId, ArticleKind, AuthorKind, Command, Customer, Event, Refused, State,
    Ticket, Watcher, What,
};

/// Characters of a note or an answer.
pub const TEXT_CHARS_MAX: usize = clean::BLOCK_CHARS_MAX;
/// Characters of the words of a server that are kept in the history.
const REASON_CHARS_MAX: usize = 500;

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
        };
        let stationery =
            Stationery { config: self.config, key: &self.facts.desk_key, now: self.now };
        render::announce(stationery, Some(self.before), &mut effect, &mut self.next);
        (Some(effect), self.next)
    }

    fn note(&mut self, subject: &str, text: &str, visible: bool) -> Result<(), Refused> {
        let text = written(text, "a note")?;
        let subject = clean::line(subject, SUBJECT_CHARS_MAX);
        let mut article = self.article(ArticleKind::Note, subject, text);
        article.visible_for_customer = visible;
        self.add(article, String::new());
        self.show_activity();
        Ok(())
    }

    fn reply(
        &mut self,
        text: &str,
        to: &[Address],
        cc: &[Address],
        subject: Option<&str>,
    ) -> Result<(), Refused> {
        let text = written(text, "an answer")?;
        let customer = self.ticket.customer.as_ref().map(|customer| customer.address.clone());
        let to = if to.is_empty() { customer.into_iter().collect() } else { to.to_vec() };
        if to.len() + cc.len() > render::LETTER_RECIPIENTS_MAX {
            let max = render::LETTER_RECIPIENTS_MAX;
            return Err(Refused::Invalid(format!("an answer goes to at most {max} addresses")));
        }
        let subject = clean::line(subject.unwrap_or(&self.ticket.title), SUBJECT_CHARS_MAX);
        let thread: Vec<String> =
            self.facts.articles.iter().filter_map(|article| article.message_id.clone()).collect();
        let letter = Letter {
            author: &self.author_name(),
            subject: &subject,
            text: &text,
            to: &to,
            cc,
            thread: &thread,
        };
        let stationery =
            Stationery { config: self.config, key: &self.facts.desk_key, now: self.now };
        let owed = render::letter(stationery, &letter, &self.ticket, &mut self.next);
        let Some(first) = owed.first() else { return Err(self.why_no_letter(&to, cc)) };

        let mut article = self.article(ArticleKind::MailOut, subject, text);
        article.visible_for_customer = true;
        article.to = list(&to);
        article.cc = list(cc);
        article.message_id = Some(first.message_id.clone());
        article.references = thread;
        let recipients: BTreeSet<Address> =
            owed.iter().map(|mail| mail.recipient.clone()).collect();
        let why = format!("to {}", list(&recipients));
        self.ticket.participants.extend(recipients);
        self.owed.extend(owed);
        self.add(article, why);
        if self.ticket.state == State::New {
            self.change_state(State::Open, "answered".into());
        }
        self.show_activity();
        Ok(())
    }

    fn why_no_letter(&self, to: &[Address], cc: &[Address]) -> Refused {
        let ours = |address: &Address| self.config.system_addresses.contains_key(address);
        Refused::Invalid(match (to.is_empty() && cc.is_empty(), to.iter().chain(cc).all(ours)) {
            (true, _) => "the ticket has no customer; name a recipient".into(),
            (false, true) => "all recipients are addresses of this desk".into(),
            (false, false) => format!(
                "nothing can send: queue {:?} has neither an enabled sender nor an address; \
                 declare senders.default",
                self.ticket.queue
            ),
        })
    }

    fn set_state(&mut self, state: State, until: Option<Timestamp>) -> Result<(), Refused> {
        let (until, why) = match (state, until) {
            (State::Merged, _) => {
                return Err(Refused::Invalid(
                    "a ticket is merged into another one by merge".into(),
                ));
            }
            (State::Pending, None) => {
                return Err(Refused::Invalid("pending needs the time until when".into()));
            }
            (State::Pending, Some(until)) if until <= self.now => {
                return Err(Refused::Invalid(format!("{until} is over already")));
            }
            (State::Pending, Some(until)) => (Some(until), format!("until {until}")),
            (State::New | State::Open | State::Resolved | State::Closed { .. }, _) => {
                (None, String::new())
            }
        };
        if (state, until) != (self.ticket.state, self.ticket.pending_until) {
            self.change_state(state, why);
            self.ticket.pending_until = until;
        }
        Ok(())
    }

    fn set_queue(&mut self, queue: &str) -> Result<(), Refused> {
        if !self.config.queues.contains_key(queue) {
            return Err(unknown("queue", queue));
        }
        let from = std::mem::replace(&mut self.ticket.queue, queue.into());
        self.note_change(from, queue.to_owned(), |from, to| What::Queue { from, to });
        Ok(())
    }

    fn set_owner(&mut self, owner: Option<&str>) -> Result<(), Refused> {
        self.check_agent(owner)?;
        self.change_owner(owner.map(str::to_owned));
        Ok(())
    }

    fn set_responsible(&mut self, agent: Option<&str>) -> Result<(), Refused> {
        self.check_agent(agent)?;
        let to = agent.map(str::to_owned);
        let from = std::mem::replace(&mut self.ticket.responsible, to.clone());
        self.note_change(from, to, |from, to| What::Responsible { from, to });
        Ok(())
    }

    /// A lock keeps a ticket for its owner, so a ticket without one becomes that of the agent
    /// who locks it; its follow-ups would reach nobody otherwise.
    fn lock(&mut self) {
        if self.ticket.locked_since.is_some() {
            return;
        }
        if let (None, Actor::Agent(name)) = (&self.ticket.owner, self.actor) {
            self.change_owner(Some(name.clone()));
        }
        self.ticket.locked_since = Some(self.now);
        self.happened(What::Locked, String::new());
    }

    fn unlock(&mut self) {
        if self.ticket.locked_since.take().is_some() {
            self.happened(What::Unlocked, String::new());
        }
    }

    fn set_title(&mut self, title: &str) -> Result<(), Refused> {
        let title = clean::line(title, SUBJECT_CHARS_MAX);
        if title.is_empty() {
            return Err(Refused::Invalid("a title needs at least one character".into()));
        }
        let from = std::mem::replace(&mut self.ticket.title, title.clone());
        self.note_change(from, title, |from, to| What::Title { from, to });
        Ok(())
    }

    /// The old customer ceases to follow what is no longer his case.
    fn set_customer(&mut self, address: &Address) -> Result<(), Refused> {
        let old = self.ticket.customer.as_ref().map(|customer| customer.address.clone());
        if old.as_ref() == Some(address) {
            return Ok(());
        }
        self.check_outsider(address)?;
        let profile = self.config.customers.get(address);
        self.ticket.customer = Some(Customer {
            address: address.clone(),
            name: profile.and_then(|profile| profile.name.clone()).unwrap_or_default(),
            company: profile.and_then(|profile| profile.company.clone()),
        });
        self.ticket.participants.insert(address.clone());
        let watch = old.clone().map(Watcher::Customer);
        let ended = watch.filter(|watch| self.ticket.watchers.remove(watch));
        let why = ended.as_ref().map(|who| format!("the watch of {who} ended"));
        let what = What::Customer { from: old, to: Some(address.clone()) };
        self.happened(what, why.unwrap_or_default());
        if let Some(who) = ended {
            let why = format!("the customer is now {address}");
            self.happened(What::WatcherRemoved { who }, why);
        }
        Ok(())
    }

    fn watch(&mut self, watcher: &Watcher) -> Result<(), Refused> {
        match watcher {
            Watcher::Agent(name) => self.check_agent(Some(name))?,
            Watcher::Customer(address) => self.check_outsider(address)?,
        }
        if self.ticket.watchers.insert(watcher.clone()) {
            self.happened(What::WatcherAdded { who: watcher.clone() }, String::new());
        }
        Ok(())
    }

    fn unwatch(&mut self, watcher: &Watcher) {
        if self.ticket.watchers.remove(watcher) {
            self.happened(What::WatcherRemoved { who: watcher.clone() }, String::new());
        }
    }

    fn merge_into(mut self, number: &str) -> Result<Vec<Effect>, Refused> {
        let main = self.facts.other.as_ref().ok_or_else(|| unknown("ticket", number))?;
        if main.id == self.ticket.id {
            return Err(Refused::Invalid("a ticket cannot be merged into itself".into()));
        }
        if main.merged_into.is_some() || main.state == State::Merged {
            let why = format!("ticket {} is itself merged into another one", main.number);
            return Err(Refused::Invalid(why));
        }
        self.unlock();
        self.change_state(State::Merged, String::new());
        self.ticket.pending_until = None;
        self.ticket.merged_into = Some(main.id);
        self.happened(What::MergedInto { number: main.number.clone() }, String::new());

        let (facts, config, actor, now, before) =
            (self.facts, self.config, self.actor, self.now, self.before);
        let (source, next) = self.finish();
        let beside = Work::begin(config, facts, actor, now);
        let mut other = Work { next, before: main, ticket: main.clone(), ..beside };
        other.take_in(before);
        let (target, _) = other.finish();
        Ok(source.into_iter().chain(target).collect())
    }

    /// Everybody who took part in a ticket takes part in the one it is merged into.
    fn take_in(&mut self, merged: &Ticket) {
        self.ticket.participants.extend(merged.participants.iter().cloned());
        self.ticket.watchers.extend(merged.watchers.iter().cloned());
        self.ticket.undeliverable.extend(merged.undeliverable.iter().cloned());
        self.happened(What::MergedFrom { number: merged.number.clone() }, String::new());
    }

    /// The clock's order is checked against the ticket as it is now: its owner may have shown
    /// himself since the clock looked.
    fn time_out_lock(&mut self) {
        let Some(since) = self.ticket.locked_since else { return };
        let timeout = self.config.queues.get(&self.ticket.queue).and_then(|one| one.lock_timeout);
        let timeout = timeout.and_then(|timeout| SignedDuration::try_from(timeout).ok());
        if timeout.is_some_and(|timeout| self.now.duration_since(since) < timeout) {
            return;
        }
        self.ticket.locked_since = None;
        self.happened(What::LockTimedOut, format!("locked since {since}"));
    }

    fn reach_pending(&mut self) {
        let over = self.ticket.pending_until.filter(|until| *until <= self.now);
        let (State::Pending, Some(until)) = (self.ticket.state, over) else { return };
        self.happened(What::PendingReached, format!("pending until {until}"));
        self.change_state(State::Open, "the pending time is over".into());
        self.ticket.pending_until = None;
    }

    fn delivery_failed(&mut self, to: &Address, reason: &str) {
        self.ticket.undeliverable.insert(to.clone());
        let reason = clean::line(reason, REASON_CHARS_MAX);
        self.happened(What::DeliveryFailed { to: to.clone(), reason }, String::new());
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
            references: Vec::new(),
            attachments: Vec::new(),
            headers: Vec::new(),
            raw: None,
            created: self.now,
        }
    }

    /// Display name of whoever does this.
    fn author_name(&self) -> String {
        match self.actor {
            Actor::Agent(name) => {
                let full_name = self.config.users.get(name).map(|user| &user.full_name);
                full_name.filter(|full| !full.is_empty()).unwrap_or(name).clone()
            }
            Actor::Token(name) => name.clone(),
            Actor::Customer(address) => address.to_string(),
            Actor::System => self.config.desk.name.clone(),
        }
    }

    fn check_agent(&self, name: Option<&str>) -> Result<(), Refused> {
        let Some(name) = name else { return Ok(()) };
        let user = self.config.users.get(name).ok_or_else(|| unknown("user", name))?;
        match user.state {
            Switch::Enabled => Ok(()),
            Switch::Disabled => Err(Refused::Invalid(format!("user {name:?} is disabled"))),
            Switch::Paused => Err(Refused::Invalid(format!("user {name:?} is paused"))),
        }
    }

    /// An address of ours as customer or watcher would send our mail back to ourselves.
    fn check_outsider(&self, address: &Address) -> Result<(), Refused> {
        if self.config.system_addresses.contains_key(address) {
            return Err(Refused::Invalid(format!("{address} is an address of this desk")));
        }
        Ok(())
    }
}

/// A text a person wrote, clean and not empty.
fn written(text: &str, what: &str) -> Result<String, Refused> {
    if text.chars().count() > TEXT_CHARS_MAX {
        let why = format!("{what} has at most {TEXT_CHARS_MAX} characters");
        return Err(Refused::Invalid(why));
    }
    let text = clean::block(text, TEXT_CHARS_MAX);
    if text.trim().is_empty() {
        return Err(Refused::Invalid(format!("{what} needs a text")));
    }
    Ok(text)
}

fn unknown(kind: &'static str, name: &str) -> Refused {
    Refused::Unknown { kind, name: name.into() }
}

fn list<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> String {
    addresses.into_iter().map(Address::as_str).collect::<Vec<_>>().join(", ")
}
