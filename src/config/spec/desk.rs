//! `desk`, `intake`, `limits`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::text::{DigitsText, DurationText};
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
    /// What becomes of those whom a customer's mail names in To and Cc. Default `participants`.
    pub cc: Option<Cc>,
    /// Whose mail is answered automatically. Default `everybody`.
    pub answer: Option<Answer>,
    /// Name with which your own mail server begins its `Authentication-Results` (RFC 8601), such
    /// as `mx.example.com`. An agent whose mail it calls authentic (`dmarc=pass` for the domain in
    /// From, or `dkim=pass` of that domain) is believed to have written it. Name a server only if
    /// it removes this header, with its own name, from mail that comes in. Default: none is
    /// believed.
    pub authserv_id: Option<String>,
    /// How long after the last change of a ticket an answer to a notification proves that its agent
    /// wrote it. Later answers stay with the ticket, not verified. Default `90d`.
    pub proof_valid_for: Option<DurationText>,
    /// An agent's mail that begins with this word is internal: it does not go on to the customer.
    /// The word is cut. Default `"#internal"`; empty: no word does that.
    pub internal_marker: Option<String>,
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

/// What becomes of those whom a customer's mail names in To and Cc.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Cc {
    /// They take part in the ticket: their mail may join it by its number.
    Participants,
    /// Nothing. Whom an agent writes to takes part all the same.
    Ignore,
}

/// Whose mail is answered automatically.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// Everybody's.
    Everybody,
    /// Only mail that the server named in `authservId` calls authentic, with an answer to the same
    /// domain, or that a filter allows with `autoReply: allow`. Whoever writes in somebody else's
    /// name makes the desk send nothing to him. Other mail becomes a ticket as ever.
    Authenticated,
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
    /// Automatic answers to one address in 3 hours, whatever stands behind a `+` in it. The same
    /// limit holds for all addresses of one domain together that write the same subject but for its
    /// numbers, except at public mail providers: some programs write from another address each
    /// time. Default 10.
    pub auto_replies_per_three_hours: Option<u32>,
    /// Automatic answers in 24 hours to single addresses, instead of `autoRepliesPerDay`.
    #[serde(default)]
    pub auto_replies_per_address: BTreeMap<String, u32>,
    /// Automatic answers to one address about one ticket in one hour. Default 5.
    pub auto_replies_per_ticket: Option<u32>,
    /// New tickets of one address with the same subject that are answered in 24 hours; `Re:` and
    /// ticket numbers aside. Default 2: the first answer may be what an answering machine reacts to,
    /// the second shows that it does, and a third would begin a loop. An empty subject and a single
    /// word do not count, for people write these again and again; follow-ups do not either.
    pub auto_replies_per_subject: Option<u32>,
    /// Automatic answers of the whole desk in one hour, whoever they go to. Default 1000. Beyond it
    /// mails become tickets as ever, and nobody is answered: a desk that must say so much is most
    /// likely being used, or talks to another machine.
    pub auto_replies_per_hour: Option<u32>,
    /// Notification mails to one user in one hour of the clock. Default 100. What is more comes to
    /// him as one mail when the hour is over and his quiet hours are, or with his digest if he has
    /// one; it says how many there were and lists the first. The bell rings as ever, and what is
    /// owed to customers never waits.
    #[schemars(range(min = 1))]
    pub notifications_per_hour: Option<u32>,
    /// Connections at a time to one mail host. Default 8.
    #[schemars(range(min = 1, max = 1000))]
    pub connections_per_host: Option<u32>,
}
