//! Servers that misbehave beside a healthy account, and become well again.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use postroom::app::Released;
use postroom::core::intake::Outcome;
use postroom::run::board::ConditionKind;
use postroom::run::poller;

use super::{condition, desk, mail, metric, of, records};
use crate::daemon::{Daemon, until};
use crate::server::certificates::Authority;
use crate::server::imap::capabilities;
use crate::server::{Act, Behaviour, Make, PASSWORD, Server, imap, pop3, say};

/// Longest time from a delivery to the ticket on the healthy account, which looks every second.
const LAG_MAX: Duration = Duration::from_secs(3);

/// Servers and what is needed to log in there.
pub(super) struct Ward {
    folder: tempfile::TempDir,
    authority: Authority,
    patients: Vec<Patient>,
}

/// An account whose server is ill.
struct Patient {
    name: String,
    kind: &'static str,
    server: Server,
    /// As the server is when it is well.
    well: Behaviour,
    /// What becomes of fetched mails.
    after: &'static str,
    /// Whether the account waits for news in its session.
    waits: bool,
}

impl Ward {
    pub(super) fn new() -> Ward {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        let authority = Authority::new();
        authority.write(folder.path());
        Ward { folder, authority, patients: Vec::new() }
    }

    pub(super) async fn admit(
        &mut self,
        name: &str,
        kind: &'static str,
        well: Behaviour,
        ill: Behaviour,
    ) {
        let server = ill.start().await;
        let (name, after) = (name.to_owned(), "delete");
        self.patients.push(Patient { name, kind, server, well, after, waits: false });
    }

    async fn admit_imap(&mut self, name: &str, command: &'static str, acts: Vec<Act>) {
        let ill = imap::proper().but(command, acts);
        self.admit(name, "imap", imap::proper(), ill).await;
    }

    /// One that moves what it fetched, at a server that offers these.
    async fn admit_moving(
        &mut self,
        name: &str,
        offered: &str,
        command: &'static str,
        acts: Vec<Act>,
    ) {
        let ill = imap::fault(offered, command, acts);
        self.admit(name, "imap", imap::with_folders(offered), ill).await;
        self.patients.last_mut().unwrap().after = "{move: Done}";
    }

    /// One that waits for news.
    async fn admit_waiting(&mut self, name: &str, command: &'static str, acts: Vec<Act>) {
        // In one long session its word counts: nothing comes, and nothing goes.
        let quiet = imap::proper()
            .but("IDLE", say("+ waiting\r\n"))
            .but("UID EXPUNGE", say("%T OK gone\r\n"));
        self.admit(name, "imap", quiet, imap::proper().but(command, acts)).await;
        self.patients.last_mut().unwrap().waits = true;
    }

    async fn admit_pop3(&mut self, name: &str, command: &'static str, acts: Vec<Act>) {
        let ill = pop3::proper().but(command, acts);
        self.admit(name, "pop3", pop3::proper(), ill).await;
    }

    /// What becomes of the mails that are fetched by the account that came last.
    pub(super) fn move_to(&mut self, after: &'static str) {
        self.patients.last_mut().unwrap().after = after;
    }

    /// From the next connection on, a server behaves so.
    pub(super) fn now(&self, name: &str, behaviour: Behaviour) {
        let patient = self.patients.iter().find(|patient| patient.name == name).unwrap();
        patient.server.now(behaviour);
    }

    /// Accounts in YAML.
    pub(super) fn accounts(&self, more: &str) -> String {
        let account = |patient: &Patient| {
            let Patient { name, kind, server, after, waits, .. } = patient;
            let folder = self.folder.path().display();
            let idle = if kind.starts_with("imap") && !waits { "idle: \"off\", " } else { "" };
            let tls = match *kind {
                "imap" | "pop3" => String::new(),
                _ => format!("tls: {{ca: {folder}/ca.pem}}, "),
            };
            format!(
                "  {name}: {{type: {kind}, host: localhost, port: {}, username: {name}, \
                 password: {{file: {folder}/password}}, {tls}dispatch: {{by: recipient}}, since: all, \
                 afterFetch: {after}, {idle}pollInterval: 1s, timeout: 2s{more}}}\n",
                server.port
            )
        };
        self.patients.iter().map(account).collect()
    }

    fn names(&self) -> Vec<String> {
        self.patients.iter().map(|patient| patient.name.clone()).collect()
    }

    fn heal(&self) {
        for patient in &self.patients {
            patient.server.now(patient.well.clone());
        }
    }

    /// What a server received before TLS.
    pub(super) fn plain(&self, name: &str) -> String {
        let patient = self.patients.iter().find(|patient| patient.name == name).unwrap();
        patient.server.heard().plain
    }
}

/// Delivers to the healthy account until this is so, and answers how long its mails took at most.
async fn meanwhile(daemon: &Daemon, what: &str, so: impl Fn() -> bool) -> Duration {
    let (begun, mut longest, mut number) = (Instant::now(), Duration::ZERO, 0);
    while !so() || number < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        let before = of(&records(daemon), "healthy").len();
        let delivered = Instant::now();
        let id = before + 1;
        daemon.deliver(&format!("h{id}"), &mail("eve@customer.example", id, "Well?", ""));
        until("the healthy account", || {
            (of(&records(daemon), "healthy").len() > before).then_some(())
        })
        .await;
        longest = longest.max(delivered.elapsed());
        number += 1;
    }
    longest
}

/// After the servers are well, every mail is a ticket exactly once.
async fn everything_arrives_once(daemon: &Daemon, ward: &Ward) {
    ward.heal();
    let handle = daemon.app().handle();
    let mut waiting = ward.names();
    let begun = Instant::now();
    while !waiting.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not well again: {waiting:?}");
        for name in &waiting {
            handle.fetch_now(name).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let known = records(daemon);
        waiting.retain(|name| of(&known, name).len() < 2 || !is_ready(daemon, name));
    }
    // Two more looks: the servers still list everything, as they ignore what they were told.
    for _ in 0..2 {
        let looks = |name: &str| {
            let series =
                format!("postroom_poll_runs_total{{account=\"{name}\",result=\"success\"}}");
            metric(daemon, &series).unwrap_or_default()
        };
        for name in ward.names() {
            let before = looks(&name);
            handle.fetch_now(&name).await;
            until("one more look", || (looks(&name) > before).then_some(())).await;
        }
    }
    let known = records(daemon);
    for name in ward.names() {
        let mails = of(&known, &name);
        assert_eq!(mails.len(), 2, "{name}");
        assert!(mails.iter().all(|mail| mail.outcome == Outcome::Created), "{name}");
    }
}

pub(super) fn is_ready(daemon: &Daemon, name: &str) -> bool {
    condition(daemon, name, ConditionKind::Ready).is_some_and(|(ready, ..)| ready)
}

/// Whether each of them has been ill, asked again and again: some are well in between.
fn all_were_ill<'a>(daemon: &'a Daemon, names: &'a [String]) -> impl Fn() -> bool + 'a {
    let ill = RefCell::new(BTreeSet::new());
    move || {
        let now = names.iter().filter(|name| is_ill(daemon, name));
        ill.borrow_mut().extend(now);
        ill.borrow().len() == names.len()
    }
}

/// Each of these, and a word for the name of an account.
fn no_bad_bye_or_end() -> [(&'static str, Vec<Act>); 4] {
    let bye = vec![Act::Say("* BYE going down\r\n".into()), Act::Close];
    [
        ("no", say("%T NO not now\r\n")),
        ("bad", say("%T BAD what\r\n")),
        ("bye", bye),
        ("end", vec![Act::Close]),
    ]
}

/// A command as part of an account's name.
fn word(command: &str) -> String {
    command.to_lowercase().chars().filter(char::is_ascii_alphanumeric).take(20).collect()
}

fn is_ill(daemon: &Daemon, name: &str) -> bool {
    condition(daemon, name, ConditionKind::Ready).is_some_and(|(ready, ..)| !ready)
}

#[track_caller]
pub(super) fn check_reason(daemon: &Daemon, name: &str, expected: &str) {
    let (_, reason, message) = condition(daemon, name, ConditionKind::Ready).unwrap();
    assert_eq!(reason, expected, "{name}: {message}");
    assert!(!message.contains("CANARY"), "{name}: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_bad_bye_or_end_at_any_imap_command_delays_nobody_and_loses_nothing() {
    // Waiting has a test of its own, and the goodbye follows.
    let apart = ["IDLE", "DONE", "LOGOUT"];
    let mut ward = Ward::new();
    for command in imap::SESSION.into_iter().filter(|command| !apart.contains(command)) {
        for (how, acts) in no_bad_bye_or_end() {
            ward.admit_imap(&format!("{}-{how}", word(command)), command, acts).await;
        }
    }
    // Both goodbyes are one.
    for (how, acts) in no_bad_bye_or_end().into_iter().take(2) {
        ward.admit_imap(&format!("logout-{how}"), "LOGOUT", acts).await;
    }
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    let names = ward.names();
    let all_ill = || names.iter().all(|name| is_ill(&daemon, name));
    let longest = meanwhile(&daemon, "all servers to fail", all_ill).await;
    println!("{} ill servers; the healthy account took {longest:?} at most", names.len());
    assert!(longest < LAG_MAX, "{longest:?}");
    check_reason(&daemon, "select-no", "CommandRefused");
    check_reason(&daemon, "uidstore-no", "CommandRefused");
    check_reason(&daemon, "login-no", "LoginRefused");
    check_reason(&daemon, "noop-end", "ConnectionLost");
    let known = records(&daemon);
    for name in &names {
        let taken = ["uidstore", "uidexpunge", "logout"].iter().any(|it| name.starts_with(it));
        assert_eq!(of(&known, name).len(), if taken { 2 } else { 0 }, "{name}");
        let series = format!("postroom_account_up{{account=\"{name}\"}}");
        assert_eq!(metric(&daemon, &series), Some(0.0), "{name}");
    }
    everything_arrives_once(&daemon, &ward).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_bad_bye_or_end_while_mails_are_moved_delays_nobody_and_loses_nothing() {
    let mut ward = Ward::new();
    let (_, copying) = imap::COPY.split_last().unwrap();
    for (offered, commands) in [("UIDPLUS MOVE", &["UID MOVE"][..]), ("", copying)] {
        for command in commands {
            for (how, acts) in no_bad_bye_or_end() {
                let name = format!("{}-{how}", word(command));
                ward.admit_moving(&name, offered, command, acts).await;
            }
        }
    }
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    let names = ward.names();
    let longest = meanwhile(&daemon, "all servers to fail", all_were_ill(&daemon, &names)).await;
    println!("{} ill servers; the healthy account took {longest:?} at most", names.len());
    assert!(longest < LAG_MAX, "{longest:?}");
    check_reason(&daemon, "uidmove-no", "CommandRefused");
    check_reason(&daemon, "examine-no", "CommandRefused");
    check_reason(&daemon, "uidcopy-end", "ConnectionLost");
    let known = records(&daemon);
    for name in &names {
        assert_eq!(of(&known, name).len(), 2, "{name}");
        // What is not known to be in the other folder stays where it is.
        let marked = ward.plain(name).contains("STORE");
        assert_eq!(marked, name.starts_with("uidstore"), "{name}");
    }
    everything_arrives_once(&daemon, &ward).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_bad_bye_or_end_of_a_wait_delays_nobody_and_loses_nothing() {
    let mut ward = Ward::new();
    for command in ["IDLE", "DONE"] {
        for (how, acts) in no_bad_bye_or_end() {
            ward.admit_waiting(&format!("{}-{how}", word(command)), command, acts).await;
        }
    }
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    let names = ward.names();
    let longest = meanwhile(&daemon, "all servers to fail", all_were_ill(&daemon, &names)).await;
    assert!(longest < LAG_MAX, "{longest:?}");
    everything_arrives_once(&daemon, &ward).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_err_or_end_at_any_pop3_command_delays_nobody_and_loses_nothing() {
    let mut ward = Ward::new();
    for command in ["USER", "PASS", "LIST", "UIDL", "RETR 2", "DELE", "QUIT"] {
        let word = command.to_lowercase().replace(' ', "");
        ward.admit_pop3(&format!("{word}-end"), command, vec![Act::Close]).await;
        if command != "RETR 2" {
            ward.admit_pop3(&format!("{word}-err"), command, say("-ERR not now\r\n")).await;
        }
    }
    let cut = vec![Act::Say("+OK\r\nSubject: two\r\n\r\nzw".into()), Act::Close];
    ward.admit_pop3("retr-cut", "RETR 2", cut).await;
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    let names = ward.names();
    let all_ill = || names.iter().all(|name| is_ill(&daemon, name));
    let longest = meanwhile(&daemon, "all servers to fail", all_ill).await;
    assert!(longest < LAG_MAX, "{longest:?}");
    check_reason(&daemon, "pass-err", "LoginRefused");
    everything_arrives_once(&daemon, &ward).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_drips_and_garbage_delay_nobody() {
    let mut ward = Ward::new();
    ward.admit_imap("silent", "greeting", vec![Act::Hang]).await;
    let head = "* 1 FETCH (UID 11 RFC822.SIZE 18 BODY[] {10000}\r\n";
    let drip = vec![Act::Say(head.into()), Act::Drip(b'x')];
    ward.admit_imap("dripping", "UID FETCH", drip).await;
    ward.admit_imap("endless", "greeting", vec![Act::Repeat(b"* OK go on for ever ")]).await;
    ward.admit_imap("web", "greeting", say("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    ward.admit_imap("garbage", "greeting", say("\0\u{1}\u{7f}\u{fffd}\r\n\r\n")).await;
    ward.admit_imap("preauth", "greeting", say("* PREAUTH welcome\r\n")).await;
    ward.admit_imap("hung", "UID FETCH", vec![Act::Hang]).await;
    ward.admit_imap("huge", "UID FETCH", say("* 1 FETCH (UID 11 BODY[] {4000000000}\r\n")).await;
    ward.admit_imap("foreign", "UID FETCH", say("* 1 FETCH (UID 99 BODY[] {1}\r\nx)\r\n%T OK\r\n"))
        .await;
    ward.admit_imap("flood", "NOOP", vec![Act::Repeat(b"* OK still here\r\n")]).await;
    ward.admit_pop3("endless-pop", "RETR 1", vec![Act::Say("+OK\r\n".into()), Act::Repeat(b"x")])
        .await;
    ward.admit_pop3("hung-pop", "LIST", vec![Act::Hang]).await;
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    let names = ward.names();
    let all_ill = || names.iter().all(|name| name == "preauth" || is_ill(&daemon, name));
    let longest = meanwhile(&daemon, "all servers to fail", all_ill).await;
    println!("{} ill servers; the healthy account took {longest:?} at most", names.len());
    assert!(longest < LAG_MAX, "{longest:?}");
    for (name, reason) in [
        ("silent", "Timeout"),
        ("dripping", "Timeout"),
        ("web", "ProtocolViolation"),
        ("hung", "Timeout"),
        ("huge", "ProtocolViolation"),
        ("foreign", "ProtocolViolation"),
        ("hung-pop", "Timeout"),
    ] {
        check_reason(&daemon, name, reason);
    }
    let violations = metric(&daemon, "postroom_protocol_violations_total{protocol=\"imap\"}");
    assert!(violations >= Some(3.0), "{violations:?}");
    everything_arrives_once(&daemon, &ward).await;
}

/// More than may have a session at a time, each at a host of its own.
const SILENT_SERVERS: usize = 800;

/// Accounts of so many servers that take what is said and say nothing. They are called before the
/// healthy one, in the order of names, and so are first in each line.
async fn silent(folder: &Path, timeout: &str) -> String {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            // Takes what is said, says nothing, and goes when the other does.
            tokio::spawn(async move { tokio::io::copy(&mut client, &mut tokio::io::sink()).await });
        }
    });
    std::fs::write(folder.join("password"), PASSWORD).unwrap();
    let account = |at: usize| {
        format!(
            "  a-silent{at}: {{type: imap, host: 127.9.{}.{}, port: {port}, username: one, password: \
             {{file: {}/password}}, dispatch: {{by: recipient}}, afterFetch: seen, pollInterval: 1s, \
             timeout: {timeout}}}\n",
            at / 250,
            at % 250 + 1,
            folder.display()
        )
    };
    (0..SILENT_SERVERS).map(account).collect()
}

async fn one_mail_of_the_healthy(daemon: &Daemon) {
    daemon.deliver("h1", &mail("eve@customer.example", 1, "Well?", ""));
    until("the healthy account", || (of(&records(daemon), "healthy").len() == 1).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_silent_servers_delay_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&desk(&silent(folder.path(), "4s").await)).await;
    let all_failed = || {
        let all = daemon.app().handle().board.all();
        all.iter().filter(|it| it.consecutive_failures > 0).count() == SILENT_SERVERS
    };
    one_mail_of_the_healthy(&daemon).await;
    let longest = meanwhile(&daemon, "all of them to fail", all_failed).await;
    println!("{SILENT_SERVERS} silent servers; the healthy account took {longest:?} at most");
    assert!(longest < LAG_MAX, "{longest:?}");
}

/// At a start nobody is known yet: those who are late make room for the others.
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_silent_servers_delay_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let daemon = Daemon::start(&desk(&silent(folder.path(), "60s").await)).await;
    // It waits for less time than those who were first may take.
    one_mail_of_the_healthy(&daemon).await;
    let took = begun.elapsed();
    println!("{SILENT_SERVERS} silent servers; the healthy account took {took:?} after the start");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_declared_encryption_no_credential_leaves_us() {
    let mut ward = Ward::new();
    let right = ward.authority.issue(&["localhost"], 2099);
    let well = || imap::proper().with_tls(right.server(), false);
    let well_first = || imap::proper().with_tls(right.server(), true);
    let starttls = |names: &str| well().but("CAPABILITY", capabilities(names));
    let stripped = starttls("IDLE").but("STARTTLS", say("%T BAD what?\r\n"));
    let named = starttls("STARTTLS UIDPLUS MOVE IDLE");
    ward.admit("stripped", "imaptls", named.clone(), stripped).await;
    let refused = named.clone().but("STARTTLS", say("%T NO not now\r\n"));
    ward.admit("refused", "imaptls", named.clone(), refused).await;
    let bye = say("* BYE going down\r\n");
    ward.admit("goodbye", "imaptls", named.clone(), named.clone().but("STARTTLS", bye)).await;
    let injected =
        vec![Act::Say("%T OK go on\r\n* OK [CAPABILITY IMAP4rev1] x\r\n".into()), Act::Encrypt];
    ward.admit("injected", "imaptls", named.clone(), named.clone().but("STARTTLS", injected)).await;
    let preauth = named.clone().but("greeting", say("* PREAUTH come in\r\n"));
    ward.admit("preauth", "imaptls", named, preauth).await;
    let foreign = ward.authority.issue(&["mail.example.net"], 2099);
    let old = ward.authority.issue(&["localhost"], 2020);
    let unknown = Authority::new().issue(&["localhost"], 2099);
    for (name, wrong) in [("foreign", foreign), ("expired", old), ("unknown", unknown)] {
        let ill = imap::proper().with_tls(wrong.server(), true);
        ward.admit(name, "imaps", well_first(), ill).await;
    }
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    let names = ward.names();
    let all_ill = || names.iter().all(|name| is_ill(&daemon, name));
    let longest = meanwhile(&daemon, "all servers to fail", all_ill).await;
    assert!(longest < LAG_MAX, "{longest:?}");
    for patient in &ward.patients {
        let heard = patient.server.heard();
        for text in [heard.plain, heard.encrypted] {
            assert!(
                !text.contains("CANARY") && !text.contains("LOGIN"),
                "{}: {text}",
                patient.name
            );
        }
    }
    for name in ["foreign", "expired", "unknown", "stripped", "refused"] {
        check_reason(&daemon, name, "TlsFailed");
    }
    let certificates =
        metric(&daemon, "postroom_poll_errors_total{protocol=\"imap\",reason=\"certificate\"}");
    assert!(certificates >= Some(3.0), "{certificates:?}");
    everything_arrives_once(&daemon, &ward).await;
    assert!(!ward.plain("stripped").contains("CANARY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_said_and_retried_slowly() {
    let mut ward = Ward::new();
    let no = say("%T NO [AUTHENTICATIONFAILED] who are you?\r\n");
    ward.admit_imap("locked", "LOGIN", no).await;
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    until("a refusal", || is_ill(&daemon, "locked").then_some(())).await;
    let (authenticated, reason, _) =
        condition(&daemon, "locked", ConditionKind::Authenticated).unwrap();
    assert_eq!((authenticated, reason.as_str()), (false, "LoginRefused"));
    assert!(condition(&daemon, "locked", ConditionKind::Reachable).unwrap().0);
    let all = daemon.app().handle().board.all();
    let status = all.iter().find(|status| status.name == "locked").unwrap();
    let pause = status.next_poll.unwrap().duration_since(Timestamp::now());
    assert!(pause > SignedDuration::from_secs(40), "{pause:?}");
    let errors = metric(&daemon, "postroom_poll_errors_total{protocol=\"imap\",reason=\"login\"}");
    assert_eq!(errors, Some(1.0));
    let longest = meanwhile(&daemon, "three mails", || true).await;
    assert!(longest < LAG_MAX, "{longest:?}");
    everything_arrives_once(&daemon, &ward).await;
}

/// A server with messages of these sizes, UIDs from 1; it gives their headers, and nothing else.
fn with_sizes(sizes: &[u64]) -> Behaviour {
    let mut behaviour = imap::proper();
    let mut listing = String::new();
    for (at, size) in sizes.iter().enumerate() {
        let uid = at + 1;
        let header = format!("Subject: mail {uid}\r\nMessage-ID: <{uid}@customer.example>\r\n\r\n");
        listing += &format!(
            "* {uid} FETCH (UID {uid} RFC822.SIZE {size} FLAGS () INTERNALDATE \
             \"17-Jul-2026 02:44:25 +0900\")\r\n"
        );
        let command: &'static str = format!("UID FETCH {uid} (UID BODY.PEEK[HEADER]").leak();
        let answer = format!(
            "* {uid} FETCH (UID {uid} BODY[HEADER]<0> {{{}}}\r\n{header})\r\n%T OK done\r\n",
            header.len()
        );
        behaviour = behaviour.but(command, say(&answer));
        let command: &'static str = format!("UID FETCH {uid} (").leak();
        let answer = format!(
            "* {uid} FETCH (UID {uid} RFC822.SIZE {size} BODY[] {{{}}}\r\n{header})\r\n%T OK done\r\n",
            header.len()
        );
        behaviour.answers.push((command, say(&answer)));
    }
    let exists = format!(
        "* {} EXISTS\r\n* OK [UIDVALIDITY 7] valid\r\n%T OK [READ-WRITE] open\r\n",
        sizes.len()
    );
    behaviour.but("SELECT", say(&exists)).but("FETCH 1:", say(&(listing + "%T OK listed\r\n")))
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_mails_at_the_head_do_not_hide_the_one_behind_them() {
    const LARGE: u64 = 100_000_000;
    let mut sizes = vec![LARGE; 21];
    // The size of the header that `with_sizes` gives.
    sizes.push("Subject: mail 22\r\nMessage-ID: <22@customer.example>\r\n\r\n".len() as u64);
    let mut ward = Ward::new();
    let refusing = || with_sizes(&sizes).but("UID STORE", say("%T NO read-only today\r\n"));
    ward.admit("headers", "imap", with_sizes(&sizes), with_sizes(&sizes)).await;
    ward.admit("refusing", "imap", with_sizes(&sizes), refusing()).await;
    let daemon = Daemon::start(&desk(&ward.accounts(", maxSize: 64KiB"))).await;
    until("all mails", || (records(&daemon).len() >= 44).then_some(())).await;
    // However often it is told again, and whatever went wrong in between: only mail 22.
    let stores = |name: &str| {
        let plain = ward.plain(name);
        let lines = plain.lines().filter(|line| line.contains("UID STORE"));
        lines.map(|line| line.split_once(' ').unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    for name in ["headers", "refusing"] {
        until("three rounds", || {
            tokio::task::block_in_place(|| (stores(name).len() >= 3).then_some(()))
        })
        .await;
    }
    ward.heal();
    daemon.app().handle().fetch_now("refusing").await;
    until("a healthy account", || is_ready(&daemon, "refusing").then_some(())).await;
    for name in ["headers", "refusing"] {
        let told = stores(name);
        assert!(told.iter().all(|line| line.starts_with("UID STORE 22 ")), "{told:?}");
    }
    assert_eq!(records(&daemon).len(), 44);
    assert!(records(&daemon).iter().all(|record| record.outcome == Outcome::Created));
}

/// A server with these mails, numbered from the one behind `last`, under this UIDVALIDITY.
fn numbered(validity: u32, last: usize, mails: Vec<String>) -> Behaviour {
    let listing = (1..).zip(&mails).map(|(number, mail)| {
        format!(
            "* {number} FETCH (UID {} RFC822.SIZE {} FLAGS () INTERNALDATE \
             \"22-Nov-2026 10:00:00 +0000\")\r\n",
            last + number,
            mail.len()
        )
    });
    let listing = listing.collect::<String>() + "%T OK listed\r\n";
    let exists = format!(
        "* {} EXISTS\r\n* OK [UIDVALIDITY {validity}] valid\r\n%T OK [READ-WRITE] open\r\n",
        mails.len()
    );
    let bodies = move |command: &str| {
        let asked = command.split(' ').nth(2).unwrap();
        let (from, to) = asked.split_once(':').unwrap_or((asked, asked));
        let asked = from.parse::<usize>().unwrap()..=to.parse::<usize>().unwrap();
        let asked = asked.map(|uid| {
            let (number, mail) = (uid - last, &mails[uid - last - 1]);
            let size = mail.len();
            format!("* {number} FETCH (UID {uid} BODY[] {{{size}}}\r\n{mail})\r\n")
        });
        asked.collect::<String>() + "%T OK fetched\r\n"
    };
    imap::proper()
        .but("SELECT", say(&exists))
        .but("FETCH 1:", say(&listing))
        .but("UID FETCH", Make::with(bodies))
}

/// Message `number` as its author sent it.
fn sent(number: usize) -> String {
    format!(
        "Received: from a.example by b.example; Sun, 22 Nov 2026 10:00:00 +0000\r\n\
         From: Eve <eve@customer.example>\r\nTo: support@desk.example\r\n\
         Subject: question {number}\r\nMessage-ID: <r{number}@customer.example>\r\n\
         Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         Wo bleibt Größe {number}?\r\n"
    )
}

/// The same after a move to another server, which writes it in its own way.
fn rendered_anew(number: usize) -> String {
    format!(
        "Received: from c.example by d.example; Mon, 23 Nov 2026 10:00:00 +0000\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=\"UTF-8\"\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\
         Message-ID:\r\n <r{number}@customer.example>\r\n\
         Date: Sun, 22 Nov 2026 11:00:00 +0100\r\nSubject: =?utf-8?Q?question_{number}?=\r\n\
         To: <support@desk.example>\r\nFrom: \"Eve\" <eve@customer.example>\r\n\r\n\
         Wo bleibt Gr=C3=B6=\r\n=C3=9Fe {number}?\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_moved_and_was_rendered_anew_brings_no_second_ticket() {
    let mut ward = Ward::new();
    let before = || numbered(7, 10, (1..=3).map(sent).collect());
    ward.admit("moved", "imap", before(), before()).await;
    ward.patients[0].after = "keep";
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    daemon.mails(3).await;
    let tickets = || daemon.app().handle().store.ticket_count().unwrap();
    assert_eq!(tickets(), 3);
    let recorded = |count: usize| {
        assert!(
            !is_ill(&daemon, "moved"),
            "{:?}",
            condition(&daemon, "moved", ConditionKind::Ready)
        );
        (records(&daemon).len() >= count).then_some(())
    };
    ward.patients[0].server.now(numbered(8, 100, (1..=3).map(rendered_anew).collect()));
    until("the mails under their new numbers", || recorded(6)).await;
    let known = records(&daemon);
    assert!(known[3..].iter().all(|mail| mail.outcome == Outcome::Duplicate), "{known:?}");
    assert_eq!(tickets(), 3);
    let content = metric(&daemon, "postroom_intake_duplicates_total{key=\"content\"}");
    assert_eq!(content, Some(3.0), "no bytes are the same");
    let changes = metric(&daemon, "postroom_account_uidvalidity_changes_total{account=\"moved\"}");
    assert_eq!(changes, Some(1.0));

    ward.patients[0].server.now(numbered(8, 100, (1..=4).map(rendered_anew).collect()));
    until("a new mail", || recorded(7)).await;
    assert_eq!(tickets(), 4);
    assert!(is_ready(&daemon, "moved"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undeclared_account_hears_nothing_more() {
    let mut ward = Ward::new();
    ward.admit_imap("leaving", "UID FETCH", vec![Act::Hang]).await;
    ward.admit_imap("waiting", "IDLE", say("+ waiting\r\n")).await;
    let accounts = ward
        .accounts("")
        .replace("idle: \"off\"", "idle: auto")
        .replace("timeout: 2s", "timeout: 60s");
    let daemon = Daemon::start(&desk(&accounts)).await;
    until("a fetch", || ward.plain("leaving").contains("UID FETCH").then_some(())).await;
    until("a wait", || ward.plain("waiting").contains("IDLE").then_some(())).await;
    daemon.write(&desk(""));
    let handle = daemon.app().handle();
    until("a desk without them", || {
        (handle.running.load().config.accounts.len() == 1).then_some(())
    })
    .await;
    let longest = meanwhile(&daemon, "three mails", || true).await;
    assert!(longest < LAG_MAX);
    let heard = (ward.plain("leaving"), ward.plain("waiting"));
    let longest = meanwhile(&daemon, "three more", || true).await;
    assert!(longest < LAG_MAX);
    assert_eq!((ward.plain("leaving"), ward.plain("waiting")), heard);
    assert!(!heard.0.contains("STORE"));
    let text = daemon.app().handle().metrics.text();
    let left: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("\"leaving\"") || line.contains("\"waiting\""))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    daemon.write(&desk(&ward.accounts("")));
    everything_arrives_once(&daemon, &ward).await;
}

/// A message that the server lists and never gives, in one way or another, is noted in quarantine at
/// the fifth time, stays on the server, and keeps no other from us. Released, it is asked for again.
async fn check_never_given(alone: Vec<Act>, together: Vec<Act>, said: &str) {
    let [one, _] = imap::MAILS;
    let size = one.len();
    let given =
        format!("* 1 FETCH (UID 11 RFC822.SIZE {size} BODY[] {{{size}}}\r\n{one})\r\n%T OK\r\n");
    let ill = imap::proper()
        .but("UID FETCH 11:12", together)
        .but("UID FETCH 11 ", say(&given))
        .but("UID FETCH 12 ", alone);
    let mut ward = Ward::new();
    ward.admit("ill", "imap", imap::proper(), ill).await;
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    let handle = daemon.app().handle();
    let both = || {
        let known = records(&daemon);
        let known: Vec<_> = of(&known, "ill").into_iter().cloned().collect();
        (known.len() == 2).then_some(known)
    };
    let mut known = None;
    while known.is_none() {
        handle.fetch_now("ill").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        known = both();
    }
    let known = known.unwrap();
    assert_eq!(known[0].outcome, Outcome::Created, "the other mail is a ticket");
    let Outcome::Quarantined { reason } = &known[1].outcome else { panic!("{:?}", known[1]) };
    assert!(reason.contains("INBOX;7;12 (22 bytes)") && reason.contains(said), "{reason}");
    assert_eq!(handle.store.quarantine_count().unwrap(), 1);
    let heard = ward.plain("ill");
    assert!(heard.matches("UID FETCH 12 ").count() >= 4, "{heard}");
    assert!(heard.contains("UID STORE 11 ") && !heard.contains("UID STORE 12"), "{heard}");
    assert!(!heard.contains("UID STORE 11:12"), "{heard}");
    assert_eq!(handle.store.verify().unwrap(), Vec::<String>::new());

    ward.heal();
    let [_, two] = imap::MAILS;
    let size = two.len();
    let given =
        format!("* 2 FETCH (UID 12 RFC822.SIZE {size} BODY[] {{{size}}}\r\n{two})\r\n%T OK\r\n");
    ward.patients[0].server.now(imap::proper().but("UID FETCH 12 ", say(&given)));
    assert_eq!(handle.release(known[1].id).await, Ok(Released::AskedAgain));
    assert!(handle.release(known[1].id).await.is_err(), "once is enough");
    until("the mail that is given now", || {
        let known = records(&daemon);
        let known = of(&known, "ill");
        (known.len() == 3 && known[2].outcome == Outcome::Created).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_mail_that_the_server_refuses_is_given_up_alone() {
    let [one, _] = imap::MAILS;
    let size = one.len();
    let one =
        format!("* 1 FETCH (UID 11 RFC822.SIZE {size} BODY[] {{{size}}}\r\n{one})\r\n%T OK\r\n");
    let no = say("%T NO [SERVERBUG] cannot read it\r\n");
    check_never_given(no, say(&one), "did not give it, 5 times").await;
}

#[tokio::test]
async fn a_mail_that_breaks_the_session_is_given_up_alone() {
    let nonsense = say("HTTP/1.1 400 Bad Request\r\n");
    check_never_given(nonsense.clone(), nonsense, "gave no proper answer").await;
}

/// A server that does not know its next UID is not taken for one that was set back.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_uidnext_is_no_new_numbering() {
    let mut ward = Ward::new();
    let selected = "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 1] x\r\n%T OK x\r\n";
    ward.admit_imap("forgetful", "SELECT", say(selected)).await;
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    let looks = "postroom_poll_runs_total{account=\"forgetful\",result=\"success\"}";
    until("three looks", || metric(&daemon, looks).filter(|looks| *looks >= 3.0)).await;
    assert_eq!(of(&records(&daemon), "forgetful").len(), 2);
    let changes = "postroom_account_uidvalidity_changes_total{account=\"forgetful\"}";
    assert_eq!(metric(&daemon, changes), None);
}

/// Sizes too small, too large, zero and none, each with what may become of the mails: all of them
/// are tickets, and the server hears what was declared.
#[tokio::test(flavor = "multi_thread")]
async fn sizes_that_are_wrong_keep_no_mail_from_its_ticket() {
    let mut ward = Ward::new();
    let ways = [
        ("delete", "UID EXPUNGE 11:12"),
        ("seen", "UID STORE 11:12 +FLAGS.SILENT (\\Seen)"),
        ("{move: Done}", "UID MOVE 11:12 \"Done\""),
        ("keep", "LOGOUT"),
    ];
    let mut expected = Vec::new();
    for (index, size) in ["0", "1", "1400", "90000"].into_iter().enumerate() {
        for (way, (after, command)) in ways.into_iter().enumerate() {
            let listing = format!(
                "* 1 FETCH (UID 11 RFC822.SIZE {size} FLAGS () INTERNALDATE NIL)\r\n\
                 * 2 FETCH (UID 12 FLAGS () RFC822.SIZE {size})\r\n%T OK\r\n"
            );
            let behaviour = imap::proper().but("FETCH 1:2 ", say(&listing));
            let name = format!("imap-{index}-{way}");
            ward.admit(&name, "imap", behaviour.clone(), behaviour).await;
            ward.patients.last_mut().unwrap().after = after;
            expected.push((name, command));
        }
        for (way, (after, command)) in [("delete", "DELE 2"), ("keep", "QUIT")].iter().enumerate() {
            let listing = format!("+OK\r\n1 {size}\r\n2 {size}\r\n.\r\n");
            let behaviour = pop3::proper().but("LIST", say(&listing));
            let name = format!("pop-{index}-{way}");
            ward.admit(&name, "pop3", behaviour.clone(), behaviour).await;
            ward.patients.last_mut().unwrap().after = *after;
            expected.push((name, *command));
        }
    }
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    for (name, command) in expected {
        let taken = || {
            let known = records(&daemon);
            let known = of(&known, &name);
            let created = known.iter().all(|record| record.outcome == Outcome::Created);
            (known.len() == 2 && created && ward.plain(&name).contains(command)).then_some(())
        };
        until(&name, taken).await;
    }
    let handle = daemon.app().handle();
    assert_eq!(handle.store.quarantine_count().unwrap(), 0);
    assert_eq!(handle.store.verify().unwrap(), Vec::<String>::new());
}

/// The hour passes on the monotonic clock of the poller; the server and its sockets are real.
#[tokio::test]
async fn an_account_that_fails_for_an_hour_names_the_mail_and_the_answer() {
    let ill = imap::proper()
        .but("UID FETCH 11:12", say("HTTP/1.1 400 Bad Request\r\n"))
        .but("UID FETCH 11 ", say("HTTP/1.1 400 Bad Request\r\n"));
    let mut ward = Ward::new();
    ward.admit("ill", "imap", imap::proper(), ill).await;
    ward.admit_imap("locked", "LOGIN", say("%T NO [AUTHENTICATIONFAILED] who are you?\r\n")).await;
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    let handle = daemon.app().handle();
    let said = |name: &str| {
        condition(&daemon, name, ConditionKind::Ready).map(|(_, _, said)| said).unwrap_or_default()
    };
    let failing = |name: &str, reason: &str| {
        let series = format!("postroom_account_failing{{account=\"{name}\",reason=\"{reason}\"}}");
        metric(&daemon, &series)
    };
    for name in ["ill", "locked"] {
        until("a failure", || is_ill(&daemon, name).then_some(())).await;
        assert!(!said(name).contains("every look has failed"), "{}", said(name));
    }
    assert_eq!(failing("ill", "protocol"), None);
    tokio::time::pause();
    tokio::time::advance(poller::LONG_AFTER).await;
    tokio::time::resume();
    handle.fetch_now("ill").await;
    handle.fetch_now("locked").await;
    until("the words of both", || {
        let mail =
            said("ill").contains("mail UID 1") && said("ill").contains("while it was fetched");
        (mail && said("locked").contains("every look has failed for 6")).then_some(())
    })
    .await;
    assert!(said("ill").contains("every look has failed for 6"), "{}", said("ill"));
    assert!(said("locked").contains("who are you?"), "{}", said("locked"));
    assert_eq!((failing("ill", "protocol"), failing("locked", "login")), (Some(1.0), Some(1.0)));
    ward.heal();
    handle.fetch_now("ill").await;
    handle.fetch_now("locked").await;
    until("both to be well", || {
        (is_ready(&daemon, "ill") && is_ready(&daemon, "locked")).then_some(())
    })
    .await;
    assert_eq!((failing("ill", "protocol"), failing("locked", "login")), (Some(0.0), Some(0.0)));
}

/// A message without UID stays on the server; noted in quarantine it keeps neither the others nor the
/// account, and what the ledger knows is not believed gone because of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_listed_without_a_name_is_given_up_alone() {
    let [_, two] = imap::MAILS;
    let listing = format!("* 2 FETCH (UID 12 RFC822.SIZE {} FLAGS ())\r\n%T OK\r\n", two.len());
    let body = format!("* 2 FETCH (UID 12 BODY[] {{{}}}\r\n{two})\r\n%T OK\r\n", two.len());
    let nameless = imap::proper()
        .but("FETCH 1:2 ", say(&listing))
        .but("FETCH 1 (UID FLAGS)", say("* 1 FETCH (UID NIL INTERNALDATE NIL)\r\n%T OK\r\n"))
        .but("UID FETCH 12 ", say(&body));
    let mut ward = Ward::new();
    ward.admit("imap", "imap", nameless.clone(), nameless).await;
    let nameless = pop3::proper().but("UIDL 2", say("+OK 2 id-two\r\n"));
    let nameless = nameless.but("UIDL", say("+OK\r\n1\r\n2 id-two\r\n.\r\n"));
    // The deletion asks for the one that has a name.
    let nameless = nameless.but("UIDL 2", say("+OK 2 id-two\r\n"));
    ward.admit("pop", "pop3", nameless.clone(), nameless).await;
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    let handle = daemon.app().handle();
    for name in ["imap", "pop"] {
        let known = until(name, || {
            let known: Vec<_> = of(&records(&daemon), name).into_iter().cloned().collect();
            (known.len() == 2).then_some(known)
        })
        .await;
        assert_eq!(known[0].outcome, Outcome::Created, "{name}");
        let Outcome::Quarantined { reason } = &known[1].outcome else { panic!("{:?}", known[1]) };
        assert!(reason.contains("unlisted-1") && reason.contains("5 times"), "{reason}");
        until("a session that goes well", || is_ready(&daemon, name).then_some(())).await;
    }
    assert_eq!(handle.store.quarantine_count().unwrap(), 2);
    let (imap, pop) = (ward.plain("imap"), ward.plain("pop"));
    assert!(imap.contains("UID EXPUNGE 12") && !imap.contains("UID EXPUNGE 11"), "{imap}");
    assert!(pop.contains("DELE 2") && !pop.contains("DELE 1"), "{pop}");
}

/// A mail that is announced as small and exceeds `maxSize` is oversize, as if it were announced.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_exceeds_the_limit_while_it_comes_is_oversize() {
    let header = "Subject: one\r\n\r\n";
    let large = format!("{header}{}", "0123456789abcd\r\n".repeat(200_000));
    let length = large.len();
    let piece =
        format!("* 1 FETCH (UID 11 BODY[HEADER]<0> {{{}}}\r\n{header})\r\n%T OK\r\n", header.len());
    let [_, two] = imap::MAILS;
    let bodies = format!(
        "* 1 FETCH (UID 11 BODY[] {{{length}}}\r\n{large})\r\n\
         * 2 FETCH (UID 12 BODY[] {{{}}}\r\n{two})\r\n%T OK\r\n",
        two.len()
    );
    let mut ward = Ward::new();
    let understated = imap::proper()
        .but("UID FETCH 11:12", say(&bodies))
        .but("UID FETCH 11 (UID BODY.PEEK[HEADER]", say(&piece));
    ward.admit("imap", "imap", understated.clone(), understated).await;
    let understated = pop3::proper().but("RETR 1", say(&format!("+OK\r\n{large}.\r\n")));
    ward.admit("pop", "pop3", understated.clone(), understated).await;
    let limits = ", maxSize: 100KiB, oversize: quarantine";
    let daemon = Daemon::start(&desk(&ward.accounts(limits))).await;
    for name in ["imap", "pop"] {
        let known = until(name, || {
            let known: Vec<_> = of(&records(&daemon), name).into_iter().cloned().collect();
            (known.len() == 2).then_some(known)
        })
        .await;
        let created = known.iter().filter(|record| record.outcome == Outcome::Created).count();
        let oversize = |outcome: &Outcome| matches!(outcome, Outcome::Quarantined { .. });
        assert_eq!(created, 1, "{known:?}");
        assert!(known.iter().any(|record| oversize(&record.outcome)), "{known:?}");
        until("a session that goes well", || is_ready(&daemon, name).then_some(())).await;
    }
    let (imap, pop) = (ward.plain("imap"), ward.plain("pop"));
    assert!(!imap.contains("UID EXPUNGE 11") && !pop.contains("DELE 1"), "it stays: {imap}{pop}");
    assert_eq!(imap.matches(" LOGIN ").count(), imap.matches(" LOGOUT").count(), "{imap}");
}

/// RFC 1939 section 7 lets a server give the unique id of a mail that is gone to another one: each is
/// one ticket, and none is deleted unread. Those that have the same id at once are taken one by one
/// where they are deleted, and refused where they stay.
#[tokio::test(flavor = "multi_thread")]
async fn pop3_mails_that_share_a_unique_id_are_one_ticket_each() {
    let mail =
        |text: &str| format!("From: eve@customer.example\r\nSubject: {text}\r\n\r\n{text}\r\n");
    let holding = |mails: &[&str]| {
        let texts: Vec<String> = mails.iter().map(|text| mail(text)).collect();
        let lines = |line: &dyn Fn(usize) -> String| {
            let lines: String = (1..=mails.len()).map(|n| format!("{n} {}\r\n", line(n))).collect();
            say(&format!("+OK\r\n{lines}.\r\n"))
        };
        let mut behaviour = pop3::proper()
            .but("LIST", lines(&|number| texts[number - 1].len().to_string()))
            .but("UIDL", lines(&|_| "same".to_owned()));
        for (command, text) in ["RETR 1", "RETR 2"].into_iter().zip(&texts) {
            behaviour = behaviour.but(command, say(&format!("+OK\r\n{text}.\r\n")));
        }
        behaviour.but("UIDL 1", say("+OK 1 same\r\n")).but("UIDL 2", say("+OK 2 same\r\n"))
    };
    let mut ward = Ward::new();
    // The end of the session is lost: whether the first mail is gone is not known here.
    let first = holding(&["one"]).but("QUIT", vec![Act::Close]);
    ward.admit("deletes", "pop3", holding(&[]), first).await;
    ward.admit("keeps", "pop3", holding(&[]), holding(&["one", "two"])).await;
    ward.patients.last_mut().unwrap().after = "keep";
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    let created = |count: usize| {
        let known = records(&daemon);
        let all = of(&known, "deletes");
        assert!(all.iter().all(|record| record.outcome == Outcome::Created), "{all:?}");
        (all.len() == count).then_some(())
    };
    until("the first mail", || created(1)).await;
    until("a deletion", || ward.plain("deletes").contains("DELE 1").then_some(())).await;
    let server = &ward.patients[0].server;
    server.now(holding(&["two", "three"]));
    until("the second mail", || created(2)).await;
    server.now(holding(&["three"]));
    until("the third mail", || created(3)).await;
    let looks = "postroom_poll_runs_total{account=\"deletes\",result=\"success\"}";
    let before = metric(&daemon, looks).unwrap_or_default();
    until("two more looks", || metric(&daemon, looks).filter(|now| *now >= before + 2.0)).await;
    assert!(created(3).is_some());
    let heard = ward.plain("deletes");
    assert!(!heard.contains("DELE 2"), "{heard}");
    for session in heard.split("USER ") {
        let fetched = session.find("RETR 1");
        assert!(session.find("DELE 1").is_none_or(|at| fetched.is_some_and(|f| f < at)), "{heard}");
    }
    until("the other to say why", || is_ill(&daemon, "keeps").then_some(())).await;
    check_reason(&daemon, "keeps", "Unsupported");
    assert_eq!(of(&records(&daemon), "keeps").len(), 0);
    assert!(!ward.plain("keeps").contains("RETR"));
}

/// Without UIDL mails are known by their bytes: with `delete` each is one ticket, also where the
/// server forgets what it was told; what must know them by name is refused and says why.
#[tokio::test(flavor = "multi_thread")]
async fn pop3_without_uidl_makes_one_ticket_of_each_mail_or_says_why_not() {
    let old = || {
        pop3::proper()
            .but("CAPA", say("-ERR unknown\r\n"))
            .but("UIDL", say("-ERR unknown\r\n"))
            .but("TOP", say("-ERR unknown\r\n"))
    };
    let mut ward = Ward::new();
    ward.admit("deletes", "pop3", old(), old()).await;
    ward.admit("keeps", "pop3", old(), old()).await;
    ward.patients.last_mut().unwrap().after = "keep";
    let daemon = Daemon::start(&desk(&ward.accounts(""))).await;
    let looks = "postroom_poll_runs_total{account=\"deletes\",result=\"success\"}";
    until("three looks", || metric(&daemon, looks).filter(|looks| *looks >= 3.0)).await;
    let known = records(&daemon);
    let created =
        of(&known, "deletes").iter().filter(|record| record.outcome == Outcome::Created).count();
    assert_eq!(created, 2, "{known:?}");
    let deletes = ward.plain("deletes");
    assert!(deletes.contains("DELE 1") && deletes.contains("DELE 2"), "{deletes}");
    until("the other to say why", || is_ill(&daemon, "keeps").then_some(())).await;
    check_reason(&daemon, "keeps", "Unsupported");
    assert!(!ward.plain("keeps").contains("RETR"));
    assert_eq!(of(&records(&daemon), "keeps").len(), 0);
}
