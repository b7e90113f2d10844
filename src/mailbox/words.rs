//! Words of a server as we may repeat them: cut, on one line, without our secret.
//!
//! Architecture invariant: nothing a server says reaches an error or the log by another way.

use crate::core::invisible;

/// Characters of a server's answer that an error repeats.
pub const WORDS_CHARS_MAX: usize = 200;

/// The words, cut to [`WORDS_CHARS_MAX`], control characters escaped.
pub fn repeatable(words: &str) -> String {
    let mut shown = String::new();
    for (character, hidden) in invisible::marked(words.trim()).take(WORDS_CHARS_MAX) {
        // Escaped, or a server could forge log lines or colour a terminal.
        if hidden || character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if words.trim().chars().nth(WORDS_CHARS_MAX).is_some() {
        shown.push('…');
    }
    if shown.is_empty() { "no reason given".to_owned() } else { shown }
}

/// The same, for an answer to a command that carried a secret: some servers repeat what they read.
pub fn repeatable_without(secret: &str, words: &str) -> String {
    if secret.is_empty() { repeatable(words) } else { repeatable(&words.replace(secret, "***")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &str, expected: &str) {
        assert_eq!(repeatable(words), expected);
    }

    #[test]
    fn plain_words() {
        check(" mailbox is locked\r\n", "mailbox is locked");
    }

    #[test]
    fn nothing() {
        check("\r\n", "no reason given");
    }

    #[test]
    fn forged_log_line() {
        check("no\nlevel=error", "no\\nlevel=error");
    }

    #[test]
    fn terminal_colour() {
        check("\u{1b}[31mred", "\\u{1b}[31mred");
    }

    #[test]
    fn turned_around() {
        check("a\u{202e}b", "a\\u{202e}b");
        check("a\u{61c}\u{feff}\u{e0041}b", "a\\u{61c}\\u{feff}\\u{e0041}b");
    }

    #[test]
    fn long_words_are_cut() {
        check(&"x".repeat(201), &("x".repeat(200) + "…"));
    }

    #[test]
    fn a_repeated_password_is_hidden() {
        let shown = repeatable_without("hunter2", "unknown command PASS hunter2");
        assert_eq!(shown, "unknown command PASS ***");
    }
}
