//! Talks to the daemon.
//!
//! Architecture invariant: the token of this machine's daemon is sent to this machine only, and
//! no token is ever shown.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{DataArgs, Exit, Failure, output};
use crate::core::config::TlsOptions;
use crate::http::auth::LOCAL_TOKEN_FILE;
use crate::http::problem::Problem;
use crate::net;

/// Until the connection stands.
const CONNECT_TIMEOUT_SECS: u64 = 5;
/// Until the answer is complete, unless a command is more patient.
const ANSWER_TIMEOUT_SECS: u64 = 90;
/// Longest answer; a raw mail is the longest there is.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Where the daemon is and who asks.
#[derive(Args)]
pub struct ServerArgs {
    /// The daemon
    #[arg(long, value_name = "URL", env = "POSTROOM_URL", default_value = "http://127.0.0.1:8025")]
    url: String,
    /// Token; better given by file or environment, as others see the command line
    #[arg(long, value_name = "TOKEN", env = "POSTROOM_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// File with the token; by default `api-token` in the data directory of a local daemon
    #[arg(long, value_name = "FILE", env = "POSTROOM_TOKEN_FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// PEM file with the roots to trust for an https URL instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    pub data: DataArgs,
}

/// A daemon to ask.
pub struct Client {
    url: Uri,
    host: String,
    port: u16,
    encrypted: bool,
    tls: TlsOptions,
    token: Option<SecretString>,
    answer_timeout: Duration,
}

/// What a request carries.
struct Payload {
    media_type: &'static str,
    bytes: Bytes,
}

impl Payload {
    fn json(value: &Value) -> Payload {
        Payload { media_type: "application/json", bytes: value.to_string().into() }
    }
}

impl ServerArgs {
    /// Reads URL and token.
    pub fn client(&self) -> Result<Client, Failure> {
        self.client_of(&self.url)
    }

    /// The same for a daemon elsewhere.
    pub fn client_of(&self, url: &str) -> Result<Client, Failure> {
        let usage = |message: String| Failure::new(message).exit(Exit::Usage);
        let written = url;
        let url: Uri = written
            .parse()
            .map_err(|error| usage(format!("could not read the URL {written:?}: {error}")))?;
        let encrypted = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(usage(format!("URL {written:?} is neither http nor https"))),
        };
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let tls = TlsOptions { ca: self.ca.clone(), ..TlsOptions::default() };
        let token = self.token(&host)?;
        let answer_timeout = Duration::from_secs(ANSWER_TIMEOUT_SECS);
        Ok(Client { url, host, port, encrypted, tls, token, answer_timeout })
    }

    fn token(&self, host: &str) -> Result<Option<SecretString>, Failure> {
        if let Some(token) = &self.token {
            return Ok(Some(SecretString::from(token.clone())));
        }
        if let Some(path) = &self.token_file {
            let token = std::fs::read_to_string(path).map_err(|error| {
                Failure::new(format!("could not read token file {}: {error}", path.display()))
            })?;
            return Ok(Some(SecretString::from(token.trim().to_owned())));
        }
        let local = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if !local {
            return Ok(None);
        }
        // Absent while no daemon runs there; the answer will say that a token is needed.
        let token = std::fs::read_to_string(self.data.data.join(LOCAL_TOKEN_FILE)).ok();
        Ok(token.map(|token| SecretString::from(token.trim().to_owned())))
    }
}

impl Client {
    /// Waits this long for answers.
    pub fn patient(self, answer_timeout: Duration) -> Client {
        Client { answer_timeout, ..self }
    }

    /// Asks and reads the answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        read(&self.exchange(Method::GET, path, None).await?)
    }

    /// Asks and hands out the bytes.
    pub async fn bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        Ok(self.exchange(Method::GET, path, None).await?.to_vec())
    }

    /// Sends something and reads the answer.
    pub async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Failure> {
        read(&self.exchange(method, path, body.map(Payload::json)).await?)
    }

    /// Sends bytes of a media type and reads the answer.
    pub async fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &str,
        media_type: &'static str,
        bytes: Vec<u8>,
    ) -> Result<T, Failure> {
        let payload = Payload { media_type, bytes: bytes.into() };
        read(&self.exchange(Method::POST, path, Some(payload)).await?)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Payload>,
    ) -> Result<Bytes, Failure> {
        let request = self.request(method, path, body)?;
        let within = Duration::from_secs(CONNECT_TIMEOUT_SECS);
        let stream = net::connect(&self.host, self.port, within).await;
        let stream = stream.map_err(|error| self.unreachable(&error.to_string()))?;
        let stream = if self.encrypted {
            let stream = net::encrypt(stream, &self.host, &self.tls, within).await;
            stream.map_err(|error| self.unreachable(&error.to_string()))?
        } else {
            net::Stream::Plain(stream)
        };
        let answer = converse(stream, request);
        match tokio::time::timeout(self.answer_timeout, answer).await {
            Ok(Ok((status, body))) if status.is_success() => Ok(body),
            Ok(Ok((status, body))) => Err(refusal(status, &body)),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => {
                let message = format!("the daemon at {} did not answer in time", self.url);
                Err(Failure::new(message))
            }
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Payload>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let base = self.url.path().trim_end_matches('/');
        let authority = self.url.authority().map(|it| it.as_str()).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .header(header::HOST, authority)
            .header(header::USER_AGENT, concat!("postroom/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.token {
            let value = format!("Bearer {}", token.expose_secret());
            let mut value = header::HeaderValue::try_from(value)
                .map_err(|_| Failure::new("the token has characters that no token has"))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let bytes = match body {
            None => Bytes::new(),
            Some(Payload { media_type, bytes }) => {
                request = request.header(header::CONTENT_TYPE, media_type);
                bytes
            }
        };
        request
            .body(Full::new(bytes))
            .map_err(|error| Failure::new(format!("could not ask for {path}: {error}")))
    }

    fn unreachable(&self, cause: &str) -> Failure {
        Failure::new(format!("could not reach the daemon at {}: {cause}", self.url))
            .hint("is it running, and is --url right?")
            .exit(Exit::Unreachable)
    }
}

/// One request over one connection.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), String> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        // The connection ends when `sender` goes, here.
        Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
    };
    futures_util::future::join(exchange, connection).await.0
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::new(format!("could not read the daemon's answer: {error}"))
            .hint("is the daemon of the same version, and is --url a Postroom?")
    })
}

fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        return Failure::new(format!("the daemon answered {status}"));
    };
    let mut failure = Failure::new(problem.detail).hint(problem.hint.unwrap_or_default());
    if !problem.problems.is_empty() {
        let text = output::problem_lines(&problem.problems, output::colour());
        output::print(&text);
        failure = failure.exit(Exit::Problems);
    }
    failure
}

/// A part of a path as it may stand in a URL.
pub use crate::net::http::percent_encoded as segment;

/// A path with the given parts of a query, those that are absent left out.
pub fn query(path: &str, parts: &[(&str, Option<String>)]) -> String {
    let given = parts.iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
    let parts: Vec<String> =
        given.map(|(name, value)| format!("{name}={}", segment(value))).collect();
    if parts.is_empty() { path.to_owned() } else { format!("{path}?{}", parts.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_leave_their_place() {
        assert_eq!(segment("../a b/?x=1"), "..%2Fa%20b%2F%3Fx%3D1");
        let path = query("/api/v1/tickets", &[("queue", Some("a&b".into())), ("owner", None)]);
        assert_eq!(path, "/api/v1/tickets?queue=a%26b");
    }

    fn server(url: &str, data: &std::path::Path) -> ServerArgs {
        ServerArgs {
            url: url.into(),
            token: None,
            token_file: None,
            ca: None,
            data: DataArgs { data: data.into() },
        }
    }

    #[test]
    fn the_local_token_stays_here() {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join(LOCAL_TOKEN_FILE), "t0ken").unwrap();
        let has_token = |url| server(url, data.path()).client().unwrap().token.is_some();
        assert!(has_token("http://127.0.0.1:8025"));
        assert!(has_token("http://localhost:8025"));
        assert!(has_token("http://[::1]:8025"));
        assert!(!has_token("http://desk.example:8025"));
        assert!(!has_token("http://localhost.evil.example"));
    }

    #[test]
    fn urls_that_make_no_sense() {
        let data = std::path::Path::new("/nowhere");
        let exit = |url| server(url, data).client().err().map(|failure| failure.exit);
        assert_eq!(exit("ftp://x"), Some(Exit::Usage));
        assert_eq!(exit("127.0.0.1:8025"), Some(Exit::Usage));
    }
}
