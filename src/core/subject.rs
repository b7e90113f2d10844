//! Whether two subjects are the same to a person: answers, forwards and ticket numbers aside.
//!
//! Architecture invariant: linear in the text, whoever wrote it.

use super::config::Desk;
use super::thread;

/// What mail programs write before the subject of an answer or a forward, in the languages in which
/// they are most often set up.
const MARKS: [&str; 16] = [
    "re", "fw", "fwd", "aw", "wg", "antw", "sv", "vs", "vb", "tr", "rv", "odp", "res", "enc",
    "返信", "転送",
];

/// What is left of a subject that two mails about the same thing have in common.
pub fn bare(desk: &Desk, subject: &str) -> String {
    let text = thread::without_tags(desk, subject).to_lowercase();
    let mut rest = text.trim();
    while let Some(behind) = without_mark(rest) {
        rest = behind;
    }
    rest.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a bare subject says so little that many mails about different things have it: nothing,
/// or a single word. Scripts without blanks between words have more than one in six characters.
pub fn is_brief(bare: &str) -> bool {
    let has_blanks = bare.contains(' ');
    let without_blanks =
        bare.chars().any(|c| matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}'));
    !has_blanks && (!without_blanks || bare.chars().count() < 6)
}

/// What stands behind a mark such as `Re:` or `AW[2]:`.
fn without_mark(text: &str) -> Option<&str> {
    let (mark, rest) = text.split_once([':', '：'])?;
    let mark = mark.split('[').next().unwrap_or(mark).trim();
    MARKS.contains(&mark).then(|| rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[track_caller]
    fn check(subject: &str, expected: &str) {
        assert_eq!(bare(&samples::config().desk, subject), expected);
    }

    #[test]
    fn what_two_mails_have_in_common() {
        check("Printer broken", "printer broken");
        check("  RE: Fwd:  Printer\t broken ", "printer broken");
        check("AW[2]: Antw: printer Broken", "printer broken");
        check("返信：プリンター", "プリンター");
        check("Re: [Ticket#2026112210000013] Printer broken", "printer broken");
        check("[Ticket#2026112210000013] Re: [Ticket#2026112210000021] x", "x");
        check("Re: ", "");
        check("", "");
    }

    #[test]
    fn brief_subjects() {
        for brief in ["", "help", "störungsmeldung", "質問", "プリンタ"] {
            assert!(is_brief(brief), "{brief}");
        }
        for telling in ["printer broken", "プリンターが壊れました", "a b"] {
            assert!(!is_brief(telling), "{telling}");
        }
    }

    #[test]
    fn what_is_part_of_the_subject() {
        check("Order 17: late", "order 17: late");
        check("[ACME] Order 17", "[acme] order 17");
        check("Reply: x", "reply: x");
    }
}
