//! The ledger: which location of which account is known, and how far its mail is.
//!
//! A location goes `Spooled → Recorded → Done`, or is `LeftAlone` from the beginning. The first
//! commit makes bytes and `Spooled` durable, the second the outcome and `Recorded`; only after
//! that is the server told, and `Done` notes that it confirmed.
//!
//! Architecture invariant: bytes that have an outcome at a location never lose it here.

use jiff::{SignedDuration, Timestamp};
use redb::ReadableTable;

use super::fault::Fault;
use super::outbox::micros;
use super::rows::{AccountRow, LedgerRow, LedgerState, decode, encode};
use super::tables::View;
use super::transaction::Tx;
use super::upkeep::DIGESTS_KEPT;
use super::{AccountState, Known, Listed, Spool, Spooled};
use crate::core::config::{Moved, MovedKind};
use crate::core::mail::{Digest, Location};
use crate::core::ticket::Watcher;

/// Entries of locations that vanished from the mailbox are kept this long.
pub(super) const GONE_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Entries compared with a look in one transaction, so that mails do not wait for the others.
const COMPARED_MAX: usize = 10_000;

/// What comparing a part of the ledger has come to.
pub(super) struct Compared {
    /// Entries that were forgotten.
    pub forgotten: u64,
    /// Where the next part begins; `None` at the end.
    pub next: Option<String>,
}

impl Tx<'_> {
    /// Identity of an account; made at its first use.
    pub(super) fn account_id(&mut self, name: &str) -> Result<u32, Fault> {
        Ok(self.account(name)?.id)
    }

    fn account(&mut self, name: &str) -> Result<AccountRow, Fault> {
        if let Some(row) = self.tables.accounts.get(name)? {
            return decode(row.value());
        }
        let (id, epoch) = (self.counters.account, String::new());
        let row = AccountRow { id, linked: None, epoch, highest: None };
        self.counters.account += 1;
        self.tables.accounts.insert(name, encode(&row).as_slice())?;
        self.tables.account_names.insert(row.id, name)?;
        Ok(row)
    }

    /// What is known of a location.
    pub(super) fn ledger(
        &self,
        account: u32,
        location: &Location,
    ) -> Result<Option<LedgerRow>, Fault> {
        let row = self.tables.ledger.get((account, location.0.as_str()))?;
        row.map(|row| decode(row.value())).transpose()
    }

    /// Sets what is known of a location.
    pub(super) fn set_ledger(
        &mut self,
        account: u32,
        location: &Location,
        state: LedgerState,
    ) -> Result<(), Fault> {
        let key = (account, location.0.as_str());
        if matches!(state, LedgerState::Spooled { .. }) {
            self.tables.spooled.insert(key, ())?;
        } else {
            self.tables.spooled.remove(key)?;
        }
        self.tables.ledger.insert(key, encode(&LedgerRow::of(state)).as_slice())?;
        Ok(())
    }

    /// Notes a complete look.
    pub(super) fn link(&mut self, account: &str, epoch: &str, now: Timestamp) -> Result<(), Fault> {
        let mut row = self.account(account)?;
        row.linked = row.linked.or(Some(now));
        row.epoch = epoch.to_owned();
        self.tables.accounts.insert(account, encode(&row).as_slice())?;
        Ok(())
    }

    /// Notes the largest number that is known of a mailbox. One of another mailbox replaces it.
    pub(super) fn note_highest<'a>(
        &mut self,
        account: &str,
        locations: impl IntoIterator<Item = &'a Location>,
    ) -> Result<(), Fault> {
        let numbered = |location: &'a Location| Some((location.numbered()?, location));
        let Some((highest, location)) = locations.into_iter().filter_map(numbered).max() else {
            return Ok(());
        };
        let mut row = self.account(account)?;
        let known = row.highest.clone().map(Location);
        let known = known.as_ref().and_then(Location::numbered);
        if known.is_none_or(|known| known.0 != highest.0 || known.1 < highest.1) {
            row.highest = Some(location.0.clone());
            self.tables.accounts.insert(account, encode(&row).as_slice())?;
        }
        Ok(())
    }

    /// Forgets what is known of the locations that differ from this one in their number alone: they
    /// are given anew. What was recorded of their mails stays, so that these are recognised by
    /// content. The account counts as one whose locations lost their meaning.
    pub(super) fn forget_numbered(&mut self, account: &str, like: &Location) -> Result<(), Fault> {
        let Some((before, _)) = like.numbered() else { return Ok(()) };
        let mut row = self.account(account)?;
        let mut given_anew = Vec::new();
        for entry in self.tables.ledger.range((row.id, before)..(row.id + 1, ""))? {
            let (key, entry) = entry?;
            let location = Location(key.value().1.to_owned());
            if !location.0.starts_with(before) {
                break;
            }
            let alike = location.numbered().is_some_and(|(known, _)| known == before);
            // What is spooled has no outcome yet, and gets it before anybody asks the server.
            let state = decode::<LedgerRow>(entry.value())?.state;
            if alike && !matches!(state, LedgerState::Spooled { .. }) {
                given_anew.push(location);
            }
        }
        for location in given_anew {
            self.tables.ledger.remove((row.id, location.0.as_str()))?;
        }
        (row.epoch, row.highest) = (String::new(), None);
        self.tables.accounts.insert(account, encode(&row).as_slice())?;
        Ok(())
    }

    /// Notes that these mails are left alone; those that are known stay what they are.
    pub(super) fn leave_alone(&mut self, account: &str, leave: &[Location]) -> Result<(), Fault> {
        self.note_highest(account, leave)?;
        let account = self.account_id(account)?;
        for location in leave {
            if self.ledger(account, location)?.is_none() {
                self.set_ledger(account, location, LedgerState::LeftAlone)?;
            }
        }
        Ok(())
    }

    /// Commit 1 of one mail.
    pub(super) fn spool(
        &mut self,
        account: u32,
        digest: Digest,
        mail: &Spool,
    ) -> Result<Spooled, Fault> {
        self.spools = true;
        let attempts = match self.ledger(account, &mail.location)?.map(|row| row.state) {
            Some(LedgerState::Spooled { attempts, .. }) => attempts,
            Some(LedgerState::LeftAlone) | None => 0,
            // These bytes have an outcome already. Recording them again will answer with it. A
            // header alone cannot be compared with a mail.
            Some(LedgerState::Recorded { mail: known } | LedgerState::Done { mail: known })
                if mail.headers_only || self.has_digest(known, &digest)? =>
            {
                return Ok(answer(mail, digest, 0));
            }
            // Another mail under the name of one that is gone (RFC 1939 section 7).
            Some(LedgerState::Recorded { .. } | LedgerState::Done { .. }) => 0,
        };
        self.keep_raw(&digest, &mail.raw)?;
        let state = LedgerState::Spooled {
            digest: digest.hex(),
            attempts,
            headers_only: mail.headers_only,
        };
        self.set_ledger(account, &mail.location, state)?;
        Ok(answer(mail, digest, attempts))
    }

    /// Whether a recorded mail has these bytes.
    fn has_digest(&self, mail: u64, digest: &Digest) -> Result<bool, Fault> {
        let row = self.mail_row(mail)?;
        Ok(row.map(|row| row.digest()).transpose()?.as_ref() == Some(digest))
    }

    /// Notes that the server confirmed what it was told.
    pub(super) fn done(&mut self, account: &str, locations: &[Location]) -> Result<(), Fault> {
        let account = self.account_id(account)?;
        for location in locations {
            let state = self.ledger(account, location)?.map(|row| row.state);
            if let Some(LedgerState::Recorded { mail }) = state {
                self.set_ledger(account, location, LedgerState::Done { mail })?;
            }
        }
        Ok(())
    }

    /// Compares a part of the ledger, from this location on, with a complete look, and forgets what
    /// has been gone for long.
    pub(super) fn compare(
        &mut self,
        account: &str,
        from: &str,
        listed: &Listed,
        now: Timestamp,
    ) -> Result<Compared, Fault> {
        let account = self.account_id(account)?;
        let (mut changed, mut old, mut next) = (Vec::new(), Vec::new(), None);
        for (count, row) in
            self.tables.ledger.range((account, from)..(account + 1, ""))?.enumerate()
        {
            let (key, row) = row?;
            let location = key.value().1;
            if count == COMPARED_MAX {
                next = Some(location.to_owned());
                break;
            }
            let mut row = decode::<LedgerRow>(row.value())?;
            let decided = !matches!(row.state, LedgerState::Spooled { .. });
            match (row.gone, listed.contains(location)) {
                (Some(_), true) => row.gone = None,
                (None, false) if decided => row.gone = Some(now),
                (Some(gone), false) if now.duration_since(gone) > GONE_KEPT => {
                    old.push((location.to_owned(), row));
                    continue;
                }
                (Some(_), false) | (None, true | false) => continue,
            }
            changed.push((location.to_owned(), row));
        }
        for (location, row) in changed {
            self.tables.ledger.insert((account, location.as_str()), encode(&row).as_slice())?;
        }
        for (location, row) in &old {
            self.tables.ledger.remove((account, location.as_str()))?;
            self.forget_old_digests(account, &row.state, now)?;
        }
        Ok(Compared { forgotten: old.len() as u64, next })
    }

    /// Digests stay at least as long as the location is known: a mailbox whose locations all
    /// change must not bring its old mails again.
    fn forget_old_digests(
        &mut self,
        account: u32,
        state: &LedgerState,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let (LedgerState::Recorded { mail } | LedgerState::Done { mail }) = *state else {
            return Ok(());
        };
        let Some(row) = self.mail_row(mail)? else { return Ok(()) };
        if now.duration_since(row.at) > DIGESTS_KEPT {
            self.forget_digests(account, mail, &row)?;
        }
        Ok(())
    }

    /// Carries renames out, in their order; those carried out before are skipped.
    pub(super) fn adopt(&mut self, moved: &[Moved], now: Timestamp) -> Result<(), Fault> {
        for rename in moved {
            let kind = match rename.kind {
                MovedKind::MailAccount => "mailAccount",
                MovedKind::Queue => "queue",
                MovedKind::User => "user",
            };
            let key = (kind, rename.from.as_str(), rename.to.as_str());
            if self.tables.moves.get(key)?.is_some() {
                continue;
            }
            let carried_out = match rename.kind {
                MovedKind::MailAccount => self.rename_account(&rename.from, &rename.to)?,
                MovedKind::Queue => self.rename_queue(&rename.from, &rename.to)?,
                MovedKind::User => self.rename_user(&rename.from, &rename.to)?,
            };
            if carried_out {
                self.tables.moves.insert(key, micros(now))?;
            }
        }
        Ok(())
    }

    fn rename_account(&mut self, from: &str, to: &str) -> Result<bool, Fault> {
        if self.tables.accounts.get(to)?.is_some() {
            return Ok(false);
        }
        let Some(row) = self.tables.accounts.remove(from)?.map(|row| row.value().to_vec()) else {
            return Ok(false);
        };
        self.tables.accounts.insert(to, row.as_slice())?;
        self.tables.account_names.insert(decode::<AccountRow>(&row)?.id, to)?;
        Ok(true)
    }

    fn rename_queue(&mut self, from: &str, to: &str) -> Result<bool, Fault> {
        self.change_tickets(|ticket| {
            let concerned = ticket.queue == from;
            if concerned {
                ticket.queue = to.to_owned();
            }
            concerned
        })
    }

    fn rename_user(&mut self, from: &str, to: &str) -> Result<bool, Fault> {
        let waited = self.rename_lines(from, to)?;
        let had_tickets = self.change_tickets(|ticket| {
            let mut concerned = false;
            for agent in [&mut ticket.owner, &mut ticket.responsible] {
                if agent.as_deref() == Some(from) {
                    *agent = Some(to.to_owned());
                    concerned = true;
                }
            }
            if ticket.watchers.remove(&Watcher::Agent(from.to_owned())) {
                ticket.watchers.insert(Watcher::Agent(to.to_owned()));
                concerned = true;
            }
            concerned
        })?;
        Ok(waited || had_tickets)
    }

    /// Changes all tickets that are concerned; answers whether any was.
    fn change_tickets(
        &mut self,
        mut change: impl FnMut(&mut crate::core::ticket::Ticket) -> bool,
    ) -> Result<bool, Fault> {
        let mut changed = Vec::new();
        for row in self.tables.tickets.iter()? {
            let (id, row) = row?;
            let mut ticket = decode::<super::rows::TicketRow>(row.value())?.ticket(id.value())?;
            if change(&mut ticket) {
                changed.push(ticket);
            }
        }
        let any = !changed.is_empty();
        for ticket in changed {
            self.put_ticket(ticket, &[])?;
        }
        Ok(any)
    }
}

fn answer(mail: &Spool, digest: Digest, attempts: u32) -> Spooled {
    Spooled { location: mail.location.clone(), digest, attempts, headers_only: mail.headers_only }
}

/// What is known of an account.
pub(super) fn account(view: &View, name: &str) -> Result<AccountState, Fault> {
    let row = view.accounts.get(name)?;
    let row = row.map(|row| decode::<AccountRow>(row.value())).transpose()?;
    let nothing = AccountState { linked: None, epoch: String::new(), highest: None };
    Ok(row.map_or(nothing, |row| AccountState {
        linked: row.linked,
        epoch: row.epoch,
        highest: row.highest.map(Location),
    }))
}

/// What is known of these locations, in their order.
pub(super) fn known(view: &View, name: &str, locations: &[Location]) -> Result<Vec<Known>, Fault> {
    let Some(row) = view.accounts.get(name)? else { return Ok(vec![Known::No; locations.len()]) };
    let account = decode::<AccountRow>(row.value())?.id;
    let known = |location: &Location| {
        let row = view.ledger.get((account, location.0.as_str()))?;
        let row = row.map(|row| decode::<LedgerRow>(row.value())).transpose()?;
        Ok(match row.map(|row| row.state) {
            None => Known::No,
            Some(LedgerState::LeftAlone) => Known::LeftAlone,
            Some(LedgerState::Spooled { attempts, .. }) => Known::Spooled { attempts },
            Some(LedgerState::Recorded { .. }) => Known::Recorded,
            Some(LedgerState::Done { .. }) => Known::Done,
        })
    };
    locations.iter().map(known).collect()
}

/// What is spooled but not decided.
pub(super) fn spooled(view: &View, name: &str) -> Result<Vec<Spooled>, Fault> {
    let Some(row) = view.accounts.get(name)? else { return Ok(Vec::new()) };
    let account = decode::<AccountRow>(row.value())?.id;
    let mut mails = Vec::new();
    for row in view.spooled.range((account, "")..(account + 1, ""))? {
        let key = row?.0;
        let Some(row) = view.ledger.get(key.value())? else { continue };
        if let LedgerState::Spooled { digest, attempts, headers_only } =
            decode::<LedgerRow>(row.value())?.state
        {
            let location = Location(key.value().1.to_owned());
            let digest = super::rows::digest(&digest)?;
            mails.push(Spooled { location, digest, attempts, headers_only });
        }
    }
    Ok(mails)
}
