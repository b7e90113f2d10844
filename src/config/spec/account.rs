//! `mailAccounts`: mailboxes to fetch from.

use schemars::JsonSchema;
use serde::Deserialize;

use super::smtp::Tls;
use super::text::{DurationText, NameText, SecretReference, SinceText, SizeText, TextOrReference};
use super::words::Switch;

/// A mailbox to fetch from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MailAccount {
    /// Which protocol to fetch with. The port follows from it unless `port` is given.
    #[serde(rename = "type")]
    pub kind: AccountKind,
    /// Host name or address, plain or a reference. With an `oauth2Profile` it may be left to the
    /// provider.
    pub host: Option<TextOrReference>,
    /// TCP port. Default by `type`.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// Account name, plain or a reference.
    pub username: Option<TextOrReference>,
    /// Where the password is found.
    pub password: Option<SecretReference>,
    /// Name of a profile of `oauth2.profiles`, for the types that end in `oauth2` and for `graph`.
    #[serde(rename = "oauth2Profile")]
    pub oauth2_profile: Option<NameText>,
    /// Folder to read, for IMAP and `graph`. Default `INBOX`. For `graph` a well-known name such as
    /// `inbox`, `archive` or `junkemail`, or display names with `/` between, such as `Inbox/Desk`.
    pub folder: Option<String>,
    /// With an `oauth2Profile`: whose mailbox to read, if it is not that of `username`, who signs in. A
    /// shared mailbox is named here. Plain or a reference.
    pub mailbox: Option<TextOrReference>,
    /// Directory that holds `new`, `cur` and `tmp`, for `maildir`; relative to this file.
    pub path: Option<String>,
    /// Certificates and names.
    pub tls: Option<Box<Tls>>,
    /// Time until the TCP connection stands. Default `60s`.
    pub connect_timeout: Option<DurationText>,
    /// Time for each step after that. Default `60s`.
    pub timeout: Option<DurationText>,
    /// Time between two looks. Default `10m`. Not together with `schedule`.
    pub poll_interval: Option<DurationText>,
    /// When to look, as a cron expression of five fields in the desk's time zone.
    pub schedule: Option<String>,
    /// Whether to wait for new mail with IMAP IDLE where the server offers it. Default `auto`.
    pub idle: Option<Idle>,
    /// Which mails to take. Default `all`.
    pub only: Option<Only>,
    /// What to do with mail that lay there before the account was first seen. Default `linked`.
    pub since: Option<SinceText>,
    /// Larger mails are treated as `oversize` says. Default `32MiB`.
    pub max_size: Option<SizeText>,
    /// What becomes of larger mails. Default `headersOnly`.
    pub oversize: Option<Oversize>,
    /// What is done to a mail on the server once it is safely stored here. It must be written, on
    /// the account or in `defaults.mailAccounts`, so that a reviewer sees when mail is deleted.
    pub after_fetch: Option<AfterFetch>,
    /// How the queue of a new ticket is chosen. Default `{by: recipient}`.
    pub dispatch: Option<Dispatch>,
    /// Whether `X-OTOBO-*` control headers in the mail count. Default `false`.
    pub trusted: Option<bool>,
    /// Switch. Default `enabled`.
    pub state: Option<Switch>,
    /// For the reader of this file.
    pub comment: Option<String>,
}

/// Settings for mail accounts that do not have their own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountDefaults {
    /// Certificates and names.
    pub tls: Option<Box<Tls>>,
    /// Time until the TCP connection stands.
    pub connect_timeout: Option<DurationText>,
    /// Time for each step after that.
    pub timeout: Option<DurationText>,
    /// Time between two looks.
    pub poll_interval: Option<DurationText>,
    /// When to look, as a cron expression of five fields in the desk's time zone.
    pub schedule: Option<String>,
    /// Whether to wait for new mail with IMAP IDLE where the server offers it.
    pub idle: Option<Idle>,
    /// Which mails to take.
    pub only: Option<Only>,
    /// What to do with mail that lay there before the account was first seen.
    pub since: Option<SinceText>,
    /// Larger mails are treated as `oversize` says.
    pub max_size: Option<SizeText>,
    /// What becomes of larger mails.
    pub oversize: Option<Oversize>,
    /// What is done to a mail on the server once it is safely stored here.
    pub after_fetch: Option<AfterFetch>,
    /// How the queue of a new ticket is chosen.
    pub dispatch: Option<Dispatch>,
    /// Whether `X-OTOBO-*` control headers in the mail count.
    pub trusted: Option<bool>,
}

/// Which protocol to fetch with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AccountKind {
    /// IMAP without encryption, port 143.
    Imap,
    /// IMAP over TLS, port 993.
    Imaps,
    /// IMAP with STARTTLS, port 143. Missing or refused STARTTLS ends the connection.
    Imaptls,
    /// IMAP over TLS with an OAuth2 token, port 993.
    Imapoauth2,
    /// POP3 without encryption, port 110.
    Pop3,
    /// POP3 over TLS, port 995.
    Pop3s,
    /// POP3 with STLS, port 110. Missing or refused STLS ends the connection.
    Pop3tls,
    /// POP3 with STLS and an OAuth2 token, port 110.
    Pop3oauth2,
    /// Microsoft Graph, port 443.
    Graph,
    /// A Maildir on this machine.
    Maildir,
}

/// Whether to wait with IMAP IDLE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Idle {
    /// Where the server offers it.
    Auto,
    /// Never.
    Off,
}

/// Which mails of a mailbox to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Only {
    /// All that were not taken before.
    All,
    /// Of those, the ones not marked as seen.
    Unseen,
}

/// What becomes of mails over the size limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Oversize {
    /// A ticket from the headers alone; the mail stays on the server.
    HeadersOnly,
    /// A quarantine entry with the headers; the mail stays on the server.
    Quarantine,
    /// The mail is left alone and counted.
    Leave,
}

/// What is done to a mail on the server once it is safely stored here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AfterFetch {
    /// It is deleted.
    Delete,
    /// It is marked as seen. Not for POP3.
    Seen,
    /// Nothing.
    Keep,
    /// It is moved to this folder. Not for POP3.
    Move(String),
}

/// How the queue of a new ticket is chosen.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dispatch {
    /// By the first system address among the recipients, or always the same queue.
    pub by: DispatchBy,
    /// For `by: queue`: its name.
    pub queue: Option<String>,
}

/// By what the queue of a new ticket is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DispatchBy {
    /// By the first system address among the recipients.
    Recipient,
    /// Always the queue named in `queue`.
    Queue,
}
