//! What lies in a mailbox, as another mail program sees it: a few commands of IMAP and POP3.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::server::PASSWORD;

/// A server that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Whether it has the flag `\Seen`.
    pub seen: bool,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// A line of an answer, and the literal that follows it.
type Line = (String, Option<Vec<u8>>);

/// A session of IMAP.
pub struct Imap(BufReader<TcpStream>);

impl Imap {
    /// Logs in.
    pub fn login(port: u16, user: &str) -> Imap {
        let mut session = Imap(connect(port));
        let mut greeting = String::new();
        session.0.read_line(&mut greeting).unwrap();
        let password = PASSWORD.replace('\\', "\\\\").replace('"', "\\\"");
        session.command(&format!("LOGIN {user} \"{password}\"")).unwrap();
        session
    }

    /// Messages in a folder, without a trace of the look.
    pub fn messages(&mut self, folder: &str) -> Result<Vec<Message>, String> {
        let lines = self.command(&format!("EXAMINE \"{folder}\""))?;
        if lines.iter().any(|(line, _)| line.trim_end() == "* 0 EXISTS") {
            return Ok(Vec::new());
        }
        let lines = self.command("FETCH 1:* (FLAGS BODY.PEEK[])")?;
        let messages = lines.into_iter().filter_map(|(line, bytes)| {
            Some(Message { seen: line.contains("\\Seen"), bytes: bytes? })
        });
        Ok(messages.collect())
    }

    /// Runs a command; answers with each line and its literal, or with what the server refused.
    pub fn command(&mut self, command: &str) -> Result<Vec<Line>, String> {
        write!(self.0.get_mut(), "a {command}\r\n").unwrap();
        let mut lines = Vec::new();
        loop {
            let (line, literal) = self.line();
            match line.strip_prefix("a ") {
                Some(end) if end.starts_with("OK") => return Ok(lines),
                Some(end) => return Err(format!("{command}: {end}")),
                None => lines.push((line, literal)),
            }
        }
    }

    /// A line, and the literal in it (RFC 9051 section 4.3).
    fn line(&mut self) -> (String, Option<Vec<u8>>) {
        let mut line = String::new();
        let mut literal = None;
        loop {
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the server hung up");
            let Some((_, length)) = line.trim_end().rsplit_once('{') else { break };
            let Some(Ok(length)) = length.strip_suffix('}').map(str::parse) else { break };
            let mut bytes = vec![0; length];
            self.0.read_exact(&mut bytes).unwrap();
            literal = Some(bytes);
        }
        (line, literal)
    }
}

/// How many messages POP3 shows.
pub fn pop3_count(port: u16, user: &str) -> Result<usize, String> {
    let mut session = connect(port);
    let mut answer = |command: Option<String>| {
        if let Some(command) = &command {
            write!(session.get_mut(), "{command}\r\n").unwrap();
        }
        let mut line = String::new();
        session.read_line(&mut line).unwrap();
        let refused = || format!("{}: {line}", command.as_deref().unwrap_or("greeting"));
        line.strip_prefix("+OK").map(str::to_owned).ok_or_else(refused)
    };
    answer(None)?;
    answer(Some(format!("USER {user}")))?;
    answer(Some(format!("PASS {PASSWORD}")))?;
    let count = answer(Some("STAT".into()))?;
    answer(Some("QUIT".into()))?;
    count.split_whitespace().next().and_then(|count| count.parse().ok()).ok_or(count)
}

fn connect(port: u16) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}
