//! Mails of 2 KB per second over one connection, and over several, to postfix `smtp-sink` on
//! loopback if it is installed, else to a small server in a thread of its own.
//!
//! `cargo bench --bench smtp`

#![allow(clippy::unwrap_used)]

mod support;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use postroom::core::address::Address;
use postroom::core::config::{
    Endpoint, Login, Security, SmtpRoute, SmtpServer, Switch, Text, TlsOptions,
};
use postroom::core::outgoing::{Attempt, Delivery, Outgoing, OutgoingId, OutgoingKind};
use postroom::secret::Secrets;
use postroom::transport;
use postroom::transport::programs::Programs;
use support::Bound;
use support::smtp_sink::Peer;

/// Length of each mail, in bytes.
const MAIL_BYTES: usize = 2048;

/// How long each row is measured, in seconds.
const MEASURE_SECS: u64 = 3;

fn main() -> ExitCode {
    if support::is_only_a_test() {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let peer = Peer::start();
    println!("mails of {MAIL_BYTES} bytes to {}", peer.name);
    println!("{:>11} {:>10} {:>12}", "connections", "mails/s", "µs per mail");
    for connections in [1, 4, 16] {
        let rate = runtime.block_on(measure(peer.port, connections));
        println!("{connections:>11} {rate:>10.0} {:>12.1}", 1e6 / rate);
        if connections == 1 {
            support::hold("mails/s over one connection", rate, Bound::AtLeast(5_000.0));
        }
    }
    support::verdict()
}

async fn measure(port: u16, connections: usize) -> f64 {
    let began = Instant::now();
    let until = began + Duration::from_secs(MEASURE_SECS);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(send_until(port, until));
    }
    let sent: u64 = tasks.join_all().await.into_iter().sum();
    sent as f64 / began.elapsed().as_secs_f64()
}

async fn send_until(port: u16, until: Instant) -> u64 {
    let server = server(port);
    let mail = mail();
    let mut connection = transport::open(&server, &Secrets::default(), &Programs::default(), None)
        .await
        .ok()
        .unwrap();
    let mut sent = 0;
    while Instant::now() < until {
        assert_eq!(connection.send(&mail, transport::Earlier::Nothing).await, Attempt::Sent);
        sent += 1;
    }
    connection.close().await;
    sent
}

fn mail() -> Outgoing {
    let now = "2026-03-04T05:06:07Z".parse().unwrap();
    let mut raw =
        b"From: desk@desk.test\r\nSubject: bench\r\nMessage-ID: <1@desk.test>\r\n\r\n".to_vec();
    while raw.len() < MAIL_BYTES {
        raw.extend_from_slice(b"The quick brown fox jumps over the lazy dog, again and again.\r\n");
    }
    Outgoing {
        id: OutgoingId(1),
        ticket: None,
        kind: OutgoingKind::Reply,
        sender: "default".into(),
        envelope_from: Address::parse("bounce@desk.test"),
        recipient: Address::parse("eve@customer.test").unwrap(),
        message_id: "1@desk.test".into(),
        raw,
        created: now,
        delivery: Delivery::Due { attempts: 0, at: now, last_error: None, doubt: None },
    }
}

fn server(port: u16) -> SmtpServer {
    let endpoint = Endpoint {
        host: Text::Plain("127.0.0.1".into()),
        port,
        security: Security::Plain,
        tls: TlsOptions::default(),
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(60),
    };
    SmtpServer {
        name: "bench".into(),
        route: SmtpRoute::Smtp { endpoint, login: Login::None },
        connections: 1,
        helo_name: None,
        state: Switch::Enabled,
    }
}
