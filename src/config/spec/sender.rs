//! `senders`: who outgoing mail comes from.

use schemars::JsonSchema;
use serde::Deserialize;

use super::words::Switch;

/// Who outgoing mail comes from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sender {
    /// Header From: `helpdesk@example.com` or `Helpdesk <helpdesk@example.com>`.
    pub from: String,
    /// Envelope sender, to which bounces go. Default: none for automatic mail, `from` for an
    /// agent's mail.
    pub envelope_from: Option<String>,
    /// Names of the `smtp` servers to try, in this order.
    #[schemars(length(min = 1))]
    pub via: Vec<String>,
    /// Switch. Default `enabled`.
    pub state: Option<Switch>,
    /// For the reader of this file.
    pub comment: Option<String>,
}
