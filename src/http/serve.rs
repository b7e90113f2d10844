//! Accepts connections and lets the router answer them.
//!
//! Architecture invariant: every connection is bounded in number, header size and time, in both
//! directions, so that slow or many callers cannot take the daemon's memory or its probes; a failing
//! connection ends alone.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::auth::LocalToken;
use super::places::{Entered, Place, Places, Refusal, Waits};
use super::problem::Problem;
use super::progress::{Progress, SlowReader};
use super::{BACKUP_TIMEOUT_SECS, READ_TIMEOUT_SECS, Web, proxy};
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
/// What is answered on a connection that has no place.
const WITHOUT_PLACE: [&str; 3] = ["/-/healthy", "/-/ready", "/metrics"];

/// Who is at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Who asks: whom the connection is from, or for whom a trusted proxy says that it asks.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// Where the request comes from.
    pub address: IpAddr,
    /// For whom the peer says that it asks although it is no declared proxy.
    pub claimed: Option<IpAddr>,
    /// Whether a trusted proxy says that the request reached it over https.
    pub over_https: bool,
}

/// What every connection needs.
#[derive(Clone)]
struct Server {
    router: Router,
    handle: Handle,
    places: Places,
    stop: CancellationToken,
}

/// Serves until told to stop, then lets requests in progress end. `local` is the token of the
/// commands on this machine.
pub async fn serve(
    listener: TcpListener,
    handle: Handle,
    local: LocalToken,
    stop: CancellationToken,
) {
    let router = super::router(Web::new(handle.clone(), Some(local)));
    let places = Places::new(handle.trusted_proxies.clone());
    accept(listener, Server { router, handle, places, stop }).await;
}

async fn accept(listener: TcpListener, server: Server) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                    continue;
                }
            },
            () = server.stop.cancelled() => break,
        };
        let (entered, displaced) = server.places.enter(peer.ip());
        if displaced {
            server.handle.metrics.http_refused("displaced");
        }
        let server = server.clone();
        connections.spawn(async move {
            match entered {
                Entered::Served(place) => server.converse(stream, peer, place).await,
                Entered::Waits(waits) => server.answer_one(stream, peer, waits).await,
            }
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(DRAIN_SECS), drained).await;
}

impl Server {
    /// Answers the requests of a connection that has a place.
    async fn converse(self, stream: TcpStream, peer: SocketAddr, place: Place) {
        let crowded = self.places.crowded();
        let secs = if crowded { READ_TIMEOUT_CROWDED_SECS } else { READ_TIMEOUT_SECS };
        // For whom a trusted proxy asks on this connection; the next request replaces it.
        let client: Arc<Mutex<Option<Place>>> = Arc::default();
        let server = self.clone();
        let answer = move |request: Request<Incoming>| {
            let server = server.clone();
            let admitted = server.admit(peer, &request, &client);
            async move {
                match admitted {
                    Ok(()) => routed(server.router, peer, request).await,
                    Err(refusal) => server.refuse(refusal),
                }
            }
        };
        self.run(stream, Duration::from_secs(secs), true, answer).await;
        drop(place);
    }

    /// Answers one request of a connection beyond those that are served.
    async fn answer_one(self, stream: TcpStream, peer: SocketAddr, waits: Waits) {
        let waits = Arc::new(waits);
        // Taken along until the connection ends, as the entry among those that wait is.
        let place: Arc<Mutex<Vec<Place>>> = Arc::default();
        let (server, waiting, keeps) = (self.clone(), waits.clone(), place.clone());
        let answer = move |request: Request<Incoming>| {
            let (server, waits, keeps) = (server.clone(), waiting.clone(), keeps.clone());
            async move {
                if !WITHOUT_PLACE.contains(&request.uri().path()) {
                    let client = Arc::default();
                    let found = match server.admit(peer, &request, &client) {
                        Ok(()) => waits.place().await,
                        Err(refusal) => Err(refusal),
                    };
                    match found {
                        Ok(place) => {
                            let client = lock(&client).take();
                            lock(&keeps).extend(client.into_iter().chain([place]));
                        }
                        Err(refusal) => return server.refuse(refusal),
                    }
                }
                routed(server.router, peer, request).await
            }
        };
        let within = Duration::from_secs(READ_TIMEOUT_CROWDED_SECS);
        tokio::select! {
            () = self.run(stream, within, false, answer) => {}
            () = waits.displaced.cancelled() => {}
        }
    }

    /// Counts a request that a trusted proxy makes for its client, until the next one on the same
    /// connection.
    fn admit(
        &self,
        peer: SocketAddr,
        request: &Request<Incoming>,
        counted: &Mutex<Option<Place>>,
    ) -> Result<(), Refusal> {
        let (peer, trusted) = (peer.ip().to_canonical(), &self.handle.trusted_proxies);
        let mut counted = lock(counted);
        *counted = None;
        let client = proxy::client(peer, request.headers(), trusted);
        if client != peer {
            *counted = Some(self.places.client(client)?);
        }
        Ok(())
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        self.handle.metrics.http_refused(refusal.label());
        let hint = "close connections that are not needed, or try again later";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, refusal.words()).hint(hint);
        problem.into_response()
    }

    /// Speaks HTTP on a connection until it ends, is too old, or the daemon stops.
    async fn run<S, F>(&self, stream: TcpStream, within: Duration, again: bool, answer: S)
    where
        S: Fn(Request<Incoming>) -> F,
        F: Future<Output = Response>,
    {
        // Small answers leave at once instead of waiting for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| {
            let answer = answer(request);
            async move { Ok::<Response, Infallible>(answer.await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(within)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEADER_BYTES_MAX)
            .keep_alive(again)
            .serve_connection(TokioIo::new(Progress::of(stream)), service);
        tokio::pin!(connection);
        let old = tokio::time::sleep(Duration::from_secs(CONNECTION_SECS_MAX));
        let ended = tokio::select! {
            ended = connection.as_mut() => Ok(ended),
            () = self.stop.cancelled() => Err(()),
            () = old => Err(()),
        };
        let ended = match ended {
            Ok(ended) => ended,
            Err(()) => {
                connection.as_mut().graceful_shutdown();
                // The longest request may still end; `accept` cuts it short when the daemon stops.
                let longest = Duration::from_secs(BACKUP_TIMEOUT_SECS);
                tokio::time::timeout(longest, connection).await.unwrap_or(Ok(()))
            }
        };
        // Other errors are the caller's alone: it went away, was too slow, or spoke no HTTP.
        if ended.is_err_and(|error| SlowReader::ended(&error)) {
            self.handle.metrics.http_refused("slowReader");
        }
    }
}

async fn routed(router: Router, peer: SocketAddr, mut request: Request<Incoming>) -> Response {
    request.extensions_mut().insert(Peer(peer));
    match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
