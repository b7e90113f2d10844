//! Tries an account or an SMTP server step by step, for `postroom probe` and for the page.
//!
//! Architecture invariant: nothing is fetched, deleted or marked; a mail is sent only if one is
//! given.

use std::sync::Arc;

use secrecy::SecretString;

use crate::core::config::{Account, Config, SmtpServer};
use crate::core::outgoing::{Attempt, Outgoing};
use crate::mailbox::{self, MailboxError};
use crate::metrics::Metrics;
use crate::run::clock::Clock;
use crate::run::tokens::{Holder, TokenParts, Tokens};
use crate::secret::Secrets;
use crate::transport;

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probe {
    /// What worked, in order.
    pub steps: Vec<String>,
    /// What failed then, if anything did.
    pub failed: Option<ProbeFailure>,
}

/// What failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFailure {
    /// In words.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

/// What is needed to log in.
pub struct Means {
    /// What is declared.
    pub config: Arc<Config>,
    /// Where passwords are read.
    pub secrets: Secrets,
    /// Where access tokens come from.
    pub tokens: Tokens,
}

impl Means {
    /// For a command, beside a daemon that may be running: it gets tokens of client credentials.
    /// Those of people are in the daemon's hands; a second one who refreshes would take them away.
    pub fn of_command(config: Config, secrets: Secrets) -> Means {
        let tokens = Tokens::new(TokenParts {
            store: None,
            secrets: secrets.clone(),
            metrics: Metrics::default(),
            clock: Clock::real(),
        });
        Means { config: Arc::new(config), secrets, tokens }
    }

    /// An access token, for one that logs in with it.
    async fn token(
        &self,
        holder: Option<Holder>,
        steps: &mut Vec<String>,
    ) -> Result<Option<SecretString>, ProbeFailure> {
        let Some(holder) = holder else { return Ok(None) };
        let profile = self.config.oauth2.profiles.get(&holder.profile);
        let provider = profile.map_or("", |profile| &profile.provider);
        steps.push(format!("profile {} at provider {provider}", holder.profile));
        match self.tokens.access(&self.config, &holder).await {
            Ok(token) => {
                steps.push("the provider gave an access token".into());
                Ok(Some(token))
            }
            Err(error) => Err(ProbeFailure { message: error.message, hint: error.hint }),
        }
    }
}

/// Connects, logs in, opens the folder, counts.
pub async fn account(account: &Account, means: &Means) -> Probe {
    let mut probe = Probe::default();
    if let Err(failed) = try_account(account, means, &mut probe.steps).await {
        probe.failed = Some(failed);
    }
    probe
}

/// Connects and logs in; sends the mail, if there is one.
pub async fn server(server: &SmtpServer, mail: Option<&Outgoing>, means: &Means) -> Probe {
    let mut probe = Probe::default();
    if let Err(failed) = try_server(server, mail, means, &mut probe.steps).await {
        probe.failed = Some(failed);
    }
    probe
}

async fn try_account(
    account: &Account,
    means: &Means,
    steps: &mut Vec<String>,
) -> Result<(), ProbeFailure> {
    let token = means.token(Holder::of_account(account), steps).await?;
    let opened = mailbox::open(account, &means.secrets, token.as_ref()).await;
    let mut mailbox = opened.map_err(|error| {
        steps.extend(steps_before(&error).iter().map(|&step| step.to_owned()));
        account_failed(&error)
    })?;
    steps.push("connected, logged in, folder opened".into());
    let listing = mailbox.list().await.map_err(|error| account_failed(&error))?;
    let bytes: u64 = listing.entries.iter().filter_map(|entry| entry.size_bytes).sum();
    steps.push(format!("{} messages, {bytes} bytes", listing.entries.len()));
    let waits = mailbox.can_wait();
    let news = if waits { "the server tells of news (IDLE)" } else { "polled, no IDLE" };
    steps.push(news.into());
    mailbox.close().await.map_err(|error| account_failed(&error))
}

async fn try_server(
    server: &SmtpServer,
    mail: Option<&Outgoing>,
    means: &Means,
    steps: &mut Vec<String>,
) -> Result<(), ProbeFailure> {
    let token = means.token(Holder::of_server(server), steps).await?;
    let opened = transport::open(server, &means.secrets, token.as_ref()).await;
    let mut connection = opened.map_err(|attempt| server_failed(&attempt))?;
    steps.push("connected and ready to send".into());
    if let Some(mail) = mail {
        match connection.send(mail).await {
            Attempt::Sent => steps.push(format!("a mail to {} was taken", mail.recipient)),
            attempt => {
                let message = format!("could not send to {}: {}", mail.recipient, said(&attempt));
                return Err(ProbeFailure { message, hint: String::new() });
            }
        }
    }
    connection.close().await;
    Ok(())
}

/// What had worked when this happened.
fn steps_before(error: &MailboxError) -> &'static [&'static str] {
    match error {
        MailboxError::Tls { reason: "files", .. }
        | MailboxError::Connect(_)
        | MailboxError::Secret(_)
        | MailboxError::Unsupported(_) => &[],
        MailboxError::Tls { .. }
        | MailboxError::Protocol(_)
        | MailboxError::Timeout(_)
        | MailboxError::Lost(_) => &["connected"],
        MailboxError::Login(_) => &["connected, encrypted as declared"],
        MailboxError::Folder(_) | MailboxError::Refused { .. } | MailboxError::Busy { .. } => {
            &["connected, logged in"]
        }
    }
}

/// What failed, and what to do about it.
fn account_failed(error: &MailboxError) -> ProbeFailure {
    let said = match error {
        // Its text says already that it is about connecting.
        MailboxError::Connect(text) => text.clone(),
        error => error.to_string(),
    };
    let hint = match error {
        MailboxError::Connect(_) => "are `host` and `port` right, and does a firewall let us out?",
        MailboxError::Tls { reason: "certificate", .. } => {
            "trust the server's own root with `tls: {ca: FILE}`, or set `tls: {serverName: NAME}`"
        }
        MailboxError::Tls { reason: "starttls", .. } => {
            "the server offers no STARTTLS here; is the type ending in `s` meant, with its port?"
        }
        MailboxError::Tls { reason: "files", .. } => "are the paths under `tls` right?",
        MailboxError::Tls { .. } => "does the type fit the port? 993 and 995 speak TLS at once",
        MailboxError::Login(_) => {
            "are `username` and the secret behind `password` right? With a token: may it open this mailbox?"
        }
        MailboxError::Secret(_) => "secrets of `{secret: NAME}` lie in the directory --secrets-dir",
        MailboxError::Folder(_) => "is `folder` written as the server names it?",
        MailboxError::Timeout(_) | MailboxError::Lost(_) => "does the type fit the port?",
        MailboxError::Refused { .. }
        | MailboxError::Busy { .. }
        | MailboxError::Protocol(_)
        | MailboxError::Unsupported(_) => "",
    };
    ProbeFailure { message: said, hint: hint.to_owned() }
}

fn server_failed(attempt: &Attempt) -> ProbeFailure {
    let Attempt::ServerDown { cause, message } = attempt else {
        return ProbeFailure { message: said(attempt), hint: String::new() };
    };
    let hint = match *cause {
        "connect" => "are `host` and `port` right, and does a firewall let us out?",
        "tls" => "does the type fit the port? 465 speaks TLS at once (smtps), 587 later (smtptls)",
        "auth" => "are `auth.username` and the secret behind `auth.password` right?",
        "timeout" | "protocol" => "does the type fit the port?",
        _ => "",
    };
    ProbeFailure { message: message.clone(), hint: hint.to_owned() }
}

fn said(attempt: &Attempt) -> String {
    match attempt {
        Attempt::Sent => "taken".into(),
        Attempt::Temporary(words) => format!("refused for now: {words}"),
        Attempt::Permanent(words) => format!("refused for good: {words}"),
        Attempt::ServerDown { cause, message } => format!("{cause}: {message}"),
    }
}
