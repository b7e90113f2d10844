//! Which queue a new ticket goes to, and why.

use super::config::{Account, Config};
use super::filter::Settings;
use super::mail::Mail;

/// Headers in which a system address is looked for, in this order.
pub const RECIPIENT_HEADERS: [&str; 7] =
    ["Resent-To", "Envelope-To", "To", "Cc", "Delivered-To", "X-Original-To", "X-Envelope-To"];

/// The queue of a new ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Name of the queue; it exists.
    pub queue: String,
    /// Which rule chose it.
    pub by: RoutedBy,
    /// The rule in words, such as `To: support@acme.example`.
    pub why: String,
}

/// Which rule chose a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutedBy {
    /// A filter or a trusted control header.
    Filter,
    /// The account's fixed queue.
    Account,
    /// A system address among the recipients.
    Recipient,
    /// Nothing matched.
    LastResort,
}

impl RoutedBy {
    /// Label for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            RoutedBy::Filter => "filter",
            RoutedBy::Account => "account",
            RoutedBy::Recipient => "recipient",
            RoutedBy::LastResort => "lastResort",
        }
    }
}

/// Chooses the queue of a new ticket.
pub fn route(config: &Config, account: &Account, mail: &Mail, settings: &Settings) -> Route {
    todo!()
}
