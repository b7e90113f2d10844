//! Text that strangers wrote, made safe to look at.
//!
//! Architecture invariant: what is shown reads in the order in which it was written; characters
//! that turn the reading order around or show as nothing are named instead.

use maud::{Markup, html};

use super::plain::beginning;

/// A text of a stranger.
pub fn foreign(text: &str) -> Markup {
    html! { bdi { (plain(text)) } }
}

/// The beginning of one, for lists.
pub fn short(text: &str, columns: usize) -> Markup {
    let shown = beginning(text, columns);
    html! { bdi { (plain(shown)) @if shown.len() < text.len() { "…" } } }
}

/// The same without an element around it, for titles and attributes.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\n' | '\t') || !hidden(c) {
            shown.push(c);
        } else {
            shown.push_str(&format!("[U+{:04X}]", u32::from(c)));
        }
    }
    shown
}

/// Whether a character shows as nothing, or turns the reading order around.
pub(super) fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{00AD}'
                | '\u{061C}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(plain(text), expected);
    }

    #[test]
    fn what_hides_is_named() {
        check("請求書 Ünïcode\tx", "請求書 Ünïcode\tx");
        check("exe\u{202E}gpj", "exe[U+202E]gpj");
        check("a\u{200B}b\r\u{7}", "a[U+200B]b[U+000D][U+0007]");
        assert_eq!(foreign("<b>").into_string(), "<bdi>&lt;b&gt;</bdi>");
    }
}
