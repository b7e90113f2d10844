//! In which language somebody wrote, and in which one a customer is written to.
//!
//! Architecture invariant: what is declared comes first, then what he wrote himself, then the
//! language of the desk. Nothing is guessed from an address or from where a mail came from.

use super::address::Address;
use super::config::{Config, Language};
use super::header;
use super::ticket::{Article, AuthorKind};

/// So many syllables make a text Japanese: a smiley or a name in a signature has fewer.
const KANA_MIN: usize = 3;
/// Characters of a text that are looked at.
const TEXT_CHARS_MAX: usize = 20_000;
/// The field by which a mail program says in which language it was written (RFC 3282).
const FIELD: &str = "Content-Language";

/// The language of the customer with this address, of whom these are articles, oldest first.
pub fn of_customer<'a>(
    config: &Config,
    address: &Address,
    articles: impl DoubleEndedIterator<Item = &'a Article>,
) -> Language {
    let declared = config.customers.get(address).and_then(|profile| profile.language);
    declared.or_else(|| last_written(articles)).unwrap_or(config.desk.language)
}

/// The language of the newest article of customers that shows one.
fn last_written<'a>(articles: impl DoubleEndedIterator<Item = &'a Article>) -> Option<Language> {
    let written = articles.filter(|article| article.author == AuthorKind::Customer);
    written.rev().find_map(of_article)
}

/// In which language an article was written; `None` if nothing tells.
///
/// Japanese is known by its syllables, which no other language has. Anything else is known only
/// if the mail program says so: an English text may well be from a Japanese customer.
pub fn of_article(article: &Article) -> Option<Language> {
    let subject_and_own = |text: &str| text.lines().filter(|line| !is_quoted(line)).fold(0, kana);
    if kana(0, &article.subject) + subject_and_own(bounded(&article.text)) >= KANA_MIN {
        return Some(Language::Ja);
    }
    let mut fields = article.headers.iter().filter(|field| header::is_named(&field.name, FIELD));
    fields.find_map(|field| declared(&field.value))
}

/// What was quoted somebody else wrote.
fn is_quoted(line: &str) -> bool {
    line.trim_start().starts_with(['>', '＞'])
}

fn kana(so_far: usize, text: &str) -> usize {
    let is_kana = |c: &char| matches!(c, '\u{3041}'..='\u{309F}' | '\u{30A1}'..='\u{30FA}' | '\u{FF66}'..='\u{FF9D}');
    so_far + text.chars().filter(is_kana).count()
}

fn bounded(text: &str) -> &str {
    text.char_indices().nth(TEXT_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

/// The first language of a list of tags that we have.
fn declared(value: &str) -> Option<Language> {
    value.split(',').find_map(|tag| {
        let primary = tag.trim().split('-').next().unwrap_or_default();
        match primary.to_ascii_lowercase().as_str() {
            "ja" => Some(Language::Ja),
            "en" => Some(Language::En),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::config::CustomerProfile;
    use crate::core::mail::HeaderField;
    use crate::core::ticket::ArticleKind;
    use crate::core::ticket::samples::{address, article, config};
    use Language::{En, Ja};

    fn written(text: &str, field: &str) -> Article {
        let mut mail = Article {
            author: AuthorKind::Customer,
            subject: "Printer".into(),
            text: text.into(),
            headers: Vec::new(),
            ..article(1, ArticleKind::MailIn)
        };
        if !field.is_empty() {
            mail.headers.push(HeaderField { name: "content-language".into(), value: field.into() });
        }
        mail
    }

    #[track_caller]
    fn check(text: &str, field: &str, expected: Option<Language>) {
        assert_eq!(of_article(&written(text, field)), expected, "{text:?} {field:?}");
    }

    #[test]
    fn japanese_is_known_by_its_syllables() {
        check("プリンタが動きません。", "", Some(Ja));
        check("ﾌﾟﾘﾝﾀ", "", Some(Ja));
        check("プリンタが動きません。", "en-US", Some(Ja));
        check("打印机坏了", "", None);
        check("It is broken ツ", "", None);
    }

    #[test]
    fn what_is_quoted_does_not_count() {
        check("It works now.\n> お問い合わせありがとうございます\n＞ ありがとう", "", None);
    }

    #[test]
    fn the_mail_program_says_it() {
        check("It does not print.", "en-US", Some(En));
        check("It does not print.", "de-DE, JA", Some(Ja));
        check("Es druckt nicht.", "de-DE", None);
        check("It does not print.", "", None);
        check("", "ja\u{0},", None);
    }

    #[test]
    fn a_long_text_is_cut() {
        check(&format!("{}これはペンです", "x".repeat(TEXT_CHARS_MAX)), "", None);
    }

    /// What was declared, what he wrote, and the desk in English.
    #[track_caller]
    fn check_customer(language: Option<Language>, articles: &[Article], expected: Language) {
        let (mut config, eve) = (config(), address("eve@cust.test"));
        config.desk.language = En;
        Arc::make_mut(&mut config.customers)
            .insert(eve.clone(), CustomerProfile { language, ..Default::default() });
        assert_eq!(of_customer(&config, &eve, articles.iter()), expected);
    }

    #[test]
    fn declared_then_written_then_the_desks() {
        let (japanese, plain) = (written("動きませんでした", ""), written("Thanks", ""));
        let agent = Article { author: AuthorKind::Agent, ..japanese.clone() };
        check_customer(Some(En), std::slice::from_ref(&japanese), En);
        check_customer(None, &[japanese.clone(), plain.clone()], Ja);
        check_customer(None, &[japanese, written("Thanks", "en-GB")], En);
        check_customer(None, &[plain, agent], En);
        check_customer(None, &[], En);
    }
}
