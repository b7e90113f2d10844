//! From bytes to text: labels as people write them, Japanese first, and guessing where the label
//! is missing or wrong.
//!
//! Architecture invariant: never fails, and never guesses UTF-7 (it hides markup as plain ASCII).

use encoding_rs::{EUC_JP, Encoding, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::iso2022;

/// Text, and whether something in it was guessed or replaced.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The text.
    pub text: String,
    /// Whether the label was missing, unknown or wrong, so that characters may be wrong.
    pub problem: bool,
}

/// What a label means to us.
enum Charset {
    /// ISO-2022-JP and its kin, decoded by our own code.
    Iso2022Jp,
    /// One of the WHATWG encodings.
    Known(&'static Encoding),
    /// One that only the mail library has (cp850, UTF-7, ...).
    Rare(fn(&[u8]) -> String),
    /// ASCII, or no label at all.
    Unlabelled,
    /// A label nobody knows.
    Unknown,
}

/// Decodes bytes that carry this label.
pub fn decode(bytes: &[u8], label: Option<&str>) -> Decoded {
    match charset(label) {
        Charset::Iso2022Jp => iso2022_jp(bytes),
        Charset::Known(encoding) => labelled(bytes, encoding),
        Charset::Rare(decoder) => Decoded { text: decoder(bytes), problem: false },
        Charset::Unlabelled => guess(bytes),
        Charset::Unknown => Decoded { problem: !bytes.is_ascii(), ..guess(bytes) },
    }
}

/// Whether bytes carry escape sequences of ISO-2022-JP.
pub fn has_japanese_escape(bytes: &[u8]) -> bool {
    bytes.contains(&0x1b)
        && bytes
            .windows(3)
            .any(|w| w.starts_with(b"\x1b$") || matches!(w, b"\x1b(B" | b"\x1b(J" | b"\x1b(I"))
}

fn charset(label: Option<&str>) -> Charset {
    let Some(label) = label else { return Charset::Unlabelled };
    // RFC 2231 section 5 allows a language after an asterisk.
    let label = label.split('*').next().unwrap_or_default();
    let label = label.trim().trim_matches(['"', '\'']).to_ascii_lowercase();
    match label.as_str() {
        "" | "us-ascii" | "ascii" | "ansi_x3.4-1968" | "7bit" | "8bit" | "unknown-8bit" => {
            Charset::Unlabelled
        }
        "iso-2022-jp" | "iso-2022-jp-1" | "iso-2022-jp-2" | "iso-2022-jp-3" | "iso-2022-jp-ms"
        | "iso-2022-jp-2004" | "iso-2022-jp-ext" | "csiso2022jp" | "csiso2022jp2" | "cp50220"
        | "cp50221" | "cp50222" | "x-windows-50220" | "x-windows-50221" | "jis" => {
            Charset::Iso2022Jp
        }
        "cp932" | "ms932" | "sjis-win" | "x-ms-cp932" | "cswindows31j" | "shiftjis"
        | "shift_jisx0213" | "shift_jis-2004" => Charset::Known(SHIFT_JIS),
        "eucjp" | "eucjp-ms" | "eucjp-win" | "cp51932" | "euc-jisx0213" | "euc-jis-2004" => {
            Charset::Known(EUC_JP)
        }
        "utf8mb4" | "utf_8" => Charset::Known(UTF_8),
        other => match other.strip_prefix("cp-") {
            Some(number) => by_library(&format!("cp{number}")),
            None => by_library(other),
        },
    }
}

fn by_library(label: &str) -> Charset {
    if let Some(encoding) = Encoding::for_label_no_replacement(label.as_bytes()) {
        return Charset::Known(encoding);
    }
    // That table answers these with one replacement character for the whole text.
    if label.contains("2022") || label.contains("hz") {
        return Charset::Unknown;
    }
    match mail_parser::decoders::charsets::map::charset_decoder(label.as_bytes()) {
        Some(decoder) => Charset::Rare(decoder),
        None => Charset::Unknown,
    }
}

fn iso2022_jp(bytes: &[u8]) -> Decoded {
    if bytes.is_ascii() || has_japanese_escape(bytes) {
        let (text, problem) = iso2022::decode(bytes);
        return Decoded { text, problem };
    }
    // Software that writes CP932 or UTF-8 under this label is common.
    Decoded { problem: true, ..guess(bytes) }
}

/// The label is a known one: believe it unless the bytes say otherwise.
fn labelled(bytes: &[u8], encoding: &'static Encoding) -> Decoded {
    if encoding == UTF_16LE || encoding == UTF_16BE {
        let (text, _, problem) = encoding.decode(bytes);
        return Decoded { text: text.into_owned(), problem };
    }
    if bytes.is_ascii() && encoding.is_ascii_compatible() {
        return guess(bytes);
    }
    if let Some(text) = as_utf8(bytes) {
        return Decoded { text, problem: encoding != UTF_8 };
    }
    if encoding.is_single_byte() {
        let japanese = japanese(bytes).filter(|found| found.kana);
        let encoding = japanese.as_ref().map_or(encoding, |found| found.encoding);
        let (text, _) = encoding.decode_without_bom_handling(bytes);
        return Decoded { text: text.into_owned(), problem: japanese.is_some() };
    }
    let (text, wrong) = encoding.decode_without_bom_handling(bytes);
    if !wrong {
        return Decoded { text: text.into_owned(), problem: false };
    }
    let other = japanese(bytes).map(|found| found.encoding).filter(|found| *found != encoding);
    let other = other.or_else(|| (encoding == UTF_8 && looks_latin(bytes)).then_some(WINDOWS_1252));
    let text = match other {
        Some(other) => other.decode_without_bom_handling(bytes).0,
        None => text,
    };
    Decoded { text: text.into_owned(), problem: true }
}

/// Bytes that came without a label.
fn guess(bytes: &[u8]) -> Decoded {
    if has_japanese_escape(bytes) {
        let (text, problem) = iso2022::decode(bytes);
        return Decoded { text, problem };
    }
    if let Some(text) = as_utf8(bytes) {
        return Decoded { text, problem: false };
    }
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return Decoded { text: encoding.decode(bytes).0.into_owned(), problem: true };
    }
    let encoding = japanese(bytes).map_or(WINDOWS_1252, |found| found.encoding);
    let text = encoding.decode_without_bom_handling(bytes).0.into_owned();
    Decoded { text, problem: true }
}

/// Bytes that are UTF-8; without the byte order mark.
fn as_utf8(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned())
}

/// A Japanese encoding that the bytes fit.
struct Japanese {
    encoding: &'static Encoding,
    /// Characters of everyday use less those that hardly occur in running text.
    likelihood: i64,
    /// Whether there is Hiragana or Katakana: no other language's bytes look like that for long.
    kana: bool,
}

fn japanese(bytes: &[u8]) -> Option<Japanese> {
    let fits = [shift_jis(bytes), euc_jp(bytes)].into_iter().flatten();
    fits.filter(|found| found.likelihood > 0).max_by_key(|found| found.likelihood)
}

/// Shift_JIS as CP932: two bytes, or one of half-width Katakana.
fn shift_jis(bytes: &[u8]) -> Option<Japanese> {
    let mut found = Japanese { encoding: SHIFT_JIS, likelihood: 0, kana: false };
    let mut rest = bytes;
    while let [lead, tail @ ..] = rest {
        rest = match (lead, tail) {
            (0x00..=0x7f, _) => tail,
            (0xa1..=0xdf, _) => {
                found.likelihood -= 1;
                tail
            }
            (0x81..=0x9f | 0xe0..=0xfc, [0x40..=0x7e | 0x80..=0xfc, tail @ ..]) => {
                let common = matches!(lead, 0x81..=0x83 | 0x87..=0x9f);
                found.likelihood += if common { 1 } else { -1 };
                found.kana |= matches!(lead, 0x82 | 0x83);
                tail
            }
            _ => return None,
        };
    }
    Some(found)
}

/// EUC-JP: pairs of high bytes; lone pairs between Latin letters are more likely `äö`.
fn euc_jp(bytes: &[u8]) -> Option<Japanese> {
    let mut found = Japanese { encoding: EUC_JP, likelihood: 0, kana: false };
    let mut runs = 0;
    let mut pairs = 0;
    let mut in_run = false;
    let mut rest = bytes;
    while let [lead, tail @ ..] = rest {
        runs += i64::from(*lead >= 0x80 && !in_run);
        in_run = *lead >= 0x80;
        rest = match (lead, tail) {
            (0x00..=0x7f, _) => tail,
            (0x8e, [0xa1..=0xdf, tail @ ..]) => tail,
            (0x8f, [0xa1..=0xfe, 0xa1..=0xfe, tail @ ..]) => tail,
            (0xa1..=0xfe, [0xa1..=0xfe, tail @ ..]) => {
                found.likelihood += if *lead < 0xd0 { 1 } else { -1 };
                found.kana |= matches!(lead, 0xa4 | 0xa5);
                pairs += 1;
                tail
            }
            _ => return None,
        };
    }
    (found.kana || pairs >= 2 * runs).then_some(found)
}

/// Whether most high bytes are accented letters within Latin words.
fn looks_latin(bytes: &[u8]) -> bool {
    let mut high = 0;
    let mut in_words = 0;
    for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| **byte >= 0x80) {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        let letter = |near: Option<&u8>| near.is_some_and(u8::is_ascii_alphabetic);
        high += 1;
        in_words += usize::from(*byte >= 0xc0 && (letter(before) || letter(bytes.get(at + 1))));
    }
    in_words * 2 > high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], label: Option<&str>, expected: &str) {
        assert_eq!(decode(bytes, label).text, expected);
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
        check(b"\x93\x8c\x8b\x9e", None, "東京");
        check(b"\xc5\xec\xb5\xfe", None, "東京");
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
            assert_eq!(decode(bytes, label).problem, problem, "{bytes:?} as {label:?}");
        }
    }
}
