//! When one filter surely matches whatever another one matches.
//!
//! Architecture invariant: the answer is yes only where it can be proved; expressions are compared
//! as written, or tried on plain words.

use std::sync::Arc;

use super::{Condition, Filter, LookAt, Pattern, Test};
use crate::core::config::Switch;

/// Whether `general` matches every mail that `special` matches: each condition of the one follows
/// from a condition of the other.
pub fn follows(special: &Filter, general: &Filter) -> bool {
    let implied = |condition: &Condition| {
        always_holds(condition) || special.conditions.iter().any(|it| implies(it, condition))
    };
    general.conditions.iter().all(implied)
}

/// Filters that no mail they match ever reaches, each with the first that takes all of them and
/// stops. Filters that are switched off neither hide nor are hidden.
pub fn hidden_by<'a>(filters: &'a [Arc<Filter>]) -> Vec<(&'a Filter, &'a Filter)> {
    let all = filters.iter().map(Arc::as_ref);
    let enabled: Vec<&'a Filter> = all.filter(|filter| filter.state == Switch::Enabled).collect();
    let pair = |(index, filter): (usize, &&'a Filter)| {
        let mut before = enabled[..index].iter();
        let first = before.find(|first| first.stop && follows(filter, first))?;
        Some((*filter, *first))
    };
    enabled.iter().enumerate().filter_map(pair).collect()
}

/// Whether two conditions exclude each other.
pub fn contradict(one: &Condition, other: &Condition) -> bool {
    let positive = |it: &Condition| Condition { not: false, ..it.clone() };
    match (one.not, other.not) {
        (false, true) => implies(one, &positive(other)),
        (true, false) => implies(other, &positive(one)),
        (true, true) | (false, false) => false,
    }
}

/// An expression that is found in every text, and so in the empty one as well.
fn always_holds(condition: &Condition) -> bool {
    match &condition.test {
        Test::Regex(pattern) => {
            !condition.not && matches!(pattern.source(), "" | ".*" | "^" | "$" | "^.*" | "(.*)")
        }
        // A header without any address holds none.
        Test::Address(_) => false,
    }
}

fn implies(special: &Condition, general: &Condition) -> bool {
    if !same_place(&special.look_at, &general.look_at) {
        return false;
    }
    match (special.not, general.not) {
        (false, false) => test_implies(&special.test, &general.test),
        (true, true) => test_implies(&general.test, &special.test),
        (true, false) | (false, true) => false,
    }
}

fn same_place(one: &LookAt, other: &LookAt) -> bool {
    match (one, other) {
        (LookAt::Header(one), LookAt::Header(other)) => one.eq_ignore_ascii_case(other),
        (one, other) => one == other,
    }
}

fn test_implies(special: &Test, general: &Test) -> bool {
    if special == general {
        return true;
    }
    match (special, general) {
        (Test::Address(special), Test::Address(general)) => match plain(special) {
            Some(address) => general.regex().is_match(&address),
            None => special.source() != ".*" && general.source() == ".*",
        },
        // A text that holds a word holds whatever is found in the word, unless the expression
        // also looks at what stands around it.
        (Test::Regex(special), Test::Regex(general)) => {
            looks_at_itself_only(general)
                && plain(special).is_some_and(|word| general.regex().is_match(&word))
        }
        (Test::Regex(_), Test::Address(_)) | (Test::Address(_), Test::Regex(_)) => false,
    }
}

/// The text that an expression stands for, if it stands for one alone (in any case of letters).
pub fn plain(pattern: &Pattern) -> Option<String> {
    let mut text = String::new();
    let mut characters = pattern.source().chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                let escaped = characters.next()?;
                // Letters and digits behind a backslash are classes, places or codes.
                if escaped.is_alphanumeric() || "<>".contains(escaped) {
                    return None;
                }
                text.push(escaped);
            }
            '.' | '^' | '$' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' => {
                return None;
            }
            other => text.push(other),
        }
    }
    (!text.is_empty()).then_some(text)
}

/// No anchors, word boundaries or flags.
fn looks_at_itself_only(pattern: &Pattern) -> bool {
    let source = pattern.source();
    let looks = ["^", "$", "\\b", "\\B", "\\A", "\\z", "\\<", "\\>", "(?"];
    !looks.iter().any(|look| source.contains(look))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::Switch;
    use crate::core::filter::Settings;

    fn search(header: &str, source: &str) -> Condition {
        let test = Test::Regex(Pattern::search(source).unwrap());
        Condition { look_at: LookAt::Header(header.into()), test, not: false }
    }

    fn whole(header: &str, source: &str) -> Condition {
        Condition { test: Test::Address(Pattern::whole(source).unwrap()), ..search(header, "") }
    }

    fn not(condition: Condition) -> Condition {
        Condition { not: true, ..condition }
    }

    fn filter(conditions: Vec<Condition>) -> Filter {
        Filter {
            name: "f".into(),
            order: 1,
            conditions,
            set: Settings::default(),
            on_follow_up: Settings::default(),
            stop: false,
            state: Switch::Enabled,
        }
    }

    #[track_caller]
    fn check(special: Vec<Condition>, general: Vec<Condition>, expected: bool) {
        assert_eq!(follows(&filter(special), &filter(general)), expected);
    }

    #[test]
    fn fewer_conditions_match_more() {
        let [a, b] = [search("Subject", "a.c"), search("From", "x")];
        check(vec![a.clone(), b.clone()], vec![a.clone()], true);
        check(vec![a.clone()], vec![a.clone(), b.clone()], false);
        check(vec![a], vec![b], false);
    }

    #[test]
    fn words_hold_their_parts() {
        check(vec![search("Subject", "printers")], vec![search("subject", "PRINT")], true);
        check(vec![search("Subject", "print")], vec![search("Subject", "printers")], false);
        check(vec![search("Subject", "printers")], vec![search("Subject", "^print")], false);
        check(vec![search("Subject", "printers")], vec![search("Subject", "print\\b")], false);
        check(vec![search("Subject", "print.*")], vec![search("Subject", "print")], false);
        check(vec![search("Subject", "a\\.b")], vec![search("Subject", "[ax]\\.b")], true);
    }

    #[test]
    fn addresses() {
        let [boss, all] = [whole("From", "boss@vip\\.example"), whole("From", ".*@vip\\.example")];
        check(vec![boss.clone()], vec![all.clone()], true);
        check(vec![all.clone()], vec![boss.clone()], false);
        check(vec![boss.clone()], vec![whole("To", ".*@vip\\.example")], false);
        check(vec![boss], vec![search("From", "vip")], false);
        check(vec![all], vec![whole("From", ".*")], true);
    }

    #[test]
    fn negations_turn_it_round() {
        let [wide, narrow] = [search("Subject", "print"), search("Subject", "printers")];
        check(vec![not(wide.clone())], vec![not(narrow.clone())], true);
        check(vec![not(narrow.clone())], vec![not(wide.clone())], false);
        check(vec![narrow.clone()], vec![not(wide.clone())], false);
        assert!(contradict(&narrow, &not(wide.clone())));
        assert!(!contradict(&wide, &not(narrow)));
        assert!(!contradict(&wide, &wide));
    }

    #[test]
    fn what_is_found_everywhere() {
        check(vec![search("From", "x")], vec![search("Subject", ".*")], true);
        check(vec![search("From", "x")], vec![whole("Subject", ".*")], false);
        check(vec![search("From", "x")], vec![not(search("Subject", ".*"))], false);
    }
}
