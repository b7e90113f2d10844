//! `postroom plan`: what the files would change.
//!
//! Compared is with what the daemon applied last. If no daemon answers, with the revision kept in
//! the data directory; if there is none, with nothing.

use clap::Args;

use super::client::ServerArgs;
use super::output::Format;
use super::{Exit, Failure, FilesArgs, output, wait_for};
use crate::config;
use crate::core::config::Config;
use crate::core::plan;
use crate::http::dto::config::{ChangeView, FilesView};
use crate::store::Store;

/// Options of `plan`.
#[derive(Args)]
#[command(after_help = "Ends with 0 if nothing changes and with 2 if something does.\n\n\
                        Example:\n  postroom plan -c config/ --url https://desk.example")]
pub struct PlanArgs {
    #[command(flatten)]
    files: FilesArgs,
    #[command(flatten)]
    server: ServerArgs,
    /// How to write the changes
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

/// What runs, and how we know.
struct Running {
    files: Vec<(String, String)>,
    known_from: String,
}

/// Says what would change.
pub fn run(args: PlanArgs) -> Result<Exit, Failure> {
    let desired = match args.files.load_valid() {
        Ok(config) => config,
        Err(exit) => return Ok(exit),
    };
    let running = running(&args.server)?;
    let config = if running.files.is_empty() {
        Config::default()
    } else {
        config::load_saved(&running.files).config.ok_or_else(|| {
            Failure::new("could not read the revision that runs: it was applied by another version")
        })?
    };
    let changes = plan::changes(&config, &desired);
    let views: Vec<ChangeView> = changes.iter().map(ChangeView::from).collect();
    match args.format {
        Format::Json => output::json(&views),
        Format::Human => output::print(&lines(&views, &running.known_from)),
    }
    Ok(if views.is_empty() { Exit::Fine } else { Exit::Changes })
}

fn running(server: &ServerArgs) -> Result<Running, Failure> {
    let client = server.client()?;
    match wait_for(client.get::<FilesView>("/api/v1/config/files")) {
        Ok(view) => Ok(Running {
            files: view.files.into_iter().map(|file| (file.path, file.content)).collect(),
            known_from: format!("revision {} of the daemon", short(&view.revision)),
        }),
        Err(failure) if failure.exit == Exit::Unreachable => kept(server),
        Err(failure) => Err(failure),
    }
}

/// The revision kept in the data directory, while no daemon holds it.
fn kept(server: &ServerArgs) -> Result<Running, Failure> {
    let nothing = Running { files: Vec::new(), known_from: "nothing: no revision is known".into() };
    let data = &server.data.data;
    // Opening would make a store where none is.
    if !data.is_dir() {
        return Ok(nothing);
    }
    let failed = |error| {
        Failure::new(format!("could not read the last revision: {error}"))
            .hint("if a daemon has it open, say with --url where it listens")
    };
    let store = Store::open(data).map_err(failed)?;
    Ok(match store.last_revision().map_err(failed)? {
        None => nothing,
        Some(kept) => Running {
            files: kept.files,
            known_from: format!("revision {} kept in {}", short(&kept.hash), data.display()),
        },
    })
}

fn lines(changes: &[ChangeView], known_from: &str) -> String {
    let colour = output::colour();
    let mut text = format!("compared with {known_from}\n");
    for change in changes {
        let (sign, code) = match change.action.as_str() {
            "create" | "resume" => ("+", "32"),
            "delete" | "suspend" => ("-", "31"),
            _ => ("~", "33"),
        };
        let line = format!("{sign} {:<8} {}.{}", change.action, change.kind, change.name);
        let effect = if change.effect.is_empty() { "" } else { ": " };
        let line = output::paint(&output::clean(&line), code, colour);
        text.push_str(&format!("{line}{effect}{}\n", output::clean(&change.effect)));
    }
    text.push_str(&match changes.len() {
        0 => "nothing changes\n".to_owned(),
        1 => "1 change\n".to_owned(),
        count => format!("{count} changes\n"),
    });
    text
}

fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}
