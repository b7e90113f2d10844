//! `postroom outbox`: mail we owe.

use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;

use super::client::ServerArgs;
use super::page::{self, PageArgs};
use super::{Exit, Failure, output, wait_for};
use crate::http::dto::PageView;
use crate::http::dto::outbox::{OutgoingView, OwedHookView};

/// Options of `outbox`.
#[derive(Args)]
pub struct OutboxArgs {
    #[command(subcommand)]
    command: OutboxCommand,
}

#[derive(Subcommand)]
enum OutboxCommand {
    /// List owed mails, newest first
    #[command(
        after_help = "Examples:\n  postroom outbox ls --state dead\n  postroom outbox ls --webhooks"
    )]
    Ls {
        /// The messages that are owed to webhooks instead
        #[arg(long)]
        webhooks: bool,
        /// Only those in this state
        #[arg(long)]
        state: Option<Wanted>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Try a mail again now, also one that was given up
    #[command(after_help = "Examples:\n  postroom outbox retry 42\n  postroom outbox retry w7")]
    Retry {
        /// Identity of the mail; `w7` is the message 7 to a webhook
        id: Owed,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Give a mail up
    #[command(after_help = "Example:\n  postroom outbox drop 42")]
    Drop {
        /// Identity of the mail; `w7` is the message 7 to a webhook
        id: Owed,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// Something that is owed.
#[derive(Debug, Clone, Copy)]
enum Owed {
    Mail(u64),
    Hook(u64),
}

impl std::str::FromStr for Owed {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Owed, Self::Err> {
        match text.strip_prefix('w') {
            Some(number) => number.parse().map(Owed::Hook),
            None => text.parse().map(Owed::Mail),
        }
    }
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
        OutboxCommand::Ls { webhooks, state, page } => {
            let wanted = vec![("state", state.map(|state| state.word().to_owned()))];
            if webhooks {
                page.show("/api/v1/outbox/webhooks", wanted, hook_listing)
            } else {
                page.show("/api/v1/outbox", wanted, listing)
            }
        }
        OutboxCommand::Retry { id, server } => change(&server, Method::POST, id, "/retry"),
        OutboxCommand::Drop { id, server } => change(&server, Method::DELETE, id, ""),
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

fn change(server: &ServerArgs, method: Method, id: Owed, action: &str) -> Result<Exit, Failure> {
    let client = server.client()?;
    let said = match id {
        Owed::Mail(id) => {
            let path = format!("/api/v1/outbox/{id}{action}");
            let mail: OutgoingView = wait_for(client.send(method, &path, None))?;
            format!("mail {id} to {} is {} now\n", mail.recipient, mail.state)
        }
        Owed::Hook(id) => {
            let path = format!("/api/v1/outbox/webhooks/{id}{action}");
            let hook: OwedHookView = wait_for(client.send(method, &path, None))?;
            format!("message w{id} to {} is {} now\n", hook.webhook, hook.state)
        }
    };
    output::print(&said);
    Ok(Exit::Fine)
}

fn hook_listing(page: &PageView<OwedHookView>) -> String {
    let row = |hook: &OwedHookView| {
        vec![
            format!("w{}", hook.id),
            hook.state.clone(),
            hook.event.clone(),
            hook.ticket.clone().unwrap_or_else(|| "-".into()),
            hook.webhook.clone(),
            hook.attempts.to_string(),
            output::time(&hook.at),
            hook.error.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = page.items.iter().map(row).collect();
    let head = ["ID", "STATE", "EVENT", "TICKET", "TO", "ATTEMPTS", "AT", "ERROR"];
    output::table(&head, &rows) + &page::more(page.next.as_ref())
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
