//! The outbox end to end: a real store, real connections, and servers that fail in every way.
//! Nothing is lost, nobody gets what is not his, and nobody waits for somebody else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use postroom::core::address::Address;
use postroom::core::config::{
    Account, AfterFetch, Config, Dispatch, Only, Oversize, Poll, Queue, Sender, Since, SmtpServer,
    Source, Switch,
};
use postroom::core::intake;
use postroom::core::mail::{self, Location};
use postroom::core::outgoing::{Delivery, Outgoing};
use postroom::core::render::LETTER_RECIPIENTS_MAX;
use postroom::core::ticket::{Actor, Command, What};
use postroom::metrics::Metrics;
use postroom::run::board::{Board, ConditionKind, Kind};
use postroom::run::clock::Clock;
use postroom::run::outbox::{self, OutboxParts};
use postroom::run::tokens::Tokens;
use postroom::secret::Secrets;
use postroom::store::{OutboxFilter, Spool, Store, ToRecord};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::sink::{Arrived, Do, Script, Sink};
use crate::transport::run;

/// Longest a test waits for something that should happen at once.
const PATIENCE: Duration = Duration::from_secs(30);

fn start_of_time() -> Timestamp {
    "2026-03-04T08:00:00Z".parse().unwrap()
}

/// A desk with a store, a clock that stands still, and an outbox that can be stopped.
pub struct Desk {
    pub store: Store,
    pub clock: Clock,
    pub board: Arc<Board>,
    pub config: Arc<Mutex<Arc<Config>>>,
    pub secrets: Secrets,
    pub tokens: Tokens,
    pub metrics: Metrics,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
    tickets: Mutex<u64>,
    _directory: tempfile::TempDir,
}

impl Desk {
    /// Mail goes through these servers, in this order.
    pub fn open(servers: Vec<SmtpServer>) -> Desk {
        let directory = tempfile::tempdir().unwrap();
        Desk {
            store: Store::open(directory.path()).unwrap(),
            clock: Clock::standing_at(start_of_time()),
            board: Arc::default(),
            config: Arc::new(Mutex::new(Arc::new(config(servers)))),
            secrets: Secrets::default(),
            tokens: Tokens::default(),
            metrics: Metrics::default(),
            stop: CancellationToken::new(),
            task: None,
            tickets: Mutex::new(0),
            _directory: directory,
        }
    }

    pub fn start(&mut self) {
        let config = self.config.clone();
        let parts = OutboxParts {
            store: self.store.clone(),
            running: Arc::new(move || ("r1".into(), config.lock().unwrap().clone())),
            secrets: self.secrets.clone(),
            programs: Default::default(),
            external_host: None,
            tokens: self.tokens.clone(),
            board: self.board.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
        };
        self.stop = CancellationToken::new();
        self.task = Some(tokio::spawn(outbox::run(parts, self.stop.clone())));
    }

    /// How often it is not known whether the server took a mail.
    pub fn ambiguous(&self) -> Option<u64> {
        let series = "postroom_outbox_ambiguous_total{server=\"relay\"} ";
        self.metrics.text().lines().find_map(|line| line.strip_prefix(series)?.parse().ok())
    }

    pub async fn end(&mut self) {
        self.stop.cancel();
        self.task.take().unwrap().await.unwrap();
    }

    /// Turns the clock and makes the outbox look at it.
    pub fn turn(&self, by: SignedDuration) {
        self.clock.turn(by);
        self.store.outbox_bell().notify_one();
    }

    /// Makes a ticket from a mail and gives its number.
    pub async fn ticket(&self) -> String {
        let count = {
            let mut tickets = self.tickets.lock().unwrap();
            *tickets += 1;
            *tickets
        };
        let raw = format!(
            "From: Carol <carol@customer.test>\r\nTo: desk@desk.test\r\nSubject: Case {count}\r\n\
             Message-ID: <case-{count}@customer.test>\r\nDate: Wed, 4 Mar 2026 08:00:00 +0000\r\n\
             \r\nPlease look at case {count}.\r\n"
        );
        let config = self.config.lock().unwrap().clone();
        let account = config.accounts["support"].clone();
        let location = Location(count.to_string());
        let spool = Spool {
            location: location.clone(),
            raw: Arc::new(raw.clone().into_bytes()),
            headers_only: false,
        };
        let spooled = self.store.spool("support", vec![spool]).await.unwrap();
        let judgement = intake::judge(&config, &account, &mail::parse(raw.as_bytes()));
        let recorded = self
            .store
            .record(vec![ToRecord {
                config,
                account,
                location,
                digest: spooled[0].digest,
                judgement: Ok(Box::new(judgement)),
                now: self.clock.now(),
                released: None,
            }])
            .await
            .unwrap();
        recorded[0].ticket.clone().unwrap()
    }

    /// Owes one mail with this text to each of these.
    pub async fn owe(&self, ticket: &str, text: &str, to: &[&str]) {
        let command = Command::Reply {
            text: text.into(),
            to: to.iter().map(|to| address(to)).collect(),
            cc: vec![],
            subject: None,
        };
        let config = self.config.lock().unwrap().clone();
        let now = self.clock.now();
        let carried = self.store.command(config, ticket, vec![command], Actor::System, now);
        carried.await.unwrap();
    }

    pub fn all(&self) -> Vec<Outgoing> {
        let mut all = self.store.outbox(OutboxFilter::All, None, 10_000).unwrap().items;
        all.sort_by_key(|mail| mail.id);
        all
    }

    /// How the mails to one recipient are: `sent`, `dead: reason`, `due 2: last error`.
    pub fn how(&self, to: &str) -> Vec<String> {
        let to = address(to);
        let shown = |mail: &Outgoing| match &mail.delivery {
            Delivery::Sent { .. } => "sent".into(),
            Delivery::Dead { reason, .. } => format!("dead: {reason}"),
            Delivery::Due { attempts, last_error, .. } => {
                format!("due {attempts}: {}", last_error.as_deref().unwrap_or("-"))
            }
        };
        self.all().iter().filter(|mail| mail.recipient == to).map(shown).collect()
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&Desk) -> bool) {
        let waiting = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let all: Vec<_> = self.all().into_iter().map(|mail| mail.delivery).collect();
            panic!("not in time: {what}; owed mails: {all:?}");
        }
    }

    pub async fn until_nothing_is_due(&self) {
        self.until("nothing is due", |desk| desk.store.outbox_counts().unwrap().due == 0).await;
    }

    pub fn failures(&self, server: &str) -> u32 {
        let objects = self.board.all();
        let status = objects.iter().find(|o| o.kind == Kind::Smtp && o.name == server);
        status.map_or(0, |status| status.consecutive_failures)
    }

    pub fn condition(&self, server: &str, kind: ConditionKind) -> Option<bool> {
        let objects = self.board.all();
        let status = objects.iter().find(|o| o.kind == Kind::Smtp && o.name == server)?;
        status.conditions.iter().find(|condition| condition.kind == kind)?.status
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn config(servers: Vec<SmtpServer>) -> Config {
    let sender = Sender {
        name: "default".into(),
        from_name: "Desk".into(),
        from: address("desk@desk.test"),
        envelope_from: Some(address("bounce@desk.test")),
        via: servers.iter().map(|server| server.name.clone()).collect(),
        state: Switch::Enabled,
    };
    let account = Account {
        name: "support".into(),
        connection: Source::Maildir { path: "/nonexistent".into() },
        poll: Poll::Every(Duration::from_secs(600)),
        idle: false,
        only: Only::All,
        since: Since::All,
        max_size_bytes: 1 << 20,
        oversize: Oversize::HeadersOnly,
        after_fetch: AfterFetch::Keep,
        dispatch: Dispatch::Queue("Raw".into()),
        trusted: false,
        state: Switch::Enabled,
    };
    Config {
        smtp: servers.into_iter().map(|server| (server.name.clone(), server)).collect(),
        senders: BTreeMap::from([("default".into(), sender)]),
        accounts: Arc::new(BTreeMap::from([("support".into(), Arc::new(account))])),
        queues: BTreeMap::from([("Raw".into(), Queue::named("Raw"))]),
        ..Config::default()
    }
}

/// Which of the texts arrived for whom, in order.
fn texts(arrived: &[Arrived], to: &str, words: &[&str]) -> Vec<String> {
    let to = format!("<{to}>");
    let word = |mail: &Arrived| {
        let text = String::from_utf8_lossy(&mail.mail).into_owned();
        words.iter().find(|word| text.contains(**word)).map(|word| (*word).to_owned())
    };
    arrived.iter().filter(|mail| mail.to == [to.clone()]).filter_map(word).collect()
}

#[test]
fn eight_hours_without_a_server() {
    run(async {
        let sink = Sink::start(Script::default()).await;
        let (addr, server) = (sink.addr, sink.server("relay"));
        drop(sink);
        let mut desk = Desk::open(vec![server]);
        let words = ["first-word", "second-word", "third-word"];
        let recipients: Vec<String> = (0..20).map(|n| format!("eve{n}@customer.test")).collect();
        let to: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let ticket = desk.ticket().await;
        desk.start();
        for word in words {
            desk.owe(&ticket, word, &to).await;
        }
        for _ in 0..48 {
            let before = desk.failures("relay");
            desk.turn(SignedDuration::from_mins(10));
            desk.until("another attempt", |desk| desk.failures("relay") > before).await;
        }
        let kept = desk.all();
        assert_eq!(kept.len(), 60);
        for mail in kept {
            assert!(matches!(mail.delivery, Delivery::Due { attempts: 0, .. }), "{mail:?}");
        }
        assert_eq!(desk.condition("relay", ConditionKind::Reachable), Some(false));

        let sink = Sink::start_at(addr, Script::default()).await;
        desk.turn(SignedDuration::from_mins(10));
        desk.until_nothing_is_due().await;
        let arrived = sink.arrived();
        assert_eq!(arrived.len(), 60);
        for to in to {
            assert_eq!(texts(&arrived, to, &words), words, "{to}");
        }
        assert_eq!(desk.condition("relay", ConditionKind::Ready), Some(true));
        desk.end().await;
    });
}

/// Mails that are owed after a long outage.
const OWED: usize = 1_000;
/// Mails a second at which they must go out at least; without optimisation, on a busy machine, far
/// fewer.
const DRAIN_RATE_MIN: f64 = if cfg!(debug_assertions) { 15.0 } else { 50.0 };

#[test]
fn thousands_of_owed_mails_go_out_in_order_when_the_server_is_back() {
    run(async {
        let sink = Sink::start(Script::default()).await;
        let (addr, server) = (sink.addr, sink.server("relay"));
        drop(sink);
        let mut desk = Desk::open(vec![server]);
        let words: Vec<String> = (0..10).map(|number| format!("word-{number}-")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let recipients: Vec<String> =
            (0..OWED / words.len()).map(|n| format!("eve{n}@customer.test")).collect();
        let to: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let ticket = desk.ticket().await;
        desk.start();
        for word in &words {
            for to in to.chunks(LETTER_RECIPIENTS_MAX) {
                desk.owe(&ticket, word, to).await;
            }
        }
        desk.until("an attempt", |desk| desk.failures("relay") > 0).await;
        let sink = Sink::start_at(addr, Script::default()).await;
        let began = std::time::Instant::now();
        desk.turn(SignedDuration::from_hours(8));
        let arriving = async {
            while sink.arrived().len() < OWED {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let most = Duration::from_secs_f64(OWED as f64 / DRAIN_RATE_MIN);
        let in_time = tokio::time::timeout(most, arriving).await.is_ok();
        let rate = OWED as f64 / began.elapsed().as_secs_f64();
        println!("{} mails, {rate:.0} a second", sink.arrived().len());
        assert!(in_time, "slower than {DRAIN_RATE_MIN} a second");
        desk.until_nothing_is_due().await;
        let arrived = sink.arrived();
        assert_eq!(arrived.len(), OWED);
        for to in to {
            assert_eq!(texts(&arrived, to, &words), words, "{to}");
        }
        desk.end().await;
    });
}

#[test]
fn a_refused_login_is_held_against_no_mail() {
    run(async {
        let script = Script { offers: vec!["AUTH PLAIN"], ..Script::default() };
        let sink = Sink::start(script).await;
        let password = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(password.path(), "wrong").unwrap();
        let server = sink.server_with_password("relay", password.path());
        let mut desk = Desk::open(vec![server]);
        let ticket = desk.ticket().await;
        desk.owe(&ticket, "hello", &["eve@customer.test"]).await;
        desk.start();
        let refused = ["due 0: relay: 535 5.7.8 no"];
        desk.until("refused", |desk| desk.how("eve@customer.test") == refused).await;
        assert_eq!(desk.condition("relay", ConditionKind::Authenticated), Some(false));
        assert_eq!(desk.condition("relay", ConditionKind::Reachable), Some(true));
        // A rotated password needs no reload.
        std::fs::write(password.path(), "right").unwrap();
        desk.turn(SignedDuration::from_mins(10));
        desk.until_nothing_is_due().await;
        assert_eq!(sink.arrived().len(), 1);
        assert_eq!(desk.condition("relay", ConditionKind::Authenticated), Some(true));
        desk.end().await;
    });
}

#[test]
fn one_bad_recipient_of_two() {
    run(async {
        let no_user = Do::Say("550 5.1.1 no such user");
        let rules = vec![("RCPT TO:<bad@", no_user)];
        let sink = Sink::start(Script { rules, ..Script::default() }).await;
        let mut desk = Desk::open(vec![sink.server("relay")]);
        let ticket = desk.ticket().await;
        desk.owe(&ticket, "hello", &["bad@customer.test", "eve@customer.test"]).await;
        desk.start();
        desk.until_nothing_is_due().await;
        assert_eq!(desk.how("bad@customer.test"), ["dead: 550 5.1.1 no such user"]);
        assert_eq!(desk.how("eve@customer.test"), ["sent"]);
        assert_eq!(sink.arrived().len(), 1);
        let events = desk.store.ticket(&ticket).unwrap().unwrap().events;
        let told = events.iter().filter(|event| {
            matches!(&event.what, What::DeliveryFailed { to, reason }
                if to.as_str() == "bad@customer.test" && reason.contains("no such user"))
        });
        assert_eq!(told.count(), 1);
        desk.end().await;
    });
}

#[test]
fn later_for_an_hour_holds_back_only_that_recipient() {
    run(async {
        let rules = vec![("RCPT TO:<slow@", Do::Say("451 4.2.0 later"))];
        let sink = Sink::start(Script { rules, ..Script::default() }).await;
        let mut desk = Desk::open(vec![sink.server("relay")]);
        let first_waits = |desk: &Desk| {
            let Delivery::Due { at, last_error, .. } = &desk.all()[0].delivery else { panic!() };
            *at > desk.clock.now() && last_error.as_deref() == Some("451 4.2.0 later")
        };
        let ticket = desk.ticket().await;
        let words = ["first-word", "second-word", "third-word"];
        let both = ["slow@customer.test", "eve@customer.test"];
        desk.owe(&ticket, words[0], &both).await;
        desk.start();
        sink.until_arrived(1).await;
        desk.owe(&ticket, words[1], &both).await;
        for _ in 0..6 {
            desk.turn(SignedDuration::from_mins(10));
            desk.until("slow one waits", first_waits).await;
        }
        sink.until_arrived(2).await;
        // The order outlives a restart.
        desk.end().await;
        desk.owe(&ticket, words[2], &both).await;
        desk.start();
        desk.until("eve has all", |desk| desk.how("eve@customer.test") == ["sent"; 3]).await;
        desk.until("slow one waits", first_waits).await;
        assert_eq!(texts(&sink.arrived(), both[1], &words), words);
        assert_eq!(texts(&sink.arrived(), both[0], &words), Vec::<String>::new());
        sink.now(|script| script.rules.clear());
        desk.turn(SignedDuration::from_hours(2));
        desk.until_nothing_is_due().await;
        assert_eq!(texts(&sink.arrived(), both[0], &words), words);
        assert_eq!(sink.arrived().len(), 6);
        desk.end().await;
    });
}

#[test]
fn the_next_server_takes_over() {
    run(async {
        let relay = Sink::start(Script {
            rules: vec![("BANNER", Do::Say("421 closed"))],
            ..Script::default()
        })
        .await;
        let backup = Sink::start(Script::default()).await;
        let mut desk = Desk::open(vec![relay.server("relay"), backup.server("backup")]);
        let ticket = desk.ticket().await;
        desk.owe(&ticket, "hello", &["eve@customer.test"]).await;
        desk.start();
        desk.until_nothing_is_due().await;
        assert_eq!(backup.arrived().len(), 1);
        assert_eq!(relay.arrived().len(), 0);
        // The first one is tried again when its pause is over.
        relay.now(|script| script.rules.clear());
        desk.clock.turn(SignedDuration::from_mins(10));
        desk.owe(&ticket, "again", &["eve@customer.test"]).await;
        desk.until_nothing_is_due().await;
        assert_eq!(relay.arrived().len(), 1);
        desk.end().await;
    });
}

#[test]
fn a_lost_answer_doubles_one_mail_and_loses_none() {
    run(async {
        let sink =
            Sink::start(Script { rules: vec![("END", Do::Lose)], ..Script::default() }).await;
        let mut desk = Desk::open(vec![sink.server("relay")]);
        let ticket = desk.ticket().await;
        desk.owe(&ticket, "hello", &["eve@customer.test"]).await;
        desk.start();
        sink.until_arrived(1).await;
        desk.until("failure seen", |desk| desk.failures("relay") > 0).await;
        sink.now(|script| script.rules.clear());
        desk.turn(SignedDuration::from_mins(10));
        desk.until_nothing_is_due().await;
        let arrived = sink.arrived();
        assert_eq!(arrived.len(), 2);
        assert_eq!(arrived[0].wire, arrived[1].wire);
        assert_eq!(desk.ambiguous(), Some(1));
        // On a connection that lay idle the mail goes again at once: both answers are lost.
        sink.now(|script| script.rules.push(("END", Do::Lose)));
        desk.owe(&ticket, "again", &["eve@customer.test"]).await;
        sink.until_arrived(4).await;
        desk.until("failure seen", |desk| desk.failures("relay") > 0).await;
        assert_eq!(desk.ambiguous(), Some(3));
        // A server that says why it hangs up has not taken it, nor has one that did not get it all.
        for rule in [("END", Do::SayAndHangUp("421 closing")), ("DATA", Do::HangUp)] {
            sink.now(|script| script.rules = vec![rule]);
            let failures = desk.failures("relay");
            desk.turn(SignedDuration::from_mins(10));
            desk.until("failure seen", |desk| desk.failures("relay") > failures).await;
            assert_eq!(desk.ambiguous(), Some(3));
        }
        desk.end().await;
    });
}

#[test]
fn a_mail_that_brings_connections_down_stops_nobody() {
    run(async {
        let rules = vec![("RCPT TO:<poison@", Do::HangUp)];
        let sink = Sink::start(Script { rules, ..Script::default() }).await;
        let mut desk = Desk::open(vec![sink.server("relay")]);
        let ticket = desk.ticket().await;
        desk.owe(&ticket, "hello", &["poison@customer.test"]).await;
        desk.owe(&ticket, "hello", &["a@customer.test", "b@customer.test", "c@customer.test"])
            .await;
        desk.start();
        for _ in 0..8 {
            desk.turn(SignedDuration::from_mins(1));
            tokio::task::yield_now().await;
            desk.until("looked at", |desk| desk.how("poison@customer.test")[0].contains("hung up"))
                .await;
        }
        sink.until_arrived(3).await;
        desk.until("charged", |desk| {
            desk.turn(SignedDuration::from_mins(5));
            desk.how("poison@customer.test")[0].starts_with("due 1")
        })
        .await;
        desk.end().await;
    });
}

#[test]
fn a_mail_in_transfer_is_finished_when_we_stop() {
    run(async {
        let sink =
            Sink::start(Script { rules: vec![("END", Do::Hold)], ..Script::default() }).await;
        let mut desk = Desk::open(vec![sink.server("relay")]);
        let ticket = desk.ticket().await;
        desk.owe(&ticket, "hello", &["eve@customer.test"]).await;
        desk.start();
        sink.until_arrived(1).await;
        desk.stop.cancel();
        sink.release();
        desk.end().await;
        assert_eq!(desk.how("eve@customer.test"), ["sent"]);
    });
}

#[test]
fn a_sender_that_is_gone_for_a_while() {
    run(async {
        let sink = Sink::start(Script::default()).await;
        let mut desk = Desk::open(vec![sink.server("relay")]);
        let ticket = desk.ticket().await;
        desk.owe(&ticket, "hello", &["eve@customer.test"]).await;
        let whole = desk.config.lock().unwrap().clone();
        let without = Config { senders: BTreeMap::new(), ..(*whole).clone() };
        *desk.config.lock().unwrap() = Arc::new(without);
        desk.start();
        let waits = ["due 0: sender \"default\" is not declared"];
        desk.until("it waits", |desk| desk.how("eve@customer.test") == waits).await;
        *desk.config.lock().unwrap() = whole;
        desk.store.outbox_bell().notify_one();
        desk.until_nothing_is_due().await;
        assert_eq!(sink.arrived().len(), 1);
        desk.end().await;
    });
}

#[test]
fn a_clock_that_is_turned_back_a_day() {
    run(async {
        let rules = vec![("RCPT", Do::Say("451 4.2.0 later"))];
        let sink = Sink::start(Script { rules, ..Script::default() }).await;
        let mut desk = Desk::open(vec![sink.server("relay")]);
        let ticket = desk.ticket().await;
        desk.owe(&ticket, "hello", &["eve@customer.test"]).await;
        desk.start();
        let later = |desk: &Desk| desk.how("eve@customer.test")[0].starts_with("due 1");
        desk.until("it waits", later).await;
        sink.now(|script| script.rules.clear());
        desk.turn(SignedDuration::from_hours(-24));
        let limit = desk.clock.now() + SignedDuration::from_hours(2);
        desk.until(
            "it waits no longer than two hours",
            |desk| matches!(desk.all()[0].delivery, Delivery::Due { at, .. } if at <= limit),
        )
        .await;
        desk.turn(SignedDuration::from_hours(2));
        desk.until_nothing_is_due().await;
        assert_eq!(sink.arrived().len(), 1);
        desk.end().await;
    });
}

#[test]
fn connections_are_used_again() {
    run(async {
        let sink = Sink::start(Script::default()).await;
        let mut desk = Desk::open(vec![sink.server("relay")]);
        let ticket = desk.ticket().await;
        let recipients: Vec<String> = (0..30).map(|n| format!("eve{n}@customer.test")).collect();
        let to: Vec<&str> = recipients.iter().map(String::as_str).collect();
        desk.owe(&ticket, "hello", &to).await;
        desk.start();
        desk.until_nothing_is_due().await;
        assert!(sink.connections() <= 2, "{}", sink.connections());
        // Unused for 30 seconds, they are closed with a goodbye.
        desk.turn(SignedDuration::from_secs(31));
        desk.until("goodbye", |_| sink.lines().iter().any(|line| line == "QUIT")).await;
        desk.end().await;
    });
}
