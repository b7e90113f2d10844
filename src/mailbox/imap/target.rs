//! Folders that do not open: whether they are missing, and under which name a server has them.
//!
//! Servers with a personal namespace (RFC 2342) keep all folders of a person beneath INBOX, as
//! Courier and older Cyrus do: `Done` is `INBOX.Done` there, and cannot be made under the other name.
//!
//! Architecture invariant: that a folder is missing is said by a code of the server (RFC 5530
//! NONEXISTENT, RFC 3501 TRYCREATE), or by a listing that ends with OK and does not have it.

use imap_proto::{MailboxDatum, NameAttribute, Response};

use super::folder_argument;
use super::session::{Allowance, Session};
use super::utf7;
use crate::mailbox::MailboxError;

/// The folder that every mailbox has, in whatever case it is written (RFC 3501 section 5.1).
const INBOX: &str = "INBOX";

/// What `session` makes of the code TRYCREATE, and the code that is left in the words.
const MISSING: [&str; 2] = ["the folder does not exist", "[NONEXISTENT]"];

/// What servers say that took the login and do not open any folder with it.
const LOGIN_TROUBLES: [&str; 2] = [
    // Exchange Online, where protocol, permission or mailbox are wrong: jstedfast/MailKit#1494.
    "authenticated but not connected",
    // NetEase, for a client that it does not know: pimalaya/himalaya#651.
    "unsafe login",
];

/// Why a folder was not opened, for which the server gave this reason.
pub(super) async fn why_not_opened(
    session: &mut Session,
    command: &'static str,
    folder: &str,
    message: String,
) -> MailboxError {
    let lower = message.to_lowercase();
    if LOGIN_TROUBLES.iter().any(|words| lower.contains(words)) {
        return MailboxError::Login(message);
    }
    let message = format!("{folder:?}: {message}");
    if names_missing(&message) {
        return MailboxError::Folder(message);
    }
    match is_listed(session, folder).await {
        Ok(false) => MailboxError::Folder(message),
        Ok(true) | Err(MailboxError::Refused { .. }) => MailboxError::Refused { command, message },
        Err(error) => error,
    }
}

/// Whether a refusal says that the folder is missing.
pub(super) fn is_missing(refusal: &MailboxError) -> bool {
    matches!(refusal, MailboxError::Refused { message, .. } if names_missing(message))
}

fn names_missing(message: &str) -> bool {
    MISSING.iter().any(|words| message.contains(words))
}

/// The name under which the server has a folder; `None` if it is missing.
pub(super) async fn find(
    session: &mut Session,
    folder: &str,
) -> Result<Option<String>, MailboxError> {
    if is_listed(session, folder).await? {
        return Ok(Some(folder.to_owned()));
    }
    match beneath_inbox(session, folder).await? {
        Some(beneath) if is_listed(session, &beneath).await? => Ok(Some(beneath)),
        _ => Ok(None),
    }
}

/// Makes a folder, as it is written or else beneath INBOX, and answers with its name.
pub(super) async fn create(session: &mut Session, folder: &str) -> Result<String, MailboxError> {
    let refusal = match create_as(session, folder).await {
        Err(refusal @ MailboxError::Refused { .. }) => refusal,
        other => return other.map(|()| folder.to_owned()),
    };
    let Some(beneath) = beneath_inbox(session, folder).await? else { return Err(refusal) };
    match create_as(session, &beneath).await {
        Ok(()) => Ok(beneath),
        Err(MailboxError::Refused { .. }) => Err(refusal),
        Err(error) => Err(error),
    }
}

async fn create_as(session: &mut Session, folder: &str) -> Result<(), MailboxError> {
    let argument = folder_argument(folder)?;
    let text = format!("CREATE {argument}");
    match session.command("CREATE", &text, Allowance::default(), |_| Ok(())).await {
        Err(MailboxError::Refused { command, message }) => {
            let message = format!("folder {folder:?}: {message}");
            return Err(MailboxError::Refused { command, message });
        }
        other => other?,
    }
    tracing::info!(folder, "the folder for moved mails was missing and is made");
    // So that mail programs show it.
    let text = format!("SUBSCRIBE {argument}");
    match session.command("SUBSCRIBE", &text, Allowance::default(), |_| Ok(())).await {
        Ok(()) | Err(MailboxError::Refused { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The folder's name in a namespace that begins with INBOX.
async fn beneath_inbox(
    session: &mut Session,
    folder: &str,
) -> Result<Option<String>, MailboxError> {
    let mut delimiter = None;
    list(session, INBOX, |name| {
        if name.text.eq_ignore_ascii_case(INBOX) {
            delimiter = name.delimiter.map(str::to_owned);
        }
    })
    .await?;
    let Some(delimiter) = delimiter else { return Ok(None) };
    let prefix = format!("{INBOX}{delimiter}");
    let head = folder.get(..prefix.len());
    let has_it = head.is_some_and(|head| head.eq_ignore_ascii_case(&prefix));
    Ok((!has_it).then(|| format!("{prefix}{folder}")))
}

/// Whether the server lists a folder into which mails can go.
async fn is_listed(session: &mut Session, folder: &str) -> Result<bool, MailboxError> {
    let encoded = utf7::encode(folder);
    let mut listed = false;
    list(session, folder, |name| {
        let same = name.text == encoded
            || (folder.eq_ignore_ascii_case(INBOX) && name.text.eq_ignore_ascii_case(INBOX));
        let usable = !name.attributes.iter().any(|attribute| match attribute {
            NameAttribute::NoSelect => true,
            NameAttribute::Extension(other) => other.eq_ignore_ascii_case("\\NonExistent"),
            _ => false,
        });
        listed |= same && usable;
    })
    .await?;
    Ok(listed)
}

/// A name in the answer to LIST.
struct Listed<'a> {
    text: &'a str,
    delimiter: Option<&'a str>,
    attributes: &'a [NameAttribute<'a>],
}

/// A LIST (RFC 3501 section 6.3.8). Wildcards in the name only make the answer longer.
async fn list(
    session: &mut Session,
    folder: &str,
    mut see: impl FnMut(&Listed<'_>) + Send,
) -> Result<(), MailboxError> {
    let text = format!("LIST \"\" {}", folder_argument(folder)?);
    session
        .command("LIST", &text, Allowance::default(), |response| {
            if let Response::MailboxData(MailboxDatum::List(list)) = response {
                see(&Listed {
                    text: &list.name,
                    delimiter: list.delimiter.as_deref(),
                    attributes: &list.name_attributes,
                });
            }
            Ok(())
        })
        .await
}
