//! `postroom mails`: what became of each mail and why.

use clap::{Args, Subcommand};

use super::client::ServerArgs;
use super::output::{Format, clean};
use super::page::{self, PageArgs};
use super::{Exit, Failure, output, wait_for};
use crate::http::dto::PageView;
use crate::http::dto::mail::MailView;

/// Options of `mails`.
#[derive(Args)]
pub struct MailsArgs {
    #[command(subcommand)]
    command: MailsCommand,
}

#[derive(Subcommand)]
enum MailsCommand {
    /// List mails, newest first
    #[command(after_help = "Example:\n  postroom mails ls --limit 20")]
    Ls {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show what became of one mail, step by step
    #[command(after_help = "Example:\n  postroom mails show 42")]
    Show {
        /// Identity in the log
        id: u64,
        #[command(flatten)]
        server: ServerArgs,
        /// How to write the answer
        #[arg(long, value_name = "FORMAT", default_value = "human")]
        format: Format,
    },
}

/// Lists or shows.
pub fn run(args: MailsArgs) -> Result<Exit, Failure> {
    match args.command {
        MailsCommand::Ls { page } => list("/api/v1/mails", &page),
        MailsCommand::Show { id, server, format } => {
            show(&format!("/api/v1/mails/{id}"), &server, format)
        }
    }
}

/// Lists mails at this path.
pub fn list(path: &str, page: &PageArgs) -> Result<Exit, Failure> {
    page.show(path, Vec::new(), listing)
}

/// Shows the mail at this path.
pub fn show(path: &str, server: &ServerArgs, format: Format) -> Result<Exit, Failure> {
    let mail: MailView = wait_for(server.client()?.get(path))?;
    match format {
        Format::Json => output::json(&mail),
        Format::Human => output::print(&shown(&mail)),
    }
    Ok(Exit::Fine)
}

fn listing(page: &PageView<MailView>) -> String {
    let row = |mail: &MailView| {
        vec![
            mail.id.to_string(),
            output::time(&mail.at),
            mail.account.clone(),
            mail.outcome.clone(),
            mail.ticket.clone().unwrap_or_else(|| "-".into()),
            mail.from.clone(),
            mail.subject.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = page.items.iter().map(row).collect();
    let head = ["ID", "AT", "ACCOUNT", "OUTCOME", "TICKET", "FROM", "SUBJECT"];
    output::table(&head, &rows) + &page::more(page.next.as_ref())
}

fn shown(mail: &MailView) -> String {
    let mut text = format!("mail {}: {}\n", mail.id, mail.outcome);
    for (name, value) in [
        ("reason", mail.reason.clone().unwrap_or_default()),
        ("ticket", mail.ticket.clone().unwrap_or_default()),
        ("account", mail.account.clone()),
        ("location", mail.location.clone()),
        ("from", mail.from.clone()),
        ("subject", mail.subject.clone()),
        ("message-id", mail.message_id.clone()),
        ("bytes", mail.bytes.to_string()),
        ("recorded", output::time(&mail.at)),
        ("dealt with", mail.resolved.as_deref().map(output::time).unwrap_or_default()),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("  {name:<12} {}\n", clean(&value)));
        }
    }
    text.push_str("why\n");
    text + &output::why_lines(&mail.why)
}
