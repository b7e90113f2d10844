//! Owed mails per second through the real outbox: 10,000 automatic answers in the store, sent to
//! postfix `smtp-sink`, until each is committed as sent.
//!
//! `cargo bench --bench outbox`

#![allow(clippy::unwrap_used)]

mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use postroom::config;
use postroom::core::config::Config;
use postroom::core::mail::Location;
use postroom::core::{intake, mail};
use postroom::metrics::Metrics;
use postroom::run::clock::Clock;
use postroom::run::outbox::{self, OutboxParts};
use postroom::secret::Secrets;
use postroom::store::{Spool, Store, ToRecord};
use support::Bound;
use support::desk::LOOK_EVERY;
use support::mails;
use support::smtp_sink::Peer;
use tokio_util::sync::CancellationToken;

/// Mails that are owed.
const OWED_MAILS: usize = 10_000;
/// Mails that are taken in together while the outbox is filled.
const FILL_MAILS: usize = 500;

fn main() -> ExitCode {
    if support::is_only_a_test() {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let peer = Peer::start();
    println!("{OWED_MAILS} owed mails to {}", peer.name);
    println!("{:>11} {:>9} {:>10}", "connections", "seconds", "mails/s");
    for connections in [1, 2, 8] {
        let seconds = runtime.block_on(drain(peer.port, connections));
        let rate = OWED_MAILS as f64 / seconds;
        println!("{connections:>11} {seconds:>9.2} {rate:>10.0}");
        let what = format!("mails/s over {connections} connections");
        support::hold(&what, rate, Bound::AtLeast(50.0));
    }
    support::verdict()
}

/// Fills an outbox and empties it; seconds for the latter.
async fn drain(port: u16, connections: usize) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let config = Arc::new(configuration(port, connections));
    fill(&store, &config).await;
    assert_eq!(store.outbox_counts().unwrap().due, OWED_MAILS as u64);
    let stop = CancellationToken::new();
    let parts = OutboxParts {
        external_host: None,
        store: store.clone(),
        running: Arc::new(move || ("r1".into(), config.clone())),
        secrets: Secrets::default(),
        programs: Default::default(),
        tokens: Default::default(),
        board: Arc::default(),
        metrics: Metrics::default(),
        clock: Clock::default(),
    };
    let began = Instant::now();
    let task = tokio::spawn(outbox::run(parts, stop.clone()));
    while store.outbox_counts().unwrap().due > 0 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(store.outbox_counts().unwrap().sent, OWED_MAILS as u64);
    stop.cancel();
    task.await.unwrap();
    store.close().await;
    seconds
}

/// Takes mails in that are each answered.
async fn fill(store: &Store, config: &Arc<Config>) {
    let account = config.accounts["bench"].clone();
    for first in (0..OWED_MAILS).step_by(FILL_MAILS) {
        let raws: Vec<Vec<u8>> =
            (first..first + FILL_MAILS).map(|number| mails::plain(number, 2_048)).collect();
        let spools = raws.iter().enumerate().map(|(index, raw)| Spool {
            location: Location((first + index).to_string()),
            raw: Arc::new(raw.clone()),
            headers_only: false,
        });
        let spooled = store.spool("bench", spools.collect()).await.unwrap();
        let records = spooled.into_iter().zip(&raws).map(|(spooled, raw)| ToRecord {
            config: config.clone(),
            account: account.clone(),
            location: spooled.location,
            digest: spooled.digest,
            judgement: Ok(Box::new(intake::judge(config, &account, &mail::parse(raw)))),
            now: Timestamp::now(),
            released: None,
        });
        store.record(records.collect()).await.unwrap();
    }
}

fn configuration(port: u16, connections: usize) -> Config {
    let yaml = format!(
        r#"version: 1
desk: {{name: Measured Desk, hook: "Ticket#", systemId: "10", language: en}}
# So that all are answered.
limits: {{autoRepliesPerHour: 1000000, autoRepliesPerThreeHours: 1000000, autoRepliesPerSubject: 1000000}}
mailAccounts:
  bench: {{type: maildir, path: /nonexistent, afterFetch: delete}}
smtp:
  sink: {{type: smtp, host: 127.0.0.1, port: {port}, connections: {connections}}}
senders:
  default: {{from: "Desk <desk@desk.example>", via: [sink]}}
queues:
  support: {{autoReplies: {{new: thanks}}}}
systemAddresses:
  support@desk.example: {{name: Support, queue: support}}
autoReplies:
  thanks:
    from: support@desk.example
    subject: {{en: We received your mail}}
    text: {{en: "Thank you. Your number is {{{{ ticket.number }}}}."}}
"#
    );
    let loaded = config::load_saved(&[("desk.yaml".to_owned(), yaml)]);
    assert_eq!(loaded.problems, []);
    loaded.config.unwrap()
}
