//! Cyrus IMAP and POP3 over a store of its own, filled by LMTP.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::client::Imap;
use super::exim::{Exim, Transport};
use super::sandbox::{Running, Sandbox};
use super::{Ports, Server, until_up};
use crate::server::PASSWORD;
use crate::server::certificates::Authority;

/// Who may make mailboxes.
const ADMIN: &str = "cyrus";

/// A running Cyrus.
pub struct Cyrus {
    ports: Ports,
    exim: Exim,
    _running: Running,
    _passwords: Passwords,
    sandbox: Sandbox,
}

impl Cyrus {
    /// Starts one with these users.
    pub fn start(packages: &Path, users: &[String]) -> Cyrus {
        let sandbox = Sandbox::new(packages);
        for part in ["socket", "db", "proc", "lock", "log"] {
            sandbox.folder(&format!("conf/{part}"));
        }
        sandbox.folder("spool");
        let authority = Authority::new();
        authority.write(&sandbox.path(""));
        let issued = authority.issue(&["localhost", "127.0.0.1"], 2099);
        sandbox.write("server.pem", &issued.certificate);
        sandbox.write("server.key", &issued.key);
        let root = sandbox.path("").display().to_string();
        let root = root.trim_end_matches('/');
        sandbox.write("imapd.conf", &settings(root));
        let passwords = Passwords::listen(sandbox.path("passwords"), users);
        let bin = sandbox.packaged("usr/lib/cyrus/bin").display().to_string();
        let exim = Exim::new(packages, users, &Transport::Lmtp(&sandbox.path("conf/socket/lmtp")));
        let (ports, running) = until_up("cyrus", |ports| {
            sandbox.write("cyrus.conf", &services(&bin, root, ports));
            let mut command = sandbox.command(format!("{bin}/master"));
            command.args(["-D", "-C"]).arg(sandbox.path("imapd.conf"));
            command
                .arg("-M")
                .arg(sandbox.path("cyrus.conf"))
                .arg("-p")
                .arg(sandbox.path("run/pid"));
            (sandbox.start(&mut command), sandbox.log())
        });
        let mut admin = Imap::login(ports.imap, ADMIN);
        for user in users {
            admin.command(&format!("CREATE user.{user}")).unwrap();
            admin.command(&format!("CREATE user.{user}.Done")).unwrap();
        }
        Cyrus { ports, exim, _running: running, _passwords: passwords, sandbox }
    }
}

impl Server for Cyrus {
    fn name(&self) -> &'static str {
        "Cyrus"
    }

    fn ports(&self) -> Ports {
        self.ports
    }

    fn ca(&self) -> PathBuf {
        self.sandbox.path("ca.pem")
    }

    fn done(&self) -> &'static str {
        "INBOX.Done"
    }

    fn exim(&self) -> &Exim {
        &self.exim
    }
}

fn settings(root: &str) -> String {
    format!(
        "configdirectory: {root}/conf
proc_path: {root}/conf/proc
mboxname_lockpath: {root}/conf/lock
defaultpartition: default
partition-default: {root}/spool
admins: {ADMIN}
cyrus_user: cyrus
cyrus_group: mail
altnamespace: no
unixhierarchysep: no
servername: localhost
allowplaintext: yes
sasl_mech_list: PLAIN LOGIN
sasl_pwcheck_method: saslauthd
sasl_saslauthd_path: {root}/passwords/mux
tls_server_cert: {root}/server.pem
tls_server_key: {root}/server.key
lmtpsocket: {root}/conf/socket/lmtp
idlesocket: {root}/conf/socket/idle
notifysocket: {root}/conf/socket/notify
popminpoll: 0
"
    )
}

fn services(bin: &str, root: &str, ports: Ports) -> String {
    let Ports { imap, imaps, pop3, pop3s } = ports;
    let run = |name: &str| format!("{bin}/{name} -C {root}/imapd.conf");
    format!(
        "START {{
  recover cmd=\"{} -r\"
  idled cmd=\"{}\"
}}
SERVICES {{
  imap cmd=\"{imapd}\" listen=\"127.0.0.1:{imap}\"
  imaps cmd=\"{imapd} -s\" listen=\"127.0.0.1:{imaps}\"
  pop3 cmd=\"{pop3d}\" listen=\"127.0.0.1:{pop3}\"
  pop3s cmd=\"{pop3d} -s\" listen=\"127.0.0.1:{pop3s}\"
  lmtp cmd=\"{} -a\" listen=\"{root}/conf/socket/lmtp\"
}}
EVENTS {{
}}
",
        run("ctl_cyrusdb"),
        run("idled"),
        run("lmtpd"),
        imapd = run("imapd"),
        pop3d = run("pop3d"),
    )
}

/// Checks passwords in the place of `saslauthd`, which would check those of the system.
struct Passwords {
    path: PathBuf,
    over: Arc<AtomicBool>,
}

impl Passwords {
    /// Listens where Cyrus asks.
    fn listen(folder: PathBuf, users: &[String]) -> Passwords {
        fs::create_dir(&folder).unwrap();
        let path = folder.join("mux");
        let listener = UnixListener::bind(&path).unwrap();
        // Cyrus runs as another user.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let (stop, users) = (over.clone(), users.to_vec());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                // A client that goes away meanwhile has no answer to get.
                let _ = answer(stream, &users);
            }
        });
        Passwords { path, over }
    }
}

/// Four strings (user, password, service, realm) and one back, each behind its length.
fn answer(mut stream: UnixStream, users: &[String]) -> std::io::Result<()> {
    let mut string = || {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut bytes = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let [user, password, _, _] = [string()?, string()?, string()?, string()?];
    let known = user == ADMIN || users.contains(&user);
    let verdict: &[u8] = if known && password == PASSWORD { b"\0\x02OK" } else { b"\0\x02NO" };
    stream.write_all(verdict)
}

impl Drop for Passwords {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread, which then ends.
        let _ = UnixStream::connect(&self.path);
    }
}
