//! Edits of the files under a running daemon.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{desk, mail, records};
use crate::daemon::{Daemon, deliver, until};
use crate::process::{Program, ask, token};

/// From an edit to the new revision.
const LIVE_WITHIN: Duration = Duration::from_secs(1);

/// The configuration in its variant of this number.
fn variant(number: usize) -> String {
    desk("").replace("queue: support}", &format!("queue: support, comment: v{number}}}"))
}

fn broken() -> String {
    desk("").replace("queue: support}", "queue: suport}")
}

fn text(daemon: &Daemon, yaml: &str) -> String {
    yaml.replace("{dir}", &daemon.path("").display().to_string())
}

/// Puts a link in the place of another in one step.
fn flip(target: &str, link: &Path) {
    let fresh = link.parent().unwrap().join(".fresh-link");
    symlink(target, &fresh).unwrap();
    fs::rename(&fresh, link).unwrap();
}

/// Three good edits in a row, each live in time; then a broken one, then a good one again.
async fn check(daemon: &Daemon, mut edit: impl FnMut(usize, &str)) {
    let handle = daemon.app().handle();
    let successful = || {
        let text = handle.metrics.text();
        let line =
            text.lines().find(|line| line.starts_with("postroom_config_last_reload_successful "));
        line.unwrap().ends_with(" 1")
    };
    let token = token(&daemon.path("data"));
    for number in 1..=3 {
        let before = handle.running.load().revision.clone();
        edit(number, &text(daemon, &variant(number)));
        let begun = Instant::now();
        until("a new revision", || (handle.running.load().revision != before).then_some(())).await;
        let took = begun.elapsed();
        println!("edit {number} is live after {took:?}");
        assert!(took < LIVE_WITHIN, "edit {number} took {took:?}");
    }
    let good = handle.running.load().revision.clone();
    edit(4, &text(daemon, &broken()));
    until("a refusal", || (!successful()).then_some(())).await;
    assert_eq!(handle.running.load().revision, good);
    let (status, answer) = ask(daemon.app().addr(), "GET", "/api/v1/status", &token, "").await;
    assert_eq!(status, 200);
    assert!(answer.contains("suport") && answer.contains("desk.yaml"), "{answer}");
    let known = records(daemon).len();
    daemon.deliver("while broken", &mail("eve@customer.example", 1, "Still here", ""));
    daemon.mails(known + 1).await;
    edit(5, &text(daemon, &variant(5)));
    until("a revision", || successful().then_some(())).await;
    let (_, answer) = ask(daemon.app().addr(), "GET", "/api/v1/status", &token, "").await;
    assert!(!answer.contains("suport"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn config_map_swaps() {
    let mut daemon = Daemon::start(&variant(0)).await;
    daemon.stop().await;
    let root = daemon.path("config");
    let mount = |number: usize, yaml: &str| {
        let folder = root.join(format!("..{number}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("desk.yaml"), yaml).unwrap();
        flip(&format!("..{number}"), &root.join("..data"));
    };
    fs::remove_file(root.join("desk.yaml")).unwrap();
    mount(0, &text(&daemon, &variant(0)));
    symlink("..data/desk.yaml", root.join("desk.yaml")).unwrap();
    daemon.again().await;
    check(&daemon, |number, yaml| {
        mount(number, yaml);
        fs::remove_dir_all(root.join(format!("..{}", number - 1))).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn git_sync_flips() {
    let mut daemon = Daemon::start(&variant(0)).await;
    daemon.stop().await;
    let root = daemon.path("git");
    let checkout = |number: usize, yaml: &str| {
        let folder = root.join(format!("sha{number}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("desk.yaml"), yaml).unwrap();
        flip(&format!("sha{number}"), &root.join("current"));
    };
    checkout(0, &text(&daemon, &variant(0)));
    fs::remove_dir_all(daemon.path("config")).unwrap();
    symlink("git/current", daemon.path("config")).unwrap();
    daemon.again().await;
    check(&daemon, |number, yaml| {
        checkout(number, yaml);
        fs::remove_dir_all(root.join(format!("sha{}", number - 1))).unwrap();
    })
    .await;
}

/// What runs goes on running when its files are gone, and comes back with them.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_deleted_and_put_back() {
    let daemon = Daemon::start(&variant(0)).await;
    let handle = daemon.app().handle();
    let (addr, token) = (daemon.app().addr(), token(&daemon.path("data")));
    let good = handle.running.load().revision.clone();
    fs::rename(daemon.path("config"), daemon.path("aside")).unwrap();
    let (status, answer) = ask(addr, "POST", "/-/reload", &token, "").await;
    assert_eq!(status, 422, "{answer}");
    assert!(answer.contains("could not be read"), "{answer}");
    assert_eq!(handle.running.load().revision, good);
    daemon.deliver("meanwhile", &mail("eve@customer.example", 1, "Still here", ""));
    daemon.mails(1).await;
    // An empty one is no better: it would take everything away.
    fs::create_dir(daemon.path("config")).unwrap();
    let (status, answer) = ask(addr, "POST", "/-/reload", &token, "").await;
    assert_eq!(status, 422, "{answer}");
    assert!(answer.contains("holds no .yaml"), "{answer}");
    fs::remove_dir(daemon.path("config")).unwrap();
    fs::rename(daemon.path("aside"), daemon.path("config")).unwrap();
    daemon.write(&variant(1));
    until("the next revision", || (handle.running.load().revision != good).then_some(())).await;
    daemon.deliver("afterwards", &mail("eve@customer.example", 2, "Still here", ""));
    daemon.mails(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_and_with_a_broken_expression() {
    let daemon = Daemon::start(&variant(0)).await;
    let (addr, token) = (daemon.app().addr(), token(&daemon.path("data")));
    daemon.write(&variant(1));
    let (status, answer) = ask(addr, "POST", "/-/reload", &token, "").await;
    assert_eq!(status, 200, "{answer}");
    let handle = daemon.app().handle();
    let good = handle.running.load().revision.clone();
    assert!(answer.contains(&*good), "{answer}");
    let filter = "filters:\n  odd: {order: 1, match: [{header: Subject, regex: '(unclosed'}], \
                  set: {queue: support}}\n";
    daemon.write(&(variant(1) + filter));
    let (status, answer) = ask(addr, "POST", "/-/reload", &token, "").await;
    assert_eq!(status, 422, "{answer}");
    assert!(answer.contains("filters.odd"), "{answer}");
    assert_eq!(handle.running.load().revision, good);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_hangup() {
    let program = Program::start(&variant(0), &[]).await;
    let revision = || async {
        let (_, metrics) = ask(program.addr, "GET", "/metrics", "", "").await;
        let line = metrics.lines().find(|line| line.starts_with("postroom_config_info{"));
        line.unwrap().to_owned()
    };
    let before = revision().await;
    program.write(&variant(1));
    program.signal("HUP");
    let begun = Instant::now();
    while revision().await == before {
        assert!(begun.elapsed() < Duration::from_secs(20), "the new revision does not come");
    }
    until("the signal to be counted", || {
        program.log().contains("\"trigger\":\"signal\"").then_some(())
    })
    .await;
}

/// A number that looks random, for a seed that is printed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_edits_while_mails_flow_lose_and_double_nothing() {
    const MAILS: usize = 500;
    const EDITS: usize = 100;
    let seed = std::process::id().into();
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let program = Program::start(&variant(0), &[]).await;
    let created = || async {
        let (_, metrics) = ask(program.addr, "GET", "/metrics", "", "").await;
        let value = |series: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(series));
            line.map_or(0, |value| value.trim().parse::<f64>().unwrap() as usize)
        };
        (
            value("postroom_intake_messages_total{outcome=\"created\"}"),
            value("postroom_intake_messages_total{outcome=\"duplicate\"}"),
        )
    };
    let files = || fs::read_dir(format!("/proc/{}/fd", program.pid())).unwrap().count();
    deliver(&program.path("mail"), "0", &mail("eve@customer.example", 0, "First", ""));
    while created().await.0 < 1 {}
    let before = files();
    let mut delivered = 1;
    for edit in 0..EDITS {
        match dice.below(4) {
            0 => program.write(&broken()),
            1 => program.write("version: 1\nmailAccounts: ["),
            2 => program.write(&variant(edit).replace("pollInterval: 1s", "pollInterval: 2s")),
            _ => program.write(&variant(edit)),
        }
        // Some edits are read one by one, some together, as the watcher finds them.
        if dice.below(3) == 0 {
            let (status, _) = ask(program.addr, "POST", "/-/reload", &program.token(), "").await;
            assert!([200, 422].contains(&status), "{status}");
        }
        for _ in 0..(MAILS - 1) / EDITS + 1 {
            if delivered < MAILS {
                let from = format!("eve{delivered}@customer.example");
                let raw = mail(&from, delivered, &format!("Mail {delivered}"), "");
                deliver(&program.path("mail"), &delivered.to_string(), &raw);
                delivered += 1;
            }
        }
    }
    assert_eq!(delivered, MAILS);
    program.write(&variant(0));
    let begun = Instant::now();
    while created().await.0 < MAILS {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?} of {MAILS}", created().await);
    }
    until("an empty mailbox", || {
        let left: usize = ["new", "cur"]
            .iter()
            .map(|part| fs::read_dir(program.path("mail").join(part)).unwrap().count())
            .sum();
        (left == 0).then_some(())
    })
    .await;
    assert_eq!(created().await, (MAILS, 0));
    let begun = Instant::now();
    while files() > before + 2 {
        assert!(begun.elapsed() < Duration::from_secs(15), "{before} open files, now {}", files());
    }
}
