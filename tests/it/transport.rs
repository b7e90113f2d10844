//! Sending: SMTP against a server that misbehaves on command, files, and a `sendmail` command.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use postroom::core::address::Address;
use postroom::core::config::{Login, Security, SmtpRoute, SmtpServer, Switch};
use postroom::core::outgoing::{Attempt, Delivery, Outgoing, OutgoingId, OutgoingKind};
use postroom::core::ticket::TicketId;
use postroom::secret::Secrets;
use postroom::transport;
use postroom::transport::programs::Programs;

use crate::sink::{Do, Script, Sink, password_from};

/// A mail without anything special.
pub const MAIL: &str = "From: desk@desk.test\r\nTo: eve@customer.test\r\nSubject: Your number\r\n\
                    Message-ID: <one@desk.test>\r\n\r\nWe have it.\r\n";

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// That mail, owed to this recipient.
pub fn mail_to(recipient: &str) -> Outgoing {
    Outgoing {
        id: OutgoingId(7),
        ticket: Some(TicketId(3)),
        kind: OutgoingKind::Reply,
        sender: "default".into(),
        envelope_from: Some(address("bounce@desk.test")),
        recipient: address(recipient),
        message_id: "one@desk.test".into(),
        raw: MAIL.as_bytes().to_vec(),
        created: "2026-03-04T05:06:07Z".parse().unwrap(),
        delivery: Delivery::Due {
            attempts: 0,
            at: "2026-03-04T05:06:07Z".parse().unwrap(),
            last_error: None,
            doubt: None,
        },
    }
}

/// What came of one mail, as a line.
pub fn shown(attempt: &Attempt) -> String {
    match attempt {
        Attempt::Sent => "sent".into(),
        Attempt::Temporary(text) => format!("temporary: {text}"),
        Attempt::Permanent(text) => format!("permanent: {text}"),
        Attempt::InDoubt { message, .. } => format!("in doubt: {message}"),
        Attempt::ServerDown { cause, message, .. } => format!("{cause}: {message}"),
    }
}

async fn send(server: &SmtpServer, mail: &Outgoing) -> Attempt {
    // All of them are programs of the tests' own.
    let programs = match &server.route {
        SmtpRoute::Sendmail { command } => Programs::allow(std::slice::from_ref(command)),
        SmtpRoute::Smtp { .. } | SmtpRoute::Graph { .. } | SmtpRoute::File { .. } => {
            Programs::default()
        }
    };
    match transport::open(server, &Secrets::default(), &programs, None).await {
        Ok(mut connection) => {
            let attempt = connection.send(mail, transport::Earlier::Nothing).await;
            connection.close().await;
            attempt
        }
        Err(attempt) => attempt,
    }
}

/// Sends one mail to a server with this script.
#[track_caller]
fn check(script: Script, expected: &str) {
    run(async move {
        let sink = Sink::start(script).await;
        let attempt = send(&sink.server("relay"), &mail_to("eve@customer.test")).await;
        assert_eq!(shown(&attempt), expected);
        assert_eq!(sink.violations(), Vec::<String>::new());
    });
}

/// Runs one test.
pub fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn rules(rules: &[(&'static str, Do)]) -> Script {
    Script { rules: rules.to_vec(), ..Script::default() }
}

/// The same, from a server without PIPELINING.
fn one_by_one(rules: &[(&'static str, Do)]) -> Script {
    Script { rules: rules.to_vec(), offers: vec!["SIZE"], ..Script::default() }
}

#[test]
fn a_mail_arrives_as_it_is() {
    run(async {
        let sink = Sink::start(Script::default()).await;
        let attempt = send(&sink.server("relay"), &mail_to("eve@customer.test")).await;
        assert_eq!(attempt, Attempt::Sent);
        let arrived = &sink.arrived()[0];
        assert_eq!(arrived.from, format!("<bounce@desk.test> SIZE={}", MAIL.len()));
        assert_eq!(arrived.to, ["<eve@customer.test>"]);
        assert_eq!(String::from_utf8_lossy(&arrived.mail), MAIL);
    });
}

#[test]
fn automatic_mail_has_the_null_sender() {
    run(async {
        let sink = Sink::start(Script { offers: vec![], ..Script::default() }).await;
        let mail = Outgoing { envelope_from: None, ..mail_to("eve@customer.test") };
        assert_eq!(send(&sink.server("relay"), &mail).await, Attempt::Sent);
        assert_eq!(sink.arrived()[0].from, "<>");
    });
}

#[test]
fn addresses_that_carriers_hand_out() {
    run(async {
        let sink = Sink::start(Script::default()).await;
        let attempt = send(&sink.server("relay"), &mail_to("foo..bar.@docomo.ne.jp")).await;
        assert_eq!(attempt, Attempt::Sent);
        assert_eq!(sink.arrived()[0].to, ["<\"foo..bar.\"@docomo.ne.jp>"]);
    });
}

#[test]
fn refusals_of_a_mail() {
    let no_user = "550 5.1.1 no such user";
    let later = "451 4.2.0 later";
    for script in [rules, one_by_one] {
        check(script(&[("MAIL", Do::Say("552 too much"))]), "permanent: 552 too much");
        check(script(&[("RCPT", Do::Say(no_user))]), "permanent: 550 5.1.1 no such user");
        check(script(&[("RCPT", Do::Say(later))]), "temporary: 451 4.2.0 later");
        check(script(&[("DATA", Do::Say("451 busy"))]), "temporary: 451 busy");
        check(script(&[("END", Do::Say("554 5.7.1 spam"))]), "permanent: 554 5.7.1 spam");
        check(script(&[("END", Do::Say("452 disk full"))]), "temporary: 452 disk full");
        check(script(&[("RCPT", Do::SayAndHangUp(no_user))]), "permanent: 550 5.1.1 no such user");
    }
}

#[test]
fn faults_of_the_server() {
    let bye = "421 4.3.2 going down";
    let words = "unavailable: 421 4.3.2 going down";
    for script in [rules, one_by_one] {
        for place in ["BANNER", "EHLO", "MAIL", "RCPT", "DATA", "END"] {
            check(script(&[(place, Do::SayAndHangUp(bye))]), words);
            let hung_up = "protocol: the connection broke: the server hung up";
            check(script(&[(place, Do::HangUp)]), hung_up);
        }
    }
    check(
        rules(&[("BANNER", Do::Say("HTTP/1.1 400 Bad Request"))]),
        "protocol: this is no SMTP reply: HTTP/1.1 400 Bad Request",
    );
    check(rules(&[("BANNER", Do::Say("554 not you"))]), "unavailable: 554 not you");
    check(rules(&[("MAIL", Do::Say("530 5.7.0 log in"))]), "auth: 530 5.7.0 log in");
}

#[test]
fn what_happens_after_the_yes_does_not_matter() {
    check(rules(&[("QUIT", Do::HangUp)]), "sent");
    check(rules(&[("END", Do::SayAndHangUp("250 2.0.0 taken"))]), "sent");
}

#[test]
fn a_server_without_ehlo_gets_helo() {
    let script = rules(&[("EHLO", Do::Say("502 what?")), ("HELO", Do::Say("250 old"))]);
    check(script, "sent");
}

#[test]
fn a_silent_server_is_given_up() {
    for place in ["BANNER", "EHLO", "RCPT", "END"] {
        run(async move {
            let sink = Sink::start(rules(&[(place, Do::Silence)])).await;
            let mut server = sink.server("relay");
            let SmtpRoute::Smtp { endpoint, .. } = &mut server.route else { unreachable!() };
            endpoint.timeout = Duration::from_millis(50);
            let attempt = send(&server, &mail_to("eve@customer.test")).await;
            let Attempt::ServerDown { cause, in_doubt, .. } = &attempt else {
                panic!("{attempt:?}")
            };
            assert_eq!(*cause, "timeout", "at {place}");
            assert_eq!(*in_doubt, place == "END", "at {place}");
        });
    }
}

#[test]
fn a_server_that_never_stops_talking_is_given_up() {
    run(async {
        let sink = Sink::start(Script { offers: vec!["X"; 5000], ..Script::default() }).await;
        let attempt = send(&sink.server("relay"), &mail_to("eve@customer.test")).await;
        let expected = "protocol: the connection broke: the reply has more than 128 lines";
        assert_eq!(shown(&attempt), expected);
    });
}

#[test]
fn taken_but_not_answered_is_not_taken_for_sent() {
    run(async {
        let sink = Sink::start(rules(&[("END", Do::Lose)])).await;
        let attempt = send(&sink.server("relay"), &mail_to("eve@customer.test")).await;
        assert_eq!(shown(&attempt), "protocol: the connection broke: the server hung up");
        assert!(matches!(attempt, Attempt::ServerDown { in_doubt: true, .. }));
        sink.now(|script| script.rules.clear());
        let again = send(&sink.server("relay"), &mail_to("eve@customer.test")).await;
        assert_eq!(again, Attempt::Sent);
        let arrived = sink.arrived();
        assert_eq!(arrived.len(), 2);
        assert_eq!(arrived[0].wire, arrived[1].wire);
    });
}

#[test]
fn a_refusal_does_not_spoil_the_connection() {
    for offers in [vec!["PIPELINING"], vec![]] {
        run(async {
            let refuse = ("RCPT TO:<bad@", Do::Say("550 5.1.1 no such user"));
            let script = Script { offers, rules: vec![refuse], ..Script::default() };
            let sink = Sink::start(script).await;
            let server = sink.server("relay");
            let mut connection =
                transport::open(&server, &Secrets::default(), &Programs::default(), None)
                    .await
                    .unwrap();
            for _ in 0..3 {
                let bad = connection
                    .send(&mail_to("bad@customer.test"), transport::Earlier::Nothing)
                    .await;
                assert_eq!(shown(&bad), "permanent: 550 5.1.1 no such user");
                assert!(connection.usable());
                let good = connection
                    .send(&mail_to("eve@customer.test"), transport::Earlier::Nothing)
                    .await;
                assert_eq!(good, Attempt::Sent);
            }
            assert_eq!(sink.arrived().len(), 3);
            assert_eq!(sink.connections(), 1);
        });
    }
}

/// RFC 2920 section 3.1: the server answers DATA with 354 although it refused the recipient.
#[test]
fn nobodys_mail_is_not_begun() {
    run(async {
        let script = rules(&[("RCPT", Do::Say("550 no")), ("DATA", Do::Say("354 go on"))]);
        let sink = Sink::start(script).await;
        let server = sink.server("relay");
        let mut connection =
            transport::open(&server, &Secrets::default(), &Programs::default(), None)
                .await
                .unwrap();
        let attempt =
            connection.send(&mail_to("eve@customer.test"), transport::Earlier::Nothing).await;
        assert_eq!(shown(&attempt), "permanent: 550 no");
        assert!(!connection.usable());
        assert!(!sink.lines().contains(&".".to_owned()));
    });
}

#[test]
fn no_line_of_a_mail_can_end_it() {
    let mut bodies: Vec<Vec<u8>> =
        ["a\n.\nb", "a\r.\rb", "a\n.\r\nb", "a\r\n.\rb", ".", "..", ".\r\n.\r\n", "a\r\n..\r\n.b"]
            .iter()
            .map(|body| format!("Subject: dots\r\n\r\n{body}").into_bytes())
            .collect();
    // A dot at a line start, moved over the edges of 8 KiB buffers.
    for edge in [8192, 16384] {
        for at in edge - 2..=edge + 2 {
            let mut body = b"Subject: edge\r\n\r\n".to_vec();
            body.resize(at - 2, b'x');
            body.extend_from_slice(b"\r\n.\r\nMAIL FROM:<smuggled@evil.test>\r\n");
            bodies.push(body);
        }
    }
    run(async move {
        let sink = Sink::start(Script::default()).await;
        let server = sink.server("relay");
        let mut connection =
            transport::open(&server, &Secrets::default(), &Programs::default(), None)
                .await
                .unwrap();
        for (count, body) in bodies.iter().enumerate() {
            let mail = Outgoing { raw: body.clone(), ..mail_to("eve@customer.test") };
            assert_eq!(connection.send(&mail, transport::Earlier::Nothing).await, Attempt::Sent);
            let arrived = sink.arrived();
            assert_eq!(arrived.len(), count + 1);
            assert_eq!(arrived[count].mail, with_crlf(body));
        }
        assert_eq!(sink.violations(), Vec::<String>::new());
    });
}

/// Every line end as CRLF, one at the end.
fn with_crlf(raw: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(raw.to_vec()).unwrap();
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines = lines.strip_suffix('\n').unwrap_or(&lines);
    format!("{}\r\n", lines.replace('\n', "\r\n")).into_bytes()
}

#[test]
fn addresses_beyond_ascii_need_the_server() {
    run(async {
        let sink = Sink::start(Script::default()).await;
        let mail = mail_to("問い合わせ@例え.test");
        assert_eq!(send(&sink.server("relay"), &mail).await, Attempt::Sent);
        assert!(sink.arrived()[0].from.ends_with(" SMTPUTF8"), "{:?}", sink.arrived()[0].from);
        sink.now(|script| script.offers = vec!["8BITMIME"]);
        let refused = send(&sink.server("relay"), &mail).await;
        let why = "permanent: the server does not take addresses beyond ASCII (SMTPUTF8)";
        assert_eq!(shown(&refused), why);
    });
}

#[test]
fn eight_bit_mail_needs_the_server() {
    run(async {
        let sink = Sink::start(Script::default()).await;
        let raw = "Subject: x\r\n\r\n本文\r\n".as_bytes().to_vec();
        let mail = Outgoing { raw, ..mail_to("eve@customer.test") };
        assert_eq!(send(&sink.server("relay"), &mail).await, Attempt::Sent);
        assert!(sink.arrived()[0].from.ends_with(" BODY=8BITMIME"));
        sink.now(|script| script.offers = vec![]);
        let refused = send(&sink.server("relay"), &mail).await;
        assert_eq!(shown(&refused), "permanent: the server does not take 8-bit mail (8BITMIME)");
    });
}

#[test]
fn a_mail_over_the_servers_limit_is_not_offered() {
    let script = Script { offers: vec!["SIZE 20"], ..Script::default() };
    let bytes = MAIL.len();
    check(script, &format!("permanent: the mail has {bytes} bytes, the server takes 20"));
}

#[test]
fn nobody_listens() {
    run(async {
        let sink = Sink::start(Script::default()).await;
        let server = sink.server("relay");
        let port = sink.addr.port();
        drop(sink);
        tokio::task::yield_now().await;
        let attempt = send(&server, &mail_to("eve@customer.test")).await;
        let start = format!("connect: could not connect to 127.0.0.1:{port}");
        assert!(shown(&attempt).starts_with(&start), "{attempt:?}");
    });
}

// Encryption and login.

/// Sends with a login whose password is this; gives the outcome and every line the server read.
async fn log_in(sink: &Sink, security: Security, password: &str) -> (String, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, password).unwrap();
    let mut server = sink.server("relay");
    let login = password_from(&file);
    server.route = SmtpRoute::Smtp { endpoint: sink.endpoint(security), login };
    let attempt = send(&server, &mail_to("eve@customer.test")).await;
    (shown(&attempt), sink.lines())
}

fn with_auth(security: Security) -> Script {
    Script { security, offers: vec!["PIPELINING", "AUTH LOGIN PLAIN"], ..Script::default() }
}

#[test]
fn logins() {
    run(async {
        for security in [Security::Plain, Security::Tls, Security::StartTls] {
            for offer in ["AUTH PLAIN", "AUTH LOGIN", "AUTH CRAM-MD5 LOGIN PLAIN"] {
                let sink = Sink::start(Script { offers: vec![offer], ..with_auth(security) }).await;
                let (outcome, lines) = log_in(&sink, security, "right\n").await;
                assert_eq!(outcome, "sent", "{security:?} {offer} {lines:?}");
                let (outcome, lines) = log_in(&sink, security, "wrong").await;
                assert_eq!(outcome, "auth: 535 5.7.8 no");
                assert_eq!(sink.arrived().len(), 1, "{lines:?}");
            }
        }
    });
}

#[test]
fn a_server_that_repeats_the_password_does_not_bring_it_into_the_log() {
    run(async {
        let sink = Sink::start(with_auth(Security::Tls)).await;
        sink.now(|script| script.rules.push(("AUTH", Do::Say("535 no such login: desk canary-1"))));
        let (outcome, _) = log_in(&sink, Security::Tls, "canary-1").await;
        assert_eq!(outcome, "auth: the login was refused");
    });
}

#[test]
fn a_login_the_server_does_not_offer() {
    run(async {
        let sink = Sink::start(Script { offers: vec!["AUTH CRAM-MD5"], ..Script::default() }).await;
        let (outcome, _) = log_in(&sink, Security::Plain, "right").await;
        assert_eq!(outcome, "auth: the server offers neither AUTH PLAIN nor AUTH LOGIN");
    });
}

#[test]
fn a_password_that_is_not_there() {
    run(async {
        let sink = Sink::start(with_auth(Security::Plain)).await;
        let mut server = sink.server("relay");
        let login = password_from(Path::new("/nonexistent/password"));
        server.route = SmtpRoute::Smtp { endpoint: sink.endpoint(Security::Plain), login };
        let attempt = send(&server, &mail_to("eve@customer.test")).await;
        let start = "auth: could not read secret file /nonexistent/password";
        assert!(shown(&attempt).starts_with(start), "{attempt:?}");
    });
}

#[test]
fn without_a_token_nothing_is_sent() {
    run(async {
        let sink = Sink::start(with_auth(Security::Tls)).await;
        let mut server = sink.server("relay");
        let username = postroom::core::config::Text::Plain("desk".into());
        let login = Login::OAuth2 { username, profile: "m365".into(), mailbox: None };
        server.route = SmtpRoute::Smtp { endpoint: sink.endpoint(Security::Tls), login };
        let attempt = send(&server, &mail_to("eve@customer.test")).await;
        assert_eq!(shown(&attempt), "auth: there is no access token");
    });
}

/// Whatever goes wrong with encryption: no credential and no mail leaves us.
#[track_caller]
fn check_encryption(script: Script, expected_start: &str) {
    run(async move {
        let security = script.security;
        let sink = Sink::start(script).await;
        let (outcome, lines) = log_in(&sink, security, "right").await;
        assert!(outcome.starts_with(expected_start), "{outcome}");
        let secret = |line: &String| line.starts_with("AUTH") || line.starts_with("MAIL");
        assert!(!lines.iter().any(secret), "{lines:?}");
    });
}

#[test]
fn starttls_that_is_stripped_or_refused() {
    let script = |rule| Script { rules: vec![rule], ..with_auth(Security::StartTls) };
    let missing = "tls: the server does not offer STARTTLS";
    check_encryption(script(("STRIP", Do::HangUp)), missing);
    let refused = "tls: STARTTLS was refused: 454 not now";
    check_encryption(script(("STARTTLS", Do::Say("454 not now"))), refused);
    let refused = "tls: STARTTLS was refused: 501 what?";
    check_encryption(script(("STARTTLS", Do::Say("501 what?"))), refused);
    let hung_up = "protocol: the connection broke";
    check_encryption(script(("STARTTLS", Do::HangUp)), hung_up);
}

#[test]
fn plain_text_behind_the_answer_to_starttls() {
    let inject = "250-sink\r\n250 AUTH PLAIN\r\n";
    let script = Script { inject, ..with_auth(Security::StartTls) };
    check_encryption(script, "tls: the server sent plain text behind its answer to STARTTLS");
}

#[test]
fn the_wrong_certificate() {
    for security in [Security::Tls, Security::StartTls] {
        let script = Script { certificate_name: "other.test", ..with_auth(security) };
        check_encryption(script, "tls: certificate of localhost was refused");
    }
}

#[test]
fn an_expired_certificate() {
    let script = Script { expired: true, ..with_auth(Security::Tls) };
    check_encryption(script, "tls: certificate of localhost was refused");
}

#[test]
fn an_unknown_issuer() {
    run(async {
        let (one, other) = (
            Sink::start(with_auth(Security::Tls)).await,
            Sink::start(with_auth(Security::Tls)).await,
        );
        let mut server = one.server("relay");
        let SmtpRoute::Smtp { endpoint, .. } = &mut server.route else { unreachable!() };
        endpoint.tls.ca = Some(other.ca_path());
        let attempt = send(&server, &mail_to("eve@customer.test")).await;
        let start = "tls: certificate of localhost was refused";
        assert!(shown(&attempt).starts_with(start), "{attempt:?}");
    });
}

#[test]
fn the_certificate_can_be_looked_at() {
    run(async {
        let sink = Sink::start(Script { security: Security::Tls, ..Script::default() }).await;
        let server = sink.server("relay");
        let connection = transport::open(&server, &Secrets::default(), &Programs::default(), None)
            .await
            .unwrap();
        assert!(connection.peer_certificate().is_some());
    });
}

// Files and sendmail.

fn by(route: SmtpRoute) -> SmtpServer {
    SmtpServer {
        name: "local".into(),
        route,
        connections: 1,
        helo_name: None,
        state: Switch::Enabled,
    }
}

#[test]
fn a_mail_as_a_file() {
    run(async {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("out/mails");
        let server = by(SmtpRoute::File { directory: directory.clone() });
        let mail = mail_to("eve@customer.test");
        assert_eq!(send(&server, &mail).await, Attempt::Sent);
        // Again, as after a crash before the commit: it replaces itself.
        assert_eq!(send(&server, &mail).await, Attempt::Sent);
        let mut names: Vec<String> = std::fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let stem = "20260304T050607Z-0000000007";
        assert_eq!(names, [format!("{stem}.eml"), format!("{stem}.json")]);
        assert_eq!(std::fs::read(directory.join(&names[0])).unwrap(), MAIL.as_bytes());
        let envelope = std::fs::read_to_string(directory.join(&names[1])).unwrap();
        let envelope: serde_json::Value = serde_json::from_str(&envelope).unwrap();
        let expected = serde_json::json!({
            "from": "bounce@desk.test", "to": "eve@customer.test", "kind": "reply",
            "ticket": 3, "messageId": "one@desk.test",
        });
        assert_eq!(envelope, expected);
    });
}

#[test]
fn a_directory_that_cannot_be_made() {
    run(async {
        let file = tempfile::NamedTempFile::new().unwrap();
        let directory = file.path().join("mails");
        let attempt = send(&by(SmtpRoute::File { directory }), &mail_to("eve@x.test")).await;
        assert!(shown(&attempt).starts_with("disk: could not write to"), "{attempt:?}");
    });
}

/// A `sendmail` of our own that notes its arguments, environment and input.
fn sendmail(directory: &Path, exit: i32) -> SmtpServer {
    let command = directory.join("sendmail");
    let noted = directory.display();
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > {noted}/arguments\nenv > {noted}/environment\n\
         cat > {noted}/input\necho 'no such user' >&2\nexit {exit}\n"
    );
    std::fs::write(&command, script).unwrap();
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
    by(SmtpRoute::Sendmail { command })
}

#[test]
fn a_mail_through_sendmail() {
    run(async {
        let scratch = tempfile::tempdir().unwrap();
        let server = sendmail(scratch.path(), 0);
        let raw = format!("{MAIL}.\r\nafter the dot\r\n").into_bytes();
        let mail = Outgoing { raw, ..mail_to("-oQ/tmp@customer.test") };
        assert_eq!(send(&server, &mail).await, Attempt::Sent);
        let noted = |name: &str| std::fs::read_to_string(scratch.path().join(name)).unwrap();
        assert_eq!(noted("arguments"), "-i\n-f\nbounce@desk.test\n--\n-oq/tmp@customer.test\n");
        let expected = format!("{MAIL}.\r\nafter the dot\r\n").replace("\r\n", "\n");
        assert_eq!(noted("input"), expected);
        assert!(!noted("environment").contains("CARGO"), "{}", noted("environment"));
    });
}

#[test]
fn sendmail_that_is_not_allowed_does_not_run() {
    run(async {
        let scratch = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let server = sendmail(scratch.path(), 0);
        let command = scratch.path().join("sendmail");
        let ran = || scratch.path().join("input").exists() || other.path().join("input").exists();
        let open = |programs: Programs| {
            let server = server.clone();
            async move { transport::open(&server, &Secrets::default(), &programs, None).await }
        };
        let elsewhere = sendmail(other.path(), 0);
        let SmtpRoute::Sendmail { command: allowed } = &elsewhere.route else { panic!("sendmail") };
        for programs in [Programs::default(), Programs::allow(std::slice::from_ref(allowed))] {
            let refused = open(programs).await.err().expect("it is refused");
            let words = format!("--allow-sendmail {}", command.display());
            assert!(shown(&refused).starts_with("forbidden: "), "{refused:?}");
            assert!(shown(&refused).contains(&words), "{refused:?}");
        }
        assert!(!ran());
        // What was allowed was a link, which leads to another program by the next mail.
        let real = scratch.path().join("real");
        std::fs::rename(&command, &real).unwrap();
        std::os::unix::fs::symlink(&real, &command).unwrap();
        let mut connection = open(Programs::allow(std::slice::from_ref(&command))).await.unwrap();
        assert_eq!(
            connection.send(&mail_to("eve@customer.test"), transport::Earlier::Nothing).await,
            Attempt::Sent
        );
        std::fs::remove_file(scratch.path().join("input")).unwrap();
        std::fs::remove_file(&command).unwrap();
        std::os::unix::fs::symlink(other.path().join("sendmail"), &command).unwrap();
        let refused =
            connection.send(&mail_to("eve@customer.test"), transport::Earlier::Nothing).await;
        assert!(shown(&refused).starts_with("forbidden: "), "{refused:?}");
        assert!(shown(&refused).contains("leads to"), "{refused:?}");
        assert!(!ran());
    });
}

#[test]
fn exit_codes_of_sendmail() {
    run(async {
        let mail = mail_to("eve@customer.test");
        for (exit, expected) in [
            (67, "permanent: sendmail ended with 67: no such user"),
            (75, "temporary: sendmail ended with 75: no such user"),
            (78, "protocol: sendmail ended with 78: no such user"),
        ] {
            let scratch = tempfile::tempdir().unwrap();
            assert_eq!(shown(&send(&sendmail(scratch.path(), exit), &mail).await), expected);
        }
        let server = by(SmtpRoute::Sendmail { command: "/nonexistent/sendmail".into() });
        let attempt = send(&server, &mail).await;
        assert!(shown(&attempt).starts_with("connect: could not run /nonexistent/sendmail"));
    });
}
