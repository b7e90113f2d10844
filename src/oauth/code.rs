//! A person signs in with a browser (RFC 6749 section 4.1), with PKCE (RFC 7636) and state.
//!
//! Architecture invariant: the verifier stays here until the code comes; the state is a number
//! nobody can guess, and it is used once.

use secrecy::{ExposeSecret, SecretString};

use super::pkce::{challenge, chance};
use super::{OAuthError, Registration, Tokens, token};
use crate::net::http::{Client, percent_encoded};

/// What belongs to one sign-in.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Comes back with the code; says which sign-in it belongs to.
    pub state: String,
    /// Proves that who brings the code is who began.
    pub verifier: SecretString,
    /// Where the browser is sent with the code.
    pub redirect: String,
}

impl Attempt {
    /// A new one; `None` if the machine has no chance to give.
    pub fn new(redirect: &str) -> Option<Attempt> {
        Some(Attempt {
            state: chance()?,
            verifier: SecretString::from(chance()?),
            redirect: redirect.to_owned(),
        })
    }

    /// Where the person goes.
    pub fn url(&self, registration: &Registration, username: &str) -> String {
        let challenge = challenge(&self.verifier);
        let scope = registration.scopes.join(" ");
        let mut fields = vec![
            ("response_type", "code"),
            ("client_id", &registration.client_id),
            ("redirect_uri", &self.redirect),
            ("state", &self.state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("login_hint", username),
        ];
        if !scope.is_empty() {
            fields.push(("scope", &scope));
        }
        let extra = registration.auth_params.iter();
        fields.extend(extra.map(|(name, value)| (name.as_str(), value.as_str())));
        let query: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", percent_encoded(name), percent_encoded(value)))
            .collect();
        let start = if registration.auth_url.contains('?') { '&' } else { '?' };
        format!("{}{start}{}", registration.auth_url, query.join("&"))
    }

    /// Turns the code into tokens (RFC 6749 section 4.1.3).
    pub async fn redeem(
        &self,
        client: &Client,
        registration: &Registration,
        code: &SecretString,
    ) -> Result<Tokens, OAuthError> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", &self.redirect),
            ("code_verifier", self.verifier.expose_secret()),
        ];
        token(client, registration, &fields).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::ClientAuth;

    #[test]
    fn the_url_carries_the_challenge_and_never_the_verifier() {
        let registration = Registration {
            auth_url: "https://login.test/auth".into(),
            token_url: "https://login.test/token".into(),
            device_url: None,
            client_auth: ClientAuth::Basic,
            auth_params: vec![("prompt".into(), "consent".into())],
            client_id: "desk".into(),
            client_secret: Some("hush".to_owned().into()),
            scopes: vec!["offline_access".into(), "mail".into()],
        };
        // RFC 7636 appendix B.
        let attempt = Attempt {
            state: "st".into(),
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned().into(),
            redirect: "http://localhost:7/oauth2/callback".into(),
        };
        assert_eq!(
            attempt.url(&registration, "a@b.test"),
            "https://login.test/auth?response_type=code&client_id=desk\
             &redirect_uri=http%3A%2F%2Flocalhost%3A7%2Foauth2%2Fcallback&state=st\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\
             &code_challenge_method=S256&login_hint=a%40b.test\
             &scope=offline_access%20mail&prompt=consent"
        );
    }
}
