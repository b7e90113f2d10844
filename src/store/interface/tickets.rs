//! Tickets: found, listed, searched, and changed by commands.

use std::sync::Arc;

use jiff::Timestamp;

use crate::core::address::Address;
use crate::core::config::Config;
use crate::core::search::folded_words;
use crate::core::ticket::{Actor, Article, ArticleId, Command, Ticket, TicketId};
use crate::store::{
    Carried, Claim, CommandError, Once, Page, QueueCount, RememberedCustomer, Store, StoreError,
    TicketCursor, TicketQuery, TicketView, customers, desk, outbox, places, search, tickets,
};

impl Store {
    /// One ticket by its number.
    pub fn ticket(&self, number: &str) -> Result<Option<TicketView>, StoreError> {
        self.view(|view| tickets::view(view, number))
    }

    /// One article of a ticket.
    pub fn article(&self, number: &str, id: ArticleId) -> Result<Option<Article>, StoreError> {
        self.view(|view| tickets::article(view, number, id))
    }

    /// One ticket by its identity.
    pub fn ticket_by_id(&self, id: TicketId) -> Result<Option<Ticket>, StoreError> {
        self.view(|view| tickets::by_id(&view.tickets, id.0))
    }

    /// One ticket by its number, without articles and history.
    pub fn ticket_alone(&self, number: &str) -> Result<Option<Ticket>, StoreError> {
        self.view(|view| tickets::alone(view, number))
    }

    /// How many tickets there are.
    pub fn ticket_count(&self) -> Result<u64, StoreError> {
        self.view(tickets::count)
    }

    /// Tickets in the order that is asked for. A page may hold fewer than `limit` and still have a
    /// next one.
    pub fn tickets(
        &self,
        query: &TicketQuery,
        after: Option<TicketCursor>,
        limit: usize,
    ) -> Result<Page<Ticket, TicketCursor>, StoreError> {
        let index = self.0.search.index();
        self.view(|view| places::list(view, index.as_ref(), query, after, limit))
    }

    /// How many tickets lie in each queue and state; without a row there are none.
    pub fn queue_counts(&self) -> Result<Vec<QueueCount>, StoreError> {
        self.view(places::counts)
    }

    /// Customers remembered from their tickets, in the order of their addresses, whose address,
    /// name or company holds all of these words. A page may hold fewer than `limit` and still have
    /// a next one.
    pub fn customers(
        &self,
        words: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<RememberedCustomer, String>, StoreError> {
        let words = folded_words(words);
        self.view(|view| customers::list(view, &words, after, limit))
    }

    /// What is known of one customer from his tickets.
    pub fn customer(&self, address: &Address) -> Result<Option<RememberedCustomer>, StoreError> {
        self.view(|view| customers::one(view, address))
    }

    /// How many articles the index of the search has not read.
    pub fn search_unread(&self) -> Result<u64, StoreError> {
        let next = self.view(search::next_entry)?;
        Ok(self.0.search.marks().map_or(next, |marks| next.saturating_sub(1 + marks.done)))
    }

    /// Waits until the search knows everything that is committed. Blocks.
    pub fn index_now(&self) -> Result<(), StoreError> {
        let next = self.view(search::next_entry)?;
        self.0.search.settle(next.saturating_sub(1))
    }

    /// Carries commands out on one ticket, all or none.
    pub async fn command(
        &self,
        config: Arc<Config>,
        number: &str,
        commands: Vec<Command>,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Carried, CommandError> {
        self.command_once(config, number, commands, actor, now, None).await
    }

    /// The same. With `once`, a request has one effect: a repeated one is answered as before within
    /// a day, and changes nothing.
    pub async fn command_once(
        &self,
        config: Arc<Config>,
        number: &str,
        commands: Vec<Command>,
        actor: Actor,
        now: Timestamp,
        once: Option<Once>,
    ) -> Result<Carried, CommandError> {
        let number = number.to_owned();
        let order = desk::Order { config, number, commands, actor, now, once };
        let rules = self.0.shared.rules;
        self.write(0, 0, move |tx| tx.command(&rules, &order)).await?
    }

    /// Takes the key of a request that is not about one ticket. It is its own from now on.
    pub async fn claim(&self, once: Once, now: Timestamp) -> Result<Claim, StoreError> {
        self.write(0, 0, move |tx| tx.claim(&once, now)).await
    }

    /// Keeps what such a request was answered.
    pub async fn keep_answer(
        &self,
        once: Once,
        answer: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(0, 0, move |tx| tx.keep(&once, Some(&answer), now)).await
    }

    /// Tickets that are locked, for the clockwork.
    pub fn locked(&self) -> Result<Vec<Ticket>, StoreError> {
        self.view(tickets::locked)
    }

    /// Tickets whose pending time is over, for the clockwork.
    pub fn pending_over(&self, now: Timestamp) -> Result<Vec<Ticket>, StoreError> {
        self.view(|view| tickets::pending_over(view, outbox::micros(now)))
    }
}
