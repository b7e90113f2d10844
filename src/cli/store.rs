//! `postroom store`: copies, verifies and shrinks the store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::json;

use super::client::ServerArgs;
use super::{DataArgs, Exit, Failure, output, wait_for};
use crate::http::BACKUP_TIMEOUT_SECS;
use crate::http::dto::status::DoneView;
use crate::store::{Store, StoreError};

/// Options of `store`.
#[derive(Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Copy the store into an empty directory, also while the daemon uses it
    #[command(after_help = "Example:\n  postroom store backup /backup/postroom-2026-11-22")]
    Backup {
        /// Empty directory; made if absent. With --url, on the machine of the daemon
        to: PathBuf,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Read everything and say what does not hold together; no daemon may use it
    #[command(after_help = "Example:\n  postroom store verify --data /backup/postroom-2026-11-22")]
    Verify {
        #[command(flatten)]
        data: DataArgs,
    },
    /// Give unused space back to the system; no daemon may use it
    #[command(after_help = "Example:\n  postroom store compact --data /var/lib/postroom")]
    Compact {
        #[command(flatten)]
        data: DataArgs,
    },
}

/// Copies, verifies or shrinks.
pub fn run(args: StoreArgs) -> Result<Exit, Failure> {
    match args.command {
        StoreCommand::Backup { to, server } => backup(&to, &server),
        StoreCommand::Verify { data } => verify(&data.data),
        StoreCommand::Compact { data } => compact(&data.data),
    }
}

/// By the daemon if one answers, else directly.
fn backup(to: &Path, server: &ServerArgs) -> Result<Exit, Failure> {
    let failed = |error: String| Failure::new(format!("could not copy the store: {error}"));
    let to = std::path::absolute(to).map_err(|error| failed(error.to_string()))?;
    let path = to.to_str().ok_or_else(|| failed("the path is not text".into()))?;
    let client = server.client()?.patient(Duration::from_secs(BACKUP_TIMEOUT_SECS));
    let body = json!({ "to": path });
    let asked = client.send::<DoneView>(Method::POST, "/api/v1/store/backup", Some(&body));
    let done = match wait_for(asked) {
        Ok(view) => view.done,
        Err(failure) if failure.exit == Exit::Unreachable => {
            let store = open(&server.data.data)?;
            wait_for(async { store.backup(&to).await.map_err(|error| failed(error.to_string())) })?;
            format!("copied the store to {path}")
        }
        Err(failure) => return Err(failure),
    };
    output::print(&format!("{}\n", output::clean(&done)));
    Ok(Exit::Fine)
}

fn verify(data: &Path) -> Result<Exit, Failure> {
    let faults = open(data)?
        .verify()
        .map_err(|error| Failure::new(format!("could not verify the store: {error}")))?;
    for fault in &faults {
        output::print(&format!("{}\n", output::clean(fault)));
    }
    if faults.is_empty() {
        output::print("everything holds together\n");
        Ok(Exit::Fine)
    } else {
        Ok(Exit::Failed)
    }
}

fn compact(data: &Path) -> Result<Exit, Failure> {
    must_exist(data)?;
    let (before, after) = Store::compact(data).map_err(unusable)?;
    output::print(&format!("{before} bytes before, {after} bytes now\n"));
    Ok(Exit::Fine)
}

fn open(data: &Path) -> Result<Store, Failure> {
    must_exist(data)?;
    Store::open(data).map_err(unusable)
}

/// Opening would make a store where none is.
fn must_exist(data: &Path) -> Result<(), Failure> {
    if Store::exists(data) {
        return Ok(());
    }
    let message = format!("there is no store in {}", data.display());
    Err(Failure::new(message).hint("say with --data where it is"))
}

fn unusable(error: StoreError) -> Failure {
    let failure = Failure::new(format!("could not open the store: {error}"));
    match error {
        StoreError::InUse(_) => failure.hint("end the daemon first, or use a backup of the store"),
        StoreError::Directory(_) => failure.hint("run it as the user that runs the daemon"),
        StoreError::DiskFull(_)
        | StoreError::Failed(_)
        | StoreError::Newer { .. }
        | StoreError::Closed => failure,
    }
}
