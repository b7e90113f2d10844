//! `postroom test`: the mails declared under `tests`, and what must become of them.
//!
//! Architecture invariant: asks `explain`, which calls what intake calls, and compares.

use clap::Args;
use jiff::Timestamp;

use super::output::{clean, paint};
use super::{Exit, Failure, FilesArgs, output};
use crate::config::DeclaredTest;
use crate::config::spec::test::{Expectation, Outcome};
use crate::core::config::Config;
use crate::http::explain::{Explanation, explain};

/// Options of `test`.
#[derive(Args)]
#[command(
    after_help = "A mail is taken for the first one of an empty desk. Ends with 4 if a test \
                        fails.\n\nExample:\n  postroom test -c config/"
)]
pub struct TestArgs {
    #[command(flatten)]
    files: FilesArgs,
    /// Only tests with this text in their name
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

/// Runs all tests and says how they went.
pub fn run(args: TestArgs) -> Result<Exit, Failure> {
    let loaded = args.files.load();
    let Some(config) = &loaded.config else {
        output::problems(&loaded.problems);
        return Ok(Exit::Problems);
    };
    let wanted: Vec<&DeclaredTest> =
        loaded.tests.iter().filter(|it| it.test.name.contains(&args.only)).collect();
    let colour = output::colour();
    let mut failed = 0;
    for declared in &wanted {
        let differences = differences(config, declared);
        let mark = match differences.is_empty() {
            true => paint("ok    ", "32", colour),
            false => paint("failed", "31;1", colour),
        };
        output::print(&format!("{mark} {}\n", clean(&declared.test.name)));
        differences.iter().for_each(|it| output::print(&format!("         {}\n", clean(it))));
        failed += usize::from(!differences.is_empty());
    }
    let tests = if wanted.len() == 1 { "test" } else { "tests" };
    output::print(&format!("{} {tests}, {failed} failed\n", wanted.len()));
    Ok(if failed == 0 { Exit::Fine } else { Exit::TestFailed })
}

/// What is not as it must be.
fn differences(config: &Config, declared: &DeclaredTest) -> Vec<String> {
    let path = declared.mail.display();
    let raw = match std::fs::read(&declared.mail) {
        Ok(raw) => raw,
        Err(error) => return vec![format!("could not read mail {path}: {error}")],
    };
    match explain(config, &declared.test.mail.account, &raw, Timestamp::now()) {
        Ok(found) => compare(&declared.test.expect, &found),
        Err(error) => vec![format!("there is no {error}")],
    }
}

fn compare(expected: &Expectation, found: &Explanation) -> Vec<String> {
    let Expectation { outcome, queue, priority, state, filters, auto_reply, notified } = expected;
    let mut differences = Vec::new();
    let mut one = |what: &str, expected: Option<String>, found: String| {
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            differences.push(format!("{what} is {found}, not {expected}"));
        }
    };
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
    let mut heard: Vec<&str> = found.notified.iter().map(String::as_str).collect();
    heard.sort_unstable();
    let notified = notified.as_ref().map(|names| {
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        list(&names)
    });
    one("outcome", outcome.map(|outcome| word(outcome).into()), found.outcome.clone());
    one("queue", queue.clone(), or_none(&found.queue));
    one("priority", priority.map(|it| it.0.label().into()), or_none(&found.priority));
    one("state", state.map(|it| it.0.label().into()), or_none(&found.state));
    one("filters", filters.as_ref().map(|it| list(it)), list(&found.filters));
    one("autoReply", auto_reply.clone(), or_none(&found.auto_reply));
    one("notified", notified, list(&heard));
    if let (false, Some(why)) = (differences.is_empty(), &found.suppressed) {
        differences.push(format!("the answer was held back: {why}"));
    }
    differences
}

fn list(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    format!("[{}]", names.join(", "))
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Created => "created",
        Outcome::FollowUp => "followUp",
        Outcome::Rejected => "rejected",
        Outcome::Bounce => "bounce",
        Outcome::Ignored => "ignored",
        Outcome::Duplicate => "duplicate",
        Outcome::Quarantined => "quarantined",
    }
}
