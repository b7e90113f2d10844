//! Why there is no access token, in the words of the holder.

use super::Holder;
use crate::oauth::OAuthError;
use crate::store::StoreError;

/// Why there is no access token.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct TokenError {
    /// What kind of failure.
    pub why: Why,
    /// What happened and what to do.
    pub message: String,
    /// What to do, apart from the message.
    pub hint: String,
}

/// Kinds of failures to get a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A person must sign in.
    SignIn,
    /// An administrator of the provider must act.
    Administrator,
    /// The provider does not take our registration.
    Client,
    /// The provider refuses, or answers nonsense.
    Provider,
    /// The provider cannot be reached or has too much to do.
    Unreachable,
    /// A secret or a declaration is missing.
    Declared,
    /// The store does not answer.
    Store,
}

impl Why {
    /// Word of the condition.
    pub fn reason(self) -> &'static str {
        match self {
            Why::SignIn => "ReauthorizationRequired",
            Why::Administrator => "AdministratorRequired",
            Why::Client => "ClientRefused",
            Why::Provider => "TokenRefused",
            Why::Unreachable => "TokenEndpointFailed",
            Why::Declared => "SecretMissing",
            Why::Store => "StoreFailed",
        }
    }

    /// Label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Why::SignIn => "sign_in",
            Why::Administrator => "administrator",
            Why::Client => "oauth_client",
            Why::Provider | Why::Unreachable => "token",
            Why::Declared => "secret",
            Why::Store => "store",
        }
    }
}

impl TokenError {
    pub(super) fn new(why: Why, message: String, hint: &str) -> TokenError {
        TokenError { why, message, hint: hint.to_owned() }
    }
}

pub(super) fn failed_store(error: &StoreError) -> TokenError {
    TokenError::new(Why::Store, format!("the token could not be stored or read: {error}"), "")
}

pub(super) fn not_signed_in(holder: &Holder) -> TokenError {
    let command = holder.command();
    let message = format!("nobody has signed in for it; run `{command}`");
    TokenError::new(Why::SignIn, message, &format!("run `{command}`"))
}

/// A failure in the words of the holder.
pub(super) fn told(holder: &Holder, error: &OAuthError) -> TokenError {
    let why = match error {
        OAuthError::SignIn(_) => Why::SignIn,
        OAuthError::Administrator(_) => Why::Administrator,
        OAuthError::Client(_) => Why::Client,
        OAuthError::Http(_) | OAuthError::Busy { .. } => Why::Unreachable,
        OAuthError::Secret(_) | OAuthError::Declared(_) => Why::Declared,
        OAuthError::Answer(_) | OAuthError::Refused(_) | OAuthError::Pending { .. } => {
            Why::Provider
        }
    };
    match error {
        OAuthError::SignIn(said) => {
            let command = holder.command();
            let message = format!("the sign-in has ended ({said}); run `{command}`");
            TokenError::new(why, message, &format!("run `{command}`"))
        }
        error => TokenError::new(why, format!("could not get a token: {error}"), error.hint()),
    }
}
