//! Large raw mails: append-only files beside the database.
//!
//! Bytes are appended and synced before the commit that names them and that records the new
//! length of the file. After a crash only bytes behind that length can be there; they are cut off
//! when the store is opened, and overwritten when a transaction is given up.
//!
//! Architecture invariant: committed bytes are never changed.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::fault::Fault;
use crate::faultpoint;
use crate::private;

/// Raw mails larger than this go to a segment; smaller ones are rows. Bytes.
pub(super) const SEGMENT_FROM_BYTES: usize = 64 * 1024;
/// A segment that has reached this length is followed by the next. Bytes.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// Directory of the segments, beside the database.
const DIRECTORY: &str = "segments";

/// The end of the segments, as one transaction sees it.
pub(super) struct Segments {
    directory: PathBuf,
    /// The segment that is appended to, from 1.
    current: u32,
    /// Its length with what the transaction appended.
    end: u64,
    /// Its file, kept open.
    file: Option<(u32, File)>,
    /// Something was appended since the last sync.
    dirty: bool,
    /// A file was made since the last sync.
    made: bool,
    /// Segments filled within this transaction, with their final lengths.
    filled: Vec<(u32, u64)>,
}

/// Where bytes lie in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Which segment, from 1.
    pub segment: u32,
    /// Where in it.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

impl Segments {
    /// Those of a store.
    pub(super) fn of(store: &Path) -> Segments {
        let directory = store.join(DIRECTORY);
        Segments {
            directory,
            current: 1,
            end: 0,
            file: None,
            dirty: false,
            made: false,
            filled: Vec::new(),
        }
    }

    /// Begins a transaction at the committed end; what an earlier one left behind it is
    /// overwritten.
    pub(super) fn begin(&mut self, committed: Option<(u32, u64)>) {
        (self.current, self.end) = committed.unwrap_or((1, 0));
        self.dirty = false;
        self.filled.clear();
    }

    /// Segments filled within this transaction, with their final lengths.
    pub(super) fn take_filled(&mut self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.filled)
    }

    /// The end as it is now: segment and length.
    pub(super) fn end(&self) -> (u32, u64) {
        (self.current, self.end)
    }

    /// Whether the transaction appended anything.
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Appends bytes. They are safe only after [`Segments::sync`] and the commit.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<Place, Fault> {
        let length = bytes.len() as u64;
        if self.end > 0 && self.end + length > SEGMENT_BYTES_MAX {
            self.sync()?;
            self.filled.push((self.current, self.end));
            (self.current, self.end) = (self.current + 1, 0);
        }
        let place = Place { segment: self.current, offset: self.end, length };
        let file = self.open_current()?;
        file.write_all_at(bytes, place.offset)
            .map_err(Fault::disk(format!("write segment {}", place.segment)))?;
        self.end += length;
        self.dirty = true;
        Ok(place)
    }

    /// Makes what was appended survive a power cut.
    pub(super) fn sync(&mut self) -> Result<(), Fault> {
        if !self.dirty {
            return Ok(());
        }
        faultpoint!("store.segment.before_sync");
        let doing = format!("sync segment {}", self.current);
        faultpoint!("store.segment.sync", error).map_err(Fault::disk(doing.clone()))?;
        if let Some((_, file)) = &self.file {
            file.sync_data().map_err(Fault::disk(doing))?;
        }
        if std::mem::take(&mut self.made) {
            sync_directory(&self.directory)?;
        }
        faultpoint!("store.segment.after_sync");
        Ok(())
    }

    /// Reads bytes back.
    pub(super) fn read(store: &Path, place: Place) -> Result<Vec<u8>, Fault> {
        let path = path_of(&store.join(DIRECTORY), place.segment);
        let doing =
            format!("read {} bytes at {} of {}", place.length, place.offset, path.display());
        let file = File::open(&path).map_err(Fault::disk(doing.clone()))?;
        let length = usize::try_from(place.length).expect("a mail fits into memory");
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, place.offset).map_err(Fault::disk(doing))?;
        Ok(bytes)
    }

    /// After a start: cuts off what no commit names. A file that is too short is damage.
    pub(super) fn recover(store: &Path, committed: &[(u32, u64)]) -> Result<(), Fault> {
        let directory = store.join(DIRECTORY);
        if directory.exists() {
            private::restrict_directory(&directory)
                .map_err(Fault::disk(format!("look at {}", directory.display())))?;
        }
        for &(segment, length) in committed {
            let path = path_of(&directory, segment);
            let doing = format!("open {}", path.display());
            let file = private::open(OpenOptions::new().read(true).write(true), &path)
                .map_err(Fault::disk(doing.clone()))?;
            let found = file.metadata().map_err(Fault::disk(doing.clone()))?.len();
            if found < length {
                return Err(Fault::Row(format!(
                    "{} is damaged: it has {found} bytes where {length} were committed; restore a \
                     backup",
                    path.display()
                )));
            }
            if found > length {
                file.set_len(length).map_err(Fault::disk(doing))?;
            }
        }
        for segment in found(&directory)? {
            if !committed.iter().any(|&(known, _)| known == segment) {
                let path = path_of(&directory, segment);
                std::fs::remove_file(&path)
                    .map_err(Fault::disk(format!("remove {}", path.display())))?;
            }
        }
        Ok(())
    }

    /// Whether there is any segment file.
    pub(super) fn exist(store: &Path) -> Result<bool, Fault> {
        Ok(!found(&store.join(DIRECTORY))?.is_empty())
    }

    /// Bytes of all files.
    pub(super) fn size_bytes(store: &Path) -> Result<u64, Fault> {
        let directory = store.join(DIRECTORY);
        let mut sum = 0;
        for segment in found(&directory)? {
            let path = path_of(&directory, segment);
            sum += std::fs::metadata(&path)
                .map_err(Fault::disk(format!("look at {}", path.display())))?
                .len();
        }
        Ok(sum)
    }

    /// Copies the committed part of each segment into another store.
    pub(super) fn copy(from: &Path, to: &Path, committed: &[(u32, u64)]) -> Result<(), Fault> {
        let (from, to) = (from.join(DIRECTORY), to.join(DIRECTORY));
        if committed.is_empty() {
            return Ok(());
        }
        private::make_directory(&to)
            .map_err(Fault::disk(format!("make directory {}", to.display())))?;
        for &(segment, length) in committed {
            copy_file(&path_of(&from, segment), &path_of(&to, segment), length)?;
        }
        sync_directory(&to)
    }

    fn open_current(&mut self) -> Result<&File, Fault> {
        if self.file.as_ref().is_none_or(|(segment, _)| *segment != self.current) {
            let path = path_of(&self.directory, self.current);
            let doing = format!("open {}", path.display());
            if !self.directory.exists() {
                private::make_directory(&self.directory).map_err(Fault::disk(doing.clone()))?;
                let store = self.directory.parent().expect("segments lie within a store");
                sync_directory(store)?;
            }
            self.made |= !path.exists();
            let options = OpenOptions::new().read(true).write(true).create(true).clone();
            let file = private::open(&options, &path).map_err(Fault::disk(doing))?;
            self.file = Some((self.current, file));
        }
        Ok(&self.file.as_ref().expect("the file was just opened").1)
    }
}

/// Makes new and renamed entries of a directory survive a power cut.
pub(super) fn sync_directory(directory: &Path) -> Result<(), Fault> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(Fault::disk(format!("sync directory {}", directory.display())))
}

fn path_of(directory: &Path, segment: u32) -> PathBuf {
    directory.join(format!("{segment:08}.mails"))
}

/// Segments that are there as files.
fn found(directory: &Path) -> Result<Vec<u32>, Fault> {
    let doing = format!("read directory {}", directory.display());
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Fault::Disk { doing, error }),
    };
    let mut segments = Vec::new();
    for entry in entries {
        let name = entry.map_err(Fault::disk(doing.clone()))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".mails"));
        segments.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    segments.sort_unstable();
    Ok(segments)
}

fn copy_file(from: &Path, to: &Path, length: u64) -> Result<(), Fault> {
    use std::io::Read;
    let doing = format!("copy {} to {}", from.display(), to.display());
    let mut source = File::open(from).map_err(Fault::disk(doing.clone()))?.take(length);
    let mut target = private::create(to).map_err(Fault::disk(doing.clone()))?;
    let copied = std::io::copy(&mut source, &mut target).map_err(Fault::disk(doing.clone()))?;
    if copied != length {
        return Err(Fault::Row(format!("could not {doing}: it is shorter than committed")));
    }
    target.sync_all().map_err(Fault::disk(doing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_up_transaction_is_overwritten() {
        let store = tempfile::tempdir().unwrap();
        let mut segments = Segments::of(store.path());
        segments.begin(None);
        let kept = segments.append(b"kept").unwrap();
        segments.sync().unwrap();
        let committed = segments.end();
        segments.append(b"given up").unwrap();
        segments.begin(Some(committed));
        let next = segments.append(b"next").unwrap();
        segments.sync().unwrap();
        assert_eq!(next.offset, kept.length);
        assert_eq!(Segments::read(store.path(), kept).unwrap(), b"kept");
        assert_eq!(Segments::read(store.path(), next).unwrap(), b"next");
    }

    #[test]
    fn what_no_commit_names_is_cut_off_at_start() {
        let store = tempfile::tempdir().unwrap();
        let mut segments = Segments::of(store.path());
        segments.begin(None);
        segments.append(b"kept").unwrap();
        segments.append(b"torn").unwrap();
        segments.sync().unwrap();
        std::fs::write(path_of(&store.path().join(DIRECTORY), 2), b"torn").unwrap();
        Segments::recover(store.path(), &[(1, 4)]).unwrap();
        assert_eq!(Segments::size_bytes(store.path()).unwrap(), 4);
    }

    #[test]
    fn a_segment_that_lost_bytes_is_damage() {
        let store = tempfile::tempdir().unwrap();
        let mut segments = Segments::of(store.path());
        segments.begin(None);
        segments.append(b"kept").unwrap();
        let fault = Segments::recover(store.path(), &[(1, 5)]).unwrap_err();
        assert!(matches!(&fault, Fault::Row(text) if text.contains("damaged")), "{fault:?}");
        assert!(Segments::recover(store.path(), &[(1, 4), (2, 1)]).is_err());
    }
}
