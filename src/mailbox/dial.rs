//! From an endpoint of the configuration to a connection on which we may log in.
//!
//! Architecture invariant: a connection whose security is `Tls` leaves here encrypted; one whose
//! security is `StartTls` is encrypted by the protocol with [`encrypt`] before anything secret.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;

use super::MailboxError;
use crate::core::config::{Endpoint, Login, Security};
use crate::net::{self, NetError, Stream};
use crate::secret::{SecretError, Secrets};

/// Where to log in, with all references read.
#[derive(Debug)]
pub struct Target<'a> {
    /// As declared.
    pub endpoint: &'a Endpoint,
    /// Its host.
    pub host: String,
    /// Account name.
    pub username: String,
    /// Password.
    pub password: SecretString,
}

impl<'a> Target<'a> {
    /// Reads what is declared by reference.
    pub fn resolve(
        endpoint: &'a Endpoint,
        login: &Login,
        secrets: &Secrets,
    ) -> Result<Target<'a>, MailboxError> {
        let (username, password) = match login {
            Login::Password { username, password } => {
                (secrets.text(username)?, secrets.read(password)?)
            }
            Login::None => return Err(MailboxError::Unsupported("a mailbox needs a login")),
            Login::OAuth2 { .. } => {
                return Err(MailboxError::Unsupported("this build cannot log in with OAuth2"));
            }
        };
        if has_line_break(&username) {
            return Err(MailboxError::Secret("username contains a line break or NUL".into()));
        }
        if has_line_break(password.expose_secret()) {
            return Err(MailboxError::Secret("password contains a line break or NUL".into()));
        }
        Ok(Target { endpoint, host: secrets.text(&endpoint.host)?, username, password })
    }

    /// Connects; encrypts if TLS is declared from the first byte.
    pub async fn connect(&self) -> Result<Stream, MailboxError> {
        let endpoint = self.endpoint;
        let stream = net::connect(&self.host, endpoint.port, endpoint.connect_timeout).await?;
        match endpoint.security {
            Security::Plain | Security::StartTls => Ok(Stream::Plain(stream)),
            Security::Tls => self.encrypt(stream).await,
        }
    }

    /// Encrypts a connection.
    pub async fn encrypt(&self, stream: TcpStream) -> Result<Stream, MailboxError> {
        Ok(net::encrypt(stream, &self.host, &self.endpoint.tls, self.timeout()).await?)
    }

    /// Time for each step.
    pub fn timeout(&self) -> Duration {
        self.endpoint.timeout
    }
}

/// What would end a command early, so that the rest is read as another one.
fn has_line_break(text: &str) -> bool {
    text.contains(['\r', '\n', '\0'])
}

impl From<SecretError> for MailboxError {
    fn from(error: SecretError) -> MailboxError {
        MailboxError::Secret(error.to_string())
    }
}

impl From<NetError> for MailboxError {
    fn from(error: NetError) -> MailboxError {
        let message = error.to_string();
        match error {
            NetError::Connect(host, cause) => MailboxError::Connect(format!("{host}: {cause}")),
            NetError::ConnectTimeout(host, within) => {
                MailboxError::Connect(format!("{host}: no answer within {within:?}"))
            }
            NetError::Certificate(..) => MailboxError::Tls { reason: "certificate", message },
            NetError::Handshake(..) => MailboxError::Tls { reason: "handshake", message },
            NetError::Files(..) => MailboxError::Tls { reason: "files", message },
        }
    }
}
