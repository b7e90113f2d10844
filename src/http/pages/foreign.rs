//! Text that strangers wrote, made safe to look at.
//!
//! Architecture invariant: what is shown reads in the order in which it was written; characters
//! that turn the reading order around or show as nothing are named instead.

use maud::{Markup, html};

use super::plain::beginning;
use crate::core::invisible;

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
    for (c, hidden) in invisible::marked(text) {
        if matches!(c, '\n' | '\t') || !hidden && !c.is_control() {
            shown.push(c);
        } else {
            shown.push_str(&format!("[U+{:04X}]", u32::from(c)));
        }
    }
    shown
}

/// Whether a character may show as nothing, or turns the reading order around.
pub(super) fn hidden(c: char) -> bool {
    c.is_control() || invisible::hides(c) || invisible::shapes(c)
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
        check("a\u{200D}\u{E0041}\u{3164}", "a[U+200D][U+E0041][U+3164]");
        check("👨\u{200D}👩 葛\u{E0100}", "👨\u{200D}👩 葛\u{E0100}");
        assert_eq!(foreign("<b>").into_string(), "<bdi>&lt;b&gt;</bdi>");
    }
}
