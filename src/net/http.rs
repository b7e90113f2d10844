//! Asks HTTPS servers: token endpoints, discovery documents, Microsoft Graph.
//!
//! ```text
//! let client = Client::new(TlsOptions::default(), Reach::Public);
//! let answer = client.ask(Request::get(url).bearer(&token)).await?;
//! ```
//! Connections are kept for the next request to the same origin. No task is started: a connection
//! works while somebody asks.
//!
//! Architecture invariant: no redirect is followed, one deadline holds for all of name, connection,
//! TLS, request and answer, an answer has a bound, the address that is reached is the one that was
//! judged, and neither a body nor a header is ever part of an error.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Uri, Version};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;

use super::reach::Reach;
use super::{NetError, Stream};
use crate::core::config::TlsOptions;

pub use hyper::{HeaderMap, Method, StatusCode};

/// Longest body of an answer if the request does not say otherwise. Bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Time for a whole request if it does not say otherwise.
pub const WITHIN: Duration = Duration::from_secs(15);
/// Unused connections kept per origin.
const IDLE_CONNECTIONS_MAX: usize = 4;
/// An unused connection is given up after this time; many servers close theirs after a minute.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Header lines of an answer. More is hostile.
const HEADERS_MAX: usize = 100;
/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A request. `Debug` shows neither path nor headers nor body.
pub struct Request {
    method: Method,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    answer_bytes_max: usize,
    within: Duration,
    alone: bool,
    broken: Option<&'static str>,
}

/// What a server answered. `Debug` shows neither headers nor body.
pub struct Answer {
    /// Its status; 3xx is an answer like any other.
    pub status: StatusCode,
    /// Its header.
    pub headers: HeaderMap,
    /// Its body, complete.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL, or something else of the request, cannot be sent. A fault of ours or of the files.
    #[error("could not ask {0}: {1}")]
    Request(String, &'static str),
    /// The name leads into our own network.
    #[error("{0} leads to {1}, an address of a private network, and is not asked")]
    Private(String, IpAddr),
    /// No connection, or no TLS.
    #[error("{0}")]
    Net(#[from] NetError),
    /// The deadline passed.
    #[error("{0} did not answer within {1:?}")]
    Timeout(String, Duration),
    /// The answer is longer than allowed.
    #[error("{0} answered with more than {1} bytes")]
    TooLarge(String, usize),
    /// The conversation broke.
    #[error("could not read the answer of {0}: {1}")]
    Broken(String, String),
}

/// Asks servers that are verified in one way and may lie in one part of the network.
pub struct Client {
    tls: TlsOptions,
    reach: Reach,
    idle: Mutex<HashMap<Origin, Vec<Idle>>>,
}

/// Scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Origin {
    encrypted: bool,
    host: String,
    port: u16,
}

struct Idle {
    way: Way,
    since: Instant,
}

/// A connection, and the work that has to be done on it while somebody asks.
struct Way {
    sender: SendRequest<Full<Bytes>>,
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Request {
    /// GET.
    pub fn get(url: impl Into<String>) -> Request {
        Request::new(Method::GET, url)
    }

    /// Any method.
    pub fn new(method: Method, url: impl Into<String>) -> Request {
        Request {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            answer_bytes_max: ANSWER_BYTES_MAX,
            within: WITHIN,
            alone: false,
            broken: None,
        }
    }

    /// POST of a form (`application/x-www-form-urlencoded`).
    pub fn form(url: impl Into<String>, fields: &[(&str, &str)]) -> Request {
        let encoded = |(name, value): &(&str, &str)| {
            format!("{}={}", percent_encoded(name), percent_encoded(value))
        };
        let body = fields.iter().map(encoded).collect::<Vec<_>>().join("&");
        Request::new(Method::POST, url).body("application/x-www-form-urlencoded", body)
    }

    /// With a body of this type.
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Request {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// With a body of JSON.
    pub fn json(self, body: &serde_json::Value) -> Request {
        self.body("application/json", body.to_string())
    }

    /// With a header line.
    pub fn header(mut self, name: &'static str, value: &str) -> Request {
        match HeaderValue::from_str(value) {
            Ok(value) => self.headers.push((HeaderName::from_static(name), value)),
            Err(_) => self.broken = Some("a header contains characters that no header has"),
        }
        self
    }

    /// With an access token (RFC 6750 section 2.1).
    pub fn bearer(self, token: &SecretString) -> Request {
        let value = format!("Bearer {}", token.expose_secret());
        self.secret_header("authorization", &value)
    }

    /// With a header line that nobody may see.
    pub fn secret_header(self, name: &'static str, value: &str) -> Request {
        let mut request = self.header(name, value);
        if let Some((_, value)) = request.headers.last_mut() {
            value.set_sensitive(true);
        }
        request
    }

    /// The answer may have this many bytes.
    pub fn answer_max(mut self, bytes: usize) -> Request {
        self.answer_bytes_max = bytes;
        self
    }

    /// All of it may take this long.
    pub fn within(mut self, within: Duration) -> Request {
        self.within = within;
        self
    }

    /// On a connection of its own: a server that closes a kept one at the wrong moment leaves it
    /// open whether the request was carried out.
    pub fn alone(mut self) -> Request {
        self.alone = true;
        self
    }
}

impl Client {
    /// A client without connections.
    pub fn new(tls: TlsOptions, reach: Reach) -> Client {
        Client { tls, reach, idle: Mutex::default() }
    }

    /// Asks once. A GET whose kept connection turns out to be closed is asked again on a new one.
    pub async fn ask(&self, request: Request) -> Result<Answer, HttpError> {
        let uri = parsed(&request.url)?;
        let origin = origin(&uri)?;
        if let Some(reason) = request.broken {
            return Err(HttpError::Request(origin.host, reason));
        }
        let asked = self.ask_origin(&origin, &uri, &request);
        match tokio::time::timeout(request.within, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::Timeout(origin.host, request.within)),
        }
    }

    /// Where a URL leads, as far as it may be reached, in the resolver's order. Nothing is sent.
    pub async fn addresses(&self, url: &str) -> Result<Vec<IpAddr>, HttpError> {
        let origin = origin(&parsed(url)?)?;
        let found = tokio::time::timeout(WITHIN, self.allowed(&origin)).await;
        let found = found.unwrap_or_else(|_| Err(HttpError::Timeout(origin.host.clone(), WITHIN)));
        Ok(found?.into_iter().map(|address| address.ip()).collect())
    }

    async fn ask_origin(
        &self,
        origin: &Origin,
        uri: &Uri,
        request: &Request,
    ) -> Result<Answer, HttpError> {
        let kept = if request.alone { None } else { self.kept(origin) };
        if let Some(way) = kept {
            match self.exchange(way, origin, uri, request).await {
                Err(Failed { unsent, .. }) if unsent || request.method == Method::GET => {}
                other => return other.map_err(|failed| failed.error),
            }
        }
        let way = self.connect(origin, request.within).await?;
        self.exchange(way, origin, uri, request).await.map_err(|failed| failed.error)
    }

    /// A kept connection that the server has not closed.
    fn kept(&self, origin: &Origin) -> Option<Way> {
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let ways = idle.get_mut(origin)?;
        while let Some(Idle { mut way, since }) = ways.pop() {
            // Nobody has worked on it since: one look tells whether the server has hung up.
            let mut context = Context::from_waker(Waker::noop());
            let open = way.work.as_mut().poll(&mut context).is_pending();
            if open && since.elapsed() < IDLE_MAX && way.sender.is_ready() {
                return Some(way);
            }
        }
        None
    }

    fn keep(&self, origin: &Origin, way: Way) {
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        idle.retain(|_, ways| {
            ways.retain(|idle| idle.since.elapsed() < IDLE_MAX);
            !ways.is_empty()
        });
        let ways = idle.entry(origin.clone()).or_default();
        if ways.len() < IDLE_CONNECTIONS_MAX {
            ways.push(Idle { way, since: Instant::now() });
        }
    }

    async fn connect(&self, origin: &Origin, within: Duration) -> Result<Way, HttpError> {
        let tcp = self.reach_out(origin).await?;
        let stream = if origin.encrypted {
            super::encrypt(tcp, &origin.host, &self.tls, within).await?
        } else {
            Stream::Plain(tcp)
        };
        let handshake = http1::Builder::new()
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = handshake.map_err(|error| broken(origin, &error))?;
        // How the connection ends is told to whoever asks on it.
        Ok(Way { sender, work: Box::pin(async move { drop(connection.await) }) })
    }

    /// Connects to the first address that may be reached and answers.
    async fn reach_out(&self, origin: &Origin) -> Result<TcpStream, HttpError> {
        let mut last = io::Error::other("the name has no address");
        for address in self.allowed(origin).await? {
            match TcpStream::connect(address).await {
                Ok(tcp) => {
                    tcp.set_nodelay(true).map_err(|error| origin.unreached(error))?;
                    return Ok(tcp);
                }
                Err(error) => last = error,
            }
        }
        Err(origin.unreached(last))
    }

    /// Addresses of an origin that may be reached. That it has others only is an error of its own.
    async fn allowed(&self, origin: &Origin) -> Result<Vec<SocketAddr>, HttpError> {
        let found = super::look_up(&origin.host, origin.port).await;
        let found = found.map_err(|error| origin.unreached(error))?;
        let allowed: Vec<SocketAddr> =
            found.iter().copied().filter(|address| self.may_reach(origin, *address)).collect();
        match found.first() {
            Some(refused) if allowed.is_empty() => {
                Err(HttpError::Private(origin.host.clone(), refused.ip().to_canonical()))
            }
            Some(_) | None => Ok(allowed),
        }
    }

    fn may_reach(&self, origin: &Origin, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        // Plain text may only go to this machine itself.
        self.reach.allows(ip) && (origin.encrypted || ip.is_loopback())
    }

    async fn exchange(
        &self,
        mut way: Way,
        origin: &Origin,
        uri: &Uri,
        request: &Request,
    ) -> Result<Answer, Failed> {
        let prepared = prepared(origin, uri, request)?;
        let (answer, open) = {
            let mut asking = pin!(converse(&mut way.sender, prepared, request.answer_bytes_max));
            tokio::select! {
                answer = &mut asking => (answer, true),
                // What was read before the end is still there to be taken.
                () = &mut way.work => (asking.await, false),
            }
        };
        let answer = answer.map_err(|failure| failure.of(origin, request.answer_bytes_max))?;
        if open && !request.alone {
            self.keep(origin, way);
        }
        Ok(answer)
    }
}

/// Sends a request and reads the whole answer.
async fn converse(
    sender: &mut SendRequest<Full<Bytes>>,
    request: hyper::Request<Full<Bytes>>,
    answer_bytes_max: usize,
) -> Result<Answer, Failure> {
    let response = sender.send_request(request).await.map_err(Failure::Hyper)?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, answer_bytes_max).collect().await.map_err(Failure::Body)?;
    Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
}

impl Origin {
    fn unreached(&self, error: io::Error) -> HttpError {
        NetError::Connect(format!("{}:{}", self.host, self.port), error).into()
    }
}

enum Failure {
    Hyper(hyper::Error),
    Body(Box<dyn std::error::Error + Send + Sync>),
}

/// A failed exchange, and whether the request never left.
struct Failed {
    error: HttpError,
    unsent: bool,
}

impl Failure {
    fn of(self, origin: &Origin, answer_bytes_max: usize) -> Failed {
        match self {
            Failure::Hyper(error) => {
                Failed { unsent: error.is_canceled(), error: broken(origin, &error) }
            }
            Failure::Body(error) if error.is::<LengthLimitError>() => Failed {
                unsent: false,
                error: HttpError::TooLarge(origin.host.clone(), answer_bytes_max),
            },
            Failure::Body(error) => Failed {
                unsent: false,
                error: HttpError::Broken(origin.host.clone(), error.to_string()),
            },
        }
    }
}

impl From<HttpError> for Failed {
    fn from(error: HttpError) -> Failed {
        Failed { error, unsent: false }
    }
}

/// hyper's errors name what was wrong with the bytes, never the bytes.
fn broken(origin: &Origin, error: &hyper::Error) -> HttpError {
    HttpError::Broken(origin.host.clone(), error.to_string())
}

fn prepared(
    origin: &Origin,
    uri: &Uri,
    request: &Request,
) -> Result<hyper::Request<Full<Bytes>>, HttpError> {
    let unusable = |_| HttpError::Request(origin.host.clone(), "the request cannot be written");
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let mut prepared = hyper::Request::builder()
        .version(Version::HTTP_11)
        .method(request.method.clone())
        .uri(path)
        .header(header::HOST, authority)
        .header(header::USER_AGENT, concat!("postroom/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(request.body.clone()))
        .map_err(unusable)?;
    for (name, value) in &request.headers {
        prepared.headers_mut().insert(name, value.clone());
    }
    if request.alone {
        prepared.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(prepared)
}

fn parsed(url: &str) -> Result<Uri, HttpError> {
    url.parse().map_err(|_| HttpError::Request(server_of(url), "the URL cannot be read"))
}

fn origin(uri: &Uri) -> Result<Origin, HttpError> {
    let odd = |reason| HttpError::Request(server_of(&uri.to_string()), reason);
    let encrypted = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        Some(_) | None => return Err(odd("only https:// URLs are asked")),
    };
    let authority = uri.authority().ok_or_else(|| odd("the URL names no host"))?;
    if authority.as_str().contains('@') {
        return Err(odd("the URL contains a user name"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = match authority.as_str().strip_prefix(authority.host()) {
        // RFC 3986 section 3.2.3: the colon may stand there without a port.
        Some("" | ":") | None => {
            if encrypted {
                443
            } else {
                80
            }
        }
        Some(_) => authority.port_u16().ok_or_else(|| odd("the URL names a port that is none"))?,
    };
    Ok(Origin { encrypted, host, port })
}

/// The server that a URL names. Its path may be a secret: whoever knows that of a chat room can
/// write there.
fn server_of(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "what is no URL".to_owned() };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}").chars().take(200).collect()
}

/// A URL that is no secret, without what may be secret in it all the same.
pub fn shown(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    match bare.split_once('@') {
        Some((_, rest)) => rest.chars().take(200).collect(),
        None => bare.chars().take(200).collect(),
    }
}

/// A text as it may stand in a query or form (RFC 3986 section 2.3).
pub fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = text.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    encoded.collect()
}

impl Answer {
    /// How long the server wants to be left alone (RFC 9110 section 10.2.3), if it says so in
    /// seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
        text.trim().parse().ok().map(Duration::from_secs)
    }

    /// A header line, if it is there and plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl HttpError {
    /// Label for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            HttpError::Request(..) => "request",
            HttpError::Private(..) => "private",
            HttpError::Net(NetError::Connect(..) | NetError::ConnectTimeout(..)) => "connect",
            HttpError::Net(NetError::Certificate(..)) => "certificate",
            HttpError::Net(NetError::Handshake(..) | NetError::Files(..)) => "tls",
            HttpError::Timeout(..) => "timeout",
            HttpError::TooLarge(..) => "too_large",
            HttpError::Broken(..) => "protocol",
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method, server_of(&self.url))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("reach", &self.reach).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A server that answers each request on a connection with the next of these texts, then
    /// hangs up. Gives back how many connections there were and what was said on them.
    async fn server(answers: &'static [&'static [&'static str]]) -> (String, Served) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let served = tokio::spawn(async move {
            let mut heard = Vec::new();
            for answers in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut words = Vec::new();
                for answer in *answers {
                    let mut buffer = [0; 4096];
                    let count = stream.read(&mut buffer).await.unwrap();
                    words.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                heard.push(words);
            }
            heard
        });
        (url, served)
    }

    type Served = tokio::task::JoinHandle<Vec<Vec<String>>>;

    fn near() -> Client {
        Client::new(TlsOptions::default(), Reach::Private)
    }

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

    #[tokio::test]
    async fn a_connection_is_kept_for_the_next_request() {
        let (url, served) = server(&[&[OK, OK]]).await;
        let client = near();
        for _ in 0..2 {
            let answer = client.ask(Request::get(&url)).await.unwrap();
            assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &b"ok"[..]));
        }
        assert_eq!(served.await.unwrap()[0].len(), 2);
    }

    #[tokio::test]
    async fn a_closed_connection_is_noticed() {
        let (url, served) = server(&[&[OK], &[OK]]).await;
        let client = near();
        client.ask(Request::get(&url)).await.unwrap();
        client.ask(Request::get(&url)).await.unwrap();
        assert_eq!(served.await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_request_alone_asks_for_the_end_of_its_connection() {
        let (url, served) = server(&[&[OK], &[OK]]).await;
        let client = near();
        for _ in 0..2 {
            client.ask(Request::form(&url, &[("a b", "c&d")]).alone()).await.unwrap();
        }
        let heard = served.await.unwrap();
        assert!(heard[0][0].contains("connection: close"), "{}", heard[0][0]);
        assert!(heard[0][0].ends_with("a%20b=c%26d"), "{}", heard[0][0]);
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_not_followed() {
        const MOVED: &str = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\n\
                             content-length: 0\r\n\r\n";
        let (url, served) = server(&[&[MOVED]]).await;
        let answer = near().ask(Request::get(&url)).await.unwrap();
        assert_eq!(answer.status, StatusCode::FOUND);
        assert_eq!(served.await.unwrap().len(), 1);
    }

    #[track_caller]
    fn check(result: Result<Answer, HttpError>, expected: &str) {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[tokio::test]
    async fn an_answer_has_a_bound() {
        let (url, _served) = server(&[&["HTTP/1.1 200 OK\r\n\r\n0123456789"]]).await;
        check(near().ask(Request::get(&url).answer_max(9)).await, "more than 9 bytes");
    }

    #[tokio::test]
    async fn one_deadline_holds_for_all() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        let dripping = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // An answer that comes before its request is a fault of another kind.
            let _ = stream.read(&mut [0; 1024]).await;
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n";
            let _ = stream.write_all(head).await;
            while stream.write_all(b".").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let request = Request::get(&url).within(Duration::from_millis(400));
        check(near().ask(request).await, "did not answer within 400ms");
        dripping.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_http() {
        let (url, _served) = server(&[&["220 mail.test ESMTP\r\n\r\n"]]).await;
        check(near().ask(Request::get(&url)).await, "could not read the answer of 127.0.0.1");
    }

    #[tokio::test]
    async fn our_own_network_is_not_asked() {
        let client = Client::new(TlsOptions::default(), Reach::Public);
        let urls = [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://localhost/",
            "https://169.254.169.254/latest",
            "https://[::ffff:7f00:1]:1/",
            "https://[64:ff9b::a9fe:a9fe]/",
        ];
        for url in urls {
            check(client.ask(Request::get(url)).await, "an address of a private network");
            let error = client.addresses(url).await.unwrap_err().to_string();
            assert!(error.contains("an address of a private network"), "{error}");
        }
    }

    #[tokio::test]
    async fn where_a_url_leads() {
        let found = near().addresses("http://127.0.0.1:9/?secret").await.unwrap();
        assert_eq!(found, [IpAddr::from([127, 0, 0, 1])]);
    }

    #[tokio::test]
    async fn plain_text_goes_to_this_machine_only() {
        check(near().ask(Request::get("http://10.1.2.3/")).await, "10.1.2.3");
    }

    #[tokio::test]
    async fn urls_that_are_not_asked_and_not_repeated() {
        for url in [
            "ftp://host/?secret",
            "ftp://host/rooms/secret",
            "https://user:secret@host/",
            "https://host:no-port/secret",
            "host/secret",
            "nonsense secret",
        ] {
            assert!(!format!("{:?}", Request::get(url)).contains("secret"), "{url}");
            let error = near().ask(Request::get(url)).await.unwrap_err();
            assert!(matches!(error, HttpError::Request(..)), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_token_cannot_leave_its_header() {
        let token = SecretString::from("a\r\nx: y");
        let request = Request::get("https://127.0.0.1/").bearer(&token);
        assert!(!format!("{request:?}").contains("x: y"));
        check(near().ask(request).await, "characters that no header has");
    }
}
