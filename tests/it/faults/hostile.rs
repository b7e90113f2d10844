//! Hostile mails through the whole daemon.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use postroom::core::intake::Outcome;
use postroom::core::mail;

use super::{desk, mail, records};
use crate::daemon::{Daemon, until};
use crate::process::{Program, ask};

/// Everything that may stand in the header of a mail of ours.
const OUR_HEADERS: [&str; 14] = [
    "auto-submitted",
    "content-transfer-encoding",
    "content-type",
    "date",
    "from",
    "in-reply-to",
    "message-id",
    "mime-version",
    "precedence",
    "references",
    "subject",
    "to",
    "x-auto-response-suppress",
    "x-loop",
];

/// Mails that lie in a directory of the file transport, by file name.
fn sent(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let letters = entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "eml"));
    letters
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect()
}

async fn until_sent(daemon: &Daemon, count: usize) -> Vec<Vec<u8>> {
    let directory = daemon.path("sent");
    until(&format!("{count} answers"), || {
        let letters: Vec<Vec<u8>> = sent(&directory).into_values().collect();
        (letters.len() >= count).then_some(letters)
    })
    .await
}

/// Names of the header fields of a mail as it goes over the wire, in lower case.
#[track_caller]
fn header_names(raw: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(raw);
    let (header, _) = text.split_once("\r\n\r\n").unwrap();
    let lines = header.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
    lines
        .map(|line| line.split_once(':').unwrap_or_else(|| panic!("{line:?}")).0.to_lowercase())
        .collect()
}

#[track_caller]
fn check_letter(raw: &[u8]) {
    let mut names = header_names(raw);
    names.sort();
    let all = names.len();
    assert!(names.iter().all(|name| OUR_HEADERS.contains(&name.as_str())), "{names:?}");
    names.dedup();
    assert_eq!(names.len(), all, "no field twice");
    let text = String::from_utf8_lossy(raw).replace("\r\n", "\n");
    assert!(!text.contains(['\r', '\0']), "no line end of another kind");
    assert!(text.lines().all(|line| line.len() <= 998));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_mails_are_tickets_with_clean_answers_and_poison_is_kept() {
    let parts: String = (0..2_000)
        .map(|number| format!("--b\r\nContent-Type: text/plain\r\n\r\npart {number}\r\n"))
        .collect();
    let levels: String = (0..300)
        .map(|level| {
            format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n")
        })
        .collect();
    let dolls = "Content-Type: message/rfc822\r\n\r\n".repeat(21_800);
    let long_id = format!("References: <{}@customer.example>\r\n", "i".repeat(5_000));
    let injected = "=?utf-8?Q?Eve=0D=0ABcc:_victim@else.example=0D=0A?= <eve7@customer.example>";
    let mails: Vec<(&str, Vec<u8>)> = vec![
        ("long subject", mail("eve1@customer.example", 1, &"S".repeat(9_000), "")),
        ("long id", mail("eve2@customer.example", 2, "Id", &long_id)),
        (
            "parts",
            mail(
                "eve3@customer.example",
                3,
                "Parts",
                &format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n"),
            ),
        ),
        ("levels", mail("eve4@customer.example", 4, "Levels", &levels)),
        ("dolls", mail("eve5@customer.example", 5, "Dolls", &dolls)),
        ("nul", mail("eve6@customer.example", 6, "N\0U\0L", "X-Nul: \0\r\n\r\n\0\0\r\n")),
        (
            "injection",
            mail(
                injected,
                7,
                "=?utf-8?Q?Hello=0D=0ABcc:_victim@else.example=0D=0A=0D=0AX-Evil:_1?=",
                "Reply-To: =?utf-8?Q?x=0AX-Evil:_2?= <eve7@customer.example>\r\n",
            ),
        ),
        ("the next", mail("eve8@customer.example", 8, "Next", "")),
    ];
    let daemon = Daemon::start(&desk("")).await;
    for (number, (_, raw)) in mails.iter().enumerate() {
        daemon.deliver(&number.to_string(), raw);
    }
    daemon.mails(mails.len()).await;
    let store = &daemon.app().handle().store;
    let known = records(&daemon);
    for (name, raw) in &mails {
        let digest = mail::Digest::of(raw);
        let record = known.iter().find(|record| record.digest == digest).unwrap();
        assert_eq!(store.raw(&digest).unwrap().as_ref(), Some(raw), "{name} is kept whole");
        match *name {
            "dolls" => assert!(matches!(record.outcome, Outcome::Quarantined { .. })),
            _ => assert_eq!(record.outcome, Outcome::Created, "{name}"),
        }
    }
    let letters = until_sent(&daemon, mails.len() - 1).await;
    letters.iter().for_each(|letter| check_letter(letter));
    let owed = daemon.owed();
    assert!(owed.contains(&"eve7@customer.example".to_owned()), "{owed:?}");
    assert!(!owed.iter().any(|address| address.contains("victim")), "{owed:?}");
}

/// Mails whose fields are bombs: each is kept whole, as a ticket or in quarantine; the mail behind it is read; and
/// the daemon says nothing of a panic, which it would survive.
#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_kept_and_nothing_panics() {
    let words = "=?utf-8?q?a?= ".repeat(1_000_000);
    let nested = "=?utf-8?q?".repeat(200_000);
    let addresses = "a@x.example, ".repeat(200_000);
    let bombs = [
        mail("eve1@customer.example", 1, &words, ""),
        mail("eve2@customer.example", 2, &nested, ""),
        mail("eve3@customer.example", 3, "Many", &format!("Cc: {addresses}\r\n")),
        mail("eve4@customer.example", 4, "The next", ""),
    ];
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("mail/new");
    fs::create_dir_all(&new).unwrap();
    for (number, bomb) in bombs.iter().enumerate() {
        fs::write(new.join(number.to_string()), bomb).unwrap();
    }
    let program = Program::start_in(folder, &desk(""), &[]).await;
    let listed = until_asked(&program, "/api/v1/mails", |said| {
        said.matches("\"outcome\"").count() == bombs.len()
    })
    .await;
    assert_eq!(listed.matches("\"quarantined\"").count(), 1, "{listed}");
    assert_eq!(listed.matches("\"created\"").count(), 3, "{listed}");
    for bomb in &bombs {
        assert!(listed.contains(&mail::Digest::of(bomb).hex()), "{listed}");
    }
    let log = program.log();
    assert!(!log.contains("panicked"), "{}", &log[log.find("panicked").unwrap()..][..500]);
}

/// Asks until the answer is as wanted.
async fn until_asked(program: &Program, path: &str, wanted: impl Fn(&str) -> bool) -> String {
    let began = std::time::Instant::now();
    loop {
        let (_, said) = ask(program.addr, "GET", path, &program.token(), "").await;
        if wanted(&said) {
            return said;
        }
        assert!(began.elapsed() < BOMBS_TIME_MAX, "waited in vain: {said}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A debug build on a busy machine needs seconds for some dozen megabytes; a quadratic step hours.
const BOMBS_TIME_MAX: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn guessed_ticket_numbers_of_a_stranger_join_nothing() {
    const GUESSES: usize = 100;
    let daemon = Daemon::start(&desk("")).await;
    daemon.deliver("first", &mail("eve@customer.example", 0, "The lift is stuck", ""));
    let first = daemon.mails(1).await.remove(0);
    let number = first.ticket.clone().unwrap();
    let known: u64 = number.parse().unwrap();
    for guess in 0..GUESSES {
        // The right number is among them, and so are its neighbours.
        let guessed = known + guess as u64 - GUESSES as u64 / 2;
        let subject = format!("Re: [Ticket#{guessed}] The lift is stuck");
        let raw = mail(&format!("mallory{guess}@else.example"), guess + 1, &subject, "");
        daemon.deliver(&guess.to_string(), &raw);
    }
    let known = daemon.mails(GUESSES + 1).await;
    assert!(known.iter().all(|record| record.outcome == Outcome::Created));
    let view = daemon.ticket(&first);
    let came = view.articles.iter().filter(|article| article.raw == Some(first.digest));
    assert_eq!(came.count(), 1);
    assert!(!view.articles.iter().any(|article| article.from.contains("mallory")));
}

/// What lies between two desks: takes what one sent and delivers it to the other.
struct Post<'a> {
    from: &'a Daemon,
    to: &'a Daemon,
    /// Whether a thoughtless relay on the way cuts what marks automatic mail.
    cuts: bool,
    carried: usize,
}

impl Post<'_> {
    fn carry(&mut self) {
        for (name, raw) in sent(&self.from.path("sent")).into_iter().skip(self.carried) {
            let raw = if self.cuts { cut(&raw) } else { raw };
            self.to.deliver(&name, &raw);
            self.carried += 1;
        }
    }
}

fn cut(raw: &[u8]) -> Vec<u8> {
    const MARKS: [&str; 4] = ["auto-submitted:", "precedence:", "x-loop:", "x-auto-response-"];
    let text = String::from_utf8_lossy(raw);
    let kept = text.split_inclusive("\r\n").filter(|line| {
        let line = line.to_lowercase();
        !MARKS.iter().any(|mark| line.starts_with(mark))
    });
    kept.collect::<String>().into_bytes()
}

/// Lets two desks answer each other until nothing more goes between them; how many answers each
/// gave.
async fn quarrel(cuts: bool) -> (usize, usize) {
    let one = Daemon::start(&desk("")).await;
    let other = desk("")
        .replace("desk.example", "other.example")
        .replace("default: {from: \"Desk", "default: {from: \"Other");
    let other = Daemon::start(&other).await;
    let start = String::from_utf8(mail("support@other.example", 1, "Who starts?", "")).unwrap();
    one.deliver("start", start.as_bytes());
    let mut there = Post { from: &one, to: &other, cuts, carried: 0 };
    let mut back = Post { from: &other, to: &one, cuts, carried: 0 };
    one.mails(1).await;
    loop {
        there.carry();
        back.carry();
        // Whatever was delivered is recorded, and whatever is owed for it is sent.
        let (at_one, at_other) = (1 + back.carried, there.carried);
        until("quiet", || {
            let done = |daemon: &Daemon, mails: usize| {
                let counts = daemon.app().handle().store.outbox_counts().unwrap();
                records(daemon).len() >= mails && counts.due == 0
            };
            (done(&one, at_one) && done(&other, at_other)).then_some(())
        })
        .await;
        let more = |post: &Post<'_>| sent(&post.from.path("sent")).len() > post.carried;
        if !more(&there) && !more(&back) {
            return (there.carried, back.carried);
        }
        assert!(there.carried + back.carried < 100, "they answer each other for ever");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_desks_that_answer_each_other_end_at_once() {
    let (one, other) = quarrel(false).await;
    println!("answers: {one} and {other}");
    assert_eq!((one, other), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn even_without_any_mark_they_end_at_the_limit() {
    let (one, other) = quarrel(true).await;
    println!("answers without marks: {one} and {other}");
    assert!((1..=10).contains(&one) && other <= 10, "{one} and {other}");
}
