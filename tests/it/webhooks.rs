//! Webhooks of the whole daemon against programs that listen, and such that do not.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use postroom::core::outgoing::Delivery;
use postroom::core::ticket::{Actor, Command};
use postroom::core::webhook::{OwedHook, signature};
use postroom::run::clock::Clock;
use postroom::store::OutboxFilter;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::daemon::{Daemon, until};

const SECRET: &str = "CANARY-webhook-secret";

/// What a program answers.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    Status(u16),
    /// Hears the message and hangs up.
    HangUp,
    /// Hears the message and says nothing.
    Silence,
}

/// A message as it was heard.
#[derive(Debug, Clone)]
pub struct Heard {
    id: String,
    seconds: i64,
    signature: String,
    body: String,
}

impl Heard {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A program that listens.
pub struct Listener {
    pub port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Listener {
    /// Answers with these, then always with 204.
    pub async fn start(answers: &[Answer]) -> Listener {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect::<VecDeque<_>>()));
        let into = heard.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(listen(stream, into.clone(), answers.clone()));
            }
        });
        Listener { port, heard, task }
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    async fn hears(&self, count: usize) -> Vec<Heard> {
        until(&format!("{count} messages"), || {
            let heard = self.heard();
            (heard.len() >= count).then_some(heard)
        })
        .await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(
    mut stream: TcpStream,
    heard: Arc<Mutex<Vec<Heard>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let field = |name: &str| {
            let found = head.lines().find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case(name).then(|| value.to_owned())
            });
            found.unwrap_or_else(|| panic!("no {name} in {head}"))
        };
        let mut body = vec![0; field("content-length").parse().unwrap()];
        stream.read_exact(&mut body).await.ok()?;
        heard.lock().unwrap().push(Heard {
            id: field("webhook-id"),
            seconds: field("webhook-timestamp").parse().unwrap(),
            signature: field("webhook-signature"),
            body: String::from_utf8(body).unwrap(),
        });
        let answer = answers.lock().unwrap().pop_front().unwrap_or(Answer::Status(204));
        match answer {
            Answer::Status(status) => {
                let location = "location: http://127.0.0.1:1/elsewhere\r\n";
                let text = format!("HTTP/1.1 {status} X\r\n{location}content-length: 0\r\n\r\n");
                stream.write_all(text.as_bytes()).await.ok()?;
            }
            Answer::HangUp => return None,
            Answer::Silence => std::future::pending().await,
        }
    }
}

/// A desk with these webhooks; `{port}` of a line is that of its listener.
fn desk(webhooks: &str) -> String {
    format!(
        r#"version: 1
mailAccounts:
  local: {{type: maildir, path: "{{dir}}/mail", dispatch: {{by: recipient}}, since: all, afterFetch: delete, pollInterval: 1s}}
smtp:
  files: {{type: file, directory: "{{dir}}/sent"}}
senders:
  default: {{from: desk@desk.example, via: [files]}}
queues: {{support: {{}}, sales: {{}}}}
systemAddresses:
  support@desk.example: {{queue: support}}
users:
  alice: {{email: alice@desk.example}}
webhooks:
{webhooks}"#
    )
}

fn webhook(name: &str, listener: &Listener, more: &str) -> String {
    let port = listener.port;
    format!(
        "  {name}: {{url: \"http://127.0.0.1:{port}/hook\", secret: {{file: \"{{dir}}/secret\"}}, \
         allowPrivate: true{more}}}\n"
    )
}

async fn start(webhooks: &str) -> Daemon {
    let daemon = Daemon::start(&desk(webhooks)).await;
    std::fs::write(daemon.path("secret"), SECRET).unwrap();
    daemon
}

fn deliver(daemon: &Daemon, number: usize) {
    let mail = format!(
        "From: eve@cust.example\r\nTo: support@desk.example\r\nSubject: mail {number}\r\n\
         Message-ID: <{number}@cust.example>\r\n\r\nThe text of {number}.\r\n"
    );
    daemon.deliver(&format!("m{number}"), mail.as_bytes());
}

async fn command(daemon: &Daemon, number: &str, command: Command) {
    let handle = daemon.app().handle();
    let config = handle.running.load().config.clone();
    let actor = Actor::Agent("alice".into());
    let done = handle.store.command(config, number, vec![command], actor, Timestamp::now());
    done.await.unwrap();
}

fn owed(daemon: &Daemon) -> Vec<OwedHook> {
    daemon.app().handle().store.hooks(OutboxFilter::All, None, 1_000).unwrap().items
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_once_in_order_and_signed() {
    let listener = Listener::start(&[]).await;
    let only = Listener::start(&[]).await;
    let more = ", events: [queueUpdated], queues: [sales]";
    let daemon = start(&(webhook("chat", &listener, "") + &webhook("sales", &only, more))).await;
    deliver(&daemon, 1);
    let mails = daemon.mails(1).await;
    let number = mails[0].ticket.clone().unwrap();
    let note = Command::Note {
        subject: "INTERNAL subject".into(),
        text: "INTERNAL text".into(),
        visible_for_customer: false,
    };
    command(&daemon, &number, note).await;
    command(&daemon, &number, Command::SetQueue("sales".into())).await;
    let heard = listener.hears(3).await;
    let types: Vec<String> =
        heard.iter().map(|one| one.json()["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, ["ticketCreated", "noteAdded", "queueUpdated"]);
    for one in &heard {
        assert_eq!(one.signature, signature(SECRET, &one.id, one.seconds, &one.body));
        assert!((Timestamp::now().as_second() - one.seconds).abs() < 60);
        assert!(!one.body.contains("INTERNAL"), "{}", one.body);
    }
    let created = heard[0].json();
    assert_eq!(created["data"]["ticket"]["number"], number.as_str());
    assert_eq!(created["data"]["ticket"]["customer"], "eve@cust.example");
    assert_eq!(created["data"]["article"]["subject"], "mail 1");
    assert_eq!(created["data"]["article"]["text"], Value::Null);
    assert_eq!(created["text"], format!("[Ticket#{number}] support: mail 1 (created)"));
    assert_eq!(heard[1].json()["data"]["actor"]["name"], "alice");
    let moved = only.hears(1).await;
    let change = moved[0].json()["data"]["change"].clone();
    assert_eq!(change, serde_json::json!({ "from": "support", "to": "sales" }));
    until("all to be sent", || {
        let sent = |hook: &OwedHook| matches!(hook.delivery, Delivery::Sent { .. });
        owed(&daemon).iter().all(sent).then_some(())
    })
    .await;
    assert_eq!((owed(&daemon).len(), listener.heard().len(), only.heard().len()), (4, 3, 1));
    assert!(daemon.app().handle().store.verify().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_goes_again_with_the_same_identity() {
    let faults = [Answer::Status(500), Answer::HangUp, Answer::Status(302), Answer::Status(404)];
    let listener = Listener::start(&faults).await;
    let mut daemon = start(&webhook("chat", &listener, "")).await;
    deliver(&daemon, 1);
    for (attempt, says) in [(1, "500"), (2, "could not read"), (3, "302"), (4, "404")] {
        listener.hears(attempt).await;
        let hook = until("a failure on record", || {
            owed(&daemon).into_iter().find(|hook| {
                matches!(&hook.delivery, Delivery::Due { attempts: 1, last_error: Some(error), .. }
                    if error.contains(says))
            })
        })
        .await;
        // What a person does who does not want to wait a minute. The last one outlives a restart.
        if attempt == 4 {
            daemon.stop().await;
            daemon.again().await;
        }
        let again =
            Delivery::Due { attempts: 0, at: Timestamp::now(), last_error: None, doubt: None };
        let store = daemon.app().handle().store.clone();
        store.hooks_delivered(vec![(hook.id, again)]).await.unwrap();
    }
    let heard = listener.hears(5).await;
    assert!(heard.iter().all(|one| (&one.id, &one.body) == (&heard[0].id, &heard[0].body)));
    until("it to be sent", || {
        matches!(owed(&daemon)[0].delivery, Delivery::Sent { .. }).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_goes_again_though_the_clock_is_put_right() {
    let listener = Listener::start(&[Answer::Status(500)]).await;
    let mut daemon = Daemon::prepare(&desk(&webhook("chat", &listener, "")));
    std::fs::write(daemon.path("secret"), SECRET).unwrap();
    let wrong = SignedDuration::from_hours(90 * 24);
    daemon.clock = Clock::standing_at(Timestamp::now() + wrong);
    daemon.again().await;
    deliver(&daemon, 1);
    until("a failure on record", || {
        matches!(owed(&daemon).first()?.delivery, Delivery::Due { attempts: 1, .. }).then_some(())
    })
    .await;
    assert_eq!(listener.heard().len(), 1);
    daemon.stop().await;
    daemon.clock.turn(-wrong);
    daemon.again().await;
    listener.hears(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_answer_keeps_no_other_waiting() {
    let silent = Listener::start(&[Answer::Silence]).await;
    let listener = Listener::start(&[]).await;
    let daemon = start(&(webhook("a", &silent, "") + &webhook("b", &listener, ""))).await;
    for number in 0..5 {
        deliver(&daemon, number);
    }
    listener.hears(5).await;
    assert_eq!(silent.heard().len(), 1);
    // What it is owed waits, and nobody is told any more once it is not declared.
    daemon.write(&desk(&webhook("b", &listener, "")));
    let handle = daemon.app().handle();
    until("a desk without it", || (handle.running.load().config.webhooks.len() == 1).then_some(()))
        .await;
    deliver(&daemon, 5);
    listener.hears(6).await;
    let of_a = owed(&daemon).iter().filter(|hook| hook.message.webhook == "a").count();
    assert_eq!((of_a, silent.heard().len()), (5, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_wants_nothing_more_is_given_up() {
    let listener = Listener::start(&[Answer::Status(410)]).await;
    let daemon = start(&webhook("chat", &listener, "")).await;
    deliver(&daemon, 1);
    let reason = until("it to be given up", || match &owed(&daemon).first()?.delivery {
        Delivery::Dead { reason, .. } => Some(reason.clone()),
        Delivery::Due { .. } | Delivery::Sent { .. } => None,
    })
    .await;
    assert!(reason.starts_with("410"), "{reason}");
    let counts = daemon.app().handle().store.hook_counts().unwrap();
    assert_eq!((counts.due, counts.sent, counts.dead), (0, 0, 1));
    let text = daemon.app().handle().metrics.text();
    let series = "postroom_webhook_attempts_total{result=\"permanent\",webhook=\"chat\"} 1";
    assert!(text.contains(series), "{text}");
}

/// What the first attempt says of a webhook that is declared so.
async fn first_error(declared: &str) -> String {
    let daemon = start(declared).await;
    deliver(&daemon, 1);
    let error = until("a failure on record", || match &owed(&daemon).first()?.delivery {
        Delivery::Due { last_error, .. } => last_error.clone(),
        Delivery::Sent { .. } | Delivery::Dead { .. } => panic!("it was told"),
    })
    .await;
    assert!(!error.contains("CANARY"), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_network_is_not_told() {
    let listener = Listener::start(&[]).await;
    let port = listener.port;
    // The name looks like any other; what counts is where it leads.
    let url = format!("https://localhost:{port}/CANARY-in-the-path");
    let declared = format!("  chat: {{url: \"{url}\", secret: {{file: \"{{dir}}/secret\"}}}}\n");
    let error = first_error(&declared).await;
    assert!(error.contains("private network"), "{error}");
    assert_eq!(listener.heard().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_secret_nothing_is_told() {
    let listener = Listener::start(&[]).await;
    let declared = webhook("chat", &listener, "").replace("/secret", "/no-such-file");
    let error = first_error(&declared).await;
    assert!(error.contains("no-such-file"), "{error}");
    assert_eq!(listener.heard().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_one_is_told_later_and_a_disabled_one_never() {
    let paused = Listener::start(&[]).await;
    let disabled = Listener::start(&[]).await;
    let declared = |state: &str| {
        webhook("later", &paused, state) + &webhook("never", &disabled, ", state: disabled")
    };
    let daemon = start(&declared(", state: paused")).await;
    deliver(&daemon, 1);
    daemon.mails(1).await;
    assert_eq!(owed(&daemon).len(), 1);
    daemon.write(&desk(&declared("")));
    let heard = paused.hears(1).await;
    assert_eq!(heard[0].json()["type"], "ticketCreated");
    assert!(owed(&daemon).iter().all(|hook| hook.message.webhook == "later"));
    assert_eq!(disabled.heard().len(), 0);
}
