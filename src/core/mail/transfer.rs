//! Content transfer encodings (RFC 2045 section 6), decoded piece by piece.
//!
//! Architecture invariant: what is not valid is skipped or kept as it stands; nothing here fails.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::lines;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// 7bit, 8bit, binary, or something nobody knows.
    Plain,
    /// Base64.
    Base64,
    /// Quoted-printable.
    QuotedPrintable,
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Encoded bytes decoded at a time.
const PIECE_BYTES: usize = 48 * 1024;

impl Transfer {
    /// Reads the value of Content-Transfer-Encoding.
    pub fn named(value: &[u8]) -> Transfer {
        match value.trim_ascii().to_ascii_lowercase().as_slice() {
            b"base64" => Transfer::Base64,
            b"quoted-printable" => Transfer::QuotedPrintable,
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
            Transfer::Base64 => base64_pieces(body, take),
            Transfer::QuotedPrintable => quoted_printable(body, &mut take),
        }
    }
}

/// Base64 in one piece, whatever stands between the digits.
pub fn base64(body: &[u8]) -> Vec<u8> {
    Transfer::Base64.decode(body)
}

fn base64_pieces(body: &[u8], mut take: impl FnMut(&[u8])) {
    let mut digits = Vec::with_capacity(PIECE_BYTES + 128);
    let mut decoded = Vec::with_capacity(PIECE_BYTES);
    let mut at = 0;
    while at < body.len() {
        let line = lines::line_at(body, at);
        at = line.end;
        for stretch in lines::content(&body[line]).chunks(PIECE_BYTES) {
            // Some software encodes in blocks and ends each with padding.
            let padded = push_digits(stretch, &mut digits);
            if padded || digits.len() >= PIECE_BYTES {
                let whole = if padded { digits.len() } else { digits.len() / 4 * 4 };
                decode_digits(&digits[..whole], &mut decoded, &mut take);
                digits.drain(..whole);
            }
        }
    }
    decode_digits(&digits, &mut decoded, &mut take);
}

/// Keeps the digits; tells whether padding followed. A line of nothing else, as nearly all are,
/// is copied at once.
fn push_digits(line: &[u8], digits: &mut Vec<u8>) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let line = line.trim_ascii();
    let unpadded = line.strip_suffix(b"==").or_else(|| line.strip_suffix(b"=")).unwrap_or(line);
    if unpadded.iter().fold(true, |all, byte| all & is_digit(byte)) {
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
}
