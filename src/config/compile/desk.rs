//! `desk`, `intake`, `limits`.

use std::time::Duration;

use super::value;
use crate::config::problem::Scope;
use crate::config::spec::{self, desk};
use crate::core::config::{Answer, Cc, Customers, Dedupe, Desk, Intake, Limits};

/// Longest hook. Characters.
const HOOK_CHARS_MAX: usize = 32;
/// Longest word that marks an agent's mail as internal. Characters.
const MARKER_CHARS_MAX: usize = 32;

/// How the desk presents itself.
pub fn desk(spec: &spec::Desk, scope: &Scope<'_>) -> Desk {
    let default = Desk::default();
    Desk {
        name: spec.name.as_ref().map_or(default.name, |name| line(name, &scope.at("name"))),
        hook: spec.hook.as_ref().map_or(default.hook, |text| hook(text, &scope.at("hook"))),
        system_id: spec.system_id.as_ref().map_or(default.system_id, |id| id.0.clone()),
        language: spec.language.map_or(default.language, value::language),
        time_zone: spec
            .time_zone
            .as_ref()
            .and_then(|name| value::time_zone(name, &scope.at("timeZone")))
            .unwrap_or(default.time_zone),
    }
}

/// Shortest time for which an answer to a notification may prove its agent.
const PROOF_VALID_MIN: Duration = Duration::from_secs(3600);

/// Rules of intake.
pub fn intake(spec: &spec::Intake, scope: &Scope<'_>) -> Intake {
    let default = Intake::default();
    let authserv_id = spec.authserv_id.as_ref();
    Intake {
        customers: match spec.customers {
            None | Some(desk::Customers::Open) => Customers::Open,
            Some(desk::Customers::Declared) => Customers::Declared,
        },
        dedupe: match spec.dedupe {
            None | Some(desk::Dedupe::Account) => Dedupe::Account,
            Some(desk::Dedupe::Global) => Dedupe::Global,
        },
        cc: match spec.cc {
            None | Some(desk::Cc::Participants) => Cc::Participants,
            Some(desk::Cc::Ignore) => Cc::Ignore,
        },
        answer: match spec.answer {
            None | Some(desk::Answer::Everybody) => Answer::Everybody,
            Some(desk::Answer::Authenticated) => {
                if authserv_id.is_none() {
                    scope.at("answer").error(
                        "nobody is known to be authentic: authservId is missing",
                        "name the mail server whose Authentication-Results are believed",
                    );
                }
                Answer::Authenticated
            }
        },
        authserv_id: authserv_id.map(|name| server_name(name, &scope.at("authservId"))),
        proof_valid_for: spec
            .proof_valid_for
            .as_ref()
            .and_then(|time| value::duration(time, PROOF_VALID_MIN, &scope.at("proofValidFor")))
            .unwrap_or(default.proof_valid_for),
        internal_marker: match &spec.internal_marker {
            None => default.internal_marker,
            Some(word) if word.is_empty() => None,
            Some(word) => Some(marker(word, &scope.at("internalMarker"))),
        },
    }
}

/// Blanks and semicolons end the name in the header that it is compared with.
fn server_name(name: &str, scope: &Scope<'_>) -> String {
    let odd = |c: char| c.is_control() || c.is_whitespace() || ";()\"=".contains(c);
    if name.is_empty() || name.contains(odd) {
        scope.error(
            "is not the name of a mail server",
            "write what stands first in its Authentication-Results, such as mx.example.com",
        );
    }
    name.to_owned()
}

fn marker(word: &str, scope: &Scope<'_>) -> String {
    let odd = |c: char| c.is_control() || c.is_whitespace();
    if word.contains(odd) || word.chars().count() > MARKER_CHARS_MAX {
        scope.error(
            "is not usable as a marker",
            "one word of up to 32 characters, such as \"#internal\"",
        );
    }
    word.to_owned()
}

/// Bounds.
pub fn limits(spec: &spec::Limits, scope: &Scope<'_>) -> Limits {
    let default = Limits::default();
    let addresses = scope.at("autoRepliesPerAddress");
    let per_address = spec
        .auto_replies_per_address
        .iter()
        .filter_map(|(key, limit)| Some((value::address(key, &addresses.at(key))?, *limit)));
    Limits {
        auto_replies_per_day: spec.auto_replies_per_day.unwrap_or(default.auto_replies_per_day),
        auto_replies_per_three_hours: spec
            .auto_replies_per_three_hours
            .unwrap_or(default.auto_replies_per_three_hours),
        auto_replies_per_address: per_address.collect(),
        auto_replies_per_ticket: spec
            .auto_replies_per_ticket
            .unwrap_or(default.auto_replies_per_ticket),
        auto_replies_per_subject: spec
            .auto_replies_per_subject
            .unwrap_or(default.auto_replies_per_subject),
        auto_replies_per_hour: spec.auto_replies_per_hour.unwrap_or(default.auto_replies_per_hour),
        notifications_per_hour: spec
            .notifications_per_hour
            .unwrap_or(default.notifications_per_hour),
        connections_per_host: spec
            .connections_per_host
            .map_or(default.connections_per_host, |limit| limit as usize),
    }
}

fn line(text: &str, scope: &Scope<'_>) -> String {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        scope.error("must be one line of text", "");
    }
    text.to_owned()
}

/// The hook stands in subjects as `[Ticket#2026...]`; a bracket or digit at its end would make
/// the number unreadable.
fn hook(text: &str, scope: &Scope<'_>) -> String {
    let odd = text.chars().any(|c| c.is_control() || "[]".contains(c));
    let ends_in_digit = text.ends_with(|c: char| c.is_ascii_digit());
    if text.trim().is_empty() || odd || ends_in_digit || text.chars().count() > HOOK_CHARS_MAX {
        scope.error(
            "is not usable as a hook",
            "up to 32 characters, no brackets, no digit at its end",
        );
    }
    text.to_owned()
}
