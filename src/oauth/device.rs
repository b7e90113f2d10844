//! A person signs in on another device (RFC 8628): no browser on this machine, no redirect.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::answer::{object, seconds, secret};
use super::{OAuthError, Registration, Sent, Tokens, authenticated, token};
use crate::net::http::Client;

/// Time between two questions if the provider says nothing (RFC 8628 section 3.2).
const INTERVAL_UNSAID: Duration = Duration::from_secs(5);
/// Shortest and longest time between two questions.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// What is added when we ask too often (RFC 8628 section 3.5).
pub const SLOWER: Duration = Duration::from_secs(5);
/// Longest time a code is waited for.
const LIFE_MAX: Duration = Duration::from_secs(1800);
/// Longest code or URL that is shown. Characters.
const SHOWN_CHARS_MAX: usize = 500;

/// What the person types, and where.
#[derive(Debug, Clone)]
pub struct Device {
    /// What we ask with.
    pub device_code: SecretString,
    /// What the person types.
    pub user_code: String,
    /// Where.
    pub url: String,
    /// How long it is valid.
    pub life: Duration,
    /// Time between two questions.
    pub interval: Duration,
}

/// Asks for a code.
pub async fn begin(client: &Client, registration: &Registration) -> Result<Device, OAuthError> {
    let url = registration.device_url.as_ref();
    let url = url.ok_or_else(|| OAuthError::Declared("the provider has no deviceUrl".into()))?;
    let scope = registration.scopes.join(" ");
    let request = authenticated(registration, url, &[("scope", &scope)]);
    let answer = client.ask(request).await?;
    let object = object(&answer, &Sent::of(registration, &[]).all())?;
    let text = |name: &str| {
        let text = object.get(name).and_then(Value::as_str).unwrap_or_default();
        let usable = !text.is_empty()
            && text.chars().count() <= SHOWN_CHARS_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if usable {
            Ok(text.to_owned())
        } else {
            Err(OAuthError::Answer("it names no code or page"))
        }
    };
    let duration = |name: &str| {
        let secs = object.get(name).and_then(seconds).filter(|secs| *secs > 0.0)?;
        Some(Duration::from_secs_f64(secs.min(1e6)))
    };
    let missing = OAuthError::Answer("there is no device code");
    Ok(Device {
        device_code: secret(object.get("device_code").ok_or(missing)?)?,
        user_code: text("user_code")?,
        // Google wrote `verification_url` before the RFC was finished.
        url: text("verification_uri").or_else(|_| text("verification_url"))?,
        life: duration("expires_in").map_or(LIFE_MAX, |life| life.min(LIFE_MAX)),
        interval: duration("interval")
            .map_or(INTERVAL_UNSAID, |interval| interval.clamp(INTERVAL.0, INTERVAL.1)),
    })
}

/// Asks whether the person has signed in; [`OAuthError::Pending`] if not yet.
pub async fn ask(
    client: &Client,
    registration: &Registration,
    device: &Device,
) -> Result<Tokens, OAuthError> {
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", device.device_code.expose_secret()),
    ];
    token(client, registration, &fields).await
}
