//! Automatic answers: to whoever wrote, and to an agent whose mail proves nothing.

use super::identity::{self, SENDER_DEFAULT};
use super::page::{self, Person};
use super::paper::{self, Draft};
use super::{
    ROOT_DOMAIN, Stationery, clean, first_attempt, id_domain, in_language, robot_fields, tagged,
    template, texts,
};
use crate::core::address::Address;
use crate::core::config::{AutoReply, Language, User};
use crate::core::outgoing::{Outgoing, OutgoingId, OutgoingKind};
use crate::core::thread::{self, Purpose};
use crate::core::ticket::{Article, Ticket};

/// An automatic answer: the mail, and its words for the ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct AutomaticAnswer {
    /// The owed mail.
    pub owed: Outgoing,
    /// Its subject with the ticket's tag.
    pub subject: String,
    /// Its text.
    pub text: String,
}

/// The automatic answer to one mail. `None` if its texts fail at render time.
///
/// `language` is the customer's; without it, or without a text in it, the desk's, then any.
pub fn auto_reply(
    stationery: Stationery<'_>,
    reply: &AutoReply,
    language: Option<Language>,
    ticket: &Ticket,
    answered: &Article,
    to: &Address,
    id: OutgoingId,
) -> Option<AutomaticAnswer> {
    let config = stationery.config;
    let language = language.unwrap_or(config.desk.language);
    let recipient = Person { name: page::customer_name(ticket, to), address: to.as_str() };
    let mut page = page::of(config, language, ticket, Some(answered), recipient);
    page.make_harmless();
    let subject = template::fill(in_language(&reply.subject, config, language)?, &page).ok()?;
    let subject = tagged(config, ticket, &subject);
    let text = template::fill(in_language(&reply.text, config, language)?, &page).ok()?;

    let from_name = config.system_addresses.get(&reply.from).map_or("", |one| one.name.as_str());
    let (key, domain) = (stationery.key, id_domain(&reply.from));
    let purpose = Purpose::Correspondence;
    let message_id = thread::message_id(key, ticket.id, id, to, purpose, domain);
    let root = thread::root_id(key, ticket.id, to, purpose, ROOT_DOMAIN);
    let mut references = vec![root.as_str()];
    references.extend(answered.references.iter().map(String::as_str).filter(|id| *id != root));
    references.extend(answered.message_id.as_deref());
    let raw = paper::write(&Draft {
        from: (from_name, &reply.from),
        reply_to: None,
        to: vec![("", to)],
        cc: Vec::new(),
        subject: subject.clone(),
        date: stationery.now,
        message_id: &message_id,
        in_reply_to: answered.message_id.as_deref(),
        references,
        fields: robot_fields("auto-replied", &reply.from),
        text: text.clone(),
        files: &[],
    });
    let owed = Outgoing {
        id,
        ticket: Some(ticket.id),
        kind: OutgoingKind::AutoReply { reply: reply.name.clone() },
        sender: identity::sender(config, ticket).map_or(SENDER_DEFAULT, |one| &one.name).into(),
        envelope_from: reply.envelope_from.clone(),
        recipient: to.clone(),
        message_id,
        raw,
        created: stationery.now,
        delivery: first_attempt(stationery.now),
    };
    Some(AutomaticAnswer { owed, subject, text })
}

/// Tells an agent that their mail was kept inside. `None` if nothing can send it.
///
/// `name` is what it is called among the automatic answers, `purpose` says what an answer to it is
/// worth. The mail itself is not quoted, not even
/// its Message-ID: it may be a forger's.
pub fn kept_inside(
    stationery: Stationery<'_>,
    name: &str,
    user: &User,
    ticket: &Ticket,
    purpose: Purpose,
    id: OutgoingId,
) -> Option<Outgoing> {
    let config = stationery.config;
    let identity = identity::notifying(config, ticket)?;
    let recipient = Person {
        name: clean::line(&user.full_name, clean::NAME_CHARS_MAX),
        address: user.email.as_str(),
    };
    let mut page = page::of(config, user.language, ticket, None, recipient);
    page.make_harmless();
    let words = |part| template::fill_built_in(&texts::own(user.language, name, part), &page);
    let (subject, text) = (words("subject")?, words("text")?);
    let domain = id_domain(identity.from);
    let (key, to) = (stationery.key, &user.email);
    let message_id = thread::message_id(key, ticket.id, id, to, purpose, domain);
    let root = thread::root_id(key, ticket.id, to, purpose, ROOT_DOMAIN);
    let raw = paper::write(&Draft {
        from: (identity.name, identity.from),
        reply_to: None,
        to: vec![(&user.full_name, &user.email)],
        cc: Vec::new(),
        subject: tagged(config, ticket, &subject),
        date: stationery.now,
        message_id: &message_id,
        in_reply_to: Some(&root),
        references: vec![&root],
        files: &[],
        fields: robot_fields("auto-replied", identity.from),
        text,
    });
    Some(Outgoing {
        id,
        ticket: Some(ticket.id),
        kind: OutgoingKind::AutoReply { reply: name.into() },
        sender: identity.sender.into(),
        envelope_from: identity.envelope_from.cloned(),
        recipient: user.email.clone(),
        message_id,
        raw,
        created: stationery.now,
        delivery: first_attempt(stationery.now),
    })
}

#[cfg(test)]
mod tests {
    use super::super::reading::read;
    use super::super::trying::{answer, root, stationery, thanks};
    use super::*;
    use crate::core::ticket::samples::{address, article, config, key, now, ticket};
    use crate::core::ticket::{ArticleKind, Customer};

    #[test]
    fn an_auto_reply() {
        let mail = answer(&config(), &thanks(), None).unwrap();
        assert_eq!(mail.envelope_from, None);
        assert_eq!(mail.sender, "default");
        assert_eq!(mail.recipient, address("eve@cust.test"));
        assert_eq!(mail.kind, OutgoingKind::AutoReply { reply: "thanks".into() });
        assert_eq!(mail.delivery, first_attempt(now()));
        let read = read(&mail.raw);
        let expected = [
            "Date",
            "From",
            "To",
            "Subject",
            "Message-ID",
            "In-Reply-To",
            "References",
            "Auto-Submitted",
            "Precedence",
            "X-Auto-Response-Suppress",
            "X-Loop",
            "MIME-Version",
            "Content-Type",
            "Content-Transfer-Encoding",
        ];
        assert_eq!(read.names(), expected);
        assert_eq!(read.field("Date"), "Sun, 22 Nov 2026 06:00:00 +0000");
        assert_eq!(read.field("From"), "\"ACME support\" <support@desk.test>");
        assert_eq!(read.field("To"), "eve@cust.test");
        assert!(read.field("Subject").ends_with("2026112210000018] We got: Printer broken"));
        assert_eq!(read.field("Message-ID"), format!("<{}>", mail.message_id));
        assert_eq!(read.field("In-Reply-To"), "<m1@cust.test>");
        assert_eq!(
            read.field("References"),
            format!("{} <first@cust.test> <m1@cust.test>", root())
        );
        assert_eq!(read.field("Auto-Submitted"), "auto-replied");
        assert_eq!(read.field("Precedence"), "bulk");
        assert_eq!(read.field("X-Auto-Response-Suppress"), "All");
        assert_eq!(read.field("X-Loop"), "support@desk.test");
        assert_eq!(read.text, "Dear Eve Example,\nyour number is 2026112210000018.\n");
    }

    #[track_caller]
    fn check_language(
        desk: Language,
        wanted: Option<Language>,
        texts: &[Language],
        expected: &str,
    ) {
        let mut config = config();
        config.desk.language = desk;
        let mut reply = thanks();
        reply.text.retain(|language, _| texts.contains(language));
        let mail = answer(&config, &reply, wanted).unwrap();
        assert!(read(&mail.raw).text.contains(expected));
    }

    #[test]
    fn the_language_asked_for_then_the_desks_then_any() {
        use Language::{En, Ja};
        check_language(En, Some(Ja), &[En, Ja], "番号は");
        check_language(Ja, None, &[En, Ja], "番号は");
        check_language(Ja, Some(En), &[Ja], "番号は");
        check_language(En, Some(En), &[Ja], "番号は");
    }

    #[test]
    fn a_template_that_fails_makes_no_answer() {
        let mut reply = thanks();
        reply.text.insert(Language::En, "{{ ticket.colour }}".into());
        assert_eq!(answer(&config(), &reply, None), None);
        reply.text.clear();
        assert_eq!(answer(&config(), &reply, None), None);
    }

    #[test]
    fn an_envelope_sender_that_was_set() {
        let bounce = Some(address("bounce@desk.test"));
        let reply = AutoReply { envelope_from: bounce.clone(), ..thanks() };
        assert_eq!(answer(&config(), &reply, None).unwrap().envelope_from, bounce);
    }

    #[test]
    fn nobody_spreads_links_through_our_answers() {
        let spam = "Win at https://evil.example/win ".repeat(20);
        let mut reply = thanks();
        let text = "{{ ticket.title }}\n{{ customer.name }}\n{{ article.quoted }}";
        reply.text.insert(Language::En, text.into());
        let ticket = Ticket {
            title: spam.clone(),
            customer: Some(Customer {
                address: address("victim@cust.test"),
                name: "see www.evil.example".into(),
                company: None,
                reply_to: None,
            }),
            ..ticket()
        };
        let mut answered = article(1, ArticleKind::MailIn);
        answered.text = spam;
        let config = config();
        let to = address("victim@cust.test");
        let mail = auto_reply(
            stationery(&config, &key()),
            &reply,
            None,
            &ticket,
            &answered,
            &to,
            OutgoingId(1),
        );
        let read = read(&mail.unwrap().owed.raw);
        let whole = format!("{}\n{}", read.field("Subject"), read.text);
        assert!(!whole.contains("://") && !whole.contains("evil.example"), "{whole}");
        assert!(read.field("Subject").chars().count() < 120);
    }

    #[test]
    fn every_domain_gives_a_message_id() {
        for domain in ["例え.test".to_owned(), format!("{}.test", "x".repeat(200))] {
            let mut reply = thanks();
            reply.from = address(&format!("support@{domain}"));
            let mail = answer(&config(), &reply, None).unwrap();
            assert!(mail.message_id.ends_with("@postroom.invalid"));
            assert_eq!(read(&mail.raw).field("Message-ID"), format!("<{}>", mail.message_id));
        }
    }
}
