//! Notices that the files may have changed.
//!
//! A watch on a file, or through a link, is lost when the file or link is replaced, as a
//! ConfigMap, git-sync and most editors do. So the folder that holds each link on the way is
//! watched, and each folder with files; an event means "look again" and nothing more.
//!
//! Architecture invariant: only a hint. Whoever waits on it also looks by himself from time to
//! time, so a missed event costs delay and nothing else. The only door to `notify`.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Quiet time after the last event. Milliseconds.
const QUIET_MILLIS: u64 = 300;
/// Longest time from the first event, if it never gets quiet. Milliseconds.
const PATIENCE_MILLIS: u64 = 2_000;
/// Links followed on the way to one path. Linux follows 40.
const LINKS_MAX: usize = 40;
/// Folders watched; the rest is left to the look from time to time.
const FOLDERS_MAX: usize = 4_096;

/// Watches a set of files and directories.
pub struct Watch {
    paths: Vec<PathBuf>,
    event: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Watch {
    /// Begins to watch. Where the system allows no watch, it says so in the log and
    /// [`Watch::changed`] waits for ever.
    pub fn new(paths: &[PathBuf]) -> Watch {
        let event = Arc::new(Notify::new());
        let wake = event.clone();
        let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the files makes access events: they would wake us for ever. An error may
            // stand for lost events.
            if !matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(_))) {
                wake.notify_one();
            }
        });
        let watcher = made.inspect_err(warn_once).ok();
        let mut watch = Watch { paths: paths.to_vec(), event, watcher, watched: BTreeSet::new() };
        watch.arm();
        watch
    }

    /// Finds the folders anew. To be called before each reading of the files, so that nothing
    /// that happens after it is missed.
    pub fn arm(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted = folders(&self.paths);
        for gone in self.watched.difference(&wanted) {
            // Its folder may have been removed, and the watch with it.
            let _ = watcher.unwatch(gone);
        }
        // A folder removed and made again under its name has lost its watch without a word, so
        // every one is watched anew; the system takes it as the same watch if it is.
        let mut watched = BTreeSet::new();
        for folder in wanted {
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    watched.insert(folder);
                }
                Err(error) => warn_once(&error),
            }
        }
        self.watched = watched;
    }

    /// Ends when something may have changed and it has been quiet for 300 ms, or after 2 s.
    pub async fn changed(&self) {
        self.event.notified().await;
        let patience = Instant::now() + Duration::from_millis(PATIENCE_MILLIS);
        loop {
            let quiet = Instant::now() + Duration::from_millis(QUIET_MILLIS);
            let next = tokio::time::timeout_at(quiet.min(patience), self.event.notified());
            if next.await.is_err() {
                return;
            }
        }
    }
}

fn warn_once(error: &notify::Error) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        tracing::warn!(%error, "could not watch the configuration; it is looked at every 30 s");
    });
}

/// Folders whose entries decide what the configuration is.
fn folders(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut walked = BTreeSet::new();
    for path in paths {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let real = follow(&path, &mut found);
        walk(&real, &real, &mut found, &mut walked);
    }
    found
}

/// Notes the folder of a file; of a folder, itself and all beneath it, as the reader of files
/// would go: it leaves the root by no link.
fn walk(root: &Path, real: &Path, found: &mut BTreeSet<PathBuf>, walked: &mut BTreeSet<PathBuf>) {
    if !real.is_dir() {
        found.insert(real.parent().unwrap_or(real).to_owned());
        return;
    }
    if found.len() >= FOLDERS_MAX || !walked.insert(real.to_owned()) {
        return;
    }
    found.insert(real.to_owned());
    let Ok(entries) = std::fs::read_dir(real) else { return };
    for entry in entries.flatten() {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let Ok(kind) = entry.file_type() else { continue };
        if !hidden && (kind.is_symlink() || kind.is_dir()) {
            let real = follow(&entry.path(), found);
            if real.starts_with(root) {
                walk(root, &real, found, walked);
            }
        }
    }
}

/// Follows a path step by step; the folder that holds each link is noted. The result has no link.
fn follow(path: &Path, found: &mut BTreeSet<PathBuf>) -> PathBuf {
    let mut links = 0;
    let mut real = PathBuf::new();
    let mut rest = steps(path);
    while let Some(step) = rest.pop() {
        if step == Path::new("..") {
            real.pop();
            continue;
        }
        let next = real.join(&step);
        let Ok(target) = std::fs::read_link(&next) else {
            real = next;
            continue;
        };
        found.insert(real.clone());
        links += 1;
        if links > LINKS_MAX {
            return next;
        }
        rest.extend(steps(&target));
    }
    real
}

/// The parts of a path, last first. The root replaces whatever it is joined to.
fn steps(path: &Path) -> Vec<PathBuf> {
    let kept = path.components().filter(|part| !matches!(part, Component::CurDir));
    let mut steps: Vec<PathBuf> = kept.map(|part| PathBuf::from(part.as_os_str())).collect();
    steps.reverse();
    steps
}
