//! Hands one owed mail to one server and says what came of it.
//!
//! Architecture invariant: nothing in here knows the store or decides whether to try again;
//! `core::outgoing` does.

use crate::core::config::SmtpServer;
use crate::core::outgoing::{Attempt, Outgoing};
use crate::secret::Secrets;

/// An open way to one server. Owned by one task; dropped after [`Attempt::ServerDown`].
pub enum Connection {}

/// Opens a way to a server; the `Err` is always [`Attempt::ServerDown`].
pub async fn open(server: &SmtpServer, secrets: &Secrets) -> Result<Connection, Attempt> {
    let _ = (server, secrets);
    todo!()
}

impl Connection {
    /// Sends one mail to its one recipient.
    pub async fn send(&mut self, mail: &Outgoing) -> Attempt {
        let _ = mail;
        todo!()
    }

    /// Says goodbye; errors do not matter any more.
    pub async fn close(self) {}
}
