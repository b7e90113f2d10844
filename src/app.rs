//! Wires everything together, and is what HTTP and the commands talk to.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::config::Problem;
use crate::core::config::Config;
use crate::core::plan::Change;
use crate::metrics::Metrics;
use crate::run::board::Board;
use crate::secret::Secrets;
use crate::store::Store;

/// What HTTP and the commands may use of the running daemon; clones share it.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

/// What all parts of the running daemon share.
pub struct Shared {
    /// Tickets, ledger, outbox.
    pub store: Store,
    /// What runs.
    pub running: ArcSwap<Running>,
    /// Problems of the last revision that was not applied; empty after a good one.
    pub rejected: ArcSwap<Vec<Problem>>,
    /// Conditions of all objects.
    pub board: Board,
    /// Every metric.
    pub metrics: Metrics,
    /// Where secrets are found.
    pub secrets: Secrets,
    /// When the daemon started.
    pub started: Timestamp,
    /// Base of links in mails and redirects, as given by `--external-url`.
    pub external_url: Option<String>,
    /// The loop that applies revisions.
    pub reloads: mpsc::Sender<ReloadRequest>,
}

/// The revision that runs.
#[derive(Debug, Clone)]
pub struct Running {
    /// Hash of the files; empty before the first one is applied.
    pub revision: String,
    /// When it was applied.
    pub applied: Timestamp,
    /// What it says.
    pub config: Arc<Config>,
    /// What it changed when it was applied.
    pub changes: Vec<Change>,
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

impl std::ops::Deref for Handle {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Handle {
    /// Asks for a look at the files and waits for what came of it; `None` while shutting down.
    pub async fn reload(&self, trigger: Trigger, allow_mass_delete: bool) -> Option<ReloadAnswer> {
        let (answer, wait) = oneshot::channel();
        let request = ReloadRequest { trigger, allow_mass_delete, answer: Some(answer) };
        self.reloads.send(request).await.ok()?;
        wait.await.ok()
    }
}
