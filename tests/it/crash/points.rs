//! Stopped at every step of a mail's path, in its first and in its second passing, and once more
//! at the same step in the next life.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use postroom::core::intake::Outcome;

use super::cloud::Cloud;
use super::{Desk, MAILDIR, Mail, PATIENCE, Running, each_has_one_ticket, records, until};
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
fn every_step_with_imap_first_passing() {
    let Some(dovecot) = Dovecot::start().map(Arc::new) else { return };
    every_step_with_imap(&dovecot, |point| vec![point.to_owned()]);
}

#[test]
fn every_step_with_imap_second_passing() {
    let Some(dovecot) = Dovecot::start().map(Arc::new) else { return };
    every_step_with_imap(&dovecot, |point| vec![format!("{point}:2")]);
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

fn every_step(faults: fn(&str) -> Vec<String>, points: &[&str], place: impl Fn(usize) -> Place) {
    let began = Instant::now();
    for (number, point) in points.iter().enumerate() {
        dies_at(&faults(point), place(number));
    }
    println!("{} points in {:.1} s", points.len(), began.elapsed().as_secs_f64());
}

fn every_step_with_a_maildir(faults: fn(&str) -> Vec<String>) {
    every_step(faults, &[&POINTS[..], &["outbox.committed"]].concat(), |_| Place::Maildir);
}

fn every_step_with_imap(dovecot: &Arc<Dovecot>, faults: fn(&str) -> Vec<String>) {
    let points = [&POINTS[..], &["outbox.committed", "imap.flagged"]].concat();
    // All of them before the first login: Dovecot looks at its users once in a second.
    (0..points.len()).for_each(|n| dovecot.add_user(&format!("user{n}"), "open sesame"));
    every_step(faults, &points, |n| Place::Imap(dovecot.clone(), format!("user{n}")));
}

fn every_step_with_graph(faults: fn(&str) -> Vec<String>, after: &'static str, points: &[&str]) {
    let points = [points, &["graph.told"]].concat();
    every_step(faults, &points, |_| Place::Graph(Box::new(Cloud::new(after))));
}

/// Where mails are delivered.
enum Place {
    Maildir,
    Imap(Arc<Dovecot>, String),
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
            Place::Imap(dovecot, user) => format!(
                "  box: {{type: imap, host: 127.0.0.1, port: {}, username: {user}, password: \
                 {{secret: mailbox}}, dispatch: {{by: recipient}}, since: all, afterFetch: delete, \
                 idle: off, pollInterval: 1s}}",
                dovecot.imap
            ),
            Place::Graph(cloud) => cloud.accounts(),
        };
        let desk = match place {
            Place::Maildir => Desk::with_maildir(),
            Place::Imap(..) | Place::Graph(_) => Desk::new(&accounts),
        };
        Scene { desk, accounts, place, mails: Vec::new() }
    }

    /// Delivers two mails, one of them large.
    fn deliver(&mut self) {
        for bytes in [700, 90_000] {
            let mail = Mail::new(self.mails.len(), bytes);
            match &self.place {
                Place::Maildir => self.desk.deliver(&mail),
                Place::Imap(dovecot, user) => dovecot.deliver(user, &mail.raw),
                Place::Graph(cloud) => cloud.deliver(&mail),
            }
            self.mails.push(mail);
        }
    }

    /// Whether all mails are taken in, removed and answered.
    fn rests(&self) -> bool {
        let lying = match &self.place {
            Place::Maildir => self.desk.lying(),
            Place::Imap(dovecot, user) => dovecot.count(user, ""),
            Place::Graph(cloud) => cloud.lying(),
        };
        lying == 0 && self.desk.answer_count() == self.mails.len()
    }

    /// Goes on delivering, and changing the files, until the program dies.
    #[track_caller]
    fn until_it_dies(&mut self, mut running: Running, fault: &str) {
        let began = Instant::now();
        while running.is_alive() {
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

/// Dies of these faults, one life after the other; then everything is as if it never had.
#[track_caller]
fn dies_at(faults: &[String], place: Place) {
    let mut scene = Scene::new(place);
    scene.deliver();
    for fault in faults {
        let running = scene.desk.start(Some(fault));
        scene.until_it_dies(running, fault);
    }
    let running = scene.desk.start(None);
    let rests = || (scene.rests() && scene.desk.owes_nothing()).then_some(());
    until(&format!("rest after {faults:?}"), rests);
    running.terminate();
    each_has_one_ticket(&scene.desk, &scene.mails);
    if let Place::Graph(cloud) = &scene.place {
        cloud.check(scene.mails.len());
    }
}

/// The third of five mails ends the process whenever it comes to this point.
fn poison(point: &str) {
    let desk = Desk::with_maildir();
    let mails: Vec<Mail> = (0..5).map(|number| Mail::new(number, 500)).collect();
    mails.iter().for_each(|mail| desk.deliver(mail));
    for _ in 0..2 {
        let mut running = desk.start(Some(&format!("{point}:3")));
        until("it to die", || (!running.is_alive()).then_some(()));
    }
    // Were the poison judged once more, this would be the fifth.
    let running = desk.start(Some(&format!("{point}:5")));
    until("an empty mailbox", || (desk.lying() == 0 && desk.answer_count() == 4).then_some(()));
    running.terminate();
    let store = desk.store();
    let quarantined = store.quarantine(None, 10).unwrap().items;
    assert_eq!(quarantined.len(), 1);
    assert!(
        matches!(&quarantined[0].outcome, Outcome::Quarantined { reason } if reason.contains("2 times")),
        "{:?}",
        quarantined[0].outcome
    );
    assert!(store.raw(&quarantined[0].digest).unwrap().unwrap() == mails[2].raw, "kept whole");
    let records = records(&store);
    let created = records.iter().filter(|record| record.outcome == Outcome::Created);
    assert_eq!((records.len(), created.count()), (5, 4));
}

#[test]
fn a_mail_that_kills_the_parser_is_quarantined_alone() {
    poison("judge");
}

#[test]
fn a_mail_that_kills_the_settling_is_quarantined_alone() {
    poison("settle");
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
