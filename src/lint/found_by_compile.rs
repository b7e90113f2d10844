//! Rules that compiling finds on its way: their words and examples.

use super::Rule;
use super::auth;
use crate::config::{Severity, rule};

/// A credential without encryption.
pub const CLEARTEXT_LOGIN: Rule = Rule {
    id: rule::CLEARTEXT_LOGIN,
    severity: Severity::Warning,
    title: "a password crosses the network without encryption",
    about: "Whoever sits between Postroom and the server can read the password and every mail. \
            Choose the type that encrypts: `imaps` or `imaptls` instead of `imap`, `pop3s` or \
            `pop3tls` instead of `pop3`, `smtps` or `smtptls` instead of `smtp`. Servers on this \
            machine (`localhost`, loopback addresses) are left alone.",
    failing: "mailAccounts:\n\
              \x20 support: {type: imap, host: mail.example.com, username: support, password: {secret: imap}, dispatch: {by: recipient}, afterFetch: keep}\n",
    passing: "mailAccounts:\n\
              \x20 support: {type: imaps, host: mail.example.com, username: support, password: {secret: imap}, dispatch: {by: recipient}, afterFetch: keep}\n",
    find: Some(auth::cleartext),
};

/// Mail for a queue that is not enabled.
pub const DISABLED_QUEUE: Rule = Rule {
    id: rule::DISABLED_QUEUE,
    severity: Severity::Warning,
    title: "mail goes to a queue that is not enabled",
    about: "A queue that is disabled or paused still receives the mail that filters, accounts and \
            system addresses send to it, so that nothing is lost. Whoever disabled it hardly \
            expects that. Enable the queue, or send the mail elsewhere.",
    failing: "queues: {old: {state: disabled}}\n\
              filters:\n\
              \x20 printers: {order: 1, match: [{header: Subject, regex: printer}], set: {queue: old}}\n",
    passing: "queues: {old: {state: disabled}, printers: {}}\n\
              filters:\n\
              \x20 printers: {order: 1, match: [{header: Subject, regex: printer}], set: {queue: printers}}\n",
    find: None,
};

/// A filter that does nothing.
pub const IDLE_FILTER: Rule = Rule {
    id: rule::IDLE_FILTER,
    severity: Severity::Warning,
    title: "a filter sets nothing and stops nothing",
    about: "Such a filter costs time at every mail and changes none. Give it a `set:`, or remove it.",
    failing: "filters:\n\
              \x20 printers: {order: 1, match: [{header: Subject, regex: printer}]}\n",
    passing: "filters:\n\
              \x20 printers: {order: 1, match: [{header: Subject, regex: printer}], set: {priority: 4 high}}\n",
    find: None,
};

/// TLS settings without TLS.
pub const IDLE_TLS: Rule = Rule {
    id: rule::IDLE_TLS,
    severity: Severity::Warning,
    title: "TLS settings of a type that does not encrypt",
    about: "`tls:` has no effect for `imap`, `pop3` and `smtp`: the connection stays in clear text. \
            Choose a type with TLS, or remove the key.",
    failing: "smtp:\n\
              \x20 relay: {type: smtp, host: mail.example.com, tls: {serverName: mx.example.com}}\n\
              senders: {default: {from: desk@example.com, via: [relay]}}\n",
    passing: "smtp:\n\
              \x20 relay: {type: smtps, host: mail.example.com, tls: {serverName: mx.example.com}}\n\
              senders: {default: {from: desk@example.com, via: [relay]}}\n",
    find: None,
};

/// Certificates are not verified.
pub const INSECURE_TLS: Rule = Rule {
    id: rule::INSECURE_TLS,
    severity: Severity::Warning,
    title: "certificates are not verified",
    about: "With `insecure: true` anybody in between can pretend to be the server, take the \
            credential, and read and change the mail. Trust the server's own root with `ca:`.",
    failing: "smtp:\n\
              \x20 relay: {type: smtps, host: mail.example.com, tls: {insecure: true}}\n\
              senders: {default: {from: desk@example.com, via: [relay]}}\n",
    passing: "smtp:\n\
              \x20 relay: {type: smtps, host: mail.example.com, tls: {ca: /etc/ssl/example-root.pem}}\n\
              senders: {default: {from: desk@example.com, via: [relay]}}\n",
    find: None,
};

/// A queue that answers without a sender.
pub const NO_SENDER: Rule = Rule {
    id: rule::NO_SENDER,
    severity: Severity::Warning,
    title: "a queue answers, and nobody sends its answers",
    about: "Answers of a queue go out through its `sender`, else through the sender `default`. With \
            neither they wait in the outbox until one is declared.",
    failing: "queues: {support: {autoReplies: {new: thanks}}}\n\
              systemAddresses: {support@example.com: {queue: support}}\n\
              autoReplies:\n\
              \x20 thanks: {from: support@example.com, subject: {en: Thanks}, text: {en: We read it.}}\n",
    passing: "queues: {support: {autoReplies: {new: thanks}}}\n\
              systemAddresses: {support@example.com: {queue: support}}\n\
              autoReplies:\n\
              \x20 thanks: {from: support@example.com, subject: {en: Thanks}, text: {en: We read it.}}\n\
              smtp: {relay: {type: smtps, host: mail.example.com}}\n\
              senders: {default: {from: desk@example.com, via: [relay]}}\n",
    find: None,
};
