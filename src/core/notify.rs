//! Who is told of what.
//!
//! [`audience`] reads the events of one change and lists the people to tell: each person once per
//! event, in the first role that reaches them. [`explain`] says by the same rules who would be told
//! of an event and who would not, and which place in the configuration decides it.
//!
//! Architecture invariant: nothing here words or sends a mail; [`super::render`] does. What a
//! customer may not see never leaves through a [`Notice`] to a customer.

mod event;
mod explain;
pub mod hours;
mod invitation;
#[cfg(test)]
mod trying;
mod verdict;

use jiff::Timestamp;

use super::address::Address;
use super::config::{Channels, Config, Language};
use super::ticket::{Article, Event, Ticket};

pub use event::EventKind;
pub use explain::explain;
use hours::FullHours;
pub use verdict::{Not, Verdict};

/// One person to be told of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub event: EventKind,
    /// User name, or the customer's address.
    pub who: String,
    /// Address of the mail.
    pub address: Address,
    /// Display name.
    pub name: String,
    /// Language of the text.
    pub language: Language,
    /// Ways to tell.
    pub channels: Channels,
    /// What the mail waits for. The bell never waits.
    pub wait: Wait,
    /// In which role: `owner`, `responsible`, `watcher`, `queue sales`.
    pub role: String,
    /// Where in the configuration the person asks for it. A customer asks nowhere.
    pub rule: Option<Rule>,
    /// Whether this is a customer, who must not see anything internal.
    pub customer: bool,
}

/// A bell that rings for somebody on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// User name.
    pub who: String,
    /// What happened.
    pub event: EventKind,
    /// In which role, as in [`Notice::role`].
    pub role: String,
    /// Where in the configuration he asks for it; may be empty.
    pub rule: String,
}

/// What a mail waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Nothing.
    No,
    /// The end of the person's quiet hours.
    QuietHours(Timestamp),
    /// The person's digest, which is next sent at this time.
    Digest(Timestamp),
    /// The mail with everything that has no place in a full hour, which is sent at this time.
    FullHour(Timestamp),
}

/// A place in the configuration, key by key: `users`, `alice`, `subscriptions`, `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule(pub Vec<String>);

impl Notice {
    /// The rule as text; empty if there is none.
    pub fn rule_words(&self) -> String {
        self.rule.as_ref().map(Rule::to_string).unwrap_or_default()
    }

    /// Why the person is told, and what his mail waits for, for the history of the ticket.
    pub fn history(&self) -> String {
        let role = &self.role;
        match self.wait {
            Wait::QuietHours(until) if self.channels.mail => {
                format!("{role}; the mail waits until {until}, the end of quiet hours")
            }
            Wait::Digest(_) if self.channels.mail => {
                format!("{role}; the mail waits for the digest")
            }
            Wait::FullHour(at) if self.channels.mail => {
                format!("{role}; the mail waits with others until {at}: the hour is full")
            }
            Wait::No | Wait::QuietHours(_) | Wait::Digest(_) | Wait::FullHour(_) => role.clone(),
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// Everybody to be told of what just happened to a ticket, each person once per event.
///
/// `before` is the ticket before the events (`None` if they made it), `after` the one afterwards.
/// `articles` are those that the events speak of: customers hear only of articles they may see,
/// and one that is not in the list counts as internal. `full` says whose mails must wait.
pub fn audience(
    config: &Config,
    before: Option<&Ticket>,
    after: &Ticket,
    events: &[Event],
    articles: &[Article],
    full: &FullHours,
    now: Timestamp,
) -> Vec<Notice> {
    let scene = Scene { config, before, after, articles, full, now };
    let mut verdicts = Vec::new();
    for event in events {
        let Some(kind) = scene.kind(event) else { continue };
        for invitation in scene.invitations(kind, scene.is_shown(event)) {
            admit(&mut verdicts, scene.verdict(kind, &invitation, &event.actor));
        }
    }
    verdicts.into_iter().filter_map(|verdict| verdict.told.ok()).collect()
}

/// What one change looks like: the ticket on both sides of it, and the articles it added.
struct Scene<'a> {
    config: &'a Config,
    before: Option<&'a Ticket>,
    after: &'a Ticket,
    articles: &'a [Article],
    full: &'a FullHours,
    now: Timestamp,
}

/// Adds a verdict. Each person has one per event: the first in which he is told, else the first.
/// An address that gets this event's mail already, under another name, gets no second one.
fn admit(verdicts: &mut Vec<Verdict>, mut verdict: Verdict) {
    let same_event = |one: &&Verdict| one.event == verdict.event;
    let known =
        verdicts.iter().position(|one| one.event == verdict.event && one.who == verdict.who);
    if known.is_some_and(|at| verdicts[at].told.is_ok() || verdict.told.is_err()) {
        return;
    }
    if let Ok(notice) = &mut verdict.told {
        let gets_it = |one: &&Verdict| {
            let told = one.told.as_ref();
            told.is_ok_and(|told| told.channels.mail && told.address == notice.address)
        };
        if let Some(other) = verdicts.iter().filter(same_event).find(gets_it) {
            notice.channels.mail = false;
            notice.wait = Wait::No;
            if !notice.channels.any() {
                verdict.told = Err(Not::SameAddress(other.who.clone()));
            }
        }
    }
    match known {
        Some(at) => verdicts[at] = verdict,
        None => verdicts.push(verdict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::User;
    use crate::core::notify::trying::{
        address, agent, check, check_with, closed, config, eve, event, followed_up, locked, noted,
        owned, ticket, user,
    };
    use crate::core::ticket::{Watcher, What};

    #[test]
    fn an_event_counts_once_however_often_it_happens() {
        let both = vec![event(agent("bob"), closed()), event(agent("bob"), What::Unlocked)];
        check_with(&config(), Some(&locked()), &locked(), both, &["lockTimeout alice: owner"]);
    }

    #[test]
    fn two_events_are_two_mails() {
        let from_bob = |what| event(agent("bob"), what);
        let both = vec![from_bob(closed()), from_bob(noted())];
        let expected = ["lockTimeout alice: owner", "noteAdded alice: owner"];
        check_with(&config(), Some(&owned()), &owned(), both, &expected);
    }

    #[test]
    fn one_mail_for_two_users_with_one_address() {
        let mut config = config();
        let twin = User { email: address("alice@agents.test"), ..user("bob", &["support"]) };
        config.users.insert("bob".into(), twin);
        let created = vec![event(eve(), What::Created)];
        let expected = ["ticketCreated alice: queue support"];
        check_with(&config, None, &ticket(), created, &expected);
    }

    #[test]
    fn an_agent_who_watches_as_a_customer_gets_one_mail() {
        let watcher = Watcher::Customer(address("alice@agents.test"));
        let ticket = Ticket { watchers: [watcher].into(), ..locked() };
        check(&ticket, eve(), followed_up(true), &["followUpLocked alice: owner"]);
    }
}
