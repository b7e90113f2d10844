//! What is to be written, given what the store knows: a list of calls, one question after the
//! other. The first question that is answered with yes decides.
//!
//! Architecture invariant: runs inside the write transaction. It parses nothing, evaluates
//! nobody's regular expression, and every identity it uses is counted up from `facts.next`.

use jiff::Timestamp;

use super::answer::Occasion;
use super::{
    Decision, Effect, Facts, Judgement, NextIds, Outcome, Why, bounce, create, follow_up, proof,
};
use crate::core::config::{Config, Customers};
use crate::core::mail::Remarks;
use crate::core::render::{self, Stationery};
use crate::core::reply::Suppression;
use crate::core::ticket::{
    Actor, Article, ArticleId, ArticleKind, AuthorKind, Event, Ticket, TicketId, What,
};

/// Everything that deciding on one mail needs at hand.
pub(super) struct Sitting<'a> {
    pub(super) config: &'a Config,
    pub(super) judgement: &'a Judgement,
    pub(super) facts: &'a Facts,
    pub(super) now: Timestamp,
    /// Who acts: the sender as far as he proved who he is.
    pub(super) actor: Actor,
    /// How it was decided so far.
    pub(super) why: Vec<Why>,
    next: NextIds,
}

/// What is to be written.
pub(super) fn settle(
    config: &Config,
    judgement: &Judgement,
    facts: &Facts,
    now: Timestamp,
) -> Decision {
    let mut sitting = Sitting::begin(config, judgement, facts, now);
    if let Some(reason) = &judgement.quarantine {
        return sitting.quarantine(reason.clone());
    }
    if let Some(duplicate) = &facts.duplicate {
        let text = format!("same {} as {}", duplicate.key, duplicate.first);
        let decision = sitting.nothing(Outcome::Duplicate, "duplicate", text);
        return Decision { duplicate: Some(duplicate.key), ..decision };
    }
    if judgement.settings.ignore == Some(true) {
        return sitting.ignored();
    }
    if let Some(ticket) = bounce::ticket_of(&mut sitting) {
        return bounce::attach(sitting, ticket);
    }
    let found = follow_up::find(&mut sitting);
    match found.joins {
        Some(joined) if judgement.report.is_some() => bounce::attach(sitting, joined.ticket),
        Some(joined) => follow_up::join(sitting, joined),
        None if is_unwanted_report(config, judgement) => {
            sitting.quarantine("report about no mail of ours (intake.customers: declared)".into())
        }
        None => create::create(sitting, found.refused.as_ref(), None, Occasion::New),
    }
}

/// On a desk of declared customers a mail system's report makes no ticket either.
fn is_unwanted_report(config: &Config, judgement: &Judgement) -> bool {
    match config.intake.customers {
        Customers::Open => false,
        Customers::Declared => judgement.report.is_some() && judgement.sender.agent.is_none(),
    }
}

impl<'a> Sitting<'a> {
    fn begin(
        config: &'a Config,
        judgement: &'a Judgement,
        facts: &'a Facts,
        now: Timestamp,
    ) -> Sitting<'a> {
        let (why, next) = (judgement.why.clone(), facts.next);
        let actor = actor(judgement, false);
        Sitting { config, judgement, facts, now, actor, why, next }
    }

    /// Finds out whether the agent in From wrote it, given the ticket that it joins.
    pub(super) fn identify(&mut self, joins: Option<&Ticket>) {
        let Some(agent) = &self.judgement.sender.agent else { return };
        let proof = proof::of_agent(self.config, self.judgement, self.facts, self.now, joins);
        self.actor = actor(self.judgement, proof.is_ok());
        let words = proof.unwrap_or_else(str::to_owned);
        self.note("agent", format!("{agent}: {words}"));
    }

    /// Adds a line to the trace.
    pub(super) fn note(&mut self, step: &str, text: impl Into<String>) {
        self.why.push(Why::new(step, text));
    }

    /// Whether the sender surely is the agent whose address he writes from.
    pub(super) fn is_surely_agent(&self) -> bool {
        matches!(self.actor, Actor::Agent(_))
    }

    /// What happened, with its reason.
    pub(super) fn event(&self, what: What, why: impl Into<String>) -> Event {
        Event { at: self.now, actor: self.actor.clone(), what, why: why.into() }
    }

    /// The article of this mail, as part of a ticket. Nobody is shown as an agent who did not
    /// prove that he is one.
    pub(super) fn article(&mut self, ticket: TicketId) -> Article {
        let id = self.next_article();
        let article = self.judgement.article.clone();
        let claims = article.author == AuthorKind::Agent
            && self.judgement.settings.sender_type.is_none()
            && !self.is_surely_agent();
        let author = if claims { AuthorKind::Customer } else { article.author };
        let verified = self.judgement.sender.agent.as_ref().map(|_| self.is_surely_agent());
        Article { id, ticket, author, verified, created: self.now, ..article }
    }

    /// The identity of the next article.
    pub(super) fn next_article(&mut self) -> ArticleId {
        let id = self.next.article;
        self.next.article = ArticleId(id.0 + 1);
        id
    }

    /// Identities that were not used yet.
    pub(super) fn next(&mut self) -> &mut NextIds {
        &mut self.next
    }

    /// What mails of this transaction share.
    pub(super) fn stationery(&self) -> Stationery<'a> {
        Stationery { config: self.config, key: &self.facts.desk_key, now: self.now }
    }

    /// A filter wants nothing made of it.
    pub(super) fn ignored(self) -> Decision {
        self.nothing(Outcome::Ignored, "ignore", "a filter or control header said so")
    }

    fn quarantine(self, reason: String) -> Decision {
        let text = reason.clone();
        self.nothing(Outcome::Quarantined { reason }, "quarantine", text)
    }

    fn nothing(mut self, outcome: Outcome, step: &str, text: impl Into<String>) -> Decision {
        self.note(step, text);
        self.decision(outcome, None, None)
    }

    /// Tells everybody concerned and closes the sitting.
    pub(super) fn announce(
        mut self,
        outcome: Outcome,
        before: Option<&Ticket>,
        mut effect: Effect,
        suppressed: Option<Suppression>,
    ) -> Decision {
        let stationery = self.stationery();
        let full = &self.facts.full_hours;
        render::announce(stationery, full, before, &mut effect, &mut self.next);
        self.decision(outcome, Some(effect), suppressed)
    }

    fn decision(
        self,
        outcome: Outcome,
        effect: Option<Effect>,
        suppressed: Option<Suppression>,
    ) -> Decision {
        let filters = self.judgement.filters.clone();
        let why = self.why;
        Decision { outcome, effect, linked: None, suppressed, filters, duplicate: None, why }
    }
}

fn actor(judgement: &Judgement, proven: bool) -> Actor {
    let Some(address) = &judgement.sender.mailbox.address else { return Actor::System };
    match &judgement.sender.agent {
        Some(agent) if proven => Actor::Agent(agent.clone()),
        Some(_) => Actor::System,
        None if judgement.report.is_some() => Actor::System,
        None => Actor::Customer(address.clone()),
    }
}

/// An article that the desk itself adds.
pub(super) fn automatic_article(
    id: ArticleId,
    ticket: TicketId,
    kind: ArticleKind,
    now: Timestamp,
) -> Article {
    Article {
        id,
        ticket,
        kind,
        author: AuthorKind::System,
        visible_for_customer: true,
        from: String::new(),
        to: String::new(),
        cc: String::new(),
        subject: String::new(),
        text: String::new(),
        verified: None,
        message_id: None,
        references: Vec::new(),
        attachments: Vec::new(),
        headers: Vec::new(),
        remarks: Remarks::default(),
        automatic: false,
        raw: None,
        created: now,
    }
}
