//! A look at a folder of any size, a page at a time.
//!
//! A page is asked for by message numbers, not by UIDs: only numbers say how many messages there
//! must be, so that a server that leaves some out is found out. While pages are read, messages
//! before and within them may vanish, and each moves the numbers behind it down by one: the server
//! says so with EXPUNGE, and the place of the look follows.
//!
//! One message that is listed oddly keeps no other from us. Its UID is asked for once more, alone;
//! one that has none even then becomes an entry that can be told apart by nothing but its place
//! among such messages, and that `fetch` does not give.
//!
//! Architecture invariant: each message of a page is an entry, or the look counts as incomplete;
//! absence from an incomplete look is evidence of nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use jiff::Timestamp;

use super::session::Allowance;
use super::set::{UIDS_PER_COMMAND_MAX, set};
use super::{Answer, Imap, MESSAGES_MAX, location};
use crate::core::mail::Location;
use crate::mailbox::{Entry, MailboxError, PAGE_MAILS_MAX, Scope};

/// Bytes one message takes in the answer to a listing, generously.
const LISTED_BYTES: u64 = 200;

/// Handle of a message without UID. RFC 3501 section 9, `nz-number`: no message has this one.
pub(super) const UNNAMED: u32 = 0;

/// What the pages of a look left out.
#[derive(Debug, Default)]
pub(super) struct Unlisted {
    /// Messages without UID.
    unnamed: u32,
    /// Whether there are more of which nothing is known.
    others: bool,
}

impl Unlisted {
    pub(super) fn is_none(&self) -> bool {
        self.unnamed == 0 && !self.others
    }
}

/// What the answers to a listing told of one message.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    uid: Option<u32>,
    size_bytes: Option<u64>,
    seen: bool,
    arrived: Option<Timestamp>,
}

/// How far a look has come, in message numbers as they are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// Messages before this place were looked at.
    passed: u32,
    /// Messages behind this place are not part of the look.
    until: u32,
}

impl Place {
    /// Begins a look at a folder with so many messages.
    fn begin(&mut self, scope: Scope, exists: u32) {
        self.passed = match scope {
            Scope::All => 0,
            Scope::News => self.passed.min(exists),
        };
        self.until = exists;
    }

    /// Numbers of the next page, which counts as looked at from now on; `None` at the end.
    fn advance(&mut self) -> Option<RangeInclusive<u32>> {
        let from = self.passed.checked_add(1)?;
        let to = self.until.min(self.passed.saturating_add(PAGE_MAILS_MAX as u32));
        self.passed = to;
        (from <= to).then_some(from..=to)
    }

    /// All messages of the look count as looked at.
    pub(super) fn pass_over(&mut self) {
        self.passed = self.until;
    }

    /// Messages that were not looked at yet.
    pub(super) fn rest(&self) -> usize {
        self.until.saturating_sub(self.passed) as usize
    }

    /// A message vanished (RFC 3501 section 7.4.1): those behind it move up.
    pub(super) fn expunged(&mut self, number: u32) {
        if number <= self.passed {
            self.passed = self.passed.saturating_sub(1);
        }
        if number <= self.until {
            self.until = self.until.saturating_sub(1);
        }
    }
}

impl Imap {
    /// Begins a look. What the server announced until now is part of it.
    pub(super) fn begin_look(&mut self, scope: Scope) {
        let exists = self.session.exists();
        self.session.place_mut().begin(scope, exists);
        if scope == Scope::All {
            self.last_uid = 0;
            self.unlisted = Unlisted::default();
        }
    }

    /// The next page. One from which all messages vanished is passed over.
    pub(super) async fn next_page(&mut self) -> Result<Vec<Entry>, MailboxError> {
        if self.session.exists() > MESSAGES_MAX {
            let message = format!("folder holds more than {MESSAGES_MAX} messages");
            return Err(MailboxError::Protocol(message));
        }
        while let Some(numbers) = self.session.place_mut().advance() {
            let page = self.list(numbers).await?;
            if !page.is_empty() {
                return Ok(page);
            }
        }
        Ok(Vec::new())
    }

    async fn list(&mut self, numbers: RangeInclusive<u32>) -> Result<Vec<Entry>, MailboxError> {
        let vanished = self.session.expunged();
        let mut lines = BTreeMap::new();
        let range = format!("{}:{}", numbers.start(), numbers.end());
        self.ask(&mut lines, &range, "UID RFC822.SIZE FLAGS INTERNALDATE", &numbers).await?;
        let mut without = without_uid(&lines, &numbers);
        if !without.is_empty() {
            // While it answers to FETCH a server may not say what vanished; now it may.
            self.session.command("NOOP", "NOOP", Allowance::default(), |_| Ok(())).await?;
            if self.session.expunged() == vanished {
                self.ask_again(&mut lines, &without, &numbers).await?;
                without = without_uid(&lines, &numbers);
            }
        }
        let mut found = BTreeMap::new();
        for line in lines.into_values() {
            let Some(uid) = line.uid else { continue };
            if found.insert(uid, self.entry(uid, line)).is_some() {
                return Err(MailboxError::Protocol(format!("UID {uid} is listed twice")));
            }
        }
        self.check_order(&found)?;
        let mut page: Vec<Entry> = found.into_values().collect();
        page.extend(self.note_unlisted(&without, self.session.expunged() - vanished));
        Ok(page)
    }

    fn entry(&self, uid: u32, line: Line) -> Entry {
        Entry {
            location: location(&self.folder, self.uid_validity, uid),
            handle: uid,
            size_bytes: line.size_bytes,
            seen: line.seen,
            arrived: line.arrived,
        }
    }

    /// Messages without UID, as entries. What vanished meanwhile moves the numbers: then nothing
    /// says which ones they are, and the next look finds out.
    fn note_unlisted(&mut self, without: &[u32], vanished: u64) -> Vec<Entry> {
        if vanished > 0 {
            // As many as vanished are missing because of that.
            self.unlisted.others |= without.len() as u64 > vanished;
            return Vec::new();
        }
        let entries = without.iter().map(|number| {
            self.unlisted.unnamed += 1;
            let name =
                format!("{};{};unlisted-{}", self.folder, self.uid_validity, self.unlisted.unnamed);
            tracing::debug!(folder = self.folder, number, "the server lists a message without UID");
            Entry {
                location: Location(name),
                handle: UNNAMED,
                size_bytes: None,
                seen: false,
                arrived: None,
            }
        });
        entries.collect()
    }

    /// Asks for the UIDs alone: an attribute that the server cannot give of a message keeps its
    /// whole line from us.
    async fn ask_again(
        &mut self,
        lines: &mut BTreeMap<u32, Line>,
        without: &[u32],
        numbers: &RangeInclusive<u32>,
    ) -> Result<(), MailboxError> {
        for some in without.chunks(UIDS_PER_COMMAND_MAX) {
            let some = set(some.iter().copied());
            match self.ask(lines, &some, "UID FLAGS", numbers).await {
                Ok(()) | Err(MailboxError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// RFC 3501 section 2.3.1.1: UIDs ascend with the numbers. Where they do not, a page would
    /// hold what another has held, under a name that was given away.
    fn check_order(&mut self, found: &BTreeMap<u32, Entry>) -> Result<(), MailboxError> {
        let (Some(first), Some(last)) = (found.keys().next(), found.keys().next_back()) else {
            return Ok(());
        };
        if *first <= self.last_uid {
            let message = format!("UID {first} is listed behind UID {}", self.last_uid);
            return Err(MailboxError::Protocol(message));
        }
        self.last_uid = *last;
        self.highest_uid = self.highest_uid.max(*last);
        Ok(())
    }

    /// Answers to FETCH are single lines, so this stays linear for large folders, where a SEARCH
    /// answers with one line that the parser reads again and again. A change of flags that the
    /// server announces by the way tells of the same message, and completes what is known of it.
    async fn ask(
        &mut self,
        lines: &mut BTreeMap<u32, Line>,
        which: &str,
        what: &str,
        numbers: &RangeInclusive<u32>,
    ) -> Result<(), MailboxError> {
        let asked = numbers.clone().count() as u64;
        let allowance = Allowance { answers: asked * 2, bytes: asked * LISTED_BYTES };
        let command = format!("FETCH {which} ({what})");
        self.session
            .command("FETCH", &command, allowance, |response| {
                let Some(answer) = Answer::of(response) else { return Ok(()) };
                if numbers.contains(&answer.number) {
                    let line = lines.entry(answer.number).or_default();
                    line.uid = answer.uid.or(line.uid);
                    line.size_bytes = answer.size.or(line.size_bytes);
                    line.seen = answer.seen.unwrap_or(line.seen);
                    line.arrived = answer.arrived.or(line.arrived);
                }
                Ok(())
            })
            .await
    }
}

/// Messages of which no line tells the UID.
fn without_uid(lines: &BTreeMap<u32, Line>, numbers: &RangeInclusive<u32>) -> Vec<u32> {
    let named: BTreeSet<u32> =
        lines.iter().filter(|(_, line)| line.uid.is_some()).map(|(number, _)| *number).collect();
    numbers.clone().filter(|number| !named.contains(number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u32 = PAGE_MAILS_MAX as u32;

    /// Looks at a folder with so many messages; after the n-th page the messages with these
    /// numbers vanish. Answers with the pages.
    #[track_caller]
    fn check(exists: u32, vanish: &[&[u32]], expected: &[(u32, u32)]) {
        let mut place = Place::default();
        place.begin(Scope::All, exists);
        let mut pages = Vec::new();
        let mut vanish = vanish.iter();
        while let Some(page) = place.advance() {
            pages.push((*page.start(), *page.end()));
            vanish.next().into_iter().copied().flatten().for_each(|n| place.expunged(*n));
        }
        assert_eq!(pages, expected);
    }

    #[test]
    fn an_empty_folder_has_no_page() {
        check(0, &[], &[]);
    }

    #[test]
    fn a_small_folder_is_one_page() {
        check(2, &[], &[(1, 2)]);
        check(PAGE, &[], &[(1, PAGE)]);
    }

    #[test]
    fn a_large_folder_is_many() {
        check(2 * PAGE + 1, &[], &[(1, PAGE), (PAGE + 1, 2 * PAGE), (2 * PAGE + 1, 2 * PAGE + 1)]);
    }

    #[test]
    fn what_vanished_before_the_place_moves_it() {
        check(PAGE + 5, &[&[1, 1]], &[(1, PAGE), (PAGE - 1, PAGE + 3)]);
    }

    #[test]
    fn what_vanished_behind_the_place_shortens_the_rest() {
        check(PAGE + 5, &[&[PAGE + 2]], &[(1, PAGE), (PAGE + 1, PAGE + 4)]);
    }

    #[test]
    fn everything_vanished() {
        let all: Vec<u32> = std::iter::repeat_n(1, PAGE as usize + 5).collect();
        check(PAGE + 5, &[&all], &[(1, PAGE)]);
    }

    #[test]
    fn news_are_what_came_behind_the_last_look() {
        let mut place = Place::default();
        place.begin(Scope::News, 3);
        assert_eq!(place.advance(), Some(1..=3));
        place.expunged(2);
        place.begin(Scope::News, 4);
        assert_eq!(place.advance(), Some(3..=4));
        assert_eq!(place.advance(), None);
        place.begin(Scope::News, 4);
        assert_eq!(place.advance(), None);
        place.begin(Scope::All, 4);
        assert_eq!(place.advance(), Some(1..=4));
    }

    #[test]
    fn numbers_that_a_server_makes_up_end_nothing() {
        let mut place = Place::default();
        place.begin(Scope::All, u32::MAX);
        place.expunged(0);
        place.expunged(u32::MAX);
        assert_eq!(place.advance(), Some(1..=PAGE));
        place.begin(Scope::News, 0);
        assert_eq!(place.advance(), None);
        place.begin(Scope::News, 1);
        assert_eq!(place.advance(), Some(1..=1));
    }
}
