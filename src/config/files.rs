//! Which files belong to the configuration, and what is in them.
//!
//! Architecture invariant: sizes are looked at before a file is read, nothing beneath a
//! configuration directory leads the reader out of it or in a circle, and the result does not
//! depend on the order in which paths are given or found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::root::{Refused, Root};
use super::{Problem, Severity};

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
    /// What bounds the files that it names; `None` in a set that was saved.
    pub root: Option<Arc<Root>>,
}

impl Files {
    /// Reads these files, and the directories with all their folders.
    pub fn read(paths: &[PathBuf]) -> Files {
        let mut files = Files::default();
        let mut paths = paths.to_vec();
        paths.sort();
        for path in &paths {
            let found = fs::metadata(path).and_then(|found| Ok((found, Arc::new(Root::of(path)?))));
            match found {
                Ok((found, root)) if found.is_dir() => {
                    files.directory(&root, path, &mut Vec::new());
                }
                Ok(_) if !is_yaml(path) => {
                    files.problem(path, "is not a .yaml or .yml file", "rename it");
                }
                Ok((_, root)) => files.file(path, &root),
                Err(error) => files.unread(path, &Unread::from(Refused::from(error))),
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
        let mut files = Files::default();
        for (name, text) in contents {
            let (name, text) = (name.clone(), text.clone());
            if is_yaml(Path::new(&name)) {
                files.yaml.push(YamlFile { name, text, root: None });
            } else {
                files.texts.insert(name, text);
            }
        }
        files
    }

    /// Reads a text file that a YAML file refers to. `Err` says why it may or can not be read, and
    /// what to do about it.
    pub fn text(&mut self, yaml: usize, written: &str) -> Result<String, Unread> {
        let file = &self.yaml[yaml];
        let beside = Path::new(&file.name).parent().unwrap_or(Path::new("."));
        let path = beside.join(written);
        let name = path.display().to_string();
        if let Some(text) = self.texts.get(&name) {
            return Ok(text.clone());
        }
        let Some(root) = &file.root else {
            // A set that was not read by us names its files in the shortest way.
            if let Some(text) = self.texts.get(&shortest(&path)) {
                return Ok(text.clone());
            }
            return Err("is not among the saved files".to_owned().into());
        };
        let read = root.read_beside(Path::new(&file.name), written, TEXT_BYTES_MAX);
        let read = read.map_err(|refused| Unread {
            message: refused.to_string(),
            hint: refused.hint_beside(),
        });
        let text = decode(read?)?;
        self.spent_bytes += text.len() as u64;
        if self.spent_bytes > SET_BYTES_MAX {
            return Err("all files together are larger than 16 MiB".to_owned().into());
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

    fn directory(&mut self, root: &Arc<Root>, folder: &Path, above: &mut Vec<PathBuf>) {
        let real = match root.resolve(folder) {
            Ok(real) => real,
            Err(refused) => return self.unread(folder, &refused.into()),
        };
        // A link to a folder above us would lead in a circle.
        if above.contains(&real) {
            return;
        }
        if above.len() >= FOLDER_LEVELS_MAX {
            return self.problem(folder, "lies too deep", "at most 16 levels of folders are read");
        }
        let entries = match fs::read_dir(&real) {
            Ok(entries) => entries,
            Err(error) => return self.unread(folder, &Refused::from(error).into()),
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
                Err(error) if is_yaml(&path) => self.unread(&path, &Refused::from(error).into()),
                Err(_) => {}
            }
        }
        above.pop();
    }

    fn file(&mut self, path: &Path, root: &Arc<Root>) {
        if let Ok(real) = root.resolve(path) {
            // The same file by two ways is one file.
            if !self.known.insert(real) {
                return;
            }
        }
        if self.yaml.len() >= FILES_MAX || self.spent_bytes > SET_BYTES_MAX {
            return;
        }
        let read = root.read(path, FILE_BYTES_MAX).map_err(Unread::from);
        match read.and_then(|bytes| Ok(decode(bytes)?)) {
            Ok(text) => {
                self.spent_bytes += text.len() as u64;
                let name = path.display().to_string();
                self.yaml.push(YamlFile { name, text, root: Some(root.clone()) });
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

/// Why there is no text of a file, and what to do about it.
#[derive(Debug)]
pub struct Unread {
    /// In words; reads after the name of the file.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: &'static str,
}

impl From<String> for Unread {
    fn from(message: String) -> Unread {
        Unread { message, hint: "" }
    }
}

impl From<Refused> for Unread {
    fn from(refused: Refused) -> Unread {
        Unread { message: refused.to_string(), hint: refused.hint() }
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
