//! What the machine may run out of: room on the disk, open files, somebody who reads the log, time;
//! and a death in the middle of a mail on the wire.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Desk, Mail, Running, each_has_one_ticket, records, until};
use crate::needed;
use crate::server::{Act, Behaviour, imap, pop3};
use crate::store::disk::Tmpfs;

/// Bytes of each mail that fills the disk.
const LARGE: usize = 200_000;
/// Files the starved program may have open at a time.
const FILES_MAX: usize = 64;

#[test]
fn a_full_disk_pauses_intake_and_nothing_is_lost() {
    let Some(disk) = Tmpfs::mount(96) else { return };
    let desk = Desk::with_maildir();
    std::os::unix::fs::symlink(&disk.0, desk.path("data")).unwrap();
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![1; 84 << 20]).unwrap();
    let running = desk.start(None);
    let address = address(&desk);
    let mails: Vec<Mail> = (0..40).map(|number| Mail::new(number, LARGE)).collect();
    mails.iter().for_each(|mail| desk.deliver(mail));
    until("a full disk", || (desk.said("disk is full") > 0).then_some(()));
    // What was not recorded lies where it lay, and the desk says what is the matter.
    assert!(desk.lying() > 0, "all mails were taken on a full disk");
    until("a condition that says so", || {
        get(address, "/api/v1/status", &desk.path("data"))?.contains("disk is full").then_some(())
    });
    assert!(get(address, "/-/healthy", Path::new("")).is_some());
    fs::remove_file(ballast).unwrap();
    until("an empty mailbox", || (desk.lying() == 0).then_some(()));
    until("all answers", || (desk.answer_count() == mails.len()).then_some(()));
    running.terminate();
    each_has_one_ticket(&desk, &mails);
}

/// While it lives, the disk takes nothing from a process: strace has the system say so.
struct ReadOnly(Child);

impl ReadOnly {
    /// `None` where strace is not installed.
    fn make(process: u32) -> Option<ReadOnly> {
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-o", "/dev/null", "-p", &process.to_string()]);
        command.args(["-e", "trace=pwrite64,fdatasync,fsync"]);
        command.args(["-e", "inject=pwrite64,fdatasync,fsync:error=EROFS"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = needed::found(command.spawn().ok(), "strace is not installed")?;
        let traced = || {
            let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
            let is_traced = |task: fs::DirEntry| {
                let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
                !status.contains("TracerPid:\t0\n")
            };
            tasks.flatten().all(is_traced).then_some(())
        };
        until("strace", traced);
        Some(ReadOnly(child))
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        // Killed, it would leave the process stopped for ever; asked to end, it lets go of it.
        let asked = Command::new("kill").arg(self.0.id().to_string()).status();
        assert!(asked.is_ok_and(|asked| asked.success()));
        let _ = self.0.wait();
    }
}

#[test]
fn a_disk_that_becomes_read_only_pauses_intake_and_nothing_is_lost() {
    let desk = Desk::with_maildir();
    let running = desk.start(None);
    let address = address(&desk);
    let mails: Vec<Mail> = (0..40).map(|number| Mail::new(number, 2_000)).collect();
    desk.deliver(&mails[0]);
    until("a disk that can be written to", || (desk.answer_count() == 1).then_some(()));
    until("an empty mailbox", || (desk.lying() == 0).then_some(()));
    let Some(read_only) = ReadOnly::make(running.0.id()) else { return };
    mails[1..].iter().for_each(|mail| desk.deliver(mail));
    until("a refusal of the disk", || (desk.said("Read-only file system") > 0).then_some(()));
    // Nothing was taken away. Not even opening the database again works there, and the desk says so.
    until("a store that does not answer", || {
        get(address, "/-/healthy", Path::new("")).is_none().then_some(())
    });
    assert_eq!((desk.lying(), desk.answer_count()), (mails.len() - 1, 1));
    assert!(get(address, "/metrics", &desk.path("data")).is_some(), "it is alive");
    drop(read_only);
    until("a store that answers", || get(address, "/-/healthy", Path::new("")));
    until("an empty mailbox", || (desk.lying() == 0).then_some(()));
    until("all answers", || (desk.answer_count() == mails.len()).then_some(()));
    running.terminate();
    each_has_one_ticket(&desk, &mails);
}

#[test]
fn nobody_takes_the_log() {
    let desk = Desk::with_maildir();
    let mut command = Command::new(env!("CARGO_BIN_EXE_postroom"));
    command.args(desk.arguments()).stdin(Stdio::null());
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let running = Running(command.stdout(full()).stderr(full()).spawn().unwrap());
    let mails: Vec<Mail> = (0..20).map(|number| Mail::new(number, 500)).collect();
    mails.iter().for_each(|mail| desk.deliver(mail));
    until("all answers", || (desk.answer_count() == mails.len()).then_some(()));
    until("an empty mailbox", || (desk.lying() == 0).then_some(()));
    running.terminate();
    each_has_one_ticket(&desk, &mails);
}

#[test]
fn too_few_open_files_are_survived() {
    let desk = Desk::with_maildir();
    let log = File::create(desk.path("log")).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {FILES_MAX}; exec \"$0\" \"$@\"")]);
    command.arg(env!("CARGO_BIN_EXE_postroom")).args(desk.arguments());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let running = Running(command.spawn().unwrap());
    let address = address(&desk);
    // More visitors than it can have files open; none of them says anything.
    let idle: Vec<TcpStream> = (0..2 * FILES_MAX).filter_map(|_| dial(address)).collect();
    assert!(idle.len() > FILES_MAX, "the system took {} of them", idle.len());
    let mails: Vec<Mail> = (0..5).map(|number| Mail::new(number, 500)).collect();
    mails.iter().for_each(|mail| desk.deliver(mail));
    let before = busy(running.0.id());
    std::thread::sleep(Duration::from_secs(3));
    let spent = busy(running.0.id()) - before;
    assert!(spent < 1.0, "it computed for {spent} of 3 seconds");
    drop(idle);
    until("an answer", || get(address, "/-/healthy", Path::new("")));
    until("all answers", || (desk.answer_count() == mails.len()).then_some(()));
    until("an empty mailbox", || (desk.lying() == 0).then_some(()));
    running.terminate();
    each_has_one_ticket(&desk, &mails);
}

#[test]
fn stopped_for_a_while_and_woken() {
    let desk = Desk::with_maildir();
    let running = desk.start(None);
    until("it to listen", || (desk.said("listening on ") == 1).then_some(()));
    let mails: Vec<Mail> = (0..200).map(|number| Mail::new(number, 2_000)).collect();
    mails.iter().for_each(|mail| desk.deliver(mail));
    until("work to begin", || (desk.answer_count() > 0).then_some(()));
    running.signal("STOP");
    std::thread::sleep(Duration::from_secs(3));
    let asleep = desk.answer_count();
    running.signal("CONT");
    until("all answers", || (desk.answer_count() == mails.len()).then_some(()));
    until("an empty mailbox", || (desk.lying() == 0).then_some(()));
    running.terminate();
    each_has_one_ticket(&desk, &mails);
    println!("woken with {} of {} answers to give", mails.len() - asleep, mails.len());
}

/// Dies while half of a mail has come, starts again, and takes both mails of the mailbox once.
async fn killed_within_a_mail(kind: &str, proper: Behaviour, command: &'static str, half: String) {
    let stuck = proper.clone().but(command, vec![Act::Say(half), Act::Hang]);
    let server = stuck.start().await;
    let account = format!(
        "  box: {{type: {kind}, host: 127.0.0.1, port: {}, username: u, password: {{secret: mailbox}}, \
         dispatch: {{by: recipient}}, since: all, afterFetch: delete, pollInterval: 1h}}",
        server.port
    );
    let desk = Desk::new(&account);
    let running = desk.start(None);
    until("half of a mail", || server.heard().plain.contains(command).then_some(()));
    assert!(running.kill());
    assert_eq!(records(&desk.store()).len(), 0, "half of a mail is none");
    server.now(proper);
    let running = desk.start(None);
    until("both mails", || (desk.said(" created") >= 2 || desk.said("Created") >= 2).then_some(()));
    running.terminate();
    assert_eq!(records(&desk.store()).len(), 2);
    let deleted = server.heard().plain;
    assert!(deleted.contains("DELE") || deleted.contains("\\Deleted"), "{deleted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_within_a_literal_of_imap() {
    let half =
        format!("* 1 FETCH (UID 11 RFC822.SIZE 18 BODY[] {{{}}}\r\nSubj", imap::MAILS[0].len());
    killed_within_a_mail("imap", imap::proper(), "UID FETCH 11:12", half).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_within_an_answer_of_pop3() {
    killed_within_a_mail("pop3", pop3::proper(), "RETR 1", "+OK\r\nSubj".to_owned()).await;
}

/// Where the program listens, by its log.
fn address(desk: &Desk) -> SocketAddr {
    until("an address", || {
        let log = fs::read_to_string(desk.path("log")).ok()?;
        let (_, rest) = log.split_once("listening on http://")?;
        rest.split_whitespace().next()?.parse().ok()
    })
}

fn dial(address: SocketAddr) -> Option<TcpStream> {
    TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()
}

/// Asks with the token that lies in this directory; `None` while there is no good answer.
fn get(address: SocketAddr, path: &str, data: &Path) -> Option<String> {
    let token = fs::read_to_string(data.join("api-token")).unwrap_or_default();
    let mut stream = dial(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}

/// Seconds for which a process has computed (proc(5): fields 14 and 15, in ticks of 10 ms).
fn busy(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}
