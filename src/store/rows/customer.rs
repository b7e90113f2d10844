//! Rows of the cases of customers.

use serde::{Deserialize, Serialize};

use super::Row;
use crate::core::config::Language;

/// What one ticket says of its customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct CaseRow {
    /// His name, as declared or as he wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// His company, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// When the ticket was made, in microseconds since 1970.
    pub made: i64,
    /// When he last wrote in it, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrote: Option<i64>,
    /// In which language he wrote, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<LanguageRow>,
}

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::store) enum LanguageRow {
    En,
    Ja,
}

impl Row for CaseRow {
    const NAME: &'static str = "case of a customer";
}

impl From<Language> for LanguageRow {
    fn from(language: Language) -> LanguageRow {
        match language {
            Language::En => LanguageRow::En,
            Language::Ja => LanguageRow::Ja,
        }
    }
}

impl From<LanguageRow> for Language {
    fn from(language: LanguageRow) -> Language {
        match language {
            LanguageRow::En => Language::En,
            LanguageRow::Ja => Language::Ja,
        }
    }
}
