//! What lies in a mailbox, as small as it can be kept: POP3 tells it all at once.
//!
//! Architecture invariant: no two messages that are handed out have the same unique id.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::{MESSAGES_MAX, UIDL_BYTES_MAX, each_line, is_busy};
use crate::core::mail::Location;
use crate::mailbox::wire::Wire;
use crate::mailbox::{Entry, MailboxError};

/// Bytes of all unique ids together: 500,000 of the longest that RFC 1939 section 7 allows.
pub const UIDLS_BYTES_MAX: usize = 35_000_000;

/// Number of a message that has no unique id. RFC 1939 section 5 counts from 1.
pub(super) const UNNAMED: u32 = 0;

/// A listing that is handed out a page at a time. Unique ids lie one behind the other in one text:
/// a string and an entry for each would take five times as much.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// All unique ids.
    ids: String,
    /// Number of each message and where its id ends.
    messages: Vec<(u32, u32)>,
    /// Size of each message by its number, ascending.
    sizes: Vec<(u32, Option<u64>)>,
    /// Messages without unique id.
    unnamed: usize,
    /// Lines of UIDL that name no message.
    odd: usize,
    /// Messages under the unique id of one before them, which wait until that one is gone.
    twins: usize,
    /// Whether the names mean nothing in the next session.
    names_end: bool,
    /// Messages that were handed out.
    passed: usize,
}

/// Asks what lies there. `uidl` says whether the server knows UIDL, if it says so.
pub(super) async fn read(wire: &mut Wire, uidl: Option<bool>) -> Result<Listed, MailboxError> {
    let mut all = Listed::default();
    each_line(wire, "LIST", MESSAGES_MAX, |line| {
        // A size that is no number is as good as none; so is a line without any.
        all.sizes.extend(number(line).map(|(number, rest)| (number, rest.parse().ok())));
        Ok(())
    })
    .await?;
    all.sizes.sort_unstable_by_key(|(number, _)| *number);
    all.sizes.dedup_by_key(|(number, _)| *number);
    let asking = each_line(wire, "UIDL", MESSAGES_MAX, |line| all.add_line(line)).await;
    match asking {
        Ok(()) => all.count_unnamed(),
        // RFC 1939 section 7: UIDL is optional.
        Err(MailboxError::Refused { message, .. }) if uidl != Some(true) && !is_busy(&message) => {
            all.name_for_this_session()?;
        }
        Err(error) => return Err(error),
    }
    all.withhold_twins();
    Ok(all)
}

/// A message's number and the word behind it: LIST may say more behind the size, and a unique id
/// has no spaces.
fn number(line: &str) -> Option<(u32, &str)> {
    let mut words = line.split_ascii_whitespace();
    let number = words.next()?.parse().ok().filter(|number| *number != UNNAMED)?;
    Some((number, words.next().unwrap_or("")))
}

impl Listed {
    /// A line of UIDL. One that is odd concerns one message.
    fn add_line(&mut self, line: &str) -> Result<(), MailboxError> {
        match number(line) {
            Some((number, id)) if !id.is_empty() && id.len() <= UIDL_BYTES_MAX => {
                self.add(number, id)
            }
            Some((number, _)) if self.size(number).is_some() => Ok(()),
            Some(_) | None => {
                self.odd += 1;
                Ok(())
            }
        }
    }

    /// Counts the messages that LIST names and UIDL does not.
    fn count_unnamed(&mut self) {
        let mut named: Vec<u32> = self.messages.iter().map(|(number, _)| *number).collect();
        named.sort_unstable();
        let is_unnamed = |(number, _): &&(u32, Option<u64>)| named.binary_search(number).is_err();
        self.unnamed = self.sizes.iter().filter(is_unnamed).count();
    }

    /// Gives each message a name that no other session gives again: its number alone would name
    /// another message then.
    fn name_for_this_session(&mut self) -> Result<(), MailboxError> {
        let session = RandomState::new().hash_one(std::time::Instant::now());
        self.names_end = true;
        let numbers: Vec<u32> = self.sizes.iter().map(|(number, _)| *number).collect();
        numbers.into_iter().try_for_each(|n| self.add(n, &format!("session-{session:016x}-{n}")))
    }

    /// Whether all messages are handed out with a name.
    pub(super) fn is_complete(&self) -> bool {
        self.unnamed == 0 && self.odd == 0 && self.twins == 0
    }

    /// Whether messages share a unique id.
    pub(super) fn has_twins(&self) -> bool {
        self.twins > 0
    }

    /// Whether the names mean nothing in the next session.
    pub(super) fn names_end(&self) -> bool {
        self.names_end
    }

    fn add(&mut self, number: u32, id: &str) -> Result<(), MailboxError> {
        if self.ids.len() + id.len() > UIDLS_BYTES_MAX {
            return Err(MailboxError::Protocol(format!(
                "unique ids have more than {UIDLS_BYTES_MAX} bytes together"
            )));
        }
        self.ids.push_str(id);
        self.messages.push((number, self.ids.len() as u32));
        Ok(())
    }

    /// Keeps the first message of each unique id. A second one would be taken for the first one; RFC
    /// 1939 section 7 has clients expect them. Fingerprints are compared, under a key that is known
    /// to this process alone. Two different ids with the same one are a chance of one in a hundred
    /// million for the largest mailbox, and the next session has another key.
    fn withhold_twins(&mut self) {
        let key = RandomState::new();
        let print = |index| key.hash_one(self.id(index));
        let mut prints: Vec<u64> = (0..self.messages.len()).map(print).collect();
        prints.sort_unstable();
        if prints.windows(2).all(|pair| pair[0] != pair[1]) {
            return;
        }
        let mut known = HashSet::new();
        let firsts = (0..self.messages.len()).filter(|index| known.insert(print(*index)));
        let (mut ids, mut messages) = (String::new(), Vec::new());
        for index in firsts {
            ids.push_str(self.id(index));
            messages.push((self.messages[index].0, ids.len() as u32));
        }
        self.twins = self.messages.len() - messages.len();
        (self.ids, self.messages) = (ids, messages);
    }

    fn id(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.messages[before].1);
        &self.ids[start as usize..self.messages[index].1 as usize]
    }

    /// What LIST says of this message: its size, if that can be read.
    fn size(&self, number: u32) -> Option<Option<u64>> {
        let place = self.sizes.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(self.sizes[place].1)
    }

    /// Messages that were not handed out yet.
    pub(super) fn rest(&self) -> usize {
        self.messages.len() + self.unnamed - self.passed
    }

    /// The next messages, at most so many; empty at the end.
    pub(super) fn page(&mut self, mails_max: usize) -> Vec<Entry> {
        let end = self.passed + self.rest().min(mails_max);
        let entries = (self.passed..end).map(|index| match self.messages.get(index) {
            Some((number, _)) => {
                let size_bytes = self.size(*number).flatten();
                entry(self.id(index).to_owned(), *number, size_bytes)
            }
            None => {
                let name = format!("unlisted-{}", index - self.messages.len() + 1);
                entry(name, UNNAMED, None)
            }
        });
        let entries = entries.collect();
        self.passed = end;
        entries
    }
}

fn entry(name: String, handle: u32, size_bytes: Option<u64>) -> Entry {
    Entry { location: Location(name), handle, size_bytes, seen: false, arrived: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(ids: &[(u32, &str)]) -> Result<Listed, MailboxError> {
        let sizes = vec![(1, Some(10)), (3, Some(30))];
        let mut all = Listed { sizes, ..Listed::default() };
        ids.iter().try_for_each(|(number, id)| all.add_line(&format!("{number} {id}")))?;
        all.count_unnamed();
        all.withhold_twins();
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
    fn of_messages_of_one_name_the_first_is_handed_out() {
        let mut all = listing(&[(1, "same"), (2, "other"), (3, "same"), (4, "same")]).unwrap();
        assert!(all.has_twins() && !all.is_complete());
        let page = all.page(10).into_iter().map(|e| (e.handle, e.location.0, e.size_bytes));
        let expected = [(1, "same", Some(10)), (2, "other", None)];
        assert_eq!(
            page.collect::<Vec<_>>(),
            expected.map(|(number, id, size)| (number, id.to_owned(), size))
        );
        assert_eq!(all.rest(), 0);
    }

    #[test]
    fn names_that_are_none_concern_one_message() {
        let long = "x".repeat(UIDL_BYTES_MAX + 1);
        for odd in ["", long.as_str()] {
            let mut all = listing(&[(1, odd), (3, "good")]).unwrap();
            assert!(!all.is_complete());
            let page = all.page(10).into_iter().map(|e| (e.handle, e.location.0, e.size_bytes));
            let expected = [(3, "good", Some(30)), (UNNAMED, "unlisted-1", None)];
            assert_eq!(
                page.collect::<Vec<_>>(),
                expected.map(|(number, id, size)| (number, id.to_owned(), size))
            );
            assert_eq!(all.rest(), 0);
        }
    }

    #[test]
    fn lines_of_no_message_make_a_listing_incomplete() {
        let mut all = listing(&[(1, "a"), (3, "c")]).unwrap();
        assert!(all.is_complete());
        for odd in ["", "x", "-1 a", "0 a", "4294967296 a", "99999999999999999999 a", "7"] {
            all.add_line(odd).unwrap();
        }
        assert_eq!((all.odd, all.is_complete(), all.page(10).len()), (7, false, 2));
    }

    #[test]
    fn names_for_one_session_are_given_by_no_other() {
        let names = || {
            let sizes = vec![(1, Some(10)), (3, None)];
            let mut all = Listed { sizes, ..Listed::default() };
            all.name_for_this_session().unwrap();
            all.page(10).into_iter().map(|entry| entry.location.0).collect::<Vec<_>>()
        };
        let (one, other) = (names(), names());
        assert_eq!((one.len(), other.len()), (2, 2));
        assert!(one.iter().all(|name| !other.contains(name)), "{one:?} {other:?}");
    }

    #[test]
    fn long_names_of_many_messages() {
        let name = "x".repeat(UIDL_BYTES_MAX);
        let many: Vec<(u32, &str)> =
            (1..=UIDLS_BYTES_MAX / UIDL_BYTES_MAX + 1).map(|n| (n as u32, name.as_str())).collect();
        check(&many, "bytes together");
    }
}
