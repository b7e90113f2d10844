//! Hands mails to the local `sendmail` command.
//!
//! Architecture invariant: nothing from a mail is taken for an option (`--` stands before the
//! recipient, and there is no shell), the command sees none of our environment, where secrets may
//! be, and only what the operator allows is run.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::programs::{Forbidden, Programs};
use super::{clean, down};
use crate::core::outgoing::{Attempt, Outgoing};

/// How long the command may take for one mail, in seconds. It only queues.
const RUN_SECS_MAX: u64 = 120;

/// Where the command finds programs of its own.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The command.
pub struct Program {
    /// As it is written in the configuration.
    command: PathBuf,
    programs: Programs,
}

impl Program {
    /// Refuses a program that is not allowed. Nothing is run before the first mail.
    pub fn open(command: &Path, programs: &Programs) -> Result<Program, Attempt> {
        let program = Program { command: command.to_owned(), programs: programs.clone() };
        match program.permitted() {
            Err(forbidden @ Attempt::ServerDown { cause: "forbidden", .. }) => Err(forbidden),
            // A program that is not there is told when a mail is at hand.
            Ok(_) | Err(_) => Ok(program),
        }
    }

    /// The path to run. Asked for each mail: a link may have been replaced.
    fn permitted(&self) -> Result<PathBuf, Attempt> {
        self.programs.permitted(&self.command).map_err(|error| match error {
            Forbidden::Io(error) => {
                down("connect", format!("could not run {}: {error}", self.command.display()))
            }
            Forbidden::NotAllowed(_) | Forbidden::Replaced(_) => {
                down("forbidden", format!("{} {error}", self.command.display()))
            }
        })
    }

    /// Runs the command for one mail.
    pub async fn run(&self, mail: &Outgoing) -> Attempt {
        let permitted = match self.permitted() {
            Ok(permitted) => permitted,
            Err(refused) => return refused,
        };
        match timeout(Duration::from_secs(RUN_SECS_MAX), self.hand_over(&permitted, mail)).await {
            Ok(Ok(output)) => judge(output.status.code(), &output.stderr),
            Ok(Err(error)) => {
                down("connect", format!("could not run {}: {error}", self.command.display()))
            }
            Err(_) => {
                down("timeout", format!("{} took over {RUN_SECS_MAX} s", self.command.display()))
            }
        }
    }

    async fn hand_over(&self, permitted: &Path, mail: &Outgoing) -> io::Result<Output> {
        let mut child = Command::new(permitted)
            // Programs that stand in for several look at the name by which they are called.
            .arg0(&self.command)
            .arg("-i") // A line with a single dot does not end the mail.
            .arg("-f")
            .arg(mail.envelope_from.as_ref().map_or("<>", |address| address.as_str()))
            .arg("--")
            .arg(mail.recipient.as_str())
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = child.stdin.take().expect("stdin was asked for");
        let mail = local_line_ends(&mail.raw);
        // A command that does not read to the end says why by its exit code, so the write error
        // is only worth something if there is none. Both run at once: a command that writes much
        // before it reads would otherwise wait for us as we for it.
        let feed = async move {
            let _ = stdin.write_all(&mail).await;
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        output
    }
}

/// Local programs expect the local line end; CRLF would be doubled by some.
fn local_line_ends(raw: &[u8]) -> Vec<u8> {
    let mut local = Vec::with_capacity(raw.len());
    for (at, byte) in raw.iter().enumerate() {
        if !(*byte == b'\r' && raw.get(at + 1) == Some(&b'\n')) {
            local.push(*byte);
        }
    }
    local
}

/// Exit codes are those of `sysexits.h`.
fn judge(code: Option<i32>, stderr: &[u8]) -> Attempt {
    let said = String::from_utf8_lossy(&stderr[..stderr.len().min(4096)]);
    let words = |code: i32| clean(&format!("sendmail ended with {code}: {said}"));
    match code {
        Some(0) => Attempt::Sent,
        // Data, input, user, host: it is this mail.
        Some(code @ 65..=68) => Attempt::Permanent(words(code)),
        // Usage, unavailable, software, system, files, permission, configuration: it is the program.
        Some(code @ (64 | 69..=74 | 77 | 78)) => down("protocol", words(code)),
        // "Try again later", and whatever else.
        Some(code) => Attempt::Temporary(words(code)),
        None => Attempt::Temporary(clean(&format!("sendmail was killed: {said}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: Option<i32>, expected: &str) {
        let attempt = judge(code, b"words\n");
        let shown = match &attempt {
            Attempt::Sent => "sent".to_owned(),
            Attempt::Temporary(words) => format!("temporary {words}"),
            Attempt::Permanent(words) => format!("permanent {words}"),
            Attempt::InDoubt { message, .. } => format!("in doubt {message}"),
            Attempt::ServerDown { message, .. } => format!("down {message}"),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn exit_codes() {
        check(Some(0), "sent");
        check(Some(75), "temporary sendmail ended with 75: words");
        check(Some(67), "permanent sendmail ended with 67: words");
        check(Some(65), "permanent sendmail ended with 65: words");
        check(Some(78), "down sendmail ended with 78: words");
        check(Some(1), "temporary sendmail ended with 1: words");
        check(None, "temporary sendmail was killed: words");
    }

    #[test]
    fn line_ends_are_local() {
        assert_eq!(local_line_ends(b"a\r\n\r\nb\rc\n"), b"a\n\nb\rc\n");
    }
}
