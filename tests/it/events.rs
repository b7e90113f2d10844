//! Each event from what makes it happen to who hears of it: by mail through a real SMTP server, by
//! the bell, and by a webhook; and nobody else does.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use postroom::core::address::Address;
use postroom::core::ticket::{Actor, Command, State, Watcher};
use postroom::run::clock::Clock;
use postroom::run::clockwork;

use crate::daemon::{Daemon, until};
use crate::sink::{Do, Script, Sink};
use crate::webhooks::Listener;

/// Everybody wants to hear of everything; each hears of it in one role only.
const PEOPLE: [&str; 8] = ["oscar", "rita", "wanda", "quinn", "sally", "nina", "bob", "zed"];
/// Somebody whose address the server refuses.
const GONE: &str = "gone@cust.example";

/// A daemon whose clock stands, with a server and a program that hear what it says.
struct Desk {
    daemon: Daemon,
    sink: Sink,
    listener: Listener,
    mails: usize,
}

impl Desk {
    async fn start() -> Desk {
        let refuse = ("RCPT TO:<gone@cust.example>", Do::Say("550 5.1.1 no such user"));
        let sink = Sink::start(Script { rules: vec![refuse], ..Script::default() }).await;
        let listener = Listener::start(&[]).await;
        let mut daemon = Daemon::prepare(&config(&sink, &listener));
        std::fs::write(daemon.path("secret"), "a secret of the test").unwrap();
        daemon.clock = Clock::standing_at("2026-11-24T03:00:00Z".parse().unwrap());
        daemon.again().await;
        Desk { daemon, sink, listener, mails: 0 }
    }

    fn now(&self) -> Timestamp {
        self.daemon.clock.now()
    }

    /// A mail arrives; answers with the number of its ticket.
    async fn mail(&mut self, subject: &str) -> String {
        self.mails += 1;
        let count = self.mails;
        let mail = format!(
            "From: Eve <eve@cust.example>\r\nTo: support@desk.example\r\nSubject: {subject}\r\n\
             Message-ID: <{count}@cust.example>\r\n\r\nText {count}.\r\n"
        );
        self.daemon.deliver(&format!("m{count}"), mail.as_bytes());
        self.daemon.mails(count).await[count - 1].ticket.clone().unwrap()
    }

    /// A ticket of oscar, for which rita answers and which wanda watches.
    async fn ticket(&mut self) -> String {
        let number = self.mail(&format!("Case {}", self.mails)).await;
        self.act(&number, Command::SetOwner(Some("oscar".into()))).await;
        self.act(&number, Command::SetResponsible(Some("rita".into()))).await;
        self.act(&number, Command::Watch(Watcher::Agent("wanda".into()))).await;
        self.act(&number, Command::SetState { state: State::Open, pending_until: None }).await;
        number
    }

    /// Bob does something.
    async fn act(&self, number: &str, command: Command) {
        let handle = self.daemon.app().handle();
        let config = handle.running.load().config.clone();
        let actor = Actor::Agent("bob".into());
        let done = handle.store.command(config, number, vec![command], actor, self.now());
        done.await.unwrap();
    }

    /// So much time passes, and the clockwork looks.
    async fn later(&self, hours: i64) {
        self.daemon.clock.turn(SignedDuration::from_hours(hours));
        let handle = self.daemon.app().handle();
        clockwork::tick(handle, self.now()).await.unwrap();
    }

    /// Waits until nothing is owed any more, and answers with what was heard so far.
    async fn heard(&self) -> Heard {
        let store = &self.daemon.app().handle().store;
        until("everything is sent", || {
            let (mails, hooks) = (store.outbox_counts().unwrap(), store.hook_counts().unwrap());
            (mails.due == 0 && hooks.due == 0).then_some(())
        })
        .await;
        let bells = PEOPLE.iter().flat_map(|who| {
            let bells = store.bells(who, None, 1_000).unwrap().items;
            bells.into_iter().map(move |bell| format!("{} {who}", bell.event))
        });
        let mails = self.sink.arrived();
        Heard {
            mails: mails.iter().flat_map(|mail| mail.to.iter().map(|to| address(to))).collect(),
            bells: bells.collect(),
            hooks: self
                .listener
                .heard()
                .iter()
                .map(|one| one.json()["type"].as_str().unwrap().to_owned())
                .collect(),
        }
    }
}

/// What was heard since the beginning.
struct Heard {
    mails: Vec<String>,
    bells: Vec<String>,
    hooks: Vec<String>,
}

fn config(sink: &Sink, listener: &Listener) -> String {
    let all = "[ticketCreated, followUpLocked, followUpUnlocked, lockTimeout, noteAdded, \
               queueUpdated, ownerChanged, responsibleChanged, deliveryFailed, pendingReached]";
    let users = PEOPLE.map(|who| {
        let queues = match who {
            "quinn" => "[support]",
            "sally" => "[sales]",
            _ => "[]",
        };
        format!(
            "  {who}: {{email: {who}@desk.example, subscriptions: {{queues: {queues}, events: {all}}}}}\n"
        )
    });
    format!(
        r#"version: 1
mailAccounts:
  local: {{type: maildir, path: "{{dir}}/mail", dispatch: {{by: recipient}}, since: all, afterFetch: delete, pollInterval: 1s}}
smtp:
  sink: {{type: smtp, host: 127.0.0.1, port: {}}}
senders:
  default: {{from: notify@desk.example, via: [sink]}}
queues: {{support: {{lockTimeout: 2h}}, sales: {{}}}}
systemAddresses:
  support@desk.example: {{queue: support}}
webhooks:
  chat: {{url: "http://127.0.0.1:{}/hook", secret: {{file: "{{dir}}/secret"}}, allowPrivate: true}}
users:
{}"#,
        sink.addr.port(),
        listener.port,
        users.concat()
    )
}

/// Does something, and expects the event to reach these people over each channel, and nobody else
/// over any.
async fn check(desk: &mut Desk, event: &str, makes: impl AsyncFnOnce(&mut Desk), told: &[&str]) {
    check_as(desk, event, &[], makes, told).await;
}

/// The same; programs are told of it under another name.
async fn check_as(
    desk: &mut Desk,
    event: &str,
    hooks: &[&str],
    makes: impl AsyncFnOnce(&mut Desk),
    told: &[&str],
) {
    let before = desk.heard().await;
    makes(desk).await;
    let after = desk.heard().await;
    let mut told: Vec<&str> = told.to_vec();
    told.sort_unstable();
    // Customers are told by mail alone, and what is written to them is no notification.
    let mut mails: Vec<&String> = after.mails[before.mails.len()..]
        .iter()
        .filter(|recipient| recipient.ends_with("@desk.example"))
        .collect();
    mails.sort_unstable();
    let expected: Vec<String> = told.iter().map(|who| format!("{who}@desk.example")).collect();
    assert_eq!(mails, expected.iter().collect::<Vec<_>>(), "{event} by mail");

    let mut bells = after.bells.clone();
    for bell in &before.bells {
        let at = bells.iter().position(|one| one == bell).unwrap();
        bells.remove(at);
    }
    bells.sort_unstable();
    let expected: Vec<String> = told.iter().map(|who| format!("{event} {who}")).collect();
    assert_eq!(bells, expected, "{event} by the bell");
    // Programs are told what happened; that it ends somebody's lock is for that person.
    let own = [event];
    let hooks = if hooks.is_empty() { &own } else { hooks };
    assert_eq!(after.hooks[before.hooks.len()..], *hooks, "{event} by the webhook");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_reaches_those_whom_it_concerns_and_nobody_else() {
    let mut desk = Desk::start().await;
    let desk = &mut desk;
    check(desk, "ticketCreated", async |desk| drop(desk.mail("New").await), &["quinn"]).await;

    let number = desk.ticket().await;
    let subject = format!("Re: [Ticket#{number}] Case");
    let everybody = ["oscar", "rita", "wanda", "quinn"];
    check(desk, "followUpUnlocked", async |desk| drop(desk.mail(&subject).await), &everybody).await;
    desk.act(&number, Command::SetLock(true)).await;
    let follow_up = async |desk: &mut Desk| drop(desk.mail(&subject).await);
    check(desk, "followUpLocked", follow_up, &["oscar", "rita", "wanda"]).await;

    let note = |visible_for_customer| Command::Note {
        subject: String::new(),
        text: "A word among us.".into(),
        visible_for_customer,
    };
    let adds = async |desk: &mut Desk| desk.act(&number, note(false)).await;
    check(desk, "noteAdded", adds, &["oscar", "rita", "wanda"]).await;

    // The lock of oscar runs out two hours after the last thing that happened on it.
    check(desk, "lockTimeout", async |desk| desk.later(3).await, &["oscar"]).await;
    desk.act(&number, Command::SetLock(true)).await;
    let unlocks = async |desk: &mut Desk| desk.act(&number, Command::SetLock(false)).await;
    check_as(desk, "lockTimeout", &["ticketUnlocked"], unlocks, &["oscar"]).await;

    let moves = async |desk: &mut Desk| desk.act(&number, Command::SetQueue("sales".into())).await;
    check(desk, "queueUpdated", moves, &["sally"]).await;
    let gives = async |desk: &mut Desk| {
        desk.act(&number, Command::SetOwner(Some("nina".into()))).await;
    };
    check(desk, "ownerChanged", gives, &["nina", "oscar"]).await;
    let names = async |desk: &mut Desk| {
        desk.act(&number, Command::SetResponsible(Some("zed".into()))).await;
    };
    check(desk, "responsibleChanged", names, &["rita", "zed"]).await;

    let pending = Command::SetState {
        state: State::Pending,
        pending_until: Some(desk.now() + SignedDuration::from_hours(1)),
    };
    desk.act(&number, pending).await;
    let wakes = async |desk: &mut Desk| desk.later(2).await;
    let hooks = ["pendingReached", "stateChanged"];
    check_as(desk, "pendingReached", &hooks, wakes, &["nina", "zed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_closes_anothers_ticket_tells_its_owner_and_a_refused_letter_does() {
    let mut desk = Desk::start().await;
    let number = desk.ticket().await;
    let closed = State::Closed { successful: true };
    let closes = async |desk: &mut Desk| {
        desk.act(&number, Command::SetState { state: closed, pending_until: None }).await;
    };
    check_as(&mut desk, "lockTimeout", &["stateChanged"], closes, &["oscar"]).await;

    let number = desk.ticket().await;
    let writes = async |desk: &mut Desk| {
        let to = vec![Address::parse(GONE).unwrap()];
        let text = "Are you there?".into();
        desk.act(&number, Command::Reply { text, to, cc: Vec::new(), subject: None }).await;
        let store = desk.daemon.app().handle().store.clone();
        until("the letter is refused", || {
            let ticket = store.ticket(&number).unwrap().unwrap().ticket;
            (!ticket.undeliverable.is_empty()).then_some(())
        })
        .await;
    };
    check_as(&mut desk, "deliveryFailed", &["replySent", "deliveryFailed"], writes, &["oscar"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_watches_hears_of_what_he_may_see_also_of_his_own_doing() {
    let mut desk = Desk::start().await;
    let number = desk.ticket().await;
    let eve = Address::parse("eve@cust.example").unwrap();
    desk.act(&number, Command::Watch(Watcher::Customer(eve))).await;
    let customers = async |desk: &Desk| -> usize {
        let mails = desk.heard().await.mails;
        mails.iter().filter(|recipient| *recipient == "eve@cust.example").count()
    };
    let note = |visible_for_customer| Command::Note {
        subject: String::new(),
        text: "We look after it.".into(),
        visible_for_customer,
    };
    desk.act(&number, note(false)).await;
    assert_eq!(customers(&desk).await, 0);
    desk.act(&number, note(true)).await;
    assert_eq!(customers(&desk).await, 1);
    desk.mail(&format!("Re: [Ticket#{number}]")).await;
    assert_eq!(customers(&desk).await, 2);
    let told: BTreeSet<String> = desk.heard().await.bells.into_iter().collect();
    assert!(!told.iter().any(|bell| bell.ends_with("eve@cust.example")), "{told:?}");
}

/// The address in an argument of RCPT: `TO:<a@x.test>`.
fn address(argument: &str) -> String {
    let (_, rest) = argument.split_once('<').unwrap();
    rest.split('>').next().unwrap().to_owned()
}
