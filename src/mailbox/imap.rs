//! IMAP4rev1 (RFC 3501), with MOVE (RFC 6851), UIDPLUS (RFC 4315) and IDLE (RFC 2177) where the
//! server offers them.
//!
//! Architecture invariant: a message is named by its UID and nothing else; a bare EXPUNGE, which
//! would also remove what others marked, is never sent.

mod guard;
mod listing;
mod r#move;
mod session;
mod set;
mod starttls;
pub mod utf7;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use imap_proto::{AttributeValue, MessageSection, Response, ResponseCode, SectionPath};
use jiff::Timestamp;

use self::session::{Allowance, Session, quoted};
use self::set::{UIDS_PER_COMMAND_MAX, set};
use super::dial::{Proof, Target};
use super::{Entry, Fetched, HEADER_BYTES_MAX, Mailbox, MailboxError, Scope, Woken};
use crate::core::config::{AfterFetch, Security};
use crate::core::mail::Location;
use crate::faultpoint;

/// Messages in one folder; a larger folder is refused.
pub const MESSAGES_MAX: u32 = 1_000_000;
/// Messages up to this size are fetched many at a time; larger ones in pieces of this size.
const PIECE_BYTES_MAX: u64 = guard::LITERAL_BYTES_MAX;
/// Bytes of messages asked for in one command.
const BATCH_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A session with one folder.
pub struct Imap {
    session: Session,
    /// The folder in plain UTF-8.
    folder: String,
    /// RFC 3501 section 2.3.1.1: UIDs mean the same messages as long as this stays.
    uid_validity: u32,
    /// RFC 3501 section 2.3.1.1: no message has this UID or a larger one yet.
    uid_next: Option<u32>,
    /// Largest UID of the pages of this look.
    last_uid: u32,
    /// Whether the account wants IDLE.
    idle: bool,
    /// Whether it was said that deleted messages stay in the folder.
    warned: bool,
}

/// Connects, logs in, opens the folder.
pub async fn open(target: Target<'_>, folder: &str, idle: bool) -> Result<Imap, MailboxError> {
    let stream = target.connect().await?;
    let upgraded = target.endpoint.security == Security::StartTls;
    let stream = if upgraded { starttls::upgrade(stream, &target).await? } else { stream };
    let mut session = Session::begin(stream, upgraded, target.timeout()).await?;
    match &target.proof {
        Proof::Password(password) => session.login(&target.username, password).await?,
        Proof::Token(token) => session.authenticate(&target, token).await?,
    }
    let Selected { uid_validity, uid_next } = select(&mut session, "SELECT", folder).await?;
    let folder = folder.to_owned();
    Ok(Imap { session, folder, uid_validity, uid_next, last_uid: 0, idle, warned: false })
}

/// What a server says of a folder that it opens.
struct Selected {
    uid_validity: u32,
    uid_next: Option<u32>,
}

/// Opens a folder.
async fn select(
    session: &mut Session,
    command: &'static str,
    folder: &str,
) -> Result<Selected, MailboxError> {
    let text = format!("{command} {}", folder_argument(folder)?);
    let (mut uid_validity, mut uid_next) = (None, None);
    let selected = session.command(command, &text, Allowance::default(), |response| {
        if let Response::Data { outcome, .. } = response {
            match &outcome.code {
                Some(ResponseCode::UidValidity(value)) => uid_validity = Some(*value),
                Some(ResponseCode::UidNext(value)) => uid_next = Some(*value),
                _ => {}
            }
        }
        Ok(())
    });
    match selected.await {
        Ok(()) => match uid_validity {
            Some(uid_validity) => Ok(Selected { uid_validity, uid_next }),
            None => {
                let message = "server opened the folder without UIDVALIDITY";
                Err(MailboxError::Protocol(message.into()))
            }
        },
        Err(MailboxError::Refused { message, .. }) => {
            Err(MailboxError::Folder(format!("{folder:?}: {message}")))
        }
        Err(error) => Err(error),
    }
}

fn location(folder: &str, uid_validity: u32, uid: u32) -> Location {
    Location(format!("{folder};{uid_validity};{uid}"))
}

/// A folder name as an argument of a command.
fn folder_argument(folder: &str) -> Result<String, MailboxError> {
    quoted(&utf7::encode(folder))
        .ok_or_else(|| MailboxError::Folder("name of the folder is too long".into()))
}

#[async_trait]
impl Mailbox for Imap {
    fn epoch(&self) -> String {
        self.uid_validity.to_string()
    }

    fn next(&mut self) -> Option<Location> {
        self.uid_next.take().map(|uid| location(&self.folder, self.uid_validity, uid))
    }

    async fn look(&mut self, scope: Scope) -> Result<(), MailboxError> {
        // The server may tell of new messages only in answer to a command that allows it.
        self.session.command("NOOP", "NOOP", Allowance::default(), |_| Ok(())).await?;
        self.session.settle();
        self.begin_look(scope);
        Ok(())
    }

    async fn page(&mut self) -> Result<Vec<Entry>, MailboxError> {
        self.next_page().await
    }

    fn rest(&self) -> usize {
        self.session.place().rest()
    }

    async fn fetch(
        &mut self,
        entries: &[Entry],
        max_size_bytes: u64,
    ) -> Result<Vec<Fetched>, MailboxError> {
        let small: Vec<&Entry> = entries
            .iter()
            .filter(|entry| size(entry) <= PIECE_BYTES_MAX.min(max_size_bytes))
            .collect();
        let mut bodies = BTreeMap::new();
        for batch in batches(&small) {
            self.fetch_batch(batch, &mut bodies).await?;
        }
        let mut fetched = Vec::with_capacity(entries.len());
        for entry in entries {
            fetched.push(if size(entry) > max_size_bytes {
                self.fetch_header(entry).await?
            } else if size(entry) > PIECE_BYTES_MAX {
                self.fetch_in_pieces(entry).await?
            } else {
                bodies.remove(&entry.handle).map_or(Fetched::Missing, Fetched::Mail)
            });
        }
        Ok(fetched)
    }

    async fn done(&mut self, entries: &[Entry], after: &AfterFetch) -> Result<(), MailboxError> {
        for chunk in entries.chunks(UIDS_PER_COMMAND_MAX) {
            let uids: Vec<u32> = chunk.iter().map(|entry| entry.handle).collect();
            match after {
                AfterFetch::Delete => self.delete(&uids).await?,
                AfterFetch::Seen => self.store(&uids, "\\Seen").await?,
                AfterFetch::Move(folder) => self.move_to(&uids, folder).await?,
                AfterFetch::Keep => {}
            }
        }
        Ok(())
    }

    fn can_wait(&self) -> bool {
        self.idle && self.session.can("IDLE")
    }

    async fn wait(&mut self, at_most: Duration) -> Result<Woken, MailboxError> {
        if !self.can_wait() {
            return Err(MailboxError::Unsupported("server cannot tell of new mail"));
        }
        self.session.idle(at_most).await
    }

    async fn close(&mut self) -> Result<(), MailboxError> {
        // The server says BYE before the tagged OK (RFC 3501 section 6.1.3); both are goodbyes.
        match self.session.command("LOGOUT", "LOGOUT", Allowance::default(), |_| Ok(())).await {
            Ok(()) | Err(MailboxError::Lost(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn certificate_expires(&self) -> Option<Timestamp> {
        crate::net::expires(self.session.stream().peer_certificate()?)
    }
}

impl Imap {
    /// Fetches small messages. After a NO they are asked for one by one, so that one message the
    /// server cannot give does not keep the others from us.
    async fn fetch_batch(
        &mut self,
        batch: &[&Entry],
        bodies: &mut BTreeMap<u32, Vec<u8>>,
    ) -> Result<(), MailboxError> {
        let refusal = match self.fetch_bodies(batch, bodies).await {
            Err(refusal @ MailboxError::Refused { .. }) => refusal,
            other => return other,
        };
        let missing: Vec<&Entry> =
            batch.iter().copied().filter(|entry| !bodies.contains_key(&entry.handle)).collect();
        if missing.len() < 2 {
            return Ok(());
        }
        let mut answered = missing.len() < batch.len();
        for entry in missing {
            match self.fetch_bodies(&[entry], bodies).await {
                Ok(()) => answered = true,
                Err(MailboxError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // A server that refuses everything has another trouble than a broken message.
        if answered { Ok(()) } else { Err(refusal) }
    }

    async fn fetch_bodies(
        &mut self,
        batch: &[&Entry],
        bodies: &mut BTreeMap<u32, Vec<u8>>,
    ) -> Result<(), MailboxError> {
        let wanted: BTreeMap<u32, u64> =
            batch.iter().map(|entry| (entry.handle, size(entry))).collect();
        let command =
            format!("UID FETCH {} (UID RFC822.SIZE BODY.PEEK[])", set(wanted.keys().copied()));
        let allowance =
            Allowance { answers: wanted.len() as u64, bytes: wanted.values().sum::<u64>() };
        self.session
            .command("UID FETCH", &command, allowance, |response| {
                let Some(answer) = Answer::of(response)? else { return Ok(()) };
                let Some(body) = answer.body(Part::Whole)? else { return Ok(()) };
                let uid = answer.uid_of_body()?;
                let listed = wanted.get(&uid).ok_or_else(|| not_asked_for(uid))?;
                let sizes = [answer.size.unwrap_or(*listed), body.len() as u64];
                if sizes != [*listed, *listed] {
                    return Err(wrong_size(uid, *listed, body.len()));
                }
                match bodies.insert(uid, body.to_vec()) {
                    None => Ok(()),
                    Some(_) => Err(MailboxError::Protocol(format!("UID {uid} came twice"))),
                }
            })
            .await
    }

    /// Fetches a large message without the parser ever holding more than a piece of it.
    async fn fetch_in_pieces(&mut self, entry: &Entry) -> Result<Fetched, MailboxError> {
        let size = size(entry);
        let mut mail = Vec::new();
        while (mail.len() as u64) < size {
            let offset = mail.len() as u64;
            let expected = PIECE_BYTES_MAX.min(size - offset);
            let Some(piece) = self.fetch_piece(entry, "", offset, PIECE_BYTES_MAX).await? else {
                return Ok(Fetched::Missing);
            };
            if piece.len() as u64 != expected {
                let received = mail.len() + piece.len();
                return Err(wrong_size(entry.handle, size, received));
            }
            mail.extend(piece);
        }
        Ok(Fetched::Mail(mail))
    }

    async fn fetch_header(&mut self, entry: &Entry) -> Result<Fetched, MailboxError> {
        let header = self.fetch_piece(entry, "HEADER", 0, HEADER_BYTES_MAX).await?;
        Ok(match header {
            None => Fetched::Missing,
            Some(header) => Fetched::Oversize { header, size_bytes: size(entry) },
        })
    }

    /// A part of a section (RFC 3501 section 6.4.5); `None` if the server does not give it.
    async fn fetch_piece(
        &mut self,
        entry: &Entry,
        section: &str,
        offset: u64,
        length: u64,
    ) -> Result<Option<Vec<u8>>, MailboxError> {
        let wanted = entry.handle;
        let part = if section.is_empty() { Part::Piece(offset) } else { Part::Header };
        let command = format!("UID FETCH {wanted} (UID BODY.PEEK[{section}]<{offset}.{length}>)");
        let mut piece = None;
        let fetching = self.session.command(
            "UID FETCH",
            &command,
            Allowance { answers: 1, bytes: length },
            |response| {
                let Some(answer) = Answer::of(response)? else { return Ok(()) };
                let Some(body) = answer.body(part)? else { return Ok(()) };
                let uid = answer.uid_of_body()?;
                if uid != wanted {
                    return Err(not_asked_for(uid));
                }
                if body.len() as u64 > length {
                    return Err(wrong_size(uid, length, body.len()));
                }
                match piece.replace(body.to_vec()) {
                    None => Ok(()),
                    Some(_) => Err(MailboxError::Protocol(format!("UID {uid} came twice"))),
                }
            },
        );
        match fetching.await {
            Ok(()) => Ok(piece),
            Err(MailboxError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn store(&mut self, uids: &[u32], flag: &str) -> Result<(), MailboxError> {
        let command = format!("UID STORE {} +FLAGS.SILENT ({flag})", set(uids.iter().copied()));
        let allowance = Allowance { answers: uids.len() as u64, bytes: 0 };
        self.session.command("UID STORE", &command, allowance, |_| Ok(())).await
    }

    async fn delete(&mut self, uids: &[u32]) -> Result<(), MailboxError> {
        if self.session.can("UIDPLUS") {
            self.store(uids, "\\Deleted").await?;
            faultpoint!("imap.flagged");
            return self.expunge(uids).await;
        }
        if self.session.can("MOVE") {
            return self.move_to_trash(uids).await;
        }
        self.store(uids, "\\Deleted").await?;
        self.warn_of_flagged();
        Ok(())
    }

    async fn expunge(&mut self, uids: &[u32]) -> Result<(), MailboxError> {
        let command = format!("UID EXPUNGE {}", set(uids.iter().copied()));
        let allowance = Allowance { answers: uids.len() as u64, bytes: 0 };
        self.session.command("UID EXPUNGE", &command, allowance, |_| Ok(())).await
    }

    fn warn_of_flagged(&mut self) {
        if !self.warned {
            self.warned = true;
            tracing::warn!(
                folder = self.folder,
                "server has neither UIDPLUS nor MOVE: mails are marked as deleted and stay in the \
                 folder; removing all marked ones could remove what others marked"
            );
        }
    }
}

/// Which section an answer must carry.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// `BODY[]`
    Whole,
    /// `BODY[]<offset>`
    Piece(u64),
    /// `BODY[HEADER]<0>`
    Header,
}

/// What a FETCH answer tells.
struct Answer<'a> {
    uid: Option<u32>,
    size: Option<u64>,
    seen: bool,
    arrived: Option<Timestamp>,
    attributes: &'a [AttributeValue<'a>],
}

impl<'a> Answer<'a> {
    fn of(response: &'a Response<'a>) -> Result<Option<Answer<'a>>, MailboxError> {
        let Response::Fetch(_, attributes) = response else { return Ok(None) };
        let mut answer = Answer { uid: None, size: None, seen: false, arrived: None, attributes };
        for attribute in attributes {
            match attribute {
                AttributeValue::Uid(uid) if *uid > 0 => answer.uid = Some(*uid),
                AttributeValue::Rfc822Size(size) => answer.size = Some(u64::from(*size)),
                AttributeValue::Flags(flags) => {
                    answer.seen = flags.iter().any(|flag| flag.eq_ignore_ascii_case("\\Seen"));
                }
                AttributeValue::InternalDate(date) => answer.arrived = internal_date(date),
                // What the parser could not read it calls unknown: also a UID beyond 32 bits.
                AttributeValue::Unknown | AttributeValue::Uid(_) => {
                    return Err(MailboxError::Protocol("an attribute cannot be read".into()));
                }
                _ => {}
            }
        }
        Ok(Some(answer))
    }

    /// The bytes of this part; `None` for an answer without any, or with NIL.
    fn body(&self, part: Part) -> Result<Option<&'a [u8]>, MailboxError> {
        let mut body = None;
        for attribute in self.attributes {
            let AttributeValue::BodySection { section, index, data } = attribute else { continue };
            let index = index.map(u64::from);
            let fits = match part {
                Part::Whole => section.is_none() && index.is_none(),
                Part::Piece(offset) => section.is_none() && index == Some(offset),
                Part::Header => {
                    matches!(section, Some(SectionPath::Full(MessageSection::Header)))
                }
            };
            if !fits {
                return Err(MailboxError::Protocol("server gave another part than asked".into()));
            }
            if body.replace(data.as_deref()).is_some() {
                return Err(MailboxError::Protocol("server gave a message twice".into()));
            }
        }
        Ok(body.flatten())
    }

    fn uid_of_body(&self) -> Result<u32, MailboxError> {
        self.uid.ok_or_else(|| MailboxError::Protocol("server gave a message without UID".into()))
    }
}

/// `17-Jul-1996 02:44:25 -0700` (RFC 3501 section 9, `date-time`); a space may pad the day.
fn internal_date(text: &str) -> Option<Timestamp> {
    let parsed = jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim_start()).ok()?;
    parsed.to_timestamp().ok()
}

fn size(entry: &Entry) -> u64 {
    entry.size_bytes.unwrap_or(u64::MAX)
}

/// Cuts into commands of bounded length and answer.
fn batches<'a, 'b>(entries: &'a [&'b Entry]) -> Vec<&'a [&'b Entry]> {
    let mut batches = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take(UIDS_PER_COMMAND_MAX).take_while(|entry| {
            bytes += size(entry);
            bytes <= BATCH_BYTES_MAX
        });
        let (batch, after) = rest.split_at(fits.count().max(1));
        batches.push(batch);
        rest = after;
    }
    batches
}

fn not_asked_for(uid: u32) -> MailboxError {
    MailboxError::Protocol(format!("server gave UID {uid}, which was not asked for"))
}

fn wrong_size(uid: u32, announced: u64, received: usize) -> MailboxError {
    MailboxError::Protocol(format!(
        "UID {uid} was announced with {announced} bytes and came with {received}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::mail::Location;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(internal_date(text).map(|at| at.to_string()).as_deref(), expected);
    }

    #[test]
    fn date_with_zone() {
        check("17-Jul-1996 02:44:25 -0700", Some("1996-07-17T09:44:25Z"));
    }

    #[test]
    fn date_with_padded_day() {
        check(" 7-Jul-2026 02:44:25 +0900", Some("2026-07-06T17:44:25Z"));
    }

    #[test]
    fn date_that_is_none() {
        check("99-Foo-9999 99:99:99 +9999", None);
    }

    #[test]
    fn batches_are_bounded_and_complete() {
        let entry = |handle: u32, size| Entry {
            location: Location(handle.to_string()),
            handle,
            size_bytes: Some(size),
            seen: false,
            arrived: None,
        };
        let sizes = [3_000_000, 1_000_000, 1_000_000, 5_000_000, 1];
        let entries: Vec<Entry> =
            sizes.iter().enumerate().map(|(n, size)| entry(n as u32, *size)).collect();
        let entries: Vec<&Entry> = entries.iter().collect();
        let counts: Vec<usize> = batches(&entries).iter().map(|batch| batch.len()).collect();
        assert_eq!(counts, [2, 1, 1, 1]);
    }
}
