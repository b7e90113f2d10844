//! From an endpoint of the configuration to a connection on which we may log in.
//!
//! Architecture invariant: a connection whose security is `Tls` leaves here encrypted; one whose
//! security is `StartTls` is encrypted by the protocol with [`encrypt`] before anything secret.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;

use super::MailboxError;
use crate::core::config::{Endpoint, Login, Security};
use crate::core::sasl::Mechanism;
use crate::faultpoint;
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
    /// What proves that the account is ours.
    pub proof: Proof,
}

/// What proves that an account is ours.
#[derive(Debug)]
pub enum Proof {
    /// A password.
    Password(SecretString),
    /// An access token.
    Token(SecretString),
}

impl<'a> Target<'a> {
    /// Reads what is declared by reference.
    pub fn resolve(
        endpoint: &'a Endpoint,
        login: &Login,
        secrets: &Secrets,
        token: Option<&SecretString>,
    ) -> Result<Target<'a>, MailboxError> {
        let (username, proof) = match login {
            Login::Password { username, password } => {
                (secrets.text(username)?, Proof::Password(secrets.read(password)?))
            }
            Login::None => return Err(MailboxError::Unsupported("a mailbox needs a login")),
            Login::OAuth2 { username, mailbox, .. } => {
                let token = token.ok_or(MailboxError::Unsupported("there is no access token"))?;
                (secrets.text(mailbox.as_ref().unwrap_or(username))?, Proof::Token(token.clone()))
            }
        };
        if username.contains(char::is_control) {
            return Err(MailboxError::Secret("username contains a line break or NUL".into()));
        }
        let (Proof::Password(secret) | Proof::Token(secret)) = &proof;
        if has_line_break(secret.expose_secret()) {
            return Err(MailboxError::Secret("password contains a line break or NUL".into()));
        }
        Ok(Target { endpoint, host: secrets.text(&endpoint.host)?, username, proof })
    }

    /// Connects; encrypts if TLS is declared from the first byte.
    pub async fn connect(&self) -> Result<Stream, MailboxError> {
        let endpoint = self.endpoint;
        faultpoint!("mailbox.at_hand", at_hand: self);
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

    /// What a mechanism of SASL says first, in base64, with this token.
    pub fn initial_response(&self, mechanism: Mechanism, token: &SecretString) -> SecretString {
        let port = self.endpoint.port;
        let token = token.expose_secret();
        let message = mechanism.initial_response(&self.username, &self.host, port, token);
        SecretString::from(STANDARD.encode(message))
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
