//! `postroom quarantine`: mails kept for a person to look at.

use clap::{Args, Subcommand};
use hyper::Method;

use super::client::ServerArgs;
use super::output::{Format, clean};
use super::page::PageArgs;
use super::{Exit, Failure, mails, output, wait_for};
use crate::http::dto::mail::ReleasedView;
use crate::http::dto::status::DoneView;

/// Options of `quarantine`.
#[derive(Args)]
pub struct QuarantineArgs {
    #[command(subcommand)]
    command: QuarantineCommand,
}

#[derive(Subcommand)]
enum QuarantineCommand {
    /// List quarantined mails, newest first
    #[command(after_help = "Example:\n  postroom quarantine ls")]
    Ls {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show why a mail is there
    #[command(after_help = "Example:\n  postroom quarantine show 42 --raw > mail.eml")]
    Show {
        /// Identity of the mail
        id: u64,
        /// Write the bytes of the mail instead
        #[arg(long)]
        raw: bool,
        #[command(flatten)]
        server: ServerArgs,
        /// How to write the answer
        #[arg(long, value_name = "FORMAT", default_value = "human")]
        format: Format,
    },
    /// Judge a mail again and let it go on
    #[command(after_help = "Example:\n  postroom quarantine release 42")]
    Release {
        /// Identity of the mail
        id: u64,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Take a mail off the list without releasing it
    #[command(after_help = "Example:\n  postroom quarantine drop 42")]
    Drop {
        /// Identity of the mail
        id: u64,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// Lists, shows or deals with a mail.
pub fn run(args: QuarantineArgs) -> Result<Exit, Failure> {
    match args.command {
        QuarantineCommand::Ls { page } => mails::list("/api/v1/quarantine", &page),
        QuarantineCommand::Show { id, raw: true, server, .. } => {
            let path = format!("/api/v1/quarantine/{id}/raw");
            output::print_bytes(&wait_for(server.client()?.bytes(&path))?);
            Ok(Exit::Fine)
        }
        QuarantineCommand::Show { id, raw: false, server, format } => {
            mails::show(&format!("/api/v1/quarantine/{id}"), &server, format)
        }
        QuarantineCommand::Release { id, server } => release(id, &server),
        QuarantineCommand::Drop { id, server } => {
            let path = format!("/api/v1/quarantine/{id}");
            let done: DoneView = wait_for(server.client()?.send(Method::DELETE, &path, None))?;
            output::print(&format!("{}\n", clean(&done.done)));
            Ok(Exit::Fine)
        }
    }
}

fn release(id: u64, server: &ServerArgs) -> Result<Exit, Failure> {
    let path = format!("/api/v1/quarantine/{id}/release");
    let released: ReleasedView = wait_for(server.client()?.send(Method::POST, &path, None))?;
    match released.reason {
        Some(reason) => Err(Failure::new(format!("mail {id} is quarantined again: {reason}"))),
        None => {
            output::print(&format!("mail {id}: {}\n", clean(&released.outcome)));
            Ok(Exit::Fine)
        }
    }
}
