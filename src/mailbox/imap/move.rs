//! Moving messages into another folder, also on servers without MOVE (RFC 6851).
//!
//! Architecture invariant: a message leaves its folder only when the server has confirmed that it
//! is in the other one; and a move that was cut in the middle leaves no second copy.

use std::collections::{BTreeMap, BTreeSet};

use imap_proto::{AttributeValue, MailboxDatum, NameAttribute, Response};

use super::session::{Allowance, quoted};
use super::set::set;
use super::{Answer, Imap, MailboxError, folder_argument, select, target};
use crate::core::mail::Digest;
use crate::faultpoint;

/// Longest Message-ID that is looked for.
const MESSAGE_ID_BYTES_MAX: usize = 900;
/// Header fields that tell a message from others. `Received` is different for each delivery.
const FIELDS: &str = "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM TO SUBJECT RECEIVED)]";
/// Matches of one Message-ID that are looked at.
const MATCHES_MAX: usize = 100;

/// What tells a message from others, in whatever folder it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    message_id: String,
    /// SHA-256 of [`FIELDS`]. RFC822.SIZE would not do: servers that estimate it may say another
    /// size in another folder.
    fields: Digest,
}

impl Imap {
    /// Moves messages. Those that are gone already are no error. A folder that is missing is looked
    /// for under the names that servers give it, and made; only a refusal after that counts.
    pub(super) async fn move_to(&mut self, uids: &[u32], folder: &str) -> Result<(), MailboxError> {
        let known = self.targets.get(folder).cloned();
        let refusal = match self.move_into(uids, known.as_deref().unwrap_or(folder)).await {
            Err(refusal @ MailboxError::Refused { .. }) => refusal,
            other => return other,
        };
        // Looked for once in a session: what refuses is something else then.
        if known.is_some() {
            return Err(refusal);
        }
        let target = match target::find(&mut self.session, folder).await {
            Ok(Some(target)) => target,
            Ok(None) => target::create(&mut self.session, folder).await?,
            Err(MailboxError::Refused { .. }) => return Err(refusal),
            Err(error) => return Err(error),
        };
        self.targets.insert(folder.to_owned(), target.clone());
        if target == folder && !target::is_missing(&refusal) {
            return Err(refusal);
        }
        self.move_into(uids, &target).await
    }

    /// After a refusal the folder of the account is open, as before.
    async fn move_into(&mut self, uids: &[u32], folder: &str) -> Result<(), MailboxError> {
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
        self.mark_and_remove(uids).await
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
        let found = match self.find_marked(folder, marks).await {
            Err(MailboxError::Folder(message)) => {
                Err(MailboxError::Refused { command: "EXAMINE", message })
            }
            Err(MailboxError::Refused { command, message }) => {
                Err(MailboxError::Refused { command, message })
            }
            other => Ok(other?),
        };
        // Also after a refusal: a failed EXAMINE leaves no folder open (RFC 3501 section 6.3.1).
        let selected = match select(&mut self.session, "SELECT", &self.folder).await {
            // Without it the session is of no use.
            Err(MailboxError::Refused { message, .. }) => Err(MailboxError::Folder(message))?,
            other => other?,
        };
        if selected.uid_validity != self.uid_validity {
            return Err(MailboxError::Protocol("UIDVALIDITY changed within a session".into()));
        }
        found
    }

    /// Which of these lie in another folder.
    async fn find_marked(
        &mut self,
        folder: &str,
        marks: BTreeMap<u32, Mark>,
    ) -> Result<BTreeSet<u32>, MailboxError> {
        select(&mut self.session, "EXAMINE", folder).await?;
        let mut copied = BTreeSet::new();
        for (uid, mark) in marks {
            if self.is_here(&mark).await? {
                copied.insert(uid);
            }
        }
        Ok(copied)
    }

    async fn marks(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, Mark>, MailboxError> {
        let mut marks = BTreeMap::new();
        let text = format!("UID FETCH {} (UID {FIELDS})", set(uids.iter().copied()));
        let allowance = Allowance { answers: uids.len() as u64, bytes: 0 };
        self.session
            .command("UID FETCH", &text, allowance, |response| {
                let Some(answer) = Answer::of(response) else { return Ok(()) };
                if let (Some(uid), Some(mark)) = (answer.uid, mark(&answer)) {
                    marks.insert(uid, mark);
                }
                Ok(())
            })
            .await?;
        Ok(marks)
    }

    /// Whether a message with this mark lies in the folder that is open now.
    async fn is_here(&mut self, wanted: &Mark) -> Result<bool, MailboxError> {
        let Some(message_id) = quoted(&wanted.message_id) else { return Ok(false) };
        let text = format!("UID SEARCH HEADER Message-ID {message_id}");
        let mut matches: Vec<u32> = Vec::new();
        self.session
            .command("UID SEARCH", &text, Allowance::default(), |response| {
                if let Response::MailboxData(MailboxDatum::Search(uids)) = response {
                    let room = MATCHES_MAX.saturating_sub(matches.len());
                    matches.extend(uids.iter().filter(|uid| **uid > 0).take(room));
                }
                Ok(())
            })
            .await?;
        if matches.is_empty() {
            return Ok(false);
        }
        let mut here = false;
        let text = format!("UID FETCH {} (UID {FIELDS})", set(matches));
        self.session
            .command("UID FETCH", &text, Allowance::default(), |response| {
                here |= Answer::of(response).and_then(|answer| self::mark(&answer)).as_ref()
                    == Some(wanted);
                Ok(())
            })
            .await?;
        Ok(here)
    }
}

fn mark(answer: &Answer<'_>) -> Option<Mark> {
    let header = header_of(answer)?;
    Some(Mark { message_id: message_id(header)?, fields: Digest::of(header) })
}

fn header_of<'a>(answer: &Answer<'a>) -> Option<&'a [u8]> {
    answer.attributes.iter().find_map(|attribute| match attribute {
        AttributeValue::BodySection { data, .. } => data.as_deref(),
        _ => None,
    })
}

/// The value of the field Message-ID, unfolded (RFC 5322 section 3.6.4).
fn message_id(header: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(header).ok()?;
    let mut lines = text.lines().skip_while(|line| !is_message_id(line));
    let (_, first) = lines.next()?.split_once(':')?;
    let folded = lines.take_while(|line| line.starts_with([' ', '\t']));
    let value = std::iter::once(first).chain(folded).flat_map(str::split_whitespace);
    let value = value.collect::<Vec<_>>().join(" ");
    (!value.is_empty() && value.len() <= MESSAGE_ID_BYTES_MAX).then_some(value)
}

fn is_message_id(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| name.trim_end().eq_ignore_ascii_case("Message-ID"))
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
    fn among_others() {
        check(b"Date: x\r\nMessage-ID:\r\n\t<1@x>\r\n <2@x>\r\nTo: y\r\n", Some("<1@x> <2@x>"));
    }

    #[test]
    fn none() {
        check(b"To: x\r\n Message-ID: <1@x>\r\n\r\n", None);
        check(b"\r\n", None);
        check(b"Message-ID: \r\n\r\n", None);
    }
}
