//! `postroom judge-suspect`: not for people. The daemon runs it to judge a mail that may end the
//! process, in a process that may end.

use super::{Exit, Failure};
use crate::http::mail_page;
use crate::run::intake::suspect;

/// Does what stands on stdin.
pub fn run() -> Result<Exit, Failure> {
    let done = suspect::run_child(mail_page);
    done.map_err(|error| Failure::new(format!("could not judge the mail: {error}")))?;
    Ok(Exit::Fine)
}
