//! Small servers that misbehave on command, and what is needed to speak to them.
//!
//! A server here answers every command properly, except where a test says otherwise. It keeps all
//! it receives, in plain text and under TLS apart, so that a test can say what must not be there.

pub mod certificates;
pub mod echo;
pub mod graph;
pub mod imap;
pub mod issuer;
pub mod json;
pub mod pop3;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postroom::core::config::{
    Account, AfterFetch, Dispatch, Endpoint, Login, Only, Oversize, Poll, SecretRef, Security,
    Since, Source, Switch, Text, TlsOptions,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Password of every account here. Must appear in no error and in no plain text.
pub const PASSWORD: &str = "CANARY-\"pass\\word";

/// What a server does in answer to a command. `%T` in a text is the command's tag.
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends this text.
    Say(String),
    /// Sends the text that this makes of the command.
    Make(Make),
    /// Sends these bytes again and again.
    Repeat(&'static [u8]),
    /// Sends this byte again and again, slowly.
    Drip(u8),
    /// From now on in this session, answers to commands that begin so with these.
    FromNow(&'static str, Vec<Act>),
    /// Waits so many seconds.
    Wait(u64),
    /// Says nothing any more.
    Hang,
    /// Closes the connection.
    Close,
    /// Encrypts the connection.
    Encrypt,
}

/// Makes an answer of a command.
#[derive(Clone)]
pub struct Make(Arc<dyn Fn(&str) -> String + Send + Sync>);

impl Make {
    /// With this.
    pub fn with(make: impl Fn(&str) -> String + Send + Sync + 'static) -> Vec<Act> {
        vec![Act::Make(Make(Arc::new(make)))]
    }
}

impl std::fmt::Debug for Make {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Make")
    }
}

/// Which act answers to commands that begin so.
pub type Answers = Vec<(&'static str, Vec<Act>)>;

/// One text as an answer.
pub fn say(text: &str) -> Vec<Act> {
    vec![Act::Say(text.to_owned())]
}

/// How a server behaves.
#[derive(Clone)]
pub struct Behaviour {
    /// What it does first.
    pub greeting: Vec<Act>,
    /// The first that fits counts.
    pub answers: Answers,
    /// Whether a command begins with a tag.
    pub tagged: bool,
    /// For TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Whether TLS begins at once.
    pub tls_first: bool,
}

impl Behaviour {
    /// Does this instead. `greeting` is what it does first.
    pub fn but(mut self, command: &'static str, acts: Vec<Act>) -> Behaviour {
        if command == "greeting" {
            self.greeting = acts;
        } else {
            self.answers.insert(0, (command, acts));
        }
        self
    }

    /// Has a certificate.
    pub fn with_tls(mut self, config: rustls::ServerConfig, first: bool) -> Behaviour {
        self.tls = Some(Arc::new(config));
        self.tls_first = first;
        self
    }

    /// Begins to serve.
    pub async fn start(self) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let behaviour = Arc::new(Mutex::new(Arc::new(self)));
        let (now, into) = (behaviour.clone(), heard.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A second small answer must not wait for an acknowledgement: paused time would not.
                let _ = stream.set_nodelay(true);
                let behaviour = now.lock().unwrap().clone();
                let session = Session { behaviour, heard: into.clone() };
                tokio::spawn(session.serve(stream));
            }
        });
        Server { port, behaviour, heard, task }
    }
}

/// A running server.
pub struct Server {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    behaviour: Arc<Mutex<Arc<Behaviour>>>,
    heard: Arc<Mutex<Heard>>,
    task: tokio::task::JoinHandle<()>,
}

/// What a server received.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Before TLS.
    pub plain: String,
    /// Under TLS.
    pub encrypted: String,
}

impl Server {
    /// What it received until now.
    pub fn heard(&self) -> Heard {
        self.heard.lock().unwrap().clone()
    }

    /// From the next connection on it behaves so.
    pub fn now(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = Arc::new(behaviour);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

struct Session {
    behaviour: Arc<Behaviour>,
    heard: Arc<Mutex<Heard>>,
}

impl Session {
    async fn serve(mut self, stream: TcpStream) -> Option<()> {
        let mut stream: Box<dyn Io> = Box::new(stream);
        let mut encrypted = false;
        if self.behaviour.tls_first {
            (stream, encrypted) = (self.encrypt(stream).await?, true);
        }
        let mut acts = self.behaviour.greeting.clone();
        let (mut tag, mut command) = (String::new(), String::new());
        loop {
            for act in acts {
                match act {
                    Act::Make(Make(make)) => {
                        carry_out(&mut stream, Act::Say(make(&command)), &tag).await?;
                    }
                    Act::Encrypt => (stream, encrypted) = (self.encrypt(stream).await?, true),
                    Act::FromNow(command, acts) => {
                        let now = (*self.behaviour).clone().but(command, acts);
                        self.behaviour = Arc::new(now);
                    }
                    other => carry_out(&mut stream, other, &tag).await?,
                }
            }
            let line = self.line(&mut stream, encrypted).await?;
            command = match line.split_once(' ') {
                Some((first, rest)) if self.behaviour.tagged => {
                    tag = first.to_owned();
                    rest.to_owned()
                }
                _ => line,
            };
            acts = self.answer(&command);
        }
    }

    fn answer(&self, command: &str) -> Vec<Act> {
        let fits = |(begin, _): &&(&str, Vec<Act>)| command.starts_with(begin);
        let found = self.behaviour.answers.iter().find(fits);
        found.map_or_else(|| say("%T BAD what?\r\n"), |(_, acts)| acts.clone())
    }

    /// Byte by byte, so that nothing behind the line is taken from what follows.
    async fn line(&self, stream: &mut Box<dyn Io>, encrypted: bool) -> Option<String> {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let byte = stream.read_u8().await.ok()?;
            line.push(byte);
            let mut heard = self.heard.lock().unwrap();
            let into = if encrypted { &mut heard.encrypted } else { &mut heard.plain };
            into.push(char::from(byte));
        }
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    async fn encrypt(&self, stream: Box<dyn Io>) -> Option<Box<dyn Io>> {
        let acceptor = TlsAcceptor::from(self.behaviour.tls.clone()?);
        Some(Box::new(acceptor.accept(stream).await.ok()?))
    }
}

async fn carry_out(stream: &mut Box<dyn Io>, act: Act, tag: &str) -> Option<()> {
    match act {
        Act::Say(text) => {
            stream.write_all(text.replace("%T", tag).as_bytes()).await.ok()?;
            stream.flush().await.ok()
        }
        Act::Repeat(bytes) => loop {
            stream.write_all(bytes).await.ok()?;
        },
        Act::Drip(byte) => loop {
            stream.write_all(&[byte]).await.ok()?;
            stream.flush().await.ok()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        },
        // In small steps, so that paused time never runs ahead of what is on the wire.
        Act::Wait(seconds) => {
            for _ in 0..seconds {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Some(())
        }
        Act::Hang => std::future::pending().await,
        Act::Close => {
            let _ = stream.shutdown().await;
            None
        }
        Act::Encrypt | Act::FromNow(..) | Act::Make(_) => unreachable!("the session does that"),
    }
}

/// An endpoint on this machine.
pub fn endpoint(port: u16, security: Security, ca: Option<&Path>) -> Endpoint {
    Endpoint {
        host: Text::Plain("localhost".into()),
        port,
        security,
        tls: TlsOptions { ca: ca.map(Path::to_owned), ..TlsOptions::default() },
        connect_timeout: Duration::from_secs(10),
        timeout: Duration::from_secs(30),
    }
}

/// An account that fetches from there and keeps what it fetched.
pub fn account(connection: Source) -> Account {
    Account {
        name: "desk".into(),
        connection,
        poll: Poll::Every(Duration::from_secs(600)),
        idle: true,
        only: Only::All,
        since: Since::All,
        max_size_bytes: 32 * 1024 * 1024,
        oversize: Oversize::HeadersOnly,
        after_fetch: AfterFetch::Keep,
        dispatch: Dispatch::Recipient,
        trusted: false,
        state: Switch::Enabled,
    }
}

/// A login whose password lies in the secrets directory as `password`.
pub fn login(username: &str) -> Login {
    Login::Password {
        username: Text::Plain(username.into()),
        password: SecretRef::Named("password".into()),
    }
}
