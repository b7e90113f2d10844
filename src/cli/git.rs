//! Files as they are in a revision of git, without a checkout.
//!
//! Architecture invariant: git is called with a fixed list of arguments, never through a shell, and
//! what the user writes is always an argument that git cannot take for an option. Nothing in the
//! repository or its working tree is changed.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Failure;

/// Files that are read of one revision.
const FILES_MAX: usize = 10_000;
/// Largest file that is read; the same bound holds for YAML files. Bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// All files together. Bytes.
const SET_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Name and content of each file beneath these paths, as of a revision. What is no text is left
/// out, and so are hidden files; a path that did not exist then holds nothing.
pub fn files(revision: &str, paths: &[PathBuf]) -> Result<Vec<(String, String)>, Failure> {
    check_revision(revision)?;
    let mut all = Vec::new();
    for path in paths {
        let (folder, inside) = home(path);
        commit(&folder, revision)?;
        let listed = run(&folder, &["ls-tree", "-r", "-l", "-z", revision, "--", &inside])?;
        let entries = entries(&listed)?;
        for (name, content) in contents(&folder, entries)? {
            all.push((folder.join(name).display().to_string(), content));
        }
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// A folder that exists now, and the path seen from there.
fn home(path: &Path) -> (PathBuf, String) {
    if path.is_dir() {
        return (path.to_owned(), ".".to_owned());
    }
    let mut folder = path.to_owned();
    let mut inside = PathBuf::new();
    while let Some(name) = folder.file_name().map(PathBuf::from) {
        inside = if inside.as_os_str().is_empty() { name } else { name.join(inside) };
        folder.pop();
        if folder.as_os_str().is_empty() || folder.is_dir() {
            break;
        }
    }
    (folder, inside.display().to_string())
}

fn check_revision(revision: &str) -> Result<(), Failure> {
    let odd = revision.is_empty() || revision.starts_with('-') || revision.contains(':');
    if odd || revision.chars().any(char::is_control) {
        let failure = Failure::new(format!("{revision:?} is not a revision of git"));
        return Err(failure
            .hint("write git:main, git:HEAD~1 or git:v1.2")
            .exit(super::Exit::Usage));
    }
    Ok(())
}

/// Says clearly that there is no such revision, or no repository.
fn commit(folder: &Path, revision: &str) -> Result<(), Failure> {
    let wanted = format!("{revision}^{{commit}}");
    run(folder, &["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])
        .map(drop)
        .map_err(|failure| {
            let place = or_here(folder).display().to_string();
            let message =
                format!("could not find revision {revision:?} in the repository of {place}");
            let hint = "a shallow clone has only one: fetch the base branch first";
            if failure.message.contains("not a git repository") {
                failure.hint("name a directory instead, or call it within the repository")
            } else {
                Failure::new(message).hint(hint)
            }
        })
}

/// One file of a tree.
struct Entry {
    object: String,
    name: String,
}

/// Lines of `ls-tree -r -l -z`: mode, type, object, size, tab, name.
fn entries(listed: &[u8]) -> Result<Vec<Entry>, Failure> {
    let text = String::from_utf8_lossy(listed);
    let mut found = Vec::new();
    let mut bytes = 0;
    for line in text.split('\0').filter(|line| !line.is_empty()) {
        let odd = || Failure::new(format!("could not read what git lists: {line:?}"));
        let (head, name) = line.split_once('\t').ok_or_else(odd)?;
        let words: Vec<&str> = head.split_whitespace().collect();
        let [mode, _, object, size] = words[..] else { return Err(odd()) };
        let hidden = name.split('/').any(|step| step.starts_with('.'));
        // Links (120000) and submodules (160000) have no size of ours.
        let Some(size) = size.parse::<u64>().ok().filter(|_| mode.starts_with("100")) else {
            continue;
        };
        if hidden || size > FILE_BYTES_MAX {
            continue;
        }
        bytes += size;
        if found.len() == FILES_MAX || bytes > SET_BYTES_MAX {
            return Err(Failure::new("the revision holds too many files")
                .hint("name the folder of the configuration with -c"));
        }
        found.push(Entry { object: object.to_owned(), name: name.to_owned() });
    }
    Ok(found)
}

/// Asks for one object after the other, so that neither side waits for a full pipe.
fn contents(folder: &Path, entries: Vec<Entry>) -> Result<Vec<(String, String)>, Failure> {
    let mut git = command(folder, &["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| not_there(&error))?;
    let failed = |error: std::io::Error| Failure::new(format!("could not read from git: {error}"));
    let (Some(mut asked), Some(answers)) = (git.stdin.take(), git.stdout.take()) else {
        return Err(Failure::new("could not talk to git"));
    };
    let mut answers = BufReader::new(answers);
    let mut found = Vec::new();
    for entry in entries {
        writeln!(asked, "{}", entry.object).map_err(failed)?;
        let mut head = String::new();
        answers.read_line(&mut head).map_err(failed)?;
        let size = head.split_whitespace().nth(2).and_then(|size| size.parse::<usize>().ok());
        let Some(size) = size.filter(|size| *size as u64 <= FILE_BYTES_MAX) else {
            return Err(Failure::new(format!("could not read {} from git", entry.name)));
        };
        // The content, and a line end behind it.
        let mut bytes = vec![0; size + 1];
        answers.read_exact(&mut bytes).map_err(failed)?;
        bytes.pop();
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        found.push((entry.name, text));
    }
    drop(asked);
    git.wait().map_err(failed)?;
    Ok(found)
}

fn run(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
    let output = command(folder, arguments).output().map_err(|error| not_there(&error))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::new(format!("git {} failed: {said}", arguments[0])))
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(or_here(folder))
        // Whatever the user's own configuration says, nothing is started and nobody is asked.
        .args(["-c", "core.fsmonitor=false", "--no-pager", "--literal-pathspecs"])
        .args(arguments)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

fn not_there(error: &std::io::Error) -> Failure {
    Failure::new(format!("could not run git: {error}")).hint("is git installed?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_no_options() {
        for odd in ["", "--output=/tmp/x", "-p", "a:b", "a\nb"] {
            assert!(check_revision(odd).is_err(), "{odd:?}");
        }
        for fine in ["main", "HEAD~3", "v1.2", "origin/feature"] {
            assert!(check_revision(fine).is_ok(), "{fine:?}");
        }
    }

    #[test]
    fn where_a_path_is_seen_from() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| home(&folder.path().join(path));
        assert_eq!(at(""), (folder.path().join(""), ".".into()));
        assert_eq!(at("a/b.yaml"), (folder.path().into(), "a/b.yaml".into()));
    }

    #[test]
    fn what_git_lists() {
        let listed = b"100644 blob aa      12\ta.yaml\x00120000 blob bb       3\tlink.yaml\x00\
                       160000 commit cc       -\tsub\x00100644 blob dd 5\t.hidden/b.yaml\x00\
                       100644 blob ee 9999999\tlarge.yaml\x00";
        let names: Vec<String> =
            entries(listed).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["a.yaml"]);
        assert!(entries(b"nonsense\0").is_err());
    }
}
