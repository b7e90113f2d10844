//! `postroom probe`: tries an account or an SMTP server step by step.
//!
//! Architecture invariant: nothing is fetched, deleted or marked; a mail is sent only with
//! `--send`.

use clap::Args;
use jiff::Timestamp;

use super::{Exit, Failure, FilesArgs, output, wait_for};
use crate::app::probe::{self, Means, Probe};
use crate::core::address::Address;
use crate::core::config::Config;
use crate::core::outgoing::{Delivery, Outgoing, OutgoingId, OutgoingKind};

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
    let means = Means::of_command(config.clone(), args.files.secrets());
    if let Some(account) = config.accounts.get(&args.name) {
        if args.send.is_some() {
            let message = format!("{:?} is a mail account; --send needs an SMTP server", args.name);
            return Err(Failure::new(message).exit(Exit::Usage));
        }
        let tried = async { Ok(probe::account(account, &means).await) };
        return report(wait_for(tried)?);
    }
    if let Some(server) = config.smtp.get(&args.name) {
        let mail = args.send.as_deref().map(|to| test_mail(&config, to)).transpose()?;
        let tried = async { Ok(probe::server(server, mail.as_ref(), &means).await) };
        return report(wait_for(tried)?);
    }
    Err(unknown(&config, &args.name))
}

/// Says each step, and what failed.
fn report(probe: Probe) -> Result<Exit, Failure> {
    for step in &probe.steps {
        output::print(&format!("ok  {:<9} {}\n", step.name, output::clean(&step.said)));
    }
    match probe.failed {
        None => Ok(Exit::Fine),
        Some(failed) => {
            let message = format!("{}: {}", failed.step, failed.message);
            Err(Failure::new(message).hint(failed.hint))
        }
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
