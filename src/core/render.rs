//! Turns what we want to say into mails: subject, text, headers. One sanitiser per sink.
//!
//! Three kinds of mail leave us: an [`auto_reply`] to whoever wrote, a [`notification`] to whoever
//! should know, and an agent's [`letter`]. [`announce`] makes the notifications of one change.
//!
//! Architecture invariant: every value from outside passes [`clean`] before it stands in a mail,
//! and what is rendered here is final: each attempt to deliver sends the same bytes. Who is told
//! is decided in [`super::notify`], whether we may answer in [`super::reply`].

use jiff::Timestamp;

use super::address::Address;
use super::config::{Config, Language, Texts};
use super::intake::{DeskKey, NextIds};
use super::outgoing::{Delivery, OutgoingId};
use super::ticket::Ticket;
use super::{subject, thread};
pub use announce::announce;
pub use answer::{answer, surroundings, try_answer};
pub use auto_reply::{AutomaticAnswer, auto_reply, kept_inside};
pub use letter::{LETTER_RECIPIENTS_MAX, Letter, letter, letter_from, with_kept_files};
pub use notification::notification;
pub use paper::Enclosed;
pub use quoted::{ARTICLES_COMPARED_MAX, quotable};

mod announce;
mod answer;
mod auto_reply;
pub mod clean;
pub mod digest;
mod identity;
mod letter;
mod notification;
mod page;
mod paper;
mod quoted;
#[cfg(test)]
mod reading;
mod template;
mod texts;
#[cfg(test)]
mod trying;

/// Bytes of a domain that may stand in our Message-IDs.
const ID_DOMAIN_BYTES_MAX: usize = 120;
/// Stands in our Message-IDs for a domain that may not (RFC 2606 section 2 keeps it free).
const ID_DOMAIN_ELSE: &str = "postroom.invalid";
/// Domain of the id under which all mails of a ticket are threaded. No mail has this id, so its
/// domain need not exist (RFC 2606 section 2), and it stays the same whoever sends.
const ROOT_DOMAIN: &str = "postroom.invalid";

/// What all mails of one transaction share.
#[derive(Debug, Clone, Copy)]
pub struct Stationery<'a> {
    /// The running configuration.
    pub config: &'a Config,
    /// Key of our Message-IDs.
    pub key: &'a DeskKey,
    /// When the mail is written.
    pub now: Timestamp,
}

/// A role of [`Notice`] in words that follow "because": `you work in queue sales`.
pub fn role(language: Language, role: &str) -> String {
    texts::role(language, role)
}

/// Tries a template with sample values; `Err` says what is wrong with it.
///
/// It may name `ticket` (`number`, `title`, `queue`, `state`, `priority`, `owner`, `responsible`,
/// `undeliverable`), `customer` and `recipient` (`name`, `address`), `article` (`from`, `subject`,
/// `text`, `quoted`, `kind`), `desk.name`, `role`, `rule` and `event`.
pub fn try_template(source: &str) -> Result<(), String> {
    template::fill(source, &page::sample()).map(|_| ())
}

/// The text in this language, else in the desk's, else in any.
fn in_language<'t>(texts: &'t Texts, config: &Config, language: Language) -> Option<&'t str> {
    let text = texts
        .get(&language)
        .or_else(|| texts.get(&config.desk.language))
        .or_else(|| texts.values().next())?;
    Some(text)
}

/// The subject with the ticket's tag before it, and with no other number of this desk.
pub fn tagged(config: &Config, ticket: &Ticket, subject: &str) -> String {
    let tag = thread::tag(&config.desk, &ticket.number);
    // A ticket keeps its number when the desk gets another system id.
    format!("{tag} {}", subject::answered(&config.desk, &subject.replace(&tag, "")))
}

/// Domain of Message-IDs of mails from this address. They are plain ASCII and of bounded length
/// (RFC 5322 section 3.6.4), which a domain need not be.
fn id_domain(from: &Address) -> &str {
    let domain = from.domain();
    if domain.is_ascii() && domain.len() <= ID_DOMAIN_BYTES_MAX { domain } else { ID_DOMAIN_ELSE }
}

/// What keeps programs from answering us (RFC 3834 section 3.1.7) and us from answering
/// ourselves.
fn robot_fields(submitted: &str, from: &Address) -> Vec<(&'static str, String)> {
    vec![
        ("Auto-Submitted", submitted.into()),
        ("Precedence", "bulk".into()),
        ("X-Auto-Response-Suppress", "All".into()),
        ("X-Loop", from.to_string()),
    ]
}

fn first_attempt(now: Timestamp) -> Delivery {
    Delivery::Due { attempts: 0, at: now, last_error: None, doubt: None }
}

fn next_outgoing(next: &mut NextIds) -> OutgoingId {
    let id = next.outgoing;
    next.outgoing = OutgoingId(id.0 + 1);
    id
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::reading::read;
    use super::trying::{notice, stationery, thanks};
    use super::*;
    use crate::core::notify::{EventKind, Notice};
    use crate::core::ticket::samples::{address, article, config, key, next_ids, ticket};
    use crate::core::ticket::{Article, ArticleKind, Customer};

    #[track_caller]
    fn check_subject(subject: &str, expected: &str) {
        let subject = clean::line(&tagged(&config(), &ticket(), subject), clean::LINE_CHARS_MAX);
        assert_eq!(
            subject,
            format!("{} {expected}", thread::tag(&config().desk, &ticket().number))
        );
    }

    #[test]
    fn the_tag_stands_first_and_once() {
        let tag = thread::tag(&config().desk, &ticket().number);
        check_subject("Printer", "Printer");
        check_subject(&format!("Re: {tag} Printer"), "Re: Printer");
        check_subject("Re: [Ticket#2020010110000011] x", "Re: x");
        check_subject("Re: [Ticket#2020010199000011] x", "Re: [Ticket#2020010199000011] x");
        let numbered_before = Ticket { number: "2020010199000011".into(), ..ticket() };
        let subject = tagged(&config(), &numbered_before, "[Ticket#2020010199000011] x");
        assert_eq!(subject.matches("2020010199000011").count(), 1, "{subject}");
    }

    #[track_caller]
    fn check_template(source: &str, expected: Result<(), &str>) {
        match (try_template(source), expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (result, _) => panic!("{source}: {result:?}"),
        }
    }

    #[test]
    fn templates_are_tried_at_load() {
        check_template("Your number is {{ ticket.number }}.", Ok(()));
        check_template("{% if customer.name %}{{ customer.name|upper }}{% endif %}", Ok(()));
        check_template("one\ntwo {{ ticket.nmber }}", Err("line 2"));
        check_template("{{ ticket.number", Err("line 1"));
        check_template("{% include 'secrets' %}", Err("line 1"));
    }

    /// Everything that could break a header or a line.
    fn hostile() -> impl Strategy<Value = String> {
        let pieces = [
            "\r\nBcc: victim@x.test",
            "\n",
            "\r",
            "\0",
            "\r\n\r\n",
            "\r\n.\r\n",
            "<",
            ">",
            "\"",
            "\\",
            "=?utf-8?b?DQpCY2M6IHhAeA==?=",
            "=?=",
            ",",
            ";",
            ":",
            "@",
            " ",
            "\u{2028}",
            "\u{202e}",
            "\u{85}",
            "\u{7f}",
            "あいうえお",
            "①㈱髙",
            "👨\u{200d}👩",
            "é",
            "x",
            "https://evil.example",
            "{{ desk.name }}",
            "{% for %}",
            "a@b.test",
            "From ",
            ".",
            "\t",
            "(",
            ")",
            "[Ticket#1]",
        ];
        let long = prop_oneof![Just("y".repeat(3000)), Just("髙".repeat(1200))];
        let piece = prop_oneof![
            20 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
            1 => long,
            4 => any::<String>(),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(120))]

        #[test]
        fn no_value_adds_a_header_or_breaks_a_line(
            title in hostile(), name in hostile(), text in hostile(), id in hostile(),
            references in proptest::collection::vec(hostile(), 0..40),
        ) {
            let mut config = config();
            config.desk.name = name.clone();
            config.users.get_mut("alice").unwrap().full_name = name.clone();
            let ticket = Ticket {
                title: title.clone(),
                customer: Some(Customer {
                    address: address("eve@cust.test"),
                    name: name.clone(),
                    company: None,
                    reply_to: None,
                }),
                ..ticket()
            };
            let article = Article {
                from: name.clone(),
                subject: title.clone(),
                text: text.clone(),
                message_id: Some(id),
                references: references.clone(),
                ..article(1, ArticleKind::MailIn)
            };
            let mut reply = thanks();
            let all = "{{ ticket.title }} {{ customer.name }} {{ article.text }} {{ article.from }}";
            reply.subject.insert(Language::En, all.into());
            reply.text.insert(Language::En, all.into());
            let key = key();
            let paper = stationery(&config, &key);
            let to = [address("eve@cust.test"), address("foo..bar.@docomo.test")];
            let who = Notice { name: name.clone(), ..notice(EventKind::NoteAdded, Language::Ja) };
            let words = Letter {
                files: &[],
                author: &name,
                subject: &title,
                text: &text,
                to: &to,
                cc: &[],
                thread: &references,
            };
            let id = OutgoingId(1);
            let mut mails = letter(paper, &words, &ticket, &mut next_ids());
            let answer = auto_reply(paper, &reply, None, &ticket, &article, &to[0], id);
            mails.extend(answer.map(|answer| answer.owed));
            mails.extend(notification(paper, &who, &ticket, Some(&article), id));
            prop_assert_eq!(mails.len(), 4);
            for mail in mails {
                let known = [
                    "Date", "From", "To", "Subject", "Message-ID", "In-Reply-To", "References",
                    "Auto-Submitted", "Precedence", "X-Auto-Response-Suppress", "X-Loop",
                    "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
                ];
                let read = read(&mail.raw);
                prop_assert!(read.names().iter().all(|name| known.contains(name)));
                let mut once = read.names();
                once.sort_unstable();
                once.dedup();
                prop_assert_eq!(once.len(), read.names().len());
                let hidden = read.field("Subject").contains(['\r', '\n', '\u{202e}']);
                prop_assert!(!hidden);
            }
        }
    }

    /// Run with `cargo test --release --lib -- --ignored --nocapture mails_per_second`.
    #[test]
    #[ignore = "a measurement"]
    fn mails_per_second() {
        const ROUNDS: u32 = 20_000;
        let (config, reply, key) = (config(), thanks(), key());
        let article = article(1, ArticleKind::MailIn);
        let (to, ticket) = (address("eve@cust.test"), ticket());
        let who = notice(EventKind::TicketCreated, Language::Ja);
        let begun = Instant::now();
        for round in 0..ROUNDS {
            let (paper, id) = (stationery(&config, &key), OutgoingId(round.into()));
            assert!(auto_reply(paper, &reply, None, &ticket, &article, &to, id).is_some());
            assert!(notification(paper, &who, &ticket, Some(&article), id).is_some());
        }
        let per_second = f64::from(ROUNDS) / begun.elapsed().as_secs_f64();
        println!("{per_second:.0} pairs of answer and notification per second");
        assert!(per_second > 4_000.0);
    }
}
