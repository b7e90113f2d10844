//! Asked to end under load, and killed in the middle of a change of its files.

use std::time::Duration;

use super::{Desk, Dice, MAILDIR, Mail, each_has_one_ticket, records, until};

#[test]
fn asked_to_end_under_load() {
    let desk = Desk::with_maildir();
    let mails: Vec<Mail> = (0..400).map(|number| Mail::new(number, 300 + number * 20)).collect();
    let mut ends = 0;
    for part in mails.chunks(100) {
        part.iter().for_each(|mail| desk.deliver(mail));
        let before = desk.answer_count();
        let running = desk.start(None);
        until("work to begin", || (desk.answer_count() > before).then_some(()));
        ends += usize::from(desk.answer_count() < before + part.len());
        running.terminate();
    }
    assert!(ends > 0, "it was never asked to end in the middle of its work");
    finish(&desk, mails.len());
    each_has_one_ticket(&desk, &mails);
    println!("asked to end {ends} times in the middle of {} mails", mails.len());
}

/// A service manager may change its mind at once. The store is opened after signals are caught, so
/// from its first sign on the end must be a good one.
#[test]
fn asked_to_end_while_it_starts() {
    for _ in 0..5 {
        let desk = Desk::with_maildir();
        let running = desk.start(None);
        until("the store", || desk.path("data").join("postroom.redb").exists().then_some(()));
        running.terminate();
        desk.store();
    }
}

#[test]
fn killed_while_its_files_change() {
    let desk = Desk::with_maildir();
    let mut dice = Dice::new();
    let mut mails = Vec::new();
    for number in 0..10 {
        let running = desk.start(None);
        let announced = number + 1;
        until("it to listen", || (desk.said("listening on ") == announced).then_some(()));
        let queue = if number % 2 == 0 { "sales" } else { "support" };
        desk.configure(MAILDIR, queue);
        std::thread::sleep(Duration::from_millis(dice.below(700)));
        assert!(running.kill());
        mails.push(Mail::new(number, 500));
    }
    // The last files say `support`, whatever was applied before.
    mails.iter().for_each(|mail| desk.deliver(mail));
    finish(&desk, mails.len());
    each_has_one_ticket(&desk, &mails);
    let store = desk.store();
    for record in records(&store) {
        let ticket = store.ticket(&record.ticket.unwrap()).unwrap().unwrap().ticket;
        assert_eq!(ticket.queue, "support");
    }
}

/// Runs until everything is taken in and answered.
fn finish(desk: &Desk, count: usize) {
    let running = desk.start(None);
    until("an empty mailbox and all answers", || {
        (desk.lying() == 0 && desk.answer_count() == count).then_some(())
    });
    running.terminate();
}
