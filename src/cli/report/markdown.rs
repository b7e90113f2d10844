//! Markdown for a comment of a pull request.

use crate::config::{Loaded, Problem, Severity};
use crate::core::number::counted;

/// Rows of one table; a comment may have 65,536 characters in all.
pub const ROWS_MAX: usize = 100;
/// Characters of one cell.
const CELL_CHARS_MAX: usize = 200;

/// Everything that is wrong with the files.
pub fn problems(loaded: &Loaded) -> String {
    let number = |severity| loaded.problems.iter().filter(|it| it.severity == severity).count();
    let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
    let head = match (errors, warnings) {
        (0, 0) => "### Postroom: the files are good\n".to_owned(),
        (0, warnings) => format!("### Postroom: {}\n", counted(warnings, "warning")),
        (errors, _) => {
            format!("### Postroom: {}; nothing would change\n", counted(errors, "error"))
        }
    };
    if loaded.problems.is_empty() {
        return head;
    }
    let rows: Vec<Vec<String>> = loaded.problems.iter().map(row).collect();
    format!("{head}\n{}", table(&["", "where", "what", "what to do"], &rows))
}

fn row(problem: &Problem) -> Vec<String> {
    let rule = problem.rule.map(|rule| format!(" `{rule}`")).unwrap_or_default();
    let place = format!("{}:{}", problem.file, problem.line);
    vec![
        problem.severity.label().to_owned(),
        format!("{}<br>{}", code(&place), code(&problem.path)),
        format!("{}{rule}", text(&problem.message)),
        text(&problem.hint),
    ]
}

/// A table; cells are Markdown already.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut all = line(head.to_vec());
    all += &line(vec!["---"; head.len()]);
    for row in rows.iter().take(ROWS_MAX) {
        all += &line(row.iter().map(String::as_str).collect());
    }
    if rows.len() > ROWS_MAX {
        all += &format!("\n{} more are not shown.\n", rows.len() - ROWS_MAX);
    }
    all
}

/// Text that stays text: what Markdown or HTML would read as theirs is escaped.
pub fn text(written: &str) -> String {
    let mut escaped = String::new();
    for character in shortened(written).chars() {
        match character {
            '\n' | '\r' | '\t' => escaped.push(' '),
            character if character.is_control() => escaped.push('\u{fffd}'),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // An address must not mention a person of that name.
            '@' => escaped.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                escaped.push('\\');
                escaped.push(character);
            }
            character => escaped.push(character),
        }
    }
    escaped
}

/// A name, in the type of code. A backtick would end it.
pub fn code(written: &str) -> String {
    let clean = shortened(written).replace('`', "'").replace('|', "\\|");
    let clean: String = clean.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.is_empty() { String::new() } else { format!("`{clean}`") }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_write_no_markdown() {
        assert_eq!(
            text("<img src=x> @admin [a](b) `c` | d\n# e"),
            "&lt;img src=x&gt; &#64;admin \\[a\\](b) \\`c\\` \\| d \\# e"
        );
        assert_eq!(code("a`b|c\n"), "`a'b\\|c `");
        assert_eq!(text(&"あ".repeat(300)).chars().count(), 201);
    }

    #[test]
    fn long_tables_are_cut() {
        let rows = vec![vec!["x".to_owned()]; ROWS_MAX + 5];
        let table = table(&["a"], &rows);
        assert_eq!(table.matches("| x |").count(), ROWS_MAX);
        assert!(table.ends_with("5 more are not shown.\n"));
    }
}
