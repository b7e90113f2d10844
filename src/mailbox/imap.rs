//! IMAP4rev1 (RFC 3501), with MOVE (RFC 6851), UIDPLUS (RFC 4315) and IDLE (RFC 2177) where the
//! server offers them.
//!
//! The literal bounds a message, never RFC822.SIZE: Exchange and others estimate it. A size that
//! was announced only chooses how a message is asked for.
//!
//! Architecture invariant: a message is named by its UID and nothing else; a bare EXPUNGE, which
//! also removes what others marked, is sent only when the server has just listed our messages and
//! no others as marked.

mod busy;
mod guard;
mod listing;
mod r#move;
mod remove;
mod rewrite;
mod session;
mod set;
mod starttls;
mod target;
pub mod utf7;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use imap_proto::{AttributeValue, MessageSection, Response, ResponseCode, SectionPath};
use jiff::Timestamp;

use self::session::{Allowance, Session, quoted};
use self::set::{UIDS_PER_COMMAND_MAX, set};
use super::dial::{Proof, Target};
use super::{
    Entry, Fetched, FolderState, HEADER_BYTES_MAX, Mailbox, MailboxError, Scope, Woken, room_bytes,
};
use crate::core::config::{AfterFetch, Security};
use crate::core::mail::Location;

/// Messages in one folder; a larger folder is refused.
pub const MESSAGES_MAX: u32 = 1_000_000;
/// Messages announced with up to this size are fetched many at a time; larger ones, and those of
/// unknown size, in pieces of this size.
const PIECE_BYTES_MAX: u64 = guard::LITERAL_BYTES_MAX;
/// Pieces of a message that may be shorter than was asked for.
const SHORT_PIECES_MAX: u64 = 64;
/// Bytes of messages asked for in one command.
const BATCH_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A session with one folder.
pub struct Imap {
    session: Session,
    /// The folder in plain UTF-8.
    folder: String,
    /// RFC 3501 section 2.3.1.1: UIDs mean the same messages as long as this stays.
    uid_validity: u32,
    /// RFC 3501 section 2.3.1.1: no message had this UID or a larger one when the session began.
    uid_next: Option<u32>,
    /// Whether somebody was told of it.
    told_next: bool,
    /// Largest UID of the pages of this look.
    last_uid: u32,
    /// Largest UID of all pages.
    highest_uid: u32,
    /// Folders for moved messages that have another name than declared, or were looked for.
    targets: BTreeMap<String, String>,
    /// What the listings of this look left out.
    unlisted: listing::Unlisted,
    /// Whether the account wants IDLE.
    idle: bool,
    /// Messages marked as deleted in this session that were not removed, on a server that removes
    /// all marked ones or none.
    marked: BTreeSet<u32>,
    /// Whether such messages were left in the folder.
    leaves_marked: bool,
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
    session.identify().await?;
    let Selected { uid_validity, uid_next } = select(&mut session, "SELECT", folder).await?;
    let folder = folder.to_owned();
    Ok(Imap {
        session,
        folder,
        uid_validity,
        uid_next,
        told_next: false,
        last_uid: 0,
        highest_uid: 0,
        targets: BTreeMap::new(),
        unlisted: listing::Unlisted::default(),
        idle,
        marked: BTreeSet::new(),
        leaves_marked: false,
    })
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
            Err(target::why_not_opened(session, command, folder, message).await)
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
        let told_before = std::mem::replace(&mut self.told_next, true);
        let uid = self.uid_next.filter(|_| !told_before)?;
        Some(location(&self.folder, self.uid_validity, uid))
    }

    async fn look(&mut self, scope: Scope) -> Result<(), MailboxError> {
        // The server may tell of new messages only in answer to a command that allows it.
        self.session.command("NOOP", "NOOP", Allowance::default(), |_| Ok(())).await?;
        self.session.settle();
        self.begin_look(scope);
        Ok(())
    }

    fn state(&self) -> Option<FolderState> {
        // A server that gives a UID away that it has announced as the next one knows no next one.
        let next = self.uid_next.filter(|next| *next > self.highest_uid)?;
        Some(FolderState {
            epoch: self.uid_validity,
            next,
            exists: self.session.exists(),
            removed: self.session.expunged(),
        })
    }

    fn pass_over(&mut self) {
        self.session.place_mut().pass_over();
    }

    async fn find_target(&mut self, folder: &str) -> Result<Option<String>, MailboxError> {
        target::find(&mut self.session, folder).await
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
        let room = room_bytes(entries, max_size_bytes);
        let one_fetch_max = PIECE_BYTES_MAX.min(max_size_bytes);
        let small: Vec<&Entry> = entries
            .iter()
            .filter(|entry| is_named(entry) && size(entry) <= one_fetch_max)
            .collect();
        let mut bodies = Bodies { max_size_bytes, room, fetched: BTreeMap::new() };
        for batch in batches(&small) {
            self.fetch_batch(batch, &mut bodies).await?;
        }
        let mut fetched = Vec::with_capacity(entries.len());
        for entry in entries {
            fetched.push(if !is_named(entry) {
                Fetched::Missing
            } else if entry.size_bytes.is_some_and(|size| size > max_size_bytes) {
                self.fetch_header(entry, size(entry)).await?
            } else if size(entry) > PIECE_BYTES_MAX {
                self.fetch_in_pieces(entry, max_size_bytes, &mut bodies.room).await?
            } else {
                bodies.fetched.remove(&entry.handle).unwrap_or(Fetched::Missing)
            });
        }
        Ok(fetched)
    }

    async fn done(&mut self, entries: &[Entry], after: &AfterFetch) -> Result<(), MailboxError> {
        let named: Vec<u32> = entries.iter().filter(|e| is_named(e)).map(|e| e.handle).collect();
        for uids in named.chunks(UIDS_PER_COMMAND_MAX) {
            match after {
                AfterFetch::Delete => self.delete(uids).await?,
                AfterFetch::Seen => self.store(uids, "\\Seen").await?,
                AfterFetch::Move(folder) => self.move_to(uids, folder).await?,
                AfterFetch::Keep => {}
            }
        }
        self.remove_marked().await
    }

    fn is_complete(&self) -> bool {
        self.unlisted.is_none()
    }

    fn leaves_marked(&self) -> bool {
        self.leaves_marked
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
            Ok(()) | Err(MailboxError::Lost(_) | MailboxError::Throttled { .. }) => Ok(()),
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
        bodies: &mut Bodies,
    ) -> Result<(), MailboxError> {
        let refusal = match self.fetch_bodies(batch, bodies).await {
            Err(refusal @ MailboxError::Refused { .. }) => refusal,
            other => return other,
        };
        let missing: Vec<&Entry> = batch
            .iter()
            .copied()
            .filter(|entry| !bodies.fetched.contains_key(&entry.handle))
            .collect();
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
        bodies: &mut Bodies,
    ) -> Result<(), MailboxError> {
        let wanted: BTreeSet<u32> = batch.iter().map(|entry| entry.handle).collect();
        let command = format!("UID FETCH {} (UID BODY.PEEK[])", set(wanted.iter().copied()));
        let allowance = Allowance { answers: wanted.len() as u64, bytes: 0 };
        let fetched = self
            .session
            .command("UID FETCH", &command, allowance, |response| {
                let Some(answer) = Answer::of(response) else { return Ok(()) };
                let Some(body) = answer.body(Part::Whole)? else { return Ok(()) };
                // Without a UID nothing says whose bytes these are: the message was not given.
                let Some(uid) = answer.uid else { return Ok(()) };
                if !wanted.contains(&uid) {
                    return Err(not_asked_for(uid));
                }
                bodies.take(uid, body)
            })
            .await;
        match (fetched, batch, self.session.literal_at_least()) {
            // From the next session on it is known to be larger.
            (Err(_), [entry], Some(at_least)) => {
                Err(MailboxError::TooLong { location: entry.location.clone(), at_least })
            }
            (fetched, ..) => fetched,
        }
    }

    /// Fetches a large message, or one of unknown size, without ever holding more of it than fits.
    /// It ends with a piece that is short or empty (RFC 3501 section 6.4.5), whatever its size was
    /// said to be.
    async fn fetch_in_pieces(
        &mut self,
        entry: &Entry,
        max_size_bytes: u64,
        room: &mut u64,
    ) -> Result<Fetched, MailboxError> {
        let mut mail = Vec::new();
        let mut was_short = false;
        for _ in 0..max_size_bytes / PIECE_BYTES_MAX + SHORT_PIECES_MAX {
            let offset = mail.len() as u64;
            let is_announced_end = offset > 0 && entry.size_bytes == Some(offset);
            if was_short && is_announced_end {
                return Ok(Fetched::Mail(mail));
            }
            match self.fetch_piece(entry, "", offset, PIECE_BYTES_MAX).await? {
                Some(piece) if piece.is_empty() && offset > 0 => return Ok(Fetched::Mail(mail)),
                // Behind the end some servers give NIL, or refuse.
                None if was_short || is_announced_end => return Ok(Fetched::Mail(mail)),
                None => return Ok(Fetched::Missing),
                Some(piece) => {
                    let received = offset + piece.len() as u64;
                    if received > max_size_bytes {
                        let size_bytes = received.max(size_or(entry, 0));
                        return self.fetch_header(entry, size_bytes).await;
                    }
                    let Some(rest) = room.checked_sub(piece.len() as u64) else {
                        return Ok(Fetched::Larger { size_bytes: None });
                    };
                    *room = rest;
                    // A short piece is the last one. Where the announced size says otherwise the
                    // server is asked once more: half a message must not pass for a whole one.
                    was_short = (piece.len() as u64) < PIECE_BYTES_MAX;
                    if piece.is_empty() {
                        return Ok(Fetched::Mail(mail));
                    }
                    mail.extend(piece);
                }
            }
        }
        let message = format!("UID {} comes in too many short pieces", entry.handle);
        Err(MailboxError::Protocol(message))
    }

    async fn fetch_header(
        &mut self,
        entry: &Entry,
        size_bytes: u64,
    ) -> Result<Fetched, MailboxError> {
        let header = self.fetch_piece(entry, "HEADER", 0, HEADER_BYTES_MAX).await?;
        Ok(match header {
            None => Fetched::Missing,
            Some(header) => Fetched::Oversize { header, size_bytes },
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
                let Some(answer) = Answer::of(response) else { return Ok(()) };
                let Some(body) = answer.body(part)? else { return Ok(()) };
                let Some(uid) = answer.uid else { return Ok(()) };
                if uid != wanted {
                    return Err(not_asked_for(uid));
                }
                let Body::Bytes(bytes) = body else {
                    let message = format!("UID {uid}: a piece is longer than was asked for");
                    return Err(MailboxError::Protocol(message));
                };
                if bytes.len() as u64 > length {
                    let message = format!("UID {uid}: a piece is longer than was asked for");
                    return Err(MailboxError::Protocol(message));
                }
                match piece.replace(bytes.to_vec()) {
                    None => Ok(()),
                    Some(_) => Err(came_twice(uid)),
                }
            },
        );
        match fetching.await {
            Ok(()) => Ok(piece),
            Err(MailboxError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The messages of one call of `fetch`, and the room that is left for them.
struct Bodies {
    max_size_bytes: u64,
    room: u64,
    fetched: BTreeMap<u32, Fetched>,
}

impl Bodies {
    /// Keeps a message, unless it is so much larger than announced that there is no room for it:
    /// then it is asked for again with its true size.
    fn take(&mut self, uid: u32, body: Body<'_>) -> Result<(), MailboxError> {
        let larger = |length| Fetched::Larger { size_bytes: Some(length) };
        let fetched = match body {
            Body::TooLong(length) => larger(length),
            Body::Bytes(bytes) => {
                let length = bytes.len() as u64;
                if length > self.max_size_bytes || length > self.room {
                    larger(length)
                } else {
                    self.room -= length;
                    Fetched::Mail(bytes.to_vec())
                }
            }
        };
        match self.fetched.insert(uid, fetched) {
            None => Ok(()),
            Some(_) => Err(came_twice(uid)),
        }
    }
}

/// The bytes of a section.
#[derive(Debug, Clone, Copy)]
enum Body<'a> {
    Bytes(&'a [u8]),
    /// So many that they were read past.
    TooLong(u64),
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

/// What a FETCH answer tells. What could not be read is `None`.
struct Answer<'a> {
    /// The message's number.
    number: u32,
    uid: Option<u32>,
    size: Option<u64>,
    seen: Option<bool>,
    arrived: Option<Timestamp>,
    attributes: &'a [AttributeValue<'a>],
}

impl<'a> Answer<'a> {
    fn of(response: &'a Response<'a>) -> Option<Answer<'a>> {
        let Response::Fetch(number, attributes) = response else { return None };
        let (uid, size, seen, arrived) = (None, None, None, None);
        let mut answer = Answer { number: *number, uid, size, seen, arrived, attributes };
        for attribute in attributes {
            match attribute {
                AttributeValue::Uid(uid) if *uid > 0 => answer.uid = Some(*uid),
                AttributeValue::Rfc822Size(size) => answer.size = Some(u64::from(*size)),
                AttributeValue::Flags(flags) => {
                    let seen = flags.iter().any(|flag| flag.eq_ignore_ascii_case("\\Seen"));
                    answer.seen = Some(seen);
                }
                AttributeValue::InternalDate(date) => answer.arrived = internal_date(date),
                _ => {}
            }
        }
        Some(answer)
    }

    /// The bytes of this part; `None` for an answer without any, or with NIL.
    fn body(&self, part: Part) -> Result<Option<Body<'a>>, MailboxError> {
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
            // The guard says the length of what it read past where the size would stand.
            let too_long = self.size.filter(|size| *size > guard::LITERAL_BYTES_MAX);
            let bytes = match data {
                Some(bytes) => Some(Body::Bytes(bytes)),
                None => too_long.map(Body::TooLong),
            };
            if body.replace(bytes).is_some() {
                return Err(MailboxError::Protocol("server gave a message twice".into()));
            }
        }
        Ok(body.flatten())
    }
}

/// `17-Jul-1996 02:44:25 -0700` (RFC 3501 section 9, `date-time`); a space may pad the day.
fn internal_date(text: &str) -> Option<Timestamp> {
    let parsed = jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim_start()).ok()?;
    parsed.to_timestamp().ok()
}

/// An unknown size counts as a large one: fetched in pieces, a message of any size is bounded.
fn size(entry: &Entry) -> u64 {
    size_or(entry, u64::MAX)
}

fn size_or(entry: &Entry, unknown: u64) -> u64 {
    entry.size_bytes.unwrap_or(unknown)
}

/// Whether the server gave the message a UID by which it can be asked for.
fn is_named(entry: &Entry) -> bool {
    entry.handle != listing::UNNAMED
}

/// Cuts into commands of bounded length and answer.
fn batches<'a, 'b>(entries: &'a [&'b Entry]) -> Vec<&'a [&'b Entry]> {
    let mut batches = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take(UIDS_PER_COMMAND_MAX).take_while(|entry| {
            bytes = size(entry).saturating_add(bytes);
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

fn came_twice(uid: u32) -> MailboxError {
    MailboxError::Protocol(format!("UID {uid} came twice"))
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
