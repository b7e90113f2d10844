//! Grants on disk: read once, encrypted, durable before they are used.

use secrecy::SecretString;

use super::failure::{TokenError, Why, failed_store};
use super::{Access, Grant, Holder, Slot, Tokens, ahead_of};
use crate::core::config::{Config, Grant as Way, OAuth2};
use crate::faultpoint;
use crate::oauth;
use crate::store::Store;
use crate::threads;

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
        config: &Config,
        holder: &Holder,
        slot: &mut Slot,
    ) -> Result<(), TokenError> {
        let oauth2 = &config.oauth2;
        let stored = !matches!(holder.way(oauth2), Some(Way::ClientCredentials) | None);
        if !stored || slot.grant.is_some() {
            return Ok(());
        }
        if !slot.loaded {
            slot.grant = self.read(oauth2, holder).await?;
            slot.loaded = true;
        }
        for former in holder.formers(config) {
            if slot.grant.is_none() {
                slot.grant = self.inherit(config, holder, &former).await?;
            }
        }
        slot.access = slot.grant.as_ref().and_then(kept_access);
        Ok(())
    }

    /// A renamed account has the sign-in of its old name. A request that is still under way there
    /// ends before, so that what it brings is not lost.
    async fn inherit(
        &self,
        config: &Config,
        holder: &Holder,
        former: &Holder,
    ) -> Result<Option<Grant>, TokenError> {
        let slot = self.slot(config, former);
        let mut slot = slot.lock().await;
        let grant = match slot.grant.clone() {
            Some(grant) => Some(grant),
            None => self.read(&config.oauth2, former).await?,
        };
        let Some(grant) = grant.filter(|grant| grant.profile == holder.profile) else {
            return Ok(None);
        };
        let (from, to) = (former.key(&config.oauth2), holder.key(&config.oauth2));
        let sealed = self.sealed(&config.oauth2, &to, &grant)?;
        let moved = self.store(holder)?.move_grant(&from, &to, sealed).await;
        moved.map_err(|error| failed_store(&error))?;
        *slot = Slot::default();
        let (kind, name, profile) = (holder.kind.word(), &holder.name, &holder.profile);
        tracing::info!(kind, name, profile, from = former.name, "has the sign-in of its old name");
        Ok(Some(grant))
    }

    /// What is stored under a name. What was given to another profile, or was stored by a later
    /// version, counts for nothing.
    async fn read(&self, oauth2: &OAuth2, holder: &Holder) -> Result<Option<Grant>, TokenError> {
        let (store, name) = (self.store(holder)?.clone(), holder.key(oauth2));
        let sealed = {
            let name = name.clone();
            threads::STORE.run(move || store.grant(&name)).await
        };
        let sealed = sealed.map_err(|error| failed_store(&error))?;
        let Some(sealed) = sealed else { return Ok(None) };
        let key = self.key(oauth2)?;
        let plain = oauth::seal::open(&key, &name, &sealed).map_err(|error| {
            let command = holder.command();
            let message = format!("the stored sign-in cannot be used: {error}");
            let hint = format!("give the key back, or run `{command}`");
            TokenError::new(Why::SignIn, message, &hint)
        })?;
        Ok(Grant::read(&plain).filter(|grant| grant.profile == holder.profile))
    }

    fn store(&self, holder: &Holder) -> Result<&Store, TokenError> {
        self.0.parts.store.as_ref().ok_or_else(|| {
            let message = "its tokens belong to a person and are kept by the daemon".to_owned();
            let name = &holder.name;
            let hint = format!(
                "let the daemon try: `postroom probe {name} --daemon`, or the page of accounts"
            );
            TokenError::new(Why::Declared, message, &hint)
        })
    }

    /// Stores what was given.
    pub(super) async fn keep(
        &self,
        oauth2: &OAuth2,
        holder: &Holder,
        grant: &Grant,
    ) -> Result<(), TokenError> {
        let name = holder.key(oauth2);
        let sealed = self.sealed(oauth2, &name, grant)?;
        let kept = self.store(holder)?.keep_grant(&name, Some(sealed)).await;
        kept.map_err(|error| failed_store(&error))
    }

    fn sealed(&self, oauth2: &OAuth2, name: &str, grant: &Grant) -> Result<Vec<u8>, TokenError> {
        let key = self.key(oauth2)?;
        oauth::seal::seal(&key, name, &grant.write())
            .map_err(|error| TokenError::new(Why::Declared, error.to_string(), ""))
    }

    /// The key that encrypts what is stored.
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

fn kept_access(grant: &Grant) -> Option<Access> {
    let (token, ends) = grant.access.clone()?;
    let refresh_at = ahead_of(grant.issued, ends);
    Some(Access { token, obtained: grant.issued, refresh_at, ends })
}
