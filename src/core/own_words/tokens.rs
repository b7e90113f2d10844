//! A text as a sequence of words, and its lines with their quote marks.
//!
//! Architecture invariant: what mail programs change when they quote makes no difference here:
//! case, width, punctuation, quote marks, invisible characters, the kind of white space.

use std::ops::Range;

use crate::core::invisible;

/// Weight of a word. A run of words is measured in weights, so that one limit fits languages that
/// write blanks and those that do not.
pub const WORD_WEIGHT: usize = 2;
/// Weight of a character that is a word of its own.
pub const CHARACTER_WEIGHT: usize = 1;
/// Characters before the mark in quotes that begin with initials, as in `AB> text`.
const INITIALS_CHARS_MAX: usize = 3;

/// A word, as what it hashes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Hash of the normalised word.
    pub word: u64,
    /// [`WORD_WEIGHT`] or [`CHARACTER_WEIGHT`].
    pub weight: usize,
}

/// A line of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line without its end.
    pub text: &'a str,
    /// Whether it begins with a quote mark.
    pub quoted: bool,
    /// Which tokens of the text are on it.
    pub tokens: Range<usize>,
}

/// The lines and the words of a text. Quote marks and initials before them are no words.
pub fn read(text: &str) -> (Vec<Line<'_>>, Vec<Token>) {
    let mut lines = Vec::new();
    let mut tokens = Vec::new();
    for line in text.lines() {
        let (quoted, words) = unquoted(line);
        let start = tokens.len();
        tokenize(words, &mut tokens);
        lines.push(Line { text: line, quoted, tokens: start..tokens.len() });
    }
    (lines, tokens)
}

/// The words of a text that is not quoted.
pub fn words(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    tokenize(text, &mut tokens);
    tokens
}

/// Whether a line is quoted, and what stands behind its quote marks.
fn unquoted(line: &str) -> (bool, &str) {
    let mut rest = line.trim_start();
    let mut quoted = false;
    loop {
        let behind = behind_mark(rest).or_else(|| behind_initials(rest));
        let Some(behind) = behind else { return (quoted, rest) };
        quoted = true;
        rest = behind.trim_start();
    }
}

fn behind_mark(text: &str) -> Option<&str> {
    text.strip_prefix(['>', '\u{ff1e}', '\u{bb}', '\u{203a}', '\u{226b}'])
}

fn behind_initials(text: &str) -> Option<&str> {
    let mark = text.char_indices().take(INITIALS_CHARS_MAX + 1).find(|(_, c)| *c == '>')?.0;
    let behind = &text[mark + 1..];
    let apart = behind.is_empty() || behind.starts_with([' ', '>', '\t']);
    let initials = text[..mark].chars().all(|c| c.is_ascii_alphabetic());
    (mark > 0 && initials && apart).then_some(behind)
}

fn tokenize(text: &str, tokens: &mut Vec<Token>) {
    let mut word = Word::default();
    for c in text.chars() {
        let c = narrow(c);
        if invisible::hides(c) || invisible::shapes(c) {
            continue;
        }
        if is_word_of_its_own(c) {
            word.end(tokens);
            word.add(c);
            word.finish(CHARACTER_WEIGHT, tokens);
        } else if c.is_alphanumeric() {
            c.to_lowercase().for_each(|c| word.add(c));
        } else {
            word.end(tokens);
        }
    }
    word.end(tokens);
}

/// A word while it is read: FNV-1a of its characters.
#[derive(Default)]
struct Word(Option<u64>);

impl Word {
    fn add(&mut self, c: char) {
        const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let mut hash = self.0.unwrap_or(BASIS);
        for byte in u32::from(c).to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        }
        self.0 = Some(hash);
    }

    fn end(&mut self, tokens: &mut Vec<Token>) {
        self.finish(WORD_WEIGHT, tokens);
    }

    fn finish(&mut self, weight: usize, tokens: &mut Vec<Token>) {
        if let Some(word) = self.0.take() {
            tokens.push(Token { word, weight });
        }
    }
}

/// Full-width forms of ASCII as ASCII.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => {
            char::from_u32(u32::from(c) - 0xfee0).expect("this range is ASCII moved by 0xfee0")
        }
        c => c,
    }
}

/// Scripts that are written without blanks.
fn is_word_of_its_own(c: char) -> bool {
    matches!(
        c,
        '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9d}' | '\u{20000}'..='\u{3ffff}'
    ) && c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_same(one: &str, other: &str) {
        assert_eq!(read(one).1, read(other).1, "{one:?} and {other:?}");
    }

    #[test]
    fn quoting_makes_no_difference() {
        check_same("Margin is 70%.", "> > margin\u{a0}is\n>> 70 %");
        check_same("Margin is 70%.", "AB> Margin is 70%.");
        check_same("don't", "\u{ff1e} don\u{2019}t");
        check_same("ＡＢＣ１２", "abc12");
        check_same("在庫を確認", "在庫\n＞を 確認");
        check_same("so\u{ad}ft \u{200b}hyphen", "soft hyphen");
    }

    #[track_caller]
    fn check_quoted(line: &str, expected: bool) {
        assert_eq!(read(line).0[0].quoted, expected, "{line:?}");
    }

    #[test]
    fn quote_marks() {
        check_quoted("> a", true);
        check_quoted("  >", true);
        check_quoted("＞a", true);
        check_quoted("AB> a", true);
        check_quoted("a>b", false);
        check_quoted("1> a", false);
        check_quoted("see -> a", false);
    }
}
