//! Changes of the files are noticed, whatever tool makes them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use postroom::config::watch::Watch;

/// Within this a change is noticed, the quiet time included.
const NOTICED: Duration = Duration::from_secs(1);

/// Arms, changes, waits; three times in a row, as the second change is the one that is missed.
async fn check(path: &Path, mut change: impl FnMut(usize)) {
    let mut watch = Watch::new(&[path.to_owned()]);
    for round in 0..3 {
        watch.arm();
        change(round);
        let noticed = tokio::time::timeout(NOTICED, watch.changed()).await;
        assert!(noticed.is_ok(), "round {round} was not noticed");
    }
}

/// Puts a link in the place of another in one step.
fn flip(target: &str, link: &Path) {
    let fresh = link.parent().unwrap().join("fresh-link");
    symlink(target, &fresh).unwrap();
    fs::rename(&fresh, link).unwrap();
}

#[tokio::test]
async fn config_map_swap() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("..0")).unwrap();
    fs::write(root.join("..0/a.yaml"), "0").unwrap();
    symlink("..0", root.join("..data")).unwrap();
    symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
    check(root, |round| {
        let fresh = format!("..{}", round + 1);
        fs::create_dir(root.join(&fresh)).unwrap();
        fs::write(root.join(&fresh).join("a.yaml"), "new").unwrap();
        flip(&fresh, &root.join("..data"));
        fs::remove_dir_all(root.join(format!("..{round}"))).unwrap();
    })
    .await;
}

#[tokio::test]
async fn git_sync_flip() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("sha0/conf")).unwrap();
    symlink("sha0", root.join("current")).unwrap();
    check(&root.join("current/conf"), |round| {
        let fresh = format!("sha{}", round + 1);
        fs::create_dir_all(root.join(&fresh).join("conf")).unwrap();
        flip(&fresh, &root.join("current"));
        fs::remove_dir_all(root.join(format!("sha{round}"))).unwrap();
    })
    .await;
}

#[tokio::test]
async fn rename_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    fs::write(&file, "0").unwrap();
    check(&file, |_| {
        fs::write(folder.path().join("a.tmp"), "new").unwrap();
        fs::rename(folder.path().join("a.tmp"), &file).unwrap();
    })
    .await;
}

#[tokio::test]
async fn edit_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep/a.yaml");
    fs::create_dir(folder.path().join("deep")).unwrap();
    fs::write(&file, "0").unwrap();
    check(folder.path(), |round| fs::write(&file, format!("{round}")).unwrap()).await;
}

#[tokio::test]
async fn reading_is_no_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    fs::write(&file, "0").unwrap();
    let watch = Watch::new(&[folder.path().to_owned()]);
    fs::read(&file).unwrap();
    assert!(tokio::time::timeout(NOTICED, watch.changed()).await.is_err());
}
