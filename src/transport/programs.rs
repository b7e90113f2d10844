//! Which programs the operator allows to run: those named with `--allow-sendmail`.
//!
//! The configuration may be written by people who may not run programs as the user of the daemon,
//! so `smtp.*.command` alone runs nothing.
//!
//! Architecture invariant: what is compared, and what is run, is the canonical path that was
//! permitted at the start. A link that is replaced later runs no other program.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The programs that may run. The default allows none.
#[derive(Debug, Clone, Default)]
pub struct Programs(Arc<[Permitted]>);

#[derive(Debug)]
struct Permitted {
    /// As the operator wrote it.
    written: PathBuf,
    /// Where that led at the start; `None` if it was not there.
    canonical: Option<PathBuf>,
}

/// Why a program does not run. Reads after the name of the program.
#[derive(Debug, thiserror::Error)]
pub enum Forbidden {
    /// Nothing allows it.
    #[error(
        "was not run: the operator must allow it, with --allow-sendmail {} or \
         POSTROOM_ALLOW_SENDMAIL; its mail waits",
        .0.display()
    )]
    NotAllowed(PathBuf),
    /// It is allowed by name, and leads elsewhere than at the start.
    #[error(
        "was not run: it leads to {} and not to what --allow-sendmail allowed at the start; \
         restart Postroom if that is meant",
        .0.display()
    )]
    Replaced(PathBuf),
    /// It cannot be looked at.
    #[error("could not be run: {0}")]
    Io(#[from] io::Error),
}

impl Programs {
    /// Allows these programs, each as it is found now.
    pub fn allow(paths: &[PathBuf]) -> Programs {
        let permitted = |written: &PathBuf| {
            let found = std::fs::canonicalize(written);
            if let Err(error) = &found {
                let program = written.display();
                tracing::warn!(%program, %error, "--allow-sendmail: could not find the program");
            }
            Permitted { written: written.clone(), canonical: found.ok() }
        };
        Programs(paths.iter().map(permitted).collect())
    }

    /// The path to run for a program, without any link.
    pub fn permitted(&self, program: &Path) -> Result<PathBuf, Forbidden> {
        // Before the disk is asked: what nobody allowed is not even looked for.
        if self.0.is_empty() {
            return Err(Forbidden::NotAllowed(program.to_owned()));
        }
        let canonical = std::fs::canonicalize(program)?;
        if self.0.iter().any(|it| it.canonical.as_ref() == Some(&canonical)) {
            Ok(canonical)
        } else if self.0.iter().any(|it| it.written == program) {
            Err(Forbidden::Replaced(canonical))
        } else {
            Err(Forbidden::NotAllowed(program.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[track_caller]
    fn refused(programs: &Programs, program: &Path, expected: &str) {
        let error = programs.permitted(program).expect_err("it is refused").to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn only_what_is_allowed_runs() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two, link) =
            (folder.path().join("one"), folder.path().join("two"), folder.path().join("link"));
        std::fs::write(&one, "").unwrap();
        std::fs::write(&two, "").unwrap();
        symlink(&one, &link).unwrap();
        refused(&Programs::default(), &one, "--allow-sendmail");
        let programs = Programs::allow(&[folder.path().join("none"), link.clone()]);
        // The link was allowed, and with it what it led to.
        let real = std::fs::canonicalize(&one).unwrap();
        assert_eq!(programs.permitted(&link).unwrap(), real);
        assert_eq!(programs.permitted(&one).unwrap(), real);
        refused(&programs, &two, &format!("--allow-sendmail {}", two.display()));
        std::fs::remove_file(&link).unwrap();
        symlink(&two, &link).unwrap();
        refused(&programs, &link, "leads to");
        std::fs::remove_file(&link).unwrap();
        refused(&programs, &link, "could not be run");
        // A program that was not there at the start is not allowed later.
        std::fs::write(folder.path().join("none"), "").unwrap();
        refused(&programs, &folder.path().join("none"), "restart Postroom");
    }
}
