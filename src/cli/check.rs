//! `postroom check`: everything that is wrong with the files, and what is allowed and hardly meant.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::{Timestamp, Zoned};

use super::client::{Client, ServerArgs};
use super::{Exit, Failure, FilesArgs, output, page, report, wait_for};
use crate::config::{Loaded, Severity};
use crate::core::number::counted;
use crate::http::dto::config::{CheckView, ProblemView};
use crate::http::dto::oauth::StandingView;
use crate::lint::{self, Around, SignIn};

/// Options of `check`.
#[derive(Args)]
#[command(after_help = "Ends with 0 if the files are good and with 3 if there are errors (with \
                        --strict: or warnings).\n\n\
                        Examples:\n  postroom check -c config/\n  \
                        postroom check -c config/ --strict --format github\n  \
                        postroom check -c config/ --with-sign-ins\n  \
                        postroom check --explain unreachable-filter")]
pub struct CheckArgs {
    /// Configuration file, or directory read recursively for *.yaml and *.yml; may be repeated
    #[arg(
        short,
        long,
        value_name = "PATH",
        env = "POSTROOM_CONFIG",
        required_unless_present = "explain"
    )]
    config: Vec<PathBuf>,
    /// Directory in which `{secret: NAME}` is looked for
    #[arg(long, value_name = "DIR", env = "POSTROOM_SECRETS_DIR")]
    secrets_dir: Option<PathBuf>,
    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
    /// Also look whether the secrets are there; implied by --secrets-dir
    #[arg(long)]
    with_secrets: bool,
    /// Also ask the running daemon which sign-ins of people end soon; only it knows them
    #[arg(long)]
    with_sign_ins: bool,
    #[command(flatten)]
    server: ServerArgs,
    /// Explain a lint rule with examples, or list `all`
    #[arg(long, value_name = "RULE")]
    explain: Option<String>,
    /// How to write the problems
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: CheckFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// For people.
    Human,
    /// For programs.
    Json,
    /// Annotations of GitHub Actions.
    Github,
    /// For a comment of a pull request.
    Markdown,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// For test reports: each file is a test case.
    Junit,
}

/// Checks and says all.
pub fn run(args: CheckArgs) -> Result<Exit, Failure> {
    if let Some(rule) = &args.explain {
        return explain(rule);
    }
    let files = FilesArgs { config: args.config, secrets_dir: args.secrets_dir };
    let mut loaded = files.load();
    let secrets = args.with_secrets || files.secrets_dir.is_some();
    let secrets = secrets.then(|| files.secrets());
    let sign_ins = if args.with_sign_ins { sign_ins(&args.server.client()?)? } else { Vec::new() };
    let today = Zoned::now().date();
    lint::add(&mut loaded, &Around { today, secrets, certificates: true, sign_ins });
    let exit = exit(&loaded, args.strict);
    output::print(&match args.format {
        CheckFormat::Human => human(&loaded),
        CheckFormat::Json => {
            let problems = loaded.problems.iter().map(ProblemView::from).collect();
            output::json_text(&CheckView { valid: exit == Exit::Fine, problems })
        }
        CheckFormat::Github => report::github::annotations(&loaded.problems),
        CheckFormat::Markdown => report::markdown::problems(&loaded),
        CheckFormat::Sarif => output::json_text(&report::sarif::log(&loaded)),
        CheckFormat::Junit => report::junit::problems(&loaded),
    });
    Ok(exit)
}

/// Sign-ins of people that are near their end, as the daemon knows them.
fn sign_ins(client: &Client) -> Result<Vec<SignIn>, Failure> {
    let all: Vec<StandingView> = wait_for(page::every(client, "/api/v1/oauth"))?;
    let now = Timestamp::now();
    Ok(all.into_iter().filter_map(|one| one.near_its_end(now)).collect())
}

fn explain(rule: &str) -> Result<Exit, Failure> {
    if rule == "all" {
        let row = |rule: &&lint::Rule| {
            vec![rule.id.to_owned(), rule.severity.label().to_owned(), rule.title.to_owned()]
        };
        let rows: Vec<Vec<String>> = lint::RULES.iter().map(row).collect();
        output::print(&output::table(&["RULE", "SEVERITY", "FINDS"], &rows));
        return Ok(Exit::Fine);
    }
    let Some(rule) = lint::rule(rule) else {
        let failure = Failure::new(format!("there is no lint rule {rule:?}")).exit(Exit::Usage);
        return Err(failure.hint(lint::hint_of_rules(rule)));
    };
    output::print(lint::page::section(rule).trim_start());
    Ok(Exit::Fine)
}

fn exit(loaded: &Loaded, strict: bool) -> Exit {
    let is_there = |severity| loaded.problems.iter().any(|problem| problem.severity == severity);
    let stops = is_there(Severity::Error)
        || loaded.config.is_none()
        || strict && is_there(Severity::Warning);
    if stops { Exit::Problems } else { Exit::Fine }
}

fn human(loaded: &Loaded) -> String {
    let views: Vec<ProblemView> = loaded.problems.iter().map(ProblemView::from).collect();
    format!("{}{}\n", output::problem_lines(&views, output::colour()), summary(loaded))
}

fn summary(loaded: &Loaded) -> String {
    let Some(config) = &loaded.config else { return output::count(&loaded.problems) };
    let revision = loaded.hash.get(..12).unwrap_or(&loaded.hash);
    let allowed = match loaded.allowed.len() {
        0 => String::new(),
        count => format!(", {count} allowed"),
    };
    format!(
        "revision {revision} is good: {}, {}, {}, {}; {}{allowed}",
        counted(loaded.files.len(), "file"),
        counted(config.accounts.len(), "mail account"),
        counted(config.queues.len(), "queue"),
        counted(config.filters.len(), "filter"),
        output::count(&loaded.problems),
    )
}

#[cfg(test)]
mod tests {
    use super::super::report::samples::problem;
    use super::*;
    use crate::config::Problem;

    #[track_caller]
    fn check(problems: Vec<Problem>, strict: bool, expected: Exit) {
        let mut loaded = crate::config::load_saved(&[("a.yaml".into(), "version: 1\n".into())]);
        loaded.problems = problems;
        assert_eq!(exit(&loaded, strict), expected);
    }

    #[test]
    fn warnings_count_when_strict() {
        check(vec![], true, Exit::Fine);
        check(vec![problem(Severity::Warning)], false, Exit::Fine);
        check(vec![problem(Severity::Warning)], true, Exit::Problems);
        check(vec![problem(Severity::Note)], true, Exit::Fine);
        check(vec![problem(Severity::Error)], false, Exit::Problems);
    }
}
