//! Speaks with OAuth2 providers (RFC 6749): how a token is asked for, and what an answer means.
//!
//! ```text
//! code.rs      a person signs in with a browser: URL, code → tokens           RFC 6749, RFC 9700
//! pkce.rs      what such a sign-in proves itself with                         RFC 7636
//! device.rs    a person signs in on another device                            RFC 8628
//! answer.rs    what a token endpoint says, read with suspicion
//! seal.rs      tokens as they are stored: encrypted
//! ```
//!
//! Architecture invariant: nothing in here stores, waits or tries again; `run::tokens` does. No
//! token, code or secret is ever part of an error, and no redirect is followed.

pub mod answer;
pub mod code;
pub mod device;
pub mod pkce;
pub mod seal;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use crate::core::config::{
    ClientAuth, Grant, OAuth2, OAuthProfile, OAuthProvider, OAuthService, TENANT,
};
use crate::net::NetError;
use crate::net::http::{Client, HttpError, Request, percent_encoded};
use crate::net::reach::Reach;
use crate::secret::{SecretError, Secrets};

pub use answer::Tokens;

/// Time for a whole request to a provider.
pub const WITHIN: Duration = Duration::from_secs(15);
/// Longest answer of a provider. Bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Fields of a form that prove something. The others are words that a description may well name.
const SECRET_FIELDS: [&str; 4] = ["code", "code_verifier", "device_code", "refresh_token"];
/// Tenant of those who name none: any organisation of the provider.
const TENANT_DEFAULT: &str = "organizations";

/// Our registration with a provider for one protocol, with all references read.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Where a person signs in.
    pub auth_url: String,
    /// Where tokens are issued.
    pub token_url: String,
    /// Where a device code is issued.
    pub device_url: Option<String>,
    /// How we show who we are.
    pub client_auth: ClientAuth,
    /// What is added to `auth_url`.
    pub auth_params: Vec<(String, String)>,
    /// Who we are.
    pub client_id: String,
    /// What proves it.
    pub client_secret: Option<SecretString>,
    /// What we ask for.
    pub scopes: Vec<String>,
}

/// Why there is no token. Texts read after "could not get a token: ".
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// The provider could not be asked.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// A reference could not be read.
    #[error("{0}")]
    Secret(#[from] SecretError),
    /// What is declared does not suffice.
    #[error("{0}")]
    Declared(String),
    /// The provider has too much to do, or a fault.
    #[error("the provider answered with status {status}")]
    Busy {
        /// Status of HTTP.
        status: u16,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The answer is not one of a token endpoint.
    #[error("the provider's answer cannot be used: {0}")]
    Answer(&'static str),
    /// A person must sign in: what the refresh token stands for has ended.
    #[error("the provider wants a person to sign in ({0})")]
    SignIn(String),
    /// Only an administrator of the provider can help: consent, assignment, Conditional Access.
    #[error("an administrator of the provider must act ({0})")]
    Administrator(String),
    /// The provider does not take our identifier or secret.
    #[error("the provider does not take clientId or clientSecret ({0})")]
    Client(String),
    /// The person has not decided yet (RFC 8628 section 3.5).
    #[error("nobody has signed in yet")]
    Pending {
        /// Whether we ask too often.
        slow_down: bool,
    },
    /// Any other refusal.
    #[error("the provider refused ({0})")]
    Refused(String),
}

impl OAuthError {
    /// Label for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            OAuthError::Http(error) => error.label(),
            OAuthError::Secret(_) => "secret",
            OAuthError::Declared(_) => "declared",
            OAuthError::Busy { .. } => "busy",
            OAuthError::Answer(_) => "answer",
            OAuthError::SignIn(_) => "sign_in",
            OAuthError::Administrator(_) => "administrator",
            OAuthError::Client(_) => "client",
            OAuthError::Pending { .. } => "pending",
            OAuthError::Refused(_) => "refused",
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            OAuthError::Http(HttpError::Private(..)) => {
                "set `allowPrivate: true` on the provider if that is meant"
            }
            OAuthError::Http(HttpError::Net(NetError::Certificate(..))) => {
                "trust the provider's own root with `tls: {ca: FILE}` at the provider"
            }
            OAuthError::Http(_) => "is `tokenUrl` right, and does a firewall let us out?",
            OAuthError::Secret(_) => {
                "secrets of `{secret: NAME}` lie in the directory --secrets-dir"
            }
            OAuthError::Declared(_) => "compare the profile with docs/oauth2.md",
            OAuthError::Busy { .. } => "it is asked again by itself",
            OAuthError::Answer(_) => "is `tokenUrl` the token endpoint, and no page for people?",
            OAuthError::SignIn(_) => "sign in with `postroom oauth login`",
            OAuthError::Administrator(_) => {
                "the code says what is missing: consent, the assignment of the user, or an exception \
                 in Conditional Access; signing in again does not help"
            }
            OAuthError::Client(_) => {
                "is clientSecret the value, not its identifier, and still valid?"
            }
            OAuthError::Pending { .. } => "open the page and type the code",
            OAuthError::Refused(_) => {
                "compare `tokenUrl`, the scopes and the permissions of the registration"
            }
        }
    }
}

/// A client for this provider: its certificates, and where it may lie.
pub fn client(provider: &OAuthProvider) -> Client {
    let reach = if provider.allow_private { Reach::Private } else { Reach::Public };
    Client::new(provider.tls.clone(), reach)
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purpose {
    /// Protocol: `imap`, `pop3`, `smtp` or `graph`.
    pub service: &'static str,
    /// To send.
    pub sends: bool,
    /// To open a mailbox of another user.
    pub shared: bool,
}

/// Reads what is declared for a profile and a purpose.
pub fn registration(
    oauth2: &OAuth2,
    profile: &str,
    purpose: Purpose,
    secrets: &Secrets,
) -> Result<Registration, OAuthError> {
    let Purpose { service, sends, shared } = purpose;
    let missing = |what: String| OAuthError::Declared(what);
    let declared = oauth2
        .profiles
        .get(profile)
        .ok_or_else(|| missing(format!("profile {profile:?} is not declared any more")))?;
    let provider = oauth2
        .providers
        .get(&declared.provider)
        .ok_or_else(|| missing(format!("provider {:?} is not declared", declared.provider)))?;
    let own = provider.services.get(&OAuthService::name(service, sends, shared));
    let offered = own.or_else(|| provider.services.get(service));
    let scopes = offered.map(|offered| match declared.grant {
        Grant::ClientCredentials => offered.app_scopes.clone(),
        Grant::AuthorizationCode | Grant::DeviceCode => offered.scopes.clone(),
    });
    let of_tenant = |url: &String| at_tenant(url, declared);
    let params = provider.auth_params.iter();
    Ok(Registration {
        auth_url: of_tenant(&provider.auth_url),
        token_url: token_url(declared, provider),
        device_url: provider.device_url.as_ref().map(of_tenant),
        client_auth: provider.client_auth,
        auth_params: params.map(|(name, value)| (name.clone(), value.clone())).collect(),
        client_id: secrets.text(&declared.client_id)?,
        client_secret: declared.client_secret.as_ref().map(|it| secrets.read(it)).transpose()?,
        scopes: scopes.unwrap_or_default(),
    })
}

/// Where a profile's tokens come from.
pub fn token_url(profile: &OAuthProfile, provider: &OAuthProvider) -> String {
    at_tenant(&provider.token_url, profile)
}

fn at_tenant(url: &str, profile: &OAuthProfile) -> String {
    url.replace(TENANT, profile.tenant.as_deref().unwrap_or(TENANT_DEFAULT))
}

/// RFC 6749 section 4.4: a token for ourselves.
pub async fn client_credentials(
    client: &Client,
    registration: &Registration,
) -> Result<Tokens, OAuthError> {
    let scope = registration.scopes.join(" ");
    let fields = [("grant_type", "client_credentials"), ("scope", &scope)];
    token(client, registration, &fields).await.map_err(|error| match error {
        // Conditional Access answers an application with the codes that send a person to the
        // sign-in (github.com/microsoft/botbuilder-dotnet issue 6759), and nobody signs in here.
        OAuthError::SignIn(said) => OAuthError::Administrator(said),
        other => other,
    })
}

/// Scopes that ask who signed in (OpenID Connect Core 1.0 section 5.4).
const SCOPES_OF_IDENTITY: [&str; 2] = ["openid", "profile"];

/// RFC 6749 section 6: a new token for one who has signed in before.
pub async fn refresh(
    client: &Client,
    registration: &Registration,
    refresh_token: &SecretString,
) -> Result<Tokens, OAuthError> {
    // Who signed in is asked once, then; a sign-in from before that was asked has not allowed it.
    let scopes = registration.scopes.iter().map(String::as_str);
    let scopes: Vec<&str> = scopes.filter(|scope| !SCOPES_OF_IDENTITY.contains(scope)).collect();
    let scope = scopes.join(" ");
    let refresh_token = refresh_token.expose_secret();
    let fields =
        [("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("scope", &scope)];
    token(client, registration, &fields).await
}

/// One question to the token endpoint. It is asked on a connection of its own, once: a request
/// that may have been carried out must not be sent again by itself.
async fn token(
    client: &Client,
    registration: &Registration,
    fields: &[(&str, &str)],
) -> Result<Tokens, OAuthError> {
    let request = authenticated(registration, &registration.token_url, fields);
    let answer = client.ask(request).await?;
    let secrets = Sent::of(registration, fields);
    answer::tokens(&answer, &secrets.all())
}

/// What we sent that must not be repeated, in the forms in which it travelled.
struct Sent<'a> {
    plain: Vec<&'a str>,
    login: Option<String>,
}

impl<'a> Sent<'a> {
    fn of(registration: &'a Registration, fields: &[(&str, &'a str)]) -> Sent<'a> {
        let secret = registration.client_secret.as_ref().map(|secret| secret.expose_secret());
        let secrets = fields.iter().filter(|(name, _)| SECRET_FIELDS.contains(name));
        let plain = secrets.map(|(_, value)| *value).chain(secret).collect();
        Sent { plain, login: secret.map(|secret| login(&registration.client_id, secret)) }
    }

    fn all(&self) -> Vec<&str> {
        self.plain.iter().copied().chain(self.login.as_deref()).collect()
    }
}

/// Who we are and what proves it, as RFC 6749 section 2.3.1 writes it: each is encoded like a form
/// before they are joined as in RFC 7617.
pub fn login(client_id: &str, secret: &str) -> String {
    STANDARD.encode(format!("{}:{}", percent_encoded(client_id), percent_encoded(secret)))
}

/// A form with our identifier, and what proves it (RFC 6749 section 2.3.1).
fn authenticated(registration: &Registration, url: &str, fields: &[(&str, &str)]) -> Request {
    let mut fields: Vec<(&str, &str)> =
        fields.iter().filter(|(_, value)| !value.is_empty()).copied().collect();
    let mut basic = None;
    match (&registration.client_secret, registration.client_auth) {
        (Some(secret), ClientAuth::Basic) => {
            let login = login(&registration.client_id, secret.expose_secret());
            basic = Some(format!("Basic {login}"));
        }
        (Some(secret), ClientAuth::Post) => {
            fields.push(("client_id", &registration.client_id));
            fields.push(("client_secret", secret.expose_secret()));
        }
        (None, ClientAuth::Basic | ClientAuth::Post) => {
            fields.push(("client_id", &registration.client_id));
        }
    }
    let request = Request::form(url, &fields)
        .header("accept", "application/json")
        .answer_max(ANSWER_BYTES_MAX)
        .within(WITHIN)
        .alone();
    match basic {
        Some(basic) => request.secret_header("authorization", &basic),
        None => request,
    }
}
