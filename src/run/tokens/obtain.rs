//! Asks the provider for tokens, and leaves it alone for a while when that fails.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::failure::{TokenError, not_signed_in, told};
use super::{Holder, Slot, Tokens, access};
use crate::core::config::{Grant as Way, OAuth2};
use crate::faultpoint;
use crate::net::http::Client;
use crate::oauth::{self, OAuthError, Registration};
use crate::run::backoff;

/// A provider that wants a person or an administrator is not asked again for this time.
const SIGN_IN_PAUSE: SignedDuration = SignedDuration::from_mins(15);
/// Longest time a busy provider is left alone, whatever it says.
const BUSY_PAUSE_MAX: Duration = Duration::from_secs(3600);

/// Why a token could not be obtained.
enum Stumble {
    /// Nobody was asked; the next one who needs the token looks again.
    Declared(TokenError),
    /// The provider was asked, and is left alone for a while.
    Provider(OAuthError),
}

impl From<OAuthError> for Stumble {
    fn from(error: OAuthError) -> Stumble {
        Stumble::Provider(error)
    }
}

impl Tokens {
    /// Asks the provider and notes what came of it.
    pub(super) async fn obtain(
        &self,
        oauth2: &OAuth2,
        holder: &Holder,
        slot: &mut Slot,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        let result = match holder.way(oauth2) {
            Some(Way::ClientCredentials) => self.for_ourselves(oauth2, holder, slot).await,
            Some(Way::AuthorizationCode | Way::DeviceCode) => {
                self.for_a_person(oauth2, holder, slot).await
            }
            None => Err(Stumble::Declared(holder.undeclared())),
        };
        let metrics = &self.0.parts.metrics;
        match result {
            Ok(()) => {
                slot.failed = None;
                slot.failures = 0;
                metrics.oauth_refresh(&holder.profile, "ok");
                Ok(())
            }
            Err(Stumble::Declared(error)) => Err(error),
            Err(Stumble::Provider(error)) => {
                metrics.oauth_refresh(&holder.profile, error.label());
                slot.failures = slot.failures.saturating_add(1);
                let pause = pause_after(&error, slot.failures);
                let error = told(holder, &error);
                tracing::warn!(
                    kind = holder.kind.word(), name = holder.name, profile = holder.profile, %error,
                    retry_secs = pause.as_secs(), "could not get an access token"
                );
                let until = now.checked_add(pause).unwrap_or(now);
                slot.failed = Some((error.clone(), until));
                Err(error)
            }
        }
    }

    async fn for_ourselves(
        &self,
        oauth2: &OAuth2,
        holder: &Holder,
        slot: &mut Slot,
    ) -> Result<(), Stumble> {
        let (client, registration) = self.prepared(oauth2, holder, slot)?;
        let tokens = oauth::client_credentials(&client, &registration).await?;
        slot.access = Some(access(&tokens, self.0.parts.clock.now()));
        Ok(())
    }

    async fn for_a_person(
        &self,
        oauth2: &OAuth2,
        holder: &Holder,
        slot: &mut Slot,
    ) -> Result<(), Stumble> {
        let Some(grant) = slot.grant.clone() else {
            return Err(Stumble::Declared(not_signed_in(holder)));
        };
        let (client, registration) = self.prepared(oauth2, holder, slot)?;
        // A key that cannot be read would lose the token after the provider has given it.
        self.key(oauth2).map_err(Stumble::Declared)?;
        let (kind, name, profile) = (holder.kind.word(), &holder.name, &holder.profile);
        tracing::info!(kind, name, profile, "refresh token goes to the provider");
        faultpoint!("oauth.at_hand", at_hand: &(&grant, &registration));
        faultpoint!("oauth.before_asking");
        let mut answer = oauth::refresh(&client, &registration, &grant.refresh).await;
        if let (Err(OAuthError::SignIn(_)), Some(previous)) = (&answer, &grant.previous) {
            // We may have died between a commit and the first use of what it brought.
            answer = oauth::refresh(&client, &registration, previous).await;
        }
        let tokens = answer?;
        let rotated = tokens.refresh.is_some();
        tracing::info!(kind, name, profile, rotated, "the provider gave a new token");
        faultpoint!("oauth.answered");
        let now = self.0.parts.clock.now();
        slot.access = Some(access(&tokens, now));
        slot.grant = Some(grant.followed_by(&tokens, now));
        slot.uncommitted = true;
        self.commit(oauth2, holder, slot).await.map_err(Stumble::Declared)
    }

    fn prepared(
        &self,
        oauth2: &OAuth2,
        holder: &Holder,
        slot: &mut Slot,
    ) -> Result<(Arc<Client>, Registration), Stumble> {
        let secrets = &self.0.parts.secrets;
        let registration = oauth::registration(oauth2, &holder.profile, holder.purpose(), secrets)
            .map_err(|error| Stumble::Declared(told(holder, &error)))?;
        let provider = slot.declared.as_ref().map(|(_, provider)| provider);
        let provider = provider.ok_or_else(|| Stumble::Declared(holder.undeclared()))?;
        let client = slot.client.get_or_insert_with(|| Arc::new(oauth::client(provider)));
        Ok((client.clone(), registration))
    }
}

fn pause_after(error: &OAuthError, failures: u32) -> Duration {
    let growing = backoff::pause(failures, false, backoff::dice());
    match error {
        OAuthError::SignIn(_) | OAuthError::Administrator(_) => SIGN_IN_PAUSE.unsigned_abs(),
        OAuthError::Busy { retry_after, .. } => {
            growing.max(retry_after.unwrap_or_default().min(BUSY_PAUSE_MAX))
        }
        OAuthError::Client(_) | OAuthError::Refused(_) => backoff::LONGEST_PAUSE,
        OAuthError::Http(_)
        | OAuthError::Secret(_)
        | OAuthError::Declared(_)
        | OAuthError::Answer(_)
        | OAuthError::Pending { .. } => growing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: &OAuthError, expected: std::ops::RangeInclusive<u64>) {
        let pause = pause_after(error, 1).as_secs();
        assert!(expected.contains(&pause), "{pause}");
    }

    #[test]
    fn how_long_a_provider_is_left_alone() {
        check(&OAuthError::SignIn("invalid_grant".into()), 900..=900);
        check(&OAuthError::Client("invalid_client".into()), 300..=300);
        check(&OAuthError::Answer("it is not JSON"), 0..=2);
        let busy =
            |secs| OAuthError::Busy { status: 429, retry_after: Some(Duration::from_secs(secs)) };
        check(&busy(120), 120..=120);
        check(&busy(1_000_000), 3600..=3600);
        check(&OAuthError::Busy { status: 500, retry_after: None }, 0..=2);
    }
}
