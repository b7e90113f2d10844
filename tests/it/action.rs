//! The action of GitHub: its steps as they are written in `action.yml`, run by bash.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::needed;
use crate::review::{Repository, mail, take_in};
use crate::trials::{desk, edit, write};

/// Stands in for `gh`: comments lie in a file, what is asked and written beside it.
const GH: &str = "#!/usr/bin/env bash\n\
    printf '%s\\n' \"$*\" >>\"$STATE/asked\"\n\
    case \"$*\" in\n\
    \x20 'api user '*) echo '{\"message\":\"Resource not accessible by integration\"}'; exit 1 ;;\n\
    \x20 *) [ ! -e \"$STATE/forbidden\" ] || { echo 'gh: Forbidden (HTTP 403)' >&2; exit 1; } ;;\n\
    esac\n\
    case \"$*\" in\n\
    \x20 'api --paginate '*) jq -r \"${*: -1}\" \"$STATE/comments.json\" ;;\n\
    \x20 'api --method '*) body=${*: -1}; cp \"${body#body=@}\" \"$STATE/written\" ;;\n\
    esac\n";

/// A step of the action with its environment's names, none of whose script comes from outside.
fn step(index: usize, known: &[&str]) -> String {
    let action =
        postroom::config::document::parse(include_str!("../../action.yml")).unwrap().remove(0);
    let step = &action["runs"]["steps"][index];
    let names: Vec<&String> = step["env"].as_object().unwrap().keys().collect();
    assert_eq!(names, known);
    let script = step["run"].as_str().unwrap().to_owned();
    assert!(!script.contains("${{"), "{script}");
    script
}

fn bash(script: &str, folder: &Path) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir(folder).env_clear();
    command.env("PATH", std::env::var("PATH").unwrap());
    command.env("GITHUB_ACTION_PATH", env!("CARGO_MANIFEST_DIR"));
    command
}

#[track_caller]
fn ended(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), said)
}

/// The first step, with what the action gives it.
fn review(folder: &Path) -> (i32, String, String) {
    review_with(folder, &[])
}

/// The same, with more of its environment.
fn review_with(folder: &Path, more: &[(&str, &str)]) -> (i32, String, String) {
    let known = ["POSTROOM", "CONFIG", "AGAINST", "STRICT", "REPORTS"];
    let mut command = bash(&step(0, &known), folder);
    command
        .env("GITHUB_OUTPUT", folder.join("output"))
        .env("GITHUB_STEP_SUMMARY", folder.join("summary"))
        .env("POSTROOM", env!("CARGO_BIN_EXE_postroom"))
        .env("CONFIG", "config\n")
        .env("AGAINST", "before")
        .env("STRICT", "true")
        .env("REPORTS", folder.join("reports"))
        .envs(more.iter().copied());
    let (exit, said) = ended(command);
    (exit, said, std::fs::read_to_string(folder.join("reports/report.md")).unwrap())
}

/// The second step, with what the action gives it.
fn replay(folder: &Path, token: &str, url: &str) -> (i32, String, String) {
    let known = ["POSTROOM", "CONFIG", "AGAINST", "DAEMON", "POSTROOM_TOKEN", "LAST", "REPORT"];
    let report = folder.join("reports/report.md");
    let mut command = bash(&step(1, &known), folder);
    command
        .env("GITHUB_STEP_SUMMARY", folder.join("summary"))
        .env("POSTROOM", env!("CARGO_BIN_EXE_postroom"))
        .env("CONFIG", "config\n")
        .env("AGAINST", "before")
        .env("DAEMON", url)
        .env("POSTROOM_TOKEN", token)
        .env("LAST", "10")
        .env("REPORT", &report);
    let (exit, said) = ended(command);
    (exit, said, std::fs::read_to_string(report).unwrap())
}

/// A program that notes the environment it is run with.
const SPY: &str = "#!/usr/bin/env bash\nenv >>\"${0%/*}/own-$1\"\n";

#[test]
fn token_is_seen_by_replay_alone() {
    let folder = desk();
    write(folder.path(), "spy", SPY);
    let runs = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path().join("spy"), runs).unwrap();
    let spy = folder.path().join("spy");
    let mut first =
        bash(&step(0, &["POSTROOM", "CONFIG", "AGAINST", "STRICT", "REPORTS"]), folder.path());
    first.env("POSTROOM", &spy).env("REPORTS", folder.path().join("reports"));
    // What a workflow may have in its own environment.
    first.env("DEPLOY_KEY", "canary");
    assert_eq!(ended(first).0, 0);
    let seen = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    for command in ["check", "test", "plan"] {
        let own = seen(&format!("own-{command}"));
        assert!(own.contains("PATH=") && !own.contains("canary"), "{own}");
    }
    let mut second = bash(
        &step(1, &["POSTROOM", "CONFIG", "AGAINST", "DAEMON", "POSTROOM_TOKEN", "LAST", "REPORT"]),
        folder.path(),
    );
    second.env("POSTROOM", &spy).env("DAEMON", "http://127.0.0.1:9").env("POSTROOM_TOKEN", "t0ken");
    second.env("REPORT", folder.path().join("reports/report.md"));
    assert_eq!(ended(second).0, 0);
    assert!(seen("own-replay").contains("POSTROOM_TOKEN=t0ken"));
}

/// What a stranger proposes: the directory itself is a link to somewhere else.
#[test]
fn config_that_leads_out_of_the_checkout_is_refused() {
    let folder = desk();
    let outside = desk();
    for (link, target) in [("up", ".."), ("root", "/"), ("other", outside.path().to_str().unwrap())]
    {
        std::os::unix::fs::symlink(target, folder.path().join(link)).unwrap();
        let (exit, said, report) = review_with(folder.path(), &[("CONFIG", link)]);
        assert_eq!((exit, report.as_str()), (1, ""), "{said}");
        assert!(said.contains("leads out of the checkout"), "{said}");
    }
}

#[test]
fn the_first_step_reviews() {
    let folder = desk();
    let git = |arguments: &[&str]| {
        let done = Command::new("git").args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["-c", "user.name=t", "-c", "user.email=t@x.test", "commit", "-q", "-m", "x"]);
    git(&["tag", "before"]);
    edit(folder.path(), "config/desk.yaml", "  vip: {}\n", "  vip: {}\n  sales: {}\n");
    let (exit, said, report) = review(folder.path());
    assert_eq!(exit, 0, "{said}\n{report}");
    for words in
        ["the files are good", "2 tests passed", "### Postroom: 1 change", "`queues.sales`"]
    {
        assert!(report.contains(words), "{words:?} in {report}");
    }
    let kept = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(kept("output").contains("sarif="), "{}", kept("output"));
    assert_eq!(kept("summary"), report);
    // A test that fails fails the review, with an annotation at its line.
    edit(folder.path(), "config/desk.yaml", "closed: reopen", "closed: newTicket");
    let (exit, said, report) = review(folder.path());
    assert_eq!(exit, 4, "{said}\n{report}");
    assert!(said.contains("::error file=config/desk_test.yaml,line=4"), "{said}");
    assert!(report.contains("1 of 2 tests failed"), "{report}");
    // Files that do not load are told once.
    edit(folder.path(), "config/desk.yaml", "queue: vip}", "queue: vpi}");
    let (exit, said, report) = review(folder.path());
    assert_eq!(exit, 3, "{said}\n{report}");
    assert!(said.contains("did you mean") && !report.contains("tests"), "{said}\n{report}");
}

/// With a daemon the report names the stored mail that would go elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_step_replays_what_a_daemon_has() {
    let repository = Repository::new();
    mail(&repository, "one", "Eve <eve@cust.example>", "Printer is broken");
    mail(&repository, "two", "Mia <mia@cust.example>", "Offer: ten printers");
    let app = take_in(&repository, 2).await;
    let token = std::fs::read_to_string(repository.path().join("data/api-token")).unwrap();
    let offers = "version: 1\nfilters:\n\
        \x20 offers: {order: 3, match: [{header: Subject, regex: offer}], set: {queue: vip}}\n";
    repository.write("config/rules/offers.yaml", offers);
    let url = format!("http://{}", app.addr());
    let step = |token: &str, url: &str| {
        tokio::task::block_in_place(|| {
            let (exit, said, _) = review_with(repository.path(), &[("STRICT", "false")]);
            assert_eq!(exit, 0, "{said}");
            replay(repository.path(), token, url)
        })
    };
    let (exit, said, report) = step(token.trim(), &url);
    assert_eq!(exit, 0, "{said}\n{report}");
    for words in [
        "### Postroom: 1 change\n",
        "`filters.offers`",
        "### Postroom: 1 stored mail would fare differently\n",
        "| (from the mail) | `inbox` |",
        "queue: support -&gt; vip",
    ] {
        assert!(report.contains(words), "{words:?} in {report}");
    }
    assert!(!report.contains("printers") && !report.contains("mia"), "{report}");
    assert!(!report.contains("Printer is broken") && !said.contains(token.trim()), "{report}");
    // A token that is none, and a daemon that is none, fail the review and say so.
    let (exit, said, _) = step("nonsense", &url);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("this token is unknown"), "{said}");
    let (exit, said, _) = step(token.trim(), "http://127.0.0.1:9");
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("no daemon answers, and there is no store"), "{said}");
    app.stop().await;
}

/// A pull request with comments, and a report for it.
struct Request {
    folder: tempfile::TempDir,
}

impl Request {
    /// `None` without jq, which `gh` has built in.
    fn new(report: &str, comments: &Value) -> Option<Request> {
        let there = Command::new("jq").arg("--version").output().is_ok();
        if !needed::is_there(there, "jq is not installed") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "bin/gh", GH);
        let runs = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path().join("bin/gh"), runs).unwrap();
        write(folder.path(), "comments.json", &comments.to_string());
        write(folder.path(), "re port.md", report);
        Some(Request { folder })
    }

    /// The third step; what it asked, what it wrote, and what it said.
    #[track_caller]
    fn comment(&self, token: &str) -> (Vec<String>, String, String) {
        let folder = self.folder.path();
        let script = step(2, &["GH_TOKEN", "NUMBER", "REPORT", "CONFIG"]);
        let mut command = bash(&script, folder);
        let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
        command
            .env("PATH", path)
            .env("STATE", folder)
            .env("GH_TOKEN", token)
            .env("NUMBER", "7")
            .env("REPORT", folder.join("re port.md"))
            .env("CONFIG", "config $(touch pwned); \"`'\nmore")
            .env("GITHUB_REPOSITORY", "acme/desk");
        let (exit, said) = ended(command);
        assert_eq!(exit, 0, "{said}");
        assert!(!folder.join("pwned").exists());
        let kept = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let (asked, written) = (kept("asked"), kept("written"));
        std::fs::write(folder.join("asked"), "").unwrap();
        let asked = asked.lines().filter(|line| line.contains("--method"));
        let asked = asked.map(|line| line.split(" -F ").next().unwrap().to_owned());
        (asked.collect(), written, said)
    }
}

const CREATE: &str = "api --method POST repos/acme/desk/issues/7/comments";

#[test]
fn the_third_step_keeps_one_comment() {
    let Some(request) = Request::new("### Report of 日本\n", &json!([])) else { return };
    let (asked, written, said) = request.comment("t0ken");
    assert_eq!(asked, [CREATE], "{said}");
    let (marker, report) = written.split_once('\n').unwrap();
    assert!(marker.starts_with("<!-- postroom review ") && report == "### Report of 日本\n");
    // Next time there is one, among those of others, who can write the marker, too.
    let of =
        |id: u64, who: &str, body: &str| json!({"id": id, "user": {"login": who}, "body": body});
    let bot = "github-actions[bot]";
    let comments = [
        of(1, "mallory", &written),
        of(2, bot, "the coverage of another action"),
        of(3, bot, "<!-- postroom review 1 -->\nof another desk"),
        of(4, bot, &format!("{marker}\nold")),
        of(5, bot, &format!("{marker}\nolder")),
    ];
    write(request.folder.path(), "comments.json", &json!(comments).to_string());
    let (asked, _, said) = request.comment("t0ken");
    assert_eq!(asked, ["api --method PATCH repos/acme/desk/issues/comments/4"], "{said}");
    write(request.folder.path(), "comments.json", &json!(comments[..3]).to_string());
    assert_eq!(request.comment("t0ken").0, [CREATE]);
}

#[test]
fn a_long_report_is_cut_between_lines() {
    let line = "| ~ change | 日本語の行 | x |\n";
    let report = line.repeat(4_000);
    let Some(request) = Request::new(&report, &json!([])) else { return };
    let (_, written, said) = request.comment("t0ken");
    assert!(written.len() < 65_536 && written.len() > 50_000, "{}: {said}", written.len());
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(*lines.last().unwrap(), "The rest is in the summary of the run.");
    assert!(lines[1..lines.len() - 2].iter().all(|it| *it == line.trim_end()));
}

/// A pull request from a fork has no token, or one that may not write.
#[test]
fn what_may_not_be_written_fails_nothing() {
    let Some(request) = Request::new("### Report\n", &json!([])) else { return };
    let (asked, written, said) = request.comment("");
    assert!(asked.is_empty() && written.is_empty(), "{said}");
    assert!(said.contains("::warning title=Postroom::There is no token"), "{said}");
    write(request.folder.path(), "forbidden", "");
    let (_, written, said) = request.comment("t0ken");
    assert!(written.is_empty(), "{said}");
    assert!(said.contains("A pull request from a fork never has."), "{said}");
    assert!(!said.contains("t0ken"), "{said}");
}
