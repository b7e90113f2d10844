//! Whether a text says anything of its own.
//!
//! Signatures, the lines that phones add, placeholders of pictures and quotes say nothing.

use super::header::is_separator;
use super::tokens;

/// What programs add on their own, in lower case. A line that begins so and is short says nothing.
const ADDED_BEGINNINGS: [&str; 36] = [
    "sent from my ",
    "sent from mail for",
    "sent from outlook",
    "sent from yahoo",
    "sent from proton",
    "sent from samsung",
    "sent from gmail",
    "sent via ",
    "sent with ",
    "sent by ",
    "get outlook for",
    "download outlook",
    "von meinem ",
    "gesendet von ",
    "gesendet mit ",
    "diese nachricht wurde von meinem",
    "envoy\u{e9} de",
    "envoy\u{e9} depuis",
    "t\u{e9}l\u{e9}charger outlook",
    "enviado desde",
    "enviado do",
    "enviado a partir",
    "enviado de",
    "inviato da",
    "verstuurd vanaf",
    "verzonden vanaf",
    "skickat fr\u{e5}n",
    "sendt fra",
    "wys\u{142}ane z",
    "\u{43e}\u{442}\u{43f}\u{440}\u{430}\u{432}\u{43b}\u{435}\u{43d}\u{43e} ",
    "iphone\u{304b}\u{3089}\u{9001}\u{4fe1}",
    "ipad\u{304b}\u{3089}\u{9001}\u{4fe1}",
    "android\u{304b}\u{3089}\u{9001}\u{4fe1}",
    "outlook for ",
    "\u{53d1}\u{81ea}\u{6211}\u{7684}",
    "\u{79c1}\u{306e}",
];
/// Characters of a line that a program adds.
const ADDED_CHARS_MAX: usize = 100;
/// Beginnings of placeholders for pictures, in lower case.
const PICTURES: [&str; 6] =
    ["[cid:", "[image", "[inline image", "<image", "[\u{753b}\u{50cf}", "[bild"];

/// Whether a person says something in this text.
pub fn has_own_text(text: &str) -> bool {
    let (lines, all) = tokens::read(text);
    for line in &lines {
        // RFC 3676 section 4.3; some programs cut the blank.
        if matches!(line.text.trim_end_matches('\r'), "-- " | "--") {
            return false;
        }
        let says = !all[line.tokens.clone()].is_empty()
            && !line.quoted
            && !is_separator(line.text)
            && !is_added(line.text);
        if says || has_symbol(line.text) {
            return true;
        }
    }
    false
}

/// An answer may be a single emoji.
fn has_symbol(line: &str) -> bool {
    line.chars().any(|c| matches!(c, '\u{1f300}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}'))
}

fn is_added(line: &str) -> bool {
    let line = line.trim().to_lowercase();
    let compact: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    let begins = |all: &[&str]| {
        all.iter().any(|begin| line.starts_with(begin) || compact.starts_with(begin))
    };
    let program = begins(&ADDED_BEGINNINGS) && line.chars().count() <= ADDED_CHARS_MAX;
    program || begins(&PICTURES) && line.ends_with([']', '>'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(has_own_text(text), expected, "{text:?}");
    }

    #[test]
    fn words_of_a_person() {
        check("No.", true);
        check("はい", true);
        check("👍", true);
        check(
            "Sent from my point of view this is a long sentence that a person wrote, and it says what they think of it all.",
            true,
        );
        check("OK\n\n-- \nAlice", true);
    }

    #[test]
    fn what_programs_add() {
        check("", false);
        check(" \r\n\u{a0}\n", false);
        check("Sent from my iPhone\n", false);
        check("iPhone から送信\n", false);
        check("\n-- \nAlice Agent\nExample Ltd\n", false);
        check("[cid:image001.png@01DB.1]\n", false);
        check("________________\n> quoted\n", false);
        check("Get Outlook for iOS <https://aka.ms/o0ukef>", false);
    }
}
