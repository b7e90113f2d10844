//! `signIn`: how people sign in on the page, beside passwords.

use schemars::JsonSchema;
use serde::Deserialize;

use super::smtp::Tls;
use super::text::{SecretReference, TextOrReference};

/// How people sign in on the page, beside the passwords of users.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignIn {
    /// An OpenID Connect provider. Its people sign in as the user whom they are found to be.
    pub oidc: Option<Oidc>,
}

/// An OpenID Connect provider, and our registration with it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Oidc {
    /// Who it is, exactly as it names itself; everything else is found beneath
    /// `/.well-known/openid-configuration`. `https`, or `http` on this machine.
    pub issuer: String,
    /// What stands on the button. Default: the host of the issuer.
    pub name: Option<String>,
    /// Client identifier, plain or a reference. The redirect to register is the address of
    /// `--external-url` followed by `/sign-in/oidc/callback`.
    pub client_id: TextOrReference,
    /// Where the client secret is found. Public clients have none.
    pub client_secret: Option<SecretReference>,
    /// Scopes to ask for. Default `openid`, `email`, `profile`.
    pub scopes: Option<Vec<String>>,
    /// Claim that names the user, by user name or by mail address, such as `preferred_username`. The
    /// provider must not let people choose it freely. Default: `email`, and only if the provider
    /// says that it is verified.
    pub user_claim: Option<String>,
    /// Whether the provider may lie in a private network or on this machine. Default false.
    #[serde(default)]
    pub allow_private: bool,
    /// Certificates of the provider.
    pub tls: Option<Tls>,
}
