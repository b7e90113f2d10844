//! The configuration: what runs, its files, and what is wrong with others.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use crate::config::{Loaded, Severity};
use crate::http::dto::config::{CheckView, FileView, FilesView, ProblemView};
use crate::http::problem::Problem;
use crate::http::{Web, redacted};

/// What runs, secrets as references.
pub async fn show(State(web): State<Web>) -> Json<Value> {
    let running = web.handle.running.load();
    let mut shown = redacted::config(&running.config);
    shown["revision"] = running.revision.clone().into();
    Json(shown)
}

/// The files of the revision that was applied last.
pub async fn files(State(web): State<Web>) -> Result<Json<FilesView>, Problem> {
    let stored = web.read(|store| store.last_revision()).await?;
    let stored = stored.ok_or_else(|| Problem::not_found("revision that was applied"))?;
    let files = stored.files.into_iter().map(|(path, content)| FileView { path, content });
    Ok(Json(FilesView {
        revision: stored.hash,
        applied: stored.applied.to_string(),
        files: files.collect(),
    }))
}

/// What is wrong with a configuration.
pub async fn check(State(_): State<Web>, yaml: String) -> Result<Json<CheckView>, Problem> {
    let files = vec![("configuration.yaml".to_owned(), yaml)];
    let loaded = tokio::task::spawn_blocking(move || load_texts(&files)).await;
    let loaded = loaded.map_err(|_| Problem::internal())?;
    let loaded = loaded.map_err(|error| {
        tracing::error!(%error, "could not write a configuration to check it");
        Problem::internal()
    })?;
    let errors = loaded.problems.iter().any(|problem| problem.severity == Severity::Error);
    Ok(Json(CheckView {
        valid: loaded.config.is_some() && !errors,
        problems: loaded.problems.iter().map(ProblemView::from).collect(),
    }))
}

/// Loads files that are given as texts: they are written to a private directory that is removed
/// afterwards, so that references between them lead where they would lead.
pub fn load_texts(files: &[(String, String)]) -> io::Result<Loaded> {
    let directory = Scratch::create()?;
    let mut documents = Vec::new();
    for (path, content) in files {
        let inside = directory.0.join(beneath(path));
        fs::create_dir_all(inside.parent().unwrap_or(&directory.0))?;
        fs::write(&inside, content)?;
        if matches!(inside.extension().and_then(|it| it.to_str()), Some("yaml" | "yml")) {
            documents.push(inside);
        }
    }
    let mut loaded = crate::config::load(&documents);
    // People know the files by the names they gave.
    let prefix = format!("{}/", directory.0.display());
    for problem in &mut loaded.problems {
        problem.file = problem.file.replace(&prefix, "");
        problem.message = problem.message.replace(&prefix, "");
    }
    Ok(loaded)
}

/// The path without root and without a way up.
fn beneath(path: &str) -> PathBuf {
    let parts = Path::new(path).components();
    parts.filter(|part| matches!(part, Component::Normal(_))).collect()
}

/// A directory for us alone that goes when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn create() -> io::Result<Scratch> {
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = std::env::temp_dir().join(format!("postroom-{name}"));
        make_private(&path)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(beneath(path), Path::new(expected));
    }

    #[test]
    fn paths_stay_inside() {
        check("/etc/postroom/desk.yaml", "etc/postroom/desk.yaml");
        check("../../etc/passwd", "etc/passwd");
        check("./a/./b.yaml", "a/b.yaml");
    }

    #[test]
    fn the_directory_goes() {
        let scratch = Scratch::create().unwrap();
        let path = scratch.0.clone();
        assert!(path.is_dir());
        drop(scratch);
        assert!(!path.exists());
    }
}
