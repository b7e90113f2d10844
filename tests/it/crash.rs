//! The real program dies at any instant: each mail has exactly one effect all the same.
//!
//! [`kills`] kills it at random under load, [`signals`] asks it to end and changes its files,
//! [`points`] (with the feature `faultpoints`) stops it at every step of a mail's path, [`suspects`]
//! lets a mail end it again and again. All of them start it once more, let it finish, and then count
//! in its store and in the mailboxes.

#[cfg(feature = "faultpoints")]
mod cloud;
mod kills;
mod memory;
#[cfg(feature = "faultpoints")]
mod points;
mod scarce;
#[cfg(feature = "faultpoints")]
mod sign_in;
mod signals;
#[cfg(feature = "faultpoints")]
mod suspects;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
#[cfg(feature = "faultpoints")]
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use postroom::core::intake::Outcome;
use postroom::core::mail::Digest;
use postroom::core::outgoing::Delivery;
use postroom::store::{MailRecord, OutboxFilter, Store};

use crate::daemon;

/// A program that does not come to rest in this time has a fault.
const PATIENCE: Duration = Duration::from_secs(60);
/// Asked to end, it has to, by its own word.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Lines of the log that a failed test shows.
const LOG_LINES_SHOWN: usize = 30;

/// A folder in which the program runs again and again.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    /// With these mail accounts. `{dir}` is replaced by the folder; the password is a secret.
    fn new(accounts: &str) -> Desk {
        let desk = Desk { folder: tempfile::tempdir().unwrap() };
        for part in ["config", "secrets"] {
            fs::create_dir(desk.path(part)).unwrap();
        }
        fs::write(desk.path("secrets/mailbox"), "open sesame").unwrap();
        fs::set_permissions(desk.path("secrets/mailbox"), fs::Permissions::from_mode(0o600))
            .unwrap();
        desk.configure(accounts, "support");
        desk
    }

    /// With a Maildir that is emptied.
    fn with_maildir() -> Desk {
        let desk = Desk::new(MAILDIR);
        for part in ["tmp", "new", "cur"] {
            fs::create_dir_all(desk.path("mail").join(part)).unwrap();
        }
        desk
    }

    /// Replaces the configuration, in one rename.
    fn configure(&self, accounts: &str, queue: &str) {
        let text = format!(
            "version: 1
limits: {{autoRepliesPerHour: 100000, autoRepliesPerThreeHours: 100000}}
mailAccounts:
{accounts}
smtp: {{files: {{type: file, directory: \"{{dir}}/sent\"}}}}
senders: {{default: {{from: \"Desk <desk@desk.example>\", via: [files]}}}}
queues: {{support: {{autoReplies: {{new: thanks}}}}, sales: {{}}}}
systemAddresses: {{support@desk.example: {{name: Support, queue: {queue}}}}}
autoReplies: {{thanks: {{from: support@desk.example, subject: {{en: Received}}, text: {{en: \"Your number is {{{{ ticket.number }}}}.\"}}}}}}
"
        );
        let text = text.replace("{dir}", &self.path("").display().to_string());
        fs::write(self.path("config/.desk.new"), text).unwrap();
        fs::rename(self.path("config/.desk.new"), self.path("config/desk.yaml")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the program; a fault is taken up only by one that was built with fault points.
    fn start(&self, fault: Option<&str>) -> Running {
        let log = OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_postroom"));
        command.args(self.arguments()).stderr(log);
        command.env_remove("POSTROOM_FAULT").stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(fault) = fault {
            command.env("POSTROOM_FAULT", fault);
        }
        Running(command.spawn().unwrap())
    }

    /// What the program is started with.
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["run".into()];
        for (name, folder) in [("-c", "config"), ("--data", "data"), ("--secrets-dir", "secrets")] {
            arguments.extend([name.into(), self.path(folder).into()]);
        }
        let rest = ["--listen", "127.0.0.1:0", "--log", "info,postroom::run=debug"];
        arguments.extend(rest.map(OsString::from));
        arguments
    }

    /// How often the log says this.
    fn said(&self, words: &str) -> usize {
        fs::read_to_string(self.path("log")).unwrap_or_default().matches(words).count()
    }

    /// Asks the program that runs now, as a command on this machine; answers with status and body.
    #[cfg(feature = "faultpoints")]
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let addr = until("an address", || self.listens());
        let token = fs::read_to_string(self.path("data/api-token")).unwrap();
        let mut stream = std::net::TcpStream::connect(addr).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// Where the newest life listens, once it does.
    #[cfg(feature = "faultpoints")]
    fn listens(&self) -> Option<std::net::SocketAddr> {
        let log = fs::read_to_string(self.path("log")).ok()?;
        let (_, rest) = log.rsplit_once("listening on http://")?;
        let addr = rest.split_whitespace().next()?.parse().ok()?;
        // The line may be that of the life before.
        std::net::TcpStream::connect(addr).is_ok().then_some(addr)
    }

    /// Whether the program that runs now has committed that everything it owes was sent. The letter
    /// itself may be older: from a life that died before the commit.
    #[cfg(feature = "faultpoints")]
    fn owes_nothing(&self) -> bool {
        self.ask("GET", "/api/v1/outbox?state=due", "").1.contains("\"items\":[]")
    }

    /// Delivers into the Maildir of [`Desk::with_maildir`].
    fn deliver(&self, mail: &Mail) {
        daemon::deliver(&self.path("mail"), &format!("{:06}", mail.number), &mail.raw);
    }

    /// Mails that lie in that Maildir.
    fn lying(&self) -> usize {
        files(&self.path("mail/new")).len() + files(&self.path("mail/cur")).len()
    }

    /// Answers that were sent, by file name.
    fn answers(&self) -> BTreeMap<String, Vec<u8>> {
        let letters = files(&self.path("sent")).into_iter().filter(|path| is_letter(path));
        letters
            .map(|path| {
                (path.file_name().unwrap().to_string_lossy().into(), fs::read(&path).unwrap())
            })
            .collect()
    }

    fn answer_count(&self) -> usize {
        files(&self.path("sent")).iter().filter(|path| is_letter(path)).count()
    }

    /// Opens the store when nobody else has it, and finds it sound.
    fn store(&self) -> Store {
        let store = Store::open(&self.path("data")).unwrap();
        assert_eq!(store.verify().unwrap(), Vec::<String>::new());
        store
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(LOG_LINES_SHOWN);
            println!("last lines of the log:\n{}", lines[last..].join("\n"));
        }
    }
}

const MAILDIR: &str = "  box: {type: maildir, path: \"{dir}/mail\", dispatch: {by: recipient}, \
                       since: all, afterFetch: delete, pollInterval: 1s}";

fn is_letter(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name.ends_with(".eml") && !name.starts_with('.')
}

/// Files in a directory; one that is not there has none.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The running program; killed when dropped.
struct Running(Child);

impl Running {
    /// Kills it, and says whether it was still alive.
    fn kill(mut self) -> bool {
        let alive = self.0.try_wait().unwrap().is_none();
        let _ = self.0.kill();
        self.0.wait().unwrap();
        alive
    }

    /// Sends it a signal.
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    #[cfg(feature = "faultpoints")]
    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Asks it to end: it must, in time and content.
    #[track_caller]
    fn terminate(mut self) {
        let began = Instant::now();
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status: ExitStatus = until("the end after SIGTERM", || self.0.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
        assert!(began.elapsed() < DRAIN_MAX, "it took {:?}", began.elapsed());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a look gives something.
#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A mail unlike any other.
struct Mail {
    number: usize,
    message_id: String,
    digest: Digest,
    raw: Vec<u8>,
}

impl Mail {
    /// About this long, with line ends as they are on the wire. Each comes from somebody else, so
    /// that no bound on answers is met.
    fn new(number: usize, bytes: usize) -> Mail {
        let message_id = format!("m{number}@customer.example");
        let mut text = format!(
            "From: Customer {number} <c{number}@customer.example>\r\nTo: support@desk.example\r\n\
             Subject: Question {number}\r\nMessage-ID: <{message_id}>\r\n\
             Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\nThis is question {number}.\r\n"
        );
        let mut line = number;
        while text.len() < bytes {
            line = line
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!(
                "{line:020} is one of the numbers I would like to ask about\r\n"
            ));
        }
        let raw = text.into_bytes();
        Mail { number, message_id, digest: Digest::of(&raw), raw }
    }
}

/// Counts in the store and among the answers: each mail one ticket, no more, and whole.
#[track_caller]
fn each_has_one_ticket(desk: &Desk, mails: &[Mail]) {
    let store = desk.store();
    let records = records(&store);
    let mut found: BTreeMap<&str, &MailRecord> = BTreeMap::new();
    for record in &records {
        let id = record.message_id.trim_matches(['<', '>']);
        assert_eq!(record.outcome, Outcome::Created, "{id}");
        assert!(found.insert(id, record).is_none(), "{id} was recorded twice");
    }
    for mail in mails {
        let record = found.get(mail.message_id.as_str());
        let record = record.unwrap_or_else(|| panic!("mail {} was lost", mail.number));
        assert!(store.raw(&record.digest).unwrap().unwrap() == mail.raw, "mail {}", mail.number);
    }
    assert_eq!(records.len(), mails.len());
    let tickets: BTreeSet<_> = records.iter().filter_map(|record| record.ticket.clone()).collect();
    assert_eq!(tickets.len(), mails.len());
    assert_eq!(store.ticket_count().unwrap(), mails.len() as u64);
    each_was_answered_once(desk, &store, mails.len());
}

/// Each of these mails, once, and no other.
#[track_caller]
fn lie_there<'a>(maildir: &Path, mails: impl Iterator<Item = &'a Mail>) {
    let found = [maildir.join("new"), maildir.join("cur")];
    let found: Vec<_> = found.iter().flat_map(|part| files(part)).collect();
    let bytes: BTreeSet<_> = found.iter().map(|path| fs::read(path).unwrap()).collect();
    let expected: BTreeSet<_> = mails.map(|mail| mail.raw.clone()).collect();
    assert_eq!((found.len(), bytes.len()), (expected.len(), expected.len()));
    assert!(bytes == expected, "{} holds other mails", maildir.display());
}

fn records(store: &Store) -> Vec<MailRecord> {
    store.mails(None, 100_000).unwrap().items
}

/// One answer is owed for each ticket, and what lies in the directory is that one.
#[track_caller]
fn each_was_answered_once(desk: &Desk, store: &Store, count: usize) {
    let owed = store.outbox(OutboxFilter::All, None, 100_000).unwrap().items;
    let answers = desk.answers();
    let mut copies: BTreeMap<String, Vec<&Vec<u8>>> = BTreeMap::new();
    for letter in answers.values() {
        copies.entry(message_id(letter)).or_default().push(letter);
    }
    let mut tickets = BTreeSet::new();
    for mail in &owed {
        assert!(matches!(mail.delivery, Delivery::Sent { .. }), "{:?}", mail.delivery);
        assert!(tickets.insert(mail.ticket.unwrap().0), "two answers for one ticket");
        let id = mail.message_id.trim_matches(['<', '>']);
        let copies = copies.get(id).unwrap_or_else(|| panic!("{id} was not sent"));
        assert!(copies.iter().all(|copy| **copy == mail.raw), "{id} changed");
    }
    assert_eq!((owed.len(), answers.len()), (count, count));
}

fn message_id(letter: &[u8]) -> String {
    let line = letter.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"Message-ID:"));
    let line = String::from_utf8_lossy(line.expect("every letter has a Message-ID")).into_owned();
    line["Message-ID:".len()..].trim().trim_matches(['<', '>']).to_owned()
}

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    /// From `POSTROOM_SEED`, or new ones. The seed is printed.
    fn new() -> Dice {
        let given = std::env::var("POSTROOM_SEED").ok().map(|seed| seed.parse().unwrap());
        let seed =
            given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into());
        println!("POSTROOM_SEED={seed}");
        Dice(seed)
    }

    /// From 0 to below this.
    fn below(&mut self, end: u64) -> u64 {
        // Splitmix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}
