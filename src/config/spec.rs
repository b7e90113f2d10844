//! What a person types: one file per kind, exactly the YAML.
//!
//! Doc comments in here become the hover text of editors and the reference page, so they are
//! written for the person who writes YAML.
//!
//! Architecture invariant: plain structs with `deny_unknown_fields` and enums of bare words. What
//! needs a second look (names, regular expressions, templates) is only text in here; `compile`
//! judges it.

pub mod account;
pub mod auto_reply;
pub mod customer;
pub mod desk;
pub mod filter;
pub mod moved;
pub mod notification;
pub mod oauth2;
pub mod queue;
pub mod sender;
pub mod sign_in;
pub mod smtp;
pub mod system_address;
pub mod test;
pub mod text;
pub mod token;
pub mod user;
pub mod webhook;
pub mod words;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub use account::{AccountDefaults, MailAccount};
pub use auto_reply::AutoReply;
pub use customer::Customer;
pub use desk::{Desk, Intake, Limits};
pub use filter::Filter;
pub use moved::Moved;
pub use notification::Notification;
pub use oauth2::OAuth2;
pub use queue::{Queue, QueueDefaults};
pub use sender::Sender;
pub use sign_in::SignIn;
pub use smtp::SmtpServer;
pub use system_address::SystemAddress;
pub use test::Test;
pub use token::ApiToken;
pub use user::User;
pub use webhook::Webhook;
use words::EventName;

/// Configuration of Postroom. A set of files is united: each object may be declared in any of
/// them, but only once. Keys that begin with `x-` are ignored and may hold YAML anchors; `x-allow` allows
/// findings of `check` in its file: a map from rule to reason.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// Version of this format. Always 1; every file has it.
    #[schemars(range(min = 1, max = 1))]
    pub version: u8,
    /// How the desk presents itself.
    pub desk: Option<Desk>,
    /// Who may write, and what counts as the same mail.
    pub intake: Option<Intake>,
    /// Bounds on automatic mail and on connections.
    pub limits: Option<Limits>,
    /// How people sign in on the page, beside passwords.
    pub sign_in: Option<SignIn>,
    /// Settings for objects that do not have their own.
    pub defaults: Option<Defaults>,
    /// Servers that take our mail, by name.
    #[serde(default)]
    pub smtp: BTreeMap<String, SmtpServer>,
    /// Who outgoing mail comes from, by name. `default` is used by queues that name none.
    #[serde(default)]
    pub senders: BTreeMap<String, Sender>,
    /// OAuth2 providers and our registrations with them.
    pub oauth2: Option<OAuth2>,
    /// Mailboxes to fetch from, by name.
    #[serde(default)]
    pub mail_accounts: BTreeMap<String, MailAccount>,
    /// Queues, by name. `Raw` exists even if it is not declared.
    #[serde(default)]
    pub queues: BTreeMap<String, Queue>,
    /// Addresses of ours, each with the queue of mail to it.
    #[serde(default)]
    pub system_addresses: BTreeMap<String, SystemAddress>,
    /// Rules on incoming mail, by name. They run in ascending `order`, ties by name.
    #[serde(default)]
    pub filters: BTreeMap<String, Filter>,
    /// Texts of automatic answers, by name.
    #[serde(default)]
    pub auto_replies: BTreeMap<String, AutoReply>,
    /// Customers that are known by declaration, by address.
    #[serde(default)]
    pub customers: BTreeMap<String, Customer>,
    /// Agents, by user name.
    #[serde(default)]
    pub users: BTreeMap<String, User>,
    /// Bearer tokens of the API, by name.
    #[serde(default)]
    pub api_tokens: BTreeMap<String, ApiToken>,
    /// Programs that are told of events of tickets, by name.
    #[serde(default)]
    pub webhooks: BTreeMap<String, Webhook>,
    /// Texts of notifications that replace the built-in ones, by event.
    #[serde(default)]
    pub notifications: BTreeMap<EventName, Notification>,
    /// Renames. The new name inherits what is stored under the old one.
    #[serde(default)]
    pub moved: Vec<Moved>,
    /// Mails and what must become of them, run by `postroom test`.
    #[serde(default)]
    pub tests: Vec<Test>,
}

/// Settings for objects that do not have their own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Defaults {
    /// For mail accounts.
    pub mail_accounts: Option<AccountDefaults>,
    /// For queues.
    pub queues: Option<QueueDefaults>,
}
