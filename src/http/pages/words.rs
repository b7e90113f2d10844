//! Every word of the page, in each language: one table per part.
//!
//! Architecture invariant: a word that misses a language does not compile, and one that was left
//! untranslated fails a test.

mod admin;
pub mod audience;
mod customers;
mod frame;
pub mod history;
pub mod tickets;

use crate::core::config::Language;

/// Makes a table of words: a struct with one field per word, and one value of it per language.
macro_rules! words {
    ($(#[$doc:meta])* $table:ident { $($name:ident: $en:literal, $ja:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[allow(missing_docs)]
        pub struct $table {
            $(pub $name: &'static str,)*
        }

        impl $table {
            /// Name, English and Japanese of each word.
            #[cfg(test)]
            pub const ALL: &'static [(&'static str, &'static str, &'static str)] =
                &[$((stringify!($name), $en, $ja),)*];

            /// The words of a language.
            pub fn of(language: $crate::core::config::Language) -> &'static $table {
                static EN: $table = $table { $($name: $en,)* };
                static JA: $table = $table { $($name: $ja,)* };
                match language {
                    $crate::core::config::Language::En => &EN,
                    $crate::core::config::Language::Ja => &JA,
                }
            }
        }
    };
}
pub(crate) use words;

pub use admin::{Bells, Mails, Objects};
pub use audience::Audience;
pub use customers::Customers;
pub use frame::{Errors, Frame, Me, SignIn};
pub use tickets::{List, One};

/// All tables, for the test that looks at every word.
#[cfg(test)]
const TABLES: &[&[(&str, &str, &str)]] = &[
    Frame::ALL,
    SignIn::ALL,
    Me::ALL,
    Errors::ALL,
    Mails::ALL,
    Objects::ALL,
    Bells::ALL,
    List::ALL,
    One::ALL,
    Customers::ALL,
    Audience::ALL,
];

/// The language a browser asks for (RFC 9110 section 12.5.4), of those we have.
pub fn accepted(header: Option<&str>, default: Language) -> Language {
    let ranges = header.unwrap_or_default().split(',').filter_map(|range| {
        let (tag, parameters) = range.split_once(';').unwrap_or((range, "q=1"));
        let quality = parameters.trim().strip_prefix("q=").unwrap_or("1");
        let quality: f32 = quality.trim().parse().unwrap_or(0.0);
        let primary = tag.trim().split('-').next().unwrap_or_default().to_ascii_lowercase();
        let language = match primary.as_str() {
            "en" => Language::En,
            "ja" => Language::Ja,
            _ => return None,
        };
        (quality > 0.0).then_some((language, quality))
    });
    let best = ranges.fold(None, |best: Option<(Language, f32)>, range| match best {
        Some(best) if best.1 >= range.1 => Some(best),
        _ => Some(range),
    });
    best.map_or(default, |(language, _)| language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_there_in_every_language() {
        for (name, en, ja) in TABLES.iter().copied().flatten() {
            assert!(!en.trim().is_empty() && !ja.trim().is_empty(), "{name} is empty");
            assert!(en.is_ascii() || en.contains(['…', '→', '·']), "{name}: {en}");
            let same = name == &"cc";
            let japanese = ja.chars().any(|c| c > '\u{2E80}');
            assert!(same || japanese, "{name} is not Japanese: {ja}");
        }
    }

    #[track_caller]
    fn check(header: &str, expected: Language) {
        assert_eq!(accepted(Some(header), Language::En), expected, "{header}");
    }

    #[test]
    fn the_browser_is_asked() {
        check("ja", Language::Ja);
        check("ja-JP,ja;q=0.9,en;q=0.8", Language::Ja);
        check("en-US,en;q=0.9,ja;q=0.8", Language::En);
        check("de, fr;q=0.9, ja;q=0.1", Language::Ja);
        check("de", Language::En);
        check("ja;q=0, en;q=0.1", Language::En);
        check("", Language::En);
        assert_eq!(accepted(None, Language::Ja), Language::Ja);
    }
}
