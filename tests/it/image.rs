//! The image, run as the chart's pod spec wants it: in a root of its own that is read-only, as the
//! user it names, with nothing but its volumes to write to.
//!
//! Needs a built image and Helm, so it runs when it is asked for; `.ci/run` does. `POSTROOM_IMAGE_ROOT`
//! names the directory with the files of the image.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::peers::Dovecot;
use crate::process::{ask, token};
use crate::server::PASSWORD;

/// Who the image runs as.
const USER: u32 = 65532;
/// Longest time until it is ready, and until an edit is live.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where nobody else listens: a name server for the pod alone.
const NAME_SERVER: &str = "127.0.0.153:53";

/// What the script in a namespace of its own does: the root, its volumes, and then the program
/// without any right. `$1` is the root; the mounts come in pairs, and behind `--` the program.
const ENTER: &str = r#"
set -eu
root=$1; shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -o remount,bind,ro "$root"
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; [ "$3" = rw ] || mount -o remount,bind,ro "$root$2"; shift 3; done
shift
exec setpriv --no-new-privs --bounding-set=-all,+sys_chroot,+setuid,+setgid --inh-caps=-all \
  chroot --userspec=65532:65532 --groups=65532 "$root" "$@"
"#;

/// A pod of the chart.
struct Pod {
    child: Child,
    root: PathBuf,
    folder: tempfile::TempDir,
    spec: Value,
    addr: SocketAddr,
    /// Environment as image and spec give it.
    env: Vec<(String, String)>,
}

fn image_root() -> PathBuf {
    PathBuf::from(std::env::var("POSTROOM_IMAGE_ROOT").expect("POSTROOM_IMAGE_ROOT is set"))
}

fn give(path: &Path) {
    chown(path, Some(USER), Some(USER)).unwrap();
}

/// Writes a directory as the kubelet does: files behind links behind one link that is flipped.
fn write_atomically(volume: &Path, files: &[(&str, &str)]) {
    let number = std::fs::read_dir(volume).unwrap().count();
    let fresh = format!("..2026_11_25_{number}");
    std::fs::create_dir_all(volume.join(&fresh)).unwrap();
    for (name, text) in files {
        std::fs::write(volume.join(&fresh).join(name), text).unwrap();
        if !volume.join(name).exists() {
            symlink(format!("..data/{name}"), volume.join(name)).unwrap();
        }
    }
    let former = std::fs::read_link(volume.join("..data")).ok();
    symlink(&fresh, volume.join("..data_tmp")).unwrap();
    std::fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    if let Some(former) = former {
        std::fs::remove_dir_all(volume.join(former)).unwrap();
    }
}

/// The pod spec that Helm makes for these values.
fn pod_spec(port: u16) -> Value {
    let helm = std::env::var("POSTROOM_HELM").expect("POSTROOM_HELM is set");
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/postroom");
    let output = Command::new(helm)
        .args(["template", "desk"])
        .arg(chart)
        .args([
            "--set",
            "config.existingConfigMaps={desk-config},secrets.existingSecrets={desk-mail}",
        ])
        .args(["--set", &format!("http.port={port}")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rendered = String::from_utf8(output.stdout).unwrap();
    for document in serde_yaml::Deserializer::from_str(&rendered) {
        let document = Value::deserialize(document).unwrap();
        if document["kind"] == "StatefulSet" {
            return document["spec"]["template"]["spec"].clone();
        }
    }
    panic!("no StatefulSet");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

impl Pod {
    /// Starts one with this configuration; `roots` replaces the image's roots of trust.
    fn start(yaml: &str, roots: Option<&Path>) -> Pod {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let spec = pod_spec(port);
        let container = &spec["containers"][0];
        assert_eq!(spec["securityContext"]["runAsUser"], USER);
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        let folder = tempfile::tempdir().unwrap();
        // Others look into it: the daemon is another user.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let root = folder.path().join("root");
        let copied = Command::new("cp").arg("-a").arg(image_root()).arg(&root).status().unwrap();
        assert!(copied.success());
        let mut mounts = Vec::new();
        for mount in container["volumeMounts"].as_array().unwrap() {
            let name = text(&mount["name"]);
            let volume = folder.path().join(name);
            std::fs::create_dir_all(&volume).unwrap();
            std::fs::create_dir_all(root.join(&text(&mount["mountPath"])[1..])).unwrap();
            match name {
                "data" => {
                    give(&volume);
                    for part in ["mail", "mail/new", "mail/cur", "mail/tmp"] {
                        std::fs::create_dir(volume.join(part)).unwrap();
                        give(&volume.join(part));
                    }
                }
                "secrets" => write_atomically(&volume, &[("support", PASSWORD)]),
                _ => write_atomically(&volume, &[("desk.yaml", yaml)]),
            }
            let how = if mount["readOnly"] == true { "ro" } else { "rw" };
            mounts.push((volume, text(&mount["mountPath"]).to_owned(), how));
        }
        // What every runtime brings.
        std::fs::create_dir_all(root.join("proc")).unwrap();
        std::fs::create_dir_all(root.join("dev")).unwrap();
        for (name, minor) in [("null", "3"), ("random", "8"), ("urandom", "9")] {
            let node = root.join("dev").join(name);
            let made = Command::new("mknod")
                .args(["-m", "666"])
                .arg(node)
                .args(["c", "1", minor])
                .status();
            assert!(made.unwrap().success());
        }
        for (name, content) in [
            ("hosts", "127.0.0.1 localhost\n".to_owned()),
            ("resolv.conf", format!("nameserver {}\n", NAME_SERVER.trim_end_matches(":53"))),
        ] {
            let file = folder.path().join(name);
            std::fs::write(&file, content).unwrap();
            std::fs::write(root.join("etc").join(name), "").unwrap();
            mounts.push((file, format!("/etc/{name}"), "ro"));
        }
        if let Some(roots) = roots {
            let bundle = "/etc/ssl/certs/ca-certificates.crt".to_owned();
            mounts.push((roots.to_owned(), bundle, "ro"));
        }
        let mut env = vec![("PATH".to_owned(), "/usr/bin".to_owned())];
        for variable in container["env"].as_array().unwrap() {
            env.push((text(&variable["name"]).to_owned(), text(&variable["value"]).to_owned()));
        }
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"])
            .args(["bash", "-c", ENTER, "enter"])
            .arg(&root);
        for (volume, path, how) in &mounts {
            command.arg(volume).args([path, *how]);
        }
        command.args(["--", "/usr/bin/postroom"]);
        command.args(container["args"].as_array().unwrap().iter().map(text));
        let path = ("PATH", std::env::var("PATH").unwrap());
        let child = command
            .env_clear()
            .envs(env.clone())
            .env(path.0, path.1)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let addr = ([127, 0, 0, 1], port).into();
        Pod { child, root, folder, spec, addr, env }
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.volume("log")).unwrap_or_default()
    }

    /// Waits until a look gives something.
    async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the probe of this name succeeds.
    async fn passes(&self, probe: &str) {
        let get = &self.spec["containers"][0][probe]["httpGet"];
        let path = text(&get["path"]);
        self.until(probe, async || {
            tokio::net::TcpStream::connect(self.addr).await.ok()?;
            (ask(self.addr, "GET", path, "", "").await.0 == 200).then_some(())
        })
        .await;
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = ask(self.addr, "GET", path, &token(&self.volume("data")), "").await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// The process of the daemon: the only child of the one that made the namespaces.
    fn pid(&self) -> String {
        let parent = self.child.id();
        let path = format!("/proc/{parent}/task/{parent}/children");
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    }

    /// What `kubectl exec` does.
    fn exec(&self, words: &[&str]) -> Output {
        Command::new("nsenter")
            .args(["--target", &self.pid(), "--mount", "--pid", "chroot"])
            .arg(format!("--userspec={USER}:{USER}"))
            .arg(&self.root)
            .args(words)
            .env_clear()
            .envs(self.env.clone())
            .env("PATH", "/usr/bin:/usr/sbin:/bin:/sbin")
            .output()
            .unwrap()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-s", "KILL", &self.pid()]).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn desk(more: &str) -> String {
    format!(
        "version: 1\ndesk: {{timeZone: Asia/Tokyo}}\nmailAccounts:\n  demo: {{type: maildir, path: /data/mail, \
         dispatch: {{by: queue, queue: support}}, since: all, afterFetch: keep, pollInterval: 1s}}\n{more}\
         queues:\n  support: {{}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a built image and root: see .ci/run"]
async fn the_pod_runs_read_only_as_nobody_and_becomes_ready() {
    let pod = Pod::start(&desk(""), None);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        pod.passes(probe).await;
    }
    let proc = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", pod.pid())).unwrap();
    let status = proc("status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(field("Uid:"), "65532 65532 65532 65532");
    assert_eq!(field("Gid:"), "65532 65532 65532 65532");
    assert_eq!(field("CapEff:"), "0000000000000000");
    assert_eq!(field("CapPrm:"), "0000000000000000");
    assert_eq!(field("NoNewPrivs:"), "1");
    let mounts = proc("mountinfo");
    let options = |path: &str| {
        let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let found = lines.find(|fields| fields[4] == path).unwrap_or_else(|| panic!("{mounts}"));
        found[5].to_owned()
    };
    assert!(options("/").starts_with("ro"), "{mounts}");
    assert!(options("/data").starts_with("rw"), "{mounts}");

    // A mail becomes a ticket, and whoever may enter the pod sees it.
    let mail = "From: Eve <eve@customer.example>\r\nSubject: question\r\nMessage-ID: <1@x>\r\n\r\nHello\r\n";
    let written = pod.volume("data").join("mail/tmp/1");
    std::fs::write(&written, mail).unwrap();
    give(&written);
    std::fs::rename(&written, pod.volume("data").join("mail/new/1")).unwrap();
    let listed = pod
        .until("a ticket", async || {
            let output = pod.exec(&["postroom", "tickets", "ls"]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            said.contains("question").then_some(said)
        })
        .await;
    assert!(listed.contains("support"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a built image and root: see .ci/run"]
async fn an_edit_of_the_config_map_is_live_in_the_pod() {
    let pod = Pod::start(&desk(""), None);
    pod.passes("readinessProbe").await;
    let first = pod.get("/api/v1/status").await["revision"].clone();
    let edited = desk(
        "filters:\n  vip: {order: 1, match: [{header: Subject, regex: vip}], set: {priority: 5 very high}}\n",
    );
    write_atomically(&pod.volume("map-0"), &[("desk.yaml", &edited)]);
    pod.until("the edit", async || {
        (pod.get("/api/v1/status").await["revision"] != first).then_some(())
    })
    .await;
}

/// Answers every question for an IPv4 address with 127.0.0.1, and every other with nothing.
fn name_server() -> UdpSocket {
    let socket = UdpSocket::bind(NAME_SERVER).expect("port 53 of a loopback address, as root");
    let answering = socket.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = answering.recv_from(&mut question) {
            // Header, name until its empty label, type and class (RFC 1035 section 4.1).
            let Some(end) = question[12..length].iter().position(|byte| *byte == 0) else { break };
            let end = 12 + end + 5;
            let is_a = question[end - 4..end - 2] == [0, 1];
            let mut answer = question[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
            answer.extend(&question[12..end]);
            if is_a {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
            }
            let _ = answering.send_to(&answer, from);
        }
    });
    socket
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a built image and root: see .ci/run"]
async fn names_are_resolved_and_certificates_are_trusted_in_the_image() {
    let Some(dovecot) = Dovecot::start() else { panic!("needs Dovecot") };
    dovecot.add_user("support", PASSWORD);
    let _server = name_server();
    let account = format!(
        "  support: {{type: imaps, host: mx.cluster.test, port: {}, username: support, password: {{secret: support}}, \
         tls: {{serverName: localhost}}, dispatch: {{by: queue, queue: support}}, afterFetch: keep}}\n",
        dovecot.imaps
    );
    let pod = Pod::start(&desk(&account), Some(&dovecot.ca()));
    pod.passes("readinessProbe").await;
    let output = pod.exec(&["postroom", "status", "--wait", "--timeout", "20"]);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("support"), "{said}\n{}", pod.log());
}
