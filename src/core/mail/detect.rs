//! The charset of bytes that do not say theirs.
//!
//! Japanese is looked for by our own code: Kana makes it certain, and on a Japanese desk text of
//! Kanji alone counts as Japanese, too. Everything else is left to the detector of Firefox.
//!
//! Architecture invariant: linear, over a bounded beginning of the text; one encoding always comes
//! out, and never UTF-8 or UTF-7.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GBK, SHIFT_JIS, WINDOWS_1252};

use crate::core::config::Language;

/// Bytes of a text that are looked at.
const LOOKED_AT_BYTES_MAX: usize = 64 * 1024;
/// Of so many characters beyond ASCII at least one is Kana, in a Japanese sentence.
const PAIRS_PER_KANA_MAX: i64 = 12;

/// The most likely encoding of bytes that are neither ASCII nor UTF-8.
pub fn encoding(bytes: &[u8], language: Language) -> &'static Encoding {
    let bytes = &bytes[..bytes.len().min(LOOKED_AT_BYTES_MAX)];
    let japanese = japanese(bytes);
    match (&japanese, language) {
        (Some(found), _) if found.is_certain() => found.encoding,
        (Some(found), Language::Ja) if found.pairs < PAIRS_PER_KANA_MAX => found.encoding,
        (Some(found), Language::Ja) => match detected(bytes, None) {
            // So much Kanji without a single Kana is a Chinese or Korean text.
            other if [BIG5, EUC_KR, GBK].contains(&other) => other,
            _ => found.encoding,
        },
        (None, Language::Ja) => detected(bytes, Some(b"jp")),
        (_, Language::En) => detected(bytes, None),
    }
}

fn detected(bytes: &[u8], top_level_domain: Option<&[u8]>) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, bytes.len() < LOOKED_AT_BYTES_MAX);
    let guessed = detector.guess(top_level_domain, Utf8Detection::Deny);
    // With so few letters the detector takes an accent for one of a rarer language.
    let few = bytes.iter().filter(|byte| **byte >= 0x80).count() <= 2;
    let western = looks_latin(bytes) || stand_alone(bytes);
    if few && guessed.is_single_byte() && western { WINDOWS_1252 } else { guessed }
}

/// A Japanese encoding that the bytes fit.
pub struct Japanese {
    /// Which one.
    pub encoding: &'static Encoding,
    /// Characters of everyday use less those that hardly occur in running text.
    likelihood: i64,
    /// Hiragana and Katakana: no other language's bytes look like that for long.
    pub kana: i64,
    /// Characters of two bytes.
    pairs: i64,
}

impl Japanese {
    /// Whether there is as much Kana as in a sentence. In EUC-JP it shares its bytes with the
    /// rarer signs of the Chinese and Korean charsets.
    fn is_certain(&self) -> bool {
        self.kana > 0 && self.kana * PAIRS_PER_KANA_MAX >= self.pairs
    }
}

/// The Japanese encoding that the bytes fit best.
pub fn japanese(bytes: &[u8]) -> Option<Japanese> {
    let fits = [shift_jis(bytes), euc_jp(bytes)].into_iter().flatten();
    fits.filter(|found| found.likelihood > 0).max_by_key(|found| found.likelihood)
}

/// Shift_JIS as CP932: two bytes, or one of half-width Katakana.
fn shift_jis(bytes: &[u8]) -> Option<Japanese> {
    let mut found = Japanese { encoding: SHIFT_JIS, likelihood: 0, kana: 0, pairs: 0 };
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
                found.kana += i64::from(matches!(lead, 0x82 | 0x83));
                found.pairs += 1;
                tail
            }
            _ => return None,
        };
    }
    Some(found)
}

/// EUC-JP: pairs of high bytes; lone pairs between Latin letters are more likely `äö`.
fn euc_jp(bytes: &[u8]) -> Option<Japanese> {
    let mut found = Japanese { encoding: EUC_JP, likelihood: 0, kana: 0, pairs: 0 };
    let mut runs = 0;
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
                found.kana += i64::from(matches!(lead, 0xa4 | 0xa5));
                found.pairs += 1;
                tail
            }
            _ => return None,
        };
    }
    (found.kana > 0 || found.pairs >= 2 * runs).then_some(found)
}

/// Whether every high byte is a sign between blanks, such as `®`, and no letter of a word.
fn stand_alone(bytes: &[u8]) -> bool {
    let is_of_word =
        |near: Option<&u8>| near.is_some_and(|b| *b >= 0x80 || b.is_ascii_alphabetic());
    bytes.iter().enumerate().filter(|(_, byte)| **byte >= 0x80).all(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        !is_of_word(before) && !is_of_word(bytes.get(at + 1))
    })
}

/// Whether most high bytes are accented letters within Latin words.
pub fn looks_latin(bytes: &[u8]) -> bool {
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
    fn check(label: &str, text: &str) {
        let encoding = Encoding::for_label(label.as_bytes()).expect("a known label");
        let (bytes, _, failed) = encoding.encode(text);
        assert!(!failed, "{label} has no bytes for {text}");
        let found = super::encoding(&bytes, Language::En);
        assert_eq!(found.decode_without_bom_handling(&bytes).0, text, "{label}");
    }

    #[test]
    fn sentences() {
        check("gb18030", "您好，订单还没有收到，请帮忙查一下。");
        check("big5", "您好，訂單還沒有收到，請幫忙查一下。");
        check("euc-kr", "안녕하세요, 주문한 물건이 아직 오지 않았습니다.");
        check("koi8-r", "Добрый день, заказ до сих пор не пришёл.");
        check("windows-1251", "Добрый день, заказ до сих пор не пришёл.");
        check("windows-1250", "Dzień dobry, zamówienie jeszcze nie przyszło, proszę o odpowiedź.");
        check("windows-1253", "Καλημέρα, η παραγγελία δεν έχει έρθει ακόμη.");
        check("windows-1255", "שלום, ההזמנה עדיין לא הגיעה.");
        check("windows-1256", "مرحبا، الطلب لم يصل بعد، شكرا لكم.");
        check("shift_jis", "ご注文の品がまだ届きません。");
        check("euc-jp", "ご注文の品がまだ届きません。");
        check("windows-1252", "Die Bestellung ist noch nicht da, Grüße aus Köln");
    }

    #[test]
    fn japanese_comes_first_on_a_japanese_desk() {
        for encoding in [SHIFT_JIS, EUC_JP] {
            let (bytes, ..) = encoding.encode("東京都港区");
            assert_eq!(super::encoding(&bytes, Language::Ja), encoding);
        }
        let (bytes, ..) = GBK.encode("您好，订单还没有收到，请帮忙查一下，谢谢您的支持。");
        assert_eq!(super::encoding(&bytes, Language::Ja), GBK);
    }
}
