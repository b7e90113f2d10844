//! Mails as people and programs send them, and what we read in each.
//!
//! Every `tests/mails/NAME.eml` has a `NAME.txt` beside it that says what is read. After a change
//! that is meant: `UPDATE=1 cargo test --test it mail`, and read the diff as carefully as code.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use postroom::core::config::{Config, Source};
use postroom::core::intake::judge;
use postroom::core::mail::{self, Attachment, Mail, Mailbox, Refusal, Report};
use postroom::core::reply::Suppression;

use crate::server::account;

#[test]
fn golden() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for path in corpus() {
        let raw = fs::read(&path).expect("the mail can be read");
        let read = describe(&raw);
        let beside = path.with_extension("txt");
        if update {
            fs::write(&beside, &read).expect("the expectation can be written");
            continue;
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if expected != read {
            let diff = similar::TextDiff::from_lines(&expected, &read);
            wrong.push(format!("{}\n{}", path.display(), diff.unified_diff()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A mail with LF, one with CR, one from an mbox: all say the same as with CRLF.
#[test]
fn line_ends_do_not_matter() {
    for path in corpus() {
        let raw = fs::read(&path).expect("the mail can be read");
        let name = path.file_stem().expect("a file name").to_string_lossy().into_owned();
        // These are about bare CR, or hold it as content.
        if name.contains("bare-cr") || name.contains("utf16") || name.contains("binary") {
            continue;
        }
        let crlf = mail::parse(&with_line_end(&raw, b"\r\n"));
        for end in [&b"\n"[..], b"\r"] {
            let other = mail::parse(&with_line_end(&raw, end));
            assert_eq!(crlf.subject, other.subject, "{name} with {end:?}");
            assert_eq!(crlf.text, other.text, "{name} with {end:?}");
            assert_eq!(crlf.attachments.len(), other.attachments.len(), "{name} with {end:?}");
            assert_eq!(crlf.message_id_derived, other.message_id_derived);
            if !crlf.message_id_derived {
                assert_eq!(crlf.content_digest, other.content_digest, "{name} with {end:?}");
            }
        }
        let mut mbox = b"From eve@customer.example Sat Nov 21 10:00:00 2026\n".to_vec();
        mbox.extend_from_slice(&with_line_end(&raw, b"\n"));
        assert_eq!(crlf.subject, mail::parse(&mbox).subject, "{name} from an mbox");
    }
}

/// What a listed attachment says of itself is what is read again.
#[test]
fn attachments_are_found_again() {
    for path in corpus() {
        let raw = fs::read(&path).expect("the mail can be read");
        let read = mail::parse(&raw);
        for attachment in &read.attachments {
            let bytes = mail::attachment(&raw, attachment.index).expect("it was listed");
            assert_eq!(
                bytes.len() as u64,
                attachment.bytes,
                "{} {}",
                path.display(),
                attachment.name
            );
        }
        let beyond = u32::try_from(read.attachments.len()).expect("at most 200");
        assert_eq!(mail::attachment(&raw, beyond), None);
    }
}

/// How a server hands out a mail changes neither digest that duplicates are known by.
#[test]
fn content_digest_outlives_a_new_rendering() {
    let one = "Received: from a\r\nFrom: Eve <eve@customer.example>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0900\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nMessage-ID: <a@b>\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nY2Fmw6kgIG5vdwo=\r\n";
    let two = "X-Trace: b\nSubject: =?iso-8859-1?q?caf=E9?=\nFrom: EVE@customer.example\nDate: Sat, 21 Nov 2026 01:00:00 GMT\nMessage-ID: <a@b>\nContent-Type: text/plain; charset=utf-8\n\ncafé now\n";
    let other = two.replace("now", "then");
    let digest = |raw: &str| mail::parse(raw.as_bytes()).content_digest;
    assert_eq!(digest(one), digest(two));
    assert_ne!(digest(one), digest(&other));
}

#[test]
fn bombs_end_soon() {
    let head = "From: eve@customer.example\r\nMessage-ID: <bomb@customer.example>\r\n";
    let multipart =
        |boundary: &str| format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n");
    let segments: String = (0..100_000).map(|n| format!("; name*{n}=a")).collect();
    let references: String = (0..500_000).map(|n| format!("<r{n}@x>\r\n ")).collect();
    let bombs = [
        ("parts", format!("{head}{}{}", multipart("x"), "--x\r\n\r\na\r\n".repeat(100_000))),
        ("2,000 parts", format!("{head}{}{}", multipart("x"), "--x\r\n\r\na\r\n".repeat(2_000))),
        ("empty parts", format!("{head}{}{}", multipart("x"), "--x\r\n\r\n".repeat(1_000_000))),
        ("headers", format!("{head}{}\r\nbody", "X-A: b\r\n".repeat(1_000_000))),
        ("subject", format!("{head}Subject: {}\r\n\r\nbody", "a".repeat(LONG_LINE_BYTES / 2))),
        ("references", format!("{head}References: {references}\r\n\r\nbody")),
        ("recipients", format!("{head}To: {}\r\n\r\nbody", "a@x.example, ".repeat(500_000))),
        (
            "encoded words",
            format!("{head}Subject: {}\r\n\r\nbody", "=?utf-8?q?a?= ".repeat(1_000_000)),
        ),
        ("segments", format!("{head}Content-Type: text/plain{segments}\r\n\r\nbody")),
        ("one line", format!("{head}\r\n{}", "a".repeat(LONG_LINE_BYTES))),
        ("no boundary ends", format!("{head}{}{}", multipart("x"), "--y\r\n".repeat(2_000_000))),
        (
            "open tags",
            format!("{head}Content-Type: text/html\r\n\r\n{}", "<div><a href=x>".repeat(100_000)),
        ),
        ("open words", format!("{head}Subject: {}\r\n\r\nbody", "=?utf-8?q?a".repeat(500_000))),
        ("open comments", format!("{head}To: {}\r\n\r\nbody", "(".repeat(1_000_000))),
        (
            "soft breaks",
            format!(
                "{head}Content-Transfer-Encoding: quoted-printable\r\n\r\n{}",
                "=\r\n".repeat(1_000_000)
            ),
        ),
    ];
    for (name, bomb) in &bombs {
        let began = Instant::now();
        let scanned = mail::scan(bomb.as_bytes());
        let read = mail::parse(bomb.as_bytes());
        let took = began.elapsed();
        println!("{name}: {scanned:?} {:?} {took:?}", read.oddities);
        assert_eq!(read.message_id, "bomb@customer.example", "{name}");
        assert!(took < BOMB_TIME_MAX, "{name} took {took:?}");
    }
}

/// A quadratic step takes minutes. Without optimisation, on a busy machine, linear ones take
/// seconds.
const BOMB_TIME_MAX: Duration = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 2 });
/// Hashing alone takes half a minute of 100 MB without optimisation.
const LONG_LINE_BYTES: usize = if cfg!(debug_assertions) { 10_000_000 } else { 100_000_000 };

/// The stack of a thread as the runtime starts it. An overflow would abort the whole test.
const STACK_BYTES: usize = 2 * 1024 * 1024;

#[test]
fn nesting_does_not_reach_the_stack() {
    let read_all = || {
        for (mail, expected) in nested() {
            assert_eq!(mail::scan(&mail), expected);
            let read = mail::parse(&mail);
            assert!(mail::attachment(&mail, 1_000_000).is_none());
            assert_eq!(read.raw_bytes, mail.len() as u64);
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(read_all);
    thread.expect("a thread starts").join().expect("nothing panics");
}

/// Mails within mails and multiparts within multiparts, open, closed and wrapped in base64.
fn nested() -> Vec<(Vec<u8>, Result<(), Refusal>)> {
    let messages =
        |levels: usize| "Content-Type: message/rfc822\r\n\r\n".repeat(levels).into_bytes();
    let open = |levels: usize| -> Vec<u8> {
        let level = |n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
        (0..levels).flat_map(|n| level(n).into_bytes()).collect()
    };
    let closed = |levels: usize| -> Vec<u8> {
        let ends = (0..levels).rev().flat_map(|n| format!("\r\n--b{n}--\r\n").into_bytes());
        open(levels).into_iter().chain(*b"\r\ndeep").chain(ends).collect()
    };
    let same = |levels: usize| {
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n".repeat(levels).into_bytes()
    };
    let deep = Err(Refusal::TooDeep);
    vec![
        (messages(300), Ok(())),
        (messages(21_800), deep),
        (messages(100_000), deep),
        (open(300), Ok(())),
        (closed(300), Ok(())),
        (open(100_000), deep),
        (closed(100_000), deep),
        (same(100_000), deep),
        (in_base64(6, 2_000), Ok(())),
    ]
}

/// A mail in a mail, each in base64 within the next; the innermost is nested in the open.
fn in_base64(levels: usize, inner: usize) -> Vec<u8> {
    use base64::Engine as _;
    let mut mail = "Content-Type: message/rfc822\r\n\r\n".repeat(inner).into_bytes();
    for _ in 0..levels {
        let encoded = base64::prelude::BASE64_STANDARD.encode(&mail);
        let head = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n";
        mail = format!("{head}{encoded}").into_bytes();
    }
    mail
}

/// Mails with bytes changed, cut out, doubled and moved: never a panic, never slow.
#[test]
fn mutations() {
    // `parse` hides a panic behind the source of the mail; the hook gives it away.
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    const THREAD: &str = "mutations of mails";
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some(THREAD) {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        before(panic);
    }));
    let thread = std::thread::Builder::new().name(THREAD.to_owned()).stack_size(STACK_BYTES);
    let mutate_all = || mutate_many(&PANICS);
    thread.spawn(mutate_all).expect("a thread starts").join().expect("all mails were read");
}

fn mutate_many(panics: &AtomicUsize) {
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let now =
        || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let seed: u64 = given.unwrap_or_else(now);
    println!("SEED={seed}");
    let mut chance = Chance(seed | 1);
    let mut mails: Vec<Vec<u8>> =
        corpus().iter().map(|path| fs::read(path).expect("readable")).collect();
    mails.retain(|mail| mail.len() <= MUTATED_BYTES_MAX);
    for _ in 0..MUTATIONS {
        let mut mail = mails[chance.below(mails.len())].clone();
        for _ in 0..=chance.below(8) {
            mutate(&mut mail, &mails, &mut chance);
        }
        let began = Instant::now();
        // Refused or not, reading it must be safe.
        let scanned = mail::scan(&mail);
        let read = mail::parse(&mail);
        for attachment in read.attachments.iter().take(5) {
            let again = mail::attachment(&mail, attachment.index).expect("it was listed");
            assert_eq!(again.len() as u64, attachment.bytes, "SEED={seed}");
        }
        let took = began.elapsed();
        let source = || String::from_utf8_lossy(&mail);
        assert_eq!(panics.load(Ordering::SeqCst), 0, "SEED={seed} {scanned:?}: {:?}", source());
        assert!(took < Duration::from_secs(5), "SEED={seed}: {took:?} for {:?}", source());
    }
}

const MUTATIONS: usize = 3_000;
const MUTATED_BYTES_MAX: usize = 64 * 1024;

fn mutate(mail: &mut Vec<u8>, mails: &[Vec<u8>], chance: &mut Chance) {
    const TOKENS: [&[u8]; 14] = [
        b"\r\n",
        b"\n\n",
        b"\r",
        b"\0",
        b"\x1b$B",
        b"\x1b(B",
        b"=?utf-8?B?",
        b"?=",
        b"--",
        b"\"",
        b"<",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
        b"\xff\xfe",
        b"&#x;",
    ];
    if mail.is_empty() {
        return;
    }
    let at = chance.below(mail.len());
    let end = at + chance.below((mail.len() - at).min(200) + 1);
    match chance.below(6) {
        0 => mail[at] = chance.below(256) as u8,
        1 => drop(mail.drain(at..end)),
        2 => {
            let piece = mail[at..end].to_vec();
            let to = chance.below(mail.len());
            mail.splice(to..to, piece);
        }
        3 => drop(mail.splice(at..at, TOKENS[chance.below(TOKENS.len())].iter().copied())),
        4 => mail.truncate(at),
        _ => {
            let other = &mails[chance.below(mails.len())];
            let from = chance.below(other.len());
            let piece = other[from..(from + 300).min(other.len())].to_vec();
            mail.splice(at..at, piece);
        }
    }
}

/// xorshift64: the same numbers for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// All mails beneath `tests/mails`.
pub fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mails");
    let entries = fs::read_dir(folder).expect("the corpus is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    paths.sort();
    assert!(paths.len() > 70, "the corpus is {} mails", paths.len());
    paths
}

fn with_line_end(raw: &[u8], end: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = raw.split(|byte| *byte == b'\n').collect();
    let lines = lines.iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.collect::<Vec<_>>().join(end)
}

/// A mail in words. The text comes last, as it is.
fn describe(raw: &[u8]) -> String {
    if let Err(refusal) = mail::scan(raw) {
        return format!("refused: {refusal:?}\n");
    }
    let mail = mail::parse(raw);
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            writeln!(out, "{name}: {value}").expect("a string takes everything");
        }
    };
    line("subject", mail.subject.clone());
    line("from", people(&mail.from));
    line("sender", people(&mail.sender));
    line("reply-to", people(&mail.reply_to));
    line("to", people(&mail.to));
    line("cc", people(&mail.cc));
    let path = mail.return_path.as_ref();
    line(
        "return-path",
        path.map_or(String::new(), |path| path.as_ref().map_or("<>".to_owned(), |a| a.to_string())),
    );
    let id = if mail.message_id_derived { "(derived)".to_owned() } else { mail.message_id.clone() };
    line("message-id", id);
    line("in-reply-to", mail.in_reply_to.join(" "));
    line("references", references(&mail));
    line("date", mail.date.map(|date| date.to_string()).unwrap_or_default());
    mail.attachments.iter().for_each(|attachment| line("attachment", about(raw, attachment)));
    if let Some(report) = &mail.report {
        line("report", about_report(report));
    }
    let oddities: Vec<&str> = mail.oddities.iter().map(|oddity| oddity.label()).collect();
    line("oddities", oddities.join(", "));
    line(
        "html",
        mail.html
            .as_ref()
            .map(|html| format!("{} characters", html.chars().count()))
            .unwrap_or_default(),
    );
    let text: String = mail.text.chars().take(2_000).collect();
    writeln!(out, "\n{text}").expect("a string takes everything");
    out
}

fn people(mailboxes: &[Mailbox]) -> String {
    let one = |mailbox: &Mailbox| {
        let address = mailbox.address.as_ref().map_or("nobody".to_owned(), |a| a.to_string());
        if mailbox.name.is_empty() { address } else { format!("{} <{address}>", mailbox.name) }
    };
    mailboxes.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn references(mail: &Mail) -> String {
    match mail.references.as_slice() {
        [first, .., last] if mail.references.len() > 10 => {
            format!("{first} ... {last} ({})", mail.references.len())
        }
        all => all.join(" "),
    }
}

fn about(raw: &[u8], attachment: &Attachment) -> String {
    let Attachment { index, name, content_type, content_id, inline, bytes } = attachment;
    let content = mail::attachment(raw, *index).expect("it was listed");
    let digest = &mail::Digest::of(&content).hex()[..8];
    let id = content_id.as_ref().map(|id| format!(" cid:{id}")).unwrap_or_default();
    let inline = if *inline { " inline" } else { "" };
    format!("{name} ({content_type}, {bytes} bytes, {digest}){id}{inline}")
}

fn about_report(report: &Report) -> String {
    let mut words = format!("{:?}", report.kind);
    for recipient in &report.recipients {
        let address = recipient.address.as_ref().map_or("nobody".to_owned(), |a| a.to_string());
        write!(words, "; {address} {} {:?}", recipient.status, recipient.diagnostic).expect("fits");
    }
    let id = report.original_message_id.as_deref().unwrap_or("unknown");
    let subject = report.original_subject.as_deref().unwrap_or("unknown");
    format!("{words}; about {id} {subject:?}")
}

/// The Maildir that the quickstart reads holds one mail of each kind a desk meets first.
#[test]
fn quickstart_mails() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/mail/new");
    let entries = fs::read_dir(&folder).expect("the mails are there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let mails: Vec<Mail> = paths
        .iter()
        .map(|path| mail::parse(&fs::read(path).expect("the mail can be read")))
        .collect();
    assert!(mails.len() >= 12);
    for (mail, path) in mails.iter().zip(&paths) {
        assert_eq!(mail.oddities, [], "{}", path.display());
        assert!(!path.to_string_lossy().contains(':'), "{}", path.display());
    }
    let with =
        |subject: &str| mails.iter().find(|mail| mail.subject.contains(subject)).expect("there");
    assert!(with("パスワード").text.contains("再設定"));
    assert!(with("①請求書").text.contains("㈱カスタマーの髙橋"));
    assert_eq!(
        with("Screenshot").attachments[0].content_id.as_deref(),
        Some("shot-1@customer.example")
    );
    assert_eq!(with("Log file").attachments[0].bytes, 2 * 1024 * 1024);
    assert!(with("Undelivered").report.is_some());

    let thread: Vec<&Mail> = mails
        .iter()
        .filter(|mail| mail.subject.ends_with("Printer on floor 3 is offline"))
        .collect();
    let [first, second, third] = thread[..] else { panic!("{} mails", thread.len()) };
    assert_eq!((first.references.len(), first.in_reply_to.len()), (0, 0));
    assert_eq!(second.in_reply_to, [first.message_id.as_str()]);
    assert_eq!(third.in_reply_to, [second.message_id.as_str()]);
    assert_eq!(third.references, [first.message_id.as_str(), second.message_id.as_str()]);

    let account = account(Source::Maildir { path: folder });
    let held_back = |mail: &Mail| judge(&Config::default(), &account, mail).suppression;
    assert_eq!(held_back(with("Out of office")), Some(Suppression::AutoSubmitted));
    assert_eq!(held_back(with("Ten hammers")), Some(Suppression::MailingList));
    assert_eq!(held_back(first), None);
}
