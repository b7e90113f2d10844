//! What a poller says of its account: conditions, metrics, the log.

use std::time::Duration;

use jiff::Timestamp;

use super::telling::Telling;
use super::{Ended, Poller};
use crate::core::config::{Account, Source};
use crate::mailbox::{Mailbox, MailboxError, Scope};
use crate::run::board::{ConditionKind, Kind, ObjectStatus};

impl Poller {
    pub(super) fn note_backlog(&self, account: &Account, waiting: usize) {
        self.daemon.metrics.account_backlog(&account.name, waiting as u64);
        self.daemon.board.update(Kind::MailAccount, &account.name, |status| {
            status.backlog = Some(waiting as u64);
        });
    }

    /// Says once for each account that deleted mails stay in the folder.
    pub(super) fn warn_of_marked(&mut self, account: &Account, mailbox: &dyn Mailbox) {
        if mailbox.leaves_marked() && !self.warned_of_marked {
            self.warned_of_marked = true;
            tracing::warn!(
                account = account.name,
                "server has neither UIDPLUS nor MOVE, and messages that another program marked as \
                 deleted lie in the folder: ours stay there too, marked, because EXPUNGE would \
                 remove all of them; expunge the folder with a mail program"
            );
        }
    }

    /// Notes whether the server refused to move mails: mail still comes in, and a person must look.
    pub(super) fn note_refusal(&mut self, account: &Account, scope: Scope, telling: &mut Telling) {
        let refused = telling.refused.take();
        if refused.is_none() && scope == Scope::News && !telling.told {
            return;
        }
        if let Some(message) = &refused {
            self.daemon.metrics.poll_error(protocol(account), "refused");
            if self.refused.as_ref() != Some(message) {
                tracing::warn!(account = account.name, message, "mails are taken in and not moved");
            }
        }
        self.refused = refused;
    }

    pub(super) fn note_success(&mut self, account: &Account, pause: Option<Duration>) {
        let now = self.daemon.clock.now();
        let was_shown = self.failing.ended();
        let metrics = &self.daemon.metrics;
        metrics.account_failing(&account.name, was_shown, None);
        metrics.account_up(&account.name, true);
        metrics.account_authenticated(&account.name, true);
        metrics.account_last_success(&account.name, now.as_second() as f64);
        metrics.account_failures(&account.name, 0);
        metrics.account_backlog(&account.name, 0);
        metrics.poll_run(&account.name, "success");
        let revision = self.daemon.running.load().revision.clone();
        self.daemon.board.update(Kind::MailAccount, &account.name, |status| {
            for kind in
                [ConditionKind::Reachable, ConditionKind::Authenticated, ConditionKind::Ready]
            {
                status.set(kind, Some(true), "Success", "", now);
            }
            if let Some(refused) = &self.refused {
                let message = format!("mails are taken in and not moved: {refused}");
                status.set(ConditionKind::Ready, Some(false), "CommandRefused", &message, now);
            }
            status.observed_revision = revision;
            status.last_success = Some(now);
            status.next_poll = pause.and_then(|pause| now.checked_add(pause).ok());
            status.backlog = Some(0);
            status.consecutive_failures = 0;
        });
    }

    pub(super) fn note_failure(&mut self, account: &Account, error: &Ended, pause: Duration) {
        let (now, failures) = (self.daemon.clock.now(), self.failures);
        let message = self.trouble(account, error);
        let metrics = &self.daemon.metrics;
        metrics.account_up(&account.name, false);
        if let Some(taken) = login_taken(error) {
            metrics.account_authenticated(&account.name, taken);
        }
        metrics.account_failures(&account.name, u64::from(failures));
        metrics.poll_run(&account.name, "failure");
        metrics.poll_error(protocol(account), reason(error));
        tracing::warn!(account = account.name, failures, retry_secs = pause.as_secs(), %error, "could not read mailbox");
        self.daemon.board.update(Kind::MailAccount, &account.name, |status| {
            conditions_of(status, error, &message, now);
            status.next_poll = now.checked_add(pause).ok();
            status.consecutive_failures = failures;
        });
    }

    /// What the status says of an error: more, once the account has failed for long.
    fn trouble(&mut self, account: &Account, error: &Ended) -> String {
        let (text, reason) = (error.to_string(), reason(error));
        let Some(long) = self.failing.failed() else { return text };
        let was_shown = self.failing.shown.replace(reason);
        self.daemon.metrics.account_failing(&account.name, was_shown, Some(reason));
        let message = long.message(&text);
        if long.remind {
            let at = long.at.as_deref().unwrap_or("-");
            tracing::warn!(
                account = account.name,
                reason,
                minutes = long.minutes,
                at,
                "mail account {} needs a person: {message}",
                account.name
            );
        }
        message
    }
}

/// Label of the protocol for metrics.
pub fn protocol(account: &Account) -> &'static str {
    match account.connection {
        Source::Imap { .. } => "imap",
        Source::Pop3 { .. } => "pop3",
        Source::Graph { .. } => "graph",
        Source::Maildir { .. } => "maildir",
    }
}

fn reason(error: &Ended) -> &'static str {
    match error {
        Ended::Mailbox(error) => error.label(),
        Ended::Store(_) => "store",
        Ended::Token(error) => error.why.label(),
        Ended::Stopped => "stopped",
        Ended::Closed => "closed",
    }
}

/// Whether the server took the login; `None` if the error does not say.
fn login_taken(error: &Ended) -> Option<bool> {
    match error {
        Ended::Mailbox(MailboxError::Login(_) | MailboxError::Secret(_)) => Some(false),
        Ended::Mailbox(MailboxError::Folder(_) | MailboxError::Refused { .. }) => Some(true),
        // A token that cannot be had is no login that was taken.
        Ended::Token(_) => Some(false),
        Ended::Mailbox(_) | Ended::Store(_) | Ended::Stopped | Ended::Closed => None,
    }
}

fn conditions_of(status: &mut ObjectStatus, error: &Ended, message: &str, now: Timestamp) {
    let (reachable, authenticated, word) = match error {
        Ended::Mailbox(MailboxError::Connect(_)) => (Some(false), None, "ConnectFailed"),
        Ended::Mailbox(MailboxError::Tls { .. }) => (Some(false), None, "TlsFailed"),
        Ended::Mailbox(MailboxError::Login(_)) => (Some(true), Some(false), "LoginRefused"),
        Ended::Mailbox(MailboxError::Secret(_)) => (None, Some(false), "SecretMissing"),
        Ended::Mailbox(MailboxError::Folder(_)) => (Some(true), Some(true), "FolderMissing"),
        Ended::Mailbox(MailboxError::Refused { .. }) => (Some(true), Some(true), "CommandRefused"),
        Ended::Mailbox(MailboxError::Busy { .. }) => (Some(true), Some(true), "ServerBusy"),
        Ended::Mailbox(MailboxError::Throttled { .. }) => (Some(true), None, "ServerBusy"),
        Ended::Mailbox(MailboxError::Protocol(_) | MailboxError::TooLong { .. }) => {
            (Some(true), None, "ProtocolViolation")
        }
        Ended::Mailbox(MailboxError::Timeout(_)) => (Some(false), None, "Timeout"),
        Ended::Mailbox(MailboxError::Lost(_)) => (Some(false), None, "ConnectionLost"),
        Ended::Mailbox(MailboxError::Unsupported(_)) => (None, None, "Unsupported"),
        Ended::Store(_) => (None, None, "StoreFailed"),
        Ended::Token(error) => (None, Some(false), error.why.reason()),
        Ended::Stopped => (None, None, "Stopped"),
        Ended::Closed => (None, None, "Closed"),
    };
    status.set(ConditionKind::Reachable, reachable, word, message, now);
    status.set(ConditionKind::Authenticated, authenticated, word, message, now);
    status.set(ConditionKind::Ready, Some(false), word, message, now);
}
