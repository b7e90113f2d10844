//! Runs programs of Debian packages that are unpacked beside the system, not installed.
//!
//! Such programs look into `/etc` and `/run`, for users and sockets of their own. In a mount
//! namespace both are folders of the test, and all programs run as one user without rights. The
//! process namespace ends with its first process: when the test ends, so does everything in it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::needed;
use crate::peers::{NOBODY, give_away, is_root};

/// Names the folder into which the packages are unpacked.
const PACKAGES: &str = "POSTROOM_MAIL_SERVERS";

/// Where the packages keep their libraries.
const LIBRARIES: [&str; 4] =
    ["usr/lib", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/courier-authlib"];

/// What of `/etc` the programs read besides their own.
const SHARED: [&str; 5] = ["hosts", "nsswitch.conf", "services", "protocols", "ld.so.cache"];

/// Makes `/etc` and `/run` folders of the test, then gives up all rights. It waits: the first
/// process of the namespace must keep the rights with which it was started, or it is not ended.
const SCRIPT: &str = r#"
mount --bind "$0/etc" /etc || exit 1
mount --bind "$0/run" /run || exit 1
if [ "$OWNER" = "$SELF" ]; then
  unshare --user --map-user="$OWNER" --map-group="$GROUP" env LD_LIBRARY_PATH="$LIBRARIES" "$@"
else
  setpriv --reuid="$OWNER" --regid="$GROUP" --clear-groups env LD_LIBRARY_PATH="$LIBRARIES" "$@"
fi
exit $?
"#;

/// The folder with the unpacked packages, or says that there is none.
pub fn packages() -> Option<PathBuf> {
    let folder = std::env::var_os(PACKAGES).map(PathBuf::from);
    let missing = format!("{PACKAGES} names no folder with Courier, Cyrus and Exim");
    needed::found(folder.filter(|folder| folder.join("usr/sbin/exim4").exists()), &missing)
}

/// A folder with an `/etc` and a `/run` of its own.
pub struct Sandbox {
    packages: PathBuf,
    directory: TempDir,
}

impl Sandbox {
    /// An empty one for programs of these packages.
    pub fn new(packages: &Path) -> Sandbox {
        let sandbox =
            Sandbox { packages: packages.to_owned(), directory: tempfile::tempdir().unwrap() };
        let root = sandbox.directory.path();
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        sandbox.folder("run");
        fs::create_dir(root.join("etc")).unwrap();
        for name in SHARED {
            // A system without one of them does without.
            let _ = fs::copy(Path::new("/etc").join(name), root.join("etc").join(name));
        }
        let (uid, gid) = owner();
        let user = |name: &str| format!("{name}:x:{uid}:{gid}::/:/bin/false\n");
        let group = |name: &str| format!("{name}:x:{gid}:\n");
        // The names are built into the programs.
        let users = ["courier", "cyrus", "Debian-exim"].map(user).concat();
        let groups = ["courier", "mail", "Debian-exim"].map(group).concat();
        fs::write(root.join("etc/passwd"), format!("root:x:0:0::/:/bin/sh\n{users}")).unwrap();
        fs::write(root.join("etc/group"), format!("root:x:0:\n{groups}")).unwrap();
        sandbox
    }

    /// A path beneath its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a folder that the programs may write into.
    pub fn folder(&self, name: &str) -> PathBuf {
        let mut path = self.directory.path().to_owned();
        for part in Path::new(name) {
            path.push(part);
            if !path.exists() {
                fs::create_dir(&path).unwrap();
                give_away(&path);
            }
        }
        path
    }

    /// Writes a file that the programs may read.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        give_away(&path);
        path
    }

    /// A file of the packages.
    pub fn packaged(&self, name: &str) -> PathBuf {
        let path = self.packages.join(name);
        assert!(path.exists(), "{} is missing", path.display());
        path
    }

    /// Runs this in the sandbox, with these arguments to come.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let (uid, gid) = owner();
        let own = fs::metadata("/proc/self").unwrap().uid();
        let libraries = LIBRARIES.map(|name| self.packages.join(name).display().to_string());
        let mut command = Command::new("unshare");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", SCRIPT])
            .arg(self.directory.path())
            .arg(program)
            .env("OWNER", uid.to_string())
            .env("GROUP", gid.to_string())
            .env("SELF", own.to_string())
            .env("LIBRARIES", libraries.join(":"))
            .current_dir(self.directory.path());
        command
    }

    /// Starts a server in the sandbox; what it says goes into the file `log`.
    pub fn start(&self, command: &mut Command) -> Running {
        let log = fs::File::create(self.path("log")).unwrap();
        let errors = log.try_clone().unwrap();
        Running(command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().unwrap())
    }

    /// What the started server has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// Who runs the servers and owns the mail: without rights in any case.
pub fn owner() -> (u32, u32) {
    let own = fs::metadata("/proc/self").unwrap();
    if is_root() { (NOBODY, NOBODY) } else { (own.uid(), own.gid()) }
}

/// A started server; ended with the value, and all its processes with it.
pub struct Running(Child);

impl Running {
    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
