//! Mails per second through the whole daemon: a mailbox with 10,000 mails, the daemon as a process
//! of its own, until every mail is a ticket on disk and gone from the mailbox.
//!
//! Beside it, in the same run and over the same mailbox, a bare loop: fetch, parse and one redb
//! row per mail, with one durable commit per batch. It does nothing else and says what the
//! machine, Dovecot and the disk allow.
//!
//! `cargo bench --bench intake [-- imap|pop3|maildir|mixed|answers]`; `dovecot` must be installed.

#![allow(clippy::unwrap_used)]

#[path = "../tests/it/listing.rs"]
mod listing;
#[path = "../tests/it/needed.rs"]
mod needed;
#[path = "../tests/it/peers.rs"]
#[allow(dead_code)]
mod peers;
#[path = "../tests/it/server/mod.rs"]
#[allow(dead_code)]
mod server;
mod support;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use listing::List;
use peers::Dovecot;
use postroom::config;
use postroom::core::config::Account;
use postroom::core::mail;
use postroom::mailbox::{self, Fetched};
use postroom::secret::Secrets;
use redb::{Database, TableDefinition};
use support::desk::{self, Desk};
use support::{Bound, mails, until};

/// Mails in the mailbox.
const MAILS: usize = 10_000;
/// Mails the bare loop fetches and commits together: as many as the daemon.
const BARE_BATCH_MAILS: usize = 500;
const BARE_ROWS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("mails");
const USER: &str = "desk";
const PASSWORD: &str = "measured";

/// What is measured.
struct Scene {
    name: &'static str,
    protocol: &'static str,
    mail: fn(usize) -> Vec<u8>,
    /// Whether each mail is answered and an agent told.
    answers: bool,
    /// Mails per second that there must be.
    rate: Option<f64>,
}

/// Peak memory in any scene, in MiB.
const PEAK_MIB_MAX: f64 = 150.0;
/// Bytes on disk per byte of mail, where mails are of mixed length.
const DISK_PER_MAIL_MAX: f64 = 1.25;

const SCENES: [Scene; 5] = [
    Scene { name: "imap", protocol: "imap", mail: small, answers: false, rate: Some(4_000.0) },
    Scene { name: "answers", protocol: "imap", mail: small, answers: true, rate: None },
    Scene {
        name: "mixed",
        protocol: "imap",
        mail: mails::mixed,
        answers: false,
        rate: Some(1_000.0),
    },
    Scene { name: "pop3", protocol: "pop3", mail: small, answers: false, rate: Some(4_000.0) },
    Scene {
        name: "maildir",
        protocol: "maildir",
        mail: small,
        answers: false,
        rate: Some(4_000.0),
    },
];

fn small(number: usize) -> Vec<u8> {
    mails::plain(number, 2_048)
}

fn main() -> ExitCode {
    if support::is_only_a_test() {
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    println!("{MAILS} mails; bare loop: fetch, parse, one row per mail, one commit per batch");
    println!(
        "{:>8} {:>9} {:>9} {:>9} {:>9} {:>7} {:>9} {:>10}",
        "scene", "MB", "seconds", "mails/s", "bare/s", "ratio", "peak MiB", "disk/mail"
    );
    for scene in SCENES.iter().filter(|it| chosen.is_empty() || chosen.iter().any(|c| c == it.name))
    {
        measure(scene);
    }
    support::verdict()
}

fn measure(scene: &Scene) {
    let Some(dovecot) = Dovecot::start() else { return };
    dovecot.add_user(USER, PASSWORD);
    let mut bytes = 0;
    for number in 0..MAILS {
        let mail = (scene.mail)(number);
        bytes += mail.len() as u64;
        dovecot.deliver(USER, &mail);
    }
    let folder = desk::folder_for(&configuration(scene, &dovecot));
    desk::write_secret(&folder.path().join("password"), PASSWORD);
    let loaded = config::load(&[folder.path().join("config")]);
    assert_eq!(loaded.problems, []);
    let account = loaded.config.unwrap().accounts["bench"].clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // The first time Dovecot makes its index; the second time counts.
    runtime.block_on(bare_loop(&account));
    let bare = runtime.block_on(bare_loop(&account));
    let desk = Desk::start_in(folder);
    until("tickets", Duration::from_millis(20), || {
        desk.metric("postroom_intake_messages_total").filter(|count| *count >= MAILS as f64)
    });
    until("an empty mailbox", Duration::from_millis(5), || {
        (dovecot.count(USER, "") == 0).then_some(())
    });
    let seconds = desk.started.elapsed().as_secs_f64();
    let rate = MAILS as f64 / seconds;
    println!(
        "{:>8} {:>9.0} {:>9.2} {:>9.0} {:>9.0} {:>7.2} {:>9} {:>10.2}",
        scene.name,
        bytes as f64 / 1e6,
        seconds,
        rate,
        bare,
        rate / bare,
        desk.peak_kib() / 1024,
        desk.disk_bytes() as f64 / bytes as f64,
    );
    hold(scene, rate, desk.peak_kib() as f64 / 1024.0, desk.disk_bytes() as f64 / bytes as f64);
    let made = desk.metric("postroom_intake_messages_total{outcome=\"created\"}").unwrap();
    assert_eq!(made, MAILS as f64, "every mail is a ticket");
    if scene.answers {
        for owed in [
            "postroom_autoreplies_total{kind=\"thanks\",result=\"owed\"}",
            "postroom_notifications_total{event=\"ticketCreated\",result=\"owed\"}",
        ] {
            assert_eq!(desk.metric(owed), Some(MAILS as f64), "{owed}");
        }
    }
    if std::env::var_os("STAGES").is_some() {
        stages(&desk);
    }
}

/// Time spent in each stage, and in commits, in seconds.
fn stages(desk: &Desk) {
    for stage in ["fetch", "spool", "judge", "record"] {
        let sum = format!("postroom_intake_duration_seconds_sum{{stage=\"{stage}\"}}");
        println!("  {stage:>8} {:.2} s", desk.metric(&sum).unwrap());
    }
    let (sum, count) = (
        "postroom_store_commit_duration_seconds_sum",
        "postroom_store_commit_duration_seconds_count",
    );
    println!("   commits {:.2} s in {}", desk.metric(sum).unwrap(), desk.metric(count).unwrap());
    let cpu = desk.metric("process_cpu_seconds_total").unwrap();
    println!("       cpu {cpu:.2} s");
}

/// Notes which bounds of this scene were missed.
fn hold(scene: &Scene, rate: f64, peak_mib: f64, disk_per_mail: f64) {
    let name = scene.name;
    if let Some(least) = scene.rate {
        support::hold(&format!("{name}, mails/s"), rate, Bound::AtLeast(least));
    }
    support::hold(&format!("{name}, peak MiB"), peak_mib, Bound::AtMost(PEAK_MIB_MAX));
    if name == "mixed" {
        let what = format!("{name}, disk/mail");
        support::hold(&what, disk_per_mail, Bound::AtMost(DISK_PER_MAIL_MAX));
    }
}

fn configuration(scene: &Scene, dovecot: &Dovecot) -> String {
    let source = match scene.protocol {
        "maildir" => format!("type: maildir, path: {}", dovecot.maildir(USER).display()),
        protocol => {
            let (port, idle) = match protocol {
                "imap" => (dovecot.imap, "idle: \"off\","),
                _ => (dovecot.pop3, ""),
            };
            format!(
                "type: {protocol}, {idle} host: 127.0.0.1, port: {port}, username: {USER}, \
                 password: {{file: {{dir}}/password}}"
            )
        }
    };
    let (reply, subscription) = match scene.answers {
        true => ("{autoReplies: {new: thanks}}", "{queues: [support], events: [ticketCreated]}"),
        false => ("{}", "{queues: [], events: []}"),
    };
    format!(
        r#"version: 1
desk: {{name: Measured Desk, hook: "Ticket#", systemId: "10", language: en}}
# So that all are answered: what is suppressed is no work.
limits: {{autoRepliesPerDay: 1000000, autoRepliesPerThreeHours: 1000000, autoRepliesPerHour: 1000000, autoRepliesPerSubject: 1000000, notificationsPerHour: 1000000}}
mailAccounts:
  bench: {{{source}, since: all, afterFetch: delete, pollInterval: 1h}}
smtp:
  files: {{type: file, directory: {{dir}}/outgoing}}
senders:
  default: {{from: "Desk <desk@desk.example>", via: [files]}}
queues:
  support: {reply}
  sales: {{}}
systemAddresses:
  support@desk.example: {{name: Support, queue: support}}
  sales@desk.example: {{name: Sales, queue: sales}}
filters:
  vip:
    order: 100
    match: [{{header: From, address: '.*@vip\.example'}}]
    set: {{queue: sales, priority: 5 very high}}
    stop: true
  printers:
    order: 200
    match: [{{header: Subject, regex: '\b(?<device>printer|scanner)\b'}}]
    set: {{priority: 4 high, field.device: "{{{{ device }}}}"}}
autoReplies:
  thanks:
    from: support@desk.example
    subject: {{en: We received your mail}}
    text: {{en: "Thank you. Your number is {{{{ ticket.number }}}}."}}
users:
  alice:
    email: alice@desk.example
    name: Alice
    language: en
    role: user
    subscriptions: {subscription}
"#
    )
}

/// Fetch, parse, one row per mail, one durable commit per batch; mails per second.
async fn bare_loop(account: &Account) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let database = bare_database(&directory.path().join("bare.redb"));
    let began = Instant::now();
    let mut mailbox = mailbox::open(account, &Secrets::default(), None).await.unwrap();
    let entries = mailbox.list().await.unwrap().entries;
    let mut rows = 0;
    for batch in bare_batches(&entries) {
        let fetched = mailbox.fetch(batch, account.max_size_bytes).await.unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut table = transaction.open_table(BARE_ROWS).unwrap();
            for fetched in fetched {
                let Fetched::Mail(raw) = fetched else { panic!("every mail is there") };
                let mail = mail::parse(&raw);
                assert!(!mail.message_id_derived);
                table.insert(rows, raw.as_slice()).unwrap();
                rows += 1;
            }
        }
        transaction.commit().unwrap();
    }
    assert_eq!(rows, MAILS as u64);
    let rate = MAILS as f64 / began.elapsed().as_secs_f64();
    drop(mailbox);
    rate
}

/// As many mails as the daemon takes together, and not more bytes.
fn bare_batches(entries: &[mailbox::Entry]) -> Vec<&[mailbox::Entry]> {
    const BYTES_MAX: u64 = 4 * 1024 * 1024;
    let (mut batches, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (index, entry) in entries.iter().enumerate() {
        let size = entry.size_bytes.unwrap_or(0);
        if index > start && (index - start == BARE_BATCH_MAILS || bytes + size > BYTES_MAX) {
            batches.push(&entries[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += size;
    }
    batches.push(&entries[start..]);
    batches
}

/// With the daemon's own settings of the engine.
fn bare_database(path: &Path) -> Database {
    const CACHE_BYTES: usize = 48 << 20;
    redb::Builder::new().set_cache_size(CACHE_BYTES).create(path).unwrap()
}
