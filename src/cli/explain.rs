//! `postroom explain`: what would become of a mail, by the files alone, with what a store knows, or
//! at a daemon as it runs.

use std::io::Read;
use std::path::{Path, PathBuf};

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use jiff::Timestamp;

use super::client::{ServerArgs, query};
use super::output::{Format, clean, paint};
use super::{Exit, Failure, FilesArgs, output, wait_for};
use crate::core::config::Config;
use crate::http::MAIL_BODY_BYTES_MAX;
use crate::http::dto::config::FileView;
use crate::http::explain::{
    ExplainError, ExplainRequest, Explanation, FilterView, explain, explain_with,
};
use crate::store::Store;

/// Largest mail that is explained.
const MAIL_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Options of `explain`.
#[derive(Args)]
#[command(after_help = "By the files alone a mail is the first one of an empty desk, and a \
                        follow-up is explained as a new ticket. With --with-store the tickets \
                        there are count: the daemon is asked, or if none answers the store in \
                        --data is read. With --against a daemon answers for the files that it \
                        runs and the tickets that it has. Nothing is recorded.\n\n\
                        Examples:\n  postroom explain mail.eml --account support -c config/\n  \
                        postroom explain mail.eml --account support -c config/ --tree\n  \
                        postroom explain - --account support -c config/ --with-store\n  \
                        postroom explain mail.eml --account support --against https://desk.example")]
pub struct ExplainArgs {
    /// The mail; `-` reads the standard input
    #[arg(value_name = "MAIL.eml")]
    mail: PathBuf,
    /// Mail account it is taken to come through
    #[arg(long, value_name = "NAME")]
    account: String,
    /// Configuration file, or directory read recursively for *.yaml and *.yml; may be repeated
    #[arg(
        short,
        long,
        value_name = "PATH",
        env = "POSTROOM_CONFIG",
        required_unless_present = "against"
    )]
    config: Vec<PathBuf>,
    /// Directory in which `{secret: NAME}` is looked for
    #[arg(long, value_name = "DIR", env = "POSTROOM_SECRETS_DIR")]
    secrets_dir: Option<PathBuf>,
    /// Ask this daemon, for the files it runs and with what its store knows; no files are read here
    #[arg(long, value_name = "URL", conflicts_with = "with_store")]
    against: Option<String>,
    /// Show every filter, with the value each condition looked at
    #[arg(long)]
    tree: bool,
    /// Take what the store knows into account
    #[arg(long)]
    with_store: bool,
    #[command(flatten)]
    server: ServerArgs,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

/// Explains.
pub fn run(mut args: ExplainArgs) -> Result<Exit, Failure> {
    if let Some(url) = &args.against {
        let explanation = of_daemon(url, &args, read(&args.mail)?)?;
        return Ok(show(&explanation, &args));
    }
    let config = std::mem::take(&mut args.config);
    let loaded = FilesArgs { config, secrets_dir: args.secrets_dir.take() }.load();
    let Some(config) = loaded.config else {
        output::problems(&loaded.problems);
        return Ok(Exit::Problems);
    };
    let raw = read(&args.mail)?;
    let explanation = if args.with_store {
        with_store(&args, config, &loaded.files, raw)?
    } else {
        explain(&config, &args.account, &raw, Timestamp::now()).map_err(no_account)?
    };
    Ok(show(&explanation, &args))
}

fn show(explanation: &Explanation, args: &ExplainArgs) -> Exit {
    match args.format {
        Format::Json => output::json(explanation),
        Format::Human => {
            output::print(&lines(explanation));
            if args.tree {
                output::print(&tree(explanation));
            }
        }
    }
    Exit::Fine
}

/// What a daemon would make of it as it is.
fn of_daemon(url: &str, args: &ExplainArgs, raw: Vec<u8>) -> Result<Explanation, Failure> {
    if !url.contains("://") {
        let message = format!("{url:?} is no URL: --against takes that of a daemon here");
        let hint = "for other files name them with -c";
        return Err(Failure::new(message).hint(hint).exit(Exit::Usage));
    }
    let client = args.server.client_of(url)?;
    fits(raw.len())?;
    let path = query("/api/v1/explain", &[("account", Some(args.account.clone()))]);
    wait_for(client.post_bytes(&path, "message/rfc822", raw))
}

/// Whether a daemon takes so much at a time.
fn fits(bytes: usize) -> Result<(), Failure> {
    if bytes <= MAIL_BODY_BYTES_MAX {
        return Ok(());
    }
    let mib = 1024 * 1024;
    let message = format!(
        "this is too large for a daemon: {} MiB to be sent, {} MiB are taken",
        bytes.div_ceil(mib),
        MAIL_BODY_BYTES_MAX / mib
    );
    let hint = "judge it by the files alone: `postroom explain MAIL.eml --account NAME -c config/`";
    Err(Failure::new(message).hint(hint))
}

fn no_account(error: ExplainError) -> Failure {
    Failure::new(format!("there is no {error}")).exit(Exit::Usage)
}

/// Asks the daemon, which holds the store; if none answers, opens the store.
fn with_store(
    args: &ExplainArgs,
    config: Config,
    files: &[(String, String)],
    raw: Vec<u8>,
) -> Result<Explanation, Failure> {
    let view = |(path, content): &(String, String)| FileView {
        path: path.clone(),
        content: content.clone(),
    };
    let request = ExplainRequest {
        account: args.account.clone(),
        mail: STANDARD.encode(&raw),
        files: files.iter().map(view).collect(),
    };
    let bytes = files.iter().map(|(_, content)| content.len()).sum::<usize>() + request.mail.len();
    let body = serde_json::to_value(request).expect("a request is plain data");
    let client = args.server.client()?;
    fits(bytes)?;
    match wait_for(client.send(hyper::Method::POST, "/api/v1/explain/files", Some(&body))) {
        Err(failure) if failure.exit == Exit::Unreachable => {}
        answer => return answer,
    }
    let data = &args.server.data.data;
    if !Store::exists(data) {
        let failure = Failure::new("no daemon answers, and there is no store");
        return Err(failure.hint("name one with --url or --data, or leave out --with-store"));
    }
    let failed = |error| Failure::new(format!("could not read the store: {error}"));
    let store = Store::open(data).map_err(failed)?;
    wait_for(async {
        let (config, now) = (Arc::new(config), Timestamp::now());
        let explained = explain_with(&store, config, &args.account, raw, now).await;
        store.close().await;
        explained.map_err(failed)?.map_err(no_account)
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("could not read mail {}: {error}", path.display()))
    };
    let mut raw = Vec::new();
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(failed)?)
    };
    source.take(MAIL_BYTES_MAX).read_to_end(&mut raw).map_err(failed)?;
    Ok(raw)
}

fn lines(it: &Explanation) -> String {
    let mut text = format!("{}\n", output::paint(&it.outcome, "1", output::colour()));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("  {name:<12} {}\n", clean(value)));
        }
    };
    line("reason", it.reason.as_deref().unwrap_or_default());
    line("from", &it.from);
    line("subject", &it.subject);
    line("ticket", it.ticket.as_deref().unwrap_or_default());
    line("queue", it.queue.as_deref().unwrap_or_default());
    line("state", it.state.as_deref().unwrap_or_default());
    line("priority", it.priority.as_deref().unwrap_or_default());
    line("owner", it.owner.as_deref().unwrap_or_default());
    line("filters", &it.filters.join(", "));
    line("auto-reply", it.auto_reply.as_deref().unwrap_or_default());
    line("notified", &it.notified.join(", "));
    line("ticket tag", it.subject_tag.as_deref().unwrap_or_default());
    line("no answer", it.suppressed.as_deref().unwrap_or_default());
    line("oddities", &it.oddities.join(", "));
    for owed in &it.owed {
        line("owes", &format!("{} to {}", owed.kind, owed.to));
    }
    text.push_str("why\n");
    for step in &it.why {
        text.push_str(&format!("  {:<12} {}\n", clean(&step.step), clean(&step.text)));
    }
    text
}

/// Each filter with its conditions, beneath each other.
fn tree(it: &Explanation) -> String {
    let mut text = "filters\n".to_owned();
    for (index, filter) in it.examined.iter().enumerate() {
        let last = index + 1 == it.examined.len();
        let [branch, below] = if last { ["└─", "  "] } else { ["├─", "│ "] };
        text += &format!("{branch} {}\n", head(filter));
        for (index, looked) in filter.conditions.iter().enumerate() {
            let branch = if index + 1 == filter.conditions.len() { "└─" } else { "├─" };
            let mark =
                if looked.holds { paint("✓", "32", output::colour()) } else { "✗".into() };
            let (condition, value) = (clean(&looked.condition), clean(&looked.value));
            text += &format!("{below} {branch} {mark} {condition}: {value:?}\n");
        }
    }
    text
}

fn head(filter: &FilterView) -> String {
    let verdict = match (filter.verdict.as_str(), &filter.stopped_by) {
        ("notReached", Some(by)) => format!("not reached: {by} stops the run"),
        ("switchedOff", _) => "switched off".to_owned(),
        (verdict, _) => verdict.to_owned(),
    };
    let line = format!("{} (order {}): {verdict}", filter.filter, filter.order);
    let code = if filter.verdict == "matches" { "32;1" } else { "0" };
    paint(&clean(&line), code, output::colour())
}
