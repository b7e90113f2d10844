//! Grants on disk: read once, encrypted, durable before they are used.

use secrecy::SecretString;

use super::failure::{TokenError, Why, failed_store};
use super::{Access, Grant, Holder, Slot, Tokens, ahead_of};
use crate::core::config::{Grant as Way, OAuth2};
use crate::faultpoint;
use crate::oauth;
use crate::run::intake::blocking;

impl Tokens {
    /// Makes what was given last durable. Until that has worked, it is not used.
    pub(super) async fn commit(
        &self,
        oauth2: &OAuth2,
        holder: &Holder,
        slot: &mut Slot,
    ) -> Result<(), TokenError> {
        let grant = slot.grant.clone().expect("only a grant is uncommitted");
        self.keep(oauth2, holder, &grant).await?;
        slot.uncommitted = false;
        let (kind, name, profile) = (holder.kind.word(), &holder.name, &holder.profile);
        tracing::info!(kind, name, profile, "new token committed");
        faultpoint!("oauth.committed");
        Ok(())
    }

    /// Reads from the store what is known, once.
    pub(super) async fn load(
        &self,
        oauth2: &OAuth2,
        holder: &Holder,
        slot: &mut Slot,
    ) -> Result<(), TokenError> {
        let stored = !matches!(holder.way(oauth2), Some(Way::ClientCredentials) | None);
        if slot.loaded || !stored {
            return Ok(());
        }
        let Some(store) = self.0.parts.store.clone() else {
            let message = "its tokens belong to a person and are kept by the daemon".to_owned();
            let hint = "ask `postroom oauth status`, or try it on the page of the account";
            return Err(TokenError::new(Why::Declared, message, hint));
        };
        let name = holder.key(oauth2);
        let sealed = {
            let name = name.clone();
            blocking(move || store.grant(&name)).await
        };
        let sealed = sealed.map_err(|error| failed_store(&error))?;
        if let Some(sealed) = sealed {
            let key = self.key(oauth2)?;
            let plain = oauth::seal::open(&key, &name, &sealed).map_err(|error| {
                let command = holder.command();
                let message = format!("the stored sign-in cannot be used: {error}");
                let hint = format!("give the key back, or run `{command}`");
                TokenError::new(Why::SignIn, message, &hint)
            })?;
            // One of another profile or of a later version counts for nothing.
            let grant = Grant::read(&plain).filter(|grant| grant.profile == holder.profile);
            if let Some(grant) = grant {
                slot.access = grant.access.clone().map(|(token, ends)| Access {
                    token,
                    obtained: grant.issued,
                    refresh_at: ahead_of(grant.issued, ends),
                    ends,
                });
                slot.grant = Some(grant);
            }
        }
        slot.loaded = true;
        Ok(())
    }

    pub(super) async fn keep(
        &self,
        oauth2: &OAuth2,
        holder: &Holder,
        grant: &Grant,
    ) -> Result<(), TokenError> {
        let key = self.key(oauth2)?;
        let name = holder.key(oauth2);
        let sealed = oauth::seal::seal(&key, &name, &grant.write())
            .map_err(|error| TokenError::new(Why::Declared, error.to_string(), ""))?;
        let Some(store) = &self.0.parts.store else {
            let message = "a command does not store tokens".to_owned();
            return Err(TokenError::new(Why::Store, message, ""));
        };
        store.keep_grant(&name, Some(sealed)).await.map_err(|error| failed_store(&error))
    }

    pub(super) fn key(&self, oauth2: &OAuth2) -> Result<SecretString, TokenError> {
        let Some(reference) = &oauth2.seal_key else {
            let message = "oauth2.sealKey is not declared".to_owned();
            return Err(TokenError::new(Why::Declared, message, "add `sealKey: {secret: NAME}`"));
        };
        let key = self.0.parts.secrets.read(reference);
        let key = key.map_err(|error| TokenError::new(Why::Declared, error.to_string(), ""))?;
        // Too short is found out before a provider is asked, not after.
        oauth::seal::seal(&key, "", b"")
            .map_err(|error| TokenError::new(Why::Declared, error.to_string(), ""))?;
        Ok(key)
    }
}
