//! `postroom plan`: what the files would change.
//!
//! Compared is with what the daemon applied last. If no daemon answers, with the revision kept in
//! the data directory; if there is none, with nothing. `--against` names something else.

use clap::Args;

use super::against::{self, Against, Known};
use super::client::ServerArgs;
use super::report::{Form, markdown};
use super::{Exit, Failure, FilesArgs, output, wait_for};
use crate::core::config::Config;
use crate::core::number::counted;
use crate::http::dto::config::{ChangeView, FilesView, PlanView};

/// Options of `plan`.
#[derive(Args)]
#[command(after_help = "Ends with 0 if nothing changes and with 2 if something does.\n\n\
                        Examples:\n  postroom plan -c config/ --url https://desk.example\n  \
                        postroom plan -c config/ --against git:main --format markdown\n  \
                        postroom plan -c config/ --against revision:4f2a91c0")]
pub struct PlanArgs {
    #[command(flatten)]
    files: FilesArgs,
    #[arg(long, value_name = "WHAT", help = against::HELP)]
    against: Option<Against>,
    #[command(flatten)]
    server: ServerArgs,
    /// How to write the changes
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Form,
}

/// Says what would change.
pub fn run(args: PlanArgs) -> Result<Exit, Failure> {
    let desired = args.files.load();
    let Some(wanted) = &desired.config else {
        output::problems(&desired.problems);
        return Ok(Exit::Problems);
    };
    let known = match &args.against {
        Some(against) => against.read(&args.files.config, &args.server)?,
        None => running(&args.server)?,
    };
    let running = known.load(&desired.files)?.and_then(|loaded| loaded.config).unwrap_or_default();
    Ok(show(&running, wanted, known.from, args.format))
}

/// Writes the changes from one configuration to the other.
pub fn show(before: &Config, after: &Config, against: String, form: Form) -> Exit {
    let view = PlanView::between(before, after, against);
    output::print(&match form {
        Form::Json => output::json_text(&view),
        Form::Human => lines(&view),
        Form::Markdown => comment(&view),
    });
    if view.changes.is_empty() { Exit::Fine } else { Exit::Changes }
}

fn running(server: &ServerArgs) -> Result<Known, Failure> {
    match wait_for(server.client()?.get::<FilesView>("/api/v1/config/files")) {
        Ok(view) => Ok(Known::of_daemon(view)),
        Err(failure) if failure.exit == Exit::Unreachable => {
            let kept = against::kept(&server.data.data, None)?;
            Ok(kept.unwrap_or_else(|| Known::nothing("nothing: no revision is known")))
        }
        Err(failure) => Err(failure),
    }
}

/// Changes for people.
fn lines(view: &PlanView) -> String {
    let colour = output::colour();
    let mut text = format!("compared with {}\n", output::clean(&view.against));
    for change in &view.changes {
        let line = format!("{} {:<8} {}", sign(change), change.action, change.object());
        let effect = if change.effect.is_empty() { "" } else { ": " };
        let code = match sign(change) {
            '+' => "32",
            '-' => "31",
            _ => "33",
        };
        let line = output::paint(&output::clean(&line), code, colour);
        text.push_str(&format!("{line}{effect}{}\n", output::clean(&change.effect)));
    }
    for effect in &view.effects {
        text.push_str(&format!("* {}\n", output::clean(effect)));
    }
    text.push_str(&match view.changes.len() {
        0 => "nothing changes\n".to_owned(),
        count => format!("{}\n", counted(count, "change")),
    });
    text
}

/// Changes for a comment of a pull request.
fn comment(view: &PlanView) -> String {
    let head = match view.changes.len() {
        0 => "### Postroom: nothing changes\n".to_owned(),
        count => format!("### Postroom: {}\n", counted(count, "change")),
    };
    let mut text = format!("{head}\nCompared with {}.\n", markdown::text(&view.against));
    if !view.effects.is_empty() {
        let effects = view.effects.iter().map(|it| format!("- {}\n", markdown::text(it)));
        text += &format!("\n{}", effects.collect::<String>());
    }
    let rows: Vec<Vec<String>> = view.changes.iter().map(row).collect();
    if !rows.is_empty() {
        text += &format!("\n{}", markdown::table(&["", "object", "effect"], &rows));
    }
    text
}

fn row(change: &ChangeView) -> Vec<String> {
    vec![
        format!("{} {}", sign(change), change.action).replace('-', "\\-").replace('+', "\\+"),
        markdown::code(&change.object()),
        markdown::text(&change.effect),
    ]
}

fn sign(change: &ChangeView) -> char {
    match change.action.as_str() {
        "create" | "resume" => '+',
        "delete" | "suspend" => '-',
        _ => '~',
    }
}
