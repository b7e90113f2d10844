//! What is stored, apart from the core types, so that either can change without the other.
//!
//! A row is one byte of version and JSON. A field may be added with `#[serde(default)]` under the
//! same version; anything else is a new version, which `decode` refuses until `migrate` or a
//! conversion knows it. Addresses and times are stored as the texts they print as.
//!
//! Architecture invariant: conversions only. Nothing here reads or writes a table.

mod customer;
mod digest;
mod event;
mod hook;
mod ledger;
mod mail;
mod outgoing;
mod session;
mod ticket;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fault::Fault;
use crate::core::mail::Digest;

pub(super) use customer::CaseRow;
pub(super) use digest::LineRow;
pub(super) use event::EventRow;
pub(super) use hook::HookRow;
pub(super) use ledger::{AccountRow, LedgerRow, LedgerState};
pub(super) use mail::MailRow;
pub(super) use outgoing::OutgoingRow;
pub(super) use session::SessionRow;
pub(super) use ticket::{ArticleRow, TicketRow};

/// First byte of every row.
const ROW_VERSION: u8 = 1;

/// A stored row.
pub(super) trait Row: Serialize + DeserializeOwned {
    /// What it is, for errors.
    const NAME: &'static str;
}

/// A row as bytes.
pub(super) fn encode<R: Row>(row: &R) -> Vec<u8> {
    let mut bytes = vec![ROW_VERSION];
    serde_json::to_writer(&mut bytes, row).expect("rows have text keys and no foreign types");
    bytes
}

/// Bytes as a row.
pub(super) fn decode<R: Row>(bytes: &[u8]) -> Result<R, Fault> {
    match bytes.split_first() {
        Some((&ROW_VERSION, json)) => serde_json::from_slice(json)
            .map_err(|error| Fault::Row(format!("stored {} is damaged: {error}", R::NAME))),
        Some((version, _)) => {
            Err(Fault::Row(format!("stored {} has version {version}, not known here", R::NAME)))
        }
        None => Err(Fault::Row(format!("stored {} is empty", R::NAME))),
    }
}

/// Identities to use next, and how far cleaning got.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct CountersRow {
    /// For an account.
    pub account: u32,
    /// For a line of the communication log.
    pub mail: u64,
    /// For a ticket.
    pub ticket: u64,
    /// For an article.
    pub article: u64,
    /// For an owed mail.
    pub outgoing: u64,
    /// For a small raw mail.
    pub raw: u64,
    /// For a bell.
    pub bell: u64,
    /// For an entry of what the search has to read.
    #[serde(default = "first")]
    pub search: u64,
    /// For an owed message of a webhook.
    #[serde(default = "first")]
    pub hook: u64,
    /// For a line of a digest.
    #[serde(default)]
    pub digest: u64,
    /// First line of the log whose digests were not yet looked at by cleaning.
    pub clean: u64,
}

/// The first identity of a kind.
fn first() -> u64 {
    1
}

impl Default for CountersRow {
    fn default() -> Self {
        CountersRow {
            account: 1,
            mail: 1,
            ticket: 1,
            article: 1,
            outgoing: 1,
            raw: 1,
            bell: 1,
            search: 1,
            hook: 1,
            digest: 1,
            clean: 1,
        }
    }
}

impl Row for CountersRow {
    const NAME: &'static str = "counters";
}

/// A revision of the files.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct RevisionRow {
    pub hash: String,
    pub applied: jiff::Timestamp,
    /// Name and text of each file: until version 2 of the tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<(String, String)>,
    /// Name of each file, and the digest by which `texts` holds it.
    #[serde(default)]
    pub texts: Vec<(String, String)>,
}

impl Row for RevisionRow {
    const NAME: &'static str = "revision";
}

/// The text of a file.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct TextRow {
    pub text: String,
}

impl Row for TextRow {
    const NAME: &'static str = "text of a file";
}

/// What a request was answered that must have one effect.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct OnceRow {
    pub request: String,
    pub id: u64,
    /// The ticket that it changed, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketRow>,
    /// What else was answered; without both it is not known yet what will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    pub at: jiff::Timestamp,
}

impl Row for OnceRow {
    const NAME: &'static str = "answer to a request";
}

/// A bell that rang.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct BellRow {
    pub event: String,
    pub ticket: u64,
    pub at: jiff::Timestamp,
    #[serde(default)]
    pub read: bool,
    /// In which role; empty in rows that are older.
    #[serde(default)]
    pub role: String,
    /// By which rule; empty in rows that are older, and where there is none.
    #[serde(default)]
    pub rule: String,
}

impl Row for BellRow {
    const NAME: &'static str = "bell";
}

/// Reads a digest written as hexadecimal digits.
pub(super) fn digest(hex: &str) -> Result<Digest, Fault> {
    let bad = || Fault::Row(format!("stored digest {hex:?} is damaged"));
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return Err(bad());
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).map_err(|_| bad())?;
    }
    Ok(Digest(bytes))
}

/// Writes a digest as hexadecimal digits.
fn hex(digest: &Digest) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = digest.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_another_version_is_not_guessed_at() {
        let mut bytes = encode(&CountersRow::default());
        assert_eq!(decode::<CountersRow>(&bytes).unwrap(), CountersRow::default());
        bytes[0] = 9;
        assert!(matches!(decode::<CountersRow>(&bytes), Err(Fault::Row(_))));
        assert!(matches!(decode::<CountersRow>(&[]), Err(Fault::Row(_))));
    }

    #[test]
    fn digests_survive_as_text() {
        let some = Digest::of(b"some");
        assert_eq!(digest(&hex(&some)).unwrap(), some);
        assert_eq!(hex(&some), some.hex());
        assert!(digest("00").is_err());
        assert!(digest(&"g".repeat(64)).is_err());
        assert!(digest(&"é".repeat(32)).is_err());
    }
}
