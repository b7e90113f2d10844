//! What the last loads made of the files, so that a reload does anew only what changed.
//!
//! A file whose name and text are the same holds the same: [`read::file`] looks at nothing else.
//! An object of such a file compiles to the same value as long as nothing changed that it may
//! refer to; [`leaves`] says which sections nobody refers to.
//!
//! Architecture invariant: it saves time and decides nothing. A load with a memory answers exactly
//! as a load without.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::files::Files;
use super::read::{self, ReadDocument, ReadFile};
use super::{Home, spec};
use crate::core::config::Config;
use crate::core::mail::Digest;

/// Sets with more text than this are read from scratch each time: what is kept takes about seven
/// times as much. Bytes.
pub const REMEMBERED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What is kept between two loads. The first one begins with nothing.
#[derive(Debug, Default)]
pub struct Memory {
    /// Files of the last load, by name.
    last: BTreeMap<String, Kept>,
    /// The last load without an error.
    good: Option<Good>,
}

/// A file as it was read.
#[derive(Debug, Clone)]
pub struct Kept {
    name: String,
    digest: Digest,
    bytes: usize,
    /// What it holds.
    pub content: Arc<ReadFile>,
}

/// A load without an error.
#[derive(Debug)]
struct Good {
    /// Its revision.
    hash: String,
    files: BTreeMap<String, Kept>,
    /// Objects about which there was a warning, by section: it must be said again.
    noted: BTreeMap<String, BTreeSet<String>>,
}

/// What was compiled before and may be used again.
pub struct Again<'a> {
    config: &'a Config,
    /// For each document, whether it stands in a file that has not changed.
    same: Vec<bool>,
    /// Sections of which something stood or stands in a file that has changed.
    touched: BTreeSet<&'static str>,
    noted: &'a BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Again<'a> {
    /// What was compiled before.
    pub fn config(&self) -> &'a Config {
        self.config
    }

    /// What was compiled before, if the same becomes of all objects of this section.
    pub fn whole(&self, section: &str) -> Option<&'a Config> {
        let same = !self.touched.contains(section) && !self.noted.contains_key(section);
        same.then_some(self.config)
    }

    /// Whether the same becomes of this object as before.
    pub fn holds(&self, document: usize, section: &str, name: &str) -> bool {
        let noted = || self.noted.get(section).is_some_and(|names| names.contains(name));
        self.same.get(document).copied().unwrap_or(false) && !noted()
    }
}

impl Memory {
    /// Reads those files of a set that were not read before.
    pub(super) fn read(&self, files: &Files) -> Vec<Kept> {
        let one = |file: &super::files::YamlFile| {
            let digest = Digest::of(file.text.as_bytes());
            let content = self.known(&file.name, &digest);
            let content = content.unwrap_or_else(|| Arc::new(read::file(&file.name, &file.text)));
            Kept { name: file.name.clone(), digest, bytes: file.text.len(), content }
        };
        files.yaml.iter().map(one).collect()
    }

    fn known(&self, name: &str, digest: &Digest) -> Option<Arc<ReadFile>> {
        let good = self.good.as_ref().and_then(|good| good.files.get(name));
        let mut known = [self.last.get(name), good].into_iter().flatten();
        known.find(|file| file.digest == *digest).map(|file| file.content.clone())
    }

    /// Whether this revision was the last one without an error.
    pub(super) fn found_good(&self, hash: &str) -> bool {
        self.good.as_ref().is_some_and(|good| good.hash == hash)
    }

    /// What may be used of the configuration that runs; `None` if anything else must be compiled
    /// anew anyway.
    pub(super) fn again<'a>(
        &'a self,
        (revision, config): (&str, &'a Config),
        read: &[Kept],
        homes: &[Home],
    ) -> Option<Again<'a>> {
        let good = self.good.as_ref().filter(|good| good.hash == revision)?;
        let is_same = |file: &Kept| {
            good.files.get(&file.name).is_some_and(|known| known.digest == file.digest)
        };
        let same: Vec<bool> = read.iter().map(is_same).collect();
        let now: BTreeMap<&str, &Kept> =
            read.iter().map(|file| (file.name.as_str(), file)).collect();
        let gone = good
            .files
            .values()
            .filter(|old| now.get(old.name.as_str()).is_none_or(|file| file.digest != old.digest));
        let come = read.iter().zip(&same).filter(|(_, same)| !**same).map(|(file, _)| file);
        let mut touched = BTreeSet::new();
        for document in gone.chain(come).flat_map(|file| &file.content.documents) {
            touched.extend(leaves(document)?);
        }
        let same = homes.iter().map(|home| same[home.file]).collect();
        Some(Again { config, same, touched, noted: &good.noted })
    }

    /// Keeps what was read; `noted` if there was no error.
    pub(super) fn remember(
        &mut self,
        hash: &str,
        read: Vec<Kept>,
        noted: Option<BTreeMap<String, BTreeSet<String>>>,
    ) {
        if read.iter().map(|file| file.bytes).sum::<usize>() > REMEMBERED_BYTES_MAX {
            *self = Memory::default();
            return;
        }
        self.last = read.into_iter().map(|file| (file.name.clone(), file)).collect();
        if let Some(noted) = noted {
            let (hash, files) = (hash.to_owned(), self.last.clone());
            self.good = Some(Good { hash, files, noted });
        }
    }
}

/// Hash over the names of all files and the digests of their contents, in hexadecimal: of the YAML
/// files as they were read, and of the texts they refer to.
pub(super) fn hash(read: &[Kept], texts: &BTreeMap<String, String>) -> String {
    let yaml = read.iter().map(|file| (file.name.as_str(), file.digest));
    let texts = texts.iter().map(|(name, text)| (name.as_str(), Digest::of(text.as_bytes())));
    let mut all: Vec<(&str, Digest)> = yaml.chain(texts).collect();
    all.sort_by(|a, b| (a.0, a.1.0).cmp(&(b.0, b.1.0)));
    let mut whole = Vec::new();
    for (name, digest) in all {
        // Its length keeps the end of the name apart from what follows.
        whole.extend((name.len() as u64).to_be_bytes());
        whole.extend(name.bytes());
        whole.extend(digest.0);
    }
    Digest::of(&whole).hex()
}

/// The sections of which something stands in this document; `None` if what stands in other
/// documents may refer to it, except for what is compiled each time: all kinds but those that
/// `compile` asks the memory for.
fn leaves(document: &ReadDocument) -> Option<Vec<&'static str>> {
    let written = document.spec.as_ref()?;
    // Each section is named, so that the next one has to be thought about.
    let spec::Document {
        version: _,
        mail_accounts,
        system_addresses,
        filters,
        customers,
        moved: _,
        tests: _,
        desk,
        intake,
        limits,
        sign_in,
        defaults,
        smtp,
        senders,
        oauth2,
        queues,
        auto_replies,
        users,
        api_tokens,
        webhooks,
        notifications,
    } = written;
    let alone = document.left_out.is_empty()
        && desk.is_none()
        && intake.is_none()
        && limits.is_none()
        && sign_in.is_none()
        && defaults.is_none()
        && oauth2.is_none()
        && smtp.is_empty()
        && senders.is_empty()
        && queues.is_empty()
        && auto_replies.is_empty()
        && users.is_empty()
        && api_tokens.is_empty()
        && webhooks.is_empty()
        && notifications.is_empty();
    let sections = [
        ("mailAccounts", mail_accounts.is_empty()),
        ("systemAddresses", system_addresses.is_empty()),
        ("filters", filters.is_empty()),
        ("customers", customers.is_empty()),
    ];
    let declared = sections.into_iter().filter(|(_, empty)| !empty);
    alone.then(|| declared.map(|(section, _)| section).collect())
}
