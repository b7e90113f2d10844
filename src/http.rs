//! HTTP: metrics and health for machines, `/api/v1` for programs and the commands.
//!
//! Read [`routes`] first: the one table of method, path, role and handler from which the router,
//! the access rules and the OpenAPI document are made.
//!
//! Architecture invariant: nothing in here decides what becomes of a ticket or a mail; it asks
//! [`Handle`](crate::app::Handle) and shapes the answer. There are no cookies. A secret or the hash of a
//! token is never in an answer.

pub mod routes;

pub mod auth;
pub mod dto;
pub mod explain;
pub mod problem;

mod api;
mod download;
mod guard;
mod openapi;
mod ops;
mod paging;
mod redacted;
mod serve;

use std::sync::Arc;

pub use openapi::document as openapi_document;
pub use routes::{documentation, router};
pub use serve::{Peer, serve};

use crate::app::Handle;
use crate::store::{Store, StoreError};
use auth::LocalToken;
use problem::Problem;

/// Longest request body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Until the header of a request, and then its body, must have arrived.
pub const READ_TIMEOUT_SECS: u64 = 10;
/// Until a request must be answered.
pub const ANSWER_TIMEOUT_SECS: u64 = 60;
/// Until a copy of the store must be made.
pub const BACKUP_TIMEOUT_SECS: u64 = 1800;
/// Connections at a time; more wait until one ends.
pub const CONNECTIONS_MAX: usize = 256;

/// What every handler gets.
#[derive(Clone)]
pub struct Web {
    /// The running daemon.
    pub handle: Handle,
    /// Token of the commands on this machine, if the daemon made one.
    pub local: Option<Arc<LocalToken>>,
}

impl Web {
    /// Reads from the store on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.handle.store.clone();
        match tokio::task::spawn_blocking(move || read(&store)).await {
            Ok(answer) => answer.map_err(Problem::from),
            Err(_) => Err(Problem::internal()),
        }
    }
}
