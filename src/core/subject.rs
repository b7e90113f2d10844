//! What a subject says: whether two are the same to a person (answers, forwards and ticket numbers
//! aside), and what remains of one when we answer.
//!
//! Architecture invariant: linear in the text, whoever wrote it.

use super::config::Desk;
use super::thread;

/// What mail programs write before the subject of an answer, in the languages in which they are
/// most often set up.
const ANSWER_MARKS: [&str; 9] = ["re", "aw", "antw", "sv", "vs", "odp", "rv", "res", "返信"];

/// The same before the subject of a forward.
const FORWARD_MARKS: [&str; 7] = ["fw", "fwd", "wg", "vb", "tr", "enc", "転送"];

/// The subject of a mail of ours to which a tag is added: without tags of this desk, and with one
/// mark where programs had put several (`RE: Re: Printer` becomes `RE: Printer`). Tags of other
/// desks stay: they lead the answer to a ticket there.
pub fn answered(desk: &Desk, subject: &str) -> String {
    let text = thread::without_own_tags(desk, subject);
    let first = text.trim_start();
    let Some(behind_first) = without_answer_mark(first) else { return text };
    let rest = behind_all(behind_first, without_answer_mark);
    let mark = first[..first.len() - behind_first.len()].trim_end();
    format!("{mark} {rest}")
}

/// The title of a ticket that continues a closed one: without tags of this desk and without marks.
pub fn continued(desk: &Desk, subject: &str) -> String {
    behind_all(thread::without_own_tags(desk, subject).trim(), without_mark).to_owned()
}

/// What stands behind all marks; `behind` takes one off.
fn behind_all(text: &str, behind: fn(&str) -> Option<&str>) -> &str {
    let mut rest = text;
    while let Some(behind) = behind(rest) {
        rest = behind;
    }
    rest
}

/// What is left of a subject that two mails about the same thing have in common.
pub fn bare(desk: &Desk, subject: &str) -> String {
    let text = thread::without_tags(desk, subject).to_lowercase();
    let rest = behind_all(text.trim(), without_mark);
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
    without_answer_mark(text).or_else(|| behind_one_of(&FORWARD_MARKS, text))
}

fn without_answer_mark(text: &str) -> Option<&str> {
    behind_one_of(&ANSWER_MARKS, text)
}

fn behind_one_of<'t>(marks: &[&str], text: &'t str) -> Option<&'t str> {
    let (mark, rest) = text.split_once([':', '：'])?;
    let mark = mark.split('[').next().unwrap_or(mark).trim();
    marks.iter().any(|known| known.eq_ignore_ascii_case(mark)).then(|| rest.trim_start())
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

    #[track_caller]
    fn check_answered(subject: &str, expected: &str) {
        let answered = answered(&samples::config().desk, subject);
        assert_eq!(answered.split_whitespace().collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn an_answer_has_one_mark_and_no_tag_of_ours() {
        check_answered("Printer broken", "Printer broken");
        check_answered("RE: Re: AW: Printer", "RE: Printer");
        check_answered("AW[2]: Re: Printer", "AW[2]: Printer");
        check_answered("返信：Re: プリンター", "返信： プリンター");
        check_answered("Re: [Ticket#2026112210000013] Re: Printer", "Re: Printer");
        check_answered("[Ticket#2020010110000011] [Ticket#2026112210000013] x", "x");
        check_answered("Re: [Ticket#2026112299000013] x", "Re: [Ticket#2026112299000013] x");
        check_answered("Re: Fwd: Re: x", "Re: Fwd: Re: x");
        check_answered("Re:", "Re:");
        check_answered("", "");
    }

    #[test]
    fn a_ticket_that_continues_another_has_a_title_of_its_own() {
        let desk = &samples::config().desk;
        for subject in [
            "Re: [Ticket#2026112210000013] Printer Broken",
            "[Ticket#2026112210000013] AW: Fwd: Printer Broken",
        ] {
            assert_eq!(continued(desk, subject), "Printer Broken");
        }
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
