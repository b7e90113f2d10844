//! `systemAddresses`: addresses of ours.

use schemars::JsonSchema;
use serde::Deserialize;

use super::words::Switch;

/// An address of ours.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SystemAddress {
    /// Display name in mails from this address. Default: the address.
    pub name: Option<String>,
    /// Name of the queue of mail to this address.
    pub queue: String,
    /// Switch. A disabled address receives nothing new but is still recognised as ours.
    pub state: Option<Switch>,
    /// For the reader of this file.
    pub comment: Option<String>,
}
