//! Databases that another version wrote.

use std::fs;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, TableDefinition};

use super::mails::{at, location, open};
use super::sound;
use postroom::core::outgoing::OutgoingId;
use postroom::core::ticket::What;
use postroom::store::{Known, OutboxCounts, StoreError};

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// Written by version 1: an account, a mail, its ticket, and owed mails: one due, one sent, one
/// given up.
fn version_1() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/store/version-1.redb")
}

/// Puts the file of version 1 into a directory of its own.
fn unpack() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::copy(version_1(), directory.path().join("postroom.redb")).unwrap();
    directory
}

fn version(directory: &Path) -> Vec<u8> {
    let database = Database::open(directory.join("postroom.redb")).unwrap();
    let meta = database.begin_read().unwrap().open_table(META).unwrap();
    meta.get("schema").unwrap().unwrap().value().to_vec()
}

#[test]
fn version_1_is_brought_up_to_date_once() {
    let directory = unpack();
    assert_eq!(version(directory.path()), [0, 0, 0, 1]);
    for _ in 0..2 {
        let store = open(directory.path()).unwrap();
        sound(&store);
        let counts = OutboxCounts { due: 1, dead: 1, sent: 1, oldest_due: Some(at(0)) };
        assert_eq!(store.outbox_counts().unwrap(), counts);
        assert_eq!(store.due(at(0), 10).unwrap()[0].id, OutgoingId(1));
        let mail = store.mails(None, 10).unwrap().items.remove(0);
        let view = store.ticket(&mail.ticket.unwrap()).unwrap().unwrap();
        assert_eq!(view.ticket.title, "answer fire");
        assert_eq!(view.events[0].what, What::Created);
        let known = store.known("support", &[location("INBOX/7/answer fire")]).unwrap();
        assert_eq!(known, [Known::Recorded]);
        assert!(store.raw(&mail.digest).unwrap().unwrap().starts_with(b"Message-ID: "));
    }
    assert_eq!(version(directory.path()), [0, 0, 0, 12]);
}

#[test]
fn lines_of_version_11_are_counted() {
    const LINES: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("digest_lines");
    let line = br#"_{"event":"noteAdded","ticket":1,"number":"1","text":"","role":"owner","rule":"","at":"2026-11-22T06:00:00Z"}"#;
    let line = [&[1], &line[1..]].concat();
    let directory = unpack();
    drop(open(directory.path()).unwrap());
    let database = Database::open(directory.path().join("postroom.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut lines = transaction.open_table(LINES).unwrap();
        for (who, id) in [("alice", 0), ("alice", 2), ("bob", 1)] {
            lines.insert((who, id), line.as_slice()).unwrap();
        }
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert("schema", [0, 0, 0, 11].as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let store = open(directory.path()).unwrap();
    sound(&store);
    assert_eq!(store.digests().unwrap().len(), 2);
}

#[test]
fn a_newer_version_is_not_touched() {
    let directory = unpack();
    let path = directory.path().join("postroom.redb");
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert("schema", [0, 0, 0, 99].as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let error = open(directory.path()).err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 99, known: 12 }), "{error}");
    assert_eq!(version(directory.path()), [0, 0, 0, 99]);
}

#[test]
fn a_database_of_another_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::create(directory.path().join("postroom.redb")).unwrap();
    drop(database);
    let error = open(directory.path()).err().unwrap();
    assert!(error.to_string().contains("is not a database of Postroom"), "{error}");
}
