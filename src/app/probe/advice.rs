//! What to do about a step that failed.

use crate::mailbox::MailboxError;
use crate::net::NetError;

/// The name has no address.
pub(super) const NAME: &str =
    "is `host` spelt as in DNS, and does this machine ask the right resolver?";
/// The name of a provider has no address.
pub(super) const PROVIDER: &str =
    "is `tokenUrl` spelt right, and does this machine ask the right resolver?";
/// Nobody answers there.
pub(super) const CONNECT: &str = "are `host` and `port` right, and does a firewall let us out?";
const TYPE: &str = "does the type fit the port?";
const CERTIFICATE: &str = "trust the server's authority, or its own certificate, with `tls: {ca: FILE}`; where only the \
     name differs, set `tls: {serverName: NAME}`";
const STARTTLS: &str =
    "the server offers no STARTTLS here; is the type ending in `s` meant, with its port?";
const FILES: &str = "are the paths under `tls` right?";
const PASSWORD: &str = "are `username` and the secret behind `password` right?";
const NO_MECHANISM: &str =
    "have LOGIN or AUTH=PLAIN enabled on the server, or declare `oauth2` if it takes access tokens";
const NOT_CONNECTED: &str = "Exchange took the login and opens no mailbox with it: is IMAP allowed for the mailbox \
     (Set-CASMailbox -ImapEnabled $true), has the application FullAccess to it by the object ID of the enterprise \
     application (New-ServicePrincipal, Add-MailboxPermission), and does `username` or `mailbox` name a mailbox with \
     a licence?";
const UNSAFE_LOGIN: &str = "the provider does not let this program in: allow IMAP and use an authorisation code in \
     the place of the password (163.com: settings, POP3/SMTP/IMAP)";
const TOKEN: &str = "may this token open this mailbox? Compare `username`, the scopes, and what the provider allows";
const SECRET: &str = "is the reference right, and may we read it? `{secret: NAME}` lies in the directory --secrets-dir";
const FOLDER: &str = "is `folder` written as the server names it, and is it in this mailbox?";

/// TLS could not be set up.
pub(super) fn tls(error: &NetError, port: u16) -> &'static str {
    match error {
        NetError::Certificate(..) => CERTIFICATE,
        NetError::Files(..) => FILES,
        NetError::Connect(..) | NetError::ConnectTimeout(..) => CONNECT,
        NetError::Handshake(..) if [25, 110, 143, 587].contains(&port) => {
            "does the type fit the port? This one begins in plain text: `imaptls`, `pop3tls`, `smtptls`"
        }
        NetError::Handshake(..) => TYPE,
    }
}

/// Step at which a mailbox failed, and what to do.
pub(super) fn of_mailbox(error: &MailboxError, token: bool) -> (&'static str, &'static str) {
    match error {
        MailboxError::Connect(_) => ("tcp", CONNECT),
        MailboxError::Tls { reason: "certificate", .. } => ("tls", CERTIFICATE),
        MailboxError::Tls { reason: "starttls", .. } => ("tls", STARTTLS),
        MailboxError::Tls { reason: "files", .. } => ("tls", FILES),
        MailboxError::Tls { .. } => ("tls", TYPE),
        MailboxError::Login(words) if words.contains("does not allow LOGIN") => {
            ("login", NO_MECHANISM)
        }
        MailboxError::Login(words) if words.contains("authenticated but not connected") => {
            ("login", NOT_CONNECTED)
        }
        MailboxError::Login(words) if words.to_lowercase().contains("unsafe login") => {
            ("login", UNSAFE_LOGIN)
        }
        MailboxError::Login(_) => ("login", if token { TOKEN } else { PASSWORD }),
        MailboxError::Secret(_) => ("secret", SECRET),
        MailboxError::Folder(_) => ("folder", FOLDER),
        MailboxError::Timeout(_) | MailboxError::Lost(_) => ("protocol", TYPE),
        MailboxError::Protocol(_) | MailboxError::TooLong { .. } => {
            ("protocol", "is it such a server at all? Compare `type`")
        }
        MailboxError::Throttled { .. } => (
            "login",
            "it is tried again by itself after a minute; do other programs use the account?",
        ),
        MailboxError::Busy { .. } => ("protocol", "the service wants to be left alone for a while"),
        MailboxError::Refused { .. } => ("protocol", "the server's own words say why"),
        MailboxError::Unsupported(_) => ("protocol", "choose another `type`"),
    }
}

/// Step at which an SMTP server failed, and what to do.
pub(super) fn of_server(cause: &str, message: &str, token: bool) -> (&'static str, &'static str) {
    match cause {
        "connect" => ("tcp", CONNECT),
        "tls" if message.contains("certificate") => ("tls", CERTIFICATE),
        "tls" if message.contains("STARTTLS") => {
            ("tls", "the server offers no STARTTLS here; is `smtps` meant, with port 465?")
        }
        "tls" => (
            "tls",
            "does the type fit the port? 465 speaks TLS at once (smtps), 587 later (smtptls)",
        ),
        "auth" if token => ("login", "may this token send? Compare `auth.username` and the scopes"),
        "auth" => ("login", "are `auth.username` and the secret behind `auth.password` right?"),
        "disk" => ("folder", "may we write there?"),
        "forbidden" => ("program", "the operator allows a program with --allow-sendmail PATH"),
        "timeout" | "protocol" => ("protocol", TYPE),
        "quota" => {
            ("mail", "the account has sent what it may for now; mails wait until it may again")
        }
        "policy" => ("mail", "the provider has closed the account for sending; ask there why"),
        "sender" => {
            ("mail", "may the login use this sender? Compare `senders.*.from` and `envelopeFrom`")
        }
        "busy" | "unavailable" | "throttled" => ("protocol", "it is tried again by itself"),
        _ => ("protocol", ""),
    }
}
