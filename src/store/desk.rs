//! Commands on one ticket: all or none, decided by `core::desk::act`, then written.
//!
//! Architecture invariant: everything is decided before anything is written, so that a command
//! that is refused leaves nothing behind.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use jiff::Timestamp;

use super::facts::day;
use super::fault::Fault;
use super::once::Before;
use super::transaction::Tx;
use super::writer::said;
use super::{Carried, CommandError, Once, Owing, Rules};
use crate::core::config::Config;
use crate::core::desk::DeskFacts;
use crate::core::intake::{Effect, NextIds};
use crate::core::outgoing::OutgoingId;
use crate::core::ticket::{Actor, Article, ArticleId, ArticleKind, Command, Ticket, TicketId};

/// Commands on one ticket.
pub(super) struct Order {
    pub config: Arc<Config>,
    pub number: String,
    pub commands: Vec<Command>,
    pub actor: Actor,
    pub now: Timestamp,
    /// Set if it must have one effect, however often it is asked for.
    pub once: Option<Once>,
}

/// What the commands so far made of the tickets, before anything is written.
struct Draft {
    ticket: Ticket,
    articles: Vec<Article>,
    /// Other tickets that were changed.
    others: BTreeMap<TicketId, Ticket>,
    next: NextIds,
    effects: Vec<Effect>,
}

impl Tx<'_> {
    /// Carries commands out.
    pub(super) fn command(
        &mut self,
        rules: &Rules,
        order: &Order,
    ) -> Result<Result<Carried, CommandError>, Fault> {
        if let Some(once) = &order.once {
            match self.before(once, order.now)? {
                Before::New => {}
                Before::Answered(ticket) => {
                    return Ok(Ok(Carried { ticket: *ticket, owing: Owing::default() }));
                }
                Before::Other => return Ok(Err(CommandError::KeyReused)),
            }
        }
        let Some(ticket) = self.by_number(&order.number)? else {
            return Ok(Err(CommandError::NoTicket(order.number.clone())));
        };
        let today = day(&order.config, order.now);
        let next = NextIds { tickets_today: self.tickets_on(&today)?, ..self.next_ids() };
        let articles = self.mail_articles(ticket.id.0)?;
        let mut draft =
            Draft { ticket, articles, others: BTreeMap::new(), next, effects: Vec::new() };
        for command in &order.commands {
            if let Err(error) = self.act(rules, order, command, &mut draft)? {
                return Ok(Err(error));
            }
        }
        let owing = Owing::of(&draft.effects);
        for effect in draft.effects {
            self.write_effect(&order.config, effect, &today)?;
        }
        if let Some(once) = &order.once {
            self.remember_answer(once, &draft.ticket, order.now)?;
        }
        Ok(Ok(Carried { ticket: draft.ticket, owing }))
    }

    fn act(
        &self,
        rules: &Rules,
        order: &Order,
        command: &Command,
        draft: &mut Draft,
    ) -> Result<Result<(), CommandError>, Fault> {
        let other = match command {
            Command::MergeInto(number) => self.main_by_number(number)?,
            _ => None,
        };
        let other = other.map(|other| draft.others.get(&other.id).cloned().unwrap_or(other));
        let facts = DeskFacts {
            ticket: draft.ticket.clone(),
            articles: draft.articles.clone(),
            other,
            full_hours: self.full_hours(order.now)?,
            desk_key: self.desk_key.clone(),
            next: draft.next,
        };
        let act = || (rules.act)(&order.config, &facts, command, &order.actor, order.now);
        let effects = match catch_unwind(AssertUnwindSafe(act)) {
            Ok(Ok(effects)) => effects,
            Ok(Err(refused)) => return Ok(Err(refused.into())),
            Err(panic) => return Err(Fault::Row(format!("panic: {}", said(&*panic)))),
        };
        for effect in effects {
            if let Some(misfit) = self.misfit(&effect)? {
                return Err(Fault::Row(misfit));
            }
            draft.take(effect);
        }
        Ok(Ok(()))
    }
}

impl Draft {
    fn take(&mut self, effect: Effect) {
        for article in &effect.articles {
            self.next.article = ArticleId(self.next.article.0.max(article.id.0 + 1));
        }
        for mail in &effect.owed {
            self.next.outgoing = OutgoingId(self.next.outgoing.0.max(mail.id.0 + 1));
        }
        if effect.ticket.id == self.ticket.id {
            self.ticket = effect.ticket.clone();
            let mails = effect.articles.iter().filter(|added| added.kind != ArticleKind::Note);
            self.articles.extend(mails.cloned());
        } else {
            self.others.insert(effect.ticket.id, effect.ticket.clone());
        }
        self.effects.push(effect);
    }
}
