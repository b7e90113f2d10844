//! The real program over the quickstart: one process, its commands, its exit codes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use postroom::core::mail;

use crate::peers::Dovecot;

/// A test that waits longer than this for something has found a fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running daemon with a copy of the quickstart.
struct Desk {
    folder: tempfile::TempDir,
    child: Child,
    url: String,
    log: Arc<Mutex<Vec<String>>>,
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// A desk of known customers only, with one mail of a stranger.
const STRANGERS: &str = "version: 1
intake: {customers: declared}
mailAccounts:
  demo: {type: maildir, path: mail, dispatch: {by: recipient}, since: all, afterFetch: keep}
";
const STRANGER: &str = "From: Mallory <mallory@elsewhere.example>\r\nTo: support@desk.example\r\n\
    Subject: let me in\r\nMessage-ID: <1@elsewhere.example>\r\n\r\nplease\r\n";

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_postroom"));
    program.args(arguments).current_dir(folder).env_clear();
    program
}

/// A copy of the quickstart in `elsewhere/quickstart`: not where the daemon is started.
fn quickstart() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    let to = folder.path().join("elsewhere/quickstart");
    copy(&from, &to);
    // What an earlier run in the working tree sent is not part of the example.
    let _ = fs::remove_dir_all(to.join("outgoing"));
    folder
}

const FILES: &str = "elsewhere/quickstart";

impl Desk {
    fn start() -> Desk {
        Desk::over(quickstart())
    }

    /// Starts one over the files in this folder.
    fn over(folder: tempfile::TempDir) -> Desk {
        Desk::with(folder, &[])
    }

    /// Starts one with more options.
    fn with(folder: tempfile::TempDir, options: &[&str]) -> Desk {
        let mut child = program(folder.path(), &["run", "-c", FILES, "--listen", "127.0.0.1:0"])
            .args(options)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()).lines(), log.clone());
        std::thread::spawn(move || lines.for_each(|line| kept.lock().unwrap().push(line.unwrap())));
        let mut desk = Desk { folder, child, url: String::new(), log };
        let line = desk.line("listening on ");
        let url = line.split("listening on ").nth(1).unwrap().split(' ').next().unwrap();
        desk.url = url.to_owned();
        desk
    }

    /// The first line of the log with these words.
    #[track_caller]
    fn line(&self, words: &str) -> String {
        let began = Instant::now();
        loop {
            let found = self.log.lock().unwrap().iter().find(|it| it.contains(words)).cloned();
            match found {
                Some(line) => return line,
                None => assert!(began.elapsed() < PATIENCE, "{words}: {:#?}", self.log.lock()),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(FILES).join(name)
    }

    /// A command that asks this daemon.
    fn asked(&self, arguments: &[&str]) -> Output {
        program(self.folder.path(), arguments).args(["--url", &self.url]).output().unwrap()
    }

    #[track_caller]
    fn check(&self, arguments: &[&str], exit: i32, words: &str) -> String {
        told(&self.asked(arguments), arguments, exit, words)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn told(output: &Output, arguments: &[&str], exit: i32, words: &str) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    let all = String::from_utf8(all).unwrap();
    assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {all}");
    assert!(all.contains(words), "{arguments:?} should say {words:?}:\n{all}");
    all
}

/// A command that asks nobody.
#[track_caller]
fn check(folder: &Path, arguments: &[&str], exit: i32, words: &str) -> String {
    told(&program(folder, arguments).output().unwrap(), arguments, exit, words)
}

#[test]
fn every_mail_is_told_in_one_line() {
    let desk = Desk::start();
    let line = desk.line("The app forgets my language");
    assert!(line.contains(" info created "), "{line}");
    assert!(line.contains(" in support: \"The app forgets my language\" from Eve"), "{line}");
    assert!(line.contains("autoReply: thanks to eve@customer.example"), "{line}");
    assert!(!line.contains("postroom::"), "{line}");
    desk.line("look with: postroom status");
    desk.line("held back: autoSubmitted");
}

#[test]
fn programs_get_the_same_line_with_its_parts() {
    let desk = Desk::with(quickstart(), &["--log-format", "json"]);
    let line = desk.line("The app forgets my language");
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["target"], "postroom::mail");
    assert_eq!(event["account"], "demo");
    assert_eq!(event["outcome"], "created");
    assert_eq!(event["ticket"].as_str().map(str::len), Some(16));
    assert!(event["why"].as_str().unwrap().contains("queue: support"), "{line}");
}

#[test]
fn an_edit_that_loses_most_accounts_is_held_back() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join(FILES);
    let mut yaml = "version: 1\nmailAccounts:\n".to_owned();
    for name in ["a", "b", "c", "d", "e", "f"] {
        for part in ["new", "cur", "tmp"] {
            fs::create_dir_all(files.join(name).join(part)).unwrap();
        }
        yaml += &format!(
            "  {name}: {{type: maildir, path: {name}, dispatch: {{by: recipient}}, afterFetch: keep}}\n"
        );
    }
    fs::write(files.join("desk.yaml"), &yaml).unwrap();
    let desk = Desk::over(folder);
    let one: String = yaml.lines().take(3).map(|line| format!("{line}\n")).collect();
    fs::write(desk.path("desk.yaml"), one).unwrap();
    desk.check(&["plan", "-c", FILES], 2, "- delete   mailAccounts.b");
    desk.check(&["reload"], 1, "would remove 5 of 6 mail accounts");
    desk.check(&["status"], 1, "postroom reload --allow-mass-delete");
    desk.check(&["reload", "--allow-mass-delete"], 0, "applied");
    desk.check(&["status", "--wait"], 0, "mailAccount  a ");
}

#[test]
fn commands_about_a_running_desk() {
    let desk = Desk::start();
    desk.line("mailbox read");
    desk.check(&["status", "--wait"], 0, "mailAccount  demo   yes");
    let mails = desk.check(&["mails", "ls"], 0, "パスワードを忘れました");
    let number = mails.lines().find(|it| it.contains("髙橋")).unwrap();
    let number = number.split_whitespace().find(|it| it.len() == 16).unwrap();
    desk.check(&["tickets", "show", number], 0, "①請求書の宛名");
    desk.check(&["tickets", "ls", "--queue", "sales"], 0, "Quote for 25 seats");
    desk.check(&["tickets", "show", "2026010110000000"], 1, "there is no ticket");
    desk.check(&["mails", "show", "1"], 0, "recipient: To: support@desk.example");
    desk.check(&["outbox", "ls"], 0, number);
    desk.check(&["quarantine", "ls"], 0, "none");
    desk.check(&["reload"], 0, "unchanged");
    desk.check(&["status", "--token", "wrong"], 1, "unknown, disabled or expired");
    // What the desk sent lies beside its files, not where it was started.
    assert!(desk.path("outgoing").is_dir());
}

/// Subject and text of the first mail that was sent to this address.
fn sent_to(desk: &Desk, address: &str) -> (String, String) {
    let began = Instant::now();
    loop {
        let sent = fs::read_dir(desk.path("outgoing")).into_iter().flatten();
        let mails = sent.map(|entry| entry.unwrap().path());
        let mut mails: Vec<PathBuf> =
            mails.filter(|path| path.extension().is_some_and(|it| it == "eml")).collect();
        mails.sort();
        let mut mails = mails.iter().map(|path| mail::parse(&fs::read(path).unwrap()));
        let wanted = |mail: &mail::Mail| {
            mail.to.iter().filter_map(|to| to.address.as_ref()).any(|to| to.to_string() == address)
        };
        if let Some(mail) = mails.find(wanted) {
            return (mail.subject.clone(), mail.text.clone());
        }
        assert!(began.elapsed() < PATIENCE, "nothing was sent to {address}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn everybody_is_written_to_in_his_language() {
    let desk = Desk::start();
    let (subject, text) = sent_to(&desk, "kenji@desk.example");
    assert!(subject.contains("新しいチケット: The app forgets my language"), "{subject}");
    assert!(text.starts_with("健二 様\n") && text.contains("> Hello,"), "{text}");
    let (subject, text) = sent_to(&desk, "hanako@customer.example");
    assert!(subject.ends_with(" お問い合わせを受け付けました"), "{subject}");
    assert!(text.contains("受付番号は 20") && text.contains("ご返信"), "{text}");
    let (subject, _) = sent_to(&desk, "eve@customer.example");
    assert!(subject.ends_with(" We received your mail"), "{subject}");
}

#[test]
fn an_edit_is_planned_and_carried_out() {
    let desk = Desk::start();
    let plan = ["plan", "-c", FILES];
    desk.check(&plan, 0, "nothing changes");
    let before = desk.folder.path().join("before");
    copy(&desk.path(""), &before);
    // The same files elsewhere are no change; an edit is one, with and without a daemon.
    desk.check(&["plan", "-c", "before"], 0, "nothing changes");
    let people = fs::read_to_string(desk.path("people.yaml")).unwrap();
    fs::write(before.join("people.yaml"), people.replace("name: Alice", "name: Alicia")).unwrap();
    desk.check(&["plan", "-c", "before"], 2, "users.alice");
    check(desk.folder.path(), &["diff", FILES, "before"], 2, "users.alice");
    check(desk.folder.path(), &["diff", FILES, FILES], 0, "nothing changes");
    fs::copy(before.join("people.yaml"), desk.path("people.yaml")).unwrap();
    desk.line("change users.alice");
    desk.check(&plan, 0, "nothing changes");
    // A mistake changes nothing, and everybody says so.
    fs::write(desk.path("people.yaml"), people.replace("role: user", "role: usher")).unwrap();
    let place = "people.yaml:22:11";
    desk.check(&plan, 3, place);
    desk.check(&["reload"], 3, place);
    desk.check(&["status"], 1, place);
    desk.line("configuration refused; what runs stays");
}

#[test]
fn a_second_daemon_leaves_the_first_alone() {
    let desk = Desk::start();
    desk.line("mailbox read");
    let second = ["run", "-c", FILES, "--listen", "127.0.0.1:0"];
    check(desk.folder.path(), &second, 75, "another daemon runs on this store");
    let address = desk.url.strip_prefix("http://").unwrap();
    let other = ["run", "-c", FILES, "--data", "other", "--listen", address];
    check(desk.folder.path(), &other, 1, "choose another address with --listen");
    check(desk.folder.path(), &["store", "verify"], 1, "end the daemon first");
    desk.check(&["status"], 0, "demo");
}

#[test]
fn a_store_is_copied_verified_and_shrunk() {
    let desk = Desk::start();
    desk.line("mailbox read");
    let folder = desk.folder.path();
    desk.check(&["store", "backup", "copy"], 0, "copied the store to");
    desk.check(&["store", "backup", "copy"], 1, "copy");
    check(folder, &["store", "verify", "--data", "copy"], 0, "everything holds together");
    check(folder, &["store", "compact", "--data", "copy"], 0, "bytes now");
    check(folder, &["store", "verify", "--data", "copy"], 0, "everything holds together");
    // The copy runs on its own, and plans know what ran last.
    let nobody =
        format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let plan = ["plan", "-c", FILES, "--data", "copy", "--url", &nobody];
    check(folder, &plan, 0, "kept in copy");
}

#[test]
fn a_mail_is_released_from_quarantine() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join(FILES);
    for part in ["new", "cur", "tmp"] {
        fs::create_dir_all(files.join("mail").join(part)).unwrap();
    }
    fs::write(files.join("desk.yaml"), STRANGERS).unwrap();
    fs::write(files.join("mail/new/1"), STRANGER).unwrap();
    let desk = Desk::over(folder);
    let line = desk.line("see `postroom quarantine show 1`");
    assert!(line.contains("warning quarantined: \"let me in\" from Mallory"), "{line}");
    desk.check(&["quarantine", "ls"], 0, "mallory@elsewhere.example");
    desk.check(&["quarantine", "show", "1"], 0, "reason");
    let raw = desk.asked(&["quarantine", "show", "1", "--raw"]).stdout;
    assert_eq!(String::from_utf8(raw).unwrap(), STRANGER);
    desk.check(&["quarantine", "release", "1"], 0, "created");
    desk.check(&["tickets", "ls"], 0, "let me in");
    desk.check(&["quarantine", "ls"], 0, "none");
    desk.check(&["quarantine", "release", "1"], 1, "was dealt with at");
    desk.check(&["quarantine", "drop", "1"], 1, "there is no quarantined mail");
}

/// A `probe` over an account and a server of this kind, both at this port.
#[track_caller]
fn check_probe(account: &str, port: u16, name: &str, exit: i32, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "pass").unwrap();
    let yaml = format!(
        "version: 1\nmailAccounts:\n  box: {{type: {account}, host: localhost, port: {port}, \
         username: eve, password: {{file: secret}}, connectTimeout: 5s, timeout: 5s, \
         dispatch: {{by: recipient}}, afterFetch: keep}}\n\
         smtp:\n  relay: {{type: smtps, host: localhost, port: {port}, timeout: 5s}}\n"
    );
    fs::write(folder.path().join("desk.yaml"), yaml).unwrap();
    let said = check(folder.path(), &["probe", name, "-c", "."], exit, "");
    for words in words {
        assert!(said.contains(words), "{account} {name} should say {words:?}:\n{said}");
    }
}

#[test]
fn probes_say_what_failed_and_what_to_do() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let hint = "hint: are `host` and `port` right";
    check_probe("imaps", closed, "box", 1, &["Connection refused", hint]);
    check_probe("imaps", closed, "relay", 1, &["Connection refused", hint]);
    let Some(dovecot) = Dovecot::start() else { return };
    dovecot.add_user("eve", "other");
    let login = ["ok  tcp ", "postroom: login: login was refused", "hint: are `username`"];
    check_probe("imap", dovecot.imap, "box", 1, &login);
    check_probe("pop3", dovecot.pop3, "box", 1, &login);
    let certificate =
        ["ok  tcp ", "postroom: tls: certificate", "`tls: {pin: [\"", "tls: {ca: FILE}"];
    check_probe("imaps", dovecot.imaps, "box", 1, &certificate);
    // A server that begins in plain text, asked in TLS.
    check_probe("imaps", dovecot.imap, "box", 1, &["does the type fit the port?"]);
    check_probe("imaps", dovecot.imap, "relay", 1, &["does the type fit the port?"]);
}

#[test]
fn a_probe_that_works() {
    let Some(dovecot) = Dovecot::start() else { return };
    dovecot.add_user("eve", "pass");
    dovecot.deliver("eve", STRANGER.as_bytes());
    let ok = [
        "ok  login     with the password",
        "ok  folder    INBOX can be used",
        "ok  messages  1, ",
        "IDLE",
    ];
    check_probe("imap", dovecot.imap, "box", 0, &ok);
    check_probe(
        "pop3",
        dovecot.pop3,
        "box",
        0,
        &["ok  messages  1, ", "ok  news      polled, no IDLE"],
    );
    assert_eq!(dovecot.count("eve", ""), 1, "nothing is taken away");
}

#[test]
fn broken_files_at_a_start() {
    let folder = quickstart();
    let rules = folder.path().join(FILES).join("rules.yaml");
    let good = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, good.replace("queue: sales", "queue: sails")).unwrap();
    let run = ["run", "-c", FILES, "--listen", "127.0.0.1:0"];
    let said = check(folder.path(), &run, 78, "rules.yaml:9:18");
    assert!(said.contains("did you mean") || said.contains("hint:"), "{said}");
    // Nothing was begun that a later start would take for an earlier revision.
    check(folder.path(), &run, 78, "queue \"sails\" is not declared");
}

#[test]
fn declared_tests_are_run() {
    let folder = quickstart();
    let tests = folder.path().join(FILES).join("tests.yaml");
    let mail = fs::read_dir(folder.path().join(FILES).join("mail/new")).unwrap();
    let mut names: Vec<String> =
        mail.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let write = |queue: &str| {
        let text = format!(
            "version: 1\ntests:\n  - name: the first mail\n    mail: {{file: mail/new/{}, account: demo}}\n    \
             expect: {{outcome: created, queue: {queue}, autoReply: thanks, notified: [kenji, alice], filters: []}}\n",
            names[0]
        );
        fs::write(&tests, text).unwrap();
    };
    write("support");
    check(folder.path(), &["test", "-c", FILES], 0, "1 test, 0 failed");
    write("sales");
    let said = check(folder.path(), &["test", "-c", FILES], 4, "queue is support, not sales");
    assert!(said.contains("failed the first mail"), "{said}");
    write("nowhere");
    check(folder.path(), &["test", "-c", FILES], 3, "is not declared");
}

#[test]
fn explained_without_a_daemon() {
    let folder = quickstart();
    let new = folder.path().join(FILES).join("mail/new");
    let mut names: Vec<PathBuf> =
        fs::read_dir(new).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let list = names.iter().find(|it| it.display().to_string().contains("newsletter"));
    let mail = list.unwrap_or(&names[9]).display().to_string();
    let explain = ["explain", &mail, "--account", "demo", "-c", FILES];
    let said = check(folder.path(), &explain, 0, "why\n");
    assert!(said.contains("no answer") && said.contains("queue"), "{said}");
    let other = ["explain", &mail, "--account", "dmeo", "-c", FILES];
    check(folder.path(), &other, 64, "declared are demo");
}
