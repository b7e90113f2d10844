//! `moved`: renames.

use schemars::JsonSchema;
use serde::Deserialize;

/// A rename: the new name inherits what is stored under the old one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Moved {
    /// What was renamed.
    pub kind: MovedKind,
    /// Old name. No longer declared.
    pub from: String,
    /// New name. Declared.
    pub to: String,
}

/// Kinds of objects whose rename keeps what is stored about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MovedKind {
    /// Cursor, record of taken mails and sign-in follow.
    MailAccount,
    /// Tickets follow.
    Queue,
    /// Ownership and watches follow.
    User,
}
