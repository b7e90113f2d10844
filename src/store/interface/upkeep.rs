//! Revisions and grants that are kept, and what keeps the store itself well.

use std::path::Path;

use jiff::Timestamp;

use crate::store::fault::Fault;
use crate::store::segments::Segments;
use crate::store::transaction::Tx;
use crate::store::{Store, StoreError, StoredRevision, file, revisions, search, upkeep, verify};

impl Store {
    /// Keeps a revision as the last good one.
    pub async fn keep_revision(&self, revision: StoredRevision) -> Result<(), StoreError> {
        let page = tokio::task::spawn_blocking(|| revisions::Page::of(revision)).await;
        let page = page.map_err(|error| StoreError::Failed(format!("could not hash: {error}")))?;
        self.write(0, page.bytes(), move |tx| tx.keep_revision(&page)).await
    }

    /// The kept revision whose hash begins like this; the last one, if several do.
    pub fn revision(&self, hash: &str) -> Result<Option<StoredRevision>, StoreError> {
        self.view(|view| revisions::last(view, hash))
    }

    /// The last revision that was applied.
    pub fn last_revision(&self) -> Result<Option<StoredRevision>, StoreError> {
        self.view(|view| revisions::last(view, ""))
    }

    /// Keeps a secret that was granted to us while running, such as a refresh token, or forgets
    /// it. It is durable when this answers.
    pub async fn keep_grant(&self, name: &str, grant: Option<Vec<u8>>) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(0, 0, move |tx| tx.keep_grant(&name, grant.as_deref())).await
    }

    /// Keeps such a secret under another name, and forgets it under the old one, at once.
    pub async fn move_grant(&self, from: &str, to: &str, grant: Vec<u8>) -> Result<(), StoreError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        let moved = move |tx: &mut Tx<'_>| {
            tx.keep_grant(&from, None)?;
            tx.keep_grant(&to, Some(&grant))
        };
        self.write(0, 0, moved).await
    }

    /// A secret that was granted to us.
    pub fn grant(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.view(|view| Ok(view.grants.get(name)?.map(|grant| grant.value().to_vec())))
    }

    /// Removes what is old: owed mails sent 30 days ago, digests of mails recorded 90 days ago
    /// whose location is forgotten. A bounded number of rows; answers how many.
    pub async fn clean(&self, now: Timestamp) -> Result<u64, StoreError> {
        let read = self.0.search.marks().map_or(0, |marks| marks.done);
        self.write(0, 0, move |tx| tx.clean(now, read)).await
    }

    /// Size on disk in bytes.
    pub fn size_bytes(&self) -> Result<u64, StoreError> {
        let directory = &self.0.shared.directory;
        let path = file::database_path(directory);
        let database =
            std::fs::metadata(&path).map_err(Fault::disk(format!("look at {}", path.display())))?;
        let beside = Segments::size_bytes(directory)? + search::size_bytes(directory);
        Ok(database.len() + beside)
    }

    /// Room that is left on the disk of the store for the user it runs as.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        Ok(file::free_bytes(&self.0.shared.directory)?)
    }

    /// Copies the store, as of one commit, into an empty directory, while it is in use.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let (store, to) = (self.clone(), to.to_owned());
        let copy = move || {
            let from = &store.0.shared.directory;
            store.read(|transaction| upkeep::backup(transaction, from, &to))
        };
        let copied = tokio::task::spawn_blocking(copy).await;
        copied.map_err(|error| StoreError::Failed(format!("could not copy: {error}")))?
    }

    /// Gives unused space of a store that nobody has open back to the system. Answers with its
    /// size before and after, in bytes.
    pub fn compact(directory: &Path) -> Result<(u64, u64), StoreError> {
        upkeep::compact(directory)
    }

    /// Reads everything and says what does not hold together; empty is good.
    pub fn verify(&self) -> Result<Vec<String>, StoreError> {
        let index = self.0.search.index();
        self.view(|view| verify::verify(&self.0.shared.directory, view, index.as_ref()))
    }
}
