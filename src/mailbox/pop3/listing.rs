//! What lies in a mailbox, as small as it can be kept: POP3 tells it all at once.
//!
//! Architecture invariant: no two messages have the same unique id.

use std::hash::{BuildHasher, RandomState};

use super::{MESSAGES_MAX, UIDL_BYTES_MAX, each_line, listed};
use crate::core::mail::Location;
use crate::mailbox::wire::Wire;
use crate::mailbox::{Entry, MailboxError};

/// Bytes of all unique ids together: 500,000 of the longest that RFC 1939 section 7 allows.
pub const UIDLS_BYTES_MAX: usize = 35_000_000;

/// A listing that is handed out a page at a time. Unique ids lie one behind the other in one text:
/// a string and an entry for each would take five times as much.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// All unique ids.
    ids: String,
    /// Number of each message and where its id ends.
    messages: Vec<(u32, u32)>,
    /// Size of each message by its number, ascending.
    sizes: Vec<(u32, u64)>,
    /// Messages that were handed out.
    passed: usize,
}

/// Asks what lies there.
pub(super) async fn read(wire: &mut Wire) -> Result<Listed, MailboxError> {
    let mut all = Listed::default();
    each_line(wire, "LIST", MESSAGES_MAX, |line| {
        all.sizes.push(listed(line, "LIST")?);
        Ok(())
    })
    .await?;
    all.sizes.sort_unstable();
    each_line(wire, "UIDL", MESSAGES_MAX, |line| {
        let (number, id) = listed::<String>(line, "UIDL")?;
        all.add(number, &id)
    })
    .await?;
    all.refuse_twins()?;
    Ok(all)
}

impl Listed {
    fn add(&mut self, number: u32, id: &str) -> Result<(), MailboxError> {
        if id.is_empty() || id.len() > UIDL_BYTES_MAX {
            return Err(MailboxError::Protocol("unique id is empty or too long".into()));
        }
        if self.ids.len() + id.len() > UIDLS_BYTES_MAX {
            return Err(MailboxError::Protocol(format!(
                "unique ids have more than {UIDLS_BYTES_MAX} bytes together"
            )));
        }
        self.ids.push_str(id);
        self.messages.push((number, self.ids.len() as u32));
        Ok(())
    }

    /// A second message under the same name would be taken for the first one, and deleted unread:
    /// nothing is read from such a mailbox. Fingerprints are compared, under a key that nobody
    /// outside knows. Two different ids with the same one are a chance of one in a hundred million
    /// for the largest mailbox, which the next session does not have again.
    fn refuse_twins(&self) -> Result<(), MailboxError> {
        let key = RandomState::new();
        let mut prints: Vec<u64> =
            (0..self.messages.len()).map(|index| key.hash_one(self.id(index))).collect();
        prints.sort_unstable();
        if prints.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(MailboxError::Protocol(
                "server gives several messages the same unique id (UIDL); use IMAP".into(),
            ));
        }
        Ok(())
    }

    fn id(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.messages[before].1);
        &self.ids[start as usize..self.messages[index].1 as usize]
    }

    fn size(&self, number: u32) -> Option<u64> {
        let place = self.sizes.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(self.sizes[place].1)
    }

    /// Messages that were not handed out yet.
    pub(super) fn rest(&self) -> usize {
        self.messages.len() - self.passed
    }

    /// The next messages, at most so many; empty at the end.
    pub(super) fn page(&mut self, mails_max: usize) -> Vec<Entry> {
        let end = self.messages.len().min(self.passed + mails_max);
        let entries = (self.passed..end).map(|index| {
            let number = self.messages[index].0;
            Entry {
                location: Location(self.id(index).to_owned()),
                handle: number,
                size_bytes: self.size(number),
                seen: false,
                arrived: None,
            }
        });
        let entries = entries.collect();
        self.passed = end;
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(ids: &[(u32, &str)]) -> Result<Listed, MailboxError> {
        let mut all = Listed { sizes: vec![(1, 10), (3, 30)], ..Listed::default() };
        ids.iter().try_for_each(|(number, id)| all.add(*number, id))?;
        all.refuse_twins()?;
        Ok(all)
    }

    #[track_caller]
    fn check(ids: &[(u32, &str)], complaint: &str) {
        let error = listing(ids).map(drop).unwrap_err().to_string();
        assert!(error.contains(complaint), "{error}");
    }

    #[test]
    fn pages_hold_everything_once_and_in_order() {
        let mut all = listing(&[(3, "ccc"), (1, "a"), (2, "bb")]).unwrap();
        let mut told = Vec::new();
        loop {
            let page = all.page(2);
            if page.is_empty() {
                break;
            }
            told.extend(page.into_iter().map(|e| (e.handle, e.location.0, e.size_bytes)));
        }
        let expected = [(3, "ccc", Some(30)), (1, "a", Some(10)), (2, "bb", None)];
        assert_eq!(told, expected.map(|(number, id, size)| (number, id.to_owned(), size)));
    }

    #[test]
    fn two_messages_of_one_name() {
        check(&[(1, "same"), (2, "other"), (3, "same")], "the same unique id");
    }

    #[test]
    fn names_that_are_none() {
        check(&[(1, "")], "empty or too long");
        check(&[(1, &"x".repeat(UIDL_BYTES_MAX + 1))], "empty or too long");
    }

    #[test]
    fn long_names_of_many_messages() {
        let name = "x".repeat(UIDL_BYTES_MAX);
        let many: Vec<(u32, &str)> =
            (0..=UIDLS_BYTES_MAX / UIDL_BYTES_MAX).map(|n| (n as u32, name.as_str())).collect();
        check(&many, "bytes together");
    }
}
