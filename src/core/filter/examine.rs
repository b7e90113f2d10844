//! How each filter looked at a mail, for people who ask why.
//!
//! Architecture invariant: conditions are tried by the functions that the run itself uses.

use std::sync::Arc;

use super::{Condition, Filter, LookAt, Test, addresses, find, texts};
use crate::core::config::Switch;
use crate::core::mail::Mail;

/// Characters of a value that are shown.
const VALUE_CHARS_MAX: usize = 200;

/// A filter and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Its name.
    pub filter: String,
    /// Its place in the order.
    pub order: i64,
    /// What came of it.
    pub verdict: Verdict,
    /// Its conditions, in order.
    pub conditions: Vec<Looked>,
}

/// What came of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All conditions hold.
    Matches,
    /// One does not.
    Fails,
    /// It is disabled or paused.
    SwitchedOff,
    /// This filter stopped the run before.
    NotReached(String),
}

/// A condition and the value it looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The condition, as it is written.
    pub condition: String,
    /// What stood there.
    pub value: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Every filter, in the order they run; also those that were not reached.
pub fn examine(filters: &[Arc<Filter>], account: &str, mail: &Mail) -> Vec<Examined> {
    let mut stopped: Option<String> = None;
    let mut all = Vec::new();
    for filter in filters {
        let looked = |condition: &Condition| look(condition, account, mail);
        let conditions: Vec<Looked> = filter.conditions.iter().map(looked).collect();
        let verdict = match (&stopped, filter.state) {
            (_, Switch::Disabled | Switch::Paused) => Verdict::SwitchedOff,
            (Some(by), Switch::Enabled) => Verdict::NotReached(by.clone()),
            (None, Switch::Enabled) if conditions.iter().all(|it| it.holds) => Verdict::Matches,
            (None, Switch::Enabled) => Verdict::Fails,
        };
        if verdict == Verdict::Matches && filter.stop {
            stopped = Some(filter.name.clone());
        }
        all.push(Examined {
            filter: filter.name.clone(),
            order: filter.order,
            verdict,
            conditions,
        });
    }
    all
}

fn look(condition: &Condition, account: &str, mail: &Mail) -> Looked {
    let values = match &condition.test {
        Test::Regex(_) => texts(&condition.look_at, account, mail),
        Test::Address(_) => addresses(&condition.look_at, account, mail),
    };
    Looked {
        condition: words(condition),
        value: shortened(&values.join(" | ")),
        holds: find(condition, account, mail).is_some() != condition.not,
    }
}

fn words(condition: &Condition) -> String {
    let place = match &condition.look_at {
        LookAt::Header(name) => name.clone(),
        LookAt::Body => "body".into(),
        LookAt::AttachmentName => "attachmentName".into(),
        LookAt::Account => "account".into(),
    };
    let not = if condition.not { "not " } else { "" };
    match &condition.test {
        Test::Regex(pattern) => format!("{not}{place} regex {}", pattern.source()),
        Test::Address(pattern) => format!("{not}{place} address {}", pattern.source()),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::filter::{Pattern, Settings};
    use crate::core::samples::mail;

    fn filter(name: &str, header: &str, source: &str, not: bool) -> Filter {
        let test = Test::Regex(Pattern::search(source).unwrap());
        Filter {
            name: name.into(),
            order: 1,
            conditions: vec![Condition { look_at: LookAt::Header(header.into()), test, not }],
            set: Settings::default(),
            on_follow_up: Settings::default(),
            stop: true,
            state: Switch::Enabled,
        }
    }

    #[track_caller]
    fn check(filters: &[Filter], expected: &[Verdict]) -> Vec<Examined> {
        let filters: Vec<Arc<Filter>> = filters.iter().cloned().map(Arc::new).collect();
        let examined = examine(&filters, "support", &mail("Subject: a printer\nX-Tag: x"));
        let verdicts: Vec<&Verdict> = examined.iter().map(|one| &one.verdict).collect();
        assert_eq!(verdicts, expected.iter().collect::<Vec<_>>());
        examined
    }

    #[test]
    fn verdicts() {
        let off = Filter { state: Switch::Paused, ..filter("off", "Subject", "", false) };
        let filters = [
            off,
            filter("scanner", "Subject", "scanner", false),
            filter("printer", "Subject", "printer", false),
            filter("late", "Subject", "printer", false),
        ];
        let stopped = Verdict::NotReached("printer".into());
        let expected = [Verdict::SwitchedOff, Verdict::Fails, Verdict::Matches, stopped];
        let examined = check(&filters, &expected);
        assert_eq!(examined[1].conditions[0].value, "a printer");
        assert_eq!(examined[1].conditions[0].condition, "Subject regex scanner");
    }

    #[test]
    fn negations_and_absent_headers() {
        let examined = check(&[filter("no", "X-None", "x", true)], &[Verdict::Matches]);
        let looked = &examined[0].conditions[0];
        assert_eq!((looked.condition.as_str(), looked.value.as_str()), ("not X-None regex x", ""));
        check(&[filter("no", "X-Tag", "x", true)], &[Verdict::Fails]);
    }
}
