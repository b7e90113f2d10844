//! A look at a folder of any size, a page at a time.
//!
//! A page is asked for by message numbers, not by UIDs: only numbers say how many messages there
//! must be, so that a server that leaves some out is found out. While pages are read, messages
//! before and within them may vanish, and each moves the numbers behind it down by one: the server
//! says so with EXPUNGE, and the place of the look follows.
//!
//! Architecture invariant: a page is complete, or it is an error.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::session::Allowance;
use super::{Answer, Imap, MESSAGES_MAX, location};
use crate::mailbox::{Entry, MailboxError, PAGE_MAILS_MAX, Scope};

/// Bytes one message takes in the answer to a listing, generously.
const LISTED_BYTES: u64 = 200;

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
        let asked = numbers.clone().count() as u64;
        let vanished = self.session.expunged();
        let mut found = BTreeMap::new();
        self.list_into(&mut found, numbers, asked).await?;
        let listed = found.len() as u64;
        if listed < asked {
            // While it answers to FETCH a server may not say what vanished; now it may.
            self.session.command("NOOP", "NOOP", Allowance::default(), |_| Ok(())).await?;
        }
        // A server that leaves messages out would make us believe that they are gone.
        if listed + (self.session.expunged() - vanished) < asked {
            let message = format!("server listed {listed} of {asked} messages");
            return Err(MailboxError::Protocol(message));
        }
        self.check_order(&found)?;
        Ok(found.into_values().collect())
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
        Ok(())
    }

    /// Answers to FETCH are single lines, so this stays linear for large folders, where a SEARCH
    /// answers with one line that the parser reads again and again.
    async fn list_into(
        &mut self,
        found: &mut BTreeMap<u32, Entry>,
        numbers: RangeInclusive<u32>,
        asked: u64,
    ) -> Result<(), MailboxError> {
        let allowance = Allowance { answers: asked * 2, bytes: asked * LISTED_BYTES };
        let (folder, uid_validity) = (&self.folder, self.uid_validity);
        let command = format!(
            "FETCH {}:{} (UID RFC822.SIZE FLAGS INTERNALDATE)",
            numbers.start(),
            numbers.end()
        );
        self.session
            .command("FETCH", &command, allowance, |response| {
                let Some(answer) = Answer::of(response)? else { return Ok(()) };
                // A change of flags announced by the way has no size.
                let (Some(uid), Some(size)) = (answer.uid, answer.size) else { return Ok(()) };
                let entry = Entry {
                    location: location(folder, uid_validity, uid),
                    handle: uid,
                    size_bytes: Some(size),
                    seen: answer.seen,
                    arrived: answer.arrived,
                };
                if found.insert(uid, entry).is_some() {
                    return Err(MailboxError::Protocol(format!("UID {uid} is listed twice")));
                }
                if found.len() as u64 > asked {
                    let message = format!("server listed more than the {asked} messages asked for");
                    return Err(MailboxError::Protocol(message));
                }
                Ok(())
            })
            .await
    }
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
