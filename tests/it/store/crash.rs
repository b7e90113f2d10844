//! The process dies at any instant: what was answered is kept, and nothing is there twice.
//!
//! A child (this binary again, one ignored test of it) plays poller: it takes up what a crash left
//! behind, then fetches from an endless mailbox, and says on its output what was answered. The
//! parent kills it, starts it again, and counts.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::mails::{Letter, letter, location, open};
use postroom::store::{Known, Store, TicketQuery};

/// Tells the child where its store is.
pub const DIRECTORY: &str = "POSTROOM_STORE_CHILD";
const ACCOUNTS: [&str; 3] = ["support", "sales", "info"];
const FETCHED_AT_ONCE: usize = 5;

/// The mail that lies at this place of an endless mailbox.
fn lying_at(account: &str, place: usize) -> Letter {
    let mail = letter(account, &format!("{account} {place}"));
    match place % 7 {
        0 => mail.of_bytes(90_000),
        3 => mail.of_bytes(9_000),
        _ => mail,
    }
}

#[test]
#[ignore = "the child of the tests in this file"]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = open(Path::new(&directory)).expect("the store opens after a crash");
        let pollers = ACCOUNTS.map(|account| tokio::spawn(poll(store.clone(), account)));
        for poller in pollers {
            poller.await.unwrap();
        }
    });
}

async fn poll(store: Store, account: &'static str) {
    let mut place = 0;
    let left = store.spooled(account).unwrap_or_default();
    if !left.is_empty() {
        let mails = left.iter().map(|left| {
            let subject = left.location.0.strip_prefix("INBOX/7/").unwrap();
            lying_at(account, subject.split_once(' ').unwrap().1.parse().unwrap()).to_record()
        });
        answer(&store.record(mails.collect()).await.unwrap());
    }
    loop {
        let mails: Vec<_> =
            (place..place + FETCHED_AT_ONCE).map(|place| lying_at(account, place)).collect();
        place += FETCHED_AT_ONCE;
        let locations: Vec<_> = mails.iter().map(|mail| location(&mail.location)).collect();
        let known = store.known(account, &locations).unwrap();
        let mails: Vec<_> =
            mails.into_iter().zip(known).filter(|(_, known)| *known == Known::No).collect();
        if mails.is_empty() {
            continue;
        }
        let spools = mails.iter().map(|(mail, _)| mail.to_spool()).collect();
        let Ok(spooled) = store.spool(account, spools).await else {
            say("failed");
            continue;
        };
        spooled
            .iter()
            .for_each(|spooled| say(&format!("spooled {account} {}", spooled.location.0)));
        let records = mails.iter().map(|(mail, _)| mail.to_record()).collect();
        answer(&store.record(records).await.unwrap());
    }
}

fn answer(recorded: &[postroom::store::Recorded]) {
    for mail in recorded {
        let account = mail.location.0.split(['/', ' ']).nth(2).unwrap();
        say(&format!("recorded {account} {}", mail.location.0));
    }
}

/// Says a line in one piece, before anything else is done.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The parent may be gone: then so are we, at the next line.
    if writeln!(out, "ack {line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

fn start(directory: &Path, fault: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["store::crash::child", "--exact", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .env_remove("POSTROOM_FAULT")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(fault) = fault {
        command.env("POSTROOM_FAULT", fault);
    }
    command.spawn().unwrap()
}

/// What children were answered: `recorded` beats `spooled`.
pub type Answers = BTreeMap<(String, String), bool>;

/// Listens until the child is gone; kills it a while after its first answer, if it is to be.
fn listen(mut child: Child, kill_after: Option<Duration>, answers: &mut Answers) -> usize {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut failures = 0;
    let (first, begun) = std::sync::mpsc::channel();
    let killer = std::thread::spawn(move || {
        if let Some(after) = kill_after {
            let _ = begun.recv();
            std::thread::sleep(after);
            child.kill().unwrap();
        }
        child.wait().unwrap();
    });
    for line in lines.map_while(Result::ok) {
        let Some(understood) = note(&line, answers) else { continue };
        let _ = first.send(());
        failures += usize::from(!understood);
    }
    drop(first);
    killer.join().unwrap();
    failures
}

/// Notes what a child says; `None` if it is no answer, and `false` if it is that it failed.
pub fn note(line: &str, answers: &mut Answers) -> Option<bool> {
    let (_, line) = line.split_once("ack ")?;
    match line.splitn(3, ' ').collect::<Vec<_>>()[..] {
        ["spooled", account, location] => {
            answers.entry((account.into(), location.into())).or_insert(false);
        }
        ["recorded", account, location] => {
            answers.insert((account.into(), location.into()), true);
        }
        _ => return Some(false),
    }
    Some(true)
}

/// Everything answered is there, nothing is twice, and everything hangs together.
pub fn count(directory: &Path, answers: &Answers) {
    let store = open(directory).unwrap();
    store.index_now().unwrap();
    assert_eq!(store.verify().unwrap(), Vec::<String>::new());
    for ((account, at), recorded) in answers {
        let known = store.known(account, &[location(at)]).unwrap()[0];
        match known {
            Known::Recorded => {}
            Known::Spooled { .. } if !recorded => {}
            lost => panic!("{at} of {account} was answered (recorded: {recorded}) but is {lost:?}"),
        }
        let place = at.rsplit_once(' ').unwrap().1.parse().unwrap();
        let mail = lying_at(account, place);
        let raw = store.raw(&mail.judgement.keys.bytes).unwrap();
        assert!(raw.as_ref() == Some(&mail.raw), "the bytes of {at} have changed");
    }
    let mut titles = BTreeMap::new();
    let mut before = None;
    loop {
        let page = store.tickets(&TicketQuery::default(), before, 1_000).unwrap();
        for ticket in page.items {
            *titles.entry(ticket.title).or_insert(0) += 1;
        }
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let doubled: Vec<_> = titles.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "two tickets for one mail: {doubled:?}");
    let recorded = answers.values().filter(|recorded| **recorded).count();
    assert!(titles.len() >= recorded, "{} tickets for {recorded} mails", titles.len());
}

#[test]
fn kills_at_random_times_lose_and_double_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut answers = Answers::new();
    let seed = std::process::id();
    println!("seed {seed}");
    let mut dice = seed;
    for round in 0..30 {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let after = Duration::from_millis(u64::from(dice >> 16) % 120);
        listen(start(directory.path(), None), Some(after), &mut answers);
        if round % 10 == 9 {
            count(directory.path(), &answers);
        }
    }
    assert!(answers.len() > 100, "only {} mails were answered", answers.len());
}

#[test]
#[cfg(feature = "faultpoints")]
fn dying_at_every_step_loses_and_doubles_nothing() {
    let points = [
        "store.segment.before_sync",
        "store.segment.after_sync",
        "store.spool.before_commit",
        "store.spool.after_commit",
        "store.record.before_commit",
        "store.record.after_commit",
    ];
    let directory = tempfile::tempdir().unwrap();
    let mut answers = Answers::new();
    for passing in [1, 2, 5] {
        for point in points {
            let fault = format!("{point}:{passing}");
            listen(start(directory.path(), Some(&fault)), None, &mut answers);
            count(directory.path(), &answers);
        }
    }
    assert!(answers.len() > 20, "only {} mails were answered", answers.len());
}

/// The index is written behind the mails, seldom while they flow: each time in a store of its own,
/// which stays small.
#[test]
#[cfg(feature = "faultpoints")]
fn dying_while_the_index_is_written_loses_and_doubles_nothing() {
    for fault in ["search.before_commit:2", "search.after_commit:2"] {
        let directory = tempfile::tempdir().unwrap();
        let mut answers = Answers::new();
        listen(start(directory.path(), Some(fault)), None, &mut answers);
        count(directory.path(), &answers);
    }
}

#[test]
#[cfg(feature = "faultpoints")]
fn a_commit_that_fails_is_never_believed() {
    for fault in ["store.commit=error", "store.segment.sync=error"] {
        let directory = tempfile::tempdir().unwrap();
        let mut answers = Answers::new();
        let child = start(directory.path(), Some(fault));
        let failures = listen(child, Some(Duration::from_millis(100)), &mut answers);
        assert!(failures > 0, "{fault} was never met");
        count(directory.path(), &answers);
        if fault.starts_with("store.commit") {
            assert!(answers.is_empty(), "{answers:?}");
        }
    }
}
