//! The directory that bounds a configuration, and the only way to open a file that belongs to it:
//! YAML, templates, and mails of tests.
//!
//! A configuration is often proposed by somebody who may not read what Postroom may read: in a
//! pull request, a link or a path with `..` could otherwise bring `/proc/self/environ` or a key
//! into a report. The path given with `-c` is the operator's own word, so links on the way to it
//! are followed once: a ConfigMap mount, or the link that git-sync replaces. From there on each
//! path, links included, must lead to a file beneath that directory; links within it may be
//! relative or absolute, so `desk.yaml -> ..data/desk.yaml` works. The root of a file given with
//! `-c` is the directory in which it was given.
//!
//! Secret references, certificates and the directories of Maildirs are no files of the
//! configuration: their contents are never part of a message.
//!
//! Architecture invariant: a file is opened without following any link, by the canonical path that
//! was found to lie beneath the root, so that an exchange between the look and the opening opens
//! nothing outside.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::regular::{self, Unread};

/// Attempts to open a file whose way changes meanwhile, as when a ConfigMap is replaced.
const ATTEMPTS_MAX: usize = 3;

/// What to do about a file that lies outside.
pub const OUTSIDE_HINT: &str =
    "move it into the directory given with -c, or give -c a directory that holds both";

/// A directory that bounds files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// As given on the command line.
    given: PathBuf,
    /// Without any link.
    real: PathBuf,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// What is written in a file must be relative to it.
    #[error("must be a path relative to this file")]
    Absolute,
    /// It leads out of the root.
    #[error(
        "lies outside the configuration directory {}: it leads to {}",
        .root.display(),
        .real.display()
    )]
    Outside {
        /// Where it leads.
        real: PathBuf,
        /// What it must lie beneath.
        root: PathBuf,
    },
    /// It belongs to git, which keeps the credentials of a checkout in `.git/config`.
    #[error("lies in a directory .git, which may hold credentials")]
    Git,
    /// It cannot be read.
    #[error(transparent)]
    Unread(#[from] Unread),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::Unread(error.into())
    }
}

impl Refused {
    /// What to do about it; may be empty.
    pub fn hint(&self) -> &'static str {
        let error = match self {
            Refused::Absolute => return "write the path from the directory of this file",
            Refused::Outside { .. } => return OUTSIDE_HINT,
            Refused::Git => return "move it out of there",
            Refused::Unread(Unread::Io(error)) => error,
            Refused::Unread(Unread::Kind(_) | Unread::TooLarge(_)) => return "",
        };
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                "is the path right? One that does not begin with / is looked for where the command \
                 was started"
            }
            io::ErrorKind::PermissionDenied => {
                "let the user that runs Postroom read it, and enter the folders above it"
            }
            _ => "",
        }
    }
}

impl Refused {
    /// [`Refused::hint`] for a path that is written in a file.
    pub fn hint_beside(&self) -> &'static str {
        match self {
            Refused::Unread(Unread::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                "is the path right? It is relative to the file that names it"
            }
            Refused::Absolute | Refused::Outside { .. } | Refused::Git | Refused::Unread(_) => {
                self.hint()
            }
        }
    }
}

impl Root {
    /// The root of a path given with `-c`: of a file, its directory.
    pub fn of(path: &Path) -> io::Result<Root> {
        let given = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
        Ok(Root { given: given.to_owned(), real: fs::canonicalize(or_here(given))? })
    }

    /// Where a path leads, without any link, if that lies beneath the root. A path that begins as
    /// the root was given is looked for in the directory that the root was at first: what replaces
    /// that directory meanwhile belongs to the next reading.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, Refused> {
        let path = match path.strip_prefix(&self.given) {
            Ok(rest) if !path.is_absolute() || self.given.is_absolute() => self.real.join(rest),
            Ok(_) | Err(_) => path.to_owned(),
        };
        let real = fs::canonicalize(path)?;
        match real.strip_prefix(&self.real) {
            Err(_) => Err(Refused::Outside { real, root: self.real.clone() }),
            Ok(rest) if rest.components().any(|step| step.as_os_str() == ".git") => {
                Err(Refused::Git)
            }
            Ok(_) => Ok(real),
        }
    }

    /// What a file beneath the root holds, if it is regular and has at most so many bytes.
    pub fn read(&self, path: &Path, bytes_max: u64) -> Result<Vec<u8>, Refused> {
        let mut attempt = 1;
        loop {
            let real = self.resolve(path)?;
            match self.open(&real) {
                Ok(file) => return Ok(regular::read_opened(file, bytes_max)?),
                Err(error) if attempt == ATTEMPTS_MAX || !moved(&error) => {
                    return Err(error.into());
                }
                Err(_) => attempt += 1,
            }
        }
    }

    /// Reads a file that another one names, relative to that.
    pub fn read_beside(
        &self,
        file: &Path,
        written: &str,
        bytes_max: u64,
    ) -> Result<Vec<u8>, Refused> {
        if Path::new(written).is_absolute() {
            return Err(Refused::Absolute);
        }
        self.read(&file.parent().unwrap_or(Path::new("")).join(written), bytes_max)
    }

    /// Opens a file by its canonical path, step by step and without following a link.
    fn open(&self, real: &Path) -> io::Result<File> {
        let rest = real.strip_prefix(&self.real).map_err(|_| io::ErrorKind::NotFound)?;
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder: OwnedFd = openat(CWD, &self.real, step, Mode::empty())?;
        if let Some(folders) = rest.parent() {
            for name in folders.components() {
                folder = openat(&folder, name.as_os_str(), step, Mode::empty())?;
            }
        }
        // Without NONBLOCK, opening a named pipe would wait until something writes into it.
        let last =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let name = rest.file_name().unwrap_or(".".as_ref());
        Ok(openat(&folder, name, last, Mode::empty())?.into())
    }
}

/// Whether what was found is there no longer, or is now a link.
fn moved(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A directory `conf` with some files, beside a file `secret`.
    fn desk() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("conf");
        fs::create_dir_all(conf.join("..2026_1/texts")).unwrap();
        fs::create_dir_all(conf.join("sub")).unwrap();
        fs::write(folder.path().join("secret"), "canary").unwrap();
        fs::write(conf.join("..2026_1/desk.yaml"), "fine").unwrap();
        symlink("..2026_1", conf.join("..data")).unwrap();
        symlink("..data/desk.yaml", conf.join("desk.yaml")).unwrap();
        let root = Root::of(&conf).unwrap();
        (folder, root)
    }

    #[track_caller]
    fn refused(root: &Root, path: &Path, expected: &str) {
        let error = root.read(path, 1024).expect_err("it is refused").to_string();
        assert!(error.contains(expected) && !error.contains("canary"), "{error}");
    }

    #[test]
    fn links_within_the_root_are_followed() {
        let (folder, root) = desk();
        let conf = folder.path().join("conf");
        assert_eq!(root.read(&conf.join("desk.yaml"), 1024).unwrap(), b"fine");
        symlink(conf.join("desk.yaml"), conf.join("sub/absolute.yaml")).unwrap();
        assert_eq!(root.read(&conf.join("sub/absolute.yaml"), 1024).unwrap(), b"fine");
        assert_eq!(root.read(&conf.join("sub/../desk.yaml"), 1024).unwrap(), b"fine");
    }

    #[test]
    fn nothing_outside_is_read() {
        let (folder, root) = desk();
        let conf = folder.path().join("conf");
        let outside = "lies outside the configuration directory";
        symlink("../secret", conf.join("relative.yaml")).unwrap();
        symlink(folder.path().join("secret"), conf.join("absolute.yaml")).unwrap();
        symlink("/proc/self/environ", conf.join("environ.yaml")).unwrap();
        symlink("..", conf.join("up")).unwrap();
        symlink("relative.yaml", conf.join("twice.yaml")).unwrap();
        for path in ["relative.yaml", "absolute.yaml", "environ.yaml", "up/secret", "twice.yaml"] {
            refused(&root, &conf.join(path), outside);
        }
        refused(&root, &conf.join("../secret"), outside);
        refused(&root, Path::new("/proc/self/environ"), outside);
        refused(&root, Path::new("/dev/zero"), outside);
        // The name of the root begins alike.
        fs::create_dir(folder.path().join("conf2")).unwrap();
        fs::write(folder.path().join("conf2/a.yaml"), "canary").unwrap();
        refused(&root, &conf.join("../conf2/a.yaml"), outside);
    }

    #[test]
    fn files_of_git_are_not_read() {
        let (folder, root) = desk();
        let conf = folder.path().join("conf");
        fs::create_dir(conf.join(".git")).unwrap();
        fs::write(conf.join(".git/config"), "canary").unwrap();
        symlink(".git/config", conf.join("link.txt")).unwrap();
        refused(&root, &conf.join(".git/config"), "lies in a directory .git");
        refused(&root, &conf.join("link.txt"), "lies in a directory .git");
    }

    #[test]
    fn only_regular_files_are_read() {
        let (folder, root) = desk();
        let conf = folder.path().join("conf");
        crate::regular::tests::pipe(conf.join("pipe"));
        refused(&root, &conf.join("pipe"), "is a named pipe");
        refused(&root, &conf.join("sub"), "is a directory");
        refused(&root, &conf, "is a directory");
        let _listens = std::os::unix::net::UnixListener::bind(conf.join("socket")).unwrap();
        refused(&root, &conf.join("socket"), "could not be read");
        fs::write(conf.join("large"), [b'x'; 1025]).unwrap();
        refused(&root, &conf.join("large"), "is larger than 1 KiB");
        symlink("circle", conf.join("circle")).unwrap();
        refused(&root, &conf.join("circle"), "could not be read");
    }

    #[test]
    fn link_that_is_the_root_is_followed_once() {
        let (folder, _) = desk();
        let (current, conf) = (folder.path().join("current"), folder.path().join("conf"));
        symlink(&conf, &current).unwrap();
        let root = Root::of(&current).unwrap();
        assert_eq!(root.read(&current.join("desk.yaml"), 1024).unwrap(), b"fine");
        // It is replaced while the files are read: they come from the same directory to the end.
        fs::create_dir(folder.path().join("next")).unwrap();
        fs::write(folder.path().join("next/desk.yaml"), "newer").unwrap();
        fs::remove_file(&current).unwrap();
        symlink("next", &current).unwrap();
        assert_eq!(root.read(&current.join("desk.yaml"), 1024).unwrap(), b"fine");
        let again = Root::of(&current).unwrap();
        assert_eq!(again.read(&current.join("desk.yaml"), 1024).unwrap(), b"newer");
    }

    #[test]
    fn directory_of_a_file_is_its_root() {
        let (folder, _) = desk();
        let file = folder.path().join("conf/desk.yaml");
        let root = Root::of(&file).unwrap();
        assert_eq!(root.read(&file, 1024).unwrap(), b"fine");
        refused(&root, &folder.path().join("secret"), "lies outside");
    }

    #[test]
    fn link_put_in_place_after_the_look_is_not_followed() {
        let (folder, root) = desk();
        let conf = folder.path().join("conf");
        fs::write(conf.join("sub/a.yaml"), "fine").unwrap();
        let real = root.resolve(&conf.join("sub/a.yaml")).unwrap();
        fs::remove_file(&real).unwrap();
        symlink("../../secret", &real).unwrap();
        assert!(moved(&root.open(&real).expect_err("a link is not opened")));
        fs::remove_file(&real).unwrap();
        fs::remove_dir(conf.join("sub")).unwrap();
        fs::create_dir(folder.path().join("elsewhere")).unwrap();
        fs::write(folder.path().join("elsewhere/a.yaml"), "canary").unwrap();
        symlink("../elsewhere", conf.join("sub")).unwrap();
        assert!(moved(&root.open(&real).expect_err("a link is not entered")));
        refused(&root, &conf.join("sub/a.yaml"), "lies outside");
    }

    #[test]
    fn absolute_paths_are_not_written() {
        let (folder, root) = desk();
        let file = folder.path().join("conf/desk.yaml");
        let own = folder.path().join("conf/desk.yaml");
        let error = root.read_beside(&file, own.to_str().unwrap(), 1024).expect_err("refused");
        assert!(matches!(error, Refused::Absolute));
        assert_eq!(root.read_beside(&file, "desk.yaml", 1024).unwrap(), b"fine");
    }

    #[track_caller]
    fn check_hint(kind: io::ErrorKind, expected: &str) {
        let hint = Refused::from(io::Error::from(kind)).hint();
        assert!(hint.contains(expected) && hint.is_empty() == expected.is_empty(), "{hint}");
    }

    #[test]
    fn what_to_do_about_a_file_that_cannot_be_read() {
        check_hint(io::ErrorKind::NotFound, "is the path right?");
        check_hint(io::ErrorKind::PermissionDenied, "let the user that runs Postroom read it");
        check_hint(io::ErrorKind::InvalidData, "");
    }
}
