//! Opens connections to servers: TCP without Nagle's delay, then TLS as declared. HTTP asks over
//! them in [`http`].
//!
//! Architecture invariant: what is declared as encrypted is never spoken in plain text, and every
//! step has a deadline. rustls is used here and nowhere else.

pub mod http;
pub mod reach;

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

use crate::core::config::TlsOptions;
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

/// Last moment at which a certificate is valid (RFC 5280 section 4.1.2.5), if it can be read.
pub fn expires(certificate: &CertificateDer<'_>) -> Option<jiff::Timestamp> {
    let (certificate, _) = der_value(certificate.as_ref(), &[DER_SEQUENCE])?;
    let (mut rest, _) = der_value(certificate, &[DER_SEQUENCE])?;
    // The version is optional; then serial number, algorithm and issuer.
    if let Some((_, after)) = der_value(rest, &[DER_VERSION]) {
        rest = after;
    }
    for tag in [DER_INTEGER, DER_SEQUENCE, DER_SEQUENCE] {
        rest = der_value(rest, &[tag])?.1;
    }
    let times = [DER_UTC_TIME, DER_GENERALIZED_TIME];
    let (validity, _) = der_value(rest, &[DER_SEQUENCE])?;
    let (_, rest) = der_value(validity, &times)?;
    let tag = *rest.first()?;
    let (text, _) = der_value(rest, &times)?;
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // Two digits of the year: 50 and above are of the last century.
        DER_UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        DER_UTC_TIME => format!("20{text}"),
        _ => text.to_owned(),
    };
    let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

const DER_INTEGER: u8 = 0x02;
const DER_UTC_TIME: u8 = 0x17;
const DER_GENERALIZED_TIME: u8 = 0x18;
const DER_SEQUENCE: u8 = 0x30;
const DER_VERSION: u8 = 0xa0;

/// Contents of a DER value with one of these tags, and what follows it.
fn der_value<'a>(bytes: &'a [u8], tags: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (tag, rest) = bytes.split_first()?;
    if !tags.contains(tag) {
        return None;
    }
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
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
    use rustls::{AlertDescription, Error, PeerIncompatible};
    let host = host.to_owned();
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(_)) => NetError::Certificate(host, error.to_string()),
        Some(
            Error::AlertReceived(AlertDescription::ProtocolVersion)
            | Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
        ) => NetError::Handshake(host, "it speaks neither TLS 1.2 nor TLS 1.3".into()),
        _ => NetError::Handshake(host, error.to_string()),
    }
}

/// The configuration of most connections, and when it was made.
static WITH_SYSTEM_ROOTS: Mutex<Option<(Instant, Arc<rustls::ClientConfig>)>> = Mutex::new(None);

/// What connections to servers with nothing special declared share: the system's roots are a
/// hundred files and most of a megabyte, and there may be ten thousand accounts. Declared files are
/// read each time, so that a new certificate counts at once.
fn shared_config(options: &TlsOptions) -> Result<Arc<rustls::ClientConfig>, NetError> {
    let TlsOptions { ca, client, server_name: _, insecure } = options;
    if ca.is_some() || client.is_some() || *insecure {
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
    let builder = if options.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustAnything(provider)))
    } else {
        builder.with_root_certificates(roots(options)?)
    };
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
                .map_err(|error| unusable(certificate, error.to_string()))
        }
    }
}

fn roots(options: &TlsOptions) -> Result<rustls::RootCertStore, NetError> {
    let mut roots = rustls::RootCertStore::empty();
    match &options.ca {
        Some(path) => {
            let unusable = |error: String| NetError::Files(path.display().to_string(), error);
            for certificate in read_certificates(path).map_err(unusable)? {
                roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            }
        }
        None => {
            // A root that cannot be parsed is skipped: the others still verify.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = regular::read(path, PEM_BYTES_MAX).map_err(|error| error.to_string())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(none) if none.is_empty() => Err("holds no certificate in PEM".into()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = regular::read(path, PEM_BYTES_MAX).map_err(|error| error.to_string())?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| error.to_string())
}

/// `tls.insecure: true`: encrypts without knowing with whom.
#[derive(Debug)]
struct TrustAnything(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for TrustAnything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
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

    #[track_caller]
    fn check(year: i32, expected: &str) {
        let mut parameters = rcgen::CertificateParams::new(vec!["mail.example".into()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(year, 3, 4);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let expires = expires(certificate.der()).map(|at| at.to_string());
        assert_eq!(expires.as_deref(), Some(expected));
    }

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

    #[test]
    fn certificate_of_this_century() {
        check(2031, "2031-03-04T00:00:00Z");
    }

    #[test]
    fn certificate_beyond_two_digits() {
        check(2061, "2061-03-04T00:00:00Z");
    }

    #[test]
    fn what_is_no_certificate_expires_never() {
        for bytes in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x02\x30\x00"] {
            assert_eq!(expires(&CertificateDer::from(bytes)), None);
        }
    }
}
