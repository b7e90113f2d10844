//! Mail that is deleted from its mailbox without a copy there.

use super::{Found, Rule, Subject};
use crate::config::Severity;
use crate::core::config::{AfterFetch, Source, Switch};

/// The rule.
pub const RULE: Rule = Rule {
    id: "deletes-mail",
    severity: Severity::Note,
    title: "mail is deleted, and no folder keeps a copy",
    about: "After `afterFetch: delete` the store of Postroom holds the only copy of a mail. \
            `afterFetch: {move: FOLDER}` keeps it in a folder of the mailbox as well, for the day \
            the store is lost between two backups. POP3 knows no folders: keep a copy at the \
            server that delivers, or allow this with the reason that there is one.",
    failing: "mailAccounts:\n\
              \x20 support: {type: imaps, host: mail.example.com, username: support, password: {secret: imap}, dispatch: {by: recipient}, afterFetch: delete}\n",
    passing: "mailAccounts:\n\
              \x20 support: {type: imaps, host: mail.example.com, username: support, password: {secret: imap}, dispatch: {by: recipient}, afterFetch: {move: Done}}\n",
    find: Some(find),
};

fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    for (name, account) in subject.config.accounts.iter() {
        if account.after_fetch != AfterFetch::Delete || account.state == Switch::Disabled {
            continue;
        }
        let hint = match account.connection {
            Source::Pop3 { .. } => "let the server keep a copy, or allow it with a reason",
            Source::Imap { .. } | Source::Graph { .. } | Source::Maildir { .. } => {
                "write `afterFetch: {move: FOLDER}` to keep a copy in the mailbox"
            }
        };
        let message = "deletes mail from the server once it is stored; no folder keeps a copy";
        found.push(Found::at_key(&["mailAccounts", name, "afterFetch"], message, hint));
    }
}
