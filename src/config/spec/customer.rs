//! `customers`: who writes to us.

use schemars::JsonSchema;
use serde::Deserialize;

use super::words::Language;

/// A customer that is known by declaration.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Customer {
    /// Full name.
    pub name: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// Language of mails to this customer. Default: the desk's.
    pub language: Option<Language>,
    /// For the reader of this file.
    pub comment: Option<String>,
}
