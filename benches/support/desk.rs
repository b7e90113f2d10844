//! The daemon as people run it: the built program, a process of its own, watched from outside.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::until;

/// Between two looks at the daemon while something is waited for.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running daemon with its folder.
pub struct Desk {
    /// When the process was started.
    pub started: Instant,
    folder: TempDir,
    child: Child,
    port: u16,
}

impl Desk {
    /// Starts the daemon with this configuration. `{dir}` in it is replaced by its folder.
    pub fn start(yaml: &str) -> Desk {
        Desk::start_in(folder_for(yaml))
    }

    /// Starts the daemon in a folder made before.
    pub fn start_in(folder: TempDir) -> Desk {
        let port = free_port();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let started = Instant::now();
        let child = program()
            .args(["run", "--log-format", "json", "--listen", &format!("127.0.0.1:{port}")])
            .arg("-c")
            .arg(folder.path().join("config"))
            .arg("--data")
            .arg(folder.path().join("data"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Desk { started, folder, child, port }
    }

    /// A path beneath its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces one file of its configuration, in one rename.
    pub fn write(&self, name: &str, yaml: &str) {
        write_config(self.folder.path(), name, yaml);
    }

    /// Asks it something as its owner may.
    pub fn post(&self, path: &str) {
        self.as_owner("POST", path);
    }

    /// The same, and its whole answer.
    pub fn as_owner(&self, method: &str, path: &str) -> String {
        let token = fs::read_to_string(self.path("data").join("api-token")).unwrap();
        let headers = format!("Authorization: Bearer {token}\r\nContent-Length: 0\r\n");
        let answer = self.ask(method, path, &headers).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    /// Everything it wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Sum of all series of a metric whose line begins so; `None` while it does not answer.
    pub fn metric(&self, beginning: &str) -> Option<f64> {
        let page = self.get("/metrics")?;
        let values = page.lines().filter(|line| line.starts_with(beginning));
        Some(values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Waits until the sum of a metric has reached this.
    #[track_caller]
    pub fn wait_for(&self, beginning: &str, at_least: f64) {
        until(beginning, LOOK_EVERY, || self.metric(beginning).filter(|value| *value >= at_least));
    }

    /// Most memory it has used, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// Memory it uses now, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// Bytes its data take on disk.
    pub fn disk_bytes(&self) -> u64 {
        size_of(&self.path("data"))
    }

    fn status_kib(&self, field: &str) -> u64 {
        memory_kib(self.child.id(), field).expect("the daemon runs")
    }

    fn get(&self, path: &str) -> Option<String> {
        self.ask("GET", path, "").filter(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    fn ask(&self, method: &str, path: &str, headers: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Asked to end, so that it leaves its folder in order; killed if it does not listen.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(15);
        while Instant::now() < deadline {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The built program.
pub fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_postroom"));
    program.env("NO_COLOR", "1");
    program
}

/// A folder with this configuration.
pub fn folder_for(yaml: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path(), "desk.yaml", yaml);
    folder
}

/// Writes a secret as the daemon wants it: for its owner alone.
pub fn write_secret(path: &Path, secret: &str) {
    fs::write(path, secret).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Memory of a process, in KiB, by the name that the system gives it; `None` if it has ended.
pub fn memory_kib(process: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Writes one file of a configuration, in one rename. `{dir}` is replaced by the folder.
pub fn write_config(folder: &Path, name: &str, yaml: &str) {
    let text = yaml.replace("{dir}", &folder.display().to_string());
    let config = folder.join("config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join(".new"), text).unwrap();
    fs::rename(config.join(".new"), config.join(name)).unwrap();
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Bytes allocated for everything beneath a path.
fn size_of(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
    let below: u64 = match fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| size_of(&entry.path())).sum(),
        Err(_) => 0,
    };
    meta.blocks() * 512 + below
}
