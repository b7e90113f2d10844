//! Servers whose TLS is too weak to be trusted: real ones, by OpenSSL, which still speaks all of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use postroom::core::config::Security;
use postroom::mailbox::MailboxError;

use super::{Protocol, Safe, work};
use crate::daemon::until;
use crate::needed;
use crate::server::endpoint;

/// Old algorithms, which OpenSSL offers only where it is told that nothing matters.
const ANYTHING_GOES: [&str; 2] = ["-cipher", "ALL:@SECLEVEL=0"];

/// Authority and server: length of the key, and hash of the signature.
#[derive(Clone, Copy)]
struct Strength {
    authority_bits: u32,
    server_bits: u32,
    hash: &'static str,
}

const STRONG: Strength = Strength { authority_bits: 2048, server_bits: 2048, hash: "sha256" };

/// A server that says a greeting and keeps what it hears, decrypted.
struct Openssl {
    port: u16,
    child: Child,
    _greeting: ChildStdin,
    heard: Arc<Mutex<Vec<u8>>>,
    listening: Option<JoinHandle<()>>,
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let made = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Makes `ca.pem` and `server.pem`, each with its key.
fn certificates(folder: &Path, strength: Strength) -> PathBuf {
    let bits = |bits: u32| format!("rsa:{bits}");
    let hash = format!("-{}", strength.hash);
    let common = ["req", "-x509", "-nodes", "-days", "30", hash.as_str(), "-newkey"];
    let authority = bits(strength.authority_bits);
    let its = [authority.as_str(), "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority"];
    openssl(folder, &[common.as_slice(), &its].concat());
    let server = bits(strength.server_bits);
    let its = [
        server.as_str(),
        "-keyout",
        "server.key",
        "-out",
        "server.pem",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
    ];
    openssl(folder, &[common.as_slice(), &its].concat());
    folder.join("ca.pem")
}

impl Openssl {
    fn start(folder: &Path, says: &str, options: &[&str]) -> Openssl {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem"])
            .args(["-key", "server.key"])
            .args(options)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            assert!(said.read_line(&mut line).unwrap() > 0, "the server did not start");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.trim().rsplit(':').next().unwrap().parse().unwrap();
            }
        };
        let mut greeting = child.stdin.take().unwrap();
        greeting.write_all(says.as_bytes()).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let into = heard.clone();
        let listening = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = said.read(&mut buffer) {
                into.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Openssl { port, child, _greeting: greeting, heard, listening: Some(listening) }
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }

    /// Ends it; everything that it heard.
    fn end(mut self) -> String {
        let _ = self.child.kill();
        self.listening.take().unwrap().join().unwrap();
        self.heard()
    }
}

impl Drop for Openssl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_installed() -> bool {
    let there = Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok();
    needed::is_there(there, "openssl is not installed")
}

/// What comes of such a server, and the words of the error.
async fn check_refused(strength: Strength, options: &[&str], expected: &str, words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let ca = certificates(folder.path(), strength);
    for (protocol, greeting) in
        [(Protocol::Imap, "* OK hello\r\n"), (Protocol::Pop3, "+OK hello\r\n")]
    {
        let server = Openssl::start(folder.path(), greeting, options);
        let account = protocol.account(endpoint(server.port, Security::Tls, Some(&ca)));
        let result = work(&account, &Safe::new().secrets()).await;
        let found = result.as_ref().map_or_else(MailboxError::label, |_| "nothing");
        assert_eq!(found, expected, "{protocol:?} {options:?}: {result:?}");
        let error = result.unwrap_err().to_string();
        assert!(error.contains(words), "{protocol:?} {options:?}: {error}");
        let heard = server.end();
        for secret in ["CANARY", "desk@example.com", "LOGIN", "USER", "PASS"] {
            assert!(!heard.contains(secret), "{protocol:?} {options:?}: {heard}");
        }
    }
}

#[tokio::test]
async fn what_a_strong_one_hears_is_seen() {
    if !is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ca = certificates(folder.path(), STRONG);
    // Its greeting, and its answer to the user's name.
    let says = "+OK hello\r\n+OK go on\r\n";
    let server = Openssl::start(folder.path(), says, &["-tls1_2"]);
    let account = Protocol::Pop3.account(endpoint(server.port, Security::Tls, Some(&ca)));
    let safe = Safe::new();
    let secrets = safe.secrets();
    let session = work(&account, &secrets);
    let heard = until("the password", || server.heard().contains("CANARY").then_some(()));
    tokio::select! {
        ended = session => panic!("the server says nothing more: {ended:?}"),
        () = heard => {}
    }
}

#[tokio::test]
async fn old_versions_of_tls() {
    if !is_installed() {
        return;
    }
    for version in ["-tls1", "-tls1_1"] {
        let options = [[version].as_slice(), &ANYTHING_GOES].concat();
        check_refused(STRONG, &options, "handshake", "TLS 1.2").await;
    }
}

#[tokio::test]
async fn weak_keys_and_signatures() {
    if !is_installed() {
        return;
    }
    for strength in [
        Strength { server_bits: 1024, ..STRONG },
        Strength { authority_bits: 1024, ..STRONG },
        Strength { hash: "sha1", ..STRONG },
    ] {
        for version in ["-tls1_2", "-tls1_3"] {
            let options = [[version].as_slice(), &ANYTHING_GOES].concat();
            check_refused(strength, &options, "certificate", "certificate of localhost").await;
        }
    }
}
