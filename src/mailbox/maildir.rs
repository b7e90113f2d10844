//! A Maildir on this machine: `new`, `cur` and `tmp`, folders as Maildir++ has them.
//!
//! Architecture invariant: a mail is named by its unique name, the part before the colon, which
//! stays while flags and directory change; only regular files are touched.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::imap::utf7;
use super::{Entry, Fetched, HEADER_BYTES_MAX, Mailbox, MailboxError, Scope, Woken, page_of};
use crate::core::config::AfterFetch;
use crate::core::mail::Location;
use crate::threads;

/// Mails in one Maildir.
pub const MESSAGES_MAX: usize = 1_000_000;

/// An opened Maildir.
pub struct Maildir {
    path: PathBuf,
    /// Where each mail lay at the last look, by unique name.
    files: BTreeMap<String, PathBuf>,
    /// What lay there at the last look and was not handed out yet.
    listed: VecDeque<Entry>,
}

/// Looks whether this is a Maildir.
pub async fn open(path: &Path) -> Result<Maildir, MailboxError> {
    let path = path.to_owned();
    threads::MAILDIRS
        .run(move || {
            for part in ["new", "cur"] {
                if !path.join(part).is_dir() {
                    let message = format!("{}: no directory {part}", path.display());
                    return Err(MailboxError::Folder(message));
                }
            }
            Ok(Maildir { path, files: BTreeMap::new(), listed: VecDeque::new() })
        })
        .await
}

#[async_trait]
impl Mailbox for Maildir {
    async fn look(&mut self, _scope: Scope) -> Result<(), MailboxError> {
        let path = self.path.clone();
        let found = threads::MAILDIRS.run(move || scan(&path)).await?;
        self.files = found.iter().map(|mail| (mail.unique.clone(), mail.path.clone())).collect();
        let entries = (0_u32..).zip(found).map(|(index, mail)| Entry {
            location: Location(mail.unique),
            handle: index,
            size_bytes: Some(mail.size_bytes),
            seen: mail.seen,
            arrived: mail.arrived,
        });
        self.listed = entries.collect();
        Ok(())
    }

    async fn page(&mut self) -> Result<Vec<Entry>, MailboxError> {
        Ok(page_of(&mut self.listed))
    }

    fn rest(&self) -> usize {
        self.listed.len()
    }

    async fn fetch(
        &mut self,
        entries: &[Entry],
        max_size_bytes: u64,
    ) -> Result<Vec<Fetched>, MailboxError> {
        let mut fetched = Vec::with_capacity(entries.len());
        for entry in entries {
            let taken =
                self.with_file(&entry.location.0, move |file| read(&file, max_size_bytes)).await?;
            fetched.push(taken.unwrap_or(Fetched::Missing));
        }
        Ok(fetched)
    }

    async fn done(&mut self, entries: &[Entry], after: &AfterFetch) -> Result<(), MailboxError> {
        let target = match after {
            AfterFetch::Move(folder) => Some(folder_path(&self.path, folder)?),
            AfterFetch::Delete | AfterFetch::Seen | AfterFetch::Keep => None,
        };
        for entry in entries {
            let unique = entry.location.0.clone();
            let (base, after, target) = (self.path.clone(), after.clone(), target.clone());
            let work = move |file: PathBuf| carry_out(&base, &file, &after, target.as_deref());
            // What is gone already is done.
            let Some(moved) = self.with_file(&unique, work).await? else { continue };
            match moved {
                Some(path) => self.files.insert(unique, path),
                None => self.files.remove(&unique),
            };
        }
        Ok(())
    }

    fn can_wait(&self) -> bool {
        false
    }

    async fn wait(&mut self, _at_most: Duration) -> Result<Woken, MailboxError> {
        Err(MailboxError::Unsupported("a Maildir cannot tell of new mail"))
    }

    async fn close(&mut self) -> Result<(), MailboxError> {
        Ok(())
    }
}

impl Maildir {
    /// Does something with a mail where it lies now: another program may have set flags, which
    /// renames the file. `None` if it lies there no more.
    async fn with_file<T: Send + 'static>(
        &mut self,
        unique: &str,
        work: impl FnOnce(PathBuf) -> Result<T, MailboxError> + Send + 'static,
    ) -> Result<Option<T>, MailboxError> {
        let known = self.files.get(unique).cloned();
        let (path, unique) = (self.path.clone(), unique.to_owned());
        // All of it at once: each visit to a thread is a switch to it and back.
        let visit = move || match known.filter(|file| file.exists()) {
            Some(file) => work(file).map(|done| (None, Some(done))),
            None => {
                let files = by_unique(scan(&path)?);
                let done = files.get(&unique).cloned().map(work).transpose()?;
                Ok((Some(files), done))
            }
        };
        let (files, done) = threads::MAILDIRS.run(visit).await?;
        if let Some(files) = files {
            self.files = files;
        }
        Ok(done)
    }
}

fn by_unique(found: Vec<Found>) -> BTreeMap<String, PathBuf> {
    found.into_iter().map(|mail| (mail.unique, mail.path)).collect()
}

/// A mail in the Maildir.
struct Found {
    unique: String,
    path: PathBuf,
    size_bytes: u64,
    seen: bool,
    arrived: Option<Timestamp>,
}

/// Everything in `new` and `cur`, by unique name.
fn scan(path: &Path) -> Result<Vec<Found>, MailboxError> {
    let mut found = BTreeMap::new();
    // `cur` last: a mail that is moved there while we look must not be missed, and one that is
    // seen twice counts where it is now.
    for part in ["new", "cur"] {
        let directory = path.join(part);
        let entries = fs::read_dir(&directory).map_err(|error| unreadable(&directory, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&directory, &error))?;
            if let Some(mail) = look_at(&entry) {
                found.insert(mail.unique.clone(), mail);
            }
            if found.len() > MESSAGES_MAX {
                let message = format!("{}: more than {MESSAGES_MAX} mails", directory.display());
                return Err(MailboxError::Protocol(message));
            }
        }
    }
    Ok(found.into_values().collect())
}

fn look_at(entry: &fs::DirEntry) -> Option<Found> {
    let name = entry.file_name().into_string().ok()?;
    if name.starts_with('.') {
        return None;
    }
    // Of the entry itself, not of what it points to. One that vanished meanwhile is no mail.
    let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
    let (unique, flags) = name.split_once(':').unwrap_or((&name, ""));
    Some(Found {
        unique: unique.to_owned(),
        path: entry.path(),
        size_bytes: meta.len(),
        seen: flags.strip_prefix("2,").is_some_and(|flags| flags.contains('S')),
        arrived: meta.modified().ok().and_then(|at| Timestamp::try_from(at).ok()),
    })
}

fn read(path: &Path, max_size_bytes: u64) -> Result<Fetched, MailboxError> {
    let reading = || -> io::Result<Fetched> {
        let file = fs::File::open(path)?;
        let size_bytes = file.metadata()?.len();
        let mut bytes = Vec::new();
        if size_bytes > max_size_bytes {
            file.take(HEADER_BYTES_MAX).read_to_end(&mut bytes)?;
            bytes.truncate(header_length(&bytes));
            return Ok(Fetched::Oversize { header: bytes, size_bytes });
        }
        // A file that grows while we read it is cut where the limit is.
        file.take(max_size_bytes).read_to_end(&mut bytes)?;
        Ok(Fetched::Mail(bytes))
    };
    match reading() {
        Ok(fetched) => Ok(fetched),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Fetched::Missing),
        // One mail we may not read must not keep the others from us.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Fetched::Missing),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// Length of the header with its empty line.
fn header_length(bytes: &[u8]) -> usize {
    let mut start = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        start += line.len();
        if matches!(line, b"\n" | b"\r\n") {
            return start;
        }
    }
    start
}

/// Does to one mail what was declared; gives back where it lies now, if still in this Maildir.
fn carry_out(
    base: &Path,
    file: &Path,
    after: &AfterFetch,
    target: Option<&Path>,
) -> Result<Option<PathBuf>, MailboxError> {
    let done = match (after, target) {
        (AfterFetch::Keep, _) => return Ok(Some(file.to_owned())),
        (AfterFetch::Delete, _) => fs::remove_file(file).map(|()| None),
        (AfterFetch::Seen, _) => {
            let seen = base.join("cur").join(seen_name(file));
            fs::rename(file, &seen).map(|()| Some(seen))
        }
        (AfterFetch::Move(_), Some(target)) => move_file(file, target).map(|()| None),
        (AfterFetch::Move(_), None) => return Ok(Some(file.to_owned())),
    };
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !file.exists() => Ok(None),
        other => other.map_err(|error| unreadable(file, &error)),
    }
}

fn move_file(file: &Path, target: &Path) -> io::Result<()> {
    for part in ["tmp", "new", "cur"] {
        fs::create_dir_all(target.join(part))?;
    }
    let name = file.file_name().unwrap_or_default();
    fs::rename(file, target.join("cur").join(name))
}

/// The file name with the flag `S`. Flags stand in the order of their letters.
fn seen_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let (unique, info) = name.split_once(':').unwrap_or((&name, ""));
    let mut flags: Vec<char> = info.strip_prefix("2,").unwrap_or("").chars().collect();
    if !flags.contains(&'S') {
        flags.push('S');
    }
    flags.sort_unstable();
    format!("{unique}:2,{}", flags.into_iter().collect::<String>())
}

/// Directory of a folder: Maildir++ puts a dot before each level, names as in IMAP.
fn folder_path(base: &Path, folder: &str) -> Result<PathBuf, MailboxError> {
    let levels: Vec<&str> = folder.split(['/', '.']).collect();
    if levels.iter().any(|level| level.is_empty()) || folder.contains('\0') {
        return Err(MailboxError::Folder(format!("{folder:?} is no name of a folder")));
    }
    Ok(base.join(format!(".{}", utf7::encode(&levels.join(".")))))
}

fn unreadable(path: &Path, error: &io::Error) -> MailboxError {
    MailboxError::Folder(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, expected: &str) {
        assert_eq!(seen_name(Path::new(file)), expected);
    }

    #[test]
    fn new_mail_gets_its_first_flag() {
        check("new/1.M2.host", "1.M2.host:2,S");
    }

    #[test]
    fn flags_stay_in_order() {
        check("cur/1.M2.host:2,FT", "1.M2.host:2,FST");
    }

    #[test]
    fn seen_stays_seen() {
        check("cur/1.M2.host:2,S", "1.M2.host:2,S");
    }

    #[track_caller]
    fn check_folder(folder: &str, expected: Option<&str>) {
        let path = folder_path(Path::new("/m"), folder).ok();
        assert_eq!(path.as_deref(), expected.map(Path::new));
    }

    #[test]
    fn folder_levels() {
        check_folder("Done", Some("/m/.Done"));
        check_folder("Done/2026", Some("/m/.Done.2026"));
        check_folder("処理済", Some("/m/.&UeZ0Bm4I-"));
    }

    #[test]
    fn folders_that_would_lead_elsewhere() {
        check_folder("", None);
        check_folder("..", None);
        check_folder("../x", None);
        check_folder("/etc", None);
        check_folder("a\0b", None);
    }

    #[test]
    fn header_ends_at_the_empty_line() {
        assert_eq!(header_length(b"A: b\r\n\r\nbody"), 8);
        assert_eq!(header_length(b"A: b\n\nbody"), 6);
        assert_eq!(header_length(b"A: b\r\n"), 6);
    }
}
