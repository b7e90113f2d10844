//! OAuth2 against servers that others wrote: npm `oidc-provider`, a Dovecot that asks it about each
//! token, and Chromium for the person.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use postroom::core::config::{Login, Security, Source, Text};
use postroom::mailbox::{self, Fetched, MailboxError};
use postroom::run::backoff::FIRST_PAUSE_AFTER_LOGIN;
use postroom::secret::Secrets;
use secrecy::SecretString;

use crate::browser::Browser;
use crate::daemon::until;
use crate::issuer::{Introspecting, Issuer, browse};
use crate::listing::List;
use crate::peers::Dovecot;
use crate::process::{Program, ask};
use crate::server::{account, endpoint};
use crate::transport::run;

/// Whoever waits longer has found a fault.
const PATIENCE: Duration = Duration::from_secs(60);
/// Key that encrypts the tokens.
const SEAL: &str = "CANARY-seal-key-0123456789abcdef";

fn mail(number: usize) -> String {
    format!(
        "From: eve@customer.example\r\nTo: support@desk.example\r\nSubject: question {number}\r\n\
         Message-ID: <oauth-{number}@customer.example>\r\n\r\nWhere is my order {number}?\r\n"
    )
}

#[test]
fn both_mechanisms_over_imap_and_pop3() {
    run(async {
        let Some(issuer) = Issuer::start(&[]) else { return };
        for mechanism in ["xoauth2", "oauthbearer"] {
            let Some(Introspecting { dovecot, .. }) = &Introspecting::start(&issuer, mechanism, "")
            else {
                return;
            };
            dovecot.deliver("support@mail.test", mail(1).as_bytes());
            let token = issuer.token().await;
            let ca = dovecot.ca();
            let endpoint = |port, security| endpoint(port, security, Some(&ca));
            let ways = [
                imap(endpoint(dovecot.imaps, Security::Tls)),
                imap(endpoint(dovecot.imap, Security::StartTls)),
                pop3(endpoint(dovecot.pop3, Security::StartTls)),
                pop3(endpoint(dovecot.pop3s, Security::Tls)),
            ];
            for (way, source) in ways.into_iter().enumerate() {
                let account = account(source);
                let opened = mailbox::open(&account, &Secrets::default(), Some(&token)).await;
                let mut mailbox =
                    opened.unwrap_or_else(|error| panic!("{mechanism} {way}: {error}"));
                let listing = mailbox.list().await.unwrap();
                let fetched = mailbox.fetch(&listing.entries, 100_000).await.unwrap();
                assert!(matches!(&fetched[..], [Fetched::Mail(raw)] if raw == mail(1).as_bytes()));
                mailbox.close().await.unwrap();
                // One that is not of this server, and so long that it needs a step of its own.
                let foreign = SecretString::from("CANARY-foreign".repeat(200));
                let refused = mailbox::open(&account, &Secrets::default(), Some(&foreign)).await;
                let error = refused.err().unwrap();
                assert!(matches!(error, MailboxError::Login(_)), "{mechanism} {way}: {error}");
                assert!(!error.to_string().contains("CANARY"), "{error}");
            }
        }
    });
}

fn imap(endpoint: postroom::core::config::Endpoint) -> Source {
    Source::Imap { endpoint, login: token_login(), folder: "INBOX".into() }
}

fn pop3(endpoint: postroom::core::config::Endpoint) -> Source {
    Source::Pop3 { endpoint, login: token_login() }
}

fn token_login() -> Login {
    Login::OAuth2 {
        username: Text::Plain("support@mail.test".into()),
        profile: "robot".into(),
        mailbox: None,
    }
}

fn yaml(issuer: &Issuer, dovecot: Option<&Dovecot>) -> String {
    let port = |port: Option<u16>| port.unwrap_or(1);
    let (imaps, pop3) = (port(dovecot.map(|it| it.imaps)), port(dovecot.map(|it| it.pop3)));
    let tls = dovecot.map(|it| format!("tls: {{ca: {}}}, ", it.ca().display()));
    let rest = format!(
        "host: localhost, {}pollInterval: 1s, idle: \"off\", since: all, afterFetch: delete",
        tls.unwrap_or_default()
    );
    let pop_rest = rest.replace("idle: \"off\", ", "");
    format!(
        r#"version: 1
oauth2:
  sealKey: {{secret: seal}}
  providers:
    login:
      authUrl: "{url}/auth"
      tokenUrl: "{url}/token"
      deviceUrl: "{url}/device/auth"
      allowPrivate: true
      authParams: {{prompt: consent}}
      refreshTokenLife: 90d
      imap: {{scopes: [openid, offline_access, mail]}}
      pop3: {{scopes: [openid, offline_access, mail]}}
    robots:
      authUrl: "{url}/auth"
      tokenUrl: "{url}/token"
      clientAuth: post
      allowPrivate: true
      imap: {{scopes: [mail]}}
  profiles:
    person: {{provider: login, clientId: desk, clientSecret: {{secret: desk}}, grant: authorizationCode, secretExpires: 2099-06-30}}
    device: {{provider: login, clientId: public, grant: deviceCode}}
    robot: {{provider: robots, clientId: robot, clientSecret: {{secret: robot}}, grant: clientCredentials}}
mailAccounts:
  alice: {{type: imapoauth2, username: alice@mail.test, port: {imaps}, oauth2Profile: person, {rest}}}
  bob: {{type: pop3oauth2, username: bob@mail.test, port: {pop3}, oauth2Profile: device, {pop_rest}}}
  app: {{type: imapoauth2, username: support@mail.test, port: {imaps}, oauth2Profile: robot, {rest}}}
queues: {{Raw: {{}}}}
"#,
        url = issuer.url(""),
    )
}

/// A folder for the program with the secrets it needs.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    for (name, value) in [("desk", "CANARY-desk"), ("robot", "CANARY-robot"), ("seal", SEAL)] {
        std::fs::write(secrets.join(name), value).unwrap();
    }
    folder
}

/// `postroom` with these arguments, talking to a daemon.
fn command(addr: std::net::SocketAddr, data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postroom"));
    command.args(arguments);
    command.args(["--url", &format!("http://{addr}"), "--data"]).arg(data);
    command.stdin(Stdio::null());
    command
}

/// A command that waits for a person: what it printed until now, and how it ended.
struct Waiting {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Waiting {
    fn start(mut command: Command) -> Waiting {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said: Arc<Mutex<String>> = Arc::default();
        let into = said.clone();
        let mut out = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut piece = [0; 1024];
            while let Ok(count @ 1..) = out.read(&mut piece) {
                into.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..count]));
            }
        });
        Waiting { child, said }
    }

    /// The first word it printed that begins like this.
    async fn word(&self, start: &str) -> String {
        until(start, || {
            let said = self.said.lock().unwrap();
            let (complete, _) = said.rsplit_once("waiting")?;
            complete.split_whitespace().find(|word| word.starts_with(start)).map(str::to_owned)
        })
        .await
    }

    fn end(self) -> (Output, String) {
        let output = self.child.wait_with_output().unwrap();
        let said = self.said.lock().unwrap().clone();
        (output, said)
    }
}

async fn status(program: &Program) -> String {
    ask(program.addr, "GET", "/api/v1/status", &program.token(), "").await.1
}

async fn ticket_of(program: &Program, number: usize) {
    let began = Instant::now();
    loop {
        let (_, tickets) = ask(program.addr, "GET", "/api/v1/tickets", &program.token(), "").await;
        if tickets.contains(&format!("question {number}\"")) {
            return;
        }
        let late = began.elapsed() > SIGN_IN_PATIENCE;
        assert!(!late, "no ticket of mail {number}: {}\n{}", status(program).await, tail(program));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn tail(program: &Program) -> String {
    let log = program.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("postroom")).collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// No secret, code or token in anything that was said or stored.
fn check_secrets(issuer: &Issuer, program: &Program, more: &[String]) {
    let log = program.log();
    let secrets = issuer.secrets();
    for secret in secrets.iter().map(String::as_str).chain([SEAL]) {
        assert!(!log.contains(secret), "the log shows {}…", &secret[..6]);
        for text in more {
            assert!(!text.contains(secret), "{}… is shown", &secret[..6]);
        }
        let stored = std::fs::read(program.path("data/postroom.redb"));
        if let Ok(bytes) = stored {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "the store shows {}…", &secret[..6]);
        }
    }
}

/// A new token that a mail server refuses is a refused login first, which is retried after a pause.
/// On a busy machine a token of four seconds may end on its way to the server.
const SIGN_IN_PATIENCE: Duration = FIRST_PAUSE_AFTER_LOGIN.saturating_mul(2);

/// Until the desk says of both people that they must sign in.
async fn until_people_must_sign_in(program: &Program) {
    let began = Instant::now();
    let wanted = ["alice", "bob"].map(|name| {
        format!("postroom_oauth_sign_in_required{{kind=\"mailAccount\",name=\"{name}\"}} 1")
    });
    loop {
        let (_, metrics) = ask(program.addr, "GET", "/metrics", "", "").await;
        let told = status(program).await;
        if wanted.iter().all(|line| metrics.contains(line))
            && told.contains("ReauthorizationRequired")
        {
            return;
        }
        assert!(began.elapsed() < SIGN_IN_PATIENCE, "{told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What a scrape has while people are signed in: alerts and dashboard name it.
const MEASURED: [&str; 6] = [
    "access_token_expiry_timestamp_seconds{profile=\"person\"}",
    "client_secret_expiry_timestamp_seconds{profile=\"person\"}",
    "refresh_token_expiry_timestamp_seconds{kind=\"mailAccount\",name=\"alice\"}",
    "refresh_token_issued_timestamp_seconds{kind=\"mailAccount\",name=\"alice\"}",
    "refreshes_total{profile=\"person\",result=\"ok\"}",
    "sign_in_required{kind=\"mailAccount\",name=\"alice\"} 0",
];

/// Until one scrape has all of it: the clockwork looks at refresh tokens four times a minute.
async fn until_all_is_measured(program: &Program) {
    let began = Instant::now();
    loop {
        let (_, metrics) = ask(program.addr, "GET", "/metrics", "", "").await;
        let is_there = |series: &&&str| {
            let start = format!("postroom_oauth_{series}");
            metrics.lines().any(|line| line.starts_with(&start))
        };
        let missing: Vec<&&str> = MEASURED.iter().filter(|series| !is_there(series)).collect();
        if missing.is_empty() {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "a scrape lacks {missing:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A person with a browser, a person with another device, and a program alone; then their tokens
/// end and are replaced. `rotate`: whether each refresh takes the old refresh token away.
async fn life(rotate: bool, browser: Option<&Browser>) {
    let rotate = if rotate { "yes" } else { "no" };
    let Some(issuer) = Issuer::start(&[("ROTATE", rotate), ("TTL", "4")]) else { return };
    let peer = Introspecting::start(&issuer, "xoauth2 oauthbearer", "");
    let Some(Introspecting { dovecot, .. }) = &peer else { return };
    let front = Front::listen();
    let outside = [("POSTROOM_EXTERNAL_URL", front.url.as_str())];
    let program = Program::start_in(folder(), &yaml(&issuer, Some(dovecot)), &outside).await;
    front.hand_on_to(program.addr);
    let data = program.path("data");

    // Client credentials need nobody.
    dovecot.deliver("support@mail.test", mail(1).as_bytes());
    ticket_of(&program, 1).await;

    // The others say what to do, and the mail stays where it is.
    dovecot.deliver("alice@mail.test", mail(2).as_bytes());
    dovecot.deliver("bob@mail.test", mail(3).as_bytes());
    until_people_must_sign_in(&program).await;
    let told = status(&program).await;
    assert!(told.contains("postroom oauth login person --account alice"), "{told}");
    let stands = command(program.addr, &data, &["oauth", "status"]).output().unwrap();
    assert_eq!(stands.status.code(), Some(1));

    // Authorization code with PKCE; the browser comes back to the command.
    let login = Waiting::start(command(
        program.addr,
        &data,
        &["oauth", "login", "person", "--account", "alice", "--loopback"],
    ));
    let url = login.word("http").await;
    assert!(
        url.contains("code_challenge_method=S256") && !url.contains(&front.callback()),
        "{url}"
    );
    let page = visit(browser, &url).await;
    assert!(page.contains("Signed in"), "{page}");
    let (output, mut said) = login.end();
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    ticket_of(&program, 2).await;

    // Device code.
    let login = Waiting::start(command(
        program.addr,
        &data,
        &["oauth", "login", "device", "--account", "bob", "--device"],
    ));
    login.word("http").await;
    let code = until("a code", || {
        let said = login.said.lock().unwrap();
        let rest = said.split_once("type the code ")?.1;
        rest.split_once('\n').map(|(code, _)| code.to_owned())
    })
    .await;
    let approve = format!("/test/approve-device?user_code={code}&account=bob@mail.test");
    assert_eq!(issuer.post(&approve).await, "approved");
    let (output, more) = login.end();
    assert!(output.status.success(), "{more} {}", String::from_utf8_lossy(&output.stderr));
    said.push_str(&more);
    ticket_of(&program, 3).await;

    // Their tokens end after four seconds; mail goes on.
    let began = Instant::now();
    while issuer.answered("refresh_token", 200) < 4 {
        assert!(began.elapsed() < PATIENCE, "{}", tail(&program));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(issuer.answered("refresh_token", 400), 0);
    dovecot.deliver("alice@mail.test", mail(4).as_bytes());
    dovecot.deliver("bob@mail.test", mail(5).as_bytes());
    ticket_of(&program, 4).await;
    ticket_of(&program, 5).await;
    let stands = command(program.addr, &data, &["oauth", "status"]).output().unwrap();
    let stands = String::from_utf8_lossy(&stands.stdout).into_owned();
    assert!(stands.contains("authorizationCode") && !stands.contains("Reauth"), "{stands}");
    until_all_is_measured(&program).await;

    // The daemon tries an account with the tokens that it holds, for the interface and the command.
    for account in ["alice", "bob", "app"] {
        let path = format!("/api/v1/accounts/{account}/test");
        let (status, trial) = ask(program.addr, "POST", &path, &program.token(), "").await;
        assert!(status == 200 && trial.contains("\"works\":true"), "{account}: {trial}");
        assert!(trial.contains("discovery: profile "), "{account}: {trial}");
        let tried = command(program.addr, &data, &["probe", account, "--daemon"]).output().unwrap();
        let trial = String::from_utf8_lossy(&tried.stdout).into_owned();
        assert!(tried.status.success(), "{account}: {trial}");
        for step in ["discovery", "token     the provider gave", "login     with the access token"]
        {
            assert!(trial.contains(&format!("ok  {step}")), "{account}: {trial}");
        }
        said.push_str(&trial);
    }

    // The provider ends everything: the command to run is named, and the program alone goes on.
    issuer.post("/test/end").await;
    until_people_must_sign_in(&program).await;
    dovecot.deliver("support@mail.test", mail(6).as_bytes());
    ticket_of(&program, 6).await;
    // Asked once each, and once with the one before; then left alone.
    assert!(issuer.answered("refresh_token", 400) <= 4);

    // Once more with PKCE; this time the browser comes back to the daemon. What waited goes on.
    dovecot.deliver("alice@mail.test", mail(7).as_bytes());
    let again = ["oauth", "login", "person", "--account", "alice"];
    let login = Waiting::start(command(program.addr, &data, &again));
    let url = login.word("http").await;
    assert!(url.contains("code_challenge_method=S256") && url.contains(&front.callback()), "{url}");
    let page = visit(browser, &url).await;
    assert!(page.contains("Signed in"), "{page}");
    let (output, more) = login.end();
    assert!(output.status.success(), "{more} {}", String::from_utf8_lossy(&output.stderr));
    said.push_str(&more);
    ticket_of(&program, 7).await;

    let (_, metrics) = ask(program.addr, "GET", "/metrics", "", "").await;
    check_secrets(&issuer, &program, &[said, stands, status(&program).await, metrics]);
}

/// A person opens a page, in Chromium or in a browser of ours.
async fn visit(browser: Option<&Browser>, url: &str) -> String {
    match browser {
        Some(browser) => {
            browser.open(url);
            browser.text("body")
        }
        None => browse(url).await,
    }
}

/// What stands in front of a daemon, at an address that is known before the daemon starts.
struct Front {
    url: String,
    listener: TcpListener,
}

impl Front {
    fn listen() -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        Front { url, listener }
    }

    /// Hands on what comes to the daemon; in threads, as whoever drives a browser waits for it.
    fn hand_on_to(&self, daemon: std::net::SocketAddr) {
        let listener = self.listener.try_clone().unwrap();
        std::thread::spawn(move || {
            for outside in listener.incoming().flatten() {
                let inside = TcpStream::connect(daemon).unwrap();
                copy(&outside, &inside);
                copy(&inside, &outside);
            }
        });
    }

    /// As it stands in the query of a URL.
    fn callback(&self) -> String {
        postroom::net::http::percent_encoded(&format!("{}/oauth2/callback", self.url))
    }
}

/// Copies until the one end hangs up, and hangs up at the other.
fn copy(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}

/// The person reads a mailbox that is not the person's own: signed in as alice, opened as `shared`.
/// That alice may is for the provider to say; this one says so of a scope.
#[test]
fn a_shared_mailbox() {
    run(async {
        let Some(issuer) = Issuer::start(&[]) else { return };
        let peer = Introspecting::start(&issuer, "xoauth2 oauthbearer", "");
        let Some(Introspecting { dovecot, .. }) = &peer else { return };
        let yaml = yaml(&issuer, Some(dovecot));
        let (head, rest) = yaml.split_once("mailAccounts:\n").unwrap();
        let alice = rest.lines().find(|line| line.starts_with("  alice:")).unwrap();
        let shared = alice.replace("imapoauth2,", "imapoauth2, mailbox: shared@mail.test,");
        let head = head.replace("offline_access, mail]", "offline_access, mail, shared]");
        let yaml = format!("{head}mailAccounts:\n{shared}\nqueues: {{Raw: {{}}}}\n");
        let program = Program::start_in(folder(), &yaml, &[]).await;
        dovecot.deliver("shared@mail.test", mail(1).as_bytes());
        dovecot.deliver("alice@mail.test", mail(2).as_bytes());
        let again = ["oauth", "login", "person", "--account", "alice"];
        let login = Waiting::start(command(program.addr, &program.path("data"), &again));
        let url = login.word("http").await;
        assert!(url.contains("login_hint=alice%40mail.test"), "{url}");
        assert!(browse(&url).await.contains("Signed in"));
        assert!(login.end().0.status.success());
        ticket_of(&program, 1).await;
        until("an empty shared mailbox", || {
            (dovecot.count("shared@mail.test", "") == 0).then_some(())
        })
        .await;
        assert_eq!(dovecot.count("alice@mail.test", ""), 1, "the person's own is left alone");
    });
}

#[test]
fn sign_in_and_refresh_with_rotation() {
    run(async {
        if let Some(browser) = Browser::start() {
            life(true, Some(&browser)).await;
        }
    });
}

#[test]
fn sign_in_and_refresh_without_rotation() {
    run(life(false, None));
}

/// The program dies two hundred times while it refreshes, at a provider that takes everything away
/// if an old refresh token is shown. What is lost is lost between the answer and the commit.
#[test]
fn killed_while_refreshing() {
    run(async {
        let Some(issuer) = Issuer::start(&[("SAID", "0.2")]) else { return };
        let desk = Kills::new(&issuer);
        desk.sign_in().await;
        let answers = || issuer.answered("refresh_token", 200);
        let refusals = || issuer.answered("refresh_token", 400);
        let (mut lost, mut fates) = (0, Vec::new());
        // Whether the provider has given a token that is not committed, so that it may refuse. What it
        // was asked before a kill it may answer long after: then it is known a turn later.
        let mut given = false;
        for turn in 0..KILLS {
            let (answered, refused) = (answers(), refusals());
            let log = desk.die(Duration::from_micros(u64::from(turn as u32 % 40) * 500)).await;
            if refusals() > refused {
                given |= answers() > answered;
                lost += 1;
                assert!(given, "turn {turn}: lost for no reason\n{log}");
                desk.sign_in().await;
                given = false;
                continue;
            }
            let (new, kept) = (answers() - answered, log.matches("new token committed").count());
            let fate = match (new, kept) {
                (new, kept) if new > kept => Fate::Between,
                (_, 0) => Fate::Before,
                (_, _) => Fate::Committed,
            };
            given = match fate {
                Fate::Before => given,
                Fate::Between => true,
                Fate::Committed => false,
            };
            fates.push(fate);
        }
        let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count();
        let between = count(Fate::Between);
        println!(
            "{KILLS} kills: {} before the answer, {between} between answer and commit, \
             {} after the commit; {lost} sign-ins lost, each after a kill in between",
            count(Fate::Before),
            count(Fate::Committed),
        );
        assert!(count(Fate::Committed) > 0);
    });
}

const KILLS: usize = 200;

/// Where a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Before,
    Between,
    Committed,
}

/// A program that is started again and again in one folder.
struct Kills {
    folder: tempfile::TempDir,
}

impl Kills {
    fn new(issuer: &Issuer) -> Kills {
        let folder = folder();
        let all = yaml(issuer, None);
        let (head, rest) = all.split_once("mailAccounts:\n").unwrap();
        let alice = rest.lines().find(|line| line.starts_with("  alice:")).unwrap();
        let text = format!("{head}mailAccounts:\n{alice}\nqueues: {{Raw: {{}}}}\n");
        std::fs::write(folder.path().join("desk.yaml"), text).unwrap();
        Kills { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self) -> (Child, Arc<Mutex<String>>) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_postroom"))
            .args(["run", "--listen", "127.0.0.1:0", "--log", "info", "-c"])
            .arg(self.path("desk.yaml"))
            .arg("--data")
            .arg(self.path("data"))
            .arg("--secrets-dir")
            .arg(self.path("secrets"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said: Arc<Mutex<String>> = Arc::default();
        let (into, mut lines) = (said.clone(), BufReader::new(child.stderr.take().unwrap()));
        std::thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|count| count > 0) {
                into.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        (child, said)
    }

    /// Lets the program refresh once and kills it this long after it began to.
    async fn die(&self, after: Duration) -> String {
        let (mut child, said) = self.start();
        until("a refresh", || {
            said.lock().unwrap().contains("refresh token goes to the provider").then_some(())
        })
        .await;
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
        // What the provider was asked before the kill, it answers after it.
        tokio::time::sleep(Duration::from_millis(100)).await;
        said.lock().unwrap().clone()
    }

    /// Signs in through a program that lives, and ends it properly.
    async fn sign_in(&self) {
        let (mut child, said) = self.start();
        let addr = until("an address", || {
            let said = said.lock().unwrap();
            let (_, rest) = said.split_once("listening on http://")?;
            rest.split_whitespace().next()?.parse().ok()
        })
        .await;
        let arguments = ["oauth", "login", "person", "--account", "alice"];
        let login = Waiting::start(command(addr, &self.path("data"), &arguments));
        let page = browse(&login.word("http").await).await;
        assert!(page.contains("Signed in"), "{page}");
        assert!(login.end().0.status.success());
        let pid = child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        child.wait().unwrap();
    }
}
