//! Exports of other desks become files that load, and what cannot be carried is said.
//!
//! `UPDATE=1 cargo test --test it import` writes what is expected anew.

use std::path::{Path, PathBuf};
use std::process::Command;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/import").join(name)
}

#[track_caller]
fn check_file(name: &str, made: &str) {
    let path = golden(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, made, "{}", path.display());
}

/// Imports, and hands out the YAML.
#[track_caller]
fn check(from: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_postroom"))
        .args(["import", from])
        .arg(golden(from))
        .env_clear()
        .output()
        .unwrap();
    let [yaml, notes] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    assert_eq!(output.status.code(), Some(0), "{yaml}\n{notes}");
    check_file(&format!("{from}.yaml"), &yaml);
    check_file(&format!("{from}.txt"), &notes);
    assert!(!yaml.contains("never-carried") && !notes.contains("never-carried"), "{yaml}");
    yaml
}

fn load(yaml: &str) -> postroom::core::config::Config {
    let loaded = postroom::config::load_saved(&[("desk.yaml".into(), yaml.into())]);
    loaded.config.unwrap_or_else(|| panic!("{:#?}", loaded.problems))
}

#[test]
fn otobo() {
    let config = load(&check("otobo"));
    assert_eq!(config.accounts.len(), 2);
    assert_eq!(config.filters.len(), 5);
    assert_eq!(config.queues["Support::EU"].auto_replies.new.as_deref(), Some("thanks"));
    let notes = std::fs::read_to_string(golden("otobo.txt")).unwrap();
    for words in
        ["030 broken", "IMAPOAuth2", "gone@example.com", "CUSTOMER_EMAIL", "salutation.json"]
    {
        assert!(notes.to_lowercase().contains(&words.to_lowercase()), "{words} in {notes}");
    }
}

#[test]
fn zammad() {
    let config = load(&check("zammad"));
    assert_eq!((config.accounts.len(), config.smtp.len(), config.filters.len()), (2, 1, 2));
    assert_eq!(config.filters[0].name, "boss");
}

#[test]
fn files_are_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("desk.yaml");
    std::fs::write(&into, "mine").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_postroom"))
        .args(["import", "otobo"])
        .arg(golden("otobo"))
        .arg("--into")
        .arg(&into)
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&into).unwrap(), "mine");
}
