//! Answers of IMAP and POP3 servers, changed at random: nothing panics, everything ends, no more is
//! kept than there is room for, and nothing is removed but what the caller says is safe.
//!
//! `POSTROOM_FUZZ_SECONDS` says how long each protocol is tried, `POSTROOM_FUZZ_SEED` where the
//! sequence begins. A failure names the seed that repeats it alone.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use postroom::core::config::{Account, AfterFetch, Security, Text};
use postroom::mailbox::{self, Fetched, MailboxError, Scope};
use postroom::secret::Secrets;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::{Protocol, Safe};
use crate::server::endpoint;

/// Bytes that one mail may have here.
const MAX_SIZE_BYTES: u64 = 64 * 1024;
/// Virtual time within which every session ends.
const SESSION_AT_MOST: Duration = Duration::from_secs(24 * 3_600);
const PAGES_MAX: usize = 20;

/// What a server says to commands that begin so; `%T` is the tag. The first that fits counts.
type Script = Vec<(&'static str, Vec<u8>)>;

/// Numbers that follow from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Words that servers are known to say, and some that none should.
const TOKENS: [&[u8]; 40] = [
    b"NIL",
    b"(",
    b")",
    b"((((",
    b"{",
    b"}",
    b"{0}\r\n",
    b"{5}\r\n",
    b"{70000}\r\n",
    b"{2000000}\r\n",
    b"{99999999999999999999}\r\n",
    b"\"",
    b"\\",
    b"0",
    b"-1",
    b"4294967295",
    b"4294967296",
    b"99999999999999999999",
    b"UID",
    b"UID 11",
    b"RFC822.SIZE",
    b"FLAGS (\\Seen)",
    b"INTERNALDATE NIL",
    b"BODY[]",
    b"BODY[]<0>",
    b"BODY[] NIL",
    b"MODSEQ (1)",
    b"* 1 FETCH",
    b"* 2 EXPUNGE",
    b"* 9 EXISTS",
    b"* ID (\"a\" NIL)",
    b"* METADATA \"\" (/private/\xff \"x\")",
    b"* BYE",
    b"\r\n",
    b"\n",
    b"\0",
    b"\xff",
    b".",
    b"..",
    b"+OK",
];

fn mutate(text: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.below(4) {
        let at = dice.below(text.len() + 1);
        match dice.below(8) {
            // Bytes.
            0 if at < text.len() => text[at] = dice.next() as u8,
            1 => text.insert(at, dice.next() as u8),
            2 => {
                let end = (at + dice.below(6)).min(text.len());
                text.drain(at..end);
            }
            // Tokens, where one begins.
            3 | 4 => {
                let start =
                    text[..at].iter().rposition(|b| b" ()".contains(b)).map_or(0, |at| at + 1);
                let length = text[start..].iter().position(|b| b" ()\r".contains(b));
                let end = if dice.below(2) == 0 { start } else { start + length.unwrap_or(0) };
                let mut token = dice.of(&TOKENS).to_vec();
                token.push(b' ');
                text.splice(start..end, token);
            }
            // Lines.
            5 => {
                let lines: Vec<Vec<u8>> =
                    text.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
                if !lines.is_empty() {
                    let line = dice.of(&lines).clone();
                    let before: usize = lines[..dice.below(lines.len())].iter().map(Vec::len).sum();
                    text.splice(before..before, line);
                }
            }
            6 => {
                let lines: Vec<Vec<u8>> =
                    text.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
                let gone = dice.below(lines.len());
                *text = lines
                    .iter()
                    .enumerate()
                    .filter(|(n, _)| *n != gone)
                    .flat_map(|(_, line)| line.clone())
                    .collect();
            }
            _ => text.truncate(at),
        }
    }
}

const MAIL: &str = "Message-ID: <1@x>\r\nSubject: one\r\n\r\n.1\r\n";

/// IMAP as these kinds of servers speak it: capabilities, and the line of a listing.
fn imap_scripts() -> Vec<Script> {
    let kinds = [
        // Dovecot, Cyrus, Courier, Exchange, Gmail, Domino, hMailServer.
        (
            "IMAP4rev1 SASL-IR LITERAL+ IDLE UIDPLUS MOVE",
            "UID %u RFC822.SIZE %s FLAGS (\\Seen) INTERNALDATE \"17-Jul-2026 02:44:25 +0900\"",
        ),
        (
            "IMAP4rev1 UIDPLUS IDLE X-NETSCAPE AUTH=PLAIN",
            "FLAGS () UID %u INTERNALDATE \" 7-Jul-2026 02:44:25 +0900\" RFC822.SIZE %s",
        ),
        (
            "IMAP4rev1 CHILDREN NAMESPACE THREAD=REFERENCES",
            "UID %u RFC822.SIZE %s FLAGS () INTERNALDATE \"17-Jul-2026 02:44:25 +0000\"",
        ),
        (
            "IMAP4 IMAP4rev1 AUTH=NTLM AUTH=PLAIN UIDPLUS MOVE ID LOGINDISABLED",
            "UID %u RFC822.SIZE 1469 FLAGS (\\Recent) INTERNALDATE \"17-Jul-2026 02:44:25 +0000\"",
        ),
        (
            "IMAP4rev1 UNSELECT IDLE X-GM-EXT-1 MOVE UIDPLUS SASL-IR AUTH=PLAIN",
            "X-GM-MSGID 1278455344230334865 UID %u RFC822.SIZE %s MODSEQ (12121) X-GM-LABELS (\"\\\\Important\") FLAGS () INTERNALDATE \"17-Jul-2026 02:44:25 +0000\"",
        ),
        (
            "IMAP4REV1 MOVE",
            "UID %u INTERNALDATE \"00-Jan-0000 00:00:00 +0000\" FLAGS () RFC822.SIZE %s",
        ),
        (
            "IMAP4 IMAP4rev1 CHILDREN IDLE QUOTA SORT ACL",
            "UID %u INTERNALDATE NIL RFC822.SIZE 0 FLAGS ()",
        ),
    ];
    kinds.iter().map(|(can, line)| imap_script(can, line)).collect()
}

fn imap_script(can: &str, line: &str) -> Script {
    let length = MAIL.len();
    let listed = |number: usize| {
        let line =
            line.replace("%u", &(number + 10).to_string()).replace("%s", &length.to_string());
        format!("* {number} FETCH ({line})\r\n")
    };
    let body = |number: usize, section: &str| {
        format!("* {number} FETCH (UID {} {section} {{{length}}}\r\n{MAIL})\r\n", number + 10)
    };
    let ok = "%T OK [READ-WRITE] done\r\n";
    let bodies = |section: &str| body(1, section) + &body(2, section) + ok;
    let mut script: Script = Vec::new();
    let mut say = |command, text: String| script.push((command, text.into_bytes()));
    say("greeting", format!("* OK [CAPABILITY {can}] ready\r\n"));
    say("CAPABILITY", format!("* CAPABILITY {can}\r\n{ok}"));
    say(
        "SELECT",
        format!(
            "* FLAGS (\\Seen)\r\n* 2 EXISTS\r\n* 0 RECENT\r\n* OK [UNSEEN 1] x\r\n* OK [PERMANENTFLAGS (\\*)] x\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 13] x\r\n{ok}"
        ),
    );
    say("EXAMINE", format!("* 1 EXISTS\r\n* OK [UIDVALIDITY 8] x\r\n{ok}"));
    say("FETCH 1:2", listed(1) + &listed(2) + ok);
    say("FETCH ", format!("* 1 FETCH (UID 11 FLAGS ())\r\n{ok}"));
    say("UID FETCH 11:12 (UID BODY.PEEK[])", bodies("BODY[]"));
    say("UID FETCH 11 (UID BODY.PEEK[]<0", body(1, "BODY[]<0>") + ok);
    say("UID FETCH 12 (UID BODY.PEEK[]<0", body(2, "BODY[]<0>") + ok);
    say("UID FETCH 11 (UID BODY.PEEK[HEADER]", body(1, "BODY[HEADER]<0>") + ok);
    say("UID FETCH 11:12 (UID BODY.PEEK[HEADER", bodies("BODY[HEADER.FIELDS (MESSAGE-ID)]"));
    say("UID FETCH", bodies("BODY[]"));
    say("UID SEARCH DELETED", format!("* SEARCH 11 12\r\n{ok}"));
    say("UID SEARCH", format!("* SEARCH 3\r\n{ok}"));
    say(
        "LIST",
        format!(
            "* LIST (\\HasNoChildren) \"/\" INBOX\r\n* LIST (\\Trash) \"/\" {{9}}\r\nPapierkor\r\n{ok}"
        ),
    );
    say("UID EXPUNGE", format!("* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n{ok}"));
    say("LOGOUT", format!("* BYE\r\n{ok}"));
    say("", ok.to_owned());
    script
}

fn pop3_scripts() -> Vec<Script> {
    let capabilities = [
        "+OK\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nUSER\r\nSASL PLAIN\r\n.\r\n",
        "+OK Capability list follows\r\nTOP\r\nUIDL\r\nLOGIN-DELAY 900 USER\r\n.\r\n",
        "-ERR unknown command\r\n",
    ];
    let listings = ["1 40\r\n2 40\r\n", "1 4096 bytes\r\n2 0\r\n", "2 99999999\r\n"];
    let mut scripts = Vec::new();
    for capability in capabilities {
        for listing in listings {
            let mail = MAIL.replace("\r\n.", "\r\n..");
            let mut script: Script = Vec::new();
            let mut say = |command, text: String| script.push((command, text.into_bytes()));
            say("greeting", "+OK ready <1@x>\r\n".to_owned());
            say("CAPA", capability.to_owned());
            say("LIST", format!("+OK 2 messages\r\n{listing}.\r\n"));
            say("UIDL 1", "+OK 1 id-one\r\n".to_owned());
            say("UIDL 2", "+OK 2 id-two\r\n".to_owned());
            say("UIDL", "+OK\r\n1 id-one\r\n2 id-two\r\n.\r\n".to_owned());
            say("RETR", format!("+OK 40 octets\r\n{mail}.\r\n"));
            say("TOP", "+OK\r\nSubject: one\r\n\r\n.\r\n".to_owned());
            say("", "+OK\r\n".to_owned());
            scripts.push(script);
        }
    }
    scripts
}

/// Serves one session; what it heard.
async fn serve(listener: &TcpListener, script: &Script, tagged: bool) -> Option<Vec<String>> {
    let (stream, _) = listener.accept().await.ok()?;
    let mut stream = BufReader::new(stream);
    let answer = |command: &str| {
        let found =
            script.iter().find(|(begin, _)| *begin != "greeting" && command.starts_with(begin));
        found.map(|(_, text)| text.clone()).unwrap_or_default()
    };
    let mut heard = Vec::new();
    let mut say = script[0].1.clone();
    loop {
        if stream.get_mut().write_all(&say).await.is_err() {
            return Some(heard);
        }
        let mut line = Vec::new();
        match stream.read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            _ => return Some(heard),
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let (tag, command) = match line.split_once(' ') {
            Some((tag, command)) if tagged => (tag.to_owned(), command.to_owned()),
            _ => (String::new(), line.clone()),
        };
        say = answer(&command);
        while let Some(at) = say.windows(2).position(|two| two == b"%T") {
            say.splice(at..at + 2, tag.bytes());
        }
        heard.push(command);
    }
}

/// What the client says is safe, and works through everything with it. An error is an answer.
async fn session(
    account: &Account,
    secrets: &Secrets,
    safe: &mut BTreeSet<u32>,
) -> Result<(), MailboxError> {
    let mut mailbox = mailbox::open(account, secrets, None).await?;
    mailbox.look(Scope::All).await?;
    for _ in 0..PAGES_MAX {
        let page = mailbox.page().await?;
        if page.is_empty() {
            break;
        }
        let held: u64 = page.iter().map(|entry| mailbox::held_bytes(entry, MAX_SIZE_BYTES)).sum();
        let fetched = mailbox.fetch(&page, MAX_SIZE_BYTES).await?;
        assert_eq!(fetched.len(), page.len(), "one answer each");
        let kept: u64 = fetched.iter().map(kept_bytes).sum();
        assert!(kept <= 2 * held + 64 * 1024, "{kept} bytes are kept where {held} are held");
        let mails = page.into_iter().zip(fetched);
        let mails: Vec<_> = mails
            .filter(|(_, fetched)| matches!(fetched, Fetched::Mail(_)))
            .map(|(entry, _)| entry)
            .collect();
        safe.extend(mails.iter().map(|entry| entry.handle));
        mailbox.done(&mails, &account.after_fetch).await?;
    }
    mailbox.close().await
}

fn kept_bytes(fetched: &Fetched) -> u64 {
    match fetched {
        Fetched::Mail(raw) => {
            assert!(raw.len() as u64 <= MAX_SIZE_BYTES);
            raw.len() as u64
        }
        Fetched::Oversize { header, .. } => {
            assert!(header.len() as u64 <= mailbox::HEADER_BYTES_MAX);
            0
        }
        Fetched::Larger { .. } | Fetched::Missing => 0,
    }
}

/// Only what is safe was removed, moved or marked.
fn check_heard(heard: &[String], safe: &BTreeSet<u32>) {
    for command in heard {
        let set = ["UID STORE ", "UID EXPUNGE ", "UID MOVE ", "UID COPY ", "DELE "]
            .iter()
            .find_map(|verb| command.strip_prefix(verb));
        let Some(set) = set.and_then(|rest| rest.split(' ').next()) else { continue };
        for part in set.split(',') {
            let (from, to) = part.split_once(':').unwrap_or((part, part));
            let uids = from.parse::<u32>().unwrap()..=to.parse::<u32>().unwrap();
            assert!(uids.into_iter().all(|uid| safe.contains(&uid)), "{command}: {safe:?}");
        }
    }
}

/// One session; how it ended.
async fn one(protocol: Protocol, seed: u64, scripts: &[Script], secrets: &Secrets) -> &'static str {
    let mut dice = Dice(seed);
    let mut script = dice.of(scripts).clone();
    for _ in 0..=dice.below(2) {
        let index = dice.below(script.len());
        mutate(&mut script[index].1, &mut dice);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut place = endpoint(listener.local_addr().unwrap().port(), Security::Plain, None);
    place.host = Text::Plain("127.0.0.1".into());
    let moves = protocol == Protocol::Imap && dice.below(2) == 0;
    let after = if moves { AfterFetch::Move("Done".into()) } else { AfterFetch::Delete };
    let account = Account { after_fetch: after, ..protocol.account(place) };
    let mut safe = BTreeSet::new();
    let working = async {
        let work = session(&account, secrets, &mut safe);
        let ended = tokio::time::timeout(SESSION_AT_MOST, work).await;
        match ended.expect("a session ends") {
            Ok(()) => "success",
            Err(error) => {
                assert!(!error.to_string().contains("CANARY"), "{error}");
                error.label()
            }
        }
    };
    let both =
        async { tokio::join!(working, serve(&listener, &script, protocol == Protocol::Imap)) };
    match AssertUnwindSafe(both).catch_unwind().await {
        Ok((label, heard)) => {
            check_heard(&heard.unwrap_or_default(), &safe);
            label
        }
        Err(panic) => {
            for (command, text) in &script {
                eprintln!("{command}: {}", text.escape_ascii());
            }
            eprintln!("POSTROOM_FUZZ_SEED={seed} repeats it");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Default for `cargo test`.
const SECONDS: u64 = 3;

async fn fuzz(protocol: Protocol, scripts: Vec<Script>) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("POSTROOM_FUZZ_SEED").unwrap_or(1);
    let within = Duration::from_secs(number("POSTROOM_FUZZ_SECONDS").unwrap_or(SECONDS));
    let safe = Safe::new();
    let secrets = safe.secrets();
    let began = Instant::now();
    tokio::time::pause();
    let (mut seed, mut ends) = (first, BTreeMap::new());
    while began.elapsed() < within {
        *ends.entry(one(protocol, seed, &scripts, &secrets).await).or_insert(0_u64) += 1;
        seed += 1;
    }
    println!("{protocol:?}: {} sessions in {:?}: {ends:?}", seed - first, began.elapsed());
    assert!(ends.contains_key("success"), "no session reached its end: {ends:?}");
}

#[tokio::test]
async fn imap_answers_changed_at_random_do_no_harm() {
    fuzz(Protocol::Imap, imap_scripts()).await;
}

#[tokio::test]
async fn pop3_answers_changed_at_random_do_no_harm() {
    fuzz(Protocol::Pop3, pop3_scripts()).await;
}
