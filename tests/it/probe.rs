//! `postroom probe`, word for word: each step of the way to real servers, and what it says of the one
//! that fails. `UPDATE=1 cargo test --test it probe` writes what is expected anew.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use postroom::core::config::Security;

use crate::issuer::{Introspecting, Issuer};
use crate::peers::Dovecot;
use crate::server::certificates::Authority;
use crate::server::graph::StandIn;
use crate::server::issuer::Issuer as TokenServer;
use crate::sink::{Do, Script, Sink};
use crate::transport::run;

/// Probes `box` as declared, and compares with the golden file of this name. `{dir}` is a folder with
/// secrets of all servers and another authority's `other.pem`.
#[track_caller]
fn check(case: &str, yaml: &str) {
    check_with(case, yaml, &[]);
}

/// The same with more options.
#[track_caller]
fn check_with(case: &str, yaml: &str, options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let secrets = [
        ("right", "pass"),
        ("wrong", "CANARY-wrong"),
        ("robot", "CANARY-robot"),
        ("npm", "right"),
        ("seal", "CANARY-seal-key-0123456789abcdef"),
    ];
    for (name, value) in secrets {
        std::fs::write(folder.path().join(name), value).unwrap();
    }
    Authority::new().write(folder.path());
    std::fs::rename(folder.path().join("ca.pem"), folder.path().join("other.pem")).unwrap();
    let path = folder.path().display().to_string();
    let yaml = format!("version: 1\n{}\n", yaml.replace("{dir}", &path));
    std::fs::write(folder.path().join("desk.yaml"), yaml).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_postroom"))
        .args(["probe", "box", "-c"])
        .arg(folder.path().join("desk.yaml"))
        .args(options)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!(
        "{}{}exit {}\n",
        text(&output.stdout),
        text(&output.stderr),
        output.status.code().unwrap()
    );
    assert!(!said.contains("CANARY"), "{said}");
    let said = without_ports(&said.replace(&path, "DIR"));
    let golden =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/probe/{case}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&golden, &said).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(said, expected, "{case}: rewrite it with UPDATE=1");
}

/// What differs from run to run, and from resolver to resolver, made the same.
fn without_ports(said: &str) -> String {
    let line = |line: &str| {
        let text = ["127.0.0.1:", "localhost:"].iter().fold(line.to_owned(), without_port);
        for unknown in ["has no address: ", "failed to lookup address information: "] {
            if let Some((start, _)) = text.split_once(unknown) {
                return format!("{start}{unknown}REASON\n");
            }
        }
        let text = match text.split_once("{pin: [\"") {
            Some((start, rest)) => {
                let end = rest.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == ':');
                format!("{start}{{pin: [\"FINGERPRINT{end}")
            }
            None => text,
        };
        // How long Dovecot took.
        text.split(" (0.").next().unwrap_or_default().to_owned() + "\n"
    };
    said.lines().map(line).collect()
}

fn without_port(line: String, host: &&str) -> String {
    let mut parts = line.split(host);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += &format!("{host}PORT{}", part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    text
}

fn account(kind: &str, port: u16, more: &str) -> String {
    format!(
        "mailAccounts: {{box: {{type: {kind}, host: 127.0.0.1, port: {port}, dispatch: {{by: recipient}}, \
         afterFetch: keep, connectTimeout: 20s, {more}}}}}"
    )
}

fn server(kind: &str, port: u16, more: &str) -> String {
    format!(
        "smtp: {{box: {{type: {kind}, host: 127.0.0.1, port: {port}, {more}}}}}\n\
         senders: {{default: {{from: desk@desk.example, via: [box]}}}}"
    )
}

/// A port at which nobody listens.
fn closed() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

const RIGHT: &str = "username: eve, password: {file: \"{dir}/right\"}";
const WRONG: &str = "username: eve, password: {file: \"{dir}/wrong\"}";

#[test]
fn name_and_tcp() {
    let yaml = account("imaps", 993, RIGHT).replace("host: 127.0.0.1", "host: nobody.invalid");
    check("unknown-host", &yaml);
    check("closed-port", &account("imaps", closed(), RIGHT));
    check("closed-port-smtp", &server("smtps", closed(), ""));
}

#[test]
fn accounts_at_dovecot() {
    let Some(dovecot) = Dovecot::start() else { return };
    dovecot.add_user("eve", "pass");
    dovecot.deliver("eve", b"Subject: one\r\n\r\nHello\r\n");
    let trusted = format!("tls: {{ca: \"{}\"}}", dovecot.ca().display());
    let with = |more: &str| format!("{more}, {trusted}");
    check("imaps", &account("imaps", dovecot.imaps, &with(RIGHT)));
    check("imaptls", &account("imaptls", dovecot.imap, &with(RIGHT)));
    check("imap", &account("imap", dovecot.imap, RIGHT));
    check("pop3s", &account("pop3s", dovecot.pop3s, &with(RIGHT)));
    check("pop3tls", &account("pop3tls", dovecot.pop3, &with(RIGHT)));
    let other = format!("{RIGHT}, tls: {{ca: \"{{dir}}/other.pem\"}}");
    check("wrong-authority", &account("imaps", dovecot.imaps, &other));
    check("wrong-authority-starttls", &account("pop3tls", dovecot.pop3, &other));
    let strange =
        format!("{RIGHT}, tls: {{ca: \"{}\", serverName: mx.example}}", dovecot.ca().display());
    check("wrong-name", &account("imaps", dovecot.imaps, &strange));
    check(
        "no-authority-file",
        &account("imaps", dovecot.imaps, &format!("{RIGHT}, tls: {{ca: \"{{dir}}/none.pem\"}}")),
    );
    check("plain-port-with-tls", &account("imaps", dovecot.imap, &with(RIGHT)));
    check("wrong-password", &account("imaps", dovecot.imaps, &with(WRONG)));
    check("wrong-password-starttls", &account("imaptls", dovecot.imap, &with(WRONG)));
    check(
        "missing-folder",
        &account("imaptls", dovecot.imap, &with(&format!("{RIGHT}, folder: Nowhere"))),
    );
    let no_secret = "username: eve, password: {file: \"{dir}/none\"}";
    check("missing-secret", &account("imaps", dovecot.imaps, &with(no_secret)));
}

#[test]
fn a_dovecot_without_starttls() {
    // As if somebody in between had taken the offer away.
    let Some(dovecot) = Dovecot::start_with("ssl = no\n") else { return };
    dovecot.add_user("eve", "pass");
    check("stripped-starttls", &account("imaptls", dovecot.imap, RIGHT));
    check("stripped-starttls-pop3", &account("pop3tls", dovecot.pop3, RIGHT));
}

fn oauth2(provider: &str, secret: &str) -> String {
    format!(
        "oauth2:\n  providers:\n{provider}  profiles:\n    \
         robot: {{provider: p, clientId: robot, clientSecret: {{file: \"{{dir}}/{secret}\"}}, grant: clientCredentials}}\n"
    )
}

#[test]
fn tokens_at_dovecot() {
    run(async {
        let Some(issuer) = Issuer::start(&[]) else { return };
        let Some(peer) = Introspecting::start(&issuer, "xoauth2", "") else { return };
        let dovecot = &peer.dovecot;
        let provider = format!(
            "    p: {{authUrl: \"{0}/auth\", tokenUrl: \"{0}/token\", clientAuth: post, allowPrivate: true, \
             imap: {{scopes: [mail]}}, pop3: {{scopes: [mail]}}}}\n",
            issuer.url("")
        );
        let more = |user: &str| {
            format!(
                "username: {user}, oauth2Profile: robot, tls: {{ca: \"{}\"}}",
                dovecot.ca().display()
            )
        };
        let right = oauth2(&provider, "robot");
        let imap = |user: &str| account("imapoauth2", dovecot.imaps, &more(user));
        check("token", &(right.clone() + &imap("support@mail.test")));
        let pop3 = account("pop3oauth2", dovecot.pop3, &more("support@mail.test"));
        check("token-pop3", &(right.clone() + &pop3));
        // A token of somebody else's.
        check("refused-token", &(right.clone() + &imap("alice@mail.test")));
        check("refused-client", &(oauth2(&provider, "wrong") + &imap("support@mail.test")));
        let public = right.replace("allowPrivate: true, ", "");
        check("private-provider", &(public + &imap("support@mail.test")));
        // The name of the provider is wrong, and nothing is asked.
        let nobody =
            right.replace(&format!("{}/token", issuer.url("")), "https://nobody.invalid/token");
        check("unknown-provider", &(nobody + &imap("support@mail.test")));
        // The page of the provider that people see: no token endpoint.
        let page = right.replace("/token", "/test/none");
        check("no-token-endpoint", &(page + &imap("support@mail.test")));
        // What a person has signed in for is in the hands of the daemon.
        let person = right.replace("oauth2:\n", "oauth2:\n  sealKey: {file: \"{dir}/seal\"}\n");
        let person = person.replace("clientCredentials", "authorizationCode");
        check("token-of-a-person", &(person + &imap("support@mail.test")));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn graph() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.write(folder.path());
    let names = &["localhost", "127.0.0.1"];
    let service = StandIn::start(authority.issue(names, 2099).server()).await;
    service.deliver("M1=", "Subject: one\r\n\r\nHello\r\n");
    let issuer = TokenServer::start(3600, false).await;
    let right = oauth2(&issuer.provider(), "robot");
    let ca = folder.path().join("ca.pem");
    let more = |user: &str, more: &str| {
        format!("username: {user}, oauth2Profile: robot, tls: {{ca: \"{}\"}}{more}", ca.display())
    };
    let graph = |user: &str, rest: &str| account("graph", service.port, &more(user, rest));
    check("graph", &(right.clone() + &graph("desk@example.com", "")));
    check(
        "graph-missing-folder",
        &(right.clone() + &graph("desk@example.com", ", folder: Nowhere")),
    );
    check("graph-unknown-mailbox", &(right.clone() + &graph("nobody@example.com", "")));
    service.state().token = "another".into();
    check("graph-refused-token", &(right.clone() + &graph("desk@example.com", "")));
    // A provider whose certificate nobody vouches for.
    let strange = format!("tokenUrl: https://localhost:{}/token", service.port);
    let strange =
        right.replace(&format!("tokenUrl: http://127.0.0.1:{}/token", issuer.port), &strange);
    check("provider-wrong-authority", &(strange + &graph("desk@example.com", "")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_starttls() {
    let script = Script {
        security: Security::StartTls,
        rules: vec![("STRIP", Do::HangUp)],
        ..Script::default()
    };
    let sink = Sink::start(script).await;
    check("smtptls-stripped", &server("smtptls", sink.addr.port(), ""));
    assert!(sink.lines().iter().all(|line| !line.starts_with("AUTH")));
}

#[test]
fn servers_of_npm() {
    for (security, kind) in [("tls", "smtps"), ("starttls", "smtptls")] {
        let Some(peer) = crate::peers_smtp::peer(security, &[]) else { return };
        let trusted = format!("tls: {{ca: \"{}\", serverName: localhost}}", peer.ca().display());
        let with = |secret: &str| {
            let auth =
                format!("auth: {{username: desk, password: {{file: \"{{dir}}/{secret}\"}}}}");
            server(kind, peer.port, &format!("{auth}, {trusted}"))
        };
        check(kind, &with("npm"));
        check(&format!("{kind}-wrong-password"), &with("wrong"));
        let other = "tls: {ca: \"{dir}/other.pem\", serverName: localhost}";
        check(&format!("{kind}-wrong-authority"), &server(kind, peer.port, other));
    }
}

/// `--send` sends as agents and as automatic mail do. Amazon SES refuses the null sender:
/// docker-mailserver/docker-mailserver#2403. An account without quota at Gmail: gen-smtp/gen_smtp#140.
#[tokio::test(flavor = "multi_thread")]
async fn sending() {
    let to = ["--send", "me@c.example"];
    for (case, rules) in [
        ("send", vec![]),
        ("send-null-refused", vec![("MAIL FROM:<>", Do::Say("501 Invalid MAIL FROM address"))]),
        ("send-quota", vec![("END", Do::Say("550 5.4.5 Daily user sending quota exceeded"))]),
        ("send-unknown", vec![("RCPT", Do::Say("550 5.1.1 no such user"))]),
    ] {
        let sink = Sink::start(Script { rules, ..Script::default() }).await;
        check_with(case, &server("smtp", sink.addr.port(), ""), &to);
        let taken = if case == "send" { 2 } else { usize::from(case == "send-null-refused") };
        assert_eq!(sink.arrived().len(), taken, "{case}");
    }
}

/// docs/oauth2.md shows what the tests above saw, with names in the place of this machine's.
#[test]
fn the_documentation_shows_what_is_said() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/oauth2.md")).unwrap();
    let (_, section) = page.split_once("## Trying it").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let shown: Vec<&str> =
        section.split("```text\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let cases = ["token", "private-provider", "refused-token"];
    assert_eq!(shown.len(), cases.len());
    let said_here = [
        ("https://login.example.com/token (192.0.2.7)", "http://127.0.0.1:PORT/token (127.0.0.1)"),
        (
            "https://login.example.com/token: login.example.com leads to 10.0.0.7",
            "http://127.0.0.1:PORT/token: 127.0.0.1 leads to 127.0.0.1",
        ),
        ("192.0.2.8:993", "127.0.0.1:PORT"),
        ("asks company", "asks p"),
        ("providers.company", "providers.p"),
    ];
    for (case, shown) in cases.iter().zip(shown) {
        let shown = said_here
            .iter()
            .fold(shown.to_owned(), |text, (there, here)| text.replace(there, here));
        let golden = std::fs::read_to_string(root.join(format!("tests/golden/probe/{case}.txt")));
        let golden = golden.unwrap();
        let (said, _) = golden.split_once("exit ").unwrap();
        assert_eq!(shown, said, "{case}");
    }
}
