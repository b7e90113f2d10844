//! The clock of the machine is wrong, and is put right: what is owed waits no longer than it may in
//! real time, nothing is given up for it, and each mail arrives once.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use postroom::core::outgoing::{Delivery, Outgoing, RETRY_SECS_MAX};
use postroom::store::{OutboxFilter, Store};
use serde_json::Value;

use super::mail;
use crate::daemon::deliver;
use crate::needed;
use crate::process::{Program, ask};
use crate::sink::{Do, Script, Sink};

/// alice hears of each ticket at once, bob once a day.
const DESK: &str = r#"version: 1
mailAccounts:
  box: {type: maildir, path: "{dir}/mail", dispatch: {by: recipient}, since: all, afterFetch: delete, pollInterval: 1s}
smtp:
  relay: {type: smtp, host: 127.0.0.1, port: {port}}
senders:
  default: {from: "Desk <desk@desk.example>", via: [relay]}
queues:
  support: {autoReplies: {new: thanks}}
systemAddresses:
  support@desk.example: {queue: support}
autoReplies:
  thanks: {from: support@desk.example, subject: {en: Received}, text: {en: "Your number is {{ ticket.number }}."}}
users:
  alice: {email: alice@agents.example, subscriptions: {queues: [support], events: [ticketCreated]}}
  bob: {email: bob@agents.example, subscriptions: {queues: [support], events: {ticketCreated: [mail]}, digest: daily 08:00}}
"#;

/// Attempts at one mail that are no storm: each of the lives is shorter than the first few waits.
const ATTEMPTS_MAX: usize = 10;

/// What makes a program see another time, and elapsed time as it is; `None`, with a line, where
/// faketime is not installed.
fn another_time(offset: &str) -> Option<Vec<(String, String)>> {
    let asked = Command::new("faketime").args(["-m", "-f", offset, "env"]).output();
    let asked = needed::found(asked.ok(), "faketime is not installed")?;
    let said = String::from_utf8(asked.stdout).unwrap();
    let set = said.lines().filter_map(|line| line.split_once('='));
    let set = set.filter(|(name, _)| matches!(*name, "LD_PRELOAD" | "FAKETIME"));
    let mut set: Vec<(String, String)> =
        set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(set.len(), 2, "{said}");
    for name in ["DONT_FAKE_MONOTONIC", "FAKETIME_DONT_FAKE_MONOTONIC"] {
        set.push((name.to_owned(), "1".to_owned()));
    }
    Some(set)
}

/// A desk that is started again and again, by another clock each time.
struct Desk {
    folder: Option<tempfile::TempDir>,
    yaml: String,
    delivered: usize,
}

impl Desk {
    async fn start(&mut self, clock: &[(String, String)]) -> Program {
        let variables: Vec<(&str, &str)> =
            clock.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let folder = self.folder.take().expect("it does not run");
        Program::start_in(folder, &self.yaml, &variables).await
    }

    /// Ends it, and looks at what it owes and owed.
    async fn end(&mut self, program: Program) -> Vec<Outgoing> {
        let folder = self.folder.insert(program.end().await);
        let store = Store::open(&folder.path().join("data")).unwrap();
        assert_eq!(store.verify().unwrap(), Vec::<String>::new());
        store.outbox(OutboxFilter::All, None, 1_000).unwrap().items
    }

    /// A mail arrives, and becomes a ticket.
    async fn mail(&mut self, program: &Program, from: &str) {
        self.delivered += 1;
        let number = self.delivered;
        let raw = mail(from, number, "The printer is jammed", "");
        deliver(&program.path("mail"), &number.to_string(), &raw);
        asked(program, "/api/v1/mails?limit=100", |mails| {
            let created = mails.iter().filter(|mail| mail["outcome"] == "created").count();
            created == number && mails.len() == number
        })
        .await;
    }
}

/// Asks for a list until it is as wanted.
async fn asked(program: &Program, path: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let began = std::time::Instant::now();
    loop {
        let (status, said) = ask(program.addr, "GET", path, &program.token(), "").await;
        assert_eq!(status, 200, "{said}");
        let body = said.split_once("\r\n\r\n").unwrap().1;
        let body: Value = serde_json::from_str(body).unwrap();
        let items = body["items"].as_array().unwrap();
        if wanted(items) {
            return items.clone();
        }
        assert!(began.elapsed().as_secs() < 60, "waited in vain at {path}: {items:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Waits until so many mails are due, each of which was tried and put off so often.
async fn put_off(program: &Program, count: usize, attempts: u64) {
    asked(program, "/api/v1/outbox?limit=100", |mails| {
        let tried = |mail: &Value| {
            assert_eq!(mail["state"], "due", "{mail}");
            mail["attempts"].as_u64().unwrap() >= attempts
        };
        mails.len() == count && mails.iter().all(tried)
    })
    .await;
}

fn waits(mail: &Outgoing) -> Timestamp {
    let Delivery::Due { at, .. } = mail.delivery else { panic!("{:?}", mail.delivery) };
    at
}

#[tokio::test(flavor = "multi_thread")]
async fn ninety_days_ahead_and_back() {
    let Some(ahead) = another_time("+90d") else { return };
    let Some(later) = another_time("+2h") else { return };
    let busy = vec![("RCPT", Do::Say("451 4.2.0 later"))];
    let sink = Sink::start(Script { rules: busy, ..Script::default() }).await;
    let yaml = DESK.replace("{port}", &sink.addr.port().to_string());
    let mut desk = Desk { folder: Some(tempfile::tempdir().unwrap()), yaml, delivered: 0 };

    let program = desk.start(&[]).await;
    for customer in ["carol", "dave", "erin"] {
        desk.mail(&program, &format!("{customer}@customer.example")).await;
    }
    // Three answers and three notifications.
    put_off(&program, 6, 1).await;
    desk.end(program).await;

    // All that waited is tried at once, and once; bob's digest goes out. That the server was busy
    // for the fifth day as it seems is no reason to give anything up.
    let program = desk.start(&ahead).await;
    for _ in 0..2 {
        desk.mail(&program, "eve@customer.example").await;
    }
    put_off(&program, 11, 1).await;
    let owed = desk.end(program).await;
    let far = Timestamp::now() + SignedDuration::from_hours(24 * 89);
    assert!(owed.iter().all(|mail| waits(mail) > far), "{owed:#?}");

    // The clock is right again. eve is answered as before: what she was answered in a time that has
    // not come counts for nothing. Nor does what bob is to be told wait for it.
    let program = desk.start(&[]).await;
    desk.mail(&program, "eve@customer.example").await;
    asked(&program, "/api/v1/outbox?state=due&limit=100", |mails| mails.len() == 14).await;
    let owed = desk.end(program).await;
    let latest = Timestamp::now() + SignedDuration::from_secs(RETRY_SECS_MAX);
    assert!(owed.iter().all(|mail| waits(mail) <= latest), "{owed:#?}");

    sink.now(|script| script.rules.clear());
    let program = desk.start(&later).await;
    desk.mail(&program, "frank@customer.example").await;
    asked(&program, "/api/v1/outbox?state=due", <[Value]>::is_empty).await;
    let mails = asked(&program, "/api/v1/mails?limit=100", |_| true).await;
    let owed = desk.end(program).await;

    let numbers: BTreeSet<&str> = mails.iter().filter_map(|mail| mail["ticket"].as_str()).collect();
    assert_eq!(numbers.len(), desk.delivered);
    let mut copies: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for arrived in sink.arrived() {
        *copies.entry(arrived.mail).or_default() += 1;
    }
    for mail in &owed {
        assert!(matches!(mail.delivery, Delivery::Sent { .. }), "{:?}", mail.delivery);
        assert_eq!(copies.remove(&mail.raw), Some(1), "{} to {}", mail.message_id, mail.recipient);
    }
    assert!(copies.is_empty(), "{copies:?}");
    let answered = owed.iter().filter(|mail| mail.recipient.as_str() == "eve@customer.example");
    assert_eq!(answered.count(), 3);
    let attempts = sink.lines().iter().filter(|line| line.starts_with("RCPT")).count();
    println!("{attempts} attempts at {} mails", owed.len());
    assert!(attempts <= ATTEMPTS_MAX * owed.len(), "{attempts} attempts");
}
