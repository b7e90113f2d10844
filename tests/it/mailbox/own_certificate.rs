//! Servers with a certificate that no authority issued, as `openssl req -x509` makes it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use postroom::core::config::{Security, TlsOptions};
use postroom::core::fingerprint::Fingerprint;
use postroom::mailbox::{self, MailboxError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::{Protocol, Safe};
use crate::server::certificates::{Authority, Issued};
use crate::server::endpoint;

/// What an administrator types, with a subject and more options.
fn made(folder: &Path, options: &[&str]) -> Issued {
    let (certificate, key) = (folder.join("made.pem"), folder.join("made.key"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes"]).args(options);
    openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
    let output = openssl.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |path| std::fs::read_to_string(path).unwrap();
    Issued { certificate: read(certificate), key: read(key) }
}

/// As openssl prints it.
fn fingerprint(folder: &Path, issued: &Issued) -> Fingerprint {
    let path = folder.join("shown.pem");
    std::fs::write(&path, &issued.certificate).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-fingerprint", "-sha256", "-noout", "-in"]).arg(&path);
    let output = openssl.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().split_once('=').unwrap().1.parse().unwrap()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// Logs in at a server with this TLS.
async fn login(server: rustls::ServerConfig, tls: TlsOptions) -> Result<(), MailboxError> {
    let server = Protocol::Imap.proper().with_tls(server, true).start().await;
    let mut endpoint = endpoint(server.port, Security::Tls, None);
    endpoint.tls = tls;
    let account = Protocol::Imap.account(endpoint);
    let opened = mailbox::open(&account, &Safe::new().secrets(), None).await.map(drop);
    assert_eq!(server.heard().encrypted.contains("CANARY"), opened.is_ok());
    opened
}

#[track_caller]
fn check_refused(result: Result<(), MailboxError>, expected: &str) -> String {
    let Err(MailboxError::Tls { reason: "certificate", message }) = result else {
        panic!("{result:?}")
    };
    assert!(message.contains(expected), "{message}");
    message
}

#[tokio::test]
async fn the_certificate_that_openssl_makes_is_accepted_if_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let names: [&[&str]; 3] = [
        &["-subj", "/CN=localhost", "-days", "30"],
        &["-subj", "/CN=mail", "-addext", "subjectAltName=DNS:localhost", "-days", "30"],
        &["-subj", "/CN=localhost", "-addext", "basicConstraints=CA:FALSE", "-days", "30"],
    ];
    for options in names {
        let issued = made(folder.path(), options);
        let other = made(folder.path(), options);
        let file = |name: &str, issued: &Issued| Some(issued.write(folder.path(), name).0);
        let own = fingerprint(folder.path(), &issued);
        let ca = |ca| TlsOptions { ca, ..TlsOptions::default() };
        let pin = |pin| TlsOptions { pin: vec![pin], ..TlsOptions::default() };
        login(issued.server(), ca(file("own", &issued))).await.unwrap();
        login(issued.server(), pin(own)).await.unwrap();
        let hint = format!("`tls: {{pin: [\"{own}\"]}}`");
        check_refused(login(issued.server(), TlsOptions::default()).await, &hint);
        check_refused(login(issued.server(), ca(file("other", &other))).await, &hint);
        check_refused(login(issued.server(), pin(fingerprint(folder.path(), &other))).await, &hint);
    }
}

#[tokio::test]
async fn its_name_and_dates_still_count() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let other = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:other.example"];
    for (issued, expected) in [
        (made(folder.path(), &["-subj", "/CN=other.example"]), "it is for no name"),
        (made(folder.path(), &other), "it is for another name: other.example"),
        (authority.issue(&["localhost"], 2021), "it expired at 2021-01-01T00:00:00Z"),
        (
            authority.issue_for(&["localhost"], (2090, 2099)),
            "it is not valid before 2090-01-01T00:00:00Z",
        ),
    ] {
        let pin = vec![fingerprint(folder.path(), &issued)];
        let ca = Some(issued.write(folder.path(), "own").0);
        for tls in [
            TlsOptions { pin, ..TlsOptions::default() },
            TlsOptions { ca, ..TlsOptions::default() },
            // The advice to pin it would not help.
            TlsOptions::default(),
        ] {
            let expected = if tls == TlsOptions::default() { "was refused" } else { expected };
            let message = check_refused(login(issued.server(), tls).await, expected);
            assert!(!message.contains("pin:"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_pin_is_one_certificate_and_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (one, next) =
        (authority.issue(&["localhost"], 2099), authority.issue(&["localhost"], 2099));
    let print = |issued: &Issued| Fingerprint::of(&der(&issued.certificate));
    let pin = |pin: Vec<Fingerprint>| TlsOptions { pin, ..TlsOptions::default() };
    login(one.server(), pin(vec![print(&one)])).await.unwrap();
    login(next.server(), pin(vec![print(&one), print(&next)])).await.unwrap();
    check_refused(login(next.server(), pin(vec![print(&one)])).await, "has issued it");
    // The authority's own certificate, pinned, vouches for no other.
    let of_authority = Fingerprint::of(&der(&authority.pem));
    check_refused(login(one.server(), pin(vec![of_authority])).await, "has issued it");
    let ca = Some(authority.write(folder.path()));
    login(next.server(), TlsOptions { ca, ..pin(vec![print(&one)]) }).await.unwrap();

    // The certificate is public: somebody may present it without its key.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from_pem_slice(next.key.as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let stolen = SingleCertAndKey::from(CertifiedKey::new(vec![der(&one.certificate)], key));
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(stolen));
    let refused = login(server, pin(vec![print(&one)])).await.unwrap_err().to_string();
    assert!(refused.contains("signature is wrong"), "{refused}");
}
