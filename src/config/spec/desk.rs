//! `desk`, `intake`, `limits`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::text::DigitsText;
use super::words::Language;

/// How the desk presents itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Desk {
    /// Shown in mails and on the page. Default `Postroom`.
    pub name: Option<String>,
    /// Text before the number in the subject tag `[Ticket#2026...]`. Default `Ticket#`.
    pub hook: Option<String>,
    /// Digits that tell this desk's ticket numbers from another desk's. Default `"10"`.
    pub system_id: Option<DigitsText>,
    /// Language of texts when nothing better is known. Default `en`.
    pub language: Option<Language>,
    /// Zone in which a day begins for ticket numbers and in which times are shown, such as
    /// `Asia/Tokyo`. Default `UTC`.
    pub time_zone: Option<String>,
}

/// Who may write, and what counts as the same mail.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Intake {
    /// Whose mail becomes a ticket. Default `open`.
    pub customers: Option<Customers>,
    /// How far a repeated mail is recognised. Default `account`.
    pub dedupe: Option<Dedupe>,
}

/// Whose mail becomes a ticket.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Customers {
    /// Everybody's.
    Open,
    /// That of declared customers and agents; the rest is quarantined.
    Declared,
}

/// How far a repeated mail is recognised.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Dedupe {
    /// Within one account: a mail to two accounts gives two tickets.
    Account,
    /// Over all accounts.
    Global,
}

/// Bounds on automatic mail and on connections.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Automatic answers to one address in 24 hours. Default 40.
    pub auto_replies_per_day: Option<u32>,
    /// Automatic answers to one address in 3 hours. Default 10.
    pub auto_replies_per_three_hours: Option<u32>,
    /// Automatic answers in 24 hours to single addresses, instead of `autoRepliesPerDay`.
    #[serde(default)]
    pub auto_replies_per_address: BTreeMap<String, u32>,
    /// Connections at a time to one mail host. Default 8.
    #[schemars(range(min = 1, max = 1000))]
    pub connections_per_host: Option<u32>,
}
