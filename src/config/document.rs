//! YAML text → JSON values, strictly: what another reader of YAML could understand differently
//! is refused.
//!
//! Architecture invariant: this module and `place` are the only ones that know the YAML crate. No
//! input makes it take more than [`EXPANDED_BYTES_MAX`] beyond what the size of the text accounts
//! for, and it stops at the first syntax error, after which the crate's document iterator would
//! repeat that error for ever.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deepest nesting of maps and lists.
pub const NESTING_LEVELS_MAX: usize = 64;
/// What aliases may add to a document. Bytes.
pub const EXPANDED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a value costs beside its text. Bytes.
const VALUE_BYTES: usize = 32;
/// Brackets opened and not closed, anywhere in a file. The YAML scanner's work grows with the
/// square of it, before any value is seen.
const OPEN_BRACKETS_MAX: usize = 2_000;
/// Dashes and question marks that open a level each on one line.
const LINE_INDICATORS_MAX: usize = 2_000;

/// Why a text is not a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Line from 1 and column in characters from 1.
    pub place: (usize, usize),
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Reads all documents of a file. Empty ones are `Null`.
pub fn parse(text: &str) -> Result<Vec<Value>, SyntaxError> {
    refuse_costly(text)?;
    let budget =
        Budget { left: Cell::new(text.len() * (1 + VALUE_BYTES / 2) + EXPANDED_BYTES_MAX) };
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let strict = Strict { budget: &budget, level: 0 };
        documents.push(strict.deserialize(document).map_err(|error| explain(&error))?);
    }
    Ok(documents)
}

/// What stands before a text that is to be quoted, while it is written: no plain scalar begins with
/// `!`, and the second character is of private use.
const QUOTE: &str = "!\u{e000}";

/// Writes a value as YAML, for people to go on with, and for Helm: a text that YAML 1.1 takes for a
/// boolean, a number or a time is quoted.
pub fn write(value: &Value) -> String {
    serde_yaml::to_string(&marked(value)).unwrap_or_default().replace(QUOTE, "")
}

fn marked(value: &Value) -> Value {
    let text = |text: &str| match is_ambiguous(text) {
        true => format!("{QUOTE}{text}"),
        false => text.to_owned(),
    };
    match value {
        Value::String(string) => Value::String(text(string)),
        Value::Array(items) => Value::Array(items.iter().map(marked).collect()),
        Value::Object(object) => {
            let entries = object.iter().map(|(key, value)| (text(key), marked(value)));
            Value::Object(entries.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Whether YAML 1.1 may read a plain scalar as something else than a text (yaml.org/type: bool, int
/// with base 60, float, timestamp, merge, value), which YAML 1.2 does not.
fn is_ambiguous(text: &str) -> bool {
    let words = ["y", "n", "yes", "no", "on", "off", "=", "<<"];
    let like_number = |c: char| c.is_ascii_hexdigit() || "_:.+-xXoOtTzZ ".contains(c);
    words.iter().any(|word| word.eq_ignore_ascii_case(text))
        || (text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && text.chars().all(like_number))
}

/// Finds what the scanner itself would take too long for.
fn refuse_costly(text: &str) -> Result<(), SyntaxError> {
    let mut open = 0usize;
    for (index, line) in text.lines().enumerate() {
        let mut indicators = 0usize;
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                b'-' | b'?' => indicators += 1,
                b' ' | b'\t' => {}
                _ => indicators = 0,
            }
            if open > OPEN_BRACKETS_MAX || indicators > LINE_INDICATORS_MAX {
                let message = "is nested too deeply".to_owned();
                let hint = format!("at most {NESTING_LEVELS_MAX} levels");
                return Err(SyntaxError { place: (index + 1, 1), message, hint });
            }
        }
    }
    Ok(())
}

/// Turns the crate's words into ours.
fn explain(error: &serde_yaml::Error) -> SyntaxError {
    let place = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let whole = error.to_string();
    // The crate puts the path before and the place behind; both are said elsewhere.
    let inner = whole.split_once(OURS).map_or(whole.as_str(), |(_, ours)| ours);
    let message = match inner.find(" at line ") {
        _ if inner.contains(KEY_WANTED) => format!("a key must be {KEY_WANTED}"),
        Some(end) => inner[..end].to_owned(),
        None => inner.to_owned(),
    };
    let hint = match message.as_str() {
        m if m.contains("cannot start any token") => {
            "YAML is indented with spaces, never with tabs; quote texts that begin with `@`, `%` or a backtick"
        }
        m if m.contains(KEY_WANTED) => "put it in quotes",
        m if m.starts_with("duplicate key") => "each key is written once; remove one of the two",
        m if m.starts_with("merge key") => {
            "write the keys out; a whole value can be repeated with an alias"
        }
        m if m.contains("tag") => {
            "remove the `!...`; secrets are written {env: NAME}, {file: PATH} or {secret: NAME}"
        }
        m if m.contains("unknown anchor") => {
            "declare it with `&name` further up in the same document"
        }
        m if m.contains("did not find expected") || m.contains("mapping values") => {
            "look at the indentation and for a missing quote, bracket or colon at or above this line"
        }
        _ => "",
    };
    SyntaxError { place, message, hint: hint.to_owned() }
}

/// What a key must be.
const KEY_WANTED: &str = "plain text";

/// Marks our own messages in the crate's errors.
const OURS: &str = "\u{1}";

fn ours<E: Error>(message: impl fmt::Display) -> E {
    E::custom(format_args!("{OURS}{message}"))
}

/// Bytes that may still be spent.
struct Budget {
    left: Cell<usize>,
}

impl Budget {
    fn spend<E: Error>(&self, bytes: usize) -> Result<(), E> {
        let left = self
            .left
            .get()
            .checked_sub(bytes)
            .ok_or_else(|| ours("aliases make this document larger than 4 MiB"))?;
        self.left.set(left);
        Ok(())
    }
}

/// One value, at a level of nesting.
#[derive(Clone, Copy)]
struct Strict<'b> {
    budget: &'b Budget,
    level: usize,
}

impl Strict<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.level >= NESTING_LEVELS_MAX {
            return Err(ours(format_args!("is nested deeper than {NESTING_LEVELS_MAX} levels")));
        }
        Ok(Strict { level: self.level + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.budget.spend(VALUE_BYTES)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain YAML value without a custom tag")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| ours(".inf and .nan are not numbers here"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.budget.spend(text.len())?;
        Ok(text.into())
    }

    /// An empty document.
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_enum<A: serde::de::EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(ours("custom tags are not allowed"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key_seed(Key { seen: &map, budget: self.budget })? {
            let value = entries.next_value_seed(inner)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// A key that was not there before.
struct Key<'m> {
    seen: &'m Map<String, Value>,
    budget: &'m Budget,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KEY_WANTED)
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        self.budget.spend(key.len() + VALUE_BYTES)?;
        if key == "<<" {
            return Err(ours("merge keys (<<) are not supported"));
        }
        if self.seen.contains_key(key) {
            return Err(ours(format_args!("duplicate key {key:?}")));
        }
        Ok(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_yaml_1_1_reads_otherwise_is_written_in_quotes() {
        let texts =
            ["yes", "No", "on", "y", "12:30", "1:2:3", "0123", "0x1F", "1_000", ".5", "2026-12-01"];
        for text in texts {
            let value = serde_json::json!({ "a": [text], text: 1 });
            let written = write(&value);
            assert_eq!(written.matches(&format!("'{text}'")).count(), 2, "{written}");
            assert_eq!(parse(&written).unwrap(), [value]);
        }
        for text in ["plain", "5 very high", "+60m", r"order ([0-9]+)", "yes and no"] {
            assert!(!write(&text.into()).contains('\''), "{text}");
        }
        assert_eq!(write(&true.into()), "true\n");
    }

    #[track_caller]
    fn check(text: &str, expected: Result<&str, (usize, usize, &str)>) {
        let found = parse(text);
        match expected {
            Ok(json) => {
                let json: Vec<Value> = serde_json::from_str(json).expect("the test's own JSON");
                assert_eq!(found, Ok(json));
            }
            Err((line, column, words)) => {
                let error = found.expect_err("this must be refused");
                assert_eq!(error.place, (line, column), "{}", error.message);
                assert!(error.message.contains(words), "{}", error.message);
            }
        }
    }

    #[test]
    fn plain_values() {
        check(
            "a: 1\nb: [yes, 'no', 010, 1_000, null]",
            Ok(r#"[{"a":1,"b":["yes","no","010","1_000",null]}]"#),
        );
    }

    #[test]
    fn several_documents() {
        check("a: 1\n---\nb: 2\n", Ok(r#"[{"a":1},{"b":2}]"#));
    }

    #[test]
    fn aliases_repeat_a_value() {
        check("x: &a {b: c}\ny: *a", Ok(r#"[{"x":{"b":"c"},"y":{"b":"c"}}]"#));
    }

    #[test]
    fn duplicate_key() {
        check("a:\n  b: 1\n  c: 2\n  b: 3", Err((4, 3, "duplicate key \"b\"")));
    }

    #[test]
    fn merge_key() {
        check("x: &a {b: c}\ny:\n  <<: *a", Err((3, 3, "merge keys")));
    }

    #[test]
    fn custom_tag() {
        check("a: !secret b", Err((1, 4, "tag")));
    }

    #[test]
    fn key_that_is_no_text() {
        check("1: a", Err((1, 1, "a key must be plain text")));
    }

    #[test]
    fn tab() {
        check("a:\n\tb: 1", Err((2, 1, "cannot start any token")));
    }

    #[test]
    fn not_a_number() {
        check("a: .inf", Err((1, 4, ".inf")));
    }

    #[test]
    fn stops_at_the_first_syntax_error() {
        check("a: 1\n---\n[\n---\nb: 2\n", Err((4, 1, "")));
    }

    #[test]
    fn flat_alias_bomb() {
        let list = "a,".repeat(20_000);
        let bomb = format!("x: &a [{list}]\ny: [{}]", "*a,".repeat(20_000));
        let error = parse(&bomb).expect_err("a bomb");
        assert!(error.message.contains("larger than 4 MiB"), "{}", error.message);
    }

    #[test]
    fn exponential_alias_bomb() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for n in 1..20 {
            let alias = format!("*a{}, ", n - 1).repeat(9);
            bomb.push_str(&format!("a{n}: &a{n} [{alias}]\n"));
        }
        assert!(parse(&bomb).is_err());
    }

    #[test]
    fn depth() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(&nested(NESTING_LEVELS_MAX)).is_ok());
        check(&nested(NESTING_LEVELS_MAX + 1), Err((1, 65, "nested deeper")));
        check(&"[".repeat(1_000_000), Err((1, 1, "nested too deeply")));
        check(&"- ".repeat(500_000), Err((1, 1, "nested too deeply")));
    }
}
