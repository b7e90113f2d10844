//! A mail that was in hand at two ends of the process is a suspect. Whether it ended the process or
//! was only there when something else did (a liveness probe, a machine that was lost) cannot be seen
//! afterwards, so it is judged first in a process of its own, the same program with a command that is
//! not in its help.
//!
//! | the process | the mail |
//! |---|---|
//! | gets to its end | is healthy: it is judged here like any other, however often it was in hand |
//! | aborts, or takes too much memory or processor time | is quarantined |
//! | cannot be started, or is ended from outside | stays in the spool and is tried again |
//!
//! Architecture invariant: only a signal that the mail's own process sends itself, or gets for what
//! it took, speaks against a mail. No mark names a mail while it is here: an end of the daemon
//! meanwhile is not counted.

mod child;
mod limits;
mod wire;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::wire::{Known, Said, Step, Task};
use super::deadline::Deadline;
use crate::core::intake::{Facts, Heading};
use crate::faultpoint;
use crate::run::daemon::{Daemon, Running};
use crate::store::Unjudged;
use crate::threads;

pub use child::{Page, run as run_child};

/// The command of the program that judges a suspect.
pub const COMMAND: &str = "judge-suspect";
/// A mail that was in hand at so many ends of the process is a suspect.
pub const SUSPECT_AFTER: u32 = 2;

/// The program that runs, also if its file was replaced or removed since.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// What the process may say. Bytes.
const SAID_BYTES_MAX: u64 = 256 * 1024;
/// How long the process may take in all. It is far above the processor time that it has: a process
/// that does not get that time is not the mail's doing.
const ENDS_WITHIN: Deadline = Deadline { tick: Duration::from_secs(1), ticks: 120 };
/// Only one such process at a time.
static ONE: Semaphore = Semaphore::const_new(1);

/// A mail to be tried.
#[derive(Clone, Copy)]
pub(super) struct Suspect<'a> {
    /// The account it came through.
    pub account: &'a str,
    /// Its bytes.
    pub raw: &'a [u8],
    /// Whether these are the header only.
    pub headers_only: bool,
}

/// What the process showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It got to its end.
    Healthy,
    /// The mail ended it.
    Deadly(Unjudged),
    /// Nothing.
    Unknown(String),
}

impl Verdict {
    /// Label for metrics.
    fn label(&self) -> &'static str {
        match self {
            Verdict::Healthy => "healthy",
            Verdict::Deadly(_) => "deadly",
            Verdict::Unknown(_) => "unknown",
        }
    }
}

/// Judges a mail in a process of its own; `facts` once the store was asked.
pub(super) async fn attempt(
    daemon: &Daemon,
    running: &Running,
    suspect: Suspect<'_>,
    facts: Option<Facts>,
) -> Verdict {
    let _one = ONE.acquire().await;
    tracing::debug!(account = suspect.account, "judging a suspected mail in a process of its own");
    let verdict = match task(daemon, running, suspect, facts).await {
        Ok(task) => tried(&task, suspect.raw).await,
        Err(why) => Verdict::Unknown(why),
    };
    daemon.metrics.suspect(verdict.label());
    if let Verdict::Unknown(why) = &verdict {
        tracing::warn!(
            account = suspect.account,
            why,
            "a suspected mail could not be judged in a process of its own; it is tried again later"
        );
    }
    verdict
}

/// The task with its length.
async fn task(
    daemon: &Daemon,
    running: &Running,
    suspect: Suspect<'_>,
    facts: Option<Facts>,
) -> Result<Vec<u8>, String> {
    let (store, revision) = (daemon.store.clone(), running.revision.clone());
    let kept = threads::STORE.run(move || store.revision(&revision)).await;
    let kept = kept.map_err(|error| error.to_string())?;
    let files = kept.ok_or("the files that run are not in the store yet")?.files;
    let task = Task {
        files,
        account: suspect.account.to_owned(),
        headers_only: suspect.headers_only,
        now: daemon.clock.now(),
        known: facts.map(Known::of),
    };
    wire::write(&task).map_err(|error| error.to_string())
}

async fn tried(task: &[u8], raw: &[u8]) -> Verdict {
    let mut work = pin!(process(task, raw));
    for _ in 0..ENDS_WITHIN.ticks {
        match timeout(ENDS_WITHIN.tick, work.as_mut()).await {
            Ok(Ok(ended)) => return ended.verdict(raw),
            Ok(Err(error)) => return Verdict::Unknown(format!("no process: {error}")),
            Err(_) => {}
        }
    }
    // Dropping it kills the process.
    Verdict::Unknown(format!("it did not end within {} s", ENDS_WITHIN.ticks))
}

/// How the process ended.
struct Ended {
    status: ExitStatus,
    out: Vec<u8>,
    err: Vec<u8>,
}

async fn process(task: &[u8], raw: &[u8]) -> io::Result<Ended> {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg(COMMAND).env_clear().current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(feature = "faultpoints")]
    if faultpoint::sticks_to_a_mail() {
        let fault = faultpoint::VARIABLE;
        command.env(fault, std::env::var(fault).unwrap_or_default());
    }
    faultpoint!("suspect.start", error)?;
    let mut child = command.spawn()?;
    let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A process that ended early does not read to the end; how it ended says why.
            let _ = stdin.write_all(task).await;
            let _ = stdin.write_all(raw).await;
        }
    };
    let ((), out, err, status) = tokio::join!(feed, bounded(out), bounded(err), child.wait());
    Ok(Ended { status: status?, out, err })
}

async fn bounded(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What was read before an error was said all the same.
        let _ = pipe.take(SAID_BYTES_MAX).read_to_end(&mut bytes).await;
    }
    bytes
}

impl Ended {
    fn verdict(&self, raw: &[u8]) -> Verdict {
        let lines = self.out.split(|byte| *byte == b'\n');
        let said: Vec<Said> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        if self.status.success() && said.last() == Some(&Said::Healthy) {
            return Verdict::Healthy;
        }
        let step = said.iter().rev().find_map(|said| match said {
            Said::Step(step) => Some(*step),
            Said::Ready | Said::Heading(_) | Said::Healthy => None,
        });
        match (self.cause(raw.len()), step) {
            (Some(cause), Some(step)) => {
                let heading = said.into_iter().find_map(|said| match said {
                    Said::Heading(heading) => Some(heading),
                    Said::Ready | Said::Step(_) | Said::Healthy => None,
                });
                // Where reading the header ended it, nothing is decoded here.
                let heading = heading.unwrap_or_else(|| Heading::as_written(raw));
                Verdict::Deadly(Unjudged { reason: reason(&cause, step), heading })
            }
            (Some(_), None) | (None, _) => Verdict::Unknown(format!("it ended: {}", self.status)),
        }
    }

    /// What the mail did, if it was the mail.
    fn cause(&self, mail_bytes: usize) -> Option<String> {
        let stderr = String::from_utf8_lossy(&self.err);
        let memory = limits::memory_bytes_max(mail_bytes) >> 20;
        match self.status.signal()? {
            SIGXCPU => {
                Some(format!("took more than {} s of processor time", limits::PROCESSOR_SECS_MAX))
            }
            SIGABRT if stderr.contains("memory allocation of") => {
                Some(format!("took more than {memory} MiB of memory"))
            }
            SIGABRT | SIGSEGV if stderr.contains("overflowed its stack") => {
                Some("overflowed its stack".to_owned())
            }
            SIGABRT => Some("was aborted".to_owned()),
            signal @ (SIGILL | SIGTRAP | SIGBUS | SIGFPE | SIGSEGV) => {
                Some(format!("was ended by signal {signal}"))
            }
            // SIGKILL above all: the kernel short of memory, or a person.
            _ => None,
        }
    }
}

// Signals that a process gets for what it does itself: signal(7), the same on every Linux but
// SIGBUS on MIPS.
const SIGILL: i32 = 4;
const SIGTRAP: i32 = 5;
const SIGABRT: i32 = 6;
const SIGBUS: i32 = 7;
const SIGFPE: i32 = 8;
const SIGSEGV: i32 = 11;
const SIGXCPU: i32 = 24;

fn reason(cause: &str, step: Step) -> String {
    format!(
        "it ended the process that judges it: a process of its own {cause} while {}",
        step.doing()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] = b"From: ann@customer.example\r\nSubject: =?utf-8?q?h=C3=A9?=\r\n\r\n";
    const READY: &str = "\"Ready\"\n{\"Step\":\"Header\"}\n";
    const SIGTERM: i32 = 15;
    const SIGKILL: i32 = 9;

    fn ended(status: i32, out: &str, err: &str) -> Verdict {
        let (out, err) = (out.as_bytes().to_vec(), err.as_bytes().to_vec());
        Ended { status: ExitStatus::from_raw(status), out, err }.verdict(MAIL)
    }

    #[track_caller]
    fn deadly(status: i32, more: &str, err: &str, cause: &str, subject: &str) {
        let Verdict::Deadly(unjudged) = ended(status, &format!("{READY}{more}"), err) else {
            panic!("not deadly");
        };
        assert!(unjudged.reason.contains(cause), "{}", unjudged.reason);
        assert_eq!(unjudged.heading.from, "ann@customer.example");
        assert_eq!(unjudged.heading.subject, subject);
    }

    #[test]
    fn what_the_mail_did_itself_speaks_against_it() {
        let heading = "{\"Heading\":{\"from\":\"ann@customer.example\",\"subject\":\"h\u{e9}\"}}\n\
                       {\"Step\":\"Judge\"}\n";
        let written = "=?utf-8?q?h=C3=A9?=";
        let memory = "memory allocation of 9 bytes failed";
        deadly(SIGABRT, heading, "", "was aborted while it was parsed", "h\u{e9}");
        deadly(SIGABRT, heading, memory, "more than 192 MiB of memory", "h\u{e9}");
        deadly(SIGXCPU, heading, "", "more than 10 s of processor time", "h\u{e9}");
        deadly(SIGABRT, "", "thread has overflowed its stack", "overflowed its stack", written);
        deadly(SIGSEGV, "", "", "by signal 11 while its header was read", written);
    }

    #[track_caller]
    fn unknown(status: i32, out: &str) {
        let verdict = ended(status, out, "");
        assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
    }

    #[test]
    fn what_comes_from_outside_speaks_against_no_mail() {
        unknown(SIGKILL, READY);
        unknown(SIGTERM, READY);
        // Before the limits are set.
        unknown(SIGABRT, "\"Ready\"\n");
        unknown(SIGABRT, "");
        // Exit codes 1 and 0, without a word of the end.
        unknown(1 << 8, READY);
        unknown(0, READY);
        unknown(SIGKILL, &format!("{READY}\"Healthy\"\n"));
    }

    #[test]
    fn whoever_gets_to_the_end_is_healthy() {
        assert_eq!(ended(0, &format!("{READY}\"Healthy\"\n"), ""), Verdict::Healthy);
    }
}
