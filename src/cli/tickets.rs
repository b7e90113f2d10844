//! `postroom tickets`: lists and shows tickets.

use clap::{Args, Subcommand};

use super::client::{ServerArgs, segment};
use super::output::{Format, clean, clean_lines};
use super::page::{self, PageArgs};
use super::{Exit, Failure, output, wait_for};
use crate::http::dto::PageView;
use crate::http::dto::ticket::{TicketDetail, TicketView};

/// Options of `tickets`.
#[derive(Args)]
pub struct TicketsArgs {
    #[command(subcommand)]
    command: TicketsCommand,
}

#[derive(Subcommand)]
enum TicketsCommand {
    /// List tickets, newest first, or search them
    #[command(after_help = "Examples:\n  postroom tickets ls --queue support --state new,open\n  \
                            postroom tickets ls --query printer --sort updated")]
    Ls {
        /// Only those in this queue
        #[arg(long)]
        queue: Option<String>,
        /// Only those in this state, or in one of several: new,open
        #[arg(long)]
        state: Option<String>,
        /// Only those of this owner; "" for those of nobody
        #[arg(long)]
        owner: Option<String>,
        /// Only those of this customer's address
        #[arg(long)]
        customer: Option<String>,
        /// Only those with all these words in number, title, customer or articles
        #[arg(long)]
        query: Option<String>,
        /// By what to sort: created, updated or priority
        #[arg(long)]
        sort: Option<String>,
        /// Which way: desc or asc
        #[arg(long)]
        order: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one ticket with its articles and history
    #[command(after_help = "Example:\n  postroom tickets show 2026112210000018")]
    Show {
        /// Ticket number
        number: String,
        #[command(flatten)]
        server: ServerArgs,
        /// How to write the answer
        #[arg(long, value_name = "FORMAT", default_value = "human")]
        format: Format,
    },
}

/// Lists or shows.
pub fn run(args: TicketsArgs) -> Result<Exit, Failure> {
    match args.command {
        TicketsCommand::Ls { queue, state, owner, customer, query, sort, order, page } => {
            let wanted = vec![
                ("queue", queue),
                ("state", state),
                ("owner", owner),
                ("customer", customer),
                ("q", query),
                ("sort", sort),
                ("order", order),
            ];
            return page.show("/api/v1/tickets", wanted, listing);
        }
        TicketsCommand::Show { number, server, format } => {
            let path = format!("/api/v1/tickets/{}", segment(&number));
            let detail: TicketDetail = wait_for(server.client()?.get(&path))?;
            match format {
                Format::Json => output::json(&detail),
                Format::Human => output::print(&shown(&detail)),
            }
        }
    }
    Ok(Exit::Fine)
}

fn listing(page: &PageView<TicketView, String>) -> String {
    let row = |ticket: &TicketView| {
        vec![
            ticket.number.clone(),
            ticket.state.clone(),
            ticket.queue.clone(),
            ticket.priority.clone(),
            ticket.owner.clone().unwrap_or_else(|| "-".into()),
            ticket.customer.as_ref().map_or("-".into(), |customer| customer.address.clone()),
            ticket.title.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = page.items.iter().map(row).collect();
    let head = ["NUMBER", "STATE", "QUEUE", "PRIORITY", "OWNER", "CUSTOMER", "TITLE"];
    output::table(&head, &rows) + &page::more(page.next.as_ref())
}

fn shown(detail: &TicketDetail) -> String {
    let ticket = &detail.ticket;
    let mut text = format!("{}  {}\n", ticket.number, clean(&ticket.title));
    let nobody = || "-".to_owned();
    let customer = ticket.customer.as_ref();
    let customer = customer.map_or_else(nobody, |it| format!("{} <{}>", it.name, it.address));
    let locked = if ticket.locked { ", locked" } else { "" };
    let watchers: Vec<&str> = detail.watchers.iter().map(|it| it.who.as_str()).collect();
    for (name, value) in [
        ("state", format!("{}{locked}", ticket.state)),
        ("queue", ticket.queue.clone()),
        ("priority", ticket.priority.clone()),
        ("owner", ticket.owner.clone().unwrap_or_else(nobody)),
        ("responsible", ticket.responsible.clone().unwrap_or_else(nobody)),
        ("customer", customer),
        ("watchers", watchers.join(", ")),
        ("merged into", detail.merged_into.clone().unwrap_or_default()),
        ("links", detail.links.join(", ")),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("  {name:<12} {}\n", clean(&value)));
        }
    }
    for article in &detail.articles {
        let hidden = if article.visible_for_customer { "" } else { " (not for the customer)" };
        let (id, kind, from) = (article.id, &article.kind, clean(&article.from));
        text.push_str(&format!(
            "\n#{id} {kind} of {from} at {}{hidden}\n",
            output::time(&article.created)
        ));
        match article.text.is_empty() && article.kind == "autoReply" {
            true => text.push_str(&format!("automatic answer {:?}\n", clean(&article.subject))),
            false => text.push_str(&format!(
                "{}\n\n{}",
                clean(&article.subject),
                clean_lines(&article.text)
            )),
        }
        for part in &article.attachments {
            let (index, name) = (part.index, clean(&part.name));
            text.push_str(&format!(
                "  [{index}] {name} ({}, {} bytes)\n",
                part.content_type, part.bytes
            ));
        }
    }
    text.push_str("\nhistory\n");
    for event in &detail.events {
        let detail: Vec<String> =
            event.detail.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let line = format!(
            "{} {} {} {}",
            output::time(&event.at),
            event.actor,
            event.event,
            detail.join(" ")
        );
        let why = if event.why.is_empty() { String::new() } else { format!(" ({})", event.why) };
        text.push_str(&format!("  {}{}\n", clean(line.trim_end()), clean(&why)));
    }
    text
}
