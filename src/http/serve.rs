//! Accepts connections and lets the router answer them.
//!
//! Architecture invariant: every connection is bounded in number, header size and time, so that
//! slow or many callers cannot take the daemon's memory; a failing connection ends alone.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::auth::LocalToken;
use super::{BACKUP_TIMEOUT_SECS, CONNECTIONS_MAX, READ_TIMEOUT_SECS, Web};
use crate::app::Handle;

/// Header fields of one request.
const HEADERS_MAX: usize = 64;
/// Bytes of a request's header, and of our read buffer.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Until the header of a request must have arrived while more than half of the connections are
/// taken: those who say nothing make room for those who do.
const READ_TIMEOUT_CROWDED_SECS: u64 = 1;
/// A connection takes no further request after this time, so that nobody sits on one for ever.
const CONNECTION_SECS_MAX: u64 = 300;
/// Requests in progress get this long when the daemon stops.
const DRAIN_SECS: u64 = 5;
/// Pause after `accept` failed, as it does while there are no file descriptors left.
const ACCEPT_PAUSE_MS: u64 = 100;

/// Who is at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Who asks: whom the connection is from, or for whom a trusted proxy says that it asks.
#[derive(Debug, Clone, Copy)]
pub struct Client(pub IpAddr);

/// Serves until told to stop, then lets requests in progress end. `local` is the token of the
/// commands on this machine.
pub async fn serve(
    listener: TcpListener,
    handle: Handle,
    local: LocalToken,
    stop: CancellationToken,
) {
    let router = super::router(Web::new(handle, Some(local)));
    accept(listener, router, stop).await;
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // First the permit, then the connection: those beyond the limit wait in the kernel.
        let permit = tokio::select! {
            permit = permits.clone().acquire_owned() => permit.expect("never closed"),
            () = stop.cancelled() => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        let crowded = permits.available_permits() < CONNECTIONS_MAX / 2;
        let read_timeout_secs = if crowded { READ_TIMEOUT_CROWDED_SECS } else { READ_TIMEOUT_SECS };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            converse(stream, peer, router, Duration::from_secs(read_timeout_secs), stop).await;
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(DRAIN_SECS), drained).await;
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    read_timeout: Duration,
    stop: CancellationToken,
) {
    // Small answers leave at once instead of waiting for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        request.map(Body::new)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(read_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let old = tokio::time::sleep(Duration::from_secs(CONNECTION_SECS_MAX));
    tokio::select! {
        // Errors here are the caller's: it went away, was too slow, or spoke no HTTP.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = old => {}
    }
    connection.as_mut().graceful_shutdown();
    // The longest request may still end; `serve` cuts it short when the daemon stops.
    let _ = tokio::time::timeout(Duration::from_secs(BACKUP_TIMEOUT_SECS), connection).await;
}
