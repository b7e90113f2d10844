//! The files of a mail, taken out to go along with another one.
//!
//! Architecture invariant: what is taken out is bounded in bytes before it is decoded, and a
//! charset is a plain word: it stands in a header of ours later.

use std::collections::BTreeSet;

use super::structure::Part;
use super::{ATTACHMENTS_MAX, body, structure, unpack};
use crate::core::config::Language;

/// Decoded bytes that go along with one mail. In base64 this stays under 10,240,000 bytes, which
/// is the most that Postfix takes where nobody set a limit.
pub const FILES_BYTES_MAX: usize = 7 * 1024 * 1024;

/// A file, ready to go along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Position among the mail's attachments.
    pub index: u32,
    /// Charset of its text, as the sender named it.
    pub charset: Option<String>,
    /// What it holds, decoded.
    pub bytes: Vec<u8>,
}

/// As many files as fit, in their order. A file that does not fit does not keep out a smaller one
/// behind it. What was unpacked goes along in place of what it was packed in: that one holds the
/// whole mail as its sender wrote it, notes for colleagues and all.
pub fn take(raw: &[u8]) -> Vec<File> {
    let (raw, structure) = structure::read(raw);
    let roles = body::roles(&structure);
    let attached =
        || structure.parts.iter().enumerate().filter(|(at, _)| roles[*at].is_attachment());
    let text = body::read(&raw, &structure, &roles, Language::default(), &mut BTreeSet::new()).text;
    let unpacked = unpack::read(&raw, &structure, &roles, &text, Language::default());
    let mut room = FILES_BYTES_MAX;
    let mut files = Vec::new();
    for (index, (at, part)) in (0..ATTACHMENTS_MAX).zip(attached()) {
        if unpacked.opened.contains(&at) {
            continue;
        }
        if let Some(bytes) = decoded(&raw, part, room) {
            room -= bytes.len();
            let charset = part.content.charset().map(|name| name.into_owned());
            files.push(File { index, charset: charset.filter(is_word), bytes });
        }
    }
    let first = u32::try_from(attached().count()).unwrap_or(u32::MAX);
    for (index, file) in (first..ATTACHMENTS_MAX).zip(unpacked.files) {
        if file.bytes.len() <= room {
            room -= file.bytes.len();
            files.push(File { index, charset: file.charset.filter(is_word), bytes: file.bytes });
        }
    }
    files
}

/// What a part holds, if that is not more than there is room for.
fn decoded(raw: &[u8], part: &Part, room: usize) -> Option<Vec<u8>> {
    let mut bytes = 0;
    part.content.transfer.pieces(&raw[part.body.clone()], |piece| bytes += piece.len());
    (bytes <= room).then(|| part.content.transfer.decode(&raw[part.body.clone()]))
}

/// Names of charsets are such words (RFC 2978 section 2.3).
#[expect(clippy::ptr_arg, reason = "it filters an `Option<String>`")]
fn is_word(charset: &String) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+".contains(&byte);
    (1..=40).contains(&charset.len()) && charset.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(lengths: &[usize]) -> Vec<u8> {
        let mut raw =
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nText\r\n".to_vec();
        for length in lengths {
            raw.extend_from_slice(
                b"--b\r\nContent-Type: text/csv; charset=Shift_JIS\r\n\
                  Content-Disposition: attachment\r\n\r\n",
            );
            raw.extend(b"x".repeat(*length));
            raw.extend_from_slice(b"\r\n");
        }
        raw.extend_from_slice(b"--b--\r\n");
        raw
    }

    #[track_caller]
    fn check(lengths: &[usize], expected: &[u32]) {
        let files = take(&mail(lengths));
        assert_eq!(files.iter().map(|file| file.index).collect::<Vec<_>>(), expected);
        for file in files {
            assert_eq!(file.bytes, b"x".repeat(lengths[file.index as usize]));
            assert_eq!(file.charset.as_deref(), Some("Shift_JIS"));
        }
    }

    #[test]
    fn what_fits_is_taken() {
        check(&[], &[]);
        check(&[3, 0, 5], &[0, 1, 2]);
        check(&[FILES_BYTES_MAX], &[0]);
        check(&[10, FILES_BYTES_MAX, 10], &[0, 2]);
    }

    #[test]
    fn a_charset_is_a_word() {
        for bad in ["", "a b", "a\r\nBcc: x", "é", &"a".repeat(41)] {
            assert!(!is_word(&bad.to_owned()), "{bad}");
        }
        assert!(is_word(&"ISO-2022-JP".to_owned()));
    }
}
