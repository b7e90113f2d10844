//! Programs that write from another address each time: a tag or a number in the local part counts
//! up, and so does the number in the subject. Limits for one address never see them.
//!
//! Architecture invariant: pure comparisons, linear in what the store found.

use super::super::address::Address;
use super::super::config::Desk;
use super::super::subject;

/// Domains in which addresses that look alike belong to different people.
const PUBLIC_PROVIDERS: [&str; 84] = [
    "126.com",
    "163.com",
    "aim.com",
    "alice.it",
    "aol.com",
    "arcor.de",
    "att.net",
    "au.com",
    "biglobe.ne.jp",
    "bigpond.com",
    "bluewin.ch",
    "bol.com.br",
    "bt.com",
    "btinternet.com",
    "comcast.net",
    "cox.net",
    "daum.net",
    "docomo.ne.jp",
    "earthlink.net",
    "ezweb.ne.jp",
    "fastmail.com",
    "foxmail.com",
    "free.fr",
    "freenet.de",
    "freemail.hu",
    "gmail.com",
    "gmx.at",
    "gmx.ch",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hanmail.net",
    "hey.com",
    "hotmail.com",
    "hotmail.co.jp",
    "hotmail.co.uk",
    "hotmail.fr",
    "hotmail.it",
    "i.softbank.jp",
    "icloud.com",
    "interia.pl",
    "laposte.net",
    "libero.it",
    "live.com",
    "live.jp",
    "mac.com",
    "mail.com",
    "mail.de",
    "mail.ru",
    "me.com",
    "msn.com",
    "nate.com",
    "naver.com",
    "nifty.com",
    "o2.pl",
    "ocn.ne.jp",
    "onet.pl",
    "orange.fr",
    "outlook.com",
    "outlook.de",
    "outlook.jp",
    "posteo.de",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "rediffmail.com",
    "sbcglobal.net",
    "seznam.cz",
    "sfr.fr",
    "sina.com",
    "so-net.ne.jp",
    "softbank.ne.jp",
    "t-online.de",
    "telenet.be",
    "terra.com.br",
    "tiscali.it",
    "uol.com.br",
    "verizon.net",
    "virgilio.it",
    "wanadoo.fr",
    "web.de",
    "wp.pl",
    "zoho.com",
];
/// Providers with a domain in each country: `yahoo.co.jp`, `yandex.ru`.
const PUBLIC_NAMES: [&str; 3] = ["yahoo", "ymail", "yandex"];

/// Whether a domain gives addresses to the public.
pub fn is_public_provider(domain: &str) -> bool {
    let name = domain.split('.').next().unwrap_or_default();
    PUBLIC_PROVIDERS.contains(&domain) || PUBLIC_NAMES.contains(&name)
}

/// An automatic answer to an address of the same domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// To whom it went.
    pub address: Address,
    /// Title of its ticket.
    pub title: String,
}

/// How many of these answers went to what may be the same program: to this mailbox, whatever its
/// tag, or about the same subject but for its numbers to any address of its domain.
///
/// The subject is what tells it from the many people of one organisation. A subject that says
/// little counts only between addresses that are the same but for their numbers.
pub fn count(desk: &Desk, address: &Address, title: &str, neighbours: &[Neighbour]) -> usize {
    let (subject, local) = (without_numbers(&subject::bare(desk, title)), plain(address));
    let public = is_public_provider(address.domain());
    let is_alike = |one: &&Neighbour| {
        let other = plain(&one.address);
        let same_subject = || without_numbers(&subject::bare(desk, &one.title)) == subject;
        let close =
            || !subject::is_brief(&subject) || without_numbers(&other) == without_numbers(&local);
        one.address.domain() == address.domain()
            && (other == local || !public && !subject.is_empty() && same_subject() && close())
    };
    neighbours.iter().filter(is_alike).count()
}

/// The local part without its tag (RFC 5233).
fn plain(address: &Address) -> String {
    let local = address.local();
    local.split_once('+').map_or(local, |(name, _tag)| name).to_owned()
}

fn without_numbers(text: &str) -> String {
    let letters: String = text.chars().filter(|c| !c.is_numeric()).collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, title: &str, answered: (&str, &str), expected: bool) {
        let parse = |address: &str| Address::parse(address).unwrap();
        let one = Neighbour { address: parse(answered.0), title: answered.1.into() };
        let count = count(&Desk::default(), &parse(address), title, &[one]);
        assert_eq!(count == 1, expected, "{address} {title} {answered:?}");
    }

    #[test]
    fn the_same_program() {
        check("crm+2@x.test", "Opened (#2)", ("crm+1@x.test", "Order 1"), true);
        check(
            "crm2@x.test",
            "We received it (#2)",
            ("crm1@x.test", "Re: We received it (#1)"),
            true,
        );
        check("b7f@x.test", "We received it (#2)", ("a9e@x.test", "We received it (#1)"), true);
        check("crm2@x.test", "Opened", ("crm1@x.test", "Opened"), true);
        check("eve+2@gmail.com", "Help", ("eve+1@gmail.com", "Printer"), true);
    }

    #[test]
    fn different_people() {
        check("s1002@uni.test", "Printer broken", ("s1001@uni.test", "No access to mail"), false);
        check("eve@x.test", "Help", ("bob@x.test", "Help"), false);
        check("eve@x.test", "", ("bob@x.test", ""), false);
        check("anna85@gmail.com", "Order is late", ("anna90@gmail.com", "Order is late"), false);
        check("a@yahoo.co.jp", "Order is late", ("b@yahoo.co.jp", "Order is late"), false);
        check("eve@x.test", "Order is late", ("eve@y.test", "Order is late"), false);
    }
}
