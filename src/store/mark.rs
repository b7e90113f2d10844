//! Which mail is in the hands of code that may end the process, such as the parser.
//!
//! A mark is a small file that names a mail while it is judged or settled. It is written and not
//! synced: whatever ends the process leaves it with the system. A power cut may lose it, but that
//! was not the mail's doing. When the store is opened next, an attempt of each named mail is
//! counted, in a commit, before anybody can judge it again.
//!
//! Architecture invariant: only the mail that was in hand is counted, never its neighbours, so
//! that a poison mail is found among two hundred and a kill at random accuses nobody.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{Database, ReadableTable};

use super::StoreError;
use super::fault::Fault;
use super::rows::{LedgerRow, LedgerState, decode, encode};
use super::tables::Tables;
use crate::core::mail::Digest;
use crate::private;

/// Directory of the marks, beside the database.
const DIRECTORY: &str = "in-hand";
/// What a mark holds while no mail is in hand. No mail has this digest.
const NOBODY: Digest = Digest([0; 32]);

/// Names the mail that is in hand, as long as it lives.
pub struct Mark {
    path: PathBuf,
    file: File,
}

impl Mark {
    /// Makes one that names no mail yet.
    pub(super) fn make(store: &Path) -> Result<Mark, Fault> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let directory = store.join(DIRECTORY);
        let path = directory.join(MADE.fetch_add(1, Ordering::Relaxed).to_string());
        let doing = format!("make {}", path.display());
        let file = private::own_directory(&directory).and_then(|()| private::create(&path));
        Ok(Mark { file: file.map_err(Fault::disk(doing))?, path })
    }

    /// This mail is in hand now, and no other.
    pub fn set(&self, mail: &Digest) -> Result<(), StoreError> {
        Ok(self.write(mail)?)
    }

    /// No mail is in hand any more.
    pub(super) fn clear(&self) -> Result<(), Fault> {
        self.write(&NOBODY)
    }

    /// The same as [`Mark::set`], within the store.
    pub(super) fn write(&self, mail: &Digest) -> Result<(), Fault> {
        let written = self.file.write_all_at(&mail.0, 0);
        written.map_err(Fault::disk(format!("write {}", self.path.display())))
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // One that stays counts against a mail only if that mail is still not decided.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Counts an attempt of every undecided mail that was in hand when the process ended.
pub(super) fn count(store: &Path, database: &Database) -> Result<(), Fault> {
    let (paths, digests) = found(&store.join(DIRECTORY))?;
    if !digests.is_empty() {
        let mut transaction = database.begin_write()?;
        transaction.set_two_phase_commit(true);
        transaction.set_quick_repair(true);
        count_all(&mut Tables::open(&transaction)?, &digests)?;
        transaction.commit()?;
    }
    for path in paths {
        std::fs::remove_file(&path).map_err(Fault::disk(format!("remove {}", path.display())))?;
    }
    Ok(())
}

fn count_all(tables: &mut Tables<'_>, in_hand: &HashSet<String>) -> Result<(), Fault> {
    let mut counted = Vec::new();
    for row in tables.spooled.iter()? {
        let key = row?.0;
        let Some(row) = tables.ledger.get(key.value())? else { continue };
        if let LedgerState::Spooled { digest, attempts, headers_only } =
            decode::<LedgerRow>(row.value())?.state
            && in_hand.contains(&digest)
        {
            let (account, location) = key.value();
            let state = LedgerState::Spooled { digest, attempts: attempts + 1, headers_only };
            counted.push((account, location.to_owned(), LedgerRow::of(state)));
        }
    }
    for (account, location, row) in counted {
        tables.ledger.insert((account, location.as_str()), encode(&row).as_slice())?;
    }
    Ok(())
}

/// All marks that were left, and the digests in them.
fn found(directory: &Path) -> Result<(Vec<PathBuf>, HashSet<String>), Fault> {
    let doing = format!("read directory {}", directory.display());
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Default::default()),
        Err(error) => return Err(Fault::Disk { doing, error }),
    };
    let (mut paths, mut digests) = (Vec::new(), HashSet::new());
    for entry in entries {
        let path = entry.map_err(Fault::disk(doing.clone()))?.path();
        let bytes =
            std::fs::read(&path).map_err(Fault::disk(format!("read {}", path.display())))?;
        // One that is empty was made and not yet used.
        let digest = <[u8; 32]>::try_from(bytes).ok().map(Digest);
        digests.extend(digest.filter(|digest| *digest != NOBODY).map(|digest| digest.hex()));
        paths.push(path);
    }
    Ok((paths, digests))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(left: &[&[u8]], expected: &[&Digest]) {
        let store = tempfile::tempdir().unwrap();
        let directory = store.path().join(DIRECTORY);
        std::fs::create_dir(&directory).unwrap();
        for (number, bytes) in left.iter().enumerate() {
            std::fs::write(directory.join(number.to_string()), bytes).unwrap();
        }
        let (paths, digests) = found(&directory).unwrap();
        assert_eq!(paths.len(), left.len());
        assert_eq!(digests, expected.iter().map(|digest| digest.hex()).collect());
    }

    #[test]
    fn marks_that_were_left() {
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        check(&[], &[]);
        check(&[&one.0, &two.0, &one.0], &[&one, &two]);
        check(&[b"", &NOBODY.0, b"torn", &two.0], &[&two]);
    }

    #[test]
    fn a_mark_goes_with_its_holder() {
        let store = tempfile::tempdir().unwrap();
        let mark = Mark::make(store.path()).unwrap();
        mark.set(&Digest::of(b"one")).unwrap();
        let directory = store.path().join(DIRECTORY);
        assert_eq!(found(&directory).unwrap().1, HashSet::from([Digest::of(b"one").hex()]));
        mark.clear().unwrap();
        assert!(found(&directory).unwrap().1.is_empty());
        drop(mark);
        assert!(found(&directory).unwrap().0.is_empty());
    }
}
