//! From bytes to text: labels as people write them, and what is done where a label is missing or
//! wrong.
//!
//! Architecture invariant: never fails, and never guesses UTF-7 (it hides markup as plain ASCII).

use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GBK, ISO_8859_15, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE,
    WINDOWS_1252,
};

use super::code_pages::{self, CodePage};
use super::iso2022::{self, Family};
use super::{detect, seven_bit};
use crate::core::config::Language;

/// Text, and whether something in it was guessed or replaced.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The text.
    pub text: String,
    /// Whether the label was missing, unknown or wrong, so that characters may be wrong.
    pub problem: bool,
}

/// What helps to read bytes whose charset is not named.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hint<'a> {
    /// Charset of the text of the same mail, as named there or as detected.
    pub charset: Option<&'a str>,
    /// Language of the desk.
    pub language: Language,
}

/// What a label means to us.
enum Charset {
    /// One that switches character sets by escape sequences.
    Iso2022(Family),
    /// One of the WHATWG encodings.
    Known(&'static Encoding),
    /// `UTF-16` without byte order.
    Utf16,
    /// `UTF-32`; the byte order if the label names it.
    Utf32(Option<ByteOrder>),
    /// `UTF-7` (RFC 2152).
    Utf7,
    /// `HZ-GB-2312` (RFC 1843).
    Hz,
    /// A code page of DOS or of a mainframe.
    CodePage(CodePage),
    /// One that only the mail library has (cp850, ...).
    Rare(fn(&[u8]) -> String),
    /// ASCII, or no label at all.
    Unlabelled,
    /// A label nobody knows.
    Unknown,
}

#[derive(Clone, Copy, PartialEq)]
enum ByteOrder {
    Big,
    Little,
}

/// Decodes bytes that carry this label, for a desk of this language.
pub fn decode(bytes: &[u8], label: Option<&str>, language: Language) -> Decoded {
    match charset(label) {
        Charset::Iso2022(family) => iso2022(bytes, family, language),
        Charset::Known(encoding) => labelled(bytes, encoding, language),
        Charset::Utf16 => labelled(bytes, utf16_order(bytes), language),
        Charset::Utf32(order) => utf32(bytes, order),
        Charset::Utf7 | Charset::Hz if !bytes.is_ascii() => {
            Decoded { problem: true, ..guess(bytes, language) }
        }
        Charset::Utf7 => seven_bit::utf7(bytes),
        Charset::Hz => seven_bit::hz(bytes),
        Charset::CodePage(page) => {
            Decoded { text: code_pages::decode(bytes, page), problem: false }
        }
        Charset::Rare(decoder) => Decoded { text: decoder(bytes), problem: false },
        Charset::Unlabelled => guess(bytes, language),
        Charset::Unknown => Decoded { problem: !bytes.is_ascii(), ..guess(bytes, language) },
    }
}

/// Whether a label says in which charset text beyond ASCII is written.
pub fn is_telling(label: &str) -> bool {
    !matches!(charset(Some(label)), Charset::Unlabelled | Charset::Unknown)
}

/// The charset of bytes without a label; `None` if they need no guess: ASCII, UTF-8, and what
/// names its character sets itself.
pub fn detected(bytes: &[u8], language: Language) -> Option<&'static str> {
    let plain = has_escape(bytes) || std::str::from_utf8(bytes).is_ok();
    (!plain && Encoding::for_bom(bytes).is_none()).then(|| detect::encoding(bytes, language).name())
}

/// Whether bytes carry escape sequences of ISO-2022.
pub fn has_escape(bytes: &[u8]) -> bool {
    bytes.contains(&0x1b)
        && bytes
            .windows(3)
            .any(|w| w.starts_with(b"\x1b$") || matches!(w, b"\x1b(B" | b"\x1b(J" | b"\x1b(I"))
}

fn charset(label: Option<&str>) -> Charset {
    let Some(label) = label else { return Charset::Unlabelled };
    // RFC 2231 section 5 allows a language after an asterisk.
    let label = label.split(['*', ';', ',']).next().unwrap_or_default();
    let quote = |c: char| c.is_whitespace() || "\"'“”‘’`<>".contains(c);
    let label = label.trim_matches(quote).to_ascii_lowercase();
    match label.as_str() {
        "" | "us-ascii" | "ascii" | "ansi_x3.4-1968" | "iso646-us" | "646" | "7bit" | "8bit"
        | "unknown" | "unknown-8bit" | "x-unknown" | "default" | "none" => Charset::Unlabelled,
        "iso-2022-jp" | "iso-2022-jp-1" | "iso-2022-jp-2" | "iso-2022-jp-3" | "iso-2022-jp-ms"
        | "iso-2022-jp-2004" | "iso-2022-jp-ext" | "csiso2022jp" | "csiso2022jp2" | "cp50220"
        | "cp50221" | "cp50222" | "x-windows-50220" | "x-windows-50221" | "jis" => {
            Charset::Iso2022(Family::Japanese)
        }
        "iso-2022-kr" | "csiso2022kr" | "iso2022kr" | "cp50225" => Charset::Iso2022(Family::Korean),
        "iso-2022-cn" | "iso-2022-cn-ext" | "csiso2022cn" | "iso2022cn" | "cp50227" => {
            Charset::Iso2022(Family::Chinese)
        }
        "hz-gb-2312" | "hz" | "hz-gb2312" => Charset::Hz,
        "utf-7"
        | "utf7"
        | "unicode-1-1-utf-7"
        | "x-unicode-1-1-utf-7"
        | "x-unicode-2-0-utf-7"
        | "unicode-2-0-utf-7"
        | "csutf7"
        | "csunicode11utf7"
        | "cp65000" => Charset::Utf7,
        "utf-16" | "utf16" | "utf_16" | "ucs-2" | "ucs2" | "unicode" | "csutf16" | "csunicode"
        | "iso-10646-ucs-2" => Charset::Utf16,
        "utf-32" | "utf32" | "utf_32" | "ucs-4" | "ucs4" | "iso-10646-ucs-4" | "csucs4" => {
            Charset::Utf32(None)
        }
        "utf-32le" | "utf32le" | "utf-32-le" | "ucs-4le" => Charset::Utf32(Some(ByteOrder::Little)),
        "utf-32be" | "utf32be" | "utf-32-be" | "ucs-4be" => Charset::Utf32(Some(ByteOrder::Big)),
        "cp932" | "ms932" | "sjis-win" | "x-ms-cp932" | "cswindows31j" | "shiftjis"
        | "shift_jisx0213" | "shift_jis-2004" => Charset::Known(SHIFT_JIS),
        "eucjp" | "eucjp-ms" | "eucjp-win" | "cp51932" | "euc-jisx0213" | "euc-jis-2004" => {
            Charset::Known(EUC_JP)
        }
        "cp949" | "ms949" | "uhc" | "x-windows-949" | "euc_kr" | "euckr" | "ks_c_5601"
        | "ksc5601" | "cp51949" => Charset::Known(EUC_KR),
        "euc-cn" | "euccn" | "cp936" | "ms936" | "x-euc-cn" | "gb_18030" | "gb18030-2000"
        | "gb18030-2005" | "gb-2312" | "gb2312-80" | "cp54936" => Charset::Known(GBK),
        "cp950" | "ms950" | "big5-eten" | "big5hkscs" | "big-5" | "big5_hkscs" | "big5-2003" => {
            Charset::Known(BIG5)
        }
        "latin9" | "latin-9" | "latin_9" | "latin0" => Charset::Known(ISO_8859_15),
        "utf8mb4" | "utf_8" | "utf-8-bom" | "cp65001" => Charset::Known(UTF_8),
        other => by_library(other),
    }
}

fn by_library(label: &str) -> Charset {
    if let Some(encoding) = Encoding::for_label_no_replacement(label.as_bytes()) {
        return Charset::Known(encoding);
    }
    if let Some(encoding) = respelled(label) {
        return Charset::Known(encoding);
    }
    if let Some(page) = code_pages::named(label) {
        return Charset::CodePage(page);
    }
    // That table answers these with one replacement character for the whole text.
    if label.contains("2022") || label.contains("hz") {
        let japanese = label.contains("2022") && label.contains("jp");
        return if japanese { Charset::Iso2022(Family::Japanese) } else { Charset::Unknown };
    }
    let number = label.strip_prefix("cp-").map(|number| format!("cp{number}"));
    let label = number.as_deref().unwrap_or(label);
    match mail_parser::decoders::charsets::map::charset_decoder(label.as_bytes()) {
        Some(decoder) => Charset::Rare(decoder),
        None => Charset::Unknown,
    }
}

/// An encoding whose name is spelled with other signs than in the standard: `windows1252`,
/// `win-1251`, `latin-1`, `iso_8859_15`, `koi8r`.
fn respelled(label: &str) -> Option<&'static Encoding> {
    let plain: String = label.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.strip_prefix('x').unwrap_or(&plain);
    let number = ["windows", "win", "cp", "ms", "ansi"]
        .iter()
        .find_map(|prefix| plain.strip_prefix(prefix))
        .filter(|number| number.starts_with("125") && number.len() == 4);
    let iso = plain.strip_prefix("iso8859").or_else(|| plain.strip_prefix("8859"));
    let name = match (number, iso) {
        (Some(number), _) => format!("windows-{number}"),
        (None, Some(part)) => format!("iso-8859-{part}"),
        (None, None) => plain.replace("koi8", "koi8-").replace("utf16", "utf-16"),
    };
    Encoding::for_label_no_replacement(name.as_bytes())
}

fn iso2022(bytes: &[u8], family: Family, language: Language) -> Decoded {
    if bytes.is_ascii() || has_escape(bytes) {
        let (text, problem) = iso2022::decode(bytes, family);
        return Decoded { text, problem };
    }
    // Software that writes CP932 or UTF-8 under the Japanese label is common.
    let language = if family == Family::Japanese { Language::Ja } else { language };
    Decoded { problem: true, ..guess(bytes, language) }
}

/// The byte order of UTF-16 without a byte order mark: the high byte of nearly every Latin
/// letter, blank and line end is zero.
fn utf16_order(bytes: &[u8]) -> &'static Encoding {
    if let Some((marked, _)) = Encoding::for_bom(bytes) {
        return if marked == UTF_16BE { UTF_16BE } else { UTF_16LE };
    }
    let zeros = |from: usize| bytes.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    if zeros(0) > zeros(1) { UTF_16BE } else { UTF_16LE }
}

fn utf32(bytes: &[u8], order: Option<ByteOrder>) -> Decoded {
    let (order, bytes) = match (bytes, order) {
        ([0xff, 0xfe, 0, 0, rest @ ..], _) => (ByteOrder::Little, rest),
        ([0, 0, 0xfe, 0xff, rest @ ..], _) => (ByteOrder::Big, rest),
        (_, Some(order)) => (order, bytes),
        // No character has a number of more than 21 bits.
        ([0, ..], None) => (ByteOrder::Big, bytes),
        (_, None) => (ByteOrder::Little, bytes),
    };
    let mut problem = false;
    let text = bytes.chunks(4).map(|chunk| {
        let four = <[u8; 4]>::try_from(chunk).ok();
        let number = four.map(|four| match order {
            ByteOrder::Big => u32::from_be_bytes(four),
            ByteOrder::Little => u32::from_le_bytes(four),
        });
        number.and_then(char::from_u32).unwrap_or_else(|| {
            problem = true;
            char::REPLACEMENT_CHARACTER
        })
    });
    Decoded { text: text.collect(), problem }
}

/// The label is a known one: believe it unless the bytes say otherwise.
fn labelled(bytes: &[u8], encoding: &'static Encoding, language: Language) -> Decoded {
    if encoding == UTF_16LE || encoding == UTF_16BE {
        let (text, _, problem) = encoding.decode(bytes);
        return Decoded { text: text.into_owned(), problem };
    }
    if bytes.is_ascii() && encoding.is_ascii_compatible() {
        return guess(bytes, language);
    }
    if let Some(text) = as_utf8(bytes) {
        return Decoded { text, problem: encoding != UTF_8 };
    }
    if encoding.is_single_byte() {
        let japanese = detect::japanese(bytes).filter(|found| found.kana > 0);
        let encoding = japanese.as_ref().map_or(encoding, |found| found.encoding);
        let (text, _) = encoding.decode_without_bom_handling(bytes);
        return Decoded { text: text.into_owned(), problem: japanese.is_some() };
    }
    let (text, wrong) = encoding.decode_without_bom_handling(bytes);
    if !wrong {
        return Decoded { text: text.into_owned(), problem: false };
    }
    let text = match other_than(bytes, encoding, language) {
        Some(other) => other.decode_without_bom_handling(bytes).0,
        None => text,
    };
    Decoded { text: text.into_owned(), problem: true }
}

/// The encoding of bytes that are not what their label says; `None` if none is more likely.
fn other_than(
    bytes: &[u8],
    labelled: &'static Encoding,
    language: Language,
) -> Option<&'static Encoding> {
    if let Some(found) = detect::japanese(bytes).filter(|found| found.encoding != labelled) {
        return Some(found.encoding);
    }
    if labelled != UTF_8 {
        return None;
    }
    if detect::looks_latin(bytes) {
        return Some(WINDOWS_1252);
    }
    // UTF-8 that was cut within a character holds whole characters, too.
    let whole = bytes.utf8_chunks().any(|chunk| !chunk.valid().is_ascii());
    let guessed = detect::encoding(bytes, language);
    (!whole && guessed != WINDOWS_1252).then_some(guessed)
}

/// Bytes that came without a label.
fn guess(bytes: &[u8], language: Language) -> Decoded {
    if has_escape(bytes) {
        let (text, problem) = iso2022::decode(bytes, Family::Japanese);
        return Decoded { text, problem };
    }
    if let Some(text) = as_utf8(bytes) {
        return Decoded { text, problem: false };
    }
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return Decoded { text: encoding.decode(bytes).0.into_owned(), problem: true };
    }
    let encoding = detect::encoding(bytes, language);
    let text = encoding.decode_without_bom_handling(bytes).0.into_owned();
    Decoded { text, problem: true }
}

/// Bytes that are UTF-8; without the byte order mark.
fn as_utf8(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], label: Option<&str>, expected: &str) {
        assert_eq!(decode(bytes, label, Language::En).text, expected);
    }

    #[test]
    fn shift_jis_is_cp932() {
        for label in ["Shift_JIS", "cp932", "Windows-31J", "x-sjis", "MS_Kanji", "\"shift-jis\""] {
            check(b"\x87\x40\x87\x8a\xee\xe0", Some(label), "①㈱髙");
        }
    }

    #[test]
    fn euc_jp_with_extensions() {
        check(b"\xad\xa1\xad\xea\x8f\xb0\xa1\x8e\xb1", Some("EUC-JP"), "①㈱丂ｱ");
        check(b"\xc6\xfc\xcb\xdc", Some("eucJP-ms"), "日本");
    }

    #[test]
    fn other_bytes_under_the_label_iso_2022_jp() {
        check(b"\x87\x40 \x83\x65\x83\x58\x83\x67", Some("iso-2022-jp"), "① テスト");
        check("件名".as_bytes(), Some("ISO-2022-JP"), "件名");
    }

    #[test]
    fn japanese_without_label() {
        check(b"\x1b$B%F%9%H\x1b(B ok", None, "テスト ok");
        check(b"\x83\x65\x83\x58\x83\x67", None, "テスト");
        check(b"\xa5\xc6\xa5\xb9\xa5\xc8", None, "テスト");
        for bytes in [&b"\x93\x8c\x8b\x9e"[..], b"\xc5\xec\xb5\xfe"] {
            assert_eq!(decode(bytes, None, Language::Ja).text, "東京");
        }
    }

    #[test]
    fn latin_without_label() {
        check(b"Gr\xfc\xdfe raw", None, "Grüße raw");
        check(b"abc\xe4", Some("x-nope"), "abcä");
        check(b"\xe9t\xe9", None, "été");
        check(b"se\xf1or", Some("us-ascii"), "señor");
    }

    #[test]
    fn wrong_labels() {
        check("Grüße".as_bytes(), Some("iso-8859-1"), "Grüße");
        check(b"Gr\xfc\xdfe", Some("utf-8"), "Grüße");
        check(b"\x83\x65\x83\x58\x83\x67", Some("iso-8859-1"), "テスト");
        check(b"\x1b$B%F%9%H\x1b(B", Some("utf-8"), "テスト");
        check(b"\xff\xfe\xc3( tail\n", Some("utf-8"), "\u{fffd}\u{fffd}\u{fffd}( tail\n");
    }

    #[test]
    fn others() {
        check(b"\xba\xba\xd7\xd6\xa2\xe3", Some("gb18030"), "汉字€");
        check(b"\xfe\xffN\x00", Some("utf-16"), "一");
        check(b"na\x8bve", Some("cp850"), "naïve");
        check(b"\xef\xbb\xbfa", Some("utf-8"), "a");
    }

    #[test]
    fn utf_7_only_when_it_says_so() {
        check(b"+ADw-b+AD4-", None, "+ADw-b+AD4-");
        check(b"+ADw-b+AD4-", Some("utf-7"), "<b>");
    }

    #[test]
    fn problems_are_noted() {
        for (bytes, label, problem) in [
            (&b"abc"[..], None, false),
            ("件名".as_bytes(), None, false),
            (b"abc\xe4", Some("x-nope"), true),
            (b"abc\xe4", None, true),
            (b"abc\xe4", Some("iso-8859-1"), false),
        ] {
            assert_eq!(
                decode(bytes, label, Language::En).problem,
                problem,
                "{bytes:?} as {label:?}"
            );
        }
    }

    #[test]
    fn labels_of_seven_bit_charsets() {
        check(b"\x1b$)C\x0e>H3g\x0f!", Some("ISO-2022-KR"), "안녕!");
        check(b"\x1b$)A\x0eVPND\x0f", Some("iso-2022-cn"), "中文");
        check(b"~{VPND~} ~~", Some("hz-gb-2312"), "中文 ~");
        check(b"Gr+APwA3w-e", Some("unicode-1-1-utf-7"), "Grüße");
    }

    #[test]
    fn utf_16_and_utf_32() {
        check(b"\0G\0r\0\xfc", Some("utf-16"), "Grü");
        check(b"G\0r\0\xfc\0", Some("utf-16"), "Grü");
        check(b"\xff\xfe\0\0G\0\0\0\xfc\0\0\0", Some("utf-32"), "Gü");
        check(b"\0\0\0G\0\0\0\xfc", Some("UTF-32BE"), "Gü");
        check(b"G\0\0\0\xff", Some("utf-32le"), "G\u{fffd}");
    }

    #[test]
    fn labels_spelled_another_way() {
        for label in ["latin-1", "windows1252", "win-1252", "iso_8859_1", "x-cp1252", "ISO 8859-1"]
        {
            check(b"Gr\xfc\xdfe", Some(label), "Grüße");
            assert!(!decode(b"Gr\xfc\xdfe", Some(label), Language::En).problem, "{label}");
        }
        check(b"\xf0\xd2\xc9", Some("koi8r"), "При");
        check(b"\xc7\x99\x96\xa2\xa2\x85", Some("cp037"), "Grosse");
        check(b"na\x8bve", Some("ibm437"), "naïve");
    }

    #[test]
    fn utf_8_that_is_none() {
        check(b"\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0", Some("utf-8"), "Привет, мир");
    }
}
