//! Canaries in every secret field of the real program, at its most talkative: whatever goes wrong,
//! none of them is ever seen again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use base64::Engine;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::daemon::{deliver, until};
use crate::process::{Program, ask};
use crate::server::certificates::{Authority, Issued};
use crate::server::echo::Echo;
use crate::server::graph::{StandIn, TOKEN as ACCESS, refusal};
use crate::server::issuer::Issuer;
use crate::server::{Behaviour, Server, imap, pop3, say};
use crate::sink::{Do, Script, Sink};
use postroom::core::config::Security;

const BY_ENV: &str = "CANARY-by-env-5ea1";
const BY_FILE: &str = "CANARY-by-file-0b7d";
const BY_NAME: &str = "CANARY-by-name-93c4";
const SMTP: &str = "CANARY-smtp-77f0";
const CLIENT: &str = "CANARY-client-e21b";
const TOKEN: &str = "CANARY-token-4d9a-and-long-enough";
const SEAL: &str = "CANARY-seal-07bc-0123456789abcdef0123";
const OIDC: &str = "CANARY-oidc-2f6e";
const HOOK: &str = "CANARY-hook-c3d8-0123456789abcdef";
const PASSWORD: &str = "CANARY-password-6b11";
const CODE: &str = "CANARY-code-9ab4";
/// What a browser is sent back with from the OpenID provider.
const OIDC_CODE: &str = "CANARY-oidc-code-51f9";
/// A refresh token of the token server of ours begins so.
const REFRESH: &str = "CANARY-refresh-";
/// In the address of a chat room, which lets anybody write there.
const ROOM: &str = "CANARY-room-a86d";
/// In a file that is to be a key and is none.
const BROKEN_KEY: &str = "CANARY-key-f00b";
/// What people type where it does not belong: into a query, into YAML.
const MISPLACED: &str = "CANARY-misplaced-18aa";

const ALL: [&str; 17] = [
    BY_ENV, BY_FILE, BY_NAME, SMTP, CLIENT, TOKEN, MISPLACED, SEAL, OIDC, HOOK, PASSWORD, CODE,
    OIDC_CODE, REFRESH, ACCESS, ROOM, BROKEN_KEY,
];

/// Values of texts that may be references: they are no secrets, and a server that cannot be reached
/// is named. What shows the files shows the reference, though, as it is written there.
const USERNAME: &str = "canary-username-2b7e";
const HOST: &str = "127.41.77.93";
const CLIENT_ID: &str = "canary-client-id-d05c";

/// The certificate with which we prove who we are; its key is as secret as a password.
static OURS: LazyLock<Issued> = LazyLock::new(|| Authority::new().issue(&["desk"], 2099));

/// A line in the middle of our key.
fn key_line() -> &'static str {
    OURS.key.lines().nth(1).expect("a key has more than its frame")
}

/// Everything a password may look like on its way.
fn forms(canary: &str) -> Vec<String> {
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    vec![
        canary.to_owned(),
        encode(canary),
        encode(&format!("\0desk\0{canary}")),
        encode(&format!("desk:{canary}")),
        encode(&format!("user=desk\x01auth=Bearer {canary}\x01\x01")),
    ]
}

#[track_caller]
fn check(what: &str, seen: &[u8]) {
    let text = String::from_utf8_lossy(seen);
    for canary in ALL.into_iter().chain([key_line()]) {
        for form in forms(canary) {
            let found = text.find(&form).map(|at| {
                let from = text[..at].char_indices().rev().nth(200).map_or(0, |(at, _)| at);
                &text[from..at + form.len()]
            });
            assert_eq!(found, None, "{what} shows a secret");
        }
    }
}

/// What shows the files says where a text is found, and not what it is.
#[track_caller]
fn check_of_files(what: &str, seen: &[u8]) {
    check(what, seen);
    let text = String::from_utf8_lossy(seen);
    for value in [USERNAME, HOST, CLIENT_ID] {
        assert!(!text.contains(value), "{what} shows {value}, which is written as a reference");
    }
}

/// Every file beneath a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().flatten();
    let found = entries.flat_map(|entry| match entry.path() {
        path if path.is_dir() => files(&path),
        path => vec![path],
    });
    found.collect()
}

/// Servers that take the password and throw it back.
struct Servers {
    well: Server,
    no: Server,
    bad: Server,
    pop: Server,
    certificate: Server,
    smtp: Sink,
    /// Takes access tokens, and refuses this one.
    bearer: Sink,
    /// Token endpoint that refuses, OpenID provider, webhook.
    echo: Echo,
    /// Token endpoint that gives.
    issuer: Issuer,
    /// Does not take the token, and says which.
    graph: StandIn,
    authority: Authority,
}

impl Servers {
    async fn start() -> Servers {
        let strange = Authority::new().issue(&["localhost"], 2099);
        let imap_no = format!("%T NO [AUTHENTICATIONFAILED] wrong password {BY_FILE}\r\n");
        let imap_bad = format!("%T BAD unknown command: LOGIN \"name\" \"{BY_NAME}\"\r\n");
        let answer = |behaviour: Behaviour, command, text: &str| behaviour.but(command, say(text));
        let encoded: &'static str = format!("535 5.7.8 not {SMTP} nor {}", forms(SMTP)[2]).leak();
        let script = Script {
            security: Security::StartTls,
            offers: vec!["8BITMIME", "AUTH PLAIN LOGIN"],
            rules: vec![("AUTH", Do::Say(encoded))],
            ..Script::default()
        };
        let encoded: &'static str = format!("535 5.7.8 not {}", forms(ACCESS)[4]).leak();
        let bearing = Script {
            security: Security::Tls,
            offers: vec!["8BITMIME", "AUTH XOAUTH2"],
            rules: vec![("AUTH", Do::Say(encoded))],
            ..Script::default()
        };
        let authority = Authority::new();
        let graph = StandIn::start(authority.issue(&["localhost"], 2099).server()).await;
        graph.trouble("/mailFolders", refusal(401, &format!("NotThis{ACCESS}")), usize::MAX);
        Servers {
            well: imap::proper().start().await,
            no: answer(imap::proper(), "LOGIN", &imap_no).start().await,
            bad: answer(imap::proper(), "LOGIN", &imap_bad).start().await,
            pop: answer(pop3::proper(), "PASS", &format!("-ERR not {BY_FILE}\r\n")).start().await,
            certificate: imap::proper().with_tls(strange.server(), true).start().await,
            smtp: Sink::start(script).await,
            bearer: Sink::start(bearing).await,
            echo: Echo::start().await,
            issuer: Issuer::start(2, true).await,
            graph,
            authority,
        }
    }

    fn yaml(&self) -> String {
        let sha256: String =
            Sha256::digest(TOKEN).iter().map(|byte| format!("{byte:02x}")).collect();
        let after = "dispatch: {by: recipient}, since: all, afterFetch: keep, pollInterval: 1s";
        format!(
            r#"version: 1
signIn: {{oidc: {{issuer: "http://127.0.0.1:{echo}", clientId: desk, clientSecret: {{secret: oidc}}, allowPrivate: true}}}}
users:
  alice: {{email: alice@desk.example, role: admin, passwordHash: {{secret: hash}}}}
webhooks:
  chat: {{url: {{secret: room}}, secret: {{secret: hook}}, allowPrivate: true}}
  odd: {{url: {{secret: odd-room}}, secret: {{secret: hook}}, allowPrivate: true}}
mailAccounts:
  cloud: {{type: imapoauth2, host: localhost, port: 1, username: cloud, oauth2Profile: cloud, {after}}}
  person: {{type: imapoauth2, host: localhost, port: 1, username: person, oauth2Profile: person, {after}}}
  signed: {{type: graph, host: localhost, port: {graph}, username: desk@example.com, oauth2Profile: signed, tls: {{ca: "{{dir}}/ca.pem", clientCert: "{{dir}}/ours.pem", clientKey: "{{dir}}/ours.key"}}, {after}}}
  robot: {{type: imapoauth2, host: {{secret: host}}, port: 1, username: {{secret: username}}, oauth2Profile: robot, {after}}}
  key: {{type: imaps, host: localhost, port: {}, username: key, password: {{secret: imap}}, tls: {{clientCert: "{{dir}}/ours.pem", clientKey: "{{dir}}/broken.key"}}, {after}}}
  healthy: {{type: maildir, path: "{{dir}}/mail", maxSize: 1KiB, oversize: quarantine, {after}}}
  well: {{type: imap, host: localhost, port: {}, username: {{secret: username}}, password: {{env: CANARY_PASSWORD}}, idle: "off", {after}}}
  "no": {{type: imap, host: localhost, port: {}, username: refused, password: {{file: "{{dir}}/password"}}, {after}}}
  bad: {{type: imap, host: localhost, port: {}, username: bad, password: {{secret: imap}}, {after}}}
  pop: {{type: pop3, host: localhost, port: {}, username: pop, password: {{file: "{{dir}}/password"}}, {after}}}
  certificate: {{type: imaps, host: localhost, port: {}, username: certificate, password: {{secret: imap}}, {after}}}
smtp:
  relay: {{type: smtptls, host: 127.0.0.1, port: {}, auth: {{username: desk, password: {{secret: smtp}}}}, tls: {{ca: "{}", serverName: localhost}}}}
  bearer: {{type: smtps, host: 127.0.0.1, port: {}, auth: {{username: desk, oauth2Profile: signed}}, tls: {{ca: "{}", serverName: localhost}}}}
senders:
  default: {{from: "Desk <desk@desk.example>", via: [relay, bearer]}}
oauth2:
  sealKey: {{secret: seal}}
  providers:
    cloud: {{authUrl: "http://127.0.0.1:{echo}/authorize", tokenUrl: "http://127.0.0.1:{echo}/token", allowPrivate: true, imap: {{host: imap.example, scopes: [mail]}}}}
{provider}  profiles:
    cloud: {{provider: cloud, clientId: desk, clientSecret: {{secret: client}}, grant: clientCredentials}}
    robot: {{provider: cloud, clientId: {{secret: id}}, clientSecret: {{secret: client}}, grant: clientCredentials}}
    person: {{provider: cloud, clientId: desk, clientSecret: {{secret: client}}, grant: authorizationCode}}
    signed: {{provider: p, clientId: desk, clientSecret: {{secret: client}}, grant: authorizationCode}}
queues:
  support: {{autoReplies: {{new: thanks}}}}
systemAddresses:
  support@desk.example: {{queue: support}}
autoReplies:
  thanks: {{from: support@desk.example, subject: {{en: Received}}, text: {{en: "Your number is {{{{ ticket.number }}}}."}}}}
apiTokens:
  ci: {{sha256: {sha256}, role: admin}}
"#,
            self.certificate.port,
            self.well.port,
            self.no.port,
            self.bad.port,
            self.pop.port,
            self.certificate.port,
            self.smtp.addr.port(),
            self.smtp.ca_path().display(),
            self.bearer.addr.port(),
            self.bearer.ca_path().display(),
            echo = self.echo.port,
            graph = self.graph.port,
            provider = self.issuer.provider(),
        )
    }
}

/// Files in which somebody wrote the secrets themselves, in every way that is refused.
fn literals(yaml: &str) -> Vec<String> {
    let instead = [
        format!("password: {MISPLACED}"),
        format!("password: \"{MISPLACED}"),
        format!("password: {{value: {MISPLACED}}}"),
        format!("password: {{env: {MISPLACED}, secret: {MISPLACED}}}"),
        format!("password: [{MISPLACED}]"),
        format!("password: {MISPLACED}, password: {MISPLACED}"),
    ];
    let mut all: Vec<String> =
        instead.iter().map(|text| yaml.replace("password: {secret: imap}", text)).collect();
    all.push(yaml.replace("clientSecret: {secret: client}", &format!("clientSecret: {MISPLACED}")));
    all.push(yaml.replace("password: {secret: smtp}", &format!("password: {MISPLACED}")));
    for (written, key) in [("{secret: seal}", "seal"), ("{secret: oidc}", "oidc")] {
        assert!(yaml.contains(written), "{key}");
        all.push(yaml.replacen(written, MISPLACED, 1));
    }
    for written in ["{secret: hook}", "{secret: hash}"] {
        all.push(yaml.replacen(written, MISPLACED, 1));
    }
    all.push(yaml.replace("  ci: {sha256: ", &format!("  ci: {{token: {MISPLACED}, sha256: ")));
    all.push(yaml.replace("  ci: {sha256: ", &format!("  ci: {{sha256: {MISPLACED}")));
    all
}

const MAIL: &str = "From: eve@customer.example\r\nTo: support@desk.example\r\nSubject: Hello\r\n\
                    Message-ID: <1@customer.example>\r\n\r\nHello\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_in_every_secret_field_is_never_seen_again() {
    let servers = Servers::start().await;
    let hash = hash();
    let folder = home(&servers, &hash);
    let yaml = servers.yaml();
    let variables = [("CANARY_PASSWORD", BY_ENV)];
    let program = Program::start_in(folder, &yaml, &variables).await;
    deliver(&program.path("mail"), "1", MAIL.as_bytes());
    let large = format!("{MAIL}{}", "Far too much.\r\n".repeat(100));
    deliver(&program.path("mail"), "2", large.as_bytes());

    // All that can go wrong with a server goes wrong.
    let status = until_all_failed(&program).await;
    assert!(servers.well.heard().plain.contains(BY_ENV), "the right server got its password");
    assert!(servers.certificate.heard().encrypted.is_empty());
    assert!(servers.smtp.lines().iter().any(|line| line.starts_with("AUTH")), "so did the relay");
    check("status", status.as_bytes());

    sign_ins(&program, &servers).await;
    pages(&program, &hash).await;

    // Files with secrets in them, for the running program and for the one who is asked.
    for (number, broken) in literals(&yaml).iter().enumerate() {
        assert_ne!(*broken, yaml, "variant {number} is another one");
        program.write(broken);
        let (status, answer) = ask(program.addr, "POST", "/-/reload", TOKEN, "").await;
        assert_eq!(status, 422, "variant {number}: {answer}");
        check("reload", answer.as_bytes());
        let (_, answer) = ask(program.addr, "POST", "/api/v1/check", TOKEN, broken).await;
        check("check over HTTP", answer.as_bytes());
        let (_, answer) = ask(program.addr, "GET", "/api/v1/status", TOKEN, "").await;
        check("status after a refusal", answer.as_bytes());
        for format in ["human", "json", "github"] {
            command(&program, &["check", "--format", format]);
        }
        command(&program, &["plan"]);
    }
    program.write(&yaml);

    every_answer(&program).await;
    let mail = program.path("mail.eml");
    fs::write(&mail, MAIL).unwrap();
    let mail = mail.display().to_string();
    command(&program, &["explain", &mail, "--account", "healthy"]);
    command(&program, &["check", "--strict"]);
    command(&program, &["plan", "--format", "json"]);
    for name in [
        "healthy",
        "well",
        "no",
        "bad",
        "pop",
        "certificate",
        "relay",
        "bearer",
        "cloud",
        "robot",
        "key",
        "person",
        "signed",
    ] {
        command(&program, &["probe", name]);
    }
    differences(&program, &yaml);
    for what in [
        &["status"][..],
        &["oauth", "status"],
        &["outbox", "ls", "--webhooks"],
        &["tickets", "ls"],
        &["mails", "ls"],
        &["outbox", "ls"],
    ] {
        asking(&program, what);
    }
    shown(&program).await;
    program.signal("TERM");
    until("the end of the program", || program.log().contains("stopping").then_some(())).await;

    let heard = servers.echo.heard();
    for (what, sent) in [("client secret", CLIENT), ("code", CODE), ("OpenID code", OIDC_CODE)] {
        let arrived = forms(sent).iter().any(|form| heard.contains(form));
        assert!(arrived, "the {what} was sent to whom it is for: {heard}");
    }
    assert!(heard.contains(&format!("POST /hook/{ROOM}")), "the webhook was told");
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{CLIENT_ID}:{CLIENT}"));
    assert!(heard.contains(&login), "the provider was told who asks");
    assert!(servers.well.heard().plain.contains(USERNAME), "the server was told who logs in");
    let token = &forms(ACCESS)[4];
    let given = servers.bearer.lines().iter().any(|line| line.contains(token));
    assert!(given, "the relay that takes tokens got one");
    assert!(servers.issuer.asked().iter().any(|grant| grant == "refresh_token"));
    let log = program.log();
    assert!(!log.contains(&hash), "the hash of a password is in the log");
    for told in [
        "login was refused",
        "could not set up TLS",
        "configuration refused",
        "\"cause\":\"auth\"",
        "broken.key",
        "could not ask what is no URL",
    ] {
        assert!(log.contains(told), "{told:?} was logged");
    }
    check("log", log.as_bytes());
    let files = files(&program.path("data"));
    assert!(!files.is_empty());
    for file in files {
        // The local token may have been removed in between.
        let bytes = fs::read(&file).unwrap_or_default();
        check(&file.display().to_string(), &bytes);
        assert!(!bytes.windows(hash.len()).any(|part| part == hash.as_bytes()), "{file:?}");
    }
}

/// Even a panic that says all that is at hand says no secret: the state keeps them apart.
#[cfg(feature = "faultpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_with_secrets_at_hand_shows_none() {
    for point in ["mailbox.at_hand", "smtp.at_hand", "oauth.at_hand", "webhooks.at_hand"] {
        let servers = Servers::start().await;
        let folder = home(&servers, &hash());
        let fault = format!("{point}=panic");
        let variables = [("CANARY_PASSWORD", BY_ENV), ("POSTROOM_FAULT", fault.as_str())];
        let program = Program::start_in(folder, &servers.yaml(), &variables).await;
        deliver(&program.path("mail"), "1", MAIL.as_bytes());
        if point == "oauth.at_hand" {
            sign_in(&program, "signed", "a-code", 200).await;
        }
        let panicked = format!("fault point {point}: ");
        until(&panicked, || program.log().contains(&panicked).then_some(())).await;
        // It is seen, and the desk goes on.
        let (status, answer) = ask(program.addr, "GET", "/api/v1/status", TOKEN, "").await;
        assert_eq!(status, 200);
        check("status", answer.as_bytes());
        let metrics = until_restarted(&program, point).await;
        check("metrics", metrics.as_bytes());
        asking(&program, &["oauth", "status"]);
        asking(&program, &["status"]);
        program.signal("TERM");
        until("the end of the program", || program.log().contains("stopping").then_some(())).await;
        check(point, program.log().as_bytes());
    }
}

/// Waits until a scrape tells that the worker was started again, where the point is in one that
/// ends by a panic.
#[cfg(feature = "faultpoints")]
async fn until_restarted(program: &Program, point: &str) -> String {
    let told = "postroom_worker_restarts_total{kind=\"poller\",reason=\"panicked\"} ";
    // As long as `until_all_failed` is patient.
    for _ in 0..200 {
        let (_, metrics) = ask(program.addr, "GET", "/metrics", "", "").await;
        if point != "mailbox.at_hand" || metrics.contains(told) {
            return metrics;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("no scrape told that the worker was started again after {point}");
}

async fn until_all_failed(program: &Program) -> String {
    for _ in 0..200 {
        let (_, metrics) = ask(program.addr, "GET", "/metrics", "", "").await;
        check("metrics", metrics.as_bytes());
        let failed = ["no", "bad", "pop", "certificate"]
            .iter()
            .all(|name| metrics.contains(&format!("postroom_account_up{{account=\"{name}\"}} 0")));
        let well = metrics.contains("postroom_account_up{account=\"well\"} 1");
        let tried = metrics.contains("postroom_outbox_attempts_total{");
        if failed && well && tried {
            return ask(program.addr, "GET", "/api/v1/status", TOKEN, "").await.1;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let (_, metrics) = ask(program.addr, "GET", "/metrics", "", "").await;
    let told =
        metrics.lines().filter(|line| line.contains("_up{") || line.contains("attempts_total"));
    panic!("the servers do not fail as they should: {:?}", told.collect::<Vec<_>>());
}

/// A folder with all secrets.
fn home(servers: &Servers, hash: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("secrets")).unwrap();
    servers.authority.write(folder.path());
    OURS.write(folder.path(), "ours");
    for (name, value) in [
        ("secrets/seal", SEAL),
        ("secrets/oidc", OIDC),
        ("secrets/hook", HOOK),
        ("secrets/hash", hash),
        ("secrets/room", &format!("http://127.0.0.1:{}/hook/{ROOM}", servers.echo.port)),
        // Without a scheme, as somebody may copy it.
        ("secrets/odd-room", &format!("127.0.0.1:{}/hook/{ROOM}", servers.echo.port)),
        ("secrets/username", USERNAME),
        ("secrets/host", HOST),
        ("secrets/id", CLIENT_ID),
        ("broken.key", &broken_key()),
        ("password", BY_FILE),
        ("secrets/imap", BY_NAME),
        ("secrets/smtp", SMTP),
        ("secrets/client", CLIENT),
    ] {
        fs::write(folder.path().join(name), value).unwrap();
    }
    folder
}

/// PEM by its frame, but not by what is in it.
fn broken_key() -> String {
    let frame = |edge: &str| format!("-----{edge} PRIVATE KEY-----");
    format!("{}\n{BROKEN_KEY}\n{}\n", frame("BEGIN"), frame("END"))
}

/// The hash of [`PASSWORD`], as the command makes it.
fn hash() -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postroom"));
    command.arg("password").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
    let output = child.wait_with_output().unwrap();
    check("password", &output.stdout);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What may be said in answer to a form or a call, with the cookies it sets.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    fn cookies(&self) -> String {
        let cookies = self.header("set-cookie");
        let pairs: Vec<&str> =
            cookies.iter().filter_map(|cookie| cookie.split(';').next()).collect();
        pairs.join("; ")
    }
}

/// Asks as a browser or a program does; what comes back shows no secret.
async fn say_to(program: &Program, method: &str, path: &str, more: &str, body: &str) -> Answer {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://{addr}\r\nConnection: close\r\n\
         {more}Content-Length: {}\r\n\r\n{body}",
        body.len(),
        addr = program.addr,
    );
    let mut stream = TcpStream::connect(program.addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    check(path, &answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn after<'a>(text: &'a str, start: &str, end: char) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}"));
    rest.split(end).next().unwrap()
}

/// Signs in for an account whose profile is named as it is, with this code.
async fn sign_in(program: &Program, account: &str, code: &str, status: u16) {
    sign_in_for(program, account, ("account", account), code, status).await;
}

/// Signs in with a profile for an account or an SMTP server.
async fn sign_in_for(
    program: &Program,
    profile: &str,
    (kind, name): (&str, &str),
    code: &str,
    status: u16,
) {
    let json = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
    let begin = format!(
        r#"{{"profile": "{profile}", "{kind}": "{name}", "redirect": "http://localhost:1/oauth2/callback"}}"#
    );
    let begun = say_to(program, "POST", "/api/v1/oauth/logins", &json, &begin).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    let state = after(&begun.body, "&state=", '&');
    let body = format!(r#"{{"state": "{state}", "code": "{code}"}}"#);
    let done = say_to(program, "POST", "/api/v1/oauth/codes", &json, &body).await;
    assert_eq!(done.status, status, "{}", done.body);
}

/// One sign-in at a provider that throws everything back, and one at a provider that gives tokens.
async fn sign_ins(program: &Program, servers: &Servers) {
    sign_in(program, "person", CODE, 409).await;
    sign_in(program, "signed", "a-code", 200).await;
    sign_in_for(program, "signed", ("smtp", "bearer"), "a-code", 200).await;
    until("a refresh", || {
        servers.issuer.asked().iter().any(|grant| grant == "refresh_token").then_some(())
    })
    .await;
    // At the page, with the OpenID provider: the browser comes back with a code.
    let away = say_to(program, "GET", "/sign-in/oidc?next=/", "", "").await;
    let to = away.header("location").join("");
    let state = after(&to, "state=", '&').to_owned();
    let cookie = format!("Cookie: {}\r\n", away.cookies());
    let back = format!("/sign-in/oidc/callback?code={OIDC_CODE}&state={state}");
    let refused = say_to(program, "GET", &back, &cookie, "").await;
    assert!(refused.status < 500, "{}", refused.body);
}

/// Every page that an administrator sees, and one of a sign-in that failed.
async fn pages(program: &Program, hash: &str) {
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let sign_in = |password: &str| format!("name=alice&password={password}&next=/");
    let wrong = say_to(program, "POST", "/sign-in", form, &sign_in(MISPLACED)).await;
    assert!(wrong.status >= 400, "{}", wrong.head);
    let right = say_to(program, "POST", "/sign-in", form, &sign_in(PASSWORD)).await;
    assert_eq!(right.status, 303, "{}\n{}", right.head, right.body);
    let cookie = format!("Cookie: {}\r\n", right.cookies());
    let accounts = say_to(program, "GET", "/accounts", &cookie, "").await;
    let csrf = after(&accounts.body, "name=\"csrf\" value=\"", '"');
    for path in ["/", "/me", "/accounts", "/config", "/mails", "/outbox", "/quarantine", "/bell"] {
        let page = say_to(program, "GET", path, &cookie, "").await;
        assert!([200, 303, 404].contains(&page.status), "{path}: {}", page.head);
        assert!(!page.body.contains(hash), "{path} shows the hash of a password");
        if path == "/config" {
            check_of_files(path, page.body.as_bytes());
        }
    }
    let form = format!("{cookie}{form}");
    for name in ["well", "no", "certificate", "cloud", "robot", "key", "person", "signed"] {
        let path = format!("/accounts/{name}/test");
        let tested = say_to(program, "POST", &path, &form, &format!("csrf={csrf}")).await;
        assert_eq!(tested.status, 200, "{path}: {}", tested.head);
    }
    for name in ["relay", "bearer"] {
        let path = format!("/servers/{name}/test");
        let tested = say_to(program, "POST", &path, &form, &format!("csrf={csrf}")).await;
        assert!(tested.status < 500, "{}", tested.head);
    }
}

/// What one ticket, one mail and one quarantined mail look like.
async fn shown(program: &Program) {
    let (_, tickets) = ask(program.addr, "GET", "/api/v1/tickets", TOKEN, "").await;
    let number = after(&tickets, "\"number\":\"", '"').to_owned();
    let (_, held) = ask(program.addr, "GET", "/api/v1/quarantine", TOKEN, "").await;
    let id = after(&held, "\"id\":", ',').to_owned();
    asking(program, &["quarantine", "ls"]);
    for format in ["human", "json"] {
        asking(program, &["tickets", "show", &number, "--format", format]);
        asking(program, &["mails", "show", "1", "--format", format]);
        asking(program, &["quarantine", "show", &id, "--format", format]);
    }
    asking(program, &["quarantine", "show", &id, "--raw"]);
}

/// Between files that differ in every place at which a secret or a reference may stand.
fn differences(program: &Program, yaml: &str) {
    let other = program.path("other");
    fs::create_dir(&other).unwrap();
    // As beside the running files: what they refer to lies there, too.
    let yaml = yaml.replace("{dir}", &program.folder.path().display().to_string());
    let elsewhere = yaml.replace("{secret: ", "{secret: another-");
    assert_ne!(elsewhere, yaml);
    fs::write(other.join("desk.yaml"), elsewhere).unwrap();
    fs::write(program.path("none.yaml"), "version: 1\n").unwrap();
    let [config, other, none] =
        ["config", "other", "none.yaml"].map(|name| program.path(name).display().to_string());
    for (before, after) in [(&config, &other), (&none, &config), (&config, &none)] {
        for format in ["human", "json", "markdown"] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_postroom"));
            command.args(["diff", before, after, "--format", format]);
            let seen = finish(command, &["diff"]);
            check_of_files("diff", &seen);
            assert!(String::from_utf8_lossy(&seen).contains("robot"), "{before} {after} differ");
        }
    }
}

async fn every_answer(program: &Program) {
    let (_, tickets) = ask(program.addr, "GET", "/api/v1/tickets", TOKEN, "").await;
    let number =
        tickets.split("\"number\":\"").nth(1).expect("a ticket").split('"').next().unwrap();
    let paths = [
        "/metrics",
        "/-/healthy",
        "/-/ready",
        "/api/v1/openapi.json",
        "/api/v1/status",
        "/api/v1/tickets",
        &format!("/api/v1/tickets/{number}"),
        "/api/v1/mails",
        "/api/v1/mails/1",
        "/api/v1/outbox",
        "/api/v1/quarantine",
        "/api/v1/config",
        "/api/v1/config/files",
        &format!("/api/v1/status?access_token={MISPLACED}"),
        &format!("/{MISPLACED}"),
    ];
    for path in paths {
        for token in [TOKEN, "", &format!("{TOKEN}x"), MISPLACED] {
            let (status, answer) = ask(program.addr, "GET", path, token, "").await;
            assert!(
                token != TOKEN || path.contains(MISPLACED) || status == 200,
                "{path}: {answer}"
            );
            if !path.contains(MISPLACED) {
                check(path, answer.as_bytes());
            }
            if path.contains("config") {
                check_of_files(path, answer.as_bytes());
            }
        }
    }
    let explain = "/api/v1/explain?account=healthy";
    let (status, answer) = ask(program.addr, "POST", explain, TOKEN, MAIL).await;
    assert_eq!(status, 200, "{answer}");
    check("explain over HTTP", answer.as_bytes());
}

/// A command on the files.
#[track_caller]
fn command(program: &Program, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postroom"));
    command.args(arguments).arg("-c").arg(program.path("config"));
    if arguments[0] == "plan" {
        command.args(["--url", &format!("http://{}", program.addr)]).env("POSTROOM_TOKEN", TOKEN);
    }
    command.env("POSTROOM_SECRETS_DIR", program.path("secrets"));
    let seen = finish(command, arguments);
    if arguments[0] != "probe" {
        check_of_files(&format!("{arguments:?}"), &seen);
    }
}

/// A command that asks the daemon.
#[track_caller]
fn asking(program: &Program, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postroom"));
    command.args(arguments).args(["--url", &format!("http://{}", program.addr)]);
    command.env("POSTROOM_TOKEN", TOKEN);
    finish(command, arguments);
}

#[track_caller]
fn finish(mut command: Command, arguments: &[&str]) -> Vec<u8> {
    let output = command.env("CANARY_PASSWORD", BY_ENV).output().unwrap();
    let all = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&all);
    assert!(output.status.code().is_some_and(|code| code < 64), "{arguments:?}: {text}");
    check(&format!("{arguments:?}"), &all);
    all
}
