//! Requests that must have one effect, however often they are made: what they were answered.
//!
//! Architecture invariant: what changes one ticket is answered in the transaction of its effect, so
//! that neither is ever there without the other. Other requests first claim their key, so that it is
//! theirs whatever becomes of them, and their answer is kept after their effect: one that died in
//! between is carried out again, and its effect allows that.

use jiff::{SignedDuration, Timestamp};
use redb::ReadableTable;

use super::fault::Fault;
use super::outbox::micros;
use super::rows::{OnceRow, decode, encode};
use super::transaction::Tx;
use super::{Claim, Once};
use crate::core::mail::Digest;
use crate::core::ticket::Ticket;

/// How long a request is recognised.
pub const ANSWERS_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Answers that one call removes.
const CLEAN_ANSWERS_MAX: usize = 1_000;

/// What is known of a request.
pub(super) enum Before {
    /// Nothing: it is carried out.
    New,
    /// It was carried out, with this answer.
    Answered(Box<Ticket>),
    /// Its key belongs to another request.
    Other,
}

impl Tx<'_> {
    /// Looks whether a request was carried out before.
    pub(super) fn before(&self, once: &Once, now: Timestamp) -> Result<Before, Fault> {
        let Some(row) = self.tables.once.get(&once.key.0)? else { return Ok(Before::New) };
        let row = decode::<OnceRow>(row.value())?;
        if now.duration_since(row.at) >= ANSWERS_KEPT {
            return Ok(Before::New);
        }
        match row.ticket {
            Some(ticket) if row.request == once.request.hex() => {
                Ok(Before::Answered(Box::new(ticket.ticket(row.id)?)))
            }
            Some(_) | None => Ok(Before::Other),
        }
    }

    /// Takes a key for a request, unless it belongs to another one.
    pub(super) fn claim(&mut self, once: &Once, now: Timestamp) -> Result<Claim, Fault> {
        let known = self.tables.once.get(&once.key.0)?;
        let known = known.map(|row| decode::<OnceRow>(row.value())).transpose()?;
        match known.filter(|row| now.duration_since(row.at) < ANSWERS_KEPT) {
            None => {
                self.keep(once, None, now)?;
                Ok(Claim::New)
            }
            Some(row) if row.request != once.request.hex() || row.ticket.is_some() => {
                Ok(Claim::Other)
            }
            Some(row) => Ok(row.answer.map_or(Claim::New, Claim::Answered)),
        }
    }

    /// Keeps what a request was answered that is not about one ticket; `None` while it is not known.
    pub(super) fn keep(
        &mut self,
        once: &Once,
        answer: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let row = OnceRow {
            request: once.request.hex(),
            id: 0,
            ticket: None,
            answer: answer.map(str::to_owned),
            at: now,
        };
        self.put_once(once, &row)
    }

    fn put_once(&mut self, once: &Once, row: &OnceRow) -> Result<(), Fault> {
        let Digest(key) = &once.key;
        self.tables.once.insert(key, encode(row).as_slice())?;
        self.tables.once_times.insert((micros(row.at), key), ())?;
        Ok(())
    }

    /// Keeps the answer to a request.
    pub(super) fn remember_answer(
        &mut self,
        once: &Once,
        ticket: &Ticket,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let (id, ticket) = (ticket.id.0, Some(ticket.clone().into()));
        let row = OnceRow { request: once.request.hex(), id, ticket, answer: None, at: now };
        self.put_once(once, &row)
    }

    /// Forgets old answers; says how many.
    pub(super) fn clean_answered(&mut self, now: Timestamp) -> Result<u64, Fault> {
        let old = now.saturating_sub(ANSWERS_KEPT).unwrap_or(Timestamp::MIN);
        let mut keys = Vec::new();
        for row in self.tables.once_times.range(..(micros(old), &[0; 32]))?.take(CLEAN_ANSWERS_MAX)
        {
            let (key, _) = row?;
            keys.push((key.value().0, *key.value().1));
        }
        for (at, key) in &keys {
            self.tables.once_times.remove((*at, key))?;
            // A key that was used again since has a younger answer.
            let row = self.tables.once.get(key)?.map(|row| decode::<OnceRow>(row.value()));
            if row.transpose()?.is_some_and(|row| micros(row.at) == *at) {
                self.tables.once.remove(key)?;
            }
        }
        Ok(keys.len() as u64)
    }
}
