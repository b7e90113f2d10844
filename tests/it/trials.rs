//! `postroom test`: sequences of mails and actions, `--update`, reports; and the commands that a
//! pull request runs.

use std::path::Path;
use std::process::{Command, Output};

const DESK: &str = "version: 1\n\
    queues:\n\
    \x20 support: {sender: desk, autoReplies: {new: thanks}, followUp: {closed: reopen}}\n\
    \x20 vip: {}\n\
    systemAddresses: {support@desk.example: {queue: support}}\n\
    autoReplies: {thanks: {from: support@desk.example, subject: {en: Thanks}, text: {en: We read it.}}}\n\
    smtp: {out: {type: file, directory: out}}\n\
    senders: {desk: {from: support@desk.example, via: [out]}}\n\
    users: {alice: {email: alice@agents.example, subscriptions: {queues: [support], events: [ticketCreated, followUpUnlocked]}}}\n\
    mailAccounts: {inbox: {type: maildir, path: mail, dispatch: {by: recipient}, afterFetch: keep}}\n\
    filters: {boss: {order: 1, match: [{header: From, address: 'boss@vip\\.example'}], set: {queue: vip}}}\n";

/// Two mails and an action between them, in a file of tests alone.
const STEPS: &str = "version: 1\ntests:\n\
    \x20 # Why this matters.\n\
    \x20 - name: a closed ticket opens again\n\
    \x20   steps:\n\
    \x20     - mail:\n\
    \x20         account: inbox\n\
    \x20         text: |\n\
    \x20           From: Eve <eve@cust.example>\n\
    \x20           To: support@desk.example\n\
    \x20           Subject: Printer\n\
    \x20           Message-ID: <one@cust.example>\n\
    \n\
    \x20           Broken.\n\
    \x20       expect: {outcome: created, ticket: 1, queue: support, state: new, autoReply: thanks, notified: [alice], owed: [autoReply to eve@cust.example, notification to alice@agents.example], suppressed: none, owner: none}\n\
    \x20     - {agent: alice, do: {reply: Done., state: closed successful}, expect: {state: closed successful, owed: [reply to eve@cust.example]}}\n\
    \x20     - later: 3d\n\
    \x20       mail:\n\
    \x20         account: inbox\n\
    \x20         text: |\n\
    \x20           From: Eve <eve@cust.example>\n\
    \x20           To: support@desk.example\n\
    \x20           Subject: Again\n\
    \x20           Message-ID: <two@cust.example>\n\
    \x20           In-Reply-To: {{ sent 1 }}\n\
    \n\
    \x20           Broken again.\n\
    \x20       expect:\n\
    \x20         outcome: followUp # not a new one\n\
    \x20         ticket: 1\n\
    \x20         state: open\n\
    \x20 - name: the boss is important\n\
    \x20   mail: {file: boss.eml, account: inbox}\n\
    \x20   expect: {outcome: created, queue: vip, filters: [boss]}\n";

const BOSS: &str = "From: boss@vip.example\nTo: support@desk.example\nSubject: Call\nMessage-ID: <b@vip.example>\n\nNow.\n";

pub fn desk() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "config/desk.yaml", DESK);
    write(folder.path(), "config/desk_test.yaml", STEPS);
    write(folder.path(), "config/boss.eml", BOSS);
    folder
}

pub fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

pub fn edit(folder: &Path, name: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(text.contains(from), "{from:?} in {text}");
    write(folder, name, &text.replace(from, to));
}

fn postroom(folder: &Path, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_postroom"));
    program.args(arguments).current_dir(folder).env_clear().output().unwrap()
}

#[track_caller]
fn check(folder: &Path, more: &[&str], exit: i32, words: &[&str]) -> String {
    let output = postroom(folder, &[&["test", "-c", "config"], more].concat());
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(exit), "{said}");
    for words in words {
        assert!(said.contains(words), "{words:?} in:\n{said}");
    }
    said
}

#[test]
fn mails_and_actions_one_after_the_other() {
    let folder = desk();
    let words =
        ["ok     a closed ticket opens again", "ok     the boss is important", "2 tests, 0 failed"];
    check(folder.path(), &[], 0, &words);
    check(folder.path(), &["--format", "junit"], 0, &["<testsuites tests=\"2\" failures=\"0\""]);
    check(folder.path(), &["--only", "boss"], 0, &["1 test, 0 failed"]);
}

/// A desk on which something falls due, and what must come of it and when. Steps are at 9:01, 9:02,
/// 11:00, 11:02 (two hours after the lock), 11:03, 20:04, 22:05, 5:06, 8:07.
const DUE: &str = "version: 1\n\
    queues: {support: {lockTimeout: 2h}}\n\
    users:\n\
    \x20 alice: {email: alice@agents.example, subscriptions: {queues: [support], events: [lockTimeout, pendingReached]}}\n\
    \x20 daily: {email: daily@agents.example, subscriptions: {queues: [support], events: {ticketCreated: [mail]}, digest: daily 08:00}}\n\
    \x20 night: {email: night@agents.example, subscriptions: {queues: [support], events: [ticketCreated], quietHours: {from: \"09:00\", to: \"11:01\"}}}\n\
    smtp: {out: {type: file, directory: out}}\n\
    senders: {default: {from: support@desk.example, via: [out]}}\n\
    mailAccounts: {inbox: {type: maildir, path: mail, dispatch: {by: queue, queue: support}, afterFetch: keep}}\n\
    tests:\n\
    \x20 - name: what falls due happens\n\
    \x20   steps:\n\
    \x20     - mail: {account: inbox, text: \"From: eve@cust.example\\nSubject: A\\n\\nB\\n\"}\n\
    \x20       expect: {outcome: created, notified: [night], owed: [notification to night@agents.example], due: [], lock: false}\n\
    \x20     - {agent: alice, do: {owner: alice, lock: true}, expect: {lock: true, notified: [], due: []}}\n\
    \x20     - {later: 117m, expect: {lock: true, notified: [], due: []}}\n\
    \x20     - {later: 1m, expect: {lock: false, owner: alice, notified: [alice], owed: [notification to alice@agents.example], due: [notification to alice@agents.example, notification to night@agents.example]}}\n\
    \x20     - {agent: alice, do: {state: pending, pendingTime: +10h}, expect: {state: pending, lock: false}}\n\
    \x20     - {later: 9h, ticket: 1, expect: {notified: []}}\n\
    \x20     - {later: 2h, expect: {notified: [alice], owed: [notification to alice@agents.example]}}\n\
    \x20     - {later: 7h, expect: {notified: [], due: []}}\n\
    \x20     - {later: 3h, expect: {notified: [daily], owed: [notification to daily@agents.example], due: [notification to daily@agents.example]}}\n\
    \x20     - {later: 30d, expect: {notified: [], owed: [], due: []}}\n";

#[test]
fn what_falls_due_happens_when_it_does() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "config/desk.yaml", DUE);
    check(folder.path(), &[], 0, &["ok     what falls due happens"]);
    // Expectations that are not met are told, and written back as they are read.
    edit(folder.path(), "config/desk.yaml", "lockTimeout: 2h", "lockTimeout: 3h");
    let words = ["step 4: lock is true, not false", "step 4: notified is [], not [alice]"];
    check(folder.path(), &[], 4, &words);
    check(folder.path(), &["--update"], 0, &["1 test, 0 failed"]);
    check(folder.path(), &[], 0, &["1 test, 0 failed"]);
    let text = std::fs::read_to_string(folder.path().join("config/desk.yaml")).unwrap();
    assert!(text.contains("{later: 1m, expect: {lock: true, owner: alice, notified: []"), "{text}");
    // Without a timeout, quiet hours and a digest nothing falls due but the pending time.
    let plain = DUE.replace("lockTimeout: 2h", "").replace(", digest: daily 08:00", "");
    write(folder.path(), "config/desk.yaml", &plain);
    let words = ["step 1: notified is [daily, night], not [night]", "step 9: notified is [], not"];
    let said = check(folder.path(), &[], 4, &words);
    assert!(!said.contains("step 7: notified"), "{said}");
}

/// Two agents and a customer, one after the other, on two tickets.
const AGENTS: &str = "version: 1\n\
    tests:\n\
    \x20 - name: from hand to hand\n\
    \x20   steps:\n\
    \x20     - {mail: {file: boss.eml, account: inbox}, expect: {ticket: 1, queue: vip, owner: none}}\n\
    \x20     - {mail: {account: inbox, text: \"From: eve@cust.example\\nTo: support@desk.example\\nSubject: A\\n\\nB\\n\"}, expect: {ticket: 2}}\n\
    \x20     - {agent: alice, ticket: 1, do: {owner: bob, priority: 5 very high, note: For you.}, expect: {ticket: 1, owner: bob, priority: 5 very high, notified: [bob]}}\n\
    \x20     - {agent: bob, ticket: 1, do: {lock: true, reply: Soon.}, expect: {lock: true, owed: [reply to boss@vip.example]}}\n\
    \x20     - {agent: bob, ticket: 1, do: {queue: support}, expect: {queue: support}}\n\
    \x20     - {agent: alice, do: {state: closed}, expect: {ticket: 2, state: closed}}\n\
    \x20     - {later: 1h, ticket: 1, expect: {ticket: 1, queue: support, owner: bob, state: open}}\n";

#[test]
fn agents_act_in_turn() {
    let folder = desk();
    let bob = "bob: {email: bob@agents.example, subscriptions: {queues: [support], events: [ownerChanged]}}, alice:";
    edit(folder.path(), "config/desk.yaml", "{alice:", &format!("{{{bob}"));
    write(folder.path(), "config/agents_test.yaml", AGENTS);
    check(folder.path(), &["--only", "hand"], 0, &["ok     from hand to hand"]);
}

/// What JUnit reports have in common: these elements in this order, these attributes.
#[track_caller]
fn check_junit(xml: &str) -> Vec<(String, Option<String>)> {
    let document = roxmltree::Document::parse(xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    let suites = document.root_element();
    let named = |node: roxmltree::Node<'_, '_>| {
        node.attributes().map(|it| it.name().to_owned()).collect::<Vec<String>>()
    };
    assert_eq!(suites.tag_name().name(), "testsuites");
    assert_eq!(named(suites), ["tests", "failures", "errors"]);
    let all: Vec<_> = suites.children().filter(|it| it.is_element()).collect();
    let [suite] = all[..] else { panic!("{xml}") };
    assert_eq!(suite.tag_name().name(), "testsuite");
    assert_eq!(named(suite), ["name", "tests", "failures", "errors", "skipped", "time"]);
    let mut cases = Vec::new();
    for case in suite.children().filter(|it| it.is_element()) {
        assert_eq!(case.tag_name().name(), "testcase");
        assert_eq!(named(case), ["classname", "name", "time"]);
        assert!(case.attribute("time").unwrap().parse::<f64>().is_ok(), "{xml}");
        let below: Vec<_> = case.children().filter(|it| it.is_element()).collect();
        let names: Vec<&str> = below.iter().map(|it| it.tag_name().name()).collect();
        let orders: [&[&str]; 4] = [&[], &["failure"], &["system-out"], &["failure", "system-out"]];
        assert!(orders.contains(&&names[..]), "{names:?}");
        let failure = below.iter().find(|it| it.has_tag_name("failure"));
        let message = failure.map(|it| it.attribute("message").unwrap().to_owned());
        cases.push((case.attribute("name").unwrap().to_owned(), message));
    }
    let failed = cases.iter().filter(|(_, message)| message.is_some()).count();
    for counted in [suites, suite] {
        assert_eq!(counted.attribute("tests"), Some(cases.len().to_string().as_str()));
        assert_eq!(counted.attribute("failures"), Some(failed.to_string().as_str()));
    }
    cases
}

#[test]
fn reports_of_junit_are_read_by_others() {
    let folder = desk();
    let hostile = "]]> <b a='1'>&amp;\\\"\\a\\u0085\\uFFFE日本\\r\\n--> <![CDATA[";
    edit(
        folder.path(),
        "config/desk_test.yaml",
        "the boss is important",
        &format!("\"{hostile}\""),
    );
    edit(folder.path(), "config/desk.yaml", "boss@vip", "chef@vip");
    let cases = check_junit(&check(folder.path(), &["--format", "junit"], 4, &[]));
    assert_eq!(cases.len(), 2);
    assert_eq!(cases[0], ("a closed ticket opens again".into(), None));
    let (name, message) = &cases[1];
    assert!(name.starts_with("]]> <b a='1'>&amp;\"\u{fffd}"), "{name}");
    assert!(name.contains("日本") && name.ends_with("--> <![CDATA["), "{name}");
    assert_eq!(message.as_deref(), Some("queue is support, not vip"));
    let output = postroom(folder.path(), &["check", "-c", "config", "--format", "junit"]);
    check_junit(&String::from_utf8(output.stdout).unwrap());
}

#[test]
fn what_fails_is_told_with_its_step() {
    let folder = desk();
    edit(folder.path(), "config/desk.yaml", "closed: reopen", "closed: newTicket");
    let words = [
        "failed a closed ticket opens again",
        "step 3: outcome is created, not followUp",
        "step 3: ticket is 2, not 1",
    ];
    check(folder.path(), &[], 4, &words);
    let github = [
        "::error file=config/desk_test.yaml,line=4,col=5::test \"a closed ticket opens again\": step 3",
    ];
    check(folder.path(), &["--format", "github"], 4, &github);
    check(
        folder.path(),
        &["--format", "junit"],
        4,
        &["failures=\"1\"", "<failure message=\"step 3: outcome is created, not followUp\">"],
    );
    check(folder.path(), &["--format", "markdown"], 4, &["### Postroom: 1 of 2 tests failed"]);
    check(folder.path(), &["--format", "json"], 4, &["\"line\": 4"]);
}

/// Formats of the results; all of them end up where strangers read them.
const FORMATS: [&str; 5] = ["human", "json", "junit", "github", "markdown"];

/// Proposes a test whose mail is a file, with an expectation that fails for any mail.
fn propose(folder: &Path, file: &str) {
    let test = format!(
        "version: 1\ntests:\n- name: proposed\n  mail: {{account: inbox, file: {file}}}\n\
         \x20 expect: {{queue: Raw, owed: [], notified: [], due: [], suppressed: x, outcome: ignored}}\n"
    );
    write(folder, "config/desk_test.yaml", &test);
}

#[test]
fn mail_of_a_test_stays_beneath_the_configuration() {
    let folder = desk();
    let path = folder.path();
    write(path, "secret", "From: canary <canary@secret.example>\nSubject: canary\n\ncanary\n");
    write(path, "config/.git/config", "From: canary <canary@secret.example>\n\ncanary\n");
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, path.join("config").join(name)).unwrap();
    };
    link("/proc/self/environ", "environ.eml");
    link("../secret", "relative.eml");
    link("environ.eml", "twice.eml");
    link("..", "up");
    let absolute = path.join("secret").display().to_string();
    let outside = "lies outside the configuration directory";
    for (file, words) in [
        ("../secret", outside),
        ("environ.eml", outside),
        ("relative.eml", outside),
        ("twice.eml", outside),
        ("/proc/self/environ", "must be a path relative to this file"),
        (&absolute, "must be a path relative to this file"),
        (".git/config", "lies in a directory .git"),
        ("up/secret", outside),
    ] {
        propose(path, file);
        // A link to a folder outside is told by all commands, wherever it is used.
        if file == "up/secret" {
            let said = check(path, &[], 3, &["up", outside]);
            assert!(!said.contains("canary"), "{said}");
            continue;
        }
        let _ = std::fs::remove_file(path.join("config/up"));
        for format in FORMATS {
            let said = check(path, &["--format", format], 4, &[words]);
            assert!(!said.contains("canary") && !said.contains("PATH="), "{said}");
        }
        link("..", "up");
    }
}

#[test]
fn results_show_nothing_of_a_mail_unless_asked() {
    let folder = desk();
    let path = folder.path();
    let boss = "From: Canary <canary@cust.example>\nTo: support@desk.example\n\
        Cc: canary2@cust.example\nSubject: canary\nMessage-ID: <canary@cust.example>\n\ncanary\n";
    write(path, "config/boss.eml", boss);
    propose(path, "boss.eml");
    for format in FORMATS {
        let said = check(path, &["--format", format], 4, &["(from the mail)", "queue is support"]);
        assert!(!said.to_lowercase().contains("canary"), "{said}");
        // An address of the configuration stays.
        assert!(
            said.contains("alice@agents.example") || said.contains("alice&#64;agents"),
            "{said}"
        );
        let said = check(path, &["--format", format, "--show-mails"], 4, &["canary"]);
        assert!(!said.contains("(from the mail)"), "{said}");
    }
    // What is expected is written in the files anyway.
    edit(path, "config/desk_test.yaml", "owed: []", "owed: [autoReply to canary@cust.example]");
    check(path, &[], 4, &["owed is [autoReply to canary@cust.example, notification to alice"]);
    // What is written back is as it was observed.
    check(path, &["--update"], 0, &[]);
    let written = std::fs::read_to_string(path.join("config/desk_test.yaml")).unwrap();
    assert!(written.contains("due: [autoReply to canary@cust.example"), "{written}");
}

#[test]
fn update_writes_through_no_link() {
    let folder = desk();
    let path = folder.path();
    write(path, "victim", "untouched");
    write(path, "config/shared/a_test.yaml", STEPS);
    std::fs::remove_file(path.join("config/desk_test.yaml")).unwrap();
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, path.join(name)).unwrap();
    };
    link("shared/a_test.yaml", "config/desk_test.yaml");
    link("../../victim", "config/shared/a_test.yaml.postroom-new");
    edit(path, "config/desk.yaml", "closed: reopen", "closed: newTicket");
    check(path, &["--update"], 0, &["wrote"]);
    assert_eq!(std::fs::read_to_string(path.join("victim")).unwrap(), "untouched");
    check(path, &[], 0, &[]);
}

#[test]
fn observed_is_written_in_the_place_of_expected() {
    let folder = desk();
    edit(folder.path(), "config/desk.yaml", "closed: reopen", "closed: newTicket");
    edit(folder.path(), "config/desk.yaml", "boss@vip", "chef@vip");
    check(folder.path(), &["--update"], 0, &["wrote config/desk_test.yaml", "2 tests, 0 failed"]);
    let text = std::fs::read_to_string(folder.path().join("config/desk_test.yaml")).unwrap();
    let expected = STEPS
        .replace(
            "followUp # not a new one\n          ticket: 1\n          state: open",
            "created # not a new one\n          ticket: 2\n          state: new",
        )
        .replace("queue: vip, filters: [boss]", "queue: support, filters: []");
    assert_eq!(text, expected);
    check(folder.path(), &[], 0, &["2 tests, 0 failed"]);
}

#[test]
fn steps_that_cannot_be_carried_out() {
    let folder = desk();
    edit(folder.path(), "config/desk_test.yaml", "agent: alice,", "agent: alice, ticket: 7,");
    check(folder.path(), &[], 4, &["step 2: there is no ticket 7 yet"]);
    edit(folder.path(), "config/desk_test.yaml", "boss.eml", "nowhere.eml");
    check(folder.path(), &[], 4, &["mail config/nowhere.eml could not be read"]);
}

/// The hooks of pre-commit, run as it would run them.
#[test]
fn hooks_run() {
    let folder = desk();
    let text = include_str!("../../.pre-commit-hooks.yaml");
    let hooks = postroom::config::document::parse(text).unwrap().remove(0);
    let hooks = hooks.as_array().unwrap();
    assert_eq!(hooks.len(), 2);
    for hook in hooks {
        let mut words: Vec<&str> = hook["entry"].as_str().unwrap().split(' ').collect();
        words.extend(hook["args"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()));
        assert_eq!(words.remove(0), "postroom");
        let output = postroom(folder.path(), &words);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{words:?}: {said}");
    }
    edit(folder.path(), "config/desk.yaml", "queue: vip}", "queue: vpi}");
    let output = postroom(folder.path(), &["check", "--strict", "-c", "config"]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn the_desk_is_drawn() {
    let folder = desk();
    let output = postroom(folder.path(), &["graph", "-c", "config"]);
    let drawn = String::from_utf8(output.stdout).unwrap();
    assert!(drawn.starts_with("flowchart LR\n") && drawn.contains("1 boss"), "{drawn}");
    let output = postroom(folder.path(), &["graph", "-c", "config", "--format", "dot"]);
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("digraph desk {"));
}
