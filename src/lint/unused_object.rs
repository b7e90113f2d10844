//! Objects that nothing leads to.

use std::collections::BTreeSet;

use super::{Found, Rule, Subject};
use crate::config::Severity;
use crate::core::config::{Config, Login, SmtpRoute, Source, Switch};

/// The rule.
pub const RULE: Rule = Rule {
    id: "unused-object",
    severity: Severity::Warning,
    title: "an object that nothing uses",
    about: "SMTP servers that no sender names, senders that no queue names (`default` is used by \
            all that name none), answers that no queue gives, OAuth2 profiles that nobody signs in \
            with, and providers without a profile. A misspelt name elsewhere is often the reason. \
            What is disabled is kept for the record and not reported.",
    failing: "smtp: {relay: {type: smtps, host: mail.example.com}, spare: {type: sendmail}}\n\
              senders: {default: {from: desk@example.com, via: [relay]}}\n",
    passing: "smtp: {relay: {type: smtps, host: mail.example.com}, spare: {type: sendmail}}\n\
              senders: {default: {from: desk@example.com, via: [relay, spare]}}\n",
    find: Some(find),
};

fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    let config = subject.config;
    let used = Used::of(config);
    let mut tell = |path: &[&str], what: &str, hint: &str| {
        found.push(Found::at_key(path, format!("is used by no {what}"), hint));
    };
    for (name, server) in &config.smtp {
        if server.state != Switch::Disabled && !used.servers.contains(name.as_str()) {
            tell(&["smtp", name], "sender", "name it under `via:` of a sender, or remove it");
        }
    }
    for (name, sender) in &config.senders {
        if sender.state != Switch::Disabled && !used.senders.contains(name.as_str()) {
            tell(&["senders", name], "queue", "name it as `sender:` of a queue, or remove it");
        }
    }
    for (name, reply) in &config.auto_replies {
        if reply.state != Switch::Disabled && !used.replies.contains(name.as_str()) {
            let hint = "name it under `autoReplies:` of a queue, or remove it";
            tell(&["autoReplies", name], "queue", hint);
        }
    }
    for name in config.oauth2.profiles.keys() {
        if !used.profiles.contains(name.as_str()) {
            let hint = "name it as `oauth2Profile:`, or remove it";
            tell(&["oauth2", "profiles", name], "account and no SMTP server", hint);
        }
    }
    for name in config.oauth2.providers.keys() {
        if !config.oauth2.profiles.values().any(|profile| profile.provider == *name) {
            let hint = "name it as `provider:` of a profile, or remove it";
            tell(&["oauth2", "providers", name], "profile", hint);
        }
    }
}

/// Names that something leads to.
struct Used<'a> {
    servers: BTreeSet<&'a str>,
    senders: BTreeSet<&'a str>,
    replies: BTreeSet<&'a str>,
    profiles: BTreeSet<&'a str>,
}

impl<'a> Used<'a> {
    fn of(config: &'a Config) -> Used<'a> {
        let servers = config.senders.values().flat_map(|sender| &sender.via);
        let queues = config.queues.values();
        let senders = queues.clone().filter_map(|queue| queue.sender.as_deref());
        let replies = queues.flat_map(|queue| {
            let replies = &queue.auto_replies;
            [&replies.new, &replies.follow_up, &replies.reject, &replies.new_ticket]
        });
        let of_accounts = config.accounts.values().filter_map(|it| profile_of(&it.connection));
        let of_servers = config.smtp.values().filter_map(|it| match &it.route {
            SmtpRoute::Smtp { login, .. } | SmtpRoute::Graph { login, .. } => profile(login),
            SmtpRoute::File { .. } | SmtpRoute::Sendmail { .. } => None,
        });
        Used {
            servers: servers.map(String::as_str).collect(),
            senders: senders.chain(["default"]).collect(),
            replies: replies.flatten().map(String::as_str).collect(),
            profiles: of_accounts.chain(of_servers).collect(),
        }
    }
}

fn profile_of(source: &Source) -> Option<&str> {
    match source {
        Source::Imap { login, .. } | Source::Pop3 { login, .. } | Source::Graph { login, .. } => {
            profile(login)
        }
        Source::Maildir { .. } => None,
    }
}

fn profile(login: &Login) -> Option<&str> {
    match login {
        Login::OAuth2 { profile, .. } => Some(profile),
        Login::None | Login::Password { .. } => None,
    }
}
