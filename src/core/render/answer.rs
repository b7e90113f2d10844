//! What stands around an agent's answer: salutation and signature of the queue, in the language of
//! the customer.
//!
//! Architecture invariant: the text of the answer is a value, never part of the template, and a
//! template that fails costs nobody the answer: it goes out as it was written.

use serde::Serialize;

use super::page::{self, Page, Person};
use super::template;
use super::{clean, in_language};
use crate::core::config::{Config, Language};
use crate::core::ticket::Ticket;

/// Stands for the text where a template is only tried. No template can hold it by itself.
const MARK: &str = "\u{1}text\u{1}";

/// Everything the template of an answer can name.
#[derive(Serialize)]
struct AnswerPage<'a> {
    #[serde(flatten)]
    page: Page<'a>,
    /// What the agent wrote.
    text: &'a str,
    /// Who wrote it.
    agent: AgentWords<'a>,
}

/// What a template can name of the agent.
#[derive(Serialize)]
struct AgentWords<'a> {
    /// Display name.
    name: &'a str,
}

/// An answer by an agent of this name, with what the ticket's queue puts around it.
pub fn answer(
    config: &Config,
    ticket: &Ticket,
    language: Language,
    agent: &str,
    text: &str,
) -> String {
    around(config, ticket, language, agent, text).unwrap_or_else(|| text.to_owned())
}

/// What the ticket's queue puts before and after an answer; both empty if nothing.
pub fn surroundings(
    config: &Config,
    ticket: &Ticket,
    language: Language,
    agent: &str,
) -> (String, String) {
    let whole = around(config, ticket, language, agent, MARK).unwrap_or_default();
    let parts = whole.split_once(MARK).unwrap_or_default();
    (parts.0.to_owned(), parts.1.to_owned())
}

fn around(
    config: &Config,
    ticket: &Ticket,
    language: Language,
    agent: &str,
    text: &str,
) -> Option<String> {
    let texts = &config.queues.get(&ticket.queue)?.answer;
    let template = in_language(texts, config, language)?;
    let address = ticket.customer.as_ref().map_or("", |customer| customer.answer_to().as_str());
    let name = ticket.customer.as_ref().map(|customer| customer.name.as_str());
    let name = name.filter(|name| !name.trim().is_empty()).unwrap_or(address);
    let recipient = Person { name: clean::line(name, clean::NAME_CHARS_MAX), address };
    let page = page::of(config, language, ticket, None, recipient);
    let filled = fill(template, page, agent, text).ok()?;
    // One that leaves the text out was refused when it was read.
    filled.contains(text).then(|| filled.trim_matches('\n').to_owned())
}

fn fill(template: &str, page: Page<'_>, agent: &str, text: &str) -> Result<String, String> {
    let agent = clean::line(agent, clean::NAME_CHARS_MAX);
    template::fill(template, &AnswerPage { page, text, agent: AgentWords { name: &agent } })
}

/// Tries the template of an answer with sample values; `Err` says what is wrong with it.
///
/// It may name `text` and `agent.name` besides what every template may name.
pub fn try_answer(source: &str) -> Result<(), String> {
    let filled = fill(source, page::sample(), "Alice", MARK)?;
    match filled.matches(MARK).count() {
        1 => Ok(()),
        0 => Err("it leaves out {{ text }}, where the answer goes".into()),
        _ => Err("it has {{ text }} more than once".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ticket::samples::{config, ticket};
    use Language::{En, Ja};

    fn with(texts: &[(Language, &str)]) -> Config {
        let mut config = config();
        let texts = texts.iter().map(|(language, text)| (*language, (*text).to_owned()));
        config.queues.get_mut("support").unwrap().answer = texts.collect();
        config
    }

    const ENGLISH: &str =
        "Dear {{ customer.name }},\n\n{{ text }}\n\n{{ agent.name }}, {{ desk.name }}\n";
    const JAPANESE: &str = "{{ customer.name }} 様\n\n{{ text }}\n\n{{ agent.name }}";

    #[track_caller]
    fn check(texts: &[(Language, &str)], language: Language, expected: &str) {
        let config = with(texts);
        assert_eq!(answer(&config, &ticket(), language, "Alice", "It works."), expected);
    }

    #[test]
    fn the_customers_language_then_the_desks_then_any() {
        let desk = config().desk.name;
        let english = format!("Dear Eve Example,\n\nIt works.\n\nAlice, {desk}");
        check(&[(En, ENGLISH), (Ja, JAPANESE)], En, &english);
        check(&[(En, ENGLISH), (Ja, JAPANESE)], Ja, "Eve Example 様\n\nIt works.\n\nAlice");
        check(&[(Ja, JAPANESE)], En, "Eve Example 様\n\nIt works.\n\nAlice");
        check(&[], En, "It works.");
    }

    #[test]
    fn what_an_agent_writes_is_no_template() {
        let config = with(&[(En, ENGLISH)]);
        let sent = answer(&config, &ticket(), En, "Alice", "{{ desk.name }}{% for %}");
        assert!(sent.contains("\n\n{{ desk.name }}{% for %}\n\n"), "{sent}");
    }

    #[test]
    fn a_template_that_fails_costs_nobody_the_answer() {
        check(&[(En, "Dear {{ nobody.there }}, {{ text }}")], En, "It works.");
        check(&[(En, "Dear customer")], En, "It works.");
    }

    #[test]
    fn what_stands_around_it() {
        let config = with(&[(Ja, JAPANESE)]);
        let around = surroundings(&config, &ticket(), Ja, "花子");
        assert_eq!(around, ("Eve Example 様\n\n".to_owned(), "\n\n花子".to_owned()));
        assert_eq!(surroundings(&with(&[]), &ticket(), Ja, "花子"), Default::default());
    }

    #[test]
    fn templates_are_tried() {
        assert_eq!(try_answer(ENGLISH), Ok(()));
        assert!(try_answer("Dear customer").unwrap_err().contains("leaves out"));
        assert!(try_answer("{{ text }}{{ text }}").unwrap_err().contains("more than once"));
        assert!(try_answer("{{ txet }}").is_err());
    }
}
