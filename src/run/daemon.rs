//! What the tasks of the daemon share: the store, the revision that runs, and where they say how
//! they are.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::board::Board;
use super::clock::Clock;
use super::tokens::Tokens;
use crate::core::config::Config;
use crate::core::plan::Change;
use crate::metrics::Metrics;
use crate::secret::Secrets;
use crate::store::Store;
use crate::transport::programs::Programs;

/// What the tasks share; clones share it, too.
#[derive(Clone)]
pub struct Daemon(Arc<Parts>);

/// The parts of a daemon.
pub struct Parts {
    /// Tickets, ledger, outbox.
    pub store: Store,
    /// What runs.
    pub running: ArcSwap<Running>,
    /// Conditions of all objects.
    pub board: Arc<Board>,
    /// Every metric.
    pub metrics: Metrics,
    /// Where secrets are found.
    pub secrets: Secrets,
    /// Programs that may be run.
    pub programs: Programs,
    /// What time it is.
    pub clock: Clock,
    /// Access tokens of those who log in with OAuth2.
    pub tokens: Tokens,
}

/// The revision that runs.
#[derive(Debug, Clone)]
pub struct Running {
    /// Hash of the files; empty before the first one is applied.
    pub revision: Arc<str>,
    /// When it was applied.
    pub applied: Timestamp,
    /// What it says.
    pub config: Arc<Config>,
    /// What it changed when it was applied: the first ones.
    pub changes: Vec<Change>,
}

impl Daemon {
    /// Shares these parts.
    pub fn new(parts: Parts) -> Daemon {
        Daemon(Arc::new(parts))
    }
}

impl Deref for Daemon {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
