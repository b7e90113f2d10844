//! The list of attachments, and names that are safe to show.
//!
//! Architecture invariant: a name is a label. No path, no control character, no character that
//! turns or hides text gets through, whatever the sender wrote.

use std::collections::BTreeSet;

use super::body::Role;
use super::charset::{self, Hint};
use super::header::Content;
use super::structure::{Part, Structure};
use super::transfer::Transfer;
use super::{ATTACHMENTS_MAX, Attachment, Digest, Oddity, header, unpack, words};
use crate::core::invisible;

/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 255;

/// Attachments with the SHA-256 of what they hold; hashes of those beyond the limit, too.
#[derive(Debug, Default)]
pub struct Listed {
    /// At most [`ATTACHMENTS_MAX`].
    pub attachments: Vec<Attachment>,
    /// One for each attachment of the mail.
    pub hashes: Vec<Digest>,
    /// The names that the sender gave to those listed; empty for one without.
    pub given: Vec<String>,
    /// All names in use.
    names: BTreeSet<String>,
    unnamed: usize,
}

impl Listed {
    /// How many attachments are not listed because they are too many.
    pub fn left_out(&self) -> u32 {
        u32::try_from(self.hashes.len() - self.attachments.len()).unwrap_or(u32::MAX)
    }

    /// Lists what was found within another attachment or in the text.
    pub fn add(&mut self, file: &unpack::File, oddities: &mut BTreeSet<Oddity>) {
        self.hashes.push(Digest::of(&file.bytes));
        let Ok(index @ 0..ATTACHMENTS_MAX) = u32::try_from(self.hashes.len() - 1) else {
            oddities.insert(Oddity::Truncated);
            return;
        };
        let name = file.name.as_deref().map(clean_name).filter(|name| !name.is_empty());
        let name = self.name(name, &file.kind);
        self.attachments.push(Attachment {
            index,
            name,
            content_type: file.kind.clone(),
            content_id: file.id.clone(),
            inline: file.id.is_some(),
            bytes: file.bytes.len() as u64,
        });
    }

    /// A name that no other attachment has.
    fn name(&mut self, given: Option<String>, kind: &str) -> String {
        let name = given.unwrap_or_else(|| {
            self.unnamed += 1;
            format!("file-{}{}", self.unnamed, extension(kind))
        });
        unique(name, &mut self.names)
    }
}

/// Lists what is not the text.
pub fn list(
    raw: &[u8],
    structure: &Structure,
    roles: &[Role],
    hint: Hint<'_>,
    oddities: &mut BTreeSet<Oddity>,
) -> Listed {
    let mut listed = Listed::default();
    for (at, part) in structure.parts.iter().enumerate() {
        if !roles[at].is_attachment() {
            continue;
        }
        let (hash, bytes) = measure(raw, part);
        listed.hashes.push(hash);
        let Ok(index @ 0..ATTACHMENTS_MAX) = u32::try_from(listed.hashes.len() - 1) else {
            oddities.insert(Oddity::Truncated);
            continue;
        };
        let given = given_name(raw, part, hint, oddities);
        listed.given.push(given.clone().unwrap_or_default());
        let name = listed.name(given, &part.content.kind);
        let content = &part.content;
        let marked = content.disposition.as_deref();
        listed.attachments.push(Attachment {
            index,
            name,
            content_type: content.kind.clone(),
            inline: marked == Some("inline")
                || content.id.is_some() && marked != Some("attachment"),
            content_id: content.id.clone(),
            bytes,
        });
    }
    listed
}

/// Hash and length of the decoded content. Line ends of what is sent as text are not content:
/// servers that render a mail anew change them.
fn measure(raw: &[u8], part: &Part) -> (Digest, u64) {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    let mut bytes = 0;
    let Content { kind, transfer, .. } = &part.content;
    let in_lines =
        *transfer == Transfer::Plain || kind.starts_with("text/") || kind.starts_with("message/");
    transfer.pieces(&raw[part.body.clone()], |piece| {
        bytes += piece.len() as u64;
        if in_lines {
            piece.split(|byte| *byte == b'\r').for_each(|run| hasher.update(run));
        } else {
            hasher.update(piece);
        }
    });
    (Digest(hasher.finalize().into()), bytes)
}

/// The name the sender gave: RFC 2183 first, then the older `name`; for an enclosed mail its
/// subject; else what Content-Description calls it.
pub fn given_name(
    raw: &[u8],
    part: &Part,
    hint: Hint<'_>,
    oddities: &mut BTreeSet<Oddity>,
) -> Option<String> {
    let content = &part.content;
    let label = content.charset().filter(|label| charset::is_telling(label));
    let hint = Hint { charset: label.as_deref().or(hint.charset), ..hint };
    let said = content.disposition_parameters.text("filename", hint);
    let said = said.or_else(|| content.parameters.text("name", hint));
    if let Some(said) = said {
        if said.problem {
            oddities.insert(Oddity::CharsetProblem);
        }
        let name = clean_name(&said.text);
        if !name.is_empty() {
            return Some(name);
        }
    }
    if !content.is_message() {
        return described(content, hint);
    }
    let fields = header::returned(raw.get(part.body.clone())?);
    let subject = words::decode(&header::find(fields, "Subject")?, hint).text;
    let name = clean_name(&subject.replace(['/', '\\', ':'], "_"));
    let short: String = name.chars().take(NAME_CHARS_MAX - 4).collect();
    (!short.is_empty()).then(|| format!("{short}.eml"))
}

/// Longest description that is a name, in characters.
const DESCRIPTION_CHARS_MAX: usize = 100;

/// What Content-Description calls a part, with the extension of its type if it names none.
fn described(content: &Content, hint: Hint<'_>) -> Option<String> {
    let text = words::decode(content.description.as_deref()?, hint).text;
    let name = clean_name(&text.replace(['/', '\\', ':'], "_"));
    if name.is_empty() || name.chars().count() > DESCRIPTION_CHARS_MAX {
        return None;
    }
    let short =
        |end: &str| (1..=5).contains(&end.len()) && end.bytes().all(|b| b.is_ascii_alphanumeric());
    let has_extension = name.rsplit_once('.').is_some_and(|(_, end)| short(end));
    Some(if has_extension { name } else { name + &extension(&content.kind) })
}

/// A name without path, control characters, and characters that turn or hide text.
pub fn clean_name(name: &str) -> String {
    let visible: String = invisible::removed(name).chars().filter(|c| !c.is_control()).collect();
    let last = visible.rsplit(['/', '\\']).map(str::trim).find(|piece| !piece.is_empty());
    let last = last.unwrap_or_default();
    let last = if last.chars().all(|c| c == '.') { "" } else { last };
    shorten(last)
}

/// Keeps the extension of a name that is too long.
fn shorten(name: &str) -> String {
    let count = name.chars().count();
    if count <= NAME_CHARS_MAX {
        return name.to_owned();
    }
    /// Longest extension that is kept, in bytes with its dot.
    const EXTENSION_BYTES_MAX: usize = 16;
    let extension = name.rfind('.').map_or("", |dot| &name[dot..]);
    let extension = if extension.len() <= EXTENSION_BYTES_MAX { extension } else { "" };
    let stem: String = name.chars().take(NAME_CHARS_MAX - extension.chars().count()).collect();
    format!("{stem}{extension}")
}

/// `name-1.ext` for the second of a name.
fn unique(name: String, names: &mut BTreeSet<String>) -> String {
    let mut candidate = name.clone();
    let mut number = 0;
    while !names.insert(candidate.clone()) {
        number += 1;
        let dot = name.rfind('.').filter(|dot| *dot > 0).unwrap_or(name.len());
        candidate = format!("{}-{number}{}", &name[..dot], &name[dot..]);
    }
    candidate
}

/// Extension for a part without a name: of the types that desks see, else the subtype itself if it
/// may be one.
fn extension(kind: &str) -> String {
    let known = match kind {
        "text/plain"
        | "message/delivery-status"
        | "message/disposition-notification"
        | "text/rfc822-headers" => "txt",
        "text/calendar" | "application/ics" => "ics",
        "text/vcard" | "text/x-vcard" => "vcf",
        "text/xml" | "application/xml" => "xml",
        "text/markdown" => "md",
        "text/javascript" => "js",
        "message/rfc822" | "message/global" => "eml",
        "application/ms-tnef" | "application/vnd.ms-tnef" => "dat",
        "application/msword" => "doc",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.ms-powerpoint" => "ppt",
        "application/vnd.ms-outlook" => "msg",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation" => "pptx",
        "application/vnd.oasis.opendocument.text" => "odt",
        "application/vnd.oasis.opendocument.spreadsheet" => "ods",
        "application/x-zip-compressed" => "zip",
        "application/gzip" | "application/x-gzip" => "gz",
        "application/x-7z-compressed" => "7z",
        "application/pgp-signature" => "asc",
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => "p7m",
        "application/pkcs7-signature" | "application/x-pkcs7-signature" => "p7s",
        "image/jpeg" | "image/pjpeg" | "image/jpg" => "jpg",
        "image/svg+xml" => "svg",
        "image/tiff" => "tif",
        "image/x-icon" | "image/vnd.microsoft.icon" => "ico",
        "audio/mpeg" => "mp3",
        "audio/mp4" | "audio/x-m4a" => "m4a",
        "video/quicktime" => "mov",
        "video/x-msvideo" => "avi",
        "video/x-ms-wmv" => "wmv",
        "application/octet-stream" => "",
        _ if kind.starts_with("multipart/") => "mime",
        _ => {
            let subtype = kind.split_once('/').map_or("", |(_, subtype)| subtype);
            let subtype = subtype.strip_prefix("x-").unwrap_or(subtype);
            let fits = subtype.len() <= 5 && subtype.bytes().all(|b| b.is_ascii_alphanumeric());
            if fits { subtype } else { "" }
        }
    };
    if known.is_empty() { String::new() } else { format!(".{known}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(clean_name(name), expected);
    }

    #[test]
    fn paths() {
        check("../../etc/cron.d/x", "x");
        check("..\\..\\con", "con");
        check("/abs", "abs");
        check("C:\\a\\b.txt", "b.txt");
        check("dir/", "dir");
        check("..", "");
    }

    #[test]
    fn hidden_characters() {
        check("\u{202e}cod.exe", "cod.exe");
        check(".htaccess\u{200b}", ".htaccess");
        check("a\r\nb\0.txt", "ab.txt");
    }

    #[test]
    fn long_names_keep_their_extension() {
        let name = clean_name(&format!("{}.pdf", "長".repeat(300)));
        assert_eq!(name.chars().count(), NAME_CHARS_MAX);
        assert!(name.ends_with("長.pdf"));
    }

    #[test]
    fn same_names() {
        let mut names = BTreeSet::new();
        assert_eq!(unique("a.gif".to_owned(), &mut names), "a.gif");
        assert_eq!(unique("a.gif".to_owned(), &mut names), "a-1.gif");
        assert_eq!(unique("a.gif".to_owned(), &mut names), "a-2.gif");
        assert_eq!(unique(".x".to_owned(), &mut names), ".x");
        assert_eq!(unique(".x".to_owned(), &mut names), ".x-1");
    }
}
