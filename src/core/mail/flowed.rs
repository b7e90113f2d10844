//! Text whose paragraphs were broken into lines for transport (RFC 3676).
//!
//! Architecture invariant: only line breaks, quote marks and the stuffed blank are touched.

/// Joins flowed lines again. `delsp` says that the blank before the break was added, too.
pub fn unfold(text: &str, delsp: bool) -> String {
    let mut out = String::with_capacity(text.len());
    // Quote depth of the open paragraph.
    let mut open: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let ended = line.ends_with('\n');
        let line = line.trim_end_matches('\n');
        let depth = line.bytes().take_while(|byte| *byte == b'>').count();
        let words = line[depth..].strip_prefix(' ').unwrap_or(&line[depth..]);
        if open.is_some_and(|open| open != depth) {
            out.push('\n');
            open = None;
        }
        if open.is_none() && depth > 0 {
            out.push_str(&line[..depth]);
            out.push(' ');
        }
        // RFC 3676 section 4.3: the signature separator is never flowed.
        let flows = ended && words.ends_with(' ') && words != "-- ";
        let words = if flows && delsp { &words[..words.len() - 1] } else { words };
        out.push_str(words);
        open = flows.then_some(depth);
        if ended && !flows {
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(unfold(text, false), expected);
    }

    #[test]
    fn paragraphs() {
        check("a \nb\nc\n", "a b\nc\n");
        check(" >a\n From x\n", ">a\nFrom x\n");
        check("a\n-- \nme\n", "a\n-- \nme\n");
        check("a", "a");
    }

    #[test]
    fn quotes() {
        check(">> a \n>> b\n> c\n", ">> a b\n> c\n");
        check("> a \nb\n", "> a \nb\n");
    }

    #[test]
    fn deleted_spaces() {
        assert_eq!(unfold("日 \n本\n", true), "日本\n");
    }
}
