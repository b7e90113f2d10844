//! Moving messages into another folder, also on servers without MOVE (RFC 6851).
//!
//! Architecture invariant: a message leaves its folder only when the server has confirmed that it
//! is in the other one; and a move that was cut in the middle leaves no second copy.

use std::collections::{BTreeMap, BTreeSet};

use imap_proto::{AttributeValue, MailboxDatum, NameAttribute, Response};

use super::session::{Allowance, quoted};
use super::set::set;
use super::{Answer, Imap, MailboxError, folder_argument, select};
use crate::faultpoint;

/// Longest Message-ID that is looked for.
const MESSAGE_ID_BYTES_MAX: usize = 900;
/// Bytes of a header field asked for.
const FIELD_BYTES_MAX: u64 = 4 * 1024;
/// Matches of one Message-ID that are looked at.
const MATCHES_MAX: usize = 100;

/// What tells a message from others, in whatever folder it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    message_id: String,
    size_bytes: u64,
}

impl Imap {
    /// Moves messages. Those that are gone already are no error.
    pub(super) async fn move_to(&mut self, uids: &[u32], folder: &str) -> Result<(), MailboxError> {
        let target = folder_argument(folder)?;
        if self.session.can("MOVE") {
            return self.transfer("UID MOVE", uids, folder, &target).await;
        }
        let copied = self.copied_before(uids, folder).await?;
        let rest: Vec<u32> = uids.iter().copied().filter(|uid| !copied.contains(uid)).collect();
        if !rest.is_empty() {
            self.transfer("UID COPY", &rest, folder, &target).await?;
            faultpoint!("imap.copied");
        }
        self.store(uids, "\\Deleted").await?;
        if self.session.can("UIDPLUS") {
            faultpoint!("imap.flagged");
            self.expunge(uids).await
        } else {
            self.warn_of_flagged();
            Ok(())
        }
    }

    async fn transfer(
        &mut self,
        command: &'static str,
        uids: &[u32],
        folder: &str,
        target: &str,
    ) -> Result<(), MailboxError> {
        let text = format!("{command} {} {target}", set(uids.iter().copied()));
        let allowance = Allowance { answers: uids.len() as u64, bytes: 0 };
        match self.session.command(command, &text, allowance, |_| Ok(())).await {
            Err(MailboxError::Refused { command, message }) => {
                let message = format!("to folder {folder:?}: {message}");
                Err(MailboxError::Refused { command, message })
            }
            other => other,
        }
    }

    /// Moves messages to where the server keeps deleted ones (RFC 6154), else to `Trash`.
    pub(super) async fn move_to_trash(&mut self, uids: &[u32]) -> Result<(), MailboxError> {
        let mut trash = None;
        let allowance = Allowance::default();
        self.session
            .command("LIST", "LIST \"\" \"*\"", allowance, |response| {
                if let Response::MailboxData(MailboxDatum::List(list)) = response
                    && list.name_attributes.iter().any(|name| matches!(name, NameAttribute::Trash))
                {
                    trash = Some(list.name.to_string());
                }
                Ok(())
            })
            .await?;
        let name = trash.unwrap_or_else(|| "Trash".to_owned());
        // The server's own spelling goes back as it came.
        let target = quoted(&name)
            .ok_or_else(|| MailboxError::Folder("name of the trash folder is unusable".into()))?;
        self.transfer("UID MOVE", uids, &name, &target).await
    }

    /// Which of these messages an earlier attempt has copied but not removed. After a cut between
    /// COPY and STORE nothing else tells; messages without Message-ID are copied again.
    async fn copied_before(
        &mut self,
        uids: &[u32],
        folder: &str,
    ) -> Result<BTreeSet<u32>, MailboxError> {
        let marks = self.marks(uids).await?;
        select(&mut self.session, "EXAMINE", folder).await?;
        let mut copied = BTreeSet::new();
        for (uid, mark) in marks {
            if self.is_here(&mark).await? {
                copied.insert(uid);
            }
        }
        let selected = select(&mut self.session, "SELECT", &self.folder).await?;
        if selected.uid_validity != self.uid_validity {
            return Err(MailboxError::Protocol("UIDVALIDITY changed within a session".into()));
        }
        Ok(copied)
    }

    async fn marks(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, Mark>, MailboxError> {
        let mut marks = BTreeMap::new();
        let text = format!(
            "UID FETCH {} (UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])",
            set(uids.iter().copied())
        );
        let count = uids.len() as u64;
        let allowance = Allowance { answers: count, bytes: count * FIELD_BYTES_MAX };
        self.session
            .command("UID FETCH", &text, allowance, |response| {
                let Some(answer) = Answer::of(response)? else { return Ok(()) };
                let (Some(uid), Some(size_bytes)) = (answer.uid, answer.size) else {
                    return Ok(());
                };
                if let Some(message_id) = header_of(&answer).and_then(message_id) {
                    marks.insert(uid, Mark { message_id, size_bytes });
                }
                Ok(())
            })
            .await?;
        Ok(marks)
    }

    /// Whether a message with this mark lies in the folder that is open now.
    async fn is_here(&mut self, mark: &Mark) -> Result<bool, MailboxError> {
        let Some(message_id) = quoted(&mark.message_id) else { return Ok(false) };
        let text = format!("UID SEARCH HEADER Message-ID {message_id}");
        let mut matches: Vec<u32> = Vec::new();
        self.session
            .command("UID SEARCH", &text, Allowance::default(), |response| {
                if let Response::MailboxData(MailboxDatum::Search(uids)) = response {
                    matches.extend(uids.iter().take(MATCHES_MAX));
                }
                Ok(())
            })
            .await?;
        if matches.is_empty() {
            return Ok(false);
        }
        let mut here = false;
        let text = format!("UID FETCH {} (UID RFC822.SIZE)", set(matches));
        self.session
            .command("UID FETCH", &text, Allowance::default(), |response| {
                let size = Answer::of(response)?.and_then(|answer| answer.size);
                here |= size == Some(mark.size_bytes);
                Ok(())
            })
            .await?;
        Ok(here)
    }
}

fn header_of<'a>(answer: &Answer<'a>) -> Option<&'a [u8]> {
    answer.attributes.iter().find_map(|attribute| match attribute {
        AttributeValue::BodySection { data, .. } => data.as_deref(),
        _ => None,
    })
}

/// The value of the only field in this header, unfolded.
fn message_id(header: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(header).ok()?;
    let (_, value) = text.split_once(':')?;
    let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    (!value.is_empty() && value.len() <= MESSAGE_ID_BYTES_MAX).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &[u8], expected: Option<&str>) {
        assert_eq!(message_id(header).as_deref(), expected);
    }

    #[test]
    fn ordinary() {
        check(b"Message-ID: <1@example.com>\r\n\r\n", Some("<1@example.com>"));
    }

    #[test]
    fn folded() {
        check(b"Message-Id:\r\n <1@example.com>\r\n\r\n", Some("<1@example.com>"));
    }

    #[test]
    fn none() {
        check(b"\r\n", None);
        check(b"Message-ID: \r\n\r\n", None);
    }
}
