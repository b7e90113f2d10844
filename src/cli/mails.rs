//! `postroom mails`: what became of each mail and why.

use clap::{Args, Subcommand};

use super::client::{ServerArgs, query};
use super::output::{Format, clean};
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
        /// Rows, at most 200
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Where to go on: the number printed under a full page
        #[arg(long)]
        cursor: Option<u64>,
        #[command(flatten)]
        server: ServerArgs,
        /// How to write the answer
        #[arg(long, value_name = "FORMAT", default_value = "human")]
        format: Format,
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
        MailsCommand::Ls { limit, cursor, server, format } => {
            list("/api/v1/mails", limit, cursor, &server, format)
        }
        MailsCommand::Show { id, server, format } => {
            show(&format!("/api/v1/mails/{id}"), &server, format)
        }
    }
}

/// Lists mails at this path.
pub fn list(
    path: &str,
    limit: usize,
    cursor: Option<u64>,
    server: &ServerArgs,
    format: Format,
) -> Result<Exit, Failure> {
    let cursor = cursor.map(|cursor| cursor.to_string());
    let path = query(path, &[("limit", Some(limit.to_string())), ("cursor", cursor)]);
    let page: PageView<MailView> = wait_for(server.client()?.get(&path))?;
    match format {
        Format::Json => output::json(&page),
        Format::Human => output::print(&listing(&page)),
    }
    Ok(Exit::Fine)
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

/// The line under a page that is not the last.
pub fn more(next: Option<u64>) -> String {
    next.map(|next| format!("more with --cursor {next}\n")).unwrap_or_default()
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
    output::table(&head, &rows) + &more(page.next)
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
