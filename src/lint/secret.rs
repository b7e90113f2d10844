//! Secrets that are not there, or that everybody on the machine may read.

use super::auth::secrets;
use super::{Found, Rule, Subject};
use crate::config::Severity;

/// A secret that is not there.
pub const MISSING: Rule = Rule {
    id: "secret-missing",
    severity: Severity::Warning,
    title: "a secret that an enabled object needs is not there",
    about: "Looked for only where secrets are: with `--secrets-dir`, or with `--with-secrets`. A \
            machine that only checks files has none, and nothing is said there. The account or \
            server waits until the secret appears; no reload is needed.",
    failing: "mailAccounts:\n\
              \x20 support: {type: imaps, host: mail.example.com, username: support, password: {secret: nowhere}, dispatch: {by: recipient}, afterFetch: keep}\n",
    passing: "mailAccounts:\n\
              \x20 support: {type: imaps, host: mail.example.com, username: support, password: {secret: imap}, dispatch: {by: recipient}, afterFetch: keep}\n",
    find: Some(missing),
};

/// A secret that too many may read.
pub const READABLE: Rule = Rule {
    id: "secret-readable",
    severity: Severity::Warning,
    title: "the file of a secret can be read by others",
    about: "Looked at where secrets are, like [secret-missing](#secret-missing). Take the right to \
            read away from the others: `chmod 0400`. In Kubernetes write `defaultMode: 0400` (with \
            `fsGroup`, 0440) beside the Secret's name.",
    failing: "mailAccounts:\n\
              \x20 support: {type: imaps, host: mail.example.com, username: support, password: {secret: open}, dispatch: {by: recipient}, afterFetch: keep}\n",
    passing: "mailAccounts:\n\
              \x20 support: {type: imaps, host: mail.example.com, username: support, password: {secret: imap}, dispatch: {by: recipient}, afterFetch: keep}\n",
    find: Some(readable),
};

fn missing(subject: &Subject<'_>, found: &mut Vec<Found>) {
    let Some(place) = &subject.around.secrets else { return };
    for (path, secret) in secrets(subject.config) {
        if let Err(error) = place.read(secret) {
            let (message, hint) = (error.to_string(), error.hint().to_owned());
            found.push(Found { path, at_key: true, message, hint });
        }
    }
}

fn readable(subject: &Subject<'_>, found: &mut Vec<Found>) {
    let Some(place) = &subject.around.secrets else { return };
    for (path, secret) in secrets(subject.config) {
        // What a group may read is how pods are given their secrets.
        let warning = place.permissions_warning(secret).filter(|it| it.contains("everybody"));
        if let Some(message) = warning {
            found.push(Found { path, at_key: true, message, hint: "chmod 0400, or 0440".into() });
        }
    }
}
