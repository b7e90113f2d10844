//! The strict layer over async-imap: commands that count only with their tagged OK.
//!
//! The crate's own helpers take a tagged NO, a BYE or a cut connection for an empty result, know no
//! deadline and log the password. So we use of it the framing and the parser, and nothing else;
//! commands are written past it.
//!
//! Architecture invariant: a command has succeeded if, and only if, the server said so with our tag
//! and in time. After any error but `Refused` the session is out of step and must be dropped.

use std::collections::BTreeSet;
use std::time::Duration;

use async_imap::Client;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use imap_proto::{Capability, MailboxDatum, Response, ResponseCode, Status};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::busy::{self, During};
use super::guard::{Excess, Guard};
use super::listing::Place;
use crate::core::sasl::{self, Mechanism};
use crate::mailbox::dial::Target;
use crate::mailbox::wire::time_for;
use crate::mailbox::words::{repeatable, repeatable_without};
use crate::mailbox::{MailboxError, Woken};
use crate::net::Stream;

/// Answers to one command beyond those it calls for. More is a flood.
const ANSWERS_SPARE_MAX: u64 = 10_000;
/// RFC 2177 asks for less than 29 minutes; many routers forget a silent connection after ten, and
/// some a little earlier.
const IDLE_AT_MOST: Duration = Duration::from_secs(8 * 60 + 30);
/// A server that ends an IDLE or its session after so long keeps to its own limit (Yandex:
/// mjs/imapclient#234); one that does so earlier cannot hold a session.
const IDLE_HELD: Duration = Duration::from_secs(60);
/// Longest text sent as a quoted string; longer ones go as literals.
const QUOTED_BYTES_MAX: usize = 1_000;
/// Challenges of one login that we answer; the only one there should be says why we are refused.
const CHALLENGES_MAX: usize = 2;

/// A connection to an IMAP server.
pub struct Session {
    client: Client<Guard<Stream>>,
    /// Time for each step, beside the time for its bytes.
    timeout: Duration,
    /// What the server can, in upper case.
    capabilities: BTreeSet<String>,
    /// Whether it has offered ID (RFC 2971), before or after the login.
    offers_id: bool,
    /// Commands given; the next one's tag follows from it.
    commands: u32,
    /// Tag of an IDLE that was not ended, because a `wait` was dropped.
    idling: Option<String>,
    /// What the server tells about the open folder unasked.
    folder: Folder,
}

/// What the server tells about the open folder unasked.
#[derive(Debug, Default)]
struct Folder {
    /// Messages in it.
    exists: u32,
    /// Messages that were removed since the session began.
    expunged: u64,
    /// Whether there are more than at the last `settle`.
    news: bool,
    /// How far a look at it has come.
    place: Place,
}

/// What a command may cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowance {
    /// Answers it calls for.
    pub answers: u64,
    /// Bytes for which there is time beside that for the bytes that come. Sizes that a server
    /// announces do not belong here.
    pub bytes: u64,
}

/// How long a command may take: for the step itself, and for each byte that came.
///
/// Time for bytes is given when they are there, not when they are announced: an announced size may
/// be wrong in both directions (RFC 3501 section 6.4.5 bounds nothing by RFC822.SIZE).
#[derive(Debug, Clone, Copy)]
struct Pace {
    began: Instant,
    /// Bytes received when it began.
    received: u64,
    /// Time for the step.
    step: Duration,
}

impl Pace {
    fn deadline(&self, received: u64) -> Instant {
        self.began + time_for(self.step, received.saturating_sub(self.received))
    }
}

/// How a server answered with our tag.
struct Done {
    status: Status,
    words: String,
}

/// How a server answers one message of a login.
enum Answer {
    Done(Done),
    /// It asks for one more.
    Challenge(String),
}

impl Session {
    /// Greets the server, unless STARTTLS has done so, and asks what it can.
    pub async fn begin(
        stream: Stream,
        greeted: bool,
        timeout: Duration,
    ) -> Result<Session, MailboxError> {
        let mut session = Session {
            client: Client::new(Guard::new(stream)),
            timeout,
            capabilities: BTreeSet::new(),
            offers_id: false,
            commands: 0,
            idling: None,
            folder: Folder::default(),
        };
        if !greeted {
            session.greeting().await?;
        }
        session.read_capabilities().await?;
        Ok(session)
    }

    /// Whether the server can this; in upper case.
    pub fn can(&self, capability: &str) -> bool {
        self.capabilities.contains(capability)
    }

    /// Messages in the open folder.
    pub fn exists(&self) -> u32 {
        self.folder.exists
    }

    /// Messages that were removed from it since the session began.
    pub fn expunged(&self) -> u64 {
        self.folder.expunged
    }

    /// Says that everything announced so far is about to be looked at.
    pub fn settle(&mut self) {
        self.folder.news = false;
    }

    /// How far a look at it has come.
    pub(super) fn place(&self) -> &Place {
        &self.folder.place
    }

    /// The same, to be moved.
    pub(super) fn place_mut(&mut self) -> &mut Place {
        &mut self.folder.place
    }

    /// The connection.
    pub fn stream(&self) -> &Stream {
        self.client.get_ref().get_ref()
    }

    async fn greeting(&mut self) -> Result<(), MailboxError> {
        match timeout(self.timeout, read(&mut self.client, "greeting", judge_greeting)).await {
            Ok(judged) => judged?,
            Err(_) => Err(MailboxError::Timeout("greeting")),
        }
    }

    async fn read_capabilities(&mut self) -> Result<(), MailboxError> {
        let mut found = BTreeSet::new();
        self.command("CAPABILITY", "CAPABILITY", Allowance::default(), |response| {
            if let Response::Capabilities(capabilities) = response {
                found.extend(capabilities.iter().map(capability_name));
            }
            Ok(())
        })
        .await?;
        self.offers_id |= found.contains("ID");
        self.capabilities = found;
        Ok(())
    }

    /// Says what program we are (RFC 2971), where the server wants to know. NetEase (163.com,
    /// 126.com, yeah.net) opens no folder for a client that did not: `NO SELECT Unsafe Login`,
    /// pimalaya/himalaya#651. Name and version only; what it answers does not matter.
    pub async fn identify(&mut self) -> Result<(), MailboxError> {
        if !self.offers_id {
            return Ok(());
        }
        let version = env!("CARGO_PKG_VERSION");
        let text = format!("ID (\"name\" \"Postroom\" \"version\" \"{version}\")");
        match self.command("ID", &text, Allowance::default(), |_| Ok(())).await {
            Ok(()) | Err(MailboxError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Logs in with LOGIN (RFC 3501 section 6.2.3), or with AUTHENTICATE PLAIN where the server
    /// does not know LOGIN or does not allow it. The password passes neither the crate, whose trace
    /// log would show it, nor an error.
    pub async fn login(
        &mut self,
        username: &str,
        password: &SecretString,
    ) -> Result<(), MailboxError> {
        if self.can("LOGINDISABLED") {
            if self.can("AUTH=PLAIN") && self.stream().is_private() {
                return self.authenticate_plain(username, password).await;
            }
            return Err(MailboxError::Login(self.why_no_password()));
        }
        let secret = password.expose_secret();
        let deadline = Instant::now() + self.timeout;
        let logging_in = self.send_login(username, secret);
        let done = match timeout_at(deadline, logging_in).await {
            Ok(done) => done?,
            Err(_) => return Err(MailboxError::Timeout("LOGIN")),
        };
        let words = repeatable_without(secret, &done.words);
        match done.status {
            Status::Ok => self.read_capabilities().await,
            // RFC 3501 section 7.1.3: BAD is a command that the server does not know, no verdict
            // on the password.
            Status::Bad if self.can("AUTH=PLAIN") && self.stream().is_private() => {
                self.authenticate_plain(username, password).await
            }
            _ => Err(refused_login("LOGIN", &done, words)),
        }
    }

    /// Why a password cannot be used here, and what the server offers instead.
    fn why_no_password(&self) -> String {
        if !self.stream().is_private() {
            return "server takes no password on this connection (LOGINDISABLED); \
                    declare the account with TLS"
                .into();
        }
        let offered = self.capabilities.iter().filter_map(|name| name.strip_prefix("AUTH="));
        let offered: Vec<&str> = offered.collect();
        let offered = match offered.as_slice() {
            [] => "no other mechanism".to_owned(),
            some => format!("only {}", repeatable(&some.join(", "))),
        };
        format!(
            "server does not allow LOGIN (LOGINDISABLED) and offers {offered}; a password needs \
             LOGIN or AUTH=PLAIN, an access token AUTH=OAUTHBEARER or AUTH=XOAUTH2: have one of \
             them enabled on the server"
        )
    }

    /// Logs in with the mechanism PLAIN (RFC 4616).
    async fn authenticate_plain(
        &mut self,
        username: &str,
        password: &SecretString,
    ) -> Result<(), MailboxError> {
        let secret = password.expose_secret();
        let message = SecretString::from(sasl::plain(username, secret));
        let response = SecretString::from(STANDARD.encode(message.expose_secret()));
        let within = self.timeout;
        let exchange = self.exchange("PLAIN", response.expose_secret(), None);
        let (done, _) = match timeout(within, exchange).await {
            Ok(done) => done?,
            Err(_) => return Err(MailboxError::Timeout("AUTHENTICATE")),
        };
        let words = done.words.replace(response.expose_secret(), "***");
        let words = repeatable_without(secret, &words);
        match done.status {
            Status::Ok => self.read_capabilities().await,
            _ => Err(refused_login("AUTHENTICATE", &done, words)),
        }
    }

    /// Logs in with an access token (RFC 3501 section 6.2.2). The token passes neither the crate nor
    /// an error.
    pub async fn authenticate(
        &mut self,
        target: &Target<'_>,
        token: &SecretString,
    ) -> Result<(), MailboxError> {
        let offered = |name: &str| self.can(&format!("AUTH={name}"));
        let Some(mechanism) = Mechanism::choose(offered) else {
            return Err(MailboxError::Login(
                "server takes no access token on this connection (neither AUTH=OAUTHBEARER nor \
                 AUTH=XOAUTH2)"
                    .into(),
            ));
        };
        let response = target.initial_response(mechanism, token);
        let (within, farewell) = (self.timeout, Some(mechanism.farewell()));
        let exchange = self.exchange(mechanism.name(), response.expose_secret(), farewell);
        let (done, reason) = match timeout(within, exchange).await {
            Ok(done) => done?,
            Err(_) => return Err(MailboxError::Timeout("AUTHENTICATE")),
        };
        let words = done.words.replace(response.expose_secret(), "***");
        let words = repeatable_without(token.expose_secret(), &words);
        match done.status {
            Status::Ok => self.read_capabilities().await,
            _ => Err(refused_login(
                "AUTHENTICATE",
                &done,
                match reason {
                    Some(reason) => format!("{words} (status {reason})"),
                    None => words,
                },
            )),
        }
    }

    /// Says who we are; answers with the server's verdict and the reason it gave before.
    /// `farewell` answers to the challenge that says why we are refused, where there is one.
    async fn exchange(
        &mut self,
        mechanism: &str,
        response: &str,
        farewell: Option<&str>,
    ) -> Result<(Done, Option<String>), MailboxError> {
        const NAME: &str = "AUTHENTICATE";
        let tag = self.next_tag();
        let command = format!("{tag} {NAME} {mechanism}");
        if self.can("SASL-IR") {
            // RFC 4959: the first message rides along.
            self.write(format!("{command} {response}\r\n").as_bytes()).await?;
        } else {
            self.write(format!("{command}\r\n").as_bytes()).await?;
            if let Answer::Done(done) = self.read_challenge(NAME, &tag).await? {
                return Ok((done, None));
            }
            self.write(format!("{response}\r\n").as_bytes()).await?;
        }
        let mut reason = None;
        for _ in 0..CHALLENGES_MAX {
            match self.read_challenge(NAME, &tag).await? {
                Answer::Done(done) => return Ok((done, reason)),
                Answer::Challenge(text) => {
                    reason = STANDARD.decode(text).ok().and_then(|json| sasl::reason(&json));
                    // RFC 3501 section 6.2.2: a single `*` cancels.
                    let answer = farewell.unwrap_or("*");
                    self.write(format!("{answer}\r\n").as_bytes()).await?;
                }
            }
        }
        Err(MailboxError::Protocol("server does not stop asking".into()))
    }

    async fn read_challenge(
        &mut self,
        name: &'static str,
        tag: &str,
    ) -> Result<Answer, MailboxError> {
        for _ in 0..ANSWERS_SPARE_MAX {
            let folder = &mut self.folder;
            let seen = read(&mut self.client, name, |response| match response {
                Response::Continue(text) => {
                    let text = text.information.as_deref().unwrap_or_default();
                    Ok(Err(Answer::Challenge(text.trim().to_owned())))
                }
                other => look(other, tag, folder).map(Ok),
            });
            match seen.await?? {
                Ok(Seen::Done(done)) => return Ok(Answer::Done(done)),
                Ok(Seen::GoOn | Seen::Untagged) => {}
                Err(challenge) => return Ok(challenge),
            }
        }
        Err(flood(name))
    }

    async fn send_login(&mut self, username: &str, password: &str) -> Result<Done, MailboxError> {
        let tag = self.next_tag();
        let mut line = format!("{tag} LOGIN").into_bytes();
        for argument in [username, password] {
            line.push(b' ');
            if let Some(quoted) = quoted(argument) {
                line.extend(quoted.as_bytes());
                continue;
            }
            line.extend(format!("{{{}}}\r\n", argument.len()).as_bytes());
            self.write(&line).await?;
            // RFC 3501 section 7.5: the literal follows when the server has asked for it.
            if let Some(done) = self.read_until("LOGIN", &tag, true).await? {
                return Ok(done);
            }
            line = argument.as_bytes().to_vec();
        }
        line.extend(b"\r\n");
        self.write(&line).await?;
        let done = self.read_until("LOGIN", &tag, false).await?;
        done.ok_or_else(|| flood("LOGIN"))
    }

    fn next_tag(&mut self) -> String {
        self.commands = self.commands.wrapping_add(1);
        format!("A{}", self.commands)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), MailboxError> {
        let stream = self.client.get_mut();
        let written = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        written.await.map_err(|error| MailboxError::Lost(error.to_string()))
    }

    /// Reads until the tagged answer, or until the server asks us to go on: then `None`.
    async fn read_until(
        &mut self,
        name: &'static str,
        tag: &str,
        go_on: bool,
    ) -> Result<Option<Done>, MailboxError> {
        for _ in 0..ANSWERS_SPARE_MAX {
            let folder = &mut self.folder;
            let seen = read(&mut self.client, name, |response| match response {
                Response::Continue(_) if go_on => Ok(Seen::GoOn),
                other => look(other, tag, folder),
            });
            match seen.await?? {
                Seen::Done(done) => return Ok(Some(done)),
                Seen::GoOn => return Ok(None),
                Seen::Untagged => {}
            }
        }
        Err(flood(name))
    }

    /// Carries a command out: `on` sees every untagged answer. `Ok` is the server's tagged OK.
    pub async fn command(
        &mut self,
        name: &'static str,
        text: &str,
        allowance: Allowance,
        on: impl FnMut(&Response<'_>) -> Result<(), MailboxError> + Send,
    ) -> Result<(), MailboxError> {
        self.end_idle().await?;
        let pace = Pace {
            began: Instant::now(),
            received: self.received(),
            step: time_for(self.timeout, allowance.bytes),
        };
        let done = self.run(name, text, pace, allowance.answers, on).await?;
        match done.status {
            Status::Ok => Ok(()),
            _ => Err(refused(name, &done)),
        }
    }

    async fn run(
        &mut self,
        name: &'static str,
        text: &str,
        pace: Pace,
        answers: u64,
        mut on: impl FnMut(&Response<'_>) -> Result<(), MailboxError> + Send,
    ) -> Result<Done, MailboxError> {
        let tag = self.next_tag();
        let command = format!("{tag} {text}\r\n");
        let writing = self.write(command.as_bytes());
        match timeout_at(pace.deadline(pace.received), writing).await {
            Ok(written) => written?,
            Err(_) => return Err(MailboxError::Timeout(name)),
        }
        let mut spare = answers.saturating_add(ANSWERS_SPARE_MAX);
        while spare > 0 {
            spare -= 1;
            let Session { client, folder, .. } = self;
            let seen = read_in_time(client, name, pace, |response| {
                let seen = look(response, &tag, folder)?;
                if matches!(seen, Seen::Untagged) {
                    on(response)?;
                }
                Ok::<_, MailboxError>(seen)
            });
            if let Seen::Done(done) = seen.await?? {
                return Ok(done);
            }
        }
        Err(flood(name))
    }

    /// At a literal that is not kept: what the message has at least.
    pub fn literal_at_least(&self) -> Option<u64> {
        self.client.get_ref().literal_at_least()
    }

    /// Bytes received on this connection.
    fn received(&self) -> u64 {
        self.client.get_ref().received()
    }

    /// Waits with IDLE (RFC 2177). May be dropped at any time: the next command ends the IDLE.
    pub async fn idle(&mut self, at_most: Duration) -> Result<Woken, MailboxError> {
        let began = Instant::now();
        self.end_idle().await?;
        match self.idle_until(began + at_most).await {
            Err(MailboxError::Lost(_)) if began.elapsed() >= IDLE_HELD => Ok(Woken::Closed),
            other => other,
        }
    }

    async fn idle_until(&mut self, end: Instant) -> Result<Woken, MailboxError> {
        while !self.folder.news {
            let now = Instant::now();
            if now >= end {
                return Ok(Woken::Timeout);
            }
            self.start_idle().await?;
            match self.listen((now + IDLE_AT_MOST).min(end)).await? {
                Heard::Enough => self.end_idle().await?,
                // The session goes on, with a new IDLE.
                Heard::End if now.elapsed() >= IDLE_HELD => self.idling = None,
                Heard::End => {
                    return Err(MailboxError::Protocol("server ended IDLE by itself".into()));
                }
            }
        }
        Ok(Woken::News)
    }

    async fn start_idle(&mut self) -> Result<(), MailboxError> {
        let tag = self.next_tag();
        // Noted before it is sent: if we are dropped in between, DONE is one line too many and
        // the session fails, which is safe; an IDLE that nobody ends would swallow commands.
        self.idling = Some(tag.clone());
        let within = self.timeout;
        let starting = async {
            self.write(format!("{tag} IDLE\r\n").as_bytes()).await?;
            self.read_until("IDLE", &tag, true).await
        };
        match timeout(within, starting).await {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(done))) => {
                self.idling = None;
                Err(MailboxError::Refused { command: "IDLE", message: repeatable(&done.words) })
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(MailboxError::Timeout("IDLE")),
        }
    }

    /// Listens until something is new. "Still here" does not put the end off.
    async fn listen(&mut self, end: Instant) -> Result<Heard, MailboxError> {
        while !self.folder.news {
            let Session { client, folder, idling, .. } = self;
            let tag = idling.as_deref().unwrap_or("");
            let seen = read(client, "IDLE", |response| look(response, tag, folder));
            match timeout_at(end, seen).await {
                Err(_) => return Ok(Heard::Enough),
                Ok(seen) => match seen?? {
                    Seen::Untagged => {}
                    Seen::Done(_) | Seen::GoOn => return Ok(Heard::End),
                },
            }
        }
        Ok(Heard::Enough)
    }

    async fn end_idle(&mut self) -> Result<(), MailboxError> {
        let Some(tag) = self.idling.take() else { return Ok(()) };
        let within = self.timeout;
        let ending = async {
            self.write(b"DONE\r\n").await?;
            match self.read_until("DONE", &tag, true).await? {
                // The wait was dropped before the server had said that we may idle.
                None => self.read_until("DONE", &tag, false).await,
                done => Ok(done),
            }
        };
        match timeout(within, ending).await {
            Ok(Ok(Some(Done { status: Status::Ok, .. }))) => Ok(()),
            Ok(Ok(Some(done))) => {
                Err(MailboxError::Refused { command: "IDLE", message: repeatable(&done.words) })
            }
            Ok(Ok(None)) => Err(flood("DONE")),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(MailboxError::Timeout("DONE")),
        }
    }
}

/// How listening ended.
enum Heard {
    /// There is news, or the time is over.
    Enough,
    /// The server ended the IDLE.
    End,
}

/// What an answer means to the command that waits.
enum Seen {
    /// It ends the command.
    Done(Done),
    /// The server asks us to go on.
    GoOn,
    /// It is data, or news.
    Untagged,
}

/// Reads one answer. Safe to drop: what was received stays with the guard and the crate.
async fn read<R>(
    client: &mut Client<Guard<Stream>>,
    during: &'static str,
    see: impl FnOnce(&Response<'_>) -> R + Send,
) -> Result<R, MailboxError> {
    match client.read_response().await {
        Ok(Some(response)) => Ok(see(response.parsed())),
        Ok(None) => Err(MailboxError::Lost(format!("closed during {during}"))),
        Err(error) => Err(reading_failed(&error)),
    }
}

/// Reads one answer. A deadline that has passed is put off as long as bytes come fast enough.
async fn read_in_time<R>(
    client: &mut Client<Guard<Stream>>,
    during: &'static str,
    pace: Pace,
    see: impl FnOnce(&Response<'_>) -> R + Send,
) -> Result<R, MailboxError> {
    let mut deadline = pace.deadline(client.get_ref().received());
    let read = loop {
        match timeout_at(deadline, client.read_response()).await {
            Ok(read) => break read,
            Err(_) => {
                deadline = pace.deadline(client.get_ref().received());
                if deadline <= Instant::now() {
                    return Err(MailboxError::Timeout(during));
                }
            }
        }
    };
    match read {
        Ok(Some(response)) => Ok(see(response.parsed())),
        Ok(None) => Err(MailboxError::Lost(format!("closed during {during}"))),
        Err(error) => Err(reading_failed(&error)),
    }
}

fn judge_greeting(response: &Response<'_>) -> Result<(), MailboxError> {
    match response {
        Response::Data { status: Status::Ok, .. } => Ok(()),
        // Whoever is between us and the server could offer us his own mailbox, or skip the
        // STARTTLS that is only allowed before login.
        Response::Data { status: Status::PreAuth, .. } => Err(MailboxError::Protocol(
            "server claims that we are logged in before we said who we are".into(),
        )),
        Response::Data { status: Status::Bye, outcome } => Err(bye(outcome.information.as_deref())),
        _ => Err(MailboxError::Protocol("greeting is not that of an IMAP server".into())),
    }
}

/// Looks at an answer for the command with our tag. BYE and foreign tags are errors.
fn look(response: &Response<'_>, ours: &str, folder: &mut Folder) -> Result<Seen, MailboxError> {
    match response {
        Response::Done { tag, status, outcome } if tag.0 == ours => {
            let words = outcome.information.as_deref().unwrap_or("").to_owned();
            // The parser cuts this code off, and it says what to do.
            let words = match &outcome.code {
                Some(ResponseCode::TryCreate) => format!("the folder does not exist: {words}"),
                _ => words,
            };
            Ok(Seen::Done(Done { status: status_of(status), words }))
        }
        Response::Done { .. } => {
            Err(MailboxError::Protocol("answer to a command that we did not give".into()))
        }
        Response::Continue(_) => {
            Err(MailboxError::Protocol("server asks for more than the command has".into()))
        }
        Response::Data { status: Status::Bye, outcome } => Err(bye(outcome.information.as_deref())),
        other => {
            folder.count(other);
            Ok(Seen::Untagged)
        }
    }
}

impl Folder {
    /// Keeps count of the messages (RFC 3501 sections 7.3.1 and 7.4.1).
    fn count(&mut self, response: &Response<'_>) {
        match response {
            Response::MailboxData(MailboxDatum::Exists(count)) => {
                self.news |= *count > self.exists;
                self.exists = *count;
            }
            Response::Expunge(number) => {
                self.exists = self.exists.saturating_sub(1);
                self.expunged += 1;
                self.place.expunged(*number);
            }
            _ => {}
        }
    }
}

fn status_of(status: &Status) -> Status {
    match status {
        Status::Ok => Status::Ok,
        Status::No => Status::No,
        // A tagged answer knows only OK, NO and BAD.
        Status::Bad | Status::PreAuth | Status::Bye => Status::Bad,
    }
}

fn capability_name(capability: &Capability<'_>) -> String {
    match capability {
        Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
        Capability::Auth(name) => format!("AUTH={}", name.to_ascii_uppercase()),
        Capability::Atom(name) => name.to_ascii_uppercase(),
    }
}

/// A quoted string (RFC 3501 section 4.3), or `None` for what only a literal can carry.
/// CR, LF and NUL were refused before: neither could carry them safely.
pub fn quoted(text: &str) -> Option<String> {
    let plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    (plain && text.len() <= QUOTED_BYTES_MAX)
        .then(|| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// A refused login: NO is a verdict on it, unless the server is only busy.
fn refused_login(command: &'static str, done: &Done, shown: String) -> MailboxError {
    if let Some(busy) = busy::error(&done.words, &shown, During::Entry) {
        return busy;
    }
    match done.status {
        Status::No => MailboxError::Login(shown),
        _ => MailboxError::Refused { command, message: shown },
    }
}

/// A refused command. In answer to those that write, OVERQUOTA is about the mailbox (RFC 5530).
fn refused(command: &'static str, done: &Done) -> MailboxError {
    let message = repeatable(&done.words);
    let during = match command {
        "SELECT" | "EXAMINE" => Some(During::Entry),
        "NOOP" | "FETCH" | "UID FETCH" => Some(During::Work),
        _ => None,
    };
    let busy = during.and_then(|during| busy::error(&done.words, &message, during));
    busy.unwrap_or(MailboxError::Refused { command, message })
}

/// RFC 3501 section 7.1.5: the server is about to close the connection.
fn bye(words: Option<&str>) -> MailboxError {
    let words = words.unwrap_or("");
    let message = repeatable(words);
    busy::error(words, &message, During::Entry).unwrap_or(MailboxError::Lost(message))
}

fn flood(command: &str) -> MailboxError {
    MailboxError::Protocol(format!("too many answers to {command}"))
}

/// The crate's parse errors repeat the mail; only what the guard says is repeated.
fn reading_failed(error: &std::io::Error) -> MailboxError {
    if let Some(excess) = error.get_ref().and_then(|inner| inner.downcast_ref::<Excess>()) {
        return MailboxError::Protocol(format!("answer contains {excess}"));
    }
    match error.kind() {
        std::io::ErrorKind::Other => {
            MailboxError::Protocol("answer is not IMAP or is larger than allowed".into())
        }
        std::io::ErrorKind::UnexpectedEof => {
            MailboxError::Lost("closed in the middle of an answer".into())
        }
        _ => MailboxError::Lost(repeatable(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(quoted(text).as_deref(), expected);
    }

    #[test]
    fn ordinary_name() {
        check("alice", Some("\"alice\""));
    }

    #[test]
    fn quotes_and_backslashes() {
        check("a\"b\\c", Some("\"a\\\"b\\\\c\""));
    }

    #[test]
    fn non_ascii_needs_a_literal() {
        check("pässword", None);
    }

    #[test]
    fn control_characters_need_a_literal() {
        check("a\tb", None);
    }
}
