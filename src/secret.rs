//! Reads secrets at the moment they are used, so that a rotated file needs no reload.
//!
//! Architecture invariant: a value leaves this module only as [`SecretString`], which prints as
//! `[REDACTED]`; errors name the reference, never the content.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use secrecy::SecretString;

use crate::core::config::{SecretRef, Text};

/// Largest secret we read. Longer files are refused: they are hardly meant.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

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
    /// The file is not text, or too large.
    #[error("secret file {0} is larger than 64 KiB or is not text")]
    Unusable(String),
}

impl Secrets {
    /// Reads a secret. One line end at its end is cut, as editors and `echo` leave one.
    pub fn read(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        match reference {
            SecretRef::Env(name) => std::env::var(name)
                .map(SecretString::from)
                .map_err(|_| SecretError::Env(name.clone())),
            SecretRef::File(path) => read_file(path),
            SecretRef::Named(name) => read_file(&self.path(name)?),
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

    /// Reads a text that may be a reference. Only for values that may be shown, such as hosts.
    pub fn text(&self, text: &Text) -> Result<String, SecretError> {
        use secrecy::ExposeSecret;
        match text {
            Text::Plain(plain) => Ok(plain.clone()),
            Text::Reference(reference) => Ok(self.read(reference)?.expose_secret().to_owned()),
        }
    }
}

fn read_file(path: &Path) -> Result<SecretString, SecretError> {
    let shown = path.display().to_string();
    let failed =
        |cause: std::io::Error| SecretError::File { path: shown.clone(), cause: cause.to_string() };
    let meta = std::fs::metadata(path).map_err(failed)?;
    if !meta.is_file() || meta.len() > SECRET_BYTES_MAX {
        return Err(SecretError::Unusable(shown));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(SECRET_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    let mut text = String::from_utf8(bytes).map_err(|_| SecretError::Unusable(shown))?;
    let kept = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(kept);
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;
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
