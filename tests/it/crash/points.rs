//! Stopped at every step of a mail's path, in its first and in its second passing, and once more
//! at the same step in the next life: killed, asked to end, or told that the disk failed.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Instant;

use postroom::core::intake::Outcome;

use super::cloud::Cloud;
use super::{
    Desk, MAILDIR, Mail, PATIENCE, Running, each_has_one_ticket, files, lie_there, records, until,
};
use crate::peers::Dovecot;

/// Steps of every mailbox, in the order of a mail's path.
const POINTS: [&str; 25] = [
    "reload.adopted",
    "reload.carried_out",
    "reload.kept",
    "opened",
    "listed",
    "fetched",
    "store.segment.before_sync",
    "store.segment.after_sync",
    "store.segment.sync",
    "store.spool.before_commit",
    "store.spool.after_commit",
    "judge",
    "judged",
    "settle",
    "store.record.before_commit",
    "store.record.commit",
    "store.commit",
    "store.record.after_commit",
    "recorded",
    "before_done",
    "after_done",
    "closed",
    "confirmed",
    "outbox.before_send",
    "outbox.sent",
];

/// Steps from the commit to the next listing, which differ in what the server is told.
const TELLING: [&str; 7] = [
    "store.record.before_commit",
    "store.record.after_commit",
    "recorded",
    "before_done",
    "after_done",
    "closed",
    "confirmed",
];

/// Steps at which the disk may fail.
const FAILING: [&str; 3] = ["store.segment.sync", "store.record.commit", "store.commit"];

/// A server whose only way to move is to copy and to remove.
const WITHOUT_MOVE: &str = "protocol imap {\n  imap_capability = IMAP4rev1 UIDPLUS\n}\n";
/// What aborts, as a shell knows it.
const SIGABRT: i32 = 6;

/// Steps that are passed only by what an earlier crash left.
const AFTER_A_CRASH: [&[&str]; 6] = [
    &["judged", "resumed"],
    &["judged", "resumed", "resumed"],
    &["judged", "judged", "judged"],
    &["store.record.before_commit", "store.record.before_commit", "store.record.before_commit"],
    &["store.spool.after_commit", "store.record.after_commit", "after_done"],
    &["outbox.sent", "outbox.sent", "outbox.committed"],
];

#[test]
fn every_step_with_a_maildir_first_passing() {
    every_step_with_a_maildir(|point| vec![point.to_owned()]);
}

#[test]
fn every_step_with_a_maildir_second_passing() {
    every_step_with_a_maildir(|point| vec![format!("{point}:2")]);
}

#[test]
fn asked_to_end_at_every_step_with_a_maildir() {
    every_step_with_a_maildir(|point| vec![format!("{point}=terminate")]);
}

#[test]
fn every_step_with_imap_first_passing() {
    every_step_with(DELETED, "", |point| vec![point.to_owned()], &whole_path("imap.flagged"));
}

#[test]
fn every_step_with_imap_second_passing() {
    every_step_with(DELETED, "", |point| vec![format!("{point}:2")], &whole_path("imap.flagged"));
}

#[test]
fn asked_to_end_at_every_step_with_imap() {
    let faults = |point: &str| vec![format!("{point}=terminate")];
    every_step_with(DELETED, "", faults, &whole_path("imap.flagged"));
}

#[test]
fn every_step_of_telling_imap_to_move() {
    every_step_with(MOVED, "", |point| vec![point.to_owned()], &TELLING);
    let points = [&TELLING[..], &["imap.copied", "imap.flagged"]].concat();
    for fault in ["", ":2", "=terminate"] {
        every_step_with(MOVED, WITHOUT_MOVE, |point| vec![format!("{point}{fault}")], &points);
    }
}

#[test]
fn every_step_of_telling_imap_that_mail_is_seen() {
    every_step_with(SEEN, "", |point| vec![point.to_owned()], &TELLING);
    every_step_with(SEEN, "", |point| vec![format!("{point}=terminate")], &TELLING);
}

#[test]
fn every_step_with_pop3() {
    every_step_with(POPPED, "", |point| vec![point.to_owned()], &whole_path("outbox.committed"));
    every_step_with(POPPED, "", |point| vec![format!("{point}:2")], &TELLING);
    every_step_with(POPPED, "", |point| vec![format!("{point}=terminate")], &TELLING);
}

#[test]
fn the_disk_fails_twice_at_every_step_that_writes() {
    for point in FAILING {
        recovers_from(point, Place::Maildir);
    }
    let Some(dovecot) = Dovecot::start().map(Arc::new) else { return };
    let ways = [DELETED, MOVED, SEEN, POPPED];
    let all = || ways.into_iter().flat_map(|way| FAILING.map(|point| (way, point)));
    all().enumerate().for_each(|(n, _)| dovecot.add_user(&user(n), "open sesame"));
    for (n, (way, point)) in all().enumerate() {
        recovers_from(point, Place::Server(dovecot.clone(), way, user(n)));
    }
}

#[test]
fn every_step_with_graph_first_passing() {
    every_step_with_graph(|point| vec![point.to_owned()], "delete", &POINTS);
    every_step_with_graph(|point| vec![point.to_owned()], "seen", &TELLING);
    every_step_with_graph(|point| vec![point.to_owned()], "{move: Archive}", &TELLING);
}

#[test]
fn every_step_with_graph_second_passing() {
    for after in ["delete", "seen", "{move: Archive}"] {
        every_step_with_graph(|point| vec![format!("{point}:2")], after, &TELLING);
    }
}

#[test]
fn crash_after_crash() {
    for points in AFTER_A_CRASH {
        dies_at(
            &points.iter().map(|point| (*point).to_owned()).collect::<Vec<_>>(),
            Place::Maildir,
        );
    }
}

fn every_step(
    faults: impl Fn(&str) -> Vec<String>,
    points: &[&str],
    place: impl Fn(usize) -> Place,
) {
    let began = Instant::now();
    for (number, point) in points.iter().enumerate() {
        dies_at(&faults(point), place(number));
    }
    println!("{} points in {:.1} s", points.len(), began.elapsed().as_secs_f64());
}

fn every_step_with_a_maildir(faults: fn(&str) -> Vec<String>) {
    every_step(faults, &whole_path("outbox.committed"), |_| Place::Maildir);
}

/// All steps with a mailbox that has one of its own.
fn whole_path(own: &'static str) -> Vec<&'static str> {
    let mut points = [&POINTS[..], &["outbox.committed", own]].concat();
    points.dedup();
    points
}

/// With a Dovecot that has these settings, a user for each point.
fn every_step_with(
    way: Way,
    settings: &str,
    faults: impl Fn(&str) -> Vec<String>,
    points: &[&str],
) {
    let Some(dovecot) = Dovecot::start_with(settings).map(Arc::new) else { return };
    // All of them before the first login: Dovecot looks at its users once in a second.
    (0..points.len()).for_each(|n| dovecot.add_user(&user(n), "open sesame"));
    every_step(faults, points, |n| Place::Server(dovecot.clone(), way, user(n)));
}

fn user(number: usize) -> String {
    format!("user{number}")
}

fn every_step_with_graph(faults: fn(&str) -> Vec<String>, after: &'static str, points: &[&str]) {
    let points = [points, &["graph.told"]].concat();
    every_step(faults, &points, |_| Place::Graph(Box::new(Cloud::new(after))));
}

/// By which protocol mail is fetched, and what becomes of it then.
#[derive(Clone, Copy, PartialEq)]
struct Way {
    kind: &'static str,
    after: &'static str,
}

const DELETED: Way = Way { kind: "imap", after: "delete" };
const MOVED: Way = Way { kind: "imap", after: "{move: Done}" };
const SEEN: Way = Way { kind: "imap", after: "seen" };
const POPPED: Way = Way { kind: "pop3", after: "delete" };

/// Where mails are delivered.
enum Place {
    Maildir,
    /// With the name of the user.
    Server(Arc<Dovecot>, Way, String),
    Graph(Box<Cloud>),
}

/// A desk and where its mails are delivered.
struct Scene {
    desk: Desk,
    accounts: String,
    place: Place,
    mails: Vec<Mail>,
}

impl Scene {
    fn new(place: Place) -> Scene {
        let accounts = match &place {
            Place::Maildir => MAILDIR.to_owned(),
            Place::Server(dovecot, way, user) => declared(dovecot, *way, user),
            Place::Graph(cloud) => cloud.accounts(),
        };
        let desk = match place {
            Place::Maildir => Desk::with_maildir(),
            Place::Server(..) | Place::Graph(_) => Desk::new(&accounts),
        };
        Scene { desk, accounts, place, mails: Vec::new() }
    }

    /// Delivers two mails, one of them large.
    fn deliver(&mut self) {
        for bytes in [700, 90_000] {
            let mail = Mail::new(self.mails.len(), bytes);
            match &self.place {
                Place::Maildir => self.desk.deliver(&mail),
                Place::Server(dovecot, _, user) => dovecot.deliver(user, &mail.raw),
                Place::Graph(cloud) => cloud.deliver(&mail),
            }
            self.mails.push(mail);
        }
    }

    /// Whether all mails are taken in, removed and answered.
    fn rests(&self) -> bool {
        let lying = match &self.place {
            Place::Maildir => self.desk.lying(),
            Place::Server(dovecot, SEEN, user) => dovecot.count(user, "") - seen(dovecot, user),
            Place::Server(dovecot, _, user) => dovecot.count(user, ""),
            Place::Graph(cloud) => cloud.lying(),
        };
        lying == 0 && self.desk.answer_count() == self.mails.len()
    }

    /// Goes on delivering, and changing the files, until the program has ended.
    #[track_caller]
    fn until_it_ends(&mut self, mut running: Running, fault: &str) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = running.0.try_wait().unwrap() {
                return status;
            }
            if self.rests() && self.mails.len() < 10 {
                self.deliver();
                let change = format!("{}\n# {}", self.accounts, self.mails.len());
                self.desk.configure(&change, "support");
            }
            assert!(began.elapsed() < PATIENCE, "{fault} was never passed");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

fn declared(dovecot: &Dovecot, Way { kind, after }: Way, user: &str) -> String {
    let (port, more) = match kind {
        "imap" => (dovecot.imap, "idle: off, "),
        _ => (dovecot.pop3, ""),
    };
    format!(
        "  box: {{type: {kind}, host: 127.0.0.1, port: {port}, username: {user}, password: \
         {{secret: mailbox}}, dispatch: {{by: recipient}}, since: all, afterFetch: {after}, \
         {more}pollInterval: 1s}}"
    )
}

/// How many mails of the inbox are marked as seen.
fn seen(dovecot: &Dovecot, user: &str) -> usize {
    let lying = files(&dovecot.maildir(user).join("cur"));
    lying.iter().filter(|path| path.to_string_lossy().ends_with(":2,S")).count()
}

/// Dies of these faults, one life after the other, or ends as it was asked to; then everything is as
/// if it never had.
#[track_caller]
fn dies_at(faults: &[String], place: Place) {
    let mut scene = Scene::new(place);
    scene.deliver();
    for fault in faults {
        let running = scene.desk.start(Some(fault));
        let status = scene.until_it_ends(running, fault);
        match fault.contains("=terminate") {
            true => assert_eq!(status.code(), Some(0), "{fault}: {status}"),
            false => assert_eq!(status.signal(), Some(SIGABRT), "{fault}: {status}"),
        }
    }
    let running = scene.desk.start(None);
    rest(&scene, running, &format!("{faults:?}"));
}

/// The disk fails at the first two passings of this point: it goes on by itself when that is over.
#[track_caller]
fn recovers_from(point: &str, place: Place) {
    let mut scene = Scene::new(place);
    scene.deliver();
    let running = scene.desk.start(Some(&format!("{point}=error:2")));
    let failed = || (scene.desk.said(&format!("fault point {point}")) >= 2).then_some(());
    until(&format!("two failures of {point}"), failed);
    rest(&scene, running, point);
}

/// Waits until all is done, ends the program and counts.
#[track_caller]
fn rest(scene: &Scene, running: Running, after: &str) {
    let rests = || (scene.rests() && scene.desk.owes_nothing()).then_some(());
    until(&format!("rest after {after}"), rests);
    running.terminate();
    each_has_one_ticket(&scene.desk, &scene.mails);
    match &scene.place {
        Place::Graph(cloud) => cloud.check(scene.mails.len()),
        Place::Server(dovecot, MOVED, user) => {
            lie_there(&dovecot.maildir(user).join(".Done"), scene.mails.iter());
        }
        Place::Server(dovecot, SEEN, user) => {
            lie_there(&dovecot.maildir(user), scene.mails.iter());
        }
        Place::Server(..) | Place::Maildir => {}
    }
}

/// A thread cannot be stopped: the mail goes to quarantine, the others to another thread.
#[test]
fn a_mail_that_is_judged_for_ever_is_quarantined_alone() {
    let desk = Desk::with_maildir();
    let mails: Vec<Mail> = (0..5).map(|number| Mail::new(number, 2_000)).collect();
    mails.iter().for_each(|mail| desk.deliver(mail));
    let daemon = desk.start(Some("judge=hang:3"));
    until("all to be taken", || (desk.lying() == 0).then_some(()));
    // The thread that hangs keeps nobody from ending.
    daemon.terminate();
    let store = desk.store();
    let quarantined = store.quarantine(None, 10).unwrap().items;
    assert_eq!(quarantined.len(), 1);
    let why = &quarantined[0].outcome;
    assert!(matches!(why, Outcome::Quarantined { reason } if reason.contains("10 s")), "{why:?}");
    assert_eq!(store.ticket_count().unwrap(), 4);
}

#[test]
fn nothing_is_told_while_the_store_fails() {
    let desk = Desk::with_maildir();
    let mails: Vec<Mail> = (0..3).map(|number| Mail::new(number, 90_000)).collect();
    mails.iter().for_each(|mail| desk.deliver(mail));
    let running = desk.start(Some("store.commit=error"));
    until("three failed looks", || (desk.said("could not read mailbox") >= 3).then_some(()));
    assert_eq!(fs::read_dir(desk.path("mail/new")).unwrap().count(), 3);
    running.terminate();
    assert!(records(&desk.store()).is_empty());
    finish(&desk, &mails);
}

#[test]
fn intake_recovers_by_itself_when_the_store_does() {
    // Commit 2 fails alone, so that the mails wait between the two. That is not their fault.
    let desk = Desk::with_maildir();
    let mails: Vec<Mail> = (0..3).map(|number| Mail::new(number, 500)).collect();
    mails.iter().for_each(|mail| desk.deliver(mail));
    let running = desk.start(Some("store.record.commit=error:3"));
    until("an empty mailbox and all answers", || {
        (desk.lying() == 0 && desk.answer_count() == 3).then_some(())
    });
    running.terminate();
    assert_eq!(desk.said("could not read mailbox"), 3);
    each_has_one_ticket(&desk, &mails);
}

#[test]
fn killed_at_each_step_of_a_reload() {
    for point in ["reload.adopted:2", "reload.carried_out:2", "reload.kept:2"] {
        let desk = Desk::with_maildir();
        let mut running = desk.start(Some(point));
        until("it to listen", || (desk.said("listening on ") == 1).then_some(()));
        desk.configure(MAILDIR, "sales");
        until("it to die", || (!running.is_alive()).then_some(()));
        let mail = Mail::new(1, 500);
        desk.deliver(&mail);
        let running = desk.start(None);
        until("an empty mailbox", || (desk.lying() == 0).then_some(()));
        running.terminate();
        let store = desk.store();
        let number = records(&store)[0].ticket.clone().unwrap();
        assert_eq!(store.ticket(&number).unwrap().unwrap().ticket.queue, "sales", "{point}");
    }
}

fn finish(desk: &Desk, mails: &[Mail]) {
    let running = desk.start(None);
    until("an empty mailbox and all answers", || {
        (desk.lying() == 0 && desk.answer_count() == mails.len()).then_some(())
    });
    running.terminate();
    each_has_one_ticket(desk, mails);
}
