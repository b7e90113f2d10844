//! Revisions of the files, kept for a start with broken files.
//!
//! A text is kept once, however many revisions hold it: a change of one file among many writes
//! that one alone.

use std::collections::BTreeSet;

use redb::ReadableTable;

use super::StoredRevision;
use super::fault::Fault;
use super::rows::{RevisionRow, TextRow, decode, digest, encode};
use super::tables::View;
use super::transaction::Tx;
use crate::core::mail::Digest;

/// Revisions kept; older ones are forgotten.
const REVISIONS_KEPT: usize = 10;

/// A revision, ready to be written.
pub(super) struct Page {
    row: Vec<u8>,
    texts: Vec<(Digest, String)>,
}

impl Page {
    pub(super) fn of(revision: StoredRevision) -> Page {
        let StoredRevision { hash, applied, files } = revision;
        let mut row = RevisionRow { hash, applied, files: Vec::new(), texts: Vec::new() };
        let mut texts = Vec::new();
        for (name, text) in files {
            let digest = Digest::of(text.as_bytes());
            row.texts.push((name, digest.hex()));
            texts.push((digest, text));
        }
        Page { row: encode(&row), texts }
    }

    /// Bytes that are written at most.
    pub(super) fn bytes(&self) -> usize {
        self.row.len() + self.texts.iter().map(|(_, text)| text.len()).sum::<usize>()
    }
}

/// The last revision that was applied and whose hash begins like this.
pub(super) fn last(view: &View, hash: &str) -> Result<Option<StoredRevision>, Fault> {
    for row in view.revisions.iter()?.rev() {
        let row = decode::<RevisionRow>(row?.1.value())?;
        if row.hash.starts_with(hash) {
            return with_texts(view, row).map(Some);
        }
    }
    Ok(None)
}

fn with_texts(view: &View, row: RevisionRow) -> Result<StoredRevision, Fault> {
    let RevisionRow { hash, applied, mut files, texts } = row;
    for (name, hex) in texts {
        let text = view.texts.get(&digest(&hex)?.0)?;
        let text = text.ok_or_else(|| Fault::Row(format!("the text of {name} is missing")))?;
        files.push((name, decode::<TextRow>(text.value())?.text));
    }
    Ok(StoredRevision { hash, applied, files })
}

impl Tx<'_> {
    /// Keeps a revision as the last one, and forgets old ones.
    pub(super) fn keep_revision(&mut self, page: &Page) -> Result<(), Fault> {
        for (digest, text) in &page.texts {
            if self.tables.texts.get(&digest.0)?.is_none() {
                let row = encode(&TextRow { text: text.clone() });
                self.tables.texts.insert(&digest.0, row.as_slice())?;
            }
        }
        let last = self.tables.revisions.last()?.map(|(id, _)| id.value());
        self.tables.revisions.insert(last.map_or(1, |last| last + 1), page.row.as_slice())?;
        self.forget_revisions()
    }

    fn forget_revisions(&mut self) -> Result<(), Fault> {
        let mut old = Vec::new();
        let mut dropped = BTreeSet::new();
        for row in self.tables.revisions.iter()?.rev().skip(REVISIONS_KEPT) {
            let (id, row) = row?;
            old.push(id.value());
            dropped.extend(texts(row.value())?);
        }
        if old.is_empty() {
            return Ok(());
        }
        for row in self.tables.revisions.iter()?.rev().take(REVISIONS_KEPT) {
            for text in texts(row?.1.value())? {
                dropped.remove(&text);
            }
        }
        for id in old {
            self.tables.revisions.remove(id)?;
        }
        for text in dropped {
            self.tables.texts.remove(&digest(&text)?.0)?;
        }
        Ok(())
    }
}

/// Digests of a revision's texts.
fn texts(row: &[u8]) -> Result<Vec<String>, Fault> {
    Ok(decode::<RevisionRow>(row)?.texts.into_iter().map(|(_, digest)| digest).collect())
}
