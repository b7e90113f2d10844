//! `postroom run`: the daemon.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::log::{self, LogArgs};
use super::{
    DEFAULT_ADDRESS, DEFAULT_DATA, DataArgs, Exit, Failure, FilesArgs, ProgramsArgs, output,
};
use crate::app::{self, OnInvalid, Options, StartError};
use crate::http::proxy::Network;
use crate::run::clock::Clock;
use crate::store::StoreError;
use crate::threads;

/// Options of `run`.
#[derive(Args)]
#[command(after_help = "Example:\n  postroom run -c config/ --data /var/lib/postroom")]
pub struct RunArgs {
    #[command(flatten)]
    files: FilesArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Where HTTP listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", env = "POSTROOM_LISTEN", default_value = DEFAULT_ADDRESS)]
    listen: SocketAddr,
    /// Base of links in mails, if people reach the daemon under another name
    #[arg(long, value_name = "URL", env = "POSTROOM_EXTERNAL_URL")]
    external_url: Option<String>,
    /// Addresses or networks of proxies whose X-Forwarded-For and Forwarded are believed
    #[arg(long, value_name = "CIDR", env = "POSTROOM_TRUSTED_PROXIES", value_delimiter = ',')]
    trusted_proxies: Vec<Network>,
    /// What to do if the files are invalid at start
    #[arg(long, value_name = "WHAT", env = "POSTROOM_ON_INVALID", default_value = "last-good")]
    on_invalid: WhenInvalid,
    /// Let a revision remove more than half of the accounts
    #[arg(long)]
    allow_mass_delete: bool,
    #[command(flatten)]
    programs: ProgramsArgs,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WhenInvalid {
    /// Run the last good revision, if there is one.
    LastGood,
    /// End with exit code 78.
    Exit,
}

/// How long the end waits for threads that are still at work when all else has ended.
const THREADS_END_WITHIN: Duration = Duration::from_secs(1);

/// Runs until a signal says stop.
pub fn run(args: RunArgs) -> Result<Exit, Failure> {
    log::begin(&args.log)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().max_blocking_threads(threads::THREADS_MAX).build();
    let runtime = runtime.map_err(|error| Failure::new(format!("could not start: {error}")))?;
    let ended = runtime.block_on(serve(options(args)));
    // What is still on a thread now waits for a file server, or for ever: nothing that counts.
    runtime.shutdown_timeout(THREADS_END_WITHIN);
    ended
}

async fn serve(options: Options) -> Result<Exit, Failure> {
    let data = options.data.display().to_string();
    let mut app = match app::start(options).await {
        Ok(app) => app,
        Err(StartError::Invalid(problems)) => {
            output::problems(&problems);
            let message = format!("could not start: {}", output::count(&problems));
            let hint = "mend them and start again; `postroom check` shows the same";
            return Err(Failure::new(message).hint(hint).exit(Exit::InvalidAtStart));
        }
        Err(error) => {
            let failure = Failure::new(error.to_string()).hint(advice(&error));
            let in_use = matches!(error, StartError::Store(StoreError::InUse(_)));
            return Err(if in_use { failure.exit(Exit::InUse) } else { failure });
        }
    };
    welcome(app.addr(), &data);
    app.until_signal().await;
    tracing::info!("stopping");
    app.stop().await;
    Ok(Exit::Fine)
}

/// Where it listens, and where to look next.
fn welcome(address: SocketAddr, data: &str) {
    tracing::info!(
        target: "postroom::start",
        %address, data,
        "listening on http://{address} (page, metrics, health, API); store in {data}"
    );
    // The commands take these values by themselves.
    let by_default = address == DEFAULT_ADDRESS.parse().expect("it is an address");
    let url = if by_default { String::new() } else { format!(" --url http://{address}") };
    let store = if data == DEFAULT_DATA { String::new() } else { format!(" --data {data}") };
    tracing::info!(
        target: "postroom::start",
        "look with: postroom status{url}{store} (also: tickets ls, mails ls, outbox ls)"
    );
}

/// What to do about a failed start.
fn advice(error: &StartError) -> &'static str {
    match error {
        StartError::Store(StoreError::InUse(_)) => {
            "another daemon runs on this store; for a second desk choose another with --data"
        }
        StartError::Store(StoreError::Newer { .. }) => "run the newer version, or another store",
        StartError::Listen { .. } => {
            "choose another address with --listen; port 0 takes a free one"
        }
        StartError::Store(StoreError::Directory(_)) => {
            "--data names a directory to which the user that runs Postroom may write; it is made \
             if it is not there"
        }
        StartError::Store(StoreError::DiskFull(_)) => {
            "make room, or choose another disk with --data"
        }
        StartError::Store(_) | StartError::Invalid(_) | StartError::Failed(_) => "",
    }
}

fn options(args: RunArgs) -> Options {
    Options {
        config: args.files.config,
        data: args.data.data,
        listen: args.listen,
        secrets_dir: args.files.secrets_dir,
        external_url: args.external_url,
        allow_sendmail: args.programs.allow_sendmail,
        trusted_proxies: args.trusted_proxies,
        clock: Clock::real(),
        on_invalid: match args.on_invalid {
            WhenInvalid::LastGood => OnInvalid::LastGood,
            WhenInvalid::Exit => OnInvalid::Exit,
        },
        allow_mass_delete: args.allow_mass_delete,
    }
}
