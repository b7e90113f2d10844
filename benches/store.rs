//! How many mails per second the store takes through both commits, and what they cost on disk.
//!
//! `cargo bench --bench store [directory]`. The rules are plain: what is measured is keeping.

#![allow(clippy::unwrap_used)]

#[path = "../tests/it/store/mails.rs"]
#[allow(dead_code)]
mod mails;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mails::{Letter, letter, open};

const PRODUCERS: usize = 4;
const MEASURED: Duration = Duration::from_secs(5);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let parent = std::env::args().nth(1).filter(|argument| !argument.starts_with("--"));
    let parent = parent.unwrap_or_else(|| ".".to_owned());
    for (batch, bytes) in [(1, 2_000), (10, 2_000), (50, 2_000), (100, 2_000), (20, 100_000)] {
        runtime.block_on(measure(Path::new(&parent), batch, bytes));
    }
}

async fn measure(parent: &Path, batch: usize, bytes: usize) {
    let directory = tempfile::tempdir_in(parent).unwrap();
    let store = open(directory.path()).unwrap();
    let empty = store.size_bytes().unwrap();
    let commits = Arc::new(AtomicU64::new(0));
    let counted = commits.clone();
    store.observe_commits(Box::new(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let begun = Instant::now();
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut taken = 0;
                while begun.elapsed() < MEASURED {
                    let mails: Vec<Letter> = (taken..taken + batch)
                        .map(|number| {
                            letter("support", &format!("{producer}/{number}")).of_bytes(bytes)
                        })
                        .collect();
                    let spools = mails.iter().map(Letter::to_spool).collect();
                    store.spool("support", spools).await.unwrap();
                    let records = mails.iter().map(Letter::to_record).collect();
                    store.record(records).await.unwrap();
                    taken += batch;
                }
                taken
            })
        })
        .collect();
    let mut taken = 0;
    for producer in producers {
        taken += producer.await.unwrap();
    }
    let seconds = begun.elapsed().as_secs_f64();
    let used = store.size_bytes().unwrap() - empty;
    println!(
        "{PRODUCERS} producers, {batch:3} mails of {bytes:6} bytes at a time: {:6.0} mails/s, \
         {:4.0} commits/s, {:.2} bytes on disk per byte of mail",
        taken as f64 / seconds,
        commits.load(Ordering::Relaxed) as f64 / seconds,
        used as f64 / (taken * bytes) as f64,
    );
    store.close().await;
}
