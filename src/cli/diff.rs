//! `postroom diff`: what changes between two sets of files.

use std::path::PathBuf;

use clap::Args;

use super::output::Format;
use super::{Exit, Failure, output, plan};
use crate::config;
use crate::core::config::Config;
use crate::core::plan::changes;
use crate::http::dto::config::ChangeView;

/// Options of `diff`.
#[derive(Args)]
#[command(after_help = "Ends with 0 if nothing changes and with 2 if something does.\n\n\
                        Example:\n  git worktree add /tmp/before main\n  \
                        postroom diff /tmp/before/config config/")]
pub struct DiffArgs {
    /// File or directory as it was
    #[arg(value_name = "A")]
    before: PathBuf,
    /// File or directory as it is to be
    #[arg(value_name = "B")]
    after: PathBuf,
    /// How to write the changes
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

/// Says what changes.
pub fn run(args: DiffArgs) -> Result<Exit, Failure> {
    let before = config::load(std::slice::from_ref(&args.before));
    let after = config::load(std::slice::from_ref(&args.after));
    // Paths in the files are relative to them: the same files elsewhere say the same.
    let before = plan::beneath_the_same_folder(&before.files, &after.files)
        .filter(|_| before.config.is_some())
        .map_or(before, |files| config::load_saved(&files));
    let both: Option<(Config, Config)> = before.config.zip(after.config);
    let Some((before, after)) = both else {
        output::problems(&[before.problems, after.problems].concat());
        return Ok(Exit::Problems);
    };
    let views: Vec<ChangeView> = changes(&before, &after).iter().map(ChangeView::from).collect();
    match args.format {
        Format::Json => output::json(&views),
        Format::Human => {
            output::print(&plan::lines(&views, &args.before.display().to_string()));
        }
    }
    Ok(if views.is_empty() { Exit::Fine } else { Exit::Changes })
}
