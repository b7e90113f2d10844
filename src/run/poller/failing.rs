//! For how long an account has failed without a break, and at which mail.
//!
//! A look that fails now and then is the world; one that has failed for an hour needs a person. From
//! then on the status names the mail and the answer of its server, the log repeats it every hour, and
//! a metric has the reason.
//!
//! Architecture invariant: time is counted by the monotonic clock: a wall clock that is set neither
//! hides such an account nor makes one.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::config::Source;
use crate::core::mail::Location;
use crate::mailbox::Entry;

/// An account that has failed for so long needs a person.
pub const LONG_AFTER: Duration = Duration::from_secs(60 * 60);
/// How often the log says so.
const REMINDED_EVERY: Duration = Duration::from_secs(60 * 60);
/// Characters of a name that its server gave a mail.
const NAME_CHARS_MAX: usize = 100;

/// Since when an account has failed, and at which mail.
#[derive(Debug, Default)]
pub struct Failing {
    since: Option<Instant>,
    reminded: Option<Instant>,
    /// The mail at which the present session broke.
    at: Option<String>,
    /// The reason that the metric shows.
    pub(super) shown: Option<&'static str>,
}

/// An account that has failed for [`LONG_AFTER`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Long {
    /// For how long. Minutes.
    pub minutes: u64,
    /// Whether the log says so now.
    pub remind: bool,
    /// The mail at which it failed, and what was done with it; `None` if no mail was in transfer.
    pub at: Option<String>,
}

/// What was done with a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// It was asked for.
    Fetching,
    /// The server was told what becomes of it.
    Telling,
}

impl Failing {
    /// A session begins.
    pub(super) fn begin(&mut self) {
        self.at = None;
    }

    /// The session broke at these mails.
    pub(super) fn broke_at(&mut self, source: &Source, entries: &[Entry], doing: Doing) {
        let Some((first, rest)) = entries.split_first() else { return };
        let size = first.size_bytes.map(|bytes| format!(" ({bytes} bytes)")).unwrap_or_default();
        let more = match rest.len() {
            0 => String::new(),
            more => format!(" or one of {more} with it"),
        };
        let doing = match doing {
            Doing::Fetching => "while it was fetched",
            Doing::Telling => "while the server was told what becomes of it",
        };
        self.at = Some(format!("mail {}{size}{more}, {doing}", name(source, &first.location)));
    }

    /// The session has failed. Says more once that has been so for long.
    pub(super) fn failed(&mut self) -> Option<Long> {
        let now = Instant::now();
        let failed_for = now - *self.since.get_or_insert(now);
        if failed_for < LONG_AFTER {
            return None;
        }
        let remind = self.reminded.is_none_or(|last| now - last >= REMINDED_EVERY);
        if remind {
            self.reminded = Some(now);
        }
        Some(Long { minutes: failed_for.as_secs() / 60, remind, at: self.at.clone() })
    }

    /// A look has succeeded. Answers with the reason that the metric shows until now.
    pub(super) fn ended(&mut self) -> Option<&'static str> {
        std::mem::take(self).shown
    }
}

impl Long {
    /// What the status says of an error.
    pub(super) fn message(&self, error: &str) -> String {
        let minutes = self.minutes;
        match &self.at {
            Some(at) => format!("{at}: {error}; every look has failed for {minutes} min"),
            None => format!("{error}; every look has failed for {minutes} min, at no mail"),
        }
    }
}

/// What the protocol calls a mail.
fn name(source: &Source, location: &Location) -> String {
    let kind = match source {
        Source::Imap { .. } => match location.numbered() {
            Some((_, uid)) => return format!("UID {uid}"),
            None => "at",
        },
        Source::Pop3 { .. } => "UIDL",
        Source::Graph { .. } => "Graph id",
        Source::Maildir { .. } => "file",
    };
    let shown = location.0.chars().filter(|letter| !letter.is_control());
    format!("{kind} {}", shown.take(NAME_CHARS_MAX).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::{Endpoint, Login, SecretRef, Security, Text, TlsOptions};

    const MINUTE: Duration = Duration::from_secs(60);

    fn imap() -> Source {
        let endpoint = Endpoint {
            host: Text::Plain("mx.example".into()),
            port: 993,
            security: Security::Tls,
            tls: TlsOptions::default(),
            connect_timeout: MINUTE,
            timeout: MINUTE,
        };
        let username = Text::Plain("desk".into());
        let login = Login::Password { username, password: SecretRef::Named("imap".into()) };
        Source::Imap { endpoint, login, folder: "INBOX".into() }
    }

    fn entry(location: &str, size_bytes: Option<u64>) -> Entry {
        let location = Location(location.to_owned());
        Entry { location, handle: 1, size_bytes, seen: false, arrived: None }
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_hour_it_says_so_once_an_hour() {
        let mut failing = Failing::default();
        let mut reminded = Vec::new();
        for minute in 0..=185 {
            failing.begin();
            let long = failing.failed();
            assert_eq!(long.is_some(), minute >= 60, "{minute}");
            if long.is_some_and(|long| long.remind) {
                reminded.push(minute);
            }
            tokio::time::advance(MINUTE).await;
        }
        assert_eq!(reminded, [60, 120, 180]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_success_begins_the_hour_anew() {
        let mut failing = Failing::default();
        assert_eq!(failing.failed(), None);
        tokio::time::advance(59 * MINUTE).await;
        failing.ended();
        assert_eq!(failing.failed(), None);
        tokio::time::advance(59 * MINUTE).await;
        assert_eq!(failing.failed(), None);
        tokio::time::advance(MINUTE).await;
        assert!(failing.failed().is_some());
    }

    #[track_caller]
    fn check(source: &Source, entries: &[Entry], doing: Doing, expected: &str) {
        let mut failing = Failing::default();
        failing.broke_at(source, entries, doing);
        assert_eq!(failing.at.as_deref(), Some(expected));
    }

    #[test]
    fn the_mail_has_the_name_that_its_protocol_gives_it() {
        let imap = imap();
        let one = entry("INBOX;7;12", Some(1469));
        check(
            &imap,
            std::slice::from_ref(&one),
            Doing::Fetching,
            "mail UID 12 (1469 bytes), while it was fetched",
        );
        check(
            &imap,
            &[entry("INBOX;7;12", None), one.clone(), one],
            Doing::Telling,
            "mail UID 12 or one of 2 with it, while the server was told what becomes of it",
        );
        let file = Source::Maildir { path: "mail".into() };
        check(&file, &[entry("a\nb", None)], Doing::Fetching, "mail file ab, while it was fetched");
    }

    #[test]
    fn the_message_names_mail_and_answer() {
        let mut long = Long { minutes: 61, remind: true, at: Some("mail UID 12, while".into()) };
        let message = long.message("protocol violation: no literal");
        assert_eq!(
            message,
            "mail UID 12, while: protocol violation: no literal; every look has failed for 61 min"
        );
        long.at = None;
        assert!(long.message("login was refused").contains("at no mail"));
    }
}
