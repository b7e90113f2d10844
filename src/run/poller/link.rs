//! The first look at a mailbox: which mails are left alone. And the ledger, compared with a whole
//! listing now and then.

use jiff::{SignedDuration, Timestamp};

use super::{Ended, Poller, step};
use crate::core::config::{Account, AfterFetch, Since};
use crate::core::mail::Location;
use crate::mailbox::{Entry, Mailbox, MailboxError, Scope};
use crate::store::{AccountState, Listed, StoreError};
use crate::threads;

/// When the locations of a mailbox lose their meaning, mails that arrived this long before the
/// account was linked are left alone again. Generous, because the two clocks may differ: a mail
/// taken twice is recognised by its bytes, a mail left alone is lost.
pub const RELINK_MARGIN: SignedDuration = SignedDuration::from_hours(24);

/// How often the ledger is compared with a whole listing, to forget what is long gone.
pub const COMPARE_EVERY: SignedDuration = SignedDuration::from_hours(24);

impl Poller {
    /// At the first look at a mailbox, and the first after its locations lost their meaning,
    /// decides which mails are left alone. Only when all are noted does the account count as
    /// linked: what arrives later is taken in, also if we die in between.
    pub(super) async fn link(
        &self,
        account: &Account,
        mailbox: &mut dyn Mailbox,
    ) -> Result<(), Ended> {
        let mut state = self.known(account).await?;
        // RFC 3501 section 2.3.1.1 forbids it; a server that was set back to a copy of an earlier
        // day, numbers included, does it all the same. New mails would be taken for known ones.
        if let (Some(next), Some(highest)) = (mailbox.next(), &state.highest)
            && reaches(highest, &next)
            && self.ends_before(mailbox, &next).await?
        {
            self.daemon.store.forget_numbered(&account.name, next).await?;
            state = self.known(account).await?;
        }
        let epoch = mailbox.epoch();
        if state.linked.is_some() && state.epoch == epoch {
            return Ok(());
        }
        if state.linked.is_some() {
            self.daemon.metrics.epoch_changed(&account.name);
            tracing::warn!(
                account = account.name,
                "mailbox was renumbered; recognising mails by content"
            );
        }
        let left = match account.since {
            Since::All => 0,
            Since::Linked | Since::Date(_) => {
                self.leave_alone(account, mailbox, state.linked).await?
            }
        };
        if left > 0 {
            tracing::warn!(account = account.name, left, "older mails are left alone (since)");
        }
        let now = self.daemon.clock.now();
        Ok(self.daemon.store.link(&account.name, &epoch, now).await?)
    }

    async fn known(&self, account: &Account) -> Result<AccountState, StoreError> {
        let (store, name) = (self.daemon.store.clone(), account.name.clone());
        threads::STORE.run(move || store.account(&name)).await
    }

    /// Whether all mails in the mailbox have smaller numbers than the next one is to get. A server
    /// of which that is not true does not know its next number.
    async fn ends_before(&self, mailbox: &mut dyn Mailbox, next: &Location) -> Result<bool, Ended> {
        step(&self.stop, mailbox.look(Scope::All)).await?;
        loop {
            let page = step(&self.stop, mailbox.page()).await?;
            if page.is_empty() {
                return Ok(mailbox.is_complete());
            }
            if page.iter().any(|entry| reaches(&entry.location, next)) {
                return Ok(false);
            }
        }
    }

    /// Notes which of the mails that lie there are left alone, a page at a time; answers how many.
    async fn leave_alone(
        &self,
        account: &Account,
        mailbox: &mut dyn Mailbox,
        linked: Option<Timestamp>,
    ) -> Result<usize, Ended> {
        self.look(account, mailbox, Scope::All).await?;
        let mut left = 0;
        loop {
            let page = step(&self.stop, mailbox.page()).await?;
            if page.is_empty() {
                return Ok(left);
            }
            let leave: Vec<Location> = page
                .into_iter()
                .filter(|entry| is_left_alone(account, entry, linked))
                .map(|entry| entry.location)
                .collect();
            left += leave.len();
            self.daemon.store.leave_alone(&account.name, leave).await?;
        }
    }

    /// Begins a look, unless the mailbox cannot be read as it is declared.
    pub(super) async fn look(
        &self,
        account: &Account,
        mailbox: &mut dyn Mailbox,
        scope: Scope,
    ) -> Result<(), Ended> {
        step(&self.stop, mailbox.look(scope)).await?;
        // Mails that are left alone, or stay when they are taken in, must be known again by their
        // names. Mails that are deleted are known by their bytes.
        let keeps = account.after_fetch != AfterFetch::Delete || account.since == Since::Linked;
        match mailbox.names_end().filter(|_| keeps) {
            Some(why) => Err(MailboxError::Unsupported(why).into()),
            None => Ok(()),
        }
    }

    /// Whether this look is to be compared with the ledger: now and then, if it is a whole one.
    pub(super) fn is_to_compare(&self, scope: Scope) -> bool {
        let now = self.daemon.clock.now();
        let due = |compared| now.duration_since(compared) >= COMPARE_EVERY;
        scope == Scope::All && self.compared.is_none_or(due)
    }

    /// Forgets mails that have been gone for long; what is listed stays known.
    pub(super) async fn compare(&mut self, account: &Account, listed: Listed) -> Result<(), Ended> {
        let now = self.daemon.clock.now();
        self.daemon.store.forget_absent(&account.name, listed, now).await?;
        self.compared = Some(now);
        Ok(())
    }
}

/// Whether a location has this number, or a larger one, in the same mailbox.
fn reaches(location: &Location, next: &Location) -> bool {
    match (location.numbered(), next.numbered()) {
        (Some((here, number)), Some((there, next))) => here == there && number >= next,
        _ => false,
    }
}

fn is_left_alone(account: &Account, entry: &Entry, linked: Option<Timestamp>) -> bool {
    let arrived_before =
        |instant: Timestamp| entry.arrived.is_some_and(|arrived| arrived < instant);
    match (account.since, linked) {
        (Since::All, _) => false,
        (Since::Date(date), _) => arrived_before(date),
        (Since::Linked, None) => true,
        (Since::Linked, Some(linked)) => {
            linked.checked_sub(RELINK_MARGIN).is_ok_and(arrived_before)
        }
    }
}
