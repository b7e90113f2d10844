//! Row of a line that waits for a user's digest; the user is in its key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Row;
use crate::core::digest::Line;
use crate::core::notify::EventKind;
use crate::core::ticket::TicketId;
use crate::store::fault::Fault;

/// A line of a digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct LineRow {
    pub event: String,
    pub ticket: u64,
    pub number: String,
    pub text: String,
    pub role: String,
    pub rule: String,
    pub at: Timestamp,
    /// Not known of lines written before there was a bound.
    #[serde(default)]
    pub held: bool,
}

impl Row for LineRow {
    const NAME: &'static str = "line of a digest";
}

impl From<Line> for LineRow {
    fn from(line: Line) -> LineRow {
        let Line { who: _, event, ticket, number, text, role, rule, at, held } = line;
        LineRow {
            event: event.label().into(),
            ticket: ticket.0,
            number,
            text,
            role,
            rule,
            at,
            held,
        }
    }
}

impl LineRow {
    /// The line of this user.
    pub(in crate::store) fn line(self, who: &str) -> Result<Line, Fault> {
        let LineRow { event, ticket, number, text, role, rule, at, held } = self;
        let bad = || Fault::Row(format!("stored event {event:?} is not known"));
        let event = EventKind::from_label(&event).ok_or_else(bad)?;
        let (who, ticket) = (who.to_owned(), TicketId(ticket));
        Ok(Line { who, event, ticket, number, text, role, rule, at, held })
    }
}
