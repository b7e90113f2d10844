//! What people and programs read on the terminal.
//!
//! Architecture invariant: what strangers wrote (subjects, names, server answers) is cleaned of
//! everything a terminal could take for a command before it is shown to people.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::Failure;
use crate::config::{Problem, Severity};
use crate::http::dto::WhyView;
use crate::http::dto::config::ProblemView;

/// Columns of one cell; longer texts are cut.
const CELL_CHARS_MAX: usize = 60;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// For programs.
    Json,
}

/// Writes to the standard output. Whoever reads may stop when he has enough.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes bytes to the standard output.
pub fn print_bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Writes a value as JSON.
pub fn json(value: &impl Serialize) {
    let text = serde_json::to_string_pretty(value).expect("answers are plain data");
    print(&format!("{text}\n"));
}

/// Writes why a command failed.
pub fn failure(failure: &Failure) {
    let mut text = format!("postroom: {}\n", clean(&failure.message));
    if !failure.hint.is_empty() {
        text.push_str(&format!("  hint: {}\n", clean(&failure.hint)));
    }
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Writes problems to the standard error.
pub fn problems(problems: &[Problem]) {
    let views: Vec<ProblemView> = problems.iter().map(ProblemView::from).collect();
    let text = problem_lines(&views, std::io::stderr().is_terminal());
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Problems, each with its place, and how many there are.
pub fn problem_lines(problems: &[ProblemView], colour: bool) -> String {
    let mut text = String::new();
    for problem in problems {
        let severity = match problem.severity.as_str() {
            "error" => paint("error", "31;1", colour),
            other => paint(other, "33;1", colour),
        };
        let ProblemView { file, line, column, path, message, hint, .. } = problem;
        let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
        let line = format!("{file}:{line}:{column} {}{}", path, message);
        text.push_str(&format!("{severity} {}\n", clean(&line)));
        if !hint.is_empty() {
            text.push_str(&format!("      hint: {}\n", clean(hint)));
        }
    }
    text
}

/// `2 errors, 1 warning`.
pub fn count(problems: &[Problem]) -> String {
    let number = |severity| problems.iter().filter(|it| it.severity == severity).count();
    let words = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    };
    let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
    format!("{}, {}", words(errors, "error"), words(warnings, "warning"))
}

/// Steps of a decision.
pub fn why_lines(why: &[WhyView]) -> String {
    let lines = why.iter().map(|why| format!("  {:<12} {}\n", clean(&why.step), clean(&why.text)));
    lines.collect()
}

/// Rows in columns under a head.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| cut(&clean(cell))).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| columns(&row[column]));
        cells.chain([columns(head[column])]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| {
            format!("{cell}{}", " ".repeat(width.saturating_sub(columns(cell))))
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    std::iter::once(line(&head)).chain(rows.iter().map(|row| line(row))).collect()
}

/// Whether the standard output is a terminal that may be coloured (<https://no-color.org>).
pub fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Puts a text in a colour of ECMA-48 section 8.3.117.
pub fn paint(text: &str, code: &str, colour: bool) -> String {
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// One line without control characters and without characters that turn the writing direction.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if harmful(c) && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Several lines, each cleaned.
pub fn clean_lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", clean(line))).collect()
}

fn harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn cut(text: &str) -> String {
    if text.chars().count() <= CELL_CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect()
}

/// Columns a text takes: characters of East Asian scripts take two.
fn columns(text: &str) -> usize {
    let wide = |c: char| matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{20000}'..='\u{3fffd}');
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_japanese() {
        let rows = [vec!["障害".to_owned(), "a".to_owned()], vec!["x".into(), "b".into()]];
        assert_eq!(table(&["TITLE", "Q"], &rows), "TITLE  Q\n障害   a\nx      b\n");
    }

    #[test]
    fn subjects_do_not_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\u{202e}c\r\n"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}\u{fffd}");
    }

    #[test]
    fn long_cells_are_cut() {
        assert_eq!(cut(&"x".repeat(100)).chars().count(), CELL_CHARS_MAX);
    }
}
