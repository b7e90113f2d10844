//! `postroom reload`: the daemon looks at its files now.

use clap::Args;
use hyper::Method;

use super::client::{ServerArgs, query};
use super::output::Format;
use super::{Exit, Failure, output, wait_for};
use crate::http::dto::config::ReloadView;

/// Options of `reload`.
#[derive(Args)]
#[command(after_help = "Ends with 3 and the problems if the files have errors.\n\n\
                        Example:\n  postroom reload")]
pub struct ReloadArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Let this revision remove more than half of the accounts
    #[arg(long)]
    allow_mass_delete: bool,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

/// Asks and says what came of it.
pub fn run(args: ReloadArgs) -> Result<Exit, Failure> {
    let client = args.server.client()?;
    let lifted = args.allow_mass_delete.then(|| "true".to_owned());
    let path = query("/-/reload", &[("allowMassDelete", lifted)]);
    let view: ReloadView = wait_for(client.send(Method::POST, &path, None))?;
    match args.format {
        Format::Json => output::json(&view),
        Format::Human => output::print(&lines(&view)),
    }
    Ok(Exit::Fine)
}

fn lines(view: &ReloadView) -> String {
    let revision = view.revision.get(..12).unwrap_or(&view.revision);
    let mut text = output::problem_lines(&view.warnings, output::colour());
    text.push_str(&format!("{}: revision {revision} runs\n", view.result));
    for change in &view.changes {
        let line =
            format!("  {:<8} {}.{} {}", change.action, change.kind, change.name, change.effect);
        text.push_str(&format!("{}\n", output::clean(line.trim_end())));
    }
    text
}
