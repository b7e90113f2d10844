//! A sender all of whose servers are switched off.

use super::{Found, Rule, Subject};
use crate::config::Severity;
use crate::core::config::Switch;

/// The rule.
pub const RULE: Rule = Rule {
    id: "sender-without-server",
    severity: Severity::Warning,
    title: "no server of a sender is enabled",
    about: "Mail of this sender waits in the outbox until one of its servers is enabled again, and \
            is given up after five days. (A sender without `via` is an error.)",
    failing: "smtp: {relay: {type: smtps, host: mail.example.com, state: paused}}\n\
              senders: {default: {from: desk@example.com, via: [relay]}}\n",
    passing: "smtp: {relay: {type: smtps, host: mail.example.com, state: paused}, spare: {type: sendmail}}\n\
              senders: {default: {from: desk@example.com, via: [relay, spare]}}\n",
    find: Some(find),
};

fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    let config = subject.config;
    let enabled =
        |name: &String| config.smtp.get(name).is_some_and(|it| it.state == Switch::Enabled);
    let senders = config.senders.iter().filter(|(_, sender)| sender.state == Switch::Enabled);
    for (name, _) in senders.filter(|(_, sender)| !sender.via.iter().any(enabled)) {
        let message = "has no server that is enabled: its mail waits";
        let hint = "enable one of them, or name another";
        found.push(Found::at_key(&["senders", name, "via"], message, hint));
    }
}
