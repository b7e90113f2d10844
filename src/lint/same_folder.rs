//! An account that moves mail into a folder that another account reads.

use super::{Found, Rule, Subject};
use crate::config::Severity;
use crate::core::config::{Account, AfterFetch, Login, Source, Switch};

/// The rule.
pub const RULE: Rule = Rule {
    id: "same-folder",
    severity: Severity::Warning,
    title: "two accounts work on one folder",
    about: "An account moves its mail into a folder that another account reads: every mail comes in \
            twice, or comes back as a duplicate. Move it into a folder that nobody reads. (Two \
            accounts that *read* the same folder are an error.)",
    failing: "mailAccounts:\n\
              \x20 inbox: {type: imaps, host: mail.example.com, username: desk, password: {secret: imap}, dispatch: {by: recipient}, afterFetch: {move: Done}}\n\
              \x20 done: {type: imaps, host: mail.example.com, username: desk, password: {secret: imap}, folder: Done, dispatch: {by: recipient}, afterFetch: keep}\n",
    passing: "mailAccounts:\n\
              \x20 inbox: {type: imaps, host: mail.example.com, username: desk, password: {secret: imap}, dispatch: {by: recipient}, afterFetch: {move: Done}}\n\
              \x20 late: {type: imaps, host: mail.example.com, username: desk, password: {secret: imap}, folder: Late, dispatch: {by: recipient}, afterFetch: keep}\n",
    find: Some(find),
};

fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    let used = |account: &Account| account.state != Switch::Disabled;
    let accounts = &subject.config.accounts;
    for (name, account) in accounts.iter().filter(|(_, account)| used(account)) {
        let AfterFetch::Move(target) = &account.after_fetch else { continue };
        let reads_it = |other: &Account| used(other) && reads(other, account, target);
        let Some((other, _)) = accounts.iter().find(|(other, it)| *other != name && reads_it(it))
        else {
            continue;
        };
        let message = format!("moves mail into the folder that account {other:?} reads");
        let path = ["mailAccounts", name, "afterFetch"];
        found.push(Found::at_key(&path, message, "name a folder that no account reads"));
    }
}

/// Whether `other` reads this folder of the mailbox of `account`.
fn reads(other: &Account, account: &Account, target: &str) -> bool {
    match (&other.connection, &account.connection) {
        (
            Source::Imap { endpoint, login, folder },
            Source::Imap { endpoint: there, login: as_whom, .. },
        ) => endpoint.host == there.host && same_user(login, as_whom) && folder == target,
        (Source::Maildir { path }, Source::Maildir { path: root }) => {
            // Maildir++ folders are directories whose name begins with a dot.
            *path == root.join(format!(".{target}"))
        }
        (
            Source::Imap { .. }
            | Source::Pop3 { .. }
            | Source::Graph { .. }
            | Source::Maildir { .. },
            _,
        ) => false,
    }
}

fn same_user(one: &Login, other: &Login) -> bool {
    match (one, other) {
        (
            Login::Password { username, .. } | Login::OAuth2 { username, .. },
            Login::Password { username: other, .. } | Login::OAuth2 { username: other, .. },
        ) => username == other,
        (Login::None, Login::None) => true,
        (Login::None, Login::Password { .. } | Login::OAuth2 { .. })
        | (Login::Password { .. } | Login::OAuth2 { .. }, Login::None) => false,
    }
}
