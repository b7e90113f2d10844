//! Where the keys of a set of files stand, for many at once.
//!
//! One reading of a file tells the places of all its keys: the YAML crate tells a place in an
//! error, so each key fails on purpose, and reading goes on behind it. [`place`] does the same for
//! one path and then stops.
//!
//! Architecture invariant: a file is read only once something in it has to be placed.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::place;

/// Keys deeper than this are looked up one by one: a section, a name, a key and one below it.
const KEY_LEVELS: usize = 4;

/// Line and column in characters, both from 1.
pub type Place = (usize, usize);

/// A set of files, read when something in them is looked for.
pub struct Places<'a> {
    files: Vec<File<'a>>,
}

struct File<'a> {
    name: &'a str,
    text: &'a str,
    documents: OnceCell<Vec<Keys>>,
}

/// The keys of a map; `None` of anything else, and where nobody looked.
type Keys = Option<BTreeMap<String, Key>>;

/// A key, and those of the map behind it.
struct Key {
    at: Place,
    below: Keys,
}

impl<'a> Places<'a> {
    /// Of these paths and contents.
    pub fn of(files: &'a [(String, String)]) -> Places<'a> {
        let file =
            |(name, text): &'a (String, String)| File { name, text, documents: OnceCell::new() };
        Places { files: files.iter().map(file).collect() }
    }

    /// The first file in which this path exists, and the place of its value or of its key.
    pub fn first(&self, path: &[String], at_key: bool) -> Option<(&'a str, Place)> {
        self.files.iter().find_map(|file| {
            let mut documents = 0..file.documents().len();
            let place = documents.find_map(|number| file.place(number, path, at_key))?;
            Some((file.name, place))
        })
    }

    /// Place of a path in a document of a file, or of the nearest thing above it that exists.
    pub fn nearest(&self, file: &str, document: usize, path: &[String], at_key: bool) -> Place {
        let Some(file) = self.files.iter().find(|it| it.name == file) else { return (1, 1) };
        let above =
            || (0..path.len()).rev().find_map(|end| file.place(document, &path[..end], true));
        file.place(document, path, at_key).or_else(above).unwrap_or((1, 1))
    }

    /// Line in which the object begins that holds this line.
    pub fn object_around(&self, file: &str, line: usize) -> Option<usize> {
        let file = self.files.iter().find(|it| it.name == file)?;
        let sections = file.documents().iter().flatten().flat_map(BTreeMap::values);
        let objects = sections.filter_map(|it| it.below.as_ref()).flat_map(BTreeMap::values);
        objects.map(|object| object.at.0).filter(|begin| *begin <= line).max()
    }
}

impl File<'_> {
    fn documents(&self) -> &[Keys] {
        self.documents.get_or_init(|| {
            let documents = serde_yaml::Deserializer::from_str(self.text);
            documents.map_while(|it| Gather { levels: KEY_LEVELS }.deserialize(it).ok()).collect()
        })
    }

    fn place(&self, document: usize, path: &[String], at_key: bool) -> Option<Place> {
        let mut keys = self.documents().get(document)?;
        for (level, step) in path.iter().enumerate() {
            // In a list, or deeper than anybody looked.
            let Some(map) = keys else { break };
            let key = map.get(step)?;
            if level + 1 == path.len() && at_key {
                return Some(key.at);
            }
            keys = &key.below;
        }
        place::locate(self.text, document, path, at_key)
    }
}

/// Gathers the keys of a map, and of those in it, down to a level.
#[derive(Clone, Copy)]
struct Gather {
    levels: usize,
}

impl<'de> DeserializeSeed<'de> for Gather {
    type Value = Keys;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Keys, D::Error> {
        if self.levels == 0 {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| None);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Gather {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain YAML value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let below = Gather { levels: self.levels - 1 };
        let mut keys = BTreeMap::new();
        loop {
            let name = Cell::new(None);
            let told = match map.next_key_seed(Stop { name: &name }) {
                Ok(Some(())) => continue,
                Ok(None) => return Ok(Some(keys)),
                Err(told) => told,
            };
            let Some(name) = name.take() else { return Err(told) };
            let at = place_in(&told.to_string());
            keys.insert(name, Key { at, below: map.next_value_seed(below)? });
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Keys, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Keys, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Keys, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Keys, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Keys, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Keys, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Keys, E> {
        Ok(None)
    }

    fn visit_none<E>(self) -> Result<Keys, E> {
        Ok(None)
    }
}

/// Keeps the name of a key and fails at it.
struct Stop<'n> {
    name: &'n Cell<Option<String>>,
}

const STOPPED: &str = "\u{1}stopped";

impl<'de> DeserializeSeed<'de> for Stop<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Stop<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        self.name.set(Some(key.to_owned()));
        Err(E::custom(STOPPED))
    }
}

/// The place that an error tells at its end; it tells none for the very first character.
fn place_in(error: &str) -> Place {
    let place = error.rsplit_once(STOPPED).and_then(|(_, place)| {
        let (line, column) = place.strip_prefix(" at line ")?.split_once(" column ")?;
        Some((line.parse().ok()?, column.parse().ok()?))
    });
    place.unwrap_or((1, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version: 1\nqueues:\n  支援: {sender: x}\n  \"b c\":\n    list:\n      - one\n      - {k: v}\n    a: {b: {c: {d: 1}}}\n---\nz: &a {y: 1}\nw: *a\n---\n- no map\n---\nlast: yes\n";

    /// Every key has the place that looking for it alone tells.
    #[test]
    fn agrees_with_looking_for_one() {
        let files = [("a.yaml".to_owned(), TEXT.to_owned())];
        let places = Places::of(&files);
        let paths = [
            (0, "version"),
            (0, "queues"),
            (0, "queues/支援"),
            (0, "queues/支援/sender"),
            (0, "queues/b c"),
            (0, "queues/b c/list"),
            (0, "queues/b c/list/0"),
            (0, "queues/b c/list/1/k"),
            (0, "queues/b c/a/b/c/d"),
            (0, "queues/nobody"),
            (1, "z/y"),
            (1, "w/y"),
            (2, "last"),
            (3, "last"),
            (4, "last"),
        ];
        for (document, path) in paths {
            let path: Vec<String> = path.split('/').map(Into::into).collect();
            for at_key in [true, false] {
                let file = &places.files[0];
                let alone = place::locate(TEXT, document, &path, at_key);
                assert_eq!(file.place(document, &path, at_key), alone, "{document} {path:?}");
            }
        }
    }

    #[test]
    fn keys_are_placed_in_one_reading() {
        let files = [("a.yaml".to_owned(), TEXT.to_owned())];
        let places = Places::of(&files);
        let at = |path: &[&str]| {
            let mut keys = &places.files[0].documents()[0];
            let mut at = None;
            for step in path {
                let key = keys.as_ref().and_then(|keys| keys.get(*step))?;
                (at, keys) = (Some(key.at), &key.below);
            }
            at
        };
        assert_eq!(at(&["queues"]), Some((2, 1)));
        assert_eq!(at(&["queues", "b c"]), Some((4, 3)));
        assert_eq!(at(&["queues", "b c", "a", "b"]), Some((8, 9)));
    }

    #[test]
    fn nearest_is_the_object_where_a_default_holds() {
        let files = [("a.yaml".to_owned(), TEXT.to_owned())];
        let path = ["queues", "b c", "sender"].map(str::to_owned);
        assert_eq!(Places::of(&files).nearest("a.yaml", 0, &path, false), (4, 3));
    }

    #[test]
    fn object_around_a_line() {
        let files = [("a.yaml".to_owned(), TEXT.to_owned())];
        let places = Places::of(&files);
        let around = [(1, None), (3, Some(3)), (7, Some(4)), (8, Some(4)), (11, Some(10))];
        for (line, object) in around {
            assert_eq!(places.object_around("a.yaml", line), object, "line {line}");
        }
    }

    #[test]
    fn first_file_that_has_it() {
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let files = [file("a.yaml", "queues: {x: {}}"), file("b.yaml", "queues: {y: {}}")];
        let path = ["queues", "y"].map(str::to_owned);
        assert_eq!(Places::of(&files).first(&path, true), Some(("b.yaml", (1, 10))));
    }
}
