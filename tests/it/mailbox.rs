//! Every way in which a mail server can fail us, each answered by the right error.

mod fuzz;
mod odd;
mod own_certificate;
mod plain;
mod weak;

use std::time::Duration;

use postroom::core::config::{Account, AfterFetch, Endpoint, Login, Security, Source, Text};
use postroom::mailbox::{
    self, Entry, Fetched, Mailbox, MailboxError, PAGE_MAILS_MAX, Scope, Woken,
};
use postroom::secret::Secrets;

use crate::listing::List;
use crate::server::certificates::Authority;
use crate::server::imap::capabilities;
use crate::server::{Act, Behaviour, PASSWORD, Server, account, endpoint, imap, login, pop3, say};

/// Secrets directory with the password every server here accepts.
struct Safe(tempfile::TempDir);

impl Safe {
    fn new() -> Safe {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("password"), PASSWORD).unwrap();
        Safe(directory)
    }

    fn secrets(&self) -> Secrets {
        Secrets { directory: Some(self.0.path().to_owned()) }
    }
}

/// Which of the two protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Imap,
    Pop3,
}

impl Protocol {
    fn proper(self) -> Behaviour {
        match self {
            Protocol::Imap => imap::proper(),
            Protocol::Pop3 => pop3::proper(),
        }
    }

    fn account(self, endpoint: Endpoint) -> Account {
        let login = login("desk@example.com");
        let source = match self {
            Protocol::Imap => Source::Imap { endpoint, login, folder: "INBOX".into() },
            Protocol::Pop3 => Source::Pop3 { endpoint, login },
        };
        Account { after_fetch: AfterFetch::Delete, ..account(source) }
    }
}

/// Everything a poller does in one session.
async fn work(account: &Account, secrets: &Secrets) -> Result<Vec<Fetched>, MailboxError> {
    let mut mailbox = mailbox::open(account, secrets, None).await?;
    let listing = mailbox.list().await?;
    let fetched = mailbox.fetch(&listing.entries, 1024 * 1024).await?;
    mailbox.done(&listing.entries, &account.after_fetch).await?;
    if mailbox.can_wait() {
        mailbox.wait(Duration::from_secs(20)).await?;
    }
    mailbox.close().await?;
    Ok(fetched)
}

/// Works with a server in plain text.
async fn work_plainly(
    protocol: Protocol,
    behaviour: Behaviour,
    timeout: Duration,
) -> Result<Vec<Fetched>, MailboxError> {
    let server = behaviour.start().await;
    work_with(&server, protocol, AfterFetch::Delete, timeout).await
}

/// The same with a server that runs; the password is in no error.
async fn work_with(
    server: &Server,
    protocol: Protocol,
    after_fetch: AfterFetch,
    timeout: Duration,
) -> Result<Vec<Fetched>, MailboxError> {
    let mut endpoint = endpoint(server.port, Security::Plain, None);
    endpoint.timeout = timeout;
    let account = Account { after_fetch, ..protocol.account(endpoint) };
    let result = work(&account, &Safe::new().secrets()).await;
    if let Err(error) = &result {
        let (shown, debug) = (error.to_string(), format!("{error:?}"));
        assert!(!shown.contains("CANARY") && !debug.contains("CANARY"), "{shown}");
        assert!(shown.len() < 600, "{} bytes", shown.len());
    }
    result
}

/// With this answer to this command, the work ends with this error.
#[track_caller]
fn check(
    protocol: Protocol,
    command: &'static str,
    acts: Vec<Act>,
    label: &str,
) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    let label = label.to_owned();
    async move {
        let timeout = if label == "timeout" { 400 } else { 20_000 };
        let behaviour = protocol.proper().but(command, acts.clone());
        let result = work_plainly(protocol, behaviour, Duration::from_millis(timeout)).await;
        let found = result.as_ref().map_or_else(MailboxError::label, |_| "nothing");
        assert_eq!(found, label, "{place}: {command} answered by {acts:?}: {result:?}");
    }
}

/// A way in which mails leave their folder.
struct Way {
    /// What the server can.
    offered: &'static str,
    /// What becomes of the mails.
    after: AfterFetch,
    /// What is said on that way and not on the ways before.
    commands: &'static [&'static str],
}

/// Together they say everything that we say to an IMAP server in plain text.
fn ways() -> [Way; 6] {
    let way = |offered, after, commands| Way { offered, after, commands };
    let done = || AfterFetch::Move("Done".into());
    [
        way("UIDPLUS MOVE IDLE", AfterFetch::Delete, &imap::SESSION),
        way("MOVE", AfterFetch::Delete, &["LIST", "UID MOVE"]),
        way("UIDPLUS MOVE", done(), &["UID MOVE"]),
        way("UIDPLUS", done(), &imap::COPY),
        way("", done(), imap::COPY.split_last().unwrap().1),
        way("", AfterFetch::Delete, &imap::REMOVE),
    ]
}

/// With this answer to this command on this way, the work ends with this error. After the fault
/// nothing more is said: nothing is copied, marked or removed.
#[track_caller]
fn check_way(
    way: &Way,
    command: &'static str,
    acts: Vec<Act>,
    label: &'static str,
) -> impl Future<Output = ()> + Send + use<> {
    let place = std::panic::Location::caller();
    let (offered, after) = (way.offered, way.after.clone());
    async move {
        let timeout = Duration::from_millis(if label == "timeout" { 400 } else { 20_000 });
        let server = imap::fault(offered, command, acts.clone()).start().await;
        let result = work_with(&server, Protocol::Imap, after, timeout).await;
        let found = result.as_ref().map_or_else(MailboxError::label, |_| "nothing");
        let words = format!("{place}: {offered:?}: {command} answered by {acts:?}: {result:?}");
        assert_eq!(found, label, "{words}");
        // A busy machine may be too late at an earlier command.
        if !["nothing", "timeout"].contains(&label) {
            let heard = server.heard().plain;
            // A refused folder is looked for, and made where it is missing.
            let looks = ["LIST ", "CREATE ", "SELECT "];
            let commands =
                heard.lines().map(|line| line.split_once(' ').map_or(line, |(_, rest)| rest));
            let last = commands
                .rev()
                .find(|line| {
                    named_by(command, line) || !looks.iter().any(|it| line.starts_with(it))
                })
                .unwrap_or_default();
            assert_eq!(heard.is_empty(), command == "greeting", "{words}: {heard}");
            assert!(named_by(command, last), "{words}: {heard}");
        }
    }
}

/// Whether this is the command that is answered oddly.
fn named_by(command: &str, line: &str) -> bool {
    line.starts_with(match command {
        "greeting" => "",
        imap::SELECT_AGAIN => "SELECT",
        other => other,
    })
}

/// The label of a refusal of this command.
fn refusal(command: &str) -> &'static str {
    match command {
        // Nothing is right in a session whose own folder does not open again.
        imap::SELECT_AGAIN => "folder",
        _ => "refused",
    }
}

/// The label of an end of the connection at this command.
fn end(command: &str) -> &'static str {
    // Whoever said goodbye has nothing to lose.
    if command == "LOGOUT" { "nothing" } else { "lost" }
}

fn mails(mails: [&str; 2]) -> Vec<Fetched> {
    mails.iter().map(|mail| Fetched::Mail(mail.as_bytes().to_vec())).collect()
}

const SECONDS: Duration = Duration::from_secs(20);
const POP3: [&str; 9] = ["CAPA", "USER", "PASS", "LIST", "UIDL", "UIDL 1", "RETR", "DELE", "QUIT"];

#[tokio::test]
async fn a_proper_imap_server() {
    let fetched = work_plainly(Protocol::Imap, imap::proper(), SECONDS).await.unwrap();
    assert_eq!(fetched, mails(imap::MAILS));
}

#[tokio::test]
async fn a_proper_pop3_server() {
    let fetched = work_plainly(Protocol::Pop3, pop3::proper(), SECONDS).await.unwrap();
    assert_eq!(fetched, mails(pop3::MAILS));
}

#[tokio::test]
async fn imap_says_on_each_way_what_is_tried_below() {
    for way in ways() {
        let server = imap::with_folders(way.offered).start().await;
        let worked = work_with(&server, Protocol::Imap, way.after.clone(), SECONDS).await;
        assert_eq!(worked.unwrap(), mails(imap::MAILS));
        let heard = server.heard().plain;
        let mut said: Vec<&str> = heard.lines().collect();
        said.iter_mut().for_each(|line| *line = line.split_once(' ').map_or(*line, |(_, it)| it));
        let known = |line: &&str| {
            let commands = imap::SESSION.iter().chain(&imap::REMOVE).chain(way.commands);
            commands.copied().any(|command| line.starts_with(command))
        };
        assert_eq!(said.iter().find(|line| !known(line)), None, "{:?}: {heard}", way.offered);
        for command in way.commands {
            let (name, times) = match *command {
                imap::SELECT_AGAIN => ("SELECT", 2),
                name => (name, 1),
            };
            let found = said.iter().filter(|line| line.starts_with(name)).count();
            assert!(found >= times, "{:?}: {command}: {heard}", way.offered);
        }
    }
}

#[tokio::test]
async fn imap_no_and_bad_to_each_command() {
    for way in ways() {
        for command in way.commands {
            let (no, bad) = match *command {
                "LOGIN" => ("login", "refused"),
                // Whose the marked messages are is not known: they stay.
                "UID SEARCH DELETED" => ("nothing", "nothing"),
                other => (refusal(other), refusal(other)),
            };
            check_way(&way, command, say("%T NO not now\r\n"), no).await;
            check_way(&way, command, say("%T BAD what?\r\n"), bad).await;
            check_way(&way, command, say("%T NO\r\n"), no).await;
        }
    }
}

#[tokio::test]
async fn imap_goodbye_and_cut_at_each_command() {
    let with_greeting = |way: &Way| way.commands.contains(&"LOGIN").then_some(&"greeting");
    for way in ways() {
        for command in way.commands.iter().chain(with_greeting(&way)) {
            let goodbye = vec![Act::Say("* BYE shutting down\r\n".into()), Act::Close];
            check_way(&way, command, goodbye, end(command)).await;
            check_way(&way, command, vec![Act::Close], end(command)).await;
            let half = vec![Act::Say("* 1 FETCH (UI".into()), Act::Close];
            check_way(&way, command, half, end(command)).await;
        }
    }
}

#[tokio::test]
async fn imap_nonsense_at_each_command() {
    let deep = "(".repeat(100_000);
    let bomb = format!("* 1 FETCH (BODYSTRUCTURE {deep}\r\n");
    let later = format!("* OK {{900000}}\r\n{bomb}");
    let large = "* 1 FETCH (UID 11 BODY[] {400000000}\r\nabc";
    let huge = "* 1 FETCH (UID 11 BODY[] {99999999999999999999}\r\nabc";
    for way in ways() {
        for command in way.commands {
            check_way(&way, command, say("A999 OK done\r\n"), "protocol").await;
            check_way(&way, command, say("HTTP/1.1 400 Bad Request\r\n"), "protocol").await;
            check_way(&way, command, say(&bomb), "protocol").await;
            check_way(&way, command, say(&later), "protocol").await;
            check_way(&way, command, say(large), "protocol").await;
            check_way(&way, command, say(huge), "protocol").await;
            let endless = vec![Act::Repeat(b"xxxxxxxxxxxxxxxx")];
            check_way(&way, command, endless, "protocol").await;
            check_way(&way, command, vec![Act::Repeat(b"* OK wait\r\n")], "protocol").await;
        }
    }
}

#[tokio::test]
async fn imap_silence_and_dripping_at_each_command() {
    let mut waiting = tokio::task::JoinSet::new();
    for way in ways() {
        for command in way.commands {
            // IDLE may be silent, but must have begun.
            waiting.spawn(check_way(&way, command, vec![Act::Hang], "timeout"));
            let dripping = vec![Act::Say("* OK ".into()), Act::Drip(b'x')];
            waiting.spawn(check_way(&way, command, dripping, "timeout"));
        }
    }
    waiting.join_all().await;
    check(Protocol::Imap, "greeting", vec![Act::Hang], "timeout").await;
    let dripping = vec![Act::Say("* OK ".into()), Act::Drip(b'x')];
    check(Protocol::Imap, "greeting", dripping, "timeout").await;
}

#[tokio::test]
async fn imap_greetings() {
    check(Protocol::Imap, "greeting", say("* PREAUTH welcome\r\n"), "protocol").await;
    check(Protocol::Imap, "greeting", say("HTTP/1.1 400 Bad Request\r\n"), "protocol").await;
    check(Protocol::Imap, "greeting", vec![Act::Repeat(b"* OK wait")], "protocol").await;
    check(Protocol::Imap, "CAPABILITY", capabilities("LOGINDISABLED"), "login").await;
}

#[tokio::test]
async fn imap_password_repeated_by_the_server() {
    let text = format!("%T NO cannot log in with {PASSWORD}\r\n");
    check(Protocol::Imap, "LOGIN", say(&text), "login").await;
    let text = format!("-ERR unknown command PASS {PASSWORD}\r\n");
    check(Protocol::Pop3, "PASS", say(&text), "login").await;
}

#[tokio::test]
async fn imap_busy_server_is_no_wrong_password() {
    check(Protocol::Imap, "LOGIN", say("%T NO [UNAVAILABLE] later\r\n"), "busy").await;
    check(Protocol::Pop3, "PASS", say("-ERR [IN-USE] locked\r\n"), "refused").await;
}

#[tokio::test]
async fn imap_folder_without_validity() {
    check(Protocol::Imap, "SELECT", say("* 2 EXISTS\r\n%T OK open\r\n"), "protocol").await;
}

#[tokio::test]
async fn imap_wrong_bodies() {
    let [one, _] = imap::MAILS;
    let a = one.len();
    for answer in [
        // Another UID than asked for.
        format!("* 1 FETCH (UID 99 RFC822.SIZE {a} BODY[] {{{a}}}\r\n{one})\r\n%T OK\r\n"),
        // One twice.
        format!(
            "* 1 FETCH (UID 11 BODY[] {{{a}}}\r\n{one})\r\n\
             * 1 FETCH (UID 11 BODY[] {{{a}}}\r\n{one})\r\n%T OK\r\n"
        ),
        format!("* 1 FETCH (UID 11 BODY[] {{{a}}}\r\n{one} BODY[] {{{a}}}\r\n{one})\r\n%T OK\r\n"),
        // Another part.
        format!("* 1 FETCH (UID 11 BODY[HEADER] {{{a}}}\r\n{one})\r\n%T OK\r\n"),
        format!("* 1 FETCH (UID 11 BODY[]<5> {{{a}}}\r\n{one})\r\n%T OK\r\n"),
        // A literal that is shorter than its bytes.
        format!("* 1 FETCH (UID 11 BODY[] {{{}}}\r\n{one})\r\n%T OK\r\n", a - 1),
    ] {
        check(Protocol::Imap, "UID FETCH 11:12", say(&answer), "protocol").await;
    }
    let eaten = format!("* 1 FETCH (UID 11 BODY[] {{900}}\r\n{one})\r\n%T OK\r\n");
    let eaten = vec![Act::Say(eaten), Act::Close];
    check(Protocol::Imap, "UID FETCH 11:12", eaten, "lost").await;
}

#[tokio::test]
async fn imap_wrong_listings() {
    let twice = "* 1 FETCH (UID 11 RFC822.SIZE 5)\r\n* 2 FETCH (UID 11 RFC822.SIZE 5)\r\n%T OK\r\n";
    check(Protocol::Imap, "FETCH 1:", say(twice), "protocol").await;
}

/// Messages of a mailbox that no test holds in memory twice.
const LARGE: u32 = 100_000;

/// Reads a look to its end; answers how many messages each page had.
async fn pages(mailbox: &mut dyn Mailbox, scope: Scope) -> Result<Vec<usize>, MailboxError> {
    mailbox.look(scope).await?;
    let (mut pages, mut last) = (Vec::new(), 0);
    loop {
        let page = mailbox.page().await?;
        for entry in &page {
            assert!(entry.handle > last && entry.size_bytes == Some(2_000), "{entry:?}");
            last = entry.handle;
        }
        if page.is_empty() {
            assert_eq!(mailbox.rest(), 0);
            return Ok(pages);
        }
        pages.push(page.len());
    }
}

#[tokio::test]
async fn large_mailboxes_are_read_page_by_page() {
    for (protocol, behaviour) in
        [(Protocol::Imap, imap::large(LARGE + 1)), (Protocol::Pop3, pop3::large(LARGE + 1))]
    {
        let server = behaviour.start().await;
        let account = protocol.account(endpoint(server.port, Security::Plain, None));
        let mut mailbox = mailbox::open(&account, &Safe::new().secrets(), None).await.unwrap();
        let found = pages(mailbox.as_mut(), Scope::All).await.unwrap();
        let mut expected = vec![PAGE_MAILS_MAX; LARGE as usize / PAGE_MAILS_MAX];
        expected.push(1);
        assert_eq!(found, expected, "{protocol:?}");
        if protocol == Protocol::Imap {
            let heard = server.heard().plain;
            assert!(heard.contains("FETCH 10001:20000 ("), "{heard}");
            // Nothing came since, so nothing is asked for.
            assert_eq!(pages(mailbox.as_mut(), Scope::News).await.unwrap(), [0_usize; 0]);
        }
    }
}

#[tokio::test]
async fn imap_pages_follow_what_vanishes_and_what_comes() {
    const NUMBERS: u32 = PAGE_MAILS_MAX as u32 + 2;
    // After the first page, the second NOOP of the session tells of the first message's end and of
    // one that came: numbers move down by one, and what came is not part of this look.
    let news = "* 1 EXPUNGE\r\n* 10002 EXISTS\r\n%T OK done\r\n";
    let moved = "* 10000 FETCH (UID 1010001 RFC822.SIZE 2000 FLAGS ())\r\n\
                 * 10001 FETCH (UID 1010002 RFC822.SIZE 2000 FLAGS ())\r\n%T OK listed\r\n";
    let came = "* 10002 FETCH (UID 1010009 RFC822.SIZE 2000 FLAGS ())\r\n%T OK listed\r\n";
    let server = imap::large(NUMBERS)
        .but("UID STORE", say(news))
        .but("FETCH 10000:10001 ", say(moved))
        .but("FETCH 10002:10002 ", say(came))
        .start()
        .await;
    let account = Protocol::Imap.account(endpoint(server.port, Security::Plain, None));
    let mut mailbox = mailbox::open(&account, &Safe::new().secrets(), None).await.unwrap();
    mailbox.look(Scope::All).await.unwrap();
    let first = mailbox.page().await.unwrap();
    assert_eq!((first.len(), mailbox.rest()), (PAGE_MAILS_MAX, 2));
    mailbox.done(&first[..1], &AfterFetch::Seen).await.unwrap();
    let uids = |page: Vec<Entry>| page.iter().map(|entry| entry.handle).collect::<Vec<_>>();
    assert_eq!(uids(mailbox.page().await.unwrap()), [1_010_001, 1_010_002]);
    assert_eq!(mailbox.page().await.unwrap(), []);
    mailbox.look(Scope::News).await.unwrap();
    assert_eq!(uids(mailbox.page().await.unwrap()), [1_010_009]);
    assert_eq!(mailbox.page().await.unwrap(), []);
}

#[tokio::test]
async fn imap_page_that_repeats_what_was_listed() {
    const NUMBERS: u32 = PAGE_MAILS_MAX as u32 + 1;
    let again = "* 10001 FETCH (UID 1010000 RFC822.SIZE 2000 FLAGS ())\r\n%T OK listed\r\n";
    let server = imap::large(NUMBERS).but("FETCH 10001:", say(again)).start().await;
    let account = Protocol::Imap.account(endpoint(server.port, Security::Plain, None));
    let mut mailbox = mailbox::open(&account, &Safe::new().secrets(), None).await.unwrap();
    let error = pages(mailbox.as_mut(), Scope::All).await.unwrap_err();
    assert_eq!(error.label(), "protocol");
    assert!(error.to_string().contains("UID 1010000 is listed behind UID 1010000"), "{error}");
}

#[tokio::test]
async fn imap_message_that_vanishes_while_it_is_listed() {
    // Left out of the answer, and explained when the server may say so: no violation.
    let one = "* 1 FETCH (UID 11 RFC822.SIZE 17 FLAGS ())\r\n%T OK [EXPUNGEISSUED] listed\r\n";
    let server = imap::proper()
        .but("NOOP", say("* 2 EXPUNGE\r\n%T OK done\r\n"))
        .but("FETCH 1:", say(one))
        .but("SELECT", say("* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n%T OK open\r\n"))
        .start()
        .await;
    let account = Protocol::Imap.account(endpoint(server.port, Security::Plain, None));
    let mut mailbox = mailbox::open(&account, &Safe::new().secrets(), None).await.unwrap();
    let entries = mailbox.list().await.unwrap().entries;
    assert_eq!(entries.iter().map(|entry| entry.handle).collect::<Vec<_>>(), [11]);
}

#[tokio::test]
async fn imap_news_by_the_way_is_no_body() {
    let [one, two] = imap::MAILS;
    let answer = format!(
        "* 2 FETCH (FLAGS (\\Seen))\r\n* 1 EXPUNGE\r\n* 9 EXISTS\r\n* OK still here\r\n\
         * 1 FETCH (UID 11 BODY[] {{{}}}\r\n{one})\r\n* 7 FETCH (UID 70 FLAGS ())\r\n\
         * 2 FETCH (UID 12 BODY[] {{{}}}\r\n{two})\r\n%T OK\r\n",
        one.len(),
        two.len()
    );
    let behaviour = imap::proper().but("UID FETCH 11:12", say(&answer));
    let fetched = work_plainly(Protocol::Imap, behaviour, SECONDS).await.unwrap();
    assert_eq!(fetched, mails(imap::MAILS));
}

#[tokio::test]
async fn imap_message_that_is_listed_and_not_given() {
    let [one, _] = imap::MAILS;
    let expected = vec![Fetched::Mail(one.as_bytes().to_vec()), Fetched::Missing];
    let given = format!("* 1 FETCH (UID 11 BODY[] {{{}}}\r\n{one})\r\n", one.len());
    for second in ["", "* 2 FETCH (UID 12 BODY[] NIL)\r\n", "* 2 FETCH (UID 12)\r\n"] {
        let answer = say(&format!("{given}{second}%T OK\r\n"));
        let behaviour = imap::proper().but("UID FETCH 11:12", answer);
        let fetched = work_plainly(Protocol::Imap, behaviour, SECONDS).await.unwrap();
        assert_eq!(fetched, expected);
    }
    // One that makes the server refuse the whole command is found, and the others are fetched.
    let behaviour = imap::proper()
        .but("UID FETCH 11:12", say("%T NO [SERVERBUG] cannot read 12\r\n"))
        .but("UID FETCH 11 ", say(&format!("{given}%T OK\r\n")))
        .but("UID FETCH 12 ", say("%T NO [SERVERBUG] cannot read 12\r\n"));
    let fetched = work_plainly(Protocol::Imap, behaviour, SECONDS).await.unwrap();
    assert_eq!(fetched, expected);
}

#[tokio::test]
async fn imap_folder_name_cannot_carry_a_command() {
    let server = imap::proper().start().await;
    let Source::Imap { endpoint, login, .. } =
        Protocol::Imap.account(endpoint(server.port, Security::Plain, None)).connection
    else {
        unreachable!()
    };
    let folder = "x\"\r\nA9 DELETE INBOX\r\n".to_owned();
    let account = account(Source::Imap { endpoint, login, folder });
    work(&account, &Safe::new().secrets()).await.unwrap();
    let heard = server.heard().plain;
    assert!(heard.contains("SELECT \"x\\\"&AA0ACg-A9 DELETE INBOX&AA0ACg-\"\r\n"), "{heard}");
}

#[tokio::test]
async fn line_breaks_in_credentials_are_refused() {
    for protocol in [Protocol::Imap, Protocol::Pop3] {
        for secret in ["a\rb", "a\nb", "a\0b"] {
            let server = protocol.proper().start().await;
            let safe = Safe::new();
            std::fs::write(safe.0.path().join("password"), secret).unwrap();
            let account = protocol.account(endpoint(server.port, Security::Plain, None));
            let error = work(&account, &safe.secrets()).await.unwrap_err();
            assert_eq!(error.label(), "secret");
            assert_eq!(server.heard().plain, "");
        }
    }
}

#[tokio::test]
async fn imap_password_beyond_ascii_goes_as_literal() {
    let password = "パスワード";
    // The literal and the end of the command arrive as one line, which is not tagged.
    let behaviour =
        imap::proper().but("LOGIN", say("+ go on\r\n")).but(password, say("%T OK welcome\r\n"));
    let server = behaviour.start().await;
    let safe = Safe::new();
    std::fs::write(safe.0.path().join("password"), password).unwrap();
    let account = Protocol::Imap.account(endpoint(server.port, Security::Plain, None));
    work(&account, &safe.secrets()).await.unwrap();
    assert!(server.heard().plain.contains("LOGIN \"desk@example.com\" {15}\r\n"));
}

#[tokio::test]
async fn imap_deletes_only_what_it_was_told_to() {
    for (offered, expected) in [
        ("UIDPLUS MOVE", "UID STORE 11:12 +FLAGS.SILENT (\\Deleted)\r\nA9 UID EXPUNGE 11:12\r\n"),
        ("MOVE", "UID MOVE 11:12 \"Papierkorb\"\r\n"),
        (
            "",
            "UID STORE 11:12 +FLAGS.SILENT (\\Deleted)\r\nA9 UID SEARCH DELETED\r\nA10 EXPUNGE\r\n",
        ),
    ] {
        let server = imap::with_folders(offered).start().await;
        let account = Protocol::Imap.account(endpoint(server.port, Security::Plain, None));
        let fetched = work(&account, &Safe::new().secrets()).await.unwrap();
        assert_eq!(fetched, mails(imap::MAILS));
        let heard = server.heard().plain;
        assert!(heard.contains(expected), "{offered}: {heard}");
        assert_eq!(heard.contains(" EXPUNGE\r\n"), offered.is_empty(), "a bare EXPUNGE: {heard}");
    }
}

#[tokio::test]
async fn imap_move_without_move_copies_only_what_is_not_there() {
    let server = imap::with_folders("UIDPLUS").start().await;
    let account = Protocol::Imap.account(endpoint(server.port, Security::Plain, None));
    let mut mailbox = mailbox::open(&account, &Safe::new().secrets(), None).await.unwrap();
    let entries = mailbox.list().await.unwrap().entries;
    mailbox.done(&entries, &AfterFetch::Move("Done".into())).await.unwrap();
    let heard = server.heard().plain;
    assert!(heard.contains("UID COPY 12 \"Done\"\r\n"), "{heard}");
    assert!(heard.contains("UID EXPUNGE 11:12\r\n"), "{heard}");
}

#[tokio::test]
async fn imap_refused_copy_deletes_nothing() {
    let server = imap::proper()
        .but("CAPABILITY", capabilities("UIDPLUS"))
        .but("UID FETCH 11:12", say("%T OK\r\n"))
        .but("EXAMINE", say("* 1 EXISTS\r\n* OK [UIDVALIDITY 8] ok\r\n%T OK\r\n"))
        .but("UID COPY", say("%T NO [TRYCREATE] no such folder\r\n"))
        .start()
        .await;
    let account = Protocol::Imap.account(endpoint(server.port, Security::Plain, None));
    let mut mailbox = mailbox::open(&account, &Safe::new().secrets(), None).await.unwrap();
    let entries = mailbox.list().await.unwrap().entries;
    let error = mailbox.done(&entries, &AfterFetch::Move("Done".into())).await.unwrap_err();
    assert_eq!(error.label(), "refused");
    assert!(error.to_string().contains("\"Done\""), "{error}");
    assert!(!server.heard().plain.contains("STORE"));
}

#[tokio::test]
async fn imap_wait_that_was_dropped_leaves_a_usable_session() {
    let server = imap::proper().but("IDLE", say("+ waiting\r\n")).start().await;
    let account = Protocol::Imap.account(endpoint(server.port, Security::Plain, None));
    let mut mailbox = mailbox::open(&account, &Safe::new().secrets(), None).await.unwrap();
    let listing = mailbox.list().await.unwrap();
    assert_eq!(drop_while_waiting(mailbox.as_mut(), &server).await, None);
    assert_eq!(mailbox.list().await.unwrap(), listing);
    assert!(server.heard().plain.contains("DONE\r\nA8 NOOP\r\n"), "{}", server.heard().plain);
}

/// Waits until the server has heard of IDLE, then drops the wait.
async fn drop_while_waiting(mailbox: &mut dyn Mailbox, server: &Server) -> Option<Woken> {
    let heard = async {
        while !server.heard().plain.contains("IDLE\r\n") {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        woken = mailbox.wait(SECONDS) => Some(woken.unwrap()),
        () = heard => None,
    }
}

/// Many routers forget a connection that has been silent for ten minutes, some a little earlier.
#[tokio::test]
async fn imap_idle_begins_anew_before_it_is_forgotten() {
    let server = imap::proper().but("IDLE", say("+ waiting\r\n")).start().await;
    let account = Protocol::Imap.account(endpoint(server.port, Security::Plain, None));
    let mut mailbox = mailbox::open(&account, &Safe::new().secrets(), None).await.unwrap();
    mailbox.list().await.unwrap();
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let again = async {
        // In small steps, so that time never runs ahead of what is on the wire.
        while server.heard().plain.matches(" IDLE\r\n").count() < 2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        begun.elapsed()
    };
    let silent = tokio::select! {
        woken = mailbox.wait(Duration::from_secs(3_600)) => panic!("{woken:?}"),
        silent = again => silent,
    };
    let heard = server.heard().plain;
    assert!(heard.ends_with(" IDLE\r\nDONE\r\nA8 IDLE\r\n"), "{heard}");
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    assert!(minutes(8) < silent && silent < minutes(9), "{silent:?}");
}

#[tokio::test]
async fn imap_idle_faults() {
    check(Protocol::Imap, "IDLE", say("%T NO disabled\r\n"), "refused").await;
    check(Protocol::Imap, "IDLE", say("%T BAD\r\n"), "refused").await;
    check(Protocol::Imap, "IDLE", say("%T OK over already\r\n"), "refused").await;
    check(Protocol::Imap, "IDLE", say("+ go\r\n* BYE enough\r\n"), "lost").await;
    check(Protocol::Imap, "IDLE", say("+ go\r\n%T OK over\r\n"), "protocol").await;
    check(Protocol::Imap, "IDLE", say("+ go\r\n* \u{1}garbage(((\r\n"), "protocol").await;
    let cut = vec![Act::Say("+ go\r\n".into()), Act::Close];
    check(Protocol::Imap, "IDLE", cut, "lost").await;
}

/// What a wait of ten minutes becomes at a server that answers so to IDLE.
async fn wait_at(acts: Vec<Act>) -> Result<Woken, MailboxError> {
    let server = imap::proper().but("IDLE", acts).start().await;
    let account = Protocol::Imap.account(endpoint(server.port, Security::Plain, None));
    let mut mailbox = mailbox::open(&account, &Safe::new().secrets(), None).await.unwrap();
    mailbox.list().await.unwrap();
    tokio::time::pause();
    // In small steps, so that time never runs ahead of what is on the wire.
    let ticking = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let woken = tokio::select! {
        woken = mailbox.wait(Duration::from_secs(600)) => woken,
        () = ticking => unreachable!("it ticks for ever"),
    };
    tokio::time::resume();
    woken
}

/// Holds an IDLE for so many seconds, then does this.
fn held(seconds: u64, after: Vec<Act>) -> Vec<Act> {
    let mut acts = vec![Act::Say("+ waiting\r\n".into()), Act::Wait(seconds)];
    acts.extend(after);
    acts
}

fn autologout() -> Vec<Act> {
    vec![Act::Say("* BYE Autologout; idle for too long\r\n".into()), Act::Close]
}

/// Ends the IDLE with its tag; the next one brings news.
fn terminated() -> Vec<Act> {
    let again = Act::FromNow("IDLE", say("+ waiting\r\n* 3 EXISTS\r\n"));
    vec![again, Act::Say("%T OK IDLE terminated\r\n".into())]
}

/// Servers end a session that is idle for long: with BYE, without a word, or with the tag. Yandex:
/// mjs/imapclient#234. One that has held it for a minute is not ill.
#[tokio::test]
async fn imap_session_that_the_server_ends_after_a_while_is_no_fault() {
    assert_eq!(wait_at(held(61, autologout())).await.unwrap(), Woken::Closed);
}

#[tokio::test]
async fn imap_connection_that_the_server_ends_after_a_while_is_no_fault() {
    assert_eq!(wait_at(held(61, vec![Act::Close])).await.unwrap(), Woken::Closed);
}

#[tokio::test]
async fn imap_idle_that_the_server_ends_after_a_while_is_no_fault() {
    assert_eq!(wait_at(held(61, terminated())).await.unwrap(), Woken::News);
}

#[tokio::test]
async fn imap_session_that_the_server_ends_soon_is_a_fault() {
    assert_eq!(wait_at(held(30, autologout())).await.unwrap_err().label(), "lost");
}

#[tokio::test]
async fn imap_idle_that_the_server_ends_soon_is_a_fault() {
    let error = wait_at(held(30, terminated())).await.unwrap_err();
    assert!(error.to_string().contains("ended IDLE by itself"), "{error}");
}

#[tokio::test]
async fn pop3_refusal_of_each_command() {
    for command in POP3 {
        let label = match command {
            // Unknown CAPA is an old server; a message that is not given is missing.
            "CAPA" | "RETR" => "nothing",
            "USER" | "PASS" => "login",
            _ => "refused",
        };
        check(Protocol::Pop3, command, say("-ERR not now\r\n"), label).await;
        check(Protocol::Pop3, command, say("-ERR\r\n"), label).await;
    }
}

#[tokio::test]
async fn pop3_cut_and_silence_at_each_command() {
    for command in POP3.into_iter().chain(["greeting"]) {
        check(Protocol::Pop3, command, vec![Act::Close], "lost").await;
        check(Protocol::Pop3, command, vec![Act::Say("+OK".into()), Act::Close], "lost").await;
        check(Protocol::Pop3, command, vec![Act::Hang], "timeout").await;
        check(Protocol::Pop3, command, vec![Act::Drip(b'+')], "timeout").await;
    }
}

#[tokio::test]
async fn pop3_nonsense_at_each_command() {
    for command in POP3.into_iter().chain(["greeting"]) {
        check(Protocol::Pop3, command, say("HTTP/1.1 400 Bad Request\r\n"), "protocol").await;
        check(Protocol::Pop3, command, vec![Act::Repeat(b"xxxxxxxxxxxxx")], "protocol").await;
    }
}

#[tokio::test]
async fn pop3_answers_without_end() {
    let endless = |line: &'static [u8]| vec![Act::Say("+OK\r\n".into()), Act::Repeat(line)];
    check(Protocol::Pop3, "CAPA", endless(b"X\r\n"), "protocol").await;
    check(Protocol::Pop3, "UIDL", endless(b"1 same\r\n"), "protocol").await;
    check(Protocol::Pop3, "LIST", endless(b"1 5\r\n"), "protocol").await;
    check(Protocol::Pop3, "RETR", endless(b"text\r\n"), "protocol").await;
    let silent = vec![Act::Say("+OK\r\nSubject: one\r\n\r\n1\r\n".into()), Act::Hang];
    check(Protocol::Pop3, "RETR", silent, "timeout").await;
    let cut = vec![Act::Say("+OK\r\nSubject: one\r\n\r\n1\r\n".into()), Act::Close];
    check(Protocol::Pop3, "RETR", cut, "lost").await;
    let half = vec![Act::Say("+OK\r\nSub".into()), Act::Say("-ERR disk\r\n".into()), Act::Close];
    check(Protocol::Pop3, "RETR", half, "lost").await;
}

#[tokio::test]
async fn pop3_wrong_answers() {
    let twice = "+OK\r\n1 same\r\n2 same\r\n.\r\n";
    check(Protocol::Pop3, "UIDL", say(twice), "protocol").await;
    // Another message than the one that was fetched lies under this number.
    check(Protocol::Pop3, "UIDL 1", say("+OK 1 id-other\r\n"), "protocol").await;
}

#[tokio::test]
async fn pop3_long_unique_ids_are_taken() {
    let id = "u".repeat(512);
    let behaviour = pop3::proper()
        .but("LIST", say("+OK\r\n1 17\r\n.\r\n"))
        .but("UIDL", say(&format!("+OK\r\n1 {id}\r\n.\r\n")))
        .but("UIDL 1", say(&format!("+OK 1 {id}\r\n")));
    let fetched = work_plainly(Protocol::Pop3, behaviour, SECONDS).await.unwrap();
    assert_eq!(fetched.len(), 1);
}

#[tokio::test]
async fn too_large_mail_gives_its_header() {
    let header = b"Subject: one\r\n\r\n".to_vec();
    let piece = "* 1 FETCH (UID 11 BODY[HEADER]<0> {16}\r\nSubject: one\r\n\r\n)\r\n%T OK\r\n";
    for (protocol, behaviour) in [
        (Protocol::Imap, imap::proper().but("UID FETCH 11 (UID BODY.PEEK[HEADER]", say(piece))),
        (Protocol::Pop3, pop3::proper()),
    ] {
        let server = behaviour.start().await;
        let account = protocol.account(endpoint(server.port, Security::Plain, None));
        let mut mailbox = mailbox::open(&account, &Safe::new().secrets(), None).await.unwrap();
        let entries = mailbox.list().await.unwrap().entries;
        let fetched = mailbox.fetch(&entries[..1], 5).await.unwrap();
        let size_bytes = imap::MAILS[0].len() as u64;
        assert_eq!(fetched, [Fetched::Oversize { header: header.clone(), size_bytes }]);
    }
}

#[tokio::test]
async fn pop3_without_top_gives_no_header() {
    let server = pop3::proper().but("TOP", say("-ERR unknown\r\n")).start().await;
    let account = Protocol::Pop3.account(endpoint(server.port, Security::Plain, None));
    let mut mailbox = mailbox::open(&account, &Safe::new().secrets(), None).await.unwrap();
    let entries: Vec<Entry> = mailbox.list().await.unwrap().entries;
    let fetched = mailbox.fetch(&entries[..1], 5).await.unwrap();
    assert!(matches!(&fetched[..], [Fetched::Oversize { header, .. }] if header.is_empty()));
}

/// With TLS as declared and this server, the work ends so, and no credential was sent in plain text.
async fn check_tls(
    protocol: Protocol,
    security: Security,
    behaviour: Behaviour,
    authority: &Authority,
    expected: &str,
) {
    let server = behaviour.start().await;
    let safe = Safe::new();
    let ca = authority.write(safe.0.path());
    let account = protocol.account(endpoint(server.port, security, Some(&ca)));
    let result = work(&account, &safe.secrets()).await;
    let found = result.as_ref().map_or_else(MailboxError::label, |_| "nothing");
    assert_eq!(found, expected, "{protocol:?} {security:?}: {result:?}");
    let heard = server.heard();
    for secret in ["CANARY", "desk@example.com", "LOGIN", "USER", "PASS"] {
        assert!(!heard.plain.contains(secret), "sent in plain text: {}", heard.plain);
    }
    assert_eq!(heard.encrypted.contains("CANARY"), expected == "nothing");
}

#[tokio::test]
async fn tls_as_it_should_be() {
    let authority = Authority::new();
    let good = authority.issue(&["localhost"], 2099);
    for protocol in [Protocol::Imap, Protocol::Pop3] {
        let first = protocol.proper().with_tls(good.server(), true);
        check_tls(protocol, Security::Tls, first, &authority, "nothing").await;
    }
    let offered = imap::proper().but("CAPABILITY", capabilities("STARTTLS IDLE UIDPLUS"));
    let later = offered.with_tls(good.server(), false);
    check_tls(Protocol::Imap, Security::StartTls, later, &authority, "nothing").await;
    let later = pop3::proper().with_tls(good.server(), false);
    check_tls(Protocol::Pop3, Security::StartTls, later, &authority, "nothing").await;
}

#[tokio::test]
async fn certificates_that_are_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for protocol in [Protocol::Imap, Protocol::Pop3] {
        for wrong in [
            authority.issue(&["mail.example.com"], 2099),
            authority.issue(&["localhost.example.com"], 2099),
            authority.issue(&["localhost"], 2002),
            authority.issue_for(&["localhost"], (2098, 2099)),
            authority.issue(&["127.0.0.1"], 2099),
            authority.issue(&["*.localhost"], 2099),
            authority.issue(&["*"], 2099),
            // Who stops reading at the NUL believes it.
            authority.issue(&["localhost\0.evil.example"], 2099),
            stranger.issue(&["localhost"], 2099),
        ] {
            let first = protocol.proper().with_tls(wrong.server(), true);
            check_tls(protocol, Security::Tls, first, &authority, "certificate").await;
            let later = protocol.proper().with_tls(wrong.server(), false);
            let later = match protocol {
                Protocol::Imap => later.but("CAPABILITY", capabilities("STARTTLS")),
                Protocol::Pop3 => later,
            };
            check_tls(protocol, Security::StartTls, later, &authority, "certificate").await;
        }
    }
}

#[tokio::test]
async fn starttls_that_does_not_come_about() {
    let authority = Authority::new();
    let good = authority.issue(&["localhost"], 2099);
    let injected = |text: &str| vec![Act::Say(text.to_owned()), Act::Encrypt];
    let offered = || imap::proper().but("CAPABILITY", capabilities("STARTTLS"));
    for (behaviour, expected) in [
        (imap::proper(), "starttls"),
        (offered().but("greeting", say("* PREAUTH welcome\r\n")), "starttls"),
        (offered().but("greeting", say("* BYE busy\r\n")), "lost"),
        (offered().but("STARTTLS", say("%T NO not today\r\n")), "starttls"),
        (offered().but("STARTTLS", say("%T BAD what?\r\n")), "starttls"),
        (offered().but("STARTTLS", say("A1 OK go on\r\n")), "protocol"),
        (offered().but("STARTTLS", injected("%T OK go\r\n* OK injected\r\n")), "starttls"),
        (offered().but("STARTTLS", say("* BYE going down\r\n")), "lost"),
        (offered().but("STARTTLS", say("* BYE going down\r\n%T OK go\r\n")), "lost"),
        (offered().but("STARTTLS", vec![Act::Close]), "lost"),
        (offered().but("STARTTLS", say("%T OK go\r\n")), "handshake"),
    ] {
        let mut behaviour = behaviour.with_tls(good.server(), false);
        if expected == "handshake" {
            behaviour =
                behaviour.but("STARTTLS", vec![Act::Say("%T OK go\r\n".into()), Act::Close]);
        }
        check_tls(Protocol::Imap, Security::StartTls, behaviour, &authority, expected).await;
    }
    for (acts, expected) in [
        (say("-ERR unknown\r\n"), "starttls"),
        (injected("+OK go\r\n+OK injected\r\n"), "starttls"),
        (vec![Act::Close], "lost"),
        (say("what?\r\n"), "protocol"),
    ] {
        let behaviour = pop3::proper().with_tls(good.server(), false).but("STLS", acts);
        check_tls(Protocol::Pop3, Security::StartTls, behaviour, &authority, expected).await;
    }
}

#[tokio::test]
async fn plain_server_on_the_port_for_tls() {
    let authority = Authority::new();
    for protocol in [Protocol::Imap, Protocol::Pop3] {
        let behaviour = protocol.proper();
        check_tls(protocol, Security::Tls, behaviour, &authority, "handshake").await;
    }
}

#[tokio::test]
async fn nobody_there() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let account = Protocol::Imap.account(endpoint(port, Security::Plain, None));
    let error = work(&account, &Safe::new().secrets()).await.unwrap_err();
    assert_eq!(error.label(), "connect");
}

#[tokio::test]
async fn pop3_pipelining_keeps_the_order() {
    let server = pop3::proper()
        .but("CAPA", say("+OK\r\nPIPELINING\r\n.\r\n"))
        .but("RETR 1", say("-ERR disk trouble\r\n"))
        .start()
        .await;
    let account = Protocol::Pop3.account(endpoint(server.port, Security::Plain, None));
    let fetched = work(&account, &Safe::new().secrets()).await.unwrap();
    assert_eq!(fetched, [Fetched::Missing, Fetched::Mail(pop3::MAILS[1].as_bytes().to_vec())]);
    let heard = server.heard().plain;
    assert!(heard.contains("UIDL 1\r\nUIDL 2\r\nDELE 1\r\nDELE 2\r\nQUIT\r\n"), "{heard}");
}

#[tokio::test]
async fn insecure_encrypts_with_anybody() {
    let stranger = Authority::new().issue(&["mail.example.com"], 2002);
    let server = imap::proper().with_tls(stranger.server(), true).start().await;
    let mut endpoint = endpoint(server.port, Security::Tls, None);
    endpoint.tls.insecure = true;
    let account = Protocol::Imap.account(endpoint);
    work(&account, &Safe::new().secrets()).await.unwrap();
    assert_eq!(server.heard().plain, "");
}

#[tokio::test]
async fn files_of_tls_that_cannot_be_used() {
    let server = imap::proper().start().await;
    let safe = Safe::new();
    let endpoint = endpoint(server.port, Security::Tls, Some(&safe.0.path().join("none.pem")));
    let error = work(&Protocol::Imap.account(endpoint), &safe.secrets()).await.unwrap_err();
    assert_eq!(error.label(), "files");
    assert!(error.to_string().contains("none.pem"), "{error}");
}

#[tokio::test]
async fn what_this_build_cannot_do() {
    let token = || Login::OAuth2 {
        mailbox: None,
        username: Text::Plain("desk@example.com".into()),
        profile: "m365".into(),
    };
    let there = || endpoint(1, Security::Tls, None);
    for source in [
        Source::Imap { endpoint: there(), login: token(), folder: "INBOX".into() },
        Source::Pop3 { endpoint: there(), login: token() },
        Source::Graph { endpoint: there(), login: token(), folder: "INBOX".into() },
    ] {
        let error = work(&account(source), &Secrets::default()).await.unwrap_err();
        assert_eq!(error.label(), "unsupported");
    }
    let server = pop3::proper().start().await;
    let account = Protocol::Pop3.account(endpoint(server.port, Security::Plain, None));
    let mut mailbox = mailbox::open(&account, &Safe::new().secrets(), None).await.unwrap();
    for after in [AfterFetch::Seen, AfterFetch::Move("Done".into())] {
        assert_eq!(mailbox.done(&[], &after).await.unwrap_err().label(), "unsupported");
    }
}

#[tokio::test]
async fn maildir_faults() {
    let safe = Safe::new();
    let path = safe.0.path().join("Maildir");
    let local = account(Source::Maildir { path: path.clone() });
    assert_eq!(work(&local, &safe.secrets()).await.unwrap_err().label(), "folder");
    for part in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(path.join(part)).unwrap();
    }
    std::fs::write(path.join("new/.hidden"), "no mail").unwrap();
    std::fs::create_dir(path.join("new/directory")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path.join("new/link")).unwrap();
    std::fs::write(path.join("new/1.a.host"), "Subject: a\n\nfirst\n").unwrap();
    std::fs::write(path.join("cur/2.b.host:2,S"), "Subject: b\n\nsecond\n").unwrap();
    let mut mailbox = mailbox::open(&local, &safe.secrets(), None).await.unwrap();
    let entries = mailbox.list().await.unwrap().entries;
    let names: Vec<_> = entries.iter().map(|e| (e.location.0.as_str(), e.seen)).collect();
    assert_eq!(names, [("1.a.host", false), ("2.b.host", true)]);
    // Another program moves one and removes the other while we work.
    std::fs::rename(path.join("new/1.a.host"), path.join("cur/1.a.host:2,F")).unwrap();
    std::fs::remove_file(path.join("cur/2.b.host:2,S")).unwrap();
    let fetched = mailbox.fetch(&entries, 1024).await.unwrap();
    let first = Fetched::Mail(b"Subject: a\n\nfirst\n".to_vec());
    assert_eq!(fetched, [first, Fetched::Missing]);
    let header = b"Subject: a\n\n".to_vec();
    let fetched = mailbox.fetch(&entries[..1], 5).await.unwrap();
    assert_eq!(fetched, [Fetched::Oversize { header, size_bytes: 18 }]);
    mailbox.done(&entries, &AfterFetch::Seen).await.unwrap();
    assert!(path.join("cur/1.a.host:2,FS").exists());
    let away = AfterFetch::Move("../../away".into());
    assert_eq!(mailbox.done(&entries, &away).await.unwrap_err().label(), "folder");
}
