//! What a program did to its files, as `strace -f -y -xx` tells it.

use std::collections::HashMap;
use std::path::PathBuf;

/// Calls that change what is on the disk, or say something to the one who listens.
pub const CALLS: &str = "openat,mkdir,unlink,rename,write,pwrite64,ftruncate,fsync,fdatasync";

/// One thing that happened, in the order in which it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// A file is there that was not, or is empty again.
    Create {
        path: PathBuf,
        emptied: bool,
    },
    Folder(PathBuf),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    Write {
        path: PathBuf,
        at: u64,
        bytes: Vec<u8>,
    },
    Length {
        path: PathBuf,
        length: u64,
    },
    /// Everything written before this is to be kept; it is when the same number ends.
    SyncBegins {
        path: PathBuf,
        number: usize,
    },
    SyncEnds {
        number: usize,
    },
    /// Somebody was told this line.
    Said(String),
}

/// Everything that happened.
pub fn read(trace: &str) -> Vec<Happened> {
    let mut reader = Reader::default();
    trace.lines().for_each(|line| reader.line(line));
    reader.happened
}

#[derive(Default)]
struct Reader {
    happened: Vec<Happened>,
    /// Calls that have begun, by thread: the beginning of the line, and the number of a sync.
    begun: HashMap<String, (String, Option<usize>)>,
    syncs: usize,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let Some((thread, rest)) = line.split_once(' ') else { return };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((begun, sync)) = self.begun.remove(thread) else { return };
            let end = resumed.split_once("resumed>").map_or("", |(_, end)| end);
            return self.ended(&format!("{begun}{end}"), sync);
        }
        match rest.strip_suffix(" <unfinished ...>") {
            Some(begun) => {
                let sync = self.begins(begun);
                self.begun.insert(thread.to_owned(), (begun.to_owned(), sync));
            }
            None => {
                let sync = self.begins(rest);
                self.ended(rest, sync);
            }
        }
    }

    /// What counts from its beginning: bytes may be on the disk before the call has returned.
    fn begins(&mut self, call: &str) -> Option<usize> {
        let (name, arguments) = call.split_once('(')?;
        match name {
            "pwrite64" => {
                let mut fields = arguments.rsplitn(3, ", ");
                let at = fields.next()?.split(')').next()?.parse().ok()?;
                let path = of_file(arguments)?;
                let bytes = strings(arguments).pop()?;
                self.happened.push(Happened::Write { path, at, bytes });
            }
            "write" if arguments.starts_with("1<") => {
                let text = String::from_utf8(strings(arguments).pop()?).ok()?;
                let lines = text.lines().map(|line| Happened::Said(line.to_owned()));
                self.happened.extend(lines);
            }
            "ftruncate" => {
                let length = arguments.rsplit(", ").next()?.split(')').next()?.parse().ok()?;
                self.happened.push(Happened::Length { path: of_file(arguments)?, length });
            }
            "fsync" | "fdatasync" => {
                self.syncs += 1;
                let (path, number) = (of_file(arguments)?, self.syncs);
                self.happened.push(Happened::SyncBegins { path, number });
                return Some(number);
            }
            _ => {}
        }
        None
    }

    /// What counts from its end, and only if it succeeded.
    fn ended(&mut self, call: &str, sync: Option<usize>) {
        let Some((call, result)) = call.rsplit_once(" = ") else { return };
        if result.starts_with('-') {
            return;
        }
        let Some((name, arguments)) = call.split_once('(') else { return };
        let mut paths = strings(arguments).into_iter().filter_map(path);
        let (first, second) = (paths.next(), paths.next());
        match (name, first, second) {
            ("openat", Some(path), None) if arguments.contains("O_CREAT") => {
                let emptied = arguments.contains("O_TRUNC");
                self.happened.push(Happened::Create { path, emptied });
            }
            ("mkdir", Some(path), None) => self.happened.push(Happened::Folder(path)),
            ("unlink", Some(path), None) => self.happened.push(Happened::Remove(path)),
            ("rename", Some(from), Some(to)) => self.happened.push(Happened::Rename(from, to)),
            ("fsync" | "fdatasync", ..) => {
                let number = sync.expect("it has begun");
                self.happened.push(Happened::SyncEnds { number });
            }
            _ => {}
        }
    }
}

/// The path of the descriptor with which the arguments begin: `4<\x2f...>`.
fn of_file(arguments: &str) -> Option<PathBuf> {
    let (_, rest) = arguments.split_once('<')?;
    path(bytes(rest.split_once('>')?.0))
}

/// The arguments that are strings.
fn strings(arguments: &str) -> Vec<Vec<u8>> {
    arguments.split('"').skip(1).step_by(2).map(bytes).collect()
}

fn path(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

/// Bytes written as `\x2f\x74`.
fn bytes(hex: &str) -> Vec<u8> {
    hex.split("\\x").skip(1).filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

#[test]
fn calls_are_read() {
    let trace = "7 openat(AT_FDCWD<\\x2f>, \"\\x2f\\x61\", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 4<\\x2f\\x61>\n\
         7 openat(AT_FDCWD<\\x2f>, \"\\x2f\\x62\", O_RDONLY|O_CLOEXEC) = 5<\\x2f\\x62>\n\
         7 pwrite64(4<\\x2f\\x61>, \"\\x78\\x79\", 2, 512) = 2\n\
         7 fdatasync(4<\\x2f\\x61> <unfinished ...>\n\
         8 ftruncate(4<\\x2f\\x61>, 1024) = 0\n\
         7 <... fdatasync resumed>)          = 0\n\
         8 unlink(\"\\x2f\\x63\") = -1 ENOENT (No such file or directory)\n\
         8 rename(\"\\x2f\\x61\", \"\\x2f\\x64\") = 0\n\
         8 write(1<\\x70>, \"\\x61\\x63\\x6b\\x0a\", 4) = 4\n";
    let (a, d) = (PathBuf::from("/a"), PathBuf::from("/d"));
    let expected = [
        Happened::Create { path: a.clone(), emptied: false },
        Happened::Write { path: a.clone(), at: 512, bytes: b"xy".to_vec() },
        Happened::SyncBegins { path: a.clone(), number: 1 },
        Happened::Length { path: a.clone(), length: 1024 },
        Happened::SyncEnds { number: 1 },
        Happened::Rename(a, d),
        Happened::Said("ack".to_owned()),
    ];
    assert_eq!(read(trace), expected);
}
