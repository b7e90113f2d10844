//! POP3 (RFC 1939) with CAPA and PIPELINING (RFC 2449), STLS (RFC 2595) and AUTH (RFC 5034).
//!
//! The final dot bounds a message (RFC 1939 section 3), never its size in LIST: servers round and
//! estimate it. UIDL is optional (section 7): without it a message has a name for this session only,
//! and the ledger knows it again by its bytes.
//!
//! A server may give the unique id of a message that is gone to another one (section 7), and some do
//! at once (Dovecot with `pop3_reuse_xuidl`): the same id is no evidence of the same message.
//!
//! Architecture invariant: a message is named by its UIDL and never by its number alone, except
//! within the one session in which its number cannot change; it is deleted in a session that
//! fetched it; and its deletion is claimed only after the server's answer to QUIT.

mod listing;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::dial::{Proof, Target};
use super::wire::Wire;
use super::words::{repeatable, repeatable_without};
use super::{
    Entry, Fetched, HEADER_BYTES_MAX, Mailbox, MailboxError, PAGE_MAILS_MAX, Scope, Woken,
    room_bytes,
};
use crate::core::config::{AfterFetch, Security};
use crate::core::sasl::{self, Mechanism};
use crate::net::Stream;

/// Messages in one mailbox.
pub const MESSAGES_MAX: usize = 500_000;
/// Longest unique id. RFC 1939 section 7 allows 70; some servers send more.
pub const UIDL_BYTES_MAX: usize = 512;
/// Commands sent ahead of their answers. Their bytes fit into any socket's buffer.
const COMMANDS_AHEAD_MAX: usize = 50;
/// Bytes of a line in an answer of many, for the time we allow.
const LISTED_BYTES: u64 = 80;
/// Bytes of answer read to get at a header; a server that sends more is given up.
const TOP_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes beyond what is allowed that are read past of a message that is larger than announced. POP3
/// has no way to stop it but the end of the session.
const DROPPED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Why a mailbox without UIDL can only be emptied.
const NO_UIDL: &str = "the server has no UIDL (RFC 1939 section 7), so mails cannot be told apart \
                       from one session to the next: declare `afterFetch: delete` and \
                       `since: all`, have UIDL enabled on the server, or use IMAP";
/// Why mails of a mailbox in which they share a name can only be deleted.
const TWINS: &str = "the server gives several mails the same unique id (UIDL), so they cannot be told \
                     apart from one session to the next: declare `afterFetch: delete` and \
                     `since: all`, which takes one of them in each session, have unique ids \
                     enabled on the server, or use IMAP";
/// Lines in the answer to CAPA.
const CAPABILITIES_MAX: usize = 100;
/// RFC 5034 section 4: AUTH with its first message may have this many bytes with the line end;
/// a longer one is sent when the server asks for it.
const AUTH_BYTES_MAX: usize = 255;
/// Challenges of one login that we answer; the only one there should be says why we are refused.
const CHALLENGES_MAX: usize = 2;

/// A session with one mailbox.
pub struct Pop3 {
    wire: Wire,
    /// What the server can; `None` if it does not say.
    capabilities: Option<BTreeSet<String>>,
    /// What lay there at the last look and was not handed out yet.
    listed: listing::Listed,
    /// Numbers of the messages marked as deleted in this session.
    deleted: BTreeSet<u32>,
}

/// Connects and logs in.
pub async fn open(target: Target<'_>) -> Result<Pop3, MailboxError> {
    let mut wire = Wire::new(target.connect().await?, target.timeout());
    status(&mut wire, "greeting").await?;
    if target.endpoint.security == Security::StartTls {
        wire = upgrade(wire, &target).await?;
    }
    login(&mut wire, &target).await?;
    let capabilities = capabilities(&mut wire).await?;
    let listed = listing::Listed::default();
    Ok(Pop3 { wire, capabilities, listed, deleted: BTreeSet::new() })
}

/// STLS (RFC 2595 section 4). Ends before any credential if the server does not go along.
async fn upgrade(mut wire: Wire, target: &Target<'_>) -> Result<Wire, MailboxError> {
    let failed = |message: String| MailboxError::Tls { reason: "starttls", message };
    wire.begin("STLS", 0);
    wire.send(b"STLS\r\n").await?;
    match status(&mut wire, "STLS").await {
        Ok(_) => {}
        Err(MailboxError::Refused { message, .. }) => {
            return Err(failed(format!("server refused STLS: {message}")));
        }
        Err(error) => return Err(error),
    }
    // Somebody on the way could have put these bytes there, for us to take them as said under
    // the protection of TLS.
    if wire.has_more() {
        return Err(failed("plain text came after the server agreed to STLS".into()));
    }
    let stream = match wire.into_stream() {
        Stream::Plain(stream) => target.encrypt(stream).await?,
        stream @ Stream::Tls(_) => stream,
    };
    Ok(Wire::new(stream, target.timeout()))
}

async fn login(wire: &mut Wire, target: &Target<'_>) -> Result<(), MailboxError> {
    let password = match &target.proof {
        Proof::Password(password) => password,
        Proof::Token(token) => return login_with_token(wire, target, token).await,
    };
    let secret = password.expose_secret();
    for (step, argument) in [("USER", target.username.as_str()), ("PASS", secret)] {
        wire.begin(step, 0);
        wire.send(format!("{step} {argument}\r\n").as_bytes()).await?;
        let line = wire.line().await?;
        let words = match outcome(&line) {
            Outcome::Ok(_) => continue,
            Outcome::Refused(_)
                if step == "USER" && wire.stream().is_private() && offers_plain(wire).await? =>
            {
                return login_with_plain(wire, &target.username, secret).await;
            }
            Outcome::Refused(words) => repeatable_without(secret, &words),
            Outcome::Neither => return Err(no_answer(step)),
        };
        return Err(if is_busy(&words) {
            MailboxError::Refused { command: "login", message: words }
        } else {
            MailboxError::Login(words)
        });
    }
    Ok(())
}

/// Whether the server takes a password by AUTH PLAIN.
async fn offers_plain(wire: &mut Wire) -> Result<bool, MailboxError> {
    let capabilities = capabilities(wire).await?.unwrap_or_default();
    Ok(mechanisms(&capabilities).any(|name| name == "PLAIN"))
}

/// The mechanisms of SASL that a server offers (RFC 5034 section 3).
fn mechanisms(capabilities: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    let offered = capabilities.iter().filter_map(|line| line.strip_prefix("SASL "));
    offered.flat_map(str::split_whitespace)
}

/// AUTH PLAIN (RFC 5034, RFC 4616), where the server has no USER.
async fn login_with_plain(
    wire: &mut Wire,
    username: &str,
    password: &str,
) -> Result<(), MailboxError> {
    let message = SecretString::from(sasl::plain(username, password));
    let response = SecretString::from(STANDARD.encode(message.expose_secret()));
    wire.begin("AUTH", 0);
    send_auth(wire, "PLAIN", response.expose_secret()).await?;
    match reply(wire).await? {
        Reply::Ok => Ok(()),
        Reply::Challenge(_) => Err(MailboxError::Protocol("server does not stop asking".into())),
        Reply::Refused(words) => {
            let said = words.replace(response.expose_secret(), "***");
            let said = repeatable_without(password, &said);
            Err(if is_busy(&words) {
                MailboxError::Refused { command: "login", message: said }
            } else {
                MailboxError::Login(said)
            })
        }
    }
}

/// Sends the first message of a mechanism, with the command where it fits into its line.
async fn send_auth(wire: &mut Wire, mechanism: &str, response: &str) -> Result<(), MailboxError> {
    let whole = format!("AUTH {mechanism} {response}\r\n");
    if whole.len() <= AUTH_BYTES_MAX {
        return wire.send(whole.as_bytes()).await;
    }
    wire.send(format!("AUTH {mechanism}\r\n").as_bytes()).await?;
    match reply(wire).await? {
        Reply::Challenge(_) => wire.send(format!("{response}\r\n").as_bytes()).await,
        Reply::Ok => Err(no_answer("AUTH")),
        Reply::Refused(words) => Err(MailboxError::Login(repeatable(&words))),
    }
}

/// AUTH (RFC 5034) with an access token.
async fn login_with_token(
    wire: &mut Wire,
    target: &Target<'_>,
    token: &SecretString,
) -> Result<(), MailboxError> {
    let capabilities = capabilities(wire).await?.unwrap_or_default();
    let offered = |name: &str| mechanisms(&capabilities).any(|offered| offered == name);
    let Some(mechanism) = Mechanism::choose(offered) else {
        return Err(MailboxError::Login(
            "server takes no access token on this connection (neither OAUTHBEARER nor XOAUTH2)"
                .into(),
        ));
    };
    let response = target.initial_response(mechanism, token);
    let response = response.expose_secret();
    wire.begin("AUTH", 0);
    send_auth(wire, mechanism.name(), response).await?;
    let mut reason = None;
    for _ in 0..CHALLENGES_MAX {
        match reply(wire).await? {
            Reply::Ok => return Ok(()),
            Reply::Challenge(text) => {
                reason = STANDARD.decode(text).ok().and_then(|json| sasl::reason(&json));
                wire.send(format!("{}\r\n", mechanism.farewell()).as_bytes()).await?;
            }
            Reply::Refused(words) => {
                let said = words.replace(response, "***");
                let said = repeatable_without(token.expose_secret(), &said);
                return Err(match reason {
                    _ if is_busy(&words) => {
                        MailboxError::Refused { command: "login", message: said }
                    }
                    Some(reason) => MailboxError::Login(format!("{said} (status {reason})")),
                    None => MailboxError::Login(said),
                });
            }
        }
    }
    Err(MailboxError::Protocol("server does not stop asking".into()))
}

/// An answer within a login.
enum Reply {
    Ok,
    /// What follows `+ `.
    Challenge(String),
    Refused(String),
}

async fn reply(wire: &mut Wire) -> Result<Reply, MailboxError> {
    let line = wire.line().await?;
    if let Some(challenge) = line.strip_prefix(b"+").filter(|rest| !rest.starts_with(b"OK")) {
        return Ok(Reply::Challenge(String::from_utf8_lossy(challenge).trim().to_owned()));
    }
    match outcome(&line) {
        Outcome::Ok(_) => Ok(Reply::Ok),
        Outcome::Refused(words) => Ok(Reply::Refused(words)),
        Outcome::Neither => Err(no_answer("AUTH")),
    }
}

/// Codes (RFC 2449 section 8, RFC 3206) that say nothing against the password.
fn is_busy(words: &str) -> bool {
    let words = words.to_ascii_uppercase();
    ["[IN-USE]", "[LOGIN-DELAY]", "[SYS/TEMP]"].iter().any(|code| words.starts_with(code))
}

/// What the server can; `None` if it does not know CAPA.
async fn capabilities(wire: &mut Wire) -> Result<Option<BTreeSet<String>>, MailboxError> {
    let mut offered = BTreeSet::new();
    let reading = each_line(wire, "CAPA", CAPABILITIES_MAX, |line| {
        let words: Vec<String> = line.split_whitespace().map(str::to_ascii_uppercase).collect();
        offered.insert(words.join(" "));
        Ok(())
    });
    match reading.await {
        Ok(()) => Ok(Some(offered)),
        Err(MailboxError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Mailbox for Pop3 {
    async fn look(&mut self, _scope: Scope) -> Result<(), MailboxError> {
        let uidl = self.capabilities.as_ref().map(|offered| offered.contains("UIDL"));
        self.listed = listing::read(&mut self.wire, uidl).await?;
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.listed.is_complete()
    }

    fn names_end(&self) -> Option<&'static str> {
        match self.listed.names_end() {
            true => Some(NO_UIDL),
            false => self.listed.has_twins().then_some(TWINS),
        }
    }

    fn reuses_names(&self) -> bool {
        true
    }

    async fn page(&mut self) -> Result<Vec<Entry>, MailboxError> {
        Ok(self.listed.page(PAGE_MAILS_MAX))
    }

    fn rest(&self) -> usize {
        self.listed.rest()
    }

    async fn fetch(
        &mut self,
        entries: &[Entry],
        max_size_bytes: u64,
    ) -> Result<Vec<Fetched>, MailboxError> {
        let mut room = room_bytes(entries, max_size_bytes);
        let mut fetched = Vec::with_capacity(entries.len());
        for chunk in entries.chunks(self.ahead()) {
            let named = chunk.iter().filter(|entry| is_named(entry));
            let commands: String = named.map(|e| retrieval(e, max_size_bytes)).collect();
            self.wire.begin("RETR", 0);
            self.wire.send(commands.as_bytes()).await?;
            for entry in chunk {
                fetched.push(if is_named(entry) {
                    self.receive(entry, max_size_bytes, &mut room).await?
                } else {
                    Fetched::Missing
                });
            }
        }
        Ok(fetched)
    }

    async fn done(&mut self, entries: &[Entry], after: &AfterFetch) -> Result<(), MailboxError> {
        match after {
            AfterFetch::Keep => Ok(()),
            AfterFetch::Delete => self.delete(entries).await,
            AfterFetch::Seen => Err(MailboxError::Unsupported("POP3 cannot mark mail as seen")),
            AfterFetch::Move(_) => Err(MailboxError::Unsupported("POP3 cannot move mail")),
        }
    }

    fn hides_fetched(&self) -> bool {
        true
    }

    fn can_wait(&self) -> bool {
        false
    }

    async fn wait(&mut self, _at_most: Duration) -> Result<Woken, MailboxError> {
        Err(MailboxError::Unsupported("POP3 cannot tell of new mail"))
    }

    /// Here the server deletes (RFC 1939 section 6).
    async fn close(&mut self) -> Result<(), MailboxError> {
        self.wire.begin("QUIT", 0);
        self.wire.send(b"QUIT\r\n").await?;
        status(&mut self.wire, "QUIT").await.map(drop)
    }

    fn certificate_expires(&self) -> Option<Timestamp> {
        crate::net::expires(self.wire.stream().peer_certificate()?)
    }
}

impl Pop3 {
    /// Commands that may be sent ahead of their answers (RFC 2449 section 6.6).
    fn ahead(&self) -> usize {
        let offered = self.capabilities.as_ref();
        let pipelining = offered.is_some_and(|offered| offered.contains("PIPELINING"));
        if pipelining { COMMANDS_AHEAD_MAX } else { 1 }
    }

    /// Receives a message up to its final dot. It is kept as long as there is room for it.
    async fn receive(
        &mut self,
        entry: &Entry,
        max_size_bytes: u64,
        room: &mut u64,
    ) -> Result<Fetched, MailboxError> {
        if let Some(size) = entry.size_bytes.filter(|size| *size > max_size_bytes) {
            return self.receive_header(size).await;
        }
        self.wire.begin("RETR", 0);
        if !is_given(&mut self.wire, "RETR").await? {
            return Ok(Fetched::Missing);
        }
        let size = entry.size_bytes.unwrap_or(0);
        let mut mail = Vec::with_capacity(usize::try_from(size).unwrap_or(0).min(RESERVED_BYTES));
        let keep_max = max_size_bytes.min(*room);
        let read_max = max_size_bytes.saturating_add(DROPPED_BYTES_MAX);
        let Received { bytes: length, ended } =
            body(&mut self.wire, &mut mail, keep_max, read_max).await?;
        if !ended {
            let location = entry.location.clone();
            return Err(MailboxError::TooLong { location, at_least: length });
        }
        if length > keep_max {
            return Ok(Fetched::Larger { size_bytes: Some(length) });
        }
        *room -= length;
        Ok(Fetched::Mail(mail))
    }

    async fn receive_header(&mut self, size_bytes: u64) -> Result<Fetched, MailboxError> {
        self.wire.begin("TOP", HEADER_BYTES_MAX);
        let mut header = Vec::new();
        // TOP is optional (RFC 1939 section 7): without it there is no header.
        if is_given(&mut self.wire, "TOP").await? {
            let received =
                body(&mut self.wire, &mut header, HEADER_BYTES_MAX, TOP_BYTES_MAX).await?;
            if !received.ended {
                let message = format!("answer to TOP does not end after {} bytes", received.bytes);
                return Err(MailboxError::Protocol(message));
            }
        }
        Ok(Fetched::Oversize { header, size_bytes })
    }

    async fn delete(&mut self, entries: &[Entry]) -> Result<(), MailboxError> {
        let is_due = |entry: &&Entry| is_named(entry) && !self.deleted.contains(&entry.handle);
        let due: Vec<&Entry> = entries.iter().filter(is_due).collect();
        for chunk in due.chunks(self.ahead()) {
            // First what lies under these numbers, then the deletion. Without UIDL it is the same
            // session, in which no number changes (RFC 1939 section 5).
            if !self.listed.names_end() {
                let asked: String =
                    chunk.iter().map(|e| format!("UIDL {}\r\n", e.handle)).collect();
                self.wire.begin("UIDL", 0);
                self.wire.send(asked.as_bytes()).await?;
                for entry in chunk {
                    self.check_name(entry).await?;
                }
            }
            let asked: String = chunk.iter().map(|e| format!("DELE {}\r\n", e.handle)).collect();
            self.wire.begin("DELE", 0);
            self.wire.send(asked.as_bytes()).await?;
            for entry in chunk {
                status(&mut self.wire, "DELE").await?;
                self.deleted.insert(entry.handle);
            }
        }
        Ok(())
    }

    async fn check_name(&mut self, entry: &Entry) -> Result<(), MailboxError> {
        let words = status(&mut self.wire, "UIDL").await?;
        let (number, id): (u32, String) = listed(words.trim(), "UIDL")?;
        if number == entry.handle && id == entry.location.0 {
            return Ok(());
        }
        Err(MailboxError::Protocol(format!(
            "message {} is not the one that was fetched",
            entry.handle
        )))
    }
}

/// Whether the message has a name and a number by which it can be asked for.
fn is_named(entry: &Entry) -> bool {
    entry.handle != listing::UNNAMED
}

/// Room reserved for a message before its first byte; a server may announce what it likes.
const RESERVED_BYTES: usize = 64 * 1024;

fn retrieval(entry: &Entry, max_size_bytes: u64) -> String {
    if entry.size_bytes.unwrap_or(0) > max_size_bytes {
        format!("TOP {} 0\r\n", entry.handle)
    } else {
        format!("RETR {}\r\n", entry.handle)
    }
}

/// First line of an answer (RFC 1939 section 3).
enum Outcome {
    Ok(String),
    Refused(String),
    Neither,
}

fn outcome(line: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(line);
    if let Some(words) = text.strip_prefix("+OK") {
        Outcome::Ok(words.to_owned())
    } else if let Some(words) = text.strip_prefix("-ERR") {
        Outcome::Refused(words.trim().to_owned())
    } else {
        Outcome::Neither
    }
}

fn no_answer(step: &str) -> MailboxError {
    MailboxError::Protocol(format!("answer to {step} is not that of a POP3 server"))
}

async fn status(wire: &mut Wire, step: &'static str) -> Result<String, MailboxError> {
    match outcome(&wire.line().await?) {
        Outcome::Ok(words) => Ok(words),
        Outcome::Refused(words) => {
            Err(MailboxError::Refused { command: step, message: repeatable(&words) })
        }
        Outcome::Neither => Err(no_answer(step)),
    }
}

/// Whether the server gives what was asked for.
async fn is_given(wire: &mut Wire, step: &'static str) -> Result<bool, MailboxError> {
    match status(wire, step).await {
        Ok(_) => Ok(true),
        Err(MailboxError::Refused { message, .. }) if !is_busy(&message) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sends a command and hands on the lines of its answer up to the final dot.
async fn each_line(
    wire: &mut Wire,
    command: &'static str,
    lines_max: usize,
    mut on: impl FnMut(&str) -> Result<(), MailboxError> + Send,
) -> Result<(), MailboxError> {
    wire.begin(command, 0);
    wire.send(format!("{command}\r\n").as_bytes()).await?;
    status(wire, command).await?;
    let mut count = 0;
    loop {
        // Each thousand lines have time of their own, so that a large mailbox is no slow one.
        if count % 1_000 == 0 {
            wire.begin(command, 1_000 * LISTED_BYTES);
        }
        let line = wire.line().await?;
        if line == b"." {
            return Ok(());
        }
        if count == lines_max {
            return Err(MailboxError::Protocol(format!(
                "answer to {command} has more than {lines_max} lines"
            )));
        }
        count += 1;
        // An odd byte in one line concerns one message.
        on(&String::from_utf8_lossy(&line))?;
    }
}

/// A message's number and what stands behind it.
fn listed<T: std::str::FromStr>(line: &str, step: &str) -> Result<(u32, T), MailboxError> {
    let parsed = line.trim().split_once(' ').and_then(|(number, rest)| {
        // LIST may say more behind the size; a unique id has no spaces.
        let word = rest.trim().split(' ').next()?;
        Some((number.parse().ok()?, word.parse().ok()?))
    });
    parsed.ok_or_else(|| no_answer(step))
}

/// How much of a message came.
struct Received {
    bytes: u64,
    /// Whether the final dot was read. If not, the session is out of step.
    ended: bool,
}

/// Reads a message up to the final dot, dots unstuffed (RFC 1939 section 3). Keeps `keep_max` bytes
/// and stops after `read_max`. There is time for each byte that is kept; what is dropped has to come
/// to its end within what remains of the step, or is given up.
async fn body(
    wire: &mut Wire,
    into: &mut Vec<u8>,
    keep_max: u64,
    read_max: u64,
) -> Result<Received, MailboxError> {
    let mut dots = Dots::default();
    let mut received = 0;
    loop {
        let bytes = match wire.bytes().await {
            Ok(bytes) => bytes,
            Err(_) if received > keep_max => return Ok(Received { bytes: received, ended: false }),
            Err(error) => return Err(error),
        };
        let before = into.len();
        let consumed = dots.undo(bytes, into);
        wire.consume(consumed);
        received += (into.len() - before) as u64;
        into.truncate(usize::try_from(keep_max).unwrap_or(usize::MAX));
        if received <= keep_max {
            wire.extend(consumed);
        }
        if dots.ended || received > read_max {
            return Ok(Received { bytes: received, ended: dots.ended });
        }
    }
}

/// Undoes dot-stuffing over pieces that end anywhere.
#[derive(Debug, Default)]
struct Dots {
    /// What of a line that begins with a dot was seen but not written yet.
    held: Held,
    /// Whether we are within a line.
    within: bool,
    /// Whether the final dot was read.
    ended: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Held {
    #[default]
    Nothing,
    Dot,
    DotCr,
}

impl Dots {
    /// Writes out what belongs to the message; gives back how many bytes were used.
    fn undo(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let mut used = 0;
        while used < bytes.len() && !self.ended {
            let rest = &bytes[used..];
            if self.within {
                let line = rest.iter().position(|byte| *byte == b'\n');
                let length = line.map_or(rest.len(), |end| end + 1);
                out.extend_from_slice(&rest[..length]);
                self.within = line.is_none();
                used += length;
                continue;
            }
            match (self.held, rest[0]) {
                (Held::Nothing, b'.') => self.held = Held::Dot,
                (Held::Dot, b'\r') => self.held = Held::DotCr,
                (Held::Dot | Held::DotCr, b'\n') => self.ended = true,
                (held, _) => {
                    // The dot was stuffing; what followed it was text. This byte is read again.
                    if held == Held::DotCr {
                        out.push(b'\r');
                    }
                    self.held = Held::Nothing;
                    self.within = true;
                    continue;
                }
            }
            used += 1;
        }
        used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one piece, and byte by byte: where reads end must not matter.
    #[track_caller]
    fn check(wire: &[u8], expected: &[u8], left: usize) {
        let mut out = Vec::new();
        let mut dots = Dots::default();
        let used = dots.undo(wire, &mut out);
        assert_eq!((out.as_slice(), wire.len() - used), (expected, left));
        assert!(dots.ended);

        let mut out = Vec::new();
        let mut dots = Dots::default();
        let used: usize = wire.iter().map(|byte| dots.undo(&[*byte], &mut out)).sum();
        assert_eq!((out.as_slice(), wire.len() - used), (expected, left));
    }

    #[test]
    fn plain_text() {
        check(b"a\r\nb\r\n.\r\n", b"a\r\nb\r\n", 0);
    }

    #[test]
    fn empty_message() {
        check(b".\r\n", b"", 0);
    }

    #[test]
    fn stuffed_dots() {
        check(b"..\r\n...a\r\nb.\r\n.\r\n", b".\r\n..a\r\nb.\r\n", 0);
    }

    #[test]
    fn the_next_answer_is_left() {
        check(b"a\r\n.\r\n+OK\r\n", b"a\r\n", 5);
    }

    #[test]
    fn bare_line_feeds() {
        check(b"a\n.\n", b"a\n", 0);
    }

    #[test]
    fn dot_and_carriage_return_within() {
        check(b".\rx\r\n.\r\n", b"\rx\r\n", 0);
    }

    #[test]
    fn listings() {
        assert_eq!(listed::<u64>("1 120", "LIST").unwrap(), (1, 120));
        assert_eq!(listed::<String>("2 QhdPYR:00WBw1Ph7x7", "UIDL").unwrap().1.len(), 18);
        assert!(listed::<u64>("1", "LIST").is_err());
    }
}
