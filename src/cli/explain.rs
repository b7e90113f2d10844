//! `postroom explain`: what would become of a mail, by the files alone.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use super::output::{Format, clean};
use super::{Exit, Failure, FilesArgs, output};
use crate::http::explain::{Explanation, explain};

/// Largest mail that is explained.
const MAIL_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Options of `explain`.
#[derive(Args)]
#[command(
    after_help = "The tickets there are do not count: a follow-up is explained as a new ticket.\n\n\
                        Example:\n  postroom explain mail.eml --account support -c config/"
)]
pub struct ExplainArgs {
    /// The mail; `-` reads the standard input
    #[arg(value_name = "MAIL.eml")]
    mail: PathBuf,
    /// Mail account it is taken to come through
    #[arg(long, value_name = "NAME")]
    account: String,
    #[command(flatten)]
    files: FilesArgs,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

/// Explains.
pub fn run(args: ExplainArgs) -> Result<Exit, Failure> {
    let config = match args.files.load_valid() {
        Ok(config) => config,
        Err(exit) => return Ok(exit),
    };
    let raw = read(&args.mail)?;
    let explanation = explain(&config, &args.account, &raw, Timestamp::now())
        .map_err(|error| Failure::new(format!("there is no {error}")).exit(Exit::Usage))?;
    match args.format {
        Format::Json => output::json(&explanation),
        Format::Human => output::print(&lines(&explanation)),
    }
    Ok(Exit::Fine)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("could not read mail {}: {error}", path.display()))
    };
    let mut raw = Vec::new();
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(failed)?)
    };
    source.take(MAIL_BYTES_MAX).read_to_end(&mut raw).map_err(failed)?;
    Ok(raw)
}

fn lines(it: &Explanation) -> String {
    let mut text = format!("{}\n", output::paint(&it.outcome, "1", output::colour()));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("  {name:<12} {}\n", clean(value)));
        }
    };
    line("reason", it.reason.as_deref().unwrap_or_default());
    line("from", &it.from);
    line("subject", &it.subject);
    line("queue", it.queue.as_deref().unwrap_or_default());
    line("state", it.state.as_deref().unwrap_or_default());
    line("priority", it.priority.as_deref().unwrap_or_default());
    line("owner", it.owner.as_deref().unwrap_or_default());
    line("filters", &it.filters.join(", "));
    line("auto-reply", it.auto_reply.as_deref().unwrap_or_default());
    line("notified", &it.notified.join(", "));
    line("ticket tag", it.subject_tag.as_deref().unwrap_or_default());
    line("no answer", it.suppressed.as_deref().unwrap_or_default());
    line("oddities", &it.oddities.join(", "));
    for owed in &it.owed {
        line("owes", &format!("{} to {}", owed.kind, owed.to));
    }
    text.push_str("why\n");
    for step in &it.why {
        text.push_str(&format!("  {:<12} {}\n", clean(&step.step), clean(&step.text)));
    }
    text
}
