//! `notifications`: texts that replace the built-in ones.

use schemars::JsonSchema;
use serde::Deserialize;

use super::auto_reply::Texts;

/// Text of the notification of one event. A language that is left out keeps the built-in text.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Notification {
    /// Subject per language; the tag `[Ticket#...]` is put before.
    #[serde(default)]
    pub subject: Texts,
    /// Text per language.
    #[serde(default)]
    pub text: Texts,
}
