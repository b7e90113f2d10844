//! HTTP: metrics and health for machines, `/api/v1` for programs and the commands, pages for people.
//!
//! Read [`routes`] first: the one table of method, path, role and handler from which the router,
//! the access rules and the OpenAPI document are made.
//!
//! Architecture invariant: nothing in here decides what becomes of a ticket or a mail; it asks
//! [`Handle`](crate::app::Handle) and shapes the answer. Cookies open pages and nothing
//! else, tokens open `/api/v1` and nothing else. A secret or the hash of a token is never in an answer.

pub mod routes;

pub mod auth;
pub mod device;
pub mod dto;
pub mod explain;
pub mod form;
pub mod mail_memory;
mod pages;
pub mod places;
pub mod problem;
pub mod progress;
pub mod proxy;
pub mod replay;
pub mod session;
pub mod throttle;

mod api;
mod download;
mod guard;
mod once;
mod openapi;
mod ops;
pub(crate) mod paging;
mod redacted;
mod sealed;
mod serve;
mod undeclared;

use std::sync::Arc;

pub use openapi::document as openapi_document;
pub use routes::{documentation, router};
pub use serve::{Client, Peer, serve};

use crate::app::Handle;
use crate::core::mail::Digest;
use crate::core::ticket::Article;
use crate::store::{Store, StoreError};
use auth::LocalToken;
use device::Devices;
use mail_memory::{HeldMail, MailMemory, Room};
use problem::Problem;
use throttle::Throttle;
use tokio::sync::Semaphore;
use undeclared::UndeclaredProxies;

/// Writes the HTML of a mail for its page, and throws it away.
pub fn mail_page(article: &Article, raw: &[u8]) {
    let _ = pages::ticket::frame::shown(article, raw);
}

/// Longest request body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The same where a mail comes in it: one of 32 MiB as Base64, with the files of a desk beside it.
pub const MAIL_BODY_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Until the header of a request, and then its body, must have arrived.
pub const READ_TIMEOUT_SECS: u64 = 10;
/// Until a request must be answered.
pub const ANSWER_TIMEOUT_SECS: u64 = 60;
/// Until a copy of the store must be made.
pub const BACKUP_TIMEOUT_SECS: u64 = 1800;
/// Until stored mails must be judged.
pub const REPLAY_TIMEOUT_SECS: u64 = 600;

/// What every handler gets.
#[derive(Clone)]
pub struct Web {
    /// The running daemon.
    pub handle: Handle,
    /// Token of the commands on this machine, if the daemon made one.
    pub local: Option<Arc<LocalToken>>,
    /// What those who sign in share.
    pub entrance: Arc<Entrance>,
    /// Who asks with the same key waits here.
    pub turns: Arc<once::Turns>,
    /// Room for the bytes of mails.
    pub mails: MailMemory,
    /// Proxies in front of the daemon that were not declared.
    pub(in crate::http) undeclared: Arc<UndeclaredProxies>,
}

/// What bounds signing in.
pub struct Entrance {
    /// Who tried how often.
    pub throttle: Throttle,
    /// From which browsers somebody has signed in before.
    pub devices: Devices,
    /// What is shared by those who sign in at the OpenID provider.
    pub(in crate::http) provider: pages::oidc::Provider,
    /// Passwords that are hashed at a time.
    pub hashing: Arc<Semaphore>,
}

impl Web {
    /// For this daemon, with the token of the commands on this machine if there is one.
    pub fn new(handle: Handle, local: Option<LocalToken>) -> Web {
        let hashing = Arc::new(Semaphore::new(pages::sign_in::HASHES_AT_A_TIME));
        let entrance = Arc::new(Entrance {
            throttle: Throttle::default(),
            devices: Devices::new(&handle.store.desk_key()),
            provider: pages::oidc::Provider::new(&handle.store.desk_key()),
            hashing,
        });
        Web {
            handle,
            local: local.map(Arc::new),
            entrance,
            turns: Default::default(),
            mails: MailMemory::default(),
            undeclared: Default::default(),
        }
    }

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

    /// Bytes of a stored mail, and room for so many copies of them in all; `None` if it is not kept.
    async fn mail(&self, digest: Digest, copies: u64) -> Result<Option<HeldMail>, Problem> {
        let room = self.room_for(digest, copies).await?;
        let raw = self.read(move |store| store.raw(&digest)).await?;
        Ok(raw.map(|raw| room.hold(raw)))
    }

    /// Room for so many copies of a stored mail.
    async fn room_for(&self, digest: Digest, copies: u64) -> Result<Room, Problem> {
        let bytes = self.read(move |store| store.raw_bytes(&digest)).await?.unwrap_or(0);
        self.mails.take(bytes.saturating_mul(copies)).await
    }
}
