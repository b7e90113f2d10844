//! Killed two hundred times while a thousand mails come in, once where they are deleted, by IMAP and
//! POP3, and once where IMAP moves them or marks them as seen.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Desk, Dice, Mail, each_has_one_ticket, files, lie_there, until};
use crate::peers::Dovecot;

const KILLS: usize = 200;
const MAILS: usize = 1_000;
/// Longest life. The program needs some tens of milliseconds to begin with its work.
const LIFE_MILLIS_MAX: u64 = 320;

/// User, type and what becomes of fetched mail. Every other mail is for the first one.
type Pair = [(&'static str, &'static str, &'static str); 2];

const DELETING: Pair = [("deleted", "imap", "delete"), ("popped", "pop3", "delete")];
const KEEPING: Pair = [("seen", "imap", "seen"), ("moved", "imap", "{move: Done}")];

#[test]
fn killed_at_random_while_mails_are_deleted() {
    killed_at_random(DELETING);
}

#[test]
fn killed_at_random_while_mails_are_moved_and_marked() {
    killed_at_random(KEEPING);
}

fn killed_at_random(pair: Pair) {
    let Some(dovecot) = Dovecot::start() else { return };
    let mut dice = Dice::new();
    let began = Instant::now();
    let desk = Desk::new(&accounts(&dovecot, pair));
    let mails: Vec<Mail> = (0..MAILS).map(|number| Mail::new(number, length(number))).collect();
    let mut waiting = mails.iter();
    let mut answers = BTreeMap::new();
    let (mut killed, mut in_hand) = (0, 0);
    for turn in 1..=KILLS {
        let accused = mails_in_hand(&desk, &mails);
        in_hand += usize::from(!accused.is_empty());
        let running = desk.start(None);
        // A mail in hand at two deaths in a row would be taken for their cause, and rightly so.
        until("the mail that was in hand", || {
            accused.iter().all(|mail| is_recorded(&desk, mail)).then_some(())
        });
        let life = Duration::from_millis(dice.below(LIFE_MILLIS_MAX));
        // Some mails lie there when it begins, some come while it works.
        let come_until = turn * MAILS / KILLS;
        let coming = come_until - (MAILS - waiting.len());
        for mail in waiting.by_ref().take(coming) {
            std::thread::sleep(life / (2 * coming as u32));
            deliver(&dovecot, pair, mail);
        }
        std::thread::sleep(life / 2);
        killed += usize::from(running.kill());
        if turn % 20 == 0 {
            note_answers(&desk, &mut answers);
        }
    }
    assert_eq!(killed, KILLS, "it died by itself");
    let under_fire = began.elapsed();
    let left = pair.map(|(user, ..)| dovecot.count(user, ""));
    let running = desk.start(None);
    until("all mailboxes as declared", || rests(&dovecot, pair).then_some(()));
    until(&format!("{MAILS} answers"), || (desk.answer_count() == MAILS).then_some(()));
    note_answers(&desk, &mut answers);
    running.terminate();

    each_has_one_ticket(&desk, &mails);
    for (account, (user, _, after)) in pair.into_iter().enumerate() {
        let of = mails.iter().filter(|mail| mail.number % pair.len() == account);
        match after {
            "delete" => assert_eq!(dovecot.count(user, ""), 0),
            "seen" => lie_there(&dovecot.maildir(user), of),
            _ => lie_there(&dovecot.maildir(user).join(".Done"), of),
        }
    }
    let between = desk.said("taking in what was left half-done");
    let unheard = desk.said("telling the server again");
    assert!(in_hand + between + unheard > 0, "no kill hit a mail that was being worked on");
    println!(
        "{killed} kills in {:.1} s, {in_hand} of them with a mail in hand, {MAILS} mails: 0 lost, 0 \
         doubled; {between} starts found mails between the two commits, {unheard} found mails the server had not heard of; left for the last start: \
         {left:?}; {:.1} s in all",
        under_fire.as_secs_f64(),
        began.elapsed().as_secs_f64(),
    );
}

fn accounts(dovecot: &Dovecot, pair: Pair) -> String {
    let account = |(user, kind, after): (&str, &str, &str)| {
        dovecot.add_user(user, "open sesame");
        let port = if kind == "imap" { dovecot.imap } else { dovecot.pop3 };
        format!(
            "  {user}: {{type: {kind}, host: 127.0.0.1, port: {port}, username: {user}, password: \
             {{secret: mailbox}}, dispatch: {{by: recipient}}, since: all, afterFetch: {after}, \
             pollInterval: 1s}}\n"
        )
    };
    pair.map(account).concat()
}

/// Most are short, some lie beside the database, a few are large.
fn length(number: usize) -> usize {
    match number {
        _ if number % 100 == 50 => 1024 * 1024,
        _ if number % 20 == 7 => 66 * 1024 + number * 64,
        _ => 300 + number * 5,
    }
}

fn deliver(dovecot: &Dovecot, pair: Pair, mail: &Mail) {
    dovecot.deliver(pair[mail.number % pair.len()].0, &mail.raw);
}

/// Mails that were judged at the moment of the kill.
fn mails_in_hand<'a>(desk: &Desk, mails: &'a [Mail]) -> Vec<&'a Mail> {
    let marks = files(&desk.path("data/in-hand"));
    let marked: Vec<_> = marks.iter().map(|path| std::fs::read(path).unwrap()).collect();
    mails.iter().filter(|mail| marked.iter().any(|mark| *mark == mail.digest.0)).collect()
}

/// Whether the log says so, which it does after the commit.
fn is_recorded(desk: &Desk, mail: &Mail) -> bool {
    desk.said(&format!("to c{}@customer.example", mail.number)) > 0
}

/// Whether every mailbox is as its account declares.
fn rests(dovecot: &Dovecot, pair: Pair) -> bool {
    pair.into_iter().all(|(user, _, after)| match after {
        "seen" => {
            let lying = files(&dovecot.maildir(user).join("cur"));
            let seen = lying.iter().filter(|path| path.to_string_lossy().ends_with(":2,S"));
            seen.count() == MAILS / pair.len()
        }
        _ => dovecot.count(user, "") == 0,
    })
}

/// An answer that was sent stays as it is, however often it is sent.
fn note_answers(desk: &Desk, known: &mut BTreeMap<String, Vec<u8>>) {
    for (name, letter) in desk.answers() {
        let before = known.entry(name).or_insert_with(|| letter.clone());
        assert!(*before == letter, "an answer changed");
    }
}
