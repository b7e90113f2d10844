//! Opens connections to servers: TCP without Nagle's delay, then TLS as declared. HTTP asks over
//! them in [`http`].
//!
//! Architecture invariant: what is declared as encrypted is never spoken in plain text, and every
//! step has a deadline. rustls is used here and nowhere else.

mod certificate;
pub mod http;
pub mod reach;
mod verify;
mod words;

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub use certificate::expires;
use verify::{Refused, Verifier};

use crate::core::config::TlsOptions;
use crate::core::fingerprint::Fingerprint;
use crate::regular;
use crate::threads;

/// The system's roots are read again after this time, so that its updates are noticed.
const ROOTS_KEPT: Duration = Duration::from_secs(10 * 60);

/// Largest file of certificates or a key that is read. Bytes.
const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A connection, encrypted or not.
#[derive(Debug)]
pub enum Stream {
    /// TCP as it is.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Name resolution, routing, refusal.
    #[error("could not connect to {0}: {1}")]
    Connect(String, io::Error),
    /// Not within the time limit.
    #[error("could not connect to {0} within {1:?}")]
    ConnectTimeout(String, Duration),
    /// The certificate is not one we accept.
    #[error("certificate of {0} was refused: {1}")]
    Certificate(String, String),
    /// TLS failed for another reason, or in time.
    #[error("TLS with {0} failed: {1}")]
    Handshake(String, String),
    /// The declared files cannot be used.
    #[error("could not use {0}: {1}")]
    Files(String, String),
}

/// Addresses of a name, each once, in the resolver's order.
pub async fn resolve(host: &str, port: u16, within: Duration) -> io::Result<Vec<IpAddr>> {
    let looked_up = timeout(within, look_up(host, port)).await;
    let found = looked_up.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let mut addresses = Vec::new();
    for address in found.into_iter().map(|address| address.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// Addresses behind a name, in the resolver's order.
pub(crate) async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = host.to_owned();
    threads::NAMES.run(move || (name.as_str(), port).to_socket_addrs().map(Iterator::collect)).await
}

/// Opens a TCP connection.
pub async fn connect(host: &str, port: u16, within: Duration) -> Result<TcpStream, NetError> {
    let target = format!("{host}:{port}");
    match timeout(within, dial(host, port)).await {
        Ok(Ok(stream)) => {
            // Without this, every mail waits 44 ms for a delayed acknowledgement.
            stream.set_nodelay(true).map_err(|error| NetError::Connect(target, error))?;
            Ok(stream)
        }
        Ok(Err(error)) => Err(NetError::Connect(target, error)),
        Err(_) => Err(NetError::ConnectTimeout(target, within)),
    }
}

/// Connects to the first address that answers.
async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = look_up(host, port).await?;
    TcpStream::connect(&*addresses).await
}

/// Encrypts a connection and checks who is at its other end.
pub async fn encrypt(
    stream: TcpStream,
    host: &str,
    options: &TlsOptions,
    within: Duration,
) -> Result<Stream, NetError> {
    let expected = options.server_name.as_deref().unwrap_or(host).to_owned();
    let name = ServerName::try_from(expected.clone())
        .map_err(|error| NetError::Handshake(expected.clone(), error.to_string()))?;
    let connector = TlsConnector::from(shared_config(options)?);
    match timeout(within, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Ok(Err(error)) => Err(refusal(&expected, &error)),
        Err(_) => Err(NetError::Handshake(expected, format!("no answer within {within:?}"))),
    }
}

impl Stream {
    /// The server's certificate; `None` without TLS.
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => stream.get_ref().1.peer_certificates()?.first(),
        }
    }

    /// Version of TLS; `None` without it.
    pub fn tls_version(&self) -> Option<&'static str> {
        let Stream::Tls(stream) = self else { return None };
        match stream.get_ref().1.protocol_version()? {
            rustls::ProtocolVersion::TLSv1_2 => Some("TLS 1.2"),
            rustls::ProtocolVersion::TLSv1_3 => Some("TLS 1.3"),
            _ => None,
        }
    }

    /// Whether only the two ends can read what passes: encrypted, or within this machine.
    pub fn is_private(&self) -> bool {
        matches!(self, Stream::Tls(_))
            || self.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback())
    }

    /// Address of the other end.
    pub fn peer_addr(&self) -> io::Result<std::net::SocketAddr> {
        match self {
            Stream::Plain(stream) => stream.peer_addr(),
            Stream::Tls(stream) => stream.get_ref().0.peer_addr(),
        }
    }
}

fn refusal(host: &str, error: &io::Error) -> NetError {
    let host = host.to_owned();
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref()) else {
        return NetError::Handshake(host, error.to_string());
    };
    match (Refused::of(error), error) {
        (Some(refused), _) => NetError::Certificate(host, refused.to_string()),
        // The certificate was accepted; its key is too weak to sign with, or another one signed.
        (None, rustls::Error::InvalidCertificate(_)) => {
            NetError::Certificate(host, words::of(error))
        }
        (None, _) => NetError::Handshake(host, words::of(error)),
    }
}

/// The configuration of most connections, and when it was made.
static WITH_SYSTEM_ROOTS: Mutex<Option<(Instant, Arc<rustls::ClientConfig>)>> = Mutex::new(None);

/// What connections to servers with nothing special declared share: the system's roots are a
/// hundred files and most of a megabyte, and there may be ten thousand accounts. Declared files are
/// read each time, so that a new certificate counts at once.
fn shared_config(options: &TlsOptions) -> Result<Arc<rustls::ClientConfig>, NetError> {
    let TlsOptions { ca, client, server_name: _, pin, insecure } = options;
    if ca.is_some() || client.is_some() || !pin.is_empty() || *insecure {
        return Ok(Arc::new(client_config(options)?));
    }
    let mut kept = WITH_SYSTEM_ROOTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, config)) = kept.as_ref().filter(|(made, _)| made.elapsed() < ROOTS_KEPT) {
        return Ok(config.clone());
    }
    let mut config = client_config(options)?;
    // Each connection looks at the certificate itself, as it does with a configuration of its own.
    config.resumption = rustls::client::Resumption::disabled();
    let config = Arc::new(config);
    *kept = Some((Instant::now(), config.clone()));
    Ok(config)
}

fn client_config(options: &TlsOptions) -> Result<rustls::ClientConfig, NetError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions");
    let verifier = if options.insecure {
        Verifier::of_anything(&provider)
    } else {
        let (roots, exactly) = trusted(options)?;
        let unusable = |error| NetError::Files("the roots".to_owned(), error);
        Verifier::new(provider, roots, exactly).map_err(unusable)?
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    match &options.client {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let unusable =
                |path: &Path, error: String| NetError::Files(path.display().to_string(), error);
            let chain =
                read_certificates(certificate).map_err(|error| unusable(certificate, error))?;
            let key = read_key(key).map_err(|error| unusable(key, error))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| unusable(certificate, words::of(&error)))
        }
    }
}

/// The authorities that are trusted, and the certificates that are trusted as they are. With `pin`
/// alone there are no authorities: what is pinned is this one server.
fn trusted(options: &TlsOptions) -> Result<(rustls::RootCertStore, Vec<Fingerprint>), NetError> {
    let mut roots = rustls::RootCertStore::empty();
    let mut exactly = options.pin.clone();
    match &options.ca {
        Some(path) => {
            let unusable = |error: String| NetError::Files(path.display().to_string(), error);
            for certificate in read_certificates(path).map_err(unusable)? {
                exactly.push(Fingerprint::of(&certificate));
                roots.add(certificate).map_err(|error| unusable(words::of(&error)))?;
            }
        }
        None if exactly.is_empty() => {
            // A root that cannot be parsed is skipped: the others still verify.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        None => {}
    }
    Ok((roots, exactly))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = regular::read(path, PEM_BYTES_MAX).map_err(|error| error.to_string())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(none) if none.is_empty() => Err("holds no certificate in PEM".into()),
        Ok(found) => Ok(found),
        Err(error) => Err(words::of_pem(&error)),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = regular::read(path, PEM_BYTES_MAX).map_err(|error| error.to_string())?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| words::of_pem(&error))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_alike_is_shared() {
        let config = |options: &TlsOptions| shared_config(options).unwrap();
        let plain = TlsOptions::default();
        let named = TlsOptions { server_name: Some("x.test".into()), ..TlsOptions::default() };
        assert!(Arc::ptr_eq(&config(&plain), &config(&named)));
        let insecure = TlsOptions { insecure: true, ..TlsOptions::default() };
        assert!(!Arc::ptr_eq(&config(&plain), &config(&insecure)));
    }

    #[test]
    fn files_that_are_no_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = crate::regular::tests::pipe(folder.path().join("pipe"));
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "").unwrap();
        for (path, expected) in [
            (&pipe, "is a named pipe"),
            (&empty, "holds no certificate"),
            (&folder.path().join("none"), "could not be read"),
        ] {
            let ca = TlsOptions { ca: Some(path.clone()), ..TlsOptions::default() };
            let client = Some((path.clone(), path.clone()));
            for options in [ca, TlsOptions { client, ..TlsOptions::default() }] {
                let error = client_config(&options).expect_err("it is refused").to_string();
                let expected = format!("could not use {}: {expected}", path.display());
                assert!(error.starts_with(&expected), "{error}");
            }
        }
    }
}
