//! Golden YAML with the messages we would like to receive, the schema, the reference, the example.
//!
//! `UPDATE=1 cargo test --test it config` rewrites what is expected.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use postroom::config::{self, Loaded, Severity};

/// Begins the lines at the end of a golden file that hold what is expected.
const EXPECTED: &str = "#! ";

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn updating() -> bool {
    std::env::var_os("UPDATE").is_some()
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    files
}

/// Problems as the golden files show them: the folder is left out.
fn told(loaded: &Loaded, folder: &Path) -> String {
    let folder = format!("{}/", folder.display());
    let lines = loaded.problems.iter().map(|problem| problem.to_string().replace(&folder, ""));
    lines.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check_golden(path: &Path) -> Loaded {
    let text = fs::read_to_string(path).unwrap();
    let (lines, expected): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| !line.starts_with(EXPECTED));
    let loaded = config::load(&[path.to_owned()]);
    let told = told(&loaded, path.parent().unwrap());
    if updating() {
        let mut text = lines.join("\n") + "\n";
        told.lines().for_each(|line| text.push_str(&format!("{EXPECTED}{line}\n")));
        fs::write(path, text).unwrap();
    } else {
        let expected: Vec<&str> = expected.iter().map(|l| &l[EXPECTED.len()..]).collect();
        assert_eq!(told, expected.join("\n"), "{}", path.display());
    }
    loaded
}

#[test]
fn invalid_files_are_told_apart() {
    let files = yaml_files("tests/golden/config/invalid");
    assert!(files.len() >= 40, "{} files", files.len());
    for path in files {
        let loaded = check_golden(&path);
        assert!(loaded.config.is_none(), "{}", path.display());
        let errors = loaded.problems.iter().filter(|p| p.severity == Severity::Error);
        assert!(errors.count() > 0, "{}", path.display());
    }
}

#[test]
fn valid_files_load() {
    for path in yaml_files("tests/golden/config/valid") {
        let loaded = check_golden(&path);
        assert!(loaded.config.is_some(), "{}", told(&loaded, Path::new("")));
    }
}

#[track_caller]
fn check_fresh(path: &str, made: &str) {
    let path = root(path);
    if updating() {
        fs::write(&path, made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "{} is old; rewrite it with UPDATE=1", path.display());
}

#[test]
fn schema_is_fresh() {
    let schema = serde_json::to_string_pretty(&config::schema()).unwrap() + "\n";
    check_fresh("schema/postroom.schema.json", &schema);
}

#[test]
fn reference_is_fresh() {
    check_fresh(
        "docs/configuration.md",
        &config::reference::reference(&config::schema::described()),
    );
}

#[test]
fn example_is_valid() {
    let loaded = config::load(&[root("examples/otobo-ops")]);
    let errors: Vec<_> = loaded.problems.iter().filter(|p| p.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let config = loaded.config.unwrap();
    assert!(config.accounts.len() >= 10 && config.smtp.len() >= 5 && !loaded.tests.is_empty());
    for test in &loaded.tests {
        let steps = test.test.steps.iter().filter_map(|step| step.mail.as_ref());
        for mail in test.test.mail.iter().chain(steps) {
            assert_eq!(test.mail(mail).err(), None);
        }
    }
    let again = config::load_saved(&loaded.files);
    assert_eq!(again.config, Some(config));
    assert_eq!(again.hash, loaded.hash);
}

#[test]
fn example_uses_every_section() {
    let schema = serde_json::to_value(config::schema()).unwrap();
    let known: BTreeSet<String> =
        schema["properties"].as_object().unwrap().keys().cloned().collect();
    let mut used = BTreeSet::new();
    for path in yaml_files("examples/otobo-ops") {
        let text = fs::read_to_string(path).unwrap();
        let sections: BTreeMap<String, serde_yaml::Value> = serde_yaml::from_str(&text).unwrap();
        used.extend(sections.into_keys());
    }
    assert_eq!(used, known);
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

#[track_caller]
fn check_refused(bytes: &[u8], words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "a.yaml", bytes);
    let loaded = config::load(&[path]);
    assert!(loaded.config.is_none());
    let first = &loaded.problems[0];
    assert!(first.message.contains(words), "{first}");
}

#[test]
fn what_is_no_text_is_refused() {
    check_refused(b"version: 1\ndesk: {name: a\0b}\n", "NUL byte in line 2");
    check_refused(b"\xff\xfev\0e\0r\0", "UTF-16");
    check_refused(b"version: 1\n# \x93\x8c\n", "not UTF-8 from line 2");
    check_refused(&vec![b'#'; 2 << 20], "larger than 1024 KiB");
}

#[test]
fn byte_order_mark_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "a.yaml", "\u{feff}version: 1\n");
    assert_eq!(config::load(&[path]).problems, []);
}

/// Neither time nor memory: the real program has a second and 100 MB for it.
#[test]
fn alias_bomb_is_refused_quickly_and_in_little_memory() {
    const PEAK_BYTES_MAX: u64 = 100_000_000;
    let bomb =
        format!("version: 1\nx-a: &a [{}]\nx-b: [{}]\n", "a,".repeat(20_000), "*a,".repeat(20_000));
    check_refused(bomb.as_bytes(), "larger than 4 MiB");
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "a.yaml", &bomb);
    let began = std::time::Instant::now();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_postroom"))
        .args(["check", "-c"])
        .arg(path)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut peak_bytes = 0;
    let (status, took) = loop {
        // The kernel keeps the highest value; what is missed is what came after the last look.
        peak_bytes = peak_bytes.max(peak_of(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break (status, began.elapsed());
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    println!("{took:?}, {peak_bytes} bytes");
    assert_eq!(status.code(), Some(3), "the files are wrong");
    assert!((1..PEAK_BYTES_MAX).contains(&peak_bytes), "{peak_bytes} bytes at its peak");
    // Three, as the other tests of this binary take the processors away meanwhile.
    assert!(took.as_secs() < 3, "{took:?}");
}

/// Most memory that a process had at any time; nothing once it has ended.
fn peak_of(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[test]
fn files_are_16_mib_together_at_most() {
    const MIB: usize = 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let comment = format!("#{}\n", "x".repeat(1022));
    let text = format!("version: 1\n{}", comment.repeat(MIB / comment.len()));
    for number in 1..=16 {
        write(folder.path(), &format!("{number:02}.yaml"), &text[..MIB]);
    }
    let whole = config::load(&[folder.path().to_owned()]);
    assert_eq!(whole.problems, []);
    assert_eq!(whole.files.len(), 16);
    write(folder.path(), "17.yaml", &text[..MIB]);
    let loaded = config::load(&[folder.path().to_owned()]);
    assert!(loaded.config.is_none());
    assert_eq!(
        told(&loaded, folder.path()),
        "17.yaml:1:1: error: makes all files together larger than 16 MiB"
    );
}

#[test]
fn same_key_in_two_files_names_both_places() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.yaml", "version: 1\nqueues:\n  sales: {}\n");
    write(folder.path(), "b/c.yml", "version: 1\nqueues: {sales: {}}\n");
    let loaded = config::load(&[folder.path().to_owned()]);
    assert_eq!(
        told(&loaded, folder.path()),
        "b/c.yml:2:10: error: queues.sales: is declared twice; the first one is at a.yaml:3:3\n  \
         hint: remove one of the two; an object is declared once in all files together"
    );
}

#[test]
fn hash_does_not_depend_on_the_order_of_paths() {
    let folder = tempfile::tempdir().unwrap();
    let a = write(folder.path(), "a.yaml", "version: 1\n");
    let b = write(folder.path(), "b.yaml", "version: 1\nqueues: {sales: {}}\n");
    let hash = |paths: &[&PathBuf]| {
        config::load(&paths.iter().map(|p| (*p).clone()).collect::<Vec<_>>()).hash
    };
    assert_eq!(hash(&[&a, &b]), hash(&[&b, &a]));
    assert_ne!(hash(&[&a, &b]), hash(&[&a]));
}

#[test]
fn hidden_files_and_circles_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.yaml", "version: 1\n");
    write(folder.path(), ".hidden/b.yaml", "nonsense: [");
    write(folder.path(), "..2026/c.yaml", "nonsense: [");
    std::os::unix::fs::symlink(folder.path(), folder.path().join("circle")).unwrap();
    let loaded = config::load(&[folder.path().to_owned()]);
    assert_eq!(loaded.problems, []);
    assert_eq!(loaded.files.len(), 1);
}

#[test]
fn a_named_pipe_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(folder.path().join(name)).status();
        assert!(made.unwrap().success());
    };
    write(folder.path(), "a.yaml", "version: 1\n");
    pipe("b.yaml");
    let loaded = config::load(&[folder.path().to_owned()]);
    let told = told(&loaded, folder.path());
    assert!(told.contains("b.yaml") && told.contains("is a named pipe"), "{told}");

    let text = "version: 1\nqueues: {q: {}}\nsystemAddresses: {a@x.test: {queue: q}}\n\
                autoReplies: {r: {from: a@x.test, subject: {en: s}, text: {en: {file: t.txt}}}}\n";
    let file = write(folder.path(), "c.yaml", text);
    pipe("t.txt");
    let loaded = config::load(&[file]);
    assert!(loaded.problems[0].message.contains("is a named pipe"), "{}", loaded.problems[0]);
}

#[test]
fn no_link_leads_out_of_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("conf");
    write(&directory, "a.yaml", "version: 1\n");
    write(&folder.path().join("other"), "b.yaml", "version: 1\nx: canary\n");
    let link = |target: &str| {
        let _ = fs::remove_file(directory.join("link.yaml"));
        std::os::unix::fs::symlink(target, directory.join("link.yaml")).unwrap();
        config::load(std::slice::from_ref(&directory)).problems
    };
    for target in ["../other/b.yaml", "/proc/self/environ", "../other", "/dev/zero", "/"] {
        let problems = link(target);
        let [problem] = &problems[..] else { panic!("{target}: {problems:?}") };
        let words = "lies outside the configuration directory";
        assert!(problem.message.contains(words) && problem.hint.contains("-c"), "{problem}");
        assert!(problem.file.ends_with("link.yaml"), "{problem}");
    }
    assert_eq!(link("a.yaml"), []);
    // Each file is bounded by the root that it came from, whatever else is given.
    let _ = link("../other/b.yaml");
    let both = config::load(&[directory.clone(), folder.path().join("other")]);
    assert!(both.problems.iter().any(|it| it.message.contains("lies outside")));
    // Of a file it is the directory.
    let alone = config::load(&[directory.join("link.yaml")]);
    assert!(alone.problems[0].message.contains("lies outside"), "{}", alone.problems[0]);
}

#[test]
fn templates_stay_beneath_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "secret.txt", "do not read me");
    let reply = |file: &str| {
        format!(
            "version: 1\nqueues: {{q: {{}}}}\nsystemAddresses: {{a@x.test: {{queue: q}}}}\n\
             autoReplies:\n  r:\n    from: a@x.test\n    subject: {{en: s}}\n    text:\n      en: {{file: {file}}}\n"
        )
    };
    let directory = folder.path().join("conf");
    for (file, words) in [
        ("../secret.txt", "lies outside"),
        ("/etc/hostname", "relative to this file"),
        ("absent.txt", "could not be read"),
        ("large.txt", "larger than 64 KiB"),
    ] {
        write(&directory, "large.txt", "x".repeat(70_000));
        write(&directory, "a.yaml", reply(file));
        let loaded = config::load(std::slice::from_ref(&directory));
        assert!(loaded.problems[0].message.contains(words), "{}", loaded.problems[0]);
        assert_eq!((loaded.problems[0].line, loaded.problems[0].column), (9, 18));
    }
    write(&directory, "texts/good.txt", "hello {{ ticket.number }}");
    write(&directory, "a.yaml", reply("texts/good.txt"));
    let before = config::load(std::slice::from_ref(&directory));
    assert_eq!(before.problems, []);
    write(&directory, "texts/good.txt", "good day");
    assert_ne!(before.hash, config::load(&[directory]).hash);
}

#[test]
fn no_secret_is_ever_printed() {
    let folder = tempfile::tempdir().unwrap();
    let text = "version: 1\nsmtp:\n  r: {type: hunter2, host: h, auth: {username: u, password: hunter2}}\n\
                mailAccounts:\n  a: {type: imaps, host: h, username: u, password: {secret: 'hunter2 !'}, afterFetch: hunter2}\n\
                apiTokens: {t: {sha256: hunter2, role: hunter2}}\n";
    let path = write(folder.path(), "a.yaml", text);
    let loaded = config::load(&[path]);
    assert!(loaded.problems.len() >= 6, "{}", told(&loaded, folder.path()));
    assert!(!told(&loaded, folder.path()).contains("hunter2"));
}

#[test]
fn problems_of_a_file_are_capped() {
    let folder = tempfile::tempdir().unwrap();
    let keys: String = (0..150).map(|n| format!("  q{n}: {{nonsense: 1}}\n")).collect();
    let path = write(folder.path(), "a.yaml", format!("version: 1\nqueues:\n{keys}"));
    let loaded = config::load(&[path]);
    assert_eq!(loaded.problems.len(), 101);
    assert!(loaded.problems[0].message.contains("more problems"), "{}", loaded.problems[0]);
}

/// Run with `cargo test --release --test it config::size -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement: wants a release build and a quiet machine"]
fn size() {
    let folder = tempfile::tempdir().unwrap();
    let (mut accounts, mut addresses, mut filters) = (String::new(), String::new(), String::new());
    for n in 0..10_000 {
        accounts += &format!(
            "  a{n}: {{type: imaps, host: mx{n}.test, username: u{n}, password: {{secret: s{n}}}}}\n"
        );
        addresses += &format!("  a{n}@x.test: {{queue: sales, name: Desk {n}}}\n");
    }
    for n in 0..1_000 {
        filters += &format!(
            "  f{n}: {{order: {n}, match: [{{header: Subject, regex: 'order {n} (?<id>[0-9]+)'}}], set: {{queue: sales, title: '{{{{ id }}}}'}}}}\n"
        );
    }
    let head = "version: 1\n";
    write(folder.path(), "a.yaml", format!("{head}mailAccounts:\n{accounts}"));
    write(folder.path(), "b.yaml", format!("{head}systemAddresses:\n{addresses}"));
    let rest = "queues: {sales: {}}\ndefaults: {mailAccounts: {afterFetch: keep}}\n";
    write(folder.path(), "c.yaml", format!("{head}{rest}filters:\n{filters}"));
    let began = std::time::Instant::now();
    let loaded = config::load(&[folder.path().to_owned()]);
    let took = began.elapsed();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    println!("{took:?}, {peak}");
    let config = loaded.config.expect("a valid set");
    assert_eq!((config.accounts.len(), config.filters.len()), (10_000, 1_000));
}
