//! Deleting messages, by whatever the server offers: UID EXPUNGE (RFC 4315), MOVE (RFC 6851), or a
//! bare EXPUNGE (RFC 3501 section 6.4.3), which removes every message that anybody has marked.
//!
//! Architecture invariant: EXPUNGE is sent only right after the server has said, complete and with
//! its tagged OK, that no message is marked but those of ours. What another program marks in the
//! instant between the two is removed with ours: a server without UIDPLUS leaves no way around it.

use imap_proto::{MailboxDatum, Response};

use super::session::Allowance;
use super::set::set;
use super::{Imap, MailboxError};
use crate::faultpoint;

impl Imap {
    pub(super) async fn delete(&mut self, uids: &[u32]) -> Result<(), MailboxError> {
        if !self.session.can("UIDPLUS") && self.session.can("MOVE") {
            return self.move_to_trash(uids).await;
        }
        self.mark_and_remove(uids).await
    }

    pub(super) async fn store(&mut self, uids: &[u32], flag: &str) -> Result<(), MailboxError> {
        let command = format!("UID STORE {} +FLAGS.SILENT ({flag})", set(uids.iter().copied()));
        let allowance = Allowance { answers: uids.len() as u64, bytes: 0 };
        self.session.command("UID STORE", &command, allowance, |_| Ok(())).await
    }

    /// Marks messages as deleted, and removes them; without UIDPLUS `remove_marked` does that for
    /// all together.
    pub(super) async fn mark_and_remove(&mut self, uids: &[u32]) -> Result<(), MailboxError> {
        self.store(uids, "\\Deleted").await?;
        if !self.session.can("UIDPLUS") {
            self.marked.extend(uids);
            return Ok(());
        }
        faultpoint!("imap.flagged");
        let command = format!("UID EXPUNGE {}", set(uids.iter().copied()));
        let allowance = Allowance { answers: uids.len() as u64, bytes: 0 };
        self.session.command("UID EXPUNGE", &command, allowance, |_| Ok(())).await
    }

    /// On a server without UIDPLUS: removes what was marked, unless others have marked something
    /// or the server does not say. Then the messages stay, marked.
    pub(super) async fn remove_marked(&mut self) -> Result<(), MailboxError> {
        if self.marked.is_empty() {
            return Ok(());
        }
        faultpoint!("imap.flagged");
        if !self.all_marked_are_ours().await? {
            self.leaves_marked = true;
            return Ok(());
        }
        let allowance = Allowance { answers: self.marked.len() as u64, bytes: 0 };
        self.session.command("EXPUNGE", "EXPUNGE", allowance, |_| Ok(())).await?;
        self.marked.clear();
        Ok(())
    }

    async fn all_marked_are_ours(&mut self) -> Result<bool, MailboxError> {
        let (marked, mut answered, mut foreign) = (&self.marked, false, false);
        let asking = self.session.command(
            "UID SEARCH",
            "UID SEARCH DELETED",
            Allowance::default(),
            |response| {
                if let Response::MailboxData(MailboxDatum::Search(uids)) = response {
                    answered = true;
                    foreign |= uids.iter().any(|uid| !marked.contains(uid));
                }
                Ok(())
            },
        );
        match asking.await {
            // Without a SEARCH answer the server has not said what is marked.
            Ok(()) => Ok(answered && !foreign),
            Err(MailboxError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
