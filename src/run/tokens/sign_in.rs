//! People who are signing in: what was begun, and what came of it.
//!
//! Architecture invariant: a state and a code are used once; the verifier, the code and the tokens
//! stay in the daemon, whoever brings the code.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::failure::{TokenError, Why, told};
use super::{Holder, Tokens};
use crate::core::config::{Config, Grant as Way};
use crate::net::http::Client;
use crate::oauth::code::Attempt;
use crate::oauth::pkce::chance;
use crate::oauth::{self, OAuthError, Registration, device};

/// A sign-in that is not finished after this time is forgotten.
const SIGN_IN_MAX: SignedDuration = SignedDuration::from_mins(15);
/// What came of a sign-in can be asked for this time.
const OUTCOME_KEPT: SignedDuration = SignedDuration::from_mins(60);
/// Sign-ins at a time.
const SIGN_INS_MAX: usize = 100;

/// Sign-ins by what names them.
pub(super) type SignIns = HashMap<String, SignIn>;

/// A person who is signing in.
pub(super) struct SignIn {
    holder: Holder,
    /// What belongs to a sign-in with a browser, until its code was redeemed.
    attempt: Option<Attempt>,
    ends: Timestamp,
    outcome: Outcome,
}

/// What came of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The person has not decided yet.
    Waiting,
    /// It is done.
    Done,
    /// It failed, and why.
    Failed(String),
}

/// A sign-in that has begun.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Names it from now on.
    pub id: String,
    /// Where the person goes.
    pub url: String,
    /// What the person types there; `None` with a browser.
    pub user_code: Option<String>,
    /// Until when.
    pub ends: Timestamp,
}

impl Tokens {
    /// Begins a sign-in with a browser, which is then sent to `redirect`.
    pub fn begin_code(
        &self,
        config: &Arc<Config>,
        holder: &Holder,
        redirect: &str,
    ) -> Result<Begun, TokenError> {
        let (_, registration) = self.asking(config, holder)?;
        let (Some(attempt), Some(id)) = (Attempt::new(redirect), chance()) else {
            return Err(no_chance());
        };
        let username = self.0.parts.secrets.text(&holder.username).unwrap_or_default();
        let url = attempt.url(&registration, &username);
        let ends = self.0.parts.clock.now() + SIGN_IN_MAX;
        self.note(&id, holder, Some(attempt), ends)?;
        Ok(Begun { id, url, user_code: None, ends })
    }

    /// A browser came back. `answer` is the code, or the error in its place (RFC 6749 section
    /// 4.1.2.1).
    pub async fn finish_code(
        &self,
        config: &Arc<Config>,
        state: &str,
        answer: Result<SecretString, String>,
    ) -> Result<Holder, String> {
        let (id, holder, attempt) = self.take(state)?;
        let redeemed = match answer {
            Err(error) => Err(format!("the provider did not let you in: {}", cleaned(&error))),
            // In a task: a browser that goes away must not lose what the provider gives.
            Ok(code) => {
                let (tokens, config, holder) = (self.clone(), config.clone(), holder.clone());
                let work = self
                    .0
                    .tasks
                    .spawn(async move { tokens.redeem(&config, &holder, &attempt, &code).await });
                work.await.unwrap_or_else(|_| Err("signing in ended before its time".into()))
            }
        };
        self.conclude(&id, &redeemed);
        redeemed.map(|()| holder)
    }

    async fn redeem(
        &self,
        config: &Arc<Config>,
        holder: &Holder,
        attempt: &Attempt,
        code: &SecretString,
    ) -> Result<(), String> {
        let (client, registration) = self.asking(config, holder).map_err(|it| it.message)?;
        let tokens = attempt.redeem(&client, &registration, code).await;
        let tokens = tokens.map_err(|error| told_without_command(&error))?;
        self.check_person(holder, &tokens)?;
        self.signed_in(config, holder, &tokens).await.map_err(|error| error.message)
    }

    /// Begins a sign-in on another device.
    pub async fn begin_device(
        &self,
        config: &Arc<Config>,
        holder: &Holder,
    ) -> Result<Begun, TokenError> {
        let (client, registration) = self.asking(config, holder)?;
        let device = device::begin(&client, &registration).await;
        let device = device.map_err(|error| told(holder, &error))?;
        let Some(id) = chance() else { return Err(no_chance()) };
        let ends =
            self.0.parts.clock.now() + SignedDuration::try_from(device.life).unwrap_or(SIGN_IN_MAX);
        self.note(&id, holder, None, ends)?;
        let begun = Begun {
            id: id.clone(),
            url: device.url.clone(),
            user_code: Some(device.user_code.clone()),
            ends,
        };
        let (tokens, config, holder) = (self.clone(), config.clone(), holder.clone());
        // Not among the tasks the daemon waits for: a person may take half an hour.
        tokio::spawn(async move {
            let outcome =
                tokens.follow_device(&config, &holder, &client, &registration, device).await;
            tokens.conclude(&id, &outcome);
        });
        Ok(begun)
    }

    /// Asks until the person has decided (RFC 8628 section 3.5).
    async fn follow_device(
        &self,
        config: &Arc<Config>,
        holder: &Holder,
        client: &Client,
        registration: &Registration,
        device: device::Device,
    ) -> Result<(), String> {
        let deadline = tokio::time::Instant::now() + device.life;
        let mut interval = device.interval;
        while tokio::time::Instant::now() + interval < deadline {
            tokio::time::sleep(interval).await;
            match device::ask(client, registration, &device).await {
                Ok(tokens) => {
                    self.check_person(holder, &tokens)?;
                    let signed_in = self.signed_in(config, holder, &tokens).await;
                    return signed_in.map_err(|error| error.message);
                }
                Err(OAuthError::Pending { slow_down: false }) => {}
                // A provider that could not be asked is asked less often (RFC 8628 section 3.5).
                Err(
                    OAuthError::Pending { slow_down: true }
                    | OAuthError::Busy { .. }
                    | OAuthError::Http(_),
                ) => interval += device::SLOWER,
                Err(error) => return Err(told_without_command(&error)),
            }
        }
        Err("nobody typed the code in time".into())
    }

    /// Whether the person who signed in is the declared one, where the protocol would not notice.
    /// With IMAP, POP3 and SMTP the user name travels beside the token, and the server compares them;
    /// Microsoft Graph takes the token of anybody who may open the mailbox.
    fn check_person(&self, holder: &Holder, tokens: &oauth::Tokens) -> Result<(), String> {
        let username = self.0.parts.secrets.text(&holder.username);
        let username = username.map_err(|error| error.to_string())?;
        let fits = |name: &String| name.to_lowercase() == username.to_lowercase();
        match tokens.person.first() {
            Some(name) if holder.service == "graph" && !tokens.person.iter().any(fits) => {
                Err(format!(
                    "{name} signed in, and {username} is declared: sign in as {username}, or declare \
                     `username: {name}` with `mailbox: {username}`"
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What came of a sign-in; `None` if there is none of this name.
    pub fn outcome(&self, id: &str) -> Option<Outcome> {
        let sign_ins = self.0.sign_ins.lock().unwrap_or_else(PoisonError::into_inner);
        sign_ins.get(id).map(|sign_in| sign_in.outcome.clone())
    }

    /// What is needed to ask a provider for somebody who signs in.
    fn asking(
        &self,
        config: &Arc<Config>,
        holder: &Holder,
    ) -> Result<(Arc<Client>, Registration), TokenError> {
        let oauth2 = &config.oauth2;
        match holder.way(oauth2) {
            Some(Way::AuthorizationCode | Way::DeviceCode) => {}
            Some(Way::ClientCredentials) => {
                let message = format!(
                    "profile {:?} gets its tokens with clientId and clientSecret; nobody signs in",
                    holder.profile
                );
                return Err(TokenError::new(Why::Declared, message, "look with `postroom probe`"));
            }
            None => return Err(holder.undeclared()),
        }
        self.key(oauth2)?;
        let provider = oauth2.profiles.get(&holder.profile).map(|profile| &profile.provider);
        let provider = provider.and_then(|name| oauth2.providers.get(name));
        let provider = provider.ok_or_else(|| holder.undeclared())?;
        let secrets = &self.0.parts.secrets;
        let registration = oauth::registration(oauth2, &holder.profile, holder.purpose(), secrets)
            .map_err(|error| told(holder, &error))?;
        Ok((Arc::new(oauth::client(provider)), registration))
    }

    fn note(
        &self,
        id: &str,
        holder: &Holder,
        attempt: Option<Attempt>,
        ends: Timestamp,
    ) -> Result<(), TokenError> {
        let now = self.0.parts.clock.now();
        let mut sign_ins = self.0.sign_ins.lock().unwrap_or_else(PoisonError::into_inner);
        sign_ins.retain(|_, sign_in| now < sign_in.ends + OUTCOME_KEPT);
        if sign_ins.len() >= SIGN_INS_MAX {
            let message = "too many people are signing in".to_owned();
            return Err(TokenError::new(Why::Declared, message, "try again in an hour"));
        }
        let outcome = Outcome::Waiting;
        sign_ins.insert(id.to_owned(), SignIn { holder: holder.clone(), attempt, ends, outcome });
        Ok(())
    }

    /// Takes what belongs to a state; a second time there is nothing.
    fn take(&self, state: &str) -> Result<(String, Holder, Attempt), String> {
        let now = self.0.parts.clock.now();
        let mut sign_ins = self.0.sign_ins.lock().unwrap_or_else(PoisonError::into_inner);
        let found = sign_ins.iter_mut().find(|(_, sign_in)| {
            sign_in.attempt.as_ref().is_some_and(|attempt| attempt.state == state)
        });
        let (id, sign_in) = found.ok_or("this sign-in is unknown or was used already")?;
        let attempt = sign_in.attempt.take().expect("it was just found");
        if sign_in.ends < now {
            return Err("this sign-in took too long; begin again".into());
        }
        Ok((id.clone(), sign_in.holder.clone(), attempt))
    }

    fn conclude(&self, id: &str, outcome: &Result<(), String>) {
        let mut sign_ins = self.0.sign_ins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sign_in) = sign_ins.get_mut(id) {
            sign_in.outcome = match outcome {
                Ok(()) => Outcome::Done,
                Err(reason) => Outcome::Failed(reason.clone()),
            };
        }
    }
}

fn no_chance() -> TokenError {
    TokenError::new(Why::Declared, "the system gives no random numbers".to_owned(), "")
}

fn told_without_command(error: &OAuthError) -> String {
    match error {
        OAuthError::SignIn(said) => format!("the provider did not let you in ({said})"),
        error => format!("could not get a token: {error}"),
    }
}

/// An error code of a provider (RFC 6749 section 4.1.2.1) as it may be shown.
fn cleaned(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c)).take(64).collect()
}
