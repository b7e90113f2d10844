//! Hands one owed mail to one server and says what came of it.
//!
//! Architecture invariant: nothing in here knows the store or decides whether to try again;
//! `core::outgoing` does.

mod file;
mod graph;
pub mod programs;
mod sendmail;
mod smtp;

use secrecy::SecretString;

use crate::core::config::{Config, Sender, SmtpRoute, SmtpServer};
use crate::core::invisible;
use crate::core::outgoing::{Attempt, Outgoing};
use crate::secret::Secrets;
use programs::Programs;

/// Longest text of a server that we keep, in characters. Enough for the longest real refusals
/// with their links; what is longer is noise or hostile.
pub const REASON_CHARS_MAX: usize = 300;

/// What is known of earlier attempts at a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// There was none.
    Nothing,
    /// There may have been one, which failed or whose result was lost with a process.
    Perhaps,
    /// There was one that was [`Attempt::InDoubt`].
    InDoubt,
}

/// An open way to one server. Owned by one task; dropped when it is no longer [`usable`].
///
/// [`usable`]: Connection::usable
pub struct Connection(Way);

enum Way {
    Smtp(Box<smtp::Session>),
    Graph(Box<graph::Mailbox>),
    File(file::Folder),
    Sendmail(sendmail::Program),
}

/// Opens a way to a server; the `Err` is always [`Attempt::ServerDown`]. `token` is the access
/// token of a server that wants a login with OAuth2; `programs` are those that may run.
pub async fn open(
    server: &SmtpServer,
    secrets: &Secrets,
    programs: &Programs,
    token: Option<&SecretString>,
) -> Result<Connection, Attempt> {
    let way = match &server.route {
        SmtpRoute::Smtp { endpoint, login } => {
            let name = server.helo_name.as_deref();
            Way::Smtp(Box::new(smtp::Session::open(endpoint, name, login, secrets, token).await?))
        }
        SmtpRoute::Graph { endpoint, login } => {
            let mailbox = login.opens();
            let opened = graph::Mailbox::open(&server.name, endpoint, mailbox, secrets, token)?;
            Way::Graph(Box::new(opened))
        }
        SmtpRoute::File { directory } => Way::File(file::Folder::open(directory).await?),
        SmtpRoute::Sendmail { command } => {
            Way::Sendmail(sendmail::Program::open(command, programs)?)
        }
    };
    Ok(Connection(way))
}

/// The server, with the name by which we greet it (EHLO, RFC 5321 section 4.1.4): as declared, else
/// the host under which people reach the desk, else the domain of a sender that goes through it.
/// Without any, the greeting has our address, which relays inside the network accept and
/// smtp-relay.gmail.com does not (repoze/repoze.sendmail#50).
pub fn named(server: &SmtpServer, config: &Config, external_host: Option<&str>) -> SmtpServer {
    let through = |sender: &&Sender| sender.via.contains(&server.name);
    let sender = config.senders.values().find(through);
    let names = [external_host, sender.map(|sender| sender.from.domain())];
    let fallback = || names.into_iter().flatten().find(|name| is_public_name(name));
    let helo_name = server.helo_name.clone().or_else(|| fallback().map(str::to_owned));
    SmtpServer { helo_name, ..server.clone() }
}

/// Whether a name can mean something to a server elsewhere: neither `localhost` nor an address.
fn is_public_name(name: &str) -> bool {
    let sign = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let last = name.rsplit('.').next().unwrap_or_default();
    name.contains('.') && name.chars().all(sign) && last.chars().any(|c| c.is_ascii_alphabetic())
}

impl Connection {
    /// Sends one mail to its one recipient.
    ///
    /// A connection that breaks after the whole mail was handed over and before the answer came
    /// is [`Attempt::ServerDown`] too, `in_doubt` where the way can tell: the mail will be sent again
    /// with the same Message-ID, and the recipient may get it twice. The other choice would be to lose it.
    /// A way that can be asked later answers [`Attempt::InDoubt`] instead.
    ///
    /// Not safe to cancel: a connection whose `send` was dropped half-way must be dropped too.
    pub async fn send(&mut self, mail: &Outgoing, earlier: Earlier) -> Attempt {
        match &mut self.0 {
            Way::Smtp(session) => session.send(mail).await,
            Way::Graph(mailbox) => mailbox.send(mail, earlier).await,
            Way::File(folder) => folder.write(mail).await,
            Way::Sendmail(program) => program.run(mail).await,
        }
    }

    /// Whether the last mail, if it had the null sender, may have been refused for that alone: some
    /// servers want an envelope sender that belongs to the login.
    pub fn may_refuse_null_sender(&self) -> bool {
        match &self.0 {
            Way::Smtp(session) => session.may_refuse_null_sender(),
            Way::Graph(_) | Way::File(_) | Way::Sendmail(_) => false,
        }
    }

    /// Whether another mail may go this way. After `false`, drop it.
    pub fn usable(&self) -> bool {
        match &self.0 {
            Way::Smtp(session) => session.usable(),
            Way::Graph(mailbox) => mailbox.usable(),
            Way::File(_) | Way::Sendmail(_) => true,
        }
    }

    /// The server's certificate in DER, for its expiry; `None` where there is no TLS.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        match &self.0 {
            Way::Smtp(session) => session.peer_certificate(),
            Way::Graph(_) | Way::File(_) | Way::Sendmail(_) => None,
        }
    }

    /// Says goodbye; errors do not matter any more.
    pub async fn close(self) {
        match self.0 {
            Way::Smtp(session) => session.close().await,
            Way::Graph(_) | Way::File(_) | Way::Sendmail(_) => {}
        }
    }
}

/// The one sanitiser for texts of servers and programs on their way to log, status and history:
/// no control characters, nothing that hides or turns the direction of writing, bounded.
fn clean(text: &str) -> String {
    let harmless = |(c, hidden): (char, bool)| if hidden || c.is_control() { ' ' } else { c };
    let spaced: String = invisible::marked(text).take(4 * REASON_CHARS_MAX).map(harmless).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    words.join(" ").chars().take(REASON_CHARS_MAX).collect()
}

/// The server cannot be used now.
fn down(cause: &'static str, message: impl std::fmt::Display) -> Attempt {
    Attempt::ServerDown { cause, message: clean(&message.to_string()), in_doubt: false }
}

/// The same, when no answer came after the whole mail was handed over.
fn in_doubt(attempt: Attempt) -> Attempt {
    match attempt {
        Attempt::ServerDown { cause, message, .. } => {
            Attempt::ServerDown { cause, message, in_doubt: true }
        }
        Attempt::Sent | Attempt::Temporary(_) | Attempt::Permanent(_) | Attempt::InDoubt { .. } => {
            attempt
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::address::Address;
    use crate::core::config::Switch;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(clean(text), expected);
    }

    #[test]
    fn the_name_in_the_greeting() {
        let server = |helo_name: Option<&str>| SmtpServer {
            name: "relay".into(),
            route: SmtpRoute::File { directory: "out".into() },
            connections: 1,
            helo_name: helo_name.map(str::to_owned),
            state: Switch::Enabled,
        };
        let sender = |from: &str| Sender {
            name: "default".into(),
            from_name: String::new(),
            from: Address::parse(from).unwrap(),
            envelope_from: None,
            via: vec!["relay".into()],
            state: Switch::Enabled,
        };
        let check = |declared, external, from: &str, expected: Option<&str>| {
            let mut config = Config::default();
            config.senders.insert("default".into(), sender(from));
            let named = named(&server(declared), &config, external);
            assert_eq!(named.helo_name.as_deref(), expected);
        };
        let external = Some("desk.example.com");
        check(Some("mx.example.com"), external, "a@example.com", Some("mx.example.com"));
        check(None, external, "a@example.com", Some("desk.example.com"));
        for external in [None, Some("localhost"), Some("10.1.2.3"), Some("[2001:db8::1]")] {
            check(None, external, "a@example.com", Some("example.com"));
        }
        check(None, None, "a@intranet", None);
        check(None, None, "a@例え.jp", None);
    }

    #[test]
    fn plain_text_stays() {
        check("550 5.1.1 no such user", "550 5.1.1 no such user");
    }

    #[test]
    fn control_characters_become_spaces() {
        check("550 a\r\nlevel=error\x1b[31m b\0", "550 a level=error [31m b");
    }

    #[test]
    fn direction_of_writing_cannot_be_turned() {
        check("550 \u{202E}evil", "550 evil");
    }

    #[test]
    fn length_is_bounded_in_characters() {
        check(&"あ".repeat(5000), &"あ".repeat(REASON_CHARS_MAX));
    }
}
