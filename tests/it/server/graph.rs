//! A stand-in for Microsoft Graph: it speaks the calls that Microsoft documents for mail, and it
//! fails on command as the service does and worse. It is not the service: what it does follows
//! the documents that `src/graph.rs` and `src/mailbox/graph.rs` name, and where the service is
//! reported to do otherwise, the report that is named beside it.
//!
//! It notes every call, and as a violation each that lacks what every call must have.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The token that the stand-in accepts. Must appear in no error.
pub const TOKEN: &str = "CANARY.graph-token";

/// Bytes of a request that are read.
const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A running stand-in.
pub struct StandIn {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

/// A mailbox, and how the service behaves.
pub struct State {
    /// Folders by id.
    pub folders: BTreeMap<String, Folder>,
    /// Messages, in no order.
    pub messages: Vec<Message>,
    /// Mails that were handed over, decoded.
    pub sent: Vec<String>,
    /// Whether only sending is permitted (Mail.Send alone).
    pub hides_mailbox: bool,
    /// Whether it knows how many messages lie in a folder; else it says -1 (microsoft-graph-docs
    /// issues 3848, 15030).
    pub counts: bool,
    /// The most that a page may be asked to have, or 504 is answered (issues 5853, 11557).
    pub page_asked_max: usize,
    /// The most calls at a time; more are answered with 429 (throttling-limits).
    pub most_at_once: usize,
    /// Calls under way.
    at_once: usize,
    /// Messages of one page.
    pub page: usize,
    /// What goes wrong, first fit first.
    pub faults: Vec<Trouble>,
    /// Method and decoded path with query of each call.
    pub calls: Vec<String>,
    /// Calls that lacked what each must have.
    pub violations: Vec<String>,
    /// The token that is accepted.
    pub token: String,
    /// Its own origin, as it stands in links.
    origin: String,
}

/// A folder.
pub struct Folder {
    /// Display name.
    pub name: &'static str,
    /// Name in every language.
    pub well_known: Option<&'static str>,
    /// Id of the folder it lies in.
    pub parent: Option<&'static str>,
}

/// A message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Immutable id.
    pub id: String,
    /// Id of its folder.
    pub folder: String,
    /// The mail.
    pub raw: Vec<u8>,
    /// `isRead`.
    pub seen: bool,
    /// `receivedDateTime`.
    pub received: String,
    /// Size as the store counts it; it is not that of the mail.
    pub size: Option<u64>,
    /// Attachments, as they are listed.
    pub attachments: Value,
}

/// Something that goes wrong.
pub struct Trouble {
    /// Part of `METHOD path` of the calls it befalls.
    pub call: String,
    /// What happens instead.
    pub fault: Fault,
    /// To how many of them.
    pub times: usize,
}

/// What happens instead of an answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This answer, whole: status, header lines, body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// These bytes, then the end of the connection.
    Bytes(String),
    /// The right answer, broken off in the middle of its body.
    Half,
    /// The right answer without a length, broken off.
    HalfUnframed,
    /// The call is carried out, and the answer is lost.
    Lost,
    /// The call is carried out, and answered with this status and these header lines. So it is
    /// reported of sendMail: learn.microsoft.com/answers/questions/2286986 (504, and four copies of
    /// the mail) and 5629476.
    CarriedOut(u16, Vec<(&'static str, String)>),
    /// The message, or the oldest one, is gone before the call is looked at.
    TakenAway,
    /// One byte now and then.
    Drip,
    /// Silence.
    Hang,
    /// Body without an end.
    Endless,
}

/// An answer that says no, as the service words it.
pub fn refusal(status: u16, code: &str) -> Fault {
    let body = json!({ "error": { "code": code, "message": "words\nof the service" } });
    Fault::Answer(status, vec![("content-type", "application/json".into())], body.to_string())
}

/// An answer that wants us to wait.
pub fn wait(status: u16, secs: &str) -> Fault {
    Fault::Answer(status, vec![("retry-after", secs.to_owned())], String::new())
}

impl StandIn {
    /// A mailbox with an inbox, `Done` within it, and one or two other folders; no messages.
    pub async fn start(tls: rustls::ServerConfig) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let folder = |name, well_known, parent| Folder { name, well_known, parent };
        let state = Arc::new(Mutex::new(State {
            folders: BTreeMap::from([
                ("F-inbox==".into(), folder("受信トレイ", Some("inbox"), None)),
                ("F-archive".into(), folder("Archive", Some("archive"), None)),
                ("F-done".into(), folder("Done's", None, Some("F-inbox=="))),
                ("F-desk".into(), folder("Desk", None, None)),
            ]),
            messages: Vec::new(),
            sent: Vec::new(),
            hides_mailbox: false,
            counts: true,
            page_asked_max: 1000,
            most_at_once: 0,
            at_once: 0,
            page: 10,
            faults: Vec::new(),
            calls: Vec::new(),
            violations: Vec::new(),
            token: TOKEN.into(),
            origin: format!("https://localhost:{port}"),
        }));
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, state).await;
                    }
                });
            }
        });
        StandIn { port, state, task }
    }

    /// Its state, to look at or to change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Puts a message into the inbox.
    pub fn deliver(&self, id: &str, raw: &str) {
        let mut state = self.state();
        let number = state.messages.len();
        state.messages.push(Message {
            id: id.to_owned(),
            folder: "F-inbox==".into(),
            raw: raw.as_bytes().to_vec(),
            seen: false,
            received: format!("2026-07-{:02}T{:02}:00:00Z", 1 + number / 24 % 28, number % 24),
            size: Some(raw.len() as u64 + 700),
            attachments: json!([]),
        });
    }

    /// From now on this befalls so many calls.
    pub fn trouble(&self, call: &str, fault: Fault, times: usize) {
        self.state().faults.push(Trouble { call: call.to_owned(), fault, times });
    }

    /// Ids of the messages in a folder.
    pub fn ids(&self, folder: &str) -> Vec<String> {
        let state = self.state();
        let within = state.messages.iter().filter(|message| message.folder == folder);
        within.map(|message| message.id.clone()).collect()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer.
struct Reply {
    status: u16,
    kind: &'static str,
    body: Vec<u8>,
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<Mutex<State>>) {
    while let Some(request) = read_request(&mut stream).await {
        {
            let mut state = state.lock().unwrap();
            // The parts of a batch come four at a time.
            let calls = if request.path.ends_with("/$batch") { 4 } else { 1 };
            state.at_once += calls;
            state.most_at_once = state.most_at_once.max(state.at_once);
        }
        // Others come meanwhile, if they do at all.
        tokio::task::yield_now().await;
        let (reply, fault) = {
            let mut state = state.lock().unwrap();
            state.at_once -= if request.path.ends_with("/$batch") { 4 } else { 1 };
            let fault = state.next_fault(&request);
            if matches!(fault, Some(Fault::TakenAway)) {
                state.take_away(&request);
            }
            let carried_out = matches!(
                fault,
                None | Some(
                    Fault::Lost
                        | Fault::CarriedOut(..)
                        | Fault::TakenAway
                        | Fault::Half
                        | Fault::HalfUnframed
                )
            );
            let reply = carried_out.then(|| state.answer(&request));
            let fault = match fault {
                Some(Fault::CarriedOut(status, headers)) => {
                    Some(Fault::Answer(status, headers, String::new()))
                }
                other => other,
            };
            (reply, fault)
        };
        if misbehave(&mut stream, reply, fault).await.is_none() {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

/// Answers; `None` if the connection ends with that.
async fn misbehave(
    stream: &mut (impl AsyncWrite + Unpin),
    reply: Option<Reply>,
    fault: Option<Fault>,
) -> Option<()> {
    let whole = |reply: &Reply, head: &str| {
        let mut bytes =
            format!("HTTP/1.1 {} X\r\ncontent-type: {}\r\n{head}\r\n", reply.status, reply.kind)
                .into_bytes();
        bytes.extend_from_slice(&reply.body);
        bytes
    };
    let length = |reply: &Reply| format!("content-length: {}\r\n", reply.body.len());
    match (fault, reply) {
        (None | Some(Fault::TakenAway), Some(reply)) => {
            stream.write_all(&whole(&reply, &length(&reply))).await.ok()?;
            stream.flush().await.ok()
        }
        (Some(Fault::Half), Some(mut reply)) => {
            let head = length(&reply);
            reply.body.truncate(reply.body.len() / 2);
            stream.write_all(&whole(&reply, &head)).await.ok()?;
            stream.flush().await.ok()?;
            None
        }
        (Some(Fault::HalfUnframed), Some(mut reply)) => {
            reply.body.truncate(reply.body.len() / 2);
            stream.write_all(&whole(&reply, "connection: close\r\n")).await.ok()?;
            stream.flush().await.ok()?;
            None
        }
        (Some(Fault::Answer(status, headers, body)), _) => {
            let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                text += &format!("{name}: {value}\r\n");
            }
            text += "\r\n";
            text += &body;
            stream.write_all(text.as_bytes()).await.ok()?;
            stream.flush().await.ok()
        }
        (Some(Fault::Bytes(text)), _) => {
            stream.write_all(text.as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
            None
        }
        (Some(Fault::Drip), _) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await.ok()?;
            loop {
                stream.write_all(b" ").await.ok()?;
                stream.flush().await.ok()?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        (Some(Fault::Endless), _) => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await
                .ok()?;
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(65536));
            loop {
                stream.write_all(chunk.as_bytes()).await.ok()?;
            }
        }
        (Some(Fault::Hang), _) => std::future::pending().await,
        (Some(Fault::CarriedOut(..)), _) => unreachable!("it became an answer"),
        (
            Some(Fault::Lost) | None | Some(Fault::TakenAway | Fault::Half | Fault::HalfUnframed),
            _,
        ) => None,
    }
}

/// What a client asks.
pub(super) struct Request {
    method: String,
    /// Decoded, with its query.
    path: String,
    headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// All of it, the body as text.
    pub(super) fn whole(&self) -> String {
        let headers: Vec<String> =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let body = String::from_utf8_lossy(&self.body);
        format!("{} {}\n{}\n\n{body}\n", self.method, self.path, headers.join("\n"))
    }
}

/// The next request of a connection (RFC 9112); `None` at its end.
pub(super) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await.ok()? {
            0 => return None,
            read => bytes.extend_from_slice(&more[..read]),
        }
        assert!(bytes.len() < REQUEST_BYTES_MAX, "an endless request");
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let (method, path) = (first.next().unwrap().to_owned(), decoded(first.next().unwrap()));
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = bytes[end..].to_vec();
    let have = body.len();
    body.resize(length, 0);
    stream.read_exact(&mut body[have..]).await.ok()?;
    Some(Request { method, path, headers, body })
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(&after[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

impl State {
    fn next_fault(&mut self, request: &Request) -> Option<Fault> {
        let call = format!("{} {}", request.method, request.path);
        self.calls.push(call.clone());
        let found = self
            .faults
            .iter_mut()
            .find(|trouble| trouble.times > 0 && call.contains(&trouble.call))?;
        found.times -= 1;
        Some(found.fault.clone())
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let prefer = request.headers.get("prefer").map(String::as_str);
        if prefer != Some("IdType=\"ImmutableId\"") {
            self.violations.push(format!("{} {}: no Prefer", request.method, request.path));
        }
        let authorization = request.headers.get("authorization").cloned().unwrap_or_default();
        if authorization != format!("Bearer {}", self.token) {
            return no(401, "InvalidAuthenticationToken");
        }
        let path = request.path.strip_prefix("/v1.0").unwrap_or_default();
        if request.path == "/v1.0/$batch" {
            return self.batch(request);
        }
        let users = ["/users/desk@example.com", "/users/shared@example.com"];
        let Some(path) = users.iter().find_map(|user| path.strip_prefix(user)) else {
            return no(404, "ErrorInvalidUser");
        };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("POST", ["sendMail"]) => self.send(request),
            ("GET", ["messages"]) if self.hides_mailbox => no(403, "ErrorAccessDenied"),
            ("GET", ["messages"]) => self.with_message_id(query),
            ("GET", ["mailFolders"]) => self.named(None, query),
            ("GET", ["mailFolders", parent, "childFolders"]) => self.named(Some(parent), query),
            ("GET", ["mailFolders", name]) => match self.folder(name) {
                Some(id) => ok(json!({ "id": id })),
                None => no(404, "ErrorFolderNotFound"),
            },
            ("GET", ["mailFolders", folder, "messages"]) => self.list(folder, &request.path, query),
            // Documented (api/message-get), and not answered: microsoft-graph-docs issue 9364,
            // msgraph-sdk-python issue 714.
            ("GET", ["mailFolders", _, "messages", _, "$value"]) => no(405, "ErrorInvalidRequest"),
            (method, ["messages", id, rest @ ..]) => match self.find(id) {
                Some(at) => self.message(method, at, rest, query, request),
                None => no(404, "ErrorItemNotFound"),
            },
            _ => no(400, "BadRequest"),
        }
    }

    /// A call about one message, wherever it lies.
    fn message(
        &mut self,
        method: &str,
        at: usize,
        rest: &[&str],
        query: &str,
        request: &Request,
    ) -> Reply {
        let id = self.messages[at].id.clone();
        match (method, rest) {
            ("GET", ["$value"]) => {
                Reply { status: 200, kind: "text/plain", body: self.messages[at].raw.clone() }
            }
            ("GET", []) if query == "$select=parentFolderId" => {
                ok(json!({ "id": id, "parentFolderId": self.messages[at].folder }))
            }
            ("GET", ["attachments"]) => ok(json!({ "value": self.messages[at].attachments })),
            ("GET", []) => ok(header_of(&self.messages[at])),
            ("DELETE", []) => {
                self.messages.remove(at);
                Reply { status: 204, kind: "text/plain", body: Vec::new() }
            }
            ("PATCH", []) => {
                let body: Value = serde_json::from_slice(&request.body).unwrap();
                self.messages[at].seen = body["isRead"].as_bool().unwrap();
                ok(json!({ "id": id }))
            }
            ("POST", ["move"]) => {
                let body: Value = serde_json::from_slice(&request.body).unwrap();
                let target = body["destinationId"].as_str().unwrap_or_default();
                let Some(target) = self.folder(target) else {
                    return no(404, "ErrorItemNotFound");
                };
                self.messages[at].folder = target;
                let mut reply = ok(json!({ "id": id }));
                reply.status = 201;
                reply
            }
            _ => no(400, "BadRequest"),
        }
    }

    /// Several calls in one (json-batching). Each part needs its own headers; the answers come in
    /// any order.
    fn batch(&mut self, request: &Request) -> Reply {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let parts = body["requests"].as_array().unwrap();
        if parts.len() > 20 {
            return no(400, "BadRequest");
        }
        let mut answers = Vec::new();
        for part in parts {
            let url = part["url"].as_str().unwrap();
            let mut headers = request.headers.clone();
            headers.remove("prefer");
            for (name, value) in part["headers"].as_object().unwrap() {
                headers.insert(name.to_ascii_lowercase(), value.as_str().unwrap().to_owned());
            }
            let inner = Request {
                method: part["method"].as_str().unwrap().to_owned(),
                path: decoded(&format!("/v1.0{url}")),
                headers,
                body: Vec::new(),
            };
            let (status, headers, body) = match self.next_fault(&inner) {
                Some(Fault::Answer(status, headers, body)) => {
                    let headers: BTreeMap<&str, String> = headers.into_iter().collect();
                    (status, json!(headers), body.into_bytes())
                }
                Some(Fault::TakenAway) => {
                    self.take_away(&inner);
                    (404, json!({}), no(404, "ErrorItemNotFound").body)
                }
                Some(other) => panic!("{other:?} befalls no part of a batch"),
                None => {
                    let reply = self.answer(&inner);
                    (reply.status, json!({}), reply.body)
                }
            };
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            answers.push(
                json!({ "id": part["id"], "status": status, "headers": headers, "body": body }),
            );
        }
        answers.reverse();
        ok(json!({ "responses": answers }))
    }

    /// The message that a call names is gone, or the oldest one.
    fn take_away(&mut self, request: &Request) {
        let named = |message: &Message| request.path.contains(&message.id);
        let at = self.messages.iter().position(named).unwrap_or(0);
        self.messages.remove(at);
    }

    fn folder(&self, name: &str) -> Option<String> {
        let fits =
            |(id, folder): &(&String, &Folder)| *id == name || folder.well_known == Some(name);
        self.folders.iter().find(fits).map(|(id, _)| id.clone())
    }

    fn find(&self, id: &str) -> Option<usize> {
        self.messages.iter().position(|message| message.id == id)
    }

    fn named(&self, parent: Option<&&str>, query: &str) -> Reply {
        let name = query.split("displayName eq '").nth(1).unwrap();
        let name = name.split("'&").next().unwrap().replace("''", "'");
        let within = |folder: &Folder| folder.parent == parent.copied();
        let found: Vec<Value> = self
            .folders
            .iter()
            .filter(|(_, folder)| within(folder) && folder.name.eq_ignore_ascii_case(&name))
            .map(|(id, folder)| json!({ "id": id, "displayName": folder.name }))
            .collect();
        ok(json!({ "value": found }))
    }

    fn list(&mut self, folder: &str, path: &str, query: &str) -> Reply {
        for part in [
            "$select=id,receivedDateTime,isRead,parentFolderId",
            "id eq 'Integer 0x0E08'",
            "$count=true",
        ] {
            if !query.contains(part) {
                self.violations.push(format!("list without {part}: {query}"));
            }
        }
        let Some(folder) = self.folder(folder) else { return no(404, "ErrorFolderNotFound") };
        let top = query.split("$top=").nth(1).and_then(|rest| rest.split('&').next());
        if top.unwrap().parse::<usize>().unwrap() > self.page_asked_max {
            return no(504, "UnknownError");
        }
        let skip: usize = query
            .split("$skip=")
            .nth(1)
            .map_or(0, |rest| rest.split('&').next().unwrap().parse().unwrap());
        let mut all: Vec<&Message> =
            self.messages.iter().filter(|message| message.folder == folder).collect();
        all.sort_by_key(|message| message.received.clone());
        let shown = |message: &&&Message| {
            let mut value = json!({
                "id": message.id,
                "receivedDateTime": message.received,
                "isRead": message.seen,
                "parentFolderId": message.folder,
            });
            if let Some(size) = message.size {
                value["singleValueExtendedProperties"] =
                    json!([{ "id": "Integer 0xe08", "value": size.to_string() }]);
            }
            value
        };
        let page: Vec<Value> = all.iter().skip(skip).take(self.page).map(|m| shown(&m)).collect();
        let count = if self.counts { all.len() as i64 } else { -1 };
        let mut body = json!({ "@odata.count": count, "value": page });
        if skip + self.page < all.len() {
            let bare = path.split("&$skip=").next().unwrap().replace(' ', "%20");
            let link = format!("{}{bare}&$skip={}", self.origin, skip + self.page);
            body["@odata.nextLink"] = json!(link);
        }
        ok(body)
    }

    /// Messages of the whole mailbox with this Message-ID, also those that were sent.
    fn with_message_id(&self, query: &str) -> Reply {
        let id = query.split("internetMessageId eq '").nth(1).unwrap();
        let line = format!("Message-ID: {}\r\n", id.split("'&").next().unwrap().replace("''", "'"));
        let received = self.messages.iter().map(|message| String::from_utf8_lossy(&message.raw));
        let sent = self.sent.iter().map(|mail| mail.as_str().into());
        let found: Vec<Value> = received
            .chain(sent)
            .filter(|mail: &std::borrow::Cow<str>| mail.contains(&line))
            .map(|_| json!({ "id": "S1=", "isDraft": false }))
            .collect();
        ok(json!({ "value": found }))
    }

    fn send(&mut self, request: &Request) -> Reply {
        let kind = request.headers.get("content-type").map(String::as_str);
        let mail =
            STANDARD.decode(&request.body).ok().and_then(|mail| String::from_utf8(mail).ok());
        match mail {
            Some(mail) if kind == Some("text/plain") => {
                self.sent.push(mail);
                Reply { status: 202, kind: "text/plain", body: Vec::new() }
            }
            _ => no(400, "ErrorMimeContentInvalidBase64String"),
        }
    }
}

fn header_of(message: &Message) -> Value {
    let text = String::from_utf8_lossy(&message.raw).into_owned();
    let header = text.split("\r\n\r\n").next().unwrap_or_default();
    let lines: Vec<Value> = header
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    json!({
        "id": message.id,
        "internetMessageHeaders": lines,
        "body": { "contentType": "text", "content": body },
    })
}

fn ok(body: Value) -> Reply {
    Reply { status: 200, kind: "application/json", body: body.to_string().into_bytes() }
}

fn no(status: u16, code: &str) -> Reply {
    let body = json!({ "error": { "code": code, "message": "words of the service" } });
    Reply { status, kind: "application/json", body: body.to_string().into_bytes() }
}
