//! `postroom diff`: what changes between two sets of files.

use std::path::PathBuf;

use clap::Args;

use super::against::{self, Against};
use super::client::ServerArgs;
use super::report::Form;
use super::{Exit, Failure, plan};

/// Options of `diff`.
#[derive(Args)]
#[command(after_help = "Ends with 0 if nothing changes and with 2 if something does.\n\n\
                        Examples:\n  postroom diff before/ config/\n  \
                        postroom diff git:main config/\n  \
                        postroom diff git:v1:config/ git:v2:config/ --format markdown")]
pub struct DiffArgs {
    /// As it was
    #[arg(value_name = "A", long_help = against::HELP)]
    before: Against,
    /// As it is to be
    #[arg(value_name = "B", long_help = against::HELP)]
    after: Against,
    #[command(flatten)]
    server: ServerArgs,
    /// How to write the changes
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Form,
}

/// Says what changes.
pub fn run(args: DiffArgs) -> Result<Exit, Failure> {
    // `git:REV` alone means the path of the other side.
    let paths: Vec<PathBuf> = [&args.before, &args.after].into_iter().filter_map(path_of).collect();
    let after = args.after.read(&paths, &args.server)?;
    let desired = after.load(&[])?;
    let files = desired.as_ref().map(|loaded| loaded.files.clone()).unwrap_or_default();
    let before = args.before.read(&paths, &args.server)?;
    let running = before.load(&files)?;
    let config = |loaded: Option<crate::config::Loaded>| loaded.and_then(|it| it.config);
    let (running, desired) = (config(running), config(desired));
    Ok(plan::show(
        &running.unwrap_or_default(),
        &desired.unwrap_or_default(),
        before.from,
        args.format,
    ))
}

fn path_of(against: &Against) -> Option<PathBuf> {
    match against {
        Against::Path(path) | Against::Git(_, Some(path)) => Some(path.clone()),
        Against::Git(_, None) | Against::Daemon(_) | Against::Revision(_) => None,
    }
}
