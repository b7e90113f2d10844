//! What the server is told of recorded mails: that they may go, or be moved, or are read.

use tokio_util::sync::CancellationToken;

use super::{Ended, step};
use crate::core::config::{Account, AfterFetch};
use crate::core::mail::Location;
use crate::faultpoint;
use crate::mailbox::{Entry, Mailbox, MailboxError};

/// Mails the server is told about together.
pub const DONE_MAILS_MAX: usize = 1_000;

/// Recorded mails about which the server is to be told.
pub(super) struct Telling {
    after: AfterFetch,
    waiting: Vec<Entry>,
    /// Mails that need no more attention.
    pub confirmed: Vec<Location>,
    /// Whether there was anything to tell.
    pub told: bool,
    /// What the server said when it refused to move mails.
    pub refused: Option<String>,
}

impl Telling {
    pub(super) fn new(account: &Account) -> Telling {
        Telling {
            after: account.after_fetch.clone(),
            waiting: Vec::new(),
            confirmed: Vec::new(),
            told: false,
            refused: None,
        }
    }

    pub(super) fn add(&mut self, entries: impl IntoIterator<Item = Entry>) {
        match self.after {
            AfterFetch::Keep => {}
            AfterFetch::Delete | AfterFetch::Seen | AfterFetch::Move(_) => {
                self.waiting.extend(entries);
            }
        }
    }

    /// Mails of which the server has not been told yet.
    pub(super) fn waiting(&self) -> &[Entry] {
        &self.waiting
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= DONE_MAILS_MAX
    }

    pub(super) async fn tell(
        &mut self,
        mailbox: &mut dyn Mailbox,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        for entries in self.waiting.chunks(DONE_MAILS_MAX) {
            faultpoint!("before_done");
            self.told = true;
            match step(stop, mailbox.done(entries, &self.after)).await {
                // Mails that cannot be moved stay where they are and are moved by a later look. That
                // keeps no new mail waiting, so the session goes on.
                Err(Ended::Mailbox(error @ MailboxError::Refused { .. }))
                    if matches!(self.after, AfterFetch::Move(_)) =>
                {
                    self.refused = Some(error.to_string());
                }
                other => other?,
            }
            faultpoint!("after_done");
        }
        // A deleted or moved mail proves by its absence that the server did it; while it is still
        // listed, it is told again. A mark can be taken away by a person, so it is set once.
        if self.after == AfterFetch::Seen {
            self.confirmed.extend(self.waiting.iter().map(|entry| entry.location.clone()));
        }
        self.waiting.clear();
        Ok(())
    }
}
