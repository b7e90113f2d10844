//! Addresses of programs: local parts that belong to mail systems, and those that say that nobody
//! reads them.
//!
//! Architecture invariant: data and comparisons only; what follows from them is decided by
//! [`super::reply`] and by the reader of reports.

use super::address::Address;

/// Local parts of mail systems (RFC 2142 section 5, and what their programs write), letters and
/// digits only.
const MAIL_SYSTEMS: [&str; 14] = [
    "mailerdaemon",
    "maildaemon",
    "maildeliverysubsystem",
    "maildeliverysystem",
    "maildelivery",
    "mailsystem",
    "mdaemon",
    "postmaster",
    "mailmaster",
    "bounce",
    "bounces",
    "nondelivery",
    "mailserver",
    "smtpdaemon",
];

/// Exchange Online writes reports as `MicrosoftExchange` and 32 hexadecimal digits.
const EXCHANGE_PREFIX: &str = "microsoftexchange";

/// Display names of mail systems, in lower case; one that contains any of them is one.
const MAIL_SYSTEM_NAMES: [&str; 14] = [
    "mail delivery",
    "mailer-daemon",
    "mailer daemon",
    "mail daemon",
    "maildelivery",
    "delivery subsystem",
    "delivery system",
    "postmaster",
    "microsoft exchange",
    "microsoft outlook",
    "system administrator",
    "systemadministrator",
    "mail administrator",
    "メール配信",
];

/// Words in a local part that say that nobody reads it, letters and digits only.
const UNREAD: [&str; 9] = [
    "noreply",
    "donotreply",
    "dontreply",
    "noresponse",
    "neantworten",
    "nichtantworten",
    "nepasrepondre",
    "norespond",
    "unattended",
];

/// Names of programs and of mailboxes that programs write from.
const PROGRAMS: [&str; 11] = [
    "nobody",
    "root",
    "daemon",
    "cron",
    "crondaemon",
    "wwwdata",
    "autoreply",
    "autoresponder",
    "autoresponse",
    "autoanswer",
    "vacation",
];

/// Whether the mail system itself writes from this address, and what it writes are reports.
pub fn is_mail_system(address: &Address) -> bool {
    let name = letters(mailbox_name(address));
    MAIL_SYSTEMS.contains(&name.as_str())
        || name.strip_prefix(EXCHANGE_PREFIX).is_some_and(|rest| rest.len() == 32)
        || is_bounce_address(address)
}

/// Whether a display name is one that mail systems give themselves.
pub fn is_mail_system_name(name: &str) -> bool {
    let name = name.to_lowercase();
    MAIL_SYSTEM_NAMES.iter().any(|known| name.contains(known))
}

/// Whether a local part says that nobody reads what is sent to it, or belongs to a program.
pub fn is_unread(address: &Address) -> bool {
    let name = letters(mailbox_name(address));
    PROGRAMS.contains(&name.as_str())
        || UNREAD.iter().any(|word| name.contains(word))
        || is_bounce_address(address)
}

/// Return paths that name the recipient or the mail (VERP): `bounce-7=eve=cust.example@list.example`,
/// `bounces+12-ab@mail.example`, `msprvs1=...`, `SRS0=...`, `prvs=...`.
fn is_bounce_address(address: &Address) -> bool {
    let local = address.local();
    let names_recipient = local
        .split_once('=')
        .is_some_and(|(before, after)| !before.is_empty() && after.contains('.'));
    let of_list = local.ends_with("-bounces") || local.starts_with("owner-");
    if names_recipient || of_list {
        return true;
    }
    let first = local.split(['+', '-', '=', '.', '_']).next().unwrap_or_default();
    let marked = first.len() < local.len();
    marked && matches!(first, "bounce" | "bounces" | "bounced" | "msprvs1" | "srs0" | "srs1")
}

/// The local part without what follows a `+` (RFC 5233).
fn mailbox_name(address: &Address) -> &str {
    let local = address.local();
    local.split_once('+').map_or(local, |(name, _detail)| name)
}

fn letters(local: &str) -> String {
    local.chars().filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, mail_system: bool, unread: bool) {
        let address = Address::parse(address).unwrap();
        assert_eq!((is_mail_system(&address), is_unread(&address)), (mail_system, unread));
    }

    #[test]
    fn mail_systems() {
        check("MAILER-DAEMON@mx.test", true, false);
        check("mailer_daemon@mx.test", true, false);
        check("Postmaster@mx.test", true, false);
        check("MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@mx.test", true, false);
        check("bounces+7-ab@mx.test", true, true);
        check("bounce-12=eve=cust.test@list.test", true, true);
        check("list-return-7-eve=cust.test@list.test", true, true);
        check("users-bounces@list.test", true, true);
        check("mailman@mx.test", false, false);
        check("microsoftexchange@mx.test", false, false);
    }

    #[test]
    fn addresses_that_nobody_reads() {
        for address in [
            "no-reply@x.test",
            "no_reply@x.test",
            "No-Reply-AWS@x.test",
            "drive-shares-noreply@x.test",
            "donotreply@x.test",
            "do-not-reply.shop@x.test",
            "noreply+7@x.test",
            "root@x.test",
            "nobody@x.test",
        ] {
            check(address, false, true);
        }
        for address in ["eve@x.test", "noreen@x.test", "roots@x.test", "bouncer@x.test"] {
            check(address, false, false);
        }
    }

    #[test]
    fn names() {
        assert!(is_mail_system_name("Mail Delivery Subsystem"));
        assert!(is_mail_system_name("MAILER-DAEMON"));
        assert!(!is_mail_system_name("Eve Postman"));
    }
}
