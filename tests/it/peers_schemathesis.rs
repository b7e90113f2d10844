//! What the OpenAPI document promises, asked by schemathesis: no fault of ours, no status, no media
//! type and no shape that is not documented, whatever is sent.

use std::process::Command;

use crate::daemon::{Daemon, until};
use crate::needed;

/// Names the program of the `schemathesis` package.
const SCHEMATHESIS: &str = "POSTROOM_SCHEMATHESIS";
/// Requests made up for each operation, beside those that cover each parameter.
const EXAMPLES: &str = "15";

const DESK: &str = r#"version: 1
mailAccounts:
  local: {type: maildir, path: "{dir}/mail", dispatch: {by: recipient}, since: all, afterFetch: delete, pollInterval: 1s}
smtp:
  files: {type: file, directory: "{dir}/sent"}
senders:
  default: {from: desk@desk.example, via: [files]}
queues: {support: {}}
users:
  alice: {email: alice@desk.example, role: user, subscriptions: {queues: [Raw], events: [ticketCreated]}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_interface_is_as_documented() {
    let program = std::env::var(SCHEMATHESIS).ok();
    let missing = format!("{SCHEMATHESIS} names no schemathesis");
    let Some(program) = needed::found(program, &missing) else { return };
    let daemon = Daemon::start(DESK).await;
    daemon.deliver("m1", b"From: eve@cust.example\r\nSubject: hello\r\n\r\ntext\r\n");
    daemon.mails(1).await;
    let token =
        until("a token", || std::fs::read_to_string(daemon.path("data").join("api-token")).ok())
            .await;
    let url = format!("http://{}/api/v1/openapi.json", daemon.app().addr());
    let scratch = daemon.folder.path().to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        Command::new(program)
            .current_dir(scratch)
            .args(["run", &url, "--no-color", "--seed", "1", "--workers", "1"])
            .args(["--header", &format!("Authorization: Bearer {token}")])
            .args(["--phases", "coverage,fuzzing", "--max-examples", EXAMPLES])
            .args(["--checks", "not_a_server_error,status_code_conformance"])
            .args(["--checks", "content_type_conformance,response_schema_conformance"])
            // It would write where it is told to.
            .args(["--exclude-path", "/api/v1/store/backup"])
            // It makes up no mails; `intake` and `hostile` do.
            .args(["--exclude-path", "/api/v1/explain"])
            .args(["--suppress-health-check", "all", "--warnings", "off"])
            .args(["--continue-on-failure", "--request-timeout", "20"])
            .output()
    });
    let output = asked.await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let end: String =
        said.chars().rev().take(6_000).collect::<Vec<_>>().into_iter().rev().collect();
    assert!(output.status.success(), "{end}{}", String::from_utf8_lossy(&output.stderr));
    // Its own count of what it did: an empty run would succeed as well.
    assert!(said.contains("Operations:"), "{end}");
    assert!(daemon.app().handle().store.verify().unwrap().is_empty());
}
