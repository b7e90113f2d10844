//! Addresses of our own that the desk would write to: each mail makes the next.

use super::auth::server;
use super::{Found, Rule, Subject};
use crate::config::Severity;
use crate::core::address::Address;
use crate::core::config::{Account, Config, Login, Queue, Source, Switch, Text};
use crate::core::plan::idle_account;
use crate::core::reply;

/// The rule.
pub const RULE: Rule = Rule {
    id: "mail-loop",
    severity: Severity::Warning,
    title: "an address that is polled is also written to",
    about: "The desk never answers its own addresses: those under `systemAddresses` and those of \
            its `senders`. A mailbox that is polled under an address which stands in neither can \
            get an answer of ours, which is polled, and may be answered again. Declare the address \
            under `systemAddresses`. A user whose `email` is an address of the desk is never told \
            anything, for the same reason.",
    failing: "queues: {support: {autoReplies: {new: thanks}}}\n\
              systemAddresses: {support@example.com: {queue: support}}\n\
              autoReplies: {thanks: {from: support@example.com, subject: {en: Thanks}, text: {en: We read it.}}}\n\
              smtp: {relay: {type: smtps, host: mail.example.com}}\n\
              senders: {default: {from: desk@example.com, via: [relay]}}\n\
              mailAccounts:\n\
              \x20 info: {type: imaps, host: mail.example.com, username: info@example.com, password: {secret: imap}, dispatch: {by: queue, queue: support}, afterFetch: keep}\n",
    passing: "queues: {support: {autoReplies: {new: thanks}}}\n\
              systemAddresses: {support@example.com: {queue: support}, info@example.com: {queue: support}}\n\
              autoReplies: {thanks: {from: support@example.com, subject: {en: Thanks}, text: {en: We read it.}}}\n\
              smtp: {relay: {type: smtps, host: mail.example.com}}\n\
              senders: {default: {from: desk@example.com, via: [relay]}}\n\
              mailAccounts:\n\
              \x20 info: {type: imaps, host: mail.example.com, username: info@example.com, password: {secret: imap}, dispatch: {by: queue, queue: support}, afterFetch: keep}\n",
    find: Some(find),
};

fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    let config = subject.config;
    let answers = config.queues.values().any(answers);
    for (name, account) in config.accounts.iter() {
        let Some(address) = address(account).filter(|_| runs(account)) else { continue };
        let known = reply::is_ours(config, &address);
        if answers && !known && reply::agent_with(config, &address).is_none() {
            let message =
                format!("polls {address}, which would be answered automatically if it wrote");
            let hint = format!("declare {address} under systemAddresses: those are never answered");
            found.push(Found::at_key(&["mailAccounts", name], message, hint));
        }
    }
    users(config, found);
}

fn users(config: &Config, found: &mut Vec<Found>) {
    let enabled = config.users.iter().filter(|(_, user)| user.state == Switch::Enabled);
    for (name, _) in enabled.filter(|(_, user)| reply::is_ours(config, &user.email)) {
        let message = "is an address of this desk: no notification is ever sent to it";
        let hint = "name the user's own mailbox";
        found.push(Found::at(&["users", name, "email"], message, hint));
    }
}

fn answers(queue: &Queue) -> bool {
    queue.auto_replies.new.is_some() || queue.auto_replies.follow_up.is_some()
}

/// Whether the account would be polled, now or when it is no longer paused.
fn runs(account: &Account) -> bool {
    account.state == Switch::Paused || idle_account(account).is_none()
}

/// The address of a mailbox, if its user name is one.
fn address(account: &Account) -> Option<Address> {
    let login = match &account.connection {
        Source::Graph { login, .. } => login,
        Source::Imap { .. } | Source::Pop3 { .. } | Source::Maildir { .. } => server(account)?.1,
    };
    match login {
        Login::Password { username: Text::Plain(name), .. }
        | Login::OAuth2 { username: Text::Plain(name), .. } => Address::parse(name),
        Login::Password { username: Text::Reference(_), .. }
        | Login::OAuth2 { username: Text::Reference(_), .. }
        | Login::None => None,
    }
}
