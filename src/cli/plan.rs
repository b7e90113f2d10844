//! `postroom plan`: what the files would change.
//!
//! Compared is with what the daemon applied last. If no daemon answers, with the revision kept in
//! the data directory; if there is none, with nothing.

use std::path::{Path, PathBuf};

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
    let desired = args.files.load();
    let Some(wanted) = &desired.config else {
        output::problems(&desired.problems);
        return Ok(Exit::Problems);
    };
    let running = running(&args.server)?;
    let config = if running.files.is_empty() {
        Config::default()
    } else {
        let files = beneath_the_same_folder(&running.files, &desired.files);
        config::load_saved(files.as_ref().unwrap_or(&running.files)).config.ok_or_else(|| {
            Failure::new("could not read the revision that runs: it was applied by another version")
        })?
    };
    let changes = plan::changes(&config, wanted);
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
    if !Store::exists(data) {
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

/// The first set of files as if it lay in the folder of the second. What is compared are the
/// paths that the files name, and these are relative to the files: a checkout elsewhere is no
/// change. `None` if they lie in the same folder.
pub fn beneath_the_same_folder(
    files: &[(String, String)],
    others: &[(String, String)],
) -> Option<Vec<(String, String)>> {
    let (from, to) = (common_folder(files)?, common_folder(others)?);
    let moved = |(name, content): &(String, String)| {
        let rest = Path::new(name).strip_prefix(&from).expect("the folder is common to all");
        (to.join(rest).display().to_string(), content.clone())
    };
    (from != to).then(|| files.iter().map(moved).collect())
}

fn common_folder(files: &[(String, String)]) -> Option<PathBuf> {
    let parents = files.iter().map(|(name, _)| Path::new(name).parent().unwrap_or(Path::new("")));
    let common = |a: PathBuf, b: PathBuf| {
        let same = a.components().zip(b.components()).take_while(|(a, b)| a == b);
        same.map(|(part, _)| part).collect()
    };
    parents.map(Path::to_owned).reduce(common)
}

/// Changes for people.
pub fn lines(changes: &[ChangeView], known_from: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> Vec<(String, String)> {
        names.iter().map(|name| ((*name).to_owned(), String::new())).collect()
    }

    #[track_caller]
    fn check(files: &[&str], others: &[&str], expected: Option<&[&str]>) {
        let moved = beneath_the_same_folder(&set(files), &set(others));
        assert_eq!(moved, expected.map(set));
    }

    #[test]
    fn a_checkout_elsewhere() {
        check(
            &["/etc/desk/a.yaml", "/etc/desk/texts/b.txt"],
            &["ci/config/a.yaml", "ci/config/texts/b.txt"],
            Some(&["ci/config/a.yaml", "ci/config/texts/b.txt"]),
        );
        check(&["a.yaml"], &["/x/a.yaml"], Some(&["/x/a.yaml"]));
    }

    #[test]
    fn the_same_folder() {
        check(&["config/a.yaml"], &["config/b.yaml"], None);
        check(&[], &["config/b.yaml"], None);
    }
}
