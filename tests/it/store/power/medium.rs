//! A disk that loses its power: what was synced is there, and of the rest any part may be.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::trace::Happened;

/// What a disk writes whole or not at all. Bytes.
const SECTOR_BYTES: usize = 512;

/// Chance that can be had again from its seed.
pub struct Dice(pub u64);

impl Dice {
    /// A number below this one.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// The disk while the program runs.
#[derive(Default)]
pub struct Medium {
    files: Vec<File>,
    /// Which file has which name, as the program sees it.
    names: BTreeMap<PathBuf, usize>,
    /// The same as it surely is after a cut.
    kept_names: BTreeMap<PathBuf, usize>,
    /// Changes of names that are not surely kept yet.
    naming: Vec<Naming>,
    folders: Vec<PathBuf>,
    /// Syncs under way: of which file, and how many of its changes.
    syncs: HashMap<usize, Syncing>,
}

#[derive(Default)]
struct File {
    kept: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone)]
enum Naming {
    Set(PathBuf, usize),
    Unset(PathBuf),
    Move(PathBuf, PathBuf, usize),
}

enum Syncing {
    File(usize, usize),
    Folder(PathBuf, usize),
}

impl Medium {
    /// Goes on by one step.
    pub fn step(&mut self, happened: &Happened) {
        match happened {
            Happened::Create { path, emptied } => self.create(path, *emptied),
            Happened::Folder(path) => self.folders.push(path.clone()),
            Happened::Remove(path) => {
                self.names.remove(path);
                self.naming.push(Naming::Unset(path.clone()));
            }
            Happened::Rename(from, to) => {
                let Some(file) = self.names.remove(from) else { return };
                self.names.insert(to.clone(), file);
                self.naming.push(Naming::Move(from.clone(), to.clone(), file));
            }
            Happened::Write { path, at, bytes } => {
                self.change(path, Change::Write(*at as usize, bytes.clone()));
            }
            Happened::Length { path, length } => {
                self.change(path, Change::Length(*length as usize));
            }
            Happened::SyncBegins { path, number } => self.sync_begins(path, *number),
            Happened::SyncEnds { number } => self.sync_ends(*number),
            Happened::Said(_) => {}
        }
    }

    fn create(&mut self, path: &Path, emptied: bool) {
        if self.names.contains_key(path) {
            if emptied {
                self.change(path, Change::Length(0));
            }
            return;
        }
        self.files.push(File::default());
        let file = self.files.len() - 1;
        self.names.insert(path.to_owned(), file);
        self.naming.push(Naming::Set(path.to_owned(), file));
    }

    fn change(&mut self, path: &Path, change: Change) {
        if let Some(file) = self.names.get(path) {
            self.files[*file].changes.push(change);
        }
    }

    fn sync_begins(&mut self, path: &Path, number: usize) {
        let syncing = match self.names.get(path) {
            Some(file) => Syncing::File(*file, self.files[*file].changes.len()),
            None => Syncing::Folder(path.to_owned(), self.naming.len()),
        };
        self.syncs.insert(number, syncing);
    }

    fn sync_ends(&mut self, number: usize) {
        match self.syncs.remove(&number) {
            Some(Syncing::File(file, changes)) => {
                let file = &mut self.files[file];
                // Another sync of the same file may have ended in between.
                let changes = changes.min(file.changes.len());
                for change in file.changes.drain(..changes) {
                    apply(&mut file.kept, &change);
                }
            }
            Some(Syncing::Folder(folder, naming)) => {
                let naming = naming.min(self.naming.len());
                let (before, after) = self.naming.split_at(naming);
                let (within, others): (Vec<_>, Vec<_>) =
                    before.iter().cloned().partition(|it| it.path().parent() == Some(&folder));
                let rest = [others.as_slice(), after].concat();
                within.iter().for_each(|naming| naming.apply(&mut self.kept_names));
                self.naming = rest;
            }
            None => {}
        }
    }

    /// Cuts the power now, and writes what is left of `from` to `to`.
    pub fn cut(&self, from: &Path, to: &Path, dice: &mut Dice) {
        for folder in &self.folders {
            fs::create_dir_all(to.join(folder.strip_prefix(from).unwrap())).unwrap();
        }
        let mut names = self.kept_names.clone();
        // A journal keeps its steps in order: some of the last ones are missing.
        let reached = dice.below(self.naming.len() + 1);
        self.naming[..reached].iter().for_each(|naming| naming.apply(&mut names));
        for (path, file) in names {
            let left = self.files[file].left(dice);
            fs::write(to.join(path.strip_prefix(from).unwrap()), left).unwrap();
        }
    }
}

impl File {
    /// What was kept, and of the changes since then whatever chance will have: a disk writes in any
    /// order, and a write of several sectors may be torn.
    fn left(&self, dice: &mut Dice) -> Vec<u8> {
        let mut left = self.kept.clone();
        // Often all or nothing is there, too.
        let mode = dice.below(4);
        for change in &self.changes {
            match (mode, change) {
                (0, _) => {}
                (1, change) => apply(&mut left, change),
                (_, Change::Length(_)) => {
                    if dice.coin() {
                        apply(&mut left, change);
                    }
                }
                (_, Change::Write(at, bytes)) => {
                    for (index, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        if dice.coin() {
                            let at = at + index * SECTOR_BYTES;
                            apply(&mut left, &Change::Write(at, sector.to_vec()));
                        }
                    }
                }
            }
        }
        left
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => content.resize(*length, 0),
        Change::Write(at, bytes) => {
            let end = at + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*at..end].copy_from_slice(bytes);
        }
    }
}

impl Naming {
    fn path(&self) -> &Path {
        match self {
            Naming::Set(path, _) | Naming::Unset(path) | Naming::Move(path, _, _) => path,
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Naming::Set(path, file) => drop(names.insert(path.clone(), *file)),
            Naming::Unset(path) => drop(names.remove(path)),
            Naming::Move(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }
}
