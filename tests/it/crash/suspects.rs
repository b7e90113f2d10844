//! A mail that ends the process is quarantined at its third attempt and alone; a mail that was only in
//! hand when something else ended the process never is.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use postroom::core::intake::Outcome;
use postroom::store::MailRecord;

use super::{Desk, Mail, PATIENCE, Running, each_has_one_ticket, records, until};

/// Mails of one batch.
const MAILS: usize = 5;
/// The mail that ends the process, or is in hand when it ends.
const SUSPECT: usize = 2;
/// What stands in that one alone.
const POISON: &str = "Question 2";

fn delivered() -> (Desk, Vec<Mail>) {
    let desk = Desk::with_maildir();
    let mails: Vec<Mail> = (0..MAILS).map(|number| Mail::new(number, 500)).collect();
    mails.iter().for_each(|mail| desk.deliver(mail));
    (desk, mails)
}

/// Lives of the program that end at this fault.
#[track_caller]
fn lives(desk: &Desk, fault: &str, count: usize) {
    for life in 0..count {
        let mut running = desk.start(Some(fault));
        until(&format!("end {life} at {fault}"), || (!running.is_alive()).then_some(()));
    }
}

/// Waits until all mails have left their folder and this many were answered. Longer than elsewhere: 10
/// seconds of processor time are a minute on a machine that is busy.
#[track_caller]
fn until_taken(desk: &Desk, answers: usize) {
    let began = Instant::now();
    while desk.lying() > 0 || desk.answer_count() != answers {
        assert!(
            began.elapsed() < 3 * PATIENCE,
            "waited in vain for the mails and {answers} answers"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn quarantined(desk: &Desk) -> Vec<MailRecord> {
    desk.store().quarantine(None, 10).unwrap().items
}

/// The suspect ends the process at this point in this way, in its own process at the latest.
#[track_caller]
fn poison(point: &str, way: &str, words: &[&str]) {
    let (desk, mails) = delivered();
    lives(&desk, &format!("{point}@{POISON}"), 2);
    let running = desk.start(Some(&format!("{point}{way}@{POISON}")));
    until_taken(&desk, MAILS - 1);
    let (_, metrics) = desk.ask("GET", "/metrics", "");
    assert!(metrics.contains("postroom_intake_suspects_total{result=\"deadly\"} 1"), "{metrics}");
    running.terminate();
    let found = quarantined(&desk);
    let [record] = &found[..] else { panic!("{found:?}") };
    let Outcome::Quarantined { reason } = &record.outcome else { panic!("{record:?}") };
    assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    assert!(record.from.contains("c2@customer.example"), "{record:?}");
    assert_eq!(record.subject, POISON);
    let store = desk.store();
    assert!(store.raw(&record.digest).unwrap().unwrap() == mails[SUSPECT].raw, "kept whole");
    let records = records(&store);
    let created = records.iter().filter(|record| record.outcome == Outcome::Created);
    assert_eq!((records.len(), created.count()), (MAILS, MAILS - 1));
}

#[test]
fn a_mail_that_aborts_the_judging_is_quarantined_at_its_third_attempt() {
    poison("judge", "", &["was aborted while it was parsed and judged"]);
}

#[test]
fn a_mail_that_aborts_the_settling_is_quarantined_at_its_third_attempt() {
    poison("settle", "", &["was aborted while its ticket was decided"]);
}

#[test]
fn a_mail_that_takes_memory_without_end_is_quarantined() {
    poison("judge", "=allocate", &["took more than", "MiB of memory"]);
    poison("settle", "=allocate", &["took more than", "MiB of memory"]);
}

#[test]
fn a_mail_that_computes_without_end_is_quarantined() {
    poison("judge", "=burn", &["took more than 10 s of processor time"]);
}

/// Something else ends the process while this mail is in hand; it is judged all the same.
#[track_caller]
fn killed_at(fault: &str, times: usize) {
    let (desk, mails) = delivered();
    lives(&desk, fault, times);
    let running = desk.start(None);
    until_taken(&desk, MAILS);
    running.terminate();
    assert_eq!(quarantined(&desk), []);
    each_has_one_ticket(&desk, &mails);
}

#[test]
fn a_healthy_mail_in_hand_at_many_kills_is_never_quarantined() {
    for point in ["judge", "settle"] {
        for times in [2, 3, 10] {
            killed_at(&format!("{point}:{}", SUSPECT + 1), times);
        }
    }
}

#[test]
fn a_kill_while_a_suspect_is_tried_does_not_count_against_it() {
    let (desk, mails) = delivered();
    lives(&desk, &format!("judge@{POISON}"), 2);
    for life in 1..=3 {
        let running = desk.start(Some(&format!("judge=burn@{POISON}")));
        let tried = "judging a suspected mail in a process of its own";
        until("the process", || {
            (desk.said(tried) == life && child(&running).is_some()).then_some(())
        });
        assert!(running.kill());
    }
    let running = desk.start(None);
    until_taken(&desk, MAILS);
    running.terminate();
    each_has_one_ticket(&desk, &mails);
}

#[test]
fn a_suspect_whose_process_is_killed_from_outside_stays_in_the_spool_and_is_tried_again() {
    let (desk, mails) = delivered();
    lives(&desk, &format!("judge@{POISON}"), 2);
    let running = desk.start(Some(&format!("judge=burn@{POISON}")));
    let child = until("the process", || child(&running));
    assert!(Command::new("kill").args(["-s", "KILL", &child]).status().unwrap().success());
    until("the word", || {
        (desk.said("could not be judged in a process of its own") > 0).then_some(())
    });
    // The others do not wait for it.
    until("the others", || (desk.answer_count() == MAILS - 1).then_some(()));
    assert!(running.kill());
    assert_eq!(quarantined(&desk), []);
    let running = desk.start(None);
    until_taken(&desk, MAILS);
    running.terminate();
    each_has_one_ticket(&desk, &mails);
}

#[test]
fn a_suspect_whose_process_cannot_be_started_stays_in_the_spool_and_is_tried_again() {
    let (desk, mails) = delivered();
    lives(&desk, &format!("judge@{POISON}"), 2);
    let running = desk.start(Some("suspect.start=error:3"));
    until_taken(&desk, MAILS);
    running.terminate();
    assert_eq!(desk.said("could not be judged in a process of its own"), 3);
    each_has_one_ticket(&desk, &mails);
}

#[test]
fn a_mail_that_ends_the_process_is_not_let_near_it_by_a_release() {
    let (desk, _) = delivered();
    let fault = format!("judge@{POISON}");
    lives(&desk, &fault, 2);
    let mut running = desk.start(Some(&fault));
    until_taken(&desk, MAILS - 1);
    let (_, listed) = desk.ask("GET", "/api/v1/quarantine", "");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let id = listed["items"][0]["id"].as_u64().unwrap();
    let (status, answer) = desk.ask("POST", &format!("/api/v1/quarantine/{id}/release"), "");
    assert!(status == 200 && answer.contains("quarantined"), "{status} {answer}");
    assert!(running.is_alive());
    running.terminate();
    assert_eq!(quarantined(&desk).len(), 1);
}

/// The process in which the daemon judges a suspect now.
fn child(running: &Running) -> Option<String> {
    let parent = running.0.id().to_string();
    fs::read_dir("/proc").unwrap().find_map(|entry| {
        let path = entry.ok()?.path();
        let arguments = fs::read(path.join("cmdline")).ok()?;
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        // proc(5): behind the name come the state and the parent.
        let (_, fields) = stat.rsplit_once(')')?;
        let is_child = fields.split_whitespace().nth(1) == Some(parent.as_str())
            && arguments.ends_with(b"\0judge-suspect\0");
        is_child.then(|| path.file_name().unwrap().to_string_lossy().into_owned())
    })
}
