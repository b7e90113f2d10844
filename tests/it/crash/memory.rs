//! Memory with a limit, which the kernel enforces: the usual mails, with the largest that are taken
//! and one that is too large, stay within what the chart asks for; and a death by the kernel is one
//! like any other. The kernel lends what is written to a disk, but not to a file system in memory.

use std::fs::{self, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use postroom::core::mail::Digest;

use super::{Desk, Mail, Running, each_has_one_ticket, until};

/// Memory that the desk has by default.
const LIMIT_BYTES: u64 = 256 << 20;
/// A mail that is nearly as large as may be.
const LARGE: usize = 31 << 20;
/// A mail that is too large.
const OVERSIZE: usize = 100_000_000;
/// A debug build on a busy machine takes its time for a hundred megabytes.
const LARGE_PATIENCE: Duration = Duration::from_secs(240);

/// A group of processes whose memory the kernel counts; removed at the end.
struct Cgroup {
    path: PathBuf,
    names: &'static Names,
}

/// What the files of a group are called.
struct Names {
    root: &'static str,
    limit: &'static str,
    /// Where `0` keeps it out of the swap.
    swap: &'static str,
    /// Where the line `oom_kill` counts.
    kills: &'static str,
}

/// The first version and the second, where they usually are.
const VERSIONS: [Names; 3] = [
    Names {
        root: "/sys/fs/cgroup/memory",
        limit: "memory.limit_in_bytes",
        swap: "memory.swappiness",
        kills: "memory.oom_control",
    },
    second("/sys/fs/cgroup"),
    second("/sys/fs/cgroup/unified"),
];

const fn second(root: &'static str) -> Names {
    Names { root, limit: "memory.max", swap: "memory.swap.max", kills: "memory.events" }
}

impl Cgroup {
    /// Makes one; `None`, with a line, where that is not allowed.
    fn make() -> Option<Cgroup> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("postroom-test-{}-{number}", std::process::id());
        for names in &VERSIONS {
            let path = Path::new(names.root).join(&name);
            if fs::create_dir(&path).is_err() {
                continue;
            }
            let group = Cgroup { path, names };
            if group.path.join(names.limit).exists() && group.path.join(names.kills).exists() {
                let _ = fs::write(group.path.join(names.swap), "0");
                return Some(group);
            }
        }
        println!("skipped: no group with a limit of memory can be made here");
        None
    }

    /// Whether the kernel could do with so little.
    fn limit(&self, bytes: u64) -> bool {
        fs::write(self.path.join(self.names.limit), bytes.to_string()).is_ok()
    }

    /// How many processes of it the kernel has killed.
    fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.path.join(self.names.kills)).unwrap();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.expect("the kernel counts").trim().parse().unwrap()
    }

    /// Starts the program in it.
    fn start(&self, desk: &Desk) -> Running {
        let log = OpenOptions::new().create(true).append(true).open(desk.path("log")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.path.join("cgroup.procs"));
        command.arg(env!("CARGO_BIN_EXE_postroom")).args(desk.arguments());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Running(command.spawn().unwrap())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// A desk whose store is on a disk, wherever temporary files are: what is written to a file system in
/// memory counts, and cannot be taken back.
fn desk_on_disk() -> (Desk, tempfile::TempDir) {
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let desk = Desk::with_maildir();
    std::os::unix::fs::symlink(disk.path(), desk.path("data")).unwrap();
    (desk, disk)
}

/// What is kept of a mail that is too large: its header.
fn header_of(mail: Mail) -> Mail {
    let end = mail.raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let raw = mail.raw[..end].to_vec();
    Mail { digest: Digest::of(&raw), raw, ..mail }
}

/// The most memory that a process had; what the kernel lends for files is not counted.
fn peak(process: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap().trim().to_owned()
}

/// Waits until all is answered and this many mails are left in the mailbox. It lives as long.
#[track_caller]
fn until_answered(desk: &Desk, running: &mut Running, answers: usize, left: usize) {
    let began = Instant::now();
    while desk.answer_count() < answers || desk.lying() > left {
        assert_eq!(running.0.try_wait().unwrap(), None, "it died");
        assert!(began.elapsed() < LARGE_PATIENCE, "{} answers", desk.answer_count());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_largest_mails_fit_into_the_memory_of_the_chart() {
    let Some(group) = Cgroup::make() else { return };
    assert!(group.limit(LIMIT_BYTES));
    let (desk, _disk) = desk_on_disk();
    let bytes = |number: usize| match number {
        50 => OVERSIZE,
        100 | 101 | 200 | 201 => LARGE,
        _ => 2_000,
    };
    let mut mails: Vec<Mail> = (0..300).map(|number| Mail::new(number, bytes(number))).collect();
    mails.iter().for_each(|mail| desk.deliver(mail));
    let mut running = group.start(&desk);
    until_answered(&desk, &mut running, mails.len(), 1);
    println!("of its own it had at most {}", peak(running.0.id()));
    running.terminate();
    assert_eq!(group.kills(), 0);
    // It stays where it is, and nothing else does.
    let mails: Vec<Mail> = mails
        .drain(..)
        .map(|mail| if mail.number == 50 { header_of(mail) } else { mail })
        .collect();
    each_has_one_ticket(&desk, &mails);
}

#[test]
fn killed_by_the_kernel_as_by_anybody() {
    let Some(group) = Cgroup::make() else { return };
    let (desk, _disk) = desk_on_disk();
    let bytes = |number: usize| if matches!(number, 40 | 140) { LARGE } else { 2_000 };
    let mails: Vec<Mail> = (0..200).map(|number| Mail::new(number, bytes(number))).collect();
    let mut running = group.start(&desk);
    mails[..20].iter().for_each(|mail| desk.deliver(mail));
    until("the first answers", || (desk.answer_count() == 20).then_some(()));
    // What the kernel cannot take away, and room for small mails.
    let least = (8_u64..256).find(|megabytes| group.limit(megabytes << 20));
    let least = least.expect("it needs less than it has by default") + 16;
    assert!(group.limit(least << 20));
    mails[20..].iter().for_each(|mail| desk.deliver(mail));
    let status = until("its death", || running.0.try_wait().unwrap());
    assert_eq!(status.signal(), Some(9), "{status}");
    assert!(group.kills() > 0);
    println!("killed at {least} MiB with {} answers given", desk.answer_count());
    assert!(desk.lying() > 0, "it died when all was done");

    let mut running = desk.start(None);
    until_answered(&desk, &mut running, mails.len(), 0);
    running.terminate();
    each_has_one_ticket(&desk, &mails);
}
