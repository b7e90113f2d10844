//! What is expected beside what was observed.

use super::super::redact::Redaction;
use super::trial::{Checked, Observed};
use crate::config::spec::test::{Expectation, Outcome};
use crate::http::explain::OwedMail;

/// One thing that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Key of the expectation.
    pub key: &'static str,
    /// What must be.
    pub expected: Value,
    /// What is.
    pub observed: Value,
}

/// A word, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A word or number.
    Word(String),
    /// Words.
    List(Vec<String>),
    /// Yes or no.
    Truth(bool),
}

/// Everything that differs in one step.
pub fn differences(expected: &Expectation, observed: &Observed) -> Vec<Difference> {
    let Expectation {
        outcome,
        ticket,
        queue,
        priority,
        state,
        owner,
        lock,
        filters,
        auto_reply,
        suppressed,
        notified,
        owed,
        due,
    } = expected;
    let none = || "none".to_owned();
    let nothing = crate::http::explain::nothing_yet();
    let said = observed.said.as_ref().unwrap_or(&nothing);
    let word = |text: &Option<String>| Value::Word(text.clone().unwrap_or_else(none));
    let place = observed.ticket.map_or_else(none, |place| place.to_string());
    let wanted = |text: &Option<String>| text.clone().map(Value::Word);
    let all = [
        ("outcome", outcome.map(|it| Value::Word(label(it).into())), word_of(&observed.outcome)),
        ("ticket", ticket.map(|it| Value::Word(it.to_string())), Value::Word(place)),
        ("queue", wanted(queue), word(&said.queue)),
        ("priority", priority.map(|it| Value::Word(it.0.label().into())), word(&said.priority)),
        ("state", state.map(|it| Value::Word(it.0.label().into())), word(&said.state)),
        ("owner", wanted(owner), word(&said.owner)),
        ("lock", lock.map(Value::Truth), observed.lock.map_or(Value::Word(none()), Value::Truth)),
        ("filters", filters.clone().map(Value::List), Value::List(said.filters.clone())),
        ("autoReply", wanted(auto_reply), word(&said.auto_reply)),
        ("suppressed", wanted(suppressed), word(&said.suppressed)),
        ("notified", notified.clone().map(in_order), in_order(said.notified.clone())),
        ("owed", owed.clone().map(in_order), in_order(owed_words(&said.owed))),
        ("due", due.clone().map(in_order), in_order(owed_words(&observed.due))),
    ];
    let differs = |(key, expected, observed): (&'static str, Option<Value>, Value)| {
        let expected = expected?;
        (expected != observed).then_some(Difference { key, expected, observed })
    };
    all.into_iter().filter_map(differs).collect()
}

/// Sentences about one step, without what comes from mails.
pub fn sentences(checked: &Checked, redaction: &Redaction, several: bool) -> Vec<String> {
    let step = match checked.path.get(1).and_then(|index| index.parse::<usize>().ok()) {
        Some(index) if several => format!("step {}: ", index + 1),
        Some(_) | None => String::new(),
    };
    let observed = match &checked.observed {
        Ok(observed) => observed,
        Err(reason) => return vec![format!("{step}{reason}")],
    };
    let differences = differences(&checked.expected, observed);
    let mut told: Vec<String> = differences
        .iter()
        .map(|it| {
            let observed = it.observed.redacted(redaction, &it.expected);
            format!("{step}{} is {observed}, not {}", it.key, it.expected.shown())
        })
        .collect();
    let held_back = observed.said.as_ref().and_then(|said| said.suppressed.as_ref());
    if let (false, Some(why)) = (told.is_empty(), held_back) {
        told.push(format!("{step}the answer was held back: {why}"));
    }
    told
}

impl Value {
    /// What was observed as it may be shown beside what was expected, which is written in a file.
    fn redacted(&self, redaction: &Redaction, expected: &Value) -> String {
        let known = match expected {
            Value::Word(word) => std::slice::from_ref(word),
            Value::List(words) => words,
            Value::Truth(_) => &[],
        };
        let hide = |word: &String| match word.split_once(" to ") {
            _ if known.contains(word) => word.clone(),
            Some((kind, to)) => format!("{kind} to {}", redaction.name(to)),
            None => redaction.name(word),
        };
        match self {
            Value::Word(word) => Value::Word(hide(word)),
            Value::List(words) => Value::List(words.iter().map(hide).collect()),
            Value::Truth(truth) => Value::Truth(*truth),
        }
        .shown()
    }

    fn shown(&self) -> String {
        match self {
            Value::Word(word) => word.clone(),
            Value::List(words) => format!("[{}]", words.join(", ")),
            Value::Truth(truth) => truth.to_string(),
        }
    }

    /// As YAML in one line.
    pub fn yaml(&self) -> String {
        match self {
            Value::Word(word) => scalar(word),
            Value::List(words) => {
                let words: Vec<String> = words.iter().map(|word| scalar(word)).collect();
                format!("[{}]", words.join(", "))
            }
            Value::Truth(truth) => truth.to_string(),
        }
    }

    /// As it is read from YAML.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Value::Word(word) => match word.parse::<u64>() {
                Ok(number) => number.into(),
                Err(_) => word.as_str().into(),
            },
            Value::List(words) => words.clone().into(),
            Value::Truth(truth) => (*truth).into(),
        }
    }
}

/// Text that YAML reads as this text: bare where that is beyond doubt, else as JSON.
fn scalar(word: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_.@ ".contains(c);
    let first = word.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    // Words of other YAML versions that mean something else.
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = word.chars().all(bare) && word.trim() == word;
    if (first && plain && !reserved.contains(&word.to_lowercase().as_str()))
        || word.parse::<u64>().is_ok()
        || is_priority(word)
    {
        word.to_owned()
    } else {
        serde_json::Value::from(word).to_string()
    }
}

/// `5 very high` begins with a digit and is text all the same.
fn is_priority(word: &str) -> bool {
    crate::core::ticket::Priority::ALL.iter().any(|priority| priority.label() == word)
}

fn word_of(text: &str) -> Value {
    Value::Word(if text.is_empty() { "none".into() } else { text.into() })
}

fn in_order(mut names: Vec<String>) -> Value {
    names.sort();
    Value::List(names)
}

fn owed_words(owed: &[OwedMail]) -> Vec<String> {
    owed.iter().map(|mail| format!("{} to {}", mail.kind, mail.to)).collect()
}

fn label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Created => "created",
        Outcome::FollowUp => "followUp",
        Outcome::Rejected => "rejected",
        Outcome::Bounce => "bounce",
        Outcome::Ignored => "ignored",
        Outcome::Duplicate => "duplicate",
        Outcome::Quarantined => "quarantined",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_yaml() {
        for (word, yaml) in [
            ("support", "support"),
            ("5 very high", "5 very high"),
            ("2", "2"),
            ("no", "\"no\""),
            ("a: b", "\"a: b\""),
            ("障害", "\"障害\""),
            ("autoReply to eve@x.test", "autoReply to eve@x.test"),
            ("", "\"\""),
        ] {
            assert_eq!(Value::Word(word.into()).yaml(), yaml);
            let text = format!("version: 1\nx-a: {yaml}\n");
            let read = crate::config::document::parse(&text).unwrap();
            assert_eq!(read[0]["x-a"], Value::Word(word.into()).json(), "{word:?}");
        }
    }
}
