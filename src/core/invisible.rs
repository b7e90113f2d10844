//! Characters that show nothing, or change how the characters around them are read: the one table of
//! them, for log, terminal, page, headers and file names.
//!
//! ```text
//! turns     turns the direction of writing: `exe.pdf` out of `fdp.exe` (Unicode Bidi_Control but
//!           the marks)
//! hides     turns, or shows nothing: zero-width characters, direction marks, fillers, tags,
//!           separators of lines (most of Unicode Default_Ignorable_Code_Point)
//! shapes    changes how its neighbours are drawn: joiners and variation selectors. Emoji, several
//!           scripts and Japanese names need them, so behind a character that they can shape they stay
//! ```
//!
//! Architecture invariant: no other file has such a table; `tests/it/tidy.rs` looks for one. Control
//! characters are not in it: `char::is_control` knows them.

/// Most joiners and variation selectors in a row; emoji have two. More could carry a hidden text.
const SHAPES_IN_A_ROW_MAX: usize = 2;

/// Whether a character turns the direction of writing: an embedding, override or isolate. The direction
/// marks, which texts in Arabic and Hebrew need, are not among them.
pub fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character ends a line or a paragraph without being a control character.
pub fn separates(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a character changes how its neighbours are drawn.
pub fn shapes(c: char) -> bool {
    matches!(
        c,
        // Mongolian variation selectors.
        '\u{180b}'..='\u{180d}' | '\u{180f}'
        // Zero-width non-joiner and joiner.
        | '\u{200c}' | '\u{200d}'
        | '\u{fe00}'..='\u{fe0f}'
        // Variants of Chinese characters.
        | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Whether a character shows nothing, or turns the direction of writing.
pub fn hides(c: char) -> bool {
    turns(c)
        || separates(c)
        || matches!(
            c,
            // Direction marks.
            '\u{061c}' | '\u{200e}' | '\u{200f}'
            // Soft hyphen, combining grapheme joiner.
            | '\u{00ad}' | '\u{034f}'
            // Hangul fillers and Khmer inherent vowels.
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff0}'..='\u{fffb}'
            // Shorthand and musical format controls.
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            // Tags, and what is reserved for more of them.
            | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}'
        )
}

/// Each character of a text, and whether it should not be there: it hides, or it shapes nothing.
pub fn marked(text: &str) -> impl Iterator<Item = (char, bool)> + '_ {
    let (mut base, mut shaped) = (None, 0);
    text.chars().map(move |c| {
        if !shapes(c) {
            (base, shaped) = (Some(c), 0);
            return (c, hides(c));
        }
        shaped += 1;
        (c, shaped > SHAPES_IN_A_ROW_MAX || !base.is_some_and(|base| can_be_shaped(base, c)))
    })
}

/// A text without what should not be there.
pub fn removed(text: &str) -> String {
    marked(text).filter(|(_, hidden)| !hidden).map(|(c, _)| c).collect()
}

/// Whether a character has forms that a selector or joiner chooses from: none of ASCII but the base of
/// a keycap (Unicode emoji-variation-sequences).
fn can_be_shaped(base: char, by: char) -> bool {
    let keycap = base.is_ascii_digit() || matches!(base, '#' | '*');
    if base.is_ascii() { keycap && matches!(by, '\u{fe0e}' | '\u{fe0f}') } else { !hides(base) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(removed(text), expected);
    }

    #[test]
    fn what_people_write_stays() {
        for text in [
            "請求書 Ünïcode",
            "👨\u{200d}👩\u{200d}👧 family",
            "❤\u{fe0f}\u{200d}🔥",
            "1\u{fe0f}\u{20e3}",
            // A Persian word, and a Japanese name with a variant of its first character.
            "می\u{200c}خواهم",
            "葛\u{e0100}城",
            "ก\u{e31} か\u{3099}",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn what_turns_or_hides_is_removed() {
        check("\u{202e}exe.doc\u{202c}", "exe.doc");
        check("a\u{2066}b\u{2069}\u{61c}\u{200e}\u{200f}", "ab");
        check("1\u{200b}2\u{feff}3\u{2060}4\u{ad}5", "12345");
        check("a\u{2028}b\u{2029}c", "abc");
        check("a\u{e0041}\u{e007f}\u{3164}\u{115f}\u{34f}", "a");
    }

    #[test]
    fn what_shapes_nothing_is_removed() {
        check("a.ex\u{200d}e\u{fe0f}", "a.exe");
        check("\u{200d}x", "x");
        check("😀\u{fe00}\u{fe01}\u{fe02}\u{e0100}x", "😀\u{fe00}\u{fe01}x");
        check("\u{200b}\u{fe0f}x", "x");
    }

    #[test]
    fn the_kinds_are_apart_and_no_control() {
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            assert!(!(hides(c) && shapes(c)), "{:04x}", u32::from(c));
            assert!(!turns(c) || hides(c), "{:04x}", u32::from(c));
            assert!(!(hides(c) || shapes(c)) || !c.is_control(), "{:04x}", u32::from(c));
        }
    }
}
