//! An SMTP server for tests: it plays a script, notes every byte, and is strict about line ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use postroom::core::config::{Endpoint, Login, Security, SmtpRoute, SmtpServer, Switch};
use postroom::core::config::{SecretRef, Text, TlsOptions};

/// Longest a test waits for something that should happen at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the server does at one place.
#[derive(Debug, Clone)]
pub enum Do {
    /// Answers with this line.
    Say(&'static str),
    /// Closes the connection without a word.
    HangUp,
    /// Answers with this line and closes.
    SayAndHangUp(&'static str),
    /// At `END`: keeps the mail, and closes before the answer.
    Lose,
    /// Says nothing until the client gives up.
    Silence,
    /// Waits until [`Sink::release`], then goes on as usual.
    Hold,
}

/// How the server behaves. Rules are looked through from the end; a rule holds for commands that
/// begin with its text. `BANNER` is the greeting, `END` the end of a mail, and a bare line of a
/// login is `AUTH`.
#[derive(Debug, Clone)]
pub struct Script {
    /// Encryption.
    pub security: Security,
    /// Lines of the answer to EHLO, after the greeting.
    pub offers: Vec<&'static str>,
    /// Replacements of the usual answers.
    pub rules: Vec<(&'static str, Do)>,
    /// Sent in the same segment behind the answer to STARTTLS.
    pub inject: &'static str,
    /// Name in the certificate.
    pub certificate_name: &'static str,
    /// Whether the certificate has expired.
    pub expired: bool,
    /// Password that AUTH accepts; the user name does not matter.
    pub password: &'static str,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            security: Security::Plain,
            offers: vec!["PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 100000"],
            rules: Vec::new(),
            inject: "",
            certificate_name: "localhost",
            expired: false,
            password: "right",
        }
    }
}

/// A mail as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrived {
    /// Argument of MAIL, with its parameters.
    pub from: String,
    /// Arguments of RCPT.
    pub to: Vec<String>,
    /// Bytes after DATA as they came, with the final dot.
    pub wire: Vec<u8>,
    /// The mail, doubled dots undone.
    pub mail: Vec<u8>,
    /// Which connection it came over, counted from 1.
    pub connection: usize,
}

#[derive(Default)]
struct Notes {
    arrived: Vec<Arrived>,
    lines: Vec<String>,
    violations: Vec<String>,
    connections: usize,
}

/// A running server; it ends with the value.
pub struct Sink {
    pub addr: SocketAddr,
    script: Arc<Mutex<Script>>,
    notes: Arc<Mutex<Notes>>,
    bell: Arc<Notify>,
    released: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
    ca: tempfile::NamedTempFile,
}

impl Sink {
    pub async fn start(script: Script) -> Sink {
        Sink::start_at("127.0.0.1:0".parse().unwrap(), script).await
    }

    pub async fn start_at(addr: SocketAddr, script: Script) -> Sink {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (acceptor, pem) = certificate(script.certificate_name, script.expired);
        let mut ca = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut ca, pem.as_bytes()).unwrap();
        let script = Arc::new(Mutex::new(script));
        let notes = Arc::new(Mutex::new(Notes::default()));
        let bell = Arc::new(Notify::new());
        let released = Arc::new(Notify::new());
        let host = Host {
            script: script.clone(),
            notes: notes.clone(),
            bell: bell.clone(),
            released: released.clone(),
            acceptor,
        };
        let task = tokio::spawn(serve(listener, host));
        Sink { addr, script, notes, bell, released, task, ca }
    }

    /// Changes the script for whatever comes next.
    pub fn now(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    /// Lets one connection go on that is held.
    pub fn release(&self) {
        self.released.notify_one();
    }

    pub fn arrived(&self) -> Vec<Arrived> {
        self.notes.lock().unwrap().arrived.clone()
    }

    /// All lines of the client outside of mails.
    pub fn lines(&self) -> Vec<String> {
        self.notes.lock().unwrap().lines.clone()
    }

    pub fn violations(&self) -> Vec<String> {
        self.notes.lock().unwrap().violations.clone()
    }

    pub fn connections(&self) -> usize {
        self.notes.lock().unwrap().connections
    }

    /// Waits until so many mails have arrived.
    pub async fn until_arrived(&self, mails: usize) -> Vec<Arrived> {
        self.until(|notes| notes.arrived.len() >= mails).await;
        self.arrived()
    }

    async fn until(&self, enough: impl Fn(&Notes) -> bool) {
        let waiting = async {
            loop {
                let rung = self.bell.notified();
                if enough(&self.notes.lock().unwrap()) {
                    return;
                }
                rung.await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the server saw it in time");
    }

    /// This server as the configuration would declare it.
    pub fn server(&self, name: &str) -> SmtpServer {
        let security = self.script.lock().unwrap().security;
        SmtpServer {
            name: name.into(),
            route: SmtpRoute::Smtp { endpoint: self.endpoint(security), login: Login::None },
            connections: 2,
            helo_name: None,
            state: Switch::Enabled,
        }
    }

    /// The same with a login whose password stands in this file.
    pub fn server_with_password(&self, name: &str, file: &std::path::Path) -> SmtpServer {
        let mut server = self.server(name);
        let SmtpRoute::Smtp { login, .. } = &mut server.route else { unreachable!() };
        *login = password_from(file);
        server
    }

    pub fn endpoint(&self, security: Security) -> Endpoint {
        Endpoint {
            host: Text::Plain("127.0.0.1".into()),
            port: self.addr.port(),
            security,
            tls: TlsOptions {
                ca: Some(self.ca_path()),
                server_name: Some("localhost".into()),
                ..TlsOptions::default()
            },
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
        }
    }

    pub fn ca_path(&self) -> PathBuf {
        self.ca.path().to_owned()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A login whose password stands in this file.
pub fn password_from(file: &std::path::Path) -> Login {
    Login::Password {
        username: Text::Plain("desk".into()),
        password: SecretRef::File(file.to_owned()),
    }
}

fn certificate(name: &str, expired: bool) -> (TlsAcceptor, String) {
    let mut wanted = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    if expired {
        wanted.not_before = rcgen::date_time_ymd(2020, 1, 1);
        wanted.not_after = rcgen::date_time_ymd(2020, 2, 1);
    }
    let pair = rcgen::KeyPair::generate().unwrap();
    let made = wanted.self_signed(&pair).unwrap();
    let chain = vec![CertificateDer::from(made.der().to_vec())];
    let key = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), made.pem())
}

#[derive(Clone)]
struct Host {
    script: Arc<Mutex<Script>>,
    notes: Arc<Mutex<Notes>>,
    bell: Arc<Notify>,
    released: Arc<Notify>,
    acceptor: TlsAcceptor,
}

trait Both: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Both for T {}

async fn serve(listener: TcpListener, host: Host) {
    let mut talks = tokio::task::JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        tcp.set_nodelay(true).unwrap();
        let connection = {
            let mut notes = host.notes.lock().unwrap();
            notes.connections += 1;
            notes.connections
        };
        host.bell.notify_waiters();
        let host = host.clone();
        // A client that goes away in the middle is part of many tests.
        talks.spawn(async move {
            let _ = talk(tcp, host, connection).await;
        });
    }
}

async fn talk(tcp: TcpStream, host: Host, connection: usize) -> std::io::Result<()> {
    let security = host.script.lock().unwrap().security;
    let stream: Box<dyn Both> = match security {
        Security::Tls => Box::new(host.acceptor.accept(tcp).await?),
        Security::StartTls => return start_tls(tcp, host, connection).await,
        Security::Plain => Box::new(tcp),
    };
    let mut talk = Talk { stream: BufReader::new(stream), host, connection };
    if talk.answer("BANNER", "220 sink").await? {
        talk.commands().await?;
    }
    Ok(())
}

/// Speaks in plain text up to STARTTLS, then under TLS.
async fn start_tls(tcp: TcpStream, host: Host, connection: usize) -> std::io::Result<()> {
    let mut talk = Talk { stream: BufReader::new(tcp), host: host.clone(), connection };
    if !talk.answer("BANNER", "220 sink").await? {
        return Ok(());
    }
    while let Some(line) = talk.line().await? {
        let go_on = match line.split(' ').next().unwrap_or_default() {
            "EHLO" => talk.offer(&["STARTTLS"]).await?,
            "STARTTLS" => {
                let inject = host.script.lock().unwrap().inject;
                let ready = format!("220 go on\r\n{inject}");
                if let Some(instead) = talk.rule("STARTTLS") {
                    talk.play(instead).await?
                } else {
                    talk.stream.get_mut().write_all(ready.as_bytes()).await?;
                    let stream: Box<dyn Both> =
                        Box::new(host.acceptor.accept(talk.stream.into_inner()).await?);
                    let mut secret = Talk { stream: BufReader::new(stream), host, connection };
                    return secret.commands().await;
                }
            }
            _ => talk.answer(&line, "530 5.7.0 STARTTLS first").await?,
        };
        if !go_on {
            break;
        }
    }
    Ok(())
}

struct Talk<S> {
    stream: BufReader<S>,
    host: Host,
    connection: usize,
}

impl<S: Both> Talk<S> {
    async fn commands(&mut self) -> std::io::Result<()> {
        let (mut from, mut to) = (None, Vec::new());
        while let Some(line) = self.line().await? {
            let upper = line.to_ascii_uppercase();
            let go_on = match upper.split(' ').next().unwrap_or_default() {
                "EHLO" if self.rule(&line).is_some() => self.answer(&line, "").await?,
                "EHLO" => self.offer(&[]).await?,
                "AUTH" => self.auth(&line).await?,
                "MAIL" => {
                    from = Some(line["MAIL FROM:".len()..].to_owned());
                    self.answer(&line, "250 2.1.0 ok").await?
                }
                "RCPT" => {
                    let accepted = matches!(self.rule(&line), None | Some(Do::Hold));
                    if accepted {
                        to.push(line["RCPT TO:".len()..].to_owned());
                    }
                    self.answer(&line, "250 2.1.5 ok").await?
                }
                "DATA" if self.rule(&line).is_some() => self.answer(&line, "").await?,
                "DATA" if to.is_empty() => self.say("503 5.5.1 no recipients").await?,
                "DATA" => {
                    self.say("354 go on").await?;
                    let arrived = self.mail(from.take(), std::mem::take(&mut to)).await?;
                    let Some(arrived) = arrived else { return Ok(()) };
                    let refused =
                        matches!(self.rule("END"), Some(Do::Say(_) | Do::HangUp | Do::Silence));
                    if !refused {
                        self.host.notes.lock().unwrap().arrived.push(arrived);
                        self.host.bell.notify_waiters();
                    }
                    self.answer("END", "250 2.0.0 taken").await?
                }
                "RSET" => {
                    (from, to) = (None, Vec::new());
                    self.answer(&line, "250 2.0.0 ok").await?
                }
                "QUIT" => {
                    self.answer(&line, "221 2.0.0 bye").await?;
                    false
                }
                _ => self.answer(&line, "500 5.5.2 what?").await?,
            };
            if !go_on {
                break;
            }
        }
        Ok(())
    }

    async fn auth(&mut self, line: &str) -> std::io::Result<bool> {
        if self.rule("AUTH").is_some() {
            return self.answer("AUTH", "").await;
        }
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let right = self.host.script.lock().unwrap().password;
        let accepted = if line == "AUTH LOGIN" {
            self.say(&format!("334 {}", encode("Username:"))).await?;
            self.line().await?;
            self.say(&format!("334 {}", encode("Password:"))).await?;
            self.line().await?.as_deref() == Some(encode(right).as_str())
        } else {
            line == format!("AUTH PLAIN {}", encode(&format!("\0desk\0{right}")))
        };
        self.say(if accepted { "235 2.7.0 welcome" } else { "535 5.7.8 no" }).await
    }

    async fn offer(&mut self, more: &[&str]) -> std::io::Result<bool> {
        if self.rule("EHLO").is_some() {
            return self.answer("EHLO", "").await;
        }
        let stripped = self.host.script.lock().unwrap().rules.iter().any(|(at, _)| *at == "STRIP");
        let offers = self.host.script.lock().unwrap().offers.clone();
        let more = if stripped { &[] } else { more };
        let mut text = "250-sink".to_owned();
        for offer in offers.iter().chain(more) {
            text.push_str(&format!("\r\n250-{offer}"));
        }
        text.push_str("\r\n250 HELP");
        self.say(&text).await
    }

    /// Reads a mail byte by byte: only CRLF ends a line, and only a line of one dot the mail.
    async fn mail(
        &mut self,
        from: Option<String>,
        to: Vec<String>,
    ) -> std::io::Result<Option<Arrived>> {
        let (mut wire, mut mail) = (Vec::new(), Vec::new());
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line).await?;
            if line.is_empty() {
                return Ok(None);
            }
            wire.extend_from_slice(&line);
            let text = line.strip_suffix(b"\r\n");
            if text.is_none_or(|text| text.contains(&b'\r')) {
                self.violation(format!("bare line end in {:?}", String::from_utf8_lossy(&line)));
            }
            if line == b".\r\n" {
                let from = from.unwrap_or_default();
                return Ok(Some(Arrived { from, to, wire, mail, connection: self.connection }));
            }
            if line.starts_with(b".") && !line.starts_with(b"..") {
                self.violation(format!("single dot in {:?}", String::from_utf8_lossy(&line)));
            }
            mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    async fn line(&mut self) -> std::io::Result<Option<String>> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let Some(text) = line.strip_suffix("\r\n") else {
            if !line.is_empty() {
                self.violation(format!("command without CRLF: {line:?}"));
            }
            return Ok(None);
        };
        self.host.notes.lock().unwrap().lines.push(text.to_owned());
        Ok(Some(text.to_owned()))
    }

    fn rule(&self, at: &str) -> Option<Do> {
        let script = self.host.script.lock().unwrap();
        script
            .rules
            .iter()
            .rev()
            .find(|(start, _)| at.starts_with(start))
            .map(|(_, act)| act.clone())
    }

    async fn answer(&mut self, at: &str, usual: &str) -> std::io::Result<bool> {
        match self.rule(at) {
            None => self.say(usual).await,
            Some(Do::Hold) => {
                self.host.released.notified().await;
                self.say(usual).await
            }
            Some(instead) => self.play(instead).await,
        }
    }

    /// Whether the conversation goes on.
    async fn play(&mut self, act: Do) -> std::io::Result<bool> {
        match act {
            Do::Say(text) => self.say(text).await,
            Do::SayAndHangUp(text) => self.say(text).await.map(|_| false),
            Do::HangUp | Do::Lose => Ok(false),
            Do::Hold => unreachable!("answered before"),
            Do::Silence => {
                while self.line().await?.is_some() {}
                Ok(false)
            }
        }
    }

    async fn say(&mut self, text: &str) -> std::io::Result<bool> {
        self.stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await?;
        self.stream.get_mut().flush().await?;
        Ok(true)
    }

    fn violation(&self, what: String) {
        self.host.notes.lock().unwrap().violations.push(what);
    }
}
