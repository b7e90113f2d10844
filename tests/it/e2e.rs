//! The whole daemon, in this process: each test proves that something is hooked up.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use postroom::app::{ReloadAnswer, StartError, Trigger};
use postroom::core::intake::Outcome;
use postroom::core::ticket::{Actor, Command, State};
use postroom::run::board::Kind;
use postroom::store::OutboxFilter;

use crate::daemon::{Daemon, deliver, until};

const DESK: &str = r#"
version: 1
mailAccounts:
  demo: {type: maildir, path: "{dir}/mail", dispatch: {by: recipient}, since: all, afterFetch: delete, pollInterval: 1s}
smtp:
  files: {type: file, directory: "{dir}/sent"}
senders:
  default: {from: "Desk <desk@desk.example>", via: [files]}
queues:
  support: {autoReplies: {new: thanks}}
  sales: {}
systemAddresses:
  support@desk.example: {name: Support, queue: support}
autoReplies:
  thanks: {from: support@desk.example, subject: {en: Received}, text: {en: "Your number is {{ ticket.number }}."}}
users:
  alice: {email: alice@desk.example, name: Alice, role: user, subscriptions: {queues: [support], events: [ticketCreated, followUpUnlocked, queueUpdated]}}
"#;

fn mail(number: u32, subject: &str, more: &str) -> Vec<u8> {
    format!(
        "From: Eve <eve@customer.example>\r\nTo: support@desk.example\r\nSubject: {subject}\r\n\
         Message-ID: <m{number}@customer.example>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n{more}\r\n\
         This is mail {number}.\r\n"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_becomes_a_ticket_an_answer_and_a_notification() {
    let daemon = Daemon::start(DESK).await;
    daemon.deliver("1", &mail(1, "The lift is stuck", ""));
    let records = daemon.mails(1).await;
    assert_eq!(records[0].outcome, Outcome::Created);
    let view = daemon.ticket(&records[0]);
    assert_eq!((view.ticket.queue.as_str(), view.ticket.state), ("support", State::New));
    assert_eq!(daemon.owed(), ["eve@customer.example", "alice@desk.example"]);
    let sent = daemon.path("sent");
    let letters = until("two files", || {
        let names = fs::read_dir(&sent).ok()?.flatten().map(|entry| entry.path());
        let letters: Vec<_> =
            names.filter(|path| path.extension().is_some_and(|e| e == "eml")).collect();
        (letters.len() == 2).then_some(letters)
    })
    .await;
    let texts: Vec<String> = letters.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(texts.iter().any(|text| text.contains("Auto-Submitted: auto-replied")), "{texts:?}");
    assert!(texts.iter().all(|text| text.contains(&view.ticket.number)), "{texts:?}");
    until("an empty mailbox", || {
        fs::read_dir(daemon.path("mail/new")).unwrap().next().is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_the_answer_is_a_follow_up() {
    let daemon = Daemon::start(DESK).await;
    daemon.deliver("1", &mail(1, "The lift is stuck", ""));
    let first = daemon.mails(1).await.remove(0);
    let number = first.ticket.clone().unwrap();
    daemon.deliver("2", &mail(2, &format!("Re: [Ticket#{number}] Received"), ""));
    let second = daemon.mails(2).await.remove(1);
    assert_eq!((second.outcome, second.ticket), (Outcome::FollowUp, Some(number)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_mail_again_is_a_duplicate() {
    let daemon = Daemon::start(DESK).await;
    daemon.deliver("1", &mail(1, "The lift is stuck", ""));
    daemon.mails(1).await;
    daemon.deliver("2", &mail(1, "The lift is stuck", ""));
    let again = daemon.mails(2).await.remove(1);
    assert_eq!(again.outcome, Outcome::Duplicate);
    assert_eq!(daemon.owed().len(), 2, "no second answer");
    let counted = r#"postroom_intake_duplicates_total{key="bytes"} 1"#;
    until("a counted duplicate", || {
        daemon.app().handle().metrics.text().contains(counted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_ticket_of_a_disabled_queue_and_its_answer_are_counted() {
    let disabled = DESK.replace("{new: thanks}}", "{new: thanks}, state: disabled}");
    assert_ne!(disabled, DESK);
    let daemon = Daemon::start(&disabled).await;
    daemon.deliver("1", &mail(1, "The lift is stuck", ""));
    assert_eq!(daemon.mails(1).await[0].outcome, Outcome::Created);
    let counted = [
        r#"postroom_intake_disabled_queue_total{queue="support"} 1"#,
        r#"postroom_autoreplies_total{kind="thanks",result="owed"} 1"#,
    ];
    until("both counted", || {
        let text = daemon.app().handle().metrics.text();
        counted.iter().all(|line| text.contains(line)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_noticed_and_a_broken_one_changes_nothing() {
    let daemon = Daemon::start(DESK).await;
    let handle = daemon.app().handle();
    let before = handle.running.load().revision.clone();
    daemon.write(&DESK.replace("queue: support}", "queue: sales}"));
    let after = until("a new revision", || {
        let revision = handle.running.load().revision.clone();
        (revision != before).then_some(revision)
    })
    .await;
    daemon.deliver("1", &mail(1, "The lift is stuck", ""));
    let record = daemon.mails(1).await.remove(0);
    assert_eq!(daemon.ticket(&record).ticket.queue, "sales");
    daemon.write(&DESK.replace("queue: support}", "queue: suport}"));
    let problems = until("problems", || {
        let problems = handle.rejected.load_full();
        (!problems.is_empty()).then_some(problems)
    })
    .await;
    assert!(problems.iter().any(|problem| problem.message.contains("suport")), "{problems:?}");
    assert_eq!(handle.running.load().revision, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_broken_files_runs_the_last_good_revision() {
    let mut daemon = Daemon::start(DESK).await;
    let good = daemon.app().handle().running.load().revision.clone();
    daemon.stop().await;
    daemon.write("version: 1\nqueus: {}\n");
    daemon.again().await;
    assert_eq!(daemon.app().handle().running.load().revision, good);
    daemon.deliver("1", &mail(1, "Still here", ""));
    assert_eq!(daemon.mails(1).await[0].outcome, Outcome::Created);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_very_first_start_with_broken_files_ends() {
    let mut daemon = Daemon::start(DESK).await;
    daemon.stop().await;
    fs::remove_dir_all(daemon.path("data")).unwrap();
    daemon.write("version: 1\nqueus: {}\n");
    let refused = daemon.try_again().await;
    assert!(
        matches!(refused, Err(StartError::Invalid(problems)) if problems[0].message.contains("queus"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_data_leaves_the_first_alone() {
    let daemon = Daemon::start(DESK).await;
    let mut second = Daemon::start(DESK).await;
    second.stop().await;
    fs::remove_dir_all(second.path("data")).unwrap();
    std::os::unix::fs::symlink(daemon.path("data"), second.path("data")).unwrap();
    assert!(matches!(second.try_again().await, Err(StartError::Store(_))));
    daemon.deliver("1", &mail(1, "Still here", ""));
    assert_eq!(daemon.mails(1).await[0].outcome, Outcome::Created);
}

#[tokio::test(flavor = "multi_thread")]
async fn most_accounts_do_not_vanish_by_accident() {
    let accounts: String = (0..6)
        .map(|number| {
            let folder = format!("  m{number}: {{type: maildir, path: \"{{dir}}/m{number}\", dispatch: {{by: recipient}}, afterFetch: keep}}\n");
            folder
        })
        .collect();
    let many = DESK.replace("mailAccounts:\n", &format!("mailAccounts:\n{accounts}"));
    let daemon = Daemon::start(&many).await;
    daemon.write(DESK);
    let handle = daemon.app().handle();
    let answer = handle.reload(Trigger::Http, false).await.unwrap();
    assert!(matches!(answer, ReloadAnswer::Blocked { running: 7, removed: 6 }), "{answer:?}");
    assert_eq!(handle.running.load().config.accounts.len(), 7);
    let answer = handle.reload(Trigger::Http, true).await.unwrap();
    assert!(matches!(answer, ReloadAnswer::Applied { .. }), "{answer:?}");
    assert_eq!(handle.running.load().config.accounts.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_is_held_back_disturbs_nobody() {
    let names: Vec<String> = (0..6).map(|number| format!("m{number}")).collect();
    let account = |name: &String| {
        format!(
            "  {name}: {{type: maildir, path: \"{{dir}}/{name}\", dispatch: {{by: recipient}}, \
             since: all, afterFetch: delete, pollInterval: 1s}}\n"
        )
    };
    let accounts: String = names.iter().map(account).collect();
    let many = DESK.replace("mailAccounts:\n", &format!("mailAccounts:\n{accounts}"));
    let mut daemon = Daemon::prepare(&many);
    for name in &names {
        for part in ["new", "cur", "tmp"] {
            fs::create_dir_all(daemon.path(name).join(part)).unwrap();
        }
    }
    daemon.again().await;
    let handle = daemon.app().handle();
    let before = handle.running.load().revision.clone();
    daemon.write(DESK);
    let blocked = "postroom_config_reloads_total{result=\"blocked\",trigger=\"file\"} 1\n";
    until("the edit to be held back", || handle.metrics.text().contains(blocked).then_some(()))
        .await;
    assert_eq!(handle.running.load().revision, before);
    assert!(handle.rejected.load()[0].message.contains("6 of 7"), "{:?}", handle.rejected.load());
    // Everybody goes on, also those whom it would have removed.
    for (number, name) in (1..).zip(&names) {
        deliver(&daemon.path(name), "1", &mail(number, "Are you there?", ""));
    }
    daemon.deliver("1", &mail(7, "Are you there?", ""));
    let records = daemon.mails(7).await;
    assert!(records.iter().all(|record| record.outcome == Outcome::Created), "{records:?}");
    assert_eq!(handle.running.load().config.accounts.len(), 7);
}

/// Where no event can ring, an edit is seen all the same.
#[tokio::test]
async fn an_edit_that_no_event_tells_of_is_applied() {
    let mut daemon = Daemon::prepare(DESK);
    // The folder is watched: what is written through a name elsewhere is no event in it.
    let elsewhere = daemon.path("elsewhere.yaml");
    fs::hard_link(daemon.path("config/desk.yaml"), &elsewhere).unwrap();
    daemon.again().await;
    let handle = daemon.app().handle();
    // Whoever answers this began after the one who looks from time to time.
    let answer = handle.reload(Trigger::Http, false).await;
    assert!(matches!(answer, Some(ReloadAnswer::Unchanged { .. })), "{answer:?}");
    let text = fs::read_to_string(&elsewhere).unwrap();
    fs::write(&elsewhere, text.replace("queue: support}", "queue: sales}")).unwrap();
    tokio::time::pause();
    // A paused clock runs ahead whenever nobody has anything to do, but for blocking work.
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let hold = tokio::task::spawn_blocking(move || held.recv().is_err());
    // 30 seconds, give or take a half.
    tokio::time::advance(Duration::from_secs(45)).await;
    let applied = "postroom_config_reloads_total{result=\"applied\",trigger=\"timer\"} 1\n";
    let begun = std::time::Instant::now();
    while !handle.metrics.text().contains(applied) {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain for the edit");
        tokio::task::yield_now().await;
    }
    drop(go_on);
    assert!(hold.await.unwrap(), "time stood still until now");
    assert!(!handle.metrics.text().contains("trigger=\"file\""), "an event rang");
    let running = handle.running.load();
    let address = running.config.system_addresses.values().next().unwrap();
    assert_eq!(address.queue, "sales");
}

#[tokio::test(flavor = "multi_thread")]
async fn older_mail_is_left_alone_by_default() {
    let desk = DESK
        .replace("since: all, ", "")
        .replace("pollInterval: 1s", "pollInterval: 1s, state: paused");
    let daemon = Daemon::start(&desk).await;
    daemon.deliver("1", &mail(1, "From before", ""));
    daemon.write(&desk.replace("state: paused", "state: enabled"));
    let handle = daemon.app().handle();
    until("the first look", || handle.store.account("demo").unwrap().linked).await;
    daemon.deliver("2", &mail(2, "From after", ""));
    let records = daemon.mails(1).await;
    assert_eq!(records[0].subject, "From after");
    assert!(daemon.path("mail/new/1").exists(), "it still lies where it lay");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_command_reaches_those_concerned() {
    let daemon = Daemon::start(DESK).await;
    daemon.deliver("1", &mail(1, "The lift is stuck", ""));
    let number = daemon.mails(1).await.remove(0).ticket.unwrap();
    let handle = daemon.app().handle();
    let before = daemon.owed().len();
    let moves = ["sales", "support"].map(|queue| Command::SetQueue(queue.into())).to_vec();
    let actor = Actor::Token("ci".into());
    let ticket = handle.command(&number, moves, actor, None).await.unwrap();
    assert_eq!(ticket.queue, "support");
    // Alice hears of what comes into `support`, and what she is owed is counted.
    let text = handle.metrics.text();
    let owed = r#"postroom_notifications_total{event="queueUpdated",result="owed"} 1"#;
    assert!(text.contains(owed), "{text}");
    assert_eq!(daemon.owed()[before..], ["alice@desk.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_does_not_stop_the_next_mail() {
    let daemon = Daemon::start(DESK).await;
    let mut nested = b"From: eve@customer.example\r\nSubject: Doll in a doll\r\n".to_vec();
    for _ in 0..21_800 {
        nested.extend_from_slice(b"Content-Type: message/rfc822\r\n\r\n");
    }
    daemon.deliver("1", &nested);
    daemon.deliver("2", &mail(2, "Behind it", ""));
    let records = daemon.mails(2).await;
    assert!(matches!(records[0].outcome, Outcome::Quarantined { .. }), "{:?}", records[0].outcome);
    assert_eq!(records[1].outcome, Outcome::Created);
    let kept = daemon.app().handle().store.raw(&records[0].digest).unwrap();
    assert_eq!(kept, Some(nested), "kept whole");
}

/// A program that the operator did not allow is not run, and the mail waits until it may be.
#[tokio::test(flavor = "multi_thread")]
async fn mail_waits_for_a_sendmail_that_is_not_allowed() {
    let file = r#"{type: file, directory: "{dir}/sent"}"#;
    // The path of the folder ends with a slash.
    let program = r#"{type: sendmail, command: "{dir}sendmail"}"#;
    assert!(DESK.contains(file));
    let mut daemon = Daemon::prepare(&DESK.replace(file, program));
    let program = daemon.path("sendmail");
    fs::write(&program, "#!/bin/sh\ncat >> \"${0%/*}/handed-over\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    daemon.again().await;
    daemon.deliver("1", &mail(1, "The lift is stuck", ""));
    daemon.mails(1).await;
    let flag = format!("--allow-sendmail {}", program.display());
    until("a condition of the server", || {
        let all = daemon.app().handle().board.all();
        let server = all.into_iter().find(|it| it.kind == Kind::Smtp && it.name == "files")?;
        let mut refused = server.conditions.iter().filter(|it| it.status == Some(false));
        refused.any(|condition| condition.message.contains(&flag)).then_some(())
    })
    .await;
    let count = |daemon: &Daemon, filter| {
        daemon.app().handle().store.outbox(filter, None, 10).unwrap().items.len()
    };
    assert_eq!((count(&daemon, OutboxFilter::Due), count(&daemon, OutboxFilter::All)), (2, 2));
    let handed_over = daemon.path("handed-over");
    assert!(!handed_over.exists(), "it ran");
    daemon.stop().await;
    daemon.allow_sendmail = vec![program];
    daemon.again().await;
    until("both mails are sent", || (count(&daemon, OutboxFilter::Sent) == 2).then_some(())).await;
    let text = fs::read_to_string(handed_over).unwrap();
    assert_eq!(text.matches("Auto-Submitted: ").count(), 2, "{text}");
}
