//! What ties mails to tickets: numbers, subject tags, and Message-IDs that only we can make.

use jiff::Timestamp;

use super::address::Address;
use super::config::Desk;
use super::intake::DeskKey;
use super::outgoing::OutgoingId;
use super::ticket::TicketId;

/// Number of the next ticket: date, system id, daily counter (at least five digits), check digit.
pub fn number(desk: &Desk, now: Timestamp, tickets_today: u32) -> String {
    todo!()
}

/// The tag that carries a number in a subject, such as `[Ticket#2026112210000018]`.
pub fn tag(desk: &Desk, number: &str) -> String {
    todo!()
}

/// Number in the first tag of ours in a text. Case and blanks around the hook do not matter.
pub fn find_tag(desk: &Desk, text: &str) -> Option<String> {
    todo!()
}

/// A Message-ID that proves its reader got our mail: ticket, mail and recipient, signed with the
/// key of this desk (HMAC-SHA-256 cut to 128 bits).
pub fn message_id(
    key: &DeskKey,
    ticket: TicketId,
    mail: OutgoingId,
    recipient: &Address,
    domain: &str,
) -> String {
    todo!()
}

/// Ticket of a Message-ID that we made, if its signature is genuine.
pub fn verify(key: &DeskKey, message_id: &str) -> Option<TicketId> {
    todo!()
}

/// The id under which all notifications of a ticket are threaded.
pub fn root_id(key: &DeskKey, ticket: TicketId, domain: &str) -> String {
    todo!()
}
