//! What of an agent's mail may be seen outside: their own words and files, and nothing of our
//! notifications.
//!
//! Architecture invariant: what cannot be told apart, and what is no text at all, stays inside. The
//! raw mail is kept as it came.

use super::Judgement;
use super::file_texts::Content;
use super::settle::Sitting;
use crate::core::own_words::{Known, Separated, has_own_text, separate};
use crate::core::render;
use crate::core::thread;
use crate::core::ticket::{Article, Ticket};

/// What an encrypted text begins with (RFC 9580 section 6.2).
const ENCRYPTED: &str = "-----BEGIN PGP MESSAGE-----";
/// What a calendar begins with (RFC 5545 section 3.4).
const CALENDAR: &str = "BEGIN:VCALENDAR";

/// Why an agent's mail is not for the customer, whoever it was meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Withheld {
    /// It quotes a notification that could not be cut out.
    NotSeparated(&'static str),
    /// No text of the agent's can be read in it.
    NoText,
    /// A calendar program wrote it.
    CalendarAnswer,
}

/// What may be seen outside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct AgentText {
    /// The text, if something was cut.
    pub(super) text: Option<String>,
    /// Why nothing of it may, if so.
    pub(super) withheld: Option<Withheld>,
    /// Files that stay inside and are not even named, by their index.
    pub(super) files: Vec<u32>,
}

impl Withheld {
    fn words(self) -> &'static str {
        match self {
            Withheld::NotSeparated(why) => why,
            Withheld::NoText => "no text of the agent can be read in it",
            Withheld::CalendarAnswer => "a calendar program wrote it",
        }
    }
}

impl AgentText {
    /// Looks at an agent's mail that is for others to see.
    pub(super) fn look(sitting: &mut Sitting<'_>, ticket: &Ticket, helps: bool) -> AgentText {
        let judgement = sitting.judgement;
        let agent = judgement.sender.agent.as_deref();
        let Some(user) = agent.and_then(|agent| sitting.config.users.get(agent)) else {
            return AgentText::default();
        };
        let facts = sitting.facts;
        let mut known = render::quotable(sitting.config, user, ticket, &facts.articles);
        known.answers_notification =
            judgement.references.iter().any(|id| thread::verify(&facts.desk_key, id).is_some());
        let found =
            look(judgement, &known, helps, |id| thread::verify(&facts.desk_key, id).is_some());
        if let Some(why) = found.withheld {
            sitting.note("ownText", format!("stays with the ticket: {}", why.words()));
        } else if found.text.is_some() {
            sitting.note("ownText", "a quoted notification was cut");
        }
        if !found.files.is_empty() {
            let count = found.files.len();
            sitting.note("ownText", format!("{count} files that hold a notification, or can hold one and cannot be read, stay with the ticket"));
        }
        found
    }

    /// Makes an article what may be seen.
    pub(super) fn apply(&self, article: &mut Article) {
        if self.withheld.is_some() {
            article.visible_for_customer = false;
        } else if let Some(text) = &self.text {
            article.text.clone_from(text);
        }
    }
}

fn look(
    judgement: &Judgement,
    known: &Known,
    helps: bool,
    is_our_id: impl Fn(&String) -> bool,
) -> AgentText {
    let text = &judgement.article.text;
    let withheld = |why| AgentText { withheld: Some(why), ..AgentText::default() };
    let calendar = judgement.contents.iter().any(|(_, one)| *one == Content::CalendarAnswer);
    if calendar && helps {
        return withheld(Withheld::CalendarAnswer);
    }
    let cut = match separate(known, text) {
        Separated::Untouched => None,
        Separated::Cut(text) => Some(text),
        Separated::Not(why) => return withheld(Withheld::NotSeparated(why)),
    };
    let left = cut.as_ref().unwrap_or(text);
    let is_readable =
        has_own_text(left) && !left.trim_start().starts_with(CALENDAR) && !left.contains(ENCRYPTED);
    if helps && !is_readable {
        return withheld(Withheld::NoText);
    }
    let stays = |content: &Content| match content {
        Content::Other | Content::CalendarAnswer => false,
        Content::Opaque => true,
        Content::Texts { texts, ids } => {
            ids.iter().any(&is_our_id) || texts.iter().any(|text| known.is_hidden_in(text))
        }
    };
    let files = judgement.contents.iter().filter(|(_, content)| stays(content));
    AgentText { text: cut, withheld: None, files: files.map(|(index, _)| *index).collect() }
}
