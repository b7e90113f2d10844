//! Files to compare with: those of a daemon, of a revision that was applied, of git, or others.

use std::path::{Path, PathBuf};

use super::client::{ServerArgs, query};
use super::{Exit, Failure, git, output, wait_for};
use crate::config::{self, Loaded};
use crate::http::dto::config::FilesView;
use crate::store::Store;

/// What the options that take one say about it.
pub const HELP: &str = "git:REV (as in git, also git:REV:PATH), revision:HASH (one that was \
                        applied), the URL of a daemon, or a file or directory";

/// Where files to compare with come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    /// A daemon at this URL.
    Daemon(String),
    /// A revision that was applied, by the begin of its hash.
    Revision(String),
    /// A revision of git, with the path if another one is meant.
    Git(String, Option<PathBuf>),
    /// Files here.
    Path(PathBuf),
}

impl std::str::FromStr for Against {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Against, Self::Err> {
        Ok(if let Some(revision) = text.strip_prefix("git:") {
            match revision.split_once(':') {
                Some((revision, path)) => Against::Git(revision.into(), Some(path.into())),
                None => Against::Git(revision.into(), None),
            }
        } else if let Some(hash) = text.strip_prefix("revision:") {
            Against::Revision(hash.into())
        } else if text.starts_with("http://") || text.starts_with("https://") {
            Against::Daemon(text.into())
        } else {
            Against::Path(text.into())
        })
    }
}

/// Files, and how we know them.
pub struct Known {
    /// Path and content of each.
    pub files: Vec<(String, String)>,
    /// Where they come from, in words.
    pub from: String,
    /// Whether they lay in another folder where they were read.
    elsewhere: bool,
}

impl Against {
    /// Reads the files. `paths` are those of the files they are compared with.
    pub fn read(&self, paths: &[PathBuf], server: &ServerArgs) -> Result<Known, Failure> {
        match self {
            Against::Daemon(url) => {
                let client = server.client_of(url)?;
                let view: FilesView = wait_for(client.get("/api/v1/config/files"))?;
                Ok(Known::of_daemon(view))
            }
            Against::Revision(hash) => revision(hash, server),
            Against::Git(revision, path) => {
                let own = path.as_ref().map(std::slice::from_ref);
                let files = git::files(revision, own.unwrap_or(paths))?;
                let from = match files.is_empty() {
                    true => format!("git {revision}, which has no such files"),
                    false => format!("git {revision}"),
                };
                Ok(Known { files, from, elsewhere: own.is_some() })
            }
            Against::Path(path) => {
                let loaded = config::load(std::slice::from_ref(path));
                let from = path.display().to_string();
                // What is wrong with them is said with the places they have here.
                if loaded.config.is_none() {
                    output::problems(&loaded.problems);
                    return Err(broken(&from));
                }
                Ok(Known { files: loaded.files, from, elsewhere: true })
            }
        }
    }
}

impl Known {
    /// No files at all.
    pub fn nothing(from: &str) -> Known {
        Known { files: Vec::new(), from: from.into(), elsewhere: false }
    }

    /// What a daemon answered.
    pub fn of_daemon(view: FilesView) -> Known {
        let from = format!("revision {} of the daemon", short(&view.revision));
        let files = view.files.into_iter().map(|file| (file.path, file.content)).collect();
        Known { files, from, elsewhere: true }
    }

    /// Judges the files as if they lay where those lie that they are compared with: a checkout
    /// elsewhere is no change. `None` if there are none.
    pub fn load(&self, others: &[(String, String)]) -> Result<Option<Loaded>, Failure> {
        if self.files.is_empty() {
            return Ok(None);
        }
        let moved = self.elsewhere.then(|| beneath_the_same_folder(&self.files, others)).flatten();
        let loaded = config::load_saved(moved.as_ref().unwrap_or(&self.files));
        if loaded.config.is_none() {
            output::problems(&loaded.problems);
            return Err(broken(&self.from));
        }
        Ok(Some(loaded))
    }
}

fn broken(from: &str) -> Failure {
    Failure::new(format!("could not compare: {from} does not load")).exit(Exit::Problems)
}

/// A revision that was applied: of the daemon, else kept in the data directory.
fn revision(hash: &str, server: &ServerArgs) -> Result<Known, Failure> {
    let path = query("/api/v1/config/files", &[("revision", Some(hash.to_owned()))]);
    match wait_for(server.client()?.get::<FilesView>(&path)) {
        Ok(view) => Ok(Known::of_daemon(view)),
        Err(failure) if failure.exit == Exit::Unreachable => {
            let none = || {
                Failure::new(format!(
                    "there is no revision {hash:?} in {}",
                    server.data.data.display()
                ))
                .hint("the last ten are kept; `postroom status` shows the one that runs")
            };
            kept(&server.data.data, Some(hash))?.ok_or_else(none)
        }
        Err(failure) => Err(failure),
    }
}

/// A revision kept in a data directory, while no daemon holds it: the last one, or one by its
/// hash. `None` if there is no store, or no such revision in it.
pub fn kept(data: &Path, hash: Option<&str>) -> Result<Option<Known>, Failure> {
    // Opening would make a store where none is.
    if !Store::exists(data) {
        return Ok(None);
    }
    let failed = |error| {
        Failure::new(format!("could not read the revisions: {error}"))
            .hint("if a daemon has it open, say with --url where it listens")
    };
    let store = Store::open(data).map_err(failed)?;
    let found = match hash {
        Some(hash) => store.revision(hash),
        None => store.last_revision(),
    };
    Ok(found.map_err(failed)?.map(|kept| Known {
        from: format!("revision {} kept in {}", short(&kept.hash), data.display()),
        files: kept.files,
        elsewhere: true,
    }))
}

/// The first set of files as if it lay in the folder of the second. What is compared are the
/// paths that the files name, and these are relative to the files: a checkout elsewhere is no
/// change. `None` if they lie in the same folder.
fn beneath_the_same_folder(
    files: &[(String, String)],
    others: &[(String, String)],
) -> Option<Vec<(String, String)>> {
    let (from, to) = (common_folder(files)?, common_folder(others)?);
    let moved = |(name, content): &(String, String)| {
        let rest = Path::new(name).strip_prefix(&from).expect("the folder is common to all");
        (to.join(rest).display().to_string(), content.clone())
    };
    (from != to).then(|| files.iter().map(moved).collect())
}

fn common_folder(files: &[(String, String)]) -> Option<PathBuf> {
    let parents = files.iter().map(|(name, _)| Path::new(name).parent().unwrap_or(Path::new("")));
    let common = |a: PathBuf, b: PathBuf| {
        let same = a.components().zip(b.components()).take_while(|(a, b)| a == b);
        same.map(|(part, _)| part).collect()
    };
    parents.map(Path::to_owned).reduce(common)
}

fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> Vec<(String, String)> {
        names.iter().map(|name| ((*name).to_owned(), String::new())).collect()
    }

    #[track_caller]
    fn check(files: &[&str], others: &[&str], expected: Option<&[&str]>) {
        let moved = beneath_the_same_folder(&set(files), &set(others));
        assert_eq!(moved, expected.map(set));
    }

    #[test]
    fn a_checkout_elsewhere() {
        check(
            &["/etc/desk/a.yaml", "/etc/desk/texts/b.txt"],
            &["ci/config/a.yaml", "ci/config/texts/b.txt"],
            Some(&["ci/config/a.yaml", "ci/config/texts/b.txt"]),
        );
        check(&["a.yaml"], &["/x/a.yaml"], Some(&["/x/a.yaml"]));
    }

    #[test]
    fn the_same_folder() {
        check(&["config/a.yaml"], &["config/b.yaml"], None);
        check(&[], &["config/b.yaml"], None);
    }

    #[test]
    fn what_is_written() {
        let read = |text: &str| text.parse::<Against>().unwrap();
        assert_eq!(read("git:HEAD~1"), Against::Git("HEAD~1".into(), None));
        assert_eq!(read("git:main:conf/"), Against::Git("main".into(), Some("conf/".into())));
        assert_eq!(read("revision:abc"), Against::Revision("abc".into()));
        assert_eq!(read("https://d.example"), Against::Daemon("https://d.example".into()));
        assert_eq!(read("config/"), Against::Path("config/".into()));
    }
}
