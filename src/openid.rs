//! Signing people in at an OpenID provider: discovery, the code with PKCE, and who it was.
//!
//! ```text
//! discover     issuer → where to send the browser, where to ask for the token, which keys
//! Flow::begin  state, nonce and verifier of one attempt; the browser goes to the provider
//! finish       code → ID token → its claims, verified by [`id_token`]
//! ```
//! OpenID Connect Core 1.0, OpenID Connect Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (issuer).
//!
//! Architecture invariant: it knows no user of ours. What a provider says counts only if it came
//! over verified TLS from the issuer that was declared, is signed by one of his keys, and is meant
//! for us and for this one attempt. No token is kept, and none is part of an error.

pub mod id_token;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::net::http::{Answer, Client, HttpError, Request, percent_encoded};
use crate::oauth::{self, pkce};
use id_token::{Claims, Expected, Invalid, Keys};

/// Longest code that is passed on to the provider.
const CODE_BYTES_MAX: usize = 4096;

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum OpenIdError {
    /// The provider was not reached.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// It answered with an error.
    #[error("{0} answered {1}{2}")]
    Refused(&'static str, u16, String),
    /// Its answer is not what the standard says.
    #[error("the {0} cannot be read: {1}")]
    Unreadable(&'static str, &'static str),
    /// What it says does not count.
    #[error("the ID token is not accepted: {0}")]
    Token(#[from] Invalid),
    /// The system gave no randomness.
    #[error("no randomness")]
    Randomness,
}

/// What a provider says of itself (OpenID Connect Discovery 1.0 section 3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Discovery {
    /// Who it is.
    pub issuer: String,
    /// Where people sign in.
    pub authorization_endpoint: String,
    /// Where the code is exchanged.
    pub token_endpoint: String,
    /// Its keys.
    pub jwks_uri: String,
    /// Where more is told of a person who signed in.
    #[serde(default)]
    pub userinfo_endpoint: Option<String>,
    /// How a client may prove who it is.
    #[serde(default = "basic")]
    pub token_endpoint_auth_methods_supported: Vec<String>,
}

fn basic() -> Vec<String> {
    vec!["client_secret_basic".to_owned()]
}

/// How we are registered with a provider.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Who we are there.
    pub client_id: String,
    /// How we prove it; public clients do not.
    pub client_secret: Option<SecretString>,
    /// Where the browser comes back to.
    pub redirect_uri: String,
}

/// One attempt of one browser to sign in. It is written out only to be sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Flow {
    /// Comes back with the browser.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Proves that whoever exchanges the code began the attempt (RFC 7636 section 4.1).
    #[serde(serialize_with = "exposed")]
    verifier: SecretString,
}

fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// Asks a provider what it says of itself.
pub async fn discover(client: &Client, issuer: &str) -> Result<Discovery, OpenIdError> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let answer = client.ask(Request::get(url)).await?;
    let found: Discovery = read("discovery document", &answer)?;
    // Discovery 1.0 section 4.3: it must be exactly the one that was asked for.
    if found.issuer != issuer {
        return Err(OpenIdError::Unreadable("discovery document", "it names another issuer"));
    }
    for url in [&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri] {
        if !is_safe(url) {
            return Err(OpenIdError::Unreadable("discovery document", "an address is not https"));
        }
    }
    Ok(found)
}

/// Asks for the provider's keys.
pub async fn keys(client: &Client, discovery: &Discovery) -> Result<Keys, OpenIdError> {
    let answer = client.ask(Request::get(discovery.jwks_uri.as_str())).await?;
    read("key set", &answer)
}

impl Flow {
    /// A new attempt.
    pub fn begin() -> Result<Flow, OpenIdError> {
        let [state, nonce, verifier] = [random()?, random()?, random()?];
        Ok(Flow { state, nonce, verifier: verifier.into() })
    }

    /// Where the browser goes.
    pub fn authorization_url(
        &self,
        discovery: &Discovery,
        registration: &Registration,
        scopes: &[String],
    ) -> String {
        let challenge = pkce::challenge(&self.verifier);
        let scope = scopes.join(" ");
        let fields = [
            ("response_type", "code"),
            ("client_id", &registration.client_id),
            ("redirect_uri", &registration.redirect_uri),
            ("scope", &scope),
            ("state", &self.state),
            ("nonce", &self.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let query: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", percent_encoded(value)))
            .collect();
        let endpoint = &discovery.authorization_endpoint;
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        format!("{endpoint}{joint}{}", query.join("&"))
    }

    /// Exchanges the code and says who signed in. Providers may keep claims out of the token and
    /// tell them when asked (Core 1.0 section 5.4): `claim` is the one that is needed.
    pub async fn finish(
        &self,
        client: &Client,
        discovery: &Discovery,
        registration: &Registration,
        code: &str,
        claim: &str,
        now: Timestamp,
    ) -> Result<Claims, OpenIdError> {
        if code.is_empty() || code.len() > CODE_BYTES_MAX {
            return Err(OpenIdError::Unreadable("code", "it is empty or too long"));
        }
        let answer = client.ask(self.exchange(discovery, registration, code)).await?;
        let tokens: Tokens = read("token endpoint", &answer)?;
        let keys = keys(client, discovery).await?;
        let expected = Expected {
            issuer: &discovery.issuer,
            client_id: &registration.client_id,
            nonce: &self.nonce,
            now,
        };
        let claims = id_token::verify(tokens.id_token.expose_secret(), &keys, &expected)?;
        match (&discovery.userinfo_endpoint, tokens.access_token) {
            (Some(url), Some(token)) if claims.text(claim).is_none() && is_safe(url) => {
                let answer = client.ask(Request::get(url.as_str()).bearer(&token)).await?;
                Ok(claims.with(read("userinfo endpoint", &answer)?)?)
            }
            (_, _) => Ok(claims),
        }
    }

    fn exchange(&self, discovery: &Discovery, registration: &Registration, code: &str) -> Request {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &registration.redirect_uri),
            ("code_verifier", self.verifier.expose_secret()),
        ];
        let secret = registration.client_secret.as_ref().map(|secret| secret.expose_secret());
        let methods = &discovery.token_endpoint_auth_methods_supported;
        let basic = methods.iter().any(|method| method == "client_secret_basic");
        let url = discovery.token_endpoint.as_str();
        match secret {
            Some(secret) if basic => {
                let value = format!("Basic {}", oauth::login(&registration.client_id, secret));
                Request::form(url, &fields).secret_header("authorization", &value).alone()
            }
            Some(secret) => {
                fields.push(("client_id", &registration.client_id));
                fields.push(("client_secret", secret));
                Request::form(url, &fields).alone()
            }
            None => {
                fields.push(("client_id", &registration.client_id));
                Request::form(url, &fields).alone()
            }
        }
    }
}

#[derive(Deserialize)]
struct Tokens {
    id_token: SecretString,
    #[serde(default)]
    access_token: Option<SecretString>,
}

/// Reads JSON; of a refusal only the word that the standard defines is told (RFC 6749 section 5.2).
fn read<T: serde::de::DeserializeOwned>(
    what: &'static str,
    answer: &Answer,
) -> Result<T, OpenIdError> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    if answer.status.as_u16() != 200 {
        let word = serde_json::from_slice::<Refusal>(&answer.body).map(|refusal| refusal.error);
        let word = word.ok().filter(|word| {
            word.len() <= 64 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        });
        let word = word.map(|word| format!(" ({word})")).unwrap_or_default();
        return Err(OpenIdError::Refused(what, answer.status.as_u16(), word));
    }
    let unreadable = |_| OpenIdError::Unreadable(what, "it is not the JSON that was expected");
    serde_json::from_slice(&answer.body).map_err(unreadable)
}

/// Encrypted, or on this machine.
fn is_safe(url: &str) -> bool {
    let local = ["http://localhost", "http://127.0.0.1", "http://[::1]"].into_iter();
    let mut rest = local.filter_map(|start| url.strip_prefix(start));
    url.starts_with("https://") || rest.any(|rest| rest.starts_with([':', '/']))
}

fn random() -> Result<String, OpenIdError> {
    pkce::chance().ok_or(OpenIdError::Randomness)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovery() -> Discovery {
        serde_json::from_str(
            r#"{"issuer": "https://login.example", "authorization_endpoint": "https://login.example/auth",
                "token_endpoint": "https://login.example/token", "jwks_uri": "https://login.example/keys"}"#,
        )
        .unwrap()
    }

    fn registration() -> Registration {
        Registration {
            client_id: "desk".into(),
            client_secret: None,
            redirect_uri: "https://desk.example/sign-in/openid/back".into(),
        }
    }

    #[test]
    fn the_browser_carries_a_challenge_and_not_the_verifier() {
        let flow = Flow::begin().unwrap();
        let scopes = ["openid".to_owned(), "email".to_owned()];
        let url = flow.authorization_url(&discovery(), &registration(), &scopes);
        assert!(url.starts_with("https://login.example/auth?response_type=code&client_id=desk"));
        assert!(url.contains("&scope=openid%20email&"), "{url}");
        assert!(url.contains(&format!("&state={}&nonce={}", flow.state, flow.nonce)));
        assert!(url.ends_with("&code_challenge_method=S256"));
        assert!(!url.contains(flow.verifier.expose_secret()));
        assert!(!format!("{flow:?}").contains(flow.verifier.expose_secret()));
    }

    #[test]
    fn no_two_attempts_are_alike() {
        let [one, two] = [Flow::begin().unwrap(), Flow::begin().unwrap()];
        assert!(one.state != two.state && one.nonce != two.nonce && one.state != one.nonce);
    }

    #[test]
    fn addresses_must_be_safe() {
        for url in ["https://a.example/x", "http://127.0.0.1:9/x", "http://localhost/x"] {
            assert!(is_safe(url), "{url}");
        }
        for url in ["http://a.example/x", "http://localhost.evil.example/", "ftp://a", ""] {
            assert!(!is_safe(url), "{url}");
        }
    }
}
