//! What a pull request sees beforehand: plans and replays against revisions of git, through the
//! real program and a real repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use std::time::Duration;

use postroom::app::{App, OnInvalid, Options};
use postroom::run::clock::Clock;
use serde_json::Value;

/// A repository with a desk in it, whose first revision is tagged `before`.
pub struct Repository {
    folder: tempfile::TempDir,
}

const DESK: &str = "version: 1\n\
    queues: {support: {}, vip: {}}\n\
    systemAddresses: {support@desk.example: {queue: support}}\n\
    mailAccounts:\n\
    \x20 inbox: {type: maildir, path: ../mail, dispatch: {by: recipient}, afterFetch: keep, since: all}\n";
const FILTERS: &str = "version: 1\nfilters:\n\
    \x20 vip: {order: 1, match: [{header: From, address: '.*@vip\\.example'}], set: {queue: vip}}\n\
    \x20 boss: {order: 2, match: [{header: From, address: 'boss@vip\\.example'}], set: {priority: 5 very high}}\n";

impl Repository {
    pub fn new() -> Repository {
        let repository = Repository { folder: tempfile::tempdir().unwrap() };
        repository.write("config/desk.yaml", DESK);
        repository.write("config/rules/filters.yaml", FILTERS);
        // A store that is written to while it is added confuses git.
        repository.write(".gitignore", "data/\n");
        repository.git(&["init", "-q", "-b", "main"]);
        repository.commit();
        repository.git(&["tag", "before"]);
        repository
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn commit(&self) {
        self.git(&["add", "-A"]);
        let who = ["-c", "user.name=t", "-c", "user.email=t@x.test"];
        self.git(&[&who[..], &["commit", "-q", "-m", "x"]].concat());
    }

    fn git(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        let done = git.args(arguments).current_dir(self.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn postroom(&self, arguments: &[&str]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_postroom"));
        let path = std::env::var("PATH").unwrap();
        program.args(arguments).current_dir(self.path()).env_clear().env("PATH", path);
        program.output().unwrap()
    }

    /// Runs the program and hands out what it said.
    #[track_caller]
    fn check(&self, arguments: &[&str], exit: i32, words: &[&str]) -> String {
        let output = self.postroom(arguments);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {said}");
        for words in words {
            assert!(said.contains(words), "{arguments:?} should say {words:?}:\n{said}");
        }
        said
    }
}

const PLAN: [&str; 5] = ["plan", "-c", "config", "--against", "git:before"];

#[test]
fn a_plan_against_a_revision_of_git() {
    let repository = Repository::new();
    repository.check(&PLAN, 0, &["compared with git before", "nothing changes"]);
    let stops = FILTERS.replace("set: {queue: vip}", "set: {queue: vip}, stop: true");
    repository.write("config/rules/filters.yaml", &stops);
    let words = [
        "~ change   filters.vip: later filters are skipped when it matches, from the next mail on",
        "* filter vip now hides filter boss",
    ];
    repository.check(&PLAN, 2, &words);
    // What is committed counts, not what lies there.
    repository.commit();
    repository.check(&["plan", "-c", "config", "--against", "git:HEAD"], 0, &["nothing changes"]);
    let json = repository.check(&[&PLAN[..], &["--format", "json"]].concat(), 2, &[]);
    let plan: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["changes"][0]["action"], "change");
    assert_eq!(plan["effects"][0], "filter vip now hides filter boss");
    let words = ["### Postroom: 1 change\n", "| ~ change | `filters.vip` |"];
    repository.check(&[&PLAN[..], &["--format", "markdown"]].concat(), 2, &words);
}

#[test]
fn texts_and_new_files_of_a_revision() {
    let repository = Repository::new();
    repository.write("config/texts/thanks.txt", "Thanks");
    let replies = "version: 1\nautoReplies:\n\
        \x20 thanks: {from: support@desk.example, subject: {en: Hello}, text: {en: {file: ./texts/thanks.txt}}}\n";
    repository.write("config/replies.yaml", replies);
    repository.check(&PLAN, 2, &["+ create   autoReplies.thanks", "1 change\n"]);
    repository.commit();
    repository.check(&["plan", "-c", "config", "--against", "git:HEAD"], 0, &["nothing changes"]);
    repository.write("config/texts/thanks.txt", "Thank you");
    let head = ["plan", "-c", "config", "--against", "git:HEAD"];
    repository.check(&head, 2, &["autoReplies.thanks: text changes"]);
}

#[test]
fn two_revisions() {
    let repository = Repository::new();
    repository.write("config/desk.yaml", &DESK.replace("vip: {}", "vip: {}, sales: {}"));
    repository.commit();
    let words = ["+ create   queues.sales"];
    repository.check(&["diff", "git:before:config", "git:HEAD:config"], 2, &words);
    repository.check(&["diff", "git:before", "config"], 2, &words);
    repository.check(&["diff", "git:HEAD", "config"], 0, &["nothing changes"]);
    // Another folder is another place for the same files.
    let elsewhere = repository.path().join("copy");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("desk.yaml"), DESK).unwrap();
    std::fs::create_dir(elsewhere.join("rules")).unwrap();
    std::fs::write(elsewhere.join("rules/filters.yaml"), FILTERS).unwrap();
    repository.check(&["diff", "copy", "config"], 2, &words);
}

#[test]
fn revisions_that_are_none() {
    let repository = Repository::new();
    let against = |what: &'static str| ["plan", "-c", "config", "--against", what];
    repository.check(&against("git:nowhere"), 1, &["could not find revision \"nowhere\""]);
    repository.check(&against("git:--output=x"), 64, &["is not a revision of git"]);
    repository.check(&against("revision:abc"), 1, &["there is no revision \"abc\""]);
    // A branch that has no such files yet is compared with nothing.
    repository.git(&["checkout", "-q", "--orphan", "empty"]);
    repository.git(&["rm", "-rq", "--cached", "."]);
    repository.write("README", "x");
    repository.git(&["add", "README"]);
    let who = ["-c", "user.name=t", "-c", "user.email=t@x.test"];
    repository.git(&[&who[..], &["commit", "-q", "-m", "x"]].concat());
    repository.check(&against("git:empty"), 2, &["which has no such files", "queues.support"]);
    let nowhere = tempfile::tempdir().unwrap();
    std::fs::write(nowhere.path().join("a.yaml"), "version: 1\n").unwrap();
    let path = nowhere.path().to_str().unwrap();
    repository.check(&["plan", "-c", path, "--against", "git:main"], 1, &["not a git repository"]);
}

/// Puts a mail into the Maildir of the desk.
pub fn mail(repository: &Repository, name: &str, from: &str, subject: &str) -> PathBuf {
    for folder in ["new", "cur", "tmp"] {
        std::fs::create_dir_all(repository.path().join("mail").join(folder)).unwrap();
    }
    let text = format!(
        "From: {from}\r\nTo: support@desk.example\r\nSubject: {subject}\r\n\
         Message-ID: <{name}@x.test>\r\n\r\nHello\r\n"
    );
    repository.write(&format!("mail/new/{name}"), &text)
}

/// Runs the daemon until all mails are in its store.
pub async fn take_in(repository: &Repository, mails: usize) -> App {
    run_desk(repository, DESK, mails).await
}

/// The same for another desk.
async fn run_desk(repository: &Repository, desk: &str, mails: usize) -> App {
    // What runs is a copy: edits of the branch are not what runs.
    repository.write("running/desk.yaml", desk);
    repository.write("running/rules/filters.yaml", FILTERS);
    let options = Options {
        config: vec![repository.path().join("running")],
        data: repository.path().join("data"),
        listen: "127.0.0.1:0".parse().unwrap(),
        secrets_dir: None,
        external_url: None,
        allow_sendmail: Vec::new(),
        trusted_proxies: Vec::new(),
        clock: Clock::real(),
        on_invalid: OnInvalid::Exit,
        allow_mass_delete: false,
    };
    let app = postroom::app::start(options).await.unwrap();
    let store = app.handle().store.clone();
    let all = async {
        while store.mails(None, mails + 1).unwrap().items.len() < mails {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("the mails are taken in");
    app
}

/// A branch changes a filter; the comment names the one stored mail that would go elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn the_comment_names_the_mail_that_would_go_elsewhere() {
    let repository = Repository::new();
    mail(&repository, "one", "Eve <eve@cust.example>", "Printer is broken");
    mail(&repository, "p-two", "Boss <boss@vip.example>", "Call me");
    mail(&repository, "q-three", "Mia <mia@cust.example>", "Offer | please <b>now</b>");
    let app = take_in(&repository, 3).await;
    let url = format!("http://{}", app.addr());
    repository.git(&["checkout", "-q", "-b", "branch"]);
    let replay = |more: &[&str], exit: i32, words: &[&str]| {
        let command = ["replay", "-c", "config", "--data", "data", "--against", "git:main"];
        tokio::task::block_in_place(|| {
            repository.check(&[&command[..], more].concat(), exit, words)
        })
    };
    let asked = ["--url", &url];
    replay(&asked, 0, &["3 mails of the store would fare as under git main"]);
    let offers =
        "\x20 offers: {order: 3, match: [{header: Subject, regex: offer}], set: {queue: vip}}\n";
    repository.write("config/rules/filters.yaml", &format!("{FILTERS}{offers}"));
    repository.commit();
    let markdown = [&asked[..], &["--format", "markdown"]].concat();
    let with_mails = [&markdown[..], &["--show-mails"]].concat();
    let said = replay(
        &with_mails,
        2,
        &[
            "### Postroom: 1 stored mail would fare differently\n",
            "3 Offer \\| please &lt;b&gt;now&lt;/b&gt; | Mia &lt;mia&#64;cust.example&gt; | `inbox` | queue: support -&gt; vip |",
        ],
    );
    assert!(!said.contains("Printer") && !said.contains("Call me"), "{said}");
    // Strangers read the comment: what it says of the mail is its number.
    for form in ["human", "json", "markdown"] {
        let said = replay(&[&asked[..], &["--format", form]].concat(), 2, &["(from the mail)"]);
        assert!(!said.contains("Offer") && !said.contains("cust.example"), "{said}");
    }
    // Compared with what runs it is the same; nothing was recorded by any of it.
    let store = app.handle().store.clone();
    let running = ["replay", "-c", "config", "--data", "data", "--url", &url];
    tokio::task::block_in_place(|| {
        repository.check(&running, 2, &["1 of 3 mails would fare differently than under what runs"])
    });
    assert_eq!(store.mails(None, 10).unwrap().items.len(), 3);
    assert_eq!(store.ticket_count().unwrap(), 3);
    drop(store);
    app.stop().await;
    // Without a daemon the store is read.
    let nobody = ["--url", "http://127.0.0.1:9"];
    replay(&nobody, 2, &["queue: support -> vip"]);
    let last = [&nobody[..], &["--last", "1", "--format", "json"]].concat();
    let view: Value = serde_json::from_str(&replay(&last, 2, &[])).unwrap();
    assert_eq!((view["mails"].as_u64(), view["differing"].as_u64()), (Some(1), Some(1)));
    assert_eq!(view["differences"][0]["after"]["filters"][0], "offers");
}

#[tokio::test(flavor = "multi_thread")]
async fn explained_with_what_the_store_knows() {
    let repository = Repository::new();
    let first = mail(&repository, "one", "Eve <eve@cust.example>", "Printer is broken");
    std::fs::copy(first, repository.path().join("first.eml")).unwrap();
    let app = take_in(&repository, 1).await;
    let url = format!("http://{}", app.addr());
    let ticket =
        app.handle().store.tickets(&Default::default(), None, 1).unwrap().items[0].number.clone();
    let text = format!(
        "From: eve@cust.example\r\nTo: support@desk.example\r\n\
        Subject: Re: [Ticket#{ticket}] Printer\r\nMessage-ID: <again@x.test>\r\n\r\nStill.\r\n"
    );
    repository.write("again.eml", &text);
    let explain = |more: &[&str], words: &[&str]| {
        let command =
            ["explain", "again.eml", "--account", "inbox", "-c", "config", "--data", "data"];
        tokio::task::block_in_place(|| repository.check(&[&command[..], more].concat(), 0, words))
    };
    explain(&[], &["created\n", "ticket tag"]);
    let joins = format!("ticket       {ticket}");
    explain(&["--with-store", "--url", &url], &["followUp\n", &joins]);
    let tree =
        ["├─ vip (order 1): fails\n│  └─ ✗ From address .*@vip\\.example: \"eve@cust.example\"\n"];
    explain(&["--tree", "--with-store", "--url", &url], &tree);
    // A daemon needs no files: it answers for those that it runs, and records nothing.
    let against = |mail: &str, account: &str, exit: i32, words: &[&str]| {
        let command = ["explain", mail, "--account", account, "--data", "data", "--against", &url];
        let json = ["--format", "json"];
        tokio::task::block_in_place(|| {
            repository.check(&[&command[..], &json].concat(), exit, words)
        })
    };
    let store = app.handle().store.clone();
    let of_daemon: Value = serde_json::from_str(&against("again.eml", "inbox", 0, &[])).unwrap();
    assert_eq!(of_daemon["outcome"], "followUp", "{of_daemon:#}");
    assert_eq!(of_daemon["ticket"], ticket.as_str());
    let again: Value = serde_json::from_str(&against("first.eml", "inbox", 0, &[])).unwrap();
    assert_eq!(again["outcome"], "duplicate", "{again:#}");
    against("again.eml", "inbxo", 1, &["there is no mail account \"inbxo\"; declared are inbox"]);
    assert_eq!(store.mails(None, 10).unwrap().items.len(), 1);
    drop(store);
    app.stop().await;
    let stored: Value = serde_json::from_str(&{
        let more = ["--with-store", "--url", "http://127.0.0.1:9", "--format", "json"];
        explain(&more, &[])
    })
    .unwrap();
    assert_eq!(stored, of_daemon);
    explain(&["--with-store", "--url", "http://127.0.0.1:9"], &["followUp\n", &joins]);
}

/// What runs, what was applied and what lies in git, compared in any mix.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_and_its_revisions_are_compared_with() {
    let repository = Repository::new();
    mail(&repository, "one", "Eve <eve@cust.example>", "Printer is broken");
    let app = take_in(&repository, 1).await;
    let url = format!("http://{}", app.addr());
    let kept = app.handle().store.last_revision().unwrap().unwrap();
    let revision = format!("revision:{}", &kept.hash[..12]);
    let check = |command: &[&str], exit: i32, words: &[&str]| {
        let all = [command, &["--data", "data", "--url", &url]].concat();
        tokio::task::block_in_place(|| repository.check(&all, exit, words))
    };
    let plan = |against: &str, exit: i32, words: &[&str]| {
        check(&["plan", "-c", "config", "--against", against], exit, words)
    };
    plan(&url, 0, &["of the daemon", "nothing changes"]);
    plan(&revision, 0, &["of the daemon", "nothing changes"]);
    let stops = FILTERS.replace("set: {queue: vip}", "set: {queue: vip}, stop: true");
    repository.write("config/rules/filters.yaml", &stops);
    let words = ["~ change   filters.vip", "* filter vip now hides filter boss", "1 change\n"];
    plan(&url, 2, &words);
    plan(&revision, 2, &words);
    check(&["diff", &revision, "config"], 2, &words);
    check(&["diff", "config", &revision], 2, &["* filter vip no longer hides filter boss"]);
    check(&["diff", &revision, "git:before:config"], 0, &["nothing changes"]);
    check(&["diff", &url, &revision], 0, &["nothing changes"]);
    plan("revision:ffffffffffff", 1, &["revision"]);
    // In every form, what the daemon runs is named, and what would change is the same.
    let form = |form: &'static str| {
        let command = ["plan", "-c", "config", "--against", &url, "--format", form];
        check(&command, 2, &[&kept.hash[..12]])
    };
    let json: Value = serde_json::from_str(&form("json")).unwrap();
    assert!(json["against"].as_str().unwrap().contains("of the daemon"), "{json:#}");
    assert_eq!(json["changes"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&json["changes"][0]["kind"], &json["changes"][0]["name"], &json["changes"][0]["effect"]),
        (
            &"filters".into(),
            &"vip".into(),
            &"later filters are skipped when it matches, from the next mail on".into()
        )
    );
    assert_eq!(json["effects"][0], "filter vip now hides filter boss");
    let markdown = form("markdown");
    let row = "| ~ change | `filters.vip` | later filters are skipped when it matches, from the \
               next mail on |";
    for words in ["### Postroom: 1 change\n", "- filter vip now hides filter boss\n", row] {
        assert!(markdown.contains(words), "{words:?} in:\n{markdown}");
    }
    app.stop().await;
    // Without a daemon the revision is read where it is kept.
    let nobody = ["--data", "data", "--url", "http://127.0.0.1:9"];
    let command = [&["diff", &revision, "config"][..], &nobody].concat();
    repository.check(&command, 2, &["kept in data"]);
}

/// Who was answered as often as may be is not answered again, and the daemon knows how often.
#[tokio::test(flavor = "multi_thread")]
async fn explained_with_how_often_the_sender_was_answered() {
    let repository = Repository::new();
    mail(&repository, "one", "Eve <eve@cust.example>", "Printer is broken");
    let thanks = DESK.replace("support: {}", "support: {sender: desk, autoReplies: {new: thanks}}")
        + "limits: {autoRepliesPerDay: 1}\n\
           smtp: {out: {type: file, directory: ../out}}\n\
           senders: {desk: {from: support@desk.example, via: [out]}}\n\
           autoReplies: {thanks: {from: support@desk.example, subject: {en: Thanks}, text: {en: Soon.}}}\n";
    repository.write("config/desk.yaml", &thanks);
    let app = run_desk(&repository, &thanks, 1).await;
    let url = format!("http://{}", app.addr());
    let text = "From: eve@cust.example\r\nTo: support@desk.example\r\nSubject: Screen\r\n\
                Message-ID: <two@x.test>\r\n\r\nDark.\r\n";
    repository.write("two.eml", text);
    let explain = |more: &[&str]| -> Value {
        let command = ["explain", "two.eml", "--account", "inbox", "--data", "data"];
        let command = [&command[..], &["--format", "json"], more].concat();
        let said = tokio::task::block_in_place(|| repository.check(&command, 0, &[]));
        serde_json::from_str(&said).unwrap()
    };
    let by_files = explain(&["-c", "config"]);
    assert_eq!((&by_files["autoReply"], &by_files["suppressed"]), (&"thanks".into(), &Value::Null));
    let of_daemon = explain(&["--against", &url]);
    assert_eq!(
        (&of_daemon["autoReply"], &of_daemon["suppressed"]),
        (&Value::Null, &"perDay".into())
    );
    app.stop().await;
}

/// More mails than are judged at a time.
#[tokio::test(flavor = "multi_thread")]
async fn every_mail_is_judged_once() {
    let repository = Repository::new();
    for number in 0..45 {
        let from = if number % 9 == 0 { "boss@vip.example" } else { "eve@cust.example" };
        mail(&repository, &format!("m{number:02}"), from, &format!("Mail {number}"));
    }
    let app = take_in(&repository, 45).await;
    let url = format!("http://{}", app.addr());
    repository.write("config/rules/filters.yaml", "version: 1\n");
    let command = [
        "replay",
        "-c",
        "config",
        "--data",
        "data",
        "--url",
        &url,
        "--format",
        "json",
        "--show-mails",
    ];
    let replay = |last: &str| -> Value {
        let command = [&command[..], &["--last", last]].concat();
        let said = tokio::task::block_in_place(|| repository.check(&command, 2, &[]));
        serde_json::from_str(&said).unwrap()
    };
    let all = replay("1000");
    assert_eq!((all["mails"].as_u64(), all["differing"].as_u64()), (Some(45), Some(5)));
    let mut subjects: Vec<&str> = Vec::new();
    for difference in all["differences"].as_array().unwrap() {
        subjects.push(difference["subject"].as_str().unwrap());
        assert_eq!(difference["changes"][0], "queue: vip -> support");
    }
    subjects.sort_unstable();
    assert_eq!(subjects, ["Mail 0", "Mail 18", "Mail 27", "Mail 36", "Mail 9"]);
    assert_eq!(replay("41")["mails"], 41);
    app.stop().await;
}
