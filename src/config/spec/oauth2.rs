//! `oauth2`: providers, and our registrations with them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::text::{DateText, SecretReference, TextOrReference};

/// OAuth2 providers and our registrations with them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OAuth2 {
    /// Providers, by name.
    #[serde(default)]
    pub providers: BTreeMap<String, Provider>,
    /// Our registrations with providers, by name.
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
}

/// Endpoints of a provider, and what it offers for each protocol.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provider {
    /// Where a person signs in.
    pub auth_url: String,
    /// Where tokens are issued.
    pub token_url: String,
    /// Where a device code is issued; needed for `grant: deviceCode`.
    pub device_url: Option<String>,
    /// For accounts of type `imapoauth2`.
    pub imap: Option<Service>,
    /// For accounts of type `pop3oauth2`.
    pub pop3: Option<Service>,
    /// For SMTP servers with an OAuth2 profile.
    pub smtp: Option<Service>,
    /// For accounts of type `graph`.
    pub graph: Option<Service>,
}

/// What a provider offers for one protocol.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// Host for accounts and servers that name none.
    pub host: Option<String>,
    /// Scopes to ask for.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// A registration with a provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// Name of the provider.
    pub provider: String,
    /// Client identifier, plain or a reference.
    pub client_id: TextOrReference,
    /// Where the client secret is found. Public clients have none.
    pub client_secret: Option<SecretReference>,
    /// Day after which the provider no longer accepts the client secret; watched by a metric.
    pub secret_expires: Option<DateText>,
    /// How tokens are obtained.
    pub grant: Grant,
}

/// How tokens are obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Grant {
    /// A person signs in with a browser, once.
    AuthorizationCode,
    /// A person signs in on another device, once.
    DeviceCode,
    /// With the client secret alone.
    ClientCredentials,
}
