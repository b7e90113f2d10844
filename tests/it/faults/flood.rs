//! Thousands of mails at once, from one sender and from many.

use std::collections::BTreeMap;
use std::time::Duration;

use postroom::core::notify::hours::Hour;
use postroom::core::outgoing::OutgoingKind;
use postroom::store::OutboxFilter;

use super::{desk, mail, metric, of, records};
use crate::daemon::{Daemon, deliver, until_within};
use crate::process::{ask, token};

/// A desk that needs longer than this for it has found a fault.
const PATIENCE: Duration = Duration::from_secs(240);
/// Mails of the flood: half of one sender, half of as many senders.
const MAILS: usize = 3_000;
/// Automatic answers of the desk in one hour.
const ANSWERS: usize = 40;
/// Notification mails to one agent in one hour.
const NOTICES: usize = 30;

fn flooded() -> String {
    let quiet = "  quiet: {type: maildir, path: \"{dir}/quiet\", dispatch: {by: queue, queue: quiet}, \
                 since: all, afterFetch: keep, pollInterval: 1s}\n";
    desk(quiet)
        .replace(
            "limits: {",
            &format!("limits: {{autoRepliesPerHour: {ANSWERS}, notificationsPerHour: {NOTICES}, "),
        )
        .replace("queues:\n", "queues:\n  quiet: {}\n")
        + "users:\n  \
           alice: {email: alice@agents.example, subscriptions: {queues: [support], events: {ticketCreated: [mail, web]}}}\n  \
           bob: {email: bob@agents.example, subscriptions: {queues: [quiet], events: [ticketCreated]}}\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_floods_nobody_else() {
    let daemon = Daemon::prepare(&flooded());
    for kind in ["new", "cur", "tmp"] {
        std::fs::create_dir_all(daemon.path("quiet").join(kind)).unwrap();
    }
    for number in 0..MAILS {
        let from = if number % 2 == 0 { 0 } else { number };
        let from = format!("mallory@else{from}.example");
        daemon.deliver(&number.to_string(), &mail(&from, number, &format!("Buy {number}"), ""));
    }
    let mut daemon = daemon;
    daemon.again().await;

    // Another account is read meanwhile.
    let flood = |daemon: &Daemon| of(&records(daemon), "healthy").len();
    until_within(PATIENCE, "the flood", || (flood(&daemon) >= MAILS / 10).then_some(())).await;
    deliver(&daemon.path("quiet"), "one", &mail("eve@customer.example", MAILS, "Help", ""));
    until_within(PATIENCE, "its end", || (flood(&daemon) == MAILS).then_some(())).await;
    let known = records(&daemon);
    let place = known.iter().position(|record| record.account == "quiet");
    let place = place.expect("its mail did not wait for the end of the flood");
    println!("the quiet account's mail is number {} of {}", place + 1, known.len());
    assert!(place < MAILS, "{place}");

    let store = &daemon.app().handle().store;
    let owed = store.outbox(OutboxFilter::All, None, 10_000).unwrap().items;
    let mut notices: BTreeMap<&str, usize> = BTreeMap::new();
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for mail in &owed {
        match &mail.kind {
            OutgoingKind::Notification { who, .. } => {
                *notices.entry(who.as_str()).or_default() += 1
            }
            OutgoingKind::AutoReply { .. } => {
                *answers.entry(mail.recipient.to_string()).or_default() += 1;
            }
            OutgoingKind::Reply => panic!("nobody answered by hand"),
        }
    }
    // The hour may have ended in between.
    let hour = |at: usize| Hour::of(known[at].at).0;
    let hours = usize::try_from(hour(known.len() - 1) - hour(0)).unwrap() + 1;
    let to_alice = notices["alice"];
    assert!((NOTICES..=hours * (NOTICES + 1)).contains(&to_alice), "{to_alice} in {hours} hours");
    assert_eq!(notices["bob"], 1, "whose queue is not flooded");
    let answered: usize = answers.values().sum();
    println!("{to_alice} notifications, {answered} answers to {} addresses", answers.len());
    assert_eq!(answered, ANSWERS);
    assert!(answers["mallory@else0.example"] <= 10);

    // Nothing is lost by that: the bell rang each time, and the rest is counted and explained.
    let bells = store.bells("alice", None, MAILS + 1).unwrap().items;
    assert_eq!(bells.len(), MAILS);
    let held =
        metric(&daemon, r#"postroom_notifications_total{event="ticketCreated",result="held"}"#);
    assert_eq!(held, Some((MAILS - hours * NOTICES) as f64));
    let number = of(&known, "healthy").last().unwrap().ticket.clone().unwrap();
    let path = format!("/api/v1/tickets/{number}/audience?event=ticketCreated");
    let token = token(&daemon.path("data"));
    let (status, said) = ask(daemon.app().addr(), "GET", &path, &token, "").await;
    assert_eq!(status, 200, "{said}");
    if hours == 1 {
        assert!(
            said.contains("\"fullHour\"") && said.contains("limits.notificationsPerHour"),
            "{said}"
        );
    }
}
