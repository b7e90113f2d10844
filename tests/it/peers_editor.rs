//! What an editor shows: the real yaml-language-server reads the schema and is asked over LSP.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::needed;

/// Names a directory in which `yaml-language-server` is installed.
const NODE_MODULES: &str = "POSTROOM_NODE_MODULES";
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(60);

const TEXT: &str = "version: 1\nmailAccounts:\n  support:\n    type: \n    host: mx.example.com\n    \
                    pollInterval: 10\n    aftrFetch: keep\n";

/// The program, or `None` and a word about it.
fn program() -> Option<PathBuf> {
    let modules = std::env::var_os(NODE_MODULES).map(PathBuf::from);
    let program = modules.map(|it| it.join("yaml-language-server/bin/yaml-language-server"));
    let program = program.filter(|program| program.is_file());
    needed::found(program, &format!("{NODE_MODULES} holds no yaml-language-server"))
}

/// An editor with one file open.
struct Editor {
    server: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    uri: String,
    last: u64,
    problems: Option<Value>,
    _folder: tempfile::TempDir,
}

impl Editor {
    fn open(program: &Path, text: &str) -> Editor {
        let folder = tempfile::tempdir().unwrap();
        let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/postroom.schema.json");
        let path = folder.path().join("desk.yaml");
        let whole = format!("# yaml-language-server: $schema=file://{}\n{text}", schema.display());
        std::fs::write(&path, &whole).unwrap();
        let mut server = Command::new("node")
            .arg(program)
            .arg("--stdio")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs");
        let (to, from) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
        let uri = format!("file://{}", path.display());
        let mut editor = Editor {
            server,
            to,
            from: messages(from),
            uri: uri.clone(),
            last: 0,
            problems: None,
            _folder: folder,
        };
        let able =
            json!({ "textDocument": { "hover": {}, "completion": {}, "publishDiagnostics": {} } });
        let root = json!({ "processId": null, "rootUri": null, "capabilities": able });
        editor.ask("initialize", root);
        editor.tell("initialized", json!({}));
        let document = json!({ "uri": uri, "languageId": "yaml", "version": 1, "text": whole });
        editor.tell("textDocument/didOpen", json!({ "textDocument": document }));
        editor
    }

    fn send(&mut self, mut message: Value) {
        message["jsonrpc"] = "2.0".into();
        let body = message.to_string();
        write!(self.to, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        self.to.flush().unwrap();
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(json!({ "method": method, "params": params }));
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let id = self.last;
        self.send(json!({ "id": id, "method": method, "params": params }));
        self.wait(|message| message.get("method").is_none() && message["id"] == id)["result"]
            .clone()
    }

    /// Answers what the server asks meanwhile, and keeps the problems it publishes.
    fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.from.recv_timeout(left).expect("the server answers in time");
            if message["method"] == "textDocument/publishDiagnostics" {
                self.problems = Some(message["params"]["diagnostics"].clone());
            } else if message.get("method").is_some() && message.get("id").is_some() {
                let count = message["params"]["items"].as_array().map_or(0, Vec::len);
                let result = vec![Value::Null; count];
                self.send(json!({ "id": message["id"], "result": result }));
            }
            if wanted(&message) {
                return message;
            }
        }
    }

    /// The schema's line stands before line 1 of the text.
    fn at(&self, line: usize, character: usize) -> Value {
        json!({ "textDocument": { "uri": self.uri }, "position": { "line": line, "character": character } })
    }

    fn problems(&mut self) -> Vec<Value> {
        if self.problems.is_none() {
            self.wait(|message| message["method"] == "textDocument/publishDiagnostics");
        }
        self.problems.clone().unwrap().as_array().unwrap().clone()
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Frames of the base protocol, one message each.
fn messages(from: impl Read + Send + 'static) -> Receiver<Value> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        while let Some(message) = message(&mut from) {
            if send.send(message).is_err() {
                break;
            }
        }
    });
    receive
}

fn message(from: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().ok()?;
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

#[test]
fn an_editor_completes_explains_and_marks() {
    let Some(program) = program() else { return };
    let mut editor = Editor::open(&program, TEXT);
    // Completion of `type:`.
    let asked = editor.at(4, 10);
    let answer = editor.ask("textDocument/completion", asked);
    let items = answer["items"].as_array().or(answer.as_array()).unwrap();
    let labels: Vec<&str> = items.iter().filter_map(|item| item["label"].as_str()).collect();
    for word in ["imap", "imaps", "imaptls", "imapoauth2", "pop3", "graph", "maildir"] {
        assert!(labels.contains(&word), "{word} is offered: {labels:?}");
    }
    // Text of a hover.
    let asked = editor.at(6, 8);
    let answer = editor.ask("textDocument/hover", asked);
    let shown = answer["contents"]["value"].as_str().unwrap().to_owned();
    assert!(shown.contains("Time between two looks"), "{shown}");
    // Place of an error.
    let problems = editor.problems();
    let lines: Vec<u64> =
        problems.iter().map(|it| it["range"]["start"]["line"].as_u64().unwrap()).collect();
    assert!(lines.contains(&7), "the misspelt key is marked: {problems:#?}");
    assert!(lines.contains(&6), "the duration without unit is marked: {problems:#?}");
    assert!(!lines.contains(&5), "the host is fine: {problems:#?}");
}
