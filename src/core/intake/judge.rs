//! What the mail alone says: runs before the transaction, and does all that costs time.
//!
//! Architecture invariant: whatever the mail holds, everything that goes into a judgement is
//! bounded in size, and headers that an untrusted account must not use are gone before anything
//! here looks at the mail.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::internal::{self, Internal};
use super::{Judgement, Keys, SenderOfMail, Why};
use crate::core::address::Address;
use crate::core::authentication;
use crate::core::config::{Account, Config, Customers};
use crate::core::control;
use crate::core::filter::examine::Examined;
use crate::core::filter::{self, Filtered, Settings};
use crate::core::header;
use crate::core::mail::{Digest, HeaderField, Mail, Mailbox, REFERENCES_MAX};
use crate::core::reply;
use crate::core::route;
use crate::core::thread;
use crate::core::ticket::{Article, ArticleId, ArticleKind, AuthorKind, TicketId};

/// Addresses of one mail that become participants.
const ADDRESSED_MAX: usize = 100;
/// Bytes of a line of text that an article keeps: From, To, Cc, a header worth showing.
const LINE_BYTES_MAX: usize = 2_048;
/// Header fields that an article keeps.
const HEADERS_MAX: usize = 40;
/// Header fields worth showing.
const HEADERS_SHOWN: [&str; 18] = [
    "Reply-To",
    "Sender",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "Content-Language",
    "Content-Type",
    "Return-Path",
    "Delivered-To",
    "X-Original-To",
    "Auto-Submitted",
    "Precedence",
    "List-Id",
    "Importance",
    "X-Mailer",
    "User-Agent",
    "X-Spam-Status",
    "Authentication-Results",
];

/// What the mail alone says.
pub(super) fn judge(config: &Config, account: &Account, mail: &Mail) -> Judgement {
    let mut why = oddities(mail);
    let cut = control::cut(mail, account.trusted);
    if cut.headers.len() < mail.headers.len() {
        why.push(Why::new("control", "control headers cut: the account is not trusted"));
    }
    let mail = cut.as_ref();
    let filtered = filter::run(config, &account.name, mail, initial(config, account, mail));
    let route = route::route(config, account, mail, &filtered.settings);
    let sender = sender_of(config, mail);
    let on_follow_up = filtered.on_follow_up.auto_reply.or(filtered.settings.auto_reply);
    why.extend(filtered.why);
    let internal = internal::look(config, mail, &sender);
    Judgement {
        account: account.name.clone(),
        keys: keys(mail),
        message_id: mail.message_id.clone(),
        subject_tag: thread::find_tag(&config.desk, &mail.subject),
        body_tag: thread::find_tag(&config.desk, &mail.text),
        references: references(mail),
        route,
        suppression: reply::suppression(config, mail, &sender, filtered.settings.auto_reply),
        suppression_on_follow_up: reply::suppression(config, mail, &sender, on_follow_up),
        automatic: reply::automatic(mail),
        report: mail.report.clone(),
        article: article(mail, &sender, &filtered.settings, &internal),
        addressed: addressed(config, mail),
        passed_on: is_passed_on(config, mail, &sender),
        trusted: account.trusted,
        authenticated: authenticated(config, mail),
        internal: internal.why,
        quarantine: unknown_sender(config, mail, &sender),
        files: Vec::new(),
        contents: Vec::new(),
        filters: filtered.matched,
        settings: filtered.settings,
        on_follow_up: filtered.on_follow_up,
        sender,
        why,
    }
}

/// How each filter looked at a mail: at what is left of it on this account.
pub(super) fn examine(config: &Config, account: &Account, mail: &Mail) -> Vec<Examined> {
    let cut = control::cut(mail, account.trusted);
    filter::examine::examine(&config.filters, &account.name, &cut)
}

/// Who wrote a mail: the first From, else Sender, else Reply-To, else the return path.
pub(crate) fn sender_of(config: &Config, mail: &Mail) -> SenderOfMail {
    let with_address = |mailbox: &&Mailbox| mailbox.address.is_some();
    let written = mail.from.iter().chain(&mail.sender).chain(&mail.reply_to);
    let nobody = Mailbox { name: String::new(), address: None };
    let mailbox = written.clone().find(with_address).or(mail.from.first()).cloned();
    let mut mailbox = mailbox.unwrap_or(nobody);
    let reply_to = mail.reply_to.iter().find(with_address);
    let answer_to = reply_to.unwrap_or(&mailbox).address.clone();
    if mailbox.address.is_none() {
        // Better than a ticket of nobody's; but no person wrote such a mail, and it is not answered.
        let path = mail.return_path.clone().flatten();
        mailbox.address = path.filter(|path| !reply::is_robot(path));
    }
    let agent = mailbox.address.as_ref().and_then(|from| reply::agent_with(config, from));
    SenderOfMail { agent: agent.map(str::to_owned), answer_to, mailbox }
}

fn oddities(mail: &Mail) -> Vec<Why> {
    let labels: Vec<&str> = mail.oddities.iter().map(|oddity| oddity.label()).collect();
    if labels.is_empty() { Vec::new() } else { vec![Why::new("mail", labels.join(", "))] }
}

fn initial(config: &Config, account: &Account, mail: &Mail) -> Filtered {
    if account.trusted { control::read(config, mail) } else { Filtered::default() }
}

fn keys(mail: &Mail) -> Keys {
    let with_id = |content: &Digest| {
        let mut both = mail.message_id.clone().into_bytes();
        both.push(0);
        both.extend_from_slice(&content.0);
        Digest::of(&both)
    };
    let has_id = !mail.message_id_derived;
    Keys {
        bytes: mail.digest,
        content: has_id.then(|| with_id(&mail.content_digest)),
        first_content: has_id.then(|| with_id(&mail.first_content_digest)),
    }
}

/// Most telling first: In-Reply-To, then References from the end.
fn references(mail: &Mail) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let ids = mail.in_reply_to.iter().chain(mail.references.iter().rev());
    ids.filter(|id| seen.insert(*id)).take(REFERENCES_MAX).cloned().collect()
}

/// Everybody it was addressed to besides us and our agents.
fn addressed(config: &Config, mail: &Mail) -> BTreeSet<Address> {
    let all = mail.to.iter().chain(&mail.cc).filter_map(|mailbox| mailbox.address.as_ref());
    let others = all.filter(|address| {
        !reply::is_ours(config, address) && reply::agent_with(config, address).is_none()
    });
    others.take(ADDRESSED_MAX).cloned().collect()
}

/// Why an unknown sender's mail waits for a person, on a desk that wants its customers declared.
/// Reports come from mail systems and are about our own mail; they are not held back here.
fn unknown_sender(config: &Config, mail: &Mail, sender: &SenderOfMail) -> Option<String> {
    let known = |address: &Address| {
        config.customers.contains_key(address) || reply::is_ours(config, address)
    };
    let address = sender.mailbox.address.as_ref();
    match config.intake.customers {
        Customers::Open => None,
        Customers::Declared if sender.agent.is_some() || address.is_some_and(known) => None,
        Customers::Declared if mail.report.is_some() => None,
        Customers::Declared => {
            let who = address.map_or("nobody", Address::as_str);
            Some(format!("sender {who} is not a declared customer (intake.customers: declared)"))
        }
    }
}

/// Whether somebody besides this desk and the sender was addressed. Of an entry without an address
/// that is not known: it counts as somebody.
fn is_passed_on(config: &Config, mail: &Mail, sender: &SenderOfMail) -> bool {
    let known = |address: &Address| {
        reply::is_ours(config, address) || sender.mailbox.address.as_ref() == Some(address)
    };
    let mut all = mail.to.iter().chain(&mail.cc);
    all.any(|mailbox| mailbox.address.as_ref().is_none_or(|address| !known(address)))
}

/// How our own mail server knows that From is genuine.
fn authenticated(config: &Config, mail: &Mail) -> Option<&'static str> {
    authentication::method(mail, config.intake.authserv_id.as_ref()?)
}

fn article(
    mail: &Mail,
    sender: &SenderOfMail,
    settings: &Settings,
    internal: &Internal,
) -> Article {
    let references = mail.references.iter().chain(&mail.in_reply_to);
    Article {
        id: ArticleId(0),
        ticket: TicketId(0),
        kind: ArticleKind::MailIn,
        author: settings.sender_type.unwrap_or_else(|| author(mail, sender)),
        visible_for_customer: settings.visible_for_customer.unwrap_or(true)
            && internal.why.is_none(),
        from: as_written(mail, "From"),
        to: as_written(mail, "To"),
        cc: as_written(mail, "Cc"),
        subject: mail.subject.clone(),
        text: internal.text.clone(),
        verified: None,
        message_id: Some(mail.message_id.clone()),
        references: references.cloned().collect(),
        attachments: mail.attachments.clone(),
        headers: headers_shown(mail),
        remarks: mail.remarks,
        automatic: reply::automatic(mail).is_some(),
        raw: Some(mail.digest),
        created: Timestamp::UNIX_EPOCH,
    }
}

fn author(mail: &Mail, sender: &SenderOfMail) -> AuthorKind {
    if mail.report.is_some() {
        AuthorKind::System
    } else if sender.agent.is_some() {
        AuthorKind::Agent
    } else {
        AuthorKind::Customer
    }
}

/// A header field for people to read.
pub(super) fn as_written(mail: &Mail, name: &str) -> String {
    shortened(header::first(mail, name).unwrap_or(""))
}

fn headers_shown(mail: &Mail) -> Vec<HeaderField> {
    let shown = mail
        .headers
        .iter()
        .filter(|field| HEADERS_SHOWN.iter().any(|name| header::is_named(&field.name, name)));
    let field = |field: &HeaderField| HeaderField {
        name: field.name.trim().into(),
        value: shortened(&field.value),
    };
    shown.take(HEADERS_MAX).map(field).collect()
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(LINE_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::super::samples::{account, config, mail};
    use super::*;

    #[track_caller]
    fn check_sender(headers: &str, from: Option<&str>, answer_to: Option<&str>) {
        let sender = sender_of(&config(), &mail(headers));
        let address = |address: Option<Address>| address.map(|address| address.as_str().to_owned());
        assert_eq!(address(sender.mailbox.address).as_deref(), from);
        assert_eq!(address(sender.answer_to).as_deref(), answer_to);
    }

    #[test]
    fn who_wrote_it() {
        check_sender("From: A@x.test", Some("a@x.test"), Some("a@x.test"));
        check_sender("From: a@x.test\nReply-To: b@x.test", Some("a@x.test"), Some("b@x.test"));
        check_sender("From: nobody\nSender: s@x.test", Some("s@x.test"), Some("s@x.test"));
        check_sender("Reply-To: b@x.test", Some("b@x.test"), Some("b@x.test"));
        check_sender("Return-Path: <p@x.test>", Some("p@x.test"), None);
        check_sender("From: nobody\nReturn-Path: <p@x.test>", Some("p@x.test"), None);
        check_sender("From: a@x.test\nReturn-Path: <p@x.test>", Some("a@x.test"), Some("a@x.test"));
        check_sender("Return-Path: <bounces+1@x.test>", None, None);
        check_sender("Return-Path: <>", None, None);
        check_sender("Subject: x", None, None);
    }

    #[test]
    fn most_telling_reference_first() {
        let headers = "In-Reply-To: <c@x>\nReferences: <a@x> <b@x> <c@x>";
        let judged = judge(&config(), &account(), &mail(headers));
        assert_eq!(judged.references, ["c@x", "b@x", "a@x"]);
    }

    #[test]
    fn mails_without_an_id_are_told_apart_by_their_bytes_only() {
        assert_eq!(keys(&mail("From: cron@x.test")).content, None);
        let one = keys(&mail("Message-ID: <a@x>")).content;
        assert!(one.is_some() && one != keys(&mail("Message-ID: <b@x>")).content);
    }

    #[test]
    fn control_headers_never_reach_filters_or_articles() {
        let mail = mail("Subject: x\nX-OTOBO-Queue: sales\nx-otobo-OWNER: anna");
        let judged = judge(&config(), &account(), &mail);
        assert_eq!((judged.settings.queue, judged.settings.owner), (None, None));
        let trusted = Account { trusted: true, ..account() };
        let judged = judge(&config(), &trusted, &mail);
        assert_eq!(judged.settings.queue.as_deref(), Some("sales"));
        assert_eq!(judged.route.queue, "sales");
    }

    #[test]
    fn lines_are_bounded() {
        let headers = format!("From: a@x.test\nX-Mailer: {}", "あ".repeat(10_000));
        let judged = judge(&config(), &account(), &mail(&headers));
        assert!(judged.article.headers.iter().all(|field| field.value.len() <= LINE_BYTES_MAX));
    }
}
