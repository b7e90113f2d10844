//! Servers of npm: each is a script under `tests/peers` that says one JSON object per line, the
//! first one when it listens.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::daemon::until;
use crate::needed;

/// A running script, ended with the value.
pub struct Node {
    child: Child,
    said: Arc<Mutex<Vec<Value>>>,
}

impl Node {
    /// Starts a script, or says what is missing. Answers with what it said first, too.
    pub fn start(script: &str, variables: &[(&str, &str)]) -> Option<(Node, Value)> {
        let modules = std::env::var("POSTROOM_NODE_MODULES").ok();
        let modules = needed::found(modules, "POSTROOM_NODE_MODULES is not set")?;
        let mut child = Command::new("node")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(script))
            .env("POSTROOM_NODE_MODULES", modules)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // A library may say something of its own in between.
        let mut objects =
            lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok());
        let first = objects.next().unwrap_or_else(|| panic!("{script} ended before it listened"));
        let said: Arc<Mutex<Vec<Value>>> = Arc::default();
        let into = said.clone();
        std::thread::spawn(move || objects.for_each(|one| into.lock().unwrap().push(one)));
        Some((Node { child, said }, first))
    }

    /// All it has said since.
    pub fn said(&self) -> Vec<Value> {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said so much.
    pub async fn until_said(&self, count: usize) -> Vec<Value> {
        until("a word of the server", || Some(self.said()).filter(|said| said.len() >= count)).await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port in what a script said first.
pub fn port(first: &Value) -> u16 {
    u16::try_from(first["port"].as_u64().unwrap()).unwrap()
}
