//! Words of a text, and what somebody looks for: the pure half of the search.
//!
//! A text is folded (NFKC, lower case) and cut into terms: each word of a script that puts spaces
//! between words, and each pair of neighbouring characters where a script does not (Japanese,
//! Chinese, Korean, Thai). What somebody looks for is cut in the same way; a word is found by its
//! beginning. Terms say which tickets to look at; whether a ticket is meant is said by
//! [`Sought::is_in`], on the texts themselves.
//!
//! Architecture invariant: time and memory are linear in the text, and the terms of one text are
//! bounded.

use std::borrow::Cow;
use std::collections::BTreeSet;

use icu_normalizer::ComposingNormalizerBorrowed;

/// Characters of a term; a longer word is found by this beginning.
pub const TERM_CHARS_MAX: usize = 24;
/// Characters of a text that are looked at.
pub const TEXT_CHARS_MAX: usize = 64 * 1024;
/// Different terms of one text; a text with more is found by its beginning.
pub const TERMS_MAX: usize = 4_000;
/// Characters of what somebody looks for.
pub const SOUGHT_CHARS_MAX: usize = 200;
/// Words and runs of characters that are looked for together.
pub const PARTS_MAX: usize = 12;

/// What somebody looks for, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sought {
    /// All of them must be there.
    pub parts: Vec<Part>,
}

/// One thing that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The beginning of a word.
    Word(String),
    /// A run of characters of a script without spaces.
    Run(String),
}

/// How the index finds the candidates of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// Tickets with this very term.
    Exactly(String),
    /// Tickets with any term that begins like this.
    Beginning(String),
}

/// Whether each of these words, folded, stands in one of these texts. Japanese names are written with
/// a space between their parts and without: the space does not count.
pub fn all_stand_in(words: &[String], texts: [&str; 3]) -> bool {
    let texts = texts.map(fold);
    let closed = |text: &String| text.split_whitespace().collect::<String>();
    words.iter().all(|word| {
        texts.iter().any(|text| text.contains(word.as_str()))
            || !word.is_ascii() && texts.iter().any(|text| closed(text).contains(word.as_str()))
    })
}

/// Words in the form in which texts are compared.
pub fn folded_words(words: &str) -> Vec<String> {
    fold(words).split_whitespace().map(str::to_owned).collect()
}

/// A text in the form in which texts are compared.
pub fn fold(text: &str) -> String {
    let text = beginning(text, TEXT_CHARS_MAX);
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let normalizer = const { ComposingNormalizerBorrowed::new_nfkc() };
    match normalizer.normalize(text) {
        Cow::Borrowed(text) => text.to_lowercase(),
        Cow::Owned(text) => text.to_lowercase(),
    }
}

/// Adds the terms of a folded text.
pub fn add_terms(folded: &str, terms: &mut BTreeSet<String>) {
    for piece in pieces(folded) {
        if terms.len() >= TERMS_MAX {
            return;
        }
        match piece {
            Piece::Word(word) => add(beginning(word, TERM_CHARS_MAX), terms),
            Piece::Run(run) => {
                // The last character stands alone, too: it is found when it is looked for alone.
                pairs(run).chain(last(run)).for_each(|term| add(term, terms));
            }
        }
    }
}

impl Sought {
    /// Takes apart what somebody looks for. `hook` stands before ticket numbers on this desk and
    /// is not looked for.
    pub fn parse(text: &str, hook: &str) -> Sought {
        let mut folded = fold(beginning(text, SOUGHT_CHARS_MAX));
        let hook = fold(hook);
        if !hook.is_empty() {
            folded = folded.replace(&hook, " ");
        }
        let parts = pieces(&folded).map(|piece| match piece {
            Piece::Word(word) => Part::Word(word.to_owned()),
            Piece::Run(run) => Part::Run(run.to_owned()),
        });
        Sought { parts: parts.take(PARTS_MAX).collect() }
    }

    /// Whether anything is looked for.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether each part stands in one of these folded texts.
    pub fn is_in(&self, folded: &[String]) -> bool {
        self.parts.iter().all(|part| folded.iter().any(|text| part.is_in(text)))
    }
}

impl Part {
    /// What to look up; a ticket that is meant is found by each of them.
    pub fn lookups(&self) -> Vec<Lookup> {
        match self {
            Part::Word(word) => {
                vec![Lookup::Beginning(beginning(word, TERM_CHARS_MAX).to_owned())]
            }
            Part::Run(run) if run.chars().nth(1).is_none() => {
                vec![Lookup::Beginning(run.clone())]
            }
            Part::Run(run) => {
                let pairs: BTreeSet<&str> = pairs(run).collect();
                pairs.into_iter().map(|pair| Lookup::Exactly(pair.to_owned())).collect()
            }
        }
    }

    fn is_in(&self, folded: &str) -> bool {
        match self {
            Part::Run(run) => folded.contains(run.as_str()),
            Part::Word(word) => folded.match_indices(word.as_str()).any(|(at, _)| {
                let before = folded[..at].chars().next_back();
                before.is_none_or(|before| !is_of_word(before))
            }),
        }
    }
}

/// A stretch of a text.
enum Piece<'a> {
    Word(&'a str),
    Run(&'a str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    Run,
    Neither,
}

fn pieces(folded: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = folded;
    std::iter::from_fn(move || {
        let start = rest.find(|c| class(c) != Class::Neither)?;
        rest = &rest[start..];
        let kind = rest.chars().next().map_or(Class::Neither, class);
        let end = rest.find(|c| class(c) != kind).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(if kind == Class::Word { Piece::Word(piece) } else { Piece::Run(piece) })
    })
}

fn class(c: char) -> Class {
    if c.is_ascii() {
        return if c.is_ascii_alphanumeric() { Class::Word } else { Class::Neither };
    }
    if is_of_run(c) {
        Class::Run
    } else if c.is_alphanumeric() {
        Class::Word
    } else {
        Class::Neither
    }
}

fn is_of_word(c: char) -> bool {
    class(c) == Class::Word
}

/// Whether a character is of a script that does not put spaces between words.
fn is_of_run(c: char) -> bool {
    matches!(c,
        // Thai, Lao, Myanmar, Khmer.
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        // Iteration marks, kana, bopomofo, kana extensions.
        | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{3096}' | '\u{3099}'..='\u{309F}'
        | '\u{30A1}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}' | '\u{3105}'..='\u{312F}'
        | '\u{31F0}'..='\u{31FF}'
        // Hangul, which has spaces but endings without them.
        | '\u{1100}'..='\u{11FF}' | '\u{3131}'..='\u{318E}' | '\u{AC00}'..='\u{D7A3}'
        // Han.
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{323AF}')
}

/// Each two neighbouring characters.
fn pairs(run: &str) -> impl Iterator<Item = &str> {
    let starts = run.char_indices().map(|(at, _)| at);
    let ends = run.char_indices().map(|(at, _)| at).chain([run.len()]).skip(2);
    starts.zip(ends).map(|(start, end)| &run[start..end])
}

/// The last character.
fn last(run: &str) -> Option<&str> {
    run.char_indices().next_back().map(|(at, _)| &run[at..])
}

fn add(term: &str, terms: &mut BTreeSet<String>) {
    if terms.len() < TERMS_MAX && !terms.contains(term) {
        terms.insert(term.to_owned());
    }
}

fn beginning(text: &str, chars: usize) -> &str {
    // A text of so many bytes has no more characters.
    if text.len() <= chars {
        return text;
    }
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        let mut terms = BTreeSet::new();
        add_terms(&fold(text), &mut terms);
        terms.into_iter().collect()
    }

    #[test]
    fn names_are_found_by_their_parts() {
        let found = |words: &str| {
            let texts = ["hanako@kyaku.test", "佐藤　花子", "ＡＢＣ Trading Ltd"];
            all_stand_in(&folded_words(words), texts)
        };
        for words in
            ["佐藤", "花子", "佐藤 花子", "佐藤花子", "藤花", "HANAKO 佐", "abc ltd", "ａｂｃ"]
        {
            assert!(found(words), "{words}");
        }
        for words in ["花子佐藤", "佐藤 一郎", "abctrading", "鈴木"] {
            assert!(!found(words), "{words}");
        }
    }

    /// Whether a text is found, both by its terms and by itself.
    #[track_caller]
    fn check(text: &str, sought: &str, expected: bool) {
        let sought = Sought::parse(sought, "Ticket#");
        assert_eq!(sought.is_in(&[fold(text)]), expected, "the text itself");
        let terms = terms(text);
        let found = |lookup: &Lookup| match lookup {
            Lookup::Exactly(term) => terms.contains(term),
            Lookup::Beginning(start) => terms.iter().any(|term| term.starts_with(start)),
        };
        let candidate = sought.parts.iter().flat_map(Part::lookups).all(|lookup| found(&lookup));
        assert!(candidate || !expected, "a text that is meant must be a candidate");
    }

    #[test]
    fn words_are_found_by_their_beginning() {
        check("The printer on floor two", "print", true);
        check("The printer on floor two", "PRINTER two", true);
        check("The printer on floor two", "rinter", false);
        check("The printer on floor two", "printer three", false);
        check("Ärger mit Straße", "ärger straße", true);
    }

    #[test]
    fn japanese_is_found_by_any_run_of_characters() {
        let text = "お世話になっております。複合機の紙詰まりが直りません。";
        check(text, "複合機", true);
        check(text, "紙詰まり", true);
        check(text, "機", true);
        check(text, "複合機 直りません", true);
        check(text, "印刷機", false);
        check("紙が詰まり、紙詰めを", "紙詰まり", false);
    }

    #[test]
    fn a_character_at_the_end_is_found_alone() {
        check("会議室の鍵", "鍵", true);
        check("鍵", "鍵", true);
    }

    #[test]
    fn wide_and_half_wide_forms_are_the_same() {
        check("ﾌﾟﾘﾝﾀが故障", "プリンタ", true);
        check("ＡＢＣ㈱ 第①会議室", "abc 株 1", true);
        check("プリンター", "ﾌﾟﾘﾝﾀｰ", true);
    }

    #[test]
    fn latin_within_japanese() {
        check("新しいVPN接続が切れる", "vpn", true);
        check("新しいVPN接続が切れる", "接続", true);
    }

    #[test]
    fn numbers_with_and_without_the_hook() {
        check("2026112510000018", "[Ticket#2026112510000018]", true);
        check("2026112510000018", "20261125", true);
    }

    #[test]
    fn addresses() {
        check("Eve <eve@customer.example>", "eve@customer.example", true);
        check("Eve <eve@customer.example>", "customer", true);
    }

    #[test]
    fn nothing_sought() {
        assert!(Sought::parse(" -- 。", "").is_empty());
        assert!(!Sought::parse("x", "").is_empty());
    }

    #[test]
    fn long_words_are_found_by_their_beginning() {
        let word = "x".repeat(9_000);
        check(&word, &word, true);
        assert_eq!(terms(&word), ["x".repeat(TERM_CHARS_MAX)]);
    }

    #[test]
    fn terms_are_bounded() {
        let text: String = (0..100_000).map(|number| format!("w{number} ")).collect();
        assert_eq!(terms(&text).len(), TERMS_MAX);
        let sought = Sought::parse(&"a b ".repeat(1_000), "");
        assert_eq!(sought.parts.len(), PARTS_MAX);
    }
}
