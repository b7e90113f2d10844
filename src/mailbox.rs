//! Mailboxes we fetch from, one file per protocol behind one trait.
//!
//! Architecture invariant: nothing in here knows the store or decides anything. A mailbox lists,
//! fetches, and does what it is told to a mail that is already safe.

pub mod graph;
pub mod imap;
pub mod maildir;
pub mod pop3;

mod dial;
mod wire;
mod words;

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::core::config::{Account, AfterFetch, Source};
use crate::core::mail::Location;
use crate::secret::Secrets;

pub use crate::graph::Renewal;

/// Bytes of a header that are fetched of a mail that is too large.
pub const HEADER_BYTES_MAX: u64 = 256 * 1024;

/// Mails of one page of a look. A mailbox of any size is held in memory only a page at a time.
pub const PAGE_MAILS_MAX: usize = 10_000;

/// Mails fetched together if the protocol does not want fewer.
pub const FETCH_MAILS_MAX: usize = 500;

/// Bytes that messages fetched together may have beyond twice what was announced.
const SPARE_BYTES: u64 = 64 * 1024;

/// A message that lies in the mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub location: Location,
    /// What the protocol calls it in this session: UID, message number, or index in the listing.
    pub handle: u32,
    /// Its size in bytes as the server announces it, which may be wrong in both directions; `None`
    /// where listing does not tell. It chooses how the message is asked for and bounds nothing.
    pub size_bytes: Option<u64>,
    /// Whether it is marked as seen.
    pub seen: bool,
    /// When it arrived, where listing tells.
    pub arrived: Option<Timestamp>,
}

/// How much of a mailbox to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// What came behind the end of the last look in this session; everything where the protocol
    /// cannot tell.
    News,
}

/// What became of one fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The raw bytes, complete.
    Mail(Vec<u8>),
    /// The mail is larger than allowed: its header, as far as the protocol gives it.
    Oversize {
        /// Header block with its empty line.
        header: Vec<u8>,
        /// Size in bytes.
        size_bytes: u64,
    },
    /// The mail is so much larger than announced that it was not kept: ask again with this size.
    Larger {
        /// Its size in bytes; `None` if only a part of it came.
        size_bytes: Option<u64>,
    },
    /// The server lists the message but does not give it.
    Missing,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Something is new in the mailbox.
    News,
    /// The time is over.
    Timeout,
    /// The server ended the session after it had held it for a while. Nothing is wrong: a new one
    /// goes on.
    Closed,
}

/// What changes whenever a message comes into a folder or leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderState {
    /// Numbers mean the same messages as long as this stays (IMAP UIDVALIDITY).
    pub epoch: u32,
    /// Number of the next message (IMAP UIDNEXT), as the server said when the session began.
    pub next: u32,
    /// Messages in it.
    pub exists: u32,
    /// Messages that left it since the session began.
    pub removed: u64,
}

/// One open session with a mailbox.
///
/// After any error the session is dropped, never reused: the protocol may be out of step. The one
/// exception is [`MailboxError::Refused`] by [`done`], after which the session goes on.
///
/// [`done`]: Mailbox::done
#[async_trait]
pub trait Mailbox: Send {
    /// Changes when all locations lost their meaning (IMAP UIDVALIDITY); empty where they cannot.
    fn epoch(&self) -> String {
        String::new()
    }

    /// The location of the next mail to come, as the server said when the session began (IMAP
    /// UIDNEXT). Told once; `None` where nobody says so.
    fn next(&mut self) -> Option<Location> {
        None
    }

    /// Begins a look, which takes in what lies there at this moment.
    async fn look(&mut self, scope: Scope) -> Result<(), MailboxError>;

    /// What lies there now; `None` where the protocol does not say so by itself. Two equal states mean
    /// the same messages, with the same names.
    fn state(&self) -> Option<FolderState> {
        None
    }

    /// Ends a look before its first page: what lies there counts as looked at.
    fn pass_over(&mut self) {}

    /// The name under which the server has the folder to which mails are moved; `None` if it is
    /// missing. Changes nothing.
    async fn find_target(&mut self, folder: &str) -> Result<Option<String>, MailboxError> {
        Ok(Some(folder.to_owned()))
    }

    /// The next messages of the look, oldest first, at most [`PAGE_MAILS_MAX`]. Empty, on the
    /// server's word that there were no others, at its end.
    async fn page(&mut self) -> Result<Vec<Entry>, MailboxError>;

    /// How many messages of the look are in none of the pages until now.
    fn rest(&self) -> usize;

    /// Whether each message of the look is in one of the pages until now. If not, absence from
    /// the pages is no evidence that a message is gone.
    fn is_complete(&self) -> bool {
        true
    }

    /// Why the names of messages mean nothing in the next session; `None` if they last.
    fn names_end(&self) -> Option<&'static str> {
        None
    }

    /// Whether a server may give the name of a message that is gone to another one. Then a message
    /// may be deleted only after its own bytes were compared with what is recorded.
    fn reuses_names(&self) -> bool {
        false
    }

    /// Whether a server may withhold from later sessions what was fetched once, so that a trial
    /// must not fetch a whole message (POP3 at Gmail, unless its "recent mode" is used).
    fn hides_fetched(&self) -> bool {
        false
    }

    /// Whether messages that were to be deleted were left in the folder, marked, because the server
    /// would have removed what others marked as well.
    fn leaves_marked(&self) -> bool {
        false
    }

    /// Fetches these messages of the last look, in their order, one answer each. The caller bounds
    /// the sum of their announced sizes; what is received is bounded by [`room_bytes`].
    async fn fetch(
        &mut self,
        entries: &[Entry],
        max_size_bytes: u64,
    ) -> Result<Vec<Fetched>, MailboxError>;

    /// Does to these messages what was declared. Only called for messages whose outcome is
    /// committed. Repeating it is harmless. `Ok` means that the server confirmed it.
    async fn done(&mut self, entries: &[Entry], after: &AfterFetch) -> Result<(), MailboxError>;

    /// Mails that are fetched together at most.
    fn fetch_mails_max(&self) -> usize {
        FETCH_MAILS_MAX
    }

    /// Where another access token comes from when the one that opened the mailbox ends before the
    /// session does. Most protocols ask for a token only once.
    fn renew_with(&mut self, _renewal: Renewal) {}

    /// Whether `wait` learns of news by itself (IMAP IDLE).
    fn can_wait(&self) -> bool;

    /// Waits for news, at most this long.
    async fn wait(&mut self, at_most: Duration) -> Result<Woken, MailboxError>;

    /// Says goodbye. POP3 deletes here: an error means that deletions may not have happened.
    async fn close(&mut self) -> Result<(), MailboxError>;

    /// Last moment at which the server's certificate is valid; `None` without TLS.
    fn certificate_expires(&self) -> Option<Timestamp> {
        None
    }
}

/// Bytes that we will hold of a message: of one that is too large only the header is fetched; one
/// of unknown size may have any that is allowed.
pub fn held_bytes(entry: &Entry, max_size_bytes: u64) -> u64 {
    match entry.size_bytes {
        Some(size) if size > max_size_bytes => HEADER_BYTES_MAX,
        Some(size) => size,
        None => max_size_bytes,
    }
}

/// Bytes of these messages that are kept when they come. Estimated sizes are often a little wrong,
/// some by half: a message that does not fit is asked for again, with more room.
fn room_bytes(entries: &[Entry], max_size_bytes: u64) -> u64 {
    let held = entries.iter().map(|entry| held_bytes(entry, max_size_bytes)).sum::<u64>();
    held.saturating_mul(2).saturating_add(SPARE_BYTES)
}

/// The next page of a listing that is in memory as a whole.
fn page_of(listed: &mut VecDeque<Entry>) -> Vec<Entry> {
    let length = listed.len().min(PAGE_MAILS_MAX);
    listed.drain(..length).collect()
}

/// Opens the mailbox of an account: connects, encrypts as declared, logs in, opens the folder.
/// `token` is the access token of an account that logs in with OAuth2.
pub async fn open(
    account: &Account,
    secrets: &Secrets,
    token: Option<&SecretString>,
) -> Result<Box<dyn Mailbox>, MailboxError> {
    match &account.connection {
        Source::Imap { endpoint, login, folder } => {
            let target = dial::Target::resolve(endpoint, login, secrets, token)?;
            Ok(Box::new(imap::open(target, folder, account.idle).await?))
        }
        Source::Pop3 { endpoint, login } => {
            let target = dial::Target::resolve(endpoint, login, secrets, token)?;
            Ok(Box::new(pop3::open(target).await?))
        }
        Source::Maildir { path } => Ok(Box::new(maildir::open(path).await?)),
        Source::Graph { endpoint, login, folder } => {
            let token = token.ok_or(MailboxError::Unsupported("there is no access token"))?;
            let host = secrets.text(&endpoint.host)?;
            let mailbox = login.opens().ok_or(MailboxError::Unsupported("no mailbox is named"))?;
            let mailbox = secrets.text(mailbox)?;
            let place = graph::Place { endpoint, host: &host, mailbox: &mailbox, folder };
            Ok(Box::new(graph::open(place, token.clone()).await?))
        }
    }
}

/// Why a mailbox could not be read.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    /// No connection: name, route, refused, timeout.
    #[error("could not connect: {0}")]
    Connect(String),
    /// TLS could not be set up; `reason` is the label for metrics.
    #[error("could not set up TLS: {message}")]
    Tls {
        /// `certificate`, `handshake`, `starttls`, `files`.
        reason: &'static str,
        /// What was wrong.
        message: String,
    },
    /// The server refused the login. Retried slowly.
    #[error("login was refused: {0}")]
    Login(String),
    /// A secret could not be read.
    #[error("{0}")]
    Secret(String),
    /// The folder does not exist or cannot be opened.
    #[error("could not open folder: {0}")]
    Folder(String),
    /// The server said no.
    #[error("server refused {command}: {message}")]
    Refused {
        /// What we asked.
        command: &'static str,
        /// Its words, cut.
        message: String,
    },
    /// The server wants to be left alone for a while.
    #[error("the server asks us to wait {} s", .retry_after.as_secs())]
    Busy {
        /// How long.
        retry_after: Duration,
    },
    /// The server has had enough of us for now, and says so in these words.
    #[error("the server is busy: {message}")]
    Throttled {
        /// Its words, cut.
        message: String,
        /// How long it is left alone at least.
        retry_after: Duration,
    },
    /// The server broke the protocol, or sent more than the limits allow.
    #[error("protocol violation: {0}")]
    Protocol(String),
    /// A step took longer than its deadline.
    #[error("no answer to {0} within the time limit")]
    Timeout(&'static str),
    /// A message is much larger than announced, and only the end of the session stops it.
    #[error("message {} is larger than announced: more than {at_least} bytes", .location.0)]
    TooLong {
        /// Which one.
        location: Location,
        /// Bytes that came.
        at_least: u64,
    },
    /// The connection ended.
    #[error("connection lost: {0}")]
    Lost(String),
    /// This build cannot do what is declared.
    #[error("{0}")]
    Unsupported(&'static str),
}

impl MailboxError {
    /// Label for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            MailboxError::Connect(_) => "connect",
            MailboxError::Tls { reason, .. } => reason,
            MailboxError::Login(_) => "login",
            MailboxError::Secret(_) => "secret",
            MailboxError::Folder(_) => "folder",
            MailboxError::Refused { .. } => "refused",
            MailboxError::Busy { .. } | MailboxError::Throttled { .. } => "busy",
            MailboxError::Protocol(_) | MailboxError::TooLong { .. } => "protocol",
            MailboxError::Timeout(_) => "timeout",
            MailboxError::Lost(_) => "lost",
            MailboxError::Unsupported(_) => "unsupported",
        }
    }
}
