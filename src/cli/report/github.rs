//! Workflow commands of GitHub Actions: they become annotations of the lines in a pull request.

use crate::config::{Problem, Severity};

/// One line for each problem.
pub fn annotations(problems: &[Problem]) -> String {
    problems.iter().map(annotation).collect()
}

/// Line ends and separators are escaped as GitHub wants them.
fn annotation(problem: &Problem) -> String {
    let level = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let hint = if problem.hint.is_empty() { "" } else { "\nhint: " };
    let message = format!("{}: {}{hint}{}", problem.path, problem.message, problem.hint);
    let title = problem.rule.map(|rule| format!(",title={}", property(rule)));
    let (file, line, column) = (property(&problem.file), problem.line, problem.column);
    let title = title.unwrap_or_default();
    format!("::{level} file={file},line={line},col={column}{title}::{}\n", data(&message))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::samples::problem;
    use super::*;

    #[test]
    fn annotations_are_escaped() {
        let expected = "::error file=a%2Cb.yaml,line=3,col=5::queues.x: 100%25 <wrong> | \"really\"%0Ahint: right it\n";
        assert_eq!(annotation(&problem(Severity::Error)), expected);
        let of_rule = Problem { rule: Some("idle-tls"), ..problem(Severity::Note) };
        assert!(
            annotation(&of_rule)
                .starts_with("::notice file=a%2Cb.yaml,line=3,col=5,title=idle-tls::")
        );
    }
}
