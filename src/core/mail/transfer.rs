//! Content transfer encodings (RFC 2045 section 6), decoded piece by piece.
//!
//! Architecture invariant: what is not valid is skipped or kept as it stands; nothing here fails.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{lines, uuencode};

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// 7bit, 8bit, binary, or something nobody knows.
    Plain,
    /// Base64.
    Base64,
    /// Quoted-printable.
    QuotedPrintable,
    /// `x-uuencode`, of old Unix and Windows software.
    Uuencode,
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Longest name of an encoding that is looked at, in bytes.
const ENCODING_NAME_BYTES_MAX: usize = 32;

/// Encoded bytes decoded at a time.
const PIECE_BYTES: usize = 48 * 1024;

impl Transfer {
    /// Reads the value of Content-Transfer-Encoding: its first word, without quotes, comments and
    /// what somebody wrote behind it.
    pub fn named(value: &[u8]) -> Transfer {
        let mut depth = 0_u32;
        let bare = value.iter().copied().filter(|byte| {
            depth += u32::from(*byte == b'(');
            let within = depth > 0;
            depth = depth.saturating_sub(u32::from(*byte == b')'));
            !within
        });
        let sign = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let word: Vec<u8> = bare
            .skip_while(|byte| !sign(byte))
            .take_while(|byte| sign(byte))
            .map(|byte| byte.to_ascii_lowercase())
            .take(ENCODING_NAME_BYTES_MAX)
            .collect();
        match word.as_slice() {
            b"base64" | b"base-64" | b"base_64" | b"x-base64" => Transfer::Base64,
            b"quoted-printable" | b"quoted_printable" | b"quotedprintable" => {
                Transfer::QuotedPrintable
            }
            b"x-uuencode" | b"x-uue" | b"uuencode" | b"uue" => Transfer::Uuencode,
            _ => Transfer::Plain,
        }
    }

    /// The whole body.
    pub fn decode(self, body: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::with_capacity(body.len());
        self.pieces(body, |piece| decoded.extend_from_slice(piece));
        decoded
    }

    /// The body in pieces, in memory that does not grow with it.
    pub fn pieces(self, body: &[u8], mut take: impl FnMut(&[u8])) {
        match self {
            Transfer::Plain => take(body),
            Transfer::Base64 => {
                base64_pieces(body, take);
            }
            Transfer::QuotedPrintable => quoted_printable(body, &mut take),
            Transfer::Uuencode => uuencode::pieces(body, take),
        }
    }

    /// A body of text, and what stands behind the end of its base64 as it is: mailing lists put
    /// lines of their own there. Text that somebody labelled base64 by mistake stays as it is.
    pub fn decode_text(self, body: &[u8]) -> (Vec<u8>, &[u8]) {
        if self != Transfer::Base64 {
            return (self.decode(body), &[]);
        }
        let mut decoded = Vec::with_capacity(body.len());
        let end = base64_pieces(body, |piece| decoded.extend_from_slice(piece));
        if is_mislabelled(body, &decoded) { (body.to_vec(), &[]) } else { (decoded, &body[end..]) }
    }
}

/// Whether a body that should be base64 is plain text: it has what base64 has not, and decoding it
/// gives what no text has.
fn is_mislabelled(body: &[u8], decoded: &[u8]) -> bool {
    let foreign =
        |line: &[u8]| line.trim_ascii().iter().any(|byte| !is_digit(byte) && *byte != b'=');
    let control = |byte: &u8| byte.is_ascii_control() && !b"\t\n\r\x0c\x1b".contains(byte);
    let garbage = decoded.is_empty() || decoded.iter().any(control);
    garbage && body.split(|byte| *byte == b'\n').any(foreign)
}

/// Base64 in one piece, whatever stands between the digits.
pub fn base64(body: &[u8]) -> Vec<u8> {
    Transfer::Base64.decode(body)
}

/// Decodes up to the end of the data; where that is.
fn base64_pieces(body: &[u8], mut take: impl FnMut(&[u8])) -> usize {
    let mut digits = Vec::with_capacity(PIECE_BYTES + 128);
    let mut decoded = Vec::with_capacity(PIECE_BYTES);
    let mut at = 0;
    // Length of the first line of data; 0 before it.
    let mut usual = 0;
    let mut may_be_over = false;
    while at < body.len() {
        let line = lines::line_at(body, at);
        let text = lines::content(&body[line.clone()]).trim_ascii();
        let clean = is_clean(text);
        if usual > 0 && !text.is_empty() && is_behind_the_end(text, clean, may_be_over) {
            break;
        }
        at = line.end;
        may_be_over |= usual > 0 && text.len() < usual || text.ends_with(b"=");
        usual = if usual == 0 { text.len() } else { usual };
        for stretch in text.chunks(PIECE_BYTES) {
            // Some software encodes in blocks and ends each with padding.
            let padded = push_digits(stretch, clean, &mut digits);
            if padded || digits.len() >= PIECE_BYTES {
                let whole = if padded { digits.len() } else { digits.len() / 4 * 4 };
                decode_digits(&digits[..whole], &mut decoded, &mut take);
                digits.drain(..whole);
            }
        }
    }
    decode_digits(&digits, &mut decoded, &mut take);
    at
}

/// Whether a line after some data belongs to it no more. After padding, a short or an empty line
/// only whole digits of base64 go on with it; elsewhere dirt is forgiven, but not a sentence.
fn is_behind_the_end(line: &[u8], clean: bool, may_be_over: bool) -> bool {
    if may_be_over || clean {
        return may_be_over && !(clean && line.len().is_multiple_of(4));
    }
    /// Blanks in a line that make it a sentence.
    const SENTENCE_BLANKS_MIN: usize = 3;
    let blanks = line.iter().filter(|byte| **byte == b' ').take(SENTENCE_BLANKS_MIN).count();
    blanks == SENTENCE_BLANKS_MIN || line.starts_with(b"--") || line.starts_with(b"__")
}

fn is_digit(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

fn without_padding(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"==").or_else(|| line.strip_suffix(b"=")).unwrap_or(line)
}

/// Whether a line is nothing but digits and padding, as nearly all are: looked at without a branch
/// for each byte, because this runs over every attachment.
fn is_clean(line: &[u8]) -> bool {
    without_padding(line).iter().fold(true, |all, byte| all & is_digit(byte))
}

/// Keeps the digits; tells whether padding followed. A clean line is copied at once.
fn push_digits(line: &[u8], clean: bool, digits: &mut Vec<u8>) -> bool {
    let line = line.trim_ascii();
    let unpadded = without_padding(line);
    if clean {
        digits.extend_from_slice(unpadded);
    } else {
        digits.extend(unpadded.iter().filter(|byte| is_digit(byte)));
    }
    unpadded.len() < line.len()
}

fn decode_digits(digits: &[u8], decoded: &mut Vec<u8>, take: &mut impl FnMut(&[u8])) {
    // One digit alone carries no whole byte.
    let digits = if digits.len() % 4 == 1 { &digits[..digits.len() - 1] } else { digits };
    decoded.clear();
    BASE64.decode_vec(digits, decoded).expect("only digits in a possible number were kept");
    if !decoded.is_empty() {
        take(decoded);
    }
}

/// RFC 2045 section 6.7; blanks before a line end are not content.
fn quoted_printable(body: &[u8], take: &mut impl FnMut(&[u8])) {
    let mut piece = Vec::with_capacity(body.len().min(PIECE_BYTES) + 128);
    let mut at = 0;
    while at < body.len() {
        let line = lines::line_at(body, at);
        at = line.end;
        let text = lines::content(&body[line.clone()]);
        let ending = &body[line.start + text.len()..line.end];
        let text = trim_blanks(text);
        match text.strip_suffix(b"=") {
            Some(soft) => push_hex_escapes(soft, b'=', &mut piece),
            None => {
                push_hex_escapes(text, b'=', &mut piece);
                piece.extend_from_slice(ending);
            }
        }
        if piece.len() >= PIECE_BYTES {
            take(&piece);
            piece.clear();
        }
    }
    take(&piece);
}

fn trim_blanks(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    line
}

/// The Q encoding of RFC 2047 section 4.2.
pub fn q_word(payload: &[u8]) -> Vec<u8> {
    let mut decoded = hex_escapes(payload, b'=');
    // An underscore that was written as =5F has been decoded already; so blanks come first.
    if payload.contains(&b'_') {
        let blanks: Vec<u8> = payload.iter().map(|b| if *b == b'_' { b' ' } else { *b }).collect();
        decoded = hex_escapes(&blanks, b'=');
    }
    decoded
}

/// `=E4` or `%E4` become one byte; what is no escape stays.
pub fn hex_escapes(text: &[u8], mark: u8) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    push_hex_escapes(text, mark, &mut decoded);
    decoded
}

fn push_hex_escapes(text: &[u8], mark: u8, decoded: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == mark) {
        decoded.extend_from_slice(&rest[..at]);
        let escape = rest.get(at + 1).zip(rest.get(at + 2));
        match escape.and_then(|(high, low)| Some(hex(*high)? << 4 | hex(*low)?)) {
            Some(byte) => {
                decoded.push(byte);
                rest = &rest[at + 3..];
            }
            None => {
                decoded.push(mark);
                rest = &rest[at + 1..];
            }
        }
    }
    decoded.extend_from_slice(rest);
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(transfer: Transfer, body: &str, expected: &str) {
        assert_eq!(String::from_utf8_lossy(&transfer.decode(body.as_bytes())), expected);
    }

    #[test]
    fn base64_with_dirt() {
        check(Transfer::Base64, "aGVs\r\nbG8=\r\n", "hello");
        check(Transfer::Base64, "aGVsbG8", "hello");
        check(Transfer::Base64, "a!G VsbG8=\n\n", "hello");
        check(Transfer::Base64, "aGVsbG8=\r\naGVsbG8=", "hellohello");
        check(Transfer::Base64, "a", "");
    }

    #[test]
    fn base64_longer_than_a_piece() {
        let line = "QUFB".repeat(19) + "\r\n";
        assert_eq!(Transfer::Base64.decode(line.repeat(2_000).as_bytes()).len(), 57 * 2_000);
        assert_eq!(Transfer::Base64.decode("QUFB".repeat(50_000).as_bytes()).len(), 150_000);
    }

    #[test]
    fn quoted_printable_lines() {
        check(Transfer::QuotedPrintable, "a=3Db=\r\nc  \r\nd", "a=bc\r\nd");
        check(Transfer::QuotedPrintable, "50=% off=\n", "50=% off");
        check(Transfer::QuotedPrintable, "=c3=A4", "ä");
    }

    #[test]
    fn q_words() {
        assert_eq!(q_word(b"a_b=5Fc"), b"a b_c");
    }

    #[test]
    fn names_with_decoration() {
        for (value, expected) in [
            ("base64;", Transfer::Base64),
            ("\"quoted-printable\"", Transfer::QuotedPrintable),
            ("BASE64 (of RFC 2045)", Transfer::Base64),
            ("(see below) base64", Transfer::Base64),
            (" 8 bit", Transfer::Plain),
            ("x-uuencode", Transfer::Uuencode),
            ("", Transfer::Plain),
        ] {
            assert_eq!(Transfer::named(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn what_follows_base64_is_not_decoded() {
        check(Transfer::Base64, "aGVsbG8=\r\n\r\n-- \r\nA list of ours\r\n", "hello");
        check(Transfer::Base64, "aGVsbG9o\r\nYQ==\r\nThanks for all\r\n", "helloha");
        check(Transfer::Base64, "QUFB\r\n____________\r\nfooter\r\n", "AAA");
        check(Transfer::Base64, "QUFB\r\nQU*FB\r\nQUFB", "AAAAAAAAA");
        let (text, rest) = Transfer::Base64.decode_text(b"aGVsbG8=\n\n-- \nOur list\n");
        assert_eq!((text.as_slice(), rest), (&b"hello"[..], &b"-- \nOur list\n"[..]));
    }

    #[test]
    fn text_labelled_base64_by_mistake() {
        let plain = b"Dear desk, the lift is stuck again. Can somebody come?\r\n";
        assert_eq!(Transfer::Base64.decode_text(plain).0, plain);
        let japanese = "エレベーターが動きません。".as_bytes();
        assert_eq!(Transfer::Base64.decode_text(japanese).0, japanese);
        assert_eq!(Transfer::Base64.decode_text(b"aGVs\r\nbG8=").0, b"hello");
    }
}
