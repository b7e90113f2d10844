//! Turns what we want to say into mails: subject, text, headers. One sanitiser per sink.

use jiff::Timestamp;

use super::address::Address;
use super::config::{AutoReply, Config, Language};
use super::intake::{DeskKey, Effect, NextIds};
use super::notify::Notice;
use super::outgoing::{Outgoing, OutgoingId};
use super::ticket::{Article, Ticket};

/// What all mails of one transaction share.
#[derive(Debug, Clone, Copy)]
pub struct Stationery<'a> {
    /// The running configuration.
    pub config: &'a Config,
    /// Key of our Message-IDs.
    pub key: &'a DeskKey,
    /// When the mail is written.
    pub now: Timestamp,
}

/// An agent's answer, as he wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter<'a> {
    /// Display name of the agent.
    pub author: &'a str,
    /// Subject without tag.
    pub subject: &'a str,
    /// Text.
    pub text: &'a str,
    /// Recipients in the header To.
    pub to: &'a [Address],
    /// Recipients in the header Cc.
    pub cc: &'a [Address],
    /// Message-IDs of the ticket so far, oldest first.
    pub thread: &'a [String],
}

/// The automatic answer to one mail. `None` if its texts fail at render time.
pub fn auto_reply(
    stationery: Stationery<'_>,
    reply: &AutoReply,
    language: Option<Language>,
    ticket: &Ticket,
    answered: &Article,
    to: &Address,
    id: OutgoingId,
) -> Option<Outgoing> {
    todo!()
}

/// A notification to one person, in his language.
pub fn notification(
    stationery: Stationery<'_>,
    notice: &Notice,
    ticket: &Ticket,
    article: Option<&Article>,
    id: OutgoingId,
) -> Option<Outgoing> {
    todo!()
}

/// An agent's answer: one owed mail per recipient, all with the same bytes and Message-ID.
/// Identities are counted up in `next`.
pub fn letter(
    stationery: Stationery<'_>,
    letter: &Letter<'_>,
    ticket: &Ticket,
    next: &mut NextIds,
) -> Vec<Outgoing> {
    todo!()
}

/// Tells everybody who should know of the events of this effect: owed mails, bells and history.
/// `before` is the ticket before them, `None` if they made it.
pub fn announce(
    stationery: Stationery<'_>,
    before: Option<&Ticket>,
    effect: &mut Effect,
    next: &mut NextIds,
) {
    todo!()
}

/// Tries a template with sample values; `Err` says what is wrong with it.
pub fn try_template(source: &str) -> Result<(), String> {
    todo!()
}
