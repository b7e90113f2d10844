//! `systemAddresses`: addresses of ours.

use schemars::JsonSchema;
use serde::Deserialize;

use super::words::Switch;

/// Whether the customer gets what an agent writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Visibility {
    /// He does.
    Public,
    /// He does not.
    Internal,
}

/// An address of ours.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SystemAddress {
    /// Display name in mails from this address. Default: the address.
    pub name: Option<String>,
    /// Name of the queue of mail to this address.
    pub queue: String,
    /// Whether what an agent writes to this address goes on to the customer (`public`) or stays
    /// with the ticket (`internal`). Default `public`.
    pub visibility: Option<Visibility>,
    /// Switch. A disabled address receives nothing new but is still recognised as ours.
    pub state: Option<Switch>,
    /// For the reader of this file.
    pub comment: Option<String>,
}
