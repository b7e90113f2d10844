//! The rules of direction, as a test: when it fails, it names the file and the word.

use std::fs;
use std::path::{Path, PathBuf};

use postroom::core::invisible;

/// Words that `core` must not contain: it knows no clock, disk, network, task or chance.
const NOT_IN_CORE: &[&str] = &[
    "tokio",
    "redb",
    "async_imap",
    "notify::",
    "prometheus",
    "axum",
    "oauth2::",
    "rustls",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "rand::",
    "getrandom",
    "crate::config",
    "crate::store",
    "crate::mailbox",
    "crate::transport",
    "crate::run",
    "crate::app",
    "crate::http",
    "crate::cli",
    "crate::metrics",
    "crate::secret",
    "crate::net",
    "crate::regular",
];

/// Each outside crate and the files that may name it.
const DOORS: &[(&str, &[&str])] = &[
    ("serde_yaml::", &["config"]),
    ("schemars::", &["config", "http"]),
    ("jsonschema::", &["config"]),
    ("notify::", &["config/watch"]),
    ("redb::", &["store"]),
    (
        "rustix::",
        &["config/root", "http/progress", "regular", "run/intake/suspect/limits", "store/file"],
    ),
    ("sd_notify::", &["app/manager"]),
    ("async_imap::", &["mailbox/imap"]),
    ("imap_proto::", &["mailbox/imap"]),
    ("lettre::", &["transport", "core/render"]),
    ("mail_parser::", &["core/mail"]),
    ("encoding_rs::", &["core/mail"]),
    ("icu_normalizer::", &["core/search"]),
    ("minijinja::", &["core/render"]),
    ("prometheus::", &["metrics"]),
    ("axum::", &["http"]),
    ("hyper::", &["cli", "http", "net/http"]),
    ("rustls::", &["net"]),
    ("x509_parser::", &["net/certificate"]),
    ("clap::", &["cli"]),
    ("ring::", &["openid", "oauth"]),
    ("rpassword::", &["cli/password"]),
    ("argon2::", &["password"]),
    ("maud::", &["http/pages"]),
    ("form_urlencoded::", &["http/form"]),
    ("croner::", &["config", "run/poller"]),
];

/// Modules that must not know each other.
const APART: &[(&str, &[&str])] = &[
    ("config", &["store", "mailbox", "transport", "oauth", "run", "app", "http", "cli"]),
    ("store", &["config", "mailbox", "transport", "oauth", "run", "app", "http", "cli"]),
    ("mailbox", &["config", "store", "transport", "oauth", "run", "app", "http", "cli"]),
    ("lint", &["store", "mailbox", "transport", "run", "app", "http", "cli"]),
    ("transport", &["config", "store", "mailbox", "oauth", "run", "app", "http", "cli"]),
    ("oauth", &["config", "store", "mailbox", "transport", "run", "app", "http", "cli"]),
    ("openid", &["config", "store", "mailbox", "transport", "run", "app", "http", "cli"]),
    ("run", &["app", "http", "cli"]),
];

/// Words that nobody may write.
const NOWHERE: &[&str] = &["unsafe {", "unsafe fn", "todo!(", "unimplemented!(", "dbg!("];

#[test]
fn core_is_pure() {
    for file in sources().iter().filter(|file| file.place.starts_with("core")) {
        for word in NOT_IN_CORE {
            assert!(!file.uses(word), "src/{} names {word}: core must stay pure", file.place);
        }
    }
}

#[test]
fn each_crate_has_one_door() {
    for file in sources() {
        for (word, doors) in DOORS {
            let inside = doors.iter().any(|door| file.place.starts_with(door));
            assert!(
                inside || !file.uses(word),
                "src/{} names {word}: its door is {doors:?}",
                file.place
            );
        }
    }
}

#[test]
fn neighbours_do_not_know_each_other() {
    for file in sources() {
        for (module, strangers) in APART {
            if !file.is_in(module) {
                continue;
            }
            for stranger in *strangers {
                let word = format!("crate::{stranger}::");
                assert!(!file.uses(&word), "src/{} knows {word}", file.place);
            }
        }
    }
}

/// Files that belong to the configuration are opened in one place, which bounds them.
#[test]
fn files_of_the_configuration_have_one_door() {
    let words = ["fs::read(", "fs::read_to_string(", "File::open(", "regular::read(", "openat("];
    for file in sources() {
        let reads_it = file.is_in("config") || file.is_in("cli/test") || file.is_in("cli/check");
        for word in words {
            assert!(
                !reads_it || file.place == "config/root" || !file.text_uses(word),
                "src/{} names {word}: files of the configuration are opened by config/root",
                file.place
            );
        }
    }
}

#[test]
fn only_run_and_app_start_tasks() {
    for file in sources() {
        let may = file.is_in("run") || file.is_in("app") || file.is_in("store");
        assert!(may || !file.uses("tokio::spawn"), "src/{} starts a task", file.place);
    }
}

#[test]
fn some_words_stand_nowhere() {
    for file in sources() {
        for word in NOWHERE {
            assert!(!file.uses(word), "src/{} contains {word}", file.place);
        }
    }
}

/// Invisible characters and those that turn the direction of writing have one table.
#[test]
fn invisible_characters_have_one_table() {
    // A byte order mark at the beginning of a file is something else.
    let other = ['\u{feff}'];
    for file in sources().iter().filter(|file| file.place != "core/invisible") {
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        for (at, _) in code.match_indices("'\\u{") {
            let digits = code[at + 4..].split('}').next().unwrap_or_default();
            let c = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
            let found = c.is_some_and(|c| {
                // The end of a range of Hangul letters.
                let letters = code[..at].ends_with("..=") && c == '\u{115f}';
                (invisible::hides(c) || invisible::shapes(c)) && !other.contains(&c) && !letters
            });
            assert!(
                !found,
                "src/{} has '\\u{{{digits}}}': ask core::invisible about such characters",
                file.place
            );
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for file in sources() {
        assert!(
            file.text.starts_with("//!"),
            "src/{} does not open with what it is for",
            file.place
        );
    }
}

struct Source {
    /// Path beneath `src`, without `.rs`.
    place: String,
    text: String,
}

impl Source {
    /// Whether the code, leaving out comments and the tests at the foot, contains a word that is
    /// not the tail of a longer one or of a path: `super::notify::` is not the crate `notify`.
    fn uses(&self, word: &str) -> bool {
        let code = self.text.split("#[cfg(test)]").next().unwrap_or_default();
        code.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
            line.match_indices(word).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            })
        })
    }

    /// Whether the code contains these characters anywhere, also behind a path.
    fn text_uses(&self, word: &str) -> bool {
        self.text.split("#[cfg(test)]").next().unwrap_or_default().contains(word)
    }

    fn is_in(&self, module: &str) -> bool {
        self.place == module || self.place.starts_with(&format!("{module}/"))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(found.len() > 30, "only {} sources found", found.len());
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let place = path.strip_prefix(root).unwrap().with_extension("");
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source { place: place.display().to_string(), text });
        }
    }
}
