//! Servers that announce wrong sizes or list a message oddly: one message is concerned at most.

use postroom::core::config::{AfterFetch, Security};
use postroom::mailbox::{self, Entry, Fetched, Mailbox, MailboxError};

use super::{Protocol, SECONDS, Safe, mails, work_plainly};
use crate::listing::List;
use crate::server::imap::capabilities;
use crate::server::{Act, Behaviour, Make, Server, endpoint, imap, pop3, say};

const MIB: usize = 1024 * 1024;

/// A mail of so many bytes.
fn mail(bytes: usize) -> String {
    let head = "Subject: large\r\n\r\n";
    format!("{head}{}", "0123456789abcd\r\n".repeat(bytes / 16 + 1))[..bytes].to_owned()
}

/// A server with one mail, which it announces with this size. It answers to pieces.
fn one_mail(announced: &str, mail: String) -> Behaviour {
    let size =
        if announced.is_empty() { String::new() } else { format!("RFC822.SIZE {announced} ") };
    let listing = format!("* 1 FETCH (UID 11 {size}FLAGS ())\r\n%T OK\r\n");
    let whole = format!("* 1 FETCH (UID 11 BODY[] {{{}}}\r\n{mail})\r\n%T OK\r\n", mail.len());
    let piece = move |command: &str| {
        let range = command.split_once('<').unwrap().1.split_once('>').unwrap().0;
        let (offset, length) = range.split_once('.').unwrap();
        let (offset, length) = (offset.parse::<usize>().unwrap(), length.parse::<usize>().unwrap());
        let from = offset.min(mail.len());
        let piece = &mail[from..(from + length).min(mail.len())];
        format!("* 1 FETCH (UID 11 BODY[]<{offset}> {{{}}}\r\n{piece})\r\n%T OK\r\n", piece.len())
    };
    let header = "* 1 FETCH (UID 11 BODY[HEADER]<0> {16}\r\nSubject: large\r\n)\r\n%T OK\r\n";
    imap::proper()
        .but("SELECT", say("* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n%T OK\r\n"))
        .but("FETCH 1:1 ", say(&listing))
        .but("UID FETCH 11 (UID BODY.PEEK[])", say(&whole))
        .but("UID FETCH 11 (UID BODY.PEEK[]<", Make::with(piece))
        .but("UID FETCH 11 (UID BODY.PEEK[HEADER]", say(header))
}

async fn open(server: &Server, protocol: Protocol) -> (Box<dyn Mailbox>, Vec<Entry>) {
    let account = protocol.account(endpoint(server.port, Security::Plain, None));
    let mut mailbox = mailbox::open(&account, &Safe::new().secrets(), None).await.unwrap();
    let entries = mailbox.list().await.unwrap().entries;
    (mailbox, entries)
}

/// As the poller does: a mail that is larger than announced is asked for again.
async fn fetch_all(
    mailbox: &mut dyn Mailbox,
    mut entries: Vec<Entry>,
    max: u64,
) -> Result<Vec<Fetched>, MailboxError> {
    let mut fetched = mailbox.fetch(&entries, max).await?;
    for (entry, fetched) in entries.iter_mut().zip(&mut fetched) {
        while let Fetched::Larger { size_bytes } = fetched {
            assert!(size_bytes.is_none_or(|size| Some(size) > entry.size_bytes), "no progress");
            entry.size_bytes = *size_bytes;
            *fetched = mailbox.fetch(std::slice::from_ref(entry), max).await?.remove(0);
        }
    }
    Ok(fetched)
}

#[tokio::test]
async fn imap_mail_is_taken_whole_whatever_was_announced() {
    for bytes in [18, 2_000, MIB - 1, MIB, MIB + 1, 3 * MIB + 5] {
        let mail = mail(bytes);
        for announced in [
            "0",
            "1",
            "500",
            "900000",
            "1048576",
            "1048577",
            "5000000",
            "NIL",
            "99999999999999",
            "",
        ] {
            let server = one_mail(announced, mail.clone()).start().await;
            let (mut mailbox, entries) = open(&server, Protocol::Imap).await;
            let fetched = fetch_all(mailbox.as_mut(), entries, 8 * MIB as u64).await.unwrap();
            let whole = fetched == [Fetched::Mail(mail.clone().into_bytes())];
            assert!(whole, "{bytes} bytes announced as {announced:?}");
            // The session goes on for the others.
            mailbox.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn imap_mail_over_the_limit_is_oversize_whatever_was_announced() {
    for (bytes, max) in [(2_000, 1_000), (MIB + 7, MIB), (3 * MIB, 2 * MIB), (900_000, 100_000)] {
        for announced in ["0", "900", "99999999", "NIL"] {
            let server = one_mail(announced, mail(bytes)).start().await;
            let (mut mailbox, entries) = open(&server, Protocol::Imap).await;
            let fetched = fetch_all(mailbox.as_mut(), entries, max as u64).await.unwrap();
            let header = b"Subject: large\r\n".to_vec();
            let [Fetched::Oversize { header: found, size_bytes }] = &fetched[..] else {
                panic!("{bytes} bytes announced as {announced:?}: {} answers", fetched.len());
            };
            assert_eq!(found, &header);
            assert!(*size_bytes > max as u64, "{size_bytes}");
        }
    }
}

#[tokio::test]
async fn imap_literal_without_end_ends_the_session_and_takes_no_memory() {
    let large = vec![
        Act::Say("* 1 FETCH (UID 11 BODY[] {60000000}\r\n".into()),
        Act::Repeat(b"0123456789abcdef0123456789abcdef"),
    ];
    // Sixty megabytes are read past; what follows them is no answer.
    let behaviour = one_mail("20", mail(20)).but("UID FETCH 11 (UID BODY.PEEK[])", large);
    let server = behaviour.start().await;
    let (mut mailbox, entries) = open(&server, Protocol::Imap).await;
    let error = mailbox.fetch(&entries, 8 * MIB as u64).await.unwrap_err();
    assert_eq!(error.label(), "protocol");
}

#[tokio::test]
async fn imap_many_understated_mails_are_kept_only_as_far_as_there_is_room() {
    let count = 64;
    let body = mail(MIB - 10);
    let listing: String =
        (1..=count).map(|n| format!("* {n} FETCH (UID {n} RFC822.SIZE 0)\r\n")).collect();
    let text = body.clone();
    let bodies = move |command: &str| {
        let set = command.split(' ').nth(2).unwrap();
        let (from, to) = set.split_once(':').unwrap_or((set, set));
        let uids = from.parse::<u32>().unwrap()..=to.parse::<u32>().unwrap();
        let one = |n| format!("* {n} FETCH (UID {n} BODY[] {{{}}}\r\n{text})\r\n", text.len());
        uids.map(one).collect::<String>() + "%T OK\r\n"
    };
    let server = imap::proper()
        .but("SELECT", say("* 64 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n%T OK\r\n"))
        .but("FETCH 1:", say(&format!("{listing}%T OK\r\n")))
        .but("UID FETCH ", Make::with(bodies))
        .start()
        .await;
    let (mut mailbox, entries) = open(&server, Protocol::Imap).await;
    let fetched = mailbox.fetch(&entries, 8 * MIB as u64).await.unwrap();
    let kept = fetched.iter().filter(|one| matches!(one, Fetched::Mail(_))).count();
    assert_eq!((kept, fetched.len()), (0, count));
    let larger = Fetched::Larger { size_bytes: Some(body.len() as u64) };
    assert!(fetched.iter().all(|one| *one == larger));
    let fetched = fetch_all(mailbox.as_mut(), entries, 8 * MIB as u64).await.unwrap();
    assert!(fetched.iter().all(|one| *one == Fetched::Mail(body.clone().into_bytes())));
}

#[tokio::test]
async fn imap_short_piece_in_the_middle_is_no_end() {
    // The server gives half of what is asked for, and announces the truth.
    let text = mail(2 * MIB);
    let given = text.clone();
    let short = move |command: &str| {
        let offset = command.split_once('<').unwrap().1.split_once('.').unwrap().0;
        let from = offset.parse::<usize>().unwrap().min(given.len());
        let piece = &given[from..(from + MIB / 2).min(given.len())];
        format!("* 1 FETCH (UID 11 BODY[]<{offset}> {{{}}}\r\n{piece})\r\n%T OK\r\n", piece.len())
    };
    let behaviour = one_mail("2097152", text.clone());
    let server = behaviour.but("UID FETCH 11 (UID BODY.PEEK[]<", Make::with(short)).start().await;
    let (mut mailbox, entries) = open(&server, Protocol::Imap).await;
    let fetched = mailbox.fetch(&entries, 8 * MIB as u64).await.unwrap();
    assert!(fetched == [Fetched::Mail(text.into_bytes())]);
}

#[tokio::test]
async fn imap_refusal_in_the_middle_gives_no_half_mail() {
    let first = format!("* 1 FETCH (UID 11 BODY[]<0> {{{MIB}}}\r\n{})\r\n%T OK\r\n", mail(MIB));
    for second in [
        "%T NO [SERVERBUG] disk\r\n",
        "%T OK\r\n",
        "* 1 FETCH (UID 11 BODY[]<1048576> NIL)\r\n%T OK\r\n",
    ] {
        let server = one_mail("3000000", mail(3_000_000))
            .but("UID FETCH 11 (UID BODY.PEEK[]<1048576.", say(second))
            .but("UID FETCH 11 (UID BODY.PEEK[]<0.", say(&first))
            .start()
            .await;
        let (mut mailbox, entries) = open(&server, Protocol::Imap).await;
        let fetched = mailbox.fetch(&entries, 8 * MIB as u64).await.unwrap();
        assert_eq!(fetched, [Fetched::Missing], "{second}");
    }
}

/// Pop3 with one mail announced so.
fn one_pop3(list: &str, mail: &str) -> Behaviour {
    pop3::proper()
        .but("LIST", say(&format!("+OK\r\n{list}.\r\n")))
        .but("UIDL", say("+OK\r\n1 id-one\r\n.\r\n"))
        .but("RETR 1", say(&format!("+OK\r\n{mail}\r\n.\r\n")))
        .but("TOP", say("+OK\r\nSubject: large\r\n.\r\n"))
}

const LISTS: [&str; 8] = [
    "1 0\r\n",
    "1 1\r\n",
    "1 4096\r\n",
    "1 7000000\r\n",
    "1 -5\r\n",
    "1 99999999999999999999999\r\n",
    "1\r\n",
    "",
];

#[tokio::test]
async fn pop3_mail_is_taken_whole_whatever_was_announced() {
    for bytes in [18, 2_000, 3 * MIB] {
        let mail = mail(bytes);
        for list in LISTS {
            let server = one_pop3(list, &mail).start().await;
            let (mut mailbox, entries) = open(&server, Protocol::Pop3).await;
            let fetched = fetch_all(mailbox.as_mut(), entries, 8 * MIB as u64).await.unwrap();
            let whole = fetched == [Fetched::Mail(format!("{mail}\r\n").into_bytes())];
            assert!(whole, "{bytes} bytes announced as {list:?}");
            mailbox.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn pop3_mail_over_the_limit_is_oversize_whatever_was_announced() {
    for list in LISTS {
        let server = one_pop3(list, &mail(3 * MIB)).start().await;
        let (mut mailbox, entries) = open(&server, Protocol::Pop3).await;
        let fetched = fetch_all(mailbox.as_mut(), entries, 2 * MIB as u64).await.unwrap();
        let header = b"Subject: large\r\n".to_vec();
        assert!(
            matches!(&fetched[..], [Fetched::Oversize { header: found, size_bytes }]
                if *found == header && *size_bytes > 2 * MIB as u64),
            "{list:?}"
        );
        mailbox.close().await.unwrap();
    }
}

#[tokio::test]
async fn pop3_message_that_does_not_end_is_named_in_the_error() {
    let endless =
        vec![Act::Say("+OK\r\n".into()), Act::Repeat(b"0123456789abcdef0123456789abcd\r\n")];
    let server = one_pop3("1 100\r\n", "").but("RETR 1", endless).start().await;
    let (mut mailbox, entries) = open(&server, Protocol::Pop3).await;
    let error = mailbox.fetch(&entries, MIB as u64).await.unwrap_err();
    let MailboxError::TooLong { location, at_least } = &error else { panic!("{error}") };
    assert_eq!(location, &entries[0].location);
    assert!(*at_least > MIB as u64);
}

#[tokio::test]
async fn pop3_lines_that_are_odd_concern_one_message() {
    let long = format!("1 {}\r\n", "u".repeat(513));
    for odd in [
        "",
        "1\r\n",
        "1 \r\n",
        "x id-one\r\n",
        "0 id-one\r\n",
        "4294967297 id\r\n",
        "\u{1}\r\n",
        &long,
    ] {
        let listing = format!("+OK\r\n{odd}2 id-two\r\n.\r\n");
        let server = pop3::proper().but("UIDL", say(&listing)).start().await;
        // "UIDL 1" and "UIDL 2" are asked for at the deletion.
        server
            .now(pop3::proper().but("UIDL", say(&listing)).but("UIDL 2", say("+OK 2 id-two\r\n")));
        let (mut mailbox, entries) = open(&server, Protocol::Pop3).await;
        assert!(!mailbox.is_complete(), "{odd:?}");
        let fetched = mailbox.fetch(&entries, MIB as u64).await.unwrap();
        let second = Fetched::Mail(pop3::MAILS[1].as_bytes().to_vec());
        assert_eq!(fetched, [second, Fetched::Missing], "{odd:?}");
        mailbox.done(&entries, &AfterFetch::Delete).await.unwrap();
        mailbox.close().await.unwrap();
        let heard = server.heard().plain;
        assert!(heard.contains("DELE 2\r\n") && !heard.contains("DELE 1"), "{heard}");
    }
}

/// The second of two messages is listed properly, the first one so; it can still be fetched.
async fn check_listed(first: &str) {
    let listing = format!("{first}* 2 FETCH (UID 12 RFC822.SIZE 22 FLAGS ())\r\n%T OK\r\n");
    let again = "* 1 FETCH (UID 11 FLAGS ())\r\n%T OK\r\n";
    let piece = format!("* 1 FETCH (UID 11 BODY[]<0> {{19}}\r\n{})\r\n%T OK\r\n", imap::MAILS[0]);
    let behaviour = imap::proper()
        .but("FETCH 1:2 ", say(&listing))
        .but("FETCH 1 (UID FLAGS)", say(again))
        .but("UID FETCH 11 (UID BODY.PEEK[]<0.", say(&piece))
        .but(
            "UID FETCH 11 (UID BODY.PEEK[]<19.",
            say("* 1 FETCH (UID 11 BODY[]<19> \"\")\r\n%T OK\r\n"),
        );
    let fetched = work_plainly(Protocol::Imap, behaviour, SECONDS).await.unwrap();
    assert_eq!(fetched, mails(imap::MAILS), "{first:?}");
}

#[tokio::test]
async fn imap_message_that_is_listed_oddly_is_taken_with_the_others() {
    for first in [
        "",
        "* 1 FETCH (UID 11 FLAGS ())\r\n",
        "* 1 FETCH (UID 11 RFC822.SIZE NIL FLAGS NIL INTERNALDATE NIL)\r\n",
        "* 1 FETCH (INTERNALDATE NIL UID 11)\r\n",
        "* 1 FETCH (UID 11 RFC822.SIZE 99999999999999)\r\n",
        "* 1 FETCH (UID 11 RFC822.SIZE 99999999999999999999999999999)\r\n",
        "* 1 FETCH (UID 11 RFC822.SIZE twelve X-ODD (((\"a\" NIL) {3}\r\n\r\n\r))))\r\n",
        "* 1 FETCH (UID 99999999999 RFC822.SIZE 19)\r\n",
        "* 1 FETCH (UID 0 RFC822.SIZE 19)\r\n",
        "* 1 FETCH (UID NIL)\r\n",
        "* 1 FETCH (FLAGS ())\r\n",
        "* 1 FETCH (((\r\n",
        "* 1 FETCH ()\r\n",
        "* 1 FETCH NIL\r\n",
        "* 99999999999999999999 FETCH (UID 11)\r\n",
        "* ID (\"name\" NIL \"x\" {1}\r\n",
        "* METADATA \"\" (/private/\u{e9} NIL)\r\n",
        "* SURPRISE\r\n* 7 RECENT\r\n",
    ] {
        check_listed(first).await;
    }
}

#[tokio::test]
async fn imap_message_without_uid_keeps_no_other_from_us_and_is_not_believed_gone() {
    let two = "* 2 FETCH (UID 12 RFC822.SIZE 22 FLAGS ())\r\n%T OK\r\n";
    for again in
        ["%T OK\r\n", "%T NO cannot\r\n", "%T BAD what?\r\n", "* 1 FETCH (UID NIL)\r\n%T OK\r\n"]
    {
        let body = format!("* 2 FETCH (UID 12 BODY[] {{22}}\r\n{})\r\n%T OK\r\n", imap::MAILS[1]);
        let server = imap::proper()
            .but("FETCH 1:2 ", say(two))
            .but("FETCH 1 (UID FLAGS)", say(again))
            .but("UID FETCH 12 ", say(&body))
            .start()
            .await;
        let (mut mailbox, entries) = open(&server, Protocol::Imap).await;
        let names: Vec<&str> = entries.iter().map(|entry| entry.location.0.as_str()).collect();
        assert_eq!(names, ["INBOX;7;12", "INBOX;7;unlisted-1"]);
        assert_eq!(entries[1].location.numbered(), None);
        assert!(!mailbox.is_complete());
        let fetched = mailbox.fetch(&entries, MIB as u64).await.unwrap();
        let second = Fetched::Mail(imap::MAILS[1].as_bytes().to_vec());
        assert_eq!(fetched, [second, Fetched::Missing]);
        mailbox.done(&entries, &AfterFetch::Delete).await.unwrap();
        let heard = server.heard().plain;
        assert!(heard.contains("UID EXPUNGE 12\r\n"), "{heard}");
    }
}

#[tokio::test]
async fn imap_body_without_uid_is_not_given() {
    let [one, two] = imap::MAILS;
    for uid in ["", "UID NIL ", "UID 99999999999 "] {
        let bodies = format!(
            "* 1 FETCH ({uid}BODY[] {{{}}}\r\n{one})\r\n\
             * 2 FETCH (UID 12 INTERNALDATE NIL BODY[] {{{}}}\r\n{two})\r\n%T OK\r\n",
            one.len(),
            two.len()
        );
        let behaviour = imap::proper().but("UID FETCH 11:12", say(&bodies));
        let fetched = work_plainly(Protocol::Imap, behaviour, SECONDS).await.unwrap();
        assert_eq!(fetched, [Fetched::Missing, Fetched::Mail(two.as_bytes().to_vec())]);
    }
}

#[tokio::test]
async fn imap_odd_answers_at_each_command_cost_no_session() {
    let odd = "* ID NIL\r\n* ID (\"a\" NIL)\r\n* METADATA x (/shared/\u{e9} NIL)\r\n* VANISHED x\r\n\
               * 1 FETCH (INTERNALDATE NIL)\r\n* STATUS (\r\n* OK [BADCHARSET ({5}] x\r\n\
               * OK [UIDNEXT 99999999999] x\r\n* OK\r\n* 5 RECENT\r\n* FLAGS NIL\r\n* SEARCH x\r\n";
    for command in
        ["CAPABILITY", "LOGIN", "SELECT", "NOOP", "FETCH 1:", "UID FETCH 11:12", "UID STORE"]
    {
        let proper = imap::proper();
        let (_, acts) = proper.answers.iter().find(|(known, _)| *known == command).unwrap();
        let acts = [say(odd), acts.clone()].concat();
        let fetched = work_plainly(Protocol::Imap, proper.but(command, acts), SECONDS).await;
        assert_eq!(fetched.unwrap(), mails(imap::MAILS), "{command}");
    }
}

#[tokio::test]
async fn imap_without_uidplus_removes_only_when_all_marked_are_ours() {
    for (marked, removed) in [
        ("* SEARCH 11 12\r\n%T OK\r\n", true),
        ("* SEARCH 12\r\n%T OK\r\n", true),
        ("* SEARCH 11 12 13\r\n%T OK\r\n", false),
        ("* SEARCH 11 12 x\r\n%T OK\r\n", false),
        ("* SEARCH 99999999999\r\n%T OK\r\n", false),
        ("%T OK\r\n", false),
        ("%T NO\r\n", false),
        ("%T BAD\r\n", false),
    ] {
        for after in [AfterFetch::Delete, AfterFetch::Move("Done".into())] {
            let behaviour = imap::with_folders("").but("UID SEARCH DELETED", say(marked));
            let server = behaviour.but("CAPABILITY", capabilities("")).start().await;
            let (mut mailbox, entries) = open(&server, Protocol::Imap).await;
            mailbox.done(&entries, &after).await.unwrap();
            let heard = server.heard().plain;
            assert_eq!(heard.contains(" EXPUNGE\r\n"), removed, "{marked}: {heard}");
            assert!(heard.contains("UID STORE 11:12 +FLAGS.SILENT (\\Deleted)"), "{heard}");
            assert_eq!(mailbox.leaves_marked(), !removed, "{marked}");
        }
    }
}

/// POP3 as RFC 1939 requires it and no more.
fn minimal() -> Behaviour {
    pop3::proper()
        .but("CAPA", say("-ERR what?\r\n"))
        .but("UIDL", say("-ERR what?\r\n"))
        .but("TOP", say("-ERR what?\r\n"))
}

#[tokio::test]
async fn pop3_without_uidl_deletes_by_number_in_its_session() {
    for capa in ["-ERR what?\r\n", "+OK\r\nTOP\r\nPIPELINING\r\n.\r\n"] {
        let server = minimal().but("CAPA", say(capa)).start().await;
        let (mut mailbox, entries) = open(&server, Protocol::Pop3).await;
        assert!(mailbox.names_end().unwrap().contains("afterFetch: delete"));
        let fetched = mailbox.fetch(&entries, MIB as u64).await.unwrap();
        assert_eq!(fetched, mails(pop3::MAILS));
        mailbox.done(&entries, &AfterFetch::Delete).await.unwrap();
        mailbox.close().await.unwrap();
        let heard = server.heard().plain;
        assert!(heard.contains("DELE 1\r\n") && heard.contains("DELE 2\r\n"), "{heard}");
        let (mut again, others) = open(&server, Protocol::Pop3).await;
        assert!(others.iter().all(|entry| !entries.contains(entry)));
        again.close().await.unwrap();
    }
    // A server that knows it and refuses it now has another trouble.
    let refused = minimal().but("CAPA", say("+OK\r\nUIDL\r\n.\r\n"));
    let error = work_plainly(Protocol::Pop3, refused, SECONDS).await.unwrap_err();
    assert_eq!(error.label(), "refused");
}

#[tokio::test]
async fn message_that_drips_beyond_its_size_is_given_up_and_known_to_be_larger() {
    let much = "0123456789abcd\r\n".repeat(64);
    let drip = |head: &str| vec![Act::Say(format!("{head}{much}")), Act::Drip(b'x')];
    let literal = "* 1 FETCH (UID 11 BODY[] {3000000}\r\n";
    let dripping = [
        (
            Protocol::Imap,
            one_mail("20", mail(20)).but("UID FETCH 11 (UID BODY.PEEK[])", drip(literal)),
            MIB as u64 + 1,
        ),
        (Protocol::Pop3, one_pop3("1 20\r\n", "").but("RETR 1", drip("+OK\r\n")), 1024),
    ];
    for (protocol, behaviour, least) in dripping {
        let server = behaviour.start().await;
        let mut endpoint = endpoint(server.port, Security::Plain, None);
        endpoint.timeout = std::time::Duration::from_millis(500);
        let account = protocol.account(endpoint);
        let mut mailbox = mailbox::open(&account, &Safe::new().secrets(), None).await.unwrap();
        let entries = mailbox.list().await.unwrap().entries;
        let error = mailbox.fetch(&entries, 512).await.unwrap_err();
        let MailboxError::TooLong { at_least, .. } = error else { panic!("{error}") };
        assert!(at_least >= least, "{at_least}");
    }
}
