//! A program that is run for each mail.

use super::{Found, Rule, Subject};
use crate::config::Severity;
use crate::core::config::{SmtpRoute, Switch};

/// The rule.
pub const RULE: Rule = Rule {
    id: "runs-program",
    severity: Severity::Note,
    title: "a program runs for each mail",
    about: "`type: sendmail` runs a program as the user of the daemon. It runs only if the operator \
            allows it with `--allow-sendmail PATH`; until then its mail waits in the outbox. \
            Reviewers see the program's name here and in `plan`.",
    failing: "smtp: {local: {type: sendmail}}\n\
              senders: {default: {from: desk@example.com, via: [local]}}\n",
    passing: "smtp: {relay: {type: smtps, host: mail.example.com}}\n\
              senders: {default: {from: desk@example.com, via: [relay]}}\n",
    find: Some(find),
};

fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    for (name, server) in &subject.config.smtp {
        let SmtpRoute::Sendmail { command } = &server.route else { continue };
        if server.state == Switch::Disabled {
            continue;
        }
        let message = format!("runs {}", command.display());
        let hint = format!("the daemon needs --allow-sendmail {}", command.display());
        found.push(Found::at_key(&["smtp", name], &message, &hint));
    }
}
