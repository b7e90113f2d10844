//! Reports in words, for people: what qmail, Exim and mail systems of providers write that know no
//! part for machines.
//!
//! Architecture invariant: linear in the text, and bounded in what is looked at.

use super::super::structure::Structure;
use super::super::{Mail, Report, ReportKind, ReportedRecipient};
use super::origin::Origin;
use super::returned::Returned;
use super::{
    AROUND_ADDRESSES, RECIPIENTS_MAX, empty, field, lenient_address, phrases, recipient,
    reply_class, status_or_reply,
};
use crate::core::address::Address;
use crate::core::auto_subject;
use crate::core::robot;

/// Lines of a text that are looked at.
pub const LINES_MAX: usize = 5_000;
/// Bytes of a text in which phrases and addresses are looked for.
const WORDS_BYTES_MAX: usize = 64 * 1024;

/// A report in words. Something must show that a mail system or a program wrote it, and something
/// what became of a mail. `shows_id` says that the body shows an id shaped like ours.
pub fn read(
    structure: &Structure,
    mail: &Mail,
    origin: Origin,
    returned: &Returned,
    shows_id: bool,
) -> Option<Report> {
    if is_answer(mail) {
        return None;
    }
    let words = split(&mail.text).0;
    let stated = kind(mail, words);
    let typed = structure.parts[0].content.kind == "multipart/report";
    let kind = match origin {
        // What a mail system returns without a word that is known here, it could not deliver.
        Origin::MailSystem if returned.enclosed || typed => stated.or(Some(ReportKind::Failed)),
        Origin::MailSystem => stated,
        Origin::NullPath if shows_id && returned.enclosed => stated.or(Some(ReportKind::Failed)),
        // A program that answers mails may quote them. Only what it returns is evidence.
        Origin::NullPath | Origin::Program if shows_id => stated,
        Origin::NullPath | Origin::Program | Origin::Person => None,
    };
    let mut report = empty(kind?);
    report.recipients = recipients(mail, words);
    // A subject alone is no evidence.
    let names_mail = returned.enclosed || returned.message_id.is_some() || shows_id;
    (names_mail || !report.recipients.is_empty()).then_some(report)
}

/// Fields of programs that answer mails.
const ANSWER_FIELDS: [&str; 4] =
    ["X-Autoreply", "X-Autorespond", "X-Mail-Autoreply", "X-Autoreply-From"];

/// An automatic answer is no report, whatever its words.
fn is_answer(mail: &Mail) -> bool {
    auto_subject::is_automatic(&mail.subject)
        || ANSWER_FIELDS.iter().any(|name| field(mail, name).is_some())
}

/// What became of the mail, by the subject and the words.
pub fn kind(mail: &Mail, words: &str) -> Option<ReportKind> {
    let subject = mail.subject.to_lowercase();
    let words = cut(words);
    let text = words.to_lowercase();
    let in_subject = |known: &[&str]| known.iter().any(|phrase| subject.contains(phrase));
    let in_text = |known: &[&str]| known.iter().any(|phrase| text.contains(phrase));
    if in_subject(&phrases::DELAY_SUBJECTS) {
        return Some(ReportKind::Delayed);
    }
    if in_text(&phrases::GIVEN_UP) || field(mail, "X-Failed-Recipients").is_some() {
        return Some(ReportKind::Failed);
    }
    if in_text(&phrases::DELAYED) {
        return Some(ReportKind::Delayed);
    }
    if in_subject(&phrases::FAILED) || in_text(&phrases::FAILED) {
        return Some(ReportKind::Failed);
    }
    if in_subject(&phrases::DELIVERED) || in_text(&phrases::DELIVERED) {
        return Some(ReportKind::Delivered);
    }
    match reply_class(words) {
        Some('5') => Some(ReportKind::Failed),
        Some('4') => Some(ReportKind::Delayed),
        Some(_) | None => None,
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(WORDS_BYTES_MAX)]
}

/// Recipients that failed: as a field of Exim names them, else as qmail and Postfix begin their
/// paragraphs, else every address in the words that is not one of the mail itself.
pub fn recipients(mail: &Mail, words: &str) -> Vec<ReportedRecipient> {
    let words = cut(words);
    let in_header = named_in_header(mail, words);
    if !in_header.is_empty() {
        return in_header;
    }
    let in_paragraphs = named_in_paragraphs(words);
    if in_paragraphs.is_empty() { named_anywhere(mail, words) } else { in_paragraphs }
}

/// Adds the codes that the parts for machines, or the paragraph of a recipient, do not give.
pub fn fill(recipients: &mut [ReportedRecipient], words: &str) {
    let words = cut(words);
    let mut of_text = None;
    for recipient in recipients.iter_mut().filter(|recipient| recipient.status.is_empty()) {
        let own = status_or_reply(&recipient.diagnostic);
        let other = || of_text.get_or_insert_with(|| status_or_reply(words)).clone();
        recipient.status = own.or_else(other).unwrap_or_default();
    }
}

/// Exim names them in `X-Failed-Recipients`.
fn named_in_header(mail: &Mail, words: &str) -> Vec<ReportedRecipient> {
    let value = field(mail, "X-Failed-Recipients").unwrap_or_default();
    let addresses = value.split([',', ' ']).filter_map(Address::parse);
    let lower = words.to_ascii_lowercase();
    addresses
        .take(RECIPIENTS_MAX)
        .map(|address| {
            let place = lower.find(address.as_str());
            let behind = place.and_then(|at| words.get(at + address.as_str().len()..));
            let paragraph = behind.and_then(|behind| behind.split("\n\n").next());
            let diagnostic = paragraph.unwrap_or_default().trim_start_matches(['>', ':']);
            recipient(Some(address), ReportKind::Failed, diagnostic)
        })
        .collect()
}

/// Lines that begin with `<eve@x.test>:`, as qmail and Postfix write them, with what follows up to
/// the next of them or to an empty line.
fn named_in_paragraphs(words: &str) -> Vec<ReportedRecipient> {
    let mut found: Vec<(Address, String)> = Vec::new();
    let mut inside = false;
    for line in words.lines().take(LINES_MAX) {
        let named = line.trim_start().strip_prefix('<').and_then(|rest| rest.split_once(">:"));
        let named = named.and_then(|(address, rest)| Some((lenient_address(address)?, rest)));
        match named {
            Some((address, rest)) if found.len() < RECIPIENTS_MAX => {
                found.push((address, rest.to_owned()));
                inside = true;
            }
            Some(_) => break,
            None if line.trim().is_empty() => inside = false,
            None => {
                if let Some((_, diagnostic)) = found.last_mut().filter(|_| inside) {
                    diagnostic.push(' ');
                    diagnostic.push_str(line);
                }
            }
        }
    }
    let all = found.into_iter();
    all.map(|(address, text)| recipient(Some(address), ReportKind::Failed, &text)).collect()
}

/// Words in a line that make an address in it the sender's and not the recipient's.
const NOT_RECIPIENTS: [&str; 6] =
    ["from:", "sender:", "reply-to:", "return-path:", "mail from", "contact "];

fn named_anywhere(mail: &Mail, words: &str) -> Vec<ReportedRecipient> {
    let own = mail.to.iter().chain(&mail.from).chain(&mail.sender).chain(&mail.reply_to);
    let own: Vec<&Address> = own.filter_map(|mailbox| mailbox.address.as_ref()).collect();
    let mut found: Vec<ReportedRecipient> = Vec::new();
    let lines: Vec<&str> = words.lines().take(LINES_MAX).collect();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.contains('@')) {
        let lower = line.trim_start().to_ascii_lowercase();
        if NOT_RECIPIENTS.iter().any(|start| lower.starts_with(start)) {
            continue;
        }
        for address in addresses_in(line) {
            let known = found.iter().any(|one| one.address.as_ref() == Some(&address));
            let about_us = own.contains(&&address) || robot::is_mail_system(&address);
            if known || about_us || found.len() == RECIPIENTS_MAX {
                continue;
            }
            let paragraph = lines[at..].iter().take_while(|line| !line.trim().is_empty());
            let text: Vec<&str> = paragraph.take(10).copied().collect();
            found.push(recipient(Some(address), ReportKind::Failed, &text.join(" ")));
        }
    }
    found
}

/// Addresses in a line of text.
fn addresses_in(line: &str) -> impl Iterator<Item = Address> {
    let apart = |c: char| {
        c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | '=' | '[' | ']')
    };
    line.split(apart).filter(|word| word.contains('@')).filter_map(|word| {
        // `RCPT TO:eve@x.test`, `mailto:eve@x.test` and `宛先：eve@x.test`.
        let word = word.trim_matches(AROUND_ADDRESSES);
        let word = word.rsplit([':', '：', '「']).next().unwrap_or(word);
        let end = word.find(['」', '、', '。', 'は', 'を', 'に', 'へ']).unwrap_or(word.len());
        lenient_address(&word[..end])
    })
}

/// The words of the mail system, and the copy of the returned mail behind them.
pub fn split(text: &str) -> (&str, Option<&str>) {
    let mut at = 0;
    let mut fields = 0;
    let mut first = 0;
    for line in text.split_inclusive('\n').take(LINES_MAX) {
        let start = at;
        at += line.len();
        let lower = line.get(..line.floor_char_boundary(200)).unwrap_or_default().to_lowercase();
        let announced = phrases::COPY_FOLLOWS.iter().any(|mark| lower.contains(mark));
        if announced && begins_with_field(&text[at..]) {
            return (&text[..start], Some(text[at..].trim_start()));
        }
        // Many print a header with nothing to announce it.
        if phrases::FIELDS_OF_MAILS.iter().any(|name| lower.starts_with(name)) {
            first = if fields == 0 { start } else { first };
            fields += 1;
            if fields == FIELDS_OF_A_COPY {
                return (&text[..first], Some(&text[first..]));
            }
        } else if !line.starts_with([' ', '\t']) {
            fields = 0;
        }
    }
    (text, None)
}

/// Whether the first line that is not empty is a field.
fn begins_with_field(text: &str) -> bool {
    let text = text.trim_start().trim_start_matches(['>', ' ']);
    let name = text.find(':').map(|colon| &text[..colon]).unwrap_or_default();
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !name.is_empty() && name.chars().all(in_name)
}

/// Header fields in a row that make a copy of a mail.
const FIELDS_OF_A_COPY: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies() {
        for text in [
            "Sorry.\n\n--- Below this line is a copy of the message.\n\nFrom: a@x.test\n",
            "Sorry.\n\nFrom: a@x.test\nTo: b@x.test\nSubject: x\n",
            "Sorry.\n\nReceived: from a\n\tby b\nDate: x\nMessage-ID: <a@x>\n",
        ] {
            let (words, copy) = split(text);
            assert!(
                words.trim() == "Sorry." && copy.is_some_and(|copy| copy.contains(": ")),
                "{text}"
            );
        }
        for text in ["Sorry.\nFrom: a\nno field\nTo: b\nno field\nDate: x\n", "", "To: a\nDate: b"]
        {
            assert_eq!(split(text), (text, None));
        }
    }

    #[test]
    fn addresses_in_sentences() {
        for (line, expected) in [
            ("RCPT TO:<eve@x.test> failed", "eve@x.test"),
            ("Could not deliver to 'eve@x.test'.", "eve@x.test"),
            ("宛先「eve@x.test」に送信できません", "eve@x.test"),
            ("宛先：eve@x.testは存在しません", "eve@x.test"),
            ("550 eve@x.test... User unknown", "eve@x.test"),
            ("<mailto:eve@x.test>", "eve@x.test"),
            ("\"e..x.\"@x.test:", "e..x.@x.test"),
        ] {
            let found: Vec<Address> = addresses_in(line).collect();
            assert_eq!(found.iter().map(Address::as_str).collect::<Vec<_>>(), [expected], "{line}");
        }
    }

    #[test]
    fn paragraphs() {
        let text = "<a@x.test>: no\n  such user\n<b@x.test>:\nfull\n\n<not an address>: x\n";
        let found = named_in_paragraphs(text);
        let words: Vec<&str> = found.iter().map(|one| one.diagnostic.as_str()).collect();
        assert_eq!(words, ["no such user", "full"]);
    }
}
