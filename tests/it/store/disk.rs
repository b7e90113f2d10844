//! Disks that are full, files that are damaged, directories that somebody else uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::mails::{Letter, letter, open};
use super::{sound, titles};
use crate::needed;
use postroom::core::intake::Outcome;
use postroom::store::{Store, StoreError};

/// A small file system in memory, unmounted at the end.
pub struct Tmpfs(pub PathBuf);

impl Tmpfs {
    /// Mounts one; `None`, with a line, where that is not allowed.
    pub fn mount(megabytes: u32) -> Option<Tmpfs> {
        let path = tempfile::tempdir().unwrap().keep();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(&path)
            .output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        let found = needed::found(mounted.then_some(()), "a tmpfs cannot be mounted here");
        found.map(|()| Tmpfs(path))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

async fn try_take(store: &Store, mail: &Letter) -> Result<Outcome, StoreError> {
    store.spool(&mail.account, vec![mail.to_spool()]).await?;
    Ok(store.record(vec![mail.to_record()]).await?.remove(0).outcome)
}

/// Fills a disk with mails of this size, makes room again, and goes on.
async fn fill(bytes: usize) {
    let Some(disk) = Tmpfs::mount(32) else { return };
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![1; 16 << 20]).unwrap();
    let store = open(&disk.0.join("store")).unwrap();
    let (mut taken, mut refused) = (Vec::new(), 0);
    for number in 0..20_000 {
        let mail = letter("support", &format!("mail {number}")).of_bytes(bytes);
        match try_take(&store, &mail).await {
            Ok(_) => taken.push(mail),
            Err(StoreError::DiskFull(text)) => {
                assert!(text.starts_with("could not "), "{text}");
                refused += 1;
            }
            Err(error) => panic!("a full disk is not told as one: {error}"),
        }
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3, "the disk never was full");
    // Reading goes on.
    let first = store.raw(&taken[0].judgement.keys.bytes).unwrap().unwrap();
    assert_eq!(first, taken[0].raw);

    fs::remove_file(ballast).unwrap();
    let more = letter("support", "after").of_bytes(bytes);
    assert_eq!(try_take(&store, &more).await.unwrap(), Outcome::Created);
    sound(&store);
    drop(store);
    let store = open(&disk.0.join("store")).unwrap();
    sound(&store);
    for mail in &taken {
        let recorded = store.record(vec![mail.to_record()]).await.unwrap().remove(0);
        assert_eq!(recorded.outcome, Outcome::Created);
        let raw = store.raw(&mail.judgement.keys.bytes).unwrap().unwrap();
        assert!(raw == mail.raw, "{} has other bytes", mail.location);
    }
    drop(store);
}

#[tokio::test]
async fn a_full_disk_is_told_and_left_behind_with_small_mails() {
    fill(20_000).await;
}

#[tokio::test]
async fn a_full_disk_is_told_and_left_behind_with_large_mails() {
    fill(300_000).await;
}

#[test]
fn a_second_one_is_refused_and_the_first_unharmed() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap();
    assert!(matches!(open(directory.path()), Err(StoreError::InUse(_))));
    assert!(matches!(Store::compact(directory.path()), Err(StoreError::InUse(_))));
    sound(&first);
    drop(first);
    sound(&open(directory.path()).unwrap());
}

async fn one_mail(directory: &Path) {
    let store = open(directory).unwrap();
    letter("support", "fire").of_bytes(100_000).take(&store).await;
    store.close().await;
}

#[track_caller]
fn refused(directory: &Path, words: &str) {
    match open(directory) {
        Err(StoreError::Failed(text)) if text.contains(words) => {}
        Err(other) => panic!("expected {words:?}, got {other}"),
        Ok(store) => panic!("opened with {:?}", titles(&store)),
    }
}

#[tokio::test]
async fn damage_is_named_and_never_an_empty_store() {
    let directory = tempfile::tempdir().unwrap();
    one_mail(directory.path()).await;
    let database = directory.path().join("postroom.redb");
    let segment = directory.path().join("segments/00000001.mails");
    let (good, mails) = (fs::read(&database).unwrap(), fs::read(&segment).unwrap());

    fs::write(&database, b"").unwrap();
    refused(directory.path(), "is damaged");
    fs::write(&database, b"this is no database").unwrap();
    refused(directory.path(), "is damaged");
    fs::write(&database, &good[..good.len() / 2]).unwrap();
    refused(directory.path(), "is damaged");
    fs::remove_file(&database).unwrap();
    refused(directory.path(), "is missing");
    fs::write(&database, &good).unwrap();
    fs::write(&segment, &mails[1..]).unwrap();
    refused(directory.path(), "is damaged");
    fs::write(&segment, &mails).unwrap();
    assert_eq!(titles(&open(directory.path()).unwrap()), ["fire"]);
}

#[tokio::test]
async fn changed_bytes_are_found_by_verify() {
    let directory = tempfile::tempdir().unwrap();
    one_mail(directory.path()).await;
    let segment = directory.path().join("segments/00000001.mails");
    let mut mails = fs::read(&segment).unwrap();
    mails[50_000] ^= 1;
    fs::write(&segment, mails).unwrap();
    let findings = open(directory.path()).unwrap().verify().unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains("has other bytes than were stored"), "{findings:?}");
}

#[test]
fn an_unfinished_database_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("postroom.redb.new"), b"cut off").unwrap();
    sound(&open(directory.path()).unwrap());
}
