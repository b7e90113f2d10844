//! An IMAP server with two small messages.

use super::{Act, Behaviour, Make, say};

/// Both messages.
pub const MAILS: [&str; 2] = ["Subject: one\r\n\r\n1\r\n", "Subject: two\r\n\r\nzwei\r\n"];

/// Answers as it should.
pub fn proper() -> Behaviour {
    let [one, two] = MAILS;
    let sizes = [one.len(), two.len()];
    let listing = format!(
        "* 1 FETCH (UID 11 RFC822.SIZE {} FLAGS (\\Seen) INTERNALDATE \
         \"17-Jul-2026 02:44:25 +0900\")\r\n\
         * 2 FETCH (UID 12 RFC822.SIZE {} FLAGS () INTERNALDATE \
         \"18-Jul-2026 02:44:25 +0900\")\r\n%T OK listed\r\n",
        sizes[0], sizes[1]
    );
    let bodies = format!(
        "* 1 FETCH (UID 11 RFC822.SIZE {} BODY[] {{{}}}\r\n{one})\r\n\
         * 2 FETCH (UID 12 RFC822.SIZE {} BODY[] {{{}}}\r\n{two})\r\n%T OK fetched\r\n",
        sizes[0], sizes[0], sizes[1], sizes[1]
    );
    let alone = |number: usize, uid: usize, mail: &str| {
        let size = mail.len();
        say(&format!(
            "* {number} FETCH (UID {uid} RFC822.SIZE {size} BODY[] {{{size}}}\r\n{mail})\r\n\
             %T OK fetched\r\n"
        ))
    };
    let piece = |number: usize, uid: usize, mail: &str| {
        let size = mail.len();
        say(&format!("* {number} FETCH (UID {uid} BODY[]<0> {{{size}}}\r\n{mail})\r\n%T OK\r\n"))
    };
    let end = |number: usize, uid: usize, mail: &str| {
        let size = mail.len();
        say(&format!("* {number} FETCH (UID {uid} BODY[]<{size}> \"\")\r\n%T OK\r\n"))
    };
    Behaviour {
        greeting: say("* OK ready\r\n"),
        answers: vec![
            ("CAPABILITY", capabilities("UIDPLUS MOVE IDLE")),
            ("STARTTLS", vec![Act::Say("%T OK go on\r\n".into()), Act::Encrypt]),
            ("LOGIN", say("%T OK welcome\r\n")),
            (
                "SELECT",
                say("* FLAGS (\\Seen \\Deleted)\r\n* 2 EXISTS\r\n* 0 RECENT\r\n\
                     * OK [UIDVALIDITY 7] valid\r\n%T OK [READ-WRITE] open\r\n"),
            ),
            ("NOOP", say("%T OK done\r\n")),
            ("FETCH 1:", say(&listing)),
            ("UID FETCH 11:12", say(&bodies)),
            ("UID FETCH 11 (UID BODY.PEEK[])", alone(1, 11, one)),
            ("UID FETCH 12 (UID BODY.PEEK[])", alone(2, 12, two)),
            ("UID FETCH 11 (UID BODY.PEEK[]<0.", piece(1, 11, one)),
            ("UID FETCH 12 (UID BODY.PEEK[]<0.", piece(2, 12, two)),
            ("UID FETCH 11 (UID BODY.PEEK[]<19.", end(1, 11, one)),
            ("UID FETCH 12 (UID BODY.PEEK[]<22.", end(2, 12, two)),
            ("UID STORE", say("%T OK stored\r\n")),
            ("UID EXPUNGE", say("* 1 EXPUNGE\r\n%T OK gone\r\n")),
            ("UID MOVE", say("%T OK moved\r\n")),
            ("IDLE", say("+ waiting\r\n* 3 EXISTS\r\n")),
            // Has no tag of its own; the answer bears that of IDLE.
            ("DONE", say("%T OK over\r\n")),
            ("LOGOUT", vec![Act::Say("* BYE\r\n%T OK bye\r\n".into()), Act::Close]),
        ],
        tagged: true,
        tls: None,
        tls_first: false,
    }
}

/// What is asked to know whether messages were copied before.
pub const MARKS: &str = "UID FETCH 11:12 (UID BODY.PEEK[HEADER.FIELDS";
/// The second SELECT of a session, back from the folder that was looked into. For [`fault`].
pub const SELECT_AGAIN: &str = "SELECT again";

/// What is said when mails are deleted.
pub const SESSION: [&str; 11] = [
    "CAPABILITY",
    "LOGIN",
    "SELECT",
    "NOOP",
    "FETCH 1:",
    "UID FETCH",
    "UID STORE",
    "UID EXPUNGE",
    "IDLE",
    "DONE",
    "LOGOUT",
];
/// What is said when marked mails are removed without UIDPLUS.
pub const REMOVE: [&str; 2] = ["UID SEARCH DELETED", "EXPUNGE"];
/// What is said beside it when mails are moved by copying; the last one only with UIDPLUS.
pub const COPY: [&str; 8] = [
    MARKS,
    "EXAMINE",
    "UID SEARCH HEADER",
    "UID FETCH 3 ",
    SELECT_AGAIN,
    "UID COPY",
    "UID STORE",
    "UID EXPUNGE",
];

/// Offers these, and has a folder in which the first message lies already, and a trash.
pub fn with_folders(offered: &str) -> Behaviour {
    let ids = "* 1 FETCH (UID 11 RFC822.SIZE 19 BODY[HEADER.FIELDS (MESSAGE-ID)] \
               {21}\r\nMessage-ID: <one@x>\r\n)\r\n\
               * 2 FETCH (UID 12 RFC822.SIZE 22 BODY[HEADER.FIELDS (MESSAGE-ID)] \
               {21}\r\nMessage-ID: <two@x>\r\n)\r\n%T OK\r\n";
    let list = "* LIST () \"/\" INBOX\r\n* LIST (\\Trash) \"/\" Papierkorb\r\n%T OK\r\n";
    proper()
        .but("CAPABILITY", capabilities(offered))
        .but("LIST", say(list))
        .but(MARKS, say(ids))
        .but("EXAMINE", say(EXAMINED))
        .but("UID SEARCH HEADER", say("* SEARCH\r\n%T OK\r\n"))
        .but("UID SEARCH HEADER Message-ID \"<one@x>\"", say("* SEARCH 3\r\n%T OK\r\n"))
        .but(
            "UID FETCH 3 ",
            say("* 1 FETCH (UID 3 BODY[HEADER.FIELDS (MESSAGE-ID)] \
                 {21}\r\nMessage-ID: <one@x>\r\n)\r\n%T OK\r\n"),
        )
        .but("UID SEARCH DELETED", say("* SEARCH 12 11\r\n%T OK\r\n"))
        .but("EXPUNGE", say("* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n%T OK\r\n"))
        .but("UID COPY", say("%T OK\r\n"))
}

/// That server, which answers so to one command.
pub fn fault(offered: &str, command: &'static str, acts: Vec<Act>) -> Behaviour {
    let server = with_folders(offered);
    if command == SELECT_AGAIN {
        let looked = vec![Act::Say(EXAMINED.into()), Act::FromNow("SELECT", acts)];
        return server.but("EXAMINE", looked);
    }
    server.but(command, acts)
}

const EXAMINED: &str = "* 1 EXISTS\r\n* OK [UIDVALIDITY 8] ok\r\n%T OK\r\n";

/// Answer that offers these.
pub fn capabilities(names: &str) -> Vec<Act> {
    say(&format!("* CAPABILITY IMAP4rev1 {names}\r\n%T OK done\r\n"))
}

/// A folder with so many messages of 2,000 bytes, whose UIDs are their numbers and a million. It
/// answers to a page with its page.
pub fn large(messages: u32) -> Behaviour {
    let exists = format!("* {messages} EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n%T OK open\r\n");
    proper().but("SELECT", say(&exists)).but("FETCH ", Make::with(listing))
}

/// The answer to `FETCH 3:5 (...)`.
fn listing(command: &str) -> String {
    let numbers = command.split(' ').nth(1).unwrap().split_once(':').unwrap();
    let (from, to) = (numbers.0.parse::<u32>().unwrap(), numbers.1.parse::<u32>().unwrap());
    let line = |number| {
        format!(
            "* {number} FETCH (UID {} RFC822.SIZE 2000 FLAGS () INTERNALDATE \
             \"17-Jul-2026 02:44:25 +0900\")\r\n",
            number + 1_000_000
        )
    };
    (from..=to).map(line).collect::<String>() + "%T OK listed\r\n"
}
