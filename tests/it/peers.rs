//! Real servers, started by the test that needs them and ended with it.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::needed;
use crate::server::certificates::Authority;

/// How long a server may take to come up.
const START_SECONDS_MAX: u64 = 30;
/// `nobody` and `nogroup` of Debian: who owns the mail when the test runs as root.
pub const NOBODY: u32 = 65534;

/// Settings of a Dovecot that parks a session which waits for news in another process. It tells of
/// a mail at once then; without them it waits for half a second whether there are more.
pub const HIBERNATES: &str = "protocol imap {
  imap_hibernate_timeout = 1 secs
}
service imap {
  unix_listener imap-master {
    user = $default_internal_user
  }
  extra_groups = $default_internal_group
}
service imap-hibernate {
  unix_listener imap-hibernate {
    mode = 0660
    group = $default_internal_group
  }
}
";

/// A Dovecot with IMAP and POP3, users on demand and certificates of its own.
pub struct Dovecot {
    /// Port of IMAP, also with STARTTLS.
    pub imap: u16,
    /// Port of IMAP in TLS.
    pub imaps: u16,
    /// Port of POP3, also with STLS.
    pub pop3: u16,
    /// Port of POP3 in TLS.
    pub pop3s: u16,
    child: Child,
    delivered: AtomicU32,
    directory: TempDir,
}

impl Dovecot {
    /// Starts one, or says that it is not installed.
    pub fn start() -> Option<Dovecot> {
        Dovecot::start_with("")
    }

    /// Starts one with these settings behind its own; `%RUN%` is its directory.
    pub fn start_with(settings: &str) -> Option<Dovecot> {
        let there = Command::new("dovecot").arg("--version").stdout(Stdio::null()).status().is_ok();
        if !needed::is_there(there, "dovecot is not installed") {
            return None;
        }
        // Somebody else may take a free port before Dovecot does: then it ends, and we try again.
        (0..5)
            .find_map(|_| Dovecot::try_start(settings))
            .or_else(|| panic!("dovecot did not start"))
    }

    fn try_start(settings: &str) -> Option<Dovecot> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        // Dovecot's processes run as other users.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        for part in ["base", "state", "mail"] {
            std::fs::create_dir(path.join(part)).unwrap();
        }
        let authority = Authority::new();
        authority.write(path);
        authority.issue(&["localhost", "127.0.0.1"], 2099).write(path, "server");
        authority.issue(&["desk"], 2099).write(path, "client");
        std::fs::write(path.join("users"), "").unwrap();
        let ports = free_ports();
        let settings = settings.replace("%RUN%", &path.display().to_string());
        let config = configuration(path, ports) + &settings;
        std::fs::write(path.join("dovecot.conf"), config).unwrap();
        let child = Command::new("dovecot")
            .args(["-F", "-c"])
            .arg(path.join("dovecot.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let [imap, imaps, pop3, pop3s] = ports;
        let mut dovecot =
            Dovecot { imap, imaps, pop3, pop3s, child, delivered: AtomicU32::new(0), directory };
        dovecot.is_up().then_some(dovecot)
    }

    fn is_up(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        while Instant::now() < deadline && self.child.try_wait().unwrap().is_none() {
            // A greeting says more than an open port: the login process is there.
            if [self.imap, self.pop3].into_iter().all(greets) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Certificate of the authority, to be trusted by clients.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Certificate and key of a client.
    pub fn client(&self) -> (PathBuf, PathBuf) {
        let path = self.directory.path();
        (path.join("client.pem"), path.join("client.key"))
    }

    /// Makes a user with an empty mailbox.
    pub fn add_user(&self, user: &str, password: &str) {
        let users = self.directory.path().join("users");
        let known = std::fs::read_to_string(&users).unwrap();
        let next = users.with_extension("next");
        std::fs::write(&next, format!("{known}{user}:{{PLAIN}}{password}\n")).unwrap();
        std::fs::rename(next, users).unwrap();
        for part in ["tmp", "new", "cur"] {
            std::fs::create_dir_all(self.maildir(user).join(part)).unwrap();
        }
        for path in [self.maildir(user).parent().unwrap().to_owned(), self.maildir(user)] {
            give_away(&path);
        }
        for part in ["tmp", "new", "cur"] {
            give_away(&self.maildir(user).join(part));
        }
    }

    /// Where the mail of a user lies.
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.directory.path().join("mail").join(user).join("Maildir")
    }

    /// Delivers a mail as a delivery agent does: written elsewhere, then renamed.
    pub fn deliver(&self, user: &str, mail: &[u8]) {
        let number = self.delivered.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.M{number:06}P1.test", 1_800_000_000 + number);
        let maildir = self.maildir(user);
        let written = maildir.join("tmp").join(&name);
        std::fs::write(&written, mail).unwrap();
        give_away(&written);
        std::fs::rename(written, maildir.join("new").join(name)).unwrap();
    }

    /// Whether all sessions are parked, with [`HIBERNATES`].
    pub fn hibernates(&self) -> bool {
        let master = self.child.id().to_string();
        let stats = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|process| {
            // Processes end while they are looked at.
            std::fs::read_to_string(process.path().join("stat")).ok()
        });
        // proc_pid_stat(5): `pid (name) state parent`.
        let named = stats.filter_map(|stat| {
            let (before, after) = stat.rsplit_once(") ")?;
            let ours = after.split(' ').nth(1)? == master;
            ours.then(|| before.rsplit_once('(').map(|(_, name)| name.to_owned()))?
        });
        let names: Vec<String> = named.collect();
        let runs = |name: &str| names.iter().any(|known| known == name);
        runs("imap-hibernate") && !runs("imap")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// How many mails lie in `new` and `cur` of a folder, `""` for the inbox, `".Done"` else.
    pub fn count(&self, user: &str, folder: &str) -> usize {
        ["new", "cur"]
            .iter()
            .filter_map(|part| std::fs::read_dir(self.maildir(user).join(folder).join(part)).ok())
            .map(Iterator::count)
            .sum()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // The master ends its children when it is asked to end.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let _ = self.child.wait();
    }
}

/// Whether a server says something at this port.
pub fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.read(&mut [0]).is_ok_and(|count| count == 1)
}

/// Ports that nothing listens on, all different.
pub fn free_ports() -> [u16; 4] {
    let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self")
        .is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// Makes [`NOBODY`] the owner, where the test may do so.
pub fn give_away(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn configuration(path: &Path, [imap, imaps, pop3, pop3s]: [u16; 4]) -> String {
    let run = path.display();
    let own = std::fs::metadata("/proc/self").unwrap();
    let (uid, gid) = match is_root() {
        true => (NOBODY, NOBODY),
        false => {
            (std::os::unix::fs::MetadataExt::uid(&own), std::os::unix::fs::MetadataExt::gid(&own))
        }
    };
    // Without root nothing can change its user or its root directory.
    let unprivileged = match is_root() {
        true => String::new(),
        false => {
            let services = ["imap-login", "pop3-login", "anvil", "stats"]
                .map(|service| format!("service {service} {{\n  chroot =\n}}\n"));
            format!(
                "default_internal_user = {uid}\ndefault_login_user = {uid}\n\
                 default_internal_group = {gid}\n{}",
                services.concat()
            )
        }
    };
    format!(
        "base_dir = {run}/base
state_dir = {run}/state
log_path = {run}/log
listen = 127.0.0.1
protocols = imap pop3
first_valid_uid = 1
first_valid_gid = 1
mail_uid = {uid}
mail_gid = {gid}
mail_location = maildir:~/Maildir
mail_max_userip_connections = 200
ssl = yes
ssl_cert = <{run}/server.pem
ssl_key = <{run}/server.key
ssl_client_ca_file = {run}/ca.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0 secs
auth_cache_size = 0
passdb {{
  driver = passwd-file
  args = username_format=%u {run}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={run}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Done {{
    auto = create
  }}
}}
protocol imap {{
  imap_idle_notify_interval = 5 secs
}}
protocol pop3 {{
  pop3_uidl_format = %08Xu%08Xv
  pop3_lock_session = no
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
{unprivileged}"
    )
}
