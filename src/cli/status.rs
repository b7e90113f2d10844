//! `postroom status`: how the daemon, its accounts and its SMTP servers are.

use std::time::{Duration, Instant};

use clap::Args;

use super::client::{Client, ServerArgs};
use super::output::{Format, clean, paint};
use super::{Exit, Failure, output, wait_for};
use crate::http::dto::status::{ObjectView, StatusView};

/// Pause between two looks while waiting.
const LOOK_AGAIN_MS: u64 = 300;

/// Options of `status`.
#[derive(Args)]
#[command(after_help = "Ends with 0 if all is well and with 1 if something is not ready.\n\n\
                        Example:\n  postroom status --wait --timeout 60")]
pub struct StatusArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Wait until all is well
    #[arg(long)]
    wait: bool,
    /// Ask only whether a revision runs, which needs no token
    #[arg(long, conflicts_with = "format")]
    ready: bool,
    /// Seconds to wait at most
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

/// Asks, and waits if that is wanted.
pub fn run(args: StatusArgs) -> Result<Exit, Failure> {
    let client = args.server.client()?;
    let within = Duration::from_secs(if args.wait { args.timeout } else { 0 });
    if args.ready {
        return wait_for(ready_within(&client, within));
    }
    let status = wait_for(well_within(&client, within))?;
    match args.format {
        Format::Json => output::json(&status),
        Format::Human => output::print(&lines(&status)),
    }
    Ok(if is_well(&status) { Exit::Fine } else { Exit::Failed })
}

/// The status as soon as all is well, or as it is when the time is over.
async fn well_within(client: &Client, within: Duration) -> Result<StatusView, Failure> {
    let began = Instant::now();
    loop {
        let status = client.get::<StatusView>("/api/v1/status").await;
        let over = began.elapsed() >= within;
        match &status {
            Ok(view) if is_well(view) => return status,
            // A daemon that is still starting is what one waits for.
            Err(failure) if failure.exit != Exit::Unreachable => return status,
            Ok(_) | Err(_) if over => return status,
            Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(LOOK_AGAIN_MS)).await,
        }
    }
}

/// Whether a revision runs, as soon as one does, or when the time is over.
async fn ready_within(client: &Client, within: Duration) -> Result<Exit, Failure> {
    let began = Instant::now();
    loop {
        match client.bytes("/-/ready").await {
            Ok(_) => {
                output::print("ready\n");
                return Ok(Exit::Fine);
            }
            Err(failure) if began.elapsed() >= within => return Err(failure),
            Err(_) => tokio::time::sleep(Duration::from_millis(LOOK_AGAIN_MS)).await,
        }
    }
}

/// Applied, nothing rejected, and everything that should work does. What is suspended on purpose
/// does not count.
fn is_well(status: &StatusView) -> bool {
    let well = |object: &ObjectView| {
        object.condition("Suspended") == Some(true) || object.condition("Ready") == Some(true)
    };
    status.ready && status.rejected.is_empty() && status.objects.iter().all(well)
}

fn lines(status: &StatusView) -> String {
    let colour = output::colour();
    let revision = status.revision.get(..12).unwrap_or(&status.revision);
    let mut text = format!("postroom {} since {}\n", status.version, output::time(&status.started));
    if status.ready {
        text.push_str(&format!("revision {revision} applied {}\n", output::time(&status.applied)));
    } else {
        text.push_str("no revision applied yet\n");
    }
    if !status.rejected.is_empty() {
        text.push_str(&paint("the files as they are now were not applied:\n", "31", colour));
        text.push_str(&output::problem_lines(&status.rejected, colour));
    }
    for warning in &status.warnings {
        text.push_str(&paint(&format!("warning: {}\n", clean(warning)), "33", colour));
    }
    let outbox = &status.outbox;
    text.push_str(&format!("outbox: {} due, {} given up\n", outbox.due, outbox.dead));
    if status.objects.is_empty() {
        return text;
    }
    let rows: Vec<Vec<String>> = status.objects.iter().map(row).collect();
    text.push('\n');
    text.push_str(&output::table(
        &["KIND", "NAME", "READY", "LAST SUCCESS", "BACKLOG", "WHY"],
        &rows,
    ));
    text
}

fn row(object: &ObjectView) -> Vec<String> {
    let suspended = object.condition("Suspended") == Some(true);
    let ready = match object.condition("Ready") {
        _ if suspended => "suspended",
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    let telling = object.conditions.iter().find(|condition| {
        (condition.status == Some(true)) == (condition.kind == "Suspended")
            && !condition.message.is_empty()
    });
    vec![
        object.kind.clone(),
        object.name.clone(),
        ready.into(),
        object.last_success.as_deref().map_or("-".into(), output::time),
        object.backlog.map_or("-".into(), |backlog| backlog.to_string()),
        telling.map(|condition| clean(&condition.message)).unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::dto::status::{ConditionView, OutboxView};

    fn status(conditions: &[(&str, bool)]) -> StatusView {
        let conditions = conditions.iter().map(|(kind, status)| ConditionView {
            kind: (*kind).into(),
            status: Some(*status),
            reason: String::new(),
            message: String::new(),
            since: String::new(),
        });
        let object = ObjectView {
            kind: "mailAccount".into(),
            name: "support".into(),
            conditions: conditions.collect(),
            observed_revision: String::new(),
            last_success: None,
            next_poll: None,
            backlog: None,
            consecutive_failures: 0,
        };
        StatusView {
            changes: Vec::new(),
            version: String::new(),
            started: String::new(),
            ready: true,
            revision: String::new(),
            applied: String::new(),
            rejected: Vec::new(),
            warnings: Vec::new(),
            objects: vec![object],
            outbox: OutboxView { due: 0, dead: 0, sent: 0, oldest_due: None },
        }
    }

    #[track_caller]
    fn check(conditions: &[(&str, bool)], expected: bool) {
        assert_eq!(is_well(&status(conditions)), expected);
    }

    #[test]
    fn what_counts_as_well() {
        check(&[("Ready", true)], true);
        check(&[("Ready", false)], false);
        check(&[], false);
        check(&[("Ready", false), ("Suspended", true)], true);
    }

    #[test]
    fn suspended_never_shows_as_ready() {
        let view = status(&[("Ready", true), ("Suspended", true)]);
        assert_eq!(row(&view.objects[0])[2], "suspended");
    }
}
