//! What a mail says about ticket, article and people: everything a template can name.
//!
//! Architecture invariant: every text from outside is clean and bounded here already, so that a
//! template, which is written by the administrator, can put it anywhere.

use serde::Serialize;

use super::{clean, texts};
use crate::core::address::Address;
use crate::core::config::{Config, Language};
use crate::core::ticket::{Article, Ticket};

/// Characters of a foreign subject in an automatic answer: enough to recognise one's own mail,
/// too few to be of use to somebody who writes in another's name.
const TITLE_IN_ANSWER_CHARS_MAX: usize = 60;
/// Characters of an article in a mail about it.
const EXCERPT_CHARS_MAX: usize = 2_000;
/// Lines of an article in a mail about it.
const EXCERPT_LINES_MAX: usize = 40;

/// Everything a template can name.
#[derive(Debug, Clone, Serialize)]
pub struct Page<'a> {
    /// The ticket.
    pub ticket: TicketWords<'a>,
    /// Whose case it is.
    pub customer: Person<'a>,
    /// The article that the mail is about; all empty if there is none.
    pub article: ArticleWords<'a>,
    /// This desk.
    pub desk: DeskWords<'a>,
    /// Who gets the mail.
    pub recipient: Person<'a>,
    /// Why the recipient is told, in his language; empty in an automatic answer.
    pub role: String,
    /// Where in the configuration the recipient asks for it; empty if he asks nowhere.
    pub rule: String,
    /// Label of the event; empty in an automatic answer.
    pub event: &'a str,
}

/// What a template can name of the ticket.
#[derive(Debug, Clone, Serialize)]
pub struct TicketWords<'a> {
    /// Its number.
    pub number: &'a str,
    /// Its title.
    pub title: String,
    /// Its queue.
    pub queue: &'a str,
    /// Its state, in the recipient's language.
    pub state: &'a str,
    /// Its priority, as labelled.
    pub priority: &'a str,
    /// Display name of its owner; empty if it has none.
    pub owner: &'a str,
    /// Display name of the responsible agent; empty if it has none.
    pub responsible: &'a str,
    /// Addresses that mail could not be delivered to, parted by commas.
    pub undeliverable: String,
}

/// What a template can name of an article.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ArticleWords<'a> {
    /// Who wrote it; says so in words if an agent's address in From is not verified.
    pub from: String,
    /// Its subject.
    pub subject: String,
    /// The beginning of its text.
    pub text: String,
    /// The same, each line marked with `> `.
    pub quoted: String,
    /// What it is, as labelled in the API.
    pub kind: &'a str,
}

/// What a template can name of a person.
#[derive(Debug, Clone, Serialize)]
pub struct Person<'a> {
    /// Display name, else the address.
    pub name: String,
    /// Address.
    pub address: &'a str,
}

/// What a template can name of the desk.
#[derive(Debug, Clone, Serialize)]
pub struct DeskWords<'a> {
    /// Its name.
    pub name: &'a str,
}

/// The page for a mail about a ticket, and perhaps about one of its articles.
pub fn of<'a>(
    config: &'a Config,
    language: Language,
    ticket: &'a Ticket,
    article: Option<&'a Article>,
    recipient: Person<'a>,
) -> Page<'a> {
    let customer = ticket.customer.as_ref().map(|customer| &customer.address);
    Page {
        ticket: TicketWords {
            number: &ticket.number,
            title: clean::line(&ticket.title, clean::LINE_CHARS_MAX),
            queue: &ticket.queue,
            state: texts::state(language, ticket.state),
            priority: ticket.priority.label(),
            owner: agent_name(config, ticket.owner.as_deref()),
            responsible: agent_name(config, ticket.responsible.as_deref()),
            undeliverable: list(ticket.undeliverable.iter()),
        },
        customer: Person {
            name: customer.map_or_else(String::new, |address| customer_name(ticket, address)),
            address: customer.map_or("", Address::as_str),
        },
        article: article.map(|one| article_words(language, one)).unwrap_or_default(),
        desk: DeskWords { name: &config.desk.name },
        recipient,
        role: String::new(),
        rule: String::new(),
        event: "",
    }
}

fn article_words(language: Language, article: &Article) -> ArticleWords<'_> {
    let text = excerpt(&article.text);
    let mut from = clean::line(&article.from, clean::LINE_CHARS_MAX);
    if article.verified == Some(false) {
        from = format!("{from} ({})", texts::not_verified(language));
    }
    ArticleWords {
        from,
        subject: clean::line(&article.subject, clean::LINE_CHARS_MAX),
        quoted: quoted(&text),
        text,
        kind: texts::article_kind(article.kind),
    }
}

impl Page<'_> {
    /// Anybody can make us write to anybody by forging a From. What he wrote goes out cut and
    /// with dead links, so that nobody has a use for that.
    pub fn make_harmless(&mut self) {
        self.ticket.title =
            clean::defanged(&clean::line(&self.ticket.title, TITLE_IN_ANSWER_CHARS_MAX));
        for name in [&mut self.customer.name, &mut self.recipient.name] {
            *name = clean::defanged(&clean::line(name, clean::NAME_CHARS_MAX));
        }
        let article = &mut self.article;
        article.subject =
            clean::defanged(&clean::line(&article.subject, TITLE_IN_ANSWER_CHARS_MAX));
        article.from = clean::defanged(&article.from);
        article.text = clean::defanged(&article.text);
        article.quoted = clean::defanged(&article.quoted);
    }
}

/// The beginning of a text, without blank lines at either end.
pub(super) fn excerpt(text: &str) -> String {
    let text = clean::block(text.trim_start(), EXCERPT_CHARS_MAX);
    let mut lines: Vec<&str> = text.lines().take(EXCERPT_LINES_MAX + 1).collect();
    if lines.len() > EXCERPT_LINES_MAX {
        lines[EXCERPT_LINES_MAX] = "…";
    }
    lines.join("\n").trim_end().to_owned()
}

fn quoted(text: &str) -> String {
    text.lines()
        .map(|line| format!("> {line}").trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

fn list<'a>(addresses: impl Iterator<Item = &'a Address>) -> String {
    addresses.map(Address::as_str).collect::<Vec<_>>().join(", ")
}

/// Display name of an agent who may have been removed since.
fn agent_name<'a>(config: &'a Config, name: Option<&'a str>) -> &'a str {
    let full_name = |name| config.users.get(name).map(|user| user.full_name.as_str());
    match name {
        None => "",
        Some(name) => full_name(name).filter(|full| !full.is_empty()).unwrap_or(name),
    }
}

/// Name of the person behind an address, as far as the ticket knows; else the address.
pub fn customer_name(ticket: &Ticket, address: &Address) -> String {
    let customer = ticket.customer.as_ref().filter(|customer| customer.address == *address);
    let name = customer.map(|customer| clean::line(&customer.name, clean::NAME_CHARS_MAX));
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| address.to_string())
}

/// A page with sample values for everything that can be named.
pub fn sample() -> Page<'static> {
    Page {
        ticket: TicketWords {
            number: "2026112210000018",
            title: "Printer broken".into(),
            queue: "support",
            state: "new",
            priority: "3 normal",
            owner: "Alice",
            responsible: "Bob",
            undeliverable: "eve@customer.example".into(),
        },
        customer: Person { name: "Eve Example".into(), address: "eve@customer.example" },
        article: ArticleWords {
            from: "Eve Example <eve@customer.example>".into(),
            subject: "Printer broken".into(),
            text: "It does not print.".into(),
            quoted: "> It does not print.".into(),
            kind: "mailIn",
        },
        desk: DeskWords { name: "Helpdesk" },
        recipient: Person { name: "Alice".into(), address: "alice@example.com" },
        role: "owner".into(),
        rule: "users.alice.subscriptions.events.ticketCreated".into(),
        event: "ticketCreated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(excerpt(text), expected);
    }

    #[test]
    fn excerpts_are_bounded_both_ways() {
        check("\r\n a\r\nb\r\n\r\n", "a\nb");
        check(&"x\n".repeat(41), &("x\n".repeat(40) + "…"));
        check(&"x\n".repeat(40), "x\n".repeat(40).trim_end());
        check(&"y".repeat(3_000), &("y".repeat(2_000) + "…"));
    }

    #[test]
    fn quotes_mark_every_line() {
        assert_eq!(quoted("a\n\nb"), "> a\n>\n> b");
        assert_eq!(quoted(""), "");
    }
}
