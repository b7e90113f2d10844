//! `oauth2`: providers, and our registrations with them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::smtp::Tls;
use super::text::{DateText, DurationText, NameText, SecretReference, TextOrReference};

/// OAuth2 providers and our registrations with them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OAuth2 {
    /// Where the key is found with which tokens are encrypted in the store, such as the output of
    /// `openssl rand -base64 32`. Needed for grants at which a person signs in. With another key
    /// everybody signs in anew.
    pub seal_key: Option<SecretReference>,
    /// Providers, by name. `microsoft` and `google` are known without being declared; what is
    /// declared under these names replaces single fields.
    #[serde(default)]
    pub providers: BTreeMap<String, Provider>,
    /// Our registrations with providers, by name.
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
}

/// Endpoints of a provider, and what it offers for each protocol. `{tenant}` in a URL stands for
/// the `tenant` of the profile.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provider {
    /// Where a person signs in.
    pub auth_url: Option<String>,
    /// Where tokens are issued.
    pub token_url: Option<String>,
    /// Where a device code is issued; needed for `grant: deviceCode`.
    pub device_url: Option<String>,
    /// How we show who we are at `tokenUrl`. Default `basic`.
    pub client_auth: Option<ClientAuth>,
    /// What is added to `authUrl` when a person signs in, such as `access_type: offline`.
    pub auth_params: Option<BTreeMap<String, String>>,
    /// How long a refresh token lives that nobody uses, at a provider that does not say so itself.
    /// Known are 90 days of `microsoft` and 180 of `google`. It is told 30 and 7 days before.
    pub refresh_token_life: Option<DurationText>,
    /// `true` allows URLs that lead to this machine or a private network. Default `false`: such an
    /// address is refused, so that nobody reads through us what only we can reach.
    pub allow_private: Option<bool>,
    /// Certificates and names.
    pub tls: Option<Tls>,
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
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// Host for accounts and servers that name none.
    pub host: Option<String>,
    /// Port for those that name none.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// Scopes to ask for.
    pub scopes: Option<Vec<String>>,
    /// Scopes to ask for with `grant: clientCredentials`. Default as `scopes`.
    pub app_scopes: Option<Vec<String>>,
}

/// A registration with a provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// Name of the provider: `microsoft`, `google`, or one of `oauth2.providers`.
    pub provider: String,
    /// Directory of the provider, for URLs with `{tenant}`: an identifier or a domain. Default
    /// `organizations`, which means any; `grant: clientCredentials` needs one.
    pub tenant: Option<NameText>,
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

/// How we show who we are at a token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ClientAuth {
    /// Identifier and secret in the header, which every provider must understand.
    Basic,
    /// Both in the form.
    Post,
}
