//! What ties mails to tickets: numbers, subject tags, and Message-IDs that only we can make.
//!
//! A number is the day (`YYYYMMDD`, in the desk's time zone), the system id, a counter of the day
//! of at least five digits, and a check digit by the Luhn rule over all digits before it: from
//! the right every other digit is doubled, nines are cast out, and the check digit makes the sum
//! a multiple of ten. One digit mistyped, or two neighbours swapped, never names another ticket.
//!
//! Architecture invariant: every search in here is linear in the text, whoever wrote it, and
//! nothing in here knows whether a ticket exists.

use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::address::Address;
use super::config::Desk;
use super::intake::DeskKey;
use super::outgoing::OutgoingId;
use super::ticket::TicketId;

/// Digits of the date in a number.
const DATE_DIGITS: usize = 8;
/// Digits of the daily counter, at least.
const COUNTER_DIGITS_MIN: usize = 5;
/// Digits of a number, at most; longer runs of digits are not looked at.
const NUMBER_DIGITS_MAX: usize = 40;
/// Blanks that may stand between the bracket, the hook and the number.
const BLANKS_MAX: usize = 8;
/// Tags looked at in one text; whoever writes more of them is not helped by the next one.
const TAGS_MAX: usize = 100;
/// Length of the tag in our Message-IDs: 128 bits.
const TAG_BYTES: usize = 16;
/// What is signed stands behind its purpose, so that no signature serves another one.
const RECIPIENT: &[u8] = b"postroom recipient ";
/// Ids of version 0.1, which did not say what their mail was for.
const UNSTATED: &[u8] = b"postroom message-id ";
/// Length of the recipient's digest in our Message-IDs. It is keyed: an attacker cannot look for
/// an address of their own that has the digest of another one.
const RECIPIENT_BYTES: usize = 8;
/// Stands for the mail in an id that all mails about a ticket to one recipient refer to.
const ROOT: &str = "root";

/// What the mail with one of our Message-IDs is for. It is part of what is signed: an id of one
/// purpose never serves another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// Notifies an agent of one ticket. The only purpose that proves something: an answer from the
    /// agent's address is the agent's.
    Notification,
    /// For a customer or whomever an agent writes to. It joins the ticket and proves no identity.
    Correspondence,
    /// Informs an agent and asks for no answer, such as "your mail was not sent". It proves
    /// nothing.
    Information,
    /// Issued by version 0.1, for a purpose that the id does not name. It proves nothing.
    Unstated,
}

/// A Message-ID that this desk issued, as its signature confirms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedId {
    /// The ticket that the mail was about.
    pub ticket: TicketId,
    /// The mail; `None` for the root that all mails about the ticket to one recipient refer to. A
    /// letter to several recipients has one number in the ids of all of them: the first row's.
    pub mail: Option<OutgoingId>,
    /// What the mail is for.
    pub purpose: Purpose,
    /// Keyed digest of the recipient; `None` only in roots of version 0.1.
    pub recipient: Option<String>,
}

impl Purpose {
    /// As it stands in an id; `None` for what is not issued any more.
    fn letter(self) -> Option<&'static str> {
        match self {
            Purpose::Notification => Some("n"),
            Purpose::Correspondence => Some("c"),
            Purpose::Information => Some("i"),
            Purpose::Unstated => None,
        }
    }

    fn from_letter(letter: &str) -> Option<Purpose> {
        let all = [Purpose::Notification, Purpose::Correspondence, Purpose::Information];
        all.into_iter().find(|purpose| purpose.letter() == Some(letter))
    }

    /// What stands before the signed text.
    fn key_separator(self) -> &'static [u8] {
        match self {
            Purpose::Notification => b"postroom notification id ",
            Purpose::Correspondence => b"postroom correspondence id ",
            Purpose::Information => b"postroom information id ",
            Purpose::Unstated => UNSTATED,
        }
    }
}

impl IssuedId {
    /// Whether it was issued to this address.
    pub fn is_for(&self, key: &DeskKey, address: &Address) -> bool {
        let expected = recipient_digest(key, address);
        let found = self.recipient.as_deref().unwrap_or("");
        found.as_bytes().ct_eq(expected.as_bytes()).into()
    }
}

/// Number of the next ticket: date, system id, daily counter (at least five digits), check digit.
pub fn number(desk: &Desk, now: Timestamp, tickets_today: u32) -> String {
    let day = now.to_zoned(desk.time_zone.clone()).date();
    let counter = u64::from(tickets_today) + 1;
    let (year, month, day) = (day.year(), day.month(), day.day());
    let digits = format!("{year:04}{month:02}{day:02}{}{counter:05}", desk.system_id);
    let check = check_digit(&digits);
    format!("{digits}{check}")
}

/// The tag that carries a number in a subject, such as `[Ticket#2026112210000013]`.
pub fn tag(desk: &Desk, number: &str) -> String {
    format!("[{}{number}]", desk.hook)
}

/// A text without the tags with this hook, whoever's numbers they carry.
pub fn without_tags(desk: &Desk, text: &str) -> String {
    without(desk, text, |_| true)
}

/// The text without the tags whose number has the system id of this desk.
pub fn without_own_tags(desk: &Desk, text: &str) -> String {
    without(desk, text, |number| is_of(desk, number))
}

fn without(desk: &Desk, text: &str, wanted: impl Fn(&str) -> bool) -> String {
    let mut rest = text.to_owned();
    for number in numbers(&desk.hook, text).take(TAGS_MAX).filter(|number| wanted(number)) {
        rest = rest.replacen(&tag(desk, number), "", 1);
    }
    rest
}

/// Whether the number has the system id of this desk.
fn is_of(desk: &Desk, number: &str) -> bool {
    number[DATE_DIGITS..].starts_with(&desk.system_id)
}

/// Number in the first tag of ours in a text. Case and blanks around the hook do not matter.
///
/// Without brackets the number must follow the hook at once (`Ticket#2026112210000013`). Tags
/// with the system id of this desk come before tags that look like ours but have another one:
/// a mail may have travelled through somebody else's desk first.
pub fn find_tag(desk: &Desk, text: &str) -> Option<String> {
    let mut other = None;
    for number in numbers(&desk.hook, text).take(TAGS_MAX) {
        if is_of(desk, number) {
            return Some(number.into());
        }
        other = other.or(Some(number));
    }
    other.map(str::to_owned)
}

/// A Message-ID that only this desk can make: ticket, mail, recipient and purpose, signed with its
/// key (HMAC-SHA-256 cut to 128 bits).
///
/// All of it is lower-case, so that programs that change the case of an id do no harm.
pub fn message_id(
    key: &DeskKey,
    ticket: TicketId,
    mail: OutgoingId,
    recipient: &Address,
    purpose: Purpose,
    domain: &str,
) -> String {
    issue(key, ticket, &format!("{:x}", mail.0), recipient, purpose, domain)
}

/// The id that all mails about a ticket to one recipient refer to, first in References.
///
/// Mail programs thread by it. It also says who answers where a relay has replaced our Message-ID,
/// and is therefore bound to its recipient and purpose like every other.
pub fn root_id(
    key: &DeskKey,
    ticket: TicketId,
    recipient: &Address,
    purpose: Purpose,
    domain: &str,
) -> String {
    issue(key, ticket, ROOT, recipient, purpose, domain)
}

/// The id under which another recipient of the same mail has it: what refers to the mail in their
/// copy. `None` if it is none of ours, or of version 0.1, which gave all recipients the same one.
pub fn id_for(key: &DeskKey, message_id: &str, recipient: &Address) -> Option<String> {
    let issued = verify(key, message_id)?;
    issued.purpose.letter()?;
    let (_, domain) = message_id.rsplit_once('@')?;
    let mail = issued.mail.map_or(ROOT.to_owned(), |mail| format!("{:x}", mail.0));
    Some(issue(key, issued.ticket, &mail, recipient, issued.purpose, domain))
}

fn issue(
    key: &DeskKey,
    ticket: TicketId,
    mail: &str,
    recipient: &Address,
    purpose: Purpose,
    domain: &str,
) -> String {
    let recipient = recipient_digest(key, recipient);
    let letter = purpose.letter().unwrap_or("");
    let signed = format!("{:x}.{mail}.{recipient}.{letter}", ticket.0);
    let tag = hex(&signature(key, purpose.key_separator(), &signed));
    format!("{signed}.{tag}@{domain}")
}

/// What a Message-ID says, if its signature is genuine.
pub fn verify(key: &DeskKey, message_id: &str) -> Option<IssuedId> {
    let (local, _domain) = message_id.rsplit_once('@')?;
    let local = local.to_ascii_lowercase();
    let (signed, tag) = local.rsplit_once('.')?;
    let parts: Vec<&str> = signed.split('.').collect();
    let (ticket, mail, recipient, purpose) = match parts.as_slice() {
        [ticket, mail, recipient, purpose] => {
            (ticket, mail, Some(recipient), Purpose::from_letter(purpose)?)
        }
        [ticket, mail, recipient] => (ticket, mail, Some(recipient), Purpose::Unstated),
        [ticket, mail] => (ticket, mail, None, Purpose::Unstated),
        _ => return None,
    };
    let expected = hex(&signature(key, purpose.key_separator(), signed));
    let genuine: bool = expected.as_bytes().ct_eq(tag.as_bytes()).into();
    if !genuine {
        return None;
    }
    let mail = match *mail {
        ROOT => None,
        mail => Some(OutgoingId(u64::from_str_radix(mail, 16).ok()?)),
    };
    let ticket = TicketId(u64::from_str_radix(ticket, 16).ok()?);
    let recipient = recipient.map(|digest| (*digest).to_owned());
    Some(IssuedId { ticket, mail, purpose, recipient })
}

/// Digest under which our Message-IDs name this recipient.
pub fn recipient_digest(key: &DeskKey, recipient: &Address) -> String {
    hex(&signature(key, RECIPIENT, recipient.as_str())[..RECIPIENT_BYTES])
}

/// Numbers in tags with this hook, in their order.
fn numbers<'a>(hook: &'a str, text: &'a str) -> impl Iterator<Item = &'a str> {
    let mut from = 0;
    std::iter::from_fn(move || {
        while let Some(at) = find_hook(hook, text, from) {
            from = at + hook.len();
            if let Some(number) = number_behind(text, at, from) {
                return Some(number);
            }
        }
        None
    })
}

/// Where the hook stands next, in any case of ASCII letters.
fn find_hook(hook: &str, text: &str, from: usize) -> Option<usize> {
    if hook.is_empty() {
        return None;
    }
    let (hook, text) = (hook.as_bytes(), text.as_bytes());
    let last = text.len().checked_sub(hook.len())?;
    (from..=last).find(|&at| text[at..at + hook.len()].eq_ignore_ascii_case(hook))
}

/// The number behind a hook that reaches from `hook` to `end`.
fn number_behind(text: &str, hook: usize, end: usize) -> Option<&str> {
    let before = text.as_bytes()[..hook].iter().rev().take(BLANKS_MAX + 1);
    let opened = before.copied().find(|byte| *byte != b' ' && *byte != b'\t') == Some(b'[');
    let blanks = blanks_at(text, end);
    let start = end + blanks;
    let digits = digits_at(text, start);
    let after = start + digits;
    let closed = text.as_bytes().get(after + blanks_at(text, after)) == Some(&b']');
    let shaped = (DATE_DIGITS + COUNTER_DIGITS_MIN + 1..=NUMBER_DIGITS_MAX).contains(&digits);
    let tagged = (opened && closed) || blanks == 0;
    (shaped && tagged).then(|| &text[start..after])
}

fn blanks_at(text: &str, at: usize) -> usize {
    let rest = text.as_bytes()[at..].iter().take(BLANKS_MAX);
    rest.take_while(|byte| **byte == b' ' || **byte == b'\t').count()
}

fn digits_at(text: &str, at: usize) -> usize {
    let rest = text.as_bytes()[at..].iter().take(NUMBER_DIGITS_MAX + 1);
    rest.take_while(|byte| byte.is_ascii_digit()).count()
}

/// Check digit by the Luhn rule (ISO/IEC 7812-1, annex B).
fn check_digit(digits: &str) -> u32 {
    let sum: u32 = digits
        .bytes()
        .rev()
        .filter(u8::is_ascii_digit)
        .map(|byte| u32::from(byte - b'0'))
        .enumerate()
        .map(|(place, digit)| if place % 2 == 0 { digit * 2 } else { digit })
        .map(|digit| digit / 10 + digit % 10)
        .sum();
    (10 - sum % 10) % 10
}

fn signature(key: &DeskKey, purpose: &[u8], signed: &str) -> [u8; TAG_BYTES] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&key.0)
        .expect("HMAC takes keys of any length (RFC 2104 section 2)");
    mac.update(purpose);
    mac.update(signed.as_bytes());
    let full = mac.finalize().into_bytes();
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&full[..TAG_BYTES]);
    tag
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: DeskKey = DeskKey([7; 32]);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn desk(hook: &str, system_id: &str) -> Desk {
        Desk { hook: hook.into(), system_id: system_id.into(), ..Desk::default() }
    }

    #[track_caller]
    fn check_tag(text: &str, expected: Option<&str>) {
        assert_eq!(find_tag(&Desk::default(), text).as_deref(), expected);
    }

    #[test]
    fn number_of_the_day() {
        let now = at("2026-11-22T05:00:00Z");
        assert_eq!(number(&Desk::default(), now, 0), "2026112210000013");
        assert_eq!(number(&Desk::default(), now, 1), "2026112210000021");
        assert_eq!(number(&Desk::default(), now, 99_999), "20261122101000002");
    }

    #[test]
    fn day_begins_in_the_zone_of_the_desk() {
        let tokyo = jiff::tz::TimeZone::get("Asia/Tokyo").unwrap();
        let desk = Desk { time_zone: tokyo, ..Desk::default() };
        assert!(number(&desk, at("2026-11-22T15:00:00Z"), 0).starts_with("20261123"));
        assert!(number(&desk, at("2026-11-22T14:59:59Z"), 0).starts_with("20261122"));
    }

    #[test]
    fn check_digit_tells_typing_errors() {
        let good = number(&Desk::default(), at("2026-11-22T05:00:00Z"), 41);
        for place in 0..good.len() {
            for digit in '0'..='9' {
                let mut wrong: Vec<char> = good.chars().collect();
                if wrong[place] == digit {
                    continue;
                }
                wrong[place] = digit;
                let wrong: String = wrong.into_iter().collect();
                let (body, check) = wrong.split_at(wrong.len() - 1);
                assert_ne!(check_digit(body).to_string(), check, "{wrong}");
            }
        }
    }

    #[test]
    fn tags_are_found() {
        let number = Some("2026112210000013");
        check_tag("Re: [Ticket#2026112210000013] printer", number);
        check_tag("re: [ticket#2026112210000013] printer", number);
        check_tag("AW: [ Ticket# 2026112210000013 ] printer", number);
        check_tag("about Ticket#2026112210000013.", number);
        check_tag("[Ticket#] [Ticket#12] [Ticket#2026112210000013]", number);
        check_tag("[Ticket#2026112210000013] [Ticket#2026112210000021]", number);
    }

    #[test]
    fn what_only_looks_like_a_tag() {
        check_tag("", None);
        check_tag("Ticket#", None);
        check_tag("ticket#  2026112210000013 foo", None);
        check_tag("[Ticket#20261122]", None);
        check_tag("[Case#2026112210000013]", None);
        check_tag("2026112210000013", None);
        check_tag(&format!("[Ticket#{}]", "1".repeat(41)), None);
        assert_eq!(find_tag(&desk("", "10"), "[2026112210000013]"), None);
    }

    #[test]
    fn tag_of_another_desk_comes_second() {
        let text = "[Ticket#2026112299000012] Re: [Ticket#2026112210000013]";
        check_tag(text, Some("2026112210000013"));
        check_tag("[Ticket#2026112299000012]", Some("2026112299000012"));
    }

    #[test]
    fn hook_in_japanese() {
        let desk = desk("受付番号#", "10");
        let text = format!("Re: {} 障害", tag(&desk, "2026112210000013"));
        assert_eq!(find_tag(&desk, &text).as_deref(), Some("2026112210000013"));
    }

    #[test]
    fn searching_is_linear() {
        let text = "[Ticket#".repeat(200_000);
        let begun = std::time::Instant::now();
        check_tag(&text, None);
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn issued(purpose: Purpose) -> String {
        let eve = address("eve@cust.example");
        message_id(&KEY, TicketId(42), OutgoingId(1042), &eve, purpose, "desk.example")
    }

    fn ours() -> String {
        issued(Purpose::Correspondence)
    }

    /// Ids in the form of version 0.1: with a mail and a recipient, and the root of a ticket.
    fn old(signed: &str) -> String {
        format!("{signed}.{}@desk.example", hex(&signature(&KEY, UNSTATED, signed)))
    }

    #[test]
    fn issued_ids_say_ticket_mail_purpose_and_recipient() {
        for purpose in [Purpose::Notification, Purpose::Correspondence, Purpose::Information] {
            for id in [issued(purpose), issued(purpose).to_uppercase()] {
                let read = verify(&KEY, &id).unwrap();
                assert_eq!((read.ticket, read.purpose), (TicketId(42), purpose));
                assert_eq!(read.mail, Some(OutgoingId(1042)));
                assert!(read.is_for(&KEY, &address("Eve@cust.example")));
                assert!(!read.is_for(&KEY, &address("anna@agents.example")));
            }
            let eve = address("eve@cust.example");
            let root = verify(&KEY, &root_id(&KEY, TicketId(42), &eve, purpose, "x")).unwrap();
            assert_eq!((root.ticket, root.mail, root.purpose), (TicketId(42), None, purpose));
            assert!(root.is_for(&KEY, &eve));
        }
    }

    #[test]
    fn forged_ids_are_refused() {
        assert_eq!(verify(&DeskKey([8; 32]), &ours()), None);
        assert_eq!(verify(&KEY, &ours().replacen("2a.", "2b.", 1)), None);
        assert_eq!(verify(&KEY, &ours().replacen(".412.", ".413.", 1)), None);
        for place in 0..ours().find('@').unwrap() {
            let mut id = ours().into_bytes();
            id[place] = if id[place] == b'0' { b'1' } else { b'0' };
            assert_eq!(verify(&KEY, &String::from_utf8(id).unwrap()), None, "{place}");
        }
    }

    #[test]
    fn id_of_one_purpose_serves_no_other() {
        for letter in ["n", "i"] {
            assert_eq!(verify(&KEY, &ours().replacen(".c.", &format!(".{letter}."), 1)), None);
        }
        assert_eq!(verify(&KEY, &ours().replacen(".c.", ".", 1)), None);
        let recipient = recipient_digest(&KEY, &address("eve@cust.example"));
        let id = old(&format!("2a.412.{recipient}"));
        assert!(verify(&KEY, &id).is_some());
        assert_eq!(verify(&KEY, &id.replace(&recipient, &format!("{recipient}.n"))), None);
    }

    #[test]
    fn ids_of_others_are_refused() {
        for id in ["", "@", "a@b", "2a@desk.example", "2a.1.x.@y", "\u{e9}.\u{e9}@x", "..@.."] {
            assert_eq!(verify(&KEY, id), None, "{id}");
        }
    }

    #[test]
    fn ids_of_version_0_1_name_ticket_and_recipient() {
        let eve = address("eve@cust.example");
        let read = verify(&KEY, &old(&format!("2a.412.{}", recipient_digest(&KEY, &eve)))).unwrap();
        assert_eq!((read.ticket, read.mail), (TicketId(42), Some(OutgoingId(1042))));
        assert!(read.is_for(&KEY, &eve) && read.purpose == Purpose::Unstated);
        let root = verify(&KEY, &old("2a.root")).unwrap();
        assert_eq!((root.ticket, root.mail, root.recipient.as_ref()), (TicketId(42), None, None));
        assert!(!root.is_for(&KEY, &eve));
    }

    #[test]
    fn each_recipient_has_an_id_of_their_own() {
        let boss = address("boss@cust.example");
        let theirs = id_for(&KEY, &ours(), &boss).unwrap();
        assert_ne!(theirs, ours());
        let read = verify(&KEY, &theirs).unwrap();
        assert_eq!(read.mail, Some(OutgoingId(1042)));
        assert!(read.is_for(&KEY, &boss));
        assert_eq!(id_for(&KEY, &theirs, &address("eve@cust.example")), Some(ours()));
        assert_eq!(id_for(&KEY, &old("2a.root"), &boss), None);
        assert_eq!(id_for(&KEY, "m1@cust.example", &boss), None);
    }

    #[test]
    fn ids_are_short_and_plain() {
        let id = ours();
        assert!(id.len() < 100, "{id}");
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".@-".contains(&byte)));
    }
}
