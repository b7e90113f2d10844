//! Speaks SMTP (RFC 5321) with one server: one mail, one recipient per transaction.
//!
//! The conversation is our own, short loop. lettre's connection cannot take a stream that was
//! encrypted by STARTTLS, has no deadlines, and asks five times per mail where PIPELINING needs
//! two round trips. What it does well is used: its commands, replies and login mechanisms.
//!
//! Architecture invariant: without the encryption that is declared, no credential and no mail
//! goes out. A password is read when it is used and is in no error. lettre's SMTP parts are used
//! beneath this module and nowhere else.

mod refusal;
mod transparency;
mod wire;

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use lettre::Address as LettreAddress;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::commands::{Auth, Data, Ehlo, Mail, Quit, Rcpt, Rset, Starttls};
use lettre::transport::smtp::extension::{ClientId, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;

use super::{clean, down, in_doubt};
use crate::core::address::Address;
use crate::core::config::{Endpoint, Login, SecretRef, Security, Text};
use crate::core::outgoing::{Attempt, Outgoing};
use crate::core::sasl::Mechanism as TokenMechanism;
use crate::faultpoint;
use crate::net::{self, NetError, Stream};
use crate::secret::Secrets;
use transparency::on_the_wire;
use wire::Wire;

/// Challenges of one login that we answer. LOGIN has two.
const CHALLENGES_MAX: usize = 4;

/// Longest command with its line end (RFC 5321 section 4.5.3.1.4). An AUTH with its first message
/// that is longer is sent in two steps (RFC 4954 section 4).
const COMMAND_BYTES_MAX: usize = 512;

/// Longest wait for the answer to QUIT, in seconds. Nothing depends on it.
const QUIT_SECS: u64 = 2;

/// A logged-in connection that takes one mail after the other.
pub struct Session {
    wire: Wire,
    offers: Offers,
    deadlines: Deadlines,
    usable: bool,
    /// The first refusal of the last mail, and where it came.
    refusal: Option<(Step, Response)>,
}

/// What the server said it can do.
#[derive(Debug, Default, PartialEq)]
struct Offers {
    /// RFC 3207.
    starttls: bool,
    /// RFC 2920.
    pipelining: bool,
    /// RFC 6152.
    eight_bit: bool,
    /// RFC 6531.
    utf8: bool,
    /// RFC 1870: the parameter is known, and the largest mail in bytes; 0 is without limit.
    size: Option<u64>,
    /// RFC 4954: the first one of ours that the server has.
    mechanism: Option<Mechanism>,
    /// The same for an access token.
    token_mechanism: Option<TokenMechanism>,
}

/// Who logs in with an access token, and where.
struct Bearer<'a> {
    username: &'a str,
    host: &'a str,
    port: u16,
}

/// How long we wait at each step: what RFC 5321 section 4.5.3.2 asks for, but no longer than the
/// configuration says.
#[derive(Debug, Clone, Copy)]
struct Deadlines {
    /// Greeting, EHLO, login, MAIL, RCPT: 5 minutes.
    command: Duration,
    /// The answer to DATA: 2 minutes.
    data: Duration,
    /// Each block of the mail: 3 minutes.
    block: Duration,
    /// The answer to the end of the mail: 10 minutes, or ten times the configured time. A server
    /// that is scanning the mail would otherwise get it a second time.
    end: Duration,
}

/// Steps of a transaction; they differ in what the server may say and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Mail,
    Rcpt,
    Data,
    End,
}

impl Session {
    /// Connects, encrypts as declared and logs in. The `Err` is always `ServerDown`. `name` is what
    /// we call ourselves, by default our address.
    pub async fn open(
        endpoint: &Endpoint,
        name: Option<&str>,
        login: &Login,
        secrets: &Secrets,
        token: Option<&SecretString>,
    ) -> Result<Session, Attempt> {
        let host = secrets.text(&endpoint.host).map_err(|error| down("connect", error))?;
        let deadlines = Deadlines::within(endpoint.timeout);
        let tcp =
            net::connect(&host, endpoint.port, endpoint.connect_timeout).await.map_err(from_net)?;
        let name = name.map_or_else(|| client_name(&tcp), |name| ClientId::Domain(name.to_owned()));
        let tls_first = endpoint.security == Security::Tls;
        let stream =
            if tls_first { encrypt(tcp, &host, endpoint).await? } else { Stream::Plain(tcp) };
        let mut wire = Wire::new(stream);
        greeting(&mut wire, deadlines).await?;
        let mut offers = hello(&mut wire, &name, deadlines).await?;
        if endpoint.security == Security::StartTls {
            let tcp = start_tls(wire, &offers, deadlines).await?;
            wire = Wire::new(encrypt(tcp, &host, endpoint).await?);
            // What was offered in plain text may have been written by anybody.
            offers = hello(&mut wire, &name, deadlines).await?;
        }
        let mut session = Session { wire, offers, deadlines, usable: true, refusal: None };
        match login {
            Login::None => {}
            Login::Password { username, password } => {
                session.log_in(username, password, secrets).await?;
            }
            Login::OAuth2 { username, mailbox, .. } => {
                let username = secrets
                    .text(mailbox.as_ref().unwrap_or(username))
                    .map_err(|error| down("auth", error))?;
                let token = token.ok_or_else(|| down("auth", "there is no access token"))?;
                let bearer = Bearer { username: &username, host: &host, port: endpoint.port };
                session.log_in_with_token(&bearer, token).await?;
            }
        }
        Ok(session)
    }

    /// Sends one mail.
    pub async fn send(&mut self, mail: &Outgoing) -> Attempt {
        let attempt = self.send_to(mail, Spelling::Quoted).await;
        if mail.recipient.needs_quotes() && self.usable && self.refused_syntax() {
            return self.send_to(mail, Spelling::Bare).await;
        }
        attempt
    }

    /// Whether the last mail was refused for how its recipient is written: 501 is a fault of syntax,
    /// 553 a name that is not allowed (RFC 5321 section 4.2.3).
    fn refused_syntax(&self) -> bool {
        let refused = self.refusal.as_ref();
        refused.is_some_and(|(step, reply)| {
            *step == Step::Rcpt && matches!(u16::from(reply.code()), 501 | 553)
        })
    }

    async fn send_to(&mut self, mail: &Outgoing, spelling: Spelling) -> Attempt {
        let outcome = self.transaction(mail, spelling).await;
        match outcome {
            Ok(()) => Attempt::Sent,
            Err(attempt) => {
                self.after_refusal(&attempt).await;
                attempt
            }
        }
    }

    /// Whether the last mail was refused in a way that may mean the null sender, should it have had
    /// that one, and not the mail.
    pub fn may_refuse_null_sender(&self) -> bool {
        let refused = self.refusal.as_ref();
        refused.is_some_and(|(step, reply)| refusal::may_be_for_the_null_sender(*step, reply))
    }

    /// Whether the conversation is at a point where the next mail can begin.
    pub fn usable(&self) -> bool {
        self.usable
    }

    /// The server's certificate in DER.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.wire.stream().peer_certificate().map(|certificate| certificate.as_ref())
    }

    /// Says QUIT and does not insist on an answer.
    pub async fn close(mut self) {
        let within = self.deadlines.command.min(Duration::from_secs(QUIT_SECS));
        if self.usable && self.wire.write(Quit.to_string().as_bytes(), within).await.is_ok() {
            let _ = self.wire.reply(within).await;
        }
    }

    async fn transaction(&mut self, mail: &Outgoing, to: Spelling) -> Result<(), Attempt> {
        self.refusal = None;
        let from = mail.envelope_from.as_ref().map(|from| path(from, Spelling::Quoted));
        let parameters = self.offers.parameters(mail)?;
        let commands = [
            (Step::Mail, Mail::new(from, parameters).to_string()),
            (Step::Rcpt, Rcpt::new(path(&mail.recipient, to), vec![]).to_string()),
            (Step::Data, Data.to_string()),
        ];
        if self.offers.pipelining {
            self.envelope_at_once(&commands).await?;
        } else {
            self.envelope_step_by_step(&commands).await?;
        }
        self.content(mail).await
    }

    async fn envelope_step_by_step(&mut self, commands: &[(Step, String)]) -> Result<(), Attempt> {
        for (step, command) in commands {
            self.wire.write(command.as_bytes(), self.deadlines.command).await?;
            let reply = self.wire.reply(self.deadlines.of(*step)).await?;
            self.judge(*step, &reply)?;
        }
        Ok(())
    }

    /// All commands in one write (RFC 2920 section 3.1); every answer is read, the first refusal
    /// counts: those after it only follow from it.
    async fn envelope_at_once(&mut self, commands: &[(Step, String)]) -> Result<(), Attempt> {
        let together: String = commands.iter().map(|(_, command)| command.as_str()).collect();
        self.wire.write(together.as_bytes(), self.deadlines.command).await?;
        let mut outcome = Ok(());
        for (step, _) in commands {
            let verdict = match self.wire.reply(self.deadlines.of(*step)).await {
                Ok(reply) => self.judge(*step, &reply),
                // A server may refuse and hang up: the refusal counts.
                Err(broken) => {
                    self.usable = false;
                    return outcome.and(Err(broken));
                }
            };
            if *step == Step::Data && verdict.is_ok() && outcome.is_err() {
                // The server waits for a mail that nobody is to get. Ending it with a dot would
                // ask the server to accept an empty one, so we hang up.
                self.usable = false;
            }
            outcome = outcome.and(verdict);
            if outcome.as_ref().is_err_and(ends_the_conversation) {
                break;
            }
        }
        outcome
    }

    async fn content(&mut self, mail: &Outgoing) -> Result<(), Attempt> {
        let written = self.wire.write(&on_the_wire(&mail.raw), self.deadlines.block).await;
        if written.is_err() {
            // A server that hangs up in the middle of a mail may have said why.
            self.usable = false;
            if let Ok(reply) = self.wire.reply(Duration::from_millis(200)).await {
                self.judge(Step::End, &reply)?;
            }
            return written;
        }
        // From here until the reply is read, the server may have the mail without our knowing.
        let reply = self.wire.reply(self.deadlines.end).await.map_err(in_doubt)?;
        self.judge(Step::End, &reply)
    }

    /// Judges a reply; the first refusal of a transaction is kept: those after it follow from it.
    fn judge(&mut self, step: Step, reply: &Response) -> Result<(), Attempt> {
        let verdict = judge(step, reply);
        if verdict.is_err() && self.refusal.is_none() {
            self.refusal = Some((step, reply.clone()));
        }
        verdict
    }

    /// Brings the conversation back to its start, or gives it up.
    async fn after_refusal(&mut self, attempt: &Attempt) {
        if ends_the_conversation(attempt) {
            self.usable = false;
        }
        if !self.usable {
            return;
        }
        let reset = async {
            self.wire.write(Rset.to_string().as_bytes(), self.deadlines.command).await?;
            self.wire.reply(self.deadlines.command).await
        };
        self.usable = reset.await.is_ok_and(|reply| reply.is_positive());
    }

    async fn log_in(
        &mut self,
        username: &Text,
        password: &SecretRef,
        secrets: &Secrets,
    ) -> Result<(), Attempt> {
        let Some(mechanism) = self.offers.mechanism else {
            return Err(down("auth", "the server offers neither AUTH PLAIN nor AUTH LOGIN"));
        };
        let username = secrets.text(username).map_err(|error| down("auth", error))?;
        let password = secrets.read(password).map_err(|error| down("auth", error))?;
        faultpoint!("smtp.at_hand", at_hand: &(&username, &password));
        let password = password.expose_secret();
        let credentials = Credentials::new(username.clone(), password.to_owned());
        let reply = self.authenticate(mechanism, &credentials).await?;
        if reply.is_positive() {
            return Ok(());
        }
        Err(down(cause_at_login(&reply), without(&text_of(&reply), &username, password)))
    }

    /// RFC 4954 section 4 with a mechanism that takes an access token.
    async fn log_in_with_token(
        &mut self,
        bearer: &Bearer<'_>,
        token: &SecretString,
    ) -> Result<(), Attempt> {
        let Some(mechanism) = self.offers.token_mechanism else {
            let message = "the server offers neither AUTH OAUTHBEARER nor AUTH XOAUTH2";
            return Err(down("auth", message));
        };
        let token = token.expose_secret();
        let message = mechanism.initial_response(bearer.username, bearer.host, bearer.port, token);
        let message = base64::engine::general_purpose::STANDARD.encode(message);
        let reply = self.authenticate_with_token(mechanism, &message).await?;
        if reply.is_positive() {
            return Ok(());
        }
        let text = text_of(&reply);
        let repeats = text.contains(token) || text.contains(&message);
        let text = if repeats { "the login was refused".to_owned() } else { text };
        Err(down(cause_at_login(&reply), text))
    }

    /// Answers with the last reply, whatever it says.
    async fn authenticate_with_token(
        &mut self,
        mechanism: TokenMechanism,
        message: &str,
    ) -> Result<Response, Attempt> {
        let within = self.deadlines.command;
        let name = mechanism.name();
        let whole = format!("AUTH {name} {message}\r\n");
        if whole.len() <= COMMAND_BYTES_MAX {
            self.wire.write(whole.as_bytes(), within).await?;
        } else {
            self.wire.write(format!("AUTH {name}\r\n").as_bytes(), within).await?;
            let reply = self.wire.reply(within).await?;
            if !reply.has_code(334) {
                return Ok(reply);
            }
            self.wire.write(format!("{message}\r\n").as_bytes(), within).await?;
        }
        for _ in 0..CHALLENGES_MAX {
            let reply = self.wire.reply(within).await?;
            if !reply.has_code(334) {
                return Ok(reply);
            }
            // The challenge says why we are refused; the refusal itself comes after our answer.
            self.wire.write(format!("{}\r\n", mechanism.farewell()).as_bytes(), within).await?;
        }
        Err(down("auth", "the server does not stop asking"))
    }

    /// RFC 4954 section 4. Answers with the last reply, whatever it says.
    async fn authenticate(
        &mut self,
        mechanism: Mechanism,
        credentials: &Credentials,
    ) -> Result<Response, Attempt> {
        let odd = |_| down("auth", "the server asks for something that AUTH does not know");
        let within = self.deadlines.command;
        let mut command = Auth::new(mechanism, credentials.clone(), None).map_err(odd)?;
        for _ in 0..CHALLENGES_MAX {
            self.wire.write(command.to_string().as_bytes(), within).await?;
            let reply = self.wire.reply(within).await?;
            if !reply.has_code(334) {
                return Ok(reply);
            }
            command =
                Auth::new_from_response(mechanism, credentials.clone(), &reply).map_err(odd)?;
        }
        Err(down("auth", "the server does not stop asking"))
    }
}

impl Deadlines {
    fn within(configured: Duration) -> Deadlines {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Deadlines {
            command: configured.min(minutes(5)),
            data: configured.min(minutes(2)),
            block: configured.min(minutes(3)),
            end: configured.saturating_mul(10).min(minutes(10)),
        }
    }

    fn of(&self, step: Step) -> Duration {
        match step {
            Step::Mail | Step::Rcpt => self.command,
            Step::Data => self.data,
            Step::End => self.end,
        }
    }
}

impl Offers {
    /// Reads the answer to EHLO (RFC 5321 section 4.1.1.1). The first line is a greeting.
    fn read(reply: &Response) -> Offers {
        let mut offers = Offers::default();
        for line in reply.message().skip(1) {
            let line = line.to_ascii_uppercase();
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
            match words.next() {
                Some("STARTTLS") => offers.starttls = true,
                Some("PIPELINING") => offers.pipelining = true,
                Some("8BITMIME") => offers.eight_bit = true,
                Some("SMTPUTF8") => offers.utf8 = true,
                Some("SIZE") => {
                    offers.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0));
                }
                Some("AUTH") => {
                    let words: Vec<&str> = words.collect();
                    let token = TokenMechanism::choose(|name| words.contains(&name));
                    offers.token_mechanism = offers.token_mechanism.or(token);
                    offers.mechanism = offers.mechanism.or(best_mechanism(&words));
                }
                Some(_) | None => {}
            }
        }
        offers
    }

    /// What MAIL says about this mail, or why the server cannot take it.
    fn parameters(&self, mail: &Outgoing) -> Result<Vec<MailParameter>, Attempt> {
        let refuse = |reason: String| Err(Attempt::Permanent(reason));
        let bytes = mail.raw.len();
        let mut parameters = Vec::new();
        match self.size {
            Some(limit) if limit > 0 && bytes as u64 > limit => {
                return refuse(format!("the mail has {bytes} bytes, the server takes {limit}"));
            }
            Some(_) => parameters.push(MailParameter::Size(bytes)),
            None => {}
        }
        let addresses = [Some(&mail.recipient), mail.envelope_from.as_ref()];
        if addresses.into_iter().flatten().any(|address| !address.as_str().is_ascii()) {
            if !self.utf8 {
                return refuse("the server does not take addresses beyond ASCII (SMTPUTF8)".into());
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !mail.raw.is_ascii() {
            if !self.eight_bit {
                return refuse("the server does not take 8-bit mail (8BITMIME)".into());
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(parameters)
    }
}

/// PLAIN takes one round trip, LOGIN three.
fn best_mechanism(offered: &[&str]) -> Option<Mechanism> {
    [("PLAIN", Mechanism::Plain), ("LOGIN", Mechanism::Login)]
        .into_iter()
        .find(|(name, _)| offered.contains(name))
        .map(|(_, mechanism)| mechanism)
}

async fn greeting(wire: &mut Wire, deadlines: Deadlines) -> Result<(), Attempt> {
    let reply = wire.reply(deadlines.command).await?;
    if reply.has_code(220) { Ok(()) } else { Err(turned_away(&reply)) }
}

async fn hello(wire: &mut Wire, name: &ClientId, deadlines: Deadlines) -> Result<Offers, Attempt> {
    let ehlo = Ehlo::new(name.clone()).to_string();
    wire.write(ehlo.as_bytes(), deadlines.command).await?;
    let reply = wire.reply(deadlines.command).await?;
    if reply.is_positive() {
        return Ok(Offers::read(&reply));
    }
    if !matches!(u16::from(reply.code()), 500..=502) {
        return Err(turned_away(&reply));
    }
    // A server from before 1995 (RFC 5321 section 3.2): it offers nothing.
    wire.write(format!("HELO {name}\r\n").as_bytes(), deadlines.command).await?;
    let reply = wire.reply(deadlines.command).await?;
    if reply.is_positive() { Ok(Offers::default()) } else { Err(turned_away(&reply)) }
}

/// RFC 3207 section 4. Gives the bare connection back, to be encrypted.
async fn start_tls(
    mut wire: Wire,
    offers: &Offers,
    deadlines: Deadlines,
) -> Result<TcpStream, Attempt> {
    if !offers.starttls {
        return Err(down("tls", "the server does not offer STARTTLS, which is required"));
    }
    wire.write(Starttls.to_string().as_bytes(), deadlines.command).await?;
    let reply = wire.reply(deadlines.command).await?;
    if !reply.has_code(220) {
        return Err(down("tls", format!("STARTTLS was refused: {}", text_of(&reply))));
    }
    // What stands behind the answer was not sent under TLS; whoever wrote it wants us to take it
    // for something that was.
    match wire.into_stream() {
        Some(Stream::Plain(tcp)) => Ok(tcp),
        Some(Stream::Tls(_)) => unreachable!("the connection is not encrypted yet"),
        None => Err(down("tls", "the server sent plain text behind its answer to STARTTLS")),
    }
}

async fn encrypt(tcp: TcpStream, host: &str, endpoint: &Endpoint) -> Result<Stream, Attempt> {
    net::encrypt(tcp, host, &endpoint.tls, endpoint.timeout).await.map_err(from_net)
}

/// Our address on this connection: we may have no name that means anything to the server
/// (RFC 5321 section 4.1.4).
fn client_name(tcp: &TcpStream) -> ClientId {
    match tcp.local_addr().map(|address| address.ip().to_canonical()) {
        Ok(IpAddr::V4(ip)) => ClientId::Ipv4(ip),
        Ok(IpAddr::V6(ip)) => ClientId::Ipv6(ip),
        Err(_) => ClientId::default(),
    }
}

/// How local parts are written that are no dot-atoms, such as carriers hand out: `foo..bar.@docomo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// In quotes (RFC 5321 section 4.1.2).
    Quoted,
    /// As people write them, for servers that do not know the quotes.
    Bare,
}

/// lettre's address without its checks, which refuse addresses that carriers hand out. Ours
/// refused everything that could leave the angle brackets.
fn path(address: &Address, spelling: Spelling) -> LettreAddress {
    let local = match spelling {
        Spelling::Quoted => address.local_quoted(),
        Spelling::Bare => address.local_as_written().to_owned(),
    };
    LettreAddress::new_dangerous(local, address.domain())
}

/// What a reply within a transaction means.
fn judge(step: Step, reply: &Response) -> Result<(), Attempt> {
    let expected = match step {
        Step::Mail | Step::Rcpt | Step::End => Severity::PositiveCompletion,
        Step::Data => Severity::PositiveIntermediate,
    };
    let text = || text_of(reply);
    match (u16::from(reply.code()), reply.code().severity) {
        // The server is about to hang up (RFC 5321 section 3.8).
        (421, _) => Err(down("unavailable", text())),
        // It wants a login, or a better one (RFC 4954 section 6): that is about us.
        (530 | 534 | 535 | 538, _) => Err(down("auth", text())),
        // Out of step. Which side is wrong is unknown; the mail must not be lost for it.
        (503, _) => Err(Attempt::Temporary(text())),
        (_, severity) if severity == expected => Ok(()),
        (_, Severity::TransientNegativeCompletion) => Err(Attempt::Temporary(text())),
        (_, Severity::PermanentNegativeCompletion) => Err(match refusal::about_us(reply) {
            Some(refused) => down(refused.cause(), text()),
            None => Attempt::Permanent(text()),
        }),
        (_, Severity::PositiveCompletion | Severity::PositiveIntermediate) => {
            Err(down("protocol", format!("unexpected reply: {}", text())))
        }
    }
}

/// A server that is busy says nothing about the password or the token: `454 4.7.0` is "temporary
/// authentication failure" (RFC 4954 section 6), and what servers say that count logins.
fn cause_at_login(reply: &Response) -> &'static str {
    let busy = reply.code().severity == Severity::TransientNegativeCompletion;
    if busy { "busy" } else { "auth" }
}

/// Whether nothing more can be said on this connection. A refusal of our account or sender is an
/// answer like any other.
fn ends_the_conversation(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::ServerDown { cause, .. } if !refusal::CAUSES.contains(cause))
}

/// The server does not want to talk to us at all.
fn turned_away(reply: &Response) -> Attempt {
    match u16::from(reply.code()) {
        530 | 534 | 535 | 538 => down("auth", text_of(reply)),
        _ => down("unavailable", text_of(reply)),
    }
}

/// `550 5.1.1 no such user`, on one line.
fn text_of(reply: &Response) -> String {
    let lines: Vec<&str> = reply.message().collect();
    clean(&format!("{} {}", reply.code(), lines.join(" ")))
}

/// A refusal without the password, should the server repeat what we sent.
fn without(text: &str, username: &str, password: &str) -> String {
    let encode = |plain: &str| base64::engine::general_purpose::STANDARD.encode(plain);
    let sent = [
        password.to_owned(),
        encode(password).trim_end_matches('=').to_owned(),
        encode(&format!("\0{username}\0{password}")),
    ];
    let repeats = !password.is_empty() && sent.iter().any(|secret| text.contains(secret));
    if repeats { "the login was refused".into() } else { text.into() }
}

fn from_net(error: NetError) -> Attempt {
    let cause = match &error {
        NetError::Connect(..) => "connect",
        NetError::ConnectTimeout(..) => "timeout",
        NetError::Certificate(..) | NetError::Handshake(..) | NetError::Files(..) => "tls",
    };
    down(cause, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(step: Step, reply: &str, expected: &str) {
        let shown = match judge(step, &reply.parse().unwrap()) {
            Ok(()) => "fine".to_owned(),
            Err(Attempt::Sent | Attempt::InDoubt { .. }) => unreachable!("a reply is neither"),
            Err(Attempt::Temporary(text)) => format!("temporary: {text}"),
            Err(Attempt::Permanent(text)) => format!("permanent: {text}"),
            Err(Attempt::ServerDown { cause, message, .. }) => format!("{cause}: {message}"),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn replies() {
        check(Step::Mail, "250 2.1.0 ok\r\n", "fine");
        check(Step::Rcpt, "251 will forward\r\n", "fine");
        check(Step::Data, "354 go on\r\n", "fine");
        check(Step::End, "250 2.0.0 queued\r\n", "fine");
        check(Step::Rcpt, "550-5.1.1 no such\r\n550 user\r\n", "permanent: 550 5.1.1 no such user");
        check(Step::Rcpt, "451 4.2.0 later\r\n", "temporary: 451 4.2.0 later");
        check(Step::End, "552 too big\r\n", "permanent: 552 too big");
        check(Step::End, "550 5.4.5 enough for today\r\n", "quota: 550 5.4.5 enough for today");
        check(Step::Mail, "421 4.3.2 closing\r\n", "unavailable: 421 4.3.2 closing");
        check(Step::Mail, "530 5.7.0 log in\r\n", "auth: 530 5.7.0 log in");
        check(Step::Rcpt, "503 bad sequence\r\n", "temporary: 503 bad sequence");
        check(Step::End, "354 go on\r\n", "protocol: unexpected reply: 354 go on");
        check(Step::Data, "250 ok\r\n", "protocol: unexpected reply: 250 ok");
    }

    #[track_caller]
    fn check_offers(reply: &str, expected: Offers) {
        assert_eq!(Offers::read(&reply.parse().unwrap()), expected);
    }

    #[test]
    fn offers() {
        check_offers("250 STARTTLS\r\n", Offers::default());
        check_offers(
            "250-mx.test hello\r\n250-pipelining\r\n250-SIZE 1000\r\n250-AUTH LOGIN PLAIN\r\n\
             250-8BITMIME\r\n250-SMTPUTF8\r\n250 STARTTLS\r\n",
            Offers {
                starttls: true,
                pipelining: true,
                eight_bit: true,
                utf8: true,
                size: Some(1000),
                mechanism: Some(Mechanism::Plain),
                token_mechanism: None,
            },
        );
        check_offers(
            "250-mx.test\r\n250-AUTH=LOGIN\r\n250 SIZE\r\n",
            Offers { size: Some(0), mechanism: Some(Mechanism::Login), ..Offers::default() },
        );
        check_offers(
            "250-mx.test\r\n250 AUTH LOGIN XOAUTH2\r\n",
            Offers {
                mechanism: Some(Mechanism::Login),
                token_mechanism: Some(TokenMechanism::Xoauth2),
                ..Offers::default()
            },
        );
    }

    #[test]
    fn a_repeated_password_is_not_passed_on() {
        let shown = |text| without(text, "desk", "hunter2");
        assert_eq!(shown("535 no: hunter2"), "the login was refused");
        assert_eq!(shown("535 no: aHVudGVyMg=="), "the login was refused");
        assert_eq!(shown("535 no: AGRlc2sAaHVudGVyMg=="), "the login was refused");
        assert_eq!(shown("535 5.7.8 no"), "535 5.7.8 no");
    }

    #[test]
    fn addresses_of_carriers() {
        let address = Address::parse("Foo..bar.@docomo.ne.jp").unwrap();
        let command = |spelling| Rcpt::new(path(&address, spelling), vec![]).to_string();
        assert_eq!(command(Spelling::Quoted), "RCPT TO:<\"Foo..bar.\"@docomo.ne.jp>\r\n");
        assert_eq!(command(Spelling::Bare), "RCPT TO:<Foo..bar.@docomo.ne.jp>\r\n");
    }

    #[test]
    fn the_configured_time_bounds_every_step() {
        let deadlines = Deadlines::within(Duration::from_secs(60));
        assert_eq!(deadlines.command, Duration::from_secs(60));
        assert_eq!(deadlines.end, Duration::from_secs(600));
        let patient = Deadlines::within(Duration::from_secs(3600));
        assert_eq!(patient.data, Duration::from_secs(120));
        assert_eq!(patient.end, Duration::from_secs(600));
    }
}
