//! The one sanitiser between what came from outside and what we write into mails and history.
//!
//! lettre panics on a line end in a display name and passes other control characters on, so every
//! value goes through here first.
//!
//! Architecture invariant: every function returns text of bounded length without a control
//! character (a [`block`] keeps line ends and tabs). Nothing here knows what the text means.

use crate::core::invisible;

/// Characters of one line: a subject, a name, a title.
pub const LINE_CHARS_MAX: usize = 200;
/// Characters of a display name.
pub const NAME_CHARS_MAX: usize = 80;
/// Characters of a text.
pub const BLOCK_CHARS_MAX: usize = 200_000;
/// Bytes of a Message-ID that we refer to. Longer ones are left out: they would not fit a line.
pub const MESSAGE_ID_BYTES_MAX: usize = 250;

/// Stands where something was cut.
const CUT: char = '…';

/// One line: control and direction characters out, blanks collapsed, cut after `chars_max`.
pub fn line(text: &str, chars_max: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(4 * chars_max));
    let mut blank = false;
    let mut room = chars_max;
    for (c, hidden) in invisible::marked(text) {
        if c.is_whitespace() || c.is_control() {
            blank = !clean.is_empty();
            continue;
        }
        if hidden {
            continue;
        }
        if room <= usize::from(blank) {
            clean.push(CUT);
            break;
        }
        if blank {
            clean.push(' ');
            room -= 1;
            blank = false;
        }
        clean.push(c);
        room -= 1;
    }
    // An encoded word (RFC 2047) that arrived as plain text would be decoded by the next reader
    // and bring back what was just taken out.
    if clean.contains("=?") { clean.replace("=?", "= ?") } else { clean }
}

/// Several lines, parted by `\n`: control and direction characters out, cut after `chars_max`.
pub fn block(text: &str, chars_max: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(4 * chars_max));
    let mut after_return = false;
    for (count, (c, hidden)) in invisible::marked(text).enumerate() {
        if count == chars_max {
            clean.push(CUT);
            break;
        }
        match c {
            '\n' if after_return => {}
            '\n' | '\r' | '\u{85}' => clean.push('\n'),
            _ if invisible::separates(c) => clean.push('\n'),
            '\t' => clean.push('\t'),
            _ if hidden || c.is_control() => {}
            _ => clean.push(c),
        }
        after_return = c == '\r';
    }
    clean
}

/// Takes the life out of links, so that a mail of ours cannot be used to spread them.
pub fn defanged(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut clean = String::with_capacity(text.len() + 8);
    for (at, c) in chars.iter().enumerate() {
        let inside_host = *c == '.'
            && at > 0
            && chars[at - 1].is_alphanumeric()
            && chars.get(at + 1).is_some_and(|next| next.is_alphanumeric())
            && !chars[at + 1].is_ascii_digit();
        if inside_host {
            clean.push_str("[.]");
        } else {
            clean.push(*c);
        }
    }
    clean.replace("://", "[:]//")
}

/// A Message-ID without angle brackets that may stand in a header (RFC 5322 section 3.6.4), or
/// `None` if the text is none.
pub fn message_id(text: &str) -> Option<&str> {
    let id = text.trim();
    let id = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id);
    let (left, right) = id.split_once('@')?;
    let allowed = |c: char| c.is_ascii_graphic() && !"<>@()\\\",;".contains(c);
    let whole = !left.is_empty() && !right.is_empty() && id.len() <= MESSAGE_ID_BYTES_MAX;
    let shaped = left.chars().all(allowed) && right.chars().all(allowed) && !id.contains("=?");
    (whole && shaped).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_line(text: &str, expected: &str) {
        assert_eq!(line(text, 20), expected);
    }

    #[test]
    fn lines_end_no_header() {
        check_line("a\r\nBcc: b@x.test", "a Bcc: b@x.test");
        check_line("a\0b\u{7f}c\u{85}d", "a b c d");
        check_line("  a \t  b  ", "a b");
        check_line("\u{2028}a\u{2029}b", "a b");
    }

    #[test]
    fn lines_keep_what_people_write() {
        check_line("プリンター①が壊れた", "プリンター①が壊れた");
        check_line("👨\u{200d}👩\u{200d}👧 family", "👨\u{200d}👩\u{200d}👧 family");
    }

    #[test]
    fn lines_read_in_one_direction() {
        check_line("\u{202e}exe.doc\u{202c}", "exe.doc");
        check_line("1\u{200b}2\u{feff}3", "123");
        check_line("a\u{3164}\u{e0041}b\u{200d}\u{fe0f}c", "abc");
    }

    #[test]
    fn lines_are_not_decoded_twice() {
        check_line("=?utf-8?b?DQo=?=", "= ?utf-8?b?DQo= ?=");
    }

    #[test]
    fn lines_are_cut_at_characters() {
        check_line(&"あ".repeat(21), &format!("{}…", "あ".repeat(20)));
        check_line(&"あ".repeat(20), &"あ".repeat(20));
        check_line("1234567890123456789 1", "1234567890123456789…");
    }

    #[track_caller]
    fn check_block(text: &str, expected: &str) {
        assert_eq!(block(text, 20), expected);
    }

    #[test]
    fn blocks_have_one_kind_of_line_end() {
        check_block("a\r\nb\rc\nd\n\r\ne", "a\nb\nc\nd\n\ne");
    }

    #[test]
    fn blocks_keep_tabs_and_nothing_else_of_the_controls() {
        check_block("a\tb\0\u{1b}[31mc", "a\tb[31mc");
    }

    #[test]
    fn blocks_are_cut() {
        check_block(&"x".repeat(30), &format!("{}…", "x".repeat(20)));
    }

    #[track_caller]
    fn check_defanged(text: &str, expected: &str) {
        assert_eq!(defanged(text), expected);
    }

    #[test]
    fn links_lose_their_life() {
        check_defanged("win https://evil.example/x now", "win https[:]//evil[.]example/x now");
        check_defanged("www.evil.example", "www[.]evil[.]example");
        check_defanged("例え.テスト", "例え[.]テスト");
    }

    #[test]
    fn sentences_and_numbers_stay() {
        check_defanged("Done. Version 1.2.3", "Done. Version 1.2.3");
    }

    #[track_caller]
    fn check_id(text: &str, expected: Option<&str>) {
        assert_eq!(message_id(text), expected);
    }

    #[test]
    fn ids_with_and_without_brackets() {
        check_id("<a.b+c=d@x.test>", Some("a.b+c=d@x.test"));
        check_id("a@[10.0.0.1]", Some("a@[10.0.0.1]"));
    }

    #[test]
    fn ids_that_could_break_a_header() {
        check_id("a@x\r\nBcc: b@x", None);
        check_id("a@x> <b@x", None);
        check_id("a b@x", None);
        check_id("a\0b@x", None);
        check_id("=?utf-8?b?DQo=?=@x", None);
        check_id("no-at-sign", None);
        check_id(&format!("{}@x", "a".repeat(300)), None);
    }
}
