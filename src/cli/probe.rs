//! `postroom probe`: tries an account or an SMTP server step by step.
//!
//! Architecture invariant: nothing is fetched, deleted or marked; a mail is sent only with
//! `--send`.

use std::path::PathBuf;

use clap::Args;
use hyper::Method;
use jiff::Timestamp;

use super::client::{Client, ServerArgs, segment};
use super::{Exit, Failure, FilesArgs, ProgramsArgs, output, wait_for};
use crate::app::probe::{self, Means, TestMails};
use crate::core::address::Address;
use crate::core::config::{Config, Sender};
use crate::core::outgoing::{Delivery, Outgoing, OutgoingId, OutgoingKind};
use crate::http::dto::status::{StatusView, TrialView};

/// Options of `probe`.
#[derive(Args)]
#[command(
    after_help = "Without --daemon it needs no daemon, and no sign-in: it tries what the files declare. What a \
                  person\nhas signed in for is tried by the daemon, which keeps the tokens.\n\n\
                  Examples:\n  postroom probe support -c config/\n  \
                  postroom probe relay --send me@example.com -c config/\n  \
                  postroom probe support --daemon"
)]
pub struct ProbeArgs {
    /// Name of a mail account or of an SMTP server
    #[arg(value_name = "ACCOUNT|SMTP")]
    name: String,
    /// Send two test mails to this address through the SMTP server, one with the null sender
    #[arg(long, value_name = "ADDRESS", conflicts_with = "daemon")]
    send: Option<String>,
    /// Have the running daemon try it, as it knows it and with the sign-ins it keeps
    #[arg(long)]
    daemon: bool,
    /// Configuration file, or directory read recursively for *.yaml and *.yml; may be repeated
    #[arg(
        short,
        long,
        value_name = "PATH",
        env = "POSTROOM_CONFIG",
        required_unless_present = "daemon"
    )]
    config: Vec<PathBuf>,
    /// Directory in which `{secret: NAME}` is looked for
    #[arg(long, value_name = "DIR", env = "POSTROOM_SECRETS_DIR")]
    secrets_dir: Option<PathBuf>,
    #[command(flatten)]
    programs: ProgramsArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// Tries and says each step.
pub fn run(args: ProbeArgs) -> Result<Exit, Failure> {
    if args.daemon {
        let client = args.server.client()?;
        return report(wait_for(by_daemon(&client, &args.name))?);
    }
    let files = FilesArgs { config: args.config, secrets_dir: args.secrets_dir };
    let config = match files.load_valid() {
        Ok(config) => config,
        Err(exit) => return Ok(exit),
    };
    let means = Means::of_command(config.clone(), files.secrets(), args.programs.permitted());
    if let Some(account) = config.accounts.get(&args.name) {
        if args.send.is_some() {
            let message = format!("{:?} is a mail account; --send needs an SMTP server", args.name);
            return Err(Failure::new(message).exit(Exit::Usage));
        }
        let tried = async { Ok(probe::account(account, &means).await) };
        return report(wait_for(tried)?.into());
    }
    if let Some(server) = config.smtp.get(&args.name) {
        let mails = args.send.as_deref().map(|to| test_mails(&config, to)).transpose()?;
        let tried = async { Ok(probe::server(server, mails.as_ref(), &means).await) };
        return report(wait_for(tried)?.into());
    }
    let known = config.accounts.keys().chain(config.smtp.keys()).map(String::as_str);
    Err(unknown(&args.name, known))
}

/// The daemon tries what runs under this name.
async fn by_daemon(client: &Client, name: &str) -> Result<TrialView, Failure> {
    let running: StatusView = client.get("/api/v1/status").await?;
    let found = running.objects.iter().find(|object| object.name == name);
    let Some(found) = found else {
        return Err(unknown(name, running.objects.iter().map(|object| object.name.as_str())));
    };
    let kind = if found.kind == "smtp" { "servers" } else { "accounts" };
    client.send(Method::POST, &format!("/api/v1/{kind}/{}/test", segment(name)), None).await
}

/// Says each step, and what failed.
fn report(trial: TrialView) -> Result<Exit, Failure> {
    for step in &trial.steps {
        let (name, said) = step.split_once(": ").unwrap_or(("", step));
        let mark = if name == probe::ADVICE { "--" } else { "ok" };
        output::print(&format!("{mark}  {name:<9} {}\n", output::clean(said)));
    }
    match trial.failed {
        None => Ok(Exit::Fine),
        Some(failed) => Err(Failure::new(failed).hint(trial.hint.unwrap_or_default())),
    }
}

/// Two mails from the first declared sender to this address.
fn test_mails(config: &Config, to: &str) -> Result<TestMails, Failure> {
    let usage = |message: String| Failure::new(message).exit(Exit::Usage);
    let recipient =
        Address::parse(to).ok_or_else(|| usage(format!("{to:?} is not a mail address")))?;
    let sender = config.senders.get("default").or_else(|| config.senders.values().next());
    let sender = sender.ok_or_else(|| usage("--send needs a declared sender".into()))?;
    Ok(TestMails {
        answer: test_mail(sender, &recipient, Some(sender.return_path()))?,
        automatic: test_mail(sender, &recipient, None)?,
    })
}

fn test_mail(
    sender: &Sender,
    recipient: &Address,
    envelope_from: Option<&Address>,
) -> Result<Outgoing, Failure> {
    let now = Timestamp::now();
    let message_id = format!("probe-{}@{}", now.as_nanosecond(), sender.from.domain());
    let date = jiff::fmt::rfc2822::to_string(&now.to_zoned(jiff::tz::TimeZone::UTC))
        .map_err(|error| Failure::new(format!("could not write the date: {error}")))?;
    let how = match envelope_from {
        Some(address) => format!("the envelope sender {address}"),
        None => "the null envelope sender, as automatic mail".to_owned(),
    };
    // RFC 5322 section 3.6; RFC 3834 section 5 for Auto-Submitted.
    let raw = format!(
        "From: <{from}>\r\nTo: <{recipient}>\r\nSubject: Postroom probe\r\nDate: {date}\r\n\
         Message-ID: <{message_id}>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\r\n\
         This mail was sent by `postroom probe` with {how}.\r\n",
        from = sender.from,
    );
    Ok(Outgoing {
        id: OutgoingId(0),
        ticket: None,
        kind: OutgoingKind::Reply,
        sender: sender.name.clone(),
        envelope_from: envelope_from.cloned(),
        recipient: recipient.clone(),
        message_id,
        raw: raw.into_bytes(),
        created: now,
        delivery: Delivery::Due { attempts: 0, at: now, last_error: None, doubt: None },
    })
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let known: Vec<&str> = known.collect();
    Failure::new(format!("there is no mail account or SMTP server {name:?}"))
        .hint(format!("declared are {}", known.join(", ")))
        .exit(Exit::Usage)
}
