//! Files and directories that nobody may read but the user of the process, whatever its umask: the
//! store holds the mail of customers, and keys.
//!
//! Architecture invariant: permissions are set on what was opened or made here, never on what a path
//! leads to through a link. What belongs to another user is left as it is.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Permissions of a directory.
const DIRECTORY_MODE: u32 = 0o700;
/// Permissions of a file.
const FILE_MODE: u32 = 0o600;
/// The bits that say who may read, write and enter.
const ACCESS_BITS: u32 = 0o777;

/// Makes a directory, and those above it that are missing; one that is there is left as it is.
pub fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        // The umask takes bits away: with 0777 nobody could enter, not even the owner.
        Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE)),
        Err(_) if path.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                make_directory(parent)?;
                DirBuilder::new().mode(DIRECTORY_MODE).create(path)?;
                std::fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE))
            }
            Some(_) | None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Makes a directory as [`make_directory`] does, and closes one that is there.
pub fn own_directory(path: &Path) -> io::Result<()> {
    make_directory(path)?;
    restrict_directory(path).map(drop)
}

/// Opens a file, and closes it to everybody else; options say whether it is made.
pub fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.clone().mode(FILE_MODE).open(path)?;
    restrict(&file, FILE_MODE)?;
    Ok(file)
}

/// Makes a file or empties the one that is there.
pub fn create(path: &Path) -> io::Result<File> {
    open(OpenOptions::new().write(true).create(true).truncate(true), path)
}

/// Closes a directory to everybody else. Answers with its permissions where that cannot be done,
/// because it belongs to another user, and others may enter it.
pub fn restrict_directory(path: &Path) -> io::Result<Option<u32>> {
    let directory = File::open(path)?;
    let left = restrict(&directory, DIRECTORY_MODE)?;
    Ok(left.filter(|mode| mode & !DIRECTORY_MODE != 0))
}

/// Sets permissions; answers with those that stay because the owner is another user.
fn restrict(file: &File, wanted: u32) -> io::Result<Option<u32>> {
    let mode = file.metadata()?.permissions().mode() & ACCESS_BITS;
    if mode == wanted {
        return Ok(None);
    }
    match file.set_permissions(Permissions::from_mode(wanted)) {
        Ok(()) => Ok(None),
        Err(error) => match error.kind() {
            // chmod(2): EPERM for another owner, EROFS for a file system that is read-only.
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Ok(Some(mode)),
            // Some network file systems have no permissions to set.
            io::ErrorKind::Unsupported => Ok(Some(mode)),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & ACCESS_BITS
    }

    fn open_to_all(path: &Path) {
        std::fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }

    #[test]
    fn what_is_made_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        make_directory(&below).unwrap();
        assert_eq!((mode(&below), mode(below.parent().unwrap())), (0o700, 0o700));
        create(&below.join("c")).unwrap();
        assert_eq!(mode(&below.join("c")), 0o600);
    }

    #[test]
    fn what_is_there_is_closed_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "kept").unwrap();
        open_to_all(&file);
        open(OpenOptions::new().write(true), &file).unwrap();
        assert_eq!((mode(&file), std::fs::read_to_string(&file).unwrap()), (0o600, "kept".into()));
        open_to_all(folder.path());
        make_directory(folder.path()).unwrap();
        assert_eq!(mode(folder.path()), 0o777, "a directory that is there is not touched");
        assert_eq!(restrict_directory(folder.path()).unwrap(), None);
        assert_eq!(mode(folder.path()), 0o700);
    }

    #[test]
    fn what_belongs_to_another_user_is_left_and_named() {
        // Nobody can change the permissions of a process's own view of itself, not even root.
        let fixed = Path::new("/proc/self/task");
        let before = mode(fixed);
        assert_eq!(restrict_directory(fixed).unwrap(), Some(before));
        assert_eq!(mode(fixed), before);
    }
}
