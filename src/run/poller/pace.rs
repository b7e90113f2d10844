//! How long a poller waits.

use std::time::Duration;

use super::{Ended, Poller};
use crate::core::config::{Account, Poll};
use crate::mailbox::MailboxError;
use crate::run::backoff;
use crate::run::daemon::Daemon;
use crate::run::tokens::Why;

/// Longest time a session waits without a look at everything.
pub const WAIT_MAX: Duration = Duration::from_secs(30 * 60);

impl Poller {
    /// Notes how the session ended and says how long to rest.
    pub(super) fn after_session(
        &mut self,
        account: &Account,
        result: Result<(), Ended>,
        took: Duration,
    ) -> Duration {
        match result {
            Ok(()) | Err(Ended::Stopped) => {
                self.failures = 0;
                let pause = until_next_poll(account, &self.daemon, took);
                if result.is_ok() {
                    self.note_success(account, Some(pause));
                }
                pause
            }
            Err(Ended::Closed) => {
                self.failures = 0;
                // At once, but not in step with all other accounts of that server.
                let pause = backoff::pause(1, false, backoff::dice());
                self.note_success(account, Some(pause));
                pause
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.unchanged.forget();
                let login = match &error {
                    Ended::Mailbox(MailboxError::Login(_) | MailboxError::Throttled { .. }) => true,
                    Ended::Token(error) => matches!(error.why, Why::SignIn | Why::Administrator),
                    _ => false,
                };
                let pause = backoff::pause(self.failures, login, backoff::dice());
                let pause = pause.max(asked_to_wait(&error));
                self.note_failure(account, &error, pause);
                pause
            }
        }
    }
}

pub(super) fn wait_at_most(account: &Account) -> Duration {
    match account.poll {
        Poll::Every(interval) => interval.min(WAIT_MAX),
        Poll::Cron(_) => WAIT_MAX,
    }
}

/// Rest until the next look. An interval is counted from the beginning of the last look.
pub(super) fn until_next_poll(account: &Account, daemon: &Daemon, took: Duration) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(100);
    match &account.poll {
        Poll::Every(interval) => interval.saturating_sub(took).max(SHORTEST),
        Poll::Cron(expression) => {
            let zone = daemon.running.load().config.desk.time_zone.clone();
            let now = daemon.clock.now().to_zoned(zone);
            let next = expression
                .parse::<croner::Cron>()
                .ok()
                .and_then(|cron| cron.find_next_occurrence(&now, false).ok());
            // `compile` refuses expressions that never come true.
            next.and_then(|next| Duration::try_from(next.timestamp() - now.timestamp()).ok())
                .unwrap_or(WAIT_MAX)
        }
    }
}

/// How long the server wants to be left alone, if it said so.
pub(super) fn asked_to_wait(error: &Ended) -> Duration {
    match error {
        Ended::Mailbox(MailboxError::Busy { retry_after }) => (*retry_after).min(WAIT_MAX),
        Ended::Mailbox(MailboxError::Throttled { retry_after, .. }) => *retry_after,
        Ended::Mailbox(_) | Ended::Store(_) | Ended::Token(_) | Ended::Stopped | Ended::Closed => {
            Duration::ZERO
        }
    }
}
