//! Opening the database: made whole or not at all, opened by one process, never taken for empty.
//!
//! Architecture invariant: a file that cannot be read is an error that names it. Nothing here ever
//! replaces or truncates a database that is there.

use std::fs::{File, OpenOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, ReadableDatabase, ReadableTable};

use super::StoreError;
use super::fault::Fault;
use super::mark;
use super::migrate;
use super::segments::{Segments, sync_directory};
use super::tables::{Tables, View};
use crate::core::intake::DeskKey;
use crate::private;

/// The database within its directory.
const DATABASE: &str = "postroom.redb";
/// The database while it is being made.
const UNFINISHED: &str = "postroom.redb.new";
/// Locked as long as the store is open, also while the database is reopened.
const LOCK: &str = "postroom.lock";
/// Memory that the engine uses for caching. Its own default would be 1 GiB. Bytes.
const CACHE_BYTES: usize = 48 << 20;

/// An opened store.
pub(super) struct Opened {
    /// The engine.
    pub database: Database,
    /// Key of our Message-IDs.
    pub desk_key: DeskKey,
    /// Held as long as the store is open.
    pub lock: File,
}

/// Path of the database of a store.
pub(super) fn database_path(directory: &Path) -> PathBuf {
    directory.join(DATABASE)
}

/// Room on the disk that an ordinary user may fill.
pub(super) fn free_bytes(directory: &Path) -> Result<u64, Fault> {
    let doing = format!("ask how much room is left in {}", directory.display());
    let disk = rustix::fs::statvfs(directory)
        .map_err(|error| Fault::disk(doing)(std::io::Error::from(error)))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Opens the store in this directory, and makes it if there is none.
pub(super) fn open(directory: &Path) -> Result<Opened, StoreError> {
    private::make_directory(directory)
        .map_err(|error| unusable(format!("make directory {}", directory.display()), error))?;
    restrict(directory)
        .map_err(|error| unusable(format!("look at {}", directory.display()), error))?;
    let lock = lock(directory)?;
    let path = database_path(directory);
    if !path.exists() {
        refuse_orphans(directory)?;
        create(directory)?;
    }
    let database = open_database(&path)?;
    let (desk_key, committed) = prepare(&database, &path)?;
    Segments::recover(directory, &committed)?;
    mark::count(directory, &database)?;
    Ok(Opened { database, desk_key, lock })
}

/// Closes the directory to other users, or warns where they can enter it.
fn restrict(directory: &Path) -> std::io::Result<()> {
    // On a volume of Kubernetes with `fsGroup` the root directory belongs to root.
    if let Some(mode) = private::restrict_directory(directory)? {
        tracing::warn!(
            directory = %directory.display(),
            "the data directory has the permissions {mode:03o} and belongs to another user, so they \
             cannot be changed to 700; the files in it are closed to others all the same"
        );
    }
    Ok(())
}

/// A directory in which there is no way to begin, unless only room is missing.
fn unusable(doing: String, error: std::io::Error) -> StoreError {
    match StoreError::from(Fault::Disk { doing, error }) {
        StoreError::Failed(text) => StoreError::Directory(text),
        other => other,
    }
}

/// Opens a database that was made before.
pub(super) fn open_database(path: &Path) -> Result<Database, StoreError> {
    let shown = path.display().to_string();
    // The engine may panic on a file that somebody else wrote into.
    // The engine opens it itself; a database of an older version was readable for others.
    private::open(OpenOptions::new().read(true), path)
        .map_err(Fault::disk(format!("open {shown}")))?;
    let opened = catch_unwind(AssertUnwindSafe(|| builder().open(path)));
    match opened {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(redb::DatabaseError::DatabaseAlreadyOpen)) => Err(StoreError::InUse(shown)),
        Ok(Err(redb::DatabaseError::Storage(redb::StorageError::Io(error))))
            if error.kind() != std::io::ErrorKind::InvalidData =>
        {
            Err(Fault::Disk { doing: format!("open {shown}"), error }.into())
        }
        Ok(Err(error)) => Err(damaged(&shown, &error.to_string())),
        Err(_) => Err(damaged(&shown, "its structure makes no sense")),
    }
}

fn damaged(shown: &str, what: &str) -> StoreError {
    StoreError::Failed(format!("{shown} is damaged: {what}; restore a backup"))
}

/// Makes an empty database that nobody else may read.
pub(super) fn create_database(path: &Path) -> Result<Database, Fault> {
    // The engine takes an empty file as a new database, with the permissions that it has.
    private::create(path).map_err(Fault::disk(format!("make {}", path.display())))?;
    Ok(builder().create(path)?)
}

/// The engine with our settings.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join(LOCK);
    let doing = format!("lock {}", path.display());
    let file = private::open(OpenOptions::new().write(true).create(true).truncate(false), &path)
        .map_err(|error| unusable(doing.clone(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(StoreError::InUse(directory.display().to_string()))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(Fault::Disk { doing, error }.into()),
    }
}

/// Mails without the database that names them are what is left of a store, not a new one.
fn refuse_orphans(directory: &Path) -> Result<(), StoreError> {
    if Segments::exist(directory)? {
        let path = database_path(directory);
        return Err(StoreError::Failed(format!(
            "{} is missing, but mails of it are there; restore a backup",
            path.display()
        )));
    }
    Ok(())
}

/// Makes an empty database under another name, so that a crash leaves either none or a whole one.
fn create(directory: &Path) -> Result<(), StoreError> {
    let unfinished = directory.join(UNFINISHED);
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let doing = format!("remove {}", unfinished.display());
            return Err(Fault::Disk { doing, error }.into());
        }
        _ => {}
    }
    write_empty(&unfinished)?;
    finish(&unfinished, &database_path(directory))?;
    Ok(())
}

/// Gives a finished database its name.
pub(super) fn finish(unfinished: &Path, path: &Path) -> Result<(), Fault> {
    let doing = format!("make {}", path.display());
    File::open(unfinished)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(unfinished, path))
        .map_err(Fault::disk(doing))?;
    sync_directory(path.parent().expect("the database lies in a directory"))
}

fn write_empty(path: &Path) -> Result<(), Fault> {
    let database = create_database(path)?;
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| Fault::Row(format!("could not get random bytes: {error}")))?;
    let transaction = database.begin_write()?;
    {
        let mut tables = Tables::open(&transaction)?;
        tables.meta.insert("schema", migrate::SCHEMA_VERSION.to_be_bytes().as_slice())?;
        tables.meta.insert("desk_key", key.as_slice())?;
    }
    transaction.commit()?;
    drop(database);
    Ok(())
}

/// Brings an opened database to the present version and reads what every user needs.
fn prepare(database: &Database, path: &Path) -> Result<(DeskKey, Vec<(u32, u64)>), StoreError> {
    migrate::migrate(database, path)?;
    Ok(read_basics(database)?)
}

fn read_basics(database: &Database) -> Result<(DeskKey, Vec<(u32, u64)>), Fault> {
    let view = View::open(&database.begin_read()?)?;
    let key = view.meta.get("desk_key")?;
    let key = key.and_then(|key| <[u8; 32]>::try_from(key.value()).ok());
    let key = key.ok_or_else(|| Fault::Row("stored desk key is damaged".to_owned()))?;
    Ok((DeskKey(key), committed_segments(&view)?))
}

/// Committed length of each segment.
pub(super) fn committed_segments(view: &View) -> Result<Vec<(u32, u64)>, Fault> {
    let mut committed = Vec::new();
    for row in view.segments.iter()? {
        let (segment, length) = row?;
        committed.push((segment.value(), length.value()));
    }
    Ok(committed)
}
