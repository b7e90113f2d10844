//! Where in the files something stands that a decision rests on.
//!
//! Architecture invariant: only ever used for people: nothing is decided by it.

use serde_json::Value;

use super::document;
use super::places::Places;

/// A place in the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// File, as it was read.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A set of files in which things are looked for.
pub struct Whereabouts<'a> {
    files: &'a [(String, String)],
    /// What each file holds; nothing if it cannot be read.
    documents: Vec<Vec<Value>>,
    places: Places<'a>,
}

impl<'a> Whereabouts<'a> {
    /// Reads these paths and contents.
    pub fn of(files: &'a [(String, String)]) -> Whereabouts<'a> {
        let read = |(_, text): &(String, String)| document::parse(text).unwrap_or_default();
        let documents = files.iter().map(read).collect();
        Whereabouts { files, documents, places: Places::of(files) }
    }

    /// Where this path stands, or as much of it as is written: what is left to a default stands
    /// nowhere, and its object is the nearest place. An entry of a list counts as a key.
    ///
    /// `None` if not even the object is written.
    pub fn find(&self, path: &[String]) -> Option<Spot> {
        let mut best: Option<(Spot, usize)> = None;
        for ((file, _), documents) in self.files.iter().zip(&self.documents) {
            for (number, value) in documents.iter().enumerate() {
                let written = written(value, path);
                let depth = written.len();
                if depth < OBJECT_DEPTH || best.as_ref().is_some_and(|(_, found)| *found >= depth) {
                    continue;
                }
                let (line, column) = self.places.nearest(file, number, &written, true);
                best = Some((Spot { file: file.clone(), line, column }, depth));
            }
        }
        best.map(|(spot, _)| spot)
    }
}

/// A section and a name.
const OBJECT_DEPTH: usize = 2;

/// The beginning of a path that a document has, with entries of lists by their positions.
fn written(document: &Value, path: &[String]) -> Vec<String> {
    let mut here = document;
    let mut found = Vec::new();
    for key in path {
        let (step, value) = match here {
            Value::Object(map) => match map.get(key) {
                Some(value) => (key.clone(), value),
                None => break,
            },
            Value::Array(list) => match list.iter().position(|entry| entry == key.as_str()) {
                Some(at) => (at.to_string(), &list[at]),
                None => break,
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => break,
        };
        found.push(step);
        here = value;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "version: 1\nusers:\n  alice:\n    email: a@x.test\n    subscriptions:\n      \
                         queues: [support]\n      events: [ticketCreated, noteAdded]\n  bob:\n    \
                         email: b@x.test\n    subscriptions:\n      events:\n        noteAdded: \
                         {queues: {sales: [web]}}\n";

    #[track_caller]
    fn check(path: &str, expected: Option<(usize, usize)>) {
        let files = [
            ("desk.yaml".to_owned(), "version: 1\ndesk: {name: X}\n".to_owned()),
            ("people.yaml".to_owned(), USERS.to_owned()),
        ];
        let path: Vec<String> = path.split(' ').map(str::to_owned).collect();
        let found = Whereabouts::of(&files).find(&path);
        assert!(found.as_ref().is_none_or(|spot| spot.file == "people.yaml"));
        assert_eq!(found.map(|spot| (spot.line, spot.column)), expected);
    }

    #[test]
    fn keys_and_entries_of_lists() {
        check("users alice subscriptions events noteAdded", Some((7, 31)));
        check("users alice subscriptions queues support", Some((6, 16)));
        check("users bob subscriptions events noteAdded queues sales", Some((12, 30)));
    }

    #[test]
    fn what_is_not_written_stands_with_its_object() {
        check("users bob state", Some((8, 3)));
        check("users alice subscriptions events lockTimeout", Some((7, 7)));
        check("users carol state", None);
        check("desk language", None);
    }
}
