//! What happens because time passed, over a real store and through restarts: digests go out once,
//! locks run out, pending tickets wake up.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use postroom::config;
use postroom::core::config::Config;
use postroom::core::digest::LINES_MAX;
use postroom::core::intake;
use postroom::core::mail::{self, Location};
use postroom::core::outgoing::{Delivery, Outgoing};
use postroom::core::ticket::{Actor, Command, State};
use postroom::metrics::Metrics;
use postroom::run::clock::Clock;
use postroom::run::clockwork;
use postroom::run::daemon::{Daemon, Parts, Running};
use postroom::secret::Secrets;
use postroom::store::{OutboxFilter, Spool, Store, ToRecord};

const DESK: &str = r#"
version: 1
smtp: {files: {type: file, directory: /nowhere}}
senders: {default: {from: notify@desk.example, via: [files]}}
mailAccounts: {inbox: {type: maildir, path: /nowhere, dispatch: {by: queue, queue: support}, afterFetch: keep}}
queues: {support: {lockTimeout: 2h}}
"#;
const DIGEST: &str = "{queues: [support], events: {ticketCreated: [mail]}, digest: daily 08:00}";
const AT_ONCE: &str = "{queues: [support], events: [ticketCreated, lockTimeout, pendingReached]}";

/// A desk whose clock somebody turns, and which can be started again.
struct Desk {
    folder: tempfile::TempDir,
    clock: Clock,
    config: Arc<Config>,
    daemon: Option<Daemon>,
    mails: u32,
}

impl Desk {
    /// It is this time, and alice in Tokyo wants to hear of this.
    fn open(now: &str, subscriptions: &str) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::standing_at(now.parse().unwrap());
        let config = read(folder.path(), &users(subscriptions));
        let mut desk = Desk { folder, clock, config, daemon: None, mails: 0 };
        desk.start_again();
        desk
    }

    fn start_again(&mut self) {
        self.daemon = None;
        let running = Running {
            revision: "r".into(),
            applied: self.clock.now(),
            config: self.config.clone(),
            changes: Vec::new(),
        };
        self.daemon = Some(Daemon::new(Parts {
            store: Store::open(&self.folder.path().join("data")).unwrap(),
            running: ArcSwap::from_pointee(running),
            board: Default::default(),
            metrics: Metrics::default(),
            secrets: Secrets::default(),
            programs: Default::default(),
            clock: self.clock.clone(),
            tokens: Default::default(),
        }));
    }

    /// Goes on with other files.
    fn reload(&mut self, users: &str) {
        self.config = read(self.folder.path(), users);
        self.start_again();
    }

    fn store(&self) -> &Store {
        &self.daemon.as_ref().unwrap().store
    }

    /// It is this time now, and the clockwork looks.
    async fn at(&self, now: &str) {
        let now: Timestamp = now.parse().unwrap();
        self.clock.turn(now.duration_since(self.clock.now()));
        self.tick().await;
    }

    async fn tick(&self) {
        clockwork::tick(self.daemon.as_ref().unwrap(), self.clock.now()).await.unwrap();
    }

    /// A mail arrives; answers with the number of its ticket.
    async fn mail(&mut self) -> String {
        self.mails += 1;
        let count = self.mails;
        let raw = format!(
            "From: Eve <eve@customer.example>\r\nTo: support@desk.example\r\n\
             Subject: Case {count}\r\nMessage-ID: <{count}@customer.example>\r\n\r\nPlease help.\r\n"
        );
        let location = Location(count.to_string());
        let bytes = Arc::new(raw.clone().into_bytes());
        let spool = Spool { location: location.clone(), raw: bytes, headers_only: false };
        let spooled = self.store().spool("inbox", vec![spool]).await.unwrap();
        let account = self.config.accounts["inbox"].clone();
        let judgement = intake::judge(&self.config, &account, &mail::parse(raw.as_bytes()));
        let recorded = self.store().record(vec![ToRecord {
            config: self.config.clone(),
            account,
            location,
            digest: spooled[0].digest,
            judgement: Ok(Box::new(judgement)),
            now: self.clock.now(),
            released: None,
        }]);
        recorded.await.unwrap()[0].ticket.clone().unwrap()
    }

    async fn act(&self, ticket: &str, commands: Vec<Command>) {
        let actor = Actor::Agent("bob".into());
        let now = self.clock.now();
        self.store().command(self.config.clone(), ticket, commands, actor, now).await.unwrap();
    }

    /// Texts of all owed mails to alice, oldest first.
    fn owed(&self) -> Vec<String> {
        let mut mails = self.owed_mails();
        mails.reverse();
        mails.iter().map(|mail| mail::parse(&mail.raw).text).collect()
    }

    fn owed_mails(&self) -> Vec<Outgoing> {
        self.store().outbox(OutboxFilter::All, None, 100).unwrap().items
    }

    fn bells(&self) -> Vec<String> {
        let bells = self.store().bells("alice", None, 100).unwrap().items;
        bells.into_iter().map(|bell| format!("{} {}", bell.event, bell.role)).collect()
    }
}

fn users(subscriptions: &str) -> String {
    format!(
        "users:\n  alice: {{email: alice@desk.example, timeZone: Asia/Tokyo, subscriptions: {subscriptions}}}\n  \
         bob: {{email: bob@desk.example}}\n"
    )
}

fn read(folder: &Path, users: &str) -> Arc<Config> {
    let file = folder.join("desk.yaml");
    std::fs::write(&file, format!("{DESK}{users}")).unwrap();
    let loaded = config::load(&[file]);
    Arc::new(loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems)))
}

#[tokio::test]
async fn a_digest_goes_out_once_a_day_through_restarts() {
    let mut desk = Desk::open("2026-11-24T03:00:00Z", DIGEST);
    desk.mail().await;
    desk.start_again();
    desk.mail().await;
    desk.at("2026-11-24T22:59:59Z").await;
    assert_eq!(desk.owed(), Vec::<String>::new(), "it is not eight in Tokyo");
    desk.start_again();
    desk.at("2026-11-24T23:00:00Z").await;
    let [text] = &desk.owed()[..] else { panic!("one digest: {:?}", desk.owed()) };
    assert!(text.contains("New ticket: Case 1") && text.contains("New ticket: Case 2"), "{text}");
    // A line from right after it is for tomorrow, however often anybody looks or starts again.
    desk.mail().await;
    desk.start_again();
    desk.tick().await;
    desk.at("2026-11-25T22:59:00Z").await;
    assert_eq!(desk.owed().len(), 1);
    desk.at("2026-11-25T23:00:10Z").await;
    desk.tick().await;
    let owed = desk.owed();
    assert_eq!(owed.len(), 2);
    assert!(owed[1].contains("Case 3") && !owed[1].contains("Case 1"), "{}", owed[1]);
    assert!(desk.store().digests().unwrap().is_empty());
}

#[tokio::test]
async fn eight_is_eight_when_the_clocks_change() {
    // Berlin is two hours ahead of UTC from 2026-03-29 to 2026-10-25, and one hour else.
    for (noon, before, eight) in [
        ("2026-03-28T12:00:00Z", "2026-03-29T05:59:59Z", "2026-03-29T06:00:00Z"),
        ("2026-10-24T12:00:00Z", "2026-10-25T06:59:59Z", "2026-10-25T07:00:00Z"),
    ] {
        let mut desk = Desk::open(noon, DIGEST);
        desk.reload(&users(DIGEST).replace("Asia/Tokyo", "Europe/Berlin"));
        desk.mail().await;
        desk.at(before).await;
        assert_eq!(desk.owed().len(), 0, "{before}");
        desk.at(eight).await;
        assert_eq!(desk.owed().len(), 1, "{eight}");
    }
}

#[tokio::test]
async fn a_desk_that_was_down_at_eight_sends_when_it_is_up() {
    let mut desk = Desk::open("2026-11-24T03:00:00Z", DIGEST);
    desk.mail().await;
    desk.clock.turn(SignedDuration::from_hours(72));
    desk.start_again();
    desk.tick().await;
    assert_eq!(desk.owed().len(), 1);
}

#[tokio::test]
async fn two_who_look_at_once_send_one_digest() {
    let mut desk = Desk::open("2026-11-24T03:00:00Z", DIGEST);
    desk.mail().await;
    desk.clock.turn(SignedDuration::from_hours(30));
    let send = || desk.store().send_digest(desk.config.clone(), "alice", desk.clock.now());
    let (one, two, three) = tokio::join!(send(), send(), send());
    let sent = [one, two, three].into_iter().filter(|sent| *sent.as_ref().unwrap()).count();
    assert_eq!((sent, desk.owed().len()), (1, 1));
}

#[tokio::test]
async fn lines_of_users_who_change() {
    let mut desk = Desk::open("2026-11-24T03:00:00Z", DIGEST);
    desk.mail().await;
    // Without a digest they go out when the hour is over.
    desk.reload(&users(AT_ONCE));
    desk.tick().await;
    assert_eq!(desk.owed().len(), 0);
    desk.at("2026-11-24T04:00:00Z").await;
    assert_eq!(desk.owed().len(), 1);
    // A renamed user keeps them, a removed one does not.
    desk.reload(&users(DIGEST));
    desk.mail().await;
    let zoe = users(DIGEST).replace("  alice:", "  zoe:");
    let renamed = format!("{zoe}moved: [{{kind: user, from: alice, to: zoe}}]\n");
    desk.reload(&renamed);
    desk.store().adopt(desk.config.moved.clone()).await.unwrap();
    assert_eq!(desk.store().digests().unwrap()[0].0, "zoe");
    desk.reload("users: {bob: {email: bob@desk.example}}\n");
    desk.tick().await;
    assert!(desk.store().digests().unwrap().is_empty());
    assert_eq!(desk.owed().len(), 1);
}

#[tokio::test]
async fn a_mail_of_quiet_hours_is_due_when_they_are_over() {
    let quiet = "{queues: [support], events: [ticketCreated], quietHours: {from: \"22:00\", to: \"07:00\"}}";
    // Eleven in the evening in Tokyo.
    let mut desk = Desk::open("2026-11-24T14:00:00Z", quiet);
    desk.mail().await;
    assert_eq!(desk.bells(), ["ticketCreated queue support"]);
    let due = |desk: &Desk, at: &str| desk.store().due(at.parse().unwrap(), 10).unwrap().len();
    desk.start_again();
    assert_eq!(due(&desk, "2026-11-24T21:59:59Z"), 0);
    assert_eq!(due(&desk, "2026-11-24T22:00:00Z"), 1);
    // It is not old before it is due: nobody need look after it.
    let end = "2026-11-24T22:00:00Z".parse().unwrap();
    assert_eq!(desk.store().outbox_counts().unwrap().oldest_due, Some(end));
    let [mail] = &desk.owed_mails()[..] else { panic!("one mail") };
    assert_eq!(
        mail.delivery,
        Delivery::Due { attempts: 0, at: end, last_error: None, doubt: None }
    );
}

#[tokio::test]
async fn what_is_too_much_for_an_hour_comes_as_one_mail_through_restarts() {
    let both = "{queues: [support], events: {ticketCreated: [mail, web]}}";
    let bounded = format!("{}limits: {{notificationsPerHour: 2}}\n", users(both));
    let mut desk = Desk::open("2026-11-24T03:10:00Z", both);
    desk.reload(&bounded);
    for _ in 0..5 {
        desk.mail().await;
        desk.start_again();
    }
    assert_eq!(desk.bells().len(), 5, "the bell does not wait");
    desk.at("2026-11-24T03:59:59Z").await;
    assert_eq!(desk.owed().len(), 2);
    desk.start_again();
    // The next hour has room again; what waits from the last one goes out once.
    desk.at("2026-11-24T04:00:00Z").await;
    desk.tick().await;
    desk.mail().await;
    let owed = desk.owed();
    assert_eq!(owed.len(), 4, "{owed:?}");
    let rest = &owed[2];
    assert!(rest.contains("(limits.notificationsPerHour)"), "{rest}");
    for (case, listed) in [(1, false), (2, false), (3, true), (4, true), (5, true), (6, false)] {
        assert_eq!(rest.contains(&format!("New ticket: Case {case}")), listed, "{case}: {rest}");
    }
    let metrics = desk.daemon.as_ref().unwrap().metrics.text();
    let counted = r#"postroom_notifications_total{event="digest",result="owed"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    assert!(desk.store().digests().unwrap().is_empty());
}

#[tokio::test]
async fn a_raised_bound_counts_at_once() {
    let mut desk = Desk::open("2026-11-24T03:10:00Z", AT_ONCE);
    let bounded =
        |bound: u32| format!("{}limits: {{notificationsPerHour: {bound}}}\n", users(AT_ONCE));
    desk.reload(&bounded(1));
    desk.mail().await;
    desk.mail().await;
    assert_eq!(desk.owed().len(), 1);
    desk.reload(&bounded(2));
    desk.mail().await;
    desk.mail().await;
    assert_eq!(desk.owed().len(), 2);
    assert_eq!(desk.store().digests().unwrap().len(), 1);
}

#[tokio::test]
async fn a_digest_keeps_what_it_lists_and_counts_the_rest() {
    let mut desk = Desk::open("2026-11-24T03:00:00Z", DIGEST);
    for _ in 0..LINES_MAX + 5 {
        desk.mail().await;
    }
    desk.start_again();
    desk.at("2026-11-24T23:00:00Z").await;
    let [text] = &desk.owed()[..] else { panic!("one digest: {:?}", desk.owed()) };
    assert!(text.contains("And 5 more"), "{text}");
    // The next one counts anew.
    desk.mail().await;
    desk.at("2026-11-25T23:00:00Z").await;
    assert!(!desk.owed()[1].contains("more, which"), "{:?}", desk.owed());
}

#[tokio::test]
async fn a_lock_runs_out() {
    let mut desk = Desk::open("2026-11-24T03:00:00Z", AT_ONCE);
    let number = desk.mail().await;
    let owner = Command::SetOwner(Some("alice".into()));
    desk.act(&number, vec![owner, Command::SetLock(true)]).await;
    desk.at("2026-11-24T04:59:59Z").await;
    assert_eq!(desk.bells(), ["ticketCreated queue support"]);
    desk.start_again();
    desk.at("2026-11-24T05:00:00Z").await;
    desk.tick().await;
    assert_eq!(desk.bells(), ["lockTimeout owner", "ticketCreated queue support"]);
    assert!(desk.owed()[1].contains("(users.alice.subscriptions.events.lockTimeout)"));
}

#[tokio::test]
async fn a_pending_ticket_wakes_up() {
    let mut desk = Desk::open("2026-11-24T03:00:00Z", AT_ONCE);
    let number = desk.mail().await;
    let until = "2026-11-26T00:00:00Z".parse().ok();
    let pending = Command::SetState { state: State::Pending, pending_until: until };
    desk.act(&number, vec![Command::SetOwner(Some("alice".into())), pending]).await;
    desk.at("2026-11-25T23:59:59Z").await;
    assert_eq!(desk.bells().len(), 1);
    desk.start_again();
    desk.at("2026-11-26T00:00:00Z").await;
    desk.tick().await;
    assert_eq!(desk.bells(), ["pendingReached owner", "ticketCreated queue support"]);
}
