//! Tells a service manager how far we are: sd_notify(3), as systemd reads it.
//!
//! Without `NOTIFY_SOCKET` in the environment nobody listens and nothing is sent. A manager that
//! does not listen any more is no reason to do anything else: what cannot be told is logged.

use sd_notify::NotifyState;

use super::ReloadAnswer;
use super::reload::short;

/// Everything runs.
pub(super) fn ready(revision: &str) {
    let status = format!("revision {} runs", short(revision));
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// The files are looked at. `Type=notify-reload` wants to know since when, to tell this reload
/// from an earlier one.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "could not read the clock for the service manager"),
    }
}

/// The files were looked at. Also after a refusal: the daemon is as ready as before, and says in
/// its status why nothing changed.
pub(super) fn reloaded(answer: Option<&ReloadAnswer>, revision: &str) {
    let runs = format!("revision {} runs", short(revision));
    let status = match answer {
        Some(ReloadAnswer::Unchanged { .. } | ReloadAnswer::Applied { .. }) => runs,
        Some(ReloadAnswer::Invalid { problems }) => {
            format!("{runs}; the files were refused, problems: {}", problems.len())
        }
        Some(ReloadAnswer::Blocked { removed, .. }) => {
            format!("{runs}; the files are held back, as they remove {removed} accounts")
        }
        None => format!("{runs}; shutting down"),
    };
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Everything ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "could not tell the service manager");
    }
}
