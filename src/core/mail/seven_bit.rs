//! UTF-7 (RFC 2152) and HZ (RFC 1843): text beyond ASCII written in ASCII.
//!
//! Architecture invariant: called for a label only. Neither is ever guessed, because both hide
//! markup in what looks like plain ASCII. Linear, and never fails.

use encoding_rs::GBK;

use super::charset::Decoded;

/// UTF-7: `+` begins UTF-16 in base64 without padding, `-` or any other sign ends it.
pub fn utf7(bytes: &[u8]) -> Decoded {
    let mut decoded = Decoded { text: String::with_capacity(bytes.len()), problem: false };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == b'+') {
        decoded.text.push_str(&String::from_utf8_lossy(&rest[..at]));
        let coded = &rest[at + 1..];
        let length = coded.iter().position(|byte| digit(*byte).is_none()).unwrap_or(coded.len());
        let after = &coded[length..];
        if length == 0 {
            decoded.text.push('+');
        } else {
            utf16(&coded[..length], &mut decoded);
        }
        rest = after.strip_prefix(b"-").unwrap_or(after);
    }
    decoded.text.push_str(&String::from_utf8_lossy(rest));
    decoded
}

/// The value of a base64 digit.
fn digit(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

/// Units of 16 bits; what is left over is padding.
fn utf16(coded: &[u8], decoded: &mut Decoded) {
    let mut units = Vec::with_capacity(coded.len() * 6 / 16 + 1);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for value in coded.iter().filter_map(|byte| digit(*byte)) {
        held = (held << 6 | value) & 0x3f_ffff;
        bits += 6;
        if bits >= 16 {
            bits -= 16;
            units.push(u16::try_from(held >> bits & 0xffff).unwrap_or_default());
        }
    }
    for unit in char::decode_utf16(units) {
        decoded.problem |= unit.is_err();
        decoded.text.push(unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
}

/// HZ: between `~{` and `~}` two bytes are a character of GB 2312; `~~` is a tilde, and a tilde at
/// the end of a line joins it with the next.
pub fn hz(bytes: &[u8]) -> Decoded {
    let mut eight_bit = Vec::with_capacity(bytes.len());
    let mut chinese = false;
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => break,
            [b'~', b'{', tail @ ..] if !chinese => {
                chinese = true;
                tail
            }
            [b'~', b'}', tail @ ..] if chinese => {
                chinese = false;
                tail
            }
            [b'~', b'~', tail @ ..] if !chinese => {
                eight_bit.push(b'~');
                tail
            }
            [b'~', b'\r', b'\n', tail @ ..] | [b'~', b'\n', tail @ ..] if !chinese => tail,
            [first @ 0x21..=0x7d, second @ 0x21..=0x7e, tail @ ..] if chinese => {
                eight_bit.extend([first | 0x80, second | 0x80]);
                tail
            }
            [byte, tail @ ..] => {
                chinese &= *byte != b'\n';
                eight_bit.push(*byte);
                tail
            }
        };
    }
    let (text, problem) = GBK.decode_without_bom_handling(&eight_bit);
    Decoded { text: text.into_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(decoded: &Decoded, expected: &str) {
        assert_eq!((decoded.text.as_str(), decoded.problem), (expected, false));
    }

    #[test]
    fn utf_7() {
        check(&utf7(b"Gr+APwA3w-e aus K+APY-ln"), "Grüße aus Köln");
        check(&utf7(b"1 +- 1"), "1 + 1");
        check(&utf7(b"+2D3eAA"), "😀");
        check(&utf7(b"+ZeVnLIqe."), "日本語.");
        check(&utf7(b"a+"), "a+");
        assert!(utf7(b"+2D0-").problem);
    }

    #[test]
    fn hz_lines() {
        check(&hz(b"a ~{VPND~} b"), "a 中文 b");
        check(&hz(b"one~\ntwo ~~ ~{VP\nc"), "onetwo ~ 中\nc");
        check(&hz(b"~"), "~");
    }
}
