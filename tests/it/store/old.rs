//! Databases that another version wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase, TableDefinition};

use super::mails::{at, location, open};
use super::sound;
use postroom::core::intake::{self, Outcome};
use postroom::core::mail::{self, Digest};
use postroom::core::outgoing::{OutgoingId, OutgoingKind};
use postroom::core::ticket::{ArticleKind, What};
use postroom::store::{Known, OutboxCounts, OutboxFilter, Spool, Store, StoreError, ToRecord};

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
    assert_eq!(version(directory.path()), [0, 0, 0, 14]);
}

/// Written by version 0.1: Mia's ticket with an answer of Anna's, and Rolf's, which is closed and has
/// another customer; each was confirmed to its customer and notified to Anna.
#[tokio::test]
async fn store_of_version_0_1_keeps_threads_and_proves_nothing() {
    const MIAS: &str = "2026113010000013";
    const ROLFS: &str = "2026113010000021";
    const TO_MIA: &str = "1.1.8c6973147898cbc9.c97f4f6ac5a222b5a780fa6d143c6e94@corp.example";
    const TO_ANNA: &str = "1.2.6babd5f5bef811d7.7dfbfce4476ff44d1154b14072994902@corp.example";
    const TO_ROLF: &str = "2.3.17e4d5e647a7df2c.3cde4e9c9308f94e742c7eda956c4e21@corp.example";
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/store/version-12.redb");
    let directory = tempfile::tempdir().unwrap();
    fs::copy(old, directory.path().join("postroom.redb")).unwrap();
    let store = Store::open(directory.path()).unwrap();
    sound(&store);
    let config = Arc::new(crate::intake::loaded("").config.unwrap());
    let take = async |number: u32, from: &str, tag: &str, id: &str| {
        let raw = format!(
            "From: {from}\r\nTo: support@corp.example\r\nSubject: Re: [Ticket#{tag}] x\r\n\
             Message-ID: <new{number}@client.example>\r\nIn-Reply-To: <{id}>\r\n\r\nHello\r\n"
        )
        .into_bytes();
        let account = Arc::new(config.accounts["inbox"].as_ref().clone());
        let judgement = intake::judge(&config, &account, &mail::parse(&raw));
        let location = location(&format!("INBOX/7/{number}"));
        let spool =
            Spool { location: location.clone(), raw: Arc::new(raw.clone()), headers_only: false };
        store.spool("inbox", vec![spool]).await.unwrap();
        let record = ToRecord {
            config: config.clone(),
            account,
            location,
            digest: Digest::of(&raw),
            judgement: Ok(Box::new(judgement)),
            now: "2026-12-01T00:00:00Z".parse().unwrap(),
            released: None,
        };
        let recorded = store.record(vec![record]).await.unwrap().remove(0);
        (recorded.outcome, recorded.ticket.unwrap())
    };
    let (outcome, ticket) = take(1, "mia@client.example", "1", TO_MIA).await;
    assert_eq!((outcome, ticket.as_str()), (Outcome::FollowUp, MIAS));
    // The former customer is a stranger.
    let (outcome, ticket) = take(2, "rolf@elsewhere.example", ROLFS, TO_ROLF).await;
    assert!(outcome == Outcome::Created && ticket != ROLFS);
    // An agent's id threads into its own ticket, also under another number, and proves nothing.
    let replies = |store: &Store| {
        let owed = store.outbox(OutboxFilter::All, None, 100).unwrap().items;
        owed.iter().filter(|mail| mail.kind == OutgoingKind::Reply).count()
    };
    let before = replies(&store);
    for (number, tag) in [(3, MIAS), (4, ROLFS)] {
        let (outcome, ticket) = take(number, "anna@agents.example", tag, TO_ANNA).await;
        assert_eq!((outcome, ticket.as_str()), (Outcome::FollowUp, MIAS));
        let view = store.ticket(MIAS).unwrap().unwrap();
        let article = view.articles.iter().rfind(|one| one.kind == ArticleKind::MailIn).unwrap();
        assert_eq!((article.verified, article.visible_for_customer), (Some(false), false));
    }
    assert_eq!(replies(&store), before, "nothing left as the agent's");
    sound(&store);
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
    assert!(matches!(error, StoreError::Newer { found: 99, known: 14 }), "{error}");
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
