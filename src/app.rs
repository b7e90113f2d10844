//! Wires everything together, and is what HTTP and the commands talk to.
//!
//! `start` runs straight down: store, first revision, tasks, listener. What happens when the
//! files change is in [`reload`]; what the pollers get of it is in [`accounts`].

pub mod probe;

mod accounts;
mod loader;
mod manager;
mod reload;
mod start;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::config::Problem;
use crate::core::intake::Outcome;
use crate::core::plan::Change;
use crate::http::proxy::Network;
use crate::run::clock::Clock;
use crate::run::daemon::Daemon;
use crate::run::intake;
use crate::store::MailId;
use crate::threads;

pub use accounts::Accounts;
pub use start::{App, start};

/// How the daemon is started: what cannot change while it runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Configuration files and directories.
    pub config: Vec<PathBuf>,
    /// Directory of the store.
    pub data: PathBuf,
    /// Where HTTP listens.
    pub listen: SocketAddr,
    /// Directory of `{secret: NAME}`.
    pub secrets_dir: Option<PathBuf>,
    /// Base of links in mails and redirects.
    pub external_url: Option<String>,
    /// Programs that may be run to send mail.
    pub allow_sendmail: Vec<PathBuf>,
    /// Proxies that say for whom they ask, and are believed.
    pub trusted_proxies: Vec<Network>,
    /// What time it is.
    pub clock: Clock,
    /// What to do when the files are invalid at start.
    pub on_invalid: OnInvalid,
    /// Whether the mass-delete guard is lifted.
    pub allow_mass_delete: bool,
}

/// What to do when the files are invalid at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInvalid {
    /// Run the last good revision. The very first start ends all the same.
    LastGood,
    /// End.
    Exit,
}

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The files are invalid and there is nothing else to run.
    #[error("the configuration is invalid")]
    Invalid(Vec<Problem>),
    /// The store could not be opened.
    #[error("could not open the store: {0}")]
    Store(#[from] crate::store::StoreError),
    /// The address for HTTP could not be taken.
    #[error("could not listen on {address}: {error}")]
    Listen {
        /// Where HTTP should listen.
        address: SocketAddr,
        /// What the system said.
        error: String,
    },
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// What HTTP and the commands may use of the running daemon; clones share it.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

/// The daemon, and how to ask it for something.
pub struct Shared {
    /// What its tasks share.
    pub daemon: Daemon,
    /// Problems of the last revision that was not applied; empty after a good one.
    pub rejected: ArcSwap<Vec<Problem>>,
    /// When the daemon started.
    pub started: Timestamp,
    /// Base of links in mails and redirects, as given by `--external-url`.
    pub external_url: Option<String>,
    /// Proxies that say for whom they ask, as given by `--trusted-proxies`.
    pub trusted_proxies: Vec<Network>,
    /// The loop that applies revisions.
    pub reloads: mpsc::Sender<ReloadRequest>,
    /// What the pollers work with.
    pub accounts: Accounts,
}

/// "Look at the files again."
pub struct ReloadRequest {
    /// Who asks: a label for metrics.
    pub trigger: Trigger,
    /// Whether the mass-delete guard is lifted for this once.
    pub allow_mass_delete: bool,
    /// Where the answer goes, if somebody waits for it.
    pub answer: Option<oneshot::Sender<ReloadAnswer>>,
}

/// What made us look at the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The start of the daemon.
    Start,
    /// An event of the file system.
    File,
    /// SIGHUP.
    Signal,
    /// `POST /-/reload`.
    Http,
    /// The regular content check.
    Timer,
}

/// What came of a reload.
#[derive(Debug, Clone)]
pub enum ReloadAnswer {
    /// The files say what runs already.
    Unchanged {
        /// Revision that runs.
        revision: String,
    },
    /// Applied.
    Applied {
        /// Revision that runs now.
        revision: String,
        /// What it changed.
        changes: Vec<Change>,
        /// Warnings.
        warnings: Vec<Problem>,
    },
    /// Not applied: the files have errors.
    Invalid {
        /// All of them.
        problems: Vec<Problem>,
    },
    /// Not applied: it would remove too many accounts.
    Blocked {
        /// Accounts that run now.
        running: usize,
        /// Accounts it would remove.
        removed: usize,
    },
}

impl Trigger {
    /// Label for metrics and log.
    pub fn label(&self) -> &'static str {
        match self {
            Trigger::Start => "start",
            Trigger::File => "file",
            Trigger::Signal => "signal",
            Trigger::Http => "http",
            Trigger::Timer => "timer",
        }
    }
}

/// The store, the revision that runs and the rest are the daemon's own.
impl std::ops::Deref for Shared {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

impl std::ops::Deref for Handle {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What came of releasing a mail from quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// It was judged again.
    Judged(Outcome),
    /// Its server never gave it, and is asked for it again.
    AskedAgain,
}

impl Handle {
    /// Shares this.
    pub fn new(shared: Shared) -> Handle {
        Handle(Arc::new(shared))
    }

    /// Judges a quarantined mail again, because a person wants it to go on, and says what became
    /// of it. Its account's trust counts as it did when it came. One that its server did not give
    /// is asked for again.
    pub async fn release(&self, id: MailId) -> Result<Released, String> {
        let store = self.store.clone();
        let found = threads::STORE.run(move || {
            let record = store.mail(id).map_err(|error| error.to_string())?;
            let record = record.ok_or_else(|| format!("there is no mail {}", id.0))?;
            let raw = store.raw(&record.digest).map_err(|error| error.to_string())?;
            Ok::<_, String>((record, raw))
        });
        let (record, raw) = found.await?;
        if !matches!(record.outcome, Outcome::Quarantined { .. }) || record.resolved.is_some() {
            return Err(format!("mail {} is not in quarantine", id.0));
        }
        let config = self.running.load().config.clone();
        let account = config.accounts.get(&record.account).cloned().ok_or_else(|| {
            format!("its account {:?} is not declared any more; declare it again", record.account)
        })?;
        let Some(raw) = raw else {
            let asked = self.store.ask_again(id, self.clock.now()).await;
            if !asked.map_err(|error| error.to_string())? {
                return Err(format!("mail {} was dealt with meanwhile", id.0));
            }
            self.fetch_now(&record.account).await;
            return Ok(Released::AskedAgain);
        };
        let recorded = intake::release(&self.daemon, &account, id, record.location, raw).await;
        Ok(Released::Judged(recorded.map_err(|error| error.to_string())?.outcome))
    }

    /// Whether people reach it from outside this machine, as far as its options say.
    pub fn is_public(&self) -> bool {
        self.external_url.is_some() || !self.trusted_proxies.is_empty()
    }

    /// Makes the poller of this account look at once; `false` if there is none.
    pub async fn fetch_now(&self, account: &str) -> bool {
        self.accounts.nudge(account)
    }

    /// Asks for a look at the files and waits for what came of it; `None` while shutting down.
    pub async fn reload(&self, trigger: Trigger, allow_mass_delete: bool) -> Option<ReloadAnswer> {
        let (answer, wait) = oneshot::channel();
        let request = ReloadRequest { trigger, allow_mass_delete, answer: Some(answer) };
        self.reloads.send(request).await.ok()?;
        wait.await.ok()
    }
}
