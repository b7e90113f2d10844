//! `apiTokens`: bearer tokens of the API.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text::{DateText, Sha256Text};
use super::words::{Role, Switch};

/// A bearer token of the API, known by its digest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiToken {
    /// SHA-256 of the token, in hexadecimal: `printf %s "$TOKEN" | sha256sum`.
    pub sha256: Sha256Text,
    /// What it may do.
    pub role: Role,
    /// Last day on which it is accepted. Default: no end.
    pub expires: Option<DateText>,
    /// Switch. Default `enabled`.
    pub state: Option<Switch>,
    /// For the reader of this file.
    pub comment: Option<String>,
}
