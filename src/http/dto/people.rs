//! Who asks, and the people of the desk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::config::{Switch, User};
use crate::http::routes::role_name;

/// Whose token it is, and what it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeView {
    /// Name of the token under `apiTokens`; `local` for the one in the data directory.
    pub token: String,
    /// Its role.
    pub role: String,
    /// Its last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Everything that it opens.
    pub may: Vec<OperationView>,
}

/// One thing that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationView {
    /// `GET`, `POST`, ...
    pub method: String,
    /// Path with its parameters in braces, as in this document.
    pub path: String,
}

/// Somebody who works on tickets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserView {
    /// Name under `users`, as in `owner` and `responsible`.
    pub name: String,
    /// Name for people.
    pub full_name: String,
    /// Role on the page.
    pub role: String,
    /// `enabled`, `disabled` or `paused`.
    pub state: String,
}

/// The same with what is his own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserDetail {
    /// Who it is.
    pub user: UserView,
    /// Address that notifications go to.
    pub email: String,
    /// Language of his page and mails.
    pub language: String,
    /// Zone of his times, digest and quiet hours.
    pub time_zone: String,
    /// What rang and was not read; 100 also stands for more.
    pub unread: usize,
}

impl From<&User> for UserView {
    fn from(user: &User) -> UserView {
        let state = match user.state {
            Switch::Enabled => "enabled",
            Switch::Disabled => "disabled",
            Switch::Paused => "paused",
        };
        UserView {
            name: user.name.clone(),
            full_name: user.full_name.clone(),
            role: role_name(user.role).into(),
            state: state.into(),
        }
    }
}

impl UserDetail {
    /// With so many unread bells.
    pub fn of(user: &User, unread: usize) -> UserDetail {
        UserDetail {
            user: UserView::from(user),
            email: user.email.to_string(),
            language: user.language.code().into(),
            time_zone: user.time_zone.iana_name().unwrap_or("UTC").into(),
            unread,
        }
    }
}
