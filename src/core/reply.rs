//! May we answer this mail by ourselves, and if not, why not.
//!
//! Architecture invariant: automatic mail, our own addresses and agents are never answered, and
//! no setting changes that (RFC 3834 section 2).

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::authentication;
use super::config::{Answer, Config, Sender, Switch};
use super::header;
use super::intake::{Answered, SenderOfMail};
use super::mail::Mail;
use super::subject;
use super::ticket::TicketId;

/// Headers by which programs other than mail servers ask not to be answered, or say that they
/// are answers themselves.
const VENDOR_HEADERS: [&str; 9] = [
    "X-Auto-Response-Suppress",
    "X-Autoreply",
    "X-Auto-Reply",
    "X-Autorespond",
    "X-Autoresponder",
    "X-Autoreply-From",
    "X-Mail-Autoreply",
    "X-No-Loop",
    "X-FC-MachineGenerated",
];

/// Why a mail is not answered automatically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Suppression {
    /// `Auto-Submitted` is not `no` (RFC 3834 section 5).
    AutoSubmitted,
    /// The return path is null (RFC 3834 section 2).
    NullReturnPath,
    /// A `List-*` header (RFC 2369, RFC 2919).
    MailingList,
    /// `Precedence: bulk`, `list` or `junk`.
    Precedence,
    /// `X-Auto-Response-Suppress`, `X-Autoreply`, `X-No-Loop` and their kin.
    VendorHeader,
    /// `X-Loop`.
    Loop,
    /// A delivery report or disposition notification.
    Report,
    /// The local part belongs to a robot: mailer-daemon, postmaster, noreply.
    Robot,
    /// The sender is one of our addresses.
    OwnAddress,
    /// The sender is an agent.
    Agent,
    /// There is no address to answer to.
    NoAddress,
    /// A filter or control header said so.
    Filter,
    /// The daily bound of this address is reached.
    PerDay,
    /// The three-hour bound of this address is reached.
    PerThreeHours,
    /// The hourly bound of this address in this ticket is reached.
    PerTicket,
    /// So many tickets of this address and subject were answered in a day.
    PerSubject,
    /// The hourly bound of the whole desk is reached.
    PerHour,
    /// Mail to this address failed for good before.
    Undeliverable,
    /// This address reported mail of the ticket as unwanted.
    Complained,
    /// A follow-up that anybody could have written names a Reply-To that takes no part in the
    /// ticket.
    UnknownReplyTo,
    /// Only authentic mail is answered, and nobody says so of this one.
    Unauthenticated,
}

impl Suppression {
    /// Label for metrics and history.
    pub fn label(&self) -> &'static str {
        match self {
            Suppression::AutoSubmitted => "autoSubmitted",
            Suppression::NullReturnPath => "nullReturnPath",
            Suppression::MailingList => "mailingList",
            Suppression::Precedence => "precedence",
            Suppression::VendorHeader => "vendorHeader",
            Suppression::Loop => "loop",
            Suppression::Report => "report",
            Suppression::Robot => "robot",
            Suppression::OwnAddress => "ownAddress",
            Suppression::Agent => "agent",
            Suppression::NoAddress => "noAddress",
            Suppression::Filter => "filter",
            Suppression::PerDay => "perDay",
            Suppression::PerThreeHours => "perThreeHours",
            Suppression::PerTicket => "perTicket",
            Suppression::PerSubject => "perSubject",
            Suppression::PerHour => "perHour",
            Suppression::Undeliverable => "undeliverable",
            Suppression::Complained => "complained",
            Suppression::UnknownReplyTo => "unknownReplyTo",
            Suppression::Unauthenticated => "unauthenticated",
        }
    }
}

/// What speaks against an answer, as far as mail and configuration tell; the first reason counts,
/// in the order of [`Suppression`].
///
/// `auto_reply` is what filters want; `Some(true)` lifts the two reasons that speak of the way a mail
/// was distributed and not of who wrote it, list headers and Precedence, and the want of a proof of
/// who did. Nothing lifts the others: an answer to a robot
/// or to ourselves is how loops begin (RFC 3834 section 2).
pub fn suppression(
    config: &Config,
    mail: &Mail,
    sender: &SenderOfMail,
    auto_reply: Option<bool>,
) -> Option<Suppression> {
    by_header(mail, auto_reply == Some(true))
        .or_else(|| by_sender(config, mail, sender))
        .or_else(|| (auto_reply == Some(false)).then_some(Suppression::Filter))
        .or_else(|| unauthenticated(config, mail, sender).filter(|_| auto_reply != Some(true)))
}

/// Anybody can write in anybody's name. A desk that wants nobody to get answers to what he never
/// wrote believes its own mail server only, and answers nobody but the author or his domain.
fn unauthenticated(config: &Config, mail: &Mail, sender: &SenderOfMail) -> Option<Suppression> {
    let is_proven = |server: &String| authentication::method(mail, server).is_some();
    let answered = sender.answer_to.as_ref().map(Address::domain);
    let author = sender.mailbox.address.as_ref().map(Address::domain);
    match config.intake.answer {
        Answer::Everybody => None,
        Answer::Authenticated
            if answered == author && config.intake.authserv_id.as_ref().is_some_and(is_proven) =>
        {
            None
        }
        Answer::Authenticated => Some(Suppression::Unauthenticated),
    }
}

/// What speaks against it, given how often this address, this address in this ticket, and
/// everybody together were answered.
pub fn over_limit(
    config: &Config,
    sender: &SenderOfMail,
    ticket: TicketId,
    answered: &Answered,
) -> Option<Suppression> {
    let limits = &config.limits;
    let own = sender.answer_to.as_ref().and_then(|to| limits.auto_replies_per_address.get(to));
    let per_day = own.copied().unwrap_or(limits.auto_replies_per_day);
    if answered.day >= per_day {
        Some(Suppression::PerDay)
    } else if answered.three_hours >= limits.auto_replies_per_three_hours {
        Some(Suppression::PerThreeHours)
    } else if in_ticket(answered, ticket) >= limits.auto_replies_per_ticket as usize {
        Some(Suppression::PerTicket)
    } else if answered.desk >= limits.auto_replies_per_hour {
        Some(Suppression::PerHour)
    } else {
        None
    }
}

/// What speaks against the answer to a new ticket: an answering machine that shows no sign of
/// being one says the same again and again, and each time it would be answered anew.
pub fn over_subject(config: &Config, subject: &str, answered: &Answered) -> Option<Suppression> {
    let this = subject::bare(&config.desk, subject);
    let same = |one: &&String| subject::bare(&config.desk, one) == this;
    let count = answered.subjects.iter().filter(same).count();
    (count >= config.limits.auto_replies_per_subject as usize).then_some(Suppression::PerSubject)
}

fn in_ticket(answered: &Answered, ticket: TicketId) -> usize {
    answered.tickets.iter().filter(|one| **one == ticket).count()
}

/// Whether an address is one of ours: a system address (also one that is switched off), or one
/// that our mail is sent from.
pub fn is_ours(config: &Config, address: &Address) -> bool {
    let sends =
        |sender: &Sender| sender.from == *address || sender.envelope_from.as_ref() == Some(address);
    config.system_addresses.contains_key(address) || config.senders.values().any(sends)
}

/// User name of the agent with this address. A user who is switched off for good is no agent.
pub fn agent_with<'a>(config: &'a Config, address: &Address) -> Option<&'a str> {
    let user = config.users.values().find(|user| user.email == *address)?;
    match user.state {
        Switch::Enabled | Switch::Paused => Some(&user.name),
        Switch::Disabled => None,
    }
}

/// Whether an address belongs to a program: the mail system's own, and those that say that nobody
/// reads them.
pub fn is_robot(address: &Address) -> bool {
    is_mail_system(address) || refuses_answers(address)
}

/// Whether something about a mail speaks against an answer.
type Check = fn(&Mail) -> bool;

fn by_header(mail: &Mail, allowed: bool) -> Option<Suppression> {
    let checks: [(Check, Suppression); 7] = [
        (is_auto_submitted, Suppression::AutoSubmitted),
        (has_null_return_path, Suppression::NullReturnPath),
        (is_from_list, Suppression::MailingList),
        (has_precedence, Suppression::Precedence),
        (has_vendor_header, Suppression::VendorHeader),
        (has_looped, Suppression::Loop),
        (is_report, Suppression::Report),
    ];
    let lifted = |reason: &Suppression| {
        allowed && matches!(reason, Suppression::MailingList | Suppression::Precedence)
    };
    let mut found = checks.into_iter().filter(|(holds, _)| holds(mail)).map(|(_, why)| why);
    found.find(|reason| !lifted(reason))
}

/// RFC 3834 section 5: keywords are case-insensitive, comments and parameters may follow.
fn is_auto_submitted(mail: &Mail) -> bool {
    header::values(mail, "Auto-Submitted").any(|value| !keyword(value).eq_ignore_ascii_case("no"))
}

fn keyword(value: &str) -> &str {
    let end = value.find(['(', ';']).unwrap_or(value.len());
    value[..end].trim()
}

fn has_null_return_path(mail: &Mail) -> bool {
    mail.return_path == Some(None)
}

/// RFC 2369 and RFC 2919 headers, and the one that older list software writes.
fn is_from_list(mail: &Mail) -> bool {
    mail.headers.iter().any(|field| {
        let name = field.name.trim().to_ascii_lowercase();
        name.starts_with("list-") || name == "mailing-list"
    })
}

fn has_precedence(mail: &Mail) -> bool {
    let known = |value: &str| {
        ["bulk", "list", "junk"].iter().any(|word| keyword(value).eq_ignore_ascii_case(word))
    };
    header::values(mail, "Precedence").any(known)
}

fn has_vendor_header(mail: &Mail) -> bool {
    let said = |name: &&str| header::values(mail, name).any(|value| !is_denial(value));
    VENDOR_HEADERS.iter().any(said)
}

/// `X-Autoreply: no` and `X-Auto-Response-Suppress: None` ask for nothing.
fn is_denial(value: &str) -> bool {
    ["", "no", "none", "false", "0"].iter().any(|word| keyword(value).eq_ignore_ascii_case(word))
}

fn has_looped(mail: &Mail) -> bool {
    header::values(mail, "X-Loop").any(|value| !value.trim().is_empty())
}

/// RFC 3464 and RFC 8098.
fn is_report(mail: &Mail) -> bool {
    let typed = |value: &str| {
        let value = value.trim_start().to_ascii_lowercase();
        value.starts_with("multipart/report")
            || value.starts_with("message/delivery-status")
            || value.starts_with("message/disposition-notification")
    };
    mail.report.is_some() || header::values(mail, "Content-Type").any(typed)
}

fn by_sender(config: &Config, mail: &Mail, sender: &SenderOfMail) -> Option<Suppression> {
    let wrote = mail.from.iter().chain(&mail.sender).filter_map(|mailbox| mailbox.address.as_ref());
    let mut involved = wrote.chain(&sender.mailbox.address).chain(&sender.answer_to);
    let answer_to = sender.answer_to.as_ref();
    if involved.clone().any(is_mail_system) || answer_to.is_some_and(refuses_answers) {
        Some(Suppression::Robot)
    } else if involved.any(|address| is_ours(config, address)) {
        Some(Suppression::OwnAddress)
    } else if is_agent(config, sender) {
        Some(Suppression::Agent)
    } else if answer_to.is_none() {
        Some(Suppression::NoAddress)
    } else {
        None
    }
}

fn is_agent(config: &Config, sender: &SenderOfMail) -> bool {
    let answered = sender.answer_to.as_ref().and_then(|to| agent_with(config, to));
    sender.agent.is_some() || answered.is_some()
}

/// Addresses of the mail system itself (RFC 2142 section 5); they are robots whoever is answered.
fn is_mail_system(address: &Address) -> bool {
    ["mailer-daemon", "postmaster", "abuse"].contains(&mailbox_name(address))
}

/// Addresses that say that nobody reads them. Only the one that would be answered counts: a form
/// on a web site writes as `noreply` and names the person in Reply-To.
fn refuses_answers(address: &Address) -> bool {
    let letters: String = mailbox_name(address).chars().filter(|c| c.is_alphanumeric()).collect();
    ["noreply", "donotreply", "bounce", "bounces", "nobody"].contains(&letters.as_str())
}

/// The local part without what follows a `+` (RFC 5233).
fn mailbox_name(address: &Address) -> &str {
    let local = address.local();
    local.split_once('+').map_or(local, |(name, _detail)| name)
}

#[cfg(test)]
mod tests {
    use super::super::intake::sender_of;
    use super::super::samples::{config, mail};
    use super::*;

    const EVE: &str = "From: Eve <eve@cust.example>\n";

    #[track_caller]
    fn check_with(auto_reply: Option<bool>, headers: &str, expected: Option<Suppression>) {
        let (config, mail) = (config(), mail(headers));
        let sender = sender_of(&config, &mail);
        assert_eq!(suppression(&config, &mail, &sender, auto_reply), expected, "{headers}");
    }

    #[track_caller]
    fn check(header: &str, expected: Option<Suppression>) {
        check_with(None, &format!("{EVE}{header}"), expected);
    }

    #[test]
    fn ordinary_mail_is_answered() {
        check("", None);
        check("Auto-Submitted: no", None);
        check("Auto-Submitted: NO (a person wrote this)", None);
        check("Precedence: first-class", None);
        check("X-Auto-Response-Suppress: None", None);
        check("X-Autoreply: no", None);
        check("Return-Path: <eve@cust.example>", None);
    }

    /// Answered only if authentic, and an answer goes here.
    #[track_caller]
    fn check_authentic(result: &str, reply_to: &str, auto_reply: Option<bool>, answered: bool) {
        let mut config = config();
        config.intake.answer = Answer::Authenticated;
        config.intake.authserv_id = Some("mx.corp.example".into());
        let headers = format!("Authentication-Results: {result}\n{EVE}{reply_to}");
        let mail = mail(&headers);
        let sender = sender_of(&config, &mail);
        let expected = (!answered).then_some(Suppression::Unauthenticated);
        assert_eq!(suppression(&config, &mail, &sender, auto_reply), expected, "{headers}");
    }

    #[test]
    fn only_authentic_mail_if_that_is_wanted() {
        let good = "mx.corp.example; dmarc=pass header.from=cust.example";
        check_authentic(good, "", None, true);
        check_authentic("mx.corp.example; dkim=pass header.d=cust.example", "", None, true);
        check_authentic("mx.corp.example; dmarc=fail header.from=cust.example", "", None, false);
        check_authentic("mx.evil.example; dmarc=pass header.from=cust.example", "", None, false);
        check_authentic("mx.corp.example; none", "", None, false);
        // A proof of who wrote is none of who is to be answered.
        check_authentic(good, "Reply-To: victim@else.example", None, false);
        check_authentic(good, "Reply-To: desk@cust.example", None, true);
        check_authentic("mx.corp.example; none", "", Some(true), true);
    }

    #[test]
    fn automatic_mail_is_not() {
        check("Auto-Submitted: auto-replied", Some(Suppression::AutoSubmitted));
        check("Auto-Submitted: Auto-Generated", Some(Suppression::AutoSubmitted));
        check("AUTO-SUBMITTED: auto-notified; owner=x", Some(Suppression::AutoSubmitted));
        check("Auto-Submitted: no\nAuto-Submitted: auto-replied", Some(Suppression::AutoSubmitted));
        check("Auto-Submitted: no-longer", Some(Suppression::AutoSubmitted));
        check("Return-Path: <>", Some(Suppression::NullReturnPath));
        check("Content-Type: Multipart/Report; boundary=x", Some(Suppression::Report));
    }

    #[test]
    fn lists_and_bulk() {
        check("List-Id: <l.example>", Some(Suppression::MailingList));
        check("list-unsubscribe: <mailto:x@l.example>", Some(Suppression::MailingList));
        check("Mailing-List: contact l@l.example", Some(Suppression::MailingList));
        check("Precedence: BULK", Some(Suppression::Precedence));
        check("Precedence: junk", Some(Suppression::Precedence));
    }

    #[test]
    fn vendor_headers() {
        check("X-Auto-Response-Suppress: All", Some(Suppression::VendorHeader));
        check("X-Autoreply: yes", Some(Suppression::VendorHeader));
        check("X-No-Loop: x", Some(Suppression::VendorHeader));
        check("X-Loop: x", Some(Suppression::Loop));
    }

    #[test]
    fn senders() {
        check_with(None, "From: MAILER-DAEMON@mx.example", Some(Suppression::Robot));
        check_with(None, "From: No-Reply@cust.example", Some(Suppression::Robot));
        check_with(None, "From: noreply+7@cust.example", Some(Suppression::Robot));
        check_with(None, "From: support@corp.example", Some(Suppression::OwnAddress));
        check_with(None, "From: old@corp.example", Some(Suppression::OwnAddress));
        check_with(None, "From: notify@corp.example", Some(Suppression::OwnAddress));
        check_with(None, "From: anna@agents.example", Some(Suppression::Agent));
        check_with(None, "From: nobody in particular", Some(Suppression::NoAddress));
        check_with(None, "", Some(Suppression::NoAddress));
    }

    #[test]
    fn reply_to_counts() {
        let form = "From: noreply@web.example\nReply-To: eve@cust.example";
        check_with(None, form, None);
        check("Reply-To: support@corp.example", Some(Suppression::OwnAddress));
        check("Reply-To: noreply@cust.example", Some(Suppression::Robot));
        check("Reply-To: anna@agents.example", Some(Suppression::Agent));
    }

    #[test]
    fn allowing_lifts_two_reasons_only() {
        let lifted =
            |header: &str, expected| check_with(Some(true), &format!("{EVE}{header}"), expected);
        lifted("Precedence: bulk", None);
        lifted("List-Id: <l.example>", None);
        lifted("Auto-Submitted: auto-generated", Some(Suppression::AutoSubmitted));
        lifted("Precedence: bulk\nX-Loop: x", Some(Suppression::Loop));
        lifted("Return-Path: <>", Some(Suppression::NullReturnPath));
        check_with(Some(true), "From: postmaster@cust.example", Some(Suppression::Robot));
    }

    #[test]
    fn forbidden_by_a_filter() {
        check_with(Some(false), EVE, Some(Suppression::Filter));
    }

    #[track_caller]
    fn check_limit(day: u32, three_hours: u32, expected: Option<Suppression>) {
        let mut config = config();
        let (config, mail) = (&mut config, mail(EVE));
        let sender = sender_of(config, &mail);
        let answered = Answered { day, three_hours, ..Answered::default() };
        assert_eq!(over_limit(config, &sender, TicketId(1), &answered), expected);
        let eve = Address::parse("eve@cust.example").unwrap();
        config.limits.auto_replies_per_address.insert(eve, 2);
        let own = Answered { day: 2, ..Answered::default() };
        assert_eq!(over_limit(config, &sender, TicketId(1), &own), Some(Suppression::PerDay));
    }

    #[test]
    fn limits() {
        check_limit(0, 0, None);
        check_limit(39, 9, None);
        check_limit(40, 0, Some(Suppression::PerDay));
        check_limit(39, 10, Some(Suppression::PerThreeHours));
    }

    #[track_caller]
    fn check_subject(subject: &str, answered: &[&str], expected: Option<Suppression>) {
        let subjects = answered.iter().map(|one| (*one).to_owned()).collect();
        let answered = Answered { subjects, ..Answered::default() };
        assert_eq!(over_subject(&config(), subject, &answered), expected);
    }

    #[test]
    fn limit_of_a_subject() {
        check_subject("Away", &["Printer", "Away"], None);
        check_subject("Away", &["Away", "Re: away"], Some(Suppression::PerSubject));
        check_subject("AW: Away", &["Away", "Away"], Some(Suppression::PerSubject));
        check_subject("", &["", "x"], None);
    }

    #[track_caller]
    fn check_wide_limit(tickets: &[u64], desk: u32, expected: Option<Suppression>) {
        let (config, mail) = (config(), mail(EVE));
        let tickets = tickets.iter().copied().map(TicketId).collect();
        let answered = Answered { tickets, desk, ..Answered::default() };
        let sender = sender_of(&config, &mail);
        assert_eq!(over_limit(&config, &sender, TicketId(7), &answered), expected);
    }

    #[test]
    fn limits_of_a_ticket_and_of_the_desk() {
        check_wide_limit(&[7, 7, 7, 7, 8, 9], 999, None);
        check_wide_limit(&[7, 7, 7, 7, 8, 7], 0, Some(Suppression::PerTicket));
        check_wide_limit(&[], 1_000, Some(Suppression::PerHour));
    }
}
