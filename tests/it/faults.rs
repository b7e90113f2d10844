//! The whole daemon in a hostile world: servers, mails and files that are wrong.

mod clock;
mod edits;
mod figures;
mod flood;
mod hosters;
mod hostile;
mod servers;

use postroom::run::board::{ConditionKind, Kind};
use postroom::store::MailRecord;

use crate::daemon::Daemon;

/// The rest of a configuration behind its accounts.
const REST: &str = r#"
limits: {connectionsPerHost: 100}
smtp:
  files: {type: file, directory: "{dir}/sent"}
senders:
  default: {from: "Desk <desk@desk.example>", via: [files]}
queues:
  support: {autoReplies: {new: thanks, followUp: thanks}}
systemAddresses:
  support@desk.example: {queue: support}
autoReplies:
  thanks: {from: support@desk.example, subject: {en: "Received: {{ ticket.title }}"}, text: {en: "Your number is {{ ticket.number }}."}}
"#;

/// An account that reads the Maildir of the daemon's folder.
const HEALTHY: &str = "  healthy: {type: maildir, path: \"{dir}/mail\", dispatch: {by: recipient}, \
                       since: all, afterFetch: delete, pollInterval: 1s}\n";

fn desk(accounts: &str) -> String {
    format!("version: 1\nmailAccounts:\n{HEALTHY}{accounts}{REST}")
}

fn mail(from: &str, number: usize, subject: &str, more: &str) -> Vec<u8> {
    format!(
        "From: {from}\r\nTo: support@desk.example\r\nSubject: {subject}\r\n\
         Message-ID: <f{number}@customer.example>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n{more}\r\n\
         This is mail {number}.\r\n"
    )
    .into_bytes()
}

fn records(daemon: &Daemon) -> Vec<MailRecord> {
    let mut records = daemon.app().handle().store.mails(None, 10_000).unwrap().items;
    records.reverse();
    records
}

fn of<'a>(records: &'a [MailRecord], account: &str) -> Vec<&'a MailRecord> {
    records.iter().filter(|record| record.account == account).collect()
}

/// Whether a condition of an account is so, its reason, and what it says.
fn condition(
    daemon: &Daemon,
    account: &str,
    kind: ConditionKind,
) -> Option<(bool, String, String)> {
    let all = daemon.app().handle().board.all();
    let status = all
        .into_iter()
        .find(|status| status.kind == Kind::MailAccount && status.name == account)?;
    let found = status.conditions.into_iter().find(|condition| condition.kind == kind)?;
    Some((found.status?, found.reason.to_owned(), found.message))
}

fn metric(daemon: &Daemon, series: &str) -> Option<f64> {
    let text = daemon.app().handle().metrics.text();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    line.parse().ok()
}
