//! How everybody who needs tokens stands, and what of theirs ends soon.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::failure::{TokenError, not_signed_in};
use super::{Grant, Holder, Slot, Tokens, holder};
use crate::core::config::{Config, Grant as Way, OAuth2, OAuthProfile, Switch};
use crate::core::ending::{self, Stage};
use crate::metrics::Metrics;

/// What `postroom oauth status` tells of one holder.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Whose it is.
    pub holder: Holder,
    /// When a person signed in, where that is needed and was done.
    pub signed_in: Option<Timestamp>,
    /// When the refresh token was issued.
    pub issued: Option<Timestamp>,
    /// When the refresh token ends: as the provider says, or if nobody uses it.
    pub refresh_ends: Option<Timestamp>,
    /// When the access token ends, if there is one.
    pub access_ends: Option<Timestamp>,
    /// Why there is none.
    pub failed: Option<TokenError>,
    /// Whether it is paused: it needs no token now, and its sign-in ends all the same.
    pub paused: bool,
}

/// Something that ends soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// How soon.
    pub stage: Stage,
    /// What ends when, and what to do.
    pub text: String,
}

/// What ends soon, by what it belongs to.
pub(super) type Warnings = BTreeMap<String, Warning>;

impl Tokens {
    /// How every holder stands that is in use, or is paused and will be.
    pub async fn standing(&self, config: &Arc<Config>) -> Vec<Standing> {
        let mut all = Vec::new();
        for (holder, paused) in watched(config) {
            let slot = self.slot(config, &holder);
            let mut slot = slot.lock().await;
            all.push(self.standing_of(config, holder, paused, &mut slot).await);
        }
        all
    }

    async fn standing_of(
        &self,
        config: &Config,
        holder: Holder,
        paused: bool,
        slot: &mut Slot,
    ) -> Standing {
        let oauth2 = &config.oauth2;
        let loaded = self.load(config, &holder, slot).await;
        let grant = slot.grant.as_ref();
        let missing = || match holder.way(oauth2) {
            Some(Way::ClientCredentials) | None => None,
            Some(_) if grant.is_some() => None,
            Some(_) => Some(not_signed_in(&holder)),
        };
        let failed = loaded.err().or_else(|| slot.failed.as_ref().map(|it| it.0.clone()));
        Standing {
            signed_in: grant.map(|grant| grant.signed_in),
            issued: grant.map(|grant| grant.refresh_issued),
            refresh_ends: grant.and_then(|grant| ends(oauth2, &holder, grant)),
            access_ends: slot.access.as_ref().map(|access| access.ends),
            failed: failed.or_else(missing).filter(|_| !paused),
            paused,
            holder,
        }
    }

    /// Looks what ends soon: says it in the log when it comes nearer, and measures it. Waits for
    /// nobody who is asking a provider.
    pub async fn look_ahead(&self, config: &Arc<Config>) {
        let now = self.0.parts.clock.now();
        let before = self.warnings_now();
        let profiles = config.oauth2.profiles.iter();
        let secrets = profiles.filter_map(|(name, profile)| {
            Some((format!("profile {name}"), secret_warning(name, profile, now)?))
        });
        let mut after: Warnings = secrets.collect();
        let mut access = AccessEnds::of(config);
        for (holder, paused) in watched(config) {
            let subject = format!("{} {}", holder.kind.word(), holder.name);
            let slot = self.slot(config, &holder);
            let warning = match slot.try_lock() {
                Ok(mut slot) => {
                    let standing = self.standing_of(config, holder, paused, &mut slot).await;
                    self.measure_refresh(&standing);
                    access.note(&standing);
                    standing.sign_in_warning(now)
                }
                Err(_) => {
                    access.busy(&holder);
                    before.get(&subject).cloned()
                }
            };
            after.extend(warning.map(|warning| (subject, warning)));
        }
        access.measure(&self.0.parts.metrics);
        for holder in holder::all(config, Switch::Disabled) {
            self.0.parts.metrics.oauth_unwatched(holder.kind.word(), &holder.name);
        }
        for (subject, warning) in &after {
            if before.get(subject).is_none_or(|before| before.stage < warning.stage) {
                tracing::warn!("{}", warning.text);
            }
        }
        *self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner) = after;
    }

    /// What ended or ends soon, in words.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings_now().into_values().map(|warning| warning.text).collect()
    }

    fn warnings_now(&self) -> Warnings {
        self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn measure_refresh(&self, standing: &Standing) {
        let metrics = &self.0.parts.metrics;
        let (kind, name) = (standing.holder.kind.word(), standing.holder.name.as_str());
        if let Some(issued) = standing.issued {
            metrics.oauth_refresh_issued(kind, name, issued);
        }
        if let Some(ends) = standing.refresh_ends {
            metrics.oauth_refresh_expiry(kind, name, ends);
        }
        if standing.paused {
            metrics.oauth_no_sign_in_required(kind, name);
        }
    }
}

/// Those in use, and those that are paused, with whether they are. A sign-in ends also while nobody
/// uses it; what is disabled is not meant to come back.
fn watched(config: &Config) -> impl Iterator<Item = (Holder, bool)> {
    let used = holder::all(config, Switch::Enabled).into_iter().map(|holder| (holder, false));
    used.chain(holder::all(config, Switch::Paused).into_iter().map(|holder| (holder, true)))
}

/// When the access tokens of each profile end: the first one of those in use counts.
struct AccessEnds<'a>(BTreeMap<&'a str, Ends>);

enum Ends {
    /// Nobody has one.
    Never,
    At(Timestamp),
    /// Somebody is asking: it stays as it was.
    Unknown,
}

impl<'a> AccessEnds<'a> {
    fn of(config: &'a Config) -> AccessEnds<'a> {
        AccessEnds(config.oauth2.profiles.keys().map(|name| (name.as_str(), Ends::Never)).collect())
    }

    fn note(&mut self, standing: &Standing) {
        let Some(at) = standing.access_ends.filter(|_| !standing.paused) else { return };
        let Some(ends) = self.0.get_mut(standing.holder.profile.as_str()) else { return };
        match ends {
            Ends::Never => *ends = Ends::At(at),
            Ends::At(first) => *first = at.min(*first),
            Ends::Unknown => {}
        }
    }

    fn busy(&mut self, holder: &Holder) {
        if let Some(ends) = self.0.get_mut(holder.profile.as_str()) {
            *ends = Ends::Unknown;
        }
    }

    fn measure(&self, metrics: &Metrics) {
        for (profile, ends) in &self.0 {
            match ends {
                Ends::Never => metrics.oauth_token_expiry(profile, None),
                Ends::At(at) => metrics.oauth_token_expiry(profile, Some(*at)),
                Ends::Unknown => {}
            }
        }
    }
}

impl Standing {
    /// What of it ends soon.
    pub fn warnings(&self, oauth2: &OAuth2, now: Timestamp) -> Vec<Warning> {
        let name = &self.holder.profile;
        let profile = oauth2.profiles.get(name);
        let secret = profile.and_then(|profile| secret_warning(name, profile, now));
        self.sign_in_warning(now).into_iter().chain(secret).collect()
    }

    fn sign_in_warning(&self, now: Timestamp) -> Option<Warning> {
        let ends = self.refresh_ends?;
        let days = ending::days_left(self.issued?, ends, now)?;
        let text = format!(
            "the sign-in of {} {:?}{} {} ({}): run `{}`",
            self.holder.kind.word(),
            self.holder.name,
            if self.paused { ", which is paused," } else { "" },
            ending::words(days),
            day(ends),
            self.holder.command()
        );
        Some(Warning { stage: ending::stage(days)?, text })
    }
}

/// When a refresh token ends. A provider that does not say it ends those that nobody uses.
fn ends(oauth2: &OAuth2, holder: &Holder, grant: &Grant) -> Option<Timestamp> {
    let provider = oauth2.profiles.get(&holder.profile).map(|profile| &profile.provider);
    let life = provider.and_then(|name| oauth2.providers.get(name)?.refresh_token_life);
    grant.refresh_ends.or_else(|| grant.issued.checked_add(life?).ok())
}

fn secret_warning(name: &str, profile: &OAuthProfile, now: Timestamp) -> Option<Warning> {
    let last = profile.secret_expires?;
    let days = i64::from((last - day(now)).get_days());
    let text = format!(
        "the client secret of profile {name:?} {} ({last}): make another one at the provider, and \
         write its last day into secretExpires",
        ending::words(days)
    );
    Some(Warning { stage: ending::stage(days)?, text })
}

fn day(at: Timestamp) -> jiff::civil::Date {
    at.to_zoned(TimeZone::UTC).date()
}
