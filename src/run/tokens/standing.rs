//! How everybody who needs tokens stands, and what of theirs ends soon.

use std::sync::Arc;

use jiff::Timestamp;

use super::failure::{TokenError, not_signed_in};
use super::{Holder, Tokens, holder};
use crate::core::config::{Config, Grant as Way};

/// What `postroom oauth status` tells of one holder.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Whose it is.
    pub holder: Holder,
    /// When a person signed in, where that is needed and was done.
    pub signed_in: Option<Timestamp>,
    /// When the refresh token was issued.
    pub issued: Option<Timestamp>,
    /// When the refresh token ends, where the provider says so.
    pub refresh_ends: Option<Timestamp>,
    /// When the access token ends, if there is one.
    pub access_ends: Option<Timestamp>,
    /// Why there is none.
    pub failed: Option<TokenError>,
}

impl Tokens {
    /// How every holder stands.
    pub async fn standing(&self, config: &Arc<Config>) -> Vec<Standing> {
        let mut all = Vec::new();
        for holder in holder::all(config) {
            let slot = self.slot(config, &holder);
            let mut slot = slot.lock().await;
            let loaded = self.load(&config.oauth2, &holder, &mut slot).await;
            let grant = slot.grant.as_ref();
            let missing = || match holder.way(&config.oauth2) {
                Some(Way::ClientCredentials) | None => None,
                Some(_) if slot.grant.is_some() => None,
                Some(_) => Some(not_signed_in(&holder)),
            };
            let failed = loaded.err().or_else(|| slot.failed.as_ref().map(|it| it.0.clone()));
            all.push(Standing {
                signed_in: grant.map(|grant| grant.signed_in),
                issued: grant.map(|grant| grant.issued),
                refresh_ends: grant.and_then(|grant| grant.refresh_ends),
                access_ends: slot.access.as_ref().map(|access| access.ends),
                failed: failed.or_else(missing),
                holder,
            });
        }
        all
    }
}
