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
//! Architecture invariant: one request per holder at a time; an access token is handed out only
//! after the commit of the refresh token that came with it; no token is ever shown or logged.

mod grant;
mod holder;
mod sign_in;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::backoff;
use super::clock::Clock;
use crate::core::config::{Config, Grant as Way, OAuth2, OAuthProfile, OAuthProvider};
use crate::faultpoint;
use crate::metrics::Metrics;
use crate::net::http::Client;
use crate::oauth::{self, OAuthError, Registration, answer};
use crate::secret::Secrets;
use crate::store::Store;

pub use grant::Grant;
pub use holder::Holder;
pub use sign_in::{Begun, Outcome};

/// An access token is replaced after this share of its life, give or take [`JITTER`].
const REFRESH_AT: f64 = 0.8;
/// Half of the span over which refreshes are spread, as a share of the life.
const JITTER: f64 = 0.05;
/// A provider that wants a person is not asked again for this time.
const SIGN_IN_PAUSE: SignedDuration = SignedDuration::from_mins(15);
/// Longest time a busy provider is left alone, whatever it says.
const BUSY_PAUSE_MAX: Duration = Duration::from_secs(3600);
/// A token that a mail server refuses is replaced only if it is older than this: a new one that is
/// refused will not get better.
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
            Why::Client => "oauth_client",
            Why::Provider | Why::Unreachable => "token",
            Why::Declared => "secret",
            Why::Store => "store",
        }
    }
}

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
        let old = |access: &Access| now.duration_since(access.obtained) >= REFUSED_AFTER;
        if slot.access.as_ref().is_some_and(old) {
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
        self.measure(holder, &slot);
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
        for holder in holder::all(config) {
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
            let token = tokens.token(&config.oauth2, &holder, &mut slot, refused.as_ref()).await;
            tokens.measure(&holder, &slot);
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
        oauth2: &OAuth2,
        holder: &Holder,
        slot: &mut Slot,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, TokenError> {
        slot.follow(oauth2, holder);
        self.load(oauth2, holder, slot).await?;
        if slot.uncommitted {
            self.commit(oauth2, holder, slot).await?;
        }
        let now = self.0.parts.clock.now();
        let mut usable = slot.access.clone().filter(|access| access.ends > now);
        if let (Some(refused), Some(access)) = (refused, &usable) {
            let same = same(&access.token, refused);
            let young = now.duration_since(access.obtained) < REFUSED_AFTER;
            if !same || young {
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

    /// Asks the provider and notes what came of it.
    async fn obtain(
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

    /// Makes what was given last durable. Until that has worked, it is not used.
    async fn commit(
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

    fn prepared(
        &self,
        oauth2: &OAuth2,
        holder: &Holder,
        slot: &mut Slot,
    ) -> Result<(Arc<Client>, Registration), Stumble> {
        let secrets = &self.0.parts.secrets;
        let registration = oauth::registration(oauth2, &holder.profile, holder.service, secrets)
            .map_err(|error| Stumble::Declared(told(holder, &error)))?;
        let provider = slot.declared.as_ref().map(|(_, provider)| provider);
        let provider = provider.ok_or_else(|| Stumble::Declared(holder.undeclared()))?;
        let client = slot.client.get_or_insert_with(|| Arc::new(oauth::client(provider)));
        Ok((client.clone(), registration))
    }

    /// Reads from the store what is known, once.
    async fn load(
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
            super::intake::blocking(move || store.grant(&name)).await
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

    async fn keep(
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

    fn key(&self, oauth2: &OAuth2) -> Result<SecretString, TokenError> {
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

    fn measure(&self, holder: &Holder, slot: &Slot) {
        let metrics = &self.0.parts.metrics;
        if let Some(access) = &slot.access {
            metrics.oauth_token_expiry(&holder.profile, access.ends);
        }
        let (kind, name) = (holder.kind.word(), holder.name.as_str());
        if let Some(grant) = &slot.grant {
            metrics.oauth_grant_issued(kind, name, grant.issued);
        }
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
    }
}

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

impl TokenError {
    fn new(why: Why, message: String, hint: &str) -> TokenError {
        TokenError { why, message, hint: hint.to_owned() }
    }
}

fn failed_store(error: &crate::store::StoreError) -> TokenError {
    TokenError::new(Why::Store, format!("the token could not be stored or read: {error}"), "")
}

fn not_signed_in(holder: &Holder) -> TokenError {
    let command = holder.command();
    let message = format!("nobody has signed in for it; run `{command}`");
    TokenError::new(Why::SignIn, message, &format!("run `{command}`"))
}

/// A failure in the words of the holder.
fn told(holder: &Holder, error: &OAuthError) -> TokenError {
    let why = match error {
        OAuthError::SignIn(_) => Why::SignIn,
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

fn pause_after(error: &OAuthError, failures: u32) -> Duration {
    let growing = backoff::pause(failures, false, backoff::dice());
    match error {
        OAuthError::SignIn(_) => SIGN_IN_PAUSE.unsigned_abs(),
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
