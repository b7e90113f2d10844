//! What agents, tokens and the clock do to tickets: one command in, the effects out.
//!
//! Architecture invariant: a command is carried out whole or refused, and everything it did
//! stands in the events of its effect. Who may give which command is decided by the caller; who is
//! told of it in [`super::notify`].

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::address::Address;
use super::config::{Config, Language, Switch};
use super::intake::{DeskKey, Effect, NextIds};
use super::language;
use super::mail::{REFERENCES_MAX, SUBJECT_CHARS_MAX};
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

/// An answer as somebody writes it.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Text.
    pub text: &'a str,
    /// Recipients; empty means the customer.
    pub to: &'a [Address],
    /// Copies.
    pub cc: &'a [Address],
    /// Subject; `None` keeps the ticket's title.
    pub subject: Option<&'a str>,
}

/// An answer as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// From which address; `None` if nothing can send it.
    pub from: Option<Address>,
    /// To whom.
    pub to: Vec<Address>,
    /// Copies.
    pub cc: Vec<Address>,
    /// Subject without the number of the ticket.
    pub subject: String,
    /// Text with what stands around it.
    pub text: String,
    /// The language of the customer.
    pub language: Language,
}

/// What an answer becomes before it is sent: by the same rules it is shown beforehand.
///
/// `articles` are those of the ticket, oldest first.
pub fn compose(
    config: &Config,
    ticket: &Ticket,
    articles: &[Article],
    actor: &Actor,
    answer: Answer<'_>,
) -> Result<Composed, Refused> {
    let text = written(answer.text, "an answer")?;
    let language = language_of(config, ticket, articles);
    let customer = ticket.customer.as_ref().map(|customer| customer.answer_to().clone());
    let to = match answer.to {
        [] => customer.into_iter().collect(),
        named => named.to_vec(),
    };
    if to.len() + answer.cc.len() > render::LETTER_RECIPIENTS_MAX {
        let max = render::LETTER_RECIPIENTS_MAX;
        return Err(Refused::Invalid(format!("an answer goes to at most {max} addresses")));
    }
    Ok(Composed {
        from: render::letter_from(config, ticket).cloned(),
        to,
        cc: answer.cc.to_vec(),
        subject: clean::line(answer.subject.unwrap_or(&ticket.title), SUBJECT_CHARS_MAX),
        text: render::answer(config, ticket, language, &author_name(config, actor), &text),
        language,
    })
}

/// The language in which the customer of a ticket is answered; these are its articles.
pub fn language_of(config: &Config, ticket: &Ticket, articles: &[Article]) -> Language {
    let customer = ticket.customer.as_ref().map(|customer| &customer.address);
    customer.map_or(config.desk.language, |address| {
        language::of_customer(config, address, articles.iter())
    })
}

/// Name of who writes, as customers see it.
pub fn author_name(config: &Config, actor: &Actor) -> String {
    match actor {
        Actor::Agent(name) => {
            let full_name = config.users.get(name).map(|user| &user.full_name);
            full_name.filter(|full| !full.is_empty()).unwrap_or(name).clone()
        }
        Actor::Token(name) => name.clone(),
        Actor::Customer(address) => address.to_string(),
        Actor::System => config.desk.name.clone(),
    }
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
        let (config, articles) = (self.config, &self.facts.articles);
        let answer = Answer { text, to, cc, subject };
        let composed = compose(config, &self.ticket, articles, self.actor, answer)?;
        let Composed { subject, text, to, .. } = composed;
        let author = self.author_name();
        // What the customer never saw would be a gap in his thread.
        let shown = self.facts.articles.iter().filter(|article| article.visible_for_customer);
        let thread: Vec<String> = shown.filter_map(|article| article.message_id.clone()).collect();
        let letter = Letter {
            files: &[],
            author: &author,
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
        article.references = thread[thread.len().saturating_sub(REFERENCES_MAX)..].to_vec();
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
            reply_to: None,
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
        let missing = || Refused::Invalid(format!("there is no ticket {number:?}"));
        let main = self.facts.other.as_ref().ok_or_else(missing)?;
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
        author_name(self.config, self.actor)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::config::CustomerProfile;
    use crate::core::outgoing::{OutgoingId, OutgoingKind};
    use crate::core::ticket::samples::{address, article, config, key, next_ids, now, ticket};
    use crate::core::ticket::{Priority, TicketId};

    const DONE: State = State::Closed { successful: true };

    fn bob() -> Actor {
        Actor::Agent("bob".into())
    }

    fn later() -> Timestamp {
        now() + SignedDuration::from_hours(1)
    }

    fn facts(ticket: Ticket) -> DeskFacts {
        DeskFacts {
            ticket,
            articles: vec![article(1, ArticleKind::MailIn)],
            other: None,
            desk_key: key(),
            next: next_ids(),
        }
    }

    /// alice's ticket, locked for an hour.
    fn locked() -> Ticket {
        Ticket { owner: Some("alice".into()), locked_since: Some(now()), ..ticket() }
    }

    fn run(ticket: Ticket, command: Command) -> Result<Vec<Effect>, Refused> {
        act(&config(), &facts(ticket), &command, &bob(), later())
    }

    fn words(effect: &Effect) -> Vec<String> {
        let told = |what: &What| matches!(what, What::Notified { .. });
        let events = effect.events.iter().filter(|event| !told(&event.what));
        events
            .map(|event| match event.why.as_str() {
                "" => format!("{:?}", event.what),
                why => format!("{:?} ({why})", event.what),
            })
            .collect()
    }

    /// What bob's command does to a ticket, without who was told of it.
    #[track_caller]
    fn check(before: Ticket, command: Command, expected: &[What], after: Ticket) {
        let effects = run(before.clone(), command).unwrap();
        let [effect] = effects.as_slice() else { panic!("one effect: {effects:?}") };
        let told = |event: &&Event| !matches!(event.what, What::Notified { .. });
        let happened: Vec<&What> =
            effect.events.iter().filter(told).map(|event| &event.what).collect();
        assert_eq!(happened, expected.iter().collect::<Vec<_>>());
        assert!(effect.events.iter().filter(told).all(|event| event.actor == bob()));
        assert_eq!(effect.ticket, Ticket { updated: later(), ..after });
        assert!(!effect.created);
    }

    #[track_caller]
    fn check_nothing(ticket: Ticket, command: Command) {
        assert_eq!(run(ticket, command), Ok(Vec::new()));
    }

    #[track_caller]
    fn check_refused(command: Command, part: &str) {
        let refused = run(ticket(), command).expect_err("this is refused").to_string();
        assert!(refused.contains(part), "{refused}");
    }

    /// Who is told, as `event who`.
    fn told(effect: &Effect) -> Vec<String> {
        let one = |event: &Event| match &event.what {
            What::Notified { who, event } => Some(format!("{event} {who}")),
            _ => None,
        };
        effect.events.iter().filter_map(one).collect()
    }

    fn note(text: &str, visible_for_customer: bool) -> Command {
        Command::Note { subject: "call".into(), text: text.into(), visible_for_customer }
    }

    fn reply(to: &[&str], subject: Option<&str>) -> Command {
        Command::Reply {
            text: "Turn it on.".into(),
            to: to.iter().map(|to| address(to)).collect(),
            cc: Vec::new(),
            subject: subject.map(str::to_owned),
        }
    }

    fn set_state(state: State) -> Command {
        Command::SetState { state, pending_until: None }
    }

    #[test]
    fn a_note() {
        let effects = run(ticket(), note("he called\r\nagain\0", false)).unwrap();
        let added = &effects[0].articles[0];
        assert_eq!((added.id, added.kind), (ArticleId(50), ArticleKind::Note));
        assert_eq!((added.text.as_str(), added.subject.as_str()), ("he called\nagain", "call"));
        assert_eq!((added.from.as_str(), added.author), ("Bob", AuthorKind::Agent));
        assert!(!added.visible_for_customer && added.message_id.is_none());
        let what = What::ArticleAdded { article: ArticleId(50), kind: ArticleKind::Note };
        check(ticket(), note("x", true), &[what], ticket());
    }

    #[test]
    fn a_note_tells_the_owner() {
        let owned = Ticket { owner: Some("alice".into()), ..ticket() };
        let effects = run(owned, note("he called", false)).unwrap();
        assert_eq!(told(&effects[0]), ["noteAdded alice"]);
        assert_eq!(effects[0].owed[0].recipient, address("alice@agents.test"));
    }

    #[test]
    fn a_note_without_text() {
        check_refused(note(" \r\n\0", false), "needs a text");
        check_refused(note(&"x".repeat(TEXT_CHARS_MAX + 1), false), "at most 200000 characters");
    }

    #[test]
    fn a_reply() {
        let new = Ticket { state: State::New, ..ticket() };
        let effects = run(new, reply(&[], None)).unwrap();
        let effect = &effects[0];
        assert_eq!(
            words(effect),
            [
                "ArticleAdded { article: ArticleId(50), kind: MailOut } (to eve@cust.test)",
                "State { from: New, to: Open } (answered)",
            ]
        );
        assert_eq!((effect.ticket.state, effect.ticket.owner.as_ref()), (State::Open, None));
        let (mail, added) = (&effect.owed[0], &effect.articles[0]);
        assert_eq!((mail.kind.clone(), mail.id), (OutgoingKind::Reply, OutgoingId(10)));
        assert_eq!(added.message_id.as_deref(), Some(mail.message_id.as_str()));
        assert_eq!(added.references, ["m1@cust.test"]);
        assert_eq!(
            (added.subject.as_str(), added.to.as_str()),
            ("Printer broken", "eve@cust.test")
        );
        assert!(added.visible_for_customer);
    }

    #[test]
    fn a_reply_goes_out_as_it_was_shown_before() {
        let mut config = config();
        let texts = [
            (Language::En, "Dear {{ customer.name }},\n{{ text }}\n{{ agent.name }}".to_owned()),
            (Language::Ja, "{{ customer.name }} 様\n{{ text }}".to_owned()),
        ];
        config.queues.get_mut("support").unwrap().answer = texts.into();
        config.desk.language = Language::En;
        let mut facts = facts(ticket());
        for (asked, salutation) in [("It smokes", "Dear Eve"), ("煙が出ています", "Eve")] {
            facts.articles.iter_mut().for_each(|article| article.text = asked.into());
            let answer = Answer { text: "Done", to: &[], cc: &[], subject: None };
            let shown = compose(&config, &facts.ticket, &facts.articles, &bob(), answer).unwrap();
            assert!(shown.text.starts_with(salutation), "{}", shown.text);
            let command = reply(&[], None);
            let Command::Reply { text, .. } = &command else { panic!() };
            let answer = Answer { text, ..answer };
            let shown = compose(&config, &facts.ticket, &facts.articles, &bob(), answer).unwrap();
            let effects = act(&config, &facts, &command, &bob(), now()).unwrap();
            let article = &effects[0].articles[0];
            assert_eq!((&article.text, &article.subject), (&shown.text, &shown.subject));
        }
    }

    #[test]
    fn a_reply_to_others_makes_them_take_part() {
        let effects = run(ticket(), reply(&["boss@cust.test"], Some("Re: x"))).unwrap();
        let recipients: Vec<_> = effects[0].owed.iter().map(|mail| &mail.recipient).collect();
        assert_eq!(recipients, [&address("boss@cust.test")]);
        assert!(effects[0].ticket.participants.contains(&address("boss@cust.test")));
        assert_eq!(effects[0].articles[0].subject, "Re: x");
        assert_eq!(words(&effects[0]).len(), 1, "an open ticket stays as it is");
    }

    #[test]
    fn replies_that_reach_nobody() {
        check_refused(reply(&["sales@desk.test"], None), "addresses of this desk");
        let many: Vec<String> = (0..51).map(|at| format!("p{at}@cust.test")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check_refused(reply(&many, None), "at most 50");
        let nobodys = Ticket { customer: None, ..ticket() };
        let refused = run(nobodys, reply(&[], None)).unwrap_err().to_string();
        assert!(refused.contains("no customer"), "{refused}");
        let mut config = config();
        config.senders.clear();
        config.system_addresses.clear();
        let command = reply(&[], None);
        let refused = act(&config, &facts(ticket()), &command, &bob(), now()).unwrap_err();
        assert!(refused.to_string().contains("senders.default"), "{refused}");
    }

    #[test]
    fn states() {
        let what = |to| What::State { from: State::Open, to };
        let closed = Ticket { state: DONE, closed: Some(later()), ..ticket() };
        check(ticket(), set_state(DONE), &[what(DONE)], closed.clone());
        let resolved = Ticket { state: State::Resolved, ..ticket() };
        check(ticket(), set_state(State::Resolved), &[what(State::Resolved)], resolved);
        let reopened = Ticket { state: State::Open, ..closed.clone() };
        let what = What::State { from: DONE, to: State::Open };
        check(closed, set_state(State::Open), &[what], reopened);
        check_nothing(ticket(), set_state(State::Open));
        check_refused(set_state(State::Merged), "by merge");
    }

    #[test]
    fn pending() {
        let until = later() + SignedDuration::from_hours(2);
        let pend = |until| Command::SetState { state: State::Pending, pending_until: Some(until) };
        let waiting = Ticket { state: State::Pending, pending_until: Some(until), ..ticket() };
        let what = What::State { from: State::Open, to: State::Pending };
        check(ticket(), pend(until), &[what], waiting.clone());
        check_nothing(waiting.clone(), pend(until));
        let what = What::State { from: State::Pending, to: State::Open };
        check(waiting.clone(), set_state(State::Open), &[what], ticket());
        let longer = until + SignedDuration::from_hours(1);
        let what = What::State { from: State::Pending, to: State::Pending };
        let after = Ticket { pending_until: Some(longer), ..waiting.clone() };
        check(waiting, pend(longer), &[what], after);
        check_refused(set_state(State::Pending), "needs the time");
        check_refused(pend(now()), "over already");
    }

    #[test]
    fn closing_by_somebody_else_keeps_the_lock_and_tells_the_owner() {
        let effects = run(locked(), set_state(DONE)).unwrap();
        assert_eq!(effects[0].ticket.locked_since, Some(now()));
        assert_eq!(effects[0].ticket.owner.as_deref(), Some("alice"));
        assert_eq!(told(&effects[0]), ["lockTimeout alice"]);
    }

    #[test]
    fn closing_by_the_owner_tells_nobody() {
        let alice = Actor::Agent("alice".into());
        let effects = act(&config(), &facts(locked()), &set_state(DONE), &alice, later()).unwrap();
        assert_eq!(told(&effects[0]), Vec::<String>::new());
    }

    #[test]
    fn queues() {
        let after = Ticket { queue: "sales".into(), ..ticket() };
        let what = What::Queue { from: "support".into(), to: "sales".into() };
        check(ticket(), Command::SetQueue("sales".into()), &[what], after);
        check_nothing(ticket(), Command::SetQueue("support".into()));
        check_refused(Command::SetQueue("nowhere".into()), "queue \"nowhere\" is not declared");
        let effects = run(ticket(), Command::SetQueue("sales".into())).unwrap();
        assert_eq!(told(&effects[0]), ["queueUpdated carol"]);
    }

    #[test]
    fn owners() {
        let owned = Ticket { owner: Some("alice".into()), ..ticket() };
        let set = |name: &str| Command::SetOwner(Some(name.into()));
        let what = What::Owner { from: None, to: Some("alice".into()) };
        check(ticket(), set("alice"), &[what], owned.clone());
        check_nothing(owned.clone(), set("alice"));
        let what = What::Owner { from: Some("alice".into()), to: None };
        check(owned.clone(), Command::SetOwner(None), &[what], ticket());
        check_refused(set("zoe"), "user \"zoe\" is not declared");
        let effects = run(owned, set("carol")).unwrap();
        assert_eq!(told(&effects[0]), ["ownerChanged carol", "ownerChanged alice"]);
    }

    #[test]
    fn agents_who_are_away_get_nothing_to_do() {
        for (state, word) in [(Switch::Disabled, "disabled"), (Switch::Paused, "paused")] {
            let mut config = config();
            config.users.get_mut("alice").unwrap().state = state;
            for command in [
                Command::SetOwner(Some("alice".into())),
                Command::SetResponsible(Some("alice".into())),
                Command::Watch(Watcher::Agent("alice".into())),
            ] {
                let refused = act(&config, &facts(ticket()), &command, &bob(), now());
                assert!(refused.unwrap_err().to_string().contains(word));
            }
        }
    }

    #[test]
    fn responsible() {
        let after = Ticket { responsible: Some("alice".into()), ..ticket() };
        let what = What::Responsible { from: None, to: Some("alice".into()) };
        let command = Command::SetResponsible(Some("alice".into()));
        check(ticket(), command.clone(), &[what], after.clone());
        check_nothing(after, command);
        check_refused(Command::SetResponsible(Some("zoe".into())), "not declared");
    }

    #[test]
    fn a_lock_gives_the_ticket_to_who_locks_it() {
        let owner = What::Owner { from: None, to: Some("bob".into()) };
        let after = Ticket { owner: Some("bob".into()), locked_since: Some(later()), ..ticket() };
        check(ticket(), Command::SetLock(true), &[owner, What::Locked], after);
    }

    #[test]
    fn a_lock_leaves_the_owner() {
        let owned = Ticket { owner: Some("alice".into()), ..ticket() };
        let after = Ticket { locked_since: Some(later()), ..owned.clone() };
        check(owned, Command::SetLock(true), &[What::Locked], after);
        check_nothing(locked(), Command::SetLock(true));
    }

    #[test]
    fn unlocking_leaves_the_owner_and_tells_him() {
        let after = Ticket { locked_since: None, ..locked() };
        check(locked(), Command::SetLock(false), &[What::Unlocked], after);
        check_nothing(ticket(), Command::SetLock(false));
        let effects = run(locked(), Command::SetLock(false)).unwrap();
        assert_eq!(told(&effects[0]), ["lockTimeout alice"]);
    }

    #[test]
    fn priority() {
        let after = Ticket { priority: Priority::High, ..ticket() };
        let what = What::Priority { from: Priority::Normal, to: Priority::High };
        check(ticket(), Command::SetPriority(Priority::High), &[what], after);
        check_nothing(ticket(), Command::SetPriority(Priority::Normal));
    }

    #[test]
    fn title() {
        let after = Ticket { title: "Printer 2 broken".into(), ..ticket() };
        let what = What::Title { from: ticket().title, to: after.title.clone() };
        check(ticket(), Command::SetTitle(" Printer 2\r\nbroken".into()), &[what], after);
        check_nothing(ticket(), Command::SetTitle(ticket().title));
        check_refused(Command::SetTitle("\u{202e} ".into()), "at least one character");
    }

    #[test]
    fn a_change_of_customer_ends_the_old_ones_watch() {
        let eve = Watcher::Customer(address("eve@cust.test"));
        let watched = Ticket { watchers: [eve.clone()].into(), ..ticket() };
        let mut config = config();
        let profile = CustomerProfile {
            name: Some("Max Muster".into()),
            company: Some("Muster".into()),
            language: None,
        };
        config.customers.insert(address("max@cust.test"), profile);
        let command = Command::SetCustomer(address("max@cust.test"));
        let effects = act(&config, &facts(watched), &command, &bob(), later()).unwrap();
        let after = &effects[0].ticket;
        let max = Customer {
            address: address("max@cust.test"),
            name: "Max Muster".into(),
            company: Some("Muster".into()),
            reply_to: None,
        };
        assert_eq!((after.customer.as_ref(), after.watchers.len()), (Some(&max), 0));
        assert!(after.participants.contains(&address("max@cust.test")));
        assert_eq!(effects[0].events[0].why, "the watch of eve@cust.test ended");
        assert_eq!(effects[0].events[1].what, What::WatcherRemoved { who: eve });
        assert_eq!(effects[0].events[1].why, "the customer is now max@cust.test");
    }

    #[test]
    fn a_change_of_customer_leaves_other_watches() {
        let watched = Ticket { watchers: [Watcher::Agent("dave".into())].into(), ..ticket() };
        let effects = run(watched, Command::SetCustomer(address("max@cust.test"))).unwrap();
        assert_eq!(effects[0].ticket.watchers.len(), 1);
        assert_eq!(effects[0].events.len(), 1);
        check_nothing(ticket(), Command::SetCustomer(address("eve@cust.test")));
        check_refused(Command::SetCustomer(address("sales@desk.test")), "address of this desk");
    }

    #[test]
    fn watching() {
        for who in [Watcher::Agent("dave".into()), Watcher::Customer(address("boss@cust.test"))] {
            let watched = Ticket { watchers: [who.clone()].into(), ..ticket() };
            let added = What::WatcherAdded { who: who.clone() };
            check(ticket(), Command::Watch(who.clone()), &[added], watched.clone());
            check_nothing(watched.clone(), Command::Watch(who.clone()));
            let removed = What::WatcherRemoved { who: who.clone() };
            check(watched, Command::Unwatch(who.clone()), &[removed], ticket());
            check_nothing(ticket(), Command::Unwatch(who));
        }
        check_refused(Command::Watch(Watcher::Agent("zoe".into())), "not declared");
        let ours = Watcher::Customer(address("support@desk.test"));
        check_refused(Command::Watch(ours), "address of this desk");
    }

    fn main_ticket() -> Ticket {
        Ticket {
            id: TicketId(2),
            number: "2026112210000026".into(),
            customer: None,
            participants: [address("max@cust.test")].into(),
            ..ticket()
        }
    }

    fn merge(source: Ticket, main: Option<Ticket>) -> Result<Vec<Effect>, Refused> {
        let facts = DeskFacts { other: main, ..facts(source) };
        let command = Command::MergeInto("2026112210000026".into());
        act(&config(), &facts, &command, &bob(), later())
    }

    #[test]
    fn a_merge() {
        let watcher = Watcher::Agent("dave".into());
        let source = Ticket { watchers: [watcher.clone()].into(), ..locked() };
        let effects = merge(source.clone(), Some(main_ticket())).unwrap();
        let [merged, main] = effects.as_slice() else { panic!("two effects: {effects:?}") };
        assert_eq!(
            words(merged),
            [
                "Unlocked",
                "State { from: Open, to: Merged }",
                "MergedInto { number: \"2026112210000026\" }",
            ]
        );
        assert_eq!((merged.ticket.state, merged.ticket.locked_since), (State::Merged, None));
        assert_eq!(merged.ticket.merged_into, Some(TicketId(2)));
        assert_eq!(words(main), ["MergedFrom { number: \"2026112210000018\" }"]);
        assert_eq!(main.ticket.id, TicketId(2));
        assert!(main.ticket.participants.contains(&address("eve@cust.test")));
        assert!(main.ticket.participants.contains(&address("max@cust.test")));
        assert!(main.ticket.watchers.contains(&watcher));
        assert_eq!((main.ticket.state, main.ticket.merged_into), (State::Open, None));
        assert_eq!(told(merged), ["lockTimeout alice"], "her ticket was taken away");
    }

    #[test]
    fn merges_that_make_no_sense() {
        let refused = |main| merge(ticket(), main).unwrap_err().to_string();
        assert!(refused(None).contains("no ticket \"2026112210000026\""));
        assert!(refused(Some(ticket())).contains("into itself"));
        let gone = Ticket { state: State::Merged, merged_into: Some(TicketId(3)), ..main_ticket() };
        assert!(refused(Some(gone)).contains("itself merged"));
    }

    #[test]
    fn a_merged_ticket_refuses_everything() {
        let gone = Ticket { state: State::Merged, merged_into: Some(TicketId(2)), ..locked() };
        let dave = Watcher::Agent("dave".into());
        let to = address("eve@cust.test");
        for command in [
            note("x", false),
            reply(&[], None),
            set_state(State::Open),
            Command::SetQueue("sales".into()),
            Command::SetOwner(None),
            Command::SetResponsible(None),
            Command::SetLock(false),
            Command::SetPriority(Priority::High),
            Command::SetTitle("x".into()),
            Command::SetCustomer(address("max@cust.test")),
            Command::Watch(dave.clone()),
            Command::Unwatch(dave),
            Command::MergeInto("2026112210000026".into()),
            Command::TimeOutLock,
            Command::ReachPending,
            Command::DeliveryFailed { to, reason: "550".into() },
        ] {
            assert_eq!(run(gone.clone(), command), Err(Refused::Merged));
        }
    }

    #[track_caller]
    fn check_timeout(timeout: Option<u64>, expected: bool) {
        let mut config = config();
        config.queues.get_mut("support").unwrap().lock_timeout = timeout.map(Duration::from_secs);
        let facts = facts(locked());
        let effects = act(&config, &facts, &Command::TimeOutLock, &Actor::System, later()).unwrap();
        assert_eq!(!effects.is_empty(), expected);
        if let [effect] = effects.as_slice() {
            assert_eq!(effect.events[0].what, What::LockTimedOut);
            assert_eq!(effect.ticket.locked_since, None);
            assert_eq!(told(effect), ["lockTimeout alice"]);
        }
    }

    #[test]
    fn locks_run_out_in_their_time() {
        check_timeout(None, true);
        check_timeout(Some(3600), true);
        check_timeout(Some(3601), false);
        check_nothing(ticket(), Command::TimeOutLock);
    }

    #[test]
    fn work_on_a_ticket_keeps_its_lock() {
        let effects = run(locked(), note("at it", false)).unwrap();
        assert_eq!(effects[0].ticket.locked_since, Some(later()));
        let effects = run(ticket(), note("at it", false)).unwrap();
        assert_eq!(effects[0].ticket.locked_since, None);
    }

    #[test]
    fn a_pending_time_is_reached() {
        let waiting = |until| Ticket {
            state: State::Pending,
            pending_until: Some(until),
            owner: Some("alice".into()),
            ..ticket()
        };
        let effects = run(waiting(later()), Command::ReachPending).unwrap();
        assert_eq!(effects[0].events[0].what, What::PendingReached);
        assert_eq!((effects[0].ticket.state, effects[0].ticket.pending_until), (State::Open, None));
        assert_eq!(told(&effects[0]), ["pendingReached alice"]);
        let too_soon = later() + SignedDuration::from_secs(1);
        check_nothing(waiting(too_soon), Command::ReachPending);
        check_nothing(ticket(), Command::ReachPending);
    }

    #[test]
    fn a_delivery_fails() {
        let to = address("eve@cust.test");
        let command =
            Command::DeliveryFailed { to: to.clone(), reason: "550 no\r\nsuch user".into() };
        let what = What::DeliveryFailed { to: to.clone(), reason: "550 no such user".into() };
        let after = Ticket { undeliverable: [to].into(), ..ticket() };
        check(ticket(), command.clone(), std::slice::from_ref(&what), after.clone());
        // The next failure is history; nobody is told again.
        check(after.clone(), command.clone(), &[what], after.clone());
        assert_eq!(told(&run(after, command.clone()).unwrap()[0]), Vec::<String>::new());
        let system = act(&config(), &facts(ticket()), &command, &Actor::System, now()).unwrap();
        assert_eq!(told(&system[0]), ["deliveryFailed alice", "deliveryFailed bob"]);
    }

    #[test]
    fn identities_are_used_once() {
        let owned = Ticket { owner: Some("alice".into()), ..ticket() };
        let watched = Ticket {
            watchers: [Watcher::Agent("dave".into()), Watcher::Agent("carol".into())].into(),
            ..owned
        };
        let effects = run(watched, note("x", false)).unwrap();
        let ids: Vec<u64> = effects[0].owed.iter().map(|mail| mail.id.0).collect();
        assert_eq!(ids, [10, 11, 12]);
    }
}
