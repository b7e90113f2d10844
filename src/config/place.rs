//! Where in a file a value stands.
//!
//! The YAML crate tells places only in its errors. So we walk along the path and fail on purpose
//! when we have arrived: the error then carries line and column. That costs one more reading of
//! the file for each problem, and nothing while there is none.
//!
//! Architecture invariant: never used when there is no problem.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Line from 1 and column in characters from 1 of a value, or of its key.
///
/// `document` counts the documents of the file from 0. `None` if there is nothing at the path.
pub fn locate(
    text: &str,
    document: usize,
    path: &[String],
    at_key: bool,
) -> Option<(usize, usize)> {
    let deserializer = serde_yaml::Deserializer::from_str(text).nth(document)?;
    let walk = Walk { path, at_key: at_key && !path.is_empty() };
    let error = walk.deserialize(deserializer).err()?;
    if error.to_string().contains(ABSENT) {
        return None;
    }
    error.location().map(|at| (at.line(), at.column()))
}

const ARRIVED: &str = "\u{1}arrived";
const ABSENT: &str = "\u{1}absent";

struct Walk<'p> {
    path: &'p [String],
    at_key: bool,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.path.is_empty() {
            return deserializer.deserialize_any(Arrived);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ABSENT)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (wanted, rest) = self.path.split_first().expect("the path is not empty");
        let fail = rest.is_empty() && self.at_key;
        while let Some(found) = map.next_key_seed(Key { wanted, fail })? {
            if found {
                return map.next_value_seed(Walk { path: rest, at_key: self.at_key });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Err(A::Error::custom(ABSENT))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let (wanted, rest) = self.path.split_first().expect("the path is not empty");
        let index: usize = wanted.parse().map_err(|_| A::Error::custom(ABSENT))?;
        for _ in 0..index {
            list.next_element::<IgnoredAny>()?;
        }
        let walk = Walk { path: rest, at_key: self.at_key && !rest.is_empty() };
        list.next_element_seed(walk)?.ok_or_else(|| A::Error::custom(ABSENT))
    }
}

/// A key; `true` if it is the wanted one.
struct Key<'p> {
    wanted: &'p str,
    fail: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        if key != self.wanted {
            return Ok(false);
        }
        if self.fail { Err(E::custom(ARRIVED)) } else { Ok(true) }
    }
}

/// Fails at whatever stands here. The provided methods of a visitor fail by themselves.
struct Arrived;

impl<'de> Visitor<'de> for Arrived {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ARRIVED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version: 1\nqueues:\n  支援: {sender: x}\n  \"b c\":\n    list:\n      - one\n      - {k: v}\n---\nz: &a {y: 1}\nw: *a\n";

    #[track_caller]
    fn check(document: usize, path: &str, at_key: bool, expected: Option<(usize, usize)>) {
        let path: Vec<String> = path.split('/').filter(|s| !s.is_empty()).map(Into::into).collect();
        assert_eq!(locate(TEXT, document, &path, at_key), expected);
    }

    #[test]
    fn scalar() {
        check(0, "version", false, Some((1, 10)));
    }

    #[test]
    fn key() {
        check(0, "queues/支援/sender", true, Some((3, 8)));
        check(0, "queues/b c", true, Some((4, 3)));
    }

    #[test]
    fn item_of_a_list() {
        check(0, "queues/b c/list/0", true, Some((6, 9)));
        check(0, "queues/b c/list/1/k", false, Some((7, 13)));
    }

    #[test]
    fn second_document() {
        check(1, "w/y", true, Some((9, 8)));
    }

    #[test]
    fn absent() {
        check(0, "queues/nobody", false, None);
        check(0, "version/deeper", false, None);
    }
}
