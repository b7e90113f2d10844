//! Folder names on the wire: modified UTF-7 (RFC 3501 section 5.1.3).
//!
//! Architecture invariant: what leaves here is printable ASCII.

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// A folder name as IMAP and Maildir++ write it: `受信` is `&U9dP4Q-`.
pub fn encode(name: &str) -> String {
    let mut encoded = String::new();
    let mut pending: Vec<u8> = Vec::new();
    for character in name.chars() {
        match character {
            ' '..='~' => {
                flush(&mut pending, &mut encoded);
                encoded.push(character);
                if character == '&' {
                    encoded.push('-');
                }
            }
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    pending.extend(unit.to_be_bytes());
                }
            }
        }
    }
    flush(&mut pending, &mut encoded);
    encoded
}

fn flush(pending: &mut Vec<u8>, encoded: &mut String) {
    if !pending.is_empty() {
        encoded.push('&');
        encoded.push_str(&BASE64.encode(&*pending));
        encoded.push('-');
        pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(encode(name), expected);
    }

    #[test]
    fn ascii() {
        check("INBOX/Done", "INBOX/Done");
    }

    #[test]
    fn ampersand() {
        check("R&D", "R&-D");
    }

    #[test]
    fn japanese() {
        check("受信", "&U9dP4Q-");
    }

    #[test]
    fn mixed() {
        check("案件/処理済 2026", "&aEhO9g-/&UeZ0Bm4I- 2026");
    }

    #[test]
    fn beyond_the_basic_plane() {
        check("📧", "&2D3c5w-");
    }

    #[test]
    fn line_break_cannot_leave() {
        check("a\r\nb", "a&AA0ACg-b");
    }
}
