//! A letter: an agent's answer, to everybody whom it is for.

use super::paper::{self, Draft, Enclosed};
use super::{
    ROOT_DOMAIN, Stationery, clean, first_attempt, id_domain, identity, next_outgoing, tagged,
    texts,
};
use crate::core::address::Address;
use crate::core::config::{Config, Language};
use crate::core::intake::NextIds;
use crate::core::mail::Attachment;
use crate::core::mail::files::File;
use crate::core::outgoing::{Outgoing, OutgoingId, OutgoingKind};
use crate::core::thread::{self, Purpose};
use crate::core::ticket::{Article, Ticket};

/// Files that a letter names which does not carry them.
const FILES_NAMED_MAX: usize = 20;
/// Recipients of one letter.
pub const LETTER_RECIPIENTS_MAX: usize = 50;

/// An agent's answer, as he wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter<'a> {
    /// Display name of the agent.
    pub author: &'a str,
    /// Subject without tag.
    pub subject: &'a str,
    /// Text.
    pub text: &'a str,
    /// Recipients in the header To.
    pub to: &'a [Address],
    /// Recipients in the header Cc.
    pub cc: &'a [Address],
    /// Message-IDs of the ticket so far, oldest first.
    pub thread: &'a [String],
    /// Files that go along.
    pub files: &'a [Enclosed<'a>],
}

/// Address that answers on a ticket go out as; `None` if nothing can send them.
pub fn letter_from<'a>(config: &'a Config, ticket: &Ticket) -> Option<&'a Address> {
    identity::writing(config, ticket).map(|identity| identity.from)
}

/// An agent's answer: one owed mail per recipient, each with a Message-ID of its own, so that what
/// one recipient passes on is not taken for another's.
/// Identities are counted up in `next`. Empty if nobody is left to write to, or nothing can send.
///
/// Addresses of ours are left out: what we send to ourselves would come back as a follow-up.
pub fn letter(
    stationery: Stationery<'_>,
    letter: &Letter<'_>,
    ticket: &Ticket,
    next: &mut NextIds,
) -> Vec<Outgoing> {
    let config = stationery.config;
    let to = outsiders(config, letter.to, &[]);
    let mut cc = outsiders(config, letter.cc, &to);
    cc.truncate(LETTER_RECIPIENTS_MAX - to.len());
    let recipients: Vec<&Address> = to.iter().chain(&cc).copied().collect();
    let Some(identity) = identity::writing(config, ticket) else { return Vec::new() };

    let from_name = match letter.author {
        "" => config.desk.name.clone(),
        author => format!("{author} via {}", config.desk.name),
    };
    let copies = Copies { identity: &identity, from_name, to: &to, cc: &cc, letter, ticket };
    let first = next.outgoing;
    recipients
        .iter()
        .map(|recipient| copies.owed(stationery, recipient, first, next_outgoing(next)))
        .collect()
}

/// What the copies of one letter share.
struct Copies<'a> {
    identity: &'a identity::Identity<'a>,
    from_name: String,
    to: &'a [&'a Address],
    cc: &'a [&'a Address],
    letter: &'a Letter<'a>,
    ticket: &'a Ticket,
}

impl Copies<'_> {
    /// The copy for one recipient. Its ids name nobody else: `first` is the number of the letter
    /// in the ids of all copies, so that each recipient's later mails can refer to it.
    fn owed(
        &self,
        stationery: Stationery<'_>,
        recipient: &Address,
        first: OutgoingId,
        id: OutgoingId,
    ) -> Outgoing {
        let (key, identity, ticket) = (stationery.key, self.identity, self.ticket);
        let (purpose, domain) = (Purpose::Correspondence, id_domain(identity.from));
        let message_id = thread::message_id(key, ticket.id, first, recipient, purpose, domain);
        let root = thread::root_id(key, ticket.id, recipient, purpose, ROOT_DOMAIN);
        let known = |id: &String| thread::id_for(key, id, recipient).unwrap_or_else(|| id.clone());
        let earlier: Vec<String> = self.letter.thread.iter().map(known).collect();
        let mut references = vec![root.as_str()];
        references.extend(earlier.iter().map(String::as_str).filter(|id| *id != root));
        let raw = paper::write(&Draft {
            from: (&self.from_name, identity.from),
            reply_to: identity.reply_to,
            to: self.to.iter().map(|address| ("", *address)).collect(),
            cc: self.cc.iter().map(|address| ("", *address)).collect(),
            subject: tagged(stationery.config, ticket, self.letter.subject),
            date: stationery.now,
            message_id: &message_id,
            in_reply_to: earlier.last().map(String::as_str),
            references,
            fields: Vec::new(),
            text: self.letter.text.into(),
            files: self.letter.files,
        });
        Outgoing {
            id,
            ticket: Some(ticket.id),
            kind: OutgoingKind::Reply,
            sender: identity.sender.into(),
            envelope_from: Some(identity.envelope_from.unwrap_or(identity.from).clone()),
            recipient: recipient.clone(),
            message_id,
            raw,
            created: stationery.now,
            delivery: first_attempt(stationery.now),
        }
    }
}

/// The text of an article as a letter that carries these of its files, and names the others but
/// those that are `hidden`.
pub fn with_kept_files(
    article: &Article,
    sent: &[File],
    hidden: &[u32],
    language: Language,
) -> String {
    let is_kept = |file: &&Attachment| {
        sent.iter().all(|one| one.index != file.index) && !hidden.contains(&file.index)
    };
    let kept: Vec<&Attachment> = article.attachments.iter().filter(is_kept).collect();
    if kept.is_empty() {
        return article.text.clone();
    }
    let names = kept.iter().take(FILES_NAMED_MAX);
    let names: Vec<String> =
        names.map(|file| clean::line(&file.name, clean::NAME_CHARS_MAX)).collect();
    let more = if kept.len() > FILES_NAMED_MAX { ", ..." } else { "" };
    let files = format!("{}{more}", names.join(", "));
    format!("{}\n\n{}\n", article.text.trim_end(), texts::files_kept(language, &files))
}

/// These addresses, each once, without ours and without those named already.
fn outsiders<'a>(
    config: &Config,
    addresses: &'a [Address],
    named: &[&'a Address],
) -> Vec<&'a Address> {
    let mut kept: Vec<&Address> = Vec::new();
    for address in addresses {
        let ours = config.system_addresses.contains_key(address);
        if !ours && !kept.contains(&address) && !named.contains(&address) {
            kept.push(address);
        }
    }
    kept.truncate(LETTER_RECIPIENTS_MAX);
    kept
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::reading::read;
    use super::super::trying::{root, root_of, stationery, write_to};
    use super::*;
    use crate::core::outgoing::OutgoingId;
    use crate::core::ticket::ArticleKind;
    use crate::core::ticket::samples::{address, article, config, key, next_ids, ticket};

    #[test]
    fn a_letter() {
        let config = config();
        let (mails, next) = write_to(&config, &["eve@cust.test"], &["boss@cust.test"]);
        assert_eq!(next.outgoing, OutgoingId(12));
        let [first, second] = mails.as_slice() else { panic!("two recipients: {mails:?}") };
        assert_eq!((first.id, second.id), (OutgoingId(10), OutgoingId(11)));
        assert_eq!(second.recipient, address("boss@cust.test"));
        for (copy, to) in [(first, "eve@cust.test"), (second, "boss@cust.test")] {
            let issued = thread::verify(&key(), &copy.message_id).unwrap();
            assert!(issued.is_for(&key(), &address(to)), "each recipient has their own id");
            assert_eq!((issued.mail, issued.purpose), (Some(first.id), Purpose::Correspondence));
            let read = read(&copy.raw);
            assert_eq!(read.field("Message-ID"), format!("<{}>", copy.message_id));
            assert!(read.field("References").starts_with(&root_of(to, Purpose::Correspondence)));
        }
        assert_eq!(first.envelope_from, Some(address("support@desk.test")));
        let read = read(&first.raw);
        assert_eq!(read.field("From"), "\"Alice via ACME Helpdesk\" <support@desk.test>");
        assert_eq!(read.field("Cc"), "boss@cust.test");
        assert_eq!(read.field("In-Reply-To"), "<m39@cust.test>");
        let references: Vec<&str> = read.field("References").split(' ').collect();
        assert_eq!(references.len(), 20);
        assert_eq!((references[0], references[1]), (&*root(), "<m21@cust.test>"));
        assert_eq!(references[19], "<m39@cust.test>");
        // A person writes: nothing of a robot, and vacation notices may answer.
        assert!(!read.names().iter().any(|name| ["Auto-Submitted", "Precedence"].contains(name)));
        assert_eq!(read.text, "Turn it on.\n");
    }

    #[test]
    fn each_copy_refers_to_the_copies_that_its_recipient_has() {
        let config = config();
        let (earlier, _) = write_to(&config, &["eve@cust.test", "boss@cust.test"], &[]);
        let thread = ["m1@cust.test".to_owned(), earlier[0].message_id.clone()];
        let to = [address("eve@cust.test"), address("boss@cust.test")];
        let words = Letter {
            author: "Alice",
            subject: "x",
            text: "y",
            to: &to,
            cc: &[],
            thread: &thread,
            files: &[],
        };
        let later = letter(stationery(&config, &key()), &words, &ticket(), &mut next_ids());
        for (copy, before) in later.iter().zip(&earlier) {
            let read = read(&copy.raw);
            assert_eq!(read.field("In-Reply-To"), format!("<{}>", before.message_id));
            assert!(read.field("References").contains(&before.message_id));
        }
    }

    #[test]
    fn letters_do_not_come_back_to_ourselves() {
        let config = config();
        let to = ["support@desk.test", "eve@cust.test", "eve@cust.test"];
        let (mails, _) = write_to(&config, &to, &["eve@cust.test", "sales@desk.test"]);
        assert_eq!(mails.len(), 1);
        assert_eq!(read(&mails[0].raw).field("To"), "eve@cust.test");
        assert_eq!(write_to(&config, &["support@desk.test"], &[]).0, []);
    }

    #[test]
    fn a_letter_of_copies_only() {
        let (mails, _) = write_to(&config(), &["support@desk.test"], &["eve@cust.test"]);
        let read = read(&mails[0].raw);
        assert_eq!(read.field("Cc"), "eve@cust.test");
        assert!(!read.names().contains(&"To"), "an empty To is no header (RFC 5322 section 3.6.3)");
    }

    #[test]
    fn letters_name_only_those_who_get_them() {
        let many: Vec<String> = (0..80).map(|at| format!("p{at}@cust.test")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (mails, _) = write_to(&config(), &many[..40], &many[30..]);
        assert_eq!(mails.len(), LETTER_RECIPIENTS_MAX);
        let read = read(&mails[0].raw);
        let named = read.field("To").split(", ").count() + read.field("Cc").split(", ").count();
        assert_eq!(named, LETTER_RECIPIENTS_MAX);
    }

    #[test]
    fn answers_come_back_to_the_desk() {
        let mut config = config();
        Arc::make_mut(&mut config.system_addresses).remove(&address("support@desk.test"));
        let (mails, _) = write_to(&config, &["eve@cust.test"], &[]);
        let read_back = read(&mails[0].raw);
        assert!(read_back.field("From").ends_with("<default@notify.test>"));
        assert_eq!(read_back.field("Reply-To"), "sales@desk.test");
        assert_eq!(mails[0].envelope_from, Some(address("default@notify.test")));
    }

    #[test]
    fn nothing_can_send_a_letter() {
        let mut config = config();
        config.senders.clear();
        Arc::make_mut(&mut config.system_addresses).clear();
        assert_eq!(write_to(&config, &["eve@cust.test"], &[]).0, []);
    }

    #[test]
    fn an_author_without_a_name() {
        let config = config();
        let to = [address("eve@cust.test")];
        let words = Letter {
            author: "",
            subject: "x",
            text: "y",
            to: &to,
            cc: &[],
            thread: &[],
            files: &[],
        };
        let mails = letter(stationery(&config, &key()), &words, &ticket(), &mut next_ids());
        let read = read(&mails[0].raw);
        assert_eq!(read.field("From"), "\"ACME Helpdesk\" <support@desk.test>");
        assert_eq!(read.field("References"), root());
    }

    #[test]
    fn files_that_stay_are_named() {
        let mut letter = article(1, ArticleKind::MailIn);
        letter.text = "See the plan.\n".into();
        assert_eq!(with_kept_files(&letter, &[], &[], Language::En), "See the plan.\n");
        let file = |name: String| crate::core::mail::Attachment {
            index: 0,
            name,
            content_type: "application/pdf".into(),
            bytes: 1,
            content_id: None,
            inline: false,
        };
        letter.attachments = vec![file("plan\r\nBcc: a.pdf".into()), file("b.png".into())];
        let expected =
            "See the plan.\n\n[Not sent along, but kept with the ticket: plan Bcc: a.pdf, b.png]\n";
        assert_eq!(with_kept_files(&letter, &[], &[], Language::En), expected);
        assert!(
            with_kept_files(&letter, &[], &[], Language::Ja).ends_with("plan Bcc: a.pdf, b.png]\n")
        );
        letter.attachments = (0..50).map(|at| file(format!("{at}.pdf"))).collect();
        assert!(with_kept_files(&letter, &[], &[], Language::En).ends_with("19.pdf, ...]\n"));
    }
}
