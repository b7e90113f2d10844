//! A POP3 server with two small messages.

use super::{Act, Behaviour, say};

/// Both messages, as they should arrive.
pub const MAILS: [&str; 2] = ["Subject: one\r\n\r\n1\r\n", "Subject: two\r\n\r\n.zwei\r\n"];

/// Answers as it should.
pub fn proper() -> Behaviour {
    let [one, two] = MAILS;
    Behaviour {
        greeting: say("+OK ready\r\n"),
        answers: vec![
            ("CAPA", say("+OK\r\nUIDL\r\nTOP\r\n.\r\n")),
            ("STLS", vec![Act::Say("+OK go on\r\n".into()), Act::Encrypt]),
            ("USER", say("+OK\r\n")),
            ("PASS", say("+OK welcome\r\n")),
            ("LIST", say(&format!("+OK\r\n1 {}\r\n2 {}\r\n.\r\n", one.len(), two.len()))),
            ("UIDL 1", say("+OK 1 id-one\r\n")),
            ("UIDL 2", say("+OK 2 id-two\r\n")),
            ("UIDL", say("+OK\r\n1 id-one\r\n2 id-two\r\n.\r\n")),
            ("RETR 1", say(&format!("+OK\r\n{one}.\r\n"))),
            ("RETR 2", say(&format!("+OK\r\n{}.\r\n", two.replace("\r\n.", "\r\n..")))),
            ("TOP", say("+OK\r\nSubject: one\r\n\r\n.\r\n")),
            ("DELE", say("+OK\r\n")),
            ("QUIT", vec![Act::Say("+OK bye\r\n".into()), Act::Close]),
        ],
        tagged: false,
        tls: None,
        tls_first: false,
    }
}

/// A mailbox with so many messages of 2,000 bytes, whose unique ids have 20 bytes.
pub fn large(messages: u32) -> Behaviour {
    let lines = |line: fn(u32) -> String| {
        let all: String = (1..=messages).map(line).collect();
        say(&format!("+OK\r\n{all}.\r\n"))
    };
    proper()
        .but("LIST", lines(|number| format!("{number} 2000\r\n")))
        .but("UIDL", lines(|number| format!("{number} 000000{:014x}\r\n", u64::from(number) << 20)))
}
