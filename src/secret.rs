//! Reads secrets at the moment they are used, so that a rotated file needs no reload.
//!
//! Architecture invariant: a value leaves this module only as [`SecretString`], which prints as
//! `[REDACTED]`; errors name the reference, never the content. Whatever lies where a secret should
//! be, reading it ends at once.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use secrecy::SecretString;

use crate::core::config::{SecretRef, Text};
use crate::regular::{self, Unread};

/// Largest secret we read. Longer files are refused: they are hardly meant.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// How often the file of a named secret is looked for before it is said to be missing.
const LOOKS_MAX: usize = 100;

/// Where secrets are found.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Directory of `{secret: NAME}`.
    pub directory: Option<PathBuf>,
}

/// Why a secret could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set, or is not text.
    #[error("environment variable {0} is not set")]
    Env(String),
    /// The file could not be read.
    #[error("could not read secret file {path}: {cause}")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        cause: String,
    },
    /// `{secret: NAME}` without a directory to look in.
    #[error("secret {0:?} needs --secrets-dir")]
    NoDirectory(String),
    /// The name leads out of the secrets directory.
    #[error("secret {0:?} must be the plain name of a file in the secrets directory")]
    Name(String),
    /// It is a link that leads out of the secrets directory.
    #[error("secret {name:?} is a link to {to}, outside the secrets directory")]
    Elsewhere {
        /// Name of the secret.
        name: String,
        /// Where it leads.
        to: String,
    },
    /// It is no regular file of a size that a secret has.
    #[error("secret file {path} {cause}")]
    Unusable {
        /// Which file.
        path: String,
        /// What it is instead.
        cause: String,
    },
    /// The file is not text.
    #[error("secret file {0} is not text: it is not UTF-8, or holds a NUL byte")]
    NotText(String),
}

impl SecretError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            SecretError::Env(_) => "set it where Postroom is started",
            SecretError::File { .. } => "make it, let Postroom read it, or correct the name",
            SecretError::NoDirectory(_) => "name one, or write {file: PATH}",
            SecretError::Name(_) => "write its name without any slash",
            SecretError::Elsewhere { .. } => {
                "put the file itself there, or write {file: PATH} of where it is"
            }
            SecretError::Unusable { .. } | SecretError::NotText(_) => {
                "put the secret into a file of its own, as one line of text"
            }
        }
    }
}

impl Secrets {
    /// Reads a secret. One line end at its end is cut, as editors and `echo` leave one.
    pub fn read(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        match reference {
            SecretRef::Env(name) => std::env::var(name)
                .map(SecretString::from)
                .map_err(|_| SecretError::Env(name.clone())),
            SecretRef::File(path) => read_file(path),
            SecretRef::Named(name) => self.read_named(name),
        }
    }

    /// Says if others on this machine may read the file of a secret. A warning only: Kubernetes
    /// mounts secrets with mode 0444 or 0440 into a container of their own.
    pub fn permissions_warning(&self, reference: &SecretRef) -> Option<String> {
        let path = match reference {
            SecretRef::Env(_) => return None,
            SecretRef::File(path) => path.clone(),
            SecretRef::Named(name) => self.path(name).ok()?,
        };
        let mode = std::fs::metadata(&path).ok()?.permissions().mode() & 0o777;
        let readers = match (mode & 0o040 != 0, mode & 0o004 != 0) {
            (_, true) => "everybody",
            (true, false) => "its group",
            (false, false) => return None,
        };
        Some(format!("secret file {} can be read by {readers} (mode {mode:04o})", path.display()))
    }

    /// Where a named secret lies.
    fn path(&self, name: &str) -> Result<PathBuf, SecretError> {
        let mut parts = Path::new(name).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            return Err(SecretError::Name(name.to_owned()));
        }
        let directory = self.directory.as_ref();
        Ok(directory.ok_or_else(|| SecretError::NoDirectory(name.to_owned()))?.join(name))
    }

    /// Reads a file of the directory. It may be a link to another one in it, as Kubernetes makes
    /// them, but leads nowhere else.
    fn read_named(&self, name: &str) -> Result<SecretString, SecretError> {
        let path = self.path(name)?;
        let mut looks = 0;
        loop {
            looks += 1;
            let found = beneath(&path, name)?;
            match found.and_then(|real| regular::read(&real, SECRET_BYTES_MAX)) {
                // A rotation may just have taken away what the link led to.
                Err(Unread::Io(error))
                    if error.kind() == ErrorKind::NotFound && looks < LOOKS_MAX => {}
                bytes => return text(&path, bytes),
            }
        }
    }

    /// Reads a text that may be a reference. Only for values that may be shown, such as hosts.
    pub fn text(&self, text: &Text) -> Result<String, SecretError> {
        use secrecy::ExposeSecret;
        match text {
            Text::Plain(plain) => Ok(plain.clone()),
            Text::Reference(reference) => Ok(self.read(reference)?.expose_secret().to_owned()),
        }
    }
}

/// Where the file of a named secret really lies; refused if that is not beneath its directory.
fn beneath(path: &Path, name: &str) -> Result<Result<PathBuf, Unread>, SecretError> {
    let root = path.parent().unwrap_or(Path::new("."));
    let (root, real) = match (std::fs::canonicalize(root), std::fs::canonicalize(path)) {
        (Ok(root), Ok(real)) => (root, real),
        (Err(error), _) | (_, Err(error)) => return Ok(Err(error.into())),
    };
    if !real.starts_with(root) {
        let (name, to) = (name.to_owned(), real.display().to_string());
        return Err(SecretError::Elsewhere { name, to });
    }
    Ok(Ok(real))
}

fn read_file(path: &Path) -> Result<SecretString, SecretError> {
    text(path, regular::read(path, SECRET_BYTES_MAX))
}

/// What was read of a file, as a secret.
fn text(path: &Path, bytes: Result<Vec<u8>, Unread>) -> Result<SecretString, SecretError> {
    let path = path.display().to_string();
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(Unread::Io(cause)) => {
            return Err(SecretError::File { path, cause: cause.to_string() });
        }
        Err(unread) => return Err(SecretError::Unusable { path, cause: unread.to_string() }),
    };
    // `/proc/self/environ` is UTF-8, mostly, but no line of text.
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let mut text = text.ok_or(SecretError::NotText(path))?;
    let kept = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(kept);
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regular::tests::pipe;
    use secrecy::ExposeSecret;

    #[test]
    fn the_line_end_of_a_file_is_no_part_of_the_secret() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("imap"), "s3cret\n").unwrap();
        let secrets = Secrets { directory: Some(directory.path().into()) };
        let value = secrets.read(&SecretRef::Named("imap".into())).unwrap();
        assert_eq!(value.expose_secret(), "s3cret");
        assert!(!format!("{value:?}").contains("s3cret"));
    }

    #[test]
    fn a_rotated_file_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("imap");
        let secrets = Secrets::default();
        for value in ["old", "new"] {
            std::fs::write(&path, value).unwrap();
            let read = secrets.read(&SecretRef::File(path.clone())).unwrap();
            assert_eq!(read.expose_secret(), value);
        }
    }

    #[test]
    fn errors_name_the_reference() {
        let error = Secrets::default().read(&SecretRef::Named("imap".into())).unwrap_err();
        assert_eq!(error.to_string(), "secret \"imap\" needs --secrets-dir");
    }

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        let secrets = Secrets { directory: Some("/run/secrets".into()) };
        for name in ["../shadow", "/etc/shadow", "a/b", "..", ""] {
            let error = secrets.read(&SecretRef::Named(name.into())).unwrap_err();
            assert_eq!(error, SecretError::Name(name.into()));
        }
    }

    /// What is said of a secret that cannot be read, and what to do. It must not take long.
    #[track_caller]
    fn check_refused(secrets: &Secrets, reference: SecretRef, expected: &str, hint: &str) {
        let began = std::time::Instant::now();
        let error = secrets.read(&reference).expect_err("it is refused");
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().contains(hint), "{}", error.hint());
    }

    #[test]
    fn what_is_no_file_of_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        pipe(at("pipe"));
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(at("large"), vec![b'x'; 64 * 1024 + 1]).unwrap();
        std::fs::write(at("binary"), [0xff, 0xfe]).unwrap();
        std::fs::write(at("nul"), "a\0b").unwrap();
        let secrets = Secrets { directory: Some(folder.path().into()) };
        for (name, expected) in [
            ("pipe", "is a named pipe, not a regular file"),
            ("folder", "is a directory, not a regular file"),
            ("large", "is larger than 64 KiB"),
            ("binary", "is not text"),
            ("nul", "is not text"),
        ] {
            let hint = "a file of its own";
            let expected = format!("{} {expected}", at(name).display());
            check_refused(&secrets, SecretRef::Named(name.into()), &expected, hint);
            check_refused(&secrets, SecretRef::File(at(name)), &expected, hint);
        }
        check_refused(&secrets, SecretRef::Named("none".into()), "No such file", "make it");
        let whole = SecretRef::File("/proc/self/environ".into());
        check_refused(&secrets, whole, "/proc/self/environ is not text", "a file of its own");
        let endless = SecretRef::File("/dev/zero".into());
        check_refused(&secrets, endless, "/dev/zero is a device", "a file of its own");
        let largest = "x".repeat(64 * 1024);
        std::fs::write(at("large"), &largest).unwrap();
        let read = secrets.read(&SecretRef::Named("large".into())).unwrap();
        assert!(read.expose_secret() == largest);
    }

    #[test]
    fn links_stay_in_the_directory() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("secrets"), folder.path().join("shadow"));
        std::fs::create_dir_all(inside.join("..2026_11_25")).unwrap();
        std::fs::write(&outside, "root").unwrap();
        // As Kubernetes mounts a Secret.
        std::fs::write(inside.join("..2026_11_25/imap"), "s3cret").unwrap();
        symlink("..2026_11_25", inside.join("..data")).unwrap();
        symlink("..data/imap", inside.join("imap")).unwrap();
        symlink(&outside, inside.join("absolute")).unwrap();
        symlink("../shadow", inside.join("relative")).unwrap();
        symlink("circle", inside.join("circle")).unwrap();
        // The directory itself may be a link.
        symlink(&inside, folder.path().join("run")).unwrap();
        for directory in [inside, folder.path().join("run")] {
            let secrets = Secrets { directory: Some(directory) };
            let value = secrets.read(&SecretRef::Named("imap".into())).unwrap();
            assert_eq!(value.expose_secret(), "s3cret");
            for name in ["absolute", "relative"] {
                let named = SecretRef::Named(name.into());
                check_refused(&secrets, named, "outside the secrets directory", "{file: PATH}");
            }
            let named = SecretRef::Named("circle".into());
            check_refused(&secrets, named, "could not read secret file", "make it");
        }
        // Who names a path means it.
        let named = SecretRef::File(folder.path().join("run/absolute"));
        assert_eq!(Secrets::default().read(&named).unwrap().expose_secret(), "root");
    }

    #[test]
    fn a_rotation_takes_nothing_away() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let turn = |number: u32| {
            std::fs::create_dir(at(&format!("..{number}"))).unwrap();
            std::fs::write(at(&format!("..{number}/imap")), number.to_string()).unwrap();
            symlink(format!("..{number}"), at("..new")).unwrap();
            std::fs::rename(at("..new"), at("..data")).unwrap();
            if number > 0 {
                std::fs::remove_dir_all(at(&format!("..{}", number - 1))).unwrap();
            }
        };
        turn(0);
        symlink("..data/imap", at("imap")).unwrap();
        let secrets = Secrets { directory: Some(folder.path().into()) };
        std::thread::scope(|scope| {
            let turning = scope.spawn(|| (1..500).for_each(turn));
            while !turning.is_finished() {
                let read = secrets.read(&SecretRef::Named("imap".into()));
                read.unwrap_or_else(|error| panic!("{error}"));
            }
        });
    }

    #[track_caller]
    fn check_mode(mode: u32, expected: Option<&str>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("imap");
        std::fs::write(&path, "s3cret").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let warning = Secrets::default().permissions_warning(&SecretRef::File(path));
        assert_eq!(warning.is_some(), expected.is_some());
        assert!(warning.unwrap_or_default().contains(expected.unwrap_or_default()));
    }

    #[test]
    fn files_that_others_can_read() {
        check_mode(0o600, None);
        check_mode(0o400, None);
        check_mode(0o440, Some("its group (mode 0440)"));
        check_mode(0o644, Some("everybody (mode 0644)"));
    }
}
