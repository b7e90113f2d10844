//! Tries an account or an SMTP server step by step, for `postroom probe` and for the page.
//!
//! ```text
//! discovery, token   who needs one                     discovery.rs  where it comes from
//! name, tcp, tls     every server                      road.rs       walked by ourselves
//! login, folder      as the protocol passes them       advice.rs     what to do about each
//! messages, fetch    accounts: how many there are, and one of them
//! news, target       accounts; target is where fetched mails are moved
//! mail               servers, if some are given
//! ```
//! Architecture invariant: nothing is deleted, marked or kept; mails are sent only if some are given.
//! A step is `ok` only for what was done.

mod advice;
mod discovery;
mod road;

use std::sync::Arc;

use secrecy::SecretString;

use crate::core::config::{
    Account, AfterFetch, Config, Endpoint, Login, Security, SmtpRoute, SmtpServer, Source,
};
use crate::core::outgoing::{Attempt, Outgoing};
use crate::mailbox::{self, Entry, Fetched, Mailbox, MailboxError, Scope};
use crate::metrics::Metrics;
use crate::run::clock::Clock;
use crate::run::tokens::{Holder, TokenParts, Tokens};
use crate::secret::Secrets;
use crate::transport::{self, Connection, Earlier, programs::Programs};

/// Name of a step that says something and stands for nothing that was done.
pub const ADVICE: &str = "advice";

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probe {
    /// What worked, in order.
    pub steps: Vec<Step>,
    /// What failed then, if anything did.
    pub failed: Option<ProbeFailure>,
}

/// A step that worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which: `discovery`, `token`, `name`, `tcp`, `tls`, `login`, `folder` and so on.
    pub name: &'static str,
    /// What was found.
    pub said: String,
}

/// The step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFailure {
    /// Which.
    pub step: &'static str,
    /// In words.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl Step {
    fn new(name: &'static str, said: impl Into<String>) -> Step {
        Step { name, said: said.into() }
    }
}

impl ProbeFailure {
    fn new(
        step: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> ProbeFailure {
        ProbeFailure { step, message: message.into(), hint: hint.into() }
    }
}

/// What is sent to try a server.
pub struct TestMails {
    /// With an envelope sender, as an agent's answer.
    pub answer: Outgoing,
    /// With the null sender, as automatic mail and notifications.
    pub automatic: Outgoing,
}

/// What is needed to log in.
pub struct Means {
    /// What is declared.
    pub config: Arc<Config>,
    /// Where passwords are read.
    pub secrets: Secrets,
    /// Programs that may be run.
    pub programs: Programs,
    /// Where access tokens come from.
    pub tokens: Tokens,
}

impl Means {
    /// For a command, beside a daemon that may be running: it gets tokens of client credentials.
    /// Those of people are in the daemon's hands; a second one who refreshes would take them away.
    pub fn of_command(config: Config, secrets: Secrets, programs: Programs) -> Means {
        let tokens = Tokens::new(TokenParts {
            store: None,
            secrets: secrets.clone(),
            metrics: Metrics::default(),
            clock: Clock::real(),
        });
        Means { config: Arc::new(config), secrets, programs, tokens }
    }

    /// An access token, for one that logs in with it.
    async fn token(
        &self,
        holder: Option<Holder>,
        steps: &mut Vec<Step>,
    ) -> Result<Option<SecretString>, ProbeFailure> {
        let Some(holder) = holder else { return Ok(None) };
        let oauth2 = &self.config.oauth2;
        if let Some(profile) = oauth2.profiles.get(&holder.profile)
            && let Some(provider) = oauth2.providers.get(&profile.provider)
        {
            steps.push(discovery::provider(&holder.profile, profile, provider).await?);
        }
        match self.tokens.access(&self.config, &holder).await {
            Ok(token) => {
                steps.push(Step::new("token", "the provider gave one"));
                Ok(Some(token))
            }
            Err(error) => Err(ProbeFailure::new("token", error.message, error.hint)),
        }
    }
}

/// Connects, logs in, opens the folder, counts, fetches one message.
pub async fn account(account: &Account, means: &Means) -> Probe {
    let mut probe = Probe::default();
    probe.failed = try_account(account, means, &mut probe.steps).await.err();
    probe
}

/// Connects and logs in; sends the mails, if there are any.
pub async fn server(server: &SmtpServer, mails: Option<&TestMails>, means: &Means) -> Probe {
    let mut probe = Probe::default();
    probe.failed = try_server(server, mails, means, &mut probe.steps).await.err();
    probe
}

async fn try_account(
    account: &Account,
    means: &Means,
    steps: &mut Vec<Step>,
) -> Result<(), ProbeFailure> {
    let token = means.token(Holder::of_account(account), steps).await?;
    let place = Place::of_account(account);
    place.walk_to(means, steps).await?;
    let opened = mailbox::open(account, &means.secrets, token.as_ref()).await;
    let mut mailbox = opened.map_err(|error| {
        let failed = of_mailbox(&error, token.is_some());
        steps.extend(place.passed_before(failed.step));
        failed
    })?;
    steps.extend(place.passed_before("messages"));
    let counted = count(mailbox.as_mut()).await;
    let Counted { messages, bytes, one } =
        counted.map_err(|error| of_mailbox(&error, token.is_some()))?;
    steps.push(Step::new("messages", format!("{messages}, {bytes} bytes")));
    steps.push(fetch(account, mailbox.as_mut(), one).await.map_err(|error| {
        let hint = advice::of_mailbox(&error, token.is_some()).1;
        ProbeFailure::new("fetch", error.to_string(), hint)
    })?);
    if let Some(why) = mailbox.names_end() {
        steps.push(Step::new(ADVICE, why));
    } else if !mailbox.is_complete() {
        let advice = "the server lists some messages without a name; they are put in quarantine";
        steps.push(Step::new(ADVICE, advice));
    }
    if let AfterFetch::Move(folder) = &account.after_fetch {
        let found = mailbox.find_target(folder).await;
        let found = found.map_err(|error| of_mailbox(&error, token.is_some()))?;
        steps.push(Step::new(
            "target",
            match found {
                Some(name) => format!("{name} takes what was fetched"),
                None => format!("{folder} is missing; it is made with the first mail"),
            },
        ));
    }
    let waits = mailbox.can_wait();
    let news = if waits { "the server tells of them (IDLE)" } else { "polled, no IDLE" };
    steps.push(Step::new("news", news));
    mailbox.close().await.map_err(|error| of_mailbox(&error, token.is_some()))
}

/// What lies in a mailbox.
struct Counted {
    messages: usize,
    bytes: u64,
    /// A small message among the oldest.
    one: Option<Entry>,
}

/// How many messages there are, and their bytes.
async fn count(mailbox: &mut dyn Mailbox) -> Result<Counted, MailboxError> {
    mailbox.look(Scope::All).await?;
    let mut counted = Counted { messages: 0, bytes: 0, one: None };
    loop {
        let page = mailbox.page().await?;
        if page.is_empty() {
            return Ok(counted);
        }
        counted.messages += page.len();
        counted.bytes += page.iter().filter_map(|entry| entry.size_bytes).sum::<u64>();
        let smallest = page.into_iter().min_by_key(|entry| entry.size_bytes.unwrap_or(u64::MAX));
        counted.one = counted.one.or(smallest);
    }
}

/// Fetches one message, as the daemon would; of one that the server might hide then, the header.
async fn fetch(
    account: &Account,
    mailbox: &mut dyn Mailbox,
    one: Option<Entry>,
) -> Result<Step, MailboxError> {
    let Some(one) = one else {
        return Ok(Step::new(ADVICE, "fetching was not tried, as there is no message"));
    };
    let size_max = if mailbox.hides_fetched() { 0 } else { account.max_size_bytes };
    let fetched = mailbox.fetch(std::slice::from_ref(&one), size_max).await?;
    let said = match fetched.into_iter().next() {
        Some(Fetched::Mail(raw)) => format!("one message, {} bytes", raw.len()),
        Some(Fetched::Oversize { header, .. }) if header.is_empty() => {
            let said = "fetching was not tried, as the server gives no headers alone (no TOP)";
            return Ok(Step::new(ADVICE, said));
        }
        Some(Fetched::Oversize { header, .. }) => {
            format!("the header of one message, {} bytes", header.len())
        }
        Some(Fetched::Larger { .. }) => "one message, larger than announced".to_owned(),
        Some(Fetched::Missing) | None => {
            let message = format!("the message {} is listed but not given", one.location.0);
            return Err(MailboxError::Refused { command: "fetch", message });
        }
    };
    Ok(Step::new("fetch", said))
}

async fn try_server(
    server: &SmtpServer,
    mails: Option<&TestMails>,
    means: &Means,
    steps: &mut Vec<Step>,
) -> Result<(), ProbeFailure> {
    let token = means.token(Holder::of_server(server), steps).await?;
    let place = Place::of_server(server);
    place.walk_to(means, steps).await?;
    let server = &transport::named(server, &means.config, None);
    let opened = transport::open(server, &means.secrets, &means.programs, token.as_ref()).await;
    let mut connection = opened.map_err(|attempt| {
        let failed = of_attempt(&attempt, token.is_some());
        steps.extend(place.passed_before(failed.step));
        failed
    })?;
    steps.extend(place.passed_before("mail"));
    if let Some(TestMails { answer, automatic }) = mails {
        steps.push(send(&mut connection, answer).await?);
        if matches!(server.route, SmtpRoute::Smtp { .. }) {
            steps.push(send(&mut connection, automatic).await?);
        }
    }
    connection.close().await;
    Ok(())
}

/// Sends a test mail. That the null sender is refused is no failure: the outbox then uses the
/// sender's address, with which the mail before was taken.
async fn send(connection: &mut Connection, mail: &Outgoing) -> Result<Step, ProbeFailure> {
    let to = &mail.recipient;
    let is_automatic = mail.envelope_from.is_none();
    match connection.send(mail, Earlier::Nothing).await {
        Attempt::Sent if is_automatic => {
            Ok(Step::new("mail", format!("one to {to} with the null sender was taken")))
        }
        Attempt::Sent => Ok(Step::new("mail", format!("one to {to} was taken"))),
        attempt if is_automatic && connection.may_refuse_null_sender() => Ok(Step::new(
            ADVICE,
            format!(
                "the server refuses the null sender ({}); automatic mail goes out with the \
                 sender's address",
                said(&attempt)
            ),
        )),
        attempt => {
            let hint = match &attempt {
                Attempt::ServerDown { cause, message, .. } => {
                    advice::of_server(cause, message, false).1
                }
                Attempt::Sent
                | Attempt::Temporary(_)
                | Attempt::Permanent(_)
                | Attempt::InDoubt { .. } => "",
            };
            let message = format!("could not send to {to}: {}", said(&attempt));
            Err(ProbeFailure::new("mail", message, hint))
        }
    }
}

/// What is tried, and what its protocol passes before the steps that can be told apart.
#[derive(Default)]
struct Place<'a> {
    endpoint: Option<&'a Endpoint>,
    login: Option<&'a Login>,
    folder: Option<String>,
    /// Whether a login shows by itself: with HTTP it does only when something is asked.
    shows_login: bool,
}

impl Place<'_> {
    fn of_account(account: &Account) -> Place<'_> {
        let (endpoint, login, folder) = match &account.connection {
            Source::Imap { endpoint, login, folder }
            | Source::Graph { endpoint, login, folder } => (endpoint, login, Some(folder.clone())),
            Source::Pop3 { endpoint, login } => (endpoint, login, None),
            Source::Maildir { path } => {
                return Place { folder: Some(path.display().to_string()), ..Place::default() };
            }
        };
        Place { endpoint: Some(endpoint), login: Some(login), folder, shows_login: true }
    }

    fn of_server(server: &SmtpServer) -> Place<'_> {
        match &server.route {
            SmtpRoute::Smtp { endpoint, login } => Place {
                endpoint: Some(endpoint),
                login: Some(login),
                folder: None,
                shows_login: true,
            },
            SmtpRoute::Graph { endpoint, .. } => {
                Place { endpoint: Some(endpoint), ..Place::default() }
            }
            SmtpRoute::File { directory } => {
                Place { folder: Some(directory.display().to_string()), ..Place::default() }
            }
            SmtpRoute::Sendmail { .. } => Place::default(),
        }
    }

    /// Where there is a network: name, TCP, and TLS where it comes first.
    async fn walk_to(&self, means: &Means, steps: &mut Vec<Step>) -> Result<(), ProbeFailure> {
        let Some(endpoint) = self.endpoint else { return Ok(()) };
        let host = means.secrets.text(&endpoint.host);
        let host = host.map_err(|error| ProbeFailure::new("name", error.to_string(), ""))?;
        road::walk(endpoint, &host, steps).await
    }

    /// What the protocol had passed when it failed at this step, or came to it.
    fn passed_before(&self, step: &str) -> Vec<Step> {
        let mut passed = Vec::new();
        if matches!(step, "secret" | "tcp" | "tls" | "protocol") {
            return passed;
        }
        if self.endpoint.is_some_and(|endpoint| endpoint.security == Security::StartTls) {
            passed.push(Step::new("tls", "encrypted by STARTTLS, with a certificate we accept"));
        }
        if step == "login" {
            return passed;
        }
        match self.login.filter(|_| self.shows_login) {
            Some(Login::Password { .. }) => passed.push(Step::new("login", "with the password")),
            Some(Login::OAuth2 { .. }) => passed.push(Step::new("login", "with the access token")),
            Some(Login::None) => passed.push(Step::new("login", "none is declared")),
            None => {}
        }
        if step == "folder" {
            return passed;
        }
        if let Some(folder) = &self.folder {
            passed.push(Step::new("folder", format!("{folder} can be used")));
        }
        passed
    }
}

fn of_mailbox(error: &MailboxError, token: bool) -> ProbeFailure {
    let (step, hint) = advice::of_mailbox(error, token);
    ProbeFailure::new(step, error.to_string(), hint)
}

fn of_attempt(attempt: &Attempt, token: bool) -> ProbeFailure {
    let Attempt::ServerDown { cause, message, .. } = attempt else {
        return ProbeFailure::new("protocol", said(attempt), "");
    };
    let (step, hint) = advice::of_server(cause, message, token);
    ProbeFailure::new(step, message.clone(), hint)
}

fn said(attempt: &Attempt) -> String {
    match attempt {
        Attempt::Sent => "taken".into(),
        Attempt::Temporary(words) => format!("refused for now: {words}"),
        Attempt::Permanent(words) => format!("refused for good: {words}"),
        Attempt::InDoubt { message, .. } => format!("it may have been sent: {message}"),
        Attempt::ServerDown { cause, message, .. } => format!("{cause}: {message}"),
    }
}
