//! `postroom check`: everything that is wrong with the files.

use clap::{Args, ValueEnum};

use super::{Exit, Failure, FilesArgs, output};
use crate::config::{Loaded, Problem, Severity};
use crate::http::dto::config::{CheckView, ProblemView};

/// Options of `check`.
#[derive(Args)]
#[command(after_help = "Example:\n  postroom check -c config/ --format github")]
pub struct CheckArgs {
    #[command(flatten)]
    files: FilesArgs,
    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
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
}

/// Checks and says all.
pub fn run(args: CheckArgs) -> Result<Exit, Failure> {
    let loaded = args.files.load();
    let exit = exit(&loaded, args.strict);
    let views: Vec<ProblemView> = loaded.problems.iter().map(ProblemView::from).collect();
    match args.format {
        CheckFormat::Human => {
            output::print(&output::problem_lines(&views, output::colour()));
            output::print(&format!("{}\n", summary(&loaded)));
        }
        CheckFormat::Json => {
            output::json(&CheckView { valid: exit == Exit::Fine, problems: views });
        }
        CheckFormat::Github => loaded.problems.iter().for_each(|it| output::print(&annotation(it))),
    }
    Ok(exit)
}

fn exit(loaded: &Loaded, strict: bool) -> Exit {
    let errors = loaded.problems.iter().any(|problem| problem.severity == Severity::Error);
    let stops = errors || loaded.config.is_none() || strict && !loaded.problems.is_empty();
    if stops { Exit::Problems } else { Exit::Fine }
}

fn summary(loaded: &Loaded) -> String {
    let Some(config) = &loaded.config else { return output::count(&loaded.problems) };
    let revision = loaded.hash.get(..12).unwrap_or(&loaded.hash);
    format!(
        "revision {revision} is good: {} files, {} mail accounts, {} queues, {} filters; {}",
        loaded.files.len(),
        config.accounts.len(),
        config.queues.len(),
        config.filters.len(),
        output::count(&loaded.problems),
    )
}

/// A workflow command of GitHub Actions; line ends and separators are escaped as it wants them.
fn annotation(problem: &Problem) -> String {
    let level = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let hint = if problem.hint.is_empty() { "" } else { "\nhint: " };
    let message = format!("{}: {}{hint}{}", problem.path, problem.message, problem.hint);
    let (file, line, column) = (property(&problem.file), problem.line, problem.column);
    format!("::{level} file={file},line={line},col={column}::{}\n", data(&message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(severity: Severity) -> Problem {
        Problem {
            severity,
            file: "a,b.yaml".into(),
            line: 3,
            column: 5,
            path: "queues.x".into(),
            message: "100% wrong".into(),
            hint: "right it".into(),
        }
    }

    #[test]
    fn annotations_are_escaped() {
        let expected =
            "::error file=a%2Cb.yaml,line=3,col=5::queues.x: 100%25 wrong%0Ahint: right it\n";
        assert_eq!(annotation(&problem(Severity::Error)), expected);
    }

    #[track_caller]
    fn check(problems: Vec<Problem>, strict: bool, expected: Exit) {
        let config = Some(crate::core::config::Config::default());
        let loaded =
            Loaded { hash: String::new(), files: Vec::new(), config, problems, tests: Vec::new() };
        assert_eq!(exit(&loaded, strict), expected);
    }

    #[test]
    fn warnings_count_when_strict() {
        check(vec![], true, Exit::Fine);
        check(vec![problem(Severity::Warning)], false, Exit::Fine);
        check(vec![problem(Severity::Warning)], true, Exit::Problems);
        check(vec![problem(Severity::Error)], false, Exit::Problems);
    }
}
