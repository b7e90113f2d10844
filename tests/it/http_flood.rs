//! Floods of connections against the real server: probes are answered in time, one address takes no
//! more than its share, and who makes no progress is let go.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use postroom::http::mail_memory::MAIL_MEMORY_BYTES_MAX;
use postroom::http::places::{CONNECTIONS_LOOPBACK, CONNECTIONS_PER_ADDRESS_MAX};
use postroom::http::progress::WRITE_WINDOW_SECS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::http::{Desk, listening, record_mail};

/// Connections of a flood: more than are served.
const FLOOD: usize = 260;
/// Longest that a probe may take.
const PROBE_MAX: Duration = Duration::from_millis(100);
/// Probes of which the middle one is looked at: a machine that does other things may delay some.
const PROBES: usize = 9;
/// Receive buffer of those who read slowly.
const SMALL_BUFFER_BYTES: u32 = 4096;
/// Requests in a row, so that the answers fit into no buffer of a kernel.
const IN_A_ROW: usize = 20;

/// Connects from one of the addresses of this machine, with a small buffer.
async fn connect_from(host: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SMALL_BUFFER_BYTES).unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

async fn ask(host: u8, to: SocketAddr, path: &str) -> String {
    let mut stream = connect_from(host, to).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

/// Asks as a probe does, from the address of the flood and from another one.
async fn probes_are_answered(flood: &str, to: SocketAddr) {
    for host in [1, 99] {
        let mut took = Vec::new();
        for _ in 0..PROBES {
            let began = Instant::now();
            let said = ask(host, to, "/-/healthy").await;
            took.push(began.elapsed());
            assert!(said.starts_with("HTTP/1.1 200 OK"), "{flood}, from {host}: {said:?}");
        }
        took.sort();
        assert!(took[PROBES / 2] < PROBE_MAX, "{flood}, from {host}: {took:?}");
        let said = ask(host, to, "/-/ready").await;
        assert!(said.starts_with("HTTP/1.1 200 OK"), "{flood}, from {host}: {said:?}");
        let said = ask(host, to, "/metrics").await;
        let whole = said.starts_with("HTTP/1.1 200 OK") && said.contains("postroom_build_info");
        assert!(whole, "{flood}, from {host}: {} bytes", said.len());
    }
}

/// What everybody of a flood sends; nobody reads a byte of what comes back.
fn floods() -> Vec<(&'static str, String)> {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    let body = "POST /api/v1/tickets/1/notes HTTP/1.1\r\nhost: a\r\nauthorization: Bearer user-token\r\n\
                content-type: application/json\r\ncontent-length: 100\r\n\r\n{\"te";
    vec![
        ("slow readers", get("/api/v1/openapi.json").repeat(IN_A_ROW)),
        ("slow readers of metrics", get("/metrics").repeat(IN_A_ROW)),
        ("no byte", String::new()),
        ("slow headers", "GET /metrics HTTP/1.1\r\nhost: a\r\nx-slow: ".to_owned()),
        ("slow bodies", body.to_owned()),
        ("idle connections", get("/-/ready")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_during_floods() {
    let desk = Desk::new();
    let (address, stop, serving) = listening(&desk).await;
    for (flood, said) in floods() {
        // From the address of the probe itself, from one other, and from so many that they take
        // every place together.
        for hosts in [1..=1, 2..=2, 2..=9_u8] {
            let all: Vec<u8> = hosts.cycle().take(FLOOD).collect();
            let mut held = Vec::new();
            for host in all {
                let mut stream = connect_from(host, address).await;
                // Who was displaced finds the connection closed.
                let _ = stream.write_all(said.as_bytes()).await;
                held.push(stream);
            }
            probes_are_answered(flood, address).await;
        }
    }
    stop.cancel();
    serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_leaves_room_for_others() {
    let desk = Desk::new();
    let (address, stop, serving) = listening(&desk).await;
    let mut held = Vec::new();
    for _ in 0..FLOOD {
        held.push(connect_from(2, address).await);
    }
    let open = ask(3, address, "/api/v1/openapi.json").await;
    assert!(open.starts_with("HTTP/1.1 200 OK"), "{open}");
    stop.cancel();
    serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_beyond_the_limit_waits_and_is_served() {
    let desk = Desk::new();
    let (address, stop, serving) = listening(&desk).await;
    // Loopback has places of its own beyond those of one address.
    let places = CONNECTIONS_PER_ADDRESS_MAX + CONNECTIONS_LOOPBACK;
    let mut held = Vec::new();
    let slow = "GET /api/v1/openapi.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(IN_A_ROW);
    for _ in 0..places {
        let mut stream = connect_from(2, address).await;
        stream.write_all(slow.as_bytes()).await.unwrap();
        held.push(stream);
    }
    let asked = tokio::spawn(async move { ask(2, address, "/api/v1/openapi.json").await });
    let refused = tokio::spawn(async move { ask(2, address, "/api/v1/openapi.json").await });
    let refused = refused.await.unwrap();
    let said = asked.await.unwrap();
    for said in [refused, said] {
        assert!(said.starts_with("HTTP/1.1 503"), "{said}");
        assert!(said.contains("retry-after: ") && said.contains("one address"), "{said}");
    }
    let asked = tokio::spawn(async move { ask(2, address, "/api/v1/openapi.json").await });
    let metrics = &desk.handle.metrics;
    assert!(metrics.text().contains("connections_refused_total{reason=\"address\"} 2"));
    held.clear();
    let said = asked.await.unwrap();
    assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
    stop.cancel();
    serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_bounded_by_its_clients() {
    let desk = Desk::trusting("127.0.0.5");
    let (address, stop, serving) = listening(&desk).await;
    let get = |client: &str| {
        format!("GET /api/v1/openapi.json HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {client}\r\n\r\n")
    };
    let mut held = Vec::new();
    let mut first = async |client: &str| {
        let mut stream = connect_from(5, address).await;
        stream.write_all(get(client).as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        held.push(stream);
        String::from_utf8(status.to_vec()).unwrap()
    };
    for _ in 0..CONNECTIONS_PER_ADDRESS_MAX {
        assert_eq!(first("198.51.100.7").await, "HTTP/1.1 200");
    }
    assert_eq!(first("198.51.100.7").await, "HTTP/1.1 503");
    assert_eq!(first("198.51.100.8").await, "HTTP/1.1 200");
    stop.cancel();
    drop(held);
    serving.await.unwrap();
}

// Time stands still but jumps to the next timer whenever everybody waits.
#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_let_go() {
    let desk = Desk::new();
    let (address, _stop, _serving) = listening(&desk).await;
    let mut stream = connect_from(2, address).await;
    let ask = "GET /api/v1/openapi.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(IN_A_ROW);
    stream.write_all(ask.as_bytes()).await.unwrap();
    let began = tokio::time::Instant::now();
    let slow = "connections_refused_total{reason=\"slowReader\"} 1";
    while !desk.handle.metrics.text().contains(slow) {
        assert!(began.elapsed() < Duration::from_secs(3 * WRITE_WINDOW_SECS), "still connected");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_of_mails_hold_no_more_than_the_bound() {
    let desk = Desk::new();
    let megabytes = 25;
    let text = "x".repeat(76) + "\r\n";
    let raw = format!(
        "From: eve@customer.example\r\nTo: desk@desk.example\r\nSubject: long\r\nMessage-ID: <l@c>\r\n\r\n{}",
        text.repeat(megabytes * 1024 * 1024 / text.len())
    );
    let number = record_mail(&desk, "large", &raw).await;
    let (_, ticket) =
        crate::http::json(&desk, axum::http::Method::GET, &format!("/api/v1/tickets/{number}"), "")
            .await;
    let id = ticket["articles"][0]["id"].as_u64().unwrap();
    let (address, stop, serving) = listening(&desk).await;
    let path = format!("/api/v1/tickets/{number}/articles/{id}/raw");
    let mut statuses = Vec::new();
    let mut held = Vec::new();
    let fits = usize::try_from(MAIL_MEMORY_BYTES_MAX).unwrap() / raw.len();
    for host in 0..fits + 3 {
        let mut stream = connect_from(10 + host as u8, address).await;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer admin-token\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let asked = tokio::spawn(async move {
            let mut status = [0; 12];
            stream.read_exact(&mut status).await.unwrap();
            (String::from_utf8(status.to_vec()).unwrap(), stream)
        });
        held.push(asked);
    }
    let mut streams = Vec::new();
    for asked in held {
        let (status, stream) = asked.await.unwrap();
        statuses.push(status);
        streams.push(stream);
    }
    let served = statuses.iter().filter(|status| status.ends_with("200")).count();
    let refused = statuses.iter().filter(|status| status.ends_with("503")).count();
    assert_eq!((served, refused), (fits, 3), "{statuses:?}");
    probes_are_answered("slow readers of a mail", address).await;
    drop(streams);
    stop.cancel();
    serving.await.unwrap();
}
