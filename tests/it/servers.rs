//! Every type of account with everything that may become of fetched mail, on the servers that
//! people run, behind the mail server that fills their mailboxes.
//!
//! Each pair is a user with mails that Exim delivered. A daemon takes them in, waits for one more,
//! is restarted and waits for another: every mail is one ticket with the bytes the server holds,
//! and the mailbox is as declared. A pair that fails does not stop the others: the table at the end
//! names what each of them did.

mod client;
mod courier;
mod cyrus;
mod dovecot;
mod exim;
mod sandbox;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use postroom::core::intake::Outcome;
use postroom::run::board::Kind;
use postroom::store::MailRecord;

use crate::daemon::Daemon;
use crate::peers::{free_ports, greets};
use crate::server::PASSWORD;
use client::{Imap, Message};
use exim::{Exim, Letter};
use sandbox::Running;

/// How long a server may take to come up.
const START_MAX: Duration = Duration::from_secs(30);
/// How long all mails of a step may take on all accounts of a server. Only a pair that fails takes
/// so long.
const STEP_MAX: Duration = Duration::from_secs(120);
/// Looks into a mailbox after which nothing more is to be done there.
const LOOKS: f64 = 2.0;
/// Length of the largest mail.
const LARGE_BYTES: usize = 3 * 1024 * 1024;
/// Mails there are when the daemon starts first.
const FIRST_MAILS: usize = 3;
/// Mails there are in the end.
const MAILS: usize = FIRST_MAILS + 2;

const IMAP: [&str; 3] = ["imap", "imaps", "imaptls"];
const POP3: [&str; 3] = ["pop3", "pop3s", "pop3tls"];

/// Where a server listens.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// IMAP, also with STARTTLS.
    pub imap: u16,
    /// IMAP in TLS.
    pub imaps: u16,
    /// POP3, also with STLS.
    pub pop3: u16,
    /// POP3 in TLS.
    pub pop3s: u16,
}

/// A running server with its users, filled by Exim.
trait Server: Send + Sync {
    /// What the table calls it.
    fn name(&self) -> &'static str;
    /// Where it listens.
    fn ports(&self) -> Ports;
    /// Certificate of its authority.
    fn ca(&self) -> PathBuf;
    /// The folder into which mail is moved, as the server names it.
    fn done(&self) -> &'static str;
    /// Who delivers into its mailboxes.
    fn exim(&self) -> &Exim;
}

/// Starts a server on free ports until it answers on all of them, or fails with what it said.
fn until_up(name: &str, start: impl Fn(Ports) -> (Running, String)) -> (Ports, Running) {
    let mut said = String::new();
    // Another program may take a free port before the server does: then we try again.
    for _ in 0..3 {
        let [imap, imaps, pop3, pop3s] = free_ports();
        let ports = Ports { imap, imaps, pop3, pop3s };
        let (mut running, log) = start(ports);
        let began = Instant::now();
        while began.elapsed() < START_MAX && !running.has_ended() {
            if greets(imap) && greets(pop3) {
                return (ports, running);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        said = log;
    }
    panic!("{name} did not start: {said}")
}

/// What becomes of fetched mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Delete,
    Seen,
    Move,
    Keep,
}

impl After {
    const ALL: [After; 4] = [After::Delete, After::Seen, After::Move, After::Keep];

    fn label(self) -> &'static str {
        match self {
            After::Delete => "delete",
            After::Seen => "seen",
            After::Move => "move",
            After::Keep => "keep",
        }
    }

    fn yaml(self, server: &dyn Server) -> String {
        match self {
            After::Move => format!("{{move: {}}}", server.done()),
            _ => self.label().to_owned(),
        }
    }
}

/// One user of one server.
#[derive(Debug, Clone)]
struct Pair {
    user: String,
    kind: &'static str,
    after: After,
}

impl Pair {
    fn is_pop3(&self) -> bool {
        POP3.contains(&self.kind)
    }
}

/// All pairs of these types.
fn pairs(kinds: &[&'static str]) -> Vec<Pair> {
    let all = kinds.iter().flat_map(|kind| After::ALL.map(|after| (*kind, after)));
    // POP3 knows neither flags nor folders.
    let known = all.filter(|(kind, after)| {
        !POP3.contains(kind) || matches!(after, After::Delete | After::Keep)
    });
    known
        .map(|(kind, after)| Pair { user: format!("{kind}{}", after.label()), kind, after })
        .collect()
}

/// What a pair did: nothing is wrong if there are no words.
type Table = BTreeMap<(&'static str, &'static str, &'static str), Vec<String>>;

#[tokio::test(flavor = "multi_thread")]
async fn every_type_and_after_fetch_works_on_every_server() {
    let Some(packages) = sandbox::packages() else { return };
    let both: Vec<&str> = IMAP.into_iter().chain(POP3).collect();
    type Start = Box<dyn FnOnce(&Path, &[String]) -> Option<Box<dyn Server>> + Send>;
    let mut servers: Vec<(Start, Vec<Pair>)> = vec![
        (Box::new(|at, users| Some(Box::new(courier::Courier::start(at, users)))), pairs(&both)),
        (Box::new(|at, users| Some(Box::new(cyrus::Cyrus::start(at, users)))), pairs(&both)),
    ];
    let dovecots = dovecot::POP3.map(|variant| {
        let mut pairs = pairs(&POP3);
        // Mails of one name can only be deleted, one in each session.
        pairs.retain(|pair| !variant.shares_uidl || pair.after == After::Delete);
        (variant, pairs)
    });
    for (variant, pairs) in dovecots.into_iter().chain([(dovecot::USUAL, pairs(&both))]) {
        let start = move |at: &Path, users: &[String]| {
            let dovecot = dovecot::Dovecot::start(at, variant, users)?;
            Some(Box::new(dovecot) as Box<dyn Server>)
        };
        servers.push((Box::new(start), pairs));
    }
    let began = Instant::now();
    let mut running = Vec::new();
    for (start, pairs) in servers {
        let packages = packages.clone();
        running.push(tokio::spawn(async move {
            let users: Vec<String> = pairs.iter().map(|pair| pair.user.clone()).collect();
            let server = blocking(move || start(&packages, &users)).await?;
            Some(Trial { server: server.into(), pairs }.run().await)
        }));
    }
    let mut table = Table::new();
    for row in running {
        let Some(row) = row.await.unwrap() else { return };
        table.extend(row);
    }
    print(&table);
    println!("{} pairs in {:.1} s", table.len(), began.elapsed().as_secs_f64());
    let wrong: Vec<_> = table.iter().filter(|(_, words)| !words.is_empty()).collect();
    assert!(wrong.is_empty(), "{} pairs failed, see the table", wrong.len());
}

fn print(table: &Table) {
    println!("| server | type | afterFetch | result |");
    println!("|---|---|---|---|");
    for ((server, kind, after), words) in table {
        let result = if words.is_empty() { "ok".to_owned() } else { words.join("; ") };
        println!("| {server} | {kind} | {after} | {result} |");
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// A server, its users and a daemon.
struct Trial {
    server: Arc<dyn Server>,
    pairs: Vec<Pair>,
}

impl Trial {
    async fn run(self) -> Table {
        self.deliver(1..FIRST_MAILS + 1).await;
        let held = self.held().await;
        let safe = tempfile::tempdir().unwrap();
        fs::write(safe.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        let mut daemon = Daemon::start(&self.configuration(safe.path())).await;
        self.settle(&daemon, FIRST_MAILS).await;
        self.deliver(FIRST_MAILS + 1..FIRST_MAILS + 2).await;
        self.settle(&daemon, FIRST_MAILS + 1).await;
        daemon.stop().await;
        daemon.again().await;
        self.deliver(MAILS..MAILS + 1).await;
        self.settle(&daemon, MAILS).await;
        let taken = self.taken(&daemon);
        let said: Vec<String> = self.pairs.iter().map(|pair| said(&daemon, &pair.user)).collect();
        daemon.stop().await;
        let left = self.left().await;
        let mut table = Table::new();
        for (index, pair) in self.pairs.iter().enumerate() {
            let mut words = self.wrong(pair, &held[index], &taken[index], &left[index]);
            if !words.is_empty() {
                words.push(said[index].clone());
            }
            table.insert((self.server.name(), pair.kind, pair.after.label()), words);
        }
        table
    }

    /// Exim delivers these mails to every user.
    async fn deliver(&self, numbers: std::ops::Range<usize>) {
        let (server, pairs) = (self.server.clone(), self.pairs.clone());
        blocking(move || {
            let mails: Vec<(&str, Vec<u8>)> = pairs
                .iter()
                .flat_map(|pair| {
                    numbers.clone().map(|number| (pair.user.as_str(), mail(&pair.user, number)))
                })
                .collect();
            let letters: Vec<Letter<'_>> =
                mails.iter().map(|(user, bytes)| Letter { user, bytes }).collect();
            server.exim().deliver(&letters);
        })
        .await;
    }

    /// What each user has in the inbox.
    async fn held(&self) -> Vec<Vec<Message>> {
        let (port, pairs) = (self.server.ports().imap, self.pairs.clone());
        blocking(move || {
            let messages = |pair: &Pair| Imap::login(port, &pair.user).messages("INBOX").unwrap();
            pairs.iter().map(messages).collect()
        })
        .await
    }

    /// What each mailbox holds in the end, or why that cannot be said.
    async fn left(&self) -> Vec<Result<Left, String>> {
        let (server, pairs) = (self.server.clone(), self.pairs.clone());
        blocking(move || {
            let left = |pair: &Pair| {
                let ports = server.ports();
                if pair.is_pop3() {
                    return client::pop3_count(ports.pop3, &pair.user).map(Left::Pop3);
                }
                let mut session = Imap::login(ports.imap, &pair.user);
                let inbox = session.messages("INBOX")?;
                Ok(Left::Imap { inbox, done: session.messages(server.done())? })
            };
            pairs.iter().map(left).collect()
        })
        .await
    }

    fn configuration(&self, safe: &Path) -> String {
        let server = self.server.as_ref();
        let Ports { imap, imaps, pop3, pop3s } = server.ports();
        let accounts = self.pairs.iter().map(|Pair { user, kind, after }| {
            let port = match *kind {
                "imap" | "imaptls" => imap,
                "imaps" => imaps,
                "pop3s" => pop3s,
                _ => pop3,
            };
            let tls = match *kind {
                "imap" | "pop3" => String::new(),
                _ => format!("tls: {{ca: {}}}, ", server.ca().display()),
            };
            let idle = if kind.starts_with("imap") { "idle: \"off\", " } else { "" };
            format!(
                "  {user}: {{type: {kind}, host: localhost, port: {port}, username: {user}, \
                 password: {{file: {}}}, {tls}{idle}since: all, pollInterval: 1s, afterFetch: {}, \
                 dispatch: {{by: queue, queue: support}}}}\n",
                safe.join("password").display(),
                after.yaml(server),
            )
        });
        format!(
            "version: 1\nmailAccounts:\n{}smtp:\n  files: {{type: file, directory: \"{{dir}}/sent\"}}\n\
             senders:\n  default: {{from: \"Desk <desk@desk.example>\", via: [files]}}\n\
             queues:\n  support: {{}}\nsystemAddresses:\n  support@desk.example: {{queue: support}}\n",
            accounts.collect::<String>()
        )
    }

    /// Waits until every account has recorded so many mails and has looked again since, twice. A
    /// pair that does not come so far is found later: here it only costs time.
    async fn settle(&self, daemon: &Daemon, count: usize) {
        let began = Instant::now();
        let mut due: BTreeMap<&str, Option<f64>> =
            self.pairs.iter().map(|pair| (pair.user.as_str(), None)).collect();
        while !due.is_empty() && began.elapsed() < STEP_MAX {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let records = records(daemon);
            let metrics = daemon.app().handle().metrics.text();
            due.retain(|user, since| {
                let looks = looks(&metrics, user);
                if since.is_none() {
                    let recorded = records.iter().filter(|record| record.account == *user).count();
                    *since = (recorded >= count).then_some(looks);
                }
                since.is_none_or(|since| looks < since + LOOKS)
            });
        }
    }

    /// What each account took in: the outcome and the bytes, by Message-ID.
    fn taken(&self, daemon: &Daemon) -> Vec<Vec<(MailRecord, Vec<u8>)>> {
        let store = &daemon.app().handle().store;
        let records = records(daemon);
        let of = |pair: &Pair| {
            let own = records.iter().filter(|record| record.account == pair.user);
            own.map(|record| {
                (record.clone(), store.raw(&record.digest).unwrap().unwrap_or_default())
            })
            .collect()
        };
        self.pairs.iter().map(of).collect()
    }

    /// All that is not as it should be.
    fn wrong(
        &self,
        pair: &Pair,
        held: &[Message],
        taken: &[(MailRecord, Vec<u8>)],
        left: &Result<Left, String>,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        for number in 1..=MAILS {
            let id = format!("{number}.{}@customer.example", pair.user);
            let mut found = taken.iter().filter(|(record, _)| record.message_id.contains(&id));
            let Some((record, bytes)) = found.next() else {
                wrong.push(format!("mail {number} is no ticket"));
                continue;
            };
            if record.outcome != Outcome::Created || record.ticket.is_none() {
                wrong.push(format!("mail {number} is {:?}", record.outcome));
            }
            if !bytes.ends_with(&mail(&pair.user, number)) {
                wrong.push(format!("mail {number} was changed on the way"));
            }
            let received = String::from_utf8_lossy(bytes).contains("by mx.desk.example with");
            if !received {
                wrong.push(format!("mail {number} did not come through Exim"));
            }
            let lay = held.iter().any(|message| message.bytes == *bytes);
            if number <= FIRST_MAILS && !lay {
                wrong.push(format!("mail {number} has other bytes than the server held"));
            }
            let again = found.count();
            if again > 0 {
                wrong.push(format!("mail {number} was taken {} times", again + 1));
            }
        }
        if taken.len() > MAILS {
            wrong.push(format!("{} mails are recorded", taken.len()));
        }
        match left {
            Err(refused) => wrong.push(format!("the mailbox cannot be read: {refused}")),
            Ok(Left::Pop3(count)) => {
                let expected = if pair.after == After::Delete { 0 } else { MAILS };
                if *count != expected {
                    wrong.push(format!("{count} mails are left instead of {expected}"));
                }
            }
            Ok(Left::Imap { inbox, done }) => {
                let seen = inbox.iter().filter(|message| message.seen).count();
                let found = (inbox.len(), seen, done.len());
                let expected = match pair.after {
                    After::Delete => (0, 0, 0),
                    After::Seen => (MAILS, MAILS, 0),
                    After::Move => (0, 0, MAILS),
                    After::Keep => (MAILS, 0, 0),
                };
                if found != expected {
                    wrong.push(format!(
                        "in the inbox, seen there and moved are {found:?} instead of {expected:?}"
                    ));
                }
                let kept = inbox.iter().chain(done);
                let changed =
                    kept.filter(|message| !taken.iter().any(|(_, bytes)| *bytes == message.bytes));
                let changed = changed.count();
                if changed > 0 {
                    wrong.push(format!("{changed} mails on the server have other bytes"));
                }
            }
        }
        wrong
    }
}

/// What lies in a mailbox in the end.
enum Left {
    Pop3(usize),
    Imap { inbox: Vec<Message>, done: Vec<Message> },
}

/// A small one, one with 8-bit text, a large one and more small ones. Each has a line that begins
/// with a dot, and X-UIDL as some servers left it in mail: the same in all.
fn mail(user: &str, number: usize) -> Vec<u8> {
    let mut text = format!(
        "From: Eve <eve.{user}@customer.example>\r\nTo: support@desk.example\r\n\
         Subject: question {number}\r\nMessage-ID: <{number}.{user}@customer.example>\r\n\
         Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nX-UIDL: 0000000100000001\r\n\
         MIME-Version: 1.0\r\n"
    );
    match number {
        2 => {
            text += "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\
                      \r\nWo bleibt meine Bestellung? Grüße aus Köln, 東京より\r\n.dot\r\n"
        }
        3 => {
            text += "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nPlease look.\r\n\
                     .dot\r\n--b\r\nContent-Type: application/octet-stream\r\n\
                     Content-Disposition: attachment; filename=log.bin\r\n\
                     Content-Transfer-Encoding: base64\r\n\r\n";
            while text.len() < LARGE_BYTES {
                text.push_str(&("UG9zdHJvb20g".repeat(6) + "\r\n"));
            }
            text += "--b--\r\n";
        }
        _ => text += "\r\nWhere is my order?\r\n.dot\r\n..two\r\n",
    }
    text.into_bytes()
}

fn records(daemon: &Daemon) -> Vec<MailRecord> {
    daemon.app().handle().store.mails(None, 10_000).unwrap().items
}

/// How often an account has looked into its mailbox since the daemon started.
fn looks(metrics: &str, user: &str) -> f64 {
    let series = format!("postroom_poll_runs_total{{account=\"{user}\",result=\"success\"}} ");
    let count = metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok());
    count.unwrap_or_default()
}

/// What the daemon says of an account.
fn said(daemon: &Daemon, user: &str) -> String {
    let all = daemon.app().handle().board.all();
    let own =
        all.into_iter().filter(|status| status.kind == Kind::MailAccount && status.name == user);
    let conditions = own.flat_map(|status| status.conditions);
    conditions
        .map(|condition| {
            format!("{:?}={:?}: {}", condition.kind, condition.status, condition.message)
        })
        .collect::<Vec<_>>()
        .join(", ")
}
