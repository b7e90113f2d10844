//! `postroom replay`: which stored mails would fare differently under the files.

use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::against::{self, Against};
use super::client::ServerArgs;
use super::redact::{Redaction, ShowArgs};
use super::report::{Form, markdown};
use super::{Exit, Failure, FilesArgs, output, wait_for};
use crate::core::number::counted;
use crate::http::dto::config::FileView;
use crate::http::replay::{Difference, LAST_DEFAULT, LAST_MAX, ReplayRequest, ReplayView, replay};
use crate::store::Store;

/// Until a daemon has judged all mails.
const ANSWER_TIMEOUT_SECS: u64 = 600;

/// Options of `replay`.
#[derive(Args)]
#[command(
    after_help = "The daemon judges its newest mails under both sets of files and records nothing; \
                        if none answers, the store in --data is read. Without --against it is \
                        compared with what runs. Ends with 0 if every mail fares the same and with \
                        2 if one does not.\n\n\
                        Examples:\n  postroom replay -c config/ --last 1000\n  \
                        postroom replay -c config/ --against git:main --format markdown\n  \
                        postroom replay -c config/ --against git:main --data /backup/postroom"
)]
pub struct ReplayArgs {
    #[command(flatten)]
    files: FilesArgs,
    #[arg(long, value_name = "WHAT", help = against::HELP)]
    against: Option<Against>,
    /// How many mails, counted from the newest
    #[arg(long, value_name = "COUNT", default_value_t = LAST_DEFAULT)]
    last: usize,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    show: ShowArgs,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Form,
}

/// Judges the mails under both.
pub fn run(args: ReplayArgs) -> Result<Exit, Failure> {
    if !(1..=LAST_MAX).contains(&args.last) {
        let message = format!("--last must be between 1 and {LAST_MAX}");
        return Err(Failure::new(message).exit(Exit::Usage));
    }
    let proposed = args.files.load();
    let Some(after) = &proposed.config else {
        output::problems(&proposed.problems);
        return Ok(Exit::Problems);
    };
    let known = args.against.as_ref().map(|it| it.read(&args.files.config, &args.server));
    let known = known.transpose()?;
    let request = ReplayRequest {
        last: args.last,
        files: views(&proposed.files),
        against: known.as_ref().map(|known| views(&known.files)),
    };
    let from = known.as_ref().map_or_else(|| "what runs".to_owned(), |known| known.from.clone());
    let view = match ask(&args.server, &request) {
        Ok(view) => view,
        Err(failure) if failure.exit == Exit::Unreachable => {
            let known = match known {
                Some(known) => known,
                None => against::kept(&args.server.data.data, None)?.ok_or_else(no_store)?,
            };
            let before = known.load(&proposed.files)?.and_then(|it| it.config).unwrap_or_default();
            here(&args, before, after.clone())?
        }
        Err(failure) => return Err(failure),
    };
    let view = Redaction::of(after, args.show).replay(view);
    output::print(&match args.format {
        Form::Json => output::json_text(&view),
        Form::Human => lines(&view, &from),
        Form::Markdown => comment(&view, &from),
    });
    Ok(if view.differing == 0 { Exit::Fine } else { Exit::Changes })
}

fn views(files: &[(String, String)]) -> Vec<FileView> {
    let view = |(path, content): &(String, String)| FileView {
        path: path.clone(),
        content: content.clone(),
    };
    files.iter().map(view).collect()
}

fn ask(server: &ServerArgs, request: &ReplayRequest) -> Result<ReplayView, Failure> {
    let body = serde_json::to_value(request).expect("a request is plain data");
    let client = server.client()?.patient(std::time::Duration::from_secs(ANSWER_TIMEOUT_SECS));
    wait_for(client.send(hyper::Method::POST, "/api/v1/replay", Some(&body)))
}

/// Opens the store that no daemon holds.
fn here(
    args: &ReplayArgs,
    before: crate::core::config::Config,
    after: crate::core::config::Config,
) -> Result<ReplayView, Failure> {
    let data = &args.server.data.data;
    if !Store::exists(data) {
        return Err(no_store());
    }
    let failed = |error| Failure::new(format!("could not read the store: {error}"));
    let store = Store::open(data).map_err(failed)?;
    wait_for(async {
        let (before, after) = (Arc::new(before), Arc::new(after));
        let view = replay(&store, before, after, args.last, Timestamp::now()).await;
        store.close().await;
        view.map_err(failed)
    })
}

fn no_store() -> Failure {
    Failure::new("there are no mails to judge: no daemon answers, and there is no store")
        .hint("name the daemon with --url, or a store or backup of it with --data")
}

fn lines(view: &ReplayView, from: &str) -> String {
    let mut text = String::new();
    for it in &view.differences {
        let Difference { mail, at, account, from, subject, changes, .. } = it;
        let head =
            format!("mail {mail} of {}, {account}: {subject:?} from {from}", output::time(at));
        text += &format!("{}\n", output::clean(&head));
        for change in changes {
            text += &format!("  {}\n", output::clean(change));
        }
    }
    let not_listed = view.differing - view.differences.len();
    if not_listed > 0 {
        text += &format!("{not_listed} more are not listed\n");
    }
    text + &format!("{}\n", summary(view, from))
}

fn summary(view: &ReplayView, from: &str) -> String {
    let skipped = match view.skipped {
        0 => String::new(),
        count => format!(" ({count} skipped: their bytes are gone or unreadable)"),
    };
    let mails = counted(view.mails, "mail");
    match view.differing {
        0 => format!("{mails} of the store would fare as under {from}{skipped}"),
        differing => {
            format!("{differing} of {mails} would fare differently than under {from}{skipped}")
        }
    }
}

fn comment(view: &ReplayView, from: &str) -> String {
    let head = match view.differing {
        0 => "### Postroom: every stored mail would fare the same\n".to_owned(),
        1 => "### Postroom: 1 stored mail would fare differently\n".to_owned(),
        count => format!("### Postroom: {count} stored mails would fare differently\n"),
    };
    let mut text = format!("{head}\n{}.\n", markdown::text(&summary(view, from)));
    let row = |it: &Difference| {
        let changes: Vec<String> = it.changes.iter().map(|it| markdown::text(it)).collect();
        vec![
            format!("{} {}", it.mail, markdown::text(&it.subject)),
            markdown::text(&it.from),
            markdown::code(&it.account),
            changes.join("<br>"),
        ]
    };
    let rows: Vec<Vec<String>> = view.differences.iter().map(row).collect();
    if !rows.is_empty() {
        text +=
            &format!("\n{}", markdown::table(&["mail", "from", "account", "what changes"], &rows));
    }
    text
}
