//! What the measurements share: the daemon as a process of its own, the mails, the way to wait.

#![allow(dead_code)]

pub mod desk;
pub mod mails;
pub mod smtp_sink;

use std::time::{Duration, Instant};

/// A measurement that waits longer than this for something has found a fault.
const PATIENCE: Duration = Duration::from_secs(300);

/// Whether this run is only to show that the measurement starts: `cargo test --benches`.
pub fn is_only_a_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
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
