//! Who may read the data directory, whatever the umask of the daemon: the real program, because a umask
//! belongs to a whole process.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use crate::daemon::{deliver, until};

const DESK: &str = "version: 1
mailAccounts:
  box: {type: maildir, path: mail, dispatch: {by: recipient}, since: all, afterFetch: keep}
";

/// A running daemon, ended with the value.
struct Running {
    child: Child,
    url: String,
    /// Read no further, but open as long as the daemon writes.
    _log: BufReader<ChildStderr>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(folder: &Path, umask: &str, arguments: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask $0; exec \"$@\"", umask, env!("CARGO_BIN_EXE_postroom")]);
    shell.args(arguments).current_dir(folder);
    shell
}

fn start(folder: &Path, umask: &str) -> Running {
    let arguments = ["run", "-c", "config", "--data", "var/data", "--listen", "127.0.0.1:0"];
    let mut child = program(folder, umask, &arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let url = loop {
        let from = said.len();
        assert_ne!(log.read_line(&mut said).unwrap(), 0, "{said}");
        if let Some((_, rest)) = said[from..].split_once("listening on ") {
            break rest.split(' ').next().unwrap().to_owned();
        }
    };
    Running { child, url, _log: log }
}

/// A desk with one mail that is large enough for a file of its own.
fn desk() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for path in ["config", "config/mail/new", "config/mail/cur", "config/mail/tmp"] {
        fs::create_dir_all(folder.path().join(path)).unwrap();
    }
    fs::write(folder.path().join("config/desk.yaml"), DESK).unwrap();
    let body = "All work and no play.\r\n".repeat(10_000);
    let mail = format!("From: eve@customer.example\r\nSubject: large\r\n\r\n{body}");
    deliver(&folder.path().join("config/mail"), "1", mail.as_bytes());
    folder
}

/// Everything beneath a directory, itself included.
fn tree(path: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(path).into_iter().flatten();
    let below = below.flat_map(|entry| tree(&entry.unwrap().path()));
    [path.to_owned()].into_iter().chain(below).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[track_caller]
fn check_closed(directory: &Path) {
    for path in tree(directory) {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{} is {:o}", path.display(), mode(&path));
    }
}

async fn check(umask: &str) {
    let folder = desk();
    let data = folder.path().join("var/data");
    let daemon = start(folder.path(), umask);
    let segment = data.join("segments/00000001.mails");
    until("the mail", || fs::metadata(&segment).is_ok_and(|it| it.len() > 100_000).then_some(()))
        .await;
    let made = tree(&data);
    for name in ["postroom.redb", "postroom.lock", "api-token"] {
        assert!(made.contains(&data.join(name)), "{made:?}");
    }
    check_closed(&folder.path().join("var"));
    let backup = ["store", "backup", "var/copy", "--data", "var/data", "--url"];
    let mut backup = program(folder.path(), umask, &[&backup[..], &[&daemon.url]].concat());
    let output = backup.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    check_closed(&folder.path().join("var/copy"));
}

#[tokio::test]
async fn a_wide_umask_opens_nothing() {
    check("0000").await;
}

#[tokio::test]
async fn the_narrowest_umask_keeps_nothing_from_its_owner() {
    check("0777").await;
}

#[tokio::test]
async fn what_an_earlier_version_left_open_is_closed() {
    let folder = desk();
    let data = folder.path().join("var/data");
    let segment = data.join("segments/00000001.mails");
    let daemon = start(folder.path(), "0022");
    until("the mail", || fs::metadata(&segment).is_ok_and(|it| it.len() > 100_000).then_some(()))
        .await;
    drop(daemon);
    for path in tree(&data) {
        let mode = if path.is_dir() { 0o777 } else { 0o666 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    let _daemon = start(folder.path(), "0022");
    check_closed(&data);
}
