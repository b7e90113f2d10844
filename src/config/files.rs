//! Which files belong to the configuration, and what is in them.
//!
//! Architecture invariant: sizes are looked at before a file is read, nothing beneath a
//! configuration directory leads the reader out of it or in a circle, and the result does not
//! depend on the order in which paths are given or found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Problem, Severity};
use crate::regular;

/// Largest YAML file. Bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// All YAML files together. Bytes.
pub const SET_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Largest text file that YAML refers to. Bytes.
pub const TEXT_BYTES_MAX: u64 = 64 * 1024;
/// Deepest folder beneath a configuration directory.
pub const FOLDER_LEVELS_MAX: usize = 16;
/// Most files of a set.
pub const FILES_MAX: usize = 10_000;

/// The files of a set, in the order of their names.
#[derive(Debug, Default)]
pub struct Files {
    /// YAML files.
    pub yaml: Vec<YamlFile>,
    /// Text files that the YAML refers to, by name; filled as they are asked for.
    pub texts: BTreeMap<String, String>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Whether texts are taken from `texts` alone, as they were saved.
    saved: bool,
    spent_bytes: u64,
    known: BTreeSet<PathBuf>,
}

/// A YAML file.
#[derive(Debug, Clone)]
pub struct YamlFile {
    /// As given on the command line or found beneath it.
    pub name: String,
    /// What is in it.
    pub text: String,
    /// The folder that texts must not leave.
    root: PathBuf,
}

impl Files {
    /// Reads these files, and the directories with all their folders.
    pub fn read(paths: &[PathBuf]) -> Files {
        let mut files = Files::default();
        let mut paths = paths.to_vec();
        paths.sort();
        for path in &paths {
            match fs::metadata(path) {
                Ok(found) if found.is_dir() => files.directory(path, path, &mut Vec::new()),
                Ok(_) if !is_yaml(path) => {
                    files.problem(path, "is not a .yaml or .yml file", "rename it");
                }
                Ok(_) => files.file(path, path.parent().unwrap_or(Path::new("."))),
                Err(error) => files.unread(path, &Unread::from(error)),
            }
        }
        files.yaml.sort_by(|a, b| a.name.cmp(&b.name));
        if files.yaml.is_empty() && files.problems.is_empty() {
            let path = paths.first().cloned().unwrap_or_default();
            files.problem(
                &path,
                "holds no .yaml or .yml file",
                "hidden files and folders are skipped",
            );
        }
        files
    }

    /// A set as it was saved: names and contents, texts included.
    pub fn saved(contents: &[(String, String)]) -> Files {
        let mut files = Files { saved: true, ..Files::default() };
        for (name, text) in contents {
            let (name, text) = (name.clone(), text.clone());
            if is_yaml(Path::new(&name)) {
                files.yaml.push(YamlFile { name, text, root: PathBuf::new() });
            } else {
                files.texts.insert(name, text);
            }
        }
        files
    }

    /// Reads a text file that a YAML file refers to. `Err` says why it may or can not be read.
    pub fn text(&mut self, yaml: usize, written: &str) -> Result<String, String> {
        let file = &self.yaml[yaml];
        let beside = Path::new(&file.name).parent().unwrap_or(Path::new("."));
        let path = beside.join(written);
        let name = path.display().to_string();
        if let Some(text) = self.texts.get(&name) {
            return Ok(text.clone());
        }
        if self.saved {
            // A set that was not read by us names its files in the shortest way.
            if let Some(text) = self.texts.get(&shortest(&path)) {
                return Ok(text.clone());
            }
            return Err("is not among the saved files".into());
        }
        if Path::new(written).is_absolute() {
            return Err("must be a path relative to this file".into());
        }
        let real =
            fs::canonicalize(&path).map_err(|error| format!("could not be read: {error}"))?;
        let root = fs::canonicalize(or_here(&file.root))
            .map_err(|error| format!("could not be read: {error}"))?;
        if !real.starts_with(&root) {
            return Err("lies outside the configuration directory".into());
        }
        let text = read_text(&real, TEXT_BYTES_MAX).map_err(|unread| unread.message)?;
        self.spent_bytes += text.len() as u64;
        if self.spent_bytes > SET_BYTES_MAX {
            return Err("all files together are larger than 16 MiB".into());
        }
        self.texts.insert(name, text.clone());
        Ok(text)
    }

    /// Names and contents of all files, in the order of their names.
    pub fn contents(&self) -> Vec<(String, String)> {
        let yaml = self.yaml.iter().map(|file| (file.name.clone(), file.text.clone()));
        let texts = self.texts.iter().map(|(name, text)| (name.clone(), text.clone()));
        let mut all: Vec<_> = yaml.chain(texts).collect();
        all.sort();
        all
    }

    fn directory(&mut self, root: &Path, folder: &Path, above: &mut Vec<PathBuf>) {
        let real = match fs::canonicalize(folder) {
            Ok(real) => real,
            Err(error) => return self.unread(folder, &Unread::from(error)),
        };
        // A link to a folder above us would lead in a circle.
        if above.contains(&real) {
            return;
        }
        if above.len() >= FOLDER_LEVELS_MAX {
            return self.problem(folder, "lies too deep", "at most 16 levels of folders are read");
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.unread(folder, &Unread::from(error)),
        };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        above.push(real);
        for name in names {
            // `..data` and `..2026_11_22` of a ConfigMap are hidden as well: the links beside
            // them lead to the same files.
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            let path = folder.join(&name);
            match fs::metadata(&path) {
                Ok(found) if found.is_dir() => self.directory(root, &path, above),
                Ok(_) if is_yaml(&path) => self.file(&path, root),
                Ok(_) => {}
                Err(error) if is_yaml(&path) => self.unread(&path, &Unread::from(error)),
                Err(_) => {}
            }
        }
        above.pop();
    }

    fn file(&mut self, path: &Path, root: &Path) {
        if let Ok(real) = fs::canonicalize(path) {
            // The same file by two ways is one file.
            if !self.known.insert(real) {
                return;
            }
        }
        if self.yaml.len() >= FILES_MAX || self.spent_bytes > SET_BYTES_MAX {
            return;
        }
        match read_text(path, FILE_BYTES_MAX) {
            Ok(text) => {
                self.spent_bytes += text.len() as u64;
                let name = path.display().to_string();
                self.yaml.push(YamlFile { name, text, root: root.to_owned() });
            }
            Err(unread) => self.unread(path, &unread),
        }
        if self.spent_bytes > SET_BYTES_MAX {
            self.problem(path, "makes all files together larger than 16 MiB", "");
        }
        if self.yaml.len() >= FILES_MAX {
            self.problem(path, "is one file too many", "at most 10000 files are read");
        }
    }

    fn unread(&mut self, path: &Path, unread: &Unread) {
        self.problem(path, &unread.message, unread.hint);
    }

    fn problem(&mut self, path: &Path, message: &str, hint: &str) {
        self.problems.push(Problem {
            severity: Severity::Error,
            file: path.display().to_string(),
            line: 1,
            column: 1,
            path: String::new(),
            message: message.to_owned(),
            hint: hint.to_owned(),
            rule: None,
        });
    }
}

/// A path without the steps that lead nowhere.
fn shortest(path: &Path) -> String {
    use std::path::Component;
    let mut steps = PathBuf::new();
    for step in path.components() {
        match step {
            Component::CurDir => {}
            Component::ParentDir if steps.file_name().is_some() => {
                steps.pop();
            }
            Component::ParentDir
            | Component::Normal(_)
            | Component::RootDir
            | Component::Prefix(_) => steps.push(step),
        }
    }
    steps.display().to_string()
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Why there is no text of a file, and what to do about it.
struct Unread {
    message: String,
    hint: &'static str,
}

impl From<String> for Unread {
    fn from(message: String) -> Unread {
        Unread { message, hint: "" }
    }
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Unread {
        let hint = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                "is the path right? One that does not begin with / is looked for where the command \
                 was started"
            }
            io::ErrorKind::PermissionDenied => {
                "let the user that runs Postroom read it, and enter the folders above it"
            }
            _ => "",
        };
        Unread { message: format!("could not be read: {error}"), hint }
    }
}

/// Reads a regular file of UTF-8 text, at most so many bytes of it.
fn read_text(path: &Path, bytes_max: u64) -> Result<String, Unread> {
    match regular::read(path, bytes_max) {
        Ok(bytes) => Ok(decode(bytes)?),
        Err(regular::Unread::Io(error)) => Err(error.into()),
        Err(unread) => Err(unread.to_string().into()),
    }
}

fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("is UTF-16; save it as UTF-8".into());
    }
    if bytes.contains(&0) {
        let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
        return Err(format!("holds a NUL byte in line {}", line_of(&bytes, at)));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("is not UTF-8 from line {} on; save it as UTF-8", line_of(error.as_bytes(), at))
    })?;
    // A byte order mark says nothing in UTF-8 and would shift the columns of line 1.
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: io::ErrorKind, expected: &str) {
        let hint = Unread::from(io::Error::from(kind)).hint;
        assert!(hint.contains(expected) && hint.is_empty() == expected.is_empty(), "{hint}");
    }

    #[test]
    fn what_to_do_about_a_file_that_cannot_be_read() {
        check(io::ErrorKind::NotFound, "is the path right?");
        check(io::ErrorKind::PermissionDenied, "let the user that runs Postroom read it");
        check(io::ErrorKind::InvalidData, "");
    }
}
