//! What the measurements share: the daemon as a process of its own, the mails, the way to wait.

#![allow(dead_code)]

pub mod desk;
pub mod mails;
pub mod smtp_sink;

use std::fmt;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A measurement that waits longer than this for something has found a fault.
const PATIENCE: Duration = Duration::from_secs(300);

/// Whether this run is only to show that the measurement starts: `cargo test --benches`.
pub fn is_only_a_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// What a figure must keep.
#[derive(Clone, Copy)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::AtMost(most) => write!(f, "≤ {most}"),
            Bound::AtLeast(least) => write!(f, "≥ {least}"),
        }
    }
}

/// For a row that has one.
pub fn at_most(most: f64) -> Option<Bound> {
    Some(Bound::AtMost(most))
}

/// Figures of this run that did not keep their bound.
static MISSED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes if a figure does not keep its bound.
pub fn hold(what: &str, figure: f64, bound: Bound) {
    let kept = match bound {
        Bound::AtMost(most) => figure <= most,
        Bound::AtLeast(least) => figure >= least,
    };
    if !kept {
        MISSED.lock().unwrap().push(format!("{}: {figure:.2}, not {bound}", what.trim()));
    }
}

/// How the program ends when all rows are told: with 1 if a bound was missed.
pub fn verdict() -> ExitCode {
    let missed = MISSED.lock().unwrap();
    missed.iter().for_each(|row| eprintln!("missed: {row}"));
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Waits until a look gives something.
#[track_caller]
pub fn until<T>(what: &str, every: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(every);
    }
}

/// The middle of several measurements.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
