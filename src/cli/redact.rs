//! What a report says in place of words that come from mails: reports of `test` and `replay` end up
//! in pull requests and logs of CI, where more people read than may read the mail.
//!
//! Names and addresses of the configuration stay, for everybody who reads the report has the files
//! beside it; so do counts and ids.
//!
//! Architecture invariant: only what is known to be written in the files is shown. Anything else is
//! replaced, so that a new field of a report is hidden until it is proved harmless.

use std::collections::BTreeSet;

use clap::Args;

use crate::core::config::Config;
use crate::http::replay::{self, Difference, Fate, ReplayView};

/// Stands in place of what is hidden.
pub const FROM_THE_MAIL: &str = "(from the mail)";

/// Whether words from mails are shown.
#[derive(Debug, Clone, Copy, Args)]
pub struct ShowArgs {
    /// Show addresses and subjects of mails, instead of "(from the mail)"; not for reports that
    /// others read
    #[arg(long)]
    pub show_mails: bool,
}

/// What of a report may be shown.
#[derive(Debug)]
pub struct Redaction {
    /// Everything, as asked for.
    all: bool,
    /// Names and addresses of the configuration.
    configured: BTreeSet<String>,
}

impl Redaction {
    /// Shows what this configuration declares, and all the rest only if that is asked for.
    pub fn of(config: &Config, args: ShowArgs) -> Redaction {
        let users = config.users.values().map(|user| user.email.to_string());
        let ours = config.system_addresses.keys().map(|address| address.to_string());
        let senders = config.senders.values().map(|sender| sender.from.to_string());
        let names = config.users.keys().chain(config.queues.keys()).cloned();
        let names = names.chain(config.auto_replies.keys().cloned());
        let names = names.chain(config.filters.iter().map(|filter| filter.name.clone()));
        let configured = users.chain(ours).chain(senders).chain(names).collect();
        Redaction { all: args.show_mails, configured }
    }

    /// A name or address, if it is configured. Ids and words of the program have no `@`.
    pub fn name(&self, name: &str) -> String {
        let shown = self.all || self.configured.contains(name) || !name.contains('@');
        if shown { name.to_owned() } else { FROM_THE_MAIL.to_owned() }
    }

    /// Text of a mail.
    fn text(&self, text: &mut String) {
        if !self.all {
            FROM_THE_MAIL.clone_into(text);
        }
    }

    /// The answer of a daemon without what comes from mails.
    pub fn replay(&self, mut view: ReplayView) -> ReplayView {
        for difference in &mut view.differences {
            self.difference(difference);
        }
        view
    }

    fn difference(&self, difference: &mut Difference) {
        let Difference { mail: _, at: _, account: _, from, subject, before, after, changes } =
            difference;
        self.text(from);
        self.text(subject);
        // Told from the values as they are: two of them that differ may be hidden alike.
        *changes = replay::changes(before, after, &|name| self.name(name));
        self.fate(before);
        self.fate(after);
    }

    fn fate(&self, fate: &mut Fate) {
        let Fate {
            outcome: _,
            queue: _,
            priority: _,
            state: _,
            owner,
            customer,
            auto_reply: _,
            notified,
            filters: _,
        } = fate;
        for name in owner.iter_mut().chain(customer).chain(notified) {
            *name = self.name(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples::config;

    fn view() -> ReplayView {
        let fate = |customer: &str, notified: &str| Fate {
            outcome: "created".into(),
            queue: Some("support".into()),
            customer: Some(customer.into()),
            notified: vec![notified.into()],
            ..Fate::default()
        };
        let (before, after) =
            (fate("a@canary.example", "alice"), fate("b@canary.example", "x@canary.example"));
        let changes = replay::changes(&before, &after, &str::to_owned);
        assert_eq!(changes.len(), 2);
        ReplayView {
            mails: 3,
            skipped: 0,
            differing: 1,
            differences: vec![Difference {
                mail: 7,
                at: "2026-01-15T09:00:00Z".into(),
                account: "support".into(),
                from: "Eve <eve@canary.example>".into(),
                subject: "canary".into(),
                before,
                after,
                changes,
            }],
        }
    }

    #[test]
    fn nothing_from_a_mail_is_shown() {
        let redaction = Redaction::of(&config(), ShowArgs { show_mails: false });
        let shown = redaction.replay(view());
        let json = serde_json::to_string(&shown).unwrap();
        assert!(!json.contains("canary"), "{json}");
        assert_eq!(
            shown.differences[0].changes,
            ["customer: (from the mail) -> (from the mail)", "notified: alice -> (from the mail)"]
        );
    }

    #[test]
    fn everything_is_shown_if_asked_for() {
        let redaction = Redaction::of(&config(), ShowArgs { show_mails: true });
        assert_eq!(redaction.replay(view()), view());
    }

    #[test]
    fn configured_addresses_are_shown() {
        let redaction = Redaction::of(&config(), ShowArgs { show_mails: false });
        assert_eq!(redaction.name("support@corp.example"), "support@corp.example");
        assert_eq!(redaction.name("eve@corp.example"), FROM_THE_MAIL);
    }
}
