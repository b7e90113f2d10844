//! The real program for tests: in a scratch folder, on a free port, its log kept.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::daemon::until;

/// A running program; killed with the value.
pub struct Program {
    /// Everything it reads and writes lies beneath.
    pub folder: tempfile::TempDir,
    /// Where its HTTP listens.
    pub addr: SocketAddr,
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Program {
    /// Starts one with this configuration and these variables, at the most talkative level.
    /// `{dir}` in the configuration is replaced by the scratch folder.
    pub async fn start(yaml: &str, variables: &[(&str, &str)]) -> Program {
        let folder = tempfile::tempdir().unwrap();
        Program::start_in(folder, yaml, variables).await
    }

    /// Starts one in this folder.
    pub async fn start_in(
        folder: tempfile::TempDir,
        yaml: &str,
        variables: &[(&str, &str)],
    ) -> Program {
        write(folder.path(), yaml);
        Program::start_over(folder, variables).await
    }

    /// Starts one over the configuration that lies in this folder.
    pub async fn start_over(folder: tempfile::TempDir, variables: &[(&str, &str)]) -> Program {
        for kind in ["new", "cur", "tmp"] {
            fs::create_dir_all(folder.path().join("mail").join(kind)).unwrap();
        }
        fs::create_dir_all(folder.path().join("secrets")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_postroom"))
            .args(["run", "--listen", "127.0.0.1:0", "--log", "trace"])
            // Every field as it is: nothing may hide behind a sentence.
            .args(["--log-format", "json", "-c"])
            .arg(folder.path().join("config"))
            .arg("--data")
            .arg(folder.path().join("data"))
            .arg("--secrets-dir")
            .arg(folder.path().join("secrets"))
            .env("RUST_LOG", "trace")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (into, lines) = (log.clone(), BufReader::new(child.stderr.take().unwrap()));
        std::thread::spawn(move || {
            for line in lines.split(b'\n').map_while(Result::ok) {
                let mut log = into.lock().unwrap();
                log.push_str(&String::from_utf8_lossy(&line));
                log.push('\n');
            }
        });
        let addr = until("an address", || {
            let log = log.lock().unwrap();
            let (_, rest) = log.split_once("listening on http://")?;
            rest.split_whitespace().next()?.parse().ok()
        })
        .await;
        Program { folder, addr, child, log }
    }

    /// A path beneath its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces its configuration, in one rename.
    pub fn write(&self, yaml: &str) {
        write(self.folder.path(), yaml);
    }

    /// All that it said until now.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The token of the commands on this machine.
    pub fn token(&self) -> String {
        token(&self.path("data"))
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Asks it to end, and hands its folder over when it has.
    pub async fn end(mut self) -> tempfile::TempDir {
        self.signal("TERM");
        let status = until("its end", || self.child.try_wait().unwrap()).await;
        assert!(status.success(), "{status}");
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write(folder: &Path, yaml: &str) {
    let text = yaml.replace("{dir}", &folder.display().to_string());
    let config = folder.join("config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join(".desk.new"), text).unwrap();
    fs::rename(config.join(".desk.new"), config.join("desk.yaml")).unwrap();
}

/// The token of the commands on this machine, for a daemon with this data directory.
pub fn token(data: &Path) -> String {
    fs::read_to_string(data.join("api-token")).unwrap()
}

/// Asks over HTTP; without a token if it is empty. Answers with status and everything else.
pub async fn ask(
    addr: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> (u16, String) {
    let token = match token {
        "" => String::new(),
        token => format!("Authorization: Bearer {token}\r\n"),
    };
    // In HTTP/1.0 every answer comes in one piece (RFC 9112 section 6.1).
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n{token}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split_whitespace().nth(1).unwrap().parse().unwrap();
    (status, answer)
}
