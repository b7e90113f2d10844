//! The process that judges a suspect: everything that works on the bytes of a mail is done here
//! once, in the order of its path.
//!
//! Architecture invariant: nothing is decided here. The daemon believes only that the process got to
//! its end, or which signal ended it at which step.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::Arc;

use super::super::judge;
use super::limits;
use super::wire::{self, Known, Said, Step, Task};
use crate::core::config::{Account, Config};
use crate::core::intake::{Heading, Judgement, settle};
use crate::core::ticket::Article;
use crate::{config, faultpoint, store};

/// The stack of the threads on which the daemon judges and settles. Bytes.
const STACK_BYTES: usize = 2 << 20;

/// Writes the HTML of a mail for its page.
pub type Page = fn(&Article, &[u8]);

/// Reads a task from stdin, does it, and says on stdout how far it is. An error is none of the mail.
pub fn run(page: Page) -> io::Result<()> {
    // A panic is caught here as it is in the daemon; what it says could quote the mail.
    set_hook(Box::new(|_| ()));
    let (task, raw) = wire::read(io::stdin().lock())?;
    let Task { files, account, headers_only, now, known } = task;
    let config = config::load_saved(&files).config;
    let config = config.ok_or_else(|| io::Error::other("the files are not valid"))?;
    let account = config.accounts.get(&account).cloned();
    let account = account.ok_or_else(|| io::Error::other("the account is not declared"))?;
    drop(files);
    limits::set(raw.len())?;
    let suspect = Suspect { config, account, raw, headers_only, now, page };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let thread = thread.spawn(move || suspect.walk(known))?;
    match thread.join() {
        Ok(walked) => walked,
        Err(_) => Err(io::Error::other("a step panicked outside its guard")),
    }
}

struct Suspect {
    config: Config,
    account: Arc<Account>,
    raw: Vec<u8>,
    headers_only: bool,
    now: jiff::Timestamp,
    page: Page,
}

impl Suspect {
    /// A step that panics ends the walk of this mail, not the process: the daemon guards it, too.
    fn walk(&self, known: Option<Known>) -> io::Result<()> {
        say(&Said::Ready)?;
        say(&Said::Step(Step::Header))?;
        if let Some(heading) = guarded(|| Heading::decoded(&self.raw)) {
            say(&Said::Heading(heading))?;
        }
        say(&Said::Step(Step::Judge))?;
        let judged = guarded(|| judge(&self.config, &self.account, &self.raw, self.headers_only));
        if let Some(Ok(judgement)) = judged {
            self.go_on(&judgement, known)?;
        }
        say(&Said::Healthy)
    }

    fn go_on(&self, judgement: &Judgement, known: Option<Known>) -> io::Result<()> {
        say(&Said::Step(Step::Settle))?;
        let facts = known.unwrap_or_default().facts();
        guarded(|| {
            faultpoint!("settle", of: judgement.article.subject.as_bytes());
            settle(&self.config, &self.account, judgement, &facts, self.now)
        });
        say(&Said::Step(Step::Index))?;
        guarded(|| store::article_terms(&judgement.article));
        say(&Said::Step(Step::Page))?;
        guarded(|| (self.page)(&judgement.article, &self.raw));
        Ok(())
    }
}

fn guarded<T>(step: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(step)).ok()
}

/// An error: the daemon is gone, and with it the reason to go on.
fn say(said: &Said) -> io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}
