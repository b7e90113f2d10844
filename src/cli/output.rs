//! What people and programs read on the terminal.
//!
//! Architecture invariant: what strangers wrote (subjects, names, server answers) is cleaned of
//! everything a terminal could take for a command before it is shown to people.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::Failure;
use crate::config::{Problem, Severity};
use crate::core::invisible;
use crate::http::dto::WhyView;
use crate::http::dto::config::ProblemView;

/// Columns of one cell; longer texts are cut.
const CELL_COLUMNS_MAX: usize = 60;

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
    print(&json_text(value));
}

/// A value as JSON.
pub fn json_text(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).expect("answers are plain data");
    format!("{text}\n")
}

/// Writes why a command failed.
pub fn failure(failure: &Failure) {
    let mut text = format!("postroom: {}\n", clean(&failure.message));
    if !failure.hint.is_empty() {
        text.push_str(&format!("  hint: {}\n", clean(&failure.hint)));
    }
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a remark to the standard error.
pub fn remark(text: &str) {
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
            "note" => paint("note", "36;1", colour),
            other => paint(other, "33;1", colour),
        };
        let ProblemView { file, line, column, path, message, hint, rule, .. } = problem;
        let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
        let rule = rule.as_ref().map(|rule| format!(" [{rule}]")).unwrap_or_default();
        let line = format!("{file}:{line}:{column} {path}{message}{rule}");
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
    let notes = match number(Severity::Note) {
        0 => String::new(),
        notes => format!(", {}", words(notes, "note")),
    };
    format!("{}, {}{notes}", words(errors, "error"), words(warnings, "warning"))
}

/// Steps of a decision.
pub fn why_lines(why: &[WhyView]) -> String {
    let lines = why.iter().map(|why| format!("  {:<12} {}\n", clean(&why.step), clean(&why.text)));
    lines.collect()
}

/// Rows in columns under a head, what is long cut short; `none` if there are none.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let short = |row: &Vec<String>| row.iter().map(|cell| cut(&clean(cell))).collect();
    whole_table(head, &rows.iter().map(short).collect::<Vec<_>>())
}

/// The same with nothing cut, for what is asked for to be read to its end.
pub fn whole_table(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    if rows.is_empty() {
        return "none\n".to_owned();
    }
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

/// A time for people: to the second, here, with its distance from UTC.
pub fn time(text: &str) -> String {
    let Ok(at) = text.parse::<jiff::Timestamp>() else { return text.to_owned() };
    at_zone(at, jiff::tz::TimeZone::system())
}

fn at_zone(at: jiff::Timestamp, zone: jiff::tz::TimeZone) -> String {
    at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
}

/// One line without control characters and without characters that hide or turn the writing direction.
pub fn clean(text: &str) -> String {
    let harmful = |c: char, hidden: bool| hidden || c.is_control() && c != '\t';
    let shown = |(c, hidden)| if harmful(c, hidden) { '\u{fffd}' } else { c };
    invisible::marked(text).map(shown).collect()
}

/// Several lines, each cleaned.
pub fn clean_lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", clean(line))).collect()
}

fn cut(text: &str) -> String {
    if columns(text) <= CELL_COLUMNS_MAX {
        return text.to_owned();
    }
    let mut room = CELL_COLUMNS_MAX - 1;
    let fits = |c: &char| {
        let wide = width(*c);
        let fits = wide <= room;
        room = room.saturating_sub(wide);
        fits
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// Columns a text takes on a terminal.
fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Characters of East Asian scripts and pictures take two columns (UAX #11); marks that are put
/// on the character before them take none.
fn width(c: char) -> usize {
    match c {
        _ if invisible::hides(c) || invisible::shapes(c) => 0,
        '\u{0300}'..='\u{036f}' | '\u{3099}' | '\u{309a}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_japanese() {
        let rows = [vec!["障害".to_owned(), "a".to_owned()], vec!["x".into(), "b".into()]];
        assert_eq!(table(&["TITLE", "Q"], &rows), "TITLE  Q\n障害   a\nx      b\n");
        let rows = [vec!["か\u{3099}".to_owned(), "a".to_owned()], vec!["😀".into(), "b".into()]];
        assert_eq!(table(&["T", "Q"], &rows), "T   Q\nか\u{3099}  a\n😀  b\n");
    }

    #[test]
    fn subjects_do_not_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\u{202e}c\r\n"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}\u{fffd}");
        assert_eq!(
            clean("a\u{200b}\u{61c}\u{e0041}b\t👨\u{200d}👩"),
            "a\u{fffd}\u{fffd}\u{fffd}b\t👨\u{200d}👩"
        );
    }

    #[test]
    fn times_are_told_to_the_second() {
        let at = "2026-11-22T06:24:36.195083473Z".parse().unwrap();
        let there = jiff::tz::TimeZone::get("Asia/Tokyo").unwrap();
        assert_eq!(at_zone(at, there), "2026-11-22 15:24:36+09:00");
        assert_eq!(time("never"), "never");
    }

    #[test]
    fn long_cells_are_cut() {
        assert_eq!(columns(&cut(&"x".repeat(100))), CELL_COLUMNS_MAX);
        // A wide character is not cut in half.
        assert_eq!(columns(&cut(&"障".repeat(100))), CELL_COLUMNS_MAX - 1);
    }
}
