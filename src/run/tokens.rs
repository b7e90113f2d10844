//! Access tokens for those who need one: kept, refreshed ahead of their end, and never asked for
//! twice at once.
//!
//! ```text
//! ask        the refresh token goes to the provider; it may die there     only on the provider
//! answered   the new one is in our memory                                 a kill here loses it
//! committed  the new one is on disk, the one before beside it             THE INSTANT THAT COUNTS
//! used       the access token is shown to the mail server
//! accepted   the one before is forgotten
//! ```
//! A provider that rotates takes the old refresh token away when it answers, so the way from the
//! answer to the commit is short, waits for nobody, and cannot be cancelled: it is a task of its
//! own, and the daemon does not end before it.
//!
//! ```text
//! holder.rs    who needs tokens                    grant.rs     what a provider gave, as it is stored
//! sign_in.rs   people who are signing in           keep.rs      grants on disk
//! obtain.rs    asking the provider                 failure.rs   why there is no token
//! standing.rs  how everybody stands
//! ```
//! Architecture invariant: one request per holder at a time; an access token is handed out only
//! after the commit of the refresh token that came with it; no token is ever shown or logged.

mod failure;
mod grant;
mod holder;
mod keep;
mod obtain;
mod sign_in;
mod standing;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::backoff;
use super::clock::Clock;
use crate::core::config::{Config, OAuth2, OAuthProfile, OAuthProvider, Switch};
use crate::metrics::Metrics;
use crate::net::http::Client;
use crate::oauth::{self, answer};
use crate::secret::Secrets;
use crate::store::Store;

pub use failure::{TokenError, Why};
pub use grant::Grant;
pub use holder::Holder;
pub use sign_in::{Begun, Outcome};
pub use standing::{Standing, Warning};

/// An access token is replaced after this share of its life, give or take [`JITTER`].
const REFRESH_AT: f64 = 0.8;
/// Half of the span over which refreshes are spread, as a share of the life.
const JITTER: f64 = 0.05;
/// A token that a mail server refuses is replaced only if it is older than this, or than half of its
/// life: a new one that is refused will not get better.
const REFUSED_AFTER: SignedDuration = SignedDuration::from_secs(10);

/// Access tokens; clones share them.
#[derive(Clone)]
pub struct Tokens(Arc<Shared>);

struct Shared {
    parts: TokenParts,
    /// One per holder; whoever has it locked may ask the provider.
    slots: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Slot>>>>,
    /// People who are signing in.
    sign_ins: Mutex<sign_in::SignIns>,
    /// Ring when somebody has signed in, one per holder. A ring is kept until it is heard.
    bells: Mutex<HashMap<String, Arc<Notify>>>,
    /// What ends soon, as far as that was looked at.
    warnings: Mutex<standing::Warnings>,
    /// Requests under way; the daemon waits for them when it ends.
    tasks: TaskTracker,
}

/// What is needed to get tokens.
pub struct TokenParts {
    /// Where grants are kept; `None` in a command, which may not touch them.
    pub store: Option<Store>,
    /// Where keys and secrets are read.
    pub secrets: Secrets,
    /// Where requests are counted.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
}

/// What is known of one holder.
#[derive(Default)]
struct Slot {
    /// Whether the store was asked.
    loaded: bool,
    /// What the provider gave when a person signed in, and since.
    grant: Option<Grant>,
    /// Whether `grant` is newer than what is on disk: the store failed.
    uncommitted: bool,
    access: Option<Access>,
    /// Why the last request failed, and until when nobody asks again.
    failed: Option<(TokenError, Timestamp)>,
    failures: u32,
    /// What was declared when that was learned.
    declared: Option<(OAuthProfile, OAuthProvider)>,
    /// Keeps the certificates and the reach.
    client: Option<Arc<Client>>,
}

#[derive(Clone)]
struct Access {
    token: SecretString,
    obtained: Timestamp,
    refresh_at: Timestamp,
    ends: Timestamp,
}

impl Access {
    /// Whether a refusal is not explained by the age of the token. Providers round to whole seconds
    /// and clocks differ, so a server may end a short life a second or two before we do.
    fn is_new(&self, now: Timestamp) -> bool {
        let life = self.ends.duration_since(self.obtained);
        now.duration_since(self.obtained) < REFUSED_AFTER.min(life / 2)
    }
}

/// Tokens that nothing is kept of.
impl Default for Tokens {
    fn default() -> Tokens {
        Tokens::new(TokenParts {
            store: None,
            secrets: Secrets::default(),
            metrics: Metrics::default(),
            clock: Clock::default(),
        })
    }
}

impl Tokens {
    /// Without any token.
    pub fn new(parts: TokenParts) -> Tokens {
        let tasks = TaskTracker::new();
        tasks.close();
        Tokens(Arc::new(Shared {
            parts,
            slots: Mutex::default(),
            sign_ins: Mutex::default(),
            bells: Mutex::default(),
            warnings: Mutex::default(),
            tasks,
        }))
    }

    /// A valid access token. Asks the provider only if there is none; may be dropped at any time.
    pub async fn access(
        &self,
        config: &Arc<Config>,
        holder: &Holder,
    ) -> Result<SecretString, TokenError> {
        self.work(config, holder, None).await
    }

    /// A mail server refused this token. Gives another one if there is, and asks the provider once
    /// if that may help; otherwise the same again.
    pub async fn instead_of(
        &self,
        config: &Arc<Config>,
        holder: &Holder,
        refused: &SecretString,
    ) -> Result<SecretString, TokenError> {
        self.work(config, holder, Some(refused.clone())).await
    }

    /// The token was refused: the next one who needs it gets another, unless this one is new.
    pub async fn distrust(&self, config: &Arc<Config>, holder: &Holder) {
        let slot = self.slot(config, holder);
        let mut slot = slot.lock().await;
        let now = self.0.parts.clock.now();
        if slot.access.as_ref().is_some_and(|access| !access.is_new(now)) {
            slot.access = None;
        }
    }

    /// A mail server took the token: what came before it is not needed any more.
    pub async fn accepted(&self, config: &Arc<Config>, holder: &Holder) {
        let slot = self.slot(config, holder);
        let mut slot = slot.lock().await;
        let Some(grant) = slot.grant.as_ref().filter(|grant| grant.previous.is_some()) else {
            return;
        };
        let grant = Grant { previous: None, ..grant.clone() };
        // If it cannot be written, the old one stays for longer, which harms nobody.
        if self.keep(&config.oauth2, holder, &grant).await.is_ok() {
            slot.grant = Some(grant);
        }
    }

    /// A person has signed in.
    pub async fn signed_in(
        &self,
        config: &Arc<Config>,
        holder: &Holder,
        tokens: &oauth::Tokens,
    ) -> Result<(), TokenError> {
        let now = self.0.parts.clock.now();
        let Some(grant) = Grant::first(&holder.profile, tokens, now) else {
            let message = "the provider gave no refresh token, so the sign-in would end soon";
            let hint =
                "does the scope ask for it? (offline_access; at Google access_type: offline)";
            return Err(TokenError::new(Why::Provider, message.to_owned(), hint));
        };
        let slot = self.slot(config, holder);
        let mut slot = slot.lock().await;
        self.keep(&config.oauth2, holder, &grant).await?;
        slot.loaded = true;
        slot.uncommitted = false;
        slot.access = Some(access(tokens, now));
        slot.grant = Some(grant);
        slot.failed = None;
        slot.failures = 0;
        self.measure_sign_in(holder, false);
        self.bell(config, holder).notify_one();
        tracing::info!(
            kind = holder.kind.word(),
            name = holder.name,
            profile = holder.profile,
            "signed in"
        );
        Ok(())
    }

    /// Replaces, without being waited for, tokens of which most of the life is over.
    pub fn refresh_ahead(&self, config: &Arc<Config>) {
        for holder in holder::all(config, Switch::Enabled) {
            let (tokens, config) = (self.clone(), config.clone());
            let due = self.slot(&config, &holder).try_lock().is_ok_and(|slot| {
                let now = tokens.0.parts.clock.now();
                slot.access.as_ref().is_some_and(|access| access.refresh_at <= now)
            });
            if due {
                self.0.tasks.spawn(async move {
                    // What fails here is told to whoever needs the token next.
                    let _ = tokens.access(&config, &holder).await;
                });
            }
        }
    }

    /// Waits until no request is under way.
    pub async fn finish(&self) {
        self.0.tasks.wait().await;
    }

    /// The one way to a token: in a task that nobody can cancel, with the holder's slot locked.
    async fn work(
        &self,
        config: &Arc<Config>,
        holder: &Holder,
        refused: Option<SecretString>,
    ) -> Result<SecretString, TokenError> {
        let slot = self.slot(config, holder);
        let (tokens, config, holder) = (self.clone(), config.clone(), holder.clone());
        let work = self.0.tasks.spawn(async move {
            let mut slot = slot.lock_owned().await;
            let token = tokens.token(&config, &holder, &mut slot, refused.as_ref()).await;
            // Also while the last access token still lives: it is the time to sign in.
            let wants_person = |error: &TokenError| error.why == Why::SignIn;
            let failed = slot.failed.as_ref().map(|(error, _)| error);
            let wanted = token.as_ref().err().or(failed).is_some_and(wants_person);
            tokens.measure_sign_in(&holder, wanted);
            token
        });
        work.await.unwrap_or_else(|_| {
            let message = "asking for a token ended before its time".to_owned();
            Err(TokenError::new(Why::Unreachable, message, ""))
        })
    }

    async fn token(
        &self,
        config: &Config,
        holder: &Holder,
        slot: &mut Slot,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, TokenError> {
        let oauth2 = &config.oauth2;
        slot.follow(oauth2, holder);
        self.load(config, holder, slot).await?;
        if slot.uncommitted {
            self.commit(oauth2, holder, slot).await?;
        }
        let now = self.0.parts.clock.now();
        let mut usable = slot.access.clone().filter(|access| access.ends > now);
        if let (Some(refused), Some(access)) = (refused, &usable) {
            let same = same(&access.token, refused);
            if !same || access.is_new(now) {
                return Ok(access.token.clone());
            }
            usable = None;
        }
        if let Some(access) = usable.as_ref().filter(|access| access.refresh_at > now) {
            return Ok(access.token.clone());
        }
        let result = match slot.failed.as_ref().filter(|(_, until)| *until > now) {
            Some((error, _)) => Err(error.clone()),
            None => self.obtain(oauth2, holder, slot, now).await,
        };
        match (result, usable) {
            (Ok(()), _) => {}
            // The old one does as long as it lives.
            (Err(error), Some(access)) => {
                tracing::debug!(name = holder.name, %error, "the access token is used to its end");
                return Ok(access.token);
            }
            (Err(error), None) => return Err(error),
        }
        let access = slot.access.as_ref().expect("it was just obtained");
        Ok(access.token.clone())
    }

    /// Rings when somebody has signed in for this holder, also for one who listens only then: a
    /// holder has one worker.
    pub fn bell(&self, config: &Config, holder: &Holder) -> Arc<Notify> {
        let mut bells = self.0.bells.lock().unwrap_or_else(PoisonError::into_inner);
        bells.entry(holder.key(&config.oauth2)).or_default().clone()
    }

    fn slot(&self, config: &Config, holder: &Holder) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(holder.key(&config.oauth2)).or_default().clone()
    }

    fn measure_sign_in(&self, holder: &Holder, wanted: bool) {
        let metrics = &self.0.parts.metrics;
        metrics.oauth_sign_in_required(holder.kind.word(), &holder.name, wanted);
    }
}

impl Slot {
    /// Another declaration may mend what failed, and may want other tokens.
    fn follow(&mut self, oauth2: &OAuth2, holder: &Holder) {
        let declared = oauth2.profiles.get(&holder.profile).and_then(|profile| {
            Some((profile.clone(), oauth2.providers.get(&profile.provider)?.clone()))
        });
        if self.declared != declared {
            self.failed = None;
            self.failures = 0;
            self.client = None;
            if self.declared.is_some() {
                self.access = None;
            }
            self.declared = declared;
        }
        // What was given to one profile is of no use to another.
        if self.grant.as_ref().is_some_and(|grant| grant.profile != holder.profile) {
            *self = Slot { declared: self.declared.take(), ..Slot::default() };
        }
    }
}

fn access(tokens: &oauth::Tokens, now: Timestamp) -> Access {
    let ends = now.checked_add(tokens.life).unwrap_or(now);
    Access { token: tokens.access.clone(), obtained: now, refresh_at: ahead_of(now, ends), ends }
}

/// When a token is replaced: at 80 % of its life, spread so that a thousand accounts do not ask in
/// the same second.
fn ahead_of(issued: Timestamp, ends: Timestamp) -> Timestamp {
    let life = ends.duration_since(issued).as_secs_f64().clamp(0.0, answer::LIFE_MAX.as_secs_f64());
    let share = REFRESH_AT + JITTER * (2.0 * backoff::dice() - 1.0);
    issued.checked_add(SignedDuration::from_secs_f64(life * share)).unwrap_or(ends)
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    use secrecy::ExposeSecret;
    use subtle::ConstantTimeEq;
    one.expose_secret().as_bytes().ct_eq(other.expose_secret().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_when_most_of_the_life_is_over() {
        let issued = Timestamp::UNIX_EPOCH;
        let ends = issued + SignedDuration::from_secs(1000);
        for _ in 0..100 {
            let at = ahead_of(issued, ends).as_second();
            assert!((750..=850).contains(&at), "{at}");
        }
        assert_eq!(ahead_of(ends, issued), ends);
    }

    #[test]
    fn a_refused_token_is_replaced_unless_it_is_new() {
        for (life_secs, age_secs, is_new) in
            [(3600, 9, true), (3600, 10, false), (4, 1, true), (4, 2, false), (4, 3, false)]
        {
            let obtained = Timestamp::UNIX_EPOCH;
            let after = |seconds| obtained + SignedDuration::from_secs(seconds);
            let access = Access {
                token: SecretString::default(),
                obtained,
                refresh_at: after(life_secs),
                ends: after(life_secs),
            };
            assert_eq!(access.is_new(after(age_secs)), is_new, "{age_secs} s of {life_secs} s");
        }
    }
}
