//! The store on a real disk: what is answered is kept, and nothing twice.

mod crash;
mod customers;
pub mod disk;
pub mod mails;
mod old;
mod power;
mod search;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mails::{Letter, address, at, letter, location, open};
use postroom::core::config::{Config, Dedupe, Moved, MovedKind};
use postroom::core::intake::{Heading, Outcome};
use postroom::core::mail::{Digest, Location, Report, ReportKind};
use postroom::core::outgoing::{Delivery, OutgoingId};
use postroom::core::ticket::{Actor, Command, State, Ticket, TicketId, What};
use postroom::store::{
    CommandError, Known, Listed, MailId, OutboxCounts, OutboxFilter, Spool, Store, StoreError,
    StoredRevision, TicketQuery, Unjudged,
};
use tempfile::TempDir;

fn fresh() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    (directory, store)
}

#[track_caller]
fn sound(store: &Store) {
    assert_eq!(store.verify().unwrap(), Vec::<String>::new());
}

fn titles(store: &Store) -> Vec<String> {
    let page = store.tickets(&TicketQuery::default(), None, 1_000).unwrap();
    page.items.into_iter().map(|ticket| ticket.title).collect()
}

fn label(store: &Store, letter: &Letter) -> Known {
    store.known(&letter.account, &[location(&letter.location)]).unwrap()[0]
}

// The path of a mail.

#[tokio::test]
async fn a_mail_becomes_a_ticket() {
    let (_directory, store) = fresh();
    let fire = letter("support", "fire");
    assert_eq!(label(&store, &fire), Known::No);
    let spooled = store.spool("support", vec![fire.to_spool()]).await.unwrap();
    assert_eq!(spooled[0].attempts, 0);
    assert_eq!(label(&store, &fire), Known::Spooled { attempts: 0 });
    let recorded = store.record(vec![fire.to_record()]).await.unwrap().remove(0);
    assert_eq!((recorded.outcome, recorded.routed_by), (Outcome::Created, Some("lastResort")));
    assert_eq!(label(&store, &fire), Known::Recorded);
    store.done("support", vec![location(&fire.location)]).await.unwrap();
    assert_eq!(label(&store, &fire), Known::Done);

    let view = store.ticket(&recorded.ticket.unwrap()).unwrap().unwrap();
    assert_eq!(view.ticket.title, "fire");
    assert_eq!(view.articles[0].text, "The printer on floor two is on fire again.");
    assert_eq!(view.events[0].what, What::Created);
    let log = store.mail(recorded.mail).unwrap().unwrap();
    assert_eq!((log.account.as_str(), log.subject.as_str()), ("support", "fire"));
    assert_eq!(log.bytes, fire.raw.len() as u64);
    assert_eq!(store.raw(&log.digest).unwrap().unwrap(), fire.raw);
    sound(&store);
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let (directory, store) = fresh();
    let number = letter("support", "fire").take(&store).await.ticket.unwrap();
    let key = store.desk_key();
    drop(store);
    let store = open(directory.path()).unwrap();
    assert!(store.ticket(&number).unwrap().is_some());
    assert!(store.desk_key() == key);
    let second = letter("support", "flood").take(&store).await.ticket.unwrap();
    assert_ne!(number, second);
    sound(&store);
}

#[tokio::test]
async fn recording_again_answers_with_the_first_outcome() {
    let (_directory, store) = fresh();
    let fire = letter("support", "fire");
    let first = fire.take(&store).await;
    let again = fire.take(&store).await;
    assert_eq!((first.mail, first.ticket), (again.mail, again.ticket));
    assert_eq!(titles(&store), ["fire"]);
    store.done("support", vec![location(&fire.location)]).await.unwrap();
    fire.take(&store).await;
    assert_eq!(label(&store, &fire), Known::Done);
    sound(&store);
}

#[tokio::test]
async fn of_a_mail_whose_header_alone_is_ours_the_server_is_never_told() {
    let (_directory, store) = fresh();
    let huge = letter("support", "huge");
    let header = Spool { headers_only: true, ..huge.to_spool() };
    store.spool("support", vec![header]).await.unwrap();
    store.record(vec![huge.to_record()]).await.unwrap();
    assert_eq!(label(&store, &huge), Known::Done);
}

#[tokio::test]
async fn what_was_not_decided_is_found_again() {
    let (directory, store) = fresh();
    let fire = letter("support", "fire");
    store.spool("support", vec![fire.to_spool()]).await.unwrap();
    drop(store);
    let store = open(directory.path()).unwrap();
    let left = store.spooled("support").unwrap();
    assert_eq!((left.len(), left[0].attempts), (1, 0));
    assert_eq!(left[0].digest, Digest::of(&fire.raw));
    assert!(store.spooled("sales").unwrap().is_empty());
    store.record(vec![fire.to_record()]).await.unwrap();
    assert!(store.spooled("support").unwrap().is_empty());
}

#[tokio::test]
async fn only_the_mail_in_hand_is_counted() {
    let (directory, store) = fresh();
    let (poison, other) = (letter("support", "poison"), letter("support", "other"));
    store.spool("support", vec![other.to_spool(), poison.to_spool()]).await.unwrap();
    drop(store);
    for attempts in 1..=2 {
        let store = open(directory.path()).unwrap();
        let mark = store.mark().unwrap();
        mark.set(&Digest::of(&other.raw)).unwrap();
        mark.set(&Digest::of(&poison.raw)).unwrap();
        // As the end of the process would leave it.
        std::mem::forget(mark);
        drop(store);
        let store = open(directory.path()).unwrap();
        assert_eq!(label(&store, &poison), Known::Spooled { attempts });
        assert_eq!(label(&store, &other), Known::Spooled { attempts: 0 });
    }
}

#[tokio::test]
async fn mail_that_lay_there_before_is_left_alone() {
    let (_directory, store) = fresh();
    let old = letter("support", "old");
    assert_eq!(store.account("support").unwrap().linked, None);
    store.leave_alone("support", vec![location(&old.location)]).await.unwrap();
    store.link("support", "7", at(0)).await.unwrap();
    store.link("support", "8", at(60)).await.unwrap();
    let account = store.account("support").unwrap();
    assert_eq!((account.linked, account.epoch.as_str()), (Some(at(0)), "8"));
    assert_eq!(label(&store, &old), Known::LeftAlone);
    // Asked for by name, it is taken.
    assert_eq!(old.take(&store).await.outcome, Outcome::Created);
}

// Panics, refusals and damage of one do not touch the others.

#[tokio::test]
async fn a_panic_quarantines_one_mail_of_the_batch() {
    let (_directory, store) = fresh();
    let letters = ["one", "panic two", "three"].map(|subject| letter("support", subject));
    let spools = letters.iter().map(Letter::to_spool).collect();
    store.spool("support", spools).await.unwrap();
    let recorded = store.record(letters.iter().map(Letter::to_record).collect()).await.unwrap();
    assert_eq!(recorded[0].outcome, Outcome::Created);
    let Outcome::Quarantined { reason } = &recorded[1].outcome else {
        panic!("{:?}", recorded[1]);
    };
    assert!(reason.contains("the rule fell over panic two"), "{reason}");
    assert_eq!(recorded[2].outcome, Outcome::Created);
    assert_eq!(titles(&store), ["three", "one"]);
    assert_eq!(store.quarantine(None, 10).unwrap().items[0].subject, "panic two");
    sound(&store);
}

#[tokio::test]
async fn a_command_that_panics_fails_alone() {
    let (_directory, store) = fresh();
    let number = letter("support", "fire").take(&store).await.ticket.unwrap();
    let [bad, good] = [Command::SetTitle("panic".into()), Command::SetLock(true)];
    let (bad, good) = tokio::join!(
        command(&store, &number, vec![Command::SetLock(false), bad]),
        command(&store, &number, vec![good])
    );
    let text = bad.unwrap_err().to_string();
    assert!(text.contains("the rule fell over a title"), "{text}");
    assert_eq!(good.unwrap().locked_since, Some(at(5)));
    sound(&store);
}

// Duplicates.

async fn outcome(store: &Store, letter: &Letter) -> Outcome {
    letter.take(store).await.outcome
}

fn elsewhere(letter: &Letter, account: &str) -> Letter {
    let mut copy = letter.clone();
    (copy.account, copy.location) = (account.to_owned(), format!("{}/again", letter.location));
    copy
}

#[tokio::test]
async fn the_same_bytes_again_are_a_duplicate() {
    let (_directory, store) = fresh();
    let fire = letter("support", "fire");
    assert_eq!(outcome(&store, &fire).await, Outcome::Created);
    let again = elsewhere(&fire, "support").take(&store).await;
    assert_eq!(again.outcome, Outcome::Duplicate);
    assert!(again.why[0].text.contains("bytes: mail 1 at INBOX/7/fire of account support, ticket"));
    sound(&store);
}

#[tokio::test]
async fn the_same_content_in_other_bytes_is_a_duplicate() {
    let (_directory, store) = fresh();
    let fire = letter("support", "fire");
    outcome(&store, &fire).await;
    let again = elsewhere(&fire, "support").of_bytes(500).take(&store).await;
    assert_eq!(again.outcome, Outcome::Duplicate);
    assert!(again.why[0].text.starts_with("content: "), "{:?}", again.why);
}

/// Version 0.1 left To, HTML and names out of the content: its key is still looked up.
#[tokio::test]
async fn content_recorded_under_the_first_key_is_a_duplicate() {
    let (_directory, store) = fresh();
    let recorded = letter("support", "fire");
    let mut old = recorded.to_record();
    let judgement = old.judgement.as_mut().unwrap();
    judgement.keys.content = judgement.keys.first_content;
    store.spool("support", vec![recorded.to_spool()]).await.unwrap();
    assert_eq!(store.record(vec![old]).await.unwrap()[0].outcome, Outcome::Created);
    let again = elsewhere(&recorded, "support").of_bytes(500).take(&store).await;
    assert_eq!(again.outcome, Outcome::Duplicate);
    assert!(again.why[0].text.starts_with("content: "), "{:?}", again.why);
    sound(&store);
}

#[tokio::test]
async fn another_account_is_another_desk_unless_global() {
    let (_directory, store) = fresh();
    let fire = letter("support", "fire");
    outcome(&store, &fire).await;
    assert_eq!(outcome(&store, &elsewhere(&fire, "sales")).await, Outcome::Created);
    // Both scopes are kept, so that a change of the setting works on what was there before.
    let mut third = elsewhere(&fire, "info");
    let mut config = Config::default();
    config.intake.dedupe = Dedupe::Global;
    third.config = Arc::new(config);
    assert_eq!(outcome(&store, &third).await, Outcome::Duplicate);
}

#[tokio::test]
async fn two_copies_in_one_transaction_make_one_ticket() {
    let (_directory, store) = fresh();
    let fire = letter("support", "fire");
    let copy = elsewhere(&fire, "support");
    store.spool("support", vec![fire.to_spool(), copy.to_spool()]).await.unwrap();
    let recorded = store.record(vec![fire.to_record(), copy.to_record()]).await.unwrap();
    assert_eq!(recorded[1].outcome, Outcome::Duplicate);
    assert_eq!(titles(&store), ["fire"]);
}

#[tokio::test]
async fn a_released_mail_is_no_duplicate_of_itself() {
    let (_directory, store) = fresh();
    let mut fire = letter("support", "fire");
    fire.judgement.quarantine = Some("sender is not declared".into());
    let held = fire.take(&store).await;
    store.done("support", vec![location(&fire.location)]).await.unwrap();
    assert_eq!(outcome(&store, &elsewhere(&fire, "support")).await, Outcome::Duplicate);

    fire.judgement.quarantine = None;
    fire.released = Some(held.mail);
    let released = fire.take(&store).await;
    assert_eq!(released.outcome, Outcome::Created);
    assert_ne!(released.mail, held.mail);
    assert!(store.quarantine(None, 10).unwrap().items.is_empty());
    assert_eq!(store.mail(held.mail).unwrap().unwrap().resolved, Some(at(0)));
    assert_eq!(label(&store, &fire), Known::Done);
    // Released twice, it is one ticket; and later copies are known.
    assert_eq!(fire.take(&store).await.mail, released.mail);
    let mut copy = elsewhere(&fire, "support");
    (copy.location, copy.released) = ("INBOX/7/third".into(), None);
    assert_eq!(outcome(&store, &copy).await, Outcome::Duplicate);
    sound(&store);
}

#[tokio::test]
async fn a_dropped_mail_stays_dropped() {
    let (_directory, store) = fresh();
    let mut record = letter("support", "fire").to_record();
    let heading = Heading { from: "ann@cust.test".into(), subject: "Fire".into() };
    record.judgement = Err(Unjudged { reason: "too deep".into(), heading: heading.clone() });
    let held = store.record(vec![record.clone()]).await.unwrap().remove(0);
    assert_eq!(held.outcome, Outcome::Quarantined { reason: "too deep".into() });
    let listed = store.mail(held.mail).unwrap().unwrap();
    assert_eq!(Heading { from: held.from, subject: held.subject }, heading);
    assert_eq!(Heading { from: listed.from, subject: listed.subject }, heading);
    assert!(store.drop_quarantined(held.mail, at(9)).await.unwrap());
    assert!(!store.drop_quarantined(held.mail, at(9)).await.unwrap());
    record.released = Some(held.mail);
    assert_eq!(store.record(vec![record]).await.unwrap()[0].mail, held.mail);
    sound(&store);
}

// Facts.

#[tokio::test]
async fn follow_ups_find_their_ticket() {
    let (_directory, store) = fresh();
    let number = letter("support", "answer fire").take(&store).await.ticket.unwrap();
    type Change = fn(&mut Letter, &str);
    let ways: [(&str, Change); 5] = [
        ("tag", |mail, number| mail.judgement.subject_tag = Some(number.into())),
        ("reference", |mail, _| {
            mail.judgement.references = vec!["?@?".into(), "answer fire@cust.test".into()];
        }),
        ("sent id", |mail, _| mail.judgement.references = vec!["out-1@acme.test".into()]),
        ("key", |mail, _| mail.judgement.references = vec!["key-1@acme.test".into()]),
        ("bounce", |mail, _| mail.judgement.report = Some(report("key-1@acme.test", ""))),
    ];
    for (name, change) in ways {
        let mut mail = letter("support", name);
        change(&mut mail, &number);
        let recorded = mail.take(&store).await;
        assert_eq!((name, recorded.ticket.as_deref()), (name, Some(number.as_str())));
        assert_eq!(recorded.outcome, Outcome::FollowUp);
    }
    // Neither does a number, nor an id without our signature.
    for (name, id) in [("tagged bounce", "?@?"), ("sent bounce", "out-1@acme.test")] {
        let mut bounce = letter("support", name);
        bounce.judgement.report = Some(report(id, &format!("Re: [Ticket#{number}] fire")));
        assert_ne!(bounce.take(&store).await.ticket, Some(number.clone()), "{name}");
    }
    // A customer's Message-ID in a forged report proves nothing.
    let mut forged = letter("support", "forged");
    forged.judgement.report = Some(report("answer fire@cust.test", ""));
    assert_ne!(forged.take(&store).await.ticket, Some(number.clone()));
    assert_eq!(store.ticket(&number).unwrap().unwrap().articles.len(), 6);
    sound(&store);
}

fn report(id: &str, subject: &str) -> Report {
    Report {
        kind: ReportKind::Failed,
        recipients: Vec::new(),
        addresses: Vec::new(),
        ids: Vec::new(),
        original_message_id: Some(id.into()),
        original_subject: Some(subject.into()),
    }
}

#[tokio::test]
async fn the_first_owner_keeps_a_message_id() {
    let (_directory, store) = fresh();
    let first = letter("support", "fire").take(&store).await.ticket;
    let mut thief = letter("support", "theft");
    thief.judgement.article.message_id = Some("fire@cust.test".into());
    assert_ne!(thief.take(&store).await.ticket, first);
    let mut answer = letter("support", "answer");
    answer.judgement.references = vec!["fire@cust.test".into()];
    assert_eq!(answer.take(&store).await.ticket, first);
}

#[tokio::test]
async fn merged_tickets_lead_to_the_main_one() {
    let (_directory, store) = fresh();
    let first = letter("support", "first").take(&store).await.ticket.unwrap();
    let second = letter("support", "second").take(&store).await.ticket.unwrap();
    let third = letter("support", "third").take(&store).await.ticket.unwrap();
    let merged = command(&store, &second, vec![Command::MergeInto(first.clone())]).await.unwrap();
    assert_eq!(merged.state, State::Merged);
    // A merge into a merged ticket goes to the main one, too.
    let merged = command(&store, &third, vec![Command::MergeInto(second.clone())]).await.unwrap();
    let main = store.ticket(&first).unwrap().unwrap();
    assert_eq!(merged.merged_into, Some(main.ticket.id));
    assert_eq!(main.ticket.links, BTreeSet::from([TicketId(2), TicketId(3)]));
    assert_eq!(main.events.len(), 3);
    let mut mail = letter("support", "late");
    mail.judgement.subject_tag = Some(third);
    assert_eq!(mail.take(&store).await.ticket, Some(first));
    sound(&store);
}

#[tokio::test]
async fn automatic_answers_are_counted_per_address_and_window() {
    let (_directory, store) = fresh();
    for (subject, seconds) in [("answer a", 0), ("answer b", 20 * 3600), ("answer c", 22 * 3600)] {
        let mut mail = letter("support", subject);
        mail.now = at(seconds);
        mail.take(&store).await;
    }
    let mut ask = letter("support", "ask");
    ask.now = at(22 * 3600 + 60);
    assert_eq!(ask.take(&store).await.why[0].text, "answered (3, 2) answer a, answer b, answer c");
    let mut later = letter("support", "later");
    later.now = at(24 * 3600 + 60);
    // What was answered more than a day ago is not looked at.
    assert_eq!(later.take(&store).await.why[0].text, "answered (2, 1) answer b, answer c");
    let mut other = letter("support", "other");
    (other.now, other.judgement.sender.answer_to) = (ask.now, Some(address("bob@cust.test")));
    assert_eq!(other.take(&store).await.why[0].text, "answered (0, 0) ");
}

#[tokio::test]
async fn numbers_are_unique_even_if_the_day_begins_anew() {
    let (_directory, store) = fresh();
    let mut tokyo = letter("support", "tokyo");
    let mut config = Config::default();
    config.desk.time_zone = jiff::tz::TimeZone::get("Asia/Tokyo").unwrap();
    tokyo.config = Arc::new(config);
    tokyo.now = at(7 * 3600); // 2026-11-23 in Tokyo, still the 22nd in UTC.
    let tokyo = tokyo.take(&store).await.ticket.unwrap();
    assert_eq!(tokyo, "202611231000001");
    let mut next = letter("support", "next");
    next.now = at(24 * 3600);
    assert_eq!(next.take(&store).await.ticket.unwrap(), "202611231000002");
    sound(&store);
}

// Commands.

async fn command(
    store: &Store,
    number: &str,
    commands: Vec<Command>,
) -> Result<Ticket, CommandError> {
    let actor = Actor::Agent("alice".into());
    store
        .command(Arc::new(Config::default()), number, commands, actor, at(5))
        .await
        .map(|carried| carried.ticket)
}

#[tokio::test]
async fn commands_are_carried_out_all_or_none() {
    let (_directory, store) = fresh();
    let number = letter("support", "fire").take(&store).await.ticket.unwrap();
    let note = || Command::Note {
        subject: String::new(),
        text: "called the fire brigade".into(),
        visible_for_customer: false,
    };
    let ticket =
        command(&store, &number, vec![note(), Command::SetLock(true), note()]).await.unwrap();
    assert_eq!(ticket.locked_since, Some(at(5)));
    assert_eq!(store.ticket(&number).unwrap().unwrap().articles.len(), 3);

    let refused =
        command(&store, &number, vec![Command::SetLock(false), Command::TimeOutLock]).await;
    assert!(matches!(refused, Err(CommandError::Refused(_))), "{refused:?}");
    assert_eq!(store.ticket(&number).unwrap().unwrap().ticket.locked_since, Some(at(5)));
    let missing = command(&store, "4711", vec![note()]).await;
    assert!(matches!(missing, Err(CommandError::NoTicket(number)) if number == "4711"));
    sound(&store);
}

#[tokio::test]
async fn the_clockwork_finds_locked_and_pending_tickets() {
    let (_directory, store) = fresh();
    let number = letter("support", "fire").take(&store).await.ticket.unwrap();
    letter("support", "flood").take(&store).await;
    let wait = Command::SetState { state: State::Pending, pending_until: Some(at(100)) };
    command(&store, &number, vec![Command::SetLock(true), wait]).await.unwrap();
    assert_eq!(store.locked().unwrap().len(), 1);
    assert_eq!(store.pending_over(at(99)).unwrap(), []);
    assert_eq!(store.pending_over(at(100)).unwrap()[0].number, number);
    let open = Command::SetState { state: State::Open, pending_until: None };
    command(&store, &number, vec![Command::SetLock(false), open]).await.unwrap();
    assert_eq!(store.locked().unwrap(), []);
    assert_eq!(store.pending_over(at(1_000)).unwrap(), []);
    sound(&store);
}

// Listings.

#[tokio::test]
async fn listings_turn_pages_newest_first() {
    let (_directory, store) = fresh();
    for subject in ["a", "b", "c", "d", "e"] {
        letter("support", subject).take(&store).await;
    }
    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let page = store.tickets(&TicketQuery::default(), before, 2).unwrap();
        seen.extend(page.items.into_iter().map(|ticket| ticket.title));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["e", "d", "c", "b", "a"]);
    let first = store.mails(None, 3).unwrap();
    assert_eq!(first.next, Some(3));
    let rest = store.mails(first.next.map(MailId), 3).unwrap();
    assert_eq!((rest.items.len(), rest.next), (2, None));

    let number = store.tickets(&TicketQuery::default(), None, 1).unwrap().items[0].number.clone();
    command(&store, &number, vec![Command::SetOwner(Some("alice".into()))]).await.unwrap();
    let count = |query| store.tickets(&query, None, 10).unwrap().items.len();
    assert_eq!(count(TicketQuery { owner: Some("alice".into()), ..Default::default() }), 1);
    assert_eq!(count(TicketQuery { queue: Some("sales".into()), ..Default::default() }), 0);
    assert_eq!(count(TicketQuery { text: Some("D".into()), ..Default::default() }), 1);
    assert_eq!(count(TicketQuery { states: vec![State::New], ..Default::default() }), 5);
    assert_eq!(count(TicketQuery { states: vec![State::Open], ..Default::default() }), 0);
}

#[tokio::test]
async fn bells_ring_until_they_are_read() {
    let (_directory, store) = fresh();
    let number = letter("support", "fire").take(&store).await.ticket;
    letter("support", "flood").take(&store).await;
    let bells = store.bells("alice", None, 10).unwrap().items;
    assert_eq!(bells.len(), 2);
    assert_eq!((bells[1].ticket.clone(), bells[1].read), (number, false));
    store.read_bells("alice", bells[1].id).await.unwrap();
    let read = |store: &Store| -> Vec<bool> {
        store.bells("alice", None, 10).unwrap().items.iter().map(|bell| bell.read).collect()
    };
    assert_eq!(read(&store), [false, true]);
    store.read_bells("alice", bells[0].id).await.unwrap();
    assert_eq!(read(&store), [true, true]);
    assert!(store.bells("bob", None, 10).unwrap().items.is_empty());
}

// The outbox.

#[tokio::test]
async fn owed_mails_wait_until_they_are_sent() {
    let (_directory, store) = fresh();
    let bell = store.outbox_bell();
    for subject in ["answer a", "answer b", "answer c"] {
        letter("support", subject).take(&store).await;
    }
    bell.notified().await;
    let due = store.due(at(0), 10).unwrap();
    assert_eq!(due.iter().map(|mail| mail.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(due[0].raw.starts_with(b"Subject: We have your mail"));
    assert_eq!(store.due(at(-1), 10).unwrap(), []);

    let later = Delivery::Due {
        attempts: 1,
        at: at(60),
        last_error: Some("451 later".into()),
        doubt: Some("m365".into()),
    };
    let dead = Delivery::Dead { at: at(1), reason: "550 who?".into() };
    store
        .delivered(vec![
            (OutgoingId(1), later.clone()),
            (OutgoingId(2), Delivery::Sent { at: at(1) }),
            (OutgoingId(3), dead),
        ])
        .await
        .unwrap();
    assert_eq!(store.due(at(59), 10).unwrap(), []);
    assert_eq!(store.next_due(at(0)).unwrap(), Some(at(60)));
    assert_eq!(store.due(at(60), 10).unwrap()[0].delivery, later);
    let counts = OutboxCounts { due: 1, dead: 1, sent: 1, oldest_due: Some(at(0)) };
    assert_eq!(store.outbox_counts().unwrap(), counts);
    let ids = |filter| -> Vec<u64> {
        let page = store.outbox(filter, None, 10).unwrap();
        page.items.iter().map(|mail| mail.id.0).collect()
    };
    assert_eq!(ids(OutboxFilter::All), [3, 2, 1]);
    assert_eq!(ids(OutboxFilter::Dead), [3]);
    assert_eq!(ids(OutboxFilter::Sent), [2]);
    assert_eq!(ids(OutboxFilter::Due), [1]);

    // An operator puts the dead one back.
    let again = Delivery::Due { attempts: 0, at: at(2), last_error: None, doubt: None };
    store.delivered(vec![(OutgoingId(3), again)]).await.unwrap();
    bell.notified().await;
    assert_eq!(store.due(at(60), 1).unwrap()[0].id, OutgoingId(1));
    sound(&store);
}

// Upkeep.

#[tokio::test]
async fn old_things_are_cleaned() {
    let (_directory, store) = fresh();
    let fire = letter("support", "answer fire");
    fire.take(&store).await;
    store.delivered(vec![(OutgoingId(1), Delivery::Sent { at: at(0) })]).await.unwrap();
    store.done("support", vec![location(&fire.location)]).await.unwrap();
    let day = 24 * 3600;
    store.clean(at(30 * day)).await.unwrap();
    assert!(store.owed(OutgoingId(1)).unwrap().is_some());
    store.clean(at(30 * day + 1)).await.unwrap();
    assert!(store.owed(OutgoingId(1)).unwrap().is_none());
    sound(&store);

    // The location is still listed: its digests stay, whatever their age.
    let listed = || Listed::from_iter(&[location(&fire.location)]);
    store.forget_absent("support", listed(), at(100 * day)).await.unwrap();
    store.clean(at(100 * day)).await.unwrap();
    let mut copy = elsewhere(&fire, "support");
    copy.now = at(100 * day);
    assert_eq!(outcome(&store, &copy).await, Outcome::Duplicate);
    // Absent for 30 days at a stretch it is forgotten, and then its digests are.
    assert_eq!(store.forget_absent("support", Listed::default(), at(101 * day)).await.unwrap(), 0);
    assert_eq!(store.forget_absent("support", listed(), at(102 * day)).await.unwrap(), 0);
    assert_eq!(store.forget_absent("support", Listed::default(), at(103 * day)).await.unwrap(), 0);
    assert_eq!(store.forget_absent("support", Listed::default(), at(133 * day)).await.unwrap(), 1);
    assert_eq!(label(&store, &fire), Known::Done);
    assert_eq!(store.forget_absent("support", Listed::default(), at(134 * day)).await.unwrap(), 1);
    assert_eq!(label(&store, &fire), Known::No);
    let mut back = elsewhere(&fire, "support");
    (back.location, back.now) = ("INBOX/9/1".into(), at(134 * day));
    assert_eq!(outcome(&store, &back).await, Outcome::Created);
    sound(&store);
}

#[tokio::test]
async fn a_large_mailbox_is_compared_part_by_part() {
    const MAILS: u32 = 25_000;
    let (_directory, store) = fresh();
    let all: Vec<Location> = (0..MAILS).map(|n| location(&format!("INBOX;7;{n}"))).collect();
    store.leave_alone("support", all.clone()).await.unwrap();
    // Every third one vanishes, and every third of those comes back.
    let day = 24 * 3600;
    let here = |day: u32| {
        all.iter().enumerate().filter(move |(n, _)| n % 3 != 0 || (day == 2 && n % 9 == 0))
    };
    for (time, forgotten) in [(1, 0), (2, 0), (3, 0), (32, MAILS.div_ceil(3) - MAILS.div_ceil(9))] {
        let listed: Listed = here(time).map(|(_, location)| location).collect();
        let counted =
            store.forget_absent("support", listed, at(i64::from(time) * day)).await.unwrap();
        assert_eq!(counted, u64::from(forgotten), "day {time}");
    }
    let known = store.known("support", &all).unwrap();
    let kept = known.iter().filter(|known| **known == Known::LeftAlone).count();
    assert_eq!(kept, 25_000 - 8_334 + 2_778);
    sound(&store);
}

#[tokio::test]
async fn renames_keep_what_is_known_and_are_carried_out_once() {
    let (_directory, store) = fresh();
    let fire = letter("info", "fire");
    let number = fire.take(&store).await.ticket.unwrap();
    command(&store, &number, vec![Command::SetOwner(Some("bob".into()))]).await.unwrap();
    let moved = |kind, from: &str, to: &str| Moved { kind, from: from.into(), to: to.into() };
    let renames = vec![
        moved(MovedKind::MailAccount, "info", "support"),
        moved(MovedKind::Queue, "Raw", "inbox"),
        moved(MovedKind::User, "bob", "robert"),
    ];
    store.adopt(renames.clone()).await.unwrap();
    let known = store.known("support", &[location(&fire.location)]).unwrap();
    assert_eq!(known, [Known::Recorded]);
    let ticket = store.ticket(&number).unwrap().unwrap().ticket;
    assert_eq!((ticket.queue.as_str(), ticket.owner.as_deref()), ("inbox", Some("robert")));
    assert_eq!(store.mails(None, 1).unwrap().items[0].account, "support");
    // Later somebody declares the old names anew: they are others now.
    let flood = letter("info", "flood").take(&store).await.ticket.unwrap();
    store.adopt(renames).await.unwrap();
    assert_eq!(store.ticket(&flood).unwrap().unwrap().ticket.queue, "Raw");
    assert_eq!(store.mails(None, 1).unwrap().items[0].account, "info");
    sound(&store);
}

#[tokio::test]
async fn the_last_revision_and_grants_are_kept() {
    let (directory, store) = fresh();
    assert_eq!(store.last_revision().unwrap(), None);
    let mut last = None;
    for number in 0..12 {
        let revision = StoredRevision {
            hash: format!("hash {number}"),
            applied: at(number),
            // One file stays as it is; the other changes, and in the end comes back.
            files: vec![
                ("desk.yaml".into(), "version: 1\n".into()),
                ("queues.yaml".into(), format!("version: 1 # {}\n", number % 11)),
            ],
        };
        store.keep_revision(revision.clone()).await.unwrap();
        sound(&store);
        last = Some(revision);
    }
    store.keep_grant("m365", Some(b"refresh".to_vec())).await.unwrap();
    drop(store);
    let store = open(directory.path()).unwrap();
    assert_eq!(store.last_revision().unwrap(), last);
    assert_eq!(store.grant("m365").unwrap().unwrap(), b"refresh");
    store.keep_grant("m365", None).await.unwrap();
    assert_eq!(store.grant("m365").unwrap(), None);
}

#[tokio::test]
async fn a_backup_is_a_store() {
    let (directory, store) = fresh();
    let letters = [letter("support", "answer fire"), letter("support", "flood").of_bytes(200_000)];
    for letter in &letters {
        letter.take(&store).await;
    }
    let target = directory.path().join("backup");
    let (copied, _) = tokio::join!(store.backup(&target), async {
        for number in 0..20 {
            letter("support", &format!("meanwhile {number}")).of_bytes(70_000).take(&store).await;
        }
    });
    copied.unwrap();
    assert!(store.backup(&target).await.unwrap_err().to_string().contains("is not empty"));
    let copy = open(&target).unwrap();
    sound(&copy);
    for letter in &letters {
        let digest = letter.judgement.keys.bytes;
        assert_eq!(copy.raw(&digest).unwrap().unwrap(), letter.raw);
    }
    assert_eq!(copy.due(at(0), 10).unwrap().len(), 1);
    assert!(copy.desk_key() == store.desk_key());
    assert_eq!(letters[1].take(&copy).await.mail, MailId(2));
    sound(&store);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let (directory, store) = fresh();
    letter("support", "fire").take(&store).await;
    store.close().await;
    assert!(matches!(store.spooled("support"), Err(StoreError::Closed)));
    assert!(matches!(store.known("support", &[]), Err(StoreError::Closed)));
    store.close().await;
    let (before, after) = Store::compact(directory.path()).unwrap();
    assert!(after <= before);
    assert_eq!(titles(&open(directory.path()).unwrap()), ["fire"]);
}

#[tokio::test]
async fn mails_of_many_producers_share_commits() {
    let (_directory, store) = fresh();
    let commits = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(Mutex::new(0));
    let (counted, largest) = (commits.clone(), most.clone());
    store.observe_commits(Box::new(move |_, mails| {
        counted.fetch_add(1, Ordering::SeqCst);
        let mut largest = largest.lock().unwrap();
        *largest = mails.max(*largest);
    }));
    let producers: Vec<_> = (0..20)
        .map(|producer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..5 {
                    letter("support", &format!("{producer}/{number}")).take(&store).await;
                }
            })
        })
        .collect();
    for producer in producers {
        producer.await.unwrap();
    }
    assert_eq!(store.ticket_count().unwrap(), 100);
    assert!(commits.load(Ordering::SeqCst) < 150, "{commits:?} commits for 200 jobs");
    assert!(*most.lock().unwrap() > 1);
    sound(&store);
}

#[tokio::test]
async fn large_mails_take_little_more_room_than_their_bytes() {
    let (_directory, store) = fresh();
    let empty = store.size_bytes().unwrap();
    let mut bytes = 0;
    for number in 0..100_u64 {
        let mail = letter("support", &format!("large {number}")).of_bytes(100_000);
        bytes += mail.raw.len() as u64;
        mail.take(&store).await;
        assert_eq!(store.raw(&mail.judgement.keys.bytes).unwrap().unwrap(), mail.raw);
    }
    let used = store.size_bytes().unwrap() - empty;
    assert!(used * 100 < bytes * 125, "{used} bytes on disk for {bytes}");
    sound(&store);
}
