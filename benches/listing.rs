//! A mailbox with 500,000 mails that are left alone: how long each look takes, and what the daemon,
//! a process of its own, holds in memory at most.
//!
//! Beside it, in the same run, a bare read: the same bytes from the same server, thrown away.
//!
//! `cargo bench --bench listing [-- imap|pop3]`

#![allow(clippy::unwrap_used)]

#[path = "../tests/it/server/mod.rs"]
#[allow(dead_code)]
mod server;
mod support;

use std::time::{Duration, Instant};

use server::{Behaviour, Server, imap, pop3};
use support::desk::{self, Desk};
use support::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Mails in the mailbox.
const MAILS: u32 = 500_000;
/// Mails of a bare page: as many as the daemon asks for at a time.
const PAGE_MAILS: u32 = 10_000;
const SUCCESSES: &str = "postroom_poll_runs_total{account=\"bench\",result=\"success\"}";

fn main() {
    if support::is_only_a_test() {
        return;
    }
    let chosen: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    println!("{MAILS} mails that are left alone; bare: the same bytes, read and thrown away");
    println!(
        "{:>8} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "scene", "bare s", "first s", "again s", "idle MiB", "peak MiB"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for (name, behaviour) in [("imap", imap::large(MAILS)), ("pop3", pop3::large(MAILS))] {
        if chosen.is_empty() || chosen.iter().any(|it| it == name) {
            measure(&runtime, name, behaviour);
        }
    }
}

fn measure(runtime: &tokio::runtime::Runtime, name: &str, behaviour: Behaviour) {
    let server = runtime.block_on(behaviour.start());
    let bare = runtime.block_on(bare_read(name, &server));
    let folder = desk::folder_for(&configuration(name, server.port));
    desk::write_secret(&folder.path().join("password"), server::PASSWORD);
    let empty = Desk::start("version: 1\n");
    until("the empty daemon", Duration::from_millis(5), || empty.metric("postroom_build_info"));
    let idle = empty.peak_kib();
    drop(empty);
    let desk = Desk::start_in(folder);
    let looks = |count: f64| {
        let begun = Instant::now();
        until("a look", Duration::from_millis(5), || {
            desk.metric(SUCCESSES).filter(|looks| *looks >= count)
        });
        begun.elapsed().as_secs_f64()
    };
    let first = looks(1.0);
    desk.post("/api/v1/accounts/bench/fetch");
    let again = looks(2.0);
    println!(
        "{name:>8} {bare:>9.2} {first:>9.2} {again:>9.2} {:>9} {:>9}",
        idle / 1024,
        desk.peak_kib() / 1024
    );
}

fn configuration(kind: &str, port: u16) -> String {
    let idle = if kind == "imap" { "idle: \"off\", " } else { "" };
    format!(
        "version: 1\nmailAccounts:\n  bench: {{type: {kind}, host: 127.0.0.1, port: {port}, \
         username: desk, password: {{file: {{dir}}/password}}, {idle}pollInterval: 1h, \
         dispatch: {{by: recipient}}, afterFetch: keep}}\n"
    )
}

/// Seconds to read what a look at everything makes the server send.
async fn bare_read(name: &str, server: &Server) -> f64 {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let mut buffer = vec![0; 64 * 1024];
    read_until(&mut stream, &mut buffer, b"ready\r\n").await;
    let begun = Instant::now();
    if name == "imap" {
        for from in (1..=MAILS).step_by(PAGE_MAILS as usize) {
            let to = from + PAGE_MAILS - 1;
            let command = format!("A FETCH {from}:{to} (UID)\r\n");
            stream.write_all(command.as_bytes()).await.unwrap();
            read_until(&mut stream, &mut buffer, b"A OK listed\r\n").await;
        }
    } else {
        for command in ["LIST\r\n", "UIDL\r\n"] {
            stream.write_all(command.as_bytes()).await.unwrap();
            read_until(&mut stream, &mut buffer, b"\r\n.\r\n").await;
        }
    }
    begun.elapsed().as_secs_f64()
}

async fn read_until(stream: &mut TcpStream, buffer: &mut [u8], end: &[u8]) {
    let mut tail = Vec::new();
    while !tail.ends_with(end) {
        let read = stream.read(buffer).await.unwrap();
        assert!(read > 0, "closed");
        tail.extend_from_slice(&buffer[..read]);
        let surplus = tail.len().saturating_sub(end.len());
        tail.drain(..surplus);
    }
}
