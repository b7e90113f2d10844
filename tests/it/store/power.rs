//! The power fails at any instant: what was answered is kept, whatever part of the rest is there.
//!
//! The child of `crash` runs under strace, which tells everything that it did to its files. From
//! that, disks are made as a cut leaves them: writes since the last sync missing, torn or in another
//! order, names of files not yet kept.

mod medium;
mod trace;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::crash::{Answers, count, note};
use crate::needed;
use medium::{Dice, Medium};
use trace::Happened;

/// Answers after which nobody listens any more, at which the child ends.
const ANSWERS: usize = 45;
/// Cuts before the first answer: while the store is made.
const CUTS_WHILE_MADE: usize = 40;
/// Cuts after it.
const CUTS_AFTERWARDS: usize = 80;

#[test]
fn cuts_of_the_power_lose_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("trace"));
    if !run(&data, &log) {
        return;
    }
    let happened = trace::read(&String::from_utf8(std::fs::read(log).unwrap()).unwrap());
    let first = happened
        .iter()
        .position(|it| matches!(it, Happened::Said(line) if line.starts_with("ack")));
    let first = first.expect("the child was answered");
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let mut cuts: Vec<usize> = (0..CUTS_WHILE_MADE).map(|_| dice.below(first)).collect();
    cuts.extend((0..CUTS_AFTERWARDS).map(|_| first + dice.below(happened.len() - first)));
    cuts.sort_unstable();

    let (mut medium, mut answers, mut passed) = (Medium::default(), Answers::new(), 0);
    for cut in cuts {
        for step in &happened[passed..cut] {
            medium.step(step);
            if let Happened::Said(line) = step {
                note(line, &mut answers);
            }
        }
        passed = cut;
        let left = tempfile::tempdir().unwrap();
        medium.cut(&data, left.path(), &mut dice);
        println!("cut at {cut} of {}, {} answers", happened.len(), answers.len());
        count(left.path(), &answers);
    }
    assert!(answers.len() > 20, "only {} mails were answered", answers.len());
}

/// Runs the child under strace until it has answered often enough; `false` without strace.
fn run(data: &Path, log: &Path) -> bool {
    let child = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-y",
            "-xx",
            "-s",
            "16777216",
            "-e",
            &format!("trace={}", trace::CALLS),
        ])
        .arg("-o")
        .arg(log)
        .arg(std::env::current_exe().unwrap())
        .args(["store::crash::child", "--exact", "--ignored", "--nocapture"])
        .env(super::crash::DIRECTORY, data)
        .env_remove("POSTROOM_FAULT")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Some(mut child) = needed::found(child.ok(), "strace is not installed") else {
        return false;
    };
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let answered =
        lines.map_while(Result::ok).filter(|line| line.starts_with("ack ")).take(ANSWERS);
    assert_eq!(answered.count(), ANSWERS, "the child ended early");
    // It cannot say anything any more, and ends.
    child.wait().unwrap();
    true
}
