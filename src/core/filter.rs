//! Filters: conditions on a mail, and what they set when all of them hold.

use std::collections::BTreeMap;

use regex::Regex;

use super::config::{Switch, When};
use super::intake::Why;
use super::mail::Mail;
use super::ticket::{AuthorKind, Priority, State};

/// Text of one field that conditions look at. Longer fields are cut here.
pub const FIELD_BYTES_MAX: usize = 64 * 1024;
/// Compiled size of one regular expression. Larger ones are refused at load.
pub const REGEX_BYTES_MAX: usize = 1 << 18;

/// A rule on incoming mail.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// Its name in the configuration.
    pub name: String,
    /// Place in the order; ties go by name.
    pub order: i64,
    /// All must hold. Not empty.
    pub conditions: Vec<Condition>,
    /// What it sets.
    pub set: Settings,
    /// What it sets on a follow-up.
    pub on_follow_up: Settings,
    /// Whether later filters are skipped when it matches.
    pub stop: bool,
    /// Switch.
    pub state: Switch,
}

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Where it looks.
    pub look_at: LookAt,
    /// What must be found there.
    pub test: Test,
    /// Whether it must not be found.
    pub not: bool,
}

/// Where a condition looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookAt {
    /// A header field by name, in any case; absent is the empty text.
    Header(String),
    /// The text of the mail.
    Body,
    /// The file name of each attachment.
    AttachmentName,
    /// The name of the account it came through.
    Account,
}

/// What must be found.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// The expression matches somewhere in the text.
    Regex(Pattern),
    /// The expression matches one of the addresses as a whole.
    Address(Pattern),
}

/// A compiled expression, compared by its source.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

/// What filters and control headers can set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Queue of a new ticket; on a follow-up, where the ticket moves.
    pub queue: Option<String>,
    /// Priority.
    pub priority: Option<Priority>,
    /// State.
    pub state: Option<State>,
    /// When a pending ticket wakes up.
    pub pending_time: Option<When>,
    /// Locked or not.
    pub lock: Option<bool>,
    /// Owner, a user name.
    pub owner: Option<String>,
    /// Responsible agent, a user name.
    pub responsible: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// Customer, an address.
    pub customer: Option<String>,
    /// Company of the customer.
    pub company: Option<String>,
    /// Who is taken for the author.
    pub sender_type: Option<AuthorKind>,
    /// Whether the customer may see the article.
    pub visible_for_customer: Option<bool>,
    /// The mail makes nothing.
    pub ignore: Option<bool>,
    /// `false` never answers, `true` answers in spite of Precedence or a list header.
    pub auto_reply: Option<bool>,
    /// Free fields.
    pub fields: BTreeMap<String, String>,
}

/// What all filters together made of a mail.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filtered {
    /// Names of those that matched, in order.
    pub matched: Vec<String>,
    /// What they set, captures filled in.
    pub settings: Settings,
    /// What they set on a follow-up.
    pub on_follow_up: Settings,
    /// Each step in words.
    pub why: Vec<Why>,
}

impl Pattern {
    /// Compiles with a bound on size: case-insensitive, unanchored.
    pub fn search(source: &str) -> Result<Pattern, String> {
        Pattern::build(source, source)
    }

    /// Compiles with a bound on size: case-insensitive, the whole text must match.
    pub fn whole(source: &str) -> Result<Pattern, String> {
        Pattern::build(source, &format!("^(?:{source})$"))
    }

    /// The source as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The compiled expression.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }

    fn build(source: &str, text: &str) -> Result<Pattern, String> {
        let regex = regex::RegexBuilder::new(text)
            .case_insensitive(true)
            .size_limit(REGEX_BYTES_MAX)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Pattern { source: source.into(), regex })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.source == other.source && self.regex.as_str() == other.regex.as_str()
    }
}

/// Runs the enabled filters over a mail, in order.
pub fn run(filters: &[Filter], account: &str, mail: &Mail) -> Filtered {
    todo!()
}

/// Placeholders (`{{ name }}`, `{{ 1 }}`) in a text that no capture of these conditions can fill.
pub fn unfilled(text: &str, conditions: &[Condition]) -> Vec<String> {
    todo!()
}
