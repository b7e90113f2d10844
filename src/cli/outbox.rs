//! `postroom outbox`: mail we owe.

use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;

use super::client::ServerArgs;
use super::page::{self, PageArgs};
use super::{Exit, Failure, output, wait_for};
use crate::http::dto::PageView;
use crate::http::dto::outbox::OutgoingView;

/// Options of `outbox`.
#[derive(Args)]
pub struct OutboxArgs {
    #[command(subcommand)]
    command: OutboxCommand,
}

#[derive(Subcommand)]
enum OutboxCommand {
    /// List owed mails, newest first
    #[command(after_help = "Example:\n  postroom outbox ls --state dead")]
    Ls {
        /// Only those in this state
        #[arg(long)]
        state: Option<Wanted>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Try a mail again now, also one that was given up
    #[command(after_help = "Example:\n  postroom outbox retry 42")]
    Retry {
        /// Identity of the mail
        id: u64,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Give a mail up
    #[command(after_help = "Example:\n  postroom outbox drop 42")]
    Drop {
        /// Identity of the mail
        id: u64,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wanted {
    /// To be tried.
    Due,
    /// Taken by a server.
    Sent,
    /// Given up.
    Dead,
}

/// Lists or changes.
pub fn run(args: OutboxArgs) -> Result<Exit, Failure> {
    match args.command {
        OutboxCommand::Ls { state, page } => {
            let wanted = vec![("state", state.map(|state| state.word().to_owned()))];
            page.show("/api/v1/outbox", wanted, listing)
        }
        OutboxCommand::Retry { id, server } => {
            change(&server, Method::POST, &format!("/api/v1/outbox/{id}/retry"))
        }
        OutboxCommand::Drop { id, server } => {
            change(&server, Method::DELETE, &format!("/api/v1/outbox/{id}"))
        }
    }
}

impl Wanted {
    fn word(self) -> &'static str {
        match self {
            Wanted::Due => "due",
            Wanted::Sent => "sent",
            Wanted::Dead => "dead",
        }
    }
}

fn change(server: &ServerArgs, method: Method, path: &str) -> Result<Exit, Failure> {
    let mail: OutgoingView = wait_for(server.client()?.send(method, path, None))?;
    output::print(&format!("mail {} to {} is {} now\n", mail.id, mail.recipient, mail.state));
    Ok(Exit::Fine)
}

fn listing(page: &PageView<OutgoingView>) -> String {
    let row = |mail: &OutgoingView| {
        vec![
            mail.id.to_string(),
            mail.state.clone(),
            mail.kind.clone(),
            mail.ticket.clone().unwrap_or_else(|| "-".into()),
            mail.recipient.clone(),
            mail.attempts.to_string(),
            output::time(&mail.at),
            mail.error.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = page.items.iter().map(row).collect();
    let head = ["ID", "STATE", "KIND", "TICKET", "TO", "ATTEMPTS", "AT", "ERROR"];
    output::table(&head, &rows) + &page::more(page.next.as_ref())
}
