//! What the daemon and the process that judges a suspect say to each other.
//!
//! ```text
//! stdin    length of the task (8 bytes, big endian), the task as JSON, the mail to the end
//! stdout   one line for each [`Said`], written before what it announces begins
//! ```
//! Architecture invariant: no secret is in a task. The files name secrets and hold none, and the
//! key of the desk is replaced by zeros.

use std::collections::BTreeMap;
use std::io::{self, Read};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::address::Address;
use crate::core::intake::{
    Answered, Bounced, DeskKey, Duplicate, Facts, Heading, Keyed, NextIds, Referenced,
};
use crate::core::notify::hours::{FullHours, Hour};
use crate::core::outgoing::OutgoingId;
use crate::core::reply::alike::Neighbour;
use crate::core::ticket::{Article, ArticleId, Ticket, TicketId};

/// Longest task that is read. Bytes.
const TASK_BYTES_MAX: u64 = 1 << 30;

/// What is to be done with the mail.
#[derive(Serialize, Deserialize)]
pub(in crate::run::intake) struct Task {
    /// The files of the revision under which the mail is judged.
    pub files: Vec<(String, String)>,
    /// The account it came through.
    pub account: String,
    /// Whether the bytes are the header only.
    pub headers_only: bool,
    /// When it is settled.
    pub now: Timestamp,
    /// What the store knows that bears on it; `None` before it has been judged.
    pub known: Option<Known>,
}

/// What the process has come to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::run::intake) enum Said {
    /// The limits are set: what happens from now on is the mail's doing.
    Ready,
    /// This step begins.
    Step(Step),
    /// Whose mail it is.
    Heading(Heading),
    /// All steps were done.
    Healthy,
}

/// What is done with a mail, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::run::intake) enum Step {
    /// Its From and Subject are read.
    Header,
    /// It is scanned, parsed and judged.
    Judge,
    /// What becomes of it is decided, and the mails that are sent for it are written.
    Settle,
    /// The terms of the search are taken from it.
    Index,
    /// Its HTML is written for the page.
    Page,
}

impl Step {
    /// For people: "while ...".
    pub fn doing(self) -> &'static str {
        match self {
            Step::Header => "its header was read",
            Step::Judge => "it was parsed and judged",
            Step::Settle => "its ticket was decided",
            Step::Index => "it was indexed for the search",
            Step::Page => "its HTML was prepared for the page",
        }
    }
}

/// [`Facts`] without the key, in a form that can be written down.
#[derive(Default, Serialize, Deserialize)]
pub(in crate::run::intake) struct Known {
    duplicate_of: Option<String>,
    tagged: Option<Ticket>,
    body_tagged: Option<Ticket>,
    referenced: Vec<Referenced>,
    keyed: Vec<Keyed>,
    bounced: Option<Bounced>,
    answered: (u32, u32, Vec<TicketId>, Vec<String>, u32),
    neighbours: Vec<(Address, String)>,
    threads: Vec<(TicketId, Vec<String>)>,
    articles: Vec<Article>,
    full_hours: Vec<(i64, String, u32)>,
    next: (u64, u64, u64, u32),
}

impl Known {
    pub fn of(facts: Facts) -> Known {
        let Facts {
            duplicate,
            tagged,
            body_tagged,
            referenced,
            keyed,
            bounced,
            answered,
            threads,
            articles,
            full_hours,
            desk_key: _,
            next,
        } = facts;
        let Answered { day, three_hours, tickets, subjects, neighbours, desk } = answered;
        let neighbours = neighbours.into_iter().map(|one| (one.address, one.title));
        let full = full_hours.0.into_iter().map(|((hour, user), mails)| (hour.0, user, mails));
        Known {
            duplicate_of: duplicate.map(|duplicate| duplicate.first),
            tagged,
            body_tagged,
            referenced,
            keyed,
            bounced,
            answered: (day, three_hours, tickets, subjects, desk),
            neighbours: neighbours.collect(),
            threads: threads.into_iter().collect(),
            articles,
            full_hours: full.collect(),
            next: (next.ticket.0, next.article.0, next.outgoing.0, next.tickets_today),
        }
    }

    pub fn facts(self) -> Facts {
        let (day, three_hours, tickets, subjects, desk) = self.answered;
        let neighbours = self.neighbours.into_iter();
        let neighbours = neighbours.map(|(address, title)| Neighbour { address, title });
        let (ticket, article, outgoing, tickets_today) = self.next;
        let full = self.full_hours.into_iter();
        let full: BTreeMap<_, _> =
            full.map(|(hour, user, mails)| ((Hour(hour), user), mails)).collect();
        Facts {
            duplicate: self.duplicate_of.map(|first| Duplicate { key: "bytes", first }),
            tagged: self.tagged,
            body_tagged: self.body_tagged,
            referenced: self.referenced,
            keyed: self.keyed,
            bounced: self.bounced,
            answered: Answered {
                day,
                three_hours,
                tickets,
                subjects,
                neighbours: neighbours.collect(),
                desk,
            },
            threads: self.threads.into_iter().collect(),
            articles: self.articles,
            full_hours: FullHours(full),
            desk_key: DeskKey([0; 32]),
            next: NextIds {
                ticket: TicketId(ticket),
                article: ArticleId(article),
                outgoing: OutgoingId(outgoing),
                tickets_today,
            },
        }
    }
}

/// The task with its length, as it stands before the mail.
pub(super) fn write(task: &Task) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(task)?;
    Ok([&(json.len() as u64).to_be_bytes()[..], &json].concat())
}

/// A task and its mail.
pub(super) fn read(mut from: impl Read) -> io::Result<(Task, Vec<u8>)> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_be_bytes(length);
    if length > TASK_BYTES_MAX {
        return Err(io::Error::other("the task is too long"));
    }
    let mut json = Vec::new();
    from.by_ref().take(length).read_to_end(&mut json)?;
    let mut mail = Vec::new();
    from.read_to_end(&mut mail)?;
    Ok((serde_json::from_slice(&json)?, mail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::intake::decide;
    use crate::core::samples;
    use crate::core::thread::{IssuedId, Purpose};

    #[test]
    fn a_task_comes_out_as_it_went_in() {
        let task = Task {
            files: vec![("desk.yaml".into(), "version: 1".into())],
            account: "box".into(),
            headers_only: true,
            now: Timestamp::UNIX_EPOCH,
            known: Some(Known::default()),
        };
        let mail = b"Subject: x\r\n\r\n\0\xff";
        let (read, raw) = read(&[&write(&task).unwrap()[..], mail].concat()[..]).unwrap();
        assert_eq!(raw, mail);
        assert_eq!((read.files, read.account), (task.files, task.account));
        assert!(read.headers_only && read.known.is_some());
    }

    #[test]
    fn a_torn_task_is_an_error() {
        assert!(read(&b"\0\0"[..]).is_err());
        assert!(read(&[0xff; 20][..]).is_err());
        assert!(read(&b"\0\0\0\0\0\0\0\x09{\"files\""[..]).is_err());
    }

    #[test]
    fn facts_lose_only_the_key() {
        let (config, account) = (samples::config(), samples::account());
        let mail =
            samples::mail("From: ann@customer.example\nTo: support@acme.example\nSubject: x");
        let nothing = Known::default().facts();
        let decision = decide(&config, &account, &mail, b"", &nothing, Timestamp::UNIX_EPOCH);
        let effect = decision.effect.unwrap();
        let (ticket, articles) = (effect.ticket, effect.articles);
        let id = IssuedId {
            ticket: ticket.id,
            mail: Some(OutgoingId(4)),
            purpose: Purpose::Notification,
            recipient: Some("digest".into()),
        };
        let keyed = Keyed { message_id: "c@d".into(), id, ticket: ticket.clone() };
        let facts = Facts {
            duplicate: Some(Duplicate { key: "bytes", first: "mail 1".into() }),
            tagged: Some(ticket.clone()),
            body_tagged: Some(ticket.clone()),
            referenced: vec![Referenced { message_id: "a@b".into(), ticket, contested: true }],
            keyed: vec![keyed.clone()],
            bounced: Some(Bounced { issued: keyed, is_returned: true, recipient: None }),
            answered: Answered {
                day: 1,
                three_hours: 2,
                tickets: vec![TicketId(3)],
                subjects: vec!["four".into()],
                neighbours: vec![Neighbour {
                    address: Address::parse("eve@cust.test").unwrap(),
                    title: "seven".into(),
                }],
                desk: 5,
            },
            threads: BTreeMap::from([(TicketId(6), vec!["c@d".into()])]),
            articles,
            full_hours: FullHours(BTreeMap::from([((Hour(7), "ann".into()), 8)])),
            desk_key: DeskKey([9; 32]),
            next: NextIds {
                ticket: TicketId(10),
                article: ArticleId(11),
                outgoing: OutgoingId(12),
                tickets_today: 13,
            },
        };
        let json = serde_json::to_vec(&Known::of(facts.clone())).unwrap();
        let read = serde_json::from_slice::<Known>(&json).unwrap().facts();
        assert_eq!(read, Facts { desk_key: DeskKey([0; 32]), ..facts });
    }
}
