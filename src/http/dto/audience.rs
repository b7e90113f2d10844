//! Who would be told of an event, who would not, and what decides it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::whereabouts::Whereabouts;
use crate::core::config::Language;
use crate::core::notify::{Rule, Verdict, Wait};
use crate::core::render;

/// Everybody whom an event on a ticket might be told to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AudienceView {
    /// Number of the ticket.
    pub ticket: String,
    /// The event, as in `subscriptions`.
    pub event: String,
    /// Users, and customers who watch the ticket.
    pub people: Vec<PersonView>,
}

/// Whether one person is told, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersonView {
    /// User name, or the customer's address.
    pub who: String,
    /// Whether this is a customer.
    pub customer: bool,
    /// Whether the person is told.
    pub told: bool,
    /// Over which channels: `mail`, `web`. Empty if not at all.
    pub channels: Vec<String>,
    /// When the mail goes out, if not at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_after: Option<String>,
    /// Label of the reason: `told`, `quietHours`, `digest`, `fullHour`, or why not: `notSubscribed`, ...
    pub reason: String,
    /// The same in words.
    pub why: String,
    /// Places in the configuration that decided, the most telling last.
    pub rules: Vec<RuleView>,
}

/// A place in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleView {
    /// Path, such as `users.alice.subscriptions.events.noteAdded`.
    pub path: String,
    /// File and line at which it stands, or the nearest thing that is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

impl PersonView {
    /// What was decided for one person, with places in the files.
    pub fn of(verdict: &Verdict, files: &Whereabouts<'_>) -> PersonView {
        let (reason, why) = reason(verdict);
        let told = verdict.told.as_ref().ok();
        let channels = told.map(|notice| notice.channels);
        let named = [
            ("mail", channels.is_some_and(|channels| channels.mail)),
            ("web", channels.is_some_and(|channels| channels.web)),
        ];
        let named = named.into_iter().filter(|(_, told)| *told);
        PersonView {
            who: verdict.who.clone(),
            customer: verdict.customer,
            told: told.is_some(),
            channels: named.map(|(name, _)| name.to_owned()).collect(),
            mail_after: told.and_then(|notice| match notice.wait {
                Wait::No => None,
                Wait::QuietHours(at) | Wait::Digest(at) | Wait::FullHour(at) => {
                    Some(at.to_string())
                }
            }),
            reason: reason.into(),
            why,
            rules: verdict.rules.iter().map(|rule| RuleView::of(rule, files)).collect(),
        }
    }
}

fn reason(verdict: &Verdict) -> (&'static str, String) {
    match &verdict.told {
        Err(not) => (not.label(), not.words()),
        Ok(notice) => {
            let role = render::role(Language::En, &notice.role);
            match notice.wait {
                Wait::No => ("told", role),
                Wait::QuietHours(_) => {
                    ("quietHours", format!("{role}; the mail waits for the end of quiet hours"))
                }
                Wait::Digest(_) => ("digest", format!("{role}; the mail waits for the digest")),
                Wait::FullHour(_) => {
                    let why = "the mail waits with others: this hour has as many as it may";
                    ("fullHour", format!("{role}; {why}"))
                }
            }
        }
    }
}

impl RuleView {
    /// With its place in the files.
    pub(in crate::http) fn of(rule: &Rule, files: &Whereabouts<'_>) -> RuleView {
        let spot = files.find(&rule.0);
        let place = spot.map(|spot| format!("{}:{}", spot.file, spot.line));
        RuleView { path: rule.to_string(), place }
    }
}
