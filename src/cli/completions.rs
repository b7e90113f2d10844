//! `postroom completions`: completions for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Exit, Failure, output};

/// Options of `completions`.
#[derive(Args)]
#[command(after_help = "Example:\n  postroom completions bash > /etc/bash_completion.d/postroom")]
pub struct CompletionsArgs {
    /// Shell
    shell: Shell,
}

/// Prints them.
pub fn run(args: CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "postroom", &mut script);
    output::print_bytes(&script);
    Ok(Exit::Fine)
}
