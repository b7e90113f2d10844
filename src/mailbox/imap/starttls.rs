//! STARTTLS (RFC 3501 section 6.2.1), spoken on the bare connection before the parser sees it.
//!
//! Architecture invariant: nothing the server said in plain text is known after the handshake, and
//! nothing secret is said before it.

use crate::mailbox::MailboxError;
use crate::mailbox::dial::Target;
use crate::mailbox::wire::Wire;
use crate::mailbox::words::repeatable;
use crate::net::Stream;

/// Untagged lines read in answer to one command.
const LINES_MAX: usize = 100;

/// Greets, asks for STARTTLS, encrypts.
pub async fn upgrade(stream: Stream, target: &Target<'_>) -> Result<Stream, MailboxError> {
    let mut wire = Wire::new(stream, target.timeout());
    greet(&mut wire).await?;
    let capabilities = ask(&mut wire, "S1", "CAPABILITY").await?;
    if !capabilities.iter().any(|line| offers_starttls(line)) {
        return Err(failed("server does not offer STARTTLS; see whether it offers imaps"));
    }
    ask(&mut wire, "S2", "STARTTLS").await?;
    // Somebody on the way could have put these bytes there, for us to take them as said under
    // the protection of TLS.
    if wire.has_more() {
        return Err(failed("plain text came after the server agreed to STARTTLS"));
    }
    match wire.into_stream() {
        Stream::Plain(stream) => target.encrypt(stream).await,
        stream @ Stream::Tls(_) => Ok(stream),
    }
}

async fn greet(wire: &mut Wire) -> Result<(), MailboxError> {
    let line = wire.line().await?;
    let line = String::from_utf8_lossy(&line).into_owned();
    match line.get(..5).map(str::to_ascii_uppercase).as_deref() {
        Some("* OK ") => Ok(()),
        Some("* PRE") => Err(failed("server claims that we are logged in before encryption")),
        Some("* BYE") => Err(goodbye(&line)),
        _ => Err(MailboxError::Protocol("greeting is not that of an IMAP server".into())),
    }
}

/// Sends a command and reads until its tagged OK; gives back the untagged lines.
async fn ask(
    wire: &mut Wire,
    tag: &str,
    command: &'static str,
) -> Result<Vec<String>, MailboxError> {
    wire.begin(command, 0);
    wire.send(format!("{tag} {command}\r\n").as_bytes()).await?;
    let mut lines = Vec::new();
    while lines.len() < LINES_MAX {
        let line = wire.line().await?;
        let line = String::from_utf8_lossy(&line).into_owned();
        match line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
            Some(answer) if starts_with_ok(answer) => return Ok(lines),
            Some(answer) => {
                return Err(failed(&format!("server refused {command}: {}", repeatable(answer))));
            }
            // RFC 3501 section 7.1.5: the server is about to close the connection.
            None if is_goodbye(&line) => return Err(goodbye(&line)),
            None if line.starts_with("* ") => lines.push(line),
            None => {
                return Err(MailboxError::Protocol(format!("answer to {command} is no answer")));
            }
        }
    }
    Err(MailboxError::Protocol(format!("{command} is answered by more than {LINES_MAX} lines")))
}

fn is_goodbye(line: &str) -> bool {
    line.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("* BYE"))
}

fn goodbye(line: &str) -> MailboxError {
    MailboxError::Lost(repeatable(line.get(5..).unwrap_or_default().trim_start()))
}

fn starts_with_ok(answer: &str) -> bool {
    answer.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case("OK"))
}

fn offers_starttls(line: &str) -> bool {
    let mut words = line.split(' ').skip(1);
    words.next().is_some_and(|word| word.eq_ignore_ascii_case("CAPABILITY"))
        && words.any(|word| word.eq_ignore_ascii_case("STARTTLS"))
}

fn failed(message: &str) -> MailboxError {
    MailboxError::Tls { reason: "starttls", message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: bool) {
        assert_eq!(offers_starttls(line), expected);
    }

    #[test]
    fn offered() {
        check("* CAPABILITY IMAP4rev1 starttls LOGINDISABLED", true);
    }

    #[test]
    fn stripped() {
        check("* CAPABILITY IMAP4rev1 XXXXXXXX", false);
    }

    #[test]
    fn only_mentioned() {
        check("* OK we know STARTTLS", false);
    }
}
