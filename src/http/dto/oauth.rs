//! Signing in with OAuth2, and how everybody stands.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::config::{Config, Grant};
use crate::core::ending;
use crate::lint::SignIn;
use crate::run::tokens::{Begun, Standing};

/// Who signs in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignInRequest {
    /// Profile of `oauth2.profiles`.
    pub profile: String,
    /// Mail account that needs the tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// SMTP server that needs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<String>,
    /// Whether the person signs in on another device.
    #[serde(default)]
    pub device: bool,
    /// Where the browser is sent if not to the daemon: a URL of the person's own machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    /// Whether it is to be sent there although the daemon has an external URL.
    #[serde(default)]
    pub loopback: bool,
}

/// A sign-in that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignInView {
    /// Names it from now on.
    pub id: String,
    /// Where the person goes.
    pub url: String,
    /// What the person types there; absent with a browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_code: Option<String>,
    /// Whether the browser comes back to the daemon.
    pub via_daemon: bool,
    /// Until when.
    pub ends: String,
}

/// What a browser brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CodeRequest {
    /// Which sign-in it belongs to.
    pub state: String,
    /// The code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The error in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How one who logs in with a token stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StandingView {
    /// `mailAccount` or `smtp`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its profile.
    pub profile: String,
    /// How the profile gets tokens.
    pub grant: String,
    /// When a person signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_in: Option<String>,
    /// When the refresh token was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_issued: Option<String>,
    /// When it ends: as the provider says, or if nobody uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_ends: Option<String>,
    /// When the access token ends, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_ends: Option<String>,
    /// Day after which the client secret is not accepted, as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_expires: Option<String>,
    /// What has ended or ends soon, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Whether it is paused, so that it needs no token now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Why there is no token: a word as in conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl SignInView {
    /// In this form.
    pub fn of(begun: &Begun, via_daemon: bool) -> SignInView {
        SignInView {
            id: begun.id.clone(),
            url: begun.url.clone(),
            user_code: begun.user_code.clone(),
            via_daemon,
            ends: begun.ends.to_string(),
        }
    }
}

impl StandingView {
    /// What `check` says of it, if the sign-in ends soon.
    pub fn near_its_end(self, now: Timestamp) -> Option<SignIn> {
        let issued = self.refresh_issued?.parse().ok()?;
        let ends: Timestamp = self.refresh_ends?.parse().ok()?;
        Some(SignIn {
            server: self.kind == "smtp",
            name: self.name,
            profile: self.profile,
            ends: ends.to_zoned(TimeZone::UTC).date(),
            days: ending::days_left(issued, ends, now)?,
        })
    }
}

impl StandingView {
    /// In this form.
    pub fn of(config: &Config, standing: &Standing, now: Timestamp) -> StandingView {
        let warnings = standing.warnings(&config.oauth2, now);
        let profile = config.oauth2.profiles.get(&standing.holder.profile);
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        StandingView {
            kind: standing.holder.kind.word().into(),
            name: standing.holder.name.clone(),
            profile: standing.holder.profile.clone(),
            grant: match profile.map(|profile| profile.grant) {
                Some(Grant::AuthorizationCode) => "authorizationCode",
                Some(Grant::DeviceCode) => "deviceCode",
                Some(Grant::ClientCredentials) => "clientCredentials",
                None => "",
            }
            .into(),
            signed_in: text(standing.signed_in),
            refresh_issued: text(standing.issued),
            refresh_ends: text(standing.refresh_ends),
            access_ends: text(standing.access_ends),
            secret_expires: profile
                .and_then(|profile| profile.secret_expires)
                .map(|day| day.to_string()),
            warnings: warnings.into_iter().map(|warning| warning.text).collect(),
            paused: standing.paused,
            reason: standing.failed.as_ref().map(|error| error.why.reason().into()),
            message: standing.failed.as_ref().map(|error| error.message.clone()),
        }
    }
}
