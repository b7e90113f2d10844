//! Exim as the server that receives mail and hands it to the mailboxes.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use super::sandbox::Sandbox;

/// How mail gets into a server's mailboxes.
pub enum Transport<'a> {
    /// Into the Maildir at this path, in which [`USER`] is the user.
    Maildir(&'a str),
    /// To the end of the file at this path, likewise.
    Mbox(&'a str),
    /// By LMTP (RFC 2033) to this socket.
    Lmtp(&'a Path),
}

/// Stands for the user in a path: looked up among the users, as Exim trusts no recipient.
pub const USER: &str = "$local_part_data";

/// An Exim for one server.
pub struct Exim {
    sandbox: Sandbox,
}

/// A mail on its way.
pub struct Letter<'a> {
    /// Whose mailbox it is for.
    pub user: &'a str,
    /// Its bytes, with CRLF.
    pub bytes: &'a [u8],
}

impl Exim {
    /// One that delivers to these users, and so.
    pub fn new(packages: &Path, users: &[String], transport: &Transport<'_>) -> Exim {
        let sandbox = Sandbox::new(packages);
        sandbox.folder("spool");
        sandbox.folder("log-of-exim");
        let known: String = users.iter().map(|user| format!("{user}: {user}\n")).collect();
        sandbox.write("users", &known);
        let root = sandbox.path("").display().to_string();
        let root = root.trim_end_matches('/');
        let exim = sandbox.packaged("usr/sbin/exim4");
        let transport = match transport {
            Transport::Maildir(path) => {
                format!("driver = appendfile\nmaildir_format\ndirectory = {path}\n{ADDS}")
            }
            Transport::Mbox(path) => format!("driver = appendfile\nfile = {path}\n{ADDS}"),
            Transport::Lmtp(socket) => format!("driver = lmtp\nsocket = {}\n", socket.display()),
        };
        sandbox.write(
            "exim.conf",
            &format!(
                "primary_hostname = mx.desk.example
qualify_domain = desk.example
exim_path = {exim}
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = {root}/spool
log_file_path = {root}/log-of-exim/%slog
deliver_drop_privilege = true
keep_environment = LD_LIBRARY_PATH
check_spool_space = 0
check_spool_inodes = 0
message_size_limit = 100M
smtp_accept_queue_per_connection = 0
acl_smtp_rcpt = accept
acl_smtp_data = accept
begin routers
boxes:
  driver = accept
  domains = desk.example
  local_parts = lsearch;{root}/users
  transport = box
begin transports
box:
{transport}",
                exim = exim.display()
            ),
        );
        Exim { sandbox }
    }

    /// Receives these mails by SMTP and delivers them: when this returns, they are there.
    pub fn deliver(&self, letters: &[Letter<'_>]) {
        let exim = self.sandbox.packaged("usr/sbin/exim4");
        let mut child = self
            .sandbox
            .command(exim)
            .arg("-C")
            .arg(self.sandbox.path("exim.conf"))
            // Batched SMTP from standard input; every mail is delivered before the next is read.
            .args(["-odi", "-bS"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // If it hangs up, what it says on that tells more than the broken pipe.
        let _ = child.stdin.take().unwrap().write_all(&batch(letters));
        let output = child.wait_with_output().unwrap();
        let log = std::fs::read_to_string(self.sandbox.path("log-of-exim/mainlog"));
        let log = log.unwrap_or_default();
        let waiting = std::fs::read_dir(self.sandbox.path("spool/input"));
        let waiting = waiting.map_or(0, Iterator::count);
        assert!(output.status.success() && waiting == 0, "exim: {output:?}, {log}");
    }
}

/// The mails as one client sends them.
fn batch(letters: &[Letter<'_>]) -> Vec<u8> {
    let mut batch = b"EHLO client.customer.example\r\n".to_vec();
    for letter in letters {
        let start = "MAIL FROM:<eve@customer.example>\r\n";
        let rest = format!("RCPT TO:<{}@desk.example>\r\nDATA\r\n", letter.user);
        batch.extend_from_slice((start.to_owned() + &rest).as_bytes());
        for line in letter.bytes.split_inclusive(|byte| *byte == b'\n') {
            // RFC 5321 section 4.5.2.
            if line.starts_with(b".") {
                batch.push(b'.');
            }
            batch.extend_from_slice(line);
        }
        batch.extend_from_slice(b".\r\n");
    }
    batch.extend_from_slice(b"QUIT\r\n");
    batch
}

const ADDS: &str = "create_directory = false
delivery_date_add
envelope_to_add
return_path_add
";
