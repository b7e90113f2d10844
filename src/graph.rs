//! Asks Microsoft Graph, version 1.0, about one mailbox.
//!
//! What is documented by Microsoft is named beside each call by the last part of its address
//! beneath `https://learn.microsoft.com/graph/`.
//!
//! Architecture invariant: the token goes to the declared origin and to no other, whatever an
//! answer says; every call asks for immutable ids; an answer is believed only if it is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::core::config::{Endpoint, Security};
use crate::net::http::{
    Answer, Client, HeaderMap, HttpError, Method, Request, StatusCode, percent_encoded,
};
use crate::net::reach::Reach;

/// Version of the service in its addresses.
const VERSION: &str = "/v1.0";
/// Longest answer that is not a mail. A page of a listing is the longest. Bytes.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// `outlook-immutable-id`: it holds for the one request that bears it.
pub const IMMUTABLE_IDS: &str = "IdType=\"ImmutableId\"";
/// Longest id of a message or folder. Real ones have about 150 characters.
pub const ID_BYTES_MAX: usize = 1024;
/// A server that wants us to wait no longer than this is waited for; a longer wait is an error, and
/// whoever asked comes back later.
pub const WAIT_INLINE_MAX: Duration = Duration::from_secs(60);
/// How often one call is repeated because the server wanted us to wait.
pub const WAITS_MAX: u32 = 5;
/// Shortest time to wait, however little the server asks for.
pub const WAIT_MIN: Duration = Duration::from_millis(100);
/// Time to wait if the server does not say how long.
const WAIT_DEFAULT: Duration = Duration::from_secs(10);
/// Longest time to wait that a server may ask for.
pub const WAIT_MAX: Duration = Duration::from_secs(3600);
/// Slowest transfer we accept; a server that drips is given up.
const TRANSFER_BYTES_PER_SECOND_MIN: u64 = 4 * 1024;
/// Characters of a refusal that are kept beside a request id.
const WORDS_CHARS_MAX: usize = 150;
/// Characters of a request id that are kept. A UUID has 36.
const REQUEST_ID_CHARS_MAX: usize = 64;
/// Bytes of a server's error code that are kept.
const CODE_BYTES_MAX: usize = 100;

/// Calls to one mailbox at a time; the service answers more with 429 (`throttling-limits`).
const CALLS_MAX: u32 = 4;

/// Gives another token for one that was refused; `None` if there is none.
pub type Renewal =
    Arc<dyn Fn(SecretString) -> BoxFuture<'static, Option<SecretString>> + Send + Sync>;

/// One mailbox behind Microsoft Graph.
pub struct Graph {
    client: Client,
    /// Scheme, host and port, without a slash at the end.
    origin: String,
    /// `/v1.0/users/NAME`. Never `/me`, which is the mailbox of whoever signed in.
    owner: String,
    token: Mutex<SecretString>,
    /// Where another token comes from when this one ends.
    renewal: Option<Renewal>,
    /// Calls to this mailbox at a time.
    places: Arc<Semaphore>,
    /// Time for a call, beside the time for its bytes.
    timeout: Duration,
}

/// One call.
pub struct Call {
    method: Method,
    /// Beneath the origin, or a whole URL of this origin.
    url: String,
    body: Option<(&'static str, Vec<u8>)>,
    answer_bytes_max: usize,
    /// Bytes of the answer for which there must be time.
    answer_bytes: u64,
    /// Whether it does no harm if it is carried out twice.
    repeatable: bool,
    /// Whether a 504 is told at once: the caller asks for less then.
    gives_up_on_504: bool,
    /// Calls that it counts as.
    places: u32,
}

/// Why a call has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// There is no answer.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// An answer that says no.
    #[error("{status} {code}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Microsoft's code (`errors`).
        code: String,
        /// Its words, not yet fit to be repeated.
        message: String,
    },
    /// We shall come back later (`throttling`).
    #[error("the service asks us to wait {} s", .0.as_secs())]
    Busy(Duration),
    /// The same, of a call that is not repeated by itself.
    #[error("the service answers with status {status}")]
    NotRepeated {
        /// HTTP status: 429, 503, 504 or 509.
        status: u16,
        /// How long the service wants to be left alone, if it says so.
        retry_after: Option<Duration>,
    },
    /// An answer that is none.
    #[error("{0}")]
    Protocol(String),
}

impl Graph {
    /// Speaks for this mailbox, named by its user principal name or object ID.
    pub fn new(endpoint: &Endpoint, host: &str, mailbox: &str, token: SecretString) -> Graph {
        let scheme = match endpoint.security {
            Security::Tls | Security::StartTls => "https",
            Security::Plain => "http",
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let owner = format!("{VERSION}/users/{}", encoded(mailbox));
        let places = places_of(format!("{host}:{}{}", endpoint.port, owner.to_lowercase()));
        Graph {
            // The host is declared by the administrator, as that of a mail server is.
            client: Client::new(endpoint.tls.clone(), Reach::Private),
            origin: format!("{scheme}://{host}:{}", endpoint.port),
            owner,
            places,
            token: Mutex::new(token),
            renewal: None,
            timeout: endpoint.timeout,
        }
    }

    /// From now on a token that ends is replaced.
    pub fn renew_with(&mut self, renewal: Renewal) {
        self.renewal = Some(renewal);
    }

    /// A call about this mailbox. What comes from outside in `path` must be [`encoded`].
    pub fn call(&self, method: Method, path: &str) -> Call {
        let repeatable = method != Method::POST;
        let url = format!("{}{}{path}", self.origin, self.owner);
        Call { repeatable, ..Call::new(method, url) }
    }

    /// The same as it stands in a part of a [`batch`](Graph::batch): beneath the version.
    pub fn relative(&self, path: &str) -> String {
        format!("{}{path}", self.owner.strip_prefix(VERSION).unwrap_or(&self.owner))
    }

    /// Several calls in one (`json-batching`). The parts must be such that they may be repeated.
    pub fn batch(&self, body: &serde_json::Value) -> Call {
        let url = format!("{}{VERSION}/$batch", self.origin);
        // Its parts are handed to the mailbox four at a time.
        Call { places: CALLS_MAX, ..Call::new(Method::POST, url) }.json(body)
    }

    /// The call that a `@odata.nextLink` names (`paging`). It must lead to the same origin: its
    /// text comes from the answer, and the token goes where it leads.
    pub fn next(&self, link: &str) -> Result<Call, GraphError> {
        let here = link.strip_prefix(&self.origin).or_else(|| {
            // A server names itself without the port that everybody knows.
            link.strip_prefix(self.origin.strip_suffix(":443")?)
        });
        let beneath = here.filter(|rest| rest.starts_with("/v1.0/"));
        let plain = |text: &&str| text.bytes().all(|byte| byte.is_ascii_graphic());
        match beneath.filter(plain) {
            Some(path) => Ok(Call::new(Method::GET, format!("{}{path}", self.origin))),
            None => Err(GraphError::Protocol("a next page lies on another server".into())),
        }
    }

    /// Carries out a call whose answer is JSON.
    pub async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T, GraphError> {
        let answer = self.read(call).await?;
        serde_json::from_slice(&answer.body).map_err(|error| {
            // The error of the parser may repeat what it read.
            let (line, column) = (error.line(), error.column());
            let message = format!("an answer is not what is documented (at {line}:{column})");
            GraphError::Protocol(message)
        })
    }

    /// Carries out a call whose answer is needed whole.
    pub async fn read(&self, call: Call) -> Result<Answer, GraphError> {
        let answer = self.carry_out(call).await?;
        if is_framed(&answer.headers) {
            Ok(answer)
        } else {
            Err(GraphError::Protocol("an answer does not say where it ends".into()))
        }
    }

    /// Carries out a call. While the server wants us to wait a little, the call is repeated if that
    /// does no harm: what is answered with 504, and sometimes with 429, has often been carried out
    /// (learn.microsoft.com/answers/questions/2286986: four copies of a mail).
    pub async fn carry_out(&self, call: Call) -> Result<Answer, GraphError> {
        let (mut waits, mut renewed) = (0, false);
        loop {
            let token = self.token();
            let answer = {
                let places = self.places.acquire_many(call.places).await;
                let _places =
                    places.map_err(|_| GraphError::Protocol("no place is left".into()))?;
                self.client.ask(self.request(&call, &token)).await?
            };
            let status = answer.status;
            if status.is_success() {
                return Ok(answer);
            }
            if status == StatusCode::UNAUTHORIZED && !renewed && self.renew(token).await {
                renewed = true;
                continue;
            }
            if !is_busy(status) {
                return Err(refused(&answer));
            }
            let wait = wait_of(&answer);
            waits += 1;
            if !call.repeatable || (call.gives_up_on_504 && status == StatusCode::GATEWAY_TIMEOUT) {
                return Err(GraphError::NotRepeated {
                    status: status.as_u16(),
                    retry_after: answer.retry_after(),
                });
            }
            if wait > WAIT_INLINE_MAX || waits > WAITS_MAX {
                return Err(GraphError::Busy(wait));
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn token(&self) -> SecretString {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is another token than this one now.
    async fn renew(&self, refused: SecretString) -> bool {
        let Some(renewal) = &self.renewal else { return false };
        let Some(another) = renewal(refused.clone()).await else { return false };
        let differs = another.expose_secret() != refused.expose_secret();
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = another;
        differs
    }

    fn request(&self, call: &Call, token: &SecretString) -> Request {
        let sent = call.body.as_ref().map_or(0, |(_, body)| body.len() as u64);
        let secs = (call.answer_bytes + sent) / TRANSFER_BYTES_PER_SECOND_MIN;
        let request = Request::new(call.method.clone(), call.url.clone())
            .bearer(token)
            .header("prefer", IMMUTABLE_IDS)
            .answer_max(call.answer_bytes_max)
            .within(self.timeout + Duration::from_secs(secs));
        // A kept connection that the server closes leaves open whether the call was carried out.
        let request = if call.repeatable { request } else { request.alone() };
        match &call.body {
            Some((kind, body)) => request.body(kind, body.clone()),
            None => request,
        }
    }
}

impl Call {
    fn new(method: Method, url: String) -> Call {
        Call {
            method,
            url,
            body: None,
            answer_bytes_max: ANSWER_BYTES_MAX,
            answer_bytes: 0,
            repeatable: true,
            gives_up_on_504: false,
            places: 1,
        }
    }

    /// A 504 is told at once.
    pub fn giving_up_on_504(mut self) -> Call {
        self.gives_up_on_504 = true;
        self
    }

    /// It does no harm if it is carried out twice.
    pub fn repeatable(mut self) -> Call {
        self.repeatable = true;
        self
    }

    /// With a body of this type.
    pub fn body(mut self, content_type: &'static str, body: Vec<u8>) -> Call {
        self.body = Some((content_type, body));
        self
    }

    /// With a body of JSON.
    pub fn json(self, body: &serde_json::Value) -> Call {
        self.body("application/json", body.to_string().into_bytes())
    }

    /// The answer may have this many bytes, and probably has so many.
    pub fn answer(mut self, bytes_max: usize, bytes: u64) -> Call {
        self.answer_bytes_max = bytes_max;
        self.answer_bytes = bytes;
        self
    }
}

/// Where a message lies (`api/message-get`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    parent_folder_id: Option<String>,
}

impl Parent {
    /// Whether it lies in one of these folders.
    pub fn is_one_of(&self, folders: &BTreeSet<String>) -> bool {
        self.parent_folder_id.as_ref().is_some_and(|folder| folders.contains(folder))
    }
}

impl GraphError {
    /// What a part of a batch says that says no.
    pub fn in_batch(status: u16, body: &serde_json::Value) -> GraphError {
        let text = |name: &str| {
            body.pointer(&format!("/error/{name}"))
                .and_then(|text| text.as_str())
                .unwrap_or_default()
        };
        let message = text("message").to_owned();
        GraphError::Refused { status, code: known(text("code")), message }
    }

    /// The status of an answer that says no.
    pub fn status(&self) -> Option<u16> {
        match self {
            GraphError::Refused { status, .. } => Some(*status),
            GraphError::NotRepeated { status, .. } => Some(*status),
            GraphError::Http(_) | GraphError::Busy(_) | GraphError::Protocol(_) => None,
        }
    }

    /// Microsoft's code; empty without one.
    pub fn code(&self) -> &str {
        match self {
            GraphError::Refused { code, .. } => code,
            GraphError::Http(_)
            | GraphError::Busy(_)
            | GraphError::NotRepeated { .. }
            | GraphError::Protocol(_) => "",
        }
    }

    /// Whether the thing we asked for is not there (any more).
    pub fn is_gone(&self) -> bool {
        matches!(self.status(), Some(404 | 410))
    }

    /// Whether somebody changed the thing at the same time.
    pub fn is_conflict(&self) -> bool {
        matches!(self.status(), Some(409 | 412))
    }
}

/// The places of a mailbox, which all who read it and send from it share.
fn places_of(mailbox: String) -> Arc<Semaphore> {
    static MAILBOXES: Mutex<BTreeMap<String, Weak<Semaphore>>> = Mutex::new(BTreeMap::new());
    let mut known = MAILBOXES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(places) = known.get(&mailbox).and_then(Weak::upgrade) {
        return places;
    }
    known.retain(|_, places| places.strong_count() > 0);
    let places = Arc::new(Semaphore::new(CALLS_MAX as usize));
    known.insert(mailbox, Arc::downgrade(&places));
    places
}

/// For one part of a path, or one value of a query. The dot too: a part that is only dots would
/// lead upwards.
pub fn encoded(text: &str) -> String {
    percent_encoded(text).replace('.', "%2E")
}

/// Without a length or chunks, an answer that breaks off looks whole (RFC 9112 section 6.3).
fn is_framed(headers: &HeaderMap) -> bool {
    headers.contains_key("content-length") || headers.contains_key("transfer-encoding")
}

/// `throttling`, and `errors` for the others.
fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 503 | 504 | 509)
}

/// How long we are to wait, within what is reasonable.
fn wait_of(answer: &Answer) -> Duration {
    answer.retry_after().unwrap_or(WAIT_DEFAULT).clamp(WAIT_MIN, WAIT_MAX)
}

/// What an answer says that says no (`errors`).
fn refused(answer: &Answer) -> GraphError {
    #[derive(Deserialize)]
    struct Body {
        error: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let said = serde_json::from_slice::<Body>(&answer.body).ok().map(|body| body.error);
    let (code, message) = said.map_or_else(Default::default, |error| (error.code, error.message));
    let message = with_request_id(message, &answer.headers);
    GraphError::Refused { status: answer.status.as_u16(), code: known(&code), message }
}

/// The words with what Microsoft's support asks for (`best-practices-concept`). They are cut here, so
/// that the id survives when the whole is cut.
fn with_request_id(words: String, headers: &HeaderMap) -> String {
    let id = headers.get("request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let id: String = id
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(REQUEST_ID_CHARS_MAX)
        .collect();
    if id.is_empty() {
        return words;
    }
    let words: String = words.chars().take(WORDS_CHARS_MAX).collect();
    format!("{words} (request-id {id})")
}

/// A code without anything that codes do not have.
fn known(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).take(CODE_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::{Text, TlsOptions};

    fn graph(host: &str, port: u16, mailbox: &str) -> Graph {
        let endpoint = Endpoint {
            host: Text::Plain(host.into()),
            port,
            security: Security::Tls,
            tls: TlsOptions::default(),
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
        };
        Graph::new(&endpoint, host, mailbox, SecretString::from("t".to_owned()))
    }

    #[track_caller]
    fn check_owner(mailbox: &str, expected: &str) {
        let call = graph("graph.test", 443, mailbox).call(Method::GET, "/messages");
        assert_eq!(call.url, format!("https://graph.test:443/v1.0/{expected}/messages"));
    }

    #[test]
    fn whose_mailbox() {
        check_owner("desk@x.test", "users/desk%40x%2Etest");
        check_owner("../me", "users/%2E%2E%2Fme");
    }

    #[track_caller]
    fn check_link(port: u16, link: &str, expected: Option<&str>) {
        let next = graph("graph.test", port, "desk@x.test").next(link).ok();
        assert_eq!(next.map(|call| call.url).as_deref(), expected);
    }

    #[test]
    fn the_next_page_lies_where_the_first_one_does() {
        let there = "https://graph.test:443/v1.0/me/messages?$skip=10";
        check_link(443, there, Some(there));
        check_link(443, "https://graph.test/v1.0/me/messages?$skip=10", Some(there));
        let other = "https://graph.test:8443/v1.0/me/messages?$skip=10";
        check_link(8443, other, Some(other));
        for link in [
            "https://evil.test/v1.0/me/messages",
            "https://graph.test.evil.test/v1.0/me",
            "https://graph.test@evil.test/v1.0/me",
            "https://graph.test:443@evil.test/v1.0/me",
            "http://graph.test/v1.0/me",
            "https://graph.test:8443/v1.0/me",
            "https://graph.test/beta/me",
            "https://graph.test/v1.0/me\r\nHost: evil.test",
            "//evil.test/v1.0/me",
            "",
        ] {
            check_link(443, link, None);
        }
    }
}
