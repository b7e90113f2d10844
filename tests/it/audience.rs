//! Who is told of an event, who is not, and which line of the files decides it: by the command, with
//! a real daemon and real files. The page says the same; a browser looks at it in `browser_pages`.

use serde_json::Value;

use crate::daemon::Daemon;

const DESK: &str = "version: 1
mailAccounts:
  support: {type: maildir, path: '{dir}/mail', dispatch: {by: queue, queue: support}, pollInterval: 1s, afterFetch: keep, since: all}
queues: {support: {}, sales: {}}
users:
  alice: {email: alice@corp.example, role: user, subscriptions: {queues: [support], events: {ticketCreated: [web]}}}
  bob:
    email: bob@corp.example
    role: user
    subscriptions:
      queues: [support]
      mineOnly: true
      events: {ticketCreated: [web], noteAdded: [web]}
  carol: {email: carol@corp.example, role: user, subscriptions: {queues: [sales], events: {ticketCreated: [web]}}}
  dave: {email: dave@corp.example, role: user, state: disabled, subscriptions: {queues: [support], events: {ticketCreated: [web]}}}
  erin: {email: erin@corp.example, role: user, subscriptions: {queues: [support], events: {noteAdded: [web]}}}
";

/// Where a user stands in the files.
fn line_of(text: &str) -> usize {
    DESK.lines().position(|line| line.contains(text)).unwrap() + 1
}

async fn explain(daemon: &Daemon, arguments: &[&str]) -> (Option<i32>, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_postroom"))
        .args(["notify", "explain"])
        .args(arguments)
        .env_clear()
        .env("POSTROOM_URL", format!("http://{}", daemon.app().addr()))
        .env("POSTROOM_DATA", daemon.path("data"))
        .output();
    let output = output.await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_who_and_why_and_where() {
    let daemon = Daemon::start(DESK).await;
    daemon.deliver("1", b"From: eve@cust.example\r\nSubject: hello\r\n\r\ntext\r\n");
    let number = daemon.mails(1).await[0].ticket.clone().unwrap();
    let (exit, text) = explain(&daemon, &[&number, "ticketCreated"]).await;
    assert_eq!(exit, Some(0), "{text}");
    let line = |who: &str| {
        let found = text.lines().find(|line| line.starts_with(who));
        found.unwrap_or_else(|| panic!("{who} is not in {text}")).to_owned()
    };
    for (who, told, place, path) in [
        ("alice", "web", line_of("alice:"), "users.alice.subscriptions.events.ticketCreated"),
        ("bob", "no", line_of("mineOnly: true"), "users.bob.subscriptions.mineOnly"),
        ("carol", "no", line_of("carol:"), "users.carol.subscriptions"),
        ("dave", "no", line_of("dave:"), "users.dave.state"),
        ("erin", "no", line_of("erin:"), "users.erin.subscriptions.events"),
    ] {
        let said = line(who);
        assert_eq!(said.split_whitespace().nth(1), Some(told), "{said}");
        assert!(said.contains(&format!("desk.yaml:{place}")) && said.contains(path), "{said}");
    }
    assert!(text.lines().nth(1).unwrap().starts_with("alice"), "who is told comes first: {text}");

    // The same for programs, and what rang is what was said.
    let (exit, json) = explain(&daemon, &[&number, "ticketCreated", "--format", "json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    let told: Vec<&str> = json["people"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["told"] == true)
        .map(|one| one["who"].as_str().unwrap())
        .collect();
    assert_eq!((exit, told), (Some(0), vec!["alice"]));
    let store = &daemon.app().handle().store;
    let rang = |who: &str| store.bells(who, None, 10).unwrap().items.len();
    assert_eq!(["alice", "bob", "carol", "dave", "erin"].map(rang), [1, 0, 0, 0, 0]);

    // Nobody is told of what he did himself.
    let (_, own) = explain(&daemon, &[&number, "ticketCreated", "--by", "alice"]).await;
    assert!(
        own.lines().find(|line| line.starts_with("alice")).unwrap().contains("himself"),
        "{own}"
    );
    for (arguments, said) in [
        (["20200101100000", "ticketCreated"], "no ticket"),
        ([number.as_str(), "ticketBurned"], "ticketBurned"),
    ] {
        let (exit, text) = explain(&daemon, &arguments).await;
        assert!(exit == Some(1) && text.contains(said), "{exit:?} {text}");
    }
}
