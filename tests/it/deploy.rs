//! What is told to a service manager, and the examples under `deploy/`: their commands parse,
//! their values fit the chart, their configuration loads.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use postroom::config::{self, Severity};
use serde::Deserialize;
use serde_json::Value;

use crate::needed;
use crate::process::{Program, ask};

/// A message of the daemon that takes longer than this does not come.
const PATIENCE: Duration = Duration::from_secs(20);
const DESK: &str = "version: 1\nqueues:\n  support: {}\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Where a service manager listens.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Manager {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Manager { socket, path, _folder: folder }
    }

    /// The next message, as lines.
    fn told(&self) -> Vec<String> {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..length]).lines().map(str::to_owned).collect()
    }
}

/// Microseconds of the monotonic clock, as everybody on this machine reads them.
fn monotonic_usec() -> u64 {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = uptime.split_whitespace().next().unwrap().parse().unwrap();
    (seconds * 1e6) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_of_start_reload_and_end() {
    let manager = Manager::new();
    let socket = manager.path.display().to_string();
    let desk = Program::start(DESK, &[("NOTIFY_SOCKET", &socket)]).await;
    let told = manager.told();
    assert_eq!(told[0], "READY=1");
    let first = told[1].clone();
    assert!(first.starts_with("STATUS=revision ") && first.ends_with(" runs"), "{first}");

    let before = monotonic_usec();
    desk.signal("HUP");
    let told = manager.told();
    assert_eq!(told[0], "RELOADING=1");
    let since: u64 = told[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
    // /proc/uptime counts hundredths of a second, and the clock of a virtual machine may have been
    // held: in the same minute is enough to tell this reload from another.
    assert!(since.abs_diff(before) < 60_000_000, "{since} is not near {before}");
    assert_eq!(manager.told(), ["READY=1".to_owned(), first.clone()]);

    desk.write("version: 1\nqueues:\n  support: {colour: red}\n");
    desk.signal("HUP");
    assert_eq!(manager.told()[0], "RELOADING=1");
    let told = manager.told();
    assert_eq!(told[0], "READY=1", "a refused edit leaves it as ready as before");
    assert_eq!(told[1], format!("{first}; the files were refused, problems: 1"));

    desk.signal("TERM");
    assert_eq!(manager.told(), ["STOPPING=1"]);
}

/// A ConfigMap as it lies in a pod: links to files behind one link that the kubelet flips.
struct ConfigMap(PathBuf);

impl ConfigMap {
    fn new(volume: PathBuf) -> ConfigMap {
        std::fs::create_dir_all(volume.join("..0")).unwrap();
        std::os::unix::fs::symlink("..0", volume.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/desk.yaml", volume.join("desk.yaml")).unwrap();
        ConfigMap(volume)
    }

    /// Puts another content in its place, in the order in which the kubelet does it.
    fn swap(&self, yaml: &str) {
        let former = std::fs::read_link(self.0.join("..data")).unwrap();
        let number: usize = former.to_str().unwrap()[2..].parse().unwrap();
        let fresh = format!("..{}", number + 1);
        std::fs::create_dir(self.0.join(&fresh)).unwrap();
        std::fs::write(self.0.join(&fresh).join("desk.yaml"), yaml).unwrap();
        std::os::unix::fs::symlink(&fresh, self.0.join("..data_tmp")).unwrap();
        std::fs::rename(self.0.join("..data_tmp"), self.0.join("..data")).unwrap();
        std::fs::remove_dir_all(self.0.join(former)).unwrap();
    }
}

async fn status(desk: &Program) -> Value {
    let (code, answer) = ask(desk.addr, "GET", "/api/v1/status", &desk.token(), "").await;
    assert_eq!(code, 200, "{answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

async fn last_reload_successful(desk: &Program) -> String {
    let text = ask(desk.addr, "GET", "/metrics", "", "").await.1;
    let name = "postroom_config_last_reload_successful ";
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned()
}

/// Waits until status and metric are as wanted; answers with the status and how long that took.
async fn until_status(
    desk: &Program,
    successful: &str,
    wanted: impl Fn(&Value) -> bool,
) -> (Value, Duration) {
    let began = Instant::now();
    loop {
        let status = status(desk).await;
        if wanted(&status) && last_reload_successful(desk).await == successful {
            return (status, began.elapsed());
        }
        assert!(began.elapsed() < PATIENCE, "{status:#}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_is_live_in_two_seconds_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let map = ConfigMap::new(folder.path().join("config"));
    let account = format!(
        "mailAccounts:\n  demo: {{type: maildir, path: {}, dispatch: {{by: queue, queue: support}}, \
         afterFetch: keep, pollInterval: 1s}}\n",
        folder.path().join("mail").display()
    );
    let good = format!("{DESK}{account}");
    std::fs::write(map.0.join("..0/desk.yaml"), &good).unwrap();
    let desk = Program::start_over(folder, &[]).await;
    let is_ready = |status: &Value| status["objects"][0]["consecutiveFailures"] == 0;
    let (first, _) = until_status(&desk, "1", is_ready).await;

    map.swap(&format!("{good}users:\n  alice: {{email: alice@desk.example, role: user}}\n"));
    let (second, took) = until_status(&desk, "1", |now| now["revision"] != first["revision"]).await;
    assert!(took < Duration::from_secs(2), "{took:?}");

    map.swap(&format!("{good}users:\n  alice: {{email: alice@desk.example, role: usher}}\n"));
    let refused = |now: &Value| now["rejected"].as_array().is_some_and(|it| !it.is_empty());
    let (third, took) = until_status(&desk, "0", refused).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(third["revision"], second["revision"], "what runs stays");
    assert_eq!(third["ready"], true);
    assert_eq!(third["objects"][0]["name"], "demo");
    let problem = &third["rejected"][0];
    assert!(problem["file"].as_str().unwrap().ends_with("desk.yaml"), "{problem}");
    assert_eq!(problem["path"], "users.alice.role", "{problem}");
    assert_eq!(ask(desk.addr, "GET", "/-/ready", "", "").await.0, 200);

    map.swap(&good);
    let (_, took) = until_status(&desk, "1", |now| !refused(now)).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
}

/// Checks that our program understands these words.
#[track_caller]
fn check_command(words: &[&str]) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_postroom"));
    let output = program.args(words).arg("--help").env_clear().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words:?}\n{said}");
}

#[test]
fn the_unit_starts_what_there_is() {
    let unit = read("deploy/systemd/postroom.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/postroom "));
    check_command(&start.unwrap().split_whitespace().collect::<Vec<_>>());
    assert!(unit.contains("\nType=notify-reload\n"));
}

#[test]
fn the_unit_is_as_closed_as_the_page_says() {
    let asked = ["security", "--offline=yes", "--no-pager", "deploy/systemd/postroom.service"];
    let output = Command::new("systemd-analyze").args(asked).current_dir(root()).output();
    let Some(output) = needed::found(output.ok(), "systemd-analyze is not installed") else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    let level: f64 = line.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    // Each version of systemd weighs a little differently.
    assert!(level <= 1.5, "{line}");
    assert!(read("docs/systemd.md").contains("exposure level for postroom.service: 1.2"));
}

#[test]
fn compose_runs_what_there_is() {
    let compose: Value = serde_yaml::from_str(&read("deploy/compose/compose.yaml")).unwrap();
    let service = &compose["services"]["postroom"];
    let words = |value: &Value| -> Vec<String> {
        let words = value.as_array().unwrap().iter();
        words.map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let command = words(&service["command"]);
    check_command(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let probe = words(&service["healthcheck"]["test"]);
    assert_eq!(probe[..2], ["CMD", "postroom"]);
    check_command(&probe[2..].iter().map(String::as_str).collect::<Vec<_>>());
    let problems = config::load(&[root().join("deploy/compose/config")]).problems;
    assert!(problems.iter().all(|it| it.severity != Severity::Error), "{problems:?}");
}

/// Whether every key of the values is one that the chart has.
#[track_caller]
fn check_values(values: &Value) {
    let schema: Value = serde_json::from_str(&read("charts/postroom/values.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(values).map(|it| it.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn values_of_the_gitops_examples_fit_the_chart() {
    check_values(&serde_yaml::from_str(&read("deploy/argocd/values.yaml")).unwrap());
    let flux = read("deploy/flux/desk.yaml");
    let mut releases = 0;
    for document in serde_yaml::Deserializer::from_str(&flux) {
        let document = Value::deserialize(document).unwrap();
        if document["kind"] == "HelmRelease" {
            check_values(&document["spec"]["values"]);
            releases += 1;
        }
    }
    assert_eq!(releases, 1);
    let application: Value = serde_yaml::from_str(&read("deploy/argocd/application.yaml")).unwrap();
    let chart = application["spec"]["sources"][0]["path"].as_str().unwrap();
    assert!(root().join(chart).join("Chart.yaml").exists());
}

#[test]
fn the_chart_is_of_the_same_version() {
    let chart: Value = serde_yaml::from_str(&read("charts/postroom/Chart.yaml")).unwrap();
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}
