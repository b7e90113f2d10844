//! What can be read in the files of an agent's mail, for the question whether they may go on.
//!
//! A forwarded notification is a file; so is the part of a quote that a mail program puts behind a
//! picture, and the copy of the whole mail in `winmail.dat`.
//!
//! Architecture invariant: a file whose kind can hold a mail and that cannot be read is
//! [`Content::Opaque`]. Enclosed mails are opened to a fixed depth.

use crate::core::mail::files::{self, File};
use crate::core::mail::{self, Attachment};

/// Mails within mails that are opened.
const DEPTH_MAX: usize = 4;
/// Names by which a file holds a mail, whatever its type says.
const MAIL_NAMES: [&str; 3] = [".eml", ".mht", ".mhtml"];
/// Methods of calendar answers that a program writes (RFC 5546 section 1.4).
const ANSWER_METHODS: [&str; 3] = ["REPLY", "COUNTER", "REFRESH"];

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing in it can be a mail of ours.
    Other,
    /// It can hold a mail, and cannot be read.
    Opaque,
    /// An answer to an invitation, written by a calendar program.
    CalendarAnswer,
    /// Texts that are in it.
    Texts {
        /// The texts.
        texts: Vec<String>,
        /// Message-IDs of mails that are in it.
        ids: Vec<String>,
    },
}

/// What each of these files is.
pub fn read(listed: &[Attachment], files: &[File]) -> Vec<(u32, Content)> {
    let named = |file: &File| listed.iter().find(|one| one.index == file.index);
    let both = files.iter().filter_map(|file| Some((named(file)?, file)));
    both.map(|(listed, file)| (file.index, content(listed, file, DEPTH_MAX))).collect()
}

fn content(listed: &Attachment, file: &File, depth: usize) -> Content {
    let name = listed.name.to_lowercase();
    let kind = listed.content_type.as_str();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if is_opaque(kind) || ends(&[".p7m", "winmail.dat"]) || name == "win.dat" {
        Content::Opaque
    } else if kind == "text/calendar" || ends(&[".ics"]) {
        calendar(file)
    } else if kind == "message/rfc822" || kind == "message/global" || ends(&MAIL_NAMES) {
        enclosed(&file.bytes, depth)
    } else if kind == "text/html" || ends(&[".htm", ".html"]) {
        Content::Texts { texts: vec![html(file)], ids: Vec::new() }
    } else if kind.starts_with("text/")
        || ends(&[".txt", ".rtf", ".md", ".csv"])
        || kind == "application/rtf"
    {
        Content::Texts { texts: vec![plain(file, "text/plain")], ids: Vec::new() }
    } else if kind == "application/vnd.ms-outlook" || ends(&[".msg"]) {
        Content::Texts { texts: compound(&file.bytes), ids: Vec::new() }
    } else {
        Content::Other
    }
}

/// Kinds that hold a whole mail which nobody here can read.
fn is_opaque(kind: &str) -> bool {
    matches!(
        kind,
        "application/ms-tnef"
            | "application/vnd.ms-tnef"
            | "application/pkcs7-mime"
            | "application/x-pkcs7-mime"
            | "application/pgp-encrypted"
            | "multipart/encrypted"
    )
}

fn calendar(file: &File) -> Content {
    let text = String::from_utf8_lossy(&file.bytes).to_uppercase();
    let method = text.lines().find_map(|line| line.trim().strip_prefix("METHOD:"));
    match method {
        Some(method) if ANSWER_METHODS.contains(&method.trim()) => Content::CalendarAnswer,
        Some(_) | None => {
            Content::Texts { texts: vec![plain(file, "text/plain")], ids: Vec::new() }
        }
    }
}

/// Texts of a mail and of the mails and texts in it.
fn enclosed(raw: &[u8], depth: usize) -> Content {
    if depth == 0 || mail::scan(raw).is_err() {
        return Content::Opaque;
    }
    let mail = mail::parse(raw);
    let mut texts = vec![mail.subject, mail.text];
    let mut ids = vec![mail.message_id];
    texts.extend(mail.html.map(|page| text_of("text/html", "utf-8", page.as_bytes())));
    let taken = files::take(raw);
    if taken.len() < mail.attachments.len() {
        return Content::Opaque;
    }
    for file in &taken {
        let listed = mail.attachments.iter().find(|one| one.index == file.index);
        let Some(listed) = listed else { return Content::Opaque };
        match content(listed, file, depth - 1) {
            Content::Opaque => return Content::Opaque,
            Content::Other | Content::CalendarAnswer => {}
            Content::Texts { texts: more, ids: others } => {
                texts.extend(more);
                ids.extend(others);
            }
        }
    }
    Content::Texts { texts, ids }
}

fn html(file: &File) -> String {
    plain(file, "text/html")
}

fn plain(file: &File, kind: &str) -> String {
    text_of(kind, file.charset.as_deref().unwrap_or("utf-8"), &file.bytes)
}

/// Text of a page or a plain text, read as if it were a mail of its own.
fn text_of(kind: &str, charset: &str, bytes: &[u8]) -> String {
    let header = format!(
        "Content-Type: {kind}; charset=\"{charset}\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    );
    let mut raw = header.into_bytes();
    raw.extend_from_slice(bytes);
    mail::parse(&raw).text
}

/// Outlook's own format holds its texts as UTF-16, or in the charset of the machine.
fn compound(bytes: &[u8]) -> Vec<String> {
    let wide = |bytes: &[u8]| {
        let units = bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
        char::decode_utf16(units).map(|c| c.unwrap_or(' ')).collect::<String>()
    };
    let odd = bytes.get(1..).unwrap_or_default();
    vec![wide(bytes), wide(odd), String::from_utf8_lossy(bytes).into_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, kind: &str, bytes: &[u8]) -> Content {
        let listed = Attachment {
            index: 0,
            name: name.into(),
            content_type: kind.into(),
            content_id: None,
            inline: false,
            bytes: bytes.len() as u64,
        };
        read(&[listed], &[File { index: 0, charset: None, bytes: bytes.to_vec() }]).remove(0).1
    }

    #[track_caller]
    fn check_text(name: &str, kind: &str, bytes: &[u8], expected: &str) {
        match file(name, kind, bytes) {
            Content::Texts { texts, .. } => {
                assert!(texts.iter().any(|text| text.contains(expected)), "{texts:?}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn texts_in_files() {
        check_text("ATT00001.htm", "text/html", b"<p>hidden <b>note</b></p>", "hidden note");
        check_text(
            "a.eml",
            "application/octet-stream",
            b"Subject: x\r\n\r\nhidden note",
            "hidden note",
        );
        let twice = b"Content-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nhidden note";
        check_text("a", "message/rfc822", twice, "hidden note");
        let wide: Vec<u8> = "hidden note".encode_utf16().flat_map(u16::to_le_bytes).collect();
        check_text("a.msg", "application/vnd.ms-outlook", &wide, "hidden note");
    }

    #[test]
    fn what_cannot_be_read() {
        assert_eq!(file("winmail.dat", "application/ms-tnef", b"x"), Content::Opaque);
        assert_eq!(file("smime.p7m", "application/pkcs7-mime", b"x"), Content::Opaque);
        let mut raw = b"Subject: x\r\n\r\nhidden".to_vec();
        for _ in 0..=DEPTH_MAX {
            raw = [b"Content-Type: message/rfc822\r\n\r\n".as_slice(), &raw].concat();
        }
        assert_eq!(file("a", "message/rfc822", &raw), Content::Opaque);
        assert_eq!(file("a.png", "image/png", b"x"), Content::Other);
    }

    #[test]
    fn answers_of_calendars() {
        let reply = b"BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nEND:VCALENDAR\r\n";
        assert_eq!(file("a.ics", "text/calendar", reply), Content::CalendarAnswer);
        check_text("a.ics", "text/calendar", b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n", "REQUEST");
    }
}
