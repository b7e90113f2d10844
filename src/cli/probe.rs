//! `postroom probe`: tries an account or an SMTP server step by step.
//!
//! Architecture invariant: nothing is fetched, deleted or marked; a mail is sent only with
//! `--send`.

use clap::Args;
use jiff::Timestamp;

use super::{Exit, Failure, FilesArgs, output, wait_for};
use crate::core::address::Address;
use crate::core::config::{Account, Config, SmtpServer};
use crate::core::outgoing::{Attempt, Delivery, Outgoing, OutgoingId, OutgoingKind};
use crate::mailbox::{self, MailboxError};
use crate::secret::Secrets;
use crate::transport;

/// Options of `probe`.
#[derive(Args)]
#[command(after_help = "Examples:\n  postroom probe support -c config/\n  \
                        postroom probe relay --send me@example.com -c config/")]
pub struct ProbeArgs {
    /// Name of a mail account or of an SMTP server
    #[arg(value_name = "ACCOUNT|SMTP")]
    name: String,
    /// Send a test mail to this address through the SMTP server
    #[arg(long, value_name = "ADDRESS")]
    send: Option<String>,
    #[command(flatten)]
    files: FilesArgs,
}

/// Tries and says each step.
pub fn run(args: ProbeArgs) -> Result<Exit, Failure> {
    let config = match args.files.load_valid() {
        Ok(config) => config,
        Err(exit) => return Ok(exit),
    };
    let secrets = args.files.secrets();
    if let Some(account) = config.accounts.get(&args.name) {
        if args.send.is_some() {
            let message = format!("{:?} is a mail account; --send needs an SMTP server", args.name);
            return Err(Failure::new(message).exit(Exit::Usage));
        }
        return wait_for(probe_account(account, &secrets)).map(|()| Exit::Fine);
    }
    if let Some(server) = config.smtp.get(&args.name) {
        let mail = args.send.as_deref().map(|to| test_mail(&config, to)).transpose()?;
        return wait_for(probe_server(server, mail, &secrets)).map(|()| Exit::Fine);
    }
    Err(unknown(&config, &args.name))
}

async fn probe_account(account: &Account, secrets: &Secrets) -> Result<(), Failure> {
    let opened = mailbox::open(account, secrets, None).await;
    let mut mailbox = opened.map_err(|error| {
        steps_before(&error).iter().for_each(|what| step(what));
        account_failed(&error)
    })?;
    step("connected, logged in, folder opened");
    let listing = mailbox.list().await.map_err(|error| account_failed(&error))?;
    let bytes: u64 = listing.entries.iter().filter_map(|entry| entry.size_bytes).sum();
    step(&format!("{} messages, {bytes} bytes", listing.entries.len()));
    step(if mailbox.can_wait() { "the server tells of news (IDLE)" } else { "polled, no IDLE" });
    mailbox.close().await.map_err(|error| account_failed(&error))
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
fn account_failed(error: &MailboxError) -> Failure {
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
        MailboxError::Login(_) => "are `username` and the secret behind `password` right?",
        MailboxError::Secret(_) => "secrets of `{secret: NAME}` lie in the directory --secrets-dir",
        MailboxError::Folder(_) => "is `folder` written as the server names it?",
        MailboxError::Timeout(_) | MailboxError::Lost(_) => "does the type fit the port?",
        MailboxError::Refused { .. }
        | MailboxError::Busy { .. }
        | MailboxError::Protocol(_)
        | MailboxError::Unsupported(_) => "",
    };
    Failure::new(said).hint(hint)
}

fn server_failed(attempt: &Attempt) -> Failure {
    let Attempt::ServerDown { cause, message } = attempt else {
        return Failure::new(said(attempt));
    };
    let hint = match *cause {
        "connect" => "are `host` and `port` right, and does a firewall let us out?",
        "tls" => "does the type fit the port? 465 speaks TLS at once (smtps), 587 later (smtptls)",
        "auth" => "are `auth.username` and the secret behind `auth.password` right?",
        "timeout" | "protocol" => "does the type fit the port?",
        _ => "",
    };
    Failure::new(message).hint(hint)
}

async fn probe_server(
    server: &SmtpServer,
    mail: Option<Outgoing>,
    secrets: &Secrets,
) -> Result<(), Failure> {
    let mut connection =
        transport::open(server, secrets, None).await.map_err(|attempt| server_failed(&attempt))?;
    step("connected and ready to send");
    if let Some(mail) = mail {
        match connection.send(&mail).await {
            Attempt::Sent => step(&format!("a mail to {} was taken", mail.recipient)),
            attempt => {
                let message = format!("could not send to {}: {}", mail.recipient, said(&attempt));
                return Err(Failure::new(message));
            }
        }
    }
    connection.close().await;
    Ok(())
}

fn said(attempt: &Attempt) -> String {
    match attempt {
        Attempt::Sent => "taken".into(),
        Attempt::Temporary(words) => format!("refused for now: {words}"),
        Attempt::Permanent(words) => format!("refused for good: {words}"),
        Attempt::ServerDown { cause, message } => format!("{cause}: {message}"),
    }
}

/// A mail from the first declared sender to this address.
fn test_mail(config: &Config, to: &str) -> Result<Outgoing, Failure> {
    let usage = |message: String| Failure::new(message).exit(Exit::Usage);
    let recipient =
        Address::parse(to).ok_or_else(|| usage(format!("{to:?} is not a mail address")))?;
    let sender = config.senders.get("default").or_else(|| config.senders.values().next());
    let sender = sender.ok_or_else(|| usage("--send needs a declared sender".into()))?;
    let now = Timestamp::now();
    let message_id = format!("probe-{}@{}", now.as_nanosecond(), sender.from.domain());
    let date = jiff::fmt::rfc2822::to_string(&now.to_zoned(jiff::tz::TimeZone::UTC))
        .map_err(|error| Failure::new(format!("could not write the date: {error}")))?;
    // RFC 5322 section 3.6; RFC 3834 section 5 for Auto-Submitted.
    let raw = format!(
        "From: <{from}>\r\nTo: <{recipient}>\r\nSubject: Postroom probe\r\nDate: {date}\r\n\
         Message-ID: <{message_id}>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\r\n\
         This mail was sent by `postroom probe`.\r\n",
        from = sender.from,
    );
    Ok(Outgoing {
        id: OutgoingId(0),
        ticket: None,
        kind: OutgoingKind::Reply,
        sender: sender.name.clone(),
        envelope_from: Some(sender.envelope_from.clone().unwrap_or_else(|| sender.from.clone())),
        recipient,
        message_id,
        raw: raw.into_bytes(),
        created: now,
        delivery: Delivery::Due { attempts: 0, at: now, last_error: None },
    })
}

fn unknown(config: &Config, name: &str) -> Failure {
    let known: Vec<&str> =
        config.accounts.keys().chain(config.smtp.keys()).map(String::as_str).collect();
    Failure::new(format!("there is no mail account or SMTP server {name:?}"))
        .hint(format!("declared are {}", known.join(", ")))
        .exit(Exit::Usage)
}

fn step(what: &str) {
    output::print(&format!("ok  {}\n", output::clean(what)));
}
