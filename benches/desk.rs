//! The daemon in the large and at its limits: a check of 10,000 accounts, one changed among them,
//! the memory of 10,000 polled ones, the peak over a mail of 100 MB, and the time from the server's
//! word of a new mail to the committed ticket.
//!
//! And how soon 100,000 tickets, and 100,000 customers, are listed and searched.
//!
//! `cargo bench --bench desk [-- check|change|accounts|large|idle|lists|customers]`

#![allow(clippy::unwrap_used)]

#[path = "../tests/it/store/mails.rs"]
#[allow(dead_code)]
mod letters;
#[path = "../tests/it/needed.rs"]
mod needed;
#[path = "../tests/it/peers.rs"]
#[allow(dead_code)]
mod peers;
#[path = "../tests/it/server/mod.rs"]
#[allow(dead_code)]
mod server;
mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use peers::Dovecot;
use postroom::config;
use postroom::core::config::Config;
use postroom::core::ticket::State;
use postroom::core::{intake, mail, plan};
use postroom::store::{SortBy, Spool, Store, TicketQuery, ToRecord};
use support::desk::{self, Desk};
use support::{Bound, at_most, mails, median, until};

/// Accounts, and system addresses, of the large configuration.
const ACCOUNTS: usize = 10_000;
/// Filters of the large configuration.
const FILTERS: usize = 1_000;
/// Objects per file of the large configuration; a file holds 1 MiB at most.
const OBJECTS_PER_FILE: usize = 2_000;
/// Length of the large mail.
const LARGE_MAIL_BYTES: usize = 100_000_000;
/// Mails delivered one by one to a waiting account.
const IDLE_MAILS: usize = 50;
/// How often a figure is taken; the median is shown.
const RUNS: usize = 5;
/// The daemon waits this long for quiet after an event. Milliseconds.
const DEBOUNCE_MILLIS: f64 = 300.0;
const USER: &str = "desk";
const PASSWORD: &str = "measured";

/// Name and measurement.
const MEASUREMENTS: [(&str, fn()); 7] = [
    ("check", check),
    ("change", change),
    ("accounts", accounts),
    ("large", large),
    ("idle", idle),
    ("lists", lists),
    ("customers", customers),
];

fn main() -> ExitCode {
    if support::is_only_a_test() {
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    for (name, measure) in MEASUREMENTS {
        if chosen.is_empty() || chosen.iter().any(|it| it == name) {
            measure();
        }
    }
    support::verdict()
}

/// One line of the table: the figure, and the bound it must keep.
fn row(what: &str, figure: f64, unit: &str, bound: Option<Bound>) {
    let shown = bound.map(|bound| bound.to_string()).unwrap_or_default();
    println!("{what:<58} {figure:>9.1} {unit:<4} {shown}");
    if let Some(bound) = bound {
        support::hold(what, figure, bound);
    }
}

// Configuration.

/// `postroom check` over the large configuration.
fn check() {
    let folder = tempfile::tempdir().unwrap();
    write_large(folder.path());
    let (mut seconds, mut peak) = (Vec::new(), 0);
    for _ in 0..RUNS {
        let began = Instant::now();
        let mut child = desk::program()
            .args(["check", "-c"])
            .arg(folder.path().join("config"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let status = loop {
            peak = peak.max(desk::memory_kib(child.id(), "VmHWM:").unwrap_or(0));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        seconds.push(began.elapsed().as_secs_f64());
        assert!(status.success(), "the configuration is good");
    }
    row(
        "check of 10,000 accounts and addresses, 1,000 filters",
        median(seconds),
        "s",
        at_most(0.5),
    );
    row("  its peak memory", peak as f64 / 1024.0, "MiB", at_most(150.0));
}

/// One account of 10,000 changed: the reload by request, and by the event of the file system.
fn change() {
    let desk = large_desk();
    let page = |interval: usize| {
        let others = accounts_file(0, OBJECTS_PER_FILE, &desk.path("mail"));
        others.replacen("pollInterval: 1h", &format!("pollInterval: {interval}m"), 1)
    };
    let seen_files = || desk.metric("postroom_config_reloads_total{result=\"applied\"").unwrap();
    let (mut asked, mut noticed) = (Vec::new(), Vec::new());
    let settled = desk.resident_kib();
    for run in 0..RUNS {
        let before = seen_files();
        desk.write("accounts0.yaml", &page(100 + run));
        let began = Instant::now();
        desk.post("/-/reload");
        asked.push(began.elapsed().as_secs_f64() * 1e3);
        assert_eq!(seen_files(), before + 1.0);
        let looks = "postroom_config_reloads_total{result=\"unchanged\",trigger=\"file\"}";
        desk.wait_for(looks, run as f64 + 1.0);
    }
    for run in 0..RUNS {
        let before = applied_by_event(&desk).len();
        desk.write("accounts0.yaml", &page(200 + run));
        let written = SystemTime::now();
        // Its log tells when: asking for the figures of 10,000 accounts would keep it busy.
        let applied = until("the change", Duration::from_millis(2), || {
            applied_by_event(&desk).get(before).copied()
        });
        let passed = applied.duration_since(written).unwrap();
        noticed.push(passed.as_secs_f64() * 1e3 - DEBOUNCE_MILLIS);
    }
    let grown = desk.resident_kib() as f64 - settled as f64;
    parts(&desk.path("config"));
    row("one of 10,000 accounts changed, by request", median(asked), "ms", at_most(50.0));
    row("  by file event, after the 300 ms of quiet", median(noticed), "ms", at_most(50.0));
    row("  memory after all changes, above the start", grown / 1024.0, "MiB", None);
}

/// When the log says that an edit was applied because the files changed.
fn applied_by_event(desk: &Desk) -> Vec<SystemTime> {
    let applied = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let time: Timestamp = line["timestamp"].as_str()?.parse().ok()?;
        let noticed = line["trigger"] == "file" && line["revision"].is_string();
        noticed.then(|| time.into())
    };
    desk.log().lines().filter_map(applied).collect()
}

/// What a reload spends in this process: reading and judging the files, and comparing.
fn parts(files: &Path) {
    let paths = [files.to_owned()];
    let running = config::load(&paths).config.unwrap();
    let (mut loads, mut plans) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let began = Instant::now();
        let mut desired = config::load(&paths).config.unwrap();
        loads.push(began.elapsed().as_secs_f64() * 1e3);
        let account =
            Arc::make_mut(&mut desired.accounts).get_mut("account7").expect("it is declared");
        let mut changed = (**account).clone();
        changed.trusted = true;
        *account = changed.into();
        let began = Instant::now();
        let edit = plan::Edit::of(&running, &desired);
        assert_eq!(plan::plan(&edit).len(), 1);
        assert_eq!(plan::changes(&edit).len(), 1);
        plans.push(began.elapsed().as_secs_f64() * 1e3);
    }
    row("reading and judging 10,000 accounts", median(loads), "ms", None);
    row("comparing two revisions of them", median(plans), "ms", None);
}

// Memory.

/// 10,000 polled accounts, against a daemon without any.
fn accounts() {
    let empty = Desk::start(&small_configuration(""));
    empty.wait_for("postroom_build_info", 1.0);
    let above = |desk: &Desk| (desk.resident_kib() as f64 - empty.resident_kib() as f64) / 1024.0;
    let accounts = polled(write_accounts);
    row("10,000 polled accounts above the empty daemon", above(&accounts), "MiB", at_most(60.0));
    drop(accounts);
    let large = large_desk();
    row("  and 10,000 addresses, 1,000 filters", above(&large), "MiB", None);
}

/// A mail of 100 MB in a mailbox, with the limits that hold unless others are declared.
fn large() {
    let mail = mails::attached(1, LARGE_MAIL_BYTES);
    if let Some(dovecot) = Dovecot::start() {
        dovecot.add_user(USER, PASSWORD);
        dovecot.deliver(USER, &mail);
        row(
            "peak over a mail of 100 MB, IMAP",
            peak_over(&imap(dovecot.imap)),
            "MiB",
            at_most(150.0),
        );
        let pop3 = imap(dovecot.pop3).replace("type: imap", "type: pop3");
        row("peak over a mail of 100 MB, POP3", peak_over(&pop3), "MiB", at_most(150.0));
    }
    let mailbox = tempfile::tempdir().unwrap();
    make_maildir(mailbox.path());
    fs::write(mailbox.path().join("new/1.large"), &mail).unwrap();
    let maildir = format!("type: maildir, path: {}", mailbox.path().display());
    row("peak over a mail of 100 MB, Maildir", peak_over(&maildir), "MiB", at_most(150.0));
    // About the largest that is taken whole.
    let mail = mails::attached(2, 31 << 20);
    fs::write(mailbox.path().join("new/2.whole"), mail).unwrap();
    fs::remove_file(mailbox.path().join("new/1.large")).unwrap();
    row(
        "peak over a mail of 31 MiB, taken whole, Maildir",
        peak_over(&maildir),
        "MiB",
        at_most(150.0),
    );
}

fn peak_over(source: &str) -> f64 {
    let folder = desk::folder_for(&small_configuration(&format!(
        "mailAccounts:\n  one: {{{source}, since: all, afterFetch: keep, pollInterval: 1h}}\n"
    )));
    desk::write_secret(&folder.path().join("password"), PASSWORD);
    let desk = Desk::start_in(folder);
    desk.wait_for("postroom_intake_messages_total", 1.0);
    desk.peak_kib() as f64 / 1024.0
}

// Waiting.

/// From Dovecot's word of a new mail, as it passes on the wire, to the committed ticket.
fn idle() {
    let (since_told, since_delivered) = waits("");
    waited("from untagged EXISTS to the committed ticket", since_told, at_most(20.0));
    waited("from the delivery to it, which Dovecot tells late", since_delivered, None);
    let (since_told, since_delivered) = waits(peers::HIBERNATES);
    waited("from untagged EXISTS, where Dovecot hibernates", since_told, at_most(20.0));
    waited("from the delivery to the ticket, there", since_delivered, at_most(400.0));
}

/// Milliseconds from the word of a Dovecot with these settings, and from the delivery, to the
/// ticket, for each of some mails.
fn waits(settings: &str) -> (Vec<f64>, Vec<f64>) {
    let Some(dovecot) = Dovecot::start_with(settings) else { return Default::default() };
    dovecot.add_user(USER, PASSWORD);
    let wire = Wire::to(dovecot.imap);
    let folder = desk::folder_for(&small_configuration(&format!(
        "mailAccounts:\n  one: {{{}, since: all, afterFetch: delete, pollInterval: 1h}}\n",
        imap(wire.port)
    )));
    desk::write_secret(&folder.path().join("password"), PASSWORD);
    let desk = Desk::start_in(folder);
    until("IDLE", Duration::from_millis(20), || (wire.idles() == 1).then_some(()));
    let mut delivered = Vec::new();
    for number in 0..IDLE_MAILS {
        if !settings.is_empty() {
            until("a parked session", Duration::from_millis(20), || {
                dovecot.hibernates().then_some(())
            });
        }
        delivered.push(SystemTime::now());
        dovecot.deliver(USER, &mails::plain(number, 2_048));
        desk.wait_for("postroom_intake_messages_total", number as f64 + 1.0);
        // Delivered only when it waits again, so that the next one is told and not found.
        until("IDLE", Duration::from_millis(20), || (wire.idles() >= number + 2).then_some(()));
    }
    let recorded: Vec<SystemTime> = desk.log().lines().filter_map(time_of_record).collect();
    let told = wire.told();
    assert_eq!(recorded.len(), IDLE_MAILS);
    let between = |from: &SystemTime, to: &SystemTime| {
        to.duration_since(*from).expect("the one is before the other").as_secs_f64() * 1e3
    };
    let since_told = |at| between(told.iter().rfind(|told| *told <= at).expect("it was told"), at);
    let since_told: Vec<f64> = recorded.iter().map(since_told).collect();
    let since_delivered = delivered.iter().zip(&recorded).map(|(from, to)| between(from, to));
    (since_told, since_delivered.collect())
}

fn waited(what: &str, mut millis: Vec<f64>, bound: Option<Bound>) {
    if millis.is_empty() {
        return;
    }
    millis.sort_by(f64::total_cmp);
    row(&format!("{what}, median"), median(millis.clone()), "ms", bound);
    row(&format!("  the slowest of {}", millis.len()), millis[millis.len() - 1], "ms", None);
}

/// When a line of the log says that a ticket was committed.
fn time_of_record(line: &str) -> Option<SystemTime> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let time: Timestamp = line["timestamp"].as_str()?.parse().ok()?;
    (line["outcome"] == "created").then(|| time.into())
}

/// A wire to an IMAP server that notes what passes.
struct Wire {
    port: u16,
    noted: Arc<Mutex<Noted>>,
}

#[derive(Default)]
struct Noted {
    /// When the server said that there are more mails.
    told: Vec<SystemTime>,
    /// How often the client began to wait.
    idles: usize,
}

impl Wire {
    fn to(server: u16) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let noted = Arc::new(Mutex::new(Noted::default()));
        let notes = noted.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (up, down) = (notes.clone(), notes.clone());
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    pass(from, to, |text| {
                        up.lock().unwrap().idles += text.matches(" IDLE\r\n").count();
                    })
                });
                std::thread::spawn(move || {
                    pass(server, client, |text| {
                        if text.contains(" EXISTS\r\n") {
                            down.lock().unwrap().told.push(SystemTime::now());
                        }
                    })
                });
            }
        });
        Wire { port, noted }
    }

    fn told(&self) -> Vec<SystemTime> {
        self.noted.lock().unwrap().told.clone()
    }

    fn idles(&self) -> usize {
        self.noted.lock().unwrap().idles
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, note: impl Fn(&str)) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        note(&String::from_utf8_lossy(&piece[..count]));
        if to.write_all(&piece[..count]).is_err() {
            return;
        }
    }
}

// Lists and the search.

/// Tickets of a large desk.
const TICKETS: usize = 100_000;
/// Mails that are recorded together.
const LETTERS_AT_ONCE: usize = 500;
/// How often each list is asked for.
const LISTINGS: usize = 21;

/// First pages of lists and searches over a large desk, and what the index costs.
fn lists() {
    let folder = tempfile::tempdir().unwrap();
    let store = letters::open(folder.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let mut bytes = 0;
    for first in (0..TICKETS).step_by(LETTERS_AT_ONCE) {
        let mails: Vec<_> = (first..first + LETTERS_AT_ONCE).map(numbered).collect();
        bytes += mails.iter().map(|mail| mail.raw.len()).sum::<usize>();
        runtime.block_on(async {
            store
                .spool("support", mails.iter().map(|mail| mail.to_spool()).collect())
                .await
                .unwrap();
            store.record(mails.iter().map(|mail| mail.to_record()).collect()).await.unwrap();
        });
    }
    let recorded = began.elapsed().as_secs_f64();
    store.index_now().unwrap();
    let indexed = began.elapsed().as_secs_f64();
    row("100,000 mails of 2 KB recorded by the store alone", TICKETS as f64 / recorded, "/s", None);
    row("  until the last was indexed, after the last record", indexed - recorded, "s", None);
    let index = fs::metadata(folder.path().join("search.redb")).unwrap().len();
    row("  index per byte of mail", index as f64 / bytes as f64, "", None);
    let all = TicketQuery::default;
    let text = |text: &str| TicketQuery { text: Some(text.into()), ..all() };
    let new = || TicketQuery { states: vec![State::New], sort: SortBy::Updated, ..all() };
    let queries = [
        ("newest of 100,000 tickets", all()),
        ("  last changed of one state", new()),
        ("  by priority", TicketQuery { sort: SortBy::Priority, ..new() }),
        ("  of an owner who has none", TicketQuery { owner: Some("alice".into()), ..new() }),
        ("search for a word in every ticket", text("printer")),
        ("  for a Japanese word in every ticket", text("複合機")),
        ("  for a word in one of a thousand", text("word777")),
        ("  for a Japanese word in one of a thousand", text("件目777")),
        ("  for one letter and a word", text("p word777")),
        ("  for what no ticket has", text("xylophone")),
        ("  sorted by last change", TicketQuery { sort: SortBy::Updated, ..text("printer") }),
    ];
    for (what, query) in queries {
        let list = |_| {
            let began = Instant::now();
            store.tickets(&query, None, 50).unwrap();
            began.elapsed().as_secs_f64() * 1e3
        };
        row(what, median((0..LISTINGS).map(list).collect()), "ms", at_most(100.0));
    }
    runtime.block_on(store.close());
}

/// Pages of 100,000 customers who wrote once, as a program gets them.
fn customers() {
    let folder = desk::folder_for(&small_configuration(""));
    let store = Store::open(&folder.path().join("data")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let config = Arc::new(config::load(&[folder.path().join("config")]).config.unwrap());
    for first in (0..TICKETS).step_by(LETTERS_AT_ONCE) {
        runtime.block_on(write_as_customers(&store, &config, first..first + LETTERS_AT_ONCE));
    }
    runtime.block_on(store.close());
    drop(store);
    let desk = Desk::start_in(folder);
    desk.wait_for("postroom_build_info", 1.0);
    let queries = [
        ("first page of 100,000 customers", "", 50),
        ("  from the middle", "?cursor=person050000@customer.example", 50),
        ("search for what all of them have", "?q=customer", 50),
        ("  for what one of a thousand has", "?q=n050", 50),
        ("  for the last one", "?q=person099999", 1),
        ("  for what none has", "?q=xylophone", 0),
    ];
    for (what, query, expected) in queries {
        let list = |_| {
            let began = Instant::now();
            let answer = desk.as_owner("GET", &format!("/api/v1/customers{query}"));
            assert_eq!(answer.matches("\"address\":").count(), expected, "{what}: {answer:.2000}");
            began.elapsed().as_secs_f64() * 1e3
        };
        row(what, median((0..LISTINGS).map(list).collect()), "ms", at_most(100.0));
    }
}

/// Records one mail of each of these customers, as intake does.
async fn write_as_customers(store: &Store, config: &Arc<Config>, numbers: Range<usize>) {
    let account = letters::account("support");
    let mails: Vec<_> =
        numbers.map(|number| (format!("new/{number}"), of_customer(number))).collect();
    let spools = mails.iter().map(|(place, raw)| Spool {
        location: letters::location(place),
        raw: Arc::new(raw.clone().into_bytes()),
        headers_only: false,
    });
    let spooled = store.spool(&account.name, spools.collect()).await.unwrap();
    let records = mails.iter().zip(spooled).map(|((place, raw), spooled)| ToRecord {
        config: config.clone(),
        account: account.clone(),
        location: letters::location(place),
        digest: spooled.digest,
        judgement: Ok(Box::new(intake::judge(config, &account, &mail::parse(raw.as_bytes())))),
        now: letters::at(0),
        released: None,
    });
    store.record(records.collect()).await.unwrap();
}

fn of_customer(number: usize) -> String {
    format!(
        "From: Customer Number {number} <person{number:06}@customer.example>\r\nSubject: case {number}\r\n\
         Message-ID: <{number}@customer.example>\r\n\r\nThe printer is on fire.\r\n"
    )
}

fn numbered(number: usize) -> letters::Letter {
    let mut letter = letters::letter("support", &format!("case {number}")).of_bytes(2_048);
    let lines = "The printer on the third floor prints one page and then stops again.\n".repeat(20);
    letter.judgement.article.text = format!(
        "{lines}三階の複合機で紙詰まりが直りません。{} 件目{}\nword{}\n",
        number,
        number % 1_000,
        number % 1_000
    );
    letter.now = letters::at(number as i64);
    letter
}

// Configurations.

fn small_configuration(accounts: &str) -> String {
    format!(
        "version: 1\ndesk: {{name: Measured Desk, systemId: \"10\"}}\nqueues:\n  support: {{}}\n{accounts}"
    )
}

fn imap(port: u16) -> String {
    format!(
        "type: imap, host: 127.0.0.1, port: {port}, username: {USER}, \
         password: {{file: {{dir}}/password}}"
    )
}

/// 10,000 polled accounts, 10,000 system addresses and 1,000 filters.
fn large_desk() -> Desk {
    polled(write_large)
}

/// A daemon that has looked into each of 10,000 empty mailboxes once.
fn polled(write: impl Fn(&Path)) -> Desk {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    for number in 0..ACCOUNTS {
        make_maildir(&folder.path().join(format!("mail/{number}")));
    }
    let desk = Desk::start_in(folder);
    desk.wait_for("postroom_account_up", ACCOUNTS as f64);
    desk
}

fn make_maildir(path: &Path) {
    for part in ["new", "cur", "tmp"] {
        fs::create_dir_all(path.join(part)).unwrap();
    }
}

/// Writes 10,000 accounts, 10,000 system addresses and 1,000 filters.
fn write_large(folder: &Path) {
    write_accounts(folder);
    for (number, first) in (0..ACCOUNTS).step_by(OBJECTS_PER_FILE).enumerate() {
        let addresses = addresses_file(first, first + OBJECTS_PER_FILE);
        desk::write_config(folder, &format!("addresses{number}.yaml"), &addresses);
    }
    desk::write_config(folder, "filters.yaml", &filters_file());
}

/// Writes 10,000 accounts and the queue their mails go to.
fn write_accounts(folder: &Path) {
    let mail = folder.join("mail");
    desk::write_config(folder, "desk.yaml", &small_configuration(""));
    for (number, first) in (0..ACCOUNTS).step_by(OBJECTS_PER_FILE).enumerate() {
        let accounts = accounts_file(first, first + OBJECTS_PER_FILE, &mail);
        desk::write_config(folder, &format!("accounts{number}.yaml"), &accounts);
    }
}

fn accounts_file(first: usize, last: usize, mail: &Path) -> String {
    let mut text = "version: 1\nmailAccounts:\n".to_owned();
    for number in first..last {
        let path = mail.join(number.to_string());
        let _ = writeln!(
            text,
            "  account{number}:\n    type: maildir\n    path: {}\n    pollInterval: 1h\n    \
             dispatch: {{by: recipient}}\n    afterFetch: delete",
            path.display()
        );
    }
    text
}

fn addresses_file(first: usize, last: usize) -> String {
    let mut text = "version: 1\nsystemAddresses:\n".to_owned();
    for number in first..last {
        let _ = writeln!(text, "  desk{number}@desk.example: {{name: Desk, queue: support}}");
    }
    text
}

fn filters_file() -> String {
    let mut text = "version: 1\nfilters:\n".to_owned();
    for number in 0..FILTERS {
        let _ = writeln!(
            text,
            "  filter{number}:\n    order: {number}\n    match: [{{header: Subject, regex: \
             '^\\[case {number}\\]'}}]\n    set: {{priority: 4 high}}"
        );
    }
    text
}
