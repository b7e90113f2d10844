//! The real program: its help, its exit codes, what it says.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

fn postroom(arguments: &[&str]) -> Output {
    let empty = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_postroom"))
        .args(arguments)
        .current_dir(empty.path())
        .env_clear()
        .output()
        .unwrap()
}

#[track_caller]
fn check(arguments: &[&str], exit: i32, said: &str) {
    let output = postroom(arguments);
    let all = [output.stdout, output.stderr].concat();
    let all = String::from_utf8(all).unwrap();
    assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {all}");
    assert!(all.contains(said), "{arguments:?} should say {said:?}:\n{all}");
}

/// An address at which nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A server that answers one request with these bytes and hands out what it was asked.
fn answering(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 1024];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the request ended early");
            request.extend_from_slice(&buffer[..count]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (url, asked)
}

#[test]
fn help_and_version_are_fine() {
    check(&["--help"], 0, "Run the daemon");
    check(&["--version"], 0, env!("CARGO_PKG_VERSION"));
    check(&["outbox", "ls", "--help"], 0, "Examples:");
}

#[test]
fn wrong_usage() {
    check(&[], 64, "Usage:");
    check(&["rnu"], 64, "unrecognized subcommand");
    check(&["run"], 64, "--config");
    check(&["mails", "show", "x"], 64, "invalid value");
    check(&["status", "--url", "gopher://x"], 64, "neither http nor https");
    check(&["run", "-c", ".", "--log", "a=b=c"], 64, "log filter");
}

#[test]
fn nobody_listens() {
    check(&["status", "--url", &nobody()], 69, "could not reach the daemon");
    check(&["reload", "--url", &nobody()], 69, "is it running");
    check(&["status", "--wait", "--timeout", "0", "--url", &nobody()], 69, "could not reach");
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    check(&["store", "verify", "--data", "nowhere"], 1, "there is no store in nowhere");
}

#[test]
fn completions_for_a_shell() {
    check(&["completions", "bash"], 0, "_postroom()");
}

#[test]
fn the_token_is_sent_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "s3cret-token\n").unwrap();
    let answer = "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/problem+json\r\n\
                  connection: close\r\n\r\n\
                  {\"type\":\"about:blank\",\"title\":\"Unauthorized\",\"status\":401,\"detail\":\"no such token\\u001b\"}";
    let (url, asked) = answering(answer);
    let output = postroom(&["status", "--url", &url, "--token-file", file.to_str().unwrap()]);
    let asked = asked.join().unwrap();
    assert!(asked.contains("authorization: Bearer s3cret-token\r\n"), "{asked}");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no such token"), "{said}");
    assert!(!said.contains("s3cret") && !said.contains('\u{1b}'), "{said}");
}

#[test]
fn problems_of_a_reload_have_their_own_exit() {
    let answer = "HTTP/1.1 422 Unprocessable Entity\r\nconnection: close\r\n\r\n\
                  {\"type\":\"about:blank\",\"title\":\"x\",\"status\":422,\"detail\":\"nothing changed\",\
                  \"problems\":[{\"severity\":\"error\",\"file\":\"desk.yaml\",\"line\":3,\"column\":5,\
                  \"path\":\"queues.a\",\"message\":\"is wrong\",\"hint\":\"right it\"}]}";
    let (url, asked) = answering(answer);
    check(&["reload", "--url", &url], 3, "desk.yaml:3:5 queues.a: is wrong");
    assert!(asked.join().unwrap().starts_with("POST /-/reload HTTP/1.1\r\n"));
}

#[test]
fn an_answer_that_is_none() {
    let (url, _) = answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    check(&["status", "--url", &url], 1, "could not read the daemon's answer");
    let (url, _) = answering("220 mail.example ESMTP\r\n");
    check(&["status", "--url", &url], 69, "could not reach the daemon");
}

#[test]
fn files_that_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("desk.yaml");
    std::fs::write(&file, "version: 1\nqueeus: {}\n").unwrap();
    let path = file.to_str().unwrap();
    check(&["check", "-c", path], 3, "desk.yaml:2:1");
    check(&["check", "-c", path, "--format", "github"], 3, "::error file=");
    check(&["check", "-c", path, "--format", "json"], 3, "\"valid\": false");
    check(&["plan", "-c", path], 3, "queeus");
    check(&["run", "-c", path, "--data", data(&folder), "--on-invalid", "exit"], 78, "queeus");
}

#[test]
fn places_that_cannot_be_used() {
    check(&["check", "-c", "nowhere.yaml"], 3, "nowhere.yaml:1:1 could not be read");
    check(&["check", "-c", "nowhere"], 3, "hint: is the path right?");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("desk.yaml");
    std::fs::write(&file, "version: 1\n").unwrap();
    let path = file.to_str().unwrap();
    check(&["plan", "-c", &format!("{path}/x.yaml")], 3, "hint: is the path right?");
    // A file is no directory, and holds none.
    for data in [path, &format!("{path}/data")] {
        let run = ["run", "-c", path, "--data", data, "--listen", "127.0.0.1:0"];
        check(&run, 1, &format!("could not open the store: could not make directory {data}"));
        check(&run, 1, "hint: --data names a directory");
    }
    std::os::unix::fs::symlink("gone", folder.path().join("link.yaml")).unwrap();
    check(&["check", "-c", folder.path().to_str().unwrap()], 3, "link.yaml:1:1 could not be read");
}

#[test]
fn files_that_are_good() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("desk.yaml");
    std::fs::write(&file, "version: 1\nqueues: {support: {}}\n").unwrap();
    let path = file.to_str().unwrap();
    check(&["check", "-c", path], 0, "is good");
    let plan = ["plan", "-c", path, "--url", &nobody(), "--data", data(&folder)];
    check(&plan, 2, "queues.support");
    check(&["probe", "nobody", "-c", path], 64, "there is no mail account or SMTP server");
}

#[test]
fn the_schema_is_one() {
    check(&["schema"], 0, "\"$schema\"");
}

fn data(folder: &tempfile::TempDir) -> &str {
    let path: &Path = folder.path();
    path.to_str().unwrap()
}
