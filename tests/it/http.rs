//! Every route against the real router and a real store, in this process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::metrics::maildir;
use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use postroom::app::{Handle, ReloadAnswer, ReloadRequest, Shared};
use postroom::config::{Problem, Severity};
use postroom::core::address::Address;
use postroom::core::config::{
    ApiToken, Config, Language, QUEUE_OF_LAST_RESORT, Queue, Role, Subscriptions, Switch, User,
};
use postroom::core::mail::Location;
use postroom::core::ticket::{Actor, Command};
use postroom::core::{intake, mail};
use postroom::http::auth::{LOCAL_TOKEN_FILE, LocalToken};
use postroom::http::dto::audience::AudienceView;
use postroom::http::dto::ticket::TicketDetail;
use postroom::http::proxy::Network;
use postroom::http::routes::{self, Access, Route};
use postroom::http::{Peer, READ_TIMEOUT_SECS, Web, router, serve};
use postroom::metrics::Metrics;
use postroom::run::clock::Clock;
use postroom::run::daemon::{Daemon, Parts, Running};
use postroom::secret::Secrets;
use postroom::store::{Once, Spool, Store, ToRecord};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub const ROLES: [(&str, Role); 4] = [
    ("viewer-token", Role::Viewer),
    ("user-token", Role::User),
    ("manager-token", Role::Manager),
    ("admin-token", Role::Admin),
];

/// A user of each role.
pub const USERS: [(&str, Role); 4] =
    [("vera", Role::Viewer), ("ulla", Role::User), ("mona", Role::Manager), ("adam", Role::Admin)];

/// Compares a generated page with the one in the repository; `UPDATE=1` writes it.
#[track_caller]
pub fn check_page(path: &str, current: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, current).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == current, "{path} is not current: run UPDATE=1 cargo test --test it");
}

/// What its daemon was started with.
pub struct Started {
    pub external_url: Option<String>,
    pub trusted_proxies: Vec<Network>,
}

/// A router over an empty desk.
pub struct Desk {
    pub router: Router,
    pub handle: Handle,
    requests: mpsc::Receiver<ReloadRequest>,
    pub folder: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Desk {
        Desk::with_clock(Clock::default())
    }

    pub fn with_clock(clock: Clock) -> Desk {
        Desk::over(tempfile::tempdir().unwrap(), clock)
    }

    /// The same desk after its daemon was ended and started again.
    pub async fn again(self) -> Desk {
        let Desk { router, handle, folder, .. } = self;
        drop(router);
        handle.store.close().await;
        drop(handle);
        Desk::over(folder, Clock::default())
    }

    /// The same desk with one more trusted proxy.
    pub fn trusting(proxy: &str) -> Desk {
        let started = |options: &mut Started| options.trusted_proxies.push(proxy.parse().unwrap());
        Desk::started(tempfile::tempdir().unwrap(), Clock::default(), started)
    }

    fn over(folder: tempfile::TempDir, clock: Clock) -> Desk {
        Desk::started(folder, clock, |_| {})
    }

    /// A desk whose daemon was started with other options.
    pub fn started(
        folder: tempfile::TempDir,
        clock: Clock,
        change: impl FnOnce(&mut Started),
    ) -> Desk {
        let mut options = Started {
            external_url: Some("https://desk.example/base".into()),
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        };
        change(&mut options);
        let (reloads, requests) = mpsc::channel(4);
        let daemon = Daemon::new(Parts {
            store: Store::open(folder.path()).unwrap(),
            running: ArcSwap::from_pointee(Running {
                revision: "0123456789abcdef".into(),
                applied: Timestamp::now(),
                config: Arc::new(config()),
                changes: Vec::new(),
            }),
            board: Default::default(),
            metrics: Metrics::default(),
            secrets: Secrets::default(),
            programs: Default::default(),
            clock,
            tokens: Default::default(),
        });
        let handle = Handle::new(Shared {
            daemon,
            rejected: ArcSwap::default(),
            accounts: Default::default(),
            started: Timestamp::now(),
            external_url: options.external_url,
            trusted_proxies: options.trusted_proxies,
            reloads,
        });
        let local = LocalToken::create(folder.path()).unwrap();
        let web = Web::new(handle.clone(), Some(local));
        Desk { router: router(web), handle, requests, folder }
    }

    /// Answers every reload with "unchanged", so that those who may ask for one do not wait.
    pub fn answer_reloads(&mut self) -> JoinHandle<()> {
        let mut requests = std::mem::replace(&mut self.requests, mpsc::channel(1).1);
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                let revision = "0123456789abcdef".into();
                let _ = request.answer.unwrap().send(ReloadAnswer::Unchanged { revision });
            }
        })
    }

    pub async fn ask(
        &self,
        request: Request<Body>,
    ) -> (StatusCode, BTreeMap<String, String>, Vec<u8>) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
        (status, headers, body)
    }

    pub async fn status(&self, request: Request<Body>) -> u16 {
        self.ask(request).await.0.as_u16()
    }
}

fn config() -> Config {
    let mut config = Config::default();
    let queue = Queue::named(QUEUE_OF_LAST_RESORT);
    config.queues.insert(queue.name.clone(), queue);
    for (token, role) in ROLES {
        let token = ApiToken {
            name: token.into(),
            sha256: Sha256::digest(token.as_bytes()).into(),
            role,
            expires: None,
            state: Switch::Enabled,
        };
        config.api_tokens.insert(token.name.clone(), token);
    }
    for (name, role) in USERS {
        let user = User {
            name: name.into(),
            email: Address::parse(&format!("{name}@agents.test")).unwrap(),
            full_name: name.to_uppercase(),
            language: Language::En,
            role,
            time_zone: jiff::tz::TimeZone::UTC,
            password_hash: None,
            subscriptions: Subscriptions::default(),
            state: Switch::Enabled,
        };
        config.users.insert(user.name.clone(), user);
    }
    config
}

/// A request as somebody far away makes it.
pub fn request(method: &Method, path: &str, token: Option<&str>) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "desk.internal:8025")
        .header(header::CONTENT_TYPE, "application/json")
        .extension(Peer("192.0.2.7:1234".parse().unwrap()));
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Body::from("{}")).unwrap()
}

/// A path that fits the route and leads to nothing there is.
pub fn sample(route: &Route) -> String {
    let filled = route
        .path
        .replace("{number}", "2026112210000018")
        .replace("{id}", "7")
        .replace("{index}", "0")
        .replace("{name}", "nobody")
        .replace("{who}", "eve@customer.example")
        .replace("{address}", "eve@customer.example")
        .replace("{file}", "none.css");
    if filled.ends_with("/explain") { filled + "?account=nobody" } else { filled }
}

#[tokio::test]
async fn every_route_with_every_token() {
    let mut desk = Desk::new();
    let answering = desk.answer_reloads();
    for route in routes::all() {
        let needed = match route.access {
            // They take sessions: `pages` walks them.
            Access::Page(_) => continue,
            Access::Open => None,
            Access::AdminOrLoopback => Some(Role::Admin),
            Access::Role(role) => Some(role),
        };
        let path = sample(&route);
        let asked = format!("{} {path}", route.method);
        let without = desk.status(request(&route.method, &path, None)).await;
        let wrong = desk.status(request(&route.method, &path, Some("admin-toke"))).await;
        if needed.is_some() {
            assert_eq!((without, wrong), (401, 401), "{asked}");
        } else {
            // Where a sign-in comes back to is open, and says no to a visit without one.
            let fine = if path == "/oauth2/callback" { 400 } else { 200 };
            assert_eq!((without, wrong), (fine, fine), "{asked}");
        }
        for (token, role) in ROLES {
            let status = desk.status(request(&route.method, &path, Some(token))).await;
            let allowed = needed.is_none_or(|needed| role >= needed);
            assert_eq!(status != 403, allowed, "{asked} as {token} answers {status}");
            assert!(status != 401 && status < 500, "{asked} as {token} answers {status}");
        }
    }
    answering.abort();
}

/// Everything that takes tokens, with a path that leads to nothing.
fn interface() -> impl Iterator<Item = (Route, String)> {
    let all = routes::all().into_iter().filter(|route| !route.access.is_page());
    all.map(|route| {
        let path = sample(&route);
        (route, path)
    })
}

#[tokio::test]
async fn every_route_asked_by_a_page_of_another_host() {
    let mut desk = Desk::new();
    let answering = desk.answer_reloads();
    for (route, path) in interface() {
        let with_token = || request(&route.method, &path, Some("admin-token"));
        let own = desk.status(with_token()).await;
        for origin in ["https://evil.example", "null", "http://desk.internal:9999"] {
            let mut foreign = with_token();
            foreign.headers_mut().insert(header::ORIGIN, origin.parse().unwrap());
            let (status, headers, _) = desk.ask(foreign).await;
            let asked = format!("{} {path} from {origin}", route.method);
            // To look is harmless: no page of another host may read the answer.
            let expected = if route.method == Method::GET { own } else { 403 };
            assert_eq!(status.as_u16(), expected, "{asked}");
            assert!(!headers.contains_key("access-control-allow-origin"), "{asked}");
        }
    }
    answering.abort();
}

#[tokio::test]
async fn every_route_under_a_name_of_somebody_else() {
    let mut desk = Desk::new();
    let answering = desk.answer_reloads();
    for (route, path) in interface() {
        let under = |host: &str, token| {
            let mut asked = request(&route.method, &path, token);
            // As a browser on this very machine would be led here by a name that points to it.
            asked.extensions_mut().insert(Peer("127.0.0.1:1234".parse().unwrap()));
            asked.headers_mut().insert(header::HOST, host.parse().unwrap());
            asked
        };
        let own = desk.status(under("desk.internal:8025", Some("viewer-token"))).await;
        for host in ["evil.example", "localhost.evil.example:8025", "127.0.0.1.evil.example"] {
            let asked = format!("{} {path} at {host}", route.method);
            // A token counts under every name, for no browser sends one by itself; without one a
            // strange name opens nothing, not even what this machine may ask.
            assert_eq!(desk.status(under(host, Some("viewer-token"))).await, own, "{asked}");
            let without = desk.status(under(host, None)).await;
            assert_eq!(without == 401, route.access != Access::Open, "{asked} answers {without}");
        }
    }
    answering.abort();
}

#[tokio::test]
async fn the_token_in_the_data_directory_may_everything() {
    let desk = Desk::new();
    let token = std::fs::read_to_string(desk.folder.path().join(LOCAL_TOKEN_FILE)).unwrap();
    assert_eq!(desk.status(request(&Method::GET, "/api/v1/config", Some(&token))).await, 200);
}

#[tokio::test]
async fn a_token_in_the_query_does_not_count() {
    let desk = Desk::new();
    let path = "/api/v1/status?token=admin-token&access_token=admin-token";
    assert_eq!(desk.status(request(&Method::GET, path, None)).await, 401);
}

#[tokio::test]
async fn problems_are_told_as_problems() {
    let desk = Desk::new();
    for (path, status) in
        [("/api/v1/status", 401), ("/nowhere", 404), ("/api/v1/%2e%2e/config", 404)]
    {
        let (found, headers, body) = desk.ask(request(&Method::GET, path, None)).await;
        assert_eq!(found.as_u16(), status, "{path}");
        assert_eq!(headers["content-type"], "application/problem+json");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["status"], status);
        assert!(!body["detail"].as_str().unwrap().is_empty());
    }
    let (status, headers, _) = desk.ask(request(&Method::GET, "/api/v1/status", None)).await;
    assert_eq!(
        (status.as_u16(), headers["www-authenticate"].as_str()),
        (401, "Bearer realm=\"postroom\"")
    );
}

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let desk = Desk::new();
    let admin = |method: Method, path: &str, body: Vec<u8>| {
        let mut asked = request(&method, path, Some("admin-token"));
        *asked.body_mut() = Body::from(body);
        asked
    };
    let mut xml = admin(Method::POST, "/api/v1/tickets/1/notes", b"<a/>".to_vec());
    xml.headers_mut().insert(header::CONTENT_TYPE, "application/xml".parse().unwrap());
    let note = "/api/v1/tickets/1/notes";
    let cases = [
        (request(&Method::GET, "/api/v1/status", None), 401),
        (request(&Method::GET, "/api/v1/config", Some("viewer-token")), 403),
        (admin(Method::GET, "/api/v1/tickets/1", vec![]), 404),
        (admin(Method::DELETE, "/metrics", vec![]), 405),
        (admin(Method::GET, "/api/v1/mails/seven", vec![]), 400),
        (admin(Method::GET, "/api/v1/mails?limit=many", vec![]), 400),
        (admin(Method::GET, "/api/v1/mails?page=2", vec![]), 400),
        (admin(Method::GET, "/api/v1/notifications", vec![]), 400),
        (admin(Method::POST, note, b"{".to_vec()), 400),
        (admin(Method::POST, note, b"{}".to_vec()), 422),
        (admin(Method::POST, note, vec![b' '; 2 << 20]), 413),
        (admin(Method::POST, "/api/v1/check", vec![b'#'; 2 << 20]), 413),
        (admin(Method::POST, "/api/v1/check", vec![0xff]), 422),
        (admin(Method::POST, "/api/v1/explain?account=x", vec![b'x'; 49 << 20]), 413),
        // A mail may be larger than other bodies; this one is for an account that is not there.
        (admin(Method::POST, "/api/v1/explain?account=x", vec![b'x'; 33 << 20]), 404),
        (xml, 415),
    ];
    for (asked, expected) in cases {
        let what = format!("{} {}", asked.method(), asked.uri());
        let (status, headers, body) = desk.ask(asked).await;
        let said = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(status.as_u16(), expected, "{what}: {said}");
        assert_eq!(headers["content-type"], "application/problem+json", "{what}: {said}");
        let body: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(body["status"], expected, "{what}: {said}");
        assert_eq!(body["title"], status.canonical_reason().unwrap(), "{what}: {said}");
        assert!(!body["detail"].as_str().unwrap().is_empty(), "{what}: {said}");
        if expected == 413 {
            let most = if what.contains("/explain") { "49152 KiB" } else { "1024 KiB" };
            assert!(body["detail"].as_str().unwrap().contains(most), "{what}: {said}");
            assert_eq!(body["hint"], "send less at a time", "{what}");
        }
    }
}

#[tokio::test]
async fn every_answer_is_guarded_against_browsers() {
    let desk = Desk::new();
    for path in ["/metrics", "/nowhere", "/api/v1/status"] {
        let (_, headers, _) = desk.ask(request(&Method::GET, path, None)).await;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
    }
}

#[tokio::test]
async fn pages_of_other_hosts_change_nothing() {
    let desk = Desk::new();
    for (origin, refused) in [
        ("https://evil.example", true),
        ("null", true),
        ("http://desk.internal:8025", false),
        ("https://desk.example", false),
        ("http://desk.example", true),
        ("http://desk.example:8025", true),
    ] {
        let mut asked = request(&Method::DELETE, "/api/v1/quarantine/7", Some("admin-token"));
        asked.headers_mut().insert(header::ORIGIN, origin.parse().unwrap());
        let status = desk.status(asked).await;
        assert_eq!(status == 403, refused, "{origin} answers {status}");
    }
}

/// Asks for a reload from this address under this name.
fn reload_from(peer: &str, host: &str, extra: Option<&str>) -> Request<Body> {
    let mut asked = request(&Method::POST, "/-/reload", None);
    asked.extensions_mut().insert(Peer(peer.parse().unwrap()));
    asked.headers_mut().insert(header::HOST, host.parse().unwrap());
    if let Some(address) = extra {
        asked.headers_mut().insert("x-forwarded-for", address.parse().unwrap());
    }
    asked
}

#[tokio::test]
async fn only_this_machine_reloads_without_a_token() {
    let alone = |options: &mut Started| {
        options.external_url = None;
        options.trusted_proxies.clear();
    };
    let desk = Desk::started(tempfile::tempdir().unwrap(), Clock::default(), alone);
    // Without anybody who applies revisions the one who may ask learns that it shuts down.
    drop(desk.requests);
    let desk = Desk { requests: mpsc::channel(1).1, ..desk };
    let cases = [
        ("127.0.0.1:9", "127.0.0.1:8025", None, 503),
        ("[::1]:9", "localhost:8025", None, 503),
        ("192.0.2.7:9", "localhost:8025", None, 401),
        ("127.0.0.1:9", "rebound.example", None, 401),
        ("127.0.0.1:9", "localhost", Some("192.0.2.7"), 401),
    ];
    for (peer, host, extra, expected) in cases {
        let status = desk.status(reload_from(peer, host, extra)).await;
        assert_eq!(status, expected, "{peer} {host} {extra:?}");
    }
}

#[tokio::test]
async fn behind_a_proxy_nobody_reloads_without_a_token() {
    let cases: [fn(&mut Started); 3] =
        [|_| {}, |options| options.external_url = None, |options| options.trusted_proxies.clear()];
    for change in cases {
        let desk = Desk::started(tempfile::tempdir().unwrap(), Clock::default(), change);
        for (peer, host) in [("127.0.0.1:9", "127.0.0.1:8025"), ("[::1]:9", "localhost")] {
            assert_eq!(desk.status(reload_from(peer, host, None)).await, 401, "{peer} {host}");
        }
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    let desk = Desk::new();
    let (address, stop, serving) = listening(&desk).await;
    for (head, status) in [
        ("GET /-/ready HTTP/1.1\r\nhost: a\r\n", 200),
        ("GET /-/ready HTTP/1.0\r\n", 200),
        ("GET http://a/-/ready HTTP/1.1\r\nhost: a\r\n", 200),
        ("GET /-/ready HTTP/1.1\r\n", 400),
        ("GET /-/ready HTTP/1.1\r\nhost: a\r\nhost: a\r\n", 400),
        ("GET /-/ready HTTP/1.1\r\nhost: a\r\nHost: b\r\n", 400),
        ("GET /sign-in HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n", 400),
        ("GET http://b/-/ready HTTP/1.1\r\nhost: a\r\n", 400),
        ("GET /-/ready HTTP/1.1\r\nhost: a b\r\n", 400),
        ("GET /-/ready HTTP/1.1\r\nhost: user@a\r\n", 400),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{head}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let said = until_closed(&mut stream).await;
        assert!(said[9..].starts_with(&status.to_string()), "{head}: {said}");
    }
    stop.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn browsers_are_told_to_stay_with_https_where_people_use_it() {
    let desk = Desk::new();
    let field = "strict-transport-security";
    let mut asked = request(&Method::GET, "/-/ready", None);
    asked.headers_mut().insert(header::HOST, "desk.example".parse().unwrap());
    let (_, headers, _) = desk.ask(asked).await;
    assert_eq!(headers[field], "max-age=31536000");
    let (_, headers, _) = desk.ask(request(&Method::GET, "/-/ready", None)).await;
    assert!(!headers.contains_key(field), "under a name without https");
    let plain = |options: &mut Started| options.external_url = Some("http://desk.example".into());
    let desk = Desk::started(tempfile::tempdir().unwrap(), Clock::default(), plain);
    let mut asked = request(&Method::GET, "/-/ready", None);
    asked.headers_mut().insert(header::HOST, "desk.example".parse().unwrap());
    let (_, headers, _) = desk.ask(asked).await;
    assert!(!headers.contains_key(field), "people use http");
}

#[tokio::test]
async fn reloads_say_what_came_of_them() {
    let mut desk = Desk::new();
    let problem = Problem {
        severity: Severity::Error,
        file: "desk.yaml".into(),
        line: 3,
        column: 5,
        path: "queues.a".into(),
        message: "is wrong".into(),
        hint: String::new(),
        rule: None,
    };
    let answers = [
        (ReloadAnswer::Unchanged { revision: "abc".into() }, 200, "unchanged"),
        (ReloadAnswer::Invalid { problems: vec![problem] }, 422, "queues.a"),
        (ReloadAnswer::Blocked { running: 9, removed: 8 }, 409, "allowMassDelete=true"),
    ];
    for (answer, expected, said) in answers {
        let asked = desk.router.clone().oneshot(request(
            &Method::POST,
            "/-/reload?allowMassDelete=true",
            Some("admin-token"),
        ));
        let answered = async {
            let request = desk.requests.recv().await.unwrap();
            assert!(request.allow_mass_delete);
            assert!(request.answer.unwrap().send(answer).is_ok());
        };
        let (response, ()) = tokio::join!(asked, answered);
        let response = response.unwrap();
        assert_eq!(response.status().as_u16(), expected);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains(said), "{body:?}");
    }
}

#[tokio::test]
async fn bodies_are_bounded() {
    let desk = Desk::new();
    let path = "/api/v1/tickets/1/notes";
    let send = |body: String| {
        let mut asked = request(&Method::POST, path, Some("admin-token"));
        *asked.body_mut() = Body::from(body);
        asked
    };
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    assert_eq!(desk.status(send(long)).await, 413);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(desk.status(send(deep)).await, 400 | 422));
    assert_eq!(desk.status(send("{\"text\":\"a\",\"visible\":1}".into())).await, 422);
    assert_eq!(desk.status(send("{\"text\":\" \"}".into())).await, 422);
    assert_eq!(desk.status(send("{\"text\":\"a\"}".into())).await, 404);
}

#[tokio::test]
async fn ready_means_that_a_revision_runs() {
    let desk = Desk::new();
    assert_eq!(desk.status(request(&Method::GET, "/-/ready", None)).await, 200);
    let mut running = (**desk.handle.running.load()).clone();
    running.revision = Arc::default();
    desk.handle.running.store(Arc::new(running));
    assert_eq!(desk.status(request(&Method::GET, "/-/ready", None)).await, 503);
    assert_eq!(desk.status(request(&Method::GET, "/-/healthy", None)).await, 200);
}

#[tokio::test]
async fn the_configuration_shows_no_hash() {
    let desk = Desk::new();
    let (status, _, body) =
        desk.ask(request(&Method::GET, "/api/v1/config", Some("admin-token"))).await;
    assert_eq!(status, 200);
    let text = String::from_utf8(body).unwrap();
    let hash: String =
        Sha256::digest(b"admin-token").iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(text.contains("admin-token"), "the name of the token: {text}");
    assert!(!text.contains(&hash) && !text.contains("sha256"), "{text}");
}

#[tokio::test]
async fn the_configuration_shows_how_mail_is_taken_in() {
    let desk = Desk::new();
    crate::http_desk::reconfigure(&desk, |config| {
        config.intake.proof_valid_for = Duration::from_secs(7 * 24 * 3600);
        config.intake.authserv_id = Some("mx.desk.example".into());
    });
    let (status, _, body) =
        desk.ask(request(&Method::GET, "/api/v1/config", Some("admin-token"))).await;
    assert_eq!(status, 200);
    let shown: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let intake = serde_json::json!({
        "customers": "open",
        "dedupe": "account",
        "cc": "participants",
        "answer": "everybody",
        "authservId": "mx.desk.example",
        "proofValidFor": 7 * 24 * 3600,
        "internalMarker": "#internal",
    });
    assert_eq!(shown["intake"], intake);
}

#[tokio::test]
async fn requests_are_counted_by_declared_route() {
    let desk = Desk::new();
    desk.status(request(&Method::GET, "/api/v1/tickets/eve@customer.example", None)).await;
    desk.status(request(&Method::GET, "/eve@customer.example", None)).await;
    let odd = Method::from_bytes(b"EVE").unwrap();
    desk.status(request(&odd, "/metrics", None)).await;
    let text = desk.handle.metrics.text();
    assert!(!text.contains("eve@") && !text.contains("EVE"), "{text}");
    let counted = r#"{method="GET",route="/api/v1/tickets/{number}",status="401"} 1"#;
    assert!(text.contains(counted), "{text}");
}

const MAIL: &str = "From: Eve <eve@customer.example>\r\nTo: support@desk.example\r\n\
    Subject: the printer burns\r\nMessage-ID: <1@customer.example>\r\n\
    Date: Sun, 22 Nov 2026 09:00:00 +0000\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhelp\r\n\
    --b\r\nContent-Type: text/html; name=\"page.html\"\r\n\
    Content-Disposition: attachment; filename=\"page.html\"\r\n\r\n<script>alert(1)</script>\r\n--b--\r\n";

/// Records a mail as intake does and answers with the number of its ticket.
pub async fn record(desk: &Desk) -> String {
    record_mail(desk, "new/1", MAIL).await
}

/// The same for this mail, that lies there.
pub async fn record_mail(desk: &Desk, place: &str, raw: &str) -> String {
    let config = desk.handle.running.load().config.clone();
    let account = Arc::new(maildir());
    let location = Location(place.into());
    let bytes = Arc::new(raw.as_bytes().to_vec());
    let spool = Spool { location: location.clone(), raw: bytes, headers_only: false };
    let spooled = desk.handle.store.spool(&account.name, vec![spool]).await.unwrap();
    let judgement = intake::judge(&config, &account, &mail::parse(raw.as_bytes()));
    let to_record = ToRecord {
        config,
        account,
        location,
        digest: spooled[0].digest,
        judgement: Ok(Box::new(judgement)),
        now: Timestamp::now(),
        released: None,
    };
    let recorded = desk.handle.store.record(vec![to_record]).await.unwrap();
    recorded[0].ticket.clone().expect("a mail makes a ticket or joins one")
}

#[tokio::test]
async fn a_ticket_is_worked_on() {
    let desk = Desk::new();
    let number = record(&desk).await;
    let path = format!("/api/v1/tickets/{number}");
    let show = async || {
        let (status, _, body) = desk.ask(request(&Method::GET, &path, Some("viewer-token"))).await;
        assert_eq!(status, 200);
        serde_json::from_slice::<TicketDetail>(&body).unwrap()
    };
    let change = async |method: Method, path: &str, body: &str| {
        let mut asked = request(&method, path, Some("user-token"));
        *asked.body_mut() = Body::from(body.to_owned());
        desk.status(asked).await
    };
    assert_eq!(show().await.ticket.title, "the printer burns");

    let body = r#"{"title": "printer", "priority": "5 very high", "state": "open"}"#;
    assert_eq!(change(Method::PATCH, &path, body).await, 200);
    let body = r#"{"title": "lost", "queue": "nowhere"}"#;
    assert_eq!(change(Method::PATCH, &path, body).await, 422, "all or nothing");
    assert_eq!(change(Method::POST, &format!("{path}/notes"), r#"{"text": "look"}"#).await, 200);
    let watcher = format!("{path}/watchers/eve@customer.example");
    assert_eq!(change(Method::PUT, &watcher, "").await, 200);

    let detail = show().await;
    assert_eq!((detail.ticket.title.as_str(), detail.ticket.state.as_str()), ("printer", "open"));
    assert_eq!(detail.watchers[0].who, "eve@customer.example");
    assert_eq!(detail.articles.len(), 2);
    let changed = detail.events.iter().find(|event| event.event == "priorityChanged").unwrap();
    assert_eq!(changed.actor, "token user-token");
    assert_eq!(change(Method::DELETE, &watcher, "").await, 200);
    assert!(show().await.watchers.is_empty());
}

#[tokio::test]
async fn an_audience_is_explained() {
    let desk = Desk::new();
    let path = format!("/api/v1/tickets/{}/audience", record(&desk).await);
    let ask = async |query: &str, token: &str| {
        desk.ask(request(&Method::GET, &format!("{path}?{query}"), Some(token))).await
    };
    let (status, _, body) = ask("event=ticketCreated", "manager-token").await;
    assert_eq!(status, 200);
    let audience: AudienceView = serde_json::from_slice(&body).unwrap();
    let told = audience.people.iter().map(|one| (one.who.as_str(), one.told, one.why.is_empty()));
    let users = ["adam", "mona", "ulla", "vera"].map(|who| (who, false, false));
    assert_eq!(told.collect::<Vec<_>>(), users, "nobody has a subscription, and each is told why");
    assert_eq!(ask("event=ticketBurned", "manager-token").await.0, 422);
    assert_eq!(ask("event=noteAdded&by=nobody", "manager-token").await.0, 404);
    assert_eq!(ask("event=noteAdded", "user-token").await.0, 403);
}

#[tokio::test]
async fn who_follows_is_for_managers() {
    let desk = Desk::new();
    let path = format!("/api/v1/tickets/{}", record(&desk).await);
    let show = async |token: &str| {
        let (_, _, body) = desk.ask(request(&Method::GET, &path, Some(token))).await;
        let detail = serde_json::from_slice::<TicketDetail>(&body).unwrap();
        let told = detail.events.iter().filter(|event| event.event.starts_with("watcher")).count();
        (detail.watchers.into_iter().map(|watcher| watcher.who).collect::<Vec<_>>(), told)
    };
    let agent = USERS[0].0;
    let watcher = format!("{path}/watchers/{agent}");
    let put = async |token| desk.status(request(&Method::PUT, &watcher, Some(token))).await;
    assert_eq!(put("user-token").await, 403);
    assert_eq!(put("manager-token").await, 200);
    for token in ["viewer-token", "user-token"] {
        assert_eq!(show(token).await, (vec![], 0), "{token}");
    }
    assert_eq!(show("manager-token").await, (vec![agent.to_owned()], 1));
    let delete = request(&Method::DELETE, &watcher, Some("user-token"));
    assert_eq!(desk.status(delete).await, 403);
}

#[tokio::test]
async fn what_strangers_sent_is_never_shown_by_a_browser() {
    let desk = Desk::new();
    let number = record(&desk).await;
    let path = format!("/api/v1/tickets/{number}");
    let (_, _, body) = desk.ask(request(&Method::GET, &path, Some("viewer-token"))).await;
    let detail: TicketDetail = serde_json::from_slice(&body).unwrap();
    let article = &detail.articles[0];
    assert_eq!(article.attachments[0].name, "page.html");
    let raw = format!("{path}/articles/{}/raw", article.id);
    let part = format!("{path}/articles/{}/attachments/0", article.id);
    assert_eq!(article.message_id, None, "a viewer sees no Message-ID");
    assert_eq!(desk.status(request(&Method::GET, &raw, Some("viewer-token"))).await, 403);
    assert_eq!(desk.status(request(&Method::GET, &raw, Some("user-token"))).await, 403);
    for (path, token, content_type, expected) in [
        (raw, "manager-token", "message/rfc822", MAIL),
        (part, "viewer-token", "application/octet-stream", "<script>alert(1)</script>"),
    ] {
        let (status, headers, body) = desk.ask(request(&Method::GET, &path, Some(token))).await;
        assert_eq!(status, 200, "{path}");
        assert_eq!(headers["content-type"], content_type);
        assert!(headers["content-disposition"].starts_with("attachment;"));
        assert!(headers["content-security-policy"].contains("sandbox"));
        assert_eq!(String::from_utf8(body).unwrap().trim_end(), expected.trim_end());
    }
    let other = "/api/v1/tickets/2026112210000018/articles/1/raw";
    assert_eq!(desk.status(request(&Method::GET, other, Some("manager-token"))).await, 404);
}

/// Serves a desk on a free port of this machine.
pub async fn listening(desk: &Desk) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let local = LocalToken::create(desk.folder.path()).unwrap();
    let serving = tokio::spawn(serve(listener, desk.handle.clone(), local, stop.clone()));
    (address, stop, serving)
}

/// Everything the daemon sends until it closes the connection.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A reset instead of an end is fine: the connection is closed.
    let _ = stream.read_to_end(&mut all).await;
    String::from_utf8(all).unwrap()
}

// Time stands still but jumps to the next timer whenever everybody waits.
#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_let_go() {
    let desk = Desk::new();
    let (address, _stop, _serving) = listening(&desk).await;
    for begin in ["", "GET /metrics HT", "GET /metrics HTTP/1.1\r\nhost: a\r\nx"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        let said = until_closed(&mut stream).await;
        assert!(!said.contains("200 OK"), "{said}");
    }
    // Also who said something once.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /-/ready HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let began = tokio::time::Instant::now();
    assert!(until_closed(&mut stream).await.contains("200 OK"));
    assert!(began.elapsed() <= Duration::from_secs(READ_TIMEOUT_SECS + 1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_not_waited_for() {
    let desk = Desk::new();
    let (address, _stop, _serving) = listening(&desk).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST /api/v1/tickets/1/notes HTTP/1.1\r\nhost: a\r\nauthorization: Bearer user-token\r\n\
                content-type: application/json\r\ncontent-length: 100\r\n\r\n{\"te";
    stream.write_all(head.as_bytes()).await.unwrap();
    let said = until_closed(&mut stream).await;
    assert!(!said.contains("200 OK") && said.starts_with("HTTP/1.1 4"), "{said}");
}

#[tokio::test]
async fn huge_and_broken_headers_are_refused() {
    let desk = Desk::new();
    let (address, stop, serving) = listening(&desk).await;
    let many: String = (0..1000).map(|number| format!("x{number}: 1\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    let both = "content-length: 5\r\ntransfer-encoding: chunked, identity\r\n";
    for extra in [many.as_str(), &long, "broken\r\n", both] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /metrics HTTP/1.1\r\nhost: a\r\n{extra}\r\n");
        // The daemon may close before all of it is written.
        let _ = stream.write_all(request.as_bytes()).await;
        let said = until_closed(&mut stream).await;
        assert!(!said.contains("200 OK"), "{said}");
    }
    stop.cancel();
    serving.await.unwrap();
}

/// Runs the real program against a desk that listens.
async fn command(desk: &Desk, address: SocketAddr, arguments: &[&str]) -> (Option<i32>, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_postroom"))
        .args(arguments)
        .env_clear()
        .env("POSTROOM_URL", format!("http://{address}"))
        .env("POSTROOM_DATA", desk.folder.path())
        .output();
    let output = output.await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn the_commands_speak_with_the_daemon() {
    let desk = Desk::new();
    let (address, stop, serving) = listening(&desk).await;
    let copy = desk.folder.path().join("copy");
    let copy = copy.to_str().unwrap();
    for (arguments, exit, expected) in [
        (vec!["status"], 0, "revision 0123456789ab"),
        (vec!["status", "--format", "json"], 0, "\"ready\": true"),
        (vec!["tickets", "ls", "--state", "open"], 0, "none"),
        (vec!["tickets", "ls", "--state", "opne"], 1, "is not a state"),
        (vec!["tickets", "show", "../status"], 1, "there is no ticket"),
        (vec!["mails", "ls"], 0, "none"),
        (vec!["mails", "show", "7"], 1, "there is no mail 7"),
        (vec!["outbox", "ls", "--state", "dead"], 0, "none"),
        (vec!["outbox", "drop", "7"], 1, "there is no owed mail 7"),
        (vec!["quarantine", "ls"], 0, "none"),
        (vec!["quarantine", "release", "7"], 1, "there is no quarantined mail 7"),
        (vec!["store", "backup", copy], 0, "copied the store"),
        (vec!["store", "verify", "--data", copy], 0, "everything holds together"),
        (vec!["mails", "ls", "--token", "wrong"], 1, "unknown, disabled or expired"),
    ] {
        let (code, said) = command(&desk, address, &arguments).await;
        assert_eq!(code, Some(exit), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    stop.cancel();
    serving.await.unwrap();
    assert!(!desk.folder.path().join(LOCAL_TOKEN_FILE).exists());
}

/// Asks for JSON as a manager.
pub async fn json(desk: &Desk, method: Method, path: &str, body: &str) -> (u16, serde_json::Value) {
    let mut asked = request(&method, path, Some("manager-token"));
    *asked.body_mut() = Body::from(body.to_owned());
    let (status, _, body) = desk.ask(asked).await;
    (status.as_u16(), serde_json::from_slice(&body).unwrap())
}

/// Articles of a ticket.
fn articles(desk: &Desk, number: &str) -> usize {
    desk.handle.store.ticket(number).unwrap().unwrap().articles.len()
}

#[tokio::test]
async fn a_request_with_a_key_has_one_effect() {
    let desk = Desk::new();
    let number = record(&desk).await;
    let path = format!("/api/v1/tickets/{number}/notes");
    let note = async |token: &str, key: &str, text: &str| {
        let mut asked = request(&Method::POST, &path, Some(token));
        asked.headers_mut().insert("idempotency-key", key.parse().unwrap());
        *asked.body_mut() = Body::from(format!("{{\"text\": \"{text}\"}}"));
        let (status, _, body) = desk.ask(asked).await;
        (status.as_u16(), body)
    };
    let (status, first) = note("user-token", "k1", "look").await;
    assert_eq!((status, articles(&desk, &number)), (200, 2));
    // In between somebody changes the ticket: the answer stays what it was.
    let (status, _) = note("user-token", "k2", "look").await;
    assert_eq!((status, articles(&desk, &number)), (200, 3));
    for key in ["k1", "\"k1\"", " k1"] {
        assert_eq!(note("user-token", key, "look").await, (200, first.clone()), "{key}");
    }
    assert_eq!(articles(&desk, &number), 3);
    // Another request with the key, and another caller with it.
    assert_eq!(note("user-token", "k1", "look again").await.0, 422);
    assert_eq!(note("admin-token", "k1", "look").await.0, 200);
    assert_eq!(articles(&desk, &number), 4);
    for key in ["", "\"\"", &"k".repeat(256)] {
        assert_eq!(note("user-token", key, "look").await.0, 400, "{key}");
    }
    // Twenty at once are one.
    let many = (0..20).map(|_| note("user-token", "k3", "all at once"));
    let answers = futures_util::future::join_all(many).await;
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == 200));
    assert_eq!(articles(&desk, &number), 5);
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let desk = Desk::new();
    let number = record(&desk).await;
    let once = Once { key: digest(b"key"), request: digest(b"request") };
    let note = || Command::Note {
        subject: String::new(),
        text: "look".into(),
        visible_for_customer: false,
    };
    let start = Timestamp::now();
    let ask = async |hours: i64| {
        let (config, store) = (desk.handle.running.load().config.clone(), &desk.handle.store);
        let (actor, now) = (Actor::System, start + SignedDuration::from_hours(hours));
        store
            .command_once(config, &number, vec![note()], actor, now, Some(once.clone()))
            .await
            .unwrap();
        articles(&desk, &number)
    };
    assert_eq!((ask(0).await, ask(23).await), (2, 2));
    assert_eq!((ask(24).await, ask(25).await), (3, 3), "it counts from the last effect");
    let clean = desk.handle.store.clean(start + SignedDuration::from_hours(49)).await.unwrap();
    assert!(clean >= 2, "both answers are gone");
    assert!(desk.handle.store.verify().unwrap().is_empty());
}

fn digest(bytes: &[u8]) -> mail::Digest {
    mail::Digest::of(bytes)
}

const PEOPLE: &str = "version: 1
smtp:
  files: {type: file, directory: out}
senders:
  default: {from: desk@desk.example, via: [files]}
users:
  alice: {email: alice@desk.example, role: user, subscriptions: {queues: [Raw], events: [ticketCreated]}}
";

#[tokio::test]
async fn what_a_ticket_rings_and_owes() {
    let desk = Desk::new();
    let loaded = postroom::config::load_saved(&[("people.yaml".into(), PEOPLE.into())]);
    let mut config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems));
    config.api_tokens = self::config().api_tokens;
    let mut running = (**desk.handle.running.load()).clone();
    running.config = Arc::new(config);
    desk.handle.running.store(Arc::new(running));
    let number = record(&desk).await;

    let list = "/api/v1/notifications?user=alice";
    let (status, page) = json(&desk, Method::GET, list, "").await;
    assert_eq!(status, 200, "{page}");
    let bell = &page["items"][0];
    assert_eq!(bell["event"], "ticketCreated");
    assert_eq!(bell["ticket"], number.as_str());
    assert_eq!(bell["read"], false);
    let read = format!("{{\"user\": \"alice\", \"upTo\": {}}}", bell["id"]);
    assert_eq!(json(&desk, Method::POST, "/api/v1/notifications/read", &read).await.0, 200);
    let (_, page) = json(&desk, Method::GET, list, "").await;
    assert_eq!(page["items"][0]["read"], true);
    let nobody = json(&desk, Method::GET, "/api/v1/notifications?user=bob", "").await;
    assert_eq!((nobody.0, &nobody.1["detail"]), (404, &"there is no user \"bob\"".into()));

    let (status, page) = json(&desk, Method::GET, "/api/v1/outbox", "").await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(page["items"][0]["ticket"], number.as_str());
    let id = page["items"][0]["id"].as_u64().unwrap();
    let (_, dropped) = json(&desk, Method::DELETE, &format!("/api/v1/outbox/{id}"), "").await;
    assert_eq!((&dropped["state"], &dropped["ticket"]), (&"dead".into(), &number.into()));
}

/// OpenAPI 3.1: what the specification requires of the parts that we use.
#[test]
fn the_openapi_document_has_the_required_shape() {
    let document = postroom::http::openapi_document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(path.starts_with('/'), "{path}");
        let in_braces: Vec<&str> =
            path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        for (method, operation) in item.as_object().unwrap() {
            let here = format!("{method} {path}");
            assert!(["get", "put", "post", "delete", "patch"].contains(&method.as_str()), "{here}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{here}");
            let none = Vec::new();
            let parameters = operation["parameters"].as_array().unwrap_or(&none);
            let named = |place: &str| -> Vec<&str> {
                let there = parameters.iter().filter(|it| it["in"] == place);
                there.map(|it| it["name"].as_str().unwrap()).collect()
            };
            assert_eq!(named("path"), in_braces, "{here}");
            let places = ["path", "query", "header"];
            let all: usize = places.iter().map(|place| named(place).len()).sum();
            assert_eq!(all, parameters.len(), "{here}");
            for parameter in parameters {
                let needed = parameter["in"] != "path" || parameter["required"] == true;
                assert!(needed && parameter["schema"].is_object(), "{here}: {parameter}");
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(status == "default" || status.parse::<u16>().is_ok(), "{here}: {status}");
                assert!(response["description"].is_string(), "{here}: {status}");
                media_types(&here, &response["content"]);
            }
            if let Some(body) = operation.get("requestBody") {
                assert!(!body["content"].as_object().unwrap().is_empty(), "{here}");
                media_types(&here, &body["content"]);
            }
            for scheme in operation["security"].as_array().unwrap_or(&none) {
                let name = scheme.as_object().unwrap().keys().next().unwrap();
                assert!(document["components"]["securitySchemes"][name].is_object(), "{here}");
            }
        }
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        assert!(name.chars().all(plain), "{name} is no name of a component");
    }
}

fn media_types(here: &str, content: &serde_json::Value) {
    for (media_type, value) in content.as_object().into_iter().flatten() {
        // `true` is the schema of any value (JSON Schema 2020-12 section 4.3.2).
        let schema = value["schema"].is_object() || value["schema"] == true;
        assert!(media_type.contains('/') && schema, "{here}: {media_type}");
    }
}

#[test]
fn the_page_is_current() {
    check_page("docs/api.md", &routes::documentation());
}
