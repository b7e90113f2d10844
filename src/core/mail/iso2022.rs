//! ISO-2022-JP and what has been sent under that name: -1, -2, -3, -ms, CP50220 and CP50221; and
//! its kin ISO-2022-KR (RFC 1557) and ISO-2022-CN (RFC 1922).
//!
//! The WHATWG decoder knows only the base set and emits U+FFFD between two escape sequences, so
//! we split at the escapes ourselves and hand each stretch to the 8-bit twin of its character set.
//!
//! Architecture invariant: one pass, never fails; what has no character becomes U+FFFD.

use encoding_rs::{EUC_JP, EUC_KR, Encoding, GBK, ISO_8859_7, SHIFT_JIS, WINDOWS_1252};

/// The character set that an escape sequence selects.
#[derive(Clone, Copy, PartialEq)]
enum Set {
    Ascii,
    HalfWidthKatakana,
    /// JIS X 0208, and the rows vendors added to it.
    Kanji,
    /// JIS X 0212, the supplementary kanji of ISO-2022-JP-1.
    Supplementary,
    Gb2312,
    Ksc5601,
    /// A plane we have no table for (JIS X 0213 plane 2, user-defined rows).
    Unmapped,
}

/// Whose variant of ISO-2022 it is. The escape sequences tell them apart; the family decides what
/// bytes mean that no sequence stands in front of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// ISO-2022-JP.
    Japanese,
    /// ISO-2022-KR.
    Korean,
    /// ISO-2022-CN.
    Chinese,
}

impl Family {
    /// What a shift out (SO) selects before anything is designated.
    fn shifted(self) -> Set {
        match self {
            Family::Japanese => Set::HalfWidthKatakana,
            Family::Korean => Set::Ksc5601,
            Family::Chinese => Set::Gb2312,
        }
    }

    /// What bytes beyond ASCII are.
    fn eight_bit(self) -> &'static Encoding {
        match self {
            Family::Japanese => SHIFT_JIS,
            Family::Korean => EUC_KR,
            Family::Chinese => GBK,
        }
    }
}

/// Sequences that designate what SO selects (RFC 1557, RFC 1922). The planes of CNS 11643 are
/// known by name only: we have no table of them.
const DESIGNATIONS: [(&[u8], Set); 4] = [
    (b"\x1b$)C", Set::Ksc5601),
    (b"\x1b$)A", Set::Gb2312),
    (b"\x1b$)G", Set::Unmapped),
    (b"\x1b$)E", Set::Unmapped),
];

/// Escape sequences (RFC 1468, RFC 1554, RFC 2237, JIS X 0213) and what they select. The longer
/// ones stand first where one begins like another.
const ESCAPES: [(&[u8], Set); 16] = [
    (b"\x1b$(A", Set::Gb2312),
    (b"\x1b$(B", Set::Kanji),
    (b"\x1b$(@", Set::Kanji),
    (b"\x1b$(C", Set::Ksc5601),
    (b"\x1b$(D", Set::Supplementary),
    (b"\x1b$(O", Set::Kanji),
    (b"\x1b$(Q", Set::Kanji),
    (b"\x1b$(P", Set::Unmapped),
    (b"\x1b$(?", Set::Unmapped),
    (b"\x1b$@", Set::Kanji),
    (b"\x1b$B", Set::Kanji),
    (b"\x1b$A", Set::Gb2312),
    (b"\x1b(B", Set::Ascii),
    (b"\x1b(J", Set::Ascii),
    (b"\x1b(H", Set::Ascii),
    (b"\x1b(I", Set::HalfWidthKatakana),
];

/// Decodes; `true` if something had no character or stood there against the rules.
pub fn decode(bytes: &[u8], family: Family) -> (String, bool) {
    let mut decoder = Decoder {
        text: String::with_capacity(bytes.len() * 3 / 2),
        eight_bit: family.eight_bit(),
        g2: WINDOWS_1252,
        bad: false,
    };
    let mut shifted = family.shifted();
    let mut set = Set::Ascii;
    let mut rest = bytes;
    while !rest.is_empty() {
        if let Some((escape, next)) = ESCAPES.iter().find(|(escape, _)| rest.starts_with(escape)) {
            set = *next;
            rest = &rest[escape.len()..];
        } else if let Some((escape, next)) =
            DESIGNATIONS.iter().find(|(escape, _)| rest.starts_with(escape))
        {
            shifted = *next;
            rest = &rest[escape.len()..];
        } else if let Some(after) = decoder.g2_sequence(rest) {
            rest = after;
        } else if let [shift @ (0x0e | 0x0f), tail @ ..] = rest {
            // SO and SI.
            set = if *shift == 0x0e { shifted } else { Set::Ascii };
            rest = tail;
        } else {
            let length = stretch(rest);
            let (now, later) = rest.split_at(length);
            decoder.push(now, set);
            // RFC 1468: a line ends in ASCII. Gateways that cut lines cut the escape, too.
            if now.ends_with(b"\n") {
                set = Set::Ascii;
            }
            rest = later;
        }
    }
    (decoder.text, decoder.bad)
}

/// Bytes up to the next control sequence or to the end of the line; at least one.
fn stretch(rest: &[u8]) -> usize {
    let ends = |byte: &u8| matches!(byte, 0x1b | 0x0e | 0x0f | b'\n');
    match rest.iter().position(ends) {
        Some(at) if rest[at] == b'\n' => at + 1,
        Some(at) => at.max(1),
        None => rest.len(),
    }
}

struct Decoder {
    text: String,
    eight_bit: &'static Encoding,
    /// The upper half that a single shift reaches (ISO-2022-JP-2).
    g2: &'static Encoding,
    bad: bool,
}

impl Decoder {
    /// `ESC . A`, `ESC . F` choose an upper half, `ESC N x` takes one character of it.
    fn g2_sequence<'a>(&mut self, rest: &'a [u8]) -> Option<&'a [u8]> {
        match rest {
            [0x1b, b'.', b'A', tail @ ..] => {
                self.g2 = WINDOWS_1252;
                Some(tail)
            }
            [0x1b, b'.', b'F', tail @ ..] => {
                self.g2 = ISO_8859_7;
                Some(tail)
            }
            [0x1b, b'N', byte, tail @ ..] => {
                self.convert(&[byte | 0x80], self.g2);
                Some(tail)
            }
            _ => None,
        }
    }

    fn push(&mut self, bytes: &[u8], set: Set) {
        match set {
            // High bytes are CP932 or half-width Katakana (CP50221), or the Korean or Chinese kin.
            Set::Ascii => {
                self.bad |= bytes.contains(&0x1b);
                self.convert(bytes, self.eight_bit);
            }
            Set::HalfWidthKatakana => {
                let high =
                    |byte: &u8| if matches!(byte, 0x21..=0x5f) { byte | 0x80 } else { *byte };
                self.convert(&bytes.iter().map(high).collect::<Vec<u8>>(), SHIFT_JIS);
            }
            Set::Kanji => self.pairs(bytes, &[], EUC_JP),
            Set::Supplementary => self.pairs(bytes, &[0x8f], EUC_JP),
            Set::Gb2312 => self.pairs(bytes, &[], GBK),
            Set::Ksc5601 => self.pairs(bytes, &[], EUC_KR),
            Set::Unmapped => {
                let pairs = bytes.iter().filter(|byte| byte.is_ascii_graphic()).count() / 2;
                self.text.extend(std::iter::repeat_n(char::REPLACEMENT_CHARACTER, pairs));
                self.text.extend(bytes.ends_with(b"\n").then_some('\n'));
                self.bad = true;
            }
        }
    }

    /// Two 7-bit bytes per character; blanks and line ends stand for themselves.
    fn pairs(&mut self, bytes: &[u8], prefix: &[u8], twin: &'static Encoding) {
        let mut high = Vec::with_capacity(bytes.len() * 3 / 2);
        let mut rest = bytes;
        while let [first, tail @ ..] = rest {
            match (first & 0x7f, tail) {
                (0x21..=0x7e, [second, tail @ ..]) if matches!(second & 0x7f, 0x21..=0x7e) => {
                    high.extend_from_slice(prefix);
                    high.extend([first | 0x80, second | 0x80]);
                    rest = tail;
                }
                (0x21..=0x7e, _) => {
                    self.bad = true;
                    rest = tail;
                }
                (other, _) => {
                    high.push(other);
                    rest = tail;
                }
            }
        }
        self.convert(&high, twin);
    }

    fn convert(&mut self, bytes: &[u8], encoding: &'static Encoding) {
        let (text, wrong) = encoding.decode_without_bom_handling(bytes);
        self.text.push_str(&text);
        self.bad |= wrong;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(decode(bytes, Family::Japanese).0, expected);
    }

    #[test]
    fn base_set_with_vendor_rows() {
        check(b"\x1b$B-!-j|b\x1b(B end", "①㈱髙 end");
        check(b"\x1b$@F|K\\\x1b(J!", "日本!");
    }

    #[test]
    fn neighbouring_escapes() {
        check(b"\x1b$BF|\x1b(B\x1b$BK\\\x1b(B", "日本");
    }

    #[test]
    fn half_width_katakana() {
        check(b"\x1b(I136\x1b(B", "ｱｳｶ");
        check(b"\xb1\xb3\xb6", "ｱｳｶ");
        check(b"\x0e136\x0f a", "ｱｳｶ a");
    }

    #[test]
    fn the_numbered_variants() {
        check(b"\x1b$(D0!\x1b(B", "丂");
        check(b"\x1b$A::WV\x1b(B", "汉字");
        check(b"\x1b$(CGQ1[\x1b(B", "한글");
        check(b"\x1b.A\x1bNi", "é");
        check(b"\x1b$(QF|K\\\x1b(B", "日本");
        check(b"\x1b$(P!!\x1b(B", "\u{fffd}");
    }

    #[test]
    fn cut_sequences() {
        check(b"\x1b$BF|K", "日");
        check(b"\x1b$BF|\nabc", "日\nabc");
        check(b"\x1b", "\x1b");
    }
}
