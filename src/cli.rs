//! The commands, one file each; all they have in common is here.
//!
//! Architecture invariant: a command decides nothing about mails or tickets. It reads files, asks
//! the daemon over HTTP, or starts it, and ends with one of the codes of [`Exit`].

mod against;
mod audience;
mod check;
mod client;
mod completions;
mod diff;
mod explain;
mod git;
mod graph;
mod import;
mod judge_suspect;
mod log;
mod mails;

mod oauth;
mod outbox;
mod output;
mod page;
mod password;
mod plan;
mod probe;
mod quarantine;
mod redact;
mod reload;
mod replay;
mod report;
mod run;
mod schema;
mod status;
mod store;
mod test;
mod tickets;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::Loaded;
use crate::core::config::Config;
use crate::run::intake::suspect;
use crate::secret::Secrets;
use crate::transport::programs::Programs;

/// Where HTTP listens unless told otherwise.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8025";
/// Directory of the store unless told otherwise.
const DEFAULT_DATA: &str = "./postroom-data";

/// A mail-to-ticket desk configured by nothing but YAML.
#[derive(Parser)]
#[command(
    name = "postroom",
    version,
    about,
    arg_required_else_help = true,
    after_help = "Examples:\n  postroom check -c config/\n  postroom run -c config/\n  \
                  postroom mails ls\n\nEvery command shows an example of its own with --help."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon
    Run(run::RunArgs),
    /// Say everything that is wrong with the files
    Check(check::CheckArgs),
    /// Say what the files would change
    Plan(plan::PlanArgs),
    /// Say what changes between two sets of files
    Diff(diff::DiffArgs),
    /// Run the tests that the files declare
    Test(test::TestArgs),
    /// Say what would become of a mail
    Explain(explain::ExplainArgs),
    /// Say which stored mails would fare differently
    Replay(replay::ReplayArgs),
    /// Draw the way of mail through the desk
    Graph(graph::GraphArgs),
    /// Turn the mail set-up of another desk into YAML
    Import(import::ImportArgs),
    /// Print the JSON Schema of the files
    Schema(schema::SchemaArgs),
    /// Say how the daemon, its accounts and its SMTP servers are
    Status(status::StatusArgs),
    /// Make the daemon look at its files now
    Reload(reload::ReloadArgs),
    /// Try an account or an SMTP server step by step
    Probe(probe::ProbeArgs),
    /// Sign in with OAuth2, and say who is signed in
    Oauth(oauth::OauthArgs),
    /// List and show tickets
    Tickets(tickets::TicketsArgs),
    /// Say what became of each mail and why
    Mails(mails::MailsArgs),
    /// Say who is told of an event, who is not, and why
    Notify(audience::NotifyArgs),
    /// List, retry and drop mail we owe
    Outbox(outbox::OutboxArgs),
    /// List, show, release and drop mails kept for a person to look at
    Quarantine(quarantine::QuarantineArgs),
    /// Make the hash of a password for the page
    Password(password::PasswordArgs),
    /// Copy, verify and shrink the store
    Store(store::StoreArgs),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
    /// Judge a mail on behalf of the daemon, in a process of its own
    #[command(name = suspect::COMMAND, hide = true)]
    JudgeSuspect,
}

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Fine, or nothing to change.
    Fine = 0,
    /// It failed.
    Failed = 1,
    /// There are changes (`plan`, `diff`).
    Changes = 2,
    /// There are problems (`check`).
    Problems = 3,
    /// A configuration test failed.
    TestFailed = 4,
    /// Wrong usage.
    Usage = 64,
    /// The daemon cannot be reached.
    Unreachable = 69,
    /// Another daemon has the store open (`run`): trying again later may help.
    InUse = 75,
    /// The configuration is invalid at start.
    InvalidAtStart = 78,
}

/// Why a command did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How it ends.
    pub exit: Exit,
    /// What went wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

/// Where configuration and secrets are.
#[derive(Args)]
pub struct FilesArgs {
    /// Configuration file, or directory read recursively for *.yaml and *.yml; may be repeated
    #[arg(short, long = "config", value_name = "PATH", env = "POSTROOM_CONFIG", required = true)]
    pub config: Vec<PathBuf>,
    /// Directory in which `{secret: NAME}` is looked for
    #[arg(long, value_name = "DIR", env = "POSTROOM_SECRETS_DIR")]
    pub secrets_dir: Option<PathBuf>,
}

/// Which programs may run.
#[derive(Args)]
pub struct ProgramsArgs {
    /// Program that `type: sendmail` may run; may be repeated. Without it none runs, and its mail
    /// waits in the outbox
    #[arg(
        long = "allow-sendmail",
        value_name = "PATH",
        env = "POSTROOM_ALLOW_SENDMAIL",
        value_delimiter = ','
    )]
    pub allow_sendmail: Vec<PathBuf>,
}

impl ProgramsArgs {
    /// The programs, as they are found now.
    pub fn permitted(&self) -> Programs {
        Programs::allow(&self.allow_sendmail)
    }
}

/// Where the store is.
#[derive(Args)]
pub struct DataArgs {
    /// Directory of the store
    #[arg(long, value_name = "DIR", env = "POSTROOM_DATA", default_value = DEFAULT_DATA)]
    pub data: PathBuf,
}

/// Runs the command line and says how it ended.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Fine };
            let _ = error.print();
            return exit.into();
        }
    };
    match carry_out(cli.command) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::failure(&failure);
            failure.exit.into()
        }
    }
}

fn carry_out(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Test(args) => test::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Graph(args) => graph::run(args),
        Command::Import(args) => import::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Status(args) => status::run(args),
        Command::Reload(args) => reload::run(args),
        Command::Probe(args) => probe::run(args),
        Command::Oauth(args) => oauth::run(args),
        Command::Tickets(args) => tickets::run(args),
        Command::Mails(args) => mails::run(args),
        Command::Notify(args) => audience::run(args),
        Command::Outbox(args) => outbox::run(args),
        Command::Quarantine(args) => quarantine::run(args),
        Command::Password(args) => password::run(args),
        Command::Store(args) => store::run(args),
        Command::Completions(args) => completions::run(args),
        Command::JudgeSuspect => judge_suspect::run(),
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl Failure {
    /// It failed for this reason.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Failed, message: message.into(), hint: String::new() }
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = hint.into();
        self
    }

    /// Ends differently.
    pub fn exit(mut self, exit: Exit) -> Failure {
        self.exit = exit;
        self
    }
}

impl FilesArgs {
    /// Reads and judges the files.
    fn load(&self) -> Loaded {
        crate::config::load(&self.config)
    }

    /// Reads the files; with errors in them, says all and ends with [`Exit::Problems`].
    fn load_valid(&self) -> Result<Config, Exit> {
        let loaded = self.load();
        loaded.config.ok_or_else(|| {
            output::problems(&loaded.problems);
            Exit::Problems
        })
    }

    fn secrets(&self) -> Secrets {
        Secrets { directory: self.secrets_dir.clone() }
    }
}

/// Waits for something on one thread: enough for a command that asks one question.
fn wait_for<T>(work: impl std::future::Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(format!("could not start: {error}")))?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_makes_sense() {
        Cli::command().debug_assert();
    }

    /// Every command, with the commands beneath it.
    fn all(command: &clap::Command) -> Vec<clap::Command> {
        let below = command.get_subcommands().filter(|below| !below.is_hide_set());
        below.flat_map(|below| std::iter::once(below.clone()).chain(all(below))).collect()
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in all(&Cli::command()) {
            let shown = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let leads_on = command.has_subcommands();
            assert!(leads_on || shown.contains("postroom "), "{}", command.get_name());
        }
    }
}
