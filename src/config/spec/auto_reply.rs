//! `autoReplies`: texts of automatic answers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::text::Template;
use super::words::{Language, Switch};

/// A template per language: text, or `{file: PATH}`.
pub type Texts = BTreeMap<Language, Template>;

/// An automatic answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutoReply {
    /// Header From: one of `systemAddresses`.
    pub from: String,
    /// Envelope sender. Default: none, so that nobody answers the answer.
    pub envelope_from: Option<String>,
    /// Subject per language; the tag `[Ticket#...]` is put before.
    #[schemars(extend("minProperties" = 1))]
    pub subject: Texts,
    /// Text per language. The customer's language is taken, else the desk's, else any.
    #[schemars(extend("minProperties" = 1))]
    pub text: Texts,
    /// Switch. Default `enabled`.
    pub state: Option<Switch>,
    /// For the reader of this file.
    pub comment: Option<String>,
}
