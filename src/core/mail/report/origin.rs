//! Who wrote a mail that looks like a report: a mail system, a program, or a person.

use super::super::Mail;
use super::super::structure::Structure;
use super::{field, phrases};
use crate::core::robot;

/// Who wrote it, as far as the mail shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A mail system: the mail is of the type for reports, or comes from an address that mail
    /// systems use.
    MailSystem,
    /// Something that wants no report of its own (RFC 5321 section 4.5.5): a mail system, or a
    /// program that answers mails (RFC 3834 section 3.3).
    NullPath,
    /// A program: only in connection with a mail that it returns.
    Program,
    /// A person, as long as nothing says otherwise.
    Person,
}

/// Fields that only mail systems write.
const MAIL_SYSTEM_FIELDS: [&str; 4] = [
    "X-Failed-Recipients",
    "X-MS-Exchange-Message-Is-Ndr",
    "X-Notes-DeliveryFailure",
    "X-Postfix-Queue-ID",
];
/// Fields by which programs say that nobody wrote the mail.
const PROGRAM_FIELDS: [&str; 2] = ["Auto-Submitted", "X-Auto-Response-Suppress"];

impl Origin {
    /// Looks at the header and at the type of the mail.
    pub fn of(structure: &Structure, mail: &Mail) -> Origin {
        let kind = structure.parts[0].content.kind.as_str();
        let typed = kind == "multipart/report" || super::fields::is_machine_part(kind);
        let null_path = mail.return_path == Some(None);
        let says = MAIL_SYSTEM_FIELDS.iter().any(|name| field(mail, name).is_some());
        let fails = phrases::begins_as_failure(&mail.subject);
        if typed || says || is_from_mail_system(mail) || null_path && fails {
            return Origin::MailSystem;
        }
        if null_path {
            return Origin::NullPath;
        }
        let automatic = |name: &str| {
            let value = field(mail, name).unwrap_or("no").trim();
            !value.is_empty() && !value.to_ascii_lowercase().starts_with("no")
        };
        let addresses = mail.from.iter().filter_map(|from| from.address.as_ref());
        let by_robot = addresses.into_iter().any(robot::is_unread);
        let program = by_robot || fails || PROGRAM_FIELDS.iter().any(|name| automatic(name));
        if program { Origin::Program } else { Origin::Person }
    }
}

fn is_from_mail_system(mail: &Mail) -> bool {
    let null_sender = field(mail, "From").is_some_and(|from| from.trim_end().ends_with("<>"));
    let senders = mail.from.iter().chain(&mail.sender);
    null_sender
        || senders.into_iter().any(|from| {
            from.address.as_ref().is_some_and(robot::is_mail_system)
                || robot::is_mail_system_name(&from.name)
        })
}
