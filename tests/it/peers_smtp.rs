//! Sending to servers that others wrote: npm `smtp-server` (login, TLS) and postfix `smtp-sink`.

use std::path::Path;
use std::time::Duration;

use postroom::core::config::{Endpoint, SecretRef};
use postroom::core::config::{Login, Security, SmtpRoute, SmtpServer, Switch, Text, TlsOptions};
use postroom::core::outgoing::{Attempt, Outgoing};
use postroom::secret::Secrets;
use postroom::transport;
use postroom::transport::programs::Programs;
use tokio::process::{Child, Command};

use crate::needed;
use crate::node::{Node, port};
use crate::transport::{MAIL, mail_to, run, shown};

/// Where Debian puts postfix's test server.
const SMTP_SINK: &str = "/usr/sbin/smtp-sink";

/// A running npm `smtp-server`.
pub struct Peer {
    /// What it says.
    pub node: Node,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    scratch: tempfile::TempDir,
}

impl Peer {
    /// Its certificate, which stands for itself.
    pub fn ca(&self) -> std::path::PathBuf {
        self.scratch.path().join("certificate.pem")
    }

    fn server(&self, security: Security, password: &str) -> SmtpServer {
        let file = self.scratch.path().join("password");
        std::fs::write(&file, password).unwrap();
        let login = Login::Password {
            username: Text::Plain("desk".into()),
            password: SecretRef::File(file),
        };
        let tls = TlsOptions {
            ca: Some(self.ca()),
            server_name: Some("localhost".into()),
            ..TlsOptions::default()
        };
        local(self.port, security, tls, login)
    }
}

fn local(port: u16, security: Security, tls: TlsOptions, login: Login) -> SmtpServer {
    let endpoint = Endpoint {
        host: Text::Plain("127.0.0.1".into()),
        port,
        security,
        tls,
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(20),
    };
    SmtpServer {
        name: "peer".into(),
        route: SmtpRoute::Smtp { endpoint, login },
        connections: 1,
        helo_name: None,
        state: Switch::Enabled,
    }
}

/// `None`, with a word why, where node or its modules are not installed.
pub fn peer(security: &str, more: &[(&str, &str)]) -> Option<Peer> {
    let scratch = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (scratch.path().join("certificate.pem"), scratch.path().join("key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut variables = vec![
        ("SECURITY", security),
        ("CERTIFICATE", certificate.to_str().unwrap()),
        ("KEY", key.to_str().unwrap()),
    ];
    variables.extend(more);
    let (node, first) = Node::start("smtp.mjs", &variables)?;
    Some(Peer { node, port: port(&first), scratch })
}

#[test]
fn smtp_server_with_login_and_tls() {
    for (name, security) in [("tls", Security::Tls), ("starttls", Security::StartTls)] {
        run(async move {
            let Some(peer) = peer(name, &[]) else { return };
            let server = peer.server(security, "right");
            let mut connection =
                transport::open(&server, &Secrets::default(), &Programs::default(), None)
                    .await
                    .unwrap();
            let unknown = connection
                .send(&mail_to("unknown@customer.test"), transport::Earlier::Nothing)
                .await;
            assert_eq!(shown(&unknown), "permanent: 550 no such user");
            let dots = Outgoing {
                raw: format!("{MAIL}.\r\n..\r\n.end\r\n").into_bytes(),
                envelope_from: None,
                ..mail_to("eve@customer.test")
            };
            assert_eq!(connection.send(&dots, transport::Earlier::Nothing).await, Attempt::Sent);
            connection.close().await;
            let expected = serde_json::json!({
                "from": "", "to": ["eve@customer.test"], "secure": true, "user": "desk",
                "mail": format!("{MAIL}.\r\n..\r\n.end\r\n"),
            });
            assert_eq!(peer.node.until_said(1).await, [expected]);

            let wrong = peer.server(security, "wrong");
            let refused = transport::open(&wrong, &Secrets::default(), &Programs::default(), None)
                .await
                .err()
                .unwrap();
            assert!(shown(&refused).starts_with("auth: "), "{refused:?}");
        });
    }
}

#[test]
fn smtp_sink() {
    let there = Path::new(SMTP_SINK).exists();
    if !needed::is_there(there, &format!("{SMTP_SINK} is not installed")) {
        return;
    }
    run(async {
        let (port, mut sink) = start_sink().await;
        let server = local(port, Security::Plain, TlsOptions::default(), Login::None);
        let mut connection =
            transport::open(&server, &Secrets::default(), &Programs::default(), None)
                .await
                .unwrap();
        for _ in 0..100 {
            assert_eq!(
                connection.send(&mail_to("eve@customer.test"), transport::Earlier::Nothing).await,
                Attempt::Sent
            );
        }
        connection.close().await;
        sink.kill().await.unwrap();
    });
}

/// Starts `smtp-sink` on a free port and waits until it listens.
async fn start_sink() -> (u16, Child) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut command = Command::new(SMTP_SINK);
    // As root it wants to become somebody else.
    if std::fs::metadata("/proc/self")
        .map(|meta| std::os::unix::fs::MetadataExt::uid(&meta))
        .unwrap()
        == 0
    {
        command.args(["-u", "daemon"]);
    }
    command.args([format!("127.0.0.1:{port}"), "100".to_owned()]).kill_on_drop(true);
    let child = command.spawn().unwrap();
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return (port, child);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("smtp-sink does not listen");
}
