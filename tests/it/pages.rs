//! The page for people against the real router and a real store, in this process: who may see
//! what, signing in and out, and what a browser is told to do with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use postroom::core::config::{
    Config, Language, Oidc, Role, SecretRef, Switch, Text, TlsOptions, User,
};
use postroom::http::Peer;
use postroom::http::routes::{self, Access, Route};
use postroom::http::session::{IDLE, LIFETIME, SEEN_EVERY, Token};
use postroom::password;
use postroom::run::clock::Clock;
use postroom::run::daemon::Running;
use postroom::store::Session;
use secrecy::SecretString;
use tower::ServiceExt;

use crate::http::{Desk, USERS, request, sample};

const HOST: &str = "127.0.0.1:8025";
const PASSWORD: &str = "correct horse battery";

/// What a browser keeps of a session, and what its forms carry.
pub struct Signed {
    pub cookie: String,
    pub csrf: String,
}

impl Signed {
    /// A session of this user, as if he had just signed in.
    pub async fn of(desk: &Desk, user: &str) -> Signed {
        Signed::with(desk, user, "").await
    }

    async fn with(desk: &Desk, user: &str, proof: &str) -> Signed {
        let config = desk.handle.running.load().config.clone();
        let role = routes::role_name(config.users[user].role).to_owned();
        let now = desk.handle.clock.now();
        let session =
            Session { user: user.into(), role, proof: proof.into(), began: now, seen: now };
        let token = Token::new().unwrap();
        desk.handle.store.begin_session(token.key(), session).await.unwrap();
        Signed { cookie: token.cookie(false), csrf: token.csrf() }
    }
}

/// A request as a browser makes it: of a page, or with a form.
fn browse(method: &Method, path: &str, cookie: Option<&str>, form: &str) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, HOST)
        .extension(Peer("192.0.2.7:1234".parse().unwrap()));
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    if *method == Method::POST {
        request = request
            .header(header::ORIGIN, format!("http://{HOST}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    request.body(Body::from(form.to_owned())).unwrap()
}

pub fn get(path: &str, cookie: Option<&str>) -> Request<Body> {
    browse(&Method::GET, path, cookie, "")
}

pub fn post(path: &str, cookie: Option<&str>, form: &str) -> Request<Body> {
    browse(&Method::POST, path, cookie, form)
}

fn with(mut request: Request<Body>, name: header::HeaderName, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn pages() -> impl Iterator<Item = (Route, Option<Role>)> {
    routes::all().into_iter().filter_map(|route| match route.access {
        Access::Page(needed) => Some((route, needed)),
        Access::Open | Access::AdminOrLoopback | Access::Role(_) => None,
    })
}

/// What somebody is told who has no session.
fn turned_away(method: &Method) -> u16 {
    if *method == Method::GET { 303 } else { 401 }
}

#[tokio::test]
async fn every_page_with_every_role() {
    let mut desk = Desk::new();
    let answering = desk.answer_reloads();
    let mut walked = 0;
    for (route, needed) in pages() {
        let (method, path) = (&route.method, sample(&route));
        let asked = format!("{method} {path}");
        let nobody = format!("postroom={}", "0".repeat(64));
        let without = desk.status(browse(method, &path, None, "")).await;
        let wrong = desk.status(browse(method, &path, Some(&nobody), "csrf=")).await;
        match needed {
            Some(_) => {
                let away = turned_away(method);
                assert_eq!((without, wrong), (away, away), "{asked}");
            }
            None => assert!(without != 303 && without < 500, "{asked} answers {without}"),
        }
        for (name, role) in USERS {
            // Each time a new one: the page may have been the one that signs out.
            let signed = Signed::of(&desk, name).await;
            let form = format!("csrf={}", signed.csrf);
            let status = desk.status(browse(method, &path, Some(&signed.cookie), &form)).await;
            let allowed = needed.is_none_or(|needed| role >= needed);
            assert_eq!(status != 403, allowed, "{asked} as {name} answers {status}");
            // Open pages may refuse a wrong password, no other page asks who it is.
            assert!(needed.is_none() || status != 401, "{asked} as {name} answers {status}");
            assert!(status < 500, "{asked} as {name} answers {status}");
            walked += 1;
        }
    }
    assert!(walked >= 4 * 7, "only {walked} pages were walked");
    answering.abort();
}

#[tokio::test]
async fn every_form_needs_the_token_of_its_session() {
    let desk = Desk::new();
    let signed = Signed::of(&desk, "adam").await;
    let other = Signed::of(&desk, "adam").await;
    for (route, _) in
        pages().filter(|(route, needed)| route.method == Method::POST && needed.is_some())
    {
        let path = sample(&route);
        for csrf in ["", &other.csrf, &signed.csrf.to_uppercase()] {
            let form = format!("csrf={csrf}");
            let status = desk.status(post(&path, Some(&signed.cookie), &form)).await;
            assert_eq!(status, 403, "POST {path} with the token {csrf:?}");
        }
        let json = post(&path, Some(&signed.cookie), "{}");
        let json = with(json, header::CONTENT_TYPE, "application/json");
        assert_eq!(desk.status(json).await, 415, "POST {path} with JSON");
        let text = post(&path, Some(&signed.cookie), &format!("csrf={}", signed.csrf));
        let text = with(text, header::CONTENT_TYPE, "text/plain");
        assert_eq!(desk.status(text).await, 415, "POST {path} with plain text");
    }
    assert_eq!(desk.status(get("/me", Some(&signed.cookie))).await, 200, "nothing was done");
}

#[tokio::test]
async fn no_page_of_another_host_sends_a_form() {
    let desk = Desk::new();
    for (route, _) in pages().filter(|(route, _)| route.method == Method::POST) {
        let path = sample(&route);
        for origin in ["https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost"]
        {
            let signed = Signed::of(&desk, "adam").await;
            let form = format!("csrf={}", signed.csrf);
            let foreign = post(&path, Some(&signed.cookie), &form);
            let foreign = with(foreign, header::ORIGIN, origin);
            assert_eq!(desk.status(foreign).await, 403, "POST {path} from {origin}");
        }
    }
}

#[tokio::test]
async fn no_page_is_served_under_a_name_of_somebody_else() {
    let desk = Desk::new();
    for (route, _) in pages() {
        let (method, path) = (&route.method, sample(&route));
        let signed = Signed::of(&desk, "adam").await;
        let form = format!("csrf={}", signed.csrf);
        for host in
            ["evil.example", "evil.example:8025", "localhost.evil.example", "desk.example:1"]
        {
            let rebound = browse(method, &path, Some(&signed.cookie), &form);
            let mut rebound = with(rebound, header::HOST, host);
            rebound.headers_mut().remove(header::ORIGIN);
            assert_eq!(desk.status(rebound).await, 421, "{method} {path} at {host}");
        }
    }
    for host in ["localhost:8025", "[::1]:8025", "10.1.2.3", "desk.example"] {
        let status = desk.status(with(get("/sign-in", None), header::HOST, host)).await;
        assert_eq!(status, 200, "{host}");
    }
}

#[tokio::test]
async fn cookies_open_pages_and_tokens_open_the_interface() {
    let desk = Desk::new();
    let signed = Signed::of(&desk, "adam").await;
    for route in routes::all() {
        let path = sample(&route);
        match route.access {
            Access::Role(_) | Access::AdminOrLoopback => {
                let mut asked = request(&route.method, &path, None);
                asked.headers_mut().insert(header::COOKIE, signed.cookie.parse().unwrap());
                assert_eq!(desk.status(asked).await, 401, "{} {path} by cookie", route.method);
            }
            Access::Page(Some(_)) => {
                let asked = browse(&route.method, &path, None, "");
                let asked = with(asked, header::AUTHORIZATION, "Bearer admin-token");
                let away = turned_away(&route.method);
                assert_eq!(desk.status(asked).await, away, "{} {path} by token", route.method);
            }
            Access::Open | Access::Page(None) => {}
        }
    }
}

#[tokio::test]
async fn every_page_tells_the_browser_to_be_strict() {
    let desk = Desk::new();
    let signed = Signed::of(&desk, "adam").await;
    for (route, _) in pages().filter(|(route, _)| route.method == Method::GET) {
        let path = sample(&route);
        for cookie in [None, Some(signed.cookie.as_str())] {
            let (_, headers, body) = desk.ask(get(&path, cookie)).await;
            let policy = &headers["content-security-policy"];
            for part in ["default-src 'none'", "frame-ancestors 'none'"] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{path}: {policy}");
            assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
            assert_eq!(headers["x-frame-options"], "DENY", "{path}");
            assert!(body.len() < 60_000, "{path} weighs {} bytes", body.len());
            let text = String::from_utf8_lossy(&body);
            if headers.get("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
                for word in [" style=", "<style", " onclick=", "javascript:", "src=\"http"] {
                    assert!(!text.contains(word), "{path} contains {word}");
                }
                assert_eq!(headers["cache-control"], "no-store", "{path}");
            }
        }
    }
}

#[tokio::test]
async fn files_of_the_page_are_kept_by_the_browser() {
    let desk = Desk::new();
    let (_, _, page) = desk.ask(get("/sign-in", None)).await;
    let page = String::from_utf8(page).unwrap();
    let mut weight = page.len();
    for kind in ["style.css", "script.js", "icon.svg"] {
        let end = page.find(kind).unwrap() + kind.len();
        let begin = page[..end].rfind("/assets/").unwrap();
        let path = &page[begin..end];
        let (status, headers, body) = desk.ask(get(path, None)).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(headers["cache-control"].contains("immutable"));
        weight += body.len();
        let again = with(get(path, None), header::IF_NONE_MATCH, &headers["etag"]);
        let (status, _, body) = desk.ask(again).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
    }
    assert!(weight < 60_000, "the page and its files weigh {weight} bytes");
    assert_eq!(desk.status(get("/assets/000000000000-style.css", None)).await, 404);
    assert_eq!(desk.status(get("/assets/css", None)).await, 404);
}

/// A desk on which everybody has [`PASSWORD`], and whose clock stands still.
struct Entrance {
    desk: Desk,
}

impl Entrance {
    fn new() -> Entrance {
        let desk = Desk::with_clock(Clock::standing_at("2026-11-25T09:00:00Z".parse().unwrap()));
        let hash = password::hash(&SecretString::from(PASSWORD)).unwrap();
        let file = desk.folder.path().join("hash");
        std::fs::write(&file, hash + "\n").unwrap();
        let entrance = Entrance { desk };
        entrance.change(|config| {
            for user in config.users.values_mut() {
                user.password_hash = Some(SecretRef::File(file.clone()));
            }
        });
        entrance
    }

    /// Applies another revision.
    fn change(&self, change: impl FnOnce(&mut Config)) {
        let running = self.desk.handle.running.load_full();
        let mut config = Config::clone(&running.config);
        change(&mut config);
        let running = Running { config: Arc::new(config), ..Running::clone(&running) };
        self.desk.handle.running.store(Arc::new(running));
    }

    fn change_user(&self, name: &str, change: impl FnOnce(&mut User)) {
        self.change(|config| change(config.users.get_mut(name).unwrap()));
    }

    fn turn(&self, by: SignedDuration) {
        self.desk.handle.clock.turn(by);
    }

    async fn attempt(&self, name: &str, password: &str) -> (u16, BTreeMap<String, String>, String) {
        let form = format!("name={name}&password={}&next=/me", password.replace(' ', "+"));
        let (status, headers, body) = self.desk.ask(post("/sign-in", None, &form)).await;
        (status.as_u16(), headers, String::from_utf8(body).unwrap())
    }

    /// Signs in and answers with the cookie.
    async fn sign_in(&self, name: &str) -> String {
        let (status, headers, body) = self.attempt(name, PASSWORD).await;
        assert_eq!((status, headers["location"].as_str()), (303, "/me"), "{body}");
        let cookie = &headers["set-cookie"];
        assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }

    async fn is_in(&self, cookie: &str) -> bool {
        match self.desk.status(get("/me", Some(cookie))).await {
            200 => true,
            303 => false,
            status => panic!("/me answers {status}"),
        }
    }

    /// The token in the forms of a session, read from its page.
    async fn csrf(&self, cookie: &str) -> String {
        let (_, _, body) = self.desk.ask(get("/me", Some(cookie))).await;
        let body = String::from_utf8(body).unwrap();
        let begin = body.find("name=\"csrf\" value=\"").unwrap() + 19;
        body[begin..begin + 64].to_owned()
    }
}

#[tokio::test]
async fn signing_in_by_name_and_by_address() {
    let entrance = Entrance::new();
    for name in ["ulla", "Ulla%40Agents.test"] {
        let cookie = entrance.sign_in(name).await;
        let (_, _, body) = entrance.desk.ask(get("/me", Some(&cookie))).await;
        assert!(String::from_utf8(body).unwrap().contains("ulla@agents.test"));
    }
}

#[tokio::test]
async fn whoever_is_refused_learns_nothing() {
    let entrance = Entrance::new();
    entrance.change_user("mona", |mona| mona.password_hash = None);
    entrance.change_user("vera", |vera| vera.state = Switch::Disabled);
    entrance.change_user("adam", |adam| {
        adam.password_hash = Some(SecretRef::File("/nonexistent/hash".into()));
    });
    let mut answers = Vec::new();
    for name in ["ulla", "mona", "vera", "adam", "zzzz"] {
        let password = if name == "ulla" { "wrong horse battery" } else { PASSWORD };
        let (status, headers, body) = entrance.attempt(name, password).await;
        assert_eq!(status, 401, "{name}");
        assert!(!headers.contains_key("set-cookie"));
        assert!(!body.contains(password) && !body.contains("nonexistent"), "{name}");
        answers.push(body.replace(name, ""));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

/// Wrong passwords for one name from one place that cost nothing.
const FREE: usize = 10;

#[tokio::test]
async fn guessing_is_slowed_even_for_the_right_password() {
    let entrance = Entrance::new();
    for _ in 0..FREE {
        assert_eq!(entrance.attempt("ulla", "wrong horse").await.0, 401);
    }
    let (status, headers, body) = entrance.attempt("ulla", PASSWORD).await;
    assert_eq!((status, headers["retry-after"].as_str()), (429, "1"), "{body}");
    entrance.turn(SignedDuration::from_secs(1));
    entrance.sign_in("ulla").await;
}

#[tokio::test]
async fn the_user_is_counted_and_not_the_spelling() {
    let entrance = Entrance::new();
    // Each from another address, so that the addresses do not make anybody wait.
    let spellings = ["ulla", "ULLA", "+ulla", "u+l+l+a", "%EF%BD%95lla", "Ulla%40Agents.test"];
    let ask = async |number: usize, name: &str| {
        let mut asked = post("/sign-in", None, &format!("name={name}&password=wrong"));
        let peer = format!("198.51.100.{number}:80");
        asked.extensions_mut().insert(Peer(peer.parse().unwrap()));
        entrance.desk.status(asked).await
    };
    for number in 0..20 {
        assert_eq!(ask(number, spellings[number % spellings.len()]).await, 401, "{number}");
    }
    for (number, name) in spellings.iter().enumerate() {
        assert_eq!(ask(100 + number, name).await, 429, "{name}");
    }
    assert_eq!(ask(200, "mona").await, 401, "another user");
}

#[tokio::test]
async fn a_guesser_locks_nobody_out_of_a_browser_that_they_have_used() {
    let entrance = Entrance::new();
    let form = format!("name=ulla&password={}&next=/me", PASSWORD.replace(' ', "+"));
    let response = entrance.desk.router.clone().oneshot(post("/sign-in", None, &form)).await;
    let response = response.unwrap();
    let cookies = response.headers().get_all(header::SET_COOKIE).iter();
    let cookies: Vec<&str> = cookies.map(|cookie| cookie.to_str().unwrap()).collect();
    let device = cookies.iter().find(|cookie| cookie.starts_with("postroom-device-")).unwrap();
    assert!(device.contains("; HttpOnly; SameSite=Lax"), "{device}");
    let device = device.split(';').next().unwrap().to_owned();
    // Somebody else at the same address guesses until everybody there has to wait.
    while entrance.attempt("ulla", "wrong horse").await.0 != 429 {}
    let sign_in = async |cookie: Option<&str>, form: &str| {
        let (status, headers, _) = entrance.desk.ask(post("/sign-in", cookie, form)).await;
        (status.as_u16(), headers)
    };
    assert_eq!(sign_in(None, &form).await.0, 429, "a stranger waits");
    let (status, headers) = sign_in(Some(&device), &form).await;
    assert_eq!(status, 303, "a browser that is known does not: {headers:?}");
    // It opens no page, serves no other user and is slowed for its own failures.
    assert!(!entrance.is_in(&device).await);
    let mona = form.replace("ulla", "mona");
    assert_eq!(sign_in(Some(&device), &mona).await.0, 429);
    let wrong = "name=ulla&password=wrong";
    while sign_in(Some(&device), wrong).await.0 != 429 {}
    assert_eq!(sign_in(Some(&device), &form).await.0, 429);
    entrance.turn(SignedDuration::from_secs(60));
    assert_eq!(sign_in(Some(&device), &form).await.0, 303);
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_is_slowed_for_himself() {
    let entrance = Entrance::new();
    let ask = async |proxy: &str, client: &str, password: &str| {
        let form = format!("name=ulla&password={}", password.replace(' ', "+"));
        let mut request = post("/sign-in", None, &form);
        request.extensions_mut().insert(Peer(proxy.parse().unwrap()));
        let field = header::HeaderName::from_static("x-forwarded-for");
        let (status, _, _) = entrance.desk.ask(with(request, field, client)).await;
        status.as_u16()
    };
    // The desk of this test trusts 10.0.0.0/8.
    for _ in 0..=FREE {
        ask("10.1.1.1:80", "198.51.100.7", "wrong").await;
    }
    assert_eq!(ask("10.1.1.1:80", "198.51.100.7", PASSWORD).await, 429);
    assert_eq!(
        ask("10.1.1.1:80", "203.0.113.9, 198.51.100.7", PASSWORD).await,
        429,
        "his own words"
    );
    assert_eq!(ask("10.1.1.1:80", "203.0.113.9", PASSWORD).await, 303);
    // Whoever makes a client up is not limited by address, but the user is.
    for client in 1..=20 {
        ask("192.0.2.9:80", &format!("203.0.113.{client}"), "wrong").await;
    }
    assert_eq!(ask("192.0.2.9:80", "203.0.113.77", PASSWORD).await, 429);
}

#[tokio::test]
async fn an_undeclared_proxy_is_reported_and_locks_nobody_out() {
    let entrance = Entrance::new();
    let ask = async |client: &str, name: &str, password: &str| {
        let form = format!("name={name}&password={}", password.replace(' ', "+"));
        let mut request = post("/sign-in", None, &form);
        request.extensions_mut().insert(Peer("192.0.2.9:80".parse().unwrap()));
        let field = header::HeaderName::from_static("x-forwarded-for");
        entrance.desk.status(with(request, field, client)).await
    };
    let warnings = async || {
        let (status, _, body) =
            entrance.desk.ask(request(&Method::GET, "/api/v1/status", Some("viewer-token"))).await;
        assert_eq!(status, StatusCode::OK);
        let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
        status["warnings"].to_string()
    };
    assert_eq!(warnings().await, "[]");
    for _ in 0..=FREE {
        ask("203.0.113.9", "nobody", "wrong").await;
    }
    assert_eq!(ask("203.0.113.9", "ulla", PASSWORD).await, 429, "the guesser");
    assert_eq!(ask("203.0.113.7", "ulla", PASSWORD).await, 303, "somebody else behind the proxy");
    let said = warnings().await;
    assert!(said.contains("come from 192.0.2.9, not under --trusted-proxies"), "{said}");
}

#[tokio::test]
async fn a_session_ends_in_every_way_it_should() {
    let entrance = Entrance::new();
    let desk = &entrance.desk;

    let cookie = entrance.sign_in("ulla").await;
    entrance.turn(IDLE - SignedDuration::from_secs(1));
    assert!(entrance.is_in(&cookie).await, "used just in time, and seen");
    entrance.turn(IDLE - SignedDuration::from_secs(1));
    assert!(entrance.is_in(&cookie).await);
    entrance.turn(IDLE);
    assert!(!entrance.is_in(&cookie).await, "idle for too long");

    let cookie = entrance.sign_in("ulla").await;
    for _ in 0..(LIFETIME.as_hours() / 8) {
        assert!(entrance.is_in(&cookie).await);
        entrance.turn(SignedDuration::from_hours(8));
    }
    assert!(!entrance.is_in(&cookie).await, "too old, however much it was used");

    let cookie = entrance.sign_in("ulla").await;
    entrance.change_user("ulla", |ulla| ulla.role = Role::Manager);
    assert!(!entrance.is_in(&cookie).await, "another role");
    entrance.change_user("ulla", |ulla| ulla.role = Role::User);
    assert!(!entrance.is_in(&cookie).await, "what has ended stays ended");

    let cookie = entrance.sign_in("ulla").await;
    entrance.change_user("ulla", |ulla| ulla.state = Switch::Disabled);
    assert!(!entrance.is_in(&cookie).await, "disabled");
    entrance.change_user("ulla", |ulla| ulla.state = Switch::Enabled);

    let provider = |issuer: &str| Oidc {
        issuer: issuer.into(),
        name: "Corp".into(),
        client_id: Text::Plain("desk".into()),
        client_secret: None,
        scopes: vec!["openid".into()],
        user_claim: None,
        allow_private: false,
        tls: TlsOptions::default(),
    };
    entrance.change(|config| config.sign_in.oidc = Some(provider("https://a.example")));
    let signed = Signed::with(desk, "ulla", "oidc:https://a.example").await;
    entrance.turn(SEEN_EVERY);
    assert!(entrance.is_in(&signed.cookie).await, "the provider is declared");
    entrance.change(|config| config.sign_in.oidc = Some(provider("https://b.example")));
    entrance.turn(SEEN_EVERY);
    assert!(!entrance.is_in(&signed.cookie).await, "another provider");

    let cookie = entrance.sign_in("ulla").await;
    let hash = password::hash(&SecretString::from("another horse")).unwrap();
    std::fs::write(desk.folder.path().join("hash"), hash).unwrap();
    entrance.turn(SEEN_EVERY);
    assert!(!entrance.is_in(&cookie).await, "another password");
}

#[tokio::test]
async fn signing_out_here_and_everywhere() {
    let entrance = Entrance::new();
    let [one, two, three, other] = [
        entrance.sign_in("ulla").await,
        entrance.sign_in("ulla").await,
        entrance.sign_in("ulla").await,
        entrance.sign_in("mona").await,
    ];
    let form = format!("csrf={}", entrance.csrf(&one).await);
    let (status, headers, _) = entrance.desk.ask(post("/sign-out", Some(&one), &form)).await;
    assert_eq!((status.as_u16(), headers["location"].as_str()), (303, "/sign-in?said=signedOut"));
    assert!(headers["set-cookie"].contains("Max-Age=0"));
    assert!(!entrance.is_in(&one).await && entrance.is_in(&two).await);
    let form = format!("csrf={}", entrance.csrf(&two).await);
    entrance.desk.ask(post("/sign-out/everywhere", Some(&two), &form)).await;
    assert!(!entrance.is_in(&two).await && !entrance.is_in(&three).await);
    assert!(entrance.is_in(&other).await, "others stay");
}

#[tokio::test]
async fn a_planted_cookie_is_not_the_session_that_begins() {
    let entrance = Entrance::new();
    let planted = entrance.sign_in("vera").await;
    let form = format!("name=ulla&password={}&next=/me", PASSWORD.replace(' ', "+"));
    let (status, headers, _) = entrance.desk.ask(post("/sign-in", Some(&planted), &form)).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let own = headers["set-cookie"].split(';').next().unwrap();
    assert_ne!(own, planted);
    let who = async |cookie: &str| {
        let (_, _, body) = entrance.desk.ask(get("/me", Some(cookie))).await;
        let body = String::from_utf8(body).unwrap();
        (body.contains("vera@"), body.contains("ulla@"))
    };
    assert_eq!((who(&planted).await, who(own).await), ((true, false), (false, true)));
    // A value of one's own choice begins nothing either.
    let chosen = format!("postroom={}", "a".repeat(64));
    let (_, headers, _) = entrance.desk.ask(post("/sign-in", Some(&chosen), &form)).await;
    assert!(!headers["set-cookie"].starts_with(&chosen));
    assert!(!entrance.is_in(&chosen).await);
}

#[tokio::test]
async fn the_browser_keeps_a_secure_cookie_where_there_is_https() {
    let entrance = Entrance::new();
    let form = format!("name=ulla&password={}", PASSWORD.replace(' ', "+"));
    let asked = with(post("/sign-in", None, &form), header::HOST, "desk.example");
    let asked = with(asked, header::ORIGIN, "https://desk.example");
    let (_, headers, _) = entrance.desk.ask(asked).await;
    let cookie = &headers["set-cookie"];
    assert!(cookie.starts_with("__Host-postroom=") && cookie.ends_with("; Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let asked = with(get("/me", Some(cookie)), header::HOST, "desk.example");
    assert_eq!(entrance.desk.status(asked).await, 200);
    let stolen = cookie.replace("__Host-", "");
    let asked = with(get("/me", Some(&stolen)), header::HOST, "desk.example");
    assert_eq!(entrance.desk.status(asked).await, 303, "the plain cookie does not count here");
}

#[tokio::test]
async fn the_cookie_is_secure_where_a_trusted_proxy_was_reached_over_https() {
    let entrance = Entrance::new();
    let scheme = header::HeaderName::from_static("x-forwarded-proto");
    let cookie = async |peer: &str, said: &str| {
        let form = format!("name=ulla&password={}", PASSWORD.replace(' ', "+"));
        let mut asked = with(post("/sign-in", None, &form), scheme.clone(), said);
        asked.extensions_mut().insert(Peer(peer.parse().unwrap()));
        let (status, headers, _) = entrance.desk.ask(asked).await;
        assert_eq!(status, StatusCode::SEE_OTHER);
        headers["set-cookie"].clone()
    };
    // The desk of this test trusts 10.0.0.0/8.
    let secure = cookie("10.1.1.1:80", "https").await;
    assert!(secure.starts_with("__Host-postroom=") && secure.ends_with("; Secure"), "{secure}");
    for (peer, said) in [("10.1.1.1:80", "http"), ("192.0.2.9:80", "https")] {
        let plain = cookie(peer, said).await;
        assert!(plain.starts_with("postroom=") && !plain.contains("Secure"), "{plain}");
    }
}

#[tokio::test]
async fn the_store_cannot_be_signed_in_with() {
    let entrance = Entrance::new();
    let cookie = entrance.sign_in("ulla").await;
    let value = cookie.split('=').nth(1).unwrap();
    let stored = std::fs::read(entrance.desk.folder.path().join("postroom.redb")).unwrap();
    for secret in [value, PASSWORD] {
        assert!(!stored.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
    }
}

#[tokio::test]
async fn a_session_survives_a_restart() {
    let entrance = Entrance::new();
    let cookie = entrance.sign_in("ulla").await;
    let token = cookie.split('=').nth(1).unwrap();
    let key = {
        use sha2::Digest;
        postroom::store::SessionKey(sha2::Sha256::digest(token.as_bytes()).into())
    };
    let Entrance { desk } = entrance;
    desk.handle.store.close().await;
    let folder = desk.folder;
    drop(desk.router);
    let store = postroom::store::Store::open(folder.path()).unwrap();
    assert_eq!(store.session(&key).unwrap().unwrap().user, "ulla");
    assert!(store.verify().unwrap().is_empty());
    let old = "2027-01-25T09:00:00Z".parse::<Timestamp>().unwrap();
    store.clean(old).await.unwrap();
    assert_eq!(store.session(&key).unwrap(), None, "old ones go");
}

#[tokio::test]
async fn pages_speak_the_language_of_their_reader() {
    let entrance = Entrance::new();
    let japanese = with(get("/sign-in", None), header::ACCEPT_LANGUAGE, "ja,en;q=0.5");
    let (_, _, body) = entrance.desk.ask(japanese).await;
    let body = String::from_utf8(body).unwrap();
    assert!(body.contains("<html lang=\"ja\">") && body.contains("サインイン"));
    entrance.change_user("ulla", |ulla| ulla.language = Language::Ja);
    let cookie = entrance.sign_in("ulla").await;
    let (_, _, body) = entrance.desk.ask(get("/", Some(&cookie))).await;
    assert!(String::from_utf8(body).unwrap().contains("チケット"));
}

#[tokio::test]
async fn whoever_signs_in_comes_to_what_was_wanted() {
    let entrance = Entrance::new();
    let (_, headers, _) = entrance.desk.ask(get("/me?a=b", None)).await;
    assert_eq!(headers["location"], "/sign-in?next=%2Fme%3Fa%3Db");
    let (_, _, body) = entrance.desk.ask(get(&headers["location"], None)).await;
    assert!(String::from_utf8(body).unwrap().contains("value=\"/me?a=b\""));
    let form = format!("name=ulla&password={}&next=//evil.example", PASSWORD.replace(' ', "+"));
    let (_, headers, _) = entrance.desk.ask(post("/sign-in", None, &form)).await;
    assert_eq!(headers["location"], "/");
}

#[tokio::test]
async fn problems_of_pages_are_pages() {
    let desk = Desk::new();
    let signed = Signed::of(&desk, "vera").await;
    let (status, headers, body) = desk.ask(post("/sign-out", Some(&signed.cookie), "csrf=")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(headers["content-type"].starts_with("text/html"));
    let body = String::from_utf8(body).unwrap();
    assert!(body.contains("out of date") && body.contains("VERA"), "{body}");
}
