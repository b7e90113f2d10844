//! Reads files that people name: regular ones of bounded size, and nothing that would make the
//! reader wait or never end, as a named pipe, a terminal or `/dev/zero` would.
//!
//! Architecture invariant: what is looked at is the file that was opened, so that nobody can
//! exchange it between a look and the opening.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// What the system said.
    #[error("could not be read: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("is {0}, not a regular file")]
    Kind(&'static str),
    /// It is larger than this many bytes.
    #[error("is larger than {} KiB", .0 / 1024)]
    TooLarge(u64),
}

/// What is in a regular file of at most so many bytes.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Unread> {
    // Without it, opening a named pipe would wait for whoever writes into it.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    read_opened(file, bytes_max)
}

/// What is in an opened file, if it is regular and has at most so many bytes.
pub fn read_opened(file: File, bytes_max: u64) -> Result<Vec<u8>, Unread> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(Unread::Kind(kind(found.file_type())));
    }
    if found.len() > bytes_max {
        return Err(Unread::TooLarge(bytes_max));
    }
    // The files of `/proc` say that they are empty, and others may grow meanwhile.
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Unread::TooLarge(bytes_max));
    }
    Ok(bytes)
}

fn kind(file: FileType) -> &'static str {
    if file.is_dir() {
        "a directory"
    } else if file.is_fifo() {
        "a named pipe"
    } else if file.is_char_device() || file.is_block_device() {
        "a device"
    } else {
        "something else"
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::path::PathBuf;

    /// Makes a named pipe into which nobody writes.
    pub(crate) fn pipe(path: PathBuf) -> PathBuf {
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        path
    }

    #[track_caller]
    fn check(path: &Path, expected: &str) {
        let error = read(path, 1024).expect_err("it is not read").to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_is_no_regular_file() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), "is a directory, not a regular file");
        check(&pipe(folder.path().join("pipe")), "is a named pipe, not a regular file");
        check(Path::new("/dev/zero"), "is a device, not a regular file");
        check(&folder.path().join("none"), "could not be read: No such file");
        let socket = folder.path().join("socket");
        let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        check(&socket, "could not be read");
    }

    #[test]
    fn as_much_as_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [b'x'; 1024]).unwrap();
        assert_eq!(read(&path, 1024).unwrap().len(), 1024);
        std::fs::write(&path, [b'x'; 1025]).unwrap();
        check(&path, "is larger than 1 KiB");
        // It says that it is empty.
        check(Path::new("/proc/cpuinfo"), "is larger than 1 KiB");
    }
}
